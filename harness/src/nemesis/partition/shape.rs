//! From the form of a partition to directed links: who is cut off from whom.

use std::collections::BTreeSet;

use splitbrain_workloads::operation::NodeId;

use super::{Direction, Scope};
use crate::network::link::{Link, Party};

/// Who does not hear whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Each of the victims is cut off from every other node, and so from each other.
    Apart,
    /// The victims are cut off from the rest; each side stays whole.
    Split,
    /// The victims are cut off from the rest, and this node reaches both sides.
    Bridge(NodeId),
    /// Each of these groups is cut off from every other one.
    Groups(Vec<Vec<NodeId>>),
    /// These links, those of clients included.
    Links(Vec<Link>),
    /// Every node, in this order in a ring, hears a majority; no two hear the same one. The node
    /// at place i hears the majority's worth of consecutive places of which i is the middle one
    /// (Jepsen's `majorities-ring-perfect`).
    Ring(Vec<NodeId>),
}

impl Shape {
    /// Whether the bytes from one node to another are cut.
    fn cuts(&self, victims: &[NodeId], from: NodeId, to: NodeId) -> bool {
        let (near, far) = (victims.contains(&from), victims.contains(&to));
        match self {
            Shape::Apart => near || far,
            Shape::Split => near != far,
            Shape::Bridge(bridge) => near != far && from != *bridge && to != *bridge,
            Shape::Groups(groups) => {
                let group = |node| groups.iter().position(|group| group.contains(&node));
                group(from) != group(to)
            }
            Shape::Links(links) => links.contains(&Link::peers(from, to)),
            Shape::Ring(ring) => {
                let place = |node| ring.iter().position(|other| *other == node);
                let (Some(from), Some(to)) = (place(from), place(to)) else { return false };
                let majority = ring.len() / 2 + 1;
                let first = to + ring.len() - majority / 2;
                (from + 2 * ring.len() - first) % ring.len() >= majority
            }
        }
    }

    /// Every directed link that is cut, sorted, none twice.
    pub(super) fn links(
        &self,
        nodes: &[NodeId],
        victims: &[NodeId],
        direction: Option<Direction>,
        scope: Scope,
    ) -> Vec<Link> {
        let mut links = BTreeSet::new();
        if scope.has_peers() {
            let pairs = nodes.iter().flat_map(|from| nodes.iter().map(move |to| (*from, *to)));
            links.extend(
                pairs
                    .filter(|(from, to)| from != to && self.cuts(victims, *from, *to))
                    .map(|(from, to)| Link::peers(from, to)),
            );
        }
        if let Shape::Links(listed) = self {
            links.extend(listed);
        }
        if scope.has_clients() {
            links.extend(victims.iter().copied().flat_map(client_links));
        }
        links.into_iter().filter(|link| goes(*link, victims, direction)).collect()
    }
}

/// All links of some nodes, those between them included, in a direction as the nodes see it.
pub(crate) fn links_of(
    nodes: &[NodeId],
    victims: &[NodeId],
    direction: Option<Direction>,
    scope: Scope,
) -> Vec<Link> {
    Shape::Apart.links(nodes, victims, direction, scope)
}

fn client_links(node: NodeId) -> [Link; 2] {
    [Link::to_node(node), Link::to_clients(node)]
}

/// Whether a link leads in a direction as seen by the victims.
fn goes(link: Link, victims: &[NodeId], direction: Option<Direction>) -> bool {
    let is_victim = |party| matches!(party, Party::Node(node) if victims.contains(&node));
    match direction {
        None => true,
        Some(Direction::Outbound) => is_victim(link.from),
        Some(Direction::Inbound) => is_victim(link.to),
    }
}
