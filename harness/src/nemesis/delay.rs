//! The `delay` fault: every byte on the links of a node arrives later, by more or less.

use serde::{Deserialize, Serialize};
use splitbrain_reports::record::{Effect, OnLinks};
use splitbrain_workloads::seed::Stream;

use super::reach::{Reach, Slowing};
use super::{Action, Direction, Fault, Problem, Scope, Selector, Skip, View};
use crate::network::{Shape, Slowed};
use crate::suite::units::Time;

/// The longest delay: beyond it every timeout of every client has passed.
const DELAY_MAX: Time = Time::from_secs(60);

/// Parameters of a `delay`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delay {
    /// Whose links.
    pub node: Selector,
    /// How much later bytes arrive, one way.
    pub by: Time,
    /// By how much that varies, up or down.
    #[serde(default)]
    pub spread: Time,
    /// Which direction; both where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Links to whom.
    #[serde(default)]
    pub scope: Scope,
}

impl Delay {
    fn reach(&self) -> Reach {
        Reach { node: self.node, direction: self.direction, scope: self.scope }
    }
}

impl Fault for Delay {
    const KIND: &'static str = "delay";
    const SUMMARY: &'static str = "bytes on the links of nodes arrive later, by more or less";
    const EXPLAIN: &'static str = "\
delay: { node: leader, by: 20ms, at: 2s, for: 3s }
delay: { node: all, by: 5ms, spread: 4ms, scope: clients, at: 2s, for: 3s }
delay: { node: leader, by: 80ms, direction: outbound, at: 2s, for: 3s }

Every chunk read from a link is queued and handed on `by` later, give or take
`spread`; a round trip over a link delayed both ways takes twice as long.
Order is kept within a connection, and a megabyte may be on its way on each; a
sender that is faster waits. The connections of a link between two nodes are
delayed whoever dialled them; the handshake of a new one is not. `direction` is
as the nodes meant see it, `scope` as in a partition.

Effect    every chunk was at least as late as it was to be; the report says by
          how much on average, by the proxy's clock.
Heal      what is read from then on passes at once; what is queued keeps its
          time.
Expect    slower answers; timeouts and elections where the delay comes near.";

    fn shape(&self) -> String {
        let jitter = match self.spread.is_zero() {
            true => String::new(),
            false => format!(" +-{}", self.spread),
        };
        format!("{}, {}{jitter}", self.reach().shape(), self.by)
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
        if self.by.is_zero() || self.by > DELAY_MAX {
            problems.push(Problem {
                keys: vec!["by"],
                message: format!("a delay of {} is out of range: 1ms to {DELAY_MAX}", self.by),
                help: None,
            });
        }
        if self.spread > self.by {
            problems.push(Problem {
                keys: vec!["spread"],
                message: format!("a jitter of {} exceeds the delay of {}", self.spread, self.by),
                help: Some("no byte can arrive before it was sent".to_string()),
            });
        }
        problems
    }

    fn draw(&self, nodes: u16, rng: &mut Stream) -> Self {
        Delay { node: self.node.draw(nodes, rng), ..self.clone() }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
        let shape =
            Shape { delay: self.by.duration(), jitter: self.spread.duration(), ..Shape::default() };
        Ok(Box::new(Slowing::new(self.reach(), shape, effect, view, rng)?))
    }
}

/// Every chunk was late, and late enough.
fn effect(shape: &Shape, seen: Slowed, _lasted: std::time::Duration) -> Effect {
    if seen.early > 0 {
        return Effect::None(format!("{} chunks were not as late as they were to be", seen.early));
    }
    let millis = |micros: u64| micros as f64 / 1000.0 / seen.chunks.max(1) as f64;
    let least = (shape.delay - shape.jitter).as_secs_f64() * 1000.0;
    if millis(seen.late) < least {
        return Effect::None(format!("chunks were late by {:.1} ms only", millis(seen.late)));
    }
    Effect::Seen(format!(
        "{} chunks of {} bytes late by {:.1} ms on average, {:.1} ms asked",
        seen.chunks,
        seen.bytes,
        millis(seen.late),
        millis(seen.asked)
    ))
}
