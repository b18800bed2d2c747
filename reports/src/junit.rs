//! What CI systems read: the results of a suite as JUnit XML.
//!
//! One test case a run. A run that did not come out as required is a `failure`; one that was not
//! decided, or that the machine or a bug of splitbrain ended, is an `error`, never `skipped`:
//! CI shows skipped tests as green, and what is not proven is not. There is no standard; the form
//! is the one that the readers in wide use agree on (the schema of the Apache Ant task, with
//! `testsuites` around it).

use std::io::{self, Write};

use splitbrain_workloads::history::Micros;

use crate::measure::shown::{Shown, shown};
use crate::record::{Expectation, GateOutcome, Part, RunRecord, RunResult, SuiteRecord};
use crate::text::words;

/// Writes a suite as JUnit XML.
///
/// # Errors
/// Those of the writer.
pub fn write_suite(suite: &SuiteRecord, mut to: impl Write) -> io::Result<()> {
    let count =
        |wanted: &dyn Fn(&RunRecord) -> bool| suite.runs.iter().filter(|r| wanted(r)).count();
    let failures = count(&|run| run.result == RunResult::NotMet);
    let errors = count(&|run| !matches!(run.result, RunResult::NotMet | RunResult::Met));
    let totals = format!(
        "name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"0\" \
         time=\"{}\"",
        escaped(&suite.suite),
        suite.runs.len(),
        seconds(suite.took)
    );
    writeln!(to, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(to, "<testsuites {totals}>")?;
    writeln!(to, "  <testsuite {totals} timestamp=\"{}\">", escaped(&suite.started))?;
    writeln!(to, "    <properties>")?;
    for (name, value) in [
        ("splitbrain", suite.version.as_str()),
        ("seed", &suite.seed),
        ("command", &suite.command),
        ("directory", &suite.directory),
        ("exit-code", &suite.exit_code.to_string()),
    ] {
        writeln!(to, "      <property name=\"{name}\" value=\"{}\"/>", escaped(value))?;
    }
    writeln!(to, "    </properties>")?;
    for run in &suite.runs {
        write_run(suite, run, &mut to)?;
    }
    writeln!(to, "  </testsuite>")?;
    writeln!(to, "</testsuites>")
}

fn write_run(suite: &SuiteRecord, run: &RunRecord, to: &mut impl Write) -> io::Result<()> {
    let case = format!(
        "name=\"{}\" classname=\"{}.{}\" time=\"{}\"",
        escaped(&run.name),
        escaped(&suite.suite),
        words::part(&run.part),
        seconds(run.load)
    );
    let (element, kind) = match run.result {
        RunResult::Met => return writeln!(to, "    <testcase {case}/>"),
        RunResult::NotMet => ("failure", violated(run)),
        RunResult::Undecided => ("error", "undecided".to_string()),
        RunResult::Environment => ("error", "environment".to_string()),
        RunResult::HarnessBug => ("error", "harness-bug".to_string()),
    };
    writeln!(to, "    <testcase {case}>")?;
    writeln!(
        to,
        "      <{element} type=\"{}\" message=\"{}\">{}</{element}>",
        escaped(&kind),
        escaped(&run.why),
        // Between tags a line may end, which reads better than its number.
        escaped(&details(suite, run)).replace("&#10;", "\n")
    )?;
    writeln!(to, "    </testcase>")
}

/// What was violated, in one word: an anomaly, a gate, or the canary that was not caught.
fn violated(run: &RunRecord) -> String {
    if let (Some(shown), Expectation::Pass) = (shown(&run.judgements, None), &run.expectation) {
        return shown.anomaly.kind.to_string();
    }
    if run.part == Part::Canary {
        return "canary".to_string();
    }
    let broken = run.gates.iter().find(|gate| gate.outcome == GateOutcome::Broken);
    broken.map_or("violation".to_string(), |gate| format!("gate-{}", gate.name))
}

/// The first anomaly's story, the gates that did not hold and the lines to copy.
fn details(suite: &SuiteRecord, run: &RunRecord) -> String {
    let mut lines = Vec::new();
    if let Some(Shown { anomaly: first, .. }) = shown(&run.judgements, run.expectation.anomaly()) {
        lines.push(format!("{} of \"{}\"", first.kind, first.key));
        lines.extend(first.story.iter().cloned());
    }
    for gate in run.gates.iter().filter(|gate| gate.outcome != GateOutcome::Held) {
        lines.push(format!("gate {}: {}, seen {}", gate.name, gate.rule, gate.observed));
    }
    for question in run.audit.iter().filter(|question| !question.enough) {
        let (name, rule, seen) = (&question.name, &question.rule, &question.observed);
        lines.push(format!("not enough evidence, {name}: {rule}, seen {seen}"));
    }
    lines.push(format!("splitbrain replay {}/{}", suite.directory, run.directory));
    lines.join("\n")
}

fn seconds(length: Micros) -> String {
    format!("{:.3}", length.as_secs_f64())
}

/// A text that may stand in an attribute or an element. What XML 1.0 cannot hold even escaped,
/// most control characters, becomes the replacement character.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // In an attribute they would be read as blanks.
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn xml(suite: &SuiteRecord) -> String {
        let mut bytes = Vec::new();
        write_suite(suite, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_failing_suite_names_the_anomaly_and_what_to_type() {
        insta::assert_snapshot!(xml(&samples::lost_write_on_raft().0));
    }

    #[test]
    fn what_is_not_proven_is_an_error_and_never_skipped() {
        let (mut suite, _) = samples::release_gate();
        for (run, result) in suite.runs.iter_mut().zip([
            RunResult::Undecided,
            RunResult::Environment,
            RunResult::HarnessBug,
        ]) {
            run.result = result;
        }
        let xml = xml(&suite);
        assert!(xml.contains("failures=\"0\" errors=\"3\" skipped=\"0\""), "{xml}");
        for kind in ["undecided", "environment", "harness-bug"] {
            assert!(xml.contains(&format!("<error type=\"{kind}\"")), "{xml}");
        }
    }

    #[test]
    fn whatever_stands_in_a_record_the_xml_is_well_formed() {
        let (mut suite, _) = samples::lost_write_on_raft();
        suite.command = "run \"a<b>&c\".yaml\u{1b}[31m\u{0}\n".into();
        for run in &mut suite.runs {
            run.why = "]]> <!-- \"'&".into();
        }
        let xml = xml(&suite);
        assert!(xml.contains("run &quot;a&lt;b&gt;&amp;c&quot;.yaml\u{fffd}[31m\u{fffd}&#10;"));
        assert!(xml.contains("message=\"]]&gt; &lt;!-- &quot;'&amp;\""), "{xml}");
        let open = xml.matches("<testcase ").count();
        assert_eq!(
            open,
            xml.matches("</testcase>").count()
                + xml.matches("\"/>\n    <t").count()
                + usize::from(xml.contains("\"/>\n  </testsuite>"))
        );
        assert_eq!(xml.matches('"').count() % 2, 0);
    }
}
