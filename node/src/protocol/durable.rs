//! What a node must remember, as records of one append-only log.
//!
//! Entries, hard state and truncations share one order on disk. A truncation is a record too,
//! never a physical cut: recovery replays the records, so a crash between a truncation and the
//! entries after it has one meaning. The write-ahead log (`crate::log`) does not know what is
//! inside its records; this file does, and the runtime carries the bytes between the two.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::entries::Entries;
use super::entry::{Claim, Entry, EntryId, NodeId};
use super::membership::Member;
use super::snapshot::Snapshot;

/// The version byte of every record's payload.
pub const RECORD_VERSION: u8 = 8;

/// What must survive a crash besides entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardState {
    /// The highest epoch this node has promised itself to, by vote or by following.
    pub epoch: u64,
    /// For whom it voted in that epoch.
    pub voted_for: Option<NodeId>,
    /// The latest claim it has followed or made.
    pub claim: Claim,
    /// What it has promised and accepted where a leader is agreed on.
    pub acceptor: Acceptor,
}

/// An attempt to have a leader agreed on. The derived order, number first and proposer second, is
/// the one by which a promise refuses.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Ballot {
    /// Greater than that of every ballot its proposer had heard of in the epoch.
    pub number: u64,
    /// Who makes it, so that no two proposers have the same.
    pub proposer: NodeId,
}

/// What a node holds as an acceptor of Paxos, in one epoch: with the next it is no longer needed,
/// since nothing is promised or accepted in an earlier epoch than the one a node is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptor {
    /// The epoch whose leader is chosen.
    pub epoch: u64,
    /// It refuses every earlier ballot.
    pub promised: Ballot,
    /// The latest ballot in which it accepted a leader, and whom.
    pub accepted: Option<(Ballot, NodeId)>,
}

impl Default for HardState {
    fn default() -> Self {
        HardState { epoch: 0, voted_for: None, claim: Claim::NONE, acceptor: Acceptor::default() }
    }
}

/// One thing written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The next entry of the log.
    Entry(Entry),
    /// The hard state from here on.
    Hard(HardState),
    /// Every entry after this index is no longer part of the log.
    Truncate(u64),
    /// No entry so far is part of the log any more; it begins anew behind this one, up to which a
    /// snapshot is on disk.
    Base(EntryId),
    /// The node's place in the cluster from here on.
    Member(Member),
}

/// A snapshot as it was found on disk.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    /// What it holds; before the first entry if there was none.
    pub snapshot: Arc<Snapshot>,
    /// Whether it came from another node, so that the log may know nothing of it yet.
    pub received: bool,
}

/// A record that cannot be understood. The write-ahead log has verified its checksum, so this is
/// another version's log or a bug, and the node must not start.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReplayError {
    /// The version byte is not [`RECORD_VERSION`].
    #[error(
        "record {at}: expected version {RECORD_VERSION}, got {found}; \
         help: start the version of splitbrain that wrote this data directory"
    )]
    Version {
        /// Which record, from zero.
        at: usize,
        /// Its version byte.
        found: u8,
    },
    /// The kind is none that this version writes.
    #[error("record {at}: expected kind 1 to 5, got {found}")]
    Kind {
        /// Which record, from zero.
        at: usize,
        /// Its kind.
        found: u8,
    },
    /// The payload does not decode.
    #[error("record {at}: expected the payload of a record of kind {kind}, got other bytes")]
    Payload {
        /// Which record, from zero.
        at: usize,
        /// Its kind.
        kind: u8,
    },
    /// An entry does not follow the one before it.
    #[error("record {at}: expected entry {expected}, got entry {found}")]
    Hole {
        /// Which record, from zero.
        at: usize,
        /// The index that must come.
        expected: u64,
        /// The index that came.
        found: u64,
    },
    /// Snapshot and log do not meet.
    #[error(
        "the log holds the entries {first} to {last} and the snapshot ends with {snapshot}: \
         expected the log to hold that one; help: one of the two is missing or was replaced; \
         restore both from the same copy, or move both away and let the node join as a new one"
    )]
    Apart {
        /// The first index in the log.
        first: u64,
        /// The last one.
        last: u64,
        /// The end of the snapshot.
        snapshot: EntryId,
    },
}

const KIND_ENTRY: u8 = 1;
const KIND_HARD: u8 = 2;
const KIND_TRUNCATE: u8 = 3;
const KIND_BASE: u8 = 4;
const KIND_MEMBER: u8 = 5;

