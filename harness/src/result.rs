//! Turns verdicts into results, and results into an exit code.
//!
//! A verdict belongs to a history, a result to a run against its expectation: a canary whose
//! verdict is `fail (lost-write)` has met it. What is decided here is decided in one place and
//! without I/O, so that every row of the table can be tested.

use splitbrain_reports::record::{
    AuditRecord, Effect, Expectation, FaultRecord, GateOutcome, GateRecord, Part, RunRecord,
    RunResult,
};
use splitbrain_workloads::history::{History, Micros};
use splitbrain_workloads::verdict::{AnomalyKind, Judgement, Verdict};

/// A run's result and the one line that explains it.
pub type Decision = (RunResult, String);

/// What a run is decided on.
pub struct Facts<'a> {
    /// What must come out.
    pub expectation: &'a Expectation,
    /// What the checkers say, together.
    pub verdict: Verdict,
    /// What each checker says.
    pub judgements: &'a [Judgement],
    /// Every gate.
    pub gates: &'a [GateRecord],
    /// Every question of the audit.
    pub audit: &'a [AuditRecord],
    /// Every fault.
    pub faults: &'a [FaultRecord],
    /// What the clients saw.
    pub history: &'a History,
}

/// Decides a run by itself. A canary's control and calm twin are held against it afterwards, by
/// [`with_twins`].
pub fn decide(facts: &Facts<'_>) -> Decision {
    match facts.expectation {
        Expectation::Pass => pass(facts),
        Expectation::Fail(kind) => fail(facts, *kind),
    }
}

fn pass(facts: &Facts<'_>) -> Decision {
    if facts.verdict == Verdict::Fail {
        return (RunResult::NotMet, found(facts.judgements));
    }
    if let Some(gate) = facts.gates.iter().find(|gate| gate.outcome == GateOutcome::Broken) {
        let why = format!("gate {}: {} is not {}", gate.name, gate.observed, gate.rule);
        return (RunResult::NotMet, why);
    }
    match doubt(facts) {
        Some(doubt) => (RunResult::Undecided, doubt),
        None => (RunResult::Met, "every checker and every gate passed".to_string()),
    }
}

fn fail(facts: &Facts<'_>, kind: AnomalyKind) -> Decision {
    if count(facts.judgements, kind) == 0 {
        // Without proof that the faults took hold, staying green says nothing of the store.
        let unproven = facts.faults.iter().find(|f| !matches!(f.effect, Effect::Seen(_)));
        return match (facts.verdict, unproven) {
            (Verdict::Fail, _) => {
                let why = format!("expected {kind}, found {}", found(facts.judgements));
                (RunResult::NotMet, why)
            }
            (Verdict::Unknown, _) => (RunResult::Undecided, unknown(facts.judgements)),
            (Verdict::Pass, Some(fault)) => {
                let why = format!("no {kind}, but fault {} had no proven effect", fault.id.0);
                (RunResult::Undecided, why)
            }
            (Verdict::Pass, None) => {
                (RunResult::NotMet, format!("stayed green: no {kind} although every fault bit"))
            }
        };
    }
    match first_effect(facts.faults) {
        Some(effect) if begins_after(facts, kind, effect) => {
            (RunResult::Met, format!("found {kind}, as predicted"))
        }
        Some(_) => {
            let why = format!("every {kind} began before the first fault took hold");
            (RunResult::NotMet, why)
        }
        None => (RunResult::Undecided, format!("found {kind}, but no fault took hold")),
    }
}

/// Holds a canary against its control and its calm twin: what it found is the work of the faults
/// and of the switch that was off only if neither twin shows it.
pub fn with_twins(canary: &RunRecord, twins: &[&RunRecord]) -> Decision {
    let own = (canary.result, canary.why.clone());
    if canary.result != RunResult::Met {
        return own;
    }
    for twin in twins.iter().filter(|twin| twin.result != RunResult::Met) {
        let part = match twin.part {
            Part::Control { .. } => "control",
            _ => "calm twin",
        };
        let why = format!("{}, but its {part} {} did not pass", own.1, twin.name);
        return (RunResult::Undecided, why);
    }
    match twins {
        [] => own,
        _ => (RunResult::Met, format!("{}; control and calm twin passed", own.1)),
    }
}

