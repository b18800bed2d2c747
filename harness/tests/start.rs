//! A cluster that does not start leaves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use splitbrain::cluster::census::Entry;
use splitbrain::cluster::process::Reaper;
use splitbrain::run::cluster::Cluster;
use splitbrain::run::directory::SuiteDirectory;
use splitbrain::run::journal::Journal;
use splitbrain::run::recorder::{Clock, Recorder};
use splitbrain::target::{Client, NodeStatus, PeerStyle, Target, Wiring};
use splitbrain_reports::record::{Event, ProcessChange};
use splitbrain_workloads::history::{FORMAT_VERSION, Header};
use splitbrain_workloads::operation::NodeId;

/// Nodes that do nothing.
struct Sleeper;

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
        Path::new("sleep")
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
        vec!["60".to_string()]
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
        Arc::new(Sleeper),
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
