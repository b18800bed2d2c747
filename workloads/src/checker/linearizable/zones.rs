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
use super::blocks::{Block, Blocks};
use super::proof::{Proof, Touch, rank, sees};
use crate::checker::plants::{Plant, is_planted};
use crate::checker::versions::{NEVER, Place, VersionId, Versions, begin, end};
use crate::verdict::AnomalyKind;

/// Hands every block that conflicts with another one to the sink. Takes O(n log n) time for n
/// operations.
pub(super) fn find_conflicts(versions: &Versions<'_>, blocks: &Blocks, sink: &mut Sink<'_>) {
    let mut forward: Vec<&Block> = blocks.list.iter().filter(|block| is_forward(block)).collect();
    forward.sort_unstable_by_key(|block| block.first_end.0);
    // The forward zone that reaches furthest among those up to here.
    let mut furthest: Vec<usize> = Vec::with_capacity(forward.len());
    for (index, block) in forward.iter().enumerate() {
        let before = furthest.last().copied().unwrap_or(index);
        let further = block.last_begin.0 >= forward[before].last_begin.0;
        furthest.push(if further { index } else { before });
    }
    // Needed once something is wrong, and not before.
    let mut members: Option<Members> = None;
    for block in &blocks.list {
        if is_planted(Plant::OneSidedZones) && !is_forward(block) {
            continue;
        }
        let limit = if is_forward(block) { block.first_end.0 } else { block.last_begin.0 };
        let earlier = forward.partition_point(|other| other.first_end.0 < limit);
        let Some(last) = earlier.checked_sub(1) else { continue };
        // The one that reaches furthest decides; the one that began last may prove it in less.
        for index in [furthest[last], last] {
            if forward[index].last_begin.0 > block.first_end.0 {
                let members = members.get_or_insert_with(|| Members::of(versions, blocks));
                report(versions, members, forward[index], block, sink);
            }
        }
    }
}

pub(super) fn is_forward(block: &Block) -> bool {
    block.first_end.0 < block.last_begin.0
}

/// Names the conflict of two blocks, each of which must precede the other, at the first moment at
/// which it shows: whoever read then is the culprit, and not whoever came later.
fn report(
    versions: &Versions<'_>,
    members: &Members,
    one: &Block,
    other: &Block,
    sink: &mut Sink<'_>,
) {
    let conflicts = [(one, other), (other, one)];
    let conflicts = conflicts.into_iter().filter_map(|(old, new)| Conflict::of(members, old, new));
    let Some(conflict) = conflicts.min_by_key(|conflict| conflict.again.begin) else { return };
    let Conflict { old, new, new_began, new_seen, again } = conflict;
    let new_began = new_began.touch;
    let is_write = versions.written_by(new_began.operation) == Some(new_began.version);
    let kind = match !is_write && alternate(members.of_block(old), members.of_block(new)) {
        true => AnomalyKind::FlipFlop,
        false => AnomalyKind::StaleRead,
    };
    let old_seen = old.first_end.1;
    let again = again.touch;
    let proof = Proof::Between { old_seen, again, new_began, new_seen };
    let touches: Vec<Touch> = old_seen.into_iter().chain([again, new_began, new_seen]).collect();
    sink.push(kind, again.operation, rank(versions, &touches), proof);
}

/// The old block was in place, then something of the new one began, so the new one is the later;
/// the new one was in place as well, and then `again` of the old one began.
struct Conflict<'b> {
    old: &'b Block,
    new: &'b Block,
    new_began: Member,
    new_seen: Touch,
    again: Member,
}

impl<'b> Conflict<'b> {
    fn of(members: &Members, old: &'b Block, new: &'b Block) -> Option<Self> {
        let new_seen = new.first_end.1?;
        let new_began = first_after(members.of_block(new), old.first_end.0)?;
        let since = new_began.begin.max(new.first_end.0);
        let again = first_after(members.of_block(old), since)?;
        Some(Conflict { old, new, new_began, new_seen, again })
    }
}

/// Whether two blocks take turns more often than a single wrong read can make it look: one that is
/// out of place gives old, new, old, new.
fn alternate(old: &[Member], new: &[Member]) -> bool {
    let mut after = 0;
    for members in [old, new, old, new, old] {
        let began = members.partition_point(|member| member.begin <= after);
        match members.get(began) {
            Some(member) if after != NEVER => after = member.first_end_from_here,
            _ => return false,
        }
    }
    true
}

/// The first member that began after a place.
fn first_after(members: &[Member], place: Place) -> Option<Member> {
    members.get(members.partition_point(|member| member.begin <= place)).copied()
}

/// An operation of a block.
#[derive(Clone, Copy)]
struct Member {
    begin: Place,
    /// The first end among this one and all that began later.
    first_end_from_here: Place,
    touch: Touch,
}

/// The operations of each block, by the first version of its chain, in order of invocation.
struct Members {
    by_head: Vec<Vec<Member>>,
}

impl Members {
    fn of(versions: &Versions<'_>, blocks: &Blocks) -> Self {
        let mut by_head: Vec<Vec<Member>> = vec![Vec::new(); versions.versions.len()];
        for id in &versions.operations {
            let version: Option<VersionId> =
                versions.written_by(*id).or_else(|| sees(versions, *id));
            let Some(version) = version.filter(|id| versions.versions[*id].effective) else {
                continue;
            };
            let Some(head) = blocks.head_of[version] else { continue };
            let operation = versions.operation(*id);
            by_head[head].push(Member {
                begin: begin(operation),
                first_end_from_here: end(operation),
                touch: Touch { operation: *id, version },
            });
        }
        for members in &mut by_head {
            let mut first_end = NEVER;
            for member in members.iter_mut().rev() {
                first_end = first_end.min(member.first_end_from_here);
                member.first_end_from_here = first_end;
            }
        }
        Members { by_head }
    }

    fn of_block(&self, block: &Block) -> &[Member] {
        &self.by_head[block.head]
    }
}
