//! Whose disk counts and whose only learns: founders, learners, admission. Which nodes are the
//! cluster at all is the business of `configuration.rs`.
//!
//! A *voter* votes, may stand for election, and its confirmations count. A *learner* is sent the
//! log and applies it, and counts for nothing. Nodes that come to a cluster, or come back to it
//! without their disk, begin as learners.
//!
//! # Why a node that lost its disk must not go on as before
//!
//! It has forgotten what it confirmed and whom it promised itself to. If it voted at once, it could
//! elect a node that lacks what it had helped to acknowledge; if its confirmations counted at once,
//! it could help a deposed leader, having forgotten the successor that it voted for.
//!
//! # The rule
//!
//! Every disk has an [`Incarnation`], drawn when it was empty. A leader that hears a learner, or
//! another incarnation than before, counts nothing of it from then on and appends a *mark*, an
//! entry that does nothing. The learner is admitted when a majority without it has the mark on disk
//! and it has everything up to the mark on its own. That is safe:
//!
//! - Whoever is elected later and does not know the mark needs a vote of that majority, which
//!   refuses, or has promised a later epoch before and then did not confirm the mark. So every
//!   later leader holds the mark, was sent it after the old disk was gone, and so cannot have been
//!   elected with the old disk's vote.
//! - What was acknowledged with the old disk's confirmation stands before the mark in the log of
//!   every such leader, so the new disk holds it again.
//!
//! (Removing a member and adding a new one by entries of the log, as Raft does, comes to the same.
//! A recovery that only asks the others where they are does not: Michael et al., "Recovering
//! Shared Objects Without Stable Storage", DISC 2017.) Without `majority` nothing is promised, and
//! the leader's own disk will do.
//!
//! # The first start
//!
//! An empty node cannot tell a new cluster from a lost disk. So it asks: a cluster is founded when
//! every node has heard from every other that it remembered nothing either, at a moment after this
//! one came to be. The first start therefore needs all nodes once. What a founder heard is kept on
//! its disk, since another founder may still have to be told.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::leader::{Leader, Progress};
use super::{Claim, Core, Encoded, Held, Message, NodeId, Note, Report, Role, reached_by};
use crate::state::Command;

/// Tells one disk of a node from the next, by chance.
pub type Incarnation = u64;

/// What a disk remembers of its node's place in the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Of this disk; `None` as long as it is empty.
    incarnation: Option<Incarnation>,
    franchise: Franchise,
}

/// Whether a node votes, and since when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Franchise {
    /// It does not.
    #[default]
    Learner,
    /// Since the first start, when it heard these others to be as new as itself.
    Founder(Vec<(NodeId, Incarnation)>),
    /// Since a leader has admitted it.
    Admitted,
}

impl Member {
    /// Of a disk that was made from an earlier point of a log. It votes, since all of its cluster
    /// goes back to that point; its incarnation is drawn when its node starts.
    pub(crate) fn restored() -> Self {
        Member { incarnation: None, franchise: Franchise::Admitted }
    }

    /// As a founder of a cluster whose founding is not of interest.
    #[cfg(test)]
    pub(super) fn founder() -> Self {
        Member { incarnation: Some(1), franchise: Franchise::Founder(Vec::new()) }
    }

    #[cfg(test)]
    pub(super) fn votes(&self) -> bool {
        self.franchise != Franchise::Learner
    }
}

/// A node's own place in the cluster.
#[derive(Debug, Default)]
pub(super) struct Membership {
    /// As it is on disk, or about to be.
    kept: Member,
    /// Whether it votes: only once that is on disk.
    votes: bool,
    /// As long as it remembers nothing and has met nobody who does.
    founding: Option<Founding>,
}

/// What a node that remembers nothing has heard from others that remember nothing.
#[derive(Debug, Default)]
struct Founding {
    heard: BTreeMap<NodeId, Incarnation>,
    /// Those that had heard this node, and so were new after it came to be.
    heard_by: BTreeSet<NodeId>,
}

/// As whom a follower speaks to its leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Speaker {
    /// `None` for a founder: its disk is the only one it has had.
    incarnation: Option<Incarnation>,
    votes: bool,
}

/// What a leader knows of a follower's membership.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    /// As whom it spoke last.
    speaker: Option<Speaker>,
    /// Whether it was another one before, under this leadership. Then its own word that it votes
    /// says nothing: it may be the old disk's.
    replaced: bool,
    /// If it is a learner, the index of the mark.
    pub(super) mark: Option<u64>,
}

