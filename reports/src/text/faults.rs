//! The section FAULTS: what was injected, whom it hit, whether it bit, and what it cost.

use splitbrain_workloads::history::Micros;

use super::{RunDetail, table, words};
use crate::measure::recovery::{self, Recovery, Service};
use crate::measure::schedule;
use crate::record::{Effect, FaultRecord, OnLinks, RunRecord};
use crate::units;

/// How many links are named before the rest is only counted.
const LINKS_MAX: usize = 6;

/// Where no write was sent that could have shown whether writes stopped or came back.
const NOT_KNOWN: &str = "not known";

/// The table of faults in order of their beginning, under each its effect.
pub(super) fn section(run: &RunRecord, detail: Option<&RunDetail>) -> Vec<String> {
    if run.faults.is_empty() {
        return vec![String::new(), "FAULTS  none were planned".to_string()];
    }
    let (seen, planned) = words::faults_seen(run);
    let title = format!("FAULTS  {seen} of {} took effect", units::count(planned));
    let mut faults: Vec<&FaultRecord> = run.faults.iter().collect();
    let began = |fault: &FaultRecord| fault.requested.or(fault.in_force);
    // What never began stands last, and the numbers are those of the plan.
    faults.sort_by_key(|fault| (began(fault).is_none(), began(fault), fault.id));
    let rows: Vec<Vec<String>> = faults.iter().map(|fault| row(fault, detail)).collect();
    let header =
        ["#", "fault", "hit", "in force", "writes stopped", "all nodes back", "writes lost"];
    let mut laid_out = table::blank(&header, &rows, &[0], 2).into_iter();
    let mut lines = vec![String::new(), title];
    lines.extend(laid_out.next());
    for (line, fault) in laid_out.zip(faults) {
        lines.push(line);
        lines.extend(effect(fault));
    }
    lines.extend(plan_kept(run));
    lines.extend(columns(run, detail));
    lines
}

/// What the columns mean where a number or a word in them asks for it.
fn columns(run: &RunRecord, detail: Option<&RunDetail>) -> Vec<String> {
    let mut lines = Vec::new();
    let services = run.faults.iter().filter(|fault| fault.unavailable.is_none());
    let services = detail.map(|detail| services.map(|it| recovery::service(&detail.history, it)));
    let unwatched = services.into_iter().flatten().find_map(|service| match service {
        Service::NotWatched { last_asked, .. } => Some(last_asked),
        _ => None,
    });
    match unwatched {
        Some(Some(last)) => {
            let text = format!("{NOT_KNOWN}, no write was sent after {}", units::moment(last));
            lines.extend(table::wrapped("  writes stopped: ", &text));
        }
        Some(None) => lines.push(format!("  writes stopped: {NOT_KNOWN}, no write was sent")),
        None => {}
    }
    if run.faults.iter().any(|fault| fault.lost_writes.is_some_and(|lost| lost > 0)) {
        let text = "acknowledged ones, sent while the fault was in force or, outside all, nearest \
                    to it; one may count for several faults";
        lines.extend(table::wrapped("  writes lost: ", text));
    }
    lines
}

/// How well the times of the plan were kept: whoever runs a plan again wants to know.
fn plan_kept(run: &RunRecord) -> Vec<String> {
    let Some(kept) = schedule::kept(run.load_began, &run.faults) else { return Vec::new() };
    let most = units::duration(kept.most);
    let conditions = run.faults.iter().filter(|fault| fault.planned.is_none()).count() as u64;
    let fixed = if conditions > 0 { "with a fixed time " } else { "" };
    let mut text = match kept.timed {
        1 if conditions == 0 => format!("the fault began {most} off its time"),
        1 => format!("the one fault {fixed}began {most} off it (fault {})", kept.worst.0),
        _ => format!(
            "{} of {} faults {fixed}began within {} of their times; median {} off, most {most} \
             (fault {})",
            units::count(kept.on_time),
            units::count(kept.timed),
            units::duration(schedule::ON_TIME),
            units::duration(kept.median),
            kept.worst.0
        ),
    };
    if conditions > 0 {
        text.push_str(&format!("; {} waited for a condition", units::count(conditions)));
    }
    table::wrapped("  plan kept: ", &text)
}

