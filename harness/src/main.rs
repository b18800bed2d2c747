//! The command.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before any thread exists: the reaper and the launcher are this same program.
    if let Some(code) = splitbrain::cluster::reaper::main() {
        return code;
    }
    ExitCode::SUCCESS
}
