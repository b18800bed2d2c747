//! Why a log would not open. Failures while it is written are plain `io::Error`s and end the
//! process (see [`super::Writer`]); everything here is said once, at start.

use std::io;
use std::path::PathBuf;

/// What keeps a folder from being opened as this node's log. Nothing was changed on disk.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The operating system refused something.
    #[error(
        "cannot {action} {path}: {source}\nhelp: check that the folder exists, belongs to \
             this user and that the disk is neither full nor failing"
    )]
    Io {
        /// What was tried, as an infinitive: `read`, `create`.
        action: &'static str,
        /// The file or folder it was tried on.
        path: PathBuf,
        /// The answer of the operating system.
        source: io::Error,
    },
    /// Another process (or another `Log` of this one) has the folder open.
    #[error(
        "the log in {dir} is open in another process: expected to be its only user\nhelp: \
             stop the other node, or give this one a folder of its own"
    )]
    Locked {
        /// The folder of the log.
        dir: PathBuf,
    },
    /// The segment size is out of its limits.
    #[error(
        "segment size of {got} bytes: expected a multiple of {page} from {least} to {most}\n\
             help: leave it out for the default of 16777216"
    )]
    SegmentSize {
        /// What was asked for, in bytes.
        got: u64,
        /// The unit of size, in bytes.
        page: u64,
        /// The smallest size, in bytes.
        least: u64,
        /// The largest size, in bytes.
        most: u64,
    },
    /// A file ends in `.log` and is not named as a segment.
    #[error(
        "unknown file {path} in the log: expected names such as 0000000001.log\nhelp: move \
             it out of the folder"
    )]
    UnknownFile {
        /// The file.
        path: PathBuf,
    },
    /// A segment between others, or the first one, is not there.
    #[error(
        "a segment is missing in {dir}: expected {expected:010}.log, got {got:010}.log\nhelp: \
             put the file back, or move the folder away and let the node join as a new one"
    )]
    MissingSegment {
        /// The folder of the log.
        dir: PathBuf,
        /// The number that comes next.
        expected: u64,
        /// The number that was found in its place.
        got: u64,
    },
    /// A segment was written by a build with another layout.
    #[error(
        "{path} at byte 8: expected log format {expected}, got {got}\nhelp: start the build \
             that wrote it, or give this node an empty folder"
    )]
    Version {
        /// The segment.
        path: PathBuf,
        /// The format of this build.
        expected: u32,
        /// The format in the file.
        got: u32,
    },
    /// A segment belongs to another cluster or another node.
    #[error(
        "{path} belongs to somebody else: expected {what} {expected}, got {got}\nhelp: start \
             this node with the folder it was created in, or with an empty one"
    )]
    Foreign {
        /// The segment.
        path: PathBuf,
        /// `cluster` or `node`.
        what: &'static str,
        /// The number this node was started with.
        expected: u64,
        /// The number in the file.
        got: u64,
    },
    /// Bytes that had been written and synced are not what they were: not a torn tail.
    #[error(
        "{path} is damaged at byte {offset}: expected {expected}, got {got}\nhelp: records \
             that may have been acknowledged are lost here; restore the folder from a copy, or \
             move it away and let the node join as a new one"
    )]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where in the file, in bytes from its start.
        offset: u64,
        /// What must stand there.
        expected: String,
        /// What stands there, and how it is known not to be a torn tail.
        got: String,
    },
}

impl LogError {
    /// For `map_err`: names what was tried on which path.
    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> LogError {
        let path = path.into();
        move |source| LogError::Io { action, path, source }
    }
}
