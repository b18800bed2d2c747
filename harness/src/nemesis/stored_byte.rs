//! One byte in the data of a node that is down: where there is one whose change must be noticed, what
//! it is, and how it is changed. Used by `disk-flip`.
//!
//! Nothing is known of what stands in the files. Zeros may be space that was prepared and never
//! used, and the last bytes that were written may be half of a write, which a store rightly cuts. So
//! the byte is drawn from the first half of those that are not zero, in the file that has most of
//! them.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// With fewer bytes than this a half of them is still being written.
const LEAST: usize = 1024;

/// Which bytes of a file may be drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bytes {
    /// All that are not zero.
    #[default]
    Any,
    /// Digits of written numbers.
    Digits,
}

/// Digits in a row that are taken for a written number. Fewer turn up by chance in lengths and
/// checksums: three do at one place in fifteen thousand.
const DIGITS: usize = 3;

impl Bytes {
    /// Whether it is [`Bytes::Any`].
    pub(super) fn is_any(&self) -> bool {
        *self == Bytes::Any
    }

    /// The places of such bytes, in order.
    fn places(self, bytes: &[u8]) -> Vec<usize> {
        match self {
            Bytes::Any => (0..bytes.len()).filter(|at| bytes[*at] != 0).collect(),
            Bytes::Digits => {
                let mut places = Vec::new();
                let mut from = 0;
                for run in bytes.split(|byte| !byte.is_ascii_digit()) {
                    if run.len() >= DIGITS {
                        places.extend(from..from + run.len());
                    }
                    from += run.len() + 1;
                }
                places
            }
        }
    }
}

/// A place in a file and what stood there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredByte {
    /// The file, from the data directory on.
    pub file: PathBuf,
    /// Where in it.
    pub at: u64,
    /// The byte.
    pub byte: u8,
}

impl StoredByte {
    /// Chooses a byte of a data directory; `draw` decides which. `None` when there is too little.
    ///
    /// # Errors
    ///
    /// When a file cannot be read.
    pub fn find(data: &Path, draw: u64, of: Bytes) -> io::Result<Option<StoredByte>> {
        let mut files = Vec::new();
        list(data, &mut files)?;
        // In an order of their own, so that a draw means the same twice.
        files.sort();
        let mut most: Option<(usize, PathBuf, Vec<u8>)> = None;
        for file in files {
            let bytes = match fs::read(&file) {
                // A node that is still up, since its kill failed, removes files that it needs no more.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                bytes => bytes?,
            };
            let count = bytes.iter().filter(|byte| **byte != 0).count();
            if most.as_ref().is_none_or(|(most, ..)| count > *most) {
                most = Some((count, file, bytes));
            }
        }
        let Some((_, path, bytes)) = most.filter(|(count, ..)| *count >= LEAST) else {
            return Ok(None);
        };
        let places = of.places(&bytes);
        let first_half = &places[..places.len() / 2];
        if first_half.is_empty() {
            return Ok(None);
        }
        let at = first_half[(draw % first_half.len() as u64) as usize];
        let file = path.strip_prefix(data).unwrap_or(&path).to_path_buf();
        Ok(Some(StoredByte { file, at: at as u64, byte: bytes[at] }))
    }

    /// What stands there now; `None` when the place is gone.
    pub fn read(&self, data: &Path) -> Option<u8> {
        let mut byte = [0];
        let file = fs::File::open(data.join(&self.file)).ok()?;
        file.read_exact_at(&mut byte, self.at).ok()?;
        Some(byte[0])
    }

    /// Puts another byte there.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&self, data: &Path, byte: u8) -> io::Result<()> {
        let file = fs::File::options().write(true).open(data.join(&self.file))?;
        file.write_all_at(&[byte], self.at)
    }
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_gone_since_it_was_listed_has_no_byte() {
        let data = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("gone", data.path().join("a")).unwrap();
        fs::write(data.path().join("b"), vec![7; 2000]).unwrap();
        let place = StoredByte::find(data.path(), 5, Bytes::Any).unwrap().unwrap();
        assert_eq!((place.file, place.at), (PathBuf::from("b"), 5));
    }

    #[test]
    fn the_byte_is_in_the_first_half_of_what_was_written_to_the_fullest_file() {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir(data.path().join("log")).unwrap();
        fs::write(data.path().join("large-and-empty"), vec![0; 100_000]).unwrap();
        fs::write(data.path().join("small"), vec![7; 1999]).unwrap();
        let mut log = vec![0; 50_000];
        log[4096..6096].fill(9);
        fs::write(data.path().join("log/1"), &log).unwrap();
        for draw in [0, 1, 999, 1000, u64::MAX] {
            let place = StoredByte::find(data.path(), draw, Bytes::Any).unwrap().unwrap();
            assert_eq!((&*place.file, place.byte), (Path::new("log/1"), 9));
            assert!((4096..5096).contains(&place.at), "{}", place.at);
            place.write(data.path(), 11).unwrap();
            assert_eq!(place.read(data.path()), Some(11));
            place.write(data.path(), 9).unwrap();
        }
        let little = tempfile::tempdir().unwrap();
        fs::write(little.path().join("a"), vec![1; LEAST - 1]).unwrap();
        assert_eq!(StoredByte::find(little.path(), 1, Bytes::Any).unwrap(), None);
    }

    #[test]
    fn a_digit_is_one_of_a_written_number() {
        let data = tempfile::tempdir().unwrap();
        let mut log = vec![200; 2000];
        log[100..102].copy_from_slice(b"17");
        log[300..305].copy_from_slice(b"12345");
        log[900..903].copy_from_slice(b"678");
        fs::write(data.path().join("log"), &log).unwrap();
        for draw in 0..20 {
            let place = StoredByte::find(data.path(), draw, Bytes::Digits).unwrap().unwrap();
            assert!((300..304).contains(&place.at), "{place:?}");
        }
        fs::write(data.path().join("log"), vec![200; 2000]).unwrap();
        assert_eq!(StoredByte::find(data.path(), 1, Bytes::Digits).unwrap(), None);
    }
}
