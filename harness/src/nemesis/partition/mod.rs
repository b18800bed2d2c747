//! The `partition` fault: links that hold their bytes for a while.
//!
//! Whatever its form, a partition comes down to a list of directed links. Bytes are held, never
//! dropped: a TCP stream that lost bytes and went on would be corrupt, not cut.

mod chance;
mod cutting;
mod drawn;
mod keys;
mod listed;
mod shape;

use std::fmt;

use rand_xoshiro::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use splitbrain_reports::record::OnLinks;
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;

use self::chance::{all_but_the_largest, ends_of, half_of, random_groups, random_links, shuffled};
use self::cutting::{Cutting, Redraw};
use self::keys::Keys;
use self::listed::{group_problems, link_problems, ring_problems, side_problems};
use self::shape::Shape;
use super::selector::{minority, some_free};
use super::{Action, Fault, Problem, Selector, Skip, View};
use crate::network::Dials;
use crate::network::link::{Link, Party};
use crate::suite::units::Time;

pub use self::drawn::Drawn;
pub(super) use self::shape::links_of;

/// Parameters of a `partition`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Keys", into = "Keys")]
pub struct Partition {
    /// Who is cut off from whom.
    pub form: PartitionForm,
    /// Which direction is cut, as the victims see it; both where it is not said.
    pub direction: Option<Direction>,
    /// Whether the victims' clients are cut off from them.
    pub scope: Scope,
    /// What becomes of new connections over a cut link.
    pub dials: Dials,
    /// Whether it is cut and healed by turns.
    pub flap: Option<Flap>,
}

/// Who is cut off from whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionForm {
    /// Each of these nodes from every other node.
    Isolate(Selector),
    /// Some nodes from all the others.
    Halves(Drawn),
    /// Groups of nodes from each other.
    Groups(Drawn<Vec<NodeId>>),
    /// These links and no others.
    Links(Drawn<Link>),
    /// A minority of the nodes from the majority, with the leader on this side.
    LeaderSide(Side),
    /// Every node hears a majority, and no two hear the same one; the nodes in a ring.
    MajoritiesRing(Drawn),
    /// The other nodes are split in two, and this one reaches both sides.
    Bridge(Selector),
    /// What a node sends, or what it is sent.
    OneWay(OneWay),
}

/// A side of an uneven split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The side with fewer than half of the nodes.
    Minority,
    /// The side with more than half of the nodes.
    Majority,
}

/// A cut of one direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneWay {
    /// Whose links.
    pub node: Selector,
    /// Which of them.
    pub direction: Direction,
}

/// A direction, as the node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// What the node sends: it hears but is not heard.
    Outbound,
    /// What the node is sent: it is heard but does not hear.
    Inbound,
}

/// How far a partition reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Links between nodes. Clients still reach the victims, and may be told lies.
    #[default]
    #[serde(rename = "peers")]
    Peers,
    /// Links between nodes, and those between the victims and their clients.
    #[serde(rename = "peers+clients")]
    PeersAndClients,
    /// Links between the victims and their clients alone.
    #[serde(rename = "clients")]
    Clients,
}

impl Scope {
    pub(super) fn has_peers(self) -> bool {
        self != Scope::Clients
    }

    pub(super) fn has_clients(self) -> bool {
        self != Scope::Peers
    }

    /// For the end of a shape in words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Scope::Peers => "",
            Scope::PeersAndClients => ", clients too",
            Scope::Clients => ", clients only",
        }
    }
}

/// A partition that comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flap {
    /// How long it is cut each time.
    pub cut: Time,
    /// How long it is whole each time.
    pub healed: Time,
}

/// The shortest turn of a flap: many times what a byte takes from end to end.
const TURN_MIN: Time = Time::from_millis(10);

