//! Nodes that are listed, or drawn by chance: once, or anew for each cut.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use splitbrain_workloads::operation::NodeId;

/// Some nodes in an order, written `random`, `redrawn` or as a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drawn {
    /// By chance, when the plan is made.
    Random,
    /// By chance, anew for each cut of a partition that flaps.
    Redrawn,
    /// These.
    Listed(Vec<NodeId>),
}

const EXPECTED: &str = "`random`, `redrawn` or a list of nodes such as `[n1, n2]`";

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Drawn::Random => f.write_str("random"),
            Drawn::Redrawn => f.write_str("redrawn"),
            Drawn::Listed(nodes) => {
                let names: Vec<String> = nodes.iter().map(NodeId::to_string).collect();
                f.write_str(&names.join("+"))
            }
        }
    }
}

impl Serialize for Drawn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Drawn::Random | Drawn::Redrawn => serializer.collect_str(self),
            Drawn::Listed(nodes) => nodes.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Drawn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DrawnVisitor)
    }
}

struct DrawnVisitor;

impl<'de> Visitor<'de> for DrawnVisitor {
    type Value = Drawn;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Drawn, E> {
        match text {
            "random" => Ok(Drawn::Random),
            "redrawn" => Ok(Drawn::Redrawn),
            _ => Err(E::custom(format!("expected {EXPECTED}, got `{text}`"))),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Drawn, A::Error> {
        let mut nodes = Vec::new();
        while let Some(Member(node)) = seq.next_element()? {
            nodes.push(node);
        }
        Ok(Drawn::Listed(nodes))
    }
}

/// A node of a list, read so that an error stands at its name.
struct Member(NodeId);

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::scalar::read(deserializer).map(Member)
    }
}
