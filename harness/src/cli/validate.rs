//! `splitbrain validate`: reads suites, says everything that is wrong with them, runs nothing.

use super::{Ended, ValidateArgs, print, sources};
use crate::result::ExitCode;

pub(super) fn main(args: &ValidateArgs) -> Ended {
    let mut text = String::new();
    for suite in sources::suites(&args.suites)? {
        let plural = if suite.runs.len() == 1 { "" } else { "s" };
        text.push_str(&format!("ok: {}, {} run{plural}\n", suite.suite, suite.runs.len()));
    }
    print(&text);
    Ok(ExitCode::Met)
}
