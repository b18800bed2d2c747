//! The section OPERATIONS: how many of each kind ended how, how fast, and why not.

use std::collections::BTreeMap;

use splitbrain_workloads::history::Micros;
use splitbrain_workloads::operation::Reason;

use super::table;
use crate::record::RunRecord;
use crate::units;

/// The table of operations by kind, then what kept the others from ending well.
pub(super) fn section(run: &RunRecord) -> Vec<String> {
    let mut lines = vec![String::new(), format!("OPERATIONS  {}", load(run))];
    if run.operations.is_empty() {
        lines.push("  none: no client completed or attempted anything".to_string());
        return lines;
    }
    let time = |time: Option<Micros>| time.map_or("-".to_string(), units::duration);
    let rows: Vec<Vec<String>> = run
        .operations
        .iter()
        .map(|kind| {
            vec![
                kind.kind.to_string(),
                units::count(kind.ok),
                units::count(kind.fail),
                units::count(kind.info),
                units::rate(kind.ok, run.load),
                time(kind.p50),
                time(kind.p99),
                time(kind.max),
            ]
        })
        .collect();
    let header = ["kind", "ok", "failed", "unknown", "ok rate", "p50", "p99", "max"];
    lines.extend(table::blank(&header, &rows, &[1, 2, 3, 4, 5, 6, 7], 0));
    lines.extend(reasons(run));
    lines
}

/// The clients and their load in words.
pub(super) fn load(run: &RunRecord) -> String {
    let pace = match run.rate {
        Some(rate) => format!("{}/s asked for", units::count(rate.into())),
        None => "as fast as they can".to_string(),
    };
    let clients = units::counted(run.clients.into(), "client");
    format!(
        "{clients}, {pace}, for {}, given up after {}",
        units::duration(run.load),
        units::duration(run.timeout)
    )
}

fn reasons(run: &RunRecord) -> Vec<String> {
    let mut reasons: BTreeMap<&Reason, u64> = BTreeMap::new();
    for (reason, number) in run.operations.iter().flat_map(|kind| &kind.reasons) {
        *reasons.entry(reason).or_default() += number;
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
    let mut parts: Vec<String> = reasons
        .iter()
        .map(|(reason, number)| format!("{reason} {}", units::count(*number)))
        .collect();
    if run.shed > 0 {
        parts.push(format!("not asked, no client was free: {}", units::count(run.shed)));
    }
    if parts.is_empty() { Vec::new() } else { table::wrapped("  not ok: ", &parts.join(", ")) }
}
