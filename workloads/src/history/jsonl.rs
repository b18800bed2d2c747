//! The history file: JSON lines, as [`crate::history`] shows them.
//!
//! [`Writer`] writes a history while a run goes on, one whole line at a time, so that a crash
//! tears at most the last one. [`read`] takes any bytes: what is wrong with a file is said with its
//! line, and a file that merely ends too early becomes a history that knows it is not complete.
//! The recorder of the harness calls the first, `splitbrain check` the second.

use std::io::{self, BufRead, Read, Write};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::error::HistoryError;
use super::{
    FORMAT_VERSION, Header, History, Micros, Operation, OperationId, Operations, SEQ_MAX, Stamp,
};
use crate::operation::{ClientId, NodeId, Op, Outcome, Reason, Reply};

/// The longest line that is read. A list of a million elements is about half of it; a longer line
/// is a broken file, and must not take the memory of the reader with it.
pub const LINE_MAX: usize = 16 << 20;

/// Writes a history, event by event.
pub struct Writer<W: Write> {
    inner: W,
    /// The line being made: kept, so that writing allocates nothing.
    line: Vec<u8>,
    events: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a history with its header.
    ///
    /// # Errors
    ///
    /// Those of the inner writer, here and in every other method.
    pub fn new(inner: W, header: Header) -> io::Result<Self> {
        let mut writer = Writer { inner, line: Vec::with_capacity(256), events: 0 };
        writer.put(&header)?;
        Ok(writer)
    }

    /// Writes down that a client is about to send an operation. `is_final` marks the reads at the
    /// end, linearizable and local ones.
    pub fn invoke(
        &mut self,
        stamp: Stamp,
        client: ClientId,
        node: Option<NodeId>,
        is_final: bool,
        op: &Op,
    ) -> io::Result<()> {
        self.events += 1;
        self.put(&InvokeLine { seq: stamp.seq, us: stamp.at, client, node, is_final, invoke: op })
    }

    /// Writes down how the open operation of a client ended.
    pub fn complete(
        &mut self,
        stamp: Stamp,
        client: ClientId,
        outcome: &Outcome,
    ) -> io::Result<()> {
        self.events += 1;
        self.put(&CompleteLine { seq: stamp.seq, us: stamp.at, client, outcome })
    }

    /// Hands what is buffered to the inner writer's flush.
    pub fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }

    /// Ends the history with its trailer, flushes, and gives the inner writer back.
    pub fn finish(mut self) -> io::Result<W> {
        let end = TrailerLine { end: Trailer { events: self.events } };
        self.put(&end)?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn put(&mut self, line: &impl Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        self.line.push(b'\n');
        self.inner.write_all(&self.line)
    }
}

/// Writes a whole history, with the sequence numbers it has. Operations that are still open at the
/// end stay open.
///
/// # Errors
///
/// Those of the inner writer.
pub fn write<W: Write>(history: &History, inner: W) -> io::Result<W> {
    let mut events = Vec::with_capacity(2 * history.operations.len());
    for operation in &history.operations {
        events.push((operation.invoked, operation, false));
        if let Some(completed) = operation.completed {
            events.push((completed, operation, true));
        }
    }
    events.sort_by_key(|(stamp, _, _)| stamp.seq);
    let mut writer = Writer::new(inner, history.header.clone())?;
    for (stamp, operation, is_completion) in events {
        let client = operation.client;
        if is_completion {
            writer.complete(stamp, client, &operation.outcome)?;
        } else {
            writer.invoke(stamp, client, operation.node, operation.is_final, &operation.op)?;
        }
    }
    writer.finish()
}

