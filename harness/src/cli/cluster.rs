//! `splitbrain cluster up`: the target of a run behind its links, left for curl.

use std::sync::Arc;

use splitbrain_workloads::seed::Seed;

use super::{ClusterCommand, ClusterUpArgs, Ended, Failure, clusters, plan, print, run, sources};
use crate::result::ExitCode;
use crate::run::Surroundings;
use crate::run::journal::Listener;
use crate::run::series::Targets;
use crate::run::standing::{Door, stand};
use crate::suite::Suite;
use crate::suite::plan::PlannedRun;
use crate::suite::target::TargetKind;
use crate::target;

pub(super) fn main(command: ClusterCommand) -> Ended {
    match command {
        ClusterCommand::Up(args) => up(&args),
    }
}

fn up(args: &ClusterUpArgs) -> Ended {
    let kinds = target::kinds()?;
    let paths: Vec<_> = args.suite.iter().cloned().collect();
    let suites = sources::suites(&paths)?;
    let suite = suites.first().ok_or_else(|| usage("no suite was given"))?;
    let seed = plan::seed(args.seed, suite);
    let chosen = chosen(suite, &kinds, seed, args.only.as_deref())?;
    let targets = Targets::open(std::slice::from_ref(&chosen))?;
    let (target, record) = targets.of(&chosen);
    let name = format!("{}-cluster", suite.suite);
    // In use for as long as this lives.
    let folder = run::new_folder(&args.out, &chrono::Local::now(), &name)?;
    let directory = folder.run(&chosen.name);
    let progress = run::progress(false, args.drawing);
    clusters::with(1, async |lanes, stop| {
        progress.run_begins(1, 1, &chosen, record);
        let listener: Listener = {
            let progress = Arc::clone(&progress);
            Box::new(move |event, ok| progress.event(event, ok))
        };
        let surroundings = Surroundings {
            target: Arc::clone(target),
            processes: Arc::clone(&lanes[0]),
            directory: directory.clone(),
            listener,
            interrupt: stop.asked(),
        };
        let work = stand(&chosen, surroundings, |doors| print(&told(doors)));
        match stop.unless_insisted(work).await {
            Some(Err(error)) => Err(Failure::new(
                ExitCode::Environment,
                format!("error: {error:#}\n  = help: see {}", directory.path().display()),
            )),
            Some(Ok(())) | None => Ok(ExitCode::Undecided),
        }
    })
}

/// The run of a suite that is meant: the one of exactly this name, or the first.
pub(super) fn chosen(
    suite: &Suite,
    kinds: &[TargetKind],
    seed: Seed,
    only: Option<&str>,
) -> Result<PlannedRun, Failure> {
    let runs = plan::expand(suite, kinds, seed, None)?;
    let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
    let wanted = |run: &PlannedRun| only.is_none_or(|only| run.name == only);
    runs.into_iter().find(wanted).ok_or_else(|| {
        usage(format!(
            "--only: expected the name of a run of {}, got \"{}\"\n  = help: one of {}",
            suite.suite,
            only.unwrap_or_default(),
            names.join(", ")
        ))
    })
}

fn usage(what: impl std::fmt::Display) -> Failure {
    Failure::new(ExitCode::Usage, format!("error: {what}"))
}

/// One line a node: its name, its address, and whether it leads.
fn told(doors: &[Door]) -> String {
    let line = |door: &Door| {
        let leads = if door.leads { "  leader" } else { "" };
        format!("{}  http://{}{leads}\n", door.node, door.address)
    };
    doors.iter().map(line).collect()
}
