//! The command line of a node: what it refuses to start with, and how it describes itself.

use std::process::Command;

use serde_json::Value;

#[test]
fn nonsense_is_refused_at_start_with_the_reason_and_exit_code_2() {
    let output = Command::new(env!("CARGO_BIN_EXE_splitbrain-node"))
        .args(["--id", "n1", "--data-dir", "unused", "--client-listen", "127.0.0.1:1"])
        .args(["--set", "majority=off"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("election=raft with majority=off: "), "{stderr}");
}

#[test]
fn an_address_beyond_this_machine_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_splitbrain-node"))
        .args(["--id", "n1", "--data-dir", "unused", "--client-listen", "0.0.0.0:1"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("expected a loopback address"), "{stderr}");
}

#[test]
fn the_description_lists_every_profile_with_every_switch() {
    let output = Command::new(env!("CARGO_BIN_EXE_splitbrain-node"))
        .arg("--describe")
        .output()
        .expect("it runs");
    assert!(output.status.success());
    let description: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let switches = description["switches"].as_array().expect("a list").len();
    assert_eq!(description["profiles"][0]["name"], "raft");
    assert_eq!(description["profiles"][1]["name"], "async");
    for profile in description["profiles"].as_array().expect("a list") {
        assert_eq!(profile["settings"].as_object().expect("an object").len(), switches);
    }
}
