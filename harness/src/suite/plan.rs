//! The plan of a run: everything that chance or a default decides, decided. What stays open is who
//! plays a role when it is time, and when a condition holds.

use splitbrain_reports::record::{Expectation, FaultId, Part};
use splitbrain_workloads::seed::Seed;
use splitbrain_workloads::workload::WorkloadSpec;

use super::gates::Gates;
use super::schedule::Condition;
use super::target::TargetSpec;
use super::units::{Rate, Time};
use crate::nemesis::AnyFault;

/// A run with nothing left to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRun {
    /// Its name, unique among the planned runs of a suite; also its folder.
    pub name: String,
    /// Whether it stands for itself or supports a canary.
    pub part: Part,
    /// What is broken, every setting given.
    pub target: TargetSpec,
    /// What the clients do.
    pub workload: WorkloadSpec,
    /// How many clients.
    pub clients: u16,
    /// How many operations they are asked for.
    pub rate: Rate,
    /// How long clients and faults are at work.
    pub duration: Time,
    /// When an operation is given up.
    pub timeout: Time,
    /// The root of its randomness; a control has its canary's.
    pub seed: Seed,
    /// The faults by number, which is by the time from which they may begin.
    pub faults: Vec<PlannedFault>,
    /// Rules on measures.
    pub gates: Gates,
    /// What the verdict must be.
    pub expect: Expectation,
    /// For a canary: the target of its control.
    pub control: Option<TargetSpec>,
}

/// A fault with its time or condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedFault {
    /// Its number in the plan, from one.
    pub id: FaultId,
    /// What is broken, everything drawn.
    pub fault: AnyFault,
    /// When it begins.
    pub start: Start,
    /// When it is healed.
    pub end: End,
}

/// When a fault begins, in time from the start of the load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At this time.
    At(Time),
    /// As soon as the condition holds.
    When {
        /// What must hold.
        condition: Condition,
        /// Not before this time.
        from: Time,
        /// How long it is waited for from then on, before the fault is skipped.
        at_most: Time,
    },
}

/// When a fault is healed, in time since it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// After so long.
    After(Time),
    /// As soon as the condition holds.
    Until {
        /// What must hold.
        condition: Condition,
        /// After so long even if it does not.
        at_most: Time,
    },
}
