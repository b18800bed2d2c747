//! A history of whichever tool, with the model that it is judged by, and what is said of it when it
//! is not a history of registers: those have checkers of their own.
//!
//! Read by [`crate::history::open`]; `splitbrain check` judges with [`Recording::decide`] and tells
//! with [`Recording::explain`].

use std::str::FromStr;

use crate::checker::frontier::{self, Budget, Decision, Overrun, Refusal};
use crate::checker::{bank, elle, linearizable, list};
use crate::history::History;
use crate::model::counter::Counter;
use crate::model::key_value::KeyValue;
use crate::model::multi_register::MultiRegister;
use crate::model::mutex::Mutex;
use crate::model::queue::Queue;
use crate::model::set::Set;
use crate::model::{CallOf, Model};
use crate::verdict::{Judgement, Verdict};

/// The workload of a bank of another tool that lets nobody overdraw an account.
pub(crate) const SOLVENT_BANK: &str = "solvent-bank";

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
    /// [`linearizable::check_set`], or [`crate::model::set`].
    Set,
    /// [`list`] and [`elle`].
    ListAppend,
    /// [`bank`], of which no account may be overdrawn.
    Bank,
    /// [`bank`].
    BankWithDebts,
    /// [`crate::model::counter`].
    Counter,
    /// [`crate::model::queue`], first in, first out.
    FifoQueue,
    /// [`crate::model::queue`], in any order.
    UnorderedQueue,
}

impl ModelName {
    /// Every model.
    pub const ALL: [ModelName; 11] = [
        ModelName::Register,
        ModelName::KeyValue,
        ModelName::MultiRegister,
        ModelName::Mutex,
        ModelName::Set,
        ModelName::ListAppend,
        ModelName::Bank,
        ModelName::BankWithDebts,
        ModelName::Counter,
        ModelName::FifoQueue,
        ModelName::UnorderedQueue,
    ];

    /// The names that other tools have for some of them.
    pub const ALIASES: [(&'static str, ModelName); 6] = [
        ("cas-register", ModelName::Register),
        ("kv", ModelName::KeyValue),
        ("rw-register", ModelName::MultiRegister),
        ("set-full", ModelName::Set),
        ("append", ModelName::ListAppend),
        ("queue", ModelName::UnorderedQueue),
    ];

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            ModelName::Register => "register",
            ModelName::KeyValue => "key-value",
            ModelName::MultiRegister => "multi-register",
            ModelName::Mutex => "mutex",
            ModelName::Set => "set",
            ModelName::ListAppend => "list-append",
            ModelName::Bank => "bank",
            ModelName::BankWithDebts => "bank-with-debts",
            ModelName::Counter => "counter",
            ModelName::FifoQueue => "fifo-queue",
            ModelName::UnorderedQueue => "unordered-queue",
        }
    }
}

impl FromStr for ModelName {
    type Err = String;

