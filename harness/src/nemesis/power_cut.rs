//! A loss of power at some nodes, whole or torn: the action of the faults `disk-loss` and
//! `disk-torn`.
//!
//! A process that is killed loses nothing that reached the kernel, so a kill alone is none. The
//! node's file layer keeps apart what a real file system would not have on disk yet, and its next
//! start undoes that.
//!
//! A write is synced within a millisecond or two, so a cut at a random moment would mostly find
//! nothing to take. So the disk is busy first: while the fault is in force syncs do not return, and
//! what a store acknowledges meanwhile it acknowledges without them. Then the power goes.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use splitbrain_reports::record::Effect;
use splitbrain_reports::units;
use splitbrain_workloads::operation::NodeId;

use super::disk_watch::DiskWatch;
use super::replaced::Replaced;
use super::{Action, Hands, InForce};
use crate::suite::units::Time;
use crate::target::disk::{DiskOrders, PowerCut};

/// How long the nodes stay down, where a suite does not say: long enough for others to notice.
pub(super) const DOWN: Time = Time::from_millis(200);

/// The longest: the heal of a run waits for it.
pub(super) const DOWN_MAX: Time = Time::from_secs(10);

/// The action.
#[derive(Debug)]
pub(super) struct Cutting {
    victims: Vec<NodeId>,
    down: Duration,
    /// What decides which sectors had got to the disk; without it none had.
    torn: Option<u64>,
    before: Replaced,
    watch: DiskWatch,
}

impl Cutting {
    pub(super) fn new(victims: Vec<NodeId>, down: Time, torn: Option<u64>) -> Cutting {
        let (before, watch) = (Replaced::default(), DiskWatch::default());
        Cutting { victims, down: down.duration(), torn, before, watch }
    }

    async fn order(&self, hands: &dyn Hands, orders: DiskOrders) -> anyhow::Result<()> {
        try_join_all(self.victims.iter().map(|node| hands.order_disk(*node, orders.clone())))
            .await?;
        Ok(())
    }
}

#[async_trait]
impl Action for Cutting {
    fn victims(&self) -> &[NodeId] {
        &self.victims
    }

    async fn inject(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        self.before = Replaced::look(hands, &self.victims);
        self.watch = DiskWatch::look(hands, &self.victims);
        self.order(hands, DiskOrders { stall_syncs: true, ..DiskOrders::default() }).await
    }

    async fn sustain(&mut self, hands: &dyn Hands, force: &mut InForce) -> anyhow::Result<()> {
        force.end().await;
        try_join_all(self.victims.iter().map(|node| hands.kill(*node))).await?;
        for node in &self.victims {
            let done = hands.disk_report(*node).unwrap_or_default().power_cuts;
            let cut = PowerCut {
                number: done + 1,
                // No two nodes tear alike.
                torn: self.torn.map(|seed| seed.wrapping_add(u64::from(node.0))),
            };
            let orders = DiskOrders { power_cut: Some(cut), ..DiskOrders::default() };
            hands.order_disk(*node, orders).await?;
        }
        tokio::time::sleep(self.down).await;
        Ok(())
    }

    async fn undo(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        // All at once: a majority that waits for its second node must not wait for its first.
        try_join_all(self.victims.iter().map(|node| hands.restart(*node))).await?;
        Ok(())
    }

    fn effect(&self, hands: &dyn Hands) -> Effect {
        let mut seen = match self.before.seen(hands) {
            Ok(seen) => seen,
            Err(why) => return Effect::None(why),
        };
        let watch = &self.watch;
        if let Some((node, _)) =
            watch.grown(hands, |now| now.power_cuts).find(|(_, cuts)| *cuts == 0)
        {
            return Effect::None(format!("{node} was killed, and its disk knows of no power cut"));
        }
        let bytes: u64 = watch.grown(hands, |now| now.lost_bytes).map(|(_, bytes)| bytes).sum();
        let names: u64 = watch.grown(hands, |now| now.lost_names).map(|(_, names)| names).sum();
        let kept: u64 = watch.grown(hands, |now| now.kept_sectors).map(|(_, kept)| kept).sum();
        if bytes + names + kept == 0 {
            return Effect::None("everything had been synced, so nothing was lost".to_string());
        }
        let gone =
            [(bytes, "byte"), (names, "file name")].into_iter().filter(|(count, _)| *count > 0);
        let gone: Vec<String> = gone.map(|(count, what)| units::counted(count, what)).collect();
        if !gone.is_empty() {
            seen.push(format!("{} gone that were not synced", gone.join(" and ")));
        }
        if self.torn.is_some() {
            seen.push(format!("{kept} unsynced sectors had got to the disk"));
        }
        Effect::Seen(seen.join(", "))
    }
}
