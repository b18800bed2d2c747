//! Simulated time, network, disks, faults and clients around real cores.

mod clients;
mod clock;
mod disk;
mod faults;
mod lock_clients;
mod lock_service;
mod operator;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use super::super::{
    Core, Effect, Input, LockAnswer, LockAsk, Message, NodeId, Note, Now, Remembered, Report,
    Saved, Token, WallTime,
};
use super::referee::{Asked, Operation, Referee, Violation};
use crate::config::Settings;
use clock::Clock;
use lock_service::LockService;

/// What a schedule is like. Drawn from the seed, so that some schedules are calm and slow, others
/// wild.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    nodes: u16,
    /// Chance that a message is lost, in percent; twice that it is late, once that it is doubled.
    loss: u32,
    /// Mean time between faults.
    fault_every: Duration,
    /// The longest flush of a disk.
    flush_max: Duration,
    /// By how much clocks run too fast or too slow, in percent.
    drift: u32,
    /// Whether reads ask for a bound or for an entry instead of the strongest promise.
    reads_anywhere: bool,
    /// Whether links break their word and may deliver a forward twice.
    doubles_forwards: bool,
    /// Whether disks are lost, and how.
    wipes: Wipes,
    /// Nodes that are no members at first; with some, an operator adds and removes members.
    spares: u16,
    /// Whether syncs fail now and then, upon which a node ends.
    failing_syncs: bool,
}

/// Whether disks are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wipes {
    Never,
    /// One at a time: none while another node still learns what it had lost.
    OneAtATime,
    /// The same, and the new disk is taken for the old one, so that the node votes at once.
    Unnoticed,
}

impl Shape {
    pub(super) fn of(seed: u64) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed ^ 0x5eed);
        Shape {
            nodes: if random.random_range(0..4) == 0 { 5 } else { 3 },
            loss: [0, 1, 5, 15][random.random_range(0..4)],
            fault_every: Duration::from_millis(random.random_range(100..600)),
            flush_max: Duration::from_millis([1, 5, 80][random.random_range(0..3)]),
            drift: 0,
            reads_anywhere: false,
            doubles_forwards: false,
            wipes: Wipes::Never,
            spares: 0,
            failing_syncs: false,
        }
    }
}

impl Shape {
    pub(super) fn nodes(self) -> u16 {
        self.nodes
    }

    pub(super) fn with_nodes(self, nodes: u16) -> Self {
        Shape { nodes, ..self }
    }

    pub(super) fn with_wipes(self, wipes: Wipes) -> Self {
        Shape { wipes, ..self }
    }

    /// An operator adds and removes members all the time.
    pub(super) fn with_changes_of_members(self) -> Self {
        Shape { spares: 2, ..self }
    }

    pub(super) fn changes_members(self) -> bool {
        self.spares > 0
    }

    /// Now and then a sync fails.
    pub(super) fn with_failing_syncs(self) -> Self {
        Shape { failing_syncs: true, ..self }
    }

    /// Few faults, in a network and on disks that are quick: for what takes a quiet second to show.
    pub(super) fn with_rare_faults(self) -> Self {
        let (fault_every, flush_max) = (Duration::from_secs(1), Duration::from_millis(1));
        Shape { loss: 0, fault_every, flush_max, ..self }
    }

    /// Reads ask for a bound on age or for an entry.
    pub(super) fn with_reads_anywhere(self) -> Self {
        Shape { reads_anywhere: true, ..self }
    }

    /// A network that the nodes were not made for.
    pub(super) fn with_doubled_forwards(self) -> Self {
        Shape { doubles_forwards: true, loss: self.loss.max(5), ..self }
    }

    /// Every node with a clock of its own, right, or so many percent too fast or too slow, by turns.
    pub(super) fn with_drift(self, drift: u32) -> Self {
        Shape { drift, ..self }
    }
}