impl Fault for Partition {
    const KIND: &'static str = "partition";
    const SUMMARY: &'static str =
        "hold the bytes of links: isolate, halves, majorities-ring, bridge, ...";
    const EXPLAIN: &'static str = "\
partition: { isolate: leader, at: 2s, for: 3s }
partition: { halves: random, every: 5s, for: 2s }
partition: { leader-side: minority, scope: peers+clients, at: 2s, for: 3s }
partition: { one-way: { node: leader, direction: outbound }, at: 2s, for: 3s }
partition: { majorities-ring: random, at: 2s, for: 3s }
partition: { bridge: follower, at: 2s, for: 3s }
partition: { halves: redrawn, flap: { cut: 1s, healed: 1s }, at: 2s, for: 5s }
partition: { groups: [[n1, n2], [n3]], at: 2s, for: 3s }
partition: { links: random, at: 2s, for: 3s }
partition: { links: [n1->n2, client->n3], at: 2s, for: 3s }

isolate      cuts each of the nodes meant off from every other node.
halves       splits the nodes in two: `random`, `redrawn` for each cut of a
             flap, or the nodes of one side.
groups       splits them in groups that do not reach each other: `random` (two
             or more), `redrawn`, or every group as a list.
links        cuts these links and no others, each in its one direction: `random`
             (each between two nodes, even odds, at least one), `redrawn`, or a
             list, in which `client` stands for all clients.
leader-side  splits them into minority and majority, the leader on that side.
majorities-ring   every node hears a majority, no two the same; the ring is
             `random`, `redrawn` for each cut of a flap, or a list of all nodes.
bridge       splits the others in two, and this node reaches both sides.
one-way      cuts what a node sends (outbound) or what it is sent (inbound).
direction    `outbound` or `inbound`, as the victims see it: half of a cut, for
             every form but `majorities-ring` and `one-way`, which have theirs.
scope        `peers` (the default) cuts links between nodes; `peers+clients`
             also those between the victims and their clients, `clients` those
             alone. The victims are the nodes meant, the side named, the
             minority, the smaller side of a bridge, all groups but the largest,
             or the nodes of the links listed.
dials        `hold` (the default) lets a new connection wait, accepted and
             silent; `refuse` resets it at once.
flap         cut and healed by turns, each of at least 10 ms.

Bytes on a cut link are held by the harness's proxy, above TCP: the kernel still
acknowledges them. They arrive late after the heal, or die with the connection.

Effect    at least one cut link was offered bytes, and none passed on any; with
          a flap, in every cut, of which there were two at least.
Heal      the links flow again; what was held is delivered in order.
Expect    the side without a majority stops serving; a store that lets it go on
          acknowledges writes that are lost at the heal.";

    fn shape(&self) -> String {
        let mut text = match &self.form {
            PartitionForm::Isolate(node) => format!("{node} alone"),
            PartitionForm::Halves(Drawn::Listed(side)) => {
                format!("{} from the rest", Drawn::Listed(side.clone()))
            }
            PartitionForm::Halves(drawn) => format!("{drawn} halves"),
            PartitionForm::Groups(Drawn::Listed(groups)) => {
                format!("groups {}", Drawn::Listed(groups.clone()))
            }
            PartitionForm::Groups(drawn) => format!("{drawn} groups"),
            PartitionForm::Links(Drawn::Listed(links)) => {
                format!("links {}", Drawn::Listed(links.clone()))
            }
            PartitionForm::Links(drawn) => format!("{drawn} links"),
            PartitionForm::LeaderSide(Side::Minority) => "leader in a minority".to_string(),
            PartitionForm::LeaderSide(Side::Majority) => "leader in the majority".to_string(),
            PartitionForm::MajoritiesRing(ring) => format!("majorities ring {ring}"),
            PartitionForm::Bridge(node) => format!("{node} as a bridge"),
            PartitionForm::OneWay(OneWay { node, direction }) => format!("{node} {direction}"),
        };
        if let Some(direction) = self.direction {
            text.push_str(&format!(", {direction}"));
        }
        text.push_str(self.scope.words());
        if self.dials == Dials::Refuse {
            text.push_str(", dials refused");
        }
        if let Some(Flap { cut, healed }) = self.flap {
            text.push_str(&format!(", cut {cut} of {}", cut.plus(healed)));
        }
        text
    }

