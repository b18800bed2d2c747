//! Sessions: what one client may expect of what it has read and written before, whatever others see.
//!
//! | promise | broken when a session |
//! |---|---|
//! | read your writes | reads something older than its own acknowledged write |
//! | monotonic reads | reads something older than it has read before |
//! | monotonic writes | sees a later write of a session, but not an earlier one |
//!
//! And no session reads what nobody has written, or not yet.
//! (D. Terry and others, "Session guarantees for weakly consistent replicated data", 1994.) Every key
//! has one writer, so its values have one order, and each read is one look at how far that writer's
//! writes have come. A local read is held against earlier local reads alone: the node that answers it
//! need not have heard of the session's own write, nor of what another node knew. One pass with a binary search per read. Called through `workload`.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::findings::{Candidate, Findings, Rank};
use super::story;
use super::unjudged;
use crate::history::{History, Operation, OperationId, SEQ_MAX};
use crate::operation::{ClientId, Key, Op, Outcome, Reply, Value};
use crate::verdict::{Anomaly, AnomalyKind, Judgement, Verdict};

const NAME: &str = "sessions";

/// Judges every session. Complete for these three promises; `unknown` if two clients wrote one key, a
/// value was written twice or a client had two operations open at once.
pub fn check(history: &History) -> Judgement {
    if let Some(unknown) = unjudged(NAME, history) {
        return unknown;
    }
    let written = match Written::of(history) {
        Ok(written) => written,
        Err(why) => return Judgement::unknown(NAME, why),
    };
    let mut findings = Findings::new();
    // Per session, writer and kind of read, how far its writes had come when it last looked, and who
    // looked.
    let mut floors: FxHashMap<(ClientId, ClientId, bool), (usize, OperationId)> =
        FxHashMap::default();
    let (mut reads, mut writes) = (0, 0);
    for operation in &history.operations {
        // The local reads at the end go to every node in turn: they are no session.
        if operation.is_final && operation.op.is_local() {
            continue;
        }
        match (&operation.op, &operation.outcome) {
            (Op::Write { value, .. }, Outcome::Ok(_)) => {
                writes += 1;
                let (_, place) = written.by_value[value];
                let own = (operation.client, operation.client, false);
                let floor = floors.entry(own).or_insert((0, operation.id));
                // It may have read what it only wrote later, which then is what it must see.
                if place >= floor.0 {
                    *floor = (place, operation.id);
                }
            }
            (Op::Read { key, .. }, Outcome::Ok(Reply::Read(value))) => {
                reads += 1;
                let Some(writer) = written.writers.get(key) else {
                    if value.is_some() {
                        push(&mut findings, AnomalyKind::Phantom, operation.id, None);
                    }
                    continue;
                };
                let Some(seen) = written.place(key, *writer, *value) else {
                    push(&mut findings, AnomalyKind::Phantom, operation.id, None);
                    continue;
                };
                if let Some((_, write)) = seen.checked_sub(1).map(|last| &written.all[writer][last])
                    && history.operation(*write).invoked.seq > operation.ended().unwrap_or(SEQ_MAX)
                {
                    let proof = Missed { by: *write, seen: *write, write: *write, older: None };
                    push(&mut findings, AnomalyKind::FutureRead, operation.id, Some(proof));
                    continue;
                }
                let looked = (operation.client, *writer, operation.op.is_local());
                let floor = floors.entry(looked).or_insert((0, operation.id));
                let least = written.latest(key, floor.0);
                if seen < least {
                    let by = history.operation(floor.1);
                    let kind = match &by.op {
                        Op::Write { .. } => AnomalyKind::ReadYourWrites,
                        other if other.key() == key => AnomalyKind::MonotonicReads,
                        _ => AnomalyKind::MonotonicWrites,
                    };
                    let proof = written.missed(*writer, *floor, least, seen);
                    push(&mut findings, kind, operation.id, Some(proof));
                }
                if seen > floor.0 {
                    *floor = (seen, operation.id);
                }
            }
            _ => {}
        }
    }
    judged(NAME, history, findings, reads, writes, "saw their own writes and never went back")
}

