//! Election by a round: a message goes round the ring of all nodes, gathers who is there, and who
//! began it lets the best of them stand: `election=ring`.
//!
//! The ring is the order of node numbers. A node confirms the message to whoever sent it; a
//! successor that does not is skipped. Of several rounds those that lower nodes began are dropped
//! by a higher one whose own is under way, so messages grow with the number of nodes and not with
//! its square (Le Lann, 1977; Chang and Roberts, 1979). If the ring is broken in two and
//! `majority` is off, each part has its leader.

use std::collections::BTreeMap;

use rand::RngExt;

use super::super::{Claim, Core, EntryId, Message, NodeId, Now, Role};
use super::Candidate;

/// The messages that this node has passed on and whose receipt is not confirmed, by who began.
pub(in super::super) type Passing = BTreeMap<NodeId, Passed>;

/// A message on its way to a successor.
#[derive(Debug)]
pub(in super::super) struct Passed {
    round: Round,
    to: NodeId,
    /// When the successor is taken for dead.
    until: Now,
}

/// What goes round.
#[derive(Clone, Debug)]
pub(in super::super) struct Round {
    pub(in super::super) origin: NodeId,
    pub(in super::super) ask: u64,
    pub(in super::super) seen: Vec<(NodeId, EntryId)>,
    pub(in super::super) epoch: u64,
    pub(in super::super) alive: Option<Claim>,
}

impl Core {
    pub(super) fn start_ring(&mut self) {
        let ask = self.random.random_range(0..u64::MAX);
        let (mine, positions) = ((EntryId::ORIGIN, 0, self.me), BTreeMap::new());
        self.role = Role::Candidate(Candidate::Asking { ask, asked: 0, mine, positions });
        // Long enough to skip all others.
        let nodes = self.configured.voters as u32;
        self.suspicion.deadline = self.now + self.settings.ask_window * nodes;
        let round = Round { origin: self.me, ask, seen: Vec::new(), epoch: 0, alive: None };
        self.pass_on(round);
    }

    /// Adds this node to a round and sends it to the next one.
    fn pass_on(&mut self, mut round: Round) {
        if self.may_stand() {
            round.seen.push((self.me, self.entries.last()));
        }
        round.epoch = round.epoch.max(self.hard.epoch);
        round.alive = round.alive.max(self.hears_leader(self.tolerated_silence() / 2));
        let to = self.successor(self.me);
        self.pass_to(to, round);
    }

    fn pass_to(&mut self, to: NodeId, round: Round) {
        if to == self.me {
            return self.close_round(round);
        }
        let Round { origin, ask, seen, epoch, alive } = round.clone();
        self.counters.election_messages += 1;
        self.send(to, Message::Round { origin, ask, seen, epoch, alive });
        let until = self.now + self.settings.ask_window / 2;
        self.passing.insert(origin, Passed { round, to, until });
    }

    fn successor(&self, node: NodeId) -> NodeId {
        let all = || self.other_voters().into_iter().chain([self.me]);
        all().filter(|other| *other > node).min().or_else(|| all().min()).unwrap_or(self.me)
    }

    pub(in super::super) fn on_round(&mut self, from: NodeId, round: Round) {
        let Round { origin, ask, .. } = round;
        if origin != self.me && self.successor(self.me) == self.me {
            // It knows of nobody to pass it on to, as one that lost its disk and waits to be told
            // who the members are. Whoever does not hear of it takes the next one.
            return;
        }
        self.counters.election_messages += 1;
        self.send(from, Message::RoundTaken { origin, ask });
        if origin == self.me {
            return self.close_round(round);
        }
        let own_is_under_way = matches!(self.role, Role::Candidate(Candidate::Asking { .. }));
        let dropped = own_is_under_way && origin < self.me;
        if !dropped && round.seen.iter().all(|(node, _)| *node != self.me) {
            self.pass_on(round);
        }
    }

    pub(in super::super) fn on_round_taken(&mut self, origin: NodeId, ask: u64) {
        if self.passing.get(&origin).is_some_and(|passed| passed.round.ask == ask) {
            self.passing.remove(&origin);
        }
    }

    /// Time passed: successors that did not confirm are skipped. If that leads back to who began,
    /// and it is somebody else, the round ends here and will be begun again.
    pub(super) fn tick_ring(&mut self) {
        let now = self.now;
        let due: Vec<NodeId> = self
            .passing
            .iter()
            .filter(|(_, passed)| passed.until <= now)
            .map(|(origin, _)| *origin)
            .collect();
        for origin in due {
            let Some(Passed { round, to, .. }) = self.passing.remove(&origin) else { continue };
            let next = self.successor(to);
            if to != origin && (next != self.me || origin == self.me) {
                self.pass_to(next, round);
            }
        }
    }

    /// When the next successor is taken for dead.
    pub(super) fn ring_timer(&self) -> Option<Now> {
        self.passing.values().map(|passed| passed.until).min()
    }

    /// The round that this node began has come back.
    fn close_round(&mut self, round: Round) {
        let Role::Candidate(Candidate::Asking { ask, .. }) = &self.role else { return };
        if *ask != round.ask {
            return;
        }
        if round.alive.is_some_and(|claim| claim >= self.hard.claim) {
            return self.become_follower("a leader is alive");
        }
        let ranks = round.seen.iter().map(|(node, last)| self.rank(*node, *last, 0));
        let best = ranks.max().map_or(self.me, |(_, _, node)| node);
        self.put_up(best, round.epoch);
    }
}
