//! The section COUNTEREXAMPLE: the few operations that prove an anomaly, each in a lane of its
//! own, with the faults and leaders of each moment above them.
//!
//! The horizontal axis is the order of events, not a scale of time: proofs live from who came
//! first, and milliseconds beside minutes would hide it. Where more than [`GAP`] passes between
//! two neighbors the lanes are broken by `//`. Times stand at the ticks.

use splitbrain_workloads::history::{History, Micros, Operation, OperationId};
use splitbrain_workloads::operation::{Consistency, Op, Outcome, Reply, StepReply, Value};
use splitbrain_workloads::verdict::{Anomaly, Judgement};

use super::table::{shortened, wrapped};
use super::{WIDTH, faults, words};
use crate::measure::cluster::Cluster;
use crate::record::{EventRecord, FaultRecord, Opinion, Recheck};
use crate::units;

/// Neighbors further apart than this have a gap mark between them.
const GAP: Micros = Micros(100_000);
/// How far apart neighbors are, in columns, without and with a gap mark between them.
const WIDE: Steps = Steps { near: 3, gap: 6 };
/// The same for proofs that would not fit otherwise.
const NARROW: Steps = Steps { near: 2, gap: 3 };
/// The room kept for what was answered.
const ANSWER: usize = 20;
/// How many operations are drawn. A proof has at most six, and some have one for each replica.
const LANES_MAX: usize = 8;
/// The room for client and node.
const WHO_MAX: usize = 12;
/// The room for what was asked.
const ASKED_MAX: usize = 22;
/// How many further anomalies are named by one line each.
const OTHERS_MAX: usize = 3;

/// Whatever is known about the run around a counterexample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings<'a> {
    pub(super) history: &'a History,
    /// Empty for a history that was recorded elsewhere.
    pub(super) events: &'a [EventRecord],
    pub(super) faults: &'a [FaultRecord],
    pub(super) recheck: Option<&'a Recheck>,
}

/// Draws the first of the anomalies and names some of the others.
pub(super) fn section(anomalies: &[&Anomaly], total: u64, around: Surroundings<'_>) -> Vec<String> {
    let Some(first) = anomalies.first() else { return Vec::new() };
    let operations = operations(first, around.history);
    let title = format!(
        "{} of \"{}\": {}",
        first.kind.name().replace('-', " "),
        first.key,
        first.kind.meaning()
    );
    let mut lines = vec![String::new()];
    lines.extend(wrapped("COUNTEREXAMPLE  ", &title));
    let mut smallest = format!(
        "{} of the history's {} prove it",
        units::count(operations.len() as u64),
        in_all(around.history)
    );
    if !first.swaps.is_empty() {
        let swaps = units::counted(first.swaps.len() as u64, "swap");
        smallest.push_str(&format!(
            ", with {swaps} (compare-and-sets) that carry one value on to the next"
        ));
    }
    lines.extend(wrapped("  ", &smallest));
    let drawn: Vec<&Operation> = drawn(first, &operations);
    lines.extend(draw(first, &drawn, around));
    if drawn.len() < operations.len() {
        lines.push(format!("  and {} more, not drawn", operations.len() - drawn.len()));
    }
    lines.push(String::new());
    for sentence in &first.story {
        lines.extend(wrapped("  ", sentence));
    }
    lines.extend(who_led(first, around));
    if let Some(recheck) = around.recheck {
        let opinion = match recheck.opinion {
            Opinion::Confirmed => "confirmed",
            Opinion::Contradicted => "CONTRADICTED",
            Opinion::NotGiven => "no opinion",
        };
        let text = format!("re-judged by brute force: {opinion}, {}", recheck.how);
        lines.extend(wrapped("  ", &text));
    }
    lines.extend(others(anomalies, total, around.history));
    lines
}

