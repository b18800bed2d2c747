//! The general checker against every order: of registers by the brute force on the file, of other
//! models by a few lines that try every order of the model's steps.

use std::fmt::Debug;
use std::sync::{Arc, LazyLock};

use rand::RngExt;

use super::{Budget, Decision, core, decide, witness};
use crate::checker::fuzz::agree;
use crate::checker::replay::{replay, replay_calls};
use crate::checker::testing::{self, file, random};
use crate::history::{History, OperationId, Operations};
use crate::model::counter::{self, Counter};
use crate::model::key_value::{self, KeyValue};
use crate::model::multi_register::{MultiRegister, Step};
use crate::model::mutex::{self, Mutex};
use crate::model::queue::{self, Order, Queue};
use crate::model::register::{self, Register};
use crate::model::set::{self, Set};
use crate::model::{Call, CallOf, Model};
use crate::operation::{ClientId, Key, Value};
use crate::seed::Stream;
use crate::watch::tests::watched_by_turns;

/// Enough to meet every shortcut often, in some seconds.
const CASES: usize = 40_000;

fn register_calls(history: &History) -> (Vec<OperationId>, Vec<CallOf<Register>>) {
    let ids: Vec<OperationId> = history.operations.iter().map(|it| it.id).collect();
    register::calls(history, &ids).into_iter().unzip()
}

/// Judges one random history of registers whose values repeat; gives whether it is impossible.
pub(in crate::checker) fn repeats_case(stream: &mut Stream, case: usize) -> Result<bool, String> {
    searched(random(stream, testing::Model::Repeats { keys: 1 + case % 2 }), case)
}

/// The same of registers whose values do not repeat, with deletes and silent refusals.
pub(in crate::checker) fn residue_case(stream: &mut Stream, case: usize) -> Result<bool, String> {
    searched(random(stream, testing::Model::Residue { keys: 1 + case % 2 }), case)
}

fn searched(history: History, case: usize) -> Result<bool, String> {
    watched_by_turns(&history, case)?;
    let is_possible = testing::is_possible(&history, true, case)?;
    let (ids, calls) = register_calls(&history);
    let text = || file(&history);
    let refusal = match decide(&Register, &calls, Budget::default()) {
        Decision::Possible if is_possible => {
            let orders = witness(&Register, &calls, Budget::default());
            let orders =
                orders.map_err(|decision| format!("no witness: {decision:?}\n{}", text()))?;
            let named = |order: Vec<usize>| order.into_iter().map(|it| ids[it]).collect();
            let orders: Vec<Vec<OperationId>> = orders.into_iter().map(named).collect();
            return match replay(&history, &orders) {
                Ok(()) => Ok(false),
                Err(why) => Err(format!("{why} in {orders:?}\n{}", text())),
            };
        }
        Decision::Impossible(refusal) if !is_possible => refusal,
        other => return Err(format!("{other:?}, and {is_possible}\n{}", text())),
    };
    let core = core(&Register, &calls, &refusal);
    let kept: Vec<OperationId> = core.calls.iter().map(|it| ids[*it]).collect();
    let few = history.operations.iter().filter(|operation| kept.contains(&operation.id));
    let operations = Operations::new(few.cloned().collect()).expect("a part is in order");
    let small = History { operations, ..history.clone() };
    if !core.is_minimal || testing::is_possible(&small, true, case)? {
        return Err(format!("{}\nproves nothing of\n{}", file(&small), text()));
    }
    Ok(true)
}

#[test]
fn what_the_exact_algorithm_leaves_over_is_judged_as_the_brute_force_judges_it() {
    agree("residue", CASES, residue_case);
}

#[test]
fn registers_with_repeated_values_are_judged_as_the_brute_force_judges_them() {
    agree("repeats", CASES, repeats_case);
}

