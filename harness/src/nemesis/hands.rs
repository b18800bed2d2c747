//! What an action can do to a cluster, and how it looks for the effect of what it did.
//!
//! The trait exists for two implementations: the running cluster, and the test that turns an
//! injection into a no-op and demands that the report says "no effect". That is why acting and
//! looking are apart: evidence comes from the kernel's table of processes, its wait statuses and
//! its file system, from the counters of the target's own traffic, and where leadership itself is
//! the effect from what all nodes say, never from an action's return value.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use splitbrain_workloads::operation::NodeId;

use super::{Bytes, StoredByte};
use crate::cluster::ExitStatus;
use crate::cluster::census::Entry;
use crate::network::link::Link;
use crate::network::{Dials, HalfOpen, LinkEvidence, Shape};
use crate::target::clock::ClockReading;
use crate::target::disk::{DiskOrders, DiskReport};
use crate::target::{MemberChange, NodeStatus};

/// A cluster, as actions see it.
#[async_trait]
pub trait Hands: Send + Sync {
    /// Kills a node's process; returns when the kernel has reported its end.
    async fn kill(&self, node: NodeId) -> anyhow::Result<()>;

    /// Asks a node's process to end by SIGTERM; returns when the kernel has reported its end, or
    /// when it has not ended within a bound, which is no error.
    async fn terminate(&self, node: NodeId) -> anyhow::Result<()>;

    /// Starts a node's process again; returns when the node answers.
    async fn restart(&self, node: NodeId) -> anyhow::Result<()>;

    /// Stops a node's process; returns when the kernel has reported it stopped.
    async fn pause(&self, node: NodeId) -> anyhow::Result<()>;

    /// Continues a node's process; returns when the kernel has reported it continued.
    async fn resume(&self, node: NodeId) -> anyhow::Result<()>;

    /// Removes the data of a node that has no process.
    async fn wipe(&self, node: NodeId) -> anyhow::Result<()>;

    /// Starts a node's process; returns at once, whatever becomes of it.
    async fn launch(&self, node: NodeId) -> anyhow::Result<()>;

    /// From now on a node that ends by itself does so because of a fault, and is no crash.
    async fn tolerate_end(&self, node: NodeId) -> anyhow::Result<()>;

    /// Takes that back, and starts the node if it has ended; returns when it answers.
    async fn revive(&self, node: NodeId) -> anyhow::Result<()>;

    /// Gives a node's file layer its orders, in place of those before.
    async fn order_disk(&self, node: NodeId, orders: DiskOrders) -> anyhow::Result<()>;

    /// Lets a node's process write to no file any more, or to all again. One that has ended is
    /// left alone.
    async fn limit_files(&self, node: NodeId, limited: bool) -> anyhow::Result<()>;

    /// Changes a byte in the data of a node that has no process.
    async fn write_byte(&self, node: NodeId, place: &StoredByte, byte: u8) -> anyhow::Result<()>;

    /// Lets a node's clocks run at a rate.
    async fn clock_rate(&self, node: NodeId, rate: f64) -> anyhow::Result<()>;

    /// Sets a node's wall clock so many milliseconds ahead of what is right.
    async fn wall_clock(&self, node: NodeId, offset_ms: i64) -> anyhow::Result<()>;

    /// Puts a node's steady clock ahead.
    async fn steady_clock(&self, node: NodeId, by: Duration) -> anyhow::Result<()>;

    /// What a node says of its clocks, beside ours; `None` when it does not answer.
    async fn clock(&self, node: NodeId) -> Option<ClockReading>;

    /// Tells a node to lead, by the target's own administrative interface. Whether it came to that
    /// is for the statuses to say.
    async fn promote(&self, node: NodeId) -> anyhow::Result<()>;

    /// Asks a node for a change of the members, by the target's own administrative interface.
    /// Whether it came to that is for the statuses to say.
    async fn change_members(&self, via: NodeId, change: MemberChange);

    /// The nodes that may be started and added to the cluster, and are no members at first.
    fn spares(&self) -> Vec<NodeId>;

