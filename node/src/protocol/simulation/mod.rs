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
fn prove(settings: &Settings, seeds: std::ops::Range<u64>) {
    let (mut acknowledged, count) = (0, seeds.end - seeds.start);
    for seed in seeds {
        let verdict = World::new(seed, settings.clone(), Shape::of(seed)).run();
        if let Err(violation) = verdict.safety {
            let again = World::new(seed, settings.clone(), Shape::of(seed)).traced().run();
            panic!("seed {seed}: {violation}\n{}", again.schedule.join("\n"));
        }
        acknowledged += verdict.acknowledged as u64;
    }
    // In the wildest schedules nothing is acknowledged; on the whole much must be.
    assert!(acknowledged > 20 * count, "only {acknowledged} writes in {count} schedules");
}

/// The first of some seeds whose schedule breaks a promise, and how.
fn first_violation(settings: &Settings, seeds: std::ops::Range<u64>) -> Option<(u64, String)> {
    seeds.into_iter().find_map(|seed| {
        let verdict = World::new(seed, settings.clone(), Shape::of(seed)).run();
        verdict.safety.err().map(|violation| (seed, violation))
    })
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

#[test]
#[ignore = "debugging"]
fn zz_debug() {
    let seed: u64 = std::env::var("SEED").unwrap().parse().unwrap();
    let profile = std::env::var("PROFILE").unwrap();
    let sets = std::env::var("SETS").unwrap_or_default();
    let sets: Vec<&str> = sets.split(',').filter(|s| !s.is_empty()).collect();
    let verdict = World::new(seed, settings(&profile, &sets), Shape::of(seed)).traced().run();
    println!("{}", verdict.schedule.join("\n"));
    println!(
        "{:?} converged {} acknowledged {} {:?}",
        verdict.safety,
        verdict.converged,
        verdict.acknowledged,
        Shape::of(seed)
    );
}

#[test]
#[ignore = "debugging"]
fn zz_switches() {
    for set in [
        "fencing=off",
        "completeness=off",
        "durable-vote=off",
        "log-matching=off",
        "commit-own-epoch=off",
        "reads=leader",
        "replication=async",
    ] {
        let t = std::time::Instant::now();
        println!(
            "{set}: {:?} {:?}",
            first_violation(&settings("raft", &[set]), 0..3000),
            t.elapsed()
        );
    }
}
