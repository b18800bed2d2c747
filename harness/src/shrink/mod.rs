//! The smallest plan that still fails: a search that proposes plans and is told whether they fail.
//!
//! ```text
//!   faults: as far as the proof reaches, then delta debugging
//!     -> times closer together -> duration -> clients -> keys -> rate
//! ```
//!
//! The search is pure: it runs nothing, so it is tested against oracles, flaky ones too, and two
//! searches that get the same answers propose the same plans. That is how an interrupted one goes
//! on: its answers are given again. Carrying plans out and deciding whether they fail, which for
//! real processes is a matter of chance, is the work of the command and of [`Trial`].

mod bisect;
mod ddmin;
pub mod diary;
pub mod hints;
pub mod smaller;
#[cfg(test)]
mod tests;
mod trial;

use std::collections::VecDeque;

use splitbrain_reports::record::FaultId;

use crate::suite::plan::PlannedRun;
use crate::suite::units::Time;

use bisect::Bisect;
pub use ddmin::Ddmin;
pub use trial::Trial;

/// A plan to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The plan as it is to be run.
    pub plan: PlannedRun,
    /// What is smaller in it, in a few words, such as "faults 3 7".
    pub what: String,
}

/// A search for the smallest plan that fails.
#[derive(Clone, Debug)]
pub struct Search {
    /// The smallest plan known to fail. Its faults keep the numbers that they had at first.
    best: PlannedRun,
    pass: Pass,
    /// Parts of the faults to try first.
    hints: VecDeque<Vec<FaultId>>,
    /// Whether the load may end soon after the last fault.
    cut_tails: bool,
    open: Option<(PlannedRun, String)>,
}

/// What the search makes smaller at present, in this order.
#[derive(Clone, Debug)]
enum Pass {
    Tail,
    Hints,
    CloserBefore,
    Faults(Ddmin<FaultId>),
    CloserAfter,
    Duration(Bisect),
    Clients(Bisect),
    Keys(Bisect),
    Rate(Bisect),
    Over,
}

impl Search {
    /// A search from a plan that is known to fail. `hints` are parts of its faults that somebody
    /// has reason to suspect; each is tried before anything else, wrong ones cost one trial.
    pub fn new(plan: PlannedRun, hints: Vec<Vec<FaultId>>) -> Search {
        let hints = hints.into_iter().filter(|hint| hint.len() < plan.faults.len()).collect();
        Search { best: plan, pass: Pass::Tail, hints, cut_tails: true, open: None }
    }

    /// The smallest plan known to fail, as it is to be run.
    pub fn best(&self) -> PlannedRun {
        smaller::numbered(&self.best)
    }

    /// The next plan to try; `None` when nothing smaller is left to try. The same until it is
    /// answered.
    pub fn propose(&mut self) -> Option<Candidate> {
        while self.open.is_none() && !matches!(self.pass, Pass::Over) {
            self.open = self.smaller();
            if self.open.is_none() {
                self.pass = self.following();
            }
        }
        let (plan, what) = self.open.as_ref()?;
        Some(Candidate { plan: smaller::numbered(plan), what: what.clone() })
    }

    /// Says whether the proposed plan fails.
    pub fn answer(&mut self, fails: bool) {
        let Some((plan, _)) = self.open.take() else { return };
        match &mut self.pass {
            Pass::Tail => {
                self.cut_tails = fails;
                self.pass = Pass::Hints;
            }
            // The next hint may be a part of this one, but then delta debugging finds it.
            Pass::Hints if fails => self.hints.clear(),
            Pass::CloserBefore => self.pass = self.delta_debugging(&plan, fails),
            Pass::CloserAfter => {
                self.pass = Pass::Duration(duration_of(&self.or_best(&plan, fails)))
            }
            Pass::Faults(ddmin) => ddmin.answer(fails),
            Pass::Duration(bisect)
            | Pass::Clients(bisect)
            | Pass::Keys(bisect)
            | Pass::Rate(bisect) => bisect.answer(fails),
            Pass::Hints | Pass::Over => {}
        }
        if fails {
            self.best = plan;
        }
    }

