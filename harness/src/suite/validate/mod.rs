//! Whether a suite makes sense: everything that its form alone does not guarantee. All findings are
//! made at once; `yaml` gives them their places.

mod finding;
mod mix;
mod require;
mod schedule;
mod target;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use splitbrain_reports::record::Expectation;
use splitbrain_workloads::operation::Capability;
use splitbrain_workloads::workload::WorkloadSpec;

pub(super) use finding::{Finding, Step};
use finding::{Findings, Path};

use super::stop::{Stop, shows_early};
use super::target::{TargetKind, TargetSpec};
use super::units::{Rate, Time};
use super::{FORMAT_VERSION, Run, Suite, limits, plan};

/// Everything that makes no sense in a suite for these kinds of target; empty when all is well.
pub(super) fn validate(suite: &Suite, kinds: &[TargetKind]) -> Vec<Finding> {
    let mut findings = Findings::default();
    let root = Path::root();
    if suite.version != FORMAT_VERSION {
        findings
            .add(root.key("version"), format!("unknown version {} of the suite", suite.version))
            .label(format!("expected {FORMAT_VERSION}"))
            .help("this build reads one version; use the build that wrote the suite");
    }
    name(&mut findings, root.key("suite"), "suite", &suite.suite);
    if let Some(spec) = &suite.target {
        target::check(&mut findings, &root.key("target"), spec, kinds);
    }
    let defaults = root.key("defaults");
    let load = &suite.defaults;
    clients(&mut findings, defaults.key("clients"), load.clients);
    rate(&mut findings, defaults.key("rate"), load.rate);
    duration(&mut findings, defaults.key("duration"), load.duration);
    timeout(&mut findings, defaults.key("timeout"), load.timeout);
    if suite.runs.is_empty() {
        findings
            .add(root.key("runs"), "a suite needs at least one run".to_string())
            .help("a run is `- name: first`, `workload: register`, and its `faults`");
    }
    if suite.runs.len() > limits::RUNS_MAX {
        let message =
            format!("a suite has at most {} runs, got {}", limits::RUNS_MAX, suite.runs.len());
        findings.add(root.key("runs"), message).help("split it into several suites");
    }
    let mut names = BTreeSet::new();
    for (index, run) in suite.runs.iter().enumerate() {
        let path = root.key("runs").index(index);
        unique(&mut findings, &path, run, &mut names);
        check_run(&mut findings, &path, suite, run, kinds);
    }
    findings.into_list()
}

/// Names become folders, and those of controls and calm runs are made from their canary's.
fn unique(findings: &mut Findings, path: &Path, run: &Run, names: &mut BTreeSet<String>) {
    let mut taken = vec![run.name.clone()];
    if run.expect != Expectation::Pass {
        taken.extend([plan::control_name(&run.name), plan::calm_name(&run.name)]);
    }
    for name in taken {
        if !names.insert(name.clone()) {
            let message = match name == run.name {
                true => format!("the name `{name}` is taken by another run, or made for one"),
                false => format!("the name `{name}`, made for this canary, is taken"),
            };
            findings
                .add(path.key("name"), message)
                .help("names are folders of the run directory, so each is given once");
        }
    }
}

