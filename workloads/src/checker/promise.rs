//! Promises weaker than linearizability, as checkers of their own: a store that promises less still
//! gets a verdict on what it does promise.
//!
//! | promise | holds when | decided |
//! |---|---|---|
//! | `consistent-prefix` | writes have one order, and each read saw a beginning of it, however old | exactly |
//! | `bounded-staleness=T` | the same, and none older than T before the read began | exactly |
//! | `k-atomicity=K` | each read saw one of the last K writes | bounds only, see [`super::staleness`] |
//! | `read-your-writes`, `monotonic-reads`, `monotonic-writes` | see [`super::sessions`] | exactly |
//!
//! The first two need no new algorithm: a read that may look back by T is one that may have begun T
//! earlier (W. Golab, X. Li and M. Shah, "Analyzing consistency properties for fun and profit", PODC
//! 2011). So the history is judged by `linearizable` with the beginnings of its reads moved. Writes
//! and compare-and-sets stay where they are. `splitbrain check --promise` calls it, and the workload
//! `bounded-reads`, whose reads say themselves how old they may be ([`check_bounds`]).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{cut_off, guarded, linearizable, sessions, staleness, unjudged};
use crate::history::{History, Micros, Operation, OperationId, Operations};
use crate::operation::{Consistency, Op};
use crate::verdict::{AnomalyKind, Judgement, Verdict};
use crate::workload;

/// A promise that a store may make instead of linearizability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Reads may be of any age, but see writes in one order, which keeps to time.
    ConsistentPrefix,
    /// Reads may be so much older than their beginning. Not zero: that is linearizability.
    BoundedStaleness(Micros),
    /// Reads see one of so many last writes. At least two: one is linearizability.
    KAtomicity(u32),
    /// A session sees what it wrote.
    ReadYourWrites,
    /// A session never sees something older than before.
    MonotonicReads,
    /// A session that sees a write sees the earlier ones of its writer.
    MonotonicWrites,
}

impl Promise {
    /// How promises are written, with the meaning of each.
    pub const NAMES: [(&'static str, &'static str); 6] = [
        ("consistent-prefix", "reads may be old, but see writes in one order"),
        (
            "bounded-staleness=TIME",
            "reads may be so much older than their beginning, such as 500ms",
        ),
        ("k-atomicity=K", "reads see one of the last K writes (bounds only)"),
        ("read-your-writes", "a session sees what it wrote"),
        ("monotonic-reads", "a session never sees something older than before"),
        ("monotonic-writes", "a session that sees a write sees the earlier ones of its writer"),
    ];

    /// The name without its bound, which is the checker's in judgements.
    pub fn name(self) -> &'static str {
        match self {
            Promise::ConsistentPrefix => "consistent-prefix",
            Promise::BoundedStaleness(_) => "bounded-staleness",
            Promise::KAtomicity(_) => staleness::NAME,
            Promise::ReadYourWrites => "read-your-writes",
            Promise::MonotonicReads => "monotonic-reads",
            Promise::MonotonicWrites => "monotonic-writes",
        }
    }

    /// Judges a history of registers or of a set by this promise alone. An empty or cut-off history
    /// gives `unknown`, as does one that the promise says nothing about.
    pub fn judge(self, history: &History) -> Judgement {
        let beginning = cut_off::as_whole(history);
        guarded(self.name(), history, beginning.as_ref(), |history| match self {
            Promise::ConsistentPrefix => lagging(self, history, None),
            Promise::BoundedStaleness(bound) => lagging(self, history, Some(bound)),
            Promise::KAtomicity(versions) => staleness::check(history, versions),
            Promise::ReadYourWrites => sessions::check_one(history, AnomalyKind::ReadYourWrites),
            Promise::MonotonicReads => sessions::check_one(history, AnomalyKind::MonotonicReads),
            Promise::MonotonicWrites => sessions::check_one(history, AnomalyKind::MonotonicWrites),
        })
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Promise::BoundedStaleness(bound) => write!(f, "={}", span(*bound)),
            Promise::KAtomicity(versions) => write!(f, "={versions}"),
            _ => Ok(()),
        }
    }
}

