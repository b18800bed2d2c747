//! The snapshot on disk: one file, replaced as a whole, and the thread that writes it.
//!
//! ```text
//!  0  "SPLITSNP"
//!  8  version    u32 little-endian, as all numbers
//! 12  node       u32
//! 16  cluster    u64
//! 24  received   u32   1 if another node sent it, else 0
//! 28  crc32c     u32   of bytes 0..28
//! 32  the image: see `protocol/snapshot.rs`, with a version and a checksum of its own
//! ```
//!
//! A file is written under another name, synced and renamed, and its folder synced: there is always
//! the old one or the new one. Saving is done in a thread of its own, one after the other, so that
//! the log goes on meanwhile. A full disk costs the snapshot and not the node: it tries again, and
//! the log grows until it can.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::sync::mpsc::UnboundedSender;
use tracing::warn;

use crate::disk::{self, Disk};
use crate::log::Identity;
use crate::protocol::{Saved, Snapshot};

const MAGIC: &[u8; 8] = b"SPLITSNP";
const FORMAT_VERSION: u32 = 1;
const SUMMED: usize = 28;
const HEADER_BYTES: usize = 32;

/// How long a node waits before it tries again to save a snapshot on a full disk.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

const ENDED: &str = "the thread that saves snapshots has ended";

/// What became of a snapshot that was to be saved: its number, and how many bytes it takes.
pub(crate) type Written = io::Result<(u64, u64)>;

/// Hands snapshots to the thread. The thread ends with it.
pub(crate) struct SnapshotFile {
    sender: Sender<Job>,
}

struct Job {
    number: u64,
    snapshot: Arc<Snapshot>,
    received: bool,
    /// Somebody who waits.
    done: Option<Sender<io::Result<()>>>,
}

impl SnapshotFile {
    /// Reads the snapshot in a folder, if there is one, and starts the thread, which reports to
    /// `written`.
    pub(crate) fn open(
        disk: &Disk,
        dir: &Path,
        identity: Identity,
        written: UnboundedSender<Written>,
    ) -> Result<(SnapshotFile, Saved)> {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let path = dir.join("snapshot");
        let saved = read(&path, identity).with_context(|| format!("in {}", path.display()))?;
        // The name may be newer than what the disk has, if the last sync of the folder failed.
        disk.sync_dir(dir).with_context(|| format!("cannot sync {}", dir.display()))?;
        let (sender, jobs) = mpsc::channel::<Job>();
        let disk = disk.clone();
        let body = move || {
            for Job { number, snapshot, received, done } in jobs {
                let image = snapshot.encode();
                let mut result = write(&disk, &path, identity, received, &image);
                while let Err(error) = &result
                    && done.is_none()
                    && is_full(error)
                {
                    warn!("cannot save a snapshot, and the log is kept: {error}; tries again");
                    thread::sleep(AGAIN_AFTER);
                    result = write(&disk, &path, identity, received, &image);
                }
                // Who waits, or else the core, hears of a failure and ends the node with it. When
                // the core is gone the process is ending.
                match (result, done) {
                    (Ok(()), done) => {
                        let _ = written.send(Ok((number, image.len() as u64)));
                        let _ = done.map(|done| done.send(Ok(())));
                    }
                    (Err(error), Some(done)) => {
                        let _ = done.send(Err(error));
                        return;
                    }
                    (Err(error), None) => {
                        let _ = written.send(Err(error));
                        return;
                    }
                }
            }
        };
        thread::Builder::new().name("snapshot".into()).spawn(body).context("cannot start")?;
        Ok((SnapshotFile { sender }, saved))
    }

    /// Saves a snapshot, after those before it; if `at_once` it is on disk when this returns. The
    /// thread ends early only when the disk has failed it; what the system said is told to whoever
    /// waited for that snapshot, or else in `written`.
    pub(crate) fn save(
        &self,
        number: u64,
        snapshot: Arc<Snapshot>,
        received: bool,
        at_once: bool,
    ) -> Result<()> {
        let (done, wait) = mpsc::channel();
        let job = Job { number, snapshot, received, done: at_once.then_some(done) };
        self.sender.send(job).ok().context(ENDED).context(disk::Failed("save a snapshot"))?;
        if at_once {
            let saved = wait.recv().context(ENDED).context(disk::Failed("save a snapshot"))?;
            saved.context(disk::Failed("save a snapshot that the log depends on"))?;
        }
        Ok(())
    }
}

/// Puts a snapshot's image in place, whole or not at all.
pub(crate) fn write(
    disk: &Disk,
    path: &Path,
    identity: Identity,
    received: bool,
    image: &[u8],
) -> io::Result<()> {
    disk.replace(path, &[&header(identity, received), image])
}

/// Whether it is for want of space. Nothing is lost by that: the file that was being written is none
/// yet, and what it stands for is in the log.
fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

fn header(identity: Identity, received: bool) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&u32::from(identity.node).to_le_bytes());
    bytes.extend_from_slice(&identity.cluster.to_le_bytes());
    bytes.extend_from_slice(&u32::from(received).to_le_bytes());
    debug_assert_eq!(bytes.len(), SUMMED);
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