impl Note {
    /// The kind and payload under which the write-ahead log keeps it.
    ///
    /// # Panics
    /// Never: encoding into memory cannot fail.
    pub fn encode(&self) -> (u8, Vec<u8>) {
        let payload = vec![RECORD_VERSION];
        let encoded = match self {
            Note::Entry(entry) => postcard::to_extend(entry, payload),
            Note::Hard(hard) => postcard::to_extend(hard, payload),
            Note::Truncate(after) => postcard::to_extend(after, payload),
            Note::Base(base) => postcard::to_extend(base, payload),
            Note::Member(member) => postcard::to_extend(member, payload),
        };
        let kind = match self {
            Note::Entry(_) => KIND_ENTRY,
            Note::Hard(_) => KIND_HARD,
            Note::Truncate(_) => KIND_TRUNCATE,
            Note::Base(_) => KIND_BASE,
            Note::Member(_) => KIND_MEMBER,
        };
        (kind, encoded.expect("postcard encodes plain data into memory"))
    }

    /// The inverse of [`Note::encode`]; `at` is the record's number, for the error.
    ///
    /// # Errors
    /// When version, kind or payload are none that this version writes.
    pub fn decode(at: usize, kind: u8, payload: &[u8]) -> Result<Note, ReplayError> {
        let (&version, body) = payload.split_first().ok_or(ReplayError::Payload { at, kind })?;
        if version != RECORD_VERSION {
            return Err(ReplayError::Version { at, found: version });
        }
        let note = match kind {
            KIND_ENTRY => postcard::from_bytes(body).map(Note::Entry),
            KIND_HARD => postcard::from_bytes(body).map(Note::Hard),
            KIND_TRUNCATE => postcard::from_bytes(body).map(Note::Truncate),
            KIND_BASE => postcard::from_bytes(body).map(Note::Base),
            KIND_MEMBER => postcard::from_bytes(body).map(Note::Member),
            found => return Err(ReplayError::Kind { at, found }),
        };
        note.map_err(|_| ReplayError::Payload { at, kind })
    }
}

/// What a node knows when it starts: the meaning of its snapshot and its records.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    pub(super) hard: HardState,
    pub(super) member: Member,
    pub(super) snapshot: Arc<Snapshot>,
    /// The entries behind the snapshot.
    pub(super) entries: Entries,
}

impl Remembered {
    /// Replays records in the order in which they were written. `purged` says that records before
    /// them were let go, so that the first entry may be any that the snapshot meets.
    ///
    /// # Errors
    /// When an entry does not follow the one before it, or the snapshot's last one is not there.
    pub fn replay(
        saved: Saved,
        purged: bool,
        notes: impl IntoIterator<Item = Note>,
    ) -> Result<Self, ReplayError> {
        let (mut hard, mut member) = (HardState::default(), Member::default());
        let mut entries = (!purged).then(Entries::default);
        for (at, note) in notes.into_iter().enumerate() {
            match note {
                Note::Hard(now) => hard = now,
                Note::Member(now) => member = now,
                Note::Base(base) => entries = Some(Entries::behind(base)),
                Note::Truncate(after) => match &mut entries {
                    Some(entries) if entries.base().index <= after => {
                        drop(entries.cut_after(after));
                    }
                    // What stood there was let go.
                    entries => *entries = Some(Entries::behind(unknown(after))),
                },
                Note::Entry(entry) => {
                    let found = entry.id.index;
                    let first = || Entries::behind(unknown(found.saturating_sub(1)));
                    let entries = entries.get_or_insert_with(first);
                    let expected = entries.last_index() + 1;
                    if found != expected {
                        return Err(ReplayError::Hole { at, expected, found });
                    }
                    entries.push(entry);
                }
            }
        }
        let Saved { snapshot, received } = saved;
        let last = snapshot.last;
        let mut entries = entries.unwrap_or_else(|| Entries::behind(last));
        let base = entries.base();
        let nameless = base.index == last.index && base == unknown(base.index);
        if nameless || entries.contains(last) {
            entries.release(last);
        } else if received {
            // It was saved, and the log was to begin anew behind it.
            entries = Entries::behind(last);
        } else {
            let (first, end) = (base.index + 1, entries.last_index());
            return Err(ReplayError::Apart { first, last: end, snapshot: last });
        }
        let epoch = entries.last().claim.epoch;
        if hard.epoch < epoch {
            // The record of the promise was lost where the disk is never synced; entries and
            // snapshot still tell of it, and an epoch must not be begun twice.
            hard = HardState { epoch, voted_for: None, ..hard };
        }
        entries.descend_from(&snapshot.lineage);
        Ok(Remembered { hard, member, snapshot, entries })
    }

