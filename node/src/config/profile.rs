//! The profiles: named rows of values for all switches.
//!
//! A profile is data. `docs/protections.md` says which real system's knobs each one mirrors.

use std::time::Duration;

use super::{
    Demote, Election, Fallback, Fsync, Level, Reads, Replication, Routing, Settings, Standbys,
    WaitPoint,
};

/// The named rows of values.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it stands for, in one sentence.
    pub meaning: &'static str,
    /// Its values.
    pub(super) row: fn() -> Settings,
}

/// Every profile, the default first.
pub const PROFILES: [Profile; 2] = [
    Profile {
        name: "raft",
        meaning: "every protection on: acknowledged writes survive, reads are linearizable",
        row: raft,
    },
    Profile {
        name: "async",
        meaning: "the leader acknowledges alone and the freshest reachable follower takes over \
                  without a majority or a fence: fast, and acknowledged writes can be lost",
        row: asynchronous,
    },
];

fn raft() -> Settings {
    Settings {
        replication: Replication::Quorum,
        level: Level::Durable,
        wait_point: WaitPoint::AfterSync,
        replicas: 1,
        fallback: Fallback::After(Duration::from_secs(10)),
        standbys: Standbys::All,
        min_in_sync: 2,
        replica_lag: Duration::from_secs(1),
        unclean_election: false,
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
        heartbeat: Duration::from_millis(50),
        election_timeout: Duration::from_millis(300),
        ask_window: Duration::from_millis(150),
        start_grace: Duration::from_secs(2),
    }
}

fn asynchronous() -> Settings {
    Settings {
        replication: Replication::Async,
        election: Election::MostRecent,
        majority: false,
        completeness: false,
        fencing: false,
        demote: Demote::After(Duration::from_secs(3)),
        reads: Reads::Leader,
        ..raft()
    }
}
