//! What the tests of the checkers share: histories written by hand, and random small ones.

use std::cell::RefCell;

use rand::RngExt;

use super::brute_force::{self, Recorded};
use crate::history::{
    FORMAT_VERSION, Header, History, MISMATCH, Micros, Operation, OperationId, Operations, Stamp,
    jsonl,
};
use crate::operation::{
    ClientId, Condition, Consistency, Key, NodeId, Op, Outcome, Reason, Reply, RequestKey, Step,
    StepReply, Token, Transaction, Value,
};
use crate::seed::Stream;

/// Makes a history of lines such as these; times are milliseconds, and no two may be equal.
///
/// ```text
/// c1 n1 10-20 write r1=5
/// c2 n2 11-?  write r1=6            never answered
/// c2 n2 11-15 write r1=7 fail
/// c3 n1 21-25 cas r1 5>6            swapped
/// c3 n1 21-25 cas r1 5>6 saw 9      refused
/// c3 n1 21-25 cas r1 5>6 over 9     swapped, but saw something else
/// c4 n3 30-31 read r1=5
/// c4 n3 40-41 final local list s/ 1,2,3
/// c5 n1 50-51 add n=3               an increment by one, which made 3
/// c5 n1 52-53 append x=4
/// c5 n1 54-55 elements x 1,2,4
/// c5 n1 54-55 enqueue q=4
/// c5 n1 54-55 dequeue q=4           it was given 4
/// c5 n1 54-55 dequeue q             it found nothing
/// c5 n1 54-55 queue q 1,2,4
/// c1 n1 10-20 acquire l0 400 under 7    granted, for 400 ms
/// c2 n1 10-20 acquire l0 400 held c1 7  denied: c1 holds it under 7
/// c1 n1 30-40 renew l0 7                it was held
/// c1 n1 30-40 release l0 7 gone         it was not held any more
/// c2 n1 30-40 release l0 7 by=c1        another client asked for the holder
/// c1 n1 30-40 guarded g0=5 under 7      a write of what the lock protects
/// c1 n1 30-40 guarded g0=5 under 7 stale
/// c1 n1 30-40 protected g0=5            a read of it
/// c5 n1 56-57 once q7 append x=5    under an idempotency key
/// c6 n1 60-61 txn if:x=1 w:x=2 r:y=3 d:z i:n=4 a:l=5 l:l=1,5
/// c6 n1 62-63 txn if:x=1 w:x=2 else r:x=9    its condition did not hold
/// ```
pub(crate) fn history(workload: &str, lines: &str) -> History {
    let mut operations: Vec<Operation> =
        lines.lines().map(str::trim).filter(|l| !l.is_empty()).map(line).collect();
    let mut times: Vec<u64> = operations
        .iter()
        .flat_map(|it| [Some(it.invoked.at), it.completed.map(|stamp| stamp.at)])
        .flatten()
        .map(|at| at.0)
        .collect();
    times.sort_unstable();
    let seq = |at: Micros| times.partition_point(|time| *time < at.0) as u64;
    operations.sort_by_key(|operation| operation.invoked.at);
    for (index, operation) in operations.iter_mut().enumerate() {
        operation.id = OperationId(index as u32);
        operation.invoked.seq = seq(operation.invoked.at);
        if let Some(completed) = &mut operation.completed {
            completed.seq = seq(completed.at);
        }
    }
    let operations = Operations::in_order(operations);
    History { header: header(workload), operations, complete: true }
}

pub(crate) fn header(workload: &str) -> Header {
    Header { history: FORMAT_VERSION, workload: workload.to_string(), nodes: 3 }
}

