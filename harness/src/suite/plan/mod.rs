//! The plan of a run: everything that chance or a default decides, decided. What stays open is who
//! plays a role when it is time, and when a condition holds.
//!
//! A suite's run becomes one planned run, a canary three: itself, its control (the same plan, seed
//! and workload on the protected target), and, once for each weakened target and workload, a calm
//! run without faults, unless it fails without them. A planned run can be written as a suite ([`PlannedRun::to_suite`]), and the
//! plan of that suite is the same plan again.

mod mix;
mod text;

use std::collections::BTreeSet;

use rand::RngExt;
use splitbrain_reports::record::{Expectation, FaultId, Part};
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::{Seed, Stream};
use splitbrain_workloads::workload::WorkloadSpec;
use thiserror::Error;

use super::fault::FaultSpec;
use super::gates::Gates;
use super::problem::nearest;
use super::require::Requirement;
use super::schedule::{Condition, Follow, Keep, Schedule};
use super::stop::Stop;
use super::target::{TargetKind, TargetSpec};
use super::units::{Rate, Time};
use super::{Defaults, FORMAT_VERSION, Run, Suite, limits};
use crate::nemesis::{AnyFault, Instrument};

pub use text::render;

/// A run with nothing left to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRun {
    /// Its name, unique among the planned runs of a suite; also its folder.
    pub name: String,
    /// Whether it stands for itself or supports a canary.
    pub part: Part,
    /// What is broken, every setting given.
    pub target: TargetSpec,
    /// What the clients do.
    pub workload: WorkloadSpec,
    /// How many clients.
    pub clients: u16,
    /// How many operations they are asked for.
    pub rate: Rate,
    /// How long clients and faults are at work.
    pub duration: Time,
    /// When an operation is given up.
    pub timeout: Time,
    /// The root of its randomness; a control has its canary's.
    pub seed: Seed,
    /// The faults by number, which is by the time from which they may begin.
    pub faults: Vec<PlannedFault>,
    /// Whether a fault begins only when all of earlier moments have begun or were skipped.
    pub in_order: bool,
    /// Rules on measures.
    pub gates: Gates,
    /// How long a majority that is up and connected may leave its clients waiting, if asked for.
    pub liveness: Option<Time>,
    /// What the faults must have hit.
    pub require: Vec<Requirement>,
    /// When it ends.
    pub stop: Stop,
    /// What the verdict must be.
    pub expect: Expectation,
    /// For a canary: the target of its control.
    pub control: Option<TargetSpec>,
}

impl PlannedRun {
    /// What its nodes must be started with, so that its faults can reach them.
    pub fn instruments(&self) -> BTreeSet<Instrument> {
        self.faults.iter().filter_map(|planned| planned.fault.instrument()).collect()
    }
}

/// A fault with its time or condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedFault {
    /// Its number in the plan, from one.
    pub id: FaultId,
    /// What is broken, everything drawn.
    pub fault: AnyFault,
    /// When it begins.
    pub start: Start,
    /// When it is healed.
    pub end: End,
    /// Time from the start of the load at which its heal begins at the latest, and after which it
    /// does not begin.
    pub before: Option<Time>,
    /// What it must leave untouched, or it is skipped.
    pub keep: Option<Keep>,
    /// Whom it goes after while it is in force.
    pub follow: Option<Follow>,
    /// Whom it hits at its time when nobody who plays its role can be hit.
    pub otherwise: Option<NodeId>,
    /// Whether chance drew it from a mix.
    pub drawn: bool,
}

/// When a fault begins, in time from the start of the load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At this time.
    At(Time),
    /// As soon as the condition holds.
    When {
        /// What must hold.
        condition: Condition,
        /// Not before this time.
        from: Time,
        /// How long it is waited for from then on, before the fault is skipped.
        at_most: Time,
    },
}

/// When a fault is healed, in time since it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// After so long.
    After(Time),
    /// As soon as the condition holds.
    Until {
        /// What must hold.
        condition: Condition,
        /// After so long even if it does not.
        at_most: Time,
    },
}

