//! Written-out acknowledgements: who must confirm, what happens when nobody does, what is visible.

use std::time::Duration;

use super::super::*;
use super::{Bench, N1, N2, N3};
use crate::state::Query;

/// What the answer to a write said of itself.
fn acknowledgement(bench: &Bench, id: RequestId) -> Option<Acknowledgement> {
    match bench.replies.get(&id)? {
        Outcome::Done { source, .. } => source.acknowledgement,
        Outcome::Failed(_) => None,
    }
}

/// Lets n1 hear nothing, and tick in time, for so many heartbeats.
fn stay_awake(bench: &mut Bench, heartbeats: u32) {
    for _ in 0..heartbeats {
        bench.now += bench.cores[&N1].settings.heartbeat;
        bench.step(N1, Input::Tick);
    }
}

#[test]
fn a_semi_synchronous_leader_says_when_it_went_alone_and_waits_again_when_caught_up_with() {
    let mut bench = Bench::new(3, &["replication=semi-sync", "fallback=after 200ms"]);
    let all = [N1, N2, N3];
    bench.elect(N1, &all);
    bench.put(N1, 1);
    bench.settle(&all);
    assert_eq!(acknowledgement(&bench, 1), Some(Acknowledgement::SemiSync));

    bench.put(N1, 2);
    bench.settle(&[N1]);
    assert!(!bench.is_done(2), "nobody has confirmed");
    stay_awake(&mut bench, 3);
    assert!(!bench.is_done(2), "150 of 200 ms have passed");
    stay_awake(&mut bench, 1);
    assert_eq!(acknowledgement(&bench, 2), Some(Acknowledgement::AsyncFallback));
    bench.put(N1, 3);
    bench.settle(&[N1]);
    assert_eq!(acknowledgement(&bench, 3), Some(Acknowledgement::AsyncFallback), "at once");

    bench.settle(&all);
    bench.put(N1, 4);
    bench.settle(&[N1]);
    assert!(!bench.is_done(4), "the others have caught up, so it waits again");
    bench.settle(&all);
    assert_eq!(acknowledgement(&bench, 4), Some(Acknowledgement::SemiSync));
}

#[test]
fn a_semi_synchronous_leader_that_overslept_hears_its_followers_before_it_goes_alone() {
    let mut bench = Bench::new(3, &["replication=semi-sync", "fallback=after 200ms"]);
    let all = [N1, N2, N3];
    bench.elect(N1, &all);
    bench.settle(&all);
    bench.put(N1, 1);
    let (from, to, message) = bench.take(N1, N2);
    bench.step(to, Input::Message { from, message });
    bench.flush(N2);
    // Both disks have it, and n1 sleeps before it hears so.
    bench.now += Duration::from_secs(10);
    bench.step(N1, Input::Tick);
    bench.flush(N1);
    assert!(!bench.is_done(1), "n2 has confirmed and was not heard");
    bench.settle(&all);
    assert_eq!(acknowledgement(&bench, 1), Some(Acknowledgement::SemiSync));
}

#[test]
fn a_semi_synchronous_leader_that_sleeps_again_and_again_does_not_wait_for_ever() {
    let mut bench = Bench::new(3, &["replication=semi-sync", "fallback=after 200ms"]);
    let all = [N1, N2, N3];
    bench.elect(N1, &all);
    bench.settle(&all);
    bench.put(N1, 1);
    bench.settle(&[N1]);
    let slept = (1..20).find(|_| {
        bench.now += Duration::from_secs(10);
        bench.step(N1, Input::Tick);
        bench.wires.clear();
        bench.is_done(1)
    });
    // Each time it is awake for the heartbeat of 50 ms after which it should have looked.
    assert_eq!(slept, Some(4));
    assert_eq!(acknowledgement(&bench, 1), Some(Acknowledgement::AsyncFallback));
}

#[test]
fn synchronous_replication_waits_for_every_standby_that_counts_and_for_no_other() {
    for (standbys, done) in [("standbys=all", false), ("standbys=n1,n2", true)] {
        let mut bench = Bench::new(3, &["replication=sync", standbys]);
        bench.elect(N1, &[N1, N2, N3]);
        bench.settle(&[N1, N2, N3]);
        bench.put(N1, 1);
        bench.settle(&[N1, N2]);
        assert_eq!(bench.is_done(1), done, "{standbys} while n3 is silent");
        bench.settle(&[N1, N2, N3]);
        assert_eq!(acknowledgement(&bench, 1), Some(Acknowledgement::Sync));
    }
}

#[test]
fn a_follower_that_falls_behind_is_no_longer_waited_for_down_to_the_smallest_set() {
    let all = [N1, N2, N3];
    let mut bench = Bench::new(3, &["replication=isr", "replica-lag=100ms"]);
    bench.elect(N1, &all);
    bench.put(N1, 1);
    bench.settle(&all);
    bench.put(N1, 2);
    bench.settle(&[N1, N2]);
    assert!(!bench.is_done(2), "n3 is in the set and silent");
    for _ in 0..4 {
        bench.now += Duration::from_millis(50);
        bench.step(N1, Input::Tick);
        bench.settle(&[N1, N2]);
    }
    assert!(bench.is_done(2), "n3 fell out of the set");
    for _ in 0..4 {
        bench.now += Duration::from_millis(50);
        bench.step(N1, Input::Tick);
        bench.settle(&[N1]);
    }
    bench.put(N1, 3);
    let Some(Outcome::Failed(failure)) = bench.replies.get(&3) else { panic!("it is refused") };
    assert_eq!((failure.kind, failure.definite), (FailureKind::NotEnoughReplicas, true));
    bench.settle(&all);
    bench.put(N1, 4);
    bench.settle(&all);
    assert_eq!(acknowledgement(&bench, 4), Some(Acknowledgement::Isr));
}

#[test]
fn after_commit_shows_a_write_to_others_before_its_writer_is_answered() {
    for (wait_point, seen) in [("after-commit", Some("1")), ("after-sync", None)] {
        let wait_point = format!("wait-point={wait_point}");
        let overrides = ["replication=semi-sync", "fallback=never", "reads=leader", &wait_point];
        let mut bench = Bench::new(3, &overrides);
        bench.elect(N1, &[N1, N2, N3]);
        bench.settle(&[N1, N2, N3]);
        bench.put(N1, 1);
        bench.settle(&[N1]);
        bench.read(N1, 2);
        assert_eq!(bench.value(2).as_deref(), seen, "{wait_point}");
        assert!(!bench.is_done(1));
    }
}

#[test]
fn a_write_that_waits_to_be_applied_is_seen_by_local_reads_when_it_is_answered() {
    let mut bench = Bench::new(3, &["replication=sync", "level=applied"]);
    bench.elect(N1, &[N1, N2, N3]);
    bench.settle(&[N1, N2, N3]);
    bench.put(N1, 1);
    bench.settle(&[N1, N2, N3]);
    assert!(bench.is_done(1), "without waiting for a heartbeat");
    for (node, id) in [(N2, 2), (N3, 3)] {
        bench.request(node, id, Request::ReadLocal(Query::Get { key: "k".into() }));
        assert_eq!(bench.value(id).as_deref(), Some("1"));
    }
}
