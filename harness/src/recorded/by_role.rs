//! A recorded run by role: its plan at the times at which its faults really began, on whoever plays
//! the role now.
//!
//! A fault that waited for a leader then begins now when it began then, instead of waiting anew:
//! otherwise two runs of one plan drift apart by their elections. If nobody plays the role at that
//! moment, whoever was hit then is hit, so that no fault is late or lost for want of a leader.
//! Conditions stay conditions, since they are what the plan says of their faults' times.

use std::collections::BTreeMap;

use splitbrain_reports::measure::schedule::Lived;
use splitbrain_reports::record::FaultId;
use splitbrain_workloads::operation::NodeId;

use super::again::{Again, begun, left_out, time};
use crate::nemesis::Selector;
use crate::suite::plan::{PlannedFault, PlannedRun, Start};

/// Rewrites a plan by what became of its faults. A plan of which nothing is recorded stays as it
/// is: a folder without events can be run again, too.
pub fn by_role(plan: &PlannedRun, lived: &BTreeMap<FaultId, Lived>) -> Again {
    if lived.is_empty() {
        let were = plan.faults.iter().map(|fault| fault.id).collect();
        return Again { plan: plan.clone(), were, notes: Vec::new() };
    }
    let mut faults = Vec::new();
    let mut notes = Vec::new();
    for fault in &plan.faults {
        let Some((lived, requested)) = begun(fault, lived) else {
            notes.push(left_out(fault));
            continue;
        };
        let mut again = fault.clone();
        if let Start::At(at) = &mut again.start {
            *at = time(requested);
            again.otherwise = stand_in(fault, &lived.victims);
            // It began before that moment, and what is to be healed by then begins as early now.
            again.before = None;
        }
        faults.push((requested, again));
    }
    Again::of(plan, faults, notes)
}

/// Who is hit when nobody plays the role of a fault.
fn stand_in(fault: &PlannedFault, victims: &[NodeId]) -> Option<NodeId> {
    match (fault.fault.aimed_at(), victims) {
        (Some(Selector::Leader | Selector::Follower), [victim]) => Some(*victim),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::again::tests::{lived, planned, written};
    use super::*;

    #[test]
    fn every_fault_keeps_its_role_and_takes_the_time_and_the_order_of_what_happened() {
        let plan = planned(
            "  - kill: { node: leader, at: 1s, for: 1s }\n  \
             - partition: { isolate: follower, at: 3s, before: 5s, for: 1s }\n  \
             - pause: { node: leader, at: 3s, for: 1s }\n  \
             - kill: { node: n3, at: 9s, when: { acknowledged: 9 }, at_most: 2s, for: 1s }\n",
        );
        let lived = BTreeMap::from([
            (FaultId(1), lived(1_400_400, 1_000_000, &[2])),
            (FaultId(2), lived(3_000_900, 1_000_000, &[3])),
            (FaultId(3), lived(3_000_700, 1_000_000, &[1])),
            (FaultId(4), lived(9_300_000, 1_000_000, &[3])),
        ]);
        let Again { plan, were, notes } = by_role(&plan, &lived);
        assert_eq!(notes, Vec::<String>::new());
        assert_eq!(were, [1, 3, 2, 4].map(FaultId));
        assert!(plan.in_order);
        insta::assert_snapshot!(written(&plan));
    }

    #[test]
    fn a_plan_of_which_nothing_is_recorded_stays_as_it_is() {
        let plan = planned("  - kill: { node: leader, at: 1s, for: 1s }\n");
        assert_eq!(by_role(&plan, &BTreeMap::new()).plan, plan);
    }
}