    fn form(&self) -> &'static str {
        match self.form {
            PartitionForm::Isolate(_) => "isolate",
            PartitionForm::Halves(_) => "halves",
            PartitionForm::Groups(_) => "groups",
            PartitionForm::Links(_) => "links",
            PartitionForm::LeaderSide(_) => "leader-side",
            PartitionForm::MajoritiesRing(_) => "majorities-ring",
            PartitionForm::Bridge(_) => "bridge",
            PartitionForm::OneWay(_) => "one-way",
        }
    }

    fn on_links(&self) -> OnLinks {
        if self.flap.is_some() { OnLinks::CutByTurns } else { OnLinks::Cut }
    }

    fn aimed_at(&self) -> Option<Selector> {
        match &self.form {
            PartitionForm::Isolate(node) => Some(*node),
            PartitionForm::OneWay(one_way) => Some(one_way.node),
            PartitionForm::Halves(_)
            | PartitionForm::Groups(_)
            | PartitionForm::Links(_)
            | PartitionForm::LeaderSide(_)
            | PartitionForm::MajoritiesRing(_)
            | PartitionForm::Bridge(_) => None,
        }
    }

    fn victim_serves(&self) -> bool {
        !self.scope.has_clients()
    }

    fn shortest(&self, _nodes: u16) -> Time {
        // A flap counts from its second cut on.
        self.flap.map_or(Time::ZERO, |flap| flap.cut.plus(flap.healed).plus(flap.cut))
    }

    fn problems(&self, nodes: u16) -> Vec<Problem> {
        let mut problems = self.form.problems(nodes);
        let needed = self.form.nodes_needed();
        if nodes < needed {
            problems.push(Problem {
                keys: Vec::new(),
                message: format!(
                    "a partition of this form needs at least {needed} nodes, the cluster has \
                     {nodes}"
                ),
                help: Some("raise `nodes` of the target, or use `kill` or `pause`".to_string()),
            });
        }
        problems.extend(self.contradictions());
        problems
    }

    fn draw(&self, nodes: u16, rng: &mut Stream) -> Self {
        let all: Vec<NodeId> = NodeId::first(nodes).collect();
        let form = match &self.form {
            PartitionForm::Isolate(node) => PartitionForm::Isolate(node.draw(nodes, rng)),
            PartitionForm::Bridge(node) => PartitionForm::Bridge(node.draw(nodes, rng)),
            PartitionForm::Halves(Drawn::Random) => {
                PartitionForm::Halves(Drawn::Listed(half_of(all, rng)))
            }
            PartitionForm::Groups(Drawn::Random) => {
                PartitionForm::Groups(Drawn::Listed(random_groups(all, rng)))
            }
            PartitionForm::Links(Drawn::Random) => {
                PartitionForm::Links(Drawn::Listed(random_links(&all, rng)))
            }
            PartitionForm::MajoritiesRing(Drawn::Random) => {
                PartitionForm::MajoritiesRing(Drawn::Listed(shuffled(all, rng)))
            }
            PartitionForm::OneWay(OneWay { node, direction }) => {
                PartitionForm::OneWay(OneWay { node: node.draw(nodes, rng), direction: *direction })
            }
            drawn => drawn.clone(),
        };
        Partition { form, ..self.clone() }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
        let direction = match &self.form {
            PartitionForm::OneWay(OneWay { direction, .. }) => Some(*direction),
            _ => self.direction,
        };
        let redrawn = self.form.redrawn().is_some();
        let cutting = match (redrawn, self.flap) {
            (true, Some(_)) => {
                // Whatever is drawn, nobody knows beforehand whom it hits: all are victims.
                let victims: Vec<NodeId> =
                    view.nodes.iter().map(|node| view.free(*node)).collect::<Result<_, _>>()?;
                let every = Shape::Apart.links(&view.nodes, &victims, None, self.scope);
                Cutting::new(victims, every, self.dials)
            }
            _ => {
                let (mut victims, shape) = self.form.shape(view, rng)?;
                victims.sort();
                let links = shape.links(&view.nodes, &victims, direction, self.scope);
                Cutting::new(victims, links, self.dials)
            }
        };
        Ok(Box::new(match self.flap {
            None => cutting,
            Some(flap) => cutting.flapping(flap, self.redraw(view, rng)),
        }))
    }
}

impl Partition {
    /// Whether who is cut off depends on who leads, though no selector says it all.
    pub(super) fn needs_the_leader(&self) -> bool {
        matches!(self.form, PartitionForm::LeaderSide(_) | PartitionForm::Bridge(Selector::Leader))
    }

