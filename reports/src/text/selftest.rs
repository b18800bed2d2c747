//! The text of `splitbrain selftest`: how often each store that is broken on purpose was caught.

use splitbrain_workloads::history::Micros;
use splitbrain_workloads::verdict::AnomalyKind;

use super::{Style, next, table, theme};
use crate::measure::rate::{self, Share};
use crate::units;

/// A store that is broken on purpose, run many times beside a whole one.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The name of its run in the suite.
    pub name: String,
    /// What must be found.
    pub expected: AnomalyKind,
    /// In how many of the decided runs it was found.
    pub caught: Share,
    /// How many runs decided nothing.
    pub undecided: u64,
    /// When the first anomaly of each caught run began, from the start of the load.
    pub after: Vec<Micros>,
    /// In how many runs the whole store was accused.
    pub accused: Share,
}

/// What a selftest came to for one broken store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// Caught often enough, and the whole store was never accused.
    Enough,
    /// Not caught often enough, or the whole store was accused.
    TooLittle,
    /// No run decided anything.
    Unknown,
}

impl Broken {
    /// Holds the rate against the least that is asked for, in percent.
    pub fn power(&self, at_least: u64) -> Power {
        let caught_enough = self.caught.hits * 100 >= at_least * self.caught.of;
        match (self.accused.hits, self.caught.of, self.accused.of) {
            (1.., _, _) => Power::TooLittle,
            (0, 1.., _) if !caught_enough => Power::TooLittle,
            (0, 0, _) | (0, _, 0) => Power::Unknown,
            _ => Power::Enough,
        }
    }
}

/// All of them.
#[derive(Clone, Copy, Debug)]
pub struct Selftest<'a> {
    /// How many runs of each were asked for.
    pub asked: u64,
    /// How many were at work at a time.
    pub at_a_time: u64,
    /// The least share of runs that must catch a broken store, in percent.
    pub at_least: u64,
    /// What came of each.
    pub stores: &'a [Broken],
    /// The exit code, and why.
    pub exit: (u8, &'a str),
}

/// The table, and what is wrong in it.
pub fn selftest(selftest: &Selftest<'_>, style: &Style) -> String {
    let Selftest { asked, at_a_time, at_least, stores, exit } = selftest;
    let stores_counted = units::counted(stores.len() as u64, "broken store");
    let runs = units::counted(*asked, "run");
    let head = format!(
        "{stores_counted}, {runs} of each, {at_a_time} at a time; at least {at_least} % must catch it"
    );
    let mut lines = table::wrapped("SELFTEST  ", &head);
    let rows: Vec<Vec<String>> = stores.iter().map(|broken| row(broken, *at_least)).collect();
    let header = ["store", "expected", "caught", "95 % interval", "after", "accused", ""];
    lines.push(String::new());
    lines.extend(table::blank(&header, &rows, &[2, 3, 4, 5], 0));
    let note = "after: from the start of the load to the first anomaly, median of the caught runs; \
                accused: runs of the whole store under the same plan in which anything was found";
    lines.push(String::new());
    lines.extend(table::wrapped("  ", note));
    lines.extend(next::exit(exit.0, exit.1));
    theme::finish(&lines, style)
}

fn row(broken: &Broken, at_least: u64) -> Vec<String> {
    let (low, high) = broken.caught.interval();
    let after = rate::median(broken.after.clone());
    let word = match (broken.power(at_least), broken.undecided) {
        (Power::TooLittle, _) if broken.accused.hits > 0 => "WRONG".to_string(),
        (Power::TooLittle, _) => "MISSED".to_string(),
        (Power::Unknown, _) => "NOT DECIDED".to_string(),
        (Power::Enough, 0) => String::new(),
        (Power::Enough, undecided) => format!("{undecided} not decided"),
    };
    vec![
        broken.name.clone(),
        broken.expected.to_string(),
        format!("{} of {}", broken.caught.hits, broken.caught.of),
        format!("{:.0}-{:.0} %", low * 100.0, high * 100.0),
        after.map_or("-".to_string(), units::duration),
        format!("{} of {}", broken.accused.hits, broken.accused.of),
        word,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(name: &str, caught: (u64, u64), accused: (u64, u64), undecided: u64) -> Broken {
        Broken {
            name: name.to_string(),
            expected: AnomalyKind::LostWrite,
            caught: Share { hits: caught.0, of: caught.1 },
            undecided,
            after: (1..=caught.0).map(|n| Micros(n * 700_000)).collect(),
            accused: Share { hits: accused.0, of: accused.1 },
        }
    }

    #[test]
    fn the_rates_stand_in_a_table_with_what_is_wrong_behind_them() {
        let stores = [
            broken("acknowledge-before-replication", (20, 20), (0, 1), 0),
            broken("elect-by-half", (19, 20), (0, 1), 0),
            broken("accept-lower-epoch", (9, 20), (0, 1), 0),
            broken("redis-sentinel", (20, 20), (1, 1), 0),
            broken("mysql-async", (17, 17), (0, 1), 3),
            broken("vote-twice", (0, 0), (0, 1), 20),
        ];
        let exit = (1, "a violation was proven, a gate was broken, or a canary stayed green");
        let printed = Selftest { asked: 20, at_a_time: 2, at_least: 90, stores: &stores, exit };
        insta::assert_snapshot!(selftest(&printed, &Style::default()));
    }

    #[test]
    fn a_store_that_is_caught_seldom_or_a_whole_one_that_is_accused_is_too_little() {
        let power = |caught, accused| broken("x", caught, accused, 0).power(90);
        assert_eq!(power((18, 20), (0, 1)), Power::Enough);
        assert_eq!(power((17, 20), (0, 1)), Power::TooLittle);
        assert_eq!(power((20, 20), (1, 1)), Power::TooLittle);
        assert_eq!(power((0, 0), (0, 1)), Power::Unknown);
        assert_eq!(power((20, 20), (0, 0)), Power::Unknown);
    }
}
