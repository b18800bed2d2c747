//! How well the times of a plan were kept.
//!
//! Definition: a fault of the plan that has a time and was begun *misses* by the distance between
//! that time, counted from the start of the load, and the moment at which the nemesis began to
//! inject it. Early and late count alike. A fault on a role waits while nobody plays the role, and
//! that wait is part of the miss: the plan did not foresee it. Faults that begin on a condition
//! have no time to miss, and skipped ones never began.

use std::collections::BTreeMap;

use splitbrain_workloads::history::Micros;
use splitbrain_workloads::operation::NodeId;

use crate::record::{Event, EventRecord, FaultId, FaultRecord, FaultStep, Phase};

/// How far a fault may miss its time and still count as on time. The wait for a time ends within
/// a millisecond or two on an idle machine; fifty leave room for a busy one, and no store elects
/// a leader within them.
pub const ON_TIME: Micros = Micros(50_000);

/// How well the faults of one run kept their times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Faults that had a time and were begun.
    pub timed: u64,
    /// Those of them that missed by at most [`ON_TIME`].
    pub on_time: u64,
    /// The miss in the middle; of an even number, the larger of the two.
    pub median: Micros,
    /// The largest miss.
    pub most: Micros,
    /// Whose miss that is; the first of equals.
    pub worst: FaultId,
}

/// By how much a fault missed its time; `None` for one without a time and one not begun.
pub fn miss(load_began: Micros, fault: &FaultRecord) -> Option<Micros> {
    let planned = load_began.0.saturating_add(fault.planned?.0);
    Some(Micros(fault.requested?.0.abs_diff(planned)))
}

/// How well the faults of a run kept their times; `None` when none had a time and was begun.
pub fn kept(load_began: Micros, faults: &[FaultRecord]) -> Option<Kept> {
    let missed = |fault: &FaultRecord| Some((miss(load_began, fault)?, fault.id));
    let mut misses: Vec<(Micros, FaultId)> = faults.iter().filter_map(missed).collect();
    misses.sort();
    let (most, _) = *misses.last()?;
    Some(Kept {
        timed: misses.len() as u64,
        on_time: misses.iter().filter(|(miss, _)| *miss <= ON_TIME).count() as u64,
        median: misses[misses.len() / 2].0,
        most,
        worst: misses.iter().find(|(miss, _)| *miss == most).map(|(_, id)| *id)?,
    })
}

/// What became of a fault, from its events; times count from the start of the load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lived {
    /// When the nemesis began to inject it; `None` when it was skipped or the run ended first.
    pub requested: Option<Micros>,
    /// When it was confirmed to be in force.
    pub in_force: Option<Micros>,
    /// When the nemesis began to heal it.
    pub heal_requested: Option<Micros>,
    /// The nodes it was aimed at.
    pub victims: Vec<NodeId>,
}

impl Lived {
    /// How long it was in force before the heal began.
    pub fn lasted(&self) -> Option<Micros> {
        Some(Micros(self.heal_requested?.0.saturating_sub(self.in_force?.0)))
    }
}

/// What became of every fault that left an event. A run without a load has no faults.
pub fn lived(events: &[EventRecord]) -> BTreeMap<FaultId, Lived> {
    let load = events.iter().find(|record| record.event == Event::Phase(Phase::Load));
    let Some(load) = load else { return BTreeMap::new() };
    let mut faults: BTreeMap<FaultId, Lived> = BTreeMap::new();
    for record in events {
        let Event::Fault { fault, step } = &record.event else { continue };
        let lived = faults.entry(*fault).or_default();
        let at = Some(Micros(record.us.0.saturating_sub(load.us.0)));
        match step {
            FaultStep::Requested { victims, .. } => {
                lived.requested = at;
                lived.victims.clone_from(victims);
            }
            FaultStep::InForce => lived.in_force = at,
            FaultStep::HealRequested => lived.heal_requested = at,
            FaultStep::Healed | FaultStep::Skipped { .. } => {}
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::fault;

    fn planned(id: u32, at: u64, requested: u64) -> FaultRecord {
        let mut fault = fault(id, "kill", &[1], requested, requested + 1_000_000);
        (fault.planned, fault.requested) = (Some(Micros(at)), Some(Micros(requested)));
        fault
    }

    #[test]
    fn misses_count_from_the_start_of_the_load_and_early_is_as_bad_as_late() {
        let faults = [
            planned(1, 1_000_000, 1_500_900),
            planned(2, 2_000_000, 2_498_000),
            planned(3, 3_000_000, 3_560_000),
        ];
        let kept = kept(Micros(500_000), &faults).unwrap();
        assert_eq!((kept.timed, kept.on_time), (3, 2));
        assert_eq!((kept.median, kept.most), (Micros(2_000), Micros(60_000)));
        assert_eq!(kept.worst, FaultId(3));
    }

    #[test]
    fn conditions_and_skipped_faults_have_no_time_to_miss() {
        let mut on_condition = planned(1, 0, 900_000);
        on_condition.planned = None;
        let mut skipped = planned(2, 1_000_000, 0);
        skipped.requested = None;
        assert_eq!(kept(Micros(0), &[on_condition, skipped]), None);
        assert_eq!(kept(Micros(0), &[]), None);
    }

    #[test]
    fn what_became_of_a_fault_is_read_from_its_events() {
        let phase = |us, phase| EventRecord { us: Micros(us), event: Event::Phase(phase) };
        let step = |us, id, step| EventRecord {
            us: Micros(us),
            event: Event::Fault { fault: FaultId(id), step },
        };
        let skipped = || FaultStep::Skipped { reason: "nobody led".into() };
        let victims = vec![NodeId(2)];
        let requested = || FaultStep::Requested { victims: victims.clone(), links: Vec::new() };
        let events = [
            phase(100, Phase::Start),
            phase(1_000, Phase::Load),
            step(2_000, 1, requested()),
            step(2_100, 1, FaultStep::InForce),
            step(3_000, 2, skipped()),
            step(5_100, 1, FaultStep::HealRequested),
            step(5_200, 1, FaultStep::Healed),
        ];
        let faults = lived(&events);
        let first = &faults[&FaultId(1)];
        assert_eq!((first.requested, first.lasted()), (Some(Micros(1_000)), Some(Micros(3_000))));
        assert_eq!(first.victims, victims);
        assert_eq!(faults[&FaultId(2)].requested, None);
        assert_eq!(lived(&events[2..]), BTreeMap::new(), "no load, no faults");
    }
}
