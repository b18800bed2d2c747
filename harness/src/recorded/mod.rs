//! A run of before, opened to be run again: its plan, what became of its faults, what came of it.
//!
//! The folder of the run is enough, so a run of another machine or of a harness that was killed
//! can be opened, too. Reads files and starts nothing; `replay`, `repro` and `shrink` begin here.

mod again;
mod by_name;
mod by_role;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use splitbrain_reports::json;
use splitbrain_reports::measure::schedule::{self, Lived};
use splitbrain_reports::record::{FaultId, RunRecord, RunResult, SuiteRecord};
use splitbrain_workloads::seed::Seed;

pub use again::Again;
pub use by_name::by_name;
pub use by_role::by_role;

use crate::run::directory::{RunDirectory, SuiteDirectory};
use crate::suite::plan::{self, PlannedRun};
use crate::suite::target::TargetKind;
use crate::suite::{self, SuiteError};

/// A recorded run.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its folder.
    pub directory: RunDirectory,
    /// What was to be done.
    pub plan: PlannedRun,
    /// What became of each fault that left an event.
    pub faults: BTreeMap<FaultId, Lived>,
    /// What came of it; `None` when the summary beside its folder is gone or does not know it.
    pub record: Option<RunRecord>,
}

/// Why a recorded run cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Unopened {
    /// It is no folder of a run.
    #[error(
        "{} is no folder of a run: it has no plan.yaml\n  = help: name one, such as \
         runs/latest/leader-killed, or the folder of a suite with --only", .0.display()
    )]
    NoRun(PathBuf),
    /// It is the folder of a suite, and it is not known which run is meant.
    #[error("{} is a suite of several runs, and {asked}\n  = help: {help}", .path.display())]
    Which {
        /// The folder.
        path: PathBuf,
        /// What was asked for.
        asked: String,
        /// What to do.
        help: String,
    },
    /// A file of it cannot be read.
    #[error("{}: {problem}", .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What was wrong.
        problem: String,
    },
    /// Its plan is no suite of this version, or makes no sense any more.
    #[error(transparent)]
    Plan(#[from] SuiteError),
}

/// Opens the folder of a run, or of a suite with the name of one of its runs. A suite of one run
/// needs no name.
///
/// # Errors
///
/// [`Unopened`].
pub fn open(path: &Path, only: Option<&str>, kinds: &[TargetKind]) -> Result<Recorded, Unopened> {
    let path = &lasting(path);
    let directory = match SuiteDirectory::open(path) {
        Some(suite) => suite.run(&chosen(&suite, only)?.directory),
        // The folder of a run whose harness was killed has no summary above it.
        None => SuiteDirectory::at(path.parent().unwrap_or(path)).run(&folder_name(path)),
    };
    let plan_path = directory.plan();
    if !plan_path.is_file() {
        return Err(Unopened::NoRun(path.to_path_buf()));
    }
    let unreadable =
        |path: &Path, problem: String| Unopened::Unreadable { path: path.to_path_buf(), problem };
    let text = fs::read_to_string(&plan_path)
        .map_err(|error| unreadable(&plan_path, error.to_string()))?;
    let suite = suite::parse(&plan_path.display().to_string(), &text, kinds)?;
    // Whatever the seed: a written plan holds its own, and what chance decided.
    let runs = plan::expand(&suite, kinds, Seed(0), None)
        .map_err(|error| unreadable(&plan_path, error.to_string()))?;
    let plan = runs
        .into_iter()
        .next()
        .ok_or_else(|| unreadable(&plan_path, "a plan without a run".to_string()))?;
    Ok(Recorded {
        faults: faults(&directory)?,
        record: record(&directory, &plan.name),
        directory,
        plan,
    })
}

fn chosen(suite: &SuiteDirectory, only: Option<&str>) -> Result<RunRecord, Unopened> {
    let summary = summary(suite)?;
    let found = match (only, &summary.runs[..]) {
        (Some(name), runs) => runs.iter().find(|run| run.name == name),
        (None, [run]) => Some(run),
        (None, _) => None,
    };
    found.cloned().ok_or_else(|| {
        let names = |runs: Vec<&RunRecord>| {
            runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        let wanting = summary.runs.iter().filter(|run| run.result != RunResult::Met).collect();
        Unopened::Which {
            path: suite.path().to_path_buf(),
            asked: match only {
                Some(name) => format!("none is called `{name}`"),
                None => "none was named".to_string(),
            },
            help: match names(wanting) {
                failed if !failed.is_empty() => format!("--only with one that failed: {failed}"),
                _ => format!("--only with one of {}", names(summary.runs.iter().collect())),
            },
        }
    })
}

fn summary(suite: &SuiteDirectory) -> Result<SuiteRecord, Unopened> {
    let path = suite.summary();
    let unreadable = |problem: String| Unopened::Unreadable { path: path.to_path_buf(), problem };
    let file = File::open(&path).map_err(|error| unreadable(error.to_string()))?;
    json::read_suite(BufReader::new(file)).map_err(|error| unreadable(error.to_string()))
}

fn faults(directory: &RunDirectory) -> Result<BTreeMap<FaultId, Lived>, Unopened> {
    let path = directory.events();
    let unreadable = |problem: String| Unopened::Unreadable { path: path.clone(), problem };
    let file = match File::open(&path) {
        Ok(file) => file,
        // A plan without a run: it can be replayed by role.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(unreadable(error.to_string())),
    };
    let events = json::read_events(BufReader::new(file));
    Ok(schedule::lived(&events.map_err(|error| unreadable(error.to_string()))?.records))
}

/// The run's record in the summary beside its folder. A folder that was copied alone has none,
/// and can be run again all the same.
fn record(directory: &RunDirectory, name: &str) -> Option<RunRecord> {
    let suite = SuiteDirectory::open(directory.path().parent()?)?;
    let runs = summary(&suite).ok()?.runs;
    runs.into_iter().find(|run| run.name == name)
}

/// The path with `latest` followed, in its last or last but one part: whoever opens a run is about
/// to make a newer folder, and `latest` will be that one.
fn lasting(path: &Path) -> PathBuf {
    let followed = |path: &Path| {
        let target = fs::read_link(path).ok()?;
        Some(path.parent().unwrap_or(Path::new("")).join(target))
    };
    if let Some(path) = followed(path) {
        return path;
    }
    let last_but_one = path.parent().and_then(followed);
    match (last_but_one, path.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => path.to_path_buf(),
    }
}

fn folder_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn latest_is_followed_so_that_a_newer_folder_changes_nothing() {
        let out = tempfile::tempdir().unwrap();
        let (run, latest) = (out.path().join("old/a-run"), out.path().join("latest"));
        fs::create_dir_all(&run).unwrap();
        symlink("old", &latest).unwrap();
        assert_eq!(lasting(&latest), out.path().join("old"));
        assert_eq!(lasting(&latest.join("a-run")), run);
        assert_eq!(lasting(&run), run);
    }
}
