//! Coverage of faults: which of them took effect, on whom, and what the cluster was doing then.
//!
//! Definition: a fault counts when its effect was seen. Its moment is that of its request, when
//! nothing of it had happened yet. A victim's role is what the last sample before said. The
//! cluster was *electing* when no node said that it leads or some node stood for election, under
//! *another fault* when one with a seen effect was in force, and *recovering* when one had been
//! healed and some node had not yet served its clients again (`recovery.rs`); it was *steady* when
//! none of these. A fault counts in every state that held, and once for every role that its
//! victims had. Between two samples the last one stands, so a role may lag by one interval.
//!
//! The records must have been filled by [`RunMeasures::fill`](super::RunMeasures::fill), or
//! nothing is ever recovering.

use std::collections::{BTreeMap, BTreeSet};

use splitbrain_workloads::history::Micros;

use super::cluster::{Cluster, NodeState};
use crate::record::{
    ClusterState, CoverageCell, CoverageRecord, Effect, EventRecord, FaultRecord, VictimRole,
};

/// A fault that took effect, and the circumstances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Its kind.
    pub fault: String,
    /// Its form; empty for a kind of one form.
    pub form: String,
    /// What its victims were.
    pub victims: BTreeSet<VictimRole>,
    /// What the cluster was doing.
    pub cluster: BTreeSet<ClusterState>,
}

/// Every fault of a run that took effect.
pub fn hits(nodes: u16, events: &[EventRecord], faults: &[FaultRecord]) -> Vec<Hit> {
    // Roles alone: a node that is cut off still plays one.
    let cluster = Cluster::of(nodes, events, &[]);
    let hit = |fault: &FaultRecord| {
        let requested = fault.requested.filter(|_| matches!(fault.effect, Effect::Seen(_)))?;
        // What stands at the same microsecond may be the fault's own work.
        let at = Micros(requested.0.saturating_sub(1));
        Some(Hit {
            fault: fault.kind.clone(),
            form: fault.form.clone(),
            victims: fault.victims.iter().map(|node| role(cluster.at(*node, at))).collect(),
            cluster: states(&cluster, faults, fault, at),
        })
    };
    faults.iter().filter_map(hit).collect()
}

/// The matrix of a run, by kind and form.
pub fn matrix(faults: &[FaultRecord], hits: &[Hit]) -> Vec<CoverageRecord> {
    let mut planned: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for fault in faults {
        *planned.entry((&fault.kind, &fault.form)).or_default() += 1;
    }
    let record = |((kind, form), planned): ((&str, &str), u64)| {
        let of_it = || hits.iter().filter(|hit| hit.fault == kind && hit.form == form);
        let cells = VictimRole::ALL
            .into_iter()
            .flat_map(|victim| ClusterState::ALL.into_iter().map(move |cluster| (victim, cluster)));
        let cell = |(victim, cluster)| CoverageCell {
            victim,
            cluster,
            count: of_it()
                .filter(|hit| hit.victims.contains(&victim) && hit.cluster.contains(&cluster))
                .count() as u64,
        };
        CoverageRecord {
            fault: kind.to_string(),
            form: form.to_string(),
            planned,
            seen: of_it().count() as u64,
            cells: cells.map(cell).collect(),
        }
    };
    planned.into_iter().map(record).collect()
}

/// The matrix over several runs.
pub fn sum<'a>(runs: impl IntoIterator<Item = &'a [CoverageRecord]>) -> Vec<CoverageRecord> {
    let mut sum: BTreeMap<(String, String), CoverageRecord> = BTreeMap::new();
    for record in runs.into_iter().flatten() {
        let key = (record.fault.clone(), record.form.clone());
        let Some(known) = sum.get_mut(&key) else {
            sum.insert(key, record.clone());
            continue;
        };
        known.planned += record.planned;
        known.seen += record.seen;
        for cell in &record.cells {
            let same = |known: &&mut CoverageCell| {
                known.victim == cell.victim && known.cluster == cell.cluster
            };
            match known.cells.iter_mut().find(same) {
                Some(known) => known.count += cell.count,
                None => known.cells.push(cell.clone()),
            }
        }
    }
    sum.into_values().collect()
}

fn role(state: NodeState) -> VictimRole {
    match state {
        NodeState::Leader | NodeState::CutOffLeader => VictimRole::Leader,
        NodeState::Follower => VictimRole::Follower,
        NodeState::Candidate => VictimRole::Candidate,
        NodeState::Unknown
        | NodeState::Down
        | NodeState::Paused
        | NodeState::Silent
        | NodeState::CutOff => VictimRole::Silent,
    }
}

