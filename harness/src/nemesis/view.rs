//! What a fault knows of the cluster when it is resolved, and what comes of it. Filled in and
//! carried out by the injector.

use std::collections::BTreeSet;

use splitbrain_workloads::operation::NodeId;

use super::Action;
use super::selector::minority;
use crate::suite::schedule::Keep;

/// The cluster at the moment of injection, as the harness last saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Every node, in order.
    pub nodes: Vec<NodeId>,
    /// Who leads, where that is known.
    pub leader: Option<NodeId>,
    /// Who follows, in order.
    pub followers: Vec<NodeId>,
    /// Nodes that could be started and are no members at first, in order.
    pub spares: Vec<NodeId>,
    /// The nodes that are under a fault which is not healed yet.
    pub faulted: BTreeSet<NodeId>,
}

impl Keep {
    /// Whether an action, beside the faults that are in force, leaves what is to be kept.
    pub(crate) fn leaves(self, view: &View, action: &dyn Action) -> bool {
        match self {
            Keep::Majority => {
                let hit: BTreeSet<&NodeId> = view.faulted.iter().chain(action.victims()).collect();
                hit.len() <= minority(view.nodes.len())
            }
        }
    }
}

impl View {
    /// A cluster on paper: all nodes up, the first one leads, nothing is under a fault.
    pub fn whole(nodes: u16) -> View {
        let nodes: Vec<NodeId> = NodeId::first(nodes).collect();
        View {
            leader: nodes.first().copied(),
            followers: nodes.iter().copied().skip(1).collect(),
            spares: nodes.last().map(|last| NodeId(last.0 + 1)).into_iter().collect(),
            faulted: BTreeSet::new(),
            nodes,
        }
    }

    /// The same with this node in every role that nobody plays, or whose player is under a fault.
    pub fn with_stand_in(mut self, node: NodeId) -> View {
        if self.leader.is_none_or(|leader| self.faulted.contains(&leader)) {
            self.leader = Some(node);
            self.followers.retain(|follower| *follower != node);
        }
        if self.followers.iter().all(|follower| self.faulted.contains(follower)) {
            self.followers = vec![node];
        }
        self
    }

    /// A node that may be hit, or why it may not.
    ///
    /// # Errors
    ///
    /// [`Skip`] for a node under another fault (wait for its heal), or one the cluster does not
    /// have.
    pub fn free(&self, node: NodeId) -> Result<NodeId, Skip> {
        if !self.nodes.contains(&node) {
            return Err(Skip::now(format!("the cluster has no node {node}")));
        }
        if self.faulted.contains(&node) {
            return Err(Skip::wait(format!("{node} is under another fault")));
        }
        Ok(node)
    }

    /// A spare that is under no fault, such as being a member for a while.
    ///
    /// # Errors
    ///
    /// [`Skip`] when there is none, or all are taken.
    pub fn free_spare(&self) -> Result<NodeId, Skip> {
        let free = self.spares.iter().find(|spare| !self.faulted.contains(spare));
        free.copied().ok_or_else(|| Skip::wait("no spare node is free"))
    }

    /// The leader, if it may be hit.
    ///
    /// # Errors
    ///
    /// [`Skip`] without a leader (wait for one), or when the leader is under another fault.
    pub fn free_leader(&self) -> Result<NodeId, Skip> {
        let leader = self.leader.ok_or_else(|| Skip::wait("nobody leads"))?;
        self.free(leader)
    }
}

/// Why a fault is not injected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// In words, for the report.
    pub reason: String,
    /// Whether waiting may help, as it does for a leader or for a heal; bounded by
    /// [`WAIT_AT_MOST`](super::WAIT_AT_MOST).
    pub wait: bool,
}

impl Skip {
    /// Waiting does not help.
    pub fn now(reason: impl Into<String>) -> Skip {
        Skip { reason: reason.into(), wait: false }
    }

    /// Waiting may help.
    pub fn wait(reason: impl Into<String>) -> Skip {
        Skip { reason: reason.into(), wait: true }
    }
}