    /// Draws the links of each cut anew, where that is asked.
    fn redraw(&self, view: &View, rng: &mut Stream) -> Option<Redraw> {
        self.form.redrawn()?;
        let mut rng = Stream::seed_from_u64(rng.next_u64());
        let (nodes, direction, scope) = (view.nodes.clone(), self.direction, self.scope);
        let form = self.form.clone();
        Some(Box::new(move || match form {
            PartitionForm::MajoritiesRing(_) => {
                let shape = Shape::Ring(shuffled(nodes.clone(), &mut rng));
                shape.links(&nodes, &nodes, None, scope)
            }
            PartitionForm::Groups(_) => {
                let groups = random_groups(nodes.clone(), &mut rng);
                let victims = all_but_the_largest(&groups);
                Shape::Groups(groups).links(&nodes, &victims, direction, scope)
            }
            PartitionForm::Links(_) => random_links(&nodes, &mut rng),
            _ => {
                let side = half_of(nodes.clone(), &mut rng);
                Shape::Split.links(&nodes, &side, direction, scope)
            }
        }))
    }

    /// Keys that exclude each other.
    fn contradictions(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |keys: &[&'static str], message: &str, help: &str| {
            let (keys, message, help) = (keys.to_vec(), message.to_string(), help.to_string());
            problems.push(Problem { keys, message, help: Some(help) });
        };
        let ring = matches!(self.form, PartitionForm::MajoritiesRing(_));
        let one_way = matches!(self.form, PartitionForm::OneWay(_));
        if self.direction.is_some() && ring {
            let why = "a majorities ring already cuts single directions";
            add(&["direction"], why, "leave `direction` out");
        }
        if self.direction.is_some() && one_way {
            let why = "a one-way cut already has a direction";
            add(&["direction"], why, "leave it out, or use `isolate` with `direction`");
        }
        let links = matches!(self.form, PartitionForm::Links(_));
        if links && self.direction.is_some() {
            add(&["direction"], "links have a direction each", "leave `direction` out");
        }
        if links && self.scope != Scope::Peers {
            let why = "links are named one by one, and those of clients are too";
            add(&["scope"], why, "leave `scope` out, and list such as `client->n1`");
        }
        if ring && self.scope.has_clients() {
            let why = "a majorities ring has no victims whose clients could be cut off";
            add(&["scope"], why, "leave `scope` out");
        }
        let redrawn = self.form.redrawn();
        if let (Some(key), None) = (redrawn, self.flap) {
            let why = "`redrawn` draws anew for each cut, and there is only one";
            add(&[key], why, "add `flap: { cut: 300ms, healed: 200ms }`, or write `random`");
        }
        for (key, turn) in self.flap.iter().flat_map(|f| [("cut", f.cut), ("healed", f.healed)]) {
            if turn < TURN_MIN {
                let why = format!("a turn of {turn} is too short: expected {TURN_MIN} or more");
                add(&["flap", key], &why, "a byte must be able to run into it");
            }
        }
        problems
    }
}

