//! The undo journal of a data directory: the file `unsynced`, and the folder `unsynced.kept` with
//! the files that have no name any more but would have it again after a loss of power.
//!
//! It outlives the process in the page cache, which is all that is asked of it: it stands for
//! what a real kernel would still have had in memory. An event is written before what it announces
//! is done, and after what it confirms. When nothing is pending the file is cut to its header.
//!
//! ```text
//!  0  "SPLITUND"   8  version u32 little-endian
//! 12  events: length u32, crc32c u32 of the body; body: number and event in postcard
//! ```

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nix::fcntl::{Flock, FlockArg};

use super::pending::{Event, Kept, Pending};

const MAGIC: &[u8; 8] = b"SPLITUND";
const VERSION: u32 = 1;
const HEADER: u64 = 12;

/// When the journal is longer than this, in bytes, all is taken to be written back, as a kernel does
/// with too many dirty pages (`vm.dirty_background_ratio`). With `fsync=never` nothing else ends it.
const WRITE_BACK_AT: u64 = 64 << 20;

/// The journal, open and locked.
#[derive(Debug)]
pub(super) struct Journal {
    file: Flock<fs::File>,
    kept: PathBuf,
    end: u64,
    /// The number of the next event.
    next: u64,
    next_kept: u64,
    pending: Pending,
}

/// The file in a data directory.
pub(super) fn path_in(data: &Path) -> PathBuf {
    data.join("unsynced")
}

/// The folder in a data directory.
pub(super) fn kept_in(data: &Path) -> PathBuf {
    data.join("unsynced.kept")
}

impl Journal {
    /// Opens or creates the journal of a data directory and reads what is pending.
    pub(super) fn open(data: &Path) -> Result<Journal> {
        let (path, kept) = (path_in(data), kept_in(data));
        fs::create_dir_all(&kept).with_context(|| format!("cannot create {}", kept.display()))?;
        let context = || format!("cannot open {}", path.display());
        let mut options = fs::File::options();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).with_context(context)?;
        let file = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| io::Error::from(errno))
            .with_context(context)?;
        let bytes = fs::read(&path).with_context(context)?;
        let mut journal =
            Journal { file, kept, end: HEADER, next: 1, next_kept: 1, pending: Pending::default() };
        if bytes.is_empty() {
            let header = [&MAGIC[..], &VERSION.to_le_bytes()].concat();
            journal.file.write_all_at(&header, 0).with_context(context)?;
            return Ok(journal);
        }
        let header = bytes.get(..HEADER as usize).unwrap_or(&bytes);
        ensure!(
            header == [&MAGIC[..], &VERSION.to_le_bytes()].concat(),
            "{}: expected an undo journal of version {VERSION}, got {header:?}",
            path.display()
        );
        journal.replay(&bytes);
        Ok(journal)
    }

    /// Takes in the events of earlier lives. One that is cut off was being written when the process
    /// was killed, so what it announces was not done.
    fn replay(&mut self, bytes: &[u8]) {
        let mut rest = &bytes[HEADER as usize..];
        while let Some((number, event, size)) = parse(rest) {
            rest = &rest[size..];
            self.end += size as u64;
            self.next = number;
            self.take(event);
        }
    }

    /// What is not on disk.
    pub(super) fn pending(&self) -> &Pending {
        &self.pending
    }

    /// The number that the next event will have.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Where a file without a name is.
    pub(super) fn path_of(&self, kept: Kept) -> PathBuf {
        self.kept.join(kept.number.to_string())
    }

    /// A number for a file that is about to lose its name.
    pub(super) fn keep(&self, inode: u64) -> Kept {
        Kept { number: self.next_kept, inode }
    }

    /// Writes an event down and takes it in.
    pub(super) fn write(&mut self, event: Event) -> io::Result<()> {
        let back = event == Event::WrittenBack;
        let body = postcard::to_allocvec(&(self.next, &event)).expect("plain data encodes");
        let mut frame = Vec::with_capacity(8 + body.len());
        frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
        frame.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
        frame.extend_from_slice(&body);
        self.file.write_all_at(&frame, self.end)?;
        self.end += frame.len() as u64;
        let gone = self.take(event);
        for kept in gone {
            // An earlier life may have removed it and been killed before it could say so.
            match fs::remove_file(self.path_of(kept)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.pending.is_empty() {
            self.clear()
        } else if self.end > WRITE_BACK_AT && !back {
            self.write(Event::WrittenBack)
        } else {
            Ok(())
        }
    }

    /// Removes the files without a name. Those that have theirs again are not among them.
    pub(super) fn forget_kept(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.kept)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(())
    }

    /// Nothing is pending any more.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.pending = Pending::default();
        self.end = HEADER;
        self.file.set_len(HEADER)
    }

    fn take(&mut self, event: Event) -> Vec<Kept> {
        if let Event::Names(naming) = &event
            && let Some(kept) = naming.kept()
        {
            self.next_kept = self.next_kept.max(kept.number + 1);
        }
        let number = self.next;
        self.next += 1;
        self.pending.take(number, event)
    }
}

/// The event at the start of some bytes, its number and its size; `None` at the end and for one that
/// is cut off.
fn parse(bytes: &[u8]) -> Option<(u64, Event, usize)> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    let number = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
    let body = rest.get(..number(0) as usize)?;
    (crc32c::crc32c(body) == number(4)).then_some(())?;
    let (number, event) = postcard::from_bytes(body).ok()?;
    Some((number, event, 8 + body.len()))
}
