//! Tells a proof in full: its operations, and the contradiction in one or two plain sentences.
//! Called by `linearizable` for the few anomalies that are listed.

use super::Found;
use super::proof::{Proof, Touch, close, sees};
use crate::checker::findings::Candidate;
use crate::checker::story;
use crate::checker::versions::{ABSENT, Oddity, VersionId, Versions};
use crate::history::OperationId;
use crate::operation::Op;
use crate::verdict::{Anomaly, AnomalyKind};

/// The anomaly of a candidate.
pub(super) fn tell(versions: &Versions<'_>, candidate: &Candidate<Found>) -> Anomaly {
    let Candidate { kind, culprit, .. } = *candidate;
    let (operations, swaps, story) = match candidate.proof.proof {
        Proof::Odd(oddity) => {
            let (operations, swaps) = odd_operations(versions, oddity);
            (operations, swaps, vec![odd(versions, oddity)])
        }
        Proof::TwoFromOne { first, second } => {
            let (operations, swaps) = close(versions, &[first, second]);
            (operations, swaps, two_from_one(versions, first, second))
        }
        Proof::Cycle { touch, witness } => {
            let touches: Vec<Touch> = witness.into_iter().chain([touch]).collect();
            let (operations, swaps) = close(versions, &touches);
            (operations, swaps, cycle(versions, touch))
        }
        Proof::Within { ended, began } => {
            let (operations, swaps) = close(versions, &[ended, began]);
            (operations, swaps, within(versions, kind, ended, began))
        }
        Proof::Between { old_seen, again, new_began, new_seen } => {
            let touches: Vec<Touch> =
                old_seen.into_iter().chain([again, new_began, new_seen]).collect();
            let (operations, swaps) = close(versions, &touches);
            let sent = versions.written_by(new_began.operation) == Some(new_began.version);
            let story = if kind == AnomalyKind::StaleRead && sent {
                stale(versions, old_seen, again, new_began, new_seen)
            } else {
                flip_flop(versions, old_seen, again, new_began, new_seen)
            };
            (operations, swaps, story)
        }
    };
    Anomaly { kind, key: versions.key.clone(), culprit, operations, swaps, story }
}

fn odd_operations(versions: &Versions<'_>, oddity: Oddity) -> (Vec<OperationId>, Vec<OperationId>) {
    let mut operations = match oddity {
        Oddity::Unwritten { seen_by, failed } => failed.into_iter().chain([seen_by]).collect(),
        Oddity::RefusedMatch { operation } | Oddity::SwappedMismatch { operation } => {
            vec![operation]
        }
        // With all compare-and-sets in between.
        Oddity::FromUnwritten { seen_by, .. } => match sees(versions, seen_by) {
            Some(version) => return close(versions, &[Touch { operation: seen_by, version }]),
            None => vec![seen_by],
        },
    };
    operations.sort_unstable();
    (operations, Vec::new())
}

fn odd(versions: &Versions<'_>, oddity: Oddity) -> String {
    let saw = |id| story::saw(versions.operation(id));
    let changed = |id| story::changed(versions.operation(id));
    match oddity {
        Oddity::Unwritten { seen_by, failed: None } => {
            format!("{}, a value that nobody ever sent.", saw(seen_by))
        }
        Oddity::Unwritten { seen_by, failed: Some(failed) } => {
            format!("{}; {}, which nobody else sent.", changed(failed), saw(seen_by))
        }
        Oddity::FromUnwritten { seen_by, swap } => format!(
            "{}; that can only go back to this: {}; but what it expected was never written.",
            story::operation(versions.operation(seen_by)),
            changed(swap)
        ),
        Oddity::RefusedMatch { operation } => {
            format!("{}: it saw what it expected.", saw(operation))
        }
        Oddity::SwappedMismatch { operation } => {
            format!("{}: it overwrote what it did not expect.", saw(operation))
        }
    }
}

fn two_from_one(versions: &Versions<'_>, first: Touch, second: Touch) -> Vec<String> {
    let expected = match &versions.operation(second.operation).op {
        Op::CompareAndSet { expect, .. } => story::value(*expect),
        _ => String::new(),
    };
    vec![format!(
        "{}; {}, although {expected} was written once and can be swapped once.",
        story::changed(versions.operation(first.operation)),
        story::changed(versions.operation(second.operation)),
    )]
}

