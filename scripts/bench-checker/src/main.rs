//! How fast the judge is. Each command prints one line of numbers; `scripts/bench-checker.sh` runs
//! them all and holds them against the bars.

mod generate;
mod porcupine;

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufRead, BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Parser;
use serde::Deserialize;
use splitbrain_workloads::checker::frontier::Budget;
use splitbrain_workloads::checker::linearizable::{self, Screen};
use splitbrain_workloads::history::{self, Micros, Reading, jsonl};
use splitbrain_workloads::operation::{ClientId, NodeId, Op, Reason, Reply};
use splitbrain_workloads::recording::Recording;
use splitbrain_workloads::verdict::Verdict;
use splitbrain_workloads::watch::Sight;
use splitbrain_workloads::workload::watcher_of;

use generate::Shape;

#[derive(Parser)]
enum Command {
    /// Judges a history in memory: rounds, best millions of operations a second of its core (and not
    /// of the clock, which counts what other programs take), verdict.
    Memory {
        #[command(flatten)]
        shape: Shape,
        #[arg(long, default_value_t = 3)]
        rounds: u32,
    },
    /// Gives the events of a history in memory to the watch of registers, one by one as a run does:
    /// best millions of operations a second of its core, peak megabytes with the history, whether it
    /// saw a violation.
    Watch {
        #[command(flatten)]
        shape: Shape,
        #[arg(long, default_value_t = 3)]
        rounds: u32,
    },
    /// Judges operations while they are made, keeping none: seconds with and without judging, peak
    /// megabytes, verdict.
    Stream {
        #[command(flatten)]
        shape: Shape,
    },
    /// From a file of JSON lines to the verdict, and a bare typed parse of it: milliseconds of each,
    /// and their ratio, best of the rounds.
    File {
        #[command(flatten)]
        shape: Shape,
        #[arg(long)]
        path: PathBuf,
        #[arg(long, default_value_t = 5)]
        rounds: u32,
    },
    /// The same history judged by a port of Porcupine: milliseconds of ours and of it, its verdict.
    Porcupine {
        #[command(flatten)]
        shape: Shape,
        /// Seconds after which it is stopped.
        #[arg(long, default_value_t = 20)]
        limit: u64,
    },
    /// Recorded histories: how many, milliseconds of judging in all, and the longest.
    Corpus {
        /// Files or folders of files.
        paths: Vec<PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Memory { shape, rounds } => memory(shape, rounds),
        Command::Watch { shape, rounds } => watch(shape, rounds),
        Command::Stream { shape } => stream(shape),
        Command::File { shape, path, rounds } => file(shape, &path, rounds),
        Command::Porcupine { shape, limit } => against_porcupine(shape, limit),
        Command::Corpus { paths } => corpus(&paths),
    }
}

fn memory(shape: Shape, rounds: u32) -> anyhow::Result<()> {
    let history = generate::history(shape);
    let mut best = Duration::MAX;
    let mut verdict = Verdict::Unknown;
    for _ in 0..rounds {
        let began = on_core()?;
        verdict = linearizable::check_registers(black_box(&history)).verdict;
        best = best.min(on_core()? - began);
    }
    let rate = f64::from(shape.ops) / best.as_secs_f64() / 1e6;
    println!("{rounds} {rate:.1} {verdict}");
    Ok(())
}

fn watch(shape: Shape, rounds: u32) -> anyhow::Result<()> {
    let history = generate::history(shape);
    let mut events = Vec::with_capacity(2 * history.operations.len());
    for operation in &history.operations {
        events.push((operation.invoked, operation, false));
        events.extend(operation.completed.map(|stamp| (stamp, operation, true)));
    }
    events.sort_unstable_by_key(|(stamp, ..)| stamp.seq);
    let (mut best, mut found) = (Duration::MAX, false);
    for _ in 0..rounds {
        let mut watcher = watcher_of("register").context("registers are watched")?;
        let began = on_core()?;
        for (stamp, operation, is_end) in &events {
            match is_end {
                false => watcher.invoke(*stamp, operation.client, false, &operation.op),
                true => {
                    watcher.complete(*stamp, operation.client, &operation.outcome);
                }
            }
        }
        best = best.min(on_core()? - began);
        found = watcher.found().is_some();
        anyhow::ensure!(watcher.sight() == Sight::Whole, "{:?}", watcher.sight());
    }
    let rate = f64::from(shape.ops) / best.as_secs_f64() / 1e6;
    let saw = if found { "violation" } else { "nothing" };
    println!("{rate:.2} {} {saw}", peak_mb()?);
    Ok(())
}

