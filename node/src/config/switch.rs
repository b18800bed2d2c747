//! The table of switches: name, meaning, values, and how to read and set each.
//!
//! The command line sets switches through it, `/status` and `--describe` print it.

use std::time::Duration;

use super::{
    ConfigError, Demote, Election, Fallback, Fsync, Level, LogFormat, PromoteBy, Reads,
    Replication, Routing, Settings, Standbys, Suspicion, Topology, WaitPoint,
};

/// One switch.
#[derive(Debug)]
pub struct Switch {
    /// Its name in `--set name=value`.
    pub name: &'static str,
    /// What it decides, in one sentence.
    pub meaning: &'static str,
    /// Its values, as text.
    pub values: &'static str,
    read: fn(&Settings) -> String,
    write: fn(&mut Settings, &str) -> Option<()>,
}

impl Switch {
    /// The switch of a name.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Result<&'static Switch, ConfigError> {
        SWITCHES
            .iter()
            .find(|switch| switch.name == name)
            .ok_or_else(|| ConfigError::Switch(name.to_string()))
    }

    /// Its value in some settings.
    pub fn get(&self, settings: &Settings) -> String {
        (self.read)(settings)
    }

    /// Sets it.
    ///
    /// # Errors
    /// When it has no such value.
    pub fn set(&self, settings: &mut Settings, value: &str) -> Result<(), ConfigError> {
        (self.write)(settings, value).ok_or_else(|| ConfigError::Value {
            name: self.name,
            expected: self.values,
            got: value.to_string(),
        })
    }
}

/// A switch whose values are words.
macro_rules! words {
    (
        $name:literal, $field:ident, $meaning:literal, $values:literal,
        $($word:literal => $value:expr),+
    ) => {
        Switch {
            name: $name,
            meaning: $meaning,
            values: $values,
            read: |settings| {
                $(if settings.$field == $value { return $word.to_string(); })+
                unreachable!("every value has a word")
            },
            write: |settings, text| {
                settings.$field = match text { $($word => $value,)+ _ => return None };
                Some(())
            },
        }
    };
}

/// A switch that is on or off.
macro_rules! on_off {
    ($name:literal, $field:ident, $meaning:literal) => {
        words!($name, $field, $meaning, "on, off", "on" => true, "off" => false)
    };
}

/// A switch that is a length of time.
macro_rules! span {
    ($name:literal, $field:ident, $meaning:literal) => {
        Switch {
            name: $name,
            meaning: $meaning,
            values: "a duration such as 50ms or 3s",
            read: |settings| duration_text(settings.$field),
            write: |settings, text| {
                settings.$field = duration(text)?;
                Some(())
            },
        }
    };
}

/// A switch that is a number.
macro_rules! number {
    ($name:literal, $field:ident, $meaning:literal) => {
        Switch {
            name: $name,
            meaning: $meaning,
            values: "a number of nodes such as 1 or 2",
            read: |settings| settings.$field.to_string(),
            write: |settings, text| {
                settings.$field = text.parse().ok()?;
                Some(())
            },
        }
    };
}

