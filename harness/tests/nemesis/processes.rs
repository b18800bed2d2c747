//! Faults of processes and of who they are, seen in the kernel's table and in what nodes say.

use splitbrain::nemesis::Hands;
use splitbrain_reports::record::Effect;
use splitbrain_workloads::operation::NodeId;

use super::sleepers::{Sleepers, inject};

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_is_seen_by_the_new_process() {
    let sleepers = Sleepers::start(true).await;
    let record = inject(&sleepers, "kill: { node: leader, at: 100ms, for: 500ms }").await;
    let Effect::Seen(evidence) = &record.effect else { panic!("{:?}", record.effect) };
    assert!(evidence.starts_with("process "), "{evidence}");
    assert_eq!(record.leaders, [NodeId(1)]);
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_seen_in_the_kernels_table() {
    let sleepers = Sleepers::start(true).await;
    let record = inject(&sleepers, "pause: { node: n2, at: 100ms, for: 500ms }").await;
    assert_eq!(record.effect, Effect::Seen("the kernel had n2 stopped".to_string()));
    assert!(sleepers.process(NodeId(2)).is_some_and(|process| !process.is_still()));
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_injection_turned_into_a_no_op_has_no_effect() {
    let sleepers = Sleepers::start(false).await;
    let kill = inject(&sleepers, "kill: { node: n1, at: 100ms, for: 500ms }").await;
    assert!(matches!(&kill.effect, Effect::None(why) if why.contains("still process")), "{kill:?}");
    let pause = inject(&sleepers, "pause: { node: n1, at: 100ms, for: 500ms }").await;
    assert!(matches!(&pause.effect, Effect::None(why) if why.contains("not stopped")), "{pause:?}");
    sleepers.processes.shutdown().await.unwrap();
}

/// What betrays a change of the members that was none.
const UNCHANGED: &str = "the voters were n1 n2 n3 to the end";

/// Faults of processes and of who they are, beside kill and pause, and what a no-op of each is betrayed by.
const OF_PROCESSES: [(&str, &str, &str); 10] = [
    ("stop: { node: n1, at: 100ms, for: 300ms }", "(signal SIGTERM)", "still process"),
    (
        "slow: { node: n1, stopped: 30ms, running: 20ms, at: 100ms, for: 1s }",
        "% of the time",
        "seen stopped at the end of 0 of",
    ),
    (
        "rolling-restart: { down: 30ms, at: 100ms, for: 3s }",
        " of n3 is gone, process ",
        "still process",
    ),
    ("upgrade: { node: n1, to: copy, at: 100ms, for: 400ms }", ", and back", "still process"),
    (
        "upgrade: { node: all, to: copy, back: false, at: 100ms, for: 3s }",
        "/other/sleep, the same contents; process ",
        "still process",
    ),
    ("wipe: { node: n1, at: 100ms, for: 300ms }", "bytes of n1 gone, process ", "still process"),
    (
        "membership: { change: add, at: 100ms, for: 1s }",
        "n1 n2 n3 n4 vote where n1 n2 n3 did, n4 is process ",
        UNCHANGED,
    ),
    (
        "membership: { change: remove, node: leader, at: 100ms, for: 1s }",
        "n2 n3 vote wh",
        UNCHANGED,
    ),
    ("membership: { change: replace, node: n2, at: 100ms, for: 1s }", "n1 n3 n4 vote w", UNCHANGED),
    (
        "membership: { change: abandon, node: n3, at: 100ms, for: 1s }",
        "n3 vote where n1",
        UNCHANGED,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_processes_is_seen_from_outside() {
    let sleepers = Sleepers::start(true).await;
    for (fault, seen, _) in OF_PROCESSES {
        let record = inject(&sleepers, fault).await;
        let Effect::Seen(evidence) = &record.effect else { panic!("{fault}: {record:?}") };
        assert!(evidence.contains(seen), "{fault}: {evidence}");
        for node in NodeId::first(3) {
            let alive = sleepers.process(node).is_some_and(|process| !process.is_still());
            assert!(alive, "{fault}: {node} was not healed");
        }
        let voters: Vec<NodeId> = sleepers.voters.lock().unwrap().iter().copied().collect();
        assert_eq!(voters, NodeId::first(3).collect::<Vec<_>>(), "{fault}");
    }
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_processes_turned_into_a_no_op_has_no_effect() {
    let sleepers = Sleepers::start(false).await;
    for (fault, _, betrayed_by) in OF_PROCESSES {
        let record = inject(&sleepers, fault).await;
        let Effect::None(why) = &record.effect else { panic!("{fault}: {record:?}") };
        assert!(why.contains(betrayed_by), "{fault}: {why}");
    }
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_is_seen_by_who_leads_a_later_epoch() {
    let sleepers = Sleepers::start(true).await;
    for (node, seen) in [("n2", "n2 leads epoch 2"), ("n3", "n2 leads epoch 3 instead of n3")] {
        let record =
            inject(&sleepers, &format!("promote: {{ node: {node}, at: 100ms, for: 1s }}")).await;
        assert_eq!(record.effect, Effect::Seen(seen.to_string()));
    }
    sleepers.processes.shutdown().await.unwrap();
    let sleepers = Sleepers::start(false).await;
    let record = inject(&sleepers, "promote: { node: n2, at: 100ms, for: 200ms }").await;
    assert_eq!(
        record.effect,
        Effect::None("no leader of a later epoch than 1 (n1 led in it already)".to_string())
    );
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_of_all_takes_every_process_and_brings_every_one_back() {
    let sleepers = Sleepers::start(true).await;
    let record = inject(&sleepers, "kill: { node: all, at: 100ms, for: 200ms }").await;
    let Effect::Seen(evidence) = &record.effect else { panic!("{record:?}") };
    assert_eq!(evidence.matches(" is gone, process ").count(), 3, "{evidence}");
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_that_is_cut_short_has_no_effect_and_leaves_all_nodes_up() {
    let sleepers = Sleepers::start(true).await;
    let record = inject(&sleepers, "rolling-restart: { down: 2s, at: 100ms, for: 4s }").await;
    // The second node is down for the last time when the time is over, give or take a moment.
    let cut_short = |after| format!("over after {after} of 3 nodes; `for` is too short");
    let effect = &record.effect;
    assert!([1, 2].map(|after| Effect::None(cut_short(after))).contains(effect), "{effect:?}");
    assert!(NodeId::first(3).all(|node| sleepers.process(node).is_some()));
    sleepers.processes.shutdown().await.unwrap();
}
