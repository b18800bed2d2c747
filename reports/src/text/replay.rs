//! The section REPLAY: how a run that was run again compares with the recorded one.

use splitbrain_workloads::history::Micros;
use splitbrain_workloads::operation::NodeId;

use super::{Style, table, theme, words};
use crate::measure::schedule::{Lived, ON_TIME};
use crate::record::{FaultId, RunRecord, TargetRecord};
use crate::units;

/// A run and its replay.
#[derive(Clone, Debug)]
pub struct Replay<'a> {
    /// The folder of the recorded run, as the command line named it.
    pub of: &'a str,
    /// Whether nodes and times were those of the recorded run, instead of its plan.
    pub by_name: bool,
    /// What came of the recorded run, where its summary is still there.
    pub then: Option<&'a RunRecord>,
    /// What came of the replay.
    pub now: &'a RunRecord,
    /// Every fault of the replay: what it was called then, what became of it then and now.
    pub faults: Vec<ReplayedFault>,
    /// What was not done as it was, one line each.
    pub notes: &'a [String],
}

/// One fault, twice.
#[derive(Clone, Debug)]
pub struct ReplayedFault {
    /// Its number in the replay.
    pub id: FaultId,
    /// Its kind.
    pub kind: String,
    /// Whether it began when its condition held, so that it has no time to keep.
    pub on_condition: bool,
    /// What became of it then.
    pub then: Lived,
    /// What became of it now.
    pub now: Lived,
}

/// The section, which stands above the report of the replay.
pub fn replay(replay: &Replay<'_>, style: &Style) -> String {
    let how = if replay.by_name { "by name" } else { "by role" };
    let mut lines = Vec::new();
    lines.extend(table::wrapped("REPLAY  ", &format!("of {}, {how}", replay.of)));
    let mut row = |name: &str, text: String| {
        lines.extend(table::wrapped(&format!("  {name:8}  "), &text));
    };
    row("binary", binary(replay.then.map(|run| &run.target), &replay.now.target));
    row("found", found(replay.then, replay.now));
    if !replay.faults.is_empty() {
        row("order", order(&replay.faults));
        row("times", times(&replay.faults));
        row("victims", victims(&replay.faults));
        let rows: Vec<Vec<String>> = replay.faults.iter().map(fault).collect();
        let header = ["#", "fault", "began then", "began now", "off by", "hit then", "hit now"];
        lines.extend(table::blank(&header, &rows, &[0, 2, 3, 4], 5));
    }
    lines.extend(replay.notes.iter().flat_map(|note| table::wrapped("  note: ", note)));
    theme::finish(&lines, style)
}

fn binary(then: Option<&TargetRecord>, now: &TargetRecord) -> String {
    let short = |hash: &str| hash.chars().take(12).collect::<String>();
    match then {
        None => format!("{}; the recorded run's is not known", short(&now.binary)),
        Some(then) if then.binary == now.binary => format!("{}, the same", short(&now.binary)),
        Some(then) => format!(
            "ANOTHER BUILD: {} {} now, {} {} then",
            now.version,
            short(&now.binary),
            then.version,
            short(&then.binary)
        ),
    }
}

fn found(then: Option<&RunRecord>, now: &RunRecord) -> String {
    let then = match then {
        Some(then) => format!("{} ({})", words::finding(then), words::result(then.result)),
        None => "not known".to_string(),
    };
    format!("{} ({}) now, {then} then", words::finding(now), words::result(now.result))
}

/// Faults by the moment at which they began; those that did not are left out.
fn begun(
    faults: &[ReplayedFault],
    when: impl Fn(&ReplayedFault) -> &Lived,
) -> Vec<(Micros, FaultId)> {
    let began = |fault: &ReplayedFault| Some((when(fault).requested?, fault.id));
    let mut begun: Vec<(Micros, FaultId)> = faults.iter().filter_map(began).collect();
    begun.sort();
    begun
}

