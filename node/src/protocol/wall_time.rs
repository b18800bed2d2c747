//! Wall-clock time, as entries carry it.
//!
//! It is for people and for measuring: how old an entry is, up to when a log is replayed, how far a
//! replica is behind. No protection rests on it, since clocks differ between machines and step
//! back. What the core waits for it waits for on [`super::Now`]; `apply-delay` alone asks here how
//! long that is.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01 00:00 UTC, without leap seconds. Written as RFC 3339 in UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct WallTime(pub u64);

impl WallTime {
    /// What this machine's clock says. Before 1970 it says nothing, which is zero.
    pub(crate) fn of_this_machine() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        WallTime(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    /// How long ago another time was, by this one; nothing if it is yet to come.
    pub(crate) fn since(self, earlier: WallTime) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = i64::try_from(self.0).ok().and_then(DateTime::from_timestamp_micros);
        match time {
            Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::Micros, true)),
            None => write!(f, "{} microseconds after 1970", self.0),
        }
    }
}

impl FromStr for WallTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let time = DateTime::parse_from_rfc3339(text).ok();
        let micros = time.and_then(|time| u64::try_from(time.timestamp_micros()).ok());
        micros.map(WallTime).ok_or_else(|| {
            format!("expected a time since 1970 such as 2026-11-21T15:04:05Z, got \"{text}\"")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_is_written_and_in_any_zone() {
        let time = WallTime(1_763_737_445_000_123);
        assert_eq!(time.to_string(), "2025-11-21T15:04:05.000123Z");
        assert_eq!(time.to_string().parse(), Ok(time));
        assert_eq!("2025-11-21T16:04:05.000123+01:00".parse(), Ok(time));
        for bad in ["", "yesterday", "2025-11-21", "1969-12-31T23:59:59Z"] {
            bad.parse::<WallTime>().expect_err(bad);
        }
    }
}
