//! What a read must wait for: `reads`.
//!
//! With `read-index` a read is answered when a majority has confirmed, after the read arrived, that
//! this node still leads (Raft, section 8; Raft thesis, section 6.4). One round of messages serves
//! all reads that were waiting when it was sent, and none that came later. With `lease` a leader
//! that a majority has confirmed recently needs no round (`read_lease.rs`). With `leader` a read is
//! answered at once by whoever takes itself for the leader.
//!
//! In all these cases a new leader first commits the entry that begins its epoch: before that it
//! does not know how far its predecessors had committed. With `any` whatever node is asked answers
//! from what it has applied; such a read never gets here.

use std::collections::VecDeque;

use super::leader::{Origin, Progress};
use super::{Core, Failure, FailureKind, Outcome, Plant, Role, reached_by};
use crate::config::Reads as Rule;
use crate::state::{LIST_BYTES_MAX, LIST_ENTRIES_MAX, Query};

/// The reads that wait at a leader.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// Those that no round has been sent for yet.
    waiting: Vec<(Origin, Query)>,
    /// Those that a round has been sent for, by round.
    confirming: VecDeque<(u64, Vec<(Origin, Query)>)>,
}

impl Reads {
    /// Who waits.
    pub(super) fn into_origins(self) -> impl Iterator<Item = Origin> {
        let confirming = self.confirming.into_iter().flat_map(|(_, reads)| reads);
        confirming.chain(self.waiting).map(|(origin, _)| origin)
    }
}

impl Core {
    /// A read that wants the strongest promise, at a leader.
    pub(super) fn read_at_leader(&mut self, origin: Origin, query: Query) {
        let joins = self.plant(Plant::StaleReadIndex);
        let Role::Leader(leader) = &mut self.role else { return };
        match leader.reads.confirming.back_mut() {
            Some((_, under_way)) if joins => under_way.push((origin, query)),
            _ => leader.reads.waiting.push((origin, query)),
        }
    }

    /// Begins a round for the reads that wait, if none is under way. A round that is under way
    /// cannot serve them: it may have been answered before they arrived.
    pub(super) fn start_round(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        if self.needs_round()
            && !leader.reads.waiting.is_empty()
            && leader.reads.confirming.is_empty()
        {
            self.heartbeat();
        }
    }

    /// The round whose number was just taken, and whose messages are sent next, will serve all
    /// reads that have arrived.
    pub(super) fn confirm_with_next_round(&mut self) {
        let needed = self.needs_round();
        let Role::Leader(leader) = &mut self.role else { return };
        if needed && !leader.reads.waiting.is_empty() {
            let reads = std::mem::take(&mut leader.reads.waiting);
            leader.reads.confirming.push_back((leader.round, reads));
        }
    }

    /// Called when a follower has answered a round: serves the reads that a majority has confirmed.
    pub(super) fn confirm_reads(&mut self) {
        let (majority, counts) = (self.majority(), self.configured.votes);
        let Role::Leader(leader) = &mut self.role else { return };
        if leader.reads.confirming.is_empty() {
            return;
        }
        let own = if counts { leader.round } else { 0 };
        let rounds = leader.followers.values().map(Progress::confirmed_round);
        let confirmed = reached_by(majority, own, rounds);
        let served = leader.reads.confirming.partition_point(|(round, _)| *round <= confirmed);
        // Everything committed when a read arrived is applied: the two move together.
        let reads: Vec<_> = leader.reads.confirming.drain(..served).collect();
        for (origin, query) in reads.into_iter().flat_map(|(_, reads)| reads) {
            self.answer_read(origin, &query);
        }
    }

    /// Serves the reads that need no confirmation.
    pub(super) fn serve_reads(&mut self) {
        let at_once = match self.settings.reads {
            Rule::ReadIndex => false,
            Rule::Lease => self.holds_lease(),
            Rule::Leader | Rule::Any => true,
        };
        if !at_once || !self.knows_committed() {
            return;
        }
        let Role::Leader(leader) = &mut self.role else { return };
        for (origin, query) in std::mem::take(&mut leader.reads.waiting) {
            self.answer_read(origin, &query);
        }
    }

    /// Whether reads that could be served now must be confirmed by a round first.
    fn needs_round(&self) -> bool {
        let rule = match self.settings.reads {
            Rule::ReadIndex => true,
            Rule::Lease => !self.holds_lease(),
            Rule::Leader | Rule::Any => false,
        };
        rule && self.knows_committed()
    }

    /// Whether this leader has committed in its own epoch, and so knows what its predecessors had.
    pub(super) fn knows_committed(&self) -> bool {
        match &self.role {
            Role::Leader(_) if self.plant(Plant::ReadBeforeOwnCommit) => true,
            Role::Leader(leader) => self.committed >= leader.epoch_start,
            _ => false,
        }
    }

    /// Answers a read from what is applied here and now.
    pub(super) fn answer_read(&mut self, origin: Origin, query: &Query) {
        match self.state.read(query) {
            Some(mut answer) => {
                if let Query::Lock { name } = query {
                    self.tell_time_left(name, &mut answer);
                }
                self.reply_done(origin, answer, self.state.applied());
            }
            None => {
                let message = format!(
                    "the list has more than {LIST_ENTRIES_MAX} entries or {LIST_BYTES_MAX} bytes; \
                     help: list a longer prefix"
                );
                let failure = Failure::definite(FailureKind::TooLarge, message);
                self.reply(origin, Outcome::Failed(failure));
            }
        }
    }
}
