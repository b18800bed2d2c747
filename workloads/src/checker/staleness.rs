//! How stale reads were: in writes, and in milliseconds.
//!
//! A read that returned `v` missed a write `w` if `v` was in place before `w` was sent, and `w` before
//! the read began, whatever the order of the rest:
//!
//! ```text
//! v  |--write--|
//! w              |--write--|
//! r                           |--read v--|       missed one write, since the end of w
//! ```
//!
//! Something is in place when its write was acknowledged or a read of it ended. A store is k-atomic
//! if each read returns one of the last k writes of some order (A. Aiyer, L. Alvisi and R. Bazzi, "On
//! the availability of non-strict quorum systems", 2005). A read that missed k writes proves that it
//! is not. The reverse is not said: which of concurrent writes came first may matter, and nobody knows
//! how to find out fast for k above two. So this checker is sound and gives bounds only.
//!
//! Registers whose values are written once; compare-and-sets that swapped are writes, and refused
//! ones that say what they saw are reads. O(n log n). Called by `promise`.

use std::collections::BTreeMap;

use super::findings::{Candidate, Findings, Rank};
use super::story;
use super::versions::{
    ABSENT, NEVER, Oddity, Place, VersionId, Versions, begin, beyond_registers, by_key, end,
};
use crate::history::{History, Micros, OperationId};
use crate::operation::{Reply, Value};
use crate::verdict::{Anomaly, AnomalyKind, Judgement, Verdict};

pub(super) const NAME: &str = "k-atomicity";

/// Missed writes that a counterexample names; it has six operations at most.
const NAMED_MAX: usize = 3;

/// Looks for reads that missed so many writes or more.
pub(super) fn check(history: &History, versions_allowed: u32) -> Judgement {
    if let Some(why) = beyond_registers(history) {
        return Judgement::unknown(NAME, why);
    }
    let mut keys = Vec::new();
    let mut undecided = None;
    for (key, operations) in by_key(history) {
        match Versions::of(history, key.clone(), &operations) {
            Ok(versions) => keys.push(versions),
            Err(why) => {
                undecided.get_or_insert(format!("of {key} nothing is known: {why:?}"));
            }
        }
    }
    let mut findings = Findings::new();
    let mut measured = Measured::default();
    for (key, versions) in keys.iter().enumerate() {
        odd(versions, key, &mut findings);
        for read in reads(versions) {
            measured.reads += 1;
            measured.stale += u64::from(read.missed > 0);
            measured.writes = measured.writes.max(read.missed);
            measured.longest = measured.longest.max(read.since);
            if read.missed >= u64::from(versions_allowed) {
                let rank = Rank { operations: 3, span: read.missed };
                let proof = (key, Some(read));
                findings.push(Candidate {
                    kind: AnomalyKind::StaleRead,
                    culprit: read.id,
                    rank,
                    proof,
                });
            }
        }
    }
    let (verdict, summary) = match undecided {
        Some(why) => (Verdict::Unknown, why),
        None if measured.reads == 0 => {
            (Verdict::Unknown, "nothing was read: nothing is known".to_string())
        }
        None => {
            let most = measured.writes;
            (
                Verdict::Pass,
                format!("no read is proven to have missed more than {most} writes (bounds only)"),
            )
        }
    };
    let mut judgement = findings
        .judge(NAME, verdict, summary, |candidate| tell(&keys[candidate.proof.0], candidate));
    judgement.counts = BTreeMap::from(
        [
            ("reads", measured.reads),
            ("stale-reads", measured.stale),
            ("writes-behind-max", measured.writes),
            ("ms-behind-max", measured.longest.0 / 1000),
        ]
        .map(|(name, count)| (name.to_string(), count)),
    );
    judgement
}

#[derive(Default)]
struct Measured {
    reads: u64,
    stale: u64,
    writes: u64,
    longest: Micros,
}

/// A read and what it missed.
#[derive(Clone, Copy, Debug)]
struct Read {
    id: OperationId,
    version: VersionId,
    missed: u64,
    /// How long before it began the first write that it missed was in place.
    since: Micros,
}

/// The key, and the read that missed too much; without one, what is wrong needs no more words.
type Proof = (usize, Option<Read>);

/// When a version was certainly in place.
fn in_place(versions: &Versions<'_>, version: VersionId) -> Place {
    match version {
        ABSENT => 0,
        _ => versions.versions[version].end.min(versions.versions[version].first_read_end.0),
    }
}

/// The time of that.
fn in_place_at(versions: &Versions<'_>, version: VersionId) -> Micros {
    let it = &versions.versions[version];
    let by = if it.end <= it.first_read_end.0 { it.writer } else { it.first_read_end.1 };
    let stamp = by.and_then(|id| versions.operation(id).completed);
    stamp.map_or(Micros(0), |stamp| stamp.at)
}

/// The value that an operation looked at.
fn saw(reply: Option<&Reply>) -> Option<Option<Value>> {
    match reply {
        Some(Reply::Read(seen) | Reply::Compared { swapped: false, observed: seen }) => Some(*seen),
        _ => None,
    }
}

