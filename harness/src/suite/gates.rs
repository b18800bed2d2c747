//! Gates: rules on measures of a run, such as `recovery: "<= 3s"`. They are parsed and checked
//! here; `gate` holds the observed values against them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::units::{Percent, Time};
use crate::scalar::as_text;

/// The gates of a run, at most one for each metric.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gates(BTreeMap<Metric, Gate>);

impl Gates {
    /// The gates in the order of [`Metric::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = &Gate> {
        self.0.values()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A rule on one measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// What is measured.
    pub metric: Metric,
    /// How the observed value must compare with the bound.
    pub comparison: Comparison,
    /// The bound, in the unit of the metric.
    pub bound: Bound,
}

impl fmt::Display for Gate {
    /// The rule without the metric, such as `<= 3s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.comparison, self.bound)
    }
}

/// What can be gated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// The longest time from the heal of a fault to the first success at every node.
    Recovery,
    /// The longest time from a fault in force to the first success after service was lost.
    Unavailability,
    /// Operations that succeeded, of all that arrived (those that found no free client included).
    Availability,
    /// Median latency of the operations that succeeded, from their intended start.
    P50,
    /// 99th percentile of the same.
    P99,
    /// Acknowledged writes that are lost.
    LostWrites,
}

impl Metric {
    /// Every metric, in the order in which `list` and reports print them.
    pub const ALL: [Metric; 6] = [
        Metric::Recovery,
        Metric::Unavailability,
        Metric::Availability,
        Metric::P50,
        Metric::P99,
        Metric::LostWrites,
    ];

    /// The name, as suites and reports write it.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Recovery => "recovery",
            Metric::Unavailability => "unavailability",
            Metric::Availability => "availability",
            Metric::P50 => "p50",
            Metric::P99 => "p99",
            Metric::LostWrites => "lost-writes",
        }
    }

    /// One sentence on what is measured, for `list`.
    pub fn meaning(self) -> &'static str {
        match self {
            Metric::Recovery => {
                "the longest time from the heal of a fault to the first success at every node"
            }
            Metric::Unavailability => {
                "the longest time from a fault in force to the first success after service was lost"
            }
            Metric::Availability => "operations that succeeded, of all that arrived",
            Metric::P50 => "median latency of successful operations, from their intended start",
            Metric::P99 => {
                "99th percentile of the same latency: ninety-nine of a hundred were as fast"
            }
            Metric::LostWrites => "acknowledged writes that are lost",
        }
    }

    /// Whether it is measured on faults, so that a run without faults has no samples.
    pub fn needs_faults(self) -> bool {
        matches!(self, Metric::Recovery | Metric::Unavailability)
    }

    /// Whether a greater value is a better one; a gate bounds the worse side.
    fn greater_is_better(self) -> bool {
        matches!(self, Metric::Availability)
    }

    /// How it is measured and when there is nothing to measure, in lines of at most 80 columns.
    pub fn explain(self) -> &'static str {
        match self {
            Metric::Recovery => {
                "\
From the confirmed heal of a fault until every node has served one of its clients, the
longest over all faults: the column \"all nodes back\" of FAULTS. A node that was asked
and never answered breaks the gate. Not evaluated where no fault was in force or nobody
asked after the heal."
            }
            Metric::Unavailability => {
                "\
The longest stretch, begun while a fault was in force, in which no write of anybody
succeeded though one was asked for (RTO): the column \"writes stopped\" of FAULTS. Writes
that never came back break the gate. Not evaluated where no fault was in force."
            }
            Metric::Availability => {
                "\
The share of all arrivals that ended ok. An arrival that found no free client counts as
not answered. A compare-and-set that did not match was answered, so it counts as ok."
            }
            Metric::P50 | Metric::P99 => {
                "\
Of the operations that ended ok, all kinds together, from the moment at which they were
to begin: a client that came late because it waited counts its waiting."
            }
            Metric::LostWrites => {
                "\
Writes that were acknowledged and that nobody can read at the end although nothing
overwrote them (RPO): the section LOSS. Not evaluated for workloads without such writes."
            }
        }
    }

    /// A rule on it, as a suite would write it.
    pub fn example(self) -> &'static str {
        match self {
            Metric::Recovery | Metric::Unavailability => "<= 3s",
            Metric::Availability => ">= 80%",
            Metric::P50 | Metric::P99 => "<= 50ms",
            Metric::LostWrites => "= 0",
        }
    }

    /// Reads a rule on this metric.
    ///
    /// # Errors
    ///
    /// A message that says what was expected: no comparison, one that bounds the better side, or
    /// a bound in another unit.
    pub fn rule(self, text: &str) -> Result<Gate, String> {
        let expected = |why: &str| {
            format!("expected a rule such as `{}` for {self}, got `{text}`{why}", self.example())
        };
        let (sign, bound) = ["<=", ">=", "<", ">", "="]
            .iter()
            .find_map(|sign| Some((*sign, text.trim().strip_prefix(sign)?.trim())))
            .ok_or_else(|| expected(": it begins with no comparison"))?;
        let comparison: Comparison = sign.parse().map_err(|why: String| expected(&why))?;
        let fits = match comparison {
            Comparison::AtMost | Comparison::Below => !self.greater_is_better(),
            Comparison::AtLeast | Comparison::Above => self.greater_is_better(),
            Comparison::Equal => self == Metric::LostWrites,
        };
        if !fits {
            return Err(expected(match self.greater_is_better() {
                true => ": a greater value is better, so a gate bounds it from below",
                false => ": a smaller value is better, so a gate bounds it from above",
            }));
        }
        let bound = match self {
            Metric::Recovery | Metric::Unavailability | Metric::P50 | Metric::P99 => {
                bound.parse().map(Bound::Time)
            }
            Metric::Availability => bound.parse().map(Bound::Percent),
            Metric::LostWrites => {
                bound.parse().map(Bound::Count).map_err(|_| format!("`{bound}` is no count"))
            }
        };
        let bound = bound.map_err(|why| expected(&format!(": {why}")))?;
        Ok(Gate { metric: self, comparison, bound })
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Metric::ALL.into_iter().find(|metric| metric.name() == text).ok_or_else(|| {
            let names: Vec<String> = Metric::ALL.iter().map(|m| format!("`{m}`")).collect();
            format!("unknown metric `{text}`, expected one of {}", names.join(", "))
        })
    }
}

