//! The reaper and the processes it owns, with real processes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use splitbrain::cluster::census::{Census, Entry};
use splitbrain::cluster::{
    Cause, ClusterError, ExitStatus, Owner, Process, ProcessSpec, Processes, Reaper,
};
use splitbrain_workloads::operation::NodeId;
use tempfile::TempDir;

/// Longest wait for anything here; a machine under load takes a fraction of it.
const BOUND: Duration = Duration::from_secs(10);

const SPLITBRAIN: &str = env!("CARGO_BIN_EXE_splitbrain");

fn reaper() -> Processes {
    Reaper::start_program(Path::new(SPLITBRAIN)).unwrap().into_async().unwrap()
}

fn spec(dir: &Path, program: &str, args: &[&str]) -> ProcessSpec {
    ProcessSpec {
        owner: Owner::Node(NodeId(1)),
        program: PathBuf::from(program),
        args: args.iter().map(ToString::to_string).collect(),
        env: BTreeMap::from([("SPLITBRAIN_TEST".to_string(), "yes".to_string())]),
        cwd: dir.to_path_buf(),
        stdout: dir.join("stdout.log"),
        stderr: dir.join("stderr.log"),
    }
}

async fn shell(processes: &Processes, dir: &TempDir, script: &str) -> Process {
    processes.spawn(spec(dir.path(), "sh", &["-c", script])).await.unwrap()
}

/// Waits until something is so.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < BOUND, "{what}: not within {BOUND:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until a script has written so many pids, one a line, and returns these processes.
fn written_pids(file: &Path, count: usize) -> Vec<Entry> {
    let read = || -> Vec<u32> {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().filter_map(|line| line.trim().parse().ok()).collect()
    };
    until("pids are written", || read().len() >= count);
    read().iter().map(|pid| Entry::of(*pid).expect("a process that lives")).collect()
}

fn lives(entry: &Entry) -> bool {
    Entry::of(entry.pid).is_some_and(|now| now.started == entry.started && !now.is_dead())
}

