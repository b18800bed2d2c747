//! Tells a proof in full: its operations, and the contradiction in one or two plain sentences.
//! Called by `linearizable` for the few anomalies that are listed.

use super::Found;
use super::proof::{Proof, Touch, close, sees};
use crate::checker::findings::Candidate;
use crate::checker::story;
use crate::checker::versions::{ABSENT, Oddity, Parent, VersionId, Versions};
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
            (operations, swaps, cycle(versions, touch, witness))
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
                flip_flop(versions, kind, old_seen, again, [new_began, new_seen])
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

fn cycle(versions: &Versions<'_>, touch: Touch, witness: Option<Touch>) -> Vec<String> {
    /// Compare-and-sets that are told of a long circle.
    const TOLD: usize = 3;
    let mut circle = versions.ancestry(touch.version);
    // In the order in which they would have followed one another.
    circle.reverse();
    let length = circle.len();
    let swaps = circle.iter().filter_map(|version| versions.versions[*version].writer);
    let mut told: Vec<String> =
        swaps.take(TOLD).map(|swap| story::changed(versions.operation(swap))).collect();
    if let more @ 1.. = length.saturating_sub(TOLD) {
        told.push(format!("and so on with {more} more"));
    }
    let swaps = told.join("; ");
    let mut sentences = vec![match length {
        1 => format!("{swaps}: it expects what only it wrote."),
        2 => {
            format!("{swaps}: each expects what only the other wrote, so neither can be the first.")
        }
        _ => format!(
            "{swaps}: each expects what only the one before it wrote, in a circle of {length}, so \
             none can be the first."
        ),
    }];
    if let Some(witness) = witness {
        let witness = story::operation(versions.operation(witness.operation));
        sentences.push(format!("But {witness}, so one of them took effect."));
    }
    sentences
}

fn within(versions: &Versions<'_>, kind: AnomalyKind, ended: Touch, began: Touch) -> Vec<String> {
    let ended_story = story::operation(versions.operation(ended.operation));
    let began_story = story::operation(versions.operation(began.operation));
    let (later, earlier) = (value_of(versions, ended.version), value_of(versions, began.version));
    vec![match kind {
        AnomalyKind::StaleRead => format!(
            "{ended_story}; {began_story}, although {} and so {earlier} was overwritten.",
            came_from(versions, ended.version, began.version)
        ),
        AnomalyKind::FutureRead => format!(
            "{ended_story}, although {later} was only sent at {}: {began_story}.",
            story::at(versions.operation(began.operation).invoked.at)
        ),
        _ => format!(
            "{ended_story}; only then {}, although {}.",
            story::later(versions.operation(began.operation)),
            came_from(versions, ended.version, began.version)
        ),
    }]
}

/// "3 came from 1 by compare-and-set", with what came in between.
fn came_from(versions: &Versions<'_>, later: VersionId, earlier: VersionId) -> String {
    /// Values in between that are told of a long chain.
    const TOLD: usize = 3;
    let chain = versions.ancestry(later).into_iter().skip(1);
    let mut between: Vec<String> =
        chain.take_while(|it| *it != earlier).map(|it| value_of(versions, it)).collect();
    between.reverse();
    let (later, earlier) = (value_of(versions, later), value_of(versions, earlier));
    match between.len() {
        0 => format!("{later} came from {earlier} by compare-and-set"),
        1..=TOLD => {
            let first = between.remove(0);
            let rest: Vec<String> =
                between.iter().chain([&later]).map(|value| format!("then by {value}")).collect();
            let rest = rest.join(", ");
            format!("{earlier} had been replaced by {first}, {rest}, by compare-and-sets,")
        }
        count => format!("{later} came from {earlier} by {} compare-and-sets", count + 1),
    }
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
    let because = because(versions, old_seen, again, &new);
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

/// Why the old value was certainly overwritten when it was seen again, or swapped for another.
fn because(versions: &Versions<'_>, old_seen: Option<Touch>, again: Touch, new: &str) -> String {
    let is_swap = versions.written_by(again.operation) == Some(again.version);
    let old = match versions.versions[again.version].parent {
        Parent::From(expected) if is_swap => expected,
        _ => again.version,
    };
    let told = value_of(versions, old);
    let Some(seen) = old_seen else {
        return match old == ABSENT {
            true => format!("{} was absent only before {new} was written", versions.key),
            false => format!(
                "{told} came from the initial absence by compare-and-sets alone, so {new} came later \
                 and overwrote it"
            ),
        };
    };
    let is_before = old != seen.version && versions.ancestry(old).contains(&seen.version);
    let seen_told = value_of(versions, seen.version);
    match (seen.version == old, is_before) {
        (true, _) => format!("{told} was in place before {new} was sent and so was overwritten"),
        (false, true) => format!(
            "{seen_told} was in place before {new} was sent, and {told} came from {seen_told} by \
             compare-and-sets alone, so {new} overwrote it"
        ),
        (false, false) => format!(
            "{seen_told}, which came from {told} by compare-and-sets alone, was in place before {new} \
             was sent, so {told} was overwritten"
        ),
    }
}

fn flip_flop(
    versions: &Versions<'_>,
    kind: AnomalyKind,
    old_seen: Option<Touch>,
    again: Touch,
    [new_began, new_seen]: [Touch; 2],
) -> Vec<String> {
    let tell = |touch: Touch| story::operation(versions.operation(touch.operation));
    let old = value_of(versions, again.version);
    let so = match kind {
        AnomalyKind::FlipFlop => {
            "each value was written once, and they go on to alternate: more than one wrong read is needed"
                .to_string()
        }
        _ => format!("each value was written once, so {old} cannot come back"),
    };
    let Some(old_seen) = old_seen else {
        return vec![format!("{}; then {}: {so}.", tell(new_seen), tell(again))];
    };
    if new_began.operation == new_seen.operation {
        return vec![format!(
            "{}; then {}; then {}: {so}.",
            tell(old_seen),
            tell(new_seen),
            tell(again)
        )];
    }
    vec![
        format!("{}; after that {}.", tell(old_seen), tell(new_began)),
        format!("But {}; after that {}: {so}.", tell(new_seen), tell(again)),
    ]
}

fn writer(versions: &Versions<'_>, touch: Touch) -> Option<OperationId> {
    versions.versions[touch.version].writer
}

fn value_of(versions: &Versions<'_>, version: VersionId) -> String {
    story::value(versions.versions[version].value)
}
