//! Faults on real processes: what they do is seen from outside, and an injection that was turned
//! into a no-op is reported as "no effect".
//!
//! The processes are plain sleepers and the links carry bytes of this test; no store takes part.

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
use splitbrain::nemesis::{DataDirectory, Hands, Injector, Program, Replacement, StoredByte};
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

/// Sleepers behind a network, whose faults may be turned into no-ops.
struct Sleepers {
    processes: Processes,
    network: Network,
    running: Mutex<BTreeMap<NodeId, Process>>,
    folder: tempfile::TempDir,
    /// What nodes run that do not run the usual program.
    installed: Mutex<BTreeMap<NodeId, PathBuf>>,
    /// What the nodes say: who leads, and in which epoch.
    leads: Mutex<(NodeId, u64)>,
    /// Who votes.
    voters: Mutex<BTreeSet<NodeId>>,
    /// Whether what is asked is done. Looking is never turned off.
    acts: bool,
}

impl Sleepers {
    async fn start(acts: bool) -> Arc<Sleepers> {
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

    fn stored_byte(&self, _node: NodeId, _draw: u64) -> Option<StoredByte> {
        None
    }

    fn byte_now(&self, _node: NodeId, _place: &StoredByte) -> Option<u8> {
        None
    }

    fn traffic(&self, link: Link) -> Option<LinkEvidence> {
        self.network.evidence(link).ok()
    }
}

fn planned(faults: &str) -> PlannedRun {
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

fn picture_led_by(leader: NodeId, epoch: u64) -> Picture {
    NodeId::first(3).map(|node| (node, Some(status(node, leader, epoch)))).collect()
}

/// What a node says of itself.
fn status(node: NodeId, leader: NodeId, epoch: u64) -> NodeStatus {
    let role = if node == leader { Role::Leader } else { Role::Follower };
    let (voters, learners) = (NodeId::first(3).collect(), Vec::new());
    NodeStatus { role, epoch, leader: Some(leader), applied: 0, committed: 0, voters, learners }
}

/// Carries out one fault and says what is recorded of it.
async fn inject(sleepers: &Arc<Sleepers>, faults: &str) -> FaultRecord {
    // The fault begins at its time and is healed after its own; only then is the load over.
    inject_under(sleepers, faults, Duration::from_millis(700)).await
}

/// The same under a load that goes on for a while after the last fault has begun.
async fn inject_under(sleepers: &Arc<Sleepers>, faults: &str, load: Duration) -> FaultRecord {
    let nothing = |_| async {};
    let (mut records, events) = injected(sleepers, faults, load, nothing).await;
    let record = records.remove(0);
    let told = match &record.effect {
        Effect::Seen(evidence) => format!("{} took effect: {evidence}", record.kind),
        Effect::None(why) | Effect::Skipped(why) => format!("{} had no effect: {why}", record.kind),
    };
    assert!(events.contains(&told), "{told} is not among the events: {events}");
    record
}

/// The same for several faults.
async fn inject_all(sleepers: &Arc<Sleepers>, faults: &str) -> Vec<FaultRecord> {
    let nothing = |_| async {};
    injected(sleepers, faults, Duration::from_millis(1200), nothing).await.0
}

/// The same, while something else goes on; with the events.
async fn inject_while<F: Future<Output = ()> + Send + 'static>(
    sleepers: &Arc<Sleepers>,
    faults: &str,
    meanwhile: impl FnOnce(watch::Sender<Picture>) -> F,
) -> (FaultRecord, String) {
    let (mut records, events) =
        injected(sleepers, faults, Duration::from_millis(1200), meanwhile).await;
    (records.remove(0), events)
}

async fn injected<F: Future<Output = ()> + Send + 'static>(
    sleepers: &Arc<Sleepers>,
    faults: &str,
    load: Duration,
    meanwhile: impl FnOnce(watch::Sender<Picture>) -> F,
) -> (Vec<FaultRecord>, String) {
    let clock = Clock::start();
    let folder = sleepers.folder.path();
    let header = Header { history: FORMAT_VERSION, workload: "set".to_string(), nodes: 3 };
    let recorder = Recorder::create(&folder.join("history.jsonl"), &header, clock).unwrap();
    let recorder = Arc::new(recorder);
    let silent = Box::new(|_: &_, _| {});
    let journal =
        Journal::create(&folder.join("events.jsonl"), clock, recorder.clone(), silent).unwrap();
    let (roles, picture) = watch::channel(picture_led_by(NodeId(1), 1));
    let injector =
        Injector { hands: sleepers.clone(), picture, recorder, journal: Arc::new(journal), clock };
    let plan = planned(faults);
    let last = plan.faults.iter().map(|fault| fault.start.earliest().duration()).max().unwrap();
    let injection = injector.start(&plan);
    let meanwhile = tokio::spawn(meanwhile(roles.clone()));
    tokio::time::sleep(last + load).await;
    let records = injection.finish(Duration::from_secs(10)).await.unwrap();
    meanwhile.await.unwrap();
    drop(roles);
    (records, std::fs::read_to_string(folder.join("events.jsonl")).unwrap())
}

