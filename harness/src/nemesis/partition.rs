//! The `partition` fault: links that hold their bytes for a while.
//!
//! Whatever its form, a partition comes down to a list of directed links. Bytes are held, never
//! dropped: a TCP stream that lost bytes and went on would be corrupt, not cut.

use std::collections::BTreeSet;
use std::fmt;

use rand::seq::SliceRandom;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;

use super::selector::unknown_node;
use super::{Action, Fault, Problem, Selector, Skip, View};
use crate::network::link::Link;

/// Parameters of a `partition`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Keys", into = "Keys")]
pub struct Partition {
    /// Who is cut off from whom.
    pub form: PartitionForm,
    /// Whether the victims' clients are cut off from them too.
    pub scope: Scope,
}

/// Who is cut off from whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionForm {
    /// Each of these nodes from every other node.
    Isolate(Selector),
    /// Some nodes from all the others.
    Halves(Halves),
    /// A minority of the nodes from the majority, with the leader on this side.
    LeaderSide(Side),
    /// What a node sends, or what it is sent.
    OneWay(OneWay),
}

/// How the nodes are split in two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halves {
    /// Half of the nodes by chance, the smaller half for an odd number; drawn when the plan is
    /// made.
    Random,
    /// These nodes on one side.
    Side(Vec<NodeId>),
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
}

impl Fault for Partition {
    const KIND: &'static str = "partition";
    const SUMMARY: &'static str = "hold the bytes of links: isolate, halves, leader-side, one-way";
    const EXPLAIN: &'static str = "\
partition: { isolate: leader, at: 2s, for: 3s }
partition: { halves: random, every: 5s, for: 2s }
partition: { leader-side: minority, scope: peers+clients, at: 2s, for: 3s }
partition: { one-way: { node: leader, direction: outbound }, at: 2s, for: 3s }

isolate      cuts each of the nodes meant off from every other node.
halves       splits the nodes in two: `random`, or the nodes of one side.
leader-side  splits them into minority and majority, the leader on that side.
one-way      cuts what a node sends (outbound) or what it is sent (inbound).
scope        `peers` (the default) cuts links between nodes; `peers+clients`
             also those between the victims and their clients. The victims are
             the nodes meant, the side named, or the minority.

Bytes on a cut link are held by the harness's proxy, above TCP: the kernel still
acknowledges them. They arrive late after the heal, or die with the connection.

Effect    at least one cut link was offered bytes, and none passed on any.
Heal      the links flow again; what was held is delivered in order.
Expect    the side without a majority stops serving; a store that lets it go on
          acknowledges writes that are lost at the heal.";

    fn shape(&self) -> String {
        let form = match &self.form {
            PartitionForm::Isolate(node) => format!("{node} alone"),
            PartitionForm::Halves(Halves::Random) => "random halves".to_string(),
            PartitionForm::Halves(Halves::Side(side)) => {
                let names: Vec<String> = side.iter().map(NodeId::to_string).collect();
                format!("{} from the rest", names.join("+"))
            }
            PartitionForm::LeaderSide(Side::Minority) => "leader in a minority".to_string(),
            PartitionForm::LeaderSide(Side::Majority) => "leader in the majority".to_string(),
            PartitionForm::OneWay(OneWay { node, direction }) => format!("{node} {direction}"),
        };
        match self.scope {
            Scope::Peers => form,
            Scope::PeersAndClients => format!("{form}, clients too"),
        }
    }

    fn victim_serves(&self) -> bool {
        self.scope == Scope::Peers
    }

    fn problems(&self, nodes: u16) -> Vec<Problem> {
        let mut problems = match &self.form {
            PartitionForm::Isolate(node) => node.problems(nodes, &["isolate"]),
            PartitionForm::OneWay(one_way) => one_way.node.problems(nodes, &["one-way", "node"]),
            PartitionForm::LeaderSide(_) => Vec::new(),
            PartitionForm::Halves(Halves::Random) => Vec::new(),
            PartitionForm::Halves(Halves::Side(side)) => side_problems(side, nodes),
        };
        let needed = if matches!(self.form, PartitionForm::LeaderSide(_)) { 3 } else { 2 };
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
        problems
    }

