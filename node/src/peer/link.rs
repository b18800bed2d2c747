//! The sending end of a directed link: a bounded queue and the connection that drains it.
//!
//! Nothing is sent twice and nothing in part: what was being written when a connection broke is
//! lost, what was still queued is dropped whole. Without a connection nothing is queued, since it
//! would be outdated by the time there is one.
//!
//! A connection whose other end is gone without a word takes bytes for ever. Two signs tell: the
//! peer has dialled this node anew, so it has lost connections, and perhaps this one too; or nothing
//! at all has been heard of it for a long time although it was sent something. Either way this end
//! dials anew. That loses no more than any broken connection does, so it may be wrong now and then.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info};

use super::frame::{Hello, encode};
use super::{Inbox, LinkState, Peer, Pulse};
use crate::protocol::{Input, Message, NodeId, RequestId};

/// Most bytes that wait for a connection that makes no progress. The core itself sends no more
/// than its window ahead of answers; this bounds what comes on top, such as forwards.
const QUEUE_BYTES_MAX: usize = 8 << 20;

/// Bytes handed to the kernel at a time.
const WRITE_BYTES: usize = 256 << 10;

/// A write that makes no progress for this long means a dead peer or a full path to it; a fresh
/// connection has at least a chance.
const STUCK_AFTER: Duration = Duration::from_secs(2);

/// A connection that is younger than this is not given up because the peer has dialled: two nodes
/// that lost each other dial at about the same time, and the answer to a dial must not be a dial.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// A peer of which nothing is heard for so long, although it was sent something, is dialled anew.
/// Followers and leaders answer one another many times a second, and a busy machine, a full disk or
/// a pause seldom takes longer; beside the quarter of an hour in which TCP itself gives up it is
/// short. Wrong, it costs one connection each time.
const SILENT_AFTER: Duration = Duration::from_secs(5);

/// How often that is looked at.
const LISTEN_EVERY: Duration = Duration::from_millis(500);

/// Between attempts to connect: doubles from the first to the last, so that a peer that is gone
/// costs little and one that comes back is found quickly.
const BACKOFF_FIRST: Duration = Duration::from_millis(10);
const BACKOFF_LAST: Duration = Duration::from_millis(150);

/// The sending end of one directed link. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    outbox: Mutex<Outbox>,
    wake: Notify,
    state: Arc<LinkState>,
    /// Whether the connection that it has, or tries to make, is its last.
    retired: AtomicBool,
    /// Whether that is over.
    ended: AtomicBool,
    /// Signs of life of the peer, on whatever connection.
    pulse: Arc<Pulse>,
    /// Since when it owes a sign of life, as [`Pulse::now`] counts; 0 if it does not.
    asked: AtomicU64,
}

#[derive(Debug, Default)]
struct Outbox {
    connected: bool,
    frames: VecDeque<Frame>,
    bytes: usize,
}

#[derive(Debug)]
struct Frame {
    bytes: Vec<u8>,
    /// A heartbeat: a later one makes it pointless.
    is_beat: bool,
    /// The forward in it, whose fate somebody waits for.
    forward: Option<RequestId>,
}

impl Link {
    /// Starts the task that keeps a connection to the peer and sends what is queued.
    pub(crate) fn start(
        hello: Hello,
        peer: Peer,
        state: Arc<LinkState>,
        inbox: Inbox,
        pulse: Arc<Pulse>,
    ) -> Self {
        let shared = Shared {
            outbox: Mutex::default(),
            wake: Notify::new(),
            state,
            retired: AtomicBool::default(),
            ended: AtomicBool::default(),
            pulse,
            asked: AtomicU64::default(),
        };
        let link = Link { shared: Arc::new(shared) };
        tokio::spawn(link.clone().keep_connected(hello, peer, inbox));
        link
    }

    /// Lets the connection that it has, or tries to make, be its last.
    pub(crate) fn retire(&self) {
        self.shared.retired.store(true, Relaxed);
    }

    /// Whether it was told to retire.
    pub(crate) fn has_retired(&self) -> bool {
        self.shared.retired.load(Relaxed)
    }

