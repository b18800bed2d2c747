//! Lists that grow at the end, key by key: every element is appended once, every read sees all.
//!
//! The longest read is the order of the elements, and every other read must be a beginning of it.
//! That fixes the order of the operations but for reads that saw the same:
//!
//! ```text
//!   reads of []   append 7   reads of [7]   append 3   reads of [7 3]   ...   appends nobody saw
//! ```
//!
//! so the history of a key is linearizable exactly if no operation ended before one of an earlier
//! place began. One pass finds that out, in the size of the reads. A step of a transaction is taken
//! as an operation as long as its transaction: what holds between several keys is the business of
//! [`super::elle`]. Called through `workload`.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::findings::{Candidate, Findings, Rank};
use super::story;
use super::unjudged;
use super::versions::{NEVER, Place, begin, end};
use crate::history::{History, Operation, OperationId};
use crate::operation::{Key, Op, Outcome, Reply, Step, StepReply, Value};
use crate::verdict::{Anomaly, AnomalyKind, Judgement, Verdict};

const NAME: &str = "list";

/// Judges all lists of a history. Complete: it passes exactly the histories of which each key alone
/// is linearizable. `unknown` if an element was appended by two different requests.
pub fn check(history: &History) -> Judgement {
    if let Some(unknown) = unjudged(NAME, history) {
        return unknown;
    }
    let lists = match lists(history) {
        Ok(lists) => lists,
        Err(why) => return Judgement::unknown(NAME, why),
    };
    let mut findings = Findings::new();
    let (mut reads, mut appends) = (0, 0);
    for (index, list) in lists.iter().enumerate() {
        reads += list.reads.len() as u64;
        appends += list.added.values().filter(|added| added.is_acknowledged()).count() as u64;
        Keyed { list, index, findings: &mut findings }.check();
    }
    let (verdict, summary) = match (reads, appends) {
        (0, _) => (Verdict::Unknown, "no list was read: nothing is known".to_string()),
        (_, 0) => {
            (Verdict::Unknown, "no append was acknowledged: there is none to lose".to_string())
        }
        _ => {
            let count = lists.len();
            (
                Verdict::Pass,
                format!(
                    "one order of {appends} appends and {reads} reads of {count} lists exists, key by key"
                ),
            )
        }
    };
    let mut judgement = findings.judge(NAME, verdict, summary, |candidate| {
        tell(history, &lists[candidate.proof.list], candidate)
    });
    judgement.counts = BTreeMap::from([
        ("appends".to_string(), appends),
        ("lists".to_string(), lists.len() as u64),
        ("reads".to_string(), reads),
    ]);
    judgement
}

/// Why nothing can be said of the lists of a history, if so.
pub fn undecided(history: &History) -> Option<String> {
    lists(history).err()
}

/// Everything about one key.
pub(super) struct List<'h> {
    pub(super) key: Key,
    pub(super) added: FxHashMap<Value, Added>,
    pub(super) reads: Vec<Seen<'h>>,
}

/// An element, and the operation that appended it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Added {
    pub(super) by: OperationId,
    pub(super) begin: Place,
    /// [`NEVER`] of one whose outcome is unknown.
    pub(super) end: Place,
    pub(super) failed: bool,
}

impl Added {
    pub(super) fn is_acknowledged(&self) -> bool {
        !self.failed && self.end != NEVER
    }
}

/// One read of the whole list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'h> {
    pub(super) by: OperationId,
    pub(super) begin: Place,
    pub(super) end: Place,
    pub(super) values: &'h [Value],
}

