//! A plan as text, for `splitbrain plan`.

use std::fmt::{self, Write};

use splitbrain_reports::record::{Expectation, Part};

use super::{End, PlannedRun, Start};
use crate::suite::stop::Wanted;
use crate::suite::units::{Rate, Time};

/// The planned runs of a suite for people: what will be done and when, without doing it.
pub fn render(suite: &str, runs: &[PlannedRun]) -> String {
    let mut out = String::new();
    let load = runs.iter().fold(Time::ZERO, |sum, run| sum.plus(run.duration));
    let plural = if runs.len() == 1 { "" } else { "s" };
    line(&mut out, format_args!("suite {suite}: {} run{plural}, {load} of load", runs.len()));
    for run in runs {
        line(&mut out, format_args!(""));
        render_run(&mut out, run);
    }
    out
}

fn render_run(out: &mut String, run: &PlannedRun) {
    let part = match &run.part {
        Part::Proof => String::new(),
        Part::Canary => "  (canary)".to_string(),
        Part::Control { of } => format!("  (control of {of})"),
        Part::Calm { of } => format!("  (calm run of {of})"),
    };
    line(out, format_args!("{}{part}", run.name));
    line(out, format_args!("  target    {}", run.target));
    line(out, format_args!("  workload  {}", run.workload.describe()));
    let rate = match run.rate {
        Rate::PerSecond(rate) => format!("{rate} operations/s"),
        Rate::Max => "as fast as they can".to_string(),
    };
    line(
        out,
        format_args!(
            "  load      {} clients, {rate}, for {}, timeout {}, seed {}",
            run.clients, run.duration, run.timeout, run.seed
        ),
    );
    let expect = match run.expect {
        Expectation::Pass => "pass".to_string(),
        Expectation::Fail(kind) => format!("fail ({kind})"),
        Expectation::FailWithoutFaults(kind) => format!("fail without faults ({kind})"),
    };
    line(out, format_args!("  expect    {expect}"));
    match run.stop.wanted(&run.expect) {
        None => {}
        Some(Wanted { kind: None, .. }) => line(out, format_args!("  stop      on a violation")),
        Some(Wanted { kind: Some(kind), .. }) => {
            line(out, format_args!("  stop      once {kind} is proven"));
        }
    }
    if !run.gates.is_empty() {
        let gates: Vec<String> =
            run.gates.iter().map(|gate| format!("{} {gate}", gate.metric)).collect();
        line(out, format_args!("  gates     {}", gates.join(", ")));
    }
    if let Some(bound) = run.liveness {
        line(out, format_args!("  liveness  a live majority serves <= {bound}"));
    }
    if !run.require.is_empty() {
        let required: Vec<String> = run.require.iter().map(ToString::to_string).collect();
        line(out, format_args!("  require   {}", required.join(", ")));
    }
    if run.faults.is_empty() {
        line(out, format_args!("  faults    none"));
        return;
    }
    line(out, format_args!("  faults"));
    let starts: Vec<String> = run.faults.iter().map(|fault| fault.start.to_string()).collect();
    // Times stand in a column; the words of a condition may stick out.
    let width = starts.iter().map(String::len).filter(|len| *len <= 12).max().unwrap_or(0);
    for (fault, start) in run.faults.iter().zip(starts) {
        let kind = fault.fault.kind();
        line(out, format_args!("    {:>3}  {start:<width$}  {kind} {}", fault.id.0, fault.shape()));
    }
}

fn line(out: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Start::At(at) => write!(f, "at {at}"),
            Start::When { condition, from, at_most } => {
                write!(f, "from {from}, when {condition}, waiting {at_most} at most")
            }
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::After(time) => write!(f, "for {time}"),
            End::Until { condition, at_most } => {
                write!(f, "until {condition}, {at_most} at most")
            }
        }
    }
}
