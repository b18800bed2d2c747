//! The plan of a recorded run, made to be run again: what the two ways of doing that share.
//!
//! What happened then is what is to happen again: faults that did not begin are left out, the others
//! begin at the times at which they really began, in the order in which they did. Called by
//! `by_role` and `by_name`.

use std::collections::BTreeMap;

use splitbrain_reports::measure::schedule::Lived;
use splitbrain_reports::record::FaultId;
use splitbrain_workloads::history::Micros;

use crate::suite::plan::{PlannedFault, PlannedRun};
use crate::suite::units::Time;

/// A plan of before, to be run again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Again {
    /// The plan; its faults are numbered anew.
    pub plan: PlannedRun,
    /// For each fault of it, in order, the number that it had.
    pub were: Vec<FaultId>,
    /// What is not as it was, one line each.
    pub notes: Vec<String>,
}

impl Again {
    /// These faults instead of the plan's, each with the moment at which it began then.
    pub(super) fn of(
        plan: &PlannedRun,
        mut faults: Vec<(Micros, PlannedFault)>,
        notes: Vec<String>,
    ) -> Again {
        // By microseconds: two of one millisecond keep their order, too.
        faults.sort_by_key(|(began, _)| *began);
        let mut faults: Vec<PlannedFault> = faults.into_iter().map(|(_, fault)| fault).collect();
        let were = faults.iter().map(|fault| fault.id).collect();
        for (number, fault) in (1..).zip(&mut faults) {
            fault.id = FaultId(number);
        }
        Again { plan: PlannedRun { faults, in_order: true, ..plan.clone() }, were, notes }
    }
}

/// What became of a fault and when it began; `None` when it did not begin.
pub(super) fn begun<'l>(
    fault: &PlannedFault,
    lived: &'l BTreeMap<FaultId, Lived>,
) -> Option<(&'l Lived, Micros)> {
    lived.get(&fault.id).and_then(|lived| Some((lived, lived.requested?)))
}

/// The note on a fault that did not begin.
pub(super) fn left_out(fault: &PlannedFault) -> String {
    format!("fault {} was not injected then and is left out", fault.id.0)
}

/// To the nearest millisecond, which is what a plan can say.
pub(super) fn time(length: Micros) -> Time {
    Time::from_millis(u32::try_from((length.0 + 500) / 1000).unwrap_or(u32::MAX))
}

#[cfg(test)]
pub(super) mod tests {
    use splitbrain_workloads::operation::NodeId;
    use splitbrain_workloads::seed::Seed;

    use super::*;
    use crate::suite::tests::kinds;
    use crate::suite::{self, plan};

    pub(crate) fn planned(faults: &str) -> PlannedRun {
        let text = format!(
            "suite: s\ntarget: store\nruns:\n- name: a\n  workload: set\n  faults:\n{faults}"
        );
        let suite = suite::parse("s.yaml", &text, &kinds()).unwrap_or_else(|e| panic!("{e}"));
        plan::expand(&suite, &kinds(), Seed(1), None).unwrap().remove(0)
    }

    pub(crate) fn lived(requested: u64, lasted: u64, victims: &[u16]) -> Lived {
        Lived {
            requested: Some(Micros(requested)),
            in_force: Some(Micros(requested + 700)),
            heal_requested: Some(Micros(requested + 700 + lasted)),
            victims: victims.iter().copied().map(NodeId).collect(),
        }
    }

    pub(crate) fn written(plan: &PlannedRun) -> String {
        let text = suite::write(&plan.to_suite("s"), &[]);
        text.split_once("faults:\n").unwrap().1.to_string()
    }
}
