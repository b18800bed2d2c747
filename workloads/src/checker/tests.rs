//! Every checker against the brute force, over many random small histories.

use std::collections::BTreeMap;

use super::lost_write::lost_writes;
use super::testing::{self, Model, file, random};
use super::{Checker, brute_force, minimal, run};
use crate::history::{History, Micros, Operation, OperationId, Operations, Stamp, jsonl};
use crate::seed::Seed;
use crate::verdict::{AnomalyKind, Judgement, Verdict};
use crate::workload::{WorkloadSpec, judge};

/// Enough to meet every kind of anomaly often, in some seconds.
const CASES: usize = 40_000;

fn checker(name: &str, workload: &str) -> Checker {
    let check: fn(&History) -> Judgement = match (name, workload) {
        ("linearizable", "register") => super::linearizable::check_registers,
        ("linearizable", "set") => super::linearizable::check_set,
        ("lost-write", "register") => super::lost_write::check_registers,
        ("lost-write", "set") => super::lost_write::check_set,
        ("agreement", _) => super::agreement::check,
        other => panic!("no checker {other:?}"),
    };
    Checker { name: "under-test", check }
}

/// Whether the brute force confirms that the first anomalies prove themselves.
fn confirm(history: &History, judgement: &Judgement) {
    let checker = checker(&judgement.checker, &history.header.workload);
    for anomaly in judgement.anomalies.iter().take(3) {
        assert!(anomaly.operations.len() <= 6, "{anomaly:#?}\n{}", file(history));
        assert!(anomaly.operations.contains(&anomaly.culprit), "{anomaly:#?}");
        assert!(anomaly.operations.is_sorted(), "{anomaly:#?}");
        assert!(!anomaly.story.is_empty());
        let small = minimal::minimal(history, anomaly, &checker);
        let text = file(&small);
        let judged = brute_force::judge_file(&text).unwrap();
        assert!(!judged.possible, "{anomaly:#?}\n{text}\nof\n{}", file(history));
        let again = run(&checker, &small);
        let same = again.found.contains_key(&anomaly.kind);
        assert!(same || anomaly.kind == AnomalyKind::FlipFlop, "{anomaly:#?}\n{text}");
    }
}

fn agrees_with_brute_force(name: &str, model: impl Fn(usize) -> Model) {
    let mut stream = Seed(20_261_121).stream(name);
    let mut kinds: BTreeMap<AnomalyKind, usize> = BTreeMap::new();
    let (mut illegal, mut lost) = (0, 0);
    for case in 0..CASES {
        let history = random(&mut stream, model(case));
        let text = file(&history);
        let truth = brute_force::judge_file(&text).unwrap();
        let judgements = judge(&history);
        let linearizable = &judgements[0];
        let agreed = match linearizable.verdict {
            Verdict::Pass => truth.possible,
            Verdict::Fail => !truth.possible,
            Verdict::Unknown => truth.possible && linearizable.summary.contains("nothing is known"),
        };
        assert!(agreed, "case {case}: {linearizable:#?}, {truth:?}\n{text}");
        confirm(&history, linearizable);
        for kind in linearizable.found.keys() {
            *kinds.entry(*kind).or_default() += 1;
        }
        illegal += usize::from(!truth.possible);
        // With right final reads, a lost write is no less a violation; here they may be wrong, and
        // then the history is illegal as well.
        let lost_write = &judgements[1];
        assert!(lost_write.verdict != Verdict::Fail || !truth.possible, "{lost_write:#?}\n{text}");
        confirm(&history, lost_write);
        lost += usize::from(lost_write.verdict == Verdict::Fail);
    }
    #[allow(clippy::print_stdout)]
    {
        println!("{name}: {illegal} of {CASES} illegal, {lost} with lost writes, {kinds:?}");
    }
    assert!(illegal * 3 > CASES, "only {illegal} of {CASES} are illegal");
    assert!(illegal * 5 < CASES * 4, "{illegal} of {CASES} are illegal");
    assert!(lost * 50 > CASES, "only {lost} of {CASES} lose writes");
}

#[test]
fn registers_are_judged_as_the_brute_force_judges_them() {
    agrees_with_brute_force("register", |case| Model::Registers { keys: 1 + case % 2 });
}

