//! When a write is committed, and so applied and acknowledged: `replication`, `commit-own-epoch`.

use super::leader::Origin;
use super::{Core, Effect, Message, NodeId, Outcome, Role, reached_by};
use crate::config::Replication;
use crate::state::Answer;

impl Core {
    /// Called whenever a position that may count has moved: decides how far the leader has
    /// committed.
    pub(super) fn acknowledge(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let committed = match self.settings.replication {
            // The leader's own disk is one of the majority, not a condition.
            Replication::Quorum => {
                let followers = leader.followers.values().map(|progress| progress.matched);
                reached_by(self.majority(), self.durable, followers)
            }
            Replication::Async => self.durable,
        };
        if committed <= self.committed {
            return;
        }
        // An entry of an older epoch that a majority holds can still be replaced by a leader who
        // never saw it (Raft, section 5.4.2, figure 8). Only an entry of the leader's own epoch
        // settles what stands before it.
        let own = self.entries.id_at(committed).is_some_and(|id| id.claim == leader.claim);
        if self.settings.commit_own_epoch && !own {
            return;
        }
        self.commit(committed);
    }

    /// Commits up to an index that is in the log, applies, and answers whoever waits.
    pub(super) fn commit(&mut self, index: u64) {
        if index <= self.committed {
            return;
        }
        self.committed = index;
        self.counters.committed += index - self.state.applied();
        while self.state.applied() < index {
            let next = self.state.applied() + 1;
            let Some(entry) = self.entries.get(next) else {
                debug_assert!(false, "what is committed is in the log");
                return;
            };
            let id = entry.id;
            let answer = self.state.apply(next, entry.change.decode());
            self.counters.applied += 1;
            let Role::Leader(leader) = &mut self.role else { continue };
            if leader.pending.front().is_some_and(|(pending, _)| *pending == id)
                && let Some((_, origin)) = leader.pending.pop_front()
            {
                self.reply_done(origin, answer, next);
            }
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
