//! Transactions on lists: is there one order of all of them, each as one step?
//!
//! Appends to lists leave traces that writes to registers do not: a read shows every element before
//! it, and so who wrote what in which order, who read from whom, and who was not yet seen
//! (K. Kingsbury and P. Alvaro, "Elle: inferring isolation anomalies from experimental
//! observations", VLDB 2020). From that follows a graph of what must come before what
//! ([`graph`]); a cycle in it is a contradiction, and its edges name the anomaly ([`cycles`]):
//!
//! | name | the cycle holds |
//! |---|---|
//! | `g0` | only writes over writes |
//! | `g1c` | writes, and reads of what was written |
//! | `g-single` | and one read of what was overwritten later |
//! | `g2` | and several of them |
//! | `...-realtime` | and the order of time: one ended before the other began |
//!
//! Single reads are looked at as well: `g1a` of what failed, `g1b` of what was not finished, and within
//! one transaction `internal`, `future-read` of its own later steps, and `out-of-order` if what it
//! appended to one list stands there in another order.
//!
//! Sound: whatever is found is a contradiction. Not complete: what nobody read leaves no trace. What
//! concerns one list alone (`list`) is decided beside this, completely. Called through `workload`.

mod cycles;
mod graph;

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::findings::{Candidate, Findings, Rank};
use super::list::{Access, List, accesses, lists};
use super::story;
use crate::checker::unjudged;
use crate::history::{History, OperationId};
use crate::operation::{Key, Op, Outcome, Value};
use crate::verdict::{Anomaly, AnomalyKind, Judgement, Verdict};

use cycles::Cycle;
use graph::{Edge, Graph, LW, RW, WR, WW};

const NAME: &str = "transactions";

/// Judges the transactions of a history; single appends and reads are transactions of one step.
pub fn check(history: &History) -> Judgement {
    if let Some(unknown) = unjudged(NAME, history) {
        return unknown;
    }
    let lists = match lists(history) {
        Ok(lists) => lists,
        Err(why) => return Judgement::unknown(NAME, why),
    };
    let answered = history.operations.iter().filter(|operation| {
        matches!(operation.outcome, Outcome::Ok(_)) && graph::takes_part(history, operation.id)
    });
    let answered = answered.count() as u64;
    let reads: u64 = lists.iter().map(|list| list.reads.len() as u64).sum();
    let graph = Graph::of(history, &lists);
    let cycles = cycles::find(&graph);
    let mut findings = Findings::new();
    single_reads(history, &lists, &mut findings);
    for (index, cycle) in cycles.iter().enumerate() {
        let nodes = cycle.steps.iter().map(|(node, _)| *node);
        let culprit = OperationId(nodes.clone().max().unwrap_or_default());
        let span = u64::from(culprit.0 - nodes.min().unwrap_or_default());
        let rank = Rank { operations: cycle.steps.len() as u64, span };
        let proof = Proof::Cycle(index);
        findings.push(Candidate { kind: cycle.kind, culprit, rank, proof });
    }
    let (verdict, summary) = match (answered, reads) {
        (0, _) => (Verdict::Unknown, "no transaction was answered: nothing is known".to_string()),
        (_, 0) => (Verdict::Unknown, "no list was read: nothing is known".to_string()),
        _ => (Verdict::Pass, format!("the dependencies of {answered} transactions have no cycle")),
    };
    let mut judgement = findings
        .judge(NAME, verdict, summary, |candidate| tell(history, &lists, &cycles, candidate));
    // One that follows from two others is none of its own.
    let edges = graph.edges.iter().flatten().filter(|edge| edge.kind != LW).count();
    judgement.counts = BTreeMap::from([
        ("dependencies".to_string(), edges as u64),
        ("transactions".to_string(), answered),
    ]);
    judgement
}

#[derive(Clone, Copy, Debug)]
enum Proof {
    /// Index of the cycle.
    Cycle(usize),
    /// A read of what failed.
    Aborted { list: usize, value: Value, by: OperationId },
    /// A read of what its writer had not finished.
    Intermediate { list: usize, value: Value, then: Value, by: OperationId },
    /// A read that contradicts what its own transaction saw or did before.
    Internal { list: usize, between: [Option<OperationId>; 2] },
    /// Two elements of one transaction, against the order of its steps.
    Swapped { list: usize, values: [Value; 2], by: OperationId, read: OperationId },
    /// A read of what its own transaction appended only after it.
    Ahead { list: usize, value: Value },
}

