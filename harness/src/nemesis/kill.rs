//! The `kill` fault: SIGKILL, and a restart on the same data after a while.

use async_trait::async_trait;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use splitbrain_reports::record::Effect;
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;

use super::replaced::{self, Replaced};
use super::{Action, Fault, Hands, Problem, Selector, Skip, View};

/// Parameters of a `kill`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kill {
    /// Who is killed.
    pub node: Selector,
}

impl Fault for Kill {
    const KIND: &'static str = "kill";
    const SUMMARY: &'static str = "SIGKILL nodes; start them again on the same data after a while";
    const EXPLAIN: &'static str = "\
kill: { node: leader, every: 5s, for: 1s }
kill: { node: majority, at: 3s, for: 1s }

The process gets SIGKILL: no handler runs, nothing is flushed, open connections
are reset by the kernel. What the node handed to the kernel before survives (the
page cache is not lost; that takes a disk fault). After `for`, or once `until`
holds, the node is started again on its own data directory. Where several are
meant (`minority`, `majority`, `all`) they are killed and started at once.

Effect    the process was reaped with SIGKILL, and a new process id answered.
Heal      the node is started; recovery counts from there.
Expect    no acknowledged write is lost, unless a store acknowledges before its
          write has left the process.";

    fn shape(&self) -> String {
        self.node.to_string()
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
        Kill { node: self.node.draw(nodes, rng) }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
        let victims = self.node.pick(view, rng)?;
        Ok(Box::new(Killing { victims, before: Replaced::default() }))
    }
}

#[derive(Debug)]
struct Killing {
    victims: Vec<NodeId>,
    before: Replaced,
}

#[async_trait]
impl Action for Killing {
    fn victims(&self) -> &[NodeId] {
        &self.victims
    }

    async fn inject(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        self.before = Replaced::look(hands, &self.victims);
        try_join_all(self.victims.iter().map(|node| hands.kill(*node))).await?;
        Ok(())
    }

    async fn undo(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        // All at once: a majority that waits for its second node must not wait for its first.
        try_join_all(self.victims.iter().map(|node| hands.restart(*node))).await?;
        Ok(())
    }

    fn effect(&self, hands: &dyn Hands) -> Effect {
        replaced::effect(self.before.seen(hands))
    }
}
