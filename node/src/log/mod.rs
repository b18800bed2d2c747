//! The node's write-ahead log: an append-only sequence of records on disk.
//!
//! A record is opaque here. Entries, hard state and *logical* truncations ("forget what follows
//! index 7") are all records to the protocol above; nothing written is ever taken back. The only
//! thing this module cuts is a torn tail: what was being written when the node stopped.
//!
//! [`open`] reads everything back, a [`Log`] appends, a [`Writer`] does so in a thread of its own
//! with group commit. A token is reported when its records are on disk, in the order of submission.
//!
//! # Layout, version 2 (numbers little-endian)
//!
//! A folder with a file `lock` and the segments `0000000001.log`, `0000000002.log`, ... without a
//! gap. Once segments were let go ([`Log::purge`]) there is a file `first`, which names the first
//! that must be there; it is on disk before they are removed, so a segment that is missing is told
//! from one that was let go, and nothing but that file can say so.
//!
//! A segment has its full size from the start, zero-filled and synced: overwriting then needs no
//! metadata, which makes `fdatasync` a quarter to a half faster than in a growing file. The next
//! segment is prepared in the background while the current one fills.
//!
//! ```text
//! segment            frame, at any byte              record
//!    0  "SPLITLOG"      0  crc32c     u32               0  payload length  u32
//!    8  version   u32   4  length     u32 of records    4  kind            u8
//!   12  node      u32      (highest bit: loose)         5  payload
//!   16  cluster   u64   8  sequence   u64
//!   24  number    u64  16  records
//!   32  file size u64
//!   40  crc32c    u32  of bytes 0..40
//!   44  zeros
//! 4096  frames, then zeros
//!
//! first
//!    0  "SPLITFST"  8  version u32  12  node u32  16  cluster u64
//!   24  number of the first segment  u64
//!   32  sequence of the last frame before it  u64
//!   40  crc32c    u32  of bytes 0..40
//! ```
//!
//! A frame is what one write puts on disk: a batch of records. Its checksum covers segment number
//! and offset (16 bytes that are not stored) and bytes 4.. of the frame, so bytes left over from
//! another segment or place are not valid here. Sequences count frames from 1 over all segments.
//! A length of 0 is the end. A frame never spans two segments.
//!
//! # A torn tail or damage?
//!
//! The writer keeps one promise: *a frame is written only when all frames before it are on disk*.
//! [`Log::append`] itself waits for an outstanding sync before it writes the next frame. So at most
//! one frame, the last, can be half there, and whatever stands behind a bad frame tells which it is:
//!
//! - No intact frame at any later byte of the segment, and later segments blank: a torn tail. The
//!   frame was never synced, so none of its records was reported. It is cut whole, overwritten
//!   with zeros and synced before anything else is written.
//! - Anything written behind it: it had been synced, so it may have been acknowledged, and the disk
//!   changed it. [`LogError::Damaged`]; the node does not start. The same holds for a gap in the
//!   sequences, which finds a lost frame at the end of a full segment.
//!
//! The unit is the frame and not the record because a disk may write the pages of one frame in any
//! order: after a loss of power the second record of a batch can be whole and the first one not.
//! That is an ordinary torn tail and must not keep a node from starting.
//!
//! What cannot be told: damage to the very last frame looks like a torn tail, and so does the loss
//! of trailing files. [`Recovered::torn_bytes`] is there to be logged.
//!
//! # What was never promised
//!
//! With [`Fsync::Never`] and between the syncs of [`Fsync::Interval`] frames are written although
//! those before them may not be on disk, and a loss of power may take any of them and leave others.
//! Such a frame is marked *loose*. All frames behind the last one that is not are unpromised, so a
//! hole among them is no damage: the log is cut there, loudly. What is cut is put aside first, in
//! files named `NUMBER.log.OFFSET.unsynced` ([`Recovered::loose`]), which nothing reads but people.
//! A hole in front of a frame that is not loose is damage as ever: when that frame was written, all
//! before it were on disk. A start syncs what it hands out, so the first frame after it is such one.
//! Half a frame in a later segment bears no mark; it is damage to a start with [`Fsync::Always`], and
//! none to others.
//!
//! # Errors
//!
//! A failed write or sync is never retried. After a failed `fsync` Linux marks the pages clean, and
//! the next one succeeds without having written them. A [`Log`] refuses to be used after an error;
//! a [`Writer`] ends the process. Opening syncs what it read before it hands it out. It reads
//! through the page cache, which after a failed `fsync` holds what the disk does not: so it writes
//! the last frame, the only one that may not have been synced, once more before it syncs it.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::disk::{Disk, parent};
use crate::protocol::{Plant, Plants};

