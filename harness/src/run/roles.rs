//! Who says it leads: samples the status of every node at its real port, past all proxies.
//!
//! One task a node, so that a paused node delays nobody else's sample. Faults aim by the picture
//! it holds, conditions wait on it, and the journal gets every change.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use splitbrain_reports::record::{Event, Role};
use splitbrain_workloads::operation::NodeId;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::journal::Journal;
use super::states::States;
use crate::target::{NodeStatus, Target, Wiring};

/// Time between two samples of a node. Ten samples fit into the shortest election time-out that
/// survives a busy machine, and the cost is twenty small requests a second and node.
const INTERVAL: Duration = Duration::from_millis(50);

/// How long a node may take to answer before it counts as silent. A healthy node answers within
/// a few milliseconds, on a busy machine within some tens.
const LIMIT: Duration = Duration::from_millis(300);

/// The last sample of every node; `None` for one that did not answer.
pub type Picture = BTreeMap<NodeId, Option<NodeStatus>>;

/// Samples until dropped.
pub struct Sampler {
    picture: watch::Receiver<Picture>,
    tasks: JoinSet<()>,
}

impl Sampler {
    /// Begins to sample all nodes. A spare is in the picture only while it answers.
    pub fn start(target: Arc<dyn Target>, wiring: Arc<Wiring>, journal: Arc<Journal>) -> Sampler {
        let founders = target.nodes();
        let is_spare = move |node: NodeId| node.0 > founders;
        let founders = wiring.nodes.keys().filter(|node| !is_spare(**node));
        let silent: Picture = founders.map(|node| (*node, None)).collect();
        let (sender, picture) = watch::channel(silent);
        let sender = Arc::new(sender);
        let states = Arc::new(Mutex::new(States::default()));
        let mut tasks = JoinSet::new();
        for node in wiring.nodes.keys().copied() {
            let (target, wiring) = (target.clone(), wiring.clone());
            let (journal, sender) = (journal.clone(), sender.clone());
            let states = states.clone();
            tasks.spawn(async move {
                let mut said = is_spare(node).then(|| summary(None));
                loop {
                    let status = target.status(&wiring, node, LIMIT).await;
                    let says = summary(status.as_ref());
                    if said != Some(says) {
                        let (role, epoch, leader) = says;
                        journal.report(Event::Role { node, role, epoch, leader });
                        said = Some(says);
                    }
                    sender.send_modify(|picture| match status {
                        None if is_spare(node) => drop(picture.remove(&node)),
                        status => drop(picture.insert(node, status)),
                    });
                    let new = {
                        let mut states = states.lock().expect("no holder of this lock panics");
                        states.look(&sender.borrow())
                    };
                    if let Some(state) = new {
                        journal.report(Event::State(state));
                    }
                    tokio::time::sleep(INTERVAL).await;
                }
            });
        }
        Sampler { picture, tasks }
    }

    /// Ends all sampling and waits for it.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }

    /// The picture, to look at and to wait on.
    pub fn picture(&self) -> watch::Receiver<Picture> {
        self.picture.clone()
    }
}

fn summary(status: Option<&NodeStatus>) -> (Role, Option<u64>, Option<NodeId>) {
    match status {
        Some(status) => (status.role, Some(status.epoch), status.leader),
        None => (Role::Silent, None, None),
    }
}

/// The node that leads: of those that say so, the one in the highest epoch.
pub fn leader(picture: &Picture) -> Option<NodeId> {
    leaders(picture).max().map(|(_, node)| node)
}

/// All nodes that say they lead, with their epochs.
pub fn leaders(picture: &Picture) -> impl Iterator<Item = (u64, NodeId)> {
    picture.iter().filter_map(|(node, status)| match status {
        Some(status) if status.role == Role::Leader => Some((status.epoch, *node)),
        _ => None,
    })
}

/// Whether the cluster is of one mind: one leader whom all nodes follow in its epoch.
pub fn agreed(picture: &Picture) -> Option<NodeId> {
    let leader = leader(picture)?;
    let epoch = picture[&leader].as_ref()?.epoch;
    let follows = |status: &Option<NodeStatus>| {
        status.as_ref().is_some_and(|s| s.leader == Some(leader) && s.epoch == epoch)
    };
    picture.values().all(follows).then_some(leader)
}

/// Whether every node has applied all that the leader has committed.
pub fn settled(picture: &Picture) -> bool {
    let Some(leader) = agreed(picture) else { return false };
    let Some(Some(NodeStatus { committed, .. })) = picture.get(&leader) else { return false };
    let applied = |status: &Option<NodeStatus>| {
        status.as_ref().is_some_and(|status| status.applied >= *committed)
    };
    picture.values().all(applied)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(role: Role, epoch: u64, leader: u16, applied: u64) -> Option<NodeStatus> {
        Some(NodeStatus {
            role,
            epoch,
            leader: Some(NodeId(leader)),
            applied,
            committed: 9,
            voters: Vec::new(),
            learners: Vec::new(),
        })
    }

    fn picture(statuses: [Option<NodeStatus>; 3]) -> Picture {
        NodeId::first(3).zip(statuses).collect()
    }

    #[test]
    fn of_two_leaders_the_one_in_the_higher_epoch_leads() {
        let two = picture([
            says(Role::Leader, 1, 1, 9),
            says(Role::Leader, 2, 2, 9),
            says(Role::Follower, 2, 2, 9),
        ]);
        assert_eq!(leader(&two), Some(NodeId(2)));
        assert_eq!(agreed(&two), None, "the zombie does not follow");
    }

    #[test]
    fn a_silent_or_lagging_node_is_not_settled() {
        let leads = says(Role::Leader, 1, 1, 9);
        let follows = says(Role::Follower, 1, 1, 9);
        assert!(settled(&picture([leads.clone(), follows.clone(), follows.clone()])));
        let lags = says(Role::Follower, 1, 1, 8);
        assert!(!settled(&picture([leads.clone(), follows.clone(), lags])));
        assert!(!settled(&picture([leads, follows, None])));
    }
}
