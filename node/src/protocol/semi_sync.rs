//! When semi-synchronous replication gives up waiting, and when it begins again: `fallback`.
//!
//! If something waits and no confirmation has come for the time that `fallback` allows, the leader
//! goes on alone: every write from then on is acknowledged by its own disk, and says so. It waits
//! again as soon as enough followers hold all that it has acknowledged, because from then on no
//! acknowledged write is the leader's alone (MySQL manual, "Semisynchronous Replication").
//!
//! Time that the leader itself slept does not count (`tick_leader`): followers may have confirmed
//! meanwhile, unheard. Only its time awake does, so the wait for a silent follower ends also at a
//! leader that sleeps again and again.

use super::leader::Leader;
use super::{Core, Now, Report, Role, reached_by};
use crate::config::{Fallback, Replication};

impl Core {
    /// Called when a follower has confirmed something: waits again if enough have caught up.
    pub(super) fn review_semi_sync(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        if !leader.goes_alone {
            return;
        }
        let level = self.settings.level;
        let followers = leader.followers.values().map(|progress| progress.confirmed(level));
        let held = reached_by(usize::from(self.settings.replicas), 0, followers);
        if held >= leader.acknowledged {
            leader.goes_alone = false;
            leader.waits_since = None;
            self.report(Report::WaitsAgain);
        }
    }

    /// Takes note, at the end of a batch, of whether anything waits for followers.
    pub(super) fn watch_semi_sync(&mut self) {
        let last = self.entries.last_index();
        let now = self.now;
        let Role::Leader(leader) = &mut self.role else { return };
        if leader.acknowledged < last {
            leader.waits_since.get_or_insert(now);
        } else {
            leader.waits_since = None;
        }
    }

    /// When the leader's patience with its followers ends.
    pub(super) fn fallback_at(&self, leader: &Leader) -> Option<Now> {
        match (self.settings.replication, self.settings.fallback) {
            (Replication::SemiSync, Fallback::After(span)) if !leader.goes_alone => {
                leader.waits_since.map(|since| since + span)
            }
            _ => None,
        }
    }

    /// Time passed.
    pub(super) fn tick_semi_sync(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        if self.fallback_at(leader).is_none_or(|at| at > self.now) {
            return;
        }
        if let Role::Leader(leader) = &mut self.role {
            leader.goes_alone = true;
        }
        self.counters.fallbacks += 1;
        self.report(Report::GoesAlone);
        // What waited is acknowledged first: only then is it known what followers must catch up to.
        self.advance();
    }
}
