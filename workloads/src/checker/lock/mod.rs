//! Locks: one holder at a time, tokens that grow, and resources that heed them.
//!
//! | question | named |
//! |---|---|
//! | did two clients certainly hold one lock at the same time? | `two-holders` |
//! | was a lock gone before its time to live was over? | `lock-lost` |
//! | has a later grant a smaller token, or two grants the same one? | `token-order`, `duplicate` |
//! | did a write under an older token take effect after one under a newer? | `stale-token` |
//! | does an answer name a holder who never asked, or one who had given the lock back? | `phantom`, `future-read`, `stale-read`, `resurrected` |
//! | was somebody refused for nothing? | `spurious-mismatch` |
//!
//! All of it is decided exactly, within the budget of the search where one is needed. [`tenure`] has the
//! argument for any two grants, [`succession`] that for all of them, [`fencing`] that for tokens. What the
//! protected values themselves must be is a matter of registers: [`check_values`] and [`check_lost`]
//! judge them as such. Called through `workload`.

mod fencing;
mod succession;
mod tenure;
#[cfg(test)]
pub(super) mod tests;

use std::collections::BTreeMap;

use succession::{Wait, Why};

use super::findings::{Candidate, Findings, Rank, with_searched};
use super::versions::Place;
use super::{linearizable, lost_write, story, unjudged};
use crate::history::{History, Operation, OperationId, Operations};
use crate::operation::{ClientId, Key, Op, Outcome, Reason, Reply, Token};
use crate::verdict::{Anomaly, AnomalyKind, Judgement, Verdict};

const NAME: &str = "lock";

/// Judges all locks of a history, and the tokens of what they protect. `unknown` where nothing was
/// granted.
pub fn check(history: &History) -> Judgement {
    if let Some(unknown) = unjudged(NAME, history) {
        return unknown;
    }
    let mut findings = Findings::new();
    let clock = Clock::of(history);
    let mut locks: BTreeMap<&Key, tenure::Lock> = BTreeMap::new();
    for operation in &history.operations {
        if matches!(operation.op, Op::Acquire { .. } | Op::Renew { .. } | Op::Release { .. }) {
            locks.entry(operation.op.key()).or_default().take(operation);
        }
    }
    let mut counts = BTreeMap::new();
    let mut undecided: Vec<String> = Vec::new();
    for (key, lock) in &locks {
        if !lock.check(&clock, &mut findings) {
            undecided.push(format!("{key}: too many ways to explain requests without an answer"));
        }
        for (name, count) in lock.counts() {
            *counts.entry(name.to_string()).or_insert(0) += count;
        }
    }
    let fenced = fencing::check(history, &mut findings);
    for (name, count) in fenced.counts {
        counts.insert(name.to_string(), count);
    }
    undecided.extend(fenced.undecided);
    let granted = counts.get("granted").copied().unwrap_or(0);
    let (verdict, summary) = match granted {
        0 => (Verdict::Unknown, "no lock was granted: nothing is known".to_string()),
        _ if !undecided.is_empty() => (Verdict::Unknown, undecided.swap_remove(0)),
        _ => {
            let locks = locks.len();
            (Verdict::Pass, format!("{granted} grants of {locks} locks, no two at the same time"))
        }
    };
    let judgement = findings.judge(NAME, verdict, summary, |found| tell(history, found));
    let mut judgement = with_searched(judgement, fenced.searched);
    judgement.counts = counts;
    judgement
}

/// Judges what the locks protect as registers, whoever held which lock.
pub fn check_values(history: &History) -> Judgement {
    linearizable::check_registers(&as_registers(history))
}

/// Looks for acknowledged writes to what the locks protect that are gone at the end.
pub fn check_lost(history: &History) -> Judgement {
    lost_write::check_registers(&as_registers(history))
}

/// The same operations, under the same ids, with guarded writes and reads as plain ones. A write that
/// was refused did not happen; what was done to the locks is left out, as a read of unknown outcome says
/// nothing.
fn as_registers(history: &History) -> History {
    let plain = |operation: &Operation| {
        let mut operation = operation.clone();
        match operation.op {
            Op::WriteGuarded { resource, value, .. } => {
                operation.op = Op::Write { key: resource, value };
                if operation.outcome == Outcome::Ok(Reply::StaleToken) {
                    operation.outcome = Outcome::Fail(Reason::new("stale-token"));
                }
            }
            Op::ReadGuarded { resource, consistency } => {
                operation.op = Op::Read { key: resource, consistency };
            }
            Op::Acquire { lock, .. } | Op::Renew { lock, .. } | Op::Release { lock, .. } => {
                operation.op = Op::Read { key: lock, consistency: Default::default() };
                operation.outcome = Outcome::Info(Reason::new("no-register"));
            }
            _ => {}
        }
        operation
    };
    let operations = history.operations.iter().map(plain).collect();
    History {
        header: history.header.clone(),
        operations: Operations::in_order(operations),
        complete: history.complete,
    }
}

