//! Written-out changes of the members: what counts when, who disturbs whom, and the two mistakes
//! that are known of it.

use std::net::SocketAddr;
use std::time::Duration;

use super::super::*;
use super::{Bench, N1, N2, N3};

const N4: NodeId = NodeId(4);
const ALL: [NodeId; 3] = [N1, N2, N3];
const FOUR: [NodeId; 4] = [N1, N2, N3, N4];

impl Bench {
    /// A process with an empty disk that waits to be added.
    fn join(&mut self, node: NodeId) {
        let settings = self.cores[&N1].settings.clone();
        let core = Core::new(node, vec![], settings, Remembered::default(), 99, self.now);
        self.cores.insert(node, core.joining());
    }

    fn add(&mut self, leader: NodeId, id: RequestId, node: NodeId) {
        let address = SocketAddr::from(([127, 0, 0, 1], 7000 + node.0));
        let change = ConfigurationChange::Add { node, address };
        self.request(leader, id, Request::Configure(change));
    }

    fn remove(&mut self, leader: NodeId, id: RequestId, node: NodeId) {
        self.request(leader, id, Request::Configure(ConfigurationChange::Remove { node }));
    }

    /// Lets a leader's heartbeats go to and fro for a while.
    fn go_on(&mut self, leader: NodeId, among: &[NodeId]) {
        for _ in 0..8 {
            self.now += Duration::from_millis(50);
            self.step(leader, Input::Tick);
            self.settle(among);
        }
    }

    fn refusal(&self, id: RequestId) -> (FailureKind, String) {
        let Some(Outcome::Failed(failure)) = self.replies.get(&id) else {
            panic!("expected a refusal, got {:?}", self.replies.get(&id));
        };
        assert!(failure.definite, "nothing was begun");
        (failure.kind, failure.message.to_string())
    }

    fn voters(&self, node: NodeId) -> Vec<u16> {
        self.cores[&node].configured.members.voters().map(|node| node.0).collect()
    }

    fn led(nodes: u16, overrides: &[&str]) -> Self {
        let all: Vec<NodeId> = (1..=nodes).map(NodeId).collect();
        let mut bench = Bench::new(nodes, overrides);
        bench.elect(N1, &all);
        bench.put(N1, 1);
        bench.settle(&all);
        assert!(bench.is_done(1));
        bench
    }
}

#[test]
fn a_new_node_learns_while_writes_go_on_and_then_votes() {
    for overrides in [&[][..], &["snapshot-entries=2"], &["replication=sync"]] {
        let mut bench = Bench::led(3, overrides);
        bench.join(N4);
        bench.now += Duration::from_millis(500);
        bench.step(N4, Input::Tick);
        assert_eq!(bench.cores[&N4].view().members.members().count(), 0, "it founds nothing");
        bench.add(N1, 2, N4);
        bench.settle(&ALL);
        assert!(bench.is_done(2), "{overrides:?}: nobody waits for it");
        assert_eq!((bench.voters(N2), bench.cores[&N2].view().configuration), (vec![1, 2, 3], 3));
        bench.put(N1, 3);
        bench.settle(&ALL);
        assert!(bench.is_done(3), "{overrides:?}: writes go on");
        bench.go_on(N1, &FOUR);
        assert_eq!(bench.voters(N1), [1, 2, 3, 4], "{overrides:?}");
        assert!(bench.cores[&N4].may_stand() && bench.voters(N4) == [1, 2, 3, 4]);
        assert_eq!(bench.cores[&N4].state, bench.cores[&N1].state);
        bench.elect(N4, &FOUR);
        assert_eq!(bench.role(N4), RoleName::Leader, "{overrides:?}: it may lead");
    }
}

