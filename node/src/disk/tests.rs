//! The layer on real files: what survives a kill, what survives a loss of power, and what a call
//! answers under each order.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

/// A data directory and its orders. A kill of the process is a disk that is dropped.
pub(crate) struct Machine {
    folder: TempDir,
    power_cuts: u64,
}

impl Machine {
    pub(crate) fn new() -> Machine {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("orders")).expect("a folder");
        fs::create_dir(folder.path().join("data")).expect("a folder");
        Machine { folder, power_cuts: 0 }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn folder_of_orders(&self) -> PathBuf {
        self.folder.path().join("orders")
    }

    /// A process starts.
    pub(crate) fn start(&self) -> Disk {
        Disk::faulty(&self.folder_of_orders(), &self.data()).expect("a disk")
    }

    /// Gives orders, in place of those before.
    pub(crate) fn order(&self, mut orders: Value) {
        orders["version"] = json!(1);
        let unfinished = self.folder.path().join("orders.tmp");
        fs::write(&unfinished, orders.to_string()).expect("orders");
        fs::rename(unfinished, self.folder_of_orders().join("orders")).expect("orders");
    }

    /// The power is cut; the next start undoes what was not synced.
    pub(crate) fn cut_power(&mut self, torn: Option<u64>) {
        self.power_cuts += 1;
        self.order(json!({ "power-cut": { "number": self.power_cuts, "torn": torn } }));
    }

    pub(crate) fn report(&self, counter: &str) -> u64 {
        let text = fs::read(self.folder_of_orders().join("report")).unwrap_or_default();
        let report: Value = serde_json::from_slice(&text).unwrap_or_default();
        report[counter].as_u64().unwrap_or(0)
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.data().join(name)).ok()
    }

    fn write(&self, disk: &Disk, name: &str, text: &str) -> File {
        let file = disk.create(&self.data().join(name)).expect("a file");
        file.write_all_at(text.as_bytes(), 0).expect("it is written");
        file
    }
}

#[test]
fn a_kill_loses_nothing_and_a_power_cut_all_that_was_not_synced() {
    let mut machine = Machine::new();
    let disk = machine.start();
    let file = machine.write(&disk, "a", "first");
    file.sync_all().expect("synced");
    disk.sync_dir(&machine.data()).expect("synced");
    file.write_all_at(b"ly changed and longer", 5).expect("written");
    file.write_all_at(b"F", 0).expect("written");
    drop((file, disk));
    let killed = machine.start();
    assert_eq!(machine.read("a").as_deref(), Some("Firstly changed and longer"));
    drop(killed);
    machine.cut_power(None);
    drop(machine.start());
    assert_eq!(machine.read("a").as_deref(), Some("first"));
    assert_eq!(machine.report("lost-bytes"), 22);
    // The order is carried out once.
    let disk = machine.start();
    let file = disk.open(&machine.data().join("a")).expect("it is there");
    file.write_all_at(b"2", 0).expect("written");
    drop((file, disk));
    drop(machine.start());
    assert_eq!(machine.read("a").as_deref(), Some("2irst"));
    assert_eq!(machine.report("power-cuts"), 1);
}

#[test]
fn names_are_lost_until_their_folder_is_synced_and_bytes_until_their_file_is() {
    let mut machine = Machine::new();
    let disk = machine.start();
    let dir = machine.data();
    disk.replace(&dir.join("kept"), &[b"old"]).expect("replaced");
    machine.write(&disk, "gone", "g").sync_all().expect("synced");
    disk.sync_dir(&dir).expect("synced");
    // Everything from here on is synced in its file and in no folder.
    machine.write(&disk, "kept.tmp", "new").sync_all().expect("synced");
    disk.rename(&dir.join("kept.tmp"), &dir.join("kept")).expect("renamed");
    disk.remove(&dir.join("gone")).expect("removed");
    machine.write(&disk, "unnamed", "u").sync_all().expect("synced");
    assert_eq!((machine.read("kept"), machine.read("gone")), (Some("new".into()), None));
    drop(disk);
    machine.cut_power(None);
    let disk = machine.start();
    assert_eq!(machine.read("kept").as_deref(), Some("old"));
    assert_eq!(machine.read("gone").as_deref(), Some("g"));
    assert_eq!((machine.read("unnamed"), machine.read("kept.tmp")), (None, None));
    // The other way round: the name is synced and the bytes are not.
    machine.write(&disk, "empty", "text");
    disk.sync_dir(&dir).expect("synced");
    drop(disk);
    machine.cut_power(None);
    drop(machine.start());
    assert_eq!(machine.read("empty").as_deref(), Some(""));
}

