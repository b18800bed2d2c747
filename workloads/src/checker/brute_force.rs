//! The second judge: tries every order of the few operations of a minimal history.
//!
//! It shares nothing with the checkers but the vocabulary, not even the reader of the file, so that
//! a wrong proof needs two wrong programs. The model is a map from keys to values, to lists and to
//! queues; every operation
//! takes effect at one instant between its lines in the file; one that ended `info` may take effect
//! at any later instant or never, one that failed never does, but a compare-and-set that failed by
//! `mismatch` did not find what it expected. A read that may be so old may take effect so much before
//! its line. Local reads are not ordered; two
//! final ones of different nodes that differ are a contradiction by themselves.
//!
//! The harness calls [`judge_file`] with the text of a counterexample before it is printed.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::rc::Rc;

use rustc_hash::FxHashSet;
use serde::Deserialize;

use crate::operation::{
    ClientId, Condition, Consistency, Key, NodeId, Op, Outcome, Reason, Reply, RequestKey, Step,
    StepReply, Token, Value,
};

/// More operations than this are not tried. A set of operations is one machine word, and orders
/// grow exponentially beyond any patience long before.
pub const OPERATIONS_MAX: usize = 64;

/// More states than this are not visited: some seconds, some hundred megabytes.
const STATES_MAX: u64 = 2_000_000;

/// What trying every order gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BruteForce {
    /// Whether some order explains every answer.
    pub possible: bool,
    /// How many steps of orders were tried.
    pub orders_tried: u64,
    /// How many operations the file has.
    pub operations: usize,
}

/// Judges the text of a history file that is a part of a longer one.
///
/// What was left out leaves registers, sets and lists as they are, since every value has one write.
/// Not so counters: somebody left out may have added to one at any time, so all that is asked of
/// them is that they grow.
///
/// # Errors
///
/// One line: the file is no complete history, has more than [`OPERATIONS_MAX`] operations, or
/// needs more states than are tried; nothing is then known.
pub fn judge_file(text: &str) -> Result<BruteForce, String> {
    judge(text, true)
}

/// Judges the text of a history file of which nothing was left out.
///
/// # Errors
///
/// As [`judge_file`].
pub fn judge_whole_file(text: &str) -> Result<BruteForce, String> {
    judge(text, false)
}

fn judge(text: &str, is_part: bool) -> Result<BruteForce, String> {
    judge_recorded(parse(text)?, is_part)
}

/// The same of operations that were read already. The fuzzers hand in what they made, as writing and
/// reading a file takes longer than all the rest.
pub(super) fn judge_recorded(
    operations: Vec<Recorded>,
    is_part: bool,
) -> Result<BruteForce, String> {
    if operations.len() > OPERATIONS_MAX {
        return Err(format!(
            "undecided: expected at most {OPERATIONS_MAX} operations to try in every order, got {}",
            operations.len()
        ));
    }
    let count = operations.len();
    if nodes_differ(&operations) {
        return Ok(BruteForce { possible: false, orders_tried: 0, operations: count });
    }
    let ordered: Vec<Recorded> = operations
        .into_iter()
        .filter(|operation| !is_local(&operation.op))
        .filter(|it| it.is_mismatch() || !matches!(it.outcome, Some(Outcome::Fail(_))))
        .collect();
    let certain = ordered.iter().map(Recorded::is_certain).collect();
    let counter = |it: &Recorded| match &it.op {
        Op::Increment { key, .. } if is_part => Some(key.clone()),
        _ => None,
    };
    let growing: BTreeSet<Key> = ordered.iter().filter_map(counter).collect();
    let growing = ordered.iter().map(|it| growing.contains(it.op.key())).collect();
    let mut search =
        Search { operations: &ordered, certain, growing, visited: FxHashSet::default(), tried: 0 };
    let possible = search.extend(0, &State::default())?;
    Ok(BruteForce { possible, orders_tried: search.tried, operations: count })
}

/// One operation of a file, numbered by lines: an event is a line.
pub(super) struct Recorded {
    pub(super) op: Op,
    pub(super) node: Option<NodeId>,
    pub(super) is_final: bool,
    pub(super) began: usize,
    /// When, in microseconds; locks have a time to live.
    pub(super) began_at: u64,
    /// The line of its completion; of one that is still open, none.
    pub(super) ended: Option<usize>,
    pub(super) ended_at: u64,
    pub(super) outcome: Option<Outcome>,
}

