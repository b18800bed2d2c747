//! Written-out agreements on who leads: what binds a proposer, what a crash must not undo.

use std::time::Duration;

use super::super::*;
use super::{Bench, N1, N2, N3};

const ALL: [NodeId; 3] = [N1, N2, N3];

impl Bench {
    /// Lets a node lose patience and win the pre-vote of one other, and stops with its `Prepare`s
    /// on the wires.
    fn prepares(&mut self, node: NodeId, content: NodeId) {
        self.now += self.cores[&node].settings.election_timeout_max();
        self.cores.get_mut(&node).expect("it exists").suspicion.deadline = self.now;
        self.step(node, Input::Tick);
        let asked = self.take(node, content);
        self.lose(|_, _| true);
        self.wires.push_back(asked);
        self.pass(node, content);
        self.pass(content, node);
    }

    fn pass(&mut self, from: NodeId, to: NodeId) {
        let (_, _, message) = self.take(from, to);
        self.step(to, Input::Message { from, message });
        self.flush(to);
    }

    /// A node that crashed starts again with what was on its disk.
    fn restart(&mut self, node: NodeId) {
        let core = &self.cores[&node];
        let hard = core.durable_hard();
        let remembered =
            Remembered { hard, entries: core.entries.clone(), ..Remembered::founder() };
        let (peers, settings) = (core.peers.clone(), core.settings.clone());
        let core = Core::new(node, peers, settings, remembered, node.0.into(), self.now);
        self.cores.insert(node, core);
        self.unflushed.retain(|(owner, _)| *owner != node);
    }
}

/// n1 has its own leadership in an epoch accepted by n2, and never learns it. Then n3 proposes in
/// the same epoch, to n2.
fn a_value_is_chosen_and_its_proposer_does_not_know(overrides: &[&str], crash: bool) -> Bench {
    let mut bench = Bench::new(3, &[&["election=paxos"], overrides].concat());
    bench.prepares(N1, N2);
    bench.pass(N1, N2);
    bench.pass(N2, N1);
    bench.pass(N1, N2);
    assert!(bench.wires.iter().any(|(_, _, m)| matches!(m, Message::Accepted { .. })));
    bench.lose(|_, _| true);
    if crash {
        bench.restart(N2);
    }
    bench.prepares(N3, N2);
    bench.settle(&[N2, N3]);
    bench
}

#[test]
fn a_proposer_is_bound_by_what_may_have_been_chosen_before() {
    let mut bench = a_value_is_chosen_and_its_proposer_does_not_know(&[], false);
    let epoch = bench.cores[&N3].hard.epoch;
    assert_eq!(bench.cores[&N3].leader(), Some(N1), "n3 has learned whom a majority accepted");
    bench.settle(&ALL);
    assert_eq!(bench.role(N1), RoleName::Leader, "and has told it");
    assert_eq!(bench.cores[&N1].epoch(), epoch, "in the epoch that it did not know it had won");
    bench.put(N1, 1);
    bench.settle(&ALL);
    assert!(bench.is_done(1));
}

#[test]
fn an_acceptance_survives_a_crash_and_without_durable_votes_one_epoch_may_have_two_leaders() {
    let bench = a_value_is_chosen_and_its_proposer_does_not_know(&[], true);
    assert_eq!(bench.cores[&N3].leader(), Some(N1));
    // Without it n2 has forgotten that it accepted n1, and accepts n3 in the same epoch.
    let bench = a_value_is_chosen_and_its_proposer_does_not_know(&["durable-vote=off"], true);
    assert_eq!(bench.role(N3), RoleName::Leader);
    let (first, second) = (bench.cores[&N1].hard.epoch, bench.cores[&N3].epoch());
    assert_eq!(first, second, "n1 needs only the lost answer to lead in it too");
}

