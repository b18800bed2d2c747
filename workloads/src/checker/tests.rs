//! Every checker against the brute force, over many random small histories.

use std::collections::BTreeMap;

use super::testing::{Model, file, random};
use super::{Checker, brute_force, minimal, run};
use crate::history::{History, jsonl};
use crate::seed::Seed;
use crate::verdict::{AnomalyKind, Judgement, Verdict};
use crate::workload::judge;

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
        assert!(run(&checker, &small).found.contains_key(&anomaly.kind), "{anomaly:#?}\n{text}");
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
    println!("{name}: {illegal} of {CASES} illegal, {lost} with lost writes, {kinds:?}");
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
        let allowed = ["std::", "serde::Deserialize;", "crate::operation::"];
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
