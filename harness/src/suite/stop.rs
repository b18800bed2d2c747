//! When a run ends: when its load is over, or as soon as something is proven.
//!
//! At the end by default, also where a violation is no surprise: how much is lost, for how long and
//! how the store comes back is measured on the whole of a run. Whoever looks for a violation, and not
//! for its measure, saves the rest of the time. What is said here is carried out by `run::stop`.

use serde::{Deserialize, Serialize};
use splitbrain_reports::record::Expectation;
use splitbrain_workloads::verdict::AnomalyKind;

/// When a run ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// When its load is over.
    #[default]
    AtEnd,
    /// As soon as it cannot meet its expectation any more, or has met it: with any violation where
    /// every checker must pass, else with the one that is expected.
    OnViolation,
    /// As soon as this anomaly is proven.
    Proven(AnomalyKind),
}

/// What must be proven for a run to be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Of this kind; `None` is of any.
    pub kind: Option<AnomalyKind>,
    /// It must have begun after a fault was in force, as that of a canary must.
    pub after_effect: bool,
}

impl Stop {
    pub(super) fn is_default(&self) -> bool {
        *self == Stop::default()
    }

    /// What a run ends with that is looked for because of this anomaly alone: its proof, where it can
    /// be had before the end.
    pub fn once_proven(kind: AnomalyKind) -> Stop {
        match shows_early(kind) {
            true => Stop::Proven(kind),
            false => Stop::AtEnd,
        }
    }

    /// What a run with this expectation waits for; `None` if it goes on to its end.
    pub fn wanted(self, expect: &Expectation) -> Option<Wanted> {
        let after_effect = matches!(expect, Expectation::Fail(_));
        match self {
            Stop::AtEnd => None,
            Stop::OnViolation if !expect.anomaly().is_none_or(shows_early) => None,
            Stop::OnViolation => Some(Wanted { kind: expect.anomaly(), after_effect }),
            Stop::Proven(kind) => {
                let is_expected = expect.anomaly() == Some(kind);
                Some(Wanted { kind: Some(kind), after_effect: after_effect && is_expected })
            }
        }
    }
}

/// Whether an anomaly can be known by its name before what is left is read. What looks lost until then
/// may turn out to have been late.
pub fn shows_early(kind: AnomalyKind) -> bool {
    !matches!(kind, AnomalyKind::LostWrite | AnomalyKind::Divergence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_waits_for_what_decides_it() {
        let stale = AnomalyKind::StaleRead;
        let any = Wanted { kind: None, after_effect: false };
        let of = |kind, after_effect| Some(Wanted { kind: Some(kind), after_effect });
        assert_eq!(Stop::AtEnd.wanted(&Expectation::Pass), None);
        assert_eq!(Stop::OnViolation.wanted(&Expectation::Pass), Some(any));
        assert_eq!(Stop::OnViolation.wanted(&Expectation::Fail(stale)), of(stale, true));
        let calm = Expectation::FailWithoutFaults(stale);
        assert_eq!(Stop::OnViolation.wanted(&calm), of(stale, false));
        assert_eq!(Stop::Proven(stale).wanted(&Expectation::Pass), of(stale, false));
        assert_eq!(Stop::Proven(stale).wanted(&Expectation::Fail(stale)), of(stale, true));
        let dirty = AnomalyKind::G0;
        assert_eq!(Stop::Proven(dirty).wanted(&Expectation::Fail(stale)), of(dirty, false));
    }

    #[test]
    fn a_run_that_waits_for_a_lost_write_goes_to_its_end() {
        let lost = AnomalyKind::LostWrite;
        assert_eq!(Stop::OnViolation.wanted(&Expectation::Fail(lost)), None);
        assert_eq!(Stop::once_proven(lost), Stop::AtEnd);
        let stale = AnomalyKind::StaleRead;
        assert_eq!(Stop::once_proven(stale), Stop::Proven(stale));
    }
}
