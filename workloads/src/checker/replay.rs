//! The replayer: takes a history and an order of its operations, and says whether the order explains
//! every answer.
//!
//! Whether an order exists is hard to find out; whether this is one takes a single walk. It shares
//! nothing with the checkers but the operations, so that a wrong `pass` needs two wrong programs. Of
//! an order it demands that
//!
//! - every operation that was answered stands in it, once; one of unknown outcome may;
//! - no operation stands before another that had ended when it began;
//! - each answer is what the thing holds there: a map from keys to values, or a [`Model`].
//!
//! Keys may be ordered one by one, since a history is linearizable exactly when it is so key by key
//! (M. Herlihy and J. Wing, "Linearizability", 1990). `splitbrain check --witness` calls it before it
//! writes the order down.

use std::collections::{BTreeMap, HashMap};

use crate::history::{History, OperationId};
use crate::model::{CallOf, Model};
use crate::operation::{Key, Op, Outcome, Reply, Value};

/// Replays orders of the operations of a history, each from an empty map. Of every key all operations
/// must stand in one of them; lists must stand beside all keys that they list.
///
/// # Errors
///
/// What is wrong with the orders, with the operation.
pub fn replay(history: &History, orders: &[Vec<OperationId>]) -> Result<(), String> {
    let mut is_done = vec![false; history.operations.len()];
    let mut order_of: HashMap<&Key, usize> = HashMap::new();
    for (number, order) in orders.iter().enumerate() {
        let mut state: BTreeMap<&Key, Value> = BTreeMap::new();
        let mut last_begin = None;
        for id in order {
            let index = id.0 as usize;
            let Some(operation) = history.operations.get(index) else {
                return Err(format!("the history has no operation {index}"));
            };
            let wrong =
                |what: &str| Err(format!("operation {index}, \"{}\", {what}", operation.op));
            if std::mem::replace(&mut is_done[index], true) {
                return wrong("stands in the order twice");
            }
            if *order_of.entry(operation.op.key()).or_insert(number) != number {
                return wrong("stands in another order than the others of its key");
            }
            let ended = match operation.outcome {
                Outcome::Info(_) => None,
                _ => operation.completed.map(|stamp| stamp.seq),
            };
            if ended.is_some_and(|ended| last_begin.is_some_and(|begin| ended < begin)) {
                return wrong("stands behind one that began after it had ended");
            }
            last_begin = last_begin.max(Some(operation.invoked.seq));
            if !answers(&mut state, &operation.op, &operation.outcome) {
                return wrong("was answered otherwise there");
            }
        }
    }
    let must = |index: &usize| {
        let operation = &history.operations[*index];
        let is_mismatch = matches!(&operation.op, Op::CompareAndSet { .. })
            && matches!(&operation.outcome, Outcome::Fail(reason) if &*reason.0 == "mismatch");
        !operation.op.is_local() && (matches!(operation.outcome, Outcome::Ok(_)) || is_mismatch)
    };
    match (0..is_done.len()).filter(must).find(|index| !is_done[*index]) {
        None => Ok(()),
        Some(index) => {
            let op = &history.operations[index].op;
            Err(format!("operation {index}, \"{op}\", was answered and stands in no order"))
        }
    }
}

/// Does one operation; whether it was answered as the map answers.
fn answers<'h>(state: &mut BTreeMap<&'h Key, Value>, op: &'h Op, outcome: &Outcome) -> bool {
    let held = state.get(op.key()).copied();
    let answer = match op {
        Op::Read { .. } => Reply::Read(held),
        Op::Write { key, value } => {
            state.insert(key, *value);
            Reply::Written
        }
        Op::CompareAndSet { key, expect, value } => {
            if held == *expect && !matches!(outcome, Outcome::Fail(_)) {
                state.insert(key, *value);
            }
            Reply::Compared { swapped: held == *expect, observed: held }
        }
        Op::Delete { key } => {
            state.remove(key);
            Reply::Deleted
        }
        Op::List { prefix, .. } => {
            let under = state.iter().filter(|(key, _)| key.as_str().starts_with(prefix.as_str()));
            Reply::Listed(under.map(|(_, value)| *value).collect())
        }
        // What is no business of a map from keys to values.
        _ => return false,
    };
    match (outcome, answer) {
        (Outcome::Ok(reply), answer) => *reply == answer,
        // A refusal that does not say what it saw.
        (Outcome::Fail(_), Reply::Compared { swapped, .. }) => !swapped,
        (Outcome::Fail(_), _) => false,
        (Outcome::Info(_), _) => true,
    }
}

/// Replays an order of some calls of a model, which are all of a part of it.
///
/// # Errors
///
/// What is wrong with the order, with the call.
pub fn replay_calls<M: Model + ?Sized>(
    model: &M,
    calls: &[CallOf<M>],
    order: &[usize],
) -> Result<(), String> {
    let mut state = model.initial();
    let mut is_done = vec![false; calls.len()];
    let mut last_begin = None;
    for index in order {
        let Some(call) = calls.get(*index) else { return Err(format!("there is no call {index}")) };
        let output = call.output.as_ref().filter(|_| call.ended.is_some());
        let wrong = |what: &str| {
            Err(format!("call {index}, \"{}\", {what}", model.show_call(&call.input, output)))
        };
        if std::mem::replace(&mut is_done[*index], true) {
            return wrong("stands in the order twice");
        }
        if call.ended.is_some_and(|ended| last_begin.is_some_and(|begin| ended < begin)) {
            return wrong("stands behind one that began after it had ended");
        }
        last_begin = last_begin.max(Some(call.began));
        match model.step(&state, &call.input, output) {
            Some(next) => state = next,
            None => return wrong("was answered otherwise there"),
        }
    }
    match (0..calls.len()).find(|index| calls[*index].ended.is_some() && !is_done[*index]) {
        None => Ok(()),
        Some(index) => Err(format!("call {index} ended and stands in no order")),
    }
}
