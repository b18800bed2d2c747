//! `splitbrain selftest`: the canaries of the shipped suites, run again and again. How often is each
//! store that is broken on purpose caught, and after how long?

use std::cell::{Cell, RefCell};

use anyhow::Context as _;
use splitbrain_reports::measure::rate::{self, Share, Symptom};
use splitbrain_reports::record::{Part, RunRecord, RunResult};
use splitbrain_reports::text::{self, Broken, Power, Selftest};
use splitbrain_workloads::seed::Seed;

use super::clusters::Stop;
use super::{Ended, Failure, SelftestArgs, clusters, print, run, say, style};
use crate::result::ExitCode;
use crate::run::directory::{RunDirectory, SuiteDirectory};
use crate::run::examine::read_history;
use crate::run::series::Targets;
use crate::run::trials::{self, Bench, Next};
use crate::suite::plan::{self, PlannedRun};
use crate::{suite, target};

/// A canary and its control.
struct Pair {
    canary: PlannedRun,
    control: PlannedRun,
}

pub(super) fn main(args: &SelftestArgs) -> Ended {
    let seed = args.seed.unwrap_or_else(super::plan::fresh);
    let pairs = pairs(seed, args.only.as_deref())?;
    let plans: Vec<PlannedRun> =
        pairs.iter().flat_map(|pair| [pair.canary.clone(), pair.control.clone()]).collect();
    let targets = Targets::open(&plans)?;
    let now = chrono::Local::now();
    let directory = run::new_folder(&args.out, &now, "selftest")?;
    let origin = run::origin(seed, &now);
    clusters::with(args.jobs.into(), async |lanes, stop| {
        let attempts = SuiteDirectory::at(directory.path());
        let bench = Bench {
            targets: &targets,
            lanes,
            directory: attempts,
            origin,
            interrupt: stop.asked(),
        };
        let work = tested(&bench, &pairs, args, stop);
        let Some(stores) = stop.unless_insisted(work).await else {
            return Ok(ExitCode::Undecided);
        };
        let (stores, worst) = stores?;
        let code = stop.outcome(code(&stores, at_least(args), worst));
        let printed = Selftest {
            asked: args.runs.into(),
            at_a_time: args.jobs.into(),
            at_least: at_least(args),
            stores: &stores,
            exit: (code as u8, code.meaning()),
        };
        let path = directory.report();
        std::fs::write(&path, text::selftest(&printed, &style::file(args.drawing)))
            .with_context(|| format!("cannot write {}", path.display()))?;
        print(&text::selftest(&printed, &style::stdout(args.drawing)));
        Ok(code)
    })
}

/// The least rate in whole percent.
fn at_least(args: &SelftestArgs) -> u64 {
    (args.at_least.fraction() * 100.0).round() as u64
}

/// The canaries of the shipped suites that match, planned.
fn pairs(seed: Seed, only: Option<&str>) -> Result<Vec<Pair>, Failure> {
    let kinds = target::kinds()?;
    let mut pairs = Vec::new();
    for (name, text) in suite::canaries() {
        let suite = suite::parse(name, text, &kinds)
            .map_err(|error| Failure::new(ExitCode::HarnessBug, error.to_string()))?;
        // Nothing in one suite may match what is in the other.
        let Ok(runs) = plan::expand(&suite, &kinds, seed, only) else { continue };
        for canary in runs.iter().filter(|run| run.expect.anomaly().is_some()) {
            let control = runs
                .iter()
                .find(|run| matches!(&run.part, Part::Control { of } if *of == canary.name));
            let control = control.context("a canary is planned with its control")?;
            pairs.push(Pair { canary: canary.clone(), control: control.clone() });
        }
    }
    match pairs.is_empty() {
        false => Ok(pairs),
        true => Err(Failure::new(
            ExitCode::Usage,
            format!(
                "error: no canary matches `{}`\n  = help: they are the runs with `expect` in \
                 workloads/suites/plants.yaml and protections.yaml",
                only.unwrap_or("*")
            ),
        )),
    }
}

/// Runs every canary so often and its control once. The second value is the worst that befell a run
/// that decided nothing.
async fn tested(
    bench: &Bench<'_>,
    pairs: &[Pair],
    args: &SelftestArgs,
    stop: &Stop,
) -> anyhow::Result<(Vec<Broken>, RunResult)> {
    let mut stores = Vec::new();
    let worst = Cell::new(RunResult::Met);
    for Pair { canary, control } in pairs {
        if *stop.asked().borrow() {
            break;
        }
        let Some(expected) = canary.expect.anomaly() else { continue };
        let symptom = Symptom::Anomaly(expected);
        let broken = RefCell::new(Broken {
            name: canary.name.clone(),
            expected,
            caught: Share::default(),
            undecided: 0,
            after: Vec::new(),
            accused: Share::default(),
        });
        let note = |record: &RunRecord| {
            if matches!(record.result, RunResult::Environment | RunResult::HarnessBug) {
                worst.set(worst.get().max(record.result));
            }
        };
        times(bench, canary, args.runs, |record, directory| {
            note(record);
            let mut broken = broken.borrow_mut();
            match symptom.shows(record) {
                Some(caught) => broken.caught.add(caught),
                None => broken.undecided += 1,
            }
            let history = read_history(&directory.history()).ok();
            broken.after.extend(
                history.and_then(|history| rate::first_anomaly(record, &history, &symptom)),
            );
        })
        .await?;
        times(bench, control, 1, |record, _| {
            note(record);
            if let Some(accused) = Symptom::Anything.shows(record) {
                broken.borrow_mut().accused.add(accused);
            }
        })
        .await?;
        let broken = broken.into_inner();
        if !args.quiet {
            say(&format!("{}: {expected} caught in {}", broken.name, broken.caught));
        }
        stores.push(broken);
    }
    Ok((stores, worst.get()))
}

/// Runs one plan so often. The folders of runs that came out as they should are removed.
async fn times(
    bench: &Bench<'_>,
    plan: &PlannedRun,
    times: u32,
    mut watch: impl FnMut(&RunRecord, &RunDirectory),
) -> anyhow::Result<()> {
    let started = Cell::new(0);
    let may_start = || {
        started.set(started.get() + 1);
        started.get() <= times
    };
    let mut failed = Ok(());
    bench
        .repeat(&plan.name, plan, may_start, |record, directory| {
            watch(record, directory);
            if record.result == RunResult::Met
                && let Err(error) = trials::remove(directory)
            {
                failed = Err(error);
                return Next::Enough;
            }
            Next::Again
        })
        .await?;
    failed
}

/// The exit code: a rate that is too low is a gate that is broken.
fn code(stores: &[Broken], at_least: u64, worst: RunResult) -> ExitCode {
    let power = |wanted| stores.iter().any(|broken| broken.power(at_least) == wanted);
    if power(Power::TooLittle) {
        ExitCode::NotMet
    } else if power(Power::Unknown) || stores.is_empty() {
        match ExitCode::of(worst) {
            ExitCode::Met => ExitCode::Undecided,
            code => code,
        }
    } else {
        ExitCode::Met
    }
}
