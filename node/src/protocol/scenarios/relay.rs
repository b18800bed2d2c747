//! Written-out delays: when a follower applies, and what a winner makes of what it has not applied.

use std::time::Duration;

use super::super::*;
use super::{Bench, N1, N2, N3};

const ALL: [NodeId; 3] = [N1, N2, N3];

impl Bench {
    fn clock(&mut self, node: NodeId, millis: u64) {
        self.step(node, Input::Clock(WallTime(1_000_000_000 + 1000 * millis)));
    }

    fn let_pass(&mut self, span: Duration) {
        self.now += span;
        let millis = self.now.as_millis() as u64;
        ALL.into_iter().for_each(|node| self.clock(node, millis));
        self.step(N1, Input::Tick);
        self.settle(&ALL);
        ALL.into_iter().for_each(|node| self.step(node, Input::Tick));
    }

    fn positions(&self, node: NodeId) -> (u64, u64) {
        let view = self.cores[&node].view();
        (view.committed, view.applied)
    }
}

/// n1 leads and has committed a write; its followers know it and have not applied it.
fn followers_that_have_not_applied(overrides: &[&str]) -> Bench {
    let delay = ["apply-delay=200ms"];
    let mut bench = Bench::new(3, &[&delay[..], overrides].concat());
    bench.elect(N1, &ALL);
    bench.let_pass(Duration::from_millis(50));
    bench.put(N1, 1);
    bench.settle(&ALL);
    bench.let_pass(Duration::from_millis(50));
    bench
}

#[test]
fn a_delayed_follower_has_received_what_it_applies_only_when_it_is_old_enough() {
    let mut bench = followers_that_have_not_applied(&[]);
    let (committed, applied) = bench.positions(N2);
    assert!(bench.is_done(1) && bench.positions(N1) == (committed, committed));
    assert!(applied < committed, "{applied} of {committed}");
    let lag = bench.cores[&N2].view().lag;
    assert!(lag > Duration::ZERO && lag < Duration::from_millis(200), "{lag:?}");
    for _ in 0..4 {
        bench.let_pass(Duration::from_millis(50));
    }
    assert_eq!(bench.positions(N2), (committed, committed));
    assert_eq!(bench.cores[&N2].view().lag, Duration::ZERO);
}

#[test]
fn a_leader_measures_the_lag_of_a_silent_follower_by_what_it_lacks() {
    let mut bench = Bench::new(3, &[]);
    bench.elect(N1, &ALL);
    bench.let_pass(Duration::from_millis(50));
    bench.put(N1, 1);
    bench.settle(&[N1, N2]);
    bench.now += Duration::from_millis(40);
    let millis = bench.now.as_millis() as u64;
    bench.clock(N1, millis);
    let followers = bench.cores[&N1].view().followers;
    let lags: Vec<_> = followers.iter().map(|one| (one.lag_entries, one.lag.as_millis())).collect();
    assert_eq!(lags, [(0, 0), (1, 40)]);
}

#[test]
fn a_winner_applies_what_it_has_received_or_drops_it_as_promote_by_says() {
    for (promote_by, seen) in [("promote-by=received", Some("1")), ("promote-by=applied", None)] {
        let mut bench = followers_that_have_not_applied(&["apply-delay=10s", promote_by]);
        assert!(bench.is_done(1));
        bench.wires.clear();
        bench.elect(N2, &[N2, N3]);
        assert_eq!(bench.role(N2), RoleName::Leader);
        bench.read(N2, 2);
        bench.settle(&[N2, N3]);
        assert!(bench.is_done(2));
        assert_eq!(bench.value(2).as_deref(), seen, "{promote_by}");
    }
}
