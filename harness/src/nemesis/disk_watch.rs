//! The evidence of faults of disks: the counters of the nodes' file layers, held against those of
//! before, and how a process ended that did not bear it.

use std::time::Duration;

use splitbrain_workloads::operation::NodeId;

use super::Hands;
use crate::target::disk::DiskReport;

/// How long a process that was told of a failure may take to end before it is said to have gone on.
const END_WITHIN: Duration = Duration::from_secs(1);

/// What the layers of some nodes had counted at a moment.
#[derive(Debug, Default)]
pub(super) struct DiskWatch {
    before: Vec<(NodeId, DiskReport)>,
    /// How those ended that ended by themselves since.
    ended: Vec<(NodeId, String)>,
}

impl DiskWatch {
    /// Looks at the counters before anything is done.
    pub(super) fn look(hands: &dyn Hands, nodes: &[NodeId]) -> DiskWatch {
        let report = |node: &NodeId| (*node, hands.disk_report(*node).unwrap_or_default());
        DiskWatch { before: nodes.iter().map(report).collect(), ended: Vec::new() }
    }

    /// Waits, bounded, for the end of some of the nodes: they ran into something that should end them,
    /// and it is on its way.
    pub(super) async fn await_ends(&self, hands: &dyn Hands, nodes: &[NodeId]) {
        let deadline = tokio::time::Instant::now() + END_WITHIN;
        while nodes.iter().any(|node| hands.exit(*node).is_none())
            && tokio::time::Instant::now() < deadline
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Remembers which of the nodes have no process any more, and how it ended.
    pub(super) fn note_ends(&mut self, hands: &dyn Hands) {
        let nodes = self.before.iter().map(|(node, _)| *node);
        let ends = nodes.filter_map(|node| Some((node, hands.exit(node)?.to_string())));
        self.ended = ends.collect();
    }

    /// By how much a counter has grown since, for each node.
    pub(super) fn grown<'a>(
        &'a self,
        hands: &'a dyn Hands,
        counter: impl Fn(&DiskReport) -> u64 + 'a,
    ) -> impl Iterator<Item = (NodeId, u64)> + 'a {
        self.before.iter().map(move |(node, before)| {
            let now = hands.disk_report(*node).unwrap_or_default();
            (*node, counter(&now).saturating_sub(counter(before)))
        })
    }

    /// The nodes of which a counter has grown since: they ran into the fault.
    pub(super) fn met(
        &self,
        hands: &dyn Hands,
        counter: impl Fn(&DiskReport) -> u64,
    ) -> Vec<NodeId> {
        self.grown(hands, counter).filter(|(_, calls)| *calls > 0).map(|(node, _)| node).collect()
    }

    /// Whether a node had ended by itself.
    pub(super) fn ended(&self, node: NodeId) -> bool {
        self.ended.iter().any(|(ended, _)| *ended == node)
    }

    /// What became of the process of a node, in words.
    pub(super) fn fate(&self, node: NodeId) -> String {
        match self.ended.iter().find(|(ended, _)| *ended == node) {
            Some((_, how)) => format!("{node} ended with {how}"),
            None => format!("{node} went on"),
        }
    }
}
