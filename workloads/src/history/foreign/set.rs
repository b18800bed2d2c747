//! Sets, as the tests around Jepsen write them:
//!
//! ```text
//! {:process 0, :type :ok, :f :add,  :value 3}
//! {:process 1, :type :ok, :f :read, :value #{1 3}}
//! ```
//!
//! Of many sets values are `[key value]`. One set whose elements are each added once is a history of
//! ours, with its near-linear judge; others go to the general search. Called by [`super`] alone.

use rustc_hash::FxHashSet;

use super::{KEY, calls, no_answer, text_key, wrong};
use crate::history::HistoryError;
use crate::history::edn::Edn;
use crate::history::events::{End, Told};
use crate::model::set::{Action, Input, Output, Set};
use crate::operation::{Consistency, Key, Op, Outcome, Reply, Value};
use crate::recording::Recording;

/// The beginning of the keys that stand for elements.
const PREFIX: &str = "s/";

/// A history of sets.
pub(super) fn recording(told: &[Told]) -> Result<Recording, HistoryError> {
    let are_keyed = are_keyed(told);
    let mut added = FxHashSet::default();
    let is_new = |it: &Told| it.function == "add" && added.insert(it.asked.to_string());
    let are_simple = |it: &Told| it.function == "read" || it.function == "add";
    if !are_keyed && told.iter().all(are_simple) {
        let adds = told.iter().filter(|it| it.function == "add").count();
        let mut is_new = is_new;
        if told.iter().filter(|it| is_new(it)).count() == adds {
            let operations = told.iter().map(operation).collect::<Result<Vec<_>, _>>()?;
            return Ok(Recording::Operations(super::history_of("set", told, operations)));
        }
    }
    Ok(Recording::Set(calls(Set, told, |told| call(told, are_keyed))?))
}

/// Whether every value that was asked is a pair, of which the first is the key.
fn are_keyed(told: &[Told]) -> bool {
    let is_pair = |edn: &Edn| matches!(edn, Edn::Sequence(items) if items.len() == 2);
    let mut adds = told.iter().filter(|it| it.function != "read");
    match adds.clone().next() {
        Some(_) => adds.all(|it| is_pair(&it.asked)),
        // Nobody added: what was read is all there is to go by.
        None => !told.is_empty() && told.iter().all(|it| is_pair(&it.asked)),
    }
}

fn operation(told: &Told) -> Result<(Op, Outcome), HistoryError> {
    let consistency = Consistency::Linearizable;
    let (op, reply) = match told.function.as_str() {
        "add" => {
            let value = element(told, &told.asked)?;
            let key = Key::new(format!("{PREFIX}{value}"));
            (Op::Write { key, value }, Some(Reply::Written))
        }
        _ => {
            let seen = match &told.end {
                End::Ok(seen) => elements(told, seen)?,
                _ => None,
            };
            (Op::List { prefix: Key::new(PREFIX), consistency }, seen.map(Reply::Listed))
        }
    };
    let outcome = match (&told.end, reply) {
        (End::Ok(_), Some(reply)) => Outcome::Ok(reply),
        (other, _) => no_answer(other),
    };
    Ok((op, outcome))
}

fn call(told: &Told, are_keyed: bool) -> Result<Option<(Input, Option<Output>)>, HistoryError> {
    let split = |edn: &'_ Edn| match edn {
        Edn::Sequence(items) if are_keyed && items.len() == 2 => {
            (Some(text_key(&items[0])), items[1].clone())
        }
        other => (None, other.clone()),
    };
    let (key, asked) = split(&told.asked);
    let answer = if let End::Ok(answer) = &told.end { Some(split(answer)) } else { None };
    // A read of one of many sets may name it only in the answer.
    let key = key.or_else(|| answer.as_ref().and_then(|(key, _)| key.clone()));
    let answer = answer.map(|(_, answer)| answer);
    let (action, output) = match told.function.as_str() {
        "add" => (Action::Add(element(told, &asked)?), answer.map(|_| Output::Done)),
        "remove" => (Action::Remove(element(told, &asked)?), answer.map(|_| Output::Done)),
        "read" => match answer.map(|answer| elements(told, &answer)).transpose()? {
            Some(None) => return Ok(None),
            Some(Some(held)) => (Action::Read, Some(Output::Held(held))),
            None => (Action::Read, None),
        },
        _ => return Err(wrong(told, "a function of a set: add, remove or read", &told.asked)),
    };
    if are_keyed && key.is_none() {
        // A read that was never answered and says not even of what.
        return Ok(None);
    }
    let key = key.unwrap_or_else(|| Key::new(KEY));
    Ok(Some((Input { key, action }, output)))
}

fn element(told: &Told, edn: &Edn) -> Result<Value, HistoryError> {
    match edn {
        Edn::Int(value) => Ok(Value(*value)),
        other => Err(wrong(told, "whole numbers as the elements of a set", other)),
    }
}

/// What a read saw; `None` if it does not say.
fn elements(told: &Told, edn: &Edn) -> Result<Option<Vec<Value>>, HistoryError> {
    match edn {
        Edn::Nil => Ok(None),
        Edn::Sequence(items) => {
            items.iter().map(|item| element(told, item)).collect::<Result<_, _>>().map(Some)
        }
        other => Err(wrong(told, "a set, vector or list as what was read", other)),
    }
}
