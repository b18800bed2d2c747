//! What may go wrong under which settings, said before anything is run.
//!
//! The textbooks' answers as data: settings in, anomalies out, each with the switches it comes from
//! and the reason. An empty answer is a promise. The simulation holds the promises and finds the
//! anomalies; `workloads/suites/protections.yaml` does the same with real processes, and
//! `docs/protections.md` lays the two side by side.

use serde::Serialize;

use super::{
    Election, Fallback, Fsync, Level, LogFormat, PromoteBy, Reads, Replication, Settings, Standbys,
    WaitPoint,
};

/// An anomaly that may occur.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Prediction {
    /// Its name, as verdicts call it.
    pub anomaly: &'static str,
    /// The switches that allow it, by name.
    pub switches: Vec<&'static str>,
    /// How it comes about.
    pub why: String,
    /// Whether it comes about although nothing goes wrong: no crash, no cut, nothing late beyond
    /// what is usual.
    pub without_faults: bool,
}

/// Everything that may be found in a cluster of so many nodes; empty if these settings keep every
/// promise.
pub fn predict(settings: &Settings, nodes: u16) -> Vec<Prediction> {
    let holders = holders(settings, nodes);
    let compared = compared(settings, nodes);
    let mut found = Vec::new();
    let mut may = |anomaly, switches: &[&'static str], why: String| {
        let (switches, without_faults) = (switches.to_vec(), false);
        found.push(Prediction { anomaly, switches, why, without_faults });
    };
    if holders + compared <= nodes {
        may(
            "lost-write",
            &["replication", "election", "majority", "completeness"],
            format!(
                "an acknowledged write is certain to be on {holders} of {nodes} nodes, and a new \
                 leader is sure to hold what {compared} of them hold: these may miss each other"
            ),
        );
    }
    // Whoever confirms a write to a leader that is deposed already must be one of few.
    if !settings.fencing && settings.majority && holders < nodes {
        may(
            "lost-write",
            &["fencing"],
            "a follower that voted for a successor still confirms writes of the deposed leader, \
             and the successor erases them"
                .to_string(),
        );
    }
    if settings.promote_by == PromoteBy::Applied {
        may(
            "lost-write",
            &["promote-by", "apply-delay"],
            "a follower applies an entry after it has learned that it is committed, later still \
             with apply-delay; a winner drops what it has received and not applied"
                .to_string(),
        );
    }
    quiet_rules(settings, &mut may);
    disks(settings, holders, &mut may);
    reads(settings, nodes, holders, &mut may);
    if settings.log_format == LogFormat::Statement {
        may(
            "divergence",
            &["log-format"],
            "a statement with now(), rand() or uuid() is evaluated by every node for itself, and \
             comes to something else at each"
                .to_string(),
        );
    }
    if !settings.idempotency {
        may(
            "duplicate",
            &["idempotency"],
            "a write whose answer was lost is sent again by its client, and is done again"
                .to_string(),
        );
    }
    if holders <= nodes / 2 && !settings.majority {
        may(
            "lost-update",
            &["replication", "majority"],
            "two leaders at once each let a compare-and-set of the same value succeed".to_string(),
        );
    }
    found.extend(by_itself(settings, nodes));
    found
}

/// What happens although nothing goes wrong in the cluster.
fn by_itself(settings: &Settings, nodes: u16) -> Vec<Prediction> {
    let mut found = Vec::new();
    let mut may = |anomaly, switch, why: &str| {
        let (switches, why, without_faults) = (vec![switch], why.to_string(), true);
        found.push(Prediction { anomaly, switches, why, without_faults });
    };
    if settings.reads == Reads::Any && nodes > 1 {
        may(
            "stale-read",
            "reads",
            "a follower answers from what it has applied, which is as old as its last contact with \
             a leader",
        );
    }
    if !settings.resource_tokens {
        may(
            "stale-token",
            "resource-tokens",
            "a holder that was paused until its lock had gone to another overwrites what the other \
             wrote to the resource",
        );
    }
    found
}

