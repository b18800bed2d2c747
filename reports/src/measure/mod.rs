//! Measures: numbers taken from a history and the faults of its run. Pure.
//!
//! A measure never judges. The harness fills its records with them ([`RunMeasures`]), its gates
//! compare them with rules, and the text report draws them ([`timeline`], [`cluster`]).
//! Each file opens with the definition of what it measures, for a number without its definition
//! cannot be argued with.

pub mod availability;
pub mod cluster;
pub mod latency;
pub mod loss;
pub mod operations;
pub mod recovery;
pub mod timeline;

use splitbrain_workloads::history::{History, Micros};
use splitbrain_workloads::verdict::Judgement;

use crate::record::{CountedOperations, FaultId, FaultRecord};
use availability::Availability;
use loss::Loss;
use recovery::{Recovery, Service};

/// A stretch of a run: from its first moment up to, not including, its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first moment in it.
    pub from: Micros,
    /// The first moment after it.
    pub to: Micros,
}

impl Window {
    /// Whether a moment lies in it.
    pub fn contains(self, at: Micros) -> bool {
        self.from <= at && at < self.to
    }

    /// Whether it shares a moment with the stretch from `from` to `to`, both ends included.
    pub fn touches(self, from: Micros, to: Micros) -> bool {
        self.from <= to && from < self.to
    }

    /// How long it is.
    pub fn length(self) -> Micros {
        Micros(self.to.0.saturating_sub(self.from.0))
    }

    /// From the request of a fault to its confirmed end; a fault without an end lasts for ever.
    /// `None` when the fault was never begun.
    pub fn of_fault(fault: &FaultRecord) -> Option<Window> {
        let from = fault.requested.or(fault.in_force)?;
        Some(Window { from, to: fault.healed.unwrap_or(Micros(u64::MAX)) })
    }
}

/// What the measures of one run are taken from.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    /// The operations.
    pub history: &'a History,
    /// When clients and faults were at work.
    pub load: Window,
    /// When arrivals found no free client, one entry each.
    pub shed: &'a [Micros],
    /// The faults, with their observed times filled in.
    pub faults: &'a [FaultRecord],
    /// What the checkers said, for the writes that are lost.
    pub judgements: &'a [Judgement],
}

/// Every measure of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunMeasures {
    /// The operations by kind, final reads left out.
    pub operations: Vec<CountedOperations>,
    /// Over the whole load.
    pub availability: Availability,
    /// Over the load without what touched a fault.
    pub availability_outside_faults: Availability,
    /// One for each fault, in the order of the plan.
    pub faults: Vec<FaultMeasures>,
    /// The acknowledged writes that are lost; `None` when none is.
    pub loss: Option<Loss>,
}

/// What one fault did to the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultMeasures {
    /// Which fault.
    pub fault: FaultId,
    /// Whether writes went on.
    pub service: Service,
    /// How fast every node served again.
    pub recovery: Recovery,
    /// Lost writes laid at its door (see [`loss`]); `None` when no checker decided.
    pub lost_writes: Option<u64>,
}

impl RunMeasures {
    /// Takes every measure of a run.
    pub fn of(run: Measured<'_>) -> RunMeasures {
        let lost = loss::lost_writes(run.judgements);
        RunMeasures {
            operations: operations::count(run.history),
            availability: availability::over_load(run.history, run.load, run.shed),
            availability_outside_faults: availability::outside_faults(
                run.history,
                run.load,
                run.shed,
                run.faults,
            ),
            faults: run
                .faults
                .iter()
                .map(|fault| FaultMeasures {
                    fault: fault.id,
                    service: recovery::service(run.history, fault),
                    recovery: recovery::recovery(run.history, fault),
                    lost_writes: loss::by_fault(run.history, run.judgements, fault.id, run.faults),
                })
                .collect(),
            loss: loss::of(run.history, &lost, run.judgements, run.faults),
        }
    }

    /// Writes the measures of the faults into their records, matched by number.
    pub fn fill(&self, faults: &mut [FaultRecord]) {
        for measured in &self.faults {
            if let Some(fault) = faults.iter_mut().find(|fault| fault.id == measured.fault) {
                fault.unavailable = measured.service.lost_for();
                fault.recovered_after = measured.recovery.after();
                fault.lost_writes = measured.lost_writes;
            }
        }
    }

    /// The longest recovery of the run, loss of service and return of every node alike: what a
    /// gate on `recovery` compares. `None` when a fault was not recovered from, or when there was
    /// no fault to recover from.
    pub fn recovery(&self) -> Option<Micros> {
        let mut longest = None;
        for fault in &self.faults {
            match (fault.service, &fault.recovery) {
                (Service::NotRestored { .. }, _) | (_, Recovery::Never { .. }) => return None,
                (service, recovery) => {
                    longest = longest.max(service.lost_for()).max(recovery.after());
                }
            }
        }
        longest
    }
}
