//! A bank: every read of all accounts has the sum with which they were opened. Exact, as that is all
//! that `checker::bank` asks. Called through `workload`.

use super::{Call, End, Mark, Notes, Watch};
use crate::operation::{Op, Outcome, Reply, Step, StepReply};
use crate::verdict::AnomalyKind;

/// The bank of a history.
#[derive(Default)]
pub(crate) struct Bank {
    /// The sum and the number of the accounts, by whoever first asked to open them.
    opened: Option<(i128, usize)>,
}

impl Watch for Bank {
    fn begins(&mut self, call: &Call<'_>, _: &mut Notes) -> Mark {
        let Op::Transaction(transaction) = call.op else { return 0 };
        let conditions = &transaction.conditions;
        let is_opening = conditions.iter().all(|it| it.1.is_none()) && !conditions.is_empty();
        if self.opened.is_none() && is_opening {
            let amounts = transaction.then.iter().filter_map(|step| match step {
                Step::Write(_, value) => Some(i128::from(value.0)),
                _ => None,
            });
            self.opened = Some((amounts.clone().sum(), amounts.count()));
        }
        0
    }

    fn ends(&mut self, call: &Call<'_>, end: &End<'_>, notes: &mut Notes) {
        let Outcome::Ok(Reply::Transacted { results, .. }) = end.outcome else { return };
        let Some((total, accounts)) = self.opened else { return };
        let (mut sum, mut held) = (0, 0);
        for result in results {
            let StepReply::Read(value) = result else { return };
            held += usize::from(value.is_some());
            sum += value.map_or(0, |value| i128::from(value.0));
        }
        // Before the accounts are opened there is nothing in any of them.
        if results.len() == accounts && held > 0 && sum != total {
            let what = format!("a read of all accounts came to {sum}, opened with {total}");
            notes.proven(AnomalyKind::WrongTotal, call.op.key(), what);
        }
    }

    fn values(&self) -> usize {
        0
    }
}
