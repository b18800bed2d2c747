//! Agreement: after the heal, when all is quiet, every node holds the same.
//!
//! It compares the final local reads, per key or per prefix, node by node. A key that is absent on
//! every node agrees; whether it should be there is the business of `lost_write`. Called through
//! `workload`, for registers and sets alike.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::{FxHashMap, FxHashSet};

use super::findings::{Candidate, Findings, Rank};
use super::story;
use super::unjudged;
use crate::history::{History, Operation, OperationId};
use crate::operation::{Key, NodeId, Op, Reply, Value};
use crate::verdict::{Anomaly, AnomalyKind, Judgement, Verdict};

const NAME: &str = "agreement";

/// Compares what the nodes hold. Of several reads of a key at a node the last one answered counts.
///
/// `unknown` without local reads, and when a node did not answer for some key.
pub fn check(history: &History) -> Judgement {
    if let Some(unknown) = unjudged(NAME, history) {
        return unknown;
    }
    let mut keys: BTreeMap<(&str, bool), BTreeMap<NodeId, OperationId>> = BTreeMap::new();
    let mut nodes = BTreeSet::new();
    for operation in history.operations.iter().filter(|it| it.is_final && it.op.is_local()) {
        let Some(node) = operation.node else { continue };
        let kind = matches!(operation.op, crate::operation::Op::List { .. });
        let answers = keys.entry((operation.op.key().as_str(), kind)).or_default();
        nodes.insert(node);
        if operation.reply().is_some() {
            answers.insert(node, operation.id);
        }
    }
    if nodes.is_empty() {
        return Judgement::unknown(
            NAME,
            "no node was asked what it holds by itself: the history has no final local reads \
             (some targets offer none)",
        );
    }
    nodes.extend(NodeId::first(history.header.nodes));
    let (findings, unanswered) = compare(history, &keys, &nodes);
    let (verdict, summary) = match unanswered {
        Some((key, node)) => (
            Verdict::Unknown,
            format!("{node} did not say what it holds of {key}: nobody knows whether it agrees"),
        ),
        None => {
            let reads = match keys.len() {
                1 => "1 read".to_string(),
                reads => format!("{reads} reads"),
            };
            (Verdict::Pass, format!("{} nodes hold the same, by {reads} at each", nodes.len()))
        }
    };
    let mut judgement =
        findings.judge(NAME, verdict, summary, |candidate| tell(history, candidate));
    judgement.counts = BTreeMap::from([
        ("keys".to_string(), keys.len() as u64),
        ("nodes".to_string(), nodes.len() as u64),
    ]);
    judgement
}

/// Two reads that differ.
#[derive(Clone, Copy, Debug)]
struct Differ {
    one: OperationId,
    other: OperationId,
}

