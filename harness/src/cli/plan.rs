//! `splitbrain plan`: what would be done, without doing it.

use splitbrain_workloads::seed::Seed;

use super::{Ended, Failure, PlanArgs, print, sources};
use crate::result::ExitCode;
use crate::suite::Suite;
use crate::suite::plan::{self, PlannedRun};
use crate::suite::target::TargetKind;
use crate::target;

pub(super) fn main(args: &PlanArgs) -> Ended {
    let paths: Vec<_> = args.suite.iter().cloned().collect();
    let kinds = target::kinds()?;
    for suite in sources::suites(&paths)? {
        let seed = seed(args.seed, &suite);
        let runs = expand(&suite, &kinds, seed, args.only.as_deref())?;
        print(&format!("seed {seed}\n{}", plan::render(&suite.suite, &runs)));
    }
    Ok(ExitCode::Met)
}

/// The seed of a suite's plans: the command line's, the suite's own, or a fresh one.
pub(super) fn seed(asked: Option<Seed>, suite: &Suite) -> Seed {
    asked.or(suite.seed).unwrap_or_else(fresh)
}

/// A seed nobody has asked for: the time, folded to what can be typed again.
pub(super) fn fresh() -> Seed {
    let now = chrono::Local::now();
    Seed(u64::from(now.timestamp_subsec_nanos()) ^ (now.timestamp() as u64 & 0xffff_ffff))
}

/// The concrete runs of a suite.
pub(super) fn expand(
    suite: &Suite,
    kinds: &[TargetKind],
    seed: Seed,
    only: Option<&str>,
) -> Result<Vec<PlannedRun>, Failure> {
    plan::expand(suite, kinds, seed, only)
        .map_err(|error| Failure::new(ExitCode::Usage, format!("error: {error}")))
}
