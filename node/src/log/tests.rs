//! The log as a whole, on real files: what survives which damage, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::disk::File;

const US: Identity = Identity { cluster: 0xC0FFEE, node: 2 };
const SMALL: Options =
    Options { segment_bytes: MIN_SEGMENT_BYTES, fsync: Fsync::Always, plants: Plants::NONE };
/// Where the first frame of a segment begins.
const START: usize = PAGE_BYTES as usize;

/// Payloads without zeros, so that a cut is visible as such.
pub(super) fn record(kind: u8, bytes: usize) -> Record {
    Record { kind, payload: (0..bytes).map(|i| (i % 255) as u8 + 1).collect() }
}

fn frame_bytes(batch: &[Record]) -> usize {
    FRAME_HEADER + batch.iter().map(|record| RECORD_HEADER + record.payload.len()).sum::<usize>()
}

fn reopen(dir: &Path) -> Result<Recovered, LogError> {
    open(dir, US, &SMALL).map(|(_, recovered)| recovered)
}

/// A log with one frame per batch, closed again.
fn written(batches: &[Vec<Record>]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path(), US, &SMALL).unwrap();
    for batch in batches {
        log.append(batch).unwrap();
    }
    log.sync().unwrap();
    dir
}

fn segment_path(dir: &TempDir, number: u64) -> PathBuf {
    dir.path().join(format!("{number:010}.log"))
}

/// Three batches in one segment, and where each ends.
fn three_batches() -> (Vec<Vec<Record>>, Vec<usize>) {
    let batches = vec![
        vec![record(1, 30), record(2, 0)],
        vec![record(3, 17), record(4, 40), record(5, 1)],
        vec![record(6, 25), record(7, 33)],
    ];
    let mut end = START;
    let ends = batches.iter().map(|batch| {
        end += frame_bytes(batch);
        end
    });
    let ends = ends.collect();
    (batches, ends)
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_nothing_else_is_lost() {
    let (batches, ends) = three_batches();
    let dir = written(&batches);
    let path = segment_path(&dir, 1);
    let whole = fs::read(&path).unwrap();
    for cut in START..=ends[2] {
        let mut bytes = whole.clone();
        bytes[cut..].fill(0);
        fs::write(&path, &bytes).unwrap();
        let recovered = reopen(dir.path()).unwrap();
        let kept = ends.iter().filter(|&&end| end <= cut).count();
        assert_eq!(recovered.records, batches[..kept].concat(), "cut at byte {cut}");
        let end = if kept == 0 { START } else { ends[kept - 1] };
        let used = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
        assert_eq!(recovered.torn_bytes, used.saturating_sub(end) as u64, "cut at byte {cut}");
        let torn_at = (used > end).then(|| (path.clone(), end as u64));
        assert_eq!(recovered.torn_at, torn_at, "cut at byte {cut}");
        assert!(fs::read(&path).unwrap()[end..].iter().all(|&byte| byte == 0));
    }
}

#[test]
fn a_changed_byte_costs_the_last_frame_or_refuses_the_log_but_never_hides_a_record() {
    let (batches, ends) = three_batches();
    let dir = written(&batches);
    let path = segment_path(&dir, 1);
    let whole = fs::read(&path).unwrap();
    for at in START..ends[2] {
        for change in [0x01, 0x80, 0xFF, whole[at]] {
            let mut bytes = whole.clone();
            bytes[at] ^= change;
            if bytes == whole {
                continue;
            }
            fs::write(&path, &bytes).unwrap();
            let result = reopen(dir.path());
            if at >= ends[1] {
                let recovered = result.unwrap();
                assert_eq!(recovered.records, batches[..2].concat(), "byte {at} ^ {change:02x}");
                assert!(recovered.torn_bytes > 0);
            } else {
                let error = result.expect_err("a frame in the middle");
                let start = if at < ends[0] { START } else { ends[0] };
                assert!(
                    matches!(error, LogError::Damaged { offset, .. } if offset == start as u64),
                    "byte {at} ^ {change:02x}: {error}"
                );
                assert_eq!(fs::read(&path).unwrap(), bytes, "a refused log is left as it is");
            }
        }
    }
}

#[test]
fn a_changed_byte_in_a_header_refuses_the_log() {
    let dir = written(&three_batches().0);
    let path = segment_path(&dir, 1);
    let whole = fs::read(&path).unwrap();
    for at in (0..64).chain([1000, START - 1]) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        let error = reopen(dir.path()).expect_err("a damaged header");
        match at {
            8..12 => assert!(matches!(error, LogError::Version { .. }), "byte {at}: {error}"),
            _ => assert!(matches!(error, LogError::Damaged { .. }), "byte {at}: {error}"),
        }
    }
}

