//! Written-out silences: a leader that is slow and alive, and one that has died.

use std::time::Duration;

use super::super::*;
use super::{Bench, N1, N2, N3};

/// Milliseconds from one heartbeat of a slow leader to the next.
const SLOW: [u64; 4] = [350, 700, 450, 550];

impl Bench {
    /// Lets time pass at n2, whose timer is looked at every few milliseconds.
    fn pass_time_at_n2(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.now = end.min(self.now + Duration::from_millis(5));
            if self.cores[&N2].next_timer() <= self.now {
                self.step(N2, Input::Tick);
            }
        }
        self.lose(|_, _| true);
    }

    fn n2_hears_n1(&mut self) {
        let claim = self.cores[&N1].hard.claim;
        let prev = self.cores[&N2].entries.last();
        let (round, entries, committed) = (1, Vec::new(), 0);
        let vouched = Vouched::default();
        let message = Message::Append { claim, round, prev, entries, committed, vouched };
        self.step(N2, Input::Message { from: N1, message });
    }

    fn counts_of_n2(&self) -> Counters {
        self.cores[&N2].counters
    }
}

/// n2 follows n1, whose heartbeats come slowly for a minute.
fn a_follower_of_a_slow_leader(overrides: &[&str]) -> Bench {
    let mut bench = Bench::new(3, overrides);
    bench.elect(N1, &[N1, N2, N3]);
    bench.lose(|_, _| true);
    for silence in SLOW.repeat(30) {
        bench.n2_hears_n1();
        bench.pass_time_at_n2(Duration::from_millis(silence));
    }
    bench.n2_hears_n1();
    bench
}

#[test]
fn a_slow_leader_is_suspected_again_and_again_with_fixed_suspicion() {
    let counts = a_follower_of_a_slow_leader(&[]).counts_of_n2();
    assert!(counts.false_suspicions > 20, "{counts:?}");
}

#[test]
fn a_slow_leader_is_never_suspected_with_adaptive_suspicion() {
    let counts = a_follower_of_a_slow_leader(&["suspicion=adaptive"]).counts_of_n2();
    assert_eq!((counts.false_suspicions, counts.elections_started), (0, 0));
}

#[test]
fn a_leader_that_died_is_suspected_within_twice_the_longest_silence_that_is_tolerated() {
    for longest in [800, 1500] {
        let most = format!("suspicion-max={longest}ms");
        let mut bench = a_follower_of_a_slow_leader(&["suspicion=adaptive", &most]);
        let before = bench.counts_of_n2().elections_started;
        bench.pass_time_at_n2(Duration::from_millis(2 * longest + 5));
        assert!(bench.counts_of_n2().elections_started > before, "{most}");
    }
}

#[test]
fn a_leader_that_was_regular_and_died_is_suspected_as_soon_as_with_fixed_suspicion() {
    let mut bench = Bench::new(3, &["suspicion=adaptive"]);
    bench.elect(N1, &[N1, N2, N3]);
    for _ in 0..20 {
        bench.n2_hears_n1();
        bench.pass_time_at_n2(Duration::from_millis(50));
    }
    bench.n2_hears_n1();
    let timeout = bench.cores[&N2].settings.election_timeout;
    bench.pass_time_at_n2(timeout);
    assert_eq!(bench.counts_of_n2().elections_started, 0);
    bench.pass_time_at_n2(timeout + Duration::from_millis(5));
    assert_eq!(bench.counts_of_n2().elections_started, 1);
}

#[test]
fn who_tolerates_the_silence_of_a_slow_leader_does_not_help_to_depose_it() {
    let mut bench = a_follower_of_a_slow_leader(&["suspicion=adaptive"]);
    bench.pass_time_at_n2(Duration::from_millis(500));
    let (epoch, last) = (bench.cores[&N2].hard.epoch + 1, bench.cores[&N2].entries.last());
    bench.step(N2, Input::Message { from: N3, message: Message::PreVote { epoch, last } });
    let (_, _, answer) = bench.take(N2, N3);
    assert!(matches!(answer, Message::PreVoteReply { granted: false, .. }), "{answer:?}");
}
