//! Checkers whose question is one of pairs or sums, against the same question asked in a few plain lines;
//! and promises of old reads against every order of reads that may be old.

use rand::RngExt;

use super::fuzz::agree;
use super::promise::Promise;
use super::testing::{self, file, header, key};
use super::tests_models::move_end;
use super::{bank, sessions, unique_ids};
use crate::history::{History, Micros, Operation, OperationId, Operations, Stamp};
use crate::operation::{
    ClientId, Condition, Consistency, Key, NodeId, Op, Outcome, Reason, Reply, Step, StepReply,
    Transaction, Value,
};
use crate::seed::Stream;
use crate::verdict::Verdict;
use crate::watch::tests::watched;

const CASES: usize = 5000;

/// Operations of a few clients, each of which does one after the other.
fn history(
    stream: &mut Stream,
    mut next: impl FnMut(&mut Stream, u32) -> (Op, Outcome),
) -> Vec<Operation> {
    let count = stream.random_range(6..=16);
    let mut open: Vec<Option<usize>> = vec![None; 3];
    let mut operations: Vec<Operation> = Vec::new();
    let mut seq = 0;
    while operations.len() < count || open.iter().any(Option::is_some) {
        let client = stream.random_range(0..open.len());
        let stamp = Stamp { seq, at: Micros(seq * 1000) };
        match open[client].take() {
            Some(index) => {
                let operation: &mut Operation = &mut operations[index];
                operation.completed = Some(stamp);
            }
            None if operations.len() < count => {
                let (op, outcome) = next(stream, client as u32);
                open[client] = Some(operations.len());
                operations.push(Operation {
                    id: OperationId(operations.len() as u32),
                    client: ClientId(client as u32),
                    node: Some(NodeId(1)),
                    op,
                    is_final: false,
                    invoked: stamp,
                    completed: None,
                    outcome,
                });
            }
            None => continue,
        }
        seq += 1;
    }
    operations
}

fn whole(workload: &str, operations: Vec<Operation>) -> Result<History, String> {
    let operations = Operations::new(operations).map_err(|why| why.to_string())?;
    Ok(History { header: header(workload), operations, complete: true })
}

/// Whether a checker found what there is.
fn compared(
    history: &History,
    verdict: Verdict,
    is_broken: bool,
    why: &dyn std::fmt::Debug,
) -> Result<bool, String> {
    match (verdict, is_broken) {
        (Verdict::Fail, true) => Ok(true),
        (Verdict::Pass | Verdict::Unknown, false) => Ok(false),
        _ => Err(format!("broken: {is_broken}, and {why:#?}\n{}", file(history))),
    }
}

#[test]
fn ids_are_judged_as_every_pair_of_them_is() {
    agree("unique-ids", CASES, ids_case);
}

pub(super) fn ids_case(stream: &mut Stream, _: usize) -> Result<bool, String> {
    let width = stream.random_range(6..90);
    let operations = history(stream, |stream, _| {
        let op = Op::Increment { key: key(["a", "b"][stream.random_range(0..2)]), by: 1 };
        let outcome = match stream.random_range(0..6) {
            0 => Outcome::Info(Reason::new("timeout")),
            _ => Outcome::Ok(Reply::Incremented(Value(stream.random_range(0..width)))),
        };
        (op, outcome)
    });
    let history = whole("unique-ids", operations)?;
    watched(&history)?;
    let all: Vec<(&Key, &Reply)> =
        history.operations.iter().filter_map(|it| Some((it.op.key(), it.reply()?))).collect();
    let is_broken = (0..all.len()).any(|index| all[..index].contains(&all[index]));
    let judgement = unique_ids::check(&history);
    compared(&history, judgement.verdict, is_broken, &judgement)
}

#[test]
fn a_bank_is_judged_by_the_sum_of_every_read() {
    agree("bank", CASES, bank_case);
}

