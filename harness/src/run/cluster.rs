//! The cluster of one run: a target's nodes as processes, behind their links, and the companion
//! that they may need beside them.
//!
//! It joins what the others keep apart: the target's command lines, the reaper's processes and
//! the network's proxies. The injector acts on it through [`Hands`]; it decides nothing.

mod freeze;
mod hashes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use futures_util::future::join_all;
use splitbrain_reports::record::{Event, ProcessChange, Role};
use splitbrain_workloads::operation::NodeId;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{RwLock, mpsc, watch};
use tokio::task::JoinHandle;

pub use freeze::Frozen;
use hashes::Hashes;

use super::directory::RunDirectory;
use super::journal::Journal;
use super::last_words::last_words;
use super::tolerance::Tolerance;
use crate::cluster::ExitStatus;
use crate::cluster::address::RunAddress;
use crate::cluster::census::Entry;
use crate::cluster::limits;
use crate::cluster::process::{Cause, ClusterError, Exit, Owner, Process, ProcessSpec, Processes};
use crate::nemesis::{DataDirectory, Hands, Instrument, Program, Replacement, StoredByte};
use crate::network::link::Link;
use crate::network::{Dials, HalfOpen, Lane, LinkEvidence, Network, Shape, Stranger};
use crate::target::clock::{self, ClockControl, ClockReading};
use crate::target::disk::{DiskOrders, DiskReport};
use crate::target::{
    Beside, Companion, Endpoints, MemberChange, NodeStatus, PeerStyle, Target, Wiring,
};

/// How long a node or companion that was started may take to answer. A healthy one takes milliseconds; a
/// machine busy with a compiler has been seen to take seconds.
const ANSWER_BOUND: Duration = Duration::from_secs(15);

/// How long one question for its status may take meanwhile.
const ASK_BOUND: Duration = Duration::from_millis(500);

/// Time between two such questions.
const ASK_INTERVAL: Duration = Duration::from_millis(20);

/// How long a node whose disk failed may take to end by itself: it was told of the failure before the
/// heal began, and may be on its way.
const LAST_MOMENTS: Duration = Duration::from_millis(200);

/// How long a node may take to end after SIGTERM. Stores that flush or hand over take up to some
/// seconds; one that takes longer is said not to have ended.
const END_BOUND: Duration = Duration::from_secs(10);

/// How long the rest of a cluster may take to agree on a leader and to hold all that is committed
/// before a node without its data is let in. It is less than all heals together may take.
const REPLICATED_BOUND: Duration = Duration::from_secs(12);

/// How long a leader must have led for its word on what is committed to cover what its
/// predecessors acknowledged: a leader commits all of that with the first entry of its own, within
/// milliseconds.
const LED_FOR: Duration = Duration::from_secs(1);

/// A running cluster.
pub struct Cluster {
    target: Arc<dyn Target>,
    wiring: Arc<Wiring>,
    network: Network,
    processes: Arc<Processes>,
    directory: RunDirectory,
    journal: Arc<Journal>,
    running: Mutex<BTreeMap<NodeId, Arc<Process>>>,
    /// What nodes run that do not run the target's own program.
    installed: Mutex<BTreeMap<NodeId, PathBuf>>,
    hashes: Hashes,
    companion: Mutex<Option<Arc<Process>>>,
    /// Every process that ended, as it is to be judged.
    ends: watch::Receiver<Vec<Exit>>,
    tolerance: Arc<Tolerance>,
    /// Held for writing while nobody may start or continue a node, or touch its data.
    stillness: RwLock<()>,
    /// How wrong the clocks of nodes are.
    clocks: Mutex<BTreeMap<NodeId, ClockControl>>,
    /// What the nodes are started with.
    instruments: BTreeSet<Instrument>,
    watcher: JoinHandle<()>,
}

