//! Golden texts of broken promises, and the promises against every order.

use std::collections::BTreeMap;

use super::*;
use crate::checker::brute_force;
use crate::checker::testing::{self, Model, file};
use crate::operation::{Outcome, Reply, Value};
use crate::seed::Seed;

fn judged(promise: &str, lines: &str) -> Judgement {
    promise.parse::<Promise>().unwrap().judge(&testing::history("register", lines))
}

fn told(promise: &str, lines: &str) -> String {
    let judgement = judged(promise, lines);
    let mut text = format!("{}: {}\n", judgement.verdict, judgement.summary);
    for anomaly in &judgement.anomalies {
        let ids: Vec<String> = anomaly.operations.iter().map(|id| id.0.to_string()).collect();
        text += &format!("{} of {}, operations {}\n", anomaly.kind, anomaly.key, ids.join(" "));
        text += &format!("  {}\n", anomaly.story.join("\n  "));
    }
    let counts: Vec<String> =
        judgement.counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    text + &counts.join(", ")
}

/// One write after the other, and a read of the first at the end.
const OLD: &str = "
    c1 n1 10-20 write r1=1
    c1 n1 30-40 write r1=2
    c1 n1 50-60 write r1=3
    c2 n2 100-110 read r1=1
    c3 n3 120-130 read r1=3
    ";

