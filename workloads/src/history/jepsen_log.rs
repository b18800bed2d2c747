//! Reads the text logs of early Jepsen runs against etcd: one register, one event per line.
//!
//! ```text
//! INFO  jepsen.util - 4 :invoke :cas [3 0]
//! INFO  jepsen.util - 4 :fail   :cas [3 0]
//! ```
//!
//! Spaces and tabs may be more or fewer, something such as a time may stand before `INFO`, a thread behind it
//! and a colon for the hyphen, as later runs have it in their `jepsen.log`; all before the process may be
//! missing, as in the `history.txt` of a run, and lines of the nemesis are passed over. Where what is done is
//! more than one register, the same lines are read as events ([`as_edn`]).
//!
//! The number is the process, which becomes the client; the order of the lines is the order of the
//! events. There are no times: line 12 stands at 12 milliseconds. `nil` is absent.
//! A `:fail` of a compare-and-set means that the value was not the expected one, without saying
//! what it was: it becomes `Fail("mismatch")`, see [`MISMATCH`]. The format has no trailer, so a
//! log that ends is taken as complete. Called by [`super::open`].

use std::io::BufRead;

use rustc_hash::FxHashMap;

use super::error::HistoryError;
use super::foreign::KEY;
use super::{FORMAT_VERSION, Header, History, Micros, Operation, OperationId, Operations, Stamp};
use crate::operation::{ClientId, Consistency, Key, Op, Outcome, Reason, Reply, Value};

/// The reason of a compare-and-set that was refused without saying what the key held. It had no
/// effect, as with every failed operation, but it claims that the expectation did not hold.
pub const MISMATCH: &str = "mismatch";

/// The beginning of a line.
const LINE_START: &str = "INFO  jepsen.util - ";

/// So much may stand before it: a date, a time, a thread.
const BEFORE_MAX: usize = 64;

/// Whether a line can be one of this format.
pub(super) fn is_line(line: &[u8]) -> bool {
    std::str::from_utf8(line).is_ok_and(|text| event_of(text.trim_end()).is_some())
}

/// Where the event of a line begins: its process.
fn event_of(text: &str) -> Option<usize> {
    if text.starts_with(LINE_START) {
        return Some(LINE_START.len());
    }
    let mut words = text.split_whitespace();
    let mut next = || words.next().unwrap_or_default();
    // A number, or :nemesis, and a type.
    let is_process = |word: &str| word.parse::<u32>().is_ok() || word == NEMESIS;
    if is_process(next()) && next().starts_with(':') {
        return Some(text.len() - text.trim_start().len());
    }
    let level = text.find("INFO").filter(|at| *at <= BEFORE_MAX)?;
    let rest = text[level + "INFO".len()..].trim_start();
    // The thread that wrote it, as in "[jepsen worker 0]".
    let rest = match rest.strip_prefix('[') {
        Some(thread) => thread.split_once(']')?.1.trim_start(),
        None => rest,
    };
    let rest = rest.strip_prefix("jepsen.util")?.trim_start().strip_prefix(['-', ':'])?;
    let event = rest.trim_start();
    (event.len() < rest.len()).then(|| text.len() - event.len())
}

/// Whether the lines at the beginning of a log are of one register: its values are numbers, and no function
/// of another model is called.
pub(super) fn is_register(start: &[u8]) -> bool {
    // It may end within a letter; what is no text at all is said with its place by whoever reads it.
    let is_text = std::str::from_utf8(start).map_or_else(|error| error.valid_up_to(), str::len);
    let text = std::str::from_utf8(&start[..is_text]).unwrap_or_default();
    let events = text.lines().filter_map(|line| Some(&line[event_of(line.trim_end())?..]));
    events.filter(|event| !event.starts_with(NEMESIS)).all(|event| {
        let mut room = [""; WORDS_MAX];
        match words(event, &mut room).get(2..).unwrap_or_default() {
            // The key of one of many registers stands before the value.
            [":read" | ":write", value, ..] => !value.starts_with('['),
            [":cas", values @ ..] => !values.iter().skip(1).any(|value| value.starts_with('[')),
            [] | [_] => true,
            _ => false,
        }
    })
}

/// So many words of a line are looked at: more than an event of a register can have, so that what has
/// too many is seen. An error may say any number of them behind.
const WORDS_MAX: usize = 8;

