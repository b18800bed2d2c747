//! `lost+found`: what was cut from the log of a node that had diverged, as evidence.
//!
//! One file per cut, named by its first entry (`epoch-leader-index.jsonl`), one line per entry. It
//! is on disk before the cut is. Nothing reads it but people and tools.
//!
//! ```text
//! {"epoch":1,"leader":"n1","index":17,"gtid":"n1@1:17",
//!  "written":"2026-11-21T15:04:05.000123Z","committed":true,
//!  "cut_for":{"epoch":2,"leader":"n2"},"command":{"put":{"key":"s/1","value":"7"}},
//!  "idempotency_key":null}
//! ```

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;

use crate::disk::Disk;
use crate::protocol::{Claim, Entry, Gtid};
use crate::state::Change;

/// The folder.
#[derive(Debug)]
pub(crate) struct Archive {
    disk: Disk,
    dir: PathBuf,
    entries: u64,
}

impl Archive {
    /// Opens or creates the folder and counts what is in it.
    pub(crate) fn open(disk: &Disk, dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let mut entries = 0;
        let files = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
        for file in files {
            let path = file.with_context(|| format!("cannot list {}", dir.display()))?.path();
            let bytes =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            entries += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        Ok(Archive { disk: disk.clone(), dir: dir.to_owned(), entries })
    }

    /// How many entries were archived before this process.
    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    /// Keeps entries that are about to be cut in favor of `upstream`. Those up to index
    /// `committed` were committed here: acknowledged, or seen by readers.
    pub(crate) fn keep(&self, cut: &[Entry], committed: u64, upstream: Claim) -> Result<()> {
        let Some(first) = cut.first() else { return Ok(()) };
        let Claim { epoch, leader } = first.id.claim;
        let path = self.dir.join(format!("{epoch}-{leader}-{}.jsonl", first.id.index));
        self.write(&path, &lines(cut, committed, upstream))
            .with_context(|| format!("cannot archive cut entries in {}", path.display()))
    }

    fn write(&self, path: &Path, lines: &[u8]) -> std::io::Result<()> {
        let file = self.disk.create(path)?;
        file.write_all_at(lines, 0)?;
        file.sync_all()?;
        self.disk.sync_dir(&self.dir)
    }
}

fn lines(cut: &[Entry], committed: u64, upstream: Claim) -> Vec<u8> {
    let mut lines = Vec::new();
    for entry in cut {
        let Claim { epoch, leader } = entry.id.claim;
        let (index, gtid) = (entry.id.index, Gtid(entry.id).to_string());
        let Change { command, key } = entry.change.decode();
        let line = json!({
            "epoch": epoch,
            "leader": leader.to_string(),
            "index": index,
            "gtid": gtid,
            "written": entry.written.to_string(),
            "committed": index <= committed,
            "cut_for": {"epoch": upstream.epoch, "leader": upstream.leader.to_string()},
            "command": command,
            "idempotency_key": key,
        });
        writeln!(lines, "{line}").expect("memory takes every write");
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Encoded, EntryId, NodeId, WallTime};
    use crate::state::Command;

    #[test]
    fn what_is_cut_can_be_read_afterwards_and_is_counted() {
        let dir = tempfile::tempdir().expect("a folder");
        let archive = Archive::open(&Disk::default(), dir.path()).expect("it opens");
        let claim = Claim { epoch: 1, leader: NodeId(1) };
        let cut: Vec<Entry> = (5..8)
            .map(|index| Entry {
                id: EntryId { claim, index },
                written: WallTime(index),
                change: Encoded::new(&Command::Delete { key: "k".into() }.into()),
            })
            .collect();
        let upstream = Claim { epoch: 2, leader: NodeId(2) };
        archive.keep(&cut, 6, upstream).expect("it is written");
        let text = fs::read_to_string(dir.path().join("1-n1-5.jsonl")).expect("it is there");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
        assert_eq!(lines[1]["gtid"], "n1@1:6");
        assert_eq!(lines[1]["written"], "1970-01-01T00:00:00.000006Z");
        assert_eq!(lines[1]["committed"], true);
        assert_eq!(lines[2]["committed"], false);
        assert_eq!(lines[2]["cut_for"]["leader"], "n2");
        assert_eq!(lines[0]["command"]["delete"]["key"], "k");
        assert_eq!(Archive::open(&Disk::default(), dir.path()).expect("it opens").entries(), 3);
    }
}