pub(super) fn bank_case(stream: &mut Stream, _: usize) -> Result<bool, String> {
    let names = ["a", "b", "c"];
    let mut held: Vec<Option<Value>> = vec![None; 3];
    let is_careless = stream.random_range(0..6) > 0;
    let operations = history(stream, |stream, _| {
        let draw = stream.random_range(0..3);
        let transaction = if held.iter().any(Option::is_none) {
            let then = names.map(|name| Step::Write(key(name), Value(10))).into();
            let conditions = names.map(|name| Condition(key(name), None)).into();
            held = vec![Some(Value(10)); 3];
            Transaction { conditions, then, ..Transaction::default() }
        } else if draw == 0 {
            let (from, to) = (stream.random_range(0..3), stream.random_range(0..3));
            let add = |value: Option<Value>, by: i64| value.map(|value| Value(value.0 + by));
            held[from] = add(held[from], -3);
            // Now and then what was taken does not arrive.
            let lost = i64::from(is_careless && stream.random_range(0..2) == 0);
            held[to] = add(held[to], 3 - lost);
            let then =
                vec![Step::Increment(key(names[from]), -3), Step::Increment(key(names[to]), 3)];
            Transaction { then, ..Transaction::default() }
        } else {
            let then = names.map(|name| Step::Read(key(name))).into();
            Transaction { then, ..Transaction::default() }
        };
        let reads = transaction.then.iter().all(|step| matches!(step, Step::Read(_)));
        let results = match (&transaction.then[0], reads) {
            (_, true) => {
                let mut seen = held.clone();
                if stream.random_range(0..20) == 0 {
                    seen = vec![None; 3];
                }
                seen.into_iter().map(StepReply::Read).collect()
            }
            (Step::Increment(..), _) => vec![StepReply::Incremented(Value(0)); 2],
            _ => vec![StepReply::Done; 3],
        };
        let outcome = match stream.random_range(0..8) {
            0 => Outcome::Info(Reason::new("timeout")),
            _ => Outcome::Ok(Reply::Transacted { succeeded: true, results }),
        };
        (Op::Transaction(Box::new(transaction)), outcome)
    });
    let history = whole("bank", operations)?;
    watched(&history)?;
    let mut is_broken = false;
    for operation in &history.operations {
        let Some(Reply::Transacted { results, .. }) = operation.reply() else { continue };
        let seen: Vec<i64> = results
            .iter()
            .filter_map(|it| if let StepReply::Read(seen) = it { *seen } else { None })
            .map(|value| value.0)
            .collect();
        is_broken |= !seen.is_empty() && seen.iter().sum::<i64>() != 30;
    }
    let judgement = bank::check(&history);
    compared(&history, judgement.verdict, is_broken, &judgement)
}

#[test]
fn sessions_are_judged_as_every_pair_of_their_operations_is() {
    agree("sessions", CASES, sessions_case);
}

#[test]
fn a_session_that_read_its_own_write_before_it_was_sent_is_held_to_it() {
    let lines = "
        c0 n1 10-20 read q=3
        c0 n1 30-40 write q=1
        c0 n1 50-60 read p=absent
        c0 n1 70-80 write p=2
        c0 n1 90-99 write q=3
        ";
    let judgement = sessions::check(&testing::history("sessions", lines));
    assert_eq!(judgement.verdict, Verdict::Fail, "{judgement:#?}");
}

