//! The model of registers: read, write, compare-and-set, delete. Each key is a part of its own,
//! absent at first. Values may repeat, which is what sets it apart from
//! [`crate::checker::linearizable`].

use crate::history::{History, MISMATCH, Operation, OperationId};
use crate::model::{Asked, Call, CallOf, Model};
use crate::operation::{Key, Op, Outcome, Reply, Value};

/// Registers under keys, all absent at first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Register;

/// What is asked of a register.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Input {
    /// The register.
    pub key: Key,
    /// What is done to it.
    pub action: Action,
}

/// What can be done to a register. `None` is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Tells what it holds.
    Read,
    /// Makes it hold something, or nothing.
    Write(Option<Value>),
    /// Makes it hold the second if it holds the first.
    CompareAndSet(Option<Value>, Value),
}

/// What a register answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// To a read: this is what it held.
    Held(Option<Value>),
    /// To a write.
    Written,
    /// To a compare-and-set: it held this, and holds the new value.
    Swapped(Option<Value>),
    /// To a compare-and-set: it held this, and still does.
    Refused(Option<Value>),
    /// To a compare-and-set: it held something else than expected, and still does.
    RefusedSilently,
}

impl Model for Register {
    type State = Option<Value>;
    type Input = Input;
    type Output = Output;

    fn initial(&self) -> Option<Value> {
        None
    }

    fn step(
        &self,
        held: &Option<Value>,
        input: &Input,
        output: Option<&Output>,
    ) -> Option<Option<Value>> {
        let (after, is_right) = match (input.action, output) {
            (Action::Read, Some(Output::Held(seen))) => (*held, seen == held),
            (Action::Write(value), Some(Output::Written) | None) => (value, true),
            (Action::CompareAndSet(expect, value), Some(Output::Swapped(seen))) => {
                (Some(value), *held == expect && seen == held)
            }
            (Action::CompareAndSet(expect, _), Some(Output::Refused(seen))) => {
                (*held, *held != expect && seen == held)
            }
            (Action::CompareAndSet(expect, _), Some(Output::RefusedSilently)) => {
                (*held, *held != expect)
            }
            (Action::CompareAndSet(expect, value), None) if *held == expect => (Some(value), true),
            (_, None) => (*held, true),
            _ => (*held, false),
        };
        is_right.then_some(after)
    }

    fn part<'a>(&self, input: &'a Input) -> Option<&'a Key> {
        Some(&input.key)
    }

    fn only_looks(&self, input: &Input, output: Option<&Output>) -> bool {
        match input.action {
            Action::Read => true,
            Action::Write(_) => false,
            Action::CompareAndSet(..) => {
                matches!(output, Some(Output::Refused(_) | Output::RefusedSilently))
            }
        }
    }

    fn explains(&self, (cause, answer): Asked<'_, Self>, (seen, output): Asked<'_, Self>) -> bool {
        let written = match cause.action {
            _ if self.only_looks(cause, answer) => return false,
            Action::Read => return false,
            Action::Write(value) => value,
            Action::CompareAndSet(_, value) => Some(value),
        };
        match (seen.action, output) {
            (Action::Read, Some(Output::Held(value))) => *value == written,
            (Action::CompareAndSet(expect, _), Some(Output::Swapped(value))) => {
                written == expect || written == *value
            }
            (Action::CompareAndSet(..), Some(Output::Refused(value))) => *value == written,
            (Action::CompareAndSet(expect, _), Some(Output::RefusedSilently)) => written != expect,
            (Action::CompareAndSet(expect, _), None) => written == expect,
            (Action::Read | Action::Write(_), _) => false,
            // An answer that does not fit is wrong whatever else happened.
            (Action::CompareAndSet(..), Some(Output::Held(_) | Output::Written)) => false,
        }
    }

    fn overwrites(&self, input: &Input, output: Option<&Output>) -> bool {
        match input.action {
            Action::Read => false,
            Action::Write(_) => true,
            Action::CompareAndSet(..) => matches!(output, Some(Output::Swapped(_))),
        }
    }

    fn names_states(&self) -> bool {
        true
    }

    fn needs(&self, input: &Input, output: Option<&Output>) -> Option<Option<Value>> {
        match (input.action, output) {
            (Action::Read, Some(Output::Held(seen))) => Some(*seen),
            (Action::CompareAndSet(..), Some(Output::Swapped(seen) | Output::Refused(seen))) => {
                Some(*seen)
            }
            (Action::CompareAndSet(expect, _), None) => Some(expect),
            _ => None,
        }
    }

    fn makes(&self, input: &Input, output: Option<&Output>) -> Option<Option<Value>> {
        match (input.action, output) {
            (Action::Write(value), _) => Some(value),
            (Action::CompareAndSet(_, value), Some(Output::Swapped(_)) | None) => Some(Some(value)),
            _ => None,
        }
    }

    fn avoids(&self, input: &Input, output: Option<&Output>) -> Option<Option<Value>> {
        match (input.action, output) {
            (Action::CompareAndSet(expect, _), Some(Output::RefusedSilently)) => Some(expect),
            _ => None,
        }
    }

    fn show_state(&self, state: &Option<Value>) -> String {
        text(*state)
    }

    fn show_call(&self, input: &Input, output: Option<&Output>) -> String {
        let asked = match input.action {
            Action::Read => format!("read {}", input.key),
            Action::Write(Some(value)) => format!("write {}={value}", input.key),
            Action::Write(None) => format!("delete {}", input.key),
            Action::CompareAndSet(expect, value) => {
                format!("cas {} {}->{value}", input.key, text(expect))
            }
        };
        match output {
            None => format!("{asked}, unknown"),
            Some(Output::Held(value)) => format!("{asked}: {}", text(*value)),
            Some(Output::Written) => format!("{asked}: ok"),
            Some(Output::Swapped(_)) => format!("{asked}: swapped"),
            Some(Output::Refused(value)) => format!("{asked}: refused, saw {}", text(*value)),
            Some(Output::RefusedSilently) => format!("{asked}: refused"),
        }
    }
}

