//! The `append` workload: unique elements are appended to a few lists, and whole lists are read.
//! With `steps` above one, several of these at once make a transaction. A list that is full makes
//! way for the next, so that reads stay short and the history linear. Called through `workload`.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::Generator;
use crate::checker::{self, Checker};
use crate::operation::{
    Capability, ClientId, Consistency, Key, Op, OpKind, Outcome, Step, Transaction, Value,
};
use crate::seed::{Seed, Stream};

/// The name in suites and headers.
pub(super) const NAME: &str = "append";

/// What clients do, in one line.
pub(super) const SUMMARY: &str = "appends to lists and reads of them, alone or in transactions";

/// What must hold of a history of lists.
pub(super) const CHECKERS: &[Checker] = &[
    Checker { name: "list", check: checker::list::check },
    Checker { name: "transactions", check: checker::elle::check },
    Checker { name: "lost-write", check: checker::lost_write::check_lists },
    Checker { name: "agreement", check: checker::agreement::check },
];

/// Parameters of the `append` workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct AppendSpec {
    /// How many lists there are, `l0` upwards; clients stop when all are full.
    pub keys: u32,
    /// Elements appended to one list, at most.
    pub elements: u32,
    /// How many of 100 steps are reads.
    pub reads: u8,
    /// Steps of a transaction, at most; with one there are none, only single operations.
    pub steps: u8,
}

impl Default for AppendSpec {
    fn default() -> Self {
        AppendSpec { keys: 100, elements: 100, reads: 40, steps: 1 }
    }
}

/// Every list is read at the end, at every node.
const KEYS_MAX: u32 = 10_000;

/// A value of the built-in store holds 64 KiB, some six thousand elements of ten digits.
const ELEMENTS_MAX: u32 = 5_000;

/// More steps than this are no transaction that anybody would write.
const STEPS_MAX: u8 = 16;

/// How many lists are in use at a time: few, so that transactions meet.
const OPEN: usize = 4;

impl AppendSpec {
    pub(super) fn describe(&self) -> String {
        let steps = match self.steps {
            1 => String::new(),
            steps => format!(", transactions of up to {steps} steps"),
        };
        format!("append, {} lists of up to {} elements{steps}", self.keys, self.elements)
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        let ranges = [
            ("keys", self.keys, 1, KEYS_MAX, "each is read at the end"),
            ("elements", self.elements, 1, ELEMENTS_MAX, "a list is one value"),
            ("reads", u32::from(self.reads), 0, 99, "a run that appends nothing proves nothing"),
            ("steps", u32::from(self.steps), 1, u32::from(STEPS_MAX), "they are one request"),
        ];
        super::in_ranges(&ranges)
    }

    pub(super) fn needs(&self) -> Vec<Capability> {
        match self.steps {
            1 => vec![Capability::ListAppend],
            _ => vec![Capability::ListAppend, Capability::Transaction],
        }
    }

    pub(super) fn kinds(&self) -> Vec<OpKind> {
        match (self.steps, self.reads) {
            (1, 0) => vec![OpKind::Append],
            (1, _) => vec![OpKind::Append, OpKind::ReadList],
            _ => vec![OpKind::Transaction],
        }
    }

    pub(super) fn generator(&self, seed: Seed) -> AppendGenerator {
        AppendGenerator {
            spec: self.clone(),
            random: seed.stream("workload"),
            open: (0..self.keys).take(OPEN).map(|list| (list, 0)).collect(),
            next_list: self.keys.min(OPEN as u32),
            next_element: 1,
        }
    }

    pub(super) fn reads_of_all(&self, consistency: Consistency) -> Vec<Op> {
        (0..self.keys).map(|list| Op::ReadList { key: key(list), consistency }).collect()
    }
}

fn key(list: u32) -> Key {
    Key::new(format!("l{list}"))
}

/// The generator of the `append` workload.
pub(super) struct AppendGenerator {
    spec: AppendSpec,
    random: Stream,
    /// The lists in use, and how much has been appended to each.
    open: Vec<(u32, u32)>,
    next_list: u32,
    /// Elements count upwards over all lists, so that one in a story names one operation.
    next_element: i64,
}

impl AppendGenerator {
    /// `None` when every list is full.
    fn step(&mut self) -> Option<Step> {
        if self.open.is_empty() {
            return None;
        }
        let place = self.random.random_range(0..self.open.len());
        let (list, count) = &mut self.open[place];
        let key = key(*list);
        if self.random.random_range(0..100) < self.spec.reads {
            return Some(Step::ReadList(key));
        }
        *count += 1;
        if *count == self.spec.elements {
            if self.next_list < self.spec.keys {
                self.open[place] = (self.next_list, 0);
                self.next_list += 1;
            } else {
                self.open.swap_remove(place);
            }
        }
        let element = Value(self.next_element);
        self.next_element += 1;
        Some(Step::Append(key, element))
    }
}

impl Generator for AppendGenerator {
    fn next(&mut self, _client: ClientId) -> Option<Op> {
        if self.spec.steps == 1 {
            return Some(match self.step()? {
                Step::Append(key, value) => Op::Append { key, value },
                step => {
                    let consistency = Consistency::Linearizable;
                    Op::ReadList { key: step.key().clone(), consistency }
                }
            });
        }
        let count = self.random.random_range(1..=self.spec.steps);
        let then: Vec<Step> = (0..count).map_while(|_| self.step()).collect();
        let transaction = Transaction { then, ..Transaction::default() };
        (!transaction.then.is_empty()).then(|| Op::Transaction(Box::new(transaction)))
    }

    fn completed(&mut self, _client: ClientId, _op: &Op, _outcome: &Outcome) {}
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn elements_are_unique_and_lists_end_when_they_are_full() {
        let spec = AppendSpec { keys: 6, elements: 10, ..Default::default() };
        let mut generator = spec.generator(Seed(1));
        let (mut elements, mut lists) = (HashSet::new(), HashMap::new());
        while let Some(op) = generator.next(ClientId(0)) {
            if let Op::Append { key, value } = op {
                assert!(elements.insert(value));
                *lists.entry(key).or_insert(0) += 1;
            }
        }
        assert_eq!(lists.len(), 6);
        assert!(lists.values().all(|count| *count == 10), "{lists:?}");
    }

    #[test]
    fn transactions_mix_reads_and_appends_up_to_their_size() {
        let spec = AppendSpec { steps: 4, ..Default::default() };
        let mut generator = spec.generator(Seed(1));
        let mut sizes = HashSet::new();
        for _ in 0..200 {
            let Some(Op::Transaction(transaction)) = generator.next(ClientId(0)) else {
                panic!("expected a transaction")
            };
            sizes.insert(transaction.then.len());
        }
        assert_eq!(sizes, HashSet::from([1, 2, 3, 4]));
    }

    #[test]
    fn nonsense_is_refused_with_the_field() {
        insta::assert_snapshot!(
            AppendSpec { keys: 0, ..Default::default() }.validate().unwrap_err(),
            @"keys: expected 1 to 10000 (each is read at the end), got 0"
        );
        assert!(AppendSpec { steps: 17, ..Default::default() }.validate().is_err());
    }
}