fn line(text: &str) -> Operation {
    let mut words = text.split_whitespace().peekable();
    let mut word = || words.next().expect("a line has a client, a node, times and an operation");
    let client = ClientId(word()[1..].parse().unwrap());
    let node = Some(word().parse().unwrap());
    let (from, to) = word().split_once('-').unwrap();
    let stamp =
        |text: &str| text.parse().ok().map(|ms: u64| Stamp { seq: 0, at: Micros(ms * 1000) });
    let (invoked, completed) = (stamp(from).unwrap(), stamp(to));
    let rest: Vec<&str> = words.collect();
    let is_final = rest.contains(&"final");
    let bound = rest.iter().find_map(|it| it.strip_prefix("within="));
    let consistency = match bound {
        Some(ms) => Consistency::Bounded(ms.parse().unwrap()),
        None if rest.contains(&"local") => Consistency::Local,
        None => Consistency::Linearizable,
    };
    let said_by = rest.iter().find_map(|it| it.strip_prefix("by=c"));
    let is_word = |it: &&str| {
        !["final", "local"].contains(it) && !it.starts_with("within=") && !it.starts_with("by=c")
    };
    let rest: Vec<&str> = rest.into_iter().filter(is_word).collect();
    let (mut op, reply) = asked(&rest, consistency);
    if let Op::Acquire { holder, .. } | Op::Renew { holder, .. } | Op::Release { holder, .. } =
        &mut op
    {
        *holder = said_by.map_or(client, |holder| ClientId(holder.parse().unwrap()));
    }
    let outcome = if completed.is_none() {
        Outcome::Info(Reason::new("open"))
    } else if rest.last() == Some(&"fail") {
        Outcome::Fail(Reason::new("no-leader"))
    } else {
        Outcome::Ok(reply)
    };
    Operation { id: OperationId(0), client, node, op, is_final, invoked, completed, outcome }
}

/// What was asked, and the answer if it was answered.
fn asked(words: &[&str], consistency: Consistency) -> (Op, Reply) {
    let value = |text: &str| text.parse().ok().map(Value);
    let pair = |text: &str, at: char| {
        let (left, right) = text.split_once(at).unwrap();
        (left.to_string(), value(right))
    };
    match words {
        ["read", it] => {
            let (key, seen) = pair(it, '=');
            (Op::Read { key: Key::new(key), consistency }, Reply::Read(seen))
        }
        ["write", it, ..] => {
            let (key, written) = pair(it, '=');
            (Op::Write { key: Key::new(key), value: written.unwrap() }, Reply::Written)
        }
        ["cas", key, it, saw @ ..] => {
            let (expect, to) = pair(it, '>');
            let expect = value(&expect);
            let reply = match saw {
                ["over", saw] => Reply::Compared { swapped: true, observed: value(saw) },
                ["saw", saw] => Reply::Compared { swapped: false, observed: value(saw) },
                _ => Reply::Compared { swapped: true, observed: expect },
            };
            (Op::CompareAndSet { key: Key::new(key), expect, value: to.unwrap() }, reply)
        }
        ["list", prefix, values @ ..] => {
            let values = values.iter().flat_map(|it| it.split(',')).filter_map(value).collect();
            (Op::List { prefix: Key::new(prefix), consistency }, Reply::Listed(values))
        }
        ["delete", key] => (Op::Delete { key: Key::new(key) }, Reply::Deleted),
        ["add", it, ..] => {
            let (key, sum) = it.split_once('=').unwrap_or((it, ""));
            let sum = value(sum).unwrap_or(Value(0));
            (Op::Increment { key: Key::new(key), by: 1 }, Reply::Incremented(sum))
        }
        ["append", it, ..] => {
            let (key, element) = pair(it, '=');
            (Op::Append { key: Key::new(key), value: element.unwrap() }, Reply::Appended)
        }
        ["elements", key, values @ ..] => {
            let values = values.iter().flat_map(|it| it.split(',')).filter_map(value).collect();
            (Op::ReadList { key: Key::new(key), consistency }, Reply::Listed(values))
        }
        ["enqueue", it, ..] => {
            let (key, element) = pair(it, '=');
            let op = Op::Enqueue { queue: Key::new(key), value: element.unwrap(), at: 0 };
            (op, Reply::Enqueued)
        }
        ["dequeue", it, ..] => {
            let (key, element) = it.split_once('=').unwrap_or((it, ""));
            (Op::Dequeue { queue: Key::new(key), at: 0 }, Reply::Dequeued(value(element)))
        }
        ["queue", key, values @ ..] => {
            let values = values.iter().flat_map(|it| it.split(',')).filter_map(value).collect();
            (Op::ReadQueue { queue: Key::new(key), consistency }, Reply::Listed(values))
        }
        ["acquire", lock, ttl, answer @ ..] => {
            // Whose request it is is known to the caller, who puts it in.
            let (lock, ttl_ms) = (Key::new(lock), ttl.parse().unwrap());
            let reply = match answer {
                ["held", holder, token] => Reply::Denied {
                    holder: ClientId(holder[1..].parse().unwrap()),
                    token: Token(token.parse().unwrap()),
                },
                ["under", token] => Reply::Granted { token: Token(token.parse().unwrap()) },
                _ => Reply::Granted { token: Token(0) },
            };
            (Op::Acquire { lock, holder: ClientId(0), ttl_ms }, reply)
        }
        [kind @ ("renew" | "release"), lock, token, gone @ ..] => {
            let (lock, token) = (Key::new(lock), Token(token.parse().unwrap()));
            let holder = ClientId(0);
            let op = match *kind {
                "renew" => Op::Renew { lock, holder, token },
                _ => Op::Release { lock, holder, token },
            };
            (op, Reply::WasHeld(gone != ["gone"]))
        }
        ["guarded", it, "under", token, stale @ ..] => {
            let (key, written) = pair(it, '=');
            let (resource, token) = (Key::new(key), Token(token.parse().unwrap()));
            let op = Op::WriteGuarded { resource, value: written.unwrap(), token };
            (op, if stale == ["stale"] { Reply::StaleToken } else { Reply::Written })
        }
        ["protected", it] => {
            let (key, seen) = pair(it, '=');
            (Op::ReadGuarded { resource: Key::new(key), consistency }, Reply::Read(seen))
        }
        ["once", request, rest @ ..] => {
            let (op, reply) = asked(rest, consistency);
            let request = RequestKey(request[1..].parse().unwrap());
            (Op::Once { request, op: Box::new(op) }, reply)
        }
        ["txn", rest @ ..] => transaction(rest),
        other => panic!("cannot read {other:?}"),
    }
}

