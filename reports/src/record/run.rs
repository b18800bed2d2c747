//! What came of a run, and of a suite of runs: `summary.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use splitbrain_workloads::history::Micros;
use splitbrain_workloads::operation::{Key, NodeId, OpKind, Reason};
use splitbrain_workloads::verdict::{AnomalyKind, Judgement, Verdict};

use super::coverage::CoverageRecord;
use super::event::FaultId;

/// A whole suite: what CI reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteRecord {
    /// [`SCHEMA_VERSION`](super::SCHEMA_VERSION) of the writer.
    pub schema_version: u32,
    /// The suite's name.
    pub suite: String,
    /// The seed of the plans, in hexadecimal.
    pub seed: String,
    /// When the suite began, RFC 3339. A label; nothing is computed from it.
    pub started: String,
    /// How long it took.
    pub took: Micros,
    /// Version of splitbrain.
    pub version: String,
    /// The command line that ran it.
    pub command: String,
    /// The run directory as the command line would name it, such as `runs/20261121-095148-release`.
    pub directory: String,
    /// Where it ran.
    pub host: HostRecord,
    /// The runs, in the order in which they were run.
    pub runs: Vec<RunRecord>,
    /// How many runs were to take place, if not all of them have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<u32>,
    /// The result over all runs.
    pub result: RunResult,
    /// The exit code of the command.
    pub exit_code: u8,
    /// The exit code in words, such as "every run met its expectation".
    pub exit_reason: String,
}

/// The machine of a run, for whoever compares two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostRecord {
    /// How many processors were available.
    pub processors: u32,
    /// Kernel name and release.
    pub kernel: String,
}

/// One run against its expectation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// Its name in the suite, unique there; also its folder in the suite's directory.
    pub name: String,
    /// Whether it stands for itself or supports a canary.
    pub part: Part,
    /// What was broken.
    pub target: TargetRecord,
    /// The workload in words, such as "register, 8 keys".
    pub workload: String,
    /// How many clients.
    pub clients: u16,
    /// Operations asked for per second, over all clients; `None` is as fast as they can.
    pub rate: Option<u32>,
    /// When an operation is given up.
    pub timeout: Micros,
    /// How long clients and faults were at work.
    pub load: Micros,
    /// When in the run the load began.
    pub load_began: Micros,
    /// What must come out.
    pub expectation: Expectation,
    /// What the checkers say of the history.
    pub verdict: Verdict,
    /// The verdict against the expectation.
    pub result: RunResult,
    /// The result in one line.
    pub why: String,
    /// What each checker says.
    pub judgements: Vec<Judgement>,
    /// Every gate with its rule and what was observed.
    pub gates: Vec<GateRecord>,
    /// Whether there was enough evidence.
    pub audit: Vec<AuditRecord>,
    /// The operations by kind.
    pub operations: Vec<CountedOperations>,
    /// Arrivals that found no free client.
    pub shed: u64,
    /// Every planned fault and what became of it.
    pub faults: Vec<FaultRecord>,
    /// Whom the faults hit and what the cluster was doing then, by kind and form.
    #[serde(default)]
    pub coverage: Vec<CoverageRecord>,
    /// From the heal of everything to every node having applied all that is committed.
    pub settled_after: Option<Micros>,
    /// The independent second opinion on the first anomaly.
    pub recheck: Option<Recheck>,
    /// What was known while the run went on, if that is worth a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<WatchRecord>,
    /// The run's folder, relative to the suite's directory.
    pub directory: String,
}

/// What was known of a run while it went on. It decides nothing: the verdict is the checkers'.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchRecord {
    /// The first that had no explanation, whatever came later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub violation: Option<EarlyViolation>,
    /// Why not everything was watched, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unwatched: Option<String>,
    /// That the run was stopped for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<StopRecord>,
}

/// A violation as it was known while the run went on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyViolation {
    /// Its name as far as it was known then.
    pub kind: AnomalyKind,
    /// What it happened to.
    pub key: Key,
    /// When the answer came that proved it.
    pub at: Micros,
    /// In a few words.
    pub what: String,
}

/// A run that was stopped before its load was over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopRecord {
    /// When the nodes were made to stand still.
    pub at: Micros,
    /// What the checkers had found in the history up to then, for which it was stopped.
    pub kind: AnomalyKind,
    /// Whose data was copied as it was.
    pub frozen: Vec<NodeId>,
    /// The name of the run's cluster: a store may want to know it before it opens such data.
    pub cluster: String,
    /// Why the data of others was not, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_frozen: Option<String>,
}

/// What a run is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// It stands for itself and must keep its promise.
    Proof,
    /// It must fail in a named way.
    Canary,
    /// The named canary's plan, seed and workload with its protection on; it must pass.
    Control {
        /// Name of the canary's run.
        of: String,
    },
    /// The named canary's target without its faults; it must not show the anomaly.
    Calm {
        /// Name of the canary's run.
        of: String,
    },
}

/// The system under test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetRecord {
    /// Its name, such as `store` or `etcd`.
    pub name: String,
    /// How many nodes.
    pub nodes: u16,
    /// What the suite set, such as `profile: raft`.
    pub settings: BTreeMap<String, String>,
    /// The version it reported.
    pub version: String,
    /// SHA-256 of its binary, in hexadecimal.
    pub binary: String,
}

/// What a run must come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// Every checker passes.
    Pass,
    /// This anomaly is proven, and it is the work of a fault.
    Fail(AnomalyKind),
    /// This anomaly is proven, and nothing had to go wrong for it.
    FailWithoutFaults(AnomalyKind),
}

impl Expectation {
    /// The anomaly that must be proven.
    pub fn anomaly(&self) -> Option<AnomalyKind> {
        match self {
            Expectation::Pass => None,
            Expectation::Fail(kind) | Expectation::FailWithoutFaults(kind) => Some(*kind),
        }
    }
}

