//! Whole suites with their histories: one that passes, one that lost a write, one undecided.
//!
//! The numbers are made by plain loops, the measures by this crate; what checkers, audit and gates
//! would say is written by hand.

use std::collections::BTreeMap;

use splitbrain_workloads::checker::{elle, list};
use splitbrain_workloads::history::{History, Micros, OperationId};
use splitbrain_workloads::operation::{
    Consistency, Key, NodeId, Op, Outcome, Reply, Step, StepReply, Transaction, Value,
};
use splitbrain_workloads::verdict::{Anomaly, AnomalyKind, Judgement, Verdict};

use super::{Events, Tape, fault, judgement};
use crate::measure::{Measured, RunMeasures, Window, fault_coverage};
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
        let from = 10_400_000 + key as u64 * 3_000;
        tape.final_read(0, 1, &format!("r{key}"), *value, from, from + 1_100);
    }
    tape
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
    kill.shape = "leader, for 1 s".into();
    kill.planned = Some(Micros(3_000_000 - BEGAN));
    kill.in_force = Some(Micros(3_004_000));
    kill.effect = Effect::Seen("process 4701 gone by SIGKILL, back as process 4731".into());
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
    cut.shape = "isolate leader, peers".into();
    cut.form = "isolate".into();
    cut.planned = Some(Micros(3_000_000 - BEGAN));
    cut.in_force = Some(Micros(3_003_000));
    cut.links = ["n1->n2", "n2->n1", "n1->n3", "n3->n1"].map(String::from).to_vec();
    cut.effect = Effect::Seen("4 of 4 cut links were offered 18 204 bytes, none passed".into());
    cut
}

/// The element that the canary's story is about, and the first one of its leader's lone time.
const LOST_FIRST: i64 = 54;

/// Adds at both sides of a cut. What `n1` acknowledges between the cut and the heal is lost.
fn two_leaders() -> (Tape, Events, FaultRecord, Vec<i64>) {
    let mut tape = Tape::new("set", 3);
    let (mut kept, mut lost) = (Vec::new(), Vec::new());
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
                lost.push(element);
            }
            _ => {
                tape.write(client, node, &key, element, from, to);
                kept.push(element);
            }
        }
    }
    let list = |local| Op::List {
        prefix: Key::new("s/"),
        consistency: if local { Consistency::Local } else { Consistency::Linearizable },
    };
    let listed: Vec<Value> = kept.iter().copied().map(Value).collect();
    for node in 1..=3 {
        let from = 10_300_000 + u64::from(node) * 5_000;
        let reply = Outcome::Ok(Reply::Listed(listed.clone()));
        tape.push(0, node, list(node != 1), reply, true, from, from + 2_100);
    }
    let mut events = calm_events();
    events.role(3_780_000, 2, Role::Leader).role(6_120_000, 1, Role::Follower);
    let mut cut = partition();
    cut.shape = "isolate leader, peers, until 50 acknowledged".into();
    cut.planned = None;
    (tape, events, cut, lost)
}

fn find(history: &History, key: &str) -> OperationId {
    let operation = history.operations.iter().find(|operation| {
        operation.op.key().as_str() == key && matches!(operation.op, Op::Write { .. })
    });
    operation.expect("the sample writes this key").id
}

struct Told {
    name: &'static str,
    part: Part,
    profile: &'static str,
    workload: &'static str,
    expectation: Expectation,
    result: RunResult,
    why: &'static str,
    judgements: Vec<Judgement>,
    recheck: Option<Recheck>,
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
    let judgements = told.judgements;
    let shed = [Micros(3_200_000), Micros(3_300_000)];
    let shed = if faults.is_empty() { &shed[..0] } else { &shed[..] };
    let measured =
        Measured { history: &history, load, shed, faults: &faults, judgements: &judgements };
    let measures = RunMeasures::of(measured);
    measures.fill(&mut faults);
    let verdict = judgements.iter().map(|j| j.verdict).reduce(Verdict::and).unwrap();
    let availability = measures.availability;
    let gates = gates(verdict, availability.ok, availability.asked);
    let hits = fault_coverage::hits(3, &events.records(), &faults);
    let coverage = fault_coverage::matrix(&faults, &hits);
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
        why: told.why.into(),
        judgements,
        gates,
        audit: audit(&faults, &history),
        operations: measures.operations,
        shed: shed.len() as u64,
        faults,
        coverage,
        settled_after: Some(Micros(310_000)),
        recheck: told.recheck,
        watch: None,
        directory: told.name.into(),
    };
    (record, RunDetail { history, events: events.records() })
}