/// Judges every session by one of the three promises alone. A read that breaks several is named
/// once by [`check`], and by each of them here.
pub(super) fn check_one(history: &History, promise: AnomalyKind) -> Judgement {
    let written = match Written::of(history) {
        Ok(written) => written,
        Err(why) => return Judgement::unknown(promise.name(), why),
    };
    let mut findings = Findings::new();
    // Per session and writer, how far its writes had come by each key that the session saw, and who
    // looked; of what it wrote itself, by its last write.
    let mut floors: FxHashMap<(ClientId, ClientId), BTreeMap<Key, (usize, OperationId)>> =
        FxHashMap::default();
    let (mut reads, mut writes) = (0, 0);
    for operation in &history.operations {
        if operation.is_final && operation.op.is_local() {
            continue;
        }
        let client = operation.client;
        match (&operation.op, &operation.outcome) {
            (Op::Write { key, value }, Outcome::Ok(_)) => {
                writes += 1;
                if promise == AnomalyKind::ReadYourWrites {
                    let (_, place) = written.by_value[value];
                    let floors = floors.entry((client, client)).or_default();
                    floors.insert(key.clone(), (place, operation.id));
                }
            }
            (Op::Read { key, .. }, Outcome::Ok(Reply::Read(value))) => {
                reads += 1;
                let seen = match (written.writers.get(key), value) {
                    (None, None) => continue,
                    (None, Some(_)) => None,
                    (Some(writer), value) => {
                        written.place(key, *writer, *value).map(|place| (*writer, place))
                    }
                };
                let Some((writer, seen)) = seen else {
                    push(&mut findings, AnomalyKind::Phantom, operation.id, None);
                    continue;
                };
                let floors = floors.entry((client, writer)).or_default();
                let is_of_another = promise == AnomalyKind::MonotonicWrites;
                let counts = floors.iter().filter(|(of, _)| (*of != key) == is_of_another);
                if let Some((place, by)) = counts.map(|(_, floor)| *floor).max() {
                    let least = written.latest(key, place);
                    if seen < least {
                        let proof = written.missed(writer, (place, by), least, seen);
                        push(&mut findings, promise, operation.id, Some(proof));
                    }
                }
                let floor = floors.get(key).map_or(0, |floor| floor.0);
                if promise != AnomalyKind::ReadYourWrites && seen > floor {
                    floors.insert(key.clone(), (seen, operation.id));
                }
            }
            _ => {}
        }
    }
    judged(promise.name(), history, findings, reads, writes, "kept the promise")
}

fn judged(
    name: &str,
    history: &History,
    findings: Findings<Proof>,
    reads: u64,
    writes: u64,
    kept: &str,
) -> Judgement {
    let (verdict, summary) = match (reads, writes) {
        (0, _) | (_, 0) => {
            (Verdict::Unknown, "nothing was read or nothing written: nothing is known".to_string())
        }
        _ => (Verdict::Pass, format!("{reads} reads {kept}")),
    };
    let mut judgement =
        findings.judge(name, verdict, summary, |candidate| tell(history, candidate));
    judgement.counts =
        BTreeMap::from([("reads".to_string(), reads), ("writes".to_string(), writes)]);
    judgement
}

/// What a read should have seen; without it the value itself is wrong.
type Proof = Option<Missed>;

#[derive(Clone, Copy, Debug)]
struct Missed {
    /// What the session knew before: a write of its own, or a read.
    by: OperationId,
    /// The write that this was or saw.
    seen: OperationId,
    /// The last write by then of the key that was read.
    write: OperationId,
    /// The earlier one that was read in its place; `None` if nothing was there.
    older: Option<OperationId>,
}

fn push(findings: &mut Findings<Proof>, kind: AnomalyKind, culprit: OperationId, proof: Proof) {
    let span = proof.map_or(0, |proof| u64::from(culprit.0.saturating_sub(proof.by.0)));
    let rank = Rank { operations: 3, span };
    findings.push(Candidate { kind, culprit, rank, proof });
}

/// Whether each session did one thing after the other, as it must for anything to be before or after.
fn one_by_one(history: &History) -> Result<(), String> {
    let mut ends: FxHashMap<ClientId, Option<u64>> = FxHashMap::default();
    // The local reads at the end are no session.
    let is_session = |it: &&Operation| !(it.is_final && it.op.is_local());
    for operation in history.operations.iter().filter(is_session) {
        let before = ends.insert(operation.client, operation.ended());
        if before.is_some_and(|end| end.is_none_or(|end| end > operation.invoked.seq)) {
            let client = operation.client;
            return Err(format!(
                "{client} has two operations open at once, so neither is before the other: undecided"
            ));
        }
    }
    Ok(())
}

/// What every session wrote, in its order. Places count from one; zero is before all.
struct Written {
    writers: FxHashMap<Key, ClientId>,
    /// Who wrote a value, and at which place.
    by_value: FxHashMap<Value, (ClientId, usize)>,
    /// Per session its writes, without those that certainly failed.
    all: FxHashMap<ClientId, Vec<(Key, OperationId)>>,
    /// The places of the writes of each key.
    by_key: FxHashMap<Key, Vec<usize>>,
}