/// How long clients and faults are at work, and how long the cluster then has to settle.
const LOAD: Duration = Duration::from_millis(2500);
const SETTLE: Duration = Duration::from_secs(20);
const CLIENTS: u64 = 4;
const CLIENT_PATIENCE: Duration = Duration::from_millis(900);
/// How often a client sends a write again.
const RETRIES_MAX: u32 = 3;

/// The earliest wall clock, and by how many microseconds others are ahead of it at most.
const CLOCK: u64 = 1_700_000_000_000_000;
const CLOCK_SKEW: u64 = 10_000_000;

/// What came of a schedule.
pub(super) struct Verdict {
    pub(super) safety: Result<(), Violation>,
    /// Whether all replicas were equal in the end.
    pub(super) converged: bool,
    pub(super) acknowledged: usize,
    /// How many of them are in no log at the end, if all replicas are equal.
    pub(super) lost: usize,
    /// How many snapshots took the place of a log.
    pub(super) installed: usize,
    /// How many reads with a bound or after an entry were answered by followers.
    pub(super) read_at_followers: usize,
    /// How many times clients were told that they had got a lock.
    pub(super) grants: usize,
    /// How many disks were lost.
    pub(super) wiped: usize,
    /// How many of them voted, while members changed.
    pub(super) wiped_voters: usize,
    /// Whether so many were lost or removed that no majority is left, and nothing goes on.
    pub(super) without_majority: bool,
    /// How many syncs failed.
    pub(super) failed_syncs: usize,
    /// How many entries followers handed on.
    pub(super) relayed: usize,
    /// How many changes of the members were committed.
    pub(super) changed: usize,
    pub(super) schedule: Vec<String>,
}

#[derive(Debug)]
enum Event {
    Deliver {
        from: NodeId,
        to: NodeId,
        message: Message,
    },
    Notice {
        to: NodeId,
        input: Input,
    },
    Flushed {
        node: NodeId,
        life: u32,
        token: Token,
    },
    Timer {
        node: NodeId,
        life: u32,
    },
    /// A snapshot is on disk.
    Written {
        node: NodeId,
        life: u32,
        number: u64,
        saved: Saved,
    },
    Client(u64),
    /// Somebody changes the members.
    Operator,
    /// The same of one that wants locks.
    LockClient(u64),
    /// A client asks for something that it may have asked for before.
    Ask(Asked, u32),
    /// A question reaches the lock service.
    LockAsked {
        from: NodeId,
        life: u32,
        number: u64,
        ask: LockAsk,
    },
    /// Its answer reaches the node.
    LockAnswered {
        to: NodeId,
        life: u32,
        number: u64,
        answer: LockAnswer,
    },
    Fault,
    Restart(NodeId),
    Heal,
}

struct Node {
    core: Option<Core>,
    /// What its wall clock says at the beginning of the schedule. It is another one after every
    /// restart.
    wall: WallTime,
    /// Counts restarts, so that events of an earlier life are recognized.
    life: u32,
    paused_until: Now,
    clock: Clock,
    disk: Vec<Note>,
    /// The snapshot on disk, and whether records before those on disk were let go.
    saved: Saved,
    purged: bool,
    /// When the last snapshot that was submitted is on disk.
    saves_at: Now,
    /// Snapshots with earlier numbers no longer matter.
    overtaken: u64,
    /// Batches on their way to disk.
    pending: VecDeque<(Token, Vec<Note>)>,
    disk_busy_until: Now,
    timer: Option<Now>,
}

impl Node {
    /// What its disk remembers.
    fn remembers(&self) -> Remembered {
        let notes = self.disk.iter().cloned();
        Remembered::replay(self.saved.clone(), self.purged, notes).expect("a disk replays")
    }
}