/// Every switch, in the order in which they are printed.
pub static SWITCHES: &[Switch] = &[
    words!(
        "replication", replication,
        "when a write is acknowledged: when a majority has it; the leader alone; also some \
         followers, or none after a time; also every standby; also every follower that keeps up",
        "quorum, async, semi-sync, sync, isr",
        "quorum" => Replication::Quorum, "async" => Replication::Async,
        "semi-sync" => Replication::SemiSync, "sync" => Replication::Sync,
        "isr" => Replication::Isr
    ),
    words!(
        "level", level,
        "what a follower must have done with a write before its confirmation counts",
        "received, durable, applied",
        "received" => Level::Received, "durable" => Level::Durable, "applied" => Level::Applied
    ),
    words!(
        "wait-point", wait_point,
        "a write that waits for followers is visible to others only after that, or before",
        "after-sync, after-commit",
        "after-sync" => WaitPoint::AfterSync, "after-commit" => WaitPoint::AfterCommit
    ),
    number!("replicas", replicas, "how many followers replication=semi-sync waits for"),
    Switch {
        name: "fallback",
        meaning: "when replication=semi-sync goes on without confirmations, until its followers \
                  have caught up",
        values: "never, after <duration>",
        read: |settings| match settings.fallback {
            Fallback::Never => "never".to_string(),
            Fallback::After(span) => format!("after {}", duration_text(span)),
        },
        write: |settings, text| {
            settings.fallback = match text.strip_prefix("after ") {
                Some(span) => Fallback::After(duration(span)?),
                None if text == "never" => Fallback::Never,
                None => return None,
            };
            Some(())
        },
    },
    Switch {
        name: "standbys",
        meaning: "whose confirmation replication=sync waits for",
        values: "all, or nodes such as n1,n2",
        read: |settings| match &settings.standbys {
            Standbys::All => "all".to_string(),
            Standbys::Named(nodes) => {
                let names: Vec<String> = nodes.iter().map(|node| format!("n{node}")).collect();
                names.join(",")
            }
        },
        write: |settings, text| {
            settings.standbys = if text == "all" { Standbys::All } else { named(text)? };
            Some(())
        },
    },
    number!(
        "min-in-sync",
        min_in_sync,
        "the smallest in-sync set, leader included, that acknowledges with replication=isr"
    ),
    span!(
        "replica-lag",
        replica_lag,
        "how long a follower may be behind before it falls out of the in-sync set"
    ),
    on_off!(
        "unclean-election",
        unclean_election,
        "a majority may elect a node that lacks what a shrunken in-sync set acknowledged"
    ),
    words!(
        "election", election,
        "who stands when the leader is missed: whoever missed it first; whom a majority agrees on; \
         of those that answer the freshest, the longest-serving or the highest; the highest on the \
         ring; whom an operator promotes; whoever gets a lock in a lock service",
        "raft, paxos, most-recent, seniority, bully, ring, manual, lease",
        "raft" => Election::Raft, "paxos" => Election::Paxos,
        "most-recent" => Election::MostRecent,
        "seniority" => Election::Seniority, "bully" => Election::Bully, "ring" => Election::Ring,
        "manual" => Election::Manual, "lease" => Election::Lease
    ),
    on_off!(
        "majority",
        majority,
        "whoever stands needs the votes of a majority, and stays leader in contact with one"
    ),
    on_off!(
        "completeness",
        completeness,
        "voters refuse whoever lacks entries they have, and only the best log stands"
    ),
    on_off!("durable-vote", durable_vote, "a vote is on disk before it is given"),
    on_off!(
        "log-matching",
        log_matching,
        "entries are accepted only behind the very entry they follow at the leader"
    ),
    on_off!(
        "commit-own-epoch",
        commit_own_epoch,
        "a leader begins with an entry of its own and commits earlier ones only through it"
    ),
    on_off!("fencing", fencing, "a promise to a later epoch refuses earlier leaders"),
    Switch {
        name: "demote",
        meaning: "when a leader gives way that has come into contact with a later claimant",
        values: "on-contact, after <duration>, never",
        read: |settings| match settings.demote {
            Demote::OnContact => "on-contact".to_string(),
            Demote::After(span) => format!("after {}", duration_text(span)),
            Demote::Never => "never".to_string(),
        },
        write: |settings, text| {
            settings.demote = match text.strip_prefix("after ") {
                Some(span) => Demote::After(duration(span)?),
                None if text == "on-contact" => Demote::OnContact,
                None if text == "never" => Demote::Never,
                None => return None,
            };
            Some(())
        },
    },
    words!(
        "topology", topology,
        "which way entries travel: from the leader to every follower, or to one that hands them on \
         to the next",
        "star, chain",
        "star" => Topology::Star, "chain" => Topology::Chain
    ),
    span!(
        "apply-delay",
        apply_delay,
        "how long after its leader wrote an entry a follower applies it"
    ),
    words!(
        "promote-by", promote_by,
        "what the winner of an election begins with: all that it has received, or what it has \
         applied, cutting the rest",
        "received, applied",
        "received" => PromoteBy::Received, "applied" => PromoteBy::Applied
    ),
    words!(
        "reads", reads,
        "the strongest reads: at the leader after a majority has confirmed it, or while it holds a \
         lease from a majority; at whoever takes itself for the leader; at any node",
        "read-index, lease, leader, any",
        "read-index" => Reads::ReadIndex, "lease" => Reads::Lease, "leader" => Reads::Leader,
        "any" => Reads::Any
    ),
    span!(
        "lease-margin",
        lease_margin,
        "by how much the lease of reads=lease is shorter than election-timeout, for clocks that \
         run at different rates"
    ),
    words!(
        "routing", routing,
        "a request for the leader at a follower: passed on one hop, or answered with who leads",
        "forward, redirect",
        "forward" => Routing::Forward, "redirect" => Routing::Redirect
    ),
    on_off!(
        "idempotency",
        idempotency,
        "a write that is sent again under its idempotency key is done once"
    ),
    words!(
        "resource-tokens", resource_tokens,
        "a protected resource refuses a writer whose fencing token is smaller than one it has \
         seen, or lets everybody write",
        "checked, ignored",
        "checked" => true, "ignored" => false
    ),
    words!(
        "log-format", log_format,
        "what the log holds of a statement: the statement, for every node to evaluate; what it \
         wrote at the leader; or the statement where that comes to the same",
        "statement, row, mixed",
        "statement" => LogFormat::Statement, "row" => LogFormat::Row, "mixed" => LogFormat::Mixed
    ),
    words!(
        "fsync", fsync,
        "whether the log waits for the disk before anything depends on a record",
        "always, never",
        "always" => Fsync::Always, "never" => Fsync::Never
    ),
    Switch {
        name: "snapshot-entries",
        meaning: "after how many entries the state is saved and the log behind it let go",
        values: "a number such as 20000",
        read: |settings| settings.snapshot_entries.to_string(),
        write: |settings, text| {
            settings.snapshot_entries = text.parse().ok()?;
            Some(())
        },
    },
    span!(
        "lock-ttl",
        lock_ttl,
        "the time to live of the lock that a leader holds with election=lease; it renews after a \
         third"
    ),
    Switch {
        name: "lock-margin",
        meaning: "how long before its lock runs out, by its own clock, a leader of election=lease \
                  stops serving; off: it serves until it is told that it lost the lock",
        values: "off, or a duration such as 50ms or 3s",
        read: |settings| settings.lock_margin.map_or("off".to_string(), duration_text),
        write: |settings, text| {
            settings.lock_margin = if text == "off" { None } else { Some(duration(text)?) };
            Some(())
        },
    },
    span!("heartbeat", heartbeat, "how often a leader makes itself heard"),
    span!(
        "election-timeout",
        election_timeout,
        "the shortest silence after which a leader is suspected; the longest is twice this"
    ),
    words!(
        "suspicion", suspicion,
        "the silence that is tolerated of a leader: the election timeout, or at least that and as \
         much more as its silences so far make usual",
        "fixed, adaptive",
        "fixed" => Suspicion::Fixed, "adaptive" => Suspicion::Adaptive
    ),
    span!(
        "suspicion-max",
        suspicion_max,
        "the longest silence that suspicion=adaptive tolerates; suspicion follows within twice this"
    ),
    span!(
        "ask-window",
        ask_window,
        "how long a node that would claim leadership waits for the positions of others"
    ),
    span!(
        "start-grace",
        start_grace,
        "the same for a node that has met no leader since it started"
    ),
];

/// Nodes such as `n1,n3`, each once.
fn named(text: &str) -> Option<Standbys> {
    let numbers = text.split(',').map(|name| name.trim().strip_prefix('n')?.parse().ok());
    let mut nodes: Vec<u16> = numbers.collect::<Option<_>>()?;
    let count = nodes.len();
    nodes.sort_unstable();
    nodes.dedup();
    (nodes.len() == count && nodes[0] > 0).then_some(Standbys::Named(nodes))
}

fn duration(text: &str) -> Option<Duration> {
    let (digits, millis) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 1),
        None => (text.strip_suffix('s')?, 1000),
    };
    let number: u64 = digits.parse().ok()?;
    Some(Duration::from_millis(number.checked_mul(millis)?))
}

fn duration_text(span: Duration) -> String {
    let millis = span.as_millis();
    if millis > 0 && millis.is_multiple_of(1000) {
        format!("{}s", millis / 1000)
    } else {
        format!("{millis}ms")
    }
}
