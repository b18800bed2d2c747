//! The model of several registers that transactions read and write at one instant. Reads in a
//! transaction see its own earlier writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Asked, Model};
use crate::operation::Key;

/// A value, as the history writes it; nothing is known of it but whether two are equal.
pub type Text = Arc<str>;

/// Registers of one atomic store.
#[derive(Clone, Debug, Default)]
pub struct MultiRegister {
    /// What registers hold before the first transaction.
    pub initial: BTreeMap<Key, Text>,
    /// What those hold that `initial` does not name. Without it they hold a value that equals none.
    pub otherwise: Option<Text>,
}

/// A transaction: its steps, done in this order.
pub type Transaction = Vec<Step>;

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Reads a register.
    Read(Key),
    /// Writes a register.
    Write(Key, Text),
}

/// For each step what a read saw; `None` for a write, and for a read that says nothing.
pub type Seen = Vec<Option<Text>>;

impl Model for MultiRegister {
    /// The registers that were written.
    type State = BTreeMap<Key, Text>;
    type Input = Transaction;
    type Output = Seen;

    fn initial(&self) -> BTreeMap<Key, Text> {
        self.initial.clone()
    }

    fn step(
        &self,
        state: &BTreeMap<Key, Text>,
        steps: &Transaction,
        seen: Option<&Seen>,
    ) -> Option<BTreeMap<Key, Text>> {
        let mut state = state.clone();
        for (index, step) in steps.iter().enumerate() {
            match step {
                Step::Write(key, value) => {
                    state.insert(key.clone(), value.clone());
                }
                Step::Read(key) => {
                    let seen = seen.and_then(|seen| seen.get(index)).and_then(Option::as_ref);
                    let held = state.get(key).or(self.otherwise.as_ref());
                    if seen.is_some() && seen != held {
                        return None;
                    }
                }
            }
        }
        Some(state)
    }

    fn only_looks(&self, steps: &Transaction, _: Option<&Seen>) -> bool {
        steps.iter().all(|step| matches!(step, Step::Read(_)))
    }

    fn explains(&self, (cause, _): Asked<'_, Self>, (steps, seen): Asked<'_, Self>) -> bool {
        let Some(seen) = seen else { return false };
        let is_written = |key: &Key, value: &Text| {
            let writes = |step: &Step| matches!(step, Step::Write(k, v) if k == key && v == value);
            cause.iter().any(writes)
        };
        steps.iter().zip(seen).any(|(step, seen)| match (step, seen) {
            (Step::Read(key), Some(value)) => is_written(key, value),
            _ => false,
        })
    }

    fn show_state(&self, state: &BTreeMap<Key, Text>) -> String {
        let held: Vec<String> = state.iter().map(|(key, text)| format!("{key}={text}")).collect();
        match held.is_empty() {
            true => "as at the beginning".to_string(),
            false => held.join(" "),
        }
    }

    fn show_call(&self, steps: &Transaction, seen: Option<&Seen>) -> String {
        let step = |(index, step): (usize, &Step)| match step {
            Step::Write(key, value) => format!("write {key}={value}"),
            Step::Read(key) => match seen.and_then(|seen| seen.get(index)) {
                Some(Some(value)) => format!("read {key}: {value}"),
                _ => format!("read {key}"),
            },
        };
        let steps: Vec<String> = steps.iter().enumerate().map(step).collect();
        match seen {
            Some(_) => steps.join(", "),
            None => format!("{}, unknown", steps.join(", ")),
        }
    }
}
