//! Recovery (RTO): how long a fault took the service away, and how long it took to be whole again.
//!
//! *Service* is somebody's write that ends `ok`, through whichever client: of a partition, the
//! majority that goes on serving counts. Writes and not reads, since a store that has lost its
//! leader may go on answering reads from what it has. Among the stretches without such a write
//! that begin while the fault is in force (at `in_force` itself, or at the last acknowledged write
//! before service was lost, up to `healed`), the longest is the loss of service. It ends with the
//! first write that ends `ok` afterwards, be that after the heal. A stretch counts only when it
//! is at least [`STRETCH_MIN`] long and some write was asked in vain: one that was open in it and
//! either did not end `ok` or waited that long; idle clients lose no service.
//! Nobody can tell whether service came back when no write was asked for any more after the heal,
//! nor whether it was lost when none was asked for since the fault came into force: clients may
//! have been closed by then, or have used up what their workload had to write.
//!
//! *Recovered* is the first success at every node, since a follower that stays deaf after the
//! heal is not noticed by the writes of others: the time from `healed` until each node has
//! completed an operation `ok` for one of its clients. Final reads do not count: they wait for
//! the cluster to settle, and would measure that wait.

use splitbrain_workloads::history::{History, Micros, Operation};
use splitbrain_workloads::operation::{NodeId, Outcome};

use crate::record::FaultRecord;

/// Shorter pauses between acknowledged writes are the ordinary gaps of a load, such as one fsync
/// or one scheduler's turn on a busy machine, and no loss of service.
pub const STRETCH_MIN: Micros = Micros(100_000);

/// Whether writes went on during a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The fault never came into force.
    NoFault,
    /// They went on.
    Kept,
    /// They stopped and came back.
    Lost {
        /// When the stretch without them began.
        from: Micros,
        /// The first that ended well afterwards.
        until: Micros,
    },
    /// They stopped and did not come back after the heal while clients asked.
    NotRestored {
        /// When the stretch without them began.
        from: Micros,
    },
    /// Nobody can tell: no write was asked for that could have shown it.
    NotWatched {
        /// When the last write of the run was sent; `None` when there was none.
        last_asked: Option<Micros>,
        /// For how long writes had been asked for in vain by then. The loss lasted at least so
        /// long; `None` when none was asked for in vain.
        at_least: Option<Micros>,
    },
}

impl Service {
    /// How long service was lost; `None` when it was not, or for ever.
    pub fn lost_for(self) -> Option<Micros> {
        match self {
            Service::Lost { from, until } => Some(Micros(until.0 - from.0)),
            Service::NoFault
            | Service::Kept
            | Service::NotRestored { .. }
            | Service::NotWatched { .. } => None,
        }
    }
}

/// How fast every node served again after the heal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Nobody can tell: the fault was not healed, or no client asked anything after the heal.
    NotWatched,
    /// Every node served, the last after this time.
    After(Micros),
    /// These nodes were asked after the heal and served nobody.
    Never {
        /// Which.
        silent: Vec<NodeId>,
    },
}

impl Recovery {
    /// The time, where there is one.
    pub fn after(&self) -> Option<Micros> {
        match self {
            Recovery::After(time) => Some(*time),
            Recovery::NotWatched | Recovery::Never { .. } => None,
        }
    }
}

/// Measures the loss of service of one fault.
pub fn service(history: &History, fault: &FaultRecord) -> Service {
    let Some(in_force) = fault.in_force else { return Service::NoFault };
    let healed = fault.healed.unwrap_or(Micros(u64::MAX));
    let writes: Vec<&Operation> =
        history.operations.iter().filter(|op| !op.is_final && !op.op.is_read()).collect();
    let mut served: Vec<Micros> = writes.iter().filter_map(|write| succeeded_at(write)).collect();
    served.sort_unstable();

    let mut from = in_force;
    let mut longest: Option<(Micros, Micros)> = None;
    for until in served.into_iter().filter(|at| *at >= in_force) {
        let length = Micros(until.0 - from.0);
        let is_longest = longest.is_none_or(|(from, until)| until.0 - from.0 < length.0);
        if length >= STRETCH_MIN && is_longest && asked_in_vain(&writes, from, until) {
            longest = Some((from, until));
        }
        if until > healed {
            return kept_or_lost(longest);
        }
        from = until;
    }
    // No write ended well from here on. That is a loss only if somebody still asked for one a good
    // while later; otherwise the clients had simply been closed.
    let last_asked = writes.iter().map(|write| write.invoked.at).max();
    let in_vain = last_asked.filter(|last| last.0 >= from.0 + STRETCH_MIN.0);
    match in_vain {
        Some(last) if last >= healed => Service::NotRestored { from },
        Some(last) => {
            let at_least = Some(Micros(last.0 - from.0));
            Service::NotWatched { last_asked, at_least }
        }
        None if writes.iter().all(|write| ended_at(write) < in_force) => {
            Service::NotWatched { last_asked, at_least: None }
        }
        None => kept_or_lost(longest),
    }
}

