//! What the general search says of one key, in the words of a checker: the operations of a queue or a
//! resource as calls of its model, and the few of them that no order explains. Called by
//! [`super::queue_search`] and `lock`; registers have names of their own for what it finds
//! (`linearizable`) and share only [`Searched`].

use super::frontier::{self, Budget, Decision, Overrun};
use super::story;
use crate::history::{History, Operation, OperationId};
use crate::model::{CallOf, Model};
use crate::operation::Key;
use crate::verdict::{Anomaly, AnomalyKind};

/// What the search says of a key.
#[derive(Debug)]
pub(super) enum Searched {
    /// An order exists.
    Explained,
    /// No order exists, and why.
    Impossible(Anomaly),
    /// It was not found out, and why.
    Undecided(String),
}

impl Searched {
    /// The search gave up.
    pub(super) fn overrun(overrun: Overrun) -> Searched {
        let Overrun { from, to, why } = overrun;
        let text = format!("the search gave up between the events {from} and {to}, with {why}");
        Searched::Undecided(text)
    }
}

/// Searches for an order of the operations of one key. `call` makes a call of the model of an
/// operation, and `None` of one that did nothing or says nothing.
pub(super) fn search<M: Model>(
    model: &M,
    history: &History,
    key: &Key,
    call: impl Fn(&Operation) -> Option<CallOf<M>>,
) -> Searched {
    let of_it = history.operations.iter().filter(|it| !it.op.is_local() && it.op.key() == key);
    let (ids, calls): (Vec<OperationId>, Vec<CallOf<M>>) =
        of_it.filter_map(|operation| Some((operation.id, call(operation)?))).unzip();
    let refusal = match frontier::decide(model, &calls, Budget::default()) {
        Decision::Possible => return Searched::Explained,
        Decision::Undecided(overrun) => return Searched::overrun(overrun),
        Decision::Impossible(refusal) => refusal,
    };
    let core = frontier::core(model, &calls, &refusal);
    let culprit = ids[core.refusal.refused];
    let mut operations: Vec<OperationId> = core.calls.iter().map(|index| ids[*index]).collect();
    operations.sort_unstable();
    let states: Vec<&str> = core.refusal.last.iter().map(|last| last.state.as_str()).collect();
    let states = match core.refusal.states > states.len() {
        true => format!("one of {} things", core.refusal.states),
        false => states.join(" or "),
    };
    let story = format!(
        "No order explains these operations: {}, but up to then {key} can only have held {states}.",
        story::operation(history.operation(culprit))
    );
    Searched::Impossible(Anomaly {
        kind: AnomalyKind::NonLinearizable,
        key: key.clone(),
        culprit,
        operations,
        swaps: Vec::new(),
        story: vec![story],
    })
}
