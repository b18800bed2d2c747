//! What makes a link slow: a delay, its jitter, a bandwidth; and when a chunk is therefore due.
//!
//! Bandwidth belongs to the link and is shared by all of its connections: a chunk begins to be
//! transmitted when the one before it, of whatever connection, is through. A delay is added to
//! that. Kept by [`gate`](super::gate), asked by [`pump`](super::pump).

use std::time::{Duration, Instant};

use rand::RngExt;
use rand_xoshiro::rand_core::SeedableRng;
use splitbrain_workloads::seed::Stream;

/// How a link is slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// How much later every byte arrives.
    pub delay: Duration,
    /// By how much that varies, up or down, by an even chance; not more than the delay. Order is
    /// kept within a connection: bytes wait for those before them.
    pub jitter: Duration,
    /// How many bytes pass in a second; `None` for as many as come.
    pub bytes_per_second: Option<u64>,
    /// How much later than its last byte the end of a connection arrives.
    pub close: Duration,
    /// Where the chance of the jitter begins.
    pub seed: u64,
}

/// When a chunk is to be handed on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub(super) at: Instant,
    /// Whether the link was still busy with another chunk.
    pub(super) waited: bool,
}

/// All shapes of a link at work together: delays add up, of bandwidths the least counts.
#[derive(Debug)]
pub(super) struct Shaping {
    shapes: Vec<(Shape, Stream)>,
    /// When the link is through with all it was given.
    free: Instant,
}

/// Largest and smallest chunk under a bandwidth: no more than a hundredth of a second's worth, so
/// that bytes trickle instead of arriving in lumps, and enough to be worth a call.
const CHUNK: std::ops::RangeInclusive<u64> = 512..=64 << 10;

impl Default for Shaping {
    fn default() -> Shaping {
        Shaping { shapes: Vec::new(), free: Instant::now() }
    }
}

impl Shaping {
    pub(super) fn add(&mut self, shape: Shape) {
        self.shapes.push((shape, Stream::seed_from_u64(shape.seed)));
    }

    /// Takes one such shape back; whether any is left.
    pub(super) fn remove(&mut self, shape: Shape) -> bool {
        if let Some(place) = self.shapes.iter().position(|(known, _)| *known == shape) {
            self.shapes.remove(place);
        }
        !self.shapes.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.shapes.clear();
    }

    /// How many bytes are to be read at once.
    pub(super) fn chunk(&self) -> usize {
        let bytes = self.bandwidth().map_or(*CHUNK.end(), |rate| rate / 100);
        bytes.clamp(*CHUNK.start(), *CHUNK.end()) as usize
    }

    /// When so many bytes that were read now are to be handed on.
    pub(super) fn due(&mut self, bytes: usize, now: Instant) -> Due {
        let mut delay = Duration::ZERO;
        for (shape, chance) in &mut self.shapes {
            let jitter = shape.jitter.min(shape.delay);
            let swing = 2 * u64::try_from(jitter.as_nanos()).unwrap_or(u64::MAX / 2);
            let drawn = if swing == 0 { 0 } else { chance.random_range(0..=swing) };
            delay += shape.delay - jitter + Duration::from_nanos(drawn);
        }
        let Some(rate) = self.bandwidth() else { return Due { at: now + delay, waited: false } };
        let waited = self.free > now;
        let nanos = u128::from(bytes as u64) * 1_000_000_000 / u128::from(rate.max(1));
        let transmission = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.free = self.free.max(now) + transmission;
        Due { at: self.free + delay, waited }
    }

    /// When an end of a connection that was seen now is to be handed on.
    pub(super) fn end_due(&mut self, now: Instant) -> Due {
        let close: Duration = self.shapes.iter().map(|(shape, _)| shape.close).sum();
        let Due { at, waited } = self.due(0, now);
        Due { at: at + close, waited }
    }

    fn bandwidth(&self) -> Option<u64> {
        self.shapes.iter().filter_map(|(shape, _)| shape.bytes_per_second).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_delay_with_jitter_stays_within_its_bounds_and_reaches_both() {
        let mut shaping = Shaping::default();
        shaping.add(Shape { delay: 10 * MS, jitter: 4 * MS, seed: 7, ..Shape::default() });
        let now = Instant::now();
        let late: Vec<Duration> = (0..1000).map(|_| shaping.due(100, now).at - now).collect();
        assert!(late.iter().all(|late| (6 * MS..=14 * MS).contains(late)));
        assert!(late.iter().any(|late| *late < 7 * MS) && late.iter().any(|late| *late > 13 * MS));
    }

    #[test]
    fn a_bandwidth_lets_chunks_wait_for_each_other() {
        let mut shaping = Shaping::default();
        shaping.add(Shape { bytes_per_second: Some(1000), ..Shape::default() });
        let now = Instant::now();
        let dues: Vec<Due> = (0..3).map(|_| shaping.due(100, now)).collect();
        assert_eq!(dues[0].at - now, 100 * MS);
        assert_eq!(dues[2].at - now, 300 * MS);
        assert_eq!(dues.iter().filter(|due| due.waited).count(), 2);
        assert_eq!(shaping.chunk(), 512);
        // Idle time is not saved up.
        assert_eq!(shaping.due(100, now + 1000 * MS).at - now, 1100 * MS);
    }

    #[test]
    fn delays_of_two_faults_add_up_and_the_lesser_bandwidth_counts() {
        let mut shaping = Shaping::default();
        let slow = Shape { delay: 5 * MS, bytes_per_second: Some(1_000_000), ..Shape::default() };
        shaping.add(slow);
        shaping.add(Shape { delay: 7 * MS, bytes_per_second: Some(10_000), ..Shape::default() });
        let now = Instant::now();
        assert_eq!(shaping.due(100, now).at - now, 22 * MS);
        assert!(shaping.remove(slow));
        assert_eq!(shaping.due(100, now + 100 * MS).at - now, 117 * MS);
    }
}
