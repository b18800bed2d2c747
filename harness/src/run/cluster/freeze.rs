//! Freezing a cluster: all of its nodes stand still while their data is copied.
//!
//! They are stopped by SIGSTOP, all at once, so that none acts on the silence of another before it
//! is stopped itself; what a node had handed to the kernel by then is in its files, what it had not
//! is lost to the copy as it would be to a kill. No fault starts, continues or wipes a node meanwhile.
//! Nodes that a fault had stopped stay stopped afterwards, nodes that are down are copied as they lie.
//! A companion is no node and goes on.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use futures_util::future::join_all;
use splitbrain_reports::record::Event;
use splitbrain_workloads::operation::NodeId;

use super::Cluster;
use crate::cluster::census::Entry;
use crate::cluster::process::{ClusterError, Process};
use crate::nemesis::DataDirectory;

/// How much data of a node is copied at most. The copy stays in memory until the kernel writes it,
/// and the nodes stand still for as long: a quarter of a second for this much.
const BYTES_MAX: u64 = 256 << 20;

/// What became of the data.
#[derive(Debug, Default)]
pub struct Frozen {
    /// Whose data was copied.
    pub nodes: Vec<NodeId>,
    /// Why that of others was not, if so.
    pub not: Option<String>,
    /// The name of the cluster.
    pub cluster: String,
}

impl Cluster {
    /// Makes all nodes stand still, copies their data into a folder beside it, and lets them go on.
    /// Whatever goes wrong, the nodes that it stopped go on.
    ///
    /// # Errors
    ///
    /// When a node cannot be stopped or continued.
    pub async fn freeze(&self) -> anyhow::Result<Frozen> {
        let _still = self.stillness.write().await;
        let all: Vec<(NodeId, Arc<Process>)> = {
            let running = self.running.lock().expect("no holder of this lock panics");
            running.iter().map(|(node, process)| (*node, process.clone())).collect()
        };
        let is_moving = |process: &Process| {
            Entry::of(process.pid()).is_some_and(|entry| !entry.is_dead() && !entry.is_still())
        };
        let moving: Vec<&Arc<Process>> =
            all.iter().map(|(_, process)| process).filter(|process| is_moving(process)).collect();
        let stopped = join_all(moving.iter().map(|process| process.pause())).await;
        let directory = self.directory.clone();
        let cluster = self.wiring.token.clone();
        let nodes: Vec<NodeId> = all.iter().map(|(node, _)| *node).collect();
        let copied = tokio::task::spawn_blocking(move || {
            let mut frozen = Frozen { cluster, ..Frozen::default() };
            for node in nodes {
                match copy_data(&directory.data(node), &directory.frozen(node)) {
                    Ok(()) => frozen.nodes.push(node),
                    Err(why) => {
                        frozen.not.get_or_insert(format!("{node}: {why:#}"));
                    }
                }
            }
            frozen
        })
        .await;
        let resumed = join_all(moving.iter().map(|process| process.resume())).await;
        for result in stopped.into_iter().chain(resumed) {
            match result {
                // One that ended meanwhile stands still as well.
                Ok(()) | Err(ClusterError::Ended { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let frozen = copied.context("the copy of the nodes' data crashed")?;
        self.journal.report(Event::Frozen { nodes: frozen.nodes.clone() });
        Ok(frozen)
    }
}

fn copy_data(from: &Path, to: &Path) -> anyhow::Result<()> {
    let bytes = DataDirectory::of(from).context("there is no data")?.bytes;
    anyhow::ensure!(
        bytes <= BYTES_MAX,
        "{bytes} bytes of data; at most {BYTES_MAX} are copied while nodes stand still"
    );
    copy(from, to)
}

/// Copies folders and files; nothing else is data.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    let entries =
        std::fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&path, &target)?;
        } else if kind.is_file() {
            std::fs::copy(&path, &target)
                .with_context(|| format!("cannot copy {}", path.display()))?;
        }
    }
    Ok(())
}
