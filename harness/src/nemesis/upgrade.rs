//! The `upgrade` fault: nodes are stopped and started as another program on the same data, and
//! back.

use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use splitbrain_reports::record::Effect;
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Stream;

use super::hands::{Program, Replacement};
use super::replaced::Replaced;
use super::stop::stopped;
use super::{Action, Fault, Hands, InForce, Problem, Selector, Skip, View};
use crate::cluster::ExitStatus;
use crate::suite::units::Time;

/// The word for a copy of the target's own program.
const COPY: &str = "copy";

/// How long going back may take by what is asked of it, all nodes together: the heals of a run are
/// bounded by twice that, and a start takes time of its own.
const BACK_MAX: Time = Time::from_secs(10);

/// Parameters of an `upgrade`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upgrade {
    /// Who runs the other program, one node after the other, the leader last.
    pub node: Selector,
    /// The other program: a path, or `copy` for a copy of the target's own.
    pub to: String,
    /// Whether the heal brings the target's own program back: a downgrade.
    #[serde(default = "yes")]
    pub back: bool,
    /// How long each node stays down.
    #[serde(default)]
    pub down: Time,
    /// How long the next one is left alone after a node answers again.
    #[serde(default)]
    pub apart: Time,
}

fn yes() -> bool {
    true
}

impl Fault for Upgrade {
    const KIND: &'static str = "upgrade";
    const SUMMARY: &'static str = "start nodes as another program on the same data, and back";
    const EXPLAIN: &'static str = "\
upgrade: { node: all, to: /opt/store-2/store, apart: 500ms, at: 2s, for: 8s }
upgrade: { node: follower, to: /opt/store-1/store, at: 2s, for: 4s }
upgrade: { node: all, to: copy, back: false, at: 2s, for: 6s }

Each of the nodes meant is stopped by SIGTERM, stays down for `down` (default
0s) and is started as the program `to` on its own data, with the arguments that
it had; the next one follows when it answers and `apart` (default 0s) has
passed, the leader last. With one node the cluster runs mixed versions while
the fault is in force, with `all` while they are rolled. `to: copy` is a copy
of the target's own program: another file with the same contents, which proves
the swap and no compatibility, and the report says so.

Effect    the kernel names another program (/proc/<pid>/exe) for a new process
          of every node, and their SHA-256 are recorded; with `back` it names
          the first one again after the heal.
Heal      with `back` (the default) the nodes go back to the target's own
          program in the same way: a downgrade. Without it they keep the other.
Expect    versions that promise to work together lose nothing. A program that
          refuses the data or its peers ends or does not answer; both are found.";

    fn shape(&self) -> String {
        let back = if self.back { " and back" } else { "" };
        format!("{} to {}{back}", self.node, self.to)
    }

    fn aimed_at(&self) -> Option<Selector> {
        Some(self.node)
    }

    fn victim_serves(&self) -> bool {
        true
    }

    fn replacement(&self) -> Option<Replacement> {
        Some(match self.to.as_str() {
            COPY => Replacement::Copy,
            path => Replacement::File(PathBuf::from(path)),
        })
    }

    fn problems(&self, nodes: u16) -> Vec<Problem> {
        let mut problems = self.node.problems(nodes, &["node"]);
        if self.to.is_empty() {
            problems.push(Problem {
                keys: vec!["to"],
                message: "the other program has no name".to_string(),
                help: Some("give the path of an executable file, or `copy`".to_string()),
            });
        }
        let each = self.down.plus(self.apart);
        let all = u64::from(each.as_millis()) * u64::from(nodes);
        if all > u64::from(BACK_MAX.as_millis()) {
            problems.push(Problem {
                keys: vec![if self.down > self.apart { "down" } else { "apart" }],
                message: format!(
                    "{nodes} nodes of {each} each would not be back within {BACK_MAX}"
                ),
                help: Some("a heal is bounded; let each node take less".to_string()),
            });
        }
        problems
    }

    fn draw(&self, nodes: u16, rng: &mut Stream) -> Self {
        Upgrade { node: self.node.draw(nodes, rng), ..self.clone() }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
        let mut victims = self.node.pick(view, rng)?;
        victims.sort();
        let mut order = victims.clone();
        order.sort_by_key(|node| Some(*node) == view.leader);
        Ok(Box::new(Upgrading { fault: self.clone(), victims, order, swaps: Vec::new() }))
    }
}

#[derive(Debug)]
struct Upgrading {
    fault: Upgrade,
    victims: Vec<NodeId>,
    order: Vec<NodeId>,
    /// In the order in which they were begun.
    swaps: Vec<Swap>,
}

