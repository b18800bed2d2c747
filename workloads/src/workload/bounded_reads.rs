//! The `bounded-reads` workload: writes of registers, and reads that may be so old and no older,
//! wherever they are asked. Called through `workload`.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::Generator;
use crate::checker::{self, Checker};
use crate::operation::{Capability, ClientId, Consistency, Key, Op, OpKind, Outcome, Value};
use crate::seed::{Seed, Stream};

/// The name in suites and headers.
pub(super) const NAME: &str = "bounded-reads";

/// What clients do, in one line.
pub(super) const SUMMARY: &str = "writes of registers, and reads that may be so old and no older";

/// What must hold of a history of bounded reads.
pub(super) const CHECKERS: &[Checker] = &[
    Checker { name: "bounded-staleness", check: checker::promise::check_bounds },
    Checker { name: "agreement", check: checker::agreement::check },
];

/// Parameters of the `bounded-reads` workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct BoundedReadsSpec {
    /// How many registers, `r0` upwards.
    pub keys: u32,
    /// How many of 100 operations are reads.
    pub reads: u8,
    /// How old what is read may be, in milliseconds.
    pub within_ms: u32,
}

impl Default for BoundedReadsSpec {
    fn default() -> Self {
        BoundedReadsSpec { keys: 4, reads: 80, within_ms: 500 }
    }
}

/// Every key is read one by one at the end, at every node.
const KEYS_MAX: u32 = 10_000;

/// A bound beyond the longest run would promise nothing.
const WITHIN_MAX: u32 = 3_600_000;

impl BoundedReadsSpec {
    pub(super) fn describe(&self) -> String {
        let keys = if self.keys == 1 { "key" } else { "keys" };
        format!("{NAME}, {} {keys}, at most {} ms old", self.keys, self.within_ms)
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        super::in_ranges(&[
            ("keys", self.keys, 1, KEYS_MAX, "each is read at the end"),
            ("reads", u32::from(self.reads), 1, 99, "both are needed"),
            ("within-ms", self.within_ms, 1, WITHIN_MAX, "zero is linearizability"),
        ])
    }

    pub(super) fn needs(&self) -> Vec<Capability> {
        vec![Capability::BoundedRead]
    }

    pub(super) fn kinds(&self) -> Vec<OpKind> {
        vec![OpKind::Read, OpKind::Write]
    }

    pub(super) fn generator(&self, seed: Seed) -> BoundedReadsGenerator {
        BoundedReadsGenerator { spec: self.clone(), random: seed.stream("workload"), next_value: 1 }
    }

    pub(super) fn reads_of_all(&self, consistency: Consistency) -> Vec<Op> {
        (0..self.keys).map(|index| Op::Read { key: key(index), consistency }).collect()
    }
}

fn key(index: u32) -> Key {
    Key::new(format!("r{index}"))
}

/// The generator of the `bounded-reads` workload.
pub(super) struct BoundedReadsGenerator {
    spec: BoundedReadsSpec,
    random: Stream,
    /// Values count upwards over all keys, so that a value in a story names one operation.
    next_value: i64,
}

impl Generator for BoundedReadsGenerator {
    fn next(&mut self, _client: ClientId) -> Option<Op> {
        let key = key(self.random.random_range(0..self.spec.keys));
        if self.random.random_range(0..100) < self.spec.reads {
            return Some(Op::Read { key, consistency: Consistency::Bounded(self.spec.within_ms) });
        }
        let value = Value(self.next_value);
        self.next_value += 1;
        Some(Op::Write { key, value })
    }

    fn completed(&mut self, _client: ClientId, _op: &Op, _outcome: &Outcome) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ask_for_the_bound_and_every_written_value_is_used_once() {
        let spec = BoundedReadsSpec { within_ms: 70, ..Default::default() };
        let mut generator = spec.generator(Seed(1));
        let (mut reads, mut last) = (0, 0);
        for turn in 0..2000 {
            match generator.next(ClientId(turn % 8)) {
                Some(Op::Read { consistency, .. }) => {
                    reads += 1;
                    assert_eq!(consistency, Consistency::Bounded(70));
                }
                Some(Op::Write { value, .. }) => {
                    assert_eq!(value, Value(last + 1));
                    last += 1;
                }
                other => panic!("expected a read or a write, got {other:?}"),
            }
        }
        assert!((1500..1700).contains(&reads), "{reads}");
    }
}