impl Written {
    fn of(history: &History) -> Result<Written, String> {
        let mut written = Written {
            writers: FxHashMap::default(),
            by_value: FxHashMap::default(),
            all: FxHashMap::default(),
            by_key: FxHashMap::default(),
        };
        one_by_one(history)?;
        for operation in &history.operations {
            let (key, value) = match &operation.op {
                Op::Read { .. } => continue,
                Op::Write { key, value } => (key, *value),
                other => return Err(format!("sessions with \"{other}\" are undecided")),
            };
            if matches!(operation.outcome, Outcome::Fail(_)) {
                continue;
            }
            let client = operation.client;
            if *written.writers.entry(key.clone()).or_insert(client) != client {
                return Err(format!("two clients wrote {key}: its order is not known"));
            }
            let all = written.all.entry(client).or_default();
            all.push((key.clone(), operation.id));
            written.by_key.entry(key.clone()).or_default().push(all.len());
            if written.by_value.insert(value, (client, all.len())).is_some() {
                return Err(format!("{value} was written twice: undecided"));
            }
        }
        Ok(written)
    }

    /// The place of a value of a key; `None` if its writer never wrote it there.
    fn place(&self, key: &Key, writer: ClientId, value: Option<Value>) -> Option<usize> {
        let Some(value) = value else { return Some(0) };
        let (by, place) = *self.by_value.get(&value)?;
        let (of, _) = self.all[&writer].get(place - 1)?;
        (by == writer && of == key).then_some(place)
    }

    /// What a read of the place `seen` missed, as the session had been at `floor`, and so had to be at
    /// `least`.
    fn missed(
        &self,
        writer: ClientId,
        (floor, by): (usize, OperationId),
        least: usize,
        seen: usize,
    ) -> Missed {
        let at = |place: usize| self.all[&writer][place - 1].1;
        let older = (seen > 0).then(|| at(seen));
        Missed { by, seen: at(floor), write: at(least), older }
    }

    /// The last write of a key among the first so many of its writer.
    fn latest(&self, key: &Key, floor: usize) -> usize {
        let Some(places) = self.by_key.get(key) else { return 0 };
        let count = places.partition_point(|place| *place <= floor);
        count.checked_sub(1).map_or(0, |last| places[last])
    }
}

fn tell(history: &History, candidate: &Candidate<Proof>) -> Anomaly {
    let read = history.operation(candidate.culprit);
    let key = read.op.key().clone();
    let (mut operations, text) = match candidate.proof {
        None => (
            vec![read.id],
            vec![format!("{}, a value that nobody wrote to {key}.", story::saw(read))],
        ),
        Some(Missed { by, seen, write, older }) => {
            let [by_it, seen_it, missed] = [by, seen, write].map(|id| history.operation(id));
            let older_it = older.map(|id| history.operation(id));
            let mut operations = vec![read.id, write];
            operations.extend(older);
            let saw = story::saw(read);
            let text = match candidate.kind {
                AnomalyKind::FutureRead => {
                    vec![format!("{saw}; only then {}.", story::later(missed))]
                }
                AnomalyKind::ReadYourWrites => {
                    let older =
                        older_it.map_or_else(String::new, |it| format!("{}; ", story::changed(it)));
                    vec![format!("{older}{}; then {saw}.", story::changed(missed))]
                }
                // It had seen another key.
                _ if seen != write => {
                    operations.extend([by, seen]);
                    vec![
                        format!("{}; then {}.", story::changed(missed), story::later(seen_it)),
                        format!(
                            "{}, the second of them; then {saw}, without the first.",
                            story::operation(by_it)
                        ),
                    ]
                }
                _ => {
                    operations.push(by);
                    let before = story::operation(by_it);
                    match older_it {
                        Some(older) => vec![
                            format!("{}; then {}.", story::changed(older), story::later(missed)),
                            format!("{before}; then {saw}, the older of the two."),
                        ],
                        None => vec![
                            format!("{}.", story::changed(missed)),
                            format!("{before}; then {saw}, as before that write."),
                        ],
                    }
                }
            };
            (operations, text)
        }
    };
    operations.sort_unstable();
    operations.dedup();
    Anomaly {
        kind: candidate.kind,
        key,
        culprit: candidate.culprit,
        operations,
        swaps: Vec::new(),
        story: text,
    }
}
