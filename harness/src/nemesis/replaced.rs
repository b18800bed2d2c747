//! The evidence that processes were replaced: by the faults that end a process and start another.

use splitbrain_reports::record::Effect;
use splitbrain_workloads::operation::NodeId;

use super::Hands;
use crate::cluster::census::Entry;

/// The processes of some nodes at a moment, to hold against those of later.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    old: Vec<(NodeId, Option<Entry>)>,
}

impl Replaced {
    /// Looks at the processes before anything is done to them.
    pub(super) fn look(hands: &dyn Hands, nodes: &[NodeId]) -> Replaced {
        Replaced { old: nodes.iter().map(|node| (*node, hands.process(*node))).collect() }
    }

    /// Another process stands where each of the old ones stood: `process 4 of n1 is gone,
    /// process 7 runs` for each, or why not.
    pub(super) fn seen(&self, hands: &dyn Hands) -> Result<Vec<String>, String> {
        let seen = self.old.iter().map(|(node, old)| match (old, hands.process(*node)) {
            (Some(old), Some(new)) if (old.pid, old.started) == (new.pid, new.started) => {
                Err(format!("{node} is still process {}", old.pid))
            }
            (Some(old), Some(new)) => {
                Ok(format!("process {} of {node} is gone, process {} runs", old.pid, new.pid))
            }
            (None, _) => Err(format!("{node} had no process to end")),
            (_, None) => Err(format!("{node} did not come back")),
        });
        seen.collect()
    }
}

/// Evidence put into words, or the want of it.
pub(super) fn effect(seen: Result<Vec<String>, String>) -> Effect {
    match seen {
        Ok(seen) => Effect::Seen(seen.join(", ")),
        Err(why) => Effect::None(why),
    }
}
