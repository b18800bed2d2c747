//! Recordings: everything that the core of a real node was fed, and everything it did, so that a
//! fresh core can be fed the same and must do the same, byte for byte.
//!
//! That is what makes the simulation's proofs proofs of this program: the core has no other input
//! than these. `--record-inputs` writes one file for each life of a node, `--replay-inputs FILE`
//! ([`replay`]) feeds it to a fresh core. Nothing here is called otherwise.
//!
//! # Format, version 1 (numbers little-endian)
//!
//! ```text
//! "SPLITREC"  version u32  then frames: length u32  crc32c u32 of the body  body, postcard
//! ```
//!
//! The first frame is a [`Start`], every other one a [`Batch`]. A process that is killed leaves a
//! frame half written at the end; what stands before it is whole.

mod replay;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tracing::warn;

pub(crate) use replay::replay;

use crate::config::Settings;
use crate::protocol::{Core, Effect, Input, NodeId, Note, Now, Saved};

const MAGIC: &[u8; 8] = b"SPLITREC";
const VERSION: u32 = 2;

/// A node records no more than this, in bytes: a disk that is full of evidence stops the node.
const RECORDING_BYTES_MAX: u64 = 4 << 30;

/// The most files of recordings of one node, one for each of its lives.
const RECORDINGS_MAX: u32 = 9999;

/// From what a core began.
#[derive(Debug, Serialize, Deserialize)]
struct Start {
    me: NodeId,
    /// The other founders; `None` of a node that joins.
    founders: Option<Vec<NodeId>>,
    /// The profile, and every switch with its value.
    profile: String,
    switches: Vec<(String, String)>,
    plants: Vec<String>,
    entropy: u64,
    /// The snapshot that was found, as its image, and whether it came from another node.
    snapshot: Vec<u8>,
    received: bool,
    /// Whether records before these had been let go, and the records of the log that was found.
    purged: bool,
    records: Vec<(u8, Vec<u8>)>,
}

/// Inputs that were handled together, and what came of them.
#[derive(Debug, Serialize, Deserialize)]
struct Batch {
    count: u32,
    /// So many pairs of a time and an [`Input`], one behind the other.
    inputs: Vec<u8>,
    finished: Duration,
    /// See [`encode`].
    effects: Vec<u8>,
}

/// A core, and somebody who writes down what it is fed and what it does, if that is asked for.
#[derive(Debug)]
pub(crate) struct Recorded {
    core: Core,
    recorder: Option<Recorder>,
}

impl Recorded {
    /// A core that is recorded from now on, or never.
    pub(crate) fn new(core: Core, recorder: Option<Recorder>) -> Self {
        Recorded { core, recorder }
    }

    /// [`Core::step`].
    pub(crate) fn step(&mut self, now: Now, input: Input) {
        if let Some(recorder) = &mut self.recorder {
            recorder.input(now, &input);
        }
        self.core.step(now, input);
    }

    /// [`Core::finish`].
    ///
    /// # Errors
    ///
    /// When the recording cannot be written: evidence with a gap is none.
    pub(crate) fn finish(&mut self, now: Now) -> Result<Vec<Effect>> {
        let effects = self.core.finish(now);
        if let Some(recorder) = &mut self.recorder {
            recorder.batch(now, &effects).context("cannot write the recording")?;
            if recorder.bytes > RECORDING_BYTES_MAX {
                warn!("the recording has {} bytes: it ends here", recorder.bytes);
                self.recorder = None;
            }
        }
        Ok(effects)
    }
}

impl std::ops::Deref for Recorded {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

/// What a node found on its disk: the part of a [`Start`] that is known before the core is made.
#[derive(Debug)]
pub(crate) struct Found {
    snapshot: Vec<u8>,
    received: bool,
    purged: bool,
    records: Vec<(u8, Vec<u8>)>,
}

impl Found {
    /// The snapshot and the records, as bytes.
    pub(crate) fn new(saved: &Saved, purged: bool, notes: &[Note]) -> Self {
        let records = notes.iter().map(Note::encode).collect();
        Found { snapshot: saved.snapshot.encode(), received: saved.received, purged, records }
    }
}

/// The file that is being written.
#[derive(Debug)]
pub(crate) struct Recorder {
    file: File,
    bytes: u64,
    /// The inputs of the batch so far.
    count: u32,
    inputs: Vec<u8>,
}

impl Recorder {
    /// Begins a new file in a folder, behind those of earlier lives.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written, or holds too many recordings.
    pub(crate) fn create(
        folder: &Path,
        (me, founders): (NodeId, Option<&[NodeId]>),
        (profile, settings): (&str, &Settings),
        entropy: u64,
        found: Found,
    ) -> Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let path =
            (1..=RECORDINGS_MAX).map(|life| path_of(folder, life)).find(|path| !path.exists());
        let path = path.with_context(|| {
            format!("{} holds {RECORDINGS_MAX} recordings; help: remove some", folder.display())
        })?;
        let file =
            File::create_new(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let mut recorder = Recorder { file, bytes: 0, count: 0, inputs: Vec::new() };
        let switches = settings.values().into_iter();
        let start = Start {
            me,
            founders: founders.map(<[NodeId]>::to_vec),
            profile: profile.to_string(),
            switches: switches
                .map(|(name, value)| (name, value.as_str().unwrap_or_default().to_string()))
                .collect(),
            plants: settings.plants.rows().map(|row| row.name.to_string()).collect(),
            entropy,
            snapshot: found.snapshot,
            received: found.received,
            purged: found.purged,
            records: found.records,
        };
        let head = [&MAGIC[..], &VERSION.to_le_bytes()].concat();
        recorder
            .write(&head)
            .and_then(|()| recorder.frame(&start))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(recorder)
    }