impl<'h> List<'h> {
    /// The read that fixes the order: the longest, of several the first.
    pub(super) fn longest(&self) -> Option<&Seen<'h>> {
        self.reads.iter().rev().max_by_key(|read| read.values.len())
    }

    /// Whether its reads have one order of elements that were each appended once.
    pub(super) fn is_ordered(&self) -> bool {
        let Some(longest) = self.longest() else { return true };
        let mut seen: FxHashSet<Value> = FxHashSet::default();
        let is_right = |value: &Value| self.added.get(value).is_some_and(|added| !added.failed);
        longest.values.iter().all(|value| is_right(value) && seen.insert(*value))
            && self.reads.iter().all(|read| longest.values.starts_with(read.values))
    }

    /// Takes in an append. One that is sent again under its idempotency key lasts from its first
    /// sending to the first answer.
    fn add(&mut self, operation: &Operation, value: Value) -> Result<(), String> {
        let failed = matches!(operation.outcome, Outcome::Fail(_));
        let (begin, end) = (begin(operation), if failed { NEVER } else { end(operation) });
        let added = Added { by: operation.id, begin, end, failed };
        let Some(before) = self.added.get_mut(&value) else {
            self.added.insert(value, added);
            return Ok(());
        };
        if !matches!(operation.op, Op::Once { .. }) {
            return Err(format!("{value} was appended to {} twice: undecided", self.key));
        }
        // Whichever was acknowledged names the element in stories.
        if before.failed {
            // It certainly did nothing, so the element is of the later sending alone.
            *before = added;
        } else if !failed && added.end < before.end {
            *before = Added { begin: before.begin.min(begin), ..added };
        }
        Ok(())
    }
}

/// The lists of a history, keys in order of first use. Local reads are left out.
pub(super) fn lists(history: &History) -> Result<Vec<List<'_>>, String> {
    let mut index: FxHashMap<&str, usize> = FxHashMap::default();
    let mut lists: Vec<List<'_>> = Vec::new();
    let mut deleted: FxHashSet<&str> = FxHashSet::default();
    for operation in history.operations.iter().filter(|operation| !operation.op.is_local()) {
        deleted.extend(deletes(operation).map(Key::as_str));
        for (key, access) in accesses(operation) {
            let place = *index.entry(key.as_str()).or_insert_with(|| {
                let (added, reads) = (FxHashMap::default(), Vec::new());
                lists.push(List { key: key.clone(), added, reads });
                lists.len() - 1
            });
            match access {
                Access::Append(value) => lists[place].add(operation, value)?,
                Access::Read(values) => lists[place].reads.push(Seen {
                    by: operation.id,
                    begin: begin(operation),
                    end: end(operation),
                    values,
                }),
            }
        }
    }
    match deleted.into_iter().find(|key| index.contains_key(key)) {
        Some(key) => Err(format!("{key} is a list that was deleted: undecided")),
        None => Ok(lists),
    }
}

/// What an operation deletes, or may have deleted.
fn deletes(operation: &Operation) -> impl Iterator<Item = &Key> {
    let mut op = &operation.op;
    while let Op::Once { op: inner, .. } = op {
        op = inner;
    }
    let happened = !matches!(operation.outcome, Outcome::Fail(_));
    let whole = if let Op::Delete { key } = op { Some(key) } else { None };
    let steps = match op {
        Op::Transaction(transaction) => [&transaction.then[..], &transaction.otherwise[..]],
        _ => [&[][..], &[][..]],
    };
    let in_steps = steps.into_iter().flatten().filter_map(|step| match step {
        Step::Delete(key) => Some(key),
        _ => None,
    });
    whole.into_iter().chain(in_steps).filter(move |_| happened)
}

/// What an operation did to a list, or may have done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Access<'h> {
    Append(Value),
    Read(&'h [Value]),
}

/// All accesses of an operation to lists, in its order. What a transaction of unknown outcome read
/// nobody knows; what it appends if its conditions hold, it may have appended.
pub(super) fn accesses(operation: &Operation) -> Vec<(&Key, Access<'_>)> {
    let mut op = &operation.op;
    while let Op::Once { op: inner, .. } = op {
        op = inner;
    }
    match (op, operation.reply()) {
        (Op::Append { key, value }, _) => vec![(key, Access::Append(*value))],
        (Op::ReadList { key, .. }, Some(Reply::Listed(values))) => {
            vec![(key, Access::Read(values))]
        }
        (Op::Transaction(transaction), Some(Reply::Transacted { succeeded, results })) => {
            let steps = transaction.side(*succeeded).iter().zip(results);
            let accesses = steps.filter_map(|(step, result)| match (step, result) {
                (Step::ReadList(key), StepReply::Listed(values)) => {
                    Some((key, Access::Read(values.as_slice())))
                }
                _ => appended(step),
            });
            accesses.collect()
        }
        (Op::Transaction(transaction), None) => {
            transaction.then.iter().filter_map(appended).collect()
        }
        _ => Vec::new(),
    }
}

