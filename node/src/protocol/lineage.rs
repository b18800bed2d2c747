//! Under whose leadership each part of a log was written: where every leadership begins in it.
//!
//! It says for every entry since the first who appended it, also for those that a snapshot stands
//! for, and it is kept in snapshots. So it survives what is let go of the log, and any stretch of
//! the log is a [`GtidSet`] at once. It costs nothing per write: it changes when a leadership
//! begins or the log is cut, and is shared by all who look at it. (Kafka keeps the same table as
//! its leader epoch cache.)

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::entry::{Claim, EntryId};
use super::gtid_set::GtidSet;

/// The leaderships of a log, in the order of its entries. Two dozen bytes for each that there ever
/// was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage(Arc<Vec<EntryId>>);

impl Lineage {
    /// The log goes on with this entry.
    pub(super) fn push(&mut self, id: EntryId) {
        if self.0.last().is_none_or(|first| first.claim != id.claim) {
            Arc::make_mut(&mut self.0).push(id);
        }
    }

    /// The log was cut after an index.
    pub(super) fn cut_after(&mut self, index: u64) {
        let keep = self.0.partition_point(|first| first.index <= index);
        if keep < self.0.len() {
            Arc::make_mut(&mut self.0).truncate(keep);
        }
    }

    /// The same log up to an index.
    pub(super) fn upto(&self, index: u64) -> Self {
        let mut lineage = self.clone();
        lineage.cut_after(index);
        lineage
    }

    /// The identity of the entry at an index, if the log is as long as that; `None` before the first
    /// and where it is not known.
    pub(super) fn id_at(&self, index: u64) -> Option<EntryId> {
        let begun = self.0.partition_point(|first| first.index <= index);
        let claim = self.0[begun.checked_sub(1)?].claim;
        (index > 0).then_some(EntryId { claim, index })
    }

    /// Whether the log held or holds exactly this entry, if it is as long as that.
    pub fn contains(&self, id: EntryId) -> bool {
        let begun = self.0.partition_point(|first| first.index <= id.index);
        id.index > 0 && begun.checked_sub(1).is_some_and(|at| self.0[at].claim == id.claim)
    }

    /// The GTIDs of the entries after one index up to and with another.
    pub fn between(&self, after: u64, upto: u64) -> GtidSet {
        let ends = self.0.iter().skip(1).map(|next| next.index - 1).chain([u64::MAX]);
        let mut set = GtidSet::default();
        for (first, end) in self.0.iter().zip(ends) {
            // What is known by its place alone has no name.
            if first.claim != Claim::NONE {
                set.insert(first.claim, first.index.max(after + 1), end.min(upto));
            }
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::super::NodeId;
    use super::*;

    fn id(epoch: u64, leader: u16, index: u64) -> EntryId {
        EntryId { claim: Claim { epoch, leader: NodeId(leader) }, index }
    }

    #[test]
    fn any_stretch_of_a_log_is_a_set_and_a_cut_takes_what_is_behind_it() {
        let mut lineage = Lineage::default();
        let log = [id(1, 1, 1), id(1, 1, 2), id(1, 1, 3), id(2, 2, 4), id(2, 2, 5), id(2, 3, 6)];
        log.into_iter().for_each(|id| lineage.push(id));
        let text = |after, upto| lineage.between(after, upto).to_string();
        assert_eq!(text(0, 6), "n1@1:1-3,n2@2:4-5,n3@2:6");
        assert_eq!(text(0, 2), "n1@1:1-2");
        assert_eq!(text(2, 4), "n1@1:3,n2@2:4");
        assert_eq!(text(4, 4), "");
        assert!(lineage.contains(id(2, 2, 5)));
        assert!(!lineage.contains(id(1, 1, 5)) && !lineage.contains(EntryId::ORIGIN));
        assert_eq!(lineage.upto(4).between(0, 9).to_string(), "n1@1:1-3,n2@2:4-9");
        lineage.cut_after(3);
        lineage.push(id(3, 1, 4));
        assert_eq!(lineage.between(0, 4).to_string(), "n1@1:1-3,n1@3:4");
    }
}
