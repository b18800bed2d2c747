//! Plans drawn at random, with a liking for those that led the cluster where it had not been.
//!
//! ```text
//!   draw a plan, or change one that reached something new  ->  run it  ->  states it passed through
//!        ^                                                                       |
//!        +--------------- those never seen before make it worth changing <-------+
//! ```
//!
//! What a fuzzer does with the branches of a program (Zalewski's AFL is the best known), done with
//! the states of a cluster: roles, epochs, elections, positions in the log and what was cut from
//! it, as [`states`](crate::run::states) puts them in words. The search is pure: it runs nothing,
//! and the same answers lead it to the same plans. Carrying plans out is the work of the command.

pub mod diary;
mod draw;
mod palette;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use rand::RngExt;
use splitbrain_workloads::seed::Seed;

pub use palette::palette;

use crate::nemesis::AnyFault;
use crate::suite::plan::{PlannedFault, PlannedRun};

/// Of ten plans so many are changes of one that reached something new; the others are drawn afresh,
/// or the search would never leave the neighborhood of its first finds.
const CHANGED_OF_TEN: u32 = 7;

/// A search through plans.
#[derive(Clone, Debug)]
pub struct Search {
    /// Target, workload and load of every plan, without faults.
    base: PlannedRun,
    palette: Vec<AnyFault>,
    seed: Seed,
    /// The states that were reached, each with the number of the run that was first there.
    reached: BTreeMap<String, u64>,
    /// The plans that reached something new.
    kept: Vec<Kept>,
    runs: u64,
}

/// A plan that reached something new.
#[derive(Clone, Debug)]
struct Kept {
    faults: Vec<PlannedFault>,
    /// How many states were new.
    new: usize,
}

impl Search {
    /// A search of plans like this one, with faults of the palette in place of its own.
    ///
    /// # Panics
    ///
    /// Without a fault in the palette.
    pub fn new(base: PlannedRun, palette: Vec<AnyFault>, seed: Seed) -> Search {
        assert!(!palette.is_empty(), "a search needs faults to draw");
        let base = PlannedRun { faults: Vec::new(), ..base };
        Search { base, palette, seed, reached: BTreeMap::new(), kept: Vec::new(), runs: 0 }
    }

    /// The plan of the run with this number, counted from one, from what has been learned so far.
    pub fn propose(&self, number: u64) -> PlannedRun {
        let name = format!("explored-{number:04}");
        let seed = self.seed.child(&name);
        let mut rng = seed.stream("explore");
        let new: usize = self.kept.iter().map(|kept| kept.new).sum();
        let faults = if new > 0 && rng.random_range(0..10) < CHANGED_OF_TEN {
            // The more a plan has shown, the likelier it is to show more.
            let mut drawn = rng.random_range(0..new);
            let kept = self.kept.iter().find(|kept| {
                let is_it = drawn < kept.new;
                drawn = drawn.saturating_sub(kept.new);
                is_it
            });
            let faults = kept.map(|kept| kept.faults.clone()).unwrap_or_default();
            draw::changed(&self.base, &self.palette, faults, &mut rng)
        } else {
            draw::fresh(&self.base, &self.palette, &mut rng)
        };
        PlannedRun { name, seed, faults: draw::in_order(&self.base, faults), ..self.base.clone() }
    }

    /// Learns which states a plan has led to; those that were new, in order.
    pub fn learn(&mut self, plan: &PlannedRun, states: &[String]) -> Vec<String> {
        self.runs += 1;
        let mut new = Vec::new();
        for state in states {
            if !self.reached.contains_key(state) {
                self.reached.insert(state.clone(), self.runs);
                new.push(state.clone());
            }
        }
        if !new.is_empty() {
            self.kept.push(Kept { faults: plan.faults.clone(), new: new.len() });
        }
        new
    }

    /// How many states were reached.
    pub fn states(&self) -> usize {
        self.reached.len()
    }

    /// How many plans were learned from.
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// The run that was the last to reach something new.
    pub fn last_new(&self) -> Option<u64> {
        self.reached.values().max().copied()
    }

    /// The states by what they say of elections and roles, with how many there are of each.
    pub fn summary(&self) -> BTreeMap<String, usize> {
        let mut summary = BTreeMap::new();
        for state in self.reached.keys() {
            *summary.entry(crate::run::states::roles_of(state)).or_default() += 1;
        }
        summary
    }
}
