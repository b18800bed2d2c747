//! Watches: what is certainly wrong is known while a history is still growing.
//!
//! A watch takes the events of a run as the recorder orders them and says at once when what it has
//! seen so far can have no explanation, whatever comes later. It is a second opinion that comes
//! early, and no judge: it gives no verdict, it passes nothing, and whoever acts on its word has the
//! checkers judge the history as always. What it says they must find as well, in the history up to
//! that event and in every longer one; tests hold that, and the brute force is asked too.
//!
//! An operation that is still open may take effect at any time or never, so a read of a value that
//! was sent and not yet answered is fine. All that orders is the recorder's sequence.
//!
//! | workload | known at once | known at the end alone |
//! |---|---|---|
//! | register | everything that is not linearizable, at the first event at which it is not | lost writes; keys with deletes, values written twice, refusals that do not say what they saw |
//! | set | `phantom`, aborted, twice in one list, missing after it was there | lists that fork |
//! | append, idempotent-retry | the same, and lists that go on differently, elements out of order | cycles of transactions |
//! | counter | two increments to one sum, more than was sent, less than was seen before | which increments of unknown outcome happened |
//! | unique-ids | an id given twice | nothing |
//! | bank | a wrong sum | nothing |
//! | queue | taken twice, never added, taken out of order | lost elements, and found empty when it was not |
//! | lock | two holders by their times to live, tokens that shrink or come twice, late writes that are let through, and what the locks protect as registers | holders that only others name, locks that are gone too early |
//! | sessions | everything | nothing |
//! | bounded-reads | `phantom` | reads that are too old |
//!
//! A lost write shows in the final reads and replicas that differ in the local ones, so neither is
//! ever known before the end.
//!
//! The harness feeds one from its recorder; [`over`] feeds one from a history. `workload` says
//! which watch a workload has.

mod bank;
mod bounded;
mod counter;
mod elements;
mod list;
mod lock;
mod queue;
mod register;
mod sessions;
mod set;
#[cfg(test)]
pub(crate) mod tests;
mod unique_ids;
mod zones;

use rustc_hash::FxHashMap;

pub(crate) use bank::Bank;
pub(crate) use bounded::Bounded;
pub(crate) use counter::Counters;
pub(crate) use list::Lists;
pub(crate) use lock::Locks;
pub(crate) use queue::Queues;
pub(crate) use register::Registers;
pub(crate) use sessions::Sessions;
pub(crate) use set::Set;
pub(crate) use unique_ids::UniqueIds;

use crate::history::{History, Operation, Stamp};
use crate::operation::{ClientId, Key, Op, Outcome};
use crate::verdict::AnomalyKind;

/// How many values a watch keeps: of registers some 150 bytes each, so a third of a gigabyte at
/// most beside the stores of a run. At the default rate that is more than an hour of writes.
pub const VALUES_MAX: usize = 2 << 20;

/// Something that has no explanation, whatever comes later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its name as far as it is known by now. A checker that sees more may call it by another one: a
    /// phantom may turn out a read of the future.
    pub kind: AnomalyKind,
    /// What it happened to.
    pub key: Key,
    /// Whose operation showed it.
    pub client: ClientId,
    /// When that operation began.
    pub invoked: Stamp,
    /// The event with which it was proven.
    pub proven: Stamp,
    /// In a few words, such as "read r1 saw 5, which nobody sent".
    pub what: String,
}

/// How far a watch can be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It has looked at everything so far.
    Whole,
    /// It leaves a part to the checkers at the end; the first reason.
    Part(String),
    /// It has given up, for this reason, and will say nothing more.
    Gone(String),
}

/// Watches one workload's history while it grows.
pub struct Watcher {
    watch: Box<dyn Watch>,
    open: FxHashMap<ClientId, Open>,
    notes: Notes,
    found: Option<Violation>,
    gone: Option<String>,
    values_max: usize,
}

/// An operation that is not answered.
struct Open {
    op: Op,
    is_final: bool,
    invoked: Stamp,
    mark: Mark,
}

impl Watcher {
    /// A watcher that has seen nothing. Get one from
    /// [`WorkloadSpec::watcher`](crate::workload::WorkloadSpec::watcher).
    pub(crate) fn new(watch: Box<dyn Watch>) -> Self {
        Watcher {
            watch,
            open: FxHashMap::default(),
            notes: Notes::default(),
            found: None,
            gone: None,
            values_max: VALUES_MAX,
        }
    }

    /// The same with another budget than [`VALUES_MAX`].
    pub fn with_values_max(mut self, values_max: usize) -> Self {
        self.values_max = values_max;
        self
    }

    /// A client is about to send an operation. Events must come in the order of their stamps.
    pub fn invoke(&mut self, stamp: Stamp, client: ClientId, is_final: bool, op: &Op) {
        if self.is_done() {
            return;
        }
        let call = Call { client, op, is_final, invoked: stamp };
        let mark = self.watch.begins(&call, &mut self.notes);
        let open = Open { op: op.clone(), is_final, invoked: stamp, mark };
        if self.open.insert(client, open).is_some() {
            return self.give_up(format!("{client} has two operations open at once"));
        }
        if self.watch.values() > self.values_max {
            let most = self.values_max;
            self.give_up(format!("it keeps at most {most} values, and there are more"));
        }
    }

