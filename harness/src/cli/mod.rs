//! The command line: what can be asked, and the code it ends with.
//!
//! One command, one file; each takes its arguments and returns an [`ExitCode`]. This is the only
//! place, with `main.rs`, that prints: the report on stdout, progress and errors on stderr.

mod check;
mod cluster;
mod clusters;
mod explain;
mod explore;
mod gate;
mod list;
mod plan;
mod replay;
mod report;
mod repro;
mod run;
mod selection;
mod selftest;
mod shrink;
mod sources;
mod style;
mod terms;
mod validate;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, Parser, Subcommand, ValueEnum};
use splitbrain_workloads::checker::promise::Promise;
use splitbrain_workloads::seed::Seed;

use crate::result::ExitCode;
use crate::suite::units::{Percent, Time};

/// Breaks replicated stores on purpose and proves what survived.
#[derive(Debug, Parser)]
#[command(
    name = "splitbrain",
    version,
    about = "Breaks replicated stores on purpose and proves what survived",
    long_about = "Starts a real cluster of real processes, drives clients against it, kills, pauses \
                  and partitions nodes, records every operation, and checks the recorded history. \
                  Prints a plain-text verdict that a release can be gated on.",
    after_help = EXAMPLES,
    after_long_help = LONG_AFTER,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  splitbrain run                           the built-in release gate on the built-in store
  splitbrain run workloads/suites/etcd.yaml
  splitbrain report runs/latest            the report once more";

const LONG_AFTER: &str = "\
Examples:
  splitbrain run                           the built-in release gate on the built-in store
  splitbrain run my-suite.yaml --seed 7    one suite; the seed fixes the plan, not the threads
  splitbrain plan my-suite.yaml            what would be done, without doing it
  splitbrain check runs/latest             judge the recorded histories again
  splitbrain check history.edn --timing    judge another tool's history
  splitbrain report runs/latest --charset ascii

Exit codes:
    0  every run met its expectation and every gate
    1  a violation was proven, a gate was broken, or a canary stayed green
    2  usage or suite error; nothing was run
    3  undecided: no broken promise is proven, and there is too little evidence to pass
    4  the environment: a port, a binary, a privilege, a full disk
   70  a bug in the harness
  130  interrupted, after cleaning up; nothing proven (143: terminated)";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run suites; without one, the built-in release gate on the built-in store
    Run(RunArgs),
    /// Judge a recorded history again, ours or another tool's
    Check(CheckArgs),
    /// Print the report of a run again
    Report(ReportArgs),
    /// Gate a release: the results of a suite, and whether it got worse than an earlier one
    Gate(GateArgs),
    /// Run the plan of a recorded run once more and compare the two
    Replay(ReplayArgs),
    /// Run the plan of a recorded run many times: how often does it fail?
    Repro(ReproArgs),
    /// Find the smallest plan that still fails as a recorded run did
    Shrink(ShrinkArgs),
    /// Draw plans at random, prefer those that lead somewhere new, shrink what breaks a promise
    Explore(ExploreArgs),
    /// Start the target of a run behind its links and leave it for curl
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Run stores that are broken on purpose: how often is each caught, and how fast?
    Selftest(SelftestArgs),
    /// Print the schedule of a suite without running it
    Plan(PlanArgs),
    /// Check suites without running them; every error at once, with its line
    Validate(ValidateArgs),
    /// List faults, workloads, targets, profiles, switches, planted bugs, anomalies, gates, exit codes
    List(ListArgs),
    /// Explain a name from a list or a report: a fault, an anomaly, a gate, a profile, ...
    Explain(ExplainArgs),
    /// One node of the built-in store; see `splitbrain node --help`
    #[command(disable_help_flag = true)]
    Node {
        /// Arguments of the node
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

/// How text is drawn.
#[derive(Clone, Copy, Debug, Args)]
struct Drawing {
    /// Characters of the report; auto is ASCII when the locale or the terminal knows nothing else
    #[arg(long, value_enum, default_value_t = Characters::Auto, help_heading = "Output")]
    charset: Characters,
    /// Color words by their meaning; never carries meaning alone
    #[arg(long, value_enum, default_value_t = When::Auto, help_heading = "Output")]
    color: When,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Characters {
    Auto,
    Unicode,
    Ascii,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Suite files; without any, the built-in release gate
    #[arg(value_name = "SUITE", help_heading = "Selection")]
    suites: Vec<PathBuf>,
    /// Only runs whose name matches, with their twins; `*` stands for anything
    #[arg(long, value_name = "GLOB", help_heading = "Selection")]
    only: Option<String>,
    /// Only the runs of one machine of several, such as 2/5, with their twins
    #[arg(long, value_name = "I/N", help_heading = "Selection")]
    shard: Option<selection::Shard>,
    /// Every run so many times, each planned anew
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Selection",
          value_parser = clap::value_parser!(u32).range(1..=200))]
    repeat: u32,
    /// Seed of the plans, such as 42 or 0x5eed; by default the suite's, else a fresh one
    #[arg(long, value_name = "SEED", help_heading = "Run")]
    seed: Option<Seed>,
    /// Folder for what the runs leave
    #[arg(long, value_name = "DIR", default_value = "runs", help_heading = "Run")]
    out: PathBuf,
    /// Keep the nodes' data of every run, not only of those that did not meet their expectation
    #[arg(long, help_heading = "Run")]
    keep_data: bool,
    /// End each run that says no other `stop` as soon as a violation decides it, with the nodes' data
    /// as it is then; gates are not judged
    #[arg(long, help_heading = "Run")]
    stop_on_violation: bool,
    /// No progress on stderr
    #[arg(short, long, help_heading = "Output")]
    quiet: bool,
    #[command(flatten)]
    drawing: Drawing,
}

