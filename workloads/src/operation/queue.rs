//! Queues out of transactions: one request each, on every target that has compare-then transactions.
//!
//! Part of the vocabulary, so all of it is used through `operation`. A queue `q` is these keys:
//!
//! ```text
//! q/0000000004, q/0000000005   its elements, each under its place
//! q.head = 4                   the place of the first one; absent is 0
//! q.tail = 6                   the place of the next one; absent is 0
//! ```
//!
//! Whoever adds or takes says at which place, as a compare-and-set says what it expects: an element is
//! added if the tail is there, and taken if that place holds one. Places are not used twice and are
//! emptied from the first on, so a place that holds an element and is not beyond the head is the head.
//! Whoever was too late is told where to go on, and nothing was done: a client of the harness never
//! tries again by itself.

use super::{Condition, Key, Op, Reply, Step, StepReply, Transaction, Value};

/// What a target without queues is to be asked instead, or `None` if the operation is not on a queue.
pub fn encoded(op: &Op) -> Option<Op> {
    Some(match op {
        Op::Enqueue { queue, value, at } => transaction(Transaction {
            conditions: vec![Condition(tail(queue), (*at > 0).then(|| number(*at)))],
            then: vec![
                Step::Write(element(queue, *at), *value),
                Step::Write(tail(queue), number(at + 1)),
            ],
            otherwise: vec![Step::Read(tail(queue))],
        }),
        Op::Dequeue { queue, at } => transaction(Transaction {
            conditions: vec![Condition(element(queue, *at), None)],
            then: vec![Step::Read(head(queue))],
            otherwise: vec![
                Step::Read(element(queue, *at)),
                Step::Delete(element(queue, *at)),
                Step::Write(head(queue), number(at + 1)),
            ],
        }),
        Op::ReadQueue { queue, consistency } => {
            Op::List { prefix: Key::new(format!("{queue}/")), consistency: *consistency }
        }
        _ => return None,
    })
}

/// What the answer to [`encoded`] means for the operation on the queue; `None` if it is no answer to
/// it.
pub fn decoded(op: &Op, reply: Reply) -> Option<Reply> {
    Some(match (op, reply) {
        (Op::Enqueue { .. }, Reply::Transacted { succeeded: true, .. }) => Reply::Enqueued,
        (Op::Enqueue { .. }, Reply::Transacted { succeeded: false, results }) => {
            Reply::Missed { next: place(&results)? }
        }
        (Op::Dequeue { .. }, Reply::Transacted { succeeded: false, results }) => {
            match results.first() {
                Some(StepReply::Read(Some(value))) => Reply::Dequeued(Some(*value)),
                _ => return None,
            }
        }
        (Op::Dequeue { at, .. }, Reply::Transacted { succeeded: true, results }) => {
            match place(&results)? {
                head if head == *at => Reply::Dequeued(None),
                next => Reply::Missed { next },
            }
        }
        (Op::ReadQueue { .. }, reply @ Reply::Listed(_)) => reply,
        _ => return None,
    })
}

fn transaction(transaction: Transaction) -> Op {
    Op::Transaction(Box::new(transaction))
}

fn head(queue: &Key) -> Key {
    Key::new(format!("{queue}.head"))
}

fn tail(queue: &Key) -> Key {
    Key::new(format!("{queue}.tail"))
}

/// Padded, so that the order of the keys is the order of the places.
fn element(queue: &Key, at: u32) -> Key {
    Key::new(format!("{queue}/{at:010}"))
}

fn number(at: u32) -> Value {
    Value(i64::from(at))
}

fn place(results: &[StepReply]) -> Option<u32> {
    match results {
        [StepReply::Read(None)] => Some(0),
        [StepReply::Read(Some(at))] => u32::try_from(at.0).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::Consistency;
    use super::*;

    /// A map that carries out what [`encoded`] asks.
    #[derive(Default)]
    struct Map(BTreeMap<Key, Value>);

    impl Map {
        fn ask(&mut self, op: &Op) -> Reply {
            let reply = match encoded(op).expect("an operation on a queue") {
                Op::List { prefix, .. } => {
                    let under = |it: &(&Key, &Value)| it.0.as_str().starts_with(prefix.as_str());
                    Reply::Listed(self.0.iter().filter(under).map(|it| *it.1).collect())
                }
                Op::Transaction(transaction) => {
                    let holds = |it: &Condition| self.0.get(&it.0).copied() == it.1;
                    let succeeded = transaction.conditions.iter().all(holds);
                    let steps = transaction.side(succeeded).to_vec();
                    let results = steps.iter().map(|step| self.step(step)).collect();
                    Reply::Transacted { succeeded, results }
                }
                other => panic!("no target has to know {other}"),
            };
            decoded(op, reply).expect("an answer")
        }

        fn step(&mut self, step: &Step) -> StepReply {
            match step {
                Step::Read(key) => return StepReply::Read(self.0.get(key).copied()),
                Step::Write(key, value) => self.0.insert(key.clone(), *value),
                Step::Delete(key) => self.0.remove(key),
                other => panic!("no queue needs {other}"),
            };
            StepReply::Done
        }
    }

    #[test]
    fn what_is_added_comes_out_in_order_and_who_is_late_is_told_where_to_go() {
        let queue = Key::new("q0");
        let add = |value, at| Op::Enqueue { queue: queue.clone(), value: Value(value), at };
        let take = |at| Op::Dequeue { queue: queue.clone(), at };
        let mut map = Map::default();
        assert_eq!(map.ask(&take(0)), Reply::Dequeued(None));
        assert_eq!(map.ask(&add(7, 0)), Reply::Enqueued);
        assert_eq!(map.ask(&add(8, 0)), Reply::Missed { next: 1 });
        assert_eq!(map.ask(&add(9, 1)), Reply::Enqueued);
        let consistency = Consistency::Linearizable;
        let all = Op::ReadQueue { queue: queue.clone(), consistency };
        assert_eq!(map.ask(&all), Reply::Listed(vec![Value(7), Value(9)]));
        assert_eq!(map.ask(&take(0)), Reply::Dequeued(Some(Value(7))));
        assert_eq!(map.ask(&take(0)), Reply::Missed { next: 1 });
        assert_eq!(map.ask(&take(1)), Reply::Dequeued(Some(Value(9))));
        assert_eq!(map.ask(&take(2)), Reply::Dequeued(None));
        assert_eq!(map.ask(&all), Reply::Listed(vec![]));
    }

    #[test]
    fn an_answer_of_another_form_says_nothing() {
        let op = Op::Dequeue { queue: Key::new("q0"), at: 0 };
        assert_eq!(decoded(&op, Reply::Written), None);
        let nothing = Reply::Transacted { succeeded: false, results: Vec::new() };
        assert_eq!(decoded(&op, nothing), None);
        assert_eq!(encoded(&Op::Delete { key: Key::new("q0") }), None);
    }
}
