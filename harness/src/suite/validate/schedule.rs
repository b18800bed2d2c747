//! Whether the faults of a run make sense: their parameters, and that each has a beginning and an
//! end within the run.

use splitbrain_workloads::seed::Seed;

use super::finding::{Findings, Path};
use crate::nemesis::{Selector, View};
use crate::suite::fault::FaultSpec;
use crate::suite::schedule::{Condition, Keep};
use crate::suite::units::Time;
use crate::suite::{Run, limits, plan};

pub(super) fn check(
    findings: &mut Findings,
    run_path: &Path,
    run: &Run,
    nodes: u16,
    duration: Time,
) {
    let mut planned = 0_usize;
    for (index, spec) in run.faults.iter().enumerate() {
        let kind = spec.fault.kind();
        let path = run_path.key("faults").index(index).key(kind);
        check_parameters(findings, &path, spec, nodes);
        check_before(findings, &path, spec);
        if spec.schedule.weight.is_some() {
            findings
                .add(path.name("weight"), "`weight` weighs nothing".to_string())
                .label("expected only in the faults of a `mix`".to_string());
        }
        check_start(findings, &path, spec, duration);
        check_end(findings, &path, spec, duration);
        check_length(findings, &path, spec, nodes);
        check_conditions(findings, &path, spec, nodes);
        planned = planned.saturating_add(plan::repetitions(&spec.schedule, duration));
    }
    planned += run.mix.as_ref().map_or(0, |mix| usize::from(mix.at_most));
    if planned > limits::FAULTS_MAX {
        let message = format!("{planned} faults are planned");
        findings
            .add(run_path.key("faults"), message)
            .label(format!("expected at most {} in one run", limits::FAULTS_MAX))
            .help("make `every` longer: so many cannot be told apart in a report");
    }
}

pub(super) fn check_parameters(findings: &mut Findings, path: &Path, spec: &FaultSpec, nodes: u16) {
    check_follow(findings, path, spec);
    check_keep(findings, path, spec, nodes);
    check_otherwise(findings, path, spec, nodes);
    for problem in spec.fault.problems(nodes) {
        let place = problem.keys.iter().fold(path.clone(), |path, key| path.key(key));
        findings.add(place, problem.message).help = problem.help;
    }
}

/// Only what is aimed at a leader can go after the next one.
fn check_follow(findings: &mut Findings, path: &Path, spec: &FaultSpec) {
    if spec.schedule.follow.is_some() && !spec.fault.is_aimed_at_the_leader() {
        findings
            .add(
                path.name("follow"),
                format!("this {} is not aimed at the leader", spec.fault.kind()),
            )
            .label("expected only where `leader` is the selector".to_string());
    }
}

/// Only what is aimed at one role can have a stand-in, and it must be a node.
fn check_otherwise(findings: &mut Findings, path: &Path, spec: &FaultSpec, nodes: u16) {
    let Some(node) = spec.schedule.otherwise else { return };
    if !matches!(spec.fault.aimed_at(), Some(Selector::Leader | Selector::Follower)) {
        findings
            .add(
                path.name("otherwise"),
                format!("this {} is not aimed at a role", spec.fault.kind()),
            )
            .label("expected only where the selector is `leader` or `follower`".to_string());
    } else if node.0 > nodes {
        findings
            .add(path.key("otherwise"), format!("the cluster has no node `{node}`"))
            .label(format!("expected a node from `n1` to `n{nodes}`"));
    }
}

/// How often a fault is resolved on paper to see whether it could ever leave a majority. What does
/// not go by chance is told by the first, and two ways of equal odds by so many.
const TRIALS: u64 = 16;

/// Whether the fault by itself could ever leave a majority.
fn check_keep(findings: &mut Findings, path: &Path, spec: &FaultSpec, nodes: u16) {
    let whole = View::whole(nodes);
    let leaves_one = |trial| {
        let mut rng = Seed(trial).stream("validate");
        let action = spec.fault.draw(nodes, &mut rng).resolve(&whole, &mut rng);
        action.is_ok_and(|action| Keep::Majority.leaves(&whole, &*action))
    };
    if spec.schedule.keep == Some(Keep::Majority) && !(0..TRIALS).any(leaves_one) {
        findings
            .add(
                path.name("keep"),
                format!("this {} never leaves a majority of {nodes}", spec.fault.kind()),
            )
            .label("it would always be skipped".to_string())
            .help("aim at fewer nodes, or leave `keep` out");
    }
}

