//! The `rolling-restart` fault: every node is stopped and started once, one after the other.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use splitbrain_reports::record::Effect;
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;

use super::replaced::Replaced;
use super::stop::stopped;
use super::{Action, Fault, Hands, InForce, Problem, Skip, View};
use crate::cluster::ExitStatus;
use crate::suite::units::Time;

/// Parameters of a `rolling-restart`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollingRestart {
    /// How long each node stays down.
    pub down: Time,
    /// How long the next one is left alone after a node answers again.
    #[serde(default)]
    pub apart: Time,
}

impl Fault for RollingRestart {
    const KIND: &'static str = "rolling-restart";
    const SUMMARY: &'static str = "SIGTERM and start every node, one after the other";
    const EXPLAIN: &'static str = "\
rolling-restart: { down: 200ms, apart: 300ms, at: 2s, for: 6s }

Every node is stopped by SIGTERM, stays down for `down` and is started again;
the next one follows when it answers and `apart` (default 0s) has passed. It is
what an upgrade without downtime does: one node at a time, the leader last.
Restarted nodes answer before they have caught up; `apart` is the time for that.
The fault is over when all were restarted; `for` is its bound.

Effect    the kernel reported the end of every process, not by SIGKILL, and a
          new process id answered for each.
Heal      the node that is down is started.
Expect    no acknowledged write is lost, and service with a majority throughout
          but for one election.";

    fn shape(&self) -> String {
        format!("every node, {} each", self.down)
    }

    fn victim_serves(&self) -> bool {
        true
    }

    fn shortest(&self, nodes: u16) -> Time {
        // The last one is started by the heal.
        (1..nodes).fold(Time::ZERO, |sum, _| sum.plus(self.down).plus(self.apart))
    }

    fn problems(&self, _nodes: u16) -> Vec<Problem> {
        Vec::new()
    }

    fn draw(&self, _nodes: u16, _rng: &mut Stream) -> Self {
        self.clone()
    }

    fn resolve(&self, view: &View, _rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
        let victims: Vec<NodeId> =
            view.nodes.iter().map(|node| view.free(*node)).collect::<Result<_, _>>()?;
        let mut order = victims.clone();
        order.sort_by_key(|node| Some(*node) == view.leader);
        Ok(Box::new(Rolling {
            victims,
            order,
            down: self.down.duration(),
            apart: self.apart.duration(),
            is_down: None,
            rolled: Vec::new(),
        }))
    }
}

#[derive(Debug)]
struct Rolling {
    victims: Vec<NodeId>,
    order: Vec<NodeId>,
    down: Duration,
    apart: Duration,
    is_down: Option<NodeId>,
    /// Who was rolled, the process before, and how it ended.
    rolled: Vec<(NodeId, Replaced, Option<ExitStatus>)>,
}

impl Rolling {
    async fn stop(&mut self, hands: &dyn Hands, node: NodeId) -> anyhow::Result<()> {
        let before = Replaced::look(hands, &[node]);
        hands.terminate(node).await?;
        let end = hands.exit(node);
        self.is_down = end.map(|_| node);
        self.rolled.push((node, before, end));
        Ok(())
    }

    async fn start(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        if let Some(node) = self.is_down.take() {
            hands.restart(node).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Action for Rolling {
    fn victims(&self) -> &[NodeId] {
        &self.victims
    }

    async fn inject(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        self.stop(hands, self.order[0]).await
    }

    async fn sustain(&mut self, hands: &dyn Hands, force: &mut InForce) -> anyhow::Result<()> {
        for next in self.order.clone().into_iter().skip(1) {
            if !force.lasts(self.down).await {
                return Ok(());
            }
            self.start(hands).await?;
            if !force.lasts(self.apart).await {
                return Ok(());
            }
            self.stop(hands, next).await?;
        }
        // The last one is started by the heal.
        force.lasts(self.down).await;
        Ok(())
    }

    async fn undo(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        self.start(hands).await
    }

    fn effect(&self, hands: &dyn Hands) -> Effect {
        let mut seen = Vec::new();
        for (node, before, end) in &self.rolled {
            match stopped(&[(*node, *end)], before, hands) {
                Ok(ended) => seen.extend(ended),
                Err(why) => return Effect::None(why),
            }
        }
        if seen.len() < self.order.len() {
            let (seen, of) = (seen.len(), self.order.len());
            return Effect::None(format!("over after {seen} of {of} nodes; `for` is too short"));
        }
        Effect::Seen(seen.join(", "))
    }
}