#[test]
fn a_power_cut_before_a_new_name_is_synced_leaves_the_old_file_and_after_it_the_new_one() {
    for synced in [false, true] {
        let mut machine = Machine::new();
        let disk = machine.start();
        let path = machine.data().join("snapshot");
        disk.replace(&path, &[b"the ", b"old one"]).expect("replaced");
        if synced {
            disk.replace(&path, &[b"the new one"]).expect("replaced");
        } else {
            machine.order(json!({ "fail": "syncs" }));
            disk.replace(&path, &[b"the new one"]).expect_err("a sync fails");
        }
        drop(disk);
        machine.cut_power(None);
        drop(machine.start());
        let expected = if synced { "the new one" } else { "the old one" };
        assert_eq!(machine.read("snapshot").as_deref(), Some(expected));
        assert_eq!(machine.read("snapshot.tmp"), None);
        let kept = fs::read_dir(machine.data().join("unsynced.kept")).expect("a folder").count();
        assert_eq!(kept, 0, "files without a name are gone");
    }
}

#[test]
fn after_a_failed_sync_only_pages_that_are_written_again_reach_the_disk() {
    let mut machine = Machine::new();
    let disk = machine.start();
    let file = disk.create(&machine.data().join("a")).expect("a file");
    file.write_all_at(&[b'.'; 3 * 4096], 0).expect("written");
    file.sync_all().expect("synced");
    disk.sync_dir(&machine.data()).expect("synced");
    for page in 0..3 {
        file.write_all_at(b"new", page * 4096).expect("written");
    }
    machine.order(json!({ "fail": "syncs" }));
    let error = file.sync_data().expect_err("it fails");
    assert_eq!(error.raw_os_error(), Some(nix::libc::EIO));
    machine.order(json!({}));
    // The second page becomes dirty again, by a byte elsewhere in it.
    file.write_all_at(b"x", 4096 + 100).expect("written");
    file.sync_data().expect("the kernel knows of no dirty page but one");
    assert_eq!(machine.read("a").expect("it is there").matches("new").count(), 3);
    drop((file, disk));
    machine.cut_power(None);
    drop(machine.start());
    let text = machine.read("a").expect("it is there");
    assert_eq!(text.matches("new").count(), 1);
    assert_eq!((text.find("new"), text.find('x')), (Some(4096), Some(4096 + 100)));
    assert_eq!(machine.report("failed-syncs"), 1);
}

#[test]
fn a_torn_power_cut_keeps_whole_sectors_and_a_prefix_of_the_writes_to_each() {
    let (mut whole, mut nothing, mut between) = (0, 0, 0);
    for seed in 0..40 {
        let mut machine = Machine::new();
        let disk = machine.start();
        let file = disk.create(&machine.data().join("a")).expect("a file");
        file.write_all_at(&[b'0'; 4 * 512], 0).expect("written");
        file.sync_all().expect("synced");
        disk.sync_dir(&machine.data()).expect("synced");
        // The second write begins in the last sector of the first.
        file.write_all_at(&[b'1'; 2 * 512 + 100], 0).expect("written");
        file.write_all_at(&[b'2'; 512], 2 * 512 + 50).expect("written");
        drop((file, disk));
        machine.cut_power(Some(seed));
        drop(machine.start());
        let text = machine.read("a").expect("it is there").into_bytes();
        assert_eq!(text.len(), 4 * 512);
        let sector = |at: usize| &text[at * 512..(at + 1) * 512];
        let all = |at: usize, byte: u8| sector(at).iter().all(|other| *other == byte);
        assert!((0..2).all(|at| all(at, b'0') || all(at, b'1')), "seed {seed}");
        let shared = String::from_utf8(sector(2).to_vec()).expect("text");
        let (none, one) = ("0".repeat(512), "1".repeat(100) + &"0".repeat(412));
        let two = "1".repeat(50) + &"2".repeat(462);
        assert!([none, one, two].contains(&shared), "seed {seed}: {shared}");
        let last = sector(3);
        let written = last[..50].iter().all(|byte| *byte == b'2');
        assert!(written || all(3, b'0'), "seed {seed}");
        assert!(last[50..].iter().all(|byte| *byte == b'0'), "seed {seed}");
        match machine.report("kept-sectors") {
            0 => nothing += 1,
            4 => whole += 1,
            _ => between += 1,
        }
    }
    assert!(between > 20 && whole < 15 && nothing < 15, "{nothing}, {between}, {whole}");
}

