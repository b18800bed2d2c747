//! Where a suite leaves what it saw: names of files and folders, and nothing of their contents.
//!
//! ```text
//! runs/20261121-095148-release/       runs/latest -> ...
//!   report.txt  summary.json
//!   running                                    while a harness writes here
//!   leader-killed/
//!     plan.yaml  history.jsonl  events.jsonl
//!     counterexample.txt  minimal.jsonl          on a failure
//!     nodes/n1/{stdout.log,stderr.log,data/}
//!     nodes/n1/frozen/                           if it was stopped early
//!     companion/{stdout.log,stderr.log,data/}    beside a target that needs one
//!     programs/                                  copies that nodes were upgraded to
//! ```
//!
//! It travels: everything inside is named by relative paths.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use splitbrain_workloads::operation::NodeId;

use super::stale::InUse;

/// The folder of a suite.
#[derive(Clone, Debug)]
pub struct SuiteDirectory {
    path: PathBuf,
    /// Of a folder that was made by this harness: that it is in use.
    _in_use: Option<Arc<InUse>>,
}

impl SuiteDirectory {
    /// Makes a new folder under `out`, named by the time and the suite, and points `latest` at it.
    ///
    /// # Errors
    ///
    /// When a folder or the link cannot be made.
    pub fn create(out: &Path, stamp: &str, suite: &str) -> io::Result<SuiteDirectory> {
        fs::create_dir_all(out)?;
        // Two harnesses may start within one second; each takes a name of its own.
        let mut name = format!("{stamp}-{suite}");
        let mut attempt = 2;
        while let Err(error) = fs::create_dir(out.join(&name)) {
            if error.kind() != io::ErrorKind::AlreadyExists {
                return Err(error);
            }
            name = format!("{stamp}-{suite}-{attempt}");
            attempt += 1;
        }
        let path = out.join(&name);
        let in_use = InUse::mark(&path)?.map(Arc::new);
        let directory = SuiteDirectory { path, _in_use: in_use };
        let latest = out.join("latest");
        // Replaced by a rename, so that there is always one; the loser of a race is as recent.
        let fresh = out.join(format!(".latest-{}", std::process::id()));
        symlink(&name, &fresh)?;
        fs::rename(&fresh, &latest)?;
        Ok(directory)
    }

    /// The folder of a suite that was run before: it has a summary.
    pub fn open(path: &Path) -> Option<SuiteDirectory> {
        let directory = SuiteDirectory::at(path);
        directory.summary().is_file().then_some(directory)
    }

    /// A folder that need not be a suite's.
    pub fn at(path: &Path) -> SuiteDirectory {
        SuiteDirectory { path: path.to_path_buf(), _in_use: None }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The report as it was printed.
    pub fn report(&self) -> PathBuf {
        self.path.join("report.txt")
    }

    /// How a replay compares with the run that it repeats.
    pub fn replay(&self) -> PathBuf {
        self.path.join("replay.txt")
    }

    /// What CI reads.
    pub fn summary(&self) -> PathBuf {
        self.path.join("summary.json")
    }

    /// The folder of a run, which need not exist.
    pub fn run(&self, name: &str) -> RunDirectory {
        RunDirectory { path: self.path.join(name) }
    }
}

/// The folder of a run.
#[derive(Clone, Debug)]
pub struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// The folder of a run that was run before: it has a history.
    pub fn open(path: &Path) -> Option<RunDirectory> {
        let directory = RunDirectory { path: path.to_path_buf() };
        directory.history().is_file().then_some(directory)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder and those of all nodes.
    ///
    /// # Errors
    ///
    /// When a folder cannot be made.
    pub fn create(&self, nodes: u16) -> io::Result<()> {
        for node in NodeId::first(nodes) {
            fs::create_dir_all(self.node(node))?;
        }
        Ok(())
    }

    /// The resolved plan, a suite of one run.
    pub fn plan(&self) -> PathBuf {
        self.path.join("plan.yaml")
    }

    /// The operations.
    pub fn history(&self) -> PathBuf {
        self.path.join("history.jsonl")
    }

    /// Phases, processes, roles and faults.
    pub fn events(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// The first anomaly, for people.
    pub fn counterexample(&self) -> PathBuf {
        self.path.join("counterexample.txt")
    }

    /// The operations of the first anomaly alone, a history that can be checked.
    pub fn minimal(&self) -> PathBuf {
        self.path.join("minimal.jsonl")
    }

    /// The folder of a node: its logs, and its data until the run is known to have met its
    /// expectation.
    pub fn node(&self, node: NodeId) -> PathBuf {
        self.path.join("nodes").join(node.to_string())
    }

    /// The data of a node.
    pub fn data(&self, node: NodeId) -> PathBuf {
        self.node(node).join("data")
    }

    /// A copy of it, as it was when the run was stopped early; there is none in any other run.
    pub fn frozen(&self, node: NodeId) -> PathBuf {
        self.node(node).join("frozen")
    }

    /// The folder through which a node's disk is told to fail.
    pub fn disk(&self, node: NodeId) -> PathBuf {
        self.node(node).join("disk")
    }

    /// The file that says how wrong a node's clocks are.
    pub fn clock(&self, node: NodeId) -> PathBuf {
        self.node(node).join("clock")
    }

    /// The folder of the target's companion, as that of a node; there is none without one.
    pub fn companion(&self) -> PathBuf {
        self.path.join("companion")
    }

    /// Programs that nodes ran beside the target's own; there is none unless a fault asked for a
    /// copy.
    pub fn programs(&self) -> PathBuf {
        self.path.join("programs")
    }

    /// A copy of the target's program.
    pub fn copy_of_program(&self) -> PathBuf {
        self.programs().join("copy")
    }

    /// Makes that copy, and waits until the disk has it: what is written back while a store waits
    /// for the same disk is a fault that nobody asked for.
    ///
    /// # Errors
    ///
    /// When it cannot be read or written.
    pub fn copy_program(&self, program: &Path) -> io::Result<()> {
        fs::create_dir_all(self.programs())?;
        let copy = self.copy_of_program();
        fs::copy(program, &copy)?;
        fs::File::open(copy)?.sync_all()
    }

    /// Removes the data of the nodes and of their companion, copies of it, and copies of programs.
    /// Logs stay.
    ///
    /// # Errors
    ///
    /// When a folder that exists cannot be removed.
    pub fn remove_data(&self, nodes: u16) -> io::Result<()> {
        let data = NodeId::first(nodes).flat_map(|node| [self.data(node), self.frozen(node)]);
        let data = data.chain([self.companion().join("data"), self.programs()]);
        for data in data.filter(|data| data.exists()) {
            fs::remove_dir_all(data)?;
        }
        Ok(())
    }
}
