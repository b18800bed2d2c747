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
//! A process that is no number, such as `:nemesis`, is no client, and its events are skipped. Events
//! without `:process` are all of one client; without `:f`, steps in their value make them
//! transactions. `:index`, where there is one, must grow from event to event: it says that nobody put
//! them in another order.
//!
//! Histories of transactions are also written as completions alone, as in Elle's own examples. Nothing is
//! then known of when each began, so all count as open from the beginning on.

use std::io::BufRead;

use rustc_hash::{FxHashMap, FxHashSet};

use super::Micros;
use super::edn::{Edn, Forms, Notation, Place};
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

/// All events of a file.
pub(super) struct Events {
    pub(super) told: Vec<Told>,
    /// Whether they stood in one vector or list.
    pub(super) are_enclosed: bool,
    /// What is to be known of how they were read, if anything is.
    pub(super) remark: Option<String>,
}

/// Reads all events, of which none need be a client's.
pub(super) fn read(input: impl BufRead, notation: Notation) -> Result<Events, HistoryError> {
    let mut forms = Forms::new(input, notation);
    let mut pairing = Pairing::default();
    let mut is_empty = true;
    while let Some((place, form)) = forms.next()? {
        // Of a file that begins with no event, nobody said that it is a history at all.
        if std::mem::replace(&mut is_empty, false) && !is_event(&form) {
            return Err(no_history(place, notation, &form));
        }
        // Events that do not fit together are told by their indices, if those do not either.
        let taken = pairing.take(place, &form);
        taken
            .map_err(|error| pairing.indices.disorder.take().map_or(error, Disorder::into_error))?;
    }
    if is_empty {
        return Err(HistoryError::NoEvent);
    }
    let remark = std::mem::take(&mut pairing.indices).finish()?;
    Ok(Events { told: pairing.finish(), are_enclosed: forms.are_enclosed(), remark })
}

/// The `:index` of the events: whether it says in which order they were.
#[derive(Default)]
struct Indices {
    all: Vec<i64>,
    /// The last of each process.
    of: FxHashMap<i64, i64>,
    /// The first event that stands behind one of an index not below its own.
    disorder: Option<Disorder>,
    /// Whether one of a process has a smaller one than its last.
    fall: bool,
}

struct Disorder {
    place: Place,
    last: i64,
    index: i64,
}

impl Disorder {
    fn into_error(self) -> HistoryError {
        let Disorder { place, last, index } = self;
        place.wrong(format!(
            "expected an :index above {last}, that of the event before, got {index}: events are \
             missing, doubled or out of their order; help: if the lines are in order, and :index \
             counts something else, leave it out"
        ))
    }
}

impl Indices {
    fn take(&mut self, place: Place, event: &Edn) {
        let Some(Edn::Int(index)) = event.get("index") else { return };
        if let Some(last) = self.all.last().filter(|last| *last >= index) {
            let disorder = Disorder { place, last: *last, index: *index };
            self.disorder.get_or_insert(disorder);
        }
        self.all.push(*index);
        if let Some(Edn::Int(process)) = event.get("process") {
            self.fall |= self.of.insert(*process, *index).is_some_and(|last| last > *index);
        }
    }

    /// That the lines alone say the order, if they do.
    fn finish(mut self) -> Result<Option<String>, HistoryError> {
        let Some(disorder) = self.disorder else { return Ok(None) };
        self.all.sort_unstable();
        let twice = self.all.windows(2).find(|pair| pair[0] == pair[1]);
        match twice {
            Some(twice) if !self.fall => Ok(Some(format!(
                "that of the lines: several events have the :index {}, so it does not count events",
                twice[0]
            ))),
            _ => Err(disorder.into_error()),
        }
    }
}

/// Completions find their invocations.
#[derive(Default)]
struct Pairing {
    told: Vec<Told>,
    /// The open operation of each process, by index.
    open: FxHashMap<i64, usize>,
    clients: FxHashMap<i64, ClientId>,
    taken: FxHashSet<ClientId>,
    /// Clients of processes that have no number of a client, counted down from the largest.
    renamed: u32,
    last: u64,
    indices: Indices,
    /// Whether the history is one of completions alone.
    are_completions: bool,
}

/// The process of events that name none.
const UNNAMED: i64 = i64::MIN;

