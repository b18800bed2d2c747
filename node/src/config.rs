//! Every protection of the store as a switch, the profiles that set them all, and the combinations
//! that make no sense.
//!
//! A profile is a row of values, nothing else: no code outside this file knows a profile's name,
//! and two profiles run the same lines. A value that is not implemented does not exist.

mod describe;
mod switch;

use std::time::Duration;

use serde::Serialize;
use thiserror::Error;

pub use describe::describe;
pub use switch::{SWITCHES, Switch};

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replication {
    /// When it is on the disks of a majority (etcd, MongoDB `w: majority`).
    Quorum,
    /// When it is on the leader's disk; followers get it afterwards (MySQL's and Redis's default).
    Async,
}

/// How a leader is chosen when none is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// By votes, one per node and epoch (Raft, section 5.2), after a pre-vote.
    Raft,
    /// The freshest log among those that answer in time claims the next epoch.
    MostRecent,
}

/// When a leader gives way that has come into contact with a later claimant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demote {
    /// At once.
    OnContact,
    /// After it has gone on serving for this long.
    After(Duration),
}

/// Where the strongest reads are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// At the leader, after a majority has confirmed it since the read arrived (Raft, section 8).
    ReadIndex,
    /// At whoever takes itself for the leader.
    Leader,
}

/// What a follower does with a request for the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// Passes it on, one hop, once.
    Forward,
    /// Answers who leads.
    Redirect,
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
    /// Where the strongest reads are served.
    pub reads: Reads,
    /// What a follower does with a request for the leader.
    pub routing: Routing,
    /// Whether a write that is sent again under its idempotency key is done once.
    pub idempotency: bool,
    /// Whether the log waits for the disk.
    pub fsync: Fsync,
    /// After how many entries the state machine is saved and the log behind it let go.
    pub snapshot_entries: u64,
    /// How often a leader makes itself heard.
    pub heartbeat: Duration,
    /// The shortest silence after which a leader is suspected; the longest is twice this.
    pub election_timeout: Duration,
    /// How long a node that would claim leadership waits for the positions of others.
    pub ask_window: Duration,
    /// The same for a node that has met no leader since it started, so that a cluster that is
    /// being started waits for its slower half.
    pub start_grace: Duration,
}

/// The named rows of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it stands for, in one sentence.
    pub meaning: &'static str,
}

