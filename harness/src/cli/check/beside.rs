//! What `splitbrain check` writes beside its report: the witness of a pass, and the history for other
//! tools. Called by [`super`] alone, which prints what came of it.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::Context as _;
use splitbrain_workloads::checker::frontier::Budget;
use splitbrain_workloads::history::jepsen_edn::{self, Exported};
use splitbrain_workloads::recording::Recording;
use splitbrain_workloads::witness::{NoWitness, Witness};

use super::super::{CheckArgs, Failure};
use crate::result::ExitCode;

/// The one format that histories are written in for others.
const JEPSEN_EDN: &str = "jepsen-edn";

/// What was written, for the report.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// A name and what it is.
    pub(super) lines: Vec<(&'static str, String)>,
    /// Whether the replayer refused the order of the checkers.
    pub(super) is_refused: bool,
}

/// Writes what the arguments ask for.
pub(super) fn write(recording: &Recording, args: &CheckArgs) -> Result<Written, Failure> {
    let mut written = Written::default();
    if let Some(path) = &args.witness {
        witness(recording, path, &mut written)?;
    }
    if let Some([format, path]) = args.export.as_deref() {
        if format != JEPSEN_EDN {
            let what = format!("error: --export: expected {JEPSEN_EDN} FILE, got \"{format}\"");
            return Err(Failure::new(ExitCode::Usage, what));
        }
        written.lines.push(("export", export(recording, Path::new(path))?));
    }
    Ok(written)
}

fn witness(recording: &Recording, path: &Path, written: &mut Written) -> Result<(), Failure> {
    let line = match Witness::of(recording, Budget::default()) {
        Ok(witness) => {
            let out = BufWriter::new(create(path)?);
            witness.write(out).with_context(|| format!("cannot write {}", path.display()))?;
            let (operations, orders) = (witness.placed(), witness.orders());
            let orders =
                if orders == 1 { "1 order".to_string() } else { format!("{orders} orders") };
            format!(
                "{}: {operations} operations in {orders}, verified by the replayer",
                path.display()
            )
        }
        Err(no @ NoWitness::NoOrder(_)) => format!("none was written: {no}"),
        Err(no @ NoWitness::Refused(_)) => {
            written.is_refused = true;
            format!("none was written: {no}")
        }
    };
    written.lines.push(("witness", line));
    Ok(())
}

fn export(recording: &Recording, path: &Path) -> Result<String, Failure> {
    let unfit = |what: String| Failure::new(ExitCode::Usage, format!("error: --export: {what}"));
    let Recording::Operations(history) = recording else {
        let model = recording.model().name();
        return Err(unfit(format!("expected a history of registers, got one of a {model}")));
    };
    // What cannot be said is known before the file is touched.
    jepsen_edn::write(history, std::io::sink()).map_err(|error| unfit(error.to_string()))?;
    let out = BufWriter::new(create(path)?);
    let exported = jepsen_edn::write(history, out)
        .with_context(|| format!("cannot write {}", path.display()))?;
    let Exported { operations, initial, silenced, left_out } = exported;
    let mut line = format!(
        "{}: {JEPSEN_EDN}, {operations} operations, to be checked with the initial value {initial}",
        path.display()
    );
    if left_out > 0 {
        line.push_str(&format!("; {left_out} local reads are left out"));
    }
    if silenced > 0 {
        line.push_str(&format!(
            "; {silenced} refusals that do not say what they saw say less there"
        ));
    }
    Ok(line)
}

fn create(path: &Path) -> Result<File, Failure> {
    Ok(File::create(path).with_context(|| format!("cannot write {}", path.display()))?)
}
