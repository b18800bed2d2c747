//! Faults on real processes: what they do is seen from outside, and an injection that was turned
//! into a no-op is reported as "no effect".

mod links;
mod partitions;
mod processes;
mod schedule;
mod sleepers;

/// Every kind of fault stands in a test that turns it into a no-op, here or with the disks and clocks
/// of `harness/tests/disk_and_clock.rs`: one that is added without is noticed.
#[test]
fn every_kind_of_fault_is_turned_into_a_no_op_by_a_test() {
    let tests = [
        include_str!("links.rs"),
        include_str!("partitions.rs"),
        include_str!("processes.rs"),
        include_str!("../disk_and_clock.rs"),
    ];
    for kind in splitbrain::nemesis::KINDS {
        let begins = format!("\"{}: {{", kind.name);
        assert!(tests.iter().any(|test| test.contains(&begins)), "{} is in no test", kind.name);
    }
}
