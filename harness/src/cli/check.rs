//! `splitbrain check`: judges recorded histories again, with no process and no clock.
//!
//! A history file gets a report of its own, ours or another tool's; several get one line each. The
//! folder of a run, or of a suite, has each of its histories judged, and the new verdict is held
//! against the recorded one.

mod beside;

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::builder::PossibleValuesParser;
use splitbrain_reports::measure::shown::{Shown, shown};
use splitbrain_reports::record::{Opinion, Recheck};
use splitbrain_reports::text::{self, Checked, Modelled};
use splitbrain_workloads::checker::brute_force;
use splitbrain_workloads::checker::frontier::{Budget, Decision};
use splitbrain_workloads::history::{self, Format, History, Reading};
use splitbrain_workloads::recording::{ModelName, Recording};
use splitbrain_workloads::verdict::{Judgement, Verdict};
use splitbrain_workloads::workload;

use beside::Written;

use super::{CheckArgs, Ended, Failure, print, report, say, style};
use crate::result::ExitCode;
use crate::run::directory::{RunDirectory, SuiteDirectory};
use crate::run::examine;

/// What no format and no model is called: to find out.
const AUTO: &str = "auto";

/// The values of `--format`.
pub(super) fn formats() -> PossibleValuesParser {
    PossibleValuesParser::new([AUTO].into_iter().chain(Format::ALL.map(Format::name)))
}

/// The values of `--model`: ours, and the names that other tools have for them.
pub(super) fn models() -> PossibleValuesParser {
    let ours = ModelName::ALL.map(ModelName::name);
    let theirs = ModelName::ALIASES.map(|(name, _)| name);
    PossibleValuesParser::new([AUTO].into_iter().chain(ours).chain(theirs))
}

pub(super) fn main(args: &CheckArgs) -> Ended {
    let [path] = args.paths.as_slice() else {
        of_one_alone(args)?;
        return several(args);
    };
    if let Some(suite) = SuiteDirectory::open(path) {
        of_one_alone(args)?;
        return suite_folder(&suite, args);
    }
    match RunDirectory::open(path) {
        Some(run) => one(&run.history(), args),
        None if path.is_dir() => Err(report::not_a_run(path)),
        None => one(path, args),
    }
}

/// What is about one history is no switch for several.
fn of_one_alone(args: &CheckArgs) -> Result<(), Failure> {
    let switches = [
        ("--promise", args.promise.is_some()),
        ("--witness", args.witness.is_some()),
        ("--export", args.export.is_some()),
    ];
    match switches.into_iter().find(|(_, is_given)| *is_given) {
        None => Ok(()),
        Some((switch, _)) => {
            let what = format!("error: {switch} is for one history: expected one file or run");
            Err(Failure::new(ExitCode::Usage, what))
        }
    }
}

fn one(path: &Path, args: &CheckArgs) -> Ended {
    let mut took = Took::default();
    let Opened { recording, format, remarks } = open(path, args, &mut took)?;
    let mut written = beside::write(&recording, args)?;
    written.lines.splice(0..0, remarks.into_iter().map(|remark| ("order", remark)));
    match &recording {
        Recording::Operations(history) if args.promise.is_some() => {
            let promised = args.promise.iter();
            let judgements: Vec<Judgement> =
                took.judging(|| promised.map(|promise| promise.judge(history)).collect());
            took.tell(args, recording.operations());
            let foreign = (format != Format::Jsonl).then(|| format.name());
            told(path, args, history, &judgements, foreign, &written)
        }
        _ if args.promise.is_some() => {
            let model = recording.model().name();
            let what = format!("error: promises are about registers and sets, not about a {model}");
            Err(Failure::new(ExitCode::Usage, what))
        }
        Recording::Operations(history) if is_ours(format, args) => {
            let judgements = took.judging(|| workload::judge(history));
            took.tell(args, recording.operations());
            told(path, args, history, &judgements, None, &written)
        }
        Recording::Operations(history) => {
            let decision = took.judging(|| recording.decide(Budget::default()));
            let judgements = took.explaining(|| recording.judge(&decision));
            took.tell(args, recording.operations());
            told(path, args, history, &judgements, Some(format.name()), &written)
        }
        _ => modelled(path, args, &recording, format, took, &written),
    }
}

/// Whether all checkers of its workload judge the history, and not one model.
fn is_ours(format: Format, args: &CheckArgs) -> bool {
    format == Format::Jsonl && args.model == AUTO
}