fn text(value: Option<Value>) -> String {
    value.map_or_else(|| "absent".to_string(), |value| value.to_string())
}

/// The calls that some operations of a history are, each beside its operation. Left out are those
/// that say nothing: local reads, lists, reads without an answer, operations that failed.
pub fn calls(history: &History, ids: &[OperationId]) -> Vec<(OperationId, CallOf<Register>)> {
    let call = |id: &OperationId| Some((*id, call(history.operation(*id))?));
    ids.iter().filter_map(call).collect()
}

fn call(operation: &Operation) -> Option<CallOf<Register>> {
    let action = match &operation.op {
        op if op.is_local() => return None,
        Op::List { .. }
        | Op::Increment { .. }
        | Op::Append { .. }
        | Op::ReadList { .. }
        | Op::Enqueue { .. }
        | Op::Dequeue { .. }
        | Op::ReadQueue { .. }
        | Op::Acquire { .. }
        | Op::Renew { .. }
        | Op::Release { .. }
        | Op::WriteGuarded { .. }
        | Op::ReadGuarded { .. }
        | Op::Transaction(_)
        | Op::Once { .. } => return None,
        Op::Read { .. } => Action::Read,
        Op::Write { value, .. } => Action::Write(Some(*value)),
        Op::Delete { .. } => Action::Write(None),
        Op::CompareAndSet { expect, value, .. } => Action::CompareAndSet(*expect, *value),
    };
    let is_swap = matches!(action, Action::CompareAndSet(..));
    let output = match &operation.outcome {
        Outcome::Ok(Reply::Read(seen)) => Some(Output::Held(*seen)),
        Outcome::Ok(Reply::Written | Reply::Deleted) => Some(Output::Written),
        Outcome::Ok(Reply::Compared { swapped: true, observed }) => {
            Some(Output::Swapped(*observed))
        }
        Outcome::Ok(Reply::Compared { swapped: false, observed }) => {
            Some(Output::Refused(*observed))
        }
        Outcome::Fail(reason) if is_swap && &*reason.0 == MISMATCH => Some(Output::RefusedSilently),
        Outcome::Info(_) if !operation.op.is_read() => None,
        Outcome::Ok(_) | Outcome::Fail(_) | Outcome::Info(_) => return None,
    };
    Some(Call {
        client: operation.client,
        input: Input { key: operation.op.key().clone(), action },
        output,
        began: operation.invoked.seq,
        ended: operation.ended(),
    })
}
