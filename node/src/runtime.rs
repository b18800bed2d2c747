//! Where effects become I/O: one task feeds the core from sockets, log, clients and the clock, and
//! carries out what it says, in order.
//!
//! A node is one thread for everything but the disk, and the log's writer thread. Inputs that have
//! gathered while the last batch was handled are handled together, so that under load one frame
//! per follower and one write to the log carry many requests. While somebody waits for this node it
//! looks for news a moment longer before it sleeps, since to be woken costs more than what it does.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use rustc_hash::FxHashMap;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{LocalSet, yield_now};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::api::{self, Job, Shared};
use crate::archive::Archive;
use crate::clock::Clock;
use crate::config::{self, Settings};
use crate::disk::{self, Disk};
use crate::fnv::fnv1a;
use crate::lock_service::{Kind, LockService};
use crate::log::{self, Identity, Options, Record, Writer};
use crate::peer::{Directions, Hello, Introductions, Links, Peer, Pulses, listen};
use crate::protocol::{
    Core, Effect, Input, LockAsk, NodeId, Note, Outcome, Remembered, Report, RequestId, Saved,
    Token,
};
use crate::recording::{Found, Recorded, Recorder};
use crate::snapshot_file::{SnapshotFile, Written};

/// Everything a node needs to know to run.
#[derive(Debug)]
pub(crate) struct NodeConfig {
    pub(crate) id: NodeId,
    pub(crate) cluster: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) client_listen: std::net::SocketAddr,
    /// Where clients are told to reach this node.
    pub(crate) client_advertise: std::net::SocketAddr,
    pub(crate) peer_listen: std::net::SocketAddr,
    /// Where nodes are told to dial this one, if they were told nothing else.
    pub(crate) peer_advertise: std::net::SocketAddr,
    /// The other founders; of a node that joins, nodes that it may have to dial.
    pub(crate) peers: Vec<Peer>,
    /// Whether it waits to be added to a cluster that exists.
    pub(crate) join: bool,
    /// Where to dial nodes, whatever anybody else says of them.
    pub(crate) dial: Vec<Peer>,
    /// Whether a member may be beyond this machine.
    pub(crate) allow_remote: bool,
    pub(crate) profile: String,
    pub(crate) settings: Settings,
    /// With `election=lease`: how to speak to the lock service, and where it is.
    pub(crate) lock_service: Option<(Kind, Vec<reqwest::Url>)>,
    /// Where the clocks are told how to be wrong (`clock`), if they are to.
    pub(crate) clock_control: Option<PathBuf>,
    /// Where the disk takes orders to fail (`disk`), if it is to.
    pub(crate) disk_faults: Option<PathBuf>,
    /// Whether everything the core is fed and does is written down (`recording`).
    pub(crate) record_inputs: bool,
}

/// Messages from peers that wait for the core. A full inbox holds up the sockets, and so the
/// senders, instead of filling memory.
const INBOX: usize = 1024;

/// Most inputs of one kind in one batch, so that a flood of one kind does not starve the others.
const BATCH: usize = 1024;

/// How long a node that owes an answer looks for news before it sleeps: about what the sync of a good
/// disk takes, so that the next step of a write finds it awake. To be woken costs more than a step
/// itself, most of all where a virtual machine has to wake a processor first. Other work of the
/// machine goes first at each look, so that on a busy one a single look uses the span up.
const LOOK_FOR: Duration = Duration::from_micros(200);

/// Runs a node until it is told to stop or cannot go on.
pub(crate) async fn serve(config: NodeConfig) -> Result<()> {
    LocalSet::new().run_until(serve_locally(config)).await
}