    /// Takes the names that other tools have for them as well.
    fn from_str(text: &str) -> Result<Self, String> {
        let own = ModelName::ALL.into_iter().map(|model| (model.name(), model));
        let mut known = own.chain(ModelName::ALIASES);
        known.find(|(name, _)| *name == text).map(|(_, model)| model).ok_or_else(|| {
            let names = ModelName::ALL.map(ModelName::name).join(", ");
            format!("expected one of {names}, got \"{text}\"")
        })
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
    /// Sets of which elements come and go.
    Set(Calls<Set>),
    /// Counters.
    Counter(Calls<Counter>),
    /// A queue, first in, first out.
    FifoQueue(Calls<Queue>),
    /// A queue in any order.
    UnorderedQueue(Calls<Queue>),
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
            Recording::Operations(history) => match history.header.workload.as_str() {
                "set" => ModelName::Set,
                "append" => ModelName::ListAppend,
                "bank" => ModelName::BankWithDebts,
                SOLVENT_BANK => ModelName::Bank,
                _ => ModelName::Register,
            },
            Recording::KeyValue(_) => ModelName::KeyValue,
            Recording::MultiRegister(_) => ModelName::MultiRegister,
            Recording::Mutex(_) => ModelName::Mutex,
            Recording::Set(_) => ModelName::Set,
            Recording::Counter(_) => ModelName::Counter,
            Recording::FifoQueue(_) => ModelName::FifoQueue,
            Recording::UnorderedQueue(_) => ModelName::UnorderedQueue,
        }
    }

    /// How many operations it has.
    pub fn operations(&self) -> usize {
        match self {
            Recording::Operations(history) => history.operations.len(),
            Recording::KeyValue(calls) => calls.operations,
            Recording::MultiRegister(calls) => calls.operations,
            Recording::Mutex(calls) => calls.operations,
            Recording::Set(calls) => calls.operations,
            Recording::Counter(calls) => calls.operations,
            Recording::FifoQueue(calls) | Recording::UnorderedQueue(calls) => calls.operations,
        }
    }

    /// Whether an order exists, of a bank whether every read has the same sum. Of operations of our
    /// own vocabulary that is all that is said here; why not, says [`Recording::judge`].
    pub fn decide(&self, budget: Budget) -> Decision {
        match self {
            Recording::Operations(history) if self.model() == ModelName::Register => {
                linearizable::decide_registers(history, budget)
            }
            Recording::Operations(history) => decided(history, self.model(), &self.judged()),
            Recording::KeyValue(it) => frontier::decide(&it.model, &it.calls, budget),
            Recording::MultiRegister(it) => frontier::decide(&it.model, &it.calls, budget),
            Recording::Mutex(it) => frontier::decide(&it.model, &it.calls, budget),
            Recording::Set(it) => frontier::decide(&it.model, &it.calls, budget),
            Recording::Counter(it) => frontier::decide(&it.model, &it.calls, budget),
            Recording::FifoQueue(it) | Recording::UnorderedQueue(it) => {
                frontier::decide(&it.model, &it.calls, budget)
            }
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
            Recording::Set(it) => Some(it.explain(refusal)),
            Recording::Counter(it) => Some(it.explain(refusal)),
            Recording::FifoQueue(it) | Recording::UnorderedQueue(it) => Some(it.explain(refusal)),
        }
    }

    /// What the checkers of the model say, of operations of our own vocabulary. A tool that recorded
    /// them asked for no more than these do, so a history of which nothing is known, since nothing was
    /// answered, is right.
    pub fn judge(&self, decision: &Decision) -> Vec<Judgement> {
        let mut judged = match (self, self.model()) {
            (Recording::Operations(history), ModelName::Register) => {
                vec![linearizable::check_registers(history)]
            }
            _ => self.judged(),
        };
        if *decision == Decision::Possible {
            for judgement in judged.iter_mut().filter(|it| it.verdict == Verdict::Unknown) {
                judgement.verdict = Verdict::Pass;
                judgement.summary = "nothing was answered that could be wrong".to_string();
            }
        }
        judged
    }

    /// The same, where nothing known is unknown.
    fn judged(&self) -> Vec<Judgement> {
        let Recording::Operations(history) = self else { return Vec::new() };
        match self.model() {
            ModelName::Set => vec![linearizable::check_set(history)],
            ModelName::ListAppend => vec![list::check(history), elle::check(history)],
            ModelName::Bank => vec![bank::check_solvent(history)],
            ModelName::BankWithDebts => vec![bank::check(history)],
            _ => Vec::new(),
        }
    }
}

/// A decision of what checkers said. Where they say that nothing is known, nothing was answered that
/// could be wrong.
fn decided(history: &History, model: ModelName, judgements: &[Judgement]) -> Decision {
    let anomalies = judgements.iter().flat_map(|judgement| &judgement.anomalies);
    if let Some(first) = anomalies.map(|anomaly| anomaly.culprit).min() {
        let refused = first.0 as usize;
        return Decision::Impossible(Refusal { refused, since: None, last: Vec::new(), states: 0 });
    }
    let why = match model {
        _ if !history.complete => Some("the history cut off".to_string()),
        ModelName::ListAppend => list::undecided(history),
        ModelName::Set => linearizable::undecided_set(history),
        _ => None,
    };
    why.map_or(Decision::Possible, |why| {
        let to = history.operations.last().map_or(0, |last| last.invoked.seq);
        Decision::Undecided(Overrun { from: 0, to, why })
    })
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
                .map(|index| format!("{}'s \"{}\"", self.calls[*index].client, show(*index)))
                .collect();
            if !refused.is_empty() {
                let state = &last.state;
                let are = if refused.len() == 1 { "is" } else { "are" };
                let refused = refused.join(" and ");
                story.push(format!("In the state {state}, {refused} {are} impossible."));
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
