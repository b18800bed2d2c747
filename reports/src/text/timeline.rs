//! The section TIMELINE: the run from left to right, one column a moment.

use splitbrain_workloads::history::Micros;
use splitbrain_workloads::verdict::Anomaly;

use super::{RunDetail, table, theme, words};
use crate::measure::Window;
use crate::measure::cluster::NodeState;
use crate::measure::timeline::{Span, Timeline};
use crate::record::RunRecord;
use crate::units;

/// The room for columns: the width of a report without the labels left and the scales right.
const COLUMNS_MAX: usize = 64;
/// The room for labels.
const LABEL: usize = 11;
/// Every how many columns the axis has a tick with its time.
const TICK: usize = 10;

/// Faults, roles, operations and anomalies over time.
pub(super) fn section(run: &RunRecord, detail: &RunDetail) -> Vec<String> {
    let timeline =
        Timeline::of(&detail.history, &detail.events, &run.faults, window(run), COLUMNS_MAX);
    if timeline.columns.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new()];
    lines.extend(title(&timeline));
    lines.extend(axis(&timeline));
    lines.extend(fault_lanes(&timeline));
    for (node, states) in &timeline.nodes {
        let glyphs: String = states.iter().map(|state| theme::node(*state).0).collect();
        lines.push(lane(&node.to_string(), &glyphs));
    }
    lines.push(throughput(&timeline));
    lines.extend(latency(&timeline));
    lines.extend(anomalies(run, detail, &timeline));
    lines
}

/// The load, from the last whole second before it to the last heal after it.
fn window(run: &RunRecord) -> Window {
    let healed = run.faults.iter().filter_map(|fault| fault.healed).max().unwrap_or_default();
    let load_ended = Micros(run.load_began.0 + run.load.0);
    let from = Micros(run.load_began.0 / 1_000_000 * 1_000_000);
    Window { from, to: load_ended.max(healed) }
}

fn lane(label: &str, columns: &str) -> String {
    format!("  {:LABEL$} {columns}", table::shortened(label, LABEL))
}

/// What a column is, and the glyphs that occur.
fn title(timeline: &Timeline) -> Vec<String> {
    let mut states: Vec<NodeState> =
        timeline.nodes.iter().flat_map(|(_, states)| states).copied().collect();
    states.sort_unstable();
    states.dedup();
    let shown = states.into_iter().rev().filter(|state| *state != NodeState::Unknown);
    let legend = shown.map(theme::node).map(|(glyph, meaning)| format!("{glyph} {meaning}"));
    let legend: Vec<String> = legend.collect();
    let column = timeline.column.as_secs_f64();
    table::wrapped("TIMELINE  ", &format!("one column = {column} s; {}", legend.join(", ")))
}

fn axis(timeline: &Timeline) -> Vec<String> {
    let mut times = String::new();
    let mut ticks = String::new();
    for column in 0..timeline.columns.len() {
        ticks.push(match column % TICK {
            0 => '|',
            5 => '+',
            _ => '-',
        });
        if column % TICK == 0 {
            let time = timeline.window_of(column).from.as_secs_f64();
            let blanks = column.saturating_sub(times.chars().count());
            times.push_str(&" ".repeat(blanks));
            times.push_str(&time.to_string());
        }
    }
    vec![lane("seconds", &times), lane("", &ticks)]
}

/// One lane for each kind of fault, more where two of a kind overlap. The digits are the numbers
/// in the section FAULTS.
fn fault_lanes(timeline: &Timeline) -> Vec<String> {
    let mut lanes: Vec<(&str, Vec<&Span>)> = Vec::new();
    for span in &timeline.faults {
        let free = lanes.iter_mut().find(|(kind, spans)| {
            *kind == span.kind && spans.iter().all(|other| other.last < span.first)
        });
        match free {
            Some((_, spans)) => spans.push(span),
            None => lanes.push((&span.kind, vec![span])),
        }
    }
    let drawn = lanes.into_iter().map(|(kind, spans)| {
        let mut columns = vec!['.'; timeline.columns.len()];
        for span in spans {
            columns[span.first..=span.last].fill(theme::fault(span.fault));
        }
        lane(kind, &columns.into_iter().collect::<String>())
    });
    drawn.collect()
}

fn throughput(timeline: &Timeline) -> String {
    let most = timeline.columns.iter().filter_map(|column| column.ok).max().unwrap_or(0);
    let glyphs: String = timeline
        .columns
        .iter()
        .map(|column| match column.ok {
            None => theme::NOTHING,
            Some(0) => theme::ZERO,
            Some(ok) => level(ok as f64 / most as f64),
        })
        .collect();
    lane("ok/s", &format!("{glyphs}  0 .. {}", units::rate(most, timeline.column)))
}

/// On a logarithmic scale, since an outage is a thousand times an ordinary answer.
fn latency(timeline: &Timeline) -> Option<String> {
    let known: Vec<Micros> = timeline.columns.iter().filter_map(|column| column.p99).collect();
    let (least, most) = (*known.iter().min()?, *known.iter().max()?);
    let span = ((most.0.max(1) as f64) / (least.0.max(1) as f64)).ln();
    let glyphs: String = timeline
        .columns
        .iter()
        .map(|column| match column.p99 {
            None => theme::NOTHING,
            Some(p99) if span > 0.0 => {
                level((p99.0.max(1) as f64 / least.0.max(1) as f64).ln() / span)
            }
            Some(_) => level(0.0),
        })
        .collect();
    let scale = format!("{} .. {} log", units::duration(least), units::duration(most));
    Some(lane("p99", &format!("{glyphs}  {scale}")))
}

/// The level of a share between 0 and 1.
fn level(share: f64) -> char {
    let top = theme::LEVELS.len() - 1;
    theme::LEVELS[((share * theme::LEVELS.len() as f64) as usize).min(top)]
}

/// A mark under each column in which an operation began that a checker listed as violated.
fn anomalies(run: &RunRecord, detail: &RunDetail, timeline: &Timeline) -> Vec<String> {
    let listed: Vec<&Anomaly> =
        run.judgements.iter().flat_map(|judgement| &judgement.anomalies).collect();
    let began = |anomaly: &&Anomaly| {
        let culprit = detail.history.operations.get(anomaly.culprit.0 as usize)?;
        timeline.column_of(culprit.invoked.at)
    };
    let columns: Vec<usize> = listed.iter().filter_map(began).collect();
    let Some(last) = columns.iter().max() else { return Vec::new() };
    let mut marks = vec![' '; last + 1];
    for column in columns {
        marks[column] = '^';
    }
    let marks = lane("anomalies", &marks.into_iter().collect::<String>());
    let note = format!("  {}", words::finding(run));
    vec![if marks.chars().count() + note.chars().count() <= super::WIDTH {
        format!("{marks}{note}")
    } else {
        marks
    }]
}
