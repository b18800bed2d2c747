//! How a message travels: length, checksum, payload.
//!
//! ```text
//! 0  length of the payload   u32 little-endian
//! 4  crc32c of the payload   u32 little-endian
//! 8  payload                 postcard
//! ```
//!
//! The first frame of a connection is a [`Hello`], all others are messages. Whatever a stranger
//! sends is an error, never a panic, and never more memory than the length limit.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::protocol::{Message, NodeId};

/// Largest payload. The largest message is a forwarded list, whose size the state machine limits
/// to half of this; a damaged or hostile length cannot ask for more memory.
pub(crate) const FRAME_BYTES_MAX: usize = 16 << 20;

/// Largest payload of a frame from somebody who has not said hello.
pub(super) const HELLO_BYTES_MAX: usize = 128;

/// The version of frames and messages. Nodes of different versions do not talk.
pub(crate) const PROTOCOL_VERSION: u16 = 9;

const MAGIC: [u8; 8] = *b"SPLITNET";
const HEADER_BYTES: usize = 8;

/// The first frame of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    magic: [u8; 8],
    version: u16,
    /// The cluster's number.
    pub(crate) cluster: u64,
    /// Who dials.
    pub(crate) from: NodeId,
    /// Whom it means to reach.
    pub(crate) to: NodeId,
    /// Where clients reach who dials, for those that are told to ask it.
    pub(crate) clients: SocketAddr,
    /// Where nodes reach who dials, for those that must dial back and were told no other way.
    pub(crate) peers: SocketAddr,
}

impl Hello {
    /// What a node says of itself; to whom it says it is still open.
    pub(crate) fn of(cluster: u64, from: NodeId, clients: SocketAddr, peers: SocketAddr) -> Self {
        let to = NodeId::default();
        Hello { magic: MAGIC, version: PROTOCOL_VERSION, cluster, from, to, clients, peers }
    }

    /// The same, said to a node.
    pub(super) fn said_to(self, to: NodeId) -> Self {
        Hello { to, ..self }
    }

    /// Whether the dialler belongs here.
    pub(super) fn check(&self, cluster: u64, me: NodeId) -> Result<(), FrameError> {
        if self.magic != MAGIC {
            return Err(FrameError::Magic);
        }
        if self.version != PROTOCOL_VERSION {
            return Err(FrameError::Version { got: self.version });
        }
        if self.cluster != cluster {
            return Err(FrameError::Cluster { expected: cluster, got: self.cluster });
        }
        if self.to != me {
            return Err(FrameError::Addressee { me, got: self.to });
        }
        Ok(())
    }
}

/// Why a frame is refused. The connection ends with it.
#[derive(Debug, Error)]
pub(crate) enum FrameError {
    /// The connection ended or failed.
    #[error("connection: {0}")]
    Io(#[from] std::io::Error),
    /// The length is beyond the limit.
    #[error("frame: expected at most {limit} bytes, got a length of {got}")]
    Length { limit: usize, got: usize },
    /// The payload is not what was sent.
    #[error("frame: expected checksum {expected:08x}, got {got:08x}")]
    Checksum { expected: u32, got: u32 },
    /// The payload is no message.
    #[error("frame: expected a message of protocol version {PROTOCOL_VERSION}, got other bytes")]
    Payload,
    /// Not one of ours.
    #[error("hello: expected a splitbrain node, got something else")]
    Magic,
    /// Another version.
    #[error("hello: expected protocol version {PROTOCOL_VERSION}, got {got}")]
    Version { got: u16 },
    /// A node of another cluster.
    #[error("hello: expected cluster {expected:016x}, got {got:016x}")]
    Cluster { expected: u64, got: u64 },
    /// Somebody else was meant.
    #[error("hello: this is {me}, but the dialler meant {got}; help: check its --peer addresses")]
    Addressee { me: NodeId, got: NodeId },
}

/// The frame of a hello or a message.
///
/// # Panics
/// Never: encoding plain data into memory cannot fail.
pub(crate) fn encode<T: Serialize>(payload: &T) -> Vec<u8> {
    let frame = postcard::to_extend(payload, vec![0; HEADER_BYTES]);
    let mut frame = frame.expect("plain data encodes into memory");
    let length = (frame.len() - HEADER_BYTES) as u32;
    let checksum = crc32c::crc32c(&frame[HEADER_BYTES..]);
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame[4..8].copy_from_slice(&checksum.to_le_bytes());
    frame
}

/// Reads the payload of one frame into `payload`.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    payload: &mut Vec<u8>,
    limit: usize,
) -> Result<(), FrameError> {
    let length = stream.read_u32_le().await? as usize;
    let expected = stream.read_u32_le().await?;
    if length > limit {
        return Err(FrameError::Length { limit, got: length });
    }
    payload.clear();
    payload.resize(length, 0);
    stream.read_exact(payload).await?;
    let got = crc32c::crc32c(payload);
    if got != expected {
        return Err(FrameError::Checksum { expected, got });
    }
    Ok(())
}

