//! The `set` workload: adds of unique elements, now and then a read of all, and reads of all at
//! the end. An element `e` is the key `s/<e>` holding `e`, so any store with a write and an atomic
//! list has a set. Called through `workload`.

use serde::{Deserialize, Serialize};

use super::Generator;
use crate::checker::{self, Checker};
use crate::operation::{ClientId, Consistency, Key, Op, Outcome, Value};

/// The name in suites and headers.
pub(super) const NAME: &str = "set";

/// What clients do, in one line.
pub(super) const SUMMARY: &str = "adds of unique elements, now and then a read of all";

/// What must hold of a history of a set.
pub(super) const CHECKERS: &[Checker] = &[
    Checker { name: "linearizable", check: checker::linearizable::check_set },
    Checker { name: "lost-write", check: checker::lost_write::check_set },
    Checker { name: "agreement", check: checker::agreement::check },
];

/// The common beginning of the keys of all elements.
const PREFIX: &str = "s/";

/// Parameters of the `set` workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SetSpec {
    /// How many reads of all there are at most while clients work. Each is as long as the set, so
    /// a fixed number keeps the history's size linear in its operations.
    pub lists: u32,
    /// Elements added at most; after that clients read the lists that are left, and nobody writes.
    /// Bounds the size of one list.
    pub elements: u32,
}

impl Default for SetSpec {
    fn default() -> Self {
        SetSpec { lists: 20, elements: 50_000 }
    }
}

/// One list of a million elements is a line of some eight megabytes, half of what a history's line
/// may hold.
const ELEMENTS_MAX: u32 = 1_000_000;

/// Lists grow with the set; more of them than this make a history of lists.
const LISTS_MAX: u32 = 1_000;

/// How many elements are added before the first list.
const FIRST_LIST: f64 = 25.0;

/// How many elements are added between two lists, at least. Were it one, adds and lists would come
/// by turns, and where two nodes are left to ask, one might get all the adds and one all the lists.
const BETWEEN_LISTS: f64 = 4.0;

impl SetSpec {
    pub(super) fn describe(&self) -> String {
        format!("set, up to {} elements", self.elements)
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        if self.elements == 0 || self.elements > ELEMENTS_MAX {
            return Err(format!(
                "elements: expected 1 to {ELEMENTS_MAX} (a list of all is one answer), got {}",
                self.elements
            ));
        }
        if self.lists > LISTS_MAX {
            return Err(format!(
                "lists: expected at most {LISTS_MAX} (each is as long as the set), got {}",
                self.lists
            ));
        }
        Ok(())
    }

    pub(super) fn generator(&self) -> SetGenerator {
        // A run's duration is not known here, so the lists are spread by ratio: each comes when
        // the set is so much larger than at the one before, and the last one when it is full. All
        // of them together are then a small multiple of the largest in size, and a run of any
        // length gets its share.
        let span = (f64::from(self.elements) / FIRST_LIST).max(1.0);
        let ratio = span.powf(1.0 / f64::from(self.lists.saturating_sub(1).max(1)));
        SetGenerator {
            elements: self.elements,
            lists_left: self.lists,
            next_element: 1,
            list_at: FIRST_LIST,
            ratio,
        }
    }
}

/// The read of all of the set.
pub(super) fn list_of_all(consistency: Consistency) -> Op {
    Op::List { prefix: Key::new(PREFIX), consistency }
}

/// The generator of the `set` workload. It has nothing random in it.
pub(super) struct SetGenerator {
    elements: u32,
    lists_left: u32,
    next_element: u32,
    list_at: f64,
    ratio: f64,
}

impl Generator for SetGenerator {
    fn next(&mut self, _client: ClientId) -> Option<Op> {
        let added = self.next_element - 1;
        let full = added >= self.elements;
        if self.lists_left > 0 && (full || f64::from(added) >= self.list_at) {
            self.lists_left -= 1;
            self.list_at = (self.list_at * self.ratio).max(f64::from(added) + BETWEEN_LISTS);
            return Some(list_of_all(Consistency::Linearizable));
        }
        if full {
            return None;
        }
        let element = self.next_element;
        self.next_element += 1;
        // Padded, so that the order of the keys is the order of the numbers.
        let key = Key::new(format!("{PREFIX}{element:010}"));
        Some(Op::Write { key, value: Value(i64::from(element)) })
    }

    fn completed(&mut self, _client: ClientId, _op: &Op, _outcome: &Outcome) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes of the set at which it was listed, and how many elements were added in all.
    fn lists_of(spec: &SetSpec) -> (Vec<u32>, u32) {
        let mut generator = spec.generator();
        let (mut lists, mut added) = (Vec::new(), 0);
        while let Some(op) = generator.next(ClientId(0)) {
            match op {
                Op::Write { value, .. } => {
                    added += 1;
                    assert_eq!(value, Value(i64::from(added)));
                }
                Op::List { .. } => lists.push(added),
                other => panic!("the set workload does not {other}"),
            }
        }
        (lists, added)
    }

    #[test]
    fn lists_are_spread_by_ratio_and_stay_linear_in_the_elements() {
        let (lists, added) = lists_of(&SetSpec::default());
        assert_eq!(added, 50_000);
        assert!((18..=20).contains(&lists.len()), "{lists:?}");
        assert!(lists.iter().filter(|size| **size < 5_000).count() >= 10, "{lists:?}");
        assert!(lists.iter().sum::<u32>() < 4 * 50_000, "{lists:?}");
    }

    #[test]
    fn any_number_of_lists_and_elements_comes_to_an_end() {
        for (lists, elements) in [(0, 10), (1, 1), (1, 100), (1000, 30), (1000, 3000)] {
            let (seen, added) = lists_of(&SetSpec { lists, elements });
            assert_eq!(added, elements);
            assert!(seen.len() <= lists as usize);
        }
    }

    #[test]
    fn when_all_elements_are_added_the_lists_that_are_left_are_read() {
        let (seen, _) = lists_of(&SetSpec { lists: 1000, elements: 30 });
        assert_eq!(seen.len(), 1000);
        assert_eq!(seen[..2], [25, 29]);
        assert_eq!(seen[2..], [30; 998]);
    }

    #[test]
    fn the_order_of_keys_is_the_order_of_elements() {
        let mut generator = SetSpec::default().generator();
        let keys: Vec<Key> =
            (0..20).map(|_| generator.next(ClientId(0)).expect("not full").key().clone()).collect();
        assert!(keys.is_sorted());
        assert_eq!(keys[16].as_str(), "s/0000000017");
    }

    #[test]
    fn nonsense_is_refused_with_the_field() {
        insta::assert_snapshot!(
            SetSpec { elements: 0, ..Default::default() }.validate().unwrap_err(),
            @"elements: expected 1 to 1000000 (a list of all is one answer), got 0"
        );
        assert!(SetSpec { lists: 1001, ..Default::default() }.validate().is_err());
    }
}
