//! What a node holds and does because it leads.

use std::collections::VecDeque;

use super::acknowledge::Answered;
use super::contact::Contact;
use super::lease_timers::LeaseTimers;
use super::membership::Known;
use super::read::Reads;
use super::topology::Feed;
use super::{
    Claim, Core, Encoded, EntryId, Failure, FailureKind, HardState, Held, NodeId, Now, Outcome,
    PerFollower, Plant, Report, RequestId, Role, Vouched,
};
use crate::config::Level;
use crate::state::Command;

/// A leader's bookkeeping. It dies with the leadership.
#[derive(Debug)]
pub(super) struct Leader {
    /// As whom it leads.
    pub(super) claim: Claim,
    /// What must be committed before reads are served: the first entry of its own, or without one
    /// the last that it found.
    pub(super) epoch_start: u64,
    /// How far each follower is.
    pub(super) followers: PerFollower<Progress>,
    /// The number of the last round of messages to all followers.
    pub(super) round: u64,
    pub(super) heartbeat_at: Now,
    /// When the chain of followers is next looked at.
    pub(super) arrange_at: Now,
    pub(super) contact: Contact,
    /// When to give way to a later claimant that was met.
    pub(super) demote_at: Option<Now>,
    pub(super) reads: Reads,
    /// Who waits for which entry, in log order.
    pub(super) pending: VecDeque<(EntryId, Origin)>,
    /// Writes that are visible and not acknowledged yet, in log order.
    pub(super) answered: VecDeque<Answered>,
    /// How far writes are acknowledged.
    pub(super) acknowledged: u64,
    /// How far followers were last told that the log is committed.
    pub(super) told: u64,
    /// Since when something waits for followers and none has confirmed anything that helps; later
    /// by all the time that this process slept meanwhile.
    pub(super) waits_since: Option<Now>,
    /// Whether semi-synchronous replication has given up waiting.
    pub(super) goes_alone: bool,
    /// The last entry that was announced to the barrier.
    pub(super) announced: u64,
    /// The time to live of every lock.
    pub(super) leases: LeaseTimers,
}

/// What a leader knows of one follower.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    /// The next entry to send.
    pub(super) next: u64,
    /// The last entry known to be on the follower's disk.
    pub(super) matched: u64,
    /// The last entry it said to have in memory, with `level=received`.
    pub(super) received: u64,
    /// The last entry it said to have applied, with `level=applied`.
    pub(super) applied: u64,
    /// Whether it belongs to the in-sync set.
    pub(super) in_sync: bool,
    /// A past end of the leader's log and when it was the end.
    pub(super) aim: (u64, Now),
    /// The latest moment of which it holds all that the leader held then.
    pub(super) caught_up: Now,
    /// The last round it answered.
    pub(super) round: u64,
    /// The last round that it answered, by which process of it.
    pub(super) answered: Vouched,
    /// What that was when the round began whose confirmation is awaited.
    pub(super) vouching: Vouched,
    /// The same of the last round that was confirmed.
    pub(super) vouched: Vouched,
    /// When it was last heard.
    pub(super) heard: Now,
    /// Whether it is not known where the logs agree, so that no entries are sent.
    pub(super) probing: bool,
    /// The snapshot it is being sent instead of entries that the log no longer has.
    pub(super) transfer: Option<Transfer>,
    /// How entries reach it.
    pub(super) feed: Feed,
    /// Whether the configuration gives it a vote.
    pub(super) voter: bool,
    /// Which of its disks speaks, and whether that counts.
    pub(super) membership: Known,
}

impl Progress {
    /// Of a follower of which nothing is known but that entries from `next` on are new to it.
    pub(super) fn unknown(next: u64, now: Now) -> Self {
        Progress {
            next,
            matched: 0,
            received: 0,
            applied: 0,
            in_sync: false,
            aim: (next - 1, now),
            caught_up: now,
            round: 0,
            answered: Vouched::default(),
            vouching: Vouched::default(),
            vouched: Vouched::default(),
            heard: now,
            probing: true,
            transfer: None,
            feed: Feed::default(),
            voter: false,
            membership: Known::default(),
        }
    }
}

/// A snapshot on its way to a follower.
#[derive(Clone, Debug)]
pub(super) struct Transfer {
    /// The last entry that it stands for.
    pub(super) last: EntryId,
    /// What it may replace.
    pub(super) replaces: Option<EntryId>,
    /// Its bytes.
    pub(super) image: Encoded,
    /// How many of them the follower has.
    pub(super) acked: u64,
    /// The round in which bytes were last sent.
    pub(super) sent_in: u64,
}

/// Where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A client of this node.
    Client(RequestId),
    /// A client of another node, by its number there.
    Peer(NodeId, RequestId),
}

