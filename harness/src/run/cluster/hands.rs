//! What the injector does to a run's cluster, and what it looks at: the cluster's side of [`Hands`].
//! It decides nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use futures_util::future::join_all;
use splitbrain_reports::record::{ProcessChange, Role};
use splitbrain_workloads::operation::NodeId;

use super::launching::{ANSWER_BOUND, ASK_INTERVAL, absolute};
use super::{ASK_BOUND, CLOCK_TRIES, Cluster};
use crate::cluster::ExitStatus;
use crate::cluster::census::Entry;
use crate::cluster::limits;
use crate::cluster::process::{ClusterError, Owner};
use crate::nemesis::{Bytes, DataDirectory, Hands, Instrument, Program, Replacement, StoredByte};
use crate::network::link::Link;
use crate::network::{Dials, HalfOpen, LinkEvidence, Shape};
use crate::target::clock::ClockReading;
use crate::target::disk::{DiskOrders, DiskReport};
use crate::target::{MemberChange, NodeStatus};

/// How long a node whose disk failed may take to end by itself: it was told of the failure before the
/// heal began, and may be on its way.
const LAST_MOMENTS: Duration = Duration::from_millis(200);

/// How long a node may take to end after SIGTERM. Stores that flush or hand over take up to some
/// seconds; one that takes longer is said not to have ended.
const END_BOUND: Duration = Duration::from_secs(10);

/// How long the rest of a cluster may take to agree on a leader and to hold all that is committed
/// before a node without its data is let in. It is less than all heals together may take.
const REPLICATED_BOUND: Duration = Duration::from_secs(12);

/// How long a leader must have led for its word on what is committed to cover what its
/// predecessors acknowledged: a leader commits all of that with the first entry of its own, within
/// milliseconds.
const LED_FOR: Duration = Duration::from_secs(1);

#[async_trait]
impl Hands for Cluster {
    async fn kill(&self, node: NodeId) -> anyhow::Result<()> {
        self.running(node)?.kill().await?;
        Ok(())
    }

