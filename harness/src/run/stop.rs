//! Stopping a run early: once what decides it is proven, and with the nodes' data as it is then.
//!
//! ```text
//! watch: violation -> checkers on the history so far -> nodes stand still, data copied -> load over
//!                            |  not (yet) what is wanted: again, with more of the history
//! ```
//!
//! A watch is quick and names a thing as far as it knows it; what stops a run is what the checkers of
//! its workload find in the history up to then. What was proven of a part stays proven of the whole.
//! Then, before anything is healed, all nodes are made to stand still and their data is copied: a copy,
//! because the nodes go on afterwards, so that effects are proven, faults healed and what is left is
//! read as in any run. The verdict is that of the checkers on all of it. Called by the run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use splitbrain_workloads::history::{History, Micros, OperationId};
use splitbrain_workloads::verdict::{AnomalyKind, Judgement};

use super::directory::RunDirectory;
use super::examine::read_history;
use super::journal::Journal;
use super::recorder::Recorder;
use crate::suite::plan::PlannedRun;
use crate::suite::stop::Wanted;

/// The least time between two looks of the checkers.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// How much longer the checkers rest than they look: they share the machine with the run.
const RESTS: u32 = 9;

/// Looks at the history with the checkers, again and again, until they find what is wanted; says what
/// that is.
///
/// # Errors
///
/// When the history cannot be read.
pub async fn proven(
    plan: &PlannedRun,
    wanted: Wanted,
    recorder: &Recorder,
    journal: &Journal,
    directory: &RunDirectory,
) -> anyhow::Result<AnomalyKind> {
    let path = directory.history();
    let workload = Arc::new(plan.workload.clone());
    loop {
        let began = Instant::now();
        recorder.flush();
        let (workload, path) = (workload.clone(), path.clone());
        let look = tokio::task::spawn_blocking(move || {
            let mut history = read_history(&path)?;
            // It ends where the run is now; what is open may still happen.
            history.complete = true;
            let judgements = workload.judge(&history);
            anyhow::Ok((history, judgements))
        });
        let (history, judgements) = look.await.context("a checker crashed")??;
        if let Some(kind) = found(&judgements, &history, wanted, journal.first_in_force()) {
            return Ok(kind);
        }
        tokio::time::sleep(LOOK_INTERVAL.max(began.elapsed() * RESTS)).await;
    }
}

/// What was wanted and is there.
fn found(
    judgements: &[Judgement],
    history: &History,
    wanted: Wanted,
    first_in_force: Option<Micros>,
) -> Option<AnomalyKind> {
    let is_late = |culprit: &OperationId| {
        let began = history.operation(*culprit).invoked.at;
        !wanted.after_effect || first_in_force.is_some_and(|first| began >= first)
    };
    let mut last = judgements.iter().flat_map(|judgement| &judgement.last);
    last.find(|(kind, culprit)| wanted.kind.is_none_or(|it| it == **kind) && is_late(culprit))
        .map(|(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use splitbrain_workloads::history::jsonl;
    use splitbrain_workloads::workload;

    use super::*;

    /// A stale read that begins at 50 ms, of a history that is not over.
    const STALE: &str = r#"{"history":1,"workload":"register","nodes":3}
{"seq":0,"us":10000,"client":1,"node":"n1","invoke":{"write":{"key":"r1","value":1}}}
{"seq":1,"us":20000,"client":1,"ok":"written"}
{"seq":2,"us":30000,"client":1,"node":"n1","invoke":{"write":{"key":"r1","value":2}}}
{"seq":3,"us":40000,"client":1,"ok":"written"}
{"seq":4,"us":50000,"client":2,"node":"n2","invoke":{"read":{"key":"r1"}}}
{"seq":5,"us":60000,"client":2,"ok":{"read":1}}
{"seq":6,"us":70000,"client":3,"node":"n2","invoke":{"read":{"key":"r1"}}}
"#;

    #[test]
    fn a_run_is_stopped_for_what_is_wanted_and_for_a_canary_only_after_a_fault() {
        let mut history = jsonl::read(BufReader::new(STALE.as_bytes())).unwrap();
        assert!(!history.complete, "the run goes on");
        history.complete = true;
        let judgements = workload::judge(&history);
        let found = |kind, after_effect, in_force: Option<u64>| {
            let wanted = Wanted { kind, after_effect };
            found(&judgements, &history, wanted, in_force.map(Micros))
        };
        let stale = Some(AnomalyKind::StaleRead);
        assert_eq!(found(None, false, None), stale);
        assert_eq!(found(stale, false, None), stale);
        assert_eq!(found(Some(AnomalyKind::LostWrite), false, None), None);
        assert_eq!(found(stale, true, None), None, "no fault was in force yet");
        assert_eq!(found(stale, true, Some(55_000)), None, "it began before");
        assert_eq!(found(stale, true, Some(45_000)), stale);
    }
}