fn appended(step: &Step) -> Option<(&Key, Access<'_>)> {
    match step {
        Step::Append(key, value) => Some((key, Access::Append(*value))),
        _ => None,
    }
}

/// Why the answers about a list cannot all be right.
#[derive(Clone, Copy, Debug)]
struct Found {
    list: usize,
    proof: Proof,
}

#[derive(Clone, Copy, Debug)]
enum Proof {
    /// A read saw an element twice.
    Twice { read: OperationId, value: Value, by: Option<OperationId> },
    /// A read saw an element that was never appended, or whose append failed.
    Unwritten { read: OperationId, value: Value, failed: Option<OperationId> },
    /// Two reads go different ways from the same place on.
    Forked { one: OperationId, other: OperationId, values: (Value, Value) },
    /// A read saw an element whose append began only after it.
    Early { read: OperationId, by: OperationId, value: Value },
    /// A read lacks an element that was appended before it began, and others have it.
    Behind { read: OperationId, by: OperationId, value: Value, seen: OperationId },
    /// A read lacks what an earlier read saw.
    Back { read: OperationId, earlier: OperationId, value: Value },
    /// An element stands before one that was appended before it was sent.
    Misplaced { first: (OperationId, Value), second: (OperationId, Value), read: OperationId },
    /// An element that was acknowledged is in no read, though one began later.
    Lost { by: OperationId, value: Value, read: OperationId },
}

/// The check of one key.
struct Keyed<'a, 'h> {
    list: &'a List<'h>,
    index: usize,
    findings: &'a mut Findings<Found>,
}

/// An operation in its forced place.
#[derive(Clone, Copy)]
struct Placed {
    begin: Place,
    end: Place,
    by: OperationId,
    /// How many elements were there after it.
    length: usize,
    is_read: bool,
}

impl Keyed<'_, '_> {
    fn check(&mut self) {
        let list = self.list;
        let Some(longest) = list.longest() else { return };
        let mut is_chain = true;
        for read in &list.reads {
            if read.values.len() <= longest.values.len()
                && longest.values[..read.values.len()] == *read.values
            {
                continue;
            }
            is_chain = false;
            self.fork(longest, read);
            self.elements(read);
        }
        is_chain &= self.elements(longest);
        self.lost(longest);
        // Without one order there is nothing to hold the times against.
        if is_chain {
            self.order(longest);
        }
    }

    fn push(
        &mut self,
        kind: AnomalyKind,
        culprit: OperationId,
        operations: u64,
        span: u64,
        proof: Proof,
    ) {
        let proof = Found { list: self.index, proof };
        self.findings.push(Candidate { kind, culprit, rank: Rank { operations, span }, proof });
    }

    fn fork(&mut self, longest: &Seen<'_>, read: &Seen<'_>) {
        let at = longest.values.iter().zip(read.values).position(|(one, other)| one != other);
        // It is no longer than the longest and no beginning of it.
        let Some(at) = at else { return };
        let values = (longest.values[at], read.values[at]);
        let is_right = |value| self.list.added.get(&value).is_some_and(|added| !added.failed);
        // An element that should not be there at all says more than where it stands.
        if !is_right(values.0) || !is_right(values.1) {
            return;
        }
        let (one, other) = (longest.by, read.by);
        let culprit = if read.begin > longest.begin { other } else { one };
        let span = read.begin.abs_diff(longest.begin);
        self.push(
            AnomalyKind::IncompatibleOrder,
            culprit,
            4,
            span,
            Proof::Forked { one, other, values },
        );
    }

    /// Looks at the elements of one read; says whether each was appended once and may be there.
    fn elements(&mut self, read: &Seen<'_>) -> bool {
        let mut seen: FxHashSet<Value> = FxHashSet::default();
        let mut is_right = true;
        for value in read.values {
            let added = self.list.added.get(value).copied();
            if !seen.insert(*value) {
                is_right = false;
                // What nobody appended is a phantom, however often it is there.
                if added.is_none() {
                    continue;
                }
                // The first who saw it twice.
                let read = self.first_twice(*value).unwrap_or(*read);
                let by = added.map(|added| added.by);
                let proof = Proof::Twice { read: read.by, value: *value, by };
                self.push(AnomalyKind::Duplicate, read.by, 2, 0, proof);
                continue;
            }
            let failed = match added {
                Some(added) if !added.failed => continue,
                Some(added) => Some(added.by),
                None => None,
            };
            is_right = false;
            let kind = match failed {
                Some(_) => AnomalyKind::AbortedRead,
                None => AnomalyKind::Phantom,
            };
            let proof = Proof::Unwritten { read: read.by, value: *value, failed };
            self.push(kind, read.by, 1 + u64::from(failed.is_some()), 0, proof);
        }
        is_right
    }

