//! The one order of a run: every invocation and completion gets its number here, under one lock.
//!
//! It writes the history while the run goes on, so that a killed run leaves what it saw. It knows
//! no checker; whoever wants the history reads the file back, so what is judged is what is on
//! disk. Clients and final reads call it; conditions of faults read its counters; whoever watches
//! the run fetches the events, for which no client waits or wakes anybody.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use splitbrain_workloads::history::jsonl::Writer;
use splitbrain_workloads::history::{Header, Micros, Stamp};
use splitbrain_workloads::operation::{ClientId, NodeId, Op, Outcome, Reply};

/// The clock of a run. Its zero is the run's beginning; it is monotonic and orders nothing.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
}

impl Clock {
    /// Starts a clock at zero.
    pub fn start() -> Clock {
        Clock { began: Instant::now() }
    }

    /// The time since the run's beginning.
    pub fn now(&self) -> Micros {
        Micros(u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The instant of a time of this clock.
    pub fn instant(&self, at: Micros) -> Instant {
        self.began + std::time::Duration::from_micros(at.0)
    }
}

/// Records operations.
pub struct Recorder {
    clock: Clock,
    order: Mutex<Order>,
    /// Acknowledged writes by node, `n1` first.
    acknowledged: Vec<AtomicU64>,
    succeeded: AtomicU64,
}

/// An event, for whoever watches.
#[derive(Debug)]
pub enum Seen {
    /// A client is about to send an operation.
    Invoked(Stamp, ClientId, bool, Op),
    /// The open operation of a client has ended.
    Completed(Stamp, ClientId, Outcome),
}

/// How many events wait to be fetched at most: two seconds of the most that clients of one machine
/// have been seen to do, of a watch that looks every few milliseconds.
const SEEN_MAX: usize = 1 << 18;

/// Events for whoever watches.
#[derive(Debug, Default)]
pub struct Feed {
    /// In their order.
    pub events: Vec<Seen>,
    /// Whether more came than wait to be fetched, so that these are not all.
    pub overflowed: bool,
}

struct Order {
    next: u64,
    feed: Option<Feed>,
    /// `None` once the history is finished.
    writer: Option<Writer<BufWriter<File>>>,
    /// The first failed write of the file. Later ones say nothing new.
    broken: Option<io::Error>,
}

impl Recorder {
    /// Opens a history file for writing.
    ///
    /// # Errors
    ///
    /// When the file cannot be created or its header cannot be written.
    pub fn create(path: &Path, header: &Header, clock: Clock) -> io::Result<Recorder> {
        let writer = Writer::new(BufWriter::new(File::create(path)?), header.clone())?;
        let acknowledged = (0..header.nodes).map(|_| AtomicU64::new(0)).collect();
        let order = Order { next: 0, feed: None, writer: Some(writer), broken: None };
        let order = Mutex::new(order);
        Ok(Recorder { clock, order, acknowledged, succeeded: AtomicU64::new(0) })
    }

    /// Records that a client is about to send the first byte of an operation.
    pub fn invoke(&self, client: ClientId, node: NodeId, is_final: bool, op: &Op) {
        self.write(
            |writer, stamp| writer.invoke(stamp, client, Some(node), is_final, op),
            |stamp| Seen::Invoked(stamp, client, is_final, op.clone()),
        );
    }

    /// Records that a client has read the last byte of the answer, or has given up.
    pub fn complete(&self, client: ClientId, node: NodeId, op: &Op, outcome: &Outcome) {
        self.write(
            |writer, stamp| writer.complete(stamp, client, outcome),
            |stamp| Seen::Completed(stamp, client, outcome.clone()),
        );
        let wrote = match outcome {
            Outcome::Ok(Reply::Compared { swapped, .. }) => *swapped,
            Outcome::Ok(Reply::Transacted { succeeded: false, .. }) => false,
            Outcome::Ok(Reply::Denied { .. } | Reply::StaleToken | Reply::WasHeld(false)) => false,
            Outcome::Ok(_) => !op.is_read(),
            Outcome::Fail(_) | Outcome::Info(_) => false,
        };
        if matches!(outcome, Outcome::Ok(_)) {
            self.succeeded.fetch_add(1, Ordering::Relaxed);
        }
        if wrote {
            self.acknowledged[usize::from(node.0 - 1)].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many writes have been acknowledged through one node, or through all.
    pub fn acknowledged(&self, node: Option<NodeId>) -> u64 {
        match node {
            Some(node) => self.acknowledged[usize::from(node.0 - 1)].load(Ordering::Relaxed),
            None => self.acknowledged.iter().map(|count| count.load(Ordering::Relaxed)).sum(),
        }
    }

    /// How many operations have ended ok.
    pub fn succeeded(&self) -> u64 {
        self.succeeded.load(Ordering::Relaxed)
    }

    /// From now on keeps events for whoever watches.
    pub fn feed(&self) {
        let mut order = self.order.lock().expect("no holder of this lock panics");
        order.feed = Some(Feed::default());
    }

    /// Keeps none any more.
    pub fn unfeed(&self) {
        self.order.lock().expect("no holder of this lock panics").feed = None;
    }

    /// The events since the last fetch. The room of `before` is used for the next ones.
    pub fn fetch(&self, mut before: Feed) -> Feed {
        before.events.clear();
        before.overflowed = false;
        let mut order = self.order.lock().expect("no holder of this lock panics");
        match &mut order.feed {
            Some(feed) => std::mem::replace(feed, before),
            None => before,
        }
    }

    /// Hands what is buffered to the operating system.
    pub fn flush(&self) {
        let mut order = self.order.lock().expect("no holder of this lock panics");
        let flushed = order.writer.as_mut().map_or(Ok(()), Writer::flush);
        if let (Err(error), None) = (flushed, &order.broken) {
            order.broken = Some(error);
        }
    }

    /// Writes the trailer. Whatever is recorded afterwards is not part of the history.
    ///
    /// # Errors
    ///
    /// The first error of any write of this history; a full disk, most likely.
    pub fn finish(&self) -> io::Result<()> {
        let mut order = self.order.lock().expect("no holder of this lock panics");
        let writer = order.writer.take();
        match (order.broken.take(), writer) {
            (Some(error), _) => Err(error),
            (None, Some(writer)) => writer.finish()?.flush(),
            (None, None) => Ok(()),
        }
    }

    fn write(
        &self,
        line: impl FnOnce(&mut Writer<BufWriter<File>>, Stamp) -> io::Result<()>,
        seen: impl FnOnce(Stamp) -> Seen,
    ) {
        let mut order = self.order.lock().expect("no holder of this lock panics");
        // The time is read under the lock, so that it grows with the number.
        let stamp = Stamp { seq: order.next, at: self.clock.now() };
        order.next += 1;
        let Order { writer: Some(writer), feed, .. } = &mut *order else { return };
        match feed {
            Some(feed) if feed.events.len() < SEEN_MAX => feed.events.push(seen(stamp)),
            Some(feed) => feed.overflowed = true,
            None => {}
        }
        let written = line(writer, stamp);
        if let (Err(error), None) = (written, &order.broken) {
            order.broken = Some(error);
        }
    }
}
