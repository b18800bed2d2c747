//! Draws the faults of a mix: from the seed, one after the other, none over a quiet window.

use rand::RngExt;
use splitbrain_reports::record::FaultId;
use splitbrain_workloads::seed::Stream;

use super::{PlannedFault, Start, end, longest};
use crate::suite::fault::FaultSpec;
use crate::suite::limits;
use crate::suite::mix::{Mix, Quiet, weight};
use crate::suite::units::Time;

/// The faults of a mix in the order of their times. The pause before each is drawn evenly from
/// nothing to twice the mean. The first that does not fit before the tail ends the mix.
pub(super) fn draw(mix: &Mix, nodes: u16, duration: Time, rng: &mut Stream) -> Vec<PlannedFault> {
    let last = duration.minus(limits::TAIL);
    let mut faults = Vec::new();
    let mut free = limits::LEAD_IN;
    for _ in 0..mix.at_most {
        let pause = rng.random_range(0..=mix.pause.as_millis().saturating_mul(2));
        let Some(FaultSpec { fault, schedule }) = chosen(mix, rng) else { break };
        let fault = fault.draw(nodes, rng);
        let (at, before) =
            placed(free.plus(Time::from_millis(pause)), longest(schedule), mix.quiet);
        free = at.plus(longest(schedule));
        if free > last {
            break;
        }
        faults.push(PlannedFault {
            id: FaultId(0),
            fault,
            start: Start::At(at),
            end: end(schedule),
            before,
            keep: schedule.keep,
            follow: schedule.follow,
            otherwise: None,
            drawn: true,
        });
    }
    faults
}

fn chosen<'m>(mix: &'m Mix, rng: &mut Stream) -> Option<&'m FaultSpec> {
    let all: u32 = mix.faults.iter().map(weight).sum();
    if all == 0 {
        return None;
    }
    let mut drawn = rng.random_range(0..all);
    mix.faults.iter().find(|spec| {
        let is_it = drawn < weight(spec);
        drawn = drawn.saturating_sub(weight(spec));
        is_it
    })
}

/// The first moment from `from` on at which a fault of this length touches no quiet window, and
/// the moment at which its heal must begin because of the next one.
fn placed(from: Time, span: Time, quiet: Option<Quiet>) -> (Time, Option<Time>) {
    let Some(Quiet { every, lasts }) = quiet else { return (from, None) };
    let begins = |number: u32| Time::from_millis(every.as_millis().saturating_mul(number));
    let number = from.as_millis() / every.as_millis().max(1);
    let ends = begins(number).plus(lasts);
    let at = if number > 0 && from < ends { ends } else { from };
    let before = begins(number + 1).minus(limits::QUIET_HEAL);
    if at.plus(span) <= before {
        return (at, Some(before));
    }
    // `validate` has made sure that it fits behind the next window.
    let at = begins(number + 1).plus(lasts);
    (at, Some(begins(number + 2).minus(limits::QUIET_HEAL)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_would_touch_a_quiet_window_waits_for_its_end() {
        let quiet = Some(Quiet { every: Time::from_secs(10), lasts: Time::from_secs(3) });
        let placed = |from, span| {
            let (at, before) = placed(Time::from_secs(from), Time::from_secs(span), quiet);
            (at.as_millis() / 1000, before.unwrap().as_millis() / 1000)
        };
        assert_eq!(placed(2, 3), (2, 9), "long before the first window");
        assert_eq!(placed(6, 3), (6, 9), "healed just in time");
        assert_eq!(placed(7, 3), (13, 19), "its heal would reach into the window");
        assert_eq!(placed(11, 3), (13, 19), "in the window");
        assert_eq!(placed(13, 3), (13, 19));
        assert_eq!(placed(17, 3), (23, 29));
    }
}
