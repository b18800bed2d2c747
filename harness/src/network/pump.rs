//! The bytes of one connection, both ways, each way obeying its own link.
//!
//! A cut holds: what the sender offers is read into a bounded buffer and forwarded after the heal,
//! in order. Nothing is ever dropped inside a stream that then goes on. When the sender ends
//! meanwhile its held bytes die with it, and the other side is told by a reset, after the heal.
//! News travels on links too: the end of a party reaches the other only where its link is open.
//! Holding happens above TCP: the kernel has acknowledged the bytes to the sender all the same.
//!
//! A link that is slow queues chunks, each with the instant when it is due, and reads on: a sleep
//! in the pump would stretch a delay by the number of chunks. Called by [`proxy`](super::proxy).

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, Shutdown, recv, shutdown};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::flood::Flood;
use super::gate::{Dial, Ending, Gate};
use super::shape::Due;
use super::timer;

/// Bytes read at once: as much as a socket buffer gives in one go, so that a flood costs few calls.
const CHUNK: usize = 64 << 10;

/// Bytes held or queued per connection and direction before the proxy stops reading and TCP makes the sender
/// wait. Heartbeats and requests of a minute fit; a flood over hundreds of connections does not
/// fill the memory.
const HOLD: usize = 1 << 20;

/// How long the acceptor's kernel may take to accept a connection. On loopback that is immediate
/// unless its queue is full, because it is paused.
const CONNECT: Duration = Duration::from_secs(10);

/// A direction cannot go on, and what it had is lost: in the end both sockets are to be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gone {
    /// The source ended without a good end, and its link is open for the news.
    Source,
    /// The sink takes no more. What it said before may still be on its way back, and so is the
    /// news of its end.
    Sink,
}

/// What a client lane wants to know of its connections.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Bytes handed on from the dialler to the acceptor.
    pub(crate) forwarded: AtomicU64,
    /// Connections that the acceptor refused.
    pub(crate) refused: AtomicU64,
}

/// The links of a connection, as seen from its dialler.
pub(crate) struct Way {
    /// From the dialler to the acceptor.
    pub(crate) there: Arc<Gate>,
    /// From the acceptor to the dialler.
    pub(crate) back: Arc<Gate>,
}

/// Carries one accepted connection to its end, or until a fault ends it. While either link is
/// cut the acceptor is not dialled, since a handshake needs both. Canceling it resets both ends at
/// once; what was held, queued or not yet taken by the acceptor's kernel never arrives.
pub(crate) async fn carry(dialler: TcpStream, upstream: SocketAddr, way: Way, tally: &Tally) {
    let (mut there, mut back) = (way.there.endings(), way.back.endings());
    let acceptor = OnceLock::new();
    let told = tokio::select! {
        biased;
        () = carry_to_its_end(&dialler, &acceptor, upstream, &way, tally) => return,
        _ = there.changed() => there.borrow().clone(),
        _ = back.changed() => back.borrow().clone(),
    };
    // Whichever end is dropped from here on is reset.
    let acceptor = acceptor.into_inner();
    for stream in [Some(&dialler), acceptor.as_ref()].into_iter().flatten() {
        let _ = stream.set_zero_linger();
    }
    let Some(Ending::HalfOpen { by, healed }) = told else {
        drop((dialler, acceptor));
        way.there.count_reset();
        way.back.count_reset();
        // Only now: their end tells that this connection has ended and was counted.
        drop((there, back));
        return;
    };
    let (gone, silent, sends) = match way.there.link().from == by {
        true => (Some(dialler), acceptor, &way.back),
        false => (acceptor, Some(dialler), &way.there),
    };
    drop(gone);
    way.there.count_half_open();
    way.back.count_half_open();
    drop((there, back));
    if let Some(silent) = silent {
        stay_silent(&silent, sends, healed).await;
    }
}

