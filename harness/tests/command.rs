//! The command as a user has it: what it prints, what it leaves and what it ends with.
//!
//! One short real run serves most tests here; the rest starts no cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// A run of the smoke suite, made once.
struct Smoke {
    folder: tempfile::TempDir,
    output: Output,
}

impl Smoke {
    fn get() -> &'static Smoke {
        static SMOKE: OnceLock<Smoke> = OnceLock::new();
        SMOKE.get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            let suite = root().join("workloads/suites/smoke.yaml");
            let output = splitbrain(folder.path())
                .args(["run", "--seed", "7", "--charset", "ascii", "--color", "never"])
                .arg(suite)
                .output()
                .unwrap();
            Smoke { folder, output }
        })
    }

    fn suite(&self) -> PathBuf {
        self.folder.path().join("runs/latest")
    }

    fn run(&self) -> PathBuf {
        let folders = fs::read_dir(self.suite()).unwrap().map(|entry| entry.unwrap().path());
        folders.into_iter().find(|path| path.is_dir()).expect("a suite has a run")
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn splitbrain(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_splitbrain"));
    command.current_dir(folder);
    command
}

fn ended(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_program_to_upgrade_to_that_cannot_be_executed_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("text"), "no program").unwrap();
    for (program, why) in [
        ("nowhere", "No such file or directory (os error 2)"),
        ("text", "it is not an executable file"),
    ] {
        let suite = format!(
            "suite: s\ntarget: store\nruns:\n- name: a\n  workload: set\n  faults:\n  - upgrade: \
             {{ node: n1, to: {program}, at: 2s, for: 1s }}\n"
        );
        fs::write(folder.path().join("s.yaml"), suite).unwrap();
        let (code, stdout, stderr) = ended(splitbrain(folder.path()).args(["run", "s.yaml"]));
        let expected = format!(
            "error: cannot upgrade to {program}: {why}\n  = help: give the path of an executable \
             file, as seen from here, or `copy`\n"
        );
        assert_eq!((code, stdout.as_str(), stderr), (4, "", expected));
        assert!(!folder.path().join("runs").exists());
    }
}

/// What was found is not forgotten because nobody reads it to the end.
#[test]
fn a_reader_that_is_gone_changes_no_exit_code() {
    let smoke = Smoke::get();
    let report = |stdout: std::process::Stdio| {
        let mut command = splitbrain(smoke.folder.path());
        let mut child = command.args(["check", "runs/latest"]).stdout(stdout).spawn().unwrap();
        drop(child.stdout.take());
        child.wait().unwrap().code()
    };
    assert_eq!(report(std::process::Stdio::null()), report(std::process::Stdio::piped()));
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert_eq!(report(full.into()), Some(4), "a report that cannot be written is trouble");
}

#[test]
fn a_short_run_meets_its_expectation_and_says_so() {
    let smoke = Smoke::get();
    let stdout = String::from_utf8_lossy(&smoke.output.stdout);
    let stderr = String::from_utf8_lossy(&smoke.output.stderr);
    assert_eq!(smoke.output.status.code(), Some(0), "{stdout}\n{stderr}");
    let last = stdout.lines().last().unwrap();
    assert_eq!(last, "exit 0: every run met its expectation and every gate");
    assert!(stderr.contains("RUN 1 of 1"), "{stderr}");
    assert!(stdout.is_ascii(), "plain ASCII was asked for");
    assert!(!stdout.contains('\x1b'), "no color was asked for");
}

#[test]
fn the_report_of_a_run_is_the_same_byte_for_byte() {
    let smoke = Smoke::get();
    let mut report = splitbrain(smoke.folder.path());
    report.args(["report", "runs/latest", "--charset", "ascii", "--color", "never"]);
    let (code, stdout, _) = ended(&mut report);
    assert_eq!(code, 0);
    assert_eq!(stdout.as_bytes(), smoke.output.stdout);
    assert_eq!(fs::read(smoke.suite().join("report.txt")).unwrap(), smoke.output.stdout);
}

#[test]
fn a_run_directory_travels() {
    let smoke = Smoke::get();
    let elsewhere = tempfile::tempdir().unwrap();
    let moved = elsewhere.path().join("moved");
    copy(&fs::canonicalize(smoke.suite()).unwrap(), &moved);
    let (code, stdout, _) = ended(splitbrain(elsewhere.path()).args(["check", "moved"]));
    assert_eq!(code, 0, "{stdout}");
    let (code, _, _) = ended(splitbrain(elsewhere.path()).args(["report", "moved"]));
    assert_eq!(code, 0);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => {
                fs::copy(entry.path(), target).unwrap();
            }
        }
    }
}

