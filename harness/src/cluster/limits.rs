//! Limits of a process of ours, set and looked at while it runs: today how large a file it may write.

use std::io;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// Lets a process write to no file (`RLIMIT_FSIZE` of 0), or to all that its hard limit allows.
///
/// Only the soft limit changes, which needs no privilege: prlimit(2).
///
/// # Errors
///
/// When the process is gone or another user's.
pub fn set_file_size(pid: u32, limited: bool) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let hard = hard_file_size(pid)?;
    let soft = if limited { Some(0) } else { hard };
    prlimit(Some(pid), Resource::Fsize, Rlimit { current: soft, maximum: hard })?;
    Ok(())
}

/// The largest file that a process may write, in bytes, as the kernel has it; `None` for no limit,
/// or no process.
pub fn file_size(pid: u32) -> Option<u64> {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max file size"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The hard limit; setting a limit to what it is tells what it was.
fn hard_file_size(pid: Pid) -> io::Result<Option<u64>> {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", pid.as_raw_nonzero()))?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max file size"));
    Ok(line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_running_process_is_forbidden_to_write_files_and_allowed_again() {
        let mut sleeper = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = sleeper.id();
        let before = file_size(pid);
        set_file_size(pid, true).unwrap();
        assert_eq!(file_size(pid), Some(0));
        set_file_size(pid, false).unwrap();
        assert_eq!(file_size(pid), before);
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        set_file_size(pid, true).expect_err("it is gone");
    }
}
