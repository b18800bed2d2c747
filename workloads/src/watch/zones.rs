//! The times that the values of one register must own, kept while they grow.
//!
//! Of each chain of values (a plain write and the compare-and-sets on it) two places are known: by
//! which it was certainly there (`from`: the first end of anything of it), and at which something of
//! it still began (`until`). Two chains contradict each other exactly if each must come before the
//! other: `from(A) < until(B)` and `from(B) < until(A)` (`checker/linearizable/zones.rs` has the
//! argument). Here `from` is set once, when a chain is first seen, so chains stand in the order of
//! `from`, and only `until` grows. A tree of maxima over it answers each question in the logarithm
//! of the chains. Called by `register` alone.

use super::Place;
use crate::checker::plants::{Plant, is_planted};

/// Index of a chain, in the order in which they were first seen.
pub(super) type ChainId = u32;

/// All chains of a register.
#[derive(Debug, Default)]
pub(super) struct Zones {
    from: Vec<Place>,
    /// A complete binary tree of maxima; the leaves are `until`, in its second half.
    until: Vec<Place>,
}

impl Zones {
    /// A chain that is there by a place, which must be behind those of all before it.
    pub(super) fn push(&mut self, from: Place, until: Place) -> ChainId {
        let chain = self.from.len();
        self.from.push(from);
        if chain * 2 >= self.until.len() {
            self.grow();
        }
        self.set(chain, until);
        chain as ChainId
    }

    /// Something of a chain began at a place. Whether the chain now contradicts another one.
    pub(super) fn began(&mut self, chain: ChainId, at: Place) -> bool {
        let chain = chain as usize;
        let leaves = self.until.len() / 2;
        if self.until[leaves + chain] >= at {
            return false;
        }
        self.set(chain, at);
        let from = self.from[chain];
        let earlier = self.from.partition_point(|other| *other < at);
        let before = self.latest(0, chain.min(earlier));
        let after = match is_planted(Plant::WatchesBackward) {
            true => 0,
            false => self.latest(chain + 1, earlier),
        };
        before.max(after) > from
    }

    fn grow(&mut self) {
        let leaves = self.until.len() / 2;
        let more = (leaves * 2).max(1);
        let mut tree = vec![0; more * 2];
        tree[more..more + leaves].copy_from_slice(&self.until[leaves..]);
        for node in (1..more).rev() {
            tree[node] = tree[node * 2].max(tree[node * 2 + 1]);
        }
        self.until = tree;
    }

    fn set(&mut self, chain: usize, until: Place) {
        let mut node = self.until.len() / 2 + chain;
        self.until[node] = until;
        while node > 1 {
            node /= 2;
            if self.until[node] >= until {
                return;
            }
            self.until[node] = until;
        }
    }

    /// The latest `until` of the chains from one up to another, which is left out.
    fn latest(&self, from: usize, to: usize) -> Place {
        let leaves = self.until.len() / 2;
        let (mut left, mut right) = (leaves + from, leaves + to.max(from));
        let mut latest = 0;
        while left < right {
            if left % 2 == 1 {
                latest = latest.max(self.until[left]);
                left += 1;
            }
            if right % 2 == 1 {
                right -= 1;
                latest = latest.max(self.until[right]);
            }
            (left, right) = (left / 2, right / 2);
        }
        latest
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::seed::Seed;

    #[test]
    fn a_contradiction_is_found_with_the_end_that_makes_it_and_not_before() {
        let mut random = Seed(7).stream("zones");
        let mut contradictions = 0;
        for _ in 0..3000 {
            let mut zones = Zones::default();
            let mut plain: Vec<(Place, Place)> = Vec::new();
            for now in 1..40 {
                if plain.is_empty() || random.random_range(0..3) == 0 {
                    let until = random.random_range(0..now);
                    assert_eq!(zones.push(now, until) as usize, plain.len());
                    plain.push((now, until));
                    continue;
                }
                let chain = random.random_range(0..plain.len());
                let at = random.random_range(0..now);
                let grew = at > plain[chain].1;
                plain[chain].1 = plain[chain].1.max(at);
                let (from, until) = plain[chain];
                let others = (0..plain.len()).filter(|other| *other != chain);
                let contradicts = |it: usize| plain[it].0 < until && from < plain[it].1;
                let expected = grew && others.clone().any(contradicts);
                assert_eq!(zones.began(chain as ChainId, at), expected, "{plain:?} {chain}");
                if expected {
                    contradictions += 1;
                    break;
                }
            }
        }
        assert!(contradictions > 1000, "only {contradictions}");
    }
}
