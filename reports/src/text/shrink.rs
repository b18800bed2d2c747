//! The text of `splitbrain shrink`: a line for each plan that was tried, and what is left.

use splitbrain_workloads::history::Micros;

use super::{Style, next, table, theme};
use crate::measure::rate::{Share, Symptom};
use crate::units;

/// One plan was tried.
#[derive(Clone, Copy, Debug)]
pub struct Tried<'a> {
    /// Which one, from one.
    pub number: u64,
    /// What is smaller in it.
    pub what: &'a str,
    /// Whether it is believed to fail; `None` when that was not decided.
    pub fails: Option<bool>,
    /// Its runs that decided, and those of them that failed.
    pub share: Share,
    /// How much of the budget is used up.
    pub elapsed: Micros,
    /// The smallest plan that is known to fail now, in a few words.
    pub best: &'a str,
}

/// `step  4  fault 7                fails      1 of 1   [ 61.2 s]  left: 1 fault, 3 s, 10 clients`.
pub fn tried(tried: &Tried<'_>, style: &Style) -> String {
    let verdict = match tried.fails {
        Some(true) => "fails",
        Some(false) => "holds",
        None => "not decided",
    };
    let line = format!(
        "step {:>2}  {:28}  {verdict:11}  {} of {}  [{:>7}]  left: {}",
        tried.number,
        table::shortened(tried.what, 28),
        tried.share.hits,
        tried.share.of,
        units::duration(tried.elapsed),
        tried.best
    );
    theme::finish(&[line], style).trim_end().to_string()
}

/// What a search for a smaller plan came to.
#[derive(Clone, Copy, Debug)]
pub struct Shrunk<'a> {
    /// The folder of the recorded run, as the command line named it.
    pub of: &'a str,
    /// What its failure is recognized by.
    pub symptom: &'a Symptom,
    /// How the search ended, such as "nothing smaller fails".
    pub ended: &'a str,
    /// Plans that were tried.
    pub steps: u64,
    /// Runs that took.
    pub runs: u64,
    /// How long it all took.
    pub took: Micros,
    /// What there was and what is left: name, before, after.
    pub parts: &'a [(&'a str, String, String)],
    /// The faults left, one line each.
    pub faults: &'a [String],
    /// How often the recorded plan failed.
    pub before: Share,
    /// How often the smallest one does.
    pub after: Share,
    /// The suite that holds it, as the command line would name it.
    pub file: &'a str,
    /// The folder of a run of it that failed.
    pub failed: Option<&'a str>,
    /// The exit code of the command.
    pub exit_code: u8,
    /// The exit code in words.
    pub exit_reason: &'a str,
}

/// The report of a search.
pub fn shrunk(shrunk: &Shrunk<'_>, style: &Style) -> String {
    let mut lines = table::wrapped("SHRINK  ", &format!("{} in {}", shrunk.symptom, shrunk.of));
    let effort = format!(
        "{} after {}, {} and {}",
        shrunk.ended,
        units::counted(shrunk.steps, "step"),
        units::counted(shrunk.runs, "run"),
        units::duration(shrunk.took)
    );
    lines.extend(table::wrapped("  ", &effort));
    lines.push(String::new());
    let rows: Vec<Vec<String>> = shrunk
        .parts
        .iter()
        .map(|(name, before, after)| {
            let less = if before == after { "as before".to_string() } else { after.clone() };
            vec![name.to_string(), before.clone(), less]
        })
        .chain([vec!["failed".to_string(), shrunk.before.to_string(), shrunk.after.to_string()]])
        .collect();
    lines.extend(table::blank(&["", "recorded", "left"], &rows, &[], 1));
    lines.push(String::new());
    match shrunk.faults {
        [] => lines.push("FAULTS LEFT  none: it fails without any".to_string()),
        faults => {
            lines.push("FAULTS LEFT".to_string());
            lines.extend(faults.iter().flat_map(|fault| table::wrapped("  ", fault)));
        }
    }
    lines.extend([String::new(), "NEXT".to_string()]);
    lines.push(format!("  run it        splitbrain run {}", shrunk.file));
    if let Some(failed) = shrunk.failed {
        lines.push(format!("  see it fail   splitbrain check {failed}"));
        lines.push(format!("  how often     splitbrain repro {failed} -n 50"));
    }
    lines.extend(next::exit(shrunk.exit_code, shrunk.exit_reason));
    theme::finish(&lines, style)
}

#[cfg(test)]
mod tests {
    use splitbrain_workloads::verdict::AnomalyKind;

    use super::*;

    #[test]
    fn what_was_removed_and_what_is_left_are_side_by_side() {
        let part = |name, before: &str, after: &str| (name, before.to_string(), after.to_string());
        let parts = [
            part("faults", "10", "1"),
            part("load", "24s", "2.5s"),
            part("clients", "10", "3"),
            part("workload", "set, 100 000 elements", "set, 100 000 elements"),
        ];
        let printed = Shrunk {
            of: "runs/latest/noisy",
            symptom: &Symptom::Anomaly(AnomalyKind::LostWrite),
            ended: "nothing smaller fails as often",
            steps: 14,
            runs: 23,
            took: Micros(184_000_000),
            parts: &parts,
            faults: &["at 1s  partition leader alone, for 2s".to_string()],
            before: Share { hits: 3, of: 3 },
            after: Share { hits: 9, of: 10 },
            file: "runs/20261121-095148-noisy-shrink/shrunk.yaml",
            failed: Some("runs/20261121-095148-noisy-shrink/attempts/result-3"),
            exit_code: 0,
            exit_reason: "a smaller plan fails, too",
        };
        insta::assert_snapshot!(shrunk(&printed, &Style::default()));
        let step = |fails, what| Tried {
            number: 4,
            what,
            fails,
            share: Share { hits: 0, of: 2 },
            elapsed: Micros(61_200_000),
            best: "4 faults, 9s, 10 clients",
        };
        let lines = [
            tried(&step(Some(false), "faults 1 2 3 4 5 6 7 8 9 10 11 12"), &Style::default()),
            tried(&step(None, "load 2.5s"), &Style::default()),
        ];
        insta::assert_snapshot!(lines.join("\n"));
    }
}
