//! Linearizability of a growing set: adds of unique elements, and reads of all of it.
//!
//! What a list holds says what is before it: all adds of its elements, and no other. So lists must
//! form a chain by inclusion, and the whole order is forced up to the order inside of groups:
//!
//! ```text
//! adds of S1 | lists of S1 | adds of S2 minus S1 | lists of S2 | ... | adds that nobody listed
//! ```
//!
//! An add of unknown outcome that nobody listed is left out. The history is linearizable exactly
//! when no operation of a later group ended before one of an earlier group began. Most violations
//! show in one element, and are named by it. Called through `workload`.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::NAME;
use crate::checker::findings::{Candidate, Findings, Rank};
use crate::checker::plants::{Plant, is_planted};
use crate::checker::story::{self, Shown};
use crate::checker::unjudged;
use crate::checker::versions::{NEVER, Place, begin, end};
use crate::history::{History, Operation, OperationId};
use crate::operation::{Key, Op, Outcome, Reply, Value};
use crate::verdict::{Anomaly, AnomalyKind, Judgement, Verdict};

/// Judges a history of one set. Takes time and memory linear in the operations and the sizes of
/// all lists, but for sorting.
///
/// Adds are [`Op::Write`]s of a key under the common prefix, every value once; reads are
/// [`Op::List`]s of the prefix. Local lists are left out.
pub fn check_set(history: &History) -> Judgement {
    if let Some(unknown) = unjudged(NAME, history) {
        return unknown;
    }
    let set = match Set::of(history) {
        Ok(set) => set,
        Err(why) => return Judgement::unknown(NAME, why),
    };
    let mut findings = Findings::new();
    set.check_elements(&mut findings);
    if findings.is_empty() && !is_planted(Plant::SetsUnordered) {
        set.check_order(&mut findings);
    }
    let (verdict, summary) = if set.lists.is_empty() {
        (Verdict::Unknown, "the set was never listed: nothing is known of it".to_string())
    } else {
        let (adds, lists) = (set.elements.len(), set.lists.len());
        (Verdict::Pass, format!("one order of all {adds} adds and {lists} lists exists"))
    };
    let mut judgement = findings.judge(NAME, verdict, summary, |candidate| set.tell(candidate));
    judgement.counts = BTreeMap::from([
        ("operations".to_string(), history.operations.len() as u64),
        ("lists".to_string(), set.lists.len() as u64),
    ]);
    judgement
}

/// Why nothing can be said of a set, if so.
pub fn undecided_set(history: &History) -> Option<String> {
    Set::of(history).err()
}

/// An order of all adds and lists that explains every answer, of a history of a set that passes.
/// `replay` says whether it is one.
///
/// # Errors
///
/// Why there is none.
pub fn witness_set(history: &History) -> Result<Vec<OperationId>, String> {
    if !history.complete {
        return Err("the history is cut off".to_string());
    }
    let set = Set::of(history)?;
    let judgement = check_set(history);
    if judgement.verdict == Verdict::Fail {
        return Err(format!("no order exists: {}", judgement.summary));
    }
    // Lists of one size hold the same; an add is before the smallest that holds its element.
    let mut smallest = vec![usize::MAX; set.elements.len()];
    let mut placed: Vec<(usize, bool, Place, OperationId)> = Vec::new();
    for list in &set.lists {
        let size = list.values.len();
        placed.push((size, true, list.begin, list.id));
        for element in list.values.iter().filter_map(|value| set.by_value.get(value)) {
            smallest[*element] = smallest[*element].min(size);
        }
    }
    for (element, size) in set.elements.iter().zip(smallest) {
        // Of those that nobody listed, the acknowledged ones come last, and the others never.
        if size != usize::MAX || element.end != NEVER {
            placed.push((size, false, element.begin, element.add));
        }
    }
    placed.sort_unstable();
    Ok(placed.into_iter().map(|(_, _, _, id)| id).collect())
}

/// All that is known of a set.
struct Set<'h> {
    history: &'h History,
    prefix: Key,
    elements: Vec<Element>,
    /// In order of invocation.
    lists: Vec<List<'h>>,
    by_value: FxHashMap<Value, usize>,
    failed: FxHashMap<Value, OperationId>,
}

/// An element whose add may have happened.
struct Element {
    add: OperationId,
    begin: Place,
    end: Place,
}

struct List<'h> {
    id: OperationId,
    begin: Place,
    end: Place,
    values: &'h [Value],
}

