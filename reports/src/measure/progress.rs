//! Progress: whether a majority that could serve did.
//!
//! Definition: writes are *demanded* while more than half of the nodes run and every link between
//! them is open, and some of them can be reached by their clients. Which nodes run is told by the
//! kernel (`Process` events), which links are open by the faults, from request to confirmed heal.
//! Where anything is in doubt, nothing is demanded: while a running node is under a fault that does
//! not cut links (it is slow, or about to be killed), while links are slowed, reset or cut by
//! turns, and while a link is cut one way only or a node reaches a part of the majority, since such
//! a node may disturb every election. Each change of who serves begins a new window.
//!
//! Within a window, clients of reachable nodes *wait* from the first write that one of them asked
//! after the last acknowledged one (or after the window began) to the next one acknowledged, or to
//! the end of the window. A wait longer than the bound is a *stall*. Clients that ask nothing wait
//! for nothing: where no write is open for [`IDLE`] the wait ends with the last that was, for a
//! workload may have nothing to write any more. A window shorter than the bound proves nothing.

use std::collections::BTreeSet;

use splitbrain_workloads::history::{History, Micros, Operation};
use splitbrain_workloads::operation::{NodeId, Outcome};

use super::Window;
use crate::record::{Event, EventRecord, FaultRecord, OnLinks, ProcessChange};

/// Clients that have no write open for so long do not wait. The slowest load that a suite asks for
/// sends one each second or so.
pub const IDLE: Micros = Micros(2_000_000);

/// A stretch in which a majority could serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demanded {
    /// The majority.
    pub nodes: Vec<NodeId>,
    /// Those of it that their clients can reach.
    pub reachable: Vec<NodeId>,
    /// From when to when.
    pub window: Window,
}

/// A wait longer than the bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// The majority that could have served.
    pub nodes: Vec<NodeId>,
    /// From the first write asked in vain to the end of the wait.
    pub window: Window,
}

/// What came of the demand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many windows were longer than the bound.
    pub windows: u64,
    /// How long those were together.
    pub demanded: Micros,
    /// The longest wait in them.
    pub longest: Micros,
    /// The waits that were longer than the bound.
    pub stalls: Vec<Stall>,
}

/// When a majority of so many nodes could serve during the load.
pub fn demanded(
    nodes: u16,
    load: Window,
    events: &[EventRecord],
    faults: &[FaultRecord],
) -> Vec<Demanded> {
    let mut moments = BTreeSet::from([load.from, load.to]);
    moments.extend(events.iter().filter(|record| is_process(record)).map(|record| record.us));
    for fault in faults {
        moments.extend(fault.requested);
        moments.extend(fault.healed);
    }
    let within: Vec<Micros> =
        moments.into_iter().filter(|at| load.from <= *at && *at <= load.to).collect();
    let mut windows: Vec<Demanded> = Vec::new();
    for pair in within.windows(2) {
        let &[from, to] = pair else { continue };
        let Some((nodes, reachable)) = servers(nodes, from, events, faults) else { continue };
        match windows.last_mut() {
            Some(last)
                if last.window.to == from && last.nodes == nodes && last.reachable == reachable =>
            {
                last.window.to = to;
            }
            _ => windows.push(Demanded { nodes, reachable, window: Window { from, to } }),
        }
    }
    windows
}

/// What the writes of a history say of the demand, with this bound on a wait.
pub fn progress(history: &History, demanded: &[Demanded], bound: Micros) -> Progress {
    let mut progress = Progress::default();
    for demand in demanded.iter().filter(|demand| demand.window.length() > bound) {
        progress.windows += 1;
        progress.demanded.0 += demand.window.length().0;
        for wait in waits(history, demand) {
            progress.longest = progress.longest.max(wait.length());
            if wait.length() > bound {
                progress.stalls.push(Stall { nodes: demand.nodes.clone(), window: wait });
            }
        }
    }
    progress
}