/// Reads the snapshot in a file. A file that is not there is the state before the first entry.
pub(crate) fn read(path: &Path, identity: Identity) -> Result<Saved> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Saved::default()),
        Err(error) => return Err(error).context("cannot read it"),
    };
    let Some((head, image)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        bail!("expected a snapshot of at least {HEADER_BYTES} bytes, got {}", bytes.len());
    };
    ensure!(&head[..8] == MAGIC, "expected a snapshot, got another file");
    let version = &head[8..12];
    ensure!(
        version == FORMAT_VERSION.to_le_bytes(),
        "expected snapshot format {FORMAT_VERSION}, got {version:?}; help: start the version of \
         splitbrain that wrote it"
    );
    let sum = crc32c::crc32c(&head[..SUMMED]);
    ensure!(head[SUMMED..] == sum.to_le_bytes(), "expected header checksum {sum:08x}");
    let received = head[24] == 1;
    ensure!(
        head[..SUMMED] == header(identity, received)[..SUMMED],
        "the snapshot belongs to another cluster or another node; help: start this node with the \
         folder it was created in, or with an empty one"
    );
    Ok(Saved { snapshot: Arc::new(Snapshot::decode(image)?), received })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Claim, EntryId, Lineage, NodeId, WallTime};
    use crate::state::{Change, Command, State};

    const US: Identity = Identity { cluster: 7, node: 2 };

    fn snapshot(index: u64) -> Arc<Snapshot> {
        let mut state = State::default();
        for index in 1..=index {
            let command = Command::Increment { key: "n".into(), by: 1 };
            state.apply(index, Change { command, key: Some(index.to_string().into()) });
        }
        let claim = Claim { epoch: 1, leader: NodeId(2) };
        let last = EntryId { claim, index };
        Arc::new(Snapshot { last, written: WallTime(index), lineage: Lineage::default(), state })
    }

    fn open(dir: &Path, identity: Identity) -> Result<Saved> {
        let (sender, _) = tokio::sync::mpsc::unbounded_channel();
        SnapshotFile::open(&Disk::default(), dir, identity, sender).map(|(_, saved)| saved)
    }

    #[test]
    fn what_was_saved_is_read_back_with_its_idempotency_keys() {
        let dir = tempfile::tempdir().expect("a folder");
        let (sender, mut written) = tokio::sync::mpsc::unbounded_channel();
        let (file, before) =
            SnapshotFile::open(&Disk::default(), dir.path(), US, sender).expect("it opens");
        assert_eq!(*before.snapshot, Snapshot::default());
        file.save(1, snapshot(3), false, false).expect("it is taken");
        file.save(2, snapshot(5), true, true).expect("it is saved");
        let saved = open(dir.path(), US).expect("it opens");
        assert_eq!((&saved.snapshot, saved.received), (&snapshot(5), true));
        assert_eq!(saved.snapshot.state.idempotency_keys(), 5);
        let numbers = [written.try_recv(), written.try_recv()].map(|one| one.ok()?.ok());
        assert_eq!(numbers.map(|one| one.map(|(number, _)| number)), [Some(1), Some(2)]);
    }

    #[test]
    fn when_one_could_not_be_saved_the_disk_has_failed_those_after_it_too() {
        let dir = tempfile::tempdir().expect("a folder");
        let (sender, mut written) = tokio::sync::mpsc::unbounded_channel();
        let (file, _) =
            SnapshotFile::open(&Disk::default(), dir.path(), US, sender).expect("it opens");
        fs::create_dir(dir.path().join("snapshot.tmp")).expect("a folder where the file should be");
        file.save(1, snapshot(3), false, false).expect("it is taken");
        // The first of them may still be taken, or meet a thread that has ended.
        for number in [2, 3] {
            let error = file.save(number, snapshot(5), true, true).expect_err("nothing is saved");
            assert!(error.is::<disk::Failed>(), "{error:#}");
        }
        written.try_recv().expect("it is told before the thread ends").expect_err("the reason");
    }

    #[test]
    fn a_changed_or_missing_byte_refuses_the_snapshot_and_never_yields_another_state() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("snapshot");
        write(&Disk::default(), &path, US, false, &snapshot(3).encode()).expect("it is written");
        let whole = fs::read(&path).expect("it is there");
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x20;
            fs::write(&path, &bytes).expect("it is written");
            open(dir.path(), US).expect_err("a damaged snapshot");
            fs::write(&path, &whole[..at]).expect("it is written");
            open(dir.path(), US).expect_err("a cut snapshot");
        }
        fs::write(&path, &whole).expect("it is written");
        open(dir.path(), Identity { node: 3, ..US }).expect_err("somebody else's snapshot");
        open(dir.path(), US).expect("the whole one");
    }

    #[test]
    fn a_half_written_snapshot_leaves_the_one_before_it() {
        let dir = tempfile::tempdir().expect("a folder");
        write(&Disk::default(), &dir.path().join("snapshot"), US, false, &snapshot(3).encode())
            .expect("written");
        fs::write(dir.path().join("snapshot.tmp"), "half").expect("written");
        assert_eq!(open(dir.path(), US).expect("it opens").snapshot, snapshot(3));
    }
}
