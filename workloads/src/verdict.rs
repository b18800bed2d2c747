//! What a checker may say about a history, and the names of what can be wrong with one.
//!
//! A verdict belongs to a history alone: it knows neither the faults nor what the run expected.
//! Turning verdicts into results is the harness's work (`audit`, `gate`).

mod explain;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::history::OperationId;
use crate::operation::Key;

/// Three values, never two: what was not decided is not a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The history keeps the promise, proven for all of it.
    Pass,
    /// The history breaks the promise, proven by at least one [`Anomaly`].
    Fail,
    /// Not decided: empty, cut off, outside what the checker can decide, or the checker crashed.
    Unknown,
}

impl Verdict {
    /// The verdict over two checkers: a proven violation is never masked, an undecided part is
    /// never passed.
    pub fn and(self, other: Verdict) -> Verdict {
        match (self, other) {
            (Verdict::Fail, _) | (_, Verdict::Fail) => Verdict::Fail,
            (Verdict::Unknown, _) | (_, Verdict::Unknown) => Verdict::Unknown,
            (Verdict::Pass, Verdict::Pass) => Verdict::Pass,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Unknown => "unknown",
        })
    }
}

/// The name of what is wrong. Suites expect them by these names, reports print them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnomalyKind {
    /// A write that was acknowledged, or that somebody saw, is gone, and nothing legitimately
    /// overwrote it.
    LostWrite,
    /// A read returned a value that had certainly been overwritten before the read began.
    StaleRead,
    /// Two values alternate although each was written once: split brain or rollback.
    FlipFlop,
    /// A read returned a value before its write began.
    FutureRead,
    /// An answer names what nobody ever sent.
    Phantom,
    /// A read returned a value whose write certainly failed.
    AbortedRead,
    /// Two updates were made from the same value, and one of them is gone.
    LostUpdate,
    /// An operation on a later version of a compare-and-set chain ended before one on an earlier
    /// version began.
    ChainOrder,
    /// The expectations of successful compare-and-sets form a cycle.
    CyclicCas,
    /// Somebody was refused although nothing was in the way: a compare-and-set whose expectation held, a
    /// fenced write without a greater token, the holder of a lock.
    SpuriousMismatch,
    /// What was added, taken or given once was seen twice.
    Duplicate,
    /// What had been seen was gone and then there again.
    Resurrected,
    /// No order of the operations explains every answer, and no narrower name applies.
    NonLinearizable,
    /// After the heal, replicas hold different states.
    Divergence,
    /// Elements stand, or come out, in an order that contradicts when they were added.
    OutOfOrder,
    /// Two reads of one list hold the same elements in different orders, or go on differently.
    IncompatibleOrder,
    /// A read of all accounts saw another sum than transfers can leave.
    WrongTotal,
    /// A read of all accounts saw one of them below nothing, which this bank does not allow.
    Overdraft,
    /// A session did not see its own write.
    ReadYourWrites,
    /// A session saw a value and later an older one.
    MonotonicReads,
    /// A session saw a later write of another session, but not an earlier one.
    MonotonicWrites,
    /// A cycle of writes over writes: dirty write.
    G0,
    /// A transaction read what another wrote that failed.
    G1a,
    /// A transaction read what another was not done with.
    G1b,
    /// A cycle of writes and reads: circular flow of information.
    G1c,
    /// A cycle with one anti-dependency: read skew.
    GSingle,
    /// A cycle with several anti-dependencies: write skew.
    G2,
    /// As [`AnomalyKind::G0`], with the order of time.
    #[serde(rename = "g0-realtime")]
    G0RealTime,
    /// As [`AnomalyKind::G1c`], with the order of time.
    #[serde(rename = "g1c-realtime")]
    G1cRealTime,
    /// As [`AnomalyKind::GSingle`], with the order of time.
    #[serde(rename = "g-single-realtime")]
    GSingleRealTime,
    /// As [`AnomalyKind::G2`], with the order of time.
    #[serde(rename = "g2-realtime")]
    G2RealTime,
    /// A transaction read something else than its own steps before say.
    Internal,
    /// Two clients certainly held one lock at the same time.
    TwoHolders,
    /// A lock was certainly gone before its time to live was over, and nobody had released it.
    LockLost,
    /// A later grant of a lock has a smaller fencing token than an earlier one.
    TokenOrder,
    /// A write under an older fencing token took effect after one under a newer.
    StaleToken,
}

