//! Coverage: which faults took effect, on whom, and what the cluster was doing then. How it is
//! counted stands in `measure/fault_coverage.rs`; suites require it with the words given here.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The faults of one kind and form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoverageRecord {
    /// The kind, such as `partition`.
    pub fault: String,
    /// The form, such as `isolate`; empty for a kind of one form.
    pub form: String,
    /// How many were planned.
    pub planned: u64,
    /// How many took effect.
    pub seen: u64,
    /// Those that took effect, by role and state; what never happened is there with zero. A fault
    /// counts in every cell that was true of it, so the cells add up to more than `seen`.
    pub cells: Vec<CoverageCell>,
}

/// One cell of the matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoverageCell {
    /// What a victim was when the fault was requested.
    pub victim: VictimRole,
    /// What the cluster was doing then.
    pub cluster: ClusterState,
    /// How many faults.
    pub count: u64,
}

/// What the victim of a fault was at the moment of its injection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VictimRole {
    /// It said that it leads.
    Leader,
    /// It followed.
    Follower,
    /// It stood for election.
    Candidate,
    /// It did not answer the sampler.
    Silent,
}

impl VictimRole {
    /// Every role, in the order of reports.
    pub const ALL: [VictimRole; 4] =
        [VictimRole::Leader, VictimRole::Follower, VictimRole::Candidate, VictimRole::Silent];
}

impl fmt::Display for VictimRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            VictimRole::Leader => "leader",
            VictimRole::Follower => "follower",
            VictimRole::Candidate => "candidate",
            VictimRole::Silent => "silent",
        })
    }
}

/// What the cluster was doing at the moment of a fault's injection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClusterState {
    /// None of the others.
    Steady,
    /// Nobody said that it leads, or somebody stood for election.
    Electing,
    /// Another fault was in force.
    OtherFault,
    /// An earlier fault was healed, and some node had not served its clients since.
    Recovering,
}

impl ClusterState {
    /// Every state, in the order of reports.
    pub const ALL: [ClusterState; 4] = [
        ClusterState::Steady,
        ClusterState::Electing,
        ClusterState::OtherFault,
        ClusterState::Recovering,
    ];
}

impl fmt::Display for ClusterState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ClusterState::Steady => "steady",
            ClusterState::Electing => "electing",
            ClusterState::OtherFault => "other-fault",
            ClusterState::Recovering => "recovering",
        })
    }
}