/// No run of a suite matches what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "no run of the suite `{suite}` matches `{pattern}`\n  = note: its runs are {names}\n  = help: {help}"
)]
pub struct NothingSelected {
    pattern: String,
    suite: String,
    names: String,
    help: String,
}

/// The runs of a suite in the order in which they are run, planned from a seed. `only` is a pattern
/// on the names of the suite's runs, with `*` for anything and `?` for any one character; a canary
/// brings its control and its calm run along.
///
/// The suite must be one that [`parse`](super::parse) returned for the same kinds of target.
///
/// # Errors
///
/// [`NothingSelected`] when no run matches.
pub fn expand(
    suite: &Suite,
    kinds: &[TargetKind],
    seed: Seed,
    only: Option<&str>,
) -> Result<Vec<PlannedRun>, NothingSelected> {
    let mut planned: Vec<PlannedRun> = Vec::new();
    for run in suite.runs.iter().filter(|run| only.is_none_or(|only| matches(only, &run.name))) {
        // `validate` has made sure that a run has a target.
        let Some(target) = run.target.as_ref().or(suite.target.as_ref()) else { continue };
        let main = plan(suite, run, target.with_defaults(kinds), kinds, seed);
        let Some(target) = main.control.clone() else {
            planned.push(main);
            continue;
        };
        let control = PlannedRun {
            name: control_name(&main.name),
            part: Part::Control { of: main.name.clone() },
            target,
            gates: Gates::default(),
            liveness: None,
            require: Vec::new(),
            // What a twin vouches for it vouches for the whole of the run.
            stop: Stop::AtEnd,
            expect: Expectation::Pass,
            control: None,
            ..main.clone()
        };
        let calm = PlannedRun {
            name: calm_name(&main.name),
            part: Part::Calm { of: main.name.clone() },
            duration: main.duration.min(limits::CALM),
            faults: Vec::new(),
            target: main.target.clone(),
            ..control.clone()
        };
        let is_known = planned.iter().any(|run| {
            matches!(run.part, Part::Calm { .. })
                && run.target == calm.target
                && run.workload == calm.workload
        });
        // What fails by itself would fail in its calm run too; its control has no faults either.
        let needs_calm = !matches!(main.expect, Expectation::FailWithoutFaults(_));
        planned.push(main);
        planned.push(control);
        if needs_calm && !is_known {
            planned.push(calm);
        }
    }
    match (planned.is_empty(), only) {
        (true, Some(pattern)) => Err(nothing(suite, pattern)),
        _ => Ok(planned),
    }
}

/// The name of the control of a canary.
pub fn control_name(canary: &str) -> String {
    format!("{canary}-control")
}

/// The name of the run of a canary's target without faults.
pub fn calm_name(canary: &str) -> String {
    format!("{canary}-calm")
}

fn nothing(suite: &Suite, pattern: &str) -> NothingSelected {
    let names: Vec<&str> = suite.runs.iter().map(|run| run.name.as_str()).collect();
    let help = nearest(pattern, names.iter().copied())
        .map(|name| format!("did you mean `{name}`?"))
        .unwrap_or_else(|| "`*` stands for anything, as in `leader-*`".to_string());
    NothingSelected {
        pattern: pattern.to_string(),
        suite: suite.suite.clone(),
        names: names.join(", "),
        help,
    }
}

/// Whether a name matches a pattern of `*`, `?` and plain characters.
fn matches(pattern: &str, name: &str) -> bool {
    let mut pattern_rest = pattern.chars();
    match pattern_rest.next() {
        None => name.is_empty(),
        Some('*') => {
            let rest = pattern_rest.as_str();
            let ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
            rest.is_empty() || ends.into_iter().any(|at| matches(rest, &name[at..]))
        }
        Some(wanted) => {
            let mut name_rest = name.chars();
            name_rest.next().is_some_and(|c| c == wanted || wanted == '?')
                && matches(pattern_rest.as_str(), name_rest.as_str())
        }
    }
}

