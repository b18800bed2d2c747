//! Every form of a partition, and whom a fault can be aimed at: each is seen, and each is betrayed
//! when it is turned into a no-op.

use splitbrain::nemesis::Hands;
use splitbrain_reports::record::Effect;
use splitbrain_workloads::operation::NodeId;

use super::sleepers::{Sleepers, everybody_talks, inject};

/// Every form, with the keys that change what is cut.
const FORMS: [&str; 21] = [
    "isolate: leader",
    "isolate: follower, keep: majority",
    "isolate: leader, follow: leader",
    "isolate: all, scope: peers+clients",
    "isolate: n1, dials: refuse",
    "halves: random",
    "halves: [n1, n3], direction: outbound",
    "halves: redrawn, flap: { cut: 60ms, healed: 40ms }",
    "groups: [[n1, n2], [n3]]",
    "groups: random",
    "groups: redrawn, flap: { cut: 60ms, healed: 40ms }",
    "links: [n1->n2, n3->n2]",
    "links: [n2->n1, client->n1]",
    "links: random",
    "leader-side: minority",
    "leader-side: majority, direction: inbound",
    "bridge: follower",
    "majorities-ring: random",
    "majorities-ring: redrawn, flap: { cut: 60ms, healed: 40ms }",
    "one-way: { node: leader, direction: outbound }",
    "one-way: { node: n2, direction: inbound }",
];

fn partition(form: &str) -> String {
    format!("partition: {{ {form}, at: 100ms, for: 500ms }}")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_partition_is_seen_in_the_counters_of_the_traffic() {
    let sleepers = Sleepers::start(true).await;
    let _talking = everybody_talks(&sleepers).await;
    for form in FORMS {
        let record = inject(&sleepers, &partition(form)).await;
        let Effect::Seen(evidence) = &record.effect else { panic!("{form}: {record:?}") };
        assert!(evidence.contains("passed"), "{form}: {evidence}");
    }
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_partition_turned_into_a_no_op_is_betrayed_by_the_bytes_that_pass() {
    let sleepers = Sleepers::start(false).await;
    let _talking = everybody_talks(&sleepers).await;
    for form in FORMS {
        let record = inject(&sleepers, &partition(form)).await;
        let Effect::None(why) = &record.effect else { panic!("{form}: {record:?}") };
        assert!(why.contains(" bytes passed on "), "{form}: {why}");
    }
    sleepers.processes.shutdown().await.unwrap();
}

/// Everybody that a fault of processes can be aimed at.
const SELECTORS: [&str; 7] = ["leader", "follower", "random", "minority", "majority", "all", "n3"];

/// Faults of processes that take a selector.
const AIMED: [&str; 3] = ["kill: { ", "stop: { ", "pause: { "];

#[tokio::test(flavor = "multi_thread")]
async fn whomever_a_fault_is_aimed_at_is_seen_hit_and_nobody_when_it_is_turned_into_a_no_op() {
    for acts in [true, false] {
        let sleepers = Sleepers::start(acts).await;
        for kind in AIMED {
            for node in SELECTORS {
                let fault = format!("{kind}node: {node}, at: 50ms, for: 50ms }}");
                let record = inject(&sleepers, &fault).await;
                let hit = match node {
                    "majority" => 2,
                    "all" => 3,
                    _ => 1,
                };
                assert_eq!(record.victims.len(), hit, "{fault}: {record:?}");
                assert_eq!(matches!(record.effect, Effect::Seen(_)), acts, "{fault}: {record:?}");
                assert_eq!(matches!(record.effect, Effect::None(_)), !acts, "{fault}: {record:?}");
                for node in NodeId::first(3) {
                    let alive = sleepers.process(node).is_some_and(|process| !process.is_still());
                    assert!(alive, "{fault}: {node} was not healed");
                }
            }
        }
        sleepers.processes.shutdown().await.unwrap();
    }
}
