//! What a partition cuts, listed or drawn by chance: once, or anew for each cut.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use splitbrain_workloads::operation::NodeId;

use crate::network::link::Link;

/// Nodes in an order, groups of nodes or links, written `random`, `redrawn` or as a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drawn<T = NodeId> {
    /// By chance, when the plan is made.
    Random,
    /// By chance, anew for each cut of a partition that flaps.
    Redrawn,
    /// These.
    Listed(Vec<T>),
}

/// What a list may hold.
pub trait Member: Sized + Serialize {
    /// What may be written, for messages.
    const EXPECTED: &'static str;
    /// What stands between two of them in words.
    const BETWEEN: &'static str;

    /// Reads one so that an error stands at its place.
    ///
    /// # Errors
    ///
    /// Those of the deserializer.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;

    /// The same in words.
    fn words(&self) -> String;
}

impl Member for NodeId {
    const EXPECTED: &'static str = "`random`, `redrawn` or a list of nodes such as `[n1, n2]`";
    const BETWEEN: &'static str = "+";

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NodeId, D::Error> {
        crate::scalar::read(deserializer)
    }

    fn words(&self) -> String {
        self.to_string()
    }
}

impl Member for Vec<NodeId> {
    const EXPECTED: &'static str =
        "`random`, `redrawn` or a list of groups such as `[[n1, n2], [n3]]`";
    const BETWEEN: &'static str = " | ";

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<NodeId>, D::Error> {
        let group = Vec::<One<NodeId>>::deserialize(deserializer)?;
        Ok(group.into_iter().map(|One(node)| node).collect())
    }

    fn words(&self) -> String {
        let names: Vec<String> = self.iter().map(NodeId::to_string).collect();
        names.join(NodeId::BETWEEN)
    }
}

impl Member for Link {
    const EXPECTED: &'static str =
        "`random`, `redrawn` or a list of links such as `[n1->n2, client->n3]`";
    const BETWEEN: &'static str = " ";

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Link, D::Error> {
        crate::scalar::read(deserializer)
    }

    fn words(&self) -> String {
        self.to_string()
    }
}

impl<T: Member> fmt::Display for Drawn<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Drawn::Random => f.write_str("random"),
            Drawn::Redrawn => f.write_str("redrawn"),
            Drawn::Listed(members) => {
                let words: Vec<String> = members.iter().map(Member::words).collect();
                f.write_str(&words.join(T::BETWEEN))
            }
        }
    }
}

impl<T: Member> Serialize for Drawn<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Drawn::Random | Drawn::Redrawn => serializer.collect_str(self),
            Drawn::Listed(members) => members.serialize(serializer),
        }
    }
}

impl<'de, T: Member> Deserialize<'de> for Drawn<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DrawnVisitor(PhantomData))
    }
}

struct DrawnVisitor<T>(PhantomData<T>);

impl<'de, T: Member> Visitor<'de> for DrawnVisitor<T> {
    type Value = Drawn<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Drawn<T>, E> {
        match text {
            "random" => Ok(Drawn::Random),
            "redrawn" => Ok(Drawn::Redrawn),
            _ => Err(E::custom(format!("expected {}, got `{text}`", T::EXPECTED))),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Drawn<T>, A::Error> {
        let mut members = Vec::new();
        while let Some(One(member)) = seq.next_element()? {
            members.push(member);
        }
        Ok(Drawn::Listed(members))
    }
}

/// A member of a list.
struct One<T>(T);

impl<'de, T: Member> Deserialize<'de> for One<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(One)
    }
}
