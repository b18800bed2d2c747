//! Transactions: conditions on keys, and several steps that are done as one or not at all.
//!
//! Part of the vocabulary, so all of it is used through `operation`. A target that has compare-then
//! transactions, as the built-in store and etcd do, carries one out with a single request.

use std::fmt;

use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::Op;
use super::{Key, Value};

/// The steps of one side of a transaction are carried out in their order, each seeing what those
/// before it did, and nobody else sees half of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    /// What must hold for `then` to be carried out; nothing always holds.
    #[serde(default, rename = "if", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The steps if every condition holds.
    pub then: Vec<Step>,
    /// The steps if one does not.
    #[serde(default, rename = "else", skip_serializing_if = "Vec::is_empty")]
    pub otherwise: Vec<Step>,
}

/// A key that must hold a value: `["tail", 4]`; `null` is absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition(pub Key, pub Option<Value>);

/// One step of a transaction: `{"append":["x",5]}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// As [`Op::Read`].
    Read(Key),
    /// As [`Op::ReadList`].
    ReadList(Key),
    /// As [`Op::Write`].
    Write(Key, Value),
    /// As [`Op::Delete`].
    Delete(Key),
    /// As [`Op::Increment`].
    Increment(Key, i64),
    /// As [`Op::Append`].
    Append(Key, Value),
}

/// What a step answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepReply {
    /// A write, delete or append was done.
    Done,
    /// To [`Step::Read`].
    Read(Option<Value>),
    /// To [`Step::ReadList`].
    Listed(Vec<Value>),
    /// To [`Step::Increment`]: the sum.
    Incremented(Value),
}

impl Step {
    /// The key it is about.
    pub fn key(&self) -> &Key {
        match self {
            Step::Read(key)
            | Step::ReadList(key)
            | Step::Write(key, _)
            | Step::Delete(key)
            | Step::Increment(key, _)
            | Step::Append(key, _) => key,
        }
    }

    /// Whether a reply is of the kind that this step is answered with.
    pub fn is_answered_by(&self, reply: &StepReply) -> bool {
        matches!(
            (self, reply),
            (Step::Read(_), StepReply::Read(_))
                | (Step::ReadList(_), StepReply::Listed(_))
                | (Step::Write(..) | Step::Delete(_) | Step::Append(..), StepReply::Done)
                | (Step::Increment(..), StepReply::Incremented(_))
        )
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Read(key) | Step::ReadList(key) => write!(f, "read {key}"),
            Step::Write(key, value) => write!(f, "write {key}={value}"),
            Step::Delete(key) => write!(f, "delete {key}"),
            Step::Increment(key, by) => write!(f, "add {by} to {key}"),
            Step::Append(key, value) => write!(f, "append {value} to {key}"),
        }
    }
}

impl Transaction {
    /// Whether neither side has a step that changes anything.
    pub fn is_read(&self) -> bool {
        let reads = |step: &Step| matches!(step, Step::Read(_) | Step::ReadList(_));
        self.then.iter().chain(&self.otherwise).all(reads)
    }

    /// The side that is carried out if the conditions hold, or if not.
    pub fn side(&self, succeeded: bool) -> &[Step] {
        if succeeded { &self.then } else { &self.otherwise }
    }
}

impl fmt::Display for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |f: &mut fmt::Formatter<'_>, steps: &[Step]| {
            for (index, step) in steps.iter().enumerate() {
                write!(f, "{}{step}", if index == 0 { "" } else { ", " })?;
            }
            Ok(())
        };
        for (index, Condition(key, value)) in self.conditions.iter().enumerate() {
            f.write_str(if index == 0 { "if " } else { " and " })?;
            match value {
                Some(value) => write!(f, "{key}={value}")?,
                None => write!(f, "{key} absent")?,
            }
        }
        if !self.conditions.is_empty() {
            f.write_str(": ")?;
        }
        listed(f, &self.then)?;
        if !self.otherwise.is_empty() {
            f.write_str(", else ")?;
            listed(f, &self.otherwise)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Op, Reply, RequestKey};
    use super::*;

    fn key(text: &str) -> Key {
        Key::new(text)
    }

    fn transfer() -> Transaction {
        Transaction {
            conditions: vec![Condition(key("a"), Some(Value(9))), Condition(key("b"), None)],
            then: vec![Step::Write(key("a"), Value(8)), Step::Append(key("l"), Value(1))],
            otherwise: vec![Step::Read(key("a"))],
        }
    }

    #[test]
    fn a_history_line_of_a_transaction_is_short() {
        let op = Op::Transaction(Box::new(transfer()));
        let text = serde_json::to_string(&op).unwrap();
        insta::assert_snapshot!(text, @r#"{"transaction":{"if":[["a",9],["b",null]],"then":[{"write":["a",8]},{"append":["l",1]}],"else":[{"read":"a"}]}}"#);
        assert_eq!(serde_json::from_str::<Op>(&text).unwrap(), op);
        let once = Op::Once {
            request: RequestKey(7),
            op: Box::new(Op::Append { key: key("l"), value: Value(5) }),
        };
        let text = serde_json::to_string(&once).unwrap();
        insta::assert_snapshot!(text, @r#"{"once":{"request":7,"op":{"append":{"key":"l","value":5}}}}"#);
        assert_eq!(serde_json::from_str::<Op>(&text).unwrap(), once);
    }

    #[test]
    fn an_operation_is_read_as_a_sentence() {
        insta::assert_snapshot!(transfer(), @"if a=9 and b absent: write a=8, append 1 to l, else read a");
    }

    #[test]
    fn a_transaction_is_answered_by_the_side_that_was_carried_out() {
        let op = Op::Transaction(Box::new(transfer()));
        let answered = |succeeded, results: &[StepReply]| {
            op.is_answered_by(&Reply::Transacted { succeeded, results: results.to_vec() })
        };
        assert!(answered(true, &[StepReply::Done, StepReply::Done]));
        assert!(answered(false, &[StepReply::Read(None)]));
        assert!(!answered(false, &[StepReply::Done]));
        assert!(!answered(true, &[StepReply::Done]));
        assert!(!op.is_answered_by(&Reply::Written));
    }

    #[test]
    fn a_transaction_that_only_reads_is_a_read() {
        assert!(!Op::Transaction(Box::new(transfer())).is_read());
        let read = Transaction { then: vec![Step::Read(key("a"))], ..Default::default() };
        assert!(Op::Transaction(Box::new(read)).is_read());
    }
}
