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
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{Ended, RunArgs, plan, print, report, say, sources, style};
use crate::cluster::process::{Processes, Reaper};
use crate::result::{self, ExitCode};
use crate::run::directory::SuiteDirectory;
use crate::run::series::{Progress, Series, Targets};
use crate::suite::plan::PlannedRun;
use crate::target;

pub(super) fn main(args: RunArgs) -> Ended {
    // Everything that can be refused is refused before anything starts.
    let kinds = target::kinds()?;
    let mut prepared = Vec::new();
    for suite in sources::suites(&args.suites)? {
        let seed = plan::seed(args.seed, &suite);
        let runs = plan::expand(&suite, &kinds, seed, args.only.as_deref())?;
        let targets = Targets::open(&runs)?;
        prepared.push(Prepared { suite: suite.suite, seed, runs, targets });
    }
    // Before any thread exists: whatever ends this process, the reaper outlives it for as long as
    // it takes to end all that was started.
    let reaper = Reaper::start().context("cannot start the reaper")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let processes = Arc::new(reaper.into_async().context("cannot talk to the reaper")?);
        let stop = Stop::listen().context("cannot listen for signals")?;
        let mut results = Vec::new();
        for prepared in prepared {
            if *stop.asked.borrow() {
                break;
            }
            let ended = tokio::select! {
                ended = run(&args, prepared, processes.clone(), stop.asked.clone()) => ended,
                () = stop.again() => break,
            };
            results.push(ended.unwrap_or_else(|error| {
                // A full disk in the second suite must not hide what the first has proven.
                say(&format!("error: {error:#}"));
                RunResult::Environment
            }));
        }
        processes.shutdown().await.context("processes may be left behind")?;
        Ok(stop.outcome(ExitCode::of(result::over(results.into_iter()))))
    })
}

/// A suite that can be run.
struct Prepared {
    suite: String,
    seed: Seed,
    runs: Vec<PlannedRun>,
    targets: Targets,
}

async fn run(
    args: &RunArgs,
    prepared: Prepared,
    processes: Arc<Processes>,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<RunResult> {
    let Prepared { suite, seed, runs, targets } = prepared;
    let now = chrono::Local::now();
    let stamp = now.format("%Y%m%d-%H%M%S").to_string();
    let directory = SuiteDirectory::create(&args.out, &stamp, &suite)
        .with_context(|| format!("cannot make a folder in {}", args.out.display()))?;
    let series = Series {
        suite,
        seed,
        runs,
        directory,
        command: command_line(),
        started: now.to_rfc3339_opts(chrono::SecondsFormat::Secs, false),
        keep_data: args.keep_data,
    };
    let progress: Arc<dyn Progress> = match args.quiet {
        true => Arc::new(Silence),
        false => Arc::new(Lines { style: style::file(args.drawing), faults: Mutex::default() }),
    };
    let summary = series.run(&targets, processes, stop, progress).await?;
    leave_report(&series, &summary, args)?;
    Ok(summary.result)
}

/// Prints the report and writes the same text, without colors, beside the summary.
fn leave_report(series: &Series, summary: &SuiteRecord, args: &RunArgs) -> anyhow::Result<()> {
    let directory = &series.directory;
    let write = |path: &Path, text: &str| {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    for run in &summary.runs {
        if let Some(text) = report::counterexample(directory, run, &style::file(args.drawing)) {
            write(&directory.run(&run.directory).counterexample(), &text)?;
        }
    }
    write(&directory.report(), &report::text(directory, summary, &style::file(args.drawing)))?;
    print(&report::text(directory, summary, &style::stdout(args.drawing)));
    Ok(())
}

fn command_line() -> String {
    let mut words = std::env::args();
    // The path of the program says nothing on another machine.
    words.next();
    std::iter::once("splitbrain".to_string()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Requests to end early. The first is answered with heals, a judgement of what there is and a
/// report; the second ends everything at once.
struct Stop {
    asked: watch::Receiver<bool>,
    state: Arc<Mutex<Option<ExitCode>>>,
    insisted: watch::Receiver<bool>,
}

impl Stop {
    fn listen() -> std::io::Result<Stop> {
        let (ask, asked) = watch::channel(false);
        let (insist, insisted) = watch::channel(false);
        let state = Arc::new(Mutex::new(None));
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let seen = state.clone();
        tokio::spawn(async move {
            loop {
                let code = tokio::select! {
                    _ = interrupt.recv() => ExitCode::Interrupted,
                    _ = terminate.recv() => ExitCode::Terminated,
                    _ = hang_up.recv() => ExitCode::Terminated,
                };
                let mut state = seen.lock().expect("no holder of this lock panics");
                match state.replace(code) {
                    None => {
                        say("stopping: healing, judging what there is; once more stops at once");
                        ask.send_replace(true);
                    }
                    Some(_) => {
                        insist.send_replace(true);
                    }
                }
            }
        });
        Ok(Stop { asked, state, insisted })
    }

    async fn again(&self) {
        let mut insisted = self.insisted.clone();
        if insisted.wait_for(|insisted| *insisted).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The code of the command: an interrupt masks no proven violation.
    fn outcome(&self, code: ExitCode) -> ExitCode {
        let state = self.state.lock().expect("no holder of this lock panics");
        match (*state, code) {
            (Some(_), ExitCode::NotMet) | (None, _) => code,
            (Some(signal), _) => signal,
        }
    }
}

struct Silence;

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
            Event::Process { .. }
            | Event::Role { .. }
            | Event::Stranger { .. }
            | Event::Note(_) => {}
        }
    }

    fn run_ends(&self, run: &RunRecord, took: Micros) {
        say(&text::progress::run_ends(run, took, &self.style));
    }
}
