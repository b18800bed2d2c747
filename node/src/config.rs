//! Every protection of the store as a switch, the profiles that set them all, and the combinations
//! that make no sense.
//!
//! A profile is a row of values, nothing else: no code outside this file knows a profile's name,
//! and two profiles run the same lines. A value that is not implemented does not exist.

mod describe;
mod nonsense;
mod predict;
mod profile;
mod switch;

use std::time::Duration;

use thiserror::Error;

use crate::protocol::Plants;

pub use describe::{describe, prediction};
pub use predict::{Prediction, predict};
pub use profile::{PROFILES, Profile};
pub use switch::{SWITCHES, Switch};

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replication {
    /// When it is on the disks of a majority (etcd, MongoDB `w: majority`).
    Quorum,
    /// When it is on the leader's disk; followers get it afterwards (MySQL's and Redis's default).
    Async,
    /// When the leader's disk has it and so many followers have confirmed it; if they do not within
    /// a time, the leader goes on alone until they have caught up (MySQL semi-synchronous).
    SemiSync,
    /// When the leader's disk has it and every standby that counts has confirmed it, however long
    /// that takes (PostgreSQL `synchronous_standby_names`).
    Sync,
    /// When every follower that keeps up has confirmed it; one that falls behind is no longer
    /// waited for (Kafka `acks=all` with `min.insync.replicas`).
    Isr,
}

/// What a follower must have done with a write before its confirmation counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// It has it in memory (PostgreSQL `remote_write`, Kafka).
    Received,
    /// It has it on disk (PostgreSQL `on`).
    Durable,
    /// Reads at the follower see it (PostgreSQL `remote_apply`).
    Applied,
}

/// When a write that waits for followers becomes visible to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitPoint {
    /// After the followers have confirmed it (MySQL `AFTER_SYNC`).
    AfterSync,
    /// Before: only the answer to its writer waits (MySQL `AFTER_COMMIT`).
    AfterCommit,
}

/// Whose confirmation synchronous replication waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standbys {
    /// Every follower's.
    All,
    /// These nodes', the leader itself excepted. Numbers of nodes, ascending, never empty.
    Named(Vec<u16>),
}

/// Whether semi-synchronous replication goes on alone when no follower confirms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// It waits for ever.
    Never,
    /// It does after so long without a confirmation.
    After(Duration),
}

/// How a leader is chosen when none is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// By votes, one per node and epoch (Raft, section 5.2), after a pre-vote.
    Raft,
    /// A majority agrees on who leads in each epoch (Lamport, "Paxos made simple", 2001), after a
    /// pre-vote.
    Paxos,
    /// The freshest log among those that answer in time stands.
    MostRecent,
    /// Whoever has served longest of those that answer in time stands.
    Seniority,
    /// The highest number among those that answer stands (Garcia-Molina, "Elections in a
    /// distributed computing system", 1982).
    Bully,
    /// The highest number on a token that went round the ring stands (Chang and Roberts, 1979).
    Ring,
    /// Nobody stands unless an operator says so.
    Manual,
    /// Whoever holds a lock with a time to live in a lock service (Chubby, Kubernetes).
    Lease,
}

/// How long a leader may be silent before it is suspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspicion {
    /// As long as the election timeout says.
    Fixed,
    /// As long as its silences so far make usual (Jacobson, "Congestion avoidance and control",
    /// 1988), at least the election timeout, at most [`Settings::suspicion_max`].
    Adaptive,
}

/// Which way entries travel to the followers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    /// From the leader to each.
    Star,
    /// From the leader to one, which hands them on to the next (MySQL `log_replica_updates`,
    /// PostgreSQL cascading replication).
    Chain,
}

/// What the winner of an election begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromoteBy {
    /// All that it has received.
    Received,
    /// What it has applied; the rest is cut.
    Applied,
}

/// When a leader gives way that has come into contact with a later claimant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demote {
    /// At once.
    OnContact,
    /// After it has gone on serving for this long.
    After(Duration),
    /// Not by itself: only its end, by a crash or an operator, ends its leadership.
    Never,
}

/// Where the strongest reads are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// At the leader, after a majority has confirmed it since the read arrived (Raft, section 8).
    ReadIndex,
    /// At the leader, without asking while a majority has confirmed it so recently that nobody
    /// else can have been elected (Raft thesis, section 6.4.1); with a round otherwise.
    Lease,
    /// At whoever takes itself for the leader.
    Leader,
    /// At whatever node is asked, from what it has applied (MySQL and Redis replicas).
    Any,
}

/// What a follower does with a request for the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// Passes it on, one hop, once.
    Forward,
    /// Answers who leads.
    Redirect,
}

/// What the log holds of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// The statement: every node finds out for itself what it writes (MySQL
    /// `binlog_format=STATEMENT`).
    Statement,
    /// What it wrote at the leader (`ROW`).
    Row,
    /// The statement if that comes to the same everywhere, otherwise the row (`MIXED`).
    Mixed,
}

/// Whether the log waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// `fdatasync` before anything depends on a record.
    Always,
    /// Never; a power loss takes what the kernel had not written yet.
    Never,
}