/// How many nodes are certain to hold an acknowledged write.
fn holders(settings: &Settings, nodes: u16) -> u16 {
    match settings.replication {
        Replication::Async => 1,
        Replication::Quorum => nodes / 2 + 1,
        Replication::SemiSync if settings.fallback == Fallback::Never => settings.replicas + 1,
        Replication::SemiSync => 1,
        Replication::Sync => match &settings.standbys {
            Standbys::All => nodes,
            // The leader may be one of those named.
            Standbys::Named(named) if named.len() < usize::from(nodes) => {
                u16::try_from(named.len()).unwrap_or(nodes)
            }
            Standbys::Named(_) => nodes,
        },
        Replication::Isr => settings.min_in_sync,
    }
}

/// Of how many nodes, itself included, the winner of an election is sure to hold every entry.
fn compared(settings: &Settings, nodes: u16) -> u16 {
    if !settings.completeness {
        return 1;
    }
    let majority = nodes / 2 + 1;
    if settings.replication == Replication::Isr && !settings.unclean_election {
        majority.max(nodes + 1 - settings.min_in_sync.min(nodes))
    } else {
        majority
    }
}

/// The quieter rules of Raft.
fn quiet_rules(settings: &Settings, may: &mut impl FnMut(&'static str, &[&'static str], String)) {
    if !settings.durable_vote {
        may(
            "lost-write",
            &["durable-vote"],
            "a node that forgot its vote in a crash votes twice, and one epoch has two leaders"
                .to_string(),
        );
    }
    if !settings.log_matching {
        may(
            "divergence",
            &["log-matching"],
            "entries are joined to a log that differs before them, and replicas stay different"
                .to_string(),
        );
    }
    if !settings.commit_own_epoch {
        may(
            "lost-write",
            &["commit-own-epoch"],
            "an entry of an earlier epoch that a majority holds is counted, and a later leader \
             that never saw it erases it (Raft, figure 8)"
                .to_string(),
        );
    }
}

/// What a crash or a power failure takes.
fn disks(
    settings: &Settings,
    holders: u16,
    may: &mut impl FnMut(&'static str, &[&'static str], String),
) {
    if settings.level == Level::Received {
        may(
            "lost-write",
            &["level"],
            format!(
                "of the {holders} nodes that hold an acknowledged write all but one may hold it in \
                 memory only: their crash before the next flush takes it"
            ),
        );
    }
    if settings.fsync != Fsync::Always {
        may(
            "lost-write",
            &["fsync"],
            "a power failure takes what the kernel had not written, with an interval what came \
             since the last sync; the death of a process alone takes nothing"
                .to_string(),
        );
    }
}