/// Prints what the checkers of a workload say.
fn told(
    path: &Path,
    args: &CheckArgs,
    history: &History,
    judgements: &[Judgement],
    foreign: Option<&str>,
    written: &Written,
) -> Ended {
    let code = code(overall(judgements));
    // A promise is less than one order of all operations, which is what the second judge looks for.
    let shown = shown(judgements, None).filter(|_| args.promise.is_none());
    let recheck = shown.map(|shown| second_opinion(history, shown)).transpose()?.flatten();
    let disagrees = written.is_refused
        || recheck.as_ref().is_some_and(|recheck| recheck.opinion == Opinion::Contradicted);
    let code = if disagrees { ExitCode::HarnessBug } else { code };
    let text = text::checked(
        &Checked {
            file: &path.display().to_string(),
            foreign,
            history,
            judgements,
            recheck: recheck.as_ref(),
            written: &written.lines,
            exit_code: code as u8,
            exit_reason: reason(code),
        },
        &style::stdout(args.drawing),
    );
    print(&text);
    Ok(code)
}

/// What the brute force says, if the counterexample is small enough for it. One from a history
/// whose values repeat need not be.
fn second_opinion(history: &History, shown: Shown<'_>) -> anyhow::Result<Option<Recheck>> {
    let operations = shown.anomaly.operations.len() + shown.anomaly.swaps.len();
    if operations > brute_force::OPERATIONS_MAX {
        return Ok(None);
    }
    let opinion = examine::second_opinion(history, shown)?;
    Ok(Some(opinion))
}

/// Judges by a model that has no workload, and prints what came of it.
fn modelled(
    path: &Path,
    args: &CheckArgs,
    recording: &Recording,
    format: Format,
    mut took: Took,
    written: &Written,
) -> Ended {
    let decision = took.judging(|| recording.decide(Budget::default()));
    let explanation = took.explaining(|| match &decision {
        Decision::Impossible(refusal) => recording.explain(refusal),
        Decision::Possible | Decision::Undecided(_) => None,
    });
    took.tell(args, recording.operations());
    let sentence = match &decision {
        Decision::Possible => "an order of all operations explains every answer".to_string(),
        Decision::Impossible(_) => "no order of the operations explains every answer".to_string(),
        Decision::Undecided(overrun) => format!(
            "the search gave up between the lines {} and {}, with {}",
            overrun.from, overrun.to, overrun.why
        ),
    };
    let code = match written.is_refused {
        true => ExitCode::HarnessBug,
        false => code(verdict(&decision)),
    };
    let text = text::modelled(
        &Modelled {
            file: &path.display().to_string(),
            format: format.name(),
            model: recording.model().name(),
            operations: recording.operations(),
            verdict: verdict(&decision),
            sentence: &sentence,
            explanation: explanation.as_ref(),
            written: &written.lines,
            exit_code: code as u8,
            exit_reason: reason(code),
        },
        &style::stdout(args.drawing),
    );
    print(&text);
    Ok(code)
}

/// One line for each history, and the worst code of all.
fn several(args: &CheckArgs) -> Ended {
    let mut took = Took::default();
    let (mut text, mut operations, mut codes) = (String::new(), 0, Vec::new());
    for path in &args.paths {
        let file = RunDirectory::open(path).map_or_else(|| path.clone(), |run| run.history());
        let shown = path.display();
        let Opened { recording, format, remarks } = match open(&file, args, &mut took) {
            Ok(opened) => opened,
            Err(failure) => {
                text.push_str(&format!("{:8} {}\n", "-", failure.text));
                codes.push(failure.code);
                continue;
            }
        };
        operations += recording.operations();
        let (verdict, mut note) = match &recording {
            Recording::Operations(history) if is_ours(format, args) => {
                let judgements = took.judging(|| workload::judge(history));
                let first = judgements.iter().find(|it| it.verdict == overall(&judgements));
                let note = first.map(|first| format!("{}: {}", first.checker, first.summary));
                (overall(&judgements), note.unwrap_or_default())
            }
            _ => {
                let decision = took.judging(|| recording.decide(Budget::default()));
                let note = match &decision {
                    Decision::Undecided(overrun) => overrun.why.clone(),
                    _ => format!("{}, {}", format.name(), recording.model().name()),
                };
                (verdict(&decision), note)
            }
        };
        remarks.iter().for_each(|remark| note.push_str(&format!("; order {remark}")));
        text.push_str(&format!("{verdict:8} {shown}  {note}\n"));
        codes.push(code(verdict));
    }
    took.tell(args, operations);
    // A proven violation is never masked, and what could not be read is not judged.
    let worst = [ExitCode::NotMet, ExitCode::Usage, ExitCode::Environment, ExitCode::Undecided];
    let worst = worst.into_iter().find(|code| codes.contains(code)).unwrap_or(ExitCode::Met);
    print(&format!("{text}\nexit {}: {}\n", worst as u8, reason(worst)));
    Ok(worst)
}

