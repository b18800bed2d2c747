//! Unique ids: none is given twice. Exact, as that is all that `checker::unique_ids` asks. Called
//! through `workload`.

use rustc_hash::FxHashSet;

use super::{Call, End, Mark, Notes, Watch};
use crate::operation::{Key, Outcome, Reply, Value};
use crate::verdict::AnomalyKind;

/// All ids of a history.
#[derive(Default)]
pub(crate) struct UniqueIds {
    given: FxHashSet<(Key, Value)>,
}

impl Watch for UniqueIds {
    fn begins(&mut self, _: &Call<'_>, _: &mut Notes) -> Mark {
        0
    }

    fn ends(&mut self, call: &Call<'_>, end: &End<'_>, notes: &mut Notes) {
        let Outcome::Ok(Reply::Incremented(id)) = end.outcome else { return };
        let key = call.op.key();
        if !self.given.insert((key.clone(), *id)) {
            notes.proven(AnomalyKind::Duplicate, key, format!("{id} of {key} was given twice"));
        }
    }

    fn values(&self) -> usize {
        self.given.len()
    }
}
