//! One plan, carried out again until somebody has seen enough; several clusters side by side.
//!
//! Unlike a series, nobody knows beforehand how many runs there will be, and most of them are of
//! no interest once they are judged: their folders are removed unless they are kept.

use std::sync::Arc;

use anyhow::Context as _;
use splitbrain_reports::record::RunRecord;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::attempt::{Attempt, Origin};
use super::directory::{RunDirectory, SuiteDirectory};
use super::series::Targets;
use crate::cluster::process::Processes;
use crate::suite::plan::PlannedRun;

/// Where trials are held.
pub struct Bench<'a> {
    /// The targets of every plan that is tried.
    pub targets: &'a Targets,
    /// As many clusters at a time.
    pub lanes: &'a [Arc<Processes>],
    /// The folder of the folders.
    pub directory: SuiteDirectory,
    /// Where the plans come from.
    pub origin: Origin,
    /// Becomes true when everything must end.
    pub interrupt: watch::Receiver<bool>,
}

/// What whoever watches says after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another one.
    Again,
    /// It is decided; runs still at work are ended and not looked at.
    Enough,
}

impl Bench<'_> {
    /// Carries a plan out until `watch` has seen enough, `may_start` forbids another run, or
    /// everything must end. Runs are named by the label and a number. `watch` is given each run's
    /// record and folder; a folder that it does not want is its to remove.
    ///
    /// # Errors
    ///
    /// When a folder cannot be written.
    pub async fn repeat(
        &self,
        label: &str,
        plan: &PlannedRun,
        may_start: impl Fn() -> bool,
        mut watch: impl FnMut(&RunRecord, &RunDirectory) -> Next,
    ) -> anyhow::Result<()> {
        // Ends the runs of this plan alone, when it is decided.
        let (end, ended) = watch::channel(false);
        let mut interrupt = self.interrupt.clone();
        let mut free = self.lanes.to_vec();
        let mut at_work = JoinSet::new();
        let mut number = 0;
        loop {
            while !free.is_empty() && !*end.borrow() && !*self.interrupt.borrow() && may_start() {
                let Some(lane) = free.pop() else { break };
                number += 1;
                let attempt = self.attempt(&format!("{label}-{number}"), plan);
                let (directory, ended) = (attempt.directory.clone(), ended.clone());
                at_work.spawn(async move {
                    let done = attempt.carry_out(lane.clone(), Box::new(|_, _| {}), ended).await;
                    (lane, directory, done)
                });
            }
            let joined = tokio::select! {
                joined = at_work.join_next() => joined,
                _ = interrupt.wait_for(|stop| *stop), if !*end.borrow() => {
                    end.send_replace(true);
                    continue;
                }
            };
            let Some(joined) = joined else { return Ok(()) };
            let (lane, directory, done) = joined.context("a run crashed")?;
            let (record, _) = done?;
            free.push(lane);
            if *end.borrow() {
                remove(&directory)?;
            } else if watch(&record, &directory) == Next::Enough {
                end.send_replace(true);
            }
        }
    }

    fn attempt(&self, name: &str, plan: &PlannedRun) -> Attempt {
        let (target, record) = self.targets.of(plan);
        Attempt {
            plan: PlannedRun { name: name.to_string(), ..plan.clone() },
            target: target.clone(),
            record: record.clone(),
            directory: self.directory.run(name),
            origin: self.origin.clone(),
            keep_data: false,
        }
    }
}

/// Removes the folder of a run.
///
/// # Errors
///
/// When it is there and cannot be removed.
pub fn remove(directory: &RunDirectory) -> anyhow::Result<()> {
    let path = directory.path();
    if path.exists() {
        std::fs::remove_dir_all(path)
            .with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}
