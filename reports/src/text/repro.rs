//! The text of `splitbrain repro`: how often a failure happened in so many runs of one plan.

use std::collections::BTreeMap;

use splitbrain_workloads::history::Micros;

use super::{Style, next, table, theme, words};
use crate::measure::rate::{self, Share, Symptom};
use crate::record::{RunRecord, RunResult, SuiteRecord};
use crate::units;

/// How many folders of failed runs are named before the rest is only counted.
const NAMED_MAX: usize = 8;

/// A plan, run many times.
#[derive(Clone, Copy, Debug)]
pub struct Repro<'a> {
    /// The folder of the recorded run, as the command line named it.
    pub of: &'a str,
    /// What its failure is recognized by.
    pub symptom: &'a Symptom,
    /// How many runs were asked for.
    pub asked: u64,
    /// How many were at work at a time.
    pub at_a_time: u64,
    /// Whether each run had a seed of its own.
    pub fresh: bool,
    /// What came of them.
    pub suite: &'a SuiteRecord,
    /// When the first anomaly of a failed run began, from the start of the load, by the run's name.
    pub first: &'a BTreeMap<String, Micros>,
}

/// One run is over: `run  3 of 50  FAILED       2 lost writes  [  6.2 s]  so far 2 of 3`.
pub fn repeated(
    number: u64,
    asked: u64,
    run: &RunRecord,
    symptom: &Symptom,
    so_far: Share,
    took: Micros,
    style: &Style,
) -> String {
    let width = asked.to_string().len();
    let line = format!(
        "run {number:>width$} of {asked}  {:11}  {}  [{:>6.1} s]  so far {} of {}",
        word(symptom.shows(run)),
        found(run),
        took.as_secs_f64(),
        so_far.hits,
        so_far.of
    );
    theme::finish(&[line], style).trim_end().to_string()
}

/// How often it happened.
pub fn repro(repro: &Repro<'_>, style: &Style) -> String {
    let runs = &repro.suite.runs;
    let mut share = Share::default();
    for shows in runs.iter().filter_map(|run| repro.symptom.shows(run)) {
        share.add(shows);
    }
    let failed: Vec<&RunRecord> =
        runs.iter().filter(|run| repro.symptom.shows(run) == Some(true)).collect();
    let undecided: Vec<&RunRecord> =
        runs.iter().filter(|run| repro.symptom.shows(run).is_none()).collect();
    let seeds = if repro.fresh { "a fresh seed for each run" } else { "the recorded seed" };
    let mut lines = table::wrapped(
        "REPRO  ",
        &format!("{} in {}, {} at a time, {seeds}", repro.symptom, repro.of, repro.at_a_time),
    );
    lines.push(format!("  failed {share}"));
    let mut row = |name: &str, text: String| {
        lines.extend(table::wrapped(&format!("  {name:14}  "), &text));
    };
    if let Some(median) = rate::median(repro.first.values().copied().collect()) {
        let of = units::counted(repro.first.len() as u64, "run");
        let after = units::duration(median);
        row("first anomaly", format!("{after} after the start of the load, median of {of}"));
    }
    if !undecided.is_empty() {
        let number = units::counted(undecided.len() as u64, "run");
        row("not decided", format!("{number}, counted on neither side: {}", undecided[0].why));
    }
    let others = others(runs, repro.symptom);
    if !others.is_empty() {
        row("found as well", others);
    }
    let missing = repro.asked.saturating_sub(runs.len() as u64);
    if missing > 0 {
        row("not run", format!("{missing} of {}, ended before", repro.asked));
    }
    if !failed.is_empty() {
        let mut names: Vec<&str> =
            failed.iter().take(NAMED_MAX).map(|run| run.directory.as_str()).collect();
        let more = format!("and {} more", failed.len().saturating_sub(NAMED_MAX));
        if failed.len() > NAMED_MAX {
            names.push(&more);
        }
        row("failed runs", names.join(" "));
    }
    lines.extend([String::new(), format!("All runs: splitbrain report {}", repro.suite.directory)]);
    lines.extend(next::exit(repro.suite.exit_code, &repro.suite.exit_reason));
    theme::finish(&lines, style)
}

fn word(shows: Option<bool>) -> &'static str {
    match shows {
        Some(true) => "FAILED",
        Some(false) => "not failed",
        None => "NOT DECIDED",
    }
}

/// What a run found, with its reason where finding nothing has one.
fn found(run: &RunRecord) -> String {
    match run.result {
        RunResult::Environment | RunResult::HarnessBug => {
            format!("{}: {}", words::result(run.result), run.why)
        }
        _ => words::finding(run),
    }
}

/// Anomalies of other kinds than the one that was looked for: the same run may break in two ways.
fn others(runs: &[RunRecord], symptom: &Symptom) -> String {
    let mut others = BTreeMap::new();
    for kind in runs.iter().flat_map(|run| words::found(&run.judgements).into_keys()) {
        if *symptom != Symptom::Anomaly(kind) && *symptom != Symptom::Anything {
            *others.entry(kind).or_insert(0_u64) += 1;
        }
    }
    let others = others.iter().map(|(kind, n)| format!("{kind} in {}", units::counted(*n, "run")));
    others.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use splitbrain_workloads::verdict::{AnomalyKind, Verdict};

    use super::*;
    use crate::samples;

    #[test]
    fn a_rate_is_printed_with_its_interval_and_what_was_not_decided() {
        let (mut suite, _) = samples::lost_write_on_raft();
        let failed = suite.runs.iter().find(|run| run.verdict == Verdict::Fail).unwrap().clone();
        let passed = suite.runs.iter().find(|run| run.verdict == Verdict::Pass).unwrap().clone();
        let ended = RunRecord {
            result: RunResult::Environment,
            why: "n2 was ended by signal 9, which we did not send".into(),
            ..passed.clone()
        };
        let named = |number: usize, run: &RunRecord| {
            let name = format!("leader-killed-{number:02}");
            RunRecord { directory: name.clone(), name, ..run.clone() }
        };
        suite.runs = (1..=20)
            .map(|number| match number {
                3 | 9 | 17 => named(number, &failed),
                11 => named(number, &ended),
                _ => named(number, &passed),
            })
            .collect();
        let first = [3, 9, 17].map(|n| (format!("leader-killed-{n:02}"), Micros(n * 400_000)));
        let symptom = Symptom::Anomaly(AnomalyKind::LostWrite);
        let mut printed = Repro {
            of: "runs/latest/leader-killed",
            symptom: &symptom,
            asked: 20,
            at_a_time: 2,
            fresh: false,
            suite: &suite,
            first: &BTreeMap::from(first),
        };
        insta::assert_snapshot!(repro(&printed, &Style::default()));
        (printed.asked, printed.fresh, printed.symptom) = (50, true, &Symptom::Anything);
        insta::assert_snapshot!(repro(&printed, &Style::default()));
    }

    #[test]
    fn every_run_is_one_line() {
        let (suite, _) = samples::lost_write_on_raft();
        let symptom = Symptom::Anomaly(AnomalyKind::LostWrite);
        let lines = (9..).zip(&suite.runs).map(|(number, run)| {
            let share = Share { hits: 1, of: number };
            repeated(number, 20, run, &symptom, share, Micros(6_200_000), &Style::default())
        });
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
    }
}