    fn first_twice(&self, value: Value) -> Option<Seen<'_>> {
        let twice = |read: &&Seen<'_>| read.values.iter().filter(|it| **it == value).count() > 1;
        self.list.reads.iter().find(twice).copied()
    }

    /// Acknowledged elements that the longest read lacks, although some read began after them. If
    /// the reads fork, one that no read has.
    fn lost(&mut self, longest: &Seen<'_>) {
        let Some(last) = self.list.reads.iter().max_by_key(|read| read.begin).copied() else {
            return;
        };
        let mut seen: FxHashSet<Value> = FxHashSet::default();
        for read in &self.list.reads {
            // Beginnings of the longest add nothing.
            if read.by == longest.by || !longest.values.starts_with(read.values) {
                seen.extend(read.values);
            }
        }
        for (value, added) in &self.list.added {
            if added.is_acknowledged() && !seen.contains(value) && added.end < last.begin {
                let (by, span) = (added.by, last.begin - added.begin);
                let proof = Proof::Lost { by, value: *value, read: last.by };
                self.push(AnomalyKind::LostWrite, by, 2, span, proof);
            }
        }
    }

    /// Holds the forced order against the times.
    fn order(&mut self, longest: &Seen<'_>) {
        let mut reads: Vec<Vec<Seen<'_>>> = vec![Vec::new(); longest.values.len() + 1];
        for read in &self.list.reads {
            reads[read.values.len()].push(*read);
        }
        let mut latest: Option<Placed> = None;
        for (length, reads) in reads.iter().enumerate() {
            let mut group = Vec::new();
            if let Some(value) = length.checked_sub(1).map(|at| longest.values[at]) {
                let Added { begin, end, by, .. } = self.list.added[&value];
                self.against(longest, latest, Placed { begin, end, by, length, is_read: false });
                latest = later(latest, Placed { begin, end, by, length, is_read: false });
            }
            for Seen { by, begin, end, .. } in reads {
                let placed = Placed { begin: *begin, end: *end, by: *by, length, is_read: true };
                self.against(longest, latest, placed);
                group.push(placed);
            }
            for placed in group {
                latest = later(latest, placed);
            }
        }
        // Acknowledged appends that no read saw come behind all others.
        let seen: FxHashSet<Value> = longest.values.iter().copied().collect();
        let unseen = self
            .list
            .added
            .iter()
            .filter(|(value, added)| added.is_acknowledged() && !seen.contains(value));
        let unseen: Vec<(Value, Added)> = unseen.map(|(value, added)| (*value, *added)).collect();
        for (value, added) in unseen {
            let Some(latest) = latest.filter(|latest| !latest.is_read && added.end < latest.begin)
            else {
                continue;
            };
            let second = (added.by, value);
            let first = (latest.by, longest.values[latest.length - 1]);
            let span = latest.begin - added.begin;
            let proof = Proof::Misplaced { first, second, read: longest.by };
            self.push(AnomalyKind::OutOfOrder, latest.by, 3, span, proof);
        }
    }

    /// One operation against the latest that must come before it.
    fn against(&mut self, longest: &Seen<'_>, latest: Option<Placed>, now: Placed) {
        let Some(before) = latest.filter(|before| now.end < before.begin) else { return };
        let span = before.begin - now.end;
        let element = |length: usize| longest.values[length - 1];
        let (kind, culprit, operations, proof) = match (before.is_read, now.is_read) {
            // `before` began after `now` ended, and saw or made less.
            (true, false) => {
                let (by, value) = (now.by, element(now.length));
                let proof = Proof::Behind { read: before.by, by, value, seen: longest.by };
                (AnomalyKind::StaleRead, before.by, 3, proof)
            }
            (true, true) => {
                let value = element(before.length + 1);
                let proof = Proof::Back { read: before.by, earlier: now.by, value };
                (AnomalyKind::StaleRead, before.by, 3, proof)
            }
            (false, true) => {
                let value = element(before.length);
                let proof = Proof::Early { read: now.by, by: before.by, value };
                (AnomalyKind::FutureRead, now.by, 2, proof)
            }
            (false, false) => {
                let first = (before.by, element(before.length));
                let second = (now.by, element(now.length));
                let proof = Proof::Misplaced { first, second, read: longest.by };
                (AnomalyKind::OutOfOrder, before.by, 3, proof)
            }
        };
        self.push(kind, culprit, operations, span, proof);
    }
}

