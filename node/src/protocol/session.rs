//! Reading one's own writes at any node: `consistency=session`.
//!
//! The answer to a write names its entry, and a read that is asked `after` that entry waits until
//! the asked node has applied it. What counts is the identity: a node whose log has another entry
//! at that place lost the write or never had it, and says so instead of answering from a history in
//! which it did not happen. The lineage knows the identities of all entries there ever were, also
//! of those that a snapshot stands for.

use super::entry::EntryId;
use super::leader::Origin;
use super::{Core, FailureKind, Gtid, Now, Request, Role};
use crate::state::Query;

/// A read that waits until an entry is applied.
#[derive(Debug)]
pub(super) struct Waiting {
    origin: Origin,
    query: Query,
    after: EntryId,
    deadline: Now,
}

/// Most reads that wait. The API admits fewer requests than this; the limit is for whoever drives
/// the core without it.
const WAITING_MAX: usize = 16_384;

impl Core {
    /// A read that wants to see an entry.
    pub(super) fn read_after(
        &mut self,
        origin: Origin,
        query: Query,
        after: EntryId,
        deadline: Now,
    ) {
        let read = Waiting { origin, query, after, deadline };
        if after.index <= self.state.applied() {
            self.read_at_position(read);
        } else if self.sessions.len() >= WAITING_MAX {
            let message = "too many reads wait for entries";
            self.turn_away(origin, FailureKind::Overloaded, message);
        } else {
            self.sessions.push(read);
        }
    }

    /// Called when entries may have been applied or time has passed. Reads whose clients have
    /// given up are forgotten.
    pub(super) fn review_sessions(&mut self) {
        if self.sessions.is_empty() {
            return;
        }
        let (now, applied) = (self.now, self.state.applied());
        self.sessions.retain(|read| read.deadline > now);
        let due = self.sessions.extract_if(.., |read| read.after.index <= applied);
        for read in due.collect::<Vec<_>>() {
            self.read_at_position(read);
        }
    }

    /// Something is applied at the entry's place: answers if it is that entry.
    fn read_at_position(&mut self, read: Waiting) {
        let Waiting { origin, query, after, deadline } = read;
        if self.entries.lineage().contains(after) {
            return self.answer_read(origin, &query);
        }
        match origin {
            // The leader may have it, or knows that it is lost.
            Origin::Client(id) if !matches!(self.role, Role::Leader(_)) => {
                self.leave_to_leader(id, Request::ReadAfter { query, after }, deadline);
            }
            _ => {
                let message = format!(
                    "another entry stands in the place of {}, so that write is not in this log; \
                     help: it is lost, or was never acknowledged",
                    Gtid(after)
                );
                self.turn_away(origin, FailureKind::PositionLost, message);
            }
        }
    }
}
