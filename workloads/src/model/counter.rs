//! The model of counters: additions of any size that answer that they were done, and reads of the sum.
//! [`crate::checker::counter`] is the near-linear judge of those whose additions answer with the sum.

use crate::model::{Asked, Model};
use crate::operation::Key;

/// Counters under keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter {
    /// What each holds before the first call.
    pub initial: i64,
}

/// What is asked of a counter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Input {
    /// The counter.
    pub key: Key,
    /// What is done to it.
    pub action: Action,
}

/// What can be done with a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Adds so much, which may be less than nothing.
    Add(i64),
    /// Tells the sum.
    Read,
}

/// What a counter answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// It was added.
    Done,
    /// The sum.
    Sum(i64),
}

impl Model for Counter {
    type State = i64;
    type Input = Input;
    type Output = Output;

    fn initial(&self) -> i64 {
        self.initial
    }

    fn step(&self, sum: &i64, input: &Input, output: Option<&Output>) -> Option<i64> {
        match (input.action, output) {
            (Action::Add(by), None | Some(Output::Done)) => Some(sum.wrapping_add(by)),
            (Action::Read, Some(Output::Sum(seen))) => (seen == sum).then_some(*sum),
            (Action::Read, None) => Some(*sum),
            (Action::Add(_), Some(Output::Sum(_))) | (Action::Read, Some(Output::Done)) => None,
        }
    }

    fn part<'a>(&self, input: &'a Input) -> Option<&'a Key> {
        Some(&input.key)
    }

    fn only_looks(&self, input: &Input, _: Option<&Output>) -> bool {
        matches!(input.action, Action::Read | Action::Add(0))
    }

    fn explains(&self, (cause, _): Asked<'_, Self>, (seen, output): Asked<'_, Self>) -> bool {
        let adds = !self.only_looks(cause, None);
        adds && seen.action == Action::Read && output.is_some()
    }

    fn show_state(&self, sum: &i64) -> String {
        sum.to_string()
    }

    fn show_call(&self, input: &Input, output: Option<&Output>) -> String {
        let asked = match input.action {
            Action::Add(by) => format!("add {by}"),
            Action::Read => "read".to_string(),
        };
        match output {
            Some(Output::Done) => format!("{asked}: ok"),
            Some(Output::Sum(sum)) => format!("{asked}: {sum}"),
            None => format!("{asked}, unknown"),
        }
    }
}
