//! The `disk-error` fault: writes or syncs of a node fail.

use async_trait::async_trait;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use splitbrain_reports::record::Effect;
use splitbrain_reports::units;
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;

use super::disk_watch::DiskWatch;
use super::{Action, Fault, Hands, Instrument, Problem, Selector, Skip, View};
use crate::target::disk::{DiskOrders, DiskReport, Fails};

/// Parameters of a `disk-error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskError {
    /// Whose disk fails.
    pub node: Selector,
    /// What fails.
    pub on: Fails,
}

impl Fault for DiskError {
    const KIND: &'static str = "disk-error";
    const SUMMARY: &'static str = "writes or syncs of nodes fail with an input/output error";
    const EXPLAIN: &'static str = "\
disk-error: { node: leader, on: syncs, at: 2s, for: 1s }
disk-error: { node: n2, on: writes, at: 2s, for: 1s }

Every write, or every fsync and fdatasync, of the nodes fails with EIO. After a
failed sync the kernel takes the pages for clean: reads still see what was
written, the next sync succeeds, and the disk has nothing of it (fsyncgate). So
does the layer: what a failed sync should have covered is gone with the next
loss of power unless it is written again. It takes a target whose file layer can
be told, which the built-in store has.

Effect    the file layer counted calls that it failed at every node; whether the
          process ended by itself is told. Its end is no crash while the disk
          fails.
Heal      calls succeed again; a node that ended is started, and it answers.
Expect    a node that cannot know what is on its disk ends, loudly, and has
          acknowledged nothing of it.";

    fn shape(&self) -> String {
        format!("{}, {} fail", self.node, self.form())
    }

    fn form(&self) -> &'static str {
        match self.on {
            Fails::Writes => "writes",
            Fails::Syncs => "syncs",
        }
    }

    fn instrument(&self) -> Option<Instrument> {
        Some(Instrument::Disk)
    }

    fn aimed_at(&self) -> Option<Selector> {
        Some(self.node)
    }

    fn victim_serves(&self) -> bool {
        false
    }

    fn problems(&self, nodes: u16) -> Vec<Problem> {
        self.node.problems(nodes, &["node"])
    }

    fn draw(&self, nodes: u16, rng: &mut Stream) -> Self {
        DiskError { node: self.node.draw(nodes, rng), ..self.clone() }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
        let victims = self.node.pick(view, rng)?;
        Ok(Box::new(Failing { victims, on: self.on, watch: DiskWatch::default() }))
    }
}

#[derive(Debug)]
struct Failing {
    victims: Vec<NodeId>,
    on: Fails,
    watch: DiskWatch,
}

impl Failing {
    async fn order(&self, hands: &dyn Hands, fail: Option<Fails>) -> anyhow::Result<()> {
        let orders = DiskOrders { fail, ..DiskOrders::default() };
        try_join_all(self.victims.iter().map(|node| hands.order_disk(*node, orders.clone())))
            .await?;
        Ok(())
    }

    /// How many calls of a node have failed.
    fn failed(&self, now: &DiskReport) -> u64 {
        match self.on {
            Fails::Writes => now.failed_writes,
            Fails::Syncs => now.failed_syncs,
        }
    }
}

#[async_trait]
impl Action for Failing {
    fn victims(&self) -> &[NodeId] {
        &self.victims
    }

    async fn inject(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        self.watch = DiskWatch::look(hands, &self.victims);
        try_join_all(self.victims.iter().map(|node| hands.tolerate_end(*node))).await?;
        self.order(hands, Some(self.on)).await
    }

    async fn undo(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        self.order(hands, None).await?;
        let told = self.watch.met(hands, |now| self.failed(now));
        self.watch.await_ends(hands, &told).await;
        self.watch.note_ends(hands);
        try_join_all(self.victims.iter().map(|node| hands.revive(*node))).await?;
        Ok(())
    }

    fn effect(&self, hands: &dyn Hands) -> Effect {
        let failed: Vec<_> = self.watch.grown(hands, |now| self.failed(now)).collect();
        let what = match self.on {
            Fails::Writes => "write",
            Fails::Syncs => "sync",
        };
        if let Some((node, _)) = failed.iter().find(|(_, calls)| *calls == 0) {
            return Effect::None(format!("no {what} of {node} failed"));
        }
        let told = failed.iter().map(|(node, calls)| {
            format!("{} failed and {}", units::counted(*calls, what), self.watch.fate(*node))
        });
        Effect::Seen(told.collect::<Vec<_>>().join(", "))
    }
}
