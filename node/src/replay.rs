//! `--replay-to`: what a data directory came to at a point, printed or written as a new one.
//!
//! It starts no node and changes nothing in the directory: a torn tail stays where it is. The
//! directory is locked meanwhile, so it is refused while a node runs on it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::disk::Disk;
use crate::log::{self, Identity, Options};
use crate::protocol::{Gtid, Member, Note, Point, Remembered, Replayed};
use crate::snapshot_file;
use crate::state::{Answer, LIST_ENTRIES_MAX, Query};

/// Replays the log of a data directory and says what it comes to, as JSON. With `into` the state
/// goes into a new data directory of the same node, and the values are left out.
///
/// # Errors
/// When the directory cannot be read, does not lead to the point, or the new one exists.
pub(crate) fn replay(
    data_dir: &Path,
    identity: Identity,
    point: Point,
    into: Option<&Path>,
) -> Result<Value> {
    let replayed = read(data_dir, identity)?.replay_to(point)?;
    let Replayed { snapshot, next, evaluated, .. } = &replayed;
    let gtid = |id| Gtid(id).to_string();
    let mut report = json!({
        "index": snapshot.last.index,
        "gtid": (snapshot.last.index > 0).then(|| gtid(snapshot.last)),
        "written": (snapshot.last.index > 0).then(|| snapshot.written.to_string()),
        "gtid_executed": snapshot.lineage.between(0, snapshot.last.index).to_string(),
        "idempotency_keys": snapshot.state.idempotency_keys(),
        "evaluated": evaluated,
        "next": next.as_ref().map(|entry| {
            json!({ "gtid": gtid(entry.id), "written": entry.written.to_string() })
        }),
    });
    match into {
        Some(into) => write(into, identity, replayed)?,
        None => report["values"] = json!(values(&replayed)?),
    }
    Ok(report)
}

fn read(data_dir: &Path, identity: Identity) -> Result<Remembered> {
    let dir = data_dir.join("log");
    let found = log::read(&dir, identity)?;
    let path = data_dir.join("snapshot");
    let saved =
        snapshot_file::read(&path, identity).with_context(|| format!("in {}", path.display()))?;
    let notes = found.records.iter().enumerate();
    let notes = notes.map(|(at, record)| Note::decode(at, record.kind, &record.payload));
    let notes: Result<Vec<Note>, _> = notes.collect();
    let context = || format!("cannot replay the log in {}", dir.display());
    let notes = notes.with_context(context)?;
    Remembered::replay(saved, found.purged, notes).with_context(context)
}

fn values(replayed: &Replayed) -> Result<BTreeMap<Arc<str>, Arc<str>>> {
    match replayed.snapshot.state.read(&Query::List { prefix: "".into() }) {
        Some(Answer::Entries(entries)) => Ok(entries.into_iter().collect()),
        _ => bail!(
            "expected at most {LIST_ENTRIES_MAX} keys to print, and a few megabytes; help: --into \
             writes any number into a new data directory"
        ),
    }
}

/// A data directory whose snapshot is the state and whose log begins behind it. What the node had
/// promised to epochs stays, so that none is used a second time.
fn write(into: &Path, identity: Identity, replayed: Replayed) -> Result<()> {
    let shown = into.display();
    let taken = into.exists() && fs::read_dir(into).map_or(true, |mut all| all.next().is_some());
    ensure!(!taken, "--into {shown}: expected a new or an empty folder, got one with content");
    fs::create_dir_all(into).with_context(|| format!("cannot create {shown}"))?;
    let Replayed { snapshot, hard, .. } = replayed;
    let base = snapshot.last;
    let context = || format!("cannot write into {shown}");
    // The log names the snapshot, so the snapshot is there first.
    if base.index > 0 {
        let image = snapshot.encode();
        snapshot_file::write(&Disk::default(), &into.join("snapshot"), identity, true, &image)
            .with_context(context)?;
    }
    let (mut log, _) = log::open(&into.join("log"), identity, &Options::default())?;
    let records: Vec<log::Record> =
        [Note::Base(base), Note::Hard(hard), Note::Member(Member::restored())]
            .iter()
            .map(|note| {
                let (kind, payload) = note.encode();
                log::Record { kind, payload }
            })
            .collect();
    log.append(&records).and_then(|()| log.sync()).with_context(context)
}
