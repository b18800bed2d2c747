//! Faults of links that are no partition: which links they reach, those of some nodes, and what
//! is done to links to make them slow.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rand_xoshiro::rand_core::Rng;
use splitbrain_reports::record::Effect;
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;

use super::partition::links_of;
use super::{Action, Direction, Hands, Problem, Scope, Selector, Skip, View};
use crate::network::link::Link;
use crate::network::{LinkEvidence, Shape, Slowed};

/// Links of nodes, by direction and scope. Not written itself: its parts are keys of a fault.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    /// Whose links.
    pub(super) node: Selector,
    /// Which direction, as the nodes see it; both where it is not said.
    pub(super) direction: Option<Direction>,
    /// To whom.
    pub(super) scope: Scope,
}

impl Reach {
    pub(super) fn shape(&self) -> String {
        let direction = self.direction.map(|direction| format!(" {direction}"));
        format!("{}{}{}", self.node, direction.unwrap_or_default(), self.scope.words())
    }

    pub(super) fn problems(&self, nodes: u16) -> Vec<Problem> {
        let mut problems = self.node.problems(nodes, &["node"]);
        if nodes < 2 && !self.scope.has_clients() {
            problems.push(Problem {
                keys: Vec::new(),
                message: "a cluster of one node has no links between nodes".to_string(),
                help: Some("add `scope: clients`".to_string()),
            });
        }
        problems
    }

    /// The victims and their links, both sorted.
    pub(super) fn resolve(
        &self,
        view: &View,
        rng: &mut Stream,
    ) -> Result<(Vec<NodeId>, Vec<Link>), Skip> {
        let mut victims = self.node.pick(view, rng)?;
        victims.sort();
        let links = links_of(&view.nodes, &victims, self.direction, self.scope);
        Ok((victims, links))
    }
}

/// Makes links slow and says what was seen of it: `delay` and `bandwidth`.
#[derive(Debug)]
pub(super) struct Slowing {
    victims: Vec<NodeId>,
    links: Vec<Link>,
    shape: Shape,
    judge: Judge,
    before: BTreeMap<Link, LinkEvidence>,
    began: Instant,
    /// What all links together showed, and how many bytes passed them in all; or why that proves
    /// nothing.
    seen: Option<Result<(Slowed, u64), String>>,
    lasted: Duration,
}

/// Bytes that may pass a link above its limit, since the proxy had read them when it began: what
/// one read takes from each of a few connections.
const UNDER_WAY: f64 = 256.0 * 1024.0;

/// What is to be said of chunks and ends that were slowed for so long; there was at least one.
pub(super) type Judge = fn(&Shape, Slowed, Duration) -> Effect;

impl Slowing {
    pub(super) fn new(
        reach: Reach,
        shape: Shape,
        judge: Judge,
        view: &View,
        rng: &mut Stream,
    ) -> Result<Slowing, Skip> {
        let (victims, links) = reach.resolve(view, rng)?;
        Ok(Slowing {
            victims,
            links,
            shape: Shape { seed: rng.next_u64(), ..shape },
            judge,
            before: BTreeMap::new(),
            began: Instant::now(),
            seen: None,
            lasted: Duration::ZERO,
        })
    }

    fn look(&self, hands: &dyn Hands) -> Result<(Slowed, u64), String> {
        let mut all = Slowed::default();
        let mut passed = 0;
        for link in &self.links {
            let (before, now) = (self.before.get(link), hands.traffic(*link));
            let (Some(before), Some(now)) = (before, now) else {
                return Err(format!("{link} has no counters"));
            };
            let since = now.since(*before);
            if let Some(limit) = self.shape.bytes_per_second
                && since.passed as f64 > limit as f64 * self.lasted.as_secs_f64() + UNDER_WAY
            {
                return Err(format!("{} bytes passed on {link}, above the limit", since.passed));
            }
            all.add(since.slowed);
            passed += since.passed;
        }
        Ok((all, passed))
    }
}

#[async_trait]
impl Action for Slowing {
    fn victims(&self) -> &[NodeId] {
        &self.victims
    }

    fn links(&self) -> &[Link] {
        &self.links
    }

    async fn inject(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        hands.shape(&self.links, self.shape).await?;
        let seen = self.links.iter().filter_map(|link| Some((*link, hands.traffic(*link)?)));
        self.before = seen.collect();
        self.began = Instant::now();
        Ok(())
    }

    async fn undo(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        self.lasted = self.began.elapsed();
        self.seen = Some(self.look(hands));
        hands.unshape(&self.links, self.shape).await
    }

    fn effect(&self, _hands: &dyn Hands) -> Effect {
        match &self.seen {
            None => Effect::None("nothing was seen".to_string()),
            Some(Err(why)) => Effect::None(why.clone()),
            Some(Ok((slowed, passed))) if slowed.chunks + slowed.ends == 0 => {
                Effect::None(match *passed {
                    0 => "no byte came over any of the links".to_string(),
                    _ => format!("{passed} bytes passed, none of them late"),
                })
            }
            Some(Ok((slowed, _))) => (self.judge)(&self.shape, *slowed, self.lasted),
        }
    }
}