    /// Whether it has retired and its last connection has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.shared.ended.load(Relaxed)
    }

    /// Queues a message. Returns the forwards that were dropped, unsent, on this occasion.
    pub(crate) fn send(&self, message: &Message) -> Vec<RequestId> {
        let forward = match message {
            Message::Forward { id, .. } => Some(*id),
            _ => None,
        };
        let mut unsent = Vec::new();
        let mut outbox = self.outbox();
        if !outbox.connected {
            self.shared.state.dropped.fetch_add(1, Relaxed);
            unsent.extend(forward);
            return unsent;
        }
        let is_beat = matches!(message, Message::Append { entries, .. } if entries.is_empty());
        if is_beat && outbox.frames.back().is_some_and(|last| last.is_beat) {
            outbox.pop_back();
        }
        let bytes = encode(message);
        outbox.bytes += bytes.len();
        outbox.frames.push_back(Frame { bytes, is_beat, forward });
        while outbox.bytes > QUEUE_BYTES_MAX && outbox.frames.len() > 1 {
            self.shared.state.dropped.fetch_add(1, Relaxed);
            unsent.extend(outbox.pop_front().and_then(|frame| frame.forward));
        }
        drop(outbox);
        self.shared.wake.notify_one();
        unsent
    }

    async fn keep_connected(self, hello: Hello, peer: Peer, inbox: Inbox) {
        let mut backoff = BACKOFF_FIRST;
        loop {
            if let Some(stream) = connect(peer.address, hello).await {
                backoff = BACKOFF_FIRST;
                info!("link to {} is up", peer.node);
                self.shared.state.connections.fetch_add(1, Relaxed);
                self.set_connected(true);
                let why = self.drain(stream).await;
                info!("link to {} is down: {why}", peer.node);
                let unsent = self.set_connected(false);
                // What was dropped whole is known not to have been sent; the rest may be lost.
                if !report(&inbox, peer.node, unsent).await {
                    return;
                }
            }
            if self.has_retired() {
                return self.shared.ended.store(true, Relaxed);
            }
            sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_LAST);
        }
    }

    /// Sends until the connection ends; returns why it did.
    async fn drain(&self, stream: TcpStream) -> String {
        let (reader, mut writer) = stream.into_split();
        self.shared.asked.store(0, Relaxed);
        tokio::select! {
            why = ended(reader) => why,
            why = self.write_frames(&mut writer) => why,
            why = self.forsaken() => why,
        }
    }

    /// Waits for a sign that the other end of the connection is gone; returns which.
    async fn forsaken(&self) -> String {
        let Shared { pulse, asked, .. } = &*self.shared;
        let made = Instant::now();
        let mut dials = pulse.watch_dials();
        loop {
            tokio::select! {
                // The sender lives as long as the pulse, which is ours.
                _ = dials.changed() => {
                    if made.elapsed() >= SETTLED_AFTER {
                        return "the other side has dialled anew".to_string();
                    }
                }
                () = sleep(LISTEN_EVERY) => {}
            }
            let since = asked.load(Relaxed);
            let silent = since > 0 && pulse.heard() < since;
            if silent && pulse.now() - since >= SILENT_AFTER.as_micros() as u64 {
                return format!("nothing was heard of it for {SILENT_AFTER:?}");
            }
        }
    }

    /// Something was sent, so the peer owes a sign of life from now on, unless it owed one already.
    fn ask(&self) {
        let Shared { pulse, asked, .. } = &*self.shared;
        let since = asked.load(Relaxed);
        if since == 0 || pulse.heard() >= since {
            asked.store(pulse.now(), Relaxed);
        }
    }

    async fn write_frames(&self, writer: &mut OwnedWriteHalf) -> String {
        let mut buffer = Vec::new();
        loop {
            if !self.take_frames(&mut buffer) {
                self.shared.wake.notified().await;
                continue;
            }
            if let Err(why) = write_all(writer, &buffer).await {
                return why;
            }
            self.ask();
        }
    }

    /// Moves queued frames into the buffer, whole ones only. Whether there were any.
    fn take_frames(&self, buffer: &mut Vec<u8>) -> bool {
        buffer.clear();
        let mut outbox = self.outbox();
        while buffer.len() < WRITE_BYTES {
            let Some(frame) = outbox.pop_front() else { break };
            self.shared.state.sent.fetch_add(1, Relaxed);
            if buffer.is_empty() {
                *buffer = frame.bytes;
            } else {
                buffer.extend_from_slice(&frame.bytes);
            }
        }
        !buffer.is_empty()
    }

    /// Empties the queue; returns the forwards that were in it.
    fn set_connected(&self, connected: bool) -> Vec<RequestId> {
        self.shared.state.connected.store(connected, Relaxed);
        let mut outbox = self.outbox();
        outbox.connected = connected;
        outbox.bytes = 0;
        self.shared.state.dropped.fetch_add(outbox.frames.len() as u64, Relaxed);
        outbox.frames.drain(..).filter_map(|frame| frame.forward).collect()
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.shared.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbox {
    fn pop_front(&mut self) -> Option<Frame> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.bytes.len();
        Some(frame)
    }

    fn pop_back(&mut self) {
        if let Some(frame) = self.frames.pop_back() {
            self.bytes -= frame.bytes.len();
        }
    }
}

