//! What must hold after every step, and of every answer.
//!
//! The referee keeps the one log that nodes have committed. An entry enters it when the first node
//! commits it; from then on every node must commit the same entry at that index, every new leader
//! must hold it, and every answer must be the one this log gives. Operations are ordered by the
//! index in their answers: if that order contradicts real time, the history is not linearizable,
//! and otherwise the log itself is the linearization.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::{Claim, Core, Entry, EntryId, GtidSet, NodeId, Now, Role};
use crate::state::{Answer, Change, Command, Lease, Query, State};

/// A broken promise, in words.
pub(super) type Violation = String;

/// An operation of a simulated client.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) request: Asked,
    /// The greatest index of any answer that was given before this operation began.
    pub(super) floor: u64,
    /// How often it was sent before, under the same idempotency key.
    pub(super) retries: u32,
    /// When it was sent.
    pub(super) begun: Now,
}

/// What begins the keys that are each incremented by one client, once.
pub(super) const ONCE: &str = "once/";

/// What a simulated client asks.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Write(Change),
    Read(Query),
    /// A read that may be so old, by the world's time.
    Bounded(Query, Duration),
    /// A read that must see an entry.
    After(Query, EntryId),
}

/// From which index on a key held what.
type Version = (u64, Option<Arc<str>>);

/// The record of a whole schedule.
#[derive(Default)]
pub(super) struct Referee {
    /// Who led in an epoch.
    leaders: BTreeMap<u64, NodeId>,
    /// What stood before an entry, wherever it was appended.
    before: BTreeMap<EntryId, EntryId>,
    /// What was committed, by index from one, with the epoch in which it first was.
    committed: Vec<(Entry, u64)>,
    /// Every version of every key, by index.
    versions: BTreeMap<Arc<str>, Vec<Version>>,
    /// The answer of every committed command, by index from one.
    answers: Vec<Answer>,
    model: State,
    /// The greatest index of any answer so far.
    newest: u64,
    /// What that was from when on.
    newest_since: Vec<(Now, u64)>,
    /// The values that were put without an idempotency key: each once.
    put: BTreeSet<Arc<str>>,
    /// Acknowledged writes, by index.
    pub(super) acknowledged: Vec<(u64, Command)>,
    /// Writes whose clients were told that they certainly do not happen.
    refused: Vec<Command>,
    /// How far each node's log was looked at, as its last entry.
    seen: BTreeMap<NodeId, (EntryId, u64)>,
    /// What clients were told of locks, by lock and token.
    grants: BTreeMap<(Arc<str>, u64), Grant>,
}

/// What a client may believe because of the answers it got.
#[derive(Clone, Debug)]
struct Grant {
    holder: Arc<str>,
    /// When it was first told that it holds the lock.
    told: Now,
    /// Until when it may believe it: a time to live after it sent its last request.
    until: Now,
    given_up: bool,
}

impl Referee {
    pub(super) fn begin(&self, request: Asked, retries: u32, begun: Now) -> Operation {
        let floor = match &request {
            Asked::Bounded(_, bound) => self.newest_at(begun.saturating_sub(*bound)),
            Asked::After(_, id) => id.index,
            _ => self.newest,
        };
        Operation { request, floor, retries, begun }
    }

    /// The greatest index of any answer that was given before a moment.
    fn newest_at(&self, at: Now) -> u64 {
        let before = self.newest_since.partition_point(|(since, _)| *since < at);
        before.checked_sub(1).map_or(0, |last| self.newest_since[last].1)
    }

    /// An acknowledged write, by a number below how many there are.
    pub(super) fn acknowledged_entry(&self, number: usize) -> Option<EntryId> {
        let (index, _) = self.acknowledged.get(number)?;
        Some(self.committed.get(*index as usize - 1)?.0.id)
    }

    /// Looks at a node after a step.
    pub(super) fn inspect(&mut self, core: &Core) -> Result<(), Violation> {
        if let Role::Leader(leader) = &core.role {
            self.one_leader_per_epoch(leader.claim)?;
        }
        let now = (core.entries.last(), core.committed);
        if self.seen.insert(core.me, now) == Some(now) {
            return Ok(());
        }
        self.logs_match(core)?;
        self.same_commits(core)
    }

    fn one_leader_per_epoch(&mut self, claim: Claim) -> Result<(), Violation> {
        match self.leaders.insert(claim.epoch, claim.leader) {
            Some(other) if other != claim.leader => Err(format!(
                "election safety: {other} and {} lead epoch {}",
                claim.leader, claim.epoch
            )),
            _ => Ok(()),
        }
    }

    /// If the same entry always follows the same entry, logs that share one share all before it.
    fn logs_match(&mut self, core: &Core) -> Result<(), Violation> {
        let mut before = core.entries.base();
        for entry in core.entries.after(0) {
            let known = *self.before.entry(entry.id).or_insert(before);
            if known != before {
                return Err(format!("log matching: {} follows {known} and {before}", entry.id));
            }
            before = entry.id;
        }
        Ok(())
    }

