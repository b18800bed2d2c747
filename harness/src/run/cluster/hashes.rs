//! The programs that nodes really run: read through the kernel's link to a process, and hashed once.
//! Called by the cluster alone, for whoever proves that a node runs another program.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::nemesis::Program;
use crate::run::series;

/// The hashes of programs that were looked at, by file.
#[derive(Clone, Debug, Default)]
pub(super) struct Hashes {
    known: Arc<Mutex<BTreeMap<FileIdentity, String>>>,
}

/// Device, inode, and seconds and nanoseconds of the last change.
type FileIdentity = (u64, u64, i64, i64);

impl Hashes {
    /// The program of a process. Reads the file once, through the kernel's link to it, which leads
    /// to the file that runs even if another one has its name by now.
    pub(super) fn program(&self, pid: u32) -> Option<Program> {
        use std::os::unix::fs::MetadataExt;
        let link = PathBuf::from(format!("/proc/{pid}/exe"));
        let path = std::fs::read_link(&link).ok()?;
        let file = std::fs::metadata(&link).ok()?;
        let key = (file.dev(), file.ino(), file.ctime(), file.ctime_nsec());
        // Held while it is read: whoever looks at the same file waits instead of reading it too.
        let mut known = self.known.lock().expect("no holder of this lock panics");
        let sha256 = match known.get(&key) {
            Some(sha256) => sha256.clone(),
            None => series::hash(&link).ok()?,
        };
        known.insert(key, sha256.clone());
        Some(Program { path, sha256 })
    }
}
