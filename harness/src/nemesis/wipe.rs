//! The `wipe` fault: a node loses its disk, and rejoins with an empty one.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use splitbrain_reports::record::Effect;
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;

use super::hands::DataDirectory;
use super::replaced::Replaced;
use super::{Action, Fault, Hands, Problem, Selector, Skip, View};

/// Parameters of a `wipe`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wipe {
    /// Who loses its disk.
    pub node: Selector,
}

impl Fault for Wipe {
    const KIND: &'static str = "wipe";
    const SUMMARY: &'static str = "SIGKILL a node and remove its data; start it with an empty disk";
    const EXPLAIN: &'static str = "\
wipe: { node: leader, at: 2s, for: 1s }

The process gets SIGKILL and its data directory is removed while it is down. The
node comes back under its own name with an empty disk: it has forgotten what it
stored, and whom it voted for. A majority that counted it may be none any more,
so only a node whose loss leaves a majority can be wiped, and only while no
other fault is in force. It is not started before every other node has applied
all that was committed by then: until then the loss of another node, or one
election with its vote, would lose acknowledged writes in any store. Targets
that were never made to survive this are refused when the suite is read.

Effect    the data directory was gone while the node was down, another one
          stands in its place, and a new process id answered.
Heal      the node is started once the others have applied all, and it answers.
Expect    the node catches up from its peers and no acknowledged write is lost.";

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
        let mut problems = self.node.problems(nodes, &["node"]);
        if problems.is_empty() && nodes < 3 {
            problems.push(Problem {
                keys: vec!["node"],
                message: format!("a cluster of {nodes} cannot lose a disk and keep a majority"),
                help: Some("raise `nodes` of the target to 3 or more".to_string()),
            });
        }
        if self.node.is_many() {
            problems.push(Problem {
                keys: vec!["node"],
                message: format!("`{}` may be several nodes, and one disk is lost", self.node),
                help: Some(
                    "name one node or a role: `leader`, `follower`, `random`; what a majority \
                     stored is gone with its disks, in any store"
                        .to_string(),
                ),
            });
        }
        problems
    }

    fn draw(&self, nodes: u16, rng: &mut Stream) -> Self {
        Wipe { node: self.node.draw(nodes, rng) }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
        if let Some(other) = view.faulted.first() {
            return Err(Skip::wait(format!(
                "{other} is under a fault, and no majority may be lost"
            )));
        }
        let node = *self.node.pick(view, rng)?.first().ok_or_else(|| Skip::wait("nobody"))?;
        Ok(Box::new(Wiping {
            victims: [node],
            everybody: view.nodes.clone(),
            before: Replaced::default(),
            data: None,
            while_down: None,
        }))
    }
}

#[derive(Debug)]
struct Wiping {
    victims: [NodeId; 1],
    everybody: Vec<NodeId>,
    before: Replaced,
    data: Option<DataDirectory>,
    while_down: Option<DataDirectory>,
}

#[async_trait]
impl Action for Wiping {
    fn victims(&self) -> &[NodeId] {
        &self.victims
    }

    /// All nodes: another fault could take the majority that the wiped node is to learn from.
    fn reserves(&self) -> &[NodeId] {
        &self.everybody
    }

    async fn inject(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        let [node] = self.victims;
        self.before = Replaced::look(hands, &self.victims);
        self.data = hands.data(node);
        hands.kill(node).await?;
        hands.wipe(node).await?;
        self.while_down = hands.data(node);
        Ok(())
    }

    async fn undo(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        let [node] = self.victims;
        hands.replicated_without(node).await?;
        hands.restart(node).await
    }

    fn effect(&self, hands: &dyn Hands) -> Effect {
        let [node] = self.victims;
        let seen = match self.before.seen(hands) {
            Ok(seen) => seen.join(", "),
            Err(why) => return Effect::None(why),
        };
        let (Some(old), None) = (self.data, self.while_down) else {
            return Effect::None(match self.data {
                Some(_) => format!("the data of {node} was still there while it was down"),
                None => format!("{node} had no data to lose"),
            });
        };
        match hands.data(node) {
            Some(new) if new.identity == old.identity => {
                Effect::None(format!("{node} has its old data directory"))
            }
            _ => Effect::Seen(format!("{} bytes of {node} gone, {seen}", old.bytes)),
        }
    }
}
