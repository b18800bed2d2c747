//! The model of a map from keys to strings: get, put and append, each of one key. Every key is a
//! part of its own and holds the empty string at first.

use std::sync::Arc;

use crate::model::{Asked, Model};
use crate::operation::Key;

/// Strings under keys.
#[derive(Clone, Debug)]
pub struct KeyValue {
    /// What every key holds before the first call.
    pub initial: Arc<str>,
}

impl Default for KeyValue {
    fn default() -> Self {
        KeyValue { initial: Arc::from("") }
    }
}

/// What is asked of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Input {
    /// The key.
    pub key: Key,
    /// What is done to it.
    pub action: Action,
}

/// What can be done to a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Tells its string.
    Get,
    /// Replaces its string.
    Put(Arc<str>),
    /// Adds to the end of its string.
    Append(Arc<str>),
}

/// What a key answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// To a get.
    Got(Arc<str>),
    /// To a put or an append.
    Done,
}

impl Model for KeyValue {
    type State = Arc<str>;
    type Input = Input;
    type Output = Output;

    fn initial(&self) -> Arc<str> {
        self.initial.clone()
    }

    fn step(&self, held: &Arc<str>, input: &Input, output: Option<&Output>) -> Option<Arc<str>> {
        match (&input.action, output) {
            (Action::Get, Some(Output::Got(seen))) => (seen == held).then(|| held.clone()),
            (Action::Get, None) => Some(held.clone()),
            (Action::Put(text), Some(Output::Done) | None) => Some(text.clone()),
            (Action::Append(text), Some(Output::Done) | None) => {
                Some(Arc::from(format!("{held}{text}")))
            }
            (Action::Get, Some(Output::Done))
            | (Action::Put(_) | Action::Append(_), Some(Output::Got(_))) => None,
        }
    }

    fn part<'a>(&self, input: &'a Input) -> Option<&'a Key> {
        Some(&input.key)
    }

    fn only_looks(&self, input: &Input, _: Option<&Output>) -> bool {
        input.action == Action::Get
    }

    /// What was put or appended last before a get, or after that put, is part of what it got.
    fn explains(&self, (cause, _): Asked<'_, Self>, (_, output): Asked<'_, Self>) -> bool {
        match (&cause.action, output) {
            (Action::Put(text) | Action::Append(text), Some(Output::Got(seen))) => {
                seen.contains(&**text)
            }
            _ => false,
        }
    }

    fn overwrites(&self, input: &Input, _: Option<&Output>) -> bool {
        matches!(input.action, Action::Put(_))
    }

    fn looks_ahead(&self) -> bool {
        true
    }

    /// Appends only make a string longer.
    fn may_become(&self, held: &Arc<str>, (_, output): Asked<'_, Self>) -> bool {
        match output {
            Some(Output::Got(seen)) => seen.starts_with(&**held),
            Some(Output::Done) | None => true,
        }
    }

    fn show_state(&self, state: &Arc<str>) -> String {
        shortened(state)
    }

    fn show_call(&self, input: &Input, output: Option<&Output>) -> String {
        let key = &input.key;
        let asked = match &input.action {
            Action::Get => format!("get {key}"),
            Action::Put(text) => format!("put {key} {}", shortened(text)),
            Action::Append(text) => format!("append {key} {}", shortened(text)),
        };
        match output {
            Some(Output::Got(text)) => format!("{asked}: {}", shortened(text)),
            Some(Output::Done) => format!("{asked}: ok"),
            None => format!("{asked}, unknown"),
        }
    }
}

/// How much of the end of a string is shown. What differs in appended strings is at their end.
const SHOWN: usize = 32;

fn shortened(text: &str) -> String {
    let count = text.chars().count();
    match count.checked_sub(SHOWN) {
        None | Some(0) => format!("{text:?}"),
        Some(left_out) => {
            let end: String = text.chars().skip(left_out).collect();
            format!("({left_out} more) {end:?}")
        }
    }
}
