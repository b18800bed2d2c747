//! Whatever way the harness ends, nothing it started survives it.
//!
//! Kills a harness that breaks a real cluster, at moments spread over the start, the run with its
//! restarts, and the heal. `scripts/prove-clean.sh` does the same more often.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use splitbrain::cluster::census::Census;

/// Nothing may be left after this, on a machine however busy. That it takes less than the second that
/// users are promised is shown by `scripts/prove-clean.sh`.
const BOUND: Duration = Duration::from_secs(10);

/// A target with a process beside its nodes.
const WITH_COMPANION: &str = "{ store: { lock-service: store, set: { election: lease } } }";

/// Kills all the time, so that most moments have a node that is being restarted.
fn busy(target: &str) -> String {
    format!(
        "suite: busy\ntarget: {target}\nruns:\n  - name: busy\n    workload: set\n    \
         duration: 6s\n    faults:\n      - kill: {{ node: follower, every: 700ms, for: 200ms }}\n      \
         - pause: {{ node: leader, at: 1500ms, for: 1s }}\n"
    )
}

fn start(folder: &Path, target: &str) -> Child {
    std::fs::write(folder.join("busy.yaml"), busy(target)).unwrap();
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

/// Ends a harness by a signal and returns its exit code, if it had the time for one.
fn nothing_survives(signal: Signal, after: Duration, bound: Duration) -> Option<i32> {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = start(folder.path(), "store");
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
    let status = harness.wait().unwrap();
    assert!(
        // A busy machine may take so long to start the first of them.
        !seen.is_empty() || after < Duration::from_secs(1),
        "there was nothing to clean up"
    );
    status.code()
}

#[test]
fn nothing_survives_a_killed_harness_at_any_moment() {
    for millis in [20, 150, 400, 1500, 2300, 3100] {
        nothing_survives(Signal::SIGKILL, Duration::from_millis(millis), BOUND);
    }
}

/// The companions among these, by the folder that their data is in.
fn companions(processes: &BTreeSet<(u32, u64)>) -> BTreeSet<(u32, u64)> {
    let is_one = |(pid, _): &&(u32, u64)| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        // The reaper's child waits as `__launch` first, with the same words behind it.
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains("companion/data") && !line.contains("__launch")
    };
    processes.iter().filter(is_one).copied().collect()
}

