//! Elections by question: who misses the leader asks how far the others are, waits a bounded time,
//! and lets the best of those that answered stand: `election=most-recent|seniority|bully`.
//!
//! `most-recent` and `seniority` ask everybody and put one node up. `bully` asks only those that
//! would outrank it; each of them answers, which silences the asker, and asks in turn, so with
//! many nodes the messages grow with their square (Garcia-Molina, "Elections in a distributed
//! computing system", 1982). Nobody promises anything by answering: promises are votes, and votes
//! are what `majority` asks of whoever stands.

use std::collections::BTreeMap;

use rand::RngExt;

use super::super::{Claim, Core, EntryId, Message, NodeId, Role};
use super::Candidate;
use crate::config::Election;

/// What a node said of itself.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Position {
    last: EntryId,
    epoch: u64,
    served: u64,
}

/// What a method prefers: the greater the better.
type Rank = (EntryId, u64, NodeId);

impl Core {
    /// The order of the method. With `completeness` only the best log stands; without it a node
    /// that lacks acknowledged writes may.
    pub(super) fn rank(&self, node: NodeId, last: EntryId, served: u64) -> Rank {
        let by_log = self.settings.completeness || self.settings.election == Election::MostRecent;
        let by_age = self.settings.election == Election::Seniority;
        let last = if by_log { last } else { EntryId::ORIGIN };
        (last, if by_age { served } else { 0 }, node)
    }

    fn own_rank(&self) -> Rank {
        self.rank(self.me, self.entries.last(), self.served())
    }

    /// How long this node has served, in milliseconds.
    fn served(&self) -> u64 {
        u64::try_from(self.now.saturating_sub(self.born).as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn ask_positions(&mut self) {
        let ask = self.random.random_range(0..u64::MAX);
        // A bully knows who outranks it, unless the logs decide.
        let only_higher = self.settings.election == Election::Bully && !self.settings.completeness;
        let asked: Vec<NodeId> = self
            .other_voters()
            .into_iter()
            .filter(|peer| !only_higher || *peer > self.me)
            .collect();
        let mine = self.own_rank();
        let positions = BTreeMap::new();
        self.role = Role::Candidate(Candidate::Asking { ask, asked: asked.len(), mine, positions });
        let window = if self.suspicion.settled {
            self.settings.ask_window
        } else {
            self.settings.start_grace
        };
        self.suspicion.deadline = self.now + window;
        self.counters.election_messages += asked.len() as u64;
        let last = self.entries.last();
        for peer in &asked {
            self.send(*peer, Message::Ask { ask, last });
        }
        if asked.is_empty() {
            self.close_question();
        }
    }

    pub(in super::super) fn on_ask(&mut self, from: NodeId, ask: u64, last: EntryId) {
        // A leader that was heard within half the shortest patience is alive as far as anybody can
        // say; a longer silence means that this node is about to suspect it too.
        let alive = self.hears_leader(self.tolerated_silence() / 2);
        let (epoch, mine, served) = (self.hard.epoch, self.entries.last(), self.served());
        self.counters.election_messages += 1;
        self.send(from, Message::Position { ask, epoch, last: mine, served, alive });
        let bullies = self.settings.election == Election::Bully
            && self.own_rank() > self.rank(from, last, 0)
            && matches!(self.role, Role::Follower { .. });
        if bullies && alive.is_none() {
            self.suspect();
        }
    }

    pub(in super::super) fn on_position(
        &mut self,
        from: NodeId,
        about: u64,
        (epoch, last, served): (u64, EntryId, u64),
        alive: Option<Claim>,
    ) {
        let rank = self.rank(from, last, served);
        let Role::Candidate(Candidate::Asking { ask, asked, mine, positions }) = &mut self.role
        else {
            return;
        };
        if *ask != about {
            return;
        }
        if alive.is_some_and(|claim| claim >= self.hard.claim) {
            // Somebody still hears the leader: wait to hear it too.
            return self.become_follower("a leader is alive");
        }
        if self.settings.election == Election::Bully && rank > *mine {
            if let Some(stale) = alive {
                // That leader's claim is too old to be followed here, and it cannot know.
                return self.put_up(stale.leader, self.hard.epoch);
            }
            return self.become_follower("a higher node answered");
        }
        positions.insert(from, Position { last, epoch, served });
        if positions.len() == *asked {
            self.close_question();
        }
    }

    /// Whoever was going to answer has: stands, or leaves it to a better node.
    pub(super) fn close_question(&mut self) {
        let Role::Candidate(Candidate::Asking { positions, mine, .. }) = &self.role else { return };
        let epoch = positions.values().map(|position| position.epoch).max().unwrap_or(0);
        let answers = positions
            .iter()
            .map(|(node, position)| self.rank(*node, position.last, position.served));
        let (_, _, best) = answers.fold(*mine, Ord::max);
        self.put_up(best, epoch);
    }
}
