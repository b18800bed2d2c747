//! The operations of a history, in an order that every checker may rely on.
//!
//! Checkers look operations up by their ids and compare places without looking twice, so operations
//! out of order would give wrong verdicts, passes among them. This type cannot hold such: whoever has
//! operations from elsewhere than a file gives them to [`Operations::new`], which puts them in order
//! or says what contradicts itself. The readers of this folder check as they go.

use std::ops::Deref;

use super::{Operation, OperationId};
use crate::operation::Outcome;

/// The largest place in the order of events: checkers need places behind all events.
pub const SEQ_MAX: u64 = u64::MAX >> 1;

/// Operations by order of invocation, the first with the id zero. No two events share a place, none
/// ends before it began, and each answer is one to what was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operations(Vec<Operation>);

/// Why operations make no history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disorder {
    /// The end of an operation is not behind its beginning.
    #[error(
        "{what}: completed at place {completed}, but invoked at place {invoked}; expected every \
         operation to end after it began"
    )]
    Backwards {
        /// The operation.
        what: String,
        /// Where it began.
        invoked: u64,
        /// Where it ended.
        completed: u64,
    },
    /// Two events claim one place in the order.
    #[error(
        "{what}: place {place} is also that of another event; expected places that differ. Number the \
         events one by one, and of events of one time the invocations first"
    )]
    SamePlace {
        /// One of the operations.
        what: String,
        /// The place.
        place: u64,
    },
    /// An operation of certain outcome without an end.
    #[error("{what}: answered, but never completed; expected the place at which the answer came")]
    Endless {
        /// The operation.
        what: String,
    },
    /// An answer to something else than what was asked.
    #[error("{what}: the reply {reply} does not answer it")]
    OtherReply {
        /// The operation.
        what: String,
        /// What was answered.
        reply: String,
    },
    /// A place beyond [`SEQ_MAX`].
    #[error("{what}: place {place}; expected at most {SEQ_MAX}")]
    FarPlace {
        /// The operation.
        what: String,
        /// The place.
        place: u64,
    },
    /// More operations than ids.
    #[error("{count} operations; expected at most {}", u32::MAX)]
    TooMany {
        /// How many.
        count: usize,
    },
}

impl Operations {
    /// Puts operations, in whichever order they are, in that of their invocations, and gives them
    /// their ids. Takes O(n log n) time.
    ///
    /// # Errors
    ///
    /// [`Disorder`], where putting them in order would be guessing.
    pub fn new(mut operations: Vec<Operation>) -> Result<Self, Disorder> {
        if u32::try_from(operations.len()).is_err() {
            return Err(Disorder::TooMany { count: operations.len() });
        }
        operations.sort_by_key(|operation| operation.invoked.seq);
        for (operation, id) in operations.iter_mut().zip(0..) {
            operation.id = OperationId(id);
        }
        check(&operations)?;
        Ok(Operations(operations))
    }

    /// Operations that are known to be in order.
    pub(crate) fn in_order(operations: Vec<Operation>) -> Self {
        debug_assert_eq!(check(&operations), Ok(()));
        Operations(operations)
    }

    /// Gives the operations back.
    pub fn into_vec(self) -> Vec<Operation> {
        self.0
    }
}

impl Deref for Operations {
    type Target = [Operation];

    fn deref(&self) -> &[Operation] {
        &self.0
    }
}