/// The first words of a line, without room on the heap: a log is little but lines.
fn words<'r, 'l>(line: &'l str, room: &'r mut [&'l str; WORDS_MAX]) -> &'r [&'l str] {
    let mut count = 0;
    for (place, word) in room.iter_mut().zip(line.split_ascii_whitespace()) {
        *place = word;
        count += 1;
    }
    &room[..count]
}

/// The events of a log, one a line and each at its own, as EDN: for logs of other things than one register.
///
/// # Errors
///
/// [`HistoryError`] for a line that is not of the format.
pub(super) fn as_edn(input: &mut dyn BufRead) -> Result<String, HistoryError> {
    let mut edn = String::new();
    for (number, line) in (1..).zip(input.lines()) {
        let line = line?;
        let text = line.trim_end();
        if !text.is_empty() {
            let Some(at) = event_of(text) else {
                let what = format!("expected a line that begins with \"{LINE_START}\"");
                return Err(HistoryError::at_column(number, 1, what));
            };
            let event = &text[at..];
            // Values hold spaces, so tabs separate where there are some; an error may follow.
            let words: Vec<&str> = match event.contains('\t') {
                true => event.split('\t').map(str::trim).filter(|it| !it.is_empty()).collect(),
                false => event.splitn(4, ' ').map(str::trim).collect(),
            };
            if let [process, kind, function, value @ ..] = words.as_slice()
                && *process != NEMESIS
            {
                let value = value.first().copied().unwrap_or("nil");
                edn +=
                    &format!("{{:process {process}, :type {kind}, :f {function}, :value {value}}}");
            }
        }
        edn.push('\n');
    }
    Ok(edn)
}

/// The process that breaks things, whose events are no operations.
const NEMESIS: &str = ":nemesis";

/// A line of this format is short; a longer one is another format.
const LINE_MAX: u64 = 4096;

/// Reads a log to its end.
///
/// # Errors
///
/// [`HistoryError`] for an empty log and for a line that is not of the format or contradicts an
/// earlier one, with its number.
pub fn read(mut input: impl BufRead) -> Result<History, HistoryError> {
    let header = Header { history: FORMAT_VERSION, workload: "register".to_string(), nodes: 0 };
    let mut log =
        Log { operations: Vec::new(), open: FxHashMap::default(), key: Key::new(KEY), line: 0 };
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let mut limited = std::io::Read::take(&mut input, LINE_MAX + 1);
        if limited.read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        log.line += 1;
        if bytes.len() as u64 > LINE_MAX {
            let what = format!("the line is longer than {LINE_MAX} bytes");
            return Err(HistoryError::at_column(log.line, LINE_MAX as usize + 1, what));
        }
        let text = std::str::from_utf8(&bytes)
            .map_err(|error| {
                let column = error.valid_up_to() + 1;
                HistoryError::at_column(log.line, column, "expected UTF-8".to_string())
            })?
            .trim_end();
        if !text.is_empty() {
            log.take(text).map_err(|fault| fault.at(log.line, text))?;
        }
    }
    if log.operations.is_empty() {
        return Err(HistoryError::Empty);
    }
    Ok(History { header, operations: Operations::in_order(log.operations), complete: true })
}

struct Log {
    operations: Vec<Operation>,
    /// The open operation of each process; `None` once it ended `:info`.
    open: FxHashMap<ClientId, Option<OperationId>>,
    key: Key,
    line: u64,
}

impl Log {
    fn take(&mut self, text: &str) -> Result<(), Fault> {
        let Some(rest) = event_of(text).map(|at| &text[at..]) else {
            return fault("", format!("expected a line that begins with \"{LINE_START}\""));
        };
        if rest.starts_with(NEMESIS) {
            return Ok(());
        }
        let mut room = [""; WORDS_MAX];
        let [process, kind, function, arguments @ ..] = words(rest, &mut room) else {
            let what =
                format!("expected a process, a type, an operation and a value, got \"{rest}\"");
            return fault(rest, what);
        };
        let Ok(client) = process.parse().map(ClientId) else {
            return fault(process, format!("expected the number of a process, got \"{process}\""));
        };
        let stamp = Stamp { seq: self.line, at: Micros(self.line * 1000) };
        match *kind {
            ":invoke" => self.invoke(stamp, client, function, arguments),
            ":ok" | ":fail" | ":info" => self.complete(stamp, client, kind, function, arguments),
            other => {
                fault(other, format!("expected :invoke, :ok, :fail or :info, got \"{other}\""))
            }
        }
    }

    fn invoke(
        &mut self,
        invoked: Stamp,
        client: ClientId,
        function: &str,
        arguments: &[&str],
    ) -> Result<(), Fault> {
        let op = self.operation(function, arguments)?;
        let Ok(number) = u32::try_from(self.operations.len()) else {
            return fault(function, format!("more than {} operations", u32::MAX));
        };
        let id = OperationId(number);
        match self.open.insert(client, Some(id)) {
            None => {}
            Some(Some(_)) => {
                return fault(":invoke", format!("process {} has an operation open", client.0));
            }
            Some(None) => {
                return fault(":invoke", format!("process {} goes on after :info", client.0));
            }
        }
        self.operations.push(Operation {
            id,
            client,
            node: None,
            op,
            is_final: false,
            invoked,
            completed: None,
            outcome: Outcome::Info(Reason::new("open")),
        });
        Ok(())
    }

    fn complete(
        &mut self,
        stamp: Stamp,
        client: ClientId,
        kind: &str,
        function: &str,
        arguments: &[&str],
    ) -> Result<(), Fault> {
        let Some(Some(id)) = self.open.get(&client).copied() else {
            return fault(kind, format!("process {} has no operation open", client.0));
        };
        let op = self.operations[id.0 as usize].op.clone();
        let timed_out = arguments == [":timed-out"];
        let outcome = match (kind, &op) {
            (":ok", Op::Read { .. }) if function == ":read" => {
                Outcome::Ok(Reply::Read(self.value(arguments.first().copied())?))
            }
            (":ok", Op::Write { .. }) if function == ":write" => Outcome::Ok(Reply::Written),
            (":ok", Op::CompareAndSet { expect, .. }) if function == ":cas" => {
                Outcome::Ok(Reply::Compared { swapped: true, observed: *expect })
            }
            (":fail", Op::CompareAndSet { .. }) if function == ":cas" && !timed_out => {
                Outcome::Fail(Reason::new(MISMATCH))
            }
            (":fail", Op::Read { .. }) if function == ":read" => {
                Outcome::Fail(Reason::new("timed-out"))
            }
            (":fail", Op::Write { .. }) if function == ":write" && !timed_out => {
                Outcome::Fail(Reason::new("failed"))
            }
            (":info", _) => Outcome::Info(Reason::new("timed-out")),
            _ => {
                let what = format!("\"{kind} {function}\" does not complete \"{op}\"");
                return fault(kind, what);
            }
        };
        if matches!(outcome, Outcome::Info(_)) {
            self.open.insert(client, None);
        } else {
            self.open.remove(&client);
        }
        let operation = &mut self.operations[id.0 as usize];
        operation.completed = Some(stamp);
        operation.outcome = outcome;
        Ok(())
    }

    fn operation(&self, function: &str, arguments: &[&str]) -> Result<Op, Fault> {
        let key = self.key.clone();
        match (function, arguments) {
            (":read", _) => Ok(Op::Read { key, consistency: Consistency::Linearizable }),
            (":write", [value]) => match self.value(Some(*value))? {
                Some(value) => Ok(Op::Write { key, value }),
                None => fault("nil", "expected a value to write, got nil".to_string()),
            },
            (":cas", [from, to]) => {
                let expect = self.value(from.strip_prefix('['))?;
                match self.value(to.strip_suffix(']'))? {
                    Some(value) => Ok(Op::CompareAndSet { key, expect, value }),
                    None => fault(to, "expected a value to set, got nil".to_string()),
                }
            }
            _ => fault(
                function,
                format!(
                    "expected \":read nil\", \":write 1\" or \":cas [1 2]\", got \"{function} {}\"",
                    arguments.join(" ")
                ),
            ),
        }
    }

    fn value(&self, text: Option<&str>) -> Result<Option<Value>, Fault> {
        match text.map(|text| (text, text.parse())) {
            Some(("nil", _)) => Ok(None),
            Some((_, Ok(number))) => Ok(Some(Value(number))),
            _ => {
                let text = text.unwrap_or_default();
                fault(text, format!("expected a whole number or nil, got \"{text}\""))
            }
        }
    }
}

/// What is wrong with a line, and the word that shows it.
struct Fault {
    word: String,
    what: String,
}

impl Fault {
    fn at(self, line: u64, text: &str) -> HistoryError {
        let rest = event_of(text).unwrap_or(0);
        let column = match self.word.is_empty() {
            true => 0,
            false => text[rest..].find(&self.word).map_or(rest, |at| rest + at),
        };
        HistoryError::at_column(line, column + 1, self.what)
    }
}

fn fault<T>(word: &str, what: String) -> Result<T, Fault> {
    Err(Fault { word: word.to_string(), what })
}
