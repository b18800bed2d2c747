//! The `disk-flip` fault: a bit of a node's data has changed when it starts.

use std::time::Duration;

use async_trait::async_trait;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use splitbrain_reports::record::Effect;
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;

use super::disk_watch::DiskWatch;
use super::replaced::Replaced;
use super::stored_byte::{Bytes, StoredByte};
use super::{Action, Fault, Hands, Problem, Selector, Skip, View};

/// Parameters of a `disk-flip`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskFlip {
    /// Whose data changes.
    pub node: Selector,
    /// What decides which byte, and which bit of it; drawn where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
    /// Which bytes it may be.
    #[serde(default, skip_serializing_if = "Bytes::is_any")]
    pub of: Bytes,
    /// Whether a node that has started on it keeps it at the heal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stays: bool,
}

impl Fault for DiskFlip {
    const KIND: &'static str = "disk-flip";
    const SUMMARY: &'static str = "SIGKILL a node and flip a bit of its data; start it on that";
    const EXPLAIN: &'static str = "\
disk-flip: { node: follower, at: 2s, for: 1s }
disk-flip: { node: n2, seed: 7, at: 2s, for: 1s }
disk-flip: { node: follower, of: digits, stays: true, at: 2s, for: 1s }

The process gets SIGKILL. While it is down one bit of its data is changed: in
the file with the most bytes that are not zero, in the first half of these,
since the last ones may be half of a write, which a store rightly cuts. Then the
node is started on it. One node at a time, since a majority of damaged disks is
no fault that a store can bear. With `of: digits` it is the last bit of a digit
in a number of three or more: the number becomes another one, which nothing but
a checksum can tell. Targets without checksums over all of their data
are refused when the suite is read: what comes of it would be luck.

Effect    the process was ended and the file has another byte than before.
          Whether the node refused to start on it is told; that is no crash.
Heal      the node is stopped if it runs, the bit is put back, the node is
          started, and it answers. With `stays: true` a node that has started
          on it is left alone, damaged as it is.
Expect    the node does not start, and says what is wrong where. If it starts,
          what it serves is up to the checkers.";

    fn shape(&self) -> String {
        let of = match self.of {
            Bytes::Any => "",
            Bytes::Digits => ", a digit",
        };
        format!("{}{of}{}", self.node, if self.stays { ", for good" } else { "" })
    }

    fn aimed_at(&self) -> Option<Selector> {
        Some(self.node)
    }

    fn victim_serves(&self) -> bool {
        false
    }

    fn problems(&self, nodes: u16) -> Vec<Problem> {
        let mut problems = self.node.problems(nodes, &["node"]);
        if self.node.is_many() {
            problems.push(Problem {
                keys: vec!["node"],
                message: format!("`{}` may be several nodes, and one disk is damaged", self.node),
                help: Some("name one node or a role: `leader`, `follower`, `random`".to_string()),
            });
        }
        problems
    }

    fn draw(&self, nodes: u16, rng: &mut Stream) -> Self {
        let seed = self.seed.unwrap_or_else(|| rng.random_range(0..u32::MAX));
        DiskFlip { node: self.node.draw(nodes, rng), seed: Some(seed), ..self.clone() }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
        let node = *self.node.pick(view, rng)?.first().ok_or_else(|| Skip::wait("nobody"))?;
        let seed = self.seed.unwrap_or_else(|| rng.random_range(0..u32::MAX));
        Ok(Box::new(Flipping {
            victims: [node],
            seed,
            of: self.of,
            stays: self.stays,
            before: Replaced::default(),
            watch: DiskWatch::default(),
            place: None,
            flipped: None,
        }))
    }
}

#[derive(Debug)]
struct Flipping {
    victims: [NodeId; 1],
    seed: u32,
    of: Bytes,
    stays: bool,
    before: Replaced,
    watch: DiskWatch,
    /// The byte as it was while the node was down.
    place: Option<StoredByte>,
    /// What the file had in its place when the node was started.
    flipped: Option<u8>,
}

/// How long a node may take to start on its damaged data or to end of it, beyond its time in force.
const STARTS_WITHIN: Duration = Duration::from_secs(10);

impl Flipping {
    /// Waits, bounded, until the node answers or has ended: only then is it known what it made of its
    /// data, and whether it can be left as it is.
    async fn await_start(&self, hands: &dyn Hands) {
        let [node] = self.victims;
        let deadline = tokio::time::Instant::now() + STARTS_WITHIN;
        while hands.exit(node).is_none()
            && !hands.statuses().await.contains_key(&node)
            && tokio::time::Instant::now() < deadline
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[async_trait]
impl Action for Flipping {
    fn victims(&self) -> &[NodeId] {
        &self.victims
    }

    async fn inject(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        let [node] = self.victims;
        self.before = Replaced::look(hands, &self.victims);
        self.watch = DiskWatch::look(hands, &self.victims);
        hands.kill(node).await?;
        self.place = hands.stored_byte(node, u64::from(self.seed >> 3), self.of);
        if let Some(place) = &self.place {
            let bit = match self.of {
                Bytes::Any => self.seed & 7,
                // With this one a digit becomes its neighbour.
                Bytes::Digits => 0,
            };
            hands.write_byte(node, place, place.byte ^ (1 << bit)).await?;
            self.flipped = hands.byte_now(node, place);
        }
        hands.tolerate_end(node).await?;
        hands.launch(node).await
    }

    async fn undo(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        let [node] = self.victims;
        self.await_start(hands).await;
        self.watch.note_ends(hands);
        if self.stays && !self.watch.ended(node) {
            return hands.revive(node).await;
        }
        hands.kill(node).await?;
        if let Some(place) = &self.place {
            hands.write_byte(node, place, place.byte).await?;
        }
        hands.revive(node).await
    }

    fn effect(&self, hands: &dyn Hands) -> Effect {
        let [node] = self.victims;
        if let Err(why) = self.before.seen(hands) {
            return Effect::None(why);
        }
        let (Some(place), Some(flipped)) = (&self.place, self.flipped) else {
            return Effect::None(format!("{node} had stored too little to change any of it"));
        };
        let StoredByte { file, at, byte } = place;
        if flipped == *byte {
            return Effect::None(format!("byte {at} of {} was never changed", file.display()));
        }
        let what =
            format!("byte {at} of {} was {byte:02x} and became {flipped:02x}", file.display());
        Effect::Seen(match self.watch.ended(node) {
            true => format!("{what}; {} when it was started on it", self.watch.fate(node)),
            false => format!("{what}; {node} started on it all the same"),
        })
    }
}
