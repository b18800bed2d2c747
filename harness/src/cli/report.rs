//! `splitbrain report`: prints what `run` printed, from the folder alone.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::Context as _;
use splitbrain_reports::record::{EventRecord, RunRecord, SuiteRecord};
use splitbrain_reports::text::{self, RunDetail, Style, Unfinished};
use splitbrain_reports::{json, junit, markdown};

use super::{Ended, Failure, Format, ReportArgs, print, style};
use crate::result::{self, ExitCode};
use crate::run::directory::{RunDirectory, SuiteDirectory};
use crate::run::examine::read_history;
use crate::run::stale::{self, Writer};

pub(super) fn main(args: &ReportArgs) -> Ended {
    let suite = SuiteDirectory::open(&args.path);
    let is_whole = suite.is_some();
    let (directory, summary) = match suite {
        Some(directory) => {
            let summary = read(&directory)?;
            (directory, summary)
        }
        None => of_one_run(&args.path)?,
    };
    match args.format {
        Format::Text => {
            let here = SuiteRecord { directory: here(&directory, &summary), ..summary };
            let style = style::stdout(args.drawing);
            // One run that is printed has ended, whatever became of its suite.
            let writer = stale::writer(directory.path()).filter(|_| is_whole);
            print(&match writer {
                Some(Writer { process, alive }) => {
                    let detail = |run: &RunRecord| detail(&directory, run);
                    text::unfinished(&here, &Unfinished { process, alive }, &detail, &style)
                }
                None => self::text(&directory, &here, &style),
            });
        }
        Format::Json => {
            let mut bytes = Vec::new();
            json::write_suite(&summary, &mut bytes).context("cannot write the summary")?;
            print(&String::from_utf8_lossy(&bytes));
        }
        Format::Junit => {
            let mut bytes = Vec::new();
            junit::write_suite(&summary, &mut bytes).context("cannot write the results")?;
            print(&String::from_utf8_lossy(&bytes));
        }
        Format::Markdown => {
            let mut bytes = Vec::new();
            markdown::write_suite(&summary, &mut bytes).context("cannot write the table")?;
            print(&String::from_utf8_lossy(&bytes));
        }
    }
    Ok(ExitCode::Met)
}

/// The suite of one run's folder, with that run alone.
fn of_one_run(path: &Path) -> Result<(SuiteDirectory, SuiteRecord), Failure> {
    let place = path.canonicalize().map_err(|_| not_a_run(path))?;
    let suite = place.parent().and_then(SuiteDirectory::open);
    let directory = suite.ok_or_else(|| not_a_run(path))?;
    let mut summary = read(&directory)?;
    let is_it = |run: &RunRecord| directory.run(&run.directory).path() == place;
    summary.runs.retain(is_it);
    let [run] = &summary.runs[..] else { return Err(not_a_run(path)) };
    let code = ExitCode::of(run.result);
    (summary.result, summary.exit_code) = (run.result, code as u8);
    summary.exit_reason = result::reason(code, &summary.runs, 1);
    summary.planned = None;
    Ok((directory, summary))
}

/// The folder as its lines to copy must name it: as the suite did when it was run, unless it has been
/// moved or is looked at from elsewhere.
fn here(directory: &SuiteDirectory, summary: &SuiteRecord) -> String {
    let place = |path: &Path| path.canonicalize().ok();
    match place(Path::new(&summary.directory)) == place(directory.path()) {
        true => summary.directory.clone(),
        false => directory.path().display().to_string(),
    }
}

pub(super) fn not_a_run(path: &Path) -> Failure {
    let parent = path.parent().filter(|parent| SuiteDirectory::open(parent).is_some());
    let (what, help) = match parent {
        _ if !path.exists() => {
            ("does not exist", "name the folder of a suite, such as runs/latest".to_string())
        }
        Some(suite) if RunDirectory::open(path).is_some() => {
            ("is the folder of one run", format!("its suite is {}", suite.display()))
        }
        _ => (
            "is no folder of a suite: it has no summary.json",
            "name one, such as runs/latest".to_string(),
        ),
    };
    let text = format!("error: {} {what}\n  = help: {help}", path.display());
    Failure::new(ExitCode::Usage, text)
}

/// Reads `summary.json`.
pub(super) fn read(directory: &SuiteDirectory) -> Result<SuiteRecord, Failure> {
    let path = directory.summary();
    let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
    json::read_suite(BufReader::new(file)).map_err(|error| {
        Failure::new(ExitCode::Usage, format!("error: {}: {error}", path.display()))
    })
}

/// The report of a suite as text: a pure function of its folder.
pub(super) fn text(directory: &SuiteDirectory, summary: &SuiteRecord, style: &Style) -> String {
    text::suite(summary, &|run| detail(directory, run), style)
}

/// The first anomaly of a run as text, where there is one.
pub(super) fn counterexample(
    directory: &SuiteDirectory,
    run: &RunRecord,
    style: &Style,
) -> Option<String> {
    run.judgements.iter().find(|judgement| !judgement.anomalies.is_empty())?;
    text::counterexample(run, &detail(directory, run)?, style)
}

/// The events of a run, as far as they can be read.
pub(super) fn events(folder: &RunDirectory) -> Vec<EventRecord> {
    let file = File::open(folder.events()).ok();
    let events = file.and_then(|file| json::read_events(BufReader::new(file)).ok());
    events.map(|events| events.records).unwrap_or_default()
}

/// What a run's folder holds, as far as it can be read; the report says what is missing.
fn detail(directory: &SuiteDirectory, run: &RunRecord) -> Option<RunDetail> {
    let folder = directory.run(&run.directory);
    let history = read_history(&folder.history()).ok()?;
    let events = json::read_events(BufReader::new(File::open(folder.events()).ok()?)).ok()?;
    Some(RunDetail { history, events: events.records })
}