impl<'a> IntoIterator for &'a Operations {
    type Item = &'a Operation;
    type IntoIter = std::slice::Iter<'a, Operation>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// Looks whether operations are as [`Operations`] says.
fn check(operations: &[Operation]) -> Result<(), Disorder> {
    let mut places: Vec<(u64, u32)> = Vec::with_capacity(2 * operations.len());
    for (operation, index) in operations.iter().zip(0..) {
        let what = || format!("{} \"{}\"", operation.client, operation.op);
        let invoked = operation.invoked.seq;
        places.push((invoked, index));
        if let Some(completed) = operation.completed.map(|stamp| stamp.seq) {
            places.push((completed, index));
            if completed <= invoked {
                return Err(Disorder::Backwards { what: what(), invoked, completed });
            }
        }
        match &operation.outcome {
            Outcome::Ok(_) | Outcome::Fail(_) if operation.completed.is_none() => {
                return Err(Disorder::Endless { what: what() });
            }
            Outcome::Ok(reply) if !operation.op.is_answered_by(reply) => {
                return Err(Disorder::OtherReply { what: what(), reply: format!("{reply:?}") });
            }
            _ => {}
        }
    }
    places.sort_unstable();
    let what = |index: u32| {
        let operation = &operations[index as usize];
        format!("{} \"{}\"", operation.client, operation.op)
    };
    if let Some(pair) = places.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(Disorder::SamePlace { what: what(pair[1].1), place: pair[1].0 });
    }
    match places.last() {
        Some((place, index)) if *place > SEQ_MAX => {
            Err(Disorder::FarPlace { what: what(*index), place: *place })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing;
    use crate::history::{Micros, Stamp};
    use crate::operation::{Reason, Reply, Value};
    use crate::verdict::Verdict;
    use crate::workload::judge;

    /// A stale read, as a stranger may have it: the last operation first, each numbered anyhow.
    fn shuffled() -> Vec<Operation> {
        let lines = "
            c1 n1 10-20 write r1=1
            c1 n1 30-40 write r1=2
            c2 n2 50-60 read r1=1
            c2 n2 70-80 read r1=2
            ";
        let mut operations = testing::history("register", lines).operations.into_vec();
        operations.reverse();
        for operation in &mut operations {
            operation.id = OperationId(7);
        }
        operations
    }

    #[test]
    fn operations_in_any_order_are_put_in_that_of_their_invocations() {
        let history = crate::history::History {
            header: testing::header("register"),
            operations: Operations::new(shuffled()).unwrap(),
            complete: true,
        };
        let ids: Vec<(u32, u64)> =
            history.operations.iter().map(|it| (it.id.0, it.invoked.seq)).collect();
        assert_eq!(ids, [(0, 0), (1, 2), (2, 4), (3, 6)]);
        assert_eq!(judge(&history)[0].verdict, Verdict::Fail, "the stale read is found");
    }

    #[test]
    fn operations_that_contradict_themselves_are_refused_with_the_reason() {
        let stamp = |seq| Stamp { seq, at: Micros(0) };
        let refused = |edit: &dyn Fn(&mut Operation)| {
            let mut operations = shuffled();
            edit(&mut operations[0]);
            Operations::new(operations).unwrap_err().to_string()
        };
        let refusals = [
            refused(&|it| it.completed = Some(stamp(5))),
            refused(&|it| it.completed = Some(stamp(6))),
            refused(&|it| it.invoked = stamp(5)),
            refused(&|it| it.completed = None),
            refused(&|it| {
                it.outcome = Outcome::Fail(Reason::new("no-leader"));
                it.completed = None;
            }),
            refused(&|it| it.outcome = Outcome::Ok(Reply::Incremented(Value(1)))),
            refused(&|it| it.completed = Some(stamp(u64::MAX))),
        ];
        insta::assert_snapshot!(refusals.join("\n"), @r#"
        c2 "read r1": completed at place 5, but invoked at place 6; expected every operation to end after it began
        c2 "read r1": completed at place 6, but invoked at place 6; expected every operation to end after it began
        c2 "read r1": place 5 is also that of another event; expected places that differ. Number the events one by one, and of events of one time the invocations first
        c2 "read r1": answered, but never completed; expected the place at which the answer came
        c2 "read r1": answered, but never completed; expected the place at which the answer came
        c2 "read r1": the reply Incremented(Value(1)) does not answer it
        c2 "read r1": place 18446744073709551615; expected at most 9223372036854775807
        "#);
    }
}
