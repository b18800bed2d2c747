//! Holds the rules of a run against what was observed: whether nodes crashed, whether the cluster
//! came to rest, and the suite's own gates on measures. What the checkers say needs no rule of its
//! own.
//!
//! A rule without a sample is `not evaluated`, never held. What the outcomes come to is decided in
//! `result`.

use splitbrain_reports::measure::RunMeasures;
use splitbrain_reports::measure::latency::Latencies;
use splitbrain_reports::measure::recovery::{Recovery, Service};
use splitbrain_reports::record::{GateOutcome, GateRecord, StopRecord};
use splitbrain_reports::units;
use splitbrain_workloads::history::{History, Micros};
use splitbrain_workloads::verdict::{Judgement, Verdict};

use crate::run::{SETTLE_BOUND, Traces};
use crate::suite::gates::{Bound, Comparison, Gate, Gates, Metric};

/// What gates are held against.
pub struct Observed<'a> {
    /// What the clients saw.
    pub history: &'a History,
    /// What each checker says.
    pub judgements: &'a [Judgement],
    /// The measures, taken from the same.
    pub measures: &'a RunMeasures,
    /// What the run left beside its files.
    pub traces: &'a Traces,
}

/// Evaluates every gate: those that every run has, then the suite's own.
pub fn evaluate(gates: &Gates, observed: &Observed<'_>) -> Vec<GateRecord> {
    let mut records = vec![crashes(observed.traces), settled(observed.traces)];
    records.extend(gates.iter().map(|gate| match observed.traces.stopped() {
        // What was measured on a part of a run says nothing of the whole.
        Some(stopped) => GateRecord {
            name: gate.metric.to_string(),
            rule: rule(gate),
            observed: stopped_at(stopped),
            outcome: GateOutcome::NotEvaluated,
        },
        None => of_measure(gate, observed),
    }));
    records
}

/// A rule in the units of what stands beside it: `<= 4.00 s`, `>= 30 %`.
fn rule(gate: &Gate) -> String {
    let bound = match gate.bound {
        Bound::Time(time) => units::duration(Micros(u64::from(time.as_millis()) * 1000)),
        Bound::Percent(percent) => percent.to_string().replace('%', " %"),
        Bound::Count(count) => units::count(count),
    };
    format!("{} {bound}", gate.comparison)
}

/// A node that ends by itself breaks a promise of its own, whatever the history says.
fn crashes(traces: &Traces) -> GateRecord {
    let ends: Vec<String> =
        traces.crashes().map(|exit| format!("{} {}", exit.owner, exit.status)).collect();
    GateRecord {
        name: "no-crash".to_string(),
        rule: "no node ends by itself".to_string(),
        observed: if ends.is_empty() { "0".to_string() } else { ends.join(", ") },
        outcome: held(ends.is_empty()),
    }
}

/// Liveness: a cluster that is whole again serves again, within a bound.
fn settled(traces: &Traces) -> GateRecord {
    let bound = Micros(u64::try_from(SETTLE_BOUND.as_micros()).unwrap_or(u64::MAX));
    GateRecord {
        name: "settled".to_string(),
        rule: format!(
            "every node has applied what is committed <= {} after the heal",
            units::duration(bound)
        ),
        observed: match traces.settled_after {
            Some(after) => units::after(after),
            None if traces.awaited => "never".to_string(),
            None => "the run ended before".to_string(),
        },
        outcome: match traces.settled_after {
            Some(_) => GateOutcome::Held,
            None if traces.awaited => GateOutcome::Broken,
            None => GateOutcome::NotEvaluated,
        },
    }
}

/// Why nothing was measured.
pub(crate) fn stopped_at(stopped: &StopRecord) -> String {
    format!("the run was stopped at {}", units::moment(stopped.at))
}

/// What a metric came to.
enum Sample {
    Time(Micros),
    Share(f64),
    Count(u64),
    /// It was to happen and did not within the run, which is beyond every bound.
    Never(String),
    /// Nobody could measure more than that it was at least so long, and why not.
    AtLeast(Micros, String),
    /// Nothing was there to measure.
    Nothing(String),
}

fn of_measure(gate: &Gate, observed: &Observed<'_>) -> GateRecord {
    let (text, outcome) = held_against(gate, &sample(gate.metric, observed));
    GateRecord { name: gate.metric.to_string(), rule: rule(gate), observed: text, outcome }
}

/// What was observed in words, and whether the rule held.
fn held_against(gate: &Gate, sample: &Sample) -> (String, GateOutcome) {
    match (sample, gate.bound) {
        (Sample::Time(time), Bound::Time(bound)) => {
            let bound = u64::from(bound.as_millis()) * 1000;
            (units::duration(*time), held(gate.comparison.holds(time.0, bound)))
        }
        (Sample::Share(share), Bound::Percent(bound)) => {
            let holds = gate.comparison.holds(*share, bound.fraction());
            (shown(*share, bound.fraction(), gate.comparison), held(holds))
        }
        (Sample::Count(count), Bound::Count(bound)) => {
            (units::count(*count), held(gate.comparison.holds(*count, bound)))
        }
        (Sample::AtLeast(time, why), Bound::Time(bound)) => {
            let bound = u64::from(bound.as_millis()) * 1000;
            let is_upper = matches!(gate.comparison, Comparison::AtMost | Comparison::Below);
            let outcome = match gate.comparison.holds(time.0, bound) {
                // However much longer it was, it was too long.
                false if is_upper => GateOutcome::Broken,
                _ => GateOutcome::NotEvaluated,
            };
            (format!("at least {}; {why}", units::duration(*time)), outcome)
        }
        (Sample::Never(why), _) => (why.clone(), GateOutcome::Broken),
        (Sample::Nothing(why), _) => (why.clone(), GateOutcome::NotEvaluated),
        // Suites are read by metric, so a bound always has its metric's unit.
        (_, bound) => unreachable!("{} is bounded by {bound}", gate.metric),
    }
}