/// Each client writes its two keys and reads those of all.
pub(super) fn sessions_case(stream: &mut Stream, case: usize) -> Result<bool, String> {
    let mut written: Vec<(u32, Key, Value)> = Vec::new();
    let staleness = stream.random_range(2..4);
    let operations = history(stream, |stream, client| {
        let own = |client: u32, which: usize| {
            key([["0p", "0q"], ["1p", "1q"], ["2p", "2q"]][client as usize][which])
        };
        if stream.random_range(0..3) == 0 {
            let value = Value(written.len() as i64 + 1);
            let key = own(client, stream.random_range(0..2));
            written.push((client, key.clone(), value));
            let outcome = match stream.random_range(0..6) {
                0 => Outcome::Fail(Reason::new("no-leader")),
                _ => Outcome::Ok(Reply::Written),
            };
            if matches!(outcome, Outcome::Fail(_)) {
                written.pop();
                // The number is used up, so that no value comes twice.
                written.push((u32::MAX, testing::key(""), value));
            }
            return (Op::Write { key, value }, outcome);
        }
        // Mostly of one's own or of one other, so that reads have something to be held against.
        let whose = [client, client, (client + 1) % 3, 0][stream.random_range(0..4)];
        let of = own(whose, stream.random_range(0..2));
        let all = written.iter().filter(|it| it.1 == of).map(|it| it.2);
        let all: Vec<Option<Value>> = [None].into_iter().chain(all.map(Some)).collect();
        // Mostly the last; one of the others, or one that nobody wrote there, at times.
        let seen = match stream.random_range(0..staleness) {
            0 => all[stream.random_range(0..all.len())],
            1 if stream.random_range(0..6) == 0 => Some(Value(stream.random_range(1..5))),
            _ => *all.last().expect("absence at least"),
        };
        let consistency = match stream.random_range(0..6) {
            0 => Consistency::Local,
            _ => Consistency::Linearizable,
        };
        (Op::Read { key: of, consistency }, Outcome::Ok(Reply::Read(seen)))
    });
    let history = whole("sessions", operations)?;
    watched(&history)?;
    let promise = case % 4;
    let is_broken = breaks_session(&history, promise);
    let judgement = match promise {
        0 => sessions::check(&history),
        1 => Promise::ReadYourWrites.judge(&history),
        2 => Promise::MonotonicReads.judge(&history),
        _ => Promise::MonotonicWrites.judge(&history),
    };
    compared(&history, judgement.verdict, is_broken, &judgement)
}

/// Whether a read of a session sees less than something that the session did before says it must.
/// Promises: all of them, its own writes, reads of this key, reads of other keys.
fn breaks_session(history: &History, promise: usize) -> bool {
    // The writes of each writer in its order.
    let writes: Vec<&Operation> = history
        .operations
        .iter()
        .filter(|it| matches!(it.op, Op::Write { .. }) && !matches!(it.outcome, Outcome::Fail(_)))
        .collect();
    let value_of = |write: &Operation| match write.op {
        Op::Write { value, .. } => Some(value),
        _ => None,
    };
    // How many of its writer's writes one saw; too many if that was none of them.
    let place = |key: &Key, seen: Option<Value>| -> Option<(Option<ClientId>, usize)> {
        let writer = writes.iter().find(|it| it.op.key() == key).map(|it| it.client);
        let Some(value) = seen else { return Some((writer, 0)) };
        let own = writes.iter().filter(|it| Some(it.client) == writer).enumerate();
        let mut it = own.filter(|(_, it)| it.op.key() == key && value_of(it) == Some(value));
        it.next().map(|(place, _)| (writer, place + 1))
    };
    history.operations.iter().any(|read| {
        let (Op::Read { key, .. }, Some(Reply::Read(seen))) = (&read.op, read.reply()) else {
            return false;
        };
        let Some((writer, seen)) = place(key, *seen) else { return true };
        let Some(writer) = writer else { return false };
        let of_writer = writes.iter().filter(|it| it.client == writer);
        let write = seen.checked_sub(1).and_then(|at| of_writer.clone().nth(at));
        if promise == 0 && write.is_some_and(|it| Some(it.invoked.seq) > read.ended()) {
            return true;
        }
        let all: Vec<&&Operation> = of_writer.collect();
        // The last write of this key among so many of the writer.
        let least = |known: usize| {
            (0..known.min(all.len()))
                .rev()
                .find(|at| all[*at].op.key() == key)
                .map_or(0, |at| at + 1)
        };
        let earlier =
            history.operations.iter().filter(|it| it.client == read.client && it.id < read.id);
        earlier.filter(|it| matches!(it.outcome, Outcome::Ok(_))).any(|before| {
            let known = match (&before.op, before.reply()) {
                (Op::Write { .. }, _) if before.client == writer => {
                    let at = all.iter().position(|it| it.id == before.id);
                    let counts = match promise {
                        0 => !read.op.is_local(),
                        1 => before.op.key() == key,
                        _ => false,
                    };
                    at.filter(|_| counts).map(|at| at + 1)
                }
                (Op::Read { key: other, .. }, Some(Reply::Read(value))) => {
                    let counts = match promise {
                        0 => before.op.is_local() == read.op.is_local(),
                        1 => false,
                        2 => other == key,
                        _ => other != key,
                    };
                    place(other, *value)
                        .filter(|(of, _)| *of == Some(writer) && counts)
                        .map(|(_, at)| at)
                }
                _ => None,
            };
            known.is_some_and(|known| least(known) > seen)
        })
    })
}