/// Every read of a value that was written, with what it missed.
fn reads(versions: &Versions<'_>) -> Vec<Read> {
    // Versions that are in place at some time, by the beginning of their writes.
    let mut written: Vec<VersionId> =
        (1..versions.versions.len()).filter(|it| in_place(versions, *it) != NEVER).collect();
    written.sort_unstable_by_key(|it| versions.versions[*it].begin);
    let begins: Vec<Place> = written.iter().map(|it| versions.versions[*it].begin).collect();
    // Of the versions from each on, the one that was in place first.
    let mut earliest: Vec<VersionId> = written.clone();
    for index in (0..earliest.len().saturating_sub(1)).rev() {
        if in_place(versions, earliest[index + 1]) < in_place(versions, earliest[index]) {
            earliest[index] = earliest[index + 1];
        }
    }
    let mut by_place: Vec<(Place, usize)> =
        written.iter().enumerate().map(|(index, it)| (in_place(versions, *it), index)).collect();
    by_place.sort_unstable();
    let mut reads: Vec<Read> = Vec::new();
    for id in &versions.operations {
        let Some(seen) = saw(versions.operation(*id).reply()) else { continue };
        let Some(version) = versions.version_of(seen) else { continue };
        reads.push(Read { id: *id, version, missed: 0, since: Micros(0) });
    }
    reads.sort_by_key(|read| begin(versions.operation(read.id)));
    let mut counted = Counted(vec![0; written.len() + 1]);
    let mut next = by_place.iter().peekable();
    for read in &mut reads {
        let operation = versions.operation(read.id);
        let began = begin(operation);
        while let Some((_, index)) = next.next_if(|(place, _)| *place < began) {
            counted.add(*index);
        }
        let since = in_place(versions, read.version);
        let later = begins.partition_point(|begin| *begin <= since);
        read.missed = counted.from(later);
        if read.missed > 0 {
            let first = in_place_at(versions, earliest[later]);
            read.since = Micros(operation.invoked.at.0.saturating_sub(first.0));
        }
    }
    reads
}

/// Counts by index, with sums of all from an index on (P. Fenwick, "A new data structure for
/// cumulative frequency tables", 1994).
struct Counted(Vec<u64>);

impl Counted {
    fn add(&mut self, index: usize) {
        let mut at = self.0.len() - 1 - index;
        while at < self.0.len() {
            self.0[at] += 1;
            at += at & at.wrapping_neg();
        }
    }

    fn from(&self, index: usize) -> u64 {
        let mut at = self.0.len() - 1 - index;
        let mut sum = 0;
        while at > 0 {
            sum += self.0[at];
            at &= at - 1;
        }
        sum
    }
}

/// Reads of what nobody wrote, or not yet: no number of writes explains them.
fn odd(versions: &Versions<'_>, key: usize, findings: &mut Findings<Proof>) {
    let mut push = |kind, culprit| {
        let rank = Rank { operations: 1, span: 0 };
        findings.push(Candidate { kind, culprit, rank, proof: (key, None) });
    };
    for oddity in &versions.oddities {
        match *oddity {
            Oddity::Unwritten { seen_by, failed: None } => push(AnomalyKind::Phantom, seen_by),
            Oddity::Unwritten { seen_by, failed: Some(_) } => {
                push(AnomalyKind::AbortedRead, seen_by);
            }
            // Whatever else swaps and refusals say of themselves is no matter of old reads.
            _ => {}
        }
    }
    for id in &versions.operations {
        let operation = versions.operation(*id);
        let seen = saw(operation.reply()).and_then(|seen| versions.version_of(seen));
        if seen.is_some_and(|seen| end(operation) < versions.versions[seen].begin) {
            push(AnomalyKind::FutureRead, *id);
        }
    }
}

fn tell(versions: &Versions<'_>, candidate: &Candidate<Proof>) -> Anomaly {
    let culprit = versions.operation(candidate.culprit);
    let (mut operations, story) = match candidate.proof.1 {
        None => {
            let seen = saw(culprit.reply()).and_then(|seen| versions.version_of(seen));
            let writer = seen.and_then(|seen| versions.versions[seen].writer);
            let failed = versions.oddities.iter().find_map(|oddity| match *oddity {
                Oddity::Unwritten { seen_by, failed } if seen_by == culprit.id => failed,
                _ => None,
            });
            let saw = story::saw(culprit);
            let text = match (writer, failed) {
                (Some(by), _) => {
                    format!("{saw}; only then {}.", story::later(versions.operation(by)))
                }
                (None, Some(by)) => {
                    format!(
                        "{}; {saw}, which nobody else sent.",
                        story::changed(versions.operation(by))
                    )
                }
                (None, None) => format!("{saw}, which nobody sent."),
            };
            ([writer, failed].into_iter().flatten().chain([culprit.id]).collect(), vec![text])
        }
        Some(read) => told_stale(versions, read),
    };
    operations.sort_unstable();
    operations.dedup();
    Anomaly {
        kind: candidate.kind,
        key: versions.key.clone(),
        culprit: candidate.culprit,
        operations,
        swaps: Vec::new(),
        story,
    }
}

fn told_stale(versions: &Versions<'_>, read: Read) -> (Vec<OperationId>, Vec<String>) {
    let operation = versions.operation(read.id);
    let since = in_place(versions, read.version);
    let began = begin(operation);
    let is_missed =
        |it: &VersionId| versions.versions[*it].begin > since && in_place(versions, *it) < began;
    let mut missed: Vec<VersionId> = (1..versions.versions.len()).filter(is_missed).collect();
    missed.sort_unstable_by_key(|it| in_place(versions, *it));
    missed.truncate(NAMED_MAX);
    let mut operations = vec![read.id];
    operations.extend(versions.versions[read.version].writer);
    let mut named = Vec::new();
    for version in missed {
        let Some(writer) = versions.versions[version].writer else { continue };
        operations.push(writer);
        named.push(story::changed(versions.operation(writer)));
    }
    let unnamed = read.missed.saturating_sub(named.len() as u64);
    if unnamed > 0 {
        named.push(format!("and {unnamed} more"));
    }
    let count = read.missed;
    let text = format!(
        "{}, and missed at least {count} writes, the first of them in place {:.3} s before: {}.",
        story::saw(operation),
        read.since.as_secs_f64(),
        named.join("; ")
    );
    (operations, vec![text])
}
