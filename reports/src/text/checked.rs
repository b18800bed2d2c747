//! The text of `splitbrain check FILE`: what the checkers say of one history, with nothing known
//! of the run that it came from. What a model alone judges is told by [`super::modelled`].

use std::collections::BTreeSet;

use splitbrain_workloads::history::History;
use splitbrain_workloads::operation::{ClientId, NodeId};
use splitbrain_workloads::verdict::{Judgement, Verdict};

use super::lanes::Surroundings;
use super::{Style, gates, lanes, next, table, theme, words};
use crate::measure::{operations, shown};
use crate::record::Recheck;
use crate::units;

/// One history and what the checkers say of it.
#[derive(Clone, Copy, Debug)]
pub struct Checked<'a> {
    /// The history's file, as the command line named it.
    pub file: &'a str,
    /// The name of its format, if it is another tool's.
    pub foreign: Option<&'a str>,
    /// What was read from it.
    pub history: &'a History,
    /// What each checker says.
    pub judgements: &'a [Judgement],
    /// The independent second opinion on the first anomaly.
    pub recheck: Option<&'a Recheck>,
    /// What was written beside the report: a name of at most ten letters, and what it is.
    pub written: &'a [(&'static str, String)],
    /// The exit code of the command.
    pub exit_code: u8,
    /// The exit code in words.
    pub exit_reason: &'a str,
}

/// The report of a check.
pub fn checked(checked: &Checked<'_>, style: &Style) -> String {
    let mut lines = head(checked);
    lines.extend(gates::checkers(checked.judgements, true));
    let listed = shown::listed(checked.judgements, None);
    let around = Surroundings {
        history: checked.history,
        events: &[],
        faults: &[],
        recheck: checked.recheck,
    };
    let total = words::found(checked.judgements).values().sum();
    lines.extend(lanes::section(&listed, total, around));
    lines.extend(next::exit(checked.exit_code, checked.exit_reason));
    theme::finish(&lines, style)
}

/// The verdict over all checkers; without one nothing was decided.
fn verdict(judgements: &[Judgement]) -> Verdict {
    let verdicts = judgements.iter().map(|judgement| judgement.verdict);
    verdicts.reduce(Verdict::and).unwrap_or(Verdict::Unknown)
}

fn head(checked: &Checked<'_>) -> Vec<String> {
    let history = checked.history;
    let mut lines = table::wrapped("", &format!("history {}", checked.file));
    let (word, sentence) = match verdict(checked.judgements) {
        Verdict::Pass => ("PASS", "every checker passes this history".to_string()),
        Verdict::Fail => {
            let found = words::found(checked.judgements);
            let found: Vec<String> =
                found.iter().map(|(kind, number)| words::anomalies(*number, *kind)).collect();
            (
                "FAIL",
                format!("this history is impossible for a correct store: {}", found.join(", ")),
            )
        }
        Verdict::Unknown if !history.complete && !history.is_beginning() => (
            "NOT JUDGED",
            "the file ends without its trailer, and events are missing before its end".to_string(),
        ),
        Verdict::Unknown if !history.complete => (
            "UNDECIDED",
            "the file ends without its trailer: nothing is proven wrong in the part that is there, and \
             nobody can judge the rest"
                .to_string(),
        ),
        Verdict::Unknown => {
            ("UNDECIDED", "nothing is proven wrong, and not enough is proven right".to_string())
        }
    };
    lines.push(String::new());
    lines.extend(table::wrapped(&format!("{word}  "), &sentence));
    lines.push(String::new());
    let clients: BTreeSet<ClientId> = history.operations.iter().map(|op| op.client).collect();
    let nodes: BTreeSet<NodeId> = history.operations.iter().filter_map(|op| op.node).collect();
    let clients = units::counted(clients.len() as u64, "client");
    let mut workload = format!("{}, {clients}", history.header.workload);
    // Histories of other tools name no nodes.
    if !nodes.is_empty() {
        workload.push_str(&format!(" on {}", units::counted(nodes.len() as u64, "node")));
    }
    lines.extend(table::wrapped("  workload    ", &workload));
    let counted: Vec<String> = operations::count(history)
        .iter()
        .map(|kind| {
            let [ok, fail, info] = [kind.ok, kind.fail, kind.info].map(units::count);
            format!("{} {ok} ok, {fail} failed, {info} unknown", kind.kind)
        })
        .collect();
    let counted = if counted.is_empty() { "none".to_string() } else { counted.join("; ") };
    lines.extend(table::wrapped("  operations  ", &counted));
    if let Some(format) = checked.foreign {
        lines.extend(table::wrapped("  format      ", format));
        let times = "as in the file; where it has none, line 12 stands at 0.012 s";
        lines.extend(table::wrapped("  times       ", times));
        lines.extend(written(checked));
        return lines;
    }
    let whole = if history.complete {
        "yes, the trailer is there and its count is right"
    } else {
        "NO: the file is cut off, so it cannot pass; what it proves wrong stays wrong"
    };
    lines.extend(table::wrapped("  complete    ", whole));
    lines.extend(written(checked));
    lines
}

fn written(checked: &Checked<'_>) -> Vec<String> {
    let line = |(name, what): &(&str, String)| table::wrapped(&format!("  {name:10}  "), what);
    checked.written.iter().flat_map(line).collect()
}
