//! `splitbrain explore`: plans drawn at random, those preferred that lead the cluster where it has
//! not been, until one breaks a promise; that one is then shrunk.
//!
//! Joins the search, which is pure, with real runs, each in a suite folder of its own, so that
//! whatever works on a recorded run works on it. Whatever ends it early, the diary is left, and
//! `--resume` goes on with it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use splitbrain_reports::json;
use splitbrain_reports::record::{Event, Expectation, Part, RunRecord, RunResult};
use splitbrain_reports::text::{self, Explored, Ventured};
use splitbrain_workloads::history::Micros;
use splitbrain_workloads::seed::Seed;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::clusters::{self, Stop};
use super::{Ended, ExploreArgs, Failure, ShrinkArgs, cluster, plan, print, run, say, shrink};
use super::{sources, style};
use crate::cluster::process::Processes;
use crate::explore::diary::{self, Entry};
use crate::explore::{Search, palette};
use crate::result::ExitCode;
use crate::run::attempt::Origin;
use crate::run::directory::SuiteDirectory;
use crate::run::series::{Series, Targets};
use crate::suite::gates::Gates;
use crate::suite::limits;
use crate::suite::plan::PlannedRun;
use crate::suite::stop;
use crate::suite::target::TargetKind;
use crate::suite::units::Time;
use crate::{suite, target};

/// The shortest run worth exploring: lead-in, a fault, a recovery, tail.
const DURATION_MIN: Time = Time::from_secs(4);

/// Reads the length of a run.
pub(super) fn duration(text: &str) -> Result<Time, String> {
    let duration: Time = text.parse()?;
    match (DURATION_MIN..=limits::DURATION_MAX).contains(&duration) {
        true => Ok(duration),
        false => Err(format!("expected {DURATION_MIN} to {}", limits::DURATION_MAX)),
    }
}

/// Runs in a row that the machine spoilt before the search gives up.
const SPOILT_MAX: u32 = 3;

pub(super) fn main(args: &ExploreArgs) -> Ended {
    let kinds = target::kinds()?;
    let paths: Vec<_> = args.suite.iter().cloned().collect();
    let suites = sources::suites(&paths)?;
    let suite = suites.first().context("no suite was given")?;
    let asked = plan::seed(args.seed, suite);
    let base = base(cluster::chosen(suite, &kinds, asked, args.only.as_deref())?, args);
    let now = chrono::Local::now();
    let (directory, entries) = match &args.resume {
        Some(path) => (SuiteDirectory::at(path), resumed(path, &base)?),
        None => (run::new_folder(&args.out, &now, &format!("{}-explore", base.name))?, Vec::new()),
    };
    let seed = match entries.first() {
        Some(Entry::Explore { seed, .. }) => {
            seed.parse().map_err(|error| refused(path_of(&directory), error))?
        }
        _ => asked,
    };
    let kind = base.target.kind_in(&kinds).context("a planned run has a known target")?;
    let palette = palette(kind, base.target.nodes);
    if palette.is_empty() {
        return Err(Failure::new(ExitCode::Usage, "error: no fault can be put on this target"));
    }
    let targets = Arc::new(Targets::open(std::slice::from_ref(&base))?);
    let mut exploring = Exploring {
        args,
        directory: &directory,
        targets,
        origin: run::origin(seed, &now),
        search: Search::new(base.clone(), palette, seed),
        began: Instant::now(),
        started: 0,
        spoilt: 0,
        undecided: 0,
        found: None,
        trouble: None,
    };
    exploring.again(&entries, &kinds)?;
    if entries.is_empty() {
        let base = written(&base);
        exploring.note(&Entry::Explore {
            version: diary::VERSION,
            base,
            seed: seed.to_string(),
        })?;
    }
    let code = clusters::with(args.jobs.into(), async |lanes, stop| {
        let work = exploring.work(lanes, stop);
        match stop.unless_insisted(work).await {
            Some(ended) => ended?,
            None => return Ok(ExitCode::Undecided),
        }
        exploring.report()
    })?;
    match exploring.found {
        Some(found) if !args.no_shrink => {
            shrunk(args, &directory, &found)?;
            // A smaller plan takes nothing from what was proven.
            Ok(code)
        }
        _ => Ok(code),
    }
}

/// Target, workload and load of a run, to be explored: it must pass, and nothing is measured by
/// gates, which random faults break without anybody's fault.
fn base(planned: PlannedRun, args: &ExploreArgs) -> PlannedRun {
    PlannedRun {
        part: Part::Proof,
        duration: args.duration,
        faults: Vec::new(),
        gates: Gates::default(),
        liveness: None,
        require: Vec::new(),
        // The search ends with it, and its plan is made smaller next.
        stop: stop::Stop::OnViolation,
        expect: Expectation::Pass,
        control: None,
        ..planned
    }
}

fn written(plan: &PlannedRun) -> String {
    suite::write(&plan.to_suite(&plan.name), &[])
}

fn path_of(directory: &SuiteDirectory) -> std::path::PathBuf {
    directory.path().join("explore.jsonl")
}

