//! What people read: plain text, at most [`WIDTH`] columns, a pure function of the records.
//!
//! One file per section, in the order in which they appear: `summary`, `gates`,
//! `operations`, `timeline`, `faults`, `coverage`, `lanes` (the counterexample), `next`.
//! [`suite`] puts them together for `run` and `report`, [`checked`] and [`modelled`] for `check`;
//! [`progress`] is for the lines on stderr while a suite runs. Words for records are chosen in `words`, glyphs
//! and colors in `theme`. A section is built in the full character set and without color;
//! `theme` turns the finished text into what the reader can show, so neither can move a column.
//!
//! The text is for people and changes when a better one is found; programs read `summary.json`.

mod checked;
mod coverage;
mod explore;
mod faults;
mod gates;
mod lanes;
mod modelled;
mod next;
mod operations;
pub mod progress;
mod regression;
mod replay;
mod repro;
mod run;
mod selftest;
mod shrink;
mod summary;
mod table;
mod theme;
mod timeline;
mod violated;
mod watch;
pub(crate) mod words;

use splitbrain_workloads::history::History;

use crate::measure::fault_coverage;
use crate::record::{EventRecord, Part, RunRecord, RunResult, SuiteRecord};

pub use checked::{Checked, checked};
pub use explore::{Explored, Ventured, explored, ventured};
pub use modelled::{Modelled, modelled};
pub use regression::{Gated, gated};
pub use replay::{Replay, ReplayedFault, replay};
pub use repro::{Repro, repeated, repro};
pub use selftest::{Broken, Power, Selftest, selftest};
pub use shrink::{Shrunk, Tried, shrunk, tried};
pub use table::wrapped;
pub use theme::{Charset, Style};
pub use violated::violated;

/// No line of a report is longer, whatever the terminal: reports are compared and mailed. Lines to
/// copy are the exception, for a path that is broken is of no use.
pub const WIDTH: usize = 100;

/// What a run's folder holds beside its record, for timeline and counterexample.
#[derive(Clone, Debug)]
pub struct RunDetail {
    /// `history.jsonl`.
    pub history: History,
    /// `events.jsonl`.
    pub events: Vec<EventRecord>,
}

/// The report of a suite: after `run` and again by `report`, byte for byte the same.
///
/// `detail` is asked once for each run whose sections need it. `None`, for a run that never
/// started or whose files are gone, leaves out timeline and lanes and says so.
pub fn suite(
    suite: &SuiteRecord,
    detail: &dyn Fn(&RunRecord) -> Option<RunDetail>,
    style: &Style,
) -> String {
    written(suite, None, detail, style)
}

/// A suite that has not come to its end, or never will: what is known of why.
#[derive(Clone, Copy, Debug)]
pub struct Unfinished {
    /// The process that runs it or did, where that is known.
    pub process: Option<u32>,
    /// Whether it still does.
    pub alive: bool,
}

/// The report of a suite whose summary is that of the runs done so far.
pub fn unfinished(
    suite: &SuiteRecord,
    unfinished: &Unfinished,
    detail: &dyn Fn(&RunRecord) -> Option<RunDetail>,
    style: &Style,
) -> String {
    written(suite, Some(unfinished), detail, style)
}

fn written(
    suite: &SuiteRecord,
    unfinished: Option<&Unfinished>,
    detail: &dyn Fn(&RunRecord) -> Option<RunDetail>,
    style: &Style,
) -> String {
    let mut lines = summary::head(suite, unfinished);
    lines.extend(summary::runs(suite));
    lines.extend(summary::canaries(suite));
    lines.extend(proofs_covered(suite));
    for run in in_reading_order(suite) {
        lines.extend(run::block(suite, run, detail));
    }
    if suite.runs.len() > 1 {
        lines.extend([String::new(), theme::rule("")]);
        let end = match unfinished {
            Some(unfinished) => summary::so_far(suite, unfinished),
            None => summary::verdict(suite),
        };
        lines.extend(end.into_iter().skip(1));
    }
    lines.extend(next::suite(suite));
    // It has no exit code before it has ended.
    if unfinished.is_none() {
        lines.extend(next::exit(suite.exit_code, &suite.exit_reason));
    }
    theme::finish(&lines, style)
}

/// What the faults of all proofs came to; the only run of a suite says it in its own block.
fn proofs_covered(suite: &SuiteRecord) -> Vec<String> {
    let proofs = suite.runs.iter().filter(|run| run.part == Part::Proof);
    // One proof that is shown whole says it by itself.
    let mut covered = proofs.clone().filter(|run| !run.coverage.is_empty());
    let (only, another) = (covered.next(), covered.next());
    let said = only.is_some_and(|only| only.result != RunResult::Met) && another.is_none();
    if suite.runs.len() == 1 || said {
        return Vec::new();
    }
    coverage::section(&fault_coverage::sum(proofs.map(|run| &run.coverage[..])))
}

/// The counterexample of a run alone, for a file of its own; `None` without an anomaly.
pub fn counterexample(run: &RunRecord, detail: &RunDetail, style: &Style) -> Option<String> {
    let lines = run::counterexample(run, Some(detail));
    (!lines.is_empty()).then(|| theme::finish(&lines, style))
}

/// What went wrong stands last, where the eye is when a long text has scrolled by.
fn in_reading_order(suite: &SuiteRecord) -> Vec<&RunRecord> {
    let mut runs: Vec<&RunRecord> = suite.runs.iter().collect();
    runs.sort_by_key(|run| run.result);
    runs
}
