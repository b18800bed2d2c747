//! Where suites come from: files, or the one built in.

use std::io;
use std::path::{Path, PathBuf};

use crate::result::ExitCode;
use crate::suite::{self, Suite};
use crate::target;

use super::{Failure, style};

/// Reads and checks suites; without a path, the built-in release gate. All errors of all files
/// are told at once.
pub(super) fn suites(paths: &[PathBuf]) -> Result<Vec<Suite>, Failure> {
    let kinds = target::kinds()?;
    let mut texts = Vec::new();
    let mut errors = Vec::new();
    if paths.is_empty() {
        let (name, text) = suite::builtin();
        texts.push((name.to_string(), text.to_string()));
    }
    for path in paths {
        match read(path) {
            Ok(text) => texts.push((path.display().to_string(), text)),
            Err(error) => errors.push(error),
        }
    }
    let mut suites = Vec::new();
    for (name, text) in texts {
        match suite::parse(&name, &text, &kinds) {
            Ok(suite) => suites.push(suite),
            Err(error) => errors.push(error.render(style::stderr_color())),
        }
    }
    match errors.is_empty() {
        true => Ok(suites),
        false => Err(Failure::new(ExitCode::Usage, errors.join("\n"))),
    }
}

fn read(path: &Path) -> Result<String, String> {
    let limit = suite::limits::FILE_MAX as u64;
    let size = std::fs::metadata(path).map(|metadata| metadata.len());
    if let Ok(size) = size.as_ref().map(|size| *size)
        && size > limit
    {
        return Err(format!(
            "error: {} has {size} bytes, expected a suite of at most {limit}",
            path.display()
        ));
    }
    std::fs::read_to_string(path).map_err(|error| {
        let help = match error.kind() {
            io::ErrorKind::NotFound => "give the path of a suite, or none for the built-in gate",
            io::ErrorKind::IsADirectory => "name the suites in it, such as suites/*.yaml",
            io::ErrorKind::InvalidData => "a suite is YAML, text in UTF-8",
            _ => "a suite is read as the user who runs splitbrain",
        };
        format!("error: cannot read the suite {}: {error}\n  = help: {help}", path.display())
    })
}
