//! The `disk-slow` fault: every sync of a node takes longer.

use async_trait::async_trait;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use splitbrain_reports::record::Effect;
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;

use super::disk_watch::DiskWatch;
use super::{Action, Fault, Hands, Instrument, Problem, Selector, Skip, View};
use crate::suite::units::Time;
use crate::target::disk::DiskOrders;

/// The longest delay that the layer takes.
const DELAY_MAX: Time = Time::from_secs(10);

/// Parameters of a `disk-slow`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskSlow {
    /// Whose disk is slow.
    pub node: Selector,
    /// By how much every sync is late.
    pub by: Time,
}

impl Fault for DiskSlow {
    const KIND: &'static str = "disk-slow";
    const SUMMARY: &'static str = "every sync of nodes is late by so much";
    const EXPLAIN: &'static str = "\
disk-slow: { node: leader, by: 50ms, at: 2s, for: 3s }

Every fsync and fdatasync of the nodes, of files and of folders, takes `by`
longer (at most 10s). Writes and reads are as fast as ever, as on a drive whose
cache is full or in a cloud that throttles. It takes a target whose file layer
can be told, which the built-in store has.

Effect    the file layer counted syncs that were late.
Heal      syncs that begin from then on are not late.
Expect    a store that waits for the disk of a majority is slower when the
          leader's disk is, and not when a follower's is. Nothing is lost.";

    fn shape(&self) -> String {
        format!("{}, syncs {} late", self.node, self.by)
    }

    fn instrument(&self) -> Option<Instrument> {
        Some(Instrument::Disk)
    }

    fn aimed_at(&self) -> Option<Selector> {
        Some(self.node)
    }

    fn victim_serves(&self) -> bool {
        true
    }

    fn problems(&self, nodes: u16) -> Vec<Problem> {
        let mut problems = self.node.problems(nodes, &["node"]);
        if self.by.is_zero() || self.by > DELAY_MAX {
            problems.push(Problem {
                keys: vec!["by"],
                message: format!("a delay of {} is out of range: 1ms to {DELAY_MAX}", self.by),
                help: Some("for a disk that never answers use `disk-error`".to_string()),
            });
        }
        problems
    }

    fn draw(&self, nodes: u16, rng: &mut Stream) -> Self {
        DiskSlow { node: self.node.draw(nodes, rng), ..self.clone() }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
        let victims = self.node.pick(view, rng)?;
        Ok(Box::new(Delaying { victims, by: self.by, watch: DiskWatch::default() }))
    }
}

#[derive(Debug)]
struct Delaying {
    victims: Vec<NodeId>,
    by: Time,
    watch: DiskWatch,
}

impl Delaying {
    async fn order(&self, hands: &dyn Hands, sync_delay_ms: u64) -> anyhow::Result<()> {
        let orders = DiskOrders { sync_delay_ms, ..DiskOrders::default() };
        try_join_all(self.victims.iter().map(|node| hands.order_disk(*node, orders.clone())))
            .await?;
        Ok(())
    }
}

#[async_trait]
impl Action for Delaying {
    fn victims(&self) -> &[NodeId] {
        &self.victims
    }

    async fn inject(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        self.watch = DiskWatch::look(hands, &self.victims);
        self.order(hands, u64::from(self.by.as_millis())).await
    }

    async fn undo(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        self.order(hands, 0).await
    }

    fn effect(&self, hands: &dyn Hands) -> Effect {
        let late: Vec<(NodeId, u64)> = self.watch.grown(hands, |now| now.late_syncs).collect();
        if let Some((node, _)) = late.iter().find(|(_, syncs)| *syncs == 0) {
            return Effect::None(format!("no sync of {node} was late"));
        }
        let by: u64 = self.watch.grown(hands, |now| now.late_ms).map(|(_, ms)| ms).sum();
        let syncs: u64 = late.iter().map(|(_, syncs)| syncs).sum();
        Effect::Seen(format!("{syncs} syncs were late, by {by} ms together"))
    }
}