#[test]
fn a_full_disk_refuses_growth_or_every_write_and_takes_them_again() {
    let machine = Machine::new();
    let disk = machine.start();
    let file = machine.write(&disk, "a", "12345678");
    let refused = |result: io::Result<()>| {
        let error = result.expect_err("no space");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    };
    machine.order(json!({ "full": "growth" }));
    file.write_all_at(b"in place", 0).expect("no new space is needed");
    refused(file.write_all_at(b"longer than before", 0));
    refused(disk.create(&machine.data().join("b")).map(drop));
    machine.order(json!({ "full": "writes" }));
    refused(file.write_all_at(b"in place", 0));
    file.sync_all().expect("a sync needs no space");
    assert_eq!(machine.report("refused"), 3);
    machine.order(json!({}));
    file.write_all_at(b"longer than before", 0).expect("there is space again");
    assert_eq!(machine.read("a").as_deref(), Some("longer than before"));
}

#[test]
fn writes_fail_and_syncs_are_late_or_stall_as_ordered() {
    let machine = Machine::new();
    let disk = machine.start();
    let file = machine.write(&disk, "a", "12");
    machine.order(json!({ "fail": "writes" }));
    let error = file.write_all_at(b"34", 0).expect_err("it fails");
    assert_eq!(error.raw_os_error(), Some(nix::libc::EIO));
    assert_eq!(machine.report("failed-writes"), 1);
    machine.order(json!({ "sync-delay-ms": 30 }));
    let began = std::time::Instant::now();
    file.sync_all().expect("synced");
    assert!(began.elapsed().as_millis() >= 30);
    assert_eq!((machine.report("late-syncs"), machine.report("late-ms")), (1, 30));
    file.write_all_at(b"34", 0).expect("written");
    machine.order(json!({ "stall-syncs": true }));
    std::thread::scope(|scope| {
        let stalled = scope.spawn(|| file.sync_all());
        while machine.report("unsynced-bytes") == 0 {
            assert!(!stalled.is_finished(), "it does not return");
            std::thread::yield_now();
        }
        machine.order(json!({}));
        stalled.join().expect("no panic").expect("synced in the end");
    });
    assert_eq!((machine.report("stalled-syncs"), machine.report("unsynced-bytes")), (1, 2));
    assert_eq!(machine.read("a").as_deref(), Some("34"));
}

#[test]
fn a_folder_that_was_used_with_faults_is_refused_without_them_and_by_a_second_process() {
    let machine = Machine::new();
    let disk = machine.start();
    let error = Disk::sound(&machine.data()).expect_err("refused").to_string();
    assert!(error.contains("expected --disk-faults"), "{error}");
    Disk::faulty(&machine.folder_of_orders(), &machine.data()).expect_err("it is locked");
    drop(disk);
    drop(machine.start());
    let missing = machine.data().join("no-orders");
    let error = Disk::faulty(&missing, &machine.data()).expect_err("refused");
    assert!(format!("{error:#}").contains("expected a folder with orders"), "{error:#}");
    Disk::sound(Path::new("/nowhere")).expect("a folder that is yet to come");
}

#[test]
fn an_event_that_was_cut_off_was_not_carried_out_and_is_not_undone() {
    let mut machine = Machine::new();
    let disk = machine.start();
    let file = machine.write(&disk, "a", "12345678");
    file.sync_all().expect("synced");
    disk.sync_dir(&machine.data()).expect("synced");
    file.write_all_at(b"A", 0).expect("written");
    let journal = journal::path_in(&machine.data());
    let before = fs::read(&journal).expect("the journal");
    file.write_all_at(b"B", 1).expect("written");
    let after = fs::read(&journal).expect("the journal");
    drop((file, disk));
    for cut in before.len()..after.len() {
        fs::write(machine.data().join("a"), "A2345678").expect("the second write was not done");
        fs::write(&journal, &after[..cut]).expect("the journal is cut off");
        machine.cut_power(None);
        drop(machine.start());
        assert_eq!(machine.read("a").as_deref(), Some("12345678"), "cut at {cut}");
    }
}