fn waits(history: &History, demand: &Demanded) -> Vec<Window> {
    let Window { from, to } = demand.window;
    let is_meant = |write: &&Operation| {
        !write.is_final
            && !write.op.is_read()
            && write.node.is_some_and(|node| demand.reachable.contains(&node))
    };
    let writes: Vec<&Operation> = history.operations.iter().filter(is_meant).collect();
    let ended = |write: &Operation| write.completed.map_or(Micros(u64::MAX), |stamp| stamp.at);
    let mut asked: Vec<(Micros, Micros)> =
        writes.iter().map(|write| (write.invoked.at, ended(write))).collect();
    asked.sort_unstable();
    let acknowledged = |write: &&Operation| match write.outcome {
        Outcome::Ok(_) => write.completed.map(|stamp| stamp.at),
        Outcome::Fail(_) | Outcome::Info(_) => None,
    };
    let mut served: Vec<Micros> = writes.iter().filter_map(acknowledged).collect();
    served.retain(|at| from <= *at && *at < to);
    served.sort_unstable();
    served.push(to);

    let mut since = from;
    let mut waits = Vec::new();
    for until in served {
        let (first, last) = (
            asked.partition_point(|(at, _)| *at < since),
            asked.partition_point(|(at, _)| *at < until),
        );
        waits.extend(
            asked.get(first..last).into_iter().flat_map(|asked| without_idle(asked, until)),
        );
        since = until;
    }
    waits
}

/// The stretches up to a moment in which somebody waited: writes by when they began and when they
/// were no longer waited for, in order of beginning.
fn without_idle(asked: &[(Micros, Micros)], until: Micros) -> Vec<Window> {
    let mut stretches: Vec<Window> = Vec::new();
    for (from, to) in asked {
        let to = (*to).min(until);
        match stretches.last_mut() {
            Some(last) if from.0 <= last.to.0.saturating_add(IDLE.0) => last.to = last.to.max(to),
            _ => stretches.push(Window { from: *from, to }),
        }
    }
    if let Some(last) = stretches.last_mut().filter(|last| until.0 - last.to.0 <= IDLE.0) {
        last.to = until;
    }
    stretches
}

fn is_process(record: &EventRecord) -> bool {
    matches!(record.event, Event::Process { .. })
}

/// The majority that must serve at a moment, and those of it whom clients reach; `None` when
/// nothing is demanded.
fn servers(
    nodes: u16,
    at: Micros,
    events: &[EventRecord],
    faults: &[FaultRecord],
) -> Option<(Vec<NodeId>, Vec<NodeId>)> {
    let up = running(nodes, at, events);
    let mut cut: BTreeSet<&str> = BTreeSet::new();
    let active = faults.iter().filter(|fault| {
        fault.requested.is_some_and(|from| from <= at) && fault.healed.is_none_or(|to| at < to)
    });
    for fault in active {
        match (fault.links.is_empty(), fault.on_links) {
            (true, _) if fault.victims.iter().any(|node| up.contains(node)) => return None,
            (true, _) => {}
            (false, OnLinks::Cut) => cut.extend(fault.links.iter().map(String::as_str)),
            (false, _) => return None,
        }
    }
    let is_open = |from: NodeId, to: NodeId| !cut.contains(format!("{from}->{to}").as_str());
    // With every pair either joined or apart both ways, the nodes fall into groups; a group must
    // also be whole, each joined to each.
    for (place, one) in up.iter().enumerate() {
        for other in &up[place + 1..] {
            if is_open(*one, *other) != is_open(*other, *one) {
                return None;
            }
        }
    }
    let group = |of: NodeId| -> Vec<NodeId> {
        up.iter().copied().filter(|node| *node == of || is_open(of, *node)).collect()
    };
    let majority =
        up.iter().map(|node| group(*node)).find(|group| group.len() * 2 > nodes.into())?;
    if majority.iter().any(|node| group(*node) != majority) {
        return None;
    }
    let hears = |node: &NodeId| {
        !cut.contains(format!("client->{node}").as_str())
            && !cut.contains(format!("{node}->client").as_str())
    };
    let reachable: Vec<NodeId> = majority.iter().copied().filter(hears).collect();
    (!reachable.is_empty()).then_some((majority, reachable))
}

