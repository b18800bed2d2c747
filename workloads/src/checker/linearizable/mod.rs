//! Linearizability: is there one order of all operations, each between its invocation and its
//! completion, in which every answer is right?
//!
//! In general that needs a search that is exponential in the operations open at once. It does not
//! where every value is written once: then each answer names the write it saw, and the rest is
//! comparing intervals (`screen` at a first look, then `blocks` and `zones`; for the set `set`). `docs/checker.md` has the
//! pictures and the argument that this is exact. The algorithm is that of P. Gibbons and E. Korach,
//! "Testing shared memories" (SIAM Journal on Computing 26, 1997), with chains of compare-and-sets
//! in the place of single values.
//!
//! What that leaves over is handed to the general search ([`super::frontier`]): a key with deletes or
//! with a value written twice, and a compare-and-set that was refused without saying what it saw.
//! What is not decided even so is said: a key beyond the budget of the search, and a list over
//! registers.

mod blocks;
mod proof;
mod residue;
mod screen;
mod set;
mod tell;
mod witness;
mod zones;

use rustc_hash::FxHashSet;

use crate::checker::findings::{Candidate, Findings, Rank, with_searched};
use crate::checker::frontier::{Budget, Decision, Overrun, Refusal};
use crate::checker::searched::Searched;
use crate::checker::unjudged;
use crate::checker::versions::{Oddity, Versions, beyond_registers, by_key};
use crate::history::{History, Operation, OperationId};
use crate::operation::{Key, Op};
use crate::verdict::{AnomalyKind, Judgement, Verdict};

pub(super) use proof::{Touch, close};
pub use screen::Screen;
pub use set::{check_set, undecided_set, witness_set};

use blocks::Blocks;
use proof::Proof;

/// The name of this checker in judgements.
const NAME: &str = "linearizable";

/// Judges a history of registers, key by key: linearizability is a property of each key alone (M.
/// Herlihy and J. Wing, "Linearizability", 1990). Takes O(n log n) time at worst, O(n) memory.
///
/// Keys that need the general search may take as long as its budget.
///
/// Reads, writes, compare-and-sets and deletes, final reads among them; local reads are left out.
pub fn check_registers(history: &History) -> Judgement {
    if let Some(unknown) = unjudged(NAME, history) {
        return unknown;
    }
    if let Some(why) = beyond_registers(history) {
        return Judgement::unknown(NAME, why);
    }
    let mut findings: Findings<Found> = Findings::new();
    let mut keys = Vec::new();
    let mut searched = Vec::new();
    let mut open_questions = OpenQuestions::default();
    let screened = Screened::of(history);
    open_questions.keys = screened.keys;
    for (key, operations) in screened.unproven {
        if let Ok(versions) = Versions::of(history, key.clone(), &operations) {
            let mut sink = Sink { findings: &mut findings, key: keys.len(), found: false };
            check_key(&versions, &mut sink);
            let is_done = sink.found || versions.silent_mismatches == 0;
            keys.push(versions);
            if is_done {
                continue;
            }
        }
        open_questions.searched_keys += 1;
        match residue::search(history, &key, &operations) {
            Searched::Explained => {}
            Searched::Impossible(anomaly) => searched.push(anomaly),
            Searched::Undecided(why) => open_questions.add_key(&key, why, operations.len()),
        }
    }
    open_questions.lists = screened.lists;
    let (verdict, summary) = open_questions.without_anomaly(history, screened.is_answered);
    let judgement = findings.judge(NAME, verdict, summary, |candidate| {
        tell::tell(&keys[candidate.proof.key], candidate)
    });
    let mut judgement = with_searched(judgement, searched);
    judgement.counts = open_questions.counts(history);
    judgement
}

/// Only whether one order of all operations exists, as [`check_registers`] finds it, without saying
/// why not. Of a refusal it says nothing but that there is one. Cut-off histories, lists over registers
/// and operations that are none of registers are undecided; an empty history has an order.
pub fn decide_registers(history: &History, budget: Budget) -> Decision {
    let screened = Screened::of(history);
    if let Some(why) = beyond(history, screened.lists) {
        let to = history.operations.last().map_or(0, |last| last.invoked.seq);
        return Decision::Undecided(Overrun { from: 0, to, why });
    }
    let mut undecided = None;
    for (key, operations) in screened.unproven {
        if let Ok(versions) = Versions::of(history, key, &operations) {
            let mut findings = Findings::new();
            let mut sink = Sink { findings: &mut findings, key: 0, found: false };
            check_key(&versions, &mut sink);
            if sink.found {
                let nothing = Refusal { refused: 0, since: None, last: Vec::new(), states: 0 };
                return Decision::Impossible(nothing);
            }
            if versions.silent_mismatches == 0 {
                continue;
            }
        }
        match residue::decide(history, &operations, budget) {
            Decision::Possible => {}
            Decision::Undecided(overrun) => {
                undecided.get_or_insert(overrun);
            }
            impossible @ Decision::Impossible(_) => return impossible,
        }
    }
    undecided.map_or(Decision::Possible, Decision::Undecided)
}

