//! `splitbrain replay`: the plan of a recorded run once more, and how the two compare.

use std::sync::Arc;

use anyhow::Context as _;
use splitbrain_reports::measure::schedule;
use splitbrain_reports::record::RunRecord;
use splitbrain_reports::text::{Replay, ReplayedFault, Style, replay as section};

use super::{Ended, Failure, ReplayArgs, clusters, print, report, run, style};
use crate::recorded::{self, Again, Recorded, Unopened};
use crate::result::ExitCode;
use crate::run::directory::SuiteDirectory;
use crate::run::series::{Progress, Series, Targets};
use crate::suite::plan::Start;
use crate::target;

pub(super) fn main(args: &ReplayArgs) -> Ended {
    let recorded = recorded::open(&args.path, args.only.as_deref(), &target::kinds()?)?;
    let again = match args.by_name {
        true => recorded::by_name(&recorded.plan, &recorded.faults),
        false => recorded::by_role(&recorded.plan, &recorded.faults),
    };
    if args.by_name && again.plan.faults.is_empty() && !recorded.plan.faults.is_empty() {
        let text = format!(
            "error: no fault of {} left an event with its victims\n  = help: replay without \
             --by-name follows the plan alone",
            recorded.directory.path().display()
        );
        return Err(Failure::new(ExitCode::Usage, text));
    }
    let runs = vec![again.plan.clone()];
    let targets = Targets::open(&runs)?;
    let now = chrono::Local::now();
    let name = format!("{}-replay", again.plan.name);
    let directory = run::new_folder(&args.out, &now, &name)?;
    let series = Series {
        suite: name,
        origin: run::origin(again.plan.seed, &now),
        runs,
        directory,
        keep_data: args.keep_data,
    };
    let progress: Arc<dyn Progress> = run::progress(args.quiet, args.drawing);
    clusters::with(1, async |lanes, stop| {
        let work = series.run(&targets, lanes, stop.asked(), progress);
        let Some(summary) = stop.unless_insisted(work).await else {
            return Ok(ExitCode::Undecided);
        };
        let mut summary = summary?;
        run::say_stopped(&series, &mut summary, stop)?;
        let compared = |now: &RunRecord, style: &Style| {
            let faults = compared(&recorded, &again, &series.directory, now);
            let of = recorded.directory.path().display().to_string();
            let replay = Replay {
                of: &of,
                by_name: args.by_name,
                then: recorded.record.as_ref(),
                now,
                faults,
                notes: &again.notes,
            };
            section(&replay, style)
        };
        // The comparison stands above the report, so that the last line is the exit code's.
        if let Some(now) = summary.runs.first() {
            let path = series.directory.replay();
            std::fs::write(&path, compared(now, &style::file(args.drawing)))
                .with_context(|| format!("cannot write {}", path.display()))?;
            print(&format!("{}\n", compared(now, &style::stdout(args.drawing))));
        }
        run::leave_report(&series.directory, &summary, args.drawing)?;
        Ok(ExitCode::of(summary.result))
    })
}

/// What became of each fault then and now.
fn compared(
    recorded: &Recorded,
    again: &Again,
    directory: &SuiteDirectory,
    now: &RunRecord,
) -> Vec<ReplayedFault> {
    let events = report::events(&directory.run(&now.directory));
    let lived = schedule::lived(&events);
    let faults = again.plan.faults.iter().zip(&again.were);
    let fault = faults.map(|(fault, was)| ReplayedFault {
        id: fault.id,
        kind: fault.fault.kind().to_string(),
        on_condition: matches!(fault.start, Start::When { .. }),
        then: recorded.faults.get(was).cloned().unwrap_or_default(),
        now: lived.get(&fault.id).cloned().unwrap_or_default(),
    });
    fault.collect()
}

impl From<Unopened> for Failure {
    fn from(error: Unopened) -> Failure {
        match error {
            Unopened::Plan(error) => {
                Failure::new(ExitCode::Usage, error.render(style::stderr_color()))
            }
            error => Failure::new(ExitCode::Usage, format!("error: {error}")),
        }
    }
}
