//! The `clock-jump` fault: a node's clock steps ahead or back.

use async_trait::async_trait;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use splitbrain_reports::record::Effect;
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;

use super::{Action, Fault, Hands, Instrument, Lane, Problem, Selector, Skip, View};
use crate::suite::units::Time;
use crate::target::clock::ClockReading;

/// The shortest step that can be told from the noise of two readings on a busy machine.
const STEP_MIN: Time = Time::from_millis(200);

/// Parameters of a `clock-jump`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockJump {
    /// Whose clock.
    pub node: Selector,
    /// How far.
    pub by: Time,
    /// Which way.
    #[serde(default)]
    pub to: Way,
    /// Which clock.
    #[serde(default)]
    pub clock: Which,
}

/// Which way a clock steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Into the future.
    #[default]
    Ahead,
    /// Into the past.
    Back,
}

/// Which clock of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// The time of day, which somebody may set.
    #[default]
    Wall,
    /// The one that timers and leases run by.
    Steady,
}

impl Fault for ClockJump {
    const KIND: &'static str = "clock-jump";
    const SUMMARY: &'static str = "a clock of nodes steps ahead or back";
    const EXPLAIN: &'static str = "\
clock-jump: { node: leader, by: 1m, at: 2s, for: 2s }
clock-jump: { node: random, by: 5s, to: back, at: 2s, for: 2s }
clock-jump: { node: follower, by: 3s, clock: steady, at: 2s, for: 1s }

The wall clock of the nodes meant steps by so much, `ahead` (the default) or
`back`, as when somebody sets it. With `clock: steady` it is the clock by which
timers and leases run that leaps ahead, as after the resume of a virtual machine
whose steady clock was not told; it cannot go back. Other faults may hit the
same nodes meanwhile. It takes a target whose clocks can be told, which the
built-in store has.

Effect    the node's own word for its time, read before and after, beside our
          clocks.
Heal      the wall clock is set right; a steady clock stays ahead, since it may
          not go back.
Expect    nothing wrong where no promise rests on the time of day. No margin
          covers a leap of the clock by which a lease runs.";

    fn shape(&self) -> String {
        let way = match self.to {
            Way::Ahead => "ahead",
            Way::Back => "back",
        };
        match self.clock {
            Which::Wall => format!("{}, {} {way}", self.node, self.by),
            Which::Steady => format!("{}, steady clock {} {way}", self.node, self.by),
        }
    }

    fn form(&self) -> &'static str {
        match (self.clock, self.to) {
            (Which::Wall, Way::Ahead) => "ahead",
            (Which::Wall, Way::Back) => "back",
            (Which::Steady, _) => "steady",
        }
    }

    fn instrument(&self) -> Option<Instrument> {
        Some(Instrument::Clock)
    }

    fn lane(&self) -> Lane {
        Lane::Clock
    }

    fn aimed_at(&self) -> Option<Selector> {
        Some(self.node)
    }

    fn victim_serves(&self) -> bool {
        true
    }

    fn problems(&self, nodes: u16) -> Vec<Problem> {
        let mut problems = self.node.problems(nodes, &["node"]);
        if self.by < STEP_MIN {
            problems.push(Problem {
                keys: vec!["by"],
                message: format!("a step of {} is too short to be seen", self.by),
                help: Some(format!("at least {STEP_MIN}")),
            });
        }
        if (self.clock, self.to) == (Which::Steady, Way::Back) {
            problems.push(Problem {
                keys: vec!["to"],
                message: "a steady clock does not go back".to_string(),
                help: Some("leave `to` out, or `clock`".to_string()),
            });
        }
        problems
    }

    fn draw(&self, nodes: u16, rng: &mut Stream) -> Self {
        ClockJump { node: self.node.draw(nodes, rng), ..self.clone() }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
        let victims = self.node.pick(view, rng)?;
        Ok(Box::new(Jumping { victims, fault: self.clone(), readings: Vec::new() }))
    }
}

#[derive(Debug)]
struct Jumping {
    victims: Vec<NodeId>,
    fault: ClockJump,
    /// The clocks of each victim before and after.
    readings: Vec<(NodeId, Option<ClockReading>, Option<ClockReading>)>,
}

impl Jumping {
    /// How far the wall clock is to be ahead.
    fn wall_offset_ms(&self) -> i64 {
        let by = i64::from(self.fault.by.as_millis());
        match self.fault.to {
            Way::Ahead => by,
            Way::Back => -by,
        }
    }

    async fn jump(&self, hands: &dyn Hands, node: NodeId) -> anyhow::Result<()> {
        match self.fault.clock {
            Which::Wall => hands.wall_clock(node, self.wall_offset_ms()).await,
            Which::Steady => hands.steady_clock(node, self.fault.by.duration()).await,
        }
    }
}

#[async_trait]
impl Action for Jumping {
    fn victims(&self) -> &[NodeId] {
        &self.victims
    }

    async fn inject(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        for node in self.victims.clone() {
            let before = hands.clock(node).await;
            self.jump(hands, node).await?;
            let after = hands.clock(node).await;
            self.readings.push((node, before, after));
        }
        Ok(())
    }

    async fn undo(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        if self.fault.clock == Which::Wall {
            try_join_all(self.victims.iter().map(|node| hands.wall_clock(*node, 0))).await?;
        }
        Ok(())
    }

    fn effect(&self, _hands: &dyn Hands) -> Effect {
        let asked = self.wall_offset_ms() as f64 / 1000.0;
        let mut seen = Vec::new();
        for (node, before, after) in &self.readings {
            let (Some(before), Some(after)) = (before, after) else {
                return Effect::None(format!("{node} did not tell its time"));
            };
            let ahead = match self.fault.clock {
                Which::Wall => Some(after.wall_ahead_since(before)),
                Which::Steady => after.steady_ahead_since(before),
            };
            let Some(ahead) = ahead.map(|ahead| ahead as f64 / 1e6) else {
                return Effect::None(format!("{node} was started again meanwhile"));
            };
            let told = format!("a clock of {node} stepped by {ahead:+.3} s");
            if (ahead - asked).abs() > asked.abs() / 2.0 {
                return Effect::None(told);
            }
            seen.push(told);
        }
        Effect::Seen(seen.join(", "))
    }
}