#[test]
fn a_last_frame_with_any_of_its_pages_missing_is_a_torn_tail() {
    // Page by page is how a disk may leave a frame behind after a loss of power.
    let options = Options { segment_bytes: 16 * PAGE_BYTES, ..SMALL };
    let dir = tempfile::tempdir().unwrap();
    let first = vec![record(1, 100)];
    let last: Vec<_> = (2..12).map(|kind| record(kind, 2000)).collect();
    let (mut log, _) = open(dir.path(), US, &options).unwrap();
    log.append(&first).unwrap();
    log.append(&last).unwrap();
    drop(log);
    let path = segment_path(&dir, 1);
    let whole = fs::read(&path).unwrap();
    let start = START + frame_bytes(&first);
    for missing in 1u32..0b11111 {
        let mut bytes = whole.clone();
        for page in (0..5).filter(|page| missing & (1 << page) != 0) {
            let from = (START * (1 + page)).max(start);
            bytes[from..START * (2 + page)].fill(0);
        }
        fs::write(&path, &bytes).unwrap();
        let (_, recovered) = open(dir.path(), US, &options).unwrap();
        assert_eq!(recovered.records, first, "pages missing: {missing:05b}");
        assert!(recovered.torn_bytes > 0);
    }
}

#[test]
fn bytes_behind_a_cut_tail_do_not_come_back() {
    let batches = vec![vec![record(1, 10)], vec![record(2, 900), record(3, 900)]];
    let dir = written(&batches);
    let path = segment_path(&dir, 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[START + frame_bytes(&batches[0]) + 2] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (mut log, recovered) = open(dir.path(), US, &SMALL).unwrap();
    assert_eq!(recovered.records, batches[0]);
    let short = vec![record(9, 3)];
    log.append(&short).unwrap();
    drop(log);
    let recovered = reopen(dir.path()).unwrap();
    assert_eq!(recovered.records, [batches[0].clone(), short.clone()].concat());
    assert_eq!(recovered.torn_bytes, 0);
    let end = START + frame_bytes(&batches[0]) + frame_bytes(&short);
    assert!(fs::read(&path).unwrap()[end..].iter().all(|&byte| byte == 0));
}

/// Five batches of which two fit in a segment, in three segments.
fn three_segments() -> (Vec<Vec<Record>>, TempDir) {
    let batches: Vec<_> = (1..=5).map(|kind| vec![record(kind, 1500)]).collect();
    let dir = written(&batches);
    assert_eq!(reopen(dir.path()).unwrap().records, batches.concat());
    (batches, dir)
}

fn alter(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_torn_end_of_a_segment_with_records_in_a_later_one_is_refused() {
    let (batches, dir) = three_segments();
    let second = START + frame_bytes(&batches[0]);
    alter(&segment_path(&dir, 1), |bytes| bytes[second + 700] ^= 1);
    let error = reopen(dir.path()).expect_err("damage");
    assert!(error.to_string().contains("0000000002.log was written after it"), "{error}");
}

#[test]
fn a_frame_that_vanished_from_the_end_of_a_full_segment_is_missed() {
    let (batches, dir) = three_segments();
    let second = START + frame_bytes(&batches[0]);
    alter(&segment_path(&dir, 1), |bytes| bytes[second..].fill(0));
    let error = reopen(dir.path()).expect_err("a gap");
    assert!(error.to_string().contains("expected frame 2, got frame 3"), "{error}");
}

#[test]
fn a_first_frame_torn_in_a_new_segment_is_cut() {
    let (batches, dir) = three_segments();
    let path = segment_path(&dir, 3);
    alter(&path, |bytes| bytes[START + 800..].fill(0));
    let recovered = reopen(dir.path()).unwrap();
    assert_eq!(recovered.records, batches[..4].concat());
    assert_eq!(recovered.torn_at, Some((path, START as u64)));
    let (mut log, _) = open(dir.path(), US, &SMALL).unwrap();
    log.append(&batches[4]).unwrap();
    drop(log);
    assert_eq!(reopen(dir.path()).unwrap().records, batches.concat());
}

#[test]
fn a_missing_segment_is_refused() {
    for (missing, found) in [(1, 2), (2, 3)] {
        let (_, dir) = three_segments();
        fs::remove_file(segment_path(&dir, missing)).unwrap();
        let error = reopen(dir.path()).expect_err("a missing segment");
        assert!(
            matches!(error, LogError::MissingSegment { expected, got, .. }
                if expected == missing && got == found),
            "{error}"
        );
    }
}

/// The numbers of the segments on disk.
fn segments(dir: &TempDir) -> Vec<u64> {
    segment::list(dir.path()).unwrap()
}

#[test]
fn a_purge_lets_go_of_whole_segments_with_nothing_later_and_the_rest_is_read_back() {
    for (records, first) in [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (99, 3)] {
        for restart in [false, true] {
            let (batches, dir) = three_segments();
            let (mut log, _) = open(dir.path(), US, &SMALL).unwrap();
            if restart {
                // The count goes on over records that were appended after the start.
                log.append(&[record(6, 1500)]).unwrap();
            }
            log.purge(records).unwrap();
            drop(log);
            assert_eq!(segments(&dir)[0], first, "{records} records");
            let recovered = reopen(dir.path()).unwrap();
            assert_eq!(recovered.purged, first > 1);
            let kept = 2 * (first as usize - 1);
            let added = if restart { vec![record(6, 1500)] } else { Vec::new() };
            assert_eq!(recovered.records, [batches[kept..].concat(), added].concat());
        }
    }
}

#[test]
fn a_purged_log_is_appended_to_and_purged_again() {
    let (batches, dir) = three_segments();
    let (mut log, _) = open(dir.path(), US, &SMALL).unwrap();
    log.purge(2).unwrap();
    drop(log);
    // Three records are found, so the count begins with them.
    let (mut log, _) = open(dir.path(), US, &SMALL).unwrap();
    for kind in 6..12 {
        log.append(&[record(kind, 1500)]).unwrap();
    }
    log.purge(7).unwrap();
    drop(log);
    let recovered = reopen(dir.path()).unwrap();
    let kinds: Vec<u8> = recovered.records.iter().map(|record| record.kind).collect();
    assert_eq!(kinds, [9, 10, 11]);
    assert_eq!(batches.len(), 5);
}

#[test]
fn a_segment_that_is_missing_from_a_purged_log_is_told_from_one_that_was_let_go() {
    let purged = || {
        let (_, dir) = three_segments();
        let (mut log, _) = open(dir.path(), US, &SMALL).unwrap();
        log.purge(2).unwrap();
        drop(log);
        dir
    };
    let dir = purged();
    fs::remove_file(segment_path(&dir, 2)).unwrap();
    let error = reopen(dir.path()).expect_err("a missing segment");
    assert!(matches!(error, LogError::MissingSegment { expected: 2, got: 3, .. }), "{error}");
    // Without the file that says what was let go, segment 1 is missing.
    let dir = purged();
    fs::remove_file(dir.path().join("first")).unwrap();
    let error = reopen(dir.path()).expect_err("a missing segment");
    assert!(matches!(error, LogError::MissingSegment { expected: 1, got: 2, .. }), "{error}");
    let dir = purged();
    segments(&dir).iter().for_each(|number| fs::remove_file(segment_path(&dir, *number)).unwrap());
    let error = reopen(dir.path()).expect_err("no segment");
    assert!(error.to_string().contains("expected segment 2 behind it"), "{error}");
}

#[test]
fn a_purge_that_was_cut_short_is_finished_at_the_next_start() {
    let (batches, dir) = three_segments();
    let first = fs::read(segment_path(&dir, 1)).unwrap();
    let (mut log, _) = open(dir.path(), US, &SMALL).unwrap();
    log.purge(4).unwrap();
    drop(log);
    // The stop came behind the file and before the removals.
    fs::write(segment_path(&dir, 1), first).unwrap();
    assert_eq!(reopen(dir.path()).unwrap().records, batches[4..].concat());
    assert_eq!(segments(&dir)[0], 3);
}

#[test]
fn a_changed_byte_in_the_file_that_says_where_the_log_begins_refuses_the_log() {
    let (_, dir) = three_segments();
    let (mut log, _) = open(dir.path(), US, &SMALL).unwrap();
    log.purge(2).unwrap();
    drop(log);
    let path = dir.path().join("first");
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        reopen(dir.path()).expect_err("a damaged begin");
    }
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        reopen(dir.path()).expect_err("a cut begin");
    }
}

