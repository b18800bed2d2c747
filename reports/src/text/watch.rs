//! What was known while a run went on, and that it was stopped for it. Nothing of it is a verdict.

use splitbrain_workloads::operation::NodeId;

use super::{table, words};
use crate::record::{Effect, GateOutcome, RunRecord, RunResult};
use crate::units;

/// The lines about it below what a run is; none where there is nothing to say.
pub(super) fn about(run: &RunRecord) -> Vec<String> {
    let Some(watch) = &run.watch else { return Vec::new() };
    let mut sentences = Vec::new();
    if let Some(stopped) = &watch.stopped {
        let (at, kind) = (units::moment(stopped.at), stopped.kind);
        sentences.push(format!("stopped early at {at}: {kind} was proven by then"));
        let planned = run.faults.len() as u64;
        let not_begun = |effect: &Effect| matches!(effect, Effect::Skipped(_));
        match run.faults.iter().filter(|fault| not_begun(&fault.effect)).count() as u64 {
            0 => {}
            left => sentences.push(format!(
                "{left} of {} did not happen",
                units::counted(planned, "planned fault")
            )),
        }
        let gates = run.gates.iter().filter(|gate| gate.outcome == GateOutcome::NotEvaluated);
        let gates: Vec<&str> = gates.map(|gate| gate.name.as_str()).collect();
        if !gates.is_empty() {
            sentences.push(format!("not judged: {}", gates.join(", ")));
        }
        sentences.extend(kept(&stopped.frozen, &stopped.cluster, run));
        if let Some(why) = &stopped.not_frozen {
            sentences.push(format!("not all data was kept: {why}"));
        }
    } else if let Some(violation) = watch.violation.as_ref().filter(|_| is_told(run)) {
        let at = units::moment(violation.at);
        let (kind, what) = (violation.kind, &violation.what);
        sentences.push(format!("known while the run went on, at {at}: {kind}: {what}"));
    }
    if let Some(why) = &watch.unwatched {
        sentences.push(format!("not everything was watched while the run went on: {why}"));
    }
    match sentences.is_empty() {
        true => Vec::new(),
        false => table::wrapped("  watch     ", &sentences.join("; ")),
    }
}

/// A canary that was caught needs no second word for it.
fn is_told(run: &RunRecord) -> bool {
    run.result != RunResult::Met
}

/// Where the copies are, unless they went with the rest of the data of a run that was met.
fn kept(nodes: &[NodeId], cluster: &str, run: &RunRecord) -> Option<String> {
    let folders = match nodes {
        [] => return None,
        [one] => format!("{}/nodes/{one}/frozen", run.directory),
        _ => format!("{}/nodes/n*/frozen", run.directory),
    };
    let nodes = words::nodes(nodes);
    Some(format!("the data of {nodes} as it was then, of cluster {cluster}: {folders}"))
}

#[cfg(test)]
mod tests {
    use splitbrain_workloads::history::Micros;
    use splitbrain_workloads::operation::Key;
    use splitbrain_workloads::verdict::AnomalyKind;

    use super::*;
    use crate::record::{EarlyViolation, StopRecord, WatchRecord};
    use crate::samples;

    fn run(watch: WatchRecord) -> RunRecord {
        let (mut suite, _) = samples::lost_write_on_raft();
        let mut run = suite.runs.remove(0);
        run.faults[0].effect = Effect::Skipped("the load was over".to_string());
        run.gates[2].outcome = GateOutcome::NotEvaluated;
        run.watch = Some(watch);
        run
    }

    fn violation() -> Option<EarlyViolation> {
        Some(EarlyViolation {
            kind: AnomalyKind::StaleRead,
            key: Key::new("r1"),
            at: Micros(3_214_870),
            what: "read r1 saw 5, and another value was there in between".to_string(),
        })
    }

    #[test]
    fn a_run_that_was_stopped_says_when_for_what_and_what_is_missing() {
        let (at, kind) = (Micros(3_467_120), AnomalyKind::StaleRead);
        let frozen = NodeId::first(3).collect();
        let cluster = "splitbrain-77-1795900000000000".to_string();
        let stopped = Some(StopRecord { at, kind, frozen, cluster, not_frozen: None });
        let run = run(WatchRecord { violation: violation(), unwatched: None, stopped });
        insta::assert_snapshot!(about(&run).join("\n"), @"
          watch     stopped early at 3.467 s: stale-read was proven by then; 1 of 1 planned fault did not
                    happen; not judged: availability; the data of n1, n2 and n3 as it was then, of cluster
                    splitbrain-77-1795900000000000: leader-killed/nodes/n*/frozen
        ");
    }

    #[test]
    fn a_run_that_went_on_says_since_when_it_was_known_and_what_was_not_watched() {
        let unwatched = Some("it keeps at most 2 values, and there are more".to_string());
        let known = run(WatchRecord { violation: violation(), unwatched, stopped: None });
        insta::assert_snapshot!(about(&known).join("\n"), @"
          watch     known while the run went on, at 3.215 s: stale-read: read r1 saw 5, and another value
                    was there in between; not everything was watched while the run went on: it keeps at most
                    2 values, and there are more
        ");
        let mut caught = run(WatchRecord { violation: violation(), ..WatchRecord::default() });
        caught.result = RunResult::Met;
        assert!(about(&caught).is_empty(), "a canary that was caught needs no second word");
    }
}