/// A transaction of words such as `a:x=5`, and what it answered.
fn transaction(words: &[&str]) -> (Op, Reply) {
    let mut transaction = Transaction::default();
    let mut results = Vec::new();
    let succeeded = !words.contains(&"else");
    let mut is_else = false;
    for word in words.iter().filter(|it| **it != "fail") {
        if *word == "else" {
            is_else = true;
            results.clear();
            continue;
        }
        let (kind, it) = word.split_once(':').unwrap();
        let (key, text) = it.split_once('=').unwrap_or((it, ""));
        let key = Key::new(key);
        let number: Option<Value> = text.parse().ok().map(Value);
        let (step, result) = match kind {
            "if" => {
                transaction.conditions.push(Condition(key, number));
                continue;
            }
            "r" => (Step::Read(key), StepReply::Read(number)),
            "w" => (Step::Write(key, number.unwrap()), StepReply::Done),
            "d" => (Step::Delete(key), StepReply::Done),
            "a" => (Step::Append(key, number.unwrap()), StepReply::Done),
            "i" => (Step::Increment(key, 1), StepReply::Incremented(number.unwrap_or(Value(0)))),
            "l" => {
                let elements = text.split(',').filter_map(|it| it.parse().ok()).map(Value);
                (Step::ReadList(key), StepReply::Listed(elements.collect()))
            }
            other => panic!("cannot read the step {other}"),
        };
        results.push(result);
        let side = if is_else { &mut transaction.otherwise } else { &mut transaction.then };
        side.push(step);
    }
    (Op::Transaction(Box::new(transaction)), Reply::Transacted { succeeded, results })
}

/// The text of a history file.
pub(crate) fn file(history: &History) -> String {
    String::from_utf8(jsonl::write(history, Vec::new()).unwrap()).unwrap()
}

/// Of every so many histories one goes to the brute force as the text of its file, as a counterexample
/// does, and must be judged there as it is without. Writing and reading files takes longer than all the
/// rest of a case.
const FILED: usize = 16;

