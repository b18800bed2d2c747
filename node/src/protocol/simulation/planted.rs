//! Every planted bug of the core is found by chance within a stated number of schedules. Those that
//! chance finds too seldom are written out in `scenarios/planted.rs`; those of the log are found by
//! the log's own tests.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::super::{Plant, Plants};
use super::{Shape, Wipes, World, quiet_and_drifting, settings, slow_leases};
use crate::config::Settings;

/// Looks for the first schedule that shows a plant. The same settings without it keep every promise
/// in all of these schedules: that is what the other tests of this folder hold.
fn is_found(plant: Plant, switches: &[&str], within: u64, violation: &str) {
    is_found_among(plant, settings("raft", switches), Shape::of, within, violation);
}

fn is_found_among(
    plant: Plant,
    mut settings: Settings,
    shape: fn(u64) -> Shape,
    within: u64,
    violation: &str,
) {
    settings.plants = Plants::NONE.with(plant);
    let mut others = Vec::new();
    let found = (0..within).find(|seed| {
        let world = World::new(*seed, settings.clone(), shape(*seed));
        // A broken core may stumble over an assertion of its own first; that is not what is sought.
        let verdict = catch_unwind(AssertUnwindSafe(|| world.run()));
        match verdict.map(|verdict| verdict.safety) {
            Ok(Err(shown)) if shown.contains(violation) => true,
            Ok(Err(shown)) => {
                others.push((*seed, shown));
                false
            }
            _ => false,
        }
    });
    assert!(found.is_some(), "{plant:?}: not found in {within} schedules, but {others:?}");
}

const SNAPSHOTS: &[&str] = &["snapshot-entries=7"];

#[test]
fn an_acknowledgement_before_the_disk_has_it_is_found() {
    is_found(Plant::AcknowledgeBeforeFsync, &[], 100, "lost");
}

#[test]
fn an_acknowledgement_before_replication_is_found() {
    is_found(Plant::AcknowledgeBeforeReplication, &[], 50, "lost");
}

#[test]
fn a_compare_and_set_that_is_answered_before_its_turn_is_found() {
    is_found(Plant::CompareBeforeReplication, &[], 50, "got Compared");
}

#[test]
fn a_commit_of_what_does_not_match_is_found() {
    is_found(Plant::CommitUnmatched, &[], 300, "state machine safety");
}

#[test]
fn a_second_vote_in_one_epoch_is_found() {
    is_found(Plant::VoteTwice, &[], 1500, "election safety");
}

#[test]
fn an_election_by_half_of_the_votes_is_found() {
    is_found(Plant::ElectByHalf, &[], 50, "lost");
}

#[test]
fn a_change_of_members_before_the_last_is_settled_is_found() {
    let (plant, settings) = (Plant::ChangeTwiceAtOnce, settings("raft", &[]));
    let shape = |seed| Shape::of(seed).with_changes_of_members();
    is_found_among(plant, settings, shape, 1000, "lost");
}

#[test]
fn a_change_of_members_before_the_last_is_settled_is_found_while_disks_are_lost_too() {
    let (plant, settings) = (Plant::ChangeTwiceAtOnce, settings("raft", &[]));
    let shape = |seed| Shape::of(seed).with_changes_of_members().with_wipes(Wipes::OneAtATime);
    is_found_among(plant, settings, shape, 1000, "lost");
}

#[test]
fn an_election_of_the_longer_log_is_found() {
    is_found(Plant::LongerLogWins, SNAPSHOTS, 3000, "leader completeness");
}

#[test]
fn obedience_to_an_earlier_epoch_is_found() {
    is_found(Plant::AcceptLowerEpoch, SNAPSHOTS, 1000, "committed: lost");
}

#[test]
fn a_cut_without_a_conflict_is_found() {
    is_found(Plant::TruncateWithoutConflict, &[], 50, "committed: lost");
}

#[test]
fn a_read_before_the_leader_has_committed_is_found() {
    is_found(Plant::ReadBeforeOwnCommit, &[], 200, "stale read");
}

#[test]
fn a_lease_that_lasts_too_long_is_found() {
    let (plant, leases) = (Plant::LeaseWithoutMargin, slow_leases("200ms"));
    is_found_among(plant, leases, quiet_and_drifting, 4000, "stale read");
}

#[test]
fn a_linearizable_read_from_a_followers_state_is_found() {
    is_found(Plant::StaleFollowerRead, &[], 20, "stale read");
}

#[test]
fn a_definite_answer_to_an_open_question_is_found() {
    is_found(Plant::DefiniteWhenUnknown, &[], 200, "was definitely refused and happened");
}

#[test]
fn a_request_number_of_an_earlier_life_is_found() {
    is_found(Plant::ReuseRequestNumber, &[], 500, "is another entry");
}

#[test]
fn a_second_application_after_a_restart_is_found() {
    is_found(Plant::ApplyTwice, &[], 50, "divergence");
}

#[test]
fn a_snapshot_without_idempotency_keys_is_found() {
    is_found(Plant::SnapshotWithoutKeys, SNAPSHOTS, 50, "divergence");
}

#[test]
fn a_snapshot_without_its_last_entry_is_found() {
    is_found(Plant::SnapshotWithoutLastEntry, SNAPSHOTS, 50, "divergence");
}
