//! How old a node's state can be at most: the bound behind `consistency=bounded` and `lag_ms`.
//!
//! The bound is measured on one clock, the node's own, and rests on what a majority has confirmed:
//!
//! ```text
//!   follower  receives the leader's round 7 at its time t, and answers
//!   leader    has that answer, begins round 8, and a majority answers round 8
//!   leader    says with its next message: vouched 7, committed c
//!   follower  has applied c, so its state holds all that anybody acknowledged before t
//! ```
//!
//! Round 8 began after t, and nobody else led when it began (`contact.rs`), so whatever was
//! acknowledged before t, by this leader or an earlier one, was committed here when the leader said
//! c. No clock is compared with another, and the time that messages are on their way only makes t
//! older: a follower whose messages are held for a minute knows that it may be a minute old. Times
//! at which messages arrive would not do, since what they say may be as old as the network likes;
//! nor would the leader's wall clock, which may be wrong.
//!
//! An answer counts only for the process that gave it: one that was restarted may receive, late and
//! for the first time, a round that its predecessor had answered long ago, so every process has a
//! number, and the leader vouches for answers of that number.
//!
//! A leader's own bound is the beginning of the last round that a majority has answered. Without
//! `majority` or `fencing` others may lead at the same time; then the bound speaks of what this
//! leader acknowledged, and no more.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Claim, Core, Now, Role};

/// What a follower knows of the age of its state.
#[derive(Debug, Default)]
pub(super) struct Freshness {
    /// Whose rounds these are.
    upstream: Option<Claim>,
    /// When rounds of the upstream were first received, oldest first.
    received: VecDeque<(u64, Now)>,
    /// Everything acknowledged before the time is applied as soon as the index is.
    pending: Option<(u64, Now)>,
    /// Everything acknowledged before this is applied.
    complete: Option<Now>,
    /// How far the upstream said that it has committed.
    pub(super) upstream_committed: u64,
}

/// Most rounds whose times are kept. With more, every other one is forgotten, and the bound gets
/// coarser instead of being lost.
const ROUNDS_MAX: usize = 64;

impl Freshness {
    /// Another claim has rounds of its own. Claims only grow, so nothing is forgotten that may
    /// still be vouched for.
    pub(super) fn follow(&mut self, claim: Claim) {
        if self.upstream != Some(claim) {
            *self = Freshness { upstream: Some(claim), ..Freshness::default() };
        }
    }

    /// A message of the upstream arrived: its round is this one.
    pub(super) fn heard(&mut self, round: u64, now: Now) {
        if self.received.back().is_some_and(|(last, _)| *last >= round) {
            return;
        }
        if self.received.len() >= ROUNDS_MAX {
            let mut odd = false;
            self.received.retain(|_| {
                odd = !odd;
                odd
            });
        }
        self.received.push_back((round, now));
    }

    /// The upstream vouches that whatever was acknowledged before this node received a round is
    /// committed up to an index, up to which the two logs agree.
    pub(super) fn vouched(&mut self, round: u64, committed: u64) {
        let known = self.received.partition_point(|(received, _)| *received <= round);
        let Some(last) = known.checked_sub(1) else { return };
        self.received.drain(..last);
        let (_, at) = self.received[0];
        self.pending.get_or_insert((committed, at));
    }

    /// So much is applied.
    pub(super) fn applied(&mut self, index: u64) {
        if let Some((_, at)) = self.pending.take_if(|(committed, _)| *committed <= index) {
            self.complete = self.complete.max(Some(at));
        }
    }
}

impl Core {
    /// How long ago the last moment was of which this node is sure to have applied everything
    /// that had been acknowledged; `None` if it knows of none.
    pub(super) fn staleness(&self) -> Option<Duration> {
        let complete = match &self.role {
            Role::Leader(_) if self.knows_committed() => self.confirmed_at(),
            Role::Leader(_) => None,
            _ => self.freshness.complete,
        };
        complete.map(|at| self.now.saturating_sub(at))
    }

    /// How many committed entries this node has heard of and not applied.
    pub(super) fn lag_entries(&self) -> Option<u64> {
        match &self.role {
            Role::Leader(_) => Some(0),
            Role::Follower { upstream: Some(_), .. } => {
                Some(self.freshness.upstream_committed.saturating_sub(self.state.applied()))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Now {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_state_is_as_old_as_the_round_that_is_vouched_for_once_enough_is_applied() {
        let mut freshness = Freshness::default();
        for round in 1..5 {
            freshness.heard(round, at(10 * round));
            freshness.heard(round, at(10 * round + 5));
        }
        freshness.vouched(0, 7);
        assert_eq!(freshness.pending, None);
        freshness.vouched(2, 7);
        freshness.applied(6);
        assert_eq!(freshness.complete, None);
        freshness.vouched(3, 9);
        freshness.applied(7);
        assert_eq!(freshness.complete, Some(at(20)));
        freshness.vouched(4, 9);
        freshness.applied(9);
        assert_eq!(freshness.complete, Some(at(40)));
    }

    #[test]
    fn with_too_many_rounds_the_bound_gets_coarser_and_never_too_good() {
        let mut freshness = Freshness::default();
        for round in 1..=1000 {
            freshness.heard(round, at(round));
            assert!(freshness.received.len() <= ROUNDS_MAX);
        }
        freshness.vouched(500, 1);
        freshness.applied(1);
        let complete = freshness.complete.expect("an older round is remembered");
        assert!(complete <= at(500) && complete > at(0), "{complete:?}");
    }
}
