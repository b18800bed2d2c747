//! Measures what the proxies cost: a direct connection, a plain copy loop and our proxy, by turns
//! in one run, since nothing else can be compared on a machine that others use too. Called by
//! `scripts/bench-proxy.sh`, once for one processor and once for all; no part of the product.
//! Exits with 1 when a bar is not met.
//!
//! What a proxy adds to a round trip is judged where all parties share one processor. On several,
//! most of it is what it takes to wake another processor, which a proxy pays twice more often than
//! a direct connection whatever it does, and a direct one sometimes not at all.
//!
//! The far end is a process of its own; client and proxies share this one, as in a run.

#![allow(clippy::print_stdout, reason = "the numbers are what it is for")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use splitbrain::cluster::RunAddress;
use splitbrain::network::link::Link;
use splitbrain::network::{Network, Shape};
use splitbrain_workloads::operation::NodeId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How often everything is measured.
const ROUNDS: usize = 7;

/// Round trips of 64 bytes in a round.
const PINGS: usize = 2000;

/// How long bytes are poured and connections are made in a round.
const SPAN: Duration = Duration::from_millis(700);

/// What is poured at once.
const LUMP: usize = 128 << 10;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("far-end") => far_end(),
        _ => match measure()? {
            true => Ok(()),
            false => Err("a bar is not met".into()),
        },
    }
}

/// Serves each connection by its first byte: `E` echoes, `S` swallows and says how much.
fn far_end() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || serve(stream).ok());
    }
    Ok(())
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut kind = [0];
    stream.read_exact(&mut kind)?;
    let mut chunk = vec![0; LUMP];
    let mut swallowed: u64 = 0;
    loop {
        let read = stream.read(&mut chunk)?;
        match (read, kind[0]) {
            (0, b'S') => return stream.write_all(&swallowed.to_be_bytes()),
            (0, _) => return Ok(()),
            (_, b'S') => swallowed += read as u64,
            _ => stream.write_all(&chunk[..read])?,
        }
    }
}

struct FarEnd(Child);

impl Drop for FarEnd {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// What was measured of one way in one round.
#[derive(Clone, Copy, Default)]
struct Sample {
    p50: f64,
    p99: f64,
    gbits: f64,
    connections: f64,
}

/// Whether all bars are met.
fn measure() -> Result<bool> {
    let processors = std::thread::available_parallelism()?.get();
    let mut child =
        Command::new(std::env::current_exe()?).arg("far-end").stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().ok_or("no standard output")?;
    let _far_end = FarEnd(child);
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let upstream: SocketAddr = line.trim().parse()?;

    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (network, _strangers) = Network::new(Arc::new(RunAddress::take()?));
    let node = NodeId(1);
    network.add_node(node, upstream, upstream);
    let lane = runtime.block_on(network.client_lane(node))?;
    let copy = runtime.block_on(copy_loop(upstream))?;
    let ways = [("direct", upstream), ("plain copy loop", copy), ("our proxy", lane.addr())];

    let mut samples = vec![Vec::new(); ways.len()];
    for (_, address) in ways {
        sample(address)?;
    }
    for _ in 0..ROUNDS {
        for ((_, address), samples) in ways.iter().zip(&mut samples) {
            samples.push(sample(*address)?);
        }
    }
    let met = report(processors, &ways.map(|(name, _)| name), &samples);
    delays(&network, node, lane.addr())?;
    runtime.block_on(network.shutdown());
    Ok(met)
}

/// The least a proxy in user space can do: two tasks that read 64 KiB and write it.
async fn copy_loop(upstream: SocketAddr) -> Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            tokio::spawn(async move {
                let far = tokio::net::TcpStream::connect(upstream).await?;
                near.set_nodelay(true)?;
                far.set_nodelay(true)?;
                let ((near_read, near_write), (far_read, far_write)) =
                    (near.into_split(), far.into_split());
                tokio::spawn(copy_one_way(far_read, near_write));
                copy_one_way(near_read, far_write).await
            });
        }
    });
    Ok(address)
}

async fn copy_one_way(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
) -> std::io::Result<()> {
    let mut chunk = vec![0; 64 << 10];
    loop {
        match from.read(&mut chunk).await? {
            0 => return to.shutdown().await,
            read => to.write_all(&chunk[..read]).await?,
        }
    }
}

fn sample(address: SocketAddr) -> Result<Sample> {
    let mut pings = ping(address, PINGS)?;
    pings.sort_unstable();
    let micros =
        |share: f64| pings[((pings.len() - 1) as f64 * share) as usize].as_nanos() as f64 / 1000.0;
    let (gbits, connections) = (flood(address)?, connect(address)?);
    Ok(Sample { p50: micros(0.5), p99: micros(0.99), gbits, connections })
}