impl Progress {
    /// Whether what the follower confirms counts: it is a voter, and has not lost what it held.
    pub(super) fn votes(&self) -> bool {
        self.voter && self.membership.mark.is_none()
    }

    /// Whether it has answered under this leadership.
    pub(super) fn has_spoken(&self) -> bool {
        self.membership.speaker.is_some()
    }

    /// Whether its disk is one that votes, and says so itself.
    pub(super) fn disk_votes(&self) -> bool {
        self.membership.mark.is_none() && self.membership.speaker.is_some_and(|one| one.votes)
    }

    /// The last round that the follower answered in a way that counts.
    pub(super) fn confirmed_round(&self) -> u64 {
        if self.votes() { self.round } else { 0 }
    }
}

impl Leader {
    /// The followers that count.
    pub(super) fn voters(&self) -> impl Iterator<Item = &Progress> {
        self.followers.values().filter(|progress| progress.votes())
    }
}

impl Core {
    /// Whether this node votes: its disk is one that does.
    pub(super) fn votes(&self) -> bool {
        self.membership.votes
    }

    // --- the first start ---

    /// Begins a node's life with what its disk remembers. `blank` says that it remembers nothing
    /// else.
    pub(super) fn begin_membership(&mut self, kept: Member, blank: bool) {
        let votes = kept.franchise != Franchise::Learner;
        let founding = (!votes && blank).then(Founding::default);
        self.membership = Membership { kept, votes, founding };
        if self.membership.kept.incarnation.is_none() {
            let incarnation = rand::RngExt::random_range(&mut self.random, 1..u64::MAX);
            self.membership.kept.incarnation = Some(incarnation);
            self.barrier.write(self.member_note());
        }
        if !votes {
            self.suspicion.deadline = self.now;
        }
    }

    /// What must be written again when the log is let go.
    pub(super) fn member_note(&self) -> Note {
        Note::Member(self.membership.kept.clone())
    }

    /// Time passed at a node that does not vote: it asks whether the others are new too, or forgets
    /// a leader that it does not hear.
    pub(super) fn tick_learner(&mut self) {
        if self.now < self.suspicion.deadline {
            return;
        }
        if self.membership.founding.is_none() {
            return self.become_follower("misses its leader");
        }
        self.suspicion.deadline = self.now + self.settings.heartbeat;
        if self.peers.is_empty() {
            return self.found();
        }
        for at in 0..self.peers.len() {
            self.tell_founding(self.peers[at], true);
        }
    }

    /// Says whom this node has heard when it remembered nothing, once its own incarnation is on
    /// disk.
    fn tell_founding(&mut self, to: NodeId, asks: bool) {
        let heard = match (&self.membership.founding, &self.membership.kept.franchise) {
            (_, Franchise::Founder(with)) => with.clone(),
            (Some(founding), _) => founding.heard.iter().map(|(node, one)| (*node, *one)).collect(),
            (None, _) => return,
        };
        let Some(incarnation) = self.membership.kept.incarnation else { return };
        let message = Message::Founding { incarnation, heard, asks };
        self.once_durable(Held::Send(to, message));
    }

    pub(super) fn on_founding(
        &mut self,
        from: NodeId,
        incarnation: Incarnation,
        heard: &[(NodeId, Incarnation)],
        asks: bool,
    ) {
        let own = self.membership.kept.incarnation;
        if let Some(founding) = &mut self.membership.founding {
            founding.heard.insert(from, incarnation);
            if heard.iter().any(|(node, one)| *node == self.me && Some(*one) == own) {
                founding.heard_by.insert(from);
            }
            if founding.heard_by.len() == self.peers.len() {
                self.found();
            }
        }
        if asks {
            self.tell_founding(from, false);
        }
    }

    fn found(&mut self) {
        let heard = self.membership.founding.as_ref().map(|founding| founding.heard.clone());
        let with = heard.unwrap_or_default().into_iter().collect();
        self.enfranchise(Franchise::Founder(with));
    }

    fn enfranchise(&mut self, franchise: Franchise) {
        if self.membership.kept.franchise == Franchise::Learner {
            self.membership.kept.franchise = franchise;
            self.barrier.write(self.member_note());
            self.once_durable(Held::Votes);
        }
    }

    /// That this node votes is on disk.
    pub(super) fn franchise_is_durable(&mut self) {
        self.membership.votes = true;
        self.membership.founding = None;
        self.restart_suspicion();
        self.report(Report::Votes);
    }

    /// A leader was met, so the cluster exists.
    pub(super) fn founding_is_over(&mut self) {
        self.membership.founding = None;
    }