/// The message of a payload.
pub(super) fn decode_message(payload: &[u8]) -> Result<Message, FrameError> {
    postcard::from_bytes(payload).map_err(|_| FrameError::Payload)
}

/// The hello of a payload.
pub(super) fn decode_hello(payload: &[u8]) -> Result<Hello, FrameError> {
    postcard::from_bytes(payload).map_err(|_| FrameError::Magic)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::{Claim, Encoded, Entry, EntryId, Vouched, WallTime};
    use crate::state::Command;

    fn read_all(bytes: &[u8], limit: usize) -> Result<Vec<u8>, FrameError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("it builds");
        let mut payload = Vec::new();
        let mut stream = bytes;
        runtime.block_on(read(&mut stream, &mut payload, limit)).map(|()| payload)
    }

    fn append() -> Message {
        let claim = Claim { epoch: 3, leader: NodeId(2) };
        let command = Command::Put { key: "k".into(), value: "v".into() };
        let id = EntryId { claim, index: 1 };
        let entries =
            vec![Entry { id, written: WallTime(5), change: Encoded::new(&command.into()) }];
        Message::Append {
            claim,
            round: 7,
            prev: EntryId::ORIGIN,
            entries,
            committed: 0,
            vouched: Vouched::default(),
        }
    }

    #[test]
    fn a_message_arrives_as_it_was_sent() {
        let payload = read_all(&encode(&append()), FRAME_BYTES_MAX).expect("it is whole");
        assert_eq!(decode_message(&payload).expect("it is a message"), append());
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_memory_is_taken() {
        let mut frame = vec![0xff; 8];
        frame[4..8].fill(0);
        let error = read_all(&frame, FRAME_BYTES_MAX).expect_err("it is too long");
        assert!(matches!(error, FrameError::Length { got, .. } if got == u32::MAX as usize));
    }

    #[test]
    fn a_hello_for_somebody_else_is_refused() {
        let clients = SocketAddr::from(([0xff; 16], 7001));
        let hello = Hello { to: NodeId(2), ..Hello::of(7, NodeId(1), clients, clients) };
        let last = NodeId(u16::MAX);
        let longest = Hello { to: last, ..Hello::of(u64::MAX, last, clients, clients) };
        assert!(encode(&longest).len() - HEADER_BYTES <= HELLO_BYTES_MAX);
        assert!(hello.check(7, NodeId(2)).is_ok());
        assert!(matches!(hello.check(8, NodeId(2)), Err(FrameError::Cluster { .. })));
        assert!(matches!(hello.check(7, NodeId(3)), Err(FrameError::Addressee { .. })));
        let stranger = Hello { magic: *b"GET / HT", ..hello };
        assert!(matches!(stranger.check(7, NodeId(2)), Err(FrameError::Magic)));
        let older = Hello { version: 1, ..hello };
        assert!(matches!(older.check(7, NodeId(2)), Err(FrameError::Version { got: 1 })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_error_or_a_message_and_never_a_panic(bytes: Vec<u8>) {
            let _ = decode_message(&bytes);
            let _ = decode_hello(&bytes);
            if let Ok(payload) = read_all(&bytes, HELLO_BYTES_MAX) {
                prop_assert!(payload.len() <= HELLO_BYTES_MAX);
            }
        }

        #[test]
        fn a_flipped_bit_is_noticed(bit in 0usize..8 * 24) {
            let mut frame = encode(&append());
            let bit = bit % (frame.len() * 8);
            frame[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(read_all(&frame, FRAME_BYTES_MAX).is_err());
        }
    }
}