/// Watches the family of a harness until something of it is so.
fn until(harness: &Child, what: &str, mut so: impl FnMut(&BTreeSet<(u32, u64)>) -> bool) {
    let began = Instant::now();
    while !so(&family(harness.id())) {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_companion_ends_with_its_harness() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = Ended(start(folder.path(), WITH_COMPANION));
    let mut seen = BTreeSet::new();
    until(&harness.0, "a companion and three nodes", |family| {
        seen = family.clone();
        !companions(family).is_empty() && family.len() >= 5
    });
    kill(Pid::from_raw(harness.0.id() as i32), Signal::SIGKILL).unwrap();
    harness.0.wait().unwrap();
    let killed = Instant::now();
    while !alive(&seen).is_empty() {
        assert!(killed.elapsed() < BOUND, "{:?} survive", alive(&seen));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_companion_of_a_run_is_gone_before_that_of_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "suite: two\ntarget: {WITH_COMPANION}\ndefaults: {{ duration: 1s }}\nruns:\n  \
         - {{ name: first, workload: set }}\n  - {{ name: second, workload: set }}\n"
    );
    std::fs::write(folder.path().join("two.yaml"), text).unwrap();
    let harness = Command::new(env!("CARGO_BIN_EXE_splitbrain"))
        .args(["run", "two.yaml", "--quiet"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let harness = Ended(harness);
    let mut met = BTreeSet::new();
    until(&harness.0, "the companions of two runs", |family| {
        let now = companions(family);
        assert!(alive(&now).len() <= 1, "two at once: {now:?}");
        met.extend(now);
        met.len() == 2
    });
}

#[test]
fn the_data_of_a_killed_harness_is_swept_by_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = start(folder.path(), "store");
    let runs = folder.path().join("runs");
    let of_first = || {
        let entries = std::fs::read_dir(&runs).into_iter().flatten().flatten();
        let mut folders = entries.map(|entry| entry.path()).filter(|path| !path.is_symlink());
        let has_data = |path: &Path, node| path.join("busy/nodes").join(node).join("data").is_dir();
        // All of them, so that no process is about to be started.
        folders.find(|path| ["n1", "n2", "n3"].iter().all(|node| has_data(path, node)))
    };
    let began = Instant::now();
    let left = loop {
        match of_first() {
            Some(folder) => break folder,
            None => assert!(began.elapsed() < Duration::from_secs(60), "not every node has data"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let started = family(harness.id());
    kill(Pid::from_raw(harness.id() as i32), Signal::SIGKILL).unwrap();
    harness.wait().unwrap();
    while !alive(&started).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(90), "its nodes write on");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(left.join("running").exists());

    // It sweeps before it starts anything.
    let mut next = start(folder.path(), "store");
    while left.join("running").exists() {
        assert!(began.elapsed() < Duration::from_secs(120), "nobody sweeps");
        std::thread::sleep(Duration::from_millis(5));
    }
    kill(Pid::from_raw(next.id() as i32), Signal::SIGKILL).unwrap();
    next.wait().unwrap();
    assert!(!left.join("busy/nodes/n1/data").exists());
    assert!(left.join("busy/history.jsonl").exists());
}

#[test]
fn nothing_survives_an_interrupt() {
    // It heals and judges first, so it may take the heal's time.
    let (after, bound) = (Duration::from_millis(2500), Duration::from_secs(15));
    assert_eq!(nothing_survives(Signal::SIGINT, after, bound), Some(130));
    assert_eq!(nothing_survives(Signal::SIGTERM, after, bound), Some(143));
}

/// Whatever a suite leaves in its folder of folders, by the end of the command.
fn report_in(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("runs/latest/report.txt")).unwrap_or_default()
}

/// A terminal that is closed hangs up, and from then on nothing can be printed.
#[test]
fn a_closed_terminal_ends_the_run_like_a_request_and_the_report_is_left() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("busy.yaml"), busy("store")).unwrap();
    let mut harness = Command::new(env!("CARGO_BIN_EXE_splitbrain"))
        .args(["run", "busy.yaml"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = BTreeSet::new();
    until(&harness, "three nodes", |family| {
        seen = family.clone();
        family.len() >= 4
    });
    // Whoever read is gone first, as the terminal is.
    drop((harness.stdout.take(), harness.stderr.take()));
    kill(Pid::from_raw(harness.id() as i32), Signal::SIGHUP).unwrap();
    assert_eq!(harness.wait().unwrap().code(), Some(143));
    let ended = Instant::now();
    while !alive(&seen).is_empty() {
        assert!(ended.elapsed() < BOUND, "{:?} survive", alive(&seen));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(report_in(folder.path()).contains("busy"), "{}", report_in(folder.path()));
}

/// The disk is a small one of its own, in a namespace that needs no privilege where the kernel lets
/// users have one.
#[test]
#[allow(clippy::print_stdout, reason = "where it cannot be shown, that must be seen")]
fn a_full_disk_ends_the_run_as_environment_and_nothing_survives() {
    let own_mounts = ["--user", "--map-root-user", "--mount"];
    let possible = Command::new("unshare").args(own_mounts).arg("true").status();
    if !possible.is_ok_and(|status| status.success()) {
        println!("not shown here: this kernel or container gives users no namespaces");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("runs")).unwrap();
    std::fs::write(folder.path().join("busy.yaml"), busy("store")).unwrap();
    // Less than the logs that three nodes lay out beforehand.
    let script = "mount -t tmpfs -o size=8m tmpfs runs && exec \"$0\" run busy.yaml --quiet";
    let mut harness = Command::new("unshare")
        .args(own_mounts)
        .args(["sh", "-c", script, env!("CARGO_BIN_EXE_splitbrain")])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = BTreeSet::new();
    let began = Instant::now();
    let status = loop {
        seen.extend(family(harness.id()));
        if let Some(status) = harness.try_wait().unwrap() {
            break status;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "the harness does not end");
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut told = String::new();
    harness.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    harness.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    // A node that ends because its disk is full may be taken for one that crashed.
    assert!(matches!(status.code(), Some(1 | 4)), "{status}: {told}");
    assert!(told.contains("No space left on device") || told.contains("stderr.log"), "{told}");
    let ended = Instant::now();
    while !alive(&seen).is_empty() {
        assert!(ended.elapsed() < BOUND, "{:?} survive", alive(&seen));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(seen.len() >= 2, "a reaper and a node were seen");
}

/// A harness that waits for a signal gets one, even when the test fails.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_cluster_left_for_curl_serves_until_it_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let suite = "suite: left\ntarget: store\nruns:\n  - { name: first, workload: set }\n  \
                 - { name: second, workload: set }\n";
    std::fs::write(folder.path().join("left.yaml"), suite).unwrap();
    let harness = Command::new(env!("CARGO_BIN_EXE_splitbrain"))
        .args(["cluster", "up", "left.yaml", "--only", "second"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut harness = Ended(harness);
    let harness = &mut harness.0;
    // One line a node, and then it waits.
    let mut lines = BufReader::new(harness.stdout.take().unwrap()).lines();
    let lines: Vec<String> = lines.by_ref().take(3).map(Result::unwrap).collect();
    assert_eq!(lines.iter().filter(|line| line.ends_with("  leader")).count(), 1, "{lines:?}");
    for line in &lines {
        let address = line.split_whitespace().nth(1).and_then(|url| url.strip_prefix("http://"));
        let put = "PUT /kv/k HTTP/1.1\r\nhost: n\r\nconnection: close\r\ncontent-length: 13\r\n\r\n\
                   {\"value\":\"7\"}";
        let put = || {
            let mut node = TcpStream::connect(address.expect("an address")).unwrap();
            node.write_all(put.as_bytes()).unwrap();
            let mut answer = String::new();
            node.read_to_string(&mut answer).unwrap();
            answer
        };
        // One that meets an election is refused, and asked again.
        let began = Instant::now();
        let mut answer = put();
        while !answer.starts_with("HTTP/1.1 200") {
            assert!(began.elapsed() < BOUND, "{line}: {answer}");
            std::thread::sleep(Duration::from_millis(20));
            answer = put();
        }
    }
    let seen = family(harness.id());
    assert!(seen.len() >= 3, "three nodes run");
    kill(Pid::from_raw(harness.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(harness.wait().unwrap().code(), Some(130));
    let ended = Instant::now();
    while !alive(&seen).is_empty() {
        assert!(ended.elapsed() < BOUND, "{:?} survive", alive(&seen));
        std::thread::sleep(Duration::from_millis(5));
    }
}
