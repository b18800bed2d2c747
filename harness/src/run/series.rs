//! The runs of a suite and what they come to together.
//!
//! They are carried out one after the other unless there are several lanes: runs side by side take
//! each other's processors, so only whoever asks for it gets it. Canaries are held against their
//! twins at the end, when all have been run.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use sha2::{Digest, Sha256};
use splitbrain_reports::record::{
    EventRecord, HostRecord, Part, RunRecord, RunResult, SCHEMA_VERSION, SuiteRecord, TargetRecord,
};
use splitbrain_workloads::history::Micros;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::attempt::{Attempt, Origin};
use super::directory::SuiteDirectory;
use super::journal::Listener;
use crate::cluster::process::Processes;
use crate::nemesis::Replacement;
use crate::result::{self, ExitCode};
use crate::suite::limits;
use crate::suite::plan::PlannedRun;
use crate::suite::target::TargetSpec;
use crate::target::{self, Target, Unusable};

/// Told how a series goes on. The command line prints it.
pub trait Progress: Send + Sync {
    /// A run begins; `number` counts from one.
    fn run_begins(&self, number: usize, of: usize, run: &PlannedRun, target: &TargetRecord);
    /// Something happened in it; so many operations have succeeded so far.
    fn event(&self, event: &EventRecord, operations_ok: u64);
    /// A run has ended and is judged.
    fn run_ends(&self, run: &RunRecord, took: Micros);
}

/// A suite about to be run.
pub struct Series {
    /// The suite's name.
    pub suite: String,
    /// Where its runs come from.
    pub origin: Origin,
    /// Its runs, in order.
    pub runs: Vec<PlannedRun>,
    /// Where they leave what they saw.
    pub directory: SuiteDirectory,
    /// Whether the nodes' data is kept of runs that met their expectation, too.
    pub keep_data: bool,
}

/// The targets of a suite, each made ready once.
pub struct Targets {
    ready: BTreeMap<String, (Arc<dyn Target>, TargetRecord)>,
}

impl Targets {
    /// Makes every target of some runs ready.
    ///
    /// # Errors
    ///
    /// [`Unusable`] for the first that cannot be used on this machine, and for a program that a
    /// fault needs and that cannot be executed.
    pub fn open(runs: &[PlannedRun]) -> Result<Targets, Unusable> {
        for fault in runs.iter().flat_map(|run| &run.faults) {
            if let Some(Replacement::File(program)) = fault.fault.replacement() {
                executable(&program)?;
            }
        }
        let mut ready = BTreeMap::new();
        let mut hashes = BTreeMap::new();
        for run in runs {
            if ready.contains_key(&run.target.to_string()) {
                continue;
            }
            let target = target::open(&run.target)?;
            let record = describe(&run.target, &*target, &mut hashes)?;
            ready.insert(run.target.to_string(), (target, record));
        }
        for run in runs {
            let (target, _) = &ready[&run.target.to_string()];
            for fault in run.faults.iter().map(|planned| &planned.fault) {
                if let Some(why) = target.refuses(fault.kind(), fault.form()) {
                    return Err(Unusable {
                        what: format!("{}: no {} on this target: {why}", run.name, fault.kind()),
                        help: format!("{} is set so: {}", target.name(), run.target),
                    });
                }
            }
        }
        Ok(Targets { ready })
    }

    /// The target of a run that was among those given to [`Targets::open`], and its record.
    ///
    /// # Panics
    ///
    /// For a run on another target.
    pub fn of(&self, run: &PlannedRun) -> &(Arc<dyn Target>, TargetRecord) {
        &self.ready[&run.target.to_string()]
    }
}

/// A planned run so many times, under names with a number behind. A canary is repeated without
/// its twins. With `fresh` each has a seed of its own, from which its operations, their times and
/// the choice among followers come; the plan's times stay as they are.
pub fn numbered(plan: &PlannedRun, times: u32, fresh: bool) -> Vec<PlannedRun> {
    let digits = times.to_string().len();
    // With its number the name must still be one that a suite may give.
    let room = limits::NAME_MAX - digits - 1;
    let base: String = plan.name.chars().take(room).collect();
    let one = |number: u32| {
        let name = format!("{base}-{number:0digits$}");
        let seed = if fresh { plan.seed.child(&name) } else { plan.seed };
        PlannedRun { name, seed, ..plan.clone() }
    };
    (1..=times).map(one).collect()
}

/// Whether a program could be started.
fn executable(program: &Path) -> Result<(), Unusable> {
    use std::os::unix::fs::PermissionsExt;
    let unusable = |why: String| Unusable {
        what: format!("cannot upgrade to {}: {why}", program.display()),
        help: "give the path of an executable file, as seen from here, or `copy`".to_string(),
    };
    let file = std::fs::metadata(program).map_err(|error| unusable(error.to_string()))?;
    if !file.is_file() || file.permissions().mode() & 0o111 == 0 {
        return Err(unusable("it is not an executable file".to_string()));
    }
    Ok(())
}

fn describe(
    spec: &TargetSpec,
    target: &dyn Target,
    hashes: &mut BTreeMap<PathBuf, String>,
) -> Result<TargetRecord, Unusable> {
    let program = target.program();
    if !hashes.contains_key(program) {
        let hash = hash(program).map_err(|error| Unusable {
            what: format!("cannot read {}: {error}", program.display()),
            help: "the program of a target is read once, to name its build".to_string(),
        })?;
        hashes.insert(program.to_path_buf(), hash);
    }
    Ok(TargetRecord {
        name: target.name().to_string(),
        nodes: spec.nodes,
        settings: target.settings(),
        version: target.version().to_string(),
        binary: hashes[program].clone(),
    })
}

