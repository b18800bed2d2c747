//! Whole suites with their histories: one that passes, one that lost a write, one undecided.
//!
//! The numbers are made by plain loops, the measures by this crate, the judgements and the second
//! opinion by the judges themselves; what audit and gates would say is written by hand, in their
//! words.

use std::collections::BTreeMap;

use splitbrain_workloads::checker::{brute_force, elle, list};
use splitbrain_workloads::history::{History, Micros, jsonl};
use splitbrain_workloads::operation::{
    Consistency, Key, NodeId, Op, Outcome, Reply, Step, StepReply, Transaction, Value,
};
use splitbrain_workloads::verdict::{AnomalyKind, Judgement, Verdict};
use splitbrain_workloads::workload;

use super::{Events, Tape, fault};
use crate::measure::coverage::Coverage;
use crate::measure::shown::{Shown, shown};
use crate::measure::{Measured, RunMeasures, Window, fault_coverage, operations};
use crate::record::{
    AuditRecord, Effect, Expectation, FaultRecord, GateOutcome, GateRecord, HostRecord, Opinion,
    Part, Recheck, Role, RunRecord, RunResult, SCHEMA_VERSION, SuiteRecord, TargetRecord,
};
use crate::text::{self, Checked, RunDetail, Style};

/// A suite and, by the names of its runs, their histories and events.
pub(crate) type Sample = (SuiteRecord, BTreeMap<String, RunDetail>);

const BEGAN: u64 = 1_240_000;
const ENDED: u64 = 9_240_000;

/// How a node answers at a moment.
enum Answer {
    Ok,
    Slow,
    NoLeader,
    Timeout,
}

/// Six clients, two for each node, on four registers for eight seconds.
fn register_load(answer: impl Fn(u16, u64) -> Answer) -> Tape {
    let mut tape = Tape::new("register", 3);
    let mut value = 100;
    let mut held = [None; 4];
    for step in 0..(ENDED - BEGAN) / 40_000 {
        let client = (step % 6) as u32;
        let node = (client % 3) as u16 + 1;
        let from = BEGAN + step * 40_000 + (step * 7_919) % 11_000;
        let took = 1_400 + (step * 104_729) % 2_600;
        let key = (step % 4) as usize;
        let name = format!("r{key}");
        value += 1;
        match (answer(node, from), step % 3) {
            (Answer::Ok, 0) => tape.read(client, node, &name, held[key], from, from + took),
            (Answer::Ok, _) => {
                tape.write(client, node, &name, value, from, from + took);
                held[key] = Some(value);
            }
            (Answer::Slow, _) => {
                tape.write(client, node, &name, value, from, from + 60_000 + took * 10);
                held[key] = Some(value);
            }
            (Answer::NoLeader, _) => {
                tape.read_failed(client, node, &name, from, from + 900, "no-leader");
            }
            (Answer::Timeout, _) => {
                tape.write_unknown(client, node, &name, value, from, from + 200_000, "timeout");
            }
        }
    }
    for (key, value) in held.iter().enumerate() {
        final_reads(&mut tape, &format!("r{key}"), *value, 10_400_000 + key as u64 * 10_000);
    }
    tape
}

/// The read of a register at the end, and what each node says of it by itself.
fn final_reads(tape: &mut Tape, key: &str, value: Option<i64>, from: u64) {
    tape.final_read(100, 1, key, value, from, from + 1_100);
    for node in 1..=3 {
        let op = Op::Read { key: Key::new(key), consistency: Consistency::Local };
        let from = from + u64::from(node) * 2_000;
        let reply = Outcome::Ok(Reply::Read(value.map(Value)));
        tape.push(100, node, op, reply, true, from, from + 900);
    }
}

/// Three nodes come up, `n1` leads.
fn calm_events() -> Events {
    let mut events = Events::default();
    for node in 1..=3 {
        events.started(20_000, node);
        let role = if node == 1 { Role::Leader } else { Role::Follower };
        events.role(if node == 1 { 640_000 } else { 700_000 }, node, role);
    }
    events
}

