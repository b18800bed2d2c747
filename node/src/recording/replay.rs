//! A recording fed to a fresh core, which must do exactly what was recorded.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};

use super::{Batch, Start, body, encode, frame};
use crate::config::Settings;
use crate::protocol::{Core, Input, Note, Now, Remembered, Saved, Snapshot};
use crate::runtime::begin;

/// What was fed again, and came to the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replayed {
    /// Batches of inputs.
    pub(crate) batches: u64,
    /// Inputs in them.
    pub(crate) inputs: u64,
    /// Bytes of effects.
    pub(crate) effects: u64,
    /// Bytes at the end that hold no whole frame: the process was killed while it wrote them.
    pub(crate) torn: u64,
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Replayed { batches, inputs, effects, torn } = self;
        write!(f, "the same {effects} bytes of effects from {inputs} inputs in {batches} batches")?;
        match torn {
            0 => Ok(()),
            torn => write!(f, "; the last {torn} bytes of the recording are torn"),
        }
    }
}

/// Feeds a recording to a fresh core.
///
/// # Errors
///
/// When the file is no recording of this version, or the core does anything else than was recorded.
pub(crate) fn replay(path: &Path) -> Result<Replayed> {
    let file = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    replay_bytes(&file).with_context(|| format!("in {}", path.display()))
}

fn replay_bytes(file: &[u8]) -> Result<Replayed> {
    let mut rest = body(file)?;
    let start = frame(&mut rest).context("expected the start of a node, got no whole frame")?;
    let start: Start = postcard::from_bytes(start).context("the start of the node")?;
    let mut core = core(start)?;
    let mut replayed = Replayed::default();
    while let Some(batch) = frame(&mut rest) {
        let number = replayed.batches + 1;
        let batch: Batch =
            postcard::from_bytes(batch).with_context(|| format!("batch {number}"))?;
        let mut inputs = &batch.inputs[..];
        for _ in 0..batch.count {
            let ((now, input), behind): ((Now, Input), _) = postcard::take_from_bytes(inputs)
                .with_context(|| format!("an input of batch {number}"))?;
            inputs = behind;
            core.step(now, input);
        }
        ensure!(inputs.is_empty(), "batch {number}: expected {} inputs, got more", batch.count);
        let effects = core.finish(batch.finished);
        let bytes = encode(&effects);
        if bytes != batch.effects {
            let at =
                bytes.iter().zip(&batch.effects).take_while(|(one, other)| one == other).count();
            return Err(anyhow!(
                "batch {number} at {:.6} s: expected {} bytes of effects, got {} that differ from \
                 byte {at} on: {effects:?}",
                batch.finished.as_secs_f64(),
                batch.effects.len(),
                bytes.len(),
            ));
        }
        replayed.batches += 1;
        replayed.inputs += u64::from(batch.count);
        replayed.effects += bytes.len() as u64;
    }
    replayed.torn = rest.len() as u64;
    Ok(replayed)
}

/// The core as it was when the recording began.
fn core(start: Start) -> Result<Core> {
    let overrides: Vec<String> =
        start.switches.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut settings = Settings::resolve(&start.profile, &overrides)?;
    for plant in &start.plants {
        settings.plants =
            settings.plants.with(plant.parse().map_err(|error: String| anyhow!(error))?);
    }
    let snapshot = Snapshot::decode(&start.snapshot).context("the snapshot that was found")?;
    let saved = Saved { snapshot: snapshot.into(), received: start.received };
    let notes: Result<Vec<Note>, _> = start
        .records
        .iter()
        .enumerate()
        .map(|(at, (kind, payload))| Note::decode(at, *kind, payload))
        .collect();
    let remembered = Remembered::replay(saved, start.purged, notes?)?;
    Ok(begin(start.me, start.founders, settings, remembered, start.entropy))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Found, Recorded, Recorder, framed, path_of};
    use super::*;
    use crate::protocol::{Effect, NodeId, Request};
    use crate::state::Command;

    /// A cluster of one elects itself and writes, on a disk that takes its time.
    fn recorded(folder: &Path, entropy: u64) -> Vec<u8> {
        let settings = Settings::resolve("raft", &["snapshot-entries=5".to_string()]);
        let settings = settings.expect("the settings make sense");
        let found = Found::new(&Saved::default(), false, &[]);
        let me = NodeId(1);
        let recorder =
            Recorder::create(folder, (me, Some(&[])), ("raft", &settings), entropy, found);
        let core = Core::new(me, vec![], settings, Remembered::default(), entropy, Now::ZERO);
        let mut node = Recorded::new(core, Some(recorder.expect("a folder")));
        for id in 0..40 {
            let now = node.next_timer().max(Duration::from_millis(10 * id));
            node.step(now, Input::Tick);
            let command = Command::Put { key: "k".into(), value: id.to_string().into() };
            let request = Request::Write(command.into());
            node.step(now, Input::Request { id, request, deadline: now + Duration::from_secs(1) });
            for effect in node.finish(now).expect("a healthy disk") {
                match effect {
                    Effect::Persist { token, .. } => node.step(now, Input::Flushed(token)),
                    Effect::Save { number, .. } => {
                        node.step(now, Input::Saved { number, bytes: 9 })
                    }
                    _ => {}
                }
            }
        }
        fs::read(path_of(folder, 1)).expect("the recording")
    }

    #[test]
    fn a_fresh_core_does_the_same_and_a_torn_end_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = recorded(folder.path(), 7);
        let whole = replay_bytes(&file).expect("the same");
        assert!(whole.inputs >= 120 && whole.effects > 2000 && whole.torn == 0, "{whole:?}");
        let cut = replay_bytes(&file[..file.len() - 3]).expect("the same up to there");
        assert_eq!(cut.batches, whole.batches - 1);
        assert!(cut.torn > 0);
    }

    #[test]
    fn a_core_that_does_anything_else_is_told_with_the_batch() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = recorded(folder.path(), 7);
        let mut rest = body(&file).expect("its head");
        let start = frame(&mut rest).expect("its start");
        let mut start: Start = postcard::from_bytes(start).expect("its start");
        let switch = start.switches.iter_mut().find(|(name, _)| name == "snapshot-entries");
        switch.expect("every switch is there").1 = "6".to_string();
        let head = &file[..12];
        let other = [head, &framed(&start).expect("a start"), rest].concat();
        let error = replay_bytes(&other).expect_err("it saves one entry later").to_string();
        assert!(error.starts_with("batch ") && error.contains("bytes of effects"), "{error}");
    }

    #[test]
    fn what_is_no_recording_is_refused_with_what_was_expected() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = recorded(folder.path(), 7);
        file[8] = 9;
        let error = replay_bytes(&file).expect_err("another version").to_string();
        assert!(error.contains("expected version 2 of a recording, got 9"), "{error}");
        let error = replay_bytes(b"SPLITLOG....").expect_err("a log").to_string();
        assert!(error.contains("SPLITREC"), "{error}");
    }
}