#[test]
fn a_segment_under_another_name_or_of_another_length_is_refused() {
    let (_, dir) = three_segments();
    fs::copy(segment_path(&dir, 1), segment_path(&dir, 2)).unwrap();
    assert!(reopen(dir.path()).unwrap_err().to_string().contains("expected segment number 2"));
    let (_, dir) = three_segments();
    alter(&segment_path(&dir, 2), |bytes| bytes.truncate(START + 100));
    assert!(reopen(dir.path()).unwrap_err().to_string().contains("expected file size"));
    let (_, dir) = three_segments();
    fs::write(dir.path().join("7.log"), "").unwrap();
    assert!(matches!(reopen(dir.path()), Err(LogError::UnknownFile { .. })));
}

#[test]
fn two_logs_in_one_folder_are_refused_and_the_second_may_follow_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path(), US, &SMALL).unwrap();
    assert!(matches!(open(dir.path(), US, &SMALL), Err(LogError::Locked { .. })));
    drop(log);
    reopen(dir.path()).unwrap();
}

#[test]
fn errors_say_what_is_wrong_where_and_what_to_do() {
    let (_, dir) = three_segments();
    let root = dir.path().display().to_string();
    let text = |identity| {
        let error = open(dir.path(), identity, &SMALL).expect_err("refused");
        error.to_string().replace(&root, "n2/log")
    };
    insta::assert_snapshot!(text(Identity { cluster: 7, ..US }), @r"
    n2/log/0000000001.log belongs to somebody else: expected cluster 7, got 12648430
    help: start this node with the folder it was created in, or with an empty one
    ");
    insta::assert_snapshot!(text(Identity { node: 3, ..US }), @r"
    n2/log/0000000001.log belongs to somebody else: expected node 3, got 2
    help: start this node with the folder it was created in, or with an empty one
    ");
    alter(&segment_path(&dir, 1), |bytes| bytes[START + 5] ^= 0x40);
    insta::assert_snapshot!(text(US), @r"
    n2/log/0000000001.log is damaged at byte 4096: expected an intact frame, got a length of 17889 bytes, and an intact frame follows at byte 5617
    help: records that may have been acknowledged are lost here; restore the folder from a copy, or move it away and let the node join as a new one
    ");
    let size = Options { segment_bytes: 5000, ..SMALL };
    let error = open(&dir.path().join("other"), US, &size).expect_err("a bad size");
    insta::assert_snapshot!(error, @r"
    segment size of 5000 bytes: expected a multiple of 4096 from 8192 to 1073741824
    help: leave it out for the default of 16777216
    ");
}

#[test]
fn unfinished_and_differently_sized_segments_of_an_earlier_start_do_no_harm() {
    let (batches, dir) = three_segments();
    let unfinished = dir.path().join("0000000005.log.tmp");
    fs::write(&unfinished, "half").unwrap();
    let larger = Options { segment_bytes: 4 * PAGE_BYTES, ..SMALL };
    let (mut log, _) = open(dir.path(), US, &larger).unwrap();
    assert!(!unfinished.exists());
    let long = vec![record(6, 9000)];
    log.append(&long).unwrap();
    drop(log);
    assert_eq!(fs::metadata(segment_path(&dir, 4)).unwrap().len(), 4 * PAGE_BYTES);
    let recovered = reopen(dir.path()).unwrap();
    assert_eq!(recovered.records, [batches.concat(), long].concat());
}

#[test]
fn a_record_too_long_for_the_log_is_refused_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path(), US, &SMALL).unwrap();
    let most = log.max_payload_bytes();
    let error = log.append(&[record(1, 5), record(2, most + 1)]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    log.append(&[record(3, most)]).unwrap();
    drop(log);
    assert_eq!(reopen(dir.path()).unwrap().records, [record(3, most)]);
}

#[test]
fn the_largest_record_fits_in_a_default_segment() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path(), US, &Options::default()).unwrap();
    assert_eq!(log.max_payload_bytes(), MAX_PAYLOAD_BYTES);
    let records = [record(1, 10), record(2, MAX_PAYLOAD_BYTES), record(3, 10)];
    log.append(&records).unwrap();
    drop(log);
    let (_, recovered) = open(dir.path(), US, &Options::default()).unwrap();
    assert!(recovered.records == records);
}

#[test]
fn a_log_is_not_used_after_a_failed_write() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path(), US, &SMALL).unwrap();
    log.append(&[record(1, 1)]).unwrap();
    log.sync().unwrap();
    let healthy = std::mem::replace(&mut log.active.file, full_disk());
    let error = log.append(&[record(2, 1)]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    // Even where writing would work again: nothing is retried.
    log.active.file = healthy;
    let later = log.append(&[record(3, 1)]).unwrap_err().to_string();
    assert!(later.contains("not used after an error: cannot write segment"), "{later}");
    assert!(log.sync().is_err());
    drop(log);
    assert_eq!(reopen(dir.path()).unwrap().records, [record(1, 1)]);
}

