//! The cluster over time: what each node was at any moment, as the events tell it.
//!
//! Processes come from the kernel (`Process` events), roles from the samples (`Role` events), cuts
//! from the confirmed stretches of the faults that cut links. Between two samples the last one
//! stands, so a role may lag by one sampling interval. Called by the timeline and by the
//! counterexample, which must say who led.

use std::collections::BTreeMap;

use splitbrain_workloads::history::Micros;
use splitbrain_workloads::operation::NodeId;

use super::Window;
use crate::record::{Effect, Event, EventRecord, FaultRecord, OnLinks, ProcessChange, Role};

/// What a node is at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeState {
    /// No event tells yet.
    Unknown,
    /// Its process is gone.
    Down,
    /// Its process is stopped.
    Paused,
    /// It runs and does not answer the sampler.
    Silent,
    /// It follows.
    Follower,
    /// It stands for election.
    Candidate,
    /// It leads.
    Leader,
    /// A fault cuts links of it, and it does not lead.
    CutOff,
    /// A fault cuts links of it, and it goes on leading.
    CutOffLeader,
}

impl NodeState {
    /// Whether it takes itself for the leader and its process could act on that.
    pub fn leads(self) -> bool {
        matches!(self, NodeState::Leader | NodeState::CutOffLeader)
    }
}

/// The states of all nodes over time.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// For each node the moments at which its state changed, in order of time.
    changes: BTreeMap<NodeId, Vec<(Micros, NodeState)>>,
}

impl Cluster {
    /// Reads the life of `nodes` nodes from the events and faults of a run.
    pub fn of(nodes: u16, events: &[EventRecord], faults: &[FaultRecord]) -> Cluster {
        let life = |node| (node, changes_of(node, events, faults));
        Cluster { changes: NodeId::first(nodes).map(life).collect() }
    }

    /// The nodes, in order.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.changes.keys().copied()
    }

    /// What a node was at a moment.
    pub fn at(&self, node: NodeId, at: Micros) -> NodeState {
        let changes = self.changes.get(&node).map_or(&[][..], Vec::as_slice);
        let before = changes.partition_point(|(moment, _)| *moment <= at);
        before.checked_sub(1).map_or(NodeState::Unknown, |last| changes[last].1)
    }

    /// The nodes that took themselves for the leader at a moment.
    pub fn leaders(&self, at: Micros) -> Vec<NodeId> {
        self.nodes().filter(|node| self.at(*node, at).leads()).collect()
    }

    /// The first moment after `at` at which a node led that did not lead at `at`, and the node.
    pub fn next_leader(&self, at: Micros) -> Option<(NodeId, Micros)> {
        let next = self.nodes().filter(|node| !self.at(*node, at).leads()).filter_map(|node| {
            let mut changes = self.changes[&node].iter();
            let leads = changes.find(|(moment, state)| *moment > at && state.leads());
            leads.map(|(moment, _)| (node, *moment))
        });
        next.min_by_key(|(_, moment)| *moment)
    }

    /// Whether a node led at any moment up to `at`.
    pub fn led_before(&self, node: NodeId, at: Micros) -> bool {
        let changes = self.changes.get(&node).map_or(&[][..], Vec::as_slice);
        changes.iter().take_while(|(moment, _)| *moment <= at).any(|(_, state)| state.leads())
    }

    /// The stretches within a window in which a node led, in order.
    pub fn led_in(&self, node: NodeId, window: Window) -> Vec<(Window, NodeState)> {
        let changes = self.changes.get(&node).map_or(&[][..], Vec::as_slice);
        let ends = changes.iter().skip(1).map(|(moment, _)| *moment).chain([window.to]);
        let stretches = changes.iter().zip(ends).filter(|((_, state), _)| state.leads());
        let clipped = stretches.map(|((from, state), to)| {
            (Window { from: (*from).max(window.from), to: to.min(window.to) }, *state)
        });
        clipped.filter(|(stretch, _)| stretch.from < stretch.to).collect()
    }

    /// The first moment after `at` at which a node did not lead.
    pub fn stopped_leading(&self, node: NodeId, at: Micros) -> Option<Micros> {
        let mut changes = self.changes.get(&node)?.iter();
        let stopped = changes.find(|(moment, state)| *moment > at && !state.leads());
        stopped.map(|(moment, _)| *moment)
    }

    /// The state that a node was in for the longest part of a window; of two equally long ones
    /// the later.
    pub fn mostly(&self, node: NodeId, window: Window) -> NodeState {
        let changes = self.changes.get(&node).map_or(&[][..], Vec::as_slice);
        let mut spent: BTreeMap<NodeState, u64> = BTreeMap::new();
        let (mut since, mut state) = (window.from, self.at(node, window.from));
        let within = changes.iter().filter(|(at, _)| window.from < *at && *at < window.to);
        for (at, next) in within {
            *spent.entry(state).or_default() += at.0 - since.0;
            (since, state) = (*at, *next);
        }
        *spent.entry(state).or_default() += window.to.0.saturating_sub(since.0);
        let longest = spent.values().copied().max().unwrap_or(0);
        if spent.get(&state) == Some(&longest) {
            return state;
        }
        spent.into_iter().find(|(_, time)| *time == longest).map_or(state, |(state, _)| state)
    }
}

