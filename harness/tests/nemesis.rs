//! Faults on real processes: what they do is seen from outside, and an injection that was turned
//! into a no-op is reported as "no effect".
//!
//! The processes are plain sleepers and the links carry bytes of this test; no store takes part.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use splitbrain::cluster::address::RunAddress;
use splitbrain::cluster::census::Entry;
use splitbrain::cluster::process::{Process, ProcessSpec, Processes, Reaper};
use splitbrain::nemesis::{Hands, Injector};
use splitbrain::network::link::Link;
use splitbrain::network::{LinkEvidence, Network};
use splitbrain::run::journal::Journal;
use splitbrain::run::recorder::{Clock, Recorder};
use splitbrain::run::roles::Picture;
use splitbrain::suite;
use splitbrain::suite::plan::{self, PlannedRun};
use splitbrain::suite::target::TargetKind;
use splitbrain::target::NodeStatus;
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
            acts,
        };
        for node in NodeId::first(3) {
            sleepers.spawn(node).await;
        }
        Arc::new(sleepers)
    }

    async fn spawn(&self, node: NodeId) {
        let file = |name: &str| self.folder.path().join(name);
        let spec = ProcessSpec {
            node,
            program: "sleep".into(),
            args: vec!["60".to_string()],
            env: BTreeMap::new(),
            cwd: self.folder.path().to_path_buf(),
            stdout: file("stdout.log"),
            stderr: file("stderr.log"),
        };
        let process = self.processes.spawn(spec).await.unwrap();
        self.running.lock().unwrap().insert(node, process);
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

    async fn cut(&self, links: &[Link]) -> anyhow::Result<()> {
        if self.acts {
            self.network.cut(links).await?;
        }
        Ok(())
    }

    async fn heal(&self, links: &[Link]) -> anyhow::Result<()> {
        if self.acts {
            self.network.heal(links)?;
        }
        Ok(())
    }

    fn process(&self, node: NodeId) -> Option<Entry> {
        Entry::of(self.running(node).pid()).filter(|entry| !entry.is_dead())
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
        settings: Vec::new(),
        switches: None,
    };
    let text = format!(
        "suite: faults\ntarget: sleeper\nruns:\n  - name: it\n    workload: set\n    \
         duration: 5s\n    faults: [{faults}]\n"
    );
    let suite = suite::parse("faults.yaml", &text, std::slice::from_ref(&kind)).unwrap();
    plan::expand(&suite, &[kind], Seed(1), None).unwrap().remove(0)
}

fn picture() -> Picture {
    let status = |node: NodeId| NodeStatus {
        role: if node == NodeId(1) { Role::Leader } else { Role::Follower },
        epoch: 1,
        leader: Some(NodeId(1)),
        applied: 0,
        committed: 0,
    };
    NodeId::first(3).map(|node| (node, Some(status(node)))).collect()
}

/// Carries out one fault and says what is recorded of it.
async fn inject(sleepers: &Arc<Sleepers>, faults: &str) -> FaultRecord {
    let clock = Clock::start();
    let folder = sleepers.folder.path();
    let header = Header { history: FORMAT_VERSION, workload: "set".to_string(), nodes: 3 };
    let recorder = Recorder::create(&folder.join("history.jsonl"), &header, clock).unwrap();
    let recorder = Arc::new(recorder);
    let silent = Box::new(|_: &_, _| {});
    let journal =
        Journal::create(&folder.join("events.jsonl"), clock, recorder.clone(), silent).unwrap();
    let (_roles, picture) = watch::channel(picture());
    let injector =
        Injector { hands: sleepers.clone(), picture, recorder, journal: Arc::new(journal), clock };
    let plan = planned(faults);
    let last = plan.faults.iter().map(|fault| fault.start.earliest().duration()).max().unwrap();
    let injection = injector.start(&plan);
    // The fault begins at its time and is healed after its own; only then is the load over.
    tokio::time::sleep(last + Duration::from_millis(700)).await;
    let mut records = injection.finish(Duration::from_secs(10)).await.unwrap();
    records.remove(0)
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
async fn an_injection_turned_into_a_no_op_has_no_effect() {
    let sleepers = Sleepers::start(false).await;
    let kill = inject(&sleepers, "kill: { node: n1, at: 1s, for: 500ms }").await;
    assert!(matches!(&kill.effect, Effect::None(why) if why.contains("still process")), "{kill:?}");
    let pause = inject(&sleepers, "pause: { node: n1, at: 1s, for: 500ms }").await;
    assert!(matches!(&pause.effect, Effect::None(why) if why.contains("not stopped")), "{pause:?}");
    sleepers.processes.shutdown().await.unwrap();
}

/// Writes over the link from the clients to `n1` until told to stop.
async fn talk(sleepers: &Arc<Sleepers>) -> tokio::task::JoinHandle<()> {
    let address = RunAddress::take().unwrap();
    let (peer, client) = (address.port("peer").unwrap(), address.port("client").unwrap());
    let acceptor = sink(client).await;
    for node in NodeId::first(3) {
        sleepers.network.add_node(node, peer, client);
    }
    let lane = sleepers.network.client_lane(NodeId(1)).await.unwrap();
    let mut stream = TcpStream::connect(lane.addr()).await.unwrap();
    tokio::spawn(async move {
        let _kept = (address, acceptor);
        while stream.write_all(b"bytes of the target's own traffic").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
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
