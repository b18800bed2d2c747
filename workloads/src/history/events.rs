//! The events of Jepsen and of the tools around it: maps that say which process invoked or completed
//! which function with which value. Completions are paired with their invocations here; what a
//! function means, and what a value, is the affair of [`super::foreign`].
//!
//! ```text
//! {:process 0, :type :invoke, :f :cas, :value [1 2]}
//! {:process 0, :type :ok,     :f :cas, :value [1 2]}
//! ```
//!
//! An event without `:time` of line 12 stands at 12 milliseconds, so that it can be found.
//! A process that is no number, such as `:nemesis`, is no client, and its events are skipped.

use std::io::BufRead;

use rustc_hash::{FxHashMap, FxHashSet};

use super::Micros;
use super::edn::{Edn, Forms, Place};
use super::error::HistoryError;
use crate::operation::ClientId;

/// More operations than this are refused: they are held in memory, and their numbers must fit.
const OPERATIONS_MAX: usize = 100_000_000;

/// An operation as its events tell it.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) client: ClientId,
    /// Where it was invoked, for whoever finds fault with it.
    pub(super) place: Place,
    /// The function, without its colon.
    pub(super) function: String,
    pub(super) key: Option<Edn>,
    /// The value of the invocation.
    pub(super) asked: Edn,
    pub(super) end: End,
    /// Places in the order of events: line numbers, unless several events share a line.
    pub(super) began: u64,
    pub(super) ended: Option<u64>,
    pub(super) invoked_at: Micros,
    pub(super) completed_at: Micros,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Done, with the value of the completion.
    Ok(Edn),
    /// Certainly not done.
    Fail,
    /// Unknown.
    Info,
    /// Not before the end of the file.
    Open,
}

/// Reads all events, of which none need be a client's. Says also whether they stood in one vector or list.
pub(super) fn read(input: impl BufRead) -> Result<(Vec<Told>, bool), HistoryError> {
    let mut forms = Forms::new(input);
    let mut events = Events::default();
    let mut is_empty = true;
    while let Some((place, form)) = forms.next()? {
        is_empty = false;
        events.take(place, &form)?;
    }
    if is_empty {
        return Err(HistoryError::NoEvent);
    }
    Ok((events.told, forms.are_enclosed()))
}

#[derive(Default)]
struct Events {
    told: Vec<Told>,
    /// The open operation of each process, by index.
    open: FxHashMap<i64, usize>,
    clients: FxHashMap<i64, ClientId>,
    taken: FxHashSet<ClientId>,
    /// Clients of processes that have no number of a client, counted down from the largest.
    renamed: u32,
    last: u64,
}

impl Events {
    fn take(&mut self, place: Place, event: &Edn) -> Result<(), HistoryError> {
        if !matches!(event, Edn::Map(_)) {
            return Err(place.wrong(format!(
                "expected an event such as {{:process 0, :type :invoke, :f :read, :value nil}}, \
                 got {}",
                shortened(event)
            )));
        }
        let process = match field(place, event, "process")? {
            Edn::Int(process) => *process,
            Edn::Keyword(_) | Edn::Text(_) | Edn::Symbol(_) => return Ok(()),
            other => {
                let got = shortened(other);
                return Err(place.wrong(format!("expected a number as :process, got {got}")));
            }
        };
        let name = |field: &str, value: &Edn| match value {
            Edn::Keyword(name) => Ok(name.clone()),
            other => {
                let got = shortened(other);
                Err(place.wrong(format!("expected a keyword as :{field}, got {got}")))
            }
        };
        let kind = name("type", field(place, event, "type")?)?;
        let function = name("f", field(place, event, "f")?)?;
        let value = event.get("value").cloned().unwrap_or(Edn::Nil);
        // The order of lines is the order of events; two on one line need a place each.
        self.last = place.line.max(self.last + 1);
        let at = match event.get("time") {
            Some(Edn::Int(nanoseconds)) => Micros(u64::try_from(*nanoseconds).unwrap_or(0) / 1000),
            _ => Micros(self.last * 1000),
        };
        let end = match kind.as_str() {
            "invoke" => {
                let key = event.get("key").cloned();
                return self.invoke(
                    process,
                    Told {
                        client: ClientId(0),
                        place,
                        function,
                        key,
                        asked: value,
                        end: End::Open,
                        began: self.last,
                        ended: None,
                        invoked_at: at,
                        completed_at: at,
                    },
                );
            }
            "ok" => End::Ok(value),
            "fail" => End::Fail,
            "info" => End::Info,
            other => {
                return Err(place.wrong(format!(
                    "expected :invoke, :ok, :fail or :info as :type, got :{other}"
                )));
            }
        };
        let Some(index) = self.open.remove(&process) else {
            return Err(place.wrong(format!("process {process} has no operation open")));
        };
        let told = &mut self.told[index];
        if told.function != function {
            let what = format!(
                ":{function} does not complete the :{} of line {}",
                told.function, told.place.line
            );
            return Err(place.wrong(what));
        }
        if end == End::Info {
            // It may still be open. If the process goes on, it does so as another client.
            self.clients.remove(&process);
        }
        told.ended = matches!(end, End::Ok(_) | End::Fail).then_some(self.last);
        (told.end, told.completed_at) = (end, at);
        Ok(())
    }

    fn invoke(&mut self, process: i64, told: Told) -> Result<(), HistoryError> {
        if self.told.len() == OPERATIONS_MAX {
            return Err(told.place.wrong(format!("more than {OPERATIONS_MAX} operations")));
        }
        if let Some(open) = self.open.insert(process, self.told.len()) {
            let line = self.told[open].place.line;
            let what = format!("process {process} has had an operation open since line {line}");
            return Err(told.place.wrong(what));
        }
        let client = match (self.clients.get(&process), u32::try_from(process)) {
            (Some(client), _) => *client,
            (None, Ok(number)) if !self.taken.contains(&ClientId(number)) => ClientId(number),
            _ => {
                self.renamed += 1;
                ClientId(u32::MAX - self.renamed)
            }
        };
        self.clients.insert(process, client);
        self.taken.insert(client);
        self.told.push(Told { client, ..told });
        Ok(())
    }
}

fn field<'e>(place: Place, event: &'e Edn, name: &str) -> Result<&'e Edn, HistoryError> {
    event.get(name).ok_or_else(|| {
        place.wrong(format!("expected an event with :{name}, got {}", shortened(event)))
    })
}

/// A form for a message.
pub(super) fn shortened(form: &Edn) -> String {
    let text = form.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
