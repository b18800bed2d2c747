//! The durability barrier: what may only be said once it is on disk waits here, and nowhere else.
//!
//! The core gathers what must be written ([`Note`]s) while it handles inputs, and hands them to the
//! log as one batch under one token. Whatever depends on them, such as a vote, an
//! acknowledgement, the leader's own count towards a commit or a claim, is held under the token
//! and released by [`Barrier::flushed`] alone. Tokens are flushed in the order in which they were
//! submitted.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::durable::{Ballot, Note};
use super::entry::{Claim, EntryId, NodeId};
use super::message::Message;

/// Number of a batch of notes; `Flushed(token)` says that it and all before it are on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Token(pub u64);

/// Something that depends on what was written before it.
#[derive(Clone, Debug)]
pub(super) enum Held {
    /// A message that speaks of durable things.
    Send(NodeId, Message),
    /// The log is on disk up to this entry.
    Durable(EntryId),
    /// The node's vote for itself in this epoch counts.
    OwnVote(u64),
    /// The node's promise to its own ballot in this epoch counts.
    OwnPromise(u64, Ballot),
    /// The node's acceptance of its own proposal in this epoch counts.
    OwnAcceptance(u64, Ballot),
    /// The node's claim is on disk, so it may act on it.
    Claimed(Claim),
    /// That the node votes is on disk, so it does.
    Votes,
}

impl Held {
    /// Whether it says that entries are on this disk.
    pub(super) fn acknowledges(&self) -> bool {
        matches!(self, Held::Durable(_) | Held::Send(_, Message::Matched { .. }))
    }
}

/// Notes on their way to disk and what waits for them.
#[derive(Debug, Default)]
pub(super) struct Barrier {
    gathered: Vec<Note>,
    submitted: Token,
    flushed: Token,
    held: VecDeque<(Token, Held)>,
}

impl Barrier {
    /// Adds to the batch that is being gathered.
    pub(super) fn write(&mut self, note: Note) {
        self.gathered.push(note);
    }

    /// The token of the newest note written.
    pub(super) fn newest(&self) -> Token {
        if self.gathered.is_empty() { self.submitted } else { Token(self.submitted.0 + 1) }
    }

    /// Whether everything up to a token is on disk.
    pub(super) fn is_flushed(&self, token: Token) -> bool {
        token <= self.flushed
    }

    /// Holds something until all that was written so far is on disk. Gives it back if it is
    /// already.
    pub(super) fn hold(&mut self, held: Held) -> Option<Held> {
        let token = self.newest();
        if self.is_flushed(token) {
            return Some(held);
        }
        self.held.push_back((token, held));
        None
    }

    /// Closes the batch: what the log must now write, if anything.
    pub(super) fn submit(&mut self) -> Option<(Vec<Note>, Token)> {
        if self.gathered.is_empty() {
            return None;
        }
        self.submitted.0 += 1;
        Some((std::mem::take(&mut self.gathered), self.submitted))
    }

    /// The log reports that a batch and all before it are on disk. Returns what that releases.
    pub(super) fn flushed(&mut self, token: Token) -> Vec<Held> {
        self.flushed = self.flushed.max(token);
        let released = self.held.partition_point(|(needs, _)| *needs <= self.flushed);
        self.held.drain(..released).map(|(_, held)| held).collect()
    }
}
