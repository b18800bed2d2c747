//! The harness's side of the reaper: start it, ask it for processes, hear what became of them.
//!
//! Nothing here guesses: a process is stopped, continued or dead when the kernel told the reaper
//! so. Every wait is bounded. Called by the phases of a run and by the faults kill and pause.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::net::UnixStream;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, timeout};

use super::census::{Census, Entry};
use super::conversation::{Last, Shared, State, lock};
use super::message::{ExitStatus, Request};
pub use super::message::{Owner, ProcessSpec};
use super::reaper;

/// How long the reaper and the kernel may take for what they usually do in a millisecond. Long
/// enough for a machine whose every core is busy; reaching it is an error of the environment.
pub(super) const BOUND: Duration = Duration::from_secs(10);

/// What can go wrong with processes. All of these are troubles of the environment, not verdicts.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The reaper could not be started.
    #[error("start the reaper: {0}")]
    NoReaper(#[source] io::Error),
    /// The reaper ended while it was needed; every process it owned is being killed.
    #[error("the reaper is gone: expected it to outlive the run; was it killed?")]
    ReaperLost,
    /// The reaper could not carry out a call.
    #[error("{owner}: {what}: {reason}")]
    Refused {
        /// Whose process.
        owner: Owner,
        /// What was asked.
        what: &'static str,
        /// What the reaper says.
        reason: String,
    },
    /// The kernel did not confirm in time.
    #[error("{owner}: {what}: not confirmed within {} s", BOUND.as_secs())]
    Unconfirmed {
        /// Whose process.
        owner: Owner,
        /// What was awaited.
        what: &'static str,
    },
    /// The process ended instead of doing what was asked.
    #[error("{owner}: {what}: the process is gone ({status})")]
    Ended {
        /// Whose process.
        owner: Owner,
        /// What was asked.
        what: &'static str,
        /// How it ended.
        status: ExitStatus,
    },
    /// The reaper did not report in time that nothing is left.
    #[error("clean up: processes are still left after {} s", BOUND.as_secs())]
    NotEmpty,
}

/// A reaper that was started and is not yet talked to.
#[derive(Debug)]
pub struct Reaper {
    child: Child,
    socket: StdUnixStream,
}

impl Reaper {
    /// Starts this program once more as the reaper. To be called before the async runtime or any
    /// other thread exists, so that the reaper inherits nothing and exists before anything that
    /// must be cleaned up.
    ///
    /// # Errors
    /// [`ClusterError::NoReaper`] if the program cannot be found or forked.
    pub fn start() -> Result<Reaper, ClusterError> {
        Reaper::start_program(Path::new("/proc/self/exe"))
    }

    /// As [`start`](Reaper::start) with another file of this program, for tests, whose own
    /// program is not `splitbrain`.
    ///
    /// # Errors
    /// [`ClusterError::NoReaper`] if the program cannot be found or forked.
    pub fn start_program(program: &Path) -> Result<Reaper, ClusterError> {
        // Both ends close on exec; the reaper gets its own as standard input, nobody else any.
        let (socket, far) = StdUnixStream::pair().map_err(ClusterError::NoReaper)?;
        let child = Command::new(program)
            .arg(reaper::COMMAND)
            .stdin(Stdio::from(OwnedFd::from(far)))
            .stdout(Stdio::null())
            .spawn()
            .map_err(ClusterError::NoReaper)?;
        Ok(Reaper { child, socket })
    }

    /// Begins the conversation.
    ///
    /// # Errors
    /// [`ClusterError::NoReaper`] if the socket cannot be registered with the runtime.
    ///
    /// # Panics
    /// Outside an async runtime.
    pub fn into_async(self) -> Result<Processes, ClusterError> {
        let socket = self
            .socket
            .set_nonblocking(true)
            .and_then(|()| UnixStream::from_std(self.socket))
            .map_err(ClusterError::NoReaper)?;
        let shared = Shared::begin(self.child.id(), socket);
        Ok(Processes { shared, reaper: Arc::new(Mutex::new(self.child)) })
    }
}

/// All processes of a run. Cheap to clone.
#[derive(Clone)]
pub struct Processes {
    shared: Arc<Shared>,
    reaper: Arc<Mutex<Child>>,
}

impl Processes {
    /// The reaper's process id.
    pub fn reaper_pid(&self) -> u32 {
        self.shared.pid
    }

