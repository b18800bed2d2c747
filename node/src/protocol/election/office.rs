//! From the choice of a method to a leader: `majority`, `unclean-election`.
//!
//! A method only says who should stand. With `majority` whoever stands needs the votes of a
//! majority, as in Raft, and one vote per node and epoch is what gives an epoch one leader;
//! without it whoever stands claims the next epoch and leads. So every method has its safe corner.

use super::super::barrier::Held;
use super::super::leader::Origin;
use super::super::{
    Claim, Core, Failure, FailureKind, HardState, Message, NodeId, Outcome, Plant, Role,
};
use super::Candidate;
use crate::config::Election;
use crate::state::Answer;

impl Core {
    /// How many votes make a leader, its own included. A majority, so that an epoch has one
    /// leader. Where the in-sync set may be smaller than a majority, so many that every set that
    /// could acknowledge had a member among them: two sets of `a` and `b` of `n` nodes meet when
    /// `a + b > n` (Howard, Malkhi, Spiegelman, "Flexible Paxos", 2016).
    pub(in super::super) fn votes_needed(&self) -> usize {
        let smallest = usize::from(self.settings.min_in_sync);
        let clean = self.has_in_sync_set() && !self.settings.unclean_election;
        if self.plant(Plant::ElectByHalf) {
            (self.configured.voters - 1).div_ceil(2)
        } else if clean {
            let nodes = self.configured.voters;
            self.majority().max(nodes + 1 - smallest.min(nodes))
        } else {
            self.majority()
        }
    }

    /// A method has found the best node; `epoch` is the highest that anybody mentioned.
    pub(super) fn put_up(&mut self, best: NodeId, epoch: u64) {
        if best == self.me {
            return self.take_office(epoch);
        }
        self.counters.election_messages += 1;
        self.send(best, Message::Nominate { epoch });
        self.become_follower("a better node should lead");
    }

    /// Somebody who hears no leader that it may follow has found this node the best.
    pub(in super::super) fn on_nominate(&mut self, epoch: u64) {
        let nobody_leads = match &self.role {
            // The other has followed a later claim that nobody holds any more, so it can follow
            // this leader only under a claim that is later still.
            Role::Leader(leader) => epoch >= leader.claim.epoch && leader.demote_at.is_none(),
            _ => self.hears_leader(self.tolerated_silence() / 2).is_none(),
        };
        if nobody_leads && self.may_stand() {
            self.become_follower("stands for a later epoch");
            self.take_office(epoch);
        }
    }

    /// Stands, if a majority is needed after asking whether that has a chance.
    pub(super) fn take_office(&mut self, epoch: u64) {
        if self.settings.majority {
            self.start_pre_vote();
        } else if self.needs_lock() {
            self.ask_for_lock();
        } else {
            self.claim(self.hard.epoch.max(epoch) + 1);
        }
    }

    /// Stands although a leader may be alive.
    pub(in super::super) fn insist(&mut self) {
        self.become_follower("stands against a leader");
        if let Some(until) = self.promised_until() {
            // The leader that it has promised its vote to is refused from now on, and when the
            // promise is over this node stands.
            self.observe(self.hard.epoch + 1);
            self.suspicion.insists = true;
            self.suspicion.deadline = until;
        } else if self.settings.majority {
            self.campaign(true);
        } else if self.needs_lock() {
            self.ask_for_lock();
        } else {
            self.claim(self.hard.epoch + 1);
        }
    }

    /// An operator wants this node to lead. The answer says that it has begun to try.
    pub(in super::super) fn promote(&mut self, origin: Origin) {
        if !self.may_stand() {
            let message = "it is no voter: it is new, has lost its disk, or has been removed";
            let failure = Failure::definite(FailureKind::Learner, message);
            return self.reply(origin, Outcome::Failed(failure));
        }
        if !matches!(self.role, Role::Leader(_)) {
            self.counters.elections_started += 1;
            self.insist();
        }
        let source = self.source(self.entries.last_index());
        self.reply(origin, Outcome::Done { answer: Answer::Written, source });
    }

    /// `election=manual`: nobody takes over by itself. A leader that was restarted goes on, and
    /// the first node of a new cluster begins.
    pub(super) fn resume(&mut self) {
        let begins = self.hard.claim == Claim::NONE
            && self.entries.last_index() == 0
            && self.peers.iter().all(|peer| *peer > self.me);
        if begins || self.hard.claim.leader == self.me {
            self.take_office(0);
        } else {
            self.become_follower("waits for an operator");
        }
    }

    /// A bully that has come back takes over from a lower leader at once, whatever it lacks. With
    /// `completeness` it could not win before it has caught up, so it does not try.
    pub(super) fn bullies(&self, claim: Claim) -> bool {
        self.settings.election == Election::Bully
            && !self.settings.completeness
            && !self.suspicion.settled
            && claim.leader < self.me
    }

    pub(super) fn claim(&mut self, epoch: u64) {
        let claim = Claim { epoch, leader: self.me };
        self.write_hard(HardState { epoch, voted_for: None, claim, ..self.hard });
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
