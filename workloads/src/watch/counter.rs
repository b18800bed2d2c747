//! Counters: increments by one number themselves, and nobody sees less than somebody saw before.
//!
//! Of increments of unknown outcome it only knows that they are no more than were sent; which of them
//! happened is left to `checker::counter`. Called through `workload`.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Call, End, Mark, Notes, Watch};
use crate::operation::{Key, Op, Outcome, Reply};
use crate::verdict::AnomalyKind;

/// All counters of a history.
#[derive(Default)]
pub(crate) struct Counters {
    counters: FxHashMap<Key, Counter>,
    values: usize,
    is_aside: bool,
}

#[derive(Default)]
struct Counter {
    /// What increments were answered with.
    sums: FxHashSet<i64>,
    /// Increments that were sent and have not failed.
    sent: i64,
    /// The greatest that an operation that has ended saw.
    greatest: i64,
}

impl Watch for Counters {
    fn begins(&mut self, call: &Call<'_>, notes: &mut Notes) -> Mark {
        let counter = self.counters.entry(call.op.key().clone()).or_default();
        match call.op {
            Op::Read { .. } => {}
            Op::Increment { by: 1, .. } => counter.sent += 1,
            other => {
                self.is_aside = true;
                notes.aside(|| format!("\"{other}\": only increments by one number themselves"));
            }
        }
        counter.greatest.unsigned_abs()
    }

    fn ends(&mut self, call: &Call<'_>, end: &End<'_>, notes: &mut Notes) {
        let key = call.op.key();
        let Some(counter) = self.counters.get_mut(key).filter(|_| !call.op.is_local()) else {
            return;
        };
        if self.is_aside {
            return;
        }
        let (seen, is_read) = match (call.op, end.outcome) {
            (Op::Increment { .. }, Outcome::Fail(_)) => {
                counter.sent -= 1;
                return;
            }
            (Op::Increment { .. }, Outcome::Ok(Reply::Incremented(sum))) => (sum.0, false),
            (Op::Read { .. }, Outcome::Ok(Reply::Read(value))) => {
                (value.map_or(0, |value| value.0), true)
            }
            _ => return,
        };
        let mut proven = |kind, why: String| {
            notes.proven(kind, key, format!("{} came to {seen}, {why}", call.op));
        };
        let least = i64::try_from(end.mark).unwrap_or(i64::MAX);
        if seen > counter.sent {
            proven(AnomalyKind::Phantom, format!("and only {} were sent", counter.sent));
        } else if seen < i64::from(!is_read) {
            proven(AnomalyKind::Phantom, "though increments by one only add".to_string());
        } else if !is_read && !counter.sums.insert(seen) {
            proven(AnomalyKind::LostUpdate, "and so did another increment".to_string());
        } else if seen < least || (seen == least && !is_read) {
            let why = format!("though somebody had seen {least} before it began");
            proven(AnomalyKind::StaleRead, why);
        }
        self.values += usize::from(!is_read);
        counter.greatest = counter.greatest.max(seen);
    }

    fn values(&self) -> usize {
        self.values
    }
}
