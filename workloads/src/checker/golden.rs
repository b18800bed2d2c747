//! Golden texts: one history written by hand for each way in which an anomaly shows, and what is
//! said of it. Every one is confirmed by the brute force on its minimal history.

use super::brute_force;
use super::testing::{file, history};
use crate::verdict::Verdict;
use crate::workload::{self, judge};

/// Everything that is found in a history, checker by checker, and who proves it.
pub(super) fn told(workload: &str, lines: &str) -> String {
    let history = history(workload, lines);
    let mut text = String::new();
    for judgement in judge(&history) {
        if judgement.verdict != Verdict::Fail {
            continue;
        }
        for anomaly in &judgement.anomalies {
            let ids = |ids: &[crate::history::OperationId]| {
                ids.iter().map(|id| id.0.to_string()).collect::<Vec<_>>().join(" ")
            };
            text += &format!(
                "{}: {} of {}, culprit {}, operations {}",
                judgement.checker,
                anomaly.kind,
                anomaly.key,
                anomaly.culprit.0,
                ids(&anomaly.operations)
            );
            if !anomaly.swaps.is_empty() {
                text += &format!(", swaps {}", ids(&anomaly.swaps));
            }
            text += &format!("\n  {}\n", anomaly.story.join("\n  "));
            match workload::minimal(&history, &judgement, anomaly) {
                Ok(small) => {
                    let small = file(&small);
                    assert!(!brute_force::judge_file(&small).unwrap().possible, "{small}");
                }
                Err(why) => text += &format!("  not for the brute force: {why}\n"),
            }
        }
    }
    text
}

