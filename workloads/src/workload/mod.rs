//! Workloads: what clients do and what must hold of what they saw, under one name. One workload,
//! one file.
//!
//! A new workload is one file (parameters, generator, list of checkers), one variant of
//! [`WorkloadSpec`] and one line in each `match` below; the compiler names the places. The harness
//! drives clients with [`WorkloadSpec::generator`] and judges with [`WorkloadSpec::judge`];
//! `splitbrain check` has only a file and calls [`judge`].

mod append;
mod bank;
mod bounded_reads;
mod counter;
mod idempotent_retry;
mod lock;
mod queue;
mod register;
mod sessions;
mod set;
mod unique_ids;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use append::AppendSpec;
pub use bank::BankSpec;
pub use bounded_reads::BoundedReadsSpec;
pub use counter::CounterSpec;
pub use idempotent_retry::IdempotentRetrySpec;
pub use lock::LockSpec;
pub use queue::QueueSpec;
pub use register::RegisterSpec;
pub use sessions::SessionsSpec;
pub use set::SetSpec;
pub use unique_ids::UniqueIdsSpec;

use crate::checker::{self, Checker};
use crate::history::History;
use crate::operation::{Capability, ClientId, Op, OpKind, Outcome};
use crate::seed::Seed;
use crate::verdict::{Anomaly, AnomalyKind, Judgement};
use crate::watch::{self, Watch, Watcher};

/// A workload and its parameters, as a suite writes them: `set`, or `register: { keys: 8 }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkloadSpec {
    /// Reads, writes and compare-and-sets of registers.
    Register(RegisterSpec),
    /// Adds to a growing set, and reads of all of it.
    Set(SetSpec),
    /// Appends to lists and reads of them, alone or in transactions.
    Append(AppendSpec),
    /// Increments and reads of counters.
    Counter(CounterSpec),
    /// Transfers between accounts and reads of all.
    Bank(BankSpec),
    /// Ids taken from a counter.
    UniqueIds(UniqueIdsSpec),
    /// Sessions that write keys of their own.
    Sessions(SessionsSpec),
    /// Reads that may be so old and no older.
    BoundedReads(BoundedReadsSpec),
    /// Appends sent again under their idempotency key.
    IdempotentRetry(IdempotentRetrySpec),
    /// Adds to queues and takes from them.
    Queue(QueueSpec),
    /// Locks, and writes of what they protect.
    Lock(LockSpec),
}

/// Says what clients do next. One generator serves all clients of a run, so values are unique over
/// the run and a client that goes on under a new id goes on in the same stream. What it says
/// depends on its seed and on the order of its calls alone.
pub trait Generator {
    /// The next operation of a client, or `None` when the workload has nothing more to do (the
    /// `set` is full): the client then rests until the run ends.
    fn next(&mut self, client: ClientId) -> Option<Op>;

    /// How long a client sleeps before it asks what [`Generator::next`] has just given it; not at all,
    /// as a rule. The sleep belongs to what is tried, as a process may be stopped between any two of
    /// its steps. A client may be ended in its sleep and then asks nothing.
    fn pause(&mut self, _client: ClientId, _op: &Op) -> Option<Duration> {
        None
    }

    /// Tells the generator how an operation of a client ended, so that a compare-and-set can
    /// expect what was seen. To be called in the order in which the answers came.
    fn completed(&mut self, client: ClientId, op: &Op, outcome: &Outcome);
}