impl Pairing {
    fn take(&mut self, place: Place, event: &Edn) -> Result<(), HistoryError> {
        if !matches!(event, Edn::Map(_)) {
            return Err(place.wrong(format!(
                "expected an event such as {{:process 0, :type :invoke, :f :read, :value nil}}, \
                 got {}",
                shortened(event)
            )));
        }
        self.indices.take(place, event);
        let process = match event.get("process") {
            None | Some(Edn::Nil) => UNNAMED,
            Some(Edn::Int(process)) => *process,
            Some(Edn::Keyword(_) | Edn::Text(_) | Edn::Symbol(_)) => return Ok(()),
            Some(other) => {
                let got = shortened(other);
                return Err(place.wrong(format!("expected a number as :process, got {got}")));
            }
        };
        let name = |field: &str, value: &Edn| match value {
            Edn::Keyword(name) | Edn::Text(name) => Ok(name.clone()),
            other => {
                let got = shortened(other);
                Err(place.wrong(format!("expected a keyword as :{field}, got {got}")))
            }
        };
        let kind = name("type", field(place, event, "type")?)?;
        let value = event.get("value").cloned().unwrap_or(Edn::Nil);
        let are_steps = matches!(&value, Edn::Sequence(steps)
            if steps.iter().all(|step| matches!(step, Edn::Sequence(_))));
        let function = match event.get("f") {
            None | Some(Edn::Nil) if are_steps => "txn".to_string(),
            _ => name("f", field(place, event, "f")?)?,
        };
        // The order of lines is the order of events; two on one line need a place each.
        self.last = place.line.max(self.last + 1);
        let at = match event.get("time") {
            Some(Edn::Int(nanoseconds)) => Micros(u64::try_from(*nanoseconds).unwrap_or(0) / 1000),
            _ => Micros(self.last * 1000),
        };
        let end = match kind.as_str() {
            "invoke" => {
                if self.are_completions {
                    let what = "expected completions alone, as before, got an invocation";
                    return Err(place.wrong(what.to_string()));
                }
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
        if self.told.is_empty() && function == "txn" {
            self.are_completions = true;
        }
        if self.are_completions {
            if function != "txn" {
                let what = "expected transactions alone in a history of completions";
                return Err(place.wrong(format!("{what}, got :{function}")));
            }
            let asked = event.get("value").cloned().unwrap_or(Edn::Nil);
            return self.completed(place, function, end, asked, at);
        }
        let Some(index) = self.open.remove(&process) else {
            let what = format!("{} has no operation open", shown(process));
            return Err(place.wrong(what));
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

    /// Takes a transaction that was never said to have begun.
    fn completed(
        &mut self,
        place: Place,
        function: String,
        end: End,
        asked: Edn,
        at: Micros,
    ) -> Result<(), HistoryError> {
        let client = ClientId(self.number(place)?);
        let ended = matches!(end, End::Ok(_) | End::Fail).then_some(self.last);
        self.told.push(Told {
            client,
            place,
            function,
            key: None,
            asked,
            end,
            began: u64::from(client.0),
            ended,
            invoked_at: Micros(0),
            completed_at: at,
        });
        Ok(())
    }

    /// What was told, each event with a place of its own.
    fn finish(mut self) -> Vec<Told> {
        if self.are_completions {
            // All began before any ended.
            let began = self.told.len() as u64;
            for told in &mut self.told {
                told.ended = told.ended.map(|ended| ended + began);
            }
        }
        self.number_renamed_after_all_others();
        self.told
    }

    /// While a file is read nobody knows which numbers are still to come, so who gets another name is
    /// numbered from the top; a reader of the verdict wants `c7`, not `c4294967294`.
    fn number_renamed_after_all_others(&mut self) {
        let top = u32::MAX - self.renamed;
        let named = self.taken.iter().filter(|client| client.0 < top);
        let first = named.max().map_or(0, |client| client.0 + 1);
        if top - first < self.renamed {
            return;
        }
        for told in self.told.iter_mut().filter(|told| told.client.0 >= top) {
            told.client = ClientId(first + (u32::MAX - 1 - told.client.0));
        }
    }

    /// The number of the next operation.
    fn number(&self, place: Place) -> Result<u32, HistoryError> {
        match u32::try_from(self.told.len()) {
            Ok(number) if self.told.len() < OPERATIONS_MAX => Ok(number),
            _ => Err(place.wrong(format!("more than {OPERATIONS_MAX} operations"))),
        }
    }

    fn invoke(&mut self, process: i64, told: Told) -> Result<(), HistoryError> {
        self.number(told.place)?;
        if let Some(open) = self.open.insert(process, self.told.len()) {
            let line = self.told[open].place.line;
            let what = format!("{} has had an operation open since line {line}", shown(process));
            return Err(told.place.wrong(what));
        }
        let client = match (self.clients.get(&process), u32::try_from(process)) {
            (Some(client), _) => *client,
            (None, Ok(number)) if !self.taken.contains(&ClientId(number)) => ClientId(number),
            (None, Err(_)) if process == UNNAMED && self.taken.is_empty() => ClientId(0),
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

/// Whether a form has anything of an event.
fn is_event(form: &Edn) -> bool {
    ["type", "process", "f"].iter().any(|name| form.get(name).is_some())
}

/// That a file is something else, with an event as its notation has it.
fn no_history(place: Place, notation: Notation, form: &Edn) -> HistoryError {
    let event = match notation {
        Notation::Edn => "{:process 0, :type :invoke, :f :read, :value nil}",
        Notation::Json => r#"{"process": 0, "type": "invoke", "f": "read", "value": null}"#,
    };
    place.wrong(format!(
        "this is no history: expected an event such as {event}, got {}; help: docs/checker.md says which \
         events are read",
        shortened(form)
    ))
}

fn field<'e>(place: Place, event: &'e Edn, name: &str) -> Result<&'e Edn, HistoryError> {
    event.get(name).ok_or_else(|| {
        place.wrong(format!("expected an event with :{name}, got {}", shortened(event)))
    })
}

fn shown(process: i64) -> String {
    match process {
        UNNAMED => "the one process of events without :process".to_string(),
        number => format!("process {number}"),
    }
}

/// A form for a message.
pub(super) fn shortened(form: &Edn) -> String {
    let text = form.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
