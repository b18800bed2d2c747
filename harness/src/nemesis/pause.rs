//! The `pause` fault: SIGSTOP, and SIGCONT after a while.

use serde::{Deserialize, Serialize};
use splitbrain_workloads::seed::Stream;

use super::{Action, Fault, Problem, Selector, Skip, View};

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

    fn victim_serves(&self) -> bool {
        false
    }

    fn problems(&self, nodes: u16) -> Vec<Problem> {
        self.node.problems(nodes, &["node"])
    }

    fn draw(&self, nodes: u16, rng: &mut Stream) -> Self {
        Pause { node: self.node.draw(nodes, rng) }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Action, Skip> {
        self.node.pick(view, rng).map(Action::Pause)
    }
}
