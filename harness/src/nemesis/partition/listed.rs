//! Whether what a partition lists makes sense for a cluster of so many nodes.

use splitbrain_workloads::operation::NodeId;

use super::chance::ends_of;
use crate::nemesis::Problem;
use crate::nemesis::selector::unknown_node;
use crate::network::link::Link;

pub(super) fn side_problems(side: &[NodeId], nodes: u16) -> Vec<Problem> {
    let mut problems = list_problems(side, nodes, "halves");
    let message = if side.is_empty() {
        "one side of the split is empty"
    } else if problems.is_empty() && side.len() >= usize::from(nodes) {
        "every node is on one side, which cuts nothing"
    } else {
        return problems;
    };
    problems.push(Problem {
        keys: vec!["halves"],
        message: message.to_string(),
        help: Some("name the nodes of one side, such as `[n1, n2]`, or write `random`".to_string()),
    });
    problems
}

pub(super) fn ring_problems(ring: &[NodeId], nodes: u16) -> Vec<Problem> {
    let mut problems = list_problems(ring, nodes, "majorities-ring");
    if problems.is_empty() && ring.len() < usize::from(nodes) {
        problems.push(Problem {
            keys: vec!["majorities-ring"],
            message: format!("a ring of {} of {nodes} nodes", ring.len()),
            help: Some("name every node once, or write `random`".to_string()),
        });
    }
    problems
}

fn list_problems(listed: &[NodeId], nodes: u16, key: &'static str) -> Vec<Problem> {
    let mut problems: Vec<Problem> =
        listed.iter().flat_map(|node| unknown_node(*node, nodes, &[key])).collect();
    let twice = (1..listed.len()).any(|place| listed[..place].contains(&listed[place]));
    if twice {
        problems.push(Problem {
            keys: vec![key],
            message: "a node is named twice".to_string(),
            help: Some("name each node once, or write `random`".to_string()),
        });
    }
    problems
}

pub(super) fn group_problems(groups: &[Vec<NodeId>], nodes: u16) -> Vec<Problem> {
    let listed: Vec<NodeId> = groups.iter().flatten().copied().collect();
    let mut problems = list_problems(&listed, nodes, "groups");
    let message = if !problems.is_empty() {
        return problems;
    } else if groups.len() < 2 || groups.iter().any(Vec::is_empty) {
        "expected two groups or more, and none of them empty".to_string()
    } else if listed.len() < usize::from(nodes) {
        format!("groups of {} of {nodes} nodes", listed.len())
    } else {
        return problems;
    };
    let help = "name every node once, such as `[[n1, n2], [n3]]`, or write `random`";
    problems.push(Problem { keys: vec!["groups"], message, help: Some(help.to_string()) });
    problems
}

pub(super) fn link_problems(links: &[Link], nodes: u16) -> Vec<Problem> {
    let mut problems: Vec<Problem> =
        ends_of(links).flat_map(|node| unknown_node(node, nodes, &["links"])).collect();
    let twice = (1..links.len()).any(|place| links[..place].contains(&links[place]));
    let message = match (links.is_empty(), twice) {
        (true, _) => "no link is named, which cuts nothing",
        (_, true) => "a link is named twice",
        _ => return problems,
    };
    problems.push(Problem {
        keys: vec!["links"],
        message: message.to_string(),
        help: Some("name each link once, such as `[n1->n2]`, or write `random`".to_string()),
    });
    problems
}
