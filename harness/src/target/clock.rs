//! The words in which a node's clocks are made wrong, a small JSON file that the node is given at
//! its start, and what a node says of its clocks, beside ours (docs/store-on-disk.md,
//! docs/http-api.md).
//!
//! No type is shared with the store. A target whose clocks cannot be told has none of this.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// How clocks are wrong. They are right by default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClockControl {
    version: u32,
    /// How much time passes on both clocks in a second.
    pub rate: f64,
    /// By how many milliseconds the wall clock is ahead.
    pub wall_offset_ms: i64,
    /// The same of the steady clock, which never goes back: it never gets less.
    pub steady_offset_ms: u64,
}

impl Default for ClockControl {
    fn default() -> ClockControl {
        ClockControl { version: 1, rate: 1.0, wall_offset_ms: 0, steady_offset_ms: 0 }
    }
}

impl ClockControl {
    /// The words that the built-in store reads.
    pub fn words(&self) -> String {
        // Numbers and plain keys: nothing that JSON could not hold.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Puts a file with these words in place of the one before.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn tell(&self, file: &Path) -> io::Result<()> {
        tell(file, &self.words())
    }
}

/// Puts a file with some words in place of the one before.
///
/// # Errors
///
/// When it cannot be written.
pub fn tell(file: &Path, words: &str) -> io::Result<()> {
    // As a whole: it is read at any moment.
    let unfinished = file.with_extension("tmp");
    fs::write(&unfinished, words)?;
    fs::rename(unfinished, file)
}

/// What the clocks of a node show, as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeClock {
    /// Time since its start by its steady clock.
    pub running: Duration,
    /// Microseconds since 1970 by its wall clock.
    pub wall: i64,
}

/// The same beside our own clocks, read half-way between the question and the answer.
#[derive(Clone, Copy, Debug)]
pub struct ClockReading {
    /// The node's.
    pub node: NodeClock,
    /// Our steady clock.
    pub ours: Instant,
    /// Microseconds since 1970 by our wall clock.
    pub our_wall: i64,
}

impl ClockReading {
    /// An answer to a question that was asked at a moment and is answered now.
    pub fn between(asked: Instant, node: NodeClock) -> ClockReading {
        let half = asked.elapsed() / 2;
        let wall = (SystemTime::now() - half).duration_since(UNIX_EPOCH).unwrap_or_default();
        let our_wall = i64::try_from(wall.as_micros()).unwrap_or(i64::MAX);
        ClockReading { node, ours: asked + half, our_wall }
    }

    /// How much time passed on the node's steady clock for each second of ours since an earlier
    /// reading; `None` when the node was started again between the two, or too little passed.
    pub fn rate_since(&self, earlier: &ClockReading) -> Option<f64> {
        let ours = self.ours.checked_duration_since(earlier.ours)?;
        let node = self.node.running.checked_sub(earlier.node.running)?;
        (ours >= Duration::from_millis(100)).then(|| node.as_secs_f64() / ours.as_secs_f64())
    }

    /// By how many microseconds the node's steady clock went ahead of ours since an earlier reading;
    /// `None` when the node was started again between the two.
    pub fn steady_ahead_since(&self, earlier: &ClockReading) -> Option<i64> {
        let ours = self.ours.checked_duration_since(earlier.ours)?;
        let node = self.node.running.checked_sub(earlier.node.running)?;
        let micros = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Some(micros(node).saturating_sub(micros(ours)))
    }

    /// The same of the wall clocks.
    pub fn wall_ahead_since(&self, earlier: &ClockReading) -> i64 {
        let ahead = |reading: &ClockReading| reading.node.wall.saturating_sub(reading.our_wall);
        ahead(self).saturating_sub(ahead(earlier))
    }
}