impl Recorded {
    /// The answer of one that certainly happened.
    fn reply(&self) -> Option<&Reply> {
        match &self.outcome {
            Some(Outcome::Ok(reply)) => Some(reply),
            _ => None,
        }
    }

    /// Lets a read that may be so old begin so much earlier: with the first line at that time or
    /// later. `times` has the time of every line.
    fn look_back(&mut self, times: &[u64]) {
        let Op::Read { consistency: Consistency::Bounded(ms), .. } = self.op else { return };
        let since = self.began_at.saturating_sub(u64::from(ms) * 1000);
        let early = (1..self.began).find(|line| times[*line] >= since);
        self.began = early.unwrap_or(self.began);
    }

    /// Whether it was refused without saying what the key held.
    fn is_mismatch(&self) -> bool {
        matches!(self.op, Op::CompareAndSet { .. })
            && matches!(&self.outcome, Some(Outcome::Fail(reason)) if &*reason.0 == "mismatch")
    }

    /// Whether it must have its place in the order.
    fn is_certain(&self) -> bool {
        self.reply().is_some() || self.is_mismatch()
    }
}

/// A map that states share until one of them changes it.
type Shared<T> = Rc<BTreeMap<Key, T>>;

/// What the store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct State {
    values: Shared<Value>,
    lists: Shared<Vec<Value>>,
    queues: Shared<VecDeque<Value>>,
    /// The requests that were done under an idempotency key.
    done: Rc<BTreeSet<RequestKey>>,
    locks: Shared<Lease>,
    /// The greatest token of each lock that is known to have been granted.
    granted: Shared<Token>,
    /// The greatest token that each resource has seen.
    guarded: Shared<Token>,
    /// When the last operation on a lock took effect: as early as the order allows, which is never
    /// worse than later. It stays 0 without locks.
    now: u64,
}

/// A lock that is held.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Lease {
    holder: ClientId,
    /// Unknown until an answer tells it.
    token: Option<Token>,
    ttl: u64,
    /// When it may have run out.
    until: u64,
    /// Tokens that it was said not to have, while its own was unknown.
    others: BTreeSet<Token>,
}

struct Search<'o> {
    operations: &'o [Recorded],
    /// Of each operation, whether it must have its place in the order.
    certain: Vec<bool>,
    /// Of each operation, whether it is on a counter to which somebody left out may have added.
    growing: Vec<bool>,
    visited: FxHashSet<(u64, State)>,
    tried: u64,
}

