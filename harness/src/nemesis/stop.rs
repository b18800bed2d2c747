//! The `stop` fault: SIGTERM, and a restart on the same data after a while.

use async_trait::async_trait;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use splitbrain_reports::record::Effect;
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;

use super::replaced::{self, Replaced};
use super::{Action, Fault, Hands, Problem, Selector, Skip, View};
use crate::cluster::ExitStatus;

/// Parameters of a `stop`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// Who is stopped.
    pub node: Selector,
}

impl Fault for Stop {
    const KIND: &'static str = "stop";
    const SUMMARY: &'static str = "SIGTERM nodes; start them again on the same data after a while";
    const EXPLAIN: &'static str = "\
stop: { node: leader, at: 2s, for: 1s }

The process gets SIGTERM and is left to end by itself, as an operator or an init
system would do it. It may hand over its leadership, flush and close. A process
that has not ended after ten seconds stays; the fault then has no effect. After
`for`, or once `until` holds, the node is started again on its own data.

Effect    the kernel reported that the process ended, and not by SIGKILL, and a
          new process id answered.
Heal      the node is started; recovery counts from there.
Expect    no acknowledged write is lost; a leader that hands over costs less
          service than one that is killed.";

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
        Stop { node: self.node.draw(nodes, rng) }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
        let victims = self.node.pick(view, rng)?;
        Ok(Box::new(Stopping { victims, before: Replaced::default(), ends: Vec::new() }))
    }
}

#[derive(Debug)]
struct Stopping {
    victims: Vec<NodeId>,
    before: Replaced,
    ends: Vec<(NodeId, Option<ExitStatus>)>,
}

#[async_trait]
impl Action for Stopping {
    fn victims(&self) -> &[NodeId] {
        &self.victims
    }

    async fn inject(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        self.before = Replaced::look(hands, &self.victims);
        try_join_all(self.victims.iter().map(|node| hands.terminate(*node))).await?;
        self.ends = self.victims.iter().map(|node| (*node, hands.exit(*node))).collect();
        Ok(())
    }

    async fn undo(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        // One that would not end still runs, and two processes must not share its data.
        let ended = self.victims.iter().filter(|node| hands.exit(**node).is_some());
        try_join_all(ended.map(|node| hands.restart(*node))).await?;
        Ok(())
    }

    fn effect(&self, hands: &dyn Hands) -> Effect {
        replaced::effect(stopped(&self.ends, &self.before, hands))
    }
}

/// All of them ended by themselves, and others stand where they stood.
pub(super) fn stopped(
    ends: &[(NodeId, Option<ExitStatus>)],
    before: &Replaced,
    hands: &dyn Hands,
) -> Result<Vec<String>, String> {
    const SIGKILL: i32 = nix::sys::signal::Signal::SIGKILL as i32;
    let mut seen = before.seen(hands)?;
    for ((node, end), seen) in ends.iter().zip(&mut seen) {
        match end {
            None => return Err(format!("{node} did not end")),
            Some(ExitStatus::Signal(SIGKILL)) => return Err(format!("{node} was killed")),
            Some(end) => seen.push_str(&format!(" ({end})")),
        }
    }
    Ok(seen)
}