pub(super) struct World {
    shape: Shape,
    settings: Settings,
    random: Xoshiro256PlusPlus,
    now: Now,
    events: BTreeMap<(Now, u64), Event>,
    next_event: u64,
    nodes: BTreeMap<NodeId, Node>,
    /// Directed links that pass nothing.
    cuts: BTreeSet<(NodeId, NodeId)>,
    /// Whether cut links keep what was sent and deliver it late, instead of losing it.
    holds: bool,
    held: Vec<(NodeId, NodeId, Message)>,
    lock_service: LockService,
    held_locks: Vec<Event>,
    referee: Referee,
    open: BTreeMap<u64, (Operation, NodeId)>,
    next_request: u64,
    /// The token of each lock that a client was last told, by lock and holder.
    tokens: BTreeMap<(Arc<str>, Arc<str>), u64>,
    faults_over: bool,
    installed: usize,
    read_at_followers: usize,
    wiped: usize,
    wiped_voters: usize,
    failed_syncs: usize,
    relayed: usize,
    /// Whether clients send statements where others put.
    statements: bool,
    trace: bool,
    schedule: Vec<String>,
}

impl World {
    pub(super) fn new(seed: u64, settings: Settings, shape: Shape) -> Self {
        let mut world = World {
            shape,
            settings,
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            now: Duration::ZERO,
            events: BTreeMap::new(),
            next_event: 0,
            nodes: BTreeMap::new(),
            cuts: BTreeSet::new(),
            holds: false,
            held: Vec::new(),
            lock_service: LockService::default(),
            held_locks: Vec::new(),
            referee: Referee::default(),
            open: BTreeMap::new(),
            next_request: 0,
            tokens: BTreeMap::new(),
            faults_over: false,
            installed: 0,
            read_at_followers: 0,
            wiped: 0,
            wiped_voters: 0,
            failed_syncs: 0,
            relayed: 0,
            statements: false,
            trace: false,
            schedule: Vec::new(),
        };
        for id in (1..=shape.nodes + shape.spares).map(NodeId) {
            let node = Node {
                core: None,
                wall: WallTime::default(),
                life: 0,
                paused_until: Duration::ZERO,
                clock: Clock::TRUE,
                disk: Vec::new(),
                saved: Saved::default(),
                purged: false,
                saves_at: Duration::ZERO,
                overtaken: 0,
                pending: VecDeque::new(),
                disk_busy_until: Duration::ZERO,
                timer: None,
            };
            world.nodes.insert(id, node);
            world.drift(id);
            world.restart(id);
        }
        for client in 0..CLIENTS {
            world.at(Duration::from_millis(500 + client), Event::Client(client));
        }
        world.at(Duration::from_millis(700), Event::Fault);
        if shape.spares > 0 {
            world.at(Duration::from_millis(600), Event::Operator);
        }
        world
    }

    /// Lets clients send statements too.
    pub(super) fn with_statements(mut self) -> Self {
        self.statements = true;
        self
    }

    /// Writes down what happens.
    pub(super) fn traced(mut self) -> Self {
        self.trace = true;
        self
    }

    pub(super) fn run(mut self) -> Verdict {
        let mut safety = self.run_until(LOAD);
        self.end_faults();
        let mut converged = false;
        let end = LOAD + SETTLE;
        while safety.is_ok() && self.now < end && !converged {
            safety = self.run_until((self.now + Duration::from_millis(100)).min(end));
            converged = self.has_converged();
        }
        // A broken promise is shown as such; what an unsafe schedule comes to is still of interest.
        while !converged && self.now < end {
            let _ = self.run_until((self.now + Duration::from_millis(100)).min(end));
            converged = self.has_converged();
        }
        if safety.is_ok() {
            safety = self.final_checks(converged);
        }
        let acknowledged = self.referee.acknowledged.len();
        let without_majority = !converged && self.is_without_majority();
        let lost = if converged { self.lost() } else { 0 };
        let grants = self.referee.grants();
        let changed = self.referee.changes_of_members();
        let World { installed, wiped, wiped_voters, .. } = self;
        let World { failed_syncs, relayed, read_at_followers, schedule, .. } = self;
        Verdict {
            safety,
            converged,
            acknowledged,
            lost,
            installed,
            grants,
            wiped,
            wiped_voters,
            without_majority,
            failed_syncs,
            relayed,
            changed,
            read_at_followers,
            schedule,
        }
    }