impl AnomalyKind {
    /// Every kind, in the order in which `list` prints them.
    pub const ALL: [AnomalyKind; 36] = [
        AnomalyKind::LostWrite,
        AnomalyKind::StaleRead,
        AnomalyKind::FlipFlop,
        AnomalyKind::FutureRead,
        AnomalyKind::Phantom,
        AnomalyKind::AbortedRead,
        AnomalyKind::LostUpdate,
        AnomalyKind::ChainOrder,
        AnomalyKind::CyclicCas,
        AnomalyKind::SpuriousMismatch,
        AnomalyKind::Duplicate,
        AnomalyKind::Resurrected,
        AnomalyKind::NonLinearizable,
        AnomalyKind::Divergence,
        AnomalyKind::OutOfOrder,
        AnomalyKind::IncompatibleOrder,
        AnomalyKind::WrongTotal,
        AnomalyKind::Overdraft,
        AnomalyKind::ReadYourWrites,
        AnomalyKind::MonotonicReads,
        AnomalyKind::MonotonicWrites,
        AnomalyKind::G0,
        AnomalyKind::G1a,
        AnomalyKind::G1b,
        AnomalyKind::G1c,
        AnomalyKind::GSingle,
        AnomalyKind::G2,
        AnomalyKind::G0RealTime,
        AnomalyKind::G1cRealTime,
        AnomalyKind::GSingleRealTime,
        AnomalyKind::G2RealTime,
        AnomalyKind::Internal,
        AnomalyKind::TwoHolders,
        AnomalyKind::LockLost,
        AnomalyKind::TokenOrder,
        AnomalyKind::StaleToken,
    ];

    /// The kebab-case name, as suites and reports write it.
    pub fn name(self) -> &'static str {
        match self {
            AnomalyKind::LostWrite => "lost-write",
            AnomalyKind::StaleRead => "stale-read",
            AnomalyKind::FlipFlop => "flip-flop",
            AnomalyKind::FutureRead => "future-read",
            AnomalyKind::Phantom => "phantom",
            AnomalyKind::AbortedRead => "aborted-read",
            AnomalyKind::LostUpdate => "lost-update",
            AnomalyKind::ChainOrder => "chain-order",
            AnomalyKind::CyclicCas => "cyclic-cas",
            AnomalyKind::SpuriousMismatch => "spurious-mismatch",
            AnomalyKind::Duplicate => "duplicate",
            AnomalyKind::Resurrected => "resurrected",
            AnomalyKind::NonLinearizable => "non-linearizable",
            AnomalyKind::Divergence => "divergence",
            AnomalyKind::OutOfOrder => "out-of-order",
            AnomalyKind::IncompatibleOrder => "incompatible-order",
            AnomalyKind::WrongTotal => "wrong-total",
            AnomalyKind::Overdraft => "overdraft",
            AnomalyKind::ReadYourWrites => "read-your-writes",
            AnomalyKind::MonotonicReads => "monotonic-reads",
            AnomalyKind::MonotonicWrites => "monotonic-writes",
            AnomalyKind::G0 => "g0",
            AnomalyKind::G1a => "g1a",
            AnomalyKind::G1b => "g1b",
            AnomalyKind::G1c => "g1c",
            AnomalyKind::GSingle => "g-single",
            AnomalyKind::G2 => "g2",
            AnomalyKind::G0RealTime => "g0-realtime",
            AnomalyKind::G1cRealTime => "g1c-realtime",
            AnomalyKind::GSingleRealTime => "g-single-realtime",
            AnomalyKind::G2RealTime => "g2-realtime",
            AnomalyKind::Internal => "internal",
            AnomalyKind::TwoHolders => "two-holders",
            AnomalyKind::LockLost => "lock-lost",
            AnomalyKind::TokenOrder => "token-order",
            AnomalyKind::StaleToken => "stale-token",
        }
    }

    /// One sentence on what the name means, for `list` and reports.
    pub fn meaning(self) -> &'static str {
        match self {
            AnomalyKind::LostWrite => {
                "a write acknowledged or seen is gone and nothing overwrote it"
            }
            AnomalyKind::StaleRead => "a read returned a value overwritten before the read began",
            AnomalyKind::FlipFlop => "two values alternate although each was written once",
            AnomalyKind::FutureRead => "a read returned a value before its write began",
            AnomalyKind::Phantom => "an answer names what nobody ever sent",
            AnomalyKind::AbortedRead => "a read returned a value whose write certainly failed",
            AnomalyKind::LostUpdate => {
                "two updates were made from the same value and one of them is gone"
            }
            AnomalyKind::ChainOrder => {
                "an operation on a later version ended before one on an earlier version began"
            }
            AnomalyKind::CyclicCas => "expectations of successful compare-and-sets form a cycle",
            AnomalyKind::SpuriousMismatch => "somebody was refused although nothing was in the way",
            AnomalyKind::Duplicate => "what was added, taken or given once was seen twice",
            AnomalyKind::Resurrected => "what had been seen was gone and then there again",
            AnomalyKind::NonLinearizable => "no order of the operations explains every answer",
            AnomalyKind::Divergence => "replicas hold different states after the heal",
            AnomalyKind::OutOfOrder => {
                "elements stand or come out in an order that contradicts when they were added"
            }
            AnomalyKind::IncompatibleOrder => {
                "two reads of one list go on differently after the same beginning"
            }
            AnomalyKind::WrongTotal => {
                "a read of all accounts saw another sum than transfers can leave"
            }
            AnomalyKind::Overdraft => {
                "a read of all accounts saw one below nothing, which this bank does not allow"
            }
            AnomalyKind::ReadYourWrites => "a session read a value older than its own write",
            AnomalyKind::MonotonicReads => "a session read a value and later an older one",
            AnomalyKind::MonotonicWrites => {
                "a session saw a later write of another session without an earlier one"
            }
            AnomalyKind::G0 => "transactions overwrite one another in a cycle",
            AnomalyKind::G1a => "a transaction read what one wrote that certainly failed",
            AnomalyKind::G1b => "a transaction read what another one had not finished writing",
            AnomalyKind::G1c => "transactions overwrite and read one another in a cycle",
            AnomalyKind::GSingle => "a cycle in which one transaction missed what another wrote",
            AnomalyKind::G2 => "a cycle in which several transactions missed what others wrote",
            AnomalyKind::G0RealTime => "as g0, with one transaction ended before another began",
            AnomalyKind::G1cRealTime => "as g1c, with one transaction ended before another began",
            AnomalyKind::GSingleRealTime => {
                "as g-single, with one transaction ended before another began"
            }
            AnomalyKind::G2RealTime => "as g2, with one transaction ended before another began",
            AnomalyKind::Internal => {
                "a transaction read something else than its own steps before say"
            }
            AnomalyKind::TwoHolders => "two clients certainly held one lock at the same time",
            AnomalyKind::LockLost => {
                "a lock was gone before its time to live was over and nobody had released it"
            }
            AnomalyKind::TokenOrder => {
                "a later grant of a lock has a smaller fencing token than an earlier one"
            }
            AnomalyKind::StaleToken => {
                "a write under an older fencing token took effect after one under a newer"
            }
        }
    }
}