/// Whether an order of the calls that are not done exists, by trying all.
fn any_order<M: Model, H>(
    plain: &impl Fn(&H, &M::Input, Option<&M::Output>) -> Option<H>,
    calls: &[CallOf<M>],
    done: u32,
    at: &H,
) -> bool {
    let left = || (0..calls.len()).filter(|index| done & 1 << index == 0);
    let Some(deadline) = left().filter_map(|index| calls[index].ended).min() else { return true };
    left().filter(|index| calls[*index].began <= deadline).any(|index| {
        let output = calls[index].ended.and(calls[index].output.as_ref());
        let state = plain(at, &calls[index].input, output);
        state.is_some_and(|state| any_order::<M, H>(plain, calls, done | 1 << index, &state))
    })
}

/// Calls of a thing that is right.
fn random_calls<M: Model>(
    stream: &mut Stream,
    model: &M,
    input: impl Fn(&mut Stream) -> M::Input,
    outputs: impl Fn(&mut Stream, &M::Input) -> Vec<M::Output>,
) -> Vec<CallOf<M>> {
    let count = stream.random_range(2..=7);
    let overlap = stream.random_range(1..30);
    let mut state = model.initial();
    let mut calls: Vec<CallOf<M>> = Vec::new();
    for index in 0..count {
        let mut wanted = input(stream);
        let mut answers = Vec::new();
        // What is not allowed now, such as acquiring a held lock, would not be answered.
        for _ in 0..20 {
            answers = outputs(stream, &wanted);
            answers.retain(|output| model.step(&state, &wanted, Some(output)).is_some());
            if !answers.is_empty() {
                break;
            }
            wanted = input(stream);
        }
        let Some(output) = answers.pop() else { continue };
        let unknown = stream.random_range(0..5) == 0;
        if !unknown || stream.random_range(0..2) == 0 {
            state = model.step(&state, &wanted, Some(&output)).unwrap_or(state);
        }
        let place = 10 * index as u64 + 40;
        calls.push(Call {
            client: ClientId(index),
            input: wanted,
            output: Some(output),
            began: place - stream.random_range(0..overlap),
            ended: (!unknown).then(|| place + 1 + stream.random_range(0..overlap)),
        });
    }
    calls
}

/// Moves one end of a call, alters an answer, or leaves a call out.
fn edit<M: Model>(
    stream: &mut Stream,
    calls: &mut Vec<CallOf<M>>,
    outputs: impl Fn(&mut Stream, &M::Input) -> Vec<M::Output>,
) {
    if calls.is_empty() {
        return;
    }
    let index = stream.random_range(0..calls.len());
    let mut answers = outputs(stream, &calls[index].input);
    let call = &mut calls[index];
    match stream.random_range(0..6) {
        0 | 1 => {
            let moved = stream.random_range(0..100);
            call.began = call.ended.map_or(moved, |ended| ended.min(moved));
        }
        2 | 3 => {
            call.ended = call.ended.map(|ended| stream.random_range(call.began..=ended));
        }
        4 if answers.len() > 1 => {
            call.output = Some(answers.swap_remove(stream.random_range(0..answers.len())));
        }
        _ => {
            calls.remove(index);
        }
    }
}

/// Judges random calls; gives whether they are impossible. `plain` is the thing written again, without the
/// model: what it holds after a call, or nothing if it would have answered otherwise.
fn case<M: Model, H>(
    stream: &mut Stream,
    model: &M,
    (empty, plain): (H, impl Fn(&H, &M::Input, Option<&M::Output>) -> Option<H>),
    input: impl Fn(&mut Stream) -> M::Input,
    outputs: impl Fn(&mut Stream, &M::Input) -> Vec<M::Output>,
) -> Result<bool, String>
where
    M::Input: Debug,
{
    let any_order = |calls: &[CallOf<M>]| any_order::<M, H>(&plain, calls, 0, &empty);
    let mut calls = random_calls(stream, model, &input, &outputs);
    // Seven of eight are edited until they are impossible, and mostly only just so.
    if stream.random_range(0..8) > 0 {
        for _ in 0..32 {
            edit::<M>(stream, &mut calls, &outputs);
            if !any_order(&calls) {
                break;
            }
        }
    }
    let refusal = match (decide(model, &calls, Budget::default()), any_order(&calls)) {
        (Decision::Possible, true) => {
            let orders = witness(model, &calls, Budget::default());
            let orders = orders.map_err(|decision| format!("{decision:?} {calls:#?}"))?;
            // Each part has an order of its own.
            for (part, order) in super::parts(model, &calls).into_iter().zip(orders) {
                let alone: Vec<CallOf<M>> = part.iter().map(|it| calls[*it].clone()).collect();
                let place = |call| part.iter().position(|it| *it == call).unwrap_or(usize::MAX);
                let order: Vec<usize> = order.into_iter().map(place).collect();
                replay_calls(model, &alone, &order)
                    .map_err(|why| format!("{why} in {order:?} of {alone:#?}"))?;
            }
            return Ok(false);
        }
        (Decision::Impossible(refusal), false) => refusal,
        (decision, truth) => return Err(format!("{decision:?}, and {truth}: {calls:#?}")),
    };
    let core = core(model, &calls, &refusal);
    let few: Vec<CallOf<M>> = core.calls.iter().map(|index| calls[*index].clone()).collect();
    match core.is_minimal && !any_order(&few) {
        true => Ok(true),
        false => Err(format!("{few:#?} proves nothing of {calls:#?}")),
    }
}

