//! Does a plan still fail, when failing is a matter of chance?
//!
//! Wald's sequential probability ratio test ("Sequential Tests of Statistical Hypotheses", Annals
//! of Mathematical Statistics 16, 1945) between two rates: the plan fails at least as often as
//! demanded, or so rarely that it is of no use. It decides as early as the runs allow: a plan that
//! always fails is believed after one run, one that never does is given up after two; a failure
//! that happens in one run of four takes some ten runs to be ruled out.

/// Which share of the original's rate a smaller plan must reach. Some is given away, or a plan as
/// good as the original would be turned down every other time.
const DEMANDED: f64 = 0.8;

/// The highest rate demanded: a plan that fails nine times of ten is as good as any.
const DEMANDED_MAX: f64 = 0.9;

/// The lowest rate demanded; for less often, a single trial would take hundreds of runs.
const DEMANDED_MIN: f64 = 0.05;

/// How many times rarer a failure must be than demanded to be of no use.
const USELESS: f64 = 6.0;

/// How likely each of the two mistakes may be: that a plan which fails as often as demanded is
/// turned down, which costs a larger result; and that one of no use is accepted, which the
/// measured rate of the result shows. Wald's bounds keep each below this over one minus this, so
/// below 18 %.
const MISTAKE: f64 = 0.15;

/// Runs of one trial at most. The test ends by itself with probability one, but may take long
/// between the two rates; what has not been believed by then is not.
const RUNS_MAX: u32 = 100;

/// The trial of one plan.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    demanded: f64,
    /// The logarithm of the ratio of the two likelihoods of what was seen.
    evidence: f64,
    runs: u32,
}

impl Trial {
    /// A trial against a plan that fails at this rate, from 0 to 1.
    pub fn new(original: f64) -> Trial {
        let demanded = (original * DEMANDED).clamp(DEMANDED_MIN, DEMANDED_MAX);
        Trial { demanded, evidence: 0.0, runs: 0 }
    }

    /// Takes the outcome of one run. The answer, once there is one, is whether the plan is
    /// believed to fail as often as demanded.
    pub fn observe(&mut self, failed: bool) -> Option<bool> {
        let useless = self.demanded / USELESS;
        self.runs += 1;
        self.evidence += match failed {
            true => (self.demanded / useless).ln(),
            false => ((1.0 - self.demanded) / (1.0 - useless)).ln(),
        };
        let bound = ((1.0 - MISTAKE) / MISTAKE).ln();
        if self.evidence >= bound {
            Some(true)
        } else if self.evidence <= -bound || self.runs >= RUNS_MAX {
            Some(false)
        } else {
            None
        }
    }

    /// How many runs it has seen.
    pub fn runs(&self) -> u32 {
        self.runs
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use splitbrain_workloads::seed::Seed;

    use super::*;

    /// The share of trials that believe in a plan which fails at a rate, and their mean length.
    fn believed(original: f64, rate: f64) -> (f64, f64) {
        let mut rng = Seed(11).stream("trials");
        let (mut believed, mut runs) = (0.0, 0.0);
        for _ in 0..2000 {
            let mut trial = Trial::new(original);
            let answer = loop {
                if let Some(answer) = trial.observe(rng.random_bool(rate)) {
                    break answer;
                }
            };
            believed += f64::from(u8::from(answer));
            runs += f64::from(trial.runs());
        }
        (believed / 2000.0, runs / 2000.0)
    }

    #[test]
    fn what_always_or_never_fails_is_decided_in_one_or_two_runs() {
        assert_eq!(Trial::new(1.0).observe(true), Some(true));
        let mut never = Trial::new(1.0);
        assert_eq!(never.observe(false), None);
        assert_eq!(never.observe(false), Some(false));
    }

    #[test]
    fn the_mistakes_are_as_rare_as_promised_at_every_rate() {
        for original in [1.0, 0.7, 0.5, 0.25, 0.1] {
            let demanded = (original * DEMANDED).min(DEMANDED_MAX);
            let (good, runs) = believed(original, demanded);
            // Three standard deviations of a share of 2000 beside Wald's bound.
            let promised = MISTAKE / (1.0 - MISTAKE) + 0.026;
            assert!(good >= 1.0 - promised, "{original}: {good} believed");
            let (useless, _) = believed(original, demanded / USELESS);
            assert!(useless <= promised, "{original}: {useless} believed");
            assert!(runs < 4.0 / original, "{original}: {runs} runs");
        }
    }

    #[test]
    fn a_trial_ends() {
        let mut trial = Trial::new(0.0);
        let answers = (0..RUNS_MAX).filter_map(|_| trial.observe(false));
        assert_eq!(answers.last(), Some(false));
    }
}
