//! Latency: how long operations that ended well took, as quantiles.
//!
//! Counted in a histogram with three significant digits (`hdrhistogram`), so a quantile is at most
//! 0.1 % off; the longest is kept exactly. Called by the counts and by the timeline.

use hdrhistogram::Histogram;
use splitbrain_workloads::history::{Micros, Operation};

/// A growing set of latencies.
#[derive(Clone, Debug)]
pub struct Latencies {
    histogram: Histogram<u64>,
    longest: Option<Micros>,
}

impl Latencies {
    /// An empty set.
    pub fn new() -> Latencies {
        // Three digits are among the one to five that the histogram accepts.
        let mut histogram = Histogram::new(3).expect("three significant digits are allowed");
        histogram.auto(true);
        Latencies { histogram, longest: None }
    }

    /// Adds one.
    pub fn add(&mut self, latency: Micros) {
        // It refuses values beyond its range only, and an automatic one has none; the largest
        // possible value takes it to less than a mebibyte.
        self.histogram.record(latency.0.max(1)).expect("an automatic histogram grows");
        self.longest = self.longest.max(Some(latency));
    }

    /// The latency that a share of all, between 0 and 1, did not exceed.
    pub fn quantile(&self, share: f64) -> Option<Micros> {
        let longest = self.longest?;
        // The histogram answers with the upper end of a bucket, which may lie beyond the longest.
        Some(Micros(self.histogram.value_at_quantile(share)).min(longest))
    }

    /// The longest, exactly.
    pub fn longest(&self) -> Option<Micros> {
        self.longest
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Latencies::new()
    }
}

/// From the invocation to the completion of an operation; `None` while it is open.
pub fn latency(operation: &Operation) -> Option<Micros> {
    let completed = operation.completed?;
    Some(Micros(completed.at.0.saturating_sub(operation.invoked.at.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_operation_does_not_blur_the_fast_ones() {
        let mut latencies = Latencies::new();
        for latency in 0..1000 {
            latencies.add(Micros(900 + latency));
        }
        latencies.add(Micros(566_000));
        let p50 = latencies.quantile(0.5).unwrap().0;
        assert!((1395..=1405).contains(&p50), "{p50}");
        assert_eq!(latencies.longest(), Some(Micros(566_000)));
    }

    #[test]
    fn quantiles_of_a_thousand_steps_are_within_a_thousandth() {
        let mut latencies = Latencies::new();
        for step in 1..=1_000 {
            latencies.add(Micros(step * 1_000));
        }
        let p50 = latencies.quantile(0.5).unwrap().0;
        let p99 = latencies.quantile(0.99).unwrap().0;
        assert!(p50.abs_diff(500_000) <= 500, "{p50}");
        assert!(p99.abs_diff(990_000) <= 990, "{p99}");
        assert_eq!(latencies.longest(), Some(Micros(1_000_000)));
    }

    #[test]
    fn nothing_counted_has_no_quantile() {
        assert_eq!(Latencies::new().quantile(0.5), None);
        assert_eq!(Latencies::new().longest(), None);
    }
}
