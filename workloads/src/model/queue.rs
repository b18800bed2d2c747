//! The models of queues: first in, first out, and in any order. Elements may be added more than once.
//! [`crate::checker::queue`] is the near-linear judge of elements that are not.

use crate::model::{Asked, Model};
use crate::operation::Key;

/// A queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Which element a dequeue takes.
    pub order: Order,
}

/// Which element a dequeue takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The one that was added first.
    FirstIn,
    /// Any. A dequeue of unknown outcome must name what it would take.
    Any,
    /// Any, and no call finds the queue empty. Elements then have nothing to do with one another and
    /// are judged one by one; a dequeue of unknown outcome helps to explain nothing, as no answer
    /// needs an element gone, and must not be among the calls.
    AnyNeverEmpty,
}

/// What is asked of a queue; elements as the history writes them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// Adds an element.
    Enqueue(Key),
    /// Takes an element. Which one it was given stands here as well as in the answer, where it is known,
    /// so that it can be judged with the others of its element.
    Dequeue(Option<Key>),
    /// Tells all elements and leaves them there.
    Read,
}

/// What a queue answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// It was added.
    Done,
    /// This element was taken; `None` if there was none.
    Took(Option<Key>),
    /// All elements, the first one first.
    Held(Vec<Key>),
}

impl Model for Queue {
    /// The elements: in their order, or sorted where there is none.
    type State = Vec<Key>;
    type Input = Input;
    type Output = Output;

    fn initial(&self) -> Vec<Key> {
        Vec::new()
    }

    fn step(&self, held: &Vec<Key>, input: &Input, output: Option<&Output>) -> Option<Vec<Key>> {
        let mut held = held.clone();
        match (input, output) {
            (Input::Enqueue(element), None | Some(Output::Done)) => {
                let at = match self.order {
                    Order::FirstIn => held.len(),
                    Order::Any | Order::AnyNeverEmpty => held.partition_point(|it| it < element),
                };
                held.insert(at, element.clone());
            }
            (Input::Dequeue(_), Some(Output::Took(None))) if held.is_empty() => {}
            (Input::Read, None) => {}
            (Input::Read, Some(Output::Held(seen))) => {
                let mut seen = seen.clone();
                if self.order != Order::FirstIn {
                    seen.sort();
                }
                if seen != held {
                    return None;
                }
            }
            (Input::Dequeue(_), Some(Output::Took(Some(element)))) => {
                let at = held.iter().position(|it| it == element)?;
                if self.order == Order::FirstIn && at > 0 {
                    return None;
                }
                held.remove(at);
            }
            // Of unknown outcome: of a queue in order it can only have been the first, of others only what
            // the input names.
            (Input::Dequeue(named), None) => {
                let at = match (self.order, named) {
                    (Order::FirstIn, _) => (!held.is_empty()).then_some(0),
                    (_, Some(element)) => held.iter().position(|it| it == element),
                    (_, None) => return None,
                };
                if let Some(at) = at {
                    held.remove(at);
                }
            }
            _ => return None,
        }
        Some(held)
    }

    fn part<'a>(&self, input: &'a Input) -> Option<&'a Key> {
        match (self.order, input) {
            (Order::AnyNeverEmpty, Input::Enqueue(element) | Input::Dequeue(Some(element))) => {
                Some(element)
            }
            _ => None,
        }
    }

    fn only_looks(&self, input: &Input, output: Option<&Output>) -> bool {
        *input == Input::Read || matches!(output, Some(Output::Took(None)))
    }

    fn explains(&self, (cause, _): Asked<'_, Self>, (_, output): Asked<'_, Self>) -> bool {
        match (cause, output) {
            // Without an order, an element more explains nobody who was given another one.
            (Input::Enqueue(element), Some(Output::Took(Some(taken))))
                if self.order != Order::FirstIn =>
            {
                element == taken
            }
            (Input::Enqueue(_), Some(Output::Took(None))) => self.order == Order::FirstIn,
            (Input::Read, _) => false,
            (_, Some(Output::Took(_) | Output::Held(_))) => true,
            (_, Some(Output::Done) | None) => self.order == Order::FirstIn,
        }
    }

    fn show_state(&self, held: &Vec<Key>) -> String {
        let held: Vec<&str> = held.iter().map(Key::as_str).collect();
        format!("[{}]", held.join(" "))
    }

    fn show_call(&self, input: &Input, output: Option<&Output>) -> String {
        match (input, output) {
            (Input::Enqueue(element), Some(_)) => format!("enqueue {element}: ok"),
            (Input::Enqueue(element), None) => format!("enqueue {element}, unknown"),
            (Input::Dequeue(_), Some(Output::Took(Some(element)))) => format!("dequeue: {element}"),
            (Input::Dequeue(_), Some(_)) => "dequeue: nothing".to_string(),
            (Input::Dequeue(_), None) => "dequeue, unknown".to_string(),
            (Input::Read, Some(Output::Held(seen))) => format!("read: {}", self.show_state(seen)),
            (Input::Read, _) => "read, unknown".to_string(),
        }
    }
}
