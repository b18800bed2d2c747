//! What comes out of the core: everything a node must do, in this order, and what people want to
//! read of it in the node's log.

use std::sync::Arc;

use super::barrier::Token;
use super::durable::Note;
use super::election::lease::LockAsk;
use super::entry::{Claim, Entry, EntryId, NodeId};
use super::gtid_set::GtidSet;
use super::message::{Message, Outcome, RequestId};
use super::snapshot::Snapshot;
use crate::state::Configuration;

/// Something the node must do. Effects are carried out in order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Send a message. It may be dropped.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        message: Message,
    },
    /// Write these to the log and report [`Input::Flushed`](super::Input::Flushed) when they are on disk.
    Persist {
        /// In this order.
        notes: Vec<Note>,
        /// The number of the batch.
        token: Token,
    },
    /// Keep these entries as evidence, on disk before the next [`Effect::Persist`]: they are being
    /// cut from the log.
    Archive {
        /// What is cut.
        entries: Vec<Entry>,
        /// How far this node had committed. Cut entries up to here were acknowledged or read.
        committed: u64,
        /// In whose favor they are cut.
        upstream: Claim,
    },
    /// Put a snapshot on disk in place of the one that is there, in the order of numbers, and
    /// report [`Input::Saved`](super::Input::Saved).
    Save {
        /// Its number.
        number: u64,
        /// What to save.
        snapshot: Arc<Snapshot>,
        /// Whether it came from another node: [`Saved::received`](super::Saved::received).
        received: bool,
        /// Whether it must be on disk before the next [`Effect::Persist`].
        at_once: bool,
    },
    /// Let go of the log up to this index on disk: of whole segments that hold nothing later. What
    /// was written so far must be on disk before.
    Purge {
        /// The last index that is not needed any more.
        upto: u64,
    },
    /// Answer a client.
    Reply {
        /// Its request.
        id: RequestId,
        /// What came of it.
        outcome: Outcome,
    },
    /// Ask the lock service, and report [`Input::Lock`](super::Input::Lock).
    Lock {
        /// Its number.
        number: u64,
        /// What to ask.
        ask: LockAsk,
    },
    /// These are the members from here on, as far as this node knows: links go to them.
    Members(Arc<Configuration>),
    /// Something worth a line in the log for people.
    Report(Report),
}

/// What people want to read in a node's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// It began to lead.
    Leads(Claim),
    /// It follows somebody new.
    Follows(Claim),
    /// It gave up its leadership.
    StepsDown {
        /// Which.
        claim: Claim,
        /// Why.
        why: &'static str,
    },
    /// It has met a later claimant, and goes on serving for a while.
    Outranked {
        /// Its own claim.
        own: Claim,
        /// The later one.
        by: Claim,
    },
    /// It missed its leader and stands for election or asks who should lead.
    Suspects(Option<Claim>),
    /// It cut its log.
    Truncated {
        /// The last index that is left.
        after: u64,
        /// How many entries were cut.
        entries: u64,
        /// How many of them it had committed.
        committed: u64,
    },
    /// No follower confirmed in time, so it acknowledges alone.
    GoesAlone,
    /// Enough followers have caught up, so it waits for them again.
    WaitsAgain,
    /// A follower keeps up again and is waited for.
    InSync(NodeId),
    /// A follower has fallen behind and is no longer waited for.
    FellBehind(NodeId),
    /// The lock service gave a token that cannot be an epoch any more.
    StaleToken {
        /// The token, which is given back.
        token: u64,
        /// The epoch that the node is in.
        epoch: u64,
    },
    /// Two leaders share one epoch.
    SharedEpoch(Claim, Claim),
    /// It saved its state machine after this entry, in so many bytes.
    Saved(EntryId, u64),
    /// A follower's place in its log is found, and the log has what it lacks.
    CatchesUp(NodeId, GtidSet),
    /// It sends a follower a snapshot, since its log no longer has what the follower needs.
    Sends {
        /// The last entry in it.
        last: EntryId,
        /// To whom.
        to: NodeId,
        /// How long it is.
        bytes: u64,
    },
    /// Its log begins anew behind a snapshot that it was sent.
    Installed(EntryId),
    /// It votes from now on.
    Votes,
    /// A follower is new, or has another disk: it learns, and counts for nothing.
    Learns(NodeId),
    /// A learner has caught up and counts.
    Admits(NodeId),
    /// A new member has caught up and is made a voter.
    Seats(NodeId),
    /// It was told that a committed configuration, which came with this entry, lacks it.
    Removed(u64),
    /// A snapshot that it was sent is not what it should be.
    Damaged(EntryId),
    /// A snapshot that it was offered has more bytes than it accepts.
    TooLarge {
        /// The last entry in it.
        last: EntryId,
        /// How long it is.
        bytes: u64,
    },
}