#[test]
fn old_reads_are_judged_as_every_order_of_old_reads_judges_them() {
    agree("old-reads", CASES, old_reads_case);
}

/// Reads may be so much older than their beginning, or of any age.
pub(super) fn old_reads_case(stream: &mut Stream, case: usize) -> Result<bool, String> {
    let history = testing::random(stream, testing::Model::Registers { keys: 1 });
    let mut operations = history.operations.into_vec();
    for _ in 0..stream.random_range(0..4) {
        let index = stream.random_range(0..operations.len());
        move_end(stream, &mut operations, index);
    }
    // One event a millisecond.
    for operation in &mut operations {
        let time = |stamp: &mut Stamp| stamp.at = Micros(stamp.seq * 1000);
        time(&mut operation.invoked);
        operation.completed.as_mut().map(time);
    }
    let history = whole("register", operations)?;
    let bound = match case % 8 {
        0 => None,
        1 => Some(Micros(stream.random_range(1..12_000))),
        index => Some(Micros([1, 1, 1000][index % 3])),
    };
    let promise = bound.map_or(Promise::ConsistentPrefix, Promise::BoundedStaleness);
    let since = |it: &Operation| match (&it.op, it.reply(), bound) {
        (Op::Read { .. }, Some(_), None) => 0,
        (Op::Read { .. }, Some(_), Some(bound)) => it.invoked.at.0.saturating_sub(bound.0),
        _ => it.invoked.at.0,
    };
    let mut left: Vec<&Operation> =
        history.operations.iter().filter(|it| !matches!(it.outcome, Outcome::Fail(_))).collect();
    let is_broken = !any_order(&mut left, &since, None);
    let judgement = promise.judge(&history);
    compared(&history, judgement.verdict, is_broken, &judgement)
}

/// Whether the operations left have an order, from what one register holds.
fn any_order(
    left: &mut Vec<&Operation>,
    since: &impl Fn(&Operation) -> u64,
    held: Option<Value>,
) -> bool {
    let ends = |it: &&&Operation| it.reply().is_some();
    let first_end = left.iter().filter(ends).filter_map(|it| it.completed).map(|it| it.at.0).min();
    let Some(first_end) = first_end else { return true };
    (0..left.len()).any(|index| {
        let it = left[index];
        if since(it) > first_end {
            return false;
        }
        let after = match (&it.op, it.reply()) {
            (Op::Read { .. }, Some(Reply::Read(seen))) if *seen == held => held,
            (Op::Read { .. }, None) => held,
            (Op::Write { value, .. }, _) => Some(*value),
            (Op::CompareAndSet { expect, value, .. }, reply) => {
                let swapped = *expect == held;
                let right =
                    reply.is_none_or(|reply| *reply == Reply::Compared { swapped, observed: held });
                if !right {
                    return false;
                }
                if swapped { Some(*value) } else { held }
            }
            _ => return false,
        };
        left.swap_remove(index);
        let found = any_order(left, since, after);
        left.push(it);
        let last = left.len() - 1;
        left.swap(index, last);
        found
    })
}
