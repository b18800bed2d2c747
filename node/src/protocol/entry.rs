//! The entry: what replication moves, compares and cuts, and how it is named.
//!
//! An entry's identity is (epoch, leader, index). With majority elections an epoch has one leader
//! and the leader's name adds nothing; without them two leaders can share an epoch, and then their
//! entries at one index are different entries. Every comparison in the core is between identities.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::message::Message;
use super::wall_time::WallTime;
use crate::state::Change;

/// One node of the cluster, counted from one and written `n1`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct NodeId(pub u16);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl FromStr for NodeId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix('n').and_then(|digits| digits.parse().ok()) {
            Some(number) if number > 0 => Ok(NodeId(number)),
            _ => Err(format!("expected a node such as \"n1\", got \"{text}\"")),
        }
    }
}

/// Somebody's claim to lead: an epoch and who leads in it. The derived order, epoch first and the
/// leader's number second, is the total order by which a follower picks the latest claimant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Claim {
    /// The number of the leadership (Raft: term). It is the fencing token.
    pub epoch: u64,
    /// Who leads.
    pub leader: NodeId,
}

impl Claim {
    /// Before every claim.
    pub const NONE: Claim = Claim { epoch: 0, leader: NodeId(0) };
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {} of {}", self.epoch, self.leader)
    }
}

/// The identity of an entry. The derived order is the one by which logs are compared: the claim of
/// the last entry first and only then the length, so that a long stale log loses to a short fresh
/// one (Raft, section 5.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryId {
    /// Under whose leadership it was appended.
    pub claim: Claim,
    /// Its place in the log, from one.
    pub index: u64,
}

impl EntryId {
    /// What stands before the first entry of every log.
    pub const ORIGIN: EntryId = EntryId { claim: Claim::NONE, index: 0 };
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {} ({})", self.index, self.claim)
    }
}

/// One entry of the replicated log. Cheap to clone: the change is shared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its identity.
    pub id: EntryId,
    /// When its leader appended it, by the leader's wall clock. Clocks differ and step, so it may
    /// be earlier than that of the entry before it.
    pub written: WallTime,
    /// The change, encoded once by the leader; log, frames and followers copy the bytes.
    pub change: Encoded,
}

/// Bytes shared between the log in memory, the log on disk and the frames on their way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded(pub Arc<[u8]>);

impl Encoded {
    /// Encodes a change.
    ///
    /// # Panics
    /// Never: encoding plain data into memory cannot fail.
    pub fn new(change: &Change) -> Self {
        Encoded(Arc::from(postcard::to_allocvec(change).expect("a change encodes")))
    }

    /// Whether it names the members of the cluster, without decoding it.
    pub(super) fn is_configuration(&self) -> bool {
        Change::is_configuration(&self.0)
    }

    /// The change.
    ///
    /// # Panics
    /// When the bytes are no change. They were written by this version (frames and records carry
    /// it) and have passed a checksum, so there is no state that other nodes would agree with.
    pub fn decode(&self) -> Change {
        postcard::from_bytes(&self.0).expect("an entry of this version holds a change")
    }
}

impl Encoded {
    /// Encodes a message that is a part of another.
    pub(super) fn of(message: &Message) -> Self {
        Encoded(Arc::from(postcard::to_allocvec(message).expect("a message encodes")))
    }

    /// The message. `None` when the bytes are none.
    pub(super) fn message(&self) -> Option<Message> {
        postcard::from_bytes(&self.0).ok()
    }
}

impl Serialize for Encoded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Encoded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Encoded;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Encoded, E> {
                Ok(Encoded(Arc::from(bytes)))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}
