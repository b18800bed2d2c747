//! The neutral records that join the halves of the project: what was planned, what happened, and
//! what came of it. They are the format of the run directory; whoever has them needs no process.
//!
//! Who fills them in: `harness`. Who reads them: the measures, the renderings, and CI.

mod coverage;
mod event;
mod run;

pub use coverage::{ClusterState, CoverageCell, CoverageRecord, VictimRole};
pub use event::{Event, EventRecord, FaultId, FaultStep, Phase, ProcessChange, Role};
pub use run::{
    AuditRecord, CountedOperations, EarlyViolation, Effect, Expectation, FaultRecord, GateOutcome,
    GateRecord, HostRecord, OnLinks, Opinion, Part, Recheck, RunRecord, RunResult, StopRecord,
    SuiteRecord, TargetRecord, WatchRecord,
};

/// The version of `summary.json` and `events.jsonl` that this build writes.
pub const SCHEMA_VERSION: u32 = 1;