fn row(fault: &FaultRecord, detail: Option<&RunDetail>) -> Vec<String> {
    let in_force = match (fault.in_force, fault.healed) {
        (Some(from), Some(to)) => units::stretch(from, to),
        (Some(from), None) => format!("{}, not healed", units::moment(from)),
        (None, _) => "never".to_string(),
    };
    vec![
        fault.id.0.to_string(),
        fault.kind.clone(),
        words::victims(fault),
        in_force,
        stopped(fault, detail),
        back(fault, detail),
        match fault.lost_writes {
            None => "-".to_string(),
            Some(lost) => units::count(lost),
        },
    ]
}

/// The record holds a time or nothing; the history tells which nothing it is.
fn stopped(fault: &FaultRecord, detail: Option<&RunDetail>) -> String {
    match (fault.unavailable, detail.map(|detail| recovery::service(&detail.history, fault))) {
        (Some(time), _) => units::duration(time),
        (None, Some(Service::NotRestored { .. })) => "for good".to_string(),
        (None, Some(Service::Kept)) => "no".to_string(),
        (None, Some(Service::NotWatched { .. })) => NOT_KNOWN.to_string(),
        (None, _) => "-".to_string(),
    }
}

fn back(fault: &FaultRecord, detail: Option<&RunDetail>) -> String {
    match (fault.recovered_after, detail.map(|detail| recovery::recovery(&detail.history, fault))) {
        (Some(time), _) => format!("after {}", units::duration(time)),
        (None, Some(Recovery::Never { silent })) => format!("never: {}", words::nodes(&silent)),
        (None, _) => "-".to_string(),
    }
}

fn effect(fault: &FaultRecord) -> Vec<String> {
    let effect = match &fault.effect {
        Effect::Seen(evidence) => format!("effect: {evidence}"),
        Effect::None(reason) => format!("NO EFFECT: {reason}"),
        Effect::Skipped(reason) => format!("skipped: {reason}"),
    };
    let mut lines = table::wrapped("     ", &format!("asked for: {}", fault.shape));
    lines.extend(table::wrapped("     ", &effect));
    if !fault.links.is_empty() {
        let mut links = fault.links.iter().take(LINKS_MAX).cloned().collect::<Vec<_>>().join(" ");
        if fault.links.len() > LINKS_MAX {
            links.push_str(&format!(" and {} more", fault.links.len() - LINKS_MAX));
        }
        let done = match fault.on_links {
            OnLinks::Cut => "cut",
            OnLinks::CutByTurns => "cut by turns",
            OnLinks::Slowed => "slowed",
            OnLinks::Reset => "reset",
        };
        lines.extend(table::wrapped("     ", &format!("{done}: {links}")));
    }
    lines
}

/// The faults in force at some moment of a stretch, both ends included: for the counterexample.
pub(super) fn in_force(faults: &[FaultRecord], from: Micros, to: Micros) -> Vec<&FaultRecord> {
    let began = |fault: &&FaultRecord| fault.in_force.is_some_and(|in_force| in_force <= to);
    let over = |fault: &&FaultRecord| fault.healed.is_some_and(|healed| healed <= from);
    faults.iter().filter(began).filter(|fault| !over(fault)).collect()
}

/// What was in force at a moment, in words; where nothing was, what came next.
pub(super) fn at(faults: &[FaultRecord], at: Micros) -> String {
    let since = |fault: &FaultRecord| {
        units::duration(Micros(at.0.abs_diff(fault.in_force.unwrap_or(at).0)))
    };
    let in_force = in_force(faults, at, at);
    if !in_force.is_empty() {
        let named = in_force
            .into_iter()
            .map(|fault| format!("{} had been in force for {}", words::fault(fault), since(fault)));
        return named.collect::<Vec<_>>().join(", ");
    }
    let to_come = faults.iter().filter(|fault| fault.in_force.is_some_and(|from| from > at));
    match to_come.min_by_key(|fault| fault.in_force) {
        Some(next) => format!(
            "no fault was in force, {} came into force {} later",
            words::fault(next),
            since(next)
        ),
        None => match last_healed(faults, at) {
            Some((healed, last)) => format!(
                "no fault was in force any more, {} had been healed {} before",
                words::fault(last),
                units::duration(Micros(at.0 - healed.0))
            ),
            None => "no fault was in force".to_string(),
        },
    }
}

