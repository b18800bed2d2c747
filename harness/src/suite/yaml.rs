//! Suites as YAML: reading with exact places, finding the place of a value again, and writing.
//! The only file that names `serde_yaml` (docs/decisions/0001-serde-yaml.md).
//!
//! A place is found by walking the document a second time with a seed that follows a path and fails
//! on purpose when it has arrived: the parser puts line and column on that failure. So the types
//! of a suite need no spans, and there is no second parser.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_yaml::{Error, Location};

use super::problem::{Problem, similar};
use super::validate::{Finding, Step};
use super::{Suite, limits};

/// Reads a suite; the first thing wrong with its form is the problem.
pub(super) fn read(text: &str) -> Result<Suite, Problem> {
    if text.len() > limits::FILE_MAX {
        let message = format!("a suite has at most {} bytes, got {}", limits::FILE_MAX, text.len());
        return Err(Problem {
            message,
            span: 0..0,
            at: (1, 1),
            label: String::new(),
            help: Some("split it into several suites".to_string()),
        });
    }
    // Most readers of maps, and serde's maps themselves, let the last of two equal keys win.
    NoDuplicates
        .deserialize(serde_yaml::Deserializer::from_str(text))
        .and_then(|()| Suite::deserialize(serde_yaml::Deserializer::from_str(text)))
        .map_err(|error| of_form(text, &error))
}

/// Gives a finding its place.
pub(super) fn locate(text: &str, finding: Finding) -> Problem {
    let seek = Seek { path: &finding.path };
    let found = seek.deserialize(serde_yaml::Deserializer::from_str(text));
    let location = found.err().and_then(|error| error.location());
    let (span, at) = place(text, location.as_ref());
    Problem { message: finding.message, span, at, label: finding.label, help: finding.help }
}

/// Writes a suite as YAML that reads back to an equal suite, after header lines as comments.
pub fn write(suite: &Suite, header: &[String]) -> String {
    let mut out = Vec::new();
    for line in header.iter().flat_map(|text| text.lines()) {
        out.extend_from_slice(format!("# {line}").trim_end().as_bytes());
        out.push(b'\n');
    }
    let mut serializer = serde_yaml::Serializer::new(&mut out);
    // Without this, enums would be written with `!tags`.
    let written = serde_yaml::with::singleton_map_recursive::serialize(suite, &mut serializer);
    drop(serializer);
    written.expect("a suite is maps, lists and scalars, and memory takes every byte");
    String::from_utf8(out).expect("YAML is written from text")
}

/// The problem of an error of the parser or of a type.
fn of_form(text: &str, error: &Error) -> Problem {
    let location = error.location();
    let (span, at) = place(text, location.as_ref());
    let full = error.to_string();
    let message = location
        .as_ref()
        .and_then(|at| full.strip_suffix(&format!(" at line {} column {}", at.line(), at.column())))
        .unwrap_or(&full);
    let message = without_path(message);
    let message = in_words(message);
    let (message, label) = match message.split_once(", expected ") {
        Some((message, expected)) => (message.to_string(), format!("expected {}", plain(expected))),
        None => (message.to_string(), String::new()),
    };
    Problem {
        help: advice(text, start_of_line(text, at.0), &message, &label),
        message,
        span,
        at,
        label,
    }
}

/// What to do about an error of form: the nearest name, or the usual cause.
fn advice(text: &str, line: &str, message: &str, label: &str) -> Option<String> {
    if text.trim().is_empty() {
        return Some("the file is empty; a suite has `suite`, `target` and `runs`".to_string());
    }
    if line.trim_start_matches(' ').starts_with('\t') {
        return Some("YAML is indented with spaces, never with tabs".to_string());
    }
    let mut names = quoted(message);
    let expected = quoted(label);
    if expected.is_empty() && message.starts_with("expected ") {
        let got = names.pop()?;
        return similar(
            got,
            names.into_iter().filter(|name| name.chars().all(char::is_alphabetic)),
        );
    }
    similar(names.first()?, expected)
}

fn start_of_line(text: &str, line: usize) -> &str {
    text.lines().nth(line - 1).unwrap_or("")
}

/// The message without the path that serde_yaml puts in front: the frame shows the place.
fn without_path(message: &str) -> &str {
    match message.split_once(": ") {
        Some((path, rest)) if path.contains(['.', '[']) || Suite::KEYS.contains(&path) => {
            match path.contains([' ', '`']) {
                true => message,
                false => rest,
            }
        }
        _ => message,
    }
}

/// The message without words that only a programmer of Rust knows.
fn in_words(message: &str) -> String {
    let words = [
        ("unknown field ", "unknown key "),
        ("missing field ", "missing key "),
        ("unknown variant ", "unknown name "),
        ("invalid type: unit value", "nothing is given"),
        ("invalid type: Option value", "nothing is given"),
        ("invalid type: sequence", "a list is given"),
        ("invalid type: map", "a map is given"),
        ("invalid type: ", "unexpected "),
        ("invalid value: ", "unexpected "),
    ];
    match words.iter().find_map(|(rust, word)| Some((word, message.strip_prefix(rust)?))) {
        Some((word, rest)) => format!("{word}{rest}"),
        None => message.to_string(),
    }
}

