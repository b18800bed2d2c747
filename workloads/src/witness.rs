//! Witnesses: the order behind a pass, verified, and as a file that anybody can verify again.
//!
//! The checkers give the order, [`replay`] walks along it, and only what it accepts becomes a
//! [`Witness`]. It proves that the history has an order that explains every answer, and nothing about
//! lost writes or replicas. The file is JSON lines: a header, then one line for each operation, key by
//! key in the order in which they took effect:
//!
//! ```text
//! {"witness":1,"model":"register","operations":3,"placed":2,"orders":1}
//! {"of":"r1","operation":0,"client":1,"began":0,"ended":1,"did":"write r1=5","outcome":{"ok":"written"}}
//! {"of":"r1","operation":2,"client":2,"began":4,"ended":5,"did":"read r1","outcome":{"ok":{"read":5}}}
//! ```
//!
//! `operation` counts invocations from zero; of a history of another tool, those that are judged.
//! `began` and `ended` are places in the order of events, of which `ended` is left out where nobody
//! knows it. `splitbrain check --witness` writes it.

use std::io::{self, Write};

use rustc_hash::FxHashMap;
use serde::Serialize;

use crate::checker::frontier::{self, Budget, Decision};
use crate::checker::{linearizable, replay};
use crate::history::{History, OperationId};
use crate::model::Model;
use crate::operation::Outcome;
use crate::recording::{Calls, Recording};
use crate::workload;

/// The version of the file format that this build writes.
pub const FORMAT_VERSION: u32 = 1;

/// An order of the operations of a history that explains every answer. The replayer has accepted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    model: String,
    operations: usize,
    orders: usize,
    placed: Vec<Placed>,
}

/// Why a history has no witness.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoWitness {
    /// There is no order, or none was found.
    #[error("{0}")]
    NoOrder(String),
    /// The checkers gave an order that is none: one of the two programs is wrong.
    #[error("the replayer refuses the order that the checkers gave: {0}")]
    Refused(String),
}

/// One operation in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Placed {
    /// The key, or the whole thing.
    of: String,
    operation: usize,
    client: u32,
    began: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<u64>,
    did: String,
    /// Of a model `did` says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
}

#[derive(Serialize)]
struct Header<'a> {
    witness: u32,
    model: &'a str,
    operations: usize,
    placed: usize,
    orders: usize,
}

impl Witness {
    /// An order of a history, verified by [`replay`].
    ///
    /// # Errors
    ///
    /// [`NoWitness`]. A history that fails has none, nor has one that is cut off.
    pub fn of(recording: &Recording, budget: Budget) -> Result<Witness, NoWitness> {
        let (orders, placed) = match recording {
            Recording::Operations(history) => of_history(history, budget)?,
            Recording::KeyValue(it) => of_calls(it, budget)?,
            Recording::MultiRegister(it) => of_calls(it, budget)?,
            Recording::Mutex(it) => of_calls(it, budget)?,
            Recording::Set(it) => of_calls(it, budget)?,
            Recording::Counter(it) => of_calls(it, budget)?,
            Recording::FifoQueue(it) | Recording::UnorderedQueue(it) => of_calls(it, budget)?,
        };
        let model = match recording {
            Recording::Operations(history) => history.header.workload.clone(),
            other => other.model().name().to_string(),
        };
        Ok(Witness { model, operations: recording.operations(), orders, placed })
    }

    /// How many operations stand in it. Those that certainly did not happen, or that nobody saw,
    /// need no place.
    pub fn placed(&self) -> usize {
        self.placed.len()
    }

    /// How many orders it has: one for each key, or one for all.
    pub fn orders(&self) -> usize {
        self.orders
    }

    /// Writes the file.
    ///
    /// # Errors
    ///
    /// Those of the output.
    pub fn write(&self, mut out: impl Write) -> io::Result<()> {
        let header = Header {
            witness: FORMAT_VERSION,
            model: &self.model,
            operations: self.operations,
            placed: self.placed.len(),
            orders: self.orders,
        };
        serde_json::to_writer(&mut out, &header)?;
        out.write_all(b"\n")?;
        for placed in &self.placed {
            serde_json::to_writer(&mut out, placed)?;
            out.write_all(b"\n")?;
        }
        out.flush()
    }
}

fn of_history(history: &History, budget: Budget) -> Result<(usize, Vec<Placed>), NoWitness> {
    if !history.complete {
        return Err(NoWitness::NoOrder("the history is cut off".to_string()));
    }
    let orders = if workload::is_set(history) {
        let order = linearizable::witness_set(history).map_err(NoWitness::NoOrder)?;
        vec![("all".to_string(), order)]
    } else {
        let orders =
            linearizable::witness_registers(history, budget).map_err(NoWitness::NoOrder)?;
        orders.into_iter().map(|(key, order)| (key.to_string(), order)).collect()
    };
    let (names, orders): (Vec<String>, Vec<Vec<OperationId>>) = orders.into_iter().unzip();
    replay::replay(history, &orders).map_err(NoWitness::Refused)?;
    let mut placed = Vec::with_capacity(history.operations.len());
    for (name, order) in names.iter().zip(&orders) {
        for id in order {
            let operation = history.operation(*id);
            placed.push(Placed {
                of: name.clone(),
                operation: id.0 as usize,
                client: operation.client.0,
                began: operation.invoked.seq,
                ended: operation.ended(),
                did: operation.op.to_string(),
                outcome: Some(operation.outcome.clone()),
            });
        }
    }
    Ok((orders.len(), placed))
}