impl WorkloadSpec {
    /// The name, as suites and the history's header write it.
    pub fn name(&self) -> &'static str {
        match self {
            WorkloadSpec::Register(_) => register::NAME,
            WorkloadSpec::Set(_) => set::NAME,
            WorkloadSpec::Append(_) => append::NAME,
            WorkloadSpec::Counter(_) => counter::NAME,
            WorkloadSpec::Bank(_) => bank::NAME,
            WorkloadSpec::UniqueIds(_) => unique_ids::NAME,
            WorkloadSpec::Sessions(_) => sessions::NAME,
            WorkloadSpec::BoundedReads(_) => bounded_reads::NAME,
            WorkloadSpec::IdempotentRetry(_) => idempotent_retry::NAME,
            WorkloadSpec::Queue(_) => queue::NAME,
            WorkloadSpec::Lock(_) => lock::NAME,
        }
    }

    /// The workload in a few words, for reports: `register, 8 keys`.
    pub fn describe(&self) -> String {
        match self {
            WorkloadSpec::Register(spec) => spec.describe(),
            WorkloadSpec::Set(spec) => spec.describe(),
            WorkloadSpec::Append(spec) => spec.describe(),
            WorkloadSpec::Counter(spec) => spec.describe(),
            WorkloadSpec::Bank(spec) => spec.describe(),
            WorkloadSpec::UniqueIds(spec) => spec.describe(),
            WorkloadSpec::Sessions(spec) => spec.describe(),
            WorkloadSpec::BoundedReads(spec) => spec.describe(),
            WorkloadSpec::IdempotentRetry(spec) => spec.describe(),
            WorkloadSpec::Queue(spec) => spec.describe(),
            WorkloadSpec::Lock(spec) => spec.describe(),
        }
    }

    /// Refuses parameters that make no sense.
    ///
    /// # Errors
    ///
    /// One line: the field, what was expected, what it is.
    pub fn validate(&self) -> Result<(), String> {
        match self {
            WorkloadSpec::Register(spec) => spec.validate(),
            WorkloadSpec::Set(spec) => spec.validate(),
            WorkloadSpec::Append(spec) => spec.validate(),
            WorkloadSpec::Counter(spec) => spec.validate(),
            WorkloadSpec::Bank(spec) => spec.validate(),
            WorkloadSpec::UniqueIds(_) => Ok(()),
            WorkloadSpec::Sessions(spec) => spec.validate(),
            WorkloadSpec::BoundedReads(spec) => spec.validate(),
            WorkloadSpec::IdempotentRetry(spec) => spec.validate(),
            WorkloadSpec::Queue(spec) => spec.validate(),
            WorkloadSpec::Lock(spec) => spec.validate(),
        }
    }

    /// What a target must be able to do. The local reads at the end are not among it: a target
    /// without them leaves the agreement of its replicas `unknown`.
    pub fn needs(&self) -> Vec<Capability> {
        match self {
            WorkloadSpec::Register(spec) => spec.needs(),
            WorkloadSpec::Set(_) => vec![Capability::AtomicList],
            WorkloadSpec::Append(spec) => spec.needs(),
            WorkloadSpec::Counter(spec) => spec.needs(),
            WorkloadSpec::Bank(spec) => spec.needs(),
            WorkloadSpec::UniqueIds(spec) => spec.needs(),
            WorkloadSpec::Sessions(spec) => spec.needs(),
            WorkloadSpec::BoundedReads(spec) => spec.needs(),
            WorkloadSpec::IdempotentRetry(spec) => spec.needs(),
            WorkloadSpec::Queue(spec) => spec.needs(),
            WorkloadSpec::Lock(spec) => spec.needs(),
        }
    }

    /// The generator for all clients of a run. It draws from the stream `workload` of the seed.
    pub fn generator(&self, seed: Seed) -> Box<dyn Generator + Send> {
        match self {
            WorkloadSpec::Register(spec) => Box::new(spec.generator(seed)),
            WorkloadSpec::Set(spec) => Box::new(spec.generator()),
            WorkloadSpec::Append(spec) => Box::new(spec.generator(seed)),
            WorkloadSpec::Counter(spec) => Box::new(spec.generator(seed)),
            WorkloadSpec::Bank(spec) => Box::new(spec.generator(seed)),
            WorkloadSpec::UniqueIds(spec) => Box::new(spec.generator()),
            WorkloadSpec::Sessions(spec) => Box::new(spec.generator(seed)),
            WorkloadSpec::BoundedReads(spec) => Box::new(spec.generator(seed)),
            WorkloadSpec::IdempotentRetry(spec) => Box::new(spec.generator(seed)),
            WorkloadSpec::Queue(spec) => Box::new(spec.generator(seed)),
            WorkloadSpec::Lock(spec) => Box::new(spec.generator(seed)),
        }
    }

    /// The linearizable reads at the end, after the heal, of all that is left. The history must
    /// mark them as final.
    pub fn final_operations(&self) -> Vec<Op> {
        self.reads_of_all(crate::operation::Consistency::Linearizable)
    }

    /// The local reads to be done at every node at the end, after the final reads. The history
    /// must mark them as final and name the node of each.
    pub fn local_operations(&self) -> Vec<Op> {
        self.reads_of_all(crate::operation::Consistency::Local)
    }

    fn reads_of_all(&self, consistency: crate::operation::Consistency) -> Vec<Op> {
        match self {
            WorkloadSpec::Register(spec) => spec.reads_of_all(consistency),
            WorkloadSpec::Set(_) => vec![set::list_of_all(consistency)],
            WorkloadSpec::Append(spec) => spec.reads_of_all(consistency),
            WorkloadSpec::Counter(spec) => spec.reads_of_all(consistency),
            WorkloadSpec::Bank(spec) => spec.reads_of_all(consistency),
            WorkloadSpec::UniqueIds(spec) => spec.reads_of_all(consistency),
            WorkloadSpec::Sessions(spec) => spec.reads_of_all(consistency),
            WorkloadSpec::BoundedReads(spec) => spec.reads_of_all(consistency),
            WorkloadSpec::IdempotentRetry(spec) => spec.reads_of_all(consistency),
            WorkloadSpec::Queue(spec) => spec.reads_of_all(consistency),
            WorkloadSpec::Lock(spec) => spec.reads_of_all(consistency),
        }
    }

    /// Judges a history with all checkers of this workload. A checker that panics says `unknown`;
    /// so do all of them about a history that is empty or cut off.
    pub fn judge(&self, history: &History) -> Vec<Judgement> {
        checker::run_all(self.checkers(), history)
    }

    /// Watches a history of this workload while it grows.
    pub fn watcher(&self) -> Watcher {
        watcher_of(self.name()).expect("every workload has a watch")
    }

    /// The kinds of operation that clients of this workload make, final reads left out.
    pub fn kinds(&self) -> Vec<OpKind> {
        match self {
            WorkloadSpec::Register(spec) => spec.kinds(),
            WorkloadSpec::Set(_) => vec![OpKind::Write, OpKind::List],
            WorkloadSpec::Append(spec) => spec.kinds(),
            WorkloadSpec::Counter(spec) => spec.kinds(),
            WorkloadSpec::Bank(spec) => spec.kinds(),
            WorkloadSpec::UniqueIds(spec) => spec.kinds(),
            WorkloadSpec::Sessions(spec) => spec.kinds(),
            WorkloadSpec::BoundedReads(spec) => spec.kinds(),
            WorkloadSpec::IdempotentRetry(spec) => spec.kinds(),
            WorkloadSpec::Queue(spec) => spec.kinds(),
            WorkloadSpec::Lock(spec) => spec.kinds(),
        }
    }

    /// The checkers of this workload, in the order of the judgements.
    pub fn checkers(&self) -> &'static [Checker] {
        match self {
            WorkloadSpec::Register(_) => register::CHECKERS,
            WorkloadSpec::Set(_) => set::CHECKERS,
            WorkloadSpec::Append(_) => append::CHECKERS,
            WorkloadSpec::Counter(_) => counter::CHECKERS,
            WorkloadSpec::Bank(_) => bank::CHECKERS,
            WorkloadSpec::UniqueIds(_) => unique_ids::CHECKERS,
            WorkloadSpec::Sessions(_) => sessions::CHECKERS,
            WorkloadSpec::BoundedReads(_) => bounded_reads::CHECKERS,
            WorkloadSpec::IdempotentRetry(_) => idempotent_retry::CHECKERS,
            WorkloadSpec::Queue(_) => queue::CHECKERS,
            WorkloadSpec::Lock(_) => lock::CHECKERS,
        }
    }
}

