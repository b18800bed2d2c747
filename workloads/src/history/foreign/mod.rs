//! Histories of other tools: from the events that [`super::events`] pairs to operations of ours or to
//! the calls of a model, with the rules that each format's own tool has.
//!
//! | format | file | a register holds at first |
//! |---|---|---|
//! | `knossos` | one EDN vector or list of events | 0 |
//! | `jepsen-edn` | EDN events, one after the other | nothing |
//! | `jepsen-json` | the same in JSON, in an array or one after the other | nothing |
//! | `porcupine-kv` | EDN events with `:key`; get, put, append of strings | the empty string |
//!
//! In all of them `:fail` certainly did not happen, a compare-and-set included, so that nothing is
//! known of what it saw; `:info` and what is still open at the end may have happened. A value of an
//! invocation is what is asked, and of a read it is not looked at. The model is found out from the
//! functions; what each means stands in the file of the model. The text logs of early Jepsen runs have
//! rules of their own, see [`super::jepsen_log`].

mod bank;
mod counter;
mod list_append;
mod queue;
mod set;

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::sync::Arc;

use super::edn::{Edn, Notation};
use super::error::HistoryError;
use super::events::{self, End, Events, Told, shortened};
use super::{
    FORMAT_VERSION, Format, Header, History, Micros, Operation, OperationId, Operations, Stamp,
};
use crate::model::key_value::{self, KeyValue};
use crate::model::multi_register::{MultiRegister, Seen, Step};
use crate::model::mutex::{self, Mutex};
use crate::model::{Call, CallOf, Model};
use crate::operation::{ClientId, Consistency, Key, Op, Outcome, Reason, Reply, Value};
use crate::recording::{Calls, ModelName, Recording, SOLVENT_BANK};

/// The name that the one register of a history without keys gets.
pub(super) const KEY: &str = "register";

/// Reads events for a model; without one, for that which has these functions. Says in which of the
/// formats they were, and remarks how they were read where it is not as usual.
pub(super) fn read(
    input: impl BufRead,
    notation: Notation,
    format: Option<Format>,
    model: Option<ModelName>,
    initial: Option<&str>,
    remarks: &mut Vec<String>,
) -> Result<(Recording, Format), HistoryError> {
    let Events { told, are_enclosed, remark } = events::read(input, notation)?;
    remarks.extend(remark);
    let model = match model {
        Some(model) => model,
        None => model_of(&told)?,
    };
    let format = format.unwrap_or(match (notation, model, are_enclosed) {
        (Notation::Json, ..) => Format::JepsenJson,
        (Notation::Edn, ModelName::KeyValue, _) => Format::PorcupineKv,
        (Notation::Edn, _, true) => Format::Knossos,
        (Notation::Edn, _, false) => Format::JepsenEdn,
    });
    if initial.is_some()
        && matches!(
            model,
            ModelName::Set
                | ModelName::ListAppend
                | ModelName::FifoQueue
                | ModelName::UnorderedQueue
        )
    {
        let what = format!("a {} begins empty: expected no initial value", model.name());
        return Err(unfit(what));
    }
    let zero = (format == Format::Knossos).then_some("0");
    let recording = match model {
        ModelName::Register => {
            let initial = initial_value(initial.or(zero))?;
            Recording::Operations(with_initial(history(&told)?, initial))
        }
        ModelName::KeyValue => {
            let model = KeyValue { initial: Arc::from(initial.unwrap_or_default()) };
            Recording::KeyValue(calls(model, &told, key_value_call)?)
        }
        ModelName::MultiRegister => {
            let is_elle = told.iter().any(|it| has_step(it, &["r", "w"]));
            // In the short names of Elle, what was never written is read as nil.
            let initial = initial.or(if is_elle { None } else { zero });
            let model = multi_register(initial, is_elle)?;
            Recording::MultiRegister(calls(model, &told, |told| transaction(told, is_elle))?)
        }
        ModelName::Mutex => {
            let held = match initial {
                None | Some("free") => false,
                Some("held") => true,
                Some(other) => {
                    let what = format!("expected \"free\" or \"held\" initially, got \"{other}\"");
                    return Err(unfit(what));
                }
            };
            Recording::Mutex(calls(Mutex { held }, &told, mutex_call)?)
        }
        ModelName::ListAppend => {
            let operations = told.iter().map(list_append::operation);
            let operations = operations.collect::<Result<Vec<_>, _>>()?;
            Recording::Operations(history_of("append", &told, operations))
        }
        ModelName::Set => set::recording(&told)?,
        ModelName::Bank => Recording::Operations(bank::history(SOLVENT_BANK, &told, initial)?),
        ModelName::BankWithDebts => Recording::Operations(bank::history("bank", &told, initial)?),
        ModelName::Counter => Recording::Counter(counter::history(&told, initial)?),
        ModelName::FifoQueue => Recording::FifoQueue(queue::history(&told, true)?),
        ModelName::UnorderedQueue => Recording::UnorderedQueue(queue::history(&told, false)?),
    };
    Ok((recording, format))
}

