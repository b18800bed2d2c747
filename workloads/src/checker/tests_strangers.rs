//! What somebody else's program may hand to the public entries of the checkers, and that none of it is
//! passed. What can be held by no [`crate::history::Operations`] is tested there.

use super::frontier::{self, Budget, Decision};
use super::linearizable::{self, Screen, decide_registers, witness_registers, witness_set};
use super::testing::history;
use super::{agreement, bank, counter, elle, list, lock, lost_write, queue, sessions, unique_ids};
use crate::history::{History, Stamp};
use crate::model::register::{Action, Input, Output, Register};
use crate::model::{Call, CallOf};
use crate::operation::{ClientId, Key, Outcome, Reply, Value};
use crate::verdict::{Judgement, Verdict};

#[test]
fn no_checker_that_is_called_by_itself_passes_a_history_that_is_cut_off() {
    type Check = fn(&History) -> Judgement;
    let register = "c1 n1 10-20 write r=1\nc1 n1 30-40 final read r=1\nc1 n1 50-60 final local read r=1\nc1 n2 70-80 final local read r=1\nc1 n3 90-99 final local read r=1";
    let set = "c1 n1 10-20 write s/1=1\nc1 n1 30-40 final list s/ 1";
    let lists = "c1 n1 10-20 append x=1\nc1 n1 30-40 final elements x 1";
    let lock = "c1 n1 10-20 acquire l0 100 under 1\nc1 n1 30-40 guarded g0=1 under 1\nc1 n1 50-60 final protected g0=1";
    let cases: [(Check, &str, &str); 15] = [
        (linearizable::check_registers, "register", register),
        (linearizable::check_set, "set", set),
        (lost_write::check_registers, "register", register),
        (lost_write::check_set, "set", set),
        (lost_write::check_lists, "append", lists),
        (agreement::check, "register", register),
        (list::check, "append", lists),
        (elle::check, "append", lists),
        (counter::check, "counter", "c1 n1 10-20 add n=1"),
        (unique_ids::check, "unique-ids", "c1 n1 10-20 add n=1"),
        (sessions::check, "sessions", register),
        (lock::check, "lock", lock),
        (lock::check_values, "lock", lock),
        (lock::check_lost, "lock", lock),
        (queue::check, "queue", "c1 n1 10-20 enqueue q=1\nc1 n1 30-40 final queue q 1"),
    ];
    let bank = "c1 n1 10-20 txn if:a if:b w:a=5 w:b=5\nc1 n1 30-40 txn r:a=5 r:b=5";
    let cases = cases.into_iter().chain([(bank::check as Check, "bank", bank)]);
    for (check, workload, lines) in cases {
        let mut whole = history(workload, lines);
        assert_eq!(check(&whole).verdict, Verdict::Pass, "{workload}: {:?}", check(&whole));
        whole.complete = false;
        let cut = check(&whole);
        assert_eq!(cut.verdict, Verdict::Unknown, "{workload}: {cut:?}");
        assert!(cut.summary.contains("cut off"), "{}", cut.summary);
    }
}

#[test]
fn a_decision_about_every_key_is_none_about_a_history_of_more_than_keys() {
    let decided = |history: &History| match decide_registers(history, Budget::default()) {
        Decision::Undecided(overrun) => overrun.why,
        other => panic!("{other:?}"),
    };
    let mut cut = history("register", "c1 n1 10-20 write r=1");
    cut.complete = false;
    let listed = history("register", "c1 n1 10-20 write r=1\nc1 n1 30-40 list r 1");
    let appended = history("register", "c1 n1 10-20 write r=1\nc1 n1 30-40 append r=1");
    insta::assert_snapshot!([&cut, &listed, &appended].map(decided).join("\n"), @r#"
    the history cut off: its trailer is missing
    1 lists over registers, which no key decides
    registers with "append 1 to r" are undecided
    "#);
    for history in [&cut, &listed, &appended] {
        witness_registers(history, Budget::default()).unwrap_err();
    }
    let mut cut = history("set", "c1 n1 10-20 write s/1=1\nc1 n1 30-40 list s/ 1");
    cut.complete = false;
    assert!(witness_set(&cut).unwrap_err().contains("cut off"));
}

#[test]
fn the_first_look_proves_nothing_about_operations_that_contradict_themselves() {
    let whole = history("register", "c1 n1 10-20 write r=1\nc1 n1 30-40 read r=1");
    let is_proven = |edit: &dyn Fn(&mut crate::history::Operation)| {
        let mut operations = whole.operations.clone().into_vec();
        operations.iter_mut().for_each(edit);
        let mut screen = Screen::default();
        operations.iter().for_each(|operation| screen.take(operation));
        screen.finish().all(|(_, is_right)| is_right)
    };
    assert!(is_proven(&|_| {}));
    // It ends before it began; it was given an answer to something else.
    let at = whole.operations[0].invoked.at;
    assert!(!is_proven(&|it| it.invoked = Stamp { seq: 100 + it.invoked.seq, at }));
    for reply in [Reply::Written, Reply::Read(Some(Value(1))), Reply::Deleted] {
        assert!(!is_proven(&|it| it.outcome = Outcome::Ok(reply.clone())), "{reply:?}");
    }
}

#[test]
fn the_search_decides_nothing_about_a_call_that_ends_before_it_began() {
    let call = |began, ended| -> CallOf<Register> {
        let input = Input { key: Key::new("r"), action: Action::Read };
        let output = Some(Output::Held(None));
        Call { client: ClientId(1), input, output, began, ended: Some(ended) }
    };
    let calls = [call(0, 1), call(9, 4)];
    let Decision::Undecided(overrun) = frontier::decide(&Register, &calls, Budget::default())
    else {
        panic!("undecided")
    };
    assert_eq!(overrun.why, "call 1, which ended at 4, before it began at 9");
    frontier::witness(&Register, &calls, Budget::default()).unwrap_err();
    let together = [call(0, 1), call(4, 4)];
    let decision = frontier::decide(&Register, &together, Budget::default());
    assert_eq!(decision, Decision::Possible, "an instant is an interval");
}

#[test]
fn a_session_that_does_two_things_at_once_is_undecided() {
    let lines = "
        c1 n1 10-50 write a=1
        c1 n1 20-30 read a=absent
        ";
    let judgement = sessions::check(&history("sessions", lines));
    assert_eq!(judgement.verdict, Verdict::Unknown);
    insta::assert_snapshot!(judgement.summary, @"c1 has two operations open at once, so neither is before the other: undecided");
}

#[test]
fn a_list_that_is_deleted_is_undecided_and_a_delete_of_something_else_is_not() {
    let lines = |delete: &str| {
        let lines =
            format!("c1 n1 10-20 append x=1\nc1 n1 30-40 {delete}\nc1 n1 50-60 elements x 1");
        let history = history("append", &lines);
        [list::check(&history), elle::check(&history)]
    };
    for delete in ["delete x", "txn d:x", "once q1 delete x", "txn if:y=1 r:y=1 else d:x"] {
        for judgement in lines(delete) {
            assert_eq!(judgement.verdict, Verdict::Unknown, "{delete}: {judgement:?}");
            assert_eq!(judgement.summary, "x is a list that was deleted: undecided");
        }
    }
    for judgement in lines("delete y") {
        assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:?}");
    }
}
