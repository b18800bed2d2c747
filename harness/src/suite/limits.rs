//! Every default and every limit of a suite, with its reason. The reference of suites
//! (docs/suite-reference.md) repeats them, and a test compares.

use super::units::{Rate, Time};

/// Clients of a run that names none: three or four for each of three nodes.
pub const CLIENTS: u16 = 10;
/// Rate of a run that names none: little for any store, enough to have writes in flight at the
/// moment of every fault.
pub const RATE: Rate = Rate::PerSecond(500);
/// Duration of the load of a run that names none.
pub const DURATION: Time = Time::from_secs(20);
/// Timeout of an operation of a run that names none: longer than an election should take.
pub const TIMEOUT: Time = Time::from_secs(1);
/// Nodes of a target that names none: the smallest cluster with a minority.
pub const NODES: u16 = 3;

/// No faults so early: the clients must have written something that can be lost.
pub const LEAD_IN: Time = Time::from_secs(1);
/// Repeated faults are healed so long before the end: what they broke must be seen recovering.
pub const TAIL: Time = Time::from_secs(1);
/// The heal of a drawn fault begins so long before a quiet window: a restart takes most of it.
pub const QUIET_HEAL: Time = Time::from_secs(1);
/// How long the weakened target of a canary runs without faults: long enough to show that it does
/// not fail by itself.
pub const CALM: Time = Time::from_secs(3);

/// More nodes than any store of the field elects among; each is a process on this machine.
pub const NODES_MAX: u16 = 9;
/// A thousand clients are a thousand connections and more history than a person reads.
pub const CLIENTS_MAX: u16 = 1000;
/// Beyond it the clients would be measured, not the store.
pub const RATE_MAX: u32 = 100_000;
/// The history of a run is judged in memory; an hour at the default rate is two million operations.
pub const DURATION_MAX: Time = Time::from_secs(3600);
/// Less load than this cannot hold the lead-in, a fault and a recovery.
pub const DURATION_MIN: Time = Time::from_secs(1);
/// A client that waits longer does not load the store.
pub const TIMEOUT_MAX: Time = Time::from_secs(60);
/// A shorter timeout gives up what a busy machine answers late.
pub const TIMEOUT_MIN: Time = Time::from_millis(10);
/// More faults than this, after `every` was expanded, cannot be told apart in a report.
pub const FAULTS_MAX: usize = 1000;
/// A fault a thousand times as likely as another is as good as alone.
pub const WEIGHT_MAX: u32 = 1000;
/// A suite is read and judged as a whole.
pub const RUNS_MAX: usize = 200;
/// Names become folders; with the folders around them they must fit into a path.
pub const NAME_MAX: usize = 64;
/// A suite is written by people.
pub const FILE_MAX: usize = 1 << 20;
/// Each key is its own history; the checkers keep all of them.
pub const KEYS_MAX: u32 = 10_000;
/// Reads of all elements are as long as the set, so their number bounds the history.
pub const LISTS_MAX: u32 = 1000;
/// The largest set one list can carry within the timeout of an operation.
pub const ELEMENTS_MAX: u32 = 1_000_000;
/// A condition on more acknowledged writes than this is not met within an hour.
pub const ACKNOWLEDGED_MAX: u64 = 1_000_000_000;