    /// Forks a process that does not run its program yet, so that its pid can be registered
    /// wherever a connection of it will be recognized.
    ///
    /// # Errors
    /// [`ClusterError::Refused`] if the working directory or a log file cannot be opened;
    /// [`ClusterError::ReaperLost`].
    pub async fn prepare(&self, spec: ProcessSpec) -> Result<Prepared, ClusterError> {
        let owner = spec.owner;
        let state = watch::Sender::new(State::default());
        let watched = state.subscribe();
        let pid = self
            .shared
            .call(owner, "start", Some(state), |call| Request::Prepare { call, spec })
            .await?;
        Ok(Prepared {
            process: Process { owner, pid, shared: Arc::clone(&self.shared), state: watched },
        })
    }

    /// [`prepare`](Processes::prepare) and [`run`](Prepared::run) at once.
    ///
    /// # Errors
    /// As these two.
    pub async fn spawn(&self, spec: ProcessSpec) -> Result<Process, ClusterError> {
        self.prepare(spec).await?.run().await
    }

    /// Every exit from now on, asked for or not.
    pub fn exits(&self) -> broadcast::Receiver<Exit> {
        self.shared.exits.subscribe()
    }

    /// Kills everything that is left and ends the reaper. When it returns `Ok` no process of the
    /// run exists any more.
    ///
    /// # Errors
    /// [`ClusterError::NotEmpty`] if that takes too long, [`ClusterError::ReaperLost`] if the
    /// reaper was gone before.
    pub async fn shutdown(&self) -> Result<(), ClusterError> {
        let mut ended = self.shared.ended.subscribe();
        // If it cannot be sent the reaper has ended, and how is what `ended` says.
        let _ = self.shared.send(&Request::Shutdown).await;
        let last = timeout(BOUND, ended.wait_for(Option::is_some))
            .await
            .map_err(|_| ClusterError::NotEmpty)?
            .map_err(|_| ClusterError::ReaperLost)
            .map(|last| *last)?;
        // It has closed its socket as its last act, so this does not block for long.
        let _ = lock(&self.reaper).wait();
        match last {
            Some(Last::Empty) => Ok(()),
            _ => Err(ClusterError::ReaperLost),
        }
    }
}

/// A process that is forked and known but does not run its program yet. Dropping it leaves it
/// waiting until the end of the run.
pub struct Prepared {
    process: Process,
}

impl Prepared {
    /// Its process id, which the program will keep.
    pub fn pid(&self) -> u32 {
        self.process.pid
    }

    /// Lets it exec its program; returns when the kernel has.
    ///
    /// # Errors
    /// [`ClusterError::Refused`] if the program cannot be executed.
    pub async fn run(self) -> Result<Process, ClusterError> {
        let Process { owner, pid, ref shared, .. } = self.process;
        shared.call(owner, "start", None, |call| Request::Run { call, pid }).await?;
        Ok(self.process)
    }
}

/// One process, from its start to its end. Dropping it does not end it.
#[derive(Clone)]
pub struct Process {
    owner: Owner,
    pid: u32,
    shared: Arc<Shared>,
    state: watch::Receiver<State>,
}

impl Process {
    /// Whose process it is.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// Its process id, which is also the id of its process group.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The process ids of its descendants and of its process group, itself included, as of now.
    pub fn family(&self) -> Vec<u32> {
        Census::take().family(self.pid).iter().map(|entry| entry.pid).collect()
    }