fn check_run(findings: &mut Findings, path: &Path, suite: &Suite, run: &Run, kinds: &[TargetKind]) {
    name(findings, path.key("name"), "run", &run.name);
    if let Some(value) = run.clients {
        clients(findings, path.key("clients"), value);
    }
    if let Some(value) = run.rate {
        rate(findings, path.key("rate"), value);
    }
    if let Some(value) = run.duration {
        duration(findings, path.key("duration"), value);
    }
    if let Some(value) = run.timeout {
        timeout(findings, path.key("timeout"), value);
    }
    let load = plan::Load::of(suite, run);
    if load.timeout > load.duration {
        let message =
            format!("the timeout of {} is longer than the load of {}", load.timeout, load.duration);
        let key = if run.timeout.is_some() { "timeout" } else { "duration" };
        findings.add(path.key(key), message).help("an operation would never be given up");
    }
    check_workload(findings, &path.key("workload"), &run.workload);
    if let Some(spec) = &run.target {
        target::check(findings, &path.key("target"), spec, kinds);
    }
    let Some(spec) = run.target.as_ref().or(suite.target.as_ref()) else {
        findings
            .add(path.clone(), format!("run `{}` has no target", run.name))
            .label("expected `target` here, or at the top of the suite".to_string());
        return;
    };
    for lacking in lacking(spec, kinds, &run.workload) {
        let message = format!(
            "the workload `{}` needs {lacking}, which the target `{}` cannot do",
            run.workload.name(),
            spec.kind
        );
        findings.add(path.key("workload"), message).help("see `splitbrain list workloads`");
    }
    if let Some(kind) = spec.kind_in(kinds) {
        target::check_faults(findings, path, run, kind);
        target::check_spares(findings, path, run, spec);
    }
    schedule::check(findings, path, run, spec.nodes, load.duration);
    mix::check(findings, path, run, spec.nodes, load.duration);
    require::check(findings, path, run, load.duration);
    if let Some(bound) = run.liveness.filter(|bound| bound.is_zero() || *bound >= load.duration) {
        findings
            .add(path.key("liveness"), format!("a wait of {bound} can never be judged"))
            .label(format!("expected more than 0s and less than the load of {}", load.duration));
    }
    if let Stop::Proven(kind) = run.stop
        && !shows_early(kind)
    {
        findings
            .add(path.key("stop"), format!("{kind} is only known when what is left is read"))
            .label("expected an anomaly that shows while the run goes on".to_string())
            .help("remove `stop`; the run then goes to its end");
    }
    for gate in run.gates.iter().filter(|gate| gate.metric.needs_faults() && run.is_calm()) {
        let message = format!("the gate on {} has nothing to measure", gate.metric);
        findings
            .add(path.key("gates").name(gate.metric.name()), message)
            .label("it is measured on faults, and this run has none".to_string())
            .help("add a fault, or remove the gate");
    }
    check_canary(findings, path, run, spec, kinds);
}

/// An expected failure proves the harness only with a control that differs in one switch.
fn check_canary(
    findings: &mut Findings,
    path: &Path,
    run: &Run,
    spec: &TargetSpec,
    kinds: &[TargetKind],
) {
    if let Some(control) = &run.control {
        target::check(findings, &path.key("control"), control, kinds);
    }
    match (&run.expect, &run.control) {
        (Expectation::Pass, None) => {}
        (Expectation::Pass, Some(_)) => {
            findings
                .add(path.name("control"), "a run that must pass has no control".to_string())
                .label("expected only beside `expect: { fail: ... }`".to_string())
                .help("say which anomaly must be found, or remove `control`");
        }
        (Expectation::Fail(kind) | Expectation::FailWithoutFaults(kind), None) => {
            findings
                .add(path.key("expect"), format!("the canary `{}` has no control", run.name))
                .label("an expected failure needs `control: <target>` beside it".to_string())
                .help(format!(
                    "name the target with its protection on, so that it is shown that {kind} \
                     comes from the switch and not from the harness"
                ));
        }
        (Expectation::Fail(_) | Expectation::FailWithoutFaults(_), Some(control)) => {
            target::check_control(findings, &path.key("control"), spec, control, kinds);
        }
    }
    if matches!(run.expect, Expectation::FailWithoutFaults(_)) && !run.is_calm() {
        findings
            .add(path.key("expect"), format!("the canary `{}` has faults", run.name))
            .label("expected to fail without any".to_string())
            .help("remove them, or say `fail` for what a fault must bring about");
    }
    if matches!(run.expect, Expectation::Fail(_)) && run.is_calm() {
        findings
            .add(path.key("expect"), format!("the canary `{}` has no faults", run.name))
            .label("expected to fail because of a fault".to_string())
            .help(
                "add the fault, or say `fail-without-faults` for what these settings do by \
                 themselves",
            );
    }
}

