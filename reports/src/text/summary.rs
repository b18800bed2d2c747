//! The top of a report: the verdict in one sentence, every run in one line, every canary in a
//! few. Somebody who reads no further knows what was proven, or where to look.

use super::{table, words};
use crate::record::{Opinion, Part, RunRecord, RunResult, SuiteRecord};
use crate::units;

/// How many lines to copy the head has; each run has its own in its block.
const AGAIN_MAX: usize = 3;

/// What was run and what came of it.
pub(super) fn head(suite: &SuiteRecord) -> Vec<String> {
    let processors = units::counted(suite.host.processors.into(), "processor");
    let mut lines = table::wrapped(
        "",
        &format!(
            "splitbrain {} · suite {} · seed {} · {} · took {}",
            suite.version,
            suite.suite,
            suite.seed,
            suite.started,
            units::duration(suite.took)
        ),
    );
    lines.extend(table::wrapped(
        "",
        &format!("{} · {processors} · {}", suite.directory, suite.host.kernel),
    ));
    lines.extend(verdict(suite));
    lines
}

/// How it ended, in plain words: at the top, and again at the end of a long report.
pub(super) fn verdict(suite: &SuiteRecord) -> Vec<String> {
    let mut lines = vec![String::new()];
    let word = words::verdict_of_suite(suite);
    let indent = " ".repeat(word.len() + 2);
    for (place, sentence) in sentences(suite).iter().enumerate() {
        let first = if place == 0 { format!("{word}  ") } else { indent.clone() };
        lines.extend(table::wrapped(&first, sentence));
    }
    if suite.result == RunResult::NotMet && !words::was_stopped(suite) {
        lines.push(format!("{indent}To see it again:"));
        for run in failing(suite).into_iter().take(AGAIN_MAX) {
            // A line to copy is not broken, however long it is.
            lines
                .push(format!("{indent}  splitbrain replay {}/{}", suite.directory, run.directory));
        }
    }
    lines
}

/// The table of runs.
pub(super) fn runs(suite: &SuiteRecord) -> Vec<String> {
    if suite.runs.is_empty() {
        return Vec::new();
    }
    let rows: Vec<Vec<String>> = suite
        .runs
        .iter()
        .map(|run| {
            let (seen, planned) = words::faults_seen(run);
            vec![
                words::result(run.result).to_string(),
                run.name.clone(),
                words::part(&run.part).to_string(),
                words::target_and_settings(&run.target),
                units::count(words::operations(run)),
                if planned == 0 { "none".to_string() } else { format!("{seen} of {planned}") },
                words::finding(run),
            ]
        })
        .collect();
    let header = ["result", "run", "part", "target", "ops", "faults", "found"];
    let mut lines = vec![String::new(), "RUNS".to_string()];
    lines.extend(table::blank(&header, &rows, &[4], 1));
    lines
}

/// For each canary what it lost, and whether its control and its calm twin vouch for it.
pub(super) fn canaries(suite: &SuiteRecord) -> Vec<String> {
    let canaries = suite.runs.iter().filter(|run| run.part == Part::Canary);
    let mut lines = Vec::new();
    for canary in canaries {
        let Some(kind) = canary.expectation.anomaly() else { continue };
        lines.extend(table::wrapped(&format!("  {}: ", canary.name), &caught(canary, kind.name())));
        for run in &suite.runs {
            let sentence = match &run.part {
                Part::Control { of } if *of == canary.name => {
                    let target = words::target_in_full(&run.target);
                    format!("control, {target} under the same plan: {}", vouches(run))
                }
                Part::Calm { of } if *of == canary.name => {
                    let target = words::target_in_full(&run.target);
                    format!("calm, {target} without faults: {}", vouches(run))
                }
                _ => continue,
            };
            lines.extend(table::wrapped("    ", &sentence));
        }
    }
    if !lines.is_empty() {
        let title = "CANARIES  weakened on purpose; each must fail in the way that was predicted";
        lines.splice(0..0, [String::new(), title.to_string()]);
    }
    lines
}

