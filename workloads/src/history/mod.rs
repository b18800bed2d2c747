//! A history: all operations of a run, in the one order in which the recorder saw them.
//!
//! Two operations are ordered in real time when one's completion has a smaller sequence number
//! than the other's invocation; otherwise they are concurrent. Clocks order nothing: the
//! microseconds are for people.
//!
//! The file format is JSON lines ([`jsonl`]). A header, one line per event, and a trailer that
//! holds the count, so that a cut-off file is known:
//!
//! ```text
//! {"history":1,"workload":"register","nodes":3}
//! {"seq":0,"us":1520,"client":3,"node":"n1","invoke":{"write":{"key":"r3","value":7}}}
//! {"seq":1,"us":1900,"client":3,"ok":"written"}
//! {"seq":2,"us":2000,"client":4,"node":"n2","invoke":{"read":{"key":"r3"}}}
//! {"seq":3,"us":2500,"client":4,"info":"timeout"}
//! {"end":{"events":4}}
//! ```

mod edn;
mod error;
mod events;
mod foreign;
pub mod jepsen_edn;
pub mod jepsen_log;
pub mod jsonl;
mod operations;

use std::io::BufRead;

use serde::{Deserialize, Serialize};

use edn::Notation;
pub use error::HistoryError;
pub use jepsen_log::MISMATCH;
pub use operations::{Disorder, Operations, SEQ_MAX};

use crate::operation::{ClientId, NodeId, Op, Outcome, Reply};
use crate::recording::{ModelName, Recording};

/// The version of the file format that this build writes.
pub const FORMAT_VERSION: u32 = 1;

/// The first line of a history file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT_VERSION`] of the writer.
    pub history: u32,
    /// Name of the workload, which says which checkers apply.
    pub workload: String,
    /// How many nodes the target had.
    pub nodes: u16,
}

/// The position of an operation in its history, by order of invocation, from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(pub u32);

/// When the recorder saw something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Place in the one order of the run.
    pub seq: u64,
    /// Time since the start of the run. For people and measures; it orders nothing.
    pub at: Micros,
}

/// Microseconds since the start of the run, on the recorder's monotonic clock.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Micros(pub u64);

impl Micros {
    /// In seconds, for display and plots.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

/// One operation of a client, from invocation to what its client last knew of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its place by order of invocation.
    pub id: OperationId,
    /// Who called.
    pub client: ClientId,
    /// The node the client talked to, where that is known.
    pub node: Option<NodeId>,
    /// What was asked.
    pub op: Op,
    /// Whether it is one of the reads at the end, after the heal, of what is left.
    pub is_final: bool,
    /// Before the first byte was sent.
    pub invoked: Stamp,
    /// After the last byte of the answer was read, or when the client gave up; `None` when the
    /// history ends first. Of an operation that ended [`Outcome::Info`] it is no upper bound.
    pub completed: Option<Stamp>,
    /// How it ended. An operation that was still open at the end is `Info("open")`.
    pub outcome: Outcome,
}

impl Operation {
    /// The answer, if the operation certainly happened.
    pub fn reply(&self) -> Option<&Reply> {
        match &self.outcome {
            Outcome::Ok(reply) => Some(reply),
            Outcome::Fail(_) | Outcome::Info(_) => None,
        }
    }

    /// The end of the operation in real-time order: for [`Outcome::Ok`] and [`Outcome::Fail`] its
    /// completion, else `None`, which is "after everything".
    pub fn ended(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Ok(_) | Outcome::Fail(_) => self.completed.map(|stamp| stamp.seq),
            Outcome::Info(_) => None,
        }
    }
}

/// All operations of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// What the file says of itself.
    pub header: Header,
    /// By order of invocation; `operations[i].id == i`.
    pub operations: Operations,
    /// Whether the trailer was there. A checker must not pass a history that is cut off.
    pub complete: bool,
}

