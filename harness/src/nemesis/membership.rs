//! The `membership` fault: an operator changes which nodes are the cluster, under load, through the
//! target's own interface.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use splitbrain_reports::record::{Effect, Role};
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;

use super::{Action, Fault, Hands, InForce, Problem, Selector, Skip, View};
use crate::target::{MemberChange, NodeStatus};

/// Time between two looks at who the members are: a fraction of the time that a change takes.
const LOOK_INTERVAL: Duration = Duration::from_millis(25);

/// How long the members may take to be again who they were. It is less than all heals together
/// may take; other faults are healed meanwhile.
const BACK_BOUND: Duration = Duration::from_secs(12);

/// Parameters of a `membership`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    /// What is changed.
    pub change: Change,
    /// Who is removed, or replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Selector>,
}

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// A spare becomes a member.
    Add,
    /// A member is none any more.
    Remove,
    /// A spare becomes a member, and then a member is none any more.
    Replace,
    /// All members but one are removed, each without waiting for the one before, by asking the one
    /// that stays.
    Abandon,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Change::Add => "add",
            Change::Remove => "remove",
            Change::Replace => "replace",
            Change::Abandon => "abandon all but",
        })
    }
}

impl Fault for Membership {
    const KIND: &'static str = "membership";
    const SUMMARY: &'static str = "add, remove or replace a member of the cluster under load";
    const EXPLAIN: &'static str = "\
membership: { change: add, at: 2s, for: 3s }
membership: { change: remove, node: leader, at: 2s, for: 3s }
membership: { change: replace, node: follower, at: 2s, for: 3s }
membership: { change: abandon, node: leader, at: 2s, for: 1s }

An operator changes which nodes are the cluster, by the target's own
administrative interface, and asks again until it is done: an election or a
partition meanwhile only makes it take longer. `add` starts a spare node with an
empty disk, which catches up and then votes; `remove` takes a vote away, the
leader's too; `replace` adds and then removes. `abandon` is what a hasty
operator does: whoever `node` names is told to remove all others, one request
right behind the other, whatever it answers. Where a spare is needed the target
must have one: `store: { nodes: 3, spares: 1 }`.

Effect    the leader's own status says that other nodes vote than before, and a
          spare has a process of its own. A change that is not done within
          `for` had no effect. Of `abandon`, that the node has begun to remove.
Heal      the members are again who they were: removed ones are added and catch
          up, the spare is removed, ended, and its disk with it.
Expect    no acknowledged write is lost and the cluster serves meanwhile.";

    fn shape(&self) -> String {
        match self.node {
            Some(node) => format!("{} {node}", self.change),
            None => self.change.to_string(),
        }
    }

    fn form(&self) -> &'static str {
        match self.change {
            Change::Add => "add",
            Change::Remove => "remove",
            Change::Replace => "replace",
            Change::Abandon => "abandon",
        }
    }

    fn aimed_at(&self) -> Option<Selector> {
        self.node
    }

    fn victim_serves(&self) -> bool {
        matches!(self.change, Change::Add | Change::Abandon)
    }

    fn needs_spare(&self) -> bool {
        matches!(self.change, Change::Add | Change::Replace)
    }

    fn problems(&self, nodes: u16) -> Vec<Problem> {
        let problem = |message: String, help: &str| {
            vec![Problem { keys: vec!["node"], message, help: Some(help.to_string()) }]
        };
        match (self.change, self.node) {
            (Change::Add, None) => Vec::new(),
            (Change::Add, Some(_)) => {
                let message = "who is added is a spare, and no member yet".to_string();
                problem(message, "leave out `node`")
            }
            (change, None) => {
                let message = format!("`{change}` does not say whom");
                problem(message, "for example `node: leader`")
            }
            (change, Some(node)) if node.is_many() => {
                let message = format!("`{node}` may be several nodes");
                let help = "members change one at a time: name one node or a role";
                problem(format!("{message}, and `{change}` means one"), help)
            }
            (Change::Remove | Change::Abandon, Some(_)) if nodes < 3 => problem(
                format!("a cluster of {nodes} without one of them has no node to lose"),
                "raise `nodes` of the target to 3 or more",
            ),
            (_, Some(node)) => node.problems(nodes, &["node"]),
        }
    }

    fn draw(&self, nodes: u16, rng: &mut Stream) -> Self {
        let node = self.node.map(|node| node.draw(nodes, rng));
        Membership { node, ..self.clone() }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
        let victim = match self.node {
            Some(node) => node.pick(view, rng)?.first().copied(),
            None => None,
        };
        let spare = match self.change {
            Change::Add | Change::Replace => Some(view.free_spare()?),
            Change::Remove | Change::Abandon => None,
        };
        let reserved: Vec<NodeId> = victim.into_iter().chain(spare).collect();
        // Whoever is added changes what a majority is, for all.
        let victims = victim.map_or_else(|| view.nodes.clone(), |victim| vec![victim]);
        Ok(Box::new(Changing {
            change: self.change,
            victims,
            reserved,
            victim,
            spare,
            before: BTreeSet::new(),
            seen: None,
            last: None,
        }))
    }
}

#[derive(Debug)]
struct Changing {
    change: Change,
    victims: Vec<NodeId>,
    reserved: Vec<NodeId>,
    victim: Option<NodeId>,
    spare: Option<NodeId>,
    /// Who voted before.
    before: BTreeSet<NodeId>,
    /// What was seen when the change was done.
    seen: Option<String>,
    /// Who was last seen to vote.
    last: Option<BTreeSet<NodeId>>,
}

