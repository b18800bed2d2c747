//! Watches a run while it goes on: what its clients see goes to the watch of its workload, and the
//! first thing that has no explanation is told at once.
//!
//! A thread of its own fetches the recorder's events every few milliseconds: no client waits for
//! it, and none wakes it. It judges nothing and stops nothing; `stop` does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use splitbrain_reports::record::{EarlyViolation, Event, WatchRecord};
use splitbrain_workloads::watch::{Sight, Violation, Watcher};
use tokio::sync::watch;

use super::journal::Journal;
use super::recorder::{Feed, Recorder, Seen};

/// Time between two fetches: what a violation is known late at most, beside the time that the watch
/// takes.
const FETCH_INTERVAL: Duration = Duration::from_millis(5);

/// A watch at work.
pub struct Watching {
    found: watch::Receiver<bool>,
    over: Arc<AtomicBool>,
    thread: JoinHandle<Watcher>,
}

impl Watching {
    /// Begins to watch. To be called before anybody calls.
    pub fn start(recorder: Arc<Recorder>, journal: Arc<Journal>, watcher: Watcher) -> Watching {
        recorder.feed();
        let (tell, found) = watch::channel(false);
        let over = Arc::new(AtomicBool::new(false));
        let is_over = over.clone();
        let thread = thread::spawn(move || work(&recorder, &journal, watcher, &is_over, &tell));
        Watching { found, over, thread }
    }

    /// Waits until a violation is known; for ever if there is none.
    pub async fn found(&self) {
        let mut found = self.found.clone();
        if found.wait_for(|found| *found).await.is_err() {
            std::future::pending().await
        }
    }

    /// Ends the watch, and says what is worth a word.
    pub fn finish(self) -> Option<WatchRecord> {
        self.over.store(true, Ordering::Release);
        self.thread.thread().unpark();
        let watcher = match self.thread.join() {
            Ok(watcher) => watcher,
            Err(_) => {
                let unwatched = Some("the watch crashed, which is a bug of it".to_string());
                return Some(WatchRecord { unwatched, ..WatchRecord::default() });
            }
        };
        let violation = watcher.found().map(|found| EarlyViolation {
            kind: found.kind,
            key: found.key.clone(),
            at: found.proven.at,
            what: found.what.clone(),
        });
        let unwatched = match watcher.sight() {
            Sight::Whole => None,
            Sight::Part(why) | Sight::Gone(why) => Some(why),
        };
        let record = WatchRecord { violation, unwatched, stopped: None };
        (record != WatchRecord::default()).then_some(record)
    }
}

fn work(
    recorder: &Recorder,
    journal: &Journal,
    mut watcher: Watcher,
    over: &AtomicBool,
    tell: &watch::Sender<bool>,
) -> Watcher {
    let mut feed = Feed::default();
    while !watcher.is_done() {
        // Asked first, so that what came before the end is looked at.
        let is_last = over.load(Ordering::Acquire);
        feed = recorder.fetch(feed);
        take(&mut watcher, &mut feed);
        if let Some(Violation { kind, key, client, what, .. }) = watcher.found().cloned() {
            journal.report(Event::ViolationFound { kind, key, client, what });
            tell.send_replace(true);
        }
        if is_last {
            break;
        }
        thread::park_timeout(FETCH_INTERVAL);
    }
    recorder.unfeed();
    watcher
}

fn take(watcher: &mut Watcher, feed: &mut Feed) {
    for event in feed.events.drain(..) {
        match event {
            Seen::Invoked(stamp, client, is_final, op) => {
                watcher.invoke(stamp, client, is_final, &op);
            }
            Seen::Completed(stamp, client, outcome) => {
                watcher.complete(stamp, client, &outcome);
            }
        }
    }
    if feed.overflowed {
        watcher.give_up("it fell behind, and events were left out".to_string());
    }
}

#[cfg(test)]
mod tests {
    use splitbrain_workloads::history::{FORMAT_VERSION, Header};
    use splitbrain_workloads::operation::{ClientId, Key, NodeId, Op, Outcome, Reply, Value};
    use splitbrain_workloads::verdict::AnomalyKind;
    use splitbrain_workloads::workload;

    use super::*;
    use crate::run::recorder::Clock;

    struct Bench {
        recorder: Arc<Recorder>,
        journal: Arc<Journal>,
        _folder: tempfile::TempDir,
    }

    impl Bench {
        fn new() -> Bench {
            let folder = tempfile::tempdir().unwrap();
            let workload = "register".to_string();
            let header = Header { history: FORMAT_VERSION, workload, nodes: 3 };
            let clock = Clock::start();
            let recorder = Recorder::create(&folder.path().join("history"), &header, clock);
            let recorder = Arc::new(recorder.unwrap());
            let events = folder.path().join("events");
            let listener = Box::new(|_: &_, _| {});
            let journal = Journal::create(&events, clock, recorder.clone(), listener).unwrap();
            Bench { recorder, journal: Arc::new(journal), _folder: folder }
        }

        fn watch(&self, watcher: Watcher) -> Watching {
            Watching::start(self.recorder.clone(), self.journal.clone(), watcher)
        }

        fn call(&self, op: Op, reply: Reply) {
            let (client, node) = (ClientId(1), NodeId(1));
            self.recorder.invoke(client, node, false, &op);
            self.recorder.complete(client, node, &op, &Outcome::Ok(reply));
        }

        /// Two writes, and a read of the first.
        fn go_back(&self) {
            let key = Key::new("r1");
            for value in [Value(1), Value(2)] {
                self.call(Op::Write { key: key.clone(), value }, Reply::Written);
            }
            let read = Op::Read { key, consistency: Default::default() };
            self.call(read, Reply::Read(Some(Value(1))));
        }
    }

    fn watcher() -> Watcher {
        workload::watcher_of("register").unwrap()
    }

    #[tokio::test]
    async fn a_violation_is_told_while_the_run_goes_on() {
        let bench = Bench::new();
        let watching = bench.watch(watcher());
        bench.go_back();
        watching.found().await;
        let violation = watching.finish().unwrap().violation.unwrap();
        assert_eq!(violation.kind, AnomalyKind::StaleRead);
        let events = bench.journal.events().unwrap();
        assert!(matches!(events[..], [ref it] if matches!(it.event, Event::ViolationFound { .. })));
    }

    #[tokio::test]
    async fn what_comes_just_before_the_end_is_watched_too_and_a_quiet_run_needs_no_word() {
        let bench = Bench::new();
        let watching = bench.watch(watcher());
        bench.go_back();
        assert!(watching.finish().unwrap().violation.is_some());
        let bench = Bench::new();
        let watching = bench.watch(watcher());
        let write = Op::Write { key: Key::new("r1"), value: Value(1) };
        bench.call(write, Reply::Written);
        assert_eq!(watching.finish(), None);
    }

    #[tokio::test]
    async fn a_watch_over_its_budget_stops_nothing_and_says_so() {
        let bench = Bench::new();
        let watching = bench.watch(watcher().with_values_max(1));
        bench.go_back();
        let record = watching.finish().unwrap();
        assert_eq!(record.violation, None);
        assert_eq!(
            record.unwatched.as_deref(),
            Some("it keeps at most 1 values, and there are more")
        );
        assert!(bench.journal.events().unwrap().is_empty());
    }
}
