//! Plain sleepers behind a network of links, whose faults may be turned into no-ops; no store takes
//! part. What the tests of faults act on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use splitbrain::cluster::ExitStatus;
use splitbrain::cluster::address::RunAddress;
use splitbrain::cluster::census::Entry;
use splitbrain::cluster::process::{Owner, Process, ProcessSpec, Processes, Reaper};
use splitbrain::nemesis::{
    Bytes, DataDirectory, Hands, Injector, Program, Replacement, StoredByte,
};
use splitbrain::network::link::Link;
use splitbrain::network::{Dials, HalfOpen, LinkEvidence, Network, Shape};
use splitbrain::run::journal::Journal;
use splitbrain::run::recorder::{Clock, Recorder};
use splitbrain::run::roles::Picture;
use splitbrain::suite;
use splitbrain::suite::plan::{self, PlannedRun};
use splitbrain::suite::target::{Sense, Setting, TargetKind};
use splitbrain::target::clock::ClockReading;
use splitbrain::target::disk::{DiskOrders, DiskReport};
use splitbrain::target::{MemberChange, NodeStatus};
use splitbrain_reports::record::{Effect, FaultRecord, Role};
use splitbrain_workloads::history::{FORMAT_VERSION, Header};
use splitbrain_workloads::operation::{Capability, NodeId};
use splitbrain_workloads::seed::Seed;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Sleepers behind a network, whose faults may be turned into no-ops.
pub(crate) struct Sleepers {
    pub(crate) processes: Processes,
    pub(crate) network: Network,
    running: Mutex<BTreeMap<NodeId, Process>>,
    pub(crate) folder: tempfile::TempDir,
    /// What nodes run that do not run the usual program.
    installed: Mutex<BTreeMap<NodeId, PathBuf>>,
    /// What the nodes say: who leads, and in which epoch.
    leads: Mutex<(NodeId, u64)>,
    /// Who votes.
    pub(crate) voters: Mutex<BTreeSet<NodeId>>,
    /// Whether what is asked is done. Looking is never turned off.
    acts: bool,
}

impl Sleepers {
    pub(crate) async fn start(acts: bool) -> Arc<Sleepers> {
        let reaper = Reaper::start_program(Path::new(env!("CARGO_BIN_EXE_splitbrain"))).unwrap();
        let processes = reaper.into_async().unwrap();
        let (network, _strangers) = Network::new(Arc::new(RunAddress::take().unwrap()));
        let sleepers = Sleepers {
            processes,
            network,
            running: Mutex::default(),
            folder: tempfile::tempdir().unwrap(),
            installed: Mutex::default(),
            leads: Mutex::new((NodeId(1), 1)),
            voters: Mutex::new(NodeId::first(3).collect()),
            acts,
        };
        for node in NodeId::first(3) {
            sleepers.spawn(node).await;
        }
        Arc::new(sleepers)
    }

    fn data_of(&self, node: NodeId) -> PathBuf {
        self.folder.path().join(format!("data-{node}"))
    }

    /// Starts a node; like a store it makes its data directory when there is none.
    async fn spawn(&self, node: NodeId) {
        std::fs::create_dir_all(self.data_of(node)).unwrap();
        let file = |name: &str| self.folder.path().join(name);
        let spec = ProcessSpec {
            owner: Owner::Node(node),
            program: self.program_of(node),
            args: vec!["60".to_string()],
            env: BTreeMap::new(),
            cwd: self.folder.path().to_path_buf(),
            stdout: file("stdout.log"),
            stderr: file("stderr.log"),
        };
        let process = self.processes.spawn(spec).await.unwrap();
        self.running.lock().unwrap().insert(node, process);
    }

    fn program_of(&self, node: NodeId) -> PathBuf {
        self.installed.lock().unwrap().get(&node).cloned().unwrap_or_else(|| "sleep".into())
    }

    /// A program that does the same under another path. (A multi-call binary goes by its name.)
    fn copy_of_sleep(&self) -> PathBuf {
        let folder = self.folder.path().join("other");
        std::fs::create_dir_all(&folder).unwrap();
        let copy = folder.join("sleep");
        if !copy.exists() {
            let path = std::env::var_os("PATH").unwrap();
            let found = std::env::split_paths(&path).map(|folder| folder.join("sleep"));
            std::fs::copy(found.into_iter().find(|path| path.exists()).unwrap(), &copy).unwrap();
        }
        copy
    }