impl Changing {
    /// Who is to vote while the fault is in force.
    fn wanted(&self) -> BTreeSet<NodeId> {
        let mut wanted = self.before.clone();
        wanted.extend(self.spare);
        match (self.change, self.victim) {
            (Change::Abandon, Some(victim)) => wanted.retain(|node| *node == victim),
            (_, Some(victim)) => drop(wanted.remove(&victim)),
            (_, None) => {}
        }
        wanted
    }

    /// Looks once at who votes, and asks for the next change that is needed. Whether none is.
    async fn pursue(&mut self, hands: &dyn Hands, wanted: &BTreeSet<NodeId>) -> bool {
        let statuses = hands.statuses().await;
        let Some((leader, status)) = leading(statuses.iter()) else { return false };
        let voters: BTreeSet<NodeId> = status.voters.iter().copied().collect();
        let learns = !status.learners.is_empty();
        self.last = Some(voters.clone());
        if voters == *wanted && !learns {
            return true;
        }
        if let Some(node) = wanted.difference(&voters).find(|node| !status.learners.contains(node))
        {
            hands.change_members(leader, MemberChange::Add(*node)).await;
        } else if wanted.is_subset(&voters)
            && let Some(node) = voters.difference(wanted).next()
        {
            hands.change_members(leader, MemberChange::Remove(*node)).await;
        }
        false
    }

    fn evidence(&self, hands: &dyn Hands) -> String {
        let name = |nodes: &BTreeSet<NodeId>| {
            nodes.iter().map(NodeId::to_string).collect::<Vec<_>>().join(" ")
        };
        let now = self.last.clone().unwrap_or_default();
        let mut text = format!("{} vote where {} did", name(&now), name(&self.before));
        if let Some(process) = self.spare.and_then(|spare| hands.process(spare)) {
            text += &format!(", {} is process {}", self.spare.unwrap_or(NodeId(0)), process.pid);
        }
        text
    }
}

#[async_trait]
impl Action for Changing {
    fn victims(&self) -> &[NodeId] {
        &self.victims
    }

    fn reserves(&self) -> &[NodeId] {
        &self.reserved
    }

    async fn inject(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        let statuses = hands.statuses().await;
        if let Some((_, status)) = leading(statuses.iter()) {
            self.before = status.voters.iter().copied().collect();
        }
        if let Some(spare) = self.spare {
            hands.restart(spare).await?;
        }
        if let (Change::Abandon, Some(stays)) = (self.change, self.victim) {
            let others = self.before.iter().filter(|node| **node != stays);
            let asked = others.map(|node| hands.change_members(stays, MemberChange::Remove(*node)));
            join_all(asked).await;
        }
        Ok(())
    }

    async fn sustain(&mut self, hands: &dyn Hands, force: &mut InForce) -> anyhow::Result<()> {
        if self.before.is_empty() {
            // Nobody led, so it is not known what to go back to.
            return Ok(());
        }
        let wanted = self.wanted();
        loop {
            let done = match (self.change, self.victim) {
                // What was asked was asked; what came of it is looked at where it was asked, and
                // one removal is as much as a careful store begins.
                (Change::Abandon, Some(stays)) => {
                    let statuses = hands.statuses().await;
                    let voters = statuses.get(&stays).map(|status| &status.voters);
                    self.last = voters.map(|voters| voters.iter().copied().collect());
                    self.last.as_ref().is_some_and(|last| *last != self.before)
                }
                _ => self.pursue(hands, &wanted).await,
            };
            if done {
                self.seen = Some(self.evidence(hands));
                force.end().await;
                return Ok(());
            }
            if !force.lasts(LOOK_INTERVAL).await {
                return Ok(());
            }
        }
    }

    async fn undo(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        let before = self.before.clone();
        let last = self.last.clone();
        let back = async {
            while !before.is_empty() && !self.pursue(hands, &before).await {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        };
        let back = tokio::time::timeout(BACK_BOUND, back).await;
        self.last = last;
        back.map_err(|_| {
            anyhow::anyhow!(
                "the members are not who they were within {} s: expected the votes of {before:?}",
                BACK_BOUND.as_secs()
            )
        })?;
        if let Some(spare) = self.spare
            && hands.process(spare).is_some()
        {
            hands.kill(spare).await?;
            hands.wipe(spare).await?;
        }
        Ok(())
    }

    fn effect(&self, _hands: &dyn Hands) -> Effect {
        match (&self.seen, &self.last) {
            (Some(seen), _) => Effect::Seen(seen.clone()),
            (None, Some(last)) => {
                let last: Vec<String> = last.iter().map(NodeId::to_string).collect();
                Effect::None(format!("the voters were {} to the end", last.join(" ")))
            }
            (None, None) => Effect::None("nobody led, so nobody could be asked".to_string()),
        }
    }
}

/// Who leads, of several the one in the latest epoch.
fn leading<'s>(
    statuses: impl Iterator<Item = (&'s NodeId, &'s NodeStatus)>,
) -> Option<(NodeId, &'s NodeStatus)> {
    let leaders = statuses.filter(|(_, status)| status.role == Role::Leader);
    leaders.max_by_key(|(_, status)| status.epoch).map(|(node, status)| (*node, status))
}
