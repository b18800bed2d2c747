//! What programs read: `summary.json` and `events.jsonl`, to and from plain readers and writers.
//!
//! Both carry [`SCHEMA_VERSION`], and a file of another version is refused by name instead of
//! being half understood. `events.jsonl` is written while the run goes on, so a killed run leaves
//! half a last line: that is no error but a fact about the file, and it is handed on.
//!
//! ```text
//! {"events":1}
//! {"us":1520,"event":{"phase":"load"}}
//! {"us":2104000,"event":{"fault":{"fault":1,"step":"in-force"}}}
//! ```

use std::io::{self, BufRead, Read, Write};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::record::{EventRecord, SCHEMA_VERSION, SuiteRecord};

/// The longest line of `events.jsonl` that is read. The longest honest one names every link of a
/// large cluster; a longer one is a file of something else.
const EVENT_LINE_MAX: u64 = 1 << 20;

/// Why a file of records could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The reader failed.
    #[error("could not read {file}: {source}")]
    Io {
        /// Which file, by its name in a run directory.
        file: &'static str,
        /// What the reader said.
        source: io::Error,
    },
    /// The file is of another version.
    #[error(
        "{file} has schema version {found}, expected {SCHEMA_VERSION}\n\
         help: read it with the release of splitbrain that wrote it"
    )]
    Version {
        /// Which file.
        file: &'static str,
        /// The version that it names.
        found: u64,
    },
    /// The file does not say its version, so it is something else.
    #[error("{file} does not say its version: expected {expected}, got {found:?}\nhelp: {help}")]
    NoVersion {
        /// Which file.
        file: &'static str,
        /// What should have stood there.
        expected: &'static str,
        /// The beginning of what stood there.
        found: String,
        /// What to do.
        help: &'static str,
    },
    /// A line, or the whole, is no record.
    #[error("{file}, line {line}: expected {expected}, got {problem}\nhelp: {help}")]
    Malformed {
        /// Which file.
        file: &'static str,
        /// The line, from one.
        line: usize,
        /// What should have stood there.
        expected: &'static str,
        /// What the parser said.
        problem: String,
        /// What to do.
        help: &'static str,
    },
}

const SUMMARY: &str = "summary.json";
const EVENTS: &str = "events.jsonl";
const GIVE_A_RUN: &str = "give the directory of a run, such as runs/latest";

/// Writes `summary.json`, indented, with a final newline.
///
/// # Errors
/// Those of the writer.
pub fn write_suite(suite: &SuiteRecord, mut to: impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut to, suite)?;
    to.write_all(b"\n")
}

/// Reads `summary.json`.
///
/// # Errors
/// When the reader fails, when the file is of another version, and when it is no summary.
pub fn read_suite(mut from: impl Read) -> Result<SuiteRecord, ReadError> {
    let mut text = String::new();
    from.read_to_string(&mut text).map_err(|source| ReadError::Io { file: SUMMARY, source })?;
    let malformed = |error: serde_json::Error| ReadError::Malformed {
        file: SUMMARY,
        line: error.line(),
        expected: "the summary of a suite",
        problem: error.to_string(),
        help: "the file may be cut off; the histories beside it can still be checked",
    };
    // The version is looked at before anything else, so that a newer file says so instead of
    // complaining about a field.
    let json: serde_json::Value = serde_json::from_str(&text).map_err(malformed)?;
    match json.get("schema_version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(SCHEMA_VERSION) => {}
        Some(found) => return Err(ReadError::Version { file: SUMMARY, found }),
        None => {
            return Err(ReadError::NoVersion {
                file: SUMMARY,
                expected: "the field \"schema_version\"",
                found: beginning(&text),
                help: GIVE_A_RUN,
            });
        }
    }
    serde_json::from_str(&text).map_err(malformed)
}

/// The first line of `events.jsonl`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsHeader {
    events: u64,
}

/// The events of a run, as far as the file goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// In the order of the file, which is that of time.
    pub records: Vec<EventRecord>,
    /// The number of the last line when it is only half there: the run was killed while writing.
    pub cut_off_at: Option<usize>,
}

/// Writes the first line of `events.jsonl`, which says its version.
///
/// # Errors
/// Those of the writer.
pub fn write_events_header(mut to: impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut to, &EventsHeader { events: u64::from(SCHEMA_VERSION) })?;
    to.write_all(b"\n")
}

/// Writes one line of `events.jsonl`.
///
/// # Errors
/// Those of the writer.
pub fn write_event(record: &EventRecord, mut to: impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut to, record)?;
    to.write_all(b"\n")
}

