//! How often something happens: what a failure is recognized by when a run is repeated, the share
//! of runs that show it, and how far that share can be trusted.
//!
//! A repetition *shows* a failure when it finds the same kind of anomaly, or breaks the same gate.
//! It counts as *not showing* it only when that was decided: a run that the machine ended, or whose
//! checkers decided nothing, is counted on neither side.

use std::fmt;

use splitbrain_workloads::history::{History, Micros};
use splitbrain_workloads::verdict::{AnomalyKind, Judgement, Verdict};

use super::shown::shown;
use crate::record::{GateOutcome, RunRecord, RunResult};

/// What a failing run is recognized by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Symptom {
    /// An anomaly of this kind.
    Anomaly(AnomalyKind),
    /// This gate is broken.
    Gate(String),
    /// Any anomaly and any broken gate: what a run that did not fail is watched for.
    Anything,
}

impl Symptom {
    /// What a recorded run is recognized by: the expected anomaly where it was found, else the
    /// anomaly found first, else the first broken gate.
    pub fn of(run: &RunRecord) -> Symptom {
        if let Some(shown) = shown(&run.judgements, run.expectation.anomaly()) {
            return Symptom::Anomaly(shown.anomaly.kind);
        }
        let broken = run.gates.iter().find(|gate| gate.outcome == GateOutcome::Broken);
        broken.map_or(Symptom::Anything, |gate| Symptom::Gate(gate.name.clone()))
    }

    /// Whether a run shows it; `None` when the run did not decide.
    pub fn shows(&self, run: &RunRecord) -> Option<bool> {
        let seen = match self {
            Symptom::Anomaly(kind) => found(&run.judgements, *kind),
            Symptom::Gate(name) => {
                let gate = run.gates.iter().find(|gate| gate.name == *name);
                gate.is_some_and(|gate| gate.outcome == GateOutcome::Broken)
            }
            Symptom::Anything => {
                run.verdict == Verdict::Fail
                    || run.gates.iter().any(|gate| gate.outcome == GateOutcome::Broken)
            }
        };
        let ended_by_others = matches!(run.result, RunResult::Environment | RunResult::HarnessBug);
        let undecided = match self {
            Symptom::Gate(name) => run
                .gates
                .iter()
                .find(|gate| gate.name == *name)
                .is_none_or(|gate| gate.outcome == GateOutcome::NotEvaluated),
            // Another kind of anomaly decides, too: the checkers have seen all of the history.
            Symptom::Anomaly(_) | Symptom::Anything => run.verdict == Verdict::Unknown,
        };
        match (seen, ended_by_others || undecided) {
            (true, _) => Some(true),
            (false, true) => None,
            (false, false) => Some(false),
        }
    }
}

impl fmt::Display for Symptom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Symptom::Anomaly(kind) => write!(f, "{kind}"),
            Symptom::Gate(name) => write!(f, "gate {name}"),
            Symptom::Anything => f.write_str("any violation"),
        }
    }
}

fn found(judgements: &[Judgement], kind: AnomalyKind) -> bool {
    judgements.iter().any(|judgement| judgement.found.get(&kind).is_some_and(|count| *count > 0))
}

/// From the start of the load to the beginning of the earliest operation that an anomaly of the
/// symptom names as violated. `None` without one, and for a gate.
pub fn first_anomaly(run: &RunRecord, history: &History, symptom: &Symptom) -> Option<Micros> {
    let anomalies = run.judgements.iter().flat_map(|judgement| &judgement.anomalies);
    let wanted = anomalies.filter(|anomaly| match symptom {
        Symptom::Anomaly(kind) => anomaly.kind == *kind,
        Symptom::Gate(_) => false,
        Symptom::Anything => true,
    });
    let begins = wanted
        .filter_map(|anomaly| history.operations.get(anomaly.culprit.0 as usize))
        .map(|operation| operation.invoked.at)
        .min()?;
    Some(Micros(begins.0.saturating_sub(run.load_began.0)))
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Those that did.
    pub hits: u64,
    /// All of them.
    pub of: u64,
}

/// Half the width of a standard normal interval that holds 95 %.
const Z: f64 = 1.959_963_984_540_054;

impl Share {
    /// Counts one more.
    pub fn add(&mut self, hit: bool) {
        self.hits += u64::from(hit);
        self.of += 1;
    }

