//! `splitbrain check`: judges recorded histories again, with no process and no clock.
//!
//! A history file gets a report of its own. The folder of a run, or of a suite, has each of its
//! histories judged, and the new verdict is held against the recorded one.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use splitbrain_reports::record::{Expectation, Opinion};
use splitbrain_reports::text::{self, Checked};
use splitbrain_workloads::history::{self, History};
use splitbrain_workloads::verdict::{Judgement, Verdict};
use splitbrain_workloads::workload;

use super::{CheckArgs, Ended, Failure, print, report, say, style};
use crate::result::ExitCode;
use crate::run::directory::{RunDirectory, SuiteDirectory};
use crate::run::examine;

pub(super) fn main(args: &CheckArgs) -> Ended {
    let path = &args.path;
    if let Some(suite) = SuiteDirectory::open(path) {
        return suite_folder(&suite, args);
    }
    match RunDirectory::open(path) {
        Some(run) => one(&run.history(), args),
        None if path.is_dir() => Err(report::not_a_run(path)),
        None => one(path, args),
    }
}

fn one(path: &Path, args: &CheckArgs) -> Ended {
    let (history, judgements) = judge(path, args)?;
    let verdict = overall(&judgements);
    let code = code(verdict);
    let recheck = examine::shown(&judgements, &Expectation::Pass)
        .map(|shown| examine::second_opinion(&history, shown))
        .transpose()?;
    let disagrees =
        recheck.as_ref().is_some_and(|recheck| recheck.opinion == Opinion::Contradicted);
    let code = if disagrees { ExitCode::HarnessBug } else { code };
    let text = text::checked(
        &Checked {
            file: &path.display().to_string(),
            history: &history,
            judgements: &judgements,
            recheck: recheck.as_ref(),
            exit_code: code as u8,
            exit_reason: reason(code),
        },
        &style::stdout(args.drawing),
    );
    print(&text);
    Ok(code)
}

/// Judges every history of a suite again and compares with what was recorded.
fn suite_folder(suite: &SuiteDirectory, args: &CheckArgs) -> Ended {
    let summary = report::read(suite)?;
    let mut text = String::new();
    let mut same = true;
    for run in &summary.runs {
        let path = suite.run(&run.directory).history();
        if !path.is_file() {
            text.push_str(&format!("{:8} {}  no history was left\n", "-", run.name));
            continue;
        }
        let (_, judgements) = judge(&path, args)?;
        let verdict = overall(&judgements);
        let agrees = verdict == run.verdict;
        same &= agrees;
        let note = match agrees {
            true => "as recorded".to_string(),
            false => format!("RECORDED AS {}", run.verdict),
        };
        text.push_str(&format!("{verdict:8} {}  {note}\n", run.name));
    }
    let code = if same { ExitCode::Met } else { ExitCode::HarnessBug };
    let reason = match same {
        true => "every history was judged again and every verdict is as recorded",
        false => "a verdict differs from the recorded one",
    };
    print(&format!("{text}\nexit {}: {reason}\n", code as u8));
    Ok(code)
}

fn judge(path: &Path, args: &CheckArgs) -> Result<(History, Vec<Judgement>), Failure> {
    let began = Instant::now();
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (history, _) = history::read(&mut BufReader::new(file)).map_err(|error| {
        Failure::new(ExitCode::Usage, format!("error: {}: {error}", path.display()))
    })?;
    let read = began.elapsed();
    let judgements = workload::judge(&history);
    if args.timing {
        let total = began.elapsed();
        let count = history.operations.len();
        say(&format!("read {count} operations in {read:.2?}, judged in {:.2?}", total - read));
    }
    Ok((history, judgements))
}

fn overall(judgements: &[Judgement]) -> Verdict {
    let verdicts = judgements.iter().map(|judgement| judgement.verdict);
    verdicts.reduce(Verdict::and).unwrap_or(Verdict::Unknown)
}

fn code(verdict: Verdict) -> ExitCode {
    match verdict {
        Verdict::Pass => ExitCode::Met,
        Verdict::Fail => ExitCode::NotMet,
        Verdict::Unknown => ExitCode::Undecided,
    }
}

/// The meaning of a code for one history, about which nobody expected anything.
fn reason(code: ExitCode) -> &'static str {
    match code {
        ExitCode::Met => "every checker passed",
        ExitCode::NotMet => "a violation was proven",
        other => other.meaning(),
    }
}
