//! The `register` workload: reads, writes and compare-and-sets of a few keys. Every written value
//! is used once, and a compare-and-set expects what was last seen of its key, so that the exact
//! near-linear checker applies. Called through `workload`.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::Generator;
use crate::checker::{self, Checker};
use crate::operation::{Capability, ClientId, Consistency, Key, Op, OpKind, Outcome, Reply, Value};
use crate::seed::{Seed, Stream};

/// The name in suites and headers.
pub(super) const NAME: &str = "register";

/// What clients do, in one line.
pub(super) const SUMMARY: &str = "reads, writes and compare-and-sets of a few keys";

/// What must hold of a history of registers.
pub(super) const CHECKERS: &[Checker] = &[
    Checker { name: "linearizable", check: checker::linearizable::check_registers },
    Checker { name: "lost-write", check: checker::lost_write::check_registers },
    Checker { name: "agreement", check: checker::agreement::check },
];

/// Parameters of the `register` workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RegisterSpec {
    /// How many registers, `r0` upwards.
    pub keys: u32,
    /// How many of 100 operations are reads.
    pub reads: u8,
    /// How many of 100 operations are compare-and-sets; what is left writes.
    pub compare_and_sets: u8,
    /// How many of 100 operations go to `r0`, beside its fair share of the rest.
    pub hot: u8,
}

impl Default for RegisterSpec {
    fn default() -> Self {
        RegisterSpec { keys: 8, reads: 40, compare_and_sets: 25, hot: 0 }
    }
}

/// Every key is read one by one at the end, at every node; more would make the end of a run longer
/// than the run.
const KEYS_MAX: u32 = 10_000;

/// How many of 100 compare-and-sets expect the value before the last one seen, so that mismatches
/// occur in runs so calm that the last one seen always holds.
const OUTDATED: u8 = 25;

impl RegisterSpec {
    pub(super) fn describe(&self) -> String {
        let keys = if self.keys == 1 { "key" } else { "keys" };
        let hot = if self.hot == 0 { String::new() } else { format!(", {} % on r0", self.hot) };
        format!("register, {} {keys}{hot}", self.keys)
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        if self.keys == 0 || self.keys > KEYS_MAX {
            return Err(format!(
                "keys: expected 1 to {KEYS_MAX} (each is read at the end), got {}",
                self.keys
            ));
        }
        let sum = u32::from(self.reads) + u32::from(self.compare_and_sets);
        if sum > 100 {
            return Err(format!(
                "reads and compare-and-sets: expected at most 100 of 100 operations together, \
                 got {} + {} = {sum}",
                self.reads, self.compare_and_sets
            ));
        }
        if self.reads == 100 {
            return Err("reads: expected less than 100 of 100 operations, got 100: a run that \
                        writes nothing proves nothing"
                .to_string());
        }
        if self.hot > 100 {
            return Err(format!("hot: expected at most 100 of 100 operations, got {}", self.hot));
        }
        Ok(())
    }

    pub(super) fn needs(&self) -> Vec<Capability> {
        if self.compare_and_sets > 0 { vec![Capability::CompareAndSet] } else { Vec::new() }
    }

    pub(super) fn kinds(&self) -> Vec<OpKind> {
        let writes = 100 - self.reads.saturating_add(self.compare_and_sets).min(100);
        [
            (OpKind::Read, self.reads),
            (OpKind::Write, writes),
            (OpKind::CompareAndSet, self.compare_and_sets),
        ]
        .into_iter()
        .filter_map(|(kind, share)| (share > 0).then_some(kind))
        .collect()
    }

    pub(super) fn generator(&self, seed: Seed) -> RegisterGenerator {
        let keys = self.keys().map(|key| Register { key, last: None, before: None }).collect();
        RegisterGenerator {
            spec: self.clone(),
            random: seed.stream("workload"),
            registers: keys,
            next_value: 1,
        }
    }

    pub(super) fn reads_of_all(&self, consistency: Consistency) -> Vec<Op> {
        self.keys().map(|key| Op::Read { key, consistency }).collect()
    }

    fn keys(&self) -> impl Iterator<Item = Key> + use<> {
        (0..self.keys).map(|index| Key::new(format!("r{index}")))
    }
}

/// The generator of the `register` workload.
pub(super) struct RegisterGenerator {
    spec: RegisterSpec,
    random: Stream,
    registers: Vec<Register>,
    /// Values count upwards over all keys, so that a value in a story names one operation.
    next_value: i64,
}

/// What was seen of a key, by any client.
struct Register {
    key: Key,
    last: Option<Value>,
    before: Option<Value>,
}

