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

/// Whether a suite was ended by a signal before its end with nothing proven: what did run may have
/// come out well, and yet it must not read as a pass.
pub(super) fn was_stopped(suite: &SuiteRecord) -> bool {
    matches!(suite.exit_code, 130 | 143) || suite.exit_code != 0 && suite.result == RunResult::Met
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

/// A target in short with the names of what was set beside its profile: `store raft, plant`.
pub(super) fn target_and_settings(of: &TargetRecord) -> String {
    let names = of.settings.keys().filter(|name| *name != "profile");
    let names = names.fold(target(of), |text, name| format!("{text}, {name}"));
    super::table::shortened(&names, TARGET_MAX)
}

/// A target with all that was set: `store raft with plant elect-by-half`.
pub(super) fn target_in_full(of: &TargetRecord) -> String {
    let settings = of.settings.iter().filter(|(name, _)| *name != "profile");
    let settings: Vec<String> = settings.map(|(name, value)| format!("{name} {value}")).collect();
    match &settings[..] {
        [] => target(of),
        _ => format!("{} with {}", target(of), row(&settings)),
    }
}

/// The room for a target in the table of runs, which has to leave some for names and findings.
const TARGET_MAX: usize = 20;

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
/// kind it is the most that one checker found; but what the checker of that very name counts is
/// the number, for others count more by it. A set knows as lost also what nobody acknowledged and
/// somebody listed.
pub(super) fn found(judgements: &[Judgement]) -> BTreeMap<AnomalyKind, u64> {
    let mut found = BTreeMap::new();
    for (kind, number) in judgements.iter().flat_map(|judgement| &judgement.found) {
        let most: &mut u64 = found.entry(*kind).or_default();
        *most = (*most).max(*number);
    }
    for (kind, number) in &mut found {
        let own = judgements.iter().find(|judgement| judgement.checker == kind.name());
        if let Some(own) = own.and_then(|own| own.found.get(kind)).filter(|own| **own > 0) {
            *number = *own;
        }
    }
    found
}

/// Anomalies by kind as a row of words, most of them first: `57 lost writes and 3 stale reads`.
pub(super) fn all(found: &BTreeMap<AnomalyKind, u64>) -> String {
    let mut found: Vec<_> = found.iter().filter(|(_, number)| **number > 0).collect();
    found.sort_by_key(|(_, number)| std::cmp::Reverse(**number));
    row(&found.into_iter().map(|(kind, number)| anomalies(*number, *kind)).collect::<Vec<_>>())
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

/// The faults of a run that did not take effect, each with its reason; of more than a few only how
/// many they are.
pub(super) fn missed(run: &RunRecord) -> Option<String> {
    let missed: Vec<String> = run
        .faults
        .iter()
        .filter_map(|of| match &of.effect {
            Effect::Seen(_) => None,
            // It hit nobody, so what was asked for says which it is.
            Effect::Skipped(why) => {
                Some(format!("fault {} ({}: {}) skipped: {why}", of.id.0, of.kind, of.shape))
            }
            Effect::None(why) => Some(format!("{} without effect: {why}", fault(of))),
        })
        .collect();
    match missed.len() {
        0 => None,
        1..=MISSED_MAX => Some(missed.join(", ")),
        _ => {
            let skipped = |of: &&FaultRecord| matches!(of.effect, Effect::Skipped(_));
            let skipped = run.faults.iter().filter(skipped).count();
            Some(format!("{skipped} skipped, {} without effect", missed.len() - skipped))
        }
    }
}

/// How many faults without an effect are named with their reasons.
const MISSED_MAX: usize = 3;

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
    if names.is_empty() { "no node".to_string() } else { row(&names) }
}

/// A fault in a sentence: `fault 2 (partition of the leader n3)`.
pub(super) fn fault(fault: &FaultRecord) -> String {
    let victims = fault.victims.iter().map(|node| match fault.leaders.contains(node) {
        true => format!("the leader {node}"),
        false => node.to_string(),
    });
    let victims: Vec<String> = victims.collect();
    match &victims[..] {
        [] => format!("fault {} ({})", fault.id.0, fault.kind),
        _ => format!("fault {} ({} of {})", fault.id.0, fault.kind, row(&victims)),
    }
}

/// Things in a row: `a`, `a and b`, `a, b and c`.
pub(super) fn row(things: &[String]) -> String {
    match things {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
