//! One file of the log: its name, its header, and the few ways in which it is read and written.
//!
//! A segment knows nothing of records; frames are placed in it by [`super::Log`] and found again
//! by `recovery`. Its layout is documented in [`super`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::frame::{u32_at, u64_at};
use super::{FORMAT_VERSION, Identity, LogError, MAX_SEGMENT_BYTES, PAGE_BYTES};
use crate::disk::{Disk, File};

/// The first bytes of every segment.
const MAGIC: &[u8; 8] = b"SPLITLOG";
/// The header's bytes in front of its checksum; the rest of its page is zero.
const SUMMED: usize = 40;
/// Zeros are written in pieces of this size, so that filling a segment needs little memory.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// An open segment file.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) bytes: u64,
    pub(super) path: PathBuf,
    pub(super) file: File,
}

impl Segment {
    /// Creates a segment full of zeros under its final name, synced together with its folder.
    ///
    /// It is filled and synced under a temporary name first: a file with a segment's name is
    /// always complete. An existing file of this name is replaced; callers know it to be blank.
    pub(super) fn create(
        disk: &Disk,
        dir: &Path,
        identity: Identity,
        number: u64,
        bytes: u64,
    ) -> io::Result<Segment> {
        let path = path_of(dir, number);
        let unfinished = path.with_extension("log.tmp");
        let file = disk.create(&unfinished)?;
        file.write_all_at(&header(identity, number, bytes), 0)?;
        let segment = Segment { number, bytes, path, file };
        segment.zero(PAGE_BYTES, bytes)?;
        segment.file.sync_all()?;
        disk.rename(&unfinished, &segment.path)?;
        disk.sync_dir(dir)?;
        Ok(segment)
    }

    /// Opens an existing segment and reads all of it into `buffer`, replacing what is in there.
    ///
    /// # Errors
    ///
    /// A header that is not whole, of another format version, of another cluster or node, or that
    /// does not match the file's name and size.
    pub(super) fn open(
        disk: &Disk,
        dir: &Path,
        identity: Identity,
        number: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<Segment, LogError> {
        let path = path_of(dir, number);
        let file = disk.open(&path).map_err(LogError::io("open", &path))?;
        let bytes = file.len().map_err(LogError::io("examine", &path))?;
        if !(PAGE_BYTES..=MAX_SEGMENT_BYTES).contains(&bytes) {
            let expected = format!("a file of {PAGE_BYTES} to {MAX_SEGMENT_BYTES} bytes");
            return Err(damaged(&path, 0, expected, format!("{bytes} bytes")));
        }
        buffer.resize(bytes as usize, 0);
        file.read_exact_at(buffer, 0).map_err(LogError::io("read", &path))?;
        check_header(&path, &buffer[..PAGE_BYTES as usize], identity, number, bytes)?;
        Ok(Segment { number, bytes, path, file })
    }

    /// Writes at an offset; one system call unless the kernel takes less than all of it.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    /// Overwrites a range of bytes with zeros.
    pub(super) fn zero(&self, from: u64, to: u64) -> io::Result<()> {
        let mut at = from;
        while at < to {
            let size = ZEROS.len().min((to - at) as usize);
            self.file.write_all_at(&ZEROS[..size], at)?;
            at += size as u64;
        }
        Ok(())
    }

    /// Returns when everything written is on disk (`fdatasync`).
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// How the name of a file ends that is not a segment yet.
const UNFINISHED: &str = ".log.tmp";

/// Removes unfinished files: they never held a record.
pub(super) fn remove_unfinished(disk: &Disk, dir: &Path) -> Result<(), LogError> {
    for entry in fs::read_dir(dir).map_err(LogError::io("list", dir))? {
        let path = entry.map_err(LogError::io("list", dir))?.path();
        if path.to_string_lossy().ends_with(UNFINISHED) {
            disk.remove(&path).map_err(LogError::io("remove", &path))?;
        }
    }
    Ok(())
}

/// The numbers of all segments in a folder, ascending, without unfinished ones.
pub(super) fn list(dir: &Path) -> Result<Vec<u64>, LogError> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir).map_err(LogError::io("list", dir))? {
        let path = entry.map_err(LogError::io("list", dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(UNFINISHED) {
            continue;
        }
        if let Some(stem) = name.strip_suffix(".log") {
            match stem.parse() {
                Ok(number) if path_of(dir, number) == path => numbers.push(number),
                _ => return Err(LogError::UnknownFile { path }),
            }
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Says what is wrong where in a segment.
pub(super) fn damaged(path: &Path, offset: u64, expected: String, got: String) -> LogError {
    LogError::Damaged { path: path.to_owned(), offset, expected, got }
}

/// The path of a segment.
pub(super) fn path_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.log"))
}

fn header(identity: Identity, number: u64, bytes: u64) -> Vec<u8> {
    let mut page = Vec::with_capacity(PAGE_BYTES as usize);
    page.extend_from_slice(MAGIC);
    page.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    page.extend_from_slice(&u32::from(identity.node).to_le_bytes());
    page.extend_from_slice(&identity.cluster.to_le_bytes());
    page.extend_from_slice(&number.to_le_bytes());
    page.extend_from_slice(&bytes.to_le_bytes());
    debug_assert_eq!(page.len(), SUMMED);
    page.extend_from_slice(&crc32c::crc32c(&page).to_le_bytes());
    page.resize(PAGE_BYTES as usize, 0);
    page
}

fn check_header(
    path: &Path,
    page: &[u8],
    identity: Identity,
    number: u64,
    bytes: u64,
) -> Result<(), LogError> {
    // Magic and version come first: behind them another version may have another layout.
    if &page[..8] != MAGIC {
        let got = format!("{:?}", page[..8].escape_ascii().to_string());
        return Err(damaged(path, 0, format!("{:?}", MAGIC.escape_ascii().to_string()), got));
    }
    let version = u32_at(page, 8);
    let computed = crc32c::crc32c(&page[..SUMMED]);
    let stored = u32_at(page, SUMMED);
    if version != FORMAT_VERSION {
        return Err(LogError::Version {
            path: path.to_owned(),
            expected: FORMAT_VERSION,
            got: version,
        });
    }
    if stored != computed {
        let expected = format!("header checksum {computed:08x}");
        return Err(damaged(path, SUMMED as u64, expected, format!("{stored:08x}")));
    }
    if let Some(at) = page[SUMMED + 4..].iter().position(|&byte| byte != 0) {
        let at = SUMMED + 4 + at;
        let got = format!("{:02x}", page[at]);
        return Err(damaged(path, at as u64, "00 behind the header".into(), got));
    }
    let foreign =
        |what, expected, got| Err(LogError::Foreign { path: path.to_owned(), what, expected, got });
    if u64_at(page, 16) != identity.cluster {
        return foreign("cluster", identity.cluster, u64_at(page, 16));
    }
    if u32_at(page, 12) != u32::from(identity.node) {
        return foreign("node", identity.node.into(), u32_at(page, 12).into());
    }
    for (at, what, expected) in [(24, "segment number", number), (32, "file size", bytes)] {
        let got = u64_at(page, at);
        if got != expected {
            return Err(damaged(path, at as u64, format!("{what} {expected}"), got.to_string()));
        }
    }
    Ok(())
}
