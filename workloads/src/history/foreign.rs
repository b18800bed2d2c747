//! Histories of other tools: from the events that [`super::events`] pairs to the calls of a model,
//! with the rules that each format's own tool has.
//!
//! | format | file | default model and initial value |
//! |---|---|---|
//! | `knossos` | one EDN vector or list of events | by its functions; registers hold 0 |
//! | `jepsen-edn` | EDN events, one after the other | by its functions; registers are absent |
//! | `porcupine-kv` | the same, with `:key`; get, put, append of strings | `key-value`; empty strings |
//!
//! In all of them `:fail` certainly did not happen, a compare-and-set included, so that nothing is
//! known of what it saw; `:info` and what is still open at the end may have happened; and a read
//! that is `:ok` with `nil` says nothing. A value of an invocation is what is asked, and of a read
//! it is not looked at. The text logs of early Jepsen runs have rules of their own, see
//! [`super::jepsen_log`].

use std::collections::BTreeMap;
use std::io::BufRead;
use std::sync::Arc;

use super::edn::Edn;
use super::error::HistoryError;
use super::events::{self, End, Told, shortened};
use super::{FORMAT_VERSION, Format, Header, History, Micros, Operation, OperationId, Stamp};
use crate::model::key_value::{self, KeyValue};
use crate::model::multi_register::{MultiRegister, Seen, Step};
use crate::model::mutex::{self, Mutex};
use crate::model::{Call, CallOf, Model};
use crate::operation::{ClientId, Consistency, Key, Op, Outcome, Reason, Reply, Value};
use crate::recording::{Calls, ModelName, Recording};

/// The name that the one register of a history without keys gets.
pub(super) const KEY: &str = "register";

/// Reads EDN events for a model; without one, for that which has these functions. Says in which of
/// the EDN formats they were.
pub(super) fn read(
    input: impl BufRead,
    format: Option<Format>,
    model: Option<ModelName>,
    initial: Option<&str>,
) -> Result<(Recording, Format), HistoryError> {
    let (told, are_enclosed) = events::read(input)?;
    let model = match model {
        Some(model) => model,
        None => model_of(&told)?,
    };
    let format = format.unwrap_or(match (model, are_enclosed) {
        (ModelName::KeyValue, _) => Format::PorcupineKv,
        (_, true) => Format::Knossos,
        (_, false) => Format::JepsenEdn,
    });
    let initial = initial.or(match (format, model) {
        (Format::Knossos, ModelName::Register | ModelName::MultiRegister) => Some("0"),
        _ => None,
    });
    let recording = match model {
        ModelName::Register => {
            Recording::Operations(with_initial(history(&told)?, initial_value(initial)?))
        }
        ModelName::KeyValue => {
            let model = KeyValue { initial: Arc::from(initial.unwrap_or_default()) };
            Recording::KeyValue(calls(model, &told, key_value_call)?)
        }
        ModelName::MultiRegister => {
            Recording::MultiRegister(calls(multi_register(initial)?, &told, transaction)?)
        }
        ModelName::Mutex => {
            let held = match initial {
                None | Some("free") => false,
                Some("held") => true,
                Some(other) => {
                    let what = format!("expected \"free\" or \"held\" initially, got \"{other}\"");
                    return Err(HistoryError::Unfit { what });
                }
            };
            Recording::Mutex(calls(Mutex { held }, &told, mutex_call)?)
        }
    };
    Ok((recording, format))
}