/// Why there is not enough evidence, if so.
fn doubt(facts: &Facts<'_>) -> Option<String> {
    if facts.verdict == Verdict::Unknown {
        return Some(unknown(facts.judgements));
    }
    if let Some(question) = facts.audit.iter().find(|question| !question.enough) {
        let AuditRecord { name, observed, rule, .. } = question;
        return Some(format!("not enough evidence, {name}: {observed}, needed {rule}"));
    }
    let gate = facts.gates.iter().find(|gate| gate.outcome == GateOutcome::NotEvaluated)?;
    Some(format!("gate {} had nothing to measure", gate.name))
}

fn unknown(judgements: &[Judgement]) -> String {
    let undecided = judgements.iter().find(|judgement| judgement.verdict == Verdict::Unknown);
    match undecided {
        Some(judgement) => format!("{}: {}", judgement.checker, judgement.summary),
        None => "nothing was checked".to_string(),
    }
}

/// All anomalies in one line, such as "3 lost-write, 1 divergence".
fn found(judgements: &[Judgement]) -> String {
    let kinds = AnomalyKind::ALL.iter().map(|kind| (count(judgements, *kind), kind));
    let kinds = kinds.filter(|(count, _)| *count > 0);
    kinds.map(|(count, kind)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ")
}

/// How often an anomaly was found; two checkers that find the same one do not add up.
fn count(judgements: &[Judgement], kind: AnomalyKind) -> u64 {
    judgements.iter().filter_map(|judgement| judgement.found.get(&kind)).copied().max().unwrap_or(0)
}

fn first_effect(faults: &[FaultRecord]) -> Option<Micros> {
    let bit = faults.iter().filter(|fault| matches!(fault.effect, Effect::Seen(_)));
    bit.filter_map(|fault| fault.in_force).min()
}

fn begins_after(facts: &Facts<'_>, kind: AnomalyKind, effect: Micros) -> bool {
    let anomalies = facts.judgements.iter().flat_map(|judgement| &judgement.anomalies);
    anomalies.filter(|anomaly| anomaly.kind == kind).any(|anomaly| {
        let culprit = facts.history.operations.get(anomaly.culprit.0 as usize);
        culprit.is_some_and(|operation| operation.invoked.at >= effect)
    })
}

/// Why the command ended as it did. The numbers are an interface; scripts and CI read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Every run met its expectation and every gate.
    Met = 0,
    /// A violation was proven, a gate was broken, or a canary stayed green with its faults
    /// proven.
    NotMet = 1,
    /// Usage or suite error; nothing was run.
    Usage = 2,
    /// Nothing proven wrong, not enough evidence.
    Undecided = 3,
    /// A port, a binary, a privilege, a full disk, a node killed by somebody else.
    Environment = 4,
    /// A bug in the harness.
    HarnessBug = 70,
    /// Interrupted by SIGINT, after cleaning up, nothing proven.
    Interrupted = 130,
    /// Ended by SIGTERM, after cleaning up, nothing proven.
    Terminated = 143,
}

impl ExitCode {
    /// Every code, in the order in which help lists them.
    pub const ALL: [ExitCode; 8] = [
        ExitCode::Met,
        ExitCode::NotMet,
        ExitCode::Usage,
        ExitCode::Undecided,
        ExitCode::Environment,
        ExitCode::HarnessBug,
        ExitCode::Interrupted,
        ExitCode::Terminated,
    ];

    /// The code of a suite's result.
    pub fn of(result: RunResult) -> ExitCode {
        match result {
            RunResult::Met => ExitCode::Met,
            RunResult::NotMet => ExitCode::NotMet,
            RunResult::Undecided => ExitCode::Undecided,
            RunResult::Environment => ExitCode::Environment,
            RunResult::HarnessBug => ExitCode::HarnessBug,
        }
    }

    /// The sentence behind the number.
    pub fn meaning(self) -> &'static str {
        match self {
            ExitCode::Met => "every run met its expectation and every gate",
            ExitCode::NotMet => {
                "a violation was proven, a gate was broken, or a canary stayed green"
            }
            ExitCode::Usage => "usage or suite error; nothing was run",
            ExitCode::Undecided => "undecided: nothing proven wrong, not enough evidence",
            ExitCode::Environment => "the environment: a port, a binary, a privilege, a full disk",
            ExitCode::HarnessBug => "a bug in the harness",
            ExitCode::Interrupted => "interrupted, after cleaning up; nothing proven",
            ExitCode::Terminated => "terminated, after cleaning up; nothing proven",
        }
    }
}

/// The result over several runs: nothing masks a proven violation, and no runs prove nothing.
pub fn over(results: impl Iterator<Item = RunResult>) -> RunResult {
    results.max().unwrap_or(RunResult::Undecided)
}