    fn run_until(&mut self, end: Now) -> Result<(), Violation> {
        let mut result = Ok(());
        while let Some((&(at, number), _)) = self.events.first_key_value() {
            if at > end {
                break;
            }
            let Some(event) = self.events.remove(&(at, number)) else { break };
            self.now = self.now.max(at);
            let step = self.happen(event);
            if result.is_ok() {
                result = step;
            }
        }
        self.now = end;
        result
    }

    fn final_checks(&mut self, converged: bool) -> Result<(), Violation> {
        if !converged {
            self.referee
                .replicas_agree(self.nodes.values().filter_map(|node| node.core.as_ref()))?;
            if self.is_without_majority() {
                return Ok(());
            }
            return Err("liveness: the healed cluster did not settle".to_string());
        }
        self.referee.refused_stays_refused()?;
        for core in self.nodes.values().filter_map(|node| node.core.as_ref()) {
            self.referee.executed(core)?;
        }
        match self.lost() {
            0 => Ok(()),
            lost => Err(format!("{lost} acknowledged writes are lost")),
        }
    }

    /// Whether an operator has removed a member just when another had lost its disk, so that those
    /// who hold the log are no majority any more. A leader refuses that if it can know of it.
    fn is_without_majority(&self) -> bool {
        let newest = self.nodes.values().filter_map(|node| node.core.as_ref());
        let newest = newest.map(|core| &core.configured).max_by_key(|configured| configured.id);
        let holds_log = |voter: &NodeId| self.nodes[voter].remembers().member.votes();
        newest.is_some_and(|newest| {
            newest.members.voters().filter(holds_log).count() < newest.majority()
        })
    }

    /// How many acknowledged writes the leader's log does not hold. After convergence that is every
    /// member's.
    fn lost(&self) -> usize {
        self.leading().map_or(0, |core| self.referee.lost(core).len())
    }

    /// The latest of those that lead.
    fn leading(&self) -> Option<&Core> {
        let cores = self.nodes.values().filter_map(|node| node.core.as_ref());
        cores.filter(|core| core.leader() == Some(core.me)).max_by_key(|core| core.epoch())
    }

    /// Whether one leader is followed by all members, it has committed all of its log, and all have
    /// applied that.
    fn has_converged(&self) -> bool {
        if self.nodes.values().any(|node| node.core.is_none()) {
            return false;
        }
        let Some(leader) = self.leading() else { return false };
        let is_member = |id: &NodeId| leader.configured.members.seat(*id).is_some();
        let members = self.nodes.iter().filter(|(id, _)| is_member(id));
        let cores: Vec<&Core> = members.filter_map(|(_, node)| node.core.as_ref()).collect();
        leader.state.applied() == leader.entries.last_index()
            && cores
                .iter()
                .all(|core| core.leader() == Some(leader.me) && core.state == leader.state)
            && cores.iter().all(|core| core.may_stand())
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        let target = match &event {
            Event::Deliver { to, .. }
            | Event::Notice { to, .. }
            | Event::LockAnswered { to, .. } => Some(*to),
            Event::Flushed { node, .. }
            | Event::Timer { node, .. }
            | Event::Written { node, .. } => Some(*node),
            _ => None,
        };
        if let Some(resume) = target.map(|node| self.nodes[&node].paused_until)
            && resume > self.now
        {
            // A stopped process finds everything in its sockets when it goes on, in any order.
            let micros = self.random.random_range(1..300);
            self.at(resume + Duration::from_micros(micros), event);
            return Ok(());
        }
        match event {
            Event::Deliver { from, to, message } => {
                self.note(|| format!("{from}->{to} {}", brief(&message)));
                self.step(to, Input::Message { from, message })
            }
            Event::Notice { to, input } => self.step(to, input),
            Event::Flushed { node, life, token } => self.flushed(node, life, token),
            Event::Written { node, life, number, saved } => self.written(node, life, number, saved),
            Event::Timer { node, life } => self.timer(node, life),
            Event::Client(client) => self.client(client),
            Event::Operator => self.operate(),
            Event::LockClient(client) => self.lock_client(client),
            Event::Ask(asked, retries) => self.ask(asked, retries),
            Event::LockAsked { from, life, number, ask } => {
                self.lock_asked(from, life, number, ask);
                Ok(())
            }
            Event::LockAnswered { to, life, number, answer } if self.nodes[&to].life == life => {
                self.step(to, Input::Lock { number, answer })
            }
            Event::LockAnswered { .. } => Ok(()),
            Event::Fault => self.fault(),
            Event::Restart(node) => {
                self.restart(node);
                Ok(())
            }
            Event::Heal => {
                self.heal();
                Ok(())
            }
        }
    }

