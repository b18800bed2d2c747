//! The versions of one register: which operation wrote which value, which value followed which,
//! and who saw them. Written values are unique, so every observation names its writer, and the
//! successful compare-and-sets link versions into chains whose order is forced.
//!
//! `linearizable` builds its zones on this, `lost_write` asks what the final value descends from.
//! It does not judge order; it only finds what is wrong with single observations.

use rustc_hash::FxHashMap;

use crate::history::{History, MISMATCH, Operation, OperationId};
use crate::operation::{Key, Op, Outcome, Reply, Value};

/// Places in the one order of events. Zero is before everything, [`NEVER`] after everything.
pub(super) type Place = u64;

/// The end of what never ended.
pub(super) const NEVER: Place = Place::MAX;

/// Where an operation begins.
pub(super) fn begin(operation: &Operation) -> Place {
    operation.invoked.seq.saturating_add(1)
}

/// Where an operation ends; [`NEVER`] for one whose outcome is unknown.
pub(super) fn end(operation: &Operation) -> Place {
    operation.ended().map_or(NEVER, |seq| seq.saturating_add(1))
}

/// Index of a version of a key; zero is the initial absence.
pub(super) type VersionId = usize;

/// The initial version.
pub(super) const ABSENT: VersionId = 0;

/// How a version came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parent {
    /// It was there from the beginning, or written whatever was there before.
    None,
    /// By a compare-and-set from this version.
    From(VersionId),
    /// By a compare-and-set from a value that no operation can have written, or that contradicts
    /// itself.
    Impossible,
}

/// One value of a key.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) value: Option<Value>,
    /// The operation that wrote it; `None` for the initial version.
    pub(super) writer: Option<OperationId>,
    /// Of the writer.
    pub(super) begin: Place,
    /// Of the writer.
    pub(super) end: Place,
    pub(super) parent: Parent,
    /// Whether it certainly came into being: acknowledged, or seen.
    pub(super) effective: bool,
    /// Of a version whose writer was never answered: who saw it. Without that operation nothing
    /// would prove that it came into being.
    pub(super) witness: Option<OperationId>,
    /// The read of it that ended first.
    pub(super) first_read_end: (Place, Option<OperationId>),
    /// The read of it that began last.
    pub(super) last_read_begin: (Place, Option<OperationId>),
}

/// What is wrong with an observation alone, whatever the order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Oddity {
    /// Something saw a value that no operation can have written. `failed` certainly did not.
    Unwritten { seen_by: OperationId, failed: Option<OperationId> },
    /// The value that something saw can only come, perhaps by way of others, from a compare-and-set
    /// of unknown outcome that expected a value that no operation can have written.
    FromUnwritten { seen_by: OperationId, swap: OperationId },
    /// A compare-and-set was refused although it saw what it expected.
    RefusedMatch { operation: OperationId },
    /// A compare-and-set swapped although it saw something else than it expected.
    SwappedMismatch { operation: OperationId },
}

/// Everything that was written and seen under one key.
pub(super) struct Versions<'h> {
    pub(super) history: &'h History,
    pub(super) key: Key,
    /// Of this key, in order of invocation.
    pub(super) operations: Vec<OperationId>,
    pub(super) versions: Vec<Version>,
    pub(super) oddities: Vec<Oddity>,
    /// Compare-and-sets that were refused without saying what the key held.
    pub(super) silent_mismatches: u64,
    by_value: FxHashMap<Value, VersionId>,
    failed: FxHashMap<Value, OperationId>,
}

/// Why the versions of a key cannot be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undecided {
    /// Some value was written more than once.
    RepeatedValues,
    /// Absence was written by deletes.
    Deletes,
    /// It was treated as something else than a register.
    BeyondRegisters,
}

