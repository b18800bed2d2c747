//! The words for records: one for each result, part, anomaly and target, used by every section.

use std::collections::BTreeMap;

use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::verdict::{AnomalyKind, Judgement, Verdict};

use crate::record::{Effect, FaultRecord, Part, RunRecord, RunResult, SuiteRecord, TargetRecord};
use crate::units;

/// The result of one run.
pub(crate) fn result(result: RunResult) -> &'static str {
    match result {
        RunResult::Met => "MET",
        RunResult::Undecided => "UNDECIDED",
        RunResult::Environment => "ENVIRONMENT",
        RunResult::HarnessBug => "HARNESS BUG",
        RunResult::NotMet => "NOT MET",
    }
}

/// The result of a suite.
pub(crate) fn verdict_of_suite(suite: &SuiteRecord) -> &'static str {
    match suite.result {
        _ if was_stopped(suite) => "STOPPED",
        RunResult::Met => "PASS",
        RunResult::NotMet => "FAIL",
        other => result(other),
    }
}

/// Whether a suite was ended before its end: what did run came out well, and yet the command did
/// not, so it must not read as a pass.
pub(super) fn was_stopped(suite: &SuiteRecord) -> bool {
    suite.exit_code != 0 && suite.result == RunResult::Met
}

/// What a run is for.
pub(crate) fn part(part: &Part) -> &'static str {
    match part {
        Part::Proof => "proof",
        Part::Canary => "canary",
        Part::Control { .. } => "control",
        Part::Calm { .. } => "calm",
    }
}

/// A target in short: `store raft`, or `etcd` when nothing was set that has a name.
pub(crate) fn target(target: &TargetRecord) -> String {
    match target.settings.get("profile") {
        Some(profile) => format!("{} {profile}", target.name),
        None => target.name.clone(),
    }
}

/// A number of anomalies of a kind: `57 lost writes`.
pub(super) fn anomalies(number: u64, kind: AnomalyKind) -> String {
    let (one, many) = match kind {
        AnomalyKind::LostWrite => ("lost write", "lost writes"),
        AnomalyKind::StaleRead => ("stale read", "stale reads"),
        AnomalyKind::FlipFlop => ("flip-flop", "flip-flops"),
        AnomalyKind::FutureRead => ("future read", "future reads"),
        AnomalyKind::Phantom => ("phantom", "phantoms"),
        AnomalyKind::AbortedRead => ("aborted read", "aborted reads"),
        AnomalyKind::LostUpdate => ("lost update", "lost updates"),
        AnomalyKind::ChainOrder => ("chain out of order", "chains out of order"),
        AnomalyKind::CyclicCas => ("cycle of swaps", "cycles of swaps"),
        AnomalyKind::SpuriousMismatch => ("spurious mismatch", "spurious mismatches"),
        AnomalyKind::Duplicate => ("duplicate", "duplicates"),
        AnomalyKind::Resurrected => ("resurrected element", "resurrected elements"),
        AnomalyKind::NonLinearizable => ("impossible order", "impossible orders"),
        AnomalyKind::Divergence => ("divergence", "divergences"),
        AnomalyKind::OutOfOrder => ("element out of order", "elements out of order"),
        AnomalyKind::IncompatibleOrder => ("incompatible order", "incompatible orders"),
        AnomalyKind::WrongTotal => ("wrong total", "wrong totals"),
        AnomalyKind::Overdraft => ("overdraft", "overdrafts"),
        AnomalyKind::ReadYourWrites => ("own write not seen", "own writes not seen"),
        AnomalyKind::MonotonicReads => ("read that went back", "reads that went back"),
        AnomalyKind::MonotonicWrites => ("write seen out of order", "writes seen out of order"),
        AnomalyKind::G0 => ("dirty write (G0)", "dirty writes (G0)"),
        AnomalyKind::G1a => ("aborted read (G1a)", "aborted reads (G1a)"),
        AnomalyKind::G1b => ("intermediate read (G1b)", "intermediate reads (G1b)"),
        AnomalyKind::G1c => ("circular flow (G1c)", "circular flows (G1c)"),
        AnomalyKind::GSingle => ("read skew (G-single)", "read skews (G-single)"),
        AnomalyKind::G2 => ("write skew (G2)", "write skews (G2)"),
        AnomalyKind::G0RealTime => {
            ("dirty write against time (G0)", "dirty writes against time (G0)")
        }
        AnomalyKind::G1cRealTime => {
            ("circular flow against time (G1c)", "circular flows against time (G1c)")
        }
        AnomalyKind::GSingleRealTime => {
            ("read skew against time (G-single)", "read skews against time (G-single)")
        }
        AnomalyKind::G2RealTime => {
            ("write skew against time (G2)", "write skews against time (G2)")
        }
        AnomalyKind::Internal => {
            ("read at odds with its transaction", "reads at odds with their transactions")
        }
        AnomalyKind::TwoHolders => ("lock held twice", "locks held twice"),
        AnomalyKind::LockLost => ("lock lost before its time", "locks lost before their time"),
        AnomalyKind::TokenOrder => ("token out of order", "tokens out of order"),
        AnomalyKind::StaleToken => ("write under a stale token", "writes under stale tokens"),
    };
    if number == 1 { format!("1 {one}") } else { format!("{} {many}", units::count(number)) }
}

/// How many anomalies of each kind were found. Two checkers may find the same ones, so of each
/// kind it is the most that one checker found.
pub(super) fn found(judgements: &[Judgement]) -> BTreeMap<AnomalyKind, u64> {
    let mut found = BTreeMap::new();
    for (kind, number) in judgements.iter().flat_map(|judgement| &judgement.found) {
        let most: &mut u64 = found.entry(*kind).or_default();
        *most = (*most).max(*number);
    }
    found
}

/// What was found, in a few words: `57 lost writes, 3 stale reads`, `nothing`, `undecided`.
pub(crate) fn finding(run: &RunRecord) -> String {
    let mut found: Vec<_> = found(&run.judgements).into_iter().collect();
    found.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
    match (run.verdict, &found[..]) {
        (Verdict::Unknown, []) => "undecided".to_string(),
        (_, []) => "nothing".to_string(),
        (_, [(kind, number)]) => anomalies(*number, *kind),
        (_, [(kind, number), others @ ..]) => {
            format!(
                "{}, +{}",
                anomalies(*number, *kind),
                units::counted(others.len() as u64, "kind")
            )
        }
    }
}

/// All operations of a run that had an outcome, final reads left out.
pub(super) fn operations(run: &RunRecord) -> u64 {
    run.operations.iter().map(|kind| kind.ok + kind.fail + kind.info).sum()
}

/// How many faults of a run took hold, of how many.
pub(super) fn faults_seen(run: &RunRecord) -> (u64, u64) {
    let seen = run.faults.iter().filter(|fault| matches!(fault.effect, Effect::Seen(_))).count();
    (seen as u64, run.faults.len() as u64)
}

/// The nodes a fault hit, each that led marked so: `n1 (leader), n3`.
pub(super) fn victims(fault: &FaultRecord) -> String {
    let named = fault.victims.iter().map(|node| {
        if fault.leaders.contains(node) { format!("{node} (leader)") } else { node.to_string() }
    });
    let named: Vec<String> = named.collect();
    if named.is_empty() { "-".to_string() } else { named.join(", ") }
}

/// Nodes in a row: `n1`, `n1 and n3`, `n1, n2 and n3`.
pub(super) fn nodes(nodes: &[NodeId]) -> String {
    let names: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    match &names[..] {
        [] => "no node".to_string(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
