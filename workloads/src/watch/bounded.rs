//! Reads that may be so old: a value that nobody has sent. How old a read was, and whether one order
//! of the writes explains them all, is left to the checkers at the end. Called through `workload`.

use rustc_hash::FxHashSet;

use super::{Call, End, Mark, Notes, Watch};
use crate::operation::{Key, Op, Outcome, Reply, Value};
use crate::verdict::AnomalyKind;

/// Watches registers that are read within bounds.
#[derive(Default)]
pub(crate) struct Bounded {
    sent: FxHashSet<(Key, Value)>,
}

impl Watch for Bounded {
    fn begins(&mut self, call: &Call<'_>, notes: &mut Notes) -> Mark {
        notes.aside(|| "how old a read may be is judged at the end".to_string());
        if let Op::Write { key, value } | Op::CompareAndSet { key, value, .. } = call.op {
            self.sent.insert((key.clone(), *value));
        }
        0
    }

    fn ends(&mut self, call: &Call<'_>, end: &End<'_>, notes: &mut Notes) {
        let (Op::Read { key, .. }, Outcome::Ok(Reply::Read(Some(seen)))) = (call.op, end.outcome)
        else {
            return;
        };
        if !call.op.is_local() && !self.sent.contains(&(key.clone(), *seen)) {
            let what = format!("read {key} saw {seen}, which nobody sent");
            notes.proven(AnomalyKind::Phantom, key, what);
        }
    }

    fn values(&self) -> usize {
        self.sent.len()
    }
}