#[test]
fn sets_are_judged_as_the_brute_force_judges_them() {
    agrees_with_brute_force("set", |_| Model::Set);
}

/// A history of a right store with three nodes, one operation open at a time or overlapping.
fn right_history(count: usize) -> History {
    use crate::operation::{ClientId, NodeId, Op, Outcome, Reply};
    let spec = WorkloadSpec::Register(Default::default());
    let mut generator = spec.generator(Seed(5));
    let mut store = BTreeMap::new();
    let mut operations = Vec::new();
    let finals = spec.final_operations();
    let all = count + finals.len();
    for i in 0..all {
        let client = ClientId((i % 4) as u32);
        let is_final = i >= count;
        let op = match is_final {
            false => generator.next(client).unwrap(),
            true => finals[i - count].clone(),
        };
        let observed = store.get(op.key()).copied();
        let reply = match &op {
            Op::Read { .. } => Reply::Read(observed),
            Op::Write { key, value } => {
                store.insert(key.clone(), *value);
                Reply::Written
            }
            Op::CompareAndSet { key, expect, value } => {
                let swapped = observed == *expect;
                if swapped {
                    store.insert(key.clone(), *value);
                }
                Reply::Compared { swapped, observed }
            }
            other => panic!("{other}"),
        };
        // Takes effect at one place and lasts around it, into that of its neighbors. The final
        // reads come when all is quiet.
        // Of one place the beginning comes first.
        let at = |place: usize, is_end: bool| Stamp {
            seq: 2 * place as u64 + u64::from(is_end),
            at: Micros(place as u64),
        };
        let spread = if is_final { 2 } else { 3 + i % 10 };
        let middle = 20 + 10 * i + if is_final { 100 } else { 0 };
        let outcome = Outcome::Ok(reply);
        generator.completed(client, &op, &outcome);
        operations.push(Operation {
            id: OperationId(i as u32),
            client,
            node: Some(NodeId(1 + (i % 3) as u16)),
            op,
            is_final,
            invoked: at(middle - spread, false),
            completed: Some(at(middle + spread, true)),
            outcome,
        });
    }
    let operations = Operations::new(operations).unwrap();
    History { header: testing::header("register"), operations, complete: true }
}

#[test]
fn one_altered_read_is_named_whichever_read_it_is() {
    use crate::operation::{Op, Outcome, Reply, Value};
    let history = right_history(600);
    let right = judge(&history);
    assert_eq!(right[0].verdict, Verdict::Pass, "{:?}", right[0]);
    assert_eq!(right[1].verdict, Verdict::Pass, "{:?}", right[1]);
    let mut stale = 0;
    for read in 0..history.operations.len() {
        let operation = &history.operations[read];
        if !matches!(operation.outcome, Outcome::Ok(Reply::Read(_))) {
            continue;
        }
        // The last but one value that was acknowledged and overwritten before the read began.
        let acknowledged: Vec<Value> = history
            .operations
            .iter()
            .filter(|it| it.op.key() == operation.op.key())
            .filter(|it| it.completed.unwrap().seq < operation.invoked.seq)
            .filter_map(|it| match (&it.op, it.reply()) {
                (Op::Write { value, .. }, _) => Some(*value),
                (Op::CompareAndSet { value, .. }, Some(Reply::Compared { swapped: true, .. })) => {
                    Some(*value)
                }
                _ => None,
            })
            .collect();
        let altered = |value: Value| {
            let mut operations = history.operations.clone().into_vec();
            operations[read].outcome = Outcome::Ok(Reply::Read(Some(value)));
            let altered =
                History { operations: Operations::new(operations).unwrap(), ..history.clone() };
            judge(&altered).remove(0)
        };
        let phantom = altered(Value(1 << 40));
        assert_eq!(phantom.verdict, Verdict::Fail);
        assert_eq!(phantom.anomalies[0].kind, AnomalyKind::Phantom);
        assert_eq!(phantom.anomalies[0].culprit, operation.id);
        // Of the last ones one may be current: they may have been written around the same time.
        for value in acknowledged.iter().rev().skip(2) {
            let judgement = altered(*value);
            assert_eq!(judgement.verdict, Verdict::Fail, "{read} {value}");
            let first = &judgement.anomalies[0];
            assert_eq!(first.kind, AnomalyKind::StaleRead, "{read} {value}: {first:#?}");
            assert_eq!(first.culprit, operation.id, "{read} {value}: {first:#?}");
            stale += 1;
        }
    }
    assert!(stale > 1000, "only {stale} alterations were tried");
}

