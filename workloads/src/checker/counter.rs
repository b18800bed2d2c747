//! Counters: increments by one that answer with the sum, and reads.
//!
//! The sums number the increments, so the order of everything is forced but for reads of one value:
//!
//! ```text
//!   reads of 0   the increment to 1   reads of 1   the increment to 2   ...
//! ```
//!
//! A sum that two increments were answered with is an update lost; an increment that nobody was
//! answered with must be one of those whose outcome is unknown, begun before anybody saw more. As
//! those have no end, taking them in the order of their beginnings is as good as any. So the history
//! is linearizable exactly if no operation ended before one of an earlier place began, and there are
//! enough of unknown outcome. Called through `workload`, and for ids taken from a counter too.

use std::collections::BTreeMap;

use super::findings::{Candidate, Findings, Rank};
use super::story;
use super::unjudged;
use super::versions::{NEVER, Place, begin, end};
use crate::history::{History, OperationId};
use crate::operation::{Key, Op, Outcome, Reply};
use crate::verdict::{Anomaly, AnomalyKind, Judgement, Verdict};

const NAME: &str = "counter";

/// Judges all counters of a history. Complete for increments by one; with others `unknown`, as
/// which of them made up a sum is then a puzzle (subset sum) and not a question of order.
pub fn check(history: &History) -> Judgement {
    if let Some(unknown) = unjudged(NAME, history) {
        return unknown;
    }
    let mut counters: BTreeMap<&str, Counter> = BTreeMap::new();
    for operation in history.operations.iter().filter(|operation| !operation.op.is_local()) {
        let counter = counters.entry(operation.op.key().as_str()).or_default();
        if let Err(why) = counter.take(operation) {
            return Judgement::unknown(NAME, why);
        }
    }
    let mut findings = Findings::new();
    let (mut increments, mut reads) = (0, 0);
    for counter in counters.values() {
        increments += counter.increments;
        reads += counter.reads;
        counter.check(&mut findings);
    }
    let (verdict, summary) = match increments {
        0 => (Verdict::Unknown, "no increment was acknowledged: nothing is known".to_string()),
        _ => {
            let text = format!("one order of {increments} increments and {reads} reads exists");
            (Verdict::Pass, text)
        }
    };
    let mut judgement =
        findings.judge(NAME, verdict, summary, |candidate| tell(history, candidate));
    judgement.counts =
        BTreeMap::from([("increments".to_string(), increments), ("reads".to_string(), reads)]);
    judgement
}

/// What happened to one counter.
#[derive(Default)]
struct Counter {
    /// Answered increments and reads by the value they saw last.
    seen: BTreeMap<i64, Vec<Seen>>,
    /// When those of unknown outcome began, and when those that failed.
    unknown: Vec<(Place, OperationId)>,
    increments: u64,
    reads: u64,
}

#[derive(Clone, Copy)]
struct Seen {
    begin: Place,
    end: Place,
    by: OperationId,
    is_read: bool,
    is_final: bool,
}

#[derive(Clone, Copy, Debug)]
enum Proof {
    /// Two increments made the same sum.
    Same { one: OperationId, other: OperationId },
    /// More was seen than increments were sent before.
    TooMuch { seen: OperationId, sent: u64 },
    /// Less than nothing, or nothing after an increment.
    TooLittle { seen: OperationId },
    /// Less than somebody had seen before; at the end, an increment is gone.
    Back { earlier: OperationId, later: OperationId },
}

impl Counter {
    fn take(&mut self, operation: &crate::history::Operation) -> Result<(), String> {
        let (begin, end, by) = (begin(operation), end(operation), operation.id);
        let seen = |is_read| Seen { begin, end, by, is_read, is_final: operation.is_final };
        let (value, is_read) = match (&operation.op, &operation.outcome) {
            (_, Outcome::Fail(_)) => return Ok(()),
            (Op::Increment { by, .. }, _) if *by != 1 => {
                return Err(format!("an increment by {by}: only those by one can be told apart"));
            }
            (Op::Increment { .. }, Outcome::Info(_)) => {
                self.unknown.push((begin, by));
                return Ok(());
            }
            (Op::Read { .. }, Outcome::Info(_)) => return Ok(()),
            (Op::Increment { .. }, Outcome::Ok(Reply::Incremented(sum))) => (sum.0, false),
            (Op::Read { .. }, Outcome::Ok(Reply::Read(value))) => {
                (value.map_or(0, |value| value.0), true)
            }
            (other, _) => return Err(format!("a counter with \"{other}\" is undecided")),
        };
        *(if is_read { &mut self.reads } else { &mut self.increments }) += 1;
        self.seen.entry(value).or_default().push(seen(is_read));
        Ok(())
    }