/// Whether some order explains a history, by the brute force. `is_part` if it is one of a longer one.
///
/// # Errors
///
/// It is undecided, or the file is judged otherwise than what it is the file of.
pub(crate) fn is_possible(history: &History, is_part: bool, case: usize) -> Result<bool, String> {
    let judged = brute_force::judge_recorded(recorded(history), is_part)?;
    if case.is_multiple_of(FILED) {
        let text = file(history);
        let read = match is_part {
            true => brute_force::judge_file(&text)?,
            false => brute_force::judge_whole_file(&text)?,
        };
        if read != judged {
            return Err(format!("{judged:?}, but of its file {read:?}:\n{text}"));
        }
    }
    Ok(judged.possible)
}

/// The operations as the brute force reads them from a file.
fn recorded(history: &History) -> Vec<Recorded> {
    let recorded = |operation: &Operation| Recorded {
        op: operation.op.clone(),
        node: operation.node,
        is_final: operation.is_final,
        began: operation.invoked.seq as usize,
        began_at: operation.invoked.at.0,
        ended: operation.completed.map(|stamp| stamp.seq as usize),
        ended_at: operation.completed.map_or(u64::MAX, |stamp| stamp.at.0),
        outcome: operation.completed.map(|_| operation.outcome.clone()),
    };
    history.operations.iter().map(recorded).collect()
}

