//! Sets of GTIDs: what a node has executed, what its log has let go of, what a follower lacks.
//!
//! Written as MySQL writes `Executed_Gtid_Set`, sources in the order of claims and intervals
//! ascending: `n1@1:1-17:20,n2@2:18-19`. A log's set has one interval per leadership, since a
//! leader appends without gaps.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::entry::{Claim, EntryId};
use super::gtid::Source;

/// First and last sequence, both included.
type Interval = (u64, u64);

/// A set of GTIDs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GtidSet {
    /// Of each source its intervals, ascending, neither overlapping nor adjacent. No source is
    /// without one.
    sources: BTreeMap<Claim, Vec<Interval>>,
}

impl GtidSet {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Whether it holds an entry's GTID.
    pub fn contains(&self, id: EntryId) -> bool {
        let intervals = self.sources.get(&id.claim).map_or(&[][..], Vec::as_slice);
        let before = intervals.partition_point(|(_, last)| *last < id.index);
        intervals.get(before).is_some_and(|(first, _)| *first <= id.index)
    }

    /// Adds a source's sequences from the first to the last. Nothing if the last is less.
    pub fn insert(&mut self, source: Claim, first: u64, last: u64) {
        if first > last {
            return;
        }
        let intervals = self.sources.entry(source).or_default();
        // Those that overlap the new one or touch it become one with it.
        let from = intervals.partition_point(|(_, end)| end.saturating_add(1) < first);
        let to = intervals.partition_point(|(begin, _)| *begin <= last.saturating_add(1));
        let joined = intervals[from..to].iter();
        let whole = joined.fold((first, last), |all, one| (all.0.min(one.0), all.1.max(one.1)));
        intervals.splice(from..to, [whole]);
    }

    /// Adds all that another set holds.
    pub fn union(&mut self, other: &GtidSet) {
        for (source, intervals) in &other.sources {
            for (first, last) in intervals {
                self.insert(*source, *first, *last);
            }
        }
    }

    /// Whether another set holds all of it.
    pub fn is_subset(&self, other: &GtidSet) -> bool {
        self.sources.iter().all(|(source, intervals)| {
            // A whole interval must lie in one of the other's: those never touch.
            let others = other.sources.get(source).map_or(&[][..], Vec::as_slice);
            intervals.iter().all(|(first, last)| {
                let before = others.partition_point(|(_, end)| end < last);
                others.get(before).is_some_and(|(begin, _)| begin <= first)
            })
        })
    }
}

impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (source, intervals)) in self.sources.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{}", Source(*source))?;
            for (first, last) in intervals {
                write!(f, ":{first}")?;
                if last > first {
                    write!(f, "-{last}")?;
                }
            }
        }
        Ok(())
    }
}

impl FromStr for GtidSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut set = GtidSet::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            add(&mut set, part).ok_or_else(|| {
                format!("expected GTIDs such as \"n1@1:1-17:20,n2@2:18\", got \"{part}\"")
            })?;
        }
        Ok(set)
    }
}

/// Adds a source with its intervals; `None` if the text is none.
fn add(set: &mut GtidSet, part: &str) -> Option<()> {
    let (source, intervals) = part.split_once(':')?;
    let Source(claim) = source.parse().ok()?;
    for interval in intervals.split(':') {
        let (first, last) = interval.split_once('-').unwrap_or((interval, interval));
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        (0 < first && first <= last).then(|| set.insert(claim, first, last))?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    use super::super::NodeId;
    use super::*;

    fn id((epoch, leader, index): (u64, u16, u64)) -> EntryId {
        EntryId { claim: Claim { epoch, leader: NodeId(leader) }, index }
    }

    fn set(ids: &BTreeSet<(u64, u16, u64)>) -> GtidSet {
        let mut set = GtidSet::default();
        ids.iter().map(|one| id(*one)).for_each(|id| set.insert(id.claim, id.index, id.index));
        set
    }

    fn text(text: &str) -> String {
        text.parse::<GtidSet>().expect("it is a set").to_string()
    }

    #[test]
    fn a_set_is_written_with_its_intervals_joined_and_in_order() {
        assert_eq!(text(""), "");
        assert_eq!(text("n2@2:18-19, n1@1:20:1-9:10-17"), "n1@1:1-17:20,n2@2:18-19");
        assert_eq!(text("n1@1:5-9:1-20:21"), "n1@1:1-21");
        assert_eq!(text("n2@3:1,n1@3:1,n3@2:1"), "n3@2:1,n1@3:1,n2@3:1");
        assert_eq!(text("n1@1:1-18446744073709551615:7"), "n1@1:1-18446744073709551615");
        for bad in ["n1", "n1@1", "n1@1:", "n1@1:3-2", "n1@1:0", "n1@1:1-2-3", "1-2", "n1@1:1;"] {
            bad.parse::<GtidSet>().expect_err(bad);
        }
    }

    proptest! {
        #[test]
        fn a_set_of_intervals_is_the_set_of_its_members(
            one in btree_set((1u64..3, 1u16..3, 1u64..20), 0..30),
            other in btree_set((1u64..3, 1u16..3, 1u64..20), 0..30),
            runs in vec((1u64..20, 0u64..6), 0..6),
        ) {
            let (a, b) = (set(&one), set(&other));
            for member in &other {
                prop_assert_eq!(a.contains(id(*member)), one.contains(member));
            }
            prop_assert_eq!(a.is_subset(&b), one.is_subset(&other));
            prop_assert_eq!(a.is_empty(), one.is_empty());
            let mut both = a.clone();
            both.union(&b);
            prop_assert_eq!(&both, &set(&one.union(&other).copied().collect()));
            prop_assert!(a.is_subset(&both) && b.is_subset(&both));
            prop_assert_eq!(both.to_string().parse(), Ok(both));
            let (mut whole, mut members) = (GtidSet::default(), BTreeSet::new());
            for (first, more) in runs {
                whole.insert(id((1, 1, 1)).claim, first, first + more);
                members.extend((first..=first + more).map(|index| (1, 1, index)));
            }
            prop_assert_eq!(whole, set(&members));
        }
    }
}
