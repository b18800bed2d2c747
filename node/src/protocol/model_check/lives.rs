//! A node of the model: what it is, as a function of what it was fed.
//!
//! A core can neither be copied nor compared, and need not be. It is deterministic, so a node's
//! state is the list of its inputs, and two lists that lead to the same state are one. This file
//! numbers the states that were met. Each number stands for one such list; a core is made by
//! feeding that list to a fresh one, once for every input that is tried in that state. Everything
//! else, the cluster's states and the steps between them, is numbers (`mod.rs`).

use std::collections::hash_map::{DefaultHasher, Entry};
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::super::{
    Claim, ConfigurationChange, Core, Effect, EntryId, Input, Member, Message, NodeId, Note, Now,
    Remembered, Request, Role, Saved, Token,
};
use crate::config::Settings;
use crate::state::{Command, Configuration};

/// Number of a state of one node.
pub(super) type LifeId = u32;

/// A message on a link, as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mail {
    /// Sender and receiver, counted from zero, as two digits to the base [`LINKS`].
    pub(super) link: u16,
    message: u32,
}

/// More than there are nodes in a model.
const LINKS: u16 = 16;

impl Mail {
    /// The receiver, counted from zero.
    pub(super) fn to(self) -> usize {
        usize::from(self.link % LINKS)
    }

    pub(super) fn link_in_words(link: u16) -> String {
        format!("n{}->n{}", link / LINKS + 1, link % LINKS + 1)
    }
}

/// What a node can be fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fed {
    /// A message arrives.
    Mail(Mail),
    /// Its next timer fires. Its clock does not move otherwise.
    Timer,
    /// A client writes.
    Write,
    /// An operator adds a node.
    Add(NodeId),
    /// An operator removes a member.
    Remove(NodeId),
    /// The oldest batch on its way to the disk gets there.
    Flushed,
    /// It is killed, and started with what is on its disk and so many of the notes that were on
    /// their way.
    Crash(usize),
}

/// What the properties are about, of one node in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// As whom it leads.
    pub(super) leads: Option<Claim>,
    /// The epoch it is in.
    pub(super) epoch: u64,
    /// Its whole log.
    pub(super) log: Vec<EntryId>,
    /// How much of it is committed.
    pub(super) committed: usize,
    /// How many notes are on their way to its disk.
    pub(super) unflushed: usize,
    /// Whom it counts as the cluster, and under whose leadership that was appended.
    pub(super) members: (Arc<Configuration>, Claim),
}

/// What came of feeding a node something.
#[derive(Clone, Debug)]
pub(super) struct After {
    /// The state it is in then.
    pub(super) life: LifeId,
    /// What it sent.
    pub(super) sent: Vec<Mail>,
}

#[derive(Debug)]
struct Life {
    node: NodeId,
    fed: Vec<Fed>,
    seen: Seen,
}

/// Every state of a node and every message that was met.
#[derive(Debug)]
pub(super) struct Lives {
    settings: Settings,
    founders: u16,
    /// Whether a disk has at once what it is given.
    prompt: bool,
    lives: Vec<Life>,
    numbers: HashMap<(NodeId, u64), LifeId>,
    messages: Vec<(NodeId, NodeId, Message)>,
    numbers_of_messages: HashMap<(u16, Vec<u8>), u32>,
    after: HashMap<(LifeId, Fed), After>,
}

impl Lives {
    pub(super) fn new(settings: Settings, founders: u16, prompt: bool) -> Self {
        Lives {
            settings,
            founders,
            prompt,
            lives: Vec::new(),
            numbers: HashMap::new(),
            messages: Vec::new(),
            numbers_of_messages: HashMap::new(),
            after: HashMap::new(),
        }
    }

    /// A node that was never fed anything: a founder, or one with an empty disk that waits to be
    /// added.
    pub(super) fn newborn(&mut self, node: NodeId) -> LifeId {
        let machine = Machine::new(node, self.founders, &self.settings, self.prompt);
        self.number(node, Vec::new(), &machine)
    }

    pub(super) fn seen(&self, life: LifeId) -> &Seen {
        &self.lives[life as usize].seen
    }