    /// Waits until every other node has applied all that any of them knows to be committed now.
    async fn replicated_without(&self, node: NodeId) -> anyhow::Result<()>;

    /// Cuts links; returns when no byte is under way on them any more.
    async fn cut(&self, links: &[Link], dials: Dials) -> anyhow::Result<()>;

    /// Lets links flow again that were cut with the same `dials`.
    async fn heal(&self, links: &[Link], dials: Dials) -> anyhow::Result<()>;

    /// Makes links slow; what passes from now on is late.
    async fn shape(&self, links: &[Link], shape: Shape) -> anyhow::Result<()>;

    /// Takes one such shape back. What is already queued keeps its time.
    async fn unshape(&self, links: &[Link], shape: Shape) -> anyhow::Result<()>;

    /// Resets every established connection that uses one of these links.
    async fn reset(&self, links: &[Link]) -> anyhow::Result<()>;

    /// Leaves every established connection over these links half open: the ends of the nodes that
    /// forget are reset, the others hear nothing until what is returned is dropped.
    async fn half_open(&self, links: &[Link], who_forgets: &[NodeId]) -> anyhow::Result<HalfOpen>;

    /// From its next start on a node runs this program; `None` for the target's own.
    async fn install(&self, node: NodeId, program: Option<&Replacement>) -> anyhow::Result<()>;

    /// The program that a node runs now, as the kernel has it; `None` when it runs none.
    async fn program(&self, node: NodeId) -> Option<Program>;

    /// What every node says of itself now; those that do not answer are left out.
    async fn statuses(&self) -> BTreeMap<NodeId, NodeStatus>;

    /// The process of a node, as the kernel's table has it now; `None` when there is none.
    fn process(&self, node: NodeId) -> Option<Entry>;

    /// How the latest process of a node ended, as the kernel reported it; `None` while it lives.
    fn exit(&self, node: NodeId) -> Option<ExitStatus>;

    /// The data directory of a node, as the file system has it now; `None` when there is none.
    fn data(&self, node: NodeId) -> Option<DataDirectory>;

    /// What a node's file layer counted; `None` when the target has none that takes orders.
    fn disk_report(&self, node: NodeId) -> Option<DiskReport>;

    /// Whether the kernel's table of limits says that a node's process may write to no file.
    fn may_write_no_file(&self, node: NodeId) -> bool;

    /// A byte of a node's data, as the file system has it now; `draw` decides which. `None` when
    /// there is too little.
    fn stored_byte(&self, node: NodeId, draw: u64, of: Bytes) -> Option<StoredByte>;

    /// What stands in the place of a byte now.
    fn byte_now(&self, node: NodeId, place: &StoredByte) -> Option<u8>;

    /// The counters of a link; `None` when there is no such link.
    fn traffic(&self, link: Link) -> Option<LinkEvidence>;
}

/// Another program for a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// The target's own under another path: a copy, in the folder of the run.
    Copy,
    /// This file.
    File(PathBuf),
}

/// The program of a running process: `/proc/<pid>/exe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The file it was started from, as the kernel names it.
    pub path: PathBuf,
    /// SHA-256 of the file's contents, read through the kernel's link, in hexadecimal.
    pub sha256: String,
}

/// What the file system says of a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataDirectory {
    /// The inode of the directory and when it was made, which together name one directory.
    pub identity: (u64, Option<std::time::SystemTime>),
    /// Bytes of all files in it.
    pub bytes: u64,
}

impl DataDirectory {
    /// Looks at a directory; `None` when there is none. Files that go meanwhile are not counted.
    pub fn of(path: &std::path::Path) -> Option<DataDirectory> {
        use std::os::unix::fs::MetadataExt;
        let directory = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_dir)?;
        let identity = (directory.ino(), directory.created().ok());
        Some(DataDirectory { identity, bytes: bytes_in(path) })
    }
}

fn bytes_in(path: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
        .map(|(path, metadata)| if metadata.is_dir() { bytes_in(&path) } else { metadata.len() })
        .sum()
}