#[test]
fn repeated_values_deletes_and_silent_refusals_are_judged_as_the_brute_force_judges_them() {
    let mut stream = Seed(20_261_121).stream("residue");
    let mut kinds: BTreeMap<AnomalyKind, usize> = BTreeMap::new();
    let mut illegal = 0;
    let checker = checker("linearizable", "register");
    for case in 0..CASES / 2 {
        let history = random(&mut stream, Model::Repeats { keys: 1 + case % 2 });
        let text = file(&history);
        let truth = brute_force::judge_file(&text).unwrap();
        let judgement = (checker.check)(&history);
        let agreed = match judgement.verdict {
            Verdict::Pass => truth.possible,
            Verdict::Fail => !truth.possible,
            Verdict::Unknown => truth.possible && judgement.summary.contains("nothing is known"),
        };
        assert!(agreed, "case {case}: {judgement:#?}, {truth:?}\n{text}");
        for anomaly in &judgement.anomalies {
            *kinds.entry(anomaly.kind).or_default() += 1;
            assert!(anomaly.operations.contains(&anomaly.culprit), "{anomaly:#?}\n{text}");
            let small = file(&minimal::minimal(&history, anomaly, &checker));
            let judged = brute_force::judge_file(&small).unwrap();
            assert!(!judged.possible, "{anomaly:#?}\n{small}\nof\n{text}");
        }
        illegal += usize::from(!truth.possible);
    }
    assert!(illegal * 3 > CASES / 2, "only {illegal} of {} are illegal", CASES / 2);
    assert!(kinds[&AnomalyKind::NonLinearizable] > 500, "{kinds:?}");
    assert!(kinds[&AnomalyKind::StaleRead] > 500, "{kinds:?}");
}

#[test]
fn deletes_and_repeated_values_are_searched_and_named_where_that_is_possible() {
    let lines = "
        c1 n1 10-20 write r1=1
        c1 n1 30-40 delete r1
        c2 n2 50-60 write r2=1
        c2 n2 70-80 write r2=1
        c3 n3 90-100 write r3=1
        c3 n3 110-120 read r3=1
    ";
    let right = &judge(&testing::history("register", lines))[0];
    assert_eq!(right.verdict, Verdict::Pass);
    assert_eq!(right.counts["searched-keys"], 2);
    let tell = |line: &str| {
        let judgement = &judge(&testing::history("register", &format!("{lines}\n{line}")))[0];
        assert_eq!(judgement.verdict, Verdict::Fail, "{line}");
        let anomaly = &judgement.anomalies[0];
        let ids: Vec<u32> = anomaly.operations.iter().map(|id| id.0).collect();
        format!("{} {ids:?} {}", anomaly.kind, anomaly.story.join(" "))
    };
    insta::assert_snapshot!(
        [
            tell("c4 n1 130-140 read r1=1"),
            tell("c4 n1 130-140 read r2=7"),
            tell("c4 n1 130-140 read r2=absent"),
        ]
        .join("\n"),
        @"
    non-linearizable [0, 1, 6] No order explains these operations: c4 read r1=1 at n1 from 0.130 s to 0.140 s, but up to then r1 can only have been absent.
    phantom [6] c4 read r2=7 at n1 from 0.130 s to 0.140 s, a value that nobody ever sent.
    stale-read [3, 6] c2 wrote r2=1 at n2, acknowledged at 0.080 s; c4 found r2 absent at n1 from 0.130 s to 0.140 s, although r2 was absent only before 1 was written.
    "
    );
}

