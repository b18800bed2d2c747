//! The `bandwidth` fault: the links of a node carry only so many bytes a second.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use splitbrain_reports::record::{Effect, OnLinks};
use splitbrain_workloads::seed::Stream;

use super::reach::{Reach, Slowing};
use super::{Action, Direction, Fault, Problem, Scope, Selector, Skip, View};
use crate::network::{Shape, Slowed};
use crate::scalar::as_text;

/// Parameters of a `bandwidth`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bandwidth {
    /// Whose links.
    pub node: Selector,
    /// How many bytes each of them carries in a second.
    pub limit: BytesPerSecond,
    /// Which direction; both where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Links to whom.
    #[serde(default)]
    pub scope: Scope,
}

/// Bytes in a second, 1 kB to 1 GB, written `64kB` or `2MB`, in powers of ten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BytesPerSecond(u64);

impl BytesPerSecond {
    const KILO: u64 = 1000;
    const MEGA: u64 = 1_000_000;
    const MAX: u64 = 1_000_000_000;
}

impl fmt::Display for BytesPerSecond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes % BytesPerSecond::MEGA == 0 => {
                write!(f, "{}MB", bytes / BytesPerSecond::MEGA)
            }
            bytes => write!(f, "{}kB", bytes / BytesPerSecond::KILO),
        }
    }
}

impl FromStr for BytesPerSecond {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected bytes per second from `1kB` to `1000MB`, got `{text}`");
        let (number, unit) = match (text.strip_suffix("kB"), text.strip_suffix("MB")) {
            (Some(number), _) => (number, BytesPerSecond::KILO),
            (_, Some(number)) => (number, BytesPerSecond::MEGA),
            _ => return Err(expected()),
        };
        let number: u64 = number.parse().map_err(|_| expected())?;
        match number.checked_mul(unit) {
            Some(bytes @ 1..=BytesPerSecond::MAX) => Ok(BytesPerSecond(bytes)),
            _ => Err(expected()),
        }
    }
}

as_text!(BytesPerSecond);

impl Bandwidth {
    fn reach(&self) -> Reach {
        Reach { node: self.node, direction: self.direction, scope: self.scope }
    }
}

impl Fault for Bandwidth {
    const KIND: &'static str = "bandwidth";
    const SUMMARY: &'static str = "the links of nodes carry only so many bytes a second";
    const EXPLAIN: &'static str = "\
bandwidth: { node: leader, limit: 64kB, at: 2s, for: 3s }
bandwidth: { node: n2, limit: 8kB, direction: inbound, at: 2s, for: 3s }

Each link of the nodes meant carries at most `limit` in a second, shared by all
its connections; its other direction is a link of its own. Bytes that come
faster wait in the proxy, in order, and when a megabyte waits on a connection
TCP makes the sender wait. Idle time is not saved up. `direction` and `scope` as
in `delay`.

Effect    chunks found the link busy with others and had to wait, and no more
          passed than the limit allows.
Heal      what is read from then on passes at once; what is queued keeps its
          time.
Expect    a queue that grows: heartbeats stuck behind data, and elections.";

    fn shape(&self) -> String {
        format!("{}, {}/s", self.reach().shape(), self.limit)
    }

    fn on_links(&self) -> OnLinks {
        OnLinks::Slowed
    }

    fn aimed_at(&self) -> Option<Selector> {
        Some(self.node)
    }

    fn victim_serves(&self) -> bool {
        true
    }

    fn problems(&self, nodes: u16) -> Vec<Problem> {
        self.reach().problems(nodes)
    }

    fn draw(&self, nodes: u16, rng: &mut Stream) -> Self {
        Bandwidth { node: self.node.draw(nodes, rng), ..self.clone() }
    }

    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
        let shape = Shape { bytes_per_second: Some(self.limit.0), ..Shape::default() };
        Ok(Box::new(Slowing::new(self.reach(), shape, effect, view, rng)?))
    }
}

/// Chunks waited for each other.
fn effect(_shape: &Shape, seen: Slowed, lasted: Duration) -> Effect {
    if seen.early > 0 {
        return Effect::None(format!("{} chunks did not wait for their turn", seen.early));
    }
    let rate = seen.bytes as f64 / lasted.as_secs_f64().max(f64::MIN_POSITIVE);
    if seen.waited == 0 {
        return Effect::None(format!(
            "no link was ever busy: {rate:.0} bytes/s came over all of them together"
        ));
    }
    Effect::Seen(format!(
        "{} of {} chunks waited for a busy link, {rate:.0} bytes/s over all of them together",
        seen.waited, seen.chunks
    ))
}