    /// Of a founder whose log is still empty.
    #[cfg(test)]
    pub(super) fn founder() -> Self {
        Remembered { member: Member::founder(), ..Remembered::default() }
    }

    /// The index of the last entry.
    pub fn last_index(&self) -> u64 {
        self.entries.last_index()
    }

    /// The index of the last entry that the snapshot stands for.
    pub fn snapshot_index(&self) -> u64 {
        self.snapshot.last.index
    }
}

/// An entry that was let go and is known by its place alone.
fn unknown(index: u64) -> EntryId {
    EntryId { claim: Claim::NONE, index }
}

#[cfg(test)]
mod tests {
    use super::super::{Encoded, Lineage, WallTime};
    use super::*;
    use crate::state::{Command, State};

    fn id(index: u64, epoch: u64) -> EntryId {
        EntryId { claim: Claim { epoch, leader: NodeId(1) }, index }
    }

    fn entry(index: u64, epoch: u64) -> Note {
        let change = Encoded::new(&Command::Noop.into());
        Note::Entry(Entry { id: id(index, epoch), written: WallTime(index), change })
    }

    fn saved(index: u64, epoch: u64, received: bool) -> Saved {
        let mut state = State::default();
        (1..=index).for_each(|index| drop(state.apply(index, Command::Noop.into())));
        let last = id(index, epoch);
        let mut lineage = Lineage::default();
        (1..=index).for_each(|index| lineage.push(id(index, epoch)));
        Saved {
            snapshot: Arc::new(Snapshot { last, written: WallTime(index), lineage, state }),
            received,
        }
    }

    fn replay(saved: Saved, purged: bool, notes: &[Note]) -> Result<(u64, u64), ReplayError> {
        let remembered = Remembered::replay(saved, purged, notes.iter().cloned())?;
        Ok((remembered.entries.base().index, remembered.last_index()))
    }

    #[test]
    fn a_snapshot_stands_for_what_is_before_it_wherever_the_log_begins() {
        let log: Vec<Note> = (4..=9).map(|index| entry(index, 1)).collect();
        for index in 3..=9 {
            assert_eq!(replay(saved(index, 1, false), true, &log), Ok((index, 9)));
        }
    }

    #[test]
    fn a_log_that_does_not_meet_its_own_snapshot_is_refused() {
        let log: Vec<Note> = (4..=9).map(|index| entry(index, 1)).collect();
        let apart = |index, epoch| {
            let snapshot = id(index, epoch);
            Err(ReplayError::Apart { first: 4, last: 9, snapshot })
        };
        for (index, epoch) in [(2, 1), (10, 1), (5, 2)] {
            assert_eq!(replay(saved(index, epoch, false), true, &log), apart(index, epoch));
        }
        let none = ReplayError::Apart { first: 4, last: 9, snapshot: EntryId::ORIGIN };
        assert_eq!(replay(Saved::default(), true, &log), Err(none));
        let hole = ReplayError::Hole { at: 0, expected: 1, found: 4 };
        assert_eq!(replay(saved(5, 1, false), false, &log), Err(hole), "nothing was let go");
    }

    #[test]
    fn a_received_snapshot_counts_until_the_log_begins_anew_behind_it() {
        let mut log: Vec<Note> = (1..=3).map(|index| entry(index, 1)).collect();
        assert_eq!(replay(saved(7, 2, true), false, &log), Ok((7, 7)));
        log.push(Note::Base(id(7, 2)));
        log.push(entry(8, 2));
        assert_eq!(replay(saved(7, 2, true), false, &log), Ok((7, 8)));
    }

    #[test]
    fn a_cut_below_what_was_let_go_leaves_what_came_after_it() {
        let log = [entry(8, 1), entry(9, 1), Note::Truncate(6), entry(7, 2), entry(8, 2)];
        assert_eq!(replay(saved(8, 2, false), true, &log), Ok((8, 8)));
        assert_eq!(replay(saved(6, 1, false), true, &log), Ok((6, 8)));
        assert!(replay(saved(8, 1, false), true, &log).is_err());
    }
}
