//! Fencing tokens at the resource: what took effect under an older token did so before anything under
//! a newer one.
//!
//! The greatest token that a resource has seen never shrinks. An accepted write shows that it was the
//! writer's own at some moment; a read shows that of the write that it saw; a refusal shows that it was
//! greater than the one refused. So with all of these in the order of their ends, each write and read is
//! held against the greatest token among those that had ended before it began: one walk.
//!
//! With the order of time within one token, which registers are judged by, that is exact as long as each
//! refusal has an easy explanation: something under a greater token that had ended before it did. All that
//! happened under one token then comes before all that happened under the next; and that what happened under
//! one token can only begin when all before it has begun takes no room from it, as nothing of it ended
//! before. Where a refusal can only be explained by a write that went on for longer, or was never answered,
//! the general search decides about the whole resource ([`Guarded`]).
//!
//! Where a read saw an older value and the writes themselves say so too (the older one had ended before
//! the newer one began) it is the read that is old, and no token was ignored: the judge of registers
//! names that. Called by [`super::check`].

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::{Proof, push};
use crate::checker::findings::Findings;
use crate::checker::plants::{Plant, is_planted};
use crate::checker::searched::{self, Searched};
use crate::checker::versions::{Place, begin, end};
use crate::history::{History, Operation, OperationId};
use crate::model::guarded::{Guarded, Input, Output};
use crate::model::{Call, CallOf};
use crate::operation::{Key, Op, Outcome, Reply, Token, Value};
use crate::verdict::{Anomaly, AnomalyKind};

/// A write that may have happened.
#[derive(Clone, Copy, Debug)]
struct Write {
    token: Token,
    begin: Place,
    end: Place,
    by: OperationId,
}

/// What shows that the greatest token was at least this one at some moment.
#[derive(Clone, Copy, Debug)]
struct Shown {
    token: Token,
    begin: Place,
    end: Place,
    by: OperationId,
    /// The write under that token; of a refusal, itself.
    write: Write,
    is_read: bool,
    is_refusal: bool,
}

/// What happened to one resource.
#[derive(Default)]
struct Resource {
    writes: FxHashMap<Value, Write>,
    reads: Vec<(Value, Place, Place, OperationId)>,
    /// Accepted writes and refusals.
    shown: Vec<Shown>,
}