/// What single reads show: aborted, intermediate, and at odds with their own transaction.
fn single_reads(history: &History, lists: &[List<'_>], findings: &mut Findings<Proof>) {
    let place: FxHashMap<&str, usize> =
        lists.iter().enumerate().map(|(index, list)| (list.key.as_str(), index)).collect();
    let mut push = |kind, culprit, operations, proof| {
        findings.push(Candidate { kind, culprit, rank: Rank { operations, span: 0 }, proof });
    };
    // The element that the same transaction appended right after.
    let mut next: FxHashMap<(usize, Value), Value> = FxHashMap::default();
    for operation in &history.operations {
        let mut last: FxHashMap<&str, Value> = FxHashMap::default();
        for (key, access) in accesses(operation) {
            if let Access::Append(value) = access
                && let Some(before) = last.insert(key.as_str(), value)
            {
                next.insert((place[key.as_str()], before), value);
            }
        }
    }
    own_orders(lists, &next, |by, proof| push(AnomalyKind::OutOfOrder, by, 2, proof));
    for operation in history.operations.iter().filter(|operation| !operation.op.is_local()) {
        let mut expected: FxHashMap<&str, Expected<'_>> = FxHashMap::default();
        let accesses = accesses(operation);
        for (at, (key, access)) in accesses.iter().enumerate() {
            let list = place[key.as_str()];
            let expected = expected.entry(key.as_str()).or_default();
            let values = match access {
                Access::Append(value) => {
                    expected.own.push(*value);
                    continue;
                }
                Access::Read(values) => *values,
            };
            let ahead = accesses[at + 1..].iter().find_map(|(other, access)| match access {
                Access::Append(value) if other == key && values.contains(value) => Some(*value),
                _ => None,
            });
            // A request that is sent again may be answered with what its first sending left.
            if let Some(value) = ahead
                && !matches!(operation.op, Op::Once { .. })
            {
                push(AnomalyKind::FutureRead, operation.id, 1, Proof::Ahead { list, value });
            }
            let added = |value: Value| lists[list].added.get(&value).filter(|added| !added.failed);
            // An element that should not be there at all is the affair of the checker of lists.
            let differ = expected.difference(values);
            let differ = differ
                .filter(|differ| differ.iter().flatten().all(|value| added(*value).is_some()));
            if let Some(differ) = differ {
                let by = |value: Option<Value>| Some(added(value?)?.by);
                let between = differ.map(by);
                let proof = Proof::Internal { list, between };
                push(AnomalyKind::Internal, operation.id, 1, proof);
            }
            *expected = Expected { seen: Some(values), own: Vec::new() };
            let failed = values.iter().find_map(|value| {
                lists[list].added.get(value).filter(|added| added.failed).map(|it| (*value, it.by))
            });
            if let Some((value, by)) = failed {
                push(AnomalyKind::G1a, operation.id, 2, Proof::Aborted { list, value, by });
            }
            let Some(value) = values.last().copied() else { continue };
            let by = lists[list].added.get(&value).map(|added| added.by);
            if let (Some(by), Some(then)) = (by, next.get(&(list, value)))
                && by != operation.id
            {
                let proof = Proof::Intermediate { list, value, then: *then, by };
                push(AnomalyKind::G1b, operation.id, 2, proof);
            }
        }
    }
}

/// Elements of one transaction that stand in another order than that of its steps. What it appended to a
/// list of which the reads have one order is seen in the longest read.
fn own_orders(
    lists: &[List<'_>],
    next: &FxHashMap<(usize, Value), Value>,
    mut push: impl FnMut(OperationId, Proof),
) {
    for (index, list) in lists.iter().enumerate() {
        let Some(read) = list.longest() else { continue };
        let then = |value: &Value| next.get(&(index, *value)).copied();
        if !read.values.iter().any(|value| then(value).is_some()) || !list.is_ordered() {
            continue;
        }
        let mut before: FxHashSet<Value> = FxHashSet::default();
        for value in read.values {
            before.insert(*value);
            let by = list.added[value].by;
            // Who reads its own elements knows better what it should have seen.
            if let Some(then) = then(value).filter(|then| before.contains(then) && by != read.by) {
                let values = [*value, then];
                push(by, Proof::Swapped { list: index, values, by, read: read.by });
            }
        }
    }
}

/// What a transaction knows of a list from its own steps.
#[derive(Default)]
struct Expected<'h> {
    /// What it read last.
    seen: Option<&'h [Value]>,
    /// What it appended since.
    own: Vec<Value>,
}

impl Expected<'_> {
    /// Where a read differs from what is expected: the element that is expected and that which is
    /// there. Before its first read, a transaction knows only how the list must end.
    fn difference(&self, values: &[Value]) -> Option<[Option<Value>; 2]> {
        let (expected, seen) = match self.seen {
            Some(seen) => ([seen, &self.own].concat(), values),
            None => (self.own.clone(), &values[values.len().saturating_sub(self.own.len())..]),
        };
        let count = expected.len().max(seen.len());
        let at = (0..count).find(|at| expected.get(*at) != seen.get(*at))?;
        Some([expected.get(at).copied(), seen.get(at).copied()])
    }
}

