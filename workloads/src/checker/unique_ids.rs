//! Unique ids: what increments were answered with is given out as ids, and none may come twice.
//! That is all that is asked: not the order, not that none is left out. Called through `workload`.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::findings::{Candidate, Findings, Rank};
use super::story;
use super::unjudged;
use crate::history::{History, OperationId};
use crate::operation::{Key, Reply, Value};
use crate::verdict::{Anomaly, AnomalyKind, Judgement, Verdict};

const NAME: &str = "unique-ids";

/// Judges all ids of a history. Complete: it asks one question and answers it.
pub fn check(history: &History) -> Judgement {
    if let Some(unknown) = unjudged(NAME, history) {
        return unknown;
    }
    let mut given: FxHashMap<(&Key, Value), OperationId> = FxHashMap::default();
    let mut findings = Findings::new();
    let mut count = 0;
    for operation in &history.operations {
        let Some(Reply::Incremented(id)) = operation.reply() else { continue };
        count += 1;
        if let Some(before) = given.insert((operation.op.key(), *id), operation.id) {
            let span = u64::from(operation.id.0 - before.0);
            let (kind, culprit) = (AnomalyKind::Duplicate, operation.id);
            let rank = Rank { operations: 2, span };
            findings.push(Candidate { kind, culprit, rank, proof: (before, *id) });
        }
    }
    let (verdict, summary) = match count {
        0 => (Verdict::Unknown, "no id was given out: nothing is known".to_string()),
        _ => (Verdict::Pass, format!("{count} ids, none given out twice")),
    };
    let mut judgement = findings.judge(NAME, verdict, summary, |candidate| {
        let (before, id) = candidate.proof;
        let (one, two) = (history.operation(before), history.operation(candidate.culprit));
        let story = format!(
            "{}; {}: {id} was given out twice.",
            story::operation(one),
            story::operation(two)
        );
        Anomaly {
            kind: candidate.kind,
            key: two.op.key().clone(),
            culprit: candidate.culprit,
            operations: vec![before, candidate.culprit],
            swaps: Vec::new(),
            story: vec![story],
        }
    });
    judgement.counts = BTreeMap::from([("ids".to_string(), count)]);
    judgement
}
