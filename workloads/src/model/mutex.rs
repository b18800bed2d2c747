//! The model of one lock: nobody acquires it while it is held, nobody releases it while it is
//! free. Who holds it is not part of it, as in other tools' models of the same name.

use crate::model::Model;

/// A lock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mutex {
    /// Whether it is held before the first call.
    pub held: bool,
}

/// What can be done with a lock. The answer is that it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// Takes it.
    Acquire,
    /// Gives it back.
    Release,
}

impl Model for Mutex {
    type State = bool;
    type Input = Input;
    type Output = ();

    fn initial(&self) -> bool {
        self.held
    }

    fn step(&self, held: &bool, input: &Input, _: Option<&()>) -> Option<bool> {
        match input {
            Input::Acquire => (!*held).then_some(true),
            Input::Release => held.then_some(false),
        }
    }

    fn show_state(&self, held: &bool) -> String {
        if *held { "held".to_string() } else { "free".to_string() }
    }

    fn show_call(&self, input: &Input, output: Option<&()>) -> String {
        let asked = match input {
            Input::Acquire => "acquire",
            Input::Release => "release",
        };
        match output {
            Some(()) => format!("{asked}: ok"),
            None => format!("{asked}, unknown"),
        }
    }
}
