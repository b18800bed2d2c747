//! The words of a story: one operation as a clause, with its client, node and times.
//!
//! "c3 wrote r1=17 at n1, acknowledged at 4.112 s". Called by the checkers; what is said about
//! which operation is theirs.

use crate::history::{Micros, Operation};
use crate::operation::{Op, Outcome, Reply, Value};

/// A moment of the run.
pub(super) fn at(time: Micros) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

/// A value, or that there is none.
pub(super) fn value(value: Option<Value>) -> String {
    value.map_or_else(|| "absent".to_string(), |value| value.to_string())
}

/// A whole operation: who did what where, and when.
pub(super) fn operation(operation: &Operation) -> String {
    match (&operation.op, &operation.outcome) {
        (Op::Read { .. } | Op::List { .. }, _) => saw(operation),
        (_, Outcome::Ok(Reply::Compared { swapped: false, .. })) => saw(operation),
        _ => changed(operation),
    }
}

/// What an operation that looks saw, and when it looked.
pub(super) fn saw(operation: &Operation) -> String {
    let client = operation.client;
    let place = place(operation);
    let when = while_open(operation);
    let key = operation.op.key();
    match (&operation.op, operation.reply()) {
        (Op::Read { .. }, Some(Reply::Read(None))) => {
            format!("{client} found {key} absent{place} {when}")
        }
        (Op::Read { .. }, Some(Reply::Read(Some(seen)))) => {
            format!("{client} read {key}={seen}{place} {when}")
        }
        (Op::List { .. }, Some(Reply::Listed(values))) => {
            let count = values.len();
            let noun = if count == 1 { "element" } else { "elements" };
            format!("{client} listed {count} {noun} of {key}{place} {when}")
        }
        (Op::CompareAndSet { expect, .. }, Some(Reply::Compared { swapped, observed })) => format!(
            "{client}'s compare-and-set of {key}{place} expected {}, saw {} and {}, {when}",
            value(*expect),
            value(*observed),
            if *swapped { "swapped" } else { "was refused" },
        ),
        _ => format!("{client} sent \"{}\"{place} at {}", operation.op, at(operation.invoked.at)),
    }
}

/// What an operation that changes the store changed, and how that ended.
pub(super) fn changed(operation: &Operation) -> String {
    let client = operation.client;
    let place = place(operation);
    let (happened, sent) = match &operation.op {
        Op::Write { key, value } => (format!("wrote {key}={value}"), format!("sent {key}={value}")),
        Op::CompareAndSet { key, expect, value } => {
            let from = self::value(*expect);
            (
                format!("swapped {key} from {from} to {value}"),
                format!("sent a compare-and-set of {key} from {from} to {value}"),
            )
        }
        Op::Delete { key } => (format!("deleted {key}"), format!("sent a delete of {key}")),
        Op::Read { .. } | Op::List { .. } => return saw(operation),
    };
    let invoked = at(operation.invoked.at);
    match (&operation.outcome, operation.completed) {
        (Outcome::Ok(Reply::Compared { swapped: false, .. }), _) => {
            format!("{client} {sent}{place} at {invoked}, which was refused")
        }
        (Outcome::Ok(_), Some(completed)) => {
            format!("{client} {happened}{place}, acknowledged at {}", at(completed.at))
        }
        (Outcome::Fail(reason), _) => {
            format!("{client} {sent}{place} at {invoked}, which certainly failed ({reason})")
        }
        _ => format!("{client} {sent}{place} at {invoked}, whose outcome it never knew"),
    }
}

/// " at n1", where the node is known.
fn place(operation: &Operation) -> String {
    operation.node.map_or_else(String::new, |node| format!(" at {node}"))
}

fn while_open(operation: &Operation) -> String {
    let from = at(operation.invoked.at);
    match operation.completed {
        Some(completed) => format!("from {from} to {}", at(completed.at)),
        None => format!("from {from} on"),
    }
}