/// Why a history says nothing about registers, if so: an operation that is none of theirs.
pub(super) fn beyond_registers(history: &History) -> Option<String> {
    let is_beyond = |op: &Op| match op {
        Op::Increment { .. }
        | Op::Append { .. }
        | Op::ReadList { .. }
        | Op::Enqueue { .. }
        | Op::Dequeue { .. }
        | Op::ReadQueue { .. }
        | Op::Acquire { .. }
        | Op::Renew { .. }
        | Op::Release { .. }
        | Op::WriteGuarded { .. }
        | Op::ReadGuarded { .. }
        | Op::Transaction(_)
        | Op::Once { .. } => true,
        Op::Read { .. }
        | Op::Write { .. }
        | Op::CompareAndSet { .. }
        | Op::Delete { .. }
        | Op::List { .. } => false,
    };
    let beyond = history.operations.iter().find(|operation| is_beyond(&operation.op))?;
    Some(format!("registers with \"{}\" are undecided", beyond.op))
}

/// The operations of each key in order of invocation, keys in order of first use. Local reads are
/// left out; so are lists, which belong to no key, and which the caller counts.
pub(super) fn by_key(history: &History) -> Vec<(Key, Vec<OperationId>)> {
    let mut index: FxHashMap<&str, usize> = FxHashMap::default();
    let mut keys: Vec<(Key, Vec<OperationId>)> = Vec::new();
    for operation in &history.operations {
        if operation.op.is_local() || matches!(operation.op, Op::List { .. }) {
            continue;
        }
        let key = operation.op.key();
        let place = *index.entry(key.as_str()).or_insert_with(|| {
            keys.push((key.clone(), Vec::new()));
            keys.len() - 1
        });
        keys[place].1.push(operation.id);
    }
    keys
}

impl<'h> Versions<'h> {
    /// Reads the operations of one key.
    pub(super) fn of(
        history: &'h History,
        key: Key,
        operations: &[OperationId],
    ) -> Result<Self, Undecided> {
        let absent = Version {
            value: None,
            writer: None,
            begin: 0,
            end: 0,
            parent: Parent::None,
            effective: true,
            witness: None,
            first_read_end: (NEVER, None),
            last_read_begin: (0, None),
        };
        let mut versions = Versions {
            history,
            key,
            operations: operations.to_vec(),
            versions: vec![absent],
            oddities: Vec::new(),
            silent_mismatches: 0,
            by_value: FxHashMap::default(),
            failed: FxHashMap::default(),
        };
        for id in operations {
            versions.take_write(history.operation(*id))?;
        }
        versions.link();
        for id in operations {
            versions.take_observation(history.operation(*id));
        }
        Ok(versions)
    }