/// How many operations a history has, told apart as the table of runs does: `572 operations and 4
/// final reads`.
fn in_all(history: &History) -> String {
    let finals = history.operations.iter().filter(|operation| operation.is_final).count();
    let others = units::counted((history.operations.len() - finals) as u64, "operation");
    match finals {
        0 => others,
        _ => format!("{others} and {}", units::counted(finals as u64, "final read")),
    }
}

/// Distances on the axis.
#[derive(Clone, Copy)]
struct Steps {
    near: usize,
    gap: usize,
}

/// The operations of an anomaly that the history has, by order of invocation.
fn operations<'a>(anomaly: &Anomaly, history: &'a History) -> Vec<&'a Operation> {
    let mut ids: Vec<OperationId> = anomaly.operations.clone();
    ids.push(anomaly.culprit);
    ids.sort_unstable();
    ids.dedup();
    ids.iter().filter_map(|id| history.operations.get(id.0 as usize)).collect()
}

/// As many of them as have room, the culprit among them.
fn drawn<'a>(anomaly: &Anomaly, operations: &[&'a Operation]) -> Vec<&'a Operation> {
    let mut drawn: Vec<&Operation> = operations.iter().take(LANES_MAX).copied().collect();
    let culprit = operations.iter().find(|operation| operation.id == anomaly.culprit);
    if let Some(culprit) = culprit.filter(|culprit| drawn.iter().all(|one| one.id != culprit.id)) {
        drawn.pop();
        drawn.push(culprit);
    }
    drawn
}

/// One moment on the axis.
#[derive(Clone, Copy)]
struct Tick {
    seq: u64,
    at: Micros,
    column: usize,
    gap_before: bool,
}

fn draw(anomaly: &Anomaly, operations: &[&Operation], around: Surroundings<'_>) -> Vec<String> {
    let who: Vec<String> = operations.iter().map(|operation| caller(operation)).collect();
    let asked: Vec<String> = operations.iter().map(|operation| asked(operation)).collect();
    let widest = |texts: &[String], max: usize| {
        texts.iter().map(|text| text.chars().count()).max().unwrap_or(0).min(max)
    };
    let (who_width, asked_width) = (widest(&who, WHO_MAX).max(6), widest(&asked, ASKED_MAX));
    let label = |who: &str, asked: &str| {
        let (who, asked) = (shortened(who, WHO_MAX), shortened(asked, ASKED_MAX));
        format!("  {who:who_width$}  {asked:asked_width$}  ")
    };
    let cluster = Cluster::of(around.history.header.nodes, around.events, around.faults);
    let leads = |at, _| {
        let leaders = cluster.leaders(at);
        if leaders.is_empty() {
            String::new()
        } else {
            words::nodes(&leaders).replace(" and ", " ")
        }
    };
    // A fault that comes and goes between two ticks still belongs between them.
    let in_force = |from, to| {
        let faults = faults::in_force(around.faults, from, to);
        let named = faults.iter().map(|fault| format!("{} {}", fault.id.0, fault.kind));
        named.collect::<Vec<_>>().join(", ")
    };
    let mut ticks = ticks(operations);
    let fault_runs = runs(&ticks, in_force);
    let leader_runs = runs(&ticks, leads);
    place(&mut ticks, WIDE, &[&fault_runs, &leader_runs]);
    if label("", "").chars().count() + width(&ticks) + ANSWER > WIDTH {
        place(&mut ticks, NARROW, &[]);
    }

    let mut lines = vec![format!("{}{}", label("", "seconds"), times(&ticks))];
    lines.push(format!("{}{}", label("", ""), scale(&ticks)));
    if fault_runs.iter().any(|run| !run.text.is_empty()) {
        lines.push(format!("{}{}", label("", "fault"), context(&ticks, &fault_runs)));
    }
    if leader_runs.iter().any(|run| !run.text.is_empty()) {
        lines.push(format!("{}{}", label("", "leads"), context(&ticks, &leader_runs)));
    }
    let element = element(anomaly, around.history);
    for ((operation, who), asked) in operations.iter().zip(&who).zip(&asked) {
        let bar = bar(operation, &ticks);
        let mut line = format!("{}{bar}  {}", label(who, asked), answered(operation, element));
        if operation.id == anomaly.culprit {
            line.replace_range(0..1, ">");
            line.push_str(&format!("  <- {}", anomaly.kind.name().replace('-', " ")));
        }
        lines.push(shortened(&line, WIDTH));
    }
    lines
}

