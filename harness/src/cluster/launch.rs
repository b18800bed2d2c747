//! The moment between fork and exec: a child that is known before it runs.
//!
//! The reaper starts this program once more as `__launch`. Its pid is reported to the harness,
//! which registers it wherever it must be known; only then is the child let go and becomes the
//! node. It also asks the kernel to be killed with the reaper, which covers the one case in which
//! nobody is left to clean up. Called by [`reaper::main`](super::reaper::main) alone.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::getppid;

/// The hidden subcommand.
pub(crate) const COMMAND: &str = "__launch";

/// Exit code of a launcher that never became its program; shells use it for the same.
const NOT_STARTED: u8 = 127;

/// Waits for a byte on standard input, then execs `<program> <args>...`; `args` are the reaper's
/// pid, the program and its arguments. An error goes back over the same socket, which a
/// successful exec closes without a word.
pub(crate) fn main(args: Vec<OsString>) -> ExitCode {
    let Ok(gate) = std::io::stdin().as_fd().try_clone_to_owned() else {
        return ExitCode::from(NOT_STARTED);
    };
    // The copy closes on exec, the original is replaced by /dev/null.
    let mut gate = UnixStream::from(gate);
    let error = match launch(&mut gate, args) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    // A reaper that no longer listens needs no explanation.
    let _ = gate.write_all(error.as_bytes());
    ExitCode::from(NOT_STARTED)
}

fn launch(gate: &mut UnixStream, args: Vec<OsString>) -> Result<std::convert::Infallible, String> {
    let mut args = args.into_iter();
    let reaper: Option<i32> = args.next().and_then(|pid| pid.to_str()?.parse().ok());
    let program = args.next();
    let (Some(reaper), Some(program)) = (reaper, program) else {
        return Err("expected a pid and a program".into());
    };
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| format!("set PDEATHSIG: {error}"))?;
    // The reaper may have died before the line above; then the signal never comes.
    if getppid().as_raw() != reaper {
        return Err("the reaper is gone".into());
    }
    // The reaper's blocked signals are inherited; the node starts with none.
    SigSet::empty().thread_set_mask().map_err(|error| format!("unblock signals: {error}"))?;
    let mut go = [0];
    if gate.read(&mut go).map_err(|error| format!("wait for the start: {error}"))? == 0 {
        return Err("the reaper is gone".into());
    }
    let error = Command::new(&program).args(args).stdin(Stdio::null()).exec();
    Err(format!("exec {}: {error}", program.display()))
}
