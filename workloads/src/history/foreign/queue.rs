//! Queues, as the tests around Jepsen and Knossos write them:
//!
//! ```text
//! {:process 0, :type :ok, :f :enqueue, :value 3}
//! {:process 1, :type :ok, :f :dequeue, :value 3}
//! {:process 1, :type :ok, :f :drain,   :value [4 5]}
//! ```
//!
//! A drain is as many dequeues as it took elements, all as long as it was. Called by [`super`] alone.

use super::{calls, text_key, unfit, wrong};
use crate::history::HistoryError;
use crate::history::edn::Edn;
use crate::history::events::{End, Told};
use crate::model::queue::{Input, Order, Output, Queue};
use crate::operation::Key;
use crate::recording::Calls;

/// A history of a queue.
pub(super) fn history(told: &[Told], is_ordered: bool) -> Result<Calls<Queue>, HistoryError> {
    let told = drained(told)?;
    let takes = |it: &&Told| it.function == "dequeue";
    let is_empty = |it: &Told| matches!(it.end, End::Ok(Edn::Nil));
    let found_nothing = told.iter().filter(takes).any(is_empty);
    let is_open = |it: &Told| matches!(it.end, End::Info | End::Open);
    let order = match (is_ordered, found_nothing) {
        (true, _) => Order::FirstIn,
        (false, false) => Order::AnyNeverEmpty,
        (false, true) => {
            if let Some(open) = told.iter().filter(takes).find(|it| is_open(it)) {
                return Err(unfit(format!(
                    "line {}: what this dequeue took is not known, and another found the queue empty; \
                     expected one or the other of a queue without an order, as which element is gone \
                     then matters",
                    open.place.line
                )));
            }
            Order::Any
        }
    };
    calls(Queue { order }, &told, |told| call(told, order))
}

/// Drains as dequeues.
fn drained(told: &[Told]) -> Result<Vec<Told>, HistoryError> {
    let mut all = Vec::with_capacity(told.len());
    for told in told {
        match (told.function.as_str(), &told.end) {
            ("drain", End::Ok(Edn::Sequence(elements))) => {
                for element in elements {
                    let function = "dequeue".to_string();
                    all.push(Told { function, end: End::Ok(element.clone()), ..told.clone() });
                }
            }
            ("drain", End::Ok(Edn::Nil)) => {}
            ("drain", End::Ok(other)) => {
                return Err(wrong(told, "the elements that were drained", other));
            }
            ("drain", End::Fail) => {}
            ("drain", End::Info | End::Open) => {
                return Err(wrong(
                    told,
                    "a drain that was answered, as what another took is not known",
                    &told.asked,
                ));
            }
            _ => all.push(told.clone()),
        }
    }
    Ok(all)
}

fn call(told: &Told, order: Order) -> Result<Option<(Input, Option<Output>)>, HistoryError> {
    let is_ok = matches!(told.end, End::Ok(_));
    Ok(match (told.function.as_str(), &told.end) {
        ("enqueue", _) => {
            Some((Input::Enqueue(text_key(&told.asked)), is_ok.then_some(Output::Done)))
        }
        ("dequeue", End::Ok(taken)) => {
            let taken: Option<Key> = (*taken != Edn::Nil).then(|| text_key(taken));
            Some((Input::Dequeue(taken.clone()), Some(Output::Took(taken))))
        }
        ("dequeue", _) if order == Order::FirstIn => Some((Input::Dequeue(None), None)),
        // What it took explains nothing, see the model.
        ("dequeue", _) => None,
        _ => {
            return Err(wrong(
                told,
                "a function of a queue: enqueue, dequeue or drain",
                &told.asked,
            ));
        }
    })
}
