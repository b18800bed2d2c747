//! Tests of resolution: exactly which links a partition cuts, and who is never hit.

use std::collections::BTreeSet;

use rand::RngExt;
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Seed;

use super::*;

fn view(nodes: u16, leader: Option<u16>) -> View {
    let leader = leader.map(NodeId);
    View {
        nodes: NodeId::first(nodes).collect(),
        leader,
        followers: NodeId::first(nodes).filter(|node| Some(*node) != leader).collect(),
        faulted: BTreeSet::new(),
    }
}

fn partition(yaml_like: serde_json::Value) -> AnyFault {
    AnyFault::read("partition", yaml_like).unwrap().unwrap()
}

/// The links of a partition led by n1, and its victims, as text.
fn cut(nodes: u16, parameters: serde_json::Value) -> (String, String) {
    let mut rng = Seed(1).stream("test");
    let action = partition(parameters).resolve(&view(nodes, Some(1)), &mut rng).unwrap();
    let links: Vec<String> = action.links().iter().map(ToString::to_string).collect();
    let victims: Vec<String> = action.victims().iter().map(ToString::to_string).collect();
    (links.join(" "), victims.join(" "))
}

#[test]
fn isolating_a_node_cuts_both_ways_to_every_peer() {
    let isolate = serde_json::json!({ "isolate": "leader" });
    assert_eq!(cut(3, isolate.clone()), ("n1->n2 n1->n3 n2->n1 n3->n1".into(), "n1".into()));
    assert_eq!(cut(4, isolate.clone()).0, "n1->n2 n1->n3 n1->n4 n2->n1 n3->n1 n4->n1");
    assert_eq!(cut(5, isolate).0, "n1->n2 n1->n3 n1->n4 n1->n5 n2->n1 n3->n1 n4->n1 n5->n1");
    let with_clients = serde_json::json!({ "isolate": "n2", "scope": "peers+clients" });
    assert_eq!(cut(3, with_clients).0, "n1->n2 n2->n1 n2->n3 n2->client n3->n2 client->n2");
}

#[test]
fn isolating_all_nodes_cuts_every_link_between_them() {
    let (links, victims) = cut(3, serde_json::json!({ "isolate": "all" }));
    assert_eq!(links, "n1->n2 n1->n3 n2->n1 n2->n3 n3->n1 n3->n2");
    assert_eq!(victims, "n1 n2 n3");
}

#[test]
fn a_one_way_cut_holds_one_direction_only() {
    let one_way = |direction: &str, scope: &str| {
        let one_way = serde_json::json!({ "node": "leader", "direction": direction });
        serde_json::json!({ "one-way": one_way, "scope": scope })
    };
    assert_eq!(cut(3, one_way("outbound", "peers")).0, "n1->n2 n1->n3");
    assert_eq!(cut(3, one_way("inbound", "peers")).0, "n2->n1 n3->n1");
    assert_eq!(cut(4, one_way("outbound", "peers")).0, "n1->n2 n1->n3 n1->n4");
    assert_eq!(cut(4, one_way("inbound", "peers")).0, "n2->n1 n3->n1 n4->n1");
    assert_eq!(cut(5, one_way("outbound", "peers")).0, "n1->n2 n1->n3 n1->n4 n1->n5");
    assert_eq!(cut(5, one_way("inbound", "peers")).0, "n2->n1 n3->n1 n4->n1 n5->n1");
    assert_eq!(cut(3, one_way("outbound", "peers+clients")).0, "n1->n2 n1->n3 n1->client");
    assert_eq!(cut(3, one_way("inbound", "peers+clients")).0, "n2->n1 n3->n1 client->n1");
}

#[test]
fn halves_are_cut_from_each_other_and_stay_whole() {
    assert_eq!(
        cut(3, serde_json::json!({ "halves": ["n2"] })),
        ("n1->n2 n2->n1 n2->n3 n3->n2".into(), "n2".into())
    );
    assert_eq!(
        cut(4, serde_json::json!({ "halves": ["n3", "n1"] })),
        ("n1->n2 n1->n4 n2->n1 n2->n3 n3->n2 n3->n4 n4->n1 n4->n3".into(), "n1 n3".into())
    );
    assert_eq!(
        cut(5, serde_json::json!({ "halves": ["n4", "n5"], "scope": "peers+clients" })).0,
        "n1->n4 n1->n5 n2->n4 n2->n5 n3->n4 n3->n5 n4->n1 n4->n2 n4->n3 n4->client \
         n5->n1 n5->n2 n5->n3 n5->client client->n4 client->n5"
    );
}

#[test]
fn random_halves_are_halves() {
    for nodes in [2, 3, 4, 5, 9] {
        for seed in 0..50 {
            let mut rng = Seed(seed).stream("test");
            let fault = partition(serde_json::json!({ "halves": "random" }));
            for fault in [fault.draw(nodes, &mut rng), fault] {
                assert_eq!(fault.problems(nodes), []);
                let action = fault.resolve(&view(nodes, None), &mut rng).unwrap();
                let half = usize::from(nodes) / 2;
                assert_eq!(action.victims().len(), half);
                assert_eq!(action.links().len(), 2 * half * (usize::from(nodes) - half));
            }
        }
    }
}

