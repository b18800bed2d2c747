//! A cluster that does not start leaves nothing, and says at once why.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use splitbrain::cluster::census::Entry;
use splitbrain::cluster::process::Reaper;
use splitbrain::run::cluster::Cluster;
use splitbrain::run::directory::SuiteDirectory;
use splitbrain::run::journal::Journal;
use splitbrain::run::recorder::{Clock, Recorder};
use splitbrain::run::{Surroundings, conduct};
use splitbrain::suite;
use splitbrain::suite::plan::{self, PlannedRun};
use splitbrain::suite::target::{Sense, TargetKind};
use splitbrain::target::{Client, NodeStatus, PeerStyle, Target, Wiring};
use splitbrain_reports::record::{Event, ProcessChange};
use splitbrain_workloads::history::{FORMAT_VERSION, Header};
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Seed;

/// Nodes of a shell that do nothing, or say why they will not start.
struct Sleeper {
    script: &'static str,
}

#[async_trait]
impl Target for Sleeper {
    fn name(&self) -> &'static str {
        "sleeper"
    }

    fn nodes(&self) -> u16 {
        3
    }

    fn settings(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    fn program(&self) -> &Path {
        Path::new("sh")
    }

    fn version(&self) -> &str {
        "1"
    }

    fn peer_style(&self) -> PeerStyle {
        PeerStyle::PerLink
    }

    fn promises_progress(&self) -> bool {
        false
    }

    fn arguments(&self, _node: NodeId, _wiring: &Wiring, _data: &Path) -> Vec<String> {
        vec!["-c".to_string(), self.script.to_string()]
    }

    async fn status(&self, _: &Wiring, _: NodeId, _: Duration) -> Option<NodeStatus> {
        None
    }

    fn client(&self, _address: SocketAddr, _limit: Duration) -> Box<dyn Client> {
        unreachable!("nobody calls a node that only sleeps")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_which_one_node_cannot_start_leaves_no_process() {
    let reaper = Reaper::start_program(Path::new(env!("CARGO_BIN_EXE_splitbrain"))).unwrap();
    let processes = Arc::new(reaper.into_async().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let directory = SuiteDirectory::at(folder.path()).run("it");
    // The third node has no folder to work in.
    directory.create(2).unwrap();
    let clock = Clock::start();
    let header = Header { history: FORMAT_VERSION, workload: "set".to_string(), nodes: 3 };
    let recorder = Recorder::create(&directory.history(), &header, clock).unwrap();
    let started = Arc::new(Mutex::new(Vec::new()));
    let listener = {
        let started = started.clone();
        Box::new(move |record: &splitbrain_reports::record::EventRecord, _| {
            if let Event::Process { pid, change: ProcessChange::Started, .. } = record.event {
                started.lock().unwrap().extend(Entry::of(pid));
            }
        })
    };
    let journal =
        Journal::create(&directory.events(), clock, Arc::new(recorder), listener).unwrap();
    let token = "start".to_string();
    let cluster = Cluster::start(
        Arc::new(Sleeper { script: "sleep 60" }),
        BTreeSet::new(),
        processes.clone(),
        directory,
        Arc::new(journal),
        token,
    )
    .await;
    let error = cluster.err().expect("a node without a folder does not start");
    assert!(format!("{error:#}").contains("n3: start: open "), "{error:#}");
    let started = started.lock().unwrap().clone();
    assert_eq!(started.len(), 2, "two nodes could start");
    for process in started {
        let now = Entry::of(process.pid).filter(|now| now.started == process.started);
        assert!(now.is_none_or(|now| now.is_dead()), "{} still runs", process.pid);
    }
    processes.shutdown().await.unwrap();
}

fn planned() -> PlannedRun {
    let kind = TargetKind {
        name: "sleeper".to_string(),
        summary: String::new(),
        capabilities: vec![splitbrain_workloads::operation::Capability::AtomicList],
        settings: Vec::new(),
        switches: None,
        refuses: Vec::new(),
        needs: Vec::new(),
        sense: Sense::ANY,
    };
    let text = "suite: start\ntarget: sleeper\nruns:\n  - { name: it, workload: set }\n";
    let suite = suite::parse("start.yaml", text, std::slice::from_ref(&kind)).unwrap();
    plan::expand(&suite, &[kind], Seed(1), None).unwrap().remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_while_the_cluster_starts_ends_the_run_at_once_with_its_last_words() {
    let reaper = Reaper::start_program(Path::new(env!("CARGO_BIN_EXE_splitbrain"))).unwrap();
    let processes = Arc::new(reaper.into_async().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let directory = SuiteDirectory::at(folder.path()).run("it");
    let script = "echo unknown flag --frob >&2; exit 64";
    let (_stop, interrupt) = tokio::sync::watch::channel(false);
    let surroundings = Surroundings {
        target: Arc::new(Sleeper { script }),
        processes: processes.clone(),
        directory,
        listener: Box::new(|_, _| {}),
        interrupt,
    };
    let began = Instant::now();
    let traces = conduct(&planned(), surroundings).await;
    // Half of what a cluster that is only slow is given.
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    let trouble = traces.trouble.expect("a cluster without nodes is in trouble");
    let mut lines = trouble.lines();
    let first = lines.next().unwrap();
    assert!(first.contains(" ended by itself (exit code 64) before it was ready"), "{trouble}");
    assert_eq!(lines.next(), Some("  | unknown flag --frob"), "{trouble}");
    assert!(lines.next().is_some_and(|line| line.contains("help: see ")), "{trouble}");
    processes.shutdown().await.unwrap();
}
