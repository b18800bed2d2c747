//! The state machine: an ordered map from key to value, changed by commands in log order, beside it
//! locks and protected resources, the idempotency keys of the changes that were carried out, and
//! which nodes are the cluster.
//!
//! It is deterministic and pure: every node that applies the same entries holds the same map. The
//! one exception is on purpose, a statement that was logged as such (`statement.rs`), which looks
//! at the [`Surroundings`] that come with it. The reply to a command is computed where it is applied. A snapshot holds all of it
//! (`protocol/snapshot.rs`); values are shared, so a clone costs a few dozen bytes per key.

mod command;
mod configuration;
mod idempotency;
mod lock;
mod operation;
mod resource;
mod statement;

use std::ops::Bound;
use std::sync::Arc;

#[cfg(test)]
use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng};
use serde::{Deserialize, Serialize};

pub use command::{
    Answer, Change, Command, Comparison, IDEMPOTENCY_KEY_BYTES_MAX, KEY_BYTES_MAX, LIST_BYTES_MAX,
    LIST_ENTRIES_MAX, Operation, Query, RESULTS_BYTES_MAX, Refusal, Relation, TRANSACTION_MAX,
    Transaction, VALUE_BYTES_MAX,
};
pub use configuration::{Configuration, Seat};
pub use idempotency::{IDEMPOTENCY_BYTES, IDEMPOTENCY_ENTRIES};
pub use lock::{
    LOCKS_MAX, Lease, LeaseView, LockAct, LockCommand, NAME_BYTES_MAX, TTL_MAX, TTL_MIN,
};
pub use resource::ResourceWrite;
pub use statement::{Expression, Row, Statement, Surroundings};

use idempotency::{Idempotency, fingerprint_of};
use lock::Locks;
use operation::{Values, carry_out};
use resource::Resources;

/// The map after some prefix of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    values: Values,
    locks: Locks,
    resources: Resources,
    idempotency: Idempotency,
    /// Which nodes are the cluster, and which entry said so; `None` if none has.
    configuration: Option<(u64, Arc<Configuration>)>,
    applied: u64,
}

