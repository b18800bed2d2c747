//! The `clock-drift` fault: a node's clocks run too slow or too fast.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use splitbrain_reports::record::Effect;
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;

use super::{Action, Fault, Hands, Instrument, Lane, Problem, Selector, Skip, View};
use crate::scalar::as_text;
use crate::target::clock::ClockReading;

/// Parameters of a `clock-drift`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockDrift {
    /// Whose clocks.
    pub node: Selector,
    /// How fast they run.
    pub rate: ClockRate,
}

/// How fast a clock runs, in percent of what is right, 1 to 10000, written `25%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockRate(u16);

impl ClockRate {
    const RIGHT: ClockRate = ClockRate(100);

    /// The least difference from the right rate that can be told from the noise of two readings.
    const LEAST: u16 = 5;

    fn factor(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl fmt::Display for ClockRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl FromStr for ClockRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let percent = text.strip_suffix('%').and_then(|number| number.parse().ok());
        match percent {
            Some(percent @ 1..=10_000) => Ok(ClockRate(percent)),
            _ => Err(format!("expected a rate from `1%` to `10000%`, got `{text}`")),
        }
    }
}

as_text!(ClockRate);

impl Fault for ClockDrift {
    const KIND: &'static str = "clock-drift";
    const SUMMARY: &'static str = "the clocks of nodes run too slow or too fast";
    const EXPLAIN: &'static str = "\
clock-drift: { node: leader, rate: 25%, at: 1s, for: 3s }
clock-drift: { node: follower, rate: 400%, at: 1s, for: 3s }

On the nodes meant `rate` of a second passes in each second, on the steady
clock, by which timers and leases run, and on the wall clock. Other faults may
hit the same nodes meanwhile: whose clock is wrong is read off the clock itself.
It takes a target whose clocks can be told, which the built-in store has.

Effect    the node's own word for how long it has been running, read at the
          beginning and at the end, beside our clock.
Heal      the clocks run at the right rate; the wall clock is set right, the
          steady clock goes on from where it is, since it may not go back.
Expect    nothing wrong where no promise rests on clocks. A lease holds as long
          as its margin covers the drift, and no longer: then reads are stale.";

    fn shape(&self) -> String {
        format!("{} at {}", self.node, self.rate)
    }

    fn form(&self) -> &'static str {
        if self.rate.0 < ClockRate::RIGHT.0 { "slow" } else { "fast" }
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
        if self.rate.0.abs_diff(ClockRate::RIGHT.0) < ClockRate::LEAST {
            problems.push(Problem {
                keys: vec!["rate"],
                message: format!("a rate of {} cannot be told from the right one", self.rate),
                help: Some(format!("at least {} % more or less than 100%", ClockRate::LEAST)),
            });
        }
        problems
    }

    fn draw(&self, nodes: u16, rng: &mut Stream) -> Self {
        ClockDrift { node: self.node.draw(nodes, rng), ..self.clone() }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
        let victims = self.node.pick(view, rng)?;
        Ok(Box::new(Drifting { victims, rate: self.rate, began: Vec::new(), ended: Vec::new() }))
    }
}

#[derive(Debug)]
struct Drifting {
    victims: Vec<NodeId>,
    rate: ClockRate,
    /// The clocks of the victims once they ran at the rate, and just before the heal.
    began: Vec<Option<ClockReading>>,
    ended: Vec<Option<ClockReading>>,
}

impl Drifting {
    async fn run_at(&self, hands: &dyn Hands, rate: f64) -> anyhow::Result<()> {
        try_join_all(self.victims.iter().map(|node| hands.clock_rate(*node, rate))).await?;
        Ok(())
    }

    async fn read(&self, hands: &dyn Hands) -> Vec<Option<ClockReading>> {
        let mut readings = Vec::new();
        for node in &self.victims {
            readings.push(hands.clock(*node).await);
        }
        readings
    }
}

#[async_trait]
impl Action for Drifting {
    fn victims(&self) -> &[NodeId] {
        &self.victims
    }

    async fn inject(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        self.run_at(hands, self.rate.factor()).await?;
        self.began = self.read(hands).await;
        Ok(())
    }

    async fn undo(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        self.ended = self.read(hands).await;
        self.run_at(hands, ClockRate::RIGHT.factor()).await
    }

    fn effect(&self, _hands: &dyn Hands) -> Effect {
        let mut seen = Vec::new();
        let asked = self.rate.factor();
        for (node, (began, ended)) in self.victims.iter().zip(self.began.iter().zip(&self.ended)) {
            let (Some(began), Some(ended)) = (began, ended) else {
                return Effect::None(format!("{node} did not tell its time"));
            };
            let Some(rate) = ended.rate_since(began) else {
                let why = format!("{node} was started again, or too little time passed, to see it");
                return Effect::None(why);
            };
            let percent = 100.0 * rate;
            // Half-way between right and asked is neither.
            if (rate - asked).abs() > (1.0 - asked).abs() / 2.0 {
                return Effect::None(format!("the clock of {node} ran at {percent:.0} %"));
            }
            seen.push(format!("the clock of {node} ran at {percent:.0} %"));
        }
        Effect::Seen(seen.join(", "))
    }
}
