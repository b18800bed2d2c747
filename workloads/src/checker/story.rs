//! The words of a story: one operation as a clause, with its client, node and times.
//!
//! "c3 wrote r1=17 at n1, acknowledged at 4.112 s". Called by the checkers; what is said about
//! which operation is theirs.

use crate::history::{Micros, Operation};
use crate::operation::{Key, Op, Outcome, Reply, Step, StepReply, Transaction, Value};

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
        (op, _) if op.is_read() => saw(operation),
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
        (Op::Read { .. } | Op::ReadGuarded { .. }, Some(Reply::Read(None))) => {
            format!("{client} found {key} absent{place} {when}")
        }
        (Op::Read { .. } | Op::ReadGuarded { .. }, Some(Reply::Read(Some(seen)))) => {
            format!("{client} read {key}={seen}{place} {when}")
        }
        (Op::List { .. }, Some(Reply::Listed(values))) => {
            let count = values.len();
            let noun = if count == 1 { "element" } else { "elements" };
            format!("{client} listed {}{place} {when}: {count} {noun}", set(key))
        }
        (Op::ReadList { .. } | Op::ReadQueue { .. }, Some(Reply::Listed(values))) => {
            format!("{client} read {key}={}{place} {when}", list(values))
        }
        (Op::Transaction(transaction), Some(Reply::Transacted { succeeded, results })) => {
            let did = transacted(transaction, *succeeded, results);
            format!("{client} {did}{place} {when}")
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

/// A whole operation that came after another: with its beginning, which says that it did.
pub(super) fn later(operation: &Operation) -> String {
    match operation.op.is_read() {
        true => saw(operation),
        false => told(operation, Shown::Both),
    }
}

/// What an operation that changes the store changed, and how that ended.
pub(super) fn changed(operation: &Operation) -> String {
    told(operation, Shown::End)
}

/// The set of the elements under a prefix: a set "s" keeps its elements under "s/".
pub(super) fn set(prefix: &Key) -> &str {
    match prefix.as_str().trim_end_matches('/') {
        "" => "the set",
        name => name,
    }
}

/// What a write of an element added to its set, and how that ended.
pub(super) fn added(operation: &Operation, prefix: &Key, times: Shown) -> String {
    let Op::Write { value, .. } = &operation.op else { return told(operation, times) };
    let set = set(prefix);
    let (happened, sent) =
        (format!("added {value} to {set}"), format!("sent an add of {value} to {set}"));
    ended(operation, &happened, &sent, times)
}

/// Which times of an acknowledged change are told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Its end, before something else began.
    End,
    /// Its beginning as well, after something else had ended.
    Both,
}

fn told(operation: &Operation, times: Shown) -> String {
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
        Op::Increment { key, by } => {
            let sum = match operation.reply() {
                Some(Reply::Incremented(sum)) => format!(" to {sum}"),
                _ => String::new(),
            };
            (format!("raised {key} by {by}{sum}"), format!("sent an increment of {key} by {by}"))
        }
        Op::Append { key, value } => {
            (format!("appended {value} to {key}"), format!("sent an append of {value} to {key}"))
        }
        Op::Enqueue { queue, value, .. } => (
            format!("enqueued {value} to {queue}"),
            format!("sent an enqueue of {value} to {queue}"),
        ),
        Op::Dequeue { queue, .. } => {
            let happened = match operation.reply() {
                Some(Reply::Dequeued(Some(value))) => format!("dequeued {value} from {queue}"),
                _ => format!("found {queue} empty"),
            };
            (happened, format!("sent a dequeue of {queue}"))
        }
        Op::Transaction(transaction) => {
            let did = match operation.reply() {
                Some(Reply::Transacted { succeeded, results }) => {
                    transacted(transaction, *succeeded, results)
                }
                _ => String::new(),
            };
            (did, format!("sent \"{transaction}\""))
        }
        Op::Once { request, op } => {
            let inner = told(&Operation { op: (**op).clone(), ..operation.clone() }, times);
            return format!("{inner} (request {request})");
        }
        Op::Acquire { lock, ttl_ms, .. } => {
            let happened = match operation.reply() {
                Some(Reply::Granted { token }) => format!("acquired {lock} under token {token}"),
                Some(Reply::Denied { holder, token }) => {
                    format!("was denied {lock}, which {holder} held under token {token},")
                }
                _ => String::new(),
            };
            (happened, format!("asked for {lock} for {ttl_ms} ms"))
        }
        Op::Renew { lock, token, .. } => {
            let happened = match operation.reply() {
                Some(Reply::WasHeld(true)) => format!("renewed {lock} under token {token}"),
                _ => format!("found {lock} no longer held under token {token}"),
            };
            (happened, format!("asked to renew {lock} under token {token}"))
        }
        Op::Release { lock, token, .. } => {
            let happened = match operation.reply() {
                Some(Reply::WasHeld(true)) => format!("released {lock} under token {token}"),
                _ => format!("found {lock} no longer held under token {token}"),
            };
            (happened, format!("sent a release of {lock} under token {token}"))
        }
        Op::WriteGuarded { resource, value, token } => {
            let happened = match operation.reply() {
                Some(Reply::StaleToken) => {
                    format!("was refused to write {resource}={value} under token {token}")
                }
                _ => format!("wrote {resource}={value} under token {token}"),
            };
            (happened, format!("sent {resource}={value} under token {token}"))
        }
        Op::Read { .. }
        | Op::List { .. }
        | Op::ReadList { .. }
        | Op::ReadQueue { .. }
        | Op::ReadGuarded { .. } => return saw(operation),
    };
    ended(operation, &happened, &sent, times)
}

