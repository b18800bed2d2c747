//! Lost writes: which acknowledged writes are gone at the end, with nothing that overwrote them.
//!
//! It trusts only the final reads, so it also judges stores whose other reads may be stale, and it
//! takes one pass: no search, no timeout. Of a register whose final read says `v`, an acknowledged
//! write `b` of another value is lost
//!
//! - if `v` comes, by compare-and-sets, from something that `b` came from as well: then `b` would
//!   have had to be between the two;
//! - or if something that `v` comes from was certainly in place before `b` was sent:
//!
//! ```text
//!   |--write v--|                                  |--final read: v--|
//!                   |--write b--| acknowledged
//! ```
//!
//! Otherwise `v` may have overwritten it, and it counts as superseded. An element of a set is lost
//! if the final list does not hold it. Called through `workload`; reports call [`lost_writes`] for
//! the recovery point.

use rustc_hash::{FxHashMap, FxHashSet};

use super::findings::{Candidate, Findings, Rank};
use super::linearizable::{Touch, close};
use super::story::{self, Shown};
use super::versions::{
    NEVER, Parent, Place, VersionId, Versions, begin, beyond_registers, by_key, end,
};
use super::{list, unjudged};
use crate::history::{History, Operation, OperationId};
use crate::operation::{Key, Op, Outcome, Reply, Value};
use crate::verdict::{Anomaly, AnomalyKind, Judgement, Verdict};

const NAME: &str = "lost-write";

/// What became of the writes of a history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LostWrites {
    /// The acknowledged writes that are gone, in order of invocation: all of them, where a
    /// judgement lists the first hundred.
    pub lost: Vec<OperationId>,
    /// Writes, swaps and adds that were acknowledged.
    pub acknowledged: u64,
    /// Acknowledged, and there at the end.
    pub observed: u64,
    /// Acknowledged, and overwritten by what is there at the end, or possibly so.
    pub superseded: u64,
    /// Acknowledged, and not judged: their key had no final read that says anything.
    pub unjudged: u64,
    /// Of unknown outcome, and seen by somebody.
    pub indeterminate_applied: u64,
    /// Of unknown outcome, and seen by nobody.
    pub indeterminate_absent: u64,
}

/// Counts and names the lost writes of a history of registers, lists or a set, told apart by the
/// workload in its header. A history without a final read has none that are known.
pub fn lost_writes(history: &History) -> LostWrites {
    let mut result = match history.header.workload.as_str() {
        "set" => Outcomes::of_set(history).writes,
        "append" | "idempotent-retry" => Outcomes::of_lists(history).writes,
        _ => Outcomes::of_registers(history).0.writes,
    };
    result.lost.sort_unstable();
    result
}

/// Whether lost writes are known of a workload: whether its final reads say what became of a write.
pub fn applies_to(workload: &str) -> bool {
    matches!(workload, "register" | "set" | "append" | "idempotent-retry")
}

/// Judges registers. `unknown` if a key with acknowledged writes has no final read, or one that
/// cannot be explained, or deletes or repeated values.
pub fn check_registers(history: &History) -> Judgement {
    if let Some(unknown) = unjudged(NAME, history) {
        return unknown;
    }
    if let Some(why) = beyond_registers(history) {
        return Judgement::unknown(NAME, why);
    }
    let (outcomes, keys) = Outcomes::of_registers(history);
    outcomes.judge(|candidate| tell_register(history, &keys, candidate))
}

/// Judges a set. `unknown` if no final list was answered.
pub fn check_set(history: &History) -> Judgement {
    if let Some(unknown) = unjudged(NAME, history) {
        return unknown;
    }
    Outcomes::of_set(history).judge(|candidate| tell_element(history, candidate))
}

/// Judges lists. `unknown` if a list with acknowledged appends has no final read.
pub fn check_lists(history: &History) -> Judgement {
    if let Some(unknown) = unjudged(NAME, history) {
        return unknown;
    }
    Outcomes::of_lists(history).judge(|candidate| tell_element(history, candidate))
}

/// Why a write is lost.
#[derive(Clone, Copy, Debug)]
struct Loss {
    /// Index of the key; of a set, zero.
    key: usize,
    lost: OperationId,
    last: OperationId,
    /// What showed that something the final value comes from was in place; `None` if the chain of
    /// the lost write itself says it, or the initial absence.
    in_place: Option<Touch>,
    /// The version that the final read saw.
    remains: VersionId,
}

struct Outcomes {
    writes: LostWrites,
    findings: Findings<Loss>,
    /// Why something is unjudged: the first reason.
    why: Option<String>,
}

