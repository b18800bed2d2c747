//! The `pause` fault: SIGSTOP, and SIGCONT after a while.

use async_trait::async_trait;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use splitbrain_reports::record::Effect;
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;

use super::{Action, Fault, Hands, Problem, Selector, Skip, View};

/// Parameters of a `pause`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// Who is paused.
    pub node: Selector,
}

impl Fault for Pause {
    const KIND: &'static str = "pause";
    const SUMMARY: &'static str = "SIGSTOP nodes; SIGCONT them after a while";
    const EXPLAIN: &'static str = "\
pause: { node: leader, at: 2s, until: { other_leader: true }, at_most: 10s }

The process gets SIGSTOP, as if its machine had stalled: a long collection of
garbage, a migrated virtual machine, a laptop's lid. Its connections stay open
and the kernel goes on accepting bytes for it. When it is continued it believes
that no time has passed; a leader may still think that it leads.

Effect    the kernel reported the process stopped, for as long as it was.
Heal      SIGCONT.
Expect    a store that trusts its clock or its memory of having been elected
          acknowledges writes that are lost, or answers reads with old values.";

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
        Pause { node: self.node.draw(nodes, rng) }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
        let victims = self.node.pick(view, rng)?;
        Ok(Box::new(Pausing { victims, stopped: Vec::new() }))
    }
}

#[derive(Debug)]
struct Pausing {
    victims: Vec<NodeId>,
    /// Who was seen stopped or not, once all were and just before the resume.
    stopped: Vec<(NodeId, &'static str, bool)>,
}

impl Pausing {
    fn look(&mut self, hands: &dyn Hands, when: &'static str) {
        for node in &self.victims {
            let stopped = hands.process(*node).is_some_and(|process| process.is_still());
            self.stopped.push((*node, when, stopped));
        }
    }
}

#[async_trait]
impl Action for Pausing {
    fn victims(&self) -> &[NodeId] {
        &self.victims
    }

    async fn inject(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        try_join_all(self.victims.iter().map(|node| hands.pause(*node))).await?;
        self.look(hands, "once paused");
        Ok(())
    }

    async fn undo(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        self.look(hands, "before the resume");
        try_join_all(self.victims.iter().map(|node| hands.resume(*node))).await?;
        Ok(())
    }

    fn effect(&self, _hands: &dyn Hands) -> Effect {
        if let Some((node, when, _)) = self.stopped.iter().find(|(_, _, stopped)| !stopped) {
            return Effect::None(format!("{node} was not stopped {when}"));
        }
        let names: Vec<String> = self.victims.iter().map(NodeId::to_string).collect();
        Effect::Seen(format!("the kernel had {} stopped", names.join(", ")))
    }
}
