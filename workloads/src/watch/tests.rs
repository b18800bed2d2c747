//! Watches against the checkers, event by event: what a watch says the checkers say of the same
//! history cut off there and of the whole of it, and where it must say everything it says it first.
//!
//! [`watched`] is asked about every random history that the checkers' own tests make, so whoever fuzzes
//! those fuzzes the watches too, and the judges that try every order stand behind both.

use super::{Sight, Violation, Watcher, over};
use crate::checker::plants::{Plant, plant};
use crate::checker::testing::{self, file, random};
use crate::history::{History, Operation, Operations};
use crate::operation::{Outcome, Reason};
use crate::seed::Seed;
use crate::verdict::{AnomalyKind, Judgement, Verdict};
use crate::workload::{WORKLOADS, judge, watcher_of};

/// Watches a history and holds what comes of it against the checkers.
pub(crate) fn watched(history: &History) -> Result<Option<Violation>, String> {
    let workload = history.header.workload.as_str();
    let mut watcher = watcher_of(workload).ok_or(format!("no watch of {workload}"))?;
    let found = feed(history, &mut watcher);
    let disagree = |what: &str, of: &History| {
        Err(format!("{what}: {found:#?}, {:#?}\n{}of\n{}", judge(of), file(of), file(history)))
    };
    if let Some(violation) = &found {
        if !fails(history) {
            return disagree("the watch saw what the checkers do not", history);
        }
        let at = cut(history, violation.proven.seq);
        if !fails(&at) {
            return disagree("the watch saw what the checkers did not see by then", &at);
        }
    }
    let is_exact = ["register", "unique-ids", "bank", "sessions"].contains(&workload);
    if !is_exact || watcher.sight() != Sight::Whole {
        return Ok(found);
    }
    let before = match &found {
        Some(violation) if violation.proven.seq > 0 => cut(history, violation.proven.seq - 1),
        _ => history.clone(),
    };
    // The first checker is the one that looks at every answer.
    match judge(&before)[0].verdict == Verdict::Fail {
        true => disagree("the watch saw later than the checkers", &before),
        false => Ok(found),
    }
}

/// The same of one history of four: it judges each twice more than its own test does.
pub(crate) fn watched_by_turns(history: &History, case: usize) -> Result<(), String> {
    match case % 4 {
        0 => watched(history).map(drop),
        _ => Ok(()),
    }
}

fn feed(history: &History, watcher: &mut Watcher) -> Option<Violation> {
    let mut taken = watcher_of(&history.header.workload)?;
    std::mem::swap(&mut taken, watcher);
    let (found, after) = super::watch_all(history, taken);
    *watcher = after;
    found
}

fn fails(history: &History) -> bool {
    judge(history).iter().any(|judgement: &Judgement| judgement.verdict == Verdict::Fail)
}

/// The history as it was after an event: what was not answered by then is open.
fn cut(history: &History, seq: u64) -> History {
    let begun = history.operations.iter().filter(|operation| operation.invoked.seq <= seq);
    let until = |operation: &Operation| {
        let mut operation = operation.clone();
        if operation.completed.is_some_and(|stamp| stamp.seq > seq) {
            operation.completed = None;
            operation.outcome = Outcome::Info(Reason::new("open"));
        }
        operation
    };
    let operations = Operations::new(begun.map(until).collect()).expect("a part is in order");
    History { header: history.header.clone(), operations, complete: true }
}

fn found(workload: &str, lines: &str) -> Option<(AnomalyKind, u64, String)> {
    let history = testing::history(workload, lines);
    let violation = watched(&history).unwrap_or_else(|why| panic!("{why}"))?;
    Some((violation.kind, violation.proven.at.0 / 1000, violation.what))
}