/// Which event was the first at or after a time.
struct Clock {
    /// By place. Times of a file that go back are taken for the greatest before them, which makes the
    /// holder of a lock hold it for shorter and never for longer.
    events: Vec<(Place, u64)>,
}

impl Clock {
    fn of(history: &History) -> Clock {
        let mut events: Vec<(Place, u64)> = history
            .operations
            .iter()
            .flat_map(|operation| [Some(operation.invoked), operation.completed])
            .flatten()
            .map(|stamp| (stamp.seq.saturating_add(1), stamp.at.0))
            .collect();
        events.sort_unstable();
        let mut latest = 0;
        for (_, at) in &mut events {
            latest = latest.max(*at);
            *at = latest;
        }
        Clock { events }
    }

    /// The place of the first event at or after a time in microseconds; after everything if there is
    /// none.
    fn place(&self, at: u64) -> Place {
        let index = self.events.partition_point(|event| event.1 < at);
        self.events.get(index).map_or(super::versions::NEVER, |event| event.0)
    }
}

/// Why a lock is certainly held from one operation to another.
#[derive(Clone, Copy, Debug)]
struct Hold {
    holder: ClientId,
    token: Token,
    /// The one by whose end it was held.
    first: OperationId,
    /// The one at whose beginning it was still held, or with which its time to live began.
    last: OperationId,
    /// With its time to live, in milliseconds, if that is why.
    ttl_ms: Option<u32>,
    /// The grant or renewal within whose time it was, if a release is the last one.
    renewed: Option<OperationId>,
    /// Who asked for it.
    acquire: Option<OperationId>,
}

#[derive(Clone, Copy, Debug)]
enum Proof {
    /// Held while another held it.
    Overlap(Hold, Hold),
    /// Said to be gone while it was held.
    Gone(Hold),
    /// Two grants with one token.
    SameToken(Hold, Hold),
    /// A grant with a greater token was over before this one was asked for.
    Smaller { earlier: Hold, later: Hold },
    /// An answer names a holder who did not ask for it, or not by then.
    Unasked { holder: ClientId, token: Token, asked: Option<OperationId> },
    /// An answer names a holder who had given it back.
    GivenBack {
        holder: ClientId,
        token: Token,
        acquire: Option<OperationId>,
        released: OperationId,
    },
    /// A write was accepted although `newer` had shown a greater token; `written` is the write under
    /// that token, if `newer` is a read.
    Accepted { newer: OperationId, written: OperationId },
    /// A read saw the value of an older token after the newer one was in place.
    Overwrote { newer: OperationId, written: OperationId, older: OperationId },
    /// A write was refused although nobody had sent a greater token.
    Refused,
    /// A lock was denied to its own holder.
    OwnLock,
    /// Two releases under one token were answered that they gave it back.
    GivenBackTwice { one: OperationId },
    /// This holder had the lock under this token before another one can have given it back.
    Succession { wait: Wait, acquire: Option<OperationId>, holder: ClientId, token: Token },
    /// Found not held while it was held, whatever its tenure began with.
    HeldThroughout { wait: Wait },
    /// More tenures of one holder than it has asked for.
    TooFewRequests { holder: ClientId, token: Token },
    /// No way to give requests without an answer to tenures explains all of them.
    NoOrder,
}

fn push(
    findings: &mut Findings<Proof>,
    kind: AnomalyKind,
    culprit: OperationId,
    (operations, span): (u64, u64),
    proof: Proof,
) {
    findings.push(Candidate { kind, culprit, rank: Rank { operations, span }, proof });
}

