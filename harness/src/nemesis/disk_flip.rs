//! The `disk-flip` fault: a bit of a node's data has changed when it starts.

use async_trait::async_trait;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use splitbrain_reports::record::Effect;
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;

use super::disk_watch::DiskWatch;
use super::replaced::Replaced;
use super::stored_byte::StoredByte;
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
}

impl Fault for DiskFlip {
    const KIND: &'static str = "disk-flip";
    const SUMMARY: &'static str = "SIGKILL a node and flip a bit of its data; start it on that";
    const EXPLAIN: &'static str = "\
disk-flip: { node: follower, at: 2s, for: 1s }
disk-flip: { node: n2, seed: 7, at: 2s, for: 1s }

The process gets SIGKILL. While it is down one bit of its data is changed: in
the file with the most bytes that are not zero, in the first half of these,
since the last ones may be half of a write, which a store rightly cuts. Then the
node is started on it. One node at a time, since a majority of damaged disks is
no fault that a store can bear. Targets without checksums over all of their data
are refused when the suite is read: what comes of it would be luck.

Effect    the process was ended and the file has another byte than before.
          Whether the node refused to start on it is told; that is no crash.
Heal      the node is stopped if it runs, the bit is put back, the node is
          started, and it answers.
Expect    the node does not start, and says what is wrong where. If it starts,
          what it serves is up to the checkers.";

    fn shape(&self) -> String {
        self.node.to_string()
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
        DiskFlip { node: self.node.draw(nodes, rng), seed: Some(seed) }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
        let node = *self.node.pick(view, rng)?.first().ok_or_else(|| Skip::wait("nobody"))?;
        let seed = self.seed.unwrap_or_else(|| rng.random_range(0..u32::MAX));
        Ok(Box::new(Flipping {
            victims: [node],
            seed,
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
    before: Replaced,
    watch: DiskWatch,
    /// The byte as it was while the node was down.
    place: Option<StoredByte>,
    /// What the file had in its place when the node was started.
    flipped: Option<u8>,
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
        self.place = hands.stored_byte(node, u64::from(self.seed >> 3));
        if let Some(place) = &self.place {
            hands.write_byte(node, place, place.byte ^ (1 << (self.seed & 7))).await?;
            self.flipped = hands.byte_now(node, place);
        }
        hands.tolerate_end(node).await?;
        hands.launch(node).await
    }

    async fn undo(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        let [node] = self.victims;
        self.watch.note_ends(hands);
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
