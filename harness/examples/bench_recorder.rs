//! Measures what watching a run costs its clients: recording operations with and without a watch at
//! work, by turns. Called by hand on a quiet machine (`docs/performance.md`); no part of the product.
//!
//! As many threads as clients record a register's writes and reads as fast as they can into a file,
//! which is far more than clients that wait for a store do. What is printed is the time of one
//! operation, invocation and completion, over all threads.

#![allow(clippy::print_stdout, reason = "the numbers are what it is for")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use splitbrain::run::journal::Journal;
use splitbrain::run::recorder::{Clock, Recorder};
use splitbrain::run::watching::Watching;
use splitbrain_workloads::history::{FORMAT_VERSION, Header};
use splitbrain_workloads::operation::{ClientId, Key, NodeId, Op, Outcome, Reply, Value};
use splitbrain_workloads::workload::watcher_of;

/// How often each is measured.
const ROUNDS: usize = 7;

/// Operations of a round, over all threads.
const OPERATIONS: i64 = 200_000;

/// Clients on threads of their own.
const THREADS: i64 = 4;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let (mut plain, mut watched) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        plain = plain.min(record(false)?);
        watched = watched.min(record(true)?);
    }
    let each = |took: Duration| took.as_nanos() / OPERATIONS as u128;
    println!("recorded {} ns, watched {} ns an operation", each(plain), each(watched));
    Ok(())
}

/// How long it takes to record everything; the watch may go on afterwards.
fn record(is_watched: bool) -> Result<Duration> {
    let folder = tempfile::tempdir()?;
    let header = Header { history: FORMAT_VERSION, workload: "register".into(), nodes: 3 };
    let clock = Clock::start();
    let recorder = Arc::new(Recorder::create(&folder.path().join("history"), &header, clock)?);
    let listener = Box::new(|_: &_, _| {});
    let events = folder.path().join("events");
    let journal = Arc::new(Journal::create(&events, clock, recorder.clone(), listener)?);
    let watcher = watcher_of("register").ok_or("registers are watched")?;
    let watching = is_watched.then(|| Watching::start(recorder.clone(), journal, watcher));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let recorder = &recorder;
            scope.spawn(move || ask(recorder, thread));
        }
    });
    let took = began.elapsed();
    if let Some(Some(record)) = watching.map(Watching::finish) {
        return Err(format!("a right history was watched: {record:?}").into());
    }
    Ok(took)
}

/// Writes a key of its own and reads it, by turns.
fn ask(recorder: &Recorder, thread: i64) {
    let (client, node) = (ClientId(thread as u32), NodeId(1 + thread as u16 % 3));
    let key = Key::new(format!("r{thread}"));
    for value in 1..=OPERATIONS / THREADS / 2 {
        let write = Op::Write { key: key.clone(), value: Value(value) };
        recorder.invoke(client, node, false, &write);
        recorder.complete(client, node, &write, &Outcome::Ok(Reply::Written));
        let read = Op::Read { key: key.clone(), consistency: Default::default() };
        recorder.invoke(client, node, false, &read);
        recorder.complete(client, node, &read, &Outcome::Ok(Reply::Read(Some(Value(value)))));
    }
}
