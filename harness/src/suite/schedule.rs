//! When a fault begins and ends: times, repetitions and bounded conditions. These keys stand beside
//! a fault's own parameters in one map.

use std::fmt;

use serde::de::MapAccess;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize};
use splitbrain_workloads::operation::NodeId;

use super::units::Time;
use crate::scalar;

/// The schedule of a fault as a suite writes it. `validate` makes sure that it has a beginning and
/// an end; the plan turns it into a [`Start`](super::plan::Start) and an
/// [`End`](super::plan::End).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Time from the start of the load; with `every` of the first repetition, with `when` the
    /// earliest.
    pub at: Option<Time>,
    /// Time from one beginning to the next.
    pub every: Option<Time>,
    /// Up to so much is added to each beginning of `every`, by chance.
    pub jitter: Option<Time>,
    /// How long it is in force.
    pub lasts: Option<Time>,
    /// What must hold before it begins.
    pub when: Option<Condition>,
    /// What must hold before it ends.
    pub until: Option<Condition>,
    /// The longest wait for `when`, and the longest time in force for `until`.
    pub at_most: Option<Time>,
    /// Time from the start of the load at which its heal begins at the latest, and after which it
    /// does not begin.
    pub before: Option<Time>,
    /// In a mix: how likely it is, beside the others.
    pub weight: Option<u32>,
    /// What must be left untouched, or the fault is skipped.
    pub keep: Option<Keep>,
    /// Whom it goes after while it is in force.
    pub follow: Option<Follow>,
    /// Whom it hits at its time when nobody who plays its role can be hit.
    pub otherwise: Option<NodeId>,
    /// Whether chance drew it from a mix, so that nothing is missing where it cannot begin.
    pub drawn: bool,
}

/// What a fault must leave untouched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// More than half of the nodes, all faults together.
    Majority,
}

/// Whom a fault goes after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Follow {
    /// Whoever leads: when another node does, the fault is healed and aimed anew.
    Leader,
}

impl Schedule {
    /// The keys that are the schedule's, whatever the fault.
    pub const KEYS: [&'static str; 13] = [
        "at",
        "every",
        "jitter",
        "for",
        "when",
        "until",
        "at_most",
        "before",
        "weight",
        "keep",
        "follow",
        "otherwise",
        "drawn",
    ];

    /// Reads the value of one of [`Schedule::KEYS`].
    pub(super) fn read<'de, A: MapAccess<'de>>(
        &mut self,
        key: &'static str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        match key {
            "at" => self.at = Some(map.next_value()?),
            "every" => self.every = Some(map.next_value()?),
            "jitter" => self.jitter = Some(map.next_value()?),
            "for" => self.lasts = Some(map.next_value()?),
            "when" => self.when = Some(map.next_value()?),
            "until" => self.until = Some(map.next_value()?),
            "before" => self.before = Some(map.next_value()?),
            "weight" => self.weight = Some(map.next_value()?),
            "keep" => self.keep = Some(map.next_value()?),
            "follow" => self.follow = Some(map.next_value()?),
            "otherwise" => self.otherwise = Some(map.next_value::<Named>()?.0),
            "drawn" => self.drawn = map.next_value()?,
            _ => self.at_most = Some(map.next_value()?),
        }
        Ok(())
    }

    /// Writes the keys that are set.
    pub(super) fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        fn entry<M: SerializeMap, T: Serialize>(
            map: &mut M,
            key: &str,
            value: &Option<T>,
        ) -> Result<(), M::Error> {
            value.as_ref().map_or(Ok(()), |value| map.serialize_entry(key, value))
        }
        entry(map, "at", &self.at)?;
        entry(map, "every", &self.every)?;
        entry(map, "jitter", &self.jitter)?;
        entry(map, "when", &self.when)?;
        entry(map, "for", &self.lasts)?;
        entry(map, "until", &self.until)?;
        entry(map, "at_most", &self.at_most)?;
        entry(map, "before", &self.before)?;
        entry(map, "weight", &self.weight)?;
        entry(map, "keep", &self.keep)?;
        entry(map, "follow", &self.follow)?;
        entry(map, "otherwise", &self.otherwise)?;
        entry(map, "drawn", &self.drawn.then_some(true))
    }
}

/// A node by name.
#[derive(Deserialize)]
struct Named(#[serde(deserialize_with = "scalar::read")] NodeId);

/// Something to wait for; everything that is given must hold at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// This node leads.
    #[serde(
        default,
        deserialize_with = "scalar::read_some",
        skip_serializing_if = "Option::is_none"
    )]
    pub leader_is: Option<NodeId>,
    /// So many writes were acknowledged: for `when` since the load began, for `until` since the
    /// fault is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<u64>,
    /// So many writes were acknowledged by the victims since the fault is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_by_victim: Option<u64>,
    /// A node that is no victim leads.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub other_leader: bool,
}

impl Condition {
    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        *self == Condition::default()
    }
}

impl fmt::Display for Condition {
    /// In words, such as "50 writes acknowledged by the victim and another node leads".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.leader_is.map(|node| format!("{node} leads")),
            self.acknowledged.map(|count| format!("{count} writes acknowledged")),
            self.acknowledged_by_victim
                .map(|count| format!("{count} writes acknowledged by the victim")),
            self.other_leader.then(|| "another node leads".to_string()),
        ];
        f.pad(&parts.into_iter().flatten().collect::<Vec<_>>().join(" and "))
    }
}
