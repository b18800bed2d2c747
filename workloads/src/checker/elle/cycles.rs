//! Cycles: transactions of which each must come before the next, in a ring.
//!
//! Strongly connected components (R. Tarjan, "Depth-first search and linear graph algorithms", SIAM
//! Journal on Computing 1, 1972) say where cycles are, in linear time; a breadth-first search in a
//! component finds a shortest one. The kinds of edges that a cycle needs name it (A. Adya, "Weak
//! Consistency", 1999). Called by [`super`].

use std::collections::VecDeque;

use super::graph::{Edge, Graph, LW, Node, RT, RW, WR, WW};
use crate::verdict::AnomalyKind;

/// A breadth-first search begins at so many places of a component at most. A cycle exists wherever
/// it begins; more beginnings only make it shorter.
const BEGINNINGS_MAX: usize = 64;

/// So many anti-dependencies of a component are tried for a cycle with no other.
const SINGLES_MAX: usize = 1024;

/// A ring of dependencies: each edge leads from its node to the next one, the last to the first.
#[derive(Clone, Debug)]
pub(super) struct Cycle {
    pub(super) kind: AnomalyKind,
    pub(super) steps: Vec<(Node, Edge)>,
}

/// One cycle for each tangle of transactions: of the gravest kind, and of those a short one.
pub(super) fn find(graph: &Graph) -> Vec<Cycle> {
    // From the gravest kind on; a component in which one was found is not looked at again.
    let classes = [
        (WW, AnomalyKind::G0),
        (WW | WR, AnomalyKind::G1c),
        (WW | WR | RW, AnomalyKind::G2),
        (WW | RT, AnomalyKind::G0RealTime),
        (WW | WR | RT, AnomalyKind::G1cRealTime),
        (WW | WR | RW | RT, AnomalyKind::G2RealTime),
    ];
    let mut cycles = Vec::new();
    let mut told = vec![false; graph.edges.len()];
    for (mask, kind) in classes {
        let components = components(graph, mask);
        for component in &components.tangled {
            if component.iter().any(|node| told[*node as usize]) {
                continue;
            }
            let within =
                |node: Node| components.of[node as usize] == components.of[component[0] as usize];
            let found = match kind {
                AnomalyKind::G2 => single(graph, component, mask, AnomalyKind::GSingle, within),
                AnomalyKind::G2RealTime => {
                    single(graph, component, mask, AnomalyKind::GSingleRealTime, within)
                }
                _ => None,
            };
            let found = found.or_else(|| shortest(graph, component, mask, kind, within));
            if let Some(cycle) = found {
                component.iter().for_each(|node| told[*node as usize] = true);
                cycles.push(cycle);
            }
        }
    }
    cycles
}

/// The shortest cycle with exactly one anti-dependency.
fn single(
    graph: &Graph,
    component: &[Node],
    mask: u8,
    kind: AnomalyKind,
    within: impl Fn(Node) -> bool + Copy,
) -> Option<Cycle> {
    let anti = component
        .iter()
        .flat_map(|node| graph.edges[*node as usize].iter().map(|edge| (*node, *edge)));
    let anti = anti.filter(|(_, edge)| edge.kind == RW && within(edge.to)).take(SINGLES_MAX);
    let mut best: Option<Vec<(Node, Edge)>> = None;
    for (node, edge) in anti {
        let Some(rest) = path(graph, edge.to, node, mask & !RW | LW, within) else { continue };
        if best.as_ref().is_none_or(|best| rest.len() + 1 < best.len()) {
            best = Some(std::iter::once((node, edge)).chain(rest).collect());
        }
        if best.as_ref().is_some_and(|best| best.len() == 2) {
            break;
        }
    }
    best.map(|steps| Cycle { kind, steps })
}

fn shortest(
    graph: &Graph,
    component: &[Node],
    mask: u8,
    kind: AnomalyKind,
    within: impl Fn(Node) -> bool + Copy,
) -> Option<Cycle> {
    let from = component.iter().take(BEGINNINGS_MAX);
    let cycles = from.filter_map(|node| path(graph, *node, *node, mask, within));
    cycles.min_by_key(Vec::len).map(|steps| Cycle { kind, steps })
}

/// A shortest way of at least one edge.
fn path(
    graph: &Graph,
    from: Node,
    to: Node,
    mask: u8,
    within: impl Fn(Node) -> bool,
) -> Option<Vec<(Node, Edge)>> {
    let mut reached: rustc_hash::FxHashMap<Node, (Node, Edge)> = Default::default();
    let mut queue = VecDeque::from([from]);
    while let Some(node) = queue.pop_front() {
        for edge in graph.edges[node as usize].iter().filter(|edge| edge.kind & mask != 0) {
            if !within(edge.to) || reached.contains_key(&edge.to) {
                continue;
            }
            reached.insert(edge.to, (node, *edge));
            if edge.to != to {
                queue.push_back(edge.to);
                continue;
            }
            let mut steps = vec![(node, *edge)];
            let mut at = node;
            while at != from {
                let step = reached[&at];
                steps.push(step);
                at = step.0;
            }
            steps.reverse();
            return Some(steps);
        }
    }
    None
}

struct Components {
    /// The number of each node's component.
    of: Vec<u32>,
    /// The components of more than one node.
    tangled: Vec<Vec<Node>>,
}

/// Tarjan's algorithm with a stack of its own: histories are longer than a thread's stack is deep.
fn components(graph: &Graph, mask: u8) -> Components {
    const UNSEEN: u32 = u32::MAX;
    let count = graph.edges.len();
    let (mut index, mut low) = (vec![UNSEEN; count], vec![0; count]);
    let mut of = vec![UNSEEN; count];
    let (mut next, mut number) = (0, 0);
    let (mut stack, mut tangled): (Vec<Node>, Vec<Vec<Node>>) = (Vec::new(), Vec::new());
    for root in 0..count as Node {
        if index[root as usize] != UNSEEN {
            continue;
        }
        // A node, and how many of its edges are done.
        let mut calls: Vec<(Node, usize)> = vec![(root, 0)];
        while let Some((node, done)) = calls.pop() {
            let at = node as usize;
            if done == 0 {
                (index[at], low[at]) = (next, next);
                next += 1;
                stack.push(node);
            } else {
                let child = graph.edges[at][done - 1].to as usize;
                if graph.edges[at][done - 1].kind & mask != 0 && of[child] == UNSEEN {
                    low[at] = low[at].min(low[child]);
                }
            }
            let further = graph.edges[at]
                .iter()
                .enumerate()
                .skip(done)
                .find(|(_, edge)| edge.kind & mask != 0 && of[edge.to as usize] == UNSEEN);
            if let Some((place, edge)) = further {
                calls.push((node, place + 1));
                if index[edge.to as usize] == UNSEEN {
                    calls.push((edge.to, 0));
                }
                continue;
            }
            if low[at] == index[at] {
                let mut component = Vec::new();
                while let Some(member) = stack.pop() {
                    of[member as usize] = number;
                    component.push(member);
                    if member == node {
                        break;
                    }
                }
                number += 1;
                if component.len() > 1 {
                    component.sort_unstable();
                    tangled.push(component);
                }
            }
        }
    }
    Components { of, tangled }
}
