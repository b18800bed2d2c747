//! Every order of events in small clusters: model checking with `stateright`.
//!
//! The simulation draws schedules by chance, from all that can happen. Here nothing is drawn: two
//! or three nodes, a write or two, a few elections, added and removed members and crashes, and every
//! order in which messages, timers, flushes and crashes can follow each other is tried, up to the
//! given numbers of each. The cores are the ones that run in production, fed in the way of the
//! runtime ([`lives`]).
//!
//! What is not tried: a link keeps the order of its messages, as TCP does, unless one may overtake
//! or all on it may be lost; a message may wait for ever. A node's clock moves when one of its timers
//! fires, and to that moment: timers of different nodes fire in any order, but a follower's patience
//! does not end without it standing for election.
//!
//! The promises are those of figure 3 of the Raft paper, stated a second time and apart from the
//! simulation's referee. Planted bugs show that they can break.

mod checks;
mod lives;

use std::sync::{Mutex, MutexGuard};

use stateright::{Model, Property};

use super::{Claim, EntryId, NodeId};
use crate::config::Settings;
use crate::state::Configuration;
use lives::{Fed, LifeId, Lives, Mail, Seen};

/// How much may happen, of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Budget {
    /// Timers of nodes that do not lead: suspicions, and elections that are tried again.
    suspicions: u8,
    /// Timers of leaders.
    heartbeats: u8,
    /// Writes, each at a node that takes itself for the leader.
    writes: u8,
    /// Nodes that an operator adds, each at a node that takes itself for the leader. For each there
    /// is one with an empty disk that waits for it; one that was removed may be added again.
    adds: u8,
    /// Members that an operator removes, each at a node that takes itself for the leader.
    removals: u8,
    /// Nodes that are killed and start again.
    crashes: u8,
    /// Links that break, and lose what is on them.
    losses: u8,
    /// Messages that overtake all that were sent before them on their link.
    overtakes: u8,
}

/// A small cluster.
struct Cluster {
    founders: u16,
    budget: Budget,
    lives: Mutex<Lives>,
}

/// The cluster at a moment, and what was seen on the way there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    nodes: Vec<LifeId>,
    /// Messages on their way, link by link, on each in the order in which they were sent.
    network: Vec<Mail>,
    left: Budget,
    /// Who has led, sorted.
    led: Vec<Claim>,
    /// What was committed, in log order, with the epoch in which it first was.
    committed: Vec<(EntryId, u64)>,
    broken: Option<Promise>,
}

/// Something that can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// The first message of a link arrives, or a later one overtakes it.
    Deliver(Mail),
    /// A link breaks.
    Lose(u16),
    /// Something happens to a node.
    Feed(usize, Fed),
}

/// Raft, figure 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Promise {
    /// An epoch has at most one leader.
    ElectionSafety,
    /// Logs that share an entry share all before it.
    LogMatching,
    /// What is committed is in the log of every later leader.
    LeaderCompleteness,
    /// One entry is committed at an index.
    StateMachineSafety,
}

impl Cluster {
    /// A cluster of founders. A `prompt` disk has at once what it is given; otherwise every flush
    /// is an event of its own.
    fn new(founders: u16, settings: Settings, prompt: bool, budget: Budget) -> Self {
        Cluster { founders, budget, lives: Mutex::new(Lives::new(settings, founders, prompt)) }
    }

    /// The founders, and those that wait to be added.
    fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (1..=self.founders + u16::from(self.budget.adds)).map(NodeId)
    }

    /// Whether somebody was elected by members who are not the founders, but these.
    fn is_led_among(&self, state: &State, these: fn(&Cluster, &Configuration) -> bool) -> bool {
        let lives = self.lives();
        state.nodes.iter().map(|life| lives.seen(*life)).any(|seen| {
            let (members, appended) = &seen.members;
            seen.leads.is_some_and(|led| led.epoch > appended.epoch) && these(self, members)
        })
    }

    fn lives(&self) -> MutexGuard<'_, Lives> {
        self.lives.lock().expect("no step panics")
    }

    /// An action in words.
    fn words(&self, action: Action) -> String {
        match action {
            Action::Deliver(mail) => {
                let lives = self.lives();
                let (from, to, message) = lives.message(mail);
                format!("{from}->{to} {message:?}")
            }
            Action::Lose(link) => format!("link {} loses all", Mail::link_in_words(link)),
            Action::Feed(node, fed) => format!("n{} {fed:?}", node + 1),
        }
    }
}

impl State {
    /// A node is in another state now: what is to be remembered of that, and whether it breaks a
    /// promise.
    fn look(&mut self, node: usize, lives: &Lives) {
        let seen = lives.seen(self.nodes[node]);
        if let Some(claim) = seen.leads
            && let Err(at) = self.led.binary_search(&claim)
        {
            self.led.insert(at, claim);
        }
        let mut apart = false;
        for (at, id) in seen.log[..seen.committed].iter().enumerate() {
            match self.committed.get(at) {
                Some((known, _)) => apart |= known != id,
                None => self.committed.push((*id, seen.epoch)),
            }
        }
        let others = || self.nodes.iter().map(|life| lives.seen(*life));
        let broken = [
            (Promise::ElectionSafety, self.led.windows(2).any(|led| led[0].epoch == led[1].epoch)),
            (Promise::StateMachineSafety, apart),
            (Promise::LeaderCompleteness, others().any(|leader| self.lacks_committed(leader))),
            (Promise::LogMatching, others().any(|other| !match_each_other(&seen.log, &other.log))),
        ];
        let broken = broken.into_iter().find(|(_, broken)| *broken);
        self.broken = self.broken.or(broken.map(|(promise, _)| promise));
    }

