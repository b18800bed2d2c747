//! Carries out the faults of a plan: waits for their time or condition, injects, proves the
//! effect, heals.
//!
//! Every fault has a task of its own, so that a heal waits for nobody. Those of one moment begin in
//! the order of the plan; where the plan keeps its order, as a replay does, no fault begins before
//! one of an earlier moment has begun or was skipped. When the load is over, faults that have not
//! begun are skipped and those in force are healed at once. What a fault *is*, how it is done,
//! undone and seen, stands in its own file.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use splitbrain_reports::record::{Effect, Event, FaultRecord, FaultStep};
use splitbrain_workloads::history::Micros;
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Action, Hands, InForce, Lane, Skip, View, WAIT_AT_MOST};
use crate::run::journal::Journal;
use crate::run::recorder::{Clock, Recorder};
use crate::run::roles::{self, Picture};
use crate::suite::plan::{End, PlannedFault, PlannedRun, Start};
use crate::suite::schedule::{Condition, Follow};

/// Time between two looks at a condition that counts acknowledged writes. Roles are waited for
/// without polling; counters have no bell.
const LOOK: Duration = Duration::from_millis(5);

/// What faults act on and are judged by.
pub struct Injector {
    /// What can be done to the cluster.
    pub hands: Arc<dyn Hands>,
    /// Who leads.
    pub picture: watch::Receiver<Picture>,
    /// Counts acknowledged writes.
    pub recorder: Arc<Recorder>,
    /// Takes every step.
    pub journal: Arc<Journal>,
    /// The clock of the run.
    pub clock: Clock,
}

/// The faults of a run at work.
pub struct Injection {
    tasks: JoinSet<anyhow::Result<FaultRecord>>,
    over: watch::Sender<bool>,
}

impl Injector {
    /// Begins to carry out a plan; its times count from now.
    pub fn start(self, plan: &PlannedRun) -> Injection {
        let (over, is_over) = watch::channel(false);
        let shared = Arc::new(Shared {
            began: self.clock.now(),
            faulted: Mutex::default(),
            in_order: plan.in_order,
            injector: self,
        });
        let mut tasks = JoinSet::new();
        let mut turn = None;
        for fault in plan.faults.iter().cloned() {
            let (after, turn) = match fault.start {
                Start::At(_) => {
                    let (taken, is_taken) = watch::channel(false);
                    (turn.replace(is_taken), taken)
                }
                // Nobody can say when a condition will hold, so nobody waits for its fault.
                Start::When { .. } => (None, watch::Sender::new(false)),
            };
            let (rng, shared) = (plan.injection(fault.id), shared.clone());
            let reserved = Vec::new();
            let over = is_over.clone();
            tasks.spawn(Task { shared, over, fault, rng, reserved, after, turn }.run());
        }
        Injection { tasks, over }
    }
}

impl Injection {
    /// Heals everything at once and waits for it, within a bound.
    ///
    /// # Errors
    ///
    /// When something could not be healed.
    pub async fn finish(mut self, bound: Duration) -> anyhow::Result<Vec<FaultRecord>> {
        self.over.send_replace(true);
        let mut records = Vec::new();
        let all = async {
            while let Some(record) = self.tasks.join_next().await {
                records.push(record??);
            }
            anyhow::Ok(())
        };
        match tokio::time::timeout(bound, all).await {
            Ok(done) => done?,
            Err(_) => anyhow::bail!("a fault could not be healed within {} s", bound.as_secs()),
        }
        records.sort_by_key(|record| record.id);
        Ok(records)
    }
}

/// What the tasks of a run share.
struct Shared {
    injector: Injector,
    began: Micros,
    faulted: Mutex<BTreeSet<(Lane, NodeId)>>,
    in_order: bool,
}

