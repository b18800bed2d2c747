//! Plans: bounds, repetition by seed, and the way from a plan to a suite and back.

use splitbrain_reports::record::Part;
use splitbrain_workloads::seed::Seed;

use super::{kinds, parsed};
use crate::nemesis::AnyFault;
use crate::suite::plan::{End, PlannedRun, Start, expand, render};
use crate::suite::units::Time;
use crate::suite::{Suite, builtin, limits, parse, write};

const SEEDS: u64 = 200;

fn everything() -> Suite {
    parsed(include_str!("everything.yaml"))
}

fn plan(suite: &Suite, seed: u64) -> Vec<PlannedRun> {
    expand(suite, &kinds(), Seed(seed), None).unwrap()
}

#[test]
fn a_written_suite_reads_back_to_an_equal_one() {
    for suite in [everything(), parsed(builtin().1)] {
        let text = write(&suite, &["splitbrain 0.1.0".to_string(), "two\nlines".to_string()]);
        assert!(text.starts_with("# splitbrain 0.1.0\n# two\n# lines\n"), "{text}");
        assert_eq!(parsed(&text), suite, "{text}");
    }
}

#[test]
fn a_written_plan_plans_to_the_same_run_whatever_the_seed_of_the_replay() {
    for seed in 0..SEEDS {
        for run in plan(&everything(), seed) {
            let text = write(&run.to_suite("replayed"), &[]);
            let replayed = plan(&parsed(&text), seed + 1);
            let expected = match run.part {
                Part::Proof | Part::Canary => run,
                Part::Control { .. } | Part::Calm { .. } => PlannedRun { part: Part::Proof, ..run },
            };
            assert_eq!(replayed[0], expected, "{text}");
        }
    }
}

#[test]
fn the_same_seed_makes_the_same_plan_and_another_seed_another() {
    let plans: Vec<_> = (0..20).map(|seed| plan(&everything(), seed)).collect();
    for (seed, planned) in plans.iter().enumerate() {
        assert_eq!(*planned, plan(&everything(), seed as u64));
    }
    let faults = |plan: &Vec<PlannedRun>| plan[0].faults.clone();
    assert!(plans.windows(2).all(|pair| faults(&pair[0]) != faults(&pair[1])));
}

#[test]
fn repeated_faults_keep_their_distance_the_lead_in_and_the_tail() {
    let suite = everything();
    for seed in 0..SEEDS {
        let run = &plan(&suite, seed)[0];
        let kills: Vec<Time> = run
            .faults
            .iter()
            .filter(|fault| fault.end == End::After(Time::from_secs(2)))
            .filter(|fault| fault.fault.kind() == "kill")
            .map(|fault| fault.start.earliest())
            .collect();
        // 30 s of load: the first at 1 s, the last begins at 27 s at the latest.
        assert_eq!(kills.len(), 4, "{kills:?}");
        assert!(kills[0] >= limits::LEAD_IN);
        for (number, at) in (0..).zip(&kills) {
            let regular = Time::from_millis(1000 + number * 7000);
            assert!(*at >= regular && *at <= regular.plus(Time::from_secs(1)), "{kills:?}");
            let healed = at.plus(Time::from_secs(2)).plus(limits::TAIL);
            assert!(healed <= run.duration, "{kills:?}");
        }
    }
}

#[test]
fn chance_is_decided_and_roles_stay_roles() {
    for seed in 0..SEEDS {
        let run = &plan(&everything(), seed)[0];
        for fault in &run.faults {
            let words = fault.fault.shape();
            assert!(!words.contains("random"), "{words}");
        }
        let leaders = run.faults.iter().filter(|fault| fault.fault.shape().contains("leader"));
        assert!(leaders.count() >= 5);
        let numbers: Vec<u32> = run.faults.iter().map(|fault| fault.id.0).collect();
        assert_eq!(numbers, (1..=run.faults.len() as u32).collect::<Vec<_>>());
        assert!(run.faults.is_sorted_by_key(|fault| fault.start.earliest()));
    }
}

#[test]
fn every_node_is_drawn_by_some_seed() {
    let text = "suite: s\ntarget: { store: { nodes: 5 } }\nruns:\n- name: a\n  workload: set\n  \
                faults: [{ kill: { node: random, at: 1s, for: 1s } }]\n";
    let mut drawn = [0; 5];
    for seed in 0..SEEDS {
        let AnyFault::Kill(kill) = &plan(&parsed(text), seed)[0].faults[0].fault else {
            panic!("not a kill")
        };
        let number: usize = kill.node.to_string()[1..].parse().unwrap();
        drawn[number - 1] += 1;
    }
    assert!(drawn.iter().all(|count| *count >= 20), "{drawn:?}");
}

#[test]
fn a_canary_is_followed_by_its_control_and_one_calm_run_for_each_weakened_target() {
    let suite = parsed(builtin().1);
    let names: Vec<String> = plan(&suite, 1).into_iter().map(|run| run.name).collect();
    let at = names.iter().position(|name| name == "canary-two-leaders").unwrap();
    assert_eq!(
        names[at..],
        [
            "canary-two-leaders",
            "canary-two-leaders-control",
            "canary-two-leaders-calm",
            "canary-paused-leader",
            "canary-paused-leader-control",
        ]
    );
    let runs = plan(&suite, 1);
    let [canary, control, calm] = [&runs[at], &runs[at + 1], &runs[at + 2]];
    assert_eq!(canary.seed, control.seed);
    assert_eq!(canary.faults, control.faults);
    assert_eq!(canary.workload, control.workload);
    assert_ne!(canary.target, control.target);
    assert_eq!(calm.target, canary.target);
    assert!(calm.faults.is_empty());
    assert_eq!(control.part, Part::Control { of: canary.name.clone() });
}

