//! Which nodes are the cluster, and how that changes while it runs: members are added and removed
//! by entries of the log, one node at a time (Ongaro's thesis, sections 4.1 to 4.3).
//!
//! # The rule
//!
//! A configuration counts at a node as soon as its entry is in that node's log, committed or not,
//! and no longer when the entry is cut from it; a snapshot holds the last one that was applied.
//! Two configurations that follow each other differ by one voter, so every majority of the one has
//! a node in common with every majority of the other, and the old one and the new one cannot each
//! elect a leader or commit behind the other's back. For two that do not follow each other that is
//! not so. Therefore a leader begins a change only when the last one is *settled*:
//!
//! - A majority of the present voters has the present configuration on disk.
//! - So it has an entry of the leader's own epoch. Without that, two leaders in turn could each
//!   begin a change from the same configuration and meet nobody who knows of both (Ongaro, "Bug in
//!   single-server membership changes", raft-dev, 10 July 2015).
//!
//! This is about majorities that elect. Where fewer than a majority acknowledge, what they hold may
//! be unknown to a majority of the next configuration; so settings by which fewer than a majority
//! may acknowledge, and which promise to lose nothing by that, are refused a change
//! ([`crate::config::Settings::check_change`]).
//!
//! # Adding
//!
//! The leader appends a configuration in which the node is a learner: it is sent a snapshot or the
//! log, and counts for nothing, so no majority has changed. If its disk is empty it is admitted as
//! every empty disk is (`membership.rs`; the mark is committed by the present voters, and later
//! configurations overlap with them). When it lacks next to nothing, the leader appends another
//! configuration in which it votes. Whoever leads then goes on with it, and it can be called off by
//! a removal.
//!
//! # Removing
//!
//! The node counts for nothing from the entry on. A leader that removes itself goes on, without
//! counting itself, until the entry is committed, asks the voter with the most to stand, and steps
//! down. Votes are given without asking one's own configuration, which may be an old one; but who
//! is no member disturbs nobody who hears a leader, and is told that it has been removed.
//!
//! # Where another than the candidate is elected
//!
//! In Raft a candidate that does not know of a settled configuration is refused by everybody who
//! has that in its log, so it can do nothing with majorities of an earlier one. A proposer of Paxos
//! may have any log, since it proposes whoever of a majority has the best one. So it says which
//! configuration it counts by, and who has a later one promises it nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::leader::{Leader, Origin, Progress};
use super::{
    Core, Effect, Entry, EntryId, Failure, FailureKind, Message, NodeId, Outcome, Plant, Report,
    Role, reached_by,
};
use crate::state::{Command, Configuration, Seat};

/// Most members of a cluster. A leader sends every entry to each follower itself, and the state of
/// the art is 3 to 7.
pub const MEMBERS_MAX: usize = 31;

/// How many entries a learner may lack to become a voter: some ten milliseconds of writes, for
/// which the next majority may have to wait.
const LACKS_MAX: u64 = 1024;

/// A change of the members that somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConfigurationChange {
    /// A node is to become a member and, once it has caught up, a voter.
    Add {
        /// Which.
        node: NodeId,
        /// Where the others dial it.
        address: SocketAddr,
    },
    /// A member is to be none any more.
    Remove {
        /// Which.
        node: NodeId,
    },
}

/// The configuration that counts, with what is asked of it all the time.
#[derive(Clone, Debug)]
pub(super) struct Configured {
    pub(super) members: Arc<Configuration>,
    /// The entry that it came with; 0 is the configuration that the node was started with.
    pub(super) index: u64,
    /// The same with the claim under which it was appended.
    pub(super) id: EntryId,
    /// How many vote.
    pub(super) voters: usize,
    /// Whether this node is one of them.
    pub(super) votes: bool,
    /// The member that does not vote yet.
    learner: Option<NodeId>,
}

impl Configured {
    pub(super) fn new(members: Arc<Configuration>, id: EntryId, me: NodeId) -> Self {
        Configured {
            voters: members.voters().count(),
            votes: members.seat(me).is_some_and(|seat| seat.voter),
            learner: members.learner(),
            members,
            index: id.index,
            id,
        }
    }

    /// How many voters are a majority.
    pub(super) fn majority(&self) -> usize {
        self.voters / 2 + 1
    }

    pub(super) fn is_voter(&self, node: NodeId) -> bool {
        self.members.seat(node).is_some_and(|seat| seat.voter)
    }
}

impl Core {
    // --- what counts ---

    /// Whether this node's vote counts: its disk is one that votes, and it is a voter.
    pub(super) fn is_voter(&self) -> bool {
        self.votes() && self.configured.votes && !self.removed
    }

    /// Whether this node may lead. Who is removed by an entry that is not known to be committed
    /// may be the only one that has the entry, and then nobody else can be elected (Ongaro's
    /// thesis, section 4.2.2).
    pub(super) fn may_stand(&self) -> bool {
        let Configured { members, index, votes, .. } = &self.configured;
        let still_needed = *index > self.committed && *index > 0 && members.seat(self.me).is_none();
        self.votes() && (*votes || still_needed) && !self.removed
    }