/// A listener that takes what comes, as the acceptor of a link.
async fn sink(address: SocketAddr) -> tokio::task::JoinHandle<()> {
    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.ok();
            });
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_is_seen_by_the_new_process() {
    let sleepers = Sleepers::start(true).await;
    let record = inject(&sleepers, "kill: { node: leader, at: 1s, for: 500ms }").await;
    let Effect::Seen(evidence) = &record.effect else { panic!("{:?}", record.effect) };
    assert!(evidence.starts_with("n1 pid "), "{evidence}");
    assert_eq!(record.leaders, [NodeId(1)]);
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_seen_in_the_kernels_table() {
    let sleepers = Sleepers::start(true).await;
    let record = inject(&sleepers, "pause: { node: n2, at: 1s, for: 500ms }").await;
    assert_eq!(record.effect, Effect::Seen("the kernel had n2 stopped".to_string()));
    assert!(sleepers.process(NodeId(2)).is_some_and(|process| !process.is_still()));
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_goes_not_beyond_its_last_moment() {
    let sleepers = Sleepers::start(true).await;
    let fault = "pause: { node: n2, at: 1s, for: 5s, before: 1200ms }";
    let record = inject_under(&sleepers, fault, Duration::from_secs(4)).await;
    let lasted = record.heal_requested.unwrap().0 - record.in_force.unwrap().0;
    assert!(lasted < 2_000_000, "healed after {lasted} us, with the load or by itself");
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_injection_turned_into_a_no_op_has_no_effect() {
    let sleepers = Sleepers::start(false).await;
    let kill = inject(&sleepers, "kill: { node: n1, at: 1s, for: 500ms }").await;
    assert!(matches!(&kill.effect, Effect::None(why) if why.contains("still process")), "{kill:?}");
    let pause = inject(&sleepers, "pause: { node: n1, at: 1s, for: 500ms }").await;
    assert!(matches!(&pause.effect, Effect::None(why) if why.contains("not stopped")), "{pause:?}");
    sleepers.processes.shutdown().await.unwrap();
}

/// What betrays a change of the members that was none.
const UNCHANGED: &str = "the voters were n1 n2 n3 to the end";

/// Faults of processes and of who they are, beside kill and pause, and what a no-op of each is betrayed by.
const OF_PROCESSES: [(&str, &str, &str); 10] = [
    ("stop: { node: n1, at: 1s, for: 300ms }", "(signal SIGTERM)", "still process"),
    (
        "slow: { node: n1, stopped: 30ms, running: 20ms, at: 1s, for: 500ms }",
        "% of the time",
        "seen stopped at the end of 0 of",
    ),
    ("rolling-restart: { down: 30ms, at: 1s, for: 600ms }", "n3 pid ", "still process"),
    ("upgrade: { node: n1, to: copy, at: 1s, for: 400ms }", ", and back", "still process"),
    (
        "upgrade: { node: all, to: copy, back: false, at: 1s, for: 600ms }",
        "/other/sleep, the same contents; n3 pid ",
        "still process",
    ),
    ("wipe: { node: n1, at: 1s, for: 300ms }", "bytes of n1 gone, n1 pid ", "still process"),
    (
        "membership: { change: add, at: 1s, for: 300ms }",
        "n1 n2 n3 n4 vote where n1 n2 n3 did, n4 is process ",
        UNCHANGED,
    ),
    (
        "membership: { change: remove, node: leader, at: 1s, for: 300ms }",
        "n2 n3 vote wh",
        UNCHANGED,
    ),
    ("membership: { change: replace, node: n2, at: 1s, for: 500ms }", "n1 n3 n4 vote w", UNCHANGED),
    (
        "membership: { change: abandon, node: n3, at: 1s, for: 300ms }",
        "n3 vote where n1",
        UNCHANGED,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_processes_is_seen_from_outside() {
    let sleepers = Sleepers::start(true).await;
    for (fault, seen, _) in OF_PROCESSES {
        let record = inject(&sleepers, fault).await;
        let Effect::Seen(evidence) = &record.effect else { panic!("{fault}: {record:?}") };
        assert!(evidence.contains(seen), "{fault}: {evidence}");
        for node in NodeId::first(3) {
            let alive = sleepers.process(node).is_some_and(|process| !process.is_still());
            assert!(alive, "{fault}: {node} was not healed");
        }
        let voters: Vec<NodeId> = sleepers.voters.lock().unwrap().iter().copied().collect();
        assert_eq!(voters, NodeId::first(3).collect::<Vec<_>>(), "{fault}");
    }
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_processes_turned_into_a_no_op_has_no_effect() {
    let sleepers = Sleepers::start(false).await;
    for (fault, _, betrayed_by) in OF_PROCESSES {
        let record = inject(&sleepers, fault).await;
        let Effect::None(why) = &record.effect else { panic!("{fault}: {record:?}") };
        assert!(why.contains(betrayed_by), "{fault}: {why}");
    }
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_is_seen_by_who_leads_a_later_epoch() {
    let sleepers = Sleepers::start(true).await;
    for (node, seen) in [("n2", "n2 leads epoch 2"), ("n3", "n2 leads epoch 3 instead")] {
        let record =
            inject(&sleepers, &format!("promote: {{ node: {node}, at: 1s, for: 1s }}")).await;
        assert_eq!(record.effect, Effect::Seen(seen.to_string()));
    }
    sleepers.processes.shutdown().await.unwrap();
    let sleepers = Sleepers::start(false).await;
    let record = inject(&sleepers, "promote: { node: n2, at: 1s, for: 200ms }").await;
    assert_eq!(record.effect, Effect::None("nobody led after epoch 1".to_string()));
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_of_all_takes_every_process_and_brings_every_one_back() {
    let sleepers = Sleepers::start(true).await;
    let record = inject(&sleepers, "kill: { node: all, at: 1s, for: 200ms }").await;
    let Effect::Seen(evidence) = &record.effect else { panic!("{record:?}") };
    assert_eq!(evidence.matches(" pid ").count(), 3, "{evidence}");
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_that_is_cut_short_has_no_effect_and_leaves_all_nodes_up() {
    let sleepers = Sleepers::start(true).await;
    let record = inject(&sleepers, "rolling-restart: { down: 2s, at: 1s, for: 100ms }").await;
    let why = "over after 1 of 3 nodes; `for` is too short".to_string();
    assert_eq!(record.effect, Effect::None(why));
    assert!(NodeId::first(3).all(|node| sleepers.process(node).is_some()));
    sleepers.processes.shutdown().await.unwrap();
}

/// Faults of links beside a plain cut, and what a no-op of each is betrayed by.
const OF_LINKS: [(&str, &str, &str); 7] = [
    (
        "partition: { isolate: n1, scope: peers+clients, flap: { cut: 60ms, healed: 40ms }, \
         at: 1s, for: 500ms }",
        " times, held ",
        "bytes passed on client->n1",
    ),
    (
        "partition: { isolate: n1, scope: clients, direction: inbound, dials: refuse, at: 1s, \
         for: 300ms }",
        "0 passed",
        "bytes passed on client->n1",
    ),
    (
        "delay: { node: n1, by: 20ms, spread: 5ms, scope: clients, at: 1s, for: 500ms }",
        "ms on average",
        "bytes passed, none of them late",
    ),
    (
        "bandwidth: { node: n1, limit: 1kB, scope: clients, at: 1s, for: 500ms }",
        "waited for a busy link",
        "bytes passed, none of them late",
    ),
    (
        "reset: { node: n1, scope: clients, again: 50ms, at: 1s, for: 300ms }",
        "connections reset",
        "no connection was reset",
    ),
    (
        "half-open: { node: n1, scope: clients, at: 1s, for: 300ms }",
        "1 connections left half open, ",
        "no connection was left half open",
    ),
    (
        "partition: { links: [client->n1], at: 1s, for: 300ms }",
        "0 passed",
        "bytes passed on client->n1",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_links_is_seen_in_the_counters_of_the_traffic() {
    let sleepers = Sleepers::start(true).await;
    let talking = talk(&sleepers).await;
    for (fault, seen, _) in OF_LINKS {
        let record = inject(&sleepers, fault).await;
        let Effect::Seen(evidence) = &record.effect else { panic!("{fault}: {record:?}") };
        assert!(evidence.contains(seen), "{fault}: {evidence}");
    }
    talking.abort();
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_links_turned_into_a_no_op_has_no_effect() {
    let sleepers = Sleepers::start(false).await;
    let talking = talk(&sleepers).await;
    for (fault, _, betrayed_by) in OF_LINKS {
        let record = inject(&sleepers, fault).await;
        let Effect::None(why) = &record.effect else { panic!("{fault}: {record:?}") };
        assert!(why.contains(betrayed_by), "{fault}: {why}");
    }
    talking.abort();
    sleepers.processes.shutdown().await.unwrap();
}

const SLOW_CLOSE: &str = "slow-close: { node: n1, by: 30ms, scope: clients, at: 1s, for: 600ms }";

/// A client that ends each of its connections after a word.
async fn hang_up(sleepers: &Arc<Sleepers>) -> [tokio::task::JoinHandle<()>; 2] {
    // The nodes and their links are those of somebody who goes on talking.
    let talking = talk(sleepers).await;
    let lane = sleepers.network.client_lane(NodeId(1)).await.unwrap();
    let hanging_up = tokio::spawn(async move {
        while let Ok(mut stream) = TcpStream::connect(lane.addr()).await {
            stream.write_all(b"a word").await.ok();
            // One that is gone before the proxy has asked who dialled is carried nowhere.
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    });
    [talking, hanging_up]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_close_is_seen_in_the_ends_that_were_late() {
    let sleepers = Sleepers::start(true).await;
    let talking = hang_up(&sleepers).await;
    let record = inject(&sleepers, SLOW_CLOSE).await;
    let Effect::Seen(evidence) = &record.effect else { panic!("{record:?}") };
    assert!(evidence.contains(" ends of connections late by "), "{evidence}");
    talking.iter().for_each(tokio::task::JoinHandle::abort);
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_close_without_an_end_or_turned_into_a_no_op_has_no_effect() {
    let sleepers = Sleepers::start(true).await;
    let talking = talk(&sleepers).await;
    let record = inject(&sleepers, SLOW_CLOSE).await;
    let why = "no connection over these links ended, and was heard late".to_string();
    assert_eq!(record.effect, Effect::None(why));
    talking.abort();
    sleepers.processes.shutdown().await.unwrap();
    let sleepers = Sleepers::start(false).await;
    let talking = hang_up(&sleepers).await;
    let record = inject(&sleepers, SLOW_CLOSE).await;
    let Effect::None(why) = &record.effect else { panic!("{record:?}") };
    assert!(why.contains("bytes passed, none of them late"), "{why}");
    talking.iter().for_each(tokio::task::JoinHandle::abort);
    sleepers.processes.shutdown().await.unwrap();
}

/// While a fault that follows is in force, somebody else comes to lead.
#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_follows_heals_the_old_leader_and_hits_the_new_one() {
    let sleepers = Sleepers::start(true).await;
    let fault = "pause: { node: leader, follow: leader, at: 1s, for: 1s }";
    let watched = sleepers.clone();
    let (record, notes) = inject_while(&sleepers, fault, |roles| async move {
        while !watched.process(NodeId(1)).is_some_and(|process| process.is_still()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        roles.send_replace(picture_led_by(NodeId(2), 2));
    })
    .await;
    assert_eq!(record.victims, [NodeId(1), NodeId(2)]);
    let seen = "the kernel had n1 stopped; then the kernel had n2 stopped";
    assert_eq!(record.effect, Effect::Seen(seen.to_string()));
    assert!(notes.contains("goes after the leader, to n2"), "{notes}");
    for node in NodeId::first(3) {
        assert!(sleepers.process(node).is_some_and(|process| !process.is_still()));
    }
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_keeps_a_majority_is_skipped_where_none_would_be_left() {
    let sleepers = Sleepers::start(true).await;
    let faults = "pause: { node: n1, at: 1s, for: 1s }, \
                  kill: { node: n2, keep: majority, at: 1500ms, for: 100ms }";
    let records = inject_all(&sleepers, faults).await;
    assert!(matches!(&records[0].effect, Effect::Seen(_)), "{records:?}");
    let why = "with 1 under faults no majority is left".to_string();
    assert_eq!(records[1].effect, Effect::Skipped(why));
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_links_without_traffic_have_no_effect() {
    let sleepers = Sleepers::start(true).await;
    let silent = "127.0.0.1:1".parse().unwrap();
    for node in NodeId::first(3) {
        sleepers.network.add_node(node, silent, silent);
    }
    let record = inject(&sleepers, "delay: { node: all, by: 5ms, at: 1s, for: 100ms }").await;
    let why = "no byte came over any of the links".to_string();
    assert_eq!(record.effect, Effect::None(why));
    sleepers.processes.shutdown().await.unwrap();
}

/// Writes over the link from the clients to `n1` until told to stop; dials again when reset.
async fn talk(sleepers: &Arc<Sleepers>) -> tokio::task::JoinHandle<()> {
    let address = RunAddress::take().unwrap();
    let (peer, client) = (address.port("peer").unwrap(), address.port("client").unwrap());
    let acceptor = sink(client).await;
    for node in NodeId::first(3) {
        sleepers.network.add_node(node, peer, client);
    }
    let lane = sleepers.network.client_lane(NodeId(1)).await.unwrap();
    tokio::spawn(async move {
        let _kept = (address, acceptor);
        loop {
            // A reset may come while the connection is still being looked at.
            let Ok(mut stream) = TcpStream::connect(lane.addr()).await else { continue };
            stream.set_nodelay(true).ok();
            while stream.write_all(b"bytes of the target's own traffic").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    })
}

const CUT: &str = "partition: { isolate: n1, scope: peers+clients, at: 1s, for: 500ms }";

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_is_seen_by_what_it_held() {
    let sleepers = Sleepers::start(true).await;
    let talking = talk(&sleepers).await;
    let record = inject(&sleepers, CUT).await;
    let Effect::Seen(evidence) = &record.effect else { panic!("{:?}", record.effect) };
    assert!(evidence.contains("0 passed") && evidence.contains("idle: "), "{evidence}");
    talking.abort();
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_turned_into_a_no_op_is_betrayed_by_the_bytes_that_pass() {
    let sleepers = Sleepers::start(false).await;
    let talking = talk(&sleepers).await;
    let record = inject(&sleepers, CUT).await;
    let betrayed = |why: &str| why.contains("bytes passed on client->n1");
    assert!(matches!(&record.effect, Effect::None(why) if betrayed(why)), "{record:?}");
    talking.abort();
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_that_nobody_ran_into_has_no_effect() {
    let sleepers = Sleepers::start(true).await;
    let silent = "127.0.0.1:1".parse().unwrap();
    for node in NodeId::first(3) {
        sleepers.network.add_node(node, silent, silent);
    }
    let record = inject(&sleepers, CUT).await;
    let why = "no cut link was offered a byte".to_string();
    assert_eq!(record.effect, Effect::None(why));
    sleepers.processes.shutdown().await.unwrap();
}