/// Reads `events.jsonl`. A last line without its newline that is no whole record is left out and
/// reported as [`Events::cut_off_at`].
///
/// # Errors
/// When the reader fails, when the file is of another version or says none, and when a line is no
/// event or longer than a mebibyte.
pub fn read_events(mut from: impl BufRead) -> Result<Events, ReadError> {
    let mut events = Events::default();
    for line in 1.. {
        let mut bytes = Vec::new();
        let mut limited = (&mut from).take(EVENT_LINE_MAX);
        let read = limited
            .read_until(b'\n', &mut bytes)
            .map_err(|source| ReadError::Io { file: EVENTS, source })?;
        if read == 0 {
            break;
        }
        let whole = bytes.last() == Some(&b'\n');
        let too_long = !whole && read as u64 == EVENT_LINE_MAX;
        let parsed = if line == 1 { read_header(&bytes) } else { read_event(&bytes, line) };
        match parsed {
            Ok(Some(record)) => events.records.push(record),
            Ok(None) => {}
            Err(_) if !whole && !too_long => {
                events.cut_off_at = Some(line);
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(events)
}

fn read_header(bytes: &[u8]) -> Result<Option<EventRecord>, ReadError> {
    match serde_json::from_slice::<EventsHeader>(bytes) {
        Ok(header) if header.events == u64::from(SCHEMA_VERSION) => Ok(None),
        Ok(header) => Err(ReadError::Version { file: EVENTS, found: header.events }),
        Err(_) => Err(ReadError::NoVersion {
            file: EVENTS,
            expected: "the first line {\"events\":1}",
            found: beginning(&String::from_utf8_lossy(bytes)),
            help: GIVE_A_RUN,
        }),
    }
}

fn read_event(bytes: &[u8], line: usize) -> Result<Option<EventRecord>, ReadError> {
    serde_json::from_slice(bytes).map(Some).map_err(|error| ReadError::Malformed {
        file: EVENTS,
        line,
        expected: "an event such as {\"us\":1520,\"event\":{\"phase\":\"load\"}}",
        problem: error.to_string(),
        help: "restore the file, or remove that line to report without it",
    })
}

/// Enough of a text to recognize it by.
fn beginning(text: &str) -> String {
    text.trim_end().chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Event, Phase};
    use crate::samples;
    use splitbrain_workloads::history::Micros;

    fn events_file() -> Vec<u8> {
        let mut file = Vec::new();
        write_events_header(&mut file).unwrap();
        for (us, phase) in [(10, Phase::Start), (20, Phase::Load)] {
            write_event(&EventRecord { us: Micros(us), event: Event::Phase(phase) }, &mut file)
                .unwrap();
        }
        file
    }

    #[test]
    fn a_summary_reads_what_it_writes() {
        let suite = samples::release_gate().0;
        let mut file = Vec::new();
        write_suite(&suite, &mut file).unwrap();
        assert!(file.ends_with(b"}\n"));
        assert_eq!(read_suite(&file[..]).unwrap(), suite);
    }

    #[test]
    fn a_summary_of_another_version_is_refused_by_name() {
        let newer = br#"{"schema_version": 9, "surprise": true}"#;
        let error = read_suite(&newer[..]).unwrap_err();
        insta::assert_snapshot!(error, @r"
        summary.json has schema version 9, expected 1
        help: read it with the release of splitbrain that wrote it
        ");
    }

    #[test]
    fn something_else_than_a_summary_says_what_it_is_not() {
        let error = read_suite(&b"{\"package\": \"x\"}"[..]).unwrap_err();
        insta::assert_snapshot!(error, @r#"
        summary.json does not say its version: expected the field "schema_version", got "{\"package\": \"x\"}"
        help: give the directory of a run, such as runs/latest
        "#);
        let error = read_suite(&b"{\"schema_version\": 1,\n"[..]).unwrap_err();
        insta::assert_snapshot!(error, @r"
        summary.json, line 2: expected the summary of a suite, got EOF while parsing a value at line 2 column 0
        help: the file may be cut off; the histories beside it can still be checked
        ");
    }

    #[test]
    fn events_read_what_they_write() {
        let events = read_events(&events_file()[..]).unwrap();
        assert_eq!(events.records.len(), 2);
        assert_eq!(events.records[1].event, Event::Phase(Phase::Load));
        assert_eq!(events.cut_off_at, None);
    }

    #[test]
    fn half_a_last_line_is_reported_as_cut_off_and_half_a_line_before_it_is_an_error() {
        let mut file = events_file();
        file.truncate(file.len() - 5);
        let events = read_events(&file[..]).unwrap();
        assert_eq!((events.records.len(), events.cut_off_at), (1, Some(3)));

        file.extend_from_slice(b"\n{}\n");
        let error = read_events(&file[..]).unwrap_err();
        assert!(matches!(error, ReadError::Malformed { line: 3, .. }), "{error}");
        assert!(error.to_string().starts_with("events.jsonl, line 3: expected an event"));
    }

    #[test]
    fn events_without_a_header_are_refused() {
        let error = read_events(&b"{\"us\":1,\"event\":{\"phase\":\"load\"}}\n"[..]).unwrap_err();
        assert!(matches!(error, ReadError::NoVersion { .. }), "{error}");
        let error = read_events(&b"{\"events\":2}\n"[..]).unwrap_err();
        assert!(matches!(error, ReadError::Version { found: 2, .. }), "{error}");
        assert_eq!(read_events(&b""[..]).unwrap(), Events::default());
    }
}