#[test]
fn locks_are_judged_as_every_order_judges_them() {
    agree("mutex", CASES / 4, mutex_case);
}

pub(in crate::checker) fn mutex_case(stream: &mut Stream, _: usize) -> Result<bool, String> {
    let input = |stream: &mut Stream| match stream.random_range(0..2) {
        0 => mutex::Input::Acquire,
        _ => mutex::Input::Release,
    };
    let plain = |held: &bool, input: &mutex::Input, _: Option<&()>| {
        let takes = *input == mutex::Input::Acquire;
        (takes != *held).then_some(takes)
    };
    case(stream, &Mutex::default(), (false, plain), input, |_, _| vec![()])
}

#[test]
fn appended_strings_are_judged_as_every_order_judges_them() {
    agree("key-value", CASES / 4, key_value_case);
}

pub(in crate::checker) fn key_value_case(stream: &mut Stream, _: usize) -> Result<bool, String> {
    static LETTERS: LazyLock<[Arc<str>; 3]> = LazyLock::new(|| ["a", "b", "ab"].map(Arc::from));
    let letter = |stream: &mut Stream| LETTERS[stream.random_range(0..3)].clone();
    let input = move |stream: &mut Stream| key_value::Input {
        key: testing::key("k"),
        action: match stream.random_range(0..6) {
            0 => key_value::Action::Put(letter(stream)),
            1 | 2 => key_value::Action::Append(letter(stream)),
            _ => key_value::Action::Get,
        },
    };
    // Every string of up to five letters, of which the right one is chosen.
    static STRINGS: LazyLock<Vec<key_value::Output>> = LazyLock::new(|| {
        let mut strings = vec![String::new()];
        for index in 0..31 {
            let longer: Vec<String> = ["a", "b"].map(|it| format!("{}{it}", strings[index])).into();
            strings.extend(longer);
        }
        strings.iter().map(|it| key_value::Output::Got(Arc::from(it.as_str()))).collect()
    });
    let plain = |held: &String, input: &key_value::Input, output: Option<&key_value::Output>| {
        let seen = match output {
            Some(key_value::Output::Got(seen)) => Some(seen),
            _ => None,
        };
        match &input.action {
            key_value::Action::Put(text) => Some(text.to_string()),
            key_value::Action::Append(text) => Some(held.clone() + text),
            key_value::Action::Get => {
                seen.is_none_or(|seen| **seen == **held).then(|| held.clone())
            }
        }
    };
    case(stream, &KeyValue::default(), (String::new(), plain), input, |_, input| {
        match input.action {
            key_value::Action::Get => STRINGS.clone(),
            _ => vec![key_value::Output::Done],
        }
    })
}

#[test]
fn transactions_over_registers_are_judged_as_every_order_judges_them() {
    agree("multi-register", CASES / 4, multi_register_case);
}

