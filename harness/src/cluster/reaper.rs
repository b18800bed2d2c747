//! The reaper: a small single-threaded process that owns every process of a run.
//!
//! It is the parent of all nodes and, as a subreaper, inherits whatever they leave behind. When
//! the socket to the harness ends, however the harness ended, it kills and collects children until
//! none is left, then ends itself. It also is the only one who can know from the kernel that a
//! process is stopped, continued or dead. It decides nothing: no restart, no timeout, no retry.
//!
//! It must stay single-threaded, because a child's parent-death signal belongs to the thread that
//! forked it (prctl(2), PR_SET_PDEATHSIG).

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, setsid};

use super::census::Census;
use super::launch;
use super::leftovers;
use super::message::{ExitStatus, LINE_LIMIT, ProcessSpec, Report, Request};

/// The hidden subcommand.
pub(crate) const COMMAND: &str = "__reaper";

/// Runs the reaper or the launcher if that is what this process was started as, else returns
/// `None`. Must be the first thing `main` does: before any thread, runtime or open file.
pub fn main() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let command = args.next()?;
    if command == launch::COMMAND {
        return Some(launch::main(args.collect()));
    }
    if command != COMMAND {
        return None;
    }
    let Ok(socket) = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from) else {
        return Some(ExitCode::FAILURE);
    };
    let code = match reap(socket) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    };
    Some(code)
}

fn reap(socket: UnixStream) -> io::Result<()> {
    // A session of its own: what a terminal sends to the harness does not reach it. It fails only
    // for a process group leader, which is as far from the harness's group as needed.
    let _ = setsid();
    prctl::set_child_subreaper(true)?;
    // Blocked and not ignored: the launcher unblocks all before a node runs, whereas an ignored
    // signal would stay ignored there.
    let signals = SigSet::from_iter([
        Signal::SIGCHLD,
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ]);
    signals.thread_block()?;
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let reports = socket.try_clone()?;
    let mut owner = Owner { reports, children: BTreeMap::new() };
    owner.serve(&mut BufReader::new(socket), &signals);
    owner.kill_all();
    // The harness may be gone; then nobody needs to know.
    let _ = owner.report(&Report::Empty);
    Ok(())
}

/// What the reaper knows.
struct Owner {
    reports: UnixStream,
    children: BTreeMap<u32, Child>,
}

/// One process that the harness asked for. What nodes fork is not listed.
struct Child {
    /// Lets the prepared process go; `None` once it runs.
    gate: Option<UnixStream>,
    /// Signals were sent that explain an exit: SIGKILL, or any other that may end a process.
    killed: bool,
    terminated: bool,
    /// It was collected; its process group may live on.
    exited: bool,
}