fn states(
    cluster: &Cluster,
    faults: &[FaultRecord],
    own: &FaultRecord,
    at: Micros,
) -> BTreeSet<ClusterState> {
    let bit = |fault: &&FaultRecord| {
        fault.id != own.id && matches!(fault.effect, Effect::Seen(_)) && fault.in_force.is_some()
    };
    let others = || faults.iter().filter(bit);
    let mut states = BTreeSet::new();
    let stands = |node| cluster.at(node, at) == NodeState::Candidate;
    if cluster.leaders(at).is_empty() || cluster.nodes().any(stands) {
        states.insert(ClusterState::Electing);
    }
    if others().any(|fault| {
        fault.in_force.is_some_and(|from| from <= at) && fault.healed.is_none_or(|to| at < to)
    }) {
        states.insert(ClusterState::OtherFault);
    }
    if others().any(|fault| {
        let served = fault.healed.zip(fault.recovered_after);
        served.is_some_and(|(healed, after)| healed <= at && at.0 < healed.0 + after.0)
    }) {
        states.insert(ClusterState::Recovering);
    }
    if states.is_empty() {
        states.insert(ClusterState::Steady);
    }
    states
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Role;
    use crate::samples::{Events, fault};

    fn events() -> Events {
        let mut events = Events::default();
        for node in 1..=3 {
            events.started(0, node);
        }
        events.role(10, 1, Role::Leader).role(10, 2, Role::Follower).role(10, 3, Role::Follower);
        events
    }

    fn only(fault: &str, victim: VictimRole, cluster: &[ClusterState]) -> Hit {
        Hit {
            fault: fault.into(),
            form: String::new(),
            victims: [victim].into(),
            cluster: cluster.iter().copied().collect(),
        }
    }

    #[test]
    fn a_fault_counts_by_what_was_true_just_before_it() {
        let mut events = events();
        // The first kill takes the leader away; the second falls into the election.
        events.exited(1_000, 1).role(1_500, 2, Role::Candidate).role(2_500, 2, Role::Leader);
        let faults = [
            fault(1, "kill", &[1], 1_000, 9_000),
            fault(2, "pause", &[3], 2_000, 2_200),
            fault(3, "pause", &[2], 3_000, 3_100),
        ];
        use ClusterState::{Electing, OtherFault, Steady};
        assert_eq!(
            hits(3, &events.records(), &faults),
            [
                only("kill", VictimRole::Leader, &[Steady]),
                only("pause", VictimRole::Follower, &[Electing, OtherFault]),
                only("pause", VictimRole::Leader, &[OtherFault]),
            ]
        );
    }

    #[test]
    fn until_every_node_has_served_again_the_cluster_recovers() {
        let mut first = fault(1, "kill", &[3], 1_000, 2_000);
        first.recovered_after = Some(Micros(500));
        let at = |us| [first.clone(), fault(2, "kill", &[2], us, us + 10)];
        let state = |us| hits(3, &events().records(), &at(us)).pop().unwrap().cluster;
        assert_eq!(state(2_500), [ClusterState::Recovering].into());
        assert_eq!(state(2_501), [ClusterState::Steady].into());
    }

    #[test]
    fn what_had_no_effect_does_not_count_and_what_never_happened_is_there_with_zero() {
        let mut without = fault(1, "kill", &[1], 1_000, 2_000);
        without.effect = Effect::None("no new process".into());
        let faults = [without, fault(2, "kill", &[1], 5_000, 6_000)];
        let matrix = matrix(&faults, &hits(3, &events().records(), &faults));
        let [kills] = &matrix[..] else { panic!("{matrix:?}") };
        assert_eq!((kills.planned, kills.seen, kills.cells.len()), (2, 1, 16));
        let counted: Vec<_> = kills.cells.iter().filter(|cell| cell.count > 0).collect();
        let [cell] = &counted[..] else { panic!("{counted:?}") };
        assert_eq!((cell.victim, cell.cluster), (VictimRole::Leader, ClusterState::Steady));

        let twice = sum([&matrix[..], &matrix[..]]);
        assert_eq!((twice[0].planned, twice[0].seen), (4, 2));
        assert_eq!(twice[0].cells[0].count, 2);
    }
}
