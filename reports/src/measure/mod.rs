//! Measures: numbers taken from a history and the faults of its run. Pure.
//!
//! A measure never judges. The harness fills its records with them ([`RunMeasures`]), its gates
//! compare them with rules, and the text report draws them ([`timeline`], [`cluster`]).
//! Each file opens with the definition of what it measures, for a number without its definition
//! cannot be argued with.

pub mod availability;
pub mod cluster;
pub mod coverage;
pub mod fault_coverage;
pub mod latency;
pub mod loss;
pub mod operations;
pub mod progress;
pub mod rate;
pub mod recovery;
pub mod regression;
pub mod schedule;
pub mod shown;
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
        let lost = loss::lost_writes(run.history, run.judgements);
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
                    lost_writes: lost
                        .as_ref()
                        .and_then(|lost| loss::by_fault(run.history, lost, fault.id, run.faults)),
                })
                .collect(),
            loss: lost.and_then(|lost| loss::of(run.history, &lost, run.faults)),
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
    /// gate on `recovery` compares.
    pub fn recovery(&self) -> RunRecovery {
        let mut longest = None;
        for fault in &self.faults {
            match (fault.service, &fault.recovery) {
                (Service::NotRestored { .. }, _) | (_, Recovery::Never { .. }) => {
                    return RunRecovery::Never(fault.fault);
                }
                (service, recovery) => {
                    longest = longest.max(service.lost_for()).max(recovery.after());
                }
            }
        }
        longest.map_or(RunRecovery::NothingToMeasure, RunRecovery::Within)
    }
}

/// The recovery of a run from all of its faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunRecovery {
    /// No fault took the service away and none was healed while clients asked.
    NothingToMeasure,
    /// From every fault, the slowest after this time.
    Within(Micros),
    /// Not from this one, the first of its kind.
    Never(FaultId),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{Tape, fault};

    fn measured(tape: &Tape, faults: &[FaultRecord]) -> RunMeasures {
        let history = tape.history();
        let load = Window { from: Micros(0), to: Micros(10_000_000) };
        let run = Measured { history: &history, load, shed: &[], faults, judgements: &[] };
        RunMeasures::of(run)
    }

    /// Writes at all three nodes before, and from some moment on after, a fault from 2 s to 3 s.
    fn outage(back_at: u64) -> Tape {
        let mut tape = Tape::new("register", 3);
        for node in 1..=3_u16 {
            let (client, value) = (u32::from(node), i64::from(node));
            tape.write(client, node, "r0", value, 1_900_000, 1_901_000);
            tape.write_unknown(client, node, "r0", value + 10, 2_100_000, 2_900_000, "timeout");
            tape.write(client, node, "r0", value + 20, back_at, back_at + 1_000);
        }
        tape
    }

    #[test]
    fn the_recovery_of_a_run_is_its_slowest() {
        let faults = [fault(1, "kill", &[1], 2_000_000, 3_000_000)];
        let measures = measured(&outage(3_400_000), &faults);
        assert_eq!(measures.recovery(), RunRecovery::Within(Micros(1_401_000)));

        let mut filled = faults.to_vec();
        measures.fill(&mut filled);
        assert_eq!(filled[0].unavailable, Some(Micros(1_401_000)));
        assert_eq!(filled[0].recovered_after, Some(Micros(401_000)));
        assert_eq!(filled[0].lost_writes, None, "no checker decided");
    }

    #[test]
    fn a_run_that_did_not_recover_names_the_fault_and_one_without_faults_measures_nothing() {
        let mut tape = outage(1_000_000);
        tape.write_unknown(9, 2, "r0", 99, 5_000_000, 6_000_000, "timeout");
        let faults = [fault(7, "kill", &[1], 2_000_000, 3_000_000)];
        assert_eq!(measured(&tape, &faults).recovery(), RunRecovery::Never(FaultId(7)));
        assert_eq!(measured(&tape, &[]).recovery(), RunRecovery::NothingToMeasure);
    }
}