#[test]
fn a_frame_is_written_only_after_the_one_before_it_was_synced() {
    // The null device takes every write and refuses to sync, so a sync shows as an error.
    let null = || -> File { fs::File::options().write(true).open("/dev/null").unwrap().into() };
    let never = Options { fsync: Fsync::Never, ..SMALL };
    for (options, waits) in [(SMALL, true), (never, false)] {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = open(dir.path(), US, &options).unwrap();
        log.active.file = null();
        log.append(&[record(1, 1)]).unwrap();
        let second = log.append(&[record(2, 1)]);
        assert_eq!(second.is_err(), waits);
        if let Err(error) = second {
            assert!(error.to_string().starts_with("cannot sync segment"), "{error}");
            assert!(log.sync().is_err(), "a failed sync is not tried again");
        }
    }
}

/// A device of the kernel that answers every write with "no space left on device".
pub(super) fn full_disk() -> File {
    fs::File::options().write(true).open("/dev/full").unwrap().into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_is_appended_is_read_back_in_order(
        batches in prop::collection::vec(
            (prop::collection::vec((any::<u8>(), 0usize..=4000), 0..6), prop::bool::weighted(0.2)),
            0..20,
        ),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut expected = Vec::new();
        let (mut log, _) = open(dir.path(), US, &SMALL).unwrap();
        for (batch, restart) in batches {
            let batch: Vec<_> = batch.into_iter().map(|(k, bytes)| record(k, bytes)).collect();
            log.append(&batch).unwrap();
            expected.extend(batch);
            if restart {
                drop(log);
                let (again, recovered) = open(dir.path(), US, &SMALL).unwrap();
                prop_assert_eq!(&recovered.records, &expected);
                log = again;
            }
        }
        drop(log);
        let recovered = reopen(dir.path()).unwrap();
        prop_assert_eq!(recovered.records, expected);
        prop_assert_eq!(recovered.torn_bytes, 0);
    }
}

