//! What a bad suite is told: golden texts, one for each mistake.

use super::kinds;
use crate::suite::parse;

/// Puts one run's lines into an otherwise sound suite.
fn in_run(lines: &str) -> String {
    let indented: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "suite: failover\ntarget: {{ store: {{ nodes: 3 }} }}\ndefaults: {{ duration: 10s }}\n\
         runs:\n  - name: first\n    workload: register\n{indented}"
    )
}

fn faults(fault: &str) -> String {
    in_run(&format!("faults:\n  - {fault}"))
}

#[track_caller]
fn check(name: &str, text: &str) {
    let error = parse("suite.yaml", text, &kinds()).expect_err("a bad suite was taken");
    let (line, column) = error.problems[0].at;
    assert!(error.to_string().contains(&format!("suite.yaml:{line}:{column}")), "{error}");
    insta::assert_snapshot!(name, error.to_string());
}

#[test]
fn mistakes_of_form_are_shown_at_their_place() {
    check("unknown_key_of_a_fault", &faults("kill: { nodee: leader, at: 2s, for: 1s }"));
    check("unknown_key_of_a_run", &in_run("fault: []"));
    check("unknown_fault", &faults("kil: { node: leader, at: 2s, for: 1s }"));
    check("missing_key_of_a_fault", &faults("kill: { at: 2s, for: 1s }"));
    check("no_such_time", &faults("kill: { node: leader, at: 2sec, for: 1s }"));
    check("no_such_selector", &faults("kill: { node: lead, at: 2s, for: 1s }"));
    check("negative_time", &faults("kill: { node: leader, at: 2s, for: -1s }"));
    check("duplicate_key", &faults("kill: { node: leader, at: 2s, at: 3s, for: 1s }"));
    check("duplicate_gate", &in_run("gates: { p99: \"<= 1s\", p99: \"<= 2s\" }"));
    check("unknown_metric", &in_run("gates: { p999: \"<= 3s\" }"));
    check("rule_without_comparison", &in_run("gates: { p99: 3s }"));
    check("rule_on_the_wrong_side", &in_run("gates: { availability: \"<= 80%\" }"));
    check("percent_out_of_range", &in_run("gates: { availability: \">= 180%\" }"));
    check("unknown_anomaly", &in_run("expect: { fail: lost-writes }"));
    check(
        "two_forms_of_partition",
        &faults("partition: { isolate: leader, halves: random, at: 2s, for: 1s }"),
    );
    check(
        "unknown_direction",
        &faults("partition: { one-way: { node: leader, direction: out }, at: 2s, for: 1s }"),
    );
    check(
        "second_fault_in_one_entry",
        &faults(
            "kill: { node: leader, at: 2s, for: 1s }\n    pause: { node: leader, at: 4s, for: 1s }",
        ),
    );
    check(
        "unknown_condition",
        &faults("pause: { node: leader, at: 2s, until: { other-leader: true }, at_most: 4s }"),
    );
    check("list_instead_of_map", &in_run("gates: [p99]"));
    check("nothing_given", &in_run("faults:\n  - kill:"));
    check("negative_count", &in_run("clients: -3"));
    check("wrong_type", &in_run("clients: many"));
    check("unknown_workload", "suite: s\ntarget: store\nruns:\n- name: a\n  workload: regster\n");
    check("bad_seed", &in_run("seed: 0xzz"));
    check("no_yaml", "suite: s\nruns: [\n");
    check("tab", "suite: s\nruns:\n\t- name: a\n");
    check("empty", "");
    check("no_runs_key", "suite: s\ntarget: store\n");
    check("after_letters_beyond_ascii", &in_run("# é\nexpect: { \"füil\": lost-write }"));
}

