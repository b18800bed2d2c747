//! The lines on stderr while a suite runs: one where something begins or ends, none in between,
//! so that the log of a CI job stays short. Pure; `harness` prints them.
//!
//! Times in brackets count from the start of the run, as in its report.

use splitbrain_workloads::history::Micros;
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::verdict::AnomalyKind;

use super::{Style, theme, words};
use crate::record::{FaultId, FaultStep, Part, Phase, RunRecord, RunResult, TargetRecord};
use crate::units;

/// A run begins: `RUN 3 of 9  leader-killed  proof on store raft, register, 8 keys`.
pub fn run_begins(
    number: usize,
    of: usize,
    name: &str,
    part: &Part,
    target: &TargetRecord,
    workload: &str,
    style: &Style,
) -> String {
    let (part, target) = (words::part(part), words::target(target));
    one(format!("RUN {number} of {of}  {name}  {part} on {target}, {workload}"), style)
}

/// A run enters a phase: `[  0.9 s]  load`.
pub fn phase(at: Micros, phase: Phase, style: &Style) -> String {
    let phase = match phase {
        Phase::Start => "starting the nodes",
        Phase::Ready => "every node is ready",
        Phase::Load => "clients and faults begin",
        Phase::CloseClients => "closing the clients",
        Phase::Heal => "healing what is left",
        Phase::Quiesce => "waiting for the replicas to catch up",
        Phase::FinalReads => "reading what is left",
        Phase::Stopped => "stopped",
    };
    one(format!("{}  {phase}", clock(at)), style)
}

/// A fault takes a step: `[  2.1 s]  fault 1  kill n1  in force   1 931 operations ok`.
pub fn fault(
    at: Micros,
    id: FaultId,
    kind: &str,
    victims: &[NodeId],
    step: &FaultStep,
    operations_ok: u64,
    style: &Style,
) -> String {
    let step = match step {
        FaultStep::Requested { .. } => "requested".to_string(),
        FaultStep::InForce => "in force".to_string(),
        FaultStep::HealRequested => "heal requested".to_string(),
        FaultStep::Healed => "healed".to_string(),
        FaultStep::Skipped { reason } => format!("skipped: {reason}"),
    };
    let hit =
        if victims.is_empty() { String::new() } else { format!(" {}", words::nodes(victims)) };
    let ok = units::counted(operations_ok, "operation");
    one(format!("{}  fault {}  {kind}{hit}  {step}   {ok} ok", clock(at), id.0), style)
}

/// Something has no explanation: `[   3.2 s]  violation  stale-read: read r1 saw 5, ...`.
pub fn violation(at: Micros, kind: AnomalyKind, what: &str, style: &Style) -> String {
    one(format!("{}  violation  {kind}: {what}", clock(at)), style)
}

/// The run is stopped early: `[   3.3 s]  stopping early, the data of n1 and n2 is kept as it is`.
pub fn frozen(at: Micros, nodes: &[NodeId], style: &Style) -> String {
    let data = match nodes {
        [] => "no data is kept".to_string(),
        nodes => format!("the data of {} is kept as it is", words::nodes(nodes)),
    };
    one(format!("{}  stopping early, {data}", clock(at)), style)
}

/// A run ends: `MET        [  8.1 s]  leader-killed  4 106 operations  3 of 3 faults  nothing`.
pub fn run_ends(run: &RunRecord, took: Micros, style: &Style) -> String {
    let (seen, planned) = words::faults_seen(run);
    let line = format!(
        "{:11}{}  {}  {}  {seen} of {} took effect  found {}",
        words::result(run.result),
        clock(took),
        run.name,
        units::counted(words::operations(run), "operation"),
        units::counted(planned, "fault"),
        words::finding(run)
    );
    match run.result {
        RunResult::Met => one(line, style),
        _ => {
            theme::finish(&[line, format!("           {}", run.why)], style).trim_end().to_string()
        }
    }
}

fn clock(at: Micros) -> String {
    format!("[{:>6.1} s]", at.as_secs_f64())
}

/// One line without its newline, which whoever prints adds.
fn one(line: String, style: &Style) -> String {
    theme::finish(&[line], style).trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn progress_is_one_short_line_for_each_edge() {
        let style = Style::default();
        let (suite, _) = samples::release_gate();
        let run = &suite.runs[0];
        let at = |ms: u64| Micros(ms * 1_000);
        let hit = [NodeId(1)];
        let skipped = FaultStep::Skipped { reason: "no node led within 5 s".into() };
        let lines = [
            run_begins(1, 5, &run.name, &run.part, &run.target, &run.workload, &style),
            phase(at(1_240), Phase::Load, &style),
            fault(at(3_004), FaultId(1), "kill", &hit, &FaultStep::InForce, 1_931, &style),
            fault(at(5_000), FaultId(2), "pause", &[], &skipped, 2_400, &style),
            violation(at(5_100), AnomalyKind::StaleRead, "read r1 saw 5", &style),
            frozen(at(5_350), &[NodeId(1), NodeId(2)], &style),
            run_ends(run, at(11_400), &style),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r#"
        RUN 1 of 5  leader-killed  proof on store raft, register, 4 keys
        [   1.2 s]  clients and faults begin
        [   3.0 s]  fault 1  kill n1  in force   1 931 operations ok
        [   5.0 s]  fault 2  pause  skipped: no node led within 5 s   2 400 operations ok
        [   5.1 s]  violation  stale-read: read r1 saw 5
        [   5.3 s]  stopping early, the data of n1 and n2 is kept as it is
        MET        [  11.4 s]  leader-killed  200 operations  1 of 1 fault took effect  found nothing
        "#);
    }

    #[test]
    fn a_run_that_was_not_met_says_why_at_once() {
        let (suite, _) = samples::lost_write_on_raft();
        let line = run_ends(&suite.runs[0], Micros(9_000_000), &Style::default());
        insta::assert_snapshot!(line, @r#"
        NOT MET    [   9.0 s]  leader-killed  204 operations  1 of 1 fault took effect  found 1 lost write, +1 kind
                   1 lost write and 1 stale read, such as write x=901 at n1 at 2.996 s, 7.8 ms before fault 1 (kill of the leader n1)
        "#);
    }
}
