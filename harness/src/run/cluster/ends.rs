//! Processes of a run's cluster that ended: what is written down of each, and which of them nobody
//! asked to.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use splitbrain_reports::record::{Event, ProcessChange};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use super::Cluster;
use crate::cluster::ExitStatus;
use crate::cluster::process::{Cause, Exit, Owner, Process, Processes};
use crate::run::journal::Journal;
use crate::run::last_words::last_words;
use crate::run::tolerance::Tolerance;

/// How long the last ends may take to be written down: they have happened already.
const WRITTEN_WITHIN: Duration = Duration::from_secs(1);

impl Cluster {
    /// The nodes, and the companion, that ended without our doing, so far.
    pub fn unasked_ends(&self) -> Vec<Exit> {
        self.ends.borrow().iter().filter(|exit| is_unasked(exit)).cloned().collect()
    }

    /// Waits until one of them has ended without our doing, and says so in the words of an error,
    /// with what the process wrote last.
    pub async fn unasked_end(&self) -> String {
        let mut ends = self.ends.clone();
        let ended = match ends.wait_for(|ends| ends.iter().any(is_unasked)).await {
            Ok(ends) => ends.iter().find(|exit| is_unasked(exit)).cloned(),
            Err(_) => None,
        };
        match ended {
            Some(exit) => self.ended_by_itself(exit.owner, exit.status, "before it was ready"),
            // The watcher lives as long as the cluster; without it nobody can say.
            None => std::future::pending().await,
        }
    }

    /// Waits until the watcher has written down the end of each of these processes. What could not be
    /// killed, or was reported too fast for the watcher, is not waited for long.
    pub(super) async fn ends_are_written(&self, processes: &[Arc<Process>]) {
        let mut ends = self.ends.clone();
        let all = ends.wait_for(|ends: &Vec<Exit>| {
            let is_written = |pid| ends.iter().any(|exit| exit.pid == pid);
            processes.iter().all(|process| is_written(process.pid()))
        });
        tokio::time::timeout(WRITTEN_WITHIN, all).await.ok();
    }

    /// The error of a process that ended though nobody asked it to.
    pub(super) fn ended_by_itself(&self, owner: Owner, status: ExitStatus, when: &str) -> String {
        let (folder, program) = match owner {
            Owner::Node(node) => (self.directory.node(node), self.program_of(node)),
            Owner::Companion => (
                self.directory.companion(),
                self.target.companion().map_or_else(PathBuf::new, |it| it.program().to_path_buf()),
            ),
        };
        let log = folder.join("stderr.log");
        format!(
            "{owner} ended by itself ({status}) {when}; it was {}{}\n  = help: see {}",
            program.display(),
            last_words(&log),
            log.display()
        )
    }

    /// Writes down what became of a process.
    pub(super) fn changed(&self, process: &Process, change: ProcessChange) {
        self.journal.report(event_of(process.owner(), process.pid(), change));
    }
}

/// Whether nobody asked for this end, and no fault explains it.
fn is_unasked(exit: &Exit) -> bool {
    !matches!(exit.cause, Cause::Asked | Cause::Fault)
}

/// What became of a process, as a line of the events. Those of a companion are in words: it is no
/// node, and nothing is measured on it.
fn event_of(owner: Owner, pid: u32, change: ProcessChange) -> Event {
    let what = match (owner, change) {
        (Owner::Node(node), change) => return Event::Process { node, pid, change },
        (Owner::Companion, ProcessChange::Exited { status, by_us }) => {
            let whose = if by_us { "ended by us" } else { "not our doing" };
            format!("gone with {status}, {whose}")
        }
        (Owner::Companion, ProcessChange::Started) => "started".to_string(),
        (Owner::Companion, ProcessChange::Stopped) => "stopped".to_string(),
        (Owner::Companion, ProcessChange::Continued) => "continued".to_string(),
    };
    Event::Note(format!("{owner}, process {pid}: {what}"))
}

/// Writes down every end of a process until there are no more processes.
pub(super) async fn watch_exits(
    processes: Arc<Processes>,
    journal: Arc<Journal>,
    ends: watch::Sender<Vec<Exit>>,
    tolerance: Arc<Tolerance>,
) {
    let mut exits = processes.exits();
    loop {
        match exits.recv().await {
            Ok(exit) => {
                let exit = tolerance.judge(exit);
                let by_us = exit.cause == Cause::Asked;
                let change = ProcessChange::Exited { status: exit.status.to_string(), by_us };
                journal.report(event_of(exit.owner, exit.pid, change));
                ends.send_modify(|ends| ends.push(exit));
            }
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}
