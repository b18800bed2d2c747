//! The sections CHECKERS, GATES and EVIDENCE: what was judged, by which rule, and what was seen.

use splitbrain_workloads::verdict::Judgement;

use super::{table, words};
use crate::record::{GateOutcome, RunRecord, RunResult};
use crate::units;

/// What each checker says of the history, one line each and the reason in full.
pub(super) fn checkers(judgements: &[Judgement]) -> Vec<String> {
    if judgements.is_empty() {
        return Vec::new();
    }
    let widest = judgements.iter().map(|judgement| judgement.checker.len()).max().unwrap_or(0);
    let mut lines = vec![String::new(), "CHECKERS".to_string()];
    for judgement in judgements {
        let verdict = judgement.verdict.to_string();
        let first = format!("  {:widest$}  {verdict:7}  ", judgement.checker);
        lines.extend(table::wrapped(&first, &judgement.summary));
        let indent = " ".repeat(first.len());
        if !judgement.counts.is_empty() {
            let counts = judgement.counts.iter();
            let counts: Vec<_> =
                counts.map(|(name, number)| format!("{name} {}", units::count(*number))).collect();
            lines.extend(table::wrapped(&indent, &format!("counted: {}", counts.join(", "))));
        }
        let found = judgement.found.iter().filter(|(_, number)| **number > 0);
        let found: Vec<_> = found.map(|(kind, n)| words::anomalies(*n, *kind)).collect();
        if !found.is_empty() {
            lines.extend(table::wrapped(&indent, &format!("found: {}", found.join(", "))));
        }
    }
    lines
}

/// Every gate with its rule and what was observed.
pub(super) fn gates(run: &RunRecord) -> Vec<String> {
    if run.gates.is_empty() {
        return Vec::new();
    }
    let rows: Vec<Vec<String>> = run
        .gates
        .iter()
        .map(|gate| {
            let outcome = match gate.outcome {
                GateOutcome::Held => "held",
                // The result is met, so what is broken is what was to break.
                GateOutcome::Broken if run.result == RunResult::Met => "broken, as predicted",
                GateOutcome::Broken => "BROKEN",
                GateOutcome::NotEvaluated => "NOT EVALUATED",
            };
            vec![gate.name.clone(), gate.rule.clone(), gate.observed.clone(), outcome.to_string()]
        })
        .collect();
    let mut lines = vec![String::new(), "GATES".to_string()];
    lines.extend(table::blank(&["gate", "rule", "observed", "result"], &rows, &[], 2));
    lines
}

/// Every question of the audit.
pub(super) fn evidence(run: &RunRecord) -> Vec<String> {
    if run.audit.is_empty() {
        return Vec::new();
    }
    let rows: Vec<Vec<String>> = run
        .audit
        .iter()
        .map(|question| {
            let outcome = if question.enough { "enough" } else { "NOT ENOUGH" };
            vec![
                question.name.clone(),
                question.rule.clone(),
                question.observed.clone(),
                outcome.to_string(),
            ]
        })
        .collect();
    let mut lines = vec![String::new(), "EVIDENCE".to_string()];
    lines.extend(table::blank(&["question", "required", "seen", "result"], &rows, &[], 2));
    lines
}
