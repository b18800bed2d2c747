//! The replicated log as the core sees it: the entries behind a snapshot, in memory, by index.
//!
//! What is on disk is the write-ahead log's business; this is its replayed meaning. Entries that a
//! snapshot stands for are released, so that memory does not grow with the writes of a node's
//! life. What remains of them is the identity of the last one, the *base*: a log may be joined to
//! there.

use super::entry::{Claim, Entry, EntryId};
use super::lineage::Lineage;

/// The entries behind the base up to `last_index`, without holes.
#[derive(Clone, Debug)]
pub(super) struct Entries {
    /// The last entry that was released, or [`EntryId::ORIGIN`].
    base: EntryId,
    /// Bytes of commands up to and with the base, since the log was first in memory.
    base_end: u64,
    /// Who appended what, from the first entry on.
    lineage: Lineage,
    slots: Vec<Slot>,
}

#[derive(Clone, Debug)]
struct Slot {
    entry: Entry,
    /// Bytes of commands up to and with this one, so that the size of any run is a subtraction.
    end: u64,
}

impl Default for Entries {
    fn default() -> Self {
        Entries::behind(EntryId::ORIGIN)
    }
}

impl Entries {
    /// No entries yet behind one that is not held.
    pub(super) fn behind(base: EntryId) -> Self {
        Entries { base, base_end: 0, lineage: Lineage::default(), slots: Vec::new() }
    }

    /// The log up to the base was this one.
    pub(super) fn descend_from(&mut self, lineage: &Lineage) {
        self.lineage = lineage.upto(self.base.index);
        for slot in &self.slots {
            self.lineage.push(slot.entry.id);
        }
    }

    /// Who appended what, from the first entry on, as far as is known.
    pub(super) fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// The entry before the first that is held.
    pub(super) fn base(&self) -> EntryId {
        self.base
    }

    /// The index of the last entry, the base's if none is held.
    pub(super) fn last_index(&self) -> u64 {
        self.base.index + self.slots.len() as u64
    }

    /// The identity of the last entry, or the base.
    pub(super) fn last(&self) -> EntryId {
        self.slots.last().map_or(self.base, |slot| slot.entry.id)
    }

    /// The identity at an index; `None` before the base and beyond the end.
    pub(super) fn id_at(&self, index: u64) -> Option<EntryId> {
        if index == self.base.index {
            return Some(self.base);
        }
        self.get(index).map(|entry| entry.id)
    }

    /// Whether exactly this entry is held, or is the base.
    pub(super) fn contains(&self, id: EntryId) -> bool {
        self.id_at(id.index) == Some(id)
    }

    /// The entry at an index.
    pub(super) fn get(&self, index: u64) -> Option<&Entry> {
        let at = index.checked_sub(self.base.index + 1)?;
        self.slots.get(usize::try_from(at).ok()?).map(|slot| &slot.entry)
    }

    /// Adds the next entry. Its index must be the one after the last.
    pub(super) fn push(&mut self, entry: Entry) {
        debug_assert_eq!(entry.id.index, self.last_index() + 1, "a log has no holes");
        self.lineage.push(entry.id);
        let end = self.bytes_upto(self.last_index()) + entry.change.0.len() as u64;
        self.slots.push(Slot { entry, end });
    }

    /// Removes and returns all entries after an index.
    pub(super) fn cut_after(&mut self, index: u64) -> Vec<Entry> {
        let keep = self.held_upto(index);
        self.lineage.cut_after(index.max(self.base.index));
        self.slots.split_off(keep).into_iter().map(|slot| slot.entry).collect()
    }

    /// Releases all entries up to and with one, which becomes the base.
    pub(super) fn release(&mut self, base: EntryId) {
        let released = self.held_upto(base.index);
        self.base_end = self.bytes_upto(base.index);
        self.base = base;
        self.slots.drain(..released);
    }

    /// Bytes of commands in the entries up to and with an index.
    pub(super) fn bytes_upto(&self, index: u64) -> u64 {
        self.held_upto(index).checked_sub(1).map_or(self.base_end, |at| self.slots[at].end)
    }

    /// A run of entries from an index on, at most `count_max` of them and, unless one alone is
    /// larger, at most `bytes_max` bytes of commands.
    pub(super) fn run(&self, from: u64, count_max: usize, bytes_max: u64) -> Vec<Entry> {
        let before = self.bytes_upto(from.saturating_sub(1));
        self.slots
            .iter()
            .skip(self.held_upto(from.saturating_sub(1)))
            .take(count_max)
            .enumerate()
            .take_while(|(i, slot)| *i == 0 || slot.end - before <= bytes_max)
            .map(|(_, slot)| slot.entry.clone())
            .collect()
    }

    /// The last entry at or before `index` that no claim later than `claim` appended: where a log
    /// that ended its agreement there may still agree with this one. It is the base if none that
    /// is held will do. Claims never fall along a log, so the search is binary.
    pub(super) fn last_not_after(&self, index: u64, claim: Claim) -> EntryId {
        let upto = self.held_upto(index);
        let older = self.slots[..upto].partition_point(|slot| slot.entry.id.claim <= claim);
        older.checked_sub(1).map_or(self.base, |at| self.slots[at].entry.id)
    }

    /// All held entries after an index, in order.
    pub(super) fn after(&self, index: u64) -> impl Iterator<Item = &Entry> {
        self.slots.iter().skip(self.held_upto(index)).map(|slot| &slot.entry)
    }

    /// How many of the held entries stand at or before an index.
    fn held_upto(&self, index: u64) -> usize {
        let behind = index.saturating_sub(self.base.index);
        usize::try_from(behind).unwrap_or(usize::MAX).min(self.slots.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Encoded, NodeId, WallTime};
    use super::*;
    use crate::state::Command;

    fn id(index: u64) -> EntryId {
        EntryId { claim: Claim { epoch: 1 + index / 4, leader: NodeId(1) }, index }
    }

    #[test]
    fn what_is_left_after_a_release_is_as_before_and_the_base_keeps_its_identity() {
        let mut whole = Entries::default();
        for index in 1..=10 {
            let change = Encoded::new(&Command::Delete { key: index.to_string().into() }.into());
            whole.push(Entry { id: id(index), written: WallTime(index), change });
        }
        let mut rest = whole.clone();
        rest.release(id(6));
        assert_eq!((rest.base(), rest.last(), rest.last_index()), (id(6), id(10), 10));
        assert_eq!((rest.id_at(5), rest.id_at(6), rest.get(6)), (None, Some(id(6)), None));
        for index in 6..=10 {
            assert_eq!(rest.bytes_upto(index), whole.bytes_upto(index));
            assert_eq!(rest.id_at(index), whole.id_at(index));
            assert_eq!(rest.run(index + 1, 2, 9), whole.run(index + 1, 2, 9));
        }
        assert_eq!(rest.last_not_after(9, id(8).claim), id(9));
        assert_eq!(rest.last_not_after(9, id(1).claim), id(6), "no lower than the base");
        assert_eq!(rest.cut_after(8).len(), 2);
        rest.release(id(8));
        assert_eq!((rest.last(), rest.after(0).count()), (id(8), 0));
    }
}
