//! The block of one run: how much of it is shown depends on how it came out.
//!
//! What needs an explanation is shown whole: whatever did not come out as expected, and the only
//! run of a suite. A proof that held shows what was tried on it; a canary that was caught shows
//! its counterexample; what supports a canary needs two lines.

use splitbrain_workloads::history::Micros;

use super::lanes::Surroundings;
use super::{
    RunDetail, coverage, faults, gates, lanes, next, operations, table, theme, timeline, watch,
    words,
};
use crate::measure::loss::{self, Loss};
use crate::measure::shown;
use crate::record::{Part, RunRecord, RunResult, SuiteRecord};
use crate::units;

/// How much of a run is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Whole,
    Proof,
    Canary,
    Support,
}

/// Everything about one run.
pub(super) fn block(
    suite: &SuiteRecord,
    run: &RunRecord,
    detail: &dyn Fn(&RunRecord) -> Option<RunDetail>,
) -> Vec<String> {
    let depth = depth(suite, run);
    let mut lines = vec![String::new(), rule(run)];
    lines.extend(about(run, depth));
    if depth == Depth::Support {
        return lines;
    }
    let detail = detail(run);
    lines.extend(gates::checkers(&run.judgements, depth == Depth::Whole));
    lines.extend(gates::gates(run));
    if depth == Depth::Whole {
        lines.extend(gates::evidence(run));
        lines.extend(operations::section(run));
    }
    match &detail {
        Some(detail) => lines.extend(timeline::section(run, detail)),
        None => lines.extend([
            String::new(),
            "TIMELINE  not drawn: history.jsonl or events.jsonl of this run is missing".to_string(),
        ]),
    }
    lines.extend(faults::section(run, detail.as_ref()));
    if depth == Depth::Whole {
        lines.extend(coverage::section(&run.coverage));
    }
    lines.extend(detail.as_ref().map_or(Vec::new(), |detail| loss(run, detail)));
    lines.extend(counterexample(run, detail.as_ref()));
    if depth != Depth::Proof {
        lines.extend(next::run(suite, run));
    }
    lines
}

fn depth(suite: &SuiteRecord, run: &RunRecord) -> Depth {
    if run.result != RunResult::Met || suite.runs.len() == 1 {
        return Depth::Whole;
    }
    match run.part {
        Part::Proof => Depth::Proof,
        Part::Canary => Depth::Canary,
        Part::Control { .. } | Part::Calm { .. } => Depth::Support,
    }
}

/// A line across the page that begins a run: its name, its result and what it is for.
fn rule(run: &RunRecord) -> String {
    let (result, part) = (words::result(run.result), words::part(&run.part));
    theme::rule(&format!("{}  {result}  {part}", run.name))
}

/// The result's reason, what was run, and on how much evidence the result stands.
fn about(run: &RunRecord, depth: Depth) -> Vec<String> {
    let mut lines = Vec::new();
    if depth != Depth::Support {
        lines.extend(table::wrapped("", &run.why));
    }
    let settings = run.target.settings.iter().map(|(name, value)| format!("{name}: {value}"));
    let settings: Vec<String> = settings.collect();
    let mut target = format!("{} {}", run.target.name, run.target.version);
    if !settings.is_empty() {
        target.push_str(&format!(" ({})", settings.join(", ")));
    }
    let nodes = units::counted(run.target.nodes.into(), "node");
    lines.extend(table::wrapped("  target    ", &format!("{target}, {nodes}")));
    lines.extend(table::wrapped(
        "  workload  ",
        &format!("{}; {}", run.workload, operations::load(run)),
    ));
    lines.extend(table::wrapped("  evidence  ", &evidence(run)));
    lines.extend(watch::about(run));
    lines
}

fn evidence(run: &RunRecord) -> String {
    let ok: u64 = run.operations.iter().map(|kind| kind.ok).sum();
    let enough = run.audit.iter().filter(|question| question.enough).count();
    let (seen, planned) = words::faults_seen(run);
    let mut parts = vec![
        format!(
            "{} of {} ok",
            units::count(ok),
            units::counted(words::operations(run), "operation")
        ),
        match planned {
            0 => "no faults were planned".to_string(),
            _ => format!("{seen} of {} took effect", units::counted(planned, "fault")),
        },
    ];
    parts.extend(words::missed(run));
    parts.push(format!(
        "enough by {enough} of {}",
        units::counted(run.audit.len() as u64, "audit question")
    ));
    if let Some(time) = run.settled_after {
        let when = match units::after(time) {
            at_once if at_once == "at once" => "at the last heal".to_string(),
            later => format!("{later} after the last heal"),
        };
        parts.push(format!("every node had applied what was committed {when}"));
    }
    parts.join("; ")
}

/// The acknowledged writes that are gone, over time and faults (RPO).
fn loss(run: &RunRecord, detail: &RunDetail) -> Vec<String> {
    let lost = loss::lost_writes(&detail.history, &run.judgements);
    let Some(loss) = lost.and_then(|lost| loss::of(&detail.history, &lost, &run.faults)) else {
        return Vec::new();
    };
    let sent = sent(&loss);
    let span = Micros(loss.last_acknowledged.0.saturating_sub(loss.first_invoked.0));
    let lost = units::counted(loss.count, "acknowledged write");
    let (first, acknowledged) =
        (units::moment(loss.first_invoked), units::moment(loss.last_acknowledged));
    let text = match loss.count {
        1 => format!("{lost} lost, sent {sent}: at {first}, acknowledged at {acknowledged}"),
        _ => format!(
            "{lost} lost, sent {sent}: the first at {first}, the last acknowledged at \
             {acknowledged}, {} later",
            units::duration(span)
        ),
    };
    let mut lines = vec![String::new()];
    lines.extend(table::wrapped("LOSS  ", &text));
    lines
}

/// When the lost writes were sent, by the faults: no word of what caused the loss.
fn sent(loss: &Loss) -> String {
    let mut places = Vec::new();
    match &loss.during[..] {
        [] => {}
        [one] => places.push(format!("while fault {} was in force", one.0)),
        several => {
            let names: Vec<String> = several.iter().map(|fault| fault.0.to_string()).collect();
            places.push(format!("while faults {} were in force", words::row(&names)));
        }
    }
    let up_to = if loss.count > 1 { "up to " } else { "" };
    places.extend(loss.beside.iter().map(|beside| {
        let side = if beside.before { "before" } else { "after the heal of" };
        format!("{up_to}{} {side} fault {}", units::duration(beside.distance), beside.fault.0)
    }));
    match places.is_empty() {
        true => "without any fault".to_string(),
        false => words::row(&places),
    }
}

/// The anomalies of a run, and the one that stands for all drawn.
pub(super) fn counterexample(run: &RunRecord, detail: Option<&RunDetail>) -> Vec<String> {
    let listed = shown::listed(&run.judgements, run.expectation.anomaly());
    let Some(first) = listed.first() else { return Vec::new() };
    let Some(detail) = detail else {
        let mut lines =
            vec![String::new(), format!("COUNTEREXAMPLE  {} of \"{}\"", first.kind, first.key)];
        lines.extend(first.story.iter().flat_map(|sentence| table::wrapped("  ", sentence)));
        return lines;
    };
    let around = Surroundings {
        history: &detail.history,
        events: &detail.events,
        faults: &run.faults,
        recheck: run.recheck.as_ref(),
    };
    let total = words::found(&run.judgements).values().sum();
    lanes::section(&listed, total, around)
}
