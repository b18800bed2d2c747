//! What the harness and its reaper say to each other: one JSON object a line, over a Unix socket.
//!
//! Both ends are the same build of the same program, so the format carries no version. Written and
//! read by [`conversation`](super::conversation) and [`reaper`](super::reaper) alone.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use splitbrain_workloads::operation::NodeId;

/// Longest line either side accepts: a command line and an environment fit many times over, and a
/// peer that is out of step cannot fill the memory.
pub(crate) const LINE_LIMIT: usize = 1 << 20;

/// From the harness to the reaper.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Request {
    /// Fork a process that waits for [`Request::Run`]. Answered by `Done` or `Failed`.
    Prepare { call: u64, spec: ProcessSpec },
    /// Let a prepared process exec its program. Answered by `Done` or `Failed`.
    Run { call: u64, pid: u32 },
    /// Send a signal to the process group of a child. Answered by `Done` or `Failed`.
    Signal { call: u64, pid: u32, signal: i32 },
    /// Kill everything and end. Answered by `Empty`.
    Shutdown,
}

/// From the reaper to the harness.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Report {
    /// A call was carried out; `pid` is whom it concerned.
    Done { call: u64, pid: u32 },
    /// A call was not carried out.
    Failed { call: u64, error: String },
    /// The kernel reported the process stopped.
    Stopped { pid: u32 },
    /// The kernel reported the process continued.
    Continued { pid: u32 },
    /// The process is gone. `asked` is whether the reaper had sent a signal that explains it.
    Exited { pid: u32, status: ExitStatus, asked: bool },
    /// The process is gone and nothing is left of its process group.
    Gone { pid: u32 },
    /// No child is left; the reaper ends.
    Empty,
}

/// Whose a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Owner {
    /// That of a node of the target.
    Node(NodeId),
    /// That of the one process beside the nodes which they need.
    Companion,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Node(node) => node.fmt(f),
            Owner::Companion => f.write_str("the companion"),
        }
    }
}

/// How to start a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// Whose process it is.
    pub owner: Owner,
    /// The program: a path, or a name that is looked up on `PATH`.
    pub program: PathBuf,
    /// Its arguments, without the program's name.
    pub args: Vec<String>,
    /// Variables added to the environment of the harness.
    pub env: BTreeMap<String, String>,
    /// Its working directory, which must exist.
    pub cwd: PathBuf,
    /// The file its standard output is appended to; made if absent.
    pub stdout: PathBuf,
    /// The file its standard error is appended to; made if absent.
    pub stderr: PathBuf,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitStatus {
    /// It returned this code.
    Code(i32),
    /// The signal with this number ended it.
    Signal(i32),
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ExitStatus::Code(code) => write!(f, "exit code {code}"),
            ExitStatus::Signal(number) => match Signal::try_from(number) {
                Ok(signal) => write!(f, "signal {}", signal.as_str()),
                Err(_) => write!(f, "signal {number}"),
            },
        }
    }
}
