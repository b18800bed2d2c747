//! Golden texts of lists, transactions, counters, ids, banks and sessions: one history written by
//! hand for each anomaly, what is said of it, and whether the brute force agrees.

use super::golden::told;
use super::testing::history;
use crate::verdict::{AnomalyKind, Verdict};
use crate::workload::judge;

/// That every checker of a workload passes, but for those that miss what only a run has.
fn passes(workload: &str, lines: &str) {
    for judgement in judge(&history(workload, lines)) {
        assert_ne!(judgement.verdict, Verdict::Fail, "{judgement:#?}");
    }
    assert_eq!(judge(&history(workload, lines))[0].verdict, Verdict::Pass);
}

#[test]
fn lists_that_grow_one_after_the_other_are_right() {
    passes(
        "append",
        "
        c1 n1 10-20 append l0=1
        c2 n2 15-40 append l0=2
        c3 n3 30-35 elements l0 2,1
        c1 n1 50-? append l0=3
        c3 n3 60-70 elements l0 2,1,3
        c4 n1 90-95 final elements l0 2,1,3
        ",
    );
}

#[test]
fn an_append_that_no_later_read_has_is_lost() {
    let text = told(
        "append",
        "
        c1 n1 10-20 append l0=1
        c2 n2 30-40 append l0=2
        c3 n3 60-70 final elements l0 1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    list: lost-write of l0, culprit 1, operations 1 2
      c2 appended 2 to l0 at n2, acknowledged at 0.040 s; c3 read l0=[1] at n3 from 0.060 s to 0.070 s, without 2, and no read has it.
    transactions: g-single-realtime of l0, culprit 2, operations 1 2
      T1: c3 read l0=[1] at n3 from 0.060 s to 0.070 s.
      T2: c2 appended 2 to l0 at n2, acknowledged at 0.040 s.
      T1 must come before T2, because T1 read l0 without 2, which T2 appended.
      T2 must come before T1, because it ended at 0.040 s, before T1 began: a contradiction.
    lost-write: lost-write of l0, culprit 1, operations 1 2
      c2 appended 2 to l0 at n2, acknowledged at 0.040 s; at the end c3 read l0=[1] at n3 from 0.060 s to 0.070 s, without 2.
    "#);
}

#[test]
fn a_read_that_lacks_what_others_have_is_stale() {
    let text = told(
        "append",
        "
        c1 n1 10-20 append l0=1
        c2 n2 30-40 elements l0
        c3 n3 60-70 final elements l0 1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    list: stale-read of l0, culprit 1, operations 0 1 2
      c1 appended 1 to l0 at n1, acknowledged at 0.020 s; c2 read l0=[] at n2 from 0.030 s to 0.040 s, without 1, which the read of c3 has.
    transactions: g-single-realtime of l0, culprit 1, operations 0 1
      T1: c2 read l0=[] at n2 from 0.030 s to 0.040 s.
      T2: c1 appended 1 to l0 at n1, acknowledged at 0.020 s.
      T1 must come before T2, because T1 read l0 without 1, which T2 appended.
      T2 must come before T1, because it ended at 0.020 s, before T1 began: a contradiction.
    "#);
}

#[test]
fn a_read_that_goes_back_is_stale() {
    let text = told(
        "append",
        "
        c1 n1 10-100 append l0=1
        c2 n2 30-40 elements l0 1
        c3 n3 60-70 elements l0
        ",
    );
    insta::assert_snapshot!(text, @r#"
    list: stale-read of l0, culprit 2, operations 0 1 2
      c2 read l0=[1] at n2 from 0.030 s to 0.040 s; then c3 read l0=[] at n3 from 0.060 s to 0.070 s, without 1, which the earlier read had.
    transactions: g-single-realtime of l0, culprit 2, operations 0 1 2
      T1: c3 read l0=[] at n3 from 0.060 s to 0.070 s.
      T2: c1 appended 1 to l0 at n1, acknowledged at 0.100 s.
      T3: c2 read l0=[1] at n2 from 0.030 s to 0.040 s.
      T1 must come before T2, because T1 read l0 without 1, which T2 appended.
      T2 must come before T3, because T3 read l0, whose last element was 1 of T2.
      T3 must come before T1, because it ended at 0.040 s, before T1 began: a contradiction.
    "#);
}

#[test]
fn two_reads_that_go_on_differently_are_of_two_histories() {
    let text = told(
        "append",
        "
        c1 n1 10-20 append l0=1
        c2 n2 11-21 append l0=2
        c3 n3 60-70 elements l0 1,2
        c4 n2 61-71 elements l0 2,1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    list: incompatible-order of l0, culprit 3, operations 0 1 2 3
      c3 read l0=[1 2] at n3 from 0.060 s to 0.070 s; c4 read l0=[2 1] at n2 from 0.061 s to 0.071 s: after the same beginning the one goes on with 1, the other with 2, and a list never loses or moves an element.
    "#);
}

#[test]
fn an_element_twice_is_a_duplicate() {
    let text = told(
        "append",
        "
        c1 n1 10-20 append l0=1
        c3 n3 60-70 elements l0 1,1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    list: duplicate of l0, culprit 1, operations 0 1
      c1 appended 1 to l0 at n1, acknowledged at 0.020 s; c3 read l0=[1 1] at n3 from 0.060 s to 0.070 s, and 1 twice, although it was appended once.
    "#);
}

#[test]
fn an_element_that_nobody_appended_is_a_phantom() {
    let text = told(
        "append",
        "
        c1 n1 10-20 append l0=1
        c3 n3 60-70 elements l0 1,7
        ",
    );
    insta::assert_snapshot!(text, @r#"
    list: phantom of l0, culprit 1, operations 1
      c3 read l0=[1 7] at n3 from 0.060 s to 0.070 s, and 7 among them, which nobody ever appended.
    "#);
}

#[test]
fn an_element_whose_append_failed_is_an_aborted_read() {
    let text = told(
        "append",
        "
        c1 n1 10-20 append l0=1 fail
        c2 n1 30-40 append l0=2
        c3 n3 60-70 elements l0 1,2
        ",
    );
    insta::assert_snapshot!(text, @r"
    list: aborted-read of l0, culprit 2, operations 0 2
      c1 sent an append of 1 to l0 at n1 at 0.010 s, which certainly failed (no-leader); c3 read l0=[1 2] at n3 from 0.060 s to 0.070 s, and 1 among them.
    transactions: g1a of l0, culprit 2, operations 0 2
      c1 sent an append of 1 to l0 at n1 at 0.010 s, which certainly failed (no-leader); c3 read l0=[1 2] at n3 from 0.060 s to 0.070 s, and 1 among them.
    ");
}

#[test]
fn an_element_before_it_was_sent_is_from_the_future() {
    let text = told(
        "append",
        "
        c3 n3 10-20 elements l0 1
        c1 n1 30-40 append l0=1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    list: future-read of l0, culprit 0, operations 0 1
      c3 read l0=[1] at n3 from 0.010 s to 0.020 s, and 1 among them; only then c1 appended 1 to l0 at n1, sent at 0.030 s and acknowledged at 0.040 s.
    transactions: g1c-realtime of l0, culprit 1, operations 0 1
      T1: c3 read l0=[1] at n3 from 0.010 s to 0.020 s.
      T2: c1 appended 1 to l0 at n1, acknowledged at 0.040 s.
      T1 must come before T2, because it ended at 0.020 s, before T2 began.
      T2 must come before T1, because T1 read l0, whose last element was 1 of T2: a contradiction.
    "#);
}

#[test]
fn an_element_before_one_that_was_acknowledged_earlier_is_out_of_order() {
    let text = told(
        "append",
        "
        c1 n1 10-20 append l0=1
        c2 n1 30-40 append l0=2
        c3 n3 60-70 elements l0 2,1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    list: out-of-order of l0, culprit 1, operations 0 1 2
      c1 appended 1 to l0 at n1, acknowledged at 0.020 s; only then c2 appended 2 to l0 at n1, sent at 0.030 s and acknowledged at 0.040 s; but c3 read l0=[2 1] at n3 from 0.060 s to 0.070 s, with 2 before 1.
    transactions: g0-realtime of l0, culprit 1, operations 0 1 2
      T1: c1 appended 1 to l0 at n1, acknowledged at 0.020 s.
      T2: c2 appended 2 to l0 at n1, acknowledged at 0.040 s.
      T1 must come before T2, because it ended at 0.020 s, before T2 began.
      T2 must come before T1, because c3 read l0 with 2 of T2 directly before 1 of T1: a contradiction.
    "#);
}

// The examples of transactions are those of Elle's own tests, with its names (jepsen-io/elle,
// test/elle/list_append_test.clj): `ax1` is `a:x=1`, `rx12` is `l:x=1,2`.

#[test]
fn a_cycle_of_writes_is_g0() {
    let text = told(
        "append",
        "
        c1 n1 10-100 txn a:x=1 a:y=1
        c2 n2 11-101 txn a:x=2 a:y=2
        c3 n3 12-102 txn l:x=1,2 l:y=2,1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    transactions: g0 of x, culprit 1, operations 0 1 2
      T1: c1 appended 1 to x, appended 1 to y at n1, acknowledged at 0.100 s.
      T2: c2 appended 2 to x, appended 2 to y at n2, acknowledged at 0.101 s.
      T1 must come before T2, because c3 read x with 1 of T1 directly before 2 of T2.
      T2 must come before T1, because c3 read y with 2 of T2 directly before 1 of T1: a contradiction.
    "#);
}

#[test]
fn a_cycle_of_writes_and_reads_is_g1c() {
    let text = told(
        "append",
        "
        c1 n1 10-100 txn a:x=1 l:y=1
        c2 n2 11-101 txn a:x=2 a:y=1
        c3 n3 12-102 txn l:x=1,2
        ",
    );
    insta::assert_snapshot!(text, @r#"
    transactions: g1c of x, culprit 1, operations 0 1 2
      T1: c1 appended 1 to x, read y=[1] at n1, acknowledged at 0.100 s.
      T2: c2 appended 2 to x, appended 1 to y at n2, acknowledged at 0.101 s.
      T1 must come before T2, because c3 read x with 1 of T1 directly before 2 of T2.
      T2 must come before T1, because T1 read y, whose last element was 1 of T2: a contradiction.
    "#);
}

#[test]
fn a_transaction_that_sees_half_of_another_is_read_skew() {
    let text = told(
        "append",
        "
        c1 n1 10-100 txn a:x=1 a:y=1
        c2 n2 11-101 txn l:x=1 l:y=
        ",
    );
    insta::assert_snapshot!(text, @r#"
    transactions: g-single of y, culprit 1, operations 0 1
      T1: c2 read x=[1], read y=[] at n2 from 0.011 s to 0.101 s.
      T2: c1 appended 1 to x, appended 1 to y at n1, acknowledged at 0.100 s.
      T1 must come before T2, because T1 read y without 1, which T2 appended.
      T2 must come before T1, because T1 read x, whose last element was 1 of T2: a contradiction.
    "#);
}

#[test]
fn two_transactions_that_each_miss_the_other_are_write_skew() {
    let text = told(
        "append",
        "
        c1 n1 10-100 txn l:x= a:y=1
        c2 n2 11-101 txn l:y= a:x=1
        c3 n3 12-102 txn l:x=1 l:y=1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    transactions: g2 of x, culprit 1, operations 0 1
      T1: c1 read x=[], appended 1 to y at n1, acknowledged at 0.100 s.
      T2: c2 read y=[], appended 1 to x at n2, acknowledged at 0.101 s.
      T1 must come before T2, because T1 read x without 1, which T2 appended.
      T2 must come before T1, because T2 read y without 1, which T1 appended: a contradiction.
    "#);
}

#[test]
fn what_nobody_read_was_appended_behind_all_that_somebody_read() {
    // c2 read y whole, so c3 appended to it only later: one write is missed, and not two.
    let text = told(
        "append",
        "
        c1 n1 10-100 txn a:x=1
        c2 n2 11-101 txn l:x=1 a:y=1 l:y=1
        c3 n3 12-102 txn l:x= a:y=2
        ",
    );
    insta::assert_snapshot!(text, @r#"
    transactions: g-single of x, culprit 2, operations 0 1 2
      T1: c3 read x=[], appended 2 to y at n3, acknowledged at 0.102 s.
      T2: c1 appended 1 to x at n1, acknowledged at 0.100 s.
      T3: c2 read x=[1], appended 1 to y, read y=[1] at n2, acknowledged at 0.101 s.
      T1 must come before T2, because T1 read x without 1, which T2 appended.
      T2 must come before T3, because T3 read x, whose last element was 1 of T2.
      T3 must come before T1, because T1 appended 2 to y, which no read has, and the longest ends in 1 of T3: a contradiction.
    "#);
}

#[test]
fn a_transaction_that_sees_its_own_later_append_has_seen_the_future() {
    let first = told("append", "c1 n1 10-20 txn l:x=1 a:x=1");
    // Behind what another one appended, and in front of an append of its own that was due.
    let second = told(
        "append",
        "
        c1 n1 10-20 txn a:x=7
        c2 n2 30-40 txn l:y= l:x=7,8 a:y=1 a:x=8
        c3 n3 50-60 txn a:x=2 l:x=7,8,3,2 a:x=3
        ",
    );
    insta::assert_snapshot!(first + &second, @r#"
    transactions: future-read of x, culprit 0, operations 0
      c1 read x=[1], appended 1 to x at n1, acknowledged at 0.020 s: it saw 1 in x before its own step that appends 1.
    transactions: future-read of x, culprit 1, operations 1
      c2 read y=[], read x=[7 8], appended 1 to y, appended 8 to x at n2, acknowledged at 0.040 s: it saw 8 in x before its own step that appends 8.
    transactions: future-read of x, culprit 2, operations 2
      c3 appended 2 to x, read x=[7 8 3 2], appended 3 to x at n3, acknowledged at 0.060 s: it saw 3 in x before its own step that appends 3.
    "#);
    // What it appended before it read is there, whoever appended in between.
    passes(
        "append",
        "
        c1 n1 10-100 txn a:x=1 l:x=1 a:x=2 l:x=1,2 a:y=2
        c2 n2 11-101 txn l:x=1,2 a:x=3 a:y=3
        c3 n3 110-120 txn l:x=1,2,3 l:y=2,3
        ",
    );
}

#[test]
fn what_one_transaction_appended_stands_in_the_order_of_its_steps() {
    let text = told(
        "append",
        "
        c1 n1 10-100 txn a:x=1 a:y=5 a:x=2
        c2 n2 11-101 txn a:x=3 l:x=2,1,3
        ",
    );
    insta::assert_snapshot!(text, @r#"
    transactions: out-of-order of x, culprit 0, operations 0 1
      c1 appended 1 to x, appended 5 to y, appended 2 to x at n1, acknowledged at 0.100 s; c2 appended 3 to x, read x=[2 1 3] at n2, acknowledged at 0.101 s, with 2 before 1, which the same transaction appended first.
    "#);
}

#[test]
fn a_transaction_of_unknown_outcome_that_somebody_saw_was_done_as_a_whole() {
    let text = told(
        "append",
        "
        c1 n1 10-? txn a:x=1 a:y=1
        c2 n2 20-30 txn l:x=1 l:y= a:y=2
        ",
    );
    insta::assert_snapshot!(text, @r#"
    transactions: g-single of y, culprit 1, operations 0 1
      T1: c2 read x=[1], read y=[], appended 2 to y at n2, acknowledged at 0.030 s.
      T2: c1 sent "append 1 to x, append 1 to y" at n1 at 0.010 s, whose outcome it never knew.
      T1 must come before T2, because T1 read y without 1, which T2 appended.
      T2 must come before T1, because T1 read x, whose last element was 1 of T2: a contradiction.
    "#);
    passes(
        "append",
        "
        c1 n1 10-? txn a:x=1 a:y=1
        c2 n2 20-30 txn l:x= l:y= a:y=2
        ",
    );
}

#[test]
fn a_serializable_history_of_the_literature_has_no_cycle() {
    // Figure 3 of Adya, Liskov and O'Neil, as Elle's tests have it.
    passes(
        "append",
        "
        c1 n1 10-100 txn a:z=1 a:x=1 a:y=1
        c2 n2 11-101 txn l:x=1 a:y=2
        c3 n3 12-102 txn l:y=1,2 a:z=3
        c4 n3 13-103 txn l:z=1,3
        ",
    );
}

#[test]
fn what_a_transaction_of_unknown_outcome_read_proves_nothing() {
    passes(
        "append",
        "
        c1 n1 10-? txn a:x=2 l:y=
        c2 n2 11-101 txn a:x=1 a:y=1
        c3 n3 12-102 txn l:x=1,2 l:y=1
        ",
    );
}

#[test]
fn a_write_cycle_that_only_time_closes_has_a_name_of_its_own() {
    let text = told(
        "append",
        "
        c1 n1 10-20 txn a:x=1
        c2 n2 30-40 txn a:x=2
        c3 n3 12-102 txn l:x=2,1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    list: out-of-order of x, culprit 2, operations 0 1 2
      c1 appended 1 to x at n1, acknowledged at 0.020 s; only then c2 appended 2 to x at n2, sent at 0.030 s and acknowledged at 0.040 s; but c3 read x=[2 1] at n3 from 0.012 s to 0.102 s, with 2 before 1.
    transactions: g0-realtime of x, culprit 2, operations 0 1 2
      T1: c1 appended 1 to x at n1, acknowledged at 0.020 s.
      T2: c2 appended 2 to x at n2, acknowledged at 0.040 s.
      T1 must come before T2, because it ended at 0.020 s, before T2 began.
      T2 must come before T1, because c3 read x with 2 of T2 directly before 1 of T1: a contradiction.
    "#);
}

#[test]
fn a_transaction_that_misses_what_ended_before_it_is_stale_by_time() {
    let text = told(
        "append",
        "
        c1 n1 10-20 txn a:x=1 a:y=1
        c2 n2 30-40 txn l:x= a:z=1
        c3 n3 50-60 txn l:x=1 l:y=1 l:z=1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    list: stale-read of x, culprit 1, operations 0 1 2
      c1 appended 1 to x, appended 1 to y at n1, acknowledged at 0.020 s; c2 read x=[], appended 1 to z at n2 from 0.030 s to 0.040 s, without 1, which the read of c3 has.
    transactions: g-single-realtime of x, culprit 1, operations 0 1
      T1: c2 read x=[], appended 1 to z at n2, acknowledged at 0.040 s.
      T2: c1 appended 1 to x, appended 1 to y at n1, acknowledged at 0.020 s.
      T1 must come before T2, because T1 read x without 1, which T2 appended.
      T2 must come before T1, because it ended at 0.020 s, before T1 began: a contradiction.
    "#);
}

#[test]
fn a_read_of_what_failed_is_g1a_and_of_what_was_not_finished_g1b() {
    let text = told(
        "append",
        "
        c1 n1 10-20 txn a:x=1 fail
        c2 n2 30-100 txn a:x=2 a:x=3
        c3 n3 31-101 txn l:x=1,2
        c4 n3 110-120 txn l:x=1,2,3
        ",
    );
    insta::assert_snapshot!(text, @r#"
    list: aborted-read of x, culprit 3, operations 0 3
      c1 sent "append 1 to x" at n1 at 0.010 s, which certainly failed (no-leader); c4 read x=[1 2 3] at n3 from 0.110 s to 0.120 s, and 1 among them.
    transactions: g1a of x, culprit 2, operations 0 2
      c1 sent "append 1 to x" at n1 at 0.010 s, which certainly failed (no-leader); c3 read x=[1 2] at n3 from 0.031 s to 0.101 s, and 1 among them.
    transactions: g1b of x, culprit 2, operations 1 2
      c2 appended 2 to x, appended 3 to x at n2, acknowledged at 0.100 s; c3 read x=[1 2] at n3 from 0.031 s to 0.101 s, with 2 but without 3, which the same transaction appended.
    transactions: g1a of x, culprit 3, operations 0 3
      c1 sent "append 1 to x" at n1 at 0.010 s, which certainly failed (no-leader); c4 read x=[1 2 3] at n3 from 0.110 s to 0.120 s, and 1 among them.
    "#);
}

#[test]
fn a_transaction_that_does_not_see_its_own_steps_is_at_odds_with_itself() {
    let text = told(
        "append",
        "
        c1 n1 10-20 txn l:x= a:x=3 l:x=
        c2 n1 30-40 txn l:x=3
        ",
    );
    insta::assert_snapshot!(text, @r#"
    transactions: internal of x, culprit 0, operations 0
      c1 read x=[], appended 3 to x, read x=[] at n1, acknowledged at 0.020 s: what it read of x is not what its own steps before say.
    "#);
}

#[test]
fn counters_that_grow_are_right() {
    passes(
        "counter",
        "
        c1 n1 10-20 add n0=1
        c2 n2 15-? add n0
        c3 n3 30-40 add n0=3
        c4 n1 50-60 read n0=3
        ",
    );
}

#[test]
fn two_increments_to_one_sum_are_a_lost_update() {
    let text = told(
        "counter",
        "
        c1 n1 10-20 add n0=1
        c2 n2 30-40 add n0=1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    counter: lost-update of n0, culprit 1, operations 0 1
      c1 raised n0 by 1 to 1 at n1, acknowledged at 0.020 s; c2 raised n0 by 1 to 1 at n2, acknowledged at 0.040 s: each added one, and both came to the same.
    "#);
}

#[test]
fn a_sum_below_one_seen_before_is_stale() {
    let text = told(
        "counter",
        "
        c1 n1 10-20 add n0=1
        c2 n2 30-40 add n0=2
        c3 n3 50-60 read n0=1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    counter: stale-read of n0, culprit 2, operations 1 2
      c2 raised n0 by 1 to 2 at n2, acknowledged at 0.040 s; then c3 read n0=1 at n3 from 0.050 s to 0.060 s, which is less.
    "#);
}

#[test]
fn a_sum_at_the_end_below_one_that_was_acknowledged_is_a_lost_write() {
    let text = told(
        "counter",
        "
        c1 n1 10-20 add n0=1
        c2 n2 30-40 add n0=2
        c3 n3 50-60 final read n0=1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    counter: lost-write of n0, culprit 1, operations 1 2
      c2 raised n0 by 1 to 2 at n2, acknowledged at 0.040 s; at the end c3 read n0=1 at n3 from 0.050 s to 0.060 s, which is less.
    "#);
}

#[test]
fn a_sum_above_all_increments_is_a_phantom() {
    let text = told(
        "counter",
        "
        c1 n1 10-20 add n0=1
        c2 n2 15-? add n0
        c3 n3 50-60 read n0=3
        ",
    );
    insta::assert_snapshot!(text, @r#"
    counter: phantom of n0, culprit 2, operations 2
      c3 read n0=3 at n3 from 0.050 s to 0.060 s, with no more than 2 increments that were sent before.
      not for the brute force: what a counter may be at most is proven by all increments together
    "#);
}

#[test]
fn an_id_given_out_twice_is_a_duplicate() {
    let text = told(
        "unique-ids",
        "
        c1 n1 10-20 add ids=1
        c2 n2 30-40 add ids=2
        c3 n3 50-60 add ids=2
        ",
    );
    insta::assert_snapshot!(text, @r#"
    unique-ids: duplicate of ids, culprit 2, operations 1 2
      c2 raised ids by 1 to 2 at n2, acknowledged at 0.040 s; c3 raised ids by 1 to 2 at n3, acknowledged at 0.060 s: 2 was given out twice.
    "#);
}

#[test]
fn a_sum_of_all_accounts_that_is_another_is_a_wrong_total() {
    let text = told(
        "bank",
        "
        c1 n1 10-20 txn if:a0= if:a1= w:a0=100 w:a1=100
        c2 n2 30-40 txn if:a0=100 if:a1=100 w:a0=97 w:a1=103
        c3 n3 50-60 txn r:a0=97 r:a1=100
        c4 n3 70-80 txn r:a0=97 r:a1=103
        ",
    );
    insta::assert_snapshot!(text, @r#"
    bank: wrong-total of a0, culprit 2, operations 0 2
      c3 read a0=97, read a1=100 at n3 from 0.050 s to 0.060 s.
      Together that is 197, although the accounts were opened with 200 and transfers move no more than they take.
      not for the brute force: a sum is a matter of arithmetic, not of the order of operations
    "#);
}

#[test]
fn accounts_that_are_not_open_have_no_sum() {
    passes(
        "bank",
        "
        c3 n3 1-5 txn r:a0= r:a1=
        c1 n1 10-20 txn if:a0= if:a1= w:a0=100 w:a1=100
        c2 n2 30-40 txn if:a0= if:a1= w:a0=100 w:a1=100 else r:a0=100 r:a1=100
        ",
    );
}

#[test]
fn a_session_that_does_not_see_its_own_write_is_told_so() {
    let text = told(
        "sessions",
        "
        c1 n1 10-20 write p0.a=1
        c1 n1 30-40 read p0.a=absent
        ",
    );
    insta::assert_snapshot!(text, @r#"
    sessions: read-your-writes of p0.a, culprit 1, operations 0 1
      c1 wrote p0.a=1 at n1, acknowledged at 0.020 s; then c1 found p0.a absent at n1 from 0.030 s to 0.040 s.
      not for the brute force: what a session may expect is less than one order of all operations
    "#);
}

#[test]
fn a_session_that_reads_backwards_is_told_so() {
    let text = told(
        "sessions",
        "
        c1 n1 10-20 write p0.a=1
        c1 n1 21-29 write p0.b=2
        c1 n1 30-40 write p0.a=3
        c2 n2 50-60 read p0.a=3
        c2 n2 70-80 read p0.a=1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    sessions: monotonic-reads of p0.a, culprit 4, operations 0 2 3 4
      c1 wrote p0.a=1 at n1, acknowledged at 0.020 s; then c1 wrote p0.a=3 at n1, sent at 0.030 s and acknowledged at 0.040 s.
      c2 read p0.a=3 at n2 from 0.050 s to 0.060 s; then c2 read p0.a=1 at n2 from 0.070 s to 0.080 s, the older of the two.
      not for the brute force: what a session may expect is less than one order of all operations
    "#);
}

#[test]
fn a_session_that_sees_the_later_write_without_the_earlier_is_told_so() {
    let text = told(
        "sessions",
        "
        c1 n1 10-20 write p0.a=1
        c1 n1 21-29 write p0.b=2
        c2 n2 50-60 read p0.b=2
        c2 n2 70-80 read p0.a=absent
        ",
    );
    insta::assert_snapshot!(text, @r#"
    sessions: monotonic-writes of p0.a, culprit 3, operations 0 1 2 3
      c1 wrote p0.a=1 at n1, acknowledged at 0.020 s; then c1 wrote p0.b=2 at n1, sent at 0.021 s and acknowledged at 0.029 s.
      c2 read p0.b=2 at n2 from 0.050 s to 0.060 s, the second of them; then c2 found p0.a absent at n2 from 0.070 s to 0.080 s, without the first.
      not for the brute force: what a session may expect is less than one order of all operations
    "#);
}

#[test]
fn sessions_may_lag_behind_one_another() {
    passes(
        "sessions",
        "
        c1 n1 10-20 write p0.a=1
        c1 n1 21-29 write p0.b=2
        c2 n2 50-60 read p0.b=absent
        c3 n3 51-61 read p0.b=2
        c2 n2 70-80 read p0.a=1
        ",
    );
}

#[test]
fn a_request_that_was_done_twice_is_a_duplicate() {
    let text = told(
        "idempotent-retry",
        "
        c1 n1 10-? once q1 append l0=1
        c2 n2 30-40 once q1 append l0=1
        c3 n3 60-70 elements l0 1,1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    list: duplicate of l0, culprit 2, operations 1 2
      c2 appended 1 to l0 at n2, acknowledged at 0.040 s (request q1); c3 read l0=[1 1] at n3 from 0.060 s to 0.070 s, and 1 twice, although q1, sent 2 times, is one request and is done once.
    "#);
}

#[test]
fn a_request_that_was_sent_twice_and_done_once_is_right() {
    passes(
        "idempotent-retry",
        "
        c1 n1 10-? once q1 append l0=1
        c2 n2 30-40 once q1 append l0=1
        c3 n3 60-70 elements l0 1
        ",
    );
}

#[test]
fn a_local_read_need_not_see_the_own_write_but_must_not_go_back() {
    passes(
        "sessions",
        "
        c1 n1 10-20 write p0.a=1
        c1 n1 30-40 local read p0.a=absent
        c2 n2 50-60 local read p0.a=1
        ",
    );
    let judged = judge(&history(
        "sessions",
        "
        c1 n1 10-20 write p0.a=1
        c1 n1 30-40 local read p0.a=1
        c1 n1 50-60 local read p0.a=absent
        ",
    ));
    assert_eq!(judged[0].anomalies[0].kind, AnomalyKind::MonotonicReads);
}
