//! `splitbrain gate`: may this be released? The results of a suite, and whether it got worse than
//! an earlier one.

use splitbrain_reports::measure::regression::{self, Comparison, Tolerance};
use splitbrain_reports::record::{RunResult, SuiteRecord};
use splitbrain_reports::text::{self, Gated};

use super::{Ended, Failure, GateArgs, print, report, style};
use crate::result::ExitCode;
use crate::run::directory::SuiteDirectory;

pub(super) fn main(args: &GateArgs) -> Ended {
    let read = |path: &std::path::Path| -> Result<SuiteRecord, Failure> {
        let directory = SuiteDirectory::open(path).ok_or_else(|| report::not_a_run(path))?;
        report::read(&directory)
    };
    let (now, baseline) = (read(&args.path)?, read(&args.baseline)?);
    let tolerance = Tolerance { availability: args.availability, times: args.times };
    let comparison = regression::compare(&now, &baseline, tolerance);
    let (code, reason) = decide(&now, &comparison);
    let gated = Gated {
        now: &now,
        baseline: &baseline,
        comparison: &comparison,
        exit_code: code as u8,
        exit_reason: reason,
    };
    print(&text::gated(&gated, &style::stdout(args.drawing)));
    Ok(code)
}

/// The suite's own result first: what it proved is not masked by a comparison.
fn decide(now: &SuiteRecord, comparison: &Comparison) -> (ExitCode, &'static str) {
    let own = ExitCode::of(now.result);
    let worse = comparison.worse().count() > 0;
    match (now.result, worse) {
        (RunResult::NotMet, _) => (own, own.meaning()),
        (_, true) => (ExitCode::NotMet, "worse than the baseline"),
        (RunResult::Met, false) if comparison.compared.is_empty() => {
            (ExitCode::Undecided, "undecided: nothing could be compared with the baseline")
        }
        (RunResult::Met, false) if !comparison.uncompared.is_empty() => {
            (ExitCode::Undecided, "undecided: not every run of the baseline could be compared")
        }
        (RunResult::Met, false) if now.exit_code != 0 => {
            (ExitCode::Undecided, "undecided: the suite was stopped before its end")
        }
        (RunResult::Met, false) => (own, "every run met its expectation, and none got worse"),
        (_, false) => (own, own.meaning()),
    }
}

#[cfg(test)]
mod tests {
    use splitbrain_reports::measure::regression::{Compared, Standing};
    use splitbrain_reports::record::{HostRecord, SCHEMA_VERSION};
    use splitbrain_workloads::history::Micros;

    use super::*;

    fn suite(result: RunResult) -> SuiteRecord {
        SuiteRecord {
            schema_version: SCHEMA_VERSION,
            suite: "s".to_string(),
            seed: "0x1".to_string(),
            started: String::new(),
            took: Micros(1),
            version: String::new(),
            command: String::new(),
            directory: String::new(),
            host: HostRecord { processors: 2, kernel: String::new() },
            runs: Vec::new(),
            planned: None,
            result,
            exit_code: ExitCode::of(result) as u8,
            exit_reason: String::new(),
        }
    }

    fn comparison(standing: Standing) -> Comparison {
        let compared = Compared {
            run: "a".to_string(),
            measure: "p99",
            then: String::new(),
            now: String::new(),
            tolerated: String::new(),
            standing,
        };
        Comparison { compared: vec![compared], ..Comparison::default() }
    }

    #[test]
    fn a_gate_is_green_only_when_everything_was_met_compared_and_not_worse() {
        let code = |result, comparison: &Comparison| decide(&suite(result), comparison).0;
        let held = comparison(Standing::Held);
        assert_eq!(code(RunResult::Met, &held), ExitCode::Met);
        assert_eq!(code(RunResult::Met, &comparison(Standing::Worse)), ExitCode::NotMet);
        assert_eq!(code(RunResult::Undecided, &comparison(Standing::Worse)), ExitCode::NotMet);
        assert_eq!(code(RunResult::NotMet, &held), ExitCode::NotMet);
        assert_eq!(code(RunResult::Undecided, &held), ExitCode::Undecided);
        assert_eq!(code(RunResult::Environment, &held), ExitCode::Environment);
        assert_eq!(code(RunResult::Met, &Comparison::default()), ExitCode::Undecided);
        let missing = vec![("b".to_string(), "it was not run now".to_string())];
        let partly = Comparison { uncompared: missing, ..held.clone() };
        assert_eq!(code(RunResult::Met, &partly), ExitCode::Undecided);
        let stopped = SuiteRecord { exit_code: 130, ..suite(RunResult::Met) };
        assert_eq!(decide(&stopped, &held).0, ExitCode::Undecided);
    }
}
