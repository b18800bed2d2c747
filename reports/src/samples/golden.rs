//! The reports of the sample suites against the files in `reports/samples/`.
//!
//! `SPLITBRAIN_UPDATE_SAMPLES=1 cargo test -p splitbrain-reports` writes them anew; the diff is
//! what a reviewer reads.

use std::path::PathBuf;

use splitbrain_workloads::history::{Micros, OperationId, Operations};

use super::suites::{self, Sample};
use crate::measure::regression::{self, Tolerance};
use crate::record::{Effect, FaultId, FaultRecord, Part, RunRecord};
use crate::text::{self, Charset, Style, Unfinished};

const PLAIN: Style = Style { charset: Charset::Unicode, color: false };

fn render((suite, details): &Sample, style: &Style) -> String {
    text::suite(suite, &|run: &RunRecord| details.get(&run.name).cloned(), style)
}

/// Compares a text with its file, and holds what every report promises of its form.
fn golden(name: &str, text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= text::WIDTH, "{name}: too wide: {line}");
        assert_eq!(line, line.trim_end(), "{name}: trailing blanks");
        assert!(!line.contains('\x1b'), "{name}: an escape code without color");
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("samples").join(name);
    if std::env::var_os("SPLITBRAIN_UPDATE_SAMPLES").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    if text != expected {
        let differs = text.lines().zip(expected.lines()).position(|(got, was)| got != was);
        panic!(
            "{name} differs from line {}\n\
             help: set SPLITBRAIN_UPDATE_SAMPLES=1 and read the diff\n{text}",
            differs.unwrap_or(text.lines().count().min(expected.lines().count())) + 1
        );
    }
}

#[test]
fn a_green_gate_says_what_was_proven_and_with_how_much_evidence() {
    golden("pass.txt", &render(&suites::release_gate(), &PLAIN));
}

#[test]
fn a_lost_write_is_told_from_fault_to_next_command() {
    golden("fail.txt", &render(&suites::lost_write_on_raft(), &PLAIN));
}

#[test]
fn a_fault_without_effect_is_undecided_and_says_why() {
    golden("undecided.txt", &render(&suites::partition_without_effect(), &PLAIN));
}

#[test]
fn what_got_worse_stands_beside_what_was() {
    let (baseline, _) = suites::release_gate();
    let mut now = baseline.clone();
    now.directory = "runs/20261122-091500-release-gate".into();
    now.host.processors = 2;
    now.runs[0].faults[0].recovered_after = Some(Micros(2_100_000));
    now.runs[1].name = "leader-cut".into();
    let gated = text::gated(
        &text::Gated {
            now: &now,
            baseline: &baseline,
            comparison: &regression::compare(&now, &baseline, Tolerance::default()),
            exit_code: 1,
            exit_reason: "worse than the baseline",
        },
        &PLAIN,
    );
    golden("gate.txt", &gated);
}

#[test]
fn seven_bits_are_enough_for_the_same_report() {
    let ascii = Style { charset: Charset::Ascii, color: false };
    let text = render(&suites::lost_write_on_raft(), &ascii);
    assert!(text.is_ascii());
    golden("fail-ascii.txt", &text);
}

#[test]
fn a_checked_history_names_the_stale_read() {
    golden("check.txt", &suites::stale_read_checked(&PLAIN));
}

#[test]
fn a_cycle_of_transactions_is_told_in_lanes_and_sentences() {
    golden("transactions.txt", &suites::read_skew_checked(&PLAIN));
}

#[test]
fn an_interrupted_suite_is_no_pass_however_well_it_began() {
    let (mut suite, details) = suites::release_gate();
    (suite.exit_code, suite.exit_reason) = (130, "interrupted".into());
    let text = render(&(suite, details), &PLAIN);
    assert!(text.contains("\nSTOPPED  interrupted\n"), "{text}");
    assert!(!text.contains("\nPASS"));
}

#[test]
fn records_that_make_no_sense_are_printed_and_not_a_panic() {
    let (mut suite, mut details) = suites::lost_write_on_raft();
    let run = &mut suite.runs[0];
    for anomaly in run.judgements.iter_mut().flat_map(|judgement| &mut judgement.anomalies) {
        anomaly.culprit = OperationId(u32::MAX);
        anomaly.operations.clear();
    }
    let healed = run.faults[0].healed;
    run.faults[0].healed = run.faults[0].requested;
    run.faults[0].in_force = healed;
    let text = render(&(suite.clone(), details.clone()), &PLAIN);
    assert!(text.contains("COUNTEREXAMPLE"));

    for detail in details.values_mut() {
        detail.history.operations = Operations::default();
        detail.events.clear();
    }
    let run = &mut suite.runs[0];
    (run.load, run.load_began) = (Micros(0), Micros(0));
    (run.operations, run.audit, run.gates) = (vec![], vec![], vec![]);
    let text = render(&(suite, details), &PLAIN);
    assert!(text.contains("OPERATIONS  6 clients"));
    assert!(text.contains("none: no client completed or attempted anything"));
}

