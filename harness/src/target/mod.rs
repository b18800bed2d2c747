//! The system under test: how to start it, reach it and talk to it. One target, one file.
//!
//! A target knows its program's command line, its status and its client protocol. It knows no
//! fault, no workload and no checker, and it starts nothing by itself: `run` asks it for command
//! lines and hands them to the reaper. The harness reaches the built-in store exactly as it
//! reaches a stranger's: a process and its HTTP API.
//!
//! A new target is one file with a [`Target`] and a [`Client`], and one line in the registry.

pub mod clock;
pub mod disk;
mod etcd;
mod faketime;
mod http;
mod lock_service;
pub(crate) mod store;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use splitbrain_reports::record::Role;
use splitbrain_workloads::operation::{NodeId, Op, Outcome};
use thiserror::Error;

use self::clock::{ClockControl, NodeClock};
use crate::suite::target::{TargetKind, TargetSpec};

/// A target that cannot be used on this machine. The exit code is 4.
#[derive(Debug, Error)]
#[error("{what}\n  = help: {help}")]
pub struct Unusable {
    /// What is missing.
    pub what: String,
    /// The line that mends it.
    pub help: String,
}

/// How the nodes of a target learn where their peers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerStyle {
    /// Each node takes its own list of peers, so each directed dial gets its own proxy port.
    PerLink,
    /// Each node advertises one address to all, so a proxy asks the kernel who dialled.
    Advertised,
}

/// The addresses of one node.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// Whose.
    pub node: NodeId,
    /// Where it really listens for clients. The harness samples status here, past all proxies.
    pub client: SocketAddr,
    /// Where it really listens for peers.
    pub peer: SocketAddr,
    /// What it must dial to reach each peer: a proxy.
    pub dial: BTreeMap<NodeId, SocketAddr>,
    /// What it must tell its peers to dial: a proxy. Used with [`PeerStyle::Advertised`].
    pub advertised: Option<SocketAddr>,
}

/// The addresses of a [`Companion`], without any proxy.
#[derive(Clone, Copy, Debug)]
pub struct Beside {
    /// Where it listens for clients, which the nodes are.
    pub client: SocketAddr,
    /// Where it would listen for peers.
    pub peer: SocketAddr,
}

/// A cluster's addresses and the name that keeps it apart from all other clusters.
#[derive(Clone, Debug)]
pub struct Wiring {
    /// Unique per run: a node of a former run that is still alive must not be believed.
    pub token: String,
    /// By node, all of them.
    pub nodes: BTreeMap<NodeId, Endpoints>,
    /// Of the target's companion, if it has one.
    pub companion: Option<Beside>,
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// What it says it is.
    pub role: Role,
    /// The epoch it is in.
    pub epoch: u64,
    /// Whom it takes for the leader.
    pub leader: Option<NodeId>,
    /// Position up to which its state machine has applied.
    pub applied: u64,
    /// Position up to which it knows entries to be committed.
    pub committed: u64,
    /// The members that vote, and those that do not yet, as it knows them; empty where a target
    /// does not say.
    pub voters: Vec<NodeId>,
    /// See `voters`.
    pub learners: Vec<NodeId>,
}

/// A change of which nodes are the cluster, as an operator asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberChange {
    /// This node becomes a member.
    Add(NodeId),
    /// This one is none any more.
    Remove(NodeId),
}

/// A system under test.
#[async_trait]
pub trait Target: Send + Sync {
    /// Its name in suites and reports.
    fn name(&self) -> &'static str;

    /// How many nodes it is to have.
    fn nodes(&self) -> u16;

    /// How many more nodes may be started that are no members at first. They come after the
    /// others in number.
    fn spares(&self) -> u16 {
        0
    }

    /// What the suite set, for the report.
    fn settings(&self) -> BTreeMap<String, String>;

    /// The program of every node.
    fn program(&self) -> &Path;

    /// The version the program reports.
    fn version(&self) -> &str;

    /// How peers are found.
    fn peer_style(&self) -> PeerStyle;

    /// Whether, as it is set, it promises to serve as long as a majority of its nodes is up and
    /// connected, without anybody's help.
    fn promises_progress(&self) -> bool;

    /// The arguments that start one node on its data directory, the first time and every time
    /// after a kill.
    fn arguments(&self, node: NodeId, wiring: &Wiring, data: &Path) -> Vec<String>;

    /// The arguments that give a node a file layer which takes its orders from a folder; `None` when
    /// the target has no such layer.
    fn disk_layer(&self, _folder: &Path) -> Option<Vec<String>> {
        None
    }

    /// The arguments that give a node clocks which a file makes wrong; `None` when the target has no
    /// such clocks.
    fn clock_control(&self, _file: &Path) -> Option<Vec<String>> {
        None
    }