impl Core {
    /// Takes the lead. The claim must be on disk, or the votes for it must.
    pub(super) fn become_leader(&mut self, claim: Claim) {
        self.promote_log(claim);
        let next = self.entries.last_index() + 1;
        // Most likely a follower has what the leader has.
        let progress = |node: &NodeId| {
            let voter = self.configured.is_voter(*node);
            let fresh = Progress::unknown(next, self.now);
            Progress { voter, in_sync: voter, probing: false, ..fresh }
        };
        let followers = self.peers.iter().map(|peer| (*peer, progress(peer))).collect();
        self.write_hard(HardState { claim, ..self.hard });
        self.role = Role::Leader(Box::new(Leader {
            claim,
            epoch_start: next - 1,
            followers,
            round: 0,
            heartbeat_at: self.now,
            arrange_at: self.now,
            contact: Contact::default(),
            demote_at: None,
            reads: Reads::default(),
            pending: VecDeque::new(),
            answered: VecDeque::new(),
            acknowledged: 0,
            told: 0,
            waits_since: None,
            goes_alone: false,
            announced: next - 1,
            leases: LeaseTimers::default(),
        }));
        self.count_leases();
        self.suspicion.settled = true;
        self.counters.elections_won += 1;
        self.report(Report::Leads(claim));
        self.forwards_lost(None);
        if self.commits_own_epoch() {
            // An entry of its own settles what it found: followers learn where to cut, and once it
            // is committed the leader knows how far its predecessors had committed.
            let start = self.append(&Command::Noop.into()).index;
            if let Role::Leader(leader) = &mut self.role {
                leader.epoch_start = start;
            }
        }
        self.acknowledge();
        self.heartbeat();
    }

    /// What a leader does at the end of every batch of inputs: one frame per follower, one round
    /// for all reads, one announcement of its own entries.
    pub(super) fn lead(&mut self) {
        if !matches!(self.role, Role::Leader(_)) {
            return;
        }
        self.start_round();
        self.tell_committed();
        self.replicate();
        let last = self.entries.last();
        if let Role::Leader(leader) = &mut self.role
            && leader.announced < last.index
        {
            leader.announced = last.index;
            self.once_durable(Held::Durable(last));
        }
        self.watch_semi_sync();
        self.serve_reads();
        self.leave_office();
    }

    /// Followers learn of a commit with the next message. When a writer waits for them to apply
    /// what is committed, that message is due now.
    fn tell_committed(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let waits = self.settings.level == Level::Applied && !leader.answered.is_empty();
        if waits && leader.told < self.committed {
            self.heartbeat();
        }
    }

    /// The timers of a leader.
    pub(super) fn tick_leader(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        if leader.demote_at.is_some_and(|at| self.now >= at) {
            return self.become_follower("gives way to a later claimant");
        }
        let slept = self.now.saturating_sub(leader.heartbeat_at);
        let overslept = slept > 2 * self.settings.heartbeat;
        if overslept {
            // What followers confirmed while this process slept may wait in its sockets: that was
            // no time in which they were silent.
            let asleep = |since: Now| self.now.saturating_sub(since.max(leader.heartbeat_at));
            leader.waits_since = leader.waits_since.map(|since| since + asleep(since));
        }
        self.tick_semi_sync();
        self.tick_leases();
        let Role::Leader(leader) = &mut self.role else { return };
        if self.now < leader.heartbeat_at {
            return;
        }
        if overslept {
            // The same for check-quorum: give followers one more heartbeat to be heard. No answer
            // to a client depends on it.
            let floor = (self.now + 2 * self.settings.heartbeat)
                .saturating_sub(self.settings.election_timeout_max());
            for progress in leader.followers.values_mut() {
                progress.heard = progress.heard.max(floor);
                // The same for the in-sync set.
                let lag = self.settings.replica_lag.saturating_sub(2 * self.settings.heartbeat);
                progress.caught_up = progress.caught_up.max(self.now.saturating_sub(lag));
            }
        }
        if self.lost_majority() {
            return self.become_follower("a majority is silent");
        }
        self.tick_in_sync();
        self.heartbeat();
    }

    /// Check-quorum: a leader elected by a majority stays one only in contact with a majority.
    fn lost_majority(&self) -> bool {
        let Role::Leader(leader) = &self.role else { return false };
        if !self.settings.majority {
            return false;
        }
        let since = self.now.saturating_sub(self.settings.election_timeout_max());
        let heard = leader.voters().filter(|voter| voter.heard >= since).count();
        heard + usize::from(self.configured.votes) < self.majority()
    }

    /// Whether a message was meant for the leadership this node is in now. Everything else is a
    /// late answer to an earlier one and must not move anything.
    pub(super) fn leads_as(&mut self, claim: Claim) -> Option<&mut Leader> {
        match &mut self.role {
            Role::Leader(leader) if leader.claim == claim => Some(leader),
            _ => None,
        }
    }

    pub(super) fn leadership_lost(&mut self, origin: Origin, is_write: bool) {
        let message = "the leader lost its leadership before the request was confirmed";
        let failure = Failure {
            definite: !is_write || self.plant(Plant::DefiniteWhenUnknown),
            ..Failure::indefinite(FailureKind::LeadershipLost, message)
        };
        self.reply(origin, Outcome::Failed(failure));
    }

    /// When a leader's next timer is due.
    pub(super) fn leader_timer(&self, leader: &Leader) -> Now {
        let others = [leader.demote_at, self.fallback_at(leader), leader.leases.next()];
        others.into_iter().flatten().fold(leader.heartbeat_at, Now::min)
    }
}
