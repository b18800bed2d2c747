//! What came of a run: reads its files back, has them judged, takes the measures, asks the audit,
//! evaluates the gates and decides.
//!
//! It starts nothing and waits for nothing. Whatever is judged is what is on disk, so the same
//! files come to the same verdict on another machine.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use anyhow::Context as _;
use splitbrain_reports::measure::shown::{Shown, shown};
use splitbrain_reports::measure::{Measured, RunMeasures, Window, fault_coverage};
use splitbrain_reports::record::{Opinion, Recheck, RunRecord, RunResult, TargetRecord};
use splitbrain_workloads::checker::brute_force;
use splitbrain_workloads::history::{History, Micros, jsonl};
use splitbrain_workloads::verdict::Verdict;
use splitbrain_workloads::workload;

use super::Traces;
use super::directory::RunDirectory;
use crate::audit::{self, Evidence};
use crate::gate::{self, Observed};
use crate::liveness::{self, Life};
use crate::result::{self, Facts};
use crate::suite::plan::PlannedRun;

/// Makes the record of a run from what it left.
pub fn examine(
    plan: &PlannedRun,
    target: TargetRecord,
    directory: &RunDirectory,
    traces: Traces,
) -> RunRecord {
    let name = plan.name.clone();
    let record = blank(plan, target, name);
    match read_history(&directory.history()) {
        Ok(history) => judged(plan, record, directory, traces, &history),
        Err(error) => {
            let why = traces.trouble.clone().unwrap_or_else(|| format!("{error:#}"));
            RunRecord { result: RunResult::Environment, why, faults: traces.faults, ..record }
        }
    }
}

/// Reads a history file of ours.
///
/// # Errors
///
/// When it cannot be opened or is no history.
pub fn read_history(path: &Path) -> anyhow::Result<History> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    jsonl::read(BufReader::new(file)).with_context(|| format!("in {}", path.display()))
}

fn blank(plan: &PlannedRun, target: TargetRecord, directory: String) -> RunRecord {
    RunRecord {
        name: plan.name.clone(),
        part: plan.part.clone(),
        target,
        workload: plan.workload.describe(),
        clients: plan.clients,
        rate: plan.rate.per_second(),
        timeout: Micros(u64::from(plan.timeout.as_millis()) * 1000),
        load: Micros(0),
        load_began: Micros(0),
        expectation: plan.expect.clone(),
        verdict: Verdict::Unknown,
        result: RunResult::Undecided,
        why: String::new(),
        judgements: Vec::new(),
        gates: Vec::new(),
        audit: Vec::new(),
        operations: Vec::new(),
        shed: 0,
        faults: Vec::new(),
        coverage: Vec::new(),
        settled_after: None,
        recheck: None,
        watch: None,
        directory,
    }
}