    /// Whether this node knows of a configuration that lacks it, and waits for none to come.
    pub(super) fn is_removed(&self) -> bool {
        let lacks = self.configured.members.seat(self.me).is_none();
        self.removed || (self.configured.index > 0 && lacks)
    }

    /// How many of these nodes' votes count.
    pub(super) fn counted<'n>(&self, nodes: impl IntoIterator<Item = &'n NodeId>) -> usize {
        nodes.into_iter().filter(|node| self.configured.is_voter(**node)).count()
    }

    /// The others that vote.
    pub(super) fn other_voters(&self) -> Vec<NodeId> {
        let others = self.peers.iter().copied();
        others.filter(|peer| self.configured.is_voter(*peer)).collect()
    }

    /// A position of this node towards a majority: nothing, if it leads without being a voter.
    pub(super) fn own(&self, position: u64) -> u64 {
        if self.configured.votes { position } else { 0 }
    }

    /// A node that remembers no configuration and founds none: it waits to be added.
    #[must_use]
    pub fn joining(mut self) -> Self {
        self.founders = Arc::default();
        if self.configured.index == 0 {
            self.configure(Arc::default(), EntryId::ORIGIN);
        }
        self.founding_is_over();
        self
    }

    // --- when a configuration begins to count, and when it stops ---

    /// An entry has come into the log.
    pub(super) fn configure_by(&mut self, entry: &Entry) {
        if entry.change.is_configuration()
            && let Command::Configuration(members) = entry.change.decode().command
        {
            self.configure(Arc::new(members), entry.id);
        }
    }

    /// The log was cut, or begins anew, or was just read: the last configuration in it counts.
    pub(super) fn configure_by_log(&mut self) {
        let entries = self.entries.after(0);
        let last = entries.filter(|entry| entry.change.is_configuration()).last().cloned();
        if let Some(entry) = last {
            return self.configure_by(&entry);
        }
        let (index, members) = self
            .snapshots
            .base
            .state
            .configuration()
            .unwrap_or_else(|| (0, Arc::clone(&self.founders)));
        let id = self.entries.lineage().id_at(index).unwrap_or(EntryId::ORIGIN);
        self.configure(members, id);
    }

    fn configure(&mut self, members: Arc<Configuration>, id: EntryId) {
        self.configured = Configured::new(Arc::clone(&members), id, self.me);
        let others = members.members().map(|(node, _)| node).filter(|node| *node != self.me);
        self.peers = others.collect();
        let (next, now) = (self.entries.last_index() + 1, self.now);
        if let Role::Leader(leader) = &mut self.role {
            leader.followers.retain(|node, _| members.seat(*node).is_some());
            for (node, seat) in members.members().filter(|(node, _)| *node != self.me) {
                let fresh = || Progress::unknown(next, now);
                leader.followers.entry(node).or_insert_with(fresh).voter = seat.voter;
            }
        }
        self.effects.push(Effect::Members(members));
    }

    // --- the leader ---

    /// Begins a change that a client asked for, or says why not.
    pub(super) fn change_configuration(&mut self, origin: Origin, change: ConfigurationChange) {
        let Role::Leader(leader) = &self.role else { return };
        match self.next_configuration(leader, change) {
            Ok(next) => {
                let id = self.append(&Command::Configuration(next).into());
                if let Role::Leader(leader) = &mut self.role {
                    leader.pending.push_back((id, origin));
                }
            }
            Err(failure) => self.reply(origin, Outcome::Failed(failure)),
        }
    }

    fn next_configuration(
        &self,
        leader: &Leader,
        change: ConfigurationChange,
    ) -> Result<Configuration, Failure> {
        let refused = |why: String| Failure::definite(FailureKind::ConfigurationRefused, why);
        let members = &self.configured.members;
        let next = match change {
            ConfigurationChange::Add { node, .. } if members.seat(node).is_some() => {
                return Err(refused(format!("{node} is a member already")));
            }
            ConfigurationChange::Add { node, address } => {
                members.with(node, Seat { voter: false, address: Some(address) })
            }
            ConfigurationChange::Remove { node } if members.seat(node).is_none() => {
                return Err(refused(format!("{node} is no member")));
            }
            ConfigurationChange::Remove { node } => members.without(node),
        };
        if next.members().count() > MEMBERS_MAX {
            return Err(refused(format!("expected at most {MEMBERS_MAX} members")));
        }
        // What the learner, if there is one, will make of it.
        let voters: Vec<u16> = match change {
            ConfigurationChange::Add { .. } => next.members().map(|(node, _)| node.0).collect(),
            ConfigurationChange::Remove { .. } => next.voters().map(|node| node.0).collect(),
        };
        self.settings
            .check_change(self.configured.voters, &voters)
            .map_err(|error| refused(error.to_string()))?;
        let calls_off = matches!(change,
            ConfigurationChange::Remove { node } if self.configured.learner == Some(node));
        if !calls_off && let Some(learner) = self.configured.learner {
            return Err(busy(format!("{learner} is being added and has not caught up")));
        }
        if !self.is_settled(leader) && !self.plant(Plant::ChangeTwiceAtOnce) {
            let index = self.configured.index;
            return Err(busy(format!(
                "no majority is known to have the last change, entry {index}, and an entry of this \
                 leader"
            )));
        }
        if let ConfigurationChange::Remove { node } = change
            && !calls_off
            && !self.plant(Plant::ChangeTwiceAtOnce)
        {
            self.keeps_a_majority(leader, &next).map_err(|(heard, needed)| {
                refused(format!(
                    "without {node} a majority is {needed}, and {heard} of those that would be \
                     left are heard; help: bring one back first"
                ))
            })?;
        }
        Ok(next)
    }

    /// Whether the next change may begin: see the top of this file.
    fn is_settled(&self, leader: &Leader) -> bool {
        let matched = leader.voters().map(|voter| voter.matched);
        let held = reached_by(self.majority(), self.own(self.durable), matched);
        let own_epoch = self.entries.id_at(held).is_some_and(|id| id.claim == leader.claim);
        let own_epoch = own_epoch || self.plant(Plant::ChangeBeforeOwnCommit);
        held >= self.configured.index && own_epoch
    }

    /// Whether a majority of the voters that would be left is heard; if not, how many are and how
    /// many it takes. Who has not answered this leader yet is not heard: it may be down since long
    /// before, or have lost its disk, and then nobody could undo the change.
    fn keeps_a_majority(
        &self,
        leader: &Leader,
        next: &Configuration,
    ) -> Result<(), (usize, usize)> {
        let since = self.now.saturating_sub(self.settings.election_timeout_max());
        let is_heard = |node: &NodeId| match leader.followers.get(node) {
            Some(progress) => progress.votes() && progress.has_spoken() && progress.heard >= since,
            None => *node == self.me,
        };
        let needed = next.voters().count() / 2 + 1;
        let heard = next.voters().filter(is_heard).count();
        if heard >= needed { Ok(()) } else { Err((heard, needed)) }
    }

    /// Called whenever something was confirmed: a learner that has caught up votes from now on.
    pub(super) fn seat_learner(&mut self) {
        let Some(node) = self.configured.learner else { return };
        let Role::Leader(leader) = &self.role else { return };
        let Some(progress) = leader.followers.get(&node) else { return };
        let lacks = self.entries.last_index().saturating_sub(progress.matched);
        let caught_up = lacks <= LACKS_MAX && progress.matched >= self.configured.index;
        if !(caught_up && progress.disk_votes() && self.is_settled(leader)) {
            return;
        }
        let Some(seat) = self.configured.members.seat(node) else { return };
        let next = self.configured.members.with(node, Seat { voter: true, ..seat });
        self.append(&Command::Configuration(next).into());
        self.report(Report::Seats(node));
    }

    /// A leader that is no member any more has done its last: its removal is committed. Whoever has
    /// the most of its log is to stand.
    pub(super) fn leave_office(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let removal = self.configured.index;
        let done = self.committed >= removal && leader.acknowledged >= removal;
        if self.configured.votes || !done {
            return;
        }
        let claim = leader.claim;
        let voters = leader.followers.iter().filter(|(_, progress)| progress.votes());
        let best = voters.max_by_key(|(_, progress)| progress.matched).map(|(node, _)| *node);
        self.become_follower("has been removed");
        if let Some(best) = best {
            self.counters.election_messages += 1;
            self.send(best, Message::Succeed { claim });
        }
    }

    // --- the others ---

    /// The leader has been removed and wants this node to stand.
    pub(super) fn on_succeed(&mut self, from: NodeId, claim: super::Claim) {
        let follows = self.upstream_leader() == Some(from) && self.hard.claim == claim;
        if follows && self.may_stand() {
            self.counters.elections_started += 1;
            self.insist();
        }
    }

    /// Whether a message is of an election that its sender has no part in any more, as far as is
    /// known to be committed here. It is told; if a leader is heard, its message counts for
    /// nothing. If none is, it may know of a later configuration than this node.
    pub(super) fn is_disturbed_by(&mut self, from: NodeId, message: &Message) -> bool {
        let about_election = matches!(
            message,
            Message::PreVote { .. }
                | Message::Vote { .. }
                | Message::Ask { .. }
                | Message::Round { .. }
                | Message::Nominate { .. }
                | Message::Prepare { .. }
                | Message::Accept { .. }
        );
        if !about_election || self.configured.members.seat(from).is_some() {
            return false;
        }
        let index = self.configured.index;
        if index > 0 && index <= self.committed {
            self.send(from, Message::Removed { index });
        }
        self.hears_leader(self.tolerated_silence()).is_some()
    }

    /// A committed configuration lacks this node.
    pub(super) fn on_removed(&mut self, index: u64) {
        let own = &self.configured;
        let knows_better = own.index > index || (own.index == index && own.votes);
        if !knows_better && !self.removed {
            self.removed = true;
            self.become_follower("has been removed");
            self.report(Report::Removed(index));
        }
    }
}

fn busy(why: String) -> Failure {
    Failure::definite(FailureKind::ChangeInProgress, format!("{why}; help: ask again later"))
}
