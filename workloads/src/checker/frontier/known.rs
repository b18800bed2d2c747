//! What the answers of all calls say about single states, before the search walks along them: who
//! needs a state, whether it comes but once, and which calls would rather have another one.
//!
//! It is asked of models whose states are named by the calls that make them, such as registers
//! ([`Model::names_states`]), and cuts a long history into windows: where a state comes but once and
//! somebody who begins later needs it, there is nothing to choose. What is left to be searched lies
//! between such places. `search` says why each use loses no order. Called by `search` alone.

use rustc_hash::{FxHashMap, FxHashSet};

use super::search::asked;
use crate::checker::plants::{Plant, is_planted};
use crate::model::{CallOf, Model};

/// So many calls are looked at to find an excuse for one that avoids a state.
const EXCUSES_MAX: usize = 64;

/// What is known of the states of one part.
pub(super) struct Known<M: Model + ?Sized> {
    states: FxHashMap<M::State, About>,
    /// The calls that may need a write of unknown outcome, or one that nobody needs, to be answered as
    /// they were: each with its end and, of it and all that end later, the first place at which the
    /// state that it avoids can be there. By their ends.
    avoiding: Vec<(u64, u64)>,
    hazards: FxHashSet<usize>,
    /// The states that those avoid.
    avoided: FxHashSet<M::State>,
}

/// What is known of one state.
#[derive(Default)]
struct About {
    /// How often it may come; the beginning counts.
    times: usize,
    /// From when on it can be there.
    from: u64,
    /// The answered calls that need it, by their ends.
    needed_by: Vec<(u64, usize)>,
    /// The last beginning of those.
    last_begin: u64,
    /// Whether a call that makes another state of it needs it, or would if it took effect.
    is_stepped_on: bool,
    /// From when to when it is certainly there if it comes but once, if the first is the smaller.
    zone: Option<(u64, u64)>,
}

impl<M: Model + ?Sized> Default for Known<M> {
    /// Nothing.
    fn default() -> Self {
        Known {
            states: FxHashMap::default(),
            avoiding: Vec::new(),
            hazards: FxHashSet::default(),
            avoided: FxHashSet::default(),
        }
    }
}

impl<M: Model + ?Sized> Known<M> {
    pub(super) fn of(model: &M, calls: &[CallOf<M>], part: &[usize]) -> Self {
        let mut known = Known::default();
        if !model.names_states() {
            return known;
        }
        known.states.insert(model.initial(), About { times: 1, ..About::default() });
        for index in part.iter().copied() {
            known.take(model, calls, index);
        }
        for about in known.states.values_mut() {
            about.needed_by.sort_unstable();
        }
        known.find_hazards(model, calls, part);
        known
    }

    fn take(&mut self, model: &M, calls: &[CallOf<M>], index: usize) {
        let call = &calls[index];
        let (input, output) = asked::<M>(call);
        let touched = |about: &mut About| {
            let Some(end) = call.ended else { return };
            let (first_end, last_begin) = about.zone.unwrap_or((u64::MAX, 0));
            about.zone = Some((first_end.min(end), last_begin.max(call.began)));
        };
        let made = model.makes(input, output);
        if let Some(state) = model.needs(input, output) {
            let about = self.states.entry(state).or_insert_with(About::unmade);
            about.is_stepped_on |= made.is_some();
            if let Some(end) = call.ended {
                about.needed_by.push((end, index));
                about.last_begin = about.last_begin.max(call.began);
            }
            touched(about);
        }
        if let Some(state) = made {
            let about = self.states.entry(state).or_insert_with(About::unmade);
            about.times += 1;
            about.from = about.from.min(call.began);
            touched(about);
        }
    }

