//! Sessions: each reads no less than it wrote and read before. The same question as
//! `checker::sessions`, asked with every answer; its page has the promises.
//!
//! Every key has one writer, and a writer's writes have places in its order. A session's *floor* is the
//! furthest place of a writer that it knows of; what it reads must be no older than the last write of
//! that key up to the floor. Called through `workload`.

use rustc_hash::FxHashMap;

use super::{Call, End, Mark, Notes, Watch};
use crate::operation::{ClientId, Key, Op, Outcome, Reply, Value};
use crate::verdict::AnomalyKind;

/// All sessions of a history.
#[derive(Default)]
pub(crate) struct Sessions {
    keys: FxHashMap<Key, Written>,
    /// The place of each value in the order of its writer, and the key it was written to.
    by_value: FxHashMap<Value, Write>,
    /// How many writes each session has sent.
    sent: FxHashMap<ClientId, u32>,
    floors: FxHashMap<(ClientId, ClientId, bool), Floor>,
    is_aside: bool,
}

/// The writes of one key: their places, without those that failed, ascending.
struct Written {
    by: ClientId,
    places: Vec<u32>,
}

struct Write {
    key: Key,
    by: ClientId,
    /// From one.
    place: u32,
    is_read: bool,
    has_failed: bool,
}

/// How far a session knows a writer to have come, and from what.
#[derive(Clone, Default)]
struct Floor {
    place: u32,
    is_own: bool,
    key: Option<Key>,
}

impl Sessions {
    fn leave(&mut self, notes: &mut Notes, why: impl FnOnce() -> String) {
        self.is_aside = true;
        notes.aside(why);
    }

    fn read(
        &mut self,
        client: ClientId,
        key: &Key,
        value: Option<Value>,
        is_local: bool,
    ) -> Result<(), (AnomalyKind, String)> {
        let phantom = |value: Value| {
            (AnomalyKind::Phantom, format!("{value}, which nobody has written there"))
        };
        let (Some(written), value) = (self.keys.get(key), value) else {
            return value.map_or(Ok(()), |value| Err(phantom(value)));
        };
        let seen = match value {
            None => 0,
            Some(value) => match self.by_value.get_mut(&value) {
                Some(write) if write.key == *key && !write.has_failed => {
                    write.is_read = true;
                    write.place
                }
                _ => return Err(phantom(value)),
            },
        };
        let floor = self.floors.entry((client, written.by, is_local)).or_default();
        let upto = written.places.partition_point(|place| *place <= floor.place);
        let least = upto.checked_sub(1).map_or(0, |last| written.places[last]);
        if seen < least {
            let kind = match (floor.is_own, floor.key.as_ref() == Some(key)) {
                (true, _) => AnomalyKind::ReadYourWrites,
                (false, true) => AnomalyKind::MonotonicReads,
                (false, false) => AnomalyKind::MonotonicWrites,
            };
            let what = value.map_or("absent".to_string(), |value| value.to_string());
            return Err((kind, format!("{what}, older than what this session knew of")));
        }
        if seen > floor.place {
            *floor = Floor { place: seen, is_own: false, key: Some(key.clone()) };
        }
        Ok(())
    }
}

impl Watch for Sessions {
    fn begins(&mut self, call: &Call<'_>, notes: &mut Notes) -> Mark {
        match call.op {
            Op::Read { .. } => {}
            Op::Write { key, value } => {
                let sent = self.sent.entry(call.client).or_default();
                *sent += 1;
                let place = *sent;
                let by = call.client;
                let write =
                    Write { key: key.clone(), by, place, is_read: false, has_failed: false };
                if self.by_value.insert(*value, write).is_some_and(|before| !before.has_failed) {
                    self.leave(notes, || format!("{value} was written twice"));
                }
                let none = || Written { by, places: Vec::new() };
                let written = self.keys.entry(key.clone()).or_insert_with(none);
                written.places.push(place);
                if written.by != by {
                    self.leave(notes, || format!("two clients write {key}"));
                }
            }
            other => self.leave(notes, || format!("\"{other}\" is not of sessions")),
        }
        0
    }

    fn ends(&mut self, call: &Call<'_>, end: &End<'_>, notes: &mut Notes) {
        let is_local = call.op.is_local();
        // The local reads at the end go to every node in turn: they are no session.
        if self.is_aside || (call.is_final && is_local) {
            return;
        }
        let client = call.client;
        let held = match (call.op, end.outcome) {
            (Op::Write { value, .. }, Outcome::Ok(_)) => {
                let place = self.by_value.get(value).map_or(0, |write| write.place);
                let floor = Floor { place, is_own: true, key: None };
                self.floors.insert((client, client, false), floor);
                Ok(())
            }
            (Op::Write { key, value }, Outcome::Fail(_)) => {
                let Some(write) = self.by_value.get_mut(value) else { return };
                write.has_failed = true;
                let (place, was_read, by) = (write.place, write.is_read, write.by);
                if let Some(written) = self.keys.get_mut(key).filter(|it| it.by == by) {
                    written.places.retain(|other| *other != place);
                }
                match was_read {
                    true => Err((AnomalyKind::Phantom, "and it had been read".to_string())),
                    false => Ok(()),
                }
            }
            (Op::Read { key, .. }, Outcome::Ok(Reply::Read(value))) => {
                self.read(client, key, *value, is_local)
            }
            _ => Ok(()),
        };
        if let Err((kind, why)) = held {
            notes.proven(kind, call.op.key(), format!("{client}: {}, {why}", call.op));
        }
    }

    fn values(&self) -> usize {
        self.by_value.len() + self.floors.len()
    }
}