    fn same_commits(&mut self, core: &Core) -> Result<(), Violation> {
        let base = core.entries.base();
        if base != EntryId::ORIGIN && !self.has_committed(base) {
            return Err(format!("{} let go of {base}, which was not committed", core.me));
        }
        for entry in core.entries.after(0).take_while(|entry| entry.id.index <= core.committed) {
            let at = entry.id.index as usize - 1;
            match self.committed.get(at) {
                Some((known, _)) if known.id != entry.id => {
                    return Err(format!(
                        "state machine safety: {} and {} are both committed",
                        known.id, entry.id
                    ));
                }
                Some(_) => {}
                None => self.extend(entry, core.epoch())?,
            }
        }
        Ok(())
    }

    fn has_committed(&self, id: EntryId) -> bool {
        let at = id.index.checked_sub(1).and_then(|at| self.committed.get(at as usize));
        at.is_some_and(|(entry, _)| entry.id == id)
    }

    fn extend(&mut self, entry: &Entry, epoch: u64) -> Result<(), Violation> {
        let index = entry.id.index;
        let change = entry.change.decode();
        let answer = self.model.apply(index, change.clone());
        self.committed.push((entry.clone(), epoch));
        self.answers.push(answer);
        if let Change { command: Command::Put { value, .. }, key: None } = &change
            && !self.put.insert(Arc::clone(value))
        {
            return Err(format!("entry {index}: {value} was put before: applied twice"));
        }
        let (Command::Put { key, .. }
        | Command::Delete { key }
        | Command::CompareAndSet { key, .. }
        | Command::Increment { key, .. }) = &change.command
        else {
            return Ok(());
        };
        let Some(Answer::Value(value)) = self.model.read(&Query::Get { key: Arc::clone(key) })
        else {
            return Ok(());
        };
        self.versions.entry(Arc::clone(key)).or_default().push((index, value.clone()));
        // A client sends an increment again when it does not know what became of it.
        if key.starts_with(ONCE) && value.as_deref() != Some("1") {
            return Err(format!("entry {index}: {key} is {value:?}: applied twice"));
        }
        Ok(())
    }

    /// A node begins to lead: it must hold what was committed in earlier epochs.
    pub(super) fn leads(&self, core: &Core, claim: Claim) -> Result<(), Violation> {
        let missing = self
            .committed
            .iter()
            .filter(|(entry, _)| entry.id.index > core.entries.base().index)
            .find(|(entry, epoch)| *epoch < claim.epoch && !core.entries.contains(entry.id));
        match missing {
            Some((entry, _)) => Err(format!(
                "leader completeness: {} leads epoch {} without {}, committed: lost",
                claim.leader, claim.epoch, entry.id
            )),
            None => Ok(()),
        }
    }

    /// A node cut its log: nothing committed may be in it.
    pub(super) fn cut(&self, entries: &[Entry], node: NodeId) -> Result<(), Violation> {
        let lost = entries.iter().find(|entry| {
            let at = entry.id.index as usize - 1;
            self.committed.get(at).is_some_and(|(known, _)| known.id == entry.id)
        });
        match lost {
            Some(entry) => Err(format!("{node} cut {}, which was committed: lost", entry.id)),
            None => Ok(()),
        }
    }

    /// A client was answered.
    pub(super) fn answered(
        &mut self,
        now: Now,
        operation: &Operation,
        index: u64,
        answer: &Answer,
    ) -> Result<(), Violation> {
        match &operation.request {
            Asked::Write(Change { command, .. }) => {
                self.acknowledged.push((index, command.clone()));
                self.write_answered(operation.floor, command, index, answer)?;
            }
            Asked::Read(query) | Asked::Bounded(query, _) | Asked::After(query, _) => {
                self.read_answered(operation.floor, query, index, answer)?;
            }
        }
        if index > self.newest {
            self.newest = index;
            self.newest_since.push((now, index));
        }
        Ok(())
    }

    fn write_answered(
        &self,
        floor: u64,
        command: &Command,
        index: u64,
        answer: &Answer,
    ) -> Result<(), Violation> {
        let at = index as usize - 1;
        let Some((entry, _)) = self.committed.get(at) else {
            return Err(format!("write {index} was acknowledged and is not committed"));
        };
        if *entry.change.decode().command.as_asked() != *command {
            return Err(format!("acknowledged write {index} is another entry: lost"));
        }
        let mut answer = answer.clone();
        if let Answer::Lock { held: Some(view), .. } = &mut answer {
            // Only a leader counts time, the model does not.
            view.left_ms = None;
        }
        // What an unevaluated statement comes to is each node's own business.
        let own = matches!(&entry.change.decode().command,
            Command::Statement(statement) if !statement.is_deterministic());
        if !own && self.answers[at] != answer {
            return Err(format!("write {index}: expected {:?}, got {answer:?}", self.answers[at]));
        }
        if index <= floor {
            return Err(format!("write {index} began after an answer of index {floor} was given"));
        }
        Ok(())
    }

