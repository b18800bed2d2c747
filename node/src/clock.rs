//! The node's two clocks, and the one place where they are read.
//!
//! The *steady* clock never goes back and counts from the node's start; timers, leases and promises
//! of votes rest on it. It goes on while the machine is suspended: leases and promises would
//! otherwise be longer than they are. The *wall* clock tells the time of day, steps when somebody
//! sets it, and no protection rests on it.
//!
//! With `--clock-control FILE` both can be made wrong from outside: the file is read before every
//! reading of a clock, so what it says holds from the next reading on. Without it there is no file
//! and nothing to look at.
//!
//! ```text
//! {"version":1,"rate":0.25,"wall-offset-ms":-5000,"steady-offset-ms":0}
//! ```
//!
//! `rate` is how much time passes on both clocks in a second. When it changes, the steady clock goes
//! on from where it is, and the wall clock is set right again, up to `wall-offset-ms`, as a time
//! service would. `steady-offset-ms` puts the steady clock ahead, for ever: one that went back would
//! be none. A file that is not there makes nothing wrong.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use tracing::warn;

use crate::protocol::{Now, WallTime};

/// How long a node with a clock that can be made wrong sleeps at most, so that it notices.
const LOOK: Duration = Duration::from_millis(10);

/// The slowest and the fastest rate: beyond them the node would stand still, or do nothing but
/// keep time.
const RATE: std::ops::RangeInclusive<f64> = 0.01..=100.0;

const VERSION: u32 = 1;

/// The clocks of a node.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Now,
    skew: Option<Mutex<Skew>>,
}

impl Clock {
    /// Starts the steady clock. The file makes both wrong.
    pub(crate) fn start(control: Option<&Path>) -> Result<Clock> {
        let started = since_boot()?;
        let skew = control.map(|file| {
            warn!("FAULTY CLOCK: is told by {} how to run", file.display());
            Mutex::new(Skew::new(file.to_owned(), started))
        });
        Ok(Clock { started, skew })
    }

    /// Time since the start, by the steady clock.
    pub(crate) fn now(&self) -> Result<Now> {
        let real = since_boot()?;
        let Some(skew) = &self.skew else { return Ok(real.saturating_sub(self.started)) };
        let mut skew = skew.lock().unwrap_or_else(PoisonError::into_inner);
        skew.look(real)?;
        Ok(skew.shows(real).saturating_sub(self.started))
    }

    /// The time of day, by the wall clock.
    pub(crate) fn wall(&self) -> WallTime {
        let real = WallTime::of_this_machine();
        let (Some(skew), Ok(boot)) = (&self.skew, since_boot()) else { return real };
        let ahead = skew.lock().unwrap_or_else(PoisonError::into_inner).wall_ahead(boot);
        WallTime(real.0.saturating_add_signed(ahead))
    }

    /// How long to sleep until the steady clock shows a time.
    pub(crate) fn until(&self, due: Now) -> Result<Duration> {
        let left = due.saturating_sub(self.now()?);
        let Some(skew) = &self.skew else { return Ok(left) };
        let rate = skew.lock().unwrap_or_else(PoisonError::into_inner).control.rate;
        Ok(left.div_f64(rate).min(LOOK))
    }
}

fn since_boot() -> Result<Now> {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).context("cannot read the clock")?;
    Ok(time.into())
}

/// What the file says.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Control {
    version: u32,
    #[serde(default = "one")]
    rate: f64,
    #[serde(default)]
    wall_offset_ms: i64,
    #[serde(default)]
    steady_offset_ms: u64,
}

fn one() -> f64 {
    1.0
}

/// How clocks are wrong.
#[derive(Debug)]
struct Skew {
    file: PathBuf,
    /// The file as it was last read.
    text: Vec<u8>,
    control: Control,
    /// When the rate last changed, and what the steady clock showed then, without its offset.
    since: Now,
    showed: Now,
}

impl Skew {
    fn new(file: PathBuf, now: Now) -> Skew {
        let control =
            Control { version: VERSION, rate: 1.0, wall_offset_ms: 0, steady_offset_ms: 0 };
        Skew { file, text: Vec::new(), control, since: now, showed: now }
    }

