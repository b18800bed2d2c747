//! What a process leaves outside of its folder when it is killed, removed as soon as it is collected.
//!
//! So far that is what libfaketime makes in the shared memory of the machine, by process id, and
//! removes itself only at an orderly end. Called by the reaper, which outlives a killed harness.

use std::path::Path;

/// Where Linux keeps shared memory that has a name (shm_overview(7), sem_overview(7)).
const SHARED: &str = "/dev/shm";

/// Removes what is left of a process that has ended. Its id must not yet name another one of ours.
pub(super) fn remove(pid: u32) {
    for name in [format!("faketime_shm_{pid}"), format!("sem.faketime_sem_{pid}")] {
        // There is none for nearly every process, and nobody to tell of any other failure.
        let _ = std::fs::remove_file(Path::new(SHARED).join(name));
    }
}
