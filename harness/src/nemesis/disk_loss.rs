//! The `disk-loss` fault: the power goes off, and with it everything that was not synced.

use serde::{Deserialize, Serialize};
use splitbrain_workloads::seed::Stream;

use super::power_cut::{Cutting, DOWN, DOWN_MAX};
use super::{Action, Fault, Instrument, Problem, Selector, Skip, View};
use crate::suite::units::Time;

/// Parameters of a `disk-loss`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskLoss {
    /// Whose power goes off.
    pub node: Selector,
    /// How long it stays down.
    #[serde(default = "down")]
    pub down: Time,
}

fn down() -> Time {
    DOWN
}

/// What is wrong with a time for which nodes are to stay down.
pub(super) fn down_problems(down: Time) -> Option<Problem> {
    (down > DOWN_MAX).then(|| Problem {
        keys: vec!["down"],
        message: format!("{down} down is out of range: 0s to {DOWN_MAX}"),
        help: Some("for a node that is gone for long use `kill`".to_string()),
    })
}

impl Fault for DiskLoss {
    const KIND: &'static str = "disk-loss";
    const SUMMARY: &'static str = "the power of nodes goes off: what was not synced is gone";
    const EXPLAIN: &'static str = "\
disk-loss: { node: leader, at: 2s, for: 200ms }
disk-loss: { node: all, at: 2s, until: { acknowledged: 20 }, at_most: 1s }

While the fault is in force the disks of the nodes are busy: syncs do not come
back. Then the power goes off. The processes get SIGKILL, and when they start
again, `down` (200ms) later, everything is gone that they had not synced: bytes
without an fsync of their file, and new files, renames and removals without an
fsync of their folder. A kill alone loses nothing, since the page cache survives
it; so this takes a target whose file layer keeps apart what is not on disk,
which the built-in store has. With disks that are not busy there would mostly be
nothing to lose.

Effect    the process was replaced, and its file layer undid bytes or names.
Heal      the node is started on what is left, and it answers.
Expect    no acknowledged write is lost by a store that syncs before it
          acknowledges. With `fsync: never`, or a majority that acknowledges
          from memory, acknowledged writes are gone.";

    fn shape(&self) -> String {
        match self.down == DOWN {
            true => self.node.to_string(),
            false => format!("{}, down {}", self.node, self.down),
        }
    }

    fn instrument(&self) -> Option<Instrument> {
        Some(Instrument::Disk)
    }

    fn aimed_at(&self) -> Option<Selector> {
        Some(self.node)
    }

    /// Until the power goes.
    fn victim_serves(&self) -> bool {
        true
    }

    fn problems(&self, nodes: u16) -> Vec<Problem> {
        let mut problems = self.node.problems(nodes, &["node"]);
        problems.extend(down_problems(self.down));
        problems
    }

    fn draw(&self, nodes: u16, rng: &mut Stream) -> Self {
        DiskLoss { node: self.node.draw(nodes, rng), ..self.clone() }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
        Ok(Box::new(Cutting::new(self.node.pick(view, rng)?, self.down, None)))
    }
}
