//! Lists, counters and queues against the brute force, over many random small histories, and the graph of
//! transactions against it in the one direction that it promises.

use rand::RngExt;

use super::fuzz::agree;
use super::testing::{self, file, header, is_possible};
use crate::checker;
use crate::history::{History, Micros, Operation, OperationId, Operations, Stamp};
use crate::operation::{
    ClientId, Consistency, Key, NodeId, Op, Outcome, Reason, Reply, RequestKey, Step, StepReply,
    Transaction, Value,
};
use crate::seed::{Seed, Stream};
use crate::verdict::Verdict;
use crate::watch::tests::watched_by_turns;
use crate::workload::{self, judge};

/// Enough to meet every anomaly often, in some seconds.
const CASES: usize = 15_000;

#[derive(Clone, Copy, PartialEq)]
enum Model {
    List,
    Counter,
    Transactions,
    Queue,
    /// A list of which requests are sent again under their idempotency keys.
    Retries,
}

/// A right history of at most eight operations, of which some are unknown; then perhaps with an
/// answer altered or an end moved.
fn random(random: &mut Stream, model: Model) -> History {
    let count = random.random_range(3..=8);
    let mut times: Vec<u64> = (0..3 * count as u64).collect();
    // Three instants each, from a few neighbors: it begins, takes effect, ends.
    for index in (1..times.len()).rev() {
        let other = random.random_range(index.saturating_sub(6)..=index);
        times.swap(index, other);
    }
    let mut operations: Vec<(u64, Operation)> = (0..count)
        .map(|index| {
            let mut at: Vec<u64> = times[3 * index..3 * index + 3].to_vec();
            at.sort_unstable();
            let stamp = |seq| Stamp { seq, at: Micros(seq * 1000) };
            let operation = Operation {
                id: OperationId(0),
                client: ClientId(index as u32),
                node: Some(NodeId(1)),
                op: asked(random, model, index as i64 + 1),
                is_final: false,
                invoked: stamp(at[0]),
                completed: Some(stamp(at[2])),
                outcome: Outcome::Info(Reason::new("timeout")),
            };
            (at[1], operation)
        })
        .collect();
    operations.sort_by_key(|(effect, _)| *effect);
    let (mut lists, mut sum) = ([Vec::new(), Vec::new()], 0);
    for (_, operation) in &mut operations {
        let unknown = random.random_range(0..7) == 0;
        if unknown && random.random_range(0..2) == 0 {
            continue;
        }
        let reply = answer(&operation.op, &mut lists, &mut sum);
        if !unknown {
            operation.outcome = Outcome::Ok(reply);
        }
    }
    let mut operations: Vec<Operation> = operations.into_iter().map(|it| it.1).collect();
    if model == Model::Queue && random.random_range(0..3) > 0 {
        operations.push(rest(count, lists[0].clone()));
    }
    let least = usize::from(model == Model::Retries);
    for _ in 0..random.random_range(least..=4) {
        let index = random.random_range(0..operations.len());
        match random.random_range(0..3) {
            0 => move_end(random, &mut operations, index),
            _ => alter(random, &mut operations[index]),
        }
    }
    let workload = match model {
        Model::Counter => "counter",
        Model::Queue => "queue",
        Model::Retries => "idempotent-retry",
        Model::List | Model::Transactions => "append",
    };
    let operations = Operations::new(operations).unwrap();
    History { header: header(workload), operations, complete: true }
}

/// The read at the end of what is left in the queue.
fn rest(count: usize, values: Vec<Value>) -> Operation {
    let stamp = |seq| Stamp { seq, at: Micros(seq * 1000) };
    Operation {
        id: OperationId(0),
        client: ClientId(count as u32),
        node: Some(NodeId(1)),
        op: Op::ReadQueue { queue: key(0), consistency: Consistency::Linearizable },
        is_final: true,
        invoked: stamp(3 * count as u64),
        completed: Some(stamp(3 * count as u64 + 1)),
        outcome: Outcome::Ok(Reply::Listed(values)),
    }
}

fn key(number: usize) -> Key {
    testing::key(["x", "y"][number])
}

