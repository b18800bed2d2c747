//! Golden texts of queues: one history written by hand for each anomaly, what is said of it, and
//! whether the brute force agrees.

use super::golden::told;
use super::testing::history;
use crate::verdict::Verdict;
use crate::workload::judge;

#[test]
fn first_in_first_out_is_right_also_where_answers_are_missing() {
    let history = history(
        "queue",
        "
        c1 n1 10-20 enqueue q0=1
        c2 n2 15-40 enqueue q0=2
        c3 n3 30-35 dequeue q0=2
        c3 n3 50-? dequeue q0
        c1 n1 60-70 enqueue q0=3
        c2 n2 75-80 dequeue q0=3
        c2 n2 85-90 dequeue q0
        c4 n1 100-? enqueue q0=4
        c5 n1 110-120 enqueue q0=5
        c9 n1 200-210 final queue q0 5
        ",
    );
    let judgements = judge(&history);
    assert_eq!(judgements[0].verdict, Verdict::Pass, "{judgements:#?}");
}

#[test]
fn an_element_that_nobody_was_given_and_that_is_not_there_is_lost() {
    let text = told(
        "queue",
        "
        c1 n1 10-20 enqueue q0=1
        c2 n2 30-40 enqueue q0=2
        c3 n3 60-70 dequeue q0=1
        c9 n1 90-95 final queue q0
        ",
    );
    insta::assert_snapshot!(text, @r"
    queue: lost-write of q0, culprit 1, operations 1 3
      c2 enqueued 2 to q0 at n2, acknowledged at 0.040 s; nobody was given it, and c9 read q0=[] at n1 from 0.090 s to 0.095 s without it.
    ");
}

#[test]
fn more_can_not_be_taken_than_there_are_dequeues_of_unknown_outcome() {
    let text = told(
        "queue",
        "
        c1 n1 10-20 enqueue q0=1
        c2 n2 30-40 enqueue q0=2
        c3 n3 60-? dequeue q0
        c9 n1 90-95 final queue q0
        ",
    );
    insta::assert_snapshot!(text, @r"
    queue: lost-write of q0, culprit 1, operations 1 3
      c2 enqueued 2 to q0 at n2, acknowledged at 0.040 s; it is one of 2 that nobody was given and that are not there at the end (c9 read q0=[] at n1 from 0.090 s to 0.095 s), and only 1 can have been taken by dequeues whose outcome nobody knows.
      not for the brute force: what dequeues of unknown outcome took is a matter of all operations
    ");
}

#[test]
fn an_element_that_is_given_twice_is_a_duplicate() {
    let text = told(
        "queue",
        "
        c1 n1 10-20 enqueue q0=1
        c3 n3 30-40 dequeue q0=1
        c4 n2 50-60 dequeue q0=1
        c9 n1 90-95 final queue q0
        ",
    );
    insta::assert_snapshot!(text, @r"
    queue: duplicate of q0, culprit 2, operations 0 1 2
      c3 dequeued 1 from q0 at n3 from 0.030 s to 0.040 s; c4 dequeued 1 from q0 at n2 from 0.050 s to 0.060 s: 1 came out twice.
    ");
}

#[test]
fn an_element_that_nobody_added_is_a_phantom() {
    let text = told(
        "queue",
        "
        c1 n1 10-20 enqueue q0=1
        c3 n3 30-40 dequeue q0=7
        c9 n1 90-95 final queue q0 1
        ",
    );
    insta::assert_snapshot!(text, @r"
    queue: phantom of q0, culprit 1, operations 1
      c3 dequeued 7 from q0 at n3 from 0.030 s to 0.040 s: nobody ever added 7.
    ");
}

#[test]
fn an_element_whose_enqueue_failed_must_not_come_out() {
    let text = told(
        "queue",
        "
        c1 n1 10-20 enqueue q0=1
        c2 n2 11-21 enqueue q0=2 fail
        c3 n3 30-40 dequeue q0=1
        c9 n1 90-95 final queue q0 2
        ",
    );
    insta::assert_snapshot!(text, @r"
    queue: aborted-read of q0, culprit 3, operations 1 3
      c2 sent an enqueue of 2 to q0 at n2 at 0.011 s, which certainly failed (no-leader); c9 read q0=[2] at n1 from 0.090 s to 0.095 s.
    ");
}

#[test]
fn an_element_that_comes_out_before_it_is_added_is_from_the_future() {
    let text = told(
        "queue",
        "
        c3 n3 10-20 dequeue q0=1
        c1 n1 30-40 enqueue q0=1
        c9 n1 90-95 final queue q0
        ",
    );
    insta::assert_snapshot!(text, @r"
    queue: future-read of q0, culprit 0, operations 0 1
      c3 dequeued 1 from q0 at n3 from 0.010 s to 0.020 s; only then c1 enqueued 1 to q0 at n1, sent at 0.030 s and acknowledged at 0.040 s.
    ");
}

#[test]
fn who_was_added_first_is_taken_first() {
    let text = told(
        "queue",
        "
        c1 n1 10-20 enqueue q0=1
        c2 n2 30-40 enqueue q0=2
        c3 n3 50-60 dequeue q0=2
        c4 n2 70-80 dequeue q0=1
        c9 n1 90-95 final queue q0
        ",
    );
    insta::assert_snapshot!(text, @r"
    queue: out-of-order of q0, culprit 2, operations 0 1 2 3
      c1 enqueued 1 to q0 at n1, acknowledged at 0.020 s; then c2 enqueued 2 to q0 at n2, sent at 0.030 s and acknowledged at 0.040 s; but c3 dequeued 2 from q0 at n3 from 0.050 s to 0.060 s, and only then c4 dequeued 1 from q0 at n2 from 0.070 s to 0.080 s.
    ");
}

#[test]
fn what_is_left_stands_in_the_order_in_which_it_was_added() {
    let text = told(
        "queue",
        "
        c1 n1 10-20 enqueue q0=1
        c2 n2 30-40 enqueue q0=2
        c9 n1 90-95 final queue q0 2,1
        ",
    );
    insta::assert_snapshot!(text, @r"
    queue: out-of-order of q0, culprit 2, operations 0 1 2
      c1 enqueued 1 to q0 at n1, acknowledged at 0.020 s; then c2 enqueued 2 to q0 at n2, sent at 0.030 s and acknowledged at 0.040 s; but c9 read q0=[2 1] at n1 from 0.090 s to 0.095 s.
    ");
}

#[test]
fn a_queue_that_holds_something_all_the_time_is_not_empty() {
    let text = told(
        "queue",
        "
        c1 n1 10-20 enqueue q0=1
        c2 n2 30-40 dequeue q0
        c3 n3 50-60 dequeue q0=1
        c9 n1 90-95 final queue q0
        ",
    );
    insta::assert_snapshot!(text, @r"
    queue: stale-read of q0, culprit 1, operations 0 1 2
      c2 found q0 empty at n2 from 0.030 s to 0.040 s, but it never was in that time: 1 was there from 0.020 s, when c1's enqueue of it was acknowledged, to 0.050 s, when c3's dequeue of it began.
    ");
}

#[test]
fn a_queue_that_always_holds_one_or_the_other_is_not_empty() {
    let text = told(
        "queue",
        "
        c1 n1 10-20 enqueue q0=1
        c2 n2 30-80 dequeue q0
        c1 n1 40-50 enqueue q0=2
        c3 n3 60-70 dequeue q0=1
        c4 n3 85-89 dequeue q0=2
        c9 n1 90-95 final queue q0
        ",
    );
    insta::assert_snapshot!(text, @r"
    queue: non-linearizable of q0, culprit 1, operations 0 1 2 3 4
      c2 found q0 empty at n2 from 0.030 s to 0.080 s, but it never was in that time: 1 was there from 0.020 s, when c1's enqueue of it was acknowledged, to 0.060 s, when c3's dequeue of it began; 2 was there from 0.050 s, when c1's enqueue of it was acknowledged, to 0.085 s, when c4's dequeue of it began.
    ");
}
