//! What is on disk before a vote is given, or a promise or an acceptance of Paxos: `durable-vote`.
//!
//! A node that forgets for whom it voted may vote again in the same epoch, and two leaders share
//! it. So the vote is written down, and whatever rests on it waits for the disk: the answer to who
//! asked, and the node's own count of its own vote. With `durable-vote=off` neither is so.

use super::super::barrier::Held;
use super::super::durable::Acceptor;
use super::super::{Core, HardState, Plant};

impl Core {
    /// The hard state as it is kept.
    pub(in super::super) fn durable_hard(&self) -> HardState {
        if self.settings.durable_vote && !self.plant(Plant::VoteNotPersisted) {
            self.hard
        } else {
            HardState { voted_for: None, acceptor: Acceptor::default(), ..self.hard }
        }
    }

    /// Says or does what rests on a vote, once the vote is on disk and the log that it was given
    /// for.
    pub(super) fn once_vote_is_durable(&mut self, held: Held) {
        if self.settings.durable_vote {
            self.once_durable(held);
        } else {
            self.release(held);
        }
    }
}
