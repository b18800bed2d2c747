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
use crate::record::{EventRecord, Part, RunRecord, SuiteRecord};

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
    let mut lines = summary::head(suite);
    lines.extend(summary::runs(suite));
    lines.extend(summary::canaries(suite));
    lines.extend(proofs_covered(suite));
    for run in in_reading_order(suite) {
        lines.extend(run::block(suite, run, detail));
    }
    if suite.runs.len() > 1 {
        lines.extend([String::new(), theme::rule("")]);
        lines.extend(summary::verdict(suite).into_iter().skip(1));
    }
    lines.extend(next::suite(suite));
    lines.extend(next::exit(suite.exit_code, &suite.exit_reason));
    theme::finish(&lines, style)
}

/// What the faults of all proofs came to; the only run of a suite says it in its own block.
fn proofs_covered(suite: &SuiteRecord) -> Vec<String> {
    if suite.runs.len() == 1 {
        return Vec::new();
    }
    let proofs = suite.runs.iter().filter(|run| run.part == Part::Proof);
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