async fn serve_locally(config: NodeConfig) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot await SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot await SIGINT")?;
    // With a handler a write beyond the limit of file sizes is an error that can be told, and not the
    // end of the process without a word.
    let _too_large = signal(SignalKind::from_raw(Signal::SIGXFSZ as i32));
    let api_listener = bind("client-listen", config.client_listen).await?;
    let peer_listener = bind("peer-listen", config.peer_listen).await?;

    let (node, shared) = Node::open(&config)?;
    let inbox = node.inbox.clone();
    let introductions = Arc::clone(&shared.introductions);
    let cluster = cluster_number(&config.cluster);
    let pulses = node.pulses.clone();
    tokio::task::spawn_local(listen(
        peer_listener,
        cluster,
        config.id,
        inbox,
        introductions,
        pulses,
    ));
    let api = axum::serve(NoDelay(api_listener), api::router(shared));
    info!(
        "{} serves clients at {} with profile {}",
        config.id, config.client_listen, config.profile
    );
    for row in config.settings.plants.rows() {
        warn!("PLANTED BUG {}: {}; this node is broken on purpose", row.name, row.meaning);
    }
    let told = tokio::select! {
        result = api.into_future() => return result.context("the client API ended"),
        result = node.run() => return result,
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    info!("stopping: {told}");
    Ok(())
}

async fn bind(what: &str, address: std::net::SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("--{what} {address}: cannot listen; help: is it in use?"))
}

/// Answers are small and somebody waits for each, so they are never held back to be gathered.
struct NoDelay(TcpListener);

impl axum::serve::Listener for NoDelay {
    type Io = tokio::net::TcpStream;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = axum::serve::Listener::accept(&mut self.0).await;
        // A connection that is closed already refuses; its next read says so.
        let _ = stream.set_nodelay(true);
        (stream, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// The core with everything it acts on.
struct Node {
    core: Recorded,
    clock: Arc<Clock>,
    writer: Writer,
    written: Marks,
    /// What was submitted to the log and is not on disk yet.
    unflushed: usize,
    snapshots: SnapshotFile,
    archive: Archive,
    links: Links,
    pulses: Pulses,
    lock_service: Option<Rc<LockService>>,
    shared: Arc<Shared>,
    /// Clients that wait, by the number the core knows them by.
    clients: FxHashMap<RequestId, oneshot::Sender<Outcome>>,
    next_client: RequestId,
    inbox: mpsc::Sender<Input>,
    inputs: mpsc::Receiver<Input>,
    jobs: mpsc::UnboundedReceiver<Job>,
    flushed: mpsc::UnboundedReceiver<Token>,
    saved: mpsc::UnboundedReceiver<Written>,
}

impl Node {
    /// Reads the data directory and starts the links.
    fn open(config: &NodeConfig) -> Result<(Node, Arc<Shared>)> {
        let cluster = cluster_number(&config.cluster);
        let identity = Identity { cluster, node: config.id.0 };
        let disk = match &config.disk_faults {
            None => Disk::sound(&config.data_dir)?,
            Some(orders) => Disk::faulty(orders, &config.data_dir)?,
        };
        let (saved_sender, saved) = mpsc::unbounded_channel();
        let (snapshots, saved_before) =
            SnapshotFile::open(&disk, &config.data_dir, identity, saved_sender)?;
        let OpenLog { writer, written, remembered, found, flushed } =
            open_log(config, &disk, identity, saved_before)?;
        let archive = Archive::open(&disk, &config.data_dir.join("lost+found"))?;
        info!(
            "{} remembers {} entries, {} of them as a snapshot, {} more are archived in lost+found",
            config.id,
            remembered.last_index(),
            remembered.snapshot_index(),
            archive.entries()
        );
        let clock = Arc::new(Clock::start(config.clock_control.as_deref())?);
        let (inbox, inputs) = mpsc::channel(INBOX);
        let introductions = Arc::<Introductions>::default();
        let pulses = Pulses::default();
        let links = links(config, cluster, (&introductions, &pulses), &inbox);
        let founders = config.peers.iter().map(|peer| peer.node);
        let founders = (!config.join).then(|| founders.collect::<Vec<NodeId>>());
        let settings = config.settings.clone();
        let entropy = entropy()?;
        let recorder = found.map(|found| {
            let folder = config.data_dir.join("recordings");
            let (nodes, settings) =
                ((config.id, founders.as_deref()), (&*config.profile, &settings));
            Recorder::create(&folder, nodes, settings, entropy, found)
        });
        let recorder = recorder.transpose()?;
        let core = begin(config.id, founders, settings, remembered, entropy);
        let core = Recorded::new(core, recorder);
        let (job_sender, jobs) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            view: Mutex::new(core.view()),
            clock: Arc::clone(&clock),
            cluster: config.cluster.clone(),
            profile: config.profile.clone(),
            settings: config.settings.values(),
            plants: config.settings.plants,
            links: links.states(),
            introductions,
            allow_remote: config.allow_remote,
            flushes: Default::default(),
            archived_before: archive.entries(),
            jobs: job_sender,
            in_flight: Default::default(),
        });
        let node = Node {
            core,
            clock,
            writer,
            written,
            unflushed: 0,
            snapshots,
            archive,
            links,
            pulses,
            lock_service: open_lock_service(config)?,
            shared: Arc::clone(&shared),
            clients: FxHashMap::default(),
            next_client: 0,
            inbox,
            inputs,
            jobs,
            flushed,
            saved,
        };
        Ok((node, shared))
    }

