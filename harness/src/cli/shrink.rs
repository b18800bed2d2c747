//! `splitbrain shrink`: the smallest plan that still fails in the recorded way.
//!
//! Joins the search, which is pure, with real runs: each plan it proposes is carried out until a
//! sequential test has decided, within a budget of time. Whatever ends it early, the smallest plan
//! so far stands in `shrunk.yaml`, and the diary beside it lets the search go on.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use splitbrain_reports::measure::rate::{Share, Symptom};
use splitbrain_reports::text::{self, Shrunk, Tried};
use splitbrain_workloads::history::Micros;

use super::clusters::{self, Stop};
use super::{Ended, Failure, ShrinkArgs, print, run, say, style};
use crate::recorded::{self, Recorded};
use crate::result::ExitCode;
use crate::run::directory::{RunDirectory, SuiteDirectory};
use crate::run::examine::read_history;
use crate::run::series::Targets;
use crate::run::trials::{self, Bench, Next};
use crate::shrink::diary::{self, Entry, Refused};
use crate::shrink::hints::hints;
use crate::shrink::{Candidate, Search, Trial, smaller};
use crate::suite;
use crate::suite::gates::Gates;
use crate::suite::plan::PlannedRun;
use crate::suite::stop::Stop as RunStop;
use crate::suite::target::TargetKind;
use crate::target;

/// How often the recorded plan must fail before its rate is believed enough to begin.
const FAILURES_FIRST: u64 = 3;

/// How often it is tried for that. A failure rarer than once in ten runs would take hours to
/// shrink.
const ORIGINAL_RUNS: u64 = 10;

/// Runs of the result, to say how often it fails.
const RESULT_RUNS: u64 = 10;

/// The share of the budget after which nothing new is tried; the rest measures the result.
const SEARCHING: f64 = 0.8;

/// Runs in a row that decide nothing before a plan is given up: the machine or the plan is unfit.
const UNDECIDED_MAX: u32 = 3;

pub(super) fn main(args: &ShrinkArgs) -> Ended {
    let kinds = target::kinds()?;
    let recorded = recorded::open(&args.path, args.only.as_deref(), &kinds)?;
    let symptom = symptom(&recorded)?;
    let plan = stripped(&recorded.plan, &symptom);
    let targets = Targets::open(std::slice::from_ref(&plan))?;
    let now = chrono::Local::now();
    let (directory, entries) = match &args.resume {
        Some(path) => (SuiteDirectory::at(path), resumed(path, &plan)?),
        None => {
            let name = format!("{}-shrink", plan.name);
            (run::new_folder(&args.out, &now, &name)?, Vec::new())
        }
    };
    let origin = run::origin(plan.seed, &now);
    clusters::with(args.jobs.into(), async |lanes, stop| {
        let attempts = SuiteDirectory::at(&directory.path().join("attempts"));
        let interrupt = stop.asked();
        let bench = Bench { targets: &targets, lanes, directory: attempts, origin, interrupt };
        let mut shrinking = Shrinking {
            bench,
            args,
            stop,
            kinds: &kinds,
            recorded: &recorded,
            symptom: &symptom,
            directory: &directory,
            began: Instant::now(),
            steps: 0,
            runs: 0,
            failed: None,
        };
        let work = shrinking.work(plan, entries);
        stop.unless_insisted(work).await.unwrap_or(Ok(ExitCode::Undecided))
    })
}

/// What the recorded run is recognized by.
fn symptom(recorded: &Recorded) -> Result<Symptom, Failure> {
    match recorded.record.as_ref().map(Symptom::of) {
        Some(Symptom::Anything) | None => Err(Failure::new(
            ExitCode::Usage,
            format!(
                "error: {} did not fail, or its suite's summary is gone: expected an anomaly or a \
                 broken gate to look for\n  = help: run it until it fails: splitbrain repro",
                recorded.directory.path().display()
            ),
        )),
        Some(symptom) => Ok(symptom),
    }
}

/// The plan without what has nothing to do with its failure: an anomaly needs no gates, and no
/// failure is one of coverage, which a plan with fewer faults could not reach. What comes after the
/// proof of an anomaly has nothing to do with it either.
fn stripped(plan: &PlannedRun, symptom: &Symptom) -> PlannedRun {
    let plan = PlannedRun { require: Vec::new(), ..plan.clone() };
    match symptom {
        Symptom::Anomaly(kind) => {
            let stop = RunStop::once_proven(*kind);
            PlannedRun { gates: Gates::default(), liveness: None, stop, ..plan }
        }
        Symptom::Gate(_) | Symptom::Anything => plan,
    }
}

