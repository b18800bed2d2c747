//! How numbers become words: one way for each unit, used by every report and progress line.
//!
//! Nothing else in the project formats a duration, a count or a share for people.

use splitbrain_workloads::history::Micros;

/// A length of time: `0.4 ms`, `412 ms`, `1.01 s`, `61.2 s`, `3m 04s`.
pub fn duration(length: Micros) -> String {
    let us = length.0;
    // The limits are where the shorter form would round up to a number it has no room for.
    match us {
        0..9_950 => format!("{:.1} ms", us as f64 / 1e3),
        9_950..999_500 => format!("{:.0} ms", us as f64 / 1e3),
        999_500..9_995_000 => format!("{:.2} s", length.as_secs_f64()),
        9_995_000..119_950_000 => format!("{:.1} s", length.as_secs_f64()),
        _ => {
            let seconds = (us + 500_000) / 1_000_000;
            format!("{}m {:02}s", seconds / 60, seconds % 60)
        }
    }
}

/// How long after something: `at once` for what was so already, otherwise as [`duration`].
pub fn after(length: Micros) -> String {
    match length.0 {
        0..50 => "at once".to_string(),
        _ => duration(length),
    }
}

/// A point in time since the start of the run, to the millisecond: `14.970 s`.
pub fn moment(at: Micros) -> String {
    format!("{:.3} s", at.as_secs_f64())
}

/// A stretch between two points in time: `2.104 – 5.201 s`.
pub fn stretch(from: Micros, to: Micros) -> String {
    format!("{:.3} – {:.3} s", from.as_secs_f64(), to.as_secs_f64())
}

/// A number of things, its thousands set apart: `45 106`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number of things by name: `1 fault`, `3 faults`. The plural is the noun with an `s`.
pub fn counted(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{} {noun}s", count(number)) }
}

/// A share in percent with one digit, rounded down, so that `100.0 %` means all of them.
/// `None` when there was nothing to take a share of.
pub fn percent(part: u64, whole: u64) -> Option<String> {
    if whole == 0 {
        return None;
    }
    let tenths = u128::from(part) * 1000 / u128::from(whole);
    Some(format!("{}.{} %", tenths / 10, tenths % 10))
}

/// How many in a second, `0` below one in two seconds: `379/s`.
pub fn rate(number: u64, over: Micros) -> String {
    if over.0 == 0 {
        return "-".to_string();
    }
    format!("{}/s", count((number as f64 / over.as_secs_f64()).round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_the_digits_its_size_deserves() {
        let cases = [
            (0, "0.0 ms"),
            (412, "0.4 ms"),
            (9_949, "9.9 ms"),
            (9_950, "10 ms"),
            (412_300, "412 ms"),
            (999_499, "999 ms"),
            (999_500, "1.00 s"),
            (1_012_000, "1.01 s"),
            (9_995_000, "10.0 s"),
            (61_240_000, "61.2 s"),
            (184_000_000, "3m 04s"),
        ];
        for (us, expected) in cases {
            assert_eq!(duration(Micros(us)), expected, "{us} us");
        }
    }

    #[test]
    fn counts_are_grouped_and_nouns_follow_the_number() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(45_106), "45 106");
        assert_eq!(count(1_234_567), "1 234 567");
        assert_eq!(counted(1, "fault"), "1 fault");
        assert_eq!(counted(0, "fault"), "0 faults");
        assert_eq!(counted(1_200, "fault"), "1 200 faults");
    }

    #[test]
    fn a_share_never_rounds_up_to_all() {
        assert_eq!(percent(9_999, 10_000).unwrap(), "99.9 %");
        assert_eq!(percent(3, 3).unwrap(), "100.0 %");
        assert_eq!(percent(0, 7).unwrap(), "0.0 %");
        assert_eq!(percent(0, 0), None);
    }

    #[test]
    fn moments_and_rates_have_one_form() {
        assert_eq!(moment(Micros(14_970_400)), "14.970 s");
        assert_eq!(stretch(Micros(2_104_000), Micros(5_201_000)), "2.104 – 5.201 s");
        assert_eq!(rate(3_790, Micros(10_000_000)), "379/s");
        assert_eq!(rate(1, Micros(0)), "-");
    }
}
