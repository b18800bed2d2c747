//! The same histories, judged by a port of Porcupine to Rust.

use std::time::Duration;

use porcupine_rs::{CheckResult, Model, Operation, check_operations_timeout};
use splitbrain_workloads::history::History;
use splitbrain_workloads::operation::{Op, Outcome, Reply, Value};

/// A register that is absent at first.
#[derive(Clone)]
struct Register;

#[derive(Clone, Debug)]
struct Asked {
    op: Op,
    reply: Option<Reply>,
}

impl Model for Register {
    type State = Option<Value>;
    type Op = Asked;
    type Metadata = ();

    fn init() -> Self::State {
        None
    }

    fn step(state: &Self::State, asked: &Asked) -> (bool, Self::State) {
        match (&asked.op, &asked.reply) {
            (Op::Read { .. }, Some(Reply::Read(seen))) => (seen == state, *state),
            (Op::Write { value, .. }, _) => (true, Some(*value)),
            (
                Op::CompareAndSet { expect, value, .. },
                Some(Reply::Compared { swapped, observed }),
            ) => {
                let after = if *swapped { Some(*value) } else { *state };
                (observed == state && *swapped == (state == expect), after)
            }
            (Op::CompareAndSet { expect, value, .. }, _) if state == expect => (true, Some(*value)),
            _ => (true, *state),
        }
    }
}

/// Judges with a limit of time. Unanswered operations return at the end of time, as its authors say.
pub(crate) fn judge(history: &History, limit: Duration) -> &'static str {
    let operations: Vec<Operation<Register>> = history
        .operations
        .iter()
        .map(|operation| Operation {
            client_id: Some(operation.client.0),
            call_time: operation.invoked.seq as i64,
            return_time: operation.ended().map_or(i64::MAX, |seq| seq as i64),
            op: Asked {
                op: operation.op.clone(),
                reply: match &operation.outcome {
                    Outcome::Ok(reply) => Some(reply.clone()),
                    Outcome::Fail(_) | Outcome::Info(_) => None,
                },
            },
            metadata: None,
        })
        .collect();
    match check_operations_timeout(&operations, limit) {
        CheckResult::Ok => "pass",
        CheckResult::Illegal => "fail",
        CheckResult::Unknown => "no answer",
    }
}
