//! `splitbrain run`: runs suites, prints their reports, ends with their result.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use splitbrain_reports::record::{
    Event, EventRecord, FaultId, FaultStep, RunRecord, RunResult, SuiteRecord, TargetRecord,
};
use splitbrain_reports::text::{self, Style};
use splitbrain_workloads::history::Micros;
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Seed;

use super::clusters::Stop as Stopping;
use super::{
    Drawing, Ended, Failure, RunArgs, clusters, plan, print, report, say, selection, sources, style,
};
use crate::cluster::process::Processes;
use crate::result::{self, ExitCode};
use crate::run::attempt::Origin;
use crate::run::directory::SuiteDirectory;
use crate::run::series::{Progress, Series, Targets};
use crate::run::stale;
use crate::suite::Suite;
use crate::suite::plan::PlannedRun;
use crate::suite::stop::Stop;
use crate::suite::target::TargetKind;
use crate::target;

pub(super) fn main(args: RunArgs) -> Ended {
    // Everything that can be refused is refused before anything starts.
    let kinds = target::kinds()?;
    let mut prepared = Vec::new();
    for suite in sources::suites(&args.suites)? {
        let seed = plan::seed(args.seed, &suite);
        let mut suite = selected(&args, suite, &kinds)?;
        if args.stop_on_violation {
            let runs = suite.runs.iter_mut().filter(|run| run.stop == Stop::AtEnd);
            runs.for_each(|run| run.stop = Stop::OnViolation);
        }
        let runs = plan::expand(&suite, &kinds, seed, None)?;
        let targets = Targets::open(&runs)?;
        prepared.push(Prepared { suite: suite.suite, seed, runs, targets });
    }
    clusters::with(1, async |lanes, stop| {
        let mut results = Vec::new();
        for prepared in prepared {
            if *stop.asked().borrow() {
                break;
            }
            let work = run(&args, prepared, lanes, stop);
            let Some(ended) = stop.unless_insisted(work).await else { break };
            results.push(ended.unwrap_or_else(|failure| {
                // A full disk in the second suite must not hide what the first has proven.
                say(&failure.text);
                RunResult::Environment
            }));
        }
        Ok(ExitCode::of(result::over(results.into_iter())))
    })
}

/// A suite that can be run.
struct Prepared {
    suite: String,
    seed: Seed,
    runs: Vec<PlannedRun>,
    targets: Targets,
}

/// The part of a suite that is asked for, before it is planned.
fn selected(args: &RunArgs, mut suite: Suite, kinds: &[TargetKind]) -> Result<Suite, Failure> {
    let usage = |text| Failure::new(ExitCode::Usage, text);
    if args.only.is_some() {
        // Nothing is run from this plan; it knows which names match.
        let planned = plan::expand(&suite, kinds, Seed(0), args.only.as_deref())?;
        suite.runs.retain(|run| planned.iter().any(|planned| planned.name == run.name));
    }
    if let Some(shard) = args.shard {
        suite = shard.of(&suite).map_err(usage)?;
    }
    selection::repeated(&suite, args.repeat).map_err(usage)
}

async fn run(
    args: &RunArgs,
    prepared: Prepared,
    lanes: &[Arc<Processes>],
    stop: &Stopping,
) -> Result<RunResult, Failure> {
    let Prepared { suite, seed, runs, targets } = prepared;
    let now = chrono::Local::now();
    let directory = new_folder(&args.out, &now, &suite)?;
    let series =
        Series { suite, origin: origin(seed, &now), runs, directory, keep_data: args.keep_data };
    let progress = progress(args.quiet, args.drawing);
    let mut summary = series.run(&targets, lanes, stop.asked(), progress).await?;
    say_stopped(&series, &mut summary, stop)?;
    leave_report(&series.directory, &summary, args.drawing)?;
    Ok(summary.result)
}

/// Gives the summary of a series that was asked to stop the code with which the command will end,
/// so that the report's last line and the shell agree.
pub(super) fn say_stopped(
    series: &Series,
    summary: &mut SuiteRecord,
    stop: &Stopping,
) -> Result<(), Failure> {
    let code = stop.outcome(ExitCode::of(summary.result));
    if code as u8 != summary.exit_code {
        let reason = result::reason(code, &summary.runs, series.runs.len());
        (summary.exit_code, summary.exit_reason) = (code as u8, reason);
        series.write(summary)?;
    }
    Ok(())
}

/// A new folder for what a command leaves.
pub(super) fn new_folder(
    out: &Path,
    now: &chrono::DateTime<chrono::Local>,
    name: &str,
) -> Result<SuiteDirectory, Failure> {
    sweep(out);
    let stamp = now.format("%Y%m%d-%H%M%S").to_string();
    SuiteDirectory::create(out, &stamp, name).map_err(|error| {
        let text = format!(
            "error: cannot make a folder in {}: {error}\n  = help: give --out a folder that can be \
             written",
            out.display()
        );
        Failure::new(ExitCode::Environment, text)
    })
}

