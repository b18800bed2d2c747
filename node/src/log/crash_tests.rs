//! The log on a disk with faults: random sequences of appends, syncs, kills, losses of power, failed
//! syncs and full disks, held against a model that knows what was promised.
//!
//! The promise: what was synced, or handed out at a start, is found at every later start; what is
//! found beside it is what was appended behind it, in order, whole and unchanged.

use proptest::prelude::*;
use serde_json::json;

use super::tests::record;
use super::*;
use crate::disk::tests::Machine;

const US: Identity = Identity { cluster: 0xC0FFEE, node: 2 };
const OPTIONS: Options =
    Options { segment_bytes: 3 * PAGE_BYTES, fsync: Fsync::Always, plants: Plants::NONE };

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<usize>),
    Sync,
    /// Lets go of what is old.
    Purge,
    /// The process is killed and starts again.
    Kill,
    /// The power is cut, and comes again; torn by a seed.
    PowerCut(Option<u64>),
    /// A sync fails, upon which the process ends and starts again.
    FailedSync,
    /// A write fails, or finds no space, in the same way.
    FailedWrite(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let sizes = prop::collection::vec(0usize..2500, 1..6);
    prop_oneof![
        6 => sizes.prop_map(Step::Append),
        3 => Just(Step::Sync),
        1 => Just(Step::Purge),
        1 => Just(Step::Kill),
        1 => prop::option::of(any::<u64>()).prop_map(Step::PowerCut),
        1 => Just(Step::FailedSync),
        1 => any::<bool>().prop_map(Step::FailedWrite),
    ]
}

/// A log under test, and what it has promised.
struct Run {
    machine: Machine,
    log: Option<Log>,
    /// All that was appended and may be there, oldest first, as far as it was not let go.
    appended: Vec<Record>,
    /// How many of them were synced or handed out.
    promised: usize,
    kind: u8,
}

impl Run {
    fn new() -> Run {
        let machine = Machine::new();
        let log = Some(open_on_machine(&machine).0);
        Run { machine, log, appended: Vec::new(), promised: 0, kind: 0 }
    }

    fn log(&mut self) -> &mut Log {
        self.log.as_mut().expect("the process runs")
    }

    fn append(&mut self, sizes: &[usize]) -> io::Result<()> {
        let records: Vec<Record> = sizes
            .iter()
            .map(|bytes| {
                self.kind = self.kind.wrapping_add(1);
                record(self.kind, *bytes)
            })
            .collect();
        // An append syncs the frames before its last, so that much may be durable in any case.
        self.appended.extend(records.iter().cloned());
        self.log().append(&records)
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Append(sizes) => self.append(sizes).expect("a healthy disk"),
            Step::Sync => {
                self.log().sync().expect("a healthy disk");
                self.promised = self.appended.len();
            }
            Step::Purge => {
                self.log().sync().expect("a healthy disk");
                self.promised = self.appended.len();
                // Counted from the first that was found at the last start; so nothing too much goes.
                let records = self.appended.len() as u64 / 2;
                self.log().purge(records).expect("a healthy disk");
            }
            Step::Kill => {
                let all = self.appended.len();
                let gone = self.restart();
                let left = gone + self.appended.len();
                assert_eq!(left, all, "a kill loses nothing that was written");
            }
            Step::PowerCut(torn) => {
                self.log = None;
                self.machine.cut_power(*torn);
                self.restart();
                self.machine.order(json!({}));
            }
            Step::FailedSync => {
                self.append(&[100]).expect("a healthy disk");
                self.machine.order(json!({ "fail": "syncs" }));
                self.log().sync().expect_err("it fails");
                self.machine.order(json!({}));
                self.log().sync().expect_err("and is not tried again");
                self.restart();
            }
            Step::FailedWrite(full) => {
                let orders =
                    if *full { json!({ "full": "writes" }) } else { json!({ "fail": "writes" }) };
                self.machine.order(orders);
                self.append(&[100]).expect_err("it fails");
                self.machine.order(json!({}));
                self.append(&[100]).expect_err("and is not tried again");
                self.restart();
            }
        }
    }

    /// Ends the process, if that has not happened yet, and starts the next. Returns how many records
    /// were let go from the front.
    fn restart(&mut self) -> usize {
        self.log = None;
        let (log, recovered) = open_on_machine(&self.machine);
        let found = recovered.records;
        // A purge lets go of whole segments from the front. No two records are equal.
        let gone = found.first().map_or(0, |first| {
            self.appended.iter().position(|record| record == first).expect("a record of ours")
        });
        let appended = &self.appended[gone..];
        assert!(appended.starts_with(&found), "another record than was appended, or another order");
        assert!(gone + found.len() >= self.promised, "a promised record is gone");
        self.promised = found.len();
        self.appended = found;
        self.log = Some(log);
        gone
    }
}

fn open_on_machine(machine: &Machine) -> (Log, Recovered) {
    let dir = machine.data().join("log");
    open_on(&machine.start(), &dir, US, &OPTIONS).expect("no loss of power makes a log damaged")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_happens_to_the_disk_what_was_promised_is_found_again(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut run = Run::new();
        for step in &steps {
            run.take(step);
        }
        run.take(&Step::PowerCut(None));
        run.take(&Step::PowerCut(Some(1)));
    }
}

