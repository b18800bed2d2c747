//! The top of a report: the verdict in one sentence, every run in one line, every canary in a
//! few. Somebody who reads no further knows what was proven, or where to look.

use std::collections::BTreeMap;

use splitbrain_workloads::verdict::AnomalyKind;

use super::{Unfinished, table, words};
use crate::record::{Opinion, Part, RunRecord, RunResult, SuiteRecord};
use crate::units;

/// How many lines to copy the head has; each run has its own in its block.
const AGAIN_MAX: usize = 3;

/// What was run and what came of it, or has so far.
pub(super) fn head(suite: &SuiteRecord, unfinished: Option<&Unfinished>) -> Vec<String> {
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
    lines.extend(match unfinished {
        Some(unfinished) => so_far(suite, unfinished),
        None => verdict(suite),
    });
    lines
}

/// A suite that has not come to its end: how far it is, and what is wrong already.
pub(super) fn so_far(suite: &SuiteRecord, unfinished: &Unfinished) -> Vec<String> {
    let process = match unfinished.process {
        Some(process) => format!("process {process}"),
        None => "its process".to_string(),
    };
    let (word, process) = match unfinished.alive {
        true => ("STILL RUNNING", process),
        false => ("ENDED EARLY", format!("{process} is gone")),
    };
    let done = suite.runs.len();
    let done = match suite.planned {
        Some(planned) => format!("{done} of {} done", units::counted(planned.into(), "run")),
        None => format!("{} done", units::counted(done as u64, "run")),
    };
    let count = |result| suite.runs.iter().filter(|run| run.result == result).count();
    let failed = match count(RunResult::NotMet) {
        0 => "none failed".to_string(),
        failed => format!("{failed} failed"),
    };
    let mut text = format!("{process}: {done}, {failed} so far");
    let others = suite.runs.len() - count(RunResult::NotMet) - count(RunResult::Met);
    if others > 0 {
        text.push_str(&format!(", {others} undecided"));
    }
    let mut lines = vec![String::new()];
    lines.extend(table::wrapped(&format!("{word}  "), &text));
    let indent = " ".repeat(word.len() + 2);
    for run in suite.runs.iter().filter(|run| run.result != RunResult::Met) {
        lines.extend(table::wrapped(&indent, &format!("{}: {}", run.name, run.why)));
    }
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
    let mut lines = Vec::new();
    for alike in repeated(suite) {
        let canary = alike[0];
        let Some(kind) = canary.expectation.anomaly() else { continue };
        if alike.len() > 1 {
            lines.extend(folded(suite, &alike, kind));
            continue;
        }
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

/// The canaries in order, those together that are one canary repeated and were all caught.
fn repeated(suite: &SuiteRecord) -> Vec<Vec<&RunRecord>> {
    let mut groups: Vec<Vec<&RunRecord>> = Vec::new();
    for run in suite.runs.iter().filter(|run| run.part == Part::Canary) {
        let alike = |group: &Vec<&RunRecord>| {
            let first = group[0];
            let base = base(&first.name);
            base.is_some() && base == base_of(run) && is_like(first, run)
        };
        match groups.iter_mut().find(|group| alike(group)) {
            Some(group) => group.push(run),
            None => groups.push(vec![run]),
        }
    }
    groups
}

fn base_of(run: &RunRecord) -> Option<&str> {
    base(&run.name)
}

/// The name of a repeated run without its number.
fn base(name: &str) -> Option<&str> {
    let (base, number) = name.rsplit_once('-')?;
    number.chars().all(|glyph| glyph.is_ascii_digit()).then_some(base)
}

fn is_like(one: &RunRecord, other: &RunRecord) -> bool {
    let caught = |run: &RunRecord| run.result == RunResult::Met;
    caught(one)
        && caught(other)
        && one.target == other.target
        && one.workload == other.workload
        && one.expectation == other.expectation
}

/// One entry for a canary that was repeated: how often it was caught, with how much, and its twins.
fn folded(suite: &SuiteRecord, canaries: &[&RunRecord], kind: AnomalyKind) -> Vec<String> {
    let (first, last) = (canaries[0], canaries[canaries.len() - 1]);
    let all = suite.runs.iter().filter(|run| run.part == Part::Canary);
    let all = all.filter(|run| base_of(run) == base_of(first)).count() as u64;
    let numbers = canaries
        .iter()
        .map(|run| words::found(&run.judgements).get(&kind).copied().unwrap_or_default());
    let (least, most) =
        numbers.fold((u64::MAX, 0), |(least, most), number| (least.min(number), most.max(number)));
    let found = match least == most {
        true => format!("{} in each", words::anomalies(most, kind)),
        false => format!("{} to {}", units::count(least), words::anomalies(most, kind)),
    };
    let confirmed = canaries.iter().filter(|run| is_confirmed(run)).count();
    let opinion = match confirmed {
        0 => String::new(),
        _ if confirmed == canaries.len() => "; each confirmed by brute force".to_string(),
        _ => format!("; {confirmed} of them confirmed by brute force"),
    };
    let number = last.name.rsplit_once('-').map_or("", |(_, number)| number);
    let text = format!(
        "{} of {} on {}, as predicted ({kind}): {found}{opinion}",
        canaries.len(),
        units::count(all),
        words::target_in_full(&first.target)
    );
    let mut lines = table::wrapped(&format!("  {} to -{number}: ", first.name), &text);
    let is_of = |of: &String| canaries.iter().any(|canary| canary.name == *of);
    let twins = |is_twin: &dyn Fn(&Part) -> bool| -> Vec<&RunRecord> {
        suite.runs.iter().filter(|run| is_twin(&run.part)).collect()
    };
    let controls = twins(&|part| matches!(part, Part::Control { of } if is_of(of)));
    let calm = twins(&|part| matches!(part, Part::Calm { of } if is_of(of)));
    for (what, under, runs) in
        [("control", "under the same plan", controls), ("calm", "without faults", calm)]
    {
        let Some(one) = runs.first() else { continue };
        let target = words::target_in_full(&one.target);
        let text = format!("{what}, {target} {under}: {}", vouch(&runs));
        lines.extend(table::wrapped("    ", &text));
    }
    lines
}

/// What several twins come to, and why faults did not take effect in some of them.
fn vouch(runs: &[&RunRecord]) -> String {
    let passed = runs.iter().filter(|run| run.result == RunResult::Met).count();
    let mut text = match runs.len() {
        1 => vouches(runs[0]),
        all => format!("{passed} of {all} passed"),
    };
    let mut missed: BTreeMap<String, u64> = BTreeMap::new();
    for why in runs.iter().filter(|_| runs.len() > 1).filter_map(|run| words::missed(run)) {
        *missed.entry(why).or_default() += 1;
    }
    for (why, times) in missed {
        text.push_str(&format!("; though in {} of them not all took effect: {why}", times));
    }
    text
}

fn is_confirmed(run: &RunRecord) -> bool {
    run.recheck.as_ref().is_some_and(|recheck| recheck.opinion == Opinion::Confirmed)
}

fn caught(canary: &RunRecord, expected: &str) -> String {
    match canary.result {
        RunResult::Met => {
            let finding = words::finding(canary);
            let opinion = match is_confirmed(canary) {
                true => "; confirmed by brute force",
                false => "",
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