/// The divergences, and the first key that some node did not answer for.
fn compare<'h>(
    history: &'h History,
    keys: &BTreeMap<(&'h str, bool), BTreeMap<NodeId, OperationId>>,
    nodes: &BTreeSet<NodeId>,
) -> (Findings<Differ>, Option<(&'h str, NodeId)>) {
    let mut findings = Findings::new();
    let mut unanswered = None;
    for ((key, _), answers) in keys {
        if let Some(silent) = nodes.iter().find(|node| !answers.contains_key(node)) {
            unanswered.get_or_insert((*key, *silent));
        }
        let Some(one) = most_common(history, answers) else { continue };
        let reply = history.operation(one).reply();
        // Each node that holds something else than most do is one divergence.
        for other in answers.values().filter(|id| history.operation(**id).reply() != reply) {
            let rank = Rank { operations: 2, span: u64::from(one.0.abs_diff(other.0)) };
            let kind = AnomalyKind::Divergence;
            let proof = Differ { one, other: *other };
            findings.push(Candidate { kind, culprit: *other, rank, proof });
        }
    }
    (findings, unanswered)
}

/// A read of what most nodes hold; of several, of what the first node holds.
fn most_common(history: &History, answers: &BTreeMap<NodeId, OperationId>) -> Option<OperationId> {
    let reply = |id: OperationId| history.operation(id).reply();
    let count = |id: OperationId| answers.values().filter(|it| reply(**it) == reply(id)).count();
    answers.values().copied().rev().max_by_key(|id| count(*id))
}

fn tell(history: &History, candidate: &Candidate<Differ>) -> Anomaly {
    let Differ { one, other } = candidate.proof;
    let (first, second) = (history.operation(one), history.operation(other));
    let key = match &first.op {
        Op::List { prefix, .. } => Key::new(story::set(prefix)),
        other => other.key().clone(),
    };
    let mut operations = vec![one, other];
    operations.sort_unstable();
    let story = match (first.reply(), second.reply()) {
        (Some(Reply::Listed(one)), Some(Reply::Listed(other))) => {
            // What one of them holds as well, only not as often, is not what it lacks.
            let (rarer, missing) = split(only_in(one, other), other);
            let (more_often, added) = split(only_in(other, one), one);
            let than = node(first);
            let parts: Vec<String> = [
                of_elements("lacks", &missing, &format!("that {than} holds")),
                of_elements("holds", &added, &format!("that {than} lacks")),
                of_elements("holds", &more_often, &format!("more often than {than}")),
                of_elements("holds", &rarer, &format!("fewer times than {than}")),
            ]
            .into_iter()
            .flatten()
            .collect();
            let how = if parts.is_empty() {
                format!("holds the same elements in another order than {than}")
            } else {
                parts.join(" and ")
            };
            format!("Of {key} {} {how}, after the heal, read at {}.", node(second), when(second))
        }
        (Some(Reply::Read(one)), Some(Reply::Read(other))) => format!(
            "{} holds {key}={}, but {} holds {key}={}, after the heal, read at {} and {}.",
            node(second),
            story::value(*other),
            node(first),
            story::value(*one),
            when(second),
            when(first)
        ),
        _ => format!("{} and {} answer differently about {key}.", node(first), node(second)),
    };
    let culprit = candidate.culprit;
    Anomaly {
        kind: candidate.kind,
        key,
        culprit,
        operations,
        swaps: Vec::new(),
        story: vec![story],
    }
}

/// The elements of one list that another one does not hold as often, in the order of the first.
pub(super) fn only_in(one: &[Value], other: &[Value]) -> Vec<Value> {
    let mut counts: FxHashMap<Value, u32> = FxHashMap::default();
    for value in other {
        *counts.entry(*value).or_default() += 1;
    }
    one.iter()
        .copied()
        .filter(|value| match counts.get_mut(value) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        })
        .collect()
}

/// Parts elements into those that a list holds and those that it does not.
fn split(elements: Vec<Value>, held: &[Value]) -> (Vec<Value>, Vec<Value>) {
    let held: FxHashSet<Value> = held.iter().copied().collect();
    elements.into_iter().partition(|element| held.contains(element))
}

/// "lacks 3 elements (1, 2, 3) that n1 holds".
fn of_elements(verb: &str, elements: &[Value], than: &str) -> Option<String> {
    const NAMED: usize = 5;
    if elements.is_empty() {
        return None;
    }
    let named: Vec<String> = elements.iter().take(NAMED).map(Value::to_string).collect();
    let more = if elements.len() > NAMED { ", ..." } else { "" };
    let noun = if elements.len() == 1 { "element" } else { "elements" };
    Some(format!("{verb} {} {noun} ({}{more}) {than}", elements.len(), named.join(", ")))
}

fn node(operation: &Operation) -> String {
    operation.node.map_or_else(|| "a node".to_string(), |node| node.to_string())
}

fn when(operation: &Operation) -> String {
    story::at(operation.completed.unwrap_or(operation.invoked).at)
}