fn order(faults: &[ReplayedFault]) -> String {
    let ids = |begun: Vec<(Micros, FaultId)>| -> Vec<String> {
        begun.into_iter().map(|(_, id)| id.0.to_string()).collect()
    };
    let (then, now) =
        (ids(begun(faults, |fault| &fault.then)), ids(begun(faults, |fault| &fault.now)));
    match then == now {
        true => format!("the same, {}", units::counted(now.len() as u64, "fault")),
        false => format!("DIFFERS: {} now, {} then", now.join(" "), then.join(" ")),
    }
}

fn off(fault: &ReplayedFault) -> Option<Micros> {
    Some(Micros(fault.now.requested?.0.abs_diff(fault.then.requested?.0)))
}

fn times(faults: &[ReplayedFault]) -> String {
    let (on_condition, timed): (Vec<&ReplayedFault>, Vec<_>) =
        faults.iter().partition(|fault| fault.on_condition);
    let mut offs: Vec<(Micros, FaultId)> =
        timed.iter().filter_map(|fault| Some((off(fault)?, fault.id))).collect();
    offs.sort();
    let waited = match on_condition.len() as u64 {
        0 => String::new(),
        count => format!("; {} waited for a condition instead", units::counted(count, "fault")),
    };
    let Some((most, worst)) = offs.last() else {
        return format!("no fault with a time began both times{waited}");
    };
    let on_time = offs.iter().filter(|(off, _)| *off <= ON_TIME).count() as u64;
    format!(
        "{} of {} began within {} of the recorded times; median {} off, most {} (fault {}){waited}",
        units::count(on_time),
        units::counted(offs.len() as u64, "fault"),
        units::duration(ON_TIME),
        units::duration(offs[offs.len() / 2].0),
        units::duration(*most),
        worst.0
    )
}

fn victims(faults: &[ReplayedFault]) -> String {
    let both: Vec<&ReplayedFault> = faults.iter().filter(|fault| off(fault).is_some()).collect();
    let same = both.iter().filter(|fault| fault.then.victims == fault.now.victims).count() as u64;
    format!("the same in {} of {}", units::count(same), units::counted(both.len() as u64, "fault"))
}

fn fault(fault: &ReplayedFault) -> Vec<String> {
    let moment = |at: Option<Micros>| at.map_or("not begun".to_string(), units::moment);
    let nodes = |nodes: &[NodeId]| match nodes {
        [] => "-".to_string(),
        nodes => words::nodes(nodes),
    };
    vec![
        fault.id.0.to_string(),
        fault.kind.clone(),
        moment(fault.then.requested),
        moment(fault.now.requested),
        off(fault).map_or("-".to_string(), units::duration),
        nodes(&fault.then.victims),
        nodes(&fault.now.victims),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn lived(requested: u64, victim: u16) -> Lived {
        Lived {
            requested: Some(Micros(requested)),
            victims: vec![NodeId(victim)],
            ..Lived::default()
        }
    }

    #[test]
    fn a_replay_says_what_was_the_same_and_what_was_not() {
        let (suite, _) = samples::lost_write_on_raft();
        let then = suite.runs.last().unwrap();
        let mut now = suite.runs.first().unwrap().clone();
        let kill = |id, then, now| ReplayedFault {
            id: FaultId(id),
            kind: "kill".into(),
            on_condition: false,
            then,
            now,
        };
        let faults = vec![
            kill(1, lived(1_000_000, 1), lived(1_001_300, 1)),
            kill(2, lived(4_000_000, 3), lived(4_070_000, 2)),
            kill(3, Lived::default(), lived(9_000_000, 2)),
        ];
        let text = replay(
            &Replay {
                of: "runs/latest/leader-killed",
                by_name: false,
                then: Some(then),
                now: &now,
                faults: faults[..2].to_vec(),
                notes: &[],
            },
            &Style::default(),
        );
        insta::assert_snapshot!(text);
        now.target.binary = "1d0e".repeat(16);
        let text = replay(
            &Replay {
                of: "runs/latest/leader-killed",
                by_name: true,
                then: Some(then),
                now: &now,
                faults,
                notes: &["fault 2 was not injected then and is left out".to_string()],
            },
            &Style::default(),
        );
        insta::assert_snapshot!(text);
    }
}