#[test]
fn a_stale_read_is_known_with_its_answer() {
    let lines = "
        c1 n1 10-20 write r1=1
        c1 n1 30-40 write r1=2
        c2 n2 50-60 read r1=1
        c2 n2 70-80 read r1=2
        ";
    let (kind, at, what) = found("register", lines).unwrap();
    assert_eq!((kind, at), (AnomalyKind::StaleRead, 60));
    insta::assert_snapshot!(what, @"read r1 saw 1, and another value was there in between, written once");
}

#[test]
fn a_read_of_what_is_still_being_written_is_no_violation() {
    let lines = "
        c1 n1 10-?  write r1=1
        c2 n2 20-30 read r1=1
        c3 n3 40-90 write r1=2
        c2 n2 50-60 read r1=2
        c4 n1 65-70 cas r1 1>3 saw 2
        c2 n2 72-80 read r1=2
        ";
    assert_eq!(found("register", lines), None);
}

#[test]
fn a_refusal_that_says_nothing_and_a_delete_raise_no_alarm() {
    let mut silent = testing::history(
        "register",
        "
        c1 n1 10-20 write r1=1
        c2 n2 30-40 cas r1 1>2 fail
        c3 n3 50-60 read r1=1
        ",
    );
    let mut operations = silent.operations.clone().into_vec();
    operations[1].outcome = Outcome::Fail(Reason::new(crate::history::MISMATCH));
    silent.operations = Operations::new(operations).unwrap();
    // It cannot be right, but whether it is depends on more than the watch keeps.
    assert_eq!(over(&silent, watcher_of("register").unwrap()), None);
    let deleted = "
        c1 n1 10-20 write r1=1
        c2 n2 30-40 delete r1
        c3 n3 50-60 read r1=
        c3 n3 70-80 read r1=1
        ";
    let history = testing::history("register", deleted);
    let mut watcher = watcher_of("register").unwrap();
    assert_eq!(feed(&history, &mut watcher), None);
    assert_eq!(watcher.sight(), Sight::Part("r1 may be deleted".to_string()));
}