fn check_before(findings: &mut Findings, path: &Path, spec: &FaultSpec) {
    let Some(before) = spec.schedule.before else { return };
    if spec.schedule.every.is_some() {
        findings
            .add(path.name("before"), "`before` and `every` exclude each other".to_string())
            .label("expected only beside `at` or `when`".to_string());
    } else if spec.schedule.at.unwrap_or(limits::LEAD_IN) >= before {
        findings
            .add(
                path.key("before"),
                format!("this {} would be over before it begins", spec.fault.kind()),
            )
            .label("expected more than `at`, or than the lead-in".to_string());
    }
}

fn check_start(findings: &mut Findings, path: &Path, spec: &FaultSpec, duration: Time) {
    let kind = spec.fault.kind();
    let schedule = &spec.schedule;
    if schedule.at.is_none() && schedule.every.is_none() && schedule.when.is_none() {
        findings
            .add(path.clone(), format!("this {kind} never begins"))
            .label("expected one of `at`, `every`, `when`".to_string())
            .help("for example `at: 2s`");
    }
    if let Some(at) = schedule.at.filter(|at| *at >= duration) {
        findings
            .add(path.key("at"), format!("this {kind} would begin at {at}, after the end"))
            .label(format!("expected less than the duration of the load, {duration}"));
    }
    if schedule.every.is_some() && schedule.when.is_some() {
        findings
            .add(path.name("when"), "`when` and `every` exclude each other".to_string())
            .label("a repetition has times, a condition has none".to_string())
            .help("write the fault several times, each with its own `when`");
    }
    if let (Some(_), None) = (schedule.jitter, schedule.every) {
        findings
            .add(path.name("jitter"), "`jitter` shifts nothing".to_string())
            .label("expected only beside `every`".to_string());
    }
    let Some(every) = schedule.every else { return };
    if every.is_zero() {
        zero(findings, path, "every");
        return;
    }
    let span = plan::longest(schedule);
    let busy = span.plus(schedule.jitter.unwrap_or(Time::ZERO));
    if every <= busy {
        findings
            .add(path.key("every"), format!("this {kind} would begin again before it has ended"))
            .label(format!("expected more than {busy}, its time in force and its jitter"));
    } else if plan::repetitions(schedule, duration) == 0 && schedule.when.is_none() {
        let first = schedule.at.unwrap_or(limits::LEAD_IN);
        findings
            .add(path.key("every"), format!("this {kind} does not fit into the run even once"))
            .label(format!(
                "the first, at {first} for {span}, must end {} before the end at {duration}",
                limits::TAIL
            ))
            .help("make the run longer or the fault shorter, or give it a single `at`");
    }
}

/// Whether the fault is in force for long enough to show an effect at all.
pub(super) fn check_length(findings: &mut Findings, path: &Path, spec: &FaultSpec, nodes: u16) {
    let (longest, shortest) = (plan::longest(&spec.schedule), spec.fault.shortest(nodes));
    if !longest.is_zero() && longest < shortest {
        let key = if spec.schedule.lasts.is_some() { "for" } else { "at_most" };
        findings
            .add(
                path.key(key),
                format!("{longest} is too short for this {} to take effect", spec.fault.kind()),
            )
            .label(format!("expected {shortest} or more, for its turns"))
            .help("make it longer, or its turns shorter");
    }
}

