//! Cutting and healing the links of a partition, once or by turns, and the evidence of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use async_trait::async_trait;
use splitbrain_reports::record::Effect;
use splitbrain_reports::units;
use splitbrain_workloads::operation::NodeId;

use super::Flap;
use crate::nemesis::{Action, Hands, InForce};
use crate::network::link::Link;
use crate::network::{Dials, LinkEvidence};

/// Draws the links of the next cut anew.
pub(super) type Redraw = Box<dyn FnMut() -> Vec<Link> + Send>;

/// A partition that was resolved.
pub(super) struct Cutting {
    victims: Vec<NodeId>,
    /// Every link that may be cut.
    links: Vec<Link>,
    /// Those of the cut that is or was in force last.
    cut: Vec<Link>,
    dials: Dials,
    flap: Option<Flap>,
    redraw: Option<Redraw>,
    /// The counters once the cut was in force; `None` while the links are whole.
    begun: Option<BTreeMap<Link, LinkEvidence>>,
    seen: Seen,
}

/// What was seen in all cuts together.
#[derive(Debug, Default)]
struct Seen {
    cuts: u32,
    offered: u64,
    dials: u64,
    turned_away: u64,
    /// What passed while it should not have, by link.
    passed: BTreeMap<Link, u64>,
    /// Links without counters.
    unknown: BTreeSet<Link>,
    /// Links that were cut, and those of them that were offered something.
    cut: BTreeSet<Link>,
    used: BTreeSet<Link>,
}

impl Cutting {
    pub(super) fn new(victims: Vec<NodeId>, links: Vec<Link>, dials: Dials) -> Cutting {
        Cutting {
            victims,
            cut: links.clone(),
            links,
            dials,
            flap: None,
            redraw: None,
            begun: None,
            seen: Seen::default(),
        }
    }

    /// The same, cut and healed by turns; drawn anew for each cut where that is asked.
    pub(super) fn flapping(mut self, flap: Flap, redraw: Option<Redraw>) -> Cutting {
        self.flap = Some(flap);
        self.redraw = redraw;
        self
    }

    async fn cut(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        if let Some(redraw) = &mut self.redraw {
            self.cut = redraw();
        }
        hands.cut(&self.cut, self.dials).await?;
        self.begun = Some(look(hands, &self.cut));
        Ok(())
    }

    /// Heals the links if they are cut, after a look at what the cut came to.
    async fn heal(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        let Some(begun) = self.begun.take() else { return Ok(()) };
        self.seen.add(&self.cut, &begun, &look(hands, &self.cut));
        hands.heal(&self.cut, self.dials).await
    }
}

fn look(hands: &dyn Hands, links: &[Link]) -> BTreeMap<Link, LinkEvidence> {
    links.iter().filter_map(|link| Some((*link, hands.traffic(*link)?))).collect()
}

impl Seen {
    fn add(
        &mut self,
        links: &[Link],
        begun: &BTreeMap<Link, LinkEvidence>,
        ending: &BTreeMap<Link, LinkEvidence>,
    ) {
        self.cuts += 1;
        for link in links {
            self.cut.insert(*link);
            let (Some(first), Some(last)) = (begun.get(link), ending.get(link)) else {
                self.unknown.insert(*link);
                continue;
            };
            let seen = last.since(*first);
            if seen.passed > 0 {
                *self.passed.entry(*link).or_default() += seen.passed;
            }
            if seen.offered_while_cut + seen.dials_held + seen.dials_turned_away > 0 {
                self.used.insert(*link);
            }
            self.offered += seen.offered_while_cut;
            self.dials += seen.dials_held;
            self.turned_away += seen.dials_turned_away;
        }
    }

    /// At least one cut link was offered bytes, and none passed on any of them.
    fn effect(&self, flap: Option<Flap>) -> Effect {
        if let Some(link) = self.unknown.first() {
            return Effect::None(format!("{link} has no counters"));
        }
        if let Some((link, passed)) = self.passed.first_key_value() {
            return Effect::None(format!("{passed} bytes passed on {link}"));
        }
        if self.used.is_empty() {
            return Effect::None("no cut link was offered a byte".to_string());
        }
        if flap.is_some() && self.cuts < 2 {
            return Effect::None("healed before it was cut a second time".to_string());
        }
        let mut text = String::new();
        if flap.is_some() {
            text.push_str(&format!("cut {} times, ", self.cuts));
        }
        text.push_str(&format!("held {}", units::counted(self.offered, "byte")));
        if self.dials > 0 {
            text.push_str(&format!(" and {}", units::counted(self.dials, "new connection")));
        }
        if self.turned_away > 0 {
            let turned_away = units::counted(self.turned_away, "new connection");
            text.push_str(&format!(", turned away {turned_away}"));
        }
        text.push_str(", nothing passed");
        let idle: Vec<String> = self.cut.difference(&self.used).map(Link::to_string).collect();
        if !idle.is_empty() {
            text.push_str(&format!("; nobody tried {}", idle.join(", ")));
        }
        Effect::Seen(text)
    }
}

#[async_trait]
impl Action for Cutting {
    fn victims(&self) -> &[NodeId] {
        &self.victims
    }

    fn links(&self) -> &[Link] {
        &self.links
    }

    async fn inject(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        self.cut(hands).await
    }

    async fn sustain(&mut self, hands: &dyn Hands, force: &mut InForce) -> anyhow::Result<()> {
        let Some(flap) = self.flap else {
            force.end().await;
            return Ok(());
        };
        while force.lasts(flap.cut.duration()).await {
            self.heal(hands).await?;
            if !force.lasts(flap.healed.duration()).await {
                break;
            }
            self.cut(hands).await?;
        }
        Ok(())
    }

    async fn undo(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        self.heal(hands).await
    }

    fn effect(&self, _hands: &dyn Hands) -> Effect {
        self.seen.effect(self.flap)
    }
}

impl fmt::Debug for Cutting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cutting { victims, links, flap, .. } = self;
        write!(f, "Cutting {{ victims: {victims:?}, links: {links:?}, flap: {flap:?} }}")
    }
}
