//! Queues: what is taken was added, is taken once, and not behind what was added after it.
//!
//! Found empty, and what is left at the end, are questions of all that was added and taken, and are
//! left to `checker::queue`. Called through `workload`.

use rustc_hash::FxHashMap;

use super::{Call, End, Mark, NEVER, Notes, Place, Watch, place};
use crate::operation::{Key, Op, Outcome, Reply, Value};
use crate::verdict::AnomalyKind;

/// All queues of a history.
#[derive(Default)]
pub(crate) struct Queues {
    queues: FxHashMap<Key, Queue>,
    values: usize,
    is_aside: bool,
}

#[derive(Default)]
struct Queue {
    added: FxHashMap<Value, Added>,
    /// The latest beginning of an enqueue of what was taken so far.
    latest: Place,
    is_aside: bool,
}

struct Added {
    begin: Place,
    /// When it was acknowledged; [`NEVER`] if it was not yet.
    end: Place,
    is_taken: bool,
    is_gone: bool,
}

impl Watch for Queues {
    fn begins(&mut self, call: &Call<'_>, notes: &mut Notes) -> Mark {
        let key = call.op.key();
        let queue = self.queues.entry(key.clone()).or_default();
        match call.op {
            Op::Enqueue { value, .. } => {
                let begin = place(call.invoked);
                let added = Added { begin, end: NEVER, is_taken: false, is_gone: false };
                self.values += 1;
                if queue.added.insert(*value, added).is_some() {
                    queue.is_aside = true;
                    notes.aside(|| format!("{value} was added to {key} twice"));
                }
            }
            Op::Dequeue { .. } => {}
            // What is left is read in the end, when the checkers come.
            Op::ReadQueue { .. } if call.op.is_local() || call.is_final => {}
            Op::ReadQueue { .. } => queue.is_aside = true,
            other => {
                self.is_aside = true;
                notes.aside(|| format!("\"{other}\" is not of queues"));
            }
        }
        queue.latest
    }

    fn ends(&mut self, call: &Call<'_>, end: &End<'_>, notes: &mut Notes) {
        let key = call.op.key();
        let Some(queue) = self.queues.get_mut(key) else { return };
        if self.is_aside || queue.is_aside {
            return;
        }
        match (call.op, end.outcome) {
            (Op::Enqueue { value, .. }, Outcome::Ok(Reply::Missed { .. }) | Outcome::Fail(_)) => {
                let Some(added) = queue.added.get_mut(value) else { return };
                added.is_gone = true;
                if added.is_taken {
                    let what = format!("{value} was taken from {key}, and its enqueue failed");
                    notes.proven(AnomalyKind::AbortedRead, key, what);
                } else if matches!(end.outcome, Outcome::Ok(_)) {
                    // Its client will try again at another place.
                    queue.added.remove(value);
                }
            }
            (Op::Enqueue { value, .. }, Outcome::Ok(_)) => {
                if let Some(added) = queue.added.get_mut(value) {
                    added.end = added.end.min(place(end.stamp));
                }
            }
            (Op::Dequeue { .. }, Outcome::Ok(Reply::Dequeued(Some(value)))) => {
                let taken = queue.take(*value, place(end.stamp), end.mark);
                if let Err((kind, why)) = taken {
                    notes.proven(kind, key, format!("{value} was taken from {key}, {why}"));
                }
            }
            _ => {}
        }
    }

    fn values(&self) -> usize {
        self.values
    }
}

impl Queue {
    /// Takes an element; `latest` is the latest beginning among what was taken before that began.
    fn take(
        &mut self,
        value: Value,
        now: Place,
        latest: Place,
    ) -> Result<(), (AnomalyKind, &'static str)> {
        let added = self.added.get_mut(&value).filter(|added| !added.is_gone);
        let Some(added) = added else {
            return Err((AnomalyKind::Phantom, "which nobody has added"));
        };
        if std::mem::replace(&mut added.is_taken, true) {
            return Err((AnomalyKind::Duplicate, "and had been taken before"));
        }
        if added.end < latest {
            return Err((AnomalyKind::OutOfOrder, "after what was added after it"));
        }
        // It was there before it was taken, whenever its enqueue is answered.
        added.end = added.end.min(now);
        self.latest = self.latest.max(added.begin);
        Ok(())
    }
}
