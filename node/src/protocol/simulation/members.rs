//! An operator adds and removes members all the time, whatever else happens: crashes that lose what
//! was not flushed, syncs that fail, and whole disks that are lost, whose nodes come back as learners.

use super::world::{Shape, Wipes, World};
use super::{SCHEDULES, Tally, prove_each, settings};

/// What happens beside the changes.
fn changing(seed: u64) -> Shape {
    Shape::of(seed).with_changes_of_members()
}

fn changing_and_losing_disks(seed: u64) -> Shape {
    changing(seed).with_wipes(Wipes::OneAtATime)
}

/// Every safe election, and every way to acknowledge by which a majority does.
const SAFE: [&[&str]; 13] = [
    &["reads=lease"],
    &["election=paxos"],
    &["election=most-recent"],
    &["election=seniority"],
    &["election=bully"],
    &["election=ring"],
    &["topology=chain"],
    &["level=applied"],
    &["replication=sync"],
    &["replication=semi-sync", "fallback=never", "replicas=2"],
    &["replication=isr", "min-in-sync=3", "replica-lag=200ms"],
    &["suspicion=adaptive", "suspicion-max=1s"],
    &["apply-delay=150ms", "snapshot-entries=20"],
];

fn keeps_every_promise(
    overrides: &[&str],
    seeds: std::ops::Range<u64>,
    shape: fn(u64) -> Shape,
) -> Tally {
    let count = seeds.end - seeds.start;
    let tally = prove_each(&settings("raft", overrides), seeds, shape);
    let Tally { acknowledged, changed, without_majority, .. } = tally;
    assert!(without_majority * 20 < count, "{without_majority} of {count} without a majority");
    assert!(acknowledged > 5 * count, "only {acknowledged} writes in {count} schedules");
    assert!(changed as u64 > count, "only {changed} changes in {count} schedules");
    tally
}

#[test]
fn with_members_added_and_removed_all_the_time_the_raft_profile_keeps_every_promise() {
    keeps_every_promise(&[], 0..SCHEDULES / 2, changing);
}

#[test]
fn with_members_changing_and_snapshots_all_the_time_the_raft_profile_keeps_every_promise() {
    let Tally { installed, .. } =
        keeps_every_promise(&["snapshot-entries=7"], 0..SCHEDULES / 2, changing);
    assert!(installed > 500, "only {installed} snapshots took the place of a log");
}

#[test]
fn with_members_changing_every_safe_setting_keeps_every_promise() {
    for overrides in SAFE {
        keeps_every_promise(overrides, 0..150, changing);
    }
}

#[test]
fn with_members_changing_and_disks_lost_the_raft_profile_keeps_every_promise() {
    for overrides in [&[][..], &["snapshot-entries=7"]] {
        let tally = keeps_every_promise(overrides, 0..SCHEDULES / 2, changing_and_losing_disks);
        let Tally { wiped, wiped_voters, .. } = tally;
        assert!(wiped > 500, "only {wiped} disks were lost");
        assert!(wiped_voters > 200, "only {wiped_voters} disks of voters were lost");
    }
}

#[test]
fn with_members_changing_and_disks_lost_every_safe_setting_keeps_every_promise() {
    for overrides in SAFE {
        let Tally { wiped_voters, .. } =
            keeps_every_promise(overrides, 0..150, changing_and_losing_disks);
        assert!(wiped_voters > 20, "{overrides:?}: only {wiped_voters} disks of voters were lost");
    }
}

#[test]
fn with_members_changing_and_syncs_that_fail_the_raft_profile_keeps_every_promise() {
    let shape = |seed| changing(seed).with_failing_syncs();
    let Tally { failed_syncs, .. } =
        keeps_every_promise(&["snapshot-entries=20"], 0..SCHEDULES / 4, shape);
    assert!(failed_syncs > 500, "only {failed_syncs} syncs failed");
}

#[test]
fn a_member_that_votes_at_once_with_an_empty_disk_loses_acknowledged_writes() {
    let settings = settings("raft", &[]);
    let caught = (0..2 * SCHEDULES).any(|seed| {
        let shape = changing(seed).with_wipes(Wipes::Unnoticed);
        let verdict = World::new(seed, settings.clone(), shape).run();
        verdict.safety.is_err_and(|violation| violation.contains("lost"))
    });
    assert!(caught, "no schedule lost an acknowledged write");
}
