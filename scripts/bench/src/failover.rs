//! One failover: strikes the leader and measures how long it takes until a write is acknowledged
//! again, by clients that try the survivors.
//!
//! Each survivor has a client that sends one write after the other and waits a little after a
//! refusal. The clock starts before the signal is sent. No client asks anything before the kernel
//! shows the victim stopped or dead, so that no answer can be one that the victim had given. The
//! first acknowledgement of any client ends the trial. Started by `scripts/bench-failover.sh`.
//!
//! ```text
//! milliseconds, load of other programs in percent of the machine
//! ```

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::http1::Connection;
use crate::{foreign, store};

/// After a refusal.
const PAUSE: Duration = Duration::from_millis(2);

/// A survivor that does not answer waits for the victim's answer to a write it passed on. A client
/// gives up and asks again sooner than any target that is measured.
const PATIENCE: Duration = Duration::from_millis(50);

/// Without an acknowledgement for so long there was no failover.
const AT_MOST: Duration = Duration::from_secs(30);

/// How long the machine is watched before the signal; a failover alone is too short to tell.
const WATCH: Duration = Duration::from_millis(700);

#[derive(Args)]
pub struct Trial {
    /// The process of the leader
    #[arg(long)]
    victim: u32,
    /// How it is struck
    #[arg(long)]
    signal: Strike,
    /// The client address of a survivor; once for each
    #[arg(long = "survivor", required = true)]
    survivors: Vec<SocketAddr>,
    /// The process of a survivor, whose load is not that of others; once for each
    #[arg(long = "pid")]
    pids: Vec<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Strike {
    /// SIGKILL: the kernel closes its connections.
    Kill,
    /// SIGSTOP: nothing tells the others.
    Stop,
}

/// Runs one trial and prints its line.
///
/// # Errors
/// When the victim cannot be struck, or nothing is acknowledged within half a minute.
pub async fn run(trial: Trial) -> Result<()> {
    let Trial { victim, signal, survivors, mut pids } = trial;
    pids.push(std::process::id());
    let with_victim: Vec<u32> = pids.iter().copied().chain([victim]).collect();
    let mut connections = Vec::new();
    for address in &survivors {
        let mut connection = Connection::open(*address).await?;
        store::put(&mut connection, "failover", "before")
            .await
            .context("expected a healthy cluster")?;
        connections.push((*address, connection));
    }
    // A victim that has died is no longer in the kernel's table, so there are two spans to watch.
    let watched_from = foreign::sample(&with_victim)?;
    sleep(WATCH).await;
    let calm = foreign::sample(&with_victim)?.load_since(watched_from);
    let struck_from = foreign::sample(&pids)?;

    let began = Instant::now();
    strike(victim, signal)?;
    let (sender, mut acknowledged) = mpsc::channel(1);
    for (address, connection) in connections {
        let sender = sender.clone();
        tokio::task::spawn_local(async move {
            write_until_acknowledged(address, connection).await;
            // Only the first one is of interest.
            let _ = sender.try_send(Instant::now());
        });
    }
    let ended = timeout(AT_MOST, acknowledged.recv()).await;
    let ended = ended.with_context(|| format!("no write was acknowledged within {AT_MOST:?}"))?;
    let took = ended.context("every client has ended")? - began;
    let load = calm + foreign::sample(&pids)?.load_since(struck_from);
    println!("{:.1} {:.1}", took.as_secs_f64() * 1e3, load.percent());
    Ok(())
}

/// Sends the signal and waits until the kernel shows that it took hold.
fn strike(victim: u32, strike: Strike) -> Result<()> {
    let (signal, states) = match strike {
        Strike::Kill => (Signal::SIGKILL, "ZX"),
        Strike::Stop => (Signal::SIGSTOP, "T"),
    };
    let pid = Pid::from_raw(i32::try_from(victim).context("--victim: expected a process")?);
    kill(pid, signal).with_context(|| format!("cannot send {signal} to process {victim}"))?;
    let begin = Instant::now();
    loop {
        match state(victim) {
            None if strike == Strike::Kill => return Ok(()),
            None => bail!("process {victim} is gone and was to be stopped"),
            Some(state) if states.contains(state) => return Ok(()),
            Some(_) => std::thread::yield_now(),
        }
        ensure!(begin.elapsed() < AT_MOST, "process {victim} goes on after {signal}");
    }
}

/// The state of a process, as proc_pid_stat(5) names it; `None` if there is none.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

async fn write_until_acknowledged(address: SocketAddr, connection: Connection) {
    let mut connection = Some(connection);
    loop {
        let attempt = async {
            let mut open = match connection.take() {
                Some(open) => open,
                None => Connection::open(address).await?,
            };
            store::put(&mut open, "failover", "after").await?;
            anyhow::Ok(())
        };
        if let Ok(Ok(())) = timeout(PATIENCE, attempt).await {
            return;
        }
        // The connection is given up with the attempt: its answer may still come.
        sleep(PAUSE).await;
    }
}