/// The model whose functions these are. Where a name says nothing, as `read` does, the others do, and
/// of sets and counters what was read.
fn model_of(told: &[Told]) -> Result<ModelName, HistoryError> {
    let mut named = told.iter().filter(|it| it.function != "read");
    let Some(first) = named.next() else {
        // A history in which no client did anything is right by any model.
        return Ok(if told.iter().any(is_of_steps) {
            ModelName::MultiRegister
        } else if told.iter().any(|it| matches!(it.end, End::Ok(Edn::Map(_)))) {
            ModelName::Bank
        } else if told.iter().any(reads_all) {
            ModelName::Set
        } else {
            ModelName::Register
        });
    };
    Ok(match first.function.as_str() {
        "txn" if told.iter().any(|it| has_step(it, &["append"]) || reads_list(it)) => {
            ModelName::ListAppend
        }
        "txn" => ModelName::MultiRegister,
        "write" if told.iter().any(is_of_steps) => ModelName::MultiRegister,
        "write" | "cas" => ModelName::Register,
        "get" | "put" | "append" => ModelName::KeyValue,
        "acquire" | "release" => ModelName::Mutex,
        "transfer" => ModelName::Bank,
        "enqueue" | "dequeue" | "drain" => ModelName::UnorderedQueue,
        "remove" => ModelName::Set,
        "add" if told.iter().any(reads_number) => ModelName::Counter,
        "add" => ModelName::Set,
        other => {
            return Err(first.place.wrong(format!(
                "expected a function of a known model (read, write, cas; get, put, append; txn; \
                 acquire, release; add, remove; transfer; enqueue, dequeue, drain), got :{other}"
            )));
        }
    })
}

/// Whether it reads one number, as of a counter, perhaps behind a key.
fn reads_number(told: &Told) -> bool {
    let End::Ok(seen) = &told.end else { return false };
    let asks_with_key = matches!(&told.asked, Edn::Sequence(items) if items.len() == 2);
    told.function == "read"
        && match seen {
            Edn::Int(_) => true,
            Edn::Sequence(items) => asks_with_key && matches!(items.as_slice(), [_, Edn::Int(_)]),
            _ => false,
        }
}

/// Whether it read many values at once, as of a set, perhaps behind a key.
fn reads_all(told: &Told) -> bool {
    let End::Ok(Edn::Sequence(seen)) = &told.end else { return false };
    match &told.asked {
        Edn::Nil => true,
        Edn::Sequence(items) if items.len() == 2 => {
            matches!(seen.as_slice(), [_, Edn::Sequence(_)])
        }
        _ => false,
    }
}

/// Whether one of its steps was answered with a list.
fn reads_list(told: &Told) -> bool {
    let End::Ok(Edn::Sequence(steps)) = &told.end else { return false };
    steps.iter().any(|step| {
        matches!(step, Edn::Sequence(words)
            if matches!(words.as_slice(), [_, _, Edn::Sequence(_)]))
    })
}

/// Whether what was asked are the steps of a transaction.
fn is_of_steps(told: &Told) -> bool {
    has_step(told, &["r", "w", "read", "write", "append"])
}