    /// Finds the calls that avoid a state and of which it is not clear that they can.
    fn find_hazards(&mut self, model: &M, calls: &[CallOf<M>], part: &[usize]) {
        let mut makers: Vec<(u64, u64, usize)> = Vec::new();
        let mut avoiders = Vec::new();
        for index in part.iter().copied() {
            let (Some(end), began) = (calls[index].ended, calls[index].began) else { continue };
            let (input, output) = asked::<M>(&calls[index]);
            if let Some(state) = model.avoids(input, output) {
                avoiders.push((began, end, index, state));
            } else if model.makes(input, output).is_some() {
                makers.push((began, end, index));
            }
        }
        if avoiders.is_empty() {
            return;
        }
        let mut zones: Vec<(u64, u64, &M::State)> = Vec::new();
        for (state, about) in self.states.iter().filter(|(_, about)| about.times == 1) {
            zones.extend(about.zone.filter(|zone| zone.0 < zone.1).map(|it| (it.0, it.1, state)));
        }
        zones.sort_unstable_by_key(|zone| zone.0);
        for (began, end, index, state) in avoiders {
            let from = match self.states.get(&state) {
                Some(about) if about.times > 0 => about.from,
                // It is never there.
                _ => continue,
            };
            // Another state is certainly there while it is open; or comes while it is.
            let earlier = zones.partition_point(|zone| zone.0 < end);
            let mut near = zones[..earlier].iter().rev().take(EXCUSES_MAX);
            let is_excused = near
                .any(|zone| *zone.2 != state && zone.0.max(began) < zone.1.min(end))
                || makers[makers.partition_point(|it| it.0 < began)..]
                    .iter()
                    .take_while(|it| it.0 <= end)
                    .take(EXCUSES_MAX)
                    .filter(|it| it.1 <= end)
                    .any(|it| {
                        let (input, output) = asked::<M>(&calls[it.2]);
                        model.makes(input, output).is_some_and(|made| made != state)
                    });
            if !is_excused {
                self.hazards.insert(index);
                self.avoiding.push((end, from));
                self.avoided.insert(state);
            }
        }
        self.avoiding.sort_unstable();
        let mut first = u64::MAX;
        for (_, from) in self.avoiding.iter_mut().rev() {
            first = first.min(*from);
            *from = first;
        }
    }

    /// The first of the calls that need a state which has not taken effect, if the state comes but
    /// once: it must not be left before. With its end.
    pub(super) fn holding(
        &self,
        state: &M::State,
        now: u64,
        is_done: impl Fn(usize) -> bool,
    ) -> Option<(u64, usize)> {
        let about = self.states.get(state);
        let about = about.filter(|about| about.times == 1 || is_planted(Plant::HoldsForGood))?;
        let ended = about.needed_by.partition_point(|needer| needer.0 < now);
        about.needed_by[ended..].iter().find(|needer| !is_done(needer.1)).copied()
    }

    /// Whether all who need a state have begun, none of them makes another one of it, and nobody who
    /// might miss it is near: then it may come and go at once. `end` is that of the call that makes it.
    pub(super) fn may_pass(&self, state: &M::State, now: u64, end: u64) -> bool {
        let later = self.avoiding.partition_point(|avoiding| avoiding.0 < now);
        let is_missed = self.avoiding.get(later).is_some_and(|(_, from)| *from <= end);
        self.states.get(state).is_some_and(|about| {
            about.last_begin <= now
                && !about.is_stepped_on
                && (!is_missed || is_planted(Plant::PassesUnmissed))
        })
    }

    /// Whether nobody needs a state, which could then only be there for a call that avoids another.
    pub(super) fn is_idle(&self, state: &M::State) -> bool {
        let about = self.states.get(state);
        about.is_some_and(|about| about.needed_by.is_empty() && !about.is_stepped_on)
    }

    /// Whether somebody avoids a state of whom it is not clear that they can.
    pub(super) fn is_avoided(&self, state: &M::State) -> bool {
        self.avoided.contains(state)
    }

    /// Whether it is not clear that a call can avoid the state that it avoids.
    pub(super) fn is_hazard(&self, call: usize) -> bool {
        self.hazards.contains(&call)
    }
}

impl About {
    /// Of a state that nobody makes, as far as is known.
    fn unmade() -> About {
        About { from: u64::MAX, ..About::default() }
    }
}