#[test]
fn a_read_older_than_the_bound_breaks_bounded_staleness() {
    insta::assert_snapshot!(told("bounded-staleness=50ms", OLD), @r#"
    fail: 1 stale-read
    stale-read of r1, operations 0 1 3
      c1 wrote r1=2 at n1, acknowledged at 0.040 s; c2 read r1=1 at n2 from 0.100 s to 0.110 s, although 1 was in place before 2 was sent and so was overwritten.
      Even with reads that may be 50ms old, no order explains this.
    holds-from-ms 60, keys 1, operations 5, searched-keys 0, undecided-keys 0, undecided-operations 0
    "#);
    let holds = |bound| judged(bound, OLD).verdict == Verdict::Pass;
    assert!(!holds("bounded-staleness=59999us") && holds("bounded-staleness=60ms"));
    assert!(holds("consistent-prefix"));
}

#[test]
fn reads_are_held_to_the_bounds_that_they_ask_for_and_all_others_to_none() {
    let judged = |within: &str| {
        let lines = OLD.replace("read r1=1", &format!("read r1=1 {within}"));
        let history = testing::history("bounded-reads", &lines);
        let judgement = check_bounds(&history);
        // The minimal history says the same to whoever tries every order.
        for anomaly in &judgement.anomalies {
            let minimal = workload::minimal(&history, &judgement, anomaly).unwrap();
            assert!(!brute_force::judge_file(&file(&minimal)).unwrap().possible);
        }
        assert_eq!(
            brute_force::judge_whole_file(&file(&history)).unwrap().possible,
            judgement.verdict == Verdict::Pass
        );
        judgement.verdict
    };
    assert_eq!(judged(""), Verdict::Fail, "a read without a bound is to be the newest");
    assert_eq!(judged("within=59"), Verdict::Fail);
    assert_eq!(judged("within=60"), Verdict::Pass);
}

#[test]
fn a_read_of_the_third_last_write_breaks_2_atomicity() {
    insta::assert_snapshot!(told("k-atomicity=2", OLD), @r#"
    fail: 1 stale-read
    stale-read of r1, operations 0 1 2 3
      c2 read r1=1 at n2 from 0.100 s to 0.110 s, and missed at least 2 writes, the first of them in place 0.060 s before: c1 wrote r1=2 at n1, acknowledged at 0.040 s; c1 wrote r1=3 at n1, acknowledged at 0.060 s.
    ms-behind-max 60, reads 2, stale-reads 1, writes-behind-max 2
    "#);
    assert_eq!(judged("k-atomicity=3", OLD).verdict, Verdict::Pass);
}

#[test]
fn a_read_of_what_nobody_wrote_or_not_yet_breaks_k_atomicity() {
    let text = told(
        "k-atomicity=9",
        "
        c1 n1 10-20 read r1=1
        c2 n1 30-40 write r1=1
        c2 n1 50-60 write r1=2 fail
        c2 n1 70-80 read r1=2
        c2 n1 90-99 read r1=7
        ",
    );
    insta::assert_snapshot!(text, @r#"
    fail: 1 future-read, 1 phantom, 1 aborted-read
    phantom of r1, operations 4
      c2 read r1=7 at n1 from 0.090 s to 0.099 s, which nobody sent.
    future-read of r1, operations 0 1
      c1 read r1=1 at n1 from 0.010 s to 0.020 s; only then c2 wrote r1=1 at n1, sent at 0.030 s and acknowledged at 0.040 s.
    aborted-read of r1, operations 2 3
      c2 sent r1=2 at n1 at 0.050 s, which certainly failed (no-leader); c2 read r1=2 at n1 from 0.070 s to 0.080 s, which nobody else sent.
    ms-behind-max 0, reads 1, stale-reads 0, writes-behind-max 0
    "#);
}

#[test]
fn a_read_before_its_write_breaks_consistent_prefix() {
    let text = told(
        "consistent-prefix",
        "
        c2 n2 10-20 read r1=1
        c1 n1 30-40 write r1=1
        ",
    );
    insta::assert_snapshot!(text, @r#"
    fail: 1 future-read
    future-read of r1, operations 0 1
      c2 read r1=1 at n2 from 0.010 s to 0.020 s, although 1 was only sent at 0.030 s: c1 wrote r1=1 at n1, acknowledged at 0.040 s.
    keys 1, operations 2, searched-keys 0, undecided-keys 0, undecided-operations 0
    "#);
}

#[test]
fn a_list_with_the_later_element_alone_breaks_consistent_prefix() {
    let history = testing::history(
        "set",
        "
        c1 n1 10-20 write s/1=1
        c1 n1 30-40 write s/2=2
        c2 n2 50-60 list s/
        c2 n2 70-80 list s/ 2
        c2 n2 90-99 list s/ 1,2
        ",
    );
    let judgement = Promise::ConsistentPrefix.judge(&history);
    let story: Vec<String> = judgement
        .anomalies
        .iter()
        .map(|it| format!("{}: {}", it.kind, it.story.join(" ")))
        .collect();
    insta::assert_snapshot!(story.join("\n"), @r#"
    stale-read: c1 added 1 to s at n1, acknowledged at 0.020 s; only then c1 added 2 to s at n1, sent at 0.030 s and acknowledged at 0.040 s; c2 listed s at n2 from 0.070 s to 0.080 s: 1 element, with 2 but without 1.
    "#);
}

#[test]
fn each_promise_of_sessions_is_judged_alone() {
    let own = "
        c1 n1 10-20 write a=1
        c1 n2 30-40 read a=absent
        ";
    insta::assert_snapshot!(told("read-your-writes", own), @r#"
    fail: 1 read-your-writes
    read-your-writes of a, operations 0 1
      c1 wrote a=1 at n1, acknowledged at 0.020 s; then c1 found a absent at n2 from 0.030 s to 0.040 s.
    reads 1, writes 1
    "#);
    let back = "
        c1 n1 10-20 write a=1
        c1 n1 30-40 write a=2
        c2 n1 50-60 read a=2
        c2 n2 70-80 read a=1
        ";
    insta::assert_snapshot!(told("monotonic-reads", back), @r#"
    fail: 1 monotonic-reads
    monotonic-reads of a, operations 0 1 2 3
      c1 wrote a=1 at n1, acknowledged at 0.020 s; then c1 wrote a=2 at n1, sent at 0.030 s and acknowledged at 0.040 s.
      c2 read a=2 at n1 from 0.050 s to 0.060 s; then c2 read a=1 at n2 from 0.070 s to 0.080 s, the older of the two.
    reads 2, writes 2
    "#);
    let gap = "
        c1 n1 10-20 write a=1
        c1 n1 30-40 write b=2
        c2 n1 50-60 read b=2
        c2 n2 70-80 read a=absent
        ";
    insta::assert_snapshot!(told("monotonic-writes", gap), @r#"
    fail: 1 monotonic-writes
    monotonic-writes of a, operations 0 1 2 3
      c1 wrote a=1 at n1, acknowledged at 0.020 s; then c1 wrote b=2 at n1, sent at 0.030 s and acknowledged at 0.040 s.
      c2 read b=2 at n1 from 0.050 s to 0.060 s, the second of them; then c2 found a absent at n2 from 0.070 s to 0.080 s, without the first.
    reads 2, writes 2
    "#);
    let broken = |promise, lines| judged(promise, lines).verdict == Verdict::Fail;
    for (promise, lines) in [
        ("read-your-writes", back),
        ("read-your-writes", gap),
        ("monotonic-reads", own),
        ("monotonic-reads", gap),
        ("monotonic-writes", own),
        ("monotonic-writes", back),
    ] {
        assert!(!broken(promise, lines), "{promise}: {lines}");
    }
}

#[test]
fn a_read_that_breaks_two_promises_of_sessions_breaks_each() {
    let both = "
        c1 n1 10-20 write a=1
        c1 n1 25-26 write a=2
        c1 n1 30-40 read a=2
        c1 n2 50-60 read a=1
        ";
    for promise in ["read-your-writes", "monotonic-reads"] {
        assert_eq!(judged(promise, both).verdict, Verdict::Fail, "{promise}");
    }
}

#[test]
fn promises_are_read_as_they_are_written() {
    for text in ["consistent-prefix", "bounded-staleness=500ms", "k-atomicity=2", "monotonic-reads"]
    {
        assert_eq!(text.parse::<Promise>().unwrap().to_string(), text);
    }
    let wrong =
        ["eventual", "k-atomicity", "k-atomicity=1", "bounded-staleness=0s", "bounded-staleness=5"];
    insta::assert_snapshot!(wrong.map(|text| text.parse::<Promise>().unwrap_err()).join("\n"), @r#"
    expected one of consistent-prefix, bounded-staleness=TIME, k-atomicity=K, read-your-writes, monotonic-reads, monotonic-writes, got "eventual"
    expected one of consistent-prefix, bounded-staleness=TIME, k-atomicity=K, read-your-writes, monotonic-reads, monotonic-writes, got "k-atomicity"
    k-atomicity: expected a number of writes from 2 on, since 1 is linearizability, got "1"
    bounded-staleness: expected a time from 1us on, such as 500ms or 2s, since none is linearizability, got "0s"
    bounded-staleness: expected a time from 1us on, such as 500ms or 2s, since none is linearizability, got "5"
    "#);
}

#[test]
fn an_empty_or_cut_off_history_keeps_no_promise() {
    for (promise, _) in Promise::NAMES {
        let promise = promise.replace("TIME", "1s").replace('K', "2");
        assert_eq!(judged(&promise, "").verdict, Verdict::Unknown, "{promise}");
    }
}

#[test]
fn reads_that_may_be_old_are_judged_as_every_order_judges_them() {
    let mut stream = Seed(20_261_121).stream("promise");
    let mut failed: BTreeMap<Option<u64>, usize> = BTreeMap::new();
    for case in 0..3000 {
        let model = if case % 3 == 0 { Model::Set } else { Model::Registers { keys: 1 } };
        let history = testing::random(&mut stream, model);
        let mut before = None;
        // Events are a millisecond apart.
        for bound in [Some(1), Some(2500), Some(8000), None] {
            let (moved, _) = moved(&history, all_reads(bound.map(Micros)));
            let judged = order(&moved).verdict == Verdict::Fail;
            let small = file(&moved);
            assert_eq!(judged, !brute_force::judge_file(&small).unwrap().possible, "{small}");
            assert!(
                before != Some(false) || !judged,
                "a longer time is broken: {}",
                file(&history)
            );
            before = Some(judged);
            *failed.entry(bound).or_default() += usize::from(judged);
        }
        let strict = order(&history).verdict == Verdict::Fail;
        assert_eq!(
            strict,
            order(&moved(&history, all_reads(Some(Micros(1)))).0).verdict == Verdict::Fail
        );
    }
    let failed: Vec<usize> = [Some(1), Some(2500), Some(8000), None].map(|it| failed[&it]).into();
    assert!(failed.is_sorted_by(|a, b| a > b) && failed[3] > 300, "{failed:?}");
}

#[test]
fn a_proof_of_too_many_missed_writes_is_one_in_every_order() {
    let mut stream = Seed(20_261_121).stream("k-atomicity");
    let (mut proven, mut missed) = (0, 0);
    for _ in 0..3000 {
        let history = testing::random(&mut stream, Model::Registers { keys: 1 });
        for versions in [2, 3] {
            let is_broken = Promise::KAtomicity(versions).judge(&history).verdict == Verdict::Fail;
            let mut is_done = vec![false; history.operations.len()];
            let is_possible = any_order(&history, versions as usize, &mut is_done, &mut vec![None]);
            assert!(!(is_broken && is_possible), "{versions}: {}", file(&history));
            proven += usize::from(is_broken);
            missed += usize::from(!is_broken && !is_possible);
        }
    }
    assert!(proven > 300, "only {proven} proven, and {missed} missed");
}

/// Whether some order lets each read see one of the last writes, and each swap the last one.
fn any_order(
    history: &History,
    versions: usize,
    is_done: &mut [bool],
    written: &mut Vec<Option<Value>>,
) -> bool {
    let open = |index: &usize| !is_done[*index];
    let all = 0..is_done.len();
    let must = |index: &usize| matches!(history.operations[*index].outcome, Outcome::Ok(_));
    if !all.clone().filter(open).any(|index| must(&index)) {
        return true;
    }
    let ends =
        all.clone().filter(open).filter(must).filter_map(|it| history.operations[it].ended());
    let first_end = ends.min().unwrap_or(u64::MAX);
    for index in all {
        let operation = &history.operations[index];
        if is_done[index] || operation.invoked.seq > first_end {
            continue;
        }
        let recent =
            |seen: Option<Value>| written.iter().rev().take(versions).any(|it| *it == seen);
        let last = written.last().copied().flatten();
        let next = match (&operation.op, &operation.outcome) {
            (Op::Read { .. }, Outcome::Ok(Reply::Read(seen))) => recent(*seen).then_some(None),
            (Op::Write { value, .. }, Outcome::Ok(_) | Outcome::Info(_)) => Some(Some(*value)),
            (
                Op::CompareAndSet { expect, .. },
                Outcome::Ok(Reply::Compared { swapped: false, observed }),
            ) => (observed != expect && recent(*observed)).then_some(None),
            (
                Op::CompareAndSet { expect, value, .. },
                Outcome::Ok(Reply::Compared { observed, .. }),
            ) => (observed == expect && *expect == last).then_some(Some(*value)),
            (Op::CompareAndSet { expect, value, .. }, Outcome::Info(_)) => {
                (*expect == last).then_some(Some(*value))
            }
            _ => None,
        };
        let Some(next) = next else { continue };
        is_done[index] = true;
        written.extend(next.map(Some));
        let found = any_order(history, versions, is_done, written);
        written.truncate(written.len() - usize::from(next.is_some()));
        is_done[index] = false;
        if found {
            return true;
        }
    }
    false
}