    fn draw(&self, nodes: u16, rng: &mut Stream) -> Self {
        let form = match &self.form {
            PartitionForm::Isolate(node) => PartitionForm::Isolate(node.draw(nodes, rng)),
            PartitionForm::Halves(Halves::Random) => {
                let all: Vec<NodeId> = NodeId::first(nodes).collect();
                let half = all.len() / 2;
                PartitionForm::Halves(Halves::Side(some_of(all, half, rng)))
            }
            PartitionForm::OneWay(OneWay { node, direction }) => {
                PartitionForm::OneWay(OneWay { node: node.draw(nodes, rng), direction: *direction })
            }
            drawn @ (PartitionForm::Halves(Halves::Side(_)) | PartitionForm::LeaderSide(_)) => {
                drawn.clone()
            }
        };
        Partition { form, scope: self.scope }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Action, Skip> {
        let (outbound, inbound) = match &self.form {
            PartitionForm::OneWay(OneWay { direction: Direction::Outbound, .. }) => (true, false),
            PartitionForm::OneWay(OneWay { direction: Direction::Inbound, .. }) => (false, true),
            _ => (true, true),
        };
        let mut victims = self.victims(view, rng)?;
        victims.sort();
        // Nodes that are isolated one by one are cut off from each other; a side is not.
        let stays_together =
            matches!(self.form, PartitionForm::Halves(_) | PartitionForm::LeaderSide(_));
        let mut links = BTreeSet::new();
        for victim in &victims {
            for other in &view.nodes {
                if other == victim || (stays_together && victims.contains(other)) {
                    continue;
                }
                links.extend(outbound.then(|| Link::peers(*victim, *other)));
                links.extend(inbound.then(|| Link::peers(*other, *victim)));
            }
            if self.scope == Scope::PeersAndClients {
                links.extend(outbound.then(|| Link::to_clients(*victim)));
                links.extend(inbound.then(|| Link::to_node(*victim)));
            }
        }
        Ok(Action::Cut { links: links.into_iter().collect(), victims })
    }
}

impl Partition {
    fn victims(&self, view: &View, rng: &mut Stream) -> Result<Vec<NodeId>, Skip> {
        match &self.form {
            PartitionForm::Isolate(node) | PartitionForm::OneWay(OneWay { node, .. }) => {
                node.pick(view, rng)
            }
            PartitionForm::Halves(Halves::Side(side)) => {
                side.iter().map(|node| view.free(*node)).collect()
            }
            PartitionForm::Halves(Halves::Random) => {
                let half = view.nodes.len() / 2;
                some_free(view.nodes.clone(), half, view, rng)
            }
            PartitionForm::LeaderSide(side) => {
                // The largest minority; for two nodes it is empty, which `problems` refuses.
                let minority = view.nodes.len().saturating_sub(1) / 2;
                let leader = view.free_leader()?;
                let others: Vec<NodeId> =
                    view.nodes.iter().copied().filter(|node| *node != leader).collect();
                match side {
                    Side::Majority => some_free(others, minority, view, rng),
                    Side::Minority => {
                        let mut side = some_free(others, minority.saturating_sub(1), view, rng)?;
                        side.push(leader);
                        Ok(side)
                    }
                }
            }
        }
    }
}

/// So many of the nodes that are under no fault.
fn some_free(
    nodes: Vec<NodeId>,
    count: usize,
    view: &View,
    rng: &mut Stream,
) -> Result<Vec<NodeId>, Skip> {
    let free: Vec<NodeId> = nodes.into_iter().filter(|node| view.free(*node).is_ok()).collect();
    if free.len() < count {
        return Err(Skip::now(format!("fewer than {count} candidates are under no other fault")));
    }
    Ok(some_of(free, count, rng))
}

/// So many of the nodes, by chance, sorted.
fn some_of(mut nodes: Vec<NodeId>, count: usize, rng: &mut Stream) -> Vec<NodeId> {
    nodes.shuffle(rng);
    nodes.truncate(count);
    nodes.sort();
    nodes
}

fn side_problems(side: &[NodeId], nodes: u16) -> Vec<Problem> {
    let mut problems: Vec<Problem> =
        side.iter().flat_map(|node| unknown_node(*node, nodes, &["halves"])).collect();
    let distinct: BTreeSet<&NodeId> = side.iter().collect();
    let message = if distinct.len() < side.len() {
        "a node is named twice on one side"
    } else if side.is_empty() {
        "one side of the split is empty"
    } else if problems.is_empty() && side.len() >= usize::from(nodes) {
        "every node is on one side, which cuts nothing"
    } else {
        return problems;
    };
    problems.push(Problem {
        keys: vec!["halves"],
        message: message.to_string(),
        help: Some("name the nodes of one side, such as `[n1, n2]`, or write `random`".to_string()),
    });
    problems
}

/// The parameters as they are written: the form is the one key that is given.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    isolate: Option<Selector>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    halves: Option<Halves>,
    #[serde(default, rename = "leader-side", skip_serializing_if = "Option::is_none")]
    leader_side: Option<Side>,
    #[serde(default, rename = "one-way", skip_serializing_if = "Option::is_none")]
    one_way: Option<OneWay>,
    #[serde(default)]
    scope: Scope,
}

impl TryFrom<Keys> for Partition {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let scope = keys.scope;
        let forms = [
            keys.isolate.map(PartitionForm::Isolate),
            keys.halves.map(PartitionForm::Halves),
            keys.leader_side.map(PartitionForm::LeaderSide),
            keys.one_way.map(PartitionForm::OneWay),
        ];
        let mut given = forms.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(form), None) => Ok(Partition { form, scope }),
            (first, _) => Err(format!(
                "expected exactly one of `isolate`, `halves`, `leader-side`, `one-way`, got {}",
                if first.is_none() { "none" } else { "several" }
            )),
        }
    }
}

impl From<Partition> for Keys {
    fn from(partition: Partition) -> Keys {
        let mut keys = Keys {
            isolate: None,
            halves: None,
            leader_side: None,
            one_way: None,
            scope: partition.scope,
        };
        match partition.form {
            PartitionForm::Isolate(node) => keys.isolate = Some(node),
            PartitionForm::Halves(halves) => keys.halves = Some(halves),
            PartitionForm::LeaderSide(side) => keys.leader_side = Some(side),
            PartitionForm::OneWay(one_way) => keys.one_way = Some(one_way),
        }
        keys
    }
}

impl Serialize for Halves {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Halves::Random => serializer.serialize_str("random"),
            Halves::Side(side) => side.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Halves {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HalvesVisitor)
    }
}

struct HalvesVisitor;

impl<'de> Visitor<'de> for HalvesVisitor {
    type Value = Halves;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`random` or the nodes of one side, such as `[n1, n2]`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Halves, E> {
        match text {
            "random" => Ok(Halves::Random),
            _ => Err(E::custom(format!(
                "expected `random` or the nodes of one side, such as `[n1, n2]`, got `{text}`"
            ))),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Halves, A::Error> {
        let mut side = Vec::new();
        while let Some(Member(node)) = seq.next_element()? {
            side.push(node);
        }
        Ok(Halves::Side(side))
    }
}

/// A node of a side, read so that an error stands at its name.
struct Member(NodeId);

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::scalar::read(deserializer).map(Member)
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
