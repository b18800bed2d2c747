//! The command line: what can be asked, and the code it ends with.
//!
//! One command, one file; each takes its arguments and returns an [`ExitCode`]. This is the only
//! place, with `main.rs`, that prints: the report on stdout, progress and errors on stderr.

mod check;
mod list;
mod plan;
mod report;
mod run;
mod sources;
mod style;
mod validate;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use splitbrain_workloads::seed::Seed;

use crate::result::ExitCode;

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
    3  undecided: nothing proven wrong, not enough evidence
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
    /// Print the schedule of a suite without running it
    Plan(PlanArgs),
    /// Check suites without running them; every error at once, with its line
    Validate(ValidateArgs),
    /// List faults, workloads, targets, anomalies, gates or exit codes
    List(ListArgs),
    /// Explain a fault, an anomaly or a gate
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
    /// Seed of the plans, such as 42 or 0x5eed; by default the suite's, else a fresh one
    #[arg(long, value_name = "SEED", help_heading = "Run")]
    seed: Option<Seed>,
    /// Folder for what the runs leave
    #[arg(long, value_name = "DIR", default_value = "runs", help_heading = "Run")]
    out: PathBuf,
    /// Keep the nodes' data of every run, not only of those that did not meet their expectation
    #[arg(long, help_heading = "Run")]
    keep_data: bool,
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
    /// How long reading and judging took, on stderr
    #[arg(long, help_heading = "Output")]
    timing: bool,
    #[command(flatten)]
    drawing: Drawing,
}

#[derive(Debug, Args)]
struct ReportArgs {
    /// The folder of a suite, such as runs/latest
    #[arg(value_name = "RUN")]
    path: PathBuf,
    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    drawing: Drawing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For machines, with a schema version
    Json,
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
    Anomalies,
    Gates,
    ExitCodes,
}

#[derive(Debug, Args)]
struct ExplainArgs {
    /// The name of a fault, an anomaly or a gate
    name: String,
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

/// Parses the command line and carries it out.
pub fn main() -> std::process::ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not errors; clap knows which stream is whose.
            let code = if error.use_stderr() { ExitCode::Usage } else { ExitCode::Met };
            error.print().ok();
            return std::process::ExitCode::from(code as u8);
        }
    };
    let ended = match cli.command {
        Command::Run(args) => run::main(args),
        Command::Check(args) => check::main(&args),
        Command::Report(args) => report::main(&args),
        Command::Plan(args) => plan::main(&args),
        Command::Validate(args) => validate::main(&args),
        Command::List(args) => list::main(&args),
        Command::Explain(args) => list::explain(&args),
        Command::Node { .. } => unreachable!("main.rs hands `node` to the node"),
    };
    let code = ended.unwrap_or_else(|failure| {
        say(&failure.text);
        failure.code
    });
    std::process::ExitCode::from(code as u8)
}

/// Prints on stdout. A reader that has gone away, as `head` does, ends the program quietly.
fn print(text: &str) {
    let mut out = io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Prints a line on stderr; a closed terminal takes nothing from the run.
fn say(text: &str) {
    writeln!(io::stderr().lock(), "{text}").ok();
}
