//! The thread that writes the log: group commit, and the end of the process when the disk fails.
//!
//! The runtime submits what the protocol core wants durable and hands the reported tokens back to
//! the core. All records of a node pass through one writer, so their order on disk is the order of
//! submission, and tokens are reported in it.

use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};

use super::{BATCH_BYTES, Log, Record};
use crate::disk::EXIT_DISK_FAILED;

/// At most this many submissions share one sync, so that a flood of empty ones is answered too.
const BATCH_TOKENS: usize = 4096;

/// The caller's name for a submission. The log attaches no meaning to the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// A log with a thread that writes it. Dropping it writes and syncs what was submitted, reports
/// it, and waits for the thread.
#[derive(Debug)]
pub struct Writer {
    sender: Option<Sender<Work>>,
    thread: Option<JoinHandle<()>>,
}

enum Work {
    Write { records: Vec<Record>, token: Token },
    Purge { records: u64 },
}

impl Writer {
    /// Starts the thread. `flushed` is called in it, once per submission and in their order, when
    /// the submission's records and all before them are on disk; while it runs nothing is written.
    ///
    /// When the log cannot be written, a message goes to stderr and the process ends at once with
    /// [`EXIT_DISK_FAILED`]: what is on disk is unknown, and only a restart can find out.
    ///
    /// # Panics
    ///
    /// When the system cannot start a thread.
    pub fn spawn(log: Log, flushed: impl FnMut(Token) + Send + 'static) -> Writer {
        Writer::spawn_with(log, flushed, end_process)
    }

    /// Like [`Writer::spawn`], with another answer to a failure than the end of the process.
    ///
    /// `on_error` is called in the thread, at most once. If it returns, the thread ends: nothing
    /// submitted later is written, and no token after those already reported ever is.
    ///
    /// # Panics
    ///
    /// When the system cannot start a thread.
    pub fn spawn_with(
        mut log: Log,
        mut flushed: impl FnMut(Token) + Send + 'static,
        on_error: impl FnOnce(io::Error) + Send + 'static,
    ) -> Writer {
        let (sender, receiver) = mpsc::channel();
        let body = move || {
            // The three are lent, so that they are alive when the process ends: otherwise threads
            // that see their channels close could end it first, with a message of less use.
            if let Err(error) = write_all(&mut log, &receiver, &mut flushed) {
                on_error(error);
            }
        };
        let thread = thread::Builder::new()
            .name("log-writer".into())
            .spawn(body)
            .expect("the system starts a thread");
        Writer { sender: Some(sender), thread: Some(thread) }
    }

    /// Hands over records to be written, and returns at once. Without records, the token is
    /// reported when everything submitted before is on disk.
    ///
    /// The queue has no bound of its own: the caller bounds what it has in flight. Payloads keep
    /// to [`Log::max_payload_bytes`]; a longer one is a failure of the log.
    ///
    /// # Panics
    ///
    /// When the thread has ended, because `on_error` returned or `flushed` panicked: a node
    /// without a log must not go on.
    pub fn submit(&self, records: Vec<Record>, token: Token) {
        self.send(Work::Write { records, token });
    }

    /// Lets go of old segments, as [`Log::purge`] does, when everything submitted before is on
    /// disk. Returns at once.
    ///
    /// # Panics
    ///
    /// As [`Writer::submit`].
    pub fn purge(&self, records: u64) {
        self.send(Work::Purge { records });
    }

