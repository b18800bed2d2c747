//! What the core is fed: everything that can happen to a node, and nothing else moves it.
//!
//! The runtime makes inputs of sockets, timers, the log's reports and clients; a recording holds
//! them, and the simulation draws them.

use serde::{Deserialize, Serialize};

use super::Now;
use super::barrier::Token;
use super::election::lease::LockAnswer;
use super::entry::NodeId;
use super::message::{Message, Request, RequestId};
use super::wall_time::WallTime;

/// Something that happened to the node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Input {
    /// A message arrived.
    Message {
        /// From whom.
        from: NodeId,
        /// What it says.
        message: Message,
    },
    /// A client of this node asks for something. Its number must be unique in this process.
    Request {
        /// The number that comes back in [`Effect::Reply`](super::Effect::Reply).
        id: RequestId,
        /// What is asked.
        request: Request,
        /// When the client will have given up, so that what waits for it can be forgotten.
        deadline: Now,
    },
    /// The log has this batch and all before it on disk.
    Flushed(Token),
    /// A snapshot is on disk.
    Saved {
        /// The number it had in [`Effect::Save`](super::Effect::Save).
        number: u64,
        /// How many bytes it takes.
        bytes: u64,
    },
    /// A forward was dropped before its first byte was sent.
    Unsent(RequestId),
    /// The connection to a node was lost, and with it perhaps what was sent last.
    LinkLost(NodeId),
    /// What the wall clock says. It comes with every batch of inputs, and may step back.
    Clock(WallTime),
    /// The last connection from a node was closed. A hint that it may be dead; safety never rests
    /// on it.
    Closed(NodeId),
    /// The lock service has answered, or will not.
    Lock {
        /// The number it had in [`Effect::Lock`](super::Effect::Lock).
        number: u64,
        /// What it answered.
        answer: LockAnswer,
    },
    /// Nothing but time passed.
    Tick,
}