#[cfg(test)]
mod crash_tests;
mod error;
mod first;
mod frame;
#[cfg(test)]
mod loose_tests;
mod recovery;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

pub use error::LogError;
pub use writer::{Token, Writer};

use first::First;
use frame::{FRAME_HEADER, Place, RECORD_HEADER};
use recovery::Tail;
use segment::Segment;

/// The version of the layout above. Another version is refused, never guessed at.
pub const FORMAT_VERSION: u32 = 2;
/// The largest payload of a record in bytes, in segments that have room for it. Far above what a
/// client may send; a longer one is a bug, and a damaged length cannot ask for much memory.
pub const MAX_PAYLOAD_BYTES: usize = 4 << 20;
/// Unit of segment sizes, and the size of the header, which so shares no page with a frame.
pub const PAGE_BYTES: u64 = 4096;
/// The smallest segment: a header and one page of frames.
pub const MIN_SEGMENT_BYTES: u64 = 2 * PAGE_BYTES;
/// The largest segment: recovery holds a whole one in memory.
pub const MAX_SEGMENT_BYTES: u64 = 1 << 30;

/// A frame is closed when it holds this many bytes: enough to make the cost of a sync small, little
/// enough that a reader of the first token of a batch does not wait for megabytes.
const BATCH_BYTES: usize = 1 << 20;
/// The largest body of a frame: a batch, or one record that is larger than a batch.
const MAX_FRAME_BODY: usize = MAX_PAYLOAD_BYTES + RECORD_HEADER;
const _: () = assert!(BATCH_BYTES <= MAX_FRAME_BODY);

/// One entry of the log: bytes with a kind, both chosen by the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What the payload is; any value.
    pub kind: u8,
    /// The content, at most [`Log::max_payload_bytes`] long; it may be empty.
    pub payload: Vec<u8>,
}

/// Whose log it is. It is written into every segment; the log of somebody else is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The number of the cluster.
    pub cluster: u64,
    /// The number of the node in the cluster.
    pub node: u16,
}

/// Whether [`Log::sync`] waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// It does: what was synced survives a loss of power.
    Always,
    /// It does so once in this time, and otherwise returns at once: what was written so long ago
    /// survives a loss of power.
    Interval(Duration),
    /// It does not: what was written survives the death of the process, and nothing more.
    Never,
}

/// How to write a log. Each setting may differ from one [`open`] to the next.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The size of new segments in bytes: a multiple of [`PAGE_BYTES`] within
    /// [`MIN_SEGMENT_BYTES`] and [`MAX_SEGMENT_BYTES`].
    pub segment_bytes: u64,
    /// Whether to wait for the disk.
    pub fsync: Fsync,
    /// Mistakes planted on purpose.
    pub plants: Plants,
}

impl Default for Options {
    /// 16 MiB, [`Fsync::Always`], nothing planted.
    fn default() -> Self {
        Options { segment_bytes: 16 << 20, fsync: Fsync::Always, plants: Plants::NONE }
    }
}

/// What was found on disk.
#[derive(Debug)]
pub struct Recovered {
    /// All records, oldest first.
    pub records: Vec<Record>,
    /// The length in bytes of the torn tail that was cut; 0 when there was none.
    pub torn_bytes: u64,
    /// The file and the offset in it where the torn tail began.
    pub torn_at: Option<(PathBuf, u64)>,
    /// Where more than a torn frame was cut: the files that hold what was. Empty otherwise, and with
    /// [`Fsync::Always`] always.
    pub loose: Vec<PathBuf>,
    /// How many segments were read.
    pub segments: usize,
    /// Whether records before these were let go.
    pub purged: bool,
}