    /// The environment variables that let a file make a node's wall clock wrong, for one that is
    /// given no arguments for it; none by default.
    fn clock_environment(&self, _file: &Path) -> Vec<(String, String)> {
        Vec::new()
    }

    /// How that file says how wrong the clocks are.
    fn clock_words(&self, control: &ClockControl) -> String {
        control.words()
    }

    /// Why, as it is set, it cannot be put under a fault of this kind and form that its kind of
    /// target can be put under; `None` if it can.
    fn refuses(&self, _kind: &str, _form: &str) -> Option<String> {
        None
    }

    /// What one node says of its clocks, asked at its real port. Nothing by default.
    async fn clock(&self, _: &Wiring, _: NodeId, _limit: Duration) -> Option<NodeClock> {
        None
    }

    /// Environment variables of every node.
    fn environment(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// The process that its nodes need beside them; none by default.
    fn companion(&self) -> Option<&dyn Companion> {
        None
    }

    /// What one node says of itself, asked at its real port; `None` when it does not answer
    /// within `limit`.
    async fn status(&self, wiring: &Wiring, node: NodeId, limit: Duration) -> Option<NodeStatus>;

    /// Tells one node to lead, at its real port. Nothing by default: a target that cannot refuses
    /// the fault in its [`TargetKind`].
    async fn promote(&self, _wiring: &Wiring, _node: NodeId, _limit: Duration) {}

    /// Asks one node for a change of the members, at its real port. Nothing by default, as above.
    async fn change_members(
        &self,
        _wiring: &Wiring,
        _via: NodeId,
        _change: MemberChange,
        _limit: Duration,
    ) {
    }

    /// A client that talks to one node through the given address, a proxy, and gives up after
    /// `limit`.
    fn client(&self, address: SocketAddr, limit: Duration) -> Box<dyn Client>;

    /// Whether its nodes answer who leads instead of passing requests on. Then clients get a lane
    /// to every node.
    fn redirects(&self) -> bool {
        false
    }

    /// The same as [`client`](Target::client), with the addresses of the other nodes for one that
    /// follows redirects: one hop, since who redirects has done nothing.
    fn redirected_client(
        &self,
        address: SocketAddr,
        _others: &BTreeMap<NodeId, SocketAddr>,
        limit: Duration,
    ) -> Box<dyn Client> {
        self.client(address, limit)
    }
}

/// A process that the nodes of a target need beside them, such as a lock service. It serves before
/// they start and ends with them. It is no part of the cluster: no fault touches it, and its links
/// have no proxies.
#[async_trait]
pub trait Companion: Send + Sync {
    /// Its program.
    fn program(&self) -> &Path;

    /// The arguments that start it on its data directory, for the cluster of this name.
    fn arguments(&self, beside: &Beside, token: &str, data: &Path) -> Vec<String>;

    /// Whether it does its work for whoever asks now; `false` when it does not say so within
    /// `limit`.
    async fn serves(&self, beside: &Beside, limit: Duration) -> bool;
}

/// A connection of one logical client to one node.
#[async_trait]
pub trait Client: Send {
    /// Carries out one operation and says how it ended. Never retries: every end that is not
    /// certain is [`Outcome::Info`].
    async fn call(&mut self, op: &Op) -> Outcome;

    /// How far it has seen, in the target's own words, if it keeps count for session reads.
    fn seen(&self) -> Option<String> {
        None
    }

    /// It goes on for a client that has seen so much.
    fn goes_on_from(&mut self, _seen: Option<String>) {}
}

/// Makes the two functions over all targets from one line per target: its module, which offers
/// `kind()` and `open(&TargetSpec)`, and its name in suites.
macro_rules! registry {
    ($($module:ident = $name:literal),+ $(,)?) => {
        /// What suites may say of each target, and what each can do.
        ///
        /// # Errors
        ///
        /// [`Unusable`] when a target cannot say what it accepts.
        pub fn kinds() -> Result<Vec<TargetKind>, Unusable> {
            Ok(vec![$($module::kind($name)?),+])
        }

        /// Makes ready the target of a suite: finds its program and asks for its version.
        ///
        /// # Errors
        ///
        /// [`Unusable`] when the program is missing or does not run.
        pub fn open(spec: &TargetSpec) -> Result<Arc<dyn Target>, Unusable> {
            match spec.kind.as_str() {
                $($name => Ok(Arc::new($module::open(spec)?)),)+
                other => Err(Unusable {
                    what: format!("no target is called {other}"),
                    help: "splitbrain list targets".to_string(),
                }),
            }
        }
    };
}

registry! {
    store = "store",
    etcd = "etcd",
}

/// Searches the directories of `PATH` for a program.
fn find_on_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}
