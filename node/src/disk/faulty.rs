//! A disk with faults: every call looks at the orders, fails if it is told to, and writes down in
//! the undo journal what a loss of power would undo.

use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use tracing::warn;

use super::journal::Journal;
use super::open_options;
use super::orders::{Fail, Full, Orders};
use super::pending::{Event, Kept, Naming};
use super::report::Report;
use super::undo::undo;

/// How often a sync that stalls looks whether it still must.
const LOOK: Duration = Duration::from_millis(1);

/// The disk under one data directory.
#[derive(Debug)]
pub(super) struct Faulty {
    orders: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    journal: Journal,
    report: Report,
}

impl Faulty {
    /// Opens the journal of a data directory, and cuts the power first if that is ordered.
    pub(super) fn open(orders: &Path, data: &Path) -> Result<Faulty> {
        ensure!(orders.is_dir(), "expected a folder with orders");
        fs::create_dir_all(data).with_context(|| format!("cannot create {}", data.display()))?;
        let data = std::path::absolute(data).context("no absolute path for the data")?;
        let mut journal = Journal::open(&data)?;
        let mut report = Report::read(orders).context("cannot read the report")?;
        let cut = Orders::read(orders).context("cannot read the orders")?.power_cut;
        warn!("FAULTY DISK: takes orders from {}", orders.display());
        if let Some(cut) = cut.filter(|cut| cut.number > report.power_cuts) {
            let loss = undo(&mut journal, &data, cut.torn)?;
            report.power_cuts = cut.number;
            report.lost_bytes += loss.bytes;
            report.lost_names += loss.names;
            report.kept_sectors += loss.kept_sectors;
            report.write(orders).context("cannot write the report")?;
            warn!(
                "FAULTY DISK: the power was cut; {} bytes and {} names that were not synced are \
                 gone, {} sectors had got to the disk",
                loss.bytes, loss.names, loss.kept_sectors
            );
        }
        Ok(Faulty { orders: orders.to_owned(), state: Mutex::new(State { journal, report }) })
    }

    fn orders(&self) -> io::Result<Orders> {
        Orders::read(&self.orders)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    /// Counts something that was done on orders.
    fn count(&self, count: impl FnOnce(&mut Report)) -> io::Result<()> {
        let mut state = self.state();
        count(&mut state.report);
        state.report.write(&self.orders)
    }

    /// Refuses what there is no space for.
    fn find_space(&self, orders: &Orders, grows: bool) -> io::Result<()> {
        match orders.full {
            Some(Full::Writes) => {}
            Some(Full::Growth) if grows => {}
            _ => return Ok(()),
        }
        self.count(|report| report.refused += 1)?;
        Err(Errno::ENOSPC.into())
    }

    pub(super) fn write(
        &self,
        real: &fs::File,
        inode: u64,
        bytes: &[u8],
        at: u64,
    ) -> io::Result<()> {
        let orders = self.orders()?;
        let length = real.metadata()?.len();
        let end = at + bytes.len() as u64;
        self.find_space(&orders, end > length)?;
        if orders.fail == Some(Fail::Writes) {
            self.count(|report| report.failed_writes += 1)?;
            return Err(Errno::EIO.into());
        }
        let mut before = vec![0; end.min(length).saturating_sub(at) as usize];
        real.read_exact_at(&mut before, at)?;
        let bytes_written = bytes.len() as u64;
        let event = Event::Writes { inode, at, bytes: bytes_written, length, before };
        // The lock is held until it is done, so that a sync covers all of it or nothing.
        let mut state = self.state();
        state.journal.write(event)?;
        real.write_all_at(bytes, at)
    }

    pub(super) fn sync(&self, inode: u64, real: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let failed = Event::SyncFailed { inode };
        let upto = self.before_sync(Some(failed))?;
        real()?;
        self.state().journal.write(Event::Synced { inode, upto })
    }

    pub(super) fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // The changes of names stay in the journal of the file system, and a later sync writes it.
        let upto = self.before_sync(None)?;
        fs::File::open(dir)?.sync_all()?;
        let dir = std::path::absolute(dir)?;
        self.state().journal.write(Event::NamesSynced { dir, upto })
    }

    /// What a sync goes through before it is done, and the number of the first event that it need
    /// not cover.
    fn before_sync(&self, failed: Option<Event>) -> io::Result<u64> {
        let mut orders = self.orders()?;
        if orders.stall_syncs {
            self.count(|report| report.stalled_syncs += 1)?;
        }
        while orders.stall_syncs {
            let mut state = self.state();
            let unsynced = state.journal.pending().bytes();
            if state.report.unsynced_bytes != unsynced {
                state.report.unsynced_bytes = unsynced;
                state.report.write(&self.orders)?;
            }
            drop(state);
            thread::sleep(LOOK);
            orders = self.orders()?;
        }
        let delay = orders.sync_delay();
        if !delay.is_zero() {
            thread::sleep(delay);
            self.count(|report| {
                report.late_syncs += 1;
                report.late_ms += delay.as_millis() as u64;
            })?;
        }
        if orders.fail == Some(Fail::Syncs) {
            self.count(|report| report.failed_syncs += 1)?;
            if let Some(failed) = failed {
                self.state().journal.write(failed)?;
            }
            return Err(Errno::EIO.into());
        }
        Ok(self.state().journal.next())
    }

    pub(super) fn create(&self, path: &Path) -> io::Result<fs::File> {
        self.find_space(&self.orders()?, true)?;
        if path.exists() {
            self.remove(path)?;
        }
        let path = std::path::absolute(path)?;
        let mut state = self.state();
        state.journal.write(Event::Names(Naming::Created { path: path.clone() }))?;
        open_options().create_new(true).open(path)
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (std::path::absolute(from)?, std::path::absolute(to)?);
        let mut state = self.state();
        let replaced = state.keep(&to)?;
        let naming = Naming::Renamed { from: from.clone(), to: to.clone(), replaced };
        state.journal.write(Event::Names(naming))?;
        if let Some(kept) = replaced {
            fs::hard_link(&to, state.journal.path_of(kept))?;
        }
        fs::rename(from, to)
    }

    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        let path = std::path::absolute(path)?;
        let mut state = self.state();
        let Some(kept) = state.keep(&path)? else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let naming = Naming::Removed { path: path.clone(), kept };
        state.journal.write(Event::Names(naming))?;
        fs::rename(path, state.journal.path_of(kept))
    }
}

impl State {
    /// A number for the file of a name, if there is one.
    fn keep(&self, path: &Path) -> io::Result<Option<Kept>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(self.journal.keep(metadata.ino()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