/// Keeps one end of a connection whose other end is gone, without a word, until the heal or until
/// whoever holds it gives up. What it sends leads nowhere.
async fn stay_silent(stream: &TcpStream, sends: &Gate, mut healed: watch::Receiver<()>) {
    let mut chunk = vec![0; CHUNK];
    loop {
        tokio::select! {
            _ = healed.changed() => return,
            ready = stream.readable() => if ready.is_err() { return },
        }
        match stream.try_read(&mut chunk) {
            Ok(0) => return,
            Ok(bytes) => sends.count_into_silence(bytes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

async fn carry_to_its_end(
    dialler: &TcpStream,
    acceptor: &OnceLock<TcpStream>,
    upstream: SocketAddr,
    way: &Way,
    tally: &Tally,
) {
    let mut held = Vec::new();
    if way.there.is_cut() || way.back.is_cut() {
        let cut = if way.there.is_cut() { &way.there } else { &way.back };
        if way.there.refuses() || way.back.refuses() {
            cut.count_dial(Dial::TurnedAway);
            let _ = dialler.set_zero_linger();
            return;
        }
        cut.count_dial(Dial::Held);
        match hold_dial(dialler, way).await {
            Ok(bytes) => held = bytes,
            Err(_) => return,
        }
    }
    let connected = match timeout(CONNECT, TcpStream::connect(upstream)).await {
        Ok(Ok(connected)) if !is_self_connected(&connected) => connected,
        Ok(Err(error)) if error.kind() != io::ErrorKind::ConnectionRefused => return,
        Err(_) => return,
        Ok(_) => {
            way.there.count_dial(Dial::Refused);
            tally.refused.fetch_add(1, Ordering::SeqCst);
            // Counted before the dialler is told, so that it can find out. The refusal is news
            // from the acceptor, which a cut since then holds too.
            is_open(&mut way.back.watch()).await;
            let _ = dialler.set_zero_linger();
            return;
        }
    };
    way.there.count_dial(Dial::Passed);
    let acceptor = acceptor.get_or_init(|| connected);
    let mut ends = Ends { dialler, acceptor, graceful: false };
    if acceptor.set_nodelay(true).is_err() {
        return;
    }
    let there = Pump::new(dialler, acceptor, &way.there, Some(tally));
    let back = Pump::new(acceptor, dialler, &way.back, None);
    let (there, back) = (pin!(there.run(held)), pin!(back.run(Vec::new())));
    let graceful = match select(there, back).await {
        Either::Left((ended, other)) => both_end_well(ended, other).await,
        Either::Right((ended, other)) => both_end_well(ended, other).await,
    };
    ends.graceful = graceful;
}

/// Waits for the other direction, unless its sink, the gone source, could not take its bytes.
async fn both_end_well(
    ended: Result<(), Gone>,
    other: impl Future<Output = Result<(), Gone>>,
) -> bool {
    match ended {
        Ok(()) => other.await.is_ok(),
        Err(Gone::Source) => false,
        Err(Gone::Sink) => {
            // It reads from the sink that is gone, so it comes to an end by itself.
            let _ = other.await;
            false
        }
    }
}

/// The kernel connects a socket to itself when a dialled port of one's own address is picked as
/// the source port; nobody listens there.
fn is_self_connected(stream: &TcpStream) -> bool {
    match (stream.local_addr(), stream.peer_addr()) {
        (Ok(local), Ok(peer)) => local == peer,
        _ => true,
    }
}

/// Both sockets of a connection. Unless both directions ended well, dropping them resets them, so
/// that no kernel delivers later what was written before.
struct Ends<'a> {
    dialler: &'a TcpStream,
    acceptor: &'a TcpStream,
    graceful: bool,
}

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        if !self.graceful {
            // Only an already dead socket refuses.
            let _ = self.dialler.set_zero_linger();
            let _ = self.acceptor.set_zero_linger();
        }
    }
}

/// Waits until both links are open, taking what the dialler sends meanwhile.
async fn hold_dial(dialler: &TcpStream, way: &Way) -> Result<Vec<u8>, Gone> {
    let mut hold = Hold::new(dialler, &way.there);
    let (mut there, mut back) = (way.there.watch(), way.back.watch());
    loop {
        if *there.borrow_and_update() && *back.borrow_and_update() {
            hold.last_look()?;
            return Ok(hold.bytes);
        }
        tokio::select! {
            _ = there.changed() => {}
            _ = back.changed() => {}
            read = hold.read() => read?,
        }
    }
}

/// Bytes that wait for a heal.
struct Hold<'a> {
    source: &'a TcpStream,
    gate: &'a Gate,
    bytes: Vec<u8>,
}

