//! Carries out the faults of a plan: waits for their time or condition, injects, proves the
//! effect, heals.
//!
//! Every fault has a task of its own, so that a heal waits for nobody. When the load is over,
//! faults that have not begun are skipped and those in force are healed at once. What a fault
//! *is*, how it is done, undone and seen, stands in its own file.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use splitbrain_reports::record::{Effect, Event, FaultRecord, FaultStep};
use splitbrain_workloads::history::Micros;
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Action, Hands, InForce, Lane, ROLE_WAIT_AT_MOST, View};
use crate::run::journal::Journal;
use crate::run::recorder::{Clock, Recorder};
use crate::run::roles::{self, Picture};
use crate::suite::plan::{End, PlannedFault, PlannedRun, Start};
use crate::suite::schedule::Condition;

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
        let shared =
            Arc::new(Shared { began: self.clock.now(), faulted: Mutex::default(), injector: self });
        let mut tasks = JoinSet::new();
        for fault in plan.faults.iter().cloned() {
            let rng = plan.injection(fault.id);
            let task = Task { shared: shared.clone(), over: is_over.clone(), fault, rng };
            tasks.spawn(task.run());
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
}

impl Shared {
    /// Reserves the victims, so that two faults at the same instant cannot take the same node.
    fn reserve(&self, lane: Lane, action: &dyn Action) -> bool {
        let mut faulted = self.faulted.lock().expect("no holder of this lock panics");
        if action.reserves().iter().any(|node| faulted.contains(&(lane, *node))) {
            return false;
        }
        faulted.extend(action.reserves().iter().map(|node| (lane, *node)));
        true
    }

