//! Availability: the share of operations that ended `ok` of all that were asked for.
//!
//! *Asked for* is every operation invoked in the window and every arrival that found no free
//! client (`shed`): a store that is too slow to be asked is not available. *Ended ok* includes
//! expected answers, such as a compare-and-set that did not match and a read of an absent key.
//! An operation that failed, is unknown or is still open did not end ok. Clients are pinned to
//! their nodes, so a node that serves nobody costs its share even while the others serve.
//!
//! *Outside faults* leaves out every operation whose stretch from invocation to completion touches
//! a fault, request to confirmed heal. What follows the heal is not left out: a slow recovery
//! costs availability, as it does for users.

use splitbrain_workloads::history::{History, Micros};
use splitbrain_workloads::operation::Outcome;

use super::Window;
use crate::record::FaultRecord;

/// A share of operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Availability {
    /// How many ended ok.
    pub ok: u64,
    /// How many were asked for, the shed ones included.
    pub asked: u64,
}

impl Availability {
    /// The share between 0 and 1; `None` when nothing was asked for, which is not 100 %.
    pub fn share(self) -> Option<f64> {
        (self.asked > 0).then(|| self.ok as f64 / self.asked as f64)
    }
}

/// Over the whole load.
pub fn over_load(history: &History, load: Window, shed: &[Micros]) -> Availability {
    measure(history, load, shed, |_, _| true)
}

/// Over the load without what touched a fault.
pub fn outside_faults(
    history: &History,
    load: Window,
    shed: &[Micros],
    faults: &[FaultRecord],
) -> Availability {
    let windows: Vec<Window> = faults.iter().filter_map(Window::of_fault).collect();
    measure(history, load, shed, |from, to| !windows.iter().any(|fault| fault.touches(from, to)))
}

fn measure(
    history: &History,
    load: Window,
    shed: &[Micros],
    counts: impl Fn(Micros, Micros) -> bool,
) -> Availability {
    let mut availability = Availability::default();
    for operation in &history.operations {
        let from = operation.invoked.at;
        // An operation that is still open reaches to the end of the load, not beyond: a fault
        // that began later did not touch it as far as anybody knows.
        let to = operation.completed.map_or(load.to.max(from), |stamp| stamp.at);
        if operation.is_final || !load.contains(from) || !counts(from, to) {
            continue;
        }
        availability.asked += 1;
        availability.ok += u64::from(matches!(operation.outcome, Outcome::Ok(_)));
    }
    let shed = shed.iter().filter(|at| load.contains(**at) && counts(**at, **at)).count();
    availability.asked += shed as u64;
    availability
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{Tape, fault};

    const LOAD: Window = Window { from: Micros(0), to: Micros(10_000_000) };

    #[test]
    fn a_mismatch_is_an_answer_and_a_shed_arrival_is_none() {
        let mut tape = Tape::new("register", 3);
        tape.write(0, 1, "r0", 1, 1_000_000, 1_001_000);
        tape.mismatch(1, 2, "r0", 7, 8, 1, 2_000_000, 2_001_000);
        tape.read_failed(2, 3, "r0", 3_000_000, 3_001_000, "no-leader");
        tape.final_read(0, 1, "r0", Some(1), 9_000_000, 9_001_000);
        let shed = [Micros(4_000_000), Micros(11_000_000)];
        let availability = over_load(&tape.history(), LOAD, &shed);
        assert_eq!(availability, Availability { ok: 2, asked: 4 });
        assert_eq!(availability.share(), Some(0.5));
    }

    #[test]
    fn an_operation_that_was_open_when_a_fault_began_is_not_outside_it() {
        let mut tape = Tape::new("register", 3);
        tape.write(0, 1, "r0", 1, 1_000_000, 1_001_000);
        tape.write_unknown(1, 2, "r0", 2, 1_990_000, 2_990_000, "timeout");
        tape.write_unknown(0, 1, "r0", 3, 2_500_000, 3_500_000, "timeout");
        tape.write(2, 3, "r0", 4, 5_000_000, 5_001_000);
        let history = tape.history();
        let faults = [fault(1, "kill", &[1], 2_000_000, 3_000_000)];
        let shed = [Micros(2_600_000)];
        let outside = outside_faults(&history, LOAD, &shed, &faults);
        assert_eq!(outside, Availability { ok: 2, asked: 2 });
        assert_eq!(over_load(&history, LOAD, &shed), Availability { ok: 2, asked: 5 });
    }

    #[test]
    fn nothing_asked_for_has_no_availability() {
        let empty = Tape::new("register", 3).history();
        assert_eq!(over_load(&empty, LOAD, &[]).share(), None);
    }
}