impl<'a> Hold<'a> {
    fn new(source: &'a TcpStream, gate: &'a Gate) -> Hold<'a> {
        Hold { source, gate, bytes: Vec::new() }
    }

    /// Takes what the source has; waits for ever when full. An end of the source breaks the
    /// connection: what it had offered died with it.
    async fn read(&mut self) -> Result<(), Gone> {
        if self.bytes.len() >= HOLD {
            return std::future::pending().await;
        }
        self.source.readable().await.map_err(|_| Gone::Source)?;
        match take(&mut self.bytes, |chunk| self.source.try_read(chunk)) {
            Ok(0) => Err(Gone::Source),
            Ok(bytes) => {
                if self.gate.is_cut() {
                    self.gate.count_offered(bytes);
                }
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(_) => Err(Gone::Source),
        }
    }

    /// Asks the kernel, not the runtime, whether the source has ended by now: its end may stand
    /// behind bytes that nobody has read yet. Takes those; they are no more than its socket
    /// buffer.
    fn last_look(&mut self) -> Result<(), Gone> {
        let fd = self.source.as_raw_fd();
        loop {
            let read = take(&mut self.bytes, |chunk| Ok(recv(fd, chunk, MsgFlags::MSG_DONTWAIT)?));
            match read {
                Ok(0) => return Err(Gone::Source),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.raw_os_error() == Some(Errno::EINTR as i32) => {}
                Err(_) => return Err(Gone::Source),
            }
        }
    }
}

/// One direction of a connection.
struct Pump<'a> {
    source: &'a TcpStream,
    sink: &'a TcpStream,
    gate: &'a Gate,
    open: watch::Receiver<bool>,
    tally: Option<&'a Tally>,
    /// Once it was needed.
    flood: Option<Flood>,
}