impl Shared {
    /// Reserves the victims, so that two faults at the same instant cannot take the same node.
    fn reserve(&self, lane: Lane, nodes: &[NodeId]) -> bool {
        let mut faulted = self.faulted.lock().expect("no holder of this lock panics");
        if nodes.iter().any(|node| faulted.contains(&(lane, *node))) {
            return false;
        }
        faulted.extend(nodes.iter().map(|node| (lane, *node)));
        true
    }

    fn release(&self, lane: Lane, nodes: &[NodeId]) {
        let mut faulted = self.faulted.lock().expect("no holder of this lock panics");
        for node in nodes {
            faulted.remove(&(lane, *node));
        }
    }

    fn view(&self, lane: Lane) -> View {
        let picture = self.injector.picture.borrow();
        let leader = roles::leader(&picture);
        let nodes: Vec<NodeId> = picture.keys().copied().collect();
        let follows = |node: &NodeId| Some(*node) != leader && picture[node].is_some();
        let faulted = self.faulted.lock().expect("no holder of this lock panics");
        let faulted =
            faulted.iter().filter(|(other, _)| *other == lane).map(|(_, node)| *node).collect();
        View {
            followers: nodes.iter().copied().filter(follows).collect(),
            nodes,
            leader,
            spares: self.injector.hands.spares(),
            faulted,
        }
    }

    fn acknowledged(&self, by: &[NodeId]) -> u64 {
        by.iter().map(|node| self.injector.recorder.acknowledged(Some(*node))).sum()
    }
}

/// Acknowledged writes at the moment from which a condition counts.
struct Baseline {
    all: u64,
    by_victims: u64,
}

/// One fault.
struct Task {
    shared: Arc<Shared>,
    over: watch::Receiver<bool>,
    fault: PlannedFault,
    rng: Stream,
    /// The nodes that no other fault may hit at present.
    reserved: Vec<NodeId>,
    /// Becomes true when the fault before this one in the plan lets others begin; gone when that
    /// one is over.
    after: Option<watch::Receiver<bool>>,
    /// The same for the fault behind this one.
    turn: watch::Sender<bool>,
}

/// When a fault came into force, and how many writes had been acknowledged by then.
struct Since {
    instant: tokio::time::Instant,
    baseline: Baseline,
}

/// Why the time in force came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// It is time to heal, or there is nothing more to do.
    Over,
    /// Somebody else leads, and the fault is to go after them.
    Moved,
}

/// Why a fault does not begin.
struct Skipped(String);

impl Task {
    async fn run(mut self) -> anyhow::Result<FaultRecord> {
        let mut record = self.planned();
        let action = match self.wait_and_resolve().await {
            Ok(action) => action,
            Err(Skipped(reason)) => {
                self.report(FaultStep::Skipped { reason: reason.clone() });
                record.effect = Effect::Skipped(reason);
                return Ok(record);
            }
        };
        let done = self.carry_out(action, &mut record).await;
        self.shared.release(self.lane(), &self.reserved);
        done.map(|()| record)
    }

    fn planned(&self) -> FaultRecord {
        let PlannedFault { id, fault, start, .. } = &self.fault;
        FaultRecord {
            shape: self.fault.shape(),
            form: fault.form().to_string(),
            on_links: fault.on_links(),
            drawn: self.fault.drawn,
            planned: match start {
                Start::At(at) => Some(micros(at.duration())),
                Start::When { .. } => None,
            },
            ..FaultRecord::to_come(*id, fault.kind())
        }
    }

    fn lane(&self) -> Lane {
        self.fault.fault.lane()
    }

    async fn wait_and_resolve(&mut self) -> Result<Box<dyn Action>, Skipped> {
        match self.fault.start.clone() {
            Start::At(at) => {
                self.sleep_until(at.duration()).await?;
                self.await_turn().await?;
            }
            Start::When { condition, from, at_most } => {
                self.sleep_until(from.duration()).await?;
                let baseline = Baseline { all: 0, by_victims: 0 };
                let deadline = tokio::time::Instant::now() + at_most.duration();
                if !self.holds_by(deadline, &condition, &[], &baseline).await? {
                    return Err(Skipped(format!("waited {at_most} in vain for \"{condition}\"")));
                }
            }
        }
        self.resolve().await
    }