/// Opens the log in a folder, which is created when it is missing, and reads all of it.
///
/// The folder stays locked until the log is dropped.
///
/// # Errors
///
/// See [`LogError`]. The folder's records are unchanged then.
pub fn open(
    dir: &Path,
    identity: Identity,
    options: &Options,
) -> Result<(Log, Recovered), LogError> {
    open_on(&Disk::default(), dir, identity, options)
}

/// The same on a disk that may be faulty.
pub(crate) fn open_on(
    disk: &Disk,
    dir: &Path,
    identity: Identity,
    options: &Options,
) -> Result<(Log, Recovered), LogError> {
    let segment_bytes = options.segment_bytes;
    if !segment_bytes.is_multiple_of(PAGE_BYTES)
        || !(MIN_SEGMENT_BYTES..=MAX_SEGMENT_BYTES).contains(&segment_bytes)
    {
        return Err(LogError::SegmentSize {
            got: segment_bytes,
            page: PAGE_BYTES,
            least: MIN_SEGMENT_BYTES,
            most: MAX_SEGMENT_BYTES,
        });
    }
    let lock = lock(disk, dir)?;
    let (tail, recovered) =
        recovery::recover(disk, dir, identity, (options.fsync, options.plants))?;
    let tail = match tail {
        Some(tail) => tail,
        None => {
            let segment = Segment::create(disk, dir, identity, 1, segment_bytes)
                .map_err(LogError::io("create the first segment in", dir))?;
            Tail { segment, end: PAGE_BYTES, sequence: 0, next: None, closed: Vec::new() }
        }
    };
    let mut log = Log {
        disk: disk.clone(),
        dir: dir.to_owned(),
        identity,
        options: *options,
        active: tail.segment,
        end: tail.end,
        sequence: tail.sequence,
        frame: Vec::new(),
        framed: 0,
        records: recovered.records.len() as u64,
        closed: tail.closed.into(),
        unsynced: false,
        is_loose: false,
        synced_at: Instant::now(),
        failed: None,
        // A blank segment of another size was prepared under other options; it is replaced.
        next: tail.next.filter(|next| next.bytes == segment_bytes).map(Next::Ready),
        _lock: lock,
    };
    frame::begin(&mut log.frame);
    if log.next.is_none() {
        log.prepare_next().map_err(LogError::io("prepare the next segment in", dir))?;
    }
    Ok((log, recovered))
}

/// Reads the log in a folder that no node is using, and leaves it as it is: a torn tail stays.
///
/// # Errors
///
/// See [`LogError`]; also when the folder is not there.
pub fn read(dir: &Path, identity: Identity) -> Result<Recovered, LogError> {
    // Looked at first, since taking the lock of a folder creates it.
    fs::metadata(dir).map_err(LogError::io("open", dir))?;
    let disk = Disk::default();
    let _lock = lock(&disk, dir)?;
    recovery::read(&disk, dir, identity)
}

/// The end of the log, where records are appended. Dropping it is like a crash: nothing is synced.
#[derive(Debug)]
pub struct Log {
    disk: Disk,
    dir: PathBuf,
    identity: Identity,
    options: Options,
    active: Segment,
    /// Where the next frame goes in the active segment.
    end: u64,
    /// The sequence of the last frame.
    sequence: u64,
    /// The frame being built; its header is filled in when it is written. Reused for all frames.
    frame: Vec<u8>,
    /// How many records are in it.
    framed: u64,
    /// How many records were found at the start and written since.
    records: u64,
    /// The segments before the active one, in order.
    closed: VecDeque<Closed>,
    /// The last frame has been written and [`Log::sync`] was not called since.
    unsynced: bool,
    /// Not all frames are on disk: the next one is loose.
    is_loose: bool,
    /// When the log was last synced, or opened.
    synced_at: Instant,
    /// The first error; the log is not used after it.
    failed: Option<String>,
    /// `None` only while a segment is being changed for the next, or after that failed.
    next: Option<Next>,
    _lock: Flock<fs::File>,
}