    fn release(&self, lane: Lane, action: &dyn Action) {
        let mut faulted = self.faulted.lock().expect("no holder of this lock panics");
        for node in action.reserves() {
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
        View { followers: nodes.iter().copied().filter(follows).collect(), nodes, leader, faulted }
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
}

/// Why a fault does not begin.
struct Skipped(String);

impl Task {
    async fn run(mut self) -> anyhow::Result<FaultRecord> {
        let mut record = self.planned();
        let mut action = match self.wait_and_resolve().await {
            Ok(action) => action,
            Err(Skipped(reason)) => {
                self.report(FaultStep::Skipped { reason: reason.clone() });
                record.effect = Effect::Skipped(reason);
                return Ok(record);
            }
        };
        let done = self.carry_out(&mut *action, &mut record).await;
        self.shared.release(self.fault.fault.lane(), &*action);
        done.map(|()| record)
    }

    fn planned(&self) -> FaultRecord {
        let PlannedFault { id, fault, start, .. } = &self.fault;
        FaultRecord {
            id: *id,
            kind: fault.kind().to_string(),
            shape: self.fault.shape(),
            form: fault.form().to_string(),
            victims: Vec::new(),
            leaders: Vec::new(),
            links: Vec::new(),
            on_links: fault.on_links(),
            planned: match start {
                Start::At(at) => Some(micros(at.duration())),
                Start::When { .. } => None,
            },
            requested: None,
            in_force: None,
            heal_requested: None,
            healed: None,
            effect: Effect::Skipped("the run ended first".to_string()),
            unavailable: None,
            recovered_after: None,
            lost_writes: None,
        }
    }

    async fn wait_and_resolve(&mut self) -> Result<Box<dyn Action>, Skipped> {
        match self.fault.start.clone() {
            Start::At(at) => self.sleep_until(at.duration()).await?,
            Start::When { condition, from, at_most } => {
                self.sleep_until(from.duration()).await?;
                let baseline = Baseline { all: 0, by_victims: 0 };
                let bound = at_most.duration();
                if !self.holds_within(bound, &condition, &[], &baseline).await? {
                    return Err(Skipped(format!("{condition}: not within {at_most}")));
                }
            }
        }
        self.resolve().await
    }

    /// Finds the victims; waits, bounded, for a role that nobody plays.
    async fn resolve(&mut self) -> Result<Box<dyn Action>, Skipped> {
        let deadline = tokio::time::Instant::now() + ROLE_WAIT_AT_MOST;
        loop {
            if let Some((before, limit)) = self.fault.before.zip(self.limit())
                && tokio::time::Instant::now() >= limit
            {
                return Err(Skipped(format!("it had not begun before {before}")));
            }
            let lane = self.fault.fault.lane();
            let view = self.shared.view(lane);
            let reason = match self.fault.fault.resolve(&view, &mut self.rng) {
                Ok(action) if self.shared.reserve(lane, &*action) => return Ok(action),
                // Another fault was faster; the next look sees it.
                Ok(_) => "another fault took the node".to_string(),
                Err(skip) if skip.wait => skip.reason,
                Err(skip) => return Err(Skipped(skip.reason)),
            };
            if tokio::time::Instant::now() >= deadline {
                let bound = ROLE_WAIT_AT_MOST.as_secs();
                return Err(Skipped(format!("{reason}, waited {bound} s")));
            }
            let mut picture = self.shared.injector.picture.clone();
            tokio::select! {
                _ = picture.changed() => {}
                () = tokio::time::sleep(LOOK) => {}
                _ = self.over.wait_for(|over| *over) => return Err(load_over()),
            }
        }
    }

    async fn carry_out(
        &mut self,
        action: &mut dyn Action,
        record: &mut FaultRecord,
    ) -> anyhow::Result<()> {
        let shared = self.shared.clone();
        let (hands, clock) = (&*shared.injector.hands, shared.injector.clock);
        record.victims = action.victims().to_vec();
        record.links = action.links().iter().map(ToString::to_string).collect();
        record.leaders = {
            let picture = shared.injector.picture.borrow();
            let leaders = roles::leaders(&picture).map(|(_, node)| node);
            leaders.filter(|node| record.victims.contains(node)).collect()
        };
        let baseline = Baseline {
            all: shared.injector.recorder.acknowledged(None),
            by_victims: shared.acknowledged(action.victims()),
        };

        record.requested = Some(clock.now());
        self.report(FaultStep::Requested {
            victims: record.victims.clone(),
            links: record.links.clone(),
        });
        action.inject(hands).await?;
        record.in_force = Some(clock.now());
        self.report(FaultStep::InForce);

        let (end, is_over) = watch::channel(false);
        let mut force = InForce::until(is_over);
        let limit = self.limit();
        {
            let mut work = action.sustain(hands, &mut force);
            let done = tokio::select! {
                done = &mut work => Some(done),
                () = self.last(&record.victims, &baseline) => None,
                () = until(limit) => None,
            };
            end.send_replace(true);
            match done {
                Some(done) => done?,
                None => work.await?,
            }
        }

        record.heal_requested = Some(clock.now());
        self.report(FaultStep::HealRequested);
        action.undo(hands).await?;
        record.healed = Some(clock.now());
        self.report(FaultStep::Healed);
        record.effect = action.effect(hands);
        let (id, kind) = (self.fault.id.0, self.fault.fault.kind());
        shared.injector.journal.report(Event::Note(match &record.effect {
            Effect::Seen(evidence) => format!("fault {id} {kind} took effect: {evidence}"),
            Effect::None(why) | Effect::Skipped(why) => {
                format!("fault {id} {kind} had no effect: {why}")
            }
        }));
        Ok(())
    }

    /// Waits while the fault is in force: for its time, its condition or the end of the load.
    async fn last(&mut self, victims: &[NodeId], baseline: &Baseline) {
        match self.fault.end.clone() {
            End::After(time) => {
                tokio::select! {
                    () = tokio::time::sleep(time.duration()) => {}
                    _ = self.over.wait_for(|over| *over) => {}
                }
            }
            End::Until { condition, at_most } => {
                // Met, timed out or over: in each case it is time to heal.
                let bound = at_most.duration();
                self.holds_within(bound, &condition, victims, baseline).await.ok();
            }
        }
    }

    /// Whether a condition comes to hold within a bound.
    async fn holds_within(
        &mut self,
        bound: Duration,
        condition: &Condition,
        victims: &[NodeId],
        baseline: &Baseline,
    ) -> Result<bool, Skipped> {
        let deadline = tokio::time::Instant::now() + bound;
        while !self.holds(condition, victims, baseline) {
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => return Ok(false),
                () = tokio::time::sleep(LOOK) => {}
                _ = self.over.wait_for(|over| *over) => return Err(load_over()),
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