fn reads(
    settings: &Settings,
    nodes: u16,
    holders: u16,
    may: &mut impl FnMut(&'static str, &[&'static str], String),
) {
    // If every node must confirm a write, nothing newer exists while an old leader is left out.
    // And whoever stops serving before its lock can go to another never answers beside another.
    let leased = settings.election == Election::Lease;
    if settings.reads == Reads::Leader && holders < nodes && leased {
        if settings.lock_margin.is_none_or(|margin| margin < settings.lock_ttl / 100) {
            may(
                "stale-read",
                &["reads", "election", "lock-margin"],
                "a leader that was paused or cut off for longer than its lease does not look at \
                 its clock, or has one that runs slow, and answers from its own old state while \
                 another leads"
                    .to_string(),
            );
        }
    } else if settings.reads == Reads::Leader && holders < nodes {
        may(
            "stale-read",
            &["reads"],
            "a leader that does not know of its successor answers from its own old state"
                .to_string(),
        );
    }
    if settings.reads == Reads::Lease && settings.lease_margin < settings.clocks_differ_by() {
        may(
            "stale-read",
            &["reads", "lease-margin"],
            "a follower whose clock runs a little faster votes for a successor before the leader's \
             lease is over"
                .to_string(),
        );
    }
    if settings.wait_point == WaitPoint::AfterCommit {
        may(
            "stale-read",
            &["wait-point"],
            "a value is seen before followers have it and is gone after a failover, so that later \
             reads return an older one"
                .to_string(),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn anomalies(profile: &str, overrides: &[&str]) -> BTreeSet<&'static str> {
        anomalies_among(3, profile, overrides)
    }

    fn anomalies_among(nodes: u16, profile: &str, overrides: &[&str]) -> BTreeSet<&'static str> {
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        let settings = Settings::resolve(profile, &overrides).expect("the settings make sense");
        predict(&settings, nodes).into_iter().map(|prediction| prediction.anomaly).collect()
    }

    #[test]
    fn every_protection_that_is_off_is_predicted_to_cost_something() {
        assert!(anomalies("raft", &[]).is_empty());
        for switch in [
            "replication=async",
            "replication=semi-sync",
            "level=received",
            "completeness=off",
            "durable-vote=off",
            "log-matching=off",
            "promote-by=applied",
            "commit-own-epoch=off",
            "fencing=off",
            "reads=leader",
            "reads=any",
            "resource-tokens=ignored",
            "log-format=statement",
            "fsync=never",
        ] {
            assert!(!anomalies("raft", &[switch]).is_empty(), "{switch}");
        }
        assert!(anomalies("raft", &["reads=lease"]).is_empty());
        assert!(!anomalies("raft", &["reads=lease", "lease-margin=0ms"]).is_empty());
    }

    #[test]
    fn every_profile_is_predicted_to_lose_what_its_model_documents() {
        let all = ["lost-update", "lost-write", "stale-read"];
        for (profile, expected) in [
            ("raft", &[][..]),
            ("async", &all),
            ("mysql-async", &all),
            ("mysql-semi-sync", &all),
            ("postgres-sync", &[]),
            ("redis-sentinel", &all),
            ("mongodb-majority", &["stale-read"]),
            ("kafka-isr", &["lost-write", "stale-read"]),
        ] {
            assert_eq!(anomalies(profile, &[]), expected.iter().copied().collect(), "{profile}");
        }
    }

    /// The value of `key:` in a line, up to the end of its braces.
    fn braces<'a>(line: &'a str, key: &str) -> Option<&'a str> {
        let rest = line.split_once(&format!("{key}: {{"))?.1;
        Some(rest.split_once('}')?.0)
    }

    #[test]
    fn every_canary_of_the_suite_expects_what_is_predicted() {
        let suite = include_str!("../../../workloads/suites/protections.yaml");
        let mut canaries = 0;
        let (mut target, mut expected) = (String::new(), None);
        for line in suite.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            if let Some(anomaly) = braces(line, "expect") {
                let anomaly = anomaly.trim();
                let by_itself = anomaly.strip_prefix("fail-without-faults: ");
                let by_fault = anomaly.strip_prefix("fail: ");
                expected = by_fault.or(by_itself).map(|anomaly| (anomaly, by_itself.is_some()));
            } else if line.contains("store: {") && !line.starts_with("control") {
                target = line.to_string();
            } else if line.starts_with("control") {
                let mut predicted = suite_anomalies(&target);
                if target.contains("weak-reads") {
                    // No setting of the node: the clients forget to ask (docs/protections.md).
                    predicted.extend([("read-your-writes", true), ("stale-read", false)]);
                }
                let expected = expected.take().expect("a canary expects something");
                assert!(predicted.contains(&expected), "{target}: {expected:?} is not predicted");
                canaries += 1;
            }
        }
        assert!(canaries >= 10, "only {canaries} canaries were read");
    }

    /// What is predicted of a target, each with whether it comes about without any fault.
    fn suite_anomalies(line: &str) -> BTreeSet<(&'static str, bool)> {
        let word = line.split_once("profile: ").expect("a profile").1;
        let profile = word.split([',', ' ', '}']).next().expect("a word");
        let overrides: Vec<String> = braces(line, "set")
            .map(|set| set.split(", ").map(|pair| pair.trim().replacen(": ", "=", 1)).collect())
            .unwrap_or_default();
        let nodes = line.split_once("nodes: ").map_or("3", |(_, rest)| &rest[..1]);
        let nodes = nodes.parse().expect("a number");
        let settings = Settings::resolve(profile, &overrides).expect("the settings make sense");
        let predicted = predict(&settings, nodes).into_iter();
        predicted.map(|prediction| (prediction.anomaly, prediction.without_faults)).collect()
    }
}