fn caller(operation: &Operation) -> String {
    match operation.node {
        Some(node) => format!("{} -> {node}", operation.client),
        None => operation.client.to_string(),
    }
}

/// What an operation asked for, in a few words.
pub(super) fn asked(operation: &Operation) -> String {
    let weak = match &operation.op {
        Op::Read { consistency: Consistency::Session, .. } => "session ".to_string(),
        Op::Read { consistency: Consistency::Bounded(ms), .. } => format!("at most {ms} ms old "),
        op if op.is_local() => "local ".to_string(),
        _ => String::new(),
    };
    let is_final = if operation.is_final { "final " } else { "" };
    format!("{is_final}{weak}{}", operation.op)
}

/// The value whose presence in a list proves or refutes: that of the culprit, if it wrote one.
fn element(anomaly: &Anomaly, history: &History) -> Option<Value> {
    let mut op = &history.operations.get(anomaly.culprit.0 as usize)?.op;
    while let Op::Once { op: inner, .. } = op {
        op = inner;
    }
    match op {
        Op::Write { value, .. }
        | Op::CompareAndSet { value, .. }
        | Op::Append { value, .. }
        | Op::Enqueue { value, .. }
        | Op::WriteGuarded { value, .. } => Some(*value),
        Op::Read { .. }
        | Op::Delete { .. }
        | Op::List { .. }
        | Op::ReadList { .. }
        | Op::Increment { .. }
        | Op::Dequeue { .. }
        | Op::ReadQueue { .. }
        | Op::Acquire { .. }
        | Op::Renew { .. }
        | Op::Release { .. }
        | Op::ReadGuarded { .. }
        | Op::Transaction(_)
        | Op::Once { .. } => None,
    }
}

fn answered(operation: &Operation, element: Option<Value>) -> String {
    let value = |value: &Option<Value>| value.map_or("absent".to_string(), |v| v.to_string());
    match &operation.outcome {
        Outcome::Ok(Reply::Read(held)) => value(held),
        Outcome::Ok(Reply::Written | Reply::Deleted | Reply::Appended | Reply::Enqueued) => {
            "ok".to_string()
        }
        Outcome::Ok(Reply::Dequeued(taken)) => taken.map_or("empty".to_string(), |v| v.to_string()),
        Outcome::Ok(Reply::Granted { token }) => format!("granted, token {token}"),
        Outcome::Ok(Reply::Denied { holder, token }) => format!("held by {holder}, token {token}"),
        Outcome::Ok(Reply::WasHeld(true)) => "ok".to_string(),
        Outcome::Ok(Reply::WasHeld(false)) => "no longer held".to_string(),
        Outcome::Ok(Reply::StaleToken) => "refused, stale token".to_string(),
        Outcome::Ok(Reply::Missed { next }) => format!("missed, next at {next}"),
        Outcome::Ok(Reply::Incremented(sum)) => sum.to_string(),
        Outcome::Ok(Reply::Transacted { succeeded, results }) => transacted(*succeeded, results),
        Outcome::Ok(Reply::Compared { swapped: true, .. }) => "ok, swapped".to_string(),
        Outcome::Ok(Reply::Compared { swapped: false, observed }) => {
            format!("no match: {}", value(observed))
        }
        Outcome::Ok(Reply::Listed(values)) => match element {
            Some(element) if values.contains(&element) => {
                format!("{} elements, with {element}", units::count(values.len() as u64))
            }
            Some(element) => {
                format!("{} elements, no {element}", units::count(values.len() as u64))
            }
            None => units::counted(values.len() as u64, "element"),
        },
        Outcome::Fail(reason) => format!("failed: {reason}"),
        Outcome::Info(reason) => format!("unknown: {reason}"),
    }
}

