//! Lists that grow at the end: every read goes on where the others end.
//!
//! The longest read so far is the order of the elements; each new one must be a beginning of it or
//! go on from it, hold what was there before it began, and hold nothing twice or from nowhere. An
//! element must not stand before one that was acknowledged before it was sent. A step of a
//! transaction counts as an operation as long as its transaction; cycles of transactions are left to
//! `checker::elle`. Called through `workload`.

use rustc_hash::FxHashMap;

use super::elements::{Broken, Elements};
use super::{Call, End, Mark, Notes, Place, Watch, place};
use crate::operation::{Key, Op, Outcome, Reply, Step, StepReply, Value};
use crate::verdict::AnomalyKind;

/// All lists of a history.
#[derive(Default)]
pub(crate) struct Lists {
    lists: FxHashMap<Key, List>,
    values: usize,
    is_aside: bool,
}

/// What happened to one list.
#[derive(Default)]
struct List {
    elements: Elements,
    /// The longest read.
    order: Vec<Value>,
    /// For each place of it the latest beginning of an add up to there.
    latest: Vec<Place>,
}

impl List {
    fn read(&mut self, values: &[Value], begin: Place, now: Place) -> Result<(), Broken> {
        self.elements.read(values, begin, now)?;
        let common = self.order.len().min(values.len());
        if let Some(at) = (0..common).find(|at| self.order[*at] != values[*at]) {
            let (one, other) = (self.order[at], values[at]);
            let why = format!("and {other} where another read has {one}");
            return Err((AnomalyKind::IncompatibleOrder, why));
        }
        for value in &values[common..] {
            let Some(element) = self.elements.get(*value) else { continue };
            let latest = self.latest.last().copied().unwrap_or(0);
            if element.acknowledged < latest {
                let why = format!("and {value} behind one that was sent after it was acknowledged");
                return Err((AnomalyKind::OutOfOrder, why));
            }
            self.latest.push(latest.max(element.begin));
            self.order.push(*value);
        }
        Ok(())
    }
}

impl Lists {
    fn list(&mut self, key: &Key) -> &mut List {
        self.lists.entry(key.clone()).or_default()
    }

    fn send(&mut self, call: &Call<'_>, key: &Key, value: Value, notes: &mut Notes) {
        let sendings = self.list(key).elements.send(value, place(call.invoked));
        self.values += usize::from(sendings == 1);
        if sendings > 1 && !matches!(call.op, Op::Once { .. }) {
            self.is_aside = true;
            notes.aside(|| format!("{value} was appended to {key} twice"));
        }
    }

    /// Holds an answer against the lists: reads first, as an append counts from its end.
    fn answered(
        &mut self,
        call: &Call<'_>,
        reply: &Reply,
        now: Place,
    ) -> Result<(), (Key, Broken)> {
        let begin = place(call.invoked);
        let mut read = |key: &Key, values: &[Value]| {
            let read = self.list(key).read(values, begin, now);
            read.map_err(|broken| (key.clone(), broken))
        };
        match (inner(call.op), reply) {
            (Op::ReadList { key, .. }, Reply::Listed(values)) => read(key, values)?,
            (Op::Append { key, value }, _) => self.list(key).elements.acknowledge(*value, now),
            (Op::Transaction(transaction), Reply::Transacted { succeeded, results }) => {
                for (step, result) in transaction.side(*succeeded).iter().zip(results) {
                    if let (Step::ReadList(key), StepReply::Listed(values)) = (step, result) {
                        read(key, values)?;
                    }
                }
                for (key, value) in appended(transaction.side(!*succeeded)) {
                    let failed = self.list(key).elements.fail(value);
                    failed.map_err(|broken| (key.clone(), broken))?;
                }
                for (key, value) in appended(transaction.side(*succeeded)) {
                    self.list(key).elements.acknowledge(value, now);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn failed(&mut self, call: &Call<'_>) -> Result<(), (Key, Broken)> {
        for (key, value) in appends(call.op) {
            let failed = self.list(key).elements.fail(value);
            failed.map_err(|broken| (key.clone(), broken))?;
        }
        Ok(())
    }
}

impl Watch for Lists {
    fn begins(&mut self, call: &Call<'_>, notes: &mut Notes) -> Mark {
        for (key, value) in appends(call.op) {
            self.send(call, key, value, notes);
        }
        if deletes(call.op) {
            self.is_aside = true;
            notes.aside(|| format!("\"{}\" may delete a list", call.op));
        }
        0
    }

    fn ends(&mut self, call: &Call<'_>, end: &End<'_>, notes: &mut Notes) {
        if self.is_aside || call.op.is_local() {
            return;
        }
        let held = match end.outcome {
            Outcome::Ok(reply) => self.answered(call, reply, place(end.stamp)),
            Outcome::Fail(_) => self.failed(call),
            Outcome::Info(_) => Ok(()),
        };
        if let Err((key, (kind, why))) = held {
            notes.proven(kind, &key, format!("{}, {why}", call.op));
        }
    }

    fn values(&self) -> usize {
        self.values
    }
}

/// What is asked, without the idempotency keys around it.
fn inner(op: &Op) -> &Op {
    match op {
        Op::Once { op, .. } => inner(op),
        other => other,
    }
}

/// The lists that an operation may append to, and what.
fn appends(op: &Op) -> Vec<(&Key, Value)> {
    match inner(op) {
        Op::Append { key, value } => vec![(key, *value)],
        Op::Transaction(transaction) => {
            appended(&transaction.then).chain(appended(&transaction.otherwise)).collect()
        }
        _ => Vec::new(),
    }
}

fn appended(steps: &[Step]) -> impl Iterator<Item = (&Key, Value)> {
    steps.iter().filter_map(|step| match step {
        Step::Append(key, value) => Some((key, *value)),
        _ => None,
    })
}

fn deletes(op: &Op) -> bool {
    match inner(op) {
        Op::Delete { .. } => true,
        Op::Transaction(transaction) => {
            let mut steps = transaction.then.iter().chain(&transaction.otherwise);
            steps.any(|step| matches!(step, Step::Delete(_)))
        }
        _ => false,
    }
}