#[derive(Debug, Subcommand)]
enum ClusterCommand {
    /// Start it, print where its nodes can be called, carry out the run's faults, until Ctrl-C
    Up(ClusterUpArgs),
}

#[derive(Debug, Args)]
struct ClusterUpArgs {
    /// Suite file; without one, the built-in release gate
    #[arg(value_name = "SUITE")]
    suite: Option<PathBuf>,
    /// Which run of the suite; by default the first
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Seed of the plan
    #[arg(long, value_name = "SEED")]
    seed: Option<Seed>,
    /// Folder for what it leaves
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    #[command(flatten)]
    drawing: Drawing,
}

#[derive(Debug, Args)]
struct ReplayArgs {
    /// The folder of a run, such as runs/latest/leader-killed, or of a suite
    #[arg(value_name = "RUN")]
    path: PathBuf,
    /// Which run of a suite
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Hit the nodes that were really hit, at the times at which they were, instead of whoever
    /// plays the role at the planned time
    #[arg(long)]
    by_name: bool,
    /// Folder for what the run leaves
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// Keep the nodes' data even if the run meets its expectation
    #[arg(long)]
    keep_data: bool,
    /// No progress on stderr
    #[arg(short, long, help_heading = "Output")]
    quiet: bool,
    #[command(flatten)]
    drawing: Drawing,
}

#[derive(Debug, Args)]
struct ReproArgs {
    /// The folder of a run, such as runs/latest/leader-killed, or of a suite
    #[arg(value_name = "RUN")]
    path: PathBuf,
    /// Which run of a suite
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// How often
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// How many clusters at a time; more than the machine has processors for disturb each other
    #[arg(short, long, value_name = "K", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=8))]
    jobs: u16,
    /// A seed of its own for each run: other operations at other times under the same faults
    #[arg(long)]
    fresh: bool,
    /// Folder for what the runs leave
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// Keep the nodes' data even of runs that meet their expectation
    #[arg(long)]
    keep_data: bool,
    /// No progress on stderr
    #[arg(short, long, help_heading = "Output")]
    quiet: bool,
    #[command(flatten)]
    drawing: Drawing,
}

#[derive(Debug, Args)]
struct ShrinkArgs {
    /// The folder of a failed run, such as runs/latest/leader-killed, or of a suite
    #[arg(value_name = "RUN")]
    path: PathBuf,
    /// Which run of a suite
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// How long to search; the smallest plan so far is left when it is over
    #[arg(long, value_name = "TIME", default_value = "10m")]
    budget: Time,
    /// How many clusters at a time; more than the machine has processors for disturb each other
    #[arg(short, long, value_name = "K", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=8))]
    jobs: u16,
    /// Go on with an earlier search of the same run, in its folder
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Folder for what the search leaves
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// No progress on stderr
    #[arg(short, long, help_heading = "Output")]
    quiet: bool,
    #[command(flatten)]
    drawing: Drawing,
}