    async fn terminate(&self, node: NodeId) -> anyhow::Result<()> {
        match self.running(node)?.terminate(END_BOUND).await {
            // Somebody else ended it, or it will not end: the evidence tells.
            Ok(_) | Err(ClusterError::Ended { .. } | ClusterError::Unconfirmed { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn launch(&self, node: NodeId) -> anyhow::Result<()> {
        self.start_node(node).await
    }

    async fn tolerate_end(&self, node: NodeId) -> anyhow::Result<()> {
        let alive = Hands::process(self, node).map(|entry| entry.pid);
        self.tolerance.begin(node, alive);
        Ok(())
    }

    async fn revive(&self, node: NodeId) -> anyhow::Result<()> {
        let process = self.running(node)?;
        // Unconfirmed means that it lives on.
        if process.wait(LAST_MOMENTS).await.is_ok() {
            self.start_node(node).await?;
        }
        if !self.answers(node).await? {
            self.start_node(node).await?;
            if !self.answers(node).await? {
                bail!("{node} ends again and again\n  = help: see {}", self.log_of(node));
            }
        }
        self.tolerance.end(node, self.running(node)?.pid());
        Ok(())
    }

    async fn order_disk(&self, node: NodeId, orders: DiskOrders) -> anyhow::Result<()> {
        let folder = self.directory.disk(node);
        orders.give(&folder).with_context(|| format!("cannot give orders in {}", folder.display()))
    }

    async fn limit_files(&self, node: NodeId, limited: bool) -> anyhow::Result<()> {
        let Some(process) = Hands::process(self, node) else { return Ok(()) };
        limits::set_file_size(process.pid, limited)
            .with_context(|| format!("{node}: cannot limit what it may write"))
    }

    async fn clock_rate(&self, node: NodeId, rate: f64) -> anyhow::Result<()> {
        self.tell_clock(node, |clock| clock.rate = rate)
    }

    async fn wall_clock(&self, node: NodeId, offset_ms: i64) -> anyhow::Result<()> {
        self.tell_clock(node, |clock| clock.wall_offset_ms = offset_ms)
    }

    async fn steady_clock(&self, node: NodeId, by: Duration) -> anyhow::Result<()> {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.tell_clock(node, |clock| {
            clock.steady_offset_ms = clock.steady_offset_ms.saturating_add(by);
        })
    }

    async fn clock(&self, node: NodeId) -> Option<ClockReading> {
        for _ in 0..CLOCK_TRIES {
            let asked = Instant::now();
            if let Some(told) = self.target.clock(&self.wiring, node, ASK_BOUND).await {
                return Some(ClockReading::between(asked, told));
            }
        }
        None
    }

    async fn write_byte(&self, node: NodeId, place: &StoredByte, byte: u8) -> anyhow::Result<()> {
        let _may = self.stillness.read().await;
        let data = self.down(node)?;
        place
            .write(&data, byte)
            .with_context(|| format!("cannot change a byte of {}", data.display()))
    }

    async fn restart(&self, node: NodeId) -> anyhow::Result<()> {
        self.start_node(node).await?;
        let deadline = tokio::time::Instant::now() + ANSWER_BOUND;
        while self.target.status(&self.wiring, node, ASK_BOUND).await.is_none() {
            if let Some(status) = Hands::exit(self, node) {
                bail!(self.ended_by_itself(Owner::Node(node), status, "when it was started again"));
            }
            if tokio::time::Instant::now() >= deadline {
                let log = self.directory.node(node).join("stderr.log");
                bail!(
                    "{node} did not answer within {} s of its restart\n  = help: see {}",
                    ANSWER_BOUND.as_secs(),
                    log.display()
                );
            }
            tokio::time::sleep(ASK_INTERVAL).await;
        }
        Ok(())
    }

    async fn pause(&self, node: NodeId) -> anyhow::Result<()> {
        let process = self.running(node)?;
        process.pause().await?;
        self.changed(&process, ProcessChange::Stopped);
        Ok(())
    }

    async fn resume(&self, node: NodeId) -> anyhow::Result<()> {
        let _may = self.stillness.read().await;
        let process = self.running(node)?;
        process.resume().await?;
        self.changed(&process, ProcessChange::Continued);
        Ok(())
    }

    async fn wipe(&self, node: NodeId) -> anyhow::Result<()> {
        let _may = self.stillness.read().await;
        let data = self.down(node)?;
        std::fs::remove_dir_all(&data).with_context(|| format!("cannot remove {}", data.display()))
    }

    async fn promote(&self, node: NodeId) -> anyhow::Result<()> {
        // An answer that is lost proves nothing; the statuses tell.
        self.target.promote(&self.wiring, node, ASK_BOUND).await;
        Ok(())
    }

    async fn change_members(&self, via: NodeId, change: MemberChange) {
        self.target.change_members(&self.wiring, via, change, ASK_BOUND).await;
    }

    fn spares(&self) -> Vec<NodeId> {
        let all = NodeId::first(self.target.nodes() + self.target.spares());
        all.skip(usize::from(self.target.nodes())).collect()
    }

    async fn statuses(&self) -> BTreeMap<NodeId, NodeStatus> {
        let all = NodeId::first(self.target.nodes() + self.target.spares());
        let asked = all.map(async |node| {
            Some((node, self.target.status(&self.wiring, node, ASK_BOUND).await?))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    async fn replicated_without(&self, node: NodeId) -> anyhow::Result<()> {
        let waiting = async {
            let mut led: Option<((NodeId, u64), tokio::time::Instant)> = None;
            let mut floor = None;
            loop {
                let others = self.statuses_without(node).await;
                let leader = others.as_deref().and_then(agreed);
                let now = tokio::time::Instant::now();
                led = leader.map(|leader| match led {
                    Some((known, since)) if known == leader => (known, since),
                    _ => (leader, now),
                });
                if led.is_none_or(|(_, since)| now - since < LED_FOR) {
                    floor = None;
                } else if let Some(others) = others {
                    let committed = others.iter().map(|(_, status)| status.committed).max();
                    let wanted = *floor.get_or_insert(committed.unwrap_or(0));
                    if others.iter().all(|(_, status)| status.applied >= wanted) {
                        return;
                    }
                }
                tokio::time::sleep(ASK_INTERVAL).await;
            }
        };
        tokio::time::timeout(REPLICATED_BOUND, waiting).await.map_err(|_| {
            anyhow::anyhow!(
                "the rest of the cluster does not hold all that was committed within {} s, so \
                 {node} cannot come back without its data",
                REPLICATED_BOUND.as_secs()
            )
        })
    }

    async fn cut(&self, links: &[Link], dials: Dials) -> anyhow::Result<()> {
        Ok(self.network.cut(links, dials).await?)
    }

    async fn heal(&self, links: &[Link], dials: Dials) -> anyhow::Result<()> {
        Ok(self.network.heal(links, dials)?)
    }

    async fn shape(&self, links: &[Link], shape: Shape) -> anyhow::Result<()> {
        Ok(self.network.shape(links, shape)?)
    }

    async fn unshape(&self, links: &[Link], shape: Shape) -> anyhow::Result<()> {
        Ok(self.network.unshape(links, shape)?)
    }

    async fn reset(&self, links: &[Link]) -> anyhow::Result<()> {
        Ok(self.network.reset(links).await?)
    }

    async fn half_open(&self, links: &[Link], who_forgets: &[NodeId]) -> anyhow::Result<HalfOpen> {
        Ok(self.network.half_open(links, who_forgets).await?)
    }

    async fn install(&self, node: NodeId, program: Option<&Replacement>) -> anyhow::Result<()> {
        let program = match program {
            None => None,
            Some(Replacement::Copy) => Some(absolute(&self.directory.copy_of_program())?),
            // The node has another working directory.
            Some(Replacement::File(path)) => Some(absolute(path)?),
        };
        let mut installed = self.installed.lock().expect("no holder of this lock panics");
        match program {
            Some(program) => installed.insert(node, program),
            None => installed.remove(&node),
        };
        Ok(())
    }

    async fn program(&self, node: NodeId) -> Option<Program> {
        let pid = Hands::process(self, node)?.pid;
        let hashes = self.hashes.clone();
        // Reading a program takes as long as a small fault; others go on meanwhile.
        tokio::task::spawn_blocking(move || hashes.program(pid)).await.ok()?
    }

    fn process(&self, node: NodeId) -> Option<Entry> {
        let pid = self.running(node).ok()?.pid();
        Entry::of(pid).filter(|entry| !entry.is_dead())
    }

    fn exit(&self, node: NodeId) -> Option<ExitStatus> {
        self.running(node).ok()?.exit_status()
    }

    fn data(&self, node: NodeId) -> Option<DataDirectory> {
        DataDirectory::of(&self.data_directory(node))
    }

    fn disk_report(&self, node: NodeId) -> Option<DiskReport> {
        let folder = self.directory.disk(node);
        let layered = self.instruments.contains(&Instrument::Disk)
            && self.target.disk_layer(&folder).is_some();
        layered.then(|| DiskReport::read(&folder))
    }

    fn may_write_no_file(&self, node: NodeId) -> bool {
        let process = Hands::process(self, node);
        process.is_some_and(|process| limits::file_size(process.pid) == Some(0))
    }

    fn stored_byte(&self, node: NodeId, draw: u64, of: Bytes) -> Option<StoredByte> {
        // What cannot be read is missing, and the evidence says so.
        StoredByte::find(&self.data_directory(node), draw, of).ok()?
    }

    fn byte_now(&self, node: NodeId, place: &StoredByte) -> Option<u8> {
        place.read(&self.data_directory(node))
    }

    fn traffic(&self, link: Link) -> Option<LinkEvidence> {
        self.network.evidence(link).ok()
    }
}

impl Cluster {
    /// Data is only touched while its node is down.
    fn down(&self, node: NodeId) -> anyhow::Result<PathBuf> {
        if Hands::process(self, node).is_some() {
            bail!("{node} still runs, and data is only touched while its node is down");
        }
        Ok(self.data_directory(node))
    }

    fn data_directory(&self, node: NodeId) -> PathBuf {
        self.directory.node(node).join("data")
    }

    /// What every other node says of itself; `None` unless all answer.
    async fn statuses_without(&self, node: NodeId) -> Option<Vec<(NodeId, NodeStatus)>> {
        let others = NodeId::first(self.target.nodes()).filter(|other| *other != node);
        let asked = others.map(async |other| {
            Some((other, self.target.status(&self.wiring, other, ASK_BOUND).await?))
        });
        join_all(asked).await.into_iter().collect()
    }
}

/// The leader on whom all of these agree, and its epoch.
fn agreed(statuses: &[(NodeId, NodeStatus)]) -> Option<(NodeId, u64)> {
    let (node, leader) = statuses.iter().find(|(_, status)| status.role == Role::Leader)?;
    let follows = |(_, status): &(NodeId, NodeStatus)| {
        status.leader == Some(*node) && status.epoch == leader.epoch
    };
    statuses.iter().all(follows).then_some((*node, leader.epoch))
}