/// Tells the core what a lost connection means. Whether anybody listens.
async fn report(inbox: &Inbox, peer: NodeId, unsent: Vec<RequestId>) -> bool {
    for forward in unsent {
        if inbox.send(Input::Unsent(forward)).await.is_err() {
            return false;
        }
    }
    inbox.send(Input::LinkLost(peer)).await.is_ok()
}

async fn connect(address: SocketAddr, hello: Hello) -> Option<TcpStream> {
    let attempt = async {
        let mut stream = TcpStream::connect(address).await?;
        if stream.local_addr()? == stream.peer_addr()? {
            // The kernel may connect a socket to itself when nobody listens.
            return Err(std::io::Error::other("connected to itself"));
        }
        stream.set_nodelay(true)?;
        stream.write_all(&encode(&hello)).await?;
        Ok(stream)
    };
    match timeout(STUCK_AFTER, attempt).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            debug!("no connection to {} at {address}: {error}", hello.to);
            None
        }
        Err(_) => None,
    }
}

/// Writes all of it, or says why not. A peer that takes a little of it now and then is alive.
async fn write_all(writer: &mut OwnedWriteHalf, buffer: &[u8]) -> Result<(), String> {
    let mut rest = buffer;
    while !rest.is_empty() {
        match timeout(STUCK_AFTER, writer.write(rest)).await {
            Ok(Ok(0)) => return Err("it takes no more bytes".to_string()),
            Ok(Ok(count)) => rest = &rest[count..],
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err(format!("no progress for {STUCK_AFTER:?}")),
        }
    }
    Ok(())
}

/// Waits for the other side to end the connection. Nothing is ever sent on it in this direction.
async fn ended(mut reader: OwnedReadHalf) -> String {
    let mut byte = [0; 1];
    match reader.read(&mut byte).await {
        Ok(0) => "closed by the other side".to_string(),
        Ok(_) => "bytes came from the side that only listens".to_string(),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;

    /// A peer that takes connections and never says a word.
    struct Mute {
        listener: TcpListener,
        pulse: Arc<Pulse>,
        link: Link,
        _inputs: mpsc::Receiver<Input>,
    }

    impl Mute {
        async fn new() -> Mute {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (inbox, inputs) = mpsc::channel(64);
            let pulse = Arc::<Pulse>::default();
            let peer = Peer { node: NodeId(2), address };
            let hello = Hello::of(1, NodeId(1), address, address).said_to(NodeId(2));
            let link = Link::start(hello, peer, Arc::default(), inbox, Arc::clone(&pulse));
            Mute { listener, pulse, link, _inputs: inputs }
        }

        /// The next connection, in so many seconds at most.
        async fn dialled(&self, within: u64) -> TcpStream {
            let accepted = timeout(Duration::from_secs(within), self.listener.accept()).await;
            accepted.expect("it is dialled").unwrap().0
        }

        /// Sends until there is a connection that takes it.
        async fn send(&self) {
            let message = Message::Removed { index: 1 };
            while !self.link.outbox().connected {
                sleep(Duration::from_millis(1)).await;
            }
            self.link.send(&message);
        }
    }

    #[tokio::test]
    async fn a_peer_that_dials_anew_is_dialled_anew_unless_it_was_just_now() {
        let mute = Mute::new().await;
        let _first = mute.dialled(10).await;
        mute.send().await;
        mute.pulse.beat();
        // As at a start, when everybody dials everybody.
        mute.pulse.dialled();
        let early = timeout(SETTLED_AFTER / 2, mute.listener.accept()).await;
        assert!(early.is_err(), "a dial is no answer to a dial");
        sleep(SETTLED_AFTER).await;
        mute.pulse.beat();
        mute.pulse.dialled();
        let _second = mute.dialled(3).await;
    }

    #[tokio::test]
    async fn a_peer_that_is_sent_something_and_never_heard_is_dialled_anew() {
        let mute = Mute::new().await;
        let _first = mute.dialled(10).await;
        mute.send().await;
        let began = Instant::now();
        let _second = mute.dialled(60).await;
        assert!(began.elapsed() >= SILENT_AFTER - LISTEN_EVERY, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_peer_that_is_sent_nothing_owes_nothing() {
        let mute = Mute::new().await;
        let _first = mute.dialled(10).await;
        let again = timeout(SILENT_AFTER + 2 * LISTEN_EVERY, mute.listener.accept()).await;
        assert!(again.is_err(), "the connection stays");
    }
}
