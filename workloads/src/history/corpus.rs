//! Recorded histories of other tools with known verdicts, read from a folder beside the project. The
//! README of the folder has a table of files and verdicts; every file of it must be judged so.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Reading, open};
use crate::checker::frontier::{Budget, Decision};
use crate::recording::Recording;
use crate::verdict::Verdict;
use crate::workload;

fn folder() -> PathBuf {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/histories");
    PathBuf::from(std::env::var("SPLITBRAIN_HISTORIES").unwrap_or_else(|_| beside.to_string()))
}

/// The files of the table and whether each is linearizable.
fn known(folder: &Path) -> Option<Vec<(PathBuf, bool)>> {
    let Ok(table) = fs::read_to_string(folder.join("README.md")) else {
        // Not by `eprintln!`, which the test runner would keep to itself.
        let mut stderr = std::io::stderr();
        writeln!(stderr, "SKIPPED: no {}; set SPLITBRAIN_HISTORIES", folder.display()).unwrap();
        return None;
    };
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let is_possible = match *cells.get(cells.len().checked_sub(2)?)? {
            "linearizable" => true,
            "NOT-linearizable" => false,
            _ => return None,
        };
        Some((folder.join(cells[1]), is_possible))
    };
    Some(table.lines().filter_map(row).collect())
}

#[test]
fn every_recorded_history_of_another_tool_is_judged_as_is_known() {
    let folder = folder();
    let Some(known) = known(&folder) else { return };
    assert!(known.len() >= 116, "only {} histories in the table", known.len());
    let mut wrong = Vec::new();
    for (path, is_possible) in known {
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (recording, _) = open(&mut &bytes[..], &Reading::default())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let decision = recording.decide(Budget::default());
        let agrees = match &decision {
            Decision::Possible => is_possible,
            Decision::Impossible(_) => !is_possible,
            Decision::Undecided(_) => false,
        };
        if !agrees {
            wrong.push(format!("{}: {decision:?}", path.display()));
        }
        match (&recording, &decision) {
            // Where no client did anything, nothing is wrong, and checkers of runs want more.
            (Recording::Operations(history), _) if !history.operations.is_empty() => {
                let linearizable = &workload::judge(history)[0];
                let expected = if is_possible { Verdict::Pass } else { Verdict::Fail };
                assert_eq!(linearizable.verdict, expected, "{}", path.display());
            }
            (_, Decision::Impossible(refusal)) => {
                let explained = recording.explain(refusal).unwrap();
                assert!(explained.calls.iter().any(|call| call.is_refused), "{explained:#?}");
            }
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
