//! Loss (RPO): acknowledged writes that are gone, and the window they span.
//!
//! Which writes are lost is for the checkers to say; this file gathers their culprits and lays
//! them over time and faults. The window is the classic recovery point: from the invocation of
//! the first lost write to the acknowledgement of the last.
//!
//! A lost write is laid at the door of the faults, request to heal, during which it was invoked.
//! One that was invoked outside any is laid at the door of the next fault to come: what a leader
//! acknowledged a moment before it was killed is lost by that kill.

use std::collections::BTreeSet;

use splitbrain_workloads::history::{History, Micros, OperationId};
use splitbrain_workloads::verdict::{AnomalyKind, Judgement, Verdict};

use super::Window;
use crate::record::{FaultId, FaultRecord};

/// Acknowledged writes that are lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// How many. At least the number of those that the checkers listed.
    pub count: u64,
    /// When the first of those listed was invoked.
    pub first_invoked: Micros,
    /// When the last of those listed was acknowledged.
    pub last_acknowledged: Micros,
    /// The faults, request to heal, during which one of them was invoked.
    pub during: Vec<FaultId>,
    /// The faults that were the next to come when one of them was invoked outside any.
    pub before: Vec<FaultId>,
}

/// The lost writes that the checkers listed, each once, in order of invocation. A checker lists
/// at most [`Judgement::ANOMALIES_MAX`]; [`total`] knows of the rest.
pub fn lost_writes(judgements: &[Judgement]) -> Vec<OperationId> {
    let anomalies = judgements.iter().flat_map(|judgement| &judgement.anomalies);
    let lost = anomalies.filter(|anomaly| anomaly.kind == AnomalyKind::LostWrite);
    let culprits: BTreeSet<OperationId> = lost.map(|anomaly| anomaly.culprit).collect();
    culprits.into_iter().collect()
}

/// How many writes are lost, listed or not. Two checkers may find the same writes, so it is the
/// most that one of them found.
pub fn total(judgements: &[Judgement]) -> u64 {
    let found =
        judgements.iter().filter_map(|judgement| judgement.found.get(&AnomalyKind::LostWrite));
    found.copied().max().unwrap_or(0)
}

/// Whether the checkers found more lost writes than they listed.
pub fn is_cut_short(judgements: &[Judgement]) -> bool {
    total(judgements) > lost_writes(judgements).len() as u64
}

/// Lays lost writes over time and faults. `None` when none of them is in the history.
pub fn of(
    history: &History,
    lost: &[OperationId],
    judgements: &[Judgement],
    faults: &[FaultRecord],
) -> Option<Loss> {
    let writes: Vec<_> =
        lost.iter().filter_map(|id| history.operations.get(id.0 as usize)).collect();
    let first_invoked = writes.iter().map(|write| write.invoked.at).min()?;
    let last_acknowledged = writes
        .iter()
        .map(|write| write.completed.map_or(write.invoked.at, |stamp| stamp.at))
        .max()?;
    let collect = |is_during| {
        let blamed = writes.iter().flat_map(|write| blamed(write.invoked.at, faults));
        let ids = blamed.filter(|(_, during)| *during == is_during).map(|(fault, _)| fault);
        ids.collect::<BTreeSet<FaultId>>().into_iter().collect()
    };
    let count = total(judgements).max(writes.len() as u64);
    let (during, before) = (collect(true), collect(false));
    Some(Loss { count, first_invoked, last_acknowledged, during, before })
}

/// How many of the listed lost writes are laid at the door of one of the faults of a run. `None`
/// when no checker decided, for then nobody knows that it is none, or when it was never begun.
pub fn by_fault(
    history: &History,
    judgements: &[Judgement],
    fault: FaultId,
    faults: &[FaultRecord],
) -> Option<u64> {
    if judgements.iter().all(|judgement| judgement.verdict == Verdict::Unknown) {
        return None;
    }
    faults.iter().find(|other| other.id == fault).and_then(Window::of_fault)?;
    let lost = lost_writes(judgements);
    let writes = lost.iter().filter_map(|id| history.operations.get(id.0 as usize));
    let blamed = writes.filter(|write| {
        blamed(write.invoked.at, faults).into_iter().any(|(blamed, _)| blamed == fault)
    });
    Some(blamed.count() as u64)
}

