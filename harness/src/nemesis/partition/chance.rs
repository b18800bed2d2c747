//! What chance draws for a partition: halves, groups, rings and links.

use std::collections::BTreeSet;

use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;

use crate::network::link::{Link, Party};

/// The smaller half of the nodes, by chance, sorted.
pub(super) fn half_of(nodes: Vec<NodeId>, rng: &mut Stream) -> Vec<NodeId> {
    let half = nodes.len() / 2;
    let mut side = shuffled(nodes, rng);
    side.truncate(half);
    side.sort();
    side
}

/// The nodes in two groups or more, by chance: the first two open a group each, every other one
/// joins one of those that there are or opens another, with equal chances.
pub(super) fn random_groups(nodes: Vec<NodeId>, rng: &mut Stream) -> Vec<Vec<NodeId>> {
    let mut groups: Vec<Vec<NodeId>> = Vec::new();
    for node in shuffled(nodes, rng) {
        let place =
            if groups.len() < 2 { groups.len() } else { rng.random_range(0..=groups.len()) };
        match groups.get_mut(place) {
            Some(group) => group.push(node),
            None => groups.push(vec![node]),
        }
    }
    groups.iter_mut().for_each(|group| group.sort());
    groups.sort();
    groups
}

/// Every node that is not in the largest group, the first of the largest ones, sorted.
pub(super) fn all_but_the_largest(groups: &[Vec<NodeId>]) -> Vec<NodeId> {
    let largest = groups.iter().map(Vec::len).max().unwrap_or(0);
    let kept = groups.iter().position(|group| group.len() == largest);
    let others = groups.iter().enumerate().filter(|(place, _)| Some(*place) != kept);
    let mut victims: Vec<NodeId> = others.flat_map(|(_, group)| group.iter().copied()).collect();
    victims.sort();
    victims
}

/// Each link between two of the nodes by an even chance; one by chance where that gives none.
pub(super) fn random_links(nodes: &[NodeId], rng: &mut Stream) -> Vec<Link> {
    let every: Vec<Link> = nodes
        .iter()
        .flat_map(|from| nodes.iter().map(|to| (*from, *to)))
        .filter(|(from, to)| from != to)
        .map(|(from, to)| Link::peers(from, to))
        .collect();
    let drawn: Vec<Link> = every.iter().copied().filter(|_| rng.random_bool(0.5)).collect();
    if drawn.is_empty() { every.choose(rng).copied().into_iter().collect() } else { drawn }
}

/// The nodes at the ends of links, none twice.
pub(super) fn ends_of(links: &[Link]) -> impl Iterator<Item = NodeId> {
    let ends = links.iter().flat_map(|link| [link.from, link.to]);
    let nodes: BTreeSet<NodeId> = ends
        .filter_map(|party| match party {
            Party::Node(node) => Some(node),
            Party::Clients => None,
        })
        .collect();
    nodes.into_iter()
}

pub(super) fn shuffled(mut nodes: Vec<NodeId>, rng: &mut Stream) -> Vec<NodeId> {
    nodes.shuffle(rng);
    nodes
}