fn asked(random: &mut Stream, model: Model, value: i64) -> Op {
    let is_read = random.random_range(0..2) == 0;
    let consistency = Consistency::Linearizable;
    match model {
        Model::Counter if is_read => Op::Read { key: key(0), consistency },
        Model::Counter => Op::Increment { key: key(0), by: 1 },
        Model::List if is_read => Op::ReadList { key: key(0), consistency },
        Model::List => Op::Append { key: key(0), value: Value(value) },
        Model::Retries if is_read => Op::ReadList { key: key(0), consistency },
        Model::Retries => {
            // Of few requests, so that some come twice or thrice.
            let request = random.random_range(1..=4);
            let op = Box::new(Op::Append { key: key(0), value: Value(request) });
            Op::Once { request: RequestKey(request as u64), op }
        }
        Model::Queue if random.random_range(0..2) == 0 => Op::Dequeue { queue: key(0), at: 0 },
        Model::Queue => Op::Enqueue { queue: key(0), value: Value(value), at: 0 },
        Model::Transactions => {
            let mut step = |place: i64| {
                let key = key(random.random_range(0..2));
                match random.random_range(0..2) {
                    0 => Step::ReadList(key),
                    _ => Step::Append(key, Value(10 * value + place)),
                }
            };
            let then = vec![step(0), step(1)];
            Op::Transaction(Box::new(Transaction { then, ..Transaction::default() }))
        }
    }
}

fn answer(op: &Op, lists: &mut [Vec<Value>; 2], sum: &mut i64) -> Reply {
    match op {
        Op::Read { .. } => Reply::Read((*sum > 0).then_some(Value(*sum))),
        Op::Increment { .. } => {
            *sum += 1;
            Reply::Incremented(Value(*sum))
        }
        Op::ReadList { .. } => Reply::Listed(lists[0].clone()),
        Op::Once { op, .. } => {
            // Done once; what was done before is answered as it was then.
            if let Op::Append { value, .. } = **op
                && !lists[0].contains(&value)
            {
                lists[0].push(value);
            }
            Reply::Appended
        }
        Op::Append { value, .. } => {
            lists[0].push(*value);
            Reply::Appended
        }
        Op::Transaction(transaction) => {
            let steps = transaction.then.iter().map(|step| {
                let list = &mut lists[usize::from(step.key().as_str() == "y")];
                match step {
                    Step::Append(_, value) => {
                        list.push(*value);
                        StepReply::Done
                    }
                    _ => StepReply::Listed(list.clone()),
                }
            });
            Reply::Transacted { succeeded: true, results: steps.collect() }
        }
        Op::Enqueue { value, .. } => {
            lists[0].push(*value);
            Reply::Enqueued
        }
        Op::Dequeue { .. } => {
            let first = (!lists[0].is_empty()).then(|| lists[0].remove(0));
            Reply::Dequeued(first)
        }
        other => panic!("no random history does {other}"),
    }
}

/// Moves the beginning or the end of one operation to a place that is free.
pub(super) fn move_end(random: &mut Stream, operations: &mut [Operation], index: usize) {
    // The odd places are then free.
    let place = |stamp: &mut Stamp| stamp.seq = 2 * stamp.seq + 2;
    for operation in operations.iter_mut() {
        place(&mut operation.invoked);
        operation.completed.as_mut().map(place);
    }
    let last = operations.iter().filter_map(|it| it.completed).map(|it| it.seq).max();
    let last = last.unwrap_or(1) + 2;
    let operation = &mut operations[index];
    let stamp = |seq: u64| Stamp { seq: seq | 1, at: Micros(seq * 500) };
    match &mut operation.completed {
        Some(completed) if random.random_range(0..2) == 0 => {
            *completed = stamp(random.random_range(operation.invoked.seq + 1..=last));
        }
        completed => {
            let before = completed.map_or(last, |completed| completed.seq);
            operation.invoked = stamp(random.random_range(0..before));
        }
    }
}

fn alter(random: &mut Stream, operation: &mut Operation) {
    let change = |random: &mut Stream, values: &mut Vec<Value>| match random.random_range(0..5) {
        0 if values.len() > 1 => values.swap(0, 1),
        1 => values.push(Value(99)),
        2 => values.extend(values.first().copied()),
        _ => {
            values.pop();
        }
    };
    match &mut operation.outcome {
        Outcome::Ok(Reply::Read(value)) => {
            let held = value.map_or(0, |value| value.0);
            let seen = held + [-1, 1][random.random_range(0..2)];
            *value = (seen != 0).then_some(Value(seen));
        }
        Outcome::Ok(Reply::Incremented(sum)) => sum.0 += [-1, 1][random.random_range(0..2)],
        Outcome::Ok(Reply::Listed(values)) => change(random, values),
        Outcome::Ok(Reply::Transacted { results, .. }) => {
            for result in results {
                if let StepReply::Listed(values) = result {
                    change(random, values);
                }
            }
        }
        Outcome::Ok(Reply::Dequeued(value)) => {
            *value = match (random.random_range(0..3), *value) {
                (0, Some(_)) => None,
                (0, None) => Some(Value(99)),
                _ => Some(Value(random.random_range(1..=8))),
            };
        }
        outcome => *outcome = Outcome::Fail(Reason::new("no-leader")),
    }
}

