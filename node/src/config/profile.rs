//! The profiles: named rows of values for all switches.
//!
//! A profile is data. `docs/protections.md` says which real system's knobs each one mirrors.

use std::time::Duration;

use super::{
    Demote, Election, Fallback, Fsync, Level, LogFormat, PromoteBy, Reads, Replication, Routing,
    Settings, Standbys, Suspicion, Topology, WaitPoint,
};
use crate::protocol::Plants;

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
pub const PROFILES: [Profile; 8] = [
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
    Profile {
        name: "mysql-async",
        meaning: "MySQL as it comes with a failover tool: the source acknowledges alone, and the \
                  replica with the most data takes over",
        row: mysql_async,
    },
    Profile {
        name: "mysql-semi-sync",
        meaning: "MySQL semi-synchronous: one replica has received a write before it is \
                  acknowledged, or ten seconds have passed",
        row: mysql_semi_sync,
    },
    Profile {
        name: "postgres-sync",
        meaning: "PostgreSQL with every standby synchronous: nothing is acknowledged while one is \
                  gone, and an operator promotes",
        row: postgres_sync,
    },
    Profile {
        name: "redis-sentinel",
        meaning: "Redis with Sentinel: the master acknowledges from memory, and one that was taken \
                  for dead goes on until it is told otherwise",
        row: redis_sentinel,
    },
    Profile {
        name: "mongodb-majority",
        meaning: "MongoDB with write concern majority: acknowledged writes survive, and a primary \
                  that does not know of its successor serves old reads",
        row: mongodb_majority,
    },
    Profile {
        name: "kafka-isr",
        meaning: "Kafka with acks=all: every replica that keeps up has received a write, two of \
                  them at least, and the first of the freshest takes over",
        row: kafka_isr,
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
        topology: Topology::Star,
        apply_delay: Duration::ZERO,
        promote_by: PromoteBy::Received,
        reads: Reads::ReadIndex,
        lease_margin: Duration::from_millis(100),
        routing: Routing::Forward,
        idempotency: true,
        resource_tokens: true,
        log_format: LogFormat::Row,
        fsync: Fsync::Always,
        snapshot_entries: 20_000,
        lock_ttl: Duration::from_secs(3),
        lock_margin: Some(Duration::from_millis(500)),
        heartbeat: Duration::from_millis(50),
        election_timeout: Duration::from_millis(300),
        suspicion: Suspicion::Fixed,
        suspicion_max: Duration::from_secs(2),
        ask_window: Duration::from_millis(150),
        start_grace: Duration::from_secs(2),
        plants: Plants::NONE,
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

fn mysql_async() -> Settings {
    asynchronous()
}

fn mysql_semi_sync() -> Settings {
    Settings { replication: Replication::SemiSync, level: Level::Received, ..asynchronous() }
}

fn postgres_sync() -> Settings {
    Settings {
        replication: Replication::Sync,
        election: Election::Manual,
        demote: Demote::OnContact,
        ..asynchronous()
    }
}

fn redis_sentinel() -> Settings {
    Settings {
        demote: Demote::After(Duration::from_secs(2)),
        fsync: Fsync::Never,
        ..asynchronous()
    }
}

fn mongodb_majority() -> Settings {
    Settings { reads: Reads::Leader, ..raft() }
}

fn kafka_isr() -> Settings {
    Settings {
        replication: Replication::Isr,
        level: Level::Received,
        fsync: Fsync::Never,
        election: Election::Seniority,
        reads: Reads::Leader,
        ..raft()
    }
}