fn gates(verdict: Verdict, ok: u64, asked: u64) -> Vec<GateRecord> {
    let observed = crate::units::percent(ok, asked).unwrap_or("no operations".into());
    let held = |held| if held { GateOutcome::Held } else { GateOutcome::Broken };
    vec![
        GateRecord {
            name: "verdict".into(),
            rule: "pass".into(),
            observed: verdict.to_string(),
            outcome: match verdict {
                Verdict::Pass => GateOutcome::Held,
                Verdict::Fail => GateOutcome::Broken,
                Verdict::Unknown => GateOutcome::NotEvaluated,
            },
        },
        GateRecord {
            name: "availability".into(),
            rule: ">= 70 %".into(),
            observed,
            outcome: held(ok * 10 >= asked * 7),
        },
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
    let operations = history.operations.len();
    let asked = format!("{} of {}", faults.len(), faults.len());
    vec![
        question("operations-of-each-kind", ">= 20 ok", format!("{operations} in all"), true),
        question("every-node-answered", ">= 1 ok at each", "n1 n2 n3".into(), true),
        question("victims-were-asked", "every fault", asked, true),
        question(
            "faults-took-effect",
            "every fault",
            format!("{seen} of {}", faults.len()),
            seen == faults.len(),
        ),
        question("replicas-caught-up", "<= 10 s", "310 ms".into(), true),
    ]
}

fn pass(operations: &str) -> Vec<Judgement> {
    let summary = format!("{operations}, every one of them explained by one order");
    let mut linearizable = judgement("linearizable", Verdict::Pass, &summary, &[]);
    linearizable.counts = BTreeMap::from([("operations".into(), 204), ("keys".into(), 4)]);
    vec![
        linearizable,
        judgement("lost-write", Verdict::Pass, "every acknowledged write is accounted for", &[]),
        judgement("agreement", Verdict::Pass, "3 replicas hold the same state", &[]),
    ]
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
        exit_code: code,
        exit_reason: reason.into(),
    };
    (suite, details)
}

fn proof(name: &'static str, why: &'static str, judgements: Vec<Judgement>) -> Told {
    Told {
        name,
        part: Part::Proof,
        profile: "raft",
        workload: "register, 4 keys",
        expectation: Expectation::Pass,
        result: RunResult::Met,
        why,
        judgements,
        recheck: None,
    }
}

/// Two proofs, and a canary that is caught with control and calm run beside it.
pub(crate) fn release_gate() -> Sample {
    let (tape, events, kill) = killed();
    let why = "every checker passed, every gate held and there was enough evidence";
    let first = run(proof("leader-killed", why, pass("4 keys")), &tape, &events, vec![kill]);
    let (tape, events, cut) = cut_off();
    let second =
        run(proof("leader-cut-off", why, pass("4 keys")), &tape, &events, vec![cut.clone()]);

    let (tape, events, mut until, lost) = two_leaders();
    until.leaders = vec![NodeId(1)];
    let canary = run(canary(&tape, &lost), &tape, &events, vec![until]);

    let (tape, events, cut) = cut_off();
    let of = || "canary-two-leaders".to_string();
    let mut control = proof("canary-two-leaders-control", why, pass("4 keys"));
    control.part = Part::Control { of: of() };
    let control = run(control, &tape, &events, vec![cut]);
    let mut calm = proof("canary-two-leaders-calm", why, pass("4 keys"));
    (calm.part, calm.profile) = (Part::Calm { of: of() }, "async");
    let calm = run(calm, &register_load(|_, _| Answer::Ok), &calm_events(), vec![]);
    let runs = vec![first, second, canary, control, calm];
    suite("release-gate", runs, 0, "every run met its expectation")
}

fn canary(tape: &Tape, lost: &[i64]) -> Told {
    let history = tape.history();
    let listed = history.operations.iter().find(|op| op.is_final && !op.op.is_local()).unwrap().id;
    assert_eq!(lost[0], LOST_FIRST);
    let anomalies: Vec<Anomaly> = lost
        .iter()
        .map(|element| {
            let culprit = find(&history, &format!("s/{element}"));
            let began = history.operations[culprit.0 as usize].invoked.at.as_secs_f64();
            Anomaly {
                kind: AnomalyKind::LostWrite,
                key: Key::new(format!("s/{element}")),
                culprit,
                operations: vec![culprit, listed],
                swaps: vec![],
                story: vec![format!(
                    "Element {element} was acknowledged (invoked at {began:.3}), nothing removes \
                     elements, and the list at 10.305 does not hold it."
                )],
            }
        })
        .collect();
    Told {
        name: "canary-two-leaders",
        part: Part::Canary,
        profile: "async",
        workload: "set",
        expectation: Expectation::Fail(AnomalyKind::LostWrite),
        result: RunResult::Met,
        why: "lost-write was predicted, was found, and began after the first observed effect",
        judgements: vec![
            judgement(
                "lost-write",
                Verdict::Fail,
                "acknowledged elements are absent from the final list",
                &anomalies,
            ),
            judgement("agreement", Verdict::Pass, "3 replicas hold the same state", &[]),
        ],
        recheck: Some(Recheck {
            file: "minimal.jsonl".into(),
            opinion: Opinion::Confirmed,
            how: "no order of 2 operations is legal (2 tried)".into(),
        }),
    }
}