/// The model whose functions these are, by the first.
fn model_of(told: &[Told]) -> Result<ModelName, HistoryError> {
    // A history in which no client did anything is right by any model.
    let Some(first) = told.first() else { return Ok(ModelName::Register) };
    Ok(match first.function.as_str() {
        "read" | "write" | "cas" => ModelName::Register,
        "get" | "put" | "append" => ModelName::KeyValue,
        "txn" => ModelName::MultiRegister,
        "acquire" | "release" => ModelName::Mutex,
        other => {
            return Err(first.place.wrong(format!(
                "expected a function of a known model (read, write, cas; get, put, append; txn; \
                 acquire, release), got :{other}"
            )));
        }
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
pub(super) fn with_initial(mut history: History, initial: Option<Value>) -> History {
    let Some(value) = initial else { return history };
    let mut keys: Vec<Key> = history.operations.iter().map(|it| it.op.key().clone()).collect();
    keys.sort();
    keys.dedup();
    let taken: std::collections::BTreeSet<ClientId> =
        history.operations.iter().map(|it| it.client).collect();
    let client = (0..=u32::MAX).map(ClientId).find(|client| !taken.contains(client));
    let client = client.expect("fewer operations than client numbers");
    let shift = 2 * keys.len() as u64;
    for operation in &mut history.operations {
        operation.invoked.seq += shift;
        if let Some(completed) = &mut operation.completed {
            completed.seq += shift;
        }
    }
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
    let mut operations: Vec<Operation> = keys.into_iter().enumerate().map(write).collect();
    operations.append(&mut history.operations);
    for (operation, id) in operations.iter_mut().zip(0..) {
        operation.id = OperationId(id);
    }
    history.operations = operations;
    history
}

/// Operations on registers, as a history of ours.
fn history(told: &[Told]) -> Result<History, HistoryError> {
    let header = Header { history: FORMAT_VERSION, workload: "register".to_string(), nodes: 0 };
    let mut operations = Vec::with_capacity(told.len());
    for (told, id) in told.iter().zip(0..) {
        let (op, outcome) = register_operation(told)?;
        let is_over = told.end != End::Open;
        let completed = is_over.then_some(Stamp {
            // Of an :info nobody asks when it was said.
            seq: told.ended.unwrap_or(told.began + 1),
            at: told.completed_at,
        });
        operations.push(Operation {
            id: OperationId(id),
            client: told.client,
            node: None,
            op,
            is_final: false,
            invoked: Stamp { seq: told.began, at: told.invoked_at },
            completed: completed.filter(|_| told.ended.is_some()),
            outcome,
        });
    }
    Ok(History { header, operations, complete: true })
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
        (End::Ok(_), None) => Outcome::Info(Reason::new("nil")),
        (End::Fail, _) => Outcome::Fail(Reason::new("fail")),
        (End::Info, _) => Outcome::Info(Reason::new("info")),
        (End::Open, _) => Outcome::Info(Reason::new("open")),
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
fn multi_register(initial: Option<&str>) -> Result<MultiRegister, HistoryError> {
    let Some(initial) = initial else { return Ok(MultiRegister::default()) };
    if !initial.contains('=') {
        let otherwise = (initial != "nil").then(|| Arc::from(initial));
        return Ok(MultiRegister { initial: BTreeMap::new(), otherwise });
    }
    let mut values = BTreeMap::new();
    for pair in initial.split(',') {
        let Some((key, value)) = pair.split_once('=') else {
            let what = format!("expected values such as \"x=0,y=0\" initially, got \"{pair}\"");
            return Err(HistoryError::Unfit { what });
        };
        values.insert(Key::new(key.trim()), Arc::from(value.trim()));
    }
    Ok(MultiRegister { initial: values, otherwise: None })
}

fn transaction(told: &Told) -> Result<Encoded<MultiRegister>, HistoryError> {
    let wrong = |got: &Edn| {
        let got = shortened(got);
        let what = "expected a :txn of steps such as [[:read :x nil] [:write :y 1]]";
        told.place.wrong(format!("{what}, got :{} {got}", told.function))
    };
    let Edn::Sequence(asked) = &told.asked else { return Err(wrong(&told.asked)) };
    if told.function != "txn" {
        return Err(wrong(&told.asked));
    }
    let mut steps = Vec::with_capacity(asked.len());
    for step in asked {
        match step {
            Edn::Sequence(words) => match words.as_slice() {
                [Edn::Keyword(what), key, value] => match what.as_str() {
                    "read" | "r" => steps.push(Step::Read(text_key(key))),
                    "write" | "w" => steps.push(Step::Write(text_key(key), text(value))),
                    _ => return Err(wrong(step)),
                },
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
                    [_, _, Edn::Nil] => Ok(None),
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