    // --- nodes and disks ---

    fn restart(&mut self, id: NodeId) {
        let entropy = self.random.random_range(0..u64::MAX);
        if self.nodes[&id].core.is_some() {
            return;
        }
        let core = self.begin(id, &self.nodes[&id], entropy);
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.core = Some(core);
        node.wall = WallTime(CLOCK + entropy % CLOCK_SKEW);
        node.timer = None;
        node.disk_busy_until = self.now;
        (node.saves_at, node.overtaken) = (self.now, 0);
        self.note(|| format!("{id} starts"));
        self.arm(id);
    }

    /// A node as it begins with what is on its disk.
    fn begin(&self, id: NodeId, node: &Node, entropy: u64) -> Core {
        let founders = (1..=self.shape.nodes).map(NodeId).filter(|peer| *peer != id).collect();
        let now = node.clock.shows(self.now);
        let core = Core::new(id, founders, self.settings.clone(), node.remembers(), entropy, now);
        if id.0 > self.shape.nodes { core.joining() } else { core }
    }

    fn crash(&mut self, id: NodeId) {
        self.note(|| format!("{id} CRASHES"));
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if node.core.take().is_none() {
            return;
        }
        node.life += 1;
        node.paused_until = Duration::ZERO;
        // A prefix of what was being written may have reached the disk.
        let notes: Vec<Note> = node.pending.drain(..).flat_map(|(_, notes)| notes).collect();
        let kept = self.random.random_range(0..=notes.len());
        node.disk.extend(notes.into_iter().take(kept));
        let others: Vec<NodeId> = self.nodes.keys().copied().filter(|to| *to != id).collect();
        for to in others {
            if self.random.random_range(0..2) == 0 {
                self.soon(Event::Notice { to, input: Input::Closed(id) });
                self.soon(Event::Notice { to, input: Input::LinkLost(id) });
            }
        }
        let back = self.now + Duration::from_millis(self.random.random_range(20..900));
        self.at(back, Event::Restart(id));
    }

    fn timer(&mut self, id: NodeId, life: u32) -> Result<(), Violation> {
        let Some(node) = self.nodes.get_mut(&id) else { return Ok(()) };
        if node.life != life || node.timer.is_none_or(|at| at > self.now) {
            return Ok(());
        }
        node.timer = None;
        self.step(id, Input::Tick)
    }

    fn arm(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let Some(core) = &node.core else { return };
        let due = node.clock.when(core.next_timer()).max(self.now + Duration::from_micros(1));
        if node.timer.is_some_and(|at| at <= due && at > self.now) {
            return;
        }
        node.timer = Some(due);
        let life = node.life;
        self.at(due, Event::Timer { node: id, life });
    }