/// A full segment.
#[derive(Debug)]
struct Closed {
    number: u64,
    path: PathBuf,
    /// [`Log::records`] when it was closed.
    records: u64,
    /// The sequence of its last frame, or of the last before it.
    sequence: u64,
}

/// The segment behind the active one.
#[derive(Debug)]
enum Next {
    Ready(Segment),
    Preparing(JoinHandle<io::Result<Segment>>),
}

impl Log {
    /// Writes records behind those before, as one frame where they fit in one. They are durable
    /// after the next [`Log::sync`]; after a crash, any number of them from the first on is found.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when a payload is too long; nothing was written then. Any other error is
    /// final: what is on disk is unknown, and every later call fails.
    pub fn append(&mut self, records: &[Record]) -> io::Result<()> {
        self.stage(records)?;
        self.write()
    }

    /// Returns when everything appended is on disk. With [`Fsync::Never`] it returns at once, and
    /// with [`Fsync::Interval`] too as long as [`Log::sync_due`] is in the future.
    ///
    /// # Errors
    ///
    /// Any error is final: what is on disk is unknown, and every later call fails.
    pub fn sync(&mut self) -> io::Result<()> {
        self.check()?;
        if !self.unsynced {
            return Ok(());
        }
        match self.options.fsync {
            Fsync::Never => {}
            Fsync::Interval(span) if self.synced_at.elapsed() < span => return Ok(()),
            Fsync::Always | Fsync::Interval(_) => {
                self.active.sync().map_err(|error| self.fail("sync", error))?;
                self.synced_at = Instant::now();
                self.is_loose = false;
            }
        }
        self.unsynced = false;
        Ok(())
    }

    /// How long until [`Log::sync`] must be called although nothing is appended; `None` when
    /// everything is synced.
    pub fn sync_due(&self) -> Option<Duration> {
        match self.options.fsync {
            Fsync::Interval(span) if self.unsynced => {
                Some(span.saturating_sub(self.synced_at.elapsed()))
            }
            _ => None,
        }
    }

    /// Lets go of the oldest segments, as long as all their records are among the first so many,
    /// counted over those that were found at the start and those appended since. The segment that
    /// is being written stays.
    ///
    /// # Errors
    ///
    /// Any error is final: which segments are left is unknown, and every later call fails.
    pub fn purge(&mut self, records: u64) -> io::Result<()> {
        self.check()?;
        let count = self.closed.partition_point(|closed| closed.records <= records);
        let Some(last) = count.checked_sub(1).map(|last| &self.closed[last]) else {
            return Ok(());
        };
        let first = First { segment: last.number + 1, sequence: last.sequence };
        let written = first.write(&self.disk, &self.dir, self.identity);
        written.map_err(|error| self.fail("purge", error))?;
        for closed in self.closed.drain(..count).collect::<Vec<_>>() {
            let removed = self.disk.remove(&closed.path);
            removed.map_err(|error| self.fail("purge", error))?;
        }
        Ok(())
    }

    /// The longest payload that a record may have, in bytes: [`MAX_PAYLOAD_BYTES`], or less when
    /// the segments are small.
    pub fn max_payload_bytes(&self) -> usize {
        self.max_body_bytes() - RECORD_HEADER
    }

