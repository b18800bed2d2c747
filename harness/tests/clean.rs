//! Whatever way the harness ends, nothing it started survives it.
//!
//! Kills a harness that breaks a real cluster, at moments spread over the start, the run with its
//! restarts, and the heal. `scripts/prove-clean.sh` does the same more often.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use splitbrain::cluster::census::Census;

/// Nothing may be left after this; it is what users are promised.
const BOUND: Duration = Duration::from_secs(1);

fn start(folder: &Path) -> Child {
    let suite = folder.join("busy.yaml");
    // Kills all the time, so that most moments have a node that is being restarted.
    let text = "suite: busy\ntarget: store\nruns:\n  - name: busy\n    workload: set\n    \
                duration: 6s\n    faults:\n      - kill: { node: follower, every: 700ms, for: 200ms }\n      \
                - pause: { node: leader, at: 1500ms, for: 1s }\n";
    std::fs::write(&suite, text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_splitbrain"))
        .args(["run", "busy.yaml", "--quiet"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Every process that descends from the harness, by pid and start.
fn family(root: u32) -> BTreeSet<(u32, u64)> {
    let family = Census::take().family(root);
    family.into_iter().filter(|entry| entry.pid != root).map(|e| (e.pid, e.started)).collect()
}

fn alive(processes: &BTreeSet<(u32, u64)>) -> Vec<u32> {
    let entry = |pid| splitbrain::cluster::census::Entry::of(pid);
    let same = |(pid, started): &&(u32, u64)| {
        entry(*pid).is_some_and(|entry| entry.started == *started && !entry.is_dead())
    };
    processes.iter().filter(same).map(|(pid, _)| *pid).collect()
}

fn nothing_survives(signal: Signal, after: Duration, bound: Duration) {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = start(folder.path());
    let began = Instant::now();
    let mut seen = BTreeSet::new();
    while began.elapsed() < after {
        seen.extend(family(harness.id()));
        std::thread::sleep(Duration::from_millis(5));
    }
    seen.extend(family(harness.id()));
    kill(Pid::from_raw(harness.id() as i32), signal).unwrap();
    let killed = Instant::now();
    if signal == Signal::SIGKILL {
        harness.wait().unwrap();
    }
    while !alive(&seen).is_empty() {
        let left = alive(&seen);
        assert!(killed.elapsed() < bound, "{left:?} survive {signal} after {after:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    harness.wait().unwrap();
    assert!(
        !seen.is_empty() || after < Duration::from_millis(100),
        "there was nothing to clean up"
    );
}

#[test]
fn nothing_survives_a_killed_harness_at_any_moment() {
    for millis in [20, 150, 400, 1500, 2300, 3100] {
        nothing_survives(Signal::SIGKILL, Duration::from_millis(millis), BOUND);
    }
}

#[test]
fn nothing_survives_an_interrupt() {
    // It heals and judges first, so it may take the heal's time.
    nothing_survives(Signal::SIGINT, Duration::from_millis(2500), Duration::from_secs(15));
    nothing_survives(Signal::SIGTERM, Duration::from_millis(2500), Duration::from_secs(15));
}
