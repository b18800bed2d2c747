//! Zones: the interval that each block must own, and pairs of blocks that must precede each other.
//!
//! Of a block, let `f` be its first end and `s` its last beginning. If `f < s`, the block certainly
//! holds the whole time from `f` to `s` (a forward zone); else all its operations overlap, and it
//! can be one instant between `s` and `f` (a backward zone).
//!
//! ```text
//! forward:    |--w--|f=========s|--r--|      backward:   |-----w----f|
//!                                                             |s---r----|
//! ```
//!
//! Block A must precede block B when something of A ended before something of B began: `f(A) <
//! s(B)`. Two blocks that must precede each other are a violation, and the only one that is left:
//! two forward zones that overlap, or a backward zone inside a forward one. Called by
//! `linearizable` alone.

use super::Sink;
use super::blocks::Block;
use super::proof::{Proof, Touch, rank};
use crate::checker::versions::{ABSENT, Place, VersionId, Versions};
use crate::verdict::AnomalyKind;

/// Hands every block that conflicts with another one to the sink. Takes O(n log n) time for n
/// blocks.
pub(super) fn find_conflicts(versions: &Versions<'_>, blocks: &[Block], sink: &mut Sink<'_>) {
    let mut forward: Vec<&Block> = blocks.iter().filter(|block| is_forward(block)).collect();
    forward.sort_unstable_by_key(|block| block.first_end.0);
    // The forward zone that reaches furthest among those up to here.
    let mut furthest: Vec<usize> = Vec::with_capacity(forward.len());
    for (index, block) in forward.iter().enumerate() {
        let before = furthest.last().copied().unwrap_or(index);
        let further = block.last_begin.0 >= forward[before].last_begin.0;
        furthest.push(if further { index } else { before });
    }
    for block in blocks {
        let limit = if is_forward(block) { block.first_end.0 } else { block.last_begin.0 };
        let earlier = forward.partition_point(|other| other.first_end.0 < limit);
        let Some(last) = earlier.checked_sub(1) else { continue };
        // The one that reaches furthest decides; the one that began last may prove it in less.
        for index in [furthest[last], last] {
            if forward[index].last_begin.0 > block.first_end.0 {
                report(versions, forward[index], block, sink);
            }
        }
    }
}

fn is_forward(block: &Block) -> bool {
    block.first_end.0 < block.last_begin.0
}

/// Names the conflict of two blocks, each of which must precede the other.
fn report(versions: &Versions<'_>, one: &Block, other: &Block, sink: &mut Sink<'_>) {
    let (old, new, kind) = if one.first_end.0 < sent(versions, other.head) {
        (one, other, AnomalyKind::StaleRead)
    } else if other.first_end.0 < sent(versions, one.head) {
        (other, one, AnomalyKind::StaleRead)
    } else if one.last_begin.0 > other.last_begin.0 {
        (one, other, AnomalyKind::FlipFlop)
    } else {
        (other, one, AnomalyKind::FlipFlop)
    };
    let (Some(again), Some(new_seen)) = (old.last_begin.1, new.first_end.1) else { return };
    // For a stale read the sending of the new value says it; else what began after the old value
    // was in place.
    let new_began = match kind {
        AnomalyKind::StaleRead => Touch::writer(versions, new.head),
        _ => new.last_begin.1,
    };
    let Some(new_began) = new_began else { return };
    let old_seen = old.first_end.1;
    let proof = Proof::Between { old_seen, again, new_began, new_seen };
    let touches: Vec<Touch> = old_seen.into_iter().chain([again, new_began, new_seen]).collect();
    sink.push(kind, again.operation, rank(versions, &touches), proof);
}

/// Where the first value of a block was sent.
fn sent(versions: &Versions<'_>, head: VersionId) -> Place {
    if head == ABSENT { 0 } else { versions.versions[head].begin }
}