fn sample(metric: Metric, observed: &Observed<'_>) -> Sample {
    match metric {
        Metric::Recovery => recovery(observed.measures),
        Metric::Unavailability => unavailability(observed.measures),
        Metric::Availability => match observed.measures.availability.share() {
            Some(share) => Sample::Share(share),
            None => Sample::Nothing("nothing was asked for".to_string()),
        },
        Metric::P50 => latency(observed.history, 0.5),
        Metric::P99 => latency(observed.history, 0.99),
        Metric::LostWrites => lost_writes(observed),
    }
}

fn recovery(measures: &RunMeasures) -> Sample {
    let mut longest = None;
    for fault in &measures.faults {
        match &fault.recovery {
            Recovery::After(time) => longest = longest.max(Some(*time)),
            Recovery::Never { silent } => {
                let silent: Vec<String> = silent.iter().map(ToString::to_string).collect();
                return Sample::Never(format!("never at {}", silent.join(", ")));
            }
            Recovery::NotWatched => {}
        }
    }
    longest.map_or_else(|| Sample::Nothing("no heal was watched".to_string()), Sample::Time)
}

fn unavailability(measures: &RunMeasures) -> Sample {
    let mut longest = None;
    let mut unknown: Option<(Micros, Micros)> = None;
    for fault in &measures.faults {
        match fault.service {
            Service::Lost { .. } => longest = longest.max(fault.service.lost_for()),
            Service::Kept => longest = longest.max(Some(Micros(0))),
            Service::NotRestored { .. } => return Sample::Never("not restored".to_string()),
            Service::NotWatched { last_asked: Some(last), at_least: Some(time) } => {
                unknown = unknown.max(Some((time, last)));
            }
            Service::NoFault | Service::NotWatched { .. } => {}
        }
    }
    if let Some((time, last)) = unknown {
        let why = format!("no write was sent after {}", units::moment(last));
        return Sample::AtLeast(time.max(longest.unwrap_or_default()), why);
    }
    longest.map_or_else(|| Sample::Nothing("no fault was in force".to_string()), Sample::Time)
}

fn latency(history: &History, share: f64) -> Sample {
    let mut latencies = Latencies::new();
    for operation in history.operations.iter().filter(|operation| !operation.is_final) {
        if let Some(latency) = splitbrain_reports::measure::latency::latency(operation) {
            latencies.add(latency);
        }
    }
    match latencies.quantile(share) {
        Some(time) => Sample::Time(time),
        None => Sample::Nothing("no operation succeeded".to_string()),
    }
}

fn lost_writes(observed: &Observed<'_>) -> Sample {
    let judged = observed.judgements.iter().find(|judgement| judgement.checker == "lost-write");
    match judged {
        Some(judgement) if judgement.verdict != Verdict::Unknown => {
            Sample::Count(observed.measures.loss.as_ref().map_or(0, |loss| loss.count))
        }
        Some(judgement) => Sample::Nothing(judgement.summary.clone()),
        None => Sample::Nothing("no checker counts lost writes".to_string()),
    }
}

/// A share with as many digits as it takes to see on which side of the bound it is.
fn shown(share: f64, bound: f64, comparison: Comparison) -> String {
    let holds = comparison.holds(share, bound);
    let digits = (1..6).find(|digits| {
        let text = format!("{:.*}", digits, share * 100.0);
        text.parse::<f64>().is_ok_and(|shown| comparison.holds(shown / 100.0, bound) == holds)
    });
    format!("{:.*} %", digits.unwrap_or(6), share * 100.0)
}

fn held(holds: bool) -> GateOutcome {
    if holds { GateOutcome::Held } else { GateOutcome::Broken }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_nobody_asked_any_more_is_not_accused_of_staying_away() {
        let gate = |rule: &str| {
            let gates: Gates =
                serde_json::from_value(serde_json::json!({ "unavailability": rule })).unwrap();
            *gates.iter().next().unwrap()
        };
        let waited = || {
            let why = "no write was sent after 4.079 s".to_string();
            Sample::AtLeast(Micros(2_300_000), why)
        };
        let (text, outcome) = held_against(&gate("<= 4s"), &waited());
        assert_eq!(outcome, GateOutcome::NotEvaluated);
        assert_eq!(text, "at least 2.30 s; no write was sent after 4.079 s");
        let (_, outcome) = held_against(&gate("<= 2s"), &waited());
        assert_eq!(outcome, GateOutcome::Broken, "however long it went on");
    }
}