impl Outcomes {
    fn new() -> Self {
        Outcomes { writes: LostWrites::default(), findings: Findings::new(), why: None }
    }

    fn of_registers(history: &History) -> (Self, Vec<Option<Versions<'_>>>) {
        let last_reads = last_reads(history);
        let mut outcomes = Outcomes::new();
        let mut keys = Vec::new();
        for (index, (key, operations)) in by_key(history).into_iter().enumerate() {
            let acknowledged =
                operations.iter().filter(|id| is_acknowledged(history.operation(**id))).count();
            outcomes.writes.acknowledged += acknowledged as u64;
            match Versions::of(history, key.clone(), &operations) {
                Err(_) => {
                    let why = format!("{key} has deletes or values that are written twice");
                    outcomes.leave(acknowledged, why);
                    keys.push(None);
                }
                Ok(versions) => {
                    outcomes.judge_key(&versions, index, &last_reads, acknowledged);
                    keys.push(Some(versions));
                }
            }
        }
        (outcomes, keys)
    }

    fn judge_key(
        &mut self,
        versions: &Versions<'_>,
        index: usize,
        last_reads: &FxHashMap<&str, OperationId>,
        acknowledged: usize,
    ) {
        for version in
            versions.versions.iter().filter(|version| is_indeterminate(versions, version))
        {
            if version.effective {
                self.writes.indeterminate_applied += 1;
            } else {
                self.writes.indeterminate_absent += 1;
            }
        }
        let key = &versions.key;
        let Some(last) = last_reads.get(key.as_str()).copied() else {
            return self.leave(acknowledged, format!("no final read of {key} was answered"));
        };
        let last = versions.operation(last);
        let Some(Reply::Read(value)) = last.reply() else { return };
        let Some(remains) = versions.version_of(*value) else {
            let why =
                format!("the final read of {key} saw {}, never written", story::value(*value));
            return self.leave(acknowledged, why);
        };
        let remaining = Remaining::of(versions, remains);
        let mut judge = Ancestors::new(versions, &remaining.path);
        for (version, at) in versions.versions.iter().enumerate().skip(1) {
            let Some(writer) = at.writer.filter(|_| at.end != NEVER) else { continue };
            if at.end >= begin(last) {
                self.leave(1, format!("a write of {key} was acknowledged after its final read"));
            } else if version == remains {
                self.writes.observed += 1;
            } else if remaining.path.contains_key(&version) {
                self.writes.superseded += 1;
            } else {
                let in_place = match judge.shares_chain(version) {
                    true => Some(None),
                    false if remaining.since < at.begin => Some(remaining.in_place),
                    false => None,
                };
                match in_place {
                    None => self.writes.superseded += 1,
                    Some(in_place) => {
                        let last = last.id;
                        self.lose(
                            versions.history,
                            Loss { key: index, lost: writer, last, in_place, remains },
                        );
                    }
                }
            }
        }
    }

    fn of_set(history: &History) -> Self {
        let mut outcomes = Outcomes::new();
        let last = last_list(history);
        let mut seen: FxHashMap<Value, bool> = FxHashMap::default();
        for operation in history.operations.iter().filter(|operation| !operation.op.is_local()) {
            if let Some(Reply::Listed(values)) = operation.reply() {
                let is_last = Some(operation.id) == last;
                for value in values {
                    *seen.entry(*value).or_default() |= is_last;
                }
            }
        }
        for operation in &history.operations {
            let Op::Write { value, .. } = &operation.op else { continue };
            match &operation.outcome {
                Outcome::Fail(_) => {}
                Outcome::Info(_) if seen.contains_key(value) => {
                    outcomes.writes.indeterminate_applied += 1;
                }
                Outcome::Info(_) => outcomes.writes.indeterminate_absent += 1,
                Outcome::Ok(_) => {
                    outcomes.writes.acknowledged += 1;
                    let Some(last) = last else {
                        outcomes.leave(1, "no final list was answered".to_string());
                        continue;
                    };
                    if seen.get(value) == Some(&true) {
                        outcomes.writes.observed += 1;
                    } else if end(operation) >= begin(history.operation(last)) {
                        let why = "an add was acknowledged after the final list began";
                        outcomes.leave(1, why.to_string());
                    } else {
                        let lost = operation.id;
                        outcomes
                            .lose(history, Loss { key: 0, lost, last, in_place: None, remains: 0 });
                    }
                }
            }
        }
        outcomes
    }