/// What happened or was sent, with where, when and how it ended.
fn ended(operation: &Operation, happened: &str, sent: &str, times: Shown) -> String {
    let (client, place) = (operation.client, place(operation));
    let invoked = at(operation.invoked.at);
    match (&operation.outcome, operation.completed) {
        (Outcome::Ok(Reply::Compared { swapped: false, .. } | Reply::Missed { .. }), _) => {
            format!("{client} {sent}{place} at {invoked}, which was refused")
        }
        (Outcome::Ok(_), Some(completed)) => {
            let at = at(completed.at);
            match operation.reply() {
                Some(
                    Reply::Denied { .. }
                    | Reply::WasHeld(false)
                    | Reply::StaleToken
                    | Reply::Dequeued(_),
                ) => format!("{client} {happened}{place} {}", while_open(operation)),
                _ if times == Shown::Both => {
                    format!(
                        "{client} {happened}{place}, sent at {invoked} and acknowledged at {at}"
                    )
                }
                _ => format!("{client} {happened}{place}, acknowledged at {at}"),
            }
        }
        (Outcome::Fail(reason), _) => {
            format!("{client} {sent}{place} at {invoked}, which certainly failed ({reason})")
        }
        _ => format!("{client} {sent}{place} at {invoked}, whose outcome it never knew"),
    }
}

/// The elements of a list, the last ones of a long one: `[1 2 3]`, `[.. 98 99]`.
pub(super) fn list(values: &[Value]) -> String {
    /// More elements than this make no sentence.
    const SHOWN: usize = 8;
    let from = values.len().saturating_sub(SHOWN);
    let shown = values[from..].iter().map(Value::to_string).collect::<Vec<_>>().join(" ");
    if from == 0 { format!("[{shown}]") } else { format!("[.. {shown}]") }
}

/// What a transaction did, step by step.
fn transacted(transaction: &Transaction, succeeded: bool, results: &[StepReply]) -> String {
    let step = |(step, result): (&Step, &StepReply)| match (step, result) {
        (Step::Read(key), StepReply::Read(seen)) => format!("read {key}={}", value(*seen)),
        (Step::ReadList(key), StepReply::Listed(seen)) => format!("read {key}={}", list(seen)),
        (Step::Write(key, value), _) => format!("wrote {key}={value}"),
        (Step::Append(key, value), _) => format!("appended {value} to {key}"),
        (Step::Increment(key, by), StepReply::Incremented(sum)) => {
            format!("raised {key} by {by} to {sum}")
        }
        (Step::Delete(key), _) => format!("deleted {key}"),
        (other, _) => other.to_string(),
    };
    let steps = transaction.side(succeeded).iter().zip(results).map(step).collect::<Vec<_>>();
    let did = if steps.is_empty() { "did nothing".to_string() } else { steps.join(", ") };
    if succeeded { did } else { format!("found its condition wrong and {did}") }
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
