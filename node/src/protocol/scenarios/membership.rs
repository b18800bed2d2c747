//! Written-out losses of a disk: who counts, who may vote, and when again.

use std::time::Duration;

use super::super::*;
use super::{Bench, N1, N2, N3};

const ALL: [NodeId; 3] = [N1, N2, N3];

impl Bench {
    /// The node's process dies with its disk, and a new one begins with an empty one.
    fn wipe(&mut self, node: NodeId) {
        let old = &self.cores[&node];
        let (peers, settings) = (old.peers.clone(), old.settings.clone());
        let fresh = Remembered::default();
        // No two disks of a node are alike.
        let entropy = 1000 * (1 + self.now.as_millis() as u64) + u64::from(node.0);
        self.cores.insert(node, Core::new(node, peers, settings, fresh, entropy, self.now));
        self.unflushed.retain(|(owner, _)| *owner != node);
        self.unsaved.retain(|(owner, _)| *owner != node);
        self.wires.retain(|(_, to, _)| *to != node);
    }

    fn beat(&mut self, leader: NodeId) {
        self.now += Duration::from_millis(50);
        self.step(leader, Input::Tick);
    }

    fn counts(&self, leader: NodeId, node: NodeId) -> bool {
        let followers = self.cores[&leader].view().followers;
        followers.iter().any(|follower| follower.node == node && follower.voter)
    }
}

#[test]
fn a_follower_that_lost_its_disk_gets_everything_again_from_the_same_leader() {
    for profile in ["replication=quorum", "replication=sync", "replication=semi-sync"] {
        let mut bench = Bench::new(3, &[profile]);
        bench.elect(N1, &ALL);
        bench.put(N1, 1);
        bench.settle(&ALL);
        bench.wipe(N3);
        bench.beat(N1);
        bench.settle(&ALL);
        bench.beat(N1);
        bench.settle(&ALL);
        assert_eq!(bench.cores[&N3].state, bench.cores[&N1].state, "{profile}");
        assert!(bench.counts(N1, N3) && bench.cores[&N3].votes(), "{profile}");
    }
}

/// n1 and n3 hold a write, n2 does not; n3 loses its disk, and then n1 is gone.
#[test]
fn a_node_that_lost_its_disk_helps_nobody_to_lead_who_lacks_what_it_had() {
    let mut bench = Bench::new(3, &[]);
    bench.elect(N1, &ALL);
    bench.settle(&ALL);
    bench.put(N1, 1);
    bench.settle(&[N1, N3]);
    assert!(bench.is_done(1));
    bench.wires.clear();
    bench.wipe(N3);
    for _ in 0..5 {
        bench.elect(N2, &[N2, N3]);
        bench.elect(N3, &[N2, N3]);
        assert_eq!(bench.role(N2), RoleName::Candidate, "n3 gives no vote");
        assert_eq!(bench.role(N3), RoleName::Follower, "and does not stand");
    }
    bench.elect(N1, &ALL);
    for _ in 0..3 {
        let leader = ALL.into_iter().find(|node| bench.role(*node) == RoleName::Leader);
        bench.beat(leader.unwrap_or(N1));
        bench.settle(&ALL);
    }
    assert!(ALL.iter().all(|node| bench.cores[node].state == bench.cores[&N1].state));
    assert!(bench.cores[&N3].votes());
}

/// n3 has voted for n2, which does not know it yet, and loses its disk: it has forgotten that it
/// must not confirm anything to n1.
#[test]
fn what_a_new_disk_confirms_does_not_count_before_a_majority_without_it_holds_the_mark() {
    let mut bench = Bench::new(3, &[]);
    bench.elect(N1, &ALL);
    bench.settle(&ALL);
    bench.wires.clear();
    bench.wipe(N3);
    bench.put(N1, 1);
    bench.beat(N1);
    bench.settle(&[N1, N3]);
    let behind = |bench: &Bench| bench.cores[&N1].view().followers;
    assert!(behind(&bench).iter().any(|follower| follower.node == N3 && follower.matched >= 2));
    assert!(!bench.is_done(1) && !bench.counts(N1, N3), "n2 has not confirmed the mark");
    bench.beat(N1);
    bench.settle(&ALL);
    assert!(bench.is_done(1) && bench.counts(N1, N3));
}

#[test]
fn a_late_word_of_the_old_disk_counts_for_nothing_once_the_new_one_was_heard() {
    let mut bench = Bench::new(3, &[]);
    bench.elect(N1, &ALL);
    bench.settle(&ALL);
    bench.put(N1, 1);
    bench.lose(|_, to| to == N2);
    bench.settle(&[N3]);
    let (from, to, message) = bench.take(N1, N3);
    bench.step(to, Input::Message { from, message });
    bench.flush(N3);
    let late = bench.take(N3, N1);
    bench.flush(N1);
    bench.wipe(N3);
    bench.beat(N1);
    bench.settle(&[N1, N3]);
    let (from, to, message) = late;
    bench.step(to, Input::Message { from, message });
    assert!(!bench.is_done(1), "the disk that confirmed it is gone");
    bench.beat(N1);
    bench.settle(&ALL);
    bench.beat(N1);
    bench.settle(&ALL);
    assert!(bench.is_done(1) && bench.counts(N1, N3));
}

#[test]
fn a_cluster_is_founded_by_all_its_nodes_and_by_no_fewer() {
    let mut bench = Bench::new(3, &[]);
    ALL.into_iter().for_each(|node| bench.wipe(node));
    for (among, votes) in [(&ALL[..2], false), (&ALL[..], true)] {
        bench.now += Duration::from_millis(50);
        for node in among {
            bench.step(*node, Input::Tick);
        }
        bench.settle(among);
        bench.wires.clear();
        assert!(among.iter().all(|node| bench.cores[node].votes() == votes), "{among:?}");
    }
    bench.wipe(N2);
    for _ in 0..3 {
        bench.now += Duration::from_millis(50);
        bench.step(N2, Input::Tick);
        bench.settle(&ALL);
    }
    assert!(!bench.cores[&N2].votes(), "the others remember");
}

#[test]
fn an_operator_cannot_promote_a_node_that_has_not_caught_up() {
    let mut bench = Bench::new(3, &[]);
    bench.wipe(N2);
    bench.request(N2, 1, Request::Promote);
    let Some(Outcome::Failed(failure)) = bench.replies.get(&1) else { panic!("it is refused") };
    assert_eq!((failure.kind, failure.definite), (FailureKind::Learner, true));
}