/// Why a history of a set is not linearizable.
#[derive(Clone, Copy, Debug)]
enum Proof {
    /// A list holds what nobody added; `failed` tried to.
    Unwritten { list: OperationId, value: Value, failed: Option<OperationId> },
    /// A list holds an element twice.
    Twice { add: OperationId, list: OperationId },
    /// A list that ended before the add began holds its element.
    Early { add: OperationId, list: OperationId },
    /// The element was there (`known` added or listed it), then not, then perhaps `again`.
    Missing {
        add: OperationId,
        known: OperationId,
        absent: OperationId,
        again: Option<OperationId>,
    },
    /// One list holds x and not y, the other y and not x.
    Fork { x: OperationId, y: OperationId, with_x: OperationId, with_y: OperationId },
    /// `first` was acknowledged before `second` was sent, but the list holds only `second`; another
    /// list holds both, perhaps.
    Skipped {
        first: OperationId,
        second: OperationId,
        list: OperationId,
        again: Option<OperationId>,
    },
}

impl<'h> Set<'h> {
    fn of(history: &'h History) -> Result<Self, String> {
        let mut set = Set {
            history,
            prefix: Key::new(""),
            elements: Vec::new(),
            lists: Vec::new(),
            by_value: FxHashMap::default(),
            failed: FxHashMap::default(),
        };
        let mut prefix: Option<&Key> = None;
        for operation in &history.operations {
            match &operation.op {
                op if op.is_local() => {}
                Op::List { prefix: this, .. } => {
                    if *prefix.get_or_insert(this) != this {
                        return Err("lists of several prefixes are undecided".to_string());
                    }
                    if let Some(Reply::Listed(values)) = operation.reply() {
                        let (begin, end) = (begin(operation), end(operation));
                        set.lists.push(List { id: operation.id, begin, end, values });
                    }
                }
                Op::Write { value, .. } => set.take_add(operation, *value)?,
                other => return Err(format!("a set with \"{other}\" is undecided")),
            }
        }
        set.prefix = prefix.cloned().unwrap_or_else(|| Key::new(""));
        for element in &set.elements {
            let key = history.operation(element.add).op.key();
            if !key.as_str().starts_with(set.prefix.as_str()) {
                return Err(format!("{key} is outside of the lists of {}*: undecided", set.prefix));
            }
        }
        Ok(set)
    }

    fn take_add(&mut self, operation: &Operation, value: Value) -> Result<(), String> {
        if matches!(operation.outcome, Outcome::Fail(_)) {
            self.failed.insert(value, operation.id);
            return Ok(());
        }
        if self.by_value.insert(value, self.elements.len()).is_some() {
            return Err(format!("{value} was added more than once: undecided"));
        }
        let (begin, end) = (begin(operation), end(operation));
        self.elements.push(Element { add: operation.id, begin, end });
        Ok(())
    }

    /// Finds what is wrong with single elements, and notes which list holds which element.
    fn check_elements(&self, findings: &mut Findings<Proof>) {
        for (index, element) in self.listed(findings).iter().enumerate() {
            self.check_element(&self.elements[index], element, findings);
        }
    }

    /// For each element, the lists that hold it, as indices in ascending order.
    fn listed(&self, findings: &mut Findings<Proof>) -> Vec<Vec<u32>> {
        let mut listed: Vec<Vec<u32>> = vec![Vec::new(); self.elements.len()];
        for (index, list) in self.lists.iter().enumerate() {
            let index = index as u32;
            for value in list.values {
                let Some(element) = self.by_value.get(value).copied() else {
                    let failed = self.failed.get(value).copied();
                    let proof = Proof::Unwritten { list: list.id, value: *value, failed };
                    let kind = match failed {
                        None => AnomalyKind::Phantom,
                        Some(_) => AnomalyKind::AbortedRead,
                    };
                    self.push(findings, kind, list.id, proof);
                    continue;
                };
                let add = self.elements[element].add;
                if listed[element].last() == Some(&index) {
                    let proof = Proof::Twice { add, list: list.id };
                    self.push(findings, AnomalyKind::Duplicate, list.id, proof);
                    continue;
                }
                listed[element].push(index);
            }
        }
        listed
    }