/// Of two operations the one that began later.
fn later(latest: Option<Placed>, now: Placed) -> Option<Placed> {
    match latest {
        Some(latest) if latest.begin >= now.begin => Some(latest),
        _ => Some(now),
    }
}

fn tell(history: &History, list: &List<'_>, candidate: &Candidate<Found>) -> Anomaly {
    let whole = |id: OperationId| story::operation(history.operation(id));
    let saw = |id: OperationId| story::saw(history.operation(id));
    let later = |id: OperationId| story::later(history.operation(id));
    let by = |value: Value| list.added.get(&value).map(|added| added.by);
    let (operations, text) = match candidate.proof.proof {
        Proof::Twice { read, value, by } => {
            let added = by.map(|by| format!("{}; ", whole(by))).unwrap_or_default();
            let once = by.and_then(|by| sent_again(history, by));
            let once = once.unwrap_or_else(|| "it was appended once".to_string());
            (
                [Some(read), by].into_iter().flatten().collect(),
                format!("{added}{}, and {value} twice, although {once}.", saw(read)),
            )
        }
        Proof::Unwritten { read, value, failed: None } => (
            vec![read],
            format!("{}, and {value} among them, which nobody ever appended.", saw(read)),
        ),
        Proof::Unwritten { read, value, failed: Some(failed) } => (
            vec![read, failed],
            format!("{}; {}, and {value} among them.", whole(failed), saw(read)),
        ),
        Proof::Forked { one, other, values: (left, right) } => (
            [Some(one), Some(other), by(left), by(right)].into_iter().flatten().collect(),
            format!(
                "{}; {}: after the same beginning the one goes on with {left}, the other with \
                 {right}, and a list never loses or moves an element.",
                saw(one),
                saw(other)
            ),
        ),
        Proof::Early { read, by, value } => (
            vec![read, by],
            format!("{}, and {value} among them; only then {}.", saw(read), later(by)),
        ),
        Proof::Behind { read, by, value, seen } => (
            vec![read, by, seen],
            format!(
                "{}; {}, without {value}, which {} has.",
                whole(by),
                saw(read),
                who(history, seen)
            ),
        ),
        Proof::Back { read, earlier, value } => (
            [Some(read), Some(earlier), by(value)].into_iter().flatten().collect(),
            format!(
                "{}; then {}, without {value}, which the earlier read had.",
                saw(earlier),
                saw(read)
            ),
        ),
        Proof::Misplaced { first, second, read } => (
            vec![first.0, second.0, read],
            format!(
                "{}; only then {}; but {}, with {} before {}.",
                whole(second.0),
                later(first.0),
                saw(read),
                first.1,
                second.1
            ),
        ),
        Proof::Lost { by, value, read } => (
            vec![by, read],
            format!("{}; {}, without {value}, and no read has it.", whole(by), saw(read)),
        ),
    };
    let mut operations: Vec<OperationId> = operations;
    operations.sort_unstable();
    operations.dedup();
    Anomaly {
        kind: candidate.kind,
        key: list.key.clone(),
        culprit: candidate.culprit,
        operations,
        swaps: Vec::new(),
        story: vec![text],
    }
}

/// That a request was sent more than once, if so: it is to be done once all the same.
fn sent_again(history: &History, by: OperationId) -> Option<String> {
    let Op::Once { request, .. } = &history.operation(by).op else { return None };
    let is_same = |it: &&Operation| matches!(&it.op, Op::Once { request: of, .. } if of == request);
    match history.operations.iter().filter(is_same).count() {
        0 | 1 => None,
        times => Some(format!("{request}, sent {times} times, is one request and is done once")),
    }
}

/// "the read of c3".
fn who(history: &History, id: OperationId) -> String {
    format!("the read of {}", history.operation(id).client)
}