fn judged(
    plan: &PlannedRun,
    record: RunRecord,
    directory: &RunDirectory,
    mut traces: Traces,
    history: &History,
) -> RunRecord {
    let judgements = plan.workload.judge(history);
    let verdict = judgements.iter().map(|judgement| judgement.verdict).reduce(Verdict::and);
    let verdict = verdict.unwrap_or(Verdict::Unknown);
    let (began, ended) = traces.load.unwrap_or_default();
    let load = Window { from: began, to: ended };
    let mut faults = std::mem::take(&mut traces.faults);
    let measures = RunMeasures::of(Measured {
        history,
        load,
        shed: &traces.shed,
        faults: &faults,
        judgements: &judgements,
    });
    measures.fill(&mut faults);
    let observed =
        Observed { history, judgements: &judgements, measures: &measures, traces: &traces };
    let mut gates = gate::evaluate(&plan.gates, &observed);
    gates.extend(liveness::judge(&Life {
        asked: plan.liveness,
        nodes: plan.target.nodes,
        history,
        faults: &faults,
        traces: &traces,
    }));
    let hits = fault_coverage::hits(plan.target.nodes, &traces.events, &faults);
    let audit = audit::audit(&Evidence {
        history,
        faults: &faults,
        kinds: &plan.workload.kinds(),
        hits: &hits,
        require: &plan.require,
        settled: traces.settled_after.is_some(),
    });
    let facts = Facts {
        expectation: &plan.expect,
        verdict,
        judgements: &judgements,
        gates: &gates,
        audit: &audit,
        faults: &faults,
        history,
    };
    let decided = match traces.stopped() {
        Some(stopped) => result::with_stop(result::decide(&facts), &facts, stopped),
        None => result::decide(&facts),
    };
    let (result, why) = with_trouble(decided, verdict, &traces);
    let recheck = shown(&judgements, plan.expect.anomaly()).map(|shown| {
        recheck(directory, history, shown).unwrap_or_else(|error| Recheck {
            file: String::new(),
            opinion: Opinion::NotGiven,
            how: format!("{error:#}"),
        })
    });
    let (result, why) = match &recheck {
        Some(Recheck { opinion: Opinion::Contradicted, how, .. }) => {
            let why = format!("the brute force disagrees with the checker: {how}; before: {why}");
            (RunResult::HarnessBug, why)
        }
        _ => (result, why),
    };
    RunRecord {
        load: load.length(),
        load_began: began,
        verdict,
        result,
        why,
        judgements,
        gates,
        audit,
        operations: measures.operations,
        shed: traces.shed.len() as u64,
        coverage: fault_coverage::matrix(&faults, &hits),
        faults,
        settled_after: traces.settled_after,
        recheck,
        watch: traces.watch,
        ..record
    }
}

/// What ended a run early explains why nothing was decided, and why gates do not hold; it never
/// hides what the checkers have proven, nor that a node ended by itself.
fn with_trouble(
    (result, why): result::Decision,
    verdict: Verdict,
    traces: &Traces,
) -> result::Decision {
    // Before there was a load nothing was tested, and what went wrong is the environment's.
    if let (Some(trouble), None) = (&traces.trouble, traces.load) {
        return (RunResult::Environment, trouble.clone());
    }
    let proven = verdict == Verdict::Fail || traces.crashes().next().is_some();
    if result == RunResult::NotMet && proven {
        return (result, why);
    }
    if let Some(exit) = traces.foreign_kills().next() {
        let why = format!("{} was ended by {}, which we did not send", exit.owner, exit.status);
        return (RunResult::Environment, why);
    }
    if let Some(trouble) = &traces.trouble {
        return (RunResult::Environment, trouble.clone());
    }
    match traces.interrupted {
        true => (RunResult::Undecided, "interrupted".to_string()),
        false => (result, why),
    }
}

/// Writes the minimal history of an anomaly beside the run's and has it judged.
fn recheck(
    directory: &RunDirectory,
    history: &History,
    shown: Shown<'_>,
) -> anyhow::Result<Recheck> {
    let path = directory.minimal();
    let bytes = match minimal_history(history, shown)? {
        Ok(bytes) => bytes,
        Err(why) => return Ok(no_opinion(why)),
    };
    fs::write(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
    let text = fs::read_to_string(&path)?;
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(opinion(file, &text))
}

/// The independent second opinion on an anomaly of a history that has no folder of its own.
///
/// # Errors
///
/// When the minimal history cannot be written to memory, which is a bug.
pub fn second_opinion(history: &History, shown: Shown<'_>) -> anyhow::Result<Recheck> {
    match minimal_history(history, shown)? {
        Ok(bytes) => Ok(opinion(String::new(), &String::from_utf8(bytes)?)),
        Err(why) => Ok(no_opinion(why)),
    }
}

/// The file, or why few operations prove nothing.
fn minimal_history(
    history: &History,
    shown: Shown<'_>,
) -> anyhow::Result<Result<Vec<u8>, &'static str>> {
    let minimal = match workload::minimal(history, shown.judgement, shown.anomaly) {
        Ok(minimal) => minimal,
        Err(why) => return Ok(Err(why)),
    };
    let bytes = jsonl::write(&minimal, Vec::new()).context("cannot write the minimal history")?;
    Ok(Ok(bytes))
}

