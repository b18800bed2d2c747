//! The few calls of a counterexample: calls are left out as long as the rest stays impossible, and
//! as long as leaving one out proves as much as before.
//!
//! That second condition is what makes the rest a proof. Leaving out a write can make a read
//! impossible that was not. So a call is left out only if a legal order of all would be a legal
//! order of the rest:
//!
//! - it only looks; or
//! - it explains no answer of the rest, see [`Model::explains`] (where states have names, this leaves
//!   out nearly all of a long history at once); or
//! - whatever it explains began after another call had overwritten it.
//!
//! The last call that can explain an answer stays, so that an answer that is wrong does not look
//! like one that came out of nowhere. What is left is minimal among these: without any one more,
//! the rest is possible, or no longer says why.

use rustc_hash::FxHashSet;

use super::search::{asked, search, search_plainly};
use super::{Budget, Decision, Refusal};
use crate::model::{CallOf, Model};

/// The calls of a counterexample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Core {
    /// Their indices, by order of beginning.
    pub calls: Vec<usize>,
    /// Why no order of them exists; its indices are of all calls.
    pub refusal: Refusal,
    /// Calls that end after this place count as never answered in this counterexample: what would
    /// explain their answers may come later and is no part of it.
    pub until: u64,
    /// Whether it was tried to leave out each of them. A long one would take too long.
    pub is_minimal: bool,
}

/// How many calls are looked at, over all attempts: about a second of work.
const EFFORT_MAX: usize = 2_000_000;

/// Makes the counterexample of calls that [`super::decide`] called impossible.
///
/// # Panics
///
/// If the refusal is not of these calls.
pub fn core<M: Model + ?Sized>(model: &M, calls: &[CallOf<M>], refusal: &Refusal) -> Core {
    let part = model.part(&calls[refusal.refused].input);
    let mut kept: Vec<usize> =
        (0..calls.len()).filter(|index| model.part(&calls[*index].input) == part).collect();
    kept.sort_by_key(|index| calls[*index].began);
    let mut cut = Cut { model, calls: calls.to_vec(), effort: 0, refusal: refusal.clone() };
    let until = cut.after(&mut kept);
    cut.near(&mut kept);
    let is_minimal = cut.looks(&mut kept) && cut.one_by_one(&mut kept);
    let told = search_plainly(model, &cut.calls, &kept, EXPLAINED);
    let refusal = if let Decision::Impossible(refusal) = told { refusal } else { cut.refusal };
    Core { calls: kept, refusal, until, is_minimal }
}

/// So many calls that ended right before a refusal are asked what state there was.
const RECENT_MAX: usize = 8;

/// What takes longer to search than this is no explanation.
const EXPLAINED: Budget = Budget { at_once: 20_000, in_all: 100_000 };

struct Cut<'m, M: Model + ?Sized> {
    model: &'m M,
    calls: Vec<CallOf<M>>,
    effort: usize,
    refusal: Refusal,
}

