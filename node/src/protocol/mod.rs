//! The protocol core: one log, one core, protections as switches.
//!
//! # What it is
//!
//! A replicated store with a single leader is a point in a space of protections. This module is
//! the space. It keeps one log of [`Entry`]s, sends it from the leader to followers, decides what
//! is committed and applies that to the [`State`]. Raft is the corner of the space in which every
//! protection is on; asynchronous replication with failover to the freshest follower is another.
//! Both run these same lines: a protection is a value in [`Settings`], and the place where it
//! decides is one visible `if` or `match`:
//!
//! | protection | decided in |
//! |---|---|
//! | when a write is visible and acknowledged, `commit-own-epoch` | `acknowledge.rs` |
//! | when to stop waiting for followers: `fallback` | `semi_sync.rs` |
//! | which followers count: `replica-lag`, `min-in-sync` | `in_sync.rs` |
//! | whom to follow and whom to refuse: `fencing`, `demote` | `fence.rs` |
//! | what a read must wait for: `reads` | `read.rs`, `read_lease.rs` |
//! | what else a read may ask for: a bound on age, its own writes | `fresh.rs`, `session.rs` |
//! | what stands for entries that are no longer there | `snapshot.rs` |
//! | where a follower's log may be joined to: `log-matching`, and what is cut | `catch_up.rs` |
//! | who may lead: `election`, `majority`, `completeness`, `unclean-election` | `election/` |
//! | what is on disk before a vote is given: `durable-vote` | `election/durable_vote.rs` |
//! | which nodes are the cluster, and how that changes | `configuration.rs` |
//! | whose disk counts, and whose only learns: founders, learners, admission | `membership.rs` |
//! | when a follower applies, and what a winner does with the rest: `apply-delay`, `promote-by` | `relay.rs` |
//! | which way entries travel: `topology` | `topology.rs` |
//! | what waits for the disk | `barrier.rs` |
//! | what becomes of a request at a follower: `routing` | `route.rs` |
//! | whether a write that is sent again is done again: `idempotency` | `append.rs` |
//! | whether a resource sees the tokens of its writers: `resource-tokens` | `append.rs` |
//! | when a lock has run out | `lease_timers.rs` |
//! | where a statement finds out what it writes: `log-format` | `append.rs` |
//!
//! Mistakes that can be planted in them, for the judges to find, are listed in `plants.rs`.
//!
//! # How it is used
//!
//! The core is pure: no clock, no I/O, no threads, no randomness of its own. [`Input`]s go in with
//! the time at which they are handled, [`Effect`]s come out. The runtime feeds it from sockets,
//! the log and a timer; the simulation in this folder feeds it from a seeded schedule, so what the
//! tests prove is about the code that runs.
//!
//! ```text
//!   core.step(now, input)       any number of times: gathers notes, messages, replies
//!   core.finish(now)            closes the batch: one frame per follower, one write to the log
//!   core.next_timer()           when to step with Input::Tick at the latest
//! ```
//!
//! Effects are carried out in order. Messages of a leader to its followers come before the write
//! of its own log, so the disks of leader and followers work at the same time.
//!
//! # Words
//!
//! An *epoch* is the number of a leadership (Raft: term), a [`Claim`] is an epoch with who leads
//! in it, and an [`EntryId`] is a claim with an index. A follower follows one *upstream* at a time,
//! the latest claimant by the total order of claims. *Received* is what is in the log in memory,
//! *durable* what is on disk, *committed* what may be acknowledged, *applied* what the state
//! machine has done.

mod acknowledge;
mod append;
mod barrier;
mod catch_up;
mod configuration;
mod contact;
#[cfg(test)]
mod differential;
mod durable;
mod effect;
mod election;
mod entries;
mod entry;
mod fence;
mod fresh;
mod gtid;
mod gtid_set;
mod in_sync;
mod input;
mod leader;
mod lease_timers;
mod lineage;
mod membership;
mod message;
#[cfg(test)]
mod model_check;
mod plants;
mod point_in_time;
mod read;
mod read_lease;
mod relay;
mod replicate;
mod route;
#[cfg(test)]
mod scenarios;
mod semi_sync;
mod session;
#[cfg(test)]
mod simulation;
mod snapshot;
mod topology;
mod view;
mod wall_time;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