#[test]
fn a_configuration_counts_as_soon_as_it_is_in_the_log_and_is_cut_with_it() {
    let mut bench = Bench::led(4, &[]);
    bench.go_on(N1, &FOUR);
    bench.remove(N1, 2, N2);
    assert_eq!(bench.voters(N1), [1, 3, 4], "before anybody else has it");
    bench.put(N1, 3);
    bench.settle(&[N1, N3]);
    assert!(bench.is_done(2) && bench.is_done(3), "two of three are a majority");

    let mut bench = Bench::led(4, &[]);
    bench.go_on(N1, &FOUR);
    bench.remove(N1, 2, N2);
    bench.flush(N1);
    bench.wires.clear();
    assert!(!bench.is_done(2));
    bench.elect(N3, &[N2, N3, N4]);
    assert_eq!(bench.role(N3), RoleName::Leader);
    bench.go_on(N3, &FOUR);
    assert_eq!(bench.voters(N1), [1, 2, 3, 4], "nobody else ever had it");
    assert_eq!(bench.cores[&N1].view().configuration, 0);
}

#[test]
fn a_second_change_waits_for_the_first_and_an_addition_can_be_called_off() {
    let mut bench = Bench::led(3, &[]);
    bench.add(N1, 2, N4);
    bench.settle(&ALL);
    bench.add(N1, 3, NodeId(5));
    assert_eq!(bench.refusal(3).0, FailureKind::ChangeInProgress);
    bench.remove(N1, 4, N3);
    let expected = "n4 is being added and has not caught up; help: ask again later";
    assert_eq!(bench.refusal(4), (FailureKind::ChangeInProgress, expected.to_string()));
    bench.remove(N1, 5, N4);
    bench.settle(&ALL);
    assert!(bench.is_done(5), "n4 never came");
    bench.remove(N1, 6, N3);
    bench.settle(&[N1]);
    bench.remove(N1, 7, N2);
    assert_eq!(bench.refusal(7).0, FailureKind::ChangeInProgress, "nobody has entry 5 yet");
    bench.remove(N1, 8, N3);
    let expected = (FailureKind::ConfigurationRefused, "n3 is no member".to_string());
    assert_eq!(bench.refusal(8), expected);
}

/// A disk that is lost while nobody leads is known to nobody. If the new leader took the node for
/// one that is up, two would be left of which one has to learn from a majority without it.
#[test]
fn a_new_leader_removes_nobody_before_the_others_have_answered_it() {
    let mut bench = Bench::led(3, &[]);
    bench.elect(N2, &[N2, N3]);
    bench.put(N2, 2);
    bench.settle(&[N2, N3]);
    assert!(bench.is_done(2), "what it found is settled");
    bench.remove(N2, 3, N3);
    let expected = "without n3 a majority is 2, and 1 of those that would be left are heard; \
                    help: bring one back first";
    let refused = (FailureKind::ConfigurationRefused, expected.to_string());
    assert_eq!(bench.refusal(3), refused, "n1 has not said a word");
    bench.go_on(N2, &ALL);
    bench.remove(N2, 4, N3);
    bench.settle(&ALL);
    assert!(bench.is_done(4));
}

#[test]
fn a_leader_that_removes_itself_serves_until_that_is_committed_and_hands_over() {
    let mut bench = Bench::led(3, &[]);
    bench.go_on(N1, &ALL);
    bench.remove(N1, 2, N1);
    bench.put(N1, 3);
    bench.settle(&[N1, N2]);
    assert_eq!(bench.role(N1), RoleName::Leader);
    assert!(!bench.is_done(2), "it does not count itself");
    bench.settle(&ALL);
    assert!(bench.is_done(2));
    assert_eq!(bench.role(N1), RoleName::Follower);
    let successor = [N2, N3].into_iter().find(|node| bench.role(*node) == RoleName::Leader);
    let successor = successor.expect("without a silence, since it was told to stand");
    assert_eq!(bench.voters(successor), [2, 3]);
    assert!(bench.cores[&N1].view().removed && !bench.cores[&N1].view().voter);
}

/// n1 alone has the entry that removes it, so n2 cannot be elected, and n1 is no voter by its log.
#[test]
fn a_leader_whose_removal_only_it_has_may_still_be_elected() {
    let mut bench = Bench::led(2, &[]);
    bench.go_on(N1, &[N1, N2]);
    bench.remove(N1, 2, N1);
    bench.flush(N1);
    bench.wires.clear();
    bench.elect(N2, &[N1, N2]);
    bench.elect(N2, &[N1, N2]);
    assert_eq!(bench.role(N2), RoleName::Candidate, "its log is not complete");
    bench.elect(N1, &[N1, N2]);
    bench.elect(N2, &[N1, N2]);
    assert_eq!((bench.voters(N2), bench.role(N2)), (vec![2], RoleName::Leader));
}

