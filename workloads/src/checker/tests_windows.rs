//! Long histories that the exact algorithm leaves over, since keys are deleted and refusals do not say
//! what they saw: the search decides them window by window.

use rand::RngExt;

use super::linearizable::{check_registers, witness_registers};
use super::testing::{header, key};
use super::{frontier::Budget, replay};
use crate::history::{History, MISMATCH, Micros, Operation, OperationId, Operations, Stamp};
use crate::operation::{ClientId, Consistency, NodeId, Op, Outcome, Reason, Reply, Value};
use crate::seed::{Seed, Stream};
use crate::verdict::Verdict;

const OPERATIONS: usize = 100_000;

/// What one client is at.
enum Turn {
    Free,
    Asked(usize),
    Done(usize, Reply),
}

/// A right register under busy clients, each of which has an operation open nearly all the time. Of a
/// hundred operations three delete, and of the refused compare-and-sets half do not say what they saw.
fn busy(clients: usize, seed: u64) -> Vec<Operation> {
    let mut random = Seed(seed).stream("windows");
    let mut turns: Vec<Turn> = (0..clients).map(|_| Turn::Free).collect();
    let mut operations: Vec<Operation> = Vec::new();
    let (mut held, mut before, mut seq) = (None, None, 0);
    while operations.len() < OPERATIONS || turns.iter().any(|it| !matches!(it, Turn::Free)) {
        let client = random.random_range(0..clients);
        let stamp = Stamp { seq, at: Micros(seq) };
        match std::mem::replace(&mut turns[client], Turn::Free) {
            Turn::Free if operations.len() == OPERATIONS => continue,
            Turn::Free => {
                let expect = [held, held, before][random.random_range(0..3)];
                turns[client] = Turn::Asked(operations.len());
                operations.push(asked(&mut random, operations.len(), expect, stamp));
                seq += 1;
            }
            Turn::Asked(index) => {
                let (reply, now) = answer(&operations[index].op, held);
                if now != held {
                    (before, held) = (held, now);
                }
                let is_lost = random.random_range(0..100) == 0 && !operations[index].op.is_read();
                if !is_lost {
                    turns[client] = Turn::Done(index, reply);
                }
            }
            Turn::Done(index, reply) => {
                let is_refused = matches!(reply, Reply::Compared { swapped: false, .. });
                operations[index].outcome = match is_refused && random.random_range(0..2) == 0 {
                    true => Outcome::Fail(Reason::new(MISMATCH)),
                    false => Outcome::Ok(reply),
                };
                operations[index].completed = Some(stamp);
                seq += 1;
            }
        }
    }
    operations
}

fn asked(random: &mut Stream, index: usize, expect: Option<Value>, at: Stamp) -> Operation {
    let value = Value(index as i64);
    let key = key("r");
    let op = match random.random_range(0..100) {
        0..3 => Op::Delete { key },
        3..40 => Op::Write { key, value },
        40..60 => Op::CompareAndSet { key, expect, value },
        _ => Op::Read { key, consistency: Consistency::Linearizable },
    };
    Operation {
        id: OperationId(index as u32),
        client: ClientId(index as u32),
        node: Some(NodeId(1)),
        op,
        is_final: false,
        invoked: at,
        completed: None,
        outcome: Outcome::Info(Reason::new("open")),
    }
}

/// What a register answers, and what it then holds.
fn answer(op: &Op, held: Option<Value>) -> (Reply, Option<Value>) {
    match op {
        Op::Read { .. } => (Reply::Read(held), held),
        Op::Write { value, .. } => (Reply::Written, Some(*value)),
        Op::Delete { .. } => (Reply::Deleted, None),
        Op::CompareAndSet { expect, value, .. } if *expect == held => {
            (Reply::Compared { swapped: true, observed: held }, Some(*value))
        }
        _ => (Reply::Compared { swapped: false, observed: held }, held),
    }
}

fn history(operations: Vec<Operation>) -> History {
    let operations = Operations::new(operations).unwrap();
    History { header: header("register"), operations, complete: true }
}

#[test]
fn a_hundred_thousand_operations_with_deletes_are_decided_window_by_window() {
    for clients in [5, 20] {
        let operations = busy(clients, 1);
        let whole = history(operations.clone());
        let judgement = check_registers(&whole);
        assert_eq!(judgement.verdict, Verdict::Pass, "{clients}: {}", judgement.summary);
        assert_eq!(judgement.counts["searched-keys"], 1);
        let orders = witness_registers(&whole, Budget::default()).unwrap();
        let orders: Vec<Vec<OperationId>> = orders.into_iter().map(|it| it.1).collect();
        replay::replay(&whole, &orders).unwrap();

        // A read in the middle sees what was read long before.
        let seen = |it: &Operation| match it.reply() {
            Some(Reply::Read(Some(value))) => Some(*value),
            _ => None,
        };
        let mut reads = operations.iter().enumerate().filter_map(|(at, it)| Some((at, seen(it)?)));
        let (_, old) = reads.find(|read| read.0 > 1_000).unwrap();
        let (middle, _) = reads.find(|read| read.0 > OPERATIONS / 2).unwrap();
        let mut wrong = operations;
        wrong[middle].outcome = Outcome::Ok(Reply::Read(Some(old)));
        let judgement = check_registers(&history(wrong));
        assert_eq!(judgement.verdict, Verdict::Fail, "{clients}: {}", judgement.summary);
        let anomaly = &judgement.anomalies[0];
        assert_eq!(anomaly.culprit.0 as usize, middle, "{anomaly:#?}");
        assert!(anomaly.operations.len() <= 6, "{anomaly:#?}");
    }
}