/// The diary of an earlier search of the same plan.
fn resumed(path: &Path, plan: &PlannedRun) -> Result<Vec<Entry>, Failure> {
    let path = path.join("shrink.jsonl");
    let refused = |error: String| {
        Failure::new(ExitCode::Usage, format!("error: {}: {error}", path.display()))
    };
    let text = fs::read_to_string(&path).map_err(|error| refused(error.to_string()))?;
    let entries = diary::read(&text).map_err(|error| refused(error.to_string()))?;
    let expected = Entry::Shrink { version: diary::VERSION, plan: written(plan) };
    match entries.first() {
        Some(first) if *first == expected => Ok(entries),
        _ => Err(refused(
            Refused::Other { line: 1, problem: "its first plan is not this run's" }.to_string(),
        )),
    }
}

fn written(plan: &PlannedRun) -> String {
    suite::write(&plan.to_suite(&plan.name), &[])
}

/// A search at work.
struct Shrinking<'a> {
    bench: Bench<'a>,
    args: &'a ShrinkArgs,
    stop: &'a Stop,
    kinds: &'a [TargetKind],
    recorded: &'a Recorded,
    symptom: &'a Symptom,
    directory: &'a SuiteDirectory,
    began: Instant,
    steps: u64,
    runs: u64,
    /// A run of the smallest plan so far that failed.
    failed: Option<RunDirectory>,
}

/// What some runs of one plan showed.
#[derive(Default)]
struct Seen {
    share: Share,
    in_a_row_undecided: u32,
    failed: Option<RunDirectory>,
    /// Why a run decided nothing.
    why: String,
}

