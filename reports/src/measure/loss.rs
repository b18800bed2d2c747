//! Loss (RPO): acknowledged writes that are gone, and the window they span.
//!
//! Which writes are lost is for the checker of lost writes to say, of all of them and not only of
//! those that a judgement lists; this file lays them over time and faults. The window is the
//! classic recovery point: from the invocation of the first lost write to the acknowledgement of
//! the last.
//!
//! A lost write is laid at the door of the faults, request to heal, during which it was invoked.
//! One that was invoked outside any is laid at the door of the fault nearest in time: what a leader
//! acknowledged a moment before it was killed is lost by that kill, and what an old leader still
//! acknowledges after the heal is lost by the partition that made it old.

use std::collections::{BTreeMap, BTreeSet};

use splitbrain_workloads::checker::lost_write;
use splitbrain_workloads::history::{History, Micros, OperationId};
use splitbrain_workloads::verdict::{Judgement, Verdict};

use super::Window;
use crate::record::{FaultId, FaultRecord};

/// Acknowledged writes that are lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// How many.
    pub count: u64,
    /// When the first of them was invoked.
    pub first_invoked: Micros,
    /// When the last of them was acknowledged.
    pub last_acknowledged: Micros,
    /// The faults, request to heal, during which one of them was invoked.
    pub during: Vec<FaultId>,
    /// The faults nearest to those that were invoked outside any, in order.
    pub beside: Vec<Beside>,
}

/// A fault nearest to lost writes that were invoked while none was in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Beside {
    /// Which.
    pub fault: FaultId,
    /// Whether they came before it, or else after its heal.
    pub before: bool,
    /// How far from it the furthest of them was invoked.
    pub distance: Micros,
}

/// All lost writes, in order of invocation; `None` when no checker decided, for then nobody knows
/// that there is none.
pub fn lost_writes(history: &History, judgements: &[Judgement]) -> Option<Vec<OperationId>> {
    let decided = judgements.iter().any(|judgement| judgement.verdict != Verdict::Unknown);
    let decided = decided && lost_write::applies_to(&history.header.workload);
    decided.then(|| lost_write::lost_writes(history).lost)
}

/// Lays lost writes over time and faults. `None` when there is none.
pub fn of(history: &History, lost: &[OperationId], faults: &[FaultRecord]) -> Option<Loss> {
    let writes: Vec<_> =
        lost.iter().filter_map(|id| history.operations.get(id.0 as usize)).collect();
    let first_invoked = writes.iter().map(|write| write.invoked.at).min()?;
    let last_acknowledged = writes
        .iter()
        .map(|write| write.completed.map_or(write.invoked.at, |stamp| stamp.at))
        .max()?;
    let mut during: BTreeSet<FaultId> = BTreeSet::new();
    let mut furthest: BTreeMap<(FaultId, bool), Micros> = BTreeMap::new();
    for (fault, place) in writes.iter().flat_map(|write| blamed(write.invoked.at, faults)) {
        let (before, distance) = match place {
            Place::During => {
                during.insert(fault);
                continue;
            }
            Place::Before(distance) => (true, distance),
            Place::After(distance) => (false, distance),
        };
        let most = furthest.entry((fault, before)).or_default();
        *most = (*most).max(distance);
    }
    let beside = furthest.into_iter();
    let beside = beside.map(|((fault, before), distance)| Beside { fault, before, distance });
    let (during, beside) = (during.into_iter().collect(), beside.collect());
    Some(Loss { count: writes.len() as u64, first_invoked, last_acknowledged, during, beside })
}

/// How many lost writes are laid at the door of one of the faults of a run; `None` when it was
/// never begun.
pub fn by_fault(
    history: &History,
    lost: &[OperationId],
    fault: FaultId,
    faults: &[FaultRecord],
) -> Option<u64> {
    faults.iter().find(|other| other.id == fault).and_then(Window::of_fault)?;
    let writes = lost.iter().filter_map(|id| history.operations.get(id.0 as usize));
    let blamed = writes.filter(|write| {
        blamed(write.invoked.at, faults).into_iter().any(|(blamed, _)| blamed == fault)
    });
    Some(blamed.count() as u64)
}

/// Where a moment lies from a fault.
#[derive(Clone, Copy)]
enum Place {
    During,
    Before(Micros),
    After(Micros),
}

