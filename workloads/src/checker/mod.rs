//! Checkers: each reads a history, and nothing else, and says what may be said about it.
//!
//! | checker | decides | assumes |
//! |---|---|---|
//! | [`linearizable`] | whether one order of all operations explains every answer | nothing |
//! | [`lost_write`] | which acknowledged writes are gone at the end | final reads are right |
//! | [`list`] | the same of lists that grow at the end, key by key | elements are unique |
//! | [`elle`] | whether transactions on lists depend on one another in a ring | the same |
//! | [`counter`] | linearizability of counters | increments by one |
//! | [`unique_ids`] | whether an id was given out twice | nothing |
//! | [`bank`] | whether every read of all accounts has the same sum | transfers keep it |
//! | [`sessions`] | what each client may expect after what it did before | a key has one writer |
//! | [`queue`] | linearizability of queues | elements are unique, a read of what is left |
//! | [`lock`] | lock safety and the order of fencing tokens | one clock |
//! | [`agreement`] | whether all nodes hold the same at the end | local reads are local |
//!
//! [`promise`] judges by what a store promises instead of linearizability.
//!
//! [`minimal`] makes a history of the few operations that prove an anomaly, and [`brute_force`],
//! which shares no code with any checker, judges that file again by trying every order.
//! [`replay`] does the like for a pass: it walks along an order that a checker gives for it.
//! `workload` says which checkers a workload has and calls [`run_all`].

pub mod agreement;
pub mod bank;
pub mod brute_force;
pub mod counter;
mod cut_off;
pub mod elle;
mod findings;
pub mod frontier;
pub mod linearizable;
pub mod list;
pub mod lock;
pub mod lost_write;
pub mod minimal;
pub(crate) mod plants;
pub mod promise;
pub mod queue;
mod queue_search;
pub mod replay;
mod searched;
pub mod sessions;
mod staleness;
mod story;
pub mod unique_ids;
mod versions;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::history::History;
use crate::verdict::Judgement;

/// A checker under the name by which judgements and reports call it.
#[derive(Clone, Copy, Debug)]
pub struct Checker {
    /// The name.
    pub name: &'static str,
    /// Judges a complete history with at least one operation.
    pub check: fn(&History) -> Judgement,
}

/// Judges a history with several checkers, in their order. An empty history and a checker that panics
/// give `unknown`; so does a cut-off history, but for what [`cut_off`] says of it.
pub fn run_all(checkers: &[Checker], history: &History) -> Vec<Judgement> {
    let beginning = cut_off::as_whole(history);
    let beginning = beginning.as_ref();
    checkers.iter().map(|it| guarded(it.name, history, beginning, it.check)).collect()
}

/// Judges a history that has its end with one checker.
fn run(checker: &Checker, history: &History) -> Judgement {
    guarded(checker.name, history, None, checker.check)
}

/// Why a history cannot be judged at all, if so. Every checker asks first, so that one that is called
/// by itself passes no half of a history either.
fn unjudged(name: &str, history: &History) -> Option<Judgement> {
    let count = history.operations.len();
    if !history.complete {
        return Some(Judgement::unknown(
            name,
            format!("the history is cut off after {count} operations: its trailer is missing"),
        ));
    }
    let empty = "the history is empty: it holds no operation";
    (count == 0).then(|| Judgement::unknown(name, empty))
}

/// Judges what can be judged at all, and survives a checker that does not. `beginning` is what
/// [`cut_off::as_whole`] made of the history.
fn guarded(
    name: &str,
    history: &History,
    beginning: Option<&History>,
    check: impl Fn(&History) -> Judgement,
) -> Judgement {
    let check = |history: &History| {
        catch_unwind(AssertUnwindSafe(|| check(history))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            let text = text.unwrap_or("no message");
            Judgement::unknown(name, format!("the checker crashed: {text}"))
        })
    };
    match history.complete {
        false => cut_off::judge(name, history, beginning, check),
        true => unjudged(name, history).unwrap_or_else(|| check(history)),
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
pub(crate) mod golden;
#[cfg(test)]
mod golden_models;
#[cfg(test)]
mod golden_page;
#[cfg(test)]
mod golden_queue;
#[cfg(test)]
mod golden_searched;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_models;
#[cfg(test)]
mod tests_plain;
#[cfg(test)]
mod tests_strangers;
#[cfg(test)]
mod tests_windows;