    /// Waits until the fault before this one lets it begin. That one waits with a bound.
    async fn await_turn(&mut self) -> Result<(), Skipped> {
        let Some(mut after) = self.after.take() else { return Ok(()) };
        tokio::select! {
            // An error is the end of that fault's task.
            _ = after.wait_for(|taken| *taken) => Ok(()),
            _ = self.over.wait_for(|over| *over) => Err(load_over()),
        }
    }

    /// Finds the victims and reserves them; waits, bounded, for a role that nobody plays and for
    /// nodes that are under another fault. Where a stand-in is named, it is hit instead.
    async fn resolve(&mut self) -> Result<Box<dyn Action>, Skipped> {
        let began = tokio::time::Instant::now();
        let deadline = began + WAIT_AT_MOST;
        let mut waited_for = None;
        loop {
            if let Some((before, limit)) = self.fault.before.zip(self.limit())
                && tokio::time::Instant::now() >= limit
            {
                return Err(Skipped(format!("it had not begun before {before}")));
            }
            let view = self.shared.view(self.lane());
            let reason = match self.resolved(&view) {
                Ok(action) if self.fault.keep.is_some_and(|keep| !keep.leaves(&view, &*action)) => {
                    format!("with {} under faults no majority is left", view.faulted.len())
                }
                Ok(action) if self.shared.reserve(self.lane(), action.reserves()) => {
                    self.reserved = action.reserves().to_vec();
                    if let Some(reason) = waited_for {
                        let waited = began.elapsed().as_millis();
                        self.note(format!("waited {waited} ms: {reason}"));
                    }
                    return Ok(action);
                }
                // Another fault was faster; the next look sees it.
                Ok(_) => "another fault took the node".to_string(),
                Err(skip) if skip.wait => skip.reason,
                Err(skip) => return Err(Skipped(skip.reason)),
            };
            if tokio::time::Instant::now() >= deadline {
                let bound = WAIT_AT_MOST.as_secs();
                return Err(Skipped(format!("{reason}, waited {bound} s")));
            }
            if !self.shared.in_order {
                self.turn.send_replace(true);
            }
            waited_for.get_or_insert(reason);
            let mut picture = self.shared.injector.picture.clone();
            tokio::select! {
                _ = picture.changed() => {}
                () = tokio::time::sleep(LOOK) => {}
                _ = self.over.wait_for(|over| *over) => return Err(load_over()),
            }
        }
    }

    /// What is to be done as the cluster stands; by a stand-in, if one is named, instead of waiting.
    fn resolved(&mut self, view: &View) -> Result<Box<dyn Action>, Skip> {
        match (self.fault.fault.resolve(view, &mut self.rng), self.fault.otherwise) {
            (Err(skip), Some(node)) if skip.wait => {
                let view = view.clone().with_stand_in(node);
                self.fault.fault.resolve(&view, &mut self.rng)
            }
            (resolved, _) => resolved,
        }
    }

