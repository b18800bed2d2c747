//! The cluster of one run: a target's nodes as processes, behind their links, and the companion
//! that they may need beside them.
//!
//! It joins what the others keep apart: the target's command lines, the reaper's processes and
//! the network's proxies. How a process is started stands in `launching`, what is known of those that
//! ended in `ends`, and what the injector may do in `hands`.

mod ends;
mod freeze;
mod hands;
mod hashes;
mod launching;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use splitbrain_reports::record::Event;
use splitbrain_workloads::operation::NodeId;
use tokio::sync::{RwLock, mpsc, watch};
use tokio::task::JoinHandle;

pub use freeze::Frozen;
use hashes::Hashes;

use super::directory::RunDirectory;
use super::journal::Journal;
use super::tolerance::Tolerance;
use crate::cluster::address::RunAddress;
use crate::cluster::process::{Exit, Process, Processes};
use crate::nemesis::Instrument;
use crate::network::{Lane, Network, Stranger};
use crate::target::clock::ClockControl;
use crate::target::{Beside, Endpoints, PeerStyle, Target, Wiring};

/// How long one question to a node may take.
const ASK_BOUND: Duration = Duration::from_millis(500);

/// How often a node is asked for its time, which is all the evidence there is of a fault of its clock. One
/// that is kept from running for a moment answers the next time.
const CLOCK_TRIES: usize = 4;

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
        let watching =
            ends::watch_exits(processes.clone(), journal.clone(), ended, tolerance.clone());
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

    /// Kills what runs, writes down how each process ended, and takes the links down.
    pub async fn stop(&self) {
        let mut processes: Vec<Arc<Process>> = {
            let running = self.running.lock().expect("no holder of this lock panics");
            running.values().cloned().collect()
        };
        // After the nodes, so that none of them complains of its absence.
        processes.extend(self.companion.lock().expect("no holder of this lock panics").clone());
        for process in &processes {
            // One that has ended already cannot be killed, which is what we want.
            process.kill().await.ok();
        }
        self.ends_are_written(&processes).await;
        self.watcher.abort();
        self.network.shutdown().await;
    }

    fn running(&self, node: NodeId) -> anyhow::Result<Arc<Process>> {
        let running = self.running.lock().expect("no holder of this lock panics");
        running.get(&node).cloned().with_context(|| format!("{node} was never started"))
    }
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

async fn report_strangers(mut strangers: mpsc::Receiver<Stranger>, journal: Arc<Journal>) {
    while let Some(Stranger { link, caller }) = strangers.recv().await {
        journal.report(Event::Stranger { link, caller });
    }
}