fn caught(canary: &RunRecord, expected: &str) -> String {
    match canary.result {
        RunResult::Met => {
            let finding = words::finding(canary);
            let opinion = match &canary.recheck {
                Some(recheck) if recheck.opinion == Opinion::Confirmed => {
                    "; confirmed by brute force"
                }
                _ => "",
            };
            let target = words::target_in_full(&canary.target);
            format!("{finding} on {target}, as predicted ({expected}){opinion}")
        }
        _ => format!("{}: {}", words::result(canary.result), canary.why),
    }
}

fn vouches(run: &RunRecord) -> String {
    match run.result {
        RunResult::Met => match words::missed(run) {
            Some(missed) => format!("passed, though not all took effect: {missed}"),
            None => "passed".to_string(),
        },
        other => format!("{}: {}", words::result(other), run.why),
    }
}

/// The runs that decided the result of the suite.
fn failing(suite: &SuiteRecord) -> Vec<&RunRecord> {
    suite.runs.iter().filter(|run| run.result == suite.result).collect()
}

/// What was proven, in plain words.
fn sentences(suite: &SuiteRecord) -> Vec<String> {
    let failing = failing(suite);
    let all = units::counted(suite.runs.len() as u64, "run");
    if words::was_stopped(suite) {
        return vec![suite.exit_reason.clone()];
    }
    let mut sentences = match suite.result {
        RunResult::Met => return proven(suite),
        RunResult::NotMet => {
            vec![format!("{} of {all} did not come out as required:", failing.len())]
        }
        // Of canaries much may be proven; what lacks is evidence.
        RunResult::Undecided => vec![format!(
            "{} of {all} {} too little:",
            failing.len(),
            if failing.len() == 1 { "proves" } else { "prove" }
        )],
        RunResult::Environment => {
            vec![format!("{} of {all} ended by the machine, not by the store:", failing.len())]
        }
        RunResult::HarnessBug => {
            vec![format!("{} of {all} ended by a bug of splitbrain:", failing.len())]
        }
    };
    if failing.is_empty() {
        return vec![suite.exit_reason.clone()];
    }
    sentences.extend(failing.iter().map(|run| format!("{}: {}", run.name, run.why)));
    sentences
}

fn proven(suite: &SuiteRecord) -> Vec<String> {
    let proofs: Vec<&RunRecord> = suite.runs.iter().filter(|run| run.part == Part::Proof).collect();
    let canaries = suite.runs.iter().filter(|run| run.part == Part::Canary).count() as u64;
    let operations: u64 = proofs.iter().map(|run| words::operations(run)).sum();
    let faults: u64 = proofs.iter().map(|run| words::faults_seen(run).0).sum();
    let mut sentences = Vec::new();
    if !proofs.is_empty() {
        let mut targets: Vec<String> =
            proofs.iter().map(|run| words::target(&run.target)).collect();
        targets.sort();
        targets.dedup();
        // A green without faults is one, and must not look like more.
        let faults = match faults {
            0 => "and no fault took effect, so nothing was put to the test".to_string(),
            _ => format!("{} that took effect", units::counted(faults, "fault")),
        };
        sentences.push(format!(
            "{} kept every promise in {}: {}, {faults}.",
            targets.join(" and "),
            units::counted(proofs.len() as u64, "run"),
            units::counted(operations, "operation"),
        ));
    }
    if canaries > 0 {
        let (noun, verb) = if canaries == 1 { ("store", "was") } else { ("stores", "were") };
        sentences.push(format!(
            "{canaries} weakened {noun} {verb} caught as predicted, so this green could have been \
             red."
        ));
    }
    if sentences.is_empty() {
        sentences.push(suite.exit_reason.clone());
    }
    sentences
}