    async fn carry_out(
        &mut self,
        mut action: Box<dyn Action>,
        record: &mut FaultRecord,
    ) -> anyhow::Result<()> {
        let shared = self.shared.clone();
        let (hands, clock) = (&*shared.injector.hands, shared.injector.clock);
        self.aimed(&*action, record);
        let baseline = Baseline {
            all: shared.injector.recorder.acknowledged(None),
            by_victims: shared.acknowledged(action.victims()),
        };

        record.requested = Some(clock.now());
        self.report(FaultStep::Requested {
            victims: record.victims.clone(),
            links: record.links.clone(),
        });
        self.turn.send_replace(true);
        action.inject(hands).await?;
        record.in_force = Some(clock.now());
        self.report(FaultStep::InForce);
        let since = Since { instant: tokio::time::Instant::now(), baseline };

        let mut effects = Vec::new();
        while self.hold(&mut *action, &since).await? == Ended::Moved {
            action.undo(hands).await?;
            effects.push(action.effect(hands));
            self.shared.release(self.lane(), &std::mem::take(&mut self.reserved));
            action = match self.resolve().await {
                Ok(next) => next,
                Err(Skipped(reason)) => {
                    self.note(format!("goes after nobody: {reason}"));
                    record.heal_requested = Some(clock.now());
                    self.report(FaultStep::HealRequested);
                    return self.healed(record, effects);
                }
            };
            self.aimed(&*action, record);
            let whom: Vec<String> = action.victims().iter().map(NodeId::to_string).collect();
            self.note(format!("goes after the leader, to {}", whom.join(" ")));
            action.inject(hands).await?;
        }

        record.heal_requested = Some(clock.now());
        self.report(FaultStep::HealRequested);
        action.undo(hands).await?;
        effects.push(action.effect(hands));
        self.healed(record, effects)
    }

    /// Adds whom an action hits to the record of its fault.
    fn aimed(&self, action: &dyn Action, record: &mut FaultRecord) {
        let hit: BTreeSet<NodeId> =
            record.victims.iter().chain(action.victims()).copied().collect();
        record.victims = hit.into_iter().collect();
        for link in action.links().iter().map(ToString::to_string) {
            if !record.links.contains(&link) {
                record.links.push(link);
            }
        }
        let picture = self.shared.injector.picture.borrow();
        let leaders = roles::leaders(&picture).map(|(_, node)| node);
        let hit: BTreeSet<NodeId> =
            leaders.filter(|node| action.victims().contains(node)).collect();
        record.leaders = record.leaders.iter().copied().chain(hit).collect();
    }

    /// Keeps at it until it is time to heal, or until the leader it is to follow is another one.
    async fn hold(&mut self, action: &mut dyn Action, since: &Since) -> anyhow::Result<Ended> {
        let shared = self.shared.clone();
        let hands = &*shared.injector.hands;
        let (end, is_over) = watch::channel(false);
        let mut force = InForce::until(is_over);
        let limit = self.limit();
        let victims = action.victims().to_vec();
        let leader_moved = self.leader_moved(&victims);
        let mut work = action.sustain(hands, &mut force);
        let (ended, done) = tokio::select! {
            done = &mut work => (Ended::Over, Some(done)),
            () = self.last(&victims, since) => (Ended::Over, None),
            () = until(limit) => (Ended::Over, None),
            () = leader_moved => (Ended::Moved, None),
        };
        end.send_replace(true);
        match done {
            Some(done) => done?,
            None => work.await?,
        }
        Ok(ended)
    }

    /// Waits until a node leads that is no victim; for ever when the fault does not follow.
    fn leader_moved(&self, victims: &[NodeId]) -> impl Future<Output = ()> + use<> {
        let (follow, mut picture) = (self.fault.follow, self.shared.injector.picture.clone());
        let victims = victims.to_vec();
        async move {
            let moved = |picture: &Picture| {
                roles::leader(picture).is_some_and(|leader| !victims.contains(&leader))
            };
            match follow {
                Some(Follow::Leader) if picture.wait_for(moved).await.is_ok() => {}
                _ => std::future::pending().await,
            }
        }
    }

    /// Ends the record of a fault with what was seen of it, wherever it was aimed.
    fn healed(&self, record: &mut FaultRecord, effects: Vec<Effect>) -> anyhow::Result<()> {
        record.healed = Some(self.shared.injector.clock.now());
        self.report(FaultStep::Healed);
        record.effect = together(effects);
        self.note(match &record.effect {
            Effect::Seen(evidence) => format!("took effect: {evidence}"),
            Effect::None(why) | Effect::Skipped(why) => format!("had no effect: {why}"),
        });
        Ok(())
    }