/// Judges one random history; whether it is impossible, and whether that was found.
fn judged(stream: &mut Stream, model: Model, case: usize) -> Result<(bool, bool), String> {
    let history = random(stream, model);
    watched_by_turns(&history, case)?;
    let is_impossible = !is_possible(&history, false, case)?;
    let checkers = workload::checkers_of(&history.header.workload).expect("a known workload");
    let judges = if matches!(model, Model::Counter | Model::Queue) { 1 } else { 2 };
    let judgements = checker::run_all(&checkers[..judges], &history);
    let text = || file(&history);
    for judgement in &judgements {
        if judgement.verdict == Verdict::Fail && !is_impossible {
            return Err(format!("{judgement:#?}\n{}", text()));
        }
        // One of the first three, in turn: to make a counterexample is to judge many times.
        let told = judgement.anomalies.len().min(3);
        let Some(anomaly) = judgement.anomalies.get(case % told.max(1)) else { continue };
        if !anomaly.operations.contains(&anomaly.culprit) {
            return Err(format!("no culprit: {anomaly:#?}\n{}", text()));
        }
        let Ok(small) = workload::minimal(&history, judgement, anomaly) else { continue };
        if is_possible(&small, true, case)? {
            return Err(format!("{anomaly:#?}\n{}\nof\n{}", file(&small), text()));
        }
    }
    let is_found = judgements.iter().any(|judgement| judgement.verdict == Verdict::Fail);
    let is_complete = model != Model::Transactions;
    let is_known = judgements[0].verdict != Verdict::Unknown;
    if is_complete && is_known && is_found != is_impossible {
        return Err(format!("{:#?}\n{}", judgements[0], text()));
    }
    Ok((is_impossible, is_found))
}

pub(super) fn list_case(stream: &mut Stream, case: usize) -> Result<bool, String> {
    judged(stream, Model::List, case).map(|(is_impossible, _)| is_impossible)
}

pub(super) fn retry_case(stream: &mut Stream, case: usize) -> Result<bool, String> {
    judged(stream, Model::Retries, case).map(|(is_impossible, _)| is_impossible)
}

pub(super) fn counter_case(stream: &mut Stream, case: usize) -> Result<bool, String> {
    judged(stream, Model::Counter, case).map(|(is_impossible, _)| is_impossible)
}

pub(super) fn queue_case(stream: &mut Stream, case: usize) -> Result<bool, String> {
    judged(stream, Model::Queue, case).map(|(is_impossible, _)| is_impossible)
}

pub(super) fn transactions_case(stream: &mut Stream, case: usize) -> Result<bool, String> {
    judged(stream, Model::Transactions, case).map(|(is_impossible, _)| is_impossible)
}

#[test]
fn lists_are_judged_as_the_brute_force_judges_them() {
    agree("list", CASES, list_case);
}

#[test]
fn lists_with_requests_sent_again_are_judged_as_the_brute_force_judges_them() {
    agree("idempotent-retry", CASES, retry_case);
}

#[test]
fn queues_are_judged_as_the_brute_force_judges_them() {
    agree("queue", CASES, queue_case);
}

#[test]
fn counters_are_judged_as_the_brute_force_judges_them() {
    agree("counter", CASES, counter_case);
}

#[test]
fn what_dequeues_of_unknown_outcome_took_is_found_out_by_the_search() {
    let mut stream = Seed(20_261_121).stream("undecided");
    let mut searched = 0;
    for _ in 0..CASES {
        let judgement = judge(&random(&mut stream, Model::Queue)).swap_remove(0);
        assert!(!judgement.summary.contains("undecided"), "{judgement:#?}");
        searched += usize::from(judgement.counts.contains_key("searched"));
    }
    assert!(searched > CASES / 100, "only {searched} of {CASES} were searched");
}

#[test]
fn a_cycle_of_transactions_is_never_a_false_alarm_and_few_are_missed() {
    let mut stream = Seed(20_261_121).stream("transactions");
    let (mut impossible, mut found) = (0, 0);
    for case in 0..CASES {
        let judged = judged(&mut stream, Model::Transactions, case);
        let (is_impossible, is_found) = judged.unwrap_or_else(|why| panic!("{case}: {why}"));
        impossible += usize::from(is_impossible);
        found += usize::from(is_found);
    }
    assert!(impossible * 3 > CASES, "only {impossible} of {CASES} are impossible");
    // It is not complete: what nobody read leaves no trace.
    assert!(found * 100 > impossible * 90, "found {found} of {impossible}");
}