    // --- the follower's side ---

    /// A follower says as whom it answers, unless it is a founder.
    pub(super) fn signed(&self, message: Message) -> Message {
        let founder = matches!(self.membership.kept.franchise, Franchise::Founder(_));
        let Membership { kept, votes, .. } = &self.membership;
        match kept.incarnation {
            Some(incarnation) if message.answers().is_some() && !(founder && *votes) => {
                let answer = Encoded::of(&message);
                Message::As { incarnation, votes: *votes, answer }
            }
            _ => message,
        }
    }

    /// What is heard by a node that does not vote: whatever brings entries or requests.
    pub(super) fn concerns_learners(message: &Message) -> bool {
        matches!(
            message,
            Message::Append { .. }
                | Message::Removed { .. }
                | Message::Snapshot { .. }
                | Message::Admitted { .. }
                | Message::Placed { .. }
                | Message::Relayed { .. }
                | Message::Founding { .. }
                | Message::Forward { .. }
                | Message::Forwarded { .. }
                | Message::Round { .. }
                | Message::RoundTaken { .. }
        )
    }

    /// The leader counts on this node from now on.
    pub(super) fn on_admitted(&mut self, from: NodeId, claim: Claim, incarnation: Incarnation) {
        let follows = self.upstream_leader() == Some(from) && self.hard.claim == claim;
        if follows && self.membership.kept.incarnation == Some(incarnation) {
            self.enfranchise(Franchise::Admitted);
        }
    }

    // --- the leader's side ---

    /// Takes the signature off an answer to this leader, and takes note of who speaks.
    pub(super) fn unsigned(&mut self, from: NodeId, message: Message) -> Option<Message> {
        let (speaker, message) = match message {
            Message::As { incarnation, votes, answer } => {
                let incarnation = Some(incarnation);
                (Speaker { incarnation, votes }, answer.message()?)
            }
            plain => (Speaker { incarnation: None, votes: true }, plain),
        };
        if let Some(claim) = message.answers() {
            self.meet(from, claim, speaker);
        }
        Some(message)
    }

    /// A follower of this leader has spoken, as whoever it is now.
    fn meet(&mut self, from: NodeId, claim: Claim, speaker: Speaker) {
        let (mark, now) = (self.entries.last_index() + 1, self.now);
        let Some(leader) = self.leads_as(claim) else { return };
        let Some(progress) = leader.followers.get_mut(&from) else { return };
        let known = &mut progress.membership;
        let before = known.speaker.replace(speaker);
        let same = before.is_none_or(|before| before.incarnation == speaker.incarnation);
        if same && speaker.votes {
            if !known.replaced {
                known.mark = None;
            }
            return;
        }
        if same && before.is_some() {
            // It learns already, or has not heard yet that it was admitted.
            if known.mark.is_none() {
                self.tell_admitted(from);
            }
            return;
        }
        *progress = Progress {
            membership: Known { speaker: Some(speaker), replaced: !same, mark: Some(mark) },
            heard: progress.heard,
            voter: progress.voter,
            ..Progress::unknown(mark, now)
        };
        self.append(&Command::Noop.into());
        self.report(Report::Learns(from));
    }

    /// Called whenever something was confirmed: learners that have caught up count from now on.
    pub(super) fn admit_learners(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        if leader.followers.values().all(|progress| progress.membership.mark.is_none()) {
            return;
        }
        let held = if self.settings.majority {
            reached_by(
                self.majority(),
                self.own(self.durable),
                leader.voters().map(|voter| voter.matched),
            )
        } else {
            self.durable
        };
        let caught_up = |progress: &Progress| {
            progress.membership.mark.is_some_and(|mark| held >= mark && progress.matched >= mark)
        };
        let ready = leader.followers.iter().filter(|(_, progress)| caught_up(progress));
        let ready: Vec<NodeId> = ready.map(|(node, _)| *node).collect();
        for node in ready {
            if let Role::Leader(leader) = &mut self.role
                && let Some(progress) = leader.followers.get_mut(&node)
            {
                progress.membership.mark = None;
            }
            self.report(Report::Admits(node));
            self.tell_admitted(node);
            self.review_in_sync(node);
        }
    }

    fn tell_admitted(&mut self, to: NodeId) {
        let Role::Leader(leader) = &self.role else { return };
        let speaker = leader.followers.get(&to).and_then(|progress| progress.membership.speaker);
        if let Some(incarnation) = speaker.and_then(|speaker| speaker.incarnation) {
            self.send(to, Message::Admitted { claim: leader.claim, incarnation });
        }
    }
}
