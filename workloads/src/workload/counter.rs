//! The `counter` workload: increments by one of a few counters, and reads. Every increment is
//! answered with the sum, which puts them in one order. Called through `workload`.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::Generator;
use crate::checker::{self, Checker};
use crate::operation::{Capability, ClientId, Consistency, Key, Op, OpKind, Outcome};
use crate::seed::{Seed, Stream};

/// The name in suites and headers.
pub(super) const NAME: &str = "counter";

/// What clients do, in one line.
pub(super) const SUMMARY: &str = "increments by one and reads of a few counters";

/// What must hold of a history of counters.
pub(super) const CHECKERS: &[Checker] = &[
    Checker { name: "counter", check: checker::counter::check },
    Checker { name: "agreement", check: checker::agreement::check },
];

/// Parameters of the `counter` workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CounterSpec {
    /// How many counters, `n0` upwards.
    pub keys: u32,
    /// How many of 100 operations are reads.
    pub reads: u8,
}

impl Default for CounterSpec {
    fn default() -> Self {
        CounterSpec { keys: 4, reads: 30 }
    }
}

/// Every counter is read at the end, at every node.
const KEYS_MAX: u32 = 10_000;

impl CounterSpec {
    pub(super) fn describe(&self) -> String {
        let keys = if self.keys == 1 { "key" } else { "keys" };
        format!("counter, {} {keys}", self.keys)
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        super::in_ranges(&[
            ("keys", self.keys, 1, KEYS_MAX, "each is read at the end"),
            ("reads", u32::from(self.reads), 0, 99, "a run that adds nothing proves nothing"),
        ])
    }

    pub(super) fn needs(&self) -> Vec<Capability> {
        vec![Capability::Increment]
    }

    pub(super) fn kinds(&self) -> Vec<OpKind> {
        match self.reads {
            0 => vec![OpKind::Increment],
            _ => vec![OpKind::Increment, OpKind::Read],
        }
    }

    pub(super) fn generator(&self, seed: Seed) -> CounterGenerator {
        CounterGenerator { spec: self.clone(), random: seed.stream("workload") }
    }

    pub(super) fn reads_of_all(&self, consistency: Consistency) -> Vec<Op> {
        (0..self.keys).map(|counter| Op::Read { key: key(counter), consistency }).collect()
    }
}

fn key(counter: u32) -> Key {
    Key::new(format!("n{counter}"))
}

/// The generator of the `counter` workload.
pub(super) struct CounterGenerator {
    spec: CounterSpec,
    random: Stream,
}

impl Generator for CounterGenerator {
    fn next(&mut self, _client: ClientId) -> Option<Op> {
        let key = key(self.random.random_range(0..self.spec.keys));
        Some(if self.random.random_range(0..100) < self.spec.reads {
            Op::Read { key, consistency: Consistency::Linearizable }
        } else {
            Op::Increment { key, by: 1 }
        })
    }

    fn completed(&mut self, _client: ClientId, _op: &Op, _outcome: &Outcome) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_is_as_asked() {
        let mut generator = CounterSpec::default().generator(Seed(1));
        let ops: Vec<Op> = (0..2000).filter_map(|_| generator.next(ClientId(0))).collect();
        let reads = ops.iter().filter(|op| op.is_read()).count();
        assert!((500..700).contains(&reads), "{reads}");
    }

    #[test]
    fn nonsense_is_refused_with_the_field() {
        let error = CounterSpec { reads: 100, ..Default::default() }.validate().unwrap_err();
        insta::assert_snapshot!(
            error,
            @"reads: expected 0 to 99 (a run that adds nothing proves nothing), got 100"
        );
    }
}
