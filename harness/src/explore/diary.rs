//! The diary of a search through plans: what was run and where it led, one line each, so that a
//! search that was ended goes on where it was.

use serde::{Deserialize, Serialize};
use splitbrain_reports::record::RunResult;

/// The version of the diary that this build reads and writes.
pub const VERSION: u32 = 1;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// The first line: whose search it is.
    Explore {
        /// [`VERSION`] of the writer.
        version: u32,
        /// Target, workload and load of every plan, as a suite.
        base: String,
        /// The seed of all chance.
        seed: String,
    },
    /// A plan was run.
    Run {
        /// Its number.
        number: u64,
        /// The plan, as a suite.
        plan: String,
        /// The states that it was the first to reach.
        new: Vec<String>,
        /// What came of it.
        result: RunResult,
    },
}

/// Reads a diary. Half a last line, which a killed search leaves, is left out.
///
/// # Errors
///
/// In words, for any other line that is none.
pub fn read(text: &str) -> Result<Vec<Entry>, String> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let entry = |(number, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| format!("line {}: {error}", number + 1))
    };
    whole.lines().enumerate().map(entry).collect()
}

/// A line for the file.
pub fn line(entry: &Entry) -> String {
    let text = serde_json::to_string(entry).expect("an entry is plain data");
    format!("{text}\n")
}