impl Shrinking<'_> {
    async fn work(&mut self, plan: PlannedRun, entries: Vec<Entry>) -> Ended {
        let mut entries = entries.into_iter().skip(1).peekable();
        if entries.peek().is_none() {
            self.note(&Entry::Shrink { version: diary::VERSION, plan: written(&plan) })?;
        }
        let before = match entries.next() {
            Some(Entry::Original { failed, of }) => Share { hits: failed, of },
            _ => self.original(&plan).await?,
        };
        if before.hits == 0 {
            print(&format!(
                "{} did not happen in {} runs of the recorded plan; nothing to shrink\n",
                self.symptom, before.of
            ));
            return Ok(ExitCode::Undecided);
        }
        let mut search = Search::new(plan.clone(), self.hints());
        let mut accepted = vec![plan.clone()];
        let rate = before.fraction().unwrap_or(1.0);
        let ended = loop {
            let Some(candidate) = search.propose() else { break "nothing smaller fails as often" };
            let fails = match entries.next() {
                Some(Entry::Step { plan, fails, runs }) if plan == written(&candidate.plan) => {
                    self.runs += runs;
                    fails
                }
                Some(_) => {
                    let error = Refused::Other {
                        line: self.steps as usize + 3,
                        problem: "the search proposes another plan",
                    };
                    return Err(Failure::new(ExitCode::Usage, format!("error: {error}")));
                }
                None => match self.step(&candidate, rate, &search).await? {
                    Some(fails) => fails,
                    None if *self.bench.interrupt.borrow() => break "interrupted",
                    None => break "the budget was used up",
                },
            };
            self.steps += 1;
            search.answer(fails);
            if fails {
                accepted.push(candidate.plan);
                self.leave(search.best(), None)?;
            }
        };
        self.finish(&plan, accepted, before, ended).await
    }

    /// How often the recorded plan fails.
    async fn original(&mut self, plan: &PlannedRun) -> Result<Share, Failure> {
        let seen = self
            .repeat("recorded", plan, 1.0, |share| {
                share.hits >= FAILURES_FIRST || share.of >= ORIGINAL_RUNS
            })
            .await?;
        if seen.in_a_row_undecided >= UNDECIDED_MAX {
            let why = format!("error: no run of the recorded plan was decided: {}", seen.why);
            return Err(Failure::new(ExitCode::Environment, why));
        }
        let Share { hits: failed, of } = seen.share;
        if !*self.bench.interrupt.borrow() {
            self.note(&Entry::Original { failed, of })?;
        }
        self.say(&format!("recorded plan: failed {}", seen.share));
        self.failed = seen.failed;
        Ok(seen.share)
    }

    /// Tries one plan; `None` when time or an interrupt ended it undecided.
    async fn step(
        &mut self,
        candidate: &Candidate,
        rate: f64,
        search: &Search,
    ) -> Result<Option<bool>, Failure> {
        let text = written(&candidate.plan);
        if suite::parse("shrunk.yaml", &text, self.kinds).is_err() {
            // What no suite may hold is no smaller plan.
            self.note(&Entry::Step { plan: text, fails: false, runs: 0 })?;
            return Ok(Some(false));
        }
        let mut trial = Trial::new(rate);
        let mut answer = None;
        let mut counted = 0;
        let label = format!("step-{}", self.steps + 1);
        let seen = self
            .repeat(&label, &candidate.plan, SEARCHING, |share| {
                // Called after each run that was decided, so the difference is that run.
                let failed = share.hits > counted;
                counted = share.hits;
                answer = trial.observe(failed);
                answer.is_some()
            })
            .await?;
        if answer.is_none() && seen.in_a_row_undecided >= UNDECIDED_MAX {
            answer = Some(false);
        }
        if let Some(fails) = answer {
            self.note(&Entry::Step { plan: text, fails, runs: seen.share.of })?;
            if fails {
                // What is kept is a run of the smallest plan.
                if let Some(old) = std::mem::replace(&mut self.failed, seen.failed) {
                    trials::remove(&old)?;
                }
            } else if let Some(failed) = seen.failed {
                trials::remove(&failed)?;
            }
        }
        let best = if answer == Some(true) { candidate.plan.clone() } else { search.best() };
        let tried = Tried {
            number: self.steps + 1,
            what: &candidate.what,
            fails: answer.filter(|_| seen.in_a_row_undecided < UNDECIDED_MAX),
            share: seen.share,
            elapsed: micros(self.began.elapsed()),
            best: &in_short(&best),
        };
        self.say(&text::tried(&tried, &style::file(self.args.drawing)));
        Ok(answer)
    }

    /// Carries a plan out until enough is known or this share of the budget is used up.
    async fn repeat(
        &mut self,
        label: &str,
        plan: &PlannedRun,
        share_of_budget: f64,
        mut enough: impl FnMut(Share) -> bool,
    ) -> Result<Seen, Failure> {
        let until = self.args.budget.duration().mul_f64(share_of_budget);
        let began = self.began;
        let mut seen = Seen::default();
        let mut troubles = Ok(());
        let mut runs = 0;
        let may_start = || began.elapsed() < until;
        self.bench
            .repeat(label, plan, may_start, |record, directory| {
                runs += 1;
                let shows = self.symptom.shows(record);
                if shows == Some(true) && seen.failed.is_none() {
                    seen.failed = Some(directory.clone());
                } else if let Err(error) = trials::remove(directory) {
                    troubles = Err(error);
                    return Next::Enough;
                }
                match shows {
                    None => {
                        seen.why.clone_from(&record.why);
                        seen.in_a_row_undecided += 1;
                        if seen.in_a_row_undecided < UNDECIDED_MAX {
                            return Next::Again;
                        }
                        Next::Enough
                    }
                    Some(shows) => {
                        seen.in_a_row_undecided = 0;
                        seen.share.add(shows);
                        if enough(seen.share) { Next::Enough } else { Next::Again }
                    }
                }
            })
            .await?;
        troubles?;
        self.runs += runs;
        Ok(seen)
    }

    /// Measures how often the result fails and reports. A result that never fails again was
    /// accepted by chance; then the one before it is taken.
    async fn finish(
        &mut self,
        original: &PlannedRun,
        mut accepted: Vec<PlannedRun>,
        before: Share,
        ended: &str,
    ) -> Ended {
        let mut after = Share::default();
        let best = loop {
            let best = accepted.pop().unwrap_or_else(|| original.clone());
            if *self.bench.interrupt.borrow() || accepted.is_empty() {
                break best;
            }
            let label = format!("result-{}", accepted.len());
            let seen = self.repeat(&label, &best, 1.0, |share| share.of >= RESULT_RUNS).await?;
            after = seen.share;
            if seen.failed.is_some()
                && let Some(old) = std::mem::replace(&mut self.failed, seen.failed)
            {
                trials::remove(&old)?;
            }
            if after.hits > 0 || after.of == 0 {
                break best;
            }
            self.say(&format!("the result failed {after}: going back to the plan before it"));
        };
        let after = if best == *original { before } else { after };
        let file = self.leave(best.clone(), Some(after))?;
        let code = self.stop.outcome(match after.hits {
            0 if after.of > 0 => ExitCode::Undecided,
            _ => ExitCode::Met,
        });
        let reason = match code {
            ExitCode::Met if best == *original => "nothing smaller fails as often",
            ExitCode::Met => "a smaller plan fails, too",
            code => code.meaning(),
        };
        let failed = self.failed.as_ref().map(|folder| folder.path().display().to_string());
        let faults: Vec<String> = best
            .faults
            .iter()
            .map(|fault| format!("{}  {} {}", fault.start, fault.fault.kind(), fault.shape()))
            .collect();
        let shrunk = Shrunk {
            of: &self.recorded.directory.path().display().to_string(),
            symptom: self.symptom,
            ended,
            steps: self.steps,
            runs: self.runs,
            took: micros(self.began.elapsed()),
            parts: &parts(original, &best),
            faults: &faults,
            before,
            after,
            file: &file.display().to_string(),
            failed: failed.as_deref(),
            exit_code: code as u8,
            exit_reason: reason,
        };
        let report = self.directory.report();
        fs::write(&report, text::shrunk(&shrunk, &style::file(self.args.drawing)))
            .with_context(|| format!("cannot write {}", report.display()))?;
        print(&text::shrunk(&shrunk, &style::stdout(self.args.drawing)));
        Ok(code)
    }

    /// Writes the smallest plan so far as a suite of its own.
    fn leave(&self, best: PlannedRun, rate: Option<Share>) -> Result<PathBuf, Failure> {
        let path = self.directory.path().join("shrunk.yaml");
        let mut header = vec![
            format!("splitbrain {}, {}", env!("CARGO_PKG_VERSION"), self.bench.origin.started),
            format!("shrunk from {}", self.recorded.directory.path().display()),
        ];
        header.push(match rate {
            Some(rate) if rate.of > 0 => format!("{} in {rate}", self.symptom),
            _ => format!("{}, rate not measured yet", self.symptom),
        });
        let text = suite::write(&best.to_suite(&format!("{}-shrunk", best.name)), &header);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    fn hints(&self) -> Vec<Vec<splitbrain_reports::record::FaultId>> {
        let (Some(record), Symptom::Anomaly(kind)) = (&self.recorded.record, self.symptom) else {
            return Vec::new();
        };
        let Ok(history) = read_history(&self.recorded.directory.history()) else {
            return Vec::new();
        };
        let anomalies = record.judgements.iter().flat_map(|judgement| &judgement.anomalies);
        let culprits = anomalies.filter(|anomaly| anomaly.kind == *kind);
        let culprit = culprits
            .filter_map(|anomaly| history.operations.get(anomaly.culprit.0 as usize))
            .min_by_key(|operation| operation.invoked.at);
        let Some(culprit) = culprit else { return Vec::new() };
        let ended = culprit.completed.as_ref().map_or(culprit.invoked.at, |stamp| stamp.at);
        hints(&record.faults, culprit.invoked.at, ended)
    }

    fn note(&self, entry: &Entry) -> Result<(), Failure> {
        let path = self.directory.path().join("shrink.jsonl");
        let appended = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file: File| file.write_all(diary::line(entry).as_bytes()));
        Ok(appended.with_context(|| format!("cannot write {}", path.display()))?)
    }

    fn say(&self, line: &str) {
        if !self.args.quiet {
            say(line);
        }
    }
}

/// What there was and what is left.
fn parts(before: &PlannedRun, after: &PlannedRun) -> Vec<(&'static str, String, String)> {
    let part = |name, of: &dyn Fn(&PlannedRun) -> String| (name, of(before), of(after));
    vec![
        part("faults", &|plan| plan.faults.len().to_string()),
        part("load", &|plan| plan.duration.to_string()),
        part("clients", &|plan| plan.clients.to_string()),
        part("workload", &|plan| plan.workload.describe()),
        part("rate", &|plan| plan.rate.to_string()),
    ]
}

fn in_short(plan: &PlannedRun) -> String {
    let plural = if plan.faults.len() == 1 { "" } else { "s" };
    let PlannedRun { duration, clients, rate, .. } = plan;
    let keys = smaller::keys(plan).map_or(String::new(), |keys| format!(", {keys} keys"));
    format!("{} fault{plural}, {duration}, {clients} clients, {rate}/s{keys}", plan.faults.len())
}

fn micros(length: Duration) -> Micros {
    Micros(u64::try_from(length.as_micros()).unwrap_or(u64::MAX))
}
