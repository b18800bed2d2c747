//! Reading the log back after a stop of any kind, and telling a torn tail from damage.
//!
//! Called once by [`super::open`], which holds the folder's lock. The rule and the reasons for it
//! stand in [`super`]; nothing on disk is changed unless the whole log was found in order.

use std::path::{Path, PathBuf};

use super::first::{self, First};
use super::frame::{self, Flaw, Place};
use super::segment::{self, Segment, damaged};
use super::{Closed, Fsync, Identity, LogError, MAX_SEGMENT_BYTES, PAGE_BYTES, Record, Recovered};
use crate::disk::Disk;
use crate::protocol::{Plant, Plants};

/// Where writing goes on.
pub(super) struct Tail {
    /// The segment that takes the next frame.
    pub(super) segment: Segment,
    /// Where in it the next frame goes, in bytes from the start of the file.
    pub(super) end: u64,
    /// The sequence of the last frame; 0 when there is none.
    pub(super) sequence: u64,
    /// The blank segment behind it, if one was prepared before the stop.
    pub(super) next: Option<Segment>,
    /// The segments before it.
    pub(super) closed: Vec<Closed>,
}

/// Everything that is in a folder, as it was found.
struct Found {
    scan: Scan,
    segments: usize,
    purged: bool,
    /// Segments that were let go and are still there.
    gone: Vec<u64>,
}

/// What a loss of power has left of frames that were never synced: not the first of them, but some
/// behind. See [`super`], "Fsync::Never".
#[derive(Default)]
struct Loose {
    /// What is in the active segment, from where it is cut.
    bytes: Vec<u8>,
    /// The segments behind it, with whether anything is in them, ascending.
    segments: Vec<(Segment, bool)>,
}

/// Reads all segments and changes nothing in them.
fn find(
    disk: &Disk,
    dir: &Path,
    identity: Identity,
    (fsync, plants): (Fsync, Plants),
) -> Result<Found, LogError> {
    let first = First::read(dir, identity)?;
    let purged = first != First::WHOLE;
    // A stop in the middle of a purge leaves segments before the first; they go in the end.
    let (gone, numbers): (Vec<u64>, Vec<u64>) =
        segment::list(dir)?.into_iter().partition(|number| *number < first.segment);
    if purged && numbers.is_empty() {
        let expected = format!("segment {} behind it", first.segment);
        return Err(damaged(&first::path_in(dir), 24, expected, "no segment".to_owned()));
    }
    for (expected, &got) in (first.segment..).zip(&numbers) {
        if got != expected {
            return Err(LogError::MissingSegment { dir: dir.to_owned(), expected, got });
        }
    }
    let promises = fsync == Fsync::Always;
    let mut scan = Scan { sequence: first.sequence, promises, plants, ..Scan::default() };
    let mut buffer = Vec::new();
    for &number in &numbers {
        let segment = Segment::open(disk, dir, identity, number, &mut buffer)?;
        scan.segment(segment, &buffer)?;
    }
    Ok(Found { scan, segments: numbers.len(), purged, gone })
}

/// Reads all segments and leaves them as they are, a torn tail too.
pub(super) fn read(disk: &Disk, dir: &Path, identity: Identity) -> Result<Recovered, LogError> {
    let Found { scan, segments, purged, .. } =
        find(disk, dir, identity, (Fsync::Always, Plants::NONE))?;
    let torn_bytes = scan.torn.as_ref().map_or(0, |torn| torn.to - torn.from);
    let torn_at = scan.torn.map(|torn| (torn.path, torn.from));
    // Where they would be kept is for whoever cuts them.
    let loose = Vec::new();
    Ok(Recovered { records: scan.records, torn_bytes, torn_at, loose, segments, purged })
}