#[test]
fn the_leader_is_on_the_side_that_was_chosen() {
    for nodes in 3..=9_u16 {
        for seed in 0..50 {
            let minority = usize::from(nodes - 1) / 2;
            for side in ["minority", "majority"] {
                let mut rng = Seed(seed).stream("test");
                let fault = partition(serde_json::json!({ "leader-side": side }));
                let action = fault.resolve(&view(nodes, Some(2)), &mut rng).unwrap();
                assert_eq!(action.victims().len(), minority, "{nodes} nodes, {side}");
                assert_eq!(action.victims().contains(&NodeId(2)), side == "minority");
                let links = 2 * minority * (usize::from(nodes) - minority);
                assert_eq!(action.links().len(), links);
            }
        }
    }
    let minority = serde_json::json!({ "leader-side": "minority" });
    assert_eq!(cut(3, minority.clone()), ("n1->n2 n1->n3 n2->n1 n3->n1".into(), "n1".into()));
    assert_eq!(cut(4, minority).1, "n1");
}

#[test]
fn a_leader_in_a_minority_of_two_takes_one_follower_along() {
    let (links, victims) = cut(5, serde_json::json!({ "leader-side": "minority" }));
    let other: u16 = victims.strip_prefix("n1 n").unwrap().parse().unwrap();
    let rest: Vec<u16> = (2..=5).filter(|node| *node != other).collect();
    let mut expected = BTreeSet::new();
    for far in rest {
        for near in [1, other] {
            expected.insert(format!("n{near}->n{far}"));
            expected.insert(format!("n{far}->n{near}"));
        }
    }
    assert_eq!(links.split(' ').map(str::to_string).collect::<BTreeSet<_>>(), expected);
}

#[test]
fn a_fault_on_a_leader_waits_while_nobody_leads() {
    let mut rng = Seed(1).stream("test");
    let nobody = view(3, None);
    for fault in [
        AnyFault::Kill(Kill { node: Selector::Leader }),
        AnyFault::Pause(Pause { node: Selector::Leader }),
        partition(serde_json::json!({ "isolate": "leader" })),
        partition(serde_json::json!({ "leader-side": "majority" })),
    ] {
        assert_eq!(fault.resolve(&nobody, &mut rng), Err(Skip::wait("nobody leads")));
    }
}

#[test]
fn a_fault_on_a_faulted_node_is_skipped_with_the_reason() {
    let mut rng = Seed(1).stream("test");
    let mut view = view(3, Some(2));
    view.faulted.insert(NodeId(2));
    for node in [Selector::Leader, Selector::All, Selector::Node(NodeId(2))] {
        let skip = Kill { node }.resolve(&view, &mut rng).unwrap_err();
        assert_eq!(skip, Skip::now("n2 is under another fault"));
    }
}

#[test]
fn no_fault_ever_hits_a_faulted_node() {
    let mut rng = Seed(3).stream("test");
    let selectors = ["leader", "follower", "random", "all", "n1", "n3"];
    let mut resolved = 0;
    for _ in 0..5000 {
        let nodes = rng.random_range(1..=9);
        let leader = rng.random_range(0..=nodes);
        let mut view = view(nodes, (leader > 0).then_some(leader));
        view.faulted = NodeId::first(nodes).filter(|_| rng.random_bool(0.3)).collect();
        let who = selectors[rng.random_range(0..selectors.len())];
        let fault = match rng.random_range(0..6) {
            0 => AnyFault::Kill(Kill { node: who.parse().unwrap() }),
            1 => AnyFault::Pause(Pause { node: who.parse().unwrap() }),
            2 => partition(serde_json::json!({ "isolate": who })),
            3 => partition(serde_json::json!({ "halves": "random" })),
            4 => partition(serde_json::json!({ "leader-side": "minority" })),
            _ => partition(serde_json::json!({
                "one-way": { "node": who, "direction": "inbound" }
            })),
        };
        let fault = if rng.random_bool(0.5) { fault.draw(nodes, &mut rng) } else { fault };
        let Ok(action) = fault.resolve(&view, &mut rng) else { continue };
        resolved += 1;
        let hit = action.victims().iter().find(|victim| view.faulted.contains(victim));
        assert_eq!(hit, None, "{fault:?} on {view:?}");
        assert!(action.links().is_sorted_by(|a, b| a < b), "twice or unsorted: {action:?}");
    }
    assert!(resolved > 1000, "only {resolved} of 5000 were resolved");
}

#[test]
fn every_kind_is_explained_by_an_example_that_reads() {
    for kind in KINDS {
        let example = kind.explain.lines().next().unwrap();
        assert!(example.starts_with(&format!("{}: {{", kind.name)), "{example}");
        let suite = format!(
            "suite: s\ntarget: store\nruns:\n- name: a\n  workload: set\n  faults:\n  - {example}\n"
        );
        crate::suite::parse("suite.yaml", &suite, &crate::suite::tests::kinds())
            .unwrap_or_else(|error| panic!("{error}"));
        let widest = kind.explain.lines().map(str::len).max();
        assert!(widest <= Some(80), "{}: {widest:?}", kind.name);
    }
}
