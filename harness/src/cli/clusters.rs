//! What every command that starts clusters needs around them: reapers before any thread, a
//! runtime, an ear for signals, and the certainty at the end that nothing is left.

use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{Ended, Failure, say};
use crate::cluster::process::{Processes, Reaper};
use crate::result::ExitCode;

/// Does some work with so many lanes, each with processes of its own, and cleans up after it.
///
/// # Errors
///
/// Those of the work, and when processes cannot be started or may be left behind.
pub(super) fn with<W>(lanes: usize, work: W) -> Ended
where
    W: AsyncFnOnce(&[Arc<Processes>], &Stop) -> Ended,
{
    // Before any thread exists: whatever ends this process, the reapers outlive it for as long as
    // it takes to end all that was started.
    let reapers: Result<Vec<Reaper>, _> = (0..lanes).map(|_| Reaper::start()).collect();
    let reapers = reapers.context("cannot start the reaper")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(lanes.max(2))
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let talking: Result<Vec<Processes>, _> =
            reapers.into_iter().map(Reaper::into_async).collect();
        let lanes: Vec<Arc<Processes>> =
            talking.context("cannot talk to the reaper")?.into_iter().map(Arc::new).collect();
        let stop = Stop::listen().context("cannot listen for signals")?;
        let ended = work(&lanes, &stop).await;
        for processes in &lanes {
            processes.shutdown().await.context("processes may be left behind")?;
        }
        Ok::<_, Failure>(stop.outcome(ended?))
    })
}

/// Requests to end early. The first is answered with heals, a judgement of what there is and a
/// report; the second ends everything at once.
pub(super) struct Stop {
    asked: watch::Receiver<bool>,
    state: Arc<Mutex<Option<ExitCode>>>,
    insisted: watch::Receiver<bool>,
}

impl Stop {
    fn listen() -> std::io::Result<Stop> {
        let (ask, asked) = watch::channel(false);
        let (insist, insisted) = watch::channel(false);
        let state = Arc::new(Mutex::new(None));
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let seen = state.clone();
        tokio::spawn(async move {
            loop {
                let code = tokio::select! {
                    _ = interrupt.recv() => ExitCode::Interrupted,
                    _ = terminate.recv() => ExitCode::Terminated,
                    _ = hang_up.recv() => ExitCode::Terminated,
                };
                let mut state = seen.lock().expect("no holder of this lock panics");
                match state.replace(code) {
                    None => {
                        say("stopping: healing, judging what there is; once more stops at once");
                        ask.send_replace(true);
                    }
                    Some(_) => {
                        insist.send_replace(true);
                    }
                }
            }
        });
        Ok(Stop { asked, state, insisted })
    }

    /// Becomes true with the first request.
    pub(super) fn asked(&self) -> watch::Receiver<bool> {
        self.asked.clone()
    }

    /// The end of some work; `None` when it was left where it was, on a second request.
    pub(super) async fn unless_insisted<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut insisted = self.insisted.clone();
        let again = async {
            if insisted.wait_for(|insisted| *insisted).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            ended = work => Some(ended),
            () = again => None,
        }
    }

    /// The code of the command: an interrupt masks no proven violation.
    pub(super) fn outcome(&self, code: ExitCode) -> ExitCode {
        let state = self.state.lock().expect("no holder of this lock panics");
        match (*state, code) {
            (Some(_), ExitCode::NotMet) | (None, _) => code,
            (Some(signal), _) => signal,
        }
    }
}
