//! Whether a mix makes sense: every fault of it can be drawn, and every one fits into the run and
//! between the quiet windows.

use super::finding::{Findings, Path};
use super::schedule;
use crate::suite::mix::{Mix, weight};
use crate::suite::units::Time;
use crate::suite::{Run, limits, plan};

pub(super) fn check(
    findings: &mut Findings,
    run_path: &Path,
    run: &Run,
    nodes: u16,
    duration: Time,
) {
    let Some(mix) = &run.mix else { return };
    let path = run_path.key("mix");
    if !(1..=limits::FAULTS_MAX).contains(&usize::from(mix.at_most)) {
        findings
            .add(path.key("at_most"), format!("{} faults are out of range", mix.at_most))
            .label(format!("expected 1 to {}", limits::FAULTS_MAX));
    }
    if mix.pause > duration {
        findings
            .add(path.key("pause"), format!("a pause of {} is longer than the run", mix.pause))
            .label(format!("expected at most the duration of the load, {duration}"));
    }
    if mix.faults.is_empty() {
        findings
            .add(path.key("faults"), "a mix of no faults".to_string())
            .help("for example `- kill: { node: leader, for: 1s, weight: 3 }`");
    }
    for (index, spec) in mix.faults.iter().enumerate() {
        let kind = spec.fault.kind();
        let path = path.key("faults").index(index).key(kind);
        schedule::check_parameters(findings, &path, spec, nodes);
        let times = [
            ("at", spec.schedule.at.is_some()),
            ("every", spec.schedule.every.is_some()),
            ("jitter", spec.schedule.jitter.is_some()),
            ("when", spec.schedule.when.is_some()),
            ("before", spec.schedule.before.is_some()),
            ("otherwise", spec.schedule.otherwise.is_some()),
            ("drawn", spec.schedule.drawn),
        ];
        for (key, _) in times.iter().filter(|(_, given)| *given) {
            findings
                .add(path.name(key), format!("`{key}` has no place in a mix"))
                .label("the mix draws its faults and when they begin".to_string())
                .help("a fault with a time of its own goes into `faults`");
        }
        if !(1..=limits::WEIGHT_MAX).contains(&weight(spec)) {
            findings
                .add(path.key("weight"), "`weight` is out of range".to_string())
                .label(format!("expected 1 to {}", limits::WEIGHT_MAX));
        }
        schedule::check_end(findings, &path, spec, duration);
        schedule::check_length(findings, &path, spec, nodes);
        schedule::check_conditions(findings, &path, spec, nodes);
        fits(findings, &path, mix, plan::longest(&spec.schedule), duration);
    }
    check_quiet(findings, &path, mix, run);
}

/// Whether a fault that lasts so long can be placed at all.
fn fits(findings: &mut Findings, path: &Path, mix: &Mix, span: Time, duration: Time) {
    let room = duration.minus(limits::LEAD_IN).minus(limits::TAIL);
    if span > room {
        findings
            .add(path.clone(), format!("a fault of {span} does not fit into the run"))
            .label(format!("expected at most {room}: the load without lead-in and tail"));
        return;
    }
    let Some(quiet) = mix.quiet else { return };
    let room = quiet.every.minus(quiet.lasts).minus(limits::QUIET_HEAL);
    if span > room && quiet.lasts < quiet.every {
        findings
            .add(path.clone(), format!("a fault of {span} does not fit between quiet windows"))
            .label(format!("expected at most {room}, so that its heal is over in time"));
    }
}

fn check_quiet(findings: &mut Findings, path: &Path, mix: &Mix, run: &Run) {
    let Some(quiet) = mix.quiet else { return };
    if quiet.lasts.is_zero() || quiet.lasts >= quiet.every {
        findings
            .add(path.key("quiet"), "these windows leave no time, or take none".to_string())
            .label("expected `for` above 0s and below `every`".to_string());
    }
    if !run.faults.is_empty() {
        findings
            .add(path.name("quiet"), "quiet windows cannot be kept".to_string())
            .label("the faults of `faults` have times of their own".to_string())
            .help("put every fault of the run into the mix");
    }
}