as_text!(Metric);

/// How an observed value must compare with a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `>`
    Above,
    /// `=`
    Equal,
}

impl Comparison {
    /// Whether an observed value passes.
    pub fn holds<T: PartialOrd>(self, observed: T, bound: T) -> bool {
        match self {
            Comparison::AtMost => observed <= bound,
            Comparison::AtLeast => observed >= bound,
            Comparison::Below => observed < bound,
            Comparison::Above => observed > bound,
            Comparison::Equal => observed == bound,
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Comparison::AtMost => "<=",
            Comparison::AtLeast => ">=",
            Comparison::Below => "<",
            Comparison::Above => ">",
            Comparison::Equal => "=",
        })
    }
}

impl FromStr for Comparison {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "<=" => Ok(Comparison::AtMost),
            ">=" => Ok(Comparison::AtLeast),
            "<" => Ok(Comparison::Below),
            ">" => Ok(Comparison::Above),
            "=" => Ok(Comparison::Equal),
            _ => Err(format!("expected one of `<=`, `>=`, `<`, `>`, `=`, got `{text}`")),
        }
    }
}

/// The bound of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Of a time.
    Time(Time),
    /// Of a share.
    Percent(Percent),
    /// Of a count.
    Count(u64),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Time(time) => time.fmt(f),
            Bound::Percent(percent) => percent.fmt(f),
            Bound::Count(count) => count.fmt(f),
        }
    }
}

impl Serialize for Gates {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|gate| (gate.metric, gate.to_string())))
    }
}

impl<'de> Deserialize<'de> for Gates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(GatesVisitor)
    }
}

struct GatesVisitor;

impl<'de> Visitor<'de> for GatesVisitor {
    type Value = Gates;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("gates such as `recovery: \"<= 3s\"`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Gates, A::Error> {
        let mut gates = BTreeMap::new();
        while let Some(metric) = map.next_key::<Metric>()? {
            gates.insert(metric, map.next_value_seed(Rule(metric))?);
        }
        Ok(Gates(gates))
    }
}

/// Reads the rule of a known metric.
struct Rule(Metric);

impl<'de> DeserializeSeed<'de> for Rule {
    type Value = Gate;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Gate, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Rule {
    type Value = Gate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a rule such as `{}`", self.0.example())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Gate, E> {
        self.0.rule(text).map_err(E::custom)
    }
}
