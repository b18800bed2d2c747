//! The `lock` workload: clients take locks for a while, write what the locks protect, and give them
//! back; now and then one sleeps beyond its time to live and writes all the same, as a process does
//! that was stopped between its last look at the clock and its write. Called through `workload`.

use std::time::Duration;

use rand::RngExt;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::Generator;
use crate::checker::{self, Checker};
use crate::operation::{
    Capability, ClientId, Consistency, Key, Op, OpKind, Outcome, Reply, Token, Value,
};
use crate::seed::{Seed, Stream};

/// The name in suites and headers.
pub(super) const NAME: &str = "lock";

/// What clients do, in one line.
pub(super) const SUMMARY: &str =
    "takes locks, writes what they protect, and now and then too late, under an old token";

/// What must hold of a history of locks.
pub(super) const CHECKERS: &[Checker] = &[
    Checker { name: "lock", check: checker::lock::check },
    Checker { name: "linearizable", check: checker::lock::check_values },
    Checker { name: "lost-write", check: checker::lock::check_lost },
    Checker { name: "agreement", check: checker::agreement::check },
];

/// Parameters of the `lock` workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LockSpec {
    /// How many locks there are, `l0` upwards, each with one resource, `g0` upwards.
    pub locks: u32,
    /// For how many milliseconds a lock is asked for.
    pub ttl_ms: u32,
    /// Whether what a lock protects is told the fencing token. Without it is a plain key, and no
    /// client sleeps, since nothing could keep the late ones out.
    pub fencing: bool,
    /// How many of 100 holders sleep beyond their time to live, and then write.
    pub late: u8,
}

impl Default for LockSpec {
    fn default() -> Self {
        LockSpec { locks: 3, ttl_ms: 400, fencing: true, late: 20 }
    }
}

/// What each lock protects is read at the end.
const LOCKS_MAX: u32 = 1_000;

/// Whoever sleeps sleeps for more than this, and the lock is nobody's meanwhile; a run is seconds.
const TTL_MS_MAX: u32 = 60_000;

/// What no store counts more exactly.
const TTL_MS_MIN: u32 = 100;

/// Writes of one holder, at most; many short tenures show more than few long ones.
const WRITES_MAX: u8 = 3;

impl LockSpec {
    pub(super) fn describe(&self) -> String {
        let fencing = if self.fencing { "with" } else { "without" };
        format!("{NAME}, {} locks of {} ms, {fencing} fencing tokens", self.locks, self.ttl_ms)
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        let late = u32::from(self.late);
        super::in_ranges(&[
            ("locks", self.locks, 1, LOCKS_MAX, "each resource is read at the end"),
            ("ttl-ms", self.ttl_ms, TTL_MS_MIN, TTL_MS_MAX, "a store counts no shorter time"),
            ("late", late, 0, 50, "somebody must be on time"),
        ])
    }

    pub(super) fn needs(&self) -> Vec<Capability> {
        match self.fencing {
            true => vec![Capability::Lock, Capability::FencingToken],
            false => vec![Capability::Lock],
        }
    }

    pub(super) fn kinds(&self) -> Vec<OpKind> {
        let (write, read) = match self.fencing {
            true => (OpKind::WriteGuarded, OpKind::ReadGuarded),
            false => (OpKind::Write, OpKind::Read),
        };
        vec![OpKind::Acquire, OpKind::Renew, OpKind::Release, write, read]
    }

    pub(super) fn generator(&self, seed: Seed) -> LockGenerator {
        LockGenerator {
            spec: self.clone(),
            random: seed.stream("workload"),
            next_value: 1,
            holders: FxHashMap::default(),
        }
    }

    pub(super) fn reads_of_all(&self, consistency: Consistency) -> Vec<Op> {
        (0..self.locks).map(|lock| self.read(lock, consistency)).collect()
    }

    fn read(&self, lock: u32, consistency: Consistency) -> Op {
        match self.fencing {
            true => Op::ReadGuarded { resource: resource(lock), consistency },
            false => Op::Read { key: resource(lock), consistency },
        }
    }
}

fn lock_key(lock: u32) -> Key {
    Key::new(format!("l{lock}"))
}

fn resource(lock: u32) -> Key {
    Key::new(format!("g{lock}"))
}

/// What a client holds, as it believes.
#[derive(Clone, Copy, Debug)]
struct Holder {
    lock: u32,
    token: Token,
    /// Writes to go.
    writes: u8,
    /// Whether the last write is to come too late.
    is_late: bool,
}

/// The generator of the `lock` workload.
pub(super) struct LockGenerator {
    spec: LockSpec,
    random: Stream,
    next_value: i64,
    holders: FxHashMap<ClientId, Holder>,
}

impl LockGenerator {
    fn write(&mut self, lock: u32, token: Token) -> Op {
        let value = Value(self.next_value);
        self.next_value += 1;
        match self.spec.fencing {
            true => Op::WriteGuarded { resource: resource(lock), value, token },
            false => Op::Write { key: resource(lock), value },
        }
    }

    fn percent(&mut self) -> u8 {
        self.random.random_range(0..100)
    }
}