    /// Handles batches of inputs for ever, or until something on disk fails.
    async fn run(mut self) -> Result<()> {
        let (mut inputs, mut jobs, mut flushed) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            self.look_for_news().await;
            let timer = sleep(self.clock.until(self.core.next_timer())?);
            // Messages come before the timer: a leader that was heard is not suspected.
            tokio::select! {
                biased;
                count = self.inputs.recv_many(&mut inputs, BATCH) => {
                    anyhow::ensure!(count > 0, "the links to other nodes have ended");
                }
                count = self.flushed.recv_many(&mut flushed, BATCH) => {
                    anyhow::ensure!(count > 0, "the log's writer has ended");
                }
                count = self.jobs.recv_many(&mut jobs, BATCH) => {
                    anyhow::ensure!(count > 0, "the client API has ended");
                }
                saved = self.saved.recv() => {
                    let saved = saved.context("the thread that saves snapshots has ended")?;
                    inputs.push(what_was_saved(saved)?);
                }
                () = timer => {}
            }
            gather(&mut self.inputs, &mut inputs);
            // There may always be something else to do, and a failure ends the node at once.
            while let Ok(saved) = self.saved.try_recv() {
                inputs.push(what_was_saved(saved)?);
            }
            while flushed.len() < BATCH
                && let Ok(token) = self.flushed.try_recv()
            {
                flushed.push(token);
            }
            while jobs.len() < BATCH
                && let Ok(job) = self.jobs.try_recv()
            {
                jobs.push(job);
            }
            self.handle(&mut inputs, &mut jobs, &mut flushed)?;
        }
    }

    /// Busy polling (as `SO_BUSY_POLL` in socket(7) does for one socket): returns when there is
    /// something to handle, when [`LOOK_FOR`] is over, and at once if nobody waits for this node: no
    /// client for an answer, no peer for what is being synced.
    async fn look_for_news(&self) {
        let owes = !self.clients.is_empty() || self.unflushed > 0;
        let began = Instant::now();
        while owes && began.elapsed() < LOOK_FOR {
            // The links write what they were given, the sockets are read.
            yield_now().await;
            if !(self.inputs.is_empty() && self.flushed.is_empty() && self.jobs.is_empty()) {
                return;
            }
            // Other threads come first, the log's writer among them.
            thread::yield_now();
        }
    }

    fn handle(
        &mut self,
        inputs: &mut Vec<Input>,
        jobs: &mut Vec<Job>,
        flushed: &mut Vec<Token>,
    ) -> Result<()> {
        // Read after everything in the batch has arrived: a lease that holds at this moment held
        // while each request in the batch was waiting (`protocol/read_lease.rs`).
        let now = self.clock.now()?;
        self.core.step(now, Input::Clock(self.clock.wall()));
        for input in inputs.drain(..) {
            self.core.step(now, input);
        }
        self.unflushed -= flushed.len();
        self.shared.flushes.fetch_add(flushed.len() as u64, Relaxed);
        for token in flushed.drain(..) {
            self.core.step(now, Input::Flushed(token));
        }
        for Job { request, patience, outcome } in jobs.drain(..) {
            let id = self.next_client;
            self.next_client += 1;
            self.clients.insert(id, outcome);
            self.core.step(now, Input::Request { id, request, deadline: now + patience });
        }
        if now >= self.core.next_timer() {
            self.core.step(now, Input::Tick);
            self.clients.retain(|_, outcome| !outcome.is_closed());
        }
        // A forward that cannot be sent is an input again; it has no effects but a reply.
        let mut effects = self.core.finish(now)?;
        while !effects.is_empty() {
            for unsent in self.carry_out(effects)? {
                self.core.step(now, Input::Unsent(unsent));
            }
            effects = self.core.finish(now)?;
        }
        *self.shared.view() = self.core.view();
        Ok(())
    }

    /// Asks beside everything else; the answer is an input like any other.
    fn ask_lock_service(&self, number: u64, ask: LockAsk) {
        let Some(service) = self.lock_service.clone() else { return };
        let inbox = self.inbox.clone();
        tokio::task::spawn_local(async move {
            let answer = service.ask(ask).await;
            // When the core is gone the process is ending.
            let _ = inbox.send(Input::Lock { number, answer }).await;
        });
    }

    /// Does what the core says, in its order. Returns the forwards that were not sent.
    fn carry_out(&mut self, effects: Vec<Effect>) -> Result<Vec<RequestId>> {
        let mut unsent = Vec::new();
        for effect in effects {
            match effect {
                Effect::Send { to, message } => {
                    unsent.extend(self.links.send(to, &message));
                }
                Effect::Persist { notes, token } => {
                    self.written.note(&notes);
                    let records = notes.iter().map(record).collect();
                    self.writer.submit(records, log::Token(token.0));
                    self.unflushed += 1;
                }
                Effect::Archive { entries, committed, upstream } => {
                    let kept = self.archive.keep(&entries, committed, upstream);
                    kept.context(disk::Failed("keep what is cut"))?;
                }
                Effect::Save { number, snapshot, received, at_once } => {
                    let taken = self.snapshots.save(number, snapshot, received, at_once);
                    if taken.is_err() {
                        // What ended the thread says more than that it has ended.
                        while let Ok(earlier) = self.saved.try_recv() {
                            what_was_saved(earlier)?;
                        }
                    }
                    taken?;
                }
                Effect::Purge { upto } => {
                    if let Some(records) = self.written.upto(upto) {
                        self.writer.purge(records);
                    }
                }
                Effect::Reply { id, outcome } => {
                    if let Some(client) = self.clients.remove(&id) {
                        // The client may have given up.
                        let _ = client.send(outcome);
                    }
                }
                Effect::Lock { number, ask } => self.ask_lock_service(number, ask),
                Effect::Members(members) => self.links.follow(members),
                Effect::Report(report) => print(&report),
            }
        }
        Ok(unsent)
    }
}

