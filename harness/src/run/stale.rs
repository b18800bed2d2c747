//! Folders of harnesses that were killed: how they are known, and what is removed of them.
//!
//! A harness holds a lock on the file `running` of its folder, and removes the file when it ends.
//! The kernel lets go of the lock however the harness ends, so a file that can be locked is one
//! whose harness was killed; process ids, which come round, play no part. Of such a folder the
//! nodes' data is removed, which nobody can use any more and which fills disks. Histories, events
//! and logs stay, for they are evidence.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

/// The name of the file. Its text is for people.
const RUNNING: &str = "running";

/// How deep below a suite's folder the folder of a run may be: the attempts of a search are two
/// folders down.
const DEPTH_MAX: usize = 4;

/// A folder in use, for as long as this lives.
#[derive(Debug)]
pub struct InUse {
    path: PathBuf,
    _lock: Flock<File>,
}

impl InUse {
    /// Marks a folder. `None` where the file system has no locks: it is then never swept.
    ///
    /// # Errors
    ///
    /// When the file cannot be made.
    pub fn mark(folder: &Path) -> io::Result<Option<InUse>> {
        let path = folder.join(RUNNING);
        // Locked before it has its name, so that nobody finds it without its lock.
        let unnamed = folder.join(format!(".{RUNNING}-{}", std::process::id()));
        let mut file = File::create(&unnamed)?;
        writeln!(file, "a splitbrain of process {} writes here", std::process::id())?;
        let Ok(lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else {
            fs::remove_file(&unnamed)?;
            return Ok(None);
        };
        fs::rename(&unnamed, &path)?;
        Ok(Some(InUse { path, _lock: lock }))
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        // Still locked; a file that cannot be removed costs a sweep of what is left, no more.
        fs::remove_file(&self.path).ok();
    }
}

/// Who writes in a folder, or did until it was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writer {
    /// Its process, as far as the file says it.
    pub process: Option<u32>,
    /// Whether it still holds its lock.
    pub alive: bool,
}

/// Who writes in a folder; `None` where its harness has come to its end.
pub fn writer(folder: &Path) -> Option<Writer> {
    let path = folder.join(RUNNING);
    let text = fs::read_to_string(&path).ok()?;
    let process = text.split_whitespace().find_map(|word| word.parse().ok());
    // A shared lock that is let go of at once keeps nobody from anything.
    let lock = Flock::lock(File::open(&path).ok()?, FlockArg::LockSharedNonblock);
    Some(Writer { process, alive: lock.is_err() })
}

/// Sweeps the folders in `out` whose harness was killed, and names them.
///
/// # Errors
///
/// When something of one cannot be removed; the file stays, and the next sweep tries again.
pub fn sweep(out: &Path) -> io::Result<Vec<PathBuf>> {
    let mut swept = Vec::new();
    for folder in folders(out)? {
        let running = folder.join(RUNNING);
        // Somebody else may sweep the same folder, or end in this moment.
        let Ok(file) = OpenOptions::new().write(true).open(&running) else { continue };
        let Ok(_lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else { continue };
        remove_data(&folder, DEPTH_MAX)?;
        fs::remove_file(&running)?;
        swept.push(folder);
    }
    swept.sort();
    Ok(swept)
}

fn remove_data(folder: &Path, depth: usize) -> io::Result<()> {
    for inner in folders(folder)? {
        if inner.file_name().is_some_and(|name| name == "nodes") {
            for data in folders(&inner)?.into_iter().map(|node| node.join("data")) {
                if data.is_dir() {
                    fs::remove_dir_all(data)?;
                }
            }
        } else if depth > 0 {
            remove_data(&inner, depth - 1)?;
        }
    }
    Ok(())
}

/// The folders in a folder; links, such as `latest`, are not followed.
fn folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A suite's folder with the data of a node and a history.
    fn suite(out: &Path, name: &str) -> (PathBuf, PathBuf) {
        let folder = out.join(name);
        let data = folder.join("leader-killed/nodes/n1/data");
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("log"), "entries").unwrap();
        fs::write(folder.join("leader-killed/history.jsonl"), "{}").unwrap();
        (folder, data)
    }

    #[test]
    fn a_folder_whose_harness_was_killed_loses_its_data_and_keeps_its_history() {
        let out = tempfile::tempdir().unwrap();
        let (folder, data) = suite(out.path(), "killed");
        // What a killed harness leaves: the file, and nobody who holds it.
        fs::write(folder.join(RUNNING), "").unwrap();
        assert_eq!(sweep(out.path()).unwrap(), vec![folder.clone()]);
        assert!(!data.exists());
        assert!(folder.join("leader-killed/history.jsonl").exists());
        assert_eq!(sweep(out.path()).unwrap(), Vec::<PathBuf>::new(), "once is enough");
    }

    #[test]
    fn who_writes_in_a_folder_is_known_and_whether_it_still_does() {
        let out = tempfile::tempdir().unwrap();
        assert_eq!(writer(out.path()), None);
        let mark = InUse::mark(out.path()).unwrap().expect("locks on this file system");
        let process = Some(std::process::id());
        assert_eq!(writer(out.path()), Some(Writer { process, alive: true }));
        drop(mark);
        assert_eq!(writer(out.path()), None, "it ended by itself");
        fs::write(out.path().join(RUNNING), "a splitbrain of process 7 writes here").unwrap();
        assert_eq!(writer(out.path()), Some(Writer { process: Some(7), alive: false }));
    }

    #[test]
    fn a_folder_in_use_and_one_that_was_finished_are_left_alone() {
        let out = tempfile::tempdir().unwrap();
        let (in_use, data) = suite(out.path(), "in-use");
        let mark = InUse::mark(&in_use).unwrap().expect("locks on this file system");
        let (_, kept) = suite(out.path(), "finished");
        assert_eq!(sweep(out.path()).unwrap(), Vec::<PathBuf>::new());
        assert!(data.exists() && kept.exists());
        drop(mark);
        assert!(!in_use.join(RUNNING).exists());
        assert_eq!(sweep(out.path()).unwrap(), Vec::<PathBuf>::new());
        assert!(data.exists(), "whoever ended by itself decided what to keep");
    }
}