#[test]
fn a_promise_and_an_acceptance_are_given_when_they_are_on_disk_and_not_before() {
    let mut bench = Bench::new(3, &["election=paxos"]);
    let ballot = Ballot { number: 1, proposer: N1 };
    let messages = [
        Message::Prepare { epoch: 7, ballot, configuration: EntryId::ORIGIN },
        Message::Accept { epoch: 7, ballot, leader: N1 },
    ];
    for message in messages {
        bench.step(N2, Input::Message { from: N1, message });
        assert!(bench.wires.is_empty(), "the answer waits for the disk");
        bench.flush(N2);
        assert_eq!(bench.wires.drain(..).count(), 1);
    }
}

/// n1 leads and acknowledges with n2 while n3 is away. Then n1 is gone, and n3 proposes to n2.
fn a_proposer_whose_log_lacks_an_acknowledged_write(completeness: &str) -> Bench {
    let mut bench = Bench::new(3, &["election=paxos", completeness]);
    bench.elect(N1, &ALL);
    bench.put(N1, 1);
    bench.settle(&ALL);
    bench.put(N1, 2);
    bench.settle(&[N1, N2]);
    assert!(bench.is_done(2));
    bench.lose(|_, _| true);
    bench.prepares(N3, N2);
    bench.settle(&[N2, N3]);
    let leader = if bench.role(N2) == RoleName::Leader { N2 } else { N3 };
    bench.read(leader, 3);
    bench.settle(&[N2, N3]);
    bench
}

#[test]
fn a_proposer_with_a_short_log_proposes_the_one_with_the_best() {
    let bench = a_proposer_whose_log_lacks_an_acknowledged_write("completeness=on");
    assert_eq!(bench.role(N2), RoleName::Leader);
    assert_eq!(bench.value(3).as_deref(), Some("2"));
}

#[test]
fn without_completeness_a_proposer_with_a_short_log_proposes_itself() {
    let bench = a_proposer_whose_log_lacks_an_acknowledged_write("completeness=off");
    assert_eq!(bench.role(N3), RoleName::Leader);
    assert_eq!(bench.value(3).as_deref(), Some("1"), "the acknowledged 2 is gone");
}

#[test]
fn a_proposer_that_was_outbid_tries_again_beyond_it_in_the_same_epoch() {
    let mut bench = Bench::new(3, &["election=paxos"]);
    bench.prepares(N3, N2);
    bench.pass(N3, N2);
    bench.lose(|_, _| true);
    let epoch = bench.cores[&N3].hard.epoch;
    bench.prepares(N1, N2);
    bench.pass(N1, N2);
    bench.pass(N2, N1);
    assert_eq!(bench.role(N1), RoleName::Follower, "n3's ballot of the same number is later");
    bench.prepares(N1, N2);
    bench.settle(&[N1, N2]);
    assert_eq!((bench.role(N1), bench.cores[&N1].epoch()), (RoleName::Leader, epoch));
}

#[test]
fn who_is_told_to_lead_and_knows_too_little_goes_on_to_the_first_epoch_that_is_not_settled() {
    let mut bench = Bench::new(3, &["election=paxos"]);
    bench.elect(N3, &ALL);
    bench.elect(N2, &[N1, N2]);
    assert_eq!(bench.role(N2), RoleName::Leader);
    bench.lose(|_, _| true);
    bench.restart(N3);
    let settled = bench.cores[&N2].epoch();
    assert!(bench.cores[&N3].hard.claim.epoch < settled, "n3 has missed it");
    bench.request(N3, 1, Request::Promote);
    for _ in 0..3 {
        bench.settle(&[N2, N3]);
        bench.now += Duration::from_millis(1);
        bench.step(N3, Input::Tick);
    }
    let led = bench.cores[&N3].epoch();
    assert!(led > settled && [N2, N3].iter().any(|node| bench.role(*node) == RoleName::Leader));
}

#[test]
fn who_has_led_in_an_epoch_does_not_lead_in_it_again_after_a_crash() {
    let mut bench = Bench::new(3, &["election=paxos"]);
    bench.elect(N1, &ALL);
    let claim = bench.cores[&N1].hard.claim;
    assert_eq!(claim.leader, N1);
    bench.restart(N1);
    bench.step(N1, Input::Message { from: N2, message: Message::Chosen { claim } });
    bench.flush(N1);
    assert_eq!(bench.role(N1), RoleName::Follower);
}