/// Writes batches into small segments under a plant and reads them back without it, as the next
/// version of the program would.
fn written_under(plant: Plant, batches: &[Vec<Record>]) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let options = Options { plants: Plants::NONE.with(plant), ..SMALL };
    let (mut log, _) = open(dir.path(), US, &options).expect("a new log");
    for batch in batches {
        log.append(batch).and_then(|()| log.sync()).expect("a healthy disk");
    }
    dir
}

#[test]
fn a_planted_loss_at_the_end_of_a_segment_is_found() {
    let batches: Vec<Vec<Record>> = (1..=8).map(|kind| vec![record(kind, 1500)]).collect();
    let kinds = |dir: &TempDir| -> Vec<u8> {
        let recovered = reopen(dir.path()).expect("every frame that is there is in order");
        recovered.records.iter().map(|record| record.kind).collect()
    };
    assert_eq!(kinds(&written(&batches)), (1..=8).collect::<Vec<_>>());
    let planted = kinds(&written_under(Plant::LoseEntryAtSegmentEnd, &batches));
    assert_eq!(planted, [1, 2, 4, 5, 7, 8], "every third frame does not fit");
}

/// Cuts the last frame behind its first record, as a loss of power may, or turns a bit of it.
fn reopened_with(
    plants: Plants,
    harm: impl Fn(&mut Vec<u8>, usize),
) -> Result<Vec<Record>, LogError> {
    let batches = [vec![record(1, 40)], vec![record(2, 40), record(3, 40)]];
    let dir = written(&batches);
    let path = segment::path_of(dir.path(), 1);
    let mut bytes = fs::read(&path).expect("the first segment");
    let last = START + frame_bytes(&batches[0]);
    harm(&mut bytes, last);
    fs::write(&path, bytes).expect("a healthy disk");
    let options = Options { plants, ..SMALL };
    open(dir.path(), US, &options).map(|(_, recovered)| recovered.records)
}

