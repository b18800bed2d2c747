//! What a node must remember, as records of one append-only log.
//!
//! Entries, hard state and truncations share one order on disk. A truncation is a record too,
//! never a physical cut: recovery replays the records, so a crash between a truncation and the
//! entries after it has one meaning. The write-ahead log (`crate::log`) does not know what is
//! inside its records; this file does, and the runtime carries the bytes between the two.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::entries::Entries;
use super::entry::{Claim, Entry, NodeId};

/// The version byte of every record's payload.
pub const RECORD_VERSION: u8 = 2;

/// What must survive a crash besides entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardState {
    /// The highest epoch this node has promised itself to, by vote or by following.
    pub epoch: u64,
    /// For whom it voted in that epoch.
    pub voted_for: Option<NodeId>,
    /// The latest claim it has followed or made.
    pub claim: Claim,
}

impl Default for HardState {
    fn default() -> Self {
        HardState { epoch: 0, voted_for: None, claim: Claim::NONE }
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
    #[error("record {at}: expected kind 1, 2 or 3, got {found}")]
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
}

const KIND_ENTRY: u8 = 1;
const KIND_HARD: u8 = 2;
const KIND_TRUNCATE: u8 = 3;

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
        };
        let kind = match self {
            Note::Entry(_) => KIND_ENTRY,
            Note::Hard(_) => KIND_HARD,
            Note::Truncate(_) => KIND_TRUNCATE,
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
            found => return Err(ReplayError::Kind { at, found }),
        };
        note.map_err(|_| ReplayError::Payload { at, kind })
    }
}

/// What a node knows when it starts: the meaning of its records.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    pub(super) hard: HardState,
    pub(super) entries: Entries,
}

impl Remembered {
    /// Replays records in the order in which they were written.
    ///
    /// # Errors
    /// When an entry does not follow the one before it.
    pub fn replay(notes: impl IntoIterator<Item = Note>) -> Result<Self, ReplayError> {
        let mut remembered = Remembered::default();
        for (at, note) in notes.into_iter().enumerate() {
            match note {
                Note::Hard(hard) => remembered.hard = hard,
                Note::Truncate(after) => drop(remembered.entries.cut_after(after)),
                Note::Entry(entry) => {
                    let expected = remembered.entries.last_index() + 1;
                    let found = entry.id.index;
                    if found != expected {
                        return Err(ReplayError::Hole { at, expected, found });
                    }
                    remembered.entries.push(entry);
                }
            }
        }
        Ok(remembered)
    }

    /// The index of the last entry.
    pub fn last_index(&self) -> u64 {
        self.entries.last_index()
    }
}