/// Measures the return of every node after one fault.
pub fn recovery(history: &History, fault: &FaultRecord) -> Recovery {
    let (Some(_), Some(healed)) = (fault.in_force, fault.healed) else {
        return Recovery::NotWatched;
    };
    let mut last = None;
    let mut silent = Vec::new();
    for node in NodeId::first(history.header.nodes) {
        let at_node = || {
            let operations = history.operations.iter();
            operations.filter(|op| op.node == Some(node) && !op.is_final && !op.op.is_local())
        };
        let first = at_node().filter_map(succeeded_at).filter(|at| *at >= healed).min();
        match first {
            Some(at) => last = last.max(Some(Micros(at.0 - healed.0))),
            None if at_node().any(|op| op.invoked.at >= healed) => silent.push(node),
            None => return Recovery::NotWatched,
        }
    }
    match last {
        _ if !silent.is_empty() => Recovery::Never { silent },
        Some(time) => Recovery::After(time),
        None => Recovery::NotWatched,
    }
}

fn kept_or_lost(longest: Option<(Micros, Micros)>) -> Service {
    longest.map_or(Service::Kept, |(from, until)| Service::Lost { from, until })
}

/// When a write was no longer waited for; one that never completed was waited for to the end.
fn ended_at(operation: &Operation) -> Micros {
    operation.completed.map_or(Micros(u64::MAX), |stamp| stamp.at)
}

fn succeeded_at(operation: &Operation) -> Option<Micros> {
    match operation.outcome {
        Outcome::Ok(_) => operation.completed.map(|stamp| stamp.at),
        Outcome::Fail(_) | Outcome::Info(_) => None,
    }
}

