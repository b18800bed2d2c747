//! Drives one node, or several, with many clients for a while and prints one line of numbers
//! (`load`), or strikes a leader and waits for the next acknowledged write ([`failover`]).
//!
//! Every client has a connection of its own and sends its next request when the last one was
//! answered. An answer that is not a success ends the run: errors are not throughput. It is started
//! by `scripts/bench-store.sh`, once for every cell of its table, and by `bench-footprint.sh`.
//!
//! ```text
//! requests per second, p50 ms, p99 ms, load of other programs in percent of the machine
//! ```

mod etcd;
mod failover;
mod foreign;
mod gateway;
mod http1;
mod store;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, ValueEnum};
use hdrhistogram::Histogram;
use tokio::task::LocalSet;

/// How many keys clients write and read; all of them exist before anything is measured.
const KEYS: u64 = 10_000;

/// Bytes of a value.
const VALUE_BYTES: usize = 256;

/// Measurements for the benchmarks in `scripts/`.
#[derive(Parser)]
enum Mode {
    /// Many clients of one node, for a while.
    Load(Arguments),
    /// The leader is struck, once.
    Failover(failover::Trial),
}

#[derive(Args)]
struct Arguments {
    /// Whom to ask, and in which language
    #[arg(long)]
    target: Target,
    /// The client address of the leader; with more, clients are spread over all of them in turn
    #[arg(long = "address", required = true)]
    addresses: Vec<SocketAddr>,
    /// What to ask for
    #[arg(long)]
    operation: Operation,
    /// How many clients, each with a connection
    #[arg(long)]
    clients: u64,
    /// Write every key in turn, so many writes in all, instead of for a time; prints nothing
    #[arg(long, conflicts_with_all = ["warm", "seconds"])]
    count: Option<u64>,
    /// Seconds before anything is counted
    #[arg(long, default_value_t = 1.0)]
    warm: f64,
    /// Seconds that are counted
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Processes that belong to the measurement, besides this one
    #[arg(long = "pid")]
    pids: Vec<u32>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Target {
    /// The built-in store, by HTTP/JSON.
    Store,
    /// etcd, by gRPC.
    Etcd,
    /// etcd, by its JSON gateway.
    EtcdJson,
}

/// What a client asks for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Operation {
    /// A write of 256 bytes to one of 10 000 keys.
    Put,
    /// A linearizable read of one of them.
    Get,
    /// A read of what the asked node itself holds; of the store only.
    GetLocal,
}

/// A connection of any kind.
enum Connection {
    Store(http1::Connection),
    Etcd(etcd::Connection),
    EtcdJson(http1::Connection),
}

impl Connection {
    async fn open(target: Target, address: SocketAddr) -> Result<Self> {
        Ok(match target {
            Target::Store => Connection::Store(http1::Connection::open(address).await?),
            Target::Etcd => Connection::Etcd(etcd::Connection::open(address).await?),
            Target::EtcdJson => Connection::EtcdJson(http1::Connection::open(address).await?),
        })
    }

    async fn ask(&mut self, operation: Operation, key: &str, value: &str) -> Result<()> {
        match (self, operation) {
            (Connection::Store(store), Operation::Put) => store::put(store, key, value).await,
            (Connection::Store(store), Operation::Get) => store::get(store, key).await,
            (Connection::Store(store), Operation::GetLocal) => store::get_local(store, key).await,
            (_, Operation::GetLocal) => bail!("get-local: expected --target store"),
            (Connection::EtcdJson(etcd), Operation::Put) => gateway::put(etcd, key, value).await,
            (Connection::EtcdJson(etcd), Operation::Get) => gateway::get(etcd, key).await,
            (Connection::Etcd(etcd), Operation::Put) => etcd.put(key, value).await,
            (Connection::Etcd(etcd), Operation::Get) => etcd.get(key).await,
        }
    }
}

fn main() -> Result<()> {
    let mode = Mode::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        match mode {
            Mode::Load(arguments) => run(arguments).await,
            Mode::Failover(trial) => failover::run(trial).await,
        }
    })
}

async fn run(arguments: Arguments) -> Result<()> {
    let Arguments { target, addresses, operation, clients, count, warm, seconds, mut pids } =
        arguments;
    pids.push(std::process::id());
    let value: Rc<str> = "v".repeat(VALUE_BYTES).into();
    let address = addresses[0];
    if let Some(count) = count {
        return fill(target, address, clients, count, &value).await;
    }
    if operation != Operation::Put {
        let mut connection = Connection::open(target, address).await?;
        for number in 0..KEYS {
            connection.ask(Operation::Put, &key(number), &value).await?;
        }
    }
    let begin = Instant::now() + Duration::from_secs_f64(warm);
    let end = begin + Duration::from_secs_f64(seconds);
    // Microseconds, from 1 to a minute, with three digits.
    let latencies = Rc::new(RefCell::new(Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?));
    let mut tasks = Vec::new();
    for client in 0..clients {
        let (value, latencies) = (Rc::clone(&value), Rc::clone(&latencies));
        let address = addresses[client as usize % addresses.len()];
        tasks.push(tokio::task::spawn_local(async move {
            let mut connection = Connection::open(target, address).await?;
            let mut random = client.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            loop {
                // Xorshift (Marsaglia, 2003): good enough to spread keys.
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let sent = Instant::now();
                connection.ask(operation, &key(random % KEYS), &value).await?;
                let now = Instant::now();
                if now >= end {
                    return anyhow::Ok(());
                }
                if sent >= begin {
                    let micros = now.duration_since(sent).as_micros() as u64;
                    latencies.borrow_mut().record(micros.max(1))?;
                }
            }
        }));
    }
    tokio::time::sleep_until(begin.into()).await;
    let before = foreign::sample(&pids)?;
    tokio::time::sleep_until(end.into()).await;
    let foreign = foreign::sample(&pids)?.since(before);
    for task in tasks {
        task.await.context("a client panicked")??;
    }
    let latencies = latencies.borrow();
    let rate = latencies.len() as f64 / seconds;
    let millis = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e3;
    println!("{rate:.0} {:.3} {:.3} {foreign:.1}", millis(0.5), millis(0.99));
    Ok(())
}

/// Writes all keys in turn until there were so many writes.
async fn fill(
    target: Target,
    address: SocketAddr,
    clients: u64,
    count: u64,
    value: &Rc<str>,
) -> Result<()> {
    let next = Rc::new(Cell::new(0));
    let mut tasks = Vec::new();
    for _ in 0..clients {
        let (value, next) = (Rc::clone(value), Rc::clone(&next));
        tasks.push(tokio::task::spawn_local(async move {
            let mut connection = Connection::open(target, address).await?;
            loop {
                let number: u64 = next.get();
                if number == count {
                    return anyhow::Ok(());
                }
                next.set(number + 1);
                connection.ask(Operation::Put, &key(number % KEYS), &value).await?;
            }
        }));
    }
    for task in tasks {
        task.await.context("a client panicked")??;
    }
    Ok(())
}

fn key(number: u64) -> String {
    format!("k{number:05}")
}
