//! Whether a target is one that there is, and a control the twin of its canary.

use super::finding::{Findings, Path};
use crate::suite::Run;
use crate::suite::limits;
use crate::suite::problem::similar;
use crate::suite::target::{Need, SPARES, TargetKind, TargetSpec};

pub(super) fn check(findings: &mut Findings, path: &Path, spec: &TargetSpec, kinds: &[TargetKind]) {
    let Some(kind) = spec.kind_in(kinds) else {
        let finding = findings
            .add(path.name(&spec.kind), format!("unknown target `{}`", spec.kind))
            .label(one_of(kinds.iter().map(|kind| kind.name.as_str())));
        finding.help = similar(&spec.kind, kinds.iter().map(|kind| kind.name.as_str()));
        return;
    };
    let path = path.key(&spec.kind);
    let before = findings.len();
    if !(1..=limits::NODES_MAX).contains(&spec.nodes) {
        findings
            .add(path.key("nodes"), format!("a cluster of {} nodes is out of range", spec.nodes))
            .label(format!("expected 1 to {}", limits::NODES_MAX))
            .help("each node is a process on this machine");
    }
    for (name, value) in &spec.settings {
        let Some(setting) = kind.settings.iter().find(|setting| setting.name == *name) else {
            let mut known = vec!["nodes"];
            known.extend(kind.settings.iter().map(|setting| setting.name.as_str()));
            known.extend(kind.switches.is_some().then_some("set"));
            findings
                .add(path.name(name), format!("the target `{}` has no `{name}`", kind.name))
                .label(one_of(known.iter().copied()))
                .help = similar(name, known.iter().copied());
            continue;
        };
        let values: Vec<&str> = setting.values.iter().map(String::as_str).collect();
        if !values.is_empty() && !values.contains(&value.as_str()) {
            findings
                .add(path.key(name), format!("unknown {name} `{value}`"))
                .label(one_of(values.iter().copied()))
                .help = similar(value, values.iter().copied());
        }
    }
    check_switches(findings, &path, spec, kind);
    check_needs(findings, &path, spec, kind);
    if findings.len() == before {
        check_sense(findings, &path, spec, kind);
    }
}

/// Whether the target itself would start so: it knows its values, and which do not go together.
fn check_sense(findings: &mut Findings, path: &Path, spec: &TargetSpec, kind: &TargetKind) {
    let Err(why) = (kind.sense.0)(spec) else { return };
    let (why, help) = match why.split_once("; help: ") {
        Some((why, help)) => (why, Some(help)),
        None => (why.as_str(), None),
    };
    let at = if spec.set.is_empty() { path.clone() } else { path.key("set") };
    let finding = findings.add(at, format!("the target `{}` would not start so", kind.name));
    finding.label(why.to_string());
    if let Some(help) = help {
        finding.help(help);
    }
}

fn check_switches(findings: &mut Findings, path: &Path, spec: &TargetSpec, kind: &TargetKind) {
    let known: Vec<&str> = kind.switches.iter().flatten().map(String::as_str).collect();
    for name in spec.set.keys().filter(|name| !known.contains(&name.as_str())) {
        let finding = findings.add(
            path.key("set").name(name),
            format!("the target `{}` has no switch `{name}`", kind.name),
        );
        if !known.is_empty() {
            finding.label(one_of(known.iter().copied()));
        }
        finding.help = similar(name, known.iter().copied());
    }
}

/// Whether every switch has the setting that it needs, and no setting is there for nothing.
fn check_needs(findings: &mut Findings, path: &Path, spec: &TargetSpec, kind: &TargetKind) {
    for Need { switch, value, setting, why } in &kind.needs {
        let wanted = spec.set.get(*switch).is_some_and(|set| set == value);
        if wanted && !spec.settings.contains_key(*setting) {
            let values = kind.settings.iter().find(|known| known.name == *setting);
            let values: Vec<&str> =
                values.into_iter().flat_map(|known| &known.values).map(String::as_str).collect();
            findings
                .add(path.key("set").key(switch), format!("`{switch}: {value}` needs `{setting}`"))
                .label(why.to_string())
                .help(format!("beside `set`, say `{setting}: {}`", values.join(" or ")));
        } else if !wanted && spec.settings.contains_key(*setting) {
            findings
                .add(path.name(setting), format!("`{setting}` is of no use here"))
                .label(format!("expected it beside `set: {{ {switch}: {value} }}` alone"));
        }
    }
}