pub use barrier::Token;
pub use configuration::{ConfigurationChange, MEMBERS_MAX};
pub use durable::{
    Acceptor, Ballot, HardState, Note, RECORD_VERSION, Remembered, ReplayError, Saved,
};
pub use effect::{Effect, Report};
pub use election::lease::{LockAnswer, LockAsk};
pub use entry::{Claim, Encoded, Entry, EntryId, NodeId};
pub use gtid::Gtid;
pub use gtid_set::GtidSet;
pub use input::Input;
pub use lineage::Lineage;
pub use membership::{Incarnation, Member};
pub use message::{
    Acknowledgement, Failure, FailureKind, Message, Outcome, Request, RequestId, RoleName, Source,
    Vouched,
};
pub use plants::{PLANTS, Plant, Planted, Plants};
pub use point_in_time::{Point, PointError, Replayed};
pub use snapshot::{ImageError, Snapshot};
pub(crate) use topology::CHAIN_PATIENCE;
pub use view::{Counters, FollowerView, LeaseView, View};
pub use wall_time::WallTime;

use crate::config::Settings;
use crate::state::{Answer, Configuration, State};
use barrier::{Barrier, Held};
use configuration::Configured;
use election::lease::Lease;
use election::ring::{Passing, Round};
use election::{Candidate, Suspicion};
use entries::Entries;
use fresh::Freshness;
use leader::Leader;
use membership::Membership;
use relay::Relay;
use route::Forwards;
use snapshot::Snapshots;
use topology::Place;

/// Time since an arbitrary start, on a clock that never goes back.
pub type Now = Duration;

/// One node of the cluster, as a pure state machine.
#[derive(Debug)]
pub struct Core {
    me: NodeId,
    /// The other members.
    peers: Vec<NodeId>,
    /// The configuration that counts, and the one that counts if the log names none.
    configured: Configured,
    founders: Arc<Configuration>,
    /// Whether it was told that it has been removed, and has heard no leader since.
    removed: bool,
    settings: Settings,
    random: Xoshiro256PlusPlus,
    /// The randomness that statements see. It moves no time-out.
    dice: Xoshiro256PlusPlus,
    now: Now,
    /// The wall clock: for the times that entries carry, never for a decision.
    wall: WallTime,
    /// When it started.
    born: Now,
    /// The number of this process: another one after every restart.
    life: u64,
    hard: HardState,
    /// The token under which the hard state was last written.
    hard_token: Token,
    entries: Entries,
    durable: u64,
    committed: u64,
    state: State,
    snapshots: Snapshots,
    relay: Relay,
    place: Place,
    role: Role,
    freshness: Freshness,
    /// Reads that wait until an entry is applied.
    sessions: Vec<session::Waiting>,
    membership: Membership,
    suspicion: Suspicion,
    passing: Passing,
    lease: Lease,
    forwards: Forwards,
    /// What was compared too early, with [`Plant::CompareBeforeReplication`].
    compared: BTreeMap<EntryId, Answer>,
    barrier: Barrier,
    effects: Vec<Effect>,
    counters: Counters,
}

/// What a node is at the moment.
#[derive(Debug)]
enum Role {
    Follower {
        /// Whom it follows, if it has heard a leader since it became a follower.
        upstream: Option<Claim>,
        /// The last round of the upstream that it answered.
        round: u64,
    },
    Candidate(Candidate),
    Leader(Box<Leader>),
}

impl Core {
    /// A node that remembers what its log says, as a follower of nobody. `founders` are the other
    /// nodes of the cluster, unless its log names the members. `entropy` seeds the
    /// randomness of its timeouts and of statements. Everything in `remembered` must be on disk.
    pub fn new(
        me: NodeId,
        founders: Vec<NodeId>,
        settings: Settings,
        remembered: Remembered,
        entropy: u64,
        now: Now,
    ) -> Self {
        let plants = settings.plants;
        let first_forward = if plants.has(Plant::ReuseRequestNumber) { 0 } else { entropy };
        let blank = remembered.hard == HardState::default() && remembered.last_index() == 0;
        let founders = Configuration::of_founders(founders.into_iter().chain([me]));
        let founders = Arc::new(founders);
        let mut core = Core {
            me,
            peers: Vec::new(),
            configured: Configured::new(Arc::clone(&founders), EntryId::ORIGIN, me),
            founders,
            removed: false,
            settings,
            random: Xoshiro256PlusPlus::seed_from_u64(entropy),
            dice: Xoshiro256PlusPlus::seed_from_u64(entropy.rotate_left(32)),
            now,
            wall: WallTime::default(),
            born: now,
            life: entropy,
            hard: remembered.hard,
            hard_token: Token::default(),
            durable: remembered.entries.last_index(),
            entries: remembered.entries,
            committed: remembered.snapshot.last.index,
            state: remembered.snapshot.state.clone(),
            snapshots: Snapshots::new(remembered.snapshot),
            relay: Relay::default(),
            place: Place::unknown(Claim::NONE),
            role: Role::Follower { upstream: None, round: 0 },
            freshness: Freshness::default(),
            sessions: Vec::new(),
            membership: Membership::default(),
            suspicion: Suspicion::default(),
            passing: Passing::new(),
            lease: Lease::default(),
            forwards: Forwards::new(first_forward),
            compared: BTreeMap::new(),
            barrier: Barrier::default(),
            effects: Vec::new(),
            counters: Counters::default(),
        };
        core.configure_by_log();
        core.restart_suspicion();
        if core.plant(Plant::ApplyTwice) {
            core.apply_log_uncounted();
        }
        core.begin_membership(remembered.member, blank);
        core
    }

