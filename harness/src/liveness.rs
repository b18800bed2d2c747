//! Judges liveness: a majority that is up and connected must serve, within a bound.
//!
//! It reads events, faults and history, never a verdict, and has no part in one. What is demanded
//! and when is defined in `measure/progress.rs`; nothing is demanded of a target that does not
//! promise to serve with a majority, unless the suite asks for it.

use splitbrain_reports::measure::Window;
use splitbrain_reports::measure::progress::{self, Progress, Stall};
use splitbrain_reports::record::{FaultRecord, GateOutcome, GateRecord};
use splitbrain_reports::units;
use splitbrain_workloads::history::{History, Micros};
use splitbrain_workloads::operation::NodeId;

use crate::gate;
use crate::run::{SETTLE_BOUND, Traces};
use crate::suite::units::Time;

/// How many stalls are told one by one.
const STALLS_MAX: usize = 3;

/// What liveness is judged on.
pub struct Life<'a> {
    /// The bound that the suite asks for.
    pub asked: Option<Time>,
    /// How many nodes the target has.
    pub nodes: u16,
    /// What the clients saw.
    pub history: &'a History,
    /// Every fault.
    pub faults: &'a [FaultRecord],
    /// What the run left beside its files.
    pub traces: &'a Traces,
}

/// The rule and what came of it; `None` where neither suite nor target promises anything, or where
/// nobody asked and nothing was demanded for long enough.
pub fn judge(life: &Life<'_>) -> Option<GateRecord> {
    let bound = match life.asked {
        Some(bound) => bound.duration(),
        None if life.traces.promises_progress => SETTLE_BOUND,
        None => return None,
    };
    let bound = Micros(u64::try_from(bound.as_micros()).unwrap_or(u64::MAX));
    if let Some(stopped) = life.traces.stopped() {
        let rule = format!("a live majority serves <= {}", units::duration(bound));
        let (name, observed) = ("progress".to_string(), gate::stopped_at(stopped));
        let record = GateRecord { name, rule, observed, outcome: GateOutcome::NotEvaluated };
        return life.asked.map(|_| record);
    }
    let (from, to) = life.traces.load.unwrap_or_default();
    let load = Window { from, to };
    let demanded = progress::demanded(life.nodes, load, &life.traces.events, life.faults);
    let progress = progress::progress(life.history, &demanded, bound);
    if progress.windows == 0 && life.asked.is_none() {
        return None;
    }
    Some(GateRecord {
        name: "progress".to_string(),
        rule: format!("a live majority serves <= {}", units::duration(bound)),
        observed: observed(&progress),
        outcome: match (progress.windows, progress.stalls.is_empty()) {
            (0, _) => GateOutcome::NotEvaluated,
            (_, true) => GateOutcome::Held,
            (_, false) => GateOutcome::Broken,
        },
    })
}

fn observed(progress: &Progress) -> String {
    if progress.windows == 0 {
        return "no majority was up and connected for so long".to_string();
    }
    if progress.stalls.is_empty() {
        let (longest, demanded) =
            (units::duration(progress.longest), units::duration(progress.demanded));
        return format!("longest wait {longest} in {demanded}");
    }
    let mut stalls: Vec<String> = progress.stalls.iter().take(STALLS_MAX).map(stall).collect();
    if progress.stalls.len() > STALLS_MAX {
        stalls.push(format!("{} more", progress.stalls.len() - STALLS_MAX));
    }
    format!("no-progress: {}", stalls.join("; "))
}

fn stall(stall: &Stall) -> String {
    let nodes: Vec<String> = stall.nodes.iter().map(NodeId::to_string).collect();
    format!("{} in {}", nodes.join(", "), units::stretch(stall.window.from, stall.window.to))
}

#[cfg(test)]
mod tests {
    use splitbrain_reports::record::{Event, EventRecord, ProcessChange};
    use splitbrain_workloads::history::{
        FORMAT_VERSION, Header, Operation, OperationId, Operations, Stamp,
    };
    use splitbrain_workloads::operation::{ClientId, Key, Op, Outcome, Reason, Reply, Value};

    use super::*;

    const SECOND: u64 = 1_000_000;

    /// One write each second for 30 s; those after `stuck_from` end unknown.
    fn history(stuck_from: u64) -> History {
        let write = |id: u32| {
            let at = u64::from(id) * SECOND;
            Operation {
                id: OperationId(id),
                client: ClientId(id),
                node: Some(NodeId(1)),
                op: Op::Write { key: Key::new("r"), value: Value(id.into()) },
                is_final: false,
                invoked: Stamp { seq: u64::from(id) * 2, at: Micros(at) },
                completed: Some(Stamp { seq: u64::from(id) * 2 + 1, at: Micros(at + 1000) }),
                outcome: match at < stuck_from {
                    true => Outcome::Ok(Reply::Written),
                    false => Outcome::Info(Reason::new("timeout")),
                },
            }
        };
        History {
            header: Header { history: FORMAT_VERSION, workload: "set".to_string(), nodes: 3 },
            operations: Operations::new((0..30).map(write).collect()).unwrap(),
            complete: true,
        }
    }

    fn judged(asked: Option<u32>, promises: bool, stuck_from: u64) -> Option<GateRecord> {
        let started = |node| EventRecord {
            us: Micros(0),
            event: Event::Process { node, pid: 7, change: ProcessChange::Started },
        };
        let traces = Traces {
            promises_progress: promises,
            load: Some((Micros(0), Micros(30 * SECOND))),
            events: NodeId::first(3).map(started).collect(),
            ..Traces::default()
        };
        judge(&Life {
            asked: asked.map(Time::from_secs),
            nodes: 3,
            history: &history(stuck_from),
            faults: &[],
            traces: &traces,
        })
    }

    #[test]
    fn a_majority_that_stops_serving_is_told_with_its_window_and_its_nodes() {
        let record = judged(Some(5), false, 10 * SECOND).unwrap();
        assert_eq!(record.outcome, GateOutcome::Broken);
        assert_eq!(record.observed, "no-progress: n1, n2, n3 in 10.000 – 30.000 s");
        let held = judged(Some(5), false, 30 * SECOND).unwrap();
        assert_eq!(held.outcome, GateOutcome::Held, "{}", held.observed);
    }

    #[test]
    fn who_promises_nothing_is_held_to_nothing_unless_asked() {
        assert_eq!(judged(None, false, 0), None);
        let promised = judged(None, true, 5 * SECOND).unwrap();
        assert_eq!(promised.outcome, GateOutcome::Broken, "beyond the bound of the heal");
        let late = judged(None, true, 15 * SECOND).unwrap();
        assert_eq!(late.outcome, GateOutcome::Held, "{}", late.observed);
    }

    #[test]
    fn what_was_asked_and_never_demanded_is_not_held() {
        let record = judged(Some(40), true, 0).unwrap();
        assert_eq!(record.outcome, GateOutcome::NotEvaluated);
    }
}
