//! The clocks of simulated nodes: each shows its own time and runs at its own rate, which changes
//! now and then. No node ever sees the world's time.

use std::time::Duration;

use super::super::super::Now;

/// One node's clock. It never stands still and never goes back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Since when it runs at its rate, in the world's time.
    since: Now,
    /// What it showed then.
    showed: Now,
    /// How much of its time passes in one second of the world's.
    rate: f64,
}

impl Clock {
    /// A clock that shows the world's time.
    pub(super) const TRUE: Clock =
        Clock { since: Duration::ZERO, showed: Duration::ZERO, rate: 1.0 };

    /// What it shows at a moment of the world.
    pub(super) fn shows(&self, at: Now) -> Now {
        if self.rate == 1.0 {
            return self.showed + at.saturating_sub(self.since);
        }
        self.showed + at.saturating_sub(self.since).mul_f64(self.rate)
    }

    /// At which moment of the world it will show a time.
    pub(super) fn when(&self, shown: Now) -> Now {
        if self.rate == 1.0 {
            return self.since + shown.saturating_sub(self.showed);
        }
        self.since + shown.saturating_sub(self.showed).div_f64(self.rate)
    }

    /// From a moment of the world on it runs at another rate.
    pub(super) fn change_rate(&mut self, at: Now, rate: f64) {
        *self = Clock { since: at, showed: self.shows(at), rate };
    }
}
