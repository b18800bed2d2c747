//! Coverage: what the operations of a run touched, for an audit to judge whether they could have
//! found anything.
//!
//! Final reads are left out, for they come after the faults. A victim was *asked during* a fault
//! when an operation was open at it at some moment from the fault being in force until its heal was
//! requested: one that was under way when the fault began has run into it as much as one sent
//! later. How the operation ended does not matter.

use std::collections::BTreeMap;

use splitbrain_workloads::history::{History, Micros};
use splitbrain_workloads::operation::{NodeId, OpKind, Outcome, Reply};

use super::Window;
use crate::record::FaultRecord;

/// What the operations of a run touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Operations that ended ok, by kind. A kind that never did is absent.
    pub ok_by_kind: BTreeMap<OpKind, u64>,
    /// Operations that ended ok, by the node that answered; every node has an entry.
    pub ok_by_node: BTreeMap<NodeId, u64>,
    /// Compare-and-sets that swapped.
    pub swaps: u64,
    /// Compare-and-sets that were answered and did not match.
    pub mismatches: u64,
    /// Reads of one key that saw a value and not its absence.
    pub reads_of_a_value: u64,
}

impl Coverage {
    /// Counts what the operations of a history touched.
    pub fn of(history: &History) -> Coverage {
        let nodes = NodeId::first(history.header.nodes).map(|node| (node, 0)).collect();
        let mut coverage = Coverage { ok_by_node: nodes, ..Coverage::default() };
        for operation in history.operations.iter().filter(|operation| !operation.is_final) {
            let Outcome::Ok(reply) = &operation.outcome else { continue };
            *coverage.ok_by_kind.entry(operation.op.kind()).or_default() += 1;
            if let Some(node) = operation.node {
                *coverage.ok_by_node.entry(node).or_default() += 1;
            }
            match reply {
                Reply::Compared { swapped: true, .. } => coverage.swaps += 1,
                Reply::Compared { swapped: false, .. } => coverage.mismatches += 1,
                Reply::Read(Some(_)) => coverage.reads_of_a_value += 1,
                _ => {}
            }
        }
        coverage
    }
}

/// How many operations were asked of each victim during a fault; every victim has an entry.
/// Empty when the fault was never in force.
pub fn asked_during(history: &History, fault: &FaultRecord) -> BTreeMap<NodeId, u64> {
    let Some(from) = fault.in_force else { return BTreeMap::new() };
    let to = fault.heal_requested.or(fault.healed).unwrap_or(Micros(u64::MAX));
    let window = Window { from, to };
    let mut asked: BTreeMap<NodeId, u64> = fault.victims.iter().map(|node| (*node, 0)).collect();
    for operation in history.operations.iter().filter(|operation| !operation.is_final) {
        let victim = operation.node.and_then(|node| asked.get_mut(&node));
        let ended = operation.completed.map_or(Micros(u64::MAX), |stamp| stamp.at);
        if let Some(asked) = victim.filter(|_| window.touches(operation.invoked.at, ended)) {
            *asked += 1;
        }
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{Tape, fault};

    fn history() -> History {
        let mut tape = Tape::new("register", 3);
        tape.write(0, 1, "r0", 1, 1_000, 2_000);
        tape.mismatch(1, 2, "r0", 7, 8, 1, 2_500, 2_600);
        tape.read(0, 1, "r0", Some(1), 3_000, 3_100);
        tape.read(0, 1, "r1", None, 3_200, 3_300);
        tape.write_unknown(0, 1, "r0", 3, 4_000, 5_000, "timeout");
        tape.final_read(0, 3, "r0", Some(1), 9_000, 9_100);
        tape.history()
    }

    #[test]
    fn a_node_that_never_answered_is_counted_with_zero() {
        let coverage = Coverage::of(&history());
        let by_node = BTreeMap::from([(NodeId(1), 3), (NodeId(2), 1), (NodeId(3), 0)]);
        assert_eq!(coverage.ok_by_node, by_node);
        assert_eq!(coverage.ok_by_kind.get(&OpKind::Write), Some(&1));
        assert_eq!(coverage.ok_by_kind.get(&OpKind::List), None);
        assert_eq!((coverage.swaps, coverage.mismatches), (0, 1));
        assert_eq!(coverage.reads_of_a_value, 1);
    }

    #[test]
    fn a_victim_was_asked_even_if_it_did_not_answer() {
        let history = history();
        let asked = |from, to, victims: &[u16]| {
            asked_during(&history, &fault(1, "pause", victims, from, to))
        };
        assert_eq!(asked(3_500, 6_000, &[1]), BTreeMap::from([(NodeId(1), 1)]));
        assert_eq!(asked(3_500, 4_000, &[1]), BTreeMap::from([(NodeId(1), 0)]));
        let both = BTreeMap::from([(NodeId(2), 1), (NodeId(3), 0)]);
        assert_eq!(asked(0, 10_000, &[2, 3]), both);
        let mut skipped = fault(1, "pause", &[1], 0, 10_000);
        skipped.in_force = None;
        assert!(asked_during(&history, &skipped).is_empty());
    }
}