impl Owner {
    /// Serves until the harness is gone or asks for the end.
    fn serve(&mut self, requests: &mut BufReader<UnixStream>, signals: &SignalFd) {
        loop {
            // What was read together with an earlier line does not wake poll again.
            while !requests.buffer().contains(&b'\n') {
                let mut ready = [
                    PollFd::new(requests.get_ref().as_fd(), PollFlags::POLLIN),
                    PollFd::new(signals.as_fd(), PollFlags::POLLIN),
                ];
                match poll(&mut ready, PollTimeout::NONE) {
                    Ok(_) | Err(Errno::EINTR) => {}
                    Err(_) => return,
                }
                let request = ready[0].revents().is_none_or(|flags| !flags.is_empty());
                while let Ok(Some(_)) = signals.read_signal() {}
                if self.collect().is_err() {
                    return;
                }
                if request {
                    break;
                }
            }
            let mut line = Vec::new();
            match requests.by_ref().take(LINE_LIMIT as u64).read_until(b'\n', &mut line) {
                Ok(_) if line.ends_with(b"\n") => {}
                // The end of the harness, or half a line of it.
                _ => return,
            }
            match serde_json::from_slice(&line) {
                Ok(Request::Shutdown) | Err(_) => return,
                Ok(request) => {
                    if self.answer(request).is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn answer(&mut self, request: Request) -> io::Result<()> {
        let (call, result) = match request {
            Request::Prepare { call, spec } => (call, self.prepare(&spec)),
            Request::Run { call, pid } => (call, self.run(pid)),
            Request::Signal { call, pid, signal } => (call, self.signal(pid, signal)),
            Request::Shutdown => return Ok(()),
        };
        match result {
            Ok(pid) => self.report(&Report::Done { call, pid }),
            Err(error) => self.report(&Report::Failed { call, error }),
        }
    }

    fn prepare(&mut self, spec: &ProcessSpec) -> Result<u32, String> {
        let (gate, far) = UnixStream::pair().map_err(|error| format!("make a socket: {error}"))?;
        // The running program itself, even if its file has been replaced since.
        let child = Command::new("/proc/self/exe")
            .arg0("splitbrain")
            .arg(launch::COMMAND)
            .arg(std::process::id().to_string())
            .arg(&spec.program)
            .args(&spec.args)
            .envs(&spec.env)
            .current_dir(&spec.cwd)
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(far)))
            .stdout(append(&spec.stdout)?)
            .stderr(append(&spec.stderr)?)
            .process_group(0)
            .spawn()
            .map_err(|error| format!("fork in {}: {error}", spec.cwd.display()))?;
        // Dropping the standard library's handle neither kills nor waits.
        let pid = child.id();
        let child = Child { gate: Some(gate), killed: false, terminated: false, exited: false };
        self.children.insert(pid, child);
        Ok(pid)
    }

    fn run(&mut self, pid: u32) -> Result<u32, String> {
        let gate = self.children.get_mut(&pid).and_then(|child| child.gate.take());
        let mut gate = gate.ok_or_else(|| format!("process {pid} does not wait to be run"))?;
        let mut error = String::new();
        // Exec takes about a millisecond; a launcher that is not scheduled for so long is as good
        // as none, and the reaper must go on.
        gate.set_read_timeout(Some(Duration::from_secs(10)))
            .and_then(|()| gate.write_all(b"!"))
            .and_then(|()| gate.read_to_string(&mut error))
            .map_err(|error| format!("start process {pid}: {error}"))?;
        if error.is_empty() { Ok(pid) } else { Err(error) }
    }

    /// Signals the process group of a child of ours that is not yet wholly gone: only then does
    /// its id surely still name that group.
    fn signal(&mut self, pid: u32, signal: i32) -> Result<u32, String> {
        let signal = Signal::try_from(signal).map_err(|_| format!("no signal {signal}"))?;
        let child = self.children.get_mut(&pid).ok_or_else(|| format!("process {pid} is gone"))?;
        match signal {
            Signal::SIGKILL => child.killed = true,
            Signal::SIGSTOP | Signal::SIGCONT => {}
            _ => child.terminated = true,
        }
        match killpg(Pid::from_raw(pid as i32), signal) {
            Ok(()) => Ok(pid),
            // The process is dead and not yet collected; its exit is reported in a moment.
            Err(Errno::ESRCH) => Ok(pid),
            Err(error) => Err(format!("send {signal} to process group {pid}: {error}")),
        }
    }

    /// Collects every change of state that the kernel has for us, and reports those of nodes.
    fn collect(&mut self) -> io::Result<()> {
        let all = WaitPidFlag::WEXITED
            | WaitPidFlag::WSTOPPED
            | WaitPidFlag::WCONTINUED
            | WaitPidFlag::WNOHANG;
        loop {
            match waitid(Id::All, all) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => break,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
                Ok(status) => self.note(status)?,
            }
        }
        let gone: Vec<u32> = self
            .children
            .iter()
            .filter(|(pid, child)| child.exited && group_is_empty(**pid))
            .map(|(pid, _)| *pid)
            .collect();
        for pid in gone {
            self.children.remove(&pid);
            self.report(&Report::Gone { pid })?;
        }
        Ok(())
    }

    fn note(&mut self, status: WaitStatus) -> io::Result<()> {
        let Some(pid) = status.pid().map(|pid| pid.as_raw() as u32) else { return Ok(()) };
        let Some(child) = self.children.get_mut(&pid) else { return Ok(()) };
        let exit = match status {
            WaitStatus::Exited(_, code) => ExitStatus::Code(code),
            WaitStatus::Signaled(_, signal, _) => ExitStatus::Signal(signal as i32),
            WaitStatus::Stopped(..) => return self.report(&Report::Stopped { pid }),
            WaitStatus::Continued(_) => return self.report(&Report::Continued { pid }),
            _ => return Ok(()),
        };
        child.exited = true;
        leftovers::remove(pid);
        let by_kill = child.killed && exit == ExitStatus::Signal(Signal::SIGKILL as i32);
        let asked = by_kill || child.terminated;
        self.report(&Report::Exited { pid, status: exit, asked })
    }

    fn report(&mut self, report: &Report) -> io::Result<()> {
        let mut line = serde_json::to_vec(report)?;
        line.push(b'\n');
        self.reports.write_all(&line)
    }

    /// Kills and collects until no child is left. Only direct children are killed, since their ids
    /// cannot be used again before we collect them; theirs become ours as soon as they die.
    fn kill_all(&mut self) {
        let me = std::process::id();
        loop {
            for child in Census::take().children(me) {
                let _ = kill(Pid::from_raw(child.pid as i32), Signal::SIGKILL);
            }
            loop {
                match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
                    Ok(WaitStatus::StillAlive) => break,
                    Err(Errno::ECHILD) => return,
                    Ok(status) => {
                        if let Some(pid) = status.pid() {
                            leftovers::remove(pid.as_raw() as u32);
                        }
                    }
                    Err(_) => {}
                }
            }
            // Death takes a moment; spinning would take the processor from the dying.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Whether none of our children, alive or not collected, is in the process group.
fn group_is_empty(group: u32) -> bool {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::PGid(Pid::from_raw(group as i32)), look) == Err(Errno::ECHILD)
}

fn append(path: &Path) -> Result<File, String> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| format!("open {}: {error}", path.display()))
}
