//! Golden texts of what is rarer: where the search has to say it, cycles of which time is a part, and answers
//! about what was not yet there.

use super::golden::told;

#[test]
fn values_that_come_again_and_that_no_order_explains_have_no_narrower_name() {
    let text = told(
        "register",
        "
        c1 n1 10-100 write r1=1
        c2 n2 11-101 write r1=2
        c3 n3 12-102 write r1=1
        c4 n1 20-30 read r1=1
        c5 n2 40-45 read r1=2
        c4 n1 50-55 read r1=1
        c5 n2 60-65 read r1=2
        ",
    );
    insta::assert_snapshot!(text, @r"
    linearizable: non-linearizable of r1, culprit 6, operations 0 1 2 4 5 6
      No order explains these operations: c5 read r1=2 at n2 from 0.060 s to 0.065 s, but up to then r1 can only have been 1.
    ");
}

#[test]
fn an_element_that_was_added_twice_does_not_come_out_three_times() {
    let text = told(
        "queue",
        "
        c1 n1 10-20 enqueue q0=1
        c2 n2 30-40 enqueue q0=1
        c3 n3 50-60 dequeue q0=1
        c4 n1 70-80 dequeue q0=1
        c5 n2 82-84 dequeue q0=1
        c9 n1 90-95 final queue q0
        ",
    );
    insta::assert_snapshot!(text, @r"
    queue: non-linearizable of q0, culprit 4, operations 0 1 2 3 4
      No order explains these operations: c5 dequeued 1 from q0 at n2 from 0.082 s to 0.084 s, but up to then q0 can only have held [].
    ");
}

#[test]
fn a_write_skew_that_only_time_closes_has_a_name_of_its_own() {
    let text = told(
        "append",
        "
        c1 n1 10-100 txn l:x= a:y=1
        c2 n2 20-30 txn a:x=1
        c3 n3 40-50 txn l:y=
        c4 n3 110-120 txn l:x=1 l:y=1
        ",
    );
    insta::assert_snapshot!(text, @r"
    transactions: g2-realtime of x, culprit 2, operations 0 1 2
      T1: c1 read x=[], appended 1 to y at n1, acknowledged at 0.100 s.
      T2: c2 appended 1 to x at n2, acknowledged at 0.030 s.
      T3: c3 read y=[] at n3 from 0.040 s to 0.050 s.
      T1 must come before T2, because T1 read x without 1, which T2 appended.
      T2 must come before T3, because it ended at 0.030 s, before T3 began.
      T3 must come before T1, because T3 read y without 1, which T1 appended: a contradiction.
    ");
}

#[test]
fn a_session_that_sees_a_value_before_it_was_written_is_told_so() {
    let text = told(
        "sessions",
        "
        c2 n2 10-20 read p0.a=1
        c1 n1 30-40 write p0.a=1
        ",
    );
    insta::assert_snapshot!(text, @r"
    sessions: future-read of p0.a, culprit 0, operations 0 1
      c2 read p0.a=1 at n2 from 0.010 s to 0.020 s; only then c1 wrote p0.a=1 at n1, sent at 0.030 s and acknowledged at 0.040 s.
      not for the brute force: what a session may expect is less than one order of all operations
    ");
}

#[test]
fn a_session_that_sees_what_nobody_wrote_is_told_so() {
    let text = told(
        "sessions",
        "
        c1 n1 10-20 write p0.a=1
        c2 n2 30-40 read p0.a=7
        ",
    );
    insta::assert_snapshot!(text, @r"
    sessions: phantom of p0.a, culprit 1, operations 1
      c2 read p0.a=7 at n2 from 0.030 s to 0.040 s, a value that nobody wrote to p0.a.
      not for the brute force: what a session may expect is less than one order of all operations
    ");
}

#[test]
fn a_holder_that_is_named_before_it_asks_is_from_the_future() {
    let text = told(
        "lock",
        "
        c2 n2 10-20 acquire l0 100 held c1 3
        c1 n1 30-40 acquire l0 100 under 3
        ",
    );
    insta::assert_snapshot!(text, @r"
    lock: future-read of l0, culprit 0, operations 0 1
      c2 was denied l0, which c1 held under token 3, at n2 from 0.010 s to 0.020 s; only then c1 acquired l0 under token 3 at n1, sent at 0.030 s and acknowledged at 0.040 s.
    ");
}

#[test]
fn a_lock_that_is_renewed_after_it_was_given_back_is_resurrected() {
    let text = told(
        "lock",
        "
        c1 n1 10-20 acquire l0 100 under 3
        c1 n1 30-40 release l0 3
        c1 n1 50-60 renew l0 3
        ",
    );
    insta::assert_snapshot!(text, @r"
    lock: resurrected of l0, culprit 2, operations 0 1 2
      c1 released l0 under token 3 at n1, acknowledged at 0.040 s; only then c1 renewed l0 under token 3 at n1, sent at 0.050 s and acknowledged at 0.060 s: c1 had given it back, and token 3 is never given again.
    ");
}
