//! Which way entries travel to the followers: `topology`.
//!
//! In a *star* the leader sends every entry to every follower. In a *chain* it sends them to one
//! follower, which hands them on to the next, and so on (cascading replication: MySQL
//! `log_replica_updates`, PostgreSQL standbys of standbys, Redis sub-replicas), so the leader's own
//! link carries each entry once.
//!
//! Only entries travel down the chain. The leader's heartbeats go to everybody, and everybody
//! answers to the leader itself. That decides what is safe here:
//!
//! - Nobody vouches for another's disk. Acknowledgements, rounds, leases and the in-sync set are
//!   the same lines as in a star.
//! - A parent speaks for nobody. What it hands on is taken only by a node that follows the same
//!   claim already, because it has heard that leader itself; it makes nobody follow, proves no
//!   leader to be alive and answers no round. So it cannot outlive a fence or a vote.
//! - It hands on only what it knows to be in the leader's log, and the receiver joins it behind an
//!   entry that it holds, as with entries from the leader (`log-matching`).
//!
//! # Places
//!
//! The leader tells every follower its place, with its heartbeats. The order is the one of node
//! numbers, beginning behind the leader and going round, so a new leader has a new chain. Entries
//! travel only upwards in that order, which both ends check, so they go in no circle even while
//! some nodes know an earlier place.
//!
//! Whom the leader has not heard of late, who is being probed, sent a snapshot, or far behind, is
//! left out and served by the leader itself; the next in order gets the parent before it. A
//! follower that lacks entries and receives none for [`CHAIN_PATIENCE`] heartbeats is served by the
//! leader, whatever its parent says, and tried again after [`RETRY`]. Of several that wait, the
//! first in order takes the blame: those behind it had nothing to receive.
//!
//! A parent's frame that is lost is not sent again by the parent: the leader finds the gap.

use super::leader::Progress;
use super::replicate::{RUN_BYTES_MAX, RUN_ENTRIES_MAX};
use super::{Claim, Core, Entry, EntryId, Message, NodeId, Now, Role};
use crate::config::Topology;

/// For how many heartbeats a follower may be silent, or lack entries and receive none, before it is
/// served by the leader: one may be lost, and one be late.
pub(crate) const CHAIN_PATIENCE: u32 = 3;

/// After how many heartbeats a follower whose parent was bypassed is tried in the chain again. So a
/// link that stays broken costs its follower one pause of [`CHAIN_PATIENCE`] in so many heartbeats.
const RETRY: u32 = 20;

/// A follower that lacks more entries than one message holds catches up from the leader.
const LAG_MAX: u64 = RUN_ENTRIES_MAX as u64;

/// How a leader's entries reach one follower.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Feed {
    /// Who hands them on; without one the leader sends them itself.
    pub(super) parent: Option<NodeId>,
    /// What it held when it was last looked at.
    seen: u64,
    /// Since when it lacks entries and has received none.
    waits_since: Option<Now>,
    /// Until when the leader serves it, whoever is before it.
    direct_until: Now,
}

/// A follower's place in the chain of a leader.
#[derive(Debug)]
pub(super) struct Place {
    /// Whose chain.
    claim: Claim,
    /// Who sends it entries, if the leader has said so.
    upstream: Option<NodeId>,
    /// To whom it hands entries, and the last that it has handed on.
    downstream: Option<(NodeId, u64)>,
    /// How far its log is known to be that leader's.
    agreed: u64,
}

impl Place {
    /// In a chain of which nothing is known yet.
    pub(super) fn unknown(claim: Claim) -> Self {
        Place { claim, upstream: None, downstream: None, agreed: 0 }
    }

    /// The log was cut after an index.
    pub(super) fn cut_after(&mut self, index: u64) {
        self.agreed = self.agreed.min(index);
        self.downstream = self.downstream.map(|(node, handed)| (node, handed.min(index)));
    }
}

/// How far behind its leader a node stands: by number, going round.
fn position(leader: NodeId, node: NodeId) -> u16 {
    node.0.wrapping_sub(leader.0)
}

impl Progress {
    /// Takes note of whether the follower waits for entries.
    fn review_feed(&mut self, last: u64, now: Now) {
        let moved = self.matched > self.feed.seen;
        self.feed.seen = self.matched;
        self.feed.waits_since = match self.feed.waits_since {
            _ if self.matched >= last => None,
            Some(since) if !moved => Some(since),
            _ => Some(now),
        };
    }

    /// Whether it may take part in the chain.
    fn chainable(&self, last: u64, now: Now, patience: Now) -> bool {
        !self.probing
            && self.transfer.is_none()
            && self.matched > 0
            && last - self.matched <= LAG_MAX
            && now.saturating_sub(self.heard) < patience
            && now >= self.feed.direct_until
    }
}

impl Core {
    // --- the leader ---