/// What the steps of a transaction saw, in their order.
fn transacted(succeeded: bool, results: &[StepReply]) -> String {
    let seen = |result: &StepReply| match result {
        StepReply::Done => None,
        StepReply::Read(held) => Some(held.map_or("absent".to_string(), |v| v.to_string())),
        StepReply::Incremented(sum) => Some(sum.to_string()),
        StepReply::Listed(values) => {
            let values = values.iter().map(Value::to_string).collect::<Vec<_>>();
            Some(format!("[{}]", values.join(" ")))
        }
    };
    let seen = results.iter().filter_map(seen).collect::<Vec<_>>().join(", ");
    match (succeeded, seen.as_str()) {
        (true, "") => "ok".to_string(),
        (true, _) => seen,
        (false, "") => "no match".to_string(),
        (false, _) => format!("no match: {seen}"),
    }
}

/// The beginnings and certain ends of the operations, in the one order of the run.
fn ticks(operations: &[&Operation]) -> Vec<Tick> {
    let began = operations.iter().map(|operation| operation.invoked);
    let ended = operations
        .iter()
        .filter(|operation| operation.ended().is_some())
        .filter_map(|operation| operation.completed);
    let mut stamps: Vec<_> = began.chain(ended).collect();
    stamps.sort_by_key(|stamp| stamp.seq);
    let mut ticks: Vec<Tick> = Vec::new();
    for stamp in stamps {
        let gap_before =
            ticks.last().is_some_and(|last| stamp.at.0.saturating_sub(last.at.0) > GAP.0);
        ticks.push(Tick { seq: stamp.seq, at: stamp.at, column: 0, gap_before });
    }
    ticks
}

/// Neighboring ticks from which on the same holds.
struct Run {
    first: usize,
    text: String,
}

fn runs(ticks: &[Tick], what: impl Fn(Micros, Micros) -> String) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (index, tick) in ticks.iter().enumerate() {
        let next = ticks.get(index + 1).unwrap_or(tick);
        let text = what(tick.at, next.at);
        if runs.last().is_none_or(|run| run.text != text) {
            runs.push(Run { first: index, text });
        }
    }
    runs
}

/// Gives every tick its column, far enough apart for what is written between them.
fn place(ticks: &mut [Tick], steps: Steps, contexts: &[&[Run]]) {
    for index in 1..ticks.len() {
        let step = if ticks[index].gap_before { steps.gap } else { steps.near };
        let mut column = ticks[index - 1].column + step;
        for runs in contexts {
            // A run that ends here must have had the room for its words.
            let ends_here = runs.iter().position(|run| run.first == index);
            if let Some(before) = ends_here.and_then(|next| next.checked_sub(1)) {
                let run = &runs[before];
                column = column.max(ticks[run.first].column + run.text.chars().count() + 2);
            }
        }
        ticks[index].column = column;
    }
}

fn width(ticks: &[Tick]) -> usize {
    ticks.last().map_or(0, |last| last.column + 1)
}

/// Seconds above the ticks, as many as have room.
fn times(ticks: &[Tick]) -> String {
    let mut line = String::new();
    for tick in ticks {
        let used = line.chars().count();
        if used == 0 || used < tick.column {
            line.push_str(&" ".repeat(tick.column - used));
            line.push_str(&format!("{:.3}", tick.at.as_secs_f64()));
        }
    }
    line
}

fn scale(ticks: &[Tick]) -> String {
    let mut line = vec!['-'; width(ticks)];
    for tick in ticks {
        line[tick.column] = '|';
    }
    mark_gaps(&mut line, ticks);
    line.into_iter().collect()
}