/// The faults that a write lost at a moment is laid to, and whether they were on at that moment.
fn blamed(at: Micros, faults: &[FaultRecord]) -> Vec<(FaultId, bool)> {
    let windows = faults.iter().filter_map(|fault| Some((fault.id, Window::of_fault(fault)?)));
    let windows: Vec<(FaultId, Window)> = windows.collect();
    let during: Vec<_> = windows
        .iter()
        .filter(|(_, window)| window.contains(at))
        .map(|(fault, _)| (*fault, true))
        .collect();
    if !during.is_empty() {
        return during;
    }
    let to_come = windows.iter().filter(|(_, window)| window.from > at);
    let next = to_come.min_by_key(|(_, window)| window.from);
    next.map(|(fault, _)| (*fault, false)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{Tape, fault, judgement, lost_write};

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
        let lost = [lost_write(1, "s/2"), lost_write(2, "s/3")];
        let judgements = [
            judgement("lost-writes", Verdict::Fail, "2 lost", &lost),
            judgement("linearizable", Verdict::Fail, "the same one", &lost[..1]),
        ];
        let faults = [
            fault(1, "partition", &[1], 2_000_000, 3_000_000),
            fault(2, "kill", &[2], 4_900_000, 6_000_000),
        ];
        let listed = lost_writes(&judgements);
        assert_eq!(listed, [OperationId(1), OperationId(2)]);
        let loss = of(&history, &listed, &judgements, &faults).unwrap();
        assert_eq!(loss.count, 2);
        assert_eq!(loss.first_invoked, Micros(2_100_000));
        assert_eq!(loss.last_acknowledged, Micros(2_203_000));
        assert_eq!(loss.during, [FaultId(1)]);
        assert!(loss.before.is_empty());
        assert_eq!(by_fault(&history, &judgements, FaultId(1), &faults), Some(2));
        assert_eq!(by_fault(&history, &judgements, FaultId(2), &faults), Some(0));
    }

    #[test]
    fn a_write_acknowledged_just_before_a_fault_is_lost_by_it() {
        let history = tape().history();
        let judgements = [judgement("lost-writes", Verdict::Fail, "", &[lost_write(0, "s/1")])];
        let faults = [
            fault(1, "kill", &[1], 1_002_000, 1_500_000),
            fault(2, "kill", &[2], 4_900_000, 6_000_000),
        ];
        let loss = of(&history, &lost_writes(&judgements), &judgements, &faults).unwrap();
        assert_eq!((loss.during, loss.before), (vec![], vec![FaultId(1)]));
        assert_eq!(by_fault(&history, &judgements, FaultId(1), &faults), Some(1));
        assert_eq!(by_fault(&history, &judgements, FaultId(2), &faults), Some(0));
    }

    #[test]
    fn what_a_checker_found_beyond_its_list_is_counted() {
        let mut judged = judgement("lost-writes", Verdict::Fail, "", &[lost_write(1, "s/2")]);
        judged.found.insert(AnomalyKind::LostWrite, 5_000);
        let judgements = [judged];
        let history = tape().history();
        let loss = of(&history, &lost_writes(&judgements), &judgements, &[]).unwrap();
        assert_eq!(loss.count, 5_000);
        assert!(is_cut_short(&judgements));
        assert!(loss.during.is_empty() && loss.before.is_empty());
    }

    #[test]
    fn an_undecided_history_has_no_number_of_lost_writes() {
        let judgements = [Judgement::unknown("lost-writes", "cut off")];
        let kill = fault(1, "kill", &[1], 2_000_000, 3_000_000);
        assert_eq!(
            by_fault(&tape().history(), &judgements, FaultId(1), std::slice::from_ref(&kill)),
            None
        );
        assert_eq!(of(&tape().history(), &[], &judgements, &[kill]), None);
    }
}