/// Every profile, the default first.
pub const PROFILES: [Profile; 2] = [
    Profile {
        name: "raft",
        meaning: "every protection on: acknowledged writes survive, reads are linearizable",
    },
    Profile {
        name: "async",
        meaning: "the leader acknowledges alone and the freshest reachable follower takes over \
                  without a majority or a fence: fast, and acknowledged writes can be lost",
    },
];

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// No such profile.
    #[error("profile: expected \"raft\" or \"async\", got \"{0}\"")]
    Profile(String),
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
        match name {
            "raft" => Ok(Self::raft()),
            "async" => Ok(Self::asynchronous()),
            _ => Err(ConfigError::Profile(name.to_string())),
        }
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

    fn raft() -> Self {
        Settings {
            replication: Replication::Quorum,
            election: Election::Raft,
            majority: true,
            completeness: true,
            durable_vote: true,
            log_matching: true,
            commit_own_epoch: true,
            fencing: true,
            demote: Demote::OnContact,
            reads: Reads::ReadIndex,
            routing: Routing::Forward,
            idempotency: true,
            fsync: Fsync::Always,
            snapshot_entries: 20_000,
            heartbeat: Duration::from_millis(50),
            election_timeout: Duration::from_millis(300),
            ask_window: Duration::from_millis(150),
            start_grace: Duration::from_secs(2),
        }
    }

    fn asynchronous() -> Self {
        Settings {
            replication: Replication::Async,
            election: Election::MostRecent,
            majority: false,
            completeness: false,
            fencing: false,
            demote: Demote::After(Duration::from_secs(3)),
            reads: Reads::Leader,
            ..Self::raft()
        }
    }

    /// Refuses combinations that make no sense, with the reason.
    ///
    /// # Errors
    /// [`ConfigError::Nonsense`] with the first that was found.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (holds, switches, why, help) in self.nonsense() {
            if holds {
                let what = switches
                    .iter()
                    .filter_map(|name| Switch::named(name).ok())
                    .map(|switch| format!("{}={}", switch.name, switch.get(self)))
                    .collect::<Vec<_>>()
                    .join(" with ");
                return Err(ConfigError::Nonsense { what, why, help });
            }
        }
        Ok(())
    }

    /// Every combination that is refused: whether it is given, which switches, why, what to do.
    fn nonsense(&self) -> [(bool, &'static [&'static str], &'static str, &'static str); 12] {
        let raft = self.election == Election::Raft;
        let most_recent = !raft;
        let day = Duration::from_secs(24 * 3600);
        [
            (
                raft && !self.majority,
                &["election", "majority"],
                "an election by votes is won with a majority or not at all",
                "set majority=on, or election=most-recent",
            ),
            (
                most_recent && self.completeness != self.majority,
                &["election", "completeness", "majority"],
                "the freshest of those asked is the best of a majority exactly when a majority \
                 is asked",
                "set completeness and majority to the same value",
            ),
            (
                most_recent && !self.durable_vote,
                &["election", "durable-vote"],
                "nobody votes in this election, so there is no vote to keep",
                "set durable-vote=on, or election=raft",
            ),
            (
                self.reads == Reads::ReadIndex && !self.majority,
                &["reads", "majority"],
                "read-index asks a majority whether the leader still leads, and here leaders \
                 need none",
                "set reads=leader, or majority=on",
            ),
            (
                self.fencing && self.demote != Demote::OnContact,
                &["fencing", "demote"],
                "a leader that is fenced off is refused at once and has nothing to go on with",
                "set demote=on-contact, or fencing=off",
            ),
            (
                self.snapshot_entries == 0,
                &["snapshot-entries"],
                "the state machine would be saved without an end",
                "set it above 0",
            ),
            (
                self.heartbeat.is_zero() || self.election_timeout.is_zero(),
                &["heartbeat", "election-timeout"],
                "time must pass between heartbeats and before suspicion",
                "set both above 0ms",
            ),
            (
                self.election_timeout < 2 * self.heartbeat,
                &["heartbeat", "election-timeout"],
                "one late heartbeat would depose a healthy leader",
                "set the election timeout to several heartbeats",
            ),
            (
                self.election_timeout > day,
                &["election-timeout"],
                "a leader would not be missed within a day",
                "set it below 24 hours",
            ),
            (
                most_recent && self.ask_window.is_zero(),
                &["election", "ask-window"],
                "nobody could answer in time, and every node would claim for itself",
                "set ask-window above 0ms",
            ),
            (
                self.start_grace < self.ask_window,
                &["start-grace", "ask-window"],
                "a starting node would wait less than a running one",
                "set start-grace to at least ask-window",
            ),
            (
                self.ask_window > day || self.start_grace > day,
                &["start-grace", "ask-window"],
                "an election would take more than a day",
                "set both below 24 hours",
            ),
        ]
    }

    /// The longest silence of a leader before it is suspected, and of a majority before a leader
    /// gives up.
    pub fn election_timeout_max(&self) -> Duration {
        2 * self.election_timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(profile: &str, overrides: &[&str]) -> String {
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        Settings::resolve(profile, &overrides).expect_err("it makes no sense").to_string()
    }

    #[test]
    fn every_profile_makes_sense() {
        for profile in PROFILES {
            Settings::resolve(profile.name, &[]).expect("a profile makes sense");
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_reason() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("raft", &["majority=off"], "election=raft with majority=off: "),
            ("async", &["reads=read-index"], "reads=read-index with majority=off: "),
            ("raft", &["demote=after 3s"], "fencing=on with demote=after 3s: "),
            ("raft", &["heartbeat=400ms"], "heartbeat=400ms with election-timeout=300ms: "),
            ("async", &["majority=on"], "election=most-recent with completeness=off with majority"),
            ("async", &["durable-vote=off"], "election=most-recent with durable-vote=off: "),
            ("async", &["ask-window=0ms"], "election=most-recent with ask-window=0ms: "),
            ("async", &["start-grace=10ms"], "start-grace=10ms with ask-window=150ms: "),
            ("raft", &["heartbeat=0ms"], "heartbeat=0ms with election-timeout=300ms: "),
            ("raft", &["fencing"], "--set: expected name=value, got \"fencing\""),
            ("raft", &["fence=off"], "--set: no switch is named \"fence\""),
            ("raft", &["fencing=maybe"], "--set fencing: expected on, off, got \"maybe\""),
            ("paxos", &[], "profile: expected \"raft\" or \"async\", got \"paxos\""),
        ];
        for (profile, overrides, begin) in cases {
            let refusal = refusal(profile, overrides);
            assert!(refusal.starts_with(begin), "expected \"{begin}...\", got \"{refusal}\"");
        }
    }

    #[test]
    fn every_switch_reads_back_what_was_set() {
        for profile in PROFILES {
            let settings = Settings::profile(profile.name).expect("it exists");
            for switch in SWITCHES {
                let mut other = Settings::profile("raft").expect("it exists");
                switch.set(&mut other, &switch.get(&settings)).expect("its own value is one");
                assert_eq!(switch.get(&other), switch.get(&settings), "{}", switch.name);
            }
        }
    }
}
