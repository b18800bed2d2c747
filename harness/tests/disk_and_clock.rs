//! Faults of disks and clocks on real nodes of the built-in store: what they do is seen by the node's
//! file layer, the kernel, the file system and the node's own word for its time, and an injection
//! that was turned into a no-op is reported as "no effect".
//!
//! Each node is a cluster of its own, so that it acknowledges by itself and one is enough.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use splitbrain::cluster::address::RunAddress;
use splitbrain::cluster::census::Entry;
use splitbrain::cluster::process::{Owner, Process, ProcessSpec, Processes, Reaper};
use splitbrain::cluster::{ExitStatus, limits};
use splitbrain::nemesis::{
    Bytes, DataDirectory, Hands, InForce, Program, Replacement, StoredByte, View,
};
use splitbrain::network::link::Link;
use splitbrain::network::{Dials, HalfOpen, LinkEvidence, Shape};
use splitbrain::suite;
use splitbrain::suite::plan;
use splitbrain::suite::target::{Sense, TargetKind};
use splitbrain::target::NodeStatus;
use splitbrain::target::clock::{ClockControl, ClockReading, NodeClock};
use splitbrain::target::disk::{DiskOrders, DiskReport};
use splitbrain_reports::record::{Effect, Role};
use splitbrain_workloads::operation::{Capability, NodeId};
use splitbrain_workloads::seed::Seed;

const NODE: NodeId = NodeId(1);

/// How many keys are written by turns.
const KEYS: u64 = 16;

/// How long a node may take to answer on a busy machine.
const BOUND: Duration = Duration::from_secs(20);

/// A node of the store that takes writes all the time.
struct Store {
    processes: Processes,
    running: Mutex<Option<Process>>,
    folder: tempfile::TempDir,
    address: SocketAddr,
    _kept: RunAddress,
    client: reqwest::Client,
    clock: Mutex<ClockControl>,
    /// Whether it is started with a file layer that takes orders.
    layered: bool,
    /// Whether what is asked is done. Looking is never turned off.
    acts: bool,
}

impl Store {
    async fn start(acts: bool, layered: bool) -> Arc<Store> {
        let reaper = Reaper::start_program(Path::new(env!("CARGO_BIN_EXE_splitbrain"))).unwrap();
        let address = RunAddress::take().unwrap();
        let store = Arc::new(Store {
            processes: reaper.into_async().unwrap(),
            running: Mutex::default(),
            folder: tempfile::tempdir().unwrap(),
            address: address.port("client").unwrap(),
            _kept: address,
            client: reqwest::Client::builder().timeout(Duration::from_secs(1)).build().unwrap(),
            clock: Mutex::default(),
            layered,
            acts,
        });
        std::fs::create_dir(store.orders()).unwrap();
        store.spawn().await;
        store.answers().await;
        store
    }

