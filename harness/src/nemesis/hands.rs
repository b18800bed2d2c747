//! What the injector can do to a cluster, and how it looks for the effect of what it did.
//!
//! The trait exists for two implementations: the running cluster, and the test that turns an
//! injection into a no-op and demands that the report says "no effect". That is why acting and
//! looking are apart: evidence comes from the kernel's table of processes and from the counters of
//! the target's own traffic, never from an action's return value.

use std::collections::BTreeMap;

use async_trait::async_trait;
use splitbrain_reports::record::Effect;
use splitbrain_workloads::operation::NodeId;

use super::Action;
use crate::cluster::census::Entry;
use crate::network::LinkEvidence;
use crate::network::link::Link;

/// A cluster, as the injector sees it.
#[async_trait]
pub trait Hands: Send + Sync {
    /// Kills a node's process; returns when the kernel has reported its end.
    async fn kill(&self, node: NodeId) -> anyhow::Result<()>;

    /// Starts a node's process again; returns when the node answers.
    async fn restart(&self, node: NodeId) -> anyhow::Result<()>;

    /// Stops a node's process; returns when the kernel has reported it stopped.
    async fn pause(&self, node: NodeId) -> anyhow::Result<()>;

    /// Continues a node's process; returns when the kernel has reported it continued.
    async fn resume(&self, node: NodeId) -> anyhow::Result<()>;

    /// Cuts links; returns when no byte is under way on them any more.
    async fn cut(&self, links: &[Link]) -> anyhow::Result<()>;

    /// Lets links flow again.
    async fn heal(&self, links: &[Link]) -> anyhow::Result<()>;

    /// The process of a node, as the kernel's table has it now; `None` when there is none.
    fn process(&self, node: NodeId) -> Option<Entry>;

    /// The counters of a link; `None` when there is no such link.
    fn traffic(&self, link: Link) -> Option<LinkEvidence>;
}

/// Carries out an action.
///
/// # Errors
///
/// When the cluster could not be made to do it.
pub(super) async fn inject(hands: &dyn Hands, action: &Action) -> anyhow::Result<()> {
    match action {
        Action::Kill(nodes) => {
            for node in nodes {
                hands.kill(*node).await?;
            }
        }
        Action::Pause(nodes) => {
            for node in nodes {
                hands.pause(*node).await?;
            }
        }
        Action::Cut { links, .. } => hands.cut(links).await?,
    }
    Ok(())
}

/// Undoes an action.
///
/// # Errors
///
/// When the cluster could not be made whole; the run then ends as `environment`.
pub(super) async fn undo(hands: &dyn Hands, action: &Action) -> anyhow::Result<()> {
    match action {
        // All at once: a majority that waits for its second node must not wait for its first.
        Action::Kill(nodes) => {
            futures_util::future::try_join_all(nodes.iter().map(|node| hands.restart(*node)))
                .await?;
        }
        Action::Pause(nodes) => {
            futures_util::future::try_join_all(nodes.iter().map(|node| hands.resume(*node)))
                .await?;
        }
        Action::Cut { links, .. } => hands.heal(links).await?,
    }
    Ok(())
}

/// What was seen before an action, to hold against what is seen later.
pub(super) struct Before {
    processes: BTreeMap<NodeId, Option<Entry>>,
}

/// What was seen while an action was in force: once it was, and just before the heal.
pub(super) struct During {
    stopped: BTreeMap<NodeId, bool>,
    traffic: BTreeMap<Link, LinkEvidence>,
}

impl Before {
    pub(super) fn look(hands: &dyn Hands, action: &Action) -> Before {
        let processes = action.victims().iter().map(|node| (*node, hands.process(*node))).collect();
        Before { processes }
    }
}

impl During {
    pub(super) fn look(hands: &dyn Hands, action: &Action) -> During {
        let stopped =
            |node: &NodeId| (*node, hands.process(*node).is_some_and(|process| process.is_still()));
        During {
            stopped: action.victims().iter().map(stopped).collect(),
            traffic: action
                .links()
                .iter()
                .filter_map(|link| Some((*link, hands.traffic(*link)?)))
                .collect(),
        }
    }
}

/// The proof that an action took hold, or why there is none.
pub(super) fn effect(
    hands: &dyn Hands,
    action: &Action,
    before: &Before,
    begun: &During,
    ending: &During,
) -> Effect {
    match action {
        Action::Kill(nodes) => killed(hands, nodes, before),
        Action::Pause(nodes) => paused(nodes, begun, ending),
        Action::Cut { links, .. } => cut(links, begun, ending),
    }
}

/// Another process stands where the killed one stood.
fn killed(hands: &dyn Hands, nodes: &[NodeId], before: &Before) -> Effect {
    let mut seen = Vec::new();
    for node in nodes {
        let old = before.processes.get(node).copied().flatten();
        match (old, hands.process(*node)) {
            (Some(old), Some(new)) if (old.pid, old.started) == (new.pid, new.started) => {
                return Effect::None(format!("{node} is still process {}", old.pid));
            }
            (Some(old), Some(new)) => seen.push(format!("{node} pid {} -> {}", old.pid, new.pid)),
            (None, _) => return Effect::None(format!("{node} had no process to kill")),
            (_, None) => return Effect::None(format!("{node} did not come back")),
        }
    }
    Effect::Seen(seen.join(", "))
}

/// The kernel had all of them stopped at both ends of the pause.
fn paused(nodes: &[NodeId], begun: &During, ending: &During) -> Effect {
    for node in nodes {
        for (when, during) in [("once paused", begun), ("before the resume", ending)] {
            if during.stopped.get(node) != Some(&true) {
                return Effect::None(format!("{node} was not stopped {when}"));
            }
        }
    }
    let names: Vec<String> = nodes.iter().map(NodeId::to_string).collect();
    Effect::Seen(format!("the kernel had {} stopped", names.join(", ")))
}

/// At least one cut link was offered bytes, and none passed on any of them.
fn cut(links: &[Link], begun: &During, ending: &During) -> Effect {
    let (mut offered, mut dials, mut idle) = (0, 0, Vec::new());
    for link in links {
        let (Some(first), Some(last)) = (begun.traffic.get(link), ending.traffic.get(link)) else {
            return Effect::None(format!("{link} has no counters"));
        };
        let seen = last.since(*first);
        if seen.passed > 0 {
            return Effect::None(format!("{} bytes passed on {link}", seen.passed));
        }
        if seen.offered_while_cut + seen.dials_held == 0 {
            idle.push(link.to_string());
        }
        offered += seen.offered_while_cut;
        dials += seen.dials_held;
    }
    if offered + dials == 0 {
        return Effect::None("no cut link was offered a byte".to_string());
    }
    let mut seen = format!("held {offered} bytes and {dials} dials, 0 passed");
    if !idle.is_empty() {
        seen.push_str(&format!("; idle: {}", idle.join(", ")));
    }
    Effect::Seen(seen)
}