    fn check_element(&self, element: &Element, listed: &[u32], findings: &mut Findings<Proof>) {
        let add = element.add;
        // What ended first of all that shows that the element is there.
        let mut known = (element.end, add);
        for index in listed {
            let list = &self.lists[*index as usize];
            if list.end < element.begin && !is_planted(Plant::SetsForesee) {
                let proof = Proof::Early { add, list: list.id };
                self.push(findings, AnomalyKind::FutureRead, list.id, proof);
            }
            known = known.min((list.end, list.id));
        }
        let (since, known) = known;
        let Some(absent) = self.first_absent(listed, since) else { return };
        let is_after = |index: &u32| self.lists[*index as usize].begin > absent.begin;
        let again = listed.last().filter(|index| is_after(index));
        let again = again.map(|index| self.lists[*index as usize].id);
        let (kind, culprit) = match again {
            None => (AnomalyKind::LostWrite, add),
            Some(_) if known == add => (AnomalyKind::StaleRead, absent.id),
            Some(_) => (AnomalyKind::Resurrected, absent.id),
        };
        // Of a lost element the last list says most.
        let last = self.lists.last().filter(|_| again.is_none()).unwrap_or(absent);
        let proof = Proof::Missing { add, known, absent: last.id, again };
        self.push(findings, kind, culprit, proof);
    }

