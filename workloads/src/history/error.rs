//! Why a history could not be read: where, what was expected, what was found. Returned by every
//! reader of `history`; the writers only have I/O errors.

use std::io;

use super::FORMAT_VERSION;

/// Why bytes are not a history.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// There was not one byte.
    #[error("the history is empty: expected at least a header line; nothing was recorded")]
    Empty,
    /// The file ends inside its first line.
    #[error(
        "line 1, column 1: the history is cut off inside its header; nothing in it can be judged"
    )]
    HeaderCutOff,
    /// It was written in a format that this build does not know.
    #[error(
        "line 1, column 1: expected a history of version {FORMAT_VERSION}, got version {found}; help: use \
         the release of splitbrain that wrote it"
    )]
    Version {
        /// The version in the header.
        found: u64,
    },
    /// The first line belongs to no format that can be read.
    #[error(
        "line 1, column 1: this is no history: expected a header such as \
         {{\"history\":{FORMAT_VERSION},\"workload\":\"register\",\"nodes\":3}}, a line of \
         jepsen.util, or EDN, got {found}"
    )]
    UnknownFormat {
        /// The beginning of the first line, quoted.
        found: String,
    },
    /// One line is wrong.
    #[error("line {line}, column {column}: {}", on_one_line(what))]
    Malformed {
        /// Counted from one.
        line: u64,
        /// In bytes, counted from one.
        column: u64,
        /// What is wrong with it. May quote the file; shown on one line and shortened.
        what: String,
    },
    /// The file holds spaces and comments alone.
    #[error("the history is empty: expected at least one event; nothing was recorded")]
    NoEvent,
    /// What the caller said of the history does not fit it.
    #[error("{}", on_one_line(what))]
    Unfit {
        /// What does not fit.
        what: String,
    },
    /// The input could not be read.
    #[error("cannot read the history: {0}")]
    Io(#[from] io::Error),
}

impl HistoryError {
    pub(super) fn at_column(line: u64, column: usize, what: String) -> Self {
        HistoryError::Malformed { line, column: column as u64, what }
    }
}

/// Most characters of what is shown of a message: what was expected is at its beginning, the next step
/// at its end, and what a damaged file put between them may be as long as the file.
const SHOWN_FIRST: usize = 400;
const SHOWN_LAST: usize = 200;

/// A message that may quote a file, without its line breaks and other control characters, which would
/// make one error look like several.
fn on_one_line(what: &str) -> String {
    let mut shown = String::new();
    for character in what.chars() {
        match character.is_control() {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    let count = shown.chars().count();
    if count <= SHOWN_FIRST + SHOWN_LAST {
        return shown;
    }
    let first: String = shown.chars().take(SHOWN_FIRST).collect();
    let last: String = shown.chars().skip(count - SHOWN_LAST).collect();
    format!("{first} ... {last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says_is_shown_on_one_line_and_not_at_any_length() {
        let quoted =
            format!("expected a number, got :{}\n\u{7}end; help: write one", "[".repeat(9000));
        let told = HistoryError::at_column(3, 7, quoted).to_string();
        assert!(told.starts_with("line 3, column 7: expected a number, got :[[["), "{told}");
        assert!(told.ends_with("[[[\\n\\u{7}end; help: write one"), "{told}");
        assert!(told.len() < 700 && !told.contains('\n'), "{told}");
    }
}
