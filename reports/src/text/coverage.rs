//! The section COVERAGE: which faults took effect on whom, while the cluster did what, and what
//! never happened. Of one run when its block is shown whole, and over all proofs of a suite.

use super::table;
use crate::record::{ClusterState, CoverageRecord, VictimRole};
use crate::units;

/// The roles that a fault can be aimed at; the others are shown where they happened.
const AIMED_AT: [VictimRole; 2] = [VictimRole::Leader, VictimRole::Follower];

/// The matrix and what is missing in it; nothing where no fault was planned.
pub(super) fn section(coverage: &[CoverageRecord]) -> Vec<String> {
    if coverage.is_empty() {
        return Vec::new();
    }
    let title = "COVERAGE  faults that took effect, by what a victim was and what the cluster did";
    let mut lines = vec![String::new(), title.to_string()];
    let mut header = vec!["fault".to_string(), "victim".to_string()];
    header.extend(ClusterState::ALL.iter().map(ToString::to_string));
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> = coverage.iter().flat_map(rows).collect();
    lines.extend(table::blank(&header, &rows, &[2, 3, 4, 5], 0));
    for missing in coverage.iter().filter_map(never) {
        lines.extend(table::wrapped("  never: ", &missing));
    }
    lines
}

fn rows(of: &CoverageRecord) -> Vec<Vec<String>> {
    let shown = |role: &VictimRole| AIMED_AT.contains(role) || happened(of, *role);
    let row = |role: VictimRole| {
        let mut row = vec![name(of), role.to_string()];
        row.extend(ClusterState::ALL.iter().map(|state| match count(of, role, *state) {
            0 => "-".to_string(),
            count => units::count(count),
        }));
        row
    };
    VictimRole::ALL.into_iter().filter(shown).map(row).collect()
}

/// What never happened to a kind of fault, in words.
fn never(of: &CoverageRecord) -> Option<String> {
    if of.seen == 0 {
        return Some(format!("any {}", name(of)));
    }
    let missing: Vec<String> = AIMED_AT
        .into_iter()
        .filter_map(|role| {
            if !happened(of, role) {
                return Some(format!("of a {role}"));
            }
            let states = ClusterState::ALL.into_iter().filter(|state| count(of, role, *state) == 0);
            let states: Vec<String> = states.map(|state| state.to_string()).collect();
            (!states.is_empty()).then(|| format!("of a {role} while {}", states.join(" or ")))
        })
        .collect();
    (!missing.is_empty()).then(|| format!("{} {}", name(of), missing.join(", nor ")))
}

fn happened(of: &CoverageRecord, role: VictimRole) -> bool {
    of.cells.iter().any(|cell| cell.victim == role && cell.count > 0)
}

fn count(of: &CoverageRecord, role: VictimRole, state: ClusterState) -> u64 {
    let cell = of.cells.iter().find(|cell| cell.victim == role && cell.cluster == state);
    cell.map_or(0, |cell| cell.count)
}

fn name(of: &CoverageRecord) -> String {
    format!("{} {}", of.fault, of.form).trim_end().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::CoverageCell;

    #[test]
    fn what_never_happened_is_named() {
        let cell = |victim, cluster, count| CoverageCell { victim, cluster, count };
        let cells = ClusterState::ALL.map(|state| cell(VictimRole::Leader, state, 2));
        let mut kills = CoverageRecord {
            fault: "kill".into(),
            form: String::new(),
            planned: 3,
            seen: 3,
            cells: cells.to_vec(),
        };
        assert_eq!(never(&kills).unwrap(), "kill of a follower");
        kills.cells[1].count = 0;
        let named = never(&kills).unwrap();
        assert_eq!(named, "kill of a leader while electing, nor of a follower");
        kills.seen = 0;
        assert_eq!(never(&kills).unwrap(), "any kill");
        assert_eq!(
            section(&[kills]).len(),
            6,
            "a blank, title, header, two roles, what is missing"
        );
        assert!(section(&[]).is_empty());
    }
}
