//! What is checked, in which clusters, and which planted bugs that finds.

use std::fmt::{self, Write as _};

use stateright::{Checker, Expectation, HasDiscoveries, Model};

use super::super::{Plant, Plants};
use super::{Budget, Cluster, Promise};
use crate::config::Settings;

/// What came of a check.
struct Checked {
    /// States of the cluster that differ.
    states: usize,
    /// States of single nodes that differ.
    lives: usize,
    /// The longest of the shortest ways to a state.
    depth: usize,
    /// The promise that is broken first, and the shortest way there, an event a line.
    violation: Option<(Promise, String)>,
    /// What was seen that should be seen at times.
    witnessed: Vec<&'static str>,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Checked { states, lives, depth, .. } = self;
        write!(f, "{states} states of the cluster, {lives} of single nodes, {depth} events deep")
    }
}

/// Tries everything, or goes on until a promise is broken.
fn check(cluster: Cluster) -> Checked {
    let stop = HasDiscoveries::AnyFailures;
    let checker = cluster.checker().threads(1).finish_when(stop).spawn_bfs().join();
    let mut checked = Checked {
        states: checker.unique_state_count(),
        lives: checker.model().lives().count(),
        depth: checker.max_depth(),
        violation: None,
        witnessed: Vec::new(),
    };
    for (name, path) in checker.discoveries() {
        let Some(promise) = path.last_state().broken else {
            checked.witnessed.push(name);
            continue;
        };
        let mut way = String::new();
        for action in path.into_actions() {
            writeln!(way, "{}", checker.model().words(action)).expect("memory takes it");
        }
        checked.violation = Some((promise, way));
    }
    checked
}

/// Holds that no order of events breaks a promise, and that this was worth trying.
fn keeps_every_promise(cluster: Cluster) -> Checked {
    let hoped = cluster.properties().into_iter();
    let hoped = hoped.filter(|property| property.expectation == Expectation::Sometimes).count();
    let checked = check(cluster);
    if let Some((promise, way)) = &checked.violation {
        panic!("{promise:?} is broken\n{way}");
    }
    assert_eq!(checked.witnessed.len(), hoped, "in {checked} seen: {:?}", checked.witnessed);
    checked
}

fn raft(overrides: &[&str], plants: Plants) -> Settings {
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    let settings = Settings::resolve("raft", &overrides).expect("the settings make sense");
    Settings { plants, ..settings }
}

/// Holds that a planted bug breaks this promise, and first this one.
fn is_found(plant: Plant, budget: Budget, promise: Promise) {
    let settings = raft(&[], Plants::NONE.with(plant));
    let checked = check(Cluster::new(3, settings, true, budget));
    let found = checked.violation.map(|(promise, _)| promise);
    assert_eq!(found, Some(promise), "{plant:?}: not in {} states", checked.states);
}

/// Two elections are the least in which anything can be lost.
const TWO: Budget = Budget {
    suspicions: 2,
    heartbeats: 0,
    writes: 0,
    adds: 0,
    removals: 0,
    crashes: 0,
    losses: 0,
    overtakes: 0,
};

#[test]
fn two_nodes_with_slow_disks_keep_every_promise_whatever_the_order_of_events() {
    let budget = Budget { writes: 1, crashes: 1, ..TWO };
    let checked = keeps_every_promise(Cluster::new(2, raft(&[], Plants::NONE), false, budget));
    assert!(checked.states > 10_000, "only {checked}");
}

#[test]
fn two_nodes_with_heartbeats_and_a_crash_keep_every_promise_whatever_the_order_of_events() {
    let budget = Budget { heartbeats: 1, writes: 1, crashes: 1, ..TWO };
    let checked = keeps_every_promise(Cluster::new(2, raft(&[], Plants::NONE), true, budget));
    assert!(checked.states > 10_000, "only {checked}");
}

#[test]
fn three_nodes_and_two_elections_keep_every_promise_whatever_the_order_of_events() {
    let checked = keeps_every_promise(Cluster::new(3, raft(&[], Plants::NONE), true, TWO));
    assert!(checked.states > 50_000, "only {checked}");
}

#[test]
fn a_member_that_is_removed_between_two_elections_breaks_no_promise_whatever_the_order_of_events() {
    let budget = Budget { removals: 1, crashes: 1, ..TWO };
    let checked = keeps_every_promise(Cluster::new(2, raft(&[], Plants::NONE), true, budget));
    assert!(checked.states > 1_000, "only {checked}");
}

/// The first heartbeat finds out what the new node has, the second brings it the rest. More nodes
/// than two take minutes: `scripts/prove.sh`.
#[test]
fn a_voter_that_is_added_between_two_elections_breaks_no_promise_whatever_the_order_of_events() {
    let budget = Budget { heartbeats: 2, adds: 1, crashes: 1, ..TWO };
    let checked = keeps_every_promise(Cluster::new(1, raft(&[], Plants::NONE), false, budget));
    assert!(checked.states > 10_000, "only {checked}");
}

#[test]
fn two_removals_at_once_are_found() {
    let budget = Budget { removals: 2, ..TWO };
    is_found(Plant::ChangeTwiceAtOnce, budget, Promise::LeaderCompleteness);
}

#[test]
fn a_second_vote_in_one_epoch_is_found() {
    is_found(Plant::VoteTwice, TWO, Promise::ElectionSafety);
}

#[test]
fn an_election_by_half_of_the_votes_is_found() {
    is_found(Plant::ElectByHalf, TWO, Promise::ElectionSafety);
}

#[test]
fn a_vote_that_was_not_written_down_is_found() {
    let budget = Budget { crashes: 1, ..TWO };
    is_found(Plant::VoteNotPersisted, budget, Promise::ElectionSafety);
}

#[test]
fn a_commit_before_replication_is_found() {
    is_found(Plant::AcknowledgeBeforeReplication, TWO, Promise::StateMachineSafety);
}

#[test]
fn obedience_to_an_earlier_epoch_is_found() {
    is_found(Plant::AcceptLowerEpoch, TWO, Promise::LeaderCompleteness);
}

/// For `scripts/prove.sh`: `SPLITBRAIN_MODEL="3 prompt suspicions=2 writes=1"`, the nodes, whether
/// their disks are `prompt` or `slow`, and how much of what may happen.
#[test]
#[ignore = "its cluster comes from the environment"]
fn a_check_of_a_given_cluster() {
    let given = std::env::var("SPLITBRAIN_MODEL").expect("SPLITBRAIN_MODEL is set");
    let mut words = given.split(' ');
    let nodes = words.next().and_then(|nodes| nodes.parse().ok()).expect("how many nodes");
    let prompt = match words.next() {
        Some("prompt") => true,
        Some("slow") => false,
        other => panic!("expected prompt or slow, got {other:?}"),
    };
    let mut budget = Budget::default();
    for word in words {
        let (kind, count) = word.split_once('=').expect("a kind and how much of it");
        let count = count.parse().expect("a number");
        *match kind {
            "suspicions" => &mut budget.suspicions,
            "heartbeats" => &mut budget.heartbeats,
            "writes" => &mut budget.writes,
            "adds" => &mut budget.adds,
            "removals" => &mut budget.removals,
            "crashes" => &mut budget.crashes,
            "losses" => &mut budget.losses,
            "overtakes" => &mut budget.overtakes,
            other => panic!("nothing of this kind happens: {other}"),
        } = count;
    }
    let checked = keeps_every_promise(Cluster::new(nodes, raft(&[], Plants::NONE), prompt, budget));
    #[expect(clippy::print_stdout, reason = "the figure that is written down")]
    {
        println!("{checked}");
    }
}