impl Generator for RegisterGenerator {
    fn next(&mut self, _client: ClientId) -> Option<Op> {
        let index = if self.random.random_range(0..100) < self.spec.hot {
            0
        } else {
            self.random.random_range(0..self.registers.len())
        };
        let register = &self.registers[index];
        let key = register.key.clone();
        let kind = self.random.random_range(0..100);
        if kind < self.spec.reads {
            return Some(Op::Read { key, consistency: Consistency::Linearizable });
        }
        let value = Value(self.next_value);
        self.next_value += 1;
        if kind - self.spec.reads < self.spec.compare_and_sets {
            let outdated = self.random.random_range(0..100) < OUTDATED;
            let expect = if outdated { register.before } else { register.last };
            return Some(Op::CompareAndSet { key, expect, value });
        }
        Some(Op::Write { key, value })
    }

    fn completed(&mut self, _client: ClientId, op: &Op, outcome: &Outcome) {
        let Outcome::Ok(reply) = outcome else { return };
        let seen = match (op, reply) {
            (Op::Read { .. }, Reply::Read(value)) => *value,
            (Op::Write { value, .. }, Reply::Written) => Some(*value),
            (Op::CompareAndSet { value, .. }, Reply::Compared { swapped: true, .. }) => {
                Some(*value)
            }
            (Op::CompareAndSet { .. }, Reply::Compared { swapped: false, observed }) => *observed,
            _ => return,
        };
        // The keys are r0, r1, ...: the number is the index.
        let index = op.key().as_str().strip_prefix('r').and_then(|digits| digits.parse().ok());
        let register = index.and_then(|index: usize| self.registers.get_mut(index));
        if let Some(register) = register.filter(|register| register.last != seen) {
            register.before = register.last;
            register.last = seen;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use super::*;
    use crate::operation::OpKind;

    /// Drives a generator against a map, one operation at a time.
    fn drive(spec: &RegisterSpec, count: usize) -> Vec<(Op, Reply)> {
        let mut generator = spec.generator(Seed(3));
        let mut store: BTreeMap<Key, Value> = BTreeMap::new();
        let mut done = Vec::new();
        for i in 0..count {
            let client = ClientId((i % 7) as u32);
            let op = generator.next(client).unwrap();
            let held = store.get(op.key()).copied();
            let reply = match &op {
                Op::Read { .. } => Reply::Read(held),
                Op::Write { key, value } => {
                    store.insert(key.clone(), *value);
                    Reply::Written
                }
                Op::CompareAndSet { key, expect, value } => {
                    let swapped = held == *expect;
                    if swapped {
                        store.insert(key.clone(), *value);
                    }
                    Reply::Compared { swapped, observed: held }
                }
                other => panic!("the register workload does not {other}"),
            };
            generator.completed(client, &op, &Outcome::Ok(reply.clone()));
            done.push((op, reply));
        }
        done
    }

    #[test]
    fn every_written_value_is_used_once() {
        let mut values = HashSet::new();
        for (op, _) in drive(&RegisterSpec::default(), 2000) {
            if let Op::Write { value, .. } | Op::CompareAndSet { value, .. } = op {
                assert!(values.insert(value));
            }
        }
    }

    #[test]
    fn swaps_and_mismatches_both_occur_and_the_mix_is_as_asked() {
        let done = drive(&RegisterSpec::default(), 4000);
        let swapped = |wanted| {
            let is = |reply: &Reply| matches!(reply, Reply::Compared { swapped, .. } if *swapped == wanted);
            done.iter().filter(|(_, reply)| is(reply)).count()
        };
        assert!(swapped(true) > 500, "{}", swapped(true));
        assert!(swapped(false) > 100, "{}", swapped(false));
        let reads = done.iter().filter(|(op, _)| op.kind() == OpKind::Read).count();
        assert!((1400..1800).contains(&reads), "{reads}");
    }

    #[test]
    fn a_hot_key_gets_its_part_beside_its_fair_share() {
        let done = drive(&RegisterSpec { hot: 50, keys: 10, ..Default::default() }, 4000);
        let hot = done.iter().filter(|(op, _)| op.key().as_str() == "r0").count();
        assert!((2000..2400).contains(&hot), "expected about 55 %, got {hot} of 4000");
    }

    #[test]
    fn nonsense_is_refused_with_the_field() {
        let error = |spec: RegisterSpec| spec.validate().unwrap_err();
        insta::assert_snapshot!(
            error(RegisterSpec { keys: 0, ..Default::default() }),
            @"keys: expected 1 to 10000 (each is read at the end), got 0"
        );
        insta::assert_snapshot!(
            error(RegisterSpec { reads: 80, compare_and_sets: 30, ..Default::default() }),
            @"reads and compare-and-sets: expected at most 100 of 100 operations together, got 80 + 30 = 110"
        );
        assert!(error(RegisterSpec { hot: 101, ..Default::default() }).starts_with("hot: "));
        assert!(
            error(RegisterSpec { reads: 100, compare_and_sets: 0, ..Default::default() })
                .starts_with("reads: ")
        );
    }
}
