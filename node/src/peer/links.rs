//! All links from this node: whom it dials, where, and from when on no more. The core says who the
//! members are; the runtime tells this file, and sends through it.
//!
//! A member is dialled as soon as it is one. Somebody else is dialled when there is something to
//! say to it, since that is an answer: a leader that this node has not heard of yet, or a node that
//! was removed and does not know. Who is no member any more is not dialled again once the
//! connection has ended.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Hello, Inbox, Introductions, Link, LinkState, Peer, Pulses};
use crate::protocol::{Message, NodeId, RequestId};
use crate::state::Configuration;

/// What `/metrics` says of the links, by the node that they lead to.
pub(crate) type LinkStates = Arc<Mutex<BTreeMap<NodeId, Arc<LinkState>>>>;

/// Where other nodes are dialled. The first that knows of a node is right.
#[derive(Debug)]
pub(crate) struct Directions {
    /// `--dial`: there, whoever says otherwise, since a proxy stands between.
    pub(crate) dial: BTreeMap<NodeId, SocketAddr>,
    /// `--peer`: for nodes that nobody has added with an address.
    pub(crate) peers: BTreeMap<NodeId, SocketAddr>,
    /// What nodes have said of themselves when they dialled this one.
    pub(crate) introductions: Arc<Introductions>,
}

impl Directions {
    fn to(&self, node: NodeId, members: &Configuration) -> Option<SocketAddr> {
        let introduced = || {
            let known = self.introductions.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(&node).map(|introduction| introduction.peers)
        };
        let added = || members.seat(node).and_then(|seat| seat.address);
        let dial = self.dial.get(&node).copied();
        dial.or_else(added).or_else(|| self.peers.get(&node).copied()).or_else(introduced)
    }
}

/// The sending ends of all links.
#[derive(Debug)]
pub(crate) struct Links {
    /// What is said to each, but for its name.
    hello: Hello,
    directions: Directions,
    members: Arc<Configuration>,
    open: BTreeMap<NodeId, (SocketAddr, Link)>,
    states: LinkStates,
    inbox: Inbox,
    pulses: Pulses,
}

impl Links {
    /// None yet.
    pub(crate) fn new(hello: Hello, directions: Directions, inbox: Inbox, pulses: Pulses) -> Self {
        let (members, states) = (Arc::default(), LinkStates::default());
        Links { hello, directions, members, open: BTreeMap::new(), states, inbox, pulses }
    }

    /// What `/metrics` reads.
    pub(crate) fn states(&self) -> LinkStates {
        Arc::clone(&self.states)
    }

    /// These are the members from here on.
    pub(crate) fn follow(&mut self, members: Arc<Configuration>) {
        self.members = Arc::clone(&members);
        self.open.retain(|node, (_, link)| {
            let stays = members.seat(*node).is_some();
            if !stays {
                link.retire();
                states(&self.states).remove(node);
            }
            // A link that has retired still delivers while its connection stands.
            stays || !link.has_ended()
        });
        let me = self.hello.from;
        for (node, _) in members.members().filter(|(node, _)| *node != me) {
            self.dial(node);
        }
    }

    /// Queues a message. Returns the forwards that were dropped, unsent, on this occasion.
    pub(crate) fn send(&mut self, to: NodeId, message: &Message) -> Vec<RequestId> {
        if self.open.get(&to).is_none_or(|(_, link)| link.has_ended()) {
            self.dial(to);
        }
        match (self.open.get(&to), message) {
            (Some((_, link)), message) => link.send(message),
            (None, Message::Forward { id, .. }) => vec![*id],
            (None, _) => Vec::new(),
        }
    }

    /// Starts a link, unless there is one to where the node is now.
    fn dial(&mut self, node: NodeId) {
        let Some(address) = self.directions.to(node, &self.members) else { return };
        if let Some((before, link)) = self.open.get(&node) {
            if *before == address && !link.has_retired() {
                return;
            }
            link.retire();
        }
        let state = Arc::<LinkState>::default();
        let is_member = self.members.seat(node).is_some();
        if is_member {
            states(&self.states).insert(node, Arc::clone(&state));
        }
        let hello = self.hello.said_to(node);
        let (peer, pulse) = (Peer { node, address }, self.pulses.of(node));
        let link = Link::start(hello, peer, state, self.inbox.clone(), pulse);
        if !is_member {
            // One connection, for what is to be said.
            link.retire();
        }
        self.open.insert(node, (address, link));
    }
}

fn states(of: &LinkStates) -> MutexGuard<'_, BTreeMap<NodeId, Arc<LinkState>>> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