    /// The open operation of a client has ended. Says what that proves, the first time that anything
    /// is proven; afterwards nothing is looked at any more.
    pub fn complete(
        &mut self,
        stamp: Stamp,
        client: ClientId,
        outcome: &Outcome,
    ) -> Option<&Violation> {
        if self.is_done() {
            return None;
        }
        let Open { op, is_final, invoked, mark } = self.open.remove(&client)?;
        let call = Call { client, op: &op, is_final, invoked };
        self.watch.ends(&call, &End { stamp, outcome, mark }, &mut self.notes);
        let Finding { kind, key, what } = self.notes.finding.take()?;
        (self.open, self.watch) = (FxHashMap::default(), Box::new(Nothing));
        self.found = Some(Violation { kind, key, client, invoked, proven: stamp, what });
        self.found()
    }

    /// What was proven, if anything.
    pub fn found(&self) -> Option<&Violation> {
        self.found.as_ref()
    }

    /// How far it can be relied on.
    pub fn sight(&self) -> Sight {
        match (&self.gone, &self.notes.aside) {
            (Some(why), _) => Sight::Gone(why.clone()),
            (None, Some(why)) => Sight::Part(why.clone()),
            (None, None) => Sight::Whole,
        }
    }

    /// Whether it has said all that it will ever say.
    pub fn is_done(&self) -> bool {
        self.found.is_some() || self.gone.is_some()
    }

    /// Gives up for a reason of whoever feeds it, such as that events were left out.
    pub fn give_up(&mut self, why: String) {
        self.gone = Some(why);
        // What it kept is of no use any more.
        (self.open, self.watch) = (FxHashMap::default(), Box::new(Nothing));
    }
}

/// Feeds a watcher a whole history; says what it found, at the event at which it did.
pub fn over(history: &History, watcher: Watcher) -> Option<Violation> {
    watch_all(history, watcher).0
}

fn watch_all(history: &History, mut watcher: Watcher) -> (Option<Violation>, Watcher) {
    let mut events: Vec<(Stamp, &Operation, bool)> =
        Vec::with_capacity(2 * history.operations.len());
    for operation in &history.operations {
        events.push((operation.invoked, operation, false));
        events.extend(operation.completed.map(|stamp| (stamp, operation, true)));
    }
    events.sort_unstable_by_key(|(stamp, ..)| stamp.seq);
    for (stamp, operation, is_end) in events {
        match is_end {
            false => {
                watcher.invoke(stamp, operation.client, operation.is_final, &operation.op);
            }
            true => {
                watcher.complete(stamp, operation.client, &operation.outcome);
            }
        }
    }
    (watcher.found().cloned(), watcher)
}

/// Place in the one order of events, as the checkers count it: zero is before everything.
type Place = u64;

/// Behind everything.
const NEVER: Place = Place::MAX;

fn place(stamp: Stamp) -> Place {
    stamp.seq.saturating_add(1)
}

/// What a watch wants to be told again when an operation ends: how much was certain when it began,
/// counted in the watch's own way.
pub(crate) type Mark = u64;

/// An operation, as it was sent.
pub(crate) struct Call<'a> {
    client: ClientId,
    op: &'a Op,
    is_final: bool,
    invoked: Stamp,
}

/// How it ended.
pub(crate) struct End<'a> {
    stamp: Stamp,
    outcome: &'a Outcome,
    mark: Mark,
}

/// Looks at the events of one workload.
pub(crate) trait Watch: Send {
    /// An operation begins. Nothing is ever proven by that.
    fn begins(&mut self, call: &Call<'_>, notes: &mut Notes) -> Mark;

    /// An operation ends.
    fn ends(&mut self, call: &Call<'_>, end: &End<'_>, notes: &mut Notes);

    /// How many values it keeps.
    fn values(&self) -> usize;
}

/// What a watch says.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    finding: Option<Finding>,
    aside: Option<String>,
}

#[derive(Debug)]
struct Finding {
    kind: AnomalyKind,
    key: Key,
    what: String,
}

impl Notes {
    /// Something has no explanation.
    fn proven(&mut self, kind: AnomalyKind, key: &Key, what: String) {
        self.finding.get_or_insert(Finding { kind, key: key.clone(), what });
    }

    /// Something is left to the checkers at the end.
    fn aside(&mut self, why: impl FnOnce() -> String) {
        self.aside.get_or_insert_with(why);
    }
}

/// In the place of a watch that is done.
struct Nothing;

impl Watch for Nothing {
    fn begins(&mut self, _: &Call<'_>, _: &mut Notes) -> Mark {
        0
    }

    fn ends(&mut self, _: &Call<'_>, _: &End<'_>, _: &mut Notes) {}

    fn values(&self) -> usize {
        0
    }
}