    /// Adds records to the frame being built, writing it whenever it is full. The writer thread
    /// stages many submissions and writes them with one call of [`Log::write`].
    fn stage(&mut self, records: &[Record]) -> io::Result<()> {
        self.check()?;
        let most = self.max_payload_bytes();
        if let Some(record) = records.iter().find(|record| record.payload.len() > most) {
            let got = record.payload.len();
            let text = format!("record of {got} bytes: expected at most {most}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let full = BATCH_BYTES.min(self.max_body_bytes());
        for record in records {
            let body = self.frame.len() - FRAME_HEADER;
            if body > 0 && body + RECORD_HEADER + record.payload.len() > full {
                self.write()?;
            }
            frame::push(&mut self.frame, record);
            self.framed += 1;
        }
        Ok(())
    }

    /// Writes the frame being built, if there is anything in it.
    fn write(&mut self) -> io::Result<()> {
        self.check()?;
        if self.frame.len() == FRAME_HEADER {
            return Ok(());
        }
        // The promise that recovery rests on: all frames before this one are on disk.
        self.sync()?;
        while self.frame.len() as u64 > self.active.bytes - self.end {
            self.change_segment().map_err(|error| self.fail("continue in the next", error))?;
            if self.options.plants.has(Plant::LoseEntryAtSegmentEnd) {
                frame::begin(&mut self.frame);
                return Ok(());
            }
        }
        let place = Place { segment: self.active.number, offset: self.end };
        frame::seal(&mut self.frame, place, self.sequence + 1, self.is_loose);
        self.active.write(&self.frame, self.end).map_err(|error| self.fail("write", error))?;
        self.unsynced = true;
        self.is_loose = true;
        self.sequence += 1;
        self.records += std::mem::take(&mut self.framed);
        self.end += self.frame.len() as u64;
        frame::begin(&mut self.frame);
        Ok(())
    }

    /// Goes on in the next segment, waiting for it if it is not ready, and starts on the one
    /// after it.
    fn change_segment(&mut self) -> io::Result<()> {
        let next = match self.next.take() {
            Some(Next::Ready(segment)) => segment,
            Some(Next::Preparing(thread)) => thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("the preparing thread panicked")))?,
            None => return Err(io::Error::other("no next segment was prepared")),
        };
        if self.is_loose && matches!(self.options.fsync, Fsync::Interval(_)) {
            // Later syncs are of the next segment alone, and what was written so long ago must be
            // on disk.
            self.active.sync()?;
            self.is_loose = false;
        }
        let full = std::mem::replace(&mut self.active, next);
        let (records, sequence) = (self.records, self.sequence);
        self.closed.push_back(Closed { number: full.number, path: full.path, records, sequence });
        self.end = PAGE_BYTES;
        self.prepare_next()
    }

    fn prepare_next(&mut self) -> io::Result<()> {
        let (disk, dir, identity) = (self.disk.clone(), self.dir.clone(), self.identity);
        let (number, bytes) = (self.active.number + 1, self.options.segment_bytes);
        let thread = thread::Builder::new()
            .name("log-segment".into())
            .spawn(move || Segment::create(&disk, &dir, identity, number, bytes))?;
        self.next = Some(Next::Preparing(thread));
        Ok(())
    }

    fn max_body_bytes(&self) -> usize {
        MAX_FRAME_BODY.min((self.options.segment_bytes - PAGE_BYTES) as usize - FRAME_HEADER)
    }

    fn check(&self) -> io::Result<()> {
        match &self.failed {
            None => Ok(()),
            Some(first) => {
                Err(io::Error::other(format!("the log is not used after an error: {first}")))
            }
        }
    }

    /// Remembers the first error and says where it happened.
    fn fail(&mut self, action: &str, error: io::Error) -> io::Error {
        let path = self.active.path.display();
        let text = format!("cannot {action} segment {path} at byte {}: {error}", self.end);
        self.failed = Some(text.clone());
        io::Error::new(error.kind(), text)
    }
}

impl Drop for Log {
    /// Waits for the background thread, so that nobody writes to the folder without its lock.
    fn drop(&mut self) {
        if let Some(Next::Preparing(thread)) = self.next.take() {
            // Its error concerns a segment that nobody will use; the next `open` makes it anew.
            let _ = thread.join();
        }
    }
}

/// Creates the folder if it is missing and takes its lock, which the kernel releases when the
/// process ends, however it ends.
fn lock(disk: &Disk, dir: &Path) -> Result<Flock<fs::File>, LogError> {
    if !dir.is_dir() {
        fs::create_dir_all(dir).map_err(LogError::io("create", dir))?;
        let parent = parent(dir);
        disk.sync_dir(parent).map_err(LogError::io("sync", parent))?;
    }
    let path = dir.join("lock");
    let file = fs::File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(LogError::io("open", &path))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => LogError::Locked { dir: dir.to_owned() },
        errno => LogError::io("lock", path)(errno.into()),
    })
}