impl fmt::Display for AnomalyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One proven violation, with the few operations that prove it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anomaly {
    /// Its name.
    pub kind: AnomalyKind,
    /// The key or set it happened to.
    pub key: Key,
    /// The operation that was violated or that shows the violation: the lost write, the stale
    /// read, ... A canary compares its beginning with the first effect.
    pub culprit: OperationId,
    /// The operations that prove it, in order of invocation: at most six, and the swaps. Only
    /// [`AnomalyKind::NonLinearizable`] may need more.
    pub operations: Vec<OperationId>,
    /// The successful compare-and-sets between two versions of one chain. They belong to the
    /// proof, and are printed as "k swaps".
    pub swaps: Vec<OperationId>,
    /// The contradiction in one or two sentences, with times in seconds since the run's start.
    pub story: Vec<String>,
}

/// What one checker says about one history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// The checker's name, such as `linearizable`.
    pub checker: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// One line: what was proven, or why it is unknown.
    pub summary: String,
    /// The clearest anomalies first; at most [`Judgement::ANOMALIES_MAX`] of them.
    pub anomalies: Vec<Anomaly>,
    /// How many anomalies were found of each kind, listed or not.
    pub found: BTreeMap<AnomalyKind, u64>,
    /// Of each kind the culprit that began last, listed or not. Those that are listed are the clearest,
    /// and need not be the latest; whoever asks whether any began after some moment asks here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub last: BTreeMap<AnomalyKind, OperationId>,
    /// What was counted on the way, such as `acknowledged` or `lost`, by kebab-case name.
    pub counts: BTreeMap<String, u64>,
}

impl Judgement {
    /// How many anomalies a judgement carries. A broken store yields one for every operation, and
    /// nobody reads the second hundred; `found` counts them all.
    pub const ANOMALIES_MAX: usize = 100;

    /// Counts one more anomaly.
    pub(crate) fn count(&mut self, kind: AnomalyKind, culprit: OperationId) {
        *self.found.entry(kind).or_insert(0) += 1;
        // Ids are given in the order of invocation.
        let last = self.last.entry(kind).or_insert(culprit);
        *last = culprit.max(*last);
    }

    /// An undecided judgement and why.
    pub fn unknown(checker: &str, summary: impl Into<String>) -> Self {
        Judgement {
            checker: checker.to_string(),
            verdict: Verdict::Unknown,
            summary: summary.into(),
            anomalies: Vec::new(),
            found: BTreeMap::new(),
            last: BTreeMap::new(),
            counts: BTreeMap::new(),
        }
    }
}