#[test]
fn mistakes_of_meaning_are_shown_at_their_place() {
    check("unknown_node", &faults("kill: { node: n7, at: 2s, for: 1s }"));
    check(
        "partition_of_one_node",
        &faults("partition: { isolate: leader, at: 2s, for: 1s }").replace("nodes: 3", "nodes: 1"),
    );
    check("no_such_link", &faults("partition: { links: [n1->n2, n1-n3], at: 2s, for: 1s }"));
    check("group_left_out", &faults("partition: { groups: [[n1], [n2]], at: 2s, for: 1s }"));
    check(
        "follow_without_a_leader",
        &faults("kill: { node: n1, follow: leader, at: 2s, for: 1s }"),
    );
    check(
        "keep_of_a_side_too_large",
        &faults("partition: { halves: [n1, n2], keep: majority, at: 2s, for: 1s }"),
    );
    check(
        "flap_longer_than_the_fault",
        &faults("partition: { isolate: n1, flap: { cut: 1s, healed: 1s }, at: 2s, for: 2s }"),
    );
    check("stand_in_for_nobody", &faults("kill: { node: n1, otherwise: n2, at: 2s, for: 1s }"));
    check("keep_of_what_is_hit", &faults("kill: { node: all, keep: majority, at: 2s, for: 1s }"));
    check(
        "upgrade_too_slow",
        &faults("upgrade: { node: all, to: copy, down: 5s, at: 2s, for: 6s }"),
    );
    check("zero_time", &faults("kill: { node: leader, at: 2s, for: 0s }"));
    check("after_the_end", &faults("kill: { node: leader, at: 10s, for: 1s }"));
    check("every_less_than_for", &faults("kill: { node: leader, every: 1s, for: 2s }"));
    check("never_begins", &faults("kill: { node: leader, for: 2s }"));
    check("never_ends", &faults("kill: { node: leader, at: 2s }"));
    check(
        "unbounded_condition",
        &faults("pause: { node: leader, at: 2s, until: { other_leader: true } }"),
    );
    check(
        "victim_cannot_acknowledge",
        &faults(
            "pause: { node: leader, at: 2s, until: { acknowledged_by_victim: 5 }, at_most: 4s }",
        ),
    );
    check(
        "victim_before_the_fault",
        &faults("kill: { node: leader, when: { other_leader: true }, for: 1s, at_most: 4s }"),
    );
    check("does_not_fit", &faults("kill: { node: leader, at: 8s, every: 5s, for: 2s }"));
    check("too_many_faults", &faults("kill: { node: leader, every: 3ms, for: 2ms }"));
    check(
        "whole_cluster_on_one_side",
        &faults("partition: { halves: [n1, n2, n3], at: 2s, for: 1s }"),
    );
    check(
        "canary_without_control",
        &in_run(
            "faults:\n  - kill: { node: leader, at: 2s, for: 1s }\nexpect: { fail: lost-write }",
        ),
    );
    check(
        "control_equal_to_target",
        &in_run(
            "faults:\n  - kill: { node: leader, at: 2s, for: 1s }\nexpect: { fail: lost-write }\n\
         control: { store: { nodes: 3, profile: raft } }",
        ),
    );
    check("control_of_a_passing_run", &in_run("control: store"));
    check("gate_without_samples", &in_run("gates: { recovery: \"<= 3s\" }"));
    check("missing_capability", "suite: s\ntarget: cache\nruns:\n- { name: a, workload: set }\n");
    check(
        "refused_fault",
        "suite: s\ntarget: cache\nruns:\n- name: a\n  workload: register\n  faults:\n  \
         - wipe: { node: follower, at: 2s, for: 1s }\n  - wipe: { node: leader, at: 5s, for: 1s }\n",
    );
    check("unknown_target", "suite: s\ntarget: stroe\nruns:\n- { name: a, workload: set }\n");
    check(
        "unknown_profile",
        "suite: s\ntarget: { store: { profile: rafd } }\nruns:\n- { name: a, workload: set }\n",
    );
    check(
        "unknown_switch",
        "suite: s\ntarget: { store: { set: { fence: off } } }\n\
         runs:\n- { name: a, workload: set }\n",
    );
    check(
        "switch_without_its_setting",
        "suite: s\ntarget: { store: { set: { election: lease } } }\n\
         runs:\n- { name: a, workload: set }\n",
    );
    check(
        "setting_without_its_switch",
        "suite: s\ntarget: { store: { lock-service: store, set: { fsync: never } } }\n\
         runs:\n- { name: a, workload: set }\n",
    );
    check(
        "value_that_the_target_refuses",
        "suite: s\ntarget: { store: { set: { fsync: sometimes } } }\n\
         runs:\n- { name: a, workload: set }\n",
    );
    check("no_target", "suite: s\nruns:\n- { name: a, workload: set }\n");
    check("bad_name", "suite: s\ntarget: store\nruns:\n- { name: a/b, workload: set }\n");
    check("out_of_range", &in_run("clients: 0\nrate: 1000000\nduration: 2h\ntimeout: 1ms"));
}