/// Paxos: {1,2,3} becomes {1,2}, which n3 does not know, and then {2}, which n1 does not know.
#[test]
fn a_proposer_that_counts_by_an_earlier_configuration_is_promised_nothing() {
    let mut bench = Bench::led(3, &["election=paxos"]);
    bench.go_on(N1, &ALL);
    bench.remove(N1, 2, N3);
    bench.settle(&[N1, N2]);
    assert!(bench.is_done(2));
    bench.wires.clear();
    bench.go_on(N1, &[N1, N2]);
    bench.wires.clear();
    bench.elect(N3, &[N2, N3]);
    bench.elect(N3, &[N2, N3]);
    assert_ne!(bench.role(N3), RoleName::Leader);
    let claim = bench.cores[&N2].hard.claim;
    assert_eq!(claim.leader, N1, "n2 follows nobody whom a majority of three has elected");
}

#[test]
fn a_removed_node_disturbs_nobody_and_is_told() {
    for method in ["raft", "paxos", "most-recent", "bully", "ring"] {
        let mut bench = Bench::led(3, &[&format!("election={method}")]);
        let leader = ALL.into_iter().find(|node| bench.role(*node) == RoleName::Leader);
        let leader = leader.expect("somebody leads");
        let [stays, leaves] = [1, 2].map(|step| ALL[(usize::from(leader.0) - 1 + step) % 3]);
        bench.go_on(leader, &ALL);
        bench.remove(leader, 2, leaves);
        bench.settle(&[leader, stays]);
        assert!(bench.is_done(2), "{method}");
        bench.wires.clear();
        bench.go_on(leader, &[leader, stays]);
        let epoch = bench.cores[&leader].hard.epoch;
        assert!(!bench.cores[&leaves].view().removed, "{method}: it was cut off");
        for _ in 0..5 {
            bench.elect(leaves, &[leaves]);
            bench.go_on(leader, &ALL);
        }
        assert_eq!(bench.role(leader), RoleName::Leader, "{method}");
        assert_eq!(bench.cores[&leader].hard.epoch, epoch, "{method}");
        let view = bench.cores[&leaves].view();
        assert!(view.removed && !view.voter, "{method}: {view:?}");
        bench.request(leaves, 9, Request::Promote);
        assert_eq!(bench.refusal(9).0, FailureKind::Learner, "{method}");
    }
}

#[test]
fn a_removed_node_that_is_added_again_catches_up_and_votes() {
    let mut bench = Bench::led(3, &[]);
    bench.go_on(N1, &ALL);
    bench.remove(N1, 2, N3);
    bench.settle(&[N1, N2]);
    bench.put(N1, 3);
    bench.settle(&[N1, N2]);
    bench.wires.clear();
    bench.add(N1, 4, N3);
    bench.go_on(N1, &ALL);
    assert!(bench.is_done(4));
    assert_eq!(bench.voters(N3), [1, 2, 3]);
    assert!(bench.cores[&N3].may_stand());
}

#[test]
fn a_removal_that_would_leave_no_majority_that_is_heard_is_refused() {
    let mut bench = Bench::led(3, &[]);
    bench.go_on(N1, &ALL);
    for _ in 0..20 {
        bench.go_on(N1, &[N1, N2]);
        bench.lose(|_, to| to == N3);
    }
    bench.remove(N1, 2, N2);
    let expected = "without n2 a majority is 2, and 1 of those that would be left are heard; help: \
                    bring one back first";
    assert_eq!(bench.refusal(2), (FailureKind::ConfigurationRefused, expected.to_string()));
    bench.remove(N1, 3, N3);
    bench.settle(&[N1, N2]);
    assert!(bench.is_done(3), "the dead one may go");
}