fn of_calls<M: Model>(it: &Calls<M>, budget: Budget) -> Result<(usize, Vec<Placed>), NoWitness> {
    let Calls { model, calls, .. } = it;
    let orders = frontier::witness(model, calls, budget).map_err(|decision| {
        NoWitness::NoOrder(match *decision {
            Decision::Undecided(overrun) => overrun.why,
            _ => "no order of the operations explains every answer".to_string(),
        })
    })?;
    let parts = frontier::parts(model, calls);
    let mut placed = Vec::with_capacity(calls.len());
    for (part, order) in parts.iter().zip(&orders) {
        // The replayer takes the calls of one part, numbered from zero.
        let alone: Vec<_> = part.iter().map(|index| calls[*index].clone()).collect();
        let place: FxHashMap<usize, usize> =
            part.iter().enumerate().map(|(place, index)| (*index, place)).collect();
        // A call of another part has no place here, which the replayer says.
        let renumbered: Vec<usize> =
            order.iter().map(|index| place.get(index).copied().unwrap_or(usize::MAX)).collect();
        replay::replay_calls(model, &alone, &renumbered).map_err(NoWitness::Refused)?;
        for index in order {
            let call = &calls[*index];
            let output = call.output.as_ref().filter(|_| call.ended.is_some());
            placed.push(Placed {
                of: model.part(&call.input).map_or_else(|| "all".to_string(), ToString::to_string),
                operation: *index,
                client: call.client.0,
                began: call.began,
                ended: call.ended,
                did: model.show_call(&call.input, output),
                outcome: None,
            });
        }
    }
    Ok((orders.len(), placed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::history;
    use crate::history::{Reading, open};

    fn written(recording: &Recording) -> String {
        let witness = Witness::of(recording, Budget::default()).unwrap();
        let mut bytes = Vec::new();
        witness.write(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_pass_of_registers_is_written_key_by_key() {
        let history = history(
            "register",
            "
            c1 n1 10-40 write r1=1
            c2 n2 15-20 read r1=absent
            c3 n1 30-? write r2=5
            c2 n2 50-60 cas r1 1>2
            c4 n2 70-80 read r2=5
            ",
        );
        insta::assert_snapshot!(written(&Recording::Operations(history)), @r#"
    {"witness":1,"model":"register","operations":5,"placed":5,"orders":2}
    {"of":"r1","operation":1,"client":2,"began":1,"ended":2,"did":"read r1","outcome":{"ok":{"read":null}}}
    {"of":"r1","operation":0,"client":1,"began":0,"ended":4,"did":"write r1=1","outcome":{"ok":"written"}}
    {"of":"r1","operation":3,"client":2,"began":5,"ended":6,"did":"cas r1 1->2","outcome":{"ok":{"compared":{"swapped":true,"observed":1}}}}
    {"of":"r2","operation":2,"client":3,"began":3,"did":"write r2=5","outcome":{"info":"open"}}
    {"of":"r2","operation":4,"client":4,"began":7,"ended":8,"did":"read r2","outcome":{"ok":{"read":5}}}
    "#);
    }

    #[test]
    fn a_pass_of_a_model_is_written_part_by_part() {
        let text = r#"{:process 0, :type :invoke, :f :append, :key "0", :value "a"}
            {:process 1, :type :invoke, :f :put, :key "1", :value "b"}
            {:process 0, :type :ok, :f :append, :key "0", :value "a"}
            {:process 1, :type :ok, :f :put, :key "1", :value "b"}
            {:process 0, :type :invoke, :f :get, :key "0", :value nil}
            {:process 0, :type :ok, :f :get, :key "0", :value "a"}"#;
        let (recording, _) = open(&mut text.as_bytes(), &Reading::default()).unwrap();
        insta::assert_snapshot!(written(&recording), @r#"
    {"witness":1,"model":"key-value","operations":3,"placed":3,"orders":2}
    {"of":"0","operation":0,"client":0,"began":1,"ended":3,"did":"append 0 \"a\": ok"}
    {"of":"0","operation":2,"client":0,"began":5,"ended":6,"did":"get 0: \"a\""}
    {"of":"1","operation":1,"client":1,"began":2,"ended":4,"did":"put 1 \"b\": ok"}
    "#);
    }

    #[test]
    fn a_history_that_fails_or_is_cut_off_or_of_another_kind_has_none() {
        let mut stale = history(
            "register",
            "
            c1 n1 10-20 write r1=1
            c2 n2 30-40 read r1=absent
            ",
        );
        let why = |history: &History| {
            let recording = Recording::Operations(history.clone());
            Witness::of(&recording, Budget::default()).unwrap_err().to_string()
        };
        assert_eq!(why(&stale), "no order of the operations on r1 exists");
        stale.complete = false;
        assert_eq!(why(&stale), "the history is cut off");
        let counter = history("counter", "c1 n1 10-20 add n=1");
        assert!(why(&counter).contains("add 1 to n"), "{}", why(&counter));
    }
}
