//! The core in a simulated world: thousands of seeded schedules of loss, delay, reordering,
//! duplication, partitions, pauses, and crashes that lose what was not flushed.
//!
//! The cores are the ones that run in production; only time, network, disks and clients are
//! simulated ([`world`]). After every step the invariants of the Raft paper (figure 3) are checked,
//! and every answer to a client is checked against the one committed log ([`referee`]). A failing
//! seed is run again with its schedule printed.
//!
//! The same world shows that the protections matter: with a switch off it finds what the switch
//! protects from.

mod referee;
mod world;

use crate::config::Settings;
use world::{Shape, World};

/// Runs seeds until one fails; prints its schedule and panics with its violation.
///
/// Returns how many snapshots took the place of a log.
fn prove(settings: &Settings, seeds: std::ops::Range<u64>) -> usize {
    let (mut acknowledged, count) = (0, seeds.end - seeds.start);
    let mut installed = 0;
    for seed in seeds {
        let verdict = World::new(seed, settings.clone(), Shape::of(seed)).run();
        if let Err(violation) = verdict.safety {
            let again = World::new(seed, settings.clone(), Shape::of(seed)).traced().run();
            panic!("seed {seed}: {violation}\n{}", again.schedule.join("\n"));
        }
        acknowledged += verdict.acknowledged as u64;
        installed += verdict.installed;
    }
    // In the wildest schedules nothing is acknowledged; on the whole much must be.
    assert!(acknowledged > 20 * count, "only {acknowledged} writes in {count} schedules");
    installed
}

fn settings(profile: &str, overrides: &[&str]) -> Settings {
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    Settings::resolve(profile, &overrides).expect("the settings make sense")
}

#[test]
fn the_raft_profile_keeps_every_promise_in_half_the_schedules() {
    prove(&settings("raft", &[]), 0..SCHEDULES / 2);
}

#[test]
fn the_raft_profile_keeps_every_promise_in_the_other_half() {
    prove(&settings("raft", &[]), SCHEDULES / 2..SCHEDULES);
}

#[test]
fn with_snapshots_all_the_time_the_raft_profile_keeps_every_promise() {
    let installed = prove(&settings("raft", &["snapshot-entries=7"]), 0..SCHEDULES / 2);
    assert!(installed > 200, "only {installed} snapshots took the place of a log");
}

#[test]
fn with_snapshots_all_the_time_the_async_profile_ends_with_all_replicas_equal() {
    let mut installed = 0;
    for seed in 0..300 {
        let settings = settings("async", &["snapshot-entries=5"]);
        let verdict = World::new(seed, settings, Shape::of(seed)).run();
        assert!(verdict.converged, "seed {seed}: the replicas differ at the end");
        installed += verdict.installed;
    }
    assert!(installed > 20, "only {installed} snapshots took the place of a log");
}

/// How many schedules an ordinary test run tries.
const SCHEDULES: u64 = 2000;

#[test]
#[ignore = "a soak of many minutes"]
fn the_raft_profile_keeps_every_promise_in_a_soak() {
    prove(&settings("raft", &[]), SCHEDULES..100 * SCHEDULES);
}

#[test]
fn the_async_profile_loses_acknowledged_writes() {
    let async_profile = settings("async", &[]);
    let lossy = (0..100)
        .filter(|seed| World::new(*seed, async_profile.clone(), Shape::of(*seed)).run().lost > 0)
        .count();
    assert!(lossy > 10, "acknowledged writes were lost in {lossy} of 100 schedules only");
}

#[test]
fn the_async_profile_ends_with_all_replicas_equal() {
    for seed in 0..200 {
        let verdict = World::new(seed, settings("async", &[]), Shape::of(seed)).run();
        assert!(verdict.converged, "seed {seed}: the replicas differ at the end");
    }
}

/// What the simulation finds when one protection of the raft profile is off. Fencing and
/// commit-own-epoch need schedules too rare for chance; `scenarios.rs` writes them out.
fn is_caught(switch: &str, expected: &str) {
    let settings = settings("raft", &[switch]);
    let caught = (0..2 * SCHEDULES).any(|seed| {
        let verdict = World::new(seed, settings.clone(), Shape::of(seed)).run();
        verdict.safety.is_err_and(|violation| violation.contains(expected))
    });
    assert!(caught, "{switch}: no schedule broke the promise of {expected}");
}

#[test]
fn without_completeness_a_leader_lacks_committed_entries() {
    is_caught("completeness=off", "leader completeness");
}

#[test]
fn without_durable_votes_two_leaders_share_an_epoch() {
    is_caught("durable-vote=off", "election safety");
}

#[test]
fn without_log_matching_logs_that_share_an_entry_differ_before_it() {
    is_caught("log-matching=off", "log matching");
}

#[test]
fn reads_at_whoever_takes_itself_for_the_leader_are_stale() {
    is_caught("reads=leader", "stale read");
}

#[test]
fn asynchronous_replication_under_a_raft_election_loses_writes() {
    is_caught("replication=async", "lost");
}

#[test]
fn without_idempotency_a_write_that_is_sent_again_is_done_again() {
    is_caught("idempotency=off", "applied twice");
}