/// The load of a run, defaults filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) clients: u16,
    pub(super) rate: Rate,
    pub(super) duration: Time,
    pub(super) timeout: Time,
}

impl Load {
    pub(super) fn of(suite: &Suite, run: &Run) -> Load {
        let Defaults { clients, rate, duration, timeout } = suite.defaults;
        Load {
            clients: run.clients.unwrap_or(clients),
            rate: run.rate.unwrap_or(rate),
            duration: run.duration.unwrap_or(duration),
            timeout: run.timeout.unwrap_or(timeout),
        }
    }
}

fn plan(
    suite: &Suite,
    run: &Run,
    target: TargetSpec,
    kinds: &[TargetKind],
    seed: Seed,
) -> PlannedRun {
    let Load { clients, rate, duration, timeout } = Load::of(suite, run);
    let seed = run.seed.unwrap_or_else(|| seed.child(&run.name));
    PlannedRun {
        name: run.name.clone(),
        part: match run.expect {
            Expectation::Pass => Part::Proof,
            Expectation::Fail(_) | Expectation::FailWithoutFaults(_) => Part::Canary,
        },
        faults: plan_faults(run, target.nodes, duration, &mut seed.stream("plan")),
        in_order: run.in_order,
        target,
        workload: run.workload.clone(),
        clients,
        rate,
        duration,
        timeout,
        seed,
        gates: run.gates.clone(),
        liveness: run.liveness,
        require: run.require.clone(),
        stop: run.stop,
        expect: run.expect.clone(),
        control: run.control.as_ref().map(|control| control.with_defaults(kinds)),
    }
}

fn plan_faults(run: &Run, nodes: u16, duration: Time, rng: &mut Stream) -> Vec<PlannedFault> {
    let mut faults = Vec::new();
    for FaultSpec { fault, schedule } in &run.faults {
        for start in starts(schedule, duration, rng) {
            let fault = fault.draw(nodes, rng);
            faults.push(PlannedFault {
                id: FaultId(0),
                fault,
                start,
                end: end(schedule),
                before: schedule.before,
                keep: schedule.keep,
                follow: schedule.follow,
                otherwise: schedule.otherwise,
                drawn: schedule.drawn,
            });
        }
    }
    let drawn = run.mix.iter().flat_map(|drawn| mix::draw(drawn, nodes, duration, rng));
    faults.extend(drawn);
    // Stable: faults of the same moment keep the order of the suite.
    faults.sort_by_key(|fault| fault.start.earliest());
    for (number, fault) in (1..).zip(&mut faults) {
        fault.id = FaultId(number);
    }
    faults
}

fn starts(schedule: &Schedule, duration: Time, rng: &mut Stream) -> Vec<Start> {
    if let Some(condition) = &schedule.when {
        return vec![Start::When {
            condition: condition.clone(),
            from: schedule.at.unwrap_or(limits::LEAD_IN),
            at_most: schedule.at_most.unwrap_or(duration),
        }];
    }
    let first = schedule.at.unwrap_or(limits::LEAD_IN);
    let Some(every) = schedule.every else { return vec![Start::At(first)] };
    let last = latest_repetition(schedule, duration);
    let jitter = schedule.jitter.unwrap_or(Time::ZERO).as_millis();
    (0..repetitions(schedule, duration))
        .map(|number| {
            let regular =
                u64::from(first.as_millis()) + number as u64 * u64::from(every.as_millis());
            let regular = Time::from_millis(u32::try_from(regular).unwrap_or(u32::MAX));
            let shifted = regular.plus(Time::from_millis(rng.random_range(0..=jitter)));
            Start::At(shifted.min(last))
        })
        .collect()
}

fn end(schedule: &Schedule) -> End {
    match &schedule.until {
        Some(condition) => End::Until { condition: condition.clone(), at_most: longest(schedule) },
        None => End::After(longest(schedule)),
    }
}