    fn input(&mut self, now: Now, input: &Input) {
        let inputs = std::mem::take(&mut self.inputs);
        self.inputs = postcard::to_extend(&(now, input), inputs).expect("plain data encodes");
        self.count += 1;
    }

    fn batch(&mut self, finished: Now, effects: &[Effect]) -> io::Result<()> {
        let batch = Batch {
            count: std::mem::take(&mut self.count),
            inputs: std::mem::take(&mut self.inputs),
            finished,
            effects: encode(effects),
        };
        self.frame(&batch)
    }

    fn frame(&mut self, body: &impl Serialize) -> io::Result<()> {
        let frame = framed(body)?;
        self.write(&frame)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }
}

fn path_of(folder: &Path, life: u32) -> PathBuf {
    folder.join(format!("{life:04}.rec"))
}

/// A frame with this body.
fn framed(body: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut frame = postcard::to_extend(body, vec![0; 8]).expect("plain data encodes");
    let length = u32::try_from(frame.len() - 8).map_err(io::Error::other)?;
    let sum = crc32c::crc32c(&frame[8..]);
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame[4..8].copy_from_slice(&sum.to_le_bytes());
    Ok(frame)
}

/// All of what a core did, as bytes: two lists of effects are equal when these are.
fn encode(effects: &[Effect]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for effect in effects {
        let plain = |kind: u8, value: &dyn Fn(Vec<u8>) -> postcard::Result<Vec<u8>>| {
            value(vec![kind]).expect("plain data encodes")
        };
        bytes.extend(match effect {
            Effect::Send { to, message } => {
                plain(1, &|to_| postcard::to_extend(&(to, message), to_))
            }
            Effect::Persist { notes, token } => {
                let notes: Vec<_> = notes.iter().map(Note::encode).collect();
                plain(2, &|to| postcard::to_extend(&(token, &notes), to))
            }
            Effect::Archive { entries, committed, upstream } => {
                plain(3, &|to| postcard::to_extend(&(entries, committed, upstream), to))
            }
            Effect::Save { number, snapshot, received, at_once } => {
                let image = snapshot.encode();
                plain(4, &|to| postcard::to_extend(&(number, received, at_once, &image), to))
            }
            Effect::Purge { upto } => plain(5, &|to| postcard::to_extend(upto, to)),
            Effect::Reply { id, outcome } => {
                plain(6, &|to| postcard::to_extend(&(id, outcome), to))
            }
            Effect::Report(report) => {
                plain(7, &|to| postcard::to_extend(&format!("{report:?}"), to))
            }
            Effect::Lock { number, ask } => plain(8, &|to| postcard::to_extend(&(number, ask), to)),
            Effect::Members(members) => plain(9, &|to| postcard::to_extend(members, to)),
        });
    }
    bytes
}

/// Takes the file apart again; `None` at the end, or where the last frame is not whole.
fn frame<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk::<4>()?;
    let (sum, behind) = behind.split_first_chunk::<4>()?;
    let (body, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*sum) {
        return None;
    }
    *rest = behind;
    Some(body)
}

/// What stands behind magic and version.
fn body(file: &[u8]) -> Result<&[u8]> {
    let (magic, rest) =
        file.split_first_chunk::<8>().context("expected a recording, got an end")?;
    ensure!(magic == MAGIC, "expected a recording, which begins with SPLITREC, got other bytes");
    let (version, rest) =
        rest.split_first_chunk::<4>().context("expected a version, got an end")?;
    let version = u32::from_le_bytes(*version);
    ensure!(
        version == VERSION,
        "expected version {VERSION} of a recording, got {version}; \
         help: replay it with the version of splitbrain that wrote it"
    );
    Ok(rest)
}