    fn of_lists(history: &History) -> Self {
        let mut outcomes = Outcomes::new();
        let lists = match list::lists(history) {
            Ok(lists) => lists,
            Err(why) => {
                outcomes.leave(1, why);
                return outcomes;
            }
        };
        for list in &lists {
            let is_final = |read: &&list::Seen<'_>| history.operation(read.by).is_final;
            let last = list.reads.iter().filter(is_final).max_by_key(|read| read.begin);
            let seen: FxHashSet<Value> =
                list.reads.iter().flat_map(|read| read.values).copied().collect();
            let held: FxHashSet<Value> =
                last.map(|read| read.values.iter().copied().collect()).unwrap_or_default();
            let writes = &mut outcomes.writes;
            for (value, added) in list.added.iter().filter(|(_, added)| !added.failed) {
                match (added.is_acknowledged(), seen.contains(value)) {
                    (true, _) => writes.acknowledged += 1,
                    (false, true) => writes.indeterminate_applied += 1,
                    (false, false) => writes.indeterminate_absent += 1,
                }
            }
            for (value, added) in list.added.iter().filter(|(_, added)| added.is_acknowledged()) {
                let key = &list.key;
                match last {
                    None => outcomes.leave(1, format!("no final read of {key} was answered")),
                    Some(_) if held.contains(value) => outcomes.writes.observed += 1,
                    Some(last) if added.end >= last.begin => {
                        let why =
                            format!("an append to {key} was acknowledged after its final read");
                        outcomes.leave(1, why);
                    }
                    Some(last) => {
                        let (lost, last) = (added.by, last.by);
                        outcomes
                            .lose(history, Loss { key: 0, lost, last, in_place: None, remains: 0 });
                    }
                }
            }
        }
        outcomes
    }

    fn lose(&mut self, history: &History, loss: Loss) {
        self.writes.lost.push(loss.lost);
        let span = begin(history.operation(loss.last)) - begin(history.operation(loss.lost));
        let operations = 2 + 2 * u64::from(loss.in_place.is_some());
        self.findings.push(Candidate {
            kind: AnomalyKind::LostWrite,
            culprit: loss.lost,
            rank: Rank { operations, span },
            proof: loss,
        });
    }

    fn leave(&mut self, acknowledged: usize, why: String) {
        if acknowledged > 0 {
            self.writes.unjudged += acknowledged as u64;
            self.why.get_or_insert(why);
        }
    }

    fn judge(self, tell: impl FnMut(&Candidate<Loss>) -> Anomaly) -> Judgement {
        let writes = &self.writes;
        let (verdict, summary) = if let Some(why) = &self.why {
            let count = writes.unjudged;
            (Verdict::Unknown, format!("{count} acknowledged writes are not judged: {why}"))
        } else if writes.acknowledged == 0 {
            (Verdict::Unknown, "no write was acknowledged: there is none to lose".to_string())
        } else {
            (Verdict::Pass, format!("none of {} acknowledged writes is lost", writes.acknowledged))
        };
        let counts = [
            ("acknowledged", writes.acknowledged),
            ("observed", writes.observed),
            ("superseded", writes.superseded),
            ("lost", writes.lost.len() as u64),
            ("unjudged", writes.unjudged),
            ("indeterminate-applied", writes.indeterminate_applied),
            ("indeterminate-absent", writes.indeterminate_absent),
        ];
        let mut judgement = self.findings.judge(NAME, verdict, summary, tell);
        if judgement.verdict == Verdict::Fail {
            judgement.summary = format!(
                "{} of {} acknowledged writes are lost",
                self.writes.lost.len(),
                self.writes.acknowledged
            );
        }
        judgement.counts =
            counts.into_iter().map(|(name, count)| (name.to_string(), count)).collect();
        judgement
    }
}

/// What the final value comes from.
struct Remaining {
    /// The versions from the final one back to the beginning of its chain.
    path: FxHashMap<VersionId, ()>,
    /// When the first operation ended that proves one of them in place.
    since: Place,
    in_place: Option<Touch>,
}

impl Remaining {
    fn of(versions: &Versions<'_>, remains: VersionId) -> Self {
        let mut remaining = Remaining { path: FxHashMap::default(), since: NEVER, in_place: None };
        for version in versions.ancestry(remains) {
            remaining.path.insert(version, ());
            let at = &versions.versions[version];
            for (end, operation) in [(at.end, at.writer), at.first_read_end] {
                if end < remaining.since {
                    remaining.since = end;
                    remaining.in_place = operation.map(|operation| Touch { operation, version });
                }
            }
        }
        remaining
    }
}

