//! Election by votes (Ongaro and Ousterhout, "In search of an understandable consensus algorithm",
//! sections 5.2 and 5.4.1; pre-vote: Ongaro's thesis, section 9.6): `completeness`.

use std::collections::BTreeSet;

use super::super::barrier::Held;
use super::super::{Claim, Core, EntryId, HardState, Message, NodeId, Plant, Role};
use super::Candidate;
use crate::config::Election;

impl Core {
    /// Asks who would vote for this node, without changing anything anywhere.
    pub(super) fn start_pre_vote(&mut self) {
        let epoch = self.contested_epoch();
        let granted = BTreeSet::from([self.me]);
        self.role = Role::Candidate(Candidate::PreVote { epoch, granted });
        self.restart_suspicion();
        self.ask_everyone(&Message::PreVote { epoch, last: self.entries.last() });
        self.count_pre_votes();
    }

    /// The epoch in which this node would stand.
    fn contested_epoch(&self) -> u64 {
        match self.settings.election {
            Election::Paxos => self.unsettled_epoch(),
            _ => self.hard.epoch + 1,
        }
    }

    pub(in super::super) fn on_pre_vote(&mut self, from: NodeId, epoch: u64, last: EntryId) {
        // Whoever hears a leader does not help to depose it.
        let content = self.hears_leader(self.tolerated_silence()).is_some();
        let free = !content && self.promised_until().is_none();
        // Whoever proposes may propose another, whose log is complete.
        let eligible = self.settings.election == Election::Paxos || self.is_complete(last);
        let granted = epoch >= self.contested_epoch() && free && eligible;
        self.counters.election_messages += 1;
        let reply = Message::PreVoteReply { asked: epoch, epoch: self.hard.epoch, granted };
        self.send(from, reply);
    }

    pub(in super::super) fn on_pre_vote_reply(
        &mut self,
        from: NodeId,
        asked: u64,
        epoch: u64,
        granted: bool,
    ) {
        if !granted {
            self.observe(epoch);
        }
        if let Role::Candidate(Candidate::PreVote { epoch, granted: by }) = &mut self.role
            && *epoch == asked
            && granted
        {
            by.insert(from);
            self.count_pre_votes();
        }
    }

    fn count_pre_votes(&mut self) {
        match &self.role {
            Role::Candidate(Candidate::PreVote { granted, .. })
                if self.counted(granted) >= self.votes_needed() =>
            {
                self.campaign(false);
            }
            _ => {}
        }
    }

    /// Asks for leadership, whatever that changes. `insists` says that an operator wants it.
    pub(super) fn campaign(&mut self, insists: bool) {
        if let Some(until) = self.promised_until() {
            // Its own vote is one of those that it has promised not to give.
            self.become_follower("has promised its vote to a leader");
            self.suspicion.deadline = until;
            return;
        }
        match self.settings.election {
            Election::Paxos => self.prepare(insists),
            Election::Lease => self.ask_for_lock(),
            _ => self.stand(),
        }
    }

    /// Stands for election in the next epoch, with a vote for itself.
    fn stand(&mut self) {
        self.stand_in(self.hard.epoch + 1);
    }

    /// Stands for election in an epoch that is later than the node's own.
    pub(super) fn stand_in(&mut self, epoch: u64) {
        self.write_hard(HardState { epoch, voted_for: Some(self.me), ..self.hard });
        let granted = BTreeSet::new();
        self.role = Role::Candidate(Candidate::Vote { epoch, granted });
        self.restart_suspicion();
        let last = self.entries.last();
        for voter in self.other_voters() {
            self.counters.election_messages += 1;
            self.once_vote_is_durable(Held::Send(voter, Message::Vote { epoch, last }));
        }
        self.once_vote_is_durable(Held::OwnVote(epoch));
    }

    pub(in super::super) fn on_vote(&mut self, from: NodeId, epoch: u64, last: EntryId) {
        if self.carries_a_lease() {
            // As if nobody had asked.
            let reply = Message::VoteReply { epoch: self.hard.epoch, granted: false };
            self.counters.election_messages += 1;
            return self.send(from, reply);
        }
        self.observe(epoch);
        let may_vote = |voted: NodeId| voted == from || self.plant(Plant::VoteTwice);
        let free = epoch > self.hard.epoch
            || (epoch == self.hard.epoch && self.hard.voted_for.is_none_or(may_vote));
        let granted = free && self.is_complete(last);
        self.counters.election_messages += 1;
        if granted {
            self.write_hard(HardState { epoch, voted_for: Some(from), ..self.hard });
            self.restart_suspicion();
            self.once_vote_is_durable(Held::Send(from, Message::VoteReply { epoch, granted }));
        } else {
            self.send(from, Message::VoteReply { epoch: self.hard.epoch, granted });
        }
    }

    /// Whether a log that ends with `last` holds everything this one does (Raft, section 5.4.1).
    /// Without `completeness` any log will do.
    fn is_complete(&self, last: EntryId) -> bool {
        if self.plant(Plant::LongerLogWins) {
            return last.index >= self.entries.last_index();
        }
        !self.settings.completeness || last >= self.entries.last()
    }

    pub(in super::super) fn on_vote_reply(&mut self, from: NodeId, epoch: u64, granted: bool) {
        self.observe(epoch);
        self.count_vote(from, epoch, granted);
    }

    pub(in super::super) fn own_vote_is_durable(&mut self, epoch: u64) {
        self.count_vote(self.me, epoch, true);
    }

    fn count_vote(&mut self, from: NodeId, in_epoch: u64, granted_by_from: bool) {
        let Role::Candidate(Candidate::Vote { epoch, granted }) = &mut self.role else { return };
        if *epoch != in_epoch || !granted_by_from {
            return;
        }
        granted.insert(from);
        let granted = granted.clone();
        if self.counted(&granted) >= self.votes_needed() {
            let claim = Claim { epoch: in_epoch, leader: self.me };
            self.become_leader(claim);
        }
    }
}