impl FromStr for Promise {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, bound) = match text.split_once('=') {
            Some((name, bound)) => (name, Some(bound)),
            None => (text, None),
        };
        match (name, bound) {
            ("consistent-prefix", None) => Ok(Promise::ConsistentPrefix),
            ("bounded-staleness", Some(bound)) => micros(bound).map(Promise::BoundedStaleness),
            ("k-atomicity", Some(bound)) => match bound.parse() {
                Ok(versions) if versions >= 2 => Ok(Promise::KAtomicity(versions)),
                _ => Err(format!(
                    "k-atomicity: expected a number of writes from 2 on, since 1 is \
                     linearizability, got \"{bound}\""
                )),
            },
            ("read-your-writes", None) => Ok(Promise::ReadYourWrites),
            ("monotonic-reads", None) => Ok(Promise::MonotonicReads),
            ("monotonic-writes", None) => Ok(Promise::MonotonicWrites),
            _ => {
                let names = Promise::NAMES.map(|(name, _)| name).join(", ");
                Err(format!("expected one of {names}, got \"{text}\""))
            }
        }
    }
}

/// A time such as `500ms`, not zero.
fn micros(text: &str) -> Result<Micros, String> {
    let wrong = || {
        format!(
            "bounded-staleness: expected a time from 1us on, such as 500ms or 2s, since none is \
             linearizability, got \"{text}\""
        )
    };
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "us" => 1,
        "ms" => 1000,
        "s" => 1_000_000,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    match number.checked_mul(unit) {
        None | Some(0) => Err(wrong()),
        Some(time) => Ok(Micros(time)),
    }
}

fn span(time: Micros) -> String {
    format!("{:?}", Duration::from_micros(time.0))
}

/// The name of [`check_bounds`] in judgements.
const BOUNDS: &str = "bounded-staleness";

/// Judges reads by the bounds that they asked for, each by its own. All other reads must be the
/// newest.
pub fn check_bounds(history: &History) -> Judgement {
    if let Some(unknown) = unjudged(BOUNDS, history) {
        return unknown;
    }
    let asked = |operation: &Operation| match operation.op {
        Op::Read { consistency: Consistency::Bounded(ms), .. } => {
            Back::By(Micros(u64::from(ms) * 1000))
        }
        _ => Back::Nowhere,
    };
    let mut judgement = order_of_moved(BOUNDS, moved(history, asked));
    if judgement.verdict == Verdict::Pass {
        judgement.summary = "no read is older than it asked for".to_string();
    }
    for anomaly in &mut judgement.anomalies {
        if matches!(anomaly.kind, AnomalyKind::StaleRead | AnomalyKind::FlipFlop) {
            let what = "Even with reads as old as they asked for, no order explains this.";
            anomaly.story.push(what.to_string());
        }
    }
    judgement
}

/// Judges a history whose reads were moved, in the words of the one that it was.
fn order_of_moved(name: &str, (moved, ids): (History, Vec<OperationId>)) -> Judgement {
    let mut judgement = order(&moved);
    judgement.checker = name.to_string();
    let was = |id: &mut OperationId| *id = ids[id.0 as usize];
    judgement.last.values_mut().for_each(was);
    for anomaly in &mut judgement.anomalies {
        was(&mut anomaly.culprit);
        anomaly.operations.iter_mut().chain(&mut anomaly.swaps).for_each(was);
        anomaly.operations.sort_unstable();
    }
    judgement
}

/// Judges with reads that may have begun earlier.
fn lagging(promise: Promise, history: &History, bound: Option<Micros>) -> Judgement {
    let mut judgement = order_of_moved(promise.name(), moved(history, all_reads(bound)));
    let Some(bound) = bound else {
        if judgement.verdict == Verdict::Pass {
            judgement.summary = "each read saw a beginning of one order of all writes".to_string();
        }
        return judgement;
    };
    match judgement.verdict {
        Verdict::Pass => judgement.summary = format!("no read is older than {}", span(bound)),
        Verdict::Unknown => {}
        Verdict::Fail => {
            for anomaly in &mut judgement.anomalies {
                if matches!(anomaly.kind, AnomalyKind::StaleRead | AnomalyKind::FlipFlop) {
                    let what = format!(
                        "Even with reads that may be {} old, no order explains this.",
                        span(bound)
                    );
                    anomaly.story.push(what);
                }
            }
            if let Some(least) = least(history, bound) {
                judgement.counts.insert("holds-from-ms".to_string(), least.0.div_ceil(1000));
            }
        }
    }
    judgement
}