    fn note(&self, what: String) {
        let (id, kind) = (self.fault.id.0, self.fault.fault.kind());
        self.shared.injector.journal.report(Event::Note(format!("fault {id} {kind} {what}")));
    }

    /// Waits while the fault is in force: for its time, its condition or the end of the load.
    async fn last(&self, victims: &[NodeId], since: &Since) {
        match self.fault.end.clone() {
            End::After(time) => {
                let mut over = self.over.clone();
                tokio::select! {
                    () = tokio::time::sleep_until(since.instant + time.duration()) => {}
                    _ = over.wait_for(|over| *over) => {}
                }
            }
            End::Until { condition, at_most } => {
                // Met, timed out or over: in each case it is time to heal.
                let deadline = since.instant + at_most.duration();
                self.holds_by(deadline, &condition, victims, &since.baseline).await.ok();
            }
        }
    }

    /// Whether a condition comes to hold by a moment.
    async fn holds_by(
        &self,
        deadline: tokio::time::Instant,
        condition: &Condition,
        victims: &[NodeId],
        baseline: &Baseline,
    ) -> Result<bool, Skipped> {
        let mut over = self.over.clone();
        while !self.holds(condition, victims, baseline) {
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => return Ok(false),
                () = tokio::time::sleep(LOOK) => {}
                _ = over.wait_for(|over| *over) => return Err(load_over()),
            }
        }
        Ok(true)
    }

    fn holds(&self, condition: &Condition, victims: &[NodeId], baseline: &Baseline) -> bool {
        let Injector { picture, recorder, .. } = &self.shared.injector;
        let picture = picture.borrow();
        let Condition { leader_is, acknowledged, acknowledged_by_victim, other_leader } = condition;
        let enough = |count: u64, since: u64, wanted: &Option<u64>| {
            wanted.is_none_or(|wanted| count.saturating_sub(since) >= wanted)
        };
        let other = || roles::leaders(&picture).any(|(_, node)| !victims.contains(&node));
        leader_is.is_none_or(|node| roles::leader(&picture) == Some(node))
            && enough(recorder.acknowledged(None), baseline.all, acknowledged)
            && enough(
                self.shared.acknowledged(victims),
                baseline.by_victims,
                acknowledged_by_victim,
            )
            && (!other_leader || other())
    }

    async fn sleep_until(&mut self, at: Duration) -> Result<(), Skipped> {
        let at = Micros(self.shared.began.0 + micros(at).0);
        let instant = self.shared.injector.clock.instant(at);
        tokio::select! {
            () = tokio::time::sleep_until(instant.into()) => Ok(()),
            _ = self.over.wait_for(|over| *over) => Err(load_over()),
        }
    }

    /// The moment at which the heal begins at the latest.
    fn limit(&self) -> Option<tokio::time::Instant> {
        let at = Micros(self.shared.began.0 + micros(self.fault.before?.duration()).0);
        Some(self.shared.injector.clock.instant(at).into())
    }

    fn report(&self, step: FaultStep) {
        self.shared.injector.journal.report(Event::Fault { fault: self.fault.id, step });
    }
}

/// What was seen of a fault that was aimed once or more often: every aim must have taken hold.
fn together(effects: Vec<Effect>) -> Effect {
    let mut seen = Vec::new();
    for effect in effects {
        match effect {
            Effect::Seen(evidence) => seen.push(evidence),
            none => return none,
        }
    }
    Effect::Seen(seen.join("; then "))
}

/// Waits for a moment; for ever where there is none.
async fn until(limit: Option<tokio::time::Instant>) {
    match limit {
        Some(limit) => tokio::time::sleep_until(limit).await,
        None => std::future::pending().await,
    }
}

fn load_over() -> Skipped {
    Skipped("the load was over".to_string())
}

fn micros(duration: Duration) -> Micros {
    Micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}
