//! Collects anomalies while a checker works: at most one per kind and culprit, the clearest first.
//!
//! A broken store gives an anomaly for every operation, and each has a proof that may hold a long
//! chain. So a checker hands in small candidates, and only those that are listed are told in full.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::history::OperationId;
use crate::verdict::{Anomaly, AnomalyKind, Judgement, Verdict};

/// How many swaps all listed anomalies of a judgement may have together, but for the first one's. A
/// chain over a whole run belongs to each of its anomalies, and a report is no place for a hundred
/// copies of it.
const SWAPS_MAX: usize = 10_000;

/// What is small enough to be kept for every anomaly.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<P> {
    pub(super) kind: AnomalyKind,
    pub(super) culprit: OperationId,
    pub(super) rank: Rank,
    /// What the checker needs to tell it in full.
    pub(super) proof: P,
}

/// How clear an anomaly is; the smallest is the clearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// How many operations the proof has, swaps included, about.
    pub(super) operations: u64,
    /// How many events the proof spans.
    pub(super) span: u64,
}

/// All anomalies of one checker, as far as it has come.
#[derive(Debug)]
pub(super) struct Findings<P> {
    best: FxHashMap<(AnomalyKind, OperationId), Candidate<P>>,
}

impl<P: Copy> Findings<P> {
    pub(super) fn new() -> Self {
        Findings { best: FxHashMap::default() }
    }

    /// Takes an anomaly in; of two with the same kind and culprit the clearer one stays.
    pub(super) fn push(&mut self, candidate: Candidate<P>) {
        self.best
            .entry((candidate.kind, candidate.culprit))
            .and_modify(|kept| {
                if candidate.rank < kept.rank {
                    *kept = candidate;
                }
            })
            .or_insert(candidate);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.best.is_empty()
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.best.len()
    }

    /// The judgement: counts of all, and the clearest told in full. `summary` is used when there
    /// is no anomaly.
    pub(super) fn judge(
        self,
        checker: &str,
        verdict_without: Verdict,
        summary: String,
        mut tell: impl FnMut(&Candidate<P>) -> Anomaly,
    ) -> Judgement {
        let mut found = BTreeMap::new();
        let mut candidates: Vec<Candidate<P>> = self.best.into_values().collect();
        for candidate in &candidates {
            *found.entry(candidate.kind).or_insert(0) += 1;
        }
        // The culprit and the kind make the order total, whatever the order of the hash map. Of
        // lost writes the first comes first: every proof ends with the same read at the end, and
        // the story of a loss begins where the losing began.
        let span = |candidate: &Candidate<P>| match candidate.kind {
            AnomalyKind::LostWrite => 0,
            _ => candidate.rank.span,
        };
        candidates.sort_by_key(|candidate| {
            (candidate.rank.operations, span(candidate), candidate.culprit, candidate.kind)
        });
        candidates.truncate(Judgement::ANOMALIES_MAX);
        let mut anomalies: Vec<Anomaly> = candidates.iter().map(&mut tell).collect();
        let size = |anomaly: &Anomaly| anomaly.operations.len() + anomaly.swaps.len();
        // The rank knows nothing of swaps; the sort is stable, so it decides among equals.
        anomalies.sort_by_key(size);
        let mut swaps = 0;
        anomalies.retain(|anomaly| {
            let is_first = swaps == 0;
            swaps += anomaly.swaps.len();
            is_first || swaps <= SWAPS_MAX
        });
        let (verdict, summary) = match anomalies.is_empty() {
            true => (verdict_without, summary),
            false => (Verdict::Fail, counted(&found)),
        };
        let checker = checker.to_string();
        Judgement { checker, verdict, summary, anomalies, found, counts: BTreeMap::new() }
    }
}

/// "2 stale-read, 1 phantom".
pub(super) fn counted(found: &BTreeMap<AnomalyKind, u64>) -> String {
    let parts: Vec<String> = found.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    parts.join(", ")
}

/// Adds what the search found to what was found without.
pub(super) fn with_searched(mut judgement: Judgement, searched: Vec<Anomaly>) -> Judgement {
    if searched.is_empty() {
        return judgement;
    }
    for anomaly in searched {
        *judgement.found.entry(anomaly.kind).or_insert(0) += 1;
        judgement.anomalies.push(anomaly);
    }
    judgement.anomalies.truncate(Judgement::ANOMALIES_MAX);
    judgement.verdict = Verdict::Fail;
    judgement.summary = counted(&judgement.found);
    judgement
}
