//! Written-out leases: from when one counts, what a leader does that overslept it, and which
//! tokens are no epochs.

use std::time::Duration;

use super::super::*;
use super::{Bench, N1, N2, N3};

const TTL: Duration = Duration::from_secs(3);

impl Bench {
    /// What a node last asked the lock service, with its number.
    fn asked(&self, node: NodeId) -> Option<(u64, LockAsk)> {
        self.locks.iter().rev().find(|(asker, ..)| *asker == node).map(|(_, n, ask)| (*n, *ask))
    }

    /// Answers what a node last asked.
    fn grant(&mut self, node: NodeId, token: u64) {
        let (number, _) = self.asked(node).expect("it asked");
        self.step(node, Input::Lock { number, answer: LockAnswer::Held { token } });
    }

    /// Lets a node miss its leader, win a pre-vote, get the lock and be elected.
    fn lead_by_lock(&mut self, node: NodeId, token: u64) {
        let all = [N1, N2, N3];
        self.elect(node, &all);
        assert_eq!(self.asked(node).map(|(_, ask)| ask), Some(LockAsk::Acquire));
        self.grant(node, token);
        self.settle(&all);
    }
}

fn bench(overrides: &[&str]) -> Bench {
    Bench::new(3, &[&["election=lease", "lock-ttl=3s"], overrides].concat())
}

#[test]
fn the_token_of_the_lock_is_the_epoch_and_only_a_greater_one_is_used() {
    let mut bench = bench(&[]);
    bench.lead_by_lock(N1, 7);
    assert_eq!((bench.role(N1), bench.cores[&N1].epoch()), (RoleName::Leader, 7));
    bench.lead_by_lock(N2, 7);
    assert_eq!(bench.asked(N2).map(|(_, ask)| ask), Some(LockAsk::Release { token: 7 }));
    assert_ne!(bench.role(N2), RoleName::Leader);
    bench.lead_by_lock(N2, 9);
    assert_eq!((bench.role(N2), bench.cores[&N2].epoch()), (RoleName::Leader, 9));
}

#[test]
fn a_lease_counts_from_the_question_and_ends_a_margin_early() {
    let mut bench = bench(&["lock-margin=500ms"]);
    bench.elect(N1, &[N1, N2, N3]);
    let asked = bench.now;
    // The answer was slow.
    bench.now += Duration::from_millis(100);
    bench.grant(N1, 5);
    bench.settle(&[N1, N2, N3]);
    assert_eq!(bench.role(N1), RoleName::Leader);
    // Nothing more comes from the lock service, while followers go on answering.
    let end = asked + TTL - Duration::from_millis(500);
    while bench.now + Duration::from_millis(50) < end {
        bench.now += Duration::from_millis(50);
        bench.step(N1, Input::Tick);
        bench.settle(&[N1, N2, N3]);
    }
    assert_eq!(bench.role(N1), RoleName::Leader);
    assert!(matches!(bench.asked(N1), Some((_, LockAsk::Renew { token: 5 }))));
    bench.now = end;
    bench.step(N1, Input::Tick);
    assert_eq!(bench.role(N1), RoleName::Follower);
    assert!(matches!(bench.asked(N1), Some((_, LockAsk::Release { token: 5 }))));
}

/// A leader sleeps for longer than its lease, and then a read comes first.
fn a_read_at_a_leader_that_overslept(margin: &str) -> Bench {
    let mut bench = bench(&["reads=leader", margin]);
    bench.lead_by_lock(N1, 5);
    bench.put(N1, 1);
    bench.settle(&[N1, N2, N3]);
    assert!(bench.is_done(1));
    bench.now += TTL;
    bench.read(N1, 2);
    bench
}

#[test]
fn a_leader_that_overslept_its_lease_serves_nothing() {
    let bench = a_read_at_a_leader_that_overslept("lock-margin=0ms");
    assert!(!bench.is_done(2));
    assert_eq!(bench.role(N1), RoleName::Follower);
}

#[test]
fn a_leader_that_does_not_mind_its_lease_serves_on_until_it_is_told() {
    let mut bench = a_read_at_a_leader_that_overslept("lock-margin=off");
    assert_eq!(bench.value(2).as_deref(), Some("1"));
    bench.step(N1, Input::Tick);
    let (number, ask) = bench.asked(N1).expect("it renews");
    assert_eq!(ask, LockAsk::Renew { token: 5 });
    bench.step(N1, Input::Lock { number, answer: LockAnswer::NotHeld });
    assert_eq!(bench.role(N1), RoleName::Follower);
}

#[test]
fn a_grant_that_nobody_waits_for_any_more_is_given_back() {
    let mut bench = bench(&[]);
    bench.elect(N1, &[N1, N2, N3]);
    let (number, _) = bench.asked(N1).expect("it asked");
    bench.lead_by_lock(N2, 8);
    assert_eq!(bench.role(N1), RoleName::Follower);
    bench.step(N1, Input::Lock { number, answer: LockAnswer::Held { token: 7 } });
    assert_eq!(bench.asked(N1).map(|(_, ask)| ask), Some(LockAsk::Release { token: 7 }));
    assert_eq!(bench.role(N1), RoleName::Follower);
}
