//! Queues: first in, first out, of elements that are added once.
//!
//! Each element is added in one interval and taken in another, so what can be wrong is a matter of
//! comparing intervals (A. Bouajjani and others, "On Reducing Linearizability to State Reachability",
//! 2015). A history of queues is impossible exactly if
//!
//! | | |
//! |---|---|
//! | what is taken was not added, or is taken twice | `phantom`, `future-read`, `duplicate` |
//! | of two added one after the other the later one is taken first | `out-of-order` |
//! | it is found empty, and at every moment there was an element in it | `stale-read` |
//! | what was added is never taken, and is not there at the end | `lost-write` |
//!
//! A read of all at the end counts as taking what is left, in its order, and then finding nothing.
//! A dequeue of unknown outcome may have taken something. What is missing is given to those, that
//! which must have gone first to the one that began first: since they have no end, any other way to
//! share it out works only if this one does. If that explains everything, some order exists; if
//! not even the widest guess would, none does; between the two the general search decides
//! (`queue_search`). Called through `workload`.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::findings::{Candidate, Findings, Rank, with_searched};
use super::queue_search;
use super::searched::Searched;
use super::story;
use super::unjudged;
use super::versions::{NEVER, Place, begin, end};
use crate::history::{History, Operation, OperationId};
use crate::operation::{Key, Op, Outcome, Reply, Value};
use crate::verdict::{Anomaly, AnomalyKind, Judgement, Verdict};

const NAME: &str = "queue";

/// Judges all queues of a history. Complete, within the budget of the general search: that judges
/// queues with elements that were added twice, those that were read before their end, and those of which
/// dequeues of unknown outcome explain what is missing neither certainly nor certainly not.
pub fn check(history: &History) -> Judgement {
    if let Some(unknown) = unjudged(NAME, history) {
        return unknown;
    }
    let mut queues: BTreeMap<&Key, Queue> = BTreeMap::new();
    for operation in history.operations.iter().filter(|operation| !operation.op.is_local()) {
        let queue = queues.entry(operation.op.key()).or_default();
        if let Err(why) = queue.take(operation) {
            return Judgement::unknown(NAME, why);
        }
    }
    let (mut findings, mut open) = (Findings::new(), None);
    let (mut counts, mut searched) = (BTreeMap::new(), Vec::new());
    for (key, queue) in &mut queues {
        for (name, count) in queue.counts() {
            *counts.entry(name.to_string()).or_insert(0) += count;
        }
        if !queue.is_beyond() {
            let before = findings.count();
            queue.check(&mut findings);
            if queue.is_explained() || findings.count() > before {
                continue;
            }
        }
        *counts.entry("searched".to_string()).or_insert(0) += 1;
        match queue_search::search(history, key) {
            Searched::Explained => {}
            Searched::Impossible(anomaly) => searched.push(anomaly),
            Searched::Undecided(why) => {
                let calls = queue.calls;
                open = Some(format!("{key} with {calls} calls is undecided: {why}"));
            }
        }
    }
    let enqueued = counts.get("acknowledged").copied().unwrap_or(0);
    let (verdict, summary) = match (enqueued, open) {
        (0, _) => (Verdict::Unknown, "no enqueue was acknowledged: nothing is known".to_string()),
        (_, Some(why)) => (Verdict::Unknown, why),
        (_, None) => {
            let dequeued = counts.get("dequeued").copied().unwrap_or(0);
            (
                Verdict::Pass,
                format!("one order of {enqueued} enqueues and {dequeued} dequeues exists"),
            )
        }
    };
    let judgement = findings.judge(NAME, verdict, summary, |found| {
        tell(history, &queues[history.operation(found.culprit).op.key()], found)
    });
    let mut judgement = with_searched(judgement, searched);
    judgement.counts = counts;
    judgement
}

/// An interval, and whose it is.
#[derive(Clone, Copy, Debug)]
struct Span {
    begin: Place,
    end: Place,
    by: OperationId,
}

/// An element.
#[derive(Clone, Copy, Debug)]
struct Added {
    span: Span,
    /// Whether its enqueue was acknowledged.
    acknowledged: bool,
    /// Whether its enqueue certainly failed.
    failed: bool,
    taken: Option<Span>,
}

