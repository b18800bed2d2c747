//! Minimal histories: of the few operations that prove an anomaly, a history of its own.
//!
//! It is a valid history file that shows the same anomaly to the same checker, and that is small
//! enough for [`super::brute_force`]. The harness writes it beside a counterexample.
//!
//! Of a set, lists are cut down to the elements whose adds are part of the proof. That loses
//! nothing and adds nothing: an order of the whole history is an order of this one, as every other
//! element can be left out of the adds and the lists alike.

use std::collections::BTreeSet;

use rustc_hash::FxHashSet;

use super::agreement::only_in;
use super::{Checker, run};
use crate::history::{History, Operation, OperationId, Operations};
use crate::operation::{Op, Outcome, Reply, Step, StepReply, Value};
use crate::verdict::{Anomaly, AnomalyKind, Verdict};

/// Makes the minimal history of an anomaly that `checker` found in `history`.
///
/// It leaves out each operation (other than swaps) without which the checker still finds an anomaly
/// of the same kind, one after the other. Sequence numbers, times, clients and nodes stay as they
/// were, so that it can be laid beside the history; operations are numbered anew.
///
/// # Panics
///
/// If the anomaly names operations that the history does not have.
pub fn minimal(history: &History, anomaly: &Anomaly, checker: &Checker) -> History {
    let mut ids: BTreeSet<OperationId> = anomaly.operations.iter().copied().collect();
    ids.extend(&anomaly.swaps);
    let disputed = disputed(history, anomaly);
    // The search keeps every enqueue that could be in a list, so what else is in one has none.
    let is_whole = anomaly.kind == AnomalyKind::NonLinearizable;
    let part = |ids: &BTreeSet<OperationId>| restrict(history, ids, &disputed, is_whole);
    let shows = |part: &History| {
        let judgement = run(checker, part);
        // Of many turns of a flip-flop, the proof keeps the first: a stale read.
        let same = |kind| kind == anomaly.kind || anomaly.kind == AnomalyKind::FlipFlop;
        judgement.verdict == Verdict::Fail && judgement.found.keys().any(|kind| same(*kind))
    };
    // The search has left out what it could, by rules of its own.
    if anomaly.kind == AnomalyKind::NonLinearizable || !shows(&part(&ids)) {
        // The checker then contradicts itself; the brute force is to say so, of what it named.
        return part(&ids);
    }
    for id in &anomaly.operations {
        ids.remove(id);
        // Without its write, a value would be a phantom and prove something else.
        if *id == anomaly.culprit || ids.is_empty() || !shows(&part(&ids)) {
            ids.insert(*id);
        }
    }
    part(&ids)
}

/// The history of some operations alone, lists cut down to what they add.
fn restrict(
    history: &History,
    ids: &BTreeSet<OperationId>,
    disputed: &[Value],
    are_queues_whole: bool,
) -> History {
    let mut kept: FxHashSet<Value> =
        ids.iter().flat_map(|id| added(&history.operation(*id).op)).collect();
    kept.extend(disputed);
    let operations = ids
        .iter()
        .enumerate()
        .map(|(index, id)| {
            let mut operation: Operation = history.operation(*id).clone();
            operation.id = OperationId(index as u32);
            if are_queues_whole && matches!(operation.op, Op::ReadQueue { .. }) {
                return operation;
            }
            for values in listed_mut(&mut operation.outcome) {
                values.retain(|value| kept.contains(value));
            }
            operation
        })
        .collect();
    let operations = Operations::in_order(operations);
    History { header: history.header.clone(), operations, complete: true }
}

/// The elements that an operation adds to a set, list or queue, or may add.
fn added(op: &Op) -> Vec<Value> {
    match op {
        Op::Write { value, .. } | Op::Append { value, .. } | Op::Enqueue { value, .. } => {
            vec![*value]
        }
        Op::Once { op, .. } => added(op),
        Op::Transaction(transaction) => {
            let steps = transaction.then.iter().chain(&transaction.otherwise);
            let appended = |step: &Step| match step {
                Step::Append(_, value) => Some(*value),
                _ => None,
            };
            steps.filter_map(appended).collect()
        }
        _ => Vec::new(),
    }
}

/// The lists that an answer holds.
fn listed_mut(outcome: &mut Outcome) -> Vec<&mut Vec<Value>> {
    match outcome {
        Outcome::Ok(Reply::Listed(values)) => vec![values],
        Outcome::Ok(Reply::Transacted { results, .. }) => {
            let listed = results.iter_mut().filter_map(|result| match result {
                StepReply::Listed(values) => Some(values),
                _ => None,
            });
            listed.collect()
        }
        _ => Vec::new(),
    }
}

/// The elements that lists must keep although no add of them is part of the proof: the one that
/// nobody added, or what two nodes disagree about: one that one of them lacks, or the first two that
/// stand in another order.
fn disputed(history: &History, anomaly: &Anomaly) -> Vec<Value> {
    let listed = |id: &OperationId| match history.operation(*id).reply() {
        Some(Reply::Listed(values)) => vec![values.as_slice()],
        Some(Reply::Transacted { results, .. }) => {
            let listed = results.iter().filter_map(|result| match result {
                StepReply::Listed(values) => Some(values.as_slice()),
                _ => None,
            });
            listed.collect()
        }
        _ => Vec::new(),
    };
    let mut lists = anomaly.operations.iter().flat_map(listed);
    match anomaly.kind {
        AnomalyKind::Divergence => {
            let (Some(one), Some(other)) = (lists.next(), lists.next()) else { return Vec::new() };
            if let Some(lacking) = only_in(one, other).first().or(only_in(other, one).first()) {
                return vec![*lacking];
            }
            let turned = one.iter().zip(other).find(|(one, other)| one != other);
            turned.map_or_else(Vec::new, |(one, other)| vec![*one, *other])
        }
        AnomalyKind::Phantom => {
            let operations = history.operations.iter();
            let added: FxHashSet<Value> =
                operations.flat_map(|operation| added(&operation.op)).collect();
            lists.flatten().find(|value| !added.contains(value)).copied().into_iter().collect()
        }
        _ => Vec::new(),
    }
}
