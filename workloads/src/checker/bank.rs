//! A bank: whoever reads all accounts at once sees the same sum, or none of them.
//!
//! It asks nothing else: neither that a read is fresh nor that every transfer is there. The sum is
//! that of the transaction that opened the accounts. Accounts may be overdrawn, unless they are those
//! of another tool's bank that does not allow it. Called through `workload` and by `recording`.

use std::collections::BTreeMap;

use super::findings::{Candidate, Findings, Rank};
use super::story;
use super::unjudged;
use crate::history::{History, Operation, OperationId};
use crate::operation::{Op, Reply, Step, StepReply};
use crate::verdict::{Anomaly, AnomalyKind, Judgement, Verdict};

const NAME: &str = "bank";

/// Adds up every read of all accounts. `unknown` without one, or if nobody tried to open accounts.
pub fn check(history: &History) -> Judgement {
    judge(history, false)
}

/// The same of a bank that lets nobody overdraw an account, as Jepsen's does unless it is told
/// `:negative-balances? true`, and in which no account holds `nil` (`jepsen.tests.bank`).
pub fn check_solvent(history: &History) -> Judgement {
    judge(history, true)
}

fn judge(history: &History, is_solvent: bool) -> Judgement {
    if let Some(unknown) = unjudged(NAME, history) {
        return unknown;
    }
    let opening = history.operations.iter().find_map(opened);
    let Some((opening, total, accounts)) = opening else {
        return Judgement::unknown(NAME, "nobody opened accounts: their sum is not known");
    };
    let mut findings = Findings::new();
    let mut reads = 0;
    for operation in &history.operations {
        let Some(read) = read(operation).filter(|read| read.accounts == accounts) else { continue };
        reads += 1;
        if read.absent == accounts {
            continue;
        }
        let kind = if read.sum != total || is_solvent && read.absent > 0 {
            Some(AnomalyKind::WrongTotal)
        } else {
            (is_solvent && read.lowest < 0).then_some(AnomalyKind::Overdraft)
        };
        if let Some(kind) = kind {
            let Read { sum, lowest, absent, .. } = read;
            let proof = Proof { opening, total, sum, lowest, absent };
            let culprit = operation.id;
            let rank = Rank { operations: 2, span: u64::from(operation.id.0) };
            findings.push(Candidate { kind, culprit, rank, proof });
        }
    }
    let (verdict, summary) = match reads {
        0 => (Verdict::Unknown, "nobody read all accounts: nothing is known".to_string()),
        _ => {
            let text =
                format!("{reads} reads of all {accounts} accounts, each with the sum {total}");
            (Verdict::Pass, text)
        }
    };
    let mut judgement =
        findings.judge(NAME, verdict, summary, |candidate| tell(history, candidate));
    judgement.counts = BTreeMap::from([("reads".to_string(), reads)]);
    judgement
}

#[derive(Clone, Copy, Debug)]
struct Proof {
    opening: OperationId,
    total: i128,
    sum: i128,
    lowest: i64,
    absent: usize,
}

/// A transaction that writes accounts that must all be absent: the sum and how many there are.
/// Every one of a run writes the same.
fn opened(operation: &Operation) -> Option<(OperationId, i128, usize)> {
    let Op::Transaction(transaction) = &operation.op else { return None };
    let must_be_absent = transaction.conditions.iter().all(|condition| condition.1.is_none());
    if transaction.conditions.is_empty() || !must_be_absent {
        return None;
    }
    let amounts = transaction.then.iter().filter_map(|step| match step {
        Step::Write(_, value) => Some(i128::from(value.0)),
        _ => None,
    });
    Some((operation.id, amounts.clone().sum(), amounts.count()))
}

struct Read {
    sum: i128,
    lowest: i64,
    accounts: usize,
    absent: usize,
}

/// What a transaction that only read saw, also one whose condition to open did not hold.
fn read(operation: &Operation) -> Option<Read> {
    let Some(Reply::Transacted { results, .. }) = operation.reply() else { return None };
    let mut read = Read { sum: 0, lowest: i64::MAX, accounts: 0, absent: 0 };
    for result in results {
        let StepReply::Read(held) = result else { return None };
        read.accounts += 1;
        match held {
            Some(value) => {
                read.sum += i128::from(value.0);
                read.lowest = read.lowest.min(value.0);
            }
            None => read.absent += 1,
        }
    }
    Some(read)
}

fn tell(history: &History, candidate: &Candidate<Proof>) -> Anomaly {
    let Proof { opening, total, sum, lowest, absent } = candidate.proof;
    let read = history.operation(candidate.culprit);
    let story = vec![
        format!("{}.", story::operation(read)),
        match candidate.kind {
            AnomalyKind::Overdraft => format!(
                "An account holds {lowest}, and this bank lets nobody overdraw: a transfer took what \
                 was not there."
            ),
            _ if sum == total => format!(
                "Accounts without a balance: {absent}. None is ever closed, so a sum without them says \
                 nothing."
            ),
            _ => format!(
                "Together that is {sum}, although the accounts were opened with {total} and \
                 transfers move no more than they take."
            ),
        },
    ];
    let mut operations = vec![opening, candidate.culprit];
    operations.sort_unstable();
    operations.dedup();
    Anomaly {
        kind: candidate.kind,
        key: read.op.key().clone(),
        culprit: candidate.culprit,
        operations,
        swaps: Vec::new(),
        story,
    }
}