/// The longest time that a fault can be in force.
pub(super) fn longest(schedule: &Schedule) -> Time {
    match schedule.until {
        Some(_) => schedule.at_most,
        None => schedule.lasts,
    }
    .unwrap_or(Time::ZERO)
}

/// The last moment at which a repeated fault can begin and be healed well before the end.
fn latest_repetition(schedule: &Schedule, duration: Time) -> Time {
    duration.minus(limits::TAIL).minus(longest(schedule))
}

/// How many faults a schedule comes to: one, unless it has `every`. Jitter does not change it.
pub(super) fn repetitions(schedule: &Schedule, duration: Time) -> usize {
    let Some(every) = schedule.every.filter(|every| !every.is_zero()) else { return 1 };
    let first = schedule.at.unwrap_or(limits::LEAD_IN);
    let last = latest_repetition(schedule, duration);
    if last < first {
        return 0;
    }
    (last.minus(first).as_millis() / every.as_millis()) as usize + 1
}

impl PlannedRun {
    /// The planned run as a suite of its own, which plans to the same run: what `plan.yaml` holds.
    /// A canary takes its control along; a control or calm run becomes a run that must pass.
    pub fn to_suite(&self, suite: &str) -> Suite {
        Suite {
            version: FORMAT_VERSION,
            suite: suite.to_string(),
            seed: None,
            target: None,
            defaults: Defaults::default(),
            runs: vec![Run {
                name: self.name.clone(),
                target: Some(self.target.clone()),
                workload: self.workload.clone(),
                clients: Some(self.clients),
                rate: Some(self.rate),
                duration: Some(self.duration),
                timeout: Some(self.timeout),
                seed: Some(self.seed),
                faults: self.faults.iter().map(PlannedFault::to_spec).collect(),
                mix: None,
                in_order: self.in_order,
                gates: self.gates.clone(),
                liveness: self.liveness,
                require: self.require.clone(),
                stop: self.stop,
                expect: self.expect.clone(),
                control: self.control.clone(),
            }],
        }
    }

    /// The randomness of a fault's resolution at injection: apart from the plan's, so that replay
    /// from a written plan draws the same.
    pub fn injection(&self, fault: FaultId) -> Stream {
        self.seed.stream(&format!("fault-{}", fault.0))
    }
}

impl PlannedFault {
    /// The fault as a suite writes it. A suite has one bound for both conditions; where a plan has
    /// two, the end's is written.
    fn to_spec(&self) -> FaultSpec {
        let PlannedFault { before, keep, follow, otherwise, drawn, .. } = *self;
        let mut schedule =
            Schedule { before, keep, follow, otherwise, drawn, ..Schedule::default() };
        match &self.start {
            Start::At(at) => schedule.at = Some(*at),
            Start::When { condition, from, at_most } => {
                schedule.at = Some(*from);
                schedule.when = Some(condition.clone());
                schedule.at_most = Some(*at_most);
            }
        }
        match &self.end {
            End::After(time) => schedule.lasts = Some(*time),
            End::Until { condition, at_most } => {
                schedule.until = Some(condition.clone());
                schedule.at_most = Some(*at_most);
            }
        }
        FaultSpec { fault: self.fault.clone(), schedule }
    }

    /// The fault and its end in words for the report, such as "leader, for 1s".
    pub fn shape(&self) -> String {
        let mut text = format!("{}, {}", self.fault.shape(), self.end);
        if let Some(before) = self.before {
            text.push_str(&format!(", not beyond {before}"));
        }
        match self.keep {
            Some(Keep::Majority) => text.push_str(", keeping a majority"),
            None => {}
        }
        match self.follow {
            Some(Follow::Leader) => text.push_str(", following the leader"),
            None => {}
        }
        if let Some(node) = self.otherwise {
            text.push_str(&format!(", otherwise {node}"));
        }
        text
    }
}

impl Start {
    /// The time from which it may begin.
    pub fn earliest(&self) -> Time {
        match self {
            Start::At(at) => *at,
            Start::When { from, .. } => *from,
        }
    }
}
