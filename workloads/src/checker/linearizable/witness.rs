//! The order of the operations of a key that the argument for exactness constructs: each forward
//! block in its own zone, each backward one at a point that no forward zone covers. Called by
//! `linearizable` alone, and checked by `replay`.

use super::blocks::Blocks;
use super::proof::sees;
use super::zones::is_forward;
use crate::checker::versions::{Parent, Place, VersionId, Versions, begin};
use crate::history::OperationId;

/// A place in the order: in real time, then just at it or just behind it.
type Point = (Place, u8);

/// The order of all operations that happened, of a key of which nothing is wrong.
pub(super) fn order(versions: &Versions<'_>, blocks: &Blocks) -> Vec<OperationId> {
    let rank = ranks(versions);
    let mut of_head: Vec<Vec<(usize, Place, OperationId)>> =
        vec![Vec::new(); versions.versions.len()];
    for id in &versions.operations {
        let written = versions.written_by(*id);
        let Some(version) = written.or_else(|| sees(versions, *id)) else { continue };
        if !versions.versions[version].effective {
            continue;
        }
        let Some(head) = blocks.head_of[version] else { continue };
        // Within a block: the writer, whoever saw it, the next writer.
        let group = 2 * rank[version] + usize::from(written.is_none());
        of_head[head].push((group, begin(versions.operation(*id)), *id));
    }
    let mut forward: Vec<(Place, Place)> = blocks
        .list
        .iter()
        .filter(|block| is_forward(block))
        .map(|block| (block.first_end.0, block.last_begin.0))
        .collect();
    forward.sort_unstable();
    let mut placed: Vec<(Point, usize, usize, OperationId)> = Vec::new();
    for (number, block) in blocks.list.iter().enumerate() {
        let operations = &mut of_head[block.head];
        operations.sort_unstable();
        let (first_end, last_begin) = (block.first_end.0, block.last_begin.0);
        let mut point = match is_forward(block) {
            true => (first_end, 0),
            false => free_point(&forward, last_begin),
        };
        for (index, (_, begin, id)) in operations.iter().enumerate() {
            point = point.max((*begin, 0));
            placed.push((point, number, index, *id));
        }
    }
    placed.sort_unstable();
    placed.into_iter().map(|(_, _, _, id)| id).collect()
}

/// The first point from a place on that no forward zone covers.
fn free_point(forward: &[(Place, Place)], from: Place) -> Point {
    let earlier = forward.partition_point(|(first_end, _)| *first_end < from);
    match forward[..earlier].last() {
        Some((_, last_begin)) if *last_begin > from => (*last_begin, 1),
        _ => (from, 0),
    }
}

/// How many compare-and-sets are before each version in its chain.
fn ranks(versions: &Versions<'_>) -> Vec<usize> {
    let mut next: Vec<Option<VersionId>> = vec![None; versions.versions.len()];
    for (id, version) in versions.versions.iter().enumerate() {
        if let Parent::From(parent) = version.parent
            && version.effective
        {
            next[parent] = Some(id);
        }
    }
    let mut ranks = vec![0; next.len()];
    for (head, version) in versions.versions.iter().enumerate() {
        if version.parent != Parent::None {
            continue;
        }
        let mut at = head;
        while let Some(after) = next[at] {
            ranks[after] = ranks[at] + 1;
            at = after;
        }
    }
    ranks
}
