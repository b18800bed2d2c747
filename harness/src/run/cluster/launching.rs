//! How nodes and the companion of a run's cluster are started: their command lines with whatever lets
//! disks and clocks fail, and the wait until they answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use splitbrain_reports::record::ProcessChange;
use splitbrain_workloads::operation::NodeId;

use super::{ASK_BOUND, Cluster};
use crate::cluster::process::{Owner, ProcessSpec};
use crate::nemesis::{Hands, Instrument};
use crate::target::clock::{self, ClockControl};
use crate::target::{Beside, Companion};

/// How long a node or companion that was started may take to answer. A healthy one takes milliseconds; a
/// machine busy with a compiler has been seen to take seconds.
pub(super) const ANSWER_BOUND: Duration = Duration::from_secs(15);

/// Time between two questions meanwhile.
pub(super) const ASK_INTERVAL: Duration = Duration::from_millis(20);

impl Cluster {
    /// Starts the companion and waits until it serves, so that no node finds it missing.
    pub(super) async fn launch_companion(
        &self,
        companion: &dyn Companion,
        beside: Beside,
    ) -> anyhow::Result<()> {
        let folder = absolute(&self.directory.companion())?;
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        let log = folder.join("stderr.log");
        let args = companion.arguments(&beside, &self.wiring.token, &folder.join("data"));
        let spec = ProcessSpec {
            owner: Owner::Companion,
            program: companion.program().to_path_buf(),
            args,
            env: BTreeMap::new(),
            stdout: folder.join("stdout.log"),
            stderr: log.clone(),
            cwd: folder,
        };
        let process = self.processes.spawn(spec).await?;
        self.changed(&process, ProcessChange::Started);
        let process = Arc::new(process);
        *self.companion.lock().expect("no holder of this lock panics") = Some(process.clone());
        let deadline = tokio::time::Instant::now() + ANSWER_BOUND;
        while !companion.serves(&beside, ASK_BOUND).await {
            if let Some(status) = process.exit_status() {
                bail!(self.ended_by_itself(Owner::Companion, status, "before it was ready"));
            }
            if tokio::time::Instant::now() >= deadline {
                bail!(
                    "the companion did not serve within {} s of its start\n  = help: see {}",
                    ANSWER_BOUND.as_secs(),
                    log.display()
                );
            }
            tokio::time::sleep(ASK_INTERVAL).await;
        }
        Ok(())
    }

    /// Starts a node on whatever data it has.
    pub(super) async fn start_node(&self, node: NodeId) -> anyhow::Result<()> {
        let _may = self.stillness.read().await;
        let folder = absolute(&self.directory.node(node))?;
        let mut args = self.target.arguments(node, &self.wiring, &folder.join("data"));
        args.extend(self.disk_layer(node)?);
        args.extend(self.clock_control(node)?);
        let spec = ProcessSpec {
            owner: Owner::Node(node),
            program: self.program_of(node),
            args,
            env: self.environment(node)?,
            stdout: folder.join("stdout.log"),
            stderr: folder.join("stderr.log"),
            cwd: folder,
        };
        let prepared = self.processes.prepare(spec).await?;
        // Known before it runs: its first dial must find its name at the proxy.
        self.network.set_pids(node, &[prepared.pid()]);
        self.tolerance.started(node, prepared.pid());
        let process = prepared.run().await?;
        self.changed(&process, ProcessChange::Started);
        let mut running = self.running.lock().expect("no holder of this lock panics");
        running.insert(node, Arc::new(process));
        Ok(())
    }

    /// The arguments that let a node's disk fail, if a fault of this run wants that and the target
    /// can.
    fn disk_layer(&self, node: NodeId) -> anyhow::Result<Vec<String>> {
        if !self.instruments.contains(&Instrument::Disk) {
            return Ok(Vec::new());
        }
        let folder = absolute(&self.directory.disk(node))?;
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(self.target.disk_layer(&folder).unwrap_or_default())
    }

    /// The same for its clocks.
    fn clock_control(&self, node: NodeId) -> anyhow::Result<Vec<String>> {
        if !self.instruments.contains(&Instrument::Clock) {
            return Ok(Vec::new());
        }
        let file = absolute(&self.directory.clock(node))?;
        Ok(self.target.clock_control(&file).unwrap_or_default())
    }

    fn environment(&self, node: NodeId) -> anyhow::Result<BTreeMap<String, String>> {
        let mut environment: BTreeMap<_, _> = self.target.environment().into_iter().collect();
        if self.instruments.contains(&Instrument::Clock) {
            let file = absolute(&self.directory.clock(node))?;
            environment.extend(self.target.clock_environment(&file));
            // A preloaded library needs its file from the start; a node started again keeps its.
            if !file.exists() {
                self.tell_clock(node, |_| ())?;
            }
        }
        Ok(environment)
    }

    /// Makes a node's clocks wrong in another way.
    pub(super) fn tell_clock(
        &self,
        node: NodeId,
        change: impl FnOnce(&mut ClockControl),
    ) -> anyhow::Result<()> {
        let mut clocks = self.clocks.lock().expect("no holder of this lock panics");
        let clock = clocks.entry(node).or_default();
        change(clock);
        let file = self.directory.clock(node);
        clock::tell(&file, &self.target.clock_words(clock))
            .with_context(|| format!("cannot write {}", file.display()))
    }

    /// Waits until a node answers; `false` when its process ends instead.
    pub(super) async fn answers(&self, node: NodeId) -> anyhow::Result<bool> {
        let deadline = tokio::time::Instant::now() + ANSWER_BOUND;
        while self.target.status(&self.wiring, node, ASK_BOUND).await.is_none() {
            if Hands::process(self, node).is_none() {
                return Ok(false);
            }
            if tokio::time::Instant::now() >= deadline {
                bail!(
                    "{node} did not answer within {} s of its start\n  = help: see {}",
                    ANSWER_BOUND.as_secs(),
                    self.log_of(node)
                );
            }
            tokio::time::sleep(ASK_INTERVAL).await;
        }
        Ok(true)
    }

    /// Where a node says why it does not answer.
    pub(super) fn log_of(&self, node: NodeId) -> String {
        self.directory.node(node).join("stderr.log").display().to_string()
    }

    /// What a node is started as.
    pub(super) fn program_of(&self, node: NodeId) -> PathBuf {
        let installed = self.installed.lock().expect("no holder of this lock panics");
        installed.get(&node).cloned().unwrap_or_else(|| self.target.program().to_path_buf())
    }
}

/// A path that means the same to a process with another working directory.
pub(super) fn absolute(folder: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(folder)
        .with_context(|| format!("no absolute path for {}", folder.display()))
}
