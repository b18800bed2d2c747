//! Linearizability: is there one order of all operations, each between its invocation and its
//! completion, in which every answer is right?
//!
//! In general that needs a search that is exponential in the operations open at once. It does not
//! where every value is written once: then each answer names the write it saw, and the rest is
//! comparing intervals (`blocks`, `zones`, for the set `set`). `docs/checker.md` has the
//! pictures and the argument that this is exact. The algorithm is that of P. Gibbons and E. Korach,
//! "Testing shared memories" (SIAM Journal on Computing 26, 1997), with chains of compare-and-sets
//! in the place of single values.
//!
//! What is not decided is said: a key with deletes or with a value written twice, a list over
//! registers, and a compare-and-set that was refused without saying what it saw.

mod blocks;
mod proof;
mod set;
mod tell;
mod zones;

use crate::checker::findings::{Candidate, Findings, Rank};
use crate::checker::versions::{Oddity, Undecided, Versions, by_key};
use crate::history::{History, OperationId};
use crate::operation::{Key, Op, Outcome};
use crate::verdict::{AnomalyKind, Judgement, Verdict};

pub(super) use proof::{Touch, close};
pub use set::check_set;

use proof::Proof;

/// The name of this checker in judgements.
const NAME: &str = "linearizable";

/// Judges a history of registers, key by key: linearizability is a property of each key alone (M.
/// Herlihy and J. Wing, "Linearizability", 1990). Takes O(n log n) time at worst, O(n) memory.
///
/// Reads, writes and compare-and-sets, final reads among them; local reads are left out.
pub fn check_registers(history: &History) -> Judgement {
    let mut findings: Findings<Found> = Findings::new();
    let mut keys = Vec::new();
    let mut open_questions = OpenQuestions::default();
    for (key, operations) in by_key(history) {
        match Versions::of(history, key.clone(), &operations) {
            Err(why) => open_questions.add_key(&key, why, operations.len()),
            Ok(versions) => {
                let mut sink = Sink { findings: &mut findings, key: keys.len() };
                check_key(&versions, &mut sink);
                open_questions.silent_mismatches += versions.silent_mismatches;
                keys.push(versions);
            }
        }
    }
    open_questions.count_lists(history);
    let (verdict, summary) = open_questions.without_anomaly(history, keys.len());
    let mut judgement = findings.judge(NAME, verdict, summary, |candidate| {
        tell::tell(&keys[candidate.proof.key], candidate)
    });
    judgement.counts = open_questions.counts(history, keys.len());
    judgement
}

/// A proof and the index of its key.
#[derive(Clone, Copy, Debug)]
struct Found {
    key: usize,
    proof: Proof,
}

/// Takes the anomalies of one key.
struct Sink<'a> {
    findings: &'a mut Findings<Found>,
    key: usize,
}

impl Sink<'_> {
    fn push(&mut self, kind: AnomalyKind, culprit: OperationId, rank: Rank, proof: Proof) {
        let proof = Found { key: self.key, proof };
        self.findings.push(Candidate { kind, culprit, rank, proof });
    }
}

fn check_key(versions: &Versions<'_>, sink: &mut Sink<'_>) {
    for oddity in &versions.oddities {
        let (kind, culprit, operations) = match *oddity {
            Oddity::Unwritten { seen_by, failed: None } => (AnomalyKind::Phantom, seen_by, 1),
            Oddity::Unwritten { seen_by, failed: Some(_) } => {
                (AnomalyKind::AbortedRead, seen_by, 2)
            }
            Oddity::FromUnwritten { seen_by, .. } => (AnomalyKind::Phantom, seen_by, 2),
            Oddity::RefusedMatch { operation } => (AnomalyKind::SpuriousMismatch, operation, 1),
            Oddity::SwappedMismatch { operation } => (AnomalyKind::LostUpdate, operation, 1),
        };
        sink.push(kind, culprit, Rank { operations, span: 0 }, Proof::Odd(*oddity));
    }
    let blocks = blocks::blocks(versions, sink);
    zones::find_conflicts(versions, &blocks, sink);
}

/// What cannot be decided about a history.
#[derive(Debug, Default)]
struct OpenQuestions {
    keys: u64,
    operations: u64,
    first: Option<(Key, Undecided)>,
    silent_mismatches: u64,
    lists: u64,
}

impl OpenQuestions {
    fn add_key(&mut self, key: &Key, why: Undecided, operations: usize) {
        self.keys += 1;
        self.operations += operations as u64;
        self.first.get_or_insert((key.clone(), why));
    }

    fn count_lists(&mut self, history: &History) {
        let is_open = |op: &Op| matches!(op, Op::List { .. }) && !op.is_local();
        self.lists = history
            .operations
            .iter()
            .filter(|operation| is_open(&operation.op) && operation.reply().is_some())
            .count() as u64;
    }

    fn without_anomaly(&self, history: &History, decided: usize) -> (Verdict, String) {
        if let Some((key, why)) = &self.first {
            let why = match why {
                Undecided::RepeatedValues => "values are written more than once",
                Undecided::Deletes => "it is deleted",
            };
            return (
                Verdict::Unknown,
                format!(
                    "{} of {} keys with {} operations are undecided: of {key}, {why}; the others \
                     are linearizable",
                    self.keys,
                    self.keys + decided as u64,
                    self.operations
                ),
            );
        }
        if self.silent_mismatches > 0 {
            return (
                Verdict::Unknown,
                format!(
                    "{} refused compare-and-sets do not say what they saw, and are undecided; \
                     all else is linearizable",
                    self.silent_mismatches
                ),
            );
        }
        if self.lists > 0 {
            let what = "lists over registers are undecided; all else is linearizable";
            return (Verdict::Unknown, format!("{} {what}", self.lists));
        }
        if !answered(history) {
            return (Verdict::Unknown, "no operation was answered: nothing is known".to_string());
        }
        let keys = if decided == 1 { "key" } else { "keys" };
        let count = history.operations.len();
        (Verdict::Pass, format!("one order of all {count} operations on {decided} {keys} exists"))
    }

    fn counts(&self, history: &History, decided: usize) -> std::collections::BTreeMap<String, u64> {
        [
            ("operations", history.operations.len() as u64),
            ("keys", decided as u64 + self.keys),
            ("undecided-keys", self.keys),
            ("undecided-operations", self.operations + self.silent_mismatches + self.lists),
        ]
        .into_iter()
        .map(|(name, count)| (name.to_string(), count))
        .collect()
    }
}

/// Whether any operation but local reads was answered; without, every order is right.
fn answered(history: &History) -> bool {
    history
        .operations
        .iter()
        .any(|operation| matches!(operation.outcome, Outcome::Ok(_)) && !operation.op.is_local())
}
