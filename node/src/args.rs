//! The command line of a node, for `splitbrain-node` and for `splitbrain node`.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use reqwest::Url;

use crate::config::{Election, Settings, describe, prediction};
use crate::disk::{self, EXIT_DISK_FAILED};
use crate::lock_service::Kind;
use crate::log::Identity;
use crate::peer::Peer;
use crate::protocol::{MEMBERS_MAX, NodeId, Plant, Plants, Point};
use crate::recording;
use crate::replay::replay;
use crate::runtime::{NodeConfig, cluster_number, serve};

/// One node of the built-in store.
///
/// A cluster of one:
///
///   splitbrain-node --id n1 --data-dir d1 --client-listen 127.0.0.1:7001
///   curl -X PUT 127.0.0.1:7001/kv/color -d '{"value":"blue"}'
#[derive(Args, Clone, Debug)]
#[command(verbatim_doc_comment)]
pub struct NodeArgs {
    /// Name of this node: n1, n2, ...
    #[arg(long, value_name = "NODE", required_unless_present_any = ["describe", "predict", "replay_inputs"])]
    id: Option<NodeId>,

    /// Name of the cluster; nodes and data directories of another one are refused
    #[arg(long, value_name = "TEXT", default_value = "splitbrain")]
    cluster: String,

    /// Where the node keeps its log, created when missing
    #[arg(long, value_name = "DIR", required_unless_present_any = ["describe", "predict", "replay_inputs"])]
    data_dir: Option<PathBuf>,

    /// Where clients reach the node over HTTP
    #[arg(long, value_name = "ADDRESS",
          required_unless_present_any = ["describe", "predict", "replay_inputs", "replay_to"])]
    client_listen: Option<SocketAddr>,

    /// Where clients are told to reach this node when another one redirects them to it
    #[arg(long, value_name = "ADDRESS", default_value = None)]
    client_advertise: Option<SocketAddr>,

    /// Where other nodes reach it; not needed in a cluster of one
    #[arg(long, value_name = "ADDRESS")]
    peer_listen: Option<SocketAddr>,

    /// Another node and where to dial it, such as n2=127.0.0.1:7102; once for each
    #[arg(long = "peer", value_name = "NODE=ADDRESS")]
    peers: Vec<PeerArg>,

    /// Where other nodes are told to dial this one, if nobody told them anything else
    #[arg(long, value_name = "ADDRESS")]
    peer_advertise: Option<SocketAddr>,

    /// Dial this node there, whatever its address is to others: a proxy stands between
    #[arg(long = "dial", value_name = "NODE=ADDRESS")]
    dial: Vec<PeerArg>,

    /// Found no cluster: wait until POST /members adds this node to one that exists
    #[arg(long)]
    join: bool,

    /// Which row of protections to start from: raft, async, ... (see --describe)
    #[arg(long, value_name = "NAME", default_value = "raft")]
    profile: String,

    /// Override one protection of the profile, such as fencing=off; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    overrides: Vec<String>,

    /// Break one protection in its code, so that a judge can be tested; may be repeated
    #[arg(long = "plant", value_name = "NAME")]
    plants: Vec<Plant>,

    /// Where the lock service of election=lease can be reached, such as http://127.0.0.1:7001; may
    /// be repeated
    #[arg(long, value_name = "URL")]
    lock_service: Vec<Url>,

    /// What kind of lock service that is: store (a cluster of this store) or etcd
    #[arg(long, value_name = "KIND", default_value = "store", requires = "lock_service")]
    lock_service_kind: Kind,

    /// Write down all that the protocol core is fed and does, in DATA_DIR/recordings, a file a life
    #[arg(long)]
    record_inputs: bool,

    /// Read from a file, before every look at a clock, how wrong it is
    #[arg(long, value_name = "FILE", hide = true)]
    clock_control: Option<PathBuf>,

    /// Take orders to fail as a disk does, from a folder; on one data directory always or never
    #[arg(long, value_name = "DIR", hide = true)]
    disk_faults: Option<PathBuf>,

    /// Feed a recording to a fresh core, which must do the same byte for byte, and exit
    #[arg(long, value_name = "FILE")]
    replay_inputs: Option<PathBuf>,

    /// Allow addresses beyond this machine. There is no encryption and no authentication
    #[arg(long)]
    allow_remote: bool,

    /// Start nothing: print as JSON what the log in --data-dir comes to at a point, which is an
    /// index, a GTID such as n1@3:17, a time such as 2026-11-21T15:04:05Z (without what was
    /// written later) or `end`. Nothing in the folder changes
    #[arg(long, value_name = "POINT")]
    replay_to: Option<Point>,

    /// With --replay-to: write that state as a new data directory of this node
    #[arg(long, value_name = "DIR", requires = "replay_to")]
    into: Option<PathBuf>,

    /// Start nothing: print as JSON what may go wrong with these settings in a cluster of so many
    /// nodes, or refuse them with the reason
    #[arg(long, value_name = "NODES")]
    predict: Option<u16>,

    /// Print every profile, switch and plant as JSON and exit
    #[arg(long)]
    describe: bool,
}

