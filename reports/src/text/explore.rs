//! The text of `splitbrain explore`: a line for each run, and where the cluster has been.

use std::collections::BTreeMap;

use splitbrain_workloads::history::Micros;

use super::{Style, next, table, theme, words};
use crate::record::RunResult;
use crate::units;

/// One plan was run.
#[derive(Clone, Copy, Debug)]
pub struct Ventured<'a> {
    /// Which one, from one.
    pub number: u64,
    /// Its faults, in a few words each.
    pub faults: &'a str,
    /// What came of it.
    pub result: RunResult,
    /// How many states it was the first to reach.
    pub new: u64,
    /// How many states were reached by now.
    pub states: u64,
    /// How much of the budget is used up.
    pub elapsed: Micros,
}

/// `run  12  kill leader, partition isolate    MET   +3 states, 41 in all  [ 81.0 s]`.
pub fn ventured(ventured: &Ventured<'_>, style: &Style) -> String {
    let line = format!(
        "run {:>3}  {:48}  {:11}  +{:<3} of {:>4} states  [{:>7}]",
        ventured.number,
        table::shortened(ventured.faults, 48),
        words::result(ventured.result),
        ventured.new,
        ventured.states,
        units::duration(ventured.elapsed),
    );
    theme::finish(&[line], style).trim_end().to_string()
}

/// What a search through plans came to.
#[derive(Clone, Copy, Debug)]
pub struct Explored<'a> {
    /// What was explored, as the command line named it.
    pub target: &'a str,
    /// The seed of all chance.
    pub seed: &'a str,
    /// Plans that were run and learned from.
    pub runs: u64,
    /// Those of them that decided nothing.
    pub undecided: u64,
    /// How long it all took.
    pub took: Micros,
    /// How many states were reached.
    pub states: u64,
    /// The run that was the last to reach a new one.
    pub last_new: Option<u64>,
    /// States by elections and roles, and how many there are of each.
    pub by_roles: &'a BTreeMap<String, usize>,
    /// The run that broke a promise: its number, why, and its folder.
    pub found: Option<(u64, &'a str, &'a str)>,
    /// Why the search could not go on.
    pub trouble: Option<&'a str>,
    /// The folder of the search.
    pub folder: &'a str,
    /// The exit code of the command, and that in words.
    pub exit: (u8, &'a str),
}

/// Groups of states that are printed; the diary has all.
const GROUPS: usize = 16;

/// The report of a search.
pub fn explored(explored: &Explored<'_>, style: &Style) -> String {
    let head = format!("{}, seed {}", explored.target, explored.seed);
    let mut lines = table::wrapped("EXPLORE  ", &head);
    let effort = format!(
        "{} in {}, {} of them undecided",
        units::counted(explored.runs, "run"),
        units::duration(explored.took),
        explored.undecided
    );
    lines.extend(table::wrapped("  ", &effort));
    let last = match explored.last_new {
        Some(last) => format!(
            "{} reached, the last new one in run {last}",
            units::counted(explored.states, "state")
        ),
        None => "no state was reached".to_string(),
    };
    lines.extend(table::wrapped("  ", &last));
    lines.extend([String::new(), "STATES  elections seen, and what the nodes were".to_string()]);
    let mut groups: Vec<(&String, &usize)> = explored.by_roles.iter().collect();
    groups.sort_by_key(|(roles, count)| (std::cmp::Reverse(**count), (*roles).clone()));
    let rows: Vec<Vec<String>> = groups
        .iter()
        .take(GROUPS)
        .map(|(roles, count)| vec![(*roles).clone(), count.to_string()])
        .collect();
    lines.extend(table::blank(&["roles", "states"], &rows, &[1], 1));
    if groups.len() > GROUPS {
        lines.push(format!(
            "  and {} more",
            units::counted((groups.len() - GROUPS) as u64, "group")
        ));
    }
    lines.push(String::new());
    match (explored.found, explored.trouble) {
        (Some((number, why, _)), _) => {
            lines.extend(table::wrapped("FOUND  ", &format!("run {number}: {why}")));
        }
        (None, Some(why)) => lines.extend(table::wrapped("STOPPED  ", why)),
        (None, None) => lines.push("FOUND  nothing".to_string()),
    }
    lines.extend([String::new(), "NEXT".to_string()]);
    if let Some((_, _, path)) = explored.found {
        lines.push(format!("  see it        splitbrain check {path}"));
        lines.push(format!("  how often     splitbrain repro {path} -n 50"));
    }
    lines.push(format!("  go on         splitbrain explore --resume {}", explored.folder));
    lines.extend(next::exit(explored.exit.0, explored.exit.1));
    theme::finish(&lines, style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_reached_and_what_was_found_stand_in_one_report() {
        let by_roles = BTreeMap::from([
            ("e0 F F L".to_string(), 7),
            ("e1 - F L".to_string(), 12),
            ("e1 C F L".to_string(), 2),
        ]);
        let printed = Explored {
            target: "my-suite.yaml",
            seed: "0x5eed",
            runs: 14,
            undecided: 1,
            took: Micros(184_000_000),
            states: 21,
            last_new: Some(13),
            by_roles: &by_roles,
            found: Some((14, "lost write", "runs/latest/attempts/0014/explored-0014")),
            trouble: None,
            folder: "runs/latest",
            exit: (1, "a violation was proven"),
        };
        let line = Ventured {
            number: 14,
            faults: "kill leader, partition isolate, half-open follower, partition links",
            result: RunResult::NotMet,
            new: 3,
            states: 21,
            elapsed: Micros(184_000_000),
        };
        let style = Style::default();
        insta::assert_snapshot!(format!(
            "{}\n\n{}",
            ventured(&line, &style),
            explored(&printed, &style)
        ));
    }
}