pub(in crate::checker) fn multi_register_case(
    stream: &mut Stream,
    _: usize,
) -> Result<bool, String> {
    let model = MultiRegister { initial: Default::default(), otherwise: Some(Arc::from("0")) };
    let input = |stream: &mut Stream| {
        let steps = stream.random_range(1..=2);
        (0..steps)
            .map(|_| {
                let key = testing::key(["x", "y"][stream.random_range(0..2)]);
                match stream.random_range(0..2) {
                    0 => Step::Read(key),
                    _ => Step::Write(key, Arc::from(["1", "2"][stream.random_range(0..2)])),
                }
            })
            .collect::<Vec<_>>()
    };
    let plain = |held: &[u8; 2], steps: &Vec<Step>, seen: Option<&Vec<Option<Arc<str>>>>| {
        let mut held = *held;
        let place = |key: &Key| usize::from(key.as_str() == "y");
        for (index, step) in steps.iter().enumerate() {
            match (step, seen.and_then(|seen| seen[index].as_ref())) {
                (Step::Write(key, value), _) => held[place(key)] = value.as_bytes()[0],
                (Step::Read(key), Some(value)) if value.as_bytes()[0] != held[place(key)] => {
                    return None;
                }
                (Step::Read(_), _) => {}
            }
        }
        Some(held)
    };
    case(stream, &model, ([b'0'; 2], plain), input, |stream, steps| {
        let mut all: Vec<Vec<Option<Arc<str>>>> = vec![Vec::new()];
        for step in steps {
            let answers: Vec<Option<Arc<str>>> = match step {
                Step::Read(_) if stream.random_range(0..5) == 0 => vec![None],
                Step::Read(_) => ["0", "1", "2"].map(|it| Some(Arc::from(it))).into(),
                Step::Write(..) => vec![None],
            };
            all = all
                .iter()
                .flat_map(|seen| {
                    answers
                        .iter()
                        .map(move |it| [seen.as_slice(), std::slice::from_ref(it)].concat())
                })
                .collect();
        }
        all
    })
}

#[test]
fn sums_are_judged_as_every_order_judges_them() {
    agree("sums", CASES / 4, sums_case);
}

pub(in crate::checker) fn sums_case(stream: &mut Stream, _: usize) -> Result<bool, String> {
    let input = |stream: &mut Stream| counter::Input {
        key: testing::key("n"),
        action: match stream.random_range(0..2) {
            0 => counter::Action::Read,
            _ => counter::Action::Add(stream.random_range(-1..=2)),
        },
    };
    let plain = |sum: &i64, input: &counter::Input, output: Option<&counter::Output>| {
        let counter::Action::Add(by) = input.action else {
            let is_right = output.is_none_or(|output| *output == counter::Output::Sum(*sum));
            return is_right.then_some(*sum);
        };
        Some(sum + by)
    };
    case(stream, &Counter::default(), (0, plain), input, |stream, input| match input.action {
        counter::Action::Add(_) => vec![counter::Output::Done],
        counter::Action::Read => {
            let mut sums: Vec<counter::Output> = (-7..=14).map(counter::Output::Sum).collect();
            // Mostly a sum nearby, which is the nearer miss.
            if stream.random_range(0..2) == 0 {
                sums.retain(|sum| matches!(sum, counter::Output::Sum(-1..=4)));
            }
            sums
        }
    })
}

#[test]
fn queues_with_repeated_elements_are_judged_as_every_order_judges_them() {
    agree("fifo-queue", CASES / 4, fifo_case);
    agree("unordered-queue", CASES / 4, unordered_case);
}

pub(in crate::checker) fn fifo_case(stream: &mut Stream, _: usize) -> Result<bool, String> {
    queue_case(stream, Order::FirstIn)
}

pub(in crate::checker) fn unordered_case(stream: &mut Stream, case: usize) -> Result<bool, String> {
    queue_case(stream, if case.is_multiple_of(3) { Order::AnyNeverEmpty } else { Order::Any })
}