impl Generator for LockGenerator {
    fn next(&mut self, client: ClientId) -> Option<Op> {
        let Some(holder) = self.holders.get(&client).copied() else {
            let lock = self.random.random_range(0..self.spec.locks);
            return Some(match self.percent() {
                0..15 => self.spec.read(lock, Consistency::Linearizable),
                _ => Op::Acquire { lock: lock_key(lock), holder: client, ttl_ms: self.spec.ttl_ms },
            });
        };
        let Holder { lock, token, writes, .. } = holder;
        Some(match (writes, self.percent()) {
            (0, _) => Op::Release { lock: lock_key(lock), holder: client, token },
            (_, 0..25) => Op::Renew { lock: lock_key(lock), holder: client, token },
            _ => self.write(lock, token),
        })
    }

    fn pause(&mut self, client: ClientId, op: &Op) -> Option<Duration> {
        let holder = self.holders.get(&client)?;
        let is_last = holder.is_late && holder.writes == 1 && !matches!(op, Op::Renew { .. });
        // From when the lock runs out at the latest: long enough for another to take it and to write.
        let percent = is_last.then(|| self.random.random_range(150..300))?;
        Some(Duration::from_millis(u64::from(self.spec.ttl_ms) * percent / 100))
    }

    fn completed(&mut self, client: ClientId, op: &Op, outcome: &Outcome) {
        match (op, outcome) {
            (Op::Acquire { lock, .. }, Outcome::Ok(Reply::Granted { token })) => {
                let writes = self.random.random_range(1..=WRITES_MAX);
                let is_late = self.spec.fencing && self.percent() < self.spec.late;
                // The keys of locks are made here.
                let lock = lock.as_str()[1..].parse().unwrap_or(0);
                self.holders.insert(client, Holder { lock, token: *token, writes, is_late });
            }
            // Whoever does not know how a write or a release ended goes on as another.
            (Op::Release { .. }, Outcome::Ok(_))
            | (Op::Renew { .. }, Outcome::Ok(Reply::WasHeld(false)))
            | (Op::WriteGuarded { .. }, Outcome::Ok(Reply::StaleToken))
            | (_, Outcome::Info(_)) => {
                self.holders.remove(&client);
            }
            (Op::WriteGuarded { .. } | Op::Write { .. }, Outcome::Ok(_)) => {
                if let Some(holder) = self.holders.get_mut(&client) {
                    holder.writes = holder.writes.saturating_sub(1);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients by turns at a lock service that is right and has no clock; how often a client slept,
    /// and what was asked.
    fn drive(spec: &LockSpec, turns: u32) -> (usize, Vec<Op>) {
        let mut generator = spec.generator(Seed(5));
        let mut held: FxHashMap<Key, (ClientId, Token)> = FxHashMap::default();
        let (mut slept, mut asked) = (0, Vec::new());
        for turn in 0..turns {
            let client = ClientId(turn % 4);
            let op = generator.next(client).unwrap();
            slept += usize::from(generator.pause(client, &op).is_some());
            let reply = match &op {
                Op::Acquire { lock, holder, .. } => match held.get(lock) {
                    Some((holder, token)) => Reply::Denied { holder: *holder, token: *token },
                    None => {
                        let token = Token(u64::from(turn));
                        held.insert(lock.clone(), (*holder, token));
                        Reply::Granted { token }
                    }
                },
                Op::Renew { lock, holder, token } => {
                    Reply::WasHeld(held.get(lock) == Some(&(*holder, *token)))
                }
                Op::Release { lock, .. } => Reply::WasHeld(held.remove(lock).is_some()),
                Op::WriteGuarded { .. } | Op::Write { .. } => Reply::Written,
                _ => Reply::Read(None),
            };
            assert!(op.is_answered_by(&reply), "{op}: {reply:?}");
            generator.completed(client, &op, &Outcome::Ok(reply));
            asked.push(op);
        }
        (slept, asked)
    }

    #[test]
    fn holders_write_under_their_token_and_some_sleep_before_they_do() {
        let (slept, asked) = drive(&LockSpec::default(), 2_000);
        let count = |kind| asked.iter().filter(|op| op.kind() == kind).count();
        for kind in LockSpec::default().kinds() {
            assert!(count(kind) > 50, "{kind}: {}", count(kind));
        }
        let tenures = count(OpKind::Release);
        assert!(slept * 10 > tenures && slept * 2 < tenures, "{slept} of {tenures} slept");
    }

    #[test]
    fn without_tokens_nobody_sleeps_and_what_is_protected_is_a_plain_key() {
        let (slept, asked) = drive(&LockSpec { fencing: false, ..Default::default() }, 1_000);
        assert_eq!(slept, 0);
        assert!(!asked.iter().any(|op| matches!(op, Op::WriteGuarded { .. })));
    }

    #[test]
    fn a_client_that_was_refused_holds_nothing_any_more() {
        let mut generator = LockSpec::default().generator(Seed(1));
        let client = ClientId(3);
        let acquire = Op::Acquire { lock: lock_key(1), holder: client, ttl_ms: 400 };
        let granted = Outcome::Ok(Reply::Granted { token: Token(9) });
        generator.completed(client, &acquire, &granted);
        let write = Op::WriteGuarded { resource: resource(1), value: Value(1), token: Token(9) };
        generator.completed(client, &write, &Outcome::Ok(Reply::StaleToken));
        let next = generator.next(client).unwrap();
        assert!(matches!(next, Op::Acquire { .. } | Op::ReadGuarded { .. }), "{next}");
    }

    #[test]
    fn nonsense_is_refused_with_the_field() {
        insta::assert_snapshot!(
            LockSpec { ttl_ms: 5, ..Default::default() }.validate().unwrap_err(),
            @"ttl-ms: expected 100 to 60000 (a store counts no shorter time), got 5"
        );
    }
}