/// What came of it.
pub(super) struct Fenced {
    /// How many writes were accepted and refused.
    pub(super) counts: [(&'static str, u64); 2],
    /// What the search found.
    pub(super) searched: Vec<Anomaly>,
    /// What it gave up on, and why.
    pub(super) undecided: Vec<String>,
}

/// Holds what was done to each resource against the tokens.
pub(super) fn check(history: &History, findings: &mut Findings<Proof>) -> Fenced {
    let mut resources: BTreeMap<&Key, Resource> = BTreeMap::new();
    for operation in history.operations.iter().filter(|operation| !operation.op.is_local()) {
        let (begin, end, by) = (begin(operation), end(operation), operation.id);
        match (&operation.op, &operation.outcome) {
            (Op::WriteGuarded { resource, value, token }, outcome) => {
                let resource = resources.entry(resource).or_default();
                let write = Write { token: *token, begin, end, by };
                let (token, is_refusal) = match outcome {
                    Outcome::Fail(_) => continue,
                    Outcome::Ok(Reply::StaleToken) => (Token(token.0.saturating_add(1)), true),
                    _ => (*token, false),
                };
                if !is_refusal {
                    resource.writes.insert(*value, write);
                }
                if matches!(outcome, Outcome::Ok(_)) {
                    let is_read = false;
                    resource.shown.push(Shown {
                        token,
                        begin,
                        end,
                        by,
                        write,
                        is_read,
                        is_refusal,
                    });
                }
            }
            (Op::ReadGuarded { resource, .. }, Outcome::Ok(Reply::Read(Some(value)))) => {
                resources.entry(resource).or_default().reads.push((*value, begin, end, by));
            }
            _ => {}
        }
    }
    let (mut accepted, mut refused) = (0, 0);
    let (mut found, mut undecided) = (Vec::new(), Vec::new());
    for (key, resource) in &mut resources {
        refused += resource.shown.iter().filter(|it| it.is_refusal).count() as u64;
        accepted += resource.shown.iter().filter(|it| !it.is_refusal).count() as u64;
        let before = findings.count();
        resource.check(findings);
        if findings.count() > before || resource.is_refused_for_a_reason() {
            continue;
        }
        match searched::search(&Guarded, history, key, call) {
            Searched::Explained => {}
            Searched::Impossible(anomaly) => found.push(anomaly),
            Searched::Undecided(why) => undecided.push(format!("{key} is undecided: {why}")),
        }
    }
    Fenced { counts: [("accepted", accepted), ("refused", refused)], searched: found, undecided }
}

/// A call of the model; `None` for what certainly did nothing, or says nothing.
fn call(operation: &Operation) -> Option<CallOf<Guarded>> {
    let (input, output) = match (&operation.op, &operation.outcome) {
        (_, Outcome::Fail(_)) => return None,
        (Op::WriteGuarded { value, token, .. }, outcome) => {
            let output = match outcome {
                Outcome::Ok(Reply::StaleToken) => Some(Output::Refused),
                Outcome::Ok(_) => Some(Output::Accepted),
                _ => None,
            };
            (Input::Write(*value, *token), output)
        }
        (Op::ReadGuarded { .. }, Outcome::Ok(Reply::Read(value))) => {
            (Input::Read, Some(Output::Held(*value)))
        }
        _ => return None,
    };
    Some(Call {
        client: operation.client,
        input,
        output,
        began: operation.invoked.seq,
        ended: operation.ended(),
    })
}

impl Resource {
    fn check(&mut self, findings: &mut Findings<Proof>) {
        for (value, begin, end, by) in &self.reads {
            // Of a value that nobody wrote by then the judge of registers has something to say.
            let Some(write) = self.writes.get(value).filter(|write| write.begin < *end) else {
                continue;
            };
            let (token, is_refusal) = (write.token, false);
            // It cannot have seen what nobody had sent.
            let (begin, end, by, write) = ((*begin).max(write.begin), *end, *by, *write);
            self.shown.push(Shown { token, begin, end, by, write, is_read: true, is_refusal });
        }
        let mut by_end = self.shown.clone();
        by_end.sort_unstable_by_key(|shown| shown.end);
        self.shown.sort_unstable_by_key(|shown| shown.begin);
        let (mut ended, mut newest) = (by_end.iter().peekable(), None::<&Shown>);
        let mut accepted_late = rustc_hash::FxHashSet::default();
        for shown in &self.shown {
            while let Some(before) = ended.next_if(|before| before.end < shown.begin) {
                if newest.is_none_or(|newest| newest.token < before.token) {
                    newest = Some(before);
                }
            }
            // A refusal shows a token that is greater than its own, and whose is not known.
            let Some(newer) = newest.filter(|it| it.token > shown.token && !shown.is_refusal)
            else {
                continue;
            };
            let (apart, written) = (shown.begin - newer.begin, self.written(newer));
            if !shown.is_read {
                accepted_late.insert(shown.by);
                let proof = Proof::Accepted { newer: newer.by, written };
                push(findings, AnomalyKind::StaleToken, shown.by, (2, apart), proof);
            } else if newer.write.begin < shown.write.end
                && !accepted_late.contains(&shown.write.by)
            {
                let (older, newer) = (shown.write.by, newer.by);
                let proof = Proof::Overwrote { newer, written, older };
                push(findings, AnomalyKind::StaleToken, shown.by, (3, apart), proof);
            }
        }
        self.refused_for_nothing(findings);
    }

    /// Whether something under a greater token had ended before each refusal did.
    fn is_refused_for_a_reason(&self) -> bool {
        let mut by_end: Vec<&Shown> = self.shown.iter().collect();
        by_end.sort_unstable_by_key(|shown| shown.end);
        let mut greatest = Token(0);
        by_end.iter().all(|shown| match shown.is_refusal {
            // What a refusal shows is a token that is greater than its own by one.
            true => shown.token <= greatest || is_planted(Plant::RefusesAnyway),
            false => {
                greatest = greatest.max(shown.token);
                true
            }
        })
    }

    /// The write whose token it was that something showed.
    fn written(&self, shown: &Shown) -> OperationId {
        if !shown.is_refusal {
            return shown.write.by;
        }
        let sent = self.writes.values().filter(|write| write.begin < shown.end);
        sent.max_by_key(|write| (write.token, write.by)).map_or(shown.by, |write| write.by)
    }

    /// Writes that were refused although nobody had sent a greater token by then.
    fn refused_for_nothing(&self, findings: &mut Findings<Proof>) {
        let mut writes: Vec<&Write> = self.writes.values().collect();
        writes.sort_unstable_by_key(|write| write.begin);
        let mut greatest = Vec::with_capacity(writes.len());
        for write in &writes {
            let before = greatest.last().copied().unwrap_or(Token(0));
            greatest.push(write.token.max(before));
        }
        for refusal in self.shown.iter().filter(|shown| shown.is_refusal) {
            let sent = writes.partition_point(|write| write.begin < refusal.end);
            let greatest = sent.checked_sub(1).map(|last| greatest[last]);
            if greatest.is_none_or(|greatest| greatest < refusal.token) {
                let kind = AnomalyKind::SpuriousMismatch;
                push(findings, kind, refusal.by, (1, 0), Proof::Refused);
            }
        }
    }
}