/// `n2=127.0.0.1:7102`
#[derive(Clone, Copy, Debug)]
struct PeerArg(Peer);

impl FromStr for PeerArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (node, address) =
            text.split_once('=').ok_or_else(|| format!("expected NODE=ADDRESS, got \"{text}\""))?;
        let address = address.parse().map_err(|_| {
            format!("expected an address such as 127.0.0.1:7102 behind \"=\", got \"{address}\"")
        })?;
        Ok(PeerArg(Peer { node: node.parse()?, address }))
    }
}

/// Runs a node until it is told to stop, or prints the description. Blocks; builds its own
/// runtime. Exit codes: 0 after SIGTERM or SIGINT, 2 when the configuration is refused, 1 when the
/// node cannot start or go on, [`EXIT_DISK_FAILED`] when its disk failed while it ran.
pub fn run(args: NodeArgs) -> ExitCode {
    if args.describe {
        print(&format!("{:#}", describe()));
        return ExitCode::SUCCESS;
    }
    if let Some(nodes) = args.predict {
        return predicted(&args.profile, &args.overrides, nodes);
    }
    log_to_stderr();
    if let Some(path) = &args.replay_inputs {
        return replayed(path);
    }
    if let Some(point) = args.replay_to {
        return match args.replay(point) {
            Ok(report) => {
                print(&format!("{report:#}"));
                ExitCode::SUCCESS
            }
            Err(error) => {
                tracing::error!("cannot replay: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
    let config = match args.check() {
        Ok(config) => config,
        Err(error) => {
            tracing::error!("refused to start: {error:#}");
            return ExitCode::from(2);
        }
    };
    match run_to_end(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if error.is::<disk::Failed>() {
                let help = "free space or replace the disk, then start the node again";
                tracing::error!("stopped: {error:#}; help: {help}");
                return ExitCode::from(EXIT_DISK_FAILED);
            }
            tracing::error!("stopped: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints what settings may show, or, without decoration, why they are refused.
#[expect(clippy::print_stderr, reason = "this is the command's output")]
fn predicted(profile: &str, overrides: &[String], nodes: u16) -> ExitCode {
    match prediction(profile, overrides, nodes) {
        Ok(prediction) => {
            print(&format!("{prediction:#}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Prints a line on stdout. A reader that has gone away, such as `head`, has seen enough.
fn print(line: &str) {
    use std::io::Write;
    writeln!(std::io::stdout().lock(), "{line}").ok();
}

fn replayed(path: &Path) -> ExitCode {
    match recording::replay(path) {
        Ok(replayed) => {
            print(&replayed.to_string());
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!("not the same: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_to_end(config: NodeConfig) -> Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(serve(config))
}

/// One line per event, with the wall clock as a label.
fn log_to_stderr() {
    // Whoever linked the node may have set up its own log.
    let _ = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .try_init();
}

impl NodeArgs {
    fn replay(self, point: Point) -> Result<serde_json::Value> {
        let id = self.id.context("--id: expected a node such as n1, got nothing")?;
        let data_dir = self.data_dir.context("--data-dir: expected a folder, got nothing")?;
        let identity = Identity { cluster: cluster_number(&self.cluster), node: id.0 };
        replay(&data_dir, identity, point, self.into.as_deref())
    }

    fn check(self) -> Result<NodeConfig> {
        let mut settings = Settings::resolve(&self.profile, &self.overrides)?;
        settings.plants = self.plants.into_iter().fold(Plants::NONE, Plants::with);
        let id = self.id.context("--id: expected a node such as n1, got nothing")?;
        let data_dir = self.data_dir.context("--data-dir: expected a folder, got nothing")?;
        let client_listen =
            self.client_listen.context("--client-listen: expected an address, got nothing")?;
        let peers: Vec<Peer> = self.peers.into_iter().map(|PeerArg(peer)| peer).collect();
        let peer_listen = match self.peer_listen {
            Some(address) => address,
            // Nobody will dial it.
            None if peers.is_empty() && !self.join => SocketAddr::from(([127, 0, 0, 1], 0)),
            None => bail!("--peer-listen: expected an address, since there are peers or will be"),
        };
        ensure!(
            peers.len() < MEMBERS_MAX,
            "--peer: expected at most {} peers, got {}",
            MEMBERS_MAX - 1,
            peers.len()
        );
        for (at, peer) in peers.iter().enumerate() {
            let node = peer.node;
            ensure!(node != id, "--peer: {node} is this node; help: name the others only");
            let twice = peers[..at].iter().any(|other| other.node == node);
            ensure!(!twice, "--peer: {node} is given twice");
        }
        let nodes: Vec<u16> = peers.iter().map(|peer| peer.node.0).chain([id.0]).collect();
        if !self.join {
            settings.check_cluster(&nodes)?;
        }
        let dial: Vec<Peer> = self.dial.into_iter().map(|PeerArg(peer)| peer).collect();
        let peer_advertise = self.peer_advertise.unwrap_or(peer_listen);
        let addresses = peers.iter().chain(&dial).map(|peer| peer.address);
        for address in addresses.chain([client_listen, peer_listen, peer_advertise]) {
            ensure!(
                self.allow_remote || address.ip().is_loopback(),
                "{address}: expected a loopback address, because there is no encryption and no \
                 authentication; help: --allow-remote"
            );
        }
        let leases = settings.election == Election::Lease;
        ensure!(
            !leases || !self.lock_service.is_empty(),
            "--lock-service: expected an address, since election=lease"
        );
        ensure!(
            leases || self.lock_service.is_empty(),
            "--lock-service: nobody would ask it; help: set election=lease"
        );
        for url in &self.lock_service {
            let usable = url.scheme() == "http" && url.host_str().is_some();
            ensure!(usable, "--lock-service {url}: expected such as http://127.0.0.1:7001");
            ensure!(
                self.allow_remote || is_loopback(url),
                "--lock-service {url}: expected a loopback address, because there is no \
                 encryption and no authentication; help: --allow-remote"
            );
        }
        let lock_service = leases.then_some((self.lock_service_kind, self.lock_service));
        let (cluster, profile) = (self.cluster, self.profile);
        Ok(NodeConfig {
            id,
            cluster,
            data_dir,
            client_listen,
            client_advertise: self.client_advertise.unwrap_or(client_listen),
            peer_listen,
            peer_advertise,
            peers,
            join: self.join,
            dial,
            allow_remote: self.allow_remote,
            profile,
            settings,
            lock_service,
            record_inputs: self.record_inputs,
            clock_control: self.clock_control,
            disk_faults: self.disk_faults,
        })
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
