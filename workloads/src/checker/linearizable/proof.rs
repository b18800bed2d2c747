//! Proofs: which few operations contradict each other, and what must stand beside them so that
//! they do so alone.
//!
//! A proof is found as a handful of [`Touch`]es. [`close`] adds what the contradiction rests on:
//! the writes of the values that are seen, the compare-and-sets that lead to them, and for a write
//! that was never answered somebody who saw its value. Called by `linearizable` and `lost_write`.

use rustc_hash::FxHashSet;

use crate::checker::findings::Rank;
use crate::checker::versions::{NEVER, Oddity, Parent, VersionId, Versions, begin, end};
use crate::history::OperationId;
use crate::operation::{Op, Reply};

/// An operation and the version that it wrote or saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checker) struct Touch {
    pub(in crate::checker) operation: OperationId,
    pub(in crate::checker) version: VersionId,
}

/// Why a history is not linearizable.
#[derive(Clone, Copy, Debug)]
pub(super) enum Proof {
    /// One observation is wrong by itself.
    Odd(Oddity),
    /// Two compare-and-sets swapped the same version.
    TwoFromOne { first: Touch, second: Touch },
    /// A compare-and-set expects, by way of others, its own value; `witness` saw that it happened.
    Cycle { touch: Touch, witness: Option<Touch> },
    /// Inside a chain, `ended` is after `began`, but ended before it began.
    Within { ended: Touch, began: Touch },
    /// The old value was in place (`old_seen` ended; `None`: it is the initial absence) before
    /// `new_began`, and `new_seen` ended before `again` began, which is of the old value again.
    Between { old_seen: Option<Touch>, again: Touch, new_began: Touch, new_seen: Touch },
}

/// How clear a proof by these operations will be.
pub(super) fn rank(versions: &Versions<'_>, touches: &[Touch]) -> Rank {
    let mut operations: Vec<OperationId> = Vec::with_capacity(2 * touches.len());
    let (mut first, mut last) = (NEVER, 0);
    for touch in touches {
        operations.push(touch.operation);
        operations.extend(versions.versions[touch.version].writer);
        let operation = versions.operation(touch.operation);
        first = first.min(begin(operation));
        let end = end(operation);
        last = last.max(if end == NEVER { begin(operation) } else { end });
    }
    operations.sort_unstable();
    operations.dedup();
    Rank { operations: operations.len() as u64, span: last.saturating_sub(first) }
}

/// At most this many operations are listed; the compare-and-sets beyond become swaps.
const OPERATIONS_MAX: usize = 6;

/// The operations and the swaps of a proof: the touched operations and all that they rest on, so
/// that they are impossible by themselves. Both in order of invocation.
pub(in crate::checker) fn close(
    versions: &Versions<'_>,
    touches: &[Touch],
) -> (Vec<OperationId>, Vec<OperationId>) {
    // In order of importance: what touches, what a reader wants beside it, the rest.
    let mut ordered: Vec<OperationId> = touches.iter().map(|touch| touch.operation).collect();
    ordered.extend(touches.iter().filter_map(|touch| versions.versions[touch.version].writer));
    let mut pending: Vec<VersionId> = touches.iter().map(|touch| touch.version).collect();
    let mut seen: FxHashSet<VersionId> =
        ordered.iter().filter_map(|id| sees(versions, *id)).collect();
    let mut done: FxHashSet<VersionId> = FxHashSet::default();
    loop {
        while let Some(version) = pending.pop() {
            for at in versions.ancestry(version) {
                if !done.insert(at) {
                    break;
                }
                if let Some(writer) = versions.versions[at].writer {
                    ordered.push(writer);
                    seen.extend(sees(versions, writer));
                }
            }
        }
        // A write that was never answered needs a witness among them.
        let missing = done.iter().filter(|version| !seen.contains(version));
        let witness = missing.filter_map(|id| versions.versions[*id].witness).min();
        let Some(witness) = witness else { break };
        ordered.push(witness);
        seen.extend(sees(versions, witness));
        pending.extend(versions.written_by(witness));
    }
    split(versions, ordered)
}

/// The version that an operation saw, if it did or would when it happened.
pub(super) fn sees(versions: &Versions<'_>, id: OperationId) -> Option<VersionId> {
    let operation = versions.operation(id);
    match (&operation.op, operation.reply()) {
        (Op::Read { .. }, Some(Reply::Read(value))) => versions.version_of(*value),
        (Op::CompareAndSet { expect, .. }, Some(Reply::Compared { swapped: false, observed }))
            if expect != observed =>
        {
            versions.version_of(*observed)
        }
        (_, Some(Reply::Compared { swapped: false, .. })) => None,
        (Op::CompareAndSet { .. }, _) => match versions.versions[versions.written_by(id)?].parent {
            Parent::From(parent) => Some(parent),
            Parent::None | Parent::Impossible => None,
        },
        _ => None,
    }
}

/// Splits operations in order of importance into those that are listed and the swaps.
fn split(
    versions: &Versions<'_>,
    ordered: Vec<OperationId>,
) -> (Vec<OperationId>, Vec<OperationId>) {
    let mut seen = FxHashSet::default();
    let ordered: Vec<OperationId> = ordered.into_iter().filter(|id| seen.insert(*id)).collect();
    let may_be_swap = |id: &OperationId| {
        versions.written_by(*id).is_some()
            && matches!(versions.operation(*id).op, Op::CompareAndSet { .. })
    };
    let fixed = ordered.iter().filter(|id| !may_be_swap(id)).count();
    let mut room = OPERATIONS_MAX.saturating_sub(fixed);
    let (mut operations, mut swaps) = (Vec::new(), Vec::new());
    for id in ordered {
        if !may_be_swap(&id) {
            operations.push(id);
        } else if room > 0 {
            room -= 1;
            operations.push(id);
        } else {
            swaps.push(id);
        }
    }
    operations.sort_unstable();
    swaps.sort_unstable();
    (operations, swaps)
}
