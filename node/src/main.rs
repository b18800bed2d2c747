//! One node as a program of its own. `splitbrain node` is the same.

use std::process::ExitCode;

use clap::Parser;
use splitbrain_node::{NodeArgs, run};

#[derive(Parser)]
#[command(name = "splitbrain-node", version)]
struct Command {
    #[command(flatten)]
    node: NodeArgs,
}

fn main() -> ExitCode {
    run(Command::parse().node)
}
