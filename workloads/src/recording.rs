//! A history of whichever tool, with the model that it is judged by, and what is said of it when it
//! is not a history of registers: those have checkers of their own.
//!
//! Read by [`crate::history::open`]; `splitbrain check` judges with [`Recording::decide`] and tells
//! with [`Recording::explain`].

use std::str::FromStr;

use crate::checker::frontier::{self, Budget, Decision, Refusal};
use crate::checker::linearizable;
use crate::history::History;
use crate::model::key_value::KeyValue;
use crate::model::multi_register::MultiRegister;
use crate::model::mutex::Mutex;
use crate::model::{CallOf, Model};

/// The models that a history of another tool can be judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelName {
    /// [`crate::model::register`].
    Register,
    /// [`crate::model::key_value`].
    KeyValue,
    /// [`crate::model::multi_register`].
    MultiRegister,
    /// [`crate::model::mutex`].
    Mutex,
}

impl ModelName {
    /// Every model.
    pub const ALL: [ModelName; 4] =
        [ModelName::Register, ModelName::KeyValue, ModelName::MultiRegister, ModelName::Mutex];

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            ModelName::Register => "register",
            ModelName::KeyValue => "key-value",
            ModelName::MultiRegister => "multi-register",
            ModelName::Mutex => "mutex",
        }
    }
}

impl FromStr for ModelName {
    type Err = String;

    /// Takes the names that other tools have for them as well.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cas-register" => Ok(ModelName::Register),
            "kv" => Ok(ModelName::KeyValue),
            _ => ModelName::ALL.into_iter().find(|model| model.name() == text).ok_or_else(|| {
                let names = ModelName::ALL.map(ModelName::name).join(", ");
                format!("expected one of {names}, got \"{text}\"")
            }),
        }
    }
}

/// A history and how it is to be judged.
#[derive(Clone, Debug)]
pub enum Recording {
    /// Operations of our own vocabulary.
    Operations(History),
    /// Strings under keys.
    KeyValue(Calls<KeyValue>),
    /// Transactions over registers.
    MultiRegister(Calls<MultiRegister>),
    /// A lock.
    Mutex(Calls<Mutex>),
}

/// The calls of a model.
#[derive(Clone, Debug)]
pub struct Calls<M: Model> {
    /// The model, with its initial state.
    pub model: M,
    /// What was called, without what certainly did not happen and what says nothing.
    pub calls: Vec<CallOf<M>>,
    /// How many operations the history has, those included.
    pub operations: usize,
}

/// Why no order exists, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The few calls that prove it, by order of beginning.
    pub calls: Vec<ExplainedCall>,
    /// What is wrong, in sentences.
    pub story: Vec<String>,
}

/// One call of an explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedCall {
    /// Who called: `c3`.
    pub client: String,
    /// What was asked and answered.
    pub text: String,
    /// Its beginning: a line of the file, if no two events share one.
    pub began: u64,
    /// Its certain end.
    pub ended: Option<u64>,
    /// Whether it is the one that could not have been answered so.
    pub is_refused: bool,
}

impl Recording {
    /// The name of the model.
    pub fn model(&self) -> ModelName {
        match self {
            Recording::Operations(_) => ModelName::Register,
            Recording::KeyValue(_) => ModelName::KeyValue,
            Recording::MultiRegister(_) => ModelName::MultiRegister,
            Recording::Mutex(_) => ModelName::Mutex,
        }
    }

    /// How many operations it has.
    pub fn operations(&self) -> usize {
        match self {
            Recording::Operations(history) => history.operations.len(),
            Recording::KeyValue(calls) => calls.operations,
            Recording::MultiRegister(calls) => calls.operations,
            Recording::Mutex(calls) => calls.operations,
        }
    }

    /// Whether an order exists. Of registers that is all that is said here; why not, say the
    /// checkers of their workload.
    pub fn decide(&self, budget: Budget) -> Decision {
        match self {
            Recording::Operations(history) => linearizable::decide_registers(history, budget),
            Recording::KeyValue(it) => frontier::decide(&it.model, &it.calls, budget),
            Recording::MultiRegister(it) => frontier::decide(&it.model, &it.calls, budget),
            Recording::Mutex(it) => frontier::decide(&it.model, &it.calls, budget),
        }
    }

    /// Why no order exists, after [`Recording::decide`] said so. `None` for registers.
    ///
    /// # Panics
    ///
    /// If the refusal is not of this recording.
    pub fn explain(&self, refusal: &Refusal) -> Option<Explanation> {
        match self {
            Recording::Operations(_) => None,
            Recording::KeyValue(it) => Some(it.explain(refusal)),
            Recording::MultiRegister(it) => Some(it.explain(refusal)),
            Recording::Mutex(it) => Some(it.explain(refusal)),
        }
    }
}

impl<M: Model> Calls<M> {
    fn explain(&self, refusal: &Refusal) -> Explanation {
        let core = frontier::core(&self.model, &self.calls, refusal);
        let refusal = &core.refusal;
        let show = |index: usize| {
            let call = &self.calls[index];
            let output = call.output.as_ref().filter(|_| call.ended.is_some());
            self.model.show_call(&call.input, output)
        };
        let calls = core.calls.iter().map(|index| ExplainedCall {
            client: self.calls[*index].client.to_string(),
            text: show(*index),
            began: self.calls[*index].began,
            ended: self.calls[*index].ended.filter(|ended| *ended <= core.until),
            is_refused: *index == refusal.refused,
        });
        let calls: Vec<ExplainedCall> = calls.collect();
        let refused = &self.calls[refusal.refused];
        let place = refused.ended.unwrap_or(refused.began);
        let mut story = vec![format!(
            "No order explains these operations: {}'s \"{}\" ended at line {place}, and cannot have \
             taken effect before.",
            refused.client,
            show(refusal.refused)
        )];
        for last in &refusal.last {
            let refused: Vec<String> = last
                .refuses
                .iter()
                .map(|index| format!("{} \"{}\"", self.calls[*index].client, show(*index)))
                .collect();
            if !refused.is_empty() {
                let state = &last.state;
                story.push(format!("In the state {state} it refuses {}.", refused.join(", ")));
            }
        }
        if refusal.states > refusal.last.len() {
            let more = refusal.states - refusal.last.len();
            story.push(format!("{more} further states refuse it as well."));
        }
        if !core.is_minimal {
            let what = "Some of these operations may not be needed: to find out takes too long.";
            story.push(what.to_string());
        }
        Explanation { calls, story }
    }
}
