//! How a suite compares with an earlier one: did it get slower, or serve less?
//!
//! Compared are the proofs of both suites by name, and only when they asked for the same: the same
//! target, workload, clients, rate and timeout, and loads of about the same length. A canary is
//! weak on purpose, and what supports it proves nothing of a release.
//!
//! Definitions: *availability* is the operations that succeeded of all that arrived, those
//! included that found no free client. *Recovery* is the longest time from the heal of a fault to
//! the first success at every node, *unavailability* the longest stretch without a successful
//! write, over the faults of a run. *p99* is that of the kind of operation with the largest.

use splitbrain_workloads::history::Micros;

use crate::record::{Part, RunRecord, SuiteRecord};
use crate::units;

/// By how much a run may be worse than before. Runs of one build differ: on a busy machine of two
/// processors recovery and p99 have been seen to differ by a third.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tolerance {
    /// Points of a percent by which the availability may be lower.
    pub availability: u32,
    /// Percent by which a time may be longer.
    pub times: u32,
}

impl Default for Tolerance {
    fn default() -> Self {
        Tolerance { availability: 5, times: 50 }
    }
}

/// Recovery and unavailability are differences between samples of a status; a longer one counts
/// only when it is longer by this, too.
const LEAST_OUTAGE: Micros = Micros(500_000);

/// A p99 of a few milliseconds doubles when somebody compiles; a longer one counts only when it is
/// longer by this, too.
const LEAST_LATENCY: Micros = Micros(20_000);

/// How much shorter or longer, in percent, a load may be than the one it is compared with.
const LOAD: u64 = 10;

/// How one number compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not worse than tolerated.
    Held,
    /// Worse than tolerated.
    Worse,
    /// One of the two runs has none.
    NotMeasured,
}

/// One number of one run, then and now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// The run's name.
    pub run: String,
    /// What is measured.
    pub measure: &'static str,
    /// Then, in words.
    pub then: String,
    /// Now, in words.
    pub now: String,
    /// What is tolerated, in words.
    pub tolerated: String,
    /// How it compares.
    pub standing: Standing,
}

/// A suite held against an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Every number of every proof that both have.
    pub compared: Vec<Compared>,
    /// Proofs of the baseline that cannot be compared, with the reason.
    pub uncompared: Vec<(String, String)>,
    /// Proofs that the baseline does not have.
    pub new: Vec<String>,
}

impl Comparison {
    /// The numbers that got worse.
    pub fn worse(&self) -> impl Iterator<Item = &Compared> {
        self.compared.iter().filter(|compared| compared.standing == Standing::Worse)
    }
}

/// Holds a suite against an earlier one.
pub fn compare(now: &SuiteRecord, baseline: &SuiteRecord, tolerance: Tolerance) -> Comparison {
    let proofs = |suite: &'_ SuiteRecord| -> Vec<RunRecord> {
        suite.runs.iter().filter(|run| run.part == Part::Proof).cloned().collect()
    };
    let (now, baseline) = (proofs(now), proofs(baseline));
    let mut comparison = Comparison::default();
    for then in &baseline {
        let Some(run) = now.iter().find(|run| run.name == then.name) else {
            comparison.uncompared.push((then.name.clone(), "it was not run now".to_string()));
            continue;
        };
        match differs(run, then) {
            Some(what) => comparison.uncompared.push((then.name.clone(), what)),
            None => comparison.compared.extend(numbers(run, then, tolerance)),
        }
    }
    let is_new = |run: &&RunRecord| !baseline.iter().any(|then| then.name == run.name);
    comparison.new = now.iter().filter(is_new).map(|run| run.name.clone()).collect();
    comparison
}

/// What two runs of one name do not have in common, so that their numbers say nothing.
fn differs(now: &RunRecord, then: &RunRecord) -> Option<String> {
    let target =
        |run: &RunRecord| (run.target.name.clone(), run.target.nodes, run.target.settings.clone());
    let difference = now.load.0.abs_diff(then.load.0);
    if target(now) != target(then) {
        Some("it has another target or other settings".to_string())
    } else if now.workload != then.workload {
        Some(format!("its workload is {}, was {}", now.workload, then.workload))
    } else if (now.clients, now.rate, now.timeout) != (then.clients, then.rate, then.timeout) {
        Some("it has other clients, another rate or another timeout".to_string())
    } else if difference * 100 > then.load.0 * LOAD {
        let (now, then) = (units::duration(now.load), units::duration(then.load));
        Some(format!("its load took {now}, was {then}"))
    } else {
        None
    }
}