/// Reads all segments, cuts and zeroes a torn tail. `None`: there is no segment yet.
pub(super) fn recover(
    disk: &Disk,
    dir: &Path,
    identity: Identity,
    (fsync, plants): (Fsync, Plants),
) -> Result<(Option<Tail>, Recovered), LogError> {
    segment::remove_unfinished(disk, dir)?;
    let Found { scan, segments, purged, gone } = find(disk, dir, identity, (fsync, plants))?;
    // A process that was killed leaves bytes that were written but not synced, and names too. What
    // is handed out counts as durable, and the next frame may only follow durable ones.
    disk.sync_dir(dir).map_err(LogError::io("sync", dir))?;
    let Scan { records, sequence, active, next, torn, closed, last, loose, .. } = scan;
    let torn_bytes = torn.as_ref().map_or(0, |torn| torn.to - torn.from);
    let Some((segment, end)) = active else {
        let recovered = Recovered {
            records,
            torn_bytes,
            torn_at: None,
            loose: Vec::new(),
            segments: 0,
            purged,
        };
        return Ok((None, recovered));
    };
    let next = if loose.segments.is_empty() { next } else { None };
    let kept = loose.keep(disk, dir, &segment.path, end)?;
    if let Some((at, frame)) = last {
        // After a failed sync its pages pass for clean, and no sync would write them.
        segment
            .write(&frame, at)
            .and_then(|()| segment.sync())
            .map_err(LogError::io("write again", &segment.path))?;
    }
    if let Some(torn) = &torn {
        // Zeroed and synced before anything is appended: if the next write stops short of these
        // bytes, they must not follow it.
        segment
            .zero(torn.from, torn.to)
            .and_then(|()| segment.sync())
            .map_err(LogError::io("cut the torn tail of", &segment.path))?;
    }
    let torn_at = torn.map(|torn| (torn.path, torn.from));
    let loose = kept;
    for number in gone {
        let path = segment::path_of(dir, number);
        disk.remove(&path).map_err(LogError::io("remove", path))?;
    }
    let recovered = Recovered { records, torn_bytes, torn_at, loose, segments, purged };
    Ok((Some(Tail { segment, end, sequence, next, closed }), recovered))
}

/// What is known after the segments read so far.
#[derive(Default)]
struct Scan {
    records: Vec<Record>,
    sequence: u64,
    active: Option<(Segment, u64)>,
    next: Option<Segment>,
    torn: Option<Torn>,
    closed: Vec<Closed>,
    /// The last segment in which frames were found.
    read_to: u64,
    /// The last frame, as it stands in the active segment, and where.
    last: Option<(u64, Vec<u8>)>,
    loose: Loose,
    /// Whether this start syncs every frame. Parts of frames bear no mark, so where nothing else is
    /// behind a hole, that decides.
    promises: bool,
    plants: Plants,
}

impl Loose {
    /// Puts what is cut aside, as evidence, before it is cut: `NUMBER.log.OFFSET.unsynced`. Returns
    /// the files. From the last segment backwards, so that a stop in between leaves no gap.
    fn keep(
        self,
        disk: &Disk,
        dir: &Path,
        path: &Path,
        end: u64,
    ) -> Result<Vec<PathBuf>, LogError> {
        let mut kept = Vec::new();
        let aside = |path: &Path, at: u64| path.with_extension(format!("log.{at}.unsynced"));
        for (segment, is_used) in self.segments.into_iter().rev() {
            if is_used {
                let to = aside(&segment.path, PAGE_BYTES);
                disk.rename(&segment.path, &to)
                    .map_err(LogError::io("put aside", &segment.path))?;
                kept.push(to);
            } else {
                disk.remove(&segment.path).map_err(LogError::io("remove", &segment.path))?;
            }
            disk.sync_dir(dir).map_err(LogError::io("sync", dir))?;
        }
        if !self.bytes.is_empty() {
            let to = aside(path, end);
            disk.replace(&to, &[&self.bytes]).map_err(LogError::io("write", &to))?;
            kept.push(to);
        }
        kept.reverse();
        Ok(kept)
    }
}

/// Bytes behind the last frame that are neither frames nor zeros.
struct Torn {
    path: PathBuf,
    number: u64,
    bytes: Vec<u8>,
    from: u64,
    to: u64,
    flaw: Flaw,
}

