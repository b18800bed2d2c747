//! Chance at work on plans: a fresh one, or a change of one. Pure.

use rand::RngExt;
use rand::seq::IndexedRandom;
use splitbrain_reports::record::FaultId;
use splitbrain_workloads::seed::Stream;

use crate::nemesis::AnyFault;
use crate::suite::limits;
use crate::suite::plan::{End, PlannedFault, PlannedRun, Start};
use crate::suite::schedule::Condition;
use crate::suite::units::Time;

/// Faults of a fresh plan, at most. More are only ever reached by adding to a plan that has shown
/// something: what many faults reach at once, nobody can tell apart.
const FRESH_MAX: usize = 4;

/// Faults of any plan, at most: what a report can still show in its lanes.
const FAULTS_MAX: usize = 12;

/// How long a fault lasts: from a moment too short for any election to one in which several fit.
const LASTS_MILLIS: std::ops::RangeInclusive<u32> = 100..=3000;

/// A plan by chance alone.
pub(super) fn fresh(
    base: &PlannedRun,
    palette: &[AnyFault],
    rng: &mut Stream,
) -> Vec<PlannedFault> {
    (0..rng.random_range(1..=FRESH_MAX)).map(|_| fault(base, palette, rng)).collect()
}

/// A plan with one or two things different.
pub(super) fn changed(
    base: &PlannedRun,
    palette: &[AnyFault],
    mut faults: Vec<PlannedFault>,
    rng: &mut Stream,
) -> Vec<PlannedFault> {
    for _ in 0..rng.random_range(1..=2) {
        let place = if faults.is_empty() { 0 } else { rng.random_range(0..faults.len()) };
        match rng.random_range(0..5) {
            0 if faults.len() > 1 => {
                faults.remove(place);
            }
            // At another time.
            1 if !faults.is_empty() => {
                let other = fault(base, palette, rng);
                faults[place].start = other.start;
                faults[place].end = other.end;
            }
            // Something else at the same time.
            2 if !faults.is_empty() => faults[place].fault = one_of(base, palette, rng),
            // Beside another one: what overlaps is where the corners are.
            3 if !faults.is_empty() && faults.len() < FAULTS_MAX => {
                let mut beside = fault(base, palette, rng);
                let near = u64::from(faults[place].start.earliest().as_millis());
                let shifted = near.saturating_add(rng.random_range(0..500));
                beside.start = Start::At(fitting(base, shifted, &beside.end));
                faults.push(beside);
            }
            _ if faults.len() < FAULTS_MAX => faults.push(fault(base, palette, rng)),
            _ => {}
        }
    }
    faults
}

/// Faults by the time from which they may begin, numbered, none of them too short for its turns.
pub(super) fn in_order(base: &PlannedRun, mut faults: Vec<PlannedFault>) -> Vec<PlannedFault> {
    for fault in &mut faults {
        let shortest = fault.fault.shortest(base.target.nodes).min(room(base));
        let (End::After(lasts) | End::Until { at_most: lasts, .. }) = &mut fault.end;
        if *lasts < shortest {
            *lasts = shortest;
            let at = u64::from(fault.start.earliest().as_millis());
            fault.start = Start::At(fitting(base, at, &fault.end));
        }
    }
    faults.sort_by_key(|fault| fault.start.earliest());
    for (number, fault) in (1..).zip(&mut faults) {
        fault.id = FaultId(number);
    }
    faults
}

fn fault(base: &PlannedRun, palette: &[AnyFault], rng: &mut Stream) -> PlannedFault {
    let fault = one_of(base, palette, rng);
    let lasts = Time::from_millis(rng.random_range(LASTS_MILLIS)).min(room(base));
    // Some faults last until they have led to something, however long that takes.
    let end = match base.target.nodes > 1 && rng.random_bool(0.25) {
        true => End::Until {
            condition: Condition { other_leader: true, ..Condition::default() },
            at_most: lasts,
        },
        false => End::After(lasts),
    };
    let start = Start::At(fitting(base, rng.random_range(0..=u64::from(u32::MAX)), &end));
    // What is drawn may come too late or find its node taken; nothing is missing then.
    let (before, keep, follow, otherwise) = (None, None, None, None);
    let drawn = true;
    PlannedFault { id: FaultId(0), fault, start, end, before, keep, follow, otherwise, drawn }
}

fn one_of(base: &PlannedRun, palette: &[AnyFault], rng: &mut Stream) -> AnyFault {
    let chosen = palette.choose(rng).expect("a palette holds something");
    chosen.draw(base.target.nodes, rng)
}

/// How long there is from the first moment of a fault to the last.
fn room(base: &PlannedRun) -> Time {
    base.duration.minus(limits::LEAD_IN).minus(limits::TAIL).max(Time::from_millis(1))
}

/// A moment at which a fault can begin and be over well before the end; any number leads to one.
fn fitting(base: &PlannedRun, millis: u64, end: &End) -> Time {
    let (End::After(lasts) | End::Until { at_most: lasts, .. }) = end;
    let first = u64::from(limits::LEAD_IN.as_millis());
    let last = first.max(u64::from(base.duration.minus(limits::TAIL).minus(*lasts).as_millis()));
    let at =
        if (first..=last).contains(&millis) { millis } else { first + millis % (last - first + 1) };
    Time::from_millis(u32::try_from(at).unwrap_or(u32::MAX))
}
