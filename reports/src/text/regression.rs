//! The text of `splitbrain gate`: a suite held against an earlier one.

use super::{Style, next, table, theme, words};
use crate::measure::regression::{Comparison, Standing};
use crate::record::{RunResult, SuiteRecord};
use crate::units;

/// A suite, the one before, and how they compare.
#[derive(Clone, Copy, Debug)]
pub struct Gated<'a> {
    /// The suite that is to be released.
    pub now: &'a SuiteRecord,
    /// The one that it is held against.
    pub baseline: &'a SuiteRecord,
    /// How they compare.
    pub comparison: &'a Comparison,
    /// The exit code of the command.
    pub exit_code: u8,
    /// The exit code in words.
    pub exit_reason: &'a str,
}

/// The report of a gate.
pub fn gated(gated: &Gated<'_>, style: &Style) -> String {
    let Gated { now, baseline, comparison, .. } = gated;
    let mut lines =
        table::wrapped("GATE  ", &format!("{} against {}", now.directory, baseline.directory));
    lines.push(String::new());
    let worse = comparison.worse().count() as u64;
    let results = match now.result {
        RunResult::Met => "every run met its expectation".to_string(),
        _ => format!("{}: see splitbrain report {}", words::verdict_of_suite(now), now.directory),
    };
    lines.extend(table::wrapped("  results      ", &results));
    let numbers = units::counted(comparison.compared.len() as u64, "number");
    lines.extend(table::wrapped(
        "  regressions  ",
        &match worse {
            0 => format!("none in {numbers}"),
            _ => format!("{worse} in {numbers}"),
        },
    ));
    if !comparison.compared.is_empty() {
        let rows: Vec<Vec<String>> = comparison
            .compared
            .iter()
            .map(|one| {
                let standing = match one.standing {
                    Standing::Held => "held",
                    Standing::Worse => "WORSE",
                    Standing::NotMeasured => "NOT MEASURED",
                };
                vec![
                    one.run.clone(),
                    one.measure.to_string(),
                    one.then.clone(),
                    one.now.clone(),
                    one.tolerated.clone(),
                    standing.to_string(),
                ]
            })
            .collect();
        lines.push(String::new());
        let header = ["run", "measure", "baseline", "now", "tolerated", "result"];
        lines.extend(table::blank(&header, &rows, &[2, 3], 0));
    }
    if !comparison.uncompared.is_empty() {
        lines.extend([String::new(), "NOT COMPARED".to_string()]);
        for (run, why) in &comparison.uncompared {
            lines.extend(table::wrapped(&format!("  {run}: "), why));
        }
    }
    if !comparison.new.is_empty() {
        lines.push(String::new());
        lines.extend(table::wrapped("NEW  ", &comparison.new.join(", ")));
    }
    if now.host != baseline.host {
        let host = |suite: &SuiteRecord| {
            let processors = units::counted(suite.host.processors.into(), "processor");
            format!("{processors}, {}", suite.host.kernel)
        };
        let text = format!("another machine: {} now, {} then", host(now), host(baseline));
        lines.push(String::new());
        lines.extend(table::wrapped("NOTE  ", &text));
    }
    lines.extend(next::exit(gated.exit_code, gated.exit_reason));
    theme::finish(&lines, style)
}
