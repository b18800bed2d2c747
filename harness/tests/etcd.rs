//! A stranger's store: etcd as the distribution ships it, broken and judged by its own suite.
//!
//! Without etcd on PATH this says so and tests nothing; CI installs it.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

fn is_installed() -> bool {
    let installed = Command::new("etcd").arg("--version").output().is_ok();
    if !installed {
        let line = "SKIPPED: etcd is not on PATH; install it: sudo apt-get install etcd-server";
        // Not by `eprintln!`, which the test runner would keep to itself.
        let mut stderr = std::io::stderr();
        writeln!(stderr, "{line}").unwrap();
    }
    installed
}

#[test]
fn etcd_survives_a_cut_of_its_leader_and_its_own_status_shows_the_cut() {
    if !is_installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_splitbrain"))
        .arg("run")
        .arg(root.join("workloads/suites/etcd.yaml"))
        .args(["--only", "leader-cut-off", "--out"])
        .arg(folder.path())
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{report}");

    let events = folder.path().join("latest/leader-cut-off/events.jsonl");
    let events: Vec<serde_json::Value> = fs::read_to_string(events)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let step = |name: &str| {
        let position = events.iter().position(|line| {
            let step = &line["event"]["fault"]["step"];
            step == name || step.get(name).is_some()
        });
        position.unwrap_or_else(|| panic!("no fault was {name}"))
    };
    let (requested, healed) = (step("requested"), step("healed"));
    let victim = &events[requested]["event"]["fault"]["step"]["requested"]["victims"][0];
    let during: Vec<_> = events[requested..healed]
        .iter()
        .map(|line| &line["event"]["role"])
        .filter(|role| !role.is_null())
        .collect();
    let lost = |role: &&&serde_json::Value| &role["node"] == victim && role["leader"].is_null();
    assert!(during.iter().any(|role| lost(&role)), "{victim} lost no leader: {during:?}");
    let other = |role: &&serde_json::Value| &role["node"] != victim && role["role"] == "leader";
    assert!(during.into_iter().any(|role| other(&role)), "nobody else led");
}
