//! The `idempotent-retry` workload: appends under an idempotency key, sent again when the answer was
//! lost, and now and then although it was not. A store that knows the key does each once; one that
//! does not leaves an element twice. Sending again is an operation of its own: a client of the
//! harness never retries. Called through `workload`.

use std::collections::VecDeque;

use rand::RngExt;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::Generator;
use crate::checker::{self, Checker};
use crate::operation::{
    Capability, ClientId, Consistency, Key, Op, OpKind, Outcome, RequestKey, Value,
};
use crate::seed::{Seed, Stream};

/// The name in suites and headers.
pub(super) const NAME: &str = "idempotent-retry";

/// What clients do, in one line.
pub(super) const SUMMARY: &str =
    "appends sent again under their idempotency key; each is done once";

/// What must hold of a history of requests that are sent again.
pub(super) const CHECKERS: &[Checker] = &[
    Checker { name: "list", check: checker::list::check },
    Checker { name: "lost-write", check: checker::lost_write::check_lists },
    Checker { name: "agreement", check: checker::agreement::check },
];

/// Parameters of the `idempotent-retry` workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct IdempotentRetrySpec {
    /// How many lists there are, `l0` upwards; clients stop when all are full.
    pub keys: u32,
    /// Elements appended to one list, at most.
    pub elements: u32,
    /// How many of 100 operations are reads of a list.
    pub reads: u8,
    /// How many of 100 acknowledged requests are sent once more.
    pub again: u8,
    /// How many new requests come between such a request and its repetition, at least; fewer when
    /// there are no more.
    pub apart: u32,
}

impl Default for IdempotentRetrySpec {
    fn default() -> Self {
        IdempotentRetrySpec { keys: 100, elements: 100, reads: 20, again: 10, apart: 0 }
    }
}

/// Every list is read at the end, at every node.
const KEYS_MAX: u32 = 10_000;

/// A value of the built-in store holds 64 KiB, some six thousand elements of ten digits.
const ELEMENTS_MAX: u32 = 5_000;

/// How often a request is sent, at most. A store that is gone must not be asked for ever.
const SENDINGS_MAX: u8 = 4;

/// The built-in store remembers 65 536 keys; what clients have under way comes on top.
const APART_MAX: u32 = 10_000;

impl IdempotentRetrySpec {
    pub(super) fn describe(&self) -> String {
        format!("{NAME}, {} lists of up to {} elements", self.keys, self.elements)
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        super::in_ranges(&[
            ("keys", self.keys, 1, KEYS_MAX, "each is read at the end"),
            ("elements", self.elements, 1, ELEMENTS_MAX, "a list is one value"),
            ("reads", u32::from(self.reads), 0, 90, "a run that appends little proves little"),
            ("again", u32::from(self.again), 0, 100, "it is a share"),
            ("apart", self.apart, 0, APART_MAX, "a store forgets old keys, and may"),
        ])
    }

    pub(super) fn needs(&self) -> Vec<Capability> {
        vec![Capability::ListAppend, Capability::IdempotencyKey]
    }

    pub(super) fn kinds(&self) -> Vec<OpKind> {
        match self.reads {
            0 => vec![OpKind::Append],
            _ => vec![OpKind::Append, OpKind::ReadList],
        }
    }

    pub(super) fn generator(&self, seed: Seed) -> RetryGenerator {
        RetryGenerator {
            spec: self.clone(),
            random: seed.stream("workload"),
            appended: 0,
            again: VecDeque::new(),
            later: VecDeque::new(),
            sent: FxHashMap::default(),
        }
    }

    pub(super) fn reads_of_all(&self, consistency: Consistency) -> Vec<Op> {
        (0..self.keys).map(|list| Op::ReadList { key: key(list), consistency }).collect()
    }
}

fn key(list: u32) -> Key {
    Key::new(format!("l{list}"))
}

/// The generator of the `idempotent-retry` workload.
pub(super) struct RetryGenerator {
    spec: IdempotentRetrySpec,
    random: Stream,
    /// Over all lists, one after the other.
    appended: u32,
    /// What is to be sent again as soon as possible.
    again: VecDeque<Op>,
    /// What is to be sent again when so many were appended, in this order.
    later: VecDeque<(u32, Op)>,
    /// How often each request was sent, as long as it may be sent again.
    sent: FxHashMap<RequestKey, u8>,
}