/// Whether what was asked are the steps of a transaction, one of them of these.
fn has_step(told: &Told, names: &[&str]) -> bool {
    let Edn::Sequence(steps) = &told.asked else { return false };
    steps.iter().any(|step| {
        let Edn::Sequence(words) = step else { return false };
        words.first().is_some_and(|what| names.iter().any(|name| what.is_named(name)))
    })
}

/// The initial value of a register, as the command line says it.
pub(super) fn initial_value(text: Option<&str>) -> Result<Option<Value>, HistoryError> {
    match text {
        None | Some("nil" | "absent") => Ok(None),
        Some(text) => match text.parse() {
            Ok(number) => Ok(Some(Value(number))),
            Err(_) => Err(HistoryError::Unfit {
                what: format!("expected a whole number or \"nil\" initially, got \"{text}\""),
            }),
        },
    }
}

/// Writes the initial value of every key before everything, by a client of its own: a history of
/// ours begins with all keys absent.
pub(super) fn with_initial(history: History, initial: Option<Value>) -> History {
    let Some(value) = initial else { return history };
    let mut keys: Vec<Key> = history.operations.iter().map(|it| it.op.key().clone()).collect();
    keys.sort();
    keys.dedup();
    let client = free_client(&history);
    let write = |(index, key): (usize, Key)| Operation {
        id: OperationId(0),
        client,
        node: None,
        op: Op::Write { key, value },
        is_final: false,
        invoked: Stamp { seq: 2 * index as u64, at: Micros(0) },
        completed: Some(Stamp { seq: 2 * index as u64 + 1, at: Micros(0) }),
        outcome: Outcome::Ok(Reply::Written),
    };
    let first: Vec<Operation> = keys.into_iter().enumerate().map(write).collect();
    let operations = Operations::in_order(behind(first, history.operations));
    History { operations, ..history }
}

/// A client that does nothing in a history.
fn free_client(history: &History) -> ClientId {
    let taken: BTreeSet<ClientId> = history.operations.iter().map(|it| it.client).collect();
    let free = (0..=u32::MAX).map(ClientId).find(|client| !taken.contains(client));
    free.expect("fewer operations than client numbers")
}

/// Operations that are over before the others begin, and the others behind them.
fn behind(first: Vec<Operation>, later: Operations) -> Vec<Operation> {
    let shift = 2 * first.len() as u64;
    let mut all = first;
    for mut operation in later.into_vec() {
        operation.invoked.seq += shift;
        if let Some(completed) = &mut operation.completed {
            completed.seq += shift;
        }
        all.push(operation);
    }
    for (operation, id) in all.iter_mut().zip(0..) {
        operation.id = OperationId(id);
    }
    all
}

/// Operations on registers, as a history of ours.
fn history(told: &[Told]) -> Result<History, HistoryError> {
    let operations = told.iter().map(register_operation).collect::<Result<Vec<_>, _>>()?;
    Ok(history_of("register", told, operations))
}

/// A history of ours, of what was told and what each is in our vocabulary.
fn history_of(workload: &str, told: &[Told], operations: Vec<(Op, Outcome)>) -> History {
    let header = Header { history: FORMAT_VERSION, workload: workload.to_string(), nodes: 0 };
    let operations = told.iter().zip(operations).zip(0..).map(|((told, (op, outcome)), id)| {
        let completed = told.ended.map(|seq| Stamp { seq, at: told.completed_at });
        Operation {
            id: OperationId(id),
            client: told.client,
            node: None,
            op,
            is_final: false,
            invoked: Stamp { seq: told.began, at: told.invoked_at },
            completed,
            outcome,
        }
    });
    History { header, operations: Operations::in_order(operations.collect()), complete: true }
}

/// The outcome of what was not answered, or with nothing.
fn no_answer(end: &End) -> Outcome {
    match end {
        End::Ok(_) => Outcome::Info(Reason::new("nil")),
        End::Fail => Outcome::Fail(Reason::new("fail")),
        End::Info => Outcome::Info(Reason::new("info")),
        End::Open => Outcome::Info(Reason::new("open")),
    }
}

fn unfit(what: String) -> HistoryError {
    HistoryError::Unfit { what }
}

/// The error that an operation is none of its model.
fn wrong(told: &Told, expected: &str, got: &Edn) -> HistoryError {
    let got = shortened(got);
    told.place.wrong(format!("expected {expected}, got :{} {got}", told.function))
}