    fn running(&self, node: NodeId) -> Process {
        self.running.lock().unwrap()[&node].clone()
    }
}

#[async_trait]
impl Hands for Sleepers {
    async fn kill(&self, node: NodeId) -> anyhow::Result<()> {
        if self.acts {
            self.running(node).kill().await?;
        }
        Ok(())
    }

    async fn terminate(&self, node: NodeId) -> anyhow::Result<()> {
        if self.acts {
            self.running(node).terminate(Duration::from_secs(5)).await?;
        }
        Ok(())
    }

    async fn restart(&self, node: NodeId) -> anyhow::Result<()> {
        if self.acts {
            self.spawn(node).await;
        }
        Ok(())
    }

    async fn pause(&self, node: NodeId) -> anyhow::Result<()> {
        if self.acts {
            self.running(node).pause().await?;
        }
        Ok(())
    }

    async fn resume(&self, node: NodeId) -> anyhow::Result<()> {
        if self.acts {
            self.running(node).resume().await?;
        }
        Ok(())
    }

    async fn wipe(&self, node: NodeId) -> anyhow::Result<()> {
        if self.acts {
            std::fs::remove_dir_all(self.data_of(node))?;
        }
        Ok(())
    }

    async fn launch(&self, node: NodeId) -> anyhow::Result<()> {
        self.restart(node).await
    }

    async fn tolerate_end(&self, _node: NodeId) -> anyhow::Result<()> {
        Ok(())
    }

    async fn revive(&self, node: NodeId) -> anyhow::Result<()> {
        match self.process(node) {
            Some(_) => Ok(()),
            None => self.restart(node).await,
        }
    }

    /// A sleeper has no file layer; `harness/tests/disk_and_clock.rs` has nodes with one.
    async fn order_disk(&self, _node: NodeId, _orders: DiskOrders) -> anyhow::Result<()> {
        Ok(())
    }

    async fn limit_files(&self, _node: NodeId, _limited: bool) -> anyhow::Result<()> {
        Ok(())
    }

    async fn write_byte(&self, _: NodeId, _: &StoredByte, _: u8) -> anyhow::Result<()> {
        Ok(())
    }

    async fn clock_rate(&self, _node: NodeId, _rate: f64) -> anyhow::Result<()> {
        Ok(())
    }

    async fn wall_clock(&self, _node: NodeId, _offset_ms: i64) -> anyhow::Result<()> {
        Ok(())
    }

    async fn steady_clock(&self, _node: NodeId, _by: Duration) -> anyhow::Result<()> {
        Ok(())
    }

    async fn clock(&self, _node: NodeId) -> Option<ClockReading> {
        None
    }

    async fn promote(&self, node: NodeId) -> anyhow::Result<()> {
        if self.acts {
            let mut leads = self.leads.lock().unwrap();
            // It stands in for a store whose n3 must not lead: n2 does instead.
            *leads = (node.min(NodeId(2)), leads.1 + 1);
        }
        Ok(())
    }

    async fn change_members(&self, _via: NodeId, change: MemberChange) {
        if self.acts {
            let mut voters = self.voters.lock().unwrap();
            match change {
                MemberChange::Add(node) => voters.insert(node),
                MemberChange::Remove(node) => voters.remove(&node),
            };
        }
    }

    fn spares(&self) -> Vec<NodeId> {
        vec![NodeId(4)]
    }

    async fn statuses(&self) -> BTreeMap<NodeId, NodeStatus> {
        let (leader, epoch) = *self.leads.lock().unwrap();
        let voters: Vec<NodeId> = self.voters.lock().unwrap().iter().copied().collect();
        let says = |node| NodeStatus { voters: voters.clone(), ..status(node, leader, epoch) };
        NodeId::first(3).map(|node| (node, says(node))).collect()
    }

    async fn replicated_without(&self, _node: NodeId) -> anyhow::Result<()> {
        Ok(())
    }

    async fn cut(&self, links: &[Link], dials: Dials) -> anyhow::Result<()> {
        if self.acts {
            self.network.cut(links, dials).await?;
        }
        Ok(())
    }

    async fn heal(&self, links: &[Link], dials: Dials) -> anyhow::Result<()> {
        if self.acts {
            self.network.heal(links, dials)?;
        }
        Ok(())
    }

    async fn shape(&self, links: &[Link], shape: Shape) -> anyhow::Result<()> {
        if self.acts {
            self.network.shape(links, shape)?;
        }
        Ok(())
    }