/// What happened to one queue.
#[derive(Default)]
struct Queue {
    added: Vec<Added>,
    by_value: FxHashMap<Value, usize>,
    taken: Vec<(Value, Span)>,
    empty: Vec<Span>,
    /// Dequeues of unknown outcome, in the order of their beginnings.
    unknown: Vec<Span>,
    rest: Option<(Span, Vec<Value>)>,
    /// The last place at which anything of known outcome ended.
    last: Place,
    /// Elements that a dequeue of unknown outcome must have taken, the most urgent first.
    missing: Vec<Missing>,
    /// Whether the dequeues of unknown outcome, shared out, explain what is missing and empty.
    explained: bool,
    /// How many calls it had, and whether some of them are beyond comparing intervals: an element that
    /// was added twice, a read of all that is not the last thing.
    calls: usize,
    is_beyond: bool,
}

/// An element that nobody was given and that is not there at the end.
#[derive(Clone, Copy, Debug)]
struct Missing {
    index: usize,
    /// It was gone when this ended.
    gone: Span,
}

#[derive(Clone, Copy, Debug)]
enum Proof {
    /// Taken, though never added, or though that failed.
    Unwritten {
        value: Value,
        failed: Option<OperationId>,
    },
    /// Taken before it was added.
    Early {
        by: OperationId,
    },
    Twice {
        value: Value,
        first: OperationId,
    },
    /// Taken after what was added after it.
    Overtaken {
        first: OperationId,
        second: OperationId,
        taken: OperationId,
    },
    /// Taken before this, which was added before it and which nobody was given.
    Passed {
        by: OperationId,
    },
    /// Found empty, although there was always something in it, as nobody who may have taken it began
    /// before this.
    Occupied {
        earliest: Place,
    },
    /// Gone when this saw the queue, and no dequeue can have taken it.
    Gone {
        seen: OperationId,
    },
    /// One of several that are gone, of which fewer can have been taken.
    TooMany {
        gone: u64,
        unknown: u64,
        seen: OperationId,
    },
}

impl Queue {
    fn take(&mut self, operation: &Operation) -> Result<(), String> {
        let span = Span { begin: begin(operation), end: end(operation), by: operation.id };
        if span.end != NEVER {
            self.last = self.last.max(if operation.is_final { 0 } else { span.end });
        }
        self.calls += 1;
        match (&operation.op, &operation.outcome) {
            (Op::Enqueue { .. } | Op::Dequeue { .. }, Outcome::Ok(Reply::Missed { .. })) => {}
            (Op::Enqueue { value, .. }, outcome) => {
                if self.by_value.insert(*value, self.added.len()).is_some() {
                    self.is_beyond = true;
                }
                let failed = matches!(outcome, Outcome::Fail(_));
                let acknowledged = matches!(outcome, Outcome::Ok(_));
                self.added.push(Added { span, acknowledged, failed, taken: None });
            }
            (Op::Dequeue { .. }, Outcome::Ok(Reply::Dequeued(Some(value)))) => {
                self.taken.push((*value, span));
            }
            (Op::Dequeue { .. }, Outcome::Ok(_)) => self.empty.push(span),
            (Op::Dequeue { .. }, Outcome::Info(_)) => self.unknown.push(span),
            (Op::Dequeue { .. }, Outcome::Fail(_)) => {}
            (Op::ReadQueue { .. }, Outcome::Ok(Reply::Listed(values))) => {
                self.is_beyond |= self.rest.replace((span, values.clone())).is_some();
            }
            (Op::ReadQueue { .. }, _) => {}
            (other, _) => return Err(format!("a queue with \"{other}\" is undecided")),
        }
        Ok(())
    }

    /// Whether it is for the search alone.
    fn is_beyond(&self) -> bool {
        self.is_beyond || self.rest.as_ref().is_some_and(|(rest, _)| rest.begin < self.last)
    }

    fn is_explained(&self) -> bool {
        self.explained
    }