/// Whether somebody wanted to write in the stretch and was not served: a write that was open in it
/// and did not end well, or had to wait. Without one the clients were merely idle.
fn asked_in_vain(writes: &[&Operation], from: Micros, until: Micros) -> bool {
    writes.iter().any(|write| {
        let began = write.invoked.at;
        let ended = ended_at(write);
        let unserved =
            succeeded_at(write).is_none() || ended.0.saturating_sub(began.0) >= STRETCH_MIN.0;
        began < until && ended > from && unserved
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{Tape, fault};

    /// Writes that end well every 20 ms at every node, but for the stretches given.
    fn steady(nodes: u16, until: u64, silent: impl Fn(u16, u64) -> bool) -> Tape {
        let mut tape = Tape::new("register", nodes);
        for tick in 0..until / 20_000 {
            let at = tick * 20_000;
            for node in 1..=nodes {
                let value = (tick * 10 + u64::from(node)) as i64;
                let at = at + u64::from(node) * 100;
                if silent(node, at) {
                    tape.write_unknown(node.into(), node, "r0", value, at, at + 15_000, "timeout");
                } else {
                    tape.write(node.into(), node, "r0", value, at, at + 2_000);
                }
            }
        }
        tape
    }

    #[test]
    fn service_is_lost_from_the_fault_to_the_first_write_that_ends_well() {
        let tape = steady(3, 5_000_000, |_, at| (2_000_000..2_900_000).contains(&at));
        let kill = fault(1, "kill", &[1], 2_000_000, 3_000_000);
        let Service::Lost { from, until } = service(&tape.history(), &kill) else {
            panic!("service was lost");
        };
        assert_eq!(from, Micros(2_000_000));
        assert_eq!(until, Micros(2_902_100));
    }

    #[test]
    fn a_majority_that_serves_through_a_partition_keeps_the_service() {
        let tape =
            steady(3, 5_000_000, |node, at| node == 1 && (2_000_000..3_000_000).contains(&at));
        let partition = fault(1, "partition", &[1], 2_000_000, 3_000_000);
        assert_eq!(service(&tape.history(), &partition), Service::Kept);
        let Recovery::After(time) = recovery(&tape.history(), &partition) else {
            panic!("every node served again");
        };
        assert!(time.0 < 25_000, "{time:?}");
    }

    #[test]
    fn idle_clients_lose_no_service_and_one_that_waits_does() {
        let mut tape = Tape::new("register", 3);
        tape.write(0, 1, "r0", 1, 1_900_000, 1_901_000);
        tape.write(0, 1, "r0", 2, 2_800_000, 2_801_000);
        tape.write(0, 1, "r0", 3, 3_100_000, 3_101_000);
        let kill = fault(1, "kill", &[3], 2_000_000, 3_000_000);
        assert_eq!(service(&tape.history(), &kill), Service::Kept);
        tape.write(1, 2, "r0", 4, 2_050_000, 2_790_000);
        let expected = Service::Lost { from: Micros(2_000_000), until: Micros(2_790_000) };
        assert_eq!(service(&tape.history(), &kill), expected);
    }

    #[test]
    fn service_that_does_not_come_back_is_no_zero() {
        let tape = steady(3, 5_000_000, |_, at| at >= 2_000_000);
        let kill = fault(1, "kill", &[1], 2_000_000, 3_000_000);
        let history = tape.history();
        assert_eq!(service(&history, &kill), Service::NotRestored { from: Micros(2_000_000) });
        assert_eq!(service(&history, &kill).lost_for(), None);
        let silent = NodeId::first(3).collect();
        assert_eq!(recovery(&history, &kill), Recovery::Never { silent });
    }

    #[test]
    fn writes_that_nobody_sent_any_more_are_not_said_to_have_stopped_for_good() {
        // A set of which all elements have been added: reads go on, and answer.
        let mut tape = steady(3, 2_500_000, |_, at| at >= 2_000_000);
        for node in 1..=3 {
            tape.read(node.into(), node, "r0", Some(1), 3_500_000, 3_501_000);
        }
        let history = tape.history();
        let kill = fault(1, "kill", &[1], 2_000_000, 3_000_000);
        let last_asked = Some(Micros(2_480_300));
        let at_least = Some(Micros(480_300));
        assert_eq!(service(&history, &kill), Service::NotWatched { last_asked, at_least });
        let later = fault(2, "kill", &[1], 3_200_000, 3_300_000);
        assert_eq!(service(&history, &later), Service::NotWatched { last_asked, at_least: None });
        let Recovery::After(_) = recovery(&history, &kill) else { panic!("reads show it") };
    }

    #[test]
    fn a_node_that_stays_deaf_after_the_heal_is_named() {
        let tape = steady(3, 5_000_000, |node, at| node == 2 && at >= 2_000_000);
        let kill = fault(1, "kill", &[2], 2_000_000, 3_000_000);
        let expected = Recovery::Never { silent: vec![NodeId(2)] };
        assert_eq!(recovery(&tape.history(), &kill), expected);
    }

    #[test]
    fn a_heal_after_the_clients_were_closed_is_not_watched() {
        let tape = steady(3, 2_500_000, |node, at| node == 1 && at >= 2_000_000);
        let partition = fault(1, "partition", &[1], 2_000_000, 3_000_000);
        assert_eq!(recovery(&tape.history(), &partition), Recovery::NotWatched);
        assert_eq!(service(&tape.history(), &partition), Service::Kept);
    }

    #[test]
    fn a_fault_that_never_came_into_force_is_no_fault() {
        let mut skipped = fault(1, "kill", &[1], 2_000_000, 3_000_000);
        (skipped.in_force, skipped.healed) = (None, None);
        let history = steady(3, 3_000_000, |_, _| false).history();
        assert_eq!(service(&history, &skipped), Service::NoFault);
        assert_eq!(recovery(&history, &skipped), Recovery::NotWatched);
    }
}