#[test]
fn what_takes_too_long_to_search_is_undecided_and_says_where() {
    let mut lines = "c1 n1 10-20 write r1=1\nc1 n1 30-40 write r1=1\n".to_string();
    // Each value twice, and read at the end, so that any of them may still be needed.
    for client in 0..40 {
        let (begin, end, value) = (100 + client, 1000 + client, client % 20);
        lines += &format!("c{} n1 {begin}-{end} write r1={value}\n", 10 + client);
    }
    for value in 0..20 {
        lines += &format!("c{} n1 {}-{} read r1={value}\n", 60 + value, 2000 + value, 3000 + value);
    }
    let judgement = &judge(&testing::history("register", &lines))[0];
    assert_eq!(judgement.verdict, Verdict::Unknown);
    insta::assert_snapshot!(
        judgement.summary,
        @"1 of 1 keys with 62 operations are undecided: of r1, the search gave up between the events 3 and 44, with more than 1000000 configurations at once; the others are linearizable"
    );
}

#[test]
fn a_checker_that_panics_is_unknown() {
    fn panics(_: &History) -> Judgement {
        panic!("out of range")
    }
    let history = testing::history("register", "c1 n1 10-20 write r1=1");
    let judgement = run(&Checker { name: "panics", check: panics }, &history);
    assert_eq!(judgement.verdict, Verdict::Unknown);
    assert_eq!(judgement.summary, "the checker crashed: out of range");
}

#[test]
fn what_was_not_seen_at_the_end_is_unknown() {
    let history = testing::history("register", "c1 n1 10-20 write r1=1\nc1 n1 30-40 read r1=1");
    let summaries: Vec<String> =
        judge(&history).into_iter().map(|it| format!("{}: {}", it.verdict, it.summary)).collect();
    insta::assert_snapshot!(summaries.join("\n"), @"
    pass: one order of all 2 operations on 1 key exists
    unknown: 1 acknowledged writes are not judged: no final read of r1 was answered
    unknown: no node was asked what it holds by itself: the history has no final local reads (some targets offer none)
    ");
}

#[test]
fn what_became_of_every_write_is_counted() {
    let history = testing::history(
        "register",
        "
        c1 n1 10-20 write r1=1
        c1 n1 30-40 cas r1 1>2
        c2 n2 50-60 write r1=3
        c3 n3 61-? write r1=4
        c4 n3 62-? write r1=5
        c1 n1 70-80 read r1=4
        c2 n2 90-100 final read r1=2
        ",
    );
    let writes = lost_writes(&history);
    assert_eq!(writes.lost, [OperationId(2)]);
    assert_eq!((writes.acknowledged, writes.observed, writes.superseded), (3, 1, 1));
    assert_eq!((writes.indeterminate_applied, writes.indeterminate_absent), (1, 1));
}

#[test]
fn the_brute_force_imports_nothing_but_the_operation() {
    let source = include_str!("brute_force.rs");
    for line in source.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        let mut rest = line;
        while let Some(at) = rest.find("crate::") {
            rest = &rest[at + "crate::".len()..];
            assert!(rest.starts_with("operation::"), "{line}");
        }
        assert!(!line.contains("super::"), "{line}");
        let import = line.strip_prefix("use ");
        let allowed =
            ["std::", "rustc_hash::FxHashSet;", "serde::Deserialize;", "crate::operation::"];
        assert!(
            import.is_none_or(|path| allowed.iter().any(|start| path.starts_with(start))),
            "{line}"
        );
    }
}

#[test]
fn the_random_histories_survive_their_file() {
    let mut stream = Seed(7).stream("files");
    for case in 0..500 {
        let model = if case % 2 == 0 { Model::Set } else { Model::Registers { keys: 2 } };
        let history = random(&mut stream, model);
        assert_eq!(jsonl::read(file(&history).as_bytes()).unwrap(), history);
    }
}

#[test]
fn replicas_that_hold_a_list_in_another_order_are_told_apart_by_the_brute_force_too() {
    let lines = "
        c1 n1 10-11 final local list s/ 1,2,3,4,5
        c2 n2 12-13 final local list s/ 1,3,4,2,5
    ";
    let history = testing::history("set", lines);
    let judgement = super::agreement::check(&history);
    assert_eq!(judgement.anomalies.len(), 1, "{judgement:#?}");
    assert_eq!(judgement.anomalies[0].kind, AnomalyKind::Divergence);
    confirm(&history, &judgement);
}