impl Cluster {
    /// Lays the links, starts the companion if there is one, and then every node. When it fails,
    /// nothing of it is left.
    ///
    /// # Errors
    ///
    /// When an address, a port or a process cannot be had.
    pub async fn start(
        target: Arc<dyn Target>,
        instruments: BTreeSet<Instrument>,
        processes: Arc<Processes>,
        directory: RunDirectory,
        journal: Arc<Journal>,
        token: String,
    ) -> anyhow::Result<Cluster> {
        let address = Arc::new(RunAddress::take()?);
        let (network, strangers) = Network::new(address.clone());
        let nodes: Vec<NodeId> = NodeId::first(target.nodes()).collect();
        let mut real = BTreeMap::new();
        for node in &NodeId::first(target.nodes() + target.spares()).collect::<Vec<_>>() {
            let client = address.port(format!("{node} client"))?;
            let peer = address.port(format!("{node} peer"))?;
            network.add_node(*node, peer, client);
            real.insert(*node, (client, peer));
        }
        tokio::spawn(report_strangers(strangers, journal.clone()));
        let companion = match target.companion() {
            None => None,
            Some(_) => Some(Beside {
                client: address.port("companion client")?,
                peer: address.port("companion peer")?,
            }),
        };
        let wiring = wire(&*target, &network, &real, companion, token).await?;
        let (ended, ends) = watch::channel(Vec::new());
        let tolerance = Arc::new(Tolerance::default());
        let watching = watch_exits(processes.clone(), journal.clone(), ended, tolerance.clone());
        let watcher = tokio::spawn(watching);
        let cluster = Cluster {
            target,
            wiring: Arc::new(wiring),
            network,
            processes,
            directory,
            journal,
            running: Mutex::default(),
            installed: Mutex::default(),
            hashes: Hashes::default(),
            companion: Mutex::default(),
            ends,
            tolerance,
            stillness: RwLock::default(),
            clocks: Mutex::default(),
            instruments,
            watcher,
        };
        match cluster.launch_all(&nodes, companion).await {
            Ok(()) => Ok(cluster),
            Err(error) => {
                cluster.stop().await;
                Err(error)
            }
        }
    }

    async fn launch_all(&self, nodes: &[NodeId], companion: Option<Beside>) -> anyhow::Result<()> {
        if let (Some(companion), Some(beside)) = (self.target.companion(), companion) {
            self.launch_companion(companion, beside).await?;
        }
        for node in nodes {
            self.start_node(*node).await?;
        }
        Ok(())
    }

    /// Its addresses.
    pub fn wiring(&self) -> Arc<Wiring> {
        self.wiring.clone()
    }

