//! The file layer: the few ways in which log, snapshot and archive change files, and the place
//! where a disk can be made to fail. It is not a file system: bytes always go to real files.
//!
//! Without `--disk-faults DIR` a [`Disk`] is empty and every method is the system call it is named
//! after. With it the node keeps, beside its data, an undo journal of everything that a real file
//! system would not have on disk yet ([`journal`]), reads its orders from `DIR/orders` before every
//! call ([`orders`]) and writes what came of them to `DIR/report` ([`report`]). A process that is
//! killed loses nothing by that, as with a real page cache; an order to cut the power makes the
//! next start undo what was not synced ([`undo`]), all of it or, torn, a part of it.
//!
//! What counts as on disk is what Linux and POSIX promise and no more:
//!
//! - Bytes of a file after its own `fsync` or `fdatasync`, page by page.
//! - Names (a new file, a rename, a removal) after the `fsync` of their folder. A new file has its
//!   bytes under no name until then.
//! - After a failed `fsync` the pages are taken for clean: reads still see the new bytes, the next
//!   `fsync` succeeds without having written them, and only a page that is written again gets to
//!   the disk (Rebello et al., "Can applications recover from fsync failures?", USENIX ATC 2020;
//!   ext4 and XFS).
//!
//! Called by `log`, `snapshot_file` and `archive`. The lock file of the log, the folders themselves
//! and recordings are evidence or empty, and not covered.

use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

mod faulty;
mod journal;
mod orders;
mod pending;
mod report;
#[cfg(test)]
pub(crate) mod tests;
mod undo;

use faulty::Faulty;

/// The exit code of a node whose disk failed it while it ran: `EX_IOERR` of `sysexits.h`. The log,
/// the snapshot and the archive are written by threads of their own, and whichever meets the
/// failure first ends the node with it.
pub const EXIT_DISK_FAILED: u8 = 74;

/// What a node that ends with [`EXIT_DISK_FAILED`] could not do; its source is what the system
/// said.
#[derive(Debug, thiserror::Error)]
#[error("cannot {0}")]
pub(crate) struct Failed(pub(crate) &'static str);

/// Where files are changed. Cheap to clone; empty for a disk that is left alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Option<Arc<Faulty>>);

impl Disk {
    /// The disk under a data directory that no faults are asked for.
    ///
    /// # Errors
    ///
    /// When the directory was last used with faults: its journal would be wrong from now on.
    pub(crate) fn sound(data: &Path) -> Result<Disk> {
        let journal = journal::path_in(data);
        ensure!(
            !journal.exists(),
            "{} is there: expected --disk-faults, as when the directory was last used; help: \
             remove that file if what was not synced then may stay",
            journal.display()
        );
        Ok(Disk(None))
    }

    /// The disk under a data directory whose faults are ordered through a folder. An order to cut
    /// the power is carried out before this returns.
    ///
    /// # Errors
    ///
    /// When orders or journal cannot be read, or what was not synced cannot be undone.
    pub(crate) fn faulty(orders: &Path, data: &Path) -> Result<Disk> {
        let faulty = Faulty::open(orders, data)
            .with_context(|| format!("--disk-faults {}", orders.display()))?;
        Ok(Disk(Some(Arc::new(faulty))))
    }

    /// A new file for reading and writing, in place of one that has the name.
    pub(crate) fn create(&self, path: &Path) -> io::Result<File> {
        match &self.0 {
            None => open_options().create(true).truncate(true).open(path).map(File::from),
            Some(faulty) => self.watched(faulty.create(path)?),
        }
    }

    /// A file that is there, for reading and writing.
    pub(crate) fn open(&self, path: &Path) -> io::Result<File> {
        self.watched(open_options().open(path)?)
    }

    /// Gives a file another name in the same folder, in place of one that has it.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match &self.0 {
            None => fs::rename(from, to),
            Some(faulty) => faulty.rename(from, to),
        }
    }

    /// Removes a file.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        match &self.0 {
            None => fs::remove_file(path),
            Some(faulty) => faulty.remove(path),
        }
    }

    /// Makes the names in a folder durable; a sync of a file alone does not.
    pub(crate) fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        match &self.0 {
            None => fs::File::open(dir)?.sync_all(),
            Some(faulty) => faulty.sync_dir(dir),
        }
    }

    /// Writes a whole new file and puts it in place of another: there is always the old one or the
    /// new one, also after a loss of power.
    pub(crate) fn replace(&self, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        let unfinished: PathBuf = path.with_extension("tmp");
        let file = self.create(&unfinished)?;
        let mut at = 0;
        for part in parts {
            file.write_all_at(part, at)?;
            at += part.len() as u64;
        }
        file.sync_all()?;
        self.rename(&unfinished, path)?;
        self.sync_dir(parent(path))
    }

    fn watched(&self, real: fs::File) -> io::Result<File> {
        let faulty = match &self.0 {
            None => None,
            Some(faulty) => Some((Arc::clone(faulty), real.metadata()?.ino())),
        };
        Ok(File { real, faulty })
    }
}

/// The folder in which a path stands.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn open_options() -> fs::OpenOptions {
    let mut options = fs::File::options();
    options.read(true).write(true);
    options
}

/// An open file of a [`Disk`].
#[derive(Debug)]
pub(crate) struct File {
    real: fs::File,
    /// The faults, and the number by which they know the file.
    faulty: Option<(Arc<Faulty>, u64)>,
}

impl From<fs::File> for File {
    /// A file that no faults are asked for.
    fn from(real: fs::File) -> Self {
        File { real, faulty: None }
    }
}

impl File {
    /// Writes all of the bytes at an offset; one system call unless the kernel takes less.
    pub(crate) fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        match &self.faulty {
            None => self.real.write_all_at(bytes, at),
            Some((faulty, inode)) => faulty.write(&self.real, *inode, bytes, at),
        }
    }

    /// Fills a buffer from an offset on.
    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.real.read_exact_at(buffer, at)
    }

    /// The length in bytes.
    pub(crate) fn len(&self) -> io::Result<u64> {
        Ok(self.real.metadata()?.len())
    }

    /// Returns when all that was written is on disk (`fdatasync`).
    pub(crate) fn sync_data(&self) -> io::Result<()> {
        match &self.faulty {
            None => self.real.sync_data(),
            Some((faulty, inode)) => faulty.sync(*inode, || self.real.sync_data()),
        }
    }

    /// The same with everything that is known of the file beside its bytes (`fsync`).
    pub(crate) fn sync_all(&self) -> io::Result<()> {
        match &self.faulty {
            None => self.real.sync_all(),
            Some((faulty, inode)) => faulty.sync(*inode, || self.real.sync_all()),
        }
    }
}
