//! The checkers against judges that try every order, over as many random small histories as somebody
//! has time for; and the same with bugs planted in the checkers, which must be found.
//!
//! `scripts/fuzz-checker.sh` runs [`a_batch_of_random_histories_is_judged_as_every_order_judges_it`]
//! again and again, each time with another seed, and keeps count.

use std::fs::OpenOptions;
use std::io::Write;
use std::panic::catch_unwind;

use super::frontier::tests::{
    fifo_case, key_value_case, multi_register_case, mutex_case, removes_case, repeats_case,
    residue_case, sums_case, unordered_case,
};
use super::linearizable::{check_registers, check_set, witness_registers, witness_set};
use super::lock::tests::lock_case;
use super::plants::{Plant, plant};
use super::replay;
use super::testing::{Model, file, is_possible, random};
use super::tests_models::{counter_case, list_case, queue_case, retry_case, transactions_case};
use super::tests_plain::{bank_case, ids_case, old_reads_case, sessions_case};
use crate::checker::frontier::Budget;
use crate::history::fuzz::parser_case;
use crate::seed::{Seed, Stream};
use crate::verdict::Verdict;
use crate::watch::tests::watched_by_turns;

/// Makes and judges a history, and says whether it is impossible, or how the judges disagree.
type Case = fn(&mut Stream, usize) -> Result<bool, String>;

/// The models, each with its cases.
const MODELS: [(&str, Case); 21] = [
    ("register", register_case),
    ("set", set_case),
    ("repeats", repeats_case),
    ("residue", residue_case),
    ("list", list_case),
    ("transactions", transactions_case),
    ("idempotent-retry", retry_case),
    ("counter", counter_case),
    ("queue", queue_case),
    ("unique-ids", ids_case),
    ("bank", bank_case),
    ("sessions", sessions_case),
    ("old-reads", old_reads_case),
    ("key-value", key_value_case),
    ("multi-register", multi_register_case),
    ("mutex", mutex_case),
    ("sums", sums_case),
    ("fifo-queue", fifo_case),
    ("unordered-queue", unordered_case),
    ("set-with-remove", removes_case),
    ("lock", lock_case),
];

fn register_case(stream: &mut Stream, case: usize) -> Result<bool, String> {
    history_case(stream, case, Model::Registers { keys: 1 + case % 2 })
}

fn set_case(stream: &mut Stream, case: usize) -> Result<bool, String> {
    history_case(stream, case, Model::Set)
}

fn history_case(stream: &mut Stream, case: usize, model: Model) -> Result<bool, String> {
    let history = random(stream, model);
    watched_by_turns(&history, case)?;
    let is_possible = is_possible(&history, true, case)?;
    let is_set = matches!(model, Model::Set);
    let judgement = if is_set { check_set(&history) } else { check_registers(&history) };
    let is_impossible = match judgement.verdict {
        Verdict::Fail => true,
        Verdict::Pass => false,
        // Nothing was answered, or the set never listed, so every order does.
        Verdict::Unknown if judgement.summary.contains("nothing is known") => false,
        Verdict::Unknown => return Err(format!("{judgement:#?}\n{}", file(&history))),
    };
    if is_impossible == is_possible {
        return Err(format!("{judgement:#?}, and {is_possible}\n{}", file(&history)));
    }
    if !is_impossible {
        let orders = match is_set {
            true => vec![witness_set(&history)?],
            false => {
                let orders = witness_registers(&history, Budget::default())?;
                orders.into_iter().map(|(_, order)| order).collect()
            }
        };
        let replayed = replay::replay(&history, &orders);
        replayed.map_err(|why| format!("{why} in {orders:?}\n{}", file(&history)))?;
    }
    Ok(is_impossible)
}

/// Runs cases of a model until the judges disagree; how many of them are impossible.
fn run(name: &str, seed: u64, cases: usize, case: Case) -> Result<usize, String> {
    let mut stream = Seed(seed).stream(name);
    let mut impossible = 0;
    for index in 0..cases {
        let judged = case(&mut stream, index);
        impossible += usize::from(judged.map_err(|why| format!("{name} {index}: {why}"))?);
    }
    Ok(impossible)
}

/// Runs cases of a model, of which enough are impossible and enough are not.
pub(super) fn agree(name: &str, cases: usize, case: Case) {
    let impossible = run(name, 20_261_121, cases, case).unwrap_or_else(|why| panic!("{why}"));
    assert!(impossible * 3 > cases, "{name}: only {impossible} of {cases} are impossible");
    assert!(impossible * 5 < cases * 4, "{name}: {impossible} of {cases} are impossible");
}

#[test]
fn a_pass_of_registers_comes_with_an_order_that_the_replayer_accepts() {
    agree("register", 20_000, register_case);
}

#[test]
fn a_pass_of_a_set_comes_with_an_order_that_the_replayer_accepts() {
    agree("set", 20_000, set_case);
}

/// Enough for each of the bugs below to show: so often, so many cases of each model.
const ROUNDS: u64 = 10;
const CASES: usize = 2000;

#[test]
fn every_bug_planted_in_a_checker_is_found() {
    let mut missed = Vec::new();
    for bug in Plant::ALL {
        // A checker with a bug may also panic, which is found as well.
        let found = catch_unwind(|| {
            plant(Some(bug));
            let mut rounds = (0..ROUNDS).flat_map(|seed| MODELS.map(|model| (seed, model)));
            rounds.find_map(|(seed, (name, case))| run(name, seed, CASES, case).err())
        });
        plant(None);
        if let Ok(None) = found {
            missed.push(bug);
        }
    }
    assert!(missed.is_empty(), "nobody noticed {missed:?}");
}

/// Takes `SPLITBRAIN_FUZZ="MODEL SEED CASES"`, and leaves a line in the file `SPLITBRAIN_FUZZ_RECORD`.
#[test]
#[ignore = "runs as long as it is told to; see scripts/fuzz-checker.sh"]
fn a_batch_of_random_histories_is_judged_as_every_order_judges_it() {
    let told = std::env::var("SPLITBRAIN_FUZZ").expect("SPLITBRAIN_FUZZ=\"MODEL SEED CASES\"");
    let record = std::env::var("SPLITBRAIN_FUZZ_RECORD").expect("SPLITBRAIN_FUZZ_RECORD=FILE");
    let words: Vec<&str> = told.split_whitespace().collect();
    let [model, seed, cases] = words[..] else { panic!("expected a model, a seed and a number") };
    let mut known = MODELS.into_iter().chain([("parsers", parser_case as Case)]);
    let (name, case) = known.find(|(name, _)| *name == model).expect("a known model");
    let (seed, cases) = (seed.parse().expect("a seed"), cases.parse().expect("a number"));
    let impossible = run(name, seed, cases, case).unwrap_or_else(|why| panic!("{why}"));
    // A model of which few histories are impossible would prove little.
    assert!(impossible * 3 > cases, "{name}: only {impossible} of {cases} are impossible");
    let line = format!("{name} {seed} {cases} {impossible}\n");
    OpenOptions::new().append(true).open(record).unwrap().write_all(line.as_bytes()).unwrap();
}