#[test]
fn every_workload_tells_its_violations_at_once() {
    let cases = [
        ("set", "c1 n1 10-20 write s/001=1\nc2 n2 30-40 list s/\nc2 n2 50-60 list s/ 1"),
        ("append", "c1 n1 10-20 append x=1\nc2 n2 30-40 elements x 1,1\nc2 n2 50-60 elements x 1"),
        (
            "append",
            "c1 n1 10-?  append x=1\nc3 n1 11-?  append x=2\nc2 n2 21-22 elements x 1,2\nc2 n2 30-40 elements x 2",
        ),
        ("counter", "c1 n1 10-20 add n=1\nc2 n2 30-40 add n=1\nc2 n2 50-60 read n=2"),
        ("unique-ids", "c1 n1 10-20 add ids=1\nc2 n2 30-40 add ids=1"),
        ("queue", "c1 n1 10-20 enqueue q=4\nc1 n1 21-22 dequeue q=4\nc2 n2 30-40 dequeue q=4"),
        (
            "queue",
            "c1 n1 10-12 enqueue q=4\nc1 n1 13-14 enqueue q=5\nc1 n1 21-22 dequeue q=5\nc2 n2 30-40 dequeue q=4",
        ),
        ("lock", "c1 n1 10-20 acquire l0 400 under 7\nc2 n1 30-40 acquire l0 400 under 8"),
        ("lock", "c1 n1 10-20 acquire l0 5 under 7\nc2 n1 30-40 acquire l0 400 under 6"),
        ("lock", "c1 n1 10-20 guarded g0=5 under 7\nc2 n1 30-40 guarded g0=6 under 6"),
        (
            "lock",
            "c1 n1 5-8 acquire l0 400 under 7\nc1 n1 10-20 guarded g0=5 under 7\nc2 n1 30-40 protected g0=9",
        ),
        ("sessions", "c1 n1 10-20 write s0=1\nc1 n1 30-40 read s0="),
        ("bank", "c1 n1 5-6 txn if:a= if:b= w:a=5 w:b=5\nc1 n1 30-40 txn r:a=5 r:b=6"),
    ];
    let told: Vec<String> = cases
        .iter()
        .map(|(workload, lines)| {
            let (kind, at, what) = found(workload, lines).expect(lines);
            // All of them are wrong with the event at 40 ms, and some are not the last.
            assert_eq!(at, 40, "{lines}");
            format!("{workload}: {kind}: {what}")
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    set: stale-read: list s/*, without 1, which was there before it began
    append: duplicate: read x, and 1 twice
    append: stale-read: read x, without 1, which was there before it began
    counter: lost-update: add 1 to n came to 1, and so did another increment
    unique-ids: duplicate: 1 of ids was given twice
    queue: duplicate: 4 was taken from q, and had been taken before
    queue: out-of-order: 4 was taken from q, after what was added after it
    lock: two-holders: acquire l0 was granted under 8, and c1 holds it for 370 ms more at least
    lock: token-order: acquire l0 was granted under 6, and 7 had been granted before it began
    lock: stale-token: write g0=6 under 6, accepted, although g0 had seen token 7 before it began
    lock: phantom: read g0 saw 9, which rests on what nobody has sent
    sessions: read-your-writes: c1: read s0, absent, older than what this session knew of
    bank: wrong-total: a read of all accounts came to 11, opened with 10
    ");
}

#[test]
fn a_history_of_a_right_store_never_raises_an_alarm() {
    let mut quiet = 0;
    for seed in 0..4000 {
        let mut stream = Seed(seed).stream("watch");
        let model = match seed % 2 {
            0 => testing::Model::Registers { keys: 2 },
            _ => testing::Model::Set,
        };
        let history = random(&mut stream, model);
        if !fails(&history) {
            quiet += 1;
            let watcher = watcher_of(&history.header.workload).unwrap();
            assert_eq!(over(&history, watcher), None, "{}", file(&history));
        }
    }
    assert!(quiet > 1000, "only {quiet} were right");
}

#[test]
fn beyond_its_budget_a_watch_is_silent_and_says_so() {
    let lines: String = (0..20)
        .map(|i| format!("c1 n1 {}-{} write r1={i}\n", 10 * i + 1, 10 * i + 5))
        .chain(["c2 n2 900-910 read r1=3\n".to_string()])
        .collect();
    let history = testing::history("register", &lines);
    assert!(over(&history, watcher_of("register").unwrap()).is_some());
    let watcher = watcher_of("register").unwrap().with_values_max(10);
    let (found, watcher) = super::watch_all(&history, watcher);
    assert_eq!(found, None);
    let why = "it keeps at most 10 values, and there are more".to_string();
    assert_eq!(watcher.sight(), Sight::Gone(why));
}

#[test]
fn a_bounded_read_of_what_nobody_sent_is_known_at_once_and_by_the_checkers() {
    let lines = "
        c1 n1 10-20 write r1=1
        c2 n2 30-40 read r1=1
        c2 n2 50-60 read r1=7
        ";
    let history = testing::history("bounded-reads", lines);
    let found = over(&history, watcher_of("bounded-reads").unwrap()).unwrap();
    assert_eq!(found.kind, crate::verdict::AnomalyKind::Phantom);
    assert_eq!(found.what, "read r1 saw 7, which nobody sent");
    assert!(fails(&history));
}

#[test]
fn every_workload_has_a_watch_and_every_planted_bug_of_a_watch_is_noticed() {
    for (name, _) in WORKLOADS {
        assert!(watcher_of(name).is_some(), "{name}");
    }
    for bug in [Plant::WatchesBackward, Plant::WatchesTooMuch] {
        plant(Some(bug));
        let noticed = (0..20_000).any(|seed| {
            let mut stream = Seed(seed).stream("watch");
            watched(&random(&mut stream, testing::Model::Registers { keys: 1 })).is_err()
        });
        plant(None);
        assert!(noticed, "{bug:?}");
    }
}