fn stream(shape: Shape) -> anyhow::Result<()> {
    let began = Instant::now();
    generate::generate(shape, |operation| {
        black_box(operation);
    });
    let alone = began.elapsed();
    let began = Instant::now();
    let mut screen = Screen::default();
    generate::generate(shape, |operation| screen.take(&operation));
    let is_right = screen.finish().all(|(_, is_right)| is_right);
    let judged = began.elapsed();
    let verdict = if is_right { "pass" } else { "not proven" };
    println!("{:.2} {:.2} {} {verdict}", judged.as_secs_f64(), alone.as_secs_f64(), peak_mb()?);
    Ok(())
}

/// How long this thread has run on a core, in the kernel as well.
fn on_core() -> anyhow::Result<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split_whitespace().next().context("an empty schedstat")?;
    Ok(Duration::from_nanos(first.parse()?))
}

/// The most memory that this process held at once.
fn peak_mb() -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB")).context("no VmHWM")?;
    Ok(kilobytes.trim().parse::<u64>()? / 1024)
}

/// A line of a history with the fields of all kinds, as the reader has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "parsed, and nothing else")]
struct Line {
    seq: Option<u64>,
    us: Option<Micros>,
    client: Option<ClientId>,
    node: Option<NodeId>,
    #[serde(rename = "final", default)]
    is_final: bool,
    invoke: Option<Op>,
    ok: Option<Reply>,
    fail: Option<Reason>,
    info: Option<Reason>,
    end: Option<serde_json::Value>,
}

fn file(shape: Shape, path: &Path, rounds: u32) -> anyhow::Result<()> {
    jsonl::write(&generate::history(shape), BufWriter::new(File::create(path)?))?;
    let (mut parse, mut judge) = (Duration::MAX, Duration::MAX);
    for _ in 0..rounds {
        let began = Instant::now();
        let mut input = BufReader::with_capacity(1 << 16, File::open(path)?);
        let mut bytes = Vec::new();
        input.read_until(b'\n', &mut bytes)?;
        loop {
            bytes.clear();
            if input.read_until(b'\n', &mut bytes)? == 0 {
                break;
            }
            let line: Line = serde_json::from_str(std::str::from_utf8(&bytes)?)?;
            black_box(line);
        }
        parse = parse.min(began.elapsed());
        let began = Instant::now();
        let mut input = BufReader::with_capacity(1 << 16, File::open(path)?);
        let (recording, _) = history::open(&mut input, &Reading::default())?;
        let Recording::Operations(history) = &recording else { bail!("no history of registers") };
        let verdict = linearizable::check_registers(history).verdict;
        judge = judge.min(began.elapsed());
        anyhow::ensure!(verdict == Verdict::Pass, "judged {verdict}");
        drop(recording);
    }
    let ratio = judge.as_secs_f64() / parse.as_secs_f64();
    println!("{} {} {ratio:.2}", judge.as_millis(), parse.as_millis());
    Ok(())
}

fn against_porcupine(shape: Shape, limit: u64) -> anyhow::Result<()> {
    let history = generate::history(shape);
    let began = Instant::now();
    black_box(linearizable::check_registers(&history).verdict);
    let ours = began.elapsed().as_secs_f64() * 1e3;
    let began = Instant::now();
    let verdict = porcupine::judge(&history, Duration::from_secs(limit));
    let its = began.elapsed().as_secs_f64() * 1e3;
    println!("{ours:.3} {its:.1} {verdict}");
    Ok(())
}

fn corpus(paths: &[PathBuf]) -> anyhow::Result<()> {
    let mut files = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => {
                for entry in fs::read_dir(path)? {
                    files.push(entry?.path());
                }
            }
            false => files.push(path.clone()),
        }
    }
    files.retain(|path| path.is_file());
    let (mut all, mut longest) = (Duration::ZERO, (Duration::ZERO, String::new()));
    for path in &files {
        let mut input = BufReader::new(File::open(path)?);
        let (recording, _) = history::open(&mut input, &Reading::default())
            .with_context(|| format!("{}", path.display()))?;
        let began = Instant::now();
        black_box(recording.decide(Budget::default()));
        let took = began.elapsed();
        all += took;
        if took > longest.0 {
            longest = (took, path.display().to_string());
        }
    }
    let milliseconds = |took: Duration| took.as_secs_f64() * 1e3;
    println!(
        "{} {:.2} {:.2} {}",
        files.len(),
        milliseconds(all),
        milliseconds(longest.0),
        longest.1
    );
    Ok(())
}
