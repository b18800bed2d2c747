//! The smallest number with which something still fails, roughly.
//!
//! The smallest possible is tried first, for often it does; then halves of what lies between. That
//! less is never worse is taken for granted, which holds well enough for clients and keys, and the
//! search stops within a quarter: exactness costs runs and tells nobody anything.

/// A search for a smallest number.
#[derive(Clone, Debug)]
pub(super) struct Bisect {
    floor: u64,
    /// The smallest known to fail.
    fails: u64,
    /// The largest known not to; `None` before the floor was tried.
    holds: Option<u64>,
    open: Option<u64>,
}

impl Bisect {
    /// A search between the smallest number possible and one known to fail.
    pub(super) fn new(floor: u64, fails: u64) -> Bisect {
        Bisect { floor, fails, holds: None, open: None }
    }

    /// The next number to try; `None` at the end.
    pub(super) fn propose(&mut self) -> Option<u64> {
        if self.open.is_none() {
            self.open = match self.holds {
                None => (self.floor < self.fails).then_some(self.floor),
                Some(holds) => {
                    let enough = (self.fails / 4).max(1);
                    let between = self.fails.saturating_sub(holds);
                    (between > enough).then(|| holds + between / 2)
                }
            };
        }
        self.open
    }

    /// Says whether the proposed number fails.
    pub(super) fn answer(&mut self, fails: bool) {
        match (self.open.take(), fails) {
            (Some(number), true) => self.fails = number,
            (Some(number), false) => self.holds = Some(number),
            (None, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(floor: u64, from: u64, needed: u64) -> (u64, usize) {
        let mut bisect = Bisect::new(floor, from);
        let mut asked = 0;
        while let Some(number) = bisect.propose() {
            assert!((floor..from).contains(&number));
            asked += 1;
            bisect.answer(number >= needed);
        }
        (bisect.fails, asked)
    }

    #[test]
    fn it_ends_within_a_quarter_of_what_is_needed_after_few_questions() {
        assert_eq!(search(1, 10, 1), (1, 1), "the floor is tried first");
        assert_eq!(search(1, 1, 1), (1, 0), "nothing to try");
        assert_eq!(search(5, 3, 3), (3, 0), "already below the floor");
        for needed in 2..=500 {
            let (found, asked) = search(1, 500, needed);
            assert!(found >= needed && found * 3 <= needed * 4 + 4, "{needed}: {found}");
            assert!(asked <= 10, "{needed}: {asked}");
        }
    }
}
