//! Models: what a thing answers when it does one operation after the other.
//!
//! A model knows nothing of time, of clients or of concurrency; it is one function from a state, an
//! input and an output to the next state. [`crate::checker::frontier`] asks whether some order of
//! overlapping calls is one that the model allows. A model of your own is one [`Model::step`]:
//!
//! ```
//! use splitbrain_workloads::checker::frontier::{self, Budget, Decision};
//! use splitbrain_workloads::model::{Call, Model};
//! use splitbrain_workloads::operation::ClientId;
//!
//! /// A counter: `Some(n)` adds n, `None` reads.
//! struct Counter;
//!
//! impl Model for Counter {
//!     type State = i64;
//!     type Input = Option<i64>;
//!     type Output = i64;
//!
//!     fn initial(&self) -> i64 {
//!         0
//!     }
//!
//!     fn step(&self, sum: &i64, add: &Option<i64>, answer: Option<&i64>) -> Option<i64> {
//!         let sum = sum.checked_add(add.unwrap_or(0))?;
//!         answer.is_none_or(|answer| *answer == sum).then_some(sum)
//!     }
//! }
//!
//! let call = |client, input, output, began, ended| Call {
//!     client: ClientId(client),
//!     input,
//!     output,
//!     began,
//!     ended,
//! };
//! // An addition that was never answered may explain the second read, but not the third as well.
//! let mut calls = vec![
//!     call(0, Some(2), None, 0, None),
//!     call(1, None, Some(0), 1, Some(2)),
//!     call(1, None, Some(2), 3, Some(4)),
//! ];
//! assert_eq!(frontier::decide(&Counter, &calls, Budget::default()), Decision::Possible);
//! calls.push(call(1, None, Some(0), 5, Some(6)));
//! let decision = frontier::decide(&Counter, &calls, Budget::default());
//! assert!(matches!(decision, Decision::Impossible(refusal) if refusal.refused == 3));
//! ```

pub mod counter;
pub mod guarded;
pub mod key_value;
pub mod multi_register;
pub mod mutex;
pub mod queue;
pub mod register;
pub mod set;

use std::fmt;
use std::hash::Hash;

use crate::operation::{ClientId, Key};

/// A sequential specification: deterministic, total over inputs, without side effects.
///
/// Only [`Model::initial`] and [`Model::step`] must be written. The others make the checker faster
/// or its counterexamples smaller, and their defaults are right for every model.
pub trait Model {
    /// What the thing holds.
    type State: Clone + Eq + Hash + fmt::Debug;
    /// What a call asks.
    type Input: Clone + Eq + Hash + fmt::Debug;
    /// What it is answered.
    type Output: Clone + Eq + Hash + fmt::Debug;

    /// What it holds before the first call.
    fn initial(&self) -> Self::State;

    /// What it holds after a call, or `None` if it would not have answered so. Without an output
    /// nothing is known of the answer, and any will do.
    fn step(
        &self,
        state: &Self::State,
        input: &Self::Input,
        output: Option<&Self::Output>,
    ) -> Option<Self::State>;

    /// The part that a call touches alone, if the thing is made of independent parts. Parts are
    /// judged one by one, each from the initial state. Either every input has a part or none.
    fn part<'a>(&self, _input: &'a Self::Input) -> Option<&'a Key> {
        None
    }

    /// Whether a call with this answer leaves every state as it is. Such calls are ordered as soon
    /// as they can be, which costs nothing.
    fn only_looks(&self, _input: &Self::Input, _output: Option<&Self::Output>) -> bool {
        false
    }

    /// Whether `seen` may have been answered as it was because of `cause`. Where it is `false`, a
    /// legal order that holds both must stay legal without `cause`. A counterexample can then do
    /// without it.
    fn explains(&self, _cause: Asked<'_, Self>, _seen: Asked<'_, Self>) -> bool {
        true
    }

    /// Whether the state after a call with this answer does not depend on the state before.
    fn overwrites(&self, _input: &Self::Input, _output: Option<&Self::Output>) -> bool {
        false
    }

    /// Whether a state may become one in which `seen` is answered so, by calls of which none
    /// overwrites. `false` lets the search give up early on a state that a later answer rules out.
    fn may_become(&self, _state: &Self::State, _seen: Asked<'_, Self>) -> bool {
        true
    }

    /// Whether [`Model::may_become`] ever says no, so that it is worth asking.
    fn looks_ahead(&self) -> bool {
        false
    }

    /// Whether [`Model::needs`], [`Model::makes`] and [`Model::avoids`] say all there is to say: a call
    /// that is answered rightly in one state alone needs it; one that is not but in one state avoids
    /// that; every change of the state is to the one that the call makes, and a call that needs no
    /// state may come in every one. Long histories are then searched window by window.
    fn names_states(&self) -> bool {
        false
    }

    /// The one state in which a call can have been answered so; of one without an answer, in which it
    /// changes anything.
    fn needs(&self, _input: &Self::Input, _output: Option<&Self::Output>) -> Option<Self::State> {
        None
    }

    /// The state that a call leaves behind if it changes anything.
    fn makes(&self, _input: &Self::Input, _output: Option<&Self::Output>) -> Option<Self::State> {
        None
    }

    /// The one state in which a call cannot have been answered so.
    fn avoids(&self, _input: &Self::Input, _output: Option<&Self::Output>) -> Option<Self::State> {
        None
    }

    /// A state, for people.
    fn show_state(&self, state: &Self::State) -> String {
        format!("{state:?}")
    }

    /// A call and its answer, for people: `read -> 4`.
    fn show_call(&self, input: &Self::Input, output: Option<&Self::Output>) -> String {
        match output {
            Some(output) => format!("{input:?} -> {output:?}"),
            None => format!("{input:?} -> unknown"),
        }
    }
}

/// The input of a call and what is known of its answer.
pub type Asked<'a, M> = (&'a <M as Model>::Input, Option<&'a <M as Model>::Output>);

/// One call of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<I, O> {
    /// Who called; for people, it orders nothing.
    pub client: ClientId,
    /// What was asked.
    pub input: I,
    /// The answer, if it is known.
    pub output: Option<O>,
    /// Its place among all events. Of equal places, beginnings come before ends.
    pub began: u64,
    /// The place of its certain end. Without one the call may take effect at any later time or
    /// never, and its output is not looked at. A call that certainly did not happen is no call.
    pub ended: Option<u64>,
}

/// The calls of a model.
pub type CallOf<M> = Call<<M as Model>::Input, <M as Model>::Output>;