/// All switches. [`Settings::check`] says whether they make sense together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// When a write is acknowledged.
    pub replication: Replication,
    /// What a follower must have done before its confirmation counts.
    pub level: Level,
    /// When a write that waits for followers becomes visible.
    pub wait_point: WaitPoint,
    /// How many followers semi-synchronous replication waits for.
    pub replicas: u16,
    /// Whether semi-synchronous replication goes on alone.
    pub fallback: Fallback,
    /// Whose confirmation synchronous replication waits for.
    pub standbys: Standbys,
    /// The smallest in-sync set, leader included, that may acknowledge.
    pub min_in_sync: u16,
    /// How long a follower may fall behind and still belong to the in-sync set.
    pub replica_lag: Duration,
    /// Whether a majority may elect a node that lacks what a shrunken in-sync set acknowledged.
    pub unclean_election: bool,
    /// How a leader is chosen.
    pub election: Election,
    /// Whether an election needs a majority, and a leader contact with one.
    pub majority: bool,
    /// Whether the winner of an election must hold the best log of a majority.
    pub completeness: bool,
    /// Whether a vote is on disk before it is given.
    pub durable_vote: bool,
    /// Whether entries are accepted only behind the very entry they follow at the leader.
    pub log_matching: bool,
    /// Whether a leader begins with an entry of its own and commits earlier ones only through it.
    pub commit_own_epoch: bool,
    /// Whether a promise to a later epoch refuses earlier leaders.
    pub fencing: bool,
    /// When a leader gives way to a later claimant.
    pub demote: Demote,
    /// Which way entries travel to the followers.
    pub topology: Topology,
    /// How long after its leader wrote an entry a follower applies it.
    pub apply_delay: Duration,
    /// What the winner of an election begins with.
    pub promote_by: PromoteBy,
    /// Where the strongest reads are served.
    pub reads: Reads,
    /// By how much a lease is shorter than the time for which followers promise their votes.
    pub lease_margin: Duration,
    /// What a follower does with a request for the leader.
    pub routing: Routing,
    /// Whether a write that is sent again under its idempotency key is done once.
    pub idempotency: bool,
    /// Whether a protected resource refuses a write whose fencing token is smaller than one that
    /// it has seen.
    pub resource_tokens: bool,
    /// What the log holds of a statement.
    pub log_format: LogFormat,
    /// Whether the log waits for the disk.
    pub fsync: Fsync,
    /// After how many entries the state machine is saved and the log behind it let go.
    pub snapshot_entries: u64,
    /// The time to live of the lock that a leader holds with `election=lease`.
    pub lock_ttl: Duration,
    /// How long before its lock runs out a leader stops serving; `None` is not at all.
    pub lock_margin: Option<Duration>,
    /// How often a leader makes itself heard.
    pub heartbeat: Duration,
    /// The shortest silence after which a leader is suspected; the longest is twice this.
    pub election_timeout: Duration,
    /// Whether the silence that is tolerated follows the ones that were observed.
    pub suspicion: Suspicion,
    /// The most that is tolerated then; the longest silence before suspicion is twice this.
    pub suspicion_max: Duration,
    /// How long a node that would claim leadership waits for the positions of others.
    pub ask_window: Duration,
    /// The same for a node that has met no leader since it started, so that a cluster that is
    /// being started waits for its slower half.
    pub start_grace: Duration,
    /// Mistakes planted on purpose, for whoever tests a judge. No profile has any.
    pub plants: Plants,
}

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// No such profile.
    #[error("profile: expected one of {expected}, got \"{got}\"")]
    Profile {
        /// Those that exist.
        expected: String,
        /// What was given.
        got: String,
    },
    /// `--set` without an equals sign.
    #[error("--set: expected name=value, got \"{0}\"; help: such as --set fencing=off")]
    Assignment(String),
    /// No such switch.
    #[error("--set: no switch is named \"{0}\"; help: --describe lists them")]
    Switch(String),
    /// The switch has no such value.
    #[error("--set {name}: expected {expected}, got \"{got}\"")]
    Value {
        /// The switch.
        name: &'static str,
        /// Its values.
        expected: &'static str,
        /// What was given.
        got: String,
    },
    /// The values make no sense in a cluster of these nodes.
    #[error("{what}: expected {expected}; help: {help}")]
    Cluster {
        /// The switch with its value.
        what: String,
        /// What a cluster of this size offers.
        expected: String,
        /// What to set instead.
        help: &'static str,
    },
    /// The values make no sense together.
    #[error("{what}: {why}; help: {help}")]
    Nonsense {
        /// The switches.
        what: String,
        /// Why they do not go together.
        why: &'static str,
        /// What to set instead.
        help: &'static str,
    },
}

impl Settings {
    /// The values of a profile.
    ///
    /// # Errors
    /// When there is no such profile.
    pub fn profile(name: &str) -> Result<Self, ConfigError> {
        let profile = PROFILES.iter().find(|profile| profile.name == name);
        let profile = profile.ok_or_else(|| ConfigError::Profile {
            expected: PROFILES.map(|profile| profile.name).join(", "),
            got: name.to_string(),
        })?;
        Ok((profile.row)())
    }

    /// A profile with some of its switches overridden by `name=value`, checked.
    ///
    /// # Errors
    /// When the profile, a switch or a value does not exist, or the values make no sense together.
    pub fn resolve(profile: &str, overrides: &[String]) -> Result<Self, ConfigError> {
        let mut settings = Self::profile(profile)?;
        for assignment in overrides {
            let (name, value) = assignment
                .split_once('=')
                .ok_or_else(|| ConfigError::Assignment(assignment.clone()))?;
            Switch::named(name)?.set(&mut settings, value)?;
        }
        settings.check()?;
        Ok(settings)
    }

    /// By how much two clocks may come to differ while an election timeout passes: one part in a
    /// hundred, ten times what a kernel lets a clock be slewed or a bad quartz drifts.
    pub fn clocks_differ_by(&self) -> Duration {
        self.election_timeout / 100
    }

    /// The longest silence of a leader before it is suspected, and of a majority before a leader
    /// gives up.
    pub fn election_timeout_max(&self) -> Duration {
        match self.suspicion {
            Suspicion::Fixed => 2 * self.election_timeout,
            Suspicion::Adaptive => 2 * self.suspicion_max,
        }
    }
}
