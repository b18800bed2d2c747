//! A run, from start to end: one cluster, one workload, one plan.
//!
//! ```text
//! start -> ready -> [ clients + nemesis ] -> close clients -> heal -> quiesce -> final reads
//!                        (watched; stopped early if that is asked and something is proven)
//! ```
//!
//! [`conduct`] goes through the phases and leaves files; it judges nothing. What comes of the
//! files is `examine`'s work, so a run that was cut short is judged by what it left.

pub mod attempt;
pub mod clients;
pub mod cluster;
pub mod directory;
pub mod examine;
pub mod journal;
mod last_words;
pub mod recorder;
pub mod roles;
pub mod series;
pub mod stale;
pub mod standing;
pub mod states;
pub mod stop;
mod tolerance;
pub mod trials;
pub mod watching;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use splitbrain_reports::record::{Event, EventRecord, FaultRecord, Phase, StopRecord, WatchRecord};
use splitbrain_workloads::history::{FORMAT_VERSION, Header, Micros};
use splitbrain_workloads::operation::{NodeId, Op, Outcome};
use splitbrain_workloads::verdict::AnomalyKind;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::clients::{Caller, Callers, Load};
use self::cluster::{Cluster, Frozen};
use self::directory::RunDirectory;
use self::journal::{Journal, Listener};
use self::recorder::{Clock, Recorder};
use self::roles::Sampler;
use self::watching::Watching;
use crate::cluster::process::{Cause, Exit, Processes};
use crate::nemesis::{Injection, Injector, Replacement};
use crate::suite::plan::PlannedRun;
use crate::target::Target;

/// How long a cluster may take from the first process to one leader whom all follow. The slowest
/// target takes two seconds on an idle machine.
const READY_BOUND: Duration = Duration::from_secs(30);

/// How long all heals together may take. A restart is bounded by fifteen seconds of its own.
const HEAL_BOUND: Duration = Duration::from_secs(20);

/// How long a healed cluster may take until every node has applied all that is committed. It is
/// the bound of liveness: a cluster that is whole again must serve again within it. The longest
/// that a target of ours takes by design is an old leader's three seconds before it gives way.
pub const SETTLE_BOUND: Duration = Duration::from_secs(20);

/// How long a cluster must stay settled to be believed: several samples of every node.
const SETTLED_FOR: Duration = Duration::from_millis(300);

/// How often a final question may be asked again. Each time is a new operation in the history; no
/// client retries. Three rounds over all nodes outlast an election after the heal.
const FINAL_ROUNDS: usize = 3;

/// Time between two hand-overs of the history to the operating system: what a killed harness
/// loses at most.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);

/// What a run needs beside its plan.
pub struct Surroundings {
    /// The system under test.
    pub target: Arc<dyn Target>,
    /// Where processes are started.
    pub processes: Arc<Processes>,
    /// Where the run leaves what it saw.
    pub directory: RunDirectory,
    /// Told of every event, as it happens.
    pub listener: Listener,
    /// Becomes true when the run must end early.
    pub interrupt: watch::Receiver<bool>,
}

/// What a run leaves beside its files.
#[derive(Debug, Default)]
pub struct Traces {
    /// Every planned fault, as far as it came.
    pub faults: Vec<FaultRecord>,
    /// When arrivals found no free client.
    pub shed: Vec<Micros>,
    /// When the load began and ended.
    pub load: Option<(Micros, Micros)>,
    /// From the heal to the settled cluster; `None` when it did not settle.
    pub settled_after: Option<Micros>,
    /// Whether it came to the wait for the settled cluster.
    pub awaited: bool,
    /// Nodes that ended without our doing.
    pub ends: Vec<Exit>,
    /// Whether the target promises to serve as long as a majority is up and connected.
    pub promises_progress: bool,
    /// Whether it was ended early from outside.
    pub interrupted: bool,
    /// What was known while it went on, and whether it was stopped for it.
    pub watch: Option<WatchRecord>,
    /// What ended it early from inside, in words.
    pub trouble: Option<String>,
    /// All events.
    pub events: Vec<EventRecord>,
}

impl Traces {
    /// That it was stopped because of what was proven by then.
    pub fn stopped(&self) -> Option<&StopRecord> {
        self.watch.as_ref()?.stopped.as_ref()
    }