#[test]
fn what_a_start_hands_out_after_a_failed_sync_survives_the_next_loss_of_power() {
    let mut run = Run::new();
    run.append(&[40, 50]).expect("a healthy disk");
    run.take(&Step::Sync);
    run.take(&Step::FailedSync);
    assert_eq!(run.promised, 3, "the page cache still has the record, so the start hands it out");
    run.take(&Step::PowerCut(None));
    assert_eq!(run.promised, 3);
}

#[test]
fn a_frame_torn_by_sectors_is_cut_and_the_log_goes_on() {
    let mut kept = 0;
    for seed in 0..60 {
        let mut run = Run::new();
        run.append(&[300]).expect("a healthy disk");
        run.take(&Step::Sync);
        run.append(&[700, 800, 900]).expect("a healthy disk");
        run.take(&Step::PowerCut(Some(seed)));
        assert!([1, 4].contains(&run.promised), "a frame is there whole or not at all");
        kept += u64::from(run.machine.report("kept-sectors") > 0);
        run.append(&[10]).expect("a healthy disk");
        run.take(&Step::Sync);
        run.take(&Step::PowerCut(None));
    }
    assert!(kept > 30, "only {kept} of 60 frames were torn");
}

#[test]
fn a_log_that_never_syncs_loses_what_a_power_cut_takes_and_only_that() {
    let mut machine = Machine::new();
    let options = Options { fsync: Fsync::Never, ..OPTIONS };
    let open = |machine: &Machine| {
        open_on(&machine.start(), &machine.data().join("log"), US, &options).expect("a log")
    };
    let (mut log, _) = open(&machine);
    log.append(&[record(1, 100)]).and_then(|()| log.sync()).expect("a healthy disk");
    drop(log);
    let (mut log, recovered) = open(&machine);
    assert_eq!(recovered.records, [record(1, 100)], "a kill loses nothing");
    log.append(&[record(2, 100)]).and_then(|()| log.sync()).expect("a healthy disk");
    drop(log);
    machine.cut_power(None);
    let (_, recovered) = open(&machine);
    assert_eq!(recovered.records, [record(1, 100)], "a start syncs what it hands out");
}

/// Sectors of any frame may be there and others not, in any order, over several segments.
#[test]
fn a_log_that_never_syncs_opens_after_any_loss_of_power_with_a_beginning_of_what_was_written() {
    let options = Options { fsync: Fsync::Never, ..OPTIONS };
    let (mut holes, mut later) = (0, 0);
    for seed in 0..40 {
        let mut machine = Machine::new();
        let dir = machine.data().join("log");
        let mut appended: Vec<Record> = Vec::new();
        for round in 0..3_u64 {
            let (mut log, recovered) =
                open_on(&machine.start(), &dir, US, &options).expect("a log that promised nothing");
            machine.order(json!({}));
            assert!(appended.starts_with(&recovered.records), "seed {seed}: another beginning");
            assert!(recovered.loose.iter().all(|path| path.exists()), "{:?}", recovered.loose);
            holes += u64::from(!recovered.loose.is_empty());
            later += u64::from(recovered.loose.len() > 1);
            appended = recovered.records;
            for at in 0..1 + (seed + round) % 14 {
                let record = record((appended.len() + 1) as u8, 200 + 300 * (at as usize % 7));
                log.append(std::slice::from_ref(&record)).expect("a healthy disk");
                log.sync().expect("which does nothing");
                appended.push(record);
            }
            drop(log);
            machine.cut_power(Some(seed * 3 + round));
        }
    }
    assert!(holes > 15 && later > 2, "{holes} holes, {later} over several segments");
}

#[test]
fn a_segment_or_a_purge_that_is_not_synced_is_as_if_it_had_not_been() {
    for torn in [None, Some(3), Some(4), Some(5)] {
        let mut run = Run::new();
        for _ in 0..6 {
            run.append(&[2000, 2000]).expect("a healthy disk");
        }
        run.take(&Step::Sync);
        run.log().purge(4).expect("a healthy disk");
        // The segments are removed, and the folder is not synced any more.
        run.take(&Step::PowerCut(torn));
        run.append(&[2000]).expect("a healthy disk");
        run.take(&Step::Sync);
        run.take(&Step::PowerCut(torn));
    }
}

#[test]
fn a_full_disk_stops_the_log_at_the_end_of_its_segment_and_not_before() {
    let mut run = Run::new();
    // The next segment is prepared already; what follows it is not.
    run.append(&[2000]).expect("a healthy disk");
    drop(run.log.take());
    run.restart();
    run.machine.order(json!({ "full": "growth" }));
    let mut written = 0;
    let error = loop {
        match run.append(&[2000]) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 20, "a full disk takes no more than what was prepared");
    };
    assert!(written >= 5, "only {written} records in the space that was there");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    assert!(error.to_string().starts_with("cannot continue in the next segment"), "{error}");
    run.machine.order(json!({}));
    run.restart();
    run.append(&[2000]).expect("there is space again");
}