fn refused(path: std::path::PathBuf, problem: impl std::fmt::Display) -> Failure {
    Failure::new(
        ExitCode::Usage,
        format!(
            "error: {}: {problem}\n  = help: resume with the suite, run and duration that the \
             search began with, and the same release",
            path.display()
        ),
    )
}

/// The diary of an earlier search from the same run.
fn resumed(folder: &Path, base: &PlannedRun) -> Result<Vec<Entry>, Failure> {
    let path = folder.join("explore.jsonl");
    let text = fs::read_to_string(&path).map_err(|error| refused(path.clone(), error))?;
    let entries = diary::read(&text).map_err(|error| refused(path.clone(), error))?;
    match entries.first() {
        Some(Entry::Explore { version: diary::VERSION, base: before, .. })
            if without_seed(before) == without_seed(&written(base)) =>
        {
            Ok(entries)
        }
        _ => Err(refused(path, "its search is of another run")),
    }
}

/// The text of a base without the line of its seed, which every command draws anew.
fn without_seed(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("seed:")).collect()
}

/// A search at work.
struct Exploring<'a> {
    args: &'a ExploreArgs,
    directory: &'a SuiteDirectory,
    targets: Arc<Targets>,
    origin: Origin,
    search: Search,
    began: Instant,
    /// Runs that were begun, those of an earlier search included.
    started: u64,
    spoilt: u32,
    undecided: u64,
    found: Option<Found>,
    /// Why the search could not go on, and what that ends the command with.
    trouble: Option<(String, ExitCode)>,
}

/// A plan that broke a promise.
struct Found {
    number: u64,
    record: RunRecord,
    folder: SuiteDirectory,
}

/// A run that ended.
struct Arrived {
    number: u64,
    plan: PlannedRun,
    folder: SuiteDirectory,
    lane: Arc<Processes>,
    record: anyhow::Result<Option<RunRecord>>,
}