impl<M: Model + ?Sized> Cut<'_, M> {
    /// Whether no order of these exists; then it remembers why.
    fn is_impossible(&mut self, kept: &[usize]) -> bool {
        self.effort += kept.len();
        match search(self.model, &self.calls, kept, EXPLAINED) {
            Decision::Impossible(refusal) => {
                self.refusal = refusal;
                true
            }
            Decision::Possible | Decision::Undecided(_) => false,
        }
    }

    /// Leaves out what begins after the refusal. What is still open there is then no longer obliged
    /// to end, as what explains it may have been left out. Gives the place of the cut.
    fn after(&mut self, kept: &mut Vec<usize>) -> u64 {
        let end = self.calls[self.refusal.refused].ended.unwrap_or(u64::MAX);
        let before = self.calls.clone();
        let is_before = |index: &usize| before[*index].began <= end;
        let mut shorter: Vec<usize> = kept.iter().copied().filter(is_before).collect();
        shorter.retain(|index| {
            let call = &mut self.calls[*index];
            if call.ended.is_some_and(|ended| ended > end) {
                call.ended = None;
            }
            call.ended.is_some() || !self.model.only_looks(&call.input, None)
        });
        if self.is_impossible(&shorter) {
            *kept = shorter;
            return end;
        }
        // A model may rule out more by the answers of open calls.
        self.calls = before;
        u64::MAX
    }

    /// Keeps only the calls of two states, if they do: the one that was seen, and one that was there
    /// shortly before; and of each state that is needed, all that make it. What is left out then
    /// explains no answer of the rest. Without this a long history would be looked at again and again.
    fn near(&mut self, kept: &mut Vec<usize>) {
        let asked_of = |index: &usize| asked::<M>(&self.calls[*index]);
        let needs = |index: &usize| self.model.needs(asked_of(index).0, asked_of(index).1);
        let makes = |index: &usize| self.model.makes(asked_of(index).0, asked_of(index).1);
        let Some(seen) = needs(&self.refusal.refused).filter(|_| self.model.names_states()) else {
            return;
        };
        let began = self.calls[self.refusal.refused].began;
        let mut recent: Vec<(u64, usize)> = kept
            .iter()
            .filter_map(|index| Some((self.calls[*index].ended?, *index)))
            .filter(|(ended, _)| *ended < began)
            .collect();
        recent.sort_unstable();
        let others = recent.iter().rev().take(RECENT_MAX).map(|(_, index)| index);
        let others: Vec<M::State> =
            others.flat_map(|index| [needs(index), makes(index)]).flatten().collect();
        let mut parts: Vec<Vec<usize>> = Vec::new();
        for other in std::iter::once(None).chain(others.iter().map(Some)) {
            let is_of = |state: &Option<M::State>| {
                state.as_ref().is_some_and(|state| *state == seen || Some(state) == other)
            };
            let mut part: FxHashSet<usize> = kept
                .iter()
                .filter(|index| is_of(&needs(index)) || is_of(&makes(index)))
                .copied()
                .collect();
            let mut states: FxHashSet<M::State> = FxHashSet::default();
            loop {
                let before = states.len();
                states.extend(part.iter().filter_map(needs));
                if states.len() == before {
                    break;
                }
                let is_maker = |index: &&usize| makes(index).is_some_and(|it| states.contains(&it));
                part.extend(kept.iter().filter(is_maker));
            }
            parts.push(kept.iter().copied().filter(|index| part.contains(index)).collect());
        }
        for part in parts {
            if part.len() < kept.len() && self.is_impossible(&part) {
                *kept = part;
                return;
            }
        }
    }

    /// Leaves out calls that only look, many at once where that is possible.
    fn looks(&mut self, kept: &mut Vec<usize>) -> bool {
        let only_looks = |cut: &Self, index: usize| {
            let (input, output) = asked::<M>(&cut.calls[index]);
            cut.model.only_looks(input, output)
        };
        let mut size = kept.len();
        while size > 0 {
            let looking: Vec<usize> =
                kept.iter().copied().filter(|index| only_looks(self, *index)).collect();
            for chunk in looking.chunks(size) {
                if self.effort > EFFORT_MAX {
                    return false;
                }
                let gone: FxHashSet<usize> = chunk.iter().copied().collect();
                let rest: Vec<usize> =
                    kept.iter().copied().filter(|index| !gone.contains(index)).collect();
                if self.is_impossible(&rest) {
                    *kept = rest;
                }
            }
            size /= 2;
        }
        true
    }

    /// Leaves out single calls until no more can be.
    fn one_by_one(&mut self, kept: &mut Vec<usize>) -> bool {
        loop {
            let before = kept.len();
            let mut at = 0;
            while at < kept.len() {
                if self.effort > EFFORT_MAX {
                    return false;
                }
                self.effort += kept.len();
                if self.may_go(kept, kept[at]) {
                    let mut rest = kept.clone();
                    rest.remove(at);
                    if self.is_impossible(&rest) {
                        *kept = rest;
                        continue;
                    }
                }
                at += 1;
            }
            if kept.len() == before {
                return true;
            }
        }
    }

    /// Whether a legal order of the kept is one of the others.
    fn may_go(&self, kept: &[usize], index: usize) -> bool {
        let call = &self.calls[index];
        let cause = asked::<M>(call);
        if self.model.only_looks(cause.0, cause.1) {
            return true;
        }
        let others = || kept.iter().copied().filter(|other| *other != index);
        let overwritten = call.ended.and_then(|ended| {
            others()
                .map(|other| &self.calls[other])
                .filter(|other| other.began > ended && other.ended.is_some())
                .filter(|other| self.model.overwrites(&other.input, other.output.as_ref()))
                .filter_map(|other| other.ended)
                .min()
        });
        others().all(|other| {
            let seen = asked::<M>(&self.calls[other]);
            if !self.model.explains(cause, seen) {
                return true;
            }
            let is_late = overwritten.is_some_and(|place| place < self.calls[other].began);
            is_late
                && others()
                    .filter(|third| *third != other)
                    .any(|third| self.model.explains(asked::<M>(&self.calls[third]), seen))
        })
    }
}
