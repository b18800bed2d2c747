//! Judges the run itself: did the faults bite, was there enough evidence?
//!
//! A checker that passes an empty history is right and worthless; this is where worthless passes
//! become `undecided`. It reads the history, the faults' records and the plan, and no verdict.
//! Every threshold stands in [`THRESHOLDS`], with its reason.

use std::collections::{BTreeMap, BTreeSet};

use splitbrain_reports::measure::coverage::{self, Coverage};
use splitbrain_reports::measure::fault_coverage::Hit;
use splitbrain_reports::record::{AuditRecord, Effect, FaultRecord};
use splitbrain_workloads::history::History;
use splitbrain_workloads::operation::OpKind;

use crate::suite::require::Requirement;

/// How much evidence a run must bring.
pub struct Thresholds {
    /// Operations of each kind that must have succeeded. Below ten, one client's start-up can be
    /// all there was of a kind.
    pub of_each_kind: u64,
    /// Lists are rare by design, since each is as long as the set; two bound an interval in which
    /// something can be missed.
    pub lists: u64,
    /// Compare-and-sets that swapped, and that were refused. Both branches must have been taken
    /// more than once to say anything of either.
    pub of_each_branch: u64,
    /// Operations that every node must have answered. One is enough to know that its clients
    /// reached it; how many more depends on how long a fault kept it away.
    pub by_each_node: u64,
    /// Operations that must have been open at a fault's victim while it was in force: a fault
    /// that nobody ran into tested nothing.
    pub into_each_fault: u64,
}

/// The thresholds of every run.
pub const THRESHOLDS: Thresholds = Thresholds {
    of_each_kind: 10,
    lists: 2,
    of_each_branch: 2,
    by_each_node: 1,
    into_each_fault: 1,
};

/// What the audit asks of.
pub struct Evidence<'a> {
    /// What the clients saw.
    pub history: &'a History,
    /// Every planned fault and what became of it.
    pub faults: &'a [FaultRecord],
    /// The kinds of operation that the workload makes.
    pub kinds: &'a [OpKind],
    /// The faults that took effect, and the circumstances.
    pub hits: &'a [Hit],
    /// What the suite wants them to have hit.
    pub require: &'a [Requirement],
    /// Whether the cluster settled after the heal, within its bound.
    pub settled: bool,
}

/// Asks every question.
pub fn audit(evidence: &Evidence<'_>) -> Vec<AuditRecord> {
    let coverage = Coverage::of(evidence.history);
    let mut records = vec![operations(&coverage, evidence.kinds)];
    if evidence.kinds.contains(&OpKind::CompareAndSet) {
        records.push(branches(&coverage));
    }
    records.push(nodes(&coverage));
    if !evidence.faults.is_empty() {
        records.push(effects(evidence.faults));
        records.push(traffic(evidence));
    }
    records.extend(evidence.require.iter().map(|required| covered(required, evidence.hits)));
    records.push(final_reads(evidence.history));
    records.push(AuditRecord {
        name: "settled".to_string(),
        rule: "every node applies all that is committed, after the heal".to_string(),
        observed: if evidence.settled { "yes" } else { "no" }.to_string(),
        enough: evidence.settled,
    });
    records
}

fn operations(coverage: &Coverage, kinds: &[OpKind]) -> AuditRecord {
    let ok = |kind: &OpKind| coverage.ok_by_kind.get(kind).copied().unwrap_or(0);
    let needed = |kind: &OpKind| match kind {
        OpKind::List | OpKind::ReadList => THRESHOLDS.lists,
        _ => THRESHOLDS.of_each_kind,
    };
    let rules = kinds.iter().map(|kind| format!("{kind} >= {}", needed(kind)));
    AuditRecord {
        name: "operations".to_string(),
        rule: listed(rules),
        observed: listed(kinds.iter().map(|kind| format!("{kind} {}", ok(kind)))),
        enough: kinds.iter().all(|kind| ok(kind) >= needed(kind)),
    }
}

fn branches(coverage: &Coverage) -> AuditRecord {
    let Coverage { swaps, mismatches, .. } = coverage;
    AuditRecord {
        name: "compare-and-set".to_string(),
        rule: format!("swaps and mismatches >= {} each", THRESHOLDS.of_each_branch),
        observed: format!("{swaps} swaps, {mismatches} mismatches"),
        enough: *swaps.min(mismatches) >= THRESHOLDS.of_each_branch,
    }
}

fn nodes(coverage: &Coverage) -> AuditRecord {
    let answered = &coverage.ok_by_node;
    AuditRecord {
        name: "nodes".to_string(),
        rule: format!("each answered >= {}", THRESHOLDS.by_each_node),
        observed: listed(answered.iter().map(|(node, count)| format!("{node} {count}"))),
        enough: answered.values().all(|count| *count >= THRESHOLDS.by_each_node),
    }
}