fn tell(
    history: &History,
    lists: &[List<'_>],
    cycles: &[Cycle],
    candidate: &Candidate<Proof>,
) -> Anomaly {
    let whole = |id: OperationId| story::operation(history.operation(id));
    let reader = candidate.culprit;
    let (key, mut operations, story): (Key, Vec<OperationId>, Vec<String>) = match candidate.proof {
        Proof::Cycle(index) => {
            let steps = &cycles[index].steps;
            let key = steps.iter().find(|(_, edge)| edge.kind & (WW | WR | RW | LW) != 0);
            let key = key.map_or(0, |(_, edge)| edge.list as usize);
            let mut operations: Vec<OperationId> =
                steps.iter().map(|(node, _)| OperationId(*node)).collect();
            // Who wrote first is known from whoever read both.
            let over = steps.iter().filter(|(_, edge)| edge.kind & (WW | LW) != 0);
            let witness = over.filter_map(|(_, edge)| lists[edge.list as usize].longest());
            operations.extend(witness.map(|read| read.by));
            (lists[key].key.clone(), operations, sentences(history, lists, steps))
        }
        Proof::Aborted { list, value, by } => {
            let text = format!("{}; {}, and {value} among them.", whole(by), whole(reader));
            (lists[list].key.clone(), vec![by, reader], vec![text])
        }
        Proof::Intermediate { list, value, then, by } => {
            let text = format!(
                "{}; {}, with {value} but without {then}, which the same transaction appended.",
                whole(by),
                whole(reader)
            );
            (lists[list].key.clone(), vec![by, reader], vec![text])
        }
        Proof::Swapped { list, values: [first, second], by, read } => {
            let text = format!(
                "{}; {}, with {second} before {first}, which the same transaction appended first.",
                whole(by),
                whole(read)
            );
            (lists[list].key.clone(), vec![by, read], vec![text])
        }
        Proof::Ahead { list, value } => {
            let key = lists[list].key.clone();
            let text = format!(
                "{}: it saw {value} in {key} before its own step that appends {value}.",
                whole(reader)
            );
            (key, vec![reader], vec![text])
        }
        Proof::Internal { list, between } => {
            let key = lists[list].key.clone();
            let text = format!(
                "{}: what it read of {key} is not what its own steps before say.",
                whole(reader)
            );
            let operations = between.into_iter().flatten().chain([reader]).collect();
            (key, operations, vec![text])
        }
    };
    operations.sort_unstable();
    operations.dedup();
    let culprit = candidate.culprit;
    Anomaly { kind: candidate.kind, key, culprit, operations, swaps: Vec::new(), story }
}

/// "T1: c3 appended ... T1 came before T2: ...", and the last one back to T1.
fn sentences(history: &History, lists: &[List<'_>], steps: &[(u32, Edge)]) -> Vec<String> {
    let name = |place: usize| format!("T{}", place % steps.len() + 1);
    let mut story: Vec<String> = Vec::new();
    for (place, (node, _)) in steps.iter().enumerate() {
        let what = story::operation(history.operation(OperationId(*node)));
        story.push(format!("{}: {what}.", name(place)));
    }
    for (place, (node, edge)) in steps.iter().enumerate() {
        let (one, two) = (name(place), name(place + 1));
        let key = &lists[edge.list as usize].key;
        let value = |value: Option<Value>| story::value(value);
        let why = match edge.kind {
            WW => {
                // Who wrote first is known from whoever read both.
                let read = lists[edge.list as usize].longest();
                let saw = read.map(|read| {
                    match steps.iter().position(|(node, _)| OperationId(*node) == read.by) {
                        Some(place) => name(place),
                        None => history.operation(read.by).client.to_string(),
                    }
                });
                format!(
                    "{} read {key} with {} of {one} directly before {} of {two}",
                    saw.unwrap_or_else(|| "somebody".to_string()),
                    value(edge.from_value),
                    value(edge.to_value)
                )
            }
            WR => {
                let last = value(edge.to_value);
                format!("{two} read {key}, whose last element was {last} of {one}")
            }
            LW => format!(
                "{two} appended {} to {key}, which no read has, and the longest ends in {} of {one}",
                value(edge.to_value),
                value(edge.from_value)
            ),
            RW => {
                format!("{one} read {key} without {}, which {two} appended", value(edge.to_value))
            }
            _ => {
                let ended = history.operation(OperationId(*node)).completed.map(|stamp| stamp.at);
                let ended = ended.map(|at| format!(" at {}", story::at(at))).unwrap_or_default();
                format!("it ended{ended}, before {two} began")
            }
        };
        let end = if place + 1 == steps.len() { ": a contradiction" } else { "" };
        story.push(format!("{one} must come before {two}, because {why}{end}."));
    }
    story
}
