//! The `reset` fault: established connections end, as if a middlebox had forgotten them.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use splitbrain_reports::record::{Effect, OnLinks};
use splitbrain_reports::units;
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;

use super::reach::Reach;
use super::{Action, Fault, Hands, InForce, Problem, Scope, Selector, Skip, View};
use crate::network::LinkEvidence;
use crate::network::link::{Link, Party};
use crate::suite::units::Time;

/// The shortest time between two resets: a connection must be able to carry a request.
const AGAIN_MIN: Time = Time::from_millis(10);

/// Parameters of a `reset`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// Whose connections.
    pub node: Selector,
    /// Those to whom.
    #[serde(default)]
    pub scope: Scope,
    /// Time between two resets while the fault is in force; once where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<Time>,
}

impl Reset {
    fn reach(&self) -> Reach {
        Reach { node: self.node, direction: None, scope: self.scope }
    }
}

impl Fault for Reset {
    const KIND: &'static str = "reset";
    const SUMMARY: &'static str = "reset the established connections of nodes, once or repeatedly";
    const EXPLAIN: &'static str = "\
reset: { node: leader, at: 2s, for: 100ms }
reset: { node: all, scope: peers+clients, again: 200ms, at: 2s, for: 3s }

Every established connection over the links of the nodes meant is ended by a
reset (RST) at both ends, whoever dialled it, as if a firewall or a balancer had
forgotten it. Bytes on their way are lost with it. New connections are carried
as usual, and reset too when `again` is given and has passed. `scope` as in a
partition: connections to peers, to clients, or both.

Effect    the proxy counted connections of the target that the resets ended.
Heal      nothing is left to undo; nodes and clients dial again by themselves.
Expect    requests of unknown outcome; no acknowledged write is lost.";

    fn shape(&self) -> String {
        let again = self.again.map(|again| format!(", every {again}"));
        format!("{}{}", self.reach().shape(), again.unwrap_or_default())
    }

    fn on_links(&self) -> OnLinks {
        OnLinks::Reset
    }

    fn aimed_at(&self) -> Option<Selector> {
        Some(self.node)
    }

    fn victim_serves(&self) -> bool {
        true
    }

    fn problems(&self, nodes: u16) -> Vec<Problem> {
        let mut problems = self.reach().problems(nodes);
        if self.again.is_some_and(|again| again < AGAIN_MIN) {
            problems.push(Problem {
                keys: vec!["again"],
                message: format!("expected {AGAIN_MIN} or more between two resets"),
                help: Some("for links that nothing passes use `partition`".to_string()),
            });
        }
        problems
    }

    fn draw(&self, nodes: u16, rng: &mut Stream) -> Self {
        Reset { node: self.node.draw(nodes, rng), ..self.clone() }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
        let (victims, links) = self.reach().resolve(view, rng)?;
        let before = BTreeMap::new();
        Ok(Box::new(Resetting { victims, links, again: self.again, before }))
    }
}

#[derive(Debug)]
struct Resetting {
    victims: Vec<NodeId>,
    links: Vec<Link>,
    again: Option<Time>,
    before: BTreeMap<Link, LinkEvidence>,
}

#[async_trait]
impl Action for Resetting {
    fn victims(&self) -> &[NodeId] {
        &self.victims
    }

    fn links(&self) -> &[Link] {
        &self.links
    }

    async fn inject(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        let seen = self.links.iter().filter_map(|link| Some((*link, hands.traffic(*link)?)));
        self.before = seen.collect();
        hands.reset(&self.links).await
    }

    async fn sustain(&mut self, hands: &dyn Hands, force: &mut InForce) -> anyhow::Result<()> {
        let Some(again) = self.again else {
            force.end().await;
            return Ok(());
        };
        while force.lasts(again.duration()).await {
            hands.reset(&self.links).await?;
        }
        Ok(())
    }

    async fn undo(&mut self, _hands: &dyn Hands) -> anyhow::Result<()> {
        Ok(())
    }

    fn effect(&self, hands: &dyn Hands) -> Effect {
        // A connection counts on both of its links; here once per pair of parties.
        let mut pairs: BTreeMap<BTreeSet<Party>, u64> = BTreeMap::new();
        for (link, before) in &self.before {
            let Some(now) = hands.traffic(*link) else {
                return Effect::None(format!("{link} has no counters"));
            };
            let count = now.since(*before).connections_reset;
            let pair = pairs.entry(BTreeSet::from([link.from, link.to])).or_default();
            *pair = (*pair).max(count);
        }
        match pairs.values().sum::<u64>() {
            0 => Effect::None("no connection was reset".to_string()),
            count => Effect::Seen(format!("{} reset", units::counted(count, "connection"))),
        }
    }
}
