//! Blocks: chains of compare-and-sets whose operations are neighbors in every legal order.
//!
//! A block begins with a plain write (or with the initial absence) and goes on with each
//! compare-and-set from its last version. A compare-and-set must directly follow what it expects,
//! so nothing can come in between, and the order inside is forced:
//!
//! ```text
//! write 1 | reads of 1 | cas 1->2 | reads of 2 | cas 2->3 | reads of 3
//! ```
//!
//! Each part is a *group*. An operation of a later group that ends before one of an earlier group
//! begins is a violation; what passes is an interval for `zones`. Called by `linearizable` alone.

use super::Sink;
use super::proof::{Proof, Touch, rank};
use crate::checker::plants::{Plant, is_planted};
use crate::checker::versions::{ABSENT, NEVER, Parent, Place, VersionId, Versions};
use crate::verdict::AnomalyKind;

/// A chain of versions that is in order by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// Its first version.
    pub(super) head: VersionId,
    /// The operation that ended first; `None` for the initial version, which is there before
    /// everything.
    pub(super) first_end: (Place, Option<Touch>),
    /// The operation that began last; `None` if the initial version was never seen.
    pub(super) last_begin: (Place, Option<Touch>),
}

/// All blocks of a key.
pub(super) struct Blocks {
    pub(super) list: Vec<Block>,
    /// For each version the first one of its chain, if it has one.
    pub(super) head_of: Vec<Option<VersionId>>,
}

/// Finds all blocks of a key. What contradicts itself goes to the sink and is no block.
pub(super) fn blocks(versions: &Versions<'_>, sink: &mut Sink<'_>) -> Blocks {
    let next = successors(versions, sink);
    let mut head_of = vec![None; versions.versions.len()];
    let mut list = Vec::new();
    for (head, version) in versions.versions.iter().enumerate() {
        if version.effective && version.parent == Parent::None {
            list.extend(walk(versions, head, &next, &mut head_of, sink));
        }
    }
    find_cycles(versions, &head_of, sink);
    Blocks { list, head_of }
}

/// The compare-and-set that followed each version. Two from one version are a lost update.
fn successors(versions: &Versions<'_>, sink: &mut Sink<'_>) -> Vec<Option<VersionId>> {
    let mut next: Vec<Option<VersionId>> = vec![None; versions.versions.len()];
    for (id, version) in versions.versions.iter().enumerate() {
        let Parent::From(parent) = version.parent else { continue };
        if !version.effective {
            continue;
        }
        let Some(first) = next[parent] else {
            next[parent] = Some(id);
            continue;
        };
        // Versions are in order of invocation, so the second is the one that came too late.
        let touches = [first, id].map(|version| Touch::writer(versions, version));
        let [Some(first), Some(second)] = touches else { continue };
        let rank = rank(versions, &[first, second]);
        let proof = Proof::TwoFromOne { first, second };
        sink.push(AnomalyKind::LostUpdate, second.operation, rank, proof);
    }
    next
}

/// Walks one chain, and makes a block of it if it is in order.
fn walk(
    versions: &Versions<'_>,
    head: VersionId,
    next: &[Option<VersionId>],
    head_of: &mut [Option<VersionId>],
    sink: &mut Sink<'_>,
) -> Option<Block> {
    let mut block = Block { head, first_end: (NEVER, None), last_begin: (0, None) };
    if head == ABSENT {
        block.first_end = (0, None);
    }
    let mut in_order = true;
    // The operation of all earlier groups that began last.
    let mut latest: (Place, Option<Touch>) = (0, None);
    let mut at = Some(head);
    while let Some(id) = at.filter(|id| head_of[*id].is_none()) {
        head_of[id] = Some(head);
        let version = &versions.versions[id];
        let writer = Touch::writer(versions, id);
        let reads = version.first_read_end;
        for (end, touch) in [
            (version.end, writer),
            (reads.0, reads.1.map(|operation| Touch { operation, version: id })),
        ] {
            let Some(touch) = touch else { continue };
            if let Some(began) = latest.1.filter(|_| end < latest.0) {
                in_order = false;
                out_of_order(versions, touch, began, sink);
            }
            if end < block.first_end.0 {
                block.first_end = (end, Some(touch));
            }
            // The group of the writer is before that of its reads.
            let begin = if Some(touch) == writer { version.begin } else { continue };
            if begin >= latest.0 {
                latest = (begin, Some(touch));
            }
        }
        if let (begin, Some(operation)) = version.last_read_begin
            && begin > latest.0
        {
            latest = (begin, Some(Touch { operation, version: id }));
        }
        at = next[id];
    }
    block.last_begin = latest;
    in_order.then_some(block)
}

/// Names a violation inside a chain: `ended` is of a later group, but ended before `began` of an
/// earlier group began.
fn out_of_order(versions: &Versions<'_>, ended: Touch, began: Touch, sink: &mut Sink<'_>) {
    let began_is_read = versions.written_by(began.operation) != Some(began.version);
    let ended_is_read = versions.written_by(ended.operation) != Some(ended.version);
    let (kind, culprit) = if began_is_read {
        (AnomalyKind::StaleRead, began.operation)
    } else if ended_is_read && ended.version == began.version {
        (AnomalyKind::FutureRead, ended.operation)
    } else {
        (AnomalyKind::ChainOrder, ended.operation)
    };
    if is_planted(Plant::AnyChain) {
        return;
    }
    let proof = Proof::Within { ended, began };
    sink.push(kind, culprit, rank(versions, &[ended, began]), proof);
}

/// Versions that come from no beginning: their chain leads back to itself, or to something that is
/// already known to be wrong.
fn find_cycles(versions: &Versions<'_>, head_of: &[Option<VersionId>], sink: &mut Sink<'_>) {
    // Which search came by, plus one.
    let mut visited = vec![0; versions.versions.len()];
    for start in 1..versions.versions.len() {
        let mut at = start;
        loop {
            let version = &versions.versions[at];
            if head_of[at].is_some()
                || !version.effective
                || (visited[at] != 0 && visited[at] != start)
            {
                break;
            }
            if visited[at] == start {
                report_cycle(versions, at, sink);
                break;
            }
            visited[at] = start;
            let Parent::From(parent) = version.parent else { break };
            at = parent;
        }
    }
}

fn report_cycle(versions: &Versions<'_>, version: VersionId, sink: &mut Sink<'_>) {
    let cycle = versions.ancestry(version);
    // The latest to begin is the one that closed the cycle.
    let last = cycle.iter().max_by_key(|id| versions.versions[**id].begin).copied();
    let Some(touch) = last.and_then(|version| Touch::writer(versions, version)) else { return };
    // If none of them was answered, somebody who saw one of their values proves that they happened.
    let is_answered = |id: &VersionId| versions.versions[*id].end != NEVER;
    let witness = cycle.iter().filter(|_| !cycle.iter().any(is_answered)).find_map(|id| {
        let operation = versions.versions[*id].witness?;
        versions.operation(operation).reply()?;
        let version = versions.written_by(operation).unwrap_or(*id);
        Some(Touch { operation, version })
    });
    let proof = Proof::Cycle { touch, witness };
    sink.push(AnomalyKind::CyclicCas, touch.operation, rank(versions, &[touch]), proof);
}

impl Touch {
    /// The writer of a version; `None` for the initial one.
    pub(super) fn writer(versions: &Versions<'_>, version: VersionId) -> Option<Touch> {
        versions.versions[version].writer.map(|operation| Touch { operation, version })
    }
}