fn order(history: &History) -> Judgement {
    match workload::is_set(history) {
        true => linearizable::check_set(history),
        false => linearizable::check_registers(history),
    }
}

/// The smallest bound that holds, to the millisecond, of a history that one does not; `None` if
/// none does.
fn least(history: &History, too_small: Micros) -> Option<Micros> {
    let holds = |bound| order(&moved(history, all_reads(bound)).0).verdict == Verdict::Pass;
    if !holds(None) {
        return None;
    }
    let ends = history.operations.iter().map(|it| it.completed.unwrap_or(it.invoked).at.0);
    let (mut low, mut high) = (too_small.0, ends.max().unwrap_or(0).max(too_small.0 + 1));
    while high - low > 1000 {
        let middle = low + (high - low) / 2;
        match holds(Some(Micros(middle))) {
            true => high = middle,
            false => low = middle,
        }
    }
    Some(Micros(high))
}

/// How far an operation may look back.
#[derive(Clone, Copy)]
enum Back {
    Nowhere,
    By(Micros),
    ToTheBeginning,
}

/// Every read by the same bound, if any.
fn all_reads(bound: Option<Micros>) -> impl Fn(&Operation) -> Back {
    move |operation| match operation.op {
        Op::Read { .. } | Op::List { .. } => bound.map_or(Back::ToTheBeginning, Back::By),
        _ => Back::Nowhere,
    }
}

/// The history with each read that was answered begun so much earlier as it may look back. Its operations are by order of invocation again, as checkers need them, and beside
/// it stands which operation each of them was. Times stay, so that what is said of it is true.
fn moved(history: &History, back: impl Fn(&Operation) -> Back) -> (History, Vec<OperationId>) {
    let mut events: Vec<(u64, Micros)> = Vec::with_capacity(2 * history.operations.len());
    for operation in &history.operations {
        events.push((operation.invoked.seq, operation.invoked.at));
        events.extend(operation.completed.map(|stamp| (stamp.seq, stamp.at)));
    }
    events.sort_unstable();
    // Clocks order nothing, so a time before the one before is as good as that.
    let mut last = Micros(0);
    for (_, at) in &mut events {
        last = last.max(*at);
        *at = last;
    }
    // The place of an event, or just before the first event that a read may lag behind.
    let begin = |operation: &Operation| {
        let own = operation.invoked.seq;
        let bound = match back(operation) {
            _ if operation.reply().is_none() => return (own, true),
            Back::Nowhere => return (own, true),
            Back::By(bound) => Some(bound),
            Back::ToTheBeginning => None,
        };
        let index = events.partition_point(|event| event.0 < own);
        let since = bound.and_then(|bound| events[index].1.0.checked_sub(bound.0));
        let Some(since) = since else { return (0, false) };
        let first = events.partition_point(|event| event.1.0 < since);
        (events[first.min(index)].0, false)
    };
    // Beginnings and ends by their new places.
    let mut places: Vec<((u64, bool), usize, bool)> = Vec::with_capacity(events.len());
    for (index, operation) in history.operations.iter().enumerate() {
        places.push((begin(operation), index, false));
        places.extend(operation.completed.map(|stamp| ((stamp.seq, true), index, true)));
    }
    places.sort_unstable();
    let (mut operations, mut ids) = (Vec::with_capacity(history.operations.len()), Vec::new());
    let mut number = vec![0; history.operations.len()];
    for (seq, (_, index, is_end)) in (0..).zip(places) {
        if is_end {
            let operation: &mut Operation = &mut operations[number[index]];
            if let Some(completed) = &mut operation.completed {
                completed.seq = seq;
            }
            continue;
        }
        let mut operation = history.operations[index].clone();
        number[index] = operations.len();
        operation.invoked.seq = seq;
        ids.push(std::mem::replace(&mut operation.id, OperationId(operations.len() as u32)));
        operations.push(operation);
    }
    let header = history.header.clone();
    let operations = Operations::in_order(operations);
    (History { header, operations, complete: history.complete }, ids)
}

#[cfg(test)]
mod tests;