fn killed() -> (Tape, Events, FaultRecord) {
    let tape = register_load(|node, at| match at {
        3_000_000..3_620_000 if node == 1 => Answer::Timeout,
        3_000_000..3_620_000 => Answer::NoLeader,
        3_620_000..3_700_000 => Answer::Slow,
        3_700_000..4_180_000 if node == 1 => Answer::Timeout,
        _ => Answer::Ok,
    });
    let mut events = calm_events();
    events.exited(3_004_000, 1).started(4_012_000, 1).role(4_160_000, 1, Role::Follower);
    events.role(3_480_000, 2, Role::Candidate).role(3_600_000, 2, Role::Leader);
    let mut kill = fault(1, "kill", &[1], 3_001_000, 4_090_000);
    kill.shape = "leader, for 1s".into();
    kill.planned = Some(Micros(3_000_000 - BEGAN));
    kill.in_force = Some(Micros(3_004_000));
    kill.effect = Effect::Seen("process 4701 of n1 is gone, process 4731 runs".into());
    (tape, events, kill)
}

fn cut_off() -> (Tape, Events, FaultRecord) {
    let tape = register_load(|node, at| match at {
        3_000_000..3_700_000 if node == 1 => Answer::Timeout,
        3_000_000..3_700_000 => Answer::NoLeader,
        3_700_000..6_100_000 if node == 1 => Answer::NoLeader,
        _ => Answer::Ok,
    });
    let mut events = calm_events();
    events.role(3_600_000, 3, Role::Candidate).role(3_700_000, 3, Role::Leader);
    events.role(3_900_000, 1, Role::Follower);
    (tape, events, partition())
}

fn partition() -> FaultRecord {
    let mut cut = fault(1, "partition", &[1], 3_001_000, 6_004_000);
    cut.shape = "leader alone, for 3s".into();
    cut.form = "isolate".into();
    cut.planned = Some(Micros(3_000_000 - BEGAN));
    cut.in_force = Some(Micros(3_003_000));
    cut.links = ["n1->n2", "n2->n1", "n1->n3", "n3->n1"].map(String::from).to_vec();
    cut.effect = Effect::Seen("held 18 204 bytes and 6 new connections, nothing passed".into());
    cut
}

/// Adds at both sides of a cut. What `n1` acknowledges between the cut and the heal is lost.
fn two_leaders() -> (Tape, Events, FaultRecord) {
    let mut tape = Tape::new("set", 3);
    let mut kept = Vec::new();
    for step in 0..(ENDED - BEGAN) / 33_000 {
        let client = (step % 6) as u32;
        let node = (client % 3) as u16 + 1;
        let from = BEGAN + step * 33_000 + (step * 7_919) % 9_000;
        let to = from + 700 + (step * 104_729) % 900;
        let (element, key) = (step as i64, format!("s/{step}"));
        match from {
            3_003_000..3_800_000 if node != 1 => {
                tape.write_unknown(client, node, &key, element, from, from + 180_000, "timeout");
            }
            3_003_000..6_000_000 if node == 1 => {
                tape.write(client, node, &key, element, from, to);
            }
            _ => {
                tape.write(client, node, &key, element, from, to);
                kept.push(element);
            }
        }
    }
    let listed: Vec<Value> = kept.iter().copied().map(Value).collect();
    let at_each = (1..=3).map(|node| (node, Consistency::Local));
    for (place, (node, consistency)) in
        [(1, Consistency::Linearizable)].into_iter().chain(at_each).enumerate()
    {
        let from = 10_300_000 + place as u64 * 5_000;
        let reply = Outcome::Ok(Reply::Listed(listed.clone()));
        let list = Op::List { prefix: Key::new("s/"), consistency };
        tape.push(100, node, list, reply, true, from, from + 2_100);
    }
    let mut events = calm_events();
    events.role(3_780_000, 2, Role::Leader).role(6_120_000, 1, Role::Follower);
    let mut cut = partition();
    cut.shape = "leader alone, until 50 writes acknowledged by the victim, 10s at most".into();
    cut.planned = None;
    (tape, events, cut)
}

struct Told {
    name: &'static str,
    part: Part,
    profile: &'static str,
    workload: &'static str,
    expectation: Expectation,
    result: RunResult,
    /// Of a run that found something what was found is said instead.
    why: &'static str,
}

