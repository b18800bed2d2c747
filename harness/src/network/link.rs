//! The names of links: bytes that flow one way between two parties.
//!
//! Faults name links, never listeners and never connections: a connection dialled by `n2` at `n1`
//! carries both `n2->n1` and `n1->n2`.

use std::fmt;
use std::str::FromStr;

use splitbrain_workloads::operation::NodeId;

use crate::scalar::as_text;

/// An end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// A node of the target.
    Node(NodeId),
    /// The clients, all of them: those of one node share its client links.
    Clients,
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Party::Node(node) => node.fmt(f),
            Party::Clients => f.write_str("client"),
        }
    }
}

/// Bytes flowing one way, written `n1->n2` or `client->n3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// Who sends.
    pub from: Party,
    /// Who receives.
    pub to: Party,
}

impl Link {
    /// The link between two nodes.
    pub fn peers(from: NodeId, to: NodeId) -> Link {
        Link { from: Party::Node(from), to: Party::Node(to) }
    }

    /// The link from the clients to a node.
    pub fn to_node(node: NodeId) -> Link {
        Link { from: Party::Clients, to: Party::Node(node) }
    }

    /// The link from a node to its clients.
    pub fn to_clients(node: NodeId) -> Link {
        Link { from: Party::Node(node), to: Party::Clients }
    }

    /// The link the other way.
    pub fn reverse(self) -> Link {
        Link { from: self.to, to: self.from }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}->{}", self.from, self.to)
    }
}

impl FromStr for Party {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "client" => Ok(Party::Clients),
            node => node.parse().map(Party::Node),
        }
    }
}

impl FromStr for Link {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parties = text.split_once("->").and_then(|(from, to)| {
            Some(Link { from: from.trim().parse().ok()?, to: to.trim().parse().ok()? })
        });
        match parties {
            Some(link) if link.from != link.to => Ok(link),
            _ => Err(format!(
                "expected a link such as `n1->n2`, `client->n3` or `n3->client`, got `{text}`"
            )),
        }
    }
}

as_text!(Link);