/// SHA-256 of a file, in hexadecimal.
pub(super) fn hash(program: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(program)?, &mut hasher)?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Series {
    /// Runs all runs, judges them, and writes what CI reads after each, so that a harness that is
    /// killed in the last run has not lost the first. There are as many runs at a time as lanes,
    /// each of which owns the processes of one run at a time; the records are in the order of
    /// [`Series::runs`] all the same.
    ///
    /// # Errors
    ///
    /// When the suite's folder cannot be written.
    pub async fn run(
        &self,
        targets: &Targets,
        lanes: &[Arc<Processes>],
        interrupt: watch::Receiver<bool>,
        progress: Arc<dyn Progress>,
    ) -> anyhow::Result<SuiteRecord> {
        let began = Instant::now();
        let mut records: BTreeMap<usize, RunRecord> = BTreeMap::new();
        let mut waiting = self.runs.iter().enumerate();
        let mut free = lanes.to_vec();
        let mut at_work = JoinSet::new();
        loop {
            while !free.is_empty() && !*interrupt.borrow() {
                let Some((index, plan)) = waiting.next() else { break };
                let Some(lane) = free.pop() else { break };
                let attempt = self.attempt(plan, targets);
                progress.run_begins(index + 1, self.runs.len(), plan, &attempt.record);
                let listener: Listener = {
                    let progress = progress.clone();
                    Box::new(move |event, ok| progress.event(event, ok))
                };
                let interrupt = interrupt.clone();
                at_work.spawn(async move {
                    let ended = attempt.carry_out(lane.clone(), listener, interrupt).await;
                    (index, lane, ended)
                });
            }
            let Some(joined) = at_work.join_next().await else { break };
            let (index, lane, ended) = joined.context("a run crashed")?;
            let (record, took) = ended?;
            free.push(lane);
            progress.run_ends(&record, took);
            records.insert(index, record);
            self.write(&self.summary(records.values().cloned().collect(), began))?;
        }
        let summary = self.summary(records.into_values().collect(), began);
        self.write(&summary)?;
        Ok(summary)
    }

    fn attempt(&self, plan: &PlannedRun, targets: &Targets) -> Attempt {
        let (target, record) = targets.of(plan);
        Attempt {
            plan: plan.clone(),
            target: target.clone(),
            record: record.clone(),
            directory: self.directory.run(&plan.name),
            origin: self.origin.clone(),
            keep_data: self.keep_data,
        }
    }

    fn summary(&self, runs: Vec<RunRecord>, began: Instant) -> SuiteRecord {
        let runs = hold_against_twins(runs);
        let mut result = result::over(runs.iter().map(|run| run.result));
        if runs.len() < self.runs.len() {
            // What was not run was not decided; what was proven stays proven.
            result = result.max(RunResult::Undecided);
        }
        let code = ExitCode::of(result);
        let exit_reason = result::reason(code, &runs, self.runs.len());
        let planned = u32::try_from(self.runs.len()).ok();
        SuiteRecord {
            schema_version: SCHEMA_VERSION,
            suite: self.suite.clone(),
            seed: self.origin.seed.to_string(),
            started: self.origin.started.clone(),
            took: micros(began),
            version: env!("CARGO_PKG_VERSION").to_string(),
            command: self.origin.command.clone(),
            directory: self.directory.path().display().to_string(),
            host: host(),
            planned: planned.filter(|planned| runs.len() < *planned as usize),
            runs,
            result,
            exit_code: code as u8,
            exit_reason,
        }
    }

    /// Writes `summary.json`.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(&self, summary: &SuiteRecord) -> anyhow::Result<()> {
        let path = self.directory.summary();
        let failed = || format!("cannot write {}", path.display());
        // Whole or not at all: a reader never sees half a summary.
        let fresh = path.with_extension("json.new");
        let file = File::create(&fresh).with_context(failed)?;
        splitbrain_reports::json::write_suite(summary, io::BufWriter::new(file))
            .with_context(failed)?;
        std::fs::rename(&fresh, &path).with_context(failed)
    }
}

fn hold_against_twins(runs: Vec<RunRecord>) -> Vec<RunRecord> {
    let decide = |run: &RunRecord| {
        if run.part != Part::Canary {
            return (run.result, run.why.clone());
        }
        let twins: Vec<&RunRecord> = runs
            .iter()
            .filter(|twin| match &twin.part {
                Part::Control { of } => *of == run.name,
                // Canaries of one weakened target share a calm twin.
                Part::Calm { of } => {
                    let same = |canary: &&RunRecord| canary.name == *of;
                    runs.iter().find(same).is_some_and(|canary| {
                        canary.target == run.target && canary.workload == run.workload
                    })
                }
                Part::Proof | Part::Canary => false,
            })
            .collect();
        result::with_twins(run, &twins)
    };
    let decisions: Vec<_> = runs.iter().map(decide).collect();
    let held = runs.into_iter().zip(decisions);
    held.map(|(run, (result, why))| RunRecord { result, why, ..run }).collect()
}

fn host() -> HostRecord {
    let processors = std::thread::available_parallelism().map_or(0, |count| count.get() as u32);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    HostRecord { processors, kernel: format!("Linux {}", kernel.trim()) }
}

fn micros(since: Instant) -> Micros {
    Micros(u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX))
}
