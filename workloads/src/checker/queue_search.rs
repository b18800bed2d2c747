//! The queues that comparing intervals leaves over, handed to the general search: elements that were added
//! twice, reads of all that are not the last thing, and what dequeues of unknown outcome may have taken.
//! Called by [`super::queue`] alone.

use super::searched::{self, Searched};
use crate::history::{History, Operation};
use crate::model::queue::{Input, Order, Output, Queue};
use crate::model::{Call, CallOf};
use crate::operation::{Key, Op, Outcome, Reply, Value};

const QUEUE: Queue = Queue { order: Order::FirstIn };

/// Searches for an order of the operations of one queue.
pub(super) fn search(history: &History, key: &Key) -> Searched {
    searched::search(&QUEUE, history, key, call)
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
