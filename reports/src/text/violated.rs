//! A violation in one sentence: how much is wrong, one operation that shows it, when that began and
//! under which fault. It is the reason of a result, so it stands in the head of a report, in
//! `summary.json` and in JUnit; the proof of it is drawn by `lanes`.

use splitbrain_workloads::history::History;
use splitbrain_workloads::verdict::{AnomalyKind, Judgement};

use super::{faults, lanes, words};
use crate::measure::shown::shown;
use crate::record::FaultRecord;
use crate::units;

/// Says what checkers found wrong, such as "255 lost writes and 1 stale read, such as write r1=7 at
/// n3 at 2.786 s, 20 ms into fault 2 (partition of the leader n3)". The operation is that of the
/// counterexample.
///
/// Empty when nothing was found.
pub fn violated(
    history: &History,
    judgements: &[Judgement],
    expected: Option<AnomalyKind>,
    faults: &[FaultRecord],
) -> String {
    let found = words::found(judgements);
    let total: u64 = found.values().sum();
    let text = words::all(&found);
    let culprit = shown(judgements, expected)
        .and_then(|shown| history.operations.get(shown.anomaly.culprit.0 as usize));
    let Some(culprit) = culprit else { return text };
    let such = if total > 1 { ", such as" } else { ":" };
    let node = culprit.node.map(|node| format!(" at {node}")).unwrap_or_default();
    format!(
        "{text}{such} {}{node} at {}, {}",
        lanes::asked(culprit),
        units::moment(culprit.invoked.at),
        faults::beside(faults, culprit.invoked.at)
    )
}

#[cfg(test)]
mod tests {
    use splitbrain_workloads::verdict::Verdict;

    use super::*;
    use crate::samples::{Tape, fault, judgement, lost_write};

    fn told(faults: &[FaultRecord], culprits: &[u32]) -> String {
        let mut tape = Tape::new("set", 3);
        tape.write(2, 3, "s/1", 1, 2_786_000, 2_789_000);
        tape.write(2, 3, "s/2", 2, 2_795_000, 2_799_000);
        let lost: Vec<_> = culprits.iter().map(|culprit| lost_write(*culprit, "s/")).collect();
        let judgements = [judgement("lost-write", Verdict::Fail, "", &lost)];
        violated(&tape.history(), &judgements, None, faults)
    }

    #[test]
    fn a_violation_is_told_with_its_moment_and_the_fault_nearest_to_it() {
        let before = fault(1, "kill", &[1], 1_000_000, 1_786_000);
        let during = fault(2, "partition", &[3], 2_766_000, 3_000_000);
        let after = fault(3, "pause", &[2], 2_793_800, 4_000_000);
        insta::assert_snapshot!(
            told(&[before.clone(), during], &[0, 1]),
            @"2 lost writes, such as write s/1=1 at n3 at 2.786 s, 20 ms into fault 2 (partition of the leader n3)"
        );
        insta::assert_snapshot!(
            told(&[before.clone(), after], &[0]),
            @"1 lost write: write s/1=1 at n3 at 2.786 s, 7.8 ms before fault 3 (pause of the leader n2)"
        );
        insta::assert_snapshot!(
            told(&[before], &[0]),
            @"1 lost write: write s/1=1 at n3 at 2.786 s, 1.00 s after the heal of fault 1 (kill of the leader n1)"
        );
        insta::assert_snapshot!(
            told(&[], &[0]),
            @"1 lost write: write s/1=1 at n3 at 2.786 s, without any fault"
        );
    }

    #[test]
    fn where_nothing_is_listed_there_is_no_example() {
        assert_eq!(told(&[], &[]), "");
        assert_eq!(told(&[], &[7]), "1 lost write", "no such operation");
    }
}
