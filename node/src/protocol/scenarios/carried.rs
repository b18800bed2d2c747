//! What entries carry besides their change: the leader's clock, and a name for clients.

use super::*;

#[test]
fn an_entry_carries_the_clock_of_its_leader_to_every_node_and_a_clock_may_step_back() {
    let mut bench = Bench::new(3, &[]);
    bench.elect(N1, &[N1, N2, N3]);
    bench.step(N2, Input::Clock(WallTime(7)));
    for (id, wall) in [(1, 2_000), (2, 1_000)] {
        bench.step(N1, Input::Clock(WallTime(wall)));
        bench.put(N1, id);
        bench.settle(&[N1, N2, N3]);
    }
    for core in bench.cores.values() {
        let written: Vec<WallTime> = core.entries.after(1).map(|entry| entry.written).collect();
        assert_eq!(written, [WallTime(2_000), WallTime(1_000)], "{}", core.me);
    }
}

#[test]
fn an_acknowledged_write_is_named_by_its_gtid_wherever_it_was_sent() {
    let mut bench = Bench::new(3, &[]);
    bench.elect(N1, &[N1, N2, N3]);
    bench.put(N2, 5);
    bench.settle(&[N1, N2, N3]);
    let Some(Outcome::Done { source, .. }) = bench.replies.get(&5) else { panic!("it is done") };
    let gtid = source.gtid.map(|id| Gtid(id).to_string());
    assert_eq!(gtid.as_deref(), Some("n1@1:2"));
}
