//! The `disk-full` fault: there is no space left for a node.

use async_trait::async_trait;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use splitbrain_reports::record::Effect;
use splitbrain_reports::units;
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;

use super::disk_watch::DiskWatch;
use super::{Action, Fault, Hands, Instrument, Problem, Selector, Skip, View};
use crate::target::disk::{DiskOrders, Refuses};

/// Parameters of a `disk-full`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskFull {
    /// Whose disk is full.
    pub node: Selector,
    /// What it then refuses.
    #[serde(default)]
    pub refuses: Refuses,
}

impl Fault for DiskFull {
    const KIND: &'static str = "disk-full";
    const SUMMARY: &'static str = "there is no space left on the disks of nodes";
    const EXPLAIN: &'static str = "\
disk-full: { node: leader, at: 2s, for: 3s }
disk-full: { node: follower, refuses: writes, at: 2s, for: 1s }

Where the target has a file layer that can be told, as the built-in store, calls
that need space fail with ENOSPC: new files and files that grow, as on ext4 and
XFS, which overwrite in place; with `refuses: writes` every write, as on Btrfs
and ZFS, which never do. For any other target the kernel is told to let the
process write to no file at all (RLIMIT_FSIZE of 0, by prlimit on the running
process): writes fail with EFBIG, or the process gets SIGXFSZ, its log files
included; that is always `refuses: writes`, and has to be said so.

Effect    the file layer counted calls that it refused at every node; without a
          layer, the limit was in the kernel's table and the process ended.
          Whether it ended by itself is told. Its end is no crash meanwhile.
Heal      there is space again; a node that ended is started, and it answers.
Expect    a node refuses what it cannot store, or ends, loudly; nothing that was
          acknowledged is lost, and it serves again when there is space.";

    fn shape(&self) -> String {
        match self.refuses {
            Refuses::Growth => self.node.to_string(),
            Refuses::Writes => format!("{}, every write refused", self.node),
        }
    }

    fn form(&self) -> &'static str {
        match self.refuses {
            Refuses::Growth => "growth",
            Refuses::Writes => "writes",
        }
    }

    fn instrument(&self) -> Option<Instrument> {
        Some(Instrument::Disk)
    }

    fn aimed_at(&self) -> Option<Selector> {
        Some(self.node)
    }

    fn victim_serves(&self) -> bool {
        self.refuses == Refuses::Growth
    }

    fn problems(&self, nodes: u16) -> Vec<Problem> {
        self.node.problems(nodes, &["node"])
    }

    fn draw(&self, nodes: u16, rng: &mut Stream) -> Self {
        DiskFull { node: self.node.draw(nodes, rng), ..self.clone() }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
        let victims = self.node.pick(view, rng)?;
        Ok(Box::new(Filling {
            victims,
            refuses: self.refuses,
            watch: DiskWatch::default(),
            layered: false,
            limited: Vec::new(),
        }))
    }
}

#[derive(Debug)]
struct Filling {
    victims: Vec<NodeId>,
    refuses: Refuses,
    watch: DiskWatch,
    /// Whether the nodes have a file layer that can be told.
    layered: bool,
    /// Those of whom the kernel said that they may write to no file.
    limited: Vec<NodeId>,
}

impl Filling {
    async fn order(&self, hands: &dyn Hands, full: Option<Refuses>) -> anyhow::Result<()> {
        let victims = self.victims.iter();
        if self.layered {
            let orders = DiskOrders { full, ..DiskOrders::default() };
            try_join_all(victims.map(|node| hands.order_disk(*node, orders.clone()))).await?;
        } else {
            try_join_all(victims.map(|node| hands.limit_files(*node, full.is_some()))).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Action for Filling {
    fn victims(&self) -> &[NodeId] {
        &self.victims
    }

    async fn inject(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        self.layered = self.victims.iter().all(|node| hands.disk_report(*node).is_some());
        self.watch = DiskWatch::look(hands, &self.victims);
        try_join_all(self.victims.iter().map(|node| hands.tolerate_end(*node))).await?;
        self.order(hands, Some(self.refuses)).await?;
        let limited = self.victims.iter().copied().filter(|node| hands.may_write_no_file(*node));
        self.limited = limited.collect();
        Ok(())
    }

    async fn undo(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        self.order(hands, None).await?;
        self.watch.await_ends(hands, &self.doomed(hands)).await;
        self.watch.note_ends(hands);
        try_join_all(self.victims.iter().map(|node| hands.revive(*node))).await?;
        Ok(())
    }

    fn effect(&self, hands: &dyn Hands) -> Effect {
        if !self.layered {
            return self.effect_of_limits();
        }
        let refused: Vec<(NodeId, u64)> = self.watch.grown(hands, |now| now.refused).collect();
        if let Some((node, _)) = refused.iter().find(|(_, calls)| *calls == 0) {
            return Effect::None(format!("{node} needed no space meanwhile"));
        }
        let told = refused.iter().map(|(node, calls)| {
            let calls = units::counted(*calls, "call");
            format!("{calls} found no space and {}", self.watch.fate(*node))
        });
        Effect::Seen(told.collect::<Vec<_>>().join(", "))
    }
}

impl Filling {
    /// Those who may be about to end of what was refused to them. One whose disk merely cannot grow goes
    /// on while it has room.
    fn doomed(&self, hands: &dyn Hands) -> Vec<NodeId> {
        match (self.layered, self.refuses) {
            (false, _) => self.limited.clone(),
            (true, Refuses::Growth) => Vec::new(),
            (true, Refuses::Writes) => self.watch.met(hands, |now| now.refused),
        }
    }

    fn effect_of_limits(&self) -> Effect {
        for node in &self.victims {
            if !self.limited.contains(node) {
                return Effect::None(format!("{node} was allowed to write files all the time"));
            }
            if !self.watch.ended(*node) {
                return Effect::None(format!(
                    "{node} was not allowed to write files, and nothing shows that it tried"
                ));
            }
        }
        let told = self.victims.iter().map(|node| {
            format!("{node} was not allowed to write files, and {}", self.watch.fate(*node))
        });
        Effect::Seen(told.collect::<Vec<_>>().join(", "))
    }
}
