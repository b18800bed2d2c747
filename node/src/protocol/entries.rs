//! The replicated log as the core sees it: every entry, in memory, by index.
//!
//! What is on disk is the write-ahead log's business; this is its replayed meaning. All entries
//! stay in memory until snapshots let a prefix go, so the memory of a node bounds the number of
//! writes of its life: about 150 bytes each plus key and value.

use super::entry::{Claim, Entry, EntryId};

/// The entries 1 to `last_index`, without holes.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    slots: Vec<Slot>,
}

#[derive(Clone, Debug)]
struct Slot {
    entry: Entry,
    /// Bytes of commands up to and with this one, so that the size of any run is a subtraction.
    end: u64,
}

impl Entries {
    /// The index of the last entry, zero if there is none.
    pub(super) fn last_index(&self) -> u64 {
        self.slots.len() as u64
    }

    /// The identity of the last entry, or [`EntryId::ORIGIN`].
    pub(super) fn last(&self) -> EntryId {
        self.slots.last().map_or(EntryId::ORIGIN, |slot| slot.entry.id)
    }

    /// The identity at an index; [`EntryId::ORIGIN`] at zero, `None` beyond the end.
    pub(super) fn id_at(&self, index: u64) -> Option<EntryId> {
        if index == 0 {
            return Some(EntryId::ORIGIN);
        }
        self.get(index).map(|entry| entry.id)
    }

    /// Whether exactly this entry is held.
    pub(super) fn contains(&self, id: EntryId) -> bool {
        self.id_at(id.index) == Some(id)
    }

    /// The entry at an index.
    pub(super) fn get(&self, index: u64) -> Option<&Entry> {
        let at = usize::try_from(index.checked_sub(1)?).ok()?;
        self.slots.get(at).map(|slot| &slot.entry)
    }

    /// Adds the next entry. Its index must be the one after the last.
    pub(super) fn push(&mut self, entry: Entry) {
        debug_assert_eq!(entry.id.index, self.last_index() + 1, "a log has no holes");
        let end = self.bytes_upto(self.last_index()) + entry.change.0.len() as u64;
        self.slots.push(Slot { entry, end });
    }

    /// Removes and returns all entries after an index.
    pub(super) fn cut_after(&mut self, index: u64) -> Vec<Entry> {
        let keep = usize::try_from(index).unwrap_or(usize::MAX).min(self.slots.len());
        self.slots.split_off(keep).into_iter().map(|slot| slot.entry).collect()
    }

    /// Bytes of commands in the entries up to and with an index.
    pub(super) fn bytes_upto(&self, index: u64) -> u64 {
        let at = usize::try_from(index).unwrap_or(usize::MAX).min(self.slots.len());
        at.checked_sub(1).map_or(0, |at| self.slots[at].end)
    }

    /// A run of entries from an index on, at most `count_max` of them and, unless one alone is
    /// larger, at most `bytes_max` bytes of commands.
    pub(super) fn run(&self, from: u64, count_max: usize, bytes_max: u64) -> Vec<Entry> {
        let start = usize::try_from(from.saturating_sub(1)).unwrap_or(usize::MAX);
        let before = self.bytes_upto(from.saturating_sub(1));
        self.slots
            .iter()
            .skip(start)
            .take(count_max)
            .enumerate()
            .take_while(|(i, slot)| *i == 0 || slot.end - before <= bytes_max)
            .map(|(_, slot)| slot.entry.clone())
            .collect()
    }

    /// The last entry at or before `index` that no claim later than `claim` appended: where a log
    /// that ended its agreement there may still agree with this one. Claims never fall along a
    /// log, so the search is binary.
    pub(super) fn last_not_after(&self, index: u64, claim: Claim) -> EntryId {
        let upto = usize::try_from(index).unwrap_or(usize::MAX).min(self.slots.len());
        let older = self.slots[..upto].partition_point(|slot| slot.entry.id.claim <= claim);
        self.id_at(older as u64).unwrap_or(EntryId::ORIGIN)
    }

    /// All entries after an index, in order.
    pub(super) fn after(&self, index: u64) -> impl Iterator<Item = &Entry> {
        let start = usize::try_from(index).unwrap_or(usize::MAX);
        self.slots.iter().skip(start).map(|slot| &slot.entry)
    }
}
