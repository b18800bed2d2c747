//! The queues that comparing intervals leaves over, handed to the general search: elements that were added
//! twice, reads of all that are not the last thing, and what dequeues of unknown outcome may have taken.
//! Called by [`super::queue`] alone.

use super::frontier::{self, Budget, Decision, Overrun};
use super::story;
use crate::history::{History, Operation, OperationId};
use crate::model::queue::{Input, Order, Output, Queue};
use crate::model::{Call, CallOf};
use crate::operation::{Key, Op, Outcome, Reply, Value};
use crate::verdict::{Anomaly, AnomalyKind};

/// What the search says of a queue.
pub(super) enum Searched {
    /// An order exists.
    Explained,
    /// No order exists, and why.
    Impossible(Anomaly),
    /// It was not found out, and why.
    Undecided(String),
}

const QUEUE: Queue = Queue { order: Order::FirstIn };

/// Searches for an order of the operations of one queue.
pub(super) fn search(history: &History, key: &Key) -> Searched {
    let of_it = history.operations.iter().filter(|it| !it.op.is_local() && it.op.key() == key);
    let (ids, calls): (Vec<OperationId>, Vec<CallOf<Queue>>) =
        of_it.filter_map(|operation| Some((operation.id, call(operation)?))).unzip();
    let refusal = match frontier::decide(&QUEUE, &calls, Budget::default()) {
        Decision::Possible => return Searched::Explained,
        Decision::Undecided(Overrun { from, to, why }) => {
            let why = format!("the search gave up between the events {from} and {to}, with {why}");
            return Searched::Undecided(why);
        }
        Decision::Impossible(refusal) => refusal,
    };
    let core = frontier::core(&QUEUE, &calls, &refusal);
    let culprit = ids[core.refusal.refused];
    let mut operations: Vec<OperationId> = core.calls.iter().map(|index| ids[*index]).collect();
    operations.sort_unstable();
    let states: Vec<&str> = core.refusal.last.iter().map(|last| last.state.as_str()).collect();
    let states = match core.refusal.states > states.len() {
        true => format!("one of {} things", core.refusal.states),
        false => states.join(" or "),
    };
    let story = format!(
        "No order explains these operations: {}, but up to then {key} can only have held {states}.",
        story::operation(history.operation(culprit))
    );
    Searched::Impossible(Anomaly {
        kind: AnomalyKind::NonLinearizable,
        key: key.clone(),
        culprit,
        operations,
        swaps: Vec::new(),
        story: vec![story],
    })
}

/// A call of the model; `None` for what did nothing.
fn call(operation: &Operation) -> Option<CallOf<Queue>> {
    let element = |value: &Value| Key::new(value.to_string());
    let (input, output) = match (&operation.op, &operation.outcome) {
        (_, Outcome::Fail(_) | Outcome::Ok(Reply::Missed { .. })) => return None,
        (Op::Enqueue { value, .. }, outcome) => {
            let done = matches!(outcome, Outcome::Ok(_)).then_some(Output::Done);
            (Input::Enqueue(element(value)), done)
        }
        (Op::Dequeue { .. }, Outcome::Ok(Reply::Dequeued(taken))) => {
            let taken = taken.as_ref().map(element);
            (Input::Dequeue(taken.clone()), Some(Output::Took(taken)))
        }
        (Op::Dequeue { .. }, Outcome::Info(_)) => (Input::Dequeue(None), None),
        (Op::ReadQueue { .. }, Outcome::Ok(Reply::Listed(values))) => {
            (Input::Read, Some(Output::Held(values.iter().map(element).collect())))
        }
        // A read that was never answered says nothing; nothing else is done to a queue.
        _ => return None,
    };
    Some(Call {
        client: operation.client,
        input,
        output,
        began: operation.invoked.seq,
        ended: operation.ended(),
    })
}
