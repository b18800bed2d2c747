//! One planned run, carried out once in a folder of its own and judged.
//!
//! A suite carries out each of its runs once; whoever repeats a run, or searches for a smaller one,
//! does it many times, several side by side. What several attempts must not share is the
//! [`Processes`] they start: the ends of processes are told by node, and two clusters have the
//! same nodes.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use splitbrain_reports::record::{RunRecord, RunResult, TargetRecord};
use splitbrain_workloads::history::Micros;
use splitbrain_workloads::seed::Seed;
use tokio::sync::watch;

use super::directory::RunDirectory;
use super::examine::examine;
use super::journal::Listener;
use super::{Surroundings, conduct};
use crate::cluster::process::Processes;
use crate::suite;
use crate::suite::plan::PlannedRun;
use crate::target::Target;

/// Where runs come from: what `plan.yaml` and the summary say of it.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The seed of the plans.
    pub seed: Seed,
    /// The command line.
    pub command: String,
    /// When it began, RFC 3339.
    pub started: String,
}

/// A run about to be carried out.
pub struct Attempt {
    /// What is to be done.
    pub plan: PlannedRun,
    /// On what.
    pub target: Arc<dyn Target>,
    /// The same, for the record.
    pub record: TargetRecord,
    /// Where it leaves what it saw.
    pub directory: RunDirectory,
    /// Where it comes from.
    pub origin: Origin,
    /// Whether the nodes' data is kept even when the run met its expectation.
    pub keep_data: bool,
}

impl Attempt {
    /// Carries the run out and judges it. The second value is how long that took.
    ///
    /// # Errors
    ///
    /// When its folder cannot be written.
    pub async fn carry_out(
        self,
        processes: Arc<Processes>,
        listener: Listener,
        interrupt: watch::Receiver<bool>,
    ) -> anyhow::Result<(RunRecord, Micros)> {
        let began = Instant::now();
        let Attempt { plan, target, record, directory, origin, keep_data } = self;
        let nodes = record.nodes;
        directory
            .create(nodes)
            .with_context(|| format!("cannot make {}", directory.path().display()))?;
        let text = suite::write(&plan.to_suite(&plan.name), &header(&record, &origin));
        std::fs::write(directory.plan(), text)
            .with_context(|| format!("cannot write {}", directory.plan().display()))?;

        let surroundings =
            Surroundings { target, processes, directory: directory.clone(), listener, interrupt };
        let traces = conduct(&plan, surroundings).await;
        let judged = directory.clone();
        // The checkers compute; the runtime's threads are for those who wait.
        let mut record =
            tokio::task::spawn_blocking(move || examine(&plan, record, &judged, traces))
                .await
                .with_context(|| {
                    format!("the judgement of {} crashed", directory.path().display())
                })?;
        if record.result == RunResult::Met && !keep_data {
            directory.remove_data(nodes).context("cannot remove the nodes' data")?;
            if let Some(stopped) = record.watch.as_mut().and_then(|it| it.stopped.as_mut()) {
                // The record says what the folder holds.
                stopped.frozen.clear();
            }
        }
        let took = Micros(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
        Ok((record, took))
    }
}

/// What stands above the plan of a run.
fn header(target: &TargetRecord, origin: &Origin) -> [String; 4] {
    let version = env!("CARGO_PKG_VERSION");
    [
        format!("splitbrain {version}, seed {}, {}", origin.seed, origin.started),
        format!("{} {}, binary {}", target.name, target.version, target.binary),
        format!("made by: {}", origin.command),
        "this file is a suite: splitbrain run plan.yaml does the same again".to_string(),
    ]
}
