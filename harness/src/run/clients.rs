//! The load: logical clients, each pinned to a node, each with one operation open at a time.
//!
//! With a rate the load is open-loop: arrivals come at the instants the seed says, a free client
//! takes each, and one that finds no free client is shed and counted against availability.
//! Without a rate every client asks as soon as it has its answer. A client never retries; one
//! whose operation ended in the unknown goes on under a new id and on a new connection.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::RngExt;
use splitbrain_workloads::history::Micros;
use splitbrain_workloads::operation::{ClientId, NodeId, Op, Outcome, Reason};
use splitbrain_workloads::seed::Stream;
use splitbrain_workloads::workload::Generator;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::recorder::{Clock, Recorder};
use crate::network::Lane;
use crate::target::{Client, Target};

/// What all clients of a run share.
pub struct Callers {
    /// Who is called.
    pub target: Arc<dyn Target>,
    /// Where every operation is recorded.
    pub recorder: Arc<Recorder>,
    /// When an operation is given up.
    pub timeout: Duration,
    next: AtomicU32,
}

impl Callers {
    /// Nobody has called yet.
    pub fn new(target: Arc<dyn Target>, recorder: Arc<Recorder>, timeout: Duration) -> Callers {
        Callers { target, recorder, timeout, next: AtomicU32::new(0) }
    }

    /// A new logical client over a lane.
    /// `others` are its lanes to other nodes, for a target that redirects.
    pub fn caller(self: &Arc<Self>, lane: Lane, others: Vec<Lane>) -> Caller {
        let client = self.connect(&lane, &others);
        Caller { callers: self.clone(), lane, others, id: self.next_id(), client }
    }

    fn connect(&self, lane: &Lane, others: &[Lane]) -> Box<dyn Client> {
        let others = others.iter().map(|other| (other.node(), other.addr())).collect();
        self.target.redirected_client(lane.addr(), &others, self.timeout)
    }

