//! The `queue` workload: elements are added to a few queues and taken from them, first in, first out.
//! Whoever adds or takes says at which place it expects the end or the front, as it was last seen; who
//! is late is told where to go on, and goes on with an operation of its own. Called through `workload`.

use rand::RngExt;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::Generator;
use crate::checker::{self, Checker};
use crate::operation::{Capability, ClientId, Consistency, Key, Op, OpKind, Outcome, Reply, Value};
use crate::seed::{Seed, Stream};

/// The name in suites and headers.
pub(super) const NAME: &str = "queue";

/// What clients do, in one line.
pub(super) const SUMMARY: &str = "adds to queues and takes from them, first in, first out";

/// What must hold of a history of queues.
pub(super) const CHECKERS: &[Checker] = &[
    Checker { name: "queue", check: checker::queue::check },
    Checker { name: "agreement", check: checker::agreement::check },
];

/// Parameters of the `queue` workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct QueueSpec {
    /// How many queues there are, `q0` upwards.
    pub queues: u32,
    /// How many of 100 operations add; what is left takes.
    pub enqueues: u8,
}

impl Default for QueueSpec {
    fn default() -> Self {
        QueueSpec { queues: 4, enqueues: 55 }
    }
}

/// Every queue is read at the end, at every node.
const QUEUES_MAX: u32 = 1_000;

/// More than half of 100 lets a queue grow, and all of it is one answer at the end.
const ENQUEUES_MAX: u32 = 80;

impl QueueSpec {
    pub(super) fn describe(&self) -> String {
        format!("{NAME}, {} queues", self.queues)
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        super::in_ranges(&[
            ("queues", self.queues, 1, QUEUES_MAX, "each is read at the end"),
            (
                "enqueues",
                u32::from(self.enqueues),
                20,
                ENQUEUES_MAX,
                "both are needed, and what is left is one answer",
            ),
        ])
    }

    pub(super) fn needs(&self) -> Vec<Capability> {
        vec![Capability::Transaction, Capability::AtomicList]
    }

    pub(super) fn kinds(&self) -> Vec<OpKind> {
        vec![OpKind::Enqueue, OpKind::Dequeue]
    }

    pub(super) fn generator(&self, seed: Seed) -> QueueGenerator {
        QueueGenerator {
            spec: self.clone(),
            random: seed.stream("workload"),
            next_value: 1,
            ends: FxHashMap::default(),
            fronts: FxHashMap::default(),
        }
    }

    pub(super) fn reads_of_all(&self, consistency: Consistency) -> Vec<Op> {
        (0..self.queues).map(|queue| Op::ReadQueue { queue: key(queue), consistency }).collect()
    }
}

fn key(queue: u32) -> Key {
    Key::new(format!("q{queue}"))
}

/// The generator of the `queue` workload.
pub(super) struct QueueGenerator {
    spec: QueueSpec,
    random: Stream,
    /// Values count upwards over all queues, so that a value in a story names one operation.
    next_value: i64,
    /// Where the end of each queue was last seen, and where its front. Absent is 0.
    ends: FxHashMap<Key, u32>,
    fronts: FxHashMap<Key, u32>,
}

impl Generator for QueueGenerator {
    fn next(&mut self, _client: ClientId) -> Option<Op> {
        let queue = key(self.random.random_range(0..self.spec.queues));
        if self.random.random_range(0..100) >= self.spec.enqueues {
            let at = self.fronts.get(&queue).copied().unwrap_or(0);
            return Some(Op::Dequeue { queue, at });
        }
        let at = self.ends.get(&queue).copied().unwrap_or(0);
        let value = Value(self.next_value);
        self.next_value += 1;
        Some(Op::Enqueue { queue, value, at })
    }

    fn completed(&mut self, _client: ClientId, op: &Op, outcome: &Outcome) {
        let (places, at) = match op {
            Op::Enqueue { at, .. } => (&mut self.ends, *at),
            Op::Dequeue { at, .. } => (&mut self.fronts, *at),
            _ => return,
        };
        let place = places.entry(op.key().clone()).or_insert(0);
        match outcome {
            Outcome::Ok(Reply::Enqueued | Reply::Dequeued(Some(_))) => *place = at + 1,
            // Also backwards: a store that lost something is asked where it is now.
            Outcome::Ok(Reply::Missed { next }) => *place = *next,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn a_client_that_is_told_where_the_ends_are_adds_and_takes_in_order() {
        let mut generator = QueueSpec { queues: 1, enqueues: 55 }.generator(Seed(3));
        let (mut queue, mut head, mut tail): (VecDeque<Value>, u32, u32) = (VecDeque::new(), 5, 5);
        let (mut taken, mut missed) = (Vec::new(), 0);
        for _ in 0..500 {
            let op = generator.next(ClientId(0)).unwrap();
            let reply = match &op {
                Op::Enqueue { value, at, .. } if *at == tail => {
                    queue.push_back(*value);
                    tail += 1;
                    Reply::Enqueued
                }
                Op::Enqueue { .. } => Reply::Missed { next: tail },
                Op::Dequeue { at, .. } if *at != head => Reply::Missed { next: head },
                Op::Dequeue { .. } => {
                    let first = queue.pop_front();
                    head += u32::from(first.is_some());
                    taken.extend(first);
                    Reply::Dequeued(first)
                }
                other => panic!("the queue workload does not {other}"),
            };
            missed += u32::from(matches!(reply, Reply::Missed { .. }));
            generator.completed(ClientId(0), &op, &Outcome::Ok(reply));
        }
        assert_eq!(missed, 2, "once at each end");
        assert!(taken.len() > 150 && taken.is_sorted(), "{}", taken.len());
    }

    #[test]
    fn nonsense_is_refused_with_the_field() {
        insta::assert_snapshot!(
            QueueSpec { enqueues: 100, ..Default::default() }.validate().unwrap_err(),
            @"enqueues: expected 20 to 80 (both are needed, and what is left is one answer), got 100"
        );
    }
}
