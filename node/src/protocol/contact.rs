//! When a majority last confirmed that this leader leads: the ground under leases and under bounds
//! on staleness.
//!
//! Every answer of a follower echoes the number of a round, and a round has a beginning on the
//! leader's own clock. Once a majority has answered a round, nobody else can have been leading
//! when it began. What counts is the beginning, never the arrival of answers: they may have been
//! on their way for any time.

use super::leader::{Leader, Progress};
use super::{Core, Now, Role, reached_by};

/// A leader's contact with a majority.
#[derive(Debug, Default)]
pub(super) struct Contact {
    /// The round whose confirmation is awaited, and when it began. One at a time is enough: later
    /// rounds confirm it too.
    asked: Option<(u64, Now)>,
    /// When the last round began that a majority has answered.
    confirmed: Option<Now>,
}

impl Leader {
    /// A round begins.
    pub(super) fn round_begins(&mut self, now: Now) {
        if self.contact.asked.is_some() {
            return;
        }
        self.contact.asked = Some((self.round, now));
        for progress in self.followers.values_mut() {
            progress.vouching = progress.answered;
        }
    }
}

impl Core {
    /// Called when a follower has answered a round.
    pub(super) fn review_contact(&mut self) {
        let (majority, knows_committed) = (self.majority(), self.knows_committed());
        let counts = self.configured.votes;
        let Role::Leader(leader) = &mut self.role else { return };
        let Some((round, began)) = leader.contact.asked else { return };
        let rounds = leader.followers.values().map(Progress::confirmed_round);
        let own = if counts { leader.round } else { 0 };
        if reached_by(majority, own, rounds) >= round {
            leader.contact.asked = None;
            leader.contact.confirmed = Some(began);
            // What was acknowledged before the round began is committed here: each follower can
            // be told so (`fresh.rs`).
            for progress in leader.followers.values_mut().filter(|_| knows_committed) {
                progress.vouched = progress.vouching;
            }
        }
    }

    /// The latest moment at which nobody but this leader can have been leading. A leader that
    /// needs nobody but itself is confirmed at all times.
    pub(super) fn confirmed_at(&self) -> Option<Now> {
        match &self.role {
            Role::Leader(_) if self.configured.votes && self.majority() == 1 => Some(self.now),
            Role::Leader(leader) => leader.contact.confirmed,
            _ => None,
        }
    }
}
