//! What a follower has received and not applied yet: `apply-delay`, `promote-by`.
//!
//! A follower knows an entry to be committed and applies it at once, or with `apply-delay` only so
//! long after its leader wrote it, so that a mistake can still be caught there (MySQL
//! `SOURCE_DELAY`, PostgreSQL `recovery_min_apply_delay`). The age of an entry is the difference of
//! two wall clocks. What a clock that is behind adds is bounded: nobody holds an entry back for
//! longer than the delay after it learned that the entry is committed. A snapshot is as new as it
//! is. Leaders do not wait.
//!
//! Whoever is elected has a log that reaches beyond what it has applied. With
//! `promote-by=received` it applies what is committed and keeps the rest; with `applied` it leads
//! with what it has applied and cuts the rest, acknowledged or not, as a failover does that
//! discards the relay log.

use std::collections::VecDeque;

use super::{Claim, Core, Now, Role};
use crate::config::PromoteBy;

/// The entries that wait to be applied, oldest first, and when each is due.
#[derive(Debug, Default)]
pub(super) struct Relay {
    due: VecDeque<(u64, Now)>,
}

impl Relay {
    /// When the next entry is due.
    pub(super) fn timer(&self) -> Option<Now> {
        self.due.front().map(|(_, due)| *due)
    }

    /// The log was cut after an index.
    pub(super) fn cut_after(&mut self, index: u64) {
        self.due.retain(|(at, _)| *at <= index);
    }
}

impl Core {
    /// Commits up to an index that is in the log, and applies what is due of it.
    pub(super) fn commit(&mut self, index: u64) {
        if index <= self.committed {
            return;
        }
        let after = self.committed;
        self.counters.committed += index - after;
        self.committed = index;
        if self.settings.apply_delay.is_zero() || matches!(self.role, Role::Leader(_)) {
            return self.apply(index);
        }
        for at in after + 1..=index {
            let age = self.entries.get(at).map(|entry| self.wall.since(entry.written));
            let rest = self.settings.apply_delay.saturating_sub(age.unwrap_or_default());
            let due = self.relay.due.back().map_or(Now::ZERO, |(_, due)| *due);
            self.relay.due.push_back((at, due.max(self.now + rest)));
        }
        self.apply_due();
    }

    /// Time passed: applies what is due.
    pub(super) fn apply_due(&mut self) {
        let due = self.relay.due.partition_point(|(_, due)| *due <= self.now);
        let last = self.relay.due.drain(..due).next_back();
        if let Some((index, _)) = last {
            self.apply(index);
        }
    }

    /// This node is about to lead: decides what becomes of entries that it has not applied.
    pub(super) fn promote_log(&mut self, claim: Claim) {
        match self.settings.promote_by {
            PromoteBy::Received => self.apply(self.committed),
            PromoteBy::Applied if self.state.applied() < self.entries.last_index() => {
                self.cut_after(self.state.applied(), claim);
            }
            PromoteBy::Applied => {}
        }
        self.relay.due.clear();
    }
}
