//! Which of the anomalies of a run stands for all of them: it is drawn, judged again, named to CI,
//! and looked for by `repro` and `shrink`. One place decides, so that all of them mean the same.
//!
//! It is of the kind that was expected, if that was found; else a lost write, which is the worst that
//! can be found and often comes with stale reads of the same key; else what the first checker lists
//! first, which is its clearest.

use splitbrain_workloads::verdict::{Anomaly, AnomalyKind, Judgement};

/// The anomaly that stands for all, and whose it is.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// Of the checker that found it.
    pub judgement: &'a Judgement,
    /// The clearest of its kind.
    pub anomaly: &'a Anomaly,
}

/// Chooses it; `None` when nothing was found.
pub fn shown(judgements: &[Judgement], expected: Option<AnomalyKind>) -> Option<Shown<'_>> {
    let all = || {
        judgements.iter().flat_map(|judgement| {
            judgement.anomalies.iter().map(move |anomaly| Shown { judgement, anomaly })
        })
    };
    let of = |kind| all().find(|shown| shown.anomaly.kind == kind);
    expected.and_then(of).or_else(|| of(AnomalyKind::LostWrite)).or_else(|| all().next())
}

/// All anomalies that checkers list, those of the kind that is shown first.
pub fn listed(judgements: &[Judgement], expected: Option<AnomalyKind>) -> Vec<&Anomaly> {
    let mut listed: Vec<&Anomaly> =
        judgements.iter().flat_map(|judgement| &judgement.anomalies).collect();
    if let Some(shown) = shown(judgements, expected) {
        listed.sort_by_key(|anomaly| anomaly.kind != shown.anomaly.kind);
    }
    listed
}

#[cfg(test)]
mod tests {
    use splitbrain_workloads::history::OperationId;
    use splitbrain_workloads::verdict::Verdict;

    use super::*;
    use crate::samples::{judgement, lost_write};

    #[test]
    fn what_was_expected_is_shown_before_a_lost_write_and_that_before_anything_else() {
        let stale = Anomaly { kind: AnomalyKind::StaleRead, ..lost_write(1, "x") };
        let fork = Anomaly { kind: AnomalyKind::FlipFlop, ..lost_write(2, "x") };
        let judgements = [
            judgement("linearizable", Verdict::Fail, "", &[fork, stale]),
            judgement("lost-write", Verdict::Fail, "", &[lost_write(3, "x")]),
        ];
        let culprit = |judgements: &[Judgement], expected| {
            shown(judgements, expected).map(|shown| shown.anomaly.culprit)
        };
        assert_eq!(culprit(&judgements, Some(AnomalyKind::StaleRead)), Some(OperationId(1)));
        assert_eq!(culprit(&judgements, Some(AnomalyKind::Phantom)), Some(OperationId(3)));
        assert_eq!(culprit(&judgements, None), Some(OperationId(3)));
        assert_eq!(culprit(&judgements[..1], None), Some(OperationId(2)));
        assert_eq!(culprit(&[], None), None);
        assert_eq!(listed(&judgements, None)[0].culprit, OperationId(3));
    }
}