    /// A message, with its sender and its receiver.
    pub(super) fn message(&self, mail: Mail) -> &(NodeId, NodeId, Message) {
        &self.messages[mail.message as usize]
    }

    /// How many states of single nodes were met.
    pub(super) fn count(&self) -> usize {
        self.lives.len()
    }

    /// Feeds a node something.
    pub(super) fn feed(&mut self, life: LifeId, fed: Fed) -> After {
        if let Some(after) = self.after.get(&(life, fed)) {
            return after.clone();
        }
        let Life { node, fed: before, .. } = &self.lives[life as usize];
        let (node, mut inputs) = (*node, before.clone());
        let mut machine = Machine::new(node, self.founders, &self.settings, self.prompt);
        for input in &inputs {
            machine.feed(*input, &self.messages);
        }
        machine.sent.clear();
        machine.feed(fed, &self.messages);
        inputs.push(fed);
        let sent = std::mem::take(&mut machine.sent);
        let sent = sent.into_iter().map(|(to, message)| self.mail(node, to, message)).collect();
        let after = After { life: self.number(node, inputs, &machine), sent };
        self.after.insert((life, fed), after.clone());
        after
    }

    fn number(&mut self, node: NodeId, fed: Vec<Fed>, machine: &Machine) -> LifeId {
        let next = LifeId::try_from(self.lives.len()).expect("fewer states than that");
        match self.numbers.entry((node, machine.fingerprint())) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.lives.push(Life { node, fed, seen: machine.seen() });
                *new.insert(next)
            }
        }
    }

    fn mail(&mut self, from: NodeId, to: NodeId, message: Message) -> Mail {
        let link = (from.0 - 1) * LINKS + to.0 - 1;
        let bytes = postcard::to_allocvec(&message).expect("a message encodes");
        let next = u32::try_from(self.messages.len()).expect("fewer messages than that");
        let message = match self.numbers_of_messages.entry((link, bytes)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.messages.push((from, to, message));
                *new.insert(next)
            }
        };
        Mail { link, message }
    }
}

/// A core with its disk and its clock, fed in the way of the runtime.
struct Machine {
    settings: Settings,
    prompt: bool,
    /// With whom it founds the cluster; `None` if it waits to be added.
    founding: Option<Vec<NodeId>>,
    core: Core,
    now: Now,
    disk: Vec<Note>,
    /// Batches on their way to disk.
    pending: VecDeque<(Token, Vec<Note>)>,
    sent: Vec<(NodeId, Message)>,
    requests: u64,
    /// How often it was started.
    starts: u64,
}

impl Machine {
    fn new(me: NodeId, founders: u16, settings: &Settings, prompt: bool) -> Self {
        let founds = me.0 <= founders;
        let disk: Vec<Note> = founds.then(|| Note::Member(Member::founder())).into_iter().collect();
        let peers = (1..=founders).map(NodeId).filter(|peer| *peer != me);
        let founding = founds.then(|| peers.collect());
        Machine {
            core: start(me, founding.clone(), settings, &disk, 1),
            founding,
            settings: settings.clone(),
            prompt,
            now: Now::ZERO,
            disk,
            pending: VecDeque::new(),
            sent: Vec::new(),
            requests: 0,
            starts: 1,
        }
    }

    fn feed(&mut self, fed: Fed, messages: &[(NodeId, NodeId, Message)]) {
        match fed {
            Fed::Mail(mail) => {
                let (from, _, message) = &messages[mail.message as usize];
                self.step(Input::Message { from: *from, message: message.clone() });
            }
            Fed::Timer => {
                self.now = self.now.max(self.core.next_timer());
                self.step(Input::Tick);
            }
            Fed::Write => {
                self.requests += 1;
                let value = self.requests.to_string().into();
                let request = Request::Write(Command::Put { key: "k".into(), value }.into());
                self.request(request);
            }
            Fed::Add(node) => {
                self.requests += 1;
                let address = SocketAddr::from(([127, 0, 0, 1], node.0));
                self.request(Request::Configure(ConfigurationChange::Add { node, address }));
            }
            Fed::Remove(node) => {
                self.requests += 1;
                self.request(Request::Configure(ConfigurationChange::Remove { node }));
            }
            Fed::Flushed => self.flush(),
            Fed::Crash(kept) => {
                let notes = self.pending.drain(..).flat_map(|(_, notes)| notes);
                self.disk.extend(notes.take(kept));
                let (me, founding) = (self.core.me, self.founding.clone());
                self.starts += 1;
                self.core = start(me, founding, &self.settings, &self.disk, self.starts);
                self.now = Now::ZERO;
            }
        }
        while self.prompt && !self.pending.is_empty() {
            self.flush();
        }
    }

