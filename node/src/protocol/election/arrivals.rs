//! How long a leader may be silent before it is suspected: `suspicion`.
//!
//! With `fixed` that is `election-timeout`, whatever the network is like. With `adaptive` it
//! follows the silences that were observed, by Jacobson's estimator: the mean and four mean
//! deviations, each a moving average with the gains of TCP's retransmission timer (Jacobson,
//! "Congestion avoidance and control", 1988; RFC 6298). It is never shorter than
//! `election-timeout`, since voters and leases count on that much, and never longer than
//! `suspicion-max`, so a leader that has died is missed after twice that at the latest.
//!
//! A sample is the longest silence within a heartbeat. Under load messages come much more often
//! than heartbeats, and each for itself would teach how short a silence can be, not how long.

use std::time::Duration;

use super::super::{Core, Now};
use crate::config::Suspicion as Method;

/// What a follower has observed of its present leader.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Arrivals {
    /// When the leader was last heard.
    last: Option<Now>,
    /// When the sample that is being taken began.
    since: Now,
    /// The longest silence in it so far.
    longest: Duration,
    /// Mean and mean deviation of the samples, once there is one.
    estimate: Option<(Duration, Duration)>,
}

impl Arrivals {
    /// The leader was heard. What is longer than `most` counts as that.
    fn heard(&mut self, now: Now, heartbeat: Duration, most: Duration) {
        let Some(last) = self.last.replace(now) else {
            self.since = now;
            return;
        };
        self.longest = self.longest.max(now.saturating_sub(last)).min(most);
        if now.saturating_sub(self.since) >= heartbeat {
            self.sample();
            self.since = now;
        }
    }

    fn sample(&mut self) {
        let silence = std::mem::take(&mut self.longest);
        self.estimate = Some(match self.estimate {
            None => (silence, silence / 2),
            Some((mean, deviation)) => {
                let deviation = (3 * deviation + mean.abs_diff(silence)) / 4;
                ((7 * mean + silence) / 8, deviation)
            }
        });
    }

    /// The silence that would be unusual; `None` as long as nothing was observed.
    fn unusual(&self) -> Option<Duration> {
        self.estimate.map(|(mean, deviation)| mean + 4 * deviation)
    }
}

impl Core {
    /// The shortest silence after which the present leader is suspected; the longest is twice this.
    pub(in super::super) fn tolerated_silence(&self) -> Duration {
        let shortest = self.settings.election_timeout;
        let arrivals = &self.suspicion.arrivals;
        // Who has no leader, or never heard it, has nobody to suspect wrongly.
        let hears = self.upstream_leader().is_some() && arrivals.last.is_some();
        match self.settings.suspicion {
            Method::Adaptive if hears => {
                let longest = self.settings.suspicion_max;
                arrivals.unusual().unwrap_or(longest).clamp(shortest, longest)
            }
            Method::Adaptive | Method::Fixed => shortest,
        }
    }

    pub(super) fn observe_arrival(&mut self) {
        let Method::Adaptive = self.settings.suspicion else { return };
        let (heartbeat, most) = (self.settings.heartbeat, self.settings.suspicion_max);
        self.suspicion.arrivals.heard(self.now, heartbeat, most);
    }

    /// Another leader: what was observed of the last one says nothing about it.
    pub(in super::super) fn forget_arrivals(&mut self) {
        self.suspicion.arrivals = Arrivals::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARTBEAT: Duration = Duration::from_millis(50);
    const MOST: Duration = Duration::from_secs(2);

    /// What is unusual after silences of so many milliseconds.
    fn unusual(silences: &[u64]) -> u128 {
        let (mut arrivals, mut now) = (Arrivals::default(), Duration::from_secs(1));
        arrivals.heard(now, HEARTBEAT, MOST);
        for silence in silences {
            now += Duration::from_millis(*silence);
            arrivals.heard(now, HEARTBEAT, MOST);
        }
        arrivals.unusual().expect("there was a sample").as_millis()
    }

    #[test]
    fn regular_heartbeats_make_any_longer_silence_unusual() {
        assert_eq!(unusual(&[50]), 150, "the first sample counts for itself and half again");
        assert!((50..55).contains(&unusual(&[50; 40])));
    }

    #[test]
    fn irregular_heartbeats_make_long_silences_usual() {
        let irregular: Vec<u64> = [50, 400].repeat(20);
        assert!(unusual(&irregular) > 600, "{}", unusual(&irregular));
    }

    #[test]
    fn entries_between_heartbeats_do_not_wash_out_a_long_silence() {
        let busy: Vec<u64> = [[400].as_slice(), &[1; 49]].concat().repeat(10);
        assert!(unusual(&busy) > 400, "{}", unusual(&busy));
    }

    #[test]
    fn one_very_long_silence_counts_as_the_longest_that_is_tolerated() {
        assert!(unusual(&[50, 50, 3_600_000]) < 4 * MOST.as_millis());
    }
}