fn tell(history: &History, found: &Candidate<Proof>) -> Anomaly {
    let culprit = found.culprit;
    let whole = |id: OperationId| story::operation(history.operation(id));
    let after = |id: OperationId| story::later(history.operation(id));
    let (mut operations, text) = match found.proof {
        Proof::Overlap(one, other) => (
            [one.operations(), other.operations()].concat(),
            vec![
                format!("{}.", one.tell(history)),
                format!(
                    "{}: {} and {} held it at the same time.",
                    other.tell(history),
                    one.holder,
                    other.holder
                ),
            ],
        ),
        Proof::Gone(hold) => (
            hold.operations(),
            vec![format!("{}.", hold.tell(history)), format!("But {}.", whole(culprit))],
        ),
        Proof::SameToken(one, other) => (
            [one.operations(), other.operations()].concat(),
            vec![format!(
                "{}; {}: {} was given twice.",
                whole(one.first),
                whole(other.first),
                one.token
            )],
        ),
        Proof::Smaller { earlier, later } => (
            [earlier.operations(), later.operations()].concat(),
            vec![format!(
                "{}; only then {}, and token {} is smaller than {}.",
                whole(earlier.first),
                after(later.first),
                later.token,
                earlier.token
            )],
        ),
        Proof::Unasked { holder, token, asked } => (
            asked.into_iter().collect(),
            match asked {
                Some(asked) => vec![format!("{}; only then {}.", whole(culprit), after(asked))],
                None => vec![format!(
                    "{}; {holder} never asked for it in a way that could have given it token {token}.",
                    whole(culprit)
                )],
            },
        ),
        Proof::GivenBack { holder, token, acquire, released } => (
            [acquire, Some(released)].into_iter().flatten().collect(),
            vec![format!(
                "{}; only then {}: {holder} had given it back, and token {token} is never given \
                 again.",
                whole(released),
                after(culprit)
            )],
        ),
        Proof::Accepted { newer, written } => (
            vec![newer, written],
            match newer == written {
                true => vec![format!("{}; only then {}.", whole(newer), after(culprit))],
                false => vec![format!(
                    "{}, and {}; only then {}.",
                    whole(written),
                    whole(newer),
                    after(culprit)
                )],
            },
        ),
        Proof::Overwrote { newer, written, older } => {
            (vec![newer, written, older], overwrote(history, [older, written, newer, culprit]))
        }
        Proof::Refused => (
            Vec::new(),
            vec![format!("{}; nobody had sent a greater token by then.", whole(culprit))],
        ),
        Proof::OwnLock => {
            (Vec::new(), vec![format!("{}: it was denied its own lock.", whole(culprit))])
        }
        Proof::GivenBackTwice { one } => (
            vec![one],
            vec![format!("{}; {}: one tenure was given back twice.", whole(one), whole(culprit))],
        ),
        Proof::Succession { wait, acquire, holder, token } => {
            let (other, smaller, waits) = (wait.holder, wait.token, wait.tell(history));
            let text = match found.kind {
                AnomalyKind::TokenOrder => vec![
                    format!("{}.", whole(culprit)),
                    format!(
                        "{waits}; but {smaller} is smaller than {token}, so {other}'s time under \
                         {smaller} was to be over before {holder} was given {token}."
                    ),
                ],
                AnomalyKind::LockLost => vec![
                    format!("{waits}."),
                    format!(
                        "{}: {holder} had it under both tokens at the same time.",
                        whole(culprit)
                    ),
                ],
                _ => {
                    vec![
                        format!("{waits}."),
                        format!(
                            "{}: {other} and {holder} held it at the same time.",
                            whole(culprit)
                        ),
                    ]
                }
            };
            (acquire.into_iter().chain(wait.operations()).collect(), text)
        }
        Proof::HeldThroughout { wait } => (
            wait.operations().collect(),
            vec![format!("{}.", wait.tell(history)), format!("But {}.", whole(culprit))],
        ),
        Proof::TooFewRequests { holder, token } => (
            about(history, culprit, Some(holder)),
            vec![format!(
                "{}; but each token takes a request of its own, and every request of {holder} that could \
                 have led to {token} is needed for one of its smaller tokens.",
                whole(culprit)
            )],
        ),
        Proof::NoOrder => (
            about(history, culprit, None),
            vec![format!(
                "{}: in whatever way the requests that were never answered are given to tenures, no \
                 order of them has a place for this one.",
                whole(culprit)
            )],
        ),
    };
    operations.push(culprit);
    operations.sort_unstable();
    operations.dedup();
    Anomaly {
        kind: found.kind,
        key: history.operation(culprit).op.key().clone(),
        culprit,
        operations,
        swaps: Vec::new(),
        story: text,
    }
}

