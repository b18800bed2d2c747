//! Quantities of a suite: times, percents and rates, as text with a unit. They are checked when
//! they are read, so that an error stands at the quantity.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::scalar::as_text;

/// A span of time in whole milliseconds, written `500ms`, `3s`, `1.5s` or `1m`.
///
/// Milliseconds suffice: a schedule cannot be kept more exactly on a busy machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u32);

impl Time {
    /// No time.
    pub const ZERO: Time = Time(0);
    /// The longest time that can be written, far beyond every limit of a suite, so that sums of a
    /// few times cannot overflow.
    pub const MAX: Time = Time(24 * 60 * 60 * 1000);

    /// So many milliseconds, at most [`Time::MAX`].
    pub const fn from_millis(millis: u32) -> Time {
        if millis > Time::MAX.0 { Time::MAX } else { Time(millis) }
    }

    /// So many seconds, at most [`Time::MAX`].
    pub const fn from_secs(secs: u32) -> Time {
        Time::from_millis(secs.saturating_mul(1000))
    }

    /// In milliseconds.
    pub const fn as_millis(self) -> u32 {
        self.0
    }

    /// As the standard library has it.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0 as u64)
    }

    /// Whether it is no time at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, at most [`Time::MAX`].
    pub const fn plus(self, other: Time) -> Time {
        Time::from_millis(self.0.saturating_add(other.0))
    }

    /// The difference, at least zero.
    pub const fn minus(self, other: Time) -> Time {
        Time(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secs, millis) = (self.0 / 1000, self.0 % 1000);
        let text = match (secs, millis) {
            (0, 1..) => format!("{millis}ms"),
            (_, 0) => format!("{secs}s"),
            _ => format!("{secs}.{}s", format!("{millis:03}").trim_end_matches('0')),
        };
        f.pad(&text)
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || format!("expected a time such as `500ms`, `3s`, `1.5s` or `1m`, got `{text}`");
        let (number, unit) = split_unit(text).ok_or_else(expected)?;
        let per_unit: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(expected()),
        };
        let millis = scaled(number, per_unit).ok_or_else(expected)?;
        match millis {
            Scaled::Whole(millis) if millis <= u64::from(Time::MAX.0) => Ok(Time(millis as u32)),
            Scaled::Whole(_) => Err(format!("expected a time of at most 24 h, got `{text}`")),
            Scaled::Broken => Err(format!("expected whole milliseconds, got `{text}`")),
        }
    }
}

as_text!(Time);

/// A share in hundredths of a percent, from 0 to 100 %, written `80%` or `99.95%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u16);

impl Percent {
    /// All of it.
    pub const WHOLE: Percent = Percent(10_000);

    /// So many hundredths of a percent, at most [`Percent::WHOLE`].
    pub const fn from_hundredths(hundredths: u16) -> Percent {
        if hundredths > Percent::WHOLE.0 { Percent::WHOLE } else { Percent(hundredths) }
    }

    /// As a fraction, from 0 to 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        let text = match rest {
            0 => format!("{whole}%"),
            _ => format!("{whole}.{}%", format!("{rest:02}").trim_end_matches('0')),
        };
        f.pad(&text)
    }
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected a share from `0%` to `100%`, got `{text}`");
        let (number, unit) = split_unit(text).ok_or_else(expected)?;
        match (unit, scaled(number, 100)) {
            ("%", Some(Scaled::Whole(hundredths))) if hundredths <= 10_000 => {
                Ok(Percent(hundredths as u16))
            }
            ("%", Some(Scaled::Broken)) => {
                Err(format!("expected at most two digits after the point, got `{text}`"))
            }
            _ => Err(expected()),
        }
    }
}

as_text!(Percent);

/// How many operations the clients are asked for, all together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rate {
    /// So many each second, whether or not the target keeps up (an open loop). Written as a number.
    PerSecond(u32),
    /// As many as the clients can, each waiting for its answer (a closed loop). Written `max`.
    Max,
}

impl Rate {
    /// Operations per second; `None` is as fast as the clients can.
    pub fn per_second(self) -> Option<u32> {
        match self {
            Rate::PerSecond(rate) => Some(rate),
            Rate::Max => None,
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rate::PerSecond(rate) => rate.fmt(f),
            Rate::Max => f.pad("max"),
        }
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Rate::PerSecond(rate) => serializer.serialize_u32(*rate),
            Rate::Max => serializer.serialize_str("max"),
        }
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RateVisitor)
    }
}

struct RateVisitor;

impl Visitor<'_> for RateVisitor {
    type Value = Rate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("operations per second, such as `500`, or `max`")
    }

    fn visit_u64<E: Error>(self, rate: u64) -> Result<Rate, E> {
        // What does not fit is far above the limit that `validate` names.
        Ok(Rate::PerSecond(u32::try_from(rate).unwrap_or(u32::MAX)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Rate, E> {
        match text {
            "max" => Ok(Rate::Max),
            _ => Err(E::custom(format!(
                "expected operations per second, such as `500`, or `max`, got `{text}`"
            ))),
        }
    }
}

/// A number times the size of its unit.
enum Scaled {
    Whole(u64),
    /// Finer than the smallest part that is kept.
    Broken,
}

/// The number in front and the unit behind; `None` without either.
fn split_unit(text: &str) -> Option<(&str, &str)> {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(at);
    (!number.is_empty()).then_some((number, unit.trim_start()))
}

/// A decimal number times a unit, exactly; `None` when it is no number or far too large.
fn scaled(number: &str, per_unit: u64) -> Option<Scaled> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (number.contains('.') && fraction.is_empty()) || fraction.len() > 9 {
        return None;
    }
    let denominator = 10_u64.pow(fraction.len() as u32);
    let digits: u64 = format!("{whole}{fraction}").parse().ok()?;
    let product = digits.checked_mul(per_unit)?;
    Some(match product % denominator {
        0 => Scaled::Whole(product / denominator),
        _ => Scaled::Broken,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_what_it_writes_in_the_largest_fitting_unit() {
        for (text, millis, written) in [
            ("500ms", 500, "500ms"),
            ("3s", 3000, "3s"),
            ("1.5s", 1500, "1.5s"),
            ("1m", 60_000, "60s"),
            ("0s", 0, "0s"),
            ("1.050s", 1050, "1.05s"),
        ] {
            let time: Time = text.parse().unwrap();
            assert_eq!(time, Time::from_millis(millis), "{text}");
            assert_eq!(time.to_string(), written);
            assert_eq!(time.to_string().parse(), Ok(time));
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "3", "s", "-3s", "3 days", "1.s", ".s", "1.0005s", "25h", "1e3s", "1.2.3s"]
        {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_percent_stays_within_its_range() {
        assert_eq!("99.95%".parse(), Ok(Percent::from_hundredths(9995)));
        assert_eq!("100%".parse(), Ok(Percent::WHOLE));
        assert_eq!(Percent::from_hundredths(9990).to_string(), "99.9%");
        for text in ["101%", "-1%", "80", "80 percent", "99.999%"] {
            assert!(text.parse::<Percent>().is_err(), "{text}");
        }
    }
}
