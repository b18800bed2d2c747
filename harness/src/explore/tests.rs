//! Tests of the search: what it draws makes sense, and it goes where it has found something.

use std::collections::BTreeSet;

use splitbrain_workloads::seed::Seed;

use super::diary::Entry;
use super::*;
use crate::suite::tests::kinds;
use crate::suite::{self, plan};

fn base(nodes: u16) -> PlannedRun {
    let text = format!(
        "suite: s\ntarget: {{ store: {{ nodes: {nodes} }} }}\nruns:\n- name: a\n  workload: set\n  \
         duration: 6s\n"
    );
    let suite = suite::parse("s.yaml", &text, &kinds()).unwrap_or_else(|error| panic!("{error}"));
    plan::expand(&suite, &kinds(), Seed(1), None).unwrap().remove(0)
}

fn search(nodes: u16) -> Search {
    let kinds = kinds();
    let store = kinds.iter().find(|kind| kind.name == "store").unwrap();
    Search::new(base(nodes), palette(store, nodes), Seed(7))
}

#[test]
fn every_kind_of_fault_is_drawn() {
    let kinds = kinds();
    let drawn: BTreeSet<&str> = palette(&kinds[0], 3).iter().map(|fault| fault.kind()).collect();
    let missing: Vec<&str> = crate::nemesis::KINDS
        .iter()
        .map(|kind| kind.name)
        .filter(|name| !drawn.contains(name))
        .collect();
    assert_eq!(missing, Vec::<&str>::new(), "add them to explore/palette.rs");
}

#[test]
fn every_plan_that_is_proposed_is_one_that_a_suite_may_hold() {
    for nodes in [1, 3, 5] {
        let mut search = search(nodes);
        for number in 1..=200 {
            let plan = search.propose(number);
            let text = suite::write(&plan.to_suite("explored"), &[]);
            suite::parse("explored.yaml", &text, &kinds())
                .unwrap_or_else(|error| panic!("{error}\n{text}"));
            // Every plan reaches something, so that plans grow by changes, too.
            search.learn(&plan, &[format!("state {}", number % 50)]);
        }
        assert_eq!((search.states(), search.runs(), search.last_new()), (50, 200, Some(50)));
    }
}

#[test]
fn the_same_answers_lead_to_the_same_plans() {
    let (mut one, mut other) = (search(3), search(3));
    for number in 1..=30 {
        let plan = one.propose(number);
        assert_eq!(plan, other.propose(number));
        let states = [format!("state {}", number / 3)];
        assert_eq!(one.learn(&plan, &states), other.learn(&plan, &states));
    }
}

/// Of the states of an oracle some are only reached by plans with two kinds of fault in one. A
/// search that keeps what was new combines them sooner than chance does.
#[test]
fn plans_that_reached_something_new_are_changed_rather_than_forgotten() {
    let reached = |plan: &PlannedRun| -> Vec<String> {
        let kinds: BTreeSet<&str> = plan.faults.iter().map(|fault| fault.fault.kind()).collect();
        (1..=kinds.len()).map(|depth| format!("{depth} kinds at once")).collect()
    };
    let deepest = |learns: bool, seed: u64| -> usize {
        let mut search = Search { seed: Seed(seed), ..search(3) };
        let mut deepest = 0;
        for number in 1..=60 {
            let plan = search.propose(number);
            let states = reached(&plan);
            deepest = deepest.max(states.len());
            if learns {
                search.learn(&plan, &states);
            }
        }
        deepest
    };
    let total = |learns: bool| (0..20).map(|seed| deepest(learns, seed)).sum::<usize>();
    let (learning, blind) = (total(true), total(false));
    assert!(learning > blind + 20, "learning reached {learning}, chance alone {blind}");
}

#[test]
fn a_diary_reads_what_it_writes_without_half_a_last_line() {
    let entries = [
        Entry::Explore {
            version: diary::VERSION,
            base: "suite: s\n".to_string(),
            seed: "0x5eed".to_string(),
        },
        Entry::Run {
            number: 1,
            plan: "suite: t\n".to_string(),
            new: vec!["e0 L= F= F=".to_string()],
            result: splitbrain_reports::record::RunResult::Met,
        },
    ];
    let text: String = entries.iter().map(diary::line).collect();
    assert_eq!(diary::read(&text).unwrap(), entries);
    assert_eq!(diary::read(&text[..text.len() - 3]).unwrap(), entries[..1]);
    assert!(diary::read("{}\n").unwrap_err().starts_with("line 1: "));
}
