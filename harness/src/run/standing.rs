//! A cluster that stands behind its links for callers of somebody else's, such as curl or a
//! benchmark, with the faults of a run and without its clients.
//!
//! It leaves events and node logs as a run does, and an empty history; nothing is judged. Called by
//! `splitbrain cluster up`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use splitbrain_reports::record::{Event, Phase};
use splitbrain_workloads::operation::NodeId;

use super::cluster::Cluster;
use super::roles::{self, Sampler};
use super::{HEAL_BOUND, Run, Surroundings, begin};
use crate::suite::plan::PlannedRun;

/// Where a node can be called, through its link to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Door {
    /// Which node.
    pub node: NodeId,
    /// Its address.
    pub address: SocketAddr,
    /// Whether it led when the cluster was ready.
    pub leads: bool,
}

/// Starts the cluster of a run, says with `open` where it can be called as soon as it has a leader
/// whom all follow, carries out the run's faults, and takes everything down when it is interrupted.
///
/// # Errors
///
/// When the cluster does not become ready, when a fault cannot be healed, and when files cannot be
/// written.
pub async fn stand(
    plan: &PlannedRun,
    surroundings: Surroundings,
    open: impl FnOnce(&[Door]),
) -> anyhow::Result<()> {
    let (run, started) = begin(plan, surroundings).await?;
    let cluster = Arc::new(started?);
    let sampler = Sampler::start(run.target.clone(), cluster.wiring(), run.journal.clone());
    let result = run.until_interrupted(&cluster, &sampler, open).await;
    sampler.stop().await;
    cluster.stop().await;
    run.journal.report(Event::Phase(Phase::Stopped));
    run.recorder.finish().context("cannot write the history")?;
    result
}

impl Run<'_> {
    async fn until_interrupted(
        &self,
        cluster: &Arc<Cluster>,
        sampler: &Sampler,
        open: impl FnOnce(&[Door]),
    ) -> anyhow::Result<()> {
        let mut interrupt = self.interrupt.clone();
        tokio::select! {
            ready = self.ready(cluster, sampler) => ready?,
            _ = interrupt.wait_for(|stop| *stop) => return Ok(()),
        }
        cluster.open_to_strangers();
        let leader = roles::agreed(&sampler.picture().borrow());
        let mut lanes = Vec::new();
        let mut doors = Vec::new();
        for node in NodeId::first(self.target.nodes()) {
            let lane = cluster.lane(node).await?;
            doors.push(Door { node, address: lane.addr(), leads: leader == Some(node) });
            lanes.push(lane);
        }
        self.journal.report(Event::Phase(Phase::Load));
        let injection = self.inject(cluster, sampler);
        open(&doors);
        // Its sender lives as long as the command.
        interrupt.wait_for(|stop| *stop).await.ok();
        self.journal.report(Event::Phase(Phase::Heal));
        injection.finish(HEAL_BOUND).await?;
        // Until here whoever called had a link.
        drop(lanes);
        Ok(())
    }
}