    /// A new lane for one client to one node.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub async fn lane(&self, node: NodeId) -> anyhow::Result<Lane> {
        Ok(self.network.client_lane(node).await?)
    }

    /// Lets processes of others call nodes, over lanes.
    pub fn open_to_strangers(&self) {
        self.network.open_to_strangers();
    }

    /// Ends every connection of every client; nothing of them reaches a node any more.
    ///
    /// # Errors
    ///
    /// When a lane cannot be used again.
    pub async fn close_clients(&self) -> anyhow::Result<()> {
        Ok(self.network.close_clients().await?)
    }

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

    /// The error of a process that ended though nobody asked it to.
    fn ended_by_itself(&self, owner: Owner, status: ExitStatus, when: &str) -> String {
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

    /// Kills what runs and takes the links down.
    pub async fn stop(&self) {
        let running: Vec<Arc<Process>> = {
            let running = self.running.lock().expect("no holder of this lock panics");
            running.values().cloned().collect()
        };
        let companion = self.companion.lock().expect("no holder of this lock panics").clone();
        // After the nodes, so that none of them complains of its absence.
        for process in running.into_iter().chain(companion) {
            // One that has ended already cannot be killed, which is what we want.
            process.kill().await.ok();
        }
        self.watcher.abort();
        self.network.shutdown().await;
    }

    /// Starts the companion and waits until it serves, so that no node finds it missing.
    async fn launch_companion(
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

    async fn start_node(&self, node: NodeId) -> anyhow::Result<()> {
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
    fn tell_clock(
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
    async fn answers(&self, node: NodeId) -> anyhow::Result<bool> {
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

    fn log_of(&self, node: NodeId) -> String {
        self.directory.node(node).join("stderr.log").display().to_string()
    }

    /// Data is only touched while its node is down.
    fn down(&self, node: NodeId) -> anyhow::Result<PathBuf> {
        if Hands::process(self, node).is_some() {
            bail!("{node} still runs, and data is only touched while its node is down");
        }
        Ok(self.data_directory(node))
    }

    /// What a node is started as.
    fn program_of(&self, node: NodeId) -> PathBuf {
        let installed = self.installed.lock().expect("no holder of this lock panics");
        installed.get(&node).cloned().unwrap_or_else(|| self.target.program().to_path_buf())
    }

    fn data_directory(&self, node: NodeId) -> PathBuf {
        self.directory.node(node).join("data")
    }

    /// What every other node says of itself; `None` unless all answer.
    async fn statuses_without(&self, node: NodeId) -> Option<Vec<(NodeId, NodeStatus)>> {
        let others = NodeId::first(self.target.nodes()).filter(|other| *other != node);
        let asked = others.map(async |other| {
            Some((other, self.target.status(&self.wiring, other, ASK_BOUND).await?))
        });
        join_all(asked).await.into_iter().collect()
    }

    fn running(&self, node: NodeId) -> anyhow::Result<Arc<Process>> {
        let running = self.running.lock().expect("no holder of this lock panics");
        running.get(&node).cloned().with_context(|| format!("{node} was never started"))
    }

    fn changed(&self, process: &Process, change: ProcessChange) {
        self.journal.report(event_of(process.owner(), process.pid(), change));
    }
}

#[async_trait]
impl Hands for Cluster {
    async fn kill(&self, node: NodeId) -> anyhow::Result<()> {
        self.running(node)?.kill().await?;
        Ok(())
    }

    async fn terminate(&self, node: NodeId) -> anyhow::Result<()> {
        match self.running(node)?.terminate(END_BOUND).await {
            // Somebody else ended it, or it will not end: the evidence tells.
            Ok(_) | Err(ClusterError::Ended { .. } | ClusterError::Unconfirmed { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn launch(&self, node: NodeId) -> anyhow::Result<()> {
        self.start_node(node).await
    }

    async fn tolerate_end(&self, node: NodeId) -> anyhow::Result<()> {
        let alive = Hands::process(self, node).map(|entry| entry.pid);
        self.tolerance.begin(node, alive);
        Ok(())
    }

    async fn revive(&self, node: NodeId) -> anyhow::Result<()> {
        let process = self.running(node)?;
        // Unconfirmed means that it lives on.
        if process.wait(LAST_MOMENTS).await.is_ok() {
            self.start_node(node).await?;
        }
        if !self.answers(node).await? {
            self.start_node(node).await?;
            if !self.answers(node).await? {
                bail!("{node} ends again and again\n  = help: see {}", self.log_of(node));
            }
        }
        self.tolerance.end(node, self.running(node)?.pid());
        Ok(())
    }

    async fn order_disk(&self, node: NodeId, orders: DiskOrders) -> anyhow::Result<()> {
        let folder = self.directory.disk(node);
        orders.give(&folder).with_context(|| format!("cannot give orders in {}", folder.display()))
    }

    async fn limit_files(&self, node: NodeId, limited: bool) -> anyhow::Result<()> {
        let Some(process) = Hands::process(self, node) else { return Ok(()) };
        limits::set_file_size(process.pid, limited)
            .with_context(|| format!("{node}: cannot limit what it may write"))
    }

    async fn clock_rate(&self, node: NodeId, rate: f64) -> anyhow::Result<()> {
        self.tell_clock(node, |clock| clock.rate = rate)
    }

    async fn wall_clock(&self, node: NodeId, offset_ms: i64) -> anyhow::Result<()> {
        self.tell_clock(node, |clock| clock.wall_offset_ms = offset_ms)
    }

    async fn steady_clock(&self, node: NodeId, by: Duration) -> anyhow::Result<()> {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.tell_clock(node, |clock| {
            clock.steady_offset_ms = clock.steady_offset_ms.saturating_add(by);
        })
    }

    async fn clock(&self, node: NodeId) -> Option<ClockReading> {
        let asked = Instant::now();
        let node = self.target.clock(&self.wiring, node, ASK_BOUND).await?;
        Some(ClockReading::between(asked, node))
    }

    async fn write_byte(&self, node: NodeId, place: &StoredByte, byte: u8) -> anyhow::Result<()> {
        let _may = self.stillness.read().await;
        let data = self.down(node)?;
        place
            .write(&data, byte)
            .with_context(|| format!("cannot change a byte of {}", data.display()))
    }

    async fn restart(&self, node: NodeId) -> anyhow::Result<()> {
        self.start_node(node).await?;
        let deadline = tokio::time::Instant::now() + ANSWER_BOUND;
        while self.target.status(&self.wiring, node, ASK_BOUND).await.is_none() {
            if let Some(status) = Hands::exit(self, node) {
                bail!(self.ended_by_itself(Owner::Node(node), status, "when it was started again"));
            }
            if tokio::time::Instant::now() >= deadline {
                let log = self.directory.node(node).join("stderr.log");
                bail!(
                    "{node} did not answer within {} s of its restart\n  = help: see {}",
                    ANSWER_BOUND.as_secs(),
                    log.display()
                );
            }
            tokio::time::sleep(ASK_INTERVAL).await;
        }
        Ok(())
    }

    async fn pause(&self, node: NodeId) -> anyhow::Result<()> {
        let process = self.running(node)?;
        process.pause().await?;
        self.changed(&process, ProcessChange::Stopped);
        Ok(())
    }

    async fn resume(&self, node: NodeId) -> anyhow::Result<()> {
        let _may = self.stillness.read().await;
        let process = self.running(node)?;
        process.resume().await?;
        self.changed(&process, ProcessChange::Continued);
        Ok(())
    }

    async fn wipe(&self, node: NodeId) -> anyhow::Result<()> {
        let _may = self.stillness.read().await;
        let data = self.down(node)?;
        std::fs::remove_dir_all(&data).with_context(|| format!("cannot remove {}", data.display()))
    }

    async fn promote(&self, node: NodeId) -> anyhow::Result<()> {
        // An answer that is lost proves nothing; the statuses tell.
        self.target.promote(&self.wiring, node, ASK_BOUND).await;
        Ok(())
    }

    async fn change_members(&self, via: NodeId, change: MemberChange) {
        self.target.change_members(&self.wiring, via, change, ASK_BOUND).await;
    }

    fn spares(&self) -> Vec<NodeId> {
        let all = NodeId::first(self.target.nodes() + self.target.spares());
        all.skip(usize::from(self.target.nodes())).collect()
    }

    async fn statuses(&self) -> BTreeMap<NodeId, NodeStatus> {
        let all = NodeId::first(self.target.nodes() + self.target.spares());
        let asked = all.map(async |node| {
            Some((node, self.target.status(&self.wiring, node, ASK_BOUND).await?))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    async fn replicated_without(&self, node: NodeId) -> anyhow::Result<()> {
        let waiting = async {
            let mut led: Option<((NodeId, u64), tokio::time::Instant)> = None;
            let mut floor = None;
            loop {
                let others = self.statuses_without(node).await;
                let leader = others.as_deref().and_then(agreed);
                let now = tokio::time::Instant::now();
                led = leader.map(|leader| match led {
                    Some((known, since)) if known == leader => (known, since),
                    _ => (leader, now),
                });
                if led.is_none_or(|(_, since)| now - since < LED_FOR) {
                    floor = None;
                } else if let Some(others) = others {
                    let committed = others.iter().map(|(_, status)| status.committed).max();
                    let wanted = *floor.get_or_insert(committed.unwrap_or(0));
                    if others.iter().all(|(_, status)| status.applied >= wanted) {
                        return;
                    }
                }
                tokio::time::sleep(ASK_INTERVAL).await;
            }
        };
        tokio::time::timeout(REPLICATED_BOUND, waiting).await.map_err(|_| {
            anyhow::anyhow!(
                "the rest of the cluster does not hold all that was committed within {} s, so \
                 {node} cannot come back without its data",
                REPLICATED_BOUND.as_secs()
            )
        })
    }

    async fn cut(&self, links: &[Link], dials: Dials) -> anyhow::Result<()> {
        Ok(self.network.cut(links, dials).await?)
    }

    async fn heal(&self, links: &[Link], dials: Dials) -> anyhow::Result<()> {
        Ok(self.network.heal(links, dials)?)
    }

    async fn shape(&self, links: &[Link], shape: Shape) -> anyhow::Result<()> {
        Ok(self.network.shape(links, shape)?)
    }

    async fn unshape(&self, links: &[Link], shape: Shape) -> anyhow::Result<()> {
        Ok(self.network.unshape(links, shape)?)
    }

    async fn reset(&self, links: &[Link]) -> anyhow::Result<()> {
        Ok(self.network.reset(links).await?)
    }

    async fn half_open(&self, links: &[Link], who_forgets: &[NodeId]) -> anyhow::Result<HalfOpen> {
        Ok(self.network.half_open(links, who_forgets).await?)
    }

    async fn install(&self, node: NodeId, program: Option<&Replacement>) -> anyhow::Result<()> {
        let program = match program {
            None => None,
            Some(Replacement::Copy) => Some(absolute(&self.directory.copy_of_program())?),
            // The node has another working directory.
            Some(Replacement::File(path)) => Some(absolute(path)?),
        };
        let mut installed = self.installed.lock().expect("no holder of this lock panics");
        match program {
            Some(program) => installed.insert(node, program),
            None => installed.remove(&node),
        };
        Ok(())
    }

    async fn program(&self, node: NodeId) -> Option<Program> {
        let pid = Hands::process(self, node)?.pid;
        let hashes = self.hashes.clone();
        // Reading a program takes as long as a small fault; others go on meanwhile.
        tokio::task::spawn_blocking(move || hashes.program(pid)).await.ok()?
    }

    fn process(&self, node: NodeId) -> Option<Entry> {
        let pid = self.running(node).ok()?.pid();
        Entry::of(pid).filter(|entry| !entry.is_dead())
    }

    fn exit(&self, node: NodeId) -> Option<ExitStatus> {
        self.running(node).ok()?.exit_status()
    }

    fn data(&self, node: NodeId) -> Option<DataDirectory> {
        DataDirectory::of(&self.data_directory(node))
    }

    fn disk_report(&self, node: NodeId) -> Option<DiskReport> {
        let folder = self.directory.disk(node);
        let layered = self.instruments.contains(&Instrument::Disk)
            && self.target.disk_layer(&folder).is_some();
        layered.then(|| DiskReport::read(&folder))
    }

    fn may_write_no_file(&self, node: NodeId) -> bool {
        let process = Hands::process(self, node);
        process.is_some_and(|process| limits::file_size(process.pid) == Some(0))
    }

    fn stored_byte(&self, node: NodeId, draw: u64) -> Option<StoredByte> {
        // What cannot be read is missing, and the evidence says so.
        StoredByte::find(&self.data_directory(node), draw).ok()?
    }

    fn byte_now(&self, node: NodeId, place: &StoredByte) -> Option<u8> {
        place.read(&self.data_directory(node))
    }

    fn traffic(&self, link: Link) -> Option<LinkEvidence> {
        self.network.evidence(link).ok()
    }
}

/// The leader on whom all of these agree, and its epoch.
fn agreed(statuses: &[(NodeId, NodeStatus)]) -> Option<(NodeId, u64)> {
    let (node, leader) = statuses.iter().find(|(_, status)| status.role == Role::Leader)?;
    let follows = |(_, status): &(NodeId, NodeStatus)| {
        status.leader == Some(*node) && status.epoch == leader.epoch
    };
    statuses.iter().all(follows).then_some((*node, leader.epoch))
}

/// Whether nobody asked for this end, and no fault explains it.
fn is_unasked(exit: &Exit) -> bool {
    !matches!(exit.cause, Cause::Asked | Cause::Fault)
}

/// Gives every node its addresses, proxies where it must not meet its peers directly.
async fn wire(
    target: &dyn Target,
    network: &Network,
    real: &BTreeMap<NodeId, (std::net::SocketAddr, std::net::SocketAddr)>,
    companion: Option<Beside>,
    token: String,
) -> anyhow::Result<Wiring> {
    let mut nodes = BTreeMap::new();
    for (node, (client, peer)) in real {
        let mut dial = BTreeMap::new();
        let mut advertised = None;
        match target.peer_style() {
            PeerStyle::PerLink => {
                for other in real.keys().filter(|other| *other != node) {
                    dial.insert(*other, network.peer_port(*node, *other).await?);
                }
            }
            PeerStyle::Advertised => advertised = Some(network.advertised_port(*node).await?),
        }
        let endpoints = Endpoints { node: *node, client: *client, peer: *peer, dial, advertised };
        nodes.insert(*node, endpoints);
    }
    Ok(Wiring { token, nodes, companion })
}

fn absolute(folder: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(folder)
        .with_context(|| format!("no absolute path for {}", folder.display()))
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

async fn report_strangers(mut strangers: mpsc::Receiver<Stranger>, journal: Arc<Journal>) {
    while let Some(Stranger { link, caller }) = strangers.recv().await {
        journal.report(Event::Stranger { link, caller });
    }
}

async fn watch_exits(
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