    /// One input into one core, its effects, and a look at what came of it.
    fn step(&mut self, id: NodeId, input: Input) -> Result<(), Violation> {
        let Some(node) = self.nodes.get_mut(&id) else { return Ok(()) };
        let now = node.clock.shows(self.now);
        let Some(core) = &mut node.core else { return Ok(()) };
        core.step(now, Input::Clock(WallTime(node.wall.0 + now.as_micros() as u64)));
        core.step(now, input);
        if core.next_timer() <= now {
            core.step(now, Input::Tick);
        }
        let effects = core.finish(now);
        let mut result = self.referee.inspect(core);
        for effect in effects {
            let done = self.carry_out(id, effect);
            result = result.and(done);
        }
        self.arm(id);
        result
    }

    fn carry_out(&mut self, id: NodeId, effect: Effect) -> Result<(), Violation> {
        match effect {
            Effect::Send { to, message } => self.send(id, to, message),
            Effect::Persist { notes, token } => self.persist(id, notes, token),
            Effect::Save { number, snapshot, received, at_once } => {
                let saved = Saved { snapshot, received };
                return self.save(id, number, saved, at_once);
            }
            Effect::Purge { upto } => self.purge(id, upto),
            Effect::Lock { number, ask } => self.ask_lock_service(id, number, ask),
            Effect::Members(_) => {}
            Effect::Archive { entries, .. } => return self.referee.cut(&entries, id),
            Effect::Reply { id, outcome } => return self.answer(id, outcome),
            Effect::Report(report) => {
                self.note(|| format!("{id}: {report:?}"));
                self.installed += usize::from(matches!(report, Report::Installed(_)));
                if let Report::Leads(claim) = report
                    && let Some(core) = &self.nodes[&id].core
                {
                    return self.referee.leads(core, claim);
                }
            }
        }
        Ok(())
    }

    // --- network ---

    fn send(&mut self, from: NodeId, to: NodeId, message: Message) {
        if let Message::Relayed { entries, .. } = &message {
            self.relayed += entries.len();
        }
        if self.cuts.contains(&(from, to)) {
            if self.holds {
                self.held.push((from, to, message));
            }
            return;
        }
        if self.chance(self.shape.loss) {
            return;
        }
        // A link never sends a frame twice, and a forward is the one message that relies on it.
        let once = matches!(message, Message::Forward { .. }) && !self.shape.doubles_forwards;
        if !once && self.chance(self.shape.loss) {
            self.deliver(from, to, message.clone());
        }
        self.deliver(from, to, message);
    }

    fn deliver(&mut self, from: NodeId, to: NodeId, message: Message) {
        let late = self.chance(2 * self.shape.loss);
        let micros = self.random.random_range(if late { 1_000..400_000 } else { 50..1_500 });
        self.at(self.now + Duration::from_micros(micros), Event::Deliver { from, to, message });
    }

    /// One of all nodes.
    fn any_node(&mut self) -> NodeId {
        NodeId(self.random.random_range(1..=self.shape.nodes + self.shape.spares))
    }

    fn chance(&mut self, percent: u32) -> bool {
        percent > 0 && self.random.random_range(0..100) < percent
    }

    // --- time ---

    fn at(&mut self, at: Now, event: Event) {
        self.next_event += 1;
        self.events.insert((at, self.next_event), event);
    }

    fn soon(&mut self, event: Event) {
        let micros = self.random.random_range(50..5_000);
        self.at(self.now + Duration::from_micros(micros), event);
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if self.trace {
            self.schedule.push(format!("{:>9.3} ms  {}", self.now.as_secs_f64() * 1e3, line()));
        }
    }
}

fn brief(message: &Message) -> String {
    match message {
        Message::Append { claim, round, prev, entries, committed, .. } => format!(
            "append as {claim} round {round} after {} x{} committed {committed}",
            prev.index,
            entries.len()
        ),
        other => format!("{other:?}"),
    }
}
