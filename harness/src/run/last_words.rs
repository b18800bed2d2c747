//! What a process wrote last before it ended: the lines of its `stderr.log` that go into the error,
//! so that nobody has to look for a file to learn that a flag was wrong.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Lines that are shown. Most programs say what is wrong in one, and a panic in three.
const LINES: usize = 5;

/// Bytes at the end of the file that are looked at: so many lines of any sensible length.
const BYTES: u64 = 8 * 1024;

/// The last lines of a file, each indented as those of an error's help are; says so when there are
/// none.
pub(super) fn last_words(log: &Path) -> String {
    let said = tail(log).unwrap_or_default();
    let lines: Vec<&str> =
        said.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    match last {
        [] => "\n  it wrote nothing on stderr".to_string(),
        last => last.iter().map(|line| format!("\n  | {line}")).collect(),
    }
}

fn tail(log: &Path) -> std::io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(BYTES)))?;
    let mut bytes = Vec::new();
    file.take(BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_shown_and_silence_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("stderr.log");
        assert_eq!(last_words(&log), "\n  it wrote nothing on stderr");
        let lines: String = (1..=9).map(|number| format!("line {number}\n\n")).collect();
        std::fs::write(&log, lines).unwrap();
        let last = "\n  | line 5\n  | line 6\n  | line 7\n  | line 8\n  | line 9";
        assert_eq!(last_words(&log), last);
        std::fs::write(&log, "x".repeat(20_000)).unwrap();
        assert_eq!(last_words(&log).len(), "\n  | ".len() + 8192);
    }
}
