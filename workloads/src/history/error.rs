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
    #[error("line {line}, column {column}: {what}")]
    Malformed {
        /// Counted from one.
        line: u64,
        /// In bytes, counted from one.
        column: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The file holds spaces and comments alone.
    #[error("the history is empty: expected at least one event; nothing was recorded")]
    NoEvent,
    /// What the caller said of the history does not fit it.
    #[error("{what}")]
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