/// Judges a history by the name of the workload in its header, as `splitbrain check` does, with
/// nothing but the file at hand. A name that no workload has gives one `unknown` judgement.
pub fn judge(history: &History) -> Vec<Judgement> {
    let name = history.header.workload.as_str();
    match checkers_of(name) {
        Some(checkers) => checker::run_all(checkers, history),
        None => vec![Judgement::unknown(
            "workload",
            format!(
                "the history is of a workload \"{name}\", whose checkers this build does not \
                 know: expected one of {}",
                WORKLOADS.map(|(name, _)| name).join(", ")
            ),
        )],
    }
}

/// Whether a history is one of a set, which has one order of all its operations.
pub(crate) fn is_set(history: &History) -> bool {
    history.header.workload == set::NAME
}

pub(crate) fn checkers_of(workload: &str) -> Option<&'static [Checker]> {
    match workload {
        register::NAME => Some(register::CHECKERS),
        set::NAME => Some(set::CHECKERS),
        append::NAME => Some(append::CHECKERS),
        counter::NAME => Some(counter::CHECKERS),
        bank::NAME => Some(bank::CHECKERS),
        unique_ids::NAME => Some(unique_ids::CHECKERS),
        sessions::NAME => Some(sessions::CHECKERS),
        bounded_reads::NAME => Some(bounded_reads::CHECKERS),
        idempotent_retry::NAME => Some(idempotent_retry::CHECKERS),
        queue::NAME => Some(queue::CHECKERS),
        lock::NAME => Some(lock::CHECKERS),
        _ => None,
    }
}