fn lacking(spec: &TargetSpec, kinds: &[TargetKind], workload: &WorkloadSpec) -> Vec<Capability> {
    let Some(kind) = spec.kind_in(kinds) else { return Vec::new() };
    let mut needs = workload.needs();
    needs.retain(|need| !kind.capabilities.contains(need));
    needs
}

fn name(findings: &mut Findings, path: Path, what: &str, name: &str) {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let starts = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if !starts || !name.chars().all(fits) || name.len() > limits::NAME_MAX {
        findings
            .add(path, format!("`{name}` cannot be the name of a {what}"))
            .label(format!(
                "expected 1 to {} of a-z, A-Z, 0-9, `-`, `_`, `.`, the first a letter or digit",
                limits::NAME_MAX
            ))
            .help("names become folders of the run directory");
    }
}

fn clients(findings: &mut Findings, path: Path, clients: u16) {
    let range = 1..=u32::from(limits::CLIENTS_MAX);
    number(findings, path, "clients", u32::from(clients), range);
}

fn rate(findings: &mut Findings, path: Path, rate: Rate) {
    if let Rate::PerSecond(rate) = rate {
        number(findings, path, "operations per second", rate, 1..=limits::RATE_MAX);
    }
}

fn duration(findings: &mut Findings, path: Path, duration: Time) {
    let range = limits::DURATION_MIN..=limits::DURATION_MAX;
    time(findings, path, "duration", duration, range);
}

fn timeout(findings: &mut Findings, path: Path, timeout: Time) {
    time(findings, path, "timeout", timeout, limits::TIMEOUT_MIN..=limits::TIMEOUT_MAX);
}

fn number(findings: &mut Findings, path: Path, what: &str, got: u32, range: RangeInclusive<u32>) {
    if !range.contains(&got) {
        findings.add(path, format!("{got} {what} is out of range")).label(format!(
            "expected {} to {}",
            range.start(),
            range.end()
        ));
    }
}

fn time(findings: &mut Findings, path: Path, what: &str, got: Time, range: RangeInclusive<Time>) {
    if !range.contains(&got) {
        findings.add(path, format!("a {what} of {got} is out of range")).label(format!(
            "expected {} to {}",
            range.start(),
            range.end()
        ));
    }
}

fn check_workload(findings: &mut Findings, path: &Path, spec: &WorkloadSpec) {
    match spec {
        WorkloadSpec::Register(register) => {
            let path = path.key("register");
            number(findings, path.key("keys"), "keys", register.keys, 1..=limits::KEYS_MAX);
            let (reads, swaps) = (register.reads, register.compare_and_sets);
            if u32::from(reads) + u32::from(swaps) > 100 {
                let message = format!(
                    "{reads} reads and {swaps} compare-and-sets are more than all operations"
                );
                findings
                    .add(path.clone(), message)
                    .label("expected at most 100 together".to_string())
                    .help("both count of 100 operations; what is left are writes");
            }
            if register.hot > 100 {
                findings
                    .add(path.key("hot"), format!("hot: {} is out of range", register.hot))
                    .label("expected 0 to 100: how many of 100 go to one key".to_string());
            }
        }
        WorkloadSpec::Set(set) => {
            let path = path.key("set");
            number(findings, path.key("lists"), "lists", set.lists, 0..=limits::LISTS_MAX);
            let range = 1..=limits::ELEMENTS_MAX;
            number(findings, path.key("elements"), "elements", set.elements, range);
        }
        other => {
            let Err(error) = other.validate() else { return };
            // Errors of workloads begin with the field.
            let (field, what) = error.split_once(": ").unwrap_or(("", &error));
            findings
                .add(path.key(other.name()).key(field), format!("{field} is out of range"))
                .label(what.to_string());
        }
    }
}