    async fn unshape(&self, links: &[Link], shape: Shape) -> anyhow::Result<()> {
        if self.acts {
            self.network.unshape(links, shape)?;
        }
        Ok(())
    }

    async fn reset(&self, links: &[Link]) -> anyhow::Result<()> {
        if self.acts {
            self.network.reset(links).await?;
        }
        Ok(())
    }

    async fn half_open(&self, links: &[Link], who_forgets: &[NodeId]) -> anyhow::Result<HalfOpen> {
        match self.acts {
            true => Ok(self.network.half_open(links, who_forgets).await?),
            false => Ok(HalfOpen::default()),
        }
    }

    async fn install(&self, node: NodeId, program: Option<&Replacement>) -> anyhow::Result<()> {
        if self.acts {
            let mut installed = self.installed.lock().unwrap();
            match program {
                Some(Replacement::File(path)) => installed.insert(node, path.clone()),
                Some(Replacement::Copy) => installed.insert(node, self.copy_of_sleep()),
                None => installed.remove(&node),
            };
        }
        Ok(())
    }

    async fn program(&self, node: NodeId) -> Option<Program> {
        let path = std::fs::read_link(format!("/proc/{}/exe", self.process(node)?.pid)).ok()?;
        Some(Program { path, sha256: "0123456789abcdef".to_string() })
    }

    fn process(&self, node: NodeId) -> Option<Entry> {
        let pid = self.running.lock().unwrap().get(&node)?.pid();
        Entry::of(pid).filter(|entry| !entry.is_dead())
    }

    fn exit(&self, node: NodeId) -> Option<ExitStatus> {
        self.running(node).exit_status()
    }

    fn data(&self, node: NodeId) -> Option<DataDirectory> {
        DataDirectory::of(&self.data_of(node))
    }

    fn disk_report(&self, _node: NodeId) -> Option<DiskReport> {
        None
    }

    fn may_write_no_file(&self, _node: NodeId) -> bool {
        false
    }

    fn stored_byte(&self, _: NodeId, _: u64, _: Bytes) -> Option<StoredByte> {
        None
    }

    fn byte_now(&self, _node: NodeId, _place: &StoredByte) -> Option<u8> {
        None
    }

    fn traffic(&self, link: Link) -> Option<LinkEvidence> {
        self.network.evidence(link).ok()
    }
}

pub(crate) fn planned(faults: &str) -> PlannedRun {
    let kind = TargetKind {
        name: "sleeper".to_string(),
        summary: String::new(),
        capabilities: vec![Capability::AtomicList],
        settings: vec![Setting {
            name: "spares".to_string(),
            default: String::new(),
            values: vec!["1".to_string()],
            meaning: String::new(),
        }],
        switches: None,
        refuses: Vec::new(),
        needs: Vec::new(),
        sense: Sense::ANY,
    };
    let text = format!(
        "suite: faults\ntarget: {{ sleeper: {{ spares: 1 }} }}\nruns:\n  - name: it\n    workload: set\n    \
         duration: 5s\n    faults: [{faults}]\n"
    );
    let suite = suite::parse("faults.yaml", &text, std::slice::from_ref(&kind)).unwrap();
    plan::expand(&suite, &[kind], Seed(1), None).unwrap().remove(0)
}

pub(crate) fn picture_led_by(leader: NodeId, epoch: u64) -> Picture {
    NodeId::first(3).map(|node| (node, Some(status(node, leader, epoch)))).collect()
}

/// What a node says of itself.
pub(crate) fn status(node: NodeId, leader: NodeId, epoch: u64) -> NodeStatus {
    let role = if node == leader { Role::Leader } else { Role::Follower };
    let (voters, learners) = (NodeId::first(3).collect(), Vec::new());
    NodeStatus { role, epoch, leader: Some(leader), applied: 0, committed: 0, voters, learners }
}

/// Injects the faults of a plan, lets each come to its own end, and gives the record of the first.
pub(crate) async fn inject(sleepers: &Arc<Sleepers>, faults: &str) -> FaultRecord {
    let (mut records, events) = injected(sleepers, planned(faults), |_| async {}).await;
    let record = records.remove(0);
    assert!(events.contains(&told(&record)), "{} is not among the events: {events}", told(&record));
    record
}

