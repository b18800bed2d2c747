//! The combinations of values that make no sense, each with the reason for which it is refused.

use std::time::Duration;

use super::{
    ConfigError, Demote, Election, Fallback, Level, Reads, Replication, Settings, Standbys,
    Suspicion, Switch, Topology, WaitPoint,
};
use crate::protocol::CHAIN_PATIENCE;
use crate::state::{TTL_MAX, TTL_MIN};

impl Settings {
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

    /// Refuses values that a cluster of these nodes cannot satisfy, such as a standby that is not
    /// one of them. `nodes` are the numbers of all nodes.
    ///
    /// # Errors
    /// [`ConfigError::Cluster`] with the first that was found.
    pub fn check_cluster(&self, nodes: &[u16]) -> Result<(), ConfigError> {
        let refuse = |name: &str, expected: String, help| {
            let value = Switch::named(name).map(|switch| switch.get(self)).unwrap_or_default();
            Err(ConfigError::Cluster { what: format!("{name}={value}"), expected, help })
        };
        let (count, followers) = (nodes.len(), nodes.len().saturating_sub(1));
        match self.replication {
            Replication::SemiSync if usize::from(self.replicas) > followers => refuse(
                "replicas",
                format!("at most {followers}, since there are {count} nodes"),
                "lower it, or start more nodes",
            ),
            Replication::Isr if usize::from(self.min_in_sync) > count => refuse(
                "min-in-sync",
                format!("at most {count}, since there are {count} nodes"),
                "lower it, or start more nodes",
            ),
            Replication::Sync => match &self.standbys {
                Standbys::Named(named) if named.iter().any(|node| !nodes.contains(node)) => {
                    refuse("standbys", "nodes of this cluster".to_string(), "name others, or all")
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }?;
        if self.topology == Topology::Chain && count < 3 {
            return refuse(
                "topology",
                format!("star, since there are {count} nodes and a chain begins with three"),
                "set topology=star, or start more nodes",
            );
        }
        Ok(())
    }

    /// Refuses to change the members of a running cluster of so many voters into these where the
    /// settings do not keep what they promise meanwhile.
    ///
    /// # Errors
    /// [`ConfigError::Nonsense`] or [`ConfigError::Cluster`] with the first that was found.
    pub fn check_change(&self, before: usize, after: &[u16]) -> Result<(), ConfigError> {
        let shown = |name: &str| {
            let value = Switch::named(name).map(|switch| switch.get(self)).unwrap_or_default();
            format!("{name}={value}")
        };
        if !self.majority {
            return Err(ConfigError::Nonsense {
                what: shown("majority"),
                why: "a majority agrees on who is a member, and here leaders need none",
                help: "start the nodes again with other --peer lists, or set majority=on",
            });
        }
        if after.is_empty() {
            return Err(ConfigError::Nonsense {
                what: "members".to_string(),
                why: "nobody would be left",
                help: "add another node first",
            });
        }
        self.check_cluster(after)?;
        // A majority of the next configuration meets every majority of this one, and nothing
        // smaller. Whoever promises nothing beyond the leader's disk has nothing to lose by that.
        let (count, most) = (after.len(), before.max(after.len()));
        let (name, acknowledge) = match self.replication {
            Replication::Isr if !self.unclean_election => {
                ("min-in-sync", usize::from(self.min_in_sync))
            }
            Replication::SemiSync if self.fallback == Fallback::Never => {
                ("replicas", usize::from(self.replicas) + 1)
            }
            Replication::Sync => match &self.standbys {
                Standbys::Named(named) => ("standbys", named.len()),
                Standbys::All => ("standbys", count),
            },
            _ => return Ok(()),
        };
        if acknowledge <= most / 2 {
            return Err(ConfigError::Cluster {
                what: shown(name),
                expected: format!(
                    "at least {} nodes, leader included, to acknowledge every write, since \
                     {before} voters become {count} and an election among those need not meet \
                     fewer",
                    most / 2 + 1
                ),
                help: "raise it, or set replication=quorum",
            });
        }
        Ok(())
    }

    /// Every combination that is refused: whether it is given, which switches, why, what to do.
    fn nonsense(&self) -> [(bool, &'static [&'static str], &'static str, &'static str); 29] {
        let raft = self.election == Election::Raft;
        let lone = [Election::Raft, Election::Paxos, Election::Manual, Election::Lease];
        let asks = !lone.contains(&self.election);
        let by_lock = self.election == Election::Lease;
        let replication = self.replication;
        let waits = matches!(replication, Replication::SemiSync | Replication::Sync);
        let isr = replication == Replication::Isr;
        let lease = self.reads == Reads::Lease;
        let day = Duration::from_secs(24 * 3600);
        [
            (
                self.level == Level::Applied && !self.apply_delay.is_zero(),
                &["level", "apply-delay"],
                "every write would wait for the delay",
                "set level=durable, or apply-delay=0ms",
            ),
            (
                self.apply_delay > day,
                &["apply-delay"],
                "what waits to be applied is kept in memory",
                "set it below 24 hours",
            ),
            (
                replication == Replication::Async && self.level != Level::Durable,
                &["replication", "level"],
                "no follower is waited for, so it does not matter what it would confirm",
                "set level=durable, or replication=semi-sync",
            ),
            (
                self.wait_point == WaitPoint::AfterCommit && !waits,
                &["replication", "wait-point"],
                "the followers' confirmation is what commits here, so nothing is visible before it",
                "set wait-point=after-sync, or replication=semi-sync or sync",
            ),
            (
                self.replicas == 0 || self.min_in_sync == 0,
                &["replicas", "min-in-sync"],
                "waiting for nobody is replication=async",
                "set both to at least 1",
            ),
            (
                self.fallback == Fallback::After(Duration::ZERO),
                &["fallback"],
                "no follower can confirm in no time, so this is replication=async",
                "set it above 0ms, or fallback=never",
            ),
            (
                self.unclean_election && !isr,
                &["unclean-election", "replication"],
                "only where the in-sync set may shrink can a leader come from outside it",
                "set unclean-election=off, or replication=isr",
            ),
            (
                isr && !self.unclean_election && !(self.majority && self.completeness),
                &["replication", "unclean-election", "majority", "completeness"],
                "only votes by the log can tell who holds what the in-sync set acknowledged",
                "set unclean-election=on, or majority=on and completeness=on",
            ),
            (
                isr && self.replica_lag < 2 * self.heartbeat,
                &["replica-lag", "heartbeat"],
                "an idle follower is heard once per heartbeat and would fall out of the set",
                "set replica-lag to several heartbeats",
            ),
            (
                isr && self.topology == Topology::Chain
                    && self.replica_lag < (CHAIN_PATIENCE + 2) * self.heartbeat,
                &["topology", "replication", "replica-lag", "heartbeat"],
                "a follower whose parent is gone is bypassed after three heartbeats, and would \
                 have fallen out of the set before",
                "set replica-lag to at least five heartbeats, or topology=star",
            ),
            (
                raft && !self.majority,
                &["election", "majority"],
                "an election by votes is won with a majority or not at all",
                "set majority=on, or election=most-recent",
            ),
            (
                self.election == Election::Paxos && !self.majority,
                &["election", "majority"],
                "what a majority of acceptors has not accepted is not chosen, and two minorities \
                 would choose twice",
                "set majority=on, or election=most-recent",
            ),
            (
                self.completeness && !self.majority,
                &["completeness", "majority"],
                "the best log of a majority is known only if a majority is asked",
                "set majority=on, or completeness=off",
            ),
            (
                !self.durable_vote && !self.majority,
                &["durable-vote", "majority"],
                "nobody votes in this election, so there is no vote to keep",
                "set durable-vote=on, or majority=on",
            ),
            (
                self.reads == Reads::ReadIndex && !self.majority,
                &["reads", "majority"],
                "read-index asks a majority whether the leader still leads, and here leaders \
                 need none",
                "set reads=leader, or majority=on",
            ),
            (
                lease && !self.majority,
                &["reads", "majority"],
                "a lease is the promise of a majority to elect nobody else, and here nobody asks it",
                "set reads=leader, or majority=on",
            ),
            (
                lease && !self.fencing,
                &["reads", "fencing"],
                "followers that have voted for a successor would go on confirming the old leader",
                "set fencing=on, or reads=leader",
            ),
            (
                lease && self.election_timeout < self.lease_margin + 2 * self.heartbeat,
                &["reads", "election-timeout", "lease-margin", "heartbeat"],
                "the lease would be over before the next heartbeat renews it",
                "set the election timeout above lease-margin by several heartbeats",
            ),
            (
                self.fencing && self.demote != Demote::OnContact,
                &["fencing", "demote"],
                "a leader that is fenced off is refused at once and has nothing to go on with",
                "set demote=on-contact, or fencing=off",
            ),
            (
                by_lock && !(TTL_MIN..=TTL_MAX).contains(&self.lock_ttl),
                &["election", "lock-ttl"],
                "lock services grant from 100 ms to 24 hours",
                "set it to a few seconds",
            ),
            (
                by_lock && self.lock_margin.is_some_and(|margin| margin > self.lock_ttl / 2),
                &["lock-margin", "lock-ttl"],
                "the leader renews after a third of the time and would stop before a renewal \
                 that is late is answered",
                "set the margin to at most half of lock-ttl",
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
                self.suspicion == Suspicion::Adaptive
                    && (self.suspicion_max < self.election_timeout || self.suspicion_max > day),
                &["suspicion", "suspicion-max", "election-timeout"],
                "an adaptive suspicion lies between the two, and within a day",
                "set suspicion-max to at least election-timeout, and below 24 hours",
            ),
            (
                asks && self.ask_window.is_zero(),
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
}

#[cfg(test)]
mod tests {
    use super::super::{PROFILES, SWITCHES};
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
            ("raft", &["election=paxos", "majority=off"], "election=paxos with majority=off: what"),
            ("async", &["reads=read-index"], "reads=read-index with majority=off: "),
            ("async", &["reads=lease"], "reads=lease with majority=off: "),
            ("raft", &["reads=lease", "fencing=off"], "reads=lease with fencing=off: "),
            ("raft", &["reads=lease", "lease-margin=250ms"], "reads=lease with election-timeout=3"),
            ("raft", &["demote=after 3s"], "fencing=on with demote=after 3s: "),
            ("raft", &["heartbeat=400ms"], "heartbeat=400ms with election-timeout=300ms: "),
            ("async", &["completeness=on"], "completeness=on with majority=off: "),
            ("async", &["durable-vote=off"], "durable-vote=off with majority=off: "),
            ("async", &["ask-window=0ms"], "election=most-recent with ask-window=0ms: "),
            ("async", &["start-grace=10ms"], "start-grace=10ms with ask-window=150ms: "),
            (
                "raft",
                &["suspicion=adaptive", "suspicion-max=9ms"],
                "suspicion=adaptive with suspicion-m",
            ),
            ("raft", &["heartbeat=0ms"], "heartbeat=0ms with election-timeout=300ms: "),
            ("async", &["level=received"], "replication=async with level=received: "),
            ("raft", &["wait-point=after-commit"], "replication=quorum with wait-point=after-"),
            ("raft", &["replicas=0"], "replicas=0 with min-in-sync=2: "),
            ("raft", &["fallback=after 0ms"], "fallback=after 0ms: "),
            ("raft", &["unclean-election=on"], "unclean-election=on with replication=quorum: "),
            ("async", &["replication=isr"], "replication=isr with unclean-election=off with maj"),
            ("raft", &["replication=isr", "replica-lag=50ms"], "replica-lag=50ms with heartbeat"),
            ("raft", &["election=lease", "lock-margin=2s"], "lock-margin=2s with lock-ttl=3s: "),
            ("raft", &["election=lease", "lock-ttl=20ms"], "election=lease with lock-ttl=20ms: "),
            ("raft", &["election=lease", "majority=off"], "completeness=on with majority=off: "),
            ("raft", &["level=applied", "apply-delay=1s"], "level=applied with apply-delay=1s: "),
            (
                "raft",
                &["topology=chain", "replication=isr", "replica-lag=200ms"],
                "topology=chain with replication=isr with replica-lag=200ms with heartbeat=50ms: ",
            ),
            ("raft", &["apply-delay=90000s"], "apply-delay=90000s: "),
            ("raft", &["standbys=n2,m3"], "--set standbys: expected all, or nodes such as n1,n2"),
            ("raft", &["fencing"], "--set: expected name=value, got \"fencing\""),
            ("raft", &["fence=off"], "--set: no switch is named \"fence\""),
            ("raft", &["fencing=maybe"], "--set fencing: expected on, off, got \"maybe\""),
            ("paxos", &[], "profile: expected one of raft, async"),
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

    #[test]
    fn what_a_cluster_cannot_satisfy_is_refused_when_its_nodes_are_known() {
        let cases: &[(&[&str], &str)] = &[
            (&["replication=semi-sync", "replicas=3"], "replicas=3: expected at most 2, "),
            (&["replication=isr", "min-in-sync=4"], "min-in-sync=4: expected at most 3, "),
            (&["replication=sync", "standbys=n2,n4"], "standbys=n2,n4: expected nodes of this "),
        ];
        for (overrides, begin) in cases {
            let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
            let settings = Settings::resolve("raft", &overrides).expect("it makes sense as such");
            let refusal = settings.check_cluster(&[1, 2, 3]).expect_err("not here").to_string();
            assert!(refusal.starts_with(begin), "expected \"{begin}...\", got \"{refusal}\"");
        }
        let settings = Settings::resolve("raft", &[]).expect("it makes sense");
        let chain = Settings::resolve("raft", &["topology=chain".to_string()]).expect("as such");
        let refusal = chain.check_cluster(&[1, 2]).expect_err("nobody to hand on to").to_string();
        assert!(refusal.starts_with("topology=chain: expected star, since"), "{refusal}");
        settings.check_cluster(&[1]).expect("a cluster of one needs nobody");
    }
}