    fn orders(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn data_directory(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    async fn spawn(&self) {
        let file = |name: &str| self.folder.path().join(name);
        let mut args: Vec<String> =
            ["node", "--id", "n1", "--set", "snapshot-entries=20"].map(str::to_string).into();
        for (option, value) in [
            ("--data-dir", self.data_directory().display().to_string()),
            ("--client-listen", self.address.to_string()),
            ("--clock-control", file("clock").display().to_string()),
            ("--disk-faults", self.orders().display().to_string()),
        ] {
            if option != "--disk-faults" || self.layered {
                args.extend([option.to_string(), value]);
            }
        }
        let spec = ProcessSpec {
            owner: Owner::Node(NODE),
            program: env!("CARGO_BIN_EXE_splitbrain").into(),
            args,
            env: BTreeMap::new(),
            cwd: self.folder.path().to_path_buf(),
            stdout: file("stdout.log"),
            stderr: file("stderr.log"),
        };
        let process = self.processes.spawn(spec).await.unwrap();
        *self.running.lock().unwrap() = Some(process);
    }

    fn tell_clock(&self, change: impl FnOnce(&mut ClockControl)) {
        if self.acts {
            let mut clock = self.clock.lock().unwrap();
            change(&mut clock);
            clock.tell(&self.folder.path().join("clock")).unwrap();
        }
    }

    fn running(&self) -> Process {
        self.running.lock().unwrap().clone().unwrap()
    }

    /// Writes a number under one of a few keys, so that snapshots stay due; whether it was
    /// acknowledged.
    async fn put(&self, number: u64) -> bool {
        self.write(&format!("k{}", number % KEYS), format!("{number:0200}")).await
    }

    async fn write(&self, key: &str, value: String) -> bool {
        let url = format!("http://{}/kv/{key}", self.address);
        let body = serde_json::json!({ "value": value });
        let answer = self.client.put(url).json(&body).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// The number under the key of another one; 0 where there is none.
    async fn get(&self, number: u64) -> u64 {
        let url = format!("http://{}/kv/k{}", self.address, number % KEYS);
        let answer = self.client.get(url).send().await.unwrap();
        let body: serde_json::Value = answer.json().await.unwrap();
        body["value"].as_str().map_or(0, |text| text.parse().unwrap())
    }

    /// Every acknowledged number is there, or a later one of its key.
    async fn holds(&self, fault: &str, acknowledged: &BTreeSet<u64>) {
        assert!(!acknowledged.is_empty(), "{fault}: nothing was acknowledged");
        for number in acknowledged.iter().rev().take(KEYS as usize) {
            let found = self.get(*number).await;
            assert!(found >= *number, "{fault}: {number} was acknowledged, {found} is there");
        }
    }

    /// Waits until it takes writes.
    async fn answers(&self) {
        let deadline = tokio::time::Instant::now() + BOUND;
        while !self.write("ready", String::new()).await {
            let log = std::fs::read_to_string(self.folder.path().join("stderr.log"));
            assert!(tokio::time::Instant::now() < deadline, "{}", log.unwrap_or_default());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[async_trait]
impl Hands for Store {
    async fn kill(&self, _node: NodeId) -> anyhow::Result<()> {
        if self.acts {
            self.running().kill().await?;
        }
        Ok(())
    }

    async fn restart(&self, node: NodeId) -> anyhow::Result<()> {
        self.launch(node).await?;
        self.answers().await;
        Ok(())
    }

    async fn launch(&self, _node: NodeId) -> anyhow::Result<()> {
        if self.acts {
            self.spawn().await;
        }
        Ok(())
    }

    async fn tolerate_end(&self, _node: NodeId) -> anyhow::Result<()> {
        Ok(())
    }

    async fn revive(&self, _node: NodeId) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + BOUND;
        while !self.write("ready", String::new()).await {
            if self.running().exit_status().is_some() {
                self.spawn().await;
            }
            anyhow::ensure!(tokio::time::Instant::now() < deadline, "it does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn order_disk(&self, _node: NodeId, orders: DiskOrders) -> anyhow::Result<()> {
        if self.acts {
            orders.give(&self.orders())?;
        }
        Ok(())
    }

    async fn limit_files(&self, node: NodeId, limited: bool) -> anyhow::Result<()> {
        if let Some(process) = self.process(node).filter(|_| self.acts) {
            limits::set_file_size(process.pid, limited)?;
        }
        Ok(())
    }

    async fn write_byte(&self, _: NodeId, place: &StoredByte, byte: u8) -> anyhow::Result<()> {
        if self.acts {
            place.write(&self.data_directory(), byte)?;
        }
        Ok(())
    }

    async fn clock_rate(&self, _node: NodeId, rate: f64) -> anyhow::Result<()> {
        self.tell_clock(|clock| clock.rate = rate);
        Ok(())
    }

    async fn wall_clock(&self, _node: NodeId, offset_ms: i64) -> anyhow::Result<()> {
        self.tell_clock(|clock| clock.wall_offset_ms = offset_ms);
        Ok(())
    }

    async fn steady_clock(&self, _node: NodeId, by: Duration) -> anyhow::Result<()> {
        self.tell_clock(|clock| clock.steady_offset_ms += by.as_millis() as u64);
        Ok(())
    }

    async fn clock(&self, _node: NodeId) -> Option<ClockReading> {
        let asked = Instant::now();
        let answer = self.client.get(format!("http://{}/status", self.address)).send().await;
        let status: serde_json::Value = answer.ok()?.json().await.ok()?;
        let wall = chrono::DateTime::parse_from_rfc3339(status["clock"].as_str()?).ok()?;
        let running = Duration::from_micros(status["running_us"].as_u64()?);
        let node = NodeClock { running, wall: wall.timestamp_micros() };
        Some(ClockReading::between(asked, node))
    }

    fn process(&self, _node: NodeId) -> Option<Entry> {
        Entry::of(self.running().pid()).filter(|entry| !entry.is_dead())
    }

    fn exit(&self, _node: NodeId) -> Option<ExitStatus> {
        self.running().exit_status()
    }

    fn data(&self, _node: NodeId) -> Option<DataDirectory> {
        DataDirectory::of(&self.data_directory())
    }

    fn disk_report(&self, _node: NodeId) -> Option<DiskReport> {
        self.layered.then(|| DiskReport::read(&self.orders()))
    }

    fn may_write_no_file(&self, node: NodeId) -> bool {
        self.process(node).is_some_and(|process| limits::file_size(process.pid) == Some(0))
    }

    fn stored_byte(&self, _node: NodeId, draw: u64, of: Bytes) -> Option<StoredByte> {
        StoredByte::find(&self.data_directory(), draw, of).unwrap()
    }

    fn byte_now(&self, _node: NodeId, place: &StoredByte) -> Option<u8> {
        place.read(&self.data_directory())
    }

    // What follows is no fault of disks or clocks.

    async fn terminate(&self, _node: NodeId) -> anyhow::Result<()> {
        unreachable!()
    }

    async fn pause(&self, _node: NodeId) -> anyhow::Result<()> {
        unreachable!()
    }

    async fn resume(&self, _node: NodeId) -> anyhow::Result<()> {
        unreachable!()
    }

    async fn wipe(&self, _node: NodeId) -> anyhow::Result<()> {
        unreachable!()
    }

    async fn promote(&self, _node: NodeId) -> anyhow::Result<()> {
        unreachable!()
    }

    async fn change_members(&self, _via: NodeId, _change: splitbrain::target::MemberChange) {}

    fn spares(&self) -> Vec<NodeId> {
        Vec::new()
    }

    /// Of the one node, while it answers; nobody looks at more than that.
    async fn statuses(&self) -> BTreeMap<NodeId, NodeStatus> {
        let answers = self.write("status", String::new()).await;
        let (voters, learners) = (vec![NodeId(1)], Vec::new());
        let (role, leader, applied) = (Role::Leader, Some(NodeId(1)), 0);
        let status = NodeStatus { role, epoch: 1, leader, applied, committed: 0, voters, learners };
        answers.then_some((NodeId(1), status)).into_iter().collect()
    }

    async fn replicated_without(&self, _node: NodeId) -> anyhow::Result<()> {
        unreachable!()
    }

    async fn cut(&self, _links: &[Link], _dials: Dials) -> anyhow::Result<()> {
        unreachable!()
    }

    async fn heal(&self, _links: &[Link], _dials: Dials) -> anyhow::Result<()> {
        unreachable!()
    }

    async fn shape(&self, _links: &[Link], _shape: Shape) -> anyhow::Result<()> {
        unreachable!()
    }

    async fn unshape(&self, _links: &[Link], _shape: Shape) -> anyhow::Result<()> {
        unreachable!()
    }

    async fn reset(&self, _links: &[Link]) -> anyhow::Result<()> {
        unreachable!()
    }

    async fn half_open(&self, _: &[Link], _: &[NodeId]) -> anyhow::Result<HalfOpen> {
        unreachable!()
    }

    async fn install(&self, _: NodeId, _: Option<&Replacement>) -> anyhow::Result<()> {
        unreachable!()
    }

    async fn program(&self, _node: NodeId) -> Option<Program> {
        unreachable!()
    }

    fn traffic(&self, _link: Link) -> Option<LinkEvidence> {
        unreachable!()
    }
}

/// The fault of a line of a suite, as the plan has it.
fn planned(fault: &str) -> plan::PlannedRun {
    let kind = TargetKind {
        name: "one".to_string(),
        summary: String::new(),
        capabilities: vec![Capability::AtomicList],
        settings: Vec::new(),
        switches: None,
        refuses: Vec::new(),
        needs: Vec::new(),
        sense: Sense::ANY,
    };
    let text = format!(
        "suite: faults\ntarget: {{ one: {{ nodes: 1 }} }}\nruns:\n  - name: it\n    \
         workload: set\n    duration: 5s\n    faults: [{fault}]\n"
    );
    let suite = suite::parse("faults.yaml", &text, std::slice::from_ref(&kind)).unwrap();
    plan::expand(&suite, &[kind], Seed(1), None).unwrap().remove(0)
}

/// Carries out a fault under writes, heals it, and says what came of it and which writes were
/// acknowledged.
async fn carry_out(store: &Arc<Store>, fault: &str) -> (Effect, BTreeSet<u64>) {
    let plan = planned(fault);
    let mut rng = plan.injection(plan.faults[0].id);
    let view = View {
        spares: Vec::new(),
        nodes: vec![NODE],
        leader: Some(NODE),
        followers: Vec::new(),
        faulted: BTreeSet::new(),
    };
    let mut action = plan.faults[0].fault.resolve(&view, &mut rng).unwrap();
    let writing = store.clone();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let over = stopped.clone();
    let (count, mut counted) = tokio::sync::watch::channel(0);
    let writer = tokio::spawn(async move {
        let mut acknowledged = BTreeSet::new();
        for number in 1.. {
            if *stopped.borrow() {
                break;
            }
            if writing.put(number).await {
                acknowledged.insert(number);
                count.send_replace(acknowledged.len());
            } else {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        acknowledged
    });
    // Enough is stored for a byte to be changed, and a snapshot is due while the fault is in force.
    let enough = counted.wait_for(|count| *count >= 2 * KEYS as usize);
    tokio::time::timeout(BOUND, enough).await.unwrap().unwrap();
    let before = DiskReport::read(&store.orders());
    action.inject(&**store).await.unwrap();
    let (end, is_over) = tokio::sync::watch::channel(false);
    let mut force = InForce::until(is_over);
    tokio::time::sleep(Duration::from_millis(800)).await;
    // What is only counted when the node runs into it is waited for.
    let is_counted =
        ["disk-full", "disk-error", "disk-slow"].iter().any(|kind| fault.starts_with(kind));
    let deadline = tokio::time::Instant::now() + BOUND;
    let is_met = || match store.layered {
        true => DiskReport::read(&store.orders()) != before,
        false => store.running().exit_status().is_some(),
    };
    while is_counted && store.acts && !is_met() && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    end.send_replace(true);
    action.sustain(&**store, &mut force).await.unwrap();
    action.undo(&**store).await.unwrap();
    stop.send_replace(true);
    drop(over);
    let acknowledged = writer.await.unwrap();
    store.answers().await;
    (action.effect(&**store), acknowledged)
}

/// Every fault, what is seen of it, and what a no-op of it is betrayed by. Where calls fail it is
/// one of the log, one of the snapshot, or both: two threads write them.
const FAULTS: [(&str, &str, &str); 13] = [
    ("disk-loss: { node: n1, at: 1s, for: 1s }", "gone that were not synced", "still process"),
    ("disk-torn: { node: n1, at: 1s, for: 1s }", "sectors had got to the disk", "still process"),
    (
        "disk-full: { node: n1, at: 1s, for: 1s }",
        "found no space and n1 went on",
        "needed no space",
    ),
    (
        "disk-full: { node: n1, refuses: writes, at: 1s, for: 1s }",
        "found no space and n1 ended with exit code 74",
        "needed no space",
    ),
    (
        "disk-error: { node: n1, on: writes, at: 1s, for: 1s }",
        "failed and n1 ended with exit code 74",
        "no write of n1 failed",
    ),
    (
        "disk-error: { node: n1, on: syncs, at: 1s, for: 1s }",
        "failed and n1 ended with exit code 74",
        "no sync of n1 failed",
    ),
    ("disk-slow: { node: n1, by: 20ms, at: 1s, for: 1s }", "syncs were late, by", "was late"),
    (
        "disk-flip: { node: n1, at: 1s, for: 1s }",
        "n1 ended with exit code 1 when it was started on it",
        "still process",
    ),
    (
        "disk-flip: { node: n1, of: digits, stays: true, at: 1s, for: 1s }",
        "n1 ended with exit code 1 when it was started on it",
        "still process",
    ),
    ("clock-drift: { node: n1, rate: 25%, at: 1s, for: 1s }", "of n1 ran at ", "of n1 ran at "),
    ("clock-drift: { node: n1, rate: 400%, at: 1s, for: 1s }", "of n1 ran at ", "of n1 ran at "),
    ("clock-jump: { node: n1, by: 1m, to: back, at: 1s, for: 1s }", "stepped by -", "stepped by "),
    (
        "clock-jump: { node: n1, by: 3s, clock: steady, at: 1s, for: 1s }",
        "stepped by +",
        "stepped by ",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_disks_and_clocks_is_seen_and_loses_no_acknowledged_write() {
    for (fault, seen, _) in FAULTS {
        let store = Store::start(true, true).await;
        let (effect, acknowledged) = carry_out(&store, fault).await;
        let Effect::Seen(evidence) = &effect else { panic!("{fault}: {effect:?}") };
        assert!(evidence.contains(seen), "{fault}: {evidence}");
        store.holds(fault, &acknowledged).await;
        store.processes.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_disks_and_clocks_turned_into_a_no_op_has_no_effect() {
    for (fault, _, betrayed_by) in FAULTS {
        let store = Store::start(false, true).await;
        let (effect, _) = carry_out(&store, fault).await;
        let Effect::None(why) = &effect else { panic!("{fault}: {effect:?}") };
        assert!(why.contains(betrayed_by), "{fault}: {why}");
        store.processes.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_file_layer_is_kept_from_writing_by_the_kernel() {
    let fault = "disk-full: { node: n1, refuses: writes, at: 1s, for: 1s }";
    for (acts, expected) in [
        (true, "n1 was not allowed to write files, and n1 ended with"),
        (false, "n1 was allowed to write files all the time"),
    ] {
        let store = Store::start(acts, false).await;
        let (effect, acknowledged) = carry_out(&store, fault).await;
        let text = match (&effect, acts) {
            (Effect::Seen(text), true) | (Effect::None(text), false) => text,
            _ => panic!("{effect:?}"),
        };
        assert!(text.contains(expected), "{text}");
        store.holds(fault, &acknowledged).await;
        store.processes.shutdown().await.unwrap();
    }
}
