//! Banks, as the tests around Jepsen write them: transfers, and reads of all accounts, as a history of
//! ours.
//!
//! ```text
//! {:process 0, :type :ok, :f :transfer, :value {:from 1, :to 0, :amount 5}}
//! {:process 1, :type :ok, :f :read,     :value {0 97, 1 3}}
//! ```
//!
//! Nobody opens the accounts in these files. Their total is said by the caller, or it is that of the
//! first read, as in the tools that judge such files alone. As there, no account may be overdrawn, unless
//! the caller says so. What a transfer made of two balances is not
//! told, so it is of unknown outcome here; its checker looks at the reads. Called by [`super`] alone.

use std::collections::BTreeMap;

use super::{no_answer, text_key, unfit, wrong};
use crate::history::edn::Edn;
use crate::history::events::{End, Told};
use crate::history::{History, HistoryError, Micros, Operation, OperationId, Operations, Stamp};
use crate::operation::{
    Condition, Key, Op, Outcome, Reason, Reply, Step, StepReply, Transaction, Value,
};

/// A history of a bank, opened with a total.
pub(super) fn history(
    workload: &str,
    told: &[Told],
    initial: Option<&str>,
) -> Result<History, HistoryError> {
    let total = initial.map(|text| {
        text.parse::<i64>().map_err(|_| {
            unfit(format!("expected the total of a bank initially, a whole number, got \"{text}\""))
        })
    });
    let total = total.transpose()?;
    let accounts = first_read(told)?.unwrap_or_default();
    let operations = told.iter().map(|told| operation(told, &accounts));
    let history = super::history_of(workload, told, operations.collect::<Result<Vec<_>, _>>()?);
    Ok(match accounts.is_empty() {
        true => history,
        false => opened(history, &accounts, total),
    })
}

/// The accounts, as the first read that was answered saw them.
fn first_read(told: &[Told]) -> Result<Option<BTreeMap<Key, Option<Value>>>, HistoryError> {
    let read = told.iter().filter(|it| it.function == "read");
    let mut seen = read.filter_map(|it| match &it.end {
        End::Ok(Edn::Nil) => None,
        End::Ok(answer) => Some((it.ended, it, answer)),
        _ => None,
    });
    let first = seen.by_ref().min_by_key(|(ended, ..)| *ended);
    first.map(|(_, it, answer)| balances(it, answer)).transpose()
}

fn balances(told: &Told, seen: &Edn) -> Result<BTreeMap<Key, Option<Value>>, HistoryError> {
    let Edn::Map(entries) = seen else {
        return Err(wrong(told, "balances such as {0 97, 1 3} as what was read", seen));
    };
    let entries = entries.iter().map(|(account, balance)| match balance {
        Edn::Int(amount) => Ok((text_key(account), Some(Value(*amount)))),
        Edn::Nil => Ok((text_key(account), None)),
        other => Err(wrong(told, "whole numbers as balances", other)),
    });
    entries.collect()
}

fn operation(
    told: &Told,
    accounts: &BTreeMap<Key, Option<Value>>,
) -> Result<(Op, Outcome), HistoryError> {
    let transaction =
        |then| Op::Transaction(Box::new(Transaction { then, ..Transaction::default() }));
    match told.function.as_str() {
        "read" => {
            let seen = match &told.end {
                End::Ok(Edn::Nil) => None,
                End::Ok(answer) => Some(balances(told, answer)?),
                _ => None,
            };
            if let (Some(seen), End::Ok(answer)) = (&seen, &told.end)
                && !seen.keys().eq(accounts.keys())
            {
                let all: Vec<&str> = accounts.keys().map(Key::as_str).collect();
                let what = format!("the balances of {} and no others", all.join(", "));
                return Err(wrong(told, &what, answer));
            }
            let read: Vec<Key> = accounts.keys().cloned().collect();
            let outcome = match seen {
                Some(seen) => {
                    let results = seen.into_values().map(StepReply::Read).collect();
                    Outcome::Ok(Reply::Transacted { succeeded: true, results })
                }
                None => no_answer(&told.end),
            };
            Ok((transaction(read.into_iter().map(Step::Read).collect()), outcome))
        }
        "transfer" => {
            let part = |name: &str| told.asked.get(name);
            let (Some(from), Some(to), Some(Edn::Int(amount))) =
                (part("from"), part("to"), part("amount"))
            else {
                let what = "a transfer such as {:from 1, :to 0, :amount 5}";
                return Err(wrong(told, what, &told.asked));
            };
            let steps = vec![
                Step::Increment(text_key(from), amount.wrapping_neg()),
                Step::Increment(text_key(to), *amount),
            ];
            let outcome = match &told.end {
                End::Ok(_) => Outcome::Info(Reason::new("balances-not-told")),
                other => no_answer(other),
            };
            Ok((transaction(steps), outcome))
        }
        _ => Err(wrong(told, "a function of a bank: transfer or read", &told.asked)),
    }
}

/// The history with the opening of its accounts before everything.
fn opened(
    history: History,
    accounts: &BTreeMap<Key, Option<Value>>,
    total: Option<i64>,
) -> History {
    let seen = |(key, held): (&Key, &Option<Value>)| (key.clone(), held.unwrap_or(Value(0)));
    let mut opening: Vec<(Key, Value)> = accounts.iter().map(seen).collect();
    if let Some(total) = total {
        for (place, (_, value)) in opening.iter_mut().enumerate() {
            *value = Value(if place == 0 { total } else { 0 });
        }
    }
    let conditions = accounts.keys().map(|key| Condition(key.clone(), None)).collect();
    let results = opening.iter().map(|_| StepReply::Done).collect();
    let then = opening.into_iter().map(|(key, value)| Step::Write(key, value)).collect();
    let transaction = Transaction { conditions, then, ..Transaction::default() };
    let stamp = |seq| Stamp { seq, at: Micros(0) };
    let client = super::free_client(&history);
    let opening = Operation {
        id: OperationId(0),
        client,
        node: None,
        op: Op::Transaction(Box::new(transaction)),
        is_final: false,
        invoked: stamp(0),
        completed: Some(stamp(1)),
        outcome: Outcome::Ok(Reply::Transacted { succeeded: true, results }),
    };
    let operations = super::behind(vec![opening], history.operations);
    History { operations: Operations::in_order(operations), ..history }
}