/// A raft that lost a write across a leader's death, beside a run that held.
pub(crate) fn lost_write_on_raft() -> Sample {
    let (tape, events, cut) = cut_off();
    let why = "every checker passed, every gate held and there was enough evidence";
    let good = run(proof("leader-cut-off", why, pass("4 keys")), &tape, &events, vec![cut]);

    let (mut tape, events, kill) = killed();
    // The leader acknowledged 901 and died; the new one never heard of it.
    tape.write(4, 2, "x", 899, 2_930_100, 2_933_000);
    tape.write(2, 1, "x", 901, 2_996_200, 2_998_900);
    tape.read(1, 1, "x", Some(901), 2_999_300, 3_000_900);
    tape.read(5, 3, "x", Some(899), 3_871_000, 3_872_600);
    tape.read(3, 2, "x", Some(899), 3_880_000, 3_881_900);
    tape.final_read(0, 1, "x", Some(899), 10_412_000, 10_413_100);
    let history = tape.history();
    let on_x: Vec<OperationId> = history
        .operations
        .iter()
        .filter(|operation| operation.op.key().as_str() == "x")
        .map(|operation| operation.id)
        .collect();
    let anomaly = Anomaly {
        kind: AnomalyKind::LostWrite,
        key: Key::new("x"),
        culprit: on_x[1],
        operations: on_x[..4].to_vec(),
        swaps: vec![],
        story: vec![
            "Write 901 was acknowledged at 2.999 and read at 3.001, so it was current.".into(),
            "Nothing was written to x after it, yet the read that began at 3.871 returned 899, \
             which 901 had replaced."
                .into(),
        ],
    };
    let mut judgements = pass("5 keys");
    let summary = "1 of 5 keys has no order: x";
    judgements[0] =
        judgement("linearizable", Verdict::Fail, summary, std::slice::from_ref(&anomaly));
    judgements[1] = judgement("lost-write", Verdict::Fail, "1 acknowledged write", &[anomaly]);
    let mut told = proof(
        "leader-killed",
        "expected every checker to pass, and linearizable and lost-write found 1 lost-write",
        judgements,
    );
    told.result = RunResult::NotMet;
    told.recheck = Some(Recheck {
        file: "minimal.jsonl".into(),
        opinion: Opinion::Confirmed,
        how: "no order of 4 operations is legal (24 tried)".into(),
    });
    let bad = run(told, &tape, &events, vec![kill]);
    suite("leader-failover", vec![bad, good], 1, "a violation was proven")
}

/// A partition whose links carried nothing: nothing is wrong, and nothing was tested.
pub(crate) fn partition_without_effect() -> Sample {
    let tape = register_load(|_, _| Answer::Ok);
    let mut cut = partition();
    cut.effect = Effect::None("no byte was offered on any of the 4 cut links".into());
    let told = proof(
        "leader-cut-off",
        "fault 1 (partition) had no effect, so the run did not test what it was to test",
        pass("4 keys"),
    );
    let told = Told { result: RunResult::Undecided, ..told };
    let run = run(told, &tape, &calm_events(), vec![cut]);
    suite("leader-failover", vec![run], 3, "nothing is proven wrong, but not enough evidence")
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
    let ids: Vec<OperationId> = (0..4).map(OperationId).collect();
    let anomaly = Anomaly {
        kind: AnomalyKind::StaleRead,
        key: Key::new("r3"),
        culprit: ids[3],
        operations: ids,
        swaps: vec![],
        story: vec![
            "Read 8 ended at 18.278, before read 7 began at 18.285, so 7 had been replaced.".into(),
        ],
    };
    let summary = "1 of 2 keys has no order: r3";
    let judgements = [
        judgement("linearizable", Verdict::Fail, summary, &[anomaly]),
        Judgement::unknown("agreement", "no local reads of the replicas"),
    ];
    let recheck = Recheck {
        file: "minimal.jsonl".into(),
        opinion: Opinion::Confirmed,
        how: "no order of 4 operations is legal (24 tried)".into(),
    };
    let checked = Checked {
        file: "stale.jsonl",
        foreign: None,
        history: &history,
        judgements: &judgements,
        recheck: Some(&recheck),
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
    let recheck = Recheck {
        file: "minimal.jsonl".into(),
        opinion: Opinion::Confirmed,
        how: "no order of 2 operations is legal (4 tried)".into(),
    };
    let checked = Checked {
        file: "skew.jsonl",
        foreign: None,
        history: &history,
        judgements: &judgements,
        recheck: Some(&recheck),
        written: &[],
        exit_code: 1,
        exit_reason: "a violation was proven",
    };
    text::checked(&checked, style)
}
