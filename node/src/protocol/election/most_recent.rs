//! Election of the freshest: who suspects the leader asks everybody how far they are, waits a
//! bounded time, and claims the next epoch if nobody who answered is fresher: `majority`.
//!
//! It is what operators and failover tools do with asynchronous replicas: promote the reachable
//! one with the most data. Nobody promises anything, so the two sides of a partition each find
//! their freshest, and an old leader learns of it when it meets the new one.

use std::collections::BTreeMap;

use rand::RngExt;

use super::super::barrier::Held;
use super::super::{Claim, Core, EntryId, HardState, Message, NodeId, Role};
use super::Candidate;

impl Core {
    pub(super) fn ask_positions(&mut self) {
        let ask = self.random.random_range(0..u64::MAX);
        let positions = BTreeMap::new();
        self.role = Role::Candidate(Candidate::Asking { ask, positions });
        let window = if self.suspicion.settled {
            self.settings.ask_window
        } else {
            self.settings.start_grace
        };
        self.suspicion.deadline = self.now + window;
        self.ask_everyone(&Message::Ask { ask });
        if self.peers.is_empty() {
            self.close_question();
        }
    }

    pub(in super::super) fn on_ask(&mut self, from: NodeId, ask: u64) {
        // A leader that was heard within half the shortest patience is alive as far as anybody can
        // say; a longer silence means that this node is about to suspect it too.
        let alive = self.hears_leader(self.settings.election_timeout / 2);
        let (epoch, last) = (self.hard.epoch, self.entries.last());
        self.counters.election_messages += 1;
        self.send(from, Message::Position { ask, epoch, last, alive });
    }

    pub(in super::super) fn on_position(
        &mut self,
        from: NodeId,
        about: u64,
        epoch: u64,
        last: EntryId,
        alive: Option<Claim>,
    ) {
        let peers = self.peers.len();
        let Role::Candidate(Candidate::Asking { ask, positions }) = &mut self.role else { return };
        if *ask != about {
            return;
        }
        if alive.is_some_and(|claim| claim >= self.hard.claim) {
            // Somebody still hears the leader: wait to hear it too.
            return self.become_follower("a leader is alive");
        }
        positions.insert(from, (last, epoch));
        if positions.len() == peers {
            self.close_question();
        }
    }

    /// Whoever was going to answer has: claims the next epoch, or leaves it to a fresher node.
    pub(super) fn close_question(&mut self) {
        let Role::Candidate(Candidate::Asking { positions, .. }) = &self.role else { return };
        let known = positions.values().map(|(_, epoch)| *epoch).max().unwrap_or(0);
        let epoch = self.hard.epoch.max(known);
        let mine = (self.entries.last(), self.me);
        let answers = positions.iter().map(|(node, (last, _))| (*last, *node));
        let (_, freshest) = answers.fold(mine, Ord::max);
        let enough = !self.settings.majority || positions.len() + 1 >= self.majority();
        if !enough {
            self.become_follower("too few answered");
        } else if freshest == self.me {
            self.claim(epoch + 1);
        } else {
            self.counters.election_messages += 1;
            self.send(freshest, Message::Nominate { epoch });
            self.become_follower("a fresher node should lead");
        }
    }

    /// Somebody who hears no leader that it may follow has found this node the freshest.
    pub(in super::super) fn on_nominate(&mut self, epoch: u64) {
        let may_claim = match &self.role {
            // The other has followed a later claim that nobody holds any more, so it can follow
            // this leader only under a claim that is later still.
            Role::Leader(leader) => epoch >= leader.claim.epoch && leader.demote_at.is_none(),
            _ => self.hears_leader(self.settings.election_timeout / 2).is_none(),
        };
        if may_claim && !self.votes() {
            self.become_follower("claims a later epoch");
            self.claim(self.hard.epoch.max(epoch) + 1);
        }
    }

    fn claim(&mut self, epoch: u64) {
        let claim = Claim { epoch, leader: self.me };
        self.write_hard(HardState { epoch, voted_for: None, claim });
        self.role = Role::Candidate(Candidate::Claiming(claim));
        self.restart_suspicion();
        // Two leaderships under one claim would give two entries one identity, so a claim is on
        // disk before it is used.
        self.once_durable(Held::Claimed(claim));
    }

    pub(in super::super) fn claim_is_durable(&mut self, claim: Claim) {
        if matches!(self.role, Role::Candidate(Candidate::Claiming(own)) if own == claim) {
            self.become_leader(claim);
        }
    }
}