#[derive(Debug, Args)]
struct ExploreArgs {
    /// Suite file whose target, workload and load are taken; without one, the built-in release gate
    #[arg(value_name = "SUITE")]
    suite: Option<PathBuf>,
    /// Which run of the suite; by default the first
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// How many plans at most
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=9999))]
    runs: u32,
    /// How long to search
    #[arg(long, value_name = "TIME", default_value = "20m")]
    budget: Time,
    /// How long clients and faults are at work in each run
    #[arg(long, value_name = "TIME", default_value = "8s", value_parser = explore::duration)]
    duration: Time,
    /// How many clusters at a time; more than the machine has processors for disturb each other
    #[arg(short, long, value_name = "K", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=8))]
    jobs: u16,
    /// Leave the plan that broke a promise as it is
    #[arg(long)]
    no_shrink: bool,
    /// How long to search for a smaller one
    #[arg(long, value_name = "TIME", default_value = "10m")]
    shrink_budget: Time,
    /// Seed of the plans, such as 42 or 0x5eed; by default the suite's, else a fresh one
    #[arg(long, value_name = "SEED")]
    seed: Option<Seed>,
    /// Go on with an earlier search of the same run, in its folder
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Folder for what the search leaves
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// No progress on stderr
    #[arg(short, long, help_heading = "Output")]
    quiet: bool,
    #[command(flatten)]
    drawing: Drawing,
}

#[derive(Debug, Args)]
struct SelftestArgs {
    /// Only canaries whose name matches; `*` stands for anything
    #[arg(long, value_name = "GLOB")]
    only: Option<String>,
    /// How often each is run
    #[arg(short = 'n', long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// The least share of the runs in which each must be caught
    #[arg(long, value_name = "SHARE", default_value = "90%")]
    at_least: Percent,
    /// How many clusters at a time; more than the machine has processors for disturb each other
    #[arg(short, long, value_name = "K", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=8))]
    jobs: u16,
    /// Seed of the plans
    #[arg(long, value_name = "SEED")]
    seed: Option<Seed>,
    /// Folder for what the runs leave
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// No progress on stderr
    #[arg(short, long, help_heading = "Output")]
    quiet: bool,
    #[command(flatten)]
    drawing: Drawing,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// A history file, the folder of a run, or the folder of a suite; of several, one line each
    #[arg(value_name = "HISTORY|RUN", required = true)]
    paths: Vec<PathBuf>,
    /// Format of the history; auto looks at its beginning
    #[arg(long, default_value = "auto", value_parser = check::formats(), help_heading = "History")]
    format: String,
    /// What it is a history of; auto looks at its operations
    #[arg(long, default_value = "auto", value_parser = check::models(), help_heading = "History")]
    model: String,
    /// What was there at first, such as 0, nil, x=0,y=1 or held; else what the format's tool takes
    #[arg(long, value_name = "VALUE", help_heading = "History")]
    initial: Option<String>,
    /// Judge by this promise alone, such as bounded-staleness=500ms; docs/checker.md has them all
    #[arg(long, value_name = "PROMISE[=BOUND]", help_heading = "History")]
    promise: Option<Promise>,
    /// Write the order that explains every answer of a pass, once a replayer has verified it
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    witness: Option<PathBuf>,
    /// Write the history for other tools; FORMAT is jepsen-edn
    #[arg(long, value_names = ["FORMAT", "FILE"], num_args = 2, help_heading = "Output")]
    export: Option<Vec<String>>,
    /// How long reading and judging took, on stderr
    #[arg(long, help_heading = "Output")]
    timing: bool,
    #[command(flatten)]
    drawing: Drawing,
}

#[derive(Debug, Args)]
struct ReportArgs {
    /// The folder of a suite, such as runs/latest, or of one of its runs
    #[arg(value_name = "RUN")]
    path: PathBuf,
    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    drawing: Drawing,
}

#[derive(Debug, Args)]
struct GateArgs {
    /// The folder of a suite, such as runs/latest
    #[arg(value_name = "RUN")]
    path: PathBuf,
    /// The folder of an earlier run of the same suite
    #[arg(long, value_name = "RUN")]
    baseline: PathBuf,
    /// By how many points the availability may be lower
    #[arg(long, value_name = "POINTS", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(0..=100))]
    availability: u32,
    /// By how many percent recovery, unavailability and p99 may be longer
    #[arg(long, value_name = "PERCENT", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(0..=10_000))]
    times: u32,
    #[command(flatten)]
    drawing: Drawing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For machines, with a schema version
    Json,
    /// For CI systems, as XML
    Junit,
    /// For a page of a CI system or of the docs: one table, expected beside found
    Markdown,
}

#[derive(Debug, Args)]
struct PlanArgs {
    /// A suite file; without one, the built-in release gate
    #[arg(value_name = "SUITE")]
    suite: Option<PathBuf>,
    /// Seed of the plans; by default the suite's, else a fresh one
    #[arg(long, value_name = "SEED")]
    seed: Option<Seed>,
    /// Only runs whose name matches
    #[arg(long, value_name = "GLOB")]
    only: Option<String>,
}

