//! The diary of a search: every plan that was tried and what came of it, one line each, so that an
//! interrupted search goes on where it was. It holds answers alone; the search finds the plans
//! again by itself, and a diary whose plans are others is refused.

use serde::{Deserialize, Serialize};

/// The version of the diary that this build reads and writes.
pub const VERSION: u32 = 1;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// The first line: whose search it is.
    Shrink {
        /// [`VERSION`] of the writer.
        version: u32,
        /// The plan that it began with, as a suite.
        plan: String,
    },
    /// How often the recorded plan failed.
    Original {
        /// Runs that failed.
        failed: u64,
        /// Runs that were decided.
        of: u64,
    },
    /// A plan was tried.
    Step {
        /// The plan, as a suite.
        plan: String,
        /// Whether it is believed to fail.
        fails: bool,
        /// Runs that took.
        runs: u64,
    },
}

/// Why a diary cannot be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// A line is none.
    #[error("line {line}: {problem}")]
    Malformed {
        /// The line, from one.
        line: usize,
        /// What the parser said.
        problem: String,
    },
    /// It is of another search.
    #[error(
        "line {line}: it is of another search: {problem}\n  = help: resume with the run that the \
         search began with, and the same release"
    )]
    Other {
        /// The line, from one.
        line: usize,
        /// What differs.
        problem: &'static str,
    },
}

/// Reads a diary. Half a last line, which a killed search leaves, is left out.
///
/// # Errors
///
/// [`Refused::Malformed`] for any other line that is none.
pub fn read(text: &str) -> Result<Vec<Entry>, Refused> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let entry = |(number, line): (usize, &str)| {
        serde_json::from_str(line)
            .map_err(|error| Refused::Malformed { line: number + 1, problem: error.to_string() })
    };
    whole.lines().enumerate().map(entry).collect()
}

/// A line for the file.
pub fn line(entry: &Entry) -> String {
    let text = serde_json::to_string(entry).expect("an entry is plain data");
    format!("{text}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diary_reads_what_it_writes_without_half_a_last_line() {
        let entries = [
            Entry::Shrink { version: VERSION, plan: "suite: s\nruns: []\n".to_string() },
            Entry::Original { failed: 3, of: 4 },
            Entry::Step { plan: "suite: t\n".to_string(), fails: true, runs: 2 },
        ];
        let text: String = entries.iter().map(line).collect();
        assert_eq!(read(&text).unwrap(), entries);
        assert_eq!(read(&text[..text.len() - 3]).unwrap(), entries[..2]);
        assert_eq!(read("").unwrap(), []);
        let error = read("{}\n").unwrap_err().to_string();
        assert!(error.starts_with("line 1:"), "{error}");
    }
}
