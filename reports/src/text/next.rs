//! The section NEXT: lines to copy, and the last line, which says the exit code.

use splitbrain_workloads::verdict::Verdict;

use crate::measure::shown::shown;
use crate::record::{RunRecord, RunResult, SuiteRecord};

/// Where to look and what to type after a run that did not come out as expected, or a canary.
pub(super) fn run(suite: &SuiteRecord, run: &RunRecord) -> Vec<String> {
    let folder = format!("{}/{}", suite.directory, run.directory);
    let mut lines = vec![String::new(), "NEXT".to_string()];
    lines.push(format!("  check again   splitbrain check {folder}"));
    lines.push(format!("  run again     splitbrain replay {folder}"));
    // Few operations do not always prove it, and then there is no file of them.
    if let Some(recheck) = run.recheck.as_ref().filter(|recheck| !recheck.file.is_empty()) {
        lines.push(format!("  minimal       splitbrain check {folder}/{}", recheck.file));
    }
    if let Some(shown) = shown(&run.judgements, run.expectation.anomaly()) {
        lines.push(format!("  what it is    splitbrain explain {}", shown.anomaly.kind));
    }
    if run.result != RunResult::Met {
        lines.push(format!("  how often     splitbrain repro {folder} -n 20"));
        if run.verdict == Verdict::Fail {
            lines.push(format!("  smallest      splitbrain shrink {folder}"));
        }
        let mut nodes: Vec<String> =
            run.faults.iter().flat_map(|fault| &fault.victims).map(ToString::to_string).collect();
        nodes.sort();
        nodes.dedup();
        let nodes = if let [one] = &nodes[..] { one.clone() } else { "n*".to_string() };
        lines.push(format!("  node logs     {folder}/nodes/{nodes}/stderr.log"));
    }
    lines
}

/// How to see this text again.
pub(super) fn suite(suite: &SuiteRecord) -> Vec<String> {
    vec![String::new(), format!("Print this again: splitbrain report {}", suite.directory)]
}

/// The exit code and its reason.
pub(super) fn exit(code: u8, reason: &str) -> Vec<String> {
    vec![String::new(), format!("exit {code}: {reason}")]
}
