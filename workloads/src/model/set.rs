//! The model of sets: add, remove, look for an element, read all. Elements may come and go more than
//! once, which is what sets it apart from [`crate::checker::linearizable::check_set`].

use std::collections::BTreeSet;

use crate::model::{Asked, Model};
use crate::operation::{Key, Value};

/// Sets under keys, all empty at first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Set;

/// What is asked of a set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Input {
    /// The set.
    pub key: Key,
    /// What is done to it.
    pub action: Action,
}

/// What can be done with a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Adds an element, if it is not in it.
    Add(Value),
    /// Removes an element, if it is in it.
    Remove(Value),
    /// Tells whether an element is in it.
    Contains(Value),
    /// Tells all elements.
    Read,
}

/// What a set answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// It was added, or removed.
    Done,
    /// It is in it, or is not.
    Contained(bool),
    /// All elements, in any order; one that is in it twice is never right.
    Held(Vec<Value>),
}

impl Model for Set {
    type State = BTreeSet<Value>;
    type Input = Input;
    type Output = Output;

    fn initial(&self) -> BTreeSet<Value> {
        BTreeSet::new()
    }

    fn step(
        &self,
        held: &BTreeSet<Value>,
        input: &Input,
        output: Option<&Output>,
    ) -> Option<BTreeSet<Value>> {
        let is_right = match (input.action, output) {
            (_, None) | (Action::Add(_) | Action::Remove(_), Some(Output::Done)) => true,
            (Action::Contains(value), Some(Output::Contained(is))) => held.contains(&value) == *is,
            (Action::Read, Some(Output::Held(seen))) => {
                seen.len() == held.len() && {
                    let seen: BTreeSet<Value> = seen.iter().copied().collect();
                    seen == *held
                }
            }
            _ => false,
        };
        is_right.then(|| {
            let mut held = held.clone();
            match input.action {
                Action::Add(value) => held.insert(value),
                Action::Remove(value) => held.remove(&value),
                Action::Contains(_) | Action::Read => false,
            };
            held
        })
    }

    fn part<'a>(&self, input: &'a Input) -> Option<&'a Key> {
        Some(&input.key)
    }

    fn only_looks(&self, input: &Input, _: Option<&Output>) -> bool {
        matches!(input.action, Action::Contains(_) | Action::Read)
    }

    fn explains(&self, (cause, _): Asked<'_, Self>, (seen, output): Asked<'_, Self>) -> bool {
        match (cause.action, seen.action, output) {
            (Action::Add(one), Action::Contains(other), Some(Output::Contained(is))) => {
                one == other && *is
            }
            (Action::Remove(one), Action::Contains(other), Some(Output::Contained(is))) => {
                one == other && !*is
            }
            (Action::Add(one), Action::Read, Some(Output::Held(seen))) => seen.contains(&one),
            (Action::Remove(one), Action::Read, Some(Output::Held(seen))) => !seen.contains(&one),
            _ => false,
        }
    }

    fn show_state(&self, held: &BTreeSet<Value>) -> String {
        let held: Vec<String> = held.iter().map(Value::to_string).collect();
        format!("{{{}}}", held.join(" "))
    }

    fn show_call(&self, input: &Input, output: Option<&Output>) -> String {
        let asked = match input.action {
            Action::Add(value) => format!("add {value}"),
            Action::Remove(value) => format!("remove {value}"),
            Action::Contains(value) => format!("contains {value}"),
            Action::Read => "read".to_string(),
        };
        match output {
            Some(Output::Done) => format!("{asked}: ok"),
            Some(Output::Contained(is)) => format!("{asked}: {is}"),
            Some(Output::Held(seen)) => {
                let seen: Vec<String> = seen.iter().map(Value::to_string).collect();
                format!("{asked}: {{{}}}", seen.join(" "))
            }
            None => format!("{asked}, unknown"),
        }
    }
}