#[tokio::test]
async fn a_process_gets_its_arguments_environment_folder_and_log_files() {
    let dir = TempDir::new().unwrap();
    let processes = reaper();
    let process =
        shell(&processes, &dir, "echo $SPLITBRAIN_TEST; pwd; echo loud >&2; exit 3").await;
    assert_eq!(process.wait(BOUND).await.unwrap(), ExitStatus::Code(3));
    let here = fs::canonicalize(dir.path()).unwrap();
    let expected = format!("yes\n{}\n", here.display());
    assert_eq!(fs::read_to_string(dir.path().join("stdout.log")).unwrap(), expected);
    assert_eq!(fs::read_to_string(dir.path().join("stderr.log")).unwrap(), "loud\n");
    processes.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_prepared_process_is_known_and_runs_nothing_until_it_is_let_go() {
    let dir = TempDir::new().unwrap();
    let processes = reaper();
    let mark = dir.path().join("ran");
    let prepared =
        processes.prepare(spec(dir.path(), "touch", &[mark.to_str().unwrap()])).await.unwrap();
    let pid = prepared.pid();
    assert!(Entry::of(pid).is_some(), "the pid is that of a process");
    assert!(!mark.exists());
    let process = prepared.run().await.unwrap();
    assert_eq!(process.pid(), pid);
    assert_eq!(process.wait(BOUND).await.unwrap(), ExitStatus::Code(0));
    assert!(mark.exists());
    processes.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_program_that_is_not_there_is_refused_with_its_name() {
    let dir = TempDir::new().unwrap();
    let processes = reaper();
    let refused = processes.spawn(spec(dir.path(), "no-such-program", &[])).await;
    let Err(ClusterError::Refused { reason, .. }) = refused else { panic!("it was started") };
    assert!(reason.starts_with("exec no-such-program: "), "{reason}");
    let long = "x".repeat(2 << 20);
    let refused = processes.spawn(spec(dir.path(), "echo", &[&long])).await;
    assert!(matches!(refused, Err(ClusterError::Refused { .. })));
    let refused = processes.spawn(spec(Path::new("/no/such/folder"), "true", &[])).await;
    let Err(ClusterError::Refused { reason, .. }) = refused else { panic!("it was started") };
    assert!(reason.contains("/no/such/folder"), "{reason}");
    processes.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_kill_returns_when_nothing_of_the_process_group_is_left() {
    let dir = TempDir::new().unwrap();
    let processes = reaper();
    let script = "sleep 1000 & echo $! > pids; echo $$ >> pids; wait";
    let process = shell(&processes, &dir, script).await;
    let family = written_pids(&dir.path().join("pids"), 2);
    assert_eq!(process.family().len(), 2);
    assert_eq!(process.kill().await.unwrap(), ExitStatus::Signal(Signal::SIGKILL as i32));
    for member in &family {
        assert!(Entry::of(member.pid).is_none_or(|now| now.started != member.started));
    }
    assert_eq!(process.kill().await.unwrap(), ExitStatus::Signal(Signal::SIGKILL as i32));
    processes.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_pause_is_in_force_when_the_kernel_says_stopped() {
    let dir = TempDir::new().unwrap();
    let processes = reaper();
    // Two processes that never wait, so that only a stop keeps them from running.
    let script = "(while :; do :; done) & echo $! > pids; echo $$ >> pids; while :; do :; done";
    let process = shell(&processes, &dir, script).await;
    let family = written_pids(&dir.path().join("pids"), 2);
    for _ in 0..20 {
        process.pause().await.unwrap();
        for member in &family {
            assert_eq!(Entry::of(member.pid).unwrap().state, 'T');
        }
        process.resume().await.unwrap();
        assert_ne!(Entry::of(process.pid()).unwrap().state, 'T');
    }
    process.pause().await.unwrap();
    assert_eq!(process.kill().await.unwrap(), ExitStatus::Signal(Signal::SIGKILL as i32));
    let Err(ClusterError::Ended { .. }) = process.pause().await else { panic!("paused the dead") };
    processes.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_exit_is_told_apart_by_who_caused_it() {
    let dir = TempDir::new().unwrap();
    let processes = reaper();
    let mut exits = processes.exits();
    let mut next = async || tokio::time::timeout(BOUND, exits.recv()).await.unwrap().unwrap();

    let crashed = shell(&processes, &dir, "exit 7").await;
    let exit = next().await;
    assert_eq!(
        (exit.pid, exit.status, exit.cause),
        (crashed.pid(), ExitStatus::Code(7), Cause::Crash)
    );

    let killed = shell(&processes, &dir, "sleep 1000").await;
    killed.kill().await.unwrap();
    let exit = next().await;
    assert_eq!((exit.pid, exit.cause), (killed.pid(), Cause::Asked));

    let foreign = shell(&processes, &dir, "exec sleep 1000").await;
    kill(Pid::from_raw(foreign.pid() as i32), Signal::SIGKILL).unwrap();
    let exit = next().await;
    assert_eq!((exit.pid, exit.cause), (foreign.pid(), Cause::Environment));

    let aborted = shell(&processes, &dir, "kill -ABRT $$").await;
    let exit = next().await;
    assert_eq!((exit.pid, exit.cause), (aborted.pid(), Cause::Crash));
    assert_eq!(exit.status.to_string(), "signal SIGABRT");

    let polite = shell(&processes, &dir, "exec sleep 1000").await;
    polite.terminate(BOUND).await.unwrap();
    assert_eq!(next().await.cause, Cause::Asked);
    processes.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_shutdown_leaves_nothing_behind() {
    let dir = TempDir::new().unwrap();
    let processes = reaper();
    shell(&processes, &dir, NASTY).await;
    let left = written_pids(&dir.path().join("pids"), 4);
    let reaper = processes.reaper_pid();
    processes.shutdown().await.unwrap();
    assert!(left.iter().all(|entry| !lives(entry)), "a process outlived the shutdown");
    assert!(Entry::of(reaper).is_none_or(|entry| entry.is_dead()));
    let late = processes.spawn(spec(dir.path(), "true", &[])).await;
    assert!(matches!(late, Err(ClusterError::ReaperLost)));
}

#[tokio::test]
async fn without_its_reaper_a_process_does_not_live_on() {
    let dir = TempDir::new().unwrap();
    let processes = reaper();
    let process = shell(&processes, &dir, "exec sleep 1000").await;
    let entry = Entry::of(process.pid()).unwrap();
    kill(Pid::from_raw(processes.reaper_pid() as i32), Signal::SIGKILL).unwrap();
    until("the process is dead", || !lives(&entry));
    let lost = process.wait(BOUND).await;
    assert!(matches!(lost, Err(ClusterError::ReaperLost)), "{lost:?}");
}

#[tokio::test]
async fn signals_to_the_reaper_itself_change_nothing() {
    let dir = TempDir::new().unwrap();
    let processes = reaper();
    let process = shell(&processes, &dir, "exec sleep 1000").await;
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGPIPE] {
        kill(Pid::from_raw(processes.reaper_pid() as i32), signal).unwrap();
    }
    // The calls after the signals are answered, and nodes themselves can be terminated.
    let other = shell(&processes, &dir, "exec sleep 1000").await;
    let ended = other.terminate(BOUND).await.unwrap();
    assert_eq!(ended, ExitStatus::Signal(Signal::SIGTERM as i32));
    assert!(process.exit_status().is_none());
    processes.shutdown().await.unwrap();
}

/// Whatever is hard to clean up: a background child, one in a session of its own, one whose parent
/// is gone, and one that is stopped.
const NASTY: &str = "
    sleep 1000 & echo $! >> pids
    setsid sh -c 'echo $$ >> pids; exec sleep 1000' &
    (setsid sh -c 'setsid sh -c \"echo \\$\\$ >> pids; exec sleep 1000\" &' &)
    sh -c 'echo $$ >> pids; kill -STOP $$' &
    exec sleep 1000
";

/// Not a test of its own: the harness that the test below kills. Its process starts a reaper and
/// nodes, says that it is ready and waits for its death.
#[test]
#[ignore = "started by `a_killed_harness_leaves_nothing`"]
fn harness_to_be_killed() {
    let Some(dir) = std::env::var_os("SPLITBRAIN_TEST_DIR") else { return };
    let dir = PathBuf::from(dir);
    let reaper = Reaper::start_program(Path::new(SPLITBRAIN)).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let processes = reaper.into_async().unwrap();
        fs::write(dir.join("reaper"), format!("{}\n", processes.reaper_pid())).unwrap();
        let nasty = processes.spawn(spec(&dir, "sh", &["-c", NASTY])).await.unwrap();
        let paused = processes.spawn(spec(&dir, "sleep", &["1000"])).await.unwrap();
        paused.pause().await.unwrap();
        // Prepared and never run.
        let prepared = processes.prepare(spec(&dir, "sleep", &["1000"])).await.unwrap();
        let roots = [nasty.pid(), paused.pid(), prepared.pid()];
        fs::write(dir.join("roots"), roots.map(|pid| format!("{pid}\n")).concat()).unwrap();
        std::future::pending::<()>().await;
    });
}

/// The processes that work in a folder: whatever a run has started there, however it is related.
fn working_in(dir: &Path) -> Vec<PathBuf> {
    let dir = fs::canonicalize(dir).unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    processes.filter(|path| fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd == dir)).collect()
}

#[test]
fn a_harness_killed_while_it_starts_processes_leaves_nothing() {
    for delay in 0..12 {
        let dir = TempDir::new().unwrap();
        let mut harness = Command::new(std::env::current_exe().unwrap())
            .args(["harness_to_be_killed", "--exact", "--ignored", "--nocapture"])
            .env("SPLITBRAIN_TEST_DIR", dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let reaper = written_pids(&dir.path().join("reaper"), 1);
        // Another moment of the start each time.
        std::thread::sleep(Duration::from_micros(500 * delay));
        harness.kill().unwrap();
        harness.wait().unwrap();
        until("the reaper is gone", || !reaper.iter().any(lives));
        assert_eq!(working_in(dir.path()), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_killed_harness_leaves_nothing() {
    for _ in 0..5 {
        let dir = TempDir::new().unwrap();
        let mut harness = Command::new(std::env::current_exe().unwrap())
            .args(["harness_to_be_killed", "--exact", "--ignored", "--nocapture"])
            .env("SPLITBRAIN_TEST_DIR", dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut left = written_pids(&dir.path().join("roots"), 3);
        left.extend(written_pids(&dir.path().join("reaper"), 1));
        left.extend(written_pids(&dir.path().join("pids"), 4));
        left.extend(left.clone().iter().flat_map(|entry| Census::take().family(entry.pid)));
        harness.kill().unwrap();
        harness.wait().unwrap();
        until("nothing is left", || !left.iter().any(lives));
    }
}