    /// The first list that began after a place and does not hold the element that `listed` do.
    fn first_absent(&self, listed: &[u32], since: Place) -> Option<&List<'h>> {
        let first = self.lists.partition_point(|list| list.begin <= since);
        let mut holding =
            listed[listed.partition_point(|index| (*index as usize) < first)..].iter();
        (first..self.lists.len())
            .find(|index| holding.next().is_none_or(|held| *held as usize != *index))
            .map(|index| &self.lists[index])
    }

    /// Finds what is wrong although every element by itself is right: lists that do not include
    /// one another, and an add that another one overtook. At most one is reported.
    fn check_order(&self, findings: &mut Findings<Proof>) {
        // The chain by inclusion, if it is one; `rank[list]` is its place.
        let mut chain: Vec<usize> = (0..self.lists.len()).collect();
        chain.sort_by_key(|index| self.lists[*index].values.len());
        let listed = self.listed(findings);
        let mut rank = vec![0; chain.len()];
        for (place, list) in chain.iter().enumerate() {
            rank[*list] = place;
        }
        let mut firsts = Vec::with_capacity(listed.len());
        for (element, listed) in listed.iter().enumerate() {
            let first = listed.iter().map(|list| rank[*list as usize]).min();
            if let Some(first) = first
                && chain.len() - first != listed.len()
            {
                return self.push_fork(element, &chain[first..], listed, findings);
            }
            firsts.push(first);
        }
        self.check_overtaking(&chain, &firsts, findings);
    }

    /// Names a fork: `chain` begins with a list that holds the element, and has one that does not.
    fn push_fork(
        &self,
        element: usize,
        chain: &[usize],
        listed: &[u32],
        findings: &mut Findings<Proof>,
    ) {
        let holders: FxHashSet<usize> = listed.iter().map(|list| *list as usize).collect();
        let Some(without) = chain.iter().find(|list| !holders.contains(list)) else { return };
        let (with_x, with_y) = (&self.lists[chain[0]], &self.lists[*without]);
        // The second is not smaller and misses one, so it holds one that the first does not.
        let first: FxHashSet<Value> = with_x.values.iter().copied().collect();
        let Some(other) = with_y.values.iter().find(|value| !first.contains(value)) else { return };
        let y = self.elements[self.by_value[other]].add;
        let x = self.elements[element].add;
        let proof = Proof::Fork { x, y, with_x: with_x.id, with_y: with_y.id };
        self.push(findings, AnomalyKind::FlipFlop, with_x.id.max(with_y.id), proof);
    }

    /// Walks the groups with the running maximum of beginnings. `firsts` has for each element its
    /// first place in the chain.
    fn check_overtaking(
        &self,
        chain: &[usize],
        firsts: &[Option<usize>],
        findings: &mut Findings<Proof>,
    ) {
        // By first place: the adds. Those that nobody listed come last if they were acknowledged.
        let mut adds: Vec<Vec<usize>> = vec![Vec::new(); chain.len() + 1];
        for (element, first) in firsts.iter().enumerate() {
            match first {
                Some(place) => adds[*place].push(element),
                None if self.elements[element].end != NEVER => adds[chain.len()].push(element),
                None => {}
            }
        }
        // Lists of the same elements are one group, so an add is only compared with adds: every
        // pair with a list in it shows in one element, and was found there.
        let mut latest: Option<(Place, usize, usize)> = None;
        for (place, group) in adds.iter().enumerate() {
            for element in group {
                let Some((begin, second, list)) = latest else { break };
                if self.elements[*element].end < begin {
                    let first = self.elements[*element].add;
                    let (second, list) = (self.elements[second].add, self.lists[chain[list]].id);
                    let (kind, culprit) = match firsts[*element] {
                        Some(_) => (AnomalyKind::StaleRead, list),
                        None => (AnomalyKind::LostWrite, first),
                    };
                    let again = firsts[*element].map(|place| self.lists[chain[place]].id);
                    let proof = Proof::Skipped { first, second, list, again };
                    self.push(findings, kind, culprit, proof);
                }
            }
            for element in group {
                let begin = self.elements[*element].begin;
                if latest.is_none_or(|(latest, _, _)| begin > latest) {
                    latest = Some((begin, *element, place));
                }
            }
        }
    }

    fn push(
        &self,
        findings: &mut Findings<Proof>,
        kind: AnomalyKind,
        culprit: OperationId,
        proof: Proof,
    ) {
        let operations = proof.operations();
        let operation = |id: &OperationId| self.history.operation(*id);
        let first = operations.iter().map(|id| begin(operation(id))).min().unwrap_or(0);
        let last = operations.iter().map(|id| begin(operation(id))).max().unwrap_or(0);
        let rank = Rank { operations: operations.len() as u64, span: last - first };
        findings.push(Candidate { kind, culprit, rank, proof });
    }

    fn tell(&self, candidate: &Candidate<Proof>) -> Anomaly {
        let Candidate { kind, culprit, proof, .. } = *candidate;
        let mut operations = proof.operations();
        operations.sort_unstable();
        operations.dedup();
        let story = self.story(proof);
        let key = Key::new(story::set(&self.prefix));
        Anomaly { kind, key, culprit, operations, swaps: Vec::new(), story }
    }

    fn story(&self, proof: Proof) -> Vec<String> {
        let saw = |id| story::saw(self.history.operation(id));
        let told = |id, times| story::added(self.history.operation(id), &self.prefix, times);
        let added = |id| told(id, Shown::End);
        let later = |id| told(id, Shown::Both);
        let value = |id: OperationId| match &self.history.operation(id).op {
            Op::Write { value, .. } => value.to_string(),
            other => other.to_string(),
        };
        let sentence = match proof {
            Proof::Unwritten { list, value, failed: None } => {
                format!("{}, with {value}, which nobody ever added.", saw(list))
            }
            Proof::Unwritten { list, value, failed: Some(failed) } => {
                format!("{}; {}, with {value}.", added(failed), saw(list))
            }
            Proof::Twice { add, list } => {
                format!("{}; {}, with {} twice.", added(add), saw(list), value(add))
            }
            Proof::Early { add, list } => {
                format!("{}, with {}; only then {}.", saw(list), value(add), later(add))
            }
            // Who added it is a matter for the end: it may have been acknowledged later.
            Proof::Missing { add, known, absent, again: Some(again) } if known != add => {
                let value = value(add);
                return vec![
                    format!(
                        "{}, with {value}; then {}, without {value}; then {}, with it again.",
                        saw(known),
                        saw(absent),
                        saw(again)
                    ),
                    format!("{}; nothing is ever removed.", added(add)),
                ];
            }
            Proof::Missing { add, known, absent, again } => {
                let (mut text, value) = (added(add), value(add));
                if known != add {
                    text += &format!("; {}, with {value}", saw(known));
                }
                text += &format!("; {}, without {value}", saw(absent));
                match again {
                    Some(again) => text += &format!("; but {}, with it.", saw(again)),
                    None => text += ", and no later list has it.",
                }
                text
            }
            Proof::Fork { x, y, with_x, with_y } => format!(
                "{}, with {} but without {}; {}, with {} but without {}: neither can be the earlier one, since \
                 nothing is ever removed.",
                saw(with_x),
                value(x),
                value(y),
                saw(with_y),
                value(y),
                value(x)
            ),
            Proof::Skipped { first, second, list, .. } => format!(
                "{}; only then {}; {}, with {} but without {}.",
                added(first),
                later(second),
                saw(list),
                value(second),
                value(first)
            ),
        };
        vec![sentence]
    }
}

impl Proof {
    fn operations(self) -> Vec<OperationId> {
        match self {
            Proof::Unwritten { list, failed, .. } => failed.into_iter().chain([list]).collect(),
            Proof::Twice { add, list } | Proof::Early { add, list } => vec![add, list],
            Proof::Missing { add, known, absent, again } => {
                let mut operations = vec![add, absent];
                operations.extend(again);
                if known != add {
                    operations.push(known);
                }
                operations
            }
            Proof::Fork { x, y, with_x, with_y } => vec![x, y, with_x, with_y],
            Proof::Skipped { first, second, list, again } => {
                [first, second, list].into_iter().chain(again).collect()
            }
        }
    }
}