    fn send(&self, work: Work) {
        self.sender
            .as_ref()
            .expect("the sender is taken only by drop")
            .send(work)
            .unwrap_or_else(|_| panic!("the log's writer thread has ended"));
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.sender.take());
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            // A second panic while unwinding would hide the first.
            if !thread::panicking() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// Until all senders are gone: takes what has been submitted, writes it as one frame, syncs once,
/// reports it. While a sync runs the next batch gathers in the channel; nobody waits for a timer,
/// but a sync that is due by itself ([`Log::sync_due`]).
fn write_all(
    log: &mut Log,
    receiver: &Receiver<Work>,
    flushed: &mut impl FnMut(Token),
) -> io::Result<()> {
    let mut tokens = Vec::new();
    loop {
        let first = match log.sync_due() {
            None => receiver.recv().ok(),
            Some(wait) => match receiver.recv_timeout(wait) {
                Ok(work) => Some(work),
                Err(RecvTimeoutError::Timeout) => {
                    log.sync()?;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => None,
            },
        };
        let Some(first) = first else { return Ok(()) };
        let mut next = Some(first);
        let mut bytes = 0;
        let mut purge = None;
        while let Some(work) = next.take() {
            match work {
                Work::Write { records, token } => {
                    bytes += records.iter().map(|record| record.payload.len()).sum::<usize>();
                    log.stage(&records)?;
                    tokens.push(token);
                    if bytes < BATCH_BYTES && tokens.len() < BATCH_TOKENS {
                        next = receiver.try_recv().ok();
                    }
                }
                Work::Purge { records } => purge = Some(records),
            }
        }
        log.write()?;
        log.sync()?;
        for token in tokens.drain(..) {
            flushed(token);
        }
        if let Some(records) = purge {
            log.purge(records)?;
        }
    }
}

fn end_process(error: io::Error) {
    // Written to the stream itself: the message must not depend on a log filter. If stderr is
    // gone there is nobody to tell, and the exit code says it.
    let _ = writeln!(
        io::stderr(),
        "the write-ahead log failed: {error}\nhelp: the node stops, because after a failed write \
         the content of the disk is unknown; free space or replace the disk, then start it again"
    );
    std::process::exit(EXIT_DISK_FAILED.into());
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::ExitStatusExt;
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::sync::mpsc;
    use std::sync::{Arc, Barrier, Mutex};

    use super::super::tests::full_disk;
    use super::super::{Fsync, Identity, Options, Plants, open};
    use super::*;

    const US: Identity = Identity { cluster: 1, node: 1 };
    const OPTIONS: Options =
        Options { segment_bytes: 64 * 1024, fsync: Fsync::Always, plants: Plants::NONE };
    /// Set for the child processes of this file; its value is the folder of the log.
    const CHILD: &str = "SPLITBRAIN_LOG_TEST_CHILD";

    fn numbered(token: u64) -> Vec<Record> {
        vec![Record { kind: 0, payload: token.to_le_bytes().to_vec() }]
    }

    fn recovered_numbers(dir: &Path) -> Vec<u64> {
        let (_, recovered) = open(dir, US, &OPTIONS).unwrap();
        let payload = |record: &Record| record.payload[..8].try_into().unwrap();
        recovered.records.iter().map(|record| u64::from_le_bytes(payload(record))).collect()
    }

    #[test]
    fn tokens_of_many_threads_are_reported_in_the_order_on_disk() {
        const THREADS: u64 = 8;
        const EACH: u64 = 500;
        let dir = tempfile::tempdir().unwrap();
        let (log, _) = open(dir.path(), US, &OPTIONS).unwrap();
        let reported = Arc::new(Mutex::new(Vec::new()));
        let report = reported.clone();
        let writer = Writer::spawn(log, move |Token(token)| report.lock().unwrap().push(token));
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let writer = &writer;
                scope.spawn(move || {
                    for token in (0..EACH).map(|i| thread * EACH + i) {
                        writer.submit(numbered(token), Token(token));
                    }
                });
            }
        });
        drop(writer);
        let reported = reported.lock().unwrap();
        assert_eq!(reported.len() as u64, THREADS * EACH);
        assert_eq!(*reported, recovered_numbers(dir.path()));
        for thread in 0..THREADS {
            let own = reported.iter().filter(|&&token| token / EACH == thread);
            assert!(own.is_sorted(), "the submissions of one thread keep their order");
        }
    }

    #[test]
    fn what_is_submitted_during_a_report_shares_one_frame() {
        let dir = tempfile::tempdir().unwrap();
        let (log, _) = open(dir.path(), US, &OPTIONS).unwrap();
        let (first_report, released) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let (inside, outside) = (first_report.clone(), released.clone());
        let writer = Writer::spawn(log, move |token| {
            if token == Token(0) {
                inside.wait();
                outside.wait();
            }
        });
        writer.submit(numbered(0), Token(0));
        first_report.wait();
        (1..=100).for_each(|token| writer.submit(numbered(token), Token(token)));
        released.wait();
        drop(writer);
        let (log, recovered) = open(dir.path(), US, &OPTIONS).unwrap();
        assert_eq!(recovered.records.len(), 101);
        assert_eq!(log.sequence, 2, "one frame for the first record, one for the hundred");
    }

    #[test]
    fn a_submission_without_records_is_reported_behind_those_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let (log, _) = open(dir.path(), US, &OPTIONS).unwrap();
        let (sender, tokens) = mpsc::channel();
        let writer = Writer::spawn(log, move |token| sender.send(token).unwrap());
        writer.submit(numbered(5), Token(5));
        writer.submit(Vec::new(), Token(6));
        drop(writer);
        assert_eq!(tokens.iter().collect::<Vec<_>>(), [Token(5), Token(6)]);
    }

    #[test]
    fn a_failed_write_or_sync_reaches_the_hook_and_reports_no_token() {
        // One device takes no write, the other takes writes and refuses to sync.
        let null = std::fs::File::options().write(true).open("/dev/null").unwrap().into();
        for (file, failed) in [(full_disk(), "cannot write"), (null, "cannot sync")] {
            let dir = tempfile::tempdir().unwrap();
            let (mut log, _) = open(dir.path(), US, &OPTIONS).unwrap();
            log.active.file = file;
            let (sender, tokens) = mpsc::channel();
            let (errors, error) = mpsc::channel();
            let flushed = move |token| sender.send(token).unwrap();
            let writer = Writer::spawn_with(log, flushed, move |error| errors.send(error).unwrap());
            writer.submit(numbered(1), Token(1));
            drop(writer);
            let error = error.recv().unwrap().to_string();
            assert!(error.starts_with(failed), "{error}");
            assert_eq!(tokens.iter().count(), 0);
            assert_eq!(recovered_numbers(dir.path()), [0_u64; 0]);
        }
    }

    #[test]
    #[should_panic(expected = "the core is gone")]
    fn a_panic_in_the_report_is_passed_on_and_not_swallowed() {
        let dir = tempfile::tempdir().unwrap();
        let (log, _) = open(dir.path(), US, &OPTIONS).unwrap();
        let writer = Writer::spawn(log, |_| panic!("the core is gone"));
        writer.submit(numbered(1), Token(1));
        drop(writer);
    }

    /// Runs a test of this file again in a process of its own, as a child with a folder. `shell`
    /// goes in front of it: limits, traps.
    fn child(test: &str, dir: &Path, shell: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("{shell} exec \"$0\" \"$@\""))
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", &format!("log::writer::tests::{test}"), "--nocapture"])
            .env(CHILD, dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The child's part: submits far more than the parent waits for and prints each token that is reported.
    fn write_until_stopped(dir: &Path) -> ! {
        let (log, _) = open(dir, US, &OPTIONS).unwrap();
        let (sender, flushed) = mpsc::sync_channel(64);
        let writer = Writer::spawn(log, move |Token(token)| {
            let mut out = io::stdout().lock();
            writeln!(out, "flushed {token}").unwrap();
            out.flush().unwrap();
            sender.send(()).unwrap();
        });
        for token in 0..100_000 {
            let mut records = numbered(token);
            records[0].payload.resize(300, 0xEE);
            writer.submit(records, Token(token));
            if token >= 32 {
                flushed.recv().unwrap();
            }
        }
        panic!("nobody stopped the child");
    }

    fn tokens(lines: impl Iterator<Item = String>) -> Vec<u64> {
        let number = |line: String| line.rsplit_once("flushed ")?.1.parse().ok();
        lines.filter_map(number).collect()
    }

    #[test]
    fn a_killed_process_has_on_disk_what_it_reported() {
        if let Some(dir) = std::env::var_os(CHILD) {
            write_until_stopped(Path::new(&dir));
        }
        let dir = tempfile::tempdir().unwrap();
        let name = "a_killed_process_has_on_disk_what_it_reported";
        let mut child = child(name, dir.path(), "").stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut reported = tokens(lines.by_ref().take(500));
        child.kill().unwrap();
        reported.extend(tokens(lines));
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        assert!(reported.len() > 400, "{} tokens", reported.len());
        let found = recovered_numbers(dir.path());
        assert!(found.len() >= reported.len());
        assert!(found.iter().copied().eq(0..found.len() as u64), "a prefix of what was submitted");
        assert_eq!(reported, found[..reported.len()]);
    }

    #[test]
    fn a_process_that_may_not_write_any_more_ends_loudly_and_keeps_what_it_reported() {
        if let Some(dir) = std::env::var_os(CHILD) {
            write_until_stopped(Path::new(&dir));
        }
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path(), US, &OPTIONS).unwrap());
        let name = "a_process_that_may_not_write_any_more_ends_loudly_and_keeps_what_it_reported";
        // No file may grow or be written beyond 64 blocks of 512 bytes: half a segment.
        let limit = "trap '' XFSZ; ulimit -f 64;";
        let output = child(name, dir.path(), limit).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(EXIT_DISK_FAILED.into()), "{stderr}");
        assert!(stderr.contains("the write-ahead log failed: cannot write segment"), "{stderr}");
        assert!(stderr.contains("help: "), "{stderr}");
        let reported = tokens(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned));
        assert!(!reported.is_empty());
        let found = recovered_numbers(dir.path());
        assert_eq!(reported, found[..reported.len()]);
    }
}