/// The nodes whose processes run at a moment, in order.
fn running(nodes: u16, at: Micros, events: &[EventRecord]) -> Vec<NodeId> {
    let mut up = BTreeSet::new();
    for record in events.iter().filter(|record| record.us <= at) {
        let Event::Process { node, change, .. } = &record.event else { continue };
        match change {
            ProcessChange::Started | ProcessChange::Continued => up.insert(*node),
            ProcessChange::Exited { .. } | ProcessChange::Stopped => up.remove(node),
        };
    }
    NodeId::first(nodes).filter(|node| up.contains(node)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{Events, Tape, fault};

    const SECOND: u64 = 1_000_000;
    const LOAD: Window = Window { from: Micros(0), to: Micros(10 * SECOND) };
    const BOUND: Micros = Micros(2 * SECOND);

    fn started() -> Events {
        let mut events = Events::default();
        events.started(0, 1).started(0, 2).started(0, 3);
        events
    }

    fn cut(links: &[&str]) -> FaultRecord {
        let mut cut = fault(1, "partition", &[1], 2 * SECOND, 8 * SECOND);
        cut.links = links.iter().map(ToString::to_string).collect();
        cut
    }

    fn isolated() -> FaultRecord {
        cut(&["n1->n2", "n2->n1", "n1->n3", "n3->n1"])
    }

    fn of(events: &Events, faults: &[FaultRecord]) -> Vec<(Vec<u16>, u64, u64)> {
        let demanded = demanded(3, LOAD, &events.records(), faults);
        let row = |demand: &Demanded| {
            let nodes = demand.nodes.iter().map(|node| node.0).collect();
            (nodes, demand.window.from.0 / SECOND, demand.window.to.0 / SECOND)
        };
        demanded.iter().map(row).collect()
    }

    /// A write at every node each 100 ms; those invoked while `stuck` holds end unknown.
    fn writes(stuck: impl Fn(u16, u64) -> bool) -> History {
        let mut tape = Tape::new("register", 3);
        for tick in 0..100 {
            for node in 1..=3 {
                let at = tick * 100_000 + u64::from(node);
                let (client, value) = (node.into(), (tick * 10) as i64 + i64::from(node));
                match stuck(node, at) {
                    true => {
                        tape.write_unknown(client, node, "r", value, at, at + 90_000, "timeout")
                    }
                    false => tape.write(client, node, "r", value, at, at + 1_000),
                }
            }
        }
        tape.history()
    }

    #[test]
    fn a_whole_cluster_that_stops_serving_stalls() {
        let demanded = demanded(3, LOAD, &started().records(), &[]);
        let fine = progress(&writes(|_, _| false), &demanded, BOUND);
        assert_eq!((fine.windows, fine.demanded), (1, Micros(10 * SECOND)));
        assert!(fine.stalls.is_empty() && fine.longest < Micros(SECOND), "{fine:?}");

        let history = writes(|_, at| (3 * SECOND..6 * SECOND).contains(&at));
        let stalled = progress(&history, &demanded, BOUND);
        let [stall] = &stalled.stalls[..] else { panic!("{stalled:?}") };
        assert_eq!(stall.nodes, [NodeId(1), NodeId(2), NodeId(3)]);
        assert!(stall.window.contains(Micros(3 * SECOND + 2)), "{stall:?}");
        assert!(stall.window.length() > Micros(2_900_000), "{stall:?}");
    }

    #[test]
    fn the_majority_side_of_a_cut_must_serve_and_the_minority_need_not() {
        let faults = [isolated()];
        assert_eq!(
            of(&started(), &faults),
            [(vec![1, 2, 3], 0, 2), (vec![2, 3], 2, 8), (vec![1, 2, 3], 8, 10)]
        );
        let demanded = demanded(3, LOAD, &started().records(), &faults);
        let cut = 2 * SECOND..8 * SECOND;
        let minority = writes(|node, at| node == 1 && cut.contains(&at));
        assert!(progress(&minority, &demanded, BOUND).stalls.is_empty());
        let majority = writes(|node, at| node != 1 && cut.contains(&at));
        let stalled = progress(&majority, &demanded, BOUND);
        let [stall] = &stalled.stalls[..] else { panic!("{stalled:?}") };
        assert_eq!(stall.nodes, [NodeId(2), NodeId(3)], "what n1 acknowledges is no service");
    }

    #[test]
    fn a_workload_that_has_nothing_to_write_any_more_waits_for_nothing() {
        let demanded = demanded(3, LOAD, &started().records(), &[]);
        let mut tape = Tape::new("set", 3);
        tape.write(1, 1, "s/1", 1, SECOND, SECOND + 1_000);
        tape.write_unknown(1, 1, "s/2", 2, 2 * SECOND, 3 * SECOND, "timeout");
        let ended = progress(&tape.history(), &demanded, BOUND);
        assert_eq!((ended.longest, &ended.stalls[..]), (Micros(SECOND), &[][..]));
        // One that asks again and is served ends a wait of its own, not that of seven seconds.
        tape.write(1, 1, "s/3", 3, 9 * SECOND, 9 * SECOND + 1_000);
        let again = progress(&tape.history(), &demanded, BOUND);
        assert_eq!((again.longest, &again.stalls[..]), (Micros(SECOND), &[][..]));
    }

    #[test]
    fn nothing_is_demanded_of_a_minority() {
        let mut events = started();
        events.exited(2 * SECOND, 1).exited(2 * SECOND, 2);
        events.started(7 * SECOND, 1).started(7 * SECOND, 2);
        let kill = fault(1, "kill", &[1, 2], 2 * SECOND, 8 * SECOND);
        assert_eq!(of(&events, &[kill]), [(vec![1, 2, 3], 0, 2), (vec![1, 2, 3], 8, 10)]);
    }

    #[test]
    fn of_one_that_is_paused_or_down_the_others_must_go_on() {
        let mut events = started();
        events.paused(2 * SECOND, 3).continued(8 * SECOND, 3);
        let pause = fault(1, "pause", &[3], 2 * SECOND, 8 * SECOND);
        let expected = [(vec![1, 2, 3], 0, 2), (vec![1, 2], 2, 8), (vec![1, 2, 3], 8, 10)];
        assert_eq!(of(&events, &[pause]), expected);
    }

    #[test]
    fn where_anything_is_in_doubt_nothing_is_demanded() {
        let around = [(vec![1, 2, 3], 0, 2), (vec![1, 2, 3], 8, 10)];
        let mut slowed = isolated();
        slowed.on_links = OnLinks::Slowed;
        assert_eq!(of(&started(), &[slowed]), around, "slow links");
        assert_eq!(of(&started(), &[cut(&["n1->n2"])]), around, "half a link");
        let bridged = cut(&["n1->n3", "n3->n1"]);
        assert_eq!(of(&started(), &[bridged]), around, "n2 reaches both sides");
        let slow = fault(1, "slow", &[1], 2 * SECOND, 8 * SECOND);
        assert_eq!(of(&started(), &[slow]), around, "a node that runs under a fault");
    }

    #[test]
    fn clients_that_cannot_reach_the_majority_wait_for_nothing() {
        let of_clients = ["client->n1", "client->n2", "client->n3"];
        let around = [(vec![1, 2, 3], 0, 2), (vec![1, 2, 3], 8, 10)];
        assert_eq!(of(&started(), &[cut(&of_clients)]), around);
        let demanded = demanded(3, LOAD, &started().records(), &[]);
        let idle = Tape::new("register", 3).history();
        assert_eq!(progress(&idle, &demanded, BOUND).longest, Micros(0));
    }
}
