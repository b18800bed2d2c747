//! Which followers keep up, and so are waited for: `replica-lag`, `min-in-sync`.
//!
//! The set is the leader's own. A follower belongs to it while it has held, within `replica-lag`,
//! all that the leader held at some moment (Kafka's rule, `replica.lag.time.max.ms`); it comes
//! back when that holds again and it has everything that is committed. Kafka asks its controller
//! before it shrinks the set, so that nobody outside is elected; here the elections see to that:
//! unless `unclean-election` is on, they ask so many nodes that one of them was in every set that
//! was allowed to acknowledge (`votes_needed` in `election/office.rs`).

use super::leader::Leader;
use super::{Core, NodeId, Report, Role};
use crate::config::Replication;

impl Core {
    /// Whether the settings wait for such a set: `replication=isr`.
    pub(super) fn has_in_sync_set(&self) -> bool {
        self.settings.replication == Replication::Isr
    }

    /// How large the in-sync set is, the leader included.
    pub(super) fn in_sync(&self, leader: &Leader) -> usize {
        1 + leader.followers.values().filter(|progress| progress.in_sync).count()
    }

    /// Whether a write would wait for an in-sync set that is too small. It is then refused before
    /// it is appended.
    pub(super) fn lacks_in_sync(&self) -> bool {
        match &self.role {
            Role::Leader(leader) if self.has_in_sync_set() => {
                self.in_sync(leader) < usize::from(self.settings.min_in_sync)
            }
            _ => false,
        }
    }

    /// A follower has confirmed something: does it keep up?
    pub(super) fn review_in_sync(&mut self, node: NodeId) {
        if !self.has_in_sync_set() {
            return;
        }
        let (now, last, committed) = (self.now, self.entries.last_index(), self.committed);
        let (level, lag) = (self.settings.level, self.settings.replica_lag);
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.followers.get_mut(&node) else { return };
        let confirmed = progress.confirmed(level);
        let (aim, set_at) = progress.aim;
        if confirmed >= aim {
            progress.caught_up = set_at;
            progress.aim = (last, now);
        }
        let keeps_up = progress.votes() && now.saturating_sub(progress.caught_up) <= lag;
        if !progress.in_sync && keeps_up && confirmed >= committed {
            progress.in_sync = true;
            self.report(Report::InSync(node));
        }
    }

    /// Time passed: followers that have fallen behind are no longer waited for.
    pub(super) fn tick_in_sync(&mut self) {
        if !self.has_in_sync_set() {
            return;
        }
        let (now, lag) = (self.now, self.settings.replica_lag);
        let Role::Leader(leader) = &mut self.role else { return };
        let mut behind = Vec::new();
        for (node, progress) in &mut leader.followers {
            if progress.in_sync && now.saturating_sub(progress.caught_up) > lag {
                progress.in_sync = false;
                behind.push(*node);
            }
        }
        if behind.is_empty() {
            return;
        }
        for node in behind {
            self.report(Report::FellBehind(node));
        }
        self.acknowledge();
    }
}