/// Watches a history of the workload of this name while it grows; `None` if no workload has it.
pub fn watcher_of(workload: &str) -> Option<Watcher> {
    let watch: Box<dyn Watch> = match workload {
        register::NAME => Box::new(watch::Registers::default()),
        set::NAME => Box::new(watch::Set::default()),
        append::NAME | idempotent_retry::NAME => Box::new(watch::Lists::default()),
        counter::NAME => Box::new(watch::Counters::default()),
        bank::NAME => Box::new(watch::Bank::default()),
        unique_ids::NAME => Box::new(watch::UniqueIds::default()),
        sessions::NAME => Box::new(watch::Sessions::default()),
        bounded_reads::NAME => Box::new(watch::Bounded::default()),
        queue::NAME => Box::new(watch::Queues::default()),
        lock::NAME => Box::new(watch::Locks::default()),
        _ => return None,
    };
    Some(Watcher::new(watch))
}

/// Every workload's name and one line of what its clients do, for `list`.
pub const WORKLOADS: [(&str, &str); 11] = [
    (register::NAME, register::SUMMARY),
    (set::NAME, set::SUMMARY),
    (append::NAME, append::SUMMARY),
    (counter::NAME, counter::SUMMARY),
    (bank::NAME, bank::SUMMARY),
    (unique_ids::NAME, unique_ids::SUMMARY),
    (sessions::NAME, sessions::SUMMARY),
    (bounded_reads::NAME, bounded_reads::SUMMARY),
    (idempotent_retry::NAME, idempotent_retry::SUMMARY),
    (queue::NAME, queue::SUMMARY),
    (lock::NAME, lock::SUMMARY),
];

/// A parameter: its name, its value, the least and the most it may be, and the reason.
type InRange<'a> = (&'a str, u32, u32, u32, &'a str);

/// Refuses the first parameter that is out of range.
fn in_ranges(ranges: &[InRange<'_>]) -> Result<(), String> {
    match ranges.iter().find(|(_, got, least, most, _)| !(least..=most).contains(&got)) {
        None => Ok(()),
        Some((name, got, least, most, why)) => {
            Err(format!("{name}: expected {least} to {most} ({why}), got {got}"))
        }
    }
}

/// The minimal history of an anomaly that a judgement holds: what [`checker::minimal`] makes with
/// the checker that found it.
///
/// # Errors
///
/// Why there is none: what proves the anomaly is not the impossibility of a few operations.
///
/// # Panics
///
/// If the judgement is not of a checker of this build, or the anomaly not of this history.
pub fn minimal(
    history: &History,
    judgement: &Judgement,
    anomaly: &Anomaly,
) -> Result<History, &'static str> {
    match (history.header.workload.as_str(), anomaly.kind) {
        (counter::NAME, AnomalyKind::Phantom) => {
            return Err("what a counter may be at most is proven by all increments together");
        }
        (_, AnomalyKind::WrongTotal) => {
            return Err("a sum is a matter of arithmetic, not of the order of operations");
        }
        (_, AnomalyKind::Overdraft) => {
            return Err("a balance is a matter of arithmetic, not of the order of operations");
        }
        (sessions::NAME, kind) if kind != AnomalyKind::Divergence => {
            return Err("what a session may expect is less than one order of all operations");
        }
        (queue::NAME, _) if checker::queue::is_counted(history, anomaly) => {
            return Err("what dequeues of unknown outcome took is a matter of all operations");
        }
        _ => {}
    }
    let checkers = checkers_of(&history.header.workload).unwrap_or_default();
    let checker = checkers.iter().find(|checker| checker.name == judgement.checker);
    let checker = checker.expect("a judgement is of a checker of its workload");
    Ok(checker::minimal::minimal(history, anomaly, checker))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_a_name_is_what_a_suite_writes() {
        for (name, _) in WORKLOADS {
            let spec: WorkloadSpec =
                serde_json::from_value(serde_json::json!({ name: {} })).unwrap();
            assert_eq!(spec.validate(), Ok(()));
            assert_eq!(spec.name(), name);
            assert!(!spec.checkers().is_empty() && !spec.final_operations().is_empty());
            assert_eq!(checkers_of(name).map(<[Checker]>::len), Some(spec.checkers().len()));
            assert_eq!(spec.watcher().sight(), watch::Sight::Whole);
        }
    }

    #[test]
    fn descriptions_are_short() {
        let register = WorkloadSpec::Register(RegisterSpec { hot: 50, ..Default::default() });
        assert_eq!(register.describe(), "register, 8 keys, 50 % on r0");
        assert_eq!(WorkloadSpec::Set(Default::default()).describe(), "set, up to 50000 elements");
    }

    #[test]
    fn the_same_seed_and_the_same_calls_give_the_same_operations() {
        let spec = WorkloadSpec::Register(Default::default());
        let operations = |seed| {
            let mut generator = spec.generator(seed);
            (0..100).map(|i| generator.next(ClientId(i % 5))).collect::<Vec<_>>()
        };
        assert_eq!(operations(Seed(1)), operations(Seed(1)));
        assert_ne!(operations(Seed(1)), operations(Seed(2)));
    }
}
