//! `splitbrain repro`: the plan of a recorded run again and again; how often does it fail?

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use splitbrain_reports::measure::rate::{self, Share, Symptom};
use splitbrain_reports::record::{EventRecord, RunRecord, SuiteRecord, TargetRecord};
use splitbrain_reports::text::{self, Repro, Style};
use splitbrain_workloads::history::Micros;

use super::{Ended, ReproArgs, clusters, print, run, say, style};
use crate::recorded;
use crate::result::ExitCode;
use crate::run::directory::SuiteDirectory;
use crate::run::examine::read_history;
use crate::run::series::{Progress, Series, Targets, numbered};
use crate::suite::plan::PlannedRun;
use crate::suite::stop::Stop;
use crate::target;

pub(super) fn main(args: &ReproArgs) -> Ended {
    let recorded = recorded::open(&args.path, args.only.as_deref(), &target::kinds()?)?;
    let symptom = recorded.record.as_ref().map_or(Symptom::Anything, Symptom::of);
    let mut plan = recorded.plan.clone();
    if let Symptom::Anomaly(kind) = symptom {
        // A run shows it or does not; what comes after the proof changes neither.
        plan.stop = Stop::once_proven(kind);
    }
    let runs = numbered(&plan, args.runs, args.fresh);
    let targets = Targets::open(&runs)?;
    let now = chrono::Local::now();
    let name = format!("{}-repro", recorded.plan.name);
    let directory = run::new_folder(&args.out, &now, &name)?;
    let origin = run::origin(recorded.plan.seed, &now);
    let series = Series { suite: name, origin, runs, directory, keep_data: args.keep_data };
    let progress = Counting {
        symptom: symptom.clone(),
        asked: args.runs.into(),
        quiet: args.quiet,
        style: style::file(args.drawing),
        so_far: Mutex::default(),
    };
    clusters::with(args.jobs.into(), async |lanes, stop| {
        let work = series.run(&targets, lanes, stop.asked(), Arc::new(progress));
        let Some(summary) = stop.unless_insisted(work).await else {
            return Ok(ExitCode::Undecided);
        };
        let mut summary = summary?;
        let code = stop.outcome(ExitCode::of(summary.result));
        (summary.exit_code, summary.exit_reason) = (code as u8, code.meaning().to_string());
        let first = first_anomalies(&series.directory, &summary, &symptom);
        let of = recorded.directory.path().display().to_string();
        let repro = Repro {
            of: &of,
            symptom: &symptom,
            asked: args.runs.into(),
            at_a_time: args.jobs.into(),
            fresh: args.fresh,
            suite: &summary,
            first: &first,
        };
        let path = series.directory.report();
        std::fs::write(&path, text::repro(&repro, &style::file(args.drawing)))
            .with_context(|| format!("cannot write {}", path.display()))?;
        print(&text::repro(&repro, &style::stdout(args.drawing)));
        Ok(code)
    })
}

/// When the first anomaly of each failed run began.
fn first_anomalies(
    directory: &SuiteDirectory,
    summary: &SuiteRecord,
    symptom: &Symptom,
) -> BTreeMap<String, Micros> {
    let failed = summary.runs.iter().filter(|run| symptom.shows(run) == Some(true));
    let first = |run: &RunRecord| {
        let history = read_history(&directory.run(&run.directory).history()).ok()?;
        Some((run.name.clone(), rate::first_anomaly(run, &history, symptom)?))
    };
    failed.filter_map(first).collect()
}

/// One line on stderr for each run that is over.
struct Counting {
    symptom: Symptom,
    asked: u64,
    quiet: bool,
    style: Style,
    /// How many are over, and how many of the decided ones failed.
    so_far: Mutex<(u64, Share)>,
}

impl Progress for Counting {
    fn run_begins(&self, _: usize, _: usize, _: &PlannedRun, _: &TargetRecord) {}
    fn event(&self, _: &EventRecord, _: u64) {}

    fn run_ends(&self, run: &RunRecord, took: Micros) {
        let mut so_far = self.so_far.lock().expect("no holder of this lock panics");
        let (over, share) = &mut *so_far;
        *over += 1;
        if let Some(shows) = self.symptom.shows(run) {
            share.add(shows);
        }
        if !self.quiet {
            let (asked, symptom) = (self.asked, &self.symptom);
            say(&text::repeated(*over, asked, run, symptom, *share, took, &self.style));
        }
    }
}
