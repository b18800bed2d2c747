//! Tests of suites: what is refused and how it is said, what is planned, what is written.

mod errors;
mod plans;

use std::collections::BTreeMap;

use splitbrain_workloads::operation::Capability;

use super::target::{Need, Refusal, Sense, Setting, TargetKind, TargetSpec};
use super::{Suite, parse};

/// Two kinds of target as the harness might have them.
pub(crate) fn kinds() -> Vec<TargetKind> {
    vec![
        TargetKind {
            name: "store".to_string(),
            summary: "the built-in store".to_string(),
            capabilities: vec![
                Capability::CompareAndSet,
                Capability::Delete,
                Capability::AtomicList,
                Capability::LocalRead,
                Capability::Increment,
                Capability::ListAppend,
                Capability::Transaction,
                Capability::IdempotencyKey,
            ],
            settings: vec![
                Setting {
                    name: "profile".to_string(),
                    default: "raft".to_string(),
                    values: vec!["raft".to_string(), "async".to_string()],
                    meaning: "all protections at once".to_string(),
                },
                Setting {
                    name: "lock-service".to_string(),
                    default: String::new(),
                    values: vec!["store".to_string()],
                    meaning: "beside the nodes".to_string(),
                },
                Setting {
                    name: "spares".to_string(),
                    default: String::new(),
                    values: vec!["1".to_string()],
                    meaning: "no members at first".to_string(),
                },
            ],
            switches: Some(["election", "fencing", "fsync"].map(str::to_string).to_vec()),
            refuses: Vec::new(),
            needs: vec![Need {
                switch: "election",
                value: "lease",
                setting: "lock-service",
                why: "whoever holds a lock leads",
            }],
            sense: Sense(|spec| match spec.set.get("fsync").map(String::as_str) {
                Some("sometimes") => {
                    Err("fsync=sometimes: expected always or never; help: say when".to_string())
                }
                _ => Ok(()),
            }),
        },
        TargetKind {
            name: "cache".to_string(),
            summary: "a store that cannot list".to_string(),
            capabilities: vec![Capability::CompareAndSet],
            settings: Vec::new(),
            switches: None,
            refuses: vec![Refusal {
                fault: "wipe",
                form: None,
                unless: Some("leader"),
                why: "only a leader finds its data again",
            }],
            needs: Vec::new(),
            sense: Sense::ANY,
        },
    ]
}

pub(super) fn parsed(text: &str) -> Suite {
    parse("suite.yaml", text, &kinds()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_bare_word_takes_every_default() {
    let suite = parsed("suite: s\ntarget: store\nruns:\n- { name: a, workload: set }\n");
    assert_eq!(suite.target, Some(TargetSpec::of_kind("store")));
    let text = "suite: s\ntarget: { store: {} }\nruns:\n- { name: a, workload: { set: {} } }\n";
    assert_eq!(suite, parsed(text));
}

#[test]
fn absent_settings_equal_their_defaults() {
    let mut full = TargetSpec::of_kind("store");
    full.settings = BTreeMap::from([("profile".to_string(), "raft".to_string())]);
    assert_eq!(TargetSpec::of_kind("store").with_defaults(&kinds()), full);
}

#[test]
fn the_built_in_suite_makes_sense() {
    let (file, text) = super::builtin();
    parse(file, text, &kinds()).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn the_reference_names_every_key_default_and_limit() {
    let reference = include_str!("../../../../docs/suite-reference.md");
    use super::{limits, schedule::Schedule};
    let mut words: Vec<String> = Suite::KEYS.iter().map(|key| format!("`{key}`")).collect();
    words.extend(Schedule::KEYS.iter().map(|key| format!("`{key}`")));
    words.extend(crate::nemesis::KINDS.iter().map(|kind| format!("### `{}`", kind.name)));
    words.extend(super::gates::Metric::ALL.iter().map(|metric| format!("`{metric}`")));
    let anomalies = splitbrain_workloads::verdict::AnomalyKind::ALL;
    words.extend(anomalies.iter().map(|kind| format!("`{kind}`")));
    // Every key that a written run can have, with every part of it given.
    words.extend(keys_of(include_str!("everything.yaml")));
    for (what, value) in [
        ("clients", limits::CLIENTS.to_string()),
        ("rate", limits::RATE.to_string()),
        ("duration", limits::DURATION.to_string()),
        ("timeout", limits::TIMEOUT.to_string()),
        ("nodes", limits::NODES.to_string()),
    ] {
        words.push(format!("default of `{what}`: {value}"));
    }
    for (what, value) in [
        ("lead-in", limits::LEAD_IN.to_string()),
        ("tail", limits::TAIL.to_string()),
        ("calm", limits::CALM.to_string()),
        ("`nodes`", format!("1 to {}", limits::NODES_MAX)),
        ("`clients`", format!("1 to {}", limits::CLIENTS_MAX)),
        ("`rate`", format!("1 to {}", limits::RATE_MAX)),
        ("`duration`", format!("{} to {}", limits::DURATION_MIN, limits::DURATION_MAX)),
        ("`timeout`", format!("{} to {}", limits::TIMEOUT_MIN, limits::TIMEOUT_MAX)),
        ("faults of a run", format!("at most {}", limits::FAULTS_MAX)),
        ("runs", format!("at most {}", limits::RUNS_MAX)),
        ("names", format!("1 to {} characters", limits::NAME_MAX)),
        ("a file", format!("at most {} bytes", limits::FILE_MAX)),
        ("`keys`", format!("1 to {}", limits::KEYS_MAX)),
        ("`lists`", format!("0 to {}", limits::LISTS_MAX)),
        ("`elements`", format!("1 to {}", limits::ELEMENTS_MAX)),
        ("`acknowledged`", format!("1 to {}", limits::ACKNOWLEDGED_MAX)),
    ] {
        words.push(format!("| {what} | {value} |"));
    }
    let register = splitbrain_workloads::workload::RegisterSpec::default();
    let set = splitbrain_workloads::workload::SetSpec::default();
    words.extend([
        format!("| `keys` | number | {} |", register.keys),
        format!("| `reads` | of 100 | {} |", register.reads),
        format!("| `compare-and-sets` | of 100 | {} |", register.compare_and_sets),
        format!("| `hot` | of 100 | {} |", register.hot),
        format!("| `lists` | number | {} |", set.lists),
        format!("| `elements` | number | {} |", set.elements),
        format!("waits {} s at most", crate::nemesis::WAIT_AT_MOST.as_secs()),
    ]);
    let missing: Vec<&String> = words.iter().filter(|word| !reference.contains(*word)).collect();
    assert!(missing.is_empty(), "docs/suite-reference.md lacks {missing:#?}");
}

/// The keys of a document, each in backticks.
fn keys_of(text: &str) -> Vec<String> {
    let is_key = |word: &&str| word.ends_with(':') && word.len() > 1;
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| line.split([' ', '{', ',']))
        .filter(is_key)
        .map(|word| format!("`{}`", word.trim_end_matches(':')))
        .collect()
}

#[test]
fn the_examples_of_the_reference_make_sense() {
    let reference = include_str!("../../../../docs/suite-reference.md");
    let examples: Vec<&str> = reference
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .filter(|example| example.starts_with("suite:"))
        .collect();
    assert!(examples.len() >= 3, "only {} examples", examples.len());
    for example in examples {
        parsed(example);
    }
}
