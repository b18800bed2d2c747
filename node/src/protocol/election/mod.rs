//! Who may lead: suspicion of a silent leader, and what follows from it: `election`.
//!
//! A follower that has not heard its leader for a random time, from the one that [`arrivals`]
//! tolerates to twice that, suspects it. What it does then is
//! the election's business: in [`raft`] it stands itself, in [`paxos`] it has a majority choose, in
//! [`ask`] and [`ring`] it finds out who should stand, and [`office`] turns that into a leader, with
//! votes or without. The rest of the core does not know which.

mod arrivals;
mod ask;
mod durable_vote;
pub(super) mod lease;
mod office;
pub(super) mod paxos;
mod raft;
pub(super) mod ring;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::RngExt;

use super::{Ballot, Claim, Core, EntryId, Message, NodeId, Now, Report, Role};
use crate::config::Election;
use arrivals::Arrivals;

/// When to suspect the leader.
#[derive(Debug, Default)]
pub(super) struct Suspicion {
    /// The end of a follower's patience, or of a candidate's.
    pub(super) deadline: Now,
    /// When the leader was last heard, unless its connection was closed since.
    pub(super) heard: Option<Now>,
    /// The leader that was suspected and has not been heard since.
    pub(super) suspected: Option<Claim>,
    /// Whether a bully has met a lower leader, which it is about to depose.
    pub(super) insists: bool,
    /// When a leader was last heard, whatever became of its connection: a promise to it begins.
    pub(super) promised: Now,
    /// Whether a leader has been met since the start.
    pub(super) settled: bool,
    /// How the leader was heard so far.
    arrivals: Arrivals,
}

/// A node that stands for election. What it waits for ends with [`Suspicion::deadline`].
#[derive(Debug)]
pub(super) enum Candidate {
    /// It asks who would vote for it in an epoch. Itself included.
    PreVote { epoch: u64, granted: BTreeSet<NodeId> },
    /// It asks for votes in its epoch. It counts itself when its own vote is on disk.
    Vote { epoch: u64, granted: BTreeSet<NodeId> },
    /// It asks how far everybody is.
    Asking {
        ask: u64,
        /// How many were asked.
        asked: usize,
        /// Its own rank when it asked.
        mine: (EntryId, u64, NodeId),
        positions: BTreeMap<NodeId, ask::Position>,
    },
    /// It asks for promises to its ballot in the epoch it is in. It counts its own when that is on
    /// disk.
    Preparing { ballot: Ballot, promises: BTreeMap<NodeId, paxos::Promised>, insists: bool },
    /// It proposes who leads in the epoch it is in, and counts who accepted.
    Proposing { ballot: Ballot, leader: NodeId, by: BTreeSet<NodeId> },
    /// It has asked for the lock.
    Locking,
    /// It has claimed leadership and waits for its disk.
    Claiming(Claim),
}

/// A leader's closed connection hastens suspicion to a random moment within this span. All
/// followers see it at once, so the spread is what keeps them from splitting the vote.
const HASTE: Duration = Duration::from_millis(50);

impl Core {
    /// Time passed.
    pub(super) fn tick(&mut self) {
        self.forget_forwards();
        self.apply_due();
        self.tick_ring();
        self.tick_lease();
        if matches!(self.role, Role::Leader(_)) {
            return self.tick_leader();
        }
        if !self.may_stand() {
            return self.tick_learner();
        }
        if self.now < self.suspicion.deadline {
            return;
        }
        let late = self.now - self.suspicion.deadline;
        if late > 2 * self.settings.heartbeat {
            // A timer that fires this late says that this process slept, not that the leader did:
            // what the leader sent meanwhile waits in the sockets.
            self.suspicion.deadline = self.now + self.settings.heartbeat;
            return;
        }
        match &self.role {
            _ if std::mem::take(&mut self.suspicion.insists) => {
                self.counters.elections_started += 1;
                self.insist();
            }
            Role::Candidate(Candidate::Asking { .. }) if self.rings() => {
                self.become_follower("its round did not come back");
            }
            Role::Candidate(Candidate::Asking { .. }) => self.close_question(),
            _ => self.suspect(),
        }
    }

    /// When [`Core::step`] must be called with a tick at the latest.
    pub fn next_timer(&self) -> Now {
        let due = match &self.role {
            Role::Leader(leader) => self.leader_timer(leader),
            _ => self.suspicion.deadline,
        };
        let others = [self.ring_timer(), self.lease_timer(), self.relay.timer()];
        others.into_iter().flatten().fold(due, Now::min)
    }

    fn rings(&self) -> bool {
        self.settings.election == Election::Ring
    }

    fn suspect(&mut self) {
        let suspected = match &self.role {
            Role::Follower { upstream, .. } => *upstream,
            _ => None,
        };
        self.give_up_lock();
        self.suspicion.suspected = suspected.or(self.suspicion.suspected);
        self.suspicion.heard = None;
        self.counters.elections_started += 1;
        self.report(Report::Suspects(suspected));
        match self.settings.election {
            Election::Raft | Election::Paxos => self.start_pre_vote(),
            Election::Lease => self.take_office(0),
            Election::MostRecent | Election::Seniority | Election::Bully => self.ask_positions(),
            Election::Ring => self.start_ring(),
            Election::Manual => self.resume(),
        }
    }

    /// The upstream has made itself heard.
    pub(super) fn leader_heard(&mut self, claim: Claim) {
        if self.suspicion.suspected.take() == Some(claim) {
            self.counters.false_suspicions += 1;
        }
        // Several messages may come before the tick that acts on it.
        let bullies = self.suspicion.insists || self.bullies(claim);
        self.suspicion.heard = Some(self.now);
        self.suspicion.promised = self.now;
        self.suspicion.settled = true;
        self.removed = false;
        self.observe_arrival();
        self.restart_suspicion();
        if bullies {
            self.suspicion.insists = true;
            self.suspicion.deadline = self.now;
        }
    }

    /// A new, random span of patience.
    pub(super) fn restart_suspicion(&mut self) {
        self.suspicion.deadline = self.now + self.patience();
    }

    fn patience(&mut self) -> Duration {
        let shortest = self.tolerated_silence();
        shortest + shortest.mul_f64(self.random.random_range(0.0..1.0))
    }

    /// The last connection from a node was closed.
    pub(super) fn leader_closed(&mut self, peer: NodeId) {
        if self.upstream_leader() != Some(peer) {
            return;
        }
        self.suspicion.heard = None;
        let earliest = self.promised_until().unwrap_or(self.now);
        let soon = earliest + HASTE.mul_f64(self.random.random_range(0.1..1.0));
        self.suspicion.deadline = self.suspicion.deadline.min(soon);
    }

    /// Says something to all that vote, as traffic of an election.
    fn ask_everyone(&mut self, message: &Message) {
        for voter in self.other_voters() {
            self.counters.election_messages += 1;
            self.send(voter, message.clone());
        }
    }
}