/// Judges every history of a suite again and compares with what was recorded.
fn suite_folder(suite: &SuiteDirectory, args: &CheckArgs) -> Ended {
    let summary = report::read(suite)?;
    let mut text = String::new();
    let (mut same, mut decided) = (true, true);
    for run in &summary.runs {
        let path = suite.run(&run.directory).history();
        if !path.is_file() {
            text.push_str(&format!("{:8} {}  no history was left\n", "-", run.name));
            continue;
        }
        let mut took = Took::default();
        let Opened { recording, .. } = open(&path, args, &mut took)?;
        let Recording::Operations(history) = &recording else {
            let what = format!("error: {} is no history of a run", path.display());
            return Err(Failure::new(ExitCode::Usage, what));
        };
        let judgements = took.judging(|| workload::judge(history));
        took.tell(args, recording.operations());
        let verdict = overall(&judgements);
        let note = match (verdict, run.verdict) {
            (now, then) if now == then => "as recorded".to_string(),
            // A file that was cut off since contradicts nothing.
            (Verdict::Unknown, then) => {
                decided = false;
                let why = judgements.iter().find(|it| it.verdict == Verdict::Unknown);
                let why = why.map(|judgement| judgement.summary.as_str()).unwrap_or_default();
                format!("recorded as {then}, and not decided now: {why}")
            }
            (_, then) => {
                same = false;
                format!("RECORDED AS {then}")
            }
        };
        text.push_str(&format!("{verdict:8} {}  {note}\n", run.name));
    }
    let (code, reason) = match (same, decided) {
        (false, _) => (ExitCode::HarnessBug, "a verdict differs from the recorded one"),
        (true, false) => (ExitCode::Undecided, "a verdict could not be reached again"),
        (true, true) => {
            (ExitCode::Met, "every history was judged again and every verdict is as recorded")
        }
    };
    print(&format!("{text}\nexit {}: {reason}\n", code as u8));
    Ok(code)
}

/// A file that was read.
struct Opened {
    recording: Recording,
    format: Format,
    /// What is to be known of the order in which its events were taken.
    remarks: Vec<String>,
}

/// Opens and reads a file as the arguments say.
fn open(path: &Path, args: &CheckArgs, took: &mut Took) -> Result<Opened, Failure> {
    let began = Instant::now();
    let file = File::open(path).map_err(|error| {
        let code = match error.kind() {
            io::ErrorKind::NotFound => ExitCode::Usage,
            _ => ExitCode::Environment,
        };
        let help = "give a history file, the folder of a run, or the folder of a suite";
        let what = format!("error: cannot read {}: {error}\n  = help: {help}", path.display());
        Failure::new(code, what)
    })?;
    let reading = Reading {
        format: Format::ALL.into_iter().find(|format| format.name() == args.format),
        model: args.model.parse().ok(),
        initial: args.initial.clone(),
    };
    let (mut input, mut remarks) = (BufReader::new(file), Vec::new());
    let opened = history::open_with_remarks(&mut input, &reading, &mut remarks);
    let (recording, format) = opened.map_err(|error| {
        Failure::new(ExitCode::Usage, format!("error: {}: {error}", path.display()))
    })?;
    took.read += began.elapsed();
    Ok(Opened { recording, format, remarks })
}

/// How long the parts of the work took.
#[derive(Default)]
struct Took {
    read: Duration,
    judged: Duration,
    explained: Option<Duration>,
}

impl Took {
    fn judging<T>(&mut self, judge: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let judged = judge();
        self.judged += began.elapsed();
        judged
    }

    fn explaining<T>(&mut self, explain: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let explained = explain();
        self.explained = Some(began.elapsed());
        explained
    }

    fn tell(&self, args: &CheckArgs, operations: usize) {
        if !args.timing {
            return;
        }
        let Took { read, judged, .. } = self;
        let explained = self.explained.map(|explained| format!(", explained in {explained:.2?}"));
        say(&format!(
            "read {operations} operations in {read:.2?}, judged in {judged:.2?}{}",
            explained.unwrap_or_default()
        ));
    }
}

fn overall(judgements: &[Judgement]) -> Verdict {
    let verdicts = judgements.iter().map(|judgement| judgement.verdict);
    verdicts.reduce(Verdict::and).unwrap_or(Verdict::Unknown)
}

fn verdict(decision: &Decision) -> Verdict {
    match decision {
        Decision::Possible => Verdict::Pass,
        Decision::Impossible(_) => Verdict::Fail,
        Decision::Undecided(_) => Verdict::Unknown,
    }
}

fn code(verdict: Verdict) -> ExitCode {
    match verdict {
        Verdict::Pass => ExitCode::Met,
        Verdict::Fail => ExitCode::NotMet,
        Verdict::Unknown => ExitCode::Undecided,
    }
}

/// The meaning of a code for histories about which nobody expected anything.
fn reason(code: ExitCode) -> &'static str {
    match code {
        ExitCode::Met => "every checker passed",
        ExitCode::NotMet => "a violation was proven",
        other => other.meaning(),
    }
}
