//! Whether the requirements of a run can be satisfied by its faults at all: one that cannot would
//! make every run undecided.

use std::collections::BTreeSet;

use splitbrain_reports::record::{ClusterState, Expectation, VictimRole};

use super::finding::{Findings, Path};
use crate::nemesis::{AnyFault, Selector};
use crate::suite::fault::FaultSpec;
use crate::suite::problem::similar;
use crate::suite::require::Requirement;
use crate::suite::units::Time;
use crate::suite::{Run, limits, plan};

pub(super) fn check(findings: &mut Findings, run_path: &Path, run: &Run, duration: Time) {
    let planned = |spec: &FaultSpec| plan::repetitions(&spec.schedule, duration) as u64;
    // Chance may draw any of a mix each time.
    let drawn = run.mix.as_ref().map_or(0, |mix| u64::from(mix.at_most));
    let all: u64 = run.faults.iter().map(planned).sum::<u64>() + drawn;
    if !run.require.is_empty() && run.expect != Expectation::Pass {
        findings
            .add(run_path.name("require"), "a canary requires no coverage".to_string())
            .label("expected only in a run that must pass".to_string())
            .help("the anomaly that it must show is its evidence");
    }
    for (index, required) in run.require.iter().enumerate() {
        let path = run_path.key("require").index(index);
        if !(1..=limits::FAULTS_MAX as u64).contains(&required.at_least) {
            findings
                .add(path.key("at_least"), "`at_least` is out of range".to_string())
                .label(format!("expected 1 to {}", limits::FAULTS_MAX));
            continue;
        }
        if !is_planned(findings, &path, run, required) {
            continue;
        }
        let fits = |spec: &&FaultSpec| may_hit(&spec.fault, required);
        let may_be_drawn = run.mix.iter().flat_map(|mix| &mix.faults).any(|spec| fits(&spec));
        let fitting: u64 = run.faults.iter().filter(fits).map(planned).sum();
        let fitting = fitting + if may_be_drawn { drawn } else { 0 };
        if fitting < required.at_least {
            let message = format!("`{required}` can never be reached");
            findings
                .add(path.key("at_least"), message)
                .label(match fitting {
                    0 => "no fault of this run is aimed so".to_string(),
                    _ => format!("only {fitting} of the faults of this run could count"),
                })
                .help("plan more faults of this kind, or require fewer");
        }
        let needs_another =
            matches!(required.cluster, Some(ClusterState::OtherFault | ClusterState::Recovering));
        if needs_another && all < 2 {
            findings
                .add(path.key("while"), format!("`{required}` can never be reached"))
                .label("this run has one fault, and this needs another one".to_string())
                .help("plan a second fault, or leave `while` out");
        }
    }
}

/// Whether a fault of the kind and form is planned, told if not.
fn is_planned(findings: &mut Findings, path: &Path, run: &Run, required: &Requirement) -> bool {
    let kinds: BTreeSet<&str> = run.possible_faults().map(|spec| spec.fault.kind()).collect();
    if !kinds.contains(required.fault.as_str()) {
        findings
            .add(path.key("fault"), format!("this run has no fault `{}`", required.fault))
            .label(match kinds.is_empty() {
                true => "it has no faults".to_string(),
                false => format!("expected one of {}", listed(&kinds)),
            })
            .help = similar(&required.fault, kinds.iter().copied());
        return false;
    }
    let Some(form) = &required.form else { return true };
    let of_kind = run.possible_faults().filter(|spec| spec.fault.kind() == required.fault);
    let forms: BTreeSet<&str> =
        of_kind.map(|spec| spec.fault.form()).filter(|form| !form.is_empty()).collect();
    let known = forms.contains(form.as_str());
    if !known {
        findings
            .add(
                path.key("form"),
                format!("no {} of this run has the form `{form}`", required.fault),
            )
            .label(match forms.is_empty() {
                true => "this kind has one form".to_string(),
                false => format!("expected one of {}", listed(&forms)),
            })
            .help = similar(form, forms.iter().copied());
    }
    known
}

/// Whether a planned fault may come to count. A selector by name or by chance may hit any role.
fn may_hit(fault: &AnyFault, required: &Requirement) -> bool {
    let is_meant = fault.kind() == required.fault
        && required.form.as_ref().is_none_or(|form| form == fault.form());
    is_meant
        && match (required.hits, fault.aimed_at()) {
            (Some(role), Some(Selector::Leader)) => role == VictimRole::Leader,
            (Some(role), Some(Selector::Follower)) => role != VictimRole::Leader,
            _ => true,
        }
}

fn listed(names: &BTreeSet<&str>) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
