//! The text of `splitbrain check FILE` for a history that a model judges and no workload knows. Its
//! calls have no lanes; the few that prove something are listed with their lines in the file.

use splitbrain_workloads::recording::{ExplainedCall, Explanation};
use splitbrain_workloads::verdict::Verdict;

use super::{Style, next, table, theme};
use crate::units;

/// A history that a model judges, and what was found out.
#[derive(Clone, Copy, Debug)]
pub struct Modelled<'a> {
    /// The history's file, as the command line named it.
    pub file: &'a str,
    /// The name of its format.
    pub format: &'a str,
    /// The name of the model.
    pub model: &'a str,
    /// How many operations it has.
    pub operations: usize,
    /// What was found out.
    pub verdict: Verdict,
    /// The verdict in a sentence.
    pub sentence: &'a str,
    /// Why no order exists, if none does.
    pub explanation: Option<&'a Explanation>,
    /// What was written beside the report: a name of at most ten letters, and what it is.
    pub written: &'a [(&'static str, String)],
    /// The exit code of the command.
    pub exit_code: u8,
    /// The exit code in words.
    pub exit_reason: &'a str,
}

/// The report of a check by a model.
pub fn modelled(modelled: &Modelled<'_>, style: &Style) -> String {
    let word = match modelled.verdict {
        Verdict::Pass => "PASS",
        Verdict::Fail => "FAIL",
        Verdict::Unknown => "UNDECIDED",
    };
    let mut lines = table::wrapped("", &format!("history {}", modelled.file));
    lines.push(String::new());
    lines.extend(table::wrapped(&format!("{word}  "), modelled.sentence));
    lines.push(String::new());
    let operations = units::count(modelled.operations as u64);
    lines.push(format!("  model       {}", modelled.model));
    lines.push(format!("  format      {}", modelled.format));
    lines.push(format!("  operations  {operations}"));
    for (name, what) in modelled.written {
        lines.extend(table::wrapped(&format!("  {name:10}  "), what));
    }
    if let Some(explanation) = modelled.explanation {
        lines.push(String::new());
        let count = units::counted(explanation.calls.len() as u64, "operation");
        lines.push(format!("COUNTEREXAMPLE  {count} of {operations} prove it"));
        lines.push(String::new());
        let places: Vec<String> = explanation.calls.iter().map(place).collect();
        let [places_wide, clients_wide] = [
            places.iter().map(String::len).max().unwrap_or(0),
            explanation.calls.iter().map(|call| call.client.len()).max().unwrap_or(0),
        ];
        for (call, place) in explanation.calls.iter().zip(&places) {
            let mark = if call.is_refused { ">" } else { " " };
            let who = &call.client;
            let first = format!("{mark} {place:places_wide$}  {who:clients_wide$}  ");
            lines.extend(table::wrapped(&first, &call.text));
        }
        lines.push(String::new());
        for sentence in &explanation.story {
            lines.extend(table::wrapped("  ", sentence));
        }
    }
    lines.extend(next::exit(modelled.exit_code, modelled.exit_reason));
    theme::finish(&lines, style)
}

fn place(call: &ExplainedCall) -> String {
    match call.ended {
        Some(ended) => format!("line {}-{ended}", call.began),
        None => format!("line {} on", call.began),
    }
}