    fn request(&mut self, request: Request) {
        let deadline = self.now + PATIENCE;
        self.step(Input::Request { id: self.requests, request, deadline });
    }

    fn flush(&mut self) {
        if let Some((token, notes)) = self.pending.pop_front() {
            self.disk.extend(notes);
            self.step(Input::Flushed(token));
        }
    }

    fn step(&mut self, input: Input) {
        self.core.step(self.now, input);
        for effect in self.core.finish(self.now) {
            match effect {
                Effect::Send { to, message } => self.sent.push((to, message)),
                Effect::Persist { notes, token } => self.pending.push_back((token, notes)),
                // Evidence, answers and lines for people change nothing in the cluster; links to
                // members are there before they are dialled.
                Effect::Archive { .. }
                | Effect::Reply { .. }
                | Effect::Members(_)
                | Effect::Report(_) => {}
                Effect::Save { .. } | Effect::Purge { .. } => {
                    unreachable!("so few writes make no snapshot")
                }
                Effect::Lock { .. } => unreachable!("leaders are elected by votes"),
            }
        }
    }

    /// All that decides what the node does from now on, as a number. Whoever adds a field to the
    /// core decides here whether it belongs to that.
    fn fingerprint(&self) -> u64 {
        let Core {
            random,
            dice,
            now,
            wall,
            born,
            life,
            hard,
            hard_token,
            entries,
            durable,
            committed,
            state,
            snapshots,
            relay,
            role,
            place,
            freshness,
            sessions,
            membership,
            configured,
            removed,
            suspicion,
            passing,
            lease,
            forwards,
            compared,
            barrier,
            // They are the same in every state of a node, or follow from its configuration.
            me: _,
            peers: _,
            founders: _,
            settings: _,
            // They were carried out.
            effects: _,
            // They are for people, and decide nothing.
            counters: _,
        } = &self.core;
        let time = (random, dice, now, wall, born, life, suspicion, freshness);
        let log = (hard, hard_token, entries, durable, committed, barrier);
        let data = (state, snapshots, relay, compared, sessions);
        let members = (membership, configured, removed);
        let others = (role, place, members, passing, lease, forwards);
        let here = (self.now, &self.disk, &self.pending, self.requests, self.starts);
        let mut hasher = DefaultHasher::new();
        format!("{time:?}{log:?}{data:?}{others:?}{here:?}").hash(&mut hasher);
        hasher.finish()
    }

    fn seen(&self) -> Seen {
        let core = &self.core;
        Seen {
            leads: match &core.role {
                Role::Leader(leader) => Some(leader.claim),
                _ => None,
            },
            epoch: core.epoch(),
            log: core.entries.after(0).map(|entry| entry.id).collect(),
            committed: usize::try_from(core.committed).expect("a short log"),
            unflushed: self.pending.iter().map(|(_, notes)| notes.len()).sum(),
            members: (Arc::clone(&core.configured.members), core.configured.id.claim),
        }
    }
}

/// A client waits longer than the model lasts.
const PATIENCE: Duration = Duration::from_secs(3600);

/// A node that finds this on its disk, in one of its lives.
fn start(
    me: NodeId,
    founding: Option<Vec<NodeId>>,
    settings: &Settings,
    disk: &[Note],
    starts: u64,
) -> Core {
    let remembered = Remembered::replay(Saved::default(), false, disk.iter().cloned());
    let remembered = remembered.expect("a disk replays");
    // Every process has entropy of its own.
    let entropy = starts << 16 | u64::from(me.0);
    let joins = founding.is_none();
    let peers = founding.unwrap_or_default();
    let core = Core::new(me, peers, settings.clone(), remembered, entropy, Now::ZERO);
    if joins { core.joining() } else { core }
}