fn gather(receiver: &mut mpsc::Receiver<Input>, inputs: &mut Vec<Input>) {
    while inputs.len() < BATCH
        && let Ok(input) = receiver.try_recv()
    {
        inputs.push(input);
    }
}

/// A snapshot is on disk, or the disk has failed.
fn what_was_saved(saved: Written) -> Result<Input> {
    let (number, bytes) = saved.context(disk::Failed("save a snapshot"))?;
    Ok(Input::Saved { number, bytes })
}

/// Which entries stand in how many records from the first on: what may be purged with which
/// entry. The log knows records, the core knows entries.
#[derive(Debug, Default)]
struct Marks {
    /// How many records were found and submitted.
    records: u64,
    /// The greatest index of any entry in them.
    greatest: u64,
    /// The two numbers now and then, oldest first.
    marks: VecDeque<(u64, u64)>,
}

/// Records from one mark to the next. A segment holds thousands, so finer ones are of no use.
const MARK_EVERY: u64 = 256;

impl Marks {
    /// Notes are submitted, or were found.
    fn note(&mut self, notes: &[Note]) {
        for note in notes {
            if let Note::Entry(entry) = note {
                self.greatest = self.greatest.max(entry.id.index);
            }
        }
        self.records += notes.len() as u64;
        let last = self.marks.back().map_or(0, |(_, records)| *records);
        if self.records >= last + MARK_EVERY {
            self.marks.push_back((self.greatest, self.records));
        }
    }

