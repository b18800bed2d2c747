//! The conversation with the reaper: calls and their answers, and what it reports unasked.
//!
//! One task reads; whoever calls waits for the answer under its number. It knows no signal and no
//! policy. Called by [`process`](super::process) alone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{broadcast, oneshot, watch};
use tokio::time::timeout;

use super::message::{ExitStatus, LINE_LIMIT, Report, Request};
use super::process::{BOUND, Cause, ClusterError, Exit, Owner};

/// How many exits may wait for a subscriber: far more than nodes can die in any run.
const EXITS: usize = 1024;

/// What the reaper has reported of one process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    pub(super) stopped: bool,
    pub(super) exit: Option<ExitStatus>,
    pub(super) gone: bool,
}

/// The last that was heard of the reaper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// It confirmed that nothing is left.
    Empty,
    /// Its socket ended without that.
    Lost,
}

pub(super) struct Shared {
    pub(super) pid: u32,
    requests: tokio::sync::Mutex<OwnedWriteHalf>,
    next_call: AtomicU64,
    table: Mutex<Table>,
    pub(super) exits: broadcast::Sender<Exit>,
    pub(super) ended: watch::Sender<Option<Last>>,
}

#[derive(Default)]
struct Table {
    calls: HashMap<u64, Call>,
    processes: HashMap<u32, (Owner, watch::Sender<State>)>,
    lost: bool,
}

/// A call that was not answered yet.
struct Call {
    owner: Owner,
    /// For a process that is being prepared: where its reports go. It is entered together with
    /// the answer, so that no report can come before it.
    state: Option<watch::Sender<State>>,
    answer: oneshot::Sender<Result<u32, String>>,
}

impl Shared {
    /// Begins to hear the reaper with this process id.
    pub(super) fn begin(pid: u32, socket: UnixStream) -> Arc<Shared> {
        let (reports, requests) = socket.into_split();
        let shared = Arc::new(Shared {
            pid,
            requests: tokio::sync::Mutex::new(requests),
            next_call: AtomicU64::new(1),
            table: Mutex::new(Table::default()),
            exits: broadcast::Sender::new(EXITS),
            ended: watch::Sender::new(None),
        });
        tokio::spawn(listen(Arc::clone(&shared), reports));
        shared
    }

    pub(super) async fn call(
        &self,
        owner: Owner,
        what: &'static str,
        state: Option<watch::Sender<State>>,
        request: impl FnOnce(u64) -> Request,
    ) -> Result<u32, ClusterError> {
        let call = self.next_call.fetch_add(1, Ordering::Relaxed);
        let request = request(call);
        // The reaper takes a longer line for nonsense and ends.
        if serde_json::to_vec(&request).map_or(true, |line| line.len() >= LINE_LIMIT) {
            let reason = format!("the request is longer than {LINE_LIMIT} bytes");
            return Err(ClusterError::Refused { owner, what, reason });
        }
        let (answer, answered) = oneshot::channel();
        {
            let mut table = lock(&self.table);
            if table.lost {
                return Err(ClusterError::ReaperLost);
            }
            table.calls.insert(call, Call { owner, state, answer });
        }
        self.send(&request).await?;
        match timeout(BOUND, answered).await {
            Ok(Ok(Ok(pid))) => Ok(pid),
            Ok(Ok(Err(reason))) => Err(ClusterError::Refused { owner, what, reason }),
            Ok(Err(_)) => Err(ClusterError::ReaperLost),
            Err(_) => Err(ClusterError::Unconfirmed { owner, what }),
        }
    }

    pub(super) async fn send(&self, request: &Request) -> Result<(), ClusterError> {
        let mut line = serde_json::to_vec(request).map_err(|_| ClusterError::ReaperLost)?;
        line.push(b'\n');
        let mut requests = self.requests.lock().await;
        requests.write_all(&line).await.map_err(|_| ClusterError::ReaperLost)
    }
}

/// Hears the reaper until it ends.
async fn listen(shared: Arc<Shared>, reports: OwnedReadHalf) {
    let mut lines = BufReader::new(reports).lines();
    let mut last = Last::Lost;
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(Report::Empty) => last = Last::Empty,
            Ok(report) => note(&shared, report),
            // The two ends are one program: this cannot be, and what follows cannot be trusted.
            Err(_) => break,
        }
    }
    let mut table = lock(&shared.table);
    table.lost = true;
    // Whoever waits for a report or an answer learns that there will be none.
    table.calls.clear();
    table.processes.clear();
    shared.ended.send_replace(Some(last));
}

fn note(shared: &Shared, report: Report) {
    let mut table = lock(&shared.table);
    match report {
        Report::Done { call, pid } => {
            if let Some(call) = table.calls.remove(&call) {
                if let Some(state) = call.state {
                    table.processes.insert(pid, (call.owner, state));
                }
                let _ = call.answer.send(Ok(pid));
            }
        }
        Report::Failed { call, error } => {
            if let Some(call) = table.calls.remove(&call) {
                let _ = call.answer.send(Err(error));
            }
        }
        Report::Stopped { pid } => table.update(pid, |state| state.stopped = true),
        Report::Continued { pid } => table.update(pid, |state| state.stopped = false),
        Report::Exited { pid, status, asked } => {
            if let Some(&(owner, _)) = table.processes.get(&pid) {
                let exit = Exit { owner, pid, status, cause: Cause::of(status, asked) };
                // Without a subscriber nobody is interested.
                let _ = shared.exits.send(exit);
            }
            table.update(pid, |state| state.exit = Some(status));
        }
        Report::Gone { pid } => {
            table.update(pid, |state| state.gone = true);
            table.processes.remove(&pid);
        }
        Report::Empty => {}
    }
}

impl Table {
    fn update(&mut self, pid: u32, change: impl FnOnce(&mut State)) {
        if let Some((_, state)) = self.processes.get(&pid) {
            state.send_modify(change);
        }
    }
}

/// A panic elsewhere does not make these plain tables unusable.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
