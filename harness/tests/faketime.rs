//! Wall clocks that libfaketime makes wrong, in real nodes. Where the library is not installed that is
//! said, and the refusal is what is shown.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

fn run(folder: &Path, suite: &str, library: Option<&str>) -> Output {
    fs::write(folder.join("s.yaml"), suite).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_splitbrain"));
    if let Some(library) = library {
        command.env("LIBFAKETIME", library);
    }
    command.args(["run", "s.yaml", "--quiet"]).current_dir(folder).output().unwrap()
}

fn suite(fault: &str) -> String {
    format!(
        "suite: s\ntarget: {{ store: {{ clocks: libfaketime }} }}\ndefaults: {{ duration: 4s, \
         rate: 100 }}\nruns:\n  - name: it\n    workload: register\n    faults:\n      - {fault}\n"
    )
}

#[test]
fn without_the_library_nothing_is_started_and_the_way_to_install_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let jump = suite("clock-jump: { node: leader, by: 1h, at: 1s, for: 1s }");
    let output = run(folder.path(), &jump, Some("/nowhere/libfaketime.so.1"));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains("apt-get install libfaketime"), "{stderr}");
}

#[test]
fn a_wall_clock_jumps_in_a_program_that_knows_nothing_of_it_and_nothing_stays_behind() {
    let folder = tempfile::tempdir().unwrap();
    let jump = suite("clock-jump: { node: all, by: 1h, at: 1s, for: 1s }");
    let output = run(folder.path(), &jump, None);
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if text.contains("apt-get install libfaketime") {
        // Past what the test runner captures, so that CI sees it.
        let line =
            "SKIPPED: libfaketime is not installed; install it: sudo apt-get install libfaketime";
        writeln!(std::io::stderr(), "{line}").unwrap();
        return;
    }
    assert!(matches!(output.status.code(), Some(0 | 3)), "{text}");
    let events = fs::read_to_string(folder.path().join("runs/latest/it/events.jsonl")).unwrap();
    let steps: Vec<f64> = events
        .split(" stepped by ")
        .skip(1)
        .map(|step| step.split(' ').next().unwrap().parse().unwrap())
        .collect();
    // What was asked for, but for the time that asking the node takes.
    assert!(steps.len() == 3 && steps.iter().all(|step| (step - 3600.0).abs() < 60.0), "{events}");
    let lines = |change| events.lines().filter(move |line| line.contains(change));
    assert_eq!(lines("\"exited\"").count(), 3, "the end of each node is written down: {events}");
    for line in lines("\"started\"") {
        let pid: String = line
            .split("\"pid\":")
            .nth(1)
            .unwrap_or_default()
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        let left = Path::new("/dev/shm").join(format!("faketime_shm_{pid}"));
        assert!(!pid.is_empty() && !left.exists(), "{} is left", left.display());
    }
    // What it has no hold on is refused before anything starts.
    let drift = suite("clock-drift: { node: leader, rate: 25%, at: 1s, for: 1s }");
    let output = run(folder.path(), &drift, None);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains("leave the steady clock alone"), "{stderr}");
}