    fn next_id(&self) -> ClientId {
        ClientId(self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// One logical client at a time, pinned to one node.
pub struct Caller {
    callers: Arc<Callers>,
    lane: Lane,
    /// Where redirects lead. A client that was redirected has been heard on its own lane, so only
    /// that one tells whether anything was sent.
    others: Vec<Lane>,
    id: ClientId,
    client: Box<dyn Client>,
}

impl Caller {
    /// Its id, until an operation of it ends in the unknown.
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// The node it is pinned to.
    pub fn node(&self) -> NodeId {
        self.lane.node()
    }

    /// Carries out one operation, records it and says how it ended.
    pub async fn call(&mut self, op: &Op, is_final: bool) -> Outcome {
        let recorder = &self.callers.recorder;
        let node = self.lane.node();
        recorder.invoke(self.id, node, is_final, op);
        let mark = self.lane.mark();
        let mut outcome = self.client.call(op).await;
        let Outcome::Info(_) = outcome else {
            recorder.complete(self.id, node, op, &outcome);
            return outcome;
        };
        // The client does not know what became of its request; its lane may. It first ends the
        // connections, so what it says of the bytes is final.
        let not_sent = self.lane.settle(mark).await.is_ok_and(|since| since.forwarded == 0);
        if not_sent {
            outcome = Outcome::Fail(Reason::new("not-sent"));
        }
        recorder.complete(self.id, node, op, &outcome);
        let seen = self.client.seen();
        self.client = self.callers.connect(&self.lane, &self.others);
        if not_sent {
            // The same client over another connection: what it knows goes with it.
            self.client.goes_on_from(seen);
        } else {
            self.id = self.callers.next_id();
        }
        outcome
    }
}

/// The load of a run.
pub struct Load {
    /// The clients, in the order of their slots.
    pub callers: Vec<Caller>,
    /// What they ask.
    pub generator: Box<dyn Generator + Send>,
    /// Arrivals per second over all clients; `None` is closed-loop.
    pub rate: Option<u32>,
    /// Randomness of the arrivals.
    pub arrivals: Stream,
    /// The clock of the run.
    pub clock: Clock,
}

impl Load {
    /// Keeps the clients at work until `stop` says so or the time is over, then waits for the
    /// operations that are open; each ends within its time-out. Returns when arrivals were shed.
    pub async fn drive(self, duration: Duration, mut stop: watch::Receiver<bool>) -> Vec<Micros> {
        let end = Instant::now() + duration;
        let generator = Arc::new(Mutex::new(self.generator));
        let (free, mut freed) = mpsc::unbounded_channel();
        let mut workers = JoinSet::new();
        let mut turns = Vec::new();
        for (slot, caller) in self.callers.into_iter().enumerate() {
            // One turn at a time: a client that has not reported itself free gets none.
            let (turn, taken) = mpsc::channel(1);
            turns.push(turn);
            workers.spawn(work(slot, caller, generator.clone(), taken, free.clone()));
        }
        let mut shed = Vec::new();
        let dispatch = async {
            match self.rate {
                Some(rate) => {
                    let arrivals = Arrivals { rate, random: self.arrivals, clock: self.clock };
                    open_loop(&turns, &mut freed, arrivals, &mut shed).await
                }
                None => closed_loop(&turns, &mut freed).await,
            }
        };
        tokio::select! {
            never = dispatch => match never {},
            () = tokio::time::sleep_until(end) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        // Without turns the clients finish what they have open and end.
        drop(turns);
        while workers.join_next().await.is_some() {}
        shed
    }
}

/// One slot's client: an operation a turn.
async fn work(
    slot: usize,
    mut caller: Caller,
    generator: Arc<Mutex<Box<dyn Generator + Send>>>,
    mut turns: mpsc::Receiver<()>,
    free: mpsc::UnboundedSender<usize>,
) {
    loop {
        // The dispatcher may be gone already; then the channel of turns is closed too.
        free.send(slot).ok();
        if turns.recv().await.is_none() {
            return;
        }
        let id = caller.id();
        let (next, pause) = {
            let mut generator = generator.lock().expect("a generator does not panic");
            let next = generator.next(id);
            let pause = next.as_ref().and_then(|op| generator.pause(id, op));
            (next, pause)
        };
        // The workload has nothing more to do; the client rests.
        let Some(op) = next else { return };
        if let Some(pause) = pause {
            // Whoever has not reported itself free gets no turn, so all that can come is the end.
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = turns.recv() => return,
            }
        }
        let outcome = caller.call(&op, false).await;
        generator.lock().expect("a generator does not panic").completed(id, &op, &outcome);
    }
}

/// The arrivals of an open loop.
struct Arrivals {
    rate: u32,
    random: Stream,
    clock: Clock,
}

/// Hands out turns at the instants of a Poisson process, as independent users would come.
async fn open_loop(
    turns: &[mpsc::Sender<()>],
    freed: &mut mpsc::UnboundedReceiver<usize>,
    mut arrivals: Arrivals,
    shed: &mut Vec<Micros>,
) -> Infallible {
    let mut idle = VecDeque::new();
    let mut due = Instant::now();
    loop {
        let uniform: f64 = arrivals.random.random();
        due += Duration::from_secs_f64(-(1.0 - uniform).ln() / f64::from(arrivals.rate));
        tokio::time::sleep_until(due).await;
        while let Ok(slot) = freed.try_recv() {
            idle.push_back(slot);
        }
        match idle.pop_front() {
            Some(slot) => give(turns, slot),
            None => shed.push(arrivals.clock.now()),
        }
    }
}

/// Hands a turn to every client as soon as it is free.
async fn closed_loop(
    turns: &[mpsc::Sender<()>],
    freed: &mut mpsc::UnboundedReceiver<usize>,
) -> Infallible {
    loop {
        match freed.recv().await {
            Some(slot) => give(turns, slot),
            // Every client has ended, which only a panic of theirs explains; the join shows it.
            None => std::future::pending().await,
        }
    }
}

fn give(turns: &[mpsc::Sender<()>], slot: usize) {
    turns[slot].try_send(()).expect("a client that is free has no turn waiting");
}