impl<'a> Pump<'a> {
    fn new(
        source: &'a TcpStream,
        sink: &'a TcpStream,
        gate: &'a Gate,
        tally: Option<&'a Tally>,
    ) -> Pump<'a> {
        Pump { source, sink, gate, open: gate.watch(), tally, flood: None }
    }

    /// Pumps until the source has ended and the sink was told.
    async fn run(mut self, held: Vec<u8>) -> Result<(), Gone> {
        self.pass(&held).await?;
        drop(held);
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = match self.source.readable().await {
                Ok(()) => self.source.try_read(&mut chunk),
                Err(error) => Err(error),
            };
            let first = match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                read if self.gate.is_slow() => match read {
                    Ok(0) => Item::End,
                    Ok(bytes) => Item::Bytes(chunk[..bytes].to_vec()),
                    Err(_) => Item::Gone,
                },
                Ok(0) => break,
                Ok(bytes) => {
                    self.pass(&chunk[..bytes]).await?;
                    // As much as was asked for: there is more where that came from.
                    if bytes == CHUNK && !self.gate.is_cut() {
                        self.flood().await?;
                    }
                    continue;
                }
                Err(_) => return self.source_is_gone().await,
            };
            match self.run_slow(first).await? {
                Slow::Over => {}
                Slow::End => break,
            }
        }
        // Half-close: the other direction may go on.
        is_open(&mut self.open).await;
        shutdown(self.sink.as_raw_fd(), Shutdown::Write).map_err(|_| Gone::Sink)
    }

    /// Pumps while the link is slow, each chunk at its time, and until all that was queued meanwhile
    /// has been handed on.
    async fn run_slow(&mut self, first: Item) -> Result<Slow, Gone> {
        let mut queue = Queue::default();
        queue.push(self.gate, first);
        let mut blocked = false;
        loop {
            let reads_on = !queue.ends && queue.bytes < HOLD;
            let Some(alarm) = queue.alarm() else { return Ok(Slow::Over) };
            tokio::select! {
                biased;
                _ = alarm, if !blocked => {}
                ready = self.sink.writable(), if blocked => {
                    ready.map_err(|_| Gone::Sink)?;
                    blocked = false;
                }
                ready = self.source.readable(), if reads_on => {
                    match ready.and_then(|()| self.read_slow()) {
                        Ok(bytes) if bytes.is_empty() => queue.push(self.gate, Item::End),
                        Ok(bytes) => queue.push(self.gate, Item::Bytes(bytes)),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(_) => queue.push(self.gate, Item::Gone),
                    }
                    continue;
                }
            }
            match queue.front() {
                Some(Item::End) => {
                    queue.count_end(self.gate);
                    return Ok(Slow::End);
                }
                Some(Item::Gone) => {
                    queue.count_end(self.gate);
                    return self.source_is_gone().await.map(|()| Slow::End);
                }
                Some(Item::Bytes(bytes)) => match self.try_pass(&bytes[queue.from..]) {
                    Some(Ok(written)) => queue.passed(self.gate, written),
                    Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => blocked = true,
                    Some(Err(_)) => return Err(Gone::Sink),
                    None => {
                        let (offered, ends) = queue.into_bytes();
                        if ends {
                            // It ended with bytes on the way, which now died with it.
                            self.gate.count_offered(offered.len());
                            return self.source_is_gone().await.map(|()| Slow::End);
                        }
                        self.hold(offered).await?;
                        return Ok(Slow::Over);
                    }
                },
                None => {}
            }
        }
    }

    /// Hands on whatever comes, without looking at it, until nothing more is there, or until the
    /// link is cut or slow. The end of the source is left for whoever reads next.
    async fn flood(&mut self) -> Result<(), Gone> {
        let mut flood = match self.flood.take() {
            Some(flood) => flood,
            None => match Flood::new() {
                Ok(flood) => flood,
                // Without a descriptor to spare the bytes are copied.
                Err(_) => return Ok(()),
            },
        };
        let done = self.pour(&mut flood).await;
        // Empty again, or the connection is over.
        self.flood = Some(flood);
        done
    }

    async fn pour(&mut self, flood: &mut Flood) -> Result<(), Gone> {
        loop {
            // At its end the source stays readable, and is read once more by the caller.
            match flood.fill(self.source) {
                Ok(0) | Err(_) => return Ok(()),
                Ok(_) => {}
            }
            while !flood.is_empty() {
                match self.count(self.gate.pass(|| flood.pour(self.sink))) {
                    Some(Ok(poured)) => flood.poured(poured),
                    Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                        tokio::select! {
                            ready = self.sink.writable() => if ready.is_err() {
                                return Err(Gone::Sink);
                            },
                            _ = self.open.changed() => {}
                        }
                    }
                    Some(Err(_)) => return Err(Gone::Sink),
                    None => {
                        let offered = flood.drain().map_err(|_| Gone::Source)?;
                        return self.hold(offered).await;
                    }
                }
            }
            if self.gate.is_slow() {
                return Ok(());
            }
            // Others on this thread get their turn, as after a read of the runtime's.
            tokio::task::coop::consume_budget().await;
        }
    }

    fn read_slow(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.gate.chunk()];
        let read = self.source.try_read(&mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Hands bytes on, now or after the heal; returns when the sink's kernel has all of them.
    async fn pass(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.try_pass(rest) {
                Some(Ok(written)) => rest = &rest[written..],
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::select! {
                        ready = self.sink.writable() => if ready.is_err() {
                            return Err(Gone::Sink);
                        },
                        _ = self.open.changed() => {}
                    }
                }
                Some(Err(_)) => return Err(Gone::Sink),
                None => return self.hold(rest.to_vec()).await,
            }
        }
        Ok(())
    }

    /// Holds bytes, and all that the source adds to them, until they are delivered.
    async fn hold(&mut self, offered: Vec<u8>) -> Result<(), Gone> {
        self.gate.count_offered(offered.len());
        let mut hold = Hold { source: self.source, gate: self.gate, bytes: offered };
        let mut from = 0;
        loop {
            // Cut: take what comes, until the heal.
            while !*self.open.borrow_and_update() {
                let read = tokio::select! {
                    _ = self.open.changed() => Ok(()),
                    read = hold.read() => read,
                };
                if read.is_err() {
                    drop(hold);
                    return self.source_is_gone().await;
                }
            }
            hold.last_look()?;
            // Open: hand on, until done or cut again.
            loop {
                if from == hold.bytes.len() {
                    return Ok(());
                }
                match self.try_pass(&hold.bytes[from..]) {
                    Some(Ok(written)) => from += written,
                    Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                        tokio::select! {
                            ready = self.sink.writable() => if ready.is_err() {
                                return Err(Gone::Sink);
                            },
                            _ = self.open.changed() => {}
                        }
                    }
                    Some(Err(_)) => return Err(Gone::Sink),
                    None => break,
                }
            }
            hold.bytes.drain(..from);
            from = 0;
        }
    }

    fn try_pass(&self, bytes: &[u8]) -> Option<io::Result<usize>> {
        self.count(self.gate.pass(|| self.sink.try_write(bytes)))
    }

    /// Tells the tally of the lane what was handed on.
    fn count(&self, passed: Option<io::Result<usize>>) -> Option<io::Result<usize>> {
        if let (Some(Ok(written)), Some(tally)) = (&passed, self.tally) {
            tally.forwarded.fetch_add(*written as u64, Ordering::SeqCst);
        }
        passed
    }

    /// The sink learns that the source is gone as soon as their link is open.
    async fn source_is_gone(&mut self) -> Result<(), Gone> {
        is_open(&mut self.open).await;
        Err(Gone::Source)
    }
}