/// Makes the record of a run, its measures taken by this crate.
fn run(
    told: Told,
    tape: &Tape,
    events: &Events,
    mut faults: Vec<FaultRecord>,
) -> (RunRecord, RunDetail) {
    let history = tape.history();
    let load = Window { from: Micros(BEGAN), to: Micros(ENDED) };
    let judgements = workload::judge(&history);
    let shed = [Micros(3_200_000), Micros(3_300_000)];
    let shed = if faults.is_empty() { &shed[..0] } else { &shed[..] };
    let measured =
        Measured { history: &history, load, shed, faults: &faults, judgements: &judgements };
    let measures = RunMeasures::of(measured);
    measures.fill(&mut faults);
    let verdict = judgements.iter().map(|j| j.verdict).reduce(Verdict::and).unwrap();
    let availability = measures.availability;
    let gates = gates(availability.ok, availability.asked);
    let hits = fault_coverage::hits(3, &events.records(), &faults);
    let coverage = fault_coverage::matrix(&faults, &hits);
    let why = match (told.result, verdict) {
        (RunResult::NotMet, Verdict::Fail) => text::violated(&history, &judgements, None, &faults),
        _ => told.why.to_string(),
    };
    let recheck = second_opinion(&history, &judgements);
    let record = RunRecord {
        name: told.name.into(),
        part: told.part,
        target: TargetRecord {
            name: "store".into(),
            nodes: 3,
            settings: BTreeMap::from([("profile".into(), told.profile.into())]),
            version: "0.1.0".into(),
            binary: "9f2c".repeat(16),
        },
        workload: told.workload.into(),
        clients: 6,
        rate: Some(25),
        timeout: Micros(200_000),
        load: load.length(),
        load_began: load.from,
        expectation: told.expectation,
        verdict,
        result: told.result,
        why,
        judgements,
        gates,
        audit: audit(&faults, &history),
        operations: measures.operations,
        shed: shed.len() as u64,
        faults,
        coverage,
        settled_after: Some(Micros(310_000)),
        recheck,
        watch: None,
        directory: told.name.into(),
    };
    (record, RunDetail { history, events: events.records() })
}

fn gates(ok: u64, asked: u64) -> Vec<GateRecord> {
    let gate = |name: &str, rule: &str, observed: String, held| GateRecord {
        name: name.into(),
        rule: rule.into(),
        observed,
        outcome: if held { GateOutcome::Held } else { GateOutcome::Broken },
    };
    let share = crate::units::percent(ok, asked).unwrap_or("no operations".into());
    vec![
        gate("no-crash", "no node ends by itself", "0".into(), true),
        gate(
            "settled",
            "every node has applied what is committed <= 20.0 s after the heal",
            "310 ms".into(),
            true,
        ),
        gate("availability", ">= 70 %", share, ok * 10 >= asked * 7),
    ]
}

fn audit(faults: &[FaultRecord], history: &History) -> Vec<AuditRecord> {
    let seen = faults.iter().filter(|fault| matches!(fault.effect, Effect::Seen(_))).count();
    let question = |name: &str, rule: &str, observed: String, enough| AuditRecord {
        name: name.into(),
        rule: rule.into(),
        observed,
        enough,
    };
    let ok = operations::count(history).into_iter();
    let ok: Vec<_> = ok.map(|kind| (kind.kind, kind.ok)).collect();
    let rules = ok.iter().map(|(kind, _)| format!("{kind} >= 10")).collect::<Vec<_>>().join(", ");
    let counts = ok.iter().map(|(kind, count)| format!("{kind} {count}"));
    let counts = counts.collect::<Vec<_>>().join(", ");
    let answered = Coverage::of(history).ok_by_node.into_iter();
    let answered = answered.map(|(node, count)| format!("{node} {count}")).collect::<Vec<_>>();
    let finals = history.operations.iter().filter(|operation| operation.is_final).count();
    let mut questions = vec![
        question("operations", &rules, counts, true),
        question("nodes", "each answered >= 1", answered.join(", "), true),
    ];
    if !faults.is_empty() {
        questions.push(question(
            "faults-took-effect",
            "every injected one, and one of each kind",
            match seen == faults.len() {
                true => format!("{seen} of {}", faults.len()),
                false => format!("{seen} of {}; no effect: #1 partition", faults.len()),
            },
            seen == faults.len(),
        ));
        questions.push(question(
            "traffic-into-faults",
            "operations open at each victim >= 1",
            "least 9, n1 in fault 1".into(),
            true,
        ));
    }
    let finals = format!("{finals} of {finals}");
    let every = "every key and every node answered after the heal";
    questions.push(question("final-reads", every, finals, true));
    let settled = "every node applies all that is committed, after the heal";
    questions.push(question("settled", settled, "yes".into(), true));
    questions
}

