//! Written-out chains: which way entries travel, and what happens when a link of it is gone.

use std::time::Duration;

use super::super::*;
use super::{Bench, N1, N2, N3};
use crate::state::Command;

const ALL: [NodeId; 3] = [N1, N2, N3];

impl Bench {
    /// A heartbeat of a leader passes among some nodes.
    fn pulse(&mut self, leader: NodeId, among: &[NodeId]) {
        self.now += Duration::from_millis(50);
        self.step(leader, Input::Tick);
        self.settle(among);
        self.wires.clear();
    }

    fn upstream(&self, node: NodeId) -> Option<NodeId> {
        self.cores[&node].view().upstream
    }

    fn received(&self, node: NodeId) -> u64 {
        self.cores[&node].view().received
    }

    fn relayed(&self, node: NodeId) -> u64 {
        self.cores[&node].view().counters.relayed
    }
}

/// n1 leads n2, which hands on to n3.
fn chain_of_three() -> Bench {
    let mut bench = Bench::new(3, &["topology=chain"]);
    bench.elect(N1, &ALL);
    bench.pulse(N1, &ALL);
    bench.pulse(N1, &ALL);
    bench
}

#[test]
fn entries_go_down_the_chain_and_every_follower_confirms_to_the_leader_itself() {
    let mut bench = chain_of_three();
    assert_eq!(ALL.map(|node| bench.upstream(node)), [None, Some(N1), Some(N2)]);
    let followers = bench.cores[&N1].view().followers;
    let upstreams: Vec<NodeId> = followers.iter().map(|follower| follower.upstream).collect();
    assert_eq!(upstreams, [N1, N2]);
    bench.put(N1, 1);
    let sent = |to| bench.wires.iter().filter(|(_, receiver, _)| *receiver == to).count();
    assert_eq!((sent(N2), sent(N3)), (1, 0), "the leader sends the entry once");
    bench.settle(&[N1, N2]);
    let (from, to, message) = bench.take(N2, N3);
    bench.wires.clear();
    assert!(matches!(message, Message::Relayed { .. }), "{message:?}");
    bench.step(to, Input::Message { from, message });
    bench.flush(N3);
    let (_, _, answer) = bench.take(N3, N1);
    assert!(matches!(answer, Message::Matched { .. }), "{answer:?}");
    assert_eq!((bench.relayed(N2), bench.relayed(N3)), (1, 0));
}

#[test]
fn a_parent_that_is_gone_is_bypassed() {
    let mut bench = chain_of_three();
    let survivors = [N1, N3];
    bench.put(N1, 1);
    bench.settle(&survivors);
    assert!(!bench.is_done(1), "n3 is served by n2, which is gone");
    for _ in 0..5 {
        bench.pulse(N1, &survivors);
    }
    assert!(bench.is_done(1));
    assert_eq!(bench.upstream(N3), Some(N1));
    assert_eq!(bench.received(N3), bench.received(N1));
}

/// n2 is heard, and what it sends n3 is lost.
#[test]
fn a_parent_that_is_alive_and_hands_nothing_on_is_bypassed_too_and_later_tried_again() {
    let mut bench = chain_of_three();
    let handed = bench.relayed(N2);
    bench.put(N1, 1);
    for _ in 0..5 {
        bench.settle(&[N1, N2]);
        bench.lose(|from, to| (from, to) == (N2, N3));
        bench.pulse(N1, &ALL);
    }
    assert!(bench.relayed(N2) > handed, "n2 has tried");
    assert_eq!(bench.received(N3), bench.received(N1));
    assert_eq!(bench.upstream(N3), Some(N1));
    for _ in 0..25 {
        bench.pulse(N1, &ALL);
    }
    assert_eq!(bench.upstream(N3), Some(N2));
}

#[test]
fn another_leader_has_another_chain() {
    let mut bench = chain_of_three();
    bench.elect(N2, &ALL);
    assert_eq!(bench.role(N2), RoleName::Leader);
    assert_eq!(bench.upstream(N1), Some(N2), "until it is told its place");
    bench.pulse(N2, &ALL);
    bench.pulse(N2, &ALL);
    assert_eq!(ALL.map(|node| bench.upstream(node)), [Some(N3), None, Some(N2)]);
    bench.put(N2, 1);
    bench.settle(&ALL);
    assert!(bench.is_done(1));
    assert!(bench.relayed(N3) > 0);
}

/// Only its leader makes a node follow, and entries travel upwards in the order of the chain only.
#[test]
fn what_is_handed_on_is_taken_from_those_before_and_for_the_leader_that_is_followed_only() {
    let mut bench = chain_of_three();
    let prev = bench.cores[&N3].entries.last();
    let own = prev.claim;
    let later = Claim { epoch: own.epoch + 1, ..own };
    for (from, to, claim) in [(N2, N3, later), (N3, N2, own)] {
        let id = EntryId { claim, index: prev.index + 1 };
        let change = Encoded::new(&Command::Noop.into());
        let entries = vec![Entry { id, written: WallTime::default(), change }];
        let message = Message::Relayed { claim, prev, entries, committed: id.index };
        bench.step(to, Input::Message { from, message });
        assert_eq!(bench.received(to), prev.index);
        assert_eq!(bench.cores[&to].hard.claim, own);
    }
}
