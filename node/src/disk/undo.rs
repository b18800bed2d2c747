//! A loss of power, carried out: what was not on disk is undone, all of it or a part.
//!
//! Torn, some of it had got to the disk on its own, as the kernel and the drive write back in any
//! order. A sector of 512 bytes is written whole or not (what drives promise), each sector for
//! itself; of several writes to one sector those up to some point are there. Names change in
//! their order, since file systems journal them, so the first few changes are there. A length is
//! there or not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use anyhow::{Context, Result};
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use super::journal::Journal;
use super::pending::{Bytes, Naming, Undo};

/// The unit that a drive writes whole, in bytes.
const SECTOR: u64 = 512;

/// What a loss of power cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Loss {
    /// Bytes that are others than before.
    pub(super) bytes: u64,
    /// Changes of names that were undone.
    pub(super) names: u64,
    /// Sectors whose last unsynced write stayed.
    pub(super) kept_sectors: u64,
}

/// Undoes what is pending in a data directory; torn, what chance decides. Doing it twice comes to
/// the same, so being killed in the middle of it does no harm.
pub(super) fn undo(journal: &mut Journal, data: &Path, torn: Option<u64>) -> Result<Loss> {
    let mut wanted = BTreeSet::new();
    let mut names = 0;
    for undo in journal.pending().all() {
        match undo {
            Undo::Bytes(bytes) => drop(wanted.insert(bytes.inode)),
            Undo::Length { inode, .. } => drop(wanted.insert(*inode)),
            Undo::Names(_) => names += 1,
        }
    }
    let mut files = BTreeMap::new();
    find(data, &wanted, &mut files)
        .with_context(|| format!("cannot look through {}", data.display()))?;
    let chance = torn.map(Xoshiro256PlusPlus::seed_from_u64);
    let mut power_cut = PowerCut {
        files,
        chance,
        names,
        on_disk: 0,
        settled: BTreeSet::new(),
        loss: Loss::default(),
    };
    if let Some(chance) = &mut power_cut.chance {
        power_cut.on_disk = chance.random_range(0..=names);
    }
    for undo in journal.pending().all().rev() {
        power_cut.undo(undo, journal).context("cannot undo what was not synced")?;
    }
    journal.forget_kept().context("cannot remove files without a name")?;
    journal.clear().context("cannot clear the undo journal")?;
    Ok(power_cut.loss)
}

/// Opens the files of some numbers, wherever they are.
fn find(dir: &Path, wanted: &BTreeSet<u64>, files: &mut BTreeMap<u64, fs::File>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            find(&entry.path(), wanted, files)?;
        } else if wanted.contains(&metadata.ino()) {
            let file = fs::File::options().read(true).write(true).open(entry.path())?;
            files.insert(metadata.ino(), file);
        }
    }
    Ok(())
}

struct PowerCut {
    files: BTreeMap<u64, fs::File>,
    /// Decides what had got to the disk; without it nothing had.
    chance: Option<Xoshiro256PlusPlus>,
    /// How many changes of names are left, and how many of all are on disk.
    names: u64,
    on_disk: u64,
    /// Sectors and files (as sector `u64::MAX`) of which a write is on disk, and so all before it.
    settled: BTreeSet<(u64, u64)>,
    loss: Loss,
}

impl PowerCut {
    fn undo(&mut self, undo: &Undo, journal: &Journal) -> io::Result<()> {
        match undo {
            Undo::Bytes(bytes) => self.bytes(bytes),
            Undo::Length { inode, length } => {
                if !self.is_on_disk((*inode, u64::MAX))
                    && let Some(file) = self.files.get(inode)
                    && file.metadata()?.len() > *length
                {
                    file.set_len(*length)?;
                }
                Ok(())
            }
            Undo::Names(naming) => {
                self.names -= 1;
                if self.names >= self.on_disk {
                    self.loss.names += 1;
                    names(naming, journal)?;
                }
                Ok(())
            }
        }
    }

    /// Whether this write of a sector, and so every earlier one, is on disk. Asked once for each,
    /// the latest first.
    fn is_on_disk(&mut self, sector: (u64, u64)) -> bool {
        if self.settled.contains(&sector) {
            return true;
        }
        let on_disk = self.chance.as_mut().is_some_and(|chance| chance.random_range(0..2) == 0);
        if on_disk {
            self.settled.insert(sector);
        }
        on_disk
    }

    fn bytes(&mut self, bytes: &Bytes) -> io::Result<()> {
        let (inode, end) = (bytes.inode, bytes.at + bytes.bytes);
        let mut from = bytes.at;
        while from < end {
            let sector = from / SECTOR;
            let to = end.min((sector + 1) * SECTOR);
            let settled = self.settled.contains(&(inode, sector));
            if self.is_on_disk((inode, sector)) {
                self.loss.kept_sectors += u64::from(!settled);
            } else if let Some(file) = self.files.get(&inode) {
                let old = |place: u64| bytes.before.len().min((place - bytes.at) as usize);
                self.loss.bytes += put_back(file, from, to, &bytes.before[old(from)..old(to)])?;
            }
            from = to;
        }
        Ok(())
    }
}

/// Puts bytes back where others were written, zeros behind the end of what was there. Returns how
/// many were different.
fn put_back(file: &fs::File, from: u64, to: u64, before: &[u8]) -> io::Result<u64> {
    let length = file.metadata()?.len();
    // What is behind the end needs no undoing.
    let size = to.min(length).saturating_sub(from) as usize;
    let mut now = vec![0; size];
    file.read_exact_at(&mut now, from)?;
    let mut old = before.to_vec();
    old.resize(size, 0);
    let different = now.iter().zip(&old).filter(|(now, old)| now != old).count();
    if different > 0 {
        file.write_all_at(&old, from)?;
    }
    Ok(different as u64)
}

/// Undoes a change of names, of which the process may have done a part only.
fn names(naming: &Naming, journal: &Journal) -> io::Result<()> {
    match naming {
        Naming::Created { path } => unless_missing(fs::remove_file(path)),
        Naming::Removed { path, kept } => unless_missing(fs::rename(journal.path_of(*kept), path)),
        Naming::Renamed { from, to, replaced } => {
            if !from.exists() {
                unless_missing(fs::rename(to, from))?;
            }
            let Some(kept) = replaced else { return Ok(()) };
            unless_missing(fs::rename(journal.path_of(*kept), to))
        }
    }
}

fn unless_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