fn register_operation(told: &Told) -> Result<(Op, Outcome), HistoryError> {
    let (key, asked) = register_key(told);
    let wrong = |what: &str| {
        let got = shortened(&told.asked);
        told.place.wrong(format!("expected {what}, got :{} {got}", told.function))
    };
    let number = |edn: &Edn| match edn {
        Edn::Nil => Ok(None),
        Edn::Int(number) => Ok(Some(Value(*number))),
        _ => Err(wrong("whole numbers or nil as the values of a register")),
    };
    let pair = |edn: &Edn| match edn {
        Edn::Sequence(items) if items.len() == 2 => Ok((number(&items[0])?, number(&items[1])?)),
        _ => Err(wrong("two values, [from to]")),
    };
    let consistency = Consistency::Linearizable;
    let (op, reply) = match told.function.as_str() {
        "read" => {
            let reply = match &told.end {
                End::Ok(seen) => number(second(told.asked != *asked, seen))?,
                _ => None,
            };
            (Op::Read { key, consistency }, reply.map(|value| Reply::Read(Some(value))))
        }
        "write" => match number(asked)? {
            Some(value) => (Op::Write { key, value }, Some(Reply::Written)),
            None => (Op::Delete { key }, Some(Reply::Deleted)),
        },
        "cas" => {
            let (expect, value) = pair(asked)?;
            let value = value.ok_or_else(|| wrong("a value to set"))?;
            let reply = Reply::Compared { swapped: true, observed: expect };
            (Op::CompareAndSet { key, expect, value }, Some(reply))
        }
        _ => return Err(wrong("a function of a register: read, write or cas")),
    };
    let outcome = match (&told.end, reply) {
        (End::Ok(_), Some(reply)) => Outcome::Ok(reply),
        (end, _) => no_answer(end),
    };
    Ok((op, outcome))
}

/// The register that is meant, and the value without it: many registers are written `[key value]`,
/// as Jepsen's `independent` does.
fn register_key(told: &Told) -> (Key, &Edn) {
    if let Some(key) = &told.key {
        return (text_key(key), &told.asked);
    }
    match (&told.asked, told.function.as_str()) {
        (Edn::Sequence(items), "read" | "write") if items.len() == 2 => {
            (text_key(&items[0]), &items[1])
        }
        (Edn::Sequence(items), "cas")
            if items.len() == 2 && matches!(items[1], Edn::Sequence(_)) =>
        {
            (text_key(&items[0]), &items[1])
        }
        _ => (Key::new(KEY), &told.asked),
    }
}

/// The value behind a key, if there is one.
fn second(has_key: bool, value: &Edn) -> &Edn {
    match value {
        Edn::Sequence(items) if has_key && items.len() == 2 => &items[1],
        other => other,
    }
}

fn text_key(key: &Edn) -> Key {
    Key::new(text(key))
}

fn text(edn: &Edn) -> Arc<str> {
    match edn {
        Edn::Text(text) => Arc::from(text.as_str()),
        Edn::Keyword(name) => Arc::from(name.as_str()),
        other => Arc::from(other.to_string()),
    }
}

/// An input and what is known of its output; `None` for what says nothing.
type Encoded<M> = Option<(<M as Model>::Input, Option<<M as Model>::Output>)>;

/// Calls of a model, encoded one by one.
fn calls<M: Model>(
    model: M,
    told: &[Told],
    encode: impl Fn(&Told) -> Result<Encoded<M>, HistoryError>,
) -> Result<Calls<M>, HistoryError> {
    let mut calls: Vec<CallOf<M>> = Vec::with_capacity(told.len());
    for told in told {
        // What certainly did not happen must still be of the format.
        let encoded = encode(told)?;
        let Some((input, output)) = encoded.filter(|_| told.end != End::Fail) else { continue };
        let client = told.client;
        calls.push(Call { client, input, output, began: told.began, ended: told.ended });
    }
    Ok(Calls { model, calls, operations: told.len() })
}

