//! Which changes were already carried out: idempotency key to fingerprint, answer and index.
//!
//! The table is part of the replicated state machine. It is filled where a change is applied, in
//! log order, so every node that applies the same entries knows the same keys: a client whose
//! answer was lost may send its change again, to any node and after any failover, and it is done
//! once. What is forgotten is decided by the log too, never by a clock: nodes would disagree.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::command::{Answer, Command, Refusal};
use crate::fnv::fnv1a;

/// For how many entries of the log a key is known. At ten thousand writes per second that is ten
/// seconds, longer than a client waits by default.
pub const IDEMPOTENCY_ENTRIES: u64 = 100_000;

/// Most bytes of keys and answers that are kept; beyond it the oldest are forgotten early.
pub const IDEMPOTENCY_BYTES: usize = 16 << 20;

/// What a key takes besides its own bytes and its answer: two maps' places and the counters.
const ROW_BYTES: usize = 96;

/// The table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<(Arc<str>, Row)>", from = "Vec<(Arc<str>, Row)>")]
pub(super) struct Idempotency {
    rows: BTreeMap<Arc<str>, Row>,
    /// The keys, oldest first.
    order: VecDeque<Arc<str>>,
    bytes: usize,
}

/// What came of the first change with a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    fingerprint: u64,
    index: u64,
    answer: Answer,
}

impl Idempotency {
    /// Forgets what is too old for the entry that is applied next.
    pub(super) fn forget_before(&mut self, index: u64) {
        let floor = index.saturating_sub(IDEMPOTENCY_ENTRIES);
        while let Some(key) = self.order.front()
            && (self.bytes > IDEMPOTENCY_BYTES || self.rows[key].index < floor)
        {
            self.forget_oldest();
        }
    }

    /// The answer to a change that came before under this key, or the refusal of one that did not.
    pub(super) fn recall(&self, key: &str, command: &Command) -> Option<Answer> {
        let Row { fingerprint, index, answer } = self.rows.get(key)?;
        let first = *index;
        if *fingerprint != fingerprint_of(command) {
            return Some(Answer::Refused(Refusal::KeyReused { first }));
        }
        Some(Answer::Repeated { first, answer: Box::new(answer.clone()) })
    }

    /// Remembers what came of a change. The key must be new.
    pub(super) fn remember(&mut self, key: Arc<str>, fingerprint: u64, index: u64, answer: Answer) {
        self.bytes += ROW_BYTES + key.len() + answer.bytes();
        self.order.push_back(Arc::clone(&key));
        let before = self.rows.insert(key, Row { fingerprint, index, answer });
        debug_assert!(before.is_none(), "a known key is answered from the table");
    }

    /// How many keys are known.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    fn forget_oldest(&mut self) {
        let Some(key) = self.order.pop_front() else { return };
        if let Some(row) = self.rows.remove(&key) {
            self.bytes -= ROW_BYTES + key.len() + row.answer.bytes();
        }
    }
}

/// In a snapshot the table is its rows, oldest first.
impl From<Idempotency> for Vec<(Arc<str>, Row)> {
    fn from(table: Idempotency) -> Self {
        let Idempotency { mut rows, order, .. } = table;
        order.into_iter().filter_map(|key| rows.remove(&key).map(|row| (key, row))).collect()
    }
}

impl From<Vec<(Arc<str>, Row)>> for Idempotency {
    fn from(rows: Vec<(Arc<str>, Row)>) -> Self {
        let mut table = Idempotency::default();
        for (key, Row { fingerprint, index, answer }) in rows {
            table.remember(key, fingerprint, index, answer);
        }
        table
    }
}

/// What tells a command from another one under the same key. A statement that is sent again may be
/// another row then, and is the same statement.
///
/// # Panics
/// Never: encoding plain data into memory cannot fail.
pub(super) fn fingerprint_of(command: &Command) -> u64 {
    fnv1a(&postcard::to_allocvec(&*command.as_asked()).expect("a command encodes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Change, Row, State, Statement};

    fn increment(key: &str, by: i64) -> Change {
        let command = Command::Increment { key: "n".into(), by };
        Change { command, key: Some(key.into()) }
    }

    fn value(text: &str) -> Answer {
        Answer::Value(Some(text.into()))
    }

    #[test]
    fn a_change_that_is_sent_again_is_done_once_and_answered_as_before() {
        let mut state = State::default();
        assert_eq!(state.apply(1, increment("a", 5)), value("5"));
        assert_eq!(state.apply(2, increment("b", 5)), value("10"));
        let repeated = Answer::Repeated { first: 1, answer: Box::new(value("5")) };
        assert_eq!(state.apply(3, increment("a", 5)), repeated);
        assert_eq!(state.apply(4, increment("c", 0)), value("10"));
    }

    #[test]
    fn a_key_that_comes_with_another_change_is_refused_and_nothing_is_done() {
        let mut state = State::default();
        state.apply(1, increment("a", 5));
        let refused = Answer::Refused(Refusal::KeyReused { first: 1 });
        assert_eq!(state.apply(2, increment("a", 6)), refused);
        assert_eq!(state.apply(3, increment("b", 0)), value("5"));
    }

    #[test]
    fn a_statement_that_is_sent_again_is_the_same_one_whatever_row_it_became() {
        let mut state = State::default();
        let statement: Statement = "set id = uuid()".parse().expect("it is a statement");
        let row = |id: &str| {
            let command = Command::Row { statement: statement.clone(), row: Row::Value(id.into()) };
            Change { command, key: Some("a".into()) }
        };
        assert_eq!(state.apply(1, row("first")), value("first"));
        let repeated = Answer::Repeated { first: 1, answer: Box::new(value("first")) };
        assert_eq!(state.apply(2, row("second")), repeated);
        let refused = Answer::Refused(Refusal::KeyReused { first: 1 });
        assert_eq!(state.apply(3, increment("a", 1)), refused);
    }

    #[test]
    fn a_refusal_is_remembered_too() {
        let mut state = State::default();
        let put = |value: &str| Command::Put { key: "n".into(), value: value.into() };
        state.apply(1, put("x").into());
        let refused = Answer::Refused(Refusal::NotANumber);
        assert_eq!(state.apply(2, increment("a", 1)), refused);
        state.apply(3, put("1").into());
        let repeated = Answer::Repeated { first: 2, answer: Box::new(refused) };
        assert_eq!(state.apply(4, increment("a", 1)), repeated);
    }

    #[test]
    fn a_key_is_forgotten_by_its_distance_in_the_log_and_not_before() {
        let mut table = Idempotency::default();
        table.remember("a".into(), 1, 10, Answer::Written);
        table.remember("b".into(), 1, 11, Answer::Written);
        table.forget_before(10 + IDEMPOTENCY_ENTRIES);
        assert_eq!(table.len(), 2);
        table.forget_before(11 + IDEMPOTENCY_ENTRIES);
        assert_eq!((table.len(), table.rows.contains_key("b")), (1, true));
        table.forget_before(12 + IDEMPOTENCY_ENTRIES);
        assert_eq!(table, Idempotency::default());
    }

    #[test]
    fn large_answers_are_forgotten_early_so_that_memory_is_bounded() {
        let mut table = Idempotency::default();
        let large = || Answer::Value(Some("x".repeat(64 << 10).into()));
        for index in 1..1000 {
            table.forget_before(index);
            table.remember(index.to_string().into(), 1, index, large());
        }
        assert!(table.bytes <= IDEMPOTENCY_BYTES + (65 << 10));
        assert!(table.len() > 200 && table.rows.contains_key("999"));
    }
}
