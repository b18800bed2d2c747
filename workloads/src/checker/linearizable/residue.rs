//! The keys that the near-linear algorithm leaves over, handed to the general search: values that
//! repeat, deletes, and refusals that do not say what was seen. Called by `linearizable` alone.

use crate::checker::findings::Findings;
use crate::checker::frontier::{self, Budget, Core, Decision, Overrun};
use crate::checker::searched::Searched;
use crate::checker::story;
use crate::checker::versions::Versions;
use crate::history::{History, Operation, OperationId, Operations};
use crate::model::register::{self, Register};
use crate::model::{CallOf, Model};
use crate::operation::{Key, Outcome, Reason};
use crate::verdict::{Anomaly, AnomalyKind, Verdict};

use super::{NAME, Sink, check_key, tell};

/// How many of the last states a story tells.
const STATES_TOLD: usize = 3;

/// Searches for an order of the operations of one key.
pub(super) fn search(history: &History, key: &Key, operations: &[OperationId]) -> Searched {
    let (ids, calls): (Vec<OperationId>, Vec<CallOf<Register>>) =
        register::calls(history, operations).into_iter().unzip();
    match frontier::decide(&Register, &calls, Budget::default()) {
        Decision::Possible => Searched::Explained,
        Decision::Undecided(overrun) => Searched::overrun(overrun),
        Decision::Impossible(refusal) => {
            let core = frontier::core(&Register, &calls, &refusal);
            let kept: Vec<OperationId> = core.calls.iter().map(|index| ids[*index]).collect();
            let named = named(history, key, &kept, core.until);
            Searched::Impossible(
                named.unwrap_or_else(|| unnamed(history, key, &ids, &calls, &core)),
            )
        }
    }
}

/// Only whether an order of the operations of one key exists.
pub(super) fn decide(history: &History, operations: &[OperationId], budget: Budget) -> Decision {
    let calls: Vec<CallOf<Register>> =
        register::calls(history, operations).into_iter().map(|(_, call)| call).collect();
    frontier::decide(&Register, &calls, budget)
}

/// An order of the operations of one key, or why there is none.
pub(super) fn witness(
    history: &History,
    operations: &[OperationId],
    budget: Budget,
) -> Result<Vec<OperationId>, String> {
    let (ids, calls): (Vec<OperationId>, Vec<CallOf<Register>>) =
        register::calls(history, operations).into_iter().unzip();
    match frontier::witness(&Register, &calls, budget) {
        Ok(orders) => Ok(orders.into_iter().flatten().map(|index| ids[index]).collect()),
        Err(decision) => Err(match *decision {
            Decision::Undecided(Overrun { why, .. }) => format!("the search gave up with {why}"),
            _ => "no order exists".to_string(),
        }),
    }
}

/// The counterexample has few operations, whose values may well be unique; the exact algorithm then
/// has a name for what is wrong with it. It proves as much, see `frontier::core`.
fn named(history: &History, key: &Key, kept: &[OperationId], until: u64) -> Option<Anomaly> {
    let operations = kept.iter().zip(0..).map(|(id, index)| {
        let mut operation: Operation = history.operation(*id).clone();
        operation.id = OperationId(index);
        if operation.completed.is_some_and(|completed| completed.seq > until) {
            operation.outcome = Outcome::Info(Reason::new("open"));
        }
        operation
    });
    let header = history.header.clone();
    let small =
        History { header, operations: Operations::in_order(operations.collect()), complete: true };
    let all: Vec<OperationId> = small.operations.iter().map(|operation| operation.id).collect();
    let versions = Versions::of(&small, key.clone(), &all).ok()?;
    let mut findings = Findings::new();
    check_key(&versions, &mut Sink { findings: &mut findings, key: 0, found: false });
    let judgement = findings
        .judge(NAME, Verdict::Unknown, String::new(), |candidate| tell::tell(&versions, candidate));
    let mut anomaly = judgement.anomalies.into_iter().next()?;
    let original = |id: &mut OperationId| *id = kept[id.0 as usize];
    original(&mut anomaly.culprit);
    anomaly.operations.iter_mut().for_each(original);
    anomaly.swaps.iter_mut().for_each(original);
    Some(anomaly)
}

/// What is wrong, in the words of the search.
fn unnamed(
    history: &History,
    key: &Key,
    ids: &[OperationId],
    calls: &[CallOf<Register>],
    core: &Core,
) -> Anomaly {
    let refusal = &core.refusal;
    let culprit = ids[refusal.refused];
    let states: Vec<&str> = refusal.last.iter().map(|last| last.state.as_str()).collect();
    let states = match refusal.states > states.len() {
        true => format!("one of {} values", refusal.states),
        false => either(&states),
    };
    let mut story = vec![format!(
        "No order explains these operations: {}, but up to then {key} can only have been {states}.",
        story::operation(history.operation(culprit)),
    )];
    for last in refusal.last.iter().take(STATES_TOLD).filter(|last| last.refuses.len() > 1) {
        let refused = last.refuses.iter().map(|index| {
            let call = &calls[*index];
            let text = Register.show_call(&call.input, call.output.as_ref());
            format!("{} \"{text}\"", call.client)
        });
        story.push(format!(
            "Being {}, it can have answered none of {}.",
            last.state,
            refused.collect::<Vec<_>>().join(", ")
        ));
    }
    if !core.is_minimal {
        story
            .push("Some of these operations may not be needed: to find out takes too long.".into());
    }
    let mut operations: Vec<OperationId> = core.calls.iter().map(|index| ids[*index]).collect();
    operations.sort_unstable();
    Anomaly {
        kind: AnomalyKind::NonLinearizable,
        key: key.clone(),
        culprit,
        operations,
        swaps: Vec::new(),
        story,
    }
}

/// "1, 2 or 3".
fn either(words: &[&str]) -> String {
    match words {
        [] => "nothing".to_string(),
        [one] => (*one).to_string(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
    }
}