    /// Whether a node leads without something that was committed in an earlier epoch.
    fn lacks_committed(&self, seen: &Seen) -> bool {
        let Some(claim) = seen.leads else { return false };
        let mut earlier = self.committed.iter().enumerate();
        earlier.any(|(at, (id, epoch))| *epoch < claim.epoch && seen.log.get(at) != Some(id))
    }
}

fn match_each_other(one: &[EntryId], other: &[EntryId]) -> bool {
    let shared = one.iter().zip(other).rposition(|(one, other)| one == other);
    shared.is_none_or(|last| one[..last] == other[..last])
}

impl Model for Cluster {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut lives = self.lives();
        vec![State {
            nodes: self.nodes().map(|node| lives.newborn(node)).collect(),
            network: Vec::new(),
            left: self.budget,
            led: Vec::new(),
            committed: Vec::new(),
            broken: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let mut link = None;
        for mail in &state.network {
            let first = link.replace(mail.link) != Some(mail.link);
            if first || state.left.overtakes > 0 {
                actions.push(Action::Deliver(*mail));
            }
            if first && state.left.losses > 0 {
                actions.push(Action::Lose(mail.link));
            }
        }
        let lives = self.lives();
        for (node, life) in state.nodes.iter().enumerate() {
            let seen = lives.seen(*life);
            let leads = seen.leads.is_some();
            let timers = if leads { state.left.heartbeats } else { state.left.suspicions };
            if timers > 0 {
                actions.push(Action::Feed(node, Fed::Timer));
            }
            if leads && state.left.writes > 0 {
                actions.push(Action::Feed(node, Fed::Write));
            }
            let is_member = |other: &NodeId| seen.members.0.seat(*other).is_some();
            if leads && state.left.adds > 0 {
                let others = self.nodes().filter(|other| !is_member(other));
                actions.extend(others.map(|other| Action::Feed(node, Fed::Add(other))));
            }
            if leads && state.left.removals > 0 {
                let members = self.nodes().filter(is_member);
                actions.extend(members.map(|member| Action::Feed(node, Fed::Remove(member))));
            }
            if seen.unflushed > 0 {
                actions.push(Action::Feed(node, Fed::Flushed));
            }
            if state.left.crashes > 0 {
                // With all of the notes it is a crash after the flush.
                let kept = 0..seen.unflushed.max(1);
                actions.extend(kept.map(|kept| Action::Feed(node, Fed::Crash(kept))));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        let mut lives = self.lives();
        let left = &mut next.left;
        let (node, fed) = match action {
            Action::Lose(link) => {
                left.losses -= 1;
                next.network.retain(|mail| mail.link != link);
                return Some(next);
            }
            Action::Deliver(mail) => {
                let link = last.network.partition_point(|before| before.link < mail.link);
                let at = last.network.iter().position(|one| *one == mail);
                let at = at.expect("it is on its way");
                if at > link {
                    left.overtakes -= 1;
                }
                next.network.remove(at);
                (mail.to(), Fed::Mail(mail))
            }
            Action::Feed(node, fed) => (node, fed),
        };
        match fed {
            Fed::Timer if lives.seen(last.nodes[node]).leads.is_some() => left.heartbeats -= 1,
            Fed::Timer => left.suspicions -= 1,
            Fed::Write => left.writes -= 1,
            Fed::Add(_) => left.adds -= 1,
            Fed::Remove(_) => left.removals -= 1,
            Fed::Crash(_) => {
                left.crashes -= 1;
                // What was sent to it lies in sockets that are gone.
                next.network.retain(|mail| mail.to() != node);
            }
            Fed::Flushed | Fed::Mail(_) => {}
        }
        let after = lives.feed(last.nodes[node], fed);
        for mail in after.sent {
            let behind = next.network.partition_point(|before| before.link <= mail.link);
            next.network.insert(behind, mail);
        }
        if after.life != last.nodes[node] {
            next.nodes[node] = after.life;
            next.look(node, &lives);
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("election safety", |_, state: &State| {
                state.broken != Some(Promise::ElectionSafety)
            }),
            Property::always("log matching", |_, state: &State| {
                state.broken != Some(Promise::LogMatching)
            }),
            Property::always("leader completeness", |_, state: &State| {
                state.broken != Some(Promise::LeaderCompleteness)
            }),
            Property::always("state machine safety", |_, state: &State| {
                state.broken != Some(Promise::StateMachineSafety)
            }),
            // Without these nothing was tried that could have failed.
            Property::sometimes(COMMITS, |_, state: &State| state.committed.len() > 1),
            Property::sometimes(SUCCEEDS, |_, state: &State| {
                let committed = state.committed.last().map(|(_, epoch)| *epoch);
                committed.is_some_and(|epoch| state.led.last().is_some_and(|led| led.epoch > epoch))
            }),
        ];
        if self.budget.adds > 0 {
            properties.push(Property::sometimes(ADDED, |cluster: &Cluster, state| {
                cluster.is_led_among(state, |cluster, members| {
                    members.voters().any(|voter| voter.0 > cluster.founders)
                })
            }));
        }
        if self.budget.removals > 0 {
            properties.push(Property::sometimes(REMOVED, |cluster: &Cluster, state| {
                cluster.is_led_among(state, |cluster, members| {
                    (1..=cluster.founders).any(|founder| members.seat(NodeId(founder)).is_none())
                })
            }));
        }
        properties
    }
}

const COMMITS: &str = "two entries are committed";
const SUCCEEDS: &str = "somebody leads after something was committed";
const ADDED: &str = "somebody is elected among voters one of whom was added";
const REMOVED: &str = "somebody is elected among voters of whom one was removed";