    fn check(&self, findings: &mut Findings<Proof>) {
        let mut push = |kind, culprit, operations, span, proof| {
            findings.push(Candidate { kind, culprit, rank: Rank { operations, span }, proof });
        };
        let mut unknown = self.unknown.clone();
        unknown.sort_unstable();
        let (mut latest, mut used): (Option<Seen>, usize) = (None, 0);
        // How many increments are known or taken to be at or below the value.
        let mut below = 0;
        // The end of whoever saw a value first is when all increments below must have begun.
        let mut soonest: Vec<(i64, Place, OperationId)> = Vec::new();
        let mut first = (NEVER, OperationId(0));
        for (value, seen) in self.seen.iter().rev() {
            for it in seen {
                first = first.min((it.end, it.by));
            }
            soonest.push((*value, first.0, first.1));
        }
        soonest.reverse();
        let mut is_broken = false;
        for ((value, seen), (_, deadline, by)) in self.seen.iter().zip(soonest) {
            let mut increments: Vec<&Seen> = seen.iter().filter(|it| !it.is_read).collect();
            increments.sort_unstable_by_key(|it| it.begin);
            for pair in increments.windows(2) {
                let (one, other) = (pair[0].by, pair[1].by);
                let span = pair[1].begin - pair[0].begin;
                push(AnomalyKind::LostUpdate, other, 2, span, Proof::Same { one, other });
                is_broken = true;
            }
            let least = if increments.is_empty() { 0 } else { 1 };
            if *value < least {
                let by = seen.iter().find(|it| it.is_read == (least == 0)).map_or(by, |it| it.by);
                push(AnomalyKind::Phantom, by, 1, 0, Proof::TooLittle { seen: by });
                is_broken = true;
            }
            // Values that nobody was answered with, this one too if it was only read.
            let known = i64::from(!increments.is_empty());
            let missing = value - below - known;
            for _ in 0..missing {
                if is_broken {
                    break;
                }
                match unknown.get(used) {
                    Some((begin, _)) if *begin < deadline => used += 1,
                    _ => {
                        let sent = u64::try_from(below).unwrap_or(0) + used as u64;
                        let proof = Proof::TooMuch { seen: by, sent };
                        push(AnomalyKind::Phantom, by, 1, 0, proof);
                        is_broken = true;
                    }
                }
            }
            below = *value;
            // The increment to a value comes before the reads of it.
            let (increments, reads): (Vec<&Seen>, Vec<&Seen>) =
                seen.iter().partition(|it| !it.is_read);
            for group in [increments, reads] {
                for now in &group {
                    if let Some(later) = latest.filter(|latest| now.end < latest.begin) {
                        let span = later.begin - now.end;
                        let (kind, culprit) = match (later.is_final, now.is_read) {
                            // What is there at the end lacks an increment that was acknowledged.
                            (true, false) => (AnomalyKind::LostWrite, now.by),
                            _ => (AnomalyKind::StaleRead, later.by),
                        };
                        let proof = Proof::Back { earlier: now.by, later: later.by };
                        push(kind, culprit, 2, span, proof);
                    }
                }
                for now in group {
                    if latest.is_none_or(|latest| latest.begin < now.begin) {
                        latest = Some(*now);
                    }
                }
            }
        }
    }
}

fn tell(history: &History, candidate: &Candidate<Proof>) -> Anomaly {
    let whole = |id: OperationId| story::operation(history.operation(id));
    let (mut operations, text) = match candidate.proof {
        Proof::Same { one, other } => (
            vec![one, other],
            format!("{}; {}: each added one, and both came to the same.", whole(one), whole(other)),
        ),
        Proof::TooMuch { seen, sent } => {
            let noun = if sent == 1 { "increment that was" } else { "increments that were" };
            let text = format!("{}, with no more than {sent} {noun} sent before.", whole(seen));
            (vec![seen], text)
        }
        Proof::TooLittle { seen } => {
            (vec![seen], format!("{}, although increments by one only add.", whole(seen)))
        }
        Proof::Back { earlier, later } => {
            let then = match candidate.kind {
                AnomalyKind::LostWrite => "at the end",
                _ => "then",
            };
            let text = format!(
                "{}; {then} {}, which is less.",
                whole(earlier),
                story::later(history.operation(later))
            );
            (vec![earlier, later], text)
        }
    };
    operations.sort_unstable();
    let key: Key = history.operation(candidate.culprit).op.key().clone();
    Anomaly {
        kind: candidate.kind,
        key,
        culprit: candidate.culprit,
        operations,
        swaps: Vec::new(),
        story: vec![text],
    }
}