    /// The nodes that ended by themselves.
    pub fn crashes(&self) -> impl Iterator<Item = &Exit> {
        self.ends.iter().filter(|exit| exit.cause == Cause::Crash)
    }

    /// The nodes that somebody else ended.
    pub fn foreign_kills(&self) -> impl Iterator<Item = &Exit> {
        self.ends.iter().filter(|exit| exit.cause == Cause::Environment)
    }
}

/// Goes through all phases of a run. Whatever happens, the processes are gone when it returns and
/// the files hold what was seen.
pub async fn conduct(plan: &PlannedRun, surroundings: Surroundings) -> Traces {
    let promises_progress = surroundings.target.promises_progress();
    let mut traces = Traces { promises_progress, ..Traces::default() };
    if let Err(error) = phases(plan, surroundings, &mut traces).await {
        traces.trouble = Some(format!("{error:#}"));
    }
    traces
}

async fn phases(
    plan: &PlannedRun,
    surroundings: Surroundings,
    traces: &mut Traces,
) -> anyhow::Result<()> {
    let (run, started) = begin(plan, surroundings).await?;
    let result = match started {
        Ok(cluster) => run.on_cluster(Arc::new(cluster), traces).await,
        Err(error) => Err(error),
    };
    run.journal.report(Event::Phase(Phase::Stopped));
    traces.events = run.journal.events().context("cannot write the events")?;
    run.recorder.finish().context("cannot write the history")?;
    result
}

/// Opens the files of a run, then starts its cluster. A cluster that does not start leaves files.
async fn begin(
    plan: &PlannedRun,
    surroundings: Surroundings,
) -> anyhow::Result<(Run<'_>, anyhow::Result<Cluster>)> {
    let Surroundings { target, processes, directory, listener, interrupt } = surroundings;
    directory
        .create(target.nodes() + target.spares())
        .with_context(|| format!("cannot make {}", directory.path().display()))?;
    if plan.faults.iter().any(|fault| fault.fault.replacement() == Some(Replacement::Copy)) {
        let program = target.program();
        directory
            .copy_program(program)
            .with_context(|| format!("cannot copy {}", program.display()))?;
    }
    let clock = Clock::start();
    let header = Header {
        history: FORMAT_VERSION,
        workload: plan.workload.name().to_string(),
        nodes: target.nodes(),
    };
    let unwritable = |path: std::path::PathBuf| move || format!("cannot write {}", path.display());
    let recorder = Recorder::create(&directory.history(), &header, clock)
        .with_context(unwritable(directory.history()))?;
    let recorder = Arc::new(recorder);
    let journal = Journal::create(&directory.events(), clock, recorder.clone(), listener)
        .with_context(unwritable(directory.events()))?;
    let journal = Arc::new(journal);

    journal.report(Event::Phase(Phase::Start));
    // Process ids come round, times do not.
    let born = chrono::Utc::now().timestamp_micros();
    let token = format!("splitbrain-{}-{born}", std::process::id());
    let run =
        Run { plan, target, clock, recorder, journal, directory: directory.clone(), interrupt };
    let started = Cluster::start(
        run.target.clone(),
        plan.instruments(),
        processes,
        directory,
        run.journal.clone(),
        token,
    )
    .await;
    Ok((run, started))
}

/// One run at work.
struct Run<'a> {
    plan: &'a PlannedRun,
    target: Arc<dyn Target>,
    clock: Clock,
    recorder: Arc<Recorder>,
    journal: Arc<Journal>,
    directory: RunDirectory,
    interrupt: watch::Receiver<bool>,
}

