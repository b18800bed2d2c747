//! A suite as a table in Markdown: one line a proof or canary, with what it was predicted to show
//! beside what it showed. For the summary page of a CI system, and for the docs: the table of
//! protections is `splitbrain report RUN --format markdown` of a run, not written by hand.
//!
//! Not the report for people at a terminal; that is [`text`](crate::text). Pure, as everything here.

use std::io::{self, Write};

use crate::record::{Effect, Expectation, Part, RunRecord, SuiteRecord, TargetRecord};
use crate::text::words;
use crate::units;

/// Writes a suite as Markdown: its verdict in a line, then the table.
///
/// # Errors
/// Those of the writer.
pub fn write_suite(suite: &SuiteRecord, mut to: impl Write) -> io::Result<()> {
    writeln!(
        to,
        "**{}** {}: {}, seed `{}`, splitbrain {}, took {}.\n",
        words::verdict_of_suite(suite),
        escaped(&suite.suite),
        units::counted(suite.runs.len() as u64, "run"),
        suite.seed,
        suite.version,
        units::duration(suite.took)
    )?;
    writeln!(to, "| run | target | faults | expected | found | control | result |")?;
    writeln!(to, "|---|---|---|---|---|---|---|")?;
    for run in &suite.runs {
        if !matches!(run.part, Part::Proof | Part::Canary) {
            continue;
        }
        let (control, calm) = twins(suite, run);
        let cells = [
            code(&run.name),
            target(&run.target),
            faults(run),
            match run.expectation {
                Expectation::Pass => "nothing".to_string(),
                Expectation::Fail(kind) => code(kind.name()),
            },
            finding(run),
            match (control, calm) {
                (None, None) => String::new(),
                (control, calm) => {
                    let control = control.map(|control| {
                        format!("{}: {}", differing(&run.target, &control.target), finding(control))
                    });
                    let calm = calm.map(|calm| format!("without faults: {}", finding(calm)));
                    [control, calm].into_iter().flatten().collect::<Vec<_>>().join("; ")
                }
            },
            words::result(run.result).to_lowercase(),
        ];
        writeln!(to, "| {} |", cells.join(" | "))?;
    }
    Ok(())
}

/// The control of a canary and its calm twin.
fn twins<'a>(
    suite: &'a SuiteRecord,
    canary: &RunRecord,
) -> (Option<&'a RunRecord>, Option<&'a RunRecord>) {
    let find = |wanted: &dyn Fn(&Part) -> bool| suite.runs.iter().find(|run| wanted(&run.part));
    (
        find(&|part| matches!(part, Part::Control { of } if *of == canary.name)),
        find(&|part| matches!(part, Part::Calm { of } if *of == canary.name)),
    )
}

fn finding(run: &RunRecord) -> String {
    escaped(&words::finding(run))
}

/// Name and settings: `store raft`, `replication=async`.
fn target(target: &TargetRecord) -> String {
    let mut cells = vec![words::target(target)];
    let set = target.settings.iter().filter(|(name, _)| *name != "profile");
    cells.extend(set.map(|(name, value)| code(&format!("{name}={value}"))));
    cells.join(" ")
}

/// In what a control differs from its canary.
fn differing(canary: &TargetRecord, control: &TargetRecord) -> String {
    let (weak, strong) = (&canary.settings, &control.settings);
    let mut words: Vec<String> = strong
        .iter()
        .filter(|(name, value)| weak.get(*name) != Some(value))
        .map(|(name, value)| code(&format!("{name}={value}")))
        .collect();
    words.extend(
        weak.keys()
            .filter(|name| !strong.contains_key(*name))
            .map(|name| format!("no {}", code(name))),
    );
    if words.is_empty() { "the same".to_string() } else { words.join(" ") }
}

/// The faults of a run by kind and form, each with the number that took hold.
fn faults(run: &RunRecord) -> String {
    let mut kinds: Vec<(String, u64, u64)> = Vec::new();
    for fault in &run.faults {
        let name = match fault.form.as_str() {
            "" => fault.kind.clone(),
            form => format!("{}: {form}", fault.kind),
        };
        let took = u64::from(matches!(fault.effect, Effect::Seen(_)));
        match kinds.iter_mut().find(|(known, _, _)| *known == name) {
            Some((_, seen, planned)) => {
                *seen += took;
                *planned += 1;
            }
            None => kinds.push((name, took, 1)),
        }
    }
    let words = kinds.iter().map(|(name, seen, planned)| match (seen, planned) {
        (1, 1) => code(name),
        (seen, planned) => format!("{} ({seen} of {planned} took hold)", code(name)),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn code(text: &str) -> String {
    format!("`{}`", escaped(text))
}

/// A text that may stand in a cell: a bar would end it, and so would the end of the line.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn markdown(suite: &SuiteRecord) -> String {
        let mut bytes = Vec::new();
        write_suite(suite, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_canary_stands_in_one_line_with_its_control_and_its_calm_twin() {
        insta::assert_snapshot!(markdown(&samples::release_gate().0));
    }

    #[test]
    fn whatever_stands_in_a_record_every_line_of_the_table_has_seven_cells() {
        let (mut suite, _) = samples::lost_write_on_raft();
        for run in &mut suite.runs {
            run.name = "a|b\nc".to_string();
            run.target.settings.insert("set|".to_string(), "x\r|".to_string());
        }
        let text = markdown(&suite);
        for line in text.lines().filter(|line| line.starts_with('|')) {
            assert_eq!(line.replace("\\|", "").matches('|').count(), 8, "{line}");
        }
    }
}
