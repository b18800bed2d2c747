//! The golden texts counted: whatever a checker can name has one for each model, there are at least fifty, and
//! the page of anomalies (docs/anomalies.md) explains every name.

use std::collections::BTreeSet;

use crate::verdict::AnomalyKind;

/// The files with golden texts.
const GOLDENS: [&str; 7] = [
    include_str!("golden.rs"),
    include_str!("golden_models.rs"),
    include_str!("golden_queue.rs"),
    include_str!("golden_searched.rs"),
    include_str!("lock/tests.rs"),
    include_str!("promise/tests.rs"),
    include_str!("../history/tests_foreign.rs"),
];

/// The checkers, each with the files that name anomalies and the models that those are about.
const CHECKERS: [(&str, &[&str], &[&str]); 13] = [
    (
        "linearizable",
        &[
            include_str!("linearizable/blocks.rs"),
            include_str!("linearizable/mod.rs"),
            include_str!("linearizable/residue.rs"),
            include_str!("linearizable/tell.rs"),
            include_str!("linearizable/zones.rs"),
        ],
        &["register"],
    ),
    ("linearizable", &[include_str!("linearizable/set.rs")], &["set"]),
    ("lost-write", &[include_str!("lost_write.rs")], &["register", "set", "append"]),
    ("agreement", &[include_str!("agreement.rs")], &["register", "set"]),
    ("list", &[include_str!("list.rs")], &["append"]),
    ("transactions", &[include_str!("elle/mod.rs"), include_str!("elle/cycles.rs")], &["append"]),
    ("counter", &[include_str!("counter.rs")], &["counter"]),
    ("unique-ids", &[include_str!("unique_ids.rs")], &["unique-ids"]),
    ("bank", &[include_str!("bank.rs")], &["bank"]),
    ("queue", &[include_str!("queue.rs"), include_str!("searched.rs")], &["queue"]),
    (
        "lock",
        &[
            include_str!("lock/tenure.rs"),
            include_str!("lock/succession.rs"),
            include_str!("lock/fencing.rs"),
            include_str!("searched.rs"),
        ],
        &["lock"],
    ),
    ("sessions", &[include_str!("sessions.rs")], &["sessions"]),
    ("promise", &[include_str!("staleness.rs")], &["k-atomicity"]),
];

/// One golden text: who says what of which model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Golden {
    kind: AnomalyKind,
    model: String,
    checker: String,
}

/// Every golden text that a test holds, in the words of the tests.
fn goldens() -> Vec<Golden> {
    let by_name = |name: &str| AnomalyKind::ALL.into_iter().find(|kind| kind.name() == name);
    let mut all = Vec::new();
    for source in GOLDENS {
        for test in source.split("#[test]\n").skip(1) {
            let (mut model, mut foreign) = (String::new(), false);
            let mut is_next = false;
            for line in test.lines().map(str::trim) {
                let asked = line.split_once("told(").or(is_next.then_some(("", line)));
                if let Some((_, rest)) = asked {
                    is_next = rest.is_empty();
                    if let Some(text) = rest.strip_prefix('"') {
                        let end = text.find(['"', '=']).unwrap_or(text.len());
                        model = text[..end].to_string();
                    }
                }
                if let Some((_, rest)) = line.split_once(" of a ")
                    && line.ends_with(": impossible")
                {
                    model = rest.split(',').next().unwrap_or_default().to_string();
                    foreign = true;
                }
                let mut words = line.split([' ', ':']).filter(|word| !word.is_empty());
                let first = words.next().unwrap_or_default();
                let (checker, kind) = match by_name(first) {
                    Some(kind) if line.starts_with(&format!("{first} of ")) => ("promise", kind),
                    _ if foreign && line.starts_with("No order explains") => {
                        ("search", AnomalyKind::NonLinearizable)
                    }
                    // What is said of a history of another tool: of which model stands before it.
                    Some(kind) if foreign && line.starts_with(&format!("{first}: ")) => {
                        all.push(Golden { kind, model: model.clone(), checker: model.clone() });
                        continue;
                    }
                    _ => match (words.next().and_then(by_name), words.next()) {
                        (Some(kind), Some("of")) => (first, kind),
                        _ => continue,
                    },
                };
                let (model, checker) = (model.clone(), checker.to_string());
                all.push(Golden { kind, model, checker });
            }
        }
    }
    all
}

/// The kinds that a source names where it judges, which is before its tests.
fn named(source: &str) -> BTreeSet<AnomalyKind> {
    let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let variants = source
        .split("AnomalyKind::")
        .skip(1)
        .map(|rest| rest.split(|it: char| !it.is_ascii_alphanumeric()).next().unwrap_or_default());
    let variants: BTreeSet<&str> = variants.collect();
    let is_named = |kind: &AnomalyKind| variants.contains(format!("{kind:?}").as_str());
    AnomalyKind::ALL.into_iter().filter(is_named).collect()
}

#[test]
fn the_page_of_anomalies_explains_every_name() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/anomalies.md");
    let page = std::fs::read_to_string(path).expect("docs/anomalies.md");
    for kind in AnomalyKind::ALL {
        let row = format!("| `{kind}` | {} |", kind.meaning());
        assert!(page.contains(&row), "docs/anomalies.md: expected a row that begins {row}");
    }
}

#[test]
fn whatever_a_checker_can_name_has_a_golden_text_and_there_are_fifty() {
    let goldens = goldens();
    let mut missing = Vec::new();
    for (checker, sources, models) in CHECKERS {
        for kind in sources.iter().flat_map(|source| named(source)) {
            for model in models {
                let is_it =
                    |it: &&Golden| it.checker == checker && it.kind == kind && it.model == *model;
                if !goldens.iter().any(|it| is_it(&it)) {
                    missing.push(format!("{kind} of {model} by {checker}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "no golden text for {missing:?}");
    // What is searched for has one name, and each of its models a story.
    for model in
        ["key-value", "multi-register", "mutex", "set", "counter", "fifo-queue", "unordered-queue"]
    {
        let is_it = |it: &Golden| it.checker == "search" && it.model == model;
        assert!(goldens.iter().any(is_it), "no golden text of {model}, which is searched");
    }
    for kind in AnomalyKind::ALL {
        assert!(goldens.iter().any(|it| it.kind == kind), "no golden text of {kind}");
    }
    let pairs: BTreeSet<(AnomalyKind, &str)> =
        goldens.iter().map(|it| (it.kind, it.model.as_str())).collect();
    assert!(pairs.len() >= 50, "{} goldens by anomaly and model", pairs.len());
}
