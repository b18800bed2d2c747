//! Histories of a right register under many busy clients.
//!
//! Every operation takes effect at one moment between its invocation and its completion, so the
//! history is linearizable. A client has one operation open and begins the next one soon after; half
//! of all operations read, a tenth compare and set what their client read last, the rest write. Of
//! those that write, some are never answered: half of them never happen, the others late or in time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use clap::Args;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use splitbrain_workloads::history::{
    FORMAT_VERSION, Header, History, Micros, Operation, OperationId, Operations, Stamp,
};
use splitbrain_workloads::operation::{
    ClientId, Consistency, Key, Op, Outcome, Reason, Reply, Value,
};

/// What is made.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Operations.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) ops: u32,
    /// Clients that are always busy.
    #[arg(long, default_value_t = 20)]
    pub(crate) clients: u32,
    /// Of a hundred operations that write, so many are never answered.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) indeterminate: f64,
    /// Answer one read in the last tenth with the value before, long overwritten.
    #[arg(long)]
    pub(crate) stale: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Invoke,
    Effect(u32),
    Return(u32),
}

/// Microseconds that an operation takes at least, and on average beyond that.
const SHORTEST: f64 = 200.0;
const BEYOND: f64 = 1000.0;

/// Makes operations and gives each away once nothing more will become of it, in no certain order.
pub(crate) fn generate(shape: Shape, mut give: impl FnMut(Operation)) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(20_261_121);
    let mut unit = move || random.random::<f64>();
    let key = Key::new("r");
    let unanswered = Reason::new("timeout");
    let mut queue = BinaryHeap::new();
    let mut open: Vec<Option<Operation>> = Vec::new();
    let mut free: Vec<u32> = Vec::new();
    let (mut held, mut before, mut next_value) = (None, None, 0);
    // What each client read last.
    let mut last_read: Vec<Option<Value>> = vec![None; shape.clients as usize];
    let (mut seq, mut started, mut client_count) = (0, 0, shape.clients);
    // The client number of each busy client, which changes after an unanswered operation.
    let mut number: Vec<u32> = (0..shape.clients).collect();
    let mut is_stale_due = shape.stale;
    for client in 0..shape.clients {
        queue.push(Reverse(((unit() * 100.0) as u64, client, What::Invoke)));
    }
    while let Some(Reverse((time, client, what))) = queue.pop() {
        let stamp = Stamp { seq, at: Micros(time) };
        match what {
            What::Invoke if started == shape.ops => {}
            What::Invoke => {
                seq += 1;
                let draw = unit() * 100.0;
                let mut value = || {
                    next_value += 1;
                    Value(next_value)
                };
                let op = if draw < 50.0 {
                    Op::Read { key: key.clone(), consistency: Consistency::Linearizable }
                } else if draw < 60.0 {
                    let expect = last_read[client as usize];
                    Op::CompareAndSet { key: key.clone(), expect, value: value() }
                } else {
                    Op::Write { key: key.clone(), value: value() }
                };
                let is_unanswered = !op.is_read() && unit() * 100.0 < shape.indeterminate;
                let operation = Operation {
                    id: OperationId(started),
                    client: ClientId(number[client as usize]),
                    node: None,
                    op,
                    is_final: false,
                    invoked: stamp,
                    completed: None,
                    outcome: Outcome::Info(unanswered.clone()),
                };
                started += 1;
                let slot = free.pop().unwrap_or_else(|| {
                    open.push(None);
                    open.len() as u32 - 1
                });
                let took = SHORTEST - BEYOND * (1.0 - unit()).ln();
                let effect = unit() * took;
                let at = |after: f64| time + after as u64;
                if is_unanswered {
                    number[client as usize] = client_count;
                    client_count += 1;
                    queue.push(Reverse((at(2.0 * took), client, What::Invoke)));
                    if unit() < 0.5 {
                        let late = if unit() < 0.7 { 1.0 } else { 20.0 };
                        open[slot as usize] = Some(operation);
                        queue.push(Reverse((at(effect * late), client, What::Effect(slot))));
                    } else {
                        give(operation);
                        free.push(slot);
                    }
                } else {
                    open[slot as usize] = Some(Operation {
                        // Its answer comes with its effect.
                        outcome: Outcome::Ok(Reply::Written),
                        ..operation
                    });
                    queue.push(Reverse((at(effect), client, What::Effect(slot))));
                    queue.push(Reverse((at(took) + 1, client, What::Return(slot))));
                }
            }
            What::Effect(slot) => {
                let Some(operation) = &mut open[slot as usize] else { continue };
                let mut seen = held;
                if is_stale_due && operation.op.is_read() && operation.id.0 > shape.ops / 10 * 9 {
                    is_stale_due = false;
                    seen = before.take();
                }
                let reply = match &operation.op {
                    Op::CompareAndSet { expect, value, .. } => {
                        let swapped = held == *expect;
                        if swapped {
                            held = Some(*value);
                        }
                        Reply::Compared { swapped, observed: seen }
                    }
                    Op::Write { value, .. } => {
                        if before.is_none() && seen.is_some() {
                            before = seen;
                        }
                        held = Some(*value);
                        Reply::Written
                    }
                    _ => Reply::Read(seen),
                };
                if let Outcome::Ok(answer) = &mut operation.outcome {
                    *answer = reply;
                } else if let Some(operation) = open[slot as usize].take() {
                    give(operation);
                    free.push(slot);
                }
            }
            What::Return(slot) => {
                seq += 1;
                let Some(mut operation) = open[slot as usize].take() else { continue };
                operation.completed = Some(stamp);
                if let Outcome::Ok(Reply::Read(seen)) = &operation.outcome {
                    last_read[client as usize] = *seen;
                }
                give(operation);
                free.push(slot);
                queue.push(Reverse((time + (unit() * 200.0) as u64, client, What::Invoke)));
            }
        }
    }
}

/// A whole history, by order of invocation.
pub(crate) fn history(shape: Shape) -> History {
    let mut operations = Vec::with_capacity(shape.ops as usize);
    generate(shape, |operation| operations.push(operation));
    operations.sort_by_key(|operation| operation.id);
    let header = Header { history: FORMAT_VERSION, workload: "register".to_string(), nodes: 0 };
    let operations = Operations::new(operations).expect("a generated history is in order");
    History { header, operations, complete: true }
}
