//! Delta debugging: the smallest part of a list that still shows a failure.
//!
//! The algorithm ddmin of Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing
//! Input", IEEE Transactions on Software Engineering 28 (2002), turned inside out: it proposes a
//! part and is told whether that part fails, so that whoever asks can take as long as it likes.
//! What it ends with is 1-minimal if the answers were right: no single element can be left out.

use std::collections::BTreeSet;

/// A search for a smallest failing part.
#[derive(Clone, Debug)]
pub struct Ddmin<T> {
    /// The smallest part known to fail.
    kept: Vec<T>,
    /// Into how many parts it is divided.
    parts: usize,
    /// Which part is next: first each alone, then all but each.
    next: usize,
    /// Everything asked so far; a part is asked for once.
    asked: BTreeSet<Vec<T>>,
    /// The part that waits for its answer, and how many parts to divide it into if it fails.
    open: Option<(Vec<T>, usize)>,
}

impl<T: Clone + Ord> Ddmin<T> {
    /// A search in a list that is known to fail.
    pub fn new(all: Vec<T>) -> Ddmin<T> {
        Ddmin { kept: all, parts: 2, next: 0, asked: BTreeSet::new(), open: None }
    }

    /// The smallest part known to fail.
    pub fn kept(&self) -> &[T] {
        &self.kept
    }

    /// The next part to try; `None` when nothing smaller is left to try. The same until it is
    /// answered.
    pub fn propose(&mut self) -> Option<Vec<T>> {
        while self.open.is_none() {
            let (part, parts) = self.following()?;
            if self.asked.insert(part.clone()) {
                self.open = Some((part, parts));
            }
        }
        self.open.as_ref().map(|(part, _)| part.clone())
    }

    /// Says whether the proposed part fails.
    pub fn answer(&mut self, fails: bool) {
        let Some((part, parts)) = self.open.take() else { return };
        if fails {
            (self.kept, self.parts, self.next) = (part, parts, 0);
        }
    }

    fn following(&mut self) -> Option<(Vec<T>, usize)> {
        let length = self.kept.len();
        if length <= 1 {
            // ddmin never asks whether nothing at all fails, for an empty input cannot. A run
            // without faults can.
            return (length == 1 && !self.asked.contains(&Vec::new())).then(|| (Vec::new(), 2));
        }
        loop {
            let parts = self.parts.min(length);
            let number = self.next;
            self.next += 1;
            let bounds = |part: usize| part * length / parts..(part + 1) * length / parts;
            if number < parts {
                return Some((self.kept[bounds(number)].to_vec(), 2));
            }
            // Of two halves each is the rest of the other.
            if number < 2 * parts && parts > 2 {
                let without = bounds(number - parts);
                let rest = [&self.kept[..without.start], &self.kept[without.end..]].concat();
                return Some((rest, (parts - 1).max(2)));
            }
            if parts == length {
                return None;
            }
            (self.parts, self.next) = ((parts * 2).min(length), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches with an oracle; returns what is left and how often was asked.
    fn search(all: u32, fails: impl Fn(&[u32]) -> bool) -> (Vec<u32>, usize) {
        let mut ddmin = Ddmin::new((0..all).collect());
        let mut asked = 0;
        while let Some(part) = ddmin.propose() {
            asked += 1;
            ddmin.answer(fails(&part));
        }
        (ddmin.kept().to_vec(), asked)
    }

    #[test]
    fn one_culprit_is_found_in_about_twice_the_logarithm() {
        for culprit in 0..32 {
            let (kept, asked) = search(32, |part| part.contains(&culprit));
            assert_eq!(kept, [culprit]);
            assert!(asked <= 11, "{culprit}: {asked}");
        }
    }

    #[test]
    fn several_culprits_far_apart_are_all_kept_and_nothing_else() {
        let needed = [3, 17, 28];
        let (kept, asked) = search(30, |part| needed.iter().all(|one| part.contains(one)));
        assert_eq!(kept, needed);
        assert!(asked < 90, "{asked}");
    }

    #[test]
    fn when_everything_is_needed_everything_is_kept() {
        let (kept, asked) = search(8, |part| part.len() == 8);
        assert_eq!(kept.len(), 8);
        assert!(asked <= 8 * 8 + 3 * 8, "the published bound: {asked}");
    }

    #[test]
    fn what_fails_without_any_ends_with_none() {
        assert_eq!(search(9, |_| true).0, Vec::<u32>::new());
        assert_eq!(search(1, |part| part.len() == 1).0, [0]);
        assert_eq!(search(0, |_| true), (Vec::new(), 0));
    }

    #[test]
    fn no_part_is_asked_for_twice_and_an_open_question_is_repeated() {
        let mut ddmin = Ddmin::new((0..12).collect());
        let mut asked = BTreeSet::new();
        while let Some(part) = ddmin.propose() {
            assert_eq!(ddmin.propose().as_ref(), Some(&part));
            assert!(asked.insert(part.clone()), "{part:?} twice");
            ddmin.answer(part.contains(&2) && part.contains(&9));
        }
        assert_eq!(ddmin.kept(), [2, 9]);
    }
}