fn queue_case(stream: &mut Stream, order: Order) -> Result<bool, String> {
    let element = |stream: &mut Stream| testing::key(["a", "b", "c"][stream.random_range(0..3)]);
    let input = |stream: &mut Stream| match stream.random_range(0..2) {
        0 => queue::Input::Enqueue(element(stream)),
        _ if order != Order::AnyNeverEmpty && stream.random_range(0..5) == 0 => queue::Input::Read,
        _ if order == Order::FirstIn => queue::Input::Dequeue(None),
        _ => queue::Input::Dequeue(Some(element(stream))),
    };
    // A string of one letter for each element.
    let plain = |held: &String, input: &queue::Input, output: Option<&queue::Output>| {
        let mut held = held.clone();
        match (input, output) {
            (queue::Input::Enqueue(element), _) => held.push_str(element.as_str()),
            (_, Some(queue::Output::Took(Some(element)))) => {
                let at = held.find(element.as_str())?;
                if order == Order::FirstIn && at != 0 {
                    return None;
                }
                held.remove(at);
            }
            (queue::Input::Read, Some(queue::Output::Held(seen))) => {
                let letters = |text: String| {
                    let mut letters: Vec<char> = text.chars().collect();
                    if order == Order::Any {
                        letters.sort_unstable();
                    }
                    letters
                };
                let seen: String = seen.iter().map(Key::as_str).collect();
                if letters(seen) != letters(held.clone()) {
                    return None;
                }
            }
            (queue::Input::Read, _) => {}
            (_, Some(_)) if !held.is_empty() => return None,
            (_, None) if order == Order::FirstIn && !held.is_empty() => {
                held.remove(0);
            }
            // Of a queue that is never found empty the readers leave this out, see the model.
            (queue::Input::Dequeue(Some(element)), None) => {
                if let Some(at) = held.find(element.as_str()) {
                    held.remove(at);
                }
            }
            _ => {}
        }
        Some(held)
    };
    let outputs = |_: &mut Stream, input: &queue::Input| match input {
        queue::Input::Enqueue(_) => vec![queue::Output::Done],
        queue::Input::Dequeue(Some(element)) if order == Order::AnyNeverEmpty => {
            vec![queue::Output::Took(Some(element.clone()))]
        }
        queue::Input::Dequeue(Some(element)) => {
            vec![queue::Output::Took(None), queue::Output::Took(Some(element.clone()))]
        }
        queue::Input::Dequeue(None) => {
            let mut all: Vec<queue::Output> =
                ["a", "b", "c"].map(|it| queue::Output::Took(Some(testing::key(it)))).into();
            all.insert(0, queue::Output::Took(None));
            all
        }
        queue::Input::Read => {
            let held: [&[&str]; 13] = [
                &[],
                &["a"],
                &["b"],
                &["c"],
                &["a", "b"],
                &["b", "a"],
                &["b", "c"],
                &["a", "c"],
                &["a", "a"],
                &["c", "b", "a"],
                &["a", "b", "c"],
                &["b", "b"],
                &["c", "a"],
            ];
            let keys = |it: &[&'static str]| it.iter().map(|it| testing::key(it)).collect();
            held.map(|it| queue::Output::Held(keys(it))).into()
        }
    };
    case(stream, &Queue { order }, (String::new(), plain), input, outputs)
}

#[test]
fn sets_of_which_elements_come_and_go_are_judged_as_every_order_judges_them() {
    agree("set-with-remove", CASES / 4, removes_case);
}

pub(in crate::checker) fn removes_case(stream: &mut Stream, _: usize) -> Result<bool, String> {
    let input = |stream: &mut Stream| {
        let value = Value(stream.random_range(0..3));
        let action = match stream.random_range(0..5) {
            0 => set::Action::Add(value),
            1 => set::Action::Remove(value),
            2 => set::Action::Contains(value),
            _ => set::Action::Read,
        };
        set::Input { key: testing::key("s"), action }
    };
    // A bit for each element.
    let bits = |values: &[Value]| values.iter().fold(0, |bits, value| bits | 1 << value.0);
    let plain = |held: &u8, input: &set::Input, output: Option<&set::Output>| match input.action {
        set::Action::Add(value) => Some(held | 1 << value.0),
        set::Action::Remove(value) => Some(held & !(1 << value.0)),
        set::Action::Contains(value) => {
            let is = held & 1 << value.0 != 0;
            let is_right = output.is_none_or(|output| *output == set::Output::Contained(is));
            is_right.then_some(*held)
        }
        set::Action::Read => match output {
            Some(set::Output::Held(seen)) => {
                let is_right = bits(seen) == *held && seen.len() == held.count_ones() as usize;
                is_right.then_some(*held)
            }
            _ => Some(*held),
        },
    };
    case(stream, &Set, (0, plain), input, |_, input| match input.action {
        set::Action::Add(_) | set::Action::Remove(_) => vec![set::Output::Done],
        set::Action::Contains(_) => [false, true].map(set::Output::Contained).into(),
        set::Action::Read => {
            let held = |bits: u8| (0..3).filter(|it| bits & 1 << it != 0).map(Value).collect();
            let mut all: Vec<set::Output> =
                (0..8).map(|bits| set::Output::Held(held(bits))).collect();
            all.insert(0, set::Output::Held(vec![Value(1), Value(1)]));
            all
        }
    })
}

fn write(client: u32, value: i64, began: u64, ended: Option<u64>) -> CallOf<Register> {
    call(client, register::Action::Write(Some(Value(value))), began, ended)
}

fn read(client: u32, value: i64, began: u64, ended: u64) -> CallOf<Register> {
    let seen = Some(Value(value));
    let output = Some(register::Output::Held(seen));
    Call { output, ..call(client, register::Action::Read, began, Some(ended)) }
}

fn call(client: u32, action: register::Action, began: u64, ended: Option<u64>) -> CallOf<Register> {
    let input = register::Input { key: Key::new("r"), action };
    let output = ended.map(|_| register::Output::Written);
    Call { client: ClientId(client), input, output, began, ended }
}

#[test]
fn a_thousand_writes_without_answer_of_four_values_cost_next_to_nothing() {
    let mut calls: Vec<CallOf<Register>> =
        (0..1000).map(|i| write(i, i64::from(i % 4), u64::from(i), None)).collect();
    for i in 0..1000_u32 {
        let began = 2000 + 2 * u64::from(i);
        calls.push(read(2000, i64::from(i * i % 7 % 4), began, began + 1));
    }
    let budget = Budget { at_once: 100, in_all: 100_000 };
    // Each value was written often enough for most of these reads, but not for all of them.
    assert!(matches!(decide(&Register, &calls[..1400], budget), Decision::Possible));
    assert!(matches!(decide(&Register, &calls, budget), Decision::Impossible(_)));
}

#[test]
fn beyond_the_budget_nothing_is_decided_and_the_window_is_named() {
    let mut calls = vec![write(0, 1, 0, Some(1)), read(0, 1, 2, 3)];
    // Each value twice, and read at the end, so that any of them may still be needed.
    for i in 0..40 {
        calls.push(write(10 + i, i64::from(i % 20), 10, Some(100 + u64::from(i))));
    }
    calls.extend((0..20).map(|i| read(60 + i, i64::from(i), 200, 300 + u64::from(i))));
    let budget = Budget { at_once: 1000, in_all: 1_000_000 };
    match decide(&Register, &calls, budget) {
        Decision::Undecided(overrun) => {
            assert_eq!((overrun.from, overrun.to), (3, 100), "{overrun:?}");
            assert_eq!(overrun.why, "more than 1000 configurations at once");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_refusal_names_the_call_the_states_and_who_is_refused_in_them() {
    let calls =
        [write(0, 0, 0, Some(1)), read(1, 3, 2, 10), write(2, 4, 3, Some(11)), read(3, 4, 12, 13)];
    let Decision::Impossible(refusal) = decide(&Register, &calls, Budget::default()) else {
        panic!("3 was never written");
    };
    assert_eq!(refusal.refused, 1);
    assert_eq!(refusal.since, Some((1, "0".to_string())));
    let last: Vec<(&str, &[usize])> =
        refusal.last.iter().map(|it| (it.state.as_str(), it.refuses.as_slice())).collect();
    assert_eq!(last, [("0", &[1][..]), ("4", &[1][..])]);
    let core = core(&Register, &calls, &refusal);
    assert_eq!(core.calls, [1], "nobody wrote what was read, whatever else happened");
}
