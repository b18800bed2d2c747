//! Whose end is an answer to a fault: a node whose disk fails, or whose data was damaged, does right
//! to end by itself, loudly. Anybody else's end is a crash.
//!
//! Kept by process id, since ends are reported later than they happen.

use std::collections::BTreeSet;
use std::sync::Mutex;

use nix::sys::signal::Signal;
use splitbrain_workloads::operation::NodeId;

use crate::cluster::ExitStatus;
use crate::cluster::process::{Cause, Exit};

/// The exit code of a panic of Rust: a bug, whatever the disk did.
const PANIC: i32 = 101;

/// Who may end by itself.
#[derive(Debug, Default)]
pub(super) struct Tolerance(Mutex<Tolerated>);

#[derive(Debug, Default)]
struct Tolerated {
    nodes: BTreeSet<NodeId>,
    pids: BTreeSet<u32>,
}

impl Tolerance {
    /// From now on this node may, and the process that it has.
    pub(super) fn begin(&self, node: NodeId, pid: Option<u32>) {
        let mut tolerated = self.tolerated();
        tolerated.nodes.insert(node);
        tolerated.pids.extend(pid);
    }

    /// A node was started.
    pub(super) fn started(&self, node: NodeId, pid: u32) {
        let mut tolerated = self.tolerated();
        if tolerated.nodes.contains(&node) {
            tolerated.pids.insert(pid);
        }
    }

    /// From now on it may not, nor may this process, which is alive.
    pub(super) fn end(&self, node: NodeId, pid: u32) {
        let mut tolerated = self.tolerated();
        tolerated.nodes.remove(&node);
        tolerated.pids.remove(&pid);
    }

    /// An end as it is to be judged. What no program does on purpose stays a crash.
    pub(super) fn judge(&self, exit: Exit) -> Exit {
        let loud = match exit.status {
            ExitStatus::Code(code) => code != 0 && code != PANIC,
            ExitStatus::Signal(signal) => signal == Signal::SIGXFSZ as i32,
        };
        match exit.cause == Cause::Crash && loud && self.tolerated().pids.contains(&exit.pid) {
            true => Exit { cause: Cause::Fault, ..exit },
            false => exit,
        }
    }

    fn tolerated(&self) -> std::sync::MutexGuard<'_, Tolerated> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::process::Owner;

    fn judged(tolerance: &Tolerance, pid: u32, status: ExitStatus) -> Cause {
        let exit = Exit { owner: Owner::Node(NodeId(1)), pid, status, cause: Cause::Crash };
        tolerance.judge(exit).cause
    }

    #[test]
    fn a_node_may_end_loudly_while_its_disk_fails_and_at_no_other_time() {
        let tolerance = Tolerance::default();
        let refused = ExitStatus::Code(74);
        tolerance.started(NodeId(1), 6);
        tolerance.begin(NodeId(1), Some(7));
        tolerance.started(NodeId(1), 8);
        tolerance.started(NodeId(2), 9);
        assert_eq!(judged(&tolerance, 6, refused), Cause::Crash, "it ended before");
        assert_eq!(judged(&tolerance, 9, refused), Cause::Crash, "another node");
        tolerance.end(NodeId(1), 8);
        assert_eq!(judged(&tolerance, 7, refused), Cause::Fault, "reported late");
        assert_eq!(judged(&tolerance, 8, refused), Cause::Crash, "it had borne the fault");
    }

    #[test]
    fn a_panic_a_success_and_a_signal_are_no_answer_to_a_failing_disk() {
        let tolerance = Tolerance::default();
        tolerance.begin(NodeId(1), Some(7));
        let abort = ExitStatus::Signal(Signal::SIGABRT as i32);
        for status in [ExitStatus::Code(0), ExitStatus::Code(PANIC), abort] {
            assert_eq!(judged(&tolerance, 7, status), Cause::Crash);
        }
        let too_large = ExitStatus::Signal(Signal::SIGXFSZ as i32);
        assert_eq!(judged(&tolerance, 7, too_large), Cause::Fault);
    }
}