/// Answers which versions come from one of the path of the final value, each question in the time
/// of the new part of its chain.
struct Ancestors<'v, 'h> {
    versions: &'v Versions<'h>,
    /// Per version what is known; the path shares itself.
    known: Vec<Option<bool>>,
}

impl<'v, 'h> Ancestors<'v, 'h> {
    fn new(versions: &'v Versions<'h>, path: &FxHashMap<VersionId, ()>) -> Self {
        let mut known = vec![None; versions.versions.len()];
        for version in path.keys() {
            known[*version] = Some(true);
        }
        Ancestors { versions, known }
    }

    fn shares_chain(&mut self, version: VersionId) -> bool {
        let mut walked = Vec::new();
        let mut at = version;
        let shares = loop {
            if let Some(known) = self.known[at] {
                break known;
            }
            walked.push(at);
            // For now, so that a cycle ends.
            self.known[at] = Some(false);
            match self.versions.versions[at].parent {
                Parent::From(parent) => at = parent,
                Parent::None | Parent::Impossible => break false,
            }
        };
        for at in walked {
            self.known[at] = Some(shares);
        }
        shares
    }
}

/// The last answered final read of each key.
fn last_reads(history: &History) -> FxHashMap<&str, OperationId> {
    final_reads(history)
        .filter(|operation| matches!(operation.op, Op::Read { .. }))
        .map(|operation| (operation.op.key().as_str(), operation.id))
        .collect()
}

fn last_list(history: &History) -> Option<OperationId> {
    final_reads(history)
        .filter(|operation| matches!(operation.op, Op::List { .. }))
        .map(|operation| operation.id)
        .last()
}

fn final_reads(history: &History) -> impl Iterator<Item = &Operation> {
    history.operations.iter().filter(|operation| {
        operation.is_final && !operation.op.is_local() && operation.reply().is_some()
    })
}

fn is_acknowledged(operation: &Operation) -> bool {
    matches!(operation.reply(), Some(Reply::Written | Reply::Compared { swapped: true, .. }))
}

fn is_indeterminate(versions: &Versions<'_>, version: &super::versions::Version) -> bool {
    version.writer.is_some_and(|id| matches!(versions.operation(id).outcome, Outcome::Info(_)))
}

fn tell_register(
    history: &History,
    keys: &[Option<Versions<'_>>],
    candidate: &Candidate<Loss>,
) -> Anomaly {
    let loss = candidate.proof;
    let versions = keys[loss.key].as_ref().expect("a loss is of a key whose versions are known");
    let lost = versions.written_by(loss.lost).expect("what is lost was written");
    let touches: Vec<Touch> = [
        Some(Touch { operation: loss.lost, version: lost }),
        Some(Touch { operation: loss.last, version: loss.remains }),
        loss.in_place,
    ]
    .into_iter()
    .flatten()
    .collect();
    let (operations, swaps) = close(versions, &touches);
    let key: Key = versions.key.clone();
    let written = story::value(versions.versions[lost].value);
    let remains = story::value(versions.versions[loss.remains].value);
    let because = match loss.in_place {
        Some(touch) if touch.version == loss.remains => {
            format!("although {remains} was in place before {written} was sent")
        }
        Some(touch) => format!(
            "which came by compare-and-sets from {}, in place before {written} was sent",
            story::value(versions.versions[touch.version].value)
        ),
        None if loss.remains == super::versions::ABSENT => {
            "although nothing was deleted".to_string()
        }
        None => format!("which never came from {written}"),
    };
    let story = vec![format!(
        "{}; at the end {}, {because}: {written} is gone and nothing overwrote it.",
        story::changed(history.operation(loss.lost)),
        story::saw(history.operation(loss.last)),
    )];
    let Candidate { kind, culprit, .. } = *candidate;
    Anomaly { kind, key, culprit, operations, swaps, story }
}

fn tell_element(history: &History, candidate: &Candidate<Loss>) -> Anomaly {
    let Loss { lost, last, .. } = candidate.proof;
    let (add, list) = (history.operation(lost), history.operation(last));
    let value = match &add.op {
        Op::Write { value, .. } | Op::Append { value, .. } => value.to_string(),
        _ => "what it appended".to_string(),
    };
    let (add_told, key) = match &list.op {
        Op::List { prefix, .. } => {
            (story::added(add, prefix, Shown::End), Key::new(story::set(prefix)))
        }
        other => (story::changed(add), other.key().clone()),
    };
    let story = vec![format!("{add_told}; at the end {}, without {value}.", story::saw(list))];
    Anomaly {
        kind: candidate.kind,
        key,
        culprit: candidate.culprit,
        operations: vec![lost, last],
        swaps: Vec::new(),
        story,
    }
}
