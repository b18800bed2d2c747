//! The command: hands over to the reaper, to one node of the built-in store, or to `cli`.
//!
//! This is the only file of the harness that links the node, so that one file is enough to
//! install. The harness itself reaches the node as it would reach a stranger's store.

use std::process::ExitCode;

use clap::Parser;
use splitbrain_node::NodeArgs;

/// One node of the built-in store.
#[derive(Parser)]
#[command(name = "splitbrain node", bin_name = "splitbrain node", version)]
struct Node {
    #[command(flatten)]
    arguments: NodeArgs,
}

fn main() -> ExitCode {
    // Before any thread exists: the reaper and the launcher are this same program.
    if let Some(code) = splitbrain::cluster::reaper::main() {
        return code;
    }
    if std::env::args_os().nth(1).is_some_and(|command| command == "node") {
        return splitbrain_node::run(Node::parse_from(std::env::args_os().skip(1)).arguments);
    }
    splitbrain::cli::main()
}
