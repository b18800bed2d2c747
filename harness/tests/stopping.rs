//! Runs that are stopped early, on real clusters: when, with what kept, and what they come to.
//!
//! A store that reads at any node answers what it has not heard is old, within the first moments of
//! any load.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn ended(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_splitbrain"));
    let output = command.current_dir(folder).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Carries a suite out; its folder, how it ended, what it printed, and its summary.
fn run(suite: &str, more: &[&str]) -> (tempfile::TempDir, i32, String, Value) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("suite.yaml"), suite).unwrap();
    let arguments = [&["run", "suite.yaml", "--seed", "11", "--color", "never"], more].concat();
    let (code, stdout, stderr) = ended(folder.path(), &arguments);
    let summary = fs::read_to_string(folder.path().join("runs/latest/summary.json")).unwrap();
    (folder, code, format!("{stdout}\n{stderr}"), serde_json::from_str(&summary).unwrap())
}

const STALE: &str = "\
suite: stale
target: { store: { nodes: 3, profile: raft, set: { reads: any } } }
runs:
  - name: any-node
    workload: { register: { keys: 2, reads: 70, compare-and-sets: 0 } }
    duration: 60s
    faults:
      - kill: { node: follower, at: 55s, for: 1s }
    gates: { availability: \">= 1%\" }
";

#[test]
fn a_run_that_is_stopped_keeps_the_data_as_it_was_and_says_what_was_left_out() {
    let (folder, code, said, summary) = run(STALE, &["--stop-on-violation"]);
    assert_eq!(code, 1, "{said}");
    let run = &summary["runs"][0];
    let load = run["load"].as_u64().unwrap();
    assert!(load < 50_000_000, "it ended early, and not after {load} us");
    assert_eq!(run["verdict"], "fail", "{said}");
    let stopped = &run["watch"]["stopped"];
    assert_eq!(stopped["frozen"], serde_json::json!(["n1", "n2", "n3"]), "{said}");
    for line in
        ["violation  ", "stopping early, the data of n1, n2 and n3 is kept", "stopped early at"]
    {
        assert!(said.contains(line), "{line} in\n{said}");
    }
    let told = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("1 of 1 planned fault did not happen"), "{said}");
    assert!(told.contains("not judged: availability"), "{said}");

    let run = folder.path().join("runs/latest/any-node");
    let events = fs::read_to_string(run.join("events.jsonl")).unwrap();
    let place = |what: &str| events.find(what).unwrap_or_else(|| panic!("{what} in\n{events}"));
    assert!(place("violation-found") < place("frozen"), "{events}");
    assert!(place("frozen") < place("close-clients"), "{events}");

    // What a node had is read from the copy, and nothing is in it that came later.
    let cluster = stopped["cluster"].as_str().unwrap();
    let state = |of: &str| {
        let data = run.join("nodes/n1").join(of);
        let data = data.to_str().unwrap();
        let of = ["node", "--id", "n1", "--cluster", cluster, "--data-dir", data];
        let read = [&of[..], &["--replay-to", "end"]].concat();
        let (code, stdout, stderr) = ended(folder.path(), &read);
        assert_eq!(code, 0, "{stderr}");
        serde_json::from_str::<Value>(&stdout).unwrap()["index"].as_u64().unwrap()
    };
    let (frozen, end) = (state("frozen"), state("data"));
    assert!(0 < frozen && frozen <= end, "{frozen} entries of {end}");
    let plan = fs::read_to_string(run.join("plan.yaml")).unwrap();
    assert!(plan.contains("stop: on-violation"), "{plan}");
}

#[test]
fn a_canary_ends_with_what_it_was_to_find_and_its_control_goes_to_the_end() {
    let suite = "\
suite: canary
runs:
  - name: any-node
    target: { store: { nodes: 3, profile: raft, set: { reads: any } } }
    workload: { register: { keys: 2, reads: 70, compare-and-sets: 0 } }
    duration: 4s
    stop: on-violation
    expect: { fail-without-faults: stale-read }
    control: { store: { nodes: 3, profile: raft } }
";
    let (folder, code, said, summary) = run(suite, &[]);
    assert_eq!(code, 0, "{said}");
    let (canary, control) = (&summary["runs"][0], &summary["runs"][1]);
    assert_eq!(canary["result"], "met", "{said}");
    assert_eq!(canary["watch"]["stopped"]["kind"], "stale-read", "{said}");
    assert!(canary["load"].as_u64() < control["load"].as_u64(), "{said}");
    assert!(control["watch"].is_null(), "nothing is to be said of it: {control}");
    let frozen = folder.path().join("runs/latest/any-node/nodes/n1/frozen");
    assert!(!frozen.exists(), "what met its expectation keeps no data");
}
