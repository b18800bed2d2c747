//! What was never promised, at the byte: logs that are written without a sync, damaged anywhere.

use std::fs;

use super::tests::record;
use super::*;

const US: Identity = Identity { cluster: 0xC0FFEE, node: 2 };
const NEVER: Options =
    Options { segment_bytes: MIN_SEGMENT_BYTES, fsync: Fsync::Never, plants: Plants::NONE };
const START: usize = PAGE_BYTES as usize;

/// Writes records, each as a frame, in one life without a sync; where each frame ends, as segment
/// and offset.
fn life(dir: &Path, options: &Options, records: &[Record]) -> Vec<(u64, usize)> {
    let (mut log, _) = open(dir, US, options).expect("a log");
    let each = records.iter().map(|record| {
        log.append(std::slice::from_ref(record)).expect("a healthy disk");
        log.sync().expect("a healthy disk");
        (log.active.number, log.end as usize)
    });
    each.collect()
}

fn records(kinds: std::ops::RangeInclusive<u8>, bytes: usize) -> Vec<Record> {
    kinds.map(|kind| record(kind, bytes + usize::from(kind))).collect()
}

#[test]
fn a_byte_changed_anywhere_in_what_was_never_synced_costs_what_follows_and_no_start() {
    let dir = tempfile::tempdir().unwrap();
    let all = records(1..=4, 20);
    let ends = life(dir.path(), &NEVER, &all);
    let path = segment::path_of(dir.path(), 1);
    let whole = fs::read(&path).unwrap();
    // The first frame of a life is not loose, and yet the last one that could be: nothing that was
    // promised follows it.
    for at in START..ends[3].1 {
        for change in [0x01, 0x80, whole[at]] {
            let mut bytes = whole.clone();
            bytes[at] ^= change;
            if bytes == whole {
                continue;
            }
            fs::write(&path, &bytes).unwrap();
            let left = ends.iter().filter(|(_, end)| *end <= at).count();
            let (mut log, recovered) = open(dir.path(), US, &NEVER).unwrap();
            assert_eq!(recovered.records, all[..left], "byte {at} ^ {change:02x}");
            assert!(recovered.torn_bytes > 0);
            let holds_more = left < 3;
            assert_eq!(recovered.loose.len(), usize::from(holds_more), "byte {at}");
            for kept in recovered.loose {
                let from = if left == 0 { START } else { ends[left - 1].1 };
                assert_eq!(fs::read(kept).unwrap(), bytes[from..ends[3].1], "as it was found");
            }
            // What is written now is found, and nothing of what was cut.
            log.append(&[record(9, 5)]).unwrap();
            drop(log);
            let again = open(dir.path(), US, &NEVER).unwrap().1.records;
            assert_eq!(again, [&all[..left], &[record(9, 5)]].concat());
        }
    }
}

#[test]
fn a_hole_in_front_of_what_was_written_on_synced_ground_is_damage_also_without_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let first = life(dir.path(), &NEVER, &records(1..=3, 20));
    // The start syncs what it hands out, so the next frame promises all three.
    life(dir.path(), &NEVER, &records(4..=5, 20));
    let path = segment::path_of(dir.path(), 1);
    let whole = fs::read(&path).unwrap();
    for at in START..first[2].1 {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        let error = open(dir.path(), US, &NEVER).expect_err("promised, and not there");
        assert!(matches!(error, LogError::Damaged { .. }), "byte {at}: {error}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "a refused log is left as it is");
    }
}

#[test]
fn segments_behind_a_hole_are_put_aside_whole_and_the_log_goes_on() {
    for hole in 0..6 {
        let dir = tempfile::tempdir().unwrap();
        // Two to a segment.
        let all = records(1..=7, 1500);
        let ends = life(dir.path(), &NEVER, &all);
        let (segment, end) = ends[hole];
        let path = segment::path_of(dir.path(), segment);
        let mut bytes = fs::read(&path).unwrap();
        bytes[end - 700..end].fill(0);
        fs::write(&path, &bytes).unwrap();
        let (mut log, recovered) = open(dir.path(), US, &NEVER).unwrap();
        assert_eq!(recovered.records, all[..hole], "hole in frame {hole}");
        let behind = ends.last().unwrap().0 - segment;
        let here = u64::from(ends[hole + 1].0 == segment || behind > 0);
        assert_eq!(recovered.loose.len() as u64, behind + here, "hole in frame {hole}");
        log.append(&[record(9, 1500)]).unwrap();
        log.append(&[record(10, 1500)]).unwrap();
        drop(log);
        let again = open(dir.path(), US, &NEVER).unwrap().1;
        let expected = [&all[..hole], &[record(9, 1500), record(10, 1500)]].concat();
        assert_eq!(again.records, expected, "hole in frame {hole}");
        assert!(again.loose.is_empty());
    }
}

#[test]
fn a_frame_that_vanished_whole_between_segments_is_a_hole_too() {
    let dir = tempfile::tempdir().unwrap();
    let all = records(1..=4, 1500);
    let ends = life(dir.path(), &NEVER, &all);
    let path = segment::path_of(dir.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[ends[0].1..].fill(0);
    fs::write(&path, &bytes).unwrap();
    let recovered = open(dir.path(), US, &NEVER).unwrap().1;
    assert_eq!(recovered.records, all[..1], "the third and fourth have nothing to stand on");
    assert_eq!(recovered.loose.len(), 1);
    assert_eq!(open(dir.path(), US, &NEVER).unwrap().1.records, all[..1]);
}

#[test]
fn between_two_syncs_of_an_interval_nothing_is_promised_and_before_them_all() {
    let options = Options { fsync: Fsync::Interval(Duration::from_secs(3600)), ..NEVER };
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path(), US, &options).unwrap();
    let all = records(1..=6, 20);
    let mut ends = Vec::new();
    for record in &all {
        log.append(std::slice::from_ref(record)).unwrap();
        ends.push(log.end as usize);
        if record.kind == 3 {
            // As if the hour were over.
            log.options.fsync = Fsync::Always;
            log.sync().unwrap();
            log.options.fsync = options.fsync;
        } else {
            log.sync().unwrap();
        }
    }
    drop(log);
    let path = segment::path_of(dir.path(), 1);
    let whole = fs::read(&path).unwrap();
    for (frame, end) in ends.iter().enumerate() {
        let mut bytes = whole.clone();
        bytes[end - 3] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let result = open(dir.path(), US, &options);
        match frame {
            0..=2 => drop(result.expect_err("the fourth was written on synced ground")),
            _ => assert_eq!(result.unwrap().1.records, all[..frame]),
        }
    }
}