    pub(super) fn operation(&self, id: OperationId) -> &'h Operation {
        self.history.operation(id)
    }

    /// The version of a value; `None` if no operation can have written it.
    pub(super) fn version_of(&self, value: Option<Value>) -> Option<VersionId> {
        match value {
            None => Some(ABSENT),
            Some(value) => self.by_value.get(&value).copied(),
        }
    }

    /// The version that an operation wrote or may have written.
    pub(super) fn written_by(&self, id: OperationId) -> Option<VersionId> {
        let value = match &self.operation(id).op {
            Op::Write { value, .. } | Op::CompareAndSet { value, .. } => *value,
            _ => return None,
        };
        let version = self.version_of(Some(value))?;
        (self.versions[version].writer == Some(id)).then_some(version)
    }

    /// The versions from one back to the beginning of its chain, itself first. Ends also at a
    /// cycle.
    pub(super) fn ancestry(&self, version: VersionId) -> Vec<VersionId> {
        let mut path = vec![version];
        let mut at = version;
        while let Parent::From(parent) = self.versions[at].parent {
            if parent == version || path.len() > self.versions.len() {
                break;
            }
            path.push(parent);
            at = parent;
        }
        path
    }

    fn take_write(&mut self, operation: &Operation) -> Result<(), Undecided> {
        let value = match &operation.op {
            Op::Write { value, .. } | Op::CompareAndSet { value, .. } => *value,
            Op::Delete { .. } if matches!(operation.outcome, Outcome::Fail(_)) => return Ok(()),
            Op::Delete { .. } => return Err(Undecided::Deletes),
            Op::Read { .. } | Op::List { .. } => return Ok(()),
            Op::Increment { .. }
            | Op::Append { .. }
            | Op::ReadList { .. }
            | Op::Enqueue { .. }
            | Op::Dequeue { .. }
            | Op::ReadQueue { .. }
            | Op::Acquire { .. }
            | Op::Renew { .. }
            | Op::Release { .. }
            | Op::WriteGuarded { .. }
            | Op::ReadGuarded { .. }
            | Op::Transaction(_)
            | Op::Once { .. } => return Err(Undecided::BeyondRegisters),
        };
        let is_swap = matches!(operation.op, Op::CompareAndSet { .. });
        match &operation.outcome {
            Outcome::Fail(reason) => {
                if is_swap && &*reason.0 == MISMATCH {
                    self.silent_mismatches += 1;
                }
                self.failed.insert(value, operation.id);
                return Ok(());
            }
            Outcome::Ok(Reply::Compared { swapped: false, .. }) => {
                self.failed.insert(value, operation.id);
                return Ok(());
            }
            Outcome::Ok(_) | Outcome::Info(_) => {}
        }
        if self.by_value.insert(value, self.versions.len()).is_some() {
            return Err(Undecided::RepeatedValues);
        }
        self.versions.push(Version {
            value: Some(value),
            writer: Some(operation.id),
            begin: begin(operation),
            end: end(operation),
            // Of a compare-and-set until `link`.
            parent: Parent::None,
            effective: matches!(operation.outcome, Outcome::Ok(_)),
            witness: None,
            first_read_end: (NEVER, None),
            last_read_begin: (0, None),
        });
        Ok(())
    }

    /// Looks up what each compare-and-set expected, now that all values are known.
    fn link(&mut self) {
        for version in 1..self.versions.len() {
            let Some(writer) = self.versions[version].writer else { continue };
            let operation = self.operation(writer);
            let Op::CompareAndSet { expect, .. } = &operation.op else { continue };
            let contradicts_itself = matches!(
                &operation.outcome,
                Outcome::Ok(Reply::Compared { observed, .. }) if observed != expect
            );
            self.versions[version].parent = match self.version_of(*expect) {
                Some(parent) if !contradicts_itself => Parent::From(parent),
                _ => Parent::Impossible,
            };
        }
    }

    fn take_observation(&mut self, operation: &Operation) {
        let id = operation.id;
        match (&operation.op, &operation.outcome) {
            (Op::Read { .. }, Outcome::Ok(Reply::Read(value))) => self.read(operation, *value),
            (
                Op::CompareAndSet { expect, .. },
                Outcome::Ok(Reply::Compared { swapped: false, observed }),
            ) => {
                if expect == observed {
                    self.oddities.push(Oddity::RefusedMatch { operation: id });
                } else {
                    self.read(operation, *observed);
                }
            }
            (
                Op::CompareAndSet { expect, .. },
                Outcome::Ok(Reply::Compared { swapped: true, observed }),
            ) => {
                if expect != observed {
                    self.oddities.push(Oddity::SwappedMismatch { operation: id });
                    return;
                }
                match self.version_of(*expect) {
                    Some(parent) => self.see(parent, id),
                    None => self.unwritten(id, *expect),
                }
            }
            _ => {}
        }
    }

    fn read(&mut self, operation: &Operation, value: Option<Value>) {
        let Some(version) = self.version_of(value) else {
            return self.unwritten(operation.id, value);
        };
        let at = &mut self.versions[version];
        at.first_read_end = at.first_read_end.min((end(operation), Some(operation.id)));
        at.last_read_begin = at.last_read_begin.max((begin(operation), Some(operation.id)));
        self.see(version, operation.id);
    }

    /// Notes that a version was seen, and with it all that it must have come from.
    fn see(&mut self, version: VersionId, by: OperationId) {
        let (mut version, seen_by, mut by) = (version, by, by);
        // An acknowledged version has marked what it came from by itself.
        while !self.versions[version].effective {
            self.versions[version].effective = true;
            self.versions[version].witness = Some(by);
            let Some(writer) = self.versions[version].writer else { return };
            match self.versions[version].parent {
                Parent::None => return,
                Parent::Impossible => {
                    self.oddities.push(Oddity::FromUnwritten { seen_by, swap: writer });
                    return;
                }
                Parent::From(parent) => (version, by) = (parent, writer),
            }
        }
    }

    fn unwritten(&mut self, seen_by: OperationId, value: Option<Value>) {
        let failed = value.and_then(|value| self.failed.get(&value)).copied();
        self.oddities.push(Oddity::Unwritten { seen_by, failed });
    }
}