impl Exploring<'_> {
    /// Learns once more what an earlier search has learned.
    fn again(&mut self, entries: &[Entry], kinds: &[TargetKind]) -> Result<(), Failure> {
        for entry in entries {
            let Entry::Run { number, plan, new, .. } = entry else { continue };
            let suite = suite::parse("explore.jsonl", plan, kinds)
                .map_err(|error| refused(path_of(self.directory), error))?;
            let planned = suite::plan::expand(&suite, kinds, Seed(0), None)
                .map_err(|error| refused(path_of(self.directory), error))?;
            let plan = planned.first().context("the plan of a diary holds a run")?;
            self.search.learn(plan, new);
            self.started = self.started.max(*number);
        }
        Ok(())
    }

    /// Runs plan after plan until one breaks a promise or a bound is reached.
    async fn work(&mut self, lanes: &[Arc<Processes>], stop: &Stop) -> Result<(), Failure> {
        let (end, ended) = watch::channel(false);
        let mut asked = stop.asked();
        let mut free = lanes.to_vec();
        let mut at_work = JoinSet::new();
        let bound = self.started + u64::from(self.args.runs);
        loop {
            while !*end.borrow() && self.started < bound && self.in_time() {
                let Some(lane) = free.pop() else { break };
                self.started += 1;
                let plan = self.search.propose(self.started);
                at_work.spawn(self.venture(self.started, plan, lane, ended.clone()));
            }
            let joined = tokio::select! {
                joined = at_work.join_next() => joined,
                _ = asked.wait_for(|stop| *stop), if !*end.borrow() => {
                    end.send_replace(true);
                    continue;
                }
            };
            let Some(joined) = joined else { return Ok(()) };
            let arrived = joined.context("a run crashed")?;
            free.push(arrived.lane.clone());
            if *end.borrow() {
                // It was ended in the middle: nothing can be learned from it.
                remove(&arrived.folder)?;
            } else if self.arrive(arrived)? {
                end.send_replace(true);
            }
        }
    }

    fn in_time(&self) -> bool {
        self.began.elapsed() < self.args.budget.duration()
    }

    /// Carries out one plan in a folder of its own.
    fn venture(
        &self,
        number: u64,
        plan: PlannedRun,
        lane: Arc<Processes>,
        interrupt: watch::Receiver<bool>,
    ) -> impl Future<Output = Arrived> + Send + use<> {
        let folder = self.directory.path().join("attempts").join(format!("{number:04}"));
        let folder = SuiteDirectory::at(&folder);
        let series = Series {
            suite: plan.name.clone(),
            origin: self.origin.clone(),
            runs: vec![plan.clone()],
            directory: folder.clone(),
            keep_data: false,
        };
        let targets = self.targets.clone();
        async move {
            let run = async {
                fs::create_dir_all(series.directory.path()).with_context(|| {
                    format!("cannot make {}", series.directory.path().display())
                })?;
                let lanes = std::slice::from_ref(&lane);
                let summary =
                    series.run(&targets, lanes, interrupt, Arc::new(run::Silence)).await?;
                anyhow::Ok(summary.runs.into_iter().next())
            };
            let record = run.await;
            Arrived { number, plan, folder, lane, record }
        }
    }

    /// Learns from a run; whether the search is over.
    fn arrive(&mut self, arrived: Arrived) -> Result<bool, Failure> {
        let Arrived { number, plan, folder, record, .. } = arrived;
        let Some(record) = record? else { return Ok(false) };
        let states = states(&folder, &record)?;
        let new = self.search.learn(&plan, &states);
        self.note(&Entry::Run {
            number,
            plan: written(&plan),
            new: new.clone(),
            result: record.result,
        })?;
        let kinds: Vec<String> = plan.faults.iter().map(in_short).collect();
        self.say(&text::ventured(
            &Ventured {
                number,
                faults: &kinds.join(", "),
                result: record.result,
                new: new.len() as u64,
                states: self.search.states() as u64,
                elapsed: micros(self.began.elapsed()),
            },
            &style::file(self.args.drawing),
        ));
        if record.result != RunResult::Environment {
            self.spoilt = 0;
        }
        match record.result {
            RunResult::NotMet => {
                self.found = Some(Found { number, record, folder });
                return Ok(true);
            }
            RunResult::HarnessBug => {
                self.trouble = Some((record.why.clone(), ExitCode::HarnessBug));
                return Ok(true);
            }
            RunResult::Environment => {
                self.spoilt += 1;
                if self.spoilt >= SPOILT_MAX {
                    self.trouble = Some((record.why.clone(), ExitCode::Environment));
                    return Ok(true);
                }
            }
            RunResult::Undecided => self.undecided += 1,
            RunResult::Met => {}
        }
        remove(&folder)?;
        Ok(false)
    }

    /// Prints what the search came to; the code is that of the worst.
    fn report(&self) -> Ended {
        let code = match (&self.found, &self.trouble) {
            (Some(_), _) => ExitCode::NotMet,
            (None, Some((_, code))) => *code,
            (None, None) if self.search.runs() == 0 => ExitCode::Undecided,
            (None, None) => ExitCode::Met,
        };
        let reason = match code {
            ExitCode::Met => "no plan broke a promise",
            code => code.meaning(),
        };
        let folder = self.directory.path().display().to_string();
        let found = self.found.as_ref().map(|found| {
            let path = found.folder.path().join(&found.record.directory);
            (found.number, found.record.why.clone(), path.display().to_string())
        });
        let explored = Explored {
            target: &self.args.suite.as_ref().map_or_else(
                || "the built-in suite".to_string(),
                |path| path.display().to_string(),
            ),
            seed: &self.origin.seed.to_string(),
            runs: self.search.runs(),
            undecided: self.undecided,
            took: micros(self.began.elapsed()),
            states: self.search.states() as u64,
            last_new: self.search.last_new(),
            by_roles: &self.search.summary(),
            found: found.as_ref().map(|(number, why, path)| (*number, why.as_str(), path.as_str())),
            trouble: self.trouble.as_ref().map(|(why, _)| why.as_str()),
            folder: &folder,
            exit: (code as u8, reason),
        };
        let path = self.directory.report();
        fs::write(&path, text::explored(&explored, &style::file(self.args.drawing)))
            .with_context(|| format!("cannot write {}", path.display()))?;
        print(&text::explored(&explored, &style::stdout(self.args.drawing)));
        Ok(code)
    }

    fn note(&self, entry: &Entry) -> Result<(), Failure> {
        let path = path_of(self.directory);
        let appended = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(diary::line(entry).as_bytes()));
        Ok(appended.with_context(|| format!("cannot write {}", path.display()))?)
    }

    fn say(&self, line: &str) {
        if !self.args.quiet {
            say(line);
        }
    }
}

/// The states that a run has passed through.
fn states(folder: &SuiteDirectory, record: &RunRecord) -> anyhow::Result<Vec<String>> {
    let path = folder.run(&record.directory).events();
    let file = fs::File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let events = json::read_events(std::io::BufReader::new(file))
        .with_context(|| format!("in {}", path.display()))?;
    let states = events.records.into_iter().filter_map(|record| match record.event {
        Event::State(state) => Some(state),
        _ => None,
    });
    Ok(states.collect())
}

fn in_short(fault: &crate::suite::plan::PlannedFault) -> String {
    let whom = match fault.fault.form() {
        "" => fault.fault.shape(),
        form => form.to_string(),
    };
    format!("{} {whom}", fault.fault.kind())
}

/// Removes the folder of a run that is of no interest any more.
fn remove(folder: &SuiteDirectory) -> anyhow::Result<()> {
    if folder.path().exists() {
        fs::remove_dir_all(folder.path())
            .with_context(|| format!("cannot remove {}", folder.path().display()))?;
    }
    Ok(())
}

/// Shrinks the plan that broke a promise, in the folder of the search.
fn shrunk(args: &ExploreArgs, directory: &SuiteDirectory, found: &Found) -> Ended {
    shrink::main(&ShrinkArgs {
        path: found.folder.path().to_path_buf(),
        only: None,
        budget: args.shrink_budget,
        jobs: args.jobs,
        resume: None,
        out: directory.path().join("shrunk"),
        quiet: args.quiet,
        drawing: args.drawing,
    })
}

fn micros(length: Duration) -> Micros {
    Micros(u64::try_from(length.as_micros()).unwrap_or(u64::MAX))
}