    /// Something smaller within the present pass.
    fn smaller(&mut self) -> Option<(PlannedRun, String)> {
        let best = &self.best;
        match &mut self.pass {
            Pass::Tail => {
                let plan = smaller::without_tail(best);
                worth_it(best.duration, plan.duration)
                    .then(|| (plan.clone(), format!("load ends at {}", plan.duration)))
            }
            Pass::Hints => {
                let hint = self.hints.pop_front()?;
                let plan = self.with_faults(&hint);
                let plan = if self.cut_tails { smaller::closer(&plan) } else { plan };
                Some((plan, named(&hint)))
            }
            Pass::CloserBefore | Pass::CloserAfter => {
                let plan = smaller::closer(best);
                (self.cut_tails && worth_it(best.duration, plan.duration))
                    .then(|| (plan.clone(), format!("faults closer, load {}", plan.duration)))
            }
            Pass::Faults(ddmin) => {
                let faults = ddmin.propose()?;
                Some((self.with_faults(&faults), named(&faults)))
            }
            Pass::Duration(bisect) => {
                let millis = bisect.propose()?;
                let duration = Time::from_millis(u32::try_from(millis).unwrap_or(u32::MAX));
                Some((smaller::lasting(best, duration), format!("load {duration}")))
            }
            Pass::Clients(bisect) => {
                let clients = u16::try_from(bisect.propose()?).ok()?;
                Some((smaller::with_clients(best, clients), format!("{clients} clients")))
            }
            Pass::Keys(bisect) => {
                let keys = bisect.propose()?;
                Some((smaller::with_keys(best, keys)?, format!("{keys} keys")))
            }
            Pass::Rate(bisect) => {
                let rate = u32::try_from(bisect.propose()?).ok()?;
                Some((smaller::with_rate(best, rate), format!("{rate} operations/s")))
            }
            Pass::Over => None,
        }
    }

    /// The pass after the present one, which has nothing more to try.
    fn following(&self) -> Pass {
        let best = &self.best;
        match &self.pass {
            Pass::Tail => Pass::Hints,
            Pass::Hints => Pass::CloserBefore,
            Pass::CloserBefore => self.delta_debugging(best, true),
            Pass::Faults(_) => Pass::CloserAfter,
            Pass::CloserAfter => Pass::Duration(duration_of(best)),
            Pass::Duration(_) => Pass::Clients(Bisect::new(1, best.clients.into())),
            Pass::Clients(_) => Pass::Keys(Bisect::new(1, smaller::keys(best).unwrap_or(1))),
            // As fast as they can is no number to halve.
            Pass::Keys(_) => {
                let rate = best.rate.per_second().unwrap_or(1);
                Pass::Rate(Bisect::new(1, rate.into()))
            }
            Pass::Rate(_) | Pass::Over => Pass::Over,
        }
    }

    fn delta_debugging(&self, plan: &PlannedRun, fails: bool) -> Pass {
        let plan = self.or_best(plan, fails);
        Pass::Faults(Ddmin::new(plan.faults.iter().map(|fault| fault.id).collect()))
    }

    fn or_best(&self, plan: &PlannedRun, fails: bool) -> PlannedRun {
        if fails { plan.clone() } else { self.best.clone() }
    }

    fn with_faults(&self, faults: &[FaultId]) -> PlannedRun {
        let plan = smaller::keep(&self.best, faults);
        if self.cut_tails { smaller::without_tail(&plan) } else { plan }
    }
}

fn duration_of(plan: &PlannedRun) -> Bisect {
    Bisect::new(smaller::shortest(plan).as_millis().into(), plan.duration.as_millis().into())
}

/// Whether a shorter load saves enough to be worth a trial: a tenth.
fn worth_it(before: Time, after: Time) -> bool {
    u64::from(after.as_millis()) * 10 <= u64::from(before.as_millis()) * 9
}

fn named(faults: &[FaultId]) -> String {
    match faults {
        [] => "no faults".to_string(),
        faults => {
            let names: Vec<String> = faults.iter().map(|fault| fault.0.to_string()).collect();
            format!("fault{} {}", if names.len() == 1 { "" } else { "s" }, names.join(" "))
        }
    }
}