#[test]
fn conditions_and_controls_that_cannot_be_are_refused() {
    check(
        "condition_on_an_unknown_node",
        &faults("kill: { node: leader, when: { leader_is: n4 }, for: 1s, at_most: 4s }"),
    );
    check("empty_condition", &faults("kill: { node: leader, at: 1s, until: {}, at_most: 4s }"));
    check(
        "control_with_two_switches",
        &in_run(
            "target: { store: { profile: async } }\n\
             faults:\n  - kill: { node: leader, at: 2s, for: 1s }\n\
         expect: { fail: lost-write }\ncontrol: { store: { set: { fsync: always } } }",
        ),
    );
    check(
        "follower_of_nobody",
        &faults("kill: { node: follower, at: 1s, for: 1s }").replace("nodes: 3", "nodes: 1"),
    );
    check(
        "minority_of_two",
        &faults("partition: { leader-side: minority, at: 1s, for: 1s }")
            .replace("nodes: 3", "nodes: 2"),
    );
}

#[test]
fn coverage_that_can_never_be_reached_is_refused() {
    let required = |lines: &str| {
        in_run(&format!("faults:\n  - kill: {{ node: follower, at: 2s, for: 1s }}\n{lines}"))
    };
    check("required_kind_not_planned", &required("require: [{ fault: kil }]"));
    check("required_role_not_aimed_at", &required("require: [{ fault: kill, hits: leader }]"));
    check("required_more_than_planned", &required("require: [{ fault: kill, at_least: 2 }]"));
    check("required_form_of_none", &required("require: [{ fault: kill, form: isolate }]"));
    check("required_second_fault", &required("require: [{ fault: kill, while: recovering }]"));
    check("required_nothing", &required("require: [{ fault: kill, at_least: 0 }]"));
    check("required_unknown_state", &required("require: [{ fault: kill, while: asleep }]"));
    check(
        "required_of_a_canary",
        &required(
            "require: [{ fault: kill }]\ntarget: { store: { profile: async } }\n\
             expect: { fail: lost-write }\ncontrol: { store: { profile: raft } }",
        ),
    );
}

#[test]
fn a_mix_that_cannot_be_drawn_is_refused() {
    let mix = |quiet: &str, fault: &str| {
        in_run(&format!("mix:\n  pause: 1s\n  at_most: 5\n{quiet}  faults:\n    - {fault}"))
    };
    check("mix_with_a_time", &mix("", "kill: { node: leader, at: 2s, for: 1s }"));
    check("mix_without_weight", &mix("", "kill: { node: leader, for: 1s, weight: 0 }"));
    let quiet = "  quiet: { every: 5s, for: 2s }\n";
    check("mix_between_windows", &mix(quiet, "kill: { node: leader, for: 3s }"));
    let always = "  quiet: { every: 5s, for: 5s }\n";
    check("mix_always_quiet", &mix(always, "kill: { node: leader, for: 1s }"));
    check("weight_outside_a_mix", &faults("kill: { node: leader, at: 2s, for: 1s, weight: 2 }"));
    check("before_it_begins", &faults("kill: { node: leader, at: 2s, for: 1s, before: 2s }"));
}

#[test]
fn a_bound_on_waiting_that_no_run_can_reach_is_refused() {
    check("liveness_longer_than_the_load", &in_run("liveness: 10s"));
    check("stop_for_what_is_only_known_at_the_end", &in_run("stop: { proven: lost-write }"));
    check("liveness_of_no_time", &in_run("liveness: 0s"));
}

#[test]
fn all_mistakes_of_meaning_are_shown_at_once() {
    check(
        "many_at_once",
        "suite: s\ntarget: { store: { nodes: 30, profil: raft } }\ndefaults: { clients: 5000 }\n\
         runs:\n  - name: a\n    workload: set\n  - name: a\n    workload: set\n    faults:\n      \
         - kill: { node: n31, at: 30s, for: 1s }\n",
    );
}

#[test]
fn no_text_makes_the_reader_panic() {
    use rand::RngExt;
    use splitbrain_workloads::seed::Seed;
    let sound = include_str!("everything.yaml");
    let mut rng = Seed(1).stream("mutations");
    for _ in 0..3000 {
        let mut chars: Vec<char> = sound.chars().collect();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..chars.len());
            match rng.random_range(0..3) {
                0 => drop(chars.remove(at)),
                1 => chars.insert(
                    at,
                    ['{', '}', '\n', ' ', ':', '0', 'ü', '"', '&', '*'][rng.random_range(0..10)],
                ),
                _ => chars.truncate(at.max(1)),
            }
        }
        let text: String = chars.into_iter().collect();
        if let Err(error) = parse("suite.yaml", &text, &kinds()) {
            assert!(!error.to_string().is_empty());
        }
    }
}