/// Whether the target can be put under the faults of a run.
pub(super) fn check_faults(findings: &mut Findings, path: &Path, run: &Run, kind: &TargetKind) {
    let own = run.faults.iter().map(|spec| (path.key("faults"), spec)).enumerate();
    let drawn = run.mix.iter().flat_map(|mix| &mix.faults);
    let drawn = drawn.map(|spec| (path.key("mix").key("faults"), spec)).enumerate();
    for (index, (faults, spec)) in own.chain(drawn) {
        let (name, shape, form) = (spec.fault.kind(), spec.fault.shape(), spec.fault.form());
        let Some(refusal) = kind.refuses.iter().find(|refusal| refusal.covers(name, form, &shape))
        else {
            continue;
        };
        let finding = findings.add(
            faults.index(index).key(name),
            format!("the target `{}` cannot be put under this {name}", kind.name),
        );
        finding.label(refusal.why.to_string());
        if let Some(possible) = refusal.unless {
            finding.help(format!("`{possible}` is possible"));
        }
    }
}

/// Whether there is a spare for every fault that needs one.
pub(super) fn check_spares(findings: &mut Findings, path: &Path, run: &Run, spec: &TargetSpec) {
    if spec.settings.contains_key(SPARES) {
        return;
    }
    let own = run.faults.iter().map(|spec| (path.key("faults"), spec)).enumerate();
    let drawn = run.mix.iter().flat_map(|mix| &mix.faults);
    let drawn = drawn.map(|spec| (path.key("mix").key("faults"), spec)).enumerate();
    for (index, (faults, fault)) in own.chain(drawn).filter(|(_, (_, f))| f.fault.needs_spare()) {
        let name = fault.fault.kind();
        let shape = fault.fault.shape();
        findings
            .add(
                faults.index(index).key(name),
                format!("`{name}: {shape}` needs a node that is no member at first"),
            )
            .label("expected a target with a spare".to_string())
            .help(format!("for example `{}: {{ nodes: {}, spares: 1 }}`", spec.kind, spec.nodes));
    }
}

/// A control is its canary with one setting or switch different.
pub(super) fn check_control(
    findings: &mut Findings,
    path: &Path,
    canary: &TargetSpec,
    control: &TargetSpec,
    kinds: &[TargetKind],
) {
    let (canary, control) = (canary.with_defaults(kinds), control.with_defaults(kinds));
    if canary.kind != control.kind || canary.nodes != control.nodes {
        findings
            .add(path.clone(), format!("the control is no twin of its canary: {control}"))
            .label(format!("expected one switch different from {canary}"));
        return;
    }
    let differ = |a: &std::collections::BTreeMap<String, String>,
                  b: &std::collections::BTreeMap<String, String>| {
        let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
        names.sort();
        names.dedup();
        names.into_iter().filter(|name| a.get(*name) != b.get(*name)).count()
    };
    let different = differ(&canary.settings, &control.settings) + differ(&canary.set, &control.set);
    if different == 0 {
        findings
            .add(path.clone(), "the control is equal to its canary's target".to_string())
            .label(format!("expected one switch different from {canary}"))
            .help("turn on the protection that the canary lacks");
    } else if different > 1 {
        findings
            .add(path.clone(), format!("the control differs in {different} switches: {control}"))
            .label(format!("expected one switch different from {canary}"))
            .help("with several, nobody knows which of them protects");
    }
}

fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => "there is none".to_string(),
        [only] => format!("expected {only}"),
        _ => format!("expected one of {}", names.join(", ")),
    }
}