#[test]
fn the_built_in_gate_is_about_a_minute_of_load() {
    let load: u32 = plan(&parsed(builtin().1), 1).iter().map(|run| run.duration.as_millis()).sum();
    assert!((40_000..=65_000).contains(&load), "{load} ms");
}

#[test]
fn a_pattern_selects_runs_and_a_canary_brings_its_control_along() {
    let suite = parsed(builtin().1);
    let names = |only| {
        let runs = expand(&suite, &kinds(), Seed(1), Some(only)).unwrap();
        runs.into_iter().map(|run| run.name).collect::<Vec<_>>()
    };
    assert_eq!(names("leader-*"), ["leader-killed", "leader-paused", "leader-cut-off"]);
    assert_eq!(names("mi?ed"), ["mixed"]);
    assert_eq!(
        names("*paused-leader"),
        ["canary-paused-leader", "canary-paused-leader-control", "canary-paused-leader-calm"]
    );
    let error = expand(&suite, &kinds(), Seed(1), Some("leader-kiled")).unwrap_err();
    insta::assert_snapshot!(error.to_string());
}

#[test]
fn a_plan_is_shown_with_everything_that_will_be_done() {
    let suite = everything();
    insta::assert_snapshot!(render(&suite.suite, &plan(&suite, 0x5eed)));
}

#[test]
fn a_plan_file_is_a_suite_with_concrete_times() {
    let run = &plan(&everything(), 0x5eed)[1];
    insta::assert_snapshot!(write(&run.to_suite("everything"), &["seed 0x5eed".to_string()]));
}

#[test]
fn random_suites_survive_writing_reading_and_planning() {
    use rand::RngExt;
    let mut rng = Seed(7).stream("suites");
    for _ in 0..SEEDS {
        let secs = rng.random_range(5..60_u32);
        let nodes = rng.random_range(3..=9_u16);
        let mut text = format!(
            "suite: s\ntarget: {{ store: {{ nodes: {nodes} }} }}\n\
             defaults: {{ duration: {secs}s }}\nruns:\n- name: a\n  workload: register\n  faults:\n"
        );
        for _ in 0..rng.random_range(1..8) {
            let who = ["leader", "follower", "random", "all", "n2"][rng.random_range(0..5)];
            let what = match rng.random_range(0..6) {
                0 => format!("kill: {{ node: {who}"),
                1 => format!("pause: {{ node: {who}"),
                2 => format!("partition: {{ isolate: {who}"),
                3 => "partition: { halves: random".to_string(),
                4 => "partition: { leader-side: majority".to_string(),
                _ => format!("partition: {{ one-way: {{ node: {who}, direction: inbound }}"),
            };
            let millis = rng.random_range(1..1500);
            let when = match rng.random_range(0..3) {
                0 => format!("at: {}ms, for: {millis}ms", rng.random_range(0..5000)),
                1 => format!("every: 2s, jitter: {}ms, for: {millis}ms", rng.random_range(0..500)),
                _ => format!("at: 1s, until: {{ other_leader: true }}, at_most: {millis}ms"),
            };
            text.push_str(&format!("  - {what}, {when} }}\n"));
        }
        let suite = parsed(&text);
        assert_eq!(parsed(&write(&suite, &[])), suite, "{text}");
        let planned = plan(&suite, rng.random_range(0..u64::MAX));
        let again = plan(&parsed(&write(&planned[0].to_suite("s"), &[])), 0);
        assert_eq!(planned, again, "{text}");
        for fault in &planned[0].faults {
            let Start::At(at) = fault.start else { panic!("a condition from nowhere") };
            assert!(at < planned[0].duration, "{text}");
        }
    }
}

#[test]
fn the_version_of_the_format_is_written_and_another_is_refused() {
    let text = write(&everything(), &[]);
    assert!(text.starts_with("version: 1\n"), "{text}");
    let newer = text.replacen("version: 1", "version: 2", 1);
    let error = parse("suite.yaml", &newer, &kinds()).unwrap_err();
    assert_eq!(error.problems[0].message, "unknown version 2 of the suite");
}

#[test]
fn a_mix_keeps_its_quiet_windows_its_number_and_its_weights() {
    let suite = parsed(
        "suite: s\ntarget: store\nruns:\n- name: a\n  workload: register\n  duration: 60s\n  mix:\n    \
         pause: 500ms\n    at_most: 20\n    quiet: { every: 10s, for: 3s }\n    faults:\n    \
         - kill: { node: leader, for: 1s, weight: 9 }\n    - pause: { node: n2, for: 2s }\n",
    );
    let (mut kills, mut all) = (0, 0);
    for seed in 0..SEEDS {
        let planned = plan(&suite, seed);
        let mut free = limits::LEAD_IN;
        assert!((1..=20).contains(&planned[0].faults.len()));
        for fault in &planned[0].faults {
            let (Start::At(at), End::After(lasts)) = (&fault.start, &fault.end) else {
                panic!("a mix draws times");
            };
            assert!(*at >= free, "one after the other");
            free = at.plus(*lasts);
            assert!(free <= planned[0].duration.minus(limits::TAIL));
            let (from, to) = (at.as_millis(), free.plus(limits::QUIET_HEAL).as_millis());
            assert!(from < 10_000 || from % 10_000 >= 3_000, "{from} is quiet");
            assert!(to.div_ceil(10_000) == from / 10_000 + 1, "{from} to {to} reaches a window");
            all += 1;
            kills += u32::from(fault.fault.kind() == "kill");
        }
        let again = plan(&parsed(&write(&planned[0].to_suite("s"), &[])), 0);
        assert_eq!(planned, again, "the plan is a suite with times");
    }
    assert!(kills * 100 > all * 85 && kills < all, "{kills} of {all} are kills, 90 % expected");
}