/// A key that was made once: to make one takes longer than to judge it.
pub(crate) fn key(name: &'static str) -> Key {
    thread_local! {
        static MADE: RefCell<Vec<(&'static str, Key)>> = const { RefCell::new(Vec::new()) };
    }
    MADE.with_borrow_mut(|made| match made.iter().find(|it| it.0 == name) {
        Some((_, key)) => key.clone(),
        None => {
            made.push((name, Key::new(name)));
            Key::new(name)
        }
    })
}

/// What a random history is made of.
#[derive(Clone, Copy)]
pub(crate) enum Model {
    Registers {
        keys: usize,
    },
    /// Values are written again and again, keys are deleted, and a compare-and-set may be refused
    /// without saying what it saw.
    Repeats {
        keys: usize,
    },
    /// The same of values that are written once.
    Residue {
        keys: usize,
    },
    Set,
}

/// A random history of a store that is right but for one bug in a while, then perhaps with one
/// event moved or one answer altered. Every operation has a client of its own.
pub(crate) fn random(random: &mut Stream, model: Model) -> History {
    let count = random.random_range(3..=10);
    let mut store = Store::new(random.random_range(0..3) == 0, random.random_range(3..10));
    let mut pending: Vec<Pending> = Vec::new();
    let mut operations: Vec<Operation> = Vec::new();
    let mut seq = 0;
    let width = random.random_range(2..=4);
    while operations.len() < count || pending.iter().any(|it| !it.done) {
        let open: Vec<usize> = (0..pending.len()).filter(|i| !pending[*i].done).collect();
        let may_open = operations.len() < count && open.len() < width;
        if may_open && (open.is_empty() || random.random_range(0..3) == 0) {
            let op = store.operation(random, model);
            let unknown = !op.is_read() && random.random_range(0..6) == 0;
            let invoked = Stamp { seq, at: Micros(seq * 1000) };
            seq += 1;
            let id = OperationId(operations.len() as u32);
            pending.push(Pending { reply: None, done: false, unknown });
            operations.push(Operation {
                id,
                client: ClientId(id.0),
                node: Some(NodeId(1 + (id.0 % 3) as u16)),
                op,
                is_final: false,
                invoked,
                completed: None,
                outcome: Outcome::Info(Reason::new("open")),
            });
            continue;
        }
        let index = open[random.random_range(0..open.len())];
        let it = &mut pending[index];
        match it.reply.take() {
            // An unknown operation may never happen.
            None if it.unknown && random.random_range(0..2) == 0 => it.done = true,
            None => it.reply = Some(store.answer(random, &operations[index].op)),
            Some(reply) => {
                it.done = true;
                if !it.unknown {
                    operations[index].completed = Some(Stamp { seq, at: Micros(seq * 1000) });
                    operations[index].outcome = Outcome::Ok(reply);
                    seq += 1;
                }
            }
        }
    }
    let workload = match model {
        Model::Registers { .. } | Model::Repeats { .. } | Model::Residue { .. } => "register",
        Model::Set => "set",
    };
    if random.random_range(0..2) == 0 {
        append_final_reads(random, &mut store, &mut operations, seq, model);
    }
    // Values that repeat forgive more.
    let is_silent = matches!(model, Model::Repeats { .. } | Model::Residue { .. });
    let edits = if is_silent { 5 } else { 4 };
    for _ in 0..random.random_range(0..edits) {
        match random.random_range(0..2) {
            0 => move_event(random, &mut operations),
            _ => alter_answer(random, &mut operations, &store),
        }
    }
    if is_silent {
        silence_refusals(random, &mut operations);
    }
    let operations = Operations::in_order(operations);
    History { header: header(workload), operations, complete: true }
}

/// Lets some refused compare-and-sets keep to themselves what they saw.
fn silence_refusals(random: &mut Stream, operations: &mut [Operation]) {
    for operation in operations {
        let refused = matches!(operation.reply(), Some(Reply::Compared { swapped: false, .. }));
        if refused && random.random_range(0..2) == 0 {
            operation.outcome = Outcome::Fail(Reason::new(MISMATCH));
        }
    }
}

/// The keys of random registers.
const REGISTERS: [&str; 2] = ["r0", "r1"];

/// The keys of the elements of a random set, by their values.
const ELEMENTS: [&str; 11] = [
    "s/000", "s/001", "s/002", "s/003", "s/004", "s/005", "s/006", "s/007", "s/008", "s/009",
    "s/010",
];

struct Pending {
    reply: Option<Reply>,
    done: bool,
    unknown: bool,
}

/// A map that, if `broken`, at times loses a write or answers from an older state.
struct Store {
    states: Vec<Vec<(Key, Value)>>,
    written: Vec<Value>,
    broken: bool,
    /// Below which of ten an operation writes; from there on it swaps.
    writes: u32,
}

impl Store {
    fn new(broken: bool, writes: u32) -> Self {
        Store { states: vec![Vec::new()], written: Vec::new(), broken, writes }
    }

    fn operation(&mut self, random: &mut Stream, model: Model) -> Op {
        let value = match model {
            Model::Repeats { .. } => Value(random.random_range(1..=3)),
            Model::Registers { .. } | Model::Residue { .. } | Model::Set => {
                Value(self.written.len() as i64 + 1)
            }
        };
        let consistency = Consistency::Linearizable;
        let op = match model {
            Model::Set if random.random_range(0..10) < 4 => {
                Op::List { prefix: key("s/"), consistency }
            }
            Model::Set => Op::Write { key: key(ELEMENTS[value.0 as usize]), value },
            Model::Repeats { keys } | Model::Residue { keys }
                if random.random_range(0..10) == 0 =>
            {
                Op::Delete { key: key(REGISTERS[random.random_range(0..keys)]) }
            }
            Model::Registers { keys } | Model::Repeats { keys } | Model::Residue { keys } => {
                let key = key(REGISTERS[random.random_range(0..keys)]);
                let expect = match random.random_range(0..8) {
                    0 => self.any_value(random),
                    _ => self.state().iter().find(|it| it.0 == key).map(|it| it.1),
                };
                match random.random_range(0..10) {
                    0..3 => Op::Read { key, consistency },
                    draw if draw < self.writes => Op::Write { key, value },
                    _ => Op::CompareAndSet { key, expect, value },
                }
            }
        };
        if !op.is_read() {
            self.written.push(value);
        }
        op
    }

    fn state(&self) -> &Vec<(Key, Value)> {
        self.states.last().unwrap()
    }

    /// A value that somebody sent, or now and then one that nobody did, or absence.
    fn any_value(&self, random: &mut Stream) -> Option<Value> {
        match random.random_range(0..12) {
            0 => Some(Value(99)),
            1 => None,
            _ if self.written.is_empty() => None,
            _ => Some(self.written[random.random_range(0..self.written.len())]),
        }
    }

    fn answer(&mut self, random: &mut Stream, op: &Op) -> Reply {
        let is_bug = self.broken && random.random_range(0..5) == 0;
        let mut state = self.state().clone();
        if is_bug {
            state = self.states[random.random_range(0..self.states.len())].clone();
        }
        let held = state.iter().find(|it| it.0 == *op.key()).map(|it| it.1);
        let mut put = |value: Value| {
            state.retain(|it| it.0 != *op.key());
            state.push((op.key().clone(), value));
            state.sort();
        };
        let reply = match op {
            Op::Read { .. } => return Reply::Read(held),
            Op::List { .. } => return Reply::Listed(state.iter().map(|it| it.1).collect()),
            Op::Write { value, .. } => {
                put(*value);
                Reply::Written
            }
            Op::CompareAndSet { expect, value, .. } => {
                if held == *expect {
                    put(*value);
                }
                Reply::Compared { swapped: held == *expect, observed: held }
            }
            Op::Delete { key } => {
                state.retain(|it| it.0 != *key);
                Reply::Deleted
            }
            other => panic!("no random history does \"{other}\""),
        };
        if !(is_bug && random.random_range(0..2) == 0) {
            self.states.push(state);
        }
        reply
    }
}

fn append_final_reads(
    random: &mut Stream,
    store: &mut Store,
    operations: &mut Vec<Operation>,
    mut seq: u64,
    model: Model,
) {
    let consistency = Consistency::Linearizable;
    let ops = match model {
        Model::Set => vec![Op::List { prefix: key("s/"), consistency }],
        Model::Registers { keys } | Model::Repeats { keys } | Model::Residue { keys } => {
            REGISTERS[..keys].iter().map(|it| Op::Read { key: key(it), consistency }).collect()
        }
    };
    for op in ops {
        let id = OperationId(operations.len() as u32);
        let reply = store.answer(random, &op);
        operations.push(Operation {
            id,
            client: ClientId(id.0),
            node: None,
            op,
            is_final: true,
            invoked: Stamp { seq, at: Micros(seq * 1000) },
            completed: Some(Stamp { seq: seq + 1, at: Micros(seq * 1000 + 1000) }),
            outcome: Outcome::Ok(reply),
        });
        seq += 2;
    }
}

/// Moves one event to another place in the order, and numbers all anew.
fn move_event(random: &mut Stream, operations: &mut [Operation]) {
    let mut events: Vec<(usize, bool)> = Vec::new();
    for (index, operation) in operations.iter().enumerate() {
        events.push((index, false));
        events.extend(operation.completed.map(|_| (index, true)));
    }
    events.sort_by_key(|(index, is_end)| {
        let operation = &operations[*index];
        if *is_end { operation.completed.unwrap().seq } else { operation.invoked.seq }
    });
    let from = random.random_range(0..events.len());
    let event = events.remove(from);
    let partner = events.iter().position(|other| other.0 == event.0);
    let (low, high) = match (event.1, partner) {
        (true, Some(partner)) => (partner + 1, events.len()),
        (false, Some(partner)) => (0, partner),
        (_, None) => (0, events.len()),
    };
    events.insert(random.random_range(low..=high), event);
    for (seq, (index, is_end)) in events.into_iter().enumerate() {
        let stamp = Stamp { seq: seq as u64, at: Micros(seq as u64 * 1000) };
        if is_end {
            operations[index].completed = Some(stamp);
        } else {
            operations[index].invoked = stamp;
        }
    }
    operations.sort_by_key(|operation| operation.invoked.seq);
    for (index, operation) in operations.iter_mut().enumerate() {
        operation.id = OperationId(index as u32);
    }
}

/// Alters what one operation saw.
fn alter_answer(random: &mut Stream, operations: &mut [Operation], store: &Store) {
    let index = random.random_range(0..operations.len());
    let other = store.any_value(random);
    match &mut operations[index].outcome {
        Outcome::Ok(Reply::Read(seen)) => *seen = other,
        Outcome::Ok(Reply::Compared { swapped, observed }) => match random.random_range(0..3) {
            0 => *swapped = !*swapped,
            _ => *observed = other,
        },
        Outcome::Ok(Reply::Listed(values)) => match random.random_range(0..4) {
            0 if !values.is_empty() => {
                values.remove(random.random_range(0..values.len()));
            }
            1 if !values.is_empty() => values.push(values[values.len() - 1]),
            _ => {
                values.extend(other);
                values.sort();
            }
        },
        outcome @ Outcome::Ok(_) => {
            *outcome = match random.random_range(0..2) {
                0 => Outcome::Fail(Reason::new("refused")),
                _ => Outcome::Info(Reason::new("timeout")),
            };
        }
        _ => {}
    }
}