    fn counts(&self) -> [(&'static str, u64); 4] {
        [
            ("acknowledged", self.added.iter().filter(|it| it.acknowledged).count() as u64),
            ("dequeued", self.taken.len() as u64),
            ("empty", self.empty.len() as u64),
            ("left", self.rest.as_ref().map_or(0, |rest| rest.1.len() as u64)),
        ]
    }

    fn check(&mut self, findings: &mut Findings<Proof>) {
        self.unknown.sort_by_key(|span| span.begin);
        self.match_up(findings);
        self.in_order(findings);
        self.rest_in_order(findings);
        self.missing();
        self.overtaken(findings);
        self.shared_out(findings);
        // With every chance given to those of unknown outcome, and then as they were shared out.
        let earliest = self.unknown.first().map_or(NEVER, |span| span.begin);
        let widest = self.occupied(|_| earliest);
        for (empty, chain) in &widest {
            let kind = match chain.len() {
                1 => AnomalyKind::StaleRead,
                _ => AnomalyKind::NonLinearizable,
            };
            let span = empty.begin.abs_diff(self.added[chain[0]].span.begin);
            let count = 1 + 2 * chain.len() as u64;
            push(findings, kind, empty.by, (count, span), Proof::Occupied { earliest });
        }
        let shares: FxHashMap<usize, Place> = self
            .missing
            .iter()
            .zip(&self.unknown)
            .map(|(missing, unknown)| (missing.index, unknown.begin))
            .collect();
        self.explained = self.missing.len() <= self.unknown.len()
            && self.occupied(|index| shares.get(&index).copied().unwrap_or(NEVER)).is_empty();
    }

    /// Says of every element who took it, and what was taken that should not have been.
    fn match_up(&mut self, findings: &mut Findings<Proof>) {
        let mut taken = self.taken.clone();
        taken.sort_by_key(|(_, span)| span.begin);
        if let Some((span, values)) = &self.rest {
            taken.extend(values.iter().map(|value| (*value, *span)));
        }
        for (value, span) in taken {
            let Some(added) = self.by_value.get(&value).map(|index| &mut self.added[*index]) else {
                let proof = Proof::Unwritten { value, failed: None };
                push(findings, AnomalyKind::Phantom, span.by, (1, 0), proof);
                continue;
            };
            if added.failed {
                let proof = Proof::Unwritten { value, failed: Some(added.span.by) };
                push(findings, AnomalyKind::AbortedRead, span.by, (2, 0), proof);
            }
            if span.end < added.span.begin {
                let apart = added.span.begin - span.end;
                let proof = Proof::Early { by: added.span.by };
                push(findings, AnomalyKind::FutureRead, span.by, (2, apart), proof);
            }
            match added.taken {
                Some(first) => {
                    let proof = Proof::Twice { value, first: first.by };
                    let apart = span.begin - first.begin;
                    push(findings, AnomalyKind::Duplicate, span.by, (3, apart), proof);
                }
                None => {
                    added.taken = Some(span);
                    // It was there before it was taken, whenever its enqueue was answered.
                    if span.end > added.span.begin {
                        added.span.end = added.span.end.min(span.end);
                    }
                }
            }
        }
    }

    /// Holds the order of adding against that of taking: of those that were added before one began to
    /// be added, which was taken last?
    fn in_order(&self, findings: &mut Findings<Proof>) {
        let is_taken = |index: &usize| self.added[*index].taken.is_some();
        let mut by_begin: Vec<usize> = (0..self.added.len()).filter(is_taken).collect();
        let mut by_end = by_begin.clone();
        by_begin.sort_by_key(|index| self.added[*index].span.begin);
        by_end.sort_by_key(|index| self.added[*index].span.end);
        let mut earlier = by_end.into_iter().peekable();
        let mut latest: Option<(Place, usize)> = None;
        for index in by_begin {
            let second = &self.added[index];
            while let Some(first) =
                earlier.next_if(|first| self.added[*first].span.end < second.span.begin)
            {
                let taken = self.added[first].taken.map_or(NEVER, |span| span.begin);
                if latest.is_none_or(|(begin, _)| taken > begin) {
                    latest = Some((taken, first));
                }
            }
            let (Some((taken, first)), Some(gone)) = (latest, second.taken) else { continue };
            if gone.end < taken {
                let first = &self.added[first];
                let Some(late) = first.taken else { continue };
                let (one, two) = (first.span.by, second.span.by);
                let proof = Proof::Overtaken { first: one, second: two, taken: late.by };
                push(findings, AnomalyKind::OutOfOrder, gone.by, (4, taken - gone.end), proof);
            }
        }
    }

    /// What is left must stand in the order in which it was added.
    fn rest_in_order(&self, findings: &mut Findings<Proof>) {
        let Some((span, values)) = &self.rest else { return };
        let mut latest: Option<&Added> = None;
        for value in values {
            let now = self.by_value.get(value).map(|index| &self.added[*index]);
            // One that was taken before has no business here, which `match_up` says.
            let is_left = |now: &&Added| now.taken.is_some_and(|taken| taken.by == span.by);
            let Some(now) = now.filter(is_left) else { continue };
            if let Some(before) = latest.filter(|before| now.span.end < before.span.begin) {
                let (first, second) = (now.span.by, before.span.by);
                let proof = Proof::Overtaken { first, second, taken: span.by };
                push(findings, AnomalyKind::OutOfOrder, span.by, (3, 0), proof);
            }
            if latest.is_none_or(|latest| now.span.begin > latest.span.begin) {
                latest = Some(now);
            }
        }
    }

    /// Finds the acknowledged elements that must have been taken and that nobody was given: those that
    /// are not there at the end, or that were added before one that was taken.
    fn missing(&mut self) {
        let mut by_begin: Vec<usize> = (0..self.added.len()).collect();
        by_begin.sort_by_key(|index| self.added[*index].span.begin);
        let mut by_end: Vec<usize> = by_begin.clone();
        by_end.sort_by_key(|index| self.added[*index].span.end);
        // From the last on: of those that began to be added after this one was, which was taken first?
        let mut gone = self.rest.as_ref().map(|(span, _)| *span);
        let mut later = by_begin.into_iter().rev().peekable();
        let mut missing = Vec::new();
        for index in by_end.into_iter().rev() {
            let added = self.added[index];
            while let Some(other) =
                later.next_if(|other| self.added[*other].span.begin > added.span.end)
            {
                let taken = self.added[other].taken;
                if let Some(taken) = taken.filter(|it| gone.is_none_or(|gone| it.end < gone.end)) {
                    gone = Some(taken);
                }
            }
            if let (true, None, Some(gone)) = (added.acknowledged, added.taken, gone) {
                missing.push(Missing { index, gone });
            }
        }
        missing.sort_by_key(|it| (it.gone.end, self.added[it.index].span.end));
        self.missing = missing;
    }

    /// What is missing although something that was added before it is left: no dequeue can have taken
    /// it, whatever came of it.
    fn overtaken(&mut self, findings: &mut Findings<Proof>) {
        let Some((rest, _)) = &self.rest else { return };
        let is_left = |it: &&Added| it.taken.is_some_and(|taken| taken.by == rest.by);
        let first = self.added.iter().filter(is_left).map(|added| added.span.end).min();
        let Some(first) = first else { return };
        for Missing { index, .. } in &self.missing {
            let added = self.added[*index].span;
            if first < added.begin {
                let apart = rest.begin.abs_diff(added.begin);
                let proof = Proof::Gone { seen: rest.by };
                push(findings, AnomalyKind::LostWrite, added.by, (2, apart), proof);
            }
        }
        self.missing.retain(|it| first >= self.added[it.index].span.begin);
    }

    /// Gives what is missing to the dequeues of unknown outcome.
    fn shared_out(&self, findings: &mut Findings<Proof>) {
        let begun = |end| self.unknown.partition_point(|span| span.begin < end);
        for (turn, Missing { index, gone }) in self.missing.iter().enumerate() {
            if turn < begun(gone.end) {
                continue;
            }
            // It is not there at the end; or if that is not known, something overtook it.
            let rest = self.rest.as_ref().map(|(span, _)| *span);
            let (seen, kind) = match rest.filter(|rest| turn >= begun(rest.end)) {
                Some(rest) => (rest, AnomalyKind::LostWrite),
                None => (*gone, AnomalyKind::OutOfOrder),
            };
            let added = self.added[*index].span;
            let apart = seen.begin.abs_diff(added.begin);
            let (proof, culprit) = match begun(seen.end) {
                0 if kind == AnomalyKind::OutOfOrder => (Proof::Passed { by: added.by }, seen.by),
                0 => (Proof::Gone { seen: seen.by }, added.by),
                unknown => {
                    let (gone, unknown) = (turn as u64 + 1, unknown as u64);
                    (Proof::TooMany { gone, unknown, seen: seen.by }, added.by)
                }
            };
            let kind = match proof {
                Proof::TooMany { .. } => AnomalyKind::LostWrite,
                _ => kind,
            };
            push(findings, kind, culprit, (2, apart), proof);
        }
    }

    /// Those that found nothing although at every moment something was there, each with elements that
    /// were, one after the other. `taken` says when an element that nobody was given was taken.
    fn occupied(&self, taken: impl Fn(usize) -> Place) -> Vec<(Span, Vec<usize>)> {
        // Certainly there: from when it was added until somebody begins to take it.
        let certain = |(index, added): (usize, &Added)| {
            if added.failed || (added.taken.is_none() && !added.acknowledged) {
                return None;
            }
            let until = added.taken.map_or_else(|| taken(index), |span| span.begin);
            (added.span.end < until).then_some((added.span.end, until, index))
        };
        let mut certain: Vec<_> = self.added.iter().enumerate().filter_map(certain).collect();
        certain.sort_unstable();
        // Of those up to here, which stays longest.
        let mut longest: Vec<(Place, usize)> = Vec::with_capacity(certain.len());
        for (_, until, index) in &certain {
            let before = longest.last().copied().unwrap_or((0, *index));
            longest.push(before.max((*until, *index)));
        }
        let cover = |empty: &Span| {
            let (mut at, mut chain) = (empty.begin, Vec::new());
            while at < empty.end {
                let begun = certain.partition_point(|it| it.0 < at);
                let (until, index) = *longest.get(begun.checked_sub(1)?)?;
                if until <= at {
                    return None;
                }
                (at, chain) = (until, [chain, vec![index]].concat());
            }
            Some((*empty, chain))
        };
        self.empty.iter().filter_map(cover).collect()
    }
}

fn push(
    findings: &mut Findings<Proof>,
    kind: AnomalyKind,
    culprit: OperationId,
    (operations, span): (u64, u64),
    proof: Proof,
) {
    findings.push(Candidate { kind, culprit, rank: Rank { operations, span }, proof });
}

/// Whether an anomaly is a matter of counting: more is gone than could have been taken by dequeues of
/// unknown outcome, and which of it nobody knows.
pub fn is_counted(history: &History, anomaly: &Anomaly) -> bool {
    let unknown = |it: &Operation| {
        matches!((&it.op, &it.outcome), (Op::Dequeue { .. }, Outcome::Info(_)))
            && *it.op.key() == anomaly.key
    };
    anomaly.kind == AnomalyKind::LostWrite && history.operations.iter().any(unknown)
}

fn tell(history: &History, queue: &Queue, candidate: &Candidate<Proof>) -> Anomaly {
    let whole = |id: OperationId| story::operation(history.operation(id));
    let later = |id: OperationId| story::later(history.operation(id));
    let culprit = candidate.culprit;
    let added = |value| queue.by_value.get(&value).map(|index| queue.added[*index].span.by);
    let enqueue = |id: OperationId| match history.operation(id).reply() {
        Some(Reply::Dequeued(Some(value))) => added(*value),
        _ => None,
    };
    let (mut operations, text) = match candidate.proof {
        Proof::Unwritten { value, failed: None } => {
            (vec![culprit], format!("{}: nobody ever added {value}.", whole(culprit)))
        }
        Proof::Unwritten { failed: Some(failed), .. } => {
            (vec![culprit, failed], format!("{}; {}.", whole(failed), whole(culprit)))
        }
        Proof::Early { by } => {
            (vec![culprit, by], format!("{}; only then {}.", whole(culprit), later(by)))
        }
        Proof::Twice { value, first } => (
            [Some(first), Some(culprit), added(value)].into_iter().flatten().collect(),
            format!("{}; {}: {value} came out twice.", whole(first), whole(culprit)),
        ),
        Proof::Overtaken { first, second, taken } => (
            vec![first, second, taken, culprit],
            match taken == culprit {
                true => format!("{}; then {}; but {}.", whole(first), later(second), whole(taken)),
                false => format!(
                    "{}; then {}; but {}, and only then {}.",
                    whole(first),
                    later(second),
                    whole(culprit),
                    whole(taken)
                ),
            },
        ),
        Proof::Passed { by } => (
            [Some(by), Some(culprit), enqueue(culprit)].into_iter().flatten().collect(),
            format!(
                "{}; {}, which was added only then, and nobody was given the first.",
                whole(by),
                whole(culprit)
            ),
        ),
        Proof::Occupied { earliest } => occupied(history, queue, culprit, earliest),
        Proof::Gone { seen } => (
            vec![culprit, seen],
            format!("{}; nobody was given it, and {} without it.", whole(culprit), whole(seen)),
        ),
        Proof::TooMany { gone, unknown, seen } => (
            vec![culprit, seen],
            format!(
                "{}; it is one of {gone} that nobody was given and that are not there at the end \
                 ({}), and only {unknown} can have been taken by dequeues whose outcome nobody knows.",
                whole(culprit),
                whole(seen)
            ),
        ),
    };
    operations.sort_unstable();
    operations.dedup();
    Anomaly {
        kind: candidate.kind,
        key: history.operation(culprit).op.key().clone(),
        culprit,
        operations,
        swaps: Vec::new(),
        story: vec![text],
    }
}

/// The elements that were there while a dequeue found none, and the words for it.
fn occupied(
    history: &History,
    queue: &Queue,
    culprit: OperationId,
    earliest: Place,
) -> (Vec<OperationId>, String) {
    let found = queue.occupied(|_| earliest).into_iter().find(|(empty, _)| empty.by == culprit);
    let (_, chain) = found.expect("what was found is found again");
    /// Elements that are told of a long chain.
    const TOLD: usize = 4;
    let (mut operations, mut text) = (vec![culprit], Vec::new());
    for (place, added) in chain.iter().map(|index| &queue.added[*index]).enumerate() {
        operations.push(added.span.by);
        operations.extend(added.taken.map(|taken| taken.by));
        if place < TOLD {
            text.push(there(history, queue, added, earliest));
        }
    }
    if let more @ 1.. = chain.len().saturating_sub(TOLD) {
        text.push(format!("and so on with {more} more"));
    }
    let empty = story::operation(history.operation(culprit));
    (operations, format!("{empty}, but it never was in that time: {}.", text.join("; ")))
}

/// From when to when an element was certainly there.
fn there(history: &History, queue: &Queue, added: &Added, earliest: Place) -> String {
    let enqueue = history.operation(added.span.by);
    let value = match &enqueue.op {
        Op::Enqueue { value, .. } => value.to_string(),
        other => other.to_string(),
    };
    let end = enqueue.completed.unwrap_or(enqueue.invoked).at;
    let (client, since) = (enqueue.client, story::at(end));
    let until = match (added.taken, queue.unknown.first()) {
        (Some(taken), _) => {
            let taker = history.operation(taken.by);
            let what = if taker.op.is_read() { "read of what is left" } else { "dequeue of it" };
            let (client, begun) = (taker.client, story::at(taker.invoked.at));
            format!("to {begun}, when {client}'s {what} began")
        }
        (None, Some(unknown)) if unknown.begin == earliest => {
            let begun = story::at(history.operation(unknown.by).invoked.at);
            format!("to {begun}, when the first dequeue began of which nobody knows what it took")
        }
        (None, _) => "on, as nobody ever took it".to_string(),
    };
    format!(
        "{value} was there from {since}, when {client}'s enqueue of it was acknowledged, {until}"
    )
}
