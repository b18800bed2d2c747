//! Smaller plans from a plan: fewer faults, closer together, a shorter load, fewer clients, keys
//! and operations. Pure; each returns a plan that a suite could hold.

use serde_json::Value;
use splitbrain_reports::record::FaultId;
use splitbrain_workloads::workload::WorkloadSpec;

use crate::suite::limits;
use crate::suite::plan::{End, PlannedFault, PlannedRun, Start};
use crate::suite::units::{Rate, Time};

/// What is left between two faults that are moved together: time for an election and for writes
/// that the second can lose.
const GAP: Time = Time::from_secs(1);

/// How long a fault that begins last must have at least before the load ends.
const LEAST_IN_FORCE: Time = Time::from_millis(200);

/// The plan with some of its faults.
pub fn keep(plan: &PlannedRun, faults: &[FaultId]) -> PlannedRun {
    let kept = plan.faults.iter().filter(|fault| faults.contains(&fault.id)).cloned();
    PlannedRun { faults: kept.collect(), ..plan.clone() }
}

/// The plan with its load ended soon after the last fault is over.
pub fn without_tail(plan: &PlannedRun) -> PlannedRun {
    let over = plan.faults.iter().map(over).max().unwrap_or(Time::ZERO);
    let duration = over.max(limits::LEAD_IN).plus(limits::TAIL);
    lasting(plan, duration.max(shortest(plan)).min(plan.duration))
}

/// The plan with the first fault soon after the start and the quiet between faults shortened.
/// Faults that overlap go on overlapping as they do.
pub fn closer(plan: &PlannedRun) -> PlannedRun {
    let mut faults = plan.faults.clone();
    faults.sort_by_key(|fault| fault.start.earliest());
    // Up to where the faults before reach; before the first there is the lead-in alone.
    let (mut reach, mut gap) = (Time::ZERO, limits::LEAD_IN);
    let mut shift = Time::ZERO;
    for fault in &mut faults {
        let start = fault.start.earliest();
        shift = shift.plus(start.minus(reach).minus(gap));
        reach = reach.max(over(fault));
        gap = GAP;
        match &mut fault.start {
            Start::At(at) => *at = at.minus(shift),
            Start::When { from, .. } => *from = from.minus(shift),
        }
    }
    without_tail(&PlannedRun { faults, ..plan.clone() })
}

/// The plan with a load of this length; what would be in force longer is cut to it.
pub fn lasting(plan: &PlannedRun, duration: Time) -> PlannedRun {
    let mut plan = PlannedRun { duration, ..plan.clone() };
    for fault in &mut plan.faults {
        if let Start::When { at_most, .. } = &mut fault.start {
            *at_most = duration.min(*at_most);
        }
        match &mut fault.end {
            End::After(time) => *time = duration.min(*time),
            End::Until { at_most, .. } => *at_most = duration.min(*at_most),
        }
    }
    plan
}

/// The shortest load that every fault of a plan can begin in.
pub fn shortest(plan: &PlannedRun) -> Time {
    let least = |fault: &PlannedFault| {
        let turns = fault.fault.shortest(plan.target.nodes);
        fault.start.earliest().plus(LEAST_IN_FORCE.max(turns))
    };
    let last = plan.faults.iter().map(least).max().unwrap_or(Time::ZERO);
    last.max(limits::DURATION_MIN).max(plan.timeout)
}

/// The plan with so many clients.
pub fn with_clients(plan: &PlannedRun, clients: u16) -> PlannedRun {
    PlannedRun { clients, ..plan.clone() }
}

/// The plan with so many operations a second.
pub fn with_rate(plan: &PlannedRun, rate: u32) -> PlannedRun {
    PlannedRun { rate: Rate::PerSecond(rate), ..plan.clone() }
}

/// How many keys the workload of a plan has, if it has keys.
pub fn keys(plan: &PlannedRun) -> Option<u64> {
    let mut workload = serde_json::to_value(&plan.workload).ok()?;
    keys_in(&mut workload)?.as_u64()
}

/// The plan with so many keys; `None` for a workload without keys.
pub fn with_keys(plan: &PlannedRun, keys: u64) -> Option<PlannedRun> {
    let mut workload = serde_json::to_value(&plan.workload).ok()?;
    *keys_in(&mut workload)? = Value::from(keys);
    let workload: WorkloadSpec = serde_json::from_value(workload).ok()?;
    Some(PlannedRun { workload, ..plan.clone() })
}

/// The key `keys` of whatever workload: in the form of a suite they all have it by that name.
fn keys_in(workload: &mut Value) -> Option<&mut Value> {
    workload.as_object_mut()?.values_mut().next()?.get_mut("keys")
}

/// The plan as it is written and run: faults in the order of their times, numbered from one.
pub fn numbered(plan: &PlannedRun) -> PlannedRun {
    let mut plan = plan.clone();
    plan.faults.sort_by_key(|fault| fault.start.earliest());
    for (number, fault) in (1..).zip(&mut plan.faults) {
        fault.id = FaultId(number);
    }
    plan
}

/// The latest time at which a fault is over.
fn over(fault: &PlannedFault) -> Time {
    let begins = match &fault.start {
        Start::At(at) => *at,
        Start::When { from, at_most, .. } => from.plus(*at_most),
    };
    match &fault.end {
        End::After(time) => begins.plus(*time),
        End::Until { at_most, .. } => begins.plus(*at_most),
    }
}
