//! The words that reports print and that name nothing of a suite: results, the parts of a canary,
//! gates that every run has, checkers, questions of the audit. `explain` tells them beside what
//! `list` has.

/// A word as `explain` takes it, in small letters and with hyphens, and what it means.
pub(super) const TERMS: [(&str, &str); 17] = [
    (
        "canary",
        "\
run that is a canary: a store weakened on purpose that must fail in a named way

It shows that the same faults and checkers would have found what a green run did not have.
It counts only if its control passed, and its calm twin, where it has one. One that stays
green although its faults took effect is a failure of the suite.",
    ),
    (
        "control",
        "\
run that is a control: the plan, seed and workload of a canary with the protection on

It must pass: then what the canary showed is the work of the switch that was off. A fault of
the plan that was skipped in it, since the cluster went another way, is named in the report.",
    ),
    (
        "calm",
        "\
run that is a calm twin: the weakened store of a canary without any fault

It must not show the anomaly: then what the canary showed is the work of the faults. With
--repeat only the first canary has one, and it stands for all.",
    ),
    (
        "proof",
        "\
run that is a proof: it must keep its promise

Every checker passes, every gate holds, and the audit finds enough evidence.",
    ),
    (
        "settled",
        "\
gate settled, which every run has: after the heal every node has applied what is committed

It says that all have come equally far within the bound. Whether they hold the same is for
the checker agreement to say: replicas can be at one position and differ.",
    ),
    (
        "no-crash",
        "\
gate no-crash, which every run has: no node ends by itself

What the harness kills is not counted. A node that somebody else killed makes the run
ENVIRONMENT.",
    ),
    (
        "progress",
        "\
gate progress: while a majority is up and connected, no client waits for a write longer than
the bound

Judged where the target promises it or the suite asks with `liveness`. Clients that ask for
nothing wait for nothing.",
    ),
    (
        "linearizable",
        "\
checker linearizable: one order of all operations explains every answer

Each operation takes place at one moment between its call and its answer. What contradicts
that is named as narrowly as it can be: stale-read, lost-write and so on. It counts as lost
also what nobody acknowledged and somebody had read. How it works: docs/checker.md",
    ),
    (
        "lost-write",
        "\
checker lost-write: every acknowledged write is there at the end, or was overwritten

It trusts the final reads alone, so it also judges stores whose other reads may be stale.
It counts acknowledged writes and no others.",
    ),
    (
        "agreement",
        "\
checker agreement: after the heal every node is asked for what it holds by itself, and all
hold the same

What it finds is a divergence.",
    ),
    (
        "met",
        "\
result MET: the run came out as it had to, with enough evidence

For a canary that means that it failed as predicted.",
    ),
    (
        "not-met",
        "\
result NOT MET: the run did not come out as it had to, and that is proven

A checker found a violation, a gate was broken, or a canary was not caught.",
    ),
    (
        "undecided",
        "\
result UNDECIDED: the run proves too little to call it right, and nothing calls it wrong

A fault without effect, a canary whose control did not pass, a checker that gave up, a gate
without anything to measure. Never green: exit code 3.",
    ),
    (
        "environment",
        "\
result ENVIRONMENT: the machine ended the run, not the store

A port, a program, a full disk, a node that somebody else killed. Exit code 4.",
    ),
    (
        "brute-force",
        "\
brute force: the second judge, which tries every order of the few operations of a
counterexample

It shares nothing with the checkers but the vocabulary. \"confirmed\" means that no order
explains the answers; if it finds one, one of the two judges is wrong (exit code 70).",
    ),
    (
        "no-effect",
        "\
NO EFFECT: a fault was injected, and nothing shows that it took hold

No process ended, no cut link was offered a byte. It tested nothing, so the run is
UNDECIDED.",
    ),
    (
        "skipped",
        "\
skipped: a fault of the plan that was not injected

What it waited for did not come about, or the node it was aimed at was under another fault.
The report names it, also where the run passed without it.",
    ),
];

/// Other spellings, as stories and literature have them, and the names that `list` has.
pub(super) const SPELLINGS: [(&str, &str); 9] = [
    ("dirty-write", "g0"),
    ("intermediate-read", "g1b"),
    ("circular-flow", "g1c"),
    ("read-skew", "g-single"),
    ("gsingle", "g-single"),
    ("write-skew", "g2"),
    ("bruteforce", "brute-force"),
    ("linearizability", "linearizable"),
    ("calm-twin", "calm"),
];

/// A name as it is looked up: `Read Skew` is `read-skew`.
pub(super) fn plain(name: &str) -> String {
    let name = name.trim().to_lowercase().split([' ', '_']).collect::<Vec<_>>().join("-");
    let known = SPELLINGS.iter().find(|(spelling, _)| *spelling == name);
    known.map_or(name, |(_, known)| (*known).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_as_reports_and_stories_spell_it() {
        for (spelled, known) in [
            ("NOT MET", "not-met"),
            ("G-single", "g-single"),
            ("read skew", "g-single"),
            ("brute force", "brute-force"),
            ("lost-write", "lost-write"),
        ] {
            assert_eq!(plain(spelled), known);
        }
    }

    #[test]
    fn every_term_is_said_in_one_line_and_explained_in_lines_that_fit() {
        for (name, text) in TERMS {
            assert_eq!(plain(name), name);
            assert!(text.lines().count() >= 3, "{name} is hardly explained");
            assert!(text.lines().all(|line| line.chars().count() <= 92), "{name} is too wide");
        }
    }
}