    /// How many records from the first on hold no entry beyond an index, as far as is known.
    fn upto(&mut self, index: u64) -> Option<u64> {
        let count = self.marks.partition_point(|(greatest, _)| *greatest <= index);
        self.marks.drain(..count).next_back().map(|(_, records)| records)
    }
}

/// The log as it was found, ready to be written.
struct OpenLog {
    writer: Writer,
    written: Marks,
    remembered: Remembered,
    /// The same as bytes, if the node is recorded.
    found: Option<Found>,
    flushed: mpsc::UnboundedReceiver<Token>,
}

fn open_log(config: &NodeConfig, disk: &Disk, identity: Identity, saved: Saved) -> Result<OpenLog> {
    let fsync = match config.settings.fsync {
        config::Fsync::Always => log::Fsync::Always,
        config::Fsync::Interval(span) => log::Fsync::Interval(span),
        config::Fsync::Never => log::Fsync::Never,
    };
    let dir = config.data_dir.join("log");
    let options = Options { fsync, plants: config.settings.plants, ..Options::default() };
    let (log, recovered) = log::open_on(disk, &dir, identity, &options)?;
    if recovered.torn_bytes > 0 {
        warn!("the log had a torn tail of {} bytes, which was cut", recovered.torn_bytes);
    }
    for path in &recovered.loose {
        warn!(
            "the log had a hole in what was never synced (fsync={:?}): it was cut there, and what \
             stood behind the hole is kept in {}",
            config.settings.fsync,
            path.display()
        );
    }
    // A snapshot is synced always, the log not: one that the log has lost what leads to stands by
    // itself, and the log begins anew behind it.
    let saved = Saved { received: saved.received || fsync != log::Fsync::Always, ..saved };
    let notes: Result<Vec<Note>, _> = recovered
        .records
        .iter()
        .enumerate()
        .map(|(at, record)| Note::decode(at, record.kind, &record.payload))
        .collect();
    let context = || format!("cannot replay the log in {}", dir.display());
    let notes = notes.with_context(context)?;
    let mut written = Marks::default();
    notes.chunks(MARK_EVERY as usize).for_each(|notes| written.note(notes));
    let found = config.record_inputs.then(|| Found::new(&saved, recovered.purged, &notes));
    let remembered = Remembered::replay(saved, recovered.purged, notes).with_context(context)?;
    let (sender, flushed) = mpsc::unbounded_channel();
    let writer = Writer::spawn(log, move |token| {
        // When the core is gone the process is ending.
        let _ = sender.send(Token(token.0));
    });
    Ok(OpenLog { writer, written, remembered, found, flushed })
}

fn links(
    config: &NodeConfig,
    cluster: u64,
    (introductions, pulses): (&Arc<Introductions>, &Pulses),
    inbox: &mpsc::Sender<Input>,
) -> Links {
    let hello = Hello::of(cluster, config.id, config.client_advertise, config.peer_advertise);
    let by_node = |peers: &[Peer]| peers.iter().map(|peer| (peer.node, peer.address)).collect();
    let directions = Directions {
        dial: by_node(&config.dial),
        peers: by_node(&config.peers),
        introductions: Arc::clone(introductions),
    };
    Links::new(hello, directions, inbox.clone(), pulses.clone())
}

