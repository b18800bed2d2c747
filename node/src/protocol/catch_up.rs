//! The follower's side of replication: where an upstream's entries may be joined to this log, and
//! what must be cut before: `log-matching`.
//!
//! Everything goes by identity. An entry that is already present is skipped, so a late or repeated
//! message cuts nothing; a different entry at the same index proves that this log has diverged from
//! there, so the rest is archived, cut, and the state machine is rebuilt from a snapshot and what
//! is left.

use super::entry::{Claim, Entry, EntryId};
use super::{Core, Effect, Held, Message, Note, Plant, Report, Role, Vouched};
use crate::config::Level;
use crate::state::{State, Surroundings};

impl Core {
    /// Entries, or a heartbeat, from somebody who claims to lead.
    pub(super) fn on_append(
        &mut self,
        claim: Claim,
        round: u64,
        prev: EntryId,
        entries: Vec<Entry>,
        (committed, vouched): (u64, Vouched),
    ) {
        if !self.admit(claim) {
            return;
        }
        self.leader_heard(claim);
        self.freshness.heard(round, self.now);
        self.freshness.upstream_committed = committed;
        if !self.joins(prev) {
            let hint = self.agreement_hint(prev);
            let message = Message::Mismatch { claim, round, prev: prev.index, hint };
            return self.answer_round(claim, round, message);
        }
        let (matched, life) = (prev.index + entries.len() as u64, self.life);
        self.store(claim, prev.index, entries);
        if self.entries.id_at(matched).is_none() {
            return;
        }
        let matched = self.agree(claim, matched);
        if !self.barrier.is_flushed(self.barrier.newest()) {
            // The entries must wait for the disk, the confirmation of the leader need not.
            self.answer_round(claim, round, Message::Alive { claim, round, life });
        }
        self.confirm_held(claim, round, matched);
        self.hand_on();
        if committed <= matched && vouched.life == self.life {
            self.freshness.vouched(vouched.round, committed);
        }
        self.commit_upto(claim, committed, matched);
    }

    /// Tells the leader that this log is its log up to an index, as soon as that is so.
    pub(super) fn confirm_held(&mut self, claim: Claim, round: u64, matched: u64) {
        let life = self.life;
        let Some(upto) = self.entries.id_at(matched) else { return };
        if self.settings.level == Level::Received {
            self.confirm(claim, Message::Received { claim, upto });
        }
        self.once_durable(Held::Durable(self.entries.last()));
        self.once_durable(Held::Send(claim.leader, Message::Matched { claim, round, life, upto }));
    }

    /// Commits what the leader has committed, as far as this log is its log.
    pub(super) fn commit_upto(&mut self, claim: Claim, committed: u64, matched: u64) {
        if self.plant(Plant::CommitUnmatched) {
            self.commit(committed.min(self.entries.last_index()));
        }
        self.commit(committed.min(matched));
        self.freshness.applied(self.state.applied());
        let applied = self.state.applied().min(matched);
        if self.settings.level == Level::Applied
            && let Some(upto) = self.entries.id_at(applied)
        {
            self.confirm(claim, Message::Applied { claim, upto });
        }
    }

    /// Whether entries that follow `prev` at the leader may follow it here.
    pub(super) fn joins(&self, prev: EntryId) -> bool {
        if self.settings.log_matching {
            // Two logs that agree on one entry agree on everything before it (Raft, section 5.3).
            self.entries.contains(prev)
        } else {
            self.entries.id_at(prev.index).is_some()
        }
    }

    /// The last of this log's entries that an upstream with `prev` may hold too, or the base.
    fn agreement_hint(&self, prev: EntryId) -> EntryId {
        self.entries.last_not_after(prev.index.saturating_sub(1), prev.claim)
    }

    /// Tells the leader that it is still followed, as soon as the promise to its epoch is on disk
    /// and not later. Repeats of a round are answered only with something to say.
    pub(super) fn answer_round(&mut self, claim: Claim, round: u64, message: Message) {
        let Role::Follower { round: answered, .. } = &mut self.role else { return };
        let repeated = *answered >= round;
        *answered = round.max(*answered);
        if repeated && matches!(message, Message::Alive { .. }) {
            return;
        }
        self.confirm(claim, message);
    }

    /// Tells the leader something that needs no entry on disk, but the promise to its epoch.
    fn confirm(&mut self, claim: Claim, message: Message) {
        if self.barrier.is_flushed(self.hard_token) {
            self.send(claim.leader, message);
        } else {
            self.once_durable(Held::Send(claim.leader, message));
        }
    }

    /// Makes this log continue after `prev` with these entries.
    pub(super) fn store(&mut self, upstream: Claim, prev: u64, entries: Vec<Entry>) {
        for (index, entry) in (prev + 1..).zip(entries) {
            if entry.id.index != index {
                debug_assert!(false, "a message holds entries without holes");
                return;
            }
            match self.entries.id_at(index) {
                Some(id) if id == entry.id && !self.plant(Plant::TruncateWithoutConflict) => {
                    continue;
                }
                Some(_) => self.cut_after(index - 1, upstream),
                None => {}
            }
            self.entries.push(entry.clone());
            self.configure_by(&entry);
            self.barrier.write(Note::Entry(entry));
            self.counters.appended += 1;
        }
    }

    /// Cuts everything after an index, archives it first, and takes back what was applied of it.
    pub(super) fn cut_after(&mut self, index: u64, upstream: Claim) {
        self.snapshots_cut_after(index);
        self.relay.cut_after(index);
        self.place.cut_after(index);
        let committed = self.committed;
        let cut = self.entries.cut_after(index);
        let count = cut.len() as u64;
        if cut.iter().any(|entry| entry.change.is_configuration()) {
            self.configure_by_log();
        }
        self.counters.truncated += count;
        self.report(Report::Truncated {
            after: index,
            entries: count,
            committed: committed.saturating_sub(index),
        });
        self.effects.push(Effect::Archive { entries: cut, committed, upstream });
        self.barrier.write(Note::Truncate(index));
        self.durable = self.durable.min(index);
        self.committed = self.committed.min(index);
        if self.state.applied() > index {
            self.state = self.state_at(index);
        }
    }

    /// The state after an index, from the snapshot before the log and the log.
    pub(super) fn state_at(&mut self, index: u64) -> State {
        let mut state = self.snapshots.base.state.clone();
        for entry in self.entries.after(0).take_while(|entry| entry.id.index <= index) {
            let surroundings = &mut Surroundings { now: self.wall.0, dice: &mut self.dice };
            state.apply_in(entry.id.index, entry.change.decode(), surroundings);
        }
        state
    }
}
