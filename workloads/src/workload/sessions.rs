//! The `sessions` workload: every client is a session that writes two keys of its own by turns, and
//! reads its own and those of others. As a key has one writer, the order of its values is known, and
//! what a session may expect of them is decided exactly, also where a store promises no more than
//! that. A client that goes on under a new number is a new session. Called through `workload`.

use rand::RngExt;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::Generator;
use crate::checker::{self, Checker};
use crate::operation::{Capability, ClientId, Consistency, Key, Op, OpKind, Outcome, Value};
use crate::seed::{Seed, Stream};

/// The name in suites and headers.
pub(super) const NAME: &str = "sessions";

/// What clients do, in one line.
pub(super) const SUMMARY: &str = "each client writes keys of its own and reads those of others";

/// What must hold of a history of sessions.
pub(super) const CHECKERS: &[Checker] = &[
    Checker { name: "sessions", check: checker::sessions::check },
    Checker { name: "agreement", check: checker::agreement::check },
];

/// Parameters of the `sessions` workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SessionsSpec {
    /// How many sessions may write; a client beyond that only reads.
    pub sessions: u32,
    /// How many of 100 operations are reads.
    pub reads: u8,
    /// `linearizable`; `session`: what the asked node holds, if the client knows of nothing newer;
    /// or `local`: what the asked node holds by itself.
    pub consistency: Consistency,
}

impl Default for SessionsSpec {
    fn default() -> Self {
        let consistency = Consistency::Linearizable;
        SessionsSpec { sessions: 200, reads: 70, consistency }
    }
}

/// The keys of every session are read at the end, at every node.
const SESSIONS_MAX: u32 = 5_000;

impl SessionsSpec {
    pub(super) fn describe(&self) -> String {
        let reads = match self.consistency {
            Consistency::Linearizable => "",
            Consistency::Session => ", session reads",
            Consistency::Local => ", local reads",
            Consistency::Bounded(_) => ", bounded reads",
        };
        format!("{NAME}, up to {}{reads}", self.sessions)
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        if let Consistency::Bounded(_) = self.consistency {
            return Err(
                "consistency: expected linearizable, session or local; reads of a bounded \
                        age are the workload `bounded-reads`"
                    .to_string(),
            );
        }
        super::in_ranges(&[
            ("sessions", self.sessions, 1, SESSIONS_MAX, "the keys of each are read at the end"),
            ("reads", u32::from(self.reads), 1, 99, "both are needed"),
        ])
    }

    pub(super) fn needs(&self) -> Vec<Capability> {
        match self.consistency {
            Consistency::Linearizable | Consistency::Bounded(_) => Vec::new(),
            Consistency::Session => vec![Capability::SessionRead],
            Consistency::Local => vec![Capability::LocalRead],
        }
    }

    pub(super) fn kinds(&self) -> Vec<OpKind> {
        vec![OpKind::Read, OpKind::Write]
    }

    pub(super) fn generator(&self, seed: Seed) -> SessionsGenerator {
        SessionsGenerator {
            spec: self.clone(),
            random: seed.stream("workload"),
            sessions: FxHashMap::default(),
            next_value: 1,
        }
    }

    pub(super) fn reads_of_all(&self, consistency: Consistency) -> Vec<Op> {
        let keys = (0..self.sessions).flat_map(|session| [key(session, 0), key(session, 1)]);
        keys.map(|key| Op::Read { key, consistency }).collect()
    }
}

fn key(session: u32, which: u32) -> Key {
    Key::new(format!("p{session}.{}", if which == 0 { "a" } else { "b" }))
}

/// The generator of the `sessions` workload.
pub(super) struct SessionsGenerator {
    spec: SessionsSpec,
    random: Stream,
    /// The number of each client's session, and how often it has written.
    sessions: FxHashMap<ClientId, (u32, u32)>,
    /// Values count upwards over all keys, so that a value in a story names one operation.
    next_value: i64,
}

impl Generator for SessionsGenerator {
    fn next(&mut self, client: ClientId) -> Option<Op> {
        let started = self.sessions.len() as u32;
        let (own, written) = self.sessions.entry(client).or_insert((started, 0));
        let is_write = self.random.random_range(0..100) >= self.spec.reads;
        if is_write && *own < self.spec.sessions {
            let key = key(*own, *written % 2);
            *written += 1;
            let value = Value(self.next_value);
            self.next_value += 1;
            return Some(Op::Write { key, value });
        }
        // Half of the reads look at the own keys, the others at those of the last few sessions.
        let last = (started.max(*own + 1)).min(self.spec.sessions);
        let session = match self.random.random_range(0..2) {
            0 if *own < self.spec.sessions => *own,
            _ => self.random.random_range(last.saturating_sub(20)..last),
        };
        let key = key(session, self.random.random_range(0..2));
        Some(Op::Read { key, consistency: self.spec.consistency })
    }

    fn completed(&mut self, _client: ClientId, _op: &Op, _outcome: &Outcome) {}
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_key_has_one_writer_and_a_writer_writes_its_two_by_turns() {
        let mut generator = SessionsSpec { sessions: 5, ..Default::default() }.generator(Seed(1));
        let mut writers: HashMap<Key, ClientId> = HashMap::new();
        let mut last: HashMap<ClientId, Key> = HashMap::new();
        for turn in 0..2000 {
            let client = ClientId(turn % 8);
            if let Some(Op::Write { key, .. }) = generator.next(client) {
                assert_eq!(*writers.entry(key.clone()).or_insert(client), client);
                assert_ne!(last.insert(client, key.clone()), Some(key));
            }
        }
        assert_eq!(writers.len(), 10, "two keys of five sessions");
    }
}
