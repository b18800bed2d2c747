//! What the search may believe at one moment, and the set of all of that: a state, the open calls
//! that took effect, and how many never-answered calls of each class that took.
//!
//! The set keeps only the best: of two configurations with the same state and the same calls, one
//! that used no more of any class can do whatever the other can, since a never-answered call is
//! never obliged to happen. `search` fills and walks it.

use rustc_hash::FxHashMap;

use crate::checker::plants::{Plant, is_planted};

/// Index of a state of the model.
pub(super) type StateId = u32;

/// Index of a class: never-answered calls that ask the same.
pub(super) type ClassId = u32;

/// Some of the open calls, by their slots.
pub(super) type Slots = u128;

/// The classes of the never-answered calls that took effect, sorted, one entry for each call.
pub(super) type Used = Vec<ClassId>;

/// One thing that may be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Configuration {
    pub(super) state: StateId,
    /// Open calls that took effect.
    pub(super) done: Slots,
    pub(super) used: Used,
    /// How it was reached, if that is written down.
    pub(super) trail: Trail,
}

/// The last step on the way to a configuration, as an index of [`Steps`]; zero is none.
pub(super) type Trail = u32;

/// The steps on the way to all configurations, each with the one before it and the index of its call.
/// Grows with the history and with the search, so it is written down only for whoever asks.
#[derive(Debug, Default)]
pub(super) struct Steps(Option<Vec<(Trail, usize)>>);

impl Steps {
    /// Steps that are written down.
    pub(super) fn written() -> Self {
        // So that no step has the index zero.
        Steps(Some(vec![(0, usize::MAX)]))
    }

    /// One more step.
    #[inline]
    pub(super) fn push(&mut self, before: Trail, call: usize) -> Trail {
        let Some(steps) = &mut self.0 else { return 0 };
        steps.push((before, call));
        Trail::try_from(steps.len() - 1).unwrap_or(0)
    }

    /// The calls on the way to a configuration, the first one first.
    pub(super) fn calls(&self, mut trail: Trail) -> Vec<usize> {
        let mut calls = Vec::new();
        while let Some((before, call)) = self.0.as_ref().and_then(|steps| steps.get(trail as usize))
            && trail != 0
        {
            calls.push(*call);
            trail = *before;
        }
        calls.reverse();
        calls
    }
}

/// Configurations of which none is worse than another.
#[derive(Debug, Default)]
pub(super) struct Frontier {
    best: FxHashMap<(StateId, Slots), Vec<(Used, Trail)>>,
    len: usize,
}

impl Frontier {
    /// Takes a configuration in, unless one that is as good is there. Whether it did.
    pub(super) fn insert(&mut self, configuration: &Configuration) -> bool {
        let uses = self.best.entry((configuration.state, configuration.done)).or_default();
        if uses.iter().any(|(used, _)| is_part(used, &configuration.used)) {
            return false;
        }
        let before = uses.len();
        uses.retain(|(used, _)| !is_part(&configuration.used, used));
        uses.push((configuration.used.clone(), configuration.trail));
        self.len = self.len + uses.len() - before;
        true
    }

    /// Whether it still is there, and has not been replaced by a better one.
    pub(super) fn contains(&self, configuration: &Configuration) -> bool {
        self.best
            .get(&(configuration.state, configuration.done))
            .is_some_and(|uses| uses.iter().any(|(used, _)| *used == configuration.used))
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The states of all configurations, each once, in order.
    pub(super) fn states(&self) -> Vec<StateId> {
        let mut states: Vec<StateId> = self.best.keys().map(|(state, _)| *state).collect();
        states.sort_unstable();
        states.dedup();
        states
    }

    pub(super) fn into_configurations(self) -> Vec<Configuration> {
        let mut all = Vec::with_capacity(self.len);
        for ((state, done), uses) in self.best {
            all.extend(uses.into_iter().map(|(used, trail)| Configuration {
                state,
                done,
                used,
                trail,
            }));
        }
        // The order of a hash map is not the same on every machine; that of a verdict must be.
        all.sort_unstable_by(|a, b| (a.state, a.done, &a.used).cmp(&(b.state, b.done, &b.used)));
        all
    }
}

/// Whether each class is in `small` no more often than in `large`; both are sorted.
fn is_part(small: &[ClassId], large: &[ClassId]) -> bool {
    let (small, large) =
        if is_planted(Plant::KeepsTheWorse) { (large, small) } else { (small, large) };
    if small.len() > large.len() {
        return false;
    }
    let mut large = large.iter();
    small.iter().all(|class| large.any(|other| other == class))
}

/// What all configurations have used, as often as all have.
pub(super) fn shared(configurations: &[Configuration]) -> Used {
    let Some((first, others)) = configurations.split_first() else { return Vec::new() };
    let mut shared = first.used.clone();
    for other in others {
        if shared.is_empty() {
            break;
        }
        let mut rest = other.used.as_slice();
        shared.retain(|class| {
            let at = rest.partition_point(|other| other < class);
            let is_there = rest.get(at) == Some(class);
            rest = &rest[at + usize::from(is_there)..];
            is_there
        });
    }
    shared
}

/// Takes what is shared out of what was used.
pub(super) fn without(used: &[ClassId], shared: &[ClassId]) -> Used {
    let mut shared = shared.iter().peekable();
    used.iter().filter(|class| shared.next_if(|other| other == class).is_none()).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(used: &[ClassId]) -> Configuration {
        Configuration { state: 1, done: 0, used: used.to_vec(), trail: 0 }
    }

    #[test]
    fn the_configuration_that_used_fewer_stays() {
        let mut frontier = Frontier::default();
        assert!(frontier.insert(&configuration(&[1, 2, 2])));
        assert!(!frontier.insert(&configuration(&[1, 2, 2, 3])));
        assert!(frontier.insert(&configuration(&[1, 1])), "neither is a part of the other");
        assert!(frontier.insert(&configuration(&[2])));
        assert_eq!(frontier.len(), 2);
        assert!(!frontier.contains(&configuration(&[1, 2, 2])));
    }

    #[test]
    fn what_all_have_used_is_taken_out_as_often_as_all_have() {
        let all = [configuration(&[1, 2, 2, 5]), configuration(&[2, 2, 5, 7]), configuration(&[2])];
        assert_eq!(shared(&all[..2]), [2, 2, 5]);
        assert_eq!(shared(&all), [2]);
        assert_eq!(without(&[1, 2, 2, 5], &[2, 5]), [1, 2]);
    }
}