/// Why a pump is no longer slow.
enum Slow {
    /// The link is as fast as before.
    Over,
    /// The source ended well.
    End,
}

/// What is on its way over a slow link.
enum Item {
    Bytes(Vec<u8>),
    /// The good end of the source.
    End,
    /// Its bad end.
    Gone,
}

/// Chunks of one direction of a connection, each with the instant when it is due.
#[derive(Default)]
struct Queue {
    items: VecDeque<(Instant, Due, Item)>,
    /// The bytes of all items, and how many of the first were handed on already.
    bytes: usize,
    from: usize,
    /// Whether the source has ended.
    ends: bool,
    /// Rings when the first item is due.
    alarm: Option<oneshot::Receiver<()>>,
}

impl Queue {
    /// Adds what was read now. It is due no earlier than what was read before.
    fn push(&mut self, gate: &Gate, item: Item) {
        let now = Instant::now();
        let (bytes, mut due) = match &item {
            Item::Bytes(bytes) => (bytes.len(), gate.due(bytes.len(), now)),
            Item::End | Item::Gone => (0, gate.end_due(now)),
        };
        self.ends |= bytes == 0;
        if let Some((_, before, _)) = self.items.back() {
            due.at = due.at.max(before.at);
        }
        self.bytes += bytes;
        self.items.push_back((now, due, item));
    }

    /// Rings when the first item is due; `None` when there is none.
    fn alarm(&mut self) -> Option<impl Future<Output = ()>> {
        let (_, due, _) = self.items.front()?;
        if self.alarm.is_none() && due.at > Instant::now() {
            self.alarm = Some(timer::at(due.at));
        }
        let alarm = &mut self.alarm;
        Some(async move {
            if let Some(rings) = alarm {
                let _ = rings.await;
                *alarm = None;
            }
        })
    }

    /// Counts the end of the source, which is first in the queue and handed on now.
    fn count_end(&self, gate: &Gate) {
        if let Some((seen, _, _)) = self.items.front() {
            gate.count_end(*seen);
        }
    }

    fn front(&self) -> Option<&Item> {
        self.items.front().map(|(_, _, item)| item)
    }

    fn passed(&mut self, gate: &Gate, written: usize) {
        self.from += written;
        let Some((read, due, Item::Bytes(bytes))) = self.items.front() else { return };
        if self.from == bytes.len() {
            gate.count_slowed(bytes.len(), *read, *due);
            self.bytes -= self.from;
            self.from = 0;
            self.items.pop_front();
        }
    }

    /// All bytes that were not handed on, and whether the source has ended.
    fn into_bytes(self) -> (Vec<u8>, bool) {
        let mut all = Vec::with_capacity(self.bytes);
        for (_, _, item) in self.items {
            if let Item::Bytes(bytes) = item {
                all.extend(bytes);
            }
        }
        all.drain(..self.from.min(all.len()));
        (all, self.ends)
    }
}

async fn is_open(link: &mut watch::Receiver<bool>) {
    // The gate outlives its pumps, so there is no other way to end the wait.
    let _ = link.wait_for(|open| *open).await;
}

/// Reads once, at the end of a buffer.
fn take(
    buffer: &mut Vec<u8>,
    read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
) -> io::Result<usize> {
    let length = buffer.len();
    buffer.resize(length + CHUNK, 0);
    let result = read(&mut buffer[length..]);
    buffer.truncate(length + result.as_ref().map_or(0, |bytes| *bytes));
    result
}