#[test]
fn a_planted_resurrection_of_a_torn_tail_is_found() {
    let torn = |bytes: &mut Vec<u8>, last: usize| {
        let end = last + frame_bytes(&[record(2, 40), record(3, 40)]);
        bytes[end - 40..end].fill(0);
    };
    let honest = reopened_with(Plants::NONE, torn).expect("a torn tail is ordinary");
    assert_eq!(honest, [record(1, 40)]);
    let plants = Plants::NONE.with(Plant::ResurrectTornTail);
    let planted = reopened_with(plants, torn).expect("it does not notice");
    assert_eq!(planted[1], record(2, 40), "a record that nobody was told was written is back");
    assert!(planted[2] != record(3, 40), "and so is one that was never written");
}

#[test]
fn a_planted_blindness_for_checksums_is_found() {
    // The first frame has one behind it, so it had been synced.
    let flipped = |bytes: &mut Vec<u8>, last: usize| bytes[last - 1] ^= 1;
    let honest = reopened_with(Plants::NONE, flipped);
    assert!(matches!(honest, Err(LogError::Damaged { .. })));
    let plants = Plants::NONE.with(Plant::SkipChecksum);
    let planted = reopened_with(plants, flipped).expect("it does not notice");
    assert_ne!(planted[0], record(1, 40), "another record than was written");
}
