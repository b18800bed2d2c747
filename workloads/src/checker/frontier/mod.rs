//! The general checker: whether some order of overlapping calls is one that a model allows.
//!
//! It decides what the near-linear checkers cannot: values that repeat, deletes, refusals that do
//! not say what was seen, and any [`Model`]. The question is NP-complete, so it searches, but it
//! searches just in time (G. Lowe, "Testing for linearizability", Concurrency and Computation 29,
//! 2017): it walks along the events and keeps the set of *configurations*, each a state together
//! with the open calls that have taken effect. Only the end of a call forces anything: it must have
//! taken effect by then. Three things keep that set small; `search` says why they lose nothing:
//!
//! - calls that were never answered are pooled by what they ask, and only counted;
//! - of two configurations that differ in those counts alone, the one that used fewer stays;
//! - calls that only look take effect as soon as they can.
//!
//! Nothing is kept that grows with the history but the calls themselves. The search is bounded by a
//! [`Budget`] of configurations, not of seconds, so that a verdict is the same on every machine;
//! beyond it the answer is [`Decision::Undecided`].
//!
//! [`core`] then makes the few calls of a counterexample. Independent parts, such as the keys of a
//! map, are judged one by one (M. Herlihy and J. Wing, "Linearizability", 1990).

mod configuration;
mod core;
mod known;
mod search;
#[cfg(test)]
pub(super) mod tests;

use rustc_hash::FxHashMap;

use crate::model::{CallOf, Model};
use crate::operation::Key;

pub use self::core::{Core, core};

/// How much is searched before the answer is [`Decision::Undecided`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How many configurations may be held for the end of one call. This bounds the memory: one
    /// takes about a hundred bytes, more if many calls were never answered.
    pub at_once: usize,
    /// How many configurations may be visited from one place at which there is only one to the next.
    /// This bounds the time for such a window: a million takes about a second.
    pub in_all: u64,
}

impl Default for Budget {
    /// Some hundred megabytes and, per window, some ten seconds.
    fn default() -> Self {
        Budget { at_once: 1_000_000, in_all: 10_000_000 }
    }
}

/// More calls than this open at once are not judged: a set of open calls is one machine word, and
/// nobody could wait for an answer about so many that matter.
pub const OPEN_MAX: usize = 128;

/// What the search says of some calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// An order exists.
    Possible,
    /// No order exists.
    Impossible(Refusal),
    /// It was not found out within the budget.
    Undecided(Overrun),
}

/// Where the search came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The call that could not have taken effect before it ended, by its index.
    pub refused: usize,
    /// The last place at which nothing was open and the state was certain, and that state. Of the
    /// calls that ended before, only those that were never answered matter. `None` is the beginning.
    pub since: Option<(u64, String)>,
    /// The states in which it could have found things, and why each does not do: at most
    /// [`Refusal::STATES_MAX`].
    pub last: Vec<LastState>,
    /// How many states there were, listed or not.
    pub states: usize,
}

impl Refusal {
    /// How many of the last states are listed. More would be no explanation.
    pub const STATES_MAX: usize = 8;
}

/// One of the last states, and the open calls that could not have taken effect in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastState {
    /// The state, for people.
    pub state: String,
    /// The calls, by index, that are not answered so in this state.
    pub refuses: Vec<usize>,
}

/// Why nothing was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overrun {
    /// Before this place, all is explained; there was one configuration there.
    pub from: u64,
    /// The search gave up here.
    pub to: u64,
    /// Why.
    pub why: String,
}

/// Judges calls, in any order, part by part. Takes time in proportion to their number where few are
/// open at once, and exponential in the number of those that are open at once and change the state,
/// up to the budget. Calls of which one ends before it began are undecided.
pub fn decide<M: Model + ?Sized>(model: &M, calls: &[CallOf<M>], budget: Budget) -> Decision {
    if let Some(overrun) = backwards::<M>(calls) {
        return Decision::Undecided(overrun);
    }
    let mut undecided = None;
    for part in parts(model, calls) {
        match search::search(model, calls, &part, budget) {
            Decision::Possible => {}
            Decision::Undecided(overrun) => {
                undecided.get_or_insert(overrun);
            }
            impossible @ Decision::Impossible(_) => return impossible,
        }
    }
    undecided.map_or(Decision::Possible, Decision::Undecided)
}

/// An order of the calls that explains every answer, part by part. Takes memory for each step of the
/// search. `replay` says whether it is one.
///
/// # Errors
///
/// Any other decision than [`Decision::Possible`].
pub fn witness<M: Model + ?Sized>(
    model: &M,
    calls: &[CallOf<M>],
    budget: Budget,
) -> Result<Vec<Vec<usize>>, Box<Decision>> {
    if let Some(overrun) = backwards::<M>(calls) {
        return Err(Box::new(Decision::Undecided(overrun)));
    }
    parts(model, calls).iter().map(|part| search::order(model, calls, part, budget)).collect()
}

/// The first call that ends before it began: no order can be asked of such.
fn backwards<M: Model + ?Sized>(calls: &[CallOf<M>]) -> Option<Overrun> {
    let is_backwards = |call: &CallOf<M>| call.ended.is_some_and(|ended| ended < call.began);
    let index = calls.iter().position(is_backwards)?;
    let (from, to) = (calls[index].ended.unwrap_or_default(), calls[index].began);
    let why = format!("call {index}, which ended at {from}, before it began at {to}");
    Some(Overrun { from, to, why })
}

/// The indices of the calls of each part, by order of their beginnings; parts by first use.
pub fn parts<M: Model + ?Sized>(model: &M, calls: &[CallOf<M>]) -> Vec<Vec<usize>> {
    let mut places: FxHashMap<Option<&Key>, usize> = FxHashMap::default();
    let mut parts: Vec<Vec<usize>> = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let place = *places.entry(model.part(&call.input)).or_insert_with(|| {
            parts.push(Vec::new());
            parts.len() - 1
        });
        parts[place].push(index);
    }
    for part in &mut parts {
        part.sort_by_key(|index| calls[*index].began);
    }
    parts
}