    fn read_answered(
        &self,
        floor: u64,
        query: &Query,
        index: u64,
        answer: &Answer,
    ) -> Result<(), Violation> {
        if index < floor {
            return Err(format!("stale read: of index {index}, after an answer of {floor}"));
        }
        let Query::Get { key } = query else { return Ok(()) };
        let versions = self.versions.get(key).map_or(&[][..], Vec::as_slice);
        let last = versions.partition_point(|(at, _)| *at <= index);
        let expected = last.checked_sub(1).and_then(|at| versions[at].1.clone());
        if *answer != Answer::Value(expected.clone()) {
            return Err(format!("read of {key} at {index}: expected {expected:?}, got {answer:?}"));
        }
        Ok(())
    }

    /// A client is about to give a lock back and relies on it no longer.
    pub(super) fn gives_up(&mut self, name: &Arc<str>, token: u64) {
        if let Some(grant) = self.grants.get_mut(&(Arc::clone(name), token)) {
            grant.given_up = true;
        }
    }

    /// How many changes of the members were committed.
    pub(super) fn changes_of_members(&self) -> usize {
        self.committed.iter().filter(|(entry, _)| entry.change.is_configuration()).count()
    }

    /// How many grants clients were told of.
    pub(super) fn grants(&self) -> usize {
        self.grants.len()
    }

    /// A client was told that it holds a lock, by an answer to what it sent at `begun`. Nobody may
    /// be told so of a greater token while it may still rely on a smaller one.
    pub(super) fn granted(
        &mut self,
        name: &Arc<str>,
        lease: &Lease,
        begun: Now,
        now: Now,
    ) -> Result<(), Violation> {
        let until = begun + lease.ttl();
        let grant = self.grants.entry((Arc::clone(name), lease.token)).or_insert(Grant {
            holder: Arc::clone(&lease.holder),
            told: now,
            until,
            given_up: false,
        });
        grant.until = grant.until.max(until);
        if grant.holder != lease.holder {
            let (one, other) = (&grant.holder, &lease.holder);
            return Err(format!("token {} of {name} is {one}'s and {other}'s", lease.token));
        }
        let all = (Arc::clone(name), 0)..=(Arc::clone(name), u64::MAX);
        let grants: Vec<(&u64, &Grant)> =
            self.grants.range(all).map(|((_, token), grant)| (token, grant)).collect();
        for pair in grants.windows(2) {
            let [(older, before), (newer, after)] = pair else { continue };
            if !before.given_up && after.told < before.until {
                return Err(format!(
                    "{name}: {} was told of token {newer} while {} could rely on token {older}",
                    after.holder, before.holder
                ));
            }
        }
        Ok(())
    }

    /// A client was told that something did not work. If that was definite, its command must be in
    /// no log, now or ever.
    pub(super) fn failed(&mut self, operation: &Operation, definite: bool) {
        // One with a key may be sent again, and happen then; so may one about a lock.
        if let (Asked::Write(Change { command, key: None }), true) = (&operation.request, definite)
            && !matches!(command, Command::Lock(_))
        {
            self.refused.push(command.clone());
        }
    }

    /// Whether anything that was definitely refused was carried out after all.
    pub(super) fn refused_stays_refused(&self) -> Result<(), Violation> {
        let done = self
            .committed
            .iter()
            .map(|(entry, _)| entry.change.decode().command.as_asked().into_owned());
        for command in done.filter(|command| *command != Command::Noop) {
            // Values are unique, so equal commands are the same request.
            if self.refused.contains(&command) {
                return Err(format!("{command:?} was definitely refused and happened"));
            }
        }
        Ok(())
    }

    /// Whether every node that has applied all that was committed holds what that comes to.
    pub(super) fn replicas_agree<'c>(
        &self,
        mut cores: impl Iterator<Item = &'c Core>,
    ) -> Result<(), Violation> {
        let differs =
            |core: &&Core| core.state.applied() == self.model.applied() && core.state != self.model;
        match cores.find(differs) {
            Some(core) => Err(format!("divergence: {} applied the log to another state", core.me)),
            None => Ok(()),
        }
    }

    /// Whether a node says that it executed exactly what was committed, whatever it let go of.
    pub(super) fn executed(&self, core: &Core) -> Result<(), Violation> {
        let mut expected = GtidSet::default();
        for (entry, _) in self.committed.iter().take(core.state.applied() as usize) {
            expected.insert(entry.id.claim, entry.id.index, entry.id.index);
        }
        let executed = core.entries.lineage().between(0, core.state.applied());
        if executed != expected {
            return Err(format!(
                "{}: expected to have executed {expected}, got {executed}",
                core.me
            ));
        }
        Ok(())
    }

    /// The acknowledged writes that a log does not hold.
    pub(super) fn lost(&self, core: &Core) -> Vec<u64> {
        let held = |index| {
            let entry = core.entries.get(index)?;
            Some(entry.change.decode().command.as_asked().into_owned())
        };
        let lost = self
            .acknowledged
            .iter()
            // What was let go was committed: that is checked whenever it happens.
            .filter(|(index, _)| *index > core.entries.base().index)
            .filter(|(index, command)| held(*index).as_ref() != Some(command));
        lost.map(|(index, _)| *index).collect()
    }
}