/// What the brute force says of the first anomaly, in the harness's words.
fn second_opinion(history: &History, judgements: &[Judgement]) -> Option<Recheck> {
    let Shown { judgement, anomaly } = shown(judgements, None)?;
    let minimal = workload::minimal(history, judgement, anomaly).unwrap();
    let text = String::from_utf8(jsonl::write(&minimal, Vec::new()).unwrap()).unwrap();
    let judged = brute_force::judge_file(&text).unwrap();
    assert!(!judged.possible, "the second judge agrees");
    let (operations, tried) = (judged.operations, judged.orders_tried);
    Some(Recheck {
        file: "minimal.jsonl".into(),
        opinion: Opinion::Confirmed,
        how: match tried {
            0 => format!(
                "the answers of these {operations} operations exclude each other: no order had to \
                 be tried"
            ),
            _ => format!("no order of these {operations} operations is possible, {tried} tried"),
        },
    })
}

fn suite(name: &str, runs: Vec<(RunRecord, RunDetail)>, code: u8, reason: &str) -> Sample {
    let details = runs.iter().map(|(run, detail)| (run.name.clone(), detail.clone())).collect();
    let runs: Vec<RunRecord> = runs.into_iter().map(|(run, _)| run).collect();
    let suite = SuiteRecord {
        schema_version: SCHEMA_VERSION,
        suite: name.into(),
        seed: "0x5eed1234".into(),
        started: "2026-11-21T09:51:48Z".into(),
        took: Micros(11_400_000 * runs.len() as u64),
        version: "0.1.0".into(),
        command: "splitbrain run".into(),
        directory: format!("runs/20261121-095148-{name}"),
        host: HostRecord { processors: 2, kernel: "Linux 6.12.0".into() },
        result: runs.iter().map(|run| run.result).max().unwrap(),
        runs,
        planned: None,
        exit_code: code,
        exit_reason: reason.into(),
    };
    (suite, details)
}

fn proof(name: &'static str) -> Told {
    Told {
        name,
        part: Part::Proof,
        profile: "raft",
        workload: "register, 4 keys",
        expectation: Expectation::Pass,
        result: RunResult::Met,
        why: "every checker and every gate passed",
    }
}

/// Two proofs, and a canary that is caught with control and calm run beside it.
pub(crate) fn release_gate() -> Sample {
    let (tape, events, kill) = killed();
    let first = run(proof("leader-killed"), &tape, &events, vec![kill]);
    let (tape, events, cut) = cut_off();
    let second = run(proof("leader-cut-off"), &tape, &events, vec![cut.clone()]);

    let (tape, events, mut until) = two_leaders();
    until.leaders = vec![NodeId(1)];
    let canary = Told {
        name: "canary-two-leaders",
        part: Part::Canary,
        profile: "async",
        workload: "set, up to 50000 elements",
        expectation: Expectation::Fail(AnomalyKind::LostWrite),
        result: RunResult::Met,
        why: "found lost-write, as predicted; control and calm twin passed",
    };
    let canary = run(canary, &tape, &events, vec![until]);

    let (tape, events, cut) = cut_off();
    let of = || "canary-two-leaders".to_string();
    let mut control = proof("canary-two-leaders-control");
    control.part = Part::Control { of: of() };
    let control = run(control, &tape, &events, vec![cut]);
    let mut calm = proof("canary-two-leaders-calm");
    (calm.part, calm.profile) = (Part::Calm { of: of() }, "async");
    let calm = run(calm, &register_load(|_, _| Answer::Ok), &calm_events(), vec![]);
    let runs = vec![first, second, canary, control, calm];
    suite("release-gate", runs, 0, "every run met its expectation and every gate")
}

