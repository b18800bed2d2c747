//! The sections CHECKERS, GATES and EVIDENCE: what was judged, by which rule, and what was seen.

use splitbrain_workloads::verdict::{AnomalyKind, Judgement};

use super::{table, words};
use crate::record::{GateOutcome, RunRecord, RunResult};
use crate::units;

/// What each checker says of the history, one line each and the reason in full.
/// With `counts` also what each of them counted.
pub(super) fn checkers(judgements: &[Judgement], counts: bool) -> Vec<String> {
    if judgements.is_empty() {
        return Vec::new();
    }
    let widest = judgements.iter().map(|judgement| judgement.checker.len()).max().unwrap_or(0);
    let mut lines = vec![String::new(), "CHECKERS".to_string()];
    for judgement in judgements {
        let verdict = judgement.verdict.to_string();
        let first = format!("  {:widest$}  {verdict:7}  ", judgement.checker);
        let found = words::all(&judgement.found);
        // A checker without words of its own lists names and numbers; once is enough.
        let is_list = !found.is_empty() && judgement.summary == by_name(judgement);
        lines.extend(table::wrapped(&first, if is_list { &found } else { &judgement.summary }));
        let indent = " ".repeat(first.len());
        // What was counted and is not there says nothing; summary.json has it.
        let counted = judgement.counts.iter().filter(|(_, number)| counts && **number > 0);
        let counted: Vec<_> =
            counted.map(|(name, number)| format!("{name} {}", units::count(*number))).collect();
        if !counted.is_empty() {
            lines.extend(table::wrapped(&indent, &format!("counted: {}", counted.join(", "))));
        }
        if !found.is_empty() && !is_list {
            lines.extend(table::wrapped(&indent, &format!("found: {found}")));
        }
    }
    let lost_by = |checker: &str| {
        let of = judgements.iter().find(|judgement| judgement.checker == checker)?;
        Some(of.found.get(&AnomalyKind::LostWrite).copied().unwrap_or(0))
    };
    if let (Some(all), Some(acknowledged)) = (lost_by("linearizable"), lost_by("lost-write"))
        && all > acknowledged
    {
        let text = "linearizable also counts as lost what nobody acknowledged and somebody read, \
                    lost-write only what was acknowledged";
        lines.extend(table::wrapped("  ", text));
    }
    lines
}

/// What was found as checkers put it: `2 stale-read, 1 phantom`.
fn by_name(judgement: &Judgement) -> String {
    let found = judgement.found.iter().map(|(kind, number)| format!("{number} {kind}"));
    found.collect::<Vec<_>>().join(", ")
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
            vec![gate.name.clone(), outcome.to_string(), gate.rule.clone(), gate.observed.clone()]
        })
        .collect();
    let mut lines = vec![String::new(), "GATES".to_string()];
    lines.extend(table::folded(&["gate", "result", "rule", "observed"], &rows));
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
                outcome.to_string(),
                question.rule.clone(),
                question.observed.clone(),
            ]
        })
        .collect();
    let mut lines = vec![String::new(), "EVIDENCE".to_string()];
    lines.extend(table::folded(&["question", "result", "required", "seen"], &rows));
    lines
}

#[cfg(test)]
mod tests {
    use splitbrain_workloads::verdict::Verdict;

    use super::*;
    use crate::samples::{judgement, lost_write};

    #[test]
    fn two_checkers_that_count_lost_writes_differently_are_told_apart() {
        let all = judgement("linearizable", Verdict::Fail, "", &[lost_write(0, "s/")]);
        let acknowledged = judgement("lost-write", Verdict::Pass, "none is lost", &[]);
        let told = |judgements: &[Judgement]| checkers(judgements, false).join(" ");
        assert!(told(&[all.clone(), acknowledged]).contains("what nobody acknowledged"));
        let same = judgement("lost-write", Verdict::Fail, "one", &[lost_write(0, "s/")]);
        assert!(!told(&[all, same]).contains("what nobody acknowledged"));
    }
}