/// Reads a history.
///
/// A file without a trailer, or with a half last line, gives a history with `complete: false`; its open
/// operations are `Info("open")`.
///
/// # Errors
///
/// [`HistoryError`] for an empty file, for bytes that are no history, for a history of another
/// version and for one that contradicts itself, with the line.
pub fn read(mut input: impl BufRead) -> Result<History, HistoryError> {
    let mut bytes = Vec::new();
    let mut reading = match read_line(&mut input, &mut bytes, 1)? {
        Line::None => return Err(HistoryError::Empty),
        line => Reading::begin(&bytes, line)?,
    };
    loop {
        let number = reading.line + 1;
        let line = read_line(&mut input, &mut bytes, number)?;
        if line == Line::None {
            return Ok(reading.end());
        }
        reading.line = number;
        match parse::<AnyLine>(&bytes, number) {
            Ok(event) => reading.take(event).map_err(|fault| fault.at(number, &bytes))?,
            // The writer writes whole lines, so a last line without its end was cut off.
            Err(_) if line == Line::Half => return Ok(reading.end()),
            Err(error) => return Err(error),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Nothing is left.
    None,
    /// With its line feed.
    Whole,
    /// The input ended before a line feed.
    Half,
}

/// Reads one line without its line feed into `bytes`.
fn read_line(
    input: &mut impl BufRead,
    bytes: &mut Vec<u8>,
    number: u64,
) -> Result<Line, HistoryError> {
    bytes.clear();
    let limit = LINE_MAX as u64 + 1;
    let count = input.by_ref().take(limit).read_until(b'\n', bytes)?;
    match bytes.last() {
        None => Ok(Line::None),
        Some(b'\n') => {
            bytes.pop();
            Ok(Line::Whole)
        }
        Some(_) if count as u64 == limit => Err(HistoryError::at_column(
            number,
            LINE_MAX + 1,
            format!("the line is longer than {LINE_MAX} bytes, twice a list of a million elements"),
        )),
        Some(_) => Ok(Line::Half),
    }
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8], number: u64) -> Result<T, HistoryError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        HistoryError::at_column(number, error.valid_up_to() + 1, "expected UTF-8".to_string())
    })?;
    serde_json::from_str(text).map_err(|error| {
        // serde_json ends its message with its own position, always on line one here.
        let message = error.to_string();
        let what = message.split(" at line ").next().unwrap_or_default();
        // A name of the file may hold line feeds, and a message is one line.
        let what = what.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
        HistoryError::at_column(number, error.column().max(1), what)
    })
}

/// What is wrong with an event that can be read, and the field that shows it.
struct Fault {
    field: &'static str,
    what: String,
}

impl Fault {
    fn at(self, line: u64, bytes: &[u8]) -> HistoryError {
        let name = format!("\"{}\":", self.field);
        let column = bytes.windows(name.len()).position(|it| it == name.as_bytes());
        // A field that is missing is missed where its event begins.
        HistoryError::at_column(line, column.unwrap_or(0) + 1, self.what)
    }
}

fn fault<T>(field: &'static str, what: String) -> Result<T, Fault> {
    Err(Fault { field, what })
}

/// A history as far as it is read.
struct Reading {
    header: Header,
    operations: Vec<Operation>,
    complete: bool,
    clients: FxHashMap<ClientId, ClientState>,
    line: u64,
    events: u64,
    last_seq: Option<u64>,
    /// The line of the trailer, once it came.
    trailer: Option<u64>,
}

enum ClientState {
    Idle,
    /// Its open operation, and the line that opened it.
    Open(OperationId, u64),
    /// The line with the `info` after which the client may not go on.
    Gone(u64),
}

impl Reading {
    fn begin(bytes: &[u8], line: Line) -> Result<Self, HistoryError> {
        let version: VersionLine = match parse(bytes, 1) {
            Ok(version) => version,
            Err(_) if line == Line::Half => return Err(HistoryError::HeaderCutOff),
            Err(error) => return Err(error),
        };
        if version.history != u64::from(FORMAT_VERSION) {
            return Err(HistoryError::Version { found: version.history });
        }
        let header: Header = parse(bytes, 1)?;
        Ok(Reading {
            header,
            operations: Vec::new(),
            complete: false,
            clients: FxHashMap::default(),
            line: 1,
            events: 0,
            last_seq: None,
            trailer: None,
        })
    }