impl History {
    /// The operation of an id of this history.
    ///
    /// # Panics
    ///
    /// If the id is of another, longer history.
    pub fn operation(&self, id: OperationId) -> &Operation {
        &self.operations[id.0 as usize]
    }

    /// Whether no event is missing before its last one: our recorder numbers them one by one, from
    /// zero. Of a history that is cut off, only such a beginning proves anything.
    pub fn is_beginning(&self) -> bool {
        let seqs = self.operations.iter().flat_map(|operation| {
            [Some(operation.invoked), operation.completed].into_iter().flatten()
        });
        // No two share a number, so the largest says whether one is missing.
        let (count, last) =
            seqs.fold((0, None), |(count, last), stamp| (count + 1, last.max(Some(stamp.seq))));
        last.is_none_or(|last| last + 1 == count)
    }
}

/// The formats that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON lines, our own: [`jsonl`].
    Jsonl,
    /// The text log of a Jepsen run against etcd: [`jepsen_log`].
    JepsenLog,
    /// The events of a Jepsen run, one after the other.
    JepsenEdn,
    /// The same in JSON, in an array or one after the other, as `elle-cli` reads them.
    JepsenJson,
    /// The events of a history of Knossos, in one vector or list.
    Knossos,
    /// The events of a map of strings, as Porcupine's examples have them.
    PorcupineKv,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 6] = [
        Format::Jsonl,
        Format::JepsenLog,
        Format::JepsenEdn,
        Format::JepsenJson,
        Format::Knossos,
        Format::PorcupineKv,
    ];

    /// The kebab-case name.
    pub fn name(self) -> &'static str {
        match self {
            Format::Jsonl => "jsonl",
            Format::JepsenLog => "jepsen-log",
            Format::JepsenEdn => "jepsen-edn",
            Format::JepsenJson => "jepsen-json",
            Format::Knossos => "knossos",
            Format::PorcupineKv => "porcupine-kv",
        }
    }
}

/// What is known of a file before it is read. Nothing, by default.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Its format; else the first bytes say.
    pub format: Option<Format>,
    /// What it is a history of; else its operations say.
    pub model: Option<ModelName>,
    /// What the thing held at first; else what the format's own tool takes.
    pub initial: Option<String>,
}

/// Reads a history in any of the formats, with the rules and defaults of the tool that wrote it.
///
/// # Errors
///
/// [`HistoryError`], as the reader of the format gives it, that the format is not known, or that
/// the file does not fit what was said of it.
pub fn open(
    input: &mut dyn BufRead,
    as_said: &Reading,
) -> Result<(Recording, Format), HistoryError> {
    open_with_remarks(input, as_said, &mut Vec::new())
}

/// The same, with what whoever believes the verdict should know of how the file was read: sentences
/// about the order of its events, such as "that of the lines: ...".
///
/// # Errors
///
/// As [`open`].
pub fn open_with_remarks(
    input: &mut dyn BufRead,
    as_said: &Reading,
    remarks: &mut Vec<String>,
) -> Result<(Recording, Format), HistoryError> {
    let Reading { format, model, initial } = as_said;
    if input.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
        input.consume(BYTE_ORDER_MARK.len());
    }
    let sniffed = match format {
        Some(format) => *format,
        None => sniff(input.fill_buf()?)?,
    };
    let as_told = |history: History| {
        let recording = Recording::Operations(history);
        match model {
            Some(said) if *said != recording.model() => Err(HistoryError::Unfit {
                what: format!(
                    "this {} history is one of a {}, not of a {}",
                    sniffed.name(),
                    recording.model().name(),
                    said.name()
                ),
            }),
            _ => Ok(recording),
        }
    };
    match sniffed {
        Format::Jsonl if initial.is_some() => Err(HistoryError::Unfit {
            what: "a jsonl history begins with every key absent: expected no initial value".into(),
        }),
        Format::Jsonl => Ok((as_told(jsonl::read(input)?)?, sniffed)),
        Format::JepsenLog => {
            if model.is_some_and(|model| model != ModelName::Register)
                || !jepsen_log::is_register(input.fill_buf()?)
            {
                let events = jepsen_log::as_edn(input)?;
                let format = Some(Format::JepsenEdn);
                let (mut events, initial) = (events.as_bytes(), initial.as_deref());
                let read =
                    foreign::read(&mut events, Notation::Edn, format, *model, initial, remarks);
                return read.map(|(recording, _)| (recording, sniffed));
            }
            let initial = foreign::initial_value(initial.as_deref())?;
            let history = jepsen_log::read(input)?;
            Ok((as_told(foreign::with_initial(history, initial))?, sniffed))
        }
        Format::JepsenJson => {
            foreign::read(input, Notation::Json, *format, *model, initial.as_deref(), remarks)
        }
        Format::JepsenEdn | Format::Knossos | Format::PorcupineKv => {
            foreign::read(input, Notation::Edn, *format, *model, initial.as_deref(), remarks)
        }
    }
}