/// The fault whose heal was the last before a moment, and when that was.
fn last_healed(faults: &[FaultRecord], at: Micros) -> Option<(Micros, &FaultRecord)> {
    let healed = faults.iter().filter_map(|fault| Some((fault.healed?, fault)));
    healed.filter(|(healed, _)| *healed <= at).max_by_key(|(healed, _)| *healed)
}

/// Where a moment lies among the faults: in one, or how far from the nearest.
pub(super) fn beside(faults: &[FaultRecord], at: Micros) -> String {
    let apart = |from: Micros, to: Micros| units::duration(Micros(to.0 - from.0));
    if let Some(fault) = in_force(faults, at, at).first() {
        let into = fault.in_force.map_or(Micros(0), |from| Micros(at.0 - from.0));
        return format!("{} into {}", units::duration(into), words::fault(fault));
    }
    let next = faults.iter().filter_map(|fault| Some((fault.in_force?, fault)));
    let next = next.filter(|(from, _)| *from > at).min_by_key(|(from, _)| *from);
    match (last_healed(faults, at), next) {
        (None, None) => "without any fault".to_string(),
        (Some((healed, fault)), next)
            if next.is_none_or(|(from, _)| at.0 - healed.0 < from.0 - at.0) =>
        {
            format!("{} after the heal of {}", apart(healed, at), words::fault(fault))
        }
        (_, Some((from, fault))) => format!("{} before {}", apart(at, from), words::fault(fault)),
        (Some(_), None) => unreachable!("the arm before takes a last one without a next"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{Tape, fault, release_gate};

    /// A set whose elements were used up while two faults were in force, planned in another order.
    fn used_up() -> (RunRecord, RunDetail) {
        let (suite, _) = release_gate();
        let mut run = suite.runs[0].clone();
        let mut tape = Tape::new("set", 3);
        tape.write(1, 1, "s/1", 1, 1_000_000, 1_001_000);
        tape.write_unknown(1, 1, "s/2", 2, 2_400_000, 2_600_000, "timeout");
        run.faults = vec![
            fault(1, "kill", &[1], 3_500_000, 4_000_000),
            fault(2, "pause", &[2], 2_000_000, 3_000_000),
        ];
        run.faults[0].planned = None;
        run.faults[1].lost_writes = Some(2);
        (run, RunDetail { history: tape.history(), events: Vec::new() })
    }

    #[test]
    fn what_nobody_asked_for_is_not_known_and_faults_stand_in_order_of_their_beginning() {
        let (run, detail) = used_up();
        let lines = section(&run, Some(&detail));
        assert!(lines.iter().all(|line| line.chars().count() <= super::super::WIDTH));
        insta::assert_snapshot!(lines.join("\n"), @r"

        FAULTS  2 of 2 took effect
          #  fault  hit          in force         writes stopped  all nodes back  writes lost
          2  pause  n2 (leader)  2.000 – 3.000 s  not known       -               2
             asked for: leader
             effect: seen
          1  kill   n1 (leader)  3.500 – 4.000 s  not known       -               -
             asked for: leader
             effect: seen
          plan kept: the one fault with a fixed time began 1.24 s off it (fault 2); 1 waited for a condition
          writes stopped: not known, no write was sent after 2.400 s
          writes lost: acknowledged ones, sent while the fault was in force or, outside all, nearest to it;
                       one may count for several faults
        ");
    }

    #[test]
    fn links_are_said_to_be_what_was_done_to_them() {
        let line = |on_links| {
            let mut fault = fault(1, "some", &[1], 0, 1);
            (fault.links, fault.on_links) = (vec!["n1->n2".into()], on_links);
            effect(&fault).pop().unwrap()
        };
        assert_eq!(line(OnLinks::Cut).trim(), "cut: n1->n2");
        assert_eq!(line(OnLinks::CutByTurns).trim(), "cut by turns: n1->n2");
        assert_eq!(line(OnLinks::Slowed).trim(), "slowed: n1->n2");
        assert_eq!(line(OnLinks::Reset).trim(), "reset: n1->n2");
    }
}