    fn take(&mut self, line: AnyLine) -> Result<(), Fault> {
        if let Some(trailer) = self.trailer {
            return fault("seq", format!("expected nothing after the trailer of line {trailer}"));
        }
        let AnyLine { seq, us, client, node, is_final, invoke, ok, fail, info, end } = line;
        if let Some(end) = end {
            let alone = seq.is_none() && us.is_none() && client.is_none();
            if !alone || invoke.is_some() || ok.is_some() || fail.is_some() || info.is_some() {
                return fault("end", "a trailer holds \"end\" alone".to_string());
            }
            if end.events != self.events {
                let what = format!(
                    "the trailer counts {} events, but {} stand before it: lines are missing or doubled, \
                     and no verdict about the rest would be sure",
                    end.events, self.events
                );
                return fault("end", what);
            }
            self.trailer = Some(self.line);
            self.complete = true;
            return Ok(());
        }
        let (Some(seq), Some(at), Some(client)) = (seq, us, client) else {
            return fault("", "expected \"seq\", \"us\" and \"client\"".to_string());
        };
        if let Some(last) = self.last_seq.filter(|last| *last >= seq) {
            let what = format!("expected a \"seq\" above {last}, the one before, got {seq}");
            return fault("seq", what);
        }
        if seq > SEQ_MAX {
            let what = format!("expected a \"seq\" of at most {SEQ_MAX}, got {seq}");
            return fault("seq", what);
        }
        self.last_seq = Some(seq);
        self.events += 1;
        let stamp = Stamp { seq, at };
        match (invoke, ok, fail, info) {
            (Some(op), None, None, None) => self.invoke(stamp, client, node, is_final, op),
            (None, Some(reply), None, None) => self.complete(stamp, client, Outcome::Ok(reply)),
            (None, None, Some(why), None) => self.complete(stamp, client, Outcome::Fail(why)),
            (None, None, None, Some(why)) => self.complete(stamp, client, Outcome::Info(why)),
            _ => fault(
                "",
                "expected exactly one of \"invoke\", \"ok\", \"fail\" and \"info\"".to_string(),
            ),
        }
    }

    fn invoke(
        &mut self,
        invoked: Stamp,
        client: ClientId,
        node: Option<NodeId>,
        is_final: bool,
        op: Op,
    ) -> Result<(), Fault> {
        match self.clients.get(&client) {
            None | Some(ClientState::Idle) => {}
            Some(ClientState::Open(_, line)) => {
                let what = format!(
                    "client {client} invokes an operation while its operation of line {line} is open"
                );
                return fault("client", what);
            }
            Some(ClientState::Gone(line)) => {
                let what = format!(
                    "client {client} goes on although its operation ended \"info\" in line {line} and \
                     may still be open; help: go on under a new client number"
                );
                return fault("client", what);
            }
        }
        let Ok(number) = u32::try_from(self.operations.len()) else {
            return fault("invoke", format!("more than {} operations", u32::MAX));
        };
        let id = OperationId(number);
        self.clients.insert(client, ClientState::Open(id, self.line));
        self.operations.push(Operation {
            id,
            client,
            node,
            op,
            is_final,
            invoked,
            completed: None,
            outcome: Outcome::Info(Reason::new("open")),
        });
        Ok(())
    }

    fn complete(&mut self, stamp: Stamp, client: ClientId, outcome: Outcome) -> Result<(), Fault> {
        let Some(ClientState::Open(id, _)) = self.clients.get(&client) else {
            let what = format!(
                "client {client} completes an operation, but has none open; help: a line before this \
                 one may be missing"
            );
            return fault("client", what);
        };
        let operation = &mut self.operations[id.0 as usize];
        if let Outcome::Ok(reply) = &outcome
            && !operation.op.is_answered_by(reply)
        {
            let what = format!("the reply does not answer \"{}\"", operation.op);
            return fault("ok", what);
        }
        operation.completed = Some(stamp);
        let after = match outcome {
            Outcome::Info(_) => ClientState::Gone(self.line),
            Outcome::Ok(_) | Outcome::Fail(_) => ClientState::Idle,
        };
        operation.outcome = outcome;
        self.clients.insert(client, after);
        Ok(())
    }

    fn end(self) -> History {
        let Reading { header, operations, complete, .. } = self;
        History { header, operations: Operations::in_order(operations), complete }
    }
}

#[derive(Serialize)]
struct InvokeLine<'a> {
    seq: u64,
    us: Micros,
    client: ClientId,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<NodeId>,
    #[serde(rename = "final", skip_serializing_if = "std::ops::Not::not")]
    is_final: bool,
    invoke: &'a Op,
}

#[derive(Serialize)]
struct CompleteLine<'a> {
    seq: u64,
    us: Micros,
    client: ClientId,
    /// Its variants are the fields `ok`, `fail` and `info`.
    #[serde(flatten)]
    outcome: &'a Outcome,
}

#[derive(Serialize)]
struct TrailerLine {
    end: Trailer,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trailer {
    events: u64,
}

/// The header as far as every version has it.
#[derive(Deserialize)]
struct VersionLine {
    history: u64,
}

/// Every line after the header, with the fields of all kinds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnyLine {
    seq: Option<u64>,
    us: Option<Micros>,
    client: Option<ClientId>,
    node: Option<NodeId>,
    #[serde(rename = "final", default)]
    is_final: bool,
    invoke: Option<Op>,
    ok: Option<Reply>,
    fail: Option<Reason>,
    info: Option<Reason>,
    end: Option<Trailer>,
}
