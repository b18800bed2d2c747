//! The `slow-close` fault: the end of a connection arrives long after its last byte.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use splitbrain_reports::record::{Effect, OnLinks};
use splitbrain_workloads::seed::Stream;

use super::reach::{Reach, Slowing};
use super::{Action, Direction, Fault, Problem, Scope, Selector, Skip, View};
use crate::network::{Shape, Slowed};
use crate::suite::units::Time;

/// The longest that an end is kept back: beyond it every timeout of every client has passed.
const CLOSE_MAX: Time = Time::from_secs(60);

/// Parameters of a `slow-close`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlowClose {
    /// Whose links.
    pub node: Selector,
    /// How much later the end of a connection arrives.
    pub by: Time,
    /// Which direction; both where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Links to whom.
    #[serde(default)]
    pub scope: Scope,
}

impl SlowClose {
    fn reach(&self) -> Reach {
        Reach { node: self.node, direction: self.direction, scope: self.scope }
    }
}

impl Fault for SlowClose {
    const KIND: &'static str = "slow-close";
    const SUMMARY: &'static str = "the ends of connections arrive late, their bytes do not";
    const EXPLAIN: &'static str = "\
slow-close: { node: leader, by: 1s, at: 2s, for: 3s }
slow-close: { node: all, by: 500ms, scope: peers+clients, at: 2s, for: 3s }

Bytes pass as usual, but when one end of a connection closes or dies, the other
end hears of it `by` later: as with a socket that lingers, or a peer whose last
packet was lost. Whoever waits for the end of a peer to act, waits longer.
`direction` is as the nodes meant see it, `scope` as in a partition.

Effect    connections ended meanwhile, and their ends were handed on late
          enough, by the proxy's clock. Without such an end there is none: kill
          or reset somebody on the other side.
Heal      ends that are seen from then on pass at once; those on their way keep
          their time.
Expect    nothing is lost; a store that takes a closed connection for a death
          notices deaths later.";

    fn shape(&self) -> String {
        format!("{}, {}", self.reach().shape(), self.by)
    }

    fn on_links(&self) -> OnLinks {
        OnLinks::Slowed
    }

    fn aimed_at(&self) -> Option<Selector> {
        Some(self.node)
    }

    fn victim_serves(&self) -> bool {
        true
    }

    fn problems(&self, nodes: u16) -> Vec<Problem> {
        let mut problems = self.reach().problems(nodes);
        if self.by.is_zero() || self.by > CLOSE_MAX {
            problems.push(Problem {
                keys: vec!["by"],
                message: format!("a close after {} is out of range: 1ms to {CLOSE_MAX}", self.by),
                help: None,
            });
        }
        problems
    }

    fn draw(&self, nodes: u16, rng: &mut Stream) -> Self {
        SlowClose { node: self.node.draw(nodes, rng), ..self.clone() }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
        let shape = Shape { close: self.by.duration(), ..Shape::default() };
        Ok(Box::new(Slowing::new(self.reach(), shape, effect, view, rng)?))
    }
}

/// Connections ended, and every end was late enough on average.
fn effect(shape: &Shape, seen: Slowed, _lasted: Duration) -> Effect {
    if seen.ends == 0 {
        return Effect::None(
            "no connection over these links ended, and was heard late".to_string(),
        );
    }
    let late = seen.ends_late as f64 / 1000.0 / seen.ends as f64;
    if late < shape.close.as_secs_f64() * 1000.0 {
        return Effect::None(format!("ends of connections were late by {late:.1} ms only"));
    }
    Effect::Seen(format!("{} ends of connections late by {late:.0} ms on average", seen.ends))
}
