//! Small histories, events and records made by hand, for the tests of this crate alone.
//!
//! [`suites`] builds whole suites out of them, [`golden`] compares their reports with the files in
//! `reports/samples/`, which reviewers read and the documentation shows.

mod golden;
mod suites;

use std::collections::BTreeMap;

use splitbrain_workloads::history::{
    FORMAT_VERSION, Header, History, Micros, Operation, OperationId, Operations, Stamp,
};
use splitbrain_workloads::operation::{
    ClientId, Consistency, Key, NodeId, Op, Outcome, Reason, Reply, Value,
};
use splitbrain_workloads::verdict::{Anomaly, AnomalyKind, Judgement, Verdict};

use crate::record::{Effect, Event, EventRecord, FaultId, FaultRecord, ProcessChange, Role};

pub(crate) use suites::{lost_write_on_raft, release_gate};

/// Operations in any order; [`Tape::history`] puts them into the one order of the recorder.
pub(crate) struct Tape {
    header: Header,
    operations: Vec<Operation>,
}

impl Tape {
    pub(crate) fn new(workload: &str, nodes: u16) -> Tape {
        let header = Header { history: FORMAT_VERSION, workload: workload.into(), nodes };
        Tape { header, operations: Vec::new() }
    }

    pub(crate) fn write(
        &mut self,
        client: u32,
        node: u16,
        key: &str,
        value: i64,
        from: u64,
        to: u64,
    ) {
        let op = Op::Write { key: Key::new(key), value: Value(value) };
        self.push(client, node, op, Outcome::Ok(Reply::Written), false, from, to);
    }

    #[allow(clippy::too_many_arguments)] // A row of a table, not an interface.
    pub(crate) fn write_unknown(
        &mut self,
        client: u32,
        node: u16,
        key: &str,
        value: i64,
        from: u64,
        to: u64,
        reason: &str,
    ) {
        let op = Op::Write { key: Key::new(key), value: Value(value) };
        self.push(client, node, op, Outcome::Info(Reason::new(reason)), false, from, to);
    }

    pub(crate) fn read(
        &mut self,
        client: u32,
        node: u16,
        key: &str,
        value: Option<i64>,
        from: u64,
        to: u64,
    ) {
        let reply = Reply::Read(value.map(Value));
        self.push(client, node, read(key), Outcome::Ok(reply), false, from, to);
    }

    pub(crate) fn read_failed(
        &mut self,
        client: u32,
        node: u16,
        key: &str,
        from: u64,
        to: u64,
        reason: &str,
    ) {
        self.push(client, node, read(key), Outcome::Fail(Reason::new(reason)), false, from, to);
    }

    pub(crate) fn final_read(
        &mut self,
        client: u32,
        node: u16,
        key: &str,
        value: Option<i64>,
        from: u64,
        to: u64,
    ) {
        let reply = Reply::Read(value.map(Value));
        self.push(client, node, read(key), Outcome::Ok(reply), true, from, to);
    }

    #[allow(clippy::too_many_arguments)] // A row of a table, not an interface.
    pub(crate) fn mismatch(
        &mut self,
        client: u32,
        node: u16,
        key: &str,
        expect: i64,
        value: i64,
        observed: i64,
        from: u64,
        to: u64,
    ) {
        let op = Op::CompareAndSet {
            key: Key::new(key),
            expect: Some(Value(expect)),
            value: Value(value),
        };
        let reply = Reply::Compared { swapped: false, observed: Some(Value(observed)) };
        self.push(client, node, op, Outcome::Ok(reply), false, from, to);
    }

    #[allow(clippy::too_many_arguments)] // A row of a table, not an interface.
    pub(crate) fn push(
        &mut self,
        client: u32,
        node: u16,
        op: Op,
        outcome: Outcome,
        is_final: bool,
        from: u64,
        to: u64,
    ) {
        let stamp = |at| Stamp { seq: 0, at: Micros(at) };
        self.operations.push(Operation {
            id: OperationId(0),
            client: ClientId(client),
            node: Some(NodeId(node)),
            op,
            is_final,
            invoked: stamp(from),
            completed: Some(stamp(to)),
            outcome,
        });
    }

