//! The file `first`: where the log begins, once its oldest segments were let go.
//!
//! Written by [`super::Log::purge`] before it removes anything, read by `recovery`. Its layout is
//! documented in [`super`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::frame::{u32_at, u64_at};
use super::segment::damaged;
use super::{FORMAT_VERSION, Identity, LogError};
use crate::disk::Disk;

const MAGIC: &[u8; 8] = b"SPLITFST";
/// The bytes in front of the checksum.
const SUMMED: usize = 40;

/// Where the log begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct First {
    /// The number of the first segment.
    pub(super) segment: u64,
    /// The sequence of the last frame before it.
    pub(super) sequence: u64,
}

impl First {
    /// Where a log begins from which nothing was let go.
    pub(super) const WHOLE: First = First { segment: 1, sequence: 0 };

    /// Puts the file on disk in place of an earlier one; it is never half there.
    pub(super) fn write(self, disk: &Disk, dir: &Path, identity: Identity) -> io::Result<()> {
        disk.replace(&path_in(dir), &[&self.encode(identity)])
    }

    /// Reads the file; without one nothing was let go.
    ///
    /// # Errors
    ///
    /// A file that is not whole, of another format version, or of another cluster or node.
    pub(super) fn read(dir: &Path, identity: Identity) -> Result<First, LogError> {
        let path = path_in(dir);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(First::WHOLE),
            Err(error) => return Err(LogError::io("read", path)(error)),
        };
        if bytes.len() != SUMMED + 4 || &bytes[..8] != MAGIC {
            let got = format!("{} bytes", bytes.len());
            return Err(damaged(&path, 0, format!("{} bytes of a log's begin", SUMMED + 4), got));
        }
        if u32_at(&bytes, 8) != FORMAT_VERSION {
            let (expected, got) = (FORMAT_VERSION, u32_at(&bytes, 8));
            return Err(LogError::Version { path, expected, got });
        }
        let first = First { segment: u64_at(&bytes, 24), sequence: u64_at(&bytes, 32) };
        let computed = crc32c::crc32c(&bytes[..SUMMED]);
        let stored = u32_at(&bytes, SUMMED);
        if stored != computed {
            let expected = format!("checksum {computed:08x}");
            return Err(damaged(&path, SUMMED as u64, expected, format!("{stored:08x}")));
        }
        let (node, cluster) = (u64::from(u32_at(&bytes, 12)), u64_at(&bytes, 16));
        if cluster != identity.cluster {
            let (what, expected) = ("cluster", identity.cluster);
            return Err(LogError::Foreign { path, what, expected, got: cluster });
        }
        if node != u64::from(identity.node) {
            let (what, expected) = ("node", u64::from(identity.node));
            return Err(LogError::Foreign { path, what, expected, got: node });
        }
        Ok(first)
    }

    fn encode(self, identity: Identity) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&u32::from(identity.node).to_le_bytes());
        bytes.extend_from_slice(&identity.cluster.to_le_bytes());
        bytes.extend_from_slice(&self.segment.to_le_bytes());
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        debug_assert_eq!(bytes.len(), SUMMED);
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }
}

/// The path of the file in a log's folder.
pub(super) fn path_in(dir: &Path) -> PathBuf {
    dir.join("first")
}
