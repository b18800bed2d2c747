//! Tests of the search against oracles that say which plans fail, surely or by chance.

use rand::RngExt;
use splitbrain_reports::record::FaultId;
use splitbrain_workloads::seed::Seed;

use super::{Search, Trial, smaller};
use crate::suite::plan::{self, PlannedRun};
use crate::suite::tests::kinds;
use crate::suite::units::Time;
use crate::suite::{self};

/// A minute with thirty faults, one every two seconds; every fifth is a partition.
fn thirty() -> PlannedRun {
    let faults: String = (0..30)
        .map(|number| {
            let at = 1 + 2 * number;
            match number % 5 {
                4 => format!("  - partition: {{ isolate: leader, at: {at}s, for: 1s }}\n"),
                _ => format!("  - kill: {{ node: follower, at: {at}s, for: 500ms }}\n"),
            }
        })
        .collect();
    planned(&format!("  duration: 62s\n  faults:\n{faults}"))
}

fn planned(rest: &str) -> PlannedRun {
    let text = format!(
        "suite: s\ntarget: store\nruns:\n- name: a\n  workload: {{ register: {{ keys: 16 }} }}\n\
         {rest}"
    );
    let suite = suite::parse("s.yaml", &text, &kinds()).unwrap_or_else(|e| panic!("{e}"));
    plan::expand(&suite, &kinds(), Seed(1), None).unwrap().remove(0)
}

fn is_valid(plan: &PlannedRun) -> bool {
    let text = suite::write(&plan.to_suite("s"), &[]);
    suite::parse("s.yaml", &text, &kinds()).is_ok()
}

/// How many partitions a plan has.
fn partitions(plan: &PlannedRun) -> usize {
    plan.faults.iter().filter(|fault| fault.fault.kind() == "partition").count()
}

/// Searches with an oracle; returns the result and how many trials it took.
fn search(
    plan: PlannedRun,
    hints: Vec<Vec<FaultId>>,
    mut fails: impl FnMut(&PlannedRun) -> bool,
) -> (PlannedRun, usize) {
    let mut search = Search::new(plan, hints);
    let mut trials = 0;
    while let Some(candidate) = search.propose() {
        assert!(is_valid(&candidate.plan), "{}: {:?}", candidate.what, candidate.plan);
        trials += 1;
        search.answer(fails(&candidate.plan));
    }
    (search.best(), trials)
}

#[test]
fn one_partition_of_thirty_faults_is_found_and_everything_else_is_made_small() {
    let (best, trials) = search(thirty(), Vec::new(), |plan| partitions(plan) >= 1);
    assert_eq!((best.faults.len(), partitions(&best)), (1, 1));
    assert_eq!(best.faults[0].id, FaultId(1), "numbered as it is run");
    assert_eq!(best.faults[0].start.earliest(), Time::from_secs(1), "soon after the start");
    assert_eq!(best.duration, Time::from_millis(1200));
    assert_eq!((best.clients, best.rate.per_second(), smaller::keys(&best)), (1, Some(1), Some(1)));
    assert!(trials <= 20, "{trials}");
}

#[test]
fn a_right_hint_saves_trials_and_a_wrong_one_costs_one() {
    let fails = |plan: &PlannedRun| partitions(plan) >= 1;
    let (best, with) = search(thirty(), vec![vec![FaultId(15)]], fails);
    assert_eq!(best.faults.len(), 1);
    let (_, without) = search(thirty(), Vec::new(), fails);
    assert!(with < without, "{with} instead of {without}");
    let (best, wrong) = search(thirty(), vec![vec![FaultId(14)]], fails);
    assert_eq!(best.faults.len(), 1);
    assert_eq!(wrong, without + 1);
}

#[test]
fn what_is_needed_is_kept() {
    // Three partitions, six clients, two keys and six seconds of load are needed.
    let fails = |plan: &PlannedRun| {
        partitions(plan) >= 3
            && plan.clients >= 6
            && smaller::keys(plan) >= Some(2)
            && plan.duration >= Time::from_secs(6)
    };
    let (best, _) = search(thirty(), Vec::new(), fails);
    assert!(fails(&best));
    assert_eq!((best.faults.len(), smaller::keys(&best)), (3, Some(2)));
    assert!(best.clients <= 8 && best.duration <= Time::from_secs(8), "{best:?}");
}

#[test]
fn faults_that_overlap_go_on_overlapping() {
    let plan = planned(
        "  duration: 60s\n  faults:\n  \
         - pause: { node: n1, at: 20s, for: 4s }\n  \
         - pause: { node: n2, at: 22s, for: 6s }\n  \
         - kill: { node: n3, at: 50s, for: 1s }\n",
    );
    let closer = smaller::closer(&plan);
    let starts: Vec<Time> = closer.faults.iter().map(|fault| fault.start.earliest()).collect();
    assert_eq!(starts, [1, 3, 10].map(Time::from_secs));
    assert_eq!(closer.duration, Time::from_secs(12));
}

#[test]
fn a_load_that_matters_after_the_last_fault_is_not_cut() {
    let plan = planned("  duration: 40s\n  faults:\n  - kill: { node: n1, at: 2s, for: 1s }\n");
    let (best, _) = search(plan, Vec::new(), |plan| plan.duration >= Time::from_secs(20));
    assert!(best.duration >= Time::from_secs(20) && best.duration <= Time::from_secs(27));
    assert!(best.faults.is_empty(), "no fault was needed");
}

#[test]
fn what_fails_without_faults_says_so_and_conditions_are_cut_with_the_load() {
    let plan = planned(
        "  duration: 30s\n  faults:\n  \
         - partition: { isolate: leader, at: 2s, until: { other_leader: true }, at_most: 20s }\n",
    );
    let fails = |plan: &PlannedRun| partitions(plan) == 1;
    let (best, _) = search(plan.clone(), Vec::new(), fails);
    assert!(is_valid(&best) && best.duration < Time::from_secs(3), "{best:?}");
    assert_eq!(search(plan, Vec::new(), |_| true).0.faults.len(), 0);
}

#[test]
fn searches_with_the_same_answers_propose_the_same_plans() {
    let answers = |candidates: &mut Vec<String>| {
        let mut search = Search::new(thirty(), vec![vec![FaultId(3), FaultId(4)]]);
        while let Some(candidate) = search.propose() {
            search.answer(partitions(&candidate.plan) >= 2);
            candidates.push(suite::write(&candidate.plan.to_suite("s"), &[]));
        }
    };
    let (mut first, mut second) = (Vec::new(), Vec::new());
    answers(&mut first);
    answers(&mut second);
    assert_eq!(first, second);
}

#[test]
fn a_failure_by_chance_still_shrinks_to_its_cause_nearly_always() {
    // Fails in three runs of ten when there is a partition, never without.
    let rate = 0.3;
    let mut rng = Seed(3).stream("oracle");
    let (mut small, mut runs) = (0, 0);
    for _ in 0..60 {
        let (best, _) = search(thirty(), Vec::new(), |plan| {
            let mut trial = Trial::new(rate);
            loop {
                runs += 1;
                let failed = partitions(plan) >= 1 && rng.random_bool(rate);
                if let Some(answer) = trial.observe(failed) {
                    return answer;
                }
            }
        });
        assert!(partitions(&best) >= 1, "what is left can fail: {best:?}");
        small += usize::from(best.faults.len() <= 3);
    }
    assert!(small >= 50, "{small} of 60 shrank to three faults or fewer");
    assert!(runs < 60 * 150, "{runs} runs");
}
