//! Tests of resolution: exactly which links a partition cuts, and who is never hit.

use std::collections::BTreeSet;

use rand::RngExt;
use splitbrain_workloads::operation::NodeId;
use splitbrain_workloads::seed::Seed;

use super::*;
use crate::network::link::Link;

fn view(nodes: u16, leader: Option<u16>) -> View {
    let leader = leader.map(NodeId);
    View {
        nodes: NodeId::first(nodes).collect(),
        leader,
        followers: NodeId::first(nodes).filter(|node| Some(*node) != leader).collect(),
        spares: Vec::new(),
        faulted: BTreeSet::new(),
    }
}

fn partition(yaml_like: serde_json::Value) -> AnyFault {
    any("partition", yaml_like)
}

fn any(kind: &str, yaml_like: serde_json::Value) -> AnyFault {
    AnyFault::read(kind, yaml_like).unwrap().unwrap()
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
fn in_a_majorities_ring_every_node_hears_a_majority_and_no_two_the_same() {
    let ring = |nodes: &[&str]| serde_json::json!({ "majorities-ring": nodes });
    let links = |nodes: u16, order: &[&str]| cut(nodes, ring(order)).0;
    assert_eq!(links(3, &["n1", "n2", "n3"]), "n1->n3 n2->n1 n3->n2");
    assert_eq!(links(3, &["n1", "n3", "n2"]), "n1->n2 n2->n3 n3->n1");
    assert_eq!(links(4, &["n1", "n2", "n3", "n4"]), "n1->n3 n2->n4 n3->n1 n4->n2");
    assert_eq!(
        links(5, &["n1", "n2", "n3", "n4", "n5"]),
        "n1->n3 n1->n4 n2->n4 n2->n5 n3->n1 n3->n5 n4->n1 n4->n2 n5->n2 n5->n3"
    );
    for nodes in 3..=9_u16 {
        let mut rng = Seed(u64::from(nodes)).stream("test");
        let random = partition(serde_json::json!({ "majorities-ring": "random" }));
        let action = random.draw(nodes, &mut rng).resolve(&view(nodes, None), &mut rng).unwrap();
        let mut heard = BTreeSet::new();
        for to in NodeId::first(nodes) {
            let hears = |from: &NodeId| !action.links().contains(&Link::peers(*from, to));
            let set: Vec<NodeId> = NodeId::first(nodes).filter(hears).collect();
            assert_eq!(set.len(), usize::from(nodes) / 2 + 1, "{to} of {nodes} hears {set:?}");
            assert!(set.contains(&to) && heard.insert(set), "twice the same majority");
        }
    }
}

#[test]
fn a_bridge_reaches_both_sides_which_do_not_reach_each_other() {
    for nodes in 3..=5_u16 {
        let (links, victims) = cut(nodes, serde_json::json!({ "bridge": "leader" }));
        let near: Vec<&str> = victims.split(' ').collect();
        assert_eq!(near.len(), usize::from(nodes - 1) / 2);
        let names: Vec<String> = (2..=nodes).map(|node| format!("n{node}")).collect();
        let mut expected = BTreeSet::new();
        for far in names.iter().filter(|name| !near.contains(&name.as_str())) {
            for near in &near {
                expected.insert(format!("{near}->{far}"));
                expected.insert(format!("{far}->{near}"));
            }
        }
        assert_eq!(links.split(' ').map(str::to_string).collect::<BTreeSet<_>>(), expected);
        assert!(!victims.contains("n1"));
    }
    assert!(["n2->n3 n3->n2"].contains(&cut(3, serde_json::json!({ "bridge": "n1" })).0.as_str()));
}

#[test]
fn groups_are_cut_from_each_other_and_the_largest_one_has_no_victim() {
    let groups = |groups: serde_json::Value| serde_json::json!({ "groups": groups });
    let three = groups(serde_json::json!([["n1"], ["n2"], ["n3"]]));
    assert_eq!(cut(3, three).0, "n1->n2 n1->n3 n2->n1 n2->n3 n3->n1 n3->n2");
    let pairs = groups(serde_json::json!([["n4", "n1"], ["n2", "n3"], ["n5"]]));
    let (links, victims) = cut(5, pairs);
    assert!(!links.contains("n1->n4") && !links.contains("n2->n3"), "{links}");
    assert_eq!(links.split(' ').count(), 20 - 4);
    assert_eq!(victims, "n2 n3 n5");
    for nodes in 2..=9_u16 {
        for seed in 0..50 {
            let mut rng = Seed(seed).stream("test");
            let random = partition(serde_json::json!({ "groups": "random" }));
            let drawn = random.draw(nodes, &mut rng);
            assert_eq!(drawn.problems(nodes), []);
            let action = drawn.resolve(&view(nodes, None), &mut rng).unwrap();
            assert!(!action.links().is_empty() && !action.victims().is_empty());
            assert_eq!(drawn.draw(nodes, &mut rng), drawn, "drawing twice changes nothing");
        }
    }
}

#[test]
fn listed_links_are_cut_and_no_others() {
    let links = serde_json::json!({ "links": ["n3->n1", "client->n2"] });
    assert_eq!(cut(3, links), ("n3->n1 client->n2".into(), "n1 n2 n3".into()));
    let clients_alone = serde_json::json!({ "links": ["n1->client"] });
    assert_eq!(cut(1, clients_alone), ("n1->client".into(), "n1".into()));
    let mut sizes = BTreeSet::new();
    for seed in 0..200 {
        let mut rng = Seed(seed).stream("test");
        let random = partition(serde_json::json!({ "links": "random" }));
        let drawn = random.draw(3, &mut rng);
        assert_eq!(drawn.problems(3), []);
        let action = drawn.resolve(&view(3, None), &mut rng).unwrap();
        assert!(action.links().iter().all(|link| !link.to_string().contains("client")));
        sizes.insert(action.links().len());
    }
    assert_eq!(sizes, (1..=6).collect());
    for nonsense in ["n1-n2", "n1->", "client->client", "n1->n1", "n0->n1"] {
        let read = AnyFault::read("partition", serde_json::json!({ "links": [nonsense] }));
        let error = read.unwrap().unwrap_err().to_string();
        assert!(error.contains("expected a link such as `n1->n2`"), "{error}");
    }
}

#[test]
fn a_direction_is_half_of_a_cut_of_any_form() {
    let one_way = |form: &str, value: serde_json::Value, direction: &str| {
        let mut keys = serde_json::json!({ "direction": direction });
        keys[form] = value;
        keys
    };
    let halves = serde_json::json!(["n1", "n2"]);
    let out = one_way("halves", halves.clone(), "outbound");
    assert_eq!(cut(3, out.clone()).0, "n1->n3 n2->n3");
    assert_eq!(cut(4, out.clone()).0, "n1->n3 n1->n4 n2->n3 n2->n4");
    assert_eq!(cut(5, out).0, "n1->n3 n1->n4 n1->n5 n2->n3 n2->n4 n2->n5");
    let inbound = one_way("halves", halves, "inbound");
    assert_eq!(cut(4, inbound).0, "n3->n1 n3->n2 n4->n1 n4->n2");
    let isolate = one_way("isolate", serde_json::json!("leader"), "inbound");
    assert_eq!(cut(3, isolate).0, "n2->n1 n3->n1");
    let minority = one_way("leader-side", serde_json::json!("minority"), "outbound");
    assert_eq!(cut(3, minority).0, "n1->n2 n1->n3");
    let (bridge, victim) = cut(3, one_way("bridge", serde_json::json!("n1"), "outbound"));
    let other = if victim == "n2" { "n3" } else { "n2" };
    assert_eq!(bridge, format!("{victim}->{other}"));
}

#[test]
fn the_scope_clients_cuts_links_of_clients_alone() {
    let isolate = serde_json::json!({ "isolate": "n2", "scope": "clients" });
    for nodes in 3..=5 {
        assert_eq!(cut(nodes, isolate.clone()).0, "n2->client client->n2");
    }
    let inbound =
        serde_json::json!({ "isolate": "n2", "scope": "clients", "direction": "inbound" });
    assert_eq!(cut(3, inbound).0, "client->n2");
}

#[test]
fn a_delay_a_bandwidth_and_a_reset_reach_the_links_of_their_nodes() {
    let links = |nodes: u16, kind: &str, keys: serde_json::Value| {
        let mut rng = Seed(1).stream("test");
        let action = any(kind, keys).resolve(&view(nodes, Some(1)), &mut rng).unwrap();
        action.links().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let delay = serde_json::json!({ "node": "leader", "by": "5ms" });
    assert_eq!(links(3, "delay", delay.clone()), "n1->n2 n1->n3 n2->n1 n3->n1");
    assert_eq!(links(4, "delay", delay.clone()), "n1->n2 n1->n3 n1->n4 n2->n1 n3->n1 n4->n1");
    assert_eq!(links(5, "delay", delay), "n1->n2 n1->n3 n1->n4 n1->n5 n2->n1 n3->n1 n4->n1 n5->n1");
    let outbound = serde_json::json!({ "node": "n2", "limit": "8kB", "direction": "outbound" });
    assert_eq!(links(3, "bandwidth", outbound), "n2->n1 n2->n3");
    let clients = serde_json::json!({ "node": "n3", "scope": "clients" });
    assert_eq!(links(3, "reset", clients), "n3->client client->n3");
    let all = serde_json::json!({ "node": "all" });
    assert_eq!(links(3, "reset", all), "n1->n2 n1->n3 n2->n1 n2->n3 n3->n1 n3->n2");
}

#[test]
fn a_minority_leaves_a_majority_and_a_majority_leaves_none() {
    for nodes in 3..=9_u16 {
        for seed in 0..20 {
            let mut rng = Seed(seed).stream("test");
            let mut hit = |who: &str| {
                let kill = any("kill", serde_json::json!({ "node": who }));
                kill.resolve(&view(nodes, Some(1)), &mut rng).unwrap().victims().len()
            };
            let all = usize::from(nodes);
            let (minority, majority) = (hit("minority"), hit("majority"));
            assert!(all - minority > all / 2 && all - minority - 1 <= all / 2);
            assert!(majority > all / 2 && majority - 1 <= all / 2);
        }
    }
}

#[test]
fn a_wipe_stays_alone_and_keeps_all_others_away() {
    let mut rng = Seed(1).stream("test");
    let wipe = any("wipe", serde_json::json!({ "node": "n2" }));
    let action = wipe.resolve(&view(3, Some(1)), &mut rng).unwrap();
    assert_eq!(action.victims(), [NodeId(2)]);
    assert_eq!(action.reserves(), [NodeId(1), NodeId(2), NodeId(3)]);
    let mut faulted = view(3, Some(1));
    faulted.faulted.insert(NodeId(3));
    let skip = wipe.resolve(&faulted, &mut rng).unwrap_err();
    assert_eq!(skip, Skip::wait("n3 is under a fault, and no majority may be lost"));
    for (nodes, who) in [(2, "n1"), (3, "all"), (3, "majority"), (5, "minority")] {
        let wipe = any("wipe", serde_json::json!({ "node": who }));
        assert!(!wipe.problems(nodes).is_empty(), "{who} of {nodes}");
    }
}

#[test]
fn nonsense_is_refused_with_the_key_where_it_stands() {
    let cases = [
        ("partition", serde_json::json!({ "halves": "redrawn" }), "halves"),
        ("partition", serde_json::json!({ "majorities-ring": ["n1", "n2"] }), "majorities-ring"),
        ("partition", serde_json::json!({ "bridge": "all" }), "bridge"),
        (
            "partition",
            serde_json::json!({ "majorities-ring": "random", "direction": "inbound" }),
            "direction",
        ),
        (
            "partition",
            serde_json::json!({ "majorities-ring": "random", "scope": "clients" }),
            "scope",
        ),
        (
            "partition",
            serde_json::json!({ "isolate": "n1", "flap": { "cut": "1ms", "healed": "1s" } }),
            "flap",
        ),
        ("partition", serde_json::json!({ "groups": [["n1", "n2", "n3"]] }), "groups"),
        ("partition", serde_json::json!({ "groups": [["n1", "n2"], []] }), "groups"),
        ("partition", serde_json::json!({ "groups": [["n1"], ["n2"]] }), "groups"),
        ("partition", serde_json::json!({ "groups": [["n1"], ["n2", "n1", "n3"]] }), "groups"),
        ("partition", serde_json::json!({ "groups": "redrawn" }), "groups"),
        ("partition", serde_json::json!({ "links": [] }), "links"),
        ("partition", serde_json::json!({ "links": ["n1->n2", "n1->n2"] }), "links"),
        ("partition", serde_json::json!({ "links": ["n1->n4"] }), "links"),
        ("partition", serde_json::json!({ "links": "random", "scope": "clients" }), "scope"),
        (
            "partition",
            serde_json::json!({ "links": "random", "direction": "inbound" }),
            "direction",
        ),
        ("half-open", serde_json::json!({ "node": "n4" }), "node"),
        ("slow-close", serde_json::json!({ "node": "n1", "by": "0s" }), "by"),
        ("upgrade", serde_json::json!({ "node": "n4", "to": "copy" }), "node"),
        ("upgrade", serde_json::json!({ "node": "n1", "to": "" }), "to"),
        ("upgrade", serde_json::json!({ "node": "all", "to": "copy", "apart": "4s" }), "apart"),
        ("slow", serde_json::json!({ "node": "n1", "stopped": "1ms", "running": "1s" }), "stopped"),
        ("delay", serde_json::json!({ "node": "n1", "by": "0ms" }), "by"),
        ("delay", serde_json::json!({ "node": "n1", "by": "5ms", "spread": "6ms" }), "spread"),
        ("delay", serde_json::json!({ "node": "n4", "by": "5ms" }), "node"),
        ("reset", serde_json::json!({ "node": "n1", "again": "1ms" }), "again"),
    ];
    for (kind, keys, place) in cases {
        let problems = any(kind, keys.clone()).problems(3);
        assert_eq!(problems.len(), 1, "{kind} {keys}: {problems:?}");
        assert_eq!(problems[0].keys.first(), Some(&place), "{kind} {keys}");
    }
    let limit = AnyFault::read("bandwidth", serde_json::json!({ "node": "n1", "limit": "3" }));
    assert!(limit.unwrap().unwrap_err().to_string().contains("`1kB` to `1000MB`"));
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
        partition(serde_json::json!({ "bridge": "leader" })),
        any("stop", serde_json::json!({ "node": "leader" })),
        any("delay", serde_json::json!({ "node": "leader", "by": "5ms" })),
    ] {
        assert_eq!(fault.resolve(&nobody, &mut rng).unwrap_err(), Skip::wait("nobody leads"));
    }
}

#[test]
fn a_fault_on_a_faulted_node_waits_for_its_heal() {
    let mut rng = Seed(1).stream("test");
    let mut view = view(3, Some(2));
    view.faulted.insert(NodeId(2));
    for node in [Selector::Leader, Selector::All, Selector::Node(NodeId(2))] {
        let skip = Kill { node }.resolve(&view, &mut rng).unwrap_err();
        assert_eq!(skip, Skip::wait("n2 is under another fault"));
    }
}

#[test]
fn a_stand_in_plays_a_role_that_nobody_can_be_hit_in() {
    let mut rng = Seed(1).stream("test");
    let mut hit = |view: View, node| {
        Kill { node }.resolve(&view, &mut rng).map(|action| action.victims().to_vec())
    };
    let n2 = NodeId(2);
    assert_eq!(hit(view(3, None).with_stand_in(n2), Selector::Leader).unwrap(), [n2]);
    let mut faulted = view(3, Some(1));
    faulted.faulted.insert(NodeId(1));
    assert_eq!(hit(faulted.clone().with_stand_in(n2), Selector::Leader).unwrap(), [n2]);
    faulted.faulted.insert(n2);
    let skip = hit(faulted.with_stand_in(n2), Selector::Leader).unwrap_err();
    assert_eq!(skip, Skip::wait("n2 is under another fault"));
    assert_eq!(hit(view(3, Some(1)).with_stand_in(n2), Selector::Leader).unwrap(), [NodeId(1)]);
}

#[test]
fn no_fault_ever_hits_a_faulted_node() {
    let mut rng = Seed(3).stream("test");
    let selectors = ["leader", "follower", "random", "minority", "majority", "all", "n1", "n3"];
    let mut resolved = 0;
    for _ in 0..5000 {
        let nodes = rng.random_range(1..=9);
        let leader = rng.random_range(0..=nodes);
        let mut view = view(nodes, (leader > 0).then_some(leader));
        view.faulted = NodeId::first(nodes).filter(|_| rng.random_bool(0.3)).collect();
        let who = selectors[rng.random_range(0..selectors.len())];
        let fault = match rng.random_range(0..18) {
            0 => AnyFault::Kill(Kill { node: who.parse().unwrap() }),
            1 => AnyFault::Pause(Pause { node: who.parse().unwrap() }),
            2 => partition(serde_json::json!({ "isolate": who })),
            3 => partition(serde_json::json!({ "halves": "random" })),
            4 => partition(serde_json::json!({ "leader-side": "minority" })),
            5 => partition(serde_json::json!({ "majorities-ring": "random" })),
            6 => partition(serde_json::json!({ "bridge": "leader" })),
            7 => any("rolling-restart", serde_json::json!({ "down": "1s" })),
            8 => any("reset", serde_json::json!({ "node": who })),
            9 => any("delay", serde_json::json!({ "node": who, "by": "5ms" })),
            10 => any("wipe", serde_json::json!({ "node": who })),
            11 => any("promote", serde_json::json!({ "node": who })),
            12 => any("half-open", serde_json::json!({ "node": who })),
            13 => any("slow-close", serde_json::json!({ "node": who, "by": "5ms" })),
            14 => any("upgrade", serde_json::json!({ "node": who, "to": "copy" })),
            15 => partition(serde_json::json!({ "groups": "random" })),
            16 => partition(serde_json::json!({ "links": "random" })),
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
fn a_change_of_members_without_a_spare_or_without_sense_is_refused_before_anything_starts() {
    for (fault, target, said) in [
        ("{ change: add, at: 1s, for: 1s }", "store", "needs a node that is no member at first"),
        ("{ change: remove, at: 1s, for: 1s }", "store", "`remove` does not say whom"),
        ("{ change: add, node: n1, at: 1s, for: 1s }", "store", "who is added is a spare"),
        ("{ change: replace, node: all, at: 1s, for: 1s }", "store", "`all` may be several nodes"),
        (
            "{ change: remove, node: n2, at: 1s, for: 1s }",
            "{ store: { nodes: 2 } }",
            "no node to l",
        ),
        ("{ change: remove, node: n4, at: 1s, for: 1s }", "store", "the cluster has no node `n4`"),
    ] {
        let suite = format!(
            "suite: s\ntarget: {target}\nruns:\n- name: a\n  workload: set\n  faults:\n  - \
             membership: {fault}\n"
        );
        let kinds = crate::suite::tests::kinds();
        let error = crate::suite::parse("suite.yaml", &suite, &kinds).expect_err(fault);
        assert!(error.to_string().contains(said), "{fault}: {error}");
    }
}

#[test]
fn every_kind_is_explained_by_an_example_that_reads() {
    for kind in KINDS {
        let example = kind.explain.lines().next().unwrap();
        assert!(example.starts_with(&format!("{}: {{", kind.name)), "{example}");
        let examples = kind.explain.lines().take_while(|line| !line.is_empty());
        let example = examples.collect::<Vec<_>>().join("\n  - ");
        let suite = format!(
            "suite: s\ntarget: {{ store: {{ spares: 1 }} }}\nruns:\n- name: a\n  workload: set\n  \
             faults:\n  - {example}\n"
        );
        crate::suite::parse("suite.yaml", &suite, &crate::suite::tests::kinds())
            .unwrap_or_else(|error| panic!("{error}"));
        let widest = kind.explain.lines().map(str::len).max();
        assert!(widest <= Some(80), "{}: {widest:?}", kind.name);
    }
}