/// How a write under an older token came after one under a newer: `newer` shows that the newer was in
/// place, and the read saw the value of the older.
fn overwrote(history: &History, [older, written, newer, read]: [OperationId; 4]) -> Vec<String> {
    let operation = |id: OperationId| history.operation(id);
    let token = |id: OperationId| match &operation(id).op {
        Op::WriteGuarded { token, .. } => format!("token {}", token),
        other => other.to_string(),
    };
    let mut clauses = vec![older, written];
    clauses.sort_by_key(|id| operation(*id).invoked.seq);
    if newer != written {
        clauses.push(newer);
    }
    let told: Vec<String> = clauses.iter().map(|id| story::operation(operation(*id))).collect();
    // A refusal shows some greater token, and not whose.
    let was_refused = operation(newer).reply() == Some(&Reply::StaleToken);
    let greater =
        if was_refused { "a greater one".to_string() } else { format!("{}'s", token(written)) };
    vec![
        format!("{}.", told.join("; ")),
        format!(
            "{}: {}'s write came after {greater}, and should have been refused.",
            story::operation(operation(read)),
            token(older)
        ),
    ]
}

/// The operations on the lock of another one that are about a token no greater than its own or may be, of
/// one holder or of all.
fn about(history: &History, culprit: OperationId, holder: Option<ClientId>) -> Vec<OperationId> {
    let culprit = history.operation(culprit);
    let named = |operation: &Operation| match (&operation.op, operation.reply()) {
        (Op::Acquire { .. }, Some(Reply::Denied { holder, token })) => {
            Some((*holder, Some(*token)))
        }
        (Op::Acquire { holder, .. }, Some(Reply::Granted { token })) => {
            Some((*holder, Some(*token)))
        }
        (Op::Acquire { holder, .. }, None) => Some((*holder, None)),
        (Op::Renew { holder, token, .. } | Op::Release { holder, token, .. }, _) => {
            Some((*holder, Some(*token)))
        }
        _ => None,
    };
    let own = named(culprit).and_then(|(_, token)| token);
    let of_it = history.operations.iter().filter(|operation| {
        let is_concerned = |(of, token): (ClientId, Option<Token>)| {
            token.is_none_or(|token| Some(token) <= own) && holder.is_none_or(|holder| of == holder)
        };
        operation.op.key() == culprit.op.key()
            && !matches!(operation.outcome, Outcome::Fail(_))
            && named(operation).is_some_and(is_concerned)
    });
    of_it.map(|operation| operation.id).collect()
}

impl Wait {
    fn operations(&self) -> impl Iterator<Item = OperationId> {
        [Some(self.begun), Some(self.first), Some(self.by)].into_iter().chain(self.shown).flatten()
    }

    /// Why the lock cannot have been given to the next one earlier.
    fn tell(&self, history: &History) -> String {
        let Wait { holder, token, by, first, begun, .. } = *self;
        let [waits_for, shows] = [by, first].map(|id| story::operation(history.operation(id)));
        match self.why {
            Why::Asked if first == by => format!("Only then {waits_for}"),
            Why::Asked => format!("Only then {waits_for}, and {shows}"),
            Why::Seen => format!("Only then {waits_for}"),
            Why::Missed => {
                format!("Only then {waits_for}: its time under {token} had yet to come, as {shows}")
            }
            Why::GivenBack => format!("{shows}; only then {waits_for}"),
            Why::TimeToLive(ttl_ms) => {
                let (ttl_ms, acquire) = (Some(ttl_ms), Some(begun));
                let renewed = None;
                Hold { holder, token, first, last: by, ttl_ms, renewed, acquire }.tell(history)
            }
        }
    }
}

impl Hold {
    fn operations(&self) -> Vec<OperationId> {
        [self.acquire, Some(self.first), self.renewed, Some(self.last)]
            .into_iter()
            .flatten()
            .collect()
    }

    /// "c1 acquired l0 under token 3 at n1, acknowledged at 1.2 s, and holds it until 1.6 s at least,
    /// 400 ms from when it asked".
    fn tell(&self, history: &History) -> String {
        let first = story::operation(history.operation(self.first));
        let last = history.operation(self.last);
        let (holder, begin) = (self.holder, story::at(last.invoked.at));
        match self.ttl_ms {
            Some(ttl) => {
                let until =
                    crate::history::Micros(last.invoked.at.0.saturating_add(u64::from(ttl) * 1000));
                let what = match last.op {
                    Op::Renew { .. } => "when it asked for a renewal",
                    _ => "when it asked for it",
                };
                format!(
                    "{first}; {holder} holds it until {} at least, {ttl} ms from {begin}, {what}",
                    story::at(until)
                )
            }
            None if self.first == self.last => first,
            None => {
                let again = self
                    .renewed
                    .filter(|by| ![Some(self.first), self.acquire].contains(&Some(*by)));
                let again = again.map(|by| story::operation(history.operation(by)));
                let again = again.map_or_else(String::new, |again| format!("{again}; "));
                let last = story::operation(last);
                format!("{first}; {again}{holder} held it until {begin} at least, as {last}")
            }
        }
    }
}