/// One node that was stopped to be started as the other program.
#[derive(Debug)]
struct Swap {
    node: NodeId,
    process: Replaced,
    end: Option<ExitStatus>,
    before: Option<Program>,
    /// What ran as the other program, once it was started.
    other: Option<Program>,
    /// What runs after the way back.
    after: Option<Program>,
}

impl Upgrading {
    /// Stops a node and starts it as the other program.
    async fn forth(
        &mut self,
        hands: &dyn Hands,
        node: NodeId,
        force: &mut InForce,
    ) -> anyhow::Result<()> {
        let before = hands.program(node).await;
        let process = Replaced::look(hands, &[node]);
        hands.terminate(node).await?;
        let end = hands.exit(node);
        self.swaps.push(Swap { node, process, end, before, other: None, after: None });
        if end.is_none() {
            return Ok(());
        }
        hands.install(node, self.fault.replacement().as_ref()).await?;
        force.lasts(self.fault.down.duration()).await;
        hands.restart(node).await?;
        if let Some(swap) = self.swaps.last_mut() {
            swap.other = hands.program(node).await;
        }
        Ok(())
    }
}

#[async_trait]
impl Action for Upgrading {
    fn victims(&self) -> &[NodeId] {
        &self.victims
    }

    async fn inject(&mut self, _hands: &dyn Hands) -> anyhow::Result<()> {
        // In force from the first node on; all of it is done while it lasts.
        Ok(())
    }

    async fn sustain(&mut self, hands: &dyn Hands, force: &mut InForce) -> anyhow::Result<()> {
        for node in self.order.clone() {
            if !self.swaps.is_empty() && !force.lasts(self.fault.apart.duration()).await {
                return Ok(());
            }
            self.forth(hands, node, force).await?;
        }
        force.end().await;
        Ok(())
    }

    async fn undo(&mut self, hands: &dyn Hands) -> anyhow::Result<()> {
        if !self.fault.back {
            return Ok(());
        }
        for swap in self.swaps.iter_mut().filter(|swap| swap.end.is_some()) {
            hands.terminate(swap.node).await?;
            hands.install(swap.node, None).await?;
            tokio::time::sleep(self.fault.down.duration()).await;
            // One that would not end still runs, and two processes must not share its data.
            if hands.exit(swap.node).is_some() {
                hands.restart(swap.node).await?;
            }
            swap.after = hands.program(swap.node).await;
            tokio::time::sleep(self.fault.apart.duration()).await;
        }
        Ok(())
    }

    fn effect(&self, hands: &dyn Hands) -> Effect {
        if self.swaps.len() < self.order.len() {
            let (seen, of) = (self.swaps.len(), self.order.len());
            return Effect::None(format!("over after {seen} of {of} nodes; `for` is too short"));
        }
        let seen: Result<Vec<String>, String> =
            self.swaps.iter().map(|swap| swap.seen(self.fault.back, hands)).collect();
        match seen {
            Ok(seen) => Effect::Seen(seen.join("; ")),
            Err(why) => Effect::None(why),
        }
    }
}

impl Swap {
    /// What one node ran, as the kernel saw it.
    fn seen(&self, back: bool, hands: &dyn Hands) -> Result<String, String> {
        let node = self.node;
        let [process] = &stopped(&[(node, self.end)], &self.process, hands)?[..] else {
            return Err(format!("{node} was not seen"));
        };
        let (Some(before), Some(other)) = (&self.before, &self.other) else {
            return Err(format!("the program of {node} could not be seen"));
        };
        if before.path == other.path {
            return Err(format!("{node} still runs {}", before.path.display()));
        }
        let contents = match before.sha256 == other.sha256 {
            true => "the same contents".to_string(),
            false => format!("sha256 {} -> {}", short(before), short(other)),
        };
        let mut text =
            format!("{process}, {} -> {}, {contents}", before.path.display(), other.path.display());
        if back {
            match &self.after {
                Some(after) if after == before => text.push_str(", and back"),
                Some(after) => {
                    return Err(format!("{node} runs {} after the way back", after.path.display()));
                }
                None => return Err(format!("{node} did not come back")),
            }
        }
        Ok(text)
    }
}

/// The first digits of a hash: enough to tell two builds apart.
fn short(program: &Program) -> &str {
    program.sha256.get(..12).unwrap_or(&program.sha256)
}

impl fmt::Display for Replacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Replacement::Copy => f.write_str(COPY),
            Replacement::File(path) => path.display().fmt(f),
        }
    }
}