/// Every injected fault must have taken hold, and of each kind that the suite asks for at least
/// one: a kind that was only ever skipped was not tested. What chance drew from a mix and could not
/// begin is as if chance had not drawn it; it is named, and something must have taken hold all the
/// same. Whoever wants a kind of a mix for certain says so with `require`.
fn effects(faults: &[FaultRecord]) -> AuditRecord {
    let seen = |fault: &&FaultRecord| matches!(fault.effect, Effect::Seen(_));
    let without: Vec<String> = faults
        .iter()
        .filter(|fault| matches!(fault.effect, Effect::None(_)))
        .map(|fault| format!("#{} {}", fault.id.0, fault.kind))
        .collect();
    let is_skipped = |fault: &FaultRecord| matches!(fault.effect, Effect::Skipped(_));
    let asked = faults.iter().filter(|fault| !fault.drawn);
    let asked: BTreeSet<&str> = asked.map(|fault| fault.kind.as_str()).collect();
    let bit: BTreeSet<&str> = faults.iter().filter(seen).map(|fault| fault.kind.as_str()).collect();
    let skipped = faults.iter().filter(|fault| is_skipped(fault)).count();
    let mut observed = format!("{} of {}", faults.iter().filter(seen).count(), faults.len());
    if skipped > 0 {
        observed.push_str(&format!(", {skipped} skipped"));
    }
    if !without.is_empty() {
        observed.push_str(&format!("; no effect: {}", without.join(", ")));
    }
    let mut missing = asked.difference(&bit).peekable();
    let enough = without.is_empty() && missing.peek().is_none() && !bit.is_empty();
    for kind in missing {
        observed.push_str(&format!("; no {kind} took effect"));
    }
    let never: Vec<String> = faults
        .iter()
        .filter(|fault| fault.drawn && is_skipped(fault) && !bit.contains(fault.kind.as_str()))
        .map(|fault| format!("#{} {}", fault.id.0, fault.kind))
        .collect();
    if !never.is_empty() {
        observed.push_str(&format!("; drawn, and never begun: {}", never.join(", ")));
    }
    let rule = match faults.iter().all(|fault| fault.drawn) {
        true => "every injected one, and at least one",
        false => "every injected one, and one of each kind",
    };
    AuditRecord { name: "faults-took-effect".to_string(), rule: rule.to_string(), observed, enough }
}

/// While a fault is in force, somebody must run into it.
fn traffic(evidence: &Evidence<'_>) -> AuditRecord {
    let asked = evidence.faults.iter().flat_map(|fault| {
        let asked = coverage::asked_during(evidence.history, fault);
        asked.into_iter().map(|(node, count)| (count, node, fault.id.0))
    });
    let least = asked.min();
    AuditRecord {
        name: "traffic-into-faults".to_string(),
        rule: format!("operations open at each victim >= {}", THRESHOLDS.into_each_fault),
        observed: match least {
            Some((count, node, fault)) => format!("least {count}, {node} in fault {fault}"),
            None => "no fault was in force".to_string(),
        },
        enough: least.is_some_and(|(count, _, _)| count >= THRESHOLDS.into_each_fault),
    }
}

/// What the suite requires of its faults.
fn covered(required: &Requirement, hits: &[Hit]) -> AuditRecord {
    let count = required.count(hits);
    AuditRecord {
        name: "coverage".to_string(),
        rule: required.to_string(),
        observed: count.to_string(),
        enough: count >= required.at_least,
    }
}

/// Of each final question one must have been answered; another operation may have asked again.
fn final_reads(history: &History) -> AuditRecord {
    let mut questions: BTreeMap<String, bool> = BTreeMap::new();
    for operation in history.operations.iter().filter(|operation| operation.is_final) {
        let node = operation.node.filter(|_| operation.op.is_local());
        let question = format!("{} {node:?}", operation.op);
        *questions.entry(question).or_default() |= operation.reply().is_some();
    }
    let answered = questions.values().filter(|answered| **answered).count();
    AuditRecord {
        name: "final-reads".to_string(),
        rule: "every key and every node answered after the heal".to_string(),
        observed: format!("{answered} of {}", questions.len()),
        enough: answered > 0 && answered == questions.len(),
    }
}

fn listed(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use splitbrain_reports::record::FaultId;

    use super::*;

    fn fault(id: u32, kind: &str, drawn: bool, effect: Effect) -> FaultRecord {
        FaultRecord { drawn, effect, ..FaultRecord::to_come(FaultId(id), kind) }
    }

    fn seen() -> Effect {
        Effect::Seen("seen".to_string())
    }

    fn skipped() -> Effect {
        Effect::Skipped("nobody leads, waited 5 s".to_string())
    }

    #[test]
    fn a_kind_that_the_suite_asks_for_and_that_never_began_leaves_the_run_undecided() {
        let faults = [fault(1, "pause", false, seen()), fault(2, "kill", false, skipped())];
        let question = effects(&faults);
        assert!(!question.enough);
        assert_eq!(question.observed, "1 of 2, 1 skipped; no kill took effect");
    }

    #[test]
    fn a_kind_that_chance_drew_and_that_never_began_is_named_and_not_missed() {
        let faults = [fault(1, "pause", true, seen()), fault(2, "kill", true, skipped())];
        let question = effects(&faults);
        assert!(question.enough);
        assert_eq!(question.observed, "1 of 2, 1 skipped; drawn, and never begun: #2 kill");
        let nothing = effects(&[fault(1, "kill", true, skipped())]);
        assert!(!nothing.enough, "a mix of which nothing began tested nothing");
    }

    #[test]
    fn a_fault_that_was_drawn_and_injected_must_take_hold_like_any_other() {
        let none = Effect::None("n1 is still process 4".to_string());
        let faults = [fault(1, "pause", true, seen()), fault(2, "kill", true, none)];
        let question = effects(&faults);
        assert!(!question.enough);
        assert_eq!(question.observed, "1 of 2; no effect: #2 kill");
    }
}
