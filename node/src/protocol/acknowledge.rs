//! When a write is visible and when it is acknowledged: `replication`, `level`, `wait-point`,
//! `commit-own-epoch`.
//!
//! Two positions decide. Up to the *committed* one entries are applied, so that reads see them; up
//! to the *acknowledged* one their writers are answered. They are one position unless the settings
//! part them: with `wait-point=after-commit` a write is visible before followers have confirmed
//! it, and with `level=applied` followers can only apply what is committed already.

use std::sync::Arc;

use super::leader::{Leader, Origin, Progress};
use super::message::Acknowledgement;
use super::{Core, Effect, EntryId, Message, NodeId, Outcome, Plant, Role, Source, reached_by};
use crate::config::{Level, Replication, Standbys, WaitPoint};
use crate::state::{Answer, Command, Surroundings};

/// A write that is visible and whose writer waits for followers.
#[derive(Debug)]
pub(super) struct Answered {
    id: EntryId,
    pub(super) origin: Origin,
    answer: Answer,
}

impl Progress {
    /// How far the follower has confirmed at a level, in a way that counts.
    pub(super) fn confirmed(&self, level: Level) -> u64 {
        match level {
            _ if !self.votes() => 0,
            Level::Received => self.received.max(self.matched),
            Level::Durable => self.matched,
            Level::Applied => self.applied.min(self.matched),
        }
    }
}

impl Core {
    /// Called whenever a position that may count has moved: decides how far the leader has
    /// committed and acknowledged.
    pub(super) fn acknowledge(&mut self) {
        self.admit_learners();
        self.seat_learner();
        self.review_semi_sync();
        self.advance();
    }

    /// Moves both positions to where the followers' confirmations allow.
    pub(super) fn advance(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let level = self.settings.level;
        let confirmed = self.confirmed(leader, level);
        let committed = match self.settings.wait_point {
            WaitPoint::AfterCommit => self.durable,
            WaitPoint::AfterSync if level == Level::Applied => {
                self.confirmed(leader, Level::Durable)
            }
            WaitPoint::AfterSync => confirmed,
        };
        // An entry of an older epoch that a majority holds can still be replaced by a leader who
        // never saw it (Raft, section 5.4.2, figure 8). Only an entry of the leader's own epoch
        // settles what stands before it.
        let own = |index| self.entries.id_at(index).is_some_and(|id| id.claim == leader.claim);
        let counts = |index| !self.commits_own_epoch() || own(index);
        let (confirmed_counts, committed_counts) = (counts(confirmed), counts(committed));
        if let Role::Leader(leader) = &mut self.role
            && confirmed_counts
            && confirmed > leader.acknowledged
        {
            leader.acknowledged = confirmed;
            leader.waits_since = None;
        }
        if committed_counts {
            self.commit(committed);
        }
        self.answer_acknowledged();
    }

    /// Whether a leader begins with an entry of its own and commits earlier ones only through it.
    pub(super) fn commits_own_epoch(&self) -> bool {
        self.settings.commit_own_epoch && !self.plant(Plant::CommitOlderEpoch)
    }

    /// How far the leader's log has got wherever the settings wait for it.
    fn confirmed(&self, leader: &Leader, level: Level) -> u64 {
        let followers = leader.followers.values().map(|progress| progress.confirmed(level));
        match self.settings.replication {
            _ if self.plant(Plant::AcknowledgeBeforeReplication) => self.durable,
            // The leader's own disk is one of the majority, not a condition.
            Replication::Quorum => reached_by(self.majority(), self.own(self.durable), followers),
            Replication::Async => self.durable,
            Replication::SemiSync if leader.goes_alone => self.durable,
            Replication::SemiSync => {
                let replicas = usize::from(self.settings.replicas);
                self.durable.min(reached_by(replicas, 0, followers))
            }
            Replication::Sync => {
                let voters = leader.followers.iter().filter(|(_, progress)| progress.voter);
                let standbys = voters.filter(|(node, _)| self.is_standby(**node));
                let confirmed = standbys.map(|(_, progress)| progress.confirmed(level));
                confirmed.fold(self.durable, u64::min)
            }
            Replication::Isr if self.in_sync(leader) < usize::from(self.settings.min_in_sync) => 0,
            Replication::Isr => {
                let members = leader.followers.values().filter(|progress| progress.in_sync);
                let confirmed = members.map(|progress| progress.confirmed(level));
                confirmed.fold(self.durable, u64::min)
            }
        }
    }