/// What serde expected, without the names of Rust's types.
fn plain(expected: &str) -> String {
    let known = [
        ("u8", "a whole number from 0 to 255"),
        ("u16", "a whole number from 0 to 65535"),
        ("u32", "a whole number from 0 to 4294967295"),
        ("u64", "a whole number, zero or greater"),
        ("a boolean", "`true` or `false`"),
        ("a string", "text"),
        ("a sequence", "a list"),
        ("struct Suite", "a suite: `suite`, `target`, `runs`"),
        ("struct Run", "a run: `name`, `workload`, `faults`"),
        ("struct Defaults", "a map such as `{ clients: 10, duration: 20s }`"),
        ("struct Condition", "a condition such as `{ other_leader: true }`"),
    ];
    match known.iter().find(|(rust, _)| *rust == expected) {
        Some((_, words)) => (*words).to_string(),
        None => expected.to_string(),
    }
}

/// The names in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Bytes to underline, and line and column, of a location; the start of the text without one. A
/// location behind the end, where the parser misses something, counts as the end.
fn place(text: &str, location: Option<&Location>) -> (Range<usize>, (usize, usize)) {
    let (line, column) = location.map_or((1, 1), |at| (at.line(), at.column()));
    let mut lines = text.split_inclusive('\n');
    let mut start: usize = lines.by_ref().take(line - 1).map(str::len).sum();
    let mut rest = lines.next().unwrap_or("");
    // The parser counts characters, the frame counts bytes.
    let mut offset = rest.char_indices().nth(column - 1).map_or(rest.len(), |(offset, _)| offset);
    if rest.is_empty() {
        start = text.trim_end().rfind('\n').map_or(0, |end| end + 1);
        rest = text[start..].trim_end();
        offset = rest.len();
    }
    let at = (text[..start].matches('\n').count() + 1, rest[..offset].chars().count() + 1);
    let start = start + offset;
    (start..start + token(rest[offset..].trim_end()), at)
}

/// The length of the scalar, the key or the bracketed group that a line's rest begins with.
fn token(rest: &str) -> usize {
    let first = rest.chars().next();
    match first {
        Some(quote @ ('"' | '\'')) => match rest[1..].find(quote) {
            Some(end) => end + 2,
            None => rest.len(),
        },
        Some('{' | '[') => {
            let mut depth = 0_usize;
            for (at, c) in rest.char_indices() {
                match c {
                    '{' | '[' => depth += 1,
                    '}' | ']' => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    return at + 1;
                }
            }
            rest.trim_end().len()
        }
        _ => {
            let ends = [",", "}", "]", ": ", " #"];
            let end = ends.iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
            rest[..end].trim_end().trim_end_matches(':').len()
        }
    }
}

/// Walks a document and fails at a key that its map already has.
struct NoDuplicates;

impl<'de> DeserializeSeed<'de> for NoDuplicates {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NoDuplicates {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map, a list or a scalar")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(NoDuplicates)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key_seed(NewKey { seen: &seen })? {
            seen.insert(key);
            map.next_value_seed(NoDuplicates)?;
        }
        Ok(())
    }
}

/// A key that must not have been seen.
struct NewKey<'a> {
    seen: &'a BTreeSet<String>,
}

impl<'de> DeserializeSeed<'de> for NewKey<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NewKey<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<String, E> {
        match self.seen.contains(key) {
            true => Err(E::custom(format!("the key `{key}` is given twice in one map"))),
            false => Ok(key.to_string()),
        }
    }
}

/// Follows a path and fails where it ends, or as near as it gets.
struct Seek<'a> {
    path: &'a [Step],
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.path.is_empty() {
            true => deserializer.deserialize_any(Arrived),
            false => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the next step of a path")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if let Some((Step::Index(index), rest)) = self.path.split_first() {
            for _ in 0..*index {
                seq.next_element::<IgnoredAny>()?;
            }
            seq.next_element_seed(Seek { path: rest })?;
        }
        Err(A::Error::custom("arrived"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(SeekKey { path: self.path })? {
            match self.path.split_first() {
                Some((Step::Key(wanted), rest)) if *wanted == key => {
                    map.next_value_seed(Seek { path: rest })?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Err(A::Error::custom("arrived"))
    }
}

/// Reads a key, and fails at it when it is the end of the path.
struct SeekKey<'a> {
    path: &'a [Step],
}

impl<'de> DeserializeSeed<'de> for SeekKey<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for SeekKey<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<String, E> {
        match self.path {
            [Step::Name(wanted)] if wanted == key => Err(E::custom("arrived")),
            _ => Ok(key.to_string()),
        }
    }
}

/// Takes nothing, so that the parser fails at whatever is there.
struct Arrived;

impl Visitor<'_> for Arrived {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing")
    }
}