/// The same for several faults.
pub(crate) async fn inject_all(sleepers: &Arc<Sleepers>, faults: &str) -> Vec<FaultRecord> {
    injected(sleepers, planned(faults), |_| async {}).await.0
}

/// The same, while something else goes on; with the events.
pub(crate) async fn inject_while<F: Future<Output = ()> + Send + 'static>(
    sleepers: &Arc<Sleepers>,
    faults: &str,
    meanwhile: impl FnOnce(watch::Sender<Picture>) -> F,
) -> (FaultRecord, String) {
    let (mut records, events) = injected(sleepers, planned(faults), meanwhile).await;
    (records.remove(0), events)
}

/// What the events say of a fault that is over.
fn told(record: &FaultRecord) -> String {
    match &record.effect {
        Effect::Seen(evidence) => format!("{} took effect: {evidence}", record.kind),
        Effect::None(why) | Effect::Skipped(why) => format!("{} had no effect: {why}", record.kind),
    }
}

/// Each fault of these plans ends by itself within some seconds; the load goes on for so much longer
/// than the last of them begins, lest it ends one that a busy machine is late with.
const LOAD_MAX: Duration = Duration::from_secs(20);

pub(crate) async fn injected<F: Future<Output = ()> + Send + 'static>(
    sleepers: &Arc<Sleepers>,
    plan: PlannedRun,
    meanwhile: impl FnOnce(watch::Sender<Picture>) -> F,
) -> (Vec<FaultRecord>, String) {
    let clock = Clock::start();
    let folder = sleepers.folder.path();
    let header = Header { history: FORMAT_VERSION, workload: "set".to_string(), nodes: 3 };
    let recorder = Recorder::create(&folder.join("history.jsonl"), &header, clock).unwrap();
    let recorder = Arc::new(recorder);
    let silent = Box::new(|_: &_, _| {});
    let events = folder.join("events.jsonl");
    let journal = Journal::create(&events, clock, recorder.clone(), silent).unwrap();
    let events = || std::fs::read_to_string(&events).unwrap();
    let (roles, picture) = watch::channel(picture_led_by(NodeId(1), 1));
    let injector =
        Injector { hands: sleepers.clone(), picture, recorder, journal: Arc::new(journal), clock };
    let last = plan.faults.iter().map(|fault| fault.start.earliest().duration()).max().unwrap();
    let injection = injector.start(&plan);
    let meanwhile = tokio::spawn(meanwhile(roles.clone()));
    let ended = |events: String| {
        events.matches(" took effect: ").count() + events.matches(" had no effect: ").count()
    };
    let deadline = tokio::time::Instant::now() + last + LOAD_MAX;
    while ended(events()) < plan.faults.len() && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let records = injection.finish(Duration::from_secs(10)).await.unwrap();
    meanwhile.await.unwrap();
    drop(roles);
    (records, events())
}

/// A listener that takes what comes, as the acceptor of a link.
pub(crate) async fn sink(address: SocketAddr) -> tokio::task::JoinHandle<()> {
    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.ok();
            });
        }
    })
}

/// Writes over the link from the clients to `n1`, and over those from every node to every other,
/// until told to stop. All diallers are this process, which the network takes for the one that the
/// link is for.
pub(crate) async fn everybody_talks(sleepers: &Arc<Sleepers>) -> Talking {
    let address = RunAddress::take().unwrap();
    let mut tasks = JoinSet::new();
    for node in NodeId::first(3) {
        let (peer, client) = (address.port("peer").unwrap(), address.port("client").unwrap());
        for address in [peer, client] {
            tasks.spawn(async move { drop(sink(address).await.await) });
        }
        sleepers.network.add_node(node, peer, client);
        sleepers.network.set_pids(node, &[std::process::id()]);
    }
    let mut ways = vec![sleepers.network.client_lane(NodeId(1)).await.unwrap().addr()];
    for from in NodeId::first(3) {
        for to in NodeId::first(3).filter(|to| *to != from) {
            ways.push(sleepers.network.peer_port(from, to).await.unwrap());
        }
    }
    for way in ways {
        tasks.spawn(async move {
            loop {
                let Ok(mut stream) = TcpStream::connect(way).await else { continue };
                stream.set_nodelay(true).ok();
                while stream.write_all(b"bytes of the target's own traffic").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        });
    }
    Talking { _address: address, _tasks: tasks }
}

/// Talks until dropped.
pub(crate) struct Talking {
    _address: RunAddress,
    _tasks: JoinSet<()>,
}
