//! A recorded run by name: its plan with the nodes that were really hit, at the times at which they
//! really were.
//!
//! Roles and conditions make a plan fit whatever the cluster does; to see once more what happened
//! then, each becomes the node that played the role and the time at which the condition held. The
//! parameters are rewritten in the form in which a suite writes them, so that a fault added later
//! takes part without a line here. What cannot be rewritten keeps its role, and that is said.

use std::collections::BTreeMap;

use serde_json::Value;
use splitbrain_reports::measure::schedule::Lived;
use splitbrain_reports::record::FaultId;
use splitbrain_workloads::operation::NodeId;

use super::again::{Again, begun, left_out, time};
use crate::nemesis::AnyFault;
use crate::suite::plan::{End, PlannedFault, PlannedRun, Start};
use crate::suite::units::Time;

/// The words for whom a fault is aimed at that mean one node or another as the cluster stands.
const ROLES: [&str; 3] = ["leader", "follower", "random"];

/// Rewrites a plan by what became of its faults.
pub fn by_name(plan: &PlannedRun, lived: &BTreeMap<FaultId, Lived>) -> Again {
    let mut faults = Vec::new();
    let mut notes = Vec::new();
    for fault in &plan.faults {
        let Some((lived, requested)) = begun(fault, lived) else {
            notes.push(left_out(fault));
            continue;
        };
        let named = named(&fault.fault, &lived.victims).unwrap_or_else(|| {
            notes.push(format!(
                "fault {} ({}, {}) keeps its role: its form has no names",
                fault.id.0,
                fault.fault.kind(),
                fault.fault.shape()
            ));
            fault.fault.clone()
        });
        if fault.follow.is_some() {
            notes.push(format!(
                "fault {} went after the leader and stays on its first victims",
                fault.id.0
            ));
        }
        let again = PlannedFault {
            id: fault.id,
            fault: named,
            start: Start::At(time(requested)),
            end: lived.lasted().map_or_else(
                || fault.end.clone(),
                |lasted| End::After(time(lasted).max(Time::from_millis(1)).min(plan.duration)),
            ),
            // Its observed time in force says it all.
            before: None,
            // What it was to leave untouched, it left untouched.
            keep: None,
            follow: None,
            otherwise: None,
            drawn: fault.drawn,
        };
        faults.push((requested, again));
    }
    Again::of(plan, faults, notes)
}

/// The fault aimed at these nodes; `None` when it means others by a form without names.
fn named(fault: &AnyFault, victims: &[NodeId]) -> Option<AnyFault> {
    let mut parameters = fault.parameters().ok()?;
    // The side that a leader is on is a list of nodes like any other half.
    if let Some(keys) = parameters.as_object_mut()
        && keys.remove("leader-side").is_some()
    {
        let side = victims.iter().map(|node| Value::String(node.to_string())).collect();
        keys.insert("halves".to_string(), Value::Array(side));
    }
    if !name_roles(&mut parameters, victims) {
        return None;
    }
    AnyFault::read(fault.kind(), parameters)?.ok()
}

/// Writes the victim's name where a role stands; false when there is no one name to write.
fn name_roles(value: &mut Value, victims: &[NodeId]) -> bool {
    match value {
        Value::String(word) if ROLES.contains(&word.as_str()) => match victims {
            [victim] => {
                *value = Value::String(victim.to_string());
                true
            }
            _ => false,
        },
        Value::Array(values) => values.iter_mut().all(|value| name_roles(value, victims)),
        Value::Object(keys) => keys.values_mut().all(|value| name_roles(value, victims)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::super::again::tests::{lived, planned, written};
    use super::*;

    #[test]
    fn every_role_becomes_the_node_that_played_it_and_every_condition_a_time() {
        let plan = planned(
            "  - kill: { node: leader, at: 1s, for: 1s }\n  \
             - partition: { isolate: follower, at: 3s, until: { acknowledged: 9 }, at_most: 2s }\n  \
             - partition: { leader-side: minority, scope: peers+clients, at: 6s, for: 1s }\n  \
             - partition: { one-way: { node: leader, direction: inbound }, at: 9s, for: 1s }\n  \
             - pause: { node: all, at: 12s, for: 500ms }\n",
        );
        let lived = BTreeMap::from([
            (FaultId(1), lived(1_000_400, 1_001_000, &[2])),
            (FaultId(2), lived(3_010_600, 312_000, &[3])),
            (FaultId(3), lived(6_000_000, 1_000_000, &[1])),
            (FaultId(4), lived(9_000_000, 1_000_000, &[3])),
            (FaultId(5), lived(12_000_000, 500_000, &[1, 2, 3])),
        ]);
        let Again { plan, were, notes } = by_name(&plan, &lived);
        assert_eq!(notes, Vec::<String>::new());
        assert_eq!(were, (1..=5).map(FaultId).collect::<Vec<_>>());
        insta::assert_snapshot!(written(&plan));
    }

    #[test]
    fn a_skipped_fault_is_left_out_and_the_order_is_that_of_what_happened() {
        let plan = planned(
            "  - kill: { node: leader, at: 1s, for: 1s }\n  \
             - pause: { node: leader, at: 2s, for: 1s }\n  \
             - kill: { node: n3, at: 3s, for: 1s }\n",
        );
        // The first waited for a leader until the third was over.
        let lived = BTreeMap::from([
            (FaultId(1), lived(4_500_000, 1_000_000, &[2])),
            (FaultId(2), Lived::default()),
            (FaultId(3), lived(3_000_000, 1_000_000, &[3])),
        ]);
        let Again { plan, were, notes } = by_name(&plan, &lived);
        assert_eq!(were, [FaultId(3), FaultId(1)]);
        assert_eq!(plan.faults[1].id, FaultId(2));
        assert_eq!(notes, ["fault 2 was not injected then and is left out"]);
    }
}
