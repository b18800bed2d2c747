//! Election by agreement: of each epoch a majority chooses one value, who leads in it:
//! `election=paxos`, `completeness` (Lamport, "Paxos made simple", 2001).
//!
//! Every epoch is one instance of single-decree Paxos. Every node is an acceptor, whoever misses
//! the leader is a proposer, and the value is a node:
//!
//! ```text
//!   proposer                      acceptors
//!     Prepare  ballot  ────────────>   promise to refuse earlier ballots
//!     <────────────────────  Promise   last entry, value accepted before
//!     Accept   ballot, leader ─────>   unless promised to a later ballot
//!     <───────────────────  Accepted
//!     Chosen   ──> the leader, which puts its claim on disk and leads
//! ```
//!
//! A proposer that a majority has promised itself to is bound: if one of them has accepted a
//! value, the one of the latest ballot may have been chosen, and is proposed again. If none has,
//! the proposer is free, and with `completeness` proposes whoever has the best log among them, as
//! Viewstamped Replication picks it (Liskov and Cowling, "Viewstamped Replication revisited",
//! 2012, section 4.2); without it, itself. A promise in an epoch refuses the leaders of all earlier
//! ones, so nothing is committed behind the back of those whose logs were compared.
//!
//! Two proposers that meet outbid each other in one epoch until one is done; random patience keeps
//! them apart. Whether to begin at all is asked as under [`super::raft`], by a pre-vote.

use std::collections::{BTreeMap, BTreeSet};

use super::super::barrier::Held;
use super::super::{Acceptor, Ballot, Claim, Core, EntryId, HardState, Message, NodeId, Role};
use super::Candidate;

/// A value and the ballot in which it was accepted.
type Accepted = (Ballot, NodeId);

/// What an acceptor said when it promised: the end of its log, and what it had accepted.
pub(in super::super) type Promised = (EntryId, Option<Accepted>);

impl Core {
    /// The epoch that a proposer tries to settle: the one it has promised itself to, unless its
    /// leader is known.
    pub(super) fn unsettled_epoch(&self) -> u64 {
        self.hard.epoch.max(self.hard.claim.epoch + 1)
    }

    /// What this node has promised and accepted in an epoch.
    fn acceptor(&self, epoch: u64) -> Acceptor {
        let acceptor = self.hard.acceptor;
        if acceptor.epoch == epoch { acceptor } else { Acceptor { epoch, ..Acceptor::default() } }
    }

    fn write_acceptor(&mut self, acceptor: Acceptor) {
        let epoch = self.hard.epoch.max(acceptor.epoch);
        self.write_hard(HardState { epoch, acceptor, ..self.hard });
    }

    /// Phase 1a: a ballot of this node's own, later than any it has heard of in this epoch.
    /// `insists` says that an operator wants it, whoever leads.
    pub(super) fn prepare(&mut self, insists: bool) {
        let epoch = self.unsettled_epoch();
        let acceptor = self.acceptor(epoch);
        let ballot = Ballot { number: acceptor.promised.number + 1, proposer: self.me };
        let promises = BTreeMap::new();
        self.role = Role::Candidate(Candidate::Preparing { ballot, promises, insists });
        self.restart_suspicion();
        self.write_acceptor(Acceptor { promised: ballot, ..acceptor });
        let configuration = self.configured.id;
        for voter in self.other_voters() {
            self.counters.election_messages += 1;
            // Another Prepare of this ballot, sent after a crash, would be another proposer's.
            let prepare = Message::Prepare { epoch, ballot, configuration };
            self.once_vote_is_durable(Held::Send(voter, prepare));
        }
        self.once_vote_is_durable(Held::OwnPromise(epoch, ballot));
    }

    /// Phase 1b.
    pub(in super::super) fn on_prepare(
        &mut self,
        from: NodeId,
        (epoch, ballot): (u64, Ballot),
        configuration: EntryId,
    ) {
        if configuration < self.configured.id {
            // Its majority may be none any more (`configuration.rs`).
            return;
        }
        // Who has promised itself to a ballot confirms no earlier leader any more, so this is
        // where a lease is respected; acceptances need not ask again.
        if self.carries_a_lease() || !self.admits_ballot(from, epoch, ballot) {
            return;
        }
        let acceptor = Acceptor { promised: ballot, ..self.acceptor(epoch) };
        self.write_acceptor(acceptor);
        let (last, accepted) = (self.entries.last(), acceptor.accepted);
        let promise = Message::Promise { epoch, ballot, last, accepted };
        self.once_vote_is_durable(Held::Send(from, promise));
    }