/// Times of round trips of 64 bytes.
fn ping(address: SocketAddr, count: usize) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(b"E")?;
    let mut bytes = [7; 64];
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        stream.write_all(&bytes)?;
        stream.read_exact(&mut bytes)?;
        times.push(began.elapsed());
    }
    Ok(times)
}

/// Gigabits a second from one sender.
fn flood(address: SocketAddr) -> Result<f64> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"S")?;
    let lump = vec![7; LUMP];
    let began = Instant::now();
    while began.elapsed() < SPAN {
        stream.write_all(&lump)?;
    }
    stream.shutdown(Shutdown::Write)?;
    let mut swallowed = [0; 8];
    stream.read_exact(&mut swallowed)?;
    Ok(u64::from_be_bytes(swallowed) as f64 * 8.0 / 1e9 / began.elapsed().as_secs_f64())
}

/// Connections a second: connect, one byte there and back, close, one after the other.
fn connect(address: SocketAddr) -> Result<f64> {
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < SPAN {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.write_all(b"E.")?;
        stream.read_exact(&mut [0])?;
        count += 1;
    }
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn report(processors: usize, names: &[&str], samples: &[Vec<Sample>]) -> bool {
    let on =
        if processors == 1 { "one processor".into() } else { format!("{processors} processors") };
    println!("on {on}: medians of {ROUNDS} rounds, by turns; load {}", load());
    println!("{:16} {:>9} {:>9} {:>9} {:>9}", "", "p50 us", "p99 us", "Gbit/s", "conn/s");
    for (name, samples) in names.iter().zip(samples) {
        let of = |what: fn(&Sample) -> f64| median(samples.iter().map(what));
        println!(
            "{name:16} {:9.1} {:9.1} {:9.2} {:9.0}",
            of(|s| s.p50),
            of(|s| s.p99),
            of(|s| s.gbits),
            of(|s| s.connections)
        );
    }
    // Differences and ratios within a round: what disturbs one way disturbs its neighbors too.
    let pairs = |one: usize, other: usize| samples[one].iter().zip(&samples[other]);
    let added = |way| median(pairs(0, way).map(|(direct, way)| way.p50 - direct.p50));
    let gbits = median(samples[2].iter().map(|s| s.gbits));
    let connections = median(samples[2].iter().map(|s| s.connections));
    let mut all_met = true;
    let mut bar = |what: &str, figure: String, met: bool| {
        all_met &= met;
        println!("  {what:36} {figure:>18}  {}", if met { "met" } else { "NOT MET" });
    };
    if processors == 1 {
        bar("added at p50, at most 40 us", format!("{:.1} us", added(2)), added(2) <= 40.0);
    } else {
        println!(
            "  added at p50: {:.1} us by ours, {:.1} us by the plain copy loop",
            added(2),
            added(1)
        );
        bar("bytes, at least 8 Gbit/s", format!("{gbits:.1} Gbit/s"), gbits >= 8.0);
        bar("connections, at least 3000/s", format!("{connections:.0} /s"), connections >= 3000.0);
        let ratios = [
            ("round trip", median(pairs(1, 2).map(|(copy, ours)| ours.p50 / copy.p50))),
            ("bytes", median(pairs(1, 2).map(|(copy, ours)| copy.gbits / ours.gbits))),
            (
                "connections",
                median(pairs(1, 2).map(|(copy, ours)| copy.connections / ours.connections)),
            ),
        ];
        for (what, ratio) in ratios {
            let what = format!("{what}, at most 1.5 copy loops");
            bar(&what, format!("{ratio:.2} copy loops"), ratio <= 1.5);
        }
    }
    all_met
}

/// How late bytes really are that are to be late.
fn delays(network: &Network, node: NodeId, address: SocketAddr) -> Result<()> {
    println!("\ndelays, one way: how much later than asked");
    let mut base = ping(address, 200)?;
    base.sort_unstable();
    let base = base[base.len() / 2];
    for millis in [1, 2, 5, 20] {
        let shape = Shape { delay: Duration::from_millis(millis), ..Shape::default() };
        network.shape(&[Link::to_node(node)], shape)?;
        let mut late: Vec<f64> = ping(address, 200)?
            .into_iter()
            .map(|time| (time.saturating_sub(base).as_secs_f64() - shape.delay.as_secs_f64()) * 1e6)
            .collect();
        network.unshape(&[Link::to_node(node)], shape)?;
        late.sort_by(f64::total_cmp);
        let (p50, p99) = (late[late.len() / 2], late[late.len() * 99 / 100]);
        println!("  {millis:2} ms asked  p50 {p50:+6.0} us  p99 {p99:+6.0} us");
    }
    Ok(())
}

fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(2).collect::<Vec<_>>().join(" ")
}