#[test]
fn the_plan_of_a_run_is_a_suite_with_the_same_plan() {
    let smoke = Smoke::get();
    let plan = smoke.run().join("plan.yaml");
    let (code, _, stderr) = ended(splitbrain(smoke.folder.path()).arg("validate").arg(&plan));
    assert_eq!(code, 0, "{stderr}");
    // Whatever the seed: what chance decided is written down.
    let plan_with = |seed| {
        let mut command = splitbrain(smoke.folder.path());
        let (code, stdout, _) = ended(command.arg("plan").arg(&plan).args(["--seed", seed]));
        assert_eq!(code, 0);
        stdout.lines().skip(1).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(plan_with("1"), plan_with("2"));
}

#[test]
fn a_read_altered_to_an_overwritten_value_is_a_stale_read_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let history = r#"{"history":1,"workload":"register","nodes":3}
{"seq":0,"us":100000,"client":0,"node":"n1","invoke":{"write":{"key":"r0","value":1}}}
{"seq":1,"us":110000,"client":0,"ok":"written"}
{"seq":2,"us":200000,"client":1,"node":"n2","invoke":{"write":{"key":"r0","value":2}}}
{"seq":3,"us":210000,"client":1,"ok":"written"}
{"seq":4,"us":300000,"client":2,"node":"n3","invoke":{"read":{"key":"r0"}}}
{"seq":5,"us":310000,"client":2,"ok":{"read":1}}
{"seq":6,"us":400000,"client":2,"node":"n3","invoke":{"read":{"key":"r0"}},"final":true}
{"seq":7,"us":410000,"client":2,"ok":{"read":2}}
{"end":{"events":8}}
"#;
    fs::write(folder.path().join("history.jsonl"), history).unwrap();
    let (code, stdout, _) = ended(splitbrain(folder.path()).args(["check", "history.jsonl"]));
    assert_eq!(code, 1, "{stdout}");
    assert!(stdout.contains("stale read of \"r0\""), "{stdout}");
    assert!(stdout.contains("re-judged by brute force: confirmed"), "{stdout}");

    let phantom = history.replace(r#"{"read":1}"#, r#"{"read":7}"#);
    fs::write(folder.path().join("phantom.jsonl"), phantom).unwrap();
    let (code, stdout, _) = ended(splitbrain(folder.path()).args(["check", "phantom.jsonl"]));
    assert_eq!(code, 1, "{stdout}");
    assert!(stdout.contains("phantom of \"r0\""), "{stdout}");

    // Cut off behind the stale read, and inside its answer.
    let answer = history.find(r#"{"read":1}"#).unwrap();
    for (length, expected) in [(history.len() - 40, 1), (answer, 3)] {
        fs::write(folder.path().join("cut.jsonl"), &history[..length]).unwrap();
        let (code, stdout, _) = ended(splitbrain(folder.path()).args(["check", "cut.jsonl"]));
        assert_eq!(code, expected, "{stdout}");
        assert!(stdout.contains("cut off"), "{stdout}");
    }

    fs::write(folder.path().join("empty.jsonl"), "").unwrap();
    let (code, _, stderr) = ended(splitbrain(folder.path()).args(["check", "empty.jsonl"]));
    assert_eq!(code, 2);
    assert!(stderr.contains("empty"), "{stderr}");
}

#[test]
fn the_history_of_a_run_with_one_read_altered_fails() {
    let smoke = Smoke::get();
    let text = fs::read_to_string(smoke.run().join("history.jsonl")).unwrap();
    let read =
        text.lines().find(|line| line.contains(r#""ok":{"read":"#) && !line.contains("null"));
    let read = read.expect("somebody read a value");
    let (before, _) = read.split_once(r#""ok""#).unwrap();
    let altered = format!(r#"{before}"ok":{{"read":999999999}}}}"#);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("altered.jsonl"), text.replacen(read, &altered, 1)).unwrap();
    let (code, stdout, _) = ended(splitbrain(folder.path()).args(["check", "altered.jsonl"]));
    assert_eq!(code, 1, "{stdout}");
    assert!(stdout.contains("phantom"), "{stdout}");
}

#[test]
fn what_is_wrong_with_a_suite_is_said_with_its_line_and_nothing_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let suite = "suite: bad\ntarget: store\nruns:\n  - name: it\n    workload: set\n    \
                 faults:\n      - kill: { node: n7, at: 2s, for: 1s }\n";
    fs::write(folder.path().join("bad.yaml"), suite).unwrap();
    let (code, stdout, stderr) = ended(splitbrain(folder.path()).args(["run", "bad.yaml"]));
    assert_eq!(code, 2);
    assert_eq!(stdout, "");
    assert!(stderr.contains("bad.yaml:7:23"), "{stderr}");
    assert!(stderr.contains("`n1` to `n3`"), "{stderr}");
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn a_profile_or_switch_that_the_store_does_not_have_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for target in ["{ profile: rafft }", "{ set: { fencinng: off } }"] {
        let suite = format!(
            "suite: bad\ntarget:\n  store: {target}\nruns:\n  - name: it\n    workload: set\n"
        );
        fs::write(folder.path().join("bad.yaml"), suite).unwrap();
        let (code, _, stderr) = ended(splitbrain(folder.path()).args(["validate", "bad.yaml"]));
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains("bad.yaml:3:"), "{stderr}");
    }
}

#[test]
fn what_the_store_would_not_start_with_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    for (target, why) in [
        ("{ set: { replication: asyncc } }", "expected quorum, async, semi-sync, sync, isr"),
        ("{ set: { majority: off } }", "won with a majority or not at all"),
        ("{ set: { replication: semi-sync, replicas: 3 } }", "at most 2"),
    ] {
        let suite = format!(
            "suite: bad\ntarget:\n  store: {target}\nruns:\n  - name: it\n    workload: set\n"
        );
        fs::write(folder.path().join("bad.yaml"), suite).unwrap();
        let (code, _, stderr) = ended(splitbrain(folder.path()).args(["run", "bad.yaml"]));
        assert_eq!(code, 2, "{stderr}");
        // A long reason goes over several lines.
        let told = stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains("bad.yaml:3:") && told.contains(why), "{stderr}");
        assert!(!folder.path().join("runs").exists());
    }
}

#[test]
fn a_target_that_is_not_installed_is_an_environment_error_with_the_line_that_installs_it() {
    let folder = tempfile::tempdir().unwrap();
    let suite = root().join("workloads/suites/etcd.yaml");
    let mut command = splitbrain(folder.path());
    command.env("PATH", folder.path()).arg("run").arg(suite);
    let (code, stdout, stderr) = ended(&mut command);
    assert_eq!(code, 4, "{stderr}");
    assert_eq!(stdout, "");
    assert!(stderr.contains("apt-get install etcd-server"), "{stderr}");
}

#[test]
fn usage_errors_end_with_two_and_help_with_zero() {
    let folder = tempfile::tempdir().unwrap();
    let code = |args: &[&str]| ended(splitbrain(folder.path()).args(args)).0;
    assert_eq!(code(&["--help"]), 0);
    assert_eq!(code(&["run", "--no-such-flag"]), 2);
    assert_eq!(code(&["run", "no-such-file.yaml"]), 2);
    assert_eq!(code(&["report", "."]), 2);
    assert_eq!(code(&["plan", "--only", "no-such-run"]), 2);
    assert_eq!(code(&["explain", "no-such-thing"]), 2);
}

#[test]
fn everything_that_can_be_named_in_a_suite_is_listed_and_explained() {
    let folder = tempfile::tempdir().unwrap();
    let (code, list, _) = ended(splitbrain(folder.path()).arg("list"));
    assert_eq!(code, 0);
    for name in ["kill", "pause", "partition", "register", "set", "store", "lost-write", "recovery"]
    {
        assert!(list.contains(name), "{name} is missing in\n{list}");
    }
    assert!(list.lines().all(|line| line.chars().count() <= 100), "{list}");
    // One of each list: a fault, a workload, a target, a profile, a switch, a plant, an anomaly, a
    // gate, an exit code.
    for name in [
        "kill",
        "register",
        "store",
        "async",
        "fsync",
        "skip-checksum",
        "lost-write",
        "recovery",
        "70",
    ] {
        let (code, text, stderr) = ended(splitbrain(folder.path()).args(["explain", name]));
        assert_eq!(code, 0, "{stderr}");
        assert!(text.contains(name), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
}