    /// Whether a proposer's ballot is still of interest. If not, the proposer is told why.
    fn admits_ballot(&mut self, from: NodeId, epoch: u64, ballot: Ballot) -> bool {
        self.counters.election_messages += 1;
        self.observe(epoch);
        if epoch <= self.hard.claim.epoch {
            self.send(from, Message::Chosen { claim: self.hard.claim });
            return false;
        }
        let promised = self.acceptor(self.hard.epoch).promised;
        if epoch < self.hard.epoch || (epoch == self.hard.epoch && ballot < promised) {
            self.send(from, Message::Outbid { epoch: self.hard.epoch, ballot: promised });
            return false;
        }
        if matches!(self.role, Role::Candidate(_)) {
            // Its own ballot, if it has one, is void from here on.
            self.become_follower("a later ballot");
        }
        self.restart_suspicion();
        true
    }

    /// Somebody has promised itself to a later ballot or epoch. The next try goes beyond it.
    pub(in super::super) fn on_outbid(&mut self, epoch: u64, ballot: Ballot) {
        self.observe(epoch);
        let acceptor = self.acceptor(epoch);
        if epoch != self.hard.epoch || ballot <= acceptor.promised {
            return;
        }
        self.write_acceptor(Acceptor { promised: ballot, ..acceptor });
        if matches!(self.role, Role::Candidate(_)) {
            self.become_follower("outbid");
        }
    }

    pub(in super::super) fn on_promise(
        &mut self,
        from: NodeId,
        (epoch, ballot): (u64, Ballot),
        promise: Promised,
    ) {
        let current = self.hard.epoch == epoch;
        let counts = self.configured.is_voter(from);
        let needed = self.votes_needed();
        let Role::Candidate(Candidate::Preparing { ballot: own, promises, .. }) = &mut self.role
        else {
            return;
        };
        if !current || *own != ballot || !counts {
            return;
        }
        promises.insert(from, promise);
        if promises.len() >= needed {
            let leader = self.proposal();
            self.propose(epoch, ballot, leader);
        }
    }

    pub(in super::super) fn own_promise_is_durable(&mut self, epoch: u64, ballot: Ballot) {
        let promise = (self.entries.last(), self.acceptor(epoch).accepted);
        self.on_promise(self.me, (epoch, ballot), promise);
    }

    /// The value to propose, from what a majority said.
    fn proposal(&self) -> NodeId {
        let Role::Candidate(Candidate::Preparing { promises, .. }) = &self.role else {
            return self.me;
        };
        if let Some((_, bound)) = promises.values().filter_map(|(_, accepted)| *accepted).max() {
            return bound;
        }
        if !self.settings.completeness {
            return self.me;
        }
        let by_log = promises.iter().map(|(node, (last, _))| (*last, *node == self.me, *node));
        by_log.max().map_or(self.me, |(_, _, node)| node)
    }

    /// Phase 2a.
    fn propose(&mut self, epoch: u64, ballot: Ballot, leader: NodeId) {
        let by = BTreeSet::new();
        self.role = Role::Candidate(Candidate::Proposing { ballot, leader, by });
        self.ask_everyone(&Message::Accept { epoch, ballot, leader });
        self.write_acceptor(Acceptor { epoch, promised: ballot, accepted: Some((ballot, leader)) });
        self.once_vote_is_durable(Held::OwnAcceptance(epoch, ballot));
    }

    /// Phase 2b.
    pub(in super::super) fn on_accept(
        &mut self,
        from: NodeId,
        (epoch, ballot): (u64, Ballot),
        leader: NodeId,
    ) {
        if self.admits_ballot(from, epoch, ballot) {
            let accepted = Some((ballot, leader));
            self.write_acceptor(Acceptor { epoch, promised: ballot, accepted });
            self.once_vote_is_durable(Held::Send(from, Message::Accepted { epoch, ballot }));
        }
    }

    pub(in super::super) fn on_accepted(&mut self, from: NodeId, epoch: u64, ballot: Ballot) {
        let current = self.hard.epoch == epoch;
        let counts = self.configured.is_voter(from);
        let needed = self.votes_needed();
        let Role::Candidate(Candidate::Proposing { ballot: own, leader, by }) = &mut self.role
        else {
            return;
        };
        if !current || *own != ballot || !counts {
            return;
        }
        by.insert(from);
        if by.len() < needed {
            return;
        }
        let claim = Claim { epoch, leader: *leader };
        if claim.leader != self.me {
            self.counters.election_messages += 1;
            self.send(claim.leader, Message::Chosen { claim });
        }
        self.on_chosen(claim);
    }

    /// A majority has accepted who leads in an epoch.
    pub(in super::super) fn on_chosen(&mut self, claim: Claim) {
        // A node that has led in an epoch and was restarted must not lead in it again: its entries
        // would have the identities of others that it has forgotten.
        if claim.epoch < self.hard.epoch || claim <= self.hard.claim {
            return;
        }
        let insists =
            matches!(self.role, Role::Candidate(Candidate::Preparing { insists: true, .. }));
        if claim.leader == self.me {
            self.become_follower("is chosen to lead a later epoch");
            self.claim(claim.epoch);
        } else if self.admit(claim) {
            self.restart_suspicion();
            if insists {
                // That epoch was settled before this node was told to lead: the next one is not.
                self.suspicion.insists = true;
                self.suspicion.deadline = self.now;
            }
        }
    }
}