fn context(ticks: &[Tick], runs: &[Run]) -> String {
    let mut line = vec![' '; width(ticks)];
    for (index, run) in runs.iter().enumerate() {
        if run.text.is_empty() {
            continue;
        }
        let first = ticks[run.first].column;
        let next = runs.get(index + 1).map(|next| ticks[next.first].column);
        let end = next.unwrap_or(line.len());
        line[first..end].fill('.');
        // The last may reach beyond the axis; any other is cut short by the next.
        let room = next.map_or(run.text.chars().count(), |next| next - first);
        for (place, glyph) in run.text.chars().take(room).enumerate() {
            line.resize(line.len().max(first + place + 1), ' ');
            line[first + place] = glyph;
        }
    }
    line.into_iter().collect()
}

/// The bar of an operation from its beginning to its certain end; one that may still happen has
/// an arrow for an end.
fn bar(operation: &Operation, ticks: &[Tick]) -> String {
    let column = |seq: u64| ticks.iter().find(|tick| tick.seq == seq).map(|tick| tick.column);
    let first = column(operation.invoked.seq).unwrap_or(0);
    let end = operation.ended().and_then(column);
    let mut line = vec![' '; width(ticks)];
    // A broken file may end an operation before it began; the bar then stands at its beginning.
    let last = end.unwrap_or(line.len() - 1).max(first);
    line[first..=last].fill('=');
    line[first] = '[';
    line[last] = if end.is_some() { ']' } else { '>' };
    mark_gaps(&mut line, ticks);
    line.into_iter().collect()
}

fn mark_gaps(line: &mut [char], ticks: &[Tick]) {
    for pair in ticks.windows(2) {
        let (before, after) = (pair[0], pair[1]);
        if after.gap_before {
            let middle = (before.column + after.column) / 2;
            line[middle..middle + 2].fill('/');
        }
    }
}

/// Which faults were in force and who led when the violated operation began.
fn who_led(anomaly: &Anomaly, around: Surroundings<'_>) -> Vec<String> {
    let Some(culprit) = around.history.operations.get(anomaly.culprit.0 as usize) else {
        return Vec::new();
    };
    if around.events.is_empty() && around.faults.is_empty() {
        return Vec::new();
    }
    let at = culprit.invoked.at;
    let cluster = Cluster::of(around.history.header.nodes, around.events, around.faults);
    let leaders = cluster.leaders(at);
    let verb = match leaders.len() {
        0 => "was seen leading",
        1 => "led",
        2 => "both took themselves for the leader",
        _ => "all took themselves for the leader",
    };
    let in_force = faults::at(around.faults, at);
    let mut text = format!(
        "At {}, when {} began: {} {verb}; {in_force}.",
        units::moment(at),
        culprit.op,
        words::nodes(&leaders)
    );
    if let Some((next, moment)) = cluster.next_leader(at) {
        let seen = match cluster.led_before(next, at) {
            true => "seen leading again",
            false => "first seen leading",
        };
        let mut later = vec![(moment, format!("{next} was {seen} at {}", units::moment(moment)))];
        later.extend(leaders.iter().filter_map(|leader| {
            let moment = cluster.stopped_leading(*leader, at)?;
            Some((moment, format!("{leader} stopped leading at {}", units::moment(moment))))
        }));
        later.sort();
        for (_, sentence) in later {
            text.push_str(&format!(" {sentence}."));
        }
    }
    wrapped("  ", &text)
}

