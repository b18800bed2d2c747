//! What has been done to files and is not on disk yet, and how syncs make it durable.
//!
//! Pure: it is fed the events of the journal in their order, by the layer while it runs and by the
//! next start from the journal, and comes to the same both times. No files, no clock.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The unit that the kernel takes for clean or dirty, in bytes.
pub(super) const PAGE: u64 = 4096;

/// Something that happened to the files, in the words of the journal. Files are known by inode,
/// since names change.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) enum Event {
    /// Bytes are about to be written.
    Writes {
        inode: u64,
        at: u64,
        /// How many.
        bytes: u64,
        /// The length of the file before.
        length: u64,
        /// What stands there now, up to the end of the file.
        before: Vec<u8>,
    },
    /// What was written before event `upto` has been synced.
    Synced { inode: u64, upto: u64 },
    /// A sync failed: the kernel takes the pages for clean.
    SyncFailed { inode: u64 },
    /// A name is about to change.
    Names(Naming),
    /// The names in a folder that changed before event `upto` have been synced.
    NamesSynced { dir: PathBuf, upto: u64 },
    /// The kernel wrote back all that was dirty, because there was much of it.
    WrittenBack,
}

/// A change of names. What a name stood for before is kept under a number.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) enum Naming {
    /// A new file.
    Created { path: PathBuf },
    /// A file is gone.
    Removed { path: PathBuf, kept: Kept },
    /// A file has another name, which another file may have had.
    Renamed { from: PathBuf, to: PathBuf, replaced: Option<Kept> },
}

/// A file without a name, until the folder is synced.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Kept {
    pub(super) number: u64,
    pub(super) inode: u64,
}

impl Naming {
    fn is_in(&self, dir: &std::path::Path) -> bool {
        let (Naming::Created { path } | Naming::Removed { path, .. }) = self else {
            let Naming::Renamed { to, .. } = self else { return false };
            return super::parent(to) == dir;
        };
        super::parent(path) == dir
    }

    /// The file that nobody can reach any more once this is on disk.
    pub(super) fn kept(&self) -> Option<Kept> {
        match self {
            Naming::Created { .. } => None,
            Naming::Removed { kept, .. } => Some(*kept),
            Naming::Renamed { replaced, .. } => *replaced,
        }
    }
}

/// One thing to be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Undo {
    /// Bytes of one page.
    Bytes(Bytes),
    /// The length of a file was less.
    Length { inode: u64, length: u64 },
    /// Names were others.
    Names(Naming),
}

/// Bytes of one page that were overwritten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bytes {
    pub(super) inode: u64,
    pub(super) at: u64,
    /// How many were written.
    pub(super) bytes: u64,
    /// What stood there before, up to the end of the file then.
    pub(super) before: Vec<u8>,
    /// The kernel takes the page for clean though it is not on disk.
    clean: bool,
}

impl Bytes {
    fn page(&self) -> (u64, u64) {
        (self.inode, self.at / PAGE)
    }
}

/// Everything to be undone, oldest first, each with the number of its event.
#[derive(Debug, Default)]
pub(super) struct Pending {
    undo: Vec<(u64, Undo)>,
}

impl Pending {
    /// Whether all is on disk.
    pub(super) fn is_empty(&self) -> bool {
        self.undo.is_empty()
    }

    /// How many bytes are not on disk.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = self.undo.iter().map(|(_, undo)| match undo {
            Undo::Bytes(bytes) => bytes.bytes,
            _ => 0,
        });
        bytes.sum()
    }

    /// Everything to be undone, the latest last.
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &Undo> {
        self.undo.iter().map(|(_, undo)| undo)
    }

    /// Takes in an event, the `number`th. Returns the files that are gone for good by it.
    pub(super) fn take(&mut self, number: u64, event: Event) -> Vec<Kept> {
        match event {
            Event::Writes { inode, at, bytes, length, before } => {
                self.writes(number, inode, at, bytes, length, &before);
                Vec::new()
            }
            Event::Synced { inode, upto } => {
                self.synced(inode, upto);
                Vec::new()
            }
            Event::SyncFailed { inode } => {
                for (_, undo) in &mut self.undo {
                    if let Undo::Bytes(bytes) = undo
                        && bytes.inode == inode
                    {
                        bytes.clean = true;
                    }
                }
                Vec::new()
            }
            Event::Names(naming) => {
                self.undo.push((number, Undo::Names(naming)));
                Vec::new()
            }
            Event::NamesSynced { dir, upto } => {
                let gone = self.settle(|number, naming| number < upto && naming.is_in(&dir));
                // Nobody can reach their bytes, and their numbers may be given out again.
                let forgotten = |inode: u64| gone.iter().any(|kept| kept.inode == inode);
                self.undo.retain(|(_, undo)| match undo {
                    Undo::Bytes(bytes) => !forgotten(bytes.inode),
                    Undo::Length { inode, .. } => !forgotten(*inode),
                    Undo::Names(_) => true,
                });
                gone
            }
            Event::WrittenBack => {
                self.undo.retain(|(_, undo)| match undo {
                    Undo::Bytes(bytes) => bytes.clean,
                    Undo::Length { .. } => false,
                    Undo::Names(_) => true,
                });
                self.settle(|_, _| true)
            }
        }
    }

    fn writes(&mut self, number: u64, inode: u64, at: u64, bytes: u64, length: u64, old: &[u8]) {
        let end = at + bytes;
        if end > length {
            self.undo.push((number, Undo::Length { inode, length }));
        }
        let mut from = at;
        while from < end {
            let to = end.min((from / PAGE + 1) * PAGE);
            let old_at = |place: u64| old.len().min((place - at) as usize);
            let before = old[old_at(from)..old_at(to)].to_vec();
            let bytes = Bytes { inode, at: from, bytes: to - from, before, clean: false };
            self.undo.push((number, Undo::Bytes(bytes)));
            from = to;
        }
    }

    fn synced(&mut self, inode: u64, upto: u64) {
        let written: BTreeSet<(u64, u64)> = self
            .undo
            .iter()
            .filter_map(|(number, undo)| match undo {
                Undo::Bytes(bytes) if bytes.inode == inode && !bytes.clean && *number < upto => {
                    Some(bytes.page())
                }
                _ => None,
            })
            .collect();
        self.undo.retain(|(number, undo)| match undo {
            Undo::Bytes(bytes) => *number >= upto || !written.contains(&bytes.page()),
            Undo::Length { inode: other, .. } => *number >= upto || *other != inode,
            Undo::Names(_) => true,
        });
    }

    /// Forgets changes of names that are on disk.
    fn settle(&mut self, on_disk: impl Fn(u64, &Naming) -> bool) -> Vec<Kept> {
        let mut gone = Vec::new();
        self.undo.retain(|(number, undo)| match undo {
            Undo::Names(naming) if on_disk(*number, naming) => {
                gone.extend(naming.kept());
                false
            }
            _ => true,
        });
        gone
    }
}
