//! Turns verdicts into results, and results into an exit code.
//!
//! A verdict belongs to a history, a result to a run against its expectation: a canary whose
//! verdict is `fail (lost-write)` has met it. What is decided here is decided in one place and
//! without I/O, so that every row of the table can be tested.

use splitbrain_reports::record::{
    AuditRecord, Effect, Expectation, FaultRecord, GateOutcome, GateRecord, Part, RunRecord,
    RunResult, StopRecord,
};
use splitbrain_reports::text;
use splitbrain_reports::units;
use splitbrain_workloads::history::{History, Micros};
use splitbrain_workloads::verdict::{AnomalyKind, Judgement, Verdict};

use crate::nemesis::{Fault as _, Promote};

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
        Expectation::FailWithoutFaults(kind) => fail_without_faults(facts, *kind),
    }
}

fn pass(facts: &Facts<'_>) -> Decision {
    if facts.verdict == Verdict::Fail {
        return (RunResult::NotMet, violated(facts));
    }
    if let Some(gate) = facts.gates.iter().find(|gate| gate.outcome == GateOutcome::Broken) {
        let why = format!("gate {}: required {}, seen {}", gate.name, gate.rule, gate.observed);
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
                (RunResult::NotMet, format!("expected {kind}, found {}", violated(facts)))
            }
            (Verdict::Unknown, _) => (RunResult::Undecided, unknown(facts.judgements)),
            (Verdict::Pass, Some(fault)) => {
                let why = format!("no {kind}, but fault {} had no proven effect", fault.id.0);
                (RunResult::Undecided, why)
            }
            (Verdict::Pass, None) => {
                let why = format!("no {kind} was found although every fault took effect");
                (RunResult::NotMet, why + &promotions(facts.faults))
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

/// What promotions came to: that another node leads than was asked for takes effect too, and may be why
/// nothing was found.
fn promotions(faults: &[FaultRecord]) -> String {
    let told = faults.iter().filter_map(|fault| match &fault.effect {
        Effect::Seen(what) if fault.kind == Promote::KIND => {
            Some(format!("; fault {} ({}): {what}", fault.id.0, fault.kind))
        }
        _ => None,
    });
    told.collect()
}

/// Nothing goes wrong in such a run, so that the anomaly is the work of the switch alone is shown by
/// its control, and whenever it happened will do.
fn fail_without_faults(facts: &Facts<'_>, kind: AnomalyKind) -> Decision {
    if count(facts.judgements, kind) > 0 {
        return (RunResult::Met, format!("found {kind}, as predicted without any fault"));
    }
    match facts.verdict {
        Verdict::Fail => (RunResult::NotMet, format!("expected {kind}, found {}", violated(facts))),
        Verdict::Unknown => (RunResult::Undecided, unknown(facts.judgements)),
        Verdict::Pass => (RunResult::NotMet, format!("no {kind} was found")),
    }
}

/// What a run that was stopped early comes to: what stopped it must be in the whole history as well, by
/// the name by which it was expected.
pub fn with_stop(decided: Decision, facts: &Facts<'_>, stopped: &StopRecord) -> Decision {
    let at = units::moment(stopped.at);
    if facts.verdict != Verdict::Fail {
        let why = format!(
            "stopped at {at} for {}, which the checkers do not find in the whole history",
            stopped.kind
        );
        return match facts.verdict {
            Verdict::Pass => (RunResult::HarnessBug, why),
            _ => (RunResult::Undecided, why),
        };
    }
    match facts.expectation.anomaly() {
        // More operations may give a violation another name, and no run has been to its end.
        Some(kind) if count(facts.judgements, kind) == 0 => {
            let found = violated(facts);
            let why = format!("stopped at {at} for {}; in the end found {found}", stopped.kind);
            (RunResult::Undecided, why)
        }
        _ => (decided.0, format!("{}; stopped early at {at}", decided.1)),
    }
}

/// Holds a canary against its control and its calm twin: what it found is the work of the faults
/// and of the switch that was off only if neither twin shows it.
pub fn with_twins(canary: &RunRecord, twins: &[&RunRecord]) -> Decision {
    let own = (canary.result, canary.why.clone());
    if canary.result != RunResult::Met {
        return own;
    }
    if let Some(twin) = twins.iter().find(|twin| twin.result != RunResult::Met) {
        let part = match twin.part {
            Part::Control { .. } => "control",
            _ => "calm twin",
        };
        let why = format!("{}, but its {part} {} did not pass", own.1, twin.name);
        return (RunResult::Undecided, why);
    }
    // Of a canary that is repeated only the first has a calm twin, which speaks for all.
    let calm = twins.iter().find_map(|twin| match &twin.part {
        Part::Calm { of } => Some((*of == canary.name, &twin.name)),
        _ => None,
    });
    let control = twins.iter().any(|twin| matches!(twin.part, Part::Control { .. }));
    let passed = match (control, calm) {
        (true, Some((true, _))) => "control and calm twin passed".to_string(),
        (true, Some((false, calm))) => format!("control passed, and {calm} for the calm twin"),
        (false, Some((_, calm))) => format!("calm twin {calm} passed"),
        (_, None) => "control passed".to_string(),
    };
    match twins {
        [] => own,
        _ => (RunResult::Met, format!("{}; {passed}", own.1)),
    }
}

/// Why there is not enough evidence, if so.
fn doubt(facts: &Facts<'_>) -> Option<String> {
    if facts.verdict == Verdict::Unknown {
        return Some(unknown(facts.judgements));
    }
    if let Some(question) = facts.audit.iter().find(|question| !question.enough) {
        let AuditRecord { name, observed, rule, .. } = question;
        let remedy = match name.as_str() {
            "operations" | "compare-and-set" | "nodes" => {
                "; a longer `duration`, or a machine with less to do, brings more"
            }
            _ => "",
        };
        return Some(format!("not enough evidence, {name}: {observed}, needed {rule}{remedy}"));
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

/// What was found, when, and under which fault.
fn violated(facts: &Facts<'_>) -> String {
    text::violated(facts.history, facts.judgements, facts.expectation.anomaly(), facts.faults)
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
    let last = facts.judgements.iter().filter_map(|judgement| judgement.last.get(&kind));
    last.filter_map(|culprit| facts.history.operations.get(culprit.0 as usize))
        .any(|culprit| culprit.invoked.at >= effect)
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
            ExitCode::Undecided => {
                "no broken promise is proven, and there is too little evidence to pass"
            }
            ExitCode::Environment => "the environment: a port, a binary, a privilege, a full disk",
            ExitCode::HarnessBug => "a bug in the harness",
            ExitCode::Interrupted => "interrupted, after cleaning up; nothing proven",
            ExitCode::Terminated => "terminated, after cleaning up; nothing proven",
        }
    }
}

/// The reason of a suite's exit code: of the three things that code 1 may mean those that happened,
/// and of runs that were not carried out how many. `planned` is how many runs the suite has.
pub fn reason(code: ExitCode, runs: &[RunRecord], planned: usize) -> String {
    let mut reasons = Vec::new();
    if code == ExitCode::NotMet {
        let not_met = || runs.iter().filter(|run| run.result == RunResult::NotMet);
        let is_canary = |run: &&RunRecord| run.expectation.anomaly().is_some();
        let violated = |run: &RunRecord| run.verdict == Verdict::Fail;
        if not_met().any(|run| !is_canary(&run) && violated(run)) {
            reasons.push("a violation was proven".to_string());
        }
        if not_met().any(|run| !is_canary(&run) && !violated(run)) {
            reasons.push("a gate was broken".to_string());
        }
        if not_met().any(|run| is_canary(&run)) {
            reasons.push("a canary was not caught as predicted".to_string());
        }
    }
    if reasons.is_empty() {
        reasons.push(code.meaning().to_string());
    }
    if runs.len() < planned {
        let missing = units::counted(planned as u64, "run");
        reasons.push(format!("{} of {missing} did not take place", planned - runs.len()));
    }
    reasons.join("; ")
}

/// The result over several runs: nothing masks a proven violation, and no runs prove nothing.
pub fn over(results: impl Iterator<Item = RunResult>) -> RunResult {
    results.max().unwrap_or(RunResult::Undecided)
}

#[cfg(test)]
mod tests {
    use splitbrain_reports::record::FaultId;
    use splitbrain_workloads::history::{
        FORMAT_VERSION, Header, Operation, OperationId, Operations, Stamp,
    };
    use splitbrain_workloads::operation::{ClientId, Key, Op, Outcome, Reply, Value};
    use splitbrain_workloads::verdict::Anomaly;

    use super::*;

    /// Two writes, at one and at three seconds.
    fn history() -> History {
        let write = |id: u32, at: u64| Operation {
            id: OperationId(id),
            client: ClientId(id),
            node: None,
            op: Op::Write { key: Key::new("s/1"), value: Value(i64::from(id)) },
            is_final: false,
            invoked: Stamp { seq: u64::from(id) * 2, at: Micros(at) },
            completed: Some(Stamp { seq: u64::from(id) * 2 + 1, at: Micros(at + 1000) }),
            outcome: Outcome::Ok(Reply::Written),
        };
        History {
            header: Header { history: FORMAT_VERSION, workload: "set".to_string(), nodes: 3 },
            operations: Operations::new(vec![write(0, 1_000_000), write(1, 3_000_000)]).unwrap(),
            complete: true,
        }
    }

    fn lost(culprit: u32) -> Judgement {
        let anomaly = Anomaly {
            kind: AnomalyKind::LostWrite,
            key: Key::new("s/"),
            culprit: OperationId(culprit),
            operations: vec![OperationId(culprit)],
            swaps: Vec::new(),
            story: Vec::new(),
        };
        Judgement {
            verdict: Verdict::Fail,
            found: [(AnomalyKind::LostWrite, 1)].into(),
            last: [(AnomalyKind::LostWrite, OperationId(culprit))].into(),
            anomalies: vec![anomaly],
            ..Judgement::unknown("lost-write", "")
        }
    }

    fn passed() -> Judgement {
        Judgement { verdict: Verdict::Pass, ..Judgement::unknown("lost-write", "none is lost") }
    }

    fn fault(effect: Effect) -> FaultRecord {
        FaultRecord {
            requested: Some(Micros(2_000_000)),
            in_force: Some(Micros(2_000_000)),
            effect,
            ..FaultRecord::to_come(FaultId(1), "kill")
        }
    }

    fn gate(outcome: GateOutcome) -> GateRecord {
        let text = |text: &str| text.to_string();
        GateRecord { name: text("p99"), rule: text("<= 1s"), observed: text("2 s"), outcome }
    }

    fn question(enough: bool) -> AuditRecord {
        let text = |text: &str| text.to_string();
        AuditRecord { name: text("nodes"), rule: text(">= 1"), observed: text("0"), enough }
    }

    struct Case {
        expectation: Expectation,
        judgement: Judgement,
        gate: GateOutcome,
        enough: bool,
        effect: Effect,
    }

    fn good() -> Case {
        Case {
            expectation: Expectation::Pass,
            judgement: passed(),
            gate: GateOutcome::Held,
            enough: true,
            effect: Effect::Seen(String::new()),
        }
    }

    fn canary(judgement: Judgement) -> Case {
        Case { expectation: Expectation::Fail(AnomalyKind::LostWrite), judgement, ..good() }
    }

    fn decided(case: Case) -> RunResult {
        with_facts(case, |facts| decide(facts).0)
    }

    fn with_facts<T>(case: Case, ask: impl FnOnce(&Facts<'_>) -> T) -> T {
        let verdict = case.judgement.verdict;
        ask(&Facts {
            expectation: &case.expectation,
            verdict,
            judgements: &[case.judgement],
            gates: &[gate(case.gate)],
            audit: &[question(case.enough)],
            faults: &[fault(case.effect)],
            history: &history(),
        })
    }

    fn unseen() -> Effect {
        Effect::None("nothing".to_string())
    }

    #[test]
    fn a_run_meets_its_expectation_only_with_every_gate_held_and_enough_evidence() {
        assert_eq!(decided(good()), RunResult::Met);
        let broken = Case { gate: GateOutcome::Broken, ..good() };
        assert_eq!(decided(broken), RunResult::NotMet);
        let unmeasured = Case { gate: GateOutcome::NotEvaluated, ..good() };
        assert_eq!(decided(unmeasured), RunResult::Undecided);
        assert_eq!(decided(Case { enough: false, ..good() }), RunResult::Undecided);
        let unknown = Case { judgement: Judgement::unknown("lost-write", "cut off"), ..good() };
        assert_eq!(decided(unknown), RunResult::Undecided);
    }

    #[test]
    fn a_proven_violation_is_masked_by_nothing() {
        let case = Case {
            judgement: lost(1),
            gate: GateOutcome::NotEvaluated,
            enough: false,
            effect: unseen(),
            ..good()
        };
        assert_eq!(decided(case), RunResult::NotMet);
    }

    #[test]
    fn a_canary_must_fail_in_the_named_way_after_its_fault_took_hold() {
        assert_eq!(decided(canary(lost(1))), RunResult::Met);
        assert_eq!(decided(canary(lost(0))), RunResult::NotMet, "lost before any fault");
        let unproven = Case { effect: unseen(), ..canary(lost(1)) };
        assert_eq!(decided(unproven), RunResult::Undecided);
    }

    #[test]
    fn what_began_after_the_fault_counts_also_when_what_is_listed_began_before_it() {
        let mut judgement = lost(0);
        judgement.found = [(AnomalyKind::LostWrite, 101)].into();
        judgement.last = [(AnomalyKind::LostWrite, OperationId(1))].into();
        assert_eq!(decided(canary(judgement)), RunResult::Met);
    }

    #[test]
    fn what_fails_by_itself_needs_no_fault_and_no_other_anomaly_will_do() {
        let by_itself = |judgement| {
            let kind = AnomalyKind::LostWrite;
            let expectation = Expectation::FailWithoutFaults(kind);
            decided(Case { expectation, effect: unseen(), ..canary(judgement) })
        };
        assert_eq!(by_itself(lost(0)), RunResult::Met);
        assert_eq!(by_itself(passed()), RunResult::NotMet);
        let unknown = Judgement::unknown("lost-write", "cut off");
        assert_eq!(by_itself(unknown), RunResult::Undecided);
        let mut stale = lost(1);
        stale.found = [(AnomalyKind::StaleRead, 1)].into();
        assert_eq!(by_itself(stale), RunResult::NotMet);
    }

    #[test]
    fn a_canary_that_stays_green_is_a_failure_only_with_its_faults_proven() {
        assert_eq!(decided(canary(passed())), RunResult::NotMet);
        let mut promoted = fault(Effect::Seen("n3 leads epoch 3 instead of n2".to_string()));
        promoted.kind = "promote".to_string();
        let told = promotions(&[fault(Effect::Seen("n1 is gone".to_string())), promoted]);
        assert_eq!(told, "; fault 1 (promote): n3 leads epoch 3 instead of n2");
        let unproven = Case { effect: unseen(), ..canary(passed()) };
        assert_eq!(decided(unproven), RunResult::Undecided);
        let unknown = canary(Judgement::unknown("lost-write", "cut off"));
        assert_eq!(decided(unknown), RunResult::Undecided);
        let mut stale = lost(1);
        stale.found = [(AnomalyKind::StaleRead, 1)].into();
        assert_eq!(decided(canary(stale)), RunResult::NotMet, "another anomaly is no success");
    }

    #[test]
    fn a_run_that_was_stopped_never_passes_and_is_decided_by_what_stopped_it_alone() {
        let kind = AnomalyKind::StaleRead;
        let at = Micros(2_500_000);
        let (frozen, cluster) = (Vec::new(), String::new());
        let stopped = StopRecord { at, kind, frozen, cluster, not_frozen: None };
        let decided = |case| with_facts(case, |facts| with_stop(decide(facts), facts, &stopped));
        let of = |case| decided(case).0;
        assert_eq!(of(good()), RunResult::HarnessBug, "the checkers contradict themselves");
        let unknown = Judgement::unknown("lost-write", "cut off");
        assert_eq!(of(Case { judgement: unknown.clone(), ..good() }), RunResult::Undecided);
        assert_eq!(of(canary(unknown)), RunResult::Undecided);
        let (result, why) = decided(Case { judgement: lost(1), ..good() });
        assert_eq!(result, RunResult::NotMet);
        assert_eq!(
            why,
            "1 lost write: write s/1=1 at 3.000 s, 1.00 s into fault 1 (kill); stopped early at \
             2.500 s"
        );
        assert_eq!(of(canary(lost(1))), RunResult::Met);
        let mut renamed = lost(1);
        renamed.found = [(AnomalyKind::FlipFlop, 1)].into();
        assert_eq!(of(canary(renamed)), RunResult::Undecided, "the whole run might have met it");
    }

    #[test]
    fn over_a_suite_the_worst_wins_and_nothing_proves_nothing() {
        use RunResult::{Environment, HarnessBug, Met, NotMet, Undecided};
        let order = [Met, Undecided, Environment, HarnessBug, NotMet];
        for (index, worse) in order.iter().enumerate() {
            for better in &order[..=index] {
                assert_eq!(over([*better, *worse, *better].into_iter()), *worse);
            }
        }
        assert_eq!(over([].into_iter()), Undecided);
    }

    #[test]
    fn exit_codes_are_an_interface() {
        let codes = ExitCode::ALL.map(|code| code as u8);
        assert_eq!(codes, [0, 1, 2, 3, 4, 70, 130, 143]);
    }
}
