//! Which nodes are the cluster, as the log says it: every member with its seat. Pure data; what a
//! configuration decides, and from when on, is the core's business (`protocol/configuration.rs`).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::protocol::NodeId;

/// A member's place in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// Whether it votes and its confirmations count. One that does not is sent everything and
    /// becomes a voter once it has caught up.
    pub voter: bool,
    /// Where the others dial it, as whoever added it said. `None` for a founder: every node was
    /// told where to dial those when it was started.
    pub address: Option<SocketAddr>,
}

/// The members of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration(BTreeMap<NodeId, Seat>);

impl Configuration {
    /// Of founders: all of them vote.
    pub fn of_founders(nodes: impl IntoIterator<Item = NodeId>) -> Self {
        let founder = Seat { voter: true, address: None };
        Configuration(nodes.into_iter().map(|node| (node, founder)).collect())
    }

    /// A member's seat; `None` if the node is no member.
    pub fn seat(&self, node: NodeId) -> Option<Seat> {
        self.0.get(&node).copied()
    }

    /// All members, in the order of their numbers.
    pub fn members(&self) -> impl Iterator<Item = (NodeId, Seat)> {
        self.0.iter().map(|(node, seat)| (*node, *seat))
    }

    /// Those that vote, in the order of their numbers.
    pub fn voters(&self) -> impl Iterator<Item = NodeId> {
        self.members().filter(|(_, seat)| seat.voter).map(|(node, _)| node)
    }

    /// The member that does not vote yet. Members are added one at a time.
    pub fn learner(&self) -> Option<NodeId> {
        self.members().find(|(_, seat)| !seat.voter).map(|(node, _)| node)
    }

    /// The same with a node in this seat.
    #[must_use]
    pub fn with(&self, node: NodeId, seat: Seat) -> Self {
        let mut next = self.clone();
        next.0.insert(node, seat);
        next
    }

    /// The same without a node.
    #[must_use]
    pub fn without(&self, node: NodeId) -> Self {
        let mut next = self.clone();
        next.0.remove(&node);
        next
    }
}