fn others(anomalies: &[&Anomaly], total: u64, history: &History) -> Vec<String> {
    if total <= 1 {
        return Vec::new();
    }
    let verb = if total == 2 { "was" } else { "were" };
    let mut lines = vec![format!("  {} more {verb} found:", units::count(total - 1))];
    let named = anomalies.iter().skip(1).take(OTHERS_MAX);
    for anomaly in named {
        let Some(culprit) = history.operations.get(anomaly.culprit.0 as usize) else { continue };
        lines.push(format!(
            "    {}  {}  {}, {}",
            units::moment(culprit.invoked.at),
            caller(culprit),
            asked(culprit),
            anomaly.kind.name().replace('-', " ")
        ));
    }
    let unnamed = (total - 1).saturating_sub(OTHERS_MAX as u64);
    if unnamed > 0 {
        lines.push(format!(
            "    ... and {} (summary.json lists up to {} of a checker's)",
            units::count(unnamed),
            Judgement::ANOMALIES_MAX
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Role;
    use crate::samples::{Events, Tape, fault, lost_write};

    fn drawn(tape: &Tape, mut anomaly: Anomaly, events: &Events, faults: &[FaultRecord]) -> String {
        let history = tape.history();
        anomaly.operations = (0..history.operations.len() as u32).map(OperationId).collect();
        let events = events.records();
        let around = Surroundings { history: &history, events: &events, faults, recheck: None };
        let lines = section(&[&anomaly], 1, around);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:#?}");
        lines.into_iter().map(|line| line.trim_end().to_string()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn overlapping_operations_keep_their_order_and_an_open_one_has_no_end() {
        let mut tape = Tape::new("register", 3);
        tape.write(0, 1, "r0", 1, 1_000_000, 1_005_000);
        tape.write_unknown(1, 2, "r0", 2, 1_002_000, 1_502_000, "timeout");
        tape.read(2, 3, "r0", Some(2), 1_004_000, 1_006_000);
        tape.read(2, 3, "r0", None, 5_000_000, 5_001_000);
        let text = drawn(&tape, lost_write(0, "r0"), &Events::default(), &[]);
        insta::assert_snapshot!(text, @r#"
        COUNTEREXAMPLE  lost write of "r0": a write acknowledged or seen is gone and nothing overwrote it
          4 of the history's 4 operations prove it
                    seconds     1.000 1.004 1.006 5.000
                                |--|--|--|--|--//-|--|
        > c0 -> n1  write r0=1  [========]     //       ok  <- lost write
          c1 -> n2  write r0=2     [===========//====>  unknown: timeout
          c2 -> n3  read r0           [=====]  //       2
          c2 -> n3  read r0                    // [==]  absent
        "#);
    }

    #[test]
    fn two_leaders_of_one_moment_stand_above_the_lanes() {
        let mut tape = Tape::new("register", 3);
        tape.write(0, 1, "r0", 1, 2_500_000, 2_501_000);
        tape.read(2, 3, "r0", None, 2_600_000, 2_601_000);
        let mut events = Events::default();
        events.role(0, 1, Role::Leader).role(2_200_000, 3, Role::Leader);
        let faults = [fault(1, "partition", &[1], 2_000_000, 3_000_000)];
        let text = drawn(&tape, lost_write(0, "r0"), &events, &faults);
        insta::assert_snapshot!(text, @r#"
        COUNTEREXAMPLE  lost write of "r0": a write acknowledged or seen is gone and nothing overwrote it
          2 of the history's 2 operations prove it
                    seconds     2.500 2.600
                                |--|--|--|
                    fault       1 partition
                    leads       n1 n3.....
        > c0 -> n1  write r0=1  [==]        ok  <- lost write
          c2 -> n3  read r0           [==]  absent

          At 2.500 s, when write r0=1 began: n1 and n3 both took themselves for the leader; fault 1
          (partition of the leader n1) had been in force for 500 ms.
        "#);
    }

    #[test]
    fn more_operations_than_lanes_fit_and_keep_the_culprit() {
        let mut tape = Tape::new("register", 3);
        for step in 0..12 {
            let (client, from) = (1_000 + step as u32, 1_000_000 + step * 2_000_000);
            let value = 123_456_789_000 + step as i64;
            tape.mismatch(client, 3, "a-register", value, value + 1, value, from, from + 900_000);
        }
        let text = drawn(&tape, lost_write(11, "a-register"), &Events::default(), &[]);
        assert!(text.contains("and 4 more, not drawn"), "{text}");
        assert!(text.contains("\n> c1011 -> n3"), "{text}");
    }
}
