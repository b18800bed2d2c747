//! The `promote` fault: an operator tells a node to lead, through the target's own interface.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use splitbrain_reports::record::{Effect, Role};
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;

use super::{Action, Fault, Hands, InForce, Problem, Selector, Skip, View};
use crate::target::NodeStatus;

/// Time between two looks at who leads: a fraction of an election.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Parameters of a `promote`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promote {
    /// Who is told to lead.
    pub node: Selector,
}

impl Fault for Promote {
    const KIND: &'static str = "promote";
    const SUMMARY: &'static str = "tell a node to lead, as an operator would";
    const EXPLAIN: &'static str = "\
promote: { node: follower, at: 2s, for: 1s }
promote: { node: n3, at: 3s, for: 1s }

The node is told once, by the target's own administrative interface, to take the
lead, whether the present leader is alive or not. What comes of it is the
target's business: it may need votes, or put another node up that has more. Two
promotions of different nodes are what two operators do who do not talk.

Effect    a node leads in a later epoch than any node was in before, as the
          nodes' own status says. Which node that is stands in the report. The
          fault is in force until its time is over, so that what clients asked
          of the node meanwhile belongs to it.
Heal      nothing is left to undo.
Expect    no acknowledged write is lost, unless the node need not have them all.";

    fn shape(&self) -> String {
        self.node.to_string()
    }

    fn aimed_at(&self) -> Option<Selector> {
        Some(self.node)
    }

    fn victim_serves(&self) -> bool {
        true
    }

    fn problems(&self, nodes: u16) -> Vec<Problem> {
        let mut problems = self.node.problems(nodes, &["node"]);
        let why = match self.node {
            Selector::Leader => "leads already",
            node if node.is_many() => "may be several nodes, and one can lead",
            _ => return problems,
        };
        problems.push(Problem {
            keys: vec!["node"],
            message: format!("`{}` {why}", self.node),
            help: Some("name one node or a role: `follower`, `random`".to_string()),
        });
        problems
    }

    fn draw(&self, nodes: u16, rng: &mut Stream) -> Self {
        Promote { node: self.node.draw(nodes, rng) }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
        let victims = self.node.pick(view, rng)?;
        Ok(Box::new(Promoting { victims, epoch_before: 0, led_already: None, leads: None }))
    }
}

#[derive(Debug)]
struct Promoting {
    victims: Vec<NodeId>,
    /// The latest epoch of any node before.
    epoch_before: u64,
    /// Who was seen to lead in that one.
    led_already: Option<NodeId>,
    /// Who was seen to lead in a later one, and in which.
    leads: Option<(NodeId, u64)>,
}

#[async_trait]
impl Action for Promoting {
    fn victims(&self) -> &[NodeId] {
        &self.victims
    }

    async fn inject(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        let before = hands.statuses().await;
        self.epoch_before = before.values().map(|status| status.epoch).max().unwrap_or(0);
        self.led_already = leader_of(&before, self.epoch_before);
        for node in &self.victims {
            hands.promote(*node).await?;
        }
        Ok(())
    }

    async fn sustain(&mut self, hands: &dyn Hands, force: &mut InForce) -> anyhow::Result<()> {
        loop {
            let now = hands.statuses().await;
            self.leads = later_leader(&now, self.epoch_before);
            self.led_already = leader_of(&now, self.epoch_before).or(self.led_already);
            if self.leads.is_some() {
                force.end().await;
                return Ok(());
            }
            if !force.lasts(LOOK_INTERVAL).await {
                return Ok(());
            }
        }
    }

    async fn undo(&mut self, _hands: &dyn Hands) -> anyhow::Result<()> {
        Ok(())
    }

    fn effect(&self, _hands: &dyn Hands) -> Effect {
        match self.leads {
            None => {
                let mut why = format!("no leader of a later epoch than {}", self.epoch_before);
                if let Some(leader) = self.led_already {
                    why.push_str(&format!(" ({leader} led in it already)"));
                }
                Effect::None(why)
            }
            Some((leader, epoch)) if self.victims.contains(&leader) => {
                Effect::Seen(format!("{leader} leads epoch {epoch}"))
            }
            Some((leader, epoch)) => {
                let told: Vec<String> = self.victims.iter().map(NodeId::to_string).collect();
                let told = told.join(", ");
                Effect::Seen(format!("{leader} leads epoch {epoch} instead of {told}"))
            }
        }
    }
}

/// Who leads in this very epoch.
fn leader_of(statuses: &BTreeMap<NodeId, NodeStatus>, epoch: u64) -> Option<NodeId> {
    let leads = |status: &NodeStatus| status.role == Role::Leader && status.epoch == epoch;
    statuses.iter().find(|(_, status)| leads(status)).map(|(node, _)| *node)
}

/// Who leads in an epoch after this one; of several the one in the latest.
fn later_leader(
    statuses: &BTreeMap<NodeId, NodeStatus>,
    epoch_before: u64,
) -> Option<(NodeId, u64)> {
    let leaders = statuses.iter().filter(|(_, status)| status.role == Role::Leader);
    let later = leaders.filter(|(_, status)| status.epoch > epoch_before);
    later.map(|(node, status)| (*node, status.epoch)).max_by_key(|(_, epoch)| *epoch)
}