#[derive(Debug, Args)]
struct ValidateArgs {
    /// Suite files; without any, the built-in release gate
    #[arg(value_name = "SUITE")]
    suites: Vec<PathBuf>,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// What to list; without it, everything
    #[arg(value_enum)]
    what: Option<Listed>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Listed {
    Faults,
    Workloads,
    Targets,
    Profiles,
    Switches,
    Plants,
    Anomalies,
    Gates,
    ExitCodes,
}

#[derive(Debug, Args)]
struct ExplainArgs {
    /// A name that `splitbrain list` has, or a word that reports print
    #[arg(required = true)]
    name: Vec<String>,
}

/// What a command ends with when it cannot do its work: the text for stderr and the code.
pub struct Failure {
    code: ExitCode,
    text: String,
}

impl Failure {
    fn new(code: ExitCode, text: impl Into<String>) -> Failure {
        Failure { code, text: text.into() }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure::new(ExitCode::Environment, format!("error: {error:#}"))
    }
}

impl From<crate::target::Unusable> for Failure {
    fn from(unusable: crate::target::Unusable) -> Failure {
        Failure::new(ExitCode::Environment, format!("error: {unusable}"))
    }
}

type Ended = Result<ExitCode, Failure>;

/// Whether anything of ours panicked, on whatever thread. A run may survive it, since tasks are
/// joined and checkers are caught; a green may not.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// Parses the command line and carries it out.
pub fn main() -> std::process::ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        PANICKED.store(true, Ordering::Relaxed);
        say(&format!("error: a bug in splitbrain: {panic}"));
    }));
    // Rare and worth a line, such as a stranger at a proxy; the report has the rest.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(io::stderr)
        .with_target(false)
        .init();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not errors; clap knows which stream is whose.
            let code = if error.use_stderr() { ExitCode::Usage } else { ExitCode::Met };
            error.print().ok();
            return std::process::ExitCode::from(code as u8);
        }
    };
    let ended = std::panic::catch_unwind(|| carry_out(cli.command));
    let code = match ended {
        Ok(Ok(code)) => code,
        Ok(Err(failure)) => {
            say(&failure.text);
            failure.code
        }
        Err(_) => ExitCode::HarnessBug,
    };
    let code = match code {
        // A bug masks neither a proven violation nor what the environment did.
        ExitCode::Met | ExitCode::Undecided if PANICKED.load(Ordering::Relaxed) => {
            ExitCode::HarnessBug
        }
        ExitCode::Met | ExitCode::Undecided if UNPRINTED.load(Ordering::Relaxed) => {
            ExitCode::Environment
        }
        code => code,
    };
    std::process::ExitCode::from(code as u8)
}

fn carry_out(command: Command) -> Ended {
    match command {
        Command::Run(args) => run::main(args),
        Command::Check(args) => check::main(&args),
        Command::Report(args) => report::main(&args),
        Command::Gate(args) => gate::main(&args),
        Command::Replay(args) => replay::main(&args),
        Command::Repro(args) => repro::main(&args),
        Command::Shrink(args) => shrink::main(&args),
        Command::Explore(args) => explore::main(&args),
        Command::Cluster(command) => cluster::main(command),
        Command::Selftest(args) => selftest::main(&args),
        Command::Plan(args) => plan::main(&args),
        Command::Validate(args) => validate::main(&args),
        Command::List(args) => list::main(&args),
        Command::Explain(args) => explain::main(&args),
        Command::Node { .. } => unreachable!("main.rs hands `node` to the node"),
    }
}

/// Whether something could not be printed for another reason than that nobody reads any more.
static UNPRINTED: AtomicBool = AtomicBool::new(false);

/// Prints on stdout. A reader that has gone away, as `head` does and a closed terminal, takes
/// nothing from the command: its code is the same. A full disk behind stdout is trouble.
fn print(text: &str) {
    const EIO: i32 = nix::errno::Errno::EIO as i32;
    let mut out = io::stdout().lock();
    let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) else { return };
    let gone = error.kind() == io::ErrorKind::BrokenPipe || error.raw_os_error() == Some(EIO);
    if !gone && !UNPRINTED.swap(true, Ordering::Relaxed) {
        say(&format!("error: cannot print: {error}"));
    }
}

/// Prints a line on stderr; a closed terminal takes nothing from the run.
fn say(text: &str) {
    writeln!(io::stderr().lock(), "{text}").ok();
}