impl Generator for RetryGenerator {
    fn next(&mut self, _client: ClientId) -> Option<Op> {
        if let Some(op) = self.again.pop_front() {
            return Some(op);
        }
        let all = self.spec.keys * self.spec.elements;
        let is_due = |(due, _): &(u32, Op)| *due <= self.appended || self.appended == all;
        if self.later.front().is_some_and(is_due)
            && let Some((_, op)) = self.later.pop_front()
        {
            return Some(op);
        }
        let list = self.appended.min(all - 1) / self.spec.elements;
        if self.random.random_range(0..100) < self.spec.reads {
            let consistency = Consistency::Linearizable;
            return Some(Op::ReadList { key: key(list), consistency });
        }
        if self.appended == all {
            return None;
        }
        self.appended += 1;
        let number = u64::from(self.appended);
        let op = Op::Append { key: key(list), value: Value(number as i64) };
        Some(Op::Once { request: RequestKey(number), op: Box::new(op) })
    }

    fn completed(&mut self, _client: ClientId, op: &Op, outcome: &Outcome) {
        let Op::Once { request, .. } = op else { return };
        let sent = self.sent.remove(request).unwrap_or(0) + 1;
        // A store that does not answer is asked again at once, as a client would.
        let is_lost = matches!(outcome, Outcome::Info(_));
        // Once more is enough to find out whether the store knows the key.
        let is_repeated = matches!(outcome, Outcome::Ok(_))
            && sent == 1
            && self.random.random_range(0..100) < self.spec.again;
        if !(is_lost || is_repeated) || sent >= SENDINGS_MAX {
            return;
        }
        self.sent.insert(*request, sent);
        if is_lost {
            self.again.push_back(op.clone());
        } else {
            self.later.push_back((self.appended.saturating_add(self.spec.apart), op.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::operation::{Reason, Reply};

    /// How often each request is sent, if every answer is this one.
    fn sendings(outcome: &Outcome) -> HashMap<RequestKey, u32> {
        let spec = IdempotentRetrySpec { keys: 4, elements: 50, ..Default::default() };
        let mut generator = spec.generator(Seed(1));
        let mut sent = HashMap::new();
        while let Some(op) = generator.next(ClientId(0)) {
            if let Op::Once { request, .. } = &op {
                *sent.entry(*request).or_insert(0) += 1;
                generator.completed(ClientId(0), &op, outcome);
            }
        }
        sent
    }

    #[test]
    fn a_request_without_an_answer_is_sent_again_but_not_for_ever() {
        let sent = sendings(&Outcome::Info(Reason::new("timeout")));
        assert_eq!(sent.len(), 200);
        assert!(
            sent.values().all(|count| (2..=u32::from(SENDINGS_MAX)).contains(count)),
            "{sent:?}"
        );
    }

    #[test]
    fn some_requests_are_sent_again_although_they_were_answered() {
        let sent = sendings(&Outcome::Ok(Reply::Appended));
        let twice = sent.values().filter(|count| **count == 2).count();
        assert!((5..50).contains(&twice), "{twice}");
        assert!(sent.values().all(|count| *count <= 2));
    }

    #[test]
    fn so_many_new_requests_as_asked_come_before_an_answered_one_is_sent_again() {
        let spec = IdempotentRetrySpec { keys: 4, elements: 50, reads: 0, again: 50, apart: 30 };
        let mut generator = spec.generator(Seed(1));
        let (mut last_new, mut repeated) = (0, 0);
        while let Some(op) = generator.next(ClientId(0)) {
            let Op::Once { request, .. } = &op else { panic!("nothing is read") };
            if request.0 > last_new {
                last_new = request.0;
            } else {
                repeated += 1;
                assert!(last_new >= request.0 + 30 || last_new == 200, "{request} at {last_new}");
            }
            generator.completed(ClientId(0), &op, &Outcome::Ok(Reply::Appended));
        }
        assert!((60..140).contains(&repeated), "{repeated} of 200");
    }

    #[test]
    fn a_request_that_certainly_failed_is_not_sent_again() {
        let sent = sendings(&Outcome::Fail(Reason::new("no-leader")));
        assert!(sent.values().all(|count| *count == 1));
    }
}