/// What an editor may write before everything else.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

fn first_line(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == b'\n').next().unwrap_or_default()
}

/// The beginning of the first line, for people.
fn line(start: &[u8]) -> String {
    let line = first_line(start);
    format!("{:?}", String::from_utf8_lossy(&line[..line.len().min(40)]))
}

/// The format by the first bytes. Of the EDN formats the reader finds out which.
fn sniff(start: &[u8]) -> Result<Format, HistoryError> {
    let text = start.trim_ascii_start();
    let inside = text.get(1..).unwrap_or_default().trim_ascii_start();
    let is_object = |text: &[u8]| {
        text.first() == Some(&b'{')
            && text.get(1..).unwrap_or_default().trim_ascii_start().starts_with(b"\"")
    };
    match text.first() {
        None if start.is_empty() => Err(HistoryError::Empty),
        Some(b'{') if is_object(text) => {
            // The header of ours is one line that names its version first.
            let is_event = [&b"\"process\""[..], b"\"type\""];
            let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let holds = |name: &&[u8]| line.windows(name.len()).any(|it| it == *name);
            match inside.starts_with(b"\"history\"") {
                true => Ok(Format::Jsonl),
                false if is_event.iter().any(holds) => Ok(Format::JepsenJson),
                false => {
                    let found = format!(
                        "a JSON object of another kind, without \"process\" and \"type\"; help: docs/checker.md \
                         says which events are read, and each is a few lines to write from any log: {}",
                        self::line(start)
                    );
                    Err(HistoryError::UnknownFormat { found })
                }
            }
        }
        Some(b'[') if is_object(inside) => Ok(Format::JepsenJson),
        // A "#" and a space begin the comment of many a format, but nothing in EDN.
        Some(b'#') if text.get(1).is_none_or(u8::is_ascii_whitespace) => {
            Err(HistoryError::UnknownFormat { found: line(text) })
        }
        Some(b'{' | b'[' | b'(' | b';' | b'#') => Ok(Format::JepsenEdn),
        _ if text.starts_with(b"INFO") || jepsen_log::is_line(first_line(text)) => {
            Ok(Format::JepsenLog)
        }
        _ if start.starts_with(b"\x1f\x8b") => {
            Err(HistoryError::UnknownFormat { found: "a gzip file; unpack it first".to_string() })
        }
        _ if start.iter().take(64).any(|byte| *byte < b'\t' || *byte > 0xf7) => {
            let found = "binary data; a history.fressian or test.jepsen of Jepsen must be written as EDN \
                         first";
            Err(HistoryError::UnknownFormat { found: found.to_string() })
        }
        _ if first_line(text).windows(7).any(|it| it == b"jepsen.") => {
            let found = format!(
                "{}; help: of a jepsen.log give the lines of jepsen.util alone, or the history.edn or \
                 history.txt beside it",
                line(start)
            );
            Err(HistoryError::UnknownFormat { found })
        }
        _ => Err(HistoryError::UnknownFormat { found: line(start) }),
    }
}

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod flood;
#[cfg(test)]
pub(crate) mod fuzz;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_foreign;
