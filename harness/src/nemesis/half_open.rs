//! The `half-open` fault: one end of a connection is gone, and the other end is never told.
//!
//! RFC 793, section 3.4, calls a connection half-open whose one end has "closed or aborted the
//! connection at its end without the knowledge of the other": a machine that lost its power and
//! came back, a balancer that forgot its table. A one-way `partition` is another thing: there both
//! ends have the connection, and one direction of it stands still.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use splitbrain_reports::record::{Effect, OnLinks};
use splitbrain_reports::units;
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;

use super::reach::Reach;
use super::{Action, Fault, Hands, Problem, Scope, Selector, Skip, View};
use crate::network::link::{Link, Party};
use crate::network::{HalfOpen as Silence, LinkEvidence};

/// Parameters of a `half-open`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HalfOpen {
    /// Who forgets its connections.
    pub node: Selector,
    /// Those to whom.
    #[serde(default)]
    pub scope: Scope,
}

impl HalfOpen {
    fn reach(&self) -> Reach {
        Reach { node: self.node, direction: None, scope: self.scope }
    }
}

impl Fault for HalfOpen {
    const KIND: &'static str = "half-open";
    const SUMMARY: &'static str = "nodes forget their connections, and the other ends never hear";
    const EXPLAIN: &'static str = "\
half-open: { node: leader, at: 2s, for: 3s }
half-open: { node: follower, scope: peers+clients, at: 2s, for: 3s }

The ends that the nodes meant have of their established connections are reset;
the other ends stay open and hear nothing, neither an answer nor the end, as
when a machine lost its power or a balancer forgot its table. What they send is
acknowledged by the kernel and leads nowhere. New connections are carried as
usual, so the nodes that forgot dial again, and so does whoever gives up
waiting. `scope` as in a partition: connections to peers, to clients, or both.

Effect    the proxy counted connections of the target that were left half open,
          and the bytes that were sent into the silence.
Heal      the ends that heard nothing are reset.
Expect    requests that end by their time-out, and service again as soon as a
          store stops believing in a connection that only looks alive.";

    fn shape(&self) -> String {
        self.reach().shape()
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
        self.reach().problems(nodes)
    }

    fn draw(&self, nodes: u16, rng: &mut Stream) -> Self {
        HalfOpen { node: self.node.draw(nodes, rng), ..self.clone() }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
        let (victims, links) = self.reach().resolve(view, rng)?;
        let before = BTreeMap::new();
        Ok(Box::new(Forgetting { victims, links, before, silence: Silence::default() }))
    }
}

#[derive(Debug)]
struct Forgetting {
    victims: Vec<NodeId>,
    links: Vec<Link>,
    before: BTreeMap<Link, LinkEvidence>,
    /// The ends that hear nothing, while the fault is in force.
    silence: Silence,
}

#[async_trait]
impl Action for Forgetting {
    fn victims(&self) -> &[NodeId] {
        &self.victims
    }

    fn links(&self) -> &[Link] {
        &self.links
    }

    async fn inject(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        let seen = self.links.iter().filter_map(|link| Some((*link, hands.traffic(*link)?)));
        self.before = seen.collect();
        self.silence = hands.half_open(&self.links, &self.victims).await?;
        Ok(())
    }

    async fn undo(&mut self, _hands: &dyn Hands) -> anyhow::Result<()> {
        self.silence = Silence::default();
        Ok(())
    }

    fn effect(&self, hands: &dyn Hands) -> Effect {
        // A connection counts on both of its links; here once per pair of parties.
        let mut pairs: BTreeMap<BTreeSet<Party>, u64> = BTreeMap::new();
        let mut bytes = 0;
        for (link, before) in &self.before {
            let Some(now) = hands.traffic(*link) else {
                return Effect::None(format!("{link} has no counters"));
            };
            let seen = now.since(*before);
            let pair = pairs.entry(BTreeSet::from([link.from, link.to])).or_default();
            *pair = (*pair).max(seen.connections_half_open);
            bytes += seen.into_silence;
        }
        match pairs.values().sum::<u64>() {
            0 => Effect::None("no connection was left half open".to_string()),
            count => Effect::Seen(format!(
                "{} left half open, {} sent into the silence",
                units::counted(count, "connection"),
                units::counted(bytes, "byte")
            )),
        }
    }
}
