//! Whom a fault is aimed at: a role, chance, everybody or a node by name.

use std::fmt;
use std::str::FromStr;

use rand::seq::{IndexedRandom, SliceRandom};
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;

use super::{Problem, Skip, View};
use crate::scalar::as_text;

/// A target selector, written `leader`, `follower`, `random`, `minority`, `majority`, `all` or
/// `n2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector {
    /// Whoever leads at the moment of injection.
    Leader,
    /// One of those who follow at the moment of injection, by chance.
    Follower,
    /// One node by chance, drawn when the plan is made.
    Random,
    /// As many nodes as a cluster can lose and go on, by chance at the moment of injection.
    Minority,
    /// More than half of the nodes, and no node more than that takes, by chance likewise.
    Majority,
    /// Every node.
    All,
    /// This node.
    Node(NodeId),
}

impl Selector {
    /// What may be written, for messages.
    pub const WORDS: &'static str = "`leader`, `follower`, `random`, `minority`, `majority`, `all` \
                                     or a node such as `n2`";

    /// The selector with chance decided.
    pub fn draw(self, nodes: u16, rng: &mut Stream) -> Selector {
        let all: Vec<NodeId> = NodeId::first(nodes).collect();
        match (self, all.choose(rng)) {
            (Selector::Random, Some(node)) => Selector::Node(*node),
            (other, _) => other,
        }
    }

    /// The nodes that are meant, none of them under another fault; never empty.
    ///
    /// # Errors
    ///
    /// [`Skip`] when nobody plays the role, or whoever does is under another fault.
    pub fn pick(self, view: &View, rng: &mut Stream) -> Result<Vec<NodeId>, Skip> {
        match self {
            Selector::Leader => Ok(vec![view.free_leader()?]),
            Selector::Follower if view.followers.is_empty() => Err(Skip::wait("nobody follows")),
            Selector::Follower => one_of(&view.followers, view, rng),
            Selector::Random => one_of(&view.nodes, view, rng),
            Selector::Minority => some_free(&view.nodes, minority(view.nodes.len()), view, rng),
            Selector::Majority => some_free(&view.nodes, view.nodes.len() / 2 + 1, view, rng),
            Selector::All => view.nodes.iter().map(|node| view.free(*node)).collect(),
            Selector::Node(node) => Ok(vec![view.free(node)?]),
        }
    }

    /// Whether it may mean several nodes.
    pub fn is_many(self) -> bool {
        matches!(self, Selector::Minority | Selector::Majority | Selector::All)
    }

    /// What makes no sense in a cluster of so many nodes; `keys` lead to the selector.
    pub fn problems(self, nodes: u16, keys: &[&'static str]) -> Vec<Problem> {
        let node = match self {
            Selector::Node(node) => node,
            Selector::Follower if nodes == 1 => {
                return vec![Problem {
                    keys: keys.to_vec(),
                    message: "a cluster of one node has no follower".to_string(),
                    help: Some("raise `nodes` of the target".to_string()),
                }];
            }
            Selector::Minority if nodes < 3 => {
                return vec![Problem {
                    keys: keys.to_vec(),
                    message: format!("a cluster of {nodes} cannot lose a node and keep a majority"),
                    help: Some("raise `nodes` of the target to 3 or more".to_string()),
                }];
            }
            Selector::Leader
            | Selector::Follower
            | Selector::Random
            | Selector::Minority
            | Selector::Majority
            | Selector::All => return Vec::new(),
        };
        let mut problems = unknown_node(node, nodes, keys);
        for problem in &mut problems {
            problem.help = Some(
                "or name a role: `leader`, `follower`, `random`, `minority`, `majority`, `all`"
                    .into(),
            );
        }
        problems
    }
}

/// The problem of a node that a cluster does not have.
pub(super) fn unknown_node(node: NodeId, nodes: u16, keys: &[&'static str]) -> Vec<Problem> {
    if node.0 <= nodes {
        return Vec::new();
    }
    let expected = if nodes == 1 { "only `n1`".to_string() } else { format!("`n1` to `n{nodes}`") };
    vec![Problem {
        keys: keys.to_vec(),
        message: format!("the cluster has no node `{node}`: it has {expected}"),
        help: None,
    }]
}

fn one_of(nodes: &[NodeId], view: &View, rng: &mut Stream) -> Result<Vec<NodeId>, Skip> {
    let free: Vec<NodeId> = nodes.iter().filter_map(|node| view.free(*node).ok()).collect();
    match free.choose(rng) {
        Some(node) => Ok(vec![*node]),
        None => Err(Skip::wait("every candidate is under another fault")),
    }
}

/// How many nodes of so many can be lost while a majority is left.
pub(super) fn minority(nodes: usize) -> usize {
    nodes.saturating_sub(1) / 2
}

/// So many of the nodes that are under no fault, by chance, sorted.
pub(super) fn some_free(
    nodes: &[NodeId],
    count: usize,
    view: &View,
    rng: &mut Stream,
) -> Result<Vec<NodeId>, Skip> {
    let free = nodes.iter().copied().filter(|node| view.free(*node).is_ok());
    let mut free: Vec<NodeId> = free.collect();
    if free.len() < count {
        return Err(Skip::wait(format!("fewer than {count} candidates are under no other fault")));
    }
    free.shuffle(rng);
    free.truncate(count);
    free.sort();
    Ok(free)
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Leader => f.write_str("leader"),
            Selector::Follower => f.write_str("follower"),
            Selector::Random => f.write_str("random"),
            Selector::Minority => f.write_str("minority"),
            Selector::Majority => f.write_str("majority"),
            Selector::All => f.write_str("all"),
            Selector::Node(node) => node.fmt(f),
        }
    }
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "leader" => Ok(Selector::Leader),
            "follower" => Ok(Selector::Follower),
            "random" => Ok(Selector::Random),
            "minority" => Ok(Selector::Minority),
            "majority" => Ok(Selector::Majority),
            "all" => Ok(Selector::All),
            _ => text
                .parse()
                .map(Selector::Node)
                .map_err(|_| format!("expected {}, got `{text}`", Selector::WORDS)),
        }
    }
}

as_text!(Selector);