/// What is known of a node so far.
struct Known {
    up: Option<bool>,
    stopped: bool,
    role: Option<Role>,
    cuts: u32,
}

impl Known {
    fn state(&self) -> NodeState {
        match (self.up, self.stopped, self.role) {
            (Some(false), _, _) => NodeState::Down,
            (_, true, _) => NodeState::Paused,
            (_, _, Some(Role::Leader)) if self.cuts > 0 => NodeState::CutOffLeader,
            _ if self.cuts > 0 => NodeState::CutOff,
            (_, _, Some(Role::Leader)) => NodeState::Leader,
            (_, _, Some(Role::Candidate)) => NodeState::Candidate,
            (_, _, Some(Role::Follower)) => NodeState::Follower,
            (_, _, Some(Role::Silent)) | (Some(true), _, None) => NodeState::Silent,
            (None, _, None) => NodeState::Unknown,
        }
    }
}

/// One thing that changes what is known of a node.
enum Change<'a> {
    Process(&'a ProcessChange),
    Role(Role),
    CutBegins,
    CutEnds,
}

fn changes_of(
    node: NodeId,
    events: &[EventRecord],
    faults: &[FaultRecord],
) -> Vec<(Micros, NodeState)> {
    let mut changes: Vec<(Micros, Change<'_>)> = Vec::new();
    for record in events {
        match &record.event {
            Event::Process { node: whose, change, .. } if *whose == node => {
                changes.push((record.us, Change::Process(change)));
            }
            Event::Role { node: whose, role, .. } if *whose == node => {
                changes.push((record.us, Change::Role(*role)));
            }
            _ => {}
        }
    }
    // A cut that nothing shows to have taken hold did not cut anybody off.
    let took_hold = |fault: &&FaultRecord| matches!(fault.effect, Effect::Seen(_));
    let is_cut = |fault: &&FaultRecord| {
        !fault.links.is_empty() && matches!(fault.on_links, OnLinks::Cut | OnLinks::CutByTurns)
    };
    let cuts = faults.iter().filter(is_cut).filter(took_hold);
    for fault in cuts.filter(|fault| fault.victims.contains(&node)) {
        if let Some(from) = fault.in_force {
            changes.push((from, Change::CutBegins));
            // A healed cut is followed by its end; one that never healed lasts to the end.
            changes.extend(fault.healed.map(|to| (to, Change::CutEnds)));
        }
    }
    changes.sort_by_key(|(at, _)| *at);

    let mut known = Known { up: None, stopped: false, role: None, cuts: 0 };
    let mut states: Vec<(Micros, NodeState)> = Vec::new();
    for (at, change) in changes {
        apply(&mut known, &change);
        if states.last().map(|(_, state)| *state) != Some(known.state()) {
            states.push((at, known.state()));
        }
    }
    states
}

fn apply(known: &mut Known, change: &Change<'_>) {
    match change {
        Change::Process(ProcessChange::Started) => {
            // What an earlier process said of itself is no longer true.
            (known.up, known.stopped, known.role) = (Some(true), false, None);
        }
        Change::Process(ProcessChange::Exited { .. }) => {
            (known.up, known.stopped, known.role) = (Some(false), false, None);
        }
        Change::Process(ProcessChange::Stopped) => known.stopped = true,
        Change::Process(ProcessChange::Continued) => known.stopped = false,
        Change::Role(role) => known.role = Some(*role),
        Change::CutBegins => known.cuts += 1,
        Change::CutEnds => known.cuts = known.cuts.saturating_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{Events, fault};

    #[test]
    fn a_killed_leader_is_down_until_it_is_started_and_says_what_it_is() {
        let mut events = Events::default();
        events.started(0, 1).role(500, 1, Role::Leader);
        events.exited(1_000, 1).started(2_000, 1).role(2_500, 1, Role::Follower);
        let cluster = Cluster::of(1, &events.records(), &[]);
        let at = |us| cluster.at(NodeId(1), Micros(us));
        assert_eq!(at(100), NodeState::Silent);
        assert_eq!(at(999), NodeState::Leader);
        assert_eq!(at(1_000), NodeState::Down);
        assert_eq!(at(2_100), NodeState::Silent);
        assert_eq!(at(9_000), NodeState::Follower);
    }

    #[test]
    fn two_leaders_during_a_cut_are_both_named() {
        let mut events = Events::default();
        events.role(0, 1, Role::Leader).role(0, 2, Role::Follower).role(0, 3, Role::Follower);
        events.role(1_800, 3, Role::Leader).role(3_500, 1, Role::Follower);
        let mut cut = fault(1, "partition", &[1], 900, 3_000);
        cut.in_force = Some(Micros(1_000));
        cut.links = vec!["n1->n2".into(), "n2->n1".into()];
        let cluster = Cluster::of(3, &events.records(), &[cut]);
        assert_eq!(cluster.leaders(Micros(500)), [NodeId(1)]);
        assert_eq!(cluster.at(NodeId(1), Micros(1_500)), NodeState::CutOffLeader);
        assert_eq!(cluster.leaders(Micros(2_000)), [NodeId(1), NodeId(3)]);
        assert_eq!(cluster.at(NodeId(1), Micros(3_200)), NodeState::Leader);
        assert_eq!(cluster.leaders(Micros(4_000)), [NodeId(3)]);
        assert_eq!(cluster.next_leader(Micros(500)), Some((NodeId(3), Micros(1_800))));
        assert_eq!(cluster.next_leader(Micros(2_000)), None);
        assert_eq!(cluster.stopped_leading(NodeId(1), Micros(500)), Some(Micros(3_500)));
        assert_eq!(cluster.stopped_leading(NodeId(3), Micros(2_000)), None);
    }

    #[test]
    fn a_window_shows_the_state_that_lasted_longest_in_it() {
        let mut events = Events::default();
        events.started(0, 1).role(0, 1, Role::Follower).paused(600, 1).continued(1_000, 1);
        let cluster = Cluster::of(1, &events.records(), &[]);
        let mostly =
            |from, to| cluster.mostly(NodeId(1), Window { from: Micros(from), to: Micros(to) });
        assert_eq!(mostly(0, 1_000), NodeState::Follower);
        assert_eq!(mostly(500, 1_000), NodeState::Paused);
        assert_eq!(mostly(700, 800), NodeState::Paused);
        assert_eq!(mostly(1_000, 2_000), NodeState::Follower);
    }
}