    /// Handles one input. What comes of it is gathered until [`Core::finish`].
    pub fn step(&mut self, now: Now, input: Input) {
        self.now = self.now.max(now);
        self.mind_lease();
        match input {
            Input::Message { from, message } => self.receive(from, message),
            Input::Request { id, request, deadline } => self.request(id, request, deadline),
            Input::Flushed(token) => {
                for held in self.barrier.flushed(token) {
                    self.release(held);
                }
            }
            Input::Saved { number, bytes } => self.saved(number, bytes),
            Input::Unsent(forward) => self.forward_unsent(forward),
            Input::LinkLost(peer) => self.forwards_lost(Some(peer)),
            Input::Closed(peer) => self.leader_closed(peer),
            Input::Clock(wall) => self.wall = wall,
            Input::Lock { number, answer } => self.on_lock(number, answer),
            Input::Tick => self.tick(),
        }
    }

    /// Closes a batch of inputs: what the node must now do, in this order.
    pub fn finish(&mut self, now: Now) -> Vec<Effect> {
        self.now = self.now.max(now);
        self.mind_lease();
        self.lead();
        self.review_sessions();
        self.consider_snapshot();
        if let Some((notes, token)) = self.barrier.submit() {
            self.effects.push(Effect::Persist { notes, token });
        }
        if let Some(upto) = self.purge() {
            self.effects.push(Effect::Purge { upto });
        }
        std::mem::take(&mut self.effects)
    }

    fn receive(&mut self, from: NodeId, message: Message) {
        if from == self.me || self.is_disturbed_by(from, &message) {
            return;
        }
        if !self.votes() && !Self::concerns_learners(&message) {
            return;
        }
        let Some(message) = self.unsigned(from, message) else { return };
        match message {
            Message::PreVote { epoch, last } => self.on_pre_vote(from, epoch, last),
            Message::PreVoteReply { asked, epoch, granted } => {
                self.on_pre_vote_reply(from, asked, epoch, granted);
            }
            Message::Vote { epoch, last } => self.on_vote(from, epoch, last),
            Message::VoteReply { epoch, granted } => self.on_vote_reply(from, epoch, granted),
            Message::Ask { ask, last } => self.on_ask(from, ask, last),
            Message::Position { ask, epoch, last, served, alive } => {
                self.on_position(from, ask, (epoch, last, served), alive);
            }
            Message::Round { origin, ask, seen, epoch, alive } => {
                self.on_round(from, Round { origin, ask, seen, epoch, alive });
            }
            Message::RoundTaken { origin, ask } => self.on_round_taken(origin, ask),
            Message::Nominate { epoch } => self.on_nominate(epoch),
            Message::Prepare { epoch, ballot, configuration } => {
                self.on_prepare(from, (epoch, ballot), configuration);
            }
            Message::Promise { epoch, ballot, last, accepted } => {
                self.on_promise(from, (epoch, ballot), (last, accepted));
            }
            Message::Accept { epoch, ballot, leader } => {
                self.on_accept(from, (epoch, ballot), leader);
            }
            Message::Accepted { epoch, ballot } => self.on_accepted(from, epoch, ballot),
            Message::Outbid { epoch, ballot } => self.on_outbid(epoch, ballot),
            Message::Chosen { claim } => self.on_chosen(claim),
            Message::Append { claim, round, prev, entries, committed, vouched } => {
                if claim.leader == from {
                    self.on_append(claim, round, prev, entries, (committed, vouched));
                }
            }
            Message::Alive { claim, round, life } => {
                self.on_alive(from, claim, Vouched { life, round });
            }
            Message::Matched { claim, round, life, upto } => {
                self.on_matched(from, claim, Vouched { life, round }, upto);
            }
            Message::Received { claim, upto } => self.on_received(from, claim, upto),
            Message::Applied { claim, upto } => self.on_applied(from, claim, upto),
            Message::Mismatch { claim, round, prev, hint } => {
                self.on_mismatch(from, claim, round, prev, hint);
            }
            Message::Snapshot { claim, round, last, replaces, size, offset, chunk } => {
                if claim.leader == from {
                    self.on_snapshot(claim, round, last, replaces, size, offset, &chunk.0);
                }
            }
            Message::SnapshotGot { claim, round, last, upto } => {
                self.on_snapshot_got(from, claim, round, last, upto);
            }
            Message::Refused { epoch, claim } => self.on_refused(epoch, claim),
            Message::Forward { id, request, patience_ms } => {
                self.on_forward(from, id, request, patience_ms);
            }
            Message::Forwarded { id, outcome } => self.on_forwarded(id, outcome),
            Message::Founding { incarnation, heard, asks } => {
                self.on_founding(from, incarnation, &heard, asks);
            }
            Message::Admitted { claim, incarnation } => self.on_admitted(from, claim, incarnation),
            Message::Placed { claim, upstream, downstream } => {
                self.on_placed(from, claim, upstream, downstream);
            }
            Message::Relayed { claim, prev, entries, committed } => {
                self.on_relayed(from, claim, prev, entries, committed);
            }
            Message::Succeed { claim } => self.on_succeed(from, claim),
            Message::Removed { index } => self.on_removed(index),
            // A signature under a signature is nobody's.
            Message::As { .. } => {}
        }
    }