fn key_value_call(told: &Told) -> Result<Encoded<KeyValue>, HistoryError> {
    let wrong = |what: &str| told.place.wrong(format!("expected {what}, got :{}", told.function));
    let key = told.key.as_ref().ok_or_else(|| wrong("an event with :key"))?;
    let action = match (told.function.as_str(), &told.asked) {
        ("get", _) => key_value::Action::Get,
        ("put", value) => key_value::Action::Put(text(value)),
        ("append", value) => key_value::Action::Append(text(value)),
        _ => return Err(wrong("a function of a map of strings: get, put or append")),
    };
    let output = match (&action, &told.end) {
        (key_value::Action::Get, End::Ok(Edn::Nil)) => return Ok(None),
        (key_value::Action::Get, End::Ok(seen)) => Some(key_value::Output::Got(text(seen))),
        (_, End::Ok(_)) => Some(key_value::Output::Done),
        _ => None,
    };
    Ok(Some((key_value::Input { key: text_key(key), action }, output)))
}

fn mutex_call(told: &Told) -> Result<Encoded<Mutex>, HistoryError> {
    let input = match told.function.as_str() {
        "acquire" => mutex::Input::Acquire,
        "release" => mutex::Input::Release,
        other => {
            let what =
                format!("expected acquire or release, the functions of a lock, got :{other}");
            return Err(told.place.wrong(what));
        }
    };
    Ok(Some((input, matches!(told.end, End::Ok(_)).then_some(()))))
}

/// `0` for all registers, or `x=0,y=1` for these.
fn multi_register(initial: Option<&str>, is_elle: bool) -> Result<MultiRegister, HistoryError> {
    let never_written = is_elle.then(|| Arc::from("nil"));
    let Some(initial) = initial else {
        return Ok(MultiRegister { otherwise: never_written, ..MultiRegister::default() });
    };
    if !initial.contains('=') {
        let otherwise = match initial {
            "nil" => never_written,
            initial => Some(Arc::from(initial)),
        };
        return Ok(MultiRegister { initial: BTreeMap::new(), otherwise });
    }
    let mut values = BTreeMap::new();
    for pair in initial.split(',') {
        let Some((key, value)) = pair.split_once('=') else {
            let what = format!("expected values such as \"x=0,y=0\" initially, got \"{pair}\"");
            return Err(unfit(what));
        };
        values.insert(Key::new(key.trim()), Arc::from(value.trim()));
    }
    Ok(MultiRegister { initial: values, otherwise: never_written })
}

fn transaction(told: &Told, is_elle: bool) -> Result<Encoded<MultiRegister>, HistoryError> {
    let wrong = |got: &Edn| {
        let got = shortened(got);
        let what = "expected a :txn of steps such as [[:read :x nil] [:write :y 1]]";
        told.place.wrong(format!("{what}, got :{} {got}", told.function))
    };
    let Edn::Sequence(asked) = &told.asked else { return Err(wrong(&told.asked)) };
    let mut steps = Vec::with_capacity(asked.len());
    for step in asked {
        match step {
            Edn::Sequence(words) => match words.as_slice() {
                [what, key, ..] if what.is_named("read") || what.is_named("r") => {
                    steps.push(Step::Read(text_key(key)));
                }
                [what, key, value] if what.is_named("write") || what.is_named("w") => {
                    steps.push(Step::Write(text_key(key), text(value)));
                }
                _ => return Err(wrong(step)),
            },
            _ => return Err(wrong(step)),
        }
    }
    let seen = match &told.end {
        End::Ok(Edn::Sequence(answered)) if answered.len() == steps.len() => {
            let seen = steps.iter().zip(answered).map(|(step, answer)| match (step, answer) {
                (Step::Write(..), _) => Ok(None),
                (Step::Read(_), Edn::Sequence(words)) => match words.as_slice() {
                    [_, _, Edn::Nil] if !is_elle => Ok(None),
                    [_, _, value] => Ok(Some(text(value))),
                    _ => Err(wrong(answer)),
                },
                (Step::Read(_), _) => Err(wrong(answer)),
            });
            Some(seen.collect::<Result<Seen, HistoryError>>()?)
        }
        End::Ok(other) => return Err(wrong(other)),
        End::Fail | End::Info | End::Open => None,
    };
    Ok(Some((steps, seen)))
}
