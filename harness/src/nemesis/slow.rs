//! The `slow` fault: SIGSTOP and SIGCONT by turns, so that a node lives but is late for all.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use splitbrain_reports::record::Effect;
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;

use super::{Action, Fault, Hands, InForce, Problem, Selector, Skip, View};
use crate::suite::units::Time;

/// The shortest turn: below it the signals themselves, some hundred microseconds each and
/// milliseconds on a busy machine, would be what is measured.
const TURN_MIN: Time = Time::from_millis(5);

/// The longest turn: beyond it `pause` says better what is meant.
const TURN_MAX: Time = Time::from_secs(10);

/// Parameters of a `slow`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slow {
    /// Who is slow.
    pub node: Selector,
    /// How long it stands still each time.
    pub stopped: Time,
    /// How long it runs each time.
    pub running: Time,
}

impl Fault for Slow {
    const KIND: &'static str = "slow";
    const SUMMARY: &'static str = "SIGSTOP and SIGCONT nodes by turns, many times a second";
    const EXPLAIN: &'static str = "\
slow: { node: leader, stopped: 40ms, running: 20ms, at: 2s, for: 3s }

The process gets SIGSTOP, and SIGCONT after `stopped`; it runs for `running`,
and so on, as on a machine that gives it too little of a processor. It is not
dead: its connections stay, it answers, and late. Each turn lasts 5 ms to 10 s.

Effect    the kernel had the process stopped at the end of every stopped turn,
          and not stopped at the end of every running one; twice at least.
Heal      SIGCONT.
Expect    timeouts and elections while nothing is broken; a store that trusts
          a lease answers reads with old values when its clock runs on.";

    fn shape(&self) -> String {
        format!("{}, {} stopped of {}", self.node, self.stopped, self.stopped.plus(self.running))
    }

    fn aimed_at(&self) -> Option<Selector> {
        Some(self.node)
    }

    fn victim_serves(&self) -> bool {
        true
    }

    fn shortest(&self, _nodes: u16) -> Time {
        self.stopped.plus(self.running).plus(self.stopped)
    }

    fn problems(&self, nodes: u16) -> Vec<Problem> {
        let mut problems = self.node.problems(nodes, &["node"]);
        for (key, turn) in [("stopped", self.stopped), ("running", self.running)] {
            if !(TURN_MIN..=TURN_MAX).contains(&turn) {
                problems.push(Problem {
                    keys: vec![key],
                    message: format!("a turn of {turn} is out of range: {TURN_MIN} to {TURN_MAX}"),
                    help: Some("for one long stop use `pause`".to_string()),
                });
            }
        }
        problems
    }

    fn draw(&self, nodes: u16, rng: &mut Stream) -> Self {
        Slow { node: self.node.draw(nodes, rng), ..self.clone() }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
        let victims = self.node.pick(view, rng)?;
        Ok(Box::new(Slowing {
            victims,
            stopped: self.stopped.duration(),
            running: self.running.duration(),
            stops: Turns::default(),
            runs: Turns::default(),
        }))
    }
}

#[derive(Debug)]
struct Slowing {
    victims: Vec<NodeId>,
    stopped: Duration,
    running: Duration,
    stops: Turns,
    runs: Turns,
}

/// What was seen at the ends of the turns of one kind.
#[derive(Debug, Default)]
struct Turns {
    /// How many there were.
    count: u32,
    /// At how many of them every victim was as it should be.
    as_asked: u32,
    /// How long they lasted together, by our clock.
    lasted: Duration,
}

impl Slowing {
    /// Lets a turn last; whether the fault is still in force then.
    async fn turn(&mut self, hands: &dyn Hands, force: &mut InForce, stopped: bool) -> bool {
        let began = Instant::now();
        let time = if stopped { self.stopped } else { self.running };
        let goes_on = force.lasts(time).await;
        let is_still = |node: &NodeId| hands.process(*node).is_some_and(|entry| entry.is_still());
        let as_asked = self.victims.iter().all(|node| is_still(node) == stopped);
        let turns = if stopped { &mut self.stops } else { &mut self.runs };
        turns.count += 1;
        turns.as_asked += u32::from(as_asked);
        turns.lasted += began.elapsed();
        goes_on
    }
}

#[async_trait]
impl Action for Slowing {
    fn victims(&self) -> &[NodeId] {
        &self.victims
    }

    async fn inject(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        try_join_all(self.victims.iter().map(|node| hands.pause(*node))).await?;
        Ok(())
    }

    async fn sustain(&mut self, hands: &dyn Hands, force: &mut InForce) -> anyhow::Result<()> {
        while self.turn(hands, force, true).await {
            try_join_all(self.victims.iter().map(|node| hands.resume(*node))).await?;
            if !self.turn(hands, force, false).await {
                break;
            }
            try_join_all(self.victims.iter().map(|node| hands.pause(*node))).await?;
        }
        Ok(())
    }

    async fn undo(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        try_join_all(self.victims.iter().map(|node| hands.resume(*node))).await?;
        Ok(())
    }

    fn effect(&self, _hands: &dyn Hands) -> Effect {
        let Slowing { stops, runs, .. } = self;
        for (turns, what) in [(stops, "stopped"), (runs, "running")] {
            if turns.as_asked < turns.count {
                let (seen, of) = (turns.as_asked, turns.count);
                return Effect::None(format!("seen {what} at the end of {seen} of {of} turns"));
            }
        }
        if stops.count < 2 {
            return Effect::None("ended before it was stopped a second time".to_string());
        }
        let whole = (stops.lasted + runs.lasted).as_secs_f64();
        let share = 100.0 * stops.lasted.as_secs_f64() / whole;
        let (stops, runs) = (stops.count, runs.count);
        Effect::Seen(format!(
            "the kernel had it stopped {stops} of {stops} times, running {runs} of {runs}, \
             stopped {share:.0} % of the time"
        ))
    }
}