impl State {
    /// The index of the last entry that was applied.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// Which nodes are the cluster as far as was applied, and the index of the entry that said so;
    /// `None` if no entry has, so that it is still the founders.
    pub(crate) fn configuration(&self) -> Option<(u64, Arc<Configuration>)> {
        self.configuration.clone()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// How many idempotency keys are known.
    pub fn idempotency_keys(&self) -> usize {
        self.idempotency.len()
    }

    /// Applies the change of the next entry and computes its reply. A statement looks at the
    /// surroundings of whoever applies it; everything else comes out the same everywhere.
    pub fn apply_in(
        &mut self,
        index: u64,
        change: Change,
        surroundings: &mut Surroundings<'_>,
    ) -> Answer {
        debug_assert_eq!(index, self.applied + 1, "entries are applied in order, each once");
        self.applied = index;
        self.idempotency.forget_before(index);
        let Change { command, key: Some(key) } = change else {
            return self.carry_out(index, change.command, surroundings);
        };
        if let Some(answer) = self.idempotency.recall(&key, &command) {
            return answer;
        }
        let fingerprint = fingerprint_of(&command);
        let answer = self.carry_out(index, command, surroundings);
        self.idempotency.remember(key, fingerprint, index, answer.clone());
        answer
    }

    fn carry_out(
        &mut self,
        index: u64,
        command: Command,
        surroundings: &mut Surroundings<'_>,
    ) -> Answer {
        match command {
            Command::Lock(command) => self.locks.carry_out(index, command),
            Command::Resource(write) => self.resources.write(write),
            Command::Configuration(configuration) => {
                self.configuration = Some((index, Arc::new(configuration)));
                Answer::Written
            }
            command => carry_out(&mut self.values, command, surroundings),
        }
    }

    /// A lock that is held.
    pub fn lease(&self, name: &str) -> Option<&Lease> {
        self.locks.get(name)
    }

    /// Every lock that is held, by name.
    pub fn leases(&self) -> impl Iterator<Item = (&Arc<str>, &Lease)> {
        self.locks.iter()
    }

    /// The same in 1970 and with dice that always fall the same, for changes that do not look.
    #[cfg(test)]
    pub(crate) fn apply(&mut self, index: u64, change: Change) -> Answer {
        let mut dice = Xoshiro256PlusPlus::seed_from_u64(0);
        self.apply_in(index, change, &mut Surroundings { now: 0, dice: &mut dice })
    }

    /// Carries a change out as if it had never been applied: `Plant::ApplyTwice`.
    pub(crate) fn apply_uncounted(&mut self, change: Change, surroundings: &mut Surroundings<'_>) {
        self.carry_out(self.applied, change.command, surroundings);
    }

    /// Loses the idempotency keys: `Plant::SnapshotWithoutKeys`.
    pub(crate) fn forget_keys(&mut self) {
        self.idempotency = Idempotency::default();
    }

    /// Looks at the map. `None` if a list would exceed [`LIST_ENTRIES_MAX`] or
    /// [`LIST_BYTES_MAX`].
    pub fn read(&self, query: &Query) -> Option<Answer> {
        match query {
            Query::Get { key } => Some(Answer::Value(self.values.get(key).cloned())),
            Query::List { prefix } => {
                let from = (Bound::Included(Arc::clone(prefix)), Bound::Unbounded);
                let mut bytes = 0;
                let mut entries = Vec::new();
                for (key, value) in self.values.range(from) {
                    if !key.starts_with(&**prefix) {
                        break;
                    }
                    bytes += key.len() + value.len();
                    if entries.len() == LIST_ENTRIES_MAX || bytes > LIST_BYTES_MAX {
                        return None;
                    }
                    entries.push((Arc::clone(key), Arc::clone(value)));
                }
                Some(Answer::Entries(entries))
            }
            Query::Lock { name } => Some(Answer::Lock { done: None, held: self.locks.view(name) }),
            Query::Resource { name } => Some(self.resources.read(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: &str) -> Command {
        Command::Put { key: key.into(), value: value.into() }
    }

    #[test]
    fn a_compare_and_set_says_what_it_observed_and_swaps_only_on_a_match() {
        let mut state = State::default();
        let swap = |expect: Option<&str>, value: &str| Command::CompareAndSet {
            key: "k".into(),
            expect: expect.map(Into::into),
            value: value.into(),
        };
        let first = state.apply(1, swap(None, "1").into());
        assert_eq!(first, Answer::Compared { swapped: true, observed: None });
        let second = state.apply(2, swap(None, "2").into());
        assert_eq!(second, Answer::Compared { swapped: false, observed: Some("1".into()) });
        let third = state.apply(3, swap(Some("1"), "3").into());
        assert_eq!(third, Answer::Compared { swapped: true, observed: Some("1".into()) });
        let read = state.read(&Query::Get { key: "k".into() });
        assert_eq!(read, Some(Answer::Value(Some("3".into()))));
    }

    #[test]
    fn a_list_holds_exactly_the_keys_with_the_prefix_in_order() {
        let mut state = State::default();
        for (index, key) in ["s/2", "s/1", "r/9", "t", "s"].iter().enumerate() {
            state.apply(index as u64 + 1, put(key, "v").into());
        }
        let Some(Answer::Entries(entries)) = state.read(&Query::List { prefix: "s/".into() })
        else {
            panic!("a short list is within the limits");
        };
        let keys: Vec<&str> = entries.iter().map(|(key, _)| &**key).collect();
        assert_eq!(keys, ["s/1", "s/2"]);
    }

    #[test]
    fn a_list_beyond_the_limit_is_refused_and_not_cut() {
        let mut state = State::default();
        for index in 0..=LIST_ENTRIES_MAX as u64 {
            state.apply(index + 1, put(&format!("k{index}"), "").into());
        }
        assert_eq!(state.read(&Query::List { prefix: "k".into() }), None);
        assert!(state.read(&Query::List { prefix: "k1".into() }).is_some());
    }
}