impl Search<'_> {
    /// Whether the operations in `done`, which led to `state`, can be extended to a whole order.
    fn extend(&mut self, done: u64, state: &State) -> Result<bool, String> {
        let count = self.operations.len();
        let is_left = |index: &usize| done & (1 << index) == 0;
        // Whatever is left must begin before the first of those that must come has ended.
        let must = (0..count).filter(is_left).filter(|index| self.certain[*index]);
        let deadline = must.filter_map(|index| self.operations[index].ended).min();
        let Some(deadline) = deadline else { return Ok(true) };
        if !self.visited.insert((done, state.clone())) {
            return Ok(false);
        }
        if self.visited.len() as u64 > STATES_MAX {
            return Err(format!("undecided: more than {STATES_MAX} states"));
        }
        if self.run_out(done, state)? {
            return Ok(true);
        }
        for index in (0..count).filter(is_left) {
            let operation = &self.operations[index];
            if operation.began > deadline {
                continue;
            }
            self.tried += 1;
            let mut next = state.clone();
            let apply = if self.growing[index] { grow } else { apply };
            if apply(operation, &mut next) && self.extend(done | (1 << index), &next)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a whole order exists if the time of some lock that is held is over now.
    fn run_out(&mut self, done: u64, state: &State) -> Result<bool, String> {
        if state.locks.is_empty() {
            return Ok(false);
        }
        let left = (0..self.operations.len()).filter(|index| done & (1 << index) == 0);
        let must = left.filter(|index| self.certain[*index]);
        let deadline = must.map(|index| self.operations[index].ended_at).min();
        let deadline = deadline.unwrap_or(u64::MAX);
        for (key, lease) in state.locks.iter() {
            if lease.until > deadline {
                continue;
            }
            self.tried += 1;
            let mut next = state.clone();
            next.now = next.now.max(lease.until);
            Rc::make_mut(&mut next.locks).remove(key);
            if self.extend(done, &next)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Does one operation on a lock or on what it protects; `None` if it is on something else, `false` if
/// a lock service would not have answered so.
fn guarded(operation: &Recorded, state: &mut State) -> Option<bool> {
    let reply = operation.reply();
    if matches!(operation.op, Op::Acquire { .. } | Op::Renew { .. } | Op::Release { .. }) {
        state.now = state.now.max(operation.began_at);
        if operation.ended.is_some() && operation.is_certain() && state.now > operation.ended_at {
            return Some(false);
        }
    }
    // A holder can rely on no more than the time since it asked.
    let sent = operation.began_at;
    let said = match reply {
        Some(Reply::WasHeld(held)) => Some(*held),
        _ => None,
    };
    Some(match &operation.op {
        Op::Acquire { lock, holder, ttl_ms } => {
            let ttl = u64::from(*ttl_ms) * 1000;
            match Rc::make_mut(&mut state.locks).get_mut(lock) {
                Some(lease) if lease.holder != *holder => match reply {
                    None => true,
                    Some(Reply::Denied { holder, token }) => {
                        *holder == lease.holder && state.is_token(lock, *token)
                    }
                    Some(_) => false,
                },
                Some(lease) => {
                    lease.until = lease.until.max(sent.saturating_add(lease.ttl));
                    match reply {
                        None => true,
                        Some(Reply::Granted { token }) => state.is_token(lock, *token),
                        Some(_) => false,
                    }
                }
                None => {
                    let (until, others) = (sent.saturating_add(ttl), BTreeSet::new());
                    let lease = Lease { holder: *holder, token: None, ttl, until, others };
                    Rc::make_mut(&mut state.locks).insert(lock.clone(), lease);
                    match reply {
                        None => true,
                        Some(Reply::Granted { token }) => state.is_token(lock, *token),
                        Some(_) => false,
                    }
                }
            }
        }
        Op::Renew { lock, holder, token } => {
            let held = state.is_held(lock, *holder, *token, said);
            if let (true, Some(lease)) = (held, Rc::make_mut(&mut state.locks).get_mut(lock)) {
                lease.until = lease.until.max(sent.saturating_add(lease.ttl));
            }
            reply.is_none_or(|reply| *reply == Reply::WasHeld(held))
        }
        Op::Release { lock, holder, token } => {
            let held = state.is_held(lock, *holder, *token, said);
            if held {
                Rc::make_mut(&mut state.locks).remove(lock);
            }
            reply.is_none_or(|reply| *reply == Reply::WasHeld(held))
        }
        Op::WriteGuarded { resource, value, token } => {
            let greatest = state.guarded.get(resource).copied().unwrap_or(Token(0));
            let accepted = *token >= greatest;
            if accepted {
                Rc::make_mut(&mut state.values).insert(resource.clone(), *value);
                Rc::make_mut(&mut state.guarded).insert(resource.clone(), *token);
            }
            let answer = if accepted { Reply::Written } else { Reply::StaleToken };
            reply.is_none_or(|reply| *reply == answer)
        }
        _ => return None,
    })
}

/// Does one operation on a counter that others may add to; `false` if it would have shrunk.
fn grow(operation: &Recorded, state: &mut State) -> bool {
    let held = state.values.get(operation.op.key()).copied().unwrap_or(Value(0));
    let (seen, least) = match operation.reply() {
        Some(Reply::Incremented(sum)) => (*sum, held.0.saturating_add(1)),
        Some(Reply::Read(value)) => (value.unwrap_or(Value(0)), held.0),
        // Whatever it added, others may have added as well.
        _ => return true,
    };
    Rc::make_mut(&mut state.values).insert(operation.op.key().clone(), seen);
    seen.0 >= least
}

/// Does one operation; `false` if its answer is not what the map answers.
fn apply(operation: &Recorded, state: &mut State) -> bool {
    if let (Op::CompareAndSet { key, expect, .. }, true) = (&operation.op, operation.is_mismatch())
    {
        return state.values.get(key) != expect.as_ref();
    }
    if is_missed(operation) {
        return true;
    }
    if let Some(fits) = guarded(operation, state) {
        return fits;
    }
    let answer = answer(&operation.op, state);
    operation.reply().is_none_or(|reply| answer.as_ref().is_none_or(|answer| answer == reply))
}

/// Whether it was answered that nothing was done, since somebody else was first. The place that it
/// asked for is not part of the model of a queue, so this is always right.
fn is_missed(operation: &Recorded) -> bool {
    matches!(operation.reply(), Some(Reply::Missed { .. }))
}

/// Does what was asked and says what the map answers; `None` for what may be answered anyhow: a
/// request that was done before.
fn answer(op: &Op, state: &mut State) -> Option<Reply> {
    Some(match op {
        Op::Read { key, .. } | Op::ReadGuarded { resource: key, .. } => {
            Reply::Read(state.values.get(key).copied())
        }
        // Of these `guarded` says it.
        Op::Acquire { .. } | Op::Renew { .. } | Op::Release { .. } | Op::WriteGuarded { .. } => {
            return None;
        }
        Op::Write { key, value } => {
            Rc::make_mut(&mut state.values).insert(key.clone(), *value);
            Reply::Written
        }
        Op::CompareAndSet { key, expect, value } => {
            let observed = state.values.get(key).copied();
            let swapped = observed == *expect;
            if swapped {
                Rc::make_mut(&mut state.values).insert(key.clone(), *value);
            }
            Reply::Compared { swapped, observed }
        }
        Op::Delete { key } => {
            state.remove(key);
            Reply::Deleted
        }
        Op::List { prefix, .. } => {
            let under = |entry: &(&Key, &Value)| entry.0.as_str().starts_with(prefix.as_str());
            Reply::Listed(state.values.iter().filter(under).map(|entry| *entry.1).collect())
        }
        Op::Increment { key, by } => Reply::Incremented(state.increment(key, *by)),
        Op::Append { key, value } => {
            state.append(key, *value);
            Reply::Appended
        }
        Op::ReadList { key, .. } => Reply::Listed(state.list(key)),
        Op::Enqueue { queue, value, .. } => {
            Rc::make_mut(&mut state.queues).entry(queue.clone()).or_default().push_back(*value);
            Reply::Enqueued
        }
        Op::Dequeue { queue, .. } => Reply::Dequeued(
            Rc::make_mut(&mut state.queues).get_mut(queue).and_then(VecDeque::pop_front),
        ),
        Op::ReadQueue { queue, .. } => {
            let elements = state.queues.get(queue).into_iter().flatten();
            Reply::Listed(elements.copied().collect())
        }
        Op::Transaction(transaction) => {
            let holds = |Condition(key, value): &Condition| state.values.get(key) == value.as_ref();
            let succeeded = transaction.conditions.iter().all(holds);
            let steps = transaction.side(succeeded).iter();
            let results = steps.map(|step| state.step(step)).collect();
            Reply::Transacted { succeeded, results }
        }
        Op::Once { request, op } => {
            if !Rc::make_mut(&mut state.done).insert(*request) {
                return None;
            }
            return answer(op, state);
        }
    })
}

impl State {
    /// Whether a lock that is held has this token, which becomes known if it was not: then it must be
    /// greater than all that are known.
    fn is_token(&mut self, lock: &Key, token: Token) -> bool {
        let Some(lease) = Rc::make_mut(&mut self.locks).get_mut(lock) else { return false };
        if let Some(known) = lease.token {
            return known == token;
        }
        if lease.others.contains(&token) {
            return false;
        }
        lease.token = Some(token);
        let before = Rc::make_mut(&mut self.granted).insert(lock.clone(), token);
        before.is_none_or(|before| before < token)
    }

    /// Whether a lock is held by this client under this token, as somebody was answered or, without
    /// an answer, as it may be.
    fn is_held(&mut self, lock: &Key, holder: ClientId, token: Token, said: Option<bool>) -> bool {
        let leases = Rc::make_mut(&mut self.locks);
        let Some(lease) = leases.get_mut(lock).filter(|lease| lease.holder == holder) else {
            return false;
        };
        match (lease.token, said) {
            (Some(known), _) => known == token,
            // Who is told that it is not held is told that the token is another one.
            (None, Some(false)) => {
                lease.others.insert(token);
                false
            }
            (None, Some(true)) => self.is_token(lock, token),
            (None, None) => true,
        }
    }

    fn step(&mut self, step: &Step) -> StepReply {
        match step {
            Step::Read(key) => return StepReply::Read(self.values.get(key).copied()),
            Step::ReadList(key) => return StepReply::Listed(self.list(key)),
            Step::Increment(key, by) => return StepReply::Incremented(self.increment(key, *by)),
            Step::Write(key, value) => {
                Rc::make_mut(&mut self.values).insert(key.clone(), *value);
            }
            Step::Delete(key) => self.remove(key),
            Step::Append(key, value) => self.append(key, *value),
        }
        StepReply::Done
    }

    fn increment(&mut self, key: &Key, by: i64) -> Value {
        let sum = Rc::make_mut(&mut self.values).entry(key.clone()).or_insert(Value(0));
        sum.0 = sum.0.wrapping_add(by);
        *sum
    }

    fn append(&mut self, key: &Key, value: Value) {
        Rc::make_mut(&mut self.lists).entry(key.clone()).or_default().push(value);
    }

    fn list(&self, key: &Key) -> Vec<Value> {
        self.lists.get(key).cloned().unwrap_or_default()
    }

    fn remove(&mut self, key: &Key) {
        Rc::make_mut(&mut self.values).remove(key);
        Rc::make_mut(&mut self.lists).remove(key);
    }
}

/// Whether two final local reads of one thing at different nodes differ.
fn nodes_differ(operations: &[Recorded]) -> bool {
    let local: Vec<&Recorded> = operations
        .iter()
        .filter(|it| it.is_final && is_local(&it.op) && it.reply().is_some() && it.node.is_some())
        .collect();
    local.iter().any(|one| {
        local
            .iter()
            .any(|two| one.op == two.op && one.node != two.node && one.reply() != two.reply())
    })
}

fn is_local(op: &Op) -> bool {
    matches!(
        op,
        Op::Read { consistency: Consistency::Local, .. }
            | Op::List { consistency: Consistency::Local, .. }
            | Op::ReadList { consistency: Consistency::Local, .. }
            | Op::ReadQueue { consistency: Consistency::Local, .. }
            | Op::ReadGuarded { consistency: Consistency::Local, .. }
    )
}

/// A line of the file: only what is needed here.
#[derive(Deserialize)]
struct Event {
    seq: Option<u64>,
    us: Option<u64>,
    client: Option<ClientId>,
    node: Option<NodeId>,
    #[serde(rename = "final", default)]
    is_final: bool,
    invoke: Option<Op>,
    ok: Option<Reply>,
    fail: Option<Reason>,
    info: Option<Reason>,
    end: Option<End>,
}

#[derive(Deserialize)]
struct End {
    events: usize,
}

fn parse(text: &str) -> Result<Vec<Recorded>, String> {
    let mut lines = text.lines();
    if !lines.next().unwrap_or_default().starts_with("{\"history\":1,") {
        return Err("undecided: the file does not begin with a header of version 1".to_string());
    }
    let mut operations: Vec<Recorded> = Vec::new();
    let mut open: HashMap<ClientId, usize> = HashMap::new();
    let (mut events, mut last_seq) = (0, None);
    let mut times = vec![0];
    for line in lines {
        events += 1;
        let event: Event = serde_json::from_str(line)
            .map_err(|error| format!("undecided: line {}: {error}", events + 1))?;
        times.push(event.us.unwrap_or(0));
        if let Some(end) = event.end {
            for operation in &mut operations {
                operation.look_back(&times);
            }
            return match end.events + 1 == events {
                true => Ok(operations),
                false => Err(format!("undecided: {} events of {}", events - 1, end.events)),
            };
        }
        let broken = || format!("undecided: line {} does not follow from the others", events + 1);
        let client = event.client.ok_or_else(broken)?;
        if event.seq.is_none() || event.seq <= last_seq {
            return Err(broken());
        }
        last_seq = event.seq;
        let outcome = event.ok.map(Outcome::Ok);
        let outcome = outcome.or(event.fail.map(Outcome::Fail)).or(event.info.map(Outcome::Info));
        match (event.invoke, outcome) {
            (Some(op), None) => {
                if open.insert(client, operations.len()).is_some() {
                    return Err(broken());
                }
                let (node, is_final) = (event.node, event.is_final);
                let (began, ended, outcome) = (events, None, None);
                let (began_at, ended_at) = (event.us.unwrap_or(0), u64::MAX);
                operations.push(Recorded {
                    op,
                    node,
                    is_final,
                    began,
                    began_at,
                    ended,
                    ended_at,
                    outcome,
                });
            }
            (None, outcome @ Some(_)) => {
                let index = open.remove(&client).ok_or_else(broken)?;
                operations[index].ended = Some(events);
                operations[index].ended_at = event.us.unwrap_or(0);
                operations[index].outcome = outcome;
            }
            _ => return Err(broken()),
        }
    }
    Err("undecided: the file has no trailer".to_string())
}