    /// Does what was held until it was durable. Called by the barrier's release alone.
    fn release(&mut self, held: Held) {
        match held {
            Held::Send(to, message) => self.send(to, message),
            // The entry may have been cut while it was on its way to disk.
            Held::Durable(id) if self.entries.contains(id) => {
                self.durable = self.durable.max(id.index);
                self.acknowledge();
            }
            Held::Durable(_) => {}
            Held::OwnVote(epoch) => self.own_vote_is_durable(epoch),
            Held::OwnPromise(epoch, ballot) => self.own_promise_is_durable(epoch, ballot),
            Held::OwnAcceptance(epoch, ballot) => self.on_accepted(self.me, epoch, ballot),
            Held::Claimed(claim) => self.claim_is_durable(claim),
            Held::Votes => self.franchise_is_durable(),
        }
    }

    fn once_durable(&mut self, held: Held) {
        if self.plant(Plant::AcknowledgeBeforeFsync) && held.acknowledges() {
            return self.release(held);
        }
        if let Some(held) = self.barrier.hold(held) {
            self.release(held);
        }
    }

    /// Hard state changes here alone.
    fn write_hard(&mut self, hard: HardState) {
        if hard == self.hard {
            return;
        }
        self.hard = hard;
        self.barrier.write(Note::Hard(self.durable_hard()));
        self.hard_token = self.barrier.newest();
    }

    fn send(&mut self, to: NodeId, message: Message) {
        let message = self.signed(message);
        self.effects.push(Effect::Send { to, message });
    }

    fn report(&mut self, report: Report) {
        self.effects.push(Effect::Report(report));
    }

    /// How many voters are a majority of the cluster.
    fn majority(&self) -> usize {
        self.configured.majority()
    }

    fn role_name(&self) -> RoleName {
        match self.role {
            Role::Follower { .. } => RoleName::Follower,
            Role::Candidate(_) => RoleName::Candidate,
            Role::Leader(_) => RoleName::Leader,
        }
    }

    /// Whom the node takes for the leader.
    fn leader(&self) -> Option<NodeId> {
        match &self.role {
            Role::Follower { upstream, .. } => upstream.map(|claim| claim.leader),
            Role::Candidate(_) => None,
            Role::Leader(_) => Some(self.me),
        }
    }

    /// The epoch a client or a report should see: the leader's own while leading.
    fn epoch(&self) -> u64 {
        match &self.role {
            Role::Leader(leader) => leader.claim.epoch,
            Role::Follower { upstream: Some(claim), .. } => claim.epoch,
            _ => self.hard.epoch,
        }
    }

    fn source(&self, index: u64) -> Source {
        Source {
            node: self.me,
            role: self.role_name(),
            epoch: self.epoch(),
            index,
            gtid: self.entries.id_at(index).filter(|id| id.claim != Claim::NONE),
            leader: self.leader(),
            lag_entries: self.lag_entries(),
            lag_ms: self.staleness().map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
            acknowledgement: None,
        }
    }
}

/// The `majority`-th greatest of the leader's own position and those of its followers: what that
/// many nodes have reached.
fn reached_by(majority: usize, own: u64, followers: impl Iterator<Item = u64>) -> u64 {
    let mut positions: Vec<u64> = followers.chain([own]).collect();
    positions.sort_unstable_by(|a, b| b.cmp(a));
    positions.get(majority.saturating_sub(1)).copied().unwrap_or(0)
}

/// Per-follower things of a leader, in the order of node numbers.
type PerFollower<T> = BTreeMap<NodeId, T>;