/// The verdict of a run held against its expectation. Ordered by what must not be masked: the
/// result of a suite is the greatest of its runs'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunResult {
    /// It came out as expected, with enough evidence.
    Met,
    /// Nothing is proven wrong, but there is not enough evidence.
    Undecided,
    /// The machine or the environment ended it.
    Environment,
    /// A bug of the harness ended it.
    HarnessBug,
    /// It did not come out as expected, proven.
    NotMet,
}

/// A rule on a measure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateRecord {
    /// Its name, such as `recovery` or `linearizable`.
    pub name: String,
    /// The rule in words, such as "<= 3 s".
    pub rule: String,
    /// What was observed, in words.
    pub observed: String,
    /// Whether it held.
    pub outcome: GateOutcome,
}

/// Whether a gate held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateOutcome {
    /// It held.
    Held,
    /// It did not hold. For a canary's checker that is the purpose.
    Broken,
    /// There was nothing to measure, or the run ended before it could be.
    NotEvaluated,
}

/// One question of the audit: was there enough evidence?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRecord {
    /// The question's name, such as `faults-took-effect`.
    pub name: String,
    /// What is required, in words.
    pub rule: String,
    /// What was seen, in words.
    pub observed: String,
    /// Whether it suffices.
    pub enough: bool,
}

/// The operations of one kind, final reads left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountedOperations {
    /// Which kind.
    pub kind: OpKind,
    /// How many certainly happened.
    pub ok: u64,
    /// How many certainly did not.
    pub fail: u64,
    /// Of how many nobody knows.
    pub info: u64,
    /// Latency of the ok ones from their intended start: median.
    pub p50: Option<Micros>,
    /// 99th percentile.
    pub p99: Option<Micros>,
    /// The longest.
    pub max: Option<Micros>,
    /// Why operations did not end well, by reason, fail and info together.
    pub reasons: BTreeMap<Reason, u64>,
}

/// One fault: planned, observed, healed, and whether it bit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRecord {
    /// Its number in the plan.
    pub id: FaultId,
    /// Its kind in the registry, such as `kill`.
    pub kind: String,
    /// What was asked for, in words, such as "leader, for 1 s".
    pub shape: String,
    /// Which form of the kind, such as `isolate` of a partition; empty for a kind of one form.
    #[serde(default)]
    pub form: String,
    /// The nodes it hit.
    pub victims: Vec<NodeId>,
    /// Which of them led at that moment.
    pub leaders: Vec<NodeId>,
    /// The directed links it worked on.
    pub links: Vec<String>,
    /// What it did to them.
    #[serde(default)]
    pub on_links: OnLinks,
    /// Whether chance drew it from a mix, so that nothing is missing where it could not begin.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drawn: bool,
    /// Time from the start of the load at which it was to begin; `None` for a condition.
    pub planned: Option<Micros>,
    /// When the nemesis began.
    pub requested: Option<Micros>,
    /// When it was confirmed to be in force.
    pub in_force: Option<Micros>,
    /// When the nemesis began to heal it.
    pub heal_requested: Option<Micros>,
    /// When it was confirmed to be over.
    pub healed: Option<Micros>,
    /// The proof that it took hold, or why there is none.
    pub effect: Effect,
    /// The longest stretch, begun while the fault was in force, in which nobody's write succeeded
    /// though one was asked for; `None` when service was never lost or never came back. The exact
    /// definition stands in `measure/recovery.rs`.
    pub unavailable: Option<Micros>,
    /// From `healed` to the first success at every node.
    pub recovered_after: Option<Micros>,
    /// Acknowledged writes that are lost and that began between `requested` and `healed`, or before
    /// it outside any fault: what was acknowledged just before a kill is lost by the kill.
    pub lost_writes: Option<u64>,
}

impl FaultRecord {
    /// A fault of which nothing has happened yet: it has no times and hit nobody, and until
    /// somebody knows better its run ended before it could begin.
    pub fn to_come(id: FaultId, kind: &str) -> FaultRecord {
        FaultRecord {
            id,
            kind: kind.to_string(),
            shape: String::new(),
            form: String::new(),
            victims: Vec::new(),
            leaders: Vec::new(),
            links: Vec::new(),
            on_links: OnLinks::default(),
            drawn: false,
            planned: None,
            requested: None,
            in_force: None,
            heal_requested: None,
            healed: None,
            effect: Effect::Skipped("the run ended first".to_string()),
            unavailable: None,
            recovered_after: None,
            lost_writes: None,
        }
    }
}

/// What a fault does to the links it names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnLinks {
    /// Nothing passes.
    #[default]
    Cut,
    /// Nothing passes, and everything, by turns.
    CutByTurns,
    /// Everything passes, late or at a limited rate.
    Slowed,
    /// Their connections are torn down, and may be made again.
    Reset,
}

/// The observed proof that a fault took hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It took hold; the evidence in words.
    Seen(String),
    /// It was injected and nothing shows that it took hold.
    None(String),
    /// It was not injected.
    Skipped(String),
}

/// Whether the second judge agrees with the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Opinion {
    /// It finds the history impossible, too.
    Confirmed,
    /// It finds an order that explains everything. One of the two judges is wrong, which is a bug
    /// of the harness.
    Contradicted,
    /// The history is too large for it, or could not be given to it.
    NotGiven,
}

/// What the brute-force judge says of the minimal history of an anomaly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recheck {
    /// The minimal history, relative to the run's folder.
    pub file: String,
    /// What it comes to.
    pub opinion: Opinion,
    /// What it did, in words, such as "no order of 4 operations is legal (24 tried)".
    pub how: String,
}