    fn is_standby(&self, node: NodeId) -> bool {
        match &self.settings.standbys {
            Standbys::All => true,
            Standbys::Named(named) => named.contains(&node.0),
        }
    }

    /// What an acknowledgement that is given now stands for.
    pub(super) fn acknowledgement(&self) -> Acknowledgement {
        match (self.settings.replication, &self.role) {
            (Replication::Quorum, _) => Acknowledgement::Quorum,
            (Replication::Async, _) => Acknowledgement::Async,
            (Replication::SemiSync, Role::Leader(leader)) if leader.goes_alone => {
                Acknowledgement::AsyncFallback
            }
            (Replication::SemiSync, _) => Acknowledgement::SemiSync,
            (Replication::Sync, _) => Acknowledgement::Sync,
            (Replication::Isr, _) => Acknowledgement::Isr,
        }
    }

    /// Applies what is committed up to an index, and remembers the answers that somebody waits for.
    pub(super) fn apply(&mut self, index: u64) {
        while self.state.applied() < index {
            let next = self.state.applied() + 1;
            let Some(entry) = self.entries.get(next) else {
                debug_assert!(false, "what is committed is in the log");
                return;
            };
            let id = entry.id;
            let change = entry.change.decode();
            let lock = match &change.command {
                Command::Lock(command) => Some(Arc::clone(command.name())),
                _ => None,
            };
            let surroundings = &mut Surroundings { now: self.wall.0, dice: &mut self.dice };
            let mut answer = self.state.apply_in(next, change, surroundings);
            self.counters.applied += 1;
            if let Some(name) = lock {
                self.count_lease(&name);
                self.tell_time_left(&name, &mut answer);
            }
            let answer = self.compared.remove(&id).unwrap_or(answer);
            let Role::Leader(leader) = &mut self.role else { continue };
            if leader.pending.front().is_some_and(|(pending, _)| *pending == id)
                && let Some((_, origin)) = leader.pending.pop_front()
            {
                leader.answered.push_back(Answered { id, origin, answer });
            }
        }
    }

    /// Answers the writers of all that is acknowledged.
    fn answer_acknowledged(&mut self) {
        let acknowledgement = self.acknowledgement();
        while let Role::Leader(leader) = &mut self.role
            && leader.answered.front().is_some_and(|write| write.id.index <= leader.acknowledged)
            && let Some(Answered { id, origin, answer }) = leader.answered.pop_front()
        {
            let source = Source {
                // A snapshot may stand for the entry by now.
                gtid: Some(id),
                acknowledgement: Some(acknowledgement),
                ..self.source(id.index)
            };
            self.reply(origin, Outcome::Done { answer, source });
        }
    }

    /// Answers a request that happened; `index` goes into the answer's source.
    pub(super) fn reply_done(&mut self, origin: Origin, answer: Answer, index: u64) {
        let source = self.source(index);
        self.reply(origin, Outcome::Done { answer, source });
    }

    /// Answers a request where it came from.
    pub(super) fn reply(&mut self, origin: Origin, outcome: Outcome) {
        match origin {
            Origin::Client(id) => self.effects.push(Effect::Reply { id, outcome }),
            Origin::Peer(node, id) => self.forwarded(node, id, outcome),
        }
    }

    fn forwarded(&mut self, to: NodeId, id: u64, outcome: Outcome) {
        self.send(to, Message::Forwarded { id, outcome });
    }
}