impl Scan {
    /// Reads one segment, the one after those before. `bytes` are the whole file.
    fn segment(&mut self, segment: Segment, bytes: &[u8]) -> Result<(), LogError> {
        let used = used_bytes(bytes);
        if used <= PAGE_BYTES as usize {
            // Blank: prepared and not used yet. Only the first one behind the tail is of use.
            if !self.loose.segments.is_empty() {
                self.loose.segments.push((segment, false));
                return Ok(());
            }
            match (&self.active, &self.next) {
                (None, _) => self.active = Some((segment, PAGE_BYTES)),
                (Some(_), None) => self.next = Some(segment),
                (Some(_), Some(_)) => {}
            }
            return Ok(());
        }
        if let Some(torn) = &self.torn {
            let behind = &bytes[PAGE_BYTES as usize..];
            let place = Place { segment: segment.number, offset: PAGE_BYTES };
            let gap = (segment.number - torn.number) * MAX_SEGMENT_BYTES;
            let all = used - PAGE_BYTES as usize;
            let firm = frame::find_intact(behind, all, place, (self.sequence, gap), false);
            let loose = frame::find_intact(behind, all, place, (self.sequence, gap), true);
            if firm.is_none() && (loose.is_some() || !self.promises) {
                // A blank one between them lost all that was in it.
                let blank = self.next.take().map(|blank| (blank, false));
                self.loose.segments.extend(blank);
                self.loose.segments.push((segment, true));
                if self.loose.bytes.is_empty() {
                    self.loose.bytes = torn.bytes.clone();
                }
                return Ok(());
            }
            let got = format!("{}, and {} was written after it", torn.flaw, segment.path.display());
            return Err(damaged(&torn.path, torn.from, "an intact frame".into(), got));
        }
        let (records, sequence) = (self.records.len() as u64, self.sequence);
        let (end, flaw) = self.frames(&segment, bytes)?;
        segment.sync().map_err(LogError::io("sync", &segment.path))?;
        if end < used {
            let place = Place { segment: segment.number, offset: end as u64 };
            let rest = &bytes[end..];
            let unread = segment.number.saturating_sub(self.read_to) * MAX_SEGMENT_BYTES;
            let window = (self.sequence, unread);
            if let Some(gap) = frame::find_intact(rest, used - end, place, window, false) {
                let complain = |expected, got| damaged(&segment.path, end as u64, expected, got);
                if let Flaw::Gap { expected, .. } = flaw {
                    return Err(complain(format!("frame {expected}"), flaw.to_string()));
                }
                let got = format!("{flaw}, and an intact frame follows at byte {}", end + gap);
                return Err(complain("an intact frame".into(), got));
            }
            if frame::find_intact(rest, used - end, place, window, true).is_some() {
                self.loose.bytes = rest[..used - end].to_vec();
            }
            if self.plants.has(Plant::ResurrectTornTail) && matches!(flaw, Flaw::Checksum { .. }) {
                // What does not decode is left out: the mistake is to look at the rest.
                let _ = frame::decode(frame::believe(rest).body, &mut self.records);
            }
            let (path, number) = (segment.path.clone(), segment.number);
            let bytes = rest[..used - end].to_vec();
            self.torn = Some(Torn { path, number, from: end as u64, to: used as u64, bytes, flaw });
        }
        self.read_to = segment.number;
        let before = self.active.replace((segment, end as u64)).map(|(segment, _)| segment);
        for Segment { number, path, .. } in before.into_iter().chain(self.next.take()) {
            self.closed.push(Closed { number, path, records, sequence });
        }
        Ok(())
    }

    /// Takes the frames from the start of a segment up to the first place without one; returns
    /// that place and what stands there.
    fn frames(&mut self, segment: &Segment, bytes: &[u8]) -> Result<(usize, Flaw), LogError> {
        let mut at = PAGE_BYTES as usize;
        let mut last = None;
        loop {
            let place = Place { segment: segment.number, offset: at as u64 };
            let frame = match frame::parse(&bytes[at..], place) {
                Ok(frame) => frame,
                Err(Flaw::Checksum { .. }) if self.plants.has(Plant::SkipChecksum) => {
                    frame::believe(&bytes[at..])
                }
                Err(flaw) => {
                    self.last = last.map(|from| (from as u64, bytes[from..at].to_vec()));
                    return Ok((at, flaw));
                }
            };
            let complain = |expected, got| damaged(&segment.path, at as u64, expected, got);
            if frame.sequence != self.sequence + 1 {
                self.last = last.map(|from| (from as u64, bytes[from..at].to_vec()));
                let (expected, got) = (self.sequence + 1, frame.sequence);
                return Ok((at, Flaw::Gap { expected, got }));
            }
            if frame::decode(frame.body, &mut self.records).is_none() {
                let got = "an intact frame with something else in it".to_owned();
                return Err(complain("a list of records".into(), got));
            }
            self.sequence = frame.sequence;
            last = Some(at);
            at += frame::FRAME_HEADER + frame.body.len();
        }
    }
}

/// The length of `bytes` without the zeros at their end. Compares page by page, which the
/// compiler turns into a call of `memcmp`: most of a segment may be zeros.
fn used_bytes(bytes: &[u8]) -> usize {
    const BLANK: [u8; PAGE_BYTES as usize] = [0; PAGE_BYTES as usize];
    let mut end = bytes.len();
    for page in bytes.rchunks(BLANK.len()) {
        if page != &BLANK[..page.len()] {
            let last = page.iter().rposition(|&byte| byte != 0).expect("a byte that is not zero");
            return end - page.len() + last + 1;
        }
        end -= page.len();
    }
    0
}