    /// Gives every follower its place, at most once per heartbeat.
    pub(super) fn arrange_chain(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        if self.settings.topology == Topology::Star || self.now < leader.arrange_at {
            return;
        }
        leader.arrange_at = self.now + self.settings.heartbeat;
        let (now, patience) = (self.now, CHAIN_PATIENCE * self.settings.heartbeat);
        let last = self.entries.last_index();
        let mut order: Vec<NodeId> = self.peers.clone();
        order.sort_unstable_by_key(|node| position(self.me, *node));
        let (mut parent, mut broken) = (None, false);
        for node in &order {
            let Some(progress) = leader.followers.get_mut(node) else { continue };
            progress.review_feed(last, now);
            let starved = progress.feed.parent.is_some()
                && progress.feed.waits_since.is_some_and(|since| now - since >= patience);
            if starved && !broken {
                progress.feed.direct_until = now + RETRY * self.settings.heartbeat;
            }
            let next = if progress.chainable(last, now, patience) { parent } else { None };
            if next != progress.feed.parent || (starved && broken) {
                progress.feed.waits_since = None;
            }
            if next.is_some() && next != progress.feed.parent {
                // What the leader has sent ahead may be lost, and then nobody else would notice.
                progress.next = progress.matched + 1;
            }
            progress.feed.parent = next;
            if progress.chainable(last, now, patience) {
                parent = Some(*node);
            } else {
                broken = true;
            }
        }
        self.tell_places(&order);
    }

    /// Tells every follower from whom and to whom entries go, and from where on.
    fn tell_places(&mut self, order: &[NodeId]) {
        let Role::Leader(leader) = &self.role else { return };
        let places: Vec<(NodeId, Message)> = order
            .iter()
            .filter_map(|node| {
                let upstream = leader.followers.get(node)?.feed.parent.unwrap_or(self.me);
                let child = leader.followers.iter().find(|(_, one)| one.feed.parent == Some(*node));
                let downstream = child.and_then(|(child, progress)| {
                    Some((*child, self.entries.id_at(progress.matched)?))
                });
                Some((*node, Message::Placed { claim: leader.claim, upstream, downstream }))
            })
            .collect();
        for (node, message) in places {
            self.send(node, message);
        }
    }

    // --- a follower ---

    /// Notes that the log is the leader's up to an index. How far it is known to be that.
    pub(super) fn agree(&mut self, claim: Claim, upto: u64) -> u64 {
        if self.settings.topology == Topology::Star {
            return upto;
        }
        let last = self.entries.last_index();
        let place = self.place_under(claim);
        place.agreed = place.agreed.max(upto).min(last);
        place.agreed
    }

    fn place_under(&mut self, claim: Claim) -> &mut Place {
        if self.place.claim != claim {
            self.place = Place::unknown(claim);
        }
        &mut self.place
    }

    fn follows(&self, claim: Claim) -> bool {
        matches!(self.role, Role::Follower { upstream: Some(upstream), .. } if upstream == claim)
    }

    /// From whom entries come, as far as this node knows; `None` if it follows nobody.
    pub(super) fn upstream(&self) -> Option<NodeId> {
        let Role::Follower { upstream: Some(claim), .. } = self.role else { return None };
        let placed = self.place.upstream.filter(|_| self.place.claim == claim);
        placed.or(Some(claim.leader))
    }

    /// The leader gives this node its place.
    pub(super) fn on_placed(
        &mut self,
        from: NodeId,
        claim: Claim,
        upstream: NodeId,
        downstream: Option<(NodeId, EntryId)>,
    ) {
        if claim.leader != from || !self.follows(claim) {
            return;
        }
        let own = position(claim.leader, self.me);
        let later = downstream.filter(|(node, _)| position(claim.leader, *node) > own);
        let place = self.place_under(claim);
        let before = place.downstream;
        place.upstream = Some(upstream);
        place.downstream = later.map(|(node, holds)| match before {
            Some((same, handed)) if same == node => (node, handed.max(holds.index)),
            _ => (node, holds.index),
        });
        self.hand_on();
    }

    /// Hands on what the next in the chain has not been handed yet, before it is on this node's
    /// disk: nobody but the leader counts disks.
    pub(super) fn hand_on(&mut self) {
        let claim = self.place.claim;
        if !self.follows(claim) {
            return;
        }
        let agreed = self.place.agreed.min(self.entries.last_index());
        let committed = self.freshness.upstream_committed;
        while let Some((to, handed)) = self.place.downstream
            && handed < agreed
            // A log that begins later has nothing for it; the leader will notice.
            && let Some(prev) = self.entries.id_at(handed)
        {
            let mut entries = self.entries.run(handed + 1, RUN_ENTRIES_MAX, RUN_BYTES_MAX);
            entries.truncate(usize::try_from(agreed - handed).unwrap_or(usize::MAX));
            let count = entries.len() as u64;
            if count == 0 {
                return;
            }
            self.counters.relayed += count;
            self.place.downstream = Some((to, handed + count));
            self.send(to, Message::Relayed { claim, prev, entries, committed });
        }
    }

    /// Entries of the leader that another follower hands on.
    pub(super) fn on_relayed(
        &mut self,
        from: NodeId,
        claim: Claim,
        prev: EntryId,
        entries: Vec<Entry>,
        committed: u64,
    ) {
        let upwards = position(claim.leader, from) < position(claim.leader, self.me);
        let Role::Follower { upstream: Some(upstream), round } = self.role else { return };
        if upstream != claim || !upwards || !self.joins(prev) {
            return;
        }
        let matched = prev.index + entries.len() as u64;
        self.store(claim, prev.index, entries);
        if self.entries.id_at(matched).is_none() {
            return;
        }
        let matched = self.agree(claim, matched);
        // The round is one that the leader's own message began.
        self.confirm_held(claim, round, matched);
        self.hand_on();
        self.commit_upto(claim, committed, matched);
    }
}