pub(super) fn check_end(findings: &mut Findings, path: &Path, spec: &FaultSpec, duration: Time) {
    let kind = spec.fault.kind();
    let schedule = &spec.schedule;
    match (schedule.lasts, &schedule.until) {
        (None, None) => {
            findings
                .add(path.clone(), format!("this {kind} never ends"))
                .label("expected `for`, or `until` with `at_most`".to_string())
                .help("for example `for: 1s`; every fault is healed before the run ends");
        }
        (Some(_), Some(_)) => {
            findings
                .add(path.name("until"), "`for` and `until` exclude each other".to_string())
                .label("expected one of them".to_string())
                .help("`until` is bounded by `at_most`");
        }
        _ => {}
    }
    if schedule.lasts.is_some_and(Time::is_zero) {
        zero(findings, path, "for");
    }
    if schedule.at_most.is_some_and(Time::is_zero) {
        zero(findings, path, "at_most");
    }
    let conditional = schedule.when.is_some() || schedule.until.is_some();
    match (schedule.at_most, conditional) {
        (None, true) => {
            let key = if schedule.until.is_some() { "until" } else { "when" };
            findings
                .add(path.name(key), format!("`{key}` has no bound"))
                .label("expected `at_most` beside it".to_string())
                .help("a condition may never hold; `at_most: 10s` says when to give up");
        }
        (Some(_), false) => {
            findings
                .add(path.name("at_most"), "`at_most` bounds nothing".to_string())
                .label("expected only beside `when` or `until`".to_string());
        }
        _ => {}
    }
    for (key, time) in [("for", schedule.lasts), ("at_most", schedule.at_most)] {
        if let Some(time) = time.filter(|time| *time > duration) {
            findings
                .add(path.key(key), format!("`{key}` of {time} is longer than the run"))
                .label(format!("expected at most the duration of the load, {duration}"));
        }
    }
}

pub(super) fn check_conditions(findings: &mut Findings, path: &Path, spec: &FaultSpec, nodes: u16) {
    let conditions = [("when", &spec.schedule.when), ("until", &spec.schedule.until)];
    for (key, condition) in conditions {
        let Some(condition) = condition else { continue };
        let path = path.key(key);
        check_condition(findings, &path, condition, nodes);
        if key == "when" {
            let victim = [
                ("acknowledged_by_victim", condition.acknowledged_by_victim.is_some()),
                ("other_leader", condition.other_leader),
            ];
            for (name, _) in victim.iter().filter(|(_, given)| *given) {
                findings
                    .add(path.name(name), format!("`{name}` cannot be waited for before a fault"))
                    .label("there is no victim yet".to_string())
                    .help("use it with `until`");
            }
        }
        let acknowledges = condition.acknowledged_by_victim.is_some() && key == "until";
        if acknowledges && !spec.fault.victim_serves() {
            findings
                .add(
                    path.name("acknowledged_by_victim"),
                    format!("no client hears from the victim of this {}", spec.fault.kind()),
                )
                .label("this never holds".to_string())
                .help("use a partition of scope `peers`, whose victim's clients still reach it");
        }
    }
}

fn check_condition(findings: &mut Findings, path: &Path, condition: &Condition, nodes: u16) {
    if condition.is_empty() {
        findings
            .add(path.clone(), "a condition asks for nothing".to_string())
            .label("expected such as `{ other_leader: true }`".to_string());
    }
    if let Some(node) = condition.leader_is.filter(|node| node.0 > nodes) {
        findings
            .add(path.key("leader_is"), format!("the cluster has no node `{node}`"))
            .label(format!("expected a node from `n1` to `n{nodes}`"));
    }
    if condition.other_leader && nodes == 1 {
        findings.add(
            path.name("other_leader"),
            "a cluster of one node has no other leader".to_string(),
        );
    }
    let counts = [
        ("acknowledged", condition.acknowledged),
        ("acknowledged_by_victim", condition.acknowledged_by_victim),
    ];
    for (key, count) in counts {
        if count.is_some_and(|count| !(1..=limits::ACKNOWLEDGED_MAX).contains(&count)) {
            findings
                .add(path.key(key), format!("`{key}` is out of range"))
                .label(format!("expected 1 to {}", limits::ACKNOWLEDGED_MAX));
        }
    }
}

fn zero(findings: &mut Findings, path: &Path, key: &str) {
    findings
        .add(path.key(key), format!("`{key}` is no time at all"))
        .label("expected more than 0s".to_string());
}