    /// Looks whether the file says something else.
    fn look(&mut self, real: Now) -> Result<()> {
        let text = match fs::read(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).context(format!("{}", self.file.display())),
        };
        if text == self.text {
            return Ok(());
        }
        let shown = self.file.display();
        let control = match text.is_empty() {
            // Somebody took the file away: time goes on, and an offset of the steady clock stays.
            true => Control { rate: 1.0, wall_offset_ms: 0, ..self.control },
            false => serde_json::from_slice::<Control>(&text)
                .with_context(|| format!("--clock-control {shown}"))?,
        };
        let Control { version, rate, steady_offset_ms, .. } = control;
        ensure!(
            version == VERSION,
            "--clock-control {shown}: expected version {VERSION}, got {version}"
        );
        ensure!(
            RATE.contains(&rate),
            "--clock-control {shown}: expected a rate of {} to {}, got {rate}",
            RATE.start(),
            RATE.end()
        );
        let least = self.control.steady_offset_ms;
        ensure!(
            steady_offset_ms >= least,
            "--clock-control {shown}: expected a steady-offset-ms of {least} or more, got \
             {steady_offset_ms}: a steady clock does not go back"
        );
        self.showed = self.runs(real);
        self.since = real;
        (self.control, self.text) = (control, text);
        Ok(())
    }

    /// The steady clock without its offset.
    fn runs(&self, real: Now) -> Now {
        let passed = real.saturating_sub(self.since);
        match self.control.rate == 1.0 {
            true => self.showed + passed,
            false => self.showed + passed.mul_f64(self.control.rate),
        }
    }

    fn shows(&self, real: Now) -> Now {
        self.runs(real) + Duration::from_millis(self.control.steady_offset_ms)
    }

    /// By how many microseconds the wall clock is ahead.
    fn wall_ahead(&self, real: Now) -> i64 {
        let passed = real.saturating_sub(self.since).as_micros() as f64;
        let drifted = (passed * (self.control.rate - 1.0)) as i64;
        self.control.wall_offset_ms.saturating_mul(1000).saturating_add(drifted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A skew that is told something at ten seconds after the machine's start.
    struct Told {
        folder: tempfile::TempDir,
        skew: Skew,
    }

    impl Told {
        fn new() -> Told {
            let folder = tempfile::tempdir().expect("a folder");
            let skew = Skew::new(folder.path().join("clock"), 10 * SECOND);
            Told { folder, skew }
        }

        fn tell(&mut self, at: Duration, text: &str) -> Result<()> {
            fs::write(self.folder.path().join("clock"), text).expect("it is written");
            self.skew.look(at)
        }
    }

    #[test]
    fn a_clock_that_nobody_makes_wrong_shows_the_time() {
        let mut told = Told::new();
        told.skew.look(11 * SECOND).expect("there is no file");
        assert_eq!(
            (told.skew.shows(12 * SECOND), told.skew.wall_ahead(12 * SECOND)),
            (12 * SECOND, 0)
        );
        let clock = Clock::start(None).expect("a clock");
        let first = clock.now().expect("a time");
        assert!(first < SECOND && clock.now().expect("a time") >= first);
        assert_eq!(clock.until(Duration::ZERO).expect("a time"), Duration::ZERO);
    }

    #[test]
    fn a_rate_holds_from_when_it_is_told_and_the_steady_clock_never_goes_back() {
        let mut told = Told::new();
        told.tell(20 * SECOND, r#"{"version":1,"rate":0.25}"#).expect("a rate");
        assert_eq!(told.skew.shows(28 * SECOND), 22 * SECOND);
        assert_eq!(told.skew.wall_ahead(28 * SECOND), -6_000_000);
        told.tell(28 * SECOND, r#"{"version":1,"rate":4.0}"#).expect("a rate");
        assert_eq!(told.skew.shows(29 * SECOND), 26 * SECOND);
        told.tell(29 * SECOND, r#"{"version":1}"#).expect("healed");
        assert_eq!(told.skew.shows(29 * SECOND), 26 * SECOND);
        assert_eq!(told.skew.shows(30 * SECOND), 27 * SECOND);
        assert_eq!(told.skew.wall_ahead(30 * SECOND), 0, "the wall clock is set right");
    }

    #[test]
    fn offsets_move_the_wall_clock_to_and_fro_and_the_steady_clock_ahead_only() {
        let mut told = Told::new();
        let text = r#"{"version":1,"wall-offset-ms":-3600000,"steady-offset-ms":5000}"#;
        told.tell(20 * SECOND, text).expect("offsets");
        assert_eq!(told.skew.shows(21 * SECOND), 26 * SECOND);
        assert_eq!(told.skew.wall_ahead(21 * SECOND), -3_600_000_000);
        let error = told.tell(22 * SECOND, r#"{"version":1}"#).expect_err("it would go back");
        assert!(error.to_string().contains("a steady clock does not go back"), "{error}");
        let text = r#"{"version":1,"wall-offset-ms":1,"steady-offset-ms":5000}"#;
        told.tell(22 * SECOND, text).expect("offsets");
        assert_eq!(
            (told.skew.shows(22 * SECOND), told.skew.wall_ahead(22 * SECOND)),
            (27 * SECOND, 1000)
        );
    }

    #[test]
    fn nonsense_stops_the_node_with_the_reason() {
        for (text, reason) in [
            ("{}", "missing field `version`"),
            (r#"{"version":2}"#, "expected version 1, got 2"),
            (r#"{"version":1,"rate":0}"#, "expected a rate of 0.01 to 100"),
            (r#"{"version":1,"speed":2}"#, "unknown field `speed`"),
        ] {
            let error = format!("{:#}", Told::new().tell(SECOND, text).expect_err(text));
            assert!(error.contains(reason) && error.contains("--clock-control"), "{text}: {error}");
        }
    }
}
