//! The model of a resource that heeds fencing tokens: a register that remembers the greatest token of
//! all writes and refuses those with smaller ones (Kleppmann, "How to do distributed locking", 2016).

use crate::model::{Asked, Model};
use crate::operation::{Token, Value};

/// A guarded register, absent and without a token at first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Guarded;

/// What it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The value of the last write that was accepted.
    pub value: Option<Value>,
    /// The greatest token that it has seen.
    pub greatest: Token,
}

/// What is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// Writes a value under a token.
    Write(Value, Token),
    /// Reads.
    Read,
}

/// What it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// Written.
    Accepted,
    /// Not written: the token is smaller than one that was seen.
    Refused,
    /// It held this.
    Held(Option<Value>),
}

impl Model for Guarded {
    type State = State;
    type Input = Input;
    type Output = Output;

    fn initial(&self) -> State {
        State { value: None, greatest: Token(0) }
    }

    fn step(&self, state: &State, input: &Input, output: Option<&Output>) -> Option<State> {
        let (answer, next) = match input {
            Input::Write(value, token) if *token >= state.greatest => {
                (Output::Accepted, State { value: Some(*value), greatest: *token })
            }
            Input::Write(..) => (Output::Refused, *state),
            Input::Read => (Output::Held(state.value), *state),
        };
        output.is_none_or(|output| *output == answer).then_some(next)
    }

    fn only_looks(&self, input: &Input, output: Option<&Output>) -> bool {
        *input == Input::Read || output == Some(&Output::Refused)
    }

    fn explains(&self, (cause, _): Asked<'_, Self>, (seen, output): Asked<'_, Self>) -> bool {
        match (cause, seen, output) {
            (Input::Write(value, _), _, Some(Output::Held(held))) => *held == Some(*value),
            (Input::Write(_, token), Input::Write(_, refused), Some(Output::Refused)) => {
                token > refused
            }
            // Without an earlier write no other one is refused.
            _ => false,
        }
    }

    fn show_state(&self, state: &State) -> String {
        let value = state.value.map_or("absent".to_string(), |value| value.to_string());
        format!("{value} under token {}", state.greatest)
    }

    fn show_call(&self, input: &Input, output: Option<&Output>) -> String {
        match (input, output) {
            (Input::Write(value, token), Some(Output::Accepted)) => {
                format!("write {value} under {token}: accepted")
            }
            (Input::Write(value, token), Some(_)) => {
                format!("write {value} under {token}: refused")
            }
            (Input::Write(value, token), None) => format!("write {value} under {token}, unknown"),
            (Input::Read, Some(Output::Held(Some(value)))) => format!("read: {value}"),
            (Input::Read, Some(_)) => "read: absent".to_string(),
            (Input::Read, None) => "read, unknown".to_string(),
        }
    }
}
