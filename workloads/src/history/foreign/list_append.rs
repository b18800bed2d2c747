//! Transactions that append to lists and read them, as Elle and the tests around it write them, as a
//! history of ours:
//!
//! ```text
//! {:process 0, :type :invoke, :f :txn, :value [[:append :x 1] [:r :y nil]]}
//! {:process 0, :type :ok,     :f :txn, :value [[:append :x 1] [:r :y [2 3]]]}
//! ```
//!
//! `nil` as what a transaction read that is `:ok` is the empty list, with which every list begins.
//! Called by [`super`] alone.

use super::{no_answer, text_key, wrong};
use crate::history::HistoryError;
use crate::history::edn::Edn;
use crate::history::events::{End, Told};
use crate::operation::{Op, Outcome, Reply, Step, StepReply, Transaction, Value};

const EXPECTED: &str = "transactions of steps such as [[:append :x 1] [:r :y nil]]";

/// A transaction and how it ended.
pub(super) fn operation(told: &Told) -> Result<(Op, Outcome), HistoryError> {
    let Edn::Sequence(asked) = &told.asked else { return Err(wrong(told, EXPECTED, &told.asked)) };
    let then = asked.iter().map(|step| self::step(told, step)).collect::<Result<Vec<_>, _>>()?;
    let outcome = match &told.end {
        End::Ok(Edn::Sequence(answered)) if answered.len() == then.len() => {
            let results = then.iter().zip(answered).map(|(step, answer)| reply(told, step, answer));
            let results = results.collect::<Result<Vec<StepReply>, HistoryError>>()?;
            Outcome::Ok(Reply::Transacted { succeeded: true, results })
        }
        End::Ok(other) => {
            return Err(wrong(told, "an answer to each step of its transaction", other));
        }
        other => no_answer(other),
    };
    let transaction = Transaction { then, ..Transaction::default() };
    Ok((Op::Transaction(Box::new(transaction)), outcome))
}

fn step(told: &Told, step: &Edn) -> Result<Step, HistoryError> {
    let Edn::Sequence(words) = step else { return Err(wrong(told, EXPECTED, step)) };
    match words.as_slice() {
        [what, key, ..] if what.is_named("r") || what.is_named("read") => {
            Ok(Step::ReadList(text_key(key)))
        }
        [what, key, Edn::Int(value)] if what.is_named("append") => {
            Ok(Step::Append(text_key(key), Value(*value)))
        }
        _ => Err(wrong(told, "a step such as [:append :x 1] or [:r :y nil]", step)),
    }
}

/// What a step was answered; it must be the step that was asked.
fn reply(told: &Told, asked: &Step, answer: &Edn) -> Result<StepReply, HistoryError> {
    if step(told, answer)? != *asked {
        return Err(wrong(told, "answers to the steps that were asked, in their order", answer));
    }
    let Step::ReadList(_) = asked else { return Ok(StepReply::Done) };
    let seen = match answer {
        Edn::Sequence(words) => words.get(2).unwrap_or(&Edn::Nil),
        _ => &Edn::Nil,
    };
    match seen {
        Edn::Nil => Ok(StepReply::Listed(Vec::new())),
        Edn::Sequence(elements) => {
            let elements = elements.iter().map(|element| match element {
                Edn::Int(value) => Ok(Value(*value)),
                other => Err(wrong(told, "whole numbers as the elements of a list", other)),
            });
            Ok(StepReply::Listed(elements.collect::<Result<_, _>>()?))
        }
        other => Err(wrong(told, "a list as what was read", other)),
    }
}
