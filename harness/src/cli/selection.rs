//! Which runs of a suite are run, beside `--only`: a share of them, or each many times.
//!
//! Both change the suite before it is planned, so that a canary keeps its control and calm run
//! wherever it goes, and every run is planned from its own name as ever.

use std::fmt;
use std::str::FromStr;

use crate::suite::{Suite, limits};

/// One of several machines that share a suite, written `2/5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    /// Which one, from one.
    number: usize,
    /// Of how many.
    of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let parsed = parts.and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parsed {
            Some((number, of)) if 1 <= number && number <= of => Ok(Shard { number, of }),
            _ => Err(format!("expected a shard such as `2/5`, the second of five, got `{text}`")),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl Shard {
    /// The runs of a suite that are this machine's: every so many, so that neighbors, which are
    /// often alike, go to different ones.
    ///
    /// # Errors
    ///
    /// In words, when none is: a machine that runs nothing would look like one that passed.
    pub(super) fn of(self, suite: &Suite) -> Result<Suite, String> {
        let runs = suite.runs.iter().skip(self.number - 1).step_by(self.of).cloned();
        let runs: Vec<_> = runs.collect();
        if runs.is_empty() {
            return Err(format!(
                "error: shard {self} of the suite `{}` holds no run: it has {}\n  = help: use at \
                 most as many shards as runs",
                suite.suite,
                suite.runs.len()
            ));
        }
        Ok(Suite { runs, ..suite.clone() })
    }
}

/// A suite with every run so many times, under names with a number behind. Each is planned from
/// its name, so that what chance decides differs; a run with a seed of its own keeps it.
///
/// # Errors
///
/// In words, when these are more runs than a suite may have.
pub(super) fn repeated(suite: &Suite, times: u32) -> Result<Suite, String> {
    if times == 1 {
        return Ok(suite.clone());
    }
    let most = limits::RUNS_MAX / suite.runs.len().max(1);
    if times as usize > most {
        return Err(format!(
            "error: {times} times {} runs are more than the {} of a suite\n  = help: repeat at \
             most {most} times, or fewer runs with --only",
            suite.runs.len(),
            limits::RUNS_MAX
        ));
    }
    let digits = times.to_string().len();
    let mut runs = Vec::new();
    for run in &suite.runs {
        // With its number the name must still be one that a suite may give.
        let base: String = run.name.chars().take(limits::NAME_MAX - digits - 1).collect();
        for number in 1..=times {
            let mut run = run.clone();
            run.name = format!("{base}-{number:0digits$}");
            runs.push(run);
        }
    }
    Ok(Suite { runs, ..suite.clone() })
}

#[cfg(test)]
mod tests {
    use splitbrain_workloads::seed::Seed;

    use super::*;
    use crate::suite::tests::kinds;
    use crate::suite::{self, plan};

    fn builtin() -> Suite {
        let (name, text) = suite::builtin();
        suite::parse(name, text, &kinds()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn names(suite: &Suite) -> Vec<String> {
        let runs = plan::expand(suite, &kinds(), Seed(1), None).unwrap();
        runs.into_iter().map(|run| run.name).collect()
    }

    #[test]
    fn all_shards_together_are_the_suite_with_the_same_plans() {
        let whole = builtin();
        for of in 1..=whole.runs.len() {
            let mut runs = Vec::new();
            for number in 1..=of {
                let shard = Shard { number, of }.of(&whole).unwrap();
                assert!(!shard.runs.is_empty());
                runs.extend(plan::expand(&shard, &kinds(), Seed(1), None).unwrap());
            }
            let planned = plan::expand(&whole, &kinds(), Seed(1), None).unwrap();
            for run in &planned {
                assert!(runs.contains(run), "{} of {of}", run.name);
            }
        }
        assert!(Shard { number: 99, of: 99 }.of(&whole).unwrap_err().contains("holds no run"));
    }

    #[test]
    fn a_canary_goes_with_its_twins_wherever_it_goes() {
        let whole = builtin();
        let last = Shard { number: whole.runs.len(), of: whole.runs.len() };
        let names = names(&last.of(&whole).unwrap());
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(names[1].ends_with("-control") && names[2].ends_with("-calm"), "{names:?}");
    }

    #[test]
    fn what_is_no_shard_is_refused() {
        assert_eq!("2/5".parse(), Ok(Shard { number: 2, of: 5 }));
        for text in ["", "2", "0/5", "6/5", "a/b", "1/0", "-1/2", "1/2/3"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }

    #[test]
    fn repetitions_have_names_and_plans_of_their_own() {
        let whole = builtin();
        let twice = repeated(&whole, 12).unwrap();
        assert_eq!(twice.runs.len(), 12 * whole.runs.len());
        assert_eq!(twice.runs[0].name, format!("{}-01", whole.runs[0].name));
        let runs = plan::expand(&twice, &kinds(), Seed(1), None).unwrap();
        let mut seeds: Vec<u64> = runs.iter().map(|run| run.seed.0).collect();
        seeds.sort();
        seeds.dedup();
        assert!(seeds.len() >= twice.runs.len(), "a seed of its own for each");
        assert_eq!(repeated(&whole, 1).unwrap(), whole);
        assert!(repeated(&whole, 10_000).unwrap_err().contains("repeat at most"));
    }
}
