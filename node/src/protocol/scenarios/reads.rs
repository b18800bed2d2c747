//! Reads at followers: within a bound, and after a write.

use super::*;

const ALL: [NodeId; 3] = [N1, N2, N3];

impl Bench {
    /// A heartbeat of a leader, and what follows from it among some nodes.
    fn beat_among(&mut self, leader: NodeId, among: &[NodeId]) {
        self.now += self.cores[&leader].settings.heartbeat;
        self.step(leader, Input::Tick);
        self.settle(among);
    }

    fn read_after(&mut self, node: NodeId, id: RequestId, after: EntryId) {
        let query = Query::Get { key: "k".into() };
        self.request(node, id, Request::ReadAfter { query, after });
    }

    fn read_bounded(&mut self, node: NodeId, id: RequestId, max_staleness_ms: u64) {
        let query = Query::Get { key: "k".into() };
        self.request(node, id, Request::ReadBounded { query, max_staleness_ms });
    }

    fn source(&self, id: RequestId) -> Option<Source> {
        match self.replies.get(&id)? {
            Outcome::Done { source, .. } => Some(*source),
            Outcome::Failed(_) => None,
        }
    }

    fn failure(&self, id: RequestId) -> Option<FailureKind> {
        match self.replies.get(&id)? {
            Outcome::Done { .. } => None,
            Outcome::Failed(failure) => Some(failure.kind),
        }
    }
}

#[test]
fn a_read_after_a_write_waits_at_a_follower_until_it_has_applied_the_write() {
    let mut bench = Bench::new(3, &[]);
    bench.elect(N1, &ALL);
    bench.put(N1, 1);
    bench.settle(&ALL);
    let written = bench.source(1).and_then(|source| source.gtid).expect("it is acknowledged");
    bench.read_after(N2, 2, written);
    assert!(!bench.replies.contains_key(&2), "n2 has not heard of the commit");
    bench.beat_among(N1, &ALL);
    assert_eq!(bench.value(2).as_deref(), Some("1"));
    assert_eq!(bench.source(2).map(|source| source.node), Some(N2));
}

/// n1 acknowledges alone, is cut off, and others agree on another entry in the same place.
#[test]
fn a_read_after_a_write_that_is_lost_is_refused_at_every_node() {
    let mut bench = Bench::new(3, &["replication=async"]);
    bench.elect(N1, &ALL);
    bench.settle(&ALL);
    bench.put(N1, 1);
    bench.flush(N1);
    let written = bench.source(1).and_then(|source| source.gtid).expect("n1 acknowledges alone");
    bench.lose(|from, _| from == N1);
    bench.elect(N2, &[N2, N3]);
    bench.put(N2, 2);
    bench.settle(&[N2, N3]);
    bench.beat_among(N2, &[N2, N3]);
    bench.read_after(N2, 3, written);
    bench.read_after(N3, 4, written);
    bench.settle(&[N2, N3]);
    for id in [3, 4] {
        assert_eq!(bench.failure(id), Some(FailureKind::PositionLost), "{id}");
    }
}

#[test]
fn a_follower_answers_within_a_bound_while_it_hears_its_leader_and_else_passes_on() {
    let mut bench = Bench::new(3, &[]);
    bench.elect(N1, &ALL);
    for _ in 0..4 {
        bench.beat_among(N1, &ALL);
    }
    bench.read_bounded(N2, 1, 200);
    let source = bench.source(1).expect("n2 answers");
    assert_eq!((source.node, source.lag_entries), (N2, Some(0)));
    assert!(source.lag_ms.is_some_and(|age| age <= 200), "{source:?}");
    bench.now += Duration::from_millis(250);
    bench.read_bounded(N2, 2, 200);
    let forward = bench.wires.back();
    let Some((N2, N1, Message::Forward { patience_ms, .. })) = forward else {
        panic!("expected a forward, got {forward:?}");
    };
    assert_eq!(*patience_ms, 1000, "the leader has as long as the client");
}

#[test]
fn the_follower_of_a_leader_without_a_majority_does_not_take_heartbeats_for_freshness() {
    let all = [N1, N2, N3, NodeId(4), NodeId(5)];
    let mut bench = Bench::new(5, &[]);
    bench.elect(N1, &all);
    for _ in 0..4 {
        bench.beat_among(N1, &all);
    }
    bench.read_bounded(N2, 1, 200);
    assert!(bench.is_done(1));
    for _ in 0..6 {
        bench.beat_among(N1, &[N1, N2]);
    }
    assert_eq!(bench.cores[&N2].leader(), Some(N1), "it hears the leader all the time");
    bench.read_bounded(N2, 2, 200);
    assert!(!bench.replies.contains_key(&2), "others may have elected another leader");
}

/// n2 answers a round, is restarted, and receives that round again, as if for the first time, and
/// then what the leader said of the answer.
#[test]
fn what_a_process_had_answered_before_it_was_restarted_does_not_make_its_successor_fresh() {
    let mut bench = Bench::new(3, &[]);
    bench.elect(N1, &ALL);
    let mut sent = Vec::new();
    for _ in 0..5 {
        bench.now += bench.cores[&N1].settings.heartbeat;
        bench.step(N1, Input::Tick);
        let to_n2 = bench.wires.iter().find(|(from, to, _)| (*from, *to) == (N1, N2));
        sent.push(to_n2.map(|(_, _, message)| message.clone()).expect("n2 is sent a heartbeat"));
        bench.settle(&ALL);
    }
    let core = &bench.cores[&N2];
    let notes = core.entries.after(0).map(|entry| Note::Entry(entry.clone()));
    let notes = notes.chain([Note::Hard(core.durable_hard())]);
    let remembered = Remembered::replay(Saved::default(), false, notes).expect("a log");
    let (peers, settings) = (core.peers.clone(), core.settings.clone());
    bench.now += Duration::from_secs(60);
    bench.cores.insert(N2, Core::new(N2, peers, settings, remembered, 99, bench.now));
    for message in sent {
        bench.step(N2, Input::Message { from: N1, message });
    }
    assert_eq!(bench.cores[&N2].committed, 1, "what it was sent can be joined to its log");
    bench.read_bounded(N2, 1, 10_000);
    assert!(!bench.replies.contains_key(&1), "the messages are a minute old");
}