/// A core at the beginning of a life: of a cluster with these others, or of one that it joins.
pub(crate) fn begin(
    me: NodeId,
    founders: Option<Vec<NodeId>>,
    settings: Settings,
    remembered: Remembered,
    entropy: u64,
) -> Core {
    let joins = founders.is_none();
    let others = founders.unwrap_or_default();
    let core = Core::new(me, others, settings, remembered, entropy, Duration::ZERO);
    if joins { core.joining() } else { core }
}

fn open_lock_service(config: &NodeConfig) -> Result<Option<Rc<LockService>>> {
    let Some((kind, bases)) = &config.lock_service else { return Ok(None) };
    // The name of this life, so that no token passes a restart.
    let holder = format!("{}/{:016x}", config.id, entropy()?);
    let ttl = config.settings.lock_ttl;
    let service = LockService::new(*kind, bases.clone(), &config.cluster, holder, ttl)?;
    Ok(Some(Rc::new(service)))
}

fn record(note: &Note) -> Record {
    let (kind, payload) = note.encode();
    Record { kind, payload }
}

/// The number of a cluster's name, which is written into every log.
pub(crate) fn cluster_number(name: &str) -> u64 {
    fnv1a(name.as_bytes())
}

fn entropy() -> Result<u64> {
    let mut bytes = [0; 8];
    let mut random = std::fs::File::open("/dev/urandom").context("cannot open /dev/urandom")?;
    io::Read::read_exact(&mut random, &mut bytes).context("cannot read /dev/urandom")?;
    Ok(u64::from_le_bytes(bytes))
}

fn print(report: &Report) {
    match report {
        Report::Leads(claim) => info!("leads in epoch {}", claim.epoch),
        Report::Follows(claim) => info!("follows {} in epoch {}", claim.leader, claim.epoch),
        Report::StepsDown { claim, why } => info!("no longer leads epoch {}: {why}", claim.epoch),
        Report::Outranked { own, by } => {
            warn!("leads epoch {} and has met {by}: goes on serving until it gives way", own.epoch)
        }
        Report::Suspects(Some(claim)) => info!("misses its leader {}", claim.leader),
        Report::Suspects(None) => info!("misses a leader"),
        Report::Truncated { after, entries, committed } => warn!(
            "TRUNCATED: cut {entries} entries after entry {after}, {committed} of them committed \
             here; they are archived in lost+found"
        ),
        Report::GoesAlone => warn!("no follower confirms in time: acknowledges alone"),
        Report::WaitsAgain => info!("followers have caught up: waits for them again"),
        Report::InSync(node) => info!("{node} keeps up again and is in the in-sync set"),
        Report::FellBehind(node) => warn!("{node} fell behind and out of the in-sync set"),
        Report::StaleToken { token, epoch } => warn!(
            "gives back the lock: its token {token} is not greater than epoch {epoch}; was the \
             lock service replaced?"
        ),
        Report::SharedEpoch(one, other) => warn!("two leaders share an epoch: {one}, {other}"),
        Report::Saved(last, bytes) => info!("saved a snapshot of {bytes} bytes up to {last}"),
        Report::CatchesUp(node, lacks) => info!("{node} lacks {lacks}, which the log has"),
        Report::Sends { last, to, bytes } => {
            info!("sends {to} a snapshot of {bytes} bytes up to {last}");
        }
        Report::Installed(last) => info!("its log begins anew behind a snapshot up to {last}"),
        Report::Votes => info!("votes from now on"),
        Report::Learns(node) => info!("{node} is new or has another disk: it learns"),
        Report::Admits(node) => info!("{node} has caught up and counts"),
        Report::Seats(node) => info!("{node} has caught up and is made a voter"),
        Report::Removed(index) => warn!("is told that entry {index} has removed it"),
        Report::Damaged(last) => warn!("was sent a damaged snapshot up to {last}: begins again"),
        Report::TooLarge { last, bytes } => {
            warn!("does not accept a snapshot of {bytes} bytes up to {last}: it is too large");
        }
    }
}