/// An order of the operations of each key that explains every answer, of a history of registers
/// that passes. `replay` says whether it is one.
///
/// # Errors
///
/// Why there is none: the decision is another one, or the history holds lists.
pub fn witness_registers(
    history: &History,
    budget: Budget,
) -> Result<Vec<(Key, Vec<OperationId>)>, String> {
    if !history.complete {
        return Err("the history is cut off".to_string());
    }
    if let Some(why) = beyond_registers(history) {
        return Err(why);
    }
    let is_list = |it: &Operation| matches!(it.op, Op::List { .. }) && !it.op.is_local();
    if history.operations.iter().any(is_list) {
        return Err("lists over registers are undecided".to_string());
    }
    let keys = by_key(history).into_iter();
    keys.map(|(key, operations)| {
        if let Ok(versions) = Versions::of(history, key.clone(), &operations)
            && versions.silent_mismatches == 0
        {
            let mut findings = Findings::new();
            let mut sink = Sink { findings: &mut findings, key: 0, found: false };
            let blocks = check_key(&versions, &mut sink);
            return match sink.found {
                true => Err(format!("no order of the operations on {key} exists")),
                false => Ok((key, witness::order(&versions, &blocks))),
            };
        }
        let order = residue::witness(history, &operations, budget);
        Ok((key.clone(), order.map_err(|why| format!("of {key}, {why}"))?))
    })
    .collect()
}

/// Why a decision about each key would be none about the history.
fn beyond(history: &History, lists: u64) -> Option<String> {
    if !history.complete {
        return Some("the history cut off: its trailer is missing".into());
    }
    if lists > 0 {
        return Some(format!("{lists} lists over registers, which no key decides"));
    }
    beyond_registers(history)
}

/// What the first look leaves over.
struct Screened {
    /// The keys that it could not prove right, each with its operations.
    unproven: Vec<(Key, Vec<OperationId>)>,
    /// Of all.
    keys: u64,
    lists: u64,
    is_answered: bool,
}

impl Screened {
    fn of(history: &History) -> Self {
        let mut screen = Screen::default();
        for operation in &history.operations {
            screen.take(operation);
        }
        let (lists, is_answered) = (screen.lists, screen.is_answered);
        let keys: Vec<(Key, bool)> = screen.finish().collect();
        let unproven: FxHashSet<&Key> =
            keys.iter().filter(|(_, is_right)| !is_right).map(|(key, _)| key).collect();
        let operations = match unproven.is_empty() {
            true => Vec::new(),
            false => by_key(history),
        };
        Screened {
            unproven: operations.into_iter().filter(|(key, _)| unproven.contains(key)).collect(),
            keys: keys.len() as u64,
            lists,
            is_answered,
        }
    }
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
    /// Whether there was any.
    found: bool,
}

impl Sink<'_> {
    fn push(&mut self, kind: AnomalyKind, culprit: OperationId, rank: Rank, proof: Proof) {
        let proof = Found { key: self.key, proof };
        self.found = true;
        self.findings.push(Candidate { kind, culprit, rank, proof });
    }
}

fn check_key(versions: &Versions<'_>, sink: &mut Sink<'_>) -> Blocks {
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
    blocks
}

/// What cannot be decided about a history.
#[derive(Debug, Default)]
struct OpenQuestions {
    keys: u64,
    searched_keys: u64,
    undecided_keys: u64,
    /// Of the undecided keys.
    operations: u64,
    first: Option<(Key, String)>,
    lists: u64,
}

impl OpenQuestions {
    fn add_key(&mut self, key: &Key, why: String, operations: usize) {
        self.undecided_keys += 1;
        self.operations += operations as u64;
        self.first.get_or_insert((key.clone(), why));
    }

    fn without_anomaly(&self, history: &History, is_answered: bool) -> (Verdict, String) {
        if let Some((key, why)) = &self.first {
            return (
                Verdict::Unknown,
                format!(
                    "{} of {} keys with {} operations are undecided: of {key}, {why}; the others \
                     are linearizable",
                    self.undecided_keys, self.keys, self.operations
                ),
            );
        }
        if self.lists > 0 {
            let what = "lists over registers are undecided; all else is linearizable";
            return (Verdict::Unknown, format!("{} {what}", self.lists));
        }
        if !is_answered {
            return (Verdict::Unknown, "no operation was answered: nothing is known".to_string());
        }
        let keys = if self.keys == 1 { "key" } else { "keys" };
        let count = history.operations.len();
        let decided = self.keys;
        (Verdict::Pass, format!("one order of all {count} operations on {decided} {keys} exists"))
    }

    fn counts(&self, history: &History) -> std::collections::BTreeMap<String, u64> {
        [
            ("operations", history.operations.len() as u64),
            ("keys", self.keys),
            ("searched-keys", self.searched_keys),
            ("undecided-keys", self.undecided_keys),
            ("undecided-operations", self.operations + self.lists),
        ]
        .into_iter()
        .map(|(name, count)| (name.to_string(), count))
        .collect()
    }
}
