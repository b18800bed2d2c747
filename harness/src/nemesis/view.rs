//! What a fault knows of the cluster when it is resolved, and what comes of it. Filled in and
//! carried out by the injector.

use std::collections::BTreeSet;

use splitbrain_workloads::operation::NodeId;

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

impl View {
    /// A node that may be hit, or why it may not.
    ///
    /// # Errors
    ///
    /// [`Skip`] for a node under another fault, or one the cluster does not have.
    pub fn free(&self, node: NodeId) -> Result<NodeId, Skip> {
        if !self.nodes.contains(&node) {
            return Err(Skip::now(format!("the cluster has no node {node}")));
        }
        if self.faulted.contains(&node) {
            return Err(Skip::now(format!("{node} is under another fault")));
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
        free.copied().ok_or_else(|| Skip::now("no spare node is free"))
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
    /// Whether waiting may help, as it does for a leader; bounded by
    /// [`ROLE_WAIT_AT_MOST`](super::ROLE_WAIT_AT_MOST).
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
