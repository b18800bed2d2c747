//! When faults begin and end: their order, whom they wait for, and how far they go.

use std::time::Duration;

use splitbrain::nemesis::Hands;
use splitbrain::suite::plan::PlannedRun;
use splitbrain_reports::record::Effect;
use splitbrain_workloads::operation::NodeId;

use super::sleepers::{
    Sleepers, inject, inject_all, inject_while, injected, picture_led_by, planned, status,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_goes_not_beyond_its_last_moment() {
    let sleepers = Sleepers::start(true).await;
    let fault = "pause: { node: n2, at: 1s, for: 5s, before: 1200ms }";
    let record = inject(&sleepers, fault).await;
    let lasted = record.heal_requested.unwrap().0 - record.in_force.unwrap().0;
    assert!(lasted < 3_000_000, "healed after {lasted} us, by itself and not at the moment");
    sleepers.processes.shutdown().await.unwrap();
}

/// While a fault that follows is in force, somebody else comes to lead.
#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_follows_heals_the_old_leader_and_hits_the_new_one() {
    let sleepers = Sleepers::start(true).await;
    let fault = "pause: { node: leader, follow: leader, at: 1s, for: 1s }";
    let watched = sleepers.clone();
    let (record, notes) = inject_while(&sleepers, fault, |roles| async move {
        while !watched.process(NodeId(1)).is_some_and(|process| process.is_still()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        roles.send_replace(picture_led_by(NodeId(2), 2));
    })
    .await;
    assert_eq!(record.victims, [NodeId(1), NodeId(2)]);
    let seen = "the kernel had n1 stopped; then the kernel had n2 stopped";
    assert_eq!(record.effect, Effect::Seen(seen.to_string()));
    assert!(notes.contains("goes after the leader, to n2"), "{notes}");
    for node in NodeId::first(3) {
        assert!(sleepers.process(node).is_some_and(|process| !process.is_still()));
    }
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_keeps_a_majority_is_skipped_where_none_would_be_left() {
    let sleepers = Sleepers::start(true).await;
    let faults = "pause: { node: n1, at: 1s, for: 3s }, \
                  kill: { node: n2, keep: majority, at: 1500ms, before: 2s, for: 100ms }";
    let records = inject_all(&sleepers, faults).await;
    assert!(matches!(&records[0].effect, Effect::Seen(_)), "{records:?}");
    let why = "it had not begun before 2s".to_string();
    assert_eq!(records[1].effect, Effect::Skipped(why));
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_on_a_node_that_is_under_another_one_waits_for_its_heal() {
    let sleepers = Sleepers::start(true).await;
    let faults = "pause: { node: n1, at: 1s, for: 400ms }, \
                  kill: { node: n1, at: 1200ms, for: 100ms }, \
                  kill: { node: n2, keep: majority, at: 1250ms, for: 100ms }";
    // In the order of the plan, however late a busy machine wakes their timers.
    let plan = PlannedRun { in_order: true, ..planned(faults) };
    let (records, events) = injected(&sleepers, plan, |_| async {}).await;
    let healed = records[0].healed.unwrap();
    for waited in &records[1..] {
        assert!(matches!(&waited.effect, Effect::Seen(_)), "{waited:?}");
        assert!(waited.requested.unwrap() >= healed, "{records:?}");
    }
    assert!(events.contains("fault 2 kill waited "), "{events}");
    assert!(events.contains(" ms: n1 is under another fault"), "{events}");
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_one_moment_begin_in_the_order_of_the_plan() {
    let sleepers = Sleepers::start(true).await;
    let faults: Vec<String> = (0..24)
        .map(|number| format!("pause: {{ node: n{}, at: 1s, for: 1ms }}", number % 3 + 1))
        .collect();
    // Eight wait for each node; that they begin in the order of the plan is what `in_order` adds.
    let records = inject_all(&sleepers, &faults[..3].join(", ")).await;
    let began: Vec<_> = records.iter().map(|record| record.requested.unwrap()).collect();
    assert!(began.is_sorted(), "{began:?}");
    let plan = PlannedRun { in_order: true, ..planned(&faults.join(", ")) };
    let (records, _) = injected(&sleepers, plan, |_| async {}).await;
    let began: Vec<_> = records.iter().map(|record| record.requested.unwrap()).collect();
    assert!(began.is_sorted(), "{began:?}");
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_leads_a_fault_with_a_stand_in_is_on_time_and_hits_it() {
    let sleepers = Sleepers::start(true).await;
    let fault = "pause: { node: leader, otherwise: n3, at: 1s, for: 100ms }";
    let (record, _) = inject_while(&sleepers, fault, |roles| async move {
        let nobody = status(NodeId(1), NodeId(9), 1);
        roles.send_replace(NodeId::first(3).map(|node| (node, Some(nobody.clone()))).collect());
    })
    .await;
    assert_eq!(record.victims, [NodeId(3)]);
    assert!(matches!(&record.effect, Effect::Seen(_)), "{record:?}");
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_follows_turned_into_a_no_op_has_no_effect_wherever_it_was_aimed() {
    let sleepers = Sleepers::start(false).await;
    let fault = "pause: { node: leader, follow: leader, at: 1s, for: 1s }";
    let events = sleepers.folder.path().join("events.jsonl");
    let (record, notes) = inject_while(&sleepers, fault, |roles| async move {
        // No process tells that it was hit: none is.
        while !std::fs::read_to_string(&events).is_ok_and(|text| text.contains("\"in-force\"")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        roles.send_replace(picture_led_by(NodeId(2), 2));
    })
    .await;
    assert_eq!(record.victims, [NodeId(1), NodeId(2)]);
    assert_eq!(record.effect, Effect::None("n1 was not stopped once paused".to_string()));
    assert!(notes.contains("goes after the leader, to n2"), "{notes}");
    sleepers.processes.shutdown().await.unwrap();
}
