//! The target of a run as a suite writes it, and what a kind of target accepts. The kinds
//! themselves are named by the files of `target`, one each; this one knows none by name.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use splitbrain_workloads::operation::Capability;

use super::{limits, tagged};

/// A target: `store: { nodes: 3, profile: raft, set: { fsync: never } }`, or its kind as a bare
/// word when every setting has a default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSpec {
    /// Its kind, such as `store`.
    pub kind: String,
    /// How many nodes.
    pub nodes: u16,
    /// The kind's own settings, such as `profile`; absent ones take the kind's default.
    pub settings: BTreeMap<String, String>,
    /// Single switches on top of them.
    pub set: BTreeMap<String, String>,
}

/// The setting that says how many nodes may join later, of the kinds that have it.
pub const SPARES: &str = "spares";

/// What a kind of target accepts and can do. Each file of `target` fills one in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetKind {
    /// Its name in suites.
    pub name: String,
    /// One line for `list`.
    pub summary: String,
    /// What its clients can do.
    pub capabilities: Vec<Capability>,
    /// Its settings beside `nodes`.
    pub settings: Vec<Setting>,
    /// The names that `set` may hold; `None` when the kind has no `set`.
    pub switches: Option<Vec<String>>,
    /// Faults that it cannot be put under.
    pub refuses: Vec<Refusal>,
    /// Settings that a switch cannot do without.
    pub needs: Vec<Need>,
    /// Whether values and their combination make sense to the target itself.
    pub sense: Sense,
}

/// Asks a target whether a choice of settings and switches makes sense to it; the answer is why
/// not. It is asked only for names that the target has.
#[derive(Clone, Copy, Debug)]
pub struct Sense(pub fn(&TargetSpec) -> Result<(), String>);

impl Sense {
    /// Of a target that has nothing to combine.
    pub const ANY: Sense = Sense(|_| Ok(()));
}

/// Two kinds are the same if they accept the same names; how they judge values is theirs.
impl PartialEq for Sense {
    fn eq(&self, _: &Sense) -> bool {
        true
    }
}

impl Eq for Sense {}

/// A fault that a kind of target cannot be put under: not because it would break a promise, which
/// is what faults are for, but because it was never made to survive it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The kind of the fault, such as `wipe`.
    pub fault: &'static str,
    /// The one form of it that is refused, such as `growth`; all of them without.
    pub form: Option<&'static str>,
    /// The one shape of it that is possible all the same, such as `leader`, if there is one.
    pub unless: Option<&'static str>,
    /// Why, in words.
    pub why: &'static str,
}

impl Refusal {
    /// Whether it is of a fault of this kind, form and shape.
    pub fn covers(&self, kind: &str, form: &str, shape: &str) -> bool {
        self.fault == kind
            && self.form.is_none_or(|refused| refused == form)
            && self.unless != Some(shape)
    }
}

/// A switch that, at one value, needs a setting; the setting is of no use without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The switch, such as `election`.
    pub switch: &'static str,
    /// The value at which it needs the setting.
    pub value: &'static str,
    /// The setting.
    pub setting: &'static str,
    /// Why, in words.
    pub why: &'static str,
}

/// A setting of a kind of target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its key.
    pub name: String,
    /// What it is when a suite does not say; empty if it is then absent.
    pub default: String,
    /// What it may be; empty for anything.
    pub values: Vec<String>,
    /// One line for `list`.
    pub meaning: String,
}

impl TargetSpec {
    /// A target with defaults for everything but its kind.
    pub fn of_kind(kind: impl Into<String>) -> TargetSpec {
        TargetSpec {
            kind: kind.into(),
            nodes: limits::NODES,
            settings: BTreeMap::new(),
            set: BTreeMap::new(),
        }
    }

    /// Its kind among those there are.
    pub fn kind_in<'k>(&self, kinds: &'k [TargetKind]) -> Option<&'k TargetKind> {
        kinds.iter().find(|kind| kind.name == self.kind)
    }

    /// The same target with the kind's default for every setting that is absent, so that two
    /// targets are equal when they mean the same.
    pub fn with_defaults(&self, kinds: &[TargetKind]) -> TargetSpec {
        let mut full = self.clone();
        let settings = self.kind_in(kinds).into_iter().flat_map(|kind| &kind.settings);
        for setting in settings.filter(|setting| !setting.default.is_empty()) {
            full.settings.entry(setting.name.clone()).or_insert_with(|| setting.default.clone());
        }
        full
    }
}

impl fmt::Display for TargetSpec {
    /// In words, such as "store, 3 nodes, profile raft".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.nodes == 1 { "" } else { "s" };
        write!(f, "{}, {} node{plural}", self.kind, self.nodes)?;
        for (name, value) in self.settings.iter().chain(&self.set) {
            write!(f, ", {name} {value}")?;
        }
        Ok(())
    }
}

impl Serialize for TargetSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(&self.kind, &Body(self))?;
        map.end()
    }
}

struct Body<'a>(&'a TargetSpec);

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("nodes", &self.0.nodes)?;
        for (name, value) in &self.0.settings {
            map.serialize_entry(name, value)?;
        }
        if !self.0.set.is_empty() {
            map.serialize_entry("set", &self.0.set)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for TargetSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TargetVisitor)
    }
}

struct TargetVisitor;

impl<'de> Visitor<'de> for TargetVisitor {
    type Value = TargetSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a target such as `store` or `store: { nodes: 3 }`")
    }

    fn visit_str<E: Error>(self, kind: &str) -> Result<TargetSpec, E> {
        Ok(TargetSpec::of_kind(kind))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TargetSpec, A::Error> {
        let Some(kind) = map.next_key::<String>()? else {
            return Err(A::Error::custom("expected a target such as `store`, got an empty map"));
        };
        let target = map.next_value_seed(Settings(kind))?;
        tagged::end(&mut map)?;
        Ok(target)
    }
}

/// Reads the settings of a target of a kind.
struct Settings(String);

impl<'de> DeserializeSeed<'de> for Settings {
    type Value = TargetSpec;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<TargetSpec, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Settings {
    type Value = TargetSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("settings such as `{ nodes: 3 }`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TargetSpec, A::Error> {
        let mut target = TargetSpec::of_kind(self.0);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "nodes" => target.nodes = map.next_value()?,
                "set" => target.set = map.next_value()?,
                _ => {
                    target.settings.insert(key, map.next_value()?);
                }
            }
        }
        Ok(target)
    }
}