    /// All operations, numbered by invocation; their events have one order, that of time.
    pub(crate) fn history(&self) -> History {
        let mut operations = self.operations.clone();
        operations.sort_by_key(|operation| operation.invoked.at);
        let mut stamps = Vec::new();
        for (place, operation) in operations.iter().enumerate() {
            stamps.push((operation.invoked.at, place, false));
            stamps.extend(operation.completed.map(|stamp| (stamp.at, place, true)));
        }
        stamps.sort();
        for (seq, (_, place, is_completion)) in stamps.into_iter().enumerate() {
            let operation = &mut operations[place];
            match (is_completion, &mut operation.completed) {
                (true, Some(completed)) => completed.seq = seq as u64,
                _ => operation.invoked.seq = seq as u64,
            }
        }
        for (place, operation) in operations.iter_mut().enumerate() {
            operation.id = OperationId(place as u32);
        }
        let operations = Operations::new(operations).expect("a sample is in order");
        History { header: self.header.clone(), operations, complete: true }
    }
}

fn read(key: &str) -> Op {
    Op::Read { key: Key::new(key), consistency: Consistency::Linearizable }
}

/// Events in any order.
#[derive(Clone, Default)]
pub(crate) struct Events(Vec<EventRecord>);

impl Events {
    fn push(&mut self, us: u64, event: Event) -> &mut Events {
        self.0.push(EventRecord { us: Micros(us), event });
        self
    }

    fn process(&mut self, us: u64, node: u16, change: ProcessChange) -> &mut Events {
        self.push(us, Event::Process { node: NodeId(node), pid: 4_700 + u32::from(node), change })
    }

    pub(crate) fn started(&mut self, us: u64, node: u16) -> &mut Events {
        self.process(us, node, ProcessChange::Started)
    }

    pub(crate) fn exited(&mut self, us: u64, node: u16) -> &mut Events {
        let status = "signal SIGKILL".to_string();
        self.process(us, node, ProcessChange::Exited { status, by_us: true })
    }

    pub(crate) fn paused(&mut self, us: u64, node: u16) -> &mut Events {
        self.process(us, node, ProcessChange::Stopped)
    }

    pub(crate) fn continued(&mut self, us: u64, node: u16) -> &mut Events {
        self.process(us, node, ProcessChange::Continued)
    }

    pub(crate) fn role(&mut self, us: u64, node: u16, role: Role) -> &mut Events {
        self.push(us, Event::Role { node: NodeId(node), role, epoch: None, leader: None })
    }

    pub(crate) fn records(&self) -> Vec<EventRecord> {
        let mut records = self.0.clone();
        records.sort_by_key(|record| record.us);
        records
    }
}

/// A fault that took hold at once and was healed at once.
pub(crate) fn fault(id: u32, kind: &str, victims: &[u16], from: u64, to: u64) -> FaultRecord {
    FaultRecord {
        shape: "leader".into(),
        victims: victims.iter().copied().map(NodeId).collect(),
        leaders: victims.iter().copied().map(NodeId).collect(),
        planned: Some(Micros(from)),
        requested: Some(Micros(from)),
        in_force: Some(Micros(from)),
        heal_requested: Some(Micros(to)),
        healed: Some(Micros(to)),
        effect: Effect::Seen("seen".into()),
        ..FaultRecord::to_come(FaultId(id), kind)
    }
}

/// What a checker says, its findings counted from its list.
pub(crate) fn judgement(
    checker: &str,
    verdict: Verdict,
    summary: &str,
    anomalies: &[Anomaly],
) -> Judgement {
    let mut found = BTreeMap::new();
    for anomaly in anomalies {
        *found.entry(anomaly.kind).or_default() += 1;
    }
    Judgement {
        checker: checker.into(),
        verdict,
        summary: summary.into(),
        anomalies: anomalies.to_vec(),
        found,
        last: BTreeMap::new(),
        counts: BTreeMap::new(),
    }
}

/// A lost write without a story.
pub(crate) fn lost_write(culprit: u32, key: &str) -> Anomaly {
    Anomaly {
        kind: AnomalyKind::LostWrite,
        key: Key::new(key),
        culprit: OperationId(culprit),
        operations: vec![OperationId(culprit)],
        swaps: Vec::new(),
        story: Vec::new(),
    }
}