#[test]
fn a_read_of_a_value_overwritten_and_acknowledged_before_it_began_is_stale() {
    let text = told(
        "register",
        "
        c1 n1 10-20 write r1=9
        c3 n1 4000-4112 write r1=17
        c5 n2 6300-6310 read r1=9
        c6 n1 7000-7010 read r1=17
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: stale-read of r1, culprit 2, operations 0 1 2
      c3 wrote r1=17 at n1, acknowledged at 4.112 s; c5 read r1=9 at n2 from 6.300 s to 6.310 s, although 9 was in place before 17 was sent and so was overwritten.
    "#);
}

#[test]
fn a_read_of_a_superseded_link_of_a_chain_is_stale() {
    let text = told(
        "register",
        "
        c1 n1 10-20 write r1=1
        c2 n2 30-40 cas r1 1>2
        c1 n1 50-60 cas r1 2>3
        c3 n3 70-80 read r1=1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: stale-read of r1, culprit 3, operations 0 1 2 3
      c1 swapped r1 from 2 to 3 at n1, acknowledged at 0.060 s; c3 read r1=1 at n3 from 0.070 s to 0.080 s, although 1 had been replaced by 2, then by 3, by compare-and-sets, and so 1 was overwritten.
    "#);
}

#[test]
fn absence_read_after_an_acknowledged_write_is_stale() {
    let text = told(
        "register",
        "
        c1 n1 10-20 write r1=1
        c2 n2 30-40 read r1=absent
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: stale-read of r1, culprit 1, operations 0 1
      c1 wrote r1=1 at n1, acknowledged at 0.020 s; c2 found r1 absent at n2 from 0.030 s to 0.040 s, although r1 was absent only before 1 was written.
    "#);
}

#[test]
fn a_swap_from_a_value_that_was_overwritten_is_stale() {
    let text = told(
        "register",
        "
        c1 n1 10-20 write r1=1
        c2 n2 30-40 write r1=2
        c3 n3 50-60 cas r1 1>3
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: stale-read of r1, culprit 2, operations 0 1 2
      c2 wrote r1=2 at n2, acknowledged at 0.040 s; c3 swapped r1 from 1 to 3 at n3, acknowledged at 0.060 s, although 1 was in place before 2 was sent and so was overwritten.
    "#);
}

#[test]
fn a_stale_read_known_by_a_read_of_a_write_that_was_never_answered_names_both() {
    let text = told(
        "register",
        "
        c1 n1 10-? write r1=1
        c2 n2 20-30 read r1=1
        c3 n3 40-? write r1=2
        c4 n1 50-60 read r1=2
        c5 n2 70-80 read r1=1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: stale-read of r1, culprit 4, operations 0 1 2 3 4
      c3 sent r1=2 at n3 at 0.040 s, whose outcome it never knew; c4 read r1=2 at n1 from 0.050 s to 0.060 s; c5 read r1=1 at n2 from 0.070 s to 0.080 s, although 1 was in place before 2 was sent and so was overwritten.
      That 1 was in place is known because c2 read r1=1 at n2 from 0.020 s to 0.030 s.
    "#);
}

#[test]
fn two_values_that_alternate_without_an_order_of_their_writes_flip_flop() {
    let text = told(
        "register",
        "
        c1 n1 10-100 write r1=1
        c2 n2 11-101 write r1=2
        c3 n3 20-30 read r1=1
        c4 n1 40-50 read r1=2
        c5 n2 60-70 read r1=1
        c6 n3 80-85 read r1=2
        c7 n1 90-95 read r1=1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: flip-flop of r1, culprit 4, operations 0 1 2 3 4
      c3 read r1=1 at n3 from 0.020 s to 0.030 s; then c4 read r1=2 at n1 from 0.040 s to 0.050 s; then c5 read r1=1 at n2 from 0.060 s to 0.070 s: each value was written once, and they go on to alternate: more than one wrong read is needed.
    "#);
}

#[test]
fn a_value_read_again_after_another_one_is_stale_whatever_the_order_of_their_writes() {
    let text = told(
        "register",
        "
        c1 n1 10-100 write r1=1
        c2 n2 11-101 write r1=2
        c3 n3 20-30 read r1=1
        c4 n1 40-50 read r1=2
        c5 n2 60-70 read r1=1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: stale-read of r1, culprit 4, operations 0 1 2 3 4
      c3 read r1=1 at n3 from 0.020 s to 0.030 s; then c4 read r1=2 at n1 from 0.040 s to 0.050 s; then c5 read r1=1 at n2 from 0.060 s to 0.070 s: each value was written once, so 1 cannot come back.
    "#);
}

#[test]
fn a_read_before_the_write_began_is_from_the_future() {
    let text = told(
        "register",
        "
        c1 n1 10-20 read r1=1
        c2 n2 30-40 write r1=1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: future-read of r1, culprit 0, operations 0 1
      c1 read r1=1 at n1 from 0.010 s to 0.020 s, although 1 was only sent at 0.030 s: c2 wrote r1=1 at n2, acknowledged at 0.040 s.
    "#);
}

#[test]
fn a_value_that_nobody_sent_is_a_phantom() {
    let text = told(
        "register",
        "
        c1 n1 10-20 write r1=1
        c2 n2 30-40 read r1=7
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: phantom of r1, culprit 1, operations 1
      c2 read r1=7 at n2 from 0.030 s to 0.040 s, a value that nobody ever sent.
    "#);
}

#[test]
fn a_value_that_rests_on_one_that_nobody_sent_is_a_phantom() {
    let text = told(
        "register",
        "
        c1 n1 10-? cas r1 7>8
        c2 n2 30-40 read r1=8
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: phantom of r1, culprit 1, operations 0 1
      c2 read r1=8 at n2 from 0.030 s to 0.040 s; that can only go back to this: c1 sent a compare-and-set of r1 from 7 to 8 at n1 at 0.010 s, whose outcome it never knew; but what it expected was never written.
    "#);
}

#[test]
fn a_value_whose_write_failed_is_an_aborted_read() {
    let text = told(
        "register",
        "
        c1 n1 10-20 write r1=1 fail
        c2 n2 30-40 read r1=1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: aborted-read of r1, culprit 1, operations 0 1
      c1 sent r1=1 at n1 at 0.010 s, which certainly failed (no-leader); c2 read r1=1 at n2 from 0.030 s to 0.040 s, which nobody else sent.
    "#);
}

#[test]
fn two_swaps_from_one_value_are_a_lost_update() {
    let text = told(
        "register",
        "
        c1 n1 10-20 write r1=1
        c2 n2 30-40 cas r1 1>2
        c3 n3 35-50 cas r1 1>3
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: lost-update of r1, culprit 2, operations 0 1 2
      c2 swapped r1 from 1 to 2 at n2, acknowledged at 0.040 s; c3 swapped r1 from 1 to 3 at n3, acknowledged at 0.050 s, although 1 was written once and can be swapped once.
    "#);
}

#[test]
fn a_swap_of_what_was_not_expected_is_a_lost_update() {
    let text = told(
        "register",
        "
        c1 n1 10-20 write r1=1
        c2 n2 30-40 cas r1 7>2 over 1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: lost-update of r1, culprit 1, operations 1
      c2's compare-and-set of r1 at n2 expected 7, saw 1 and swapped, from 0.030 s to 0.040 s: it overwrote what it did not expect.
    "#);
}

#[test]
fn a_later_link_that_ended_before_an_earlier_one_began_is_out_of_order() {
    let text = told(
        "register",
        "
        c1 n1 10-20 write r1=1
        c2 n2 30-40 cas r1 2>3
        c3 n3 50-60 cas r1 1>2
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: chain-order of r1, culprit 1, operations 0 1 2
      c2 swapped r1 from 2 to 3 at n2, acknowledged at 0.040 s; only then c3 swapped r1 from 1 to 2 at n3, sent at 0.050 s and acknowledged at 0.060 s, although 3 came from 2 by compare-and-set.
    "#);
}

#[test]
fn swaps_that_expect_each_other_are_a_cycle() {
    let text = told(
        "register",
        "
        c1 n1 10-20 cas r1 1>2
        c2 n2 11-21 cas r1 2>1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: cyclic-cas of r1, culprit 1, operations 0 1
      c1 swapped r1 from 1 to 2 at n1, acknowledged at 0.020 s; c2 swapped r1 from 2 to 1 at n2, acknowledged at 0.021 s: each expects what only the other wrote, so neither can be the first.
    "#);
}

#[test]
fn swaps_that_expect_each_other_and_were_never_answered_need_somebody_who_saw_one() {
    let text = told(
        "register",
        "
        c1 n1 10-? cas r1 1>2
        c2 n2 11-? cas r1 2>1
        c3 n3 30-40 read r1=2
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: cyclic-cas of r1, culprit 1, operations 0 1 2
      c1 sent a compare-and-set of r1 from 1 to 2 at n1 at 0.010 s, whose outcome it never knew; c2 sent a compare-and-set of r1 from 2 to 1 at n2 at 0.011 s, whose outcome it never knew: each expects what only the other wrote, so neither can be the first.
      But c3 read r1=2 at n3 from 0.030 s to 0.040 s, so one of them took effect.
    "#);
}

#[test]
fn a_refusal_that_saw_what_it_expected_is_spurious() {
    let text = told(
        "register",
        "
        c1 n1 10-20 write r1=1
        c2 n2 30-40 cas r1 1>2 saw 1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: spurious-mismatch of r1, culprit 1, operations 1
      c2's compare-and-set of r1 at n2 expected 1, saw 1 and was refused, from 0.030 s to 0.040 s: it saw what it expected.
    "#);
}

#[test]
fn a_long_chain_between_two_versions_becomes_swaps() {
    let text = told(
        "register",
        "
        c1 n1 10-20 write r1=1
        c2 n2 30-40 cas r1 1>2
        c2 n2 50-60 cas r1 2>3
        c2 n2 70-80 cas r1 3>4
        c2 n2 90-100 cas r1 4>5
        c2 n2 110-120 cas r1 5>6
        c2 n2 130-140 cas r1 6>7
        c1 n1 150-160 write r1=8
        c3 n3 170-180 read r1=7
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: stale-read of r1, culprit 8, operations 0 4 5 6 7 8, swaps 1 2 3
      c1 wrote r1=8 at n1, acknowledged at 0.160 s; c3 read r1=7 at n3 from 0.170 s to 0.180 s, although 1 was in place before 8 was sent, and 7 came from 1 by compare-and-sets alone, so 8 overwrote it.
    "#);
}

#[test]
fn a_register_that_ends_with_an_older_value_lost_the_newer_write() {
    let text = told(
        "register",
        "
        c1 n1 10-20 write r1=9
        c3 n1 4000-4112 write r1=17
        c6 n2 7000-7010 final read r1=9
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: stale-read of r1, culprit 2, operations 0 1 2
      c3 wrote r1=17 at n1, acknowledged at 4.112 s; c6 read r1=9 at n2 from 7.000 s to 7.010 s, although 9 was in place before 17 was sent and so was overwritten.
    lost-write: lost-write of r1, culprit 1, operations 0 1 2
      c3 wrote r1=17 at n1, acknowledged at 4.112 s; at the end c6 read r1=9 at n2 from 7.000 s to 7.010 s, although 9 was in place before 17 was sent: 17 is gone and nothing overwrote it.
    "#);
}

#[test]
fn a_register_that_ends_absent_lost_its_write() {
    let text = told(
        "register",
        "
        c1 n1 10-20 write r1=9
        c6 n2 7000-7010 final read r1=absent
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: stale-read of r1, culprit 1, operations 0 1
      c1 wrote r1=9 at n1, acknowledged at 0.020 s; c6 found r1 absent at n2 from 7.000 s to 7.010 s, although r1 was absent only before 9 was written.
    lost-write: lost-write of r1, culprit 0, operations 0 1
      c1 wrote r1=9 at n1, acknowledged at 0.020 s; at the end c6 found r1 absent at n2 from 7.000 s to 7.010 s, although nothing was deleted: 9 is gone and nothing overwrote it.
    "#);
}

#[test]
fn a_swap_that_the_final_value_does_not_come_from_is_lost() {
    let text = told(
        "register",
        "
        c1 n1 10-20 write r1=1
        c2 n2 30-40 cas r1 1>2
        c6 n3 7000-7010 final read r1=1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: stale-read of r1, culprit 2, operations 0 1 2
      c2 swapped r1 from 1 to 2 at n2, acknowledged at 0.040 s; c6 read r1=1 at n3 from 7.000 s to 7.010 s, although 2 came from 1 by compare-and-set and so 1 was overwritten.
    lost-write: lost-write of r1, culprit 1, operations 0 1 2
      c2 swapped r1 from 1 to 2 at n2, acknowledged at 0.040 s; at the end c6 read r1=1 at n3 from 7.000 s to 7.010 s, which never came from 2: 2 is gone and nothing overwrote it.
    "#);
}

#[test]
fn an_element_that_no_later_list_holds_is_lost() {
    let text = told(
        "set",
        "
        c1 n1 10-20 write s/1=1
        c2 n2 30-40 write s/2=2
        c3 n3 50-60 list s/ 1,2
        c4 n1 7000-7010 final list s/ 2
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: lost-write of s, culprit 0, operations 0 3
      c1 added 1 to s at n1, acknowledged at 0.020 s; c4 listed s at n1 from 7.000 s to 7.010 s: 1 element, without 1, and no later list has it.
    lost-write: lost-write of s, culprit 0, operations 0 3
      c1 added 1 to s at n1, acknowledged at 0.020 s; at the end c4 listed s at n1 from 7.000 s to 7.010 s: 1 element, without 1.
    "#);
}

#[test]
fn an_acknowledged_element_that_a_list_lacks_for_a_while_is_stale() {
    let text = told(
        "set",
        "
        c1 n1 10-20 write s/1=1
        c2 n2 30-40 list s/
        c3 n3 7000-7010 final list s/ 1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: stale-read of s, culprit 1, operations 0 1 2
      c1 added 1 to s at n1, acknowledged at 0.020 s; c2 listed s at n2 from 0.030 s to 0.040 s: 0 elements, without 1; but c3 listed s at n3 from 7.000 s to 7.010 s: 1 element, with it.
    "#);
}

#[test]
fn an_element_that_comes_back_is_resurrected() {
    let text = told(
        "set",
        "
        c1 n1 10-200 write s/1=1
        c2 n2 30-40 list s/ 1
        c2 n2 50-60 list s/
        c3 n3 7000-7010 final list s/ 1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: resurrected of s, culprit 2, operations 0 1 2 3
      c2 listed s at n2 from 0.030 s to 0.040 s: 1 element, with 1; then c2 listed s at n2 from 0.050 s to 0.060 s: 0 elements, without 1; then c3 listed s at n3 from 7.000 s to 7.010 s: 1 element, with it again.
      c1 added 1 to s at n1, acknowledged at 0.200 s; nothing is ever removed.
    "#);
}

#[test]
fn an_element_twice_in_one_list_is_a_duplicate() {
    let text = told(
        "set",
        "
        c1 n1 10-20 write s/1=1
        c3 n3 7000-7010 final list s/ 1,1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: duplicate of s, culprit 1, operations 0 1
      c1 added 1 to s at n1, acknowledged at 0.020 s; c3 listed s at n3 from 7.000 s to 7.010 s: 2 elements, with 1 twice.
    "#);
}

#[test]
fn lists_that_do_not_include_one_another_flip_flop() {
    let text = told(
        "set",
        "
        c1 n1 10-100 write s/1=1
        c2 n2 11-101 write s/2=2
        c3 n3 20-90 list s/ 1
        c4 n1 21-91 list s/ 2
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: flip-flop of s, culprit 3, operations 0 1 2 3
      c3 listed s at n3 from 0.020 s to 0.090 s: 1 element, with 1 but without 2; c4 listed s at n1 from 0.021 s to 0.091 s: 1 element, with 2 but without 1: neither can be the earlier one, since nothing is ever removed.
    "#);
}

#[test]
fn a_list_with_a_later_element_and_without_an_earlier_one_is_stale() {
    let text = told(
        "set",
        "
        c3 n3 5-90 list s/ 2
        c1 n1 10-20 write s/1=1
        c2 n2 30-40 write s/2=2
        c3 n3 100-110 list s/ 1,2
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: stale-read of s, culprit 0, operations 0 1 2 3
      c1 added 1 to s at n1, acknowledged at 0.020 s; only then c2 added 2 to s at n2, sent at 0.030 s and acknowledged at 0.040 s; c3 listed s at n3 from 0.005 s to 0.090 s: 1 element, with 2 but without 1.
    "#);
}

#[test]
fn an_element_that_nobody_added_is_a_phantom() {
    let text = told(
        "set",
        "
        c1 n1 10-20 write s/1=1
        c3 n3 100-110 list s/ 1,2
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: phantom of s, culprit 1, operations 1
      c3 listed s at n3 from 0.100 s to 0.110 s: 2 elements, with 2, which nobody ever added.
    "#);
}

#[test]
fn an_element_whose_add_failed_is_an_aborted_read() {
    let text = told(
        "set",
        "
        c1 n1 10-20 write s/1=1 fail
        c3 n3 100-110 list s/ 1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: aborted-read of s, culprit 1, operations 0 1
      c1 sent an add of 1 to s at n1 at 0.010 s, which certainly failed (no-leader); c3 listed s at n3 from 0.100 s to 0.110 s: 1 element, with 1.
    "#);
}

#[test]
fn an_element_before_its_add_is_from_the_future() {
    let text = told(
        "set",
        "
        c3 n3 10-20 list s/ 1
        c1 n1 30-40 write s/1=1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    linearizable: future-read of s, culprit 0, operations 0 1
      c3 listed s at n3 from 0.010 s to 0.020 s: 1 element, with 1; only then c1 added 1 to s at n1, sent at 0.030 s and acknowledged at 0.040 s.
    "#);
}

#[test]
fn nodes_that_hold_different_values_diverge() {
    let text = told(
        "register",
        "
        c1 n1 10-20 write r1=1
        c1 n1 30-40 final local read r1=1
        c2 n2 31-41 final local read r1=1
        c3 n3 32-42 final local read r1=absent
        ",
    );
    insta::assert_snapshot!(text, @r#"
    agreement: divergence of r1, culprit 3, operations 1 3
      n3 holds r1=absent, but n1 holds r1=1, after the heal, read at 0.042 s and 0.040 s.
    "#);
}

#[test]
fn nodes_that_hold_different_elements_diverge() {
    let text = told(
        "set",
        "
        c1 n1 10-20 write s/1=1
        c1 n1 11-21 write s/2=2
        c1 n1 30-40 final local list s/ 1
        c2 n2 31-41 final local list s/ 1
        c3 n3 32-42 final local list s/ 2
        ",
    );
    insta::assert_snapshot!(text, @r#"
    agreement: divergence of s, culprit 4, operations 2 4
      Of s n3 lacks 1 element (1) that n1 holds and holds 1 element (2) that n1 lacks, after the heal, read at 0.042 s.
    "#);
}

#[test]
fn what_a_replica_holds_twice_is_not_what_another_one_lacks() {
    let text = told(
        "set",
        "
        c1 n1 10-20 write s/3=3
        c1 n1 30-40 final local list s/ 3
        c2 n2 31-41 final local list s/ 3 3
        c3 n3 32-42 final local list s/ 3
        ",
    );
    assert!(text.contains("n2 holds 1 element (3) more often than n1"), "{text}");
}

#[test]
fn the_brute_force_knows_sums_lists_transactions_and_requests() {
    let possible =
        |lines: &str| brute_force::judge_file(&file(&history("any", lines))).unwrap().possible;
    assert!(possible("c1 n1 1-2 add n=1\n c1 n1 3-4 add n=2\n c1 n1 5-6 read n=2"));
    assert!(!possible("c1 n1 1-2 add n=1\n c1 n1 3-4 add n=1"), "each adds one");
    assert!(possible("c1 n1 1-2 append x=1\n c2 n1 3-4 append x=2\n c1 n1 5-6 elements x 1,2"));
    assert!(!possible("c1 n1 1-2 append x=1\n c2 n1 3-4 append x=2\n c1 n1 5-6 elements x 2,1"));
    assert!(possible("c1 n1 1-2 txn w:a=1 a:x=5 l:x=5\n c2 n1 3-4 txn if:a=1 d:a r:a="));
    assert!(possible("c1 n1 1-2 txn w:a=1\n c2 n1 3-4 txn if:a=2 w:a=3 else r:a=1"));
    assert!(!possible("c1 n1 1-2 txn w:a=1\n c2 n1 3-4 txn if:a=1 w:a=3 else r:a=1"), "it held");
    let twice = "c1 n1 1-2 once q1 append x=1\n c2 n1 3-4 once q1 append x=1\n";
    assert!(possible(&format!("{twice} c1 n1 5-6 elements x 1")));
    assert!(!possible(&format!("{twice} c1 n1 5-6 elements x 1,1")));
}