/// Removes what killed harnesses left in the folder of folders, and says so. What cannot be removed
/// stops nobody.
fn sweep(out: &Path) {
    if !out.is_dir() {
        return;
    }
    match stale::sweep(out) {
        Ok(swept) => {
            for folder in swept {
                say(&format!(
                    "swept {}: its harness was killed; the data of its nodes is removed, \
                     histories, events and logs are kept",
                    folder.display()
                ));
            }
        }
        Err(error) => {
            say(&format!("cannot sweep what a killed harness left in {}: {error}", out.display()))
        }
    }
}

/// Where the progress of runs goes.
pub(super) fn progress(quiet: bool, drawing: Drawing) -> Arc<dyn Progress> {
    match quiet {
        true => Arc::new(Silence),
        false => Arc::new(Lines { style: style::file(drawing), faults: Mutex::default() }),
    }
}

/// Prints the report and writes the same text, without colors, beside the summary.
pub(super) fn leave_report(
    directory: &SuiteDirectory,
    summary: &SuiteRecord,
    drawing: Drawing,
) -> Result<(), Failure> {
    let write = |path: &Path, text: &str| {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    for run in &summary.runs {
        if let Some(text) = report::counterexample(directory, run, &style::file(drawing)) {
            write(&directory.run(&run.directory).counterexample(), &text)?;
        }
    }
    write(&directory.report(), &report::text(directory, summary, &style::file(drawing)))?;
    print(&report::text(directory, summary, &style::stdout(drawing)));
    Ok(())
}

/// What plans and summaries say of where they come from.
pub(super) fn origin(seed: Seed, now: &chrono::DateTime<chrono::Local>) -> Origin {
    Origin {
        seed,
        command: command_line(),
        started: now.to_rfc3339_opts(chrono::SecondsFormat::Secs, false),
    }
}

fn command_line() -> String {
    let mut words = std::env::args();
    // The path of the program says nothing on another machine.
    words.next();
    std::iter::once("splitbrain".to_string()).chain(words).collect::<Vec<_>>().join(" ")
}

/// No progress.
pub(super) struct Silence;

impl Progress for Silence {
    fn run_begins(&self, _: usize, _: usize, _: &PlannedRun, _: &TargetRecord) {}
    fn event(&self, _: &EventRecord, _: u64) {}
    fn run_ends(&self, _: &RunRecord, _: Micros) {}
}

/// One line on stderr where something begins or ends.
struct Lines {
    style: Style,
    /// Kind and victims of the faults of this run; steps after the first do not repeat them.
    faults: Mutex<BTreeMap<FaultId, (String, Vec<NodeId>)>>,
}

impl Progress for Lines {
    fn run_begins(&self, number: usize, of: usize, run: &PlannedRun, target: &TargetRecord) {
        let mut faults = self.faults.lock().expect("no holder of this lock panics");
        let kind = |fault: &crate::suite::plan::PlannedFault| fault.fault.kind().to_string();
        *faults = run.faults.iter().map(|fault| (fault.id, (kind(fault), Vec::new()))).collect();
        let workload = run.workload.describe();
        let (name, style) = (&run.name, &self.style);
        let (part, of) = (&run.part, of);
        say(&text::progress::run_begins(number, of, name, part, target, &workload, style));
    }

    fn event(&self, event: &EventRecord, operations_ok: u64) {
        match &event.event {
            Event::Phase(phase) => say(&text::progress::phase(event.us, *phase, &self.style)),
            Event::Fault { fault, step } => {
                let mut faults = self.faults.lock().expect("no holder of this lock panics");
                let Some((kind, hit)) = faults.get_mut(fault) else { return };
                if let FaultStep::Requested { victims, .. } = step {
                    hit.clone_from(victims);
                }
                // Between the request and its confirmation lies a moment; one line is enough.
                if matches!(step, FaultStep::Requested { .. } | FaultStep::HealRequested) {
                    return;
                }
                let style = &self.style;
                let (at, id) = (event.us, *fault);
                say(&text::progress::fault(at, id, kind, hit, step, operations_ok, style));
            }
            Event::ViolationFound { kind, what, .. } => {
                say(&text::progress::violation(event.us, *kind, what, &self.style));
            }
            Event::Frozen { nodes } => {
                say(&text::progress::frozen(event.us, nodes, &self.style));
            }
            Event::Process { .. }
            | Event::Role { .. }
            | Event::Stranger { .. }
            | Event::State(_)
            | Event::Note(_) => {}
        }
    }

    fn run_ends(&self, run: &RunRecord, took: Micros) {
        say(&text::progress::run_ends(run, took, &self.style));
    }
}
