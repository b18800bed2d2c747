//! The graph of dependencies: which transaction must come before which, and how that is known.
//!
//! ```text
//!   ww  T1 appended 3 to x, T2 appended 4 right behind it
//!   wr  T1 appended 3 to x, T2 read x with 3 as its last element
//!   rw  T1 read x without 4, T2 appended 4 as the next element
//!   rt  T1 ended before T2 began
//!   lw  T1 appended the last element that anybody saw in x, T2 one that nobody saw
//! ```
//!
//! The last follows from a read of the whole list in between (`wr`, then `rw`), so it finds nothing; a
//! cycle that takes it instead misses one write less, and is named for that.
//!
//! Real time is a relation of every transaction with every later one. Only those edges are kept
//! that no others imply: a transaction begins after those that have ended and that no transaction
//! in between covers, of which there are at most as many as clients. Called by [`super`].

use rustc_hash::FxHashSet;

use crate::checker::list::{Access, Added, List, accesses};
use crate::checker::versions::{NEVER, begin, end};
use crate::history::{History, OperationId};
use crate::operation::{Outcome, Value};

/// Kinds of dependency, as bits of a mask.
pub(super) const WW: u8 = 1;
/// Read what it wrote.
pub(super) const WR: u8 = 2;
/// Overwrote what it read.
pub(super) const RW: u8 = 4;
/// Ended before the other began.
pub(super) const RT: u8 = 8;

/// Appended what nobody saw, and so behind all that was seen.
pub(super) const LW: u8 = 16;

/// Of the readers that saw a list whole and of the elements that nobody saw, so many each are
/// joined. Every further pair says the same of a neighbor, and pairs grow with the square.
const UNSEEN_MAX: usize = 64;

/// Index of a transaction in the graph: that of its operation.
pub(super) type Node = u32;

/// A dependency, and how it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) to: Node,
    /// One of the bits above.
    pub(super) kind: u8,
    /// Index of the list it comes from.
    pub(super) list: u32,
    /// What the earlier one appended or saw last; `None` if it saw an empty list.
    pub(super) from_value: Option<Value>,
    /// What the later one appended or saw last.
    pub(super) to_value: Option<Value>,
}

/// All dependencies of a history, by the transaction that comes first.
pub(super) struct Graph {
    pub(super) edges: Vec<Vec<Edge>>,
}

impl Graph {
    pub(super) fn of(history: &History, lists: &[List<'_>]) -> Graph {
        let mut graph = Graph { edges: vec![Vec::new(); history.operations.len()] };
        let happened = happened(lists);
        for (index, list) in lists.iter().enumerate() {
            graph.add_list(index as u32, list, &happened);
        }
        graph.add_real_time(history);
        graph
    }

    fn push(&mut self, from: OperationId, to: OperationId, edge: Edge) {
        if from != to {
            self.edges[from.0 as usize].push(Edge { to: to.0, ..edge });
        }
    }

    /// A list without one order says nothing of what came before what; that it has none is said by
    /// the checker of lists.
    fn add_list(&mut self, index: u32, list: &List<'_>, happened: &FxHashSet<OperationId>) {
        if !list.is_ordered() {
            return;
        }
        let longest = list.longest().map(|read| read.values).unwrap_or_default();
        let writer = |value: &Value| list.added.get(value).filter(|added| !added.failed);
        let edge =
            |kind, from_value, to_value| Edge { to: 0, kind, list: index, from_value, to_value };
        for pair in longest.windows(2) {
            if let (Some(one), Some(two)) = (writer(&pair[0]), writer(&pair[1])) {
                self.push(one.by, two.by, edge(WW, Some(pair[0]), Some(pair[1])));
            }
        }
        let seen: FxHashSet<Value> = longest.iter().copied().collect();
        // One whose outcome is unknown and of which nobody saw anything need not have happened.
        let is_done = |added: &Added| added.is_acknowledged() || happened.contains(&added.by);
        let unseen =
            list.added.iter().filter(|(value, added)| is_done(added) && !seen.contains(value));
        let mut unseen: Vec<(Value, OperationId)> =
            unseen.map(|(value, added)| (*value, added.by)).collect();
        unseen.sort_unstable();
        unseen.truncate(UNSEEN_MAX);
        let last = longest.last().copied();
        if let Some(seen) = last.as_ref().and_then(writer) {
            for (value, by) in &unseen {
                self.push(seen.by, *by, edge(LW, last, Some(*value)));
            }
        }
        let mut whole = 0;
        for read in &list.reads {
            if !longest.starts_with(read.values) {
                continue;
            }
            let last = read.values.last().copied();
            if let Some(added) = last.as_ref().and_then(writer) {
                self.push(added.by, read.by, edge(WR, last, last));
            }
            if let Some(next) = longest.get(read.values.len()) {
                if let Some(added) = writer(next) {
                    self.push(read.by, added.by, edge(RW, last, Some(*next)));
                }
            } else if whole < UNSEEN_MAX {
                whole += 1;
                for (value, by) in &unseen {
                    self.push(read.by, *by, edge(RW, last, Some(*value)));
                }
            }
        }
    }

    fn add_real_time(&mut self, history: &History) {
        let mut events = Vec::new();
        for operation in &history.operations {
            let failed = matches!(operation.outcome, Outcome::Fail(_));
            if failed || operation.op.is_local() || accesses(operation).is_empty() {
                continue;
            }
            events.push((begin(operation), operation.id, false));
            if end(operation) != NEVER {
                events.push((end(operation), operation.id, true));
            }
        }
        events.sort_unstable();
        let edge = Edge { to: 0, kind: RT, list: 0, from_value: None, to_value: None };
        let mut frontier: Vec<OperationId> = Vec::new();
        let mut before: Vec<Vec<OperationId>> = vec![Vec::new(); history.operations.len()];
        for (_, id, is_end) in events {
            if is_end {
                // Whoever begins from now on comes after it, and so after those before it.
                let covered = std::mem::take(&mut before[id.0 as usize]);
                frontier.retain(|other| !covered.contains(other));
                frontier.push(id);
            } else {
                for other in &frontier {
                    self.push(*other, id, edge);
                }
                before[id.0 as usize].clone_from(&frontier);
            }
        }
    }
}

/// Operations of unknown outcome of which somebody saw an element, so that all of their steps were done.
fn happened(lists: &[List<'_>]) -> FxHashSet<OperationId> {
    let mut happened = FxHashSet::default();
    for list in lists {
        let is_unknown = |added: &&Added| !added.failed && !added.is_acknowledged();
        if !list.added.values().any(|added| is_unknown(&added)) {
            continue;
        }
        let seen = list.reads.iter().flat_map(|read| read.values);
        happened.extend(
            seen.filter_map(|value| list.added.get(value)).filter(is_unknown).map(|added| added.by),
        );
    }
    happened
}

/// Whether an operation takes part: it read or appended, and did not fail.
pub(super) fn takes_part(history: &History, id: OperationId) -> bool {
    let operation = history.operation(id);
    let touches =
        |(_, access): &(_, Access<'_>)| matches!(access, Access::Append(_) | Access::Read(_));
    !matches!(operation.outcome, Outcome::Fail(_)) && accesses(operation).iter().any(touches)
}