fn no_opinion(why: &str) -> Recheck {
    Recheck { file: String::new(), opinion: Opinion::NotGiven, how: why.to_string() }
}

/// Has the text of a minimal history judged by the brute force, which reads it and nothing else.
fn opinion(file: String, text: &str) -> Recheck {
    match brute_force::judge_file(text) {
        Ok(judged) => Recheck {
            file,
            opinion: match judged.possible {
                false => Opinion::Confirmed,
                true => Opinion::Contradicted,
            },
            how: match judged.possible {
                false if judged.orders_tried == 0 => format!(
                    "the answers of these {} operations exclude each other: no order had to be \
                     tried",
                    judged.operations
                ),
                false => format!(
                    "no order of these {} operations is possible, {} tried",
                    judged.operations, judged.orders_tried
                ),
                true => format!("an order of these {} operations is possible", judged.operations),
            },
        },
        Err(error) => Recheck { file, opinion: Opinion::NotGiven, how: error },
    }
}

#[cfg(test)]
mod tests {
    use splitbrain_workloads::operation::NodeId;

    use super::*;
    use crate::cluster::ExitStatus;
    use crate::cluster::process::{Cause, Exit, Owner};

    fn ended(status: ExitStatus, cause: Cause) -> Traces {
        let exit = Exit { owner: Owner::Node(NodeId(2)), pid: 7, status, cause };
        Traces { ends: vec![exit], ..Traces::default() }
    }

    fn result(result: RunResult, verdict: Verdict, traces: &Traces) -> RunResult {
        with_trouble((result, String::new()), verdict, traces).0
    }

    #[test]
    fn a_node_that_somebody_else_killed_says_nothing_of_the_target() {
        let killed = ended(ExitStatus::Signal(9), Cause::Environment);
        let (met, not_met) = (RunResult::Met, RunResult::NotMet);
        assert_eq!(result(met, Verdict::Pass, &killed), RunResult::Environment);
        assert_eq!(result(not_met, Verdict::Pass, &killed), RunResult::Environment);
        assert_eq!(
            result(not_met, Verdict::Fail, &killed),
            RunResult::NotMet,
            "proven all the same"
        );
    }

    #[test]
    fn a_node_that_ended_by_itself_is_not_excused_by_the_restart_that_failed_after_it() {
        let mut crashed = ended(ExitStatus::Code(74), Cause::Crash);
        crashed.trouble = Some("n2 did not answer".to_string());
        crashed.load = Some((Micros(1), Micros(2)));
        assert_eq!(result(RunResult::NotMet, Verdict::Pass, &crashed), RunResult::NotMet);
    }

    #[test]
    fn a_node_that_ended_before_there_was_a_load_is_the_environments() {
        let mut crashed = ended(ExitStatus::Code(64), Cause::Crash);
        crashed.trouble = Some("n2 ended by itself before it was ready".to_string());
        assert_eq!(result(RunResult::NotMet, Verdict::Pass, &crashed), RunResult::Environment);
    }

    #[test]
    fn trouble_and_interrupts_are_never_green() {
        let trouble = Traces { trouble: Some("no port".to_string()), ..Traces::default() };
        assert_eq!(result(RunResult::Met, Verdict::Pass, &trouble), RunResult::Environment);
        let interrupted = Traces { interrupted: true, ..Traces::default() };
        assert_eq!(result(RunResult::Met, Verdict::Pass, &interrupted), RunResult::Undecided);
        let not_met = RunResult::NotMet;
        assert_eq!(result(not_met, Verdict::Fail, &interrupted), not_met, "proven all the same");
    }
}
