//! Between nodes: framed TCP, one connection per directed link.
//!
//! A node dials every other and sends on the connections it dialled; it receives on those it
//! accepted. So a link can be cut in one direction, and a reply never depends on the connection
//! that carried the question. Frames may be lost with a connection, never in part and never twice;
//! the protocol core lives with loss, delay and the order in which connections happen to deliver.

mod frame;
mod link;
mod links;
mod listen;
mod pulse;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64};

pub(crate) use frame::Hello;
pub(crate) use link::Link;
pub(crate) use links::{Directions, LinkStates, Links};
pub(crate) use listen::listen;
pub(crate) use pulse::{Pulse, Pulses};

use crate::protocol::{Input, NodeId};

/// A node to talk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Who.
    pub(crate) node: NodeId,
    /// Where to dial. It need not be where the node listens: a proxy may stand between.
    pub(crate) address: SocketAddr,
}

/// What `/metrics` says of a link from this node.
#[derive(Debug, Default)]
pub(crate) struct LinkState {
    /// Whether there is a connection.
    pub(crate) connected: AtomicBool,
    /// How often one was made.
    pub(crate) connections: AtomicU64,
    /// Messages handed to the kernel.
    pub(crate) sent: AtomicU64,
    /// Messages dropped without a byte of them sent.
    pub(crate) dropped: AtomicU64,
}

/// Where another node says that it can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Introduction {
    /// By clients.
    pub(crate) clients: SocketAddr,
    /// By nodes.
    pub(crate) peers: SocketAddr,
}

/// What the nodes that have dialled this one have said of themselves.
pub(crate) type Introductions = Mutex<BTreeMap<NodeId, Introduction>>;

/// Where links put what they received or noticed. The runtime hands it to the core.
pub(crate) type Inbox = tokio::sync::mpsc::Sender<Input>;
