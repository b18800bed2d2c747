//! The `disk-torn` fault: the power goes off while the disk is writing, so that a part of what was
//! not synced is there, in any order.

use rand::RngExt;
use serde::{Deserialize, Serialize};
use splitbrain_workloads::seed::Stream;

use super::disk_loss::down_problems;
use super::power_cut::{Cutting, DOWN};
use super::{Action, Fault, Instrument, Problem, Selector, Skip, View};
use crate::suite::units::Time;

/// Parameters of a `disk-torn`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskTorn {
    /// Whose power goes off.
    pub node: Selector,
    /// How long it stays down.
    #[serde(default = "down")]
    pub down: Time,
    /// What decides which sectors are there; drawn where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
}

fn down() -> Time {
    DOWN
}

impl Fault for DiskTorn {
    const KIND: &'static str = "disk-torn";
    const SUMMARY: &'static str =
        "the power of nodes goes off in the middle of writes: a part of them is there";
    const EXPLAIN: &'static str = "\
disk-torn: { node: leader, at: 2s, for: 200ms }
disk-torn: { node: majority, down: 1s, seed: 7, at: 2s, for: 200ms }

As `disk-loss`, but of what was not synced a part had got to the disk by itself,
as chance decides: sectors of 512 bytes, each whole or not, in any order; of
several writes to one sector those up to some point; the first few of the
changes of names. What a node finds is half a write, or the end of one without
its beginning.

Effect    the process was replaced, and its file layer undid bytes or names, or
          left sectors that had not been synced.
Heal      the node is started on what is left, and it answers.
Expect    a store that knows its torn tail from damage cuts it and goes on. With
          `fsync: never` later writes may survive earlier ones, and a store that
          notices does not start.";

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
        let seed = self.seed.unwrap_or_else(|| rng.random_range(0..u32::MAX));
        DiskTorn { node: self.node.draw(nodes, rng), seed: Some(seed), ..self.clone() }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
        let victims = self.node.pick(view, rng)?;
        let seed = self.seed.unwrap_or_else(|| rng.random_range(0..u32::MAX));
        Ok(Box::new(Cutting::new(victims, self.down, Some(u64::from(seed)))))
    }
}