    /// As a fraction; `None` of nothing.
    pub fn fraction(self) -> Option<f64> {
        (self.of > 0).then(|| self.hits as f64 / self.of as f64)
    }

    /// The 95 % score interval of the true share, as fractions; all there is when nothing was
    /// counted.
    ///
    /// Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22
    /// (1927). It stays inside 0 and 1 and means something for few runs and for shares near either
    /// end, where the usual interval does not (Brown, Cai, DasGupta, "Interval estimation for a
    /// binomial proportion", Statistical Science 16, 2001).
    pub fn interval(self) -> (f64, f64) {
        let Some(share) = self.fraction() else { return (0.0, 1.0) };
        let n = self.of as f64;
        let scale = 1.0 + Z * Z / n;
        let middle = (share + Z * Z / (2.0 * n)) / scale;
        let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt() / scale;
        ((middle - half).clamp(0.0, 1.0), (middle + half).clamp(0.0, 1.0))
    }
}

impl fmt::Display for Share {
    /// Such as `7 of 50 (14 %, 95 % interval 7-26 %)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(share) = self.fraction() else { return f.write_str("0 of 0") };
        let (low, high) = self.interval();
        let (low, high) = ((low * 100.0).round(), (high * 100.0).round());
        let (hits, of, percent) = (self.hits, self.of, (share * 100.0).round());
        write!(f, "{hits} of {of} ({percent} %, 95 % interval {low}-{high} %)")
    }
}

/// The value in the middle; of an even number, the smaller of the two. `None` of nothing.
pub fn median(mut times: Vec<Micros>) -> Option<Micros> {
    times.sort();
    times.get(times.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn the_interval_is_the_published_one() {
        // Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        for (hits, of, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]
        {
            let (got_low, got_high) = Share { hits, of }.interval();
            assert!((got_low - low).abs() < 5e-5, "{hits} of {of}: {got_low}");
            assert!((got_high - high).abs() < 5e-5, "{hits} of {of}: {got_high}");
        }
    }

    #[test]
    fn a_share_is_written_with_its_interval() {
        let text = |hits, of| Share { hits, of }.to_string();
        assert_eq!(text(7, 50), "7 of 50 (14 %, 95 % interval 7-26 %)");
        assert_eq!(text(0, 10), "0 of 10 (0 %, 95 % interval 0-28 %)");
        assert_eq!(text(10, 10), "10 of 10 (100 %, 95 % interval 72-100 %)");
        assert_eq!(text(0, 0), "0 of 0");
    }

    #[test]
    fn a_failing_run_is_recognized_by_what_it_found_and_another_failure_is_not_it() {
        let (suite, _) = samples::lost_write_on_raft();
        let failed = suite.runs.iter().find(|run| run.verdict == Verdict::Fail).unwrap();
        let symptom = Symptom::of(failed);
        assert_eq!(symptom, Symptom::Anomaly(AnomalyKind::LostWrite));
        assert_eq!(symptom.shows(failed), Some(true));
        assert_eq!(Symptom::Anomaly(AnomalyKind::Divergence).shows(failed), Some(false));
        assert_eq!(Symptom::Anything.shows(failed), Some(true));
    }

    #[test]
    fn a_run_that_decided_nothing_counts_on_neither_side() {
        let (suite, _) = samples::lost_write_on_raft();
        let passed = suite.runs.iter().find(|run| run.verdict == Verdict::Pass).unwrap();
        let symptom = Symptom::Anomaly(AnomalyKind::LostWrite);
        assert_eq!(symptom.shows(passed), Some(false));
        let undecided = RunRecord { verdict: Verdict::Unknown, ..passed.clone() };
        assert_eq!(symptom.shows(&undecided), None);
        let ended = RunRecord { result: RunResult::Environment, ..passed.clone() };
        assert_eq!(symptom.shows(&ended), None);
        assert_eq!(Symptom::Gate("no-such-gate".into()).shows(passed), None);
    }

    #[test]
    fn the_median_of_an_even_number_is_the_smaller_of_the_two() {
        let times = |times: &[u64]| median(times.iter().map(|us| Micros(*us)).collect());
        assert_eq!(times(&[]), None);
        assert_eq!(times(&[5, 1, 9]), Some(Micros(5)));
        assert_eq!(times(&[5, 1, 9, 7]), Some(Micros(5)));
    }
}