    /// How it ended, if it has.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.state.borrow().exit
    }

    /// Sends SIGKILL to the process group; returns when the process is collected and nothing of
    /// its group is left, so that its ports and files are free. A process that had ended by
    /// itself yields the status it ended with.
    ///
    /// # Errors
    /// [`ClusterError::Unconfirmed`], [`ClusterError::ReaperLost`].
    pub async fn kill(&self) -> Result<ExitStatus, ClusterError> {
        if !self.state.borrow().gone {
            self.signal(Signal::SIGKILL, "kill").await?;
        }
        let last = self.until("kill", BOUND, |state| state.gone).await?;
        last.exit.ok_or(ClusterError::Unconfirmed { owner: self.owner, what: "kill" })
    }

    /// Sends SIGSTOP to the process group; returns when the kernel has reported the process
    /// stopped and every other process of the group is seen stopped.
    ///
    /// # Errors
    /// [`ClusterError::Ended`] if it is dead, [`ClusterError::Unconfirmed`],
    /// [`ClusterError::ReaperLost`].
    pub async fn pause(&self) -> Result<(), ClusterError> {
        self.signal(Signal::SIGSTOP, "pause").await?;
        let state =
            self.until("pause", BOUND, |state| state.stopped || state.exit.is_some()).await?;
        self.alive(state, "pause")?;
        let deadline = Instant::now() + BOUND;
        while !Census::take().group(self.pid).all(Entry::is_still) {
            if Instant::now() > deadline {
                return Err(ClusterError::Unconfirmed { owner: self.owner, what: "pause" });
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Sends SIGCONT to the process group; returns when the kernel has reported the process
    /// continued, at once if it was not stopped.
    ///
    /// # Errors
    /// As [`pause`](Process::pause).
    pub async fn resume(&self) -> Result<(), ClusterError> {
        self.signal(Signal::SIGCONT, "resume").await?;
        let state =
            self.until("resume", BOUND, |state| !state.stopped || state.exit.is_some()).await?;
        self.alive(state, "resume")
    }

    /// Sends SIGTERM to the process group and waits for the process to end.
    ///
    /// # Errors
    /// [`ClusterError::Unconfirmed`] if it does not end within the given time; it is not killed.
    pub async fn terminate(&self, within: Duration) -> Result<ExitStatus, ClusterError> {
        if self.exit_status().is_none() {
            self.signal(Signal::SIGTERM, "terminate").await?;
        }
        self.wait(within).await
    }

    /// Waits for the process to end, for whatever reason.
    ///
    /// # Errors
    /// [`ClusterError::Unconfirmed`] if it does not within the given time.
    pub async fn wait(&self, within: Duration) -> Result<ExitStatus, ClusterError> {
        let state = self.until("wait for the end", within, |state| state.exit.is_some()).await?;
        state.exit.ok_or(ClusterError::Unconfirmed { owner: self.owner, what: "wait for the end" })
    }

    async fn signal(&self, signal: Signal, what: &'static str) -> Result<(), ClusterError> {
        let Process { owner, pid, .. } = *self;
        let signal = signal as i32;
        let sent =
            self.shared.call(owner, what, None, |call| Request::Signal { call, pid, signal }).await;
        match (sent, self.exit_status()) {
            (Err(ClusterError::Refused { .. }), Some(status))
                if signal != Signal::SIGKILL as i32 =>
            {
                Err(ClusterError::Ended { owner, what, status })
            }
            // It went on its own while we were about to kill it: what follows waits for that.
            (Err(ClusterError::Refused { .. }), Some(_)) => Ok(()),
            (sent, _) => sent.map(drop),
        }
    }

    async fn until(
        &self,
        what: &'static str,
        within: Duration,
        reached: impl FnMut(&State) -> bool,
    ) -> Result<State, ClusterError> {
        let mut state = self.state.clone();
        match timeout(within, state.wait_for(reached)).await {
            Ok(Ok(state)) => Ok(*state),
            Ok(Err(_)) => Err(ClusterError::ReaperLost),
            Err(_) => Err(ClusterError::Unconfirmed { owner: self.owner, what }),
        }
    }

    fn alive(&self, state: State, what: &'static str) -> Result<(), ClusterError> {
        match state.exit {
            Some(status) => Err(ClusterError::Ended { owner: self.owner, what, status }),
            None => Ok(()),
        }
    }
}

/// The end of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Whose process.
    pub owner: Owner,
    /// Its process id.
    pub pid: u32,
    /// How it ended.
    pub status: ExitStatus,
    /// Who ended it.
    pub cause: Cause,
}

/// Who ended a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The harness: the status is what its signal leads to.
    Asked,
    /// The process itself. A crash, whatever it returned.
    Crash,
    /// The process itself, because a fault left it no other way: its disk failed, and it said so.
    Fault,
    /// SIGKILL that the harness did not send: somebody else, most likely the kernel for want of
    /// memory. It says nothing about the target.
    Environment,
}

impl Cause {
    pub(super) fn of(status: ExitStatus, asked: bool) -> Cause {
        if asked {
            Cause::Asked
        } else if status == ExitStatus::Signal(Signal::SIGKILL as i32) {
            Cause::Environment
        } else {
            Cause::Crash
        }
    }
}