#[test]
fn the_guide_shows_nothing_that_no_report_prints() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let samples = ["pass.txt", "fail.txt", "undecided.txt", "check.txt", "gate.txt"];
    let samples = samples.map(|name| std::fs::read_to_string(root.join("samples").join(name)));
    let samples: String = samples.into_iter().map(Result::unwrap).collect();
    let guide = std::fs::read_to_string(root.join("../docs/reading-a-report.md")).unwrap();
    let blocks: Vec<&str> = guide.split("```text\n").skip(1).collect();
    assert!(blocks.len() > 5, "the guide lost its examples");
    for block in blocks {
        let shown = block.split("```").next().unwrap_or_default();
        let line = shown.lines().next().unwrap_or_default();
        assert!(samples.contains(shown), "no sample holds the block that begins with: {line}");
    }
}

#[test]
fn a_control_that_was_spared_a_fault_says_so_although_it_passed() {
    let (mut suite, details) = suites::release_gate();
    let control = suite.runs.iter_mut().find(|run| matches!(run.part, Part::Control { .. }));
    let of = FaultRecord::to_come(FaultId(4), "partition");
    let skipped = Effect::Skipped("waited 2s in vain for \"n3 leads\"".into());
    let skipped = FaultRecord { shape: "n3 alone".into(), effect: skipped, ..of };
    control.unwrap().faults.push(skipped);
    let text = render(&(suite, details), &PLAIN);
    let told = "\
    control, store raft under the same plan: passed, though not all took effect: fault 4 (partition:
    n3 alone) skipped: waited 2s in vain for \"n3 leads\"
";
    assert!(text.contains(told), "{text}");
    assert!(text.contains("1 of 2 faults took effect; fault 4 (partition: n3 alone)"), "{text}");
}

#[test]
fn a_suite_that_goes_on_or_was_killed_is_told_by_how_far_it_came() {
    let (mut suite, details) = suites::lost_write_on_raft();
    suite.planned = Some(59);
    let told = |alive| {
        let unfinished = Unfinished { process: Some(4711), alive };
        let detail = |run: &RunRecord| details.get(&run.name).cloned();
        text::unfinished(&suite, &unfinished, &detail, &PLAIN)
    };
    let running = told(true);
    let line = "\nSTILL RUNNING  process 4711: 2 of 59 runs done, 1 failed so far\n";
    assert_eq!(running.matches(line).count(), 2, "{running}");
    assert!(!running.contains("\nFAIL") && !running.contains("\nexit "), "{running}");
    let killed = told(false);
    let line = "\nENDED EARLY  process 4711 is gone: 2 of 59 runs done, 1 failed so far\n";
    assert!(killed.contains(line), "{killed}");
}

#[test]
fn a_canary_that_was_repeated_is_one_entry() {
    let (mut suite, details) = suites::release_gate();
    let canaries: Vec<RunRecord> = suite.runs.drain(2..).collect();
    for number in 1..=3 {
        let mut canary = canaries[0].clone();
        canary.name.push_str(&format!("-{number}"));
        let mut control = canaries[1].clone();
        control.part = Part::Control { of: canary.name.clone() };
        control.name = format!("{}-control", canary.name);
        if number == 2 {
            let of = FaultRecord::to_come(FaultId(2), "partition");
            control.faults.push(FaultRecord { shape: "n3 alone".into(), ..of });
        }
        suite.runs.extend([canary, control]);
    }
    let text = render(&(suite, details), &PLAIN);
    let told = "\
CANARIES  weakened on purpose; each must fail in the way that was predicted
  canary-two-leaders-1 to -3: 3 of 3 on store async, as predicted (lost-write): 31 lost writes in
                              each; each confirmed by brute force
    control, store raft under the same plan: 3 of 3 passed; though in 1 of them not all took effect:
    fault 2 (partition: n3 alone) skipped: the run ended first
";
    assert!(text.contains(told), "{text}");
}

#[test]
fn color_changes_no_column() {
    let sample = suites::lost_write_on_raft();
    let painted = render(&sample, &Style { charset: Charset::Unicode, color: true });
    assert!(painted.contains("\x1b[31mFAIL\x1b[0m"));
    let mut bare = painted;
    for code in ["\x1b[0m", "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[33m"] {
        bare = bare.replace(code, "");
    }
    assert_eq!(bare, render(&sample, &PLAIN));
}

#[test]
fn a_run_whose_files_are_gone_still_has_its_story() {
    let (suite, _) = suites::lost_write_on_raft();
    let text = text::suite(&suite, &|_| None, &PLAIN);
    assert!(text.contains("TIMELINE  not drawn"));
    assert!(text.contains("COUNTEREXAMPLE"));
    assert!(text.ends_with("exit 1: a violation was proven\n"));
}