fn numbers(now: &RunRecord, then: &RunRecord, tolerance: Tolerance) -> Vec<Compared> {
    let times = [
        ("recovery", recovery as fn(&RunRecord) -> Option<Micros>, LEAST_OUTAGE),
        ("unavailability", unavailability, LEAST_OUTAGE),
        ("p99", p99, LEAST_LATENCY),
    ];
    let times = times.into_iter().filter_map(|(measure, of, least)| {
        let (time_now, time_then) = (of(now), of(then));
        if time_now.is_none() && time_then.is_none() {
            return None;
        }
        let standing = match (time_now, time_then) {
            (Some(now), Some(then)) => {
                let relative = then.0.saturating_mul(u64::from(tolerance.times)) / 100;
                let bound = then.0.saturating_add(relative.max(least.0));
                if now.0 > bound { Standing::Worse } else { Standing::Held }
            }
            _ => Standing::NotMeasured,
        };
        let words = |time: Option<Micros>| time.map_or("-".to_string(), units::duration);
        Some(Compared {
            run: now.name.clone(),
            measure,
            then: words(time_then),
            now: words(time_now),
            tolerated: format!("+{} % or {}", tolerance.times, units::duration(least)),
            standing,
        })
    });
    std::iter::once(availability(now, then, tolerance)).chain(times).collect()
}

fn availability(now: &RunRecord, then: &RunRecord, tolerance: Tolerance) -> Compared {
    let served = |run: &RunRecord| {
        let ok: u64 = run.operations.iter().map(|kind| kind.ok).sum();
        let all: u64 = run.operations.iter().map(|kind| kind.ok + kind.fail + kind.info).sum();
        (ok, all + run.shed)
    };
    let ((ok_now, all_now), (ok_then, all_then)) = (served(now), served(then));
    let share = |ok: u64, all: u64| ok as f64 / all as f64;
    let standing = match (all_now, all_then) {
        (0, _) | (_, 0) => Standing::NotMeasured,
        _ => {
            let lower = (share(ok_then, all_then) - share(ok_now, all_now)) * 100.0;
            let worse = lower > f64::from(tolerance.availability);
            if worse { Standing::Worse } else { Standing::Held }
        }
    };
    let words = |ok, all| units::percent(ok, all).unwrap_or_else(|| "-".to_string());
    Compared {
        run: now.name.clone(),
        measure: "availability",
        then: words(ok_then, all_then),
        now: words(ok_now, all_now),
        tolerated: format!("-{} points", tolerance.availability),
        standing,
    }
}

fn recovery(run: &RunRecord) -> Option<Micros> {
    run.faults.iter().filter_map(|fault| fault.recovered_after).max()
}

fn unavailability(run: &RunRecord) -> Option<Micros> {
    run.faults.iter().filter_map(|fault| fault.unavailable).max()
}

fn p99(run: &RunRecord) -> Option<Micros> {
    run.operations.iter().filter_map(|kind| kind.p99).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn a_suite_is_not_worse_than_itself() {
        let (suite, _) = samples::release_gate();
        let comparison = compare(&suite, &suite, Tolerance::default());
        assert!(!comparison.compared.is_empty());
        assert_eq!(comparison.worse().count(), 0);
        assert!(comparison.uncompared.is_empty() && comparison.new.is_empty());
        let canaries = suite.runs.iter().filter(|run| run.part != Part::Proof);
        for canary in canaries {
            assert!(comparison.compared.iter().all(|one| one.run != canary.name));
        }
    }

    #[test]
    fn worse_than_tolerated_is_worse_and_a_little_is_not() {
        let (baseline, _) = samples::release_gate();
        let mut now = baseline.clone();
        let worse = |now: &SuiteRecord| -> Vec<String> {
            let comparison = compare(now, &baseline, Tolerance::default());
            comparison.worse().map(|one| format!("{} {}", one.run, one.measure)).collect()
        };
        let name = now.runs[0].name.clone();
        let recovered = now.runs[0].faults[0].recovered_after.unwrap();
        now.runs[0].faults[0].recovered_after = Some(Micros(recovered.0 + 499_000));
        assert_eq!(worse(&now), Vec::<String>::new());
        now.runs[0].faults[0].recovered_after = Some(Micros(recovered.0 * 3 / 2 + 501_000));
        assert_eq!(worse(&now), [format!("{name} recovery")]);
        now.runs[0].operations[0].fail += 10_000;
        assert_eq!(worse(&now).len(), 2);
    }

    #[test]
    fn runs_that_asked_for_other_things_are_not_compared() {
        let (baseline, _) = samples::release_gate();
        let mut now = baseline.clone();
        now.runs[0].rate = Some(9);
        now.runs[1].name = "another".into();
        let comparison = compare(&now, &baseline, Tolerance::default());
        assert_eq!(comparison.uncompared.len(), 2);
        assert_eq!(comparison.new, ["another"]);
    }
}