impl PartitionForm {
    /// The key of a form that is drawn anew for each cut.
    fn redrawn(&self) -> Option<&'static str> {
        match self {
            PartitionForm::Halves(Drawn::Redrawn) => Some("halves"),
            PartitionForm::Groups(Drawn::Redrawn) => Some("groups"),
            PartitionForm::Links(Drawn::Redrawn) => Some("links"),
            PartitionForm::MajoritiesRing(Drawn::Redrawn) => Some("majorities-ring"),
            _ => None,
        }
    }

    fn nodes_needed(&self) -> u16 {
        match self {
            PartitionForm::LeaderSide(_)
            | PartitionForm::MajoritiesRing(_)
            | PartitionForm::Bridge(_) => 3,
            PartitionForm::Isolate(_)
            | PartitionForm::Halves(_)
            | PartitionForm::Groups(_)
            | PartitionForm::OneWay(_) => 2,
            PartitionForm::Links(Drawn::Listed(links)) => {
                // A cut between a node and its clients needs no other node.
                let peers = |link: &Link| link.from != Party::Clients && link.to != Party::Clients;
                if links.iter().any(peers) { 2 } else { 1 }
            }
            PartitionForm::Links(_) => 2,
        }
    }

    fn problems(&self, nodes: u16) -> Vec<Problem> {
        match self {
            PartitionForm::Isolate(node) => node.problems(nodes, &["isolate"]),
            PartitionForm::OneWay(one_way) => one_way.node.problems(nodes, &["one-way", "node"]),
            PartitionForm::Bridge(node) if node.is_many() => vec![Problem {
                keys: vec!["bridge"],
                message: format!("`{node}` may be several nodes, and one is the bridge"),
                help: Some("name one node or `leader`, `follower`, `random`".to_string()),
            }],
            PartitionForm::Bridge(node) => node.problems(nodes, &["bridge"]),
            PartitionForm::Halves(Drawn::Listed(side)) => side_problems(side, nodes),
            PartitionForm::Groups(Drawn::Listed(groups)) => group_problems(groups, nodes),
            PartitionForm::Links(Drawn::Listed(links)) => link_problems(links, nodes),
            PartitionForm::MajoritiesRing(Drawn::Listed(ring)) => ring_problems(ring, nodes),
            PartitionForm::LeaderSide(_)
            | PartitionForm::Halves(_)
            | PartitionForm::Groups(_)
            | PartitionForm::Links(_)
            | PartitionForm::MajoritiesRing(_) => Vec::new(),
        }
    }

    /// The victims, and who is cut off from whom.
    fn shape(&self, view: &View, rng: &mut Stream) -> Result<(Vec<NodeId>, Shape), Skip> {
        let nodes = view.nodes.len();
        let without = |one: NodeId| -> Vec<NodeId> {
            view.nodes.iter().copied().filter(|node| *node != one).collect()
        };
        Ok(match self {
            PartitionForm::Isolate(node) | PartitionForm::OneWay(OneWay { node, .. }) => {
                (node.pick(view, rng)?, Shape::Apart)
            }
            PartitionForm::Halves(Drawn::Listed(side)) => {
                let side = side.iter().map(|node| view.free(*node)).collect::<Result<_, _>>()?;
                (side, Shape::Split)
            }
            PartitionForm::Halves(_) => {
                (some_free(&view.nodes, nodes / 2, view, rng)?, Shape::Split)
            }
            PartitionForm::Groups(drawn) => {
                let groups = match drawn {
                    Drawn::Listed(groups) => groups.clone(),
                    Drawn::Random | Drawn::Redrawn => random_groups(view.nodes.clone(), rng),
                };
                let victims = all_but_the_largest(&groups);
                let victims =
                    victims.iter().map(|node| view.free(*node)).collect::<Result<_, _>>()?;
                (victims, Shape::Groups(groups))
            }
            PartitionForm::Links(drawn) => {
                let links = match drawn {
                    Drawn::Listed(links) => links.clone(),
                    Drawn::Random | Drawn::Redrawn => random_links(&view.nodes, rng),
                };
                let victims =
                    ends_of(&links).map(|node| view.free(node)).collect::<Result<_, _>>()?;
                (victims, Shape::Links(links))
            }
            PartitionForm::LeaderSide(side) => {
                let leader = view.free_leader()?;
                let others = without(leader);
                // The largest minority; for two nodes it is empty, which `problems` refuses.
                let victims = match side {
                    Side::Majority => some_free(&others, minority(nodes), view, rng)?,
                    Side::Minority => {
                        let fellows = minority(nodes).saturating_sub(1);
                        let mut side = some_free(&others, fellows, view, rng)?;
                        side.push(leader);
                        side
                    }
                };
                (victims, Shape::Split)
            }
            PartitionForm::MajoritiesRing(drawn) => {
                let all: Vec<NodeId> =
                    view.nodes.iter().map(|node| view.free(*node)).collect::<Result<_, _>>()?;
                let ring = match drawn {
                    Drawn::Listed(ring) => ring.clone(),
                    Drawn::Random | Drawn::Redrawn => shuffled(all.clone(), rng),
                };
                (all, Shape::Ring(ring))
            }
            PartitionForm::Bridge(node) => {
                let bridge =
                    *node.pick(view, rng)?.first().ok_or_else(|| Skip::wait("nobody bridges"))?;
                (some_free(&without(bridge), minority(nodes), view, rng)?, Shape::Bridge(bridge))
            }
        })
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Direction::Outbound => "outbound",
            Direction::Inbound => "inbound",
        })
    }
}