impl Run<'_> {
    async fn on_cluster(&self, cluster: Arc<Cluster>, traces: &mut Traces) -> anyhow::Result<()> {
        let sampler = Sampler::start(self.target.clone(), cluster.wiring(), self.journal.clone());
        let result = self.with_leader(&cluster, &sampler, traces).await;
        sampler.stop().await;
        cluster.stop().await;
        // Only now all ends are known; those that are our doing are not among them.
        traces.ends = cluster.unasked_ends();
        result
    }

    async fn with_leader(
        &self,
        cluster: &Arc<Cluster>,
        sampler: &Sampler,
        traces: &mut Traces,
    ) -> anyhow::Result<()> {
        let mut interrupt = self.interrupt.clone();
        tokio::select! {
            ready = self.ready(cluster, sampler) => ready?,
            _ = interrupt.wait_for(|stop| *stop) => {
                traces.interrupted = true;
                return Ok(());
            }
        }
        let flusher = self.flusher();
        let callers =
            Callers::new(self.target.clone(), self.recorder.clone(), self.plan.timeout.duration());
        let callers = Arc::new(callers);
        let watcher = self.plan.workload.watcher();
        let watching = Watching::start(self.recorder.clone(), self.journal.clone(), watcher);
        let mut stopped = None;
        let result =
            self.load_and_heal(cluster, sampler, &callers, (&watching, &mut stopped), traces).await;
        flusher.abort();
        traces.watch = watching.finish();
        if stopped.is_some() {
            traces.watch.get_or_insert_default().stopped = stopped;
        }
        result
    }

    async fn load_and_heal(
        &self,
        cluster: &Arc<Cluster>,
        sampler: &Sampler,
        callers: &Arc<Callers>,
        (watching, stopped): (&Watching, &mut Option<StopRecord>),
        traces: &mut Traces,
    ) -> anyhow::Result<()> {
        let (injection, ended) = self.load(cluster, sampler, callers, watching, traces).await?;
        *stopped = ended;
        self.journal.report(Event::Phase(Phase::CloseClients));
        cluster.close_clients().await?;

        self.journal.report(Event::Phase(Phase::Heal));
        traces.faults = injection.finish(HEAL_BOUND).await?;
        if *self.interrupt.borrow() {
            traces.interrupted = true;
            return Ok(());
        }

        self.journal.report(Event::Phase(Phase::Quiesce));
        let healed = self.clock.now();
        traces.awaited = true;
        let settled = self.hold(sampler, SETTLE_BOUND, roles::settled).await;
        traces.settled_after = settled.map(|since| Micros(since.0.saturating_sub(healed.0)));

        self.journal.report(Event::Phase(Phase::FinalReads));
        self.final_reads(cluster, callers).await
    }

    /// Waits for one leader whom all follow. A process that ends meanwhile ends the wait at once:
    /// nothing will start it again.
    async fn ready(&self, cluster: &Cluster, sampler: &Sampler) -> anyhow::Result<()> {
        let agreed = |picture: &roles::Picture| roles::agreed(picture).is_some();
        let held = tokio::select! {
            held = self.hold(sampler, READY_BOUND, agreed) => held,
            ended = cluster.unasked_end() => anyhow::bail!(ended),
        };
        if held.is_none() {
            let picture = sampler.picture();
            let silent: Vec<String> = picture
                .borrow()
                .iter()
                .filter(|(_, status)| status.is_none())
                .map(|(node, _)| node.to_string())
                .collect();
            let what = match silent.is_empty() {
                true => "no leader whom all nodes follow".to_string(),
                false => format!("no answer from {}", silent.join(", ")),
            };
            anyhow::bail!(
                "{what} within {} s of the start\n  = help: see nodes/*/stderr.log of the run",
                READY_BOUND.as_secs()
            );
        }
        self.journal.report(Event::Phase(Phase::Ready));
        Ok(())
    }

    async fn load(
        &self,
        cluster: &Arc<Cluster>,
        sampler: &Sampler,
        callers: &Arc<Callers>,
        watching: &Watching,
        traces: &mut Traces,
    ) -> anyhow::Result<(Injection, Option<StopRecord>)> {
        let mut pinned = Vec::new();
        for slot in 0..self.plan.clients {
            let node = NodeId(slot % self.target.nodes() + 1);
            pinned.push(self.caller(cluster, callers, node).await?);
        }
        let load = Load {
            callers: pinned,
            generator: self.plan.workload.generator(self.plan.seed),
            rate: self.plan.rate.per_second(),
            arrivals: self.plan.seed.stream("arrivals"),
            clock: self.clock,
        };
        self.journal.report(Event::Phase(Phase::Load));
        let began = self.clock.now();
        let injection = self.inject(cluster, sampler);
        let (over, is_over) = watch::channel(false);
        let mut work = pin!(load.drive(self.plan.duration.duration(), is_over));
        let shed = tokio::select! {
            shed = &mut work => Ok(shed),
            reason = self.reason_to_stop(watching) => Err(reason),
        };
        let mut stopped = None;
        traces.shed = match shed {
            Ok(shed) => shed,
            Err(reason) => {
                // Nobody gives out turns meanwhile, and no node moves once it is frozen.
                if let Some(kind) = reason? {
                    stopped = Some(self.freeze(cluster, kind).await?);
                }
                over.send_replace(true);
                work.await
            }
        };
        traces.load = Some((began, self.clock.now()));
        Ok((injection, stopped))
    }

    /// Waits until the run must end before its time: `None` when that comes from outside.
    async fn reason_to_stop(&self, watching: &Watching) -> anyhow::Result<Option<AnomalyKind>> {
        let mut interrupt = self.interrupt.clone();
        let wanted = self.plan.stop.wanted(&self.plan.expect);
        let proven = async {
            let Some(wanted) = wanted else { return std::future::pending().await };
            watching.found().await;
            stop::proven(self.plan, wanted, &self.recorder, &self.journal, &self.directory).await
        };
        tokio::select! {
            kind = proven => kind.map(Some),
            _ = interrupt.wait_for(|stop| *stop) => Ok(None),
        }
    }

    async fn freeze(&self, cluster: &Cluster, kind: AnomalyKind) -> anyhow::Result<StopRecord> {
        let at = self.clock.now();
        let Frozen { nodes: frozen, not: not_frozen, cluster } = cluster.freeze().await?;
        Ok(StopRecord { at, kind, frozen, cluster, not_frozen })
    }

    /// Sets the planned faults going.
    fn inject(&self, cluster: &Arc<Cluster>, sampler: &Sampler) -> Injection {
        let injector = Injector {
            hands: cluster.clone(),
            picture: sampler.picture(),
            recorder: self.recorder.clone(),
            journal: self.journal.clone(),
            clock: self.clock,
        };
        injector.start(self.plan)
    }

    /// A client of one node, with ways to the others if it may be redirected.
    async fn caller(
        &self,
        cluster: &Cluster,
        callers: &Arc<Callers>,
        node: NodeId,
    ) -> anyhow::Result<Caller> {
        let mut others = Vec::new();
        if self.target.redirects() {
            for other in NodeId::first(self.target.nodes()).filter(|other| *other != node) {
                others.push(cluster.lane(other).await?);
            }
        }
        Ok(callers.caller(cluster.lane(node).await?, others))
    }

    /// Waits until the picture has been as wanted for a while, within a bound. Returns since when.
    async fn hold(
        &self,
        sampler: &Sampler,
        bound: Duration,
        wanted: impl Fn(&roles::Picture) -> bool,
    ) -> Option<Micros> {
        let mut picture = sampler.picture();
        let deadline = tokio::time::Instant::now() + bound;
        let mut since: Option<Micros> = None;
        loop {
            let now = self.clock.now();
            since = wanted(&picture.borrow_and_update()).then(|| since.unwrap_or(now));
            if since.is_some_and(|since| u128::from(now.0 - since.0) >= SETTLED_FOR.as_micros()) {
                return since;
            }
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => return None,
                changed = picture.changed() => changed.ok()?,
            }
        }
    }

    /// Asks what is left: every linearizable question until one node has answered, and every
    /// local question at every node.
    async fn final_reads(
        &self,
        cluster: &Arc<Cluster>,
        callers: &Arc<Callers>,
    ) -> anyhow::Result<()> {
        let nodes: Vec<NodeId> = NodeId::first(self.target.nodes()).collect();
        let mut asking = Vec::new();
        for node in &nodes {
            asking.push(self.caller(cluster, callers, *node).await?);
        }
        let mut interrupt = self.interrupt.clone();
        let questions = async {
            for op in self.plan.workload.final_operations() {
                for turn in 0..FINAL_ROUNDS * nodes.len() {
                    let asked = asking[turn % nodes.len()].call(&op, true).await;
                    if matches!(asked, Outcome::Ok(_)) {
                        break;
                    }
                }
            }
            for op in self.plan.workload.local_operations() {
                for caller in &mut asking {
                    answer_locally(caller, &op).await;
                }
            }
        };
        tokio::select! {
            () = questions => {}
            _ = interrupt.wait_for(|stop| *stop) => {}
        }
        cluster.close_clients().await
    }

    fn flusher(&self) -> JoinHandle<()> {
        let recorder = self.recorder.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(FLUSH_INTERVAL).await;
                recorder.flush();
            }
        })
    }
}

async fn answer_locally(caller: &mut clients::Caller, op: &Op) {
    for _ in 0..FINAL_ROUNDS {
        if matches!(caller.call(op, true).await, Outcome::Ok(_)) {
            return;
        }
    }
}