#[test]
fn settings_that_would_not_keep_their_promise_meanwhile_refuse_a_change() {
    for (nodes, overrides, expected) in [
        (3, &["replication=semi-sync", "fallback=never"][..], "replicas=1: expected at least 3 no"),
        (3, &["replication=isr", "min-in-sync=1"], "min-in-sync=1: expected at least 3 nodes"),
        (3, &["replication=sync", "standbys=n2"], "standbys=n2: expected at least 3 nodes"),
    ] {
        let mut bench = Bench::led(nodes, overrides);
        bench.add(N1, 2, N4);
        let (kind, message) = bench.refusal(2);
        assert_eq!(kind, FailureKind::ConfigurationRefused);
        assert!(message.starts_with(expected), "{message}");
    }
    let settings = Settings::resolve("async", &[]).expect("a profile");
    let refusal = settings.check_change(3, &[1, 2, 3, 4]).expect_err("nobody asks a majority");
    let begin = "majority=off: a majority agrees on who is a member, and here leaders need none";
    assert!(refusal.to_string().starts_with(begin), "{refusal}");
}

/// Four nodes. n1 leads and removes n2, which reaches nobody. n2 is elected by the others and, before
/// anything of its own is committed, removes n1, which n4 has. Now {n2, n4} and {n1, n3} are each a
/// majority of a configuration.
fn two_leaders_change_the_same_configuration(plants: &[Plant]) -> Bench {
    let mut settings = Settings::resolve("raft", &[]).expect("a profile");
    settings.plants = plants.iter().copied().fold(Plants::NONE, Plants::with);
    let mut bench = Bench::with(4, &settings);
    bench.elect(N1, &FOUR);
    bench.put(N1, 1);
    bench.settle(&FOUR);
    bench.go_on(N1, &FOUR);
    bench.remove(N1, 2, N2);
    bench.flush(N1);
    bench.wires.clear();
    bench.elect(N2, &[N2]);
    for _ in 0..20 {
        if bench.role(N2) == RoleName::Leader {
            break;
        }
        bench.flush(N2);
        bench.flush(N3);
        bench.flush(N4);
        let others = [N2, N3, N4];
        let at = bench.wires.iter().position(|(a, b, _)| others.contains(a) && others.contains(b));
        let Some(at) = at else { continue };
        let (from, to, message) = bench.wires.remove(at).expect("it was found");
        bench.step(to, Input::Message { from, message });
    }
    assert_eq!(bench.role(N2), RoleName::Leader);
    // N4 alone hears it.
    bench.lose(|from, to| from == N2 && to != N4);
    bench.settle(&[N2, N4]);
    bench.remove(N2, 3, N1);
    bench
}

#[test]
fn a_new_leader_changes_nothing_before_an_entry_of_its_own_is_settled() {
    let bench = two_leaders_change_the_same_configuration(&[]);
    let (kind, message) = bench.refusal(3);
    assert_eq!(kind, FailureKind::ChangeInProgress);
    assert!(message.starts_with("no majority is known to have the last change, entry 0, and an"));
}

#[test]
fn a_change_before_the_leaders_own_commit_lets_two_majorities_meet_nobody() {
    let mut bench = two_leaders_change_the_same_configuration(&[Plant::ChangeBeforeOwnCommit]);
    bench.put(N2, 4);
    bench.go_on(N2, &[N2, N4]);
    assert!(bench.is_done(4), "n2 and n4 are two of three");
    let epoch = bench.cores[&N2].epoch();
    for _ in 0..5 {
        if bench.cores[&N1].epoch() <= epoch || bench.role(N1) != RoleName::Leader {
            bench.elect(N1, &[N1, N3]);
        }
    }
    assert!(bench.role(N1) == RoleName::Leader && bench.cores[&N1].epoch() > epoch);
    bench.wires.clear();
    bench.go_on(N1, &[N1, N3]);
    bench.read(N1, 5);
    bench.go_on(N1, &[N1, N3]);
    assert_eq!(bench.value(5).as_deref(), Some("1"), "the acknowledged 4 is not there");
}
