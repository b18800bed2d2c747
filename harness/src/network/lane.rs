//! The way of one client to its node, and what the client may know of it for certain.
//!
//! A client lane is an address of its own in front of a node. Because every byte of the client
//! passes it, it can tell that nothing of a request was forwarded, and it can end a client's
//! connections so that nothing of them lands later. Made by
//! [`Network::client_lane`](super::Network::client_lane), used by the clients of a run.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use splitbrain_workloads::operation::NodeId;

use super::proxy::Proxy;
use super::pump::Tally;

/// The way of one client to one node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lane {
    pub(crate) node: NodeId,
    pub(crate) proxy: Proxy,
    pub(crate) tally: Arc<Tally>,
}

/// A moment on a lane, taken before a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    forwarded: u64,
    refused: u64,
}

/// What a lane did since a [`Mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinceMark {
    /// Bytes handed on to the node.
    pub forwarded: u64,
    /// Connections that the node refused.
    pub refused: u64,
}

impl SinceMark {
    /// Whether the node refused to be connected to and got no byte: the request certainly did not
    /// reach it.
    pub fn was_refused(self) -> bool {
        self.refused > 0 && self.forwarded == 0
    }
}

impl Lane {
    /// Where the client connects to.
    pub fn addr(&self) -> SocketAddr {
        self.proxy.address
    }

    /// The node behind it.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Takes a moment to compare with later, before a request is sent.
    pub fn mark(&self) -> Mark {
        Mark {
            forwarded: self.tally.forwarded.load(Ordering::SeqCst),
            refused: self.tally.refused.load(Ordering::SeqCst),
        }
    }

    /// Ends all connections of the lane, then tells what it did since the mark. After that nothing
    /// sent before can reach the node, so a request of which no byte was forwarded never will be:
    /// `forwarded == 0` is certainty, whatever the client saw.
    ///
    /// # Errors
    /// If the lane cannot listen again, or the network is shut down.
    pub async fn settle(&self, mark: Mark) -> io::Result<SinceMark> {
        self.abandon().await?;
        let now = self.mark();
        Ok(SinceMark {
            forwarded: now.forwarded - mark.forwarded,
            refused: now.refused - mark.refused,
        })
    }

    /// Ends all connections of the lane by a reset. When it returns, nothing more of what was sent
    /// on them reaches the node's socket: neither bytes that were held, nor those of a connection
    /// that was not accepted yet. What the node's kernel already has, the node may still read.
    ///
    /// # Errors
    /// As [`settle`](Lane::settle).
    pub async fn abandon(&self) -> io::Result<()> {
        self.proxy.abandon().await
    }
}
