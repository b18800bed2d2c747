//! Suites: what people write, made into runs that are known to make sense, and plans that say
//! exactly what will be done.
//!
//! ```text
//! text --yaml--> Suite --validate--> Suite (sound) --plan(seed)--> [PlannedRun]
//!                  ^                                                   |
//!                  +------------------- plan.yaml ---------------------+
//! ```
//!
//! Everything here is pure: no process, no socket, no clock, no file but the built-in suite. The
//! form is described key by key in docs/suite-reference.md. A planned run can be written as a
//! suite of its own, which is how a run is replayed: replay is run.

pub mod fault;
pub mod gates;
pub mod limits;
pub mod mix;
pub mod plan;
mod problem;
pub mod require;
pub mod schedule;
pub mod stop;
mod tagged;
pub mod target;
#[cfg(test)]
pub(crate) mod tests;
pub mod units;
mod validate;
mod yaml;

use serde::{Deserialize, Serialize};
use splitbrain_reports::record::Expectation;
use splitbrain_workloads::seed::Seed;
use splitbrain_workloads::workload::WorkloadSpec;

use fault::FaultSpec;
use gates::Gates;
use mix::Mix;
use require::Requirement;
use stop::Stop;
use target::{TargetKind, TargetSpec};
use units::{Rate, Time};

pub use problem::{Problem, SuiteError};
pub use yaml::write;

use crate::scalar;

/// The version of the suite format that this build reads and writes.
pub const FORMAT_VERSION: u32 = 1;

/// A suite as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// [`FORMAT_VERSION`] of the writer; people leave it out.
    #[serde(default = "format_version")]
    pub version: u32,
    /// Its name.
    pub suite: String,
    /// The seed of the plans when the command line gives none.
    #[serde(
        default,
        deserialize_with = "scalar::read_some",
        skip_serializing_if = "Option::is_none"
    )]
    pub seed: Option<Seed>,
    /// The target of every run that names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetSpec>,
    /// What every run takes that does not say otherwise.
    #[serde(default, skip_serializing_if = "Defaults::is_default")]
    pub defaults: Defaults,
    /// The runs, in the order in which they are run.
    pub runs: Vec<Run>,
}

impl Suite {
    /// The keys at the top of a suite.
    pub const KEYS: [&'static str; 6] = ["version", "suite", "seed", "target", "defaults", "runs"];
}

fn format_version() -> u32 {
    FORMAT_VERSION
}

/// What every run of a suite takes that does not say otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Defaults {
    /// How many clients.
    pub clients: u16,
    /// How many operations they are asked for.
    pub rate: Rate,
    /// How long clients and faults are at work.
    pub duration: Time,
    /// When an operation is given up.
    pub timeout: Time,
}

impl Default for Defaults {
    fn default() -> Self {
        Defaults {
            clients: limits::CLIENTS,
            rate: limits::RATE,
            duration: limits::DURATION,
            timeout: limits::TIMEOUT,
        }
    }
}

impl Defaults {
    fn is_default(&self) -> bool {
        *self == Defaults::default()
    }
}

/// One run of a suite as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Its name, unique in the suite; also its folder.
    pub name: String,
    /// What is broken; the suite's target when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetSpec>,
    /// What the clients do.
    #[serde(deserialize_with = "tagged::read")]
    pub workload: WorkloadSpec,
    /// How many clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<u16>,
    /// How many operations they are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// How long clients and faults are at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Time>,
    /// When an operation is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Time>,
    /// The seed of exactly this run, instead of one made from the suite's seed and the name.
    #[serde(
        default,
        deserialize_with = "scalar::read_some",
        skip_serializing_if = "Option::is_none"
    )]
    pub seed: Option<Seed>,
    /// What goes wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultSpec>,
    /// What else goes wrong, by chance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mix: Option<Mix>,
    /// Whether a fault begins only when all of earlier moments have begun or were skipped: what
    /// the plan of a replay says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_order: bool,
    /// Rules on measures.
    #[serde(default, skip_serializing_if = "Gates::is_empty")]
    pub gates: Gates,
    /// How long a majority that is up and connected may leave its clients waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Time>,
    /// What the faults must have hit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<Requirement>,
    /// When it ends.
    #[serde(default, deserialize_with = "tagged::read", skip_serializing_if = "Stop::is_default")]
    pub stop: Stop,
    /// What the verdict must be.
    #[serde(default = "pass", deserialize_with = "tagged::read", skip_serializing_if = "is_pass")]
    pub expect: Expectation,
    /// For a run that must fail: the target that differs in one switch and must pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<TargetSpec>,
}

impl Run {
    /// Whether nothing goes wrong in it.
    pub fn is_calm(&self) -> bool {
        self.faults.is_empty() && self.mix.is_none()
    }

    /// Every fault that it may plan: those with times of their own, then those of its mix.
    pub fn possible_faults(&self) -> impl Iterator<Item = &FaultSpec> {
        self.faults.iter().chain(self.mix.iter().flat_map(|mix| &mix.faults))
    }
}

fn pass() -> Expectation {
    Expectation::Pass
}

fn is_pass(expectation: &Expectation) -> bool {
    *expectation == Expectation::Pass
}

/// Reads a suite and makes sure that it makes sense for these kinds of target. `file` names the
/// text in messages.
///
/// # Errors
///
/// [`SuiteError`] with every problem found and its place: the first one of the form, or all of
/// the meaning.
pub fn parse(file: &str, text: &str, kinds: &[TargetKind]) -> Result<Suite, SuiteError> {
    let fail = |problems| SuiteError::new(file, text, problems);
    let suite = yaml::read(text).map_err(|problem| SuiteError::of_form(file, text, problem))?;
    let findings = validate::validate(&suite, kinds);
    if findings.is_empty() {
        return Ok(suite);
    }
    Err(fail(findings.into_iter().map(|finding| yaml::locate(text, finding)).collect()))
}

/// The suites of stores that are broken on purpose: their file names and texts.
pub fn canaries() -> [(&'static str, &'static str); 2] {
    [
        ("plants.yaml", include_str!("../../../workloads/suites/plants.yaml")),
        ("protections.yaml", include_str!("../../../workloads/suites/protections.yaml")),
    ]
}

/// The built-in release gate: its file name and its text.
pub fn builtin() -> (&'static str, &'static str) {
    ("release.yaml", include_str!("../../../workloads/suites/release.yaml"))
}