/// The faults that a write lost at a moment is laid to, and where it lies from them.
fn blamed(at: Micros, faults: &[FaultRecord]) -> Vec<(FaultId, Place)> {
    let windows = faults.iter().filter_map(|fault| Some((fault.id, Window::of_fault(fault)?)));
    let windows: Vec<(FaultId, Window)> = windows.collect();
    let during: Vec<_> = windows
        .iter()
        .filter(|(_, window)| window.contains(at))
        .map(|(fault, _)| (*fault, Place::During))
        .collect();
    if !during.is_empty() {
        return during;
    }
    let distance = |window: &Window| match window.from > at {
        true => window.from.0 - at.0,
        false => at.0.saturating_sub(window.to.0),
    };
    let nearest = windows.iter().min_by_key(|(_, window)| distance(window));
    // Told by when it was in force, as everywhere a moment is told by a fault.
    let in_force = |id: FaultId| faults.iter().find(|fault| fault.id == id)?.in_force;
    let place = |id: FaultId, window: &Window| match window.from > at {
        true => {
            let from = in_force(id).unwrap_or(window.from);
            Place::Before(Micros(from.0.saturating_sub(at.0)))
        }
        false => Place::After(Micros(distance(window))),
    };
    nearest.map(|(fault, window)| (*fault, place(*fault, window))).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{Tape, fault};

    fn tape() -> Tape {
        let mut tape = Tape::new("set", 3);
        tape.write(0, 1, "s/1", 1, 1_000_000, 1_001_000);
        tape.write(0, 1, "s/2", 2, 2_100_000, 2_101_000);
        tape.write(0, 1, "s/3", 3, 2_200_000, 2_203_000);
        tape.write(0, 1, "s/4", 4, 5_000_000, 5_001_000);
        tape
    }

    #[test]
    fn the_window_spans_the_lost_writes_and_names_the_faults_over_it() {
        let history = tape().history();
        let faults = [
            fault(1, "partition", &[1], 2_000_000, 3_000_000),
            fault(2, "kill", &[2], 4_900_000, 6_000_000),
        ];
        let lost = [OperationId(1), OperationId(2)];
        let loss = of(&history, &lost, &faults).unwrap();
        assert_eq!(loss.count, 2);
        assert_eq!(loss.first_invoked, Micros(2_100_000));
        assert_eq!(loss.last_acknowledged, Micros(2_203_000));
        assert_eq!(loss.during, [FaultId(1)]);
        assert!(loss.beside.is_empty());
        assert_eq!(by_fault(&history, &lost, FaultId(1), &faults), Some(2));
        assert_eq!(by_fault(&history, &lost, FaultId(2), &faults), Some(0));
    }

    #[test]
    fn a_write_acknowledged_just_before_a_fault_is_lost_by_it() {
        let history = tape().history();
        let faults = [
            fault(1, "kill", &[1], 1_002_000, 1_500_000),
            fault(2, "kill", &[2], 4_900_000, 6_000_000),
        ];
        let lost = [OperationId(0)];
        let loss = of(&history, &lost, &faults).unwrap();
        let beside = Beside { fault: FaultId(1), before: true, distance: Micros(2_000) };
        assert_eq!((loss.during, loss.beside), (vec![], vec![beside]));
        assert_eq!(by_fault(&history, &lost, FaultId(1), &faults), Some(1));
        assert_eq!(by_fault(&history, &lost, FaultId(2), &faults), Some(0));
    }

    #[test]
    fn a_write_acknowledged_just_after_a_heal_is_lost_by_what_was_healed() {
        let history = tape().history();
        let faults = [
            fault(1, "partition", &[1], 1_500_000, 2_090_000),
            fault(2, "kill", &[2], 4_900_000, 6_000_000),
        ];
        let lost = [OperationId(1)];
        let beside = Beside { fault: FaultId(1), before: false, distance: Micros(10_000) };
        assert_eq!(of(&history, &lost, &faults).unwrap().beside, [beside]);
        assert_eq!(by_fault(&history, &lost, FaultId(1), &faults), Some(1));
    }

    #[test]
    fn without_lost_writes_there_is_no_loss_and_without_a_fault_nobody_to_blame() {
        let history = tape().history();
        assert_eq!(of(&history, &[], &[]), None);
        let loss = of(&history, &[OperationId(1)], &[]).unwrap();
        assert!(loss.during.is_empty() && loss.beside.is_empty());
    }

    #[test]
    fn a_workload_without_writes_to_lose_has_no_number_of_them() {
        let passed = Judgement {
            verdict: Verdict::Pass,
            ..Judgement::unknown("counter", "every sum is explained")
        };
        let history = |workload| Tape::new(workload, 3).history();
        assert_eq!(lost_writes(&history("counter"), std::slice::from_ref(&passed)), None);
        assert_eq!(lost_writes(&history("set"), &[passed]), Some(Vec::new()));
    }

    #[test]
    fn an_undecided_history_has_no_number_of_lost_writes() {
        let judgements = [Judgement::unknown("lost-write", "cut off")];
        assert_eq!(lost_writes(&tape().history(), &judgements), None);
    }
}