/// A raft that lost a write across a leader's death, beside a run that held.
pub(crate) fn lost_write_on_raft() -> Sample {
    let (tape, events, cut) = cut_off();
    let good = run(proof("leader-cut-off"), &tape, &events, vec![cut]);

    let (mut tape, events, kill) = killed();
    // The leader acknowledged 901 and died; the new one never heard of it.
    tape.write(104, 2, "x", 899, 2_930_100, 2_933_000);
    tape.write(102, 1, "x", 901, 2_996_200, 2_998_900);
    tape.read(105, 3, "x", Some(899), 3_871_000, 3_872_600);
    tape.read(103, 2, "x", Some(899), 3_880_000, 3_881_900);
    final_reads(&mut tape, "x", Some(899), 10_452_000);
    let told = Told { result: RunResult::NotMet, ..proof("leader-killed") };
    let bad = run(told, &tape, &events, vec![kill]);
    suite("leader-failover", vec![bad, good], 1, "a violation was proven")
}

/// A partition whose links carried nothing: nothing is wrong, and nothing was tested.
pub(crate) fn partition_without_effect() -> Sample {
    let tape = register_load(|_, _| Answer::Ok);
    let mut cut = partition();
    cut.effect = Effect::None("no cut link was offered a byte".into());
    let told = Told {
        result: RunResult::Undecided,
        why: "not enough evidence, faults-took-effect: 0 of 1; no effect: #1 partition, needed \
              every injected one, and one of each kind",
        ..proof("leader-cut-off")
    };
    let run = run(told, &tape, &calm_events(), vec![cut]);
    let reason = "no broken promise is proven, and there is too little evidence to pass";
    suite("leader-failover", vec![run], 3, reason)
}

/// The text of a check of a short history with one stale read.
pub(crate) fn stale_read_checked(style: &Style) -> String {
    let mut tape = Tape::new("register", 3);
    tape.write(1, 1, "r3", 7, 1_970_000, 1_972_000);
    tape.write(4, 2, "r3", 8, 18_240_000, 18_262_000);
    tape.read(2, 2, "r3", Some(8), 18_256_000, 18_278_000);
    tape.read(0, 1, "r3", Some(7), 18_285_000, 18_301_000);
    tape.read(0, 1, "r4", None, 18_400_000, 18_401_000);
    tape.write_unknown(5, 3, "r4", 9, 18_500_000, 19_500_000, "timeout");
    let history = tape.history();
    let judgements = workload::judge(&history);
    let recheck = second_opinion(&history, &judgements);
    let checked = Checked {
        file: "stale.jsonl",
        foreign: None,
        history: &history,
        judgements: &judgements,
        recheck: recheck.as_ref(),
        written: &[],
        exit_code: 1,
        exit_reason: "a violation was proven",
    };
    text::checked(&checked, style)
}

/// `check` on transactions of which one saw half of another, as the checkers themselves judge them.
pub(crate) fn read_skew_checked(style: &Style) -> String {
    let mut tape = Tape::new("append", 3);
    let mut transaction = |client, node, steps: Vec<(Step, StepReply)>, from, to| {
        let (then, results) = steps.into_iter().unzip();
        let op = Op::Transaction(Box::new(Transaction { then, ..Transaction::default() }));
        let reply = Reply::Transacted { succeeded: true, results };
        tape.push(client, node, op, Outcome::Ok(reply), false, from, to);
    };
    let append = |key: &str, value| (Step::Append(Key::new(key), Value(value)), StepReply::Done);
    let read = |key: &str, values: &[i64]| {
        let seen = values.iter().copied().map(Value).collect();
        (Step::ReadList(Key::new(key)), StepReply::Listed(seen))
    };
    transaction(4, 2, vec![append("l0", 16), read("l1", &[])], 1_204_000, 1_209_000);
    transaction(1, 1, vec![append("l0", 17), append("l1", 18)], 1_310_000, 1_324_000);
    transaction(2, 2, vec![read("l0", &[16, 17]), read("l1", &[])], 1_316_000, 1_329_000);
    transaction(0, 3, vec![read("l0", &[16, 17]), read("l1", &[18])], 1_402_000, 1_406_000);
    let history = tape.history();
    let judgements = [list::check(&history), elle::check(&history)];
    let recheck = second_opinion(&history, &judgements);
    let checked = Checked {
        file: "skew.jsonl",
        foreign: None,
        history: &history,
        judgements: &judgements,
        recheck: recheck.as_ref(),
        written: &[],
        exit_code: 1,
        exit_reason: "a violation was proven",
    };
    text::checked(&checked, style)
}
