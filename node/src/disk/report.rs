//! `DIR/report`: what the layer did on orders, counted over all lives of the node.
//!
//! JSON, replaced as a whole whenever something was done on orders, and only then: writes and syncs
//! that went well are not counted. The harness takes it as evidence.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The version of the format.
const VERSION: u32 = 1;

/// The counters.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Report {
    version: u32,
    /// Power cuts that were carried out.
    pub(super) power_cuts: u64,
    /// Bytes that power cuts changed back, where they differed.
    pub(super) lost_bytes: u64,
    /// New files, renames and removals that power cuts undid.
    pub(super) lost_names: u64,
    /// Sectors with something unsynced in them that torn power cuts left on disk.
    pub(super) kept_sectors: u64,
    /// Calls that were answered with `ENOSPC`.
    pub(super) refused: u64,
    /// Writes that were answered with `EIO`.
    pub(super) failed_writes: u64,
    /// Syncs that were answered with `EIO`.
    pub(super) failed_syncs: u64,
    /// Syncs that were late, and by how much together, in milliseconds.
    pub(super) late_syncs: u64,
    pub(super) late_ms: u64,
    /// Syncs that did not return while that was ordered.
    pub(super) stalled_syncs: u64,
    /// Bytes that were not on disk when a sync last stalled.
    pub(super) unsynced_bytes: u64,
}

impl Default for Report {
    fn default() -> Self {
        Report {
            version: VERSION,
            power_cuts: 0,
            lost_bytes: 0,
            lost_names: 0,
            kept_sectors: 0,
            refused: 0,
            failed_writes: 0,
            failed_syncs: 0,
            late_syncs: 0,
            late_ms: 0,
            stalled_syncs: 0,
            unsynced_bytes: 0,
        }
    }
}

impl Report {
    /// The report of earlier lives; an empty one when there is none.
    ///
    /// # Errors
    ///
    /// `InvalidData` for what is no report of this version.
    pub(super) fn read(folder: &Path) -> io::Result<Report> {
        let path = path_in(folder);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Report::default()),
            Err(error) => return Err(error),
        };
        let refuse = |why: String| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", path.display()))
        };
        let report: Report =
            serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))?;
        if report.version != VERSION {
            return Err(refuse(format!("expected version {VERSION}, got {}", report.version)));
        }
        Ok(report)
    }

    /// Puts the report in place of the one before.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let unfinished = folder.join("report.tmp");
        fs::write(&unfinished, serde_json::to_vec(self)?)?;
        fs::rename(unfinished, path_in(folder))
    }
}

fn path_in(folder: &Path) -> PathBuf {
    folder.join("report")
}