fn cycle(versions: &Versions<'_>, touch: Touch) -> Vec<String> {
    let length = versions.ancestry(touch.version).len();
    vec![format!(
        "{}; each of {length} compare-and-sets got the value it expected from the next, in a \
         circle: none of them can have been the first.",
        story::changed(versions.operation(touch.operation)),
    )]
}

fn within(versions: &Versions<'_>, kind: AnomalyKind, ended: Touch, began: Touch) -> Vec<String> {
    let ended_story = story::operation(versions.operation(ended.operation));
    let began_story = story::operation(versions.operation(began.operation));
    let (later, earlier) = (value_of(versions, ended.version), value_of(versions, began.version));
    vec![match kind {
        AnomalyKind::StaleRead => format!(
            "{ended_story}; {began_story}, although {later} came from {earlier} by \
             compare-and-set and so {earlier} was overwritten."
        ),
        AnomalyKind::FutureRead => format!(
            "{ended_story}, although {later} was only sent at {}: {began_story}.",
            story::at(versions.operation(began.operation).invoked.at)
        ),
        _ => format!(
            "{ended_story}, before {began_story}, although {later} came from {earlier} by \
             compare-and-set."
        ),
    }]
}

fn stale(
    versions: &Versions<'_>,
    old_seen: Option<Touch>,
    again: Touch,
    sent: Touch,
    new_seen: Touch,
) -> Vec<String> {
    let new = value_of(versions, sent.version);
    let mut first = story::changed(versions.operation(sent.operation));
    if new_seen.operation != sent.operation {
        first.push_str("; ");
        first.push_str(&story::operation(versions.operation(new_seen.operation)));
    }
    let because = because(versions, old_seen, again.version, &new);
    let mut sentences = vec![format!(
        "{first}; {}, although {because}.",
        story::operation(versions.operation(again.operation)),
    )];
    if let Some(seen) = old_seen.filter(|seen| Some(seen.operation) != writer(versions, *seen)) {
        sentences.push(format!(
            "That {} was in place is known because {}.",
            value_of(versions, seen.version),
            story::operation(versions.operation(seen.operation))
        ));
    }
    sentences
}

/// Why the old value was certainly overwritten when it was seen again.
fn because(
    versions: &Versions<'_>,
    old_seen: Option<Touch>,
    again: VersionId,
    new: &str,
) -> String {
    let old = value_of(versions, again);
    match old_seen {
        None if again == ABSENT => {
            format!("{} was absent only before {new} was written", versions.key)
        }
        None => format!(
            "{old} goes back by compare-and-sets to the initial absence, which {new} overwrote"
        ),
        Some(seen) if seen.version == again => {
            format!("{old} was in place before {new} was sent and so was overwritten")
        }
        Some(seen) => {
            let seen = value_of(versions, seen.version);
            format!(
                "{old} goes back by compare-and-sets to {seen}, which was in place before {new} \
                 was sent and so was overwritten"
            )
        }
    }
}

fn flip_flop(
    versions: &Versions<'_>,
    old_seen: Option<Touch>,
    again: Touch,
    new_began: Touch,
    new_seen: Touch,
) -> Vec<String> {
    let tell = |touch: Touch| story::operation(versions.operation(touch.operation));
    let once = "although each value was written once.";
    let Some(old_seen) = old_seen else {
        return vec![format!("{}, after {}, {once}", tell(again), tell(new_seen))];
    };
    if new_began.operation == new_seen.operation {
        return vec![format!(
            "{}; then {}; then {}, {once}",
            tell(old_seen),
            tell(new_seen),
            tell(again)
        )];
    }
    vec![format!(
        "{}; after that {}. But {}; after that {}, {once}",
        tell(old_seen),
        tell(new_began),
        tell(new_seen),
        tell(again)
    )]
}

fn writer(versions: &Versions<'_>, touch: Touch) -> Option<OperationId> {
    versions.versions[touch.version].writer
}

fn value_of(versions: &Versions<'_>, version: VersionId) -> String {
    story::value(versions.versions[version].value)
}
