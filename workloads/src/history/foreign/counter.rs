//! Counters, as the tests around Jepsen write them, many of them with values `[key number]`:
//!
//! ```text
//! {:process 0, :type :ok, :f :add,  :value 2}
//! {:process 1, :type :ok, :f :read, :value 7}
//! ```
//!
//! Called by [`super`] alone.

use super::{KEY, calls, text_key, unfit, wrong};
use crate::history::HistoryError;
use crate::history::edn::Edn;
use crate::history::events::{End, Told};
use crate::model::counter::{Action, Counter, Input, Output};
use crate::operation::Key;
use crate::recording::Calls;

/// A history of counters.
pub(super) fn history(
    told: &[Told],
    initial: Option<&str>,
) -> Result<Calls<Counter>, HistoryError> {
    let initial = initial.unwrap_or("0");
    let initial = initial.parse().map_err(|_| {
        unfit(format!("expected a whole number initially of a counter, got \"{initial}\""))
    })?;
    calls(Counter { initial }, told, call)
}

fn call(told: &Told) -> Result<Option<(Input, Option<Output>)>, HistoryError> {
    let split = |edn: &Edn| match edn {
        Edn::Sequence(items) if items.len() == 2 => (Some(text_key(&items[0])), items[1].clone()),
        other => (None, other.clone()),
    };
    let number = |edn: &Edn| match edn {
        Edn::Int(number) => Ok(*number),
        other => Err(wrong(told, "whole numbers as the values of a counter", other)),
    };
    let (key, asked) = split(&told.asked);
    let (seen_key, seen) = match &told.end {
        End::Ok(seen) => split(seen),
        _ => (None, Edn::Nil),
    };
    let is_ok = matches!(told.end, End::Ok(_));
    let (action, output) = match told.function.as_str() {
        "add" => (Action::Add(number(&asked)?), is_ok.then_some(Output::Done)),
        "read" if is_ok && seen == Edn::Nil => return Ok(None),
        "read" if is_ok => (Action::Read, Some(Output::Sum(number(&seen)?))),
        "read" => (Action::Read, None),
        _ => return Err(wrong(told, "a function of a counter: add or read", &told.asked)),
    };
    let key = key.or(seen_key).unwrap_or_else(|| Key::new(KEY));
    Ok(Some((Input { key, action }, output)))
}
