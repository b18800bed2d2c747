//! The leader's side of replication: what to send to whom, and what the answers mean.
//!
//! A follower whose log is known to agree gets entries as they come, without waiting for answers,
//! up to a window; one whose place is not known is probed with empty messages until an answer says
//! where the logs agree. So a follower that cannot be reached is sent nothing large, and a link
//! that comes back has little that is outdated to deliver. The leader sends before its own disk
//! has the entries.

use super::entry::{Claim, EntryId, NodeId};
use super::{Core, Message, Report, Role, Vouched};

/// Most entries in one message, so that a follower that catches up answers in between.
pub(super) const RUN_ENTRIES_MAX: usize = 4096;

/// Most bytes of commands in one message, unless one entry alone is larger. A frame of this size
/// passes a loopback link in about a millisecond, so heartbeats are not held up.
pub(super) const RUN_BYTES_MAX: u64 = 1 << 20;

/// Most bytes and entries sent ahead of a follower's answers. A follower that does not answer
/// costs no more than this, however long it stays away.
const WINDOW_BYTES_MAX: u64 = 4 << 20;
const WINDOW_ENTRIES_MAX: u64 = 16_384;

impl Core {
    /// Begins a new round: every follower is sent something now, entries if it needs any.
    pub(super) fn heartbeat(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        leader.round += 1;
        leader.told = self.committed;
        leader.heartbeat_at = self.now + self.settings.heartbeat;
        leader.round_begins(self.now);
        self.confirm_with_next_round();
        self.arrange_chain();
        for at in 0..self.peers.len() {
            self.send_entries(self.peers[at], true);
        }
        self.review_contact();
        self.confirm_reads();
    }

    /// Sends what followers need and have room for.
    pub(super) fn replicate(&mut self) {
        for at in 0..self.peers.len() {
            while self.send_entries(self.peers[at], false) {}
        }
    }

    /// Sends one message of entries, or without any a heartbeat if `beat`. Whether entries that
    /// may be sent at once are left. Who gets them from another follower is sent heartbeats only.
    fn send_entries(&mut self, to: NodeId, beat: bool) -> bool {
        let Role::Leader(leader) = &mut self.role else { return false };
        let Some(progress) = leader.followers.get_mut(&to) else { return false };
        if progress.transfer.is_some() {
            if beat {
                self.send_chunk(to, false);
            }
            return false;
        }
        if progress.next <= self.entries.base().index {
            self.start_transfer(to, None);
            return false;
        }
        let last = self.entries.last_index();
        let sent = progress.next - 1;
        let ahead = self.entries.bytes_upto(sent) - self.entries.bytes_upto(progress.matched);
        let room = ahead < WINDOW_BYTES_MAX && sent - progress.matched < WINDOW_ENTRIES_MAX;
        let handed_on = progress.feed.parent.is_some();
        let has_news = sent < last && room && !progress.probing && !handed_on;
        if !beat && !has_news {
            return false;
        }
        let entries = if has_news {
            self.entries.run(progress.next, RUN_ENTRIES_MAX, RUN_BYTES_MAX)
        } else {
            Vec::new()
        };
        let Some(prev) = self.entries.id_at(sent) else {
            debug_assert!(false, "a leader has sent no more than it holds");
            return false;
        };
        progress.next += entries.len() as u64;
        let more = has_news && progress.next <= last;
        let message = Message::Append {
            claim: leader.claim,
            round: leader.round,
            prev,
            entries,
            committed: self.committed,
            vouched: progress.vouched,
        };
        self.send(to, message);
        more
    }

    /// A follower still follows, and says which process of it that was.
    pub(super) fn on_alive(&mut self, from: NodeId, claim: Claim, answered: Vouched) {
        if let Some(leader) = self.leads_as(claim)
            && let Some(progress) = leader.followers.get_mut(&from)
        {
            let known = &mut progress.answered;
            // Answers may come in any order, and those of an earlier process late.
            let later = answered.life != known.life || answered.round > known.round;
            *known = if later { answered } else { *known };
        }
        self.on_answer(from, claim, answered.round);
    }

    /// A follower has answered a round.
    pub(super) fn on_answer(&mut self, from: NodeId, claim: Claim, round: u64) {
        let now = self.now;
        let Some(leader) = self.leads_as(claim) else { return };
        let Some(progress) = leader.followers.get_mut(&from) else { return };
        progress.heard = now;
        progress.round = progress.round.max(round);
        self.review_contact();
        self.confirm_reads();
    }

    /// A follower holds the leader's log up to an entry, on disk.
    pub(super) fn on_matched(
        &mut self,
        from: NodeId,
        claim: Claim,
        answered: Vouched,
        upto: EntryId,
    ) {
        self.on_alive(from, claim, answered);
        // The claim says that the answer belongs to this leadership; the identity says that it
        // speaks of an entry this leader has, or had when it began to send it a snapshot. A number
        // alone would say neither.
        let held = self.entries.contains(upto);
        let base = self.entries.base().index;
        let Some(leader) = self.leads_as(claim) else { return };
        let Some(progress) = leader.followers.get_mut(&from) else { return };
        let sent = progress.transfer.as_ref().map(|transfer| transfer.last);
        if !held && sent != Some(upto) {
            return;
        }
        progress.matched = progress.matched.max(upto.index);
        // The log has what follows, or the snapshot has arrived.
        if sent.is_some_and(|last| upto.index >= base || upto.index >= last.index) {
            progress.transfer = None;
        }
        if progress.transfer.is_some() {
            return self.acknowledge();
        }
        let found = progress.probing.then_some(progress.matched);
        if progress.probing {
            progress.probing = false;
            progress.next = progress.matched + 1;
        } else {
            progress.next = progress.next.max(progress.matched + 1);
        }
        if let Some(matched) = found {
            self.tell_what_it_lacks(from, matched);
        }
        self.review_in_sync(from);
        self.acknowledge();
    }

    fn tell_what_it_lacks(&mut self, follower: NodeId, matched: u64) {
        let lacks = self.entries.lineage().between(matched, self.entries.last_index());
        if !lacks.is_empty() {
            self.report(Report::CatchesUp(follower, lacks));
        }
    }

    /// A follower has the leader's log up to an entry in memory.
    pub(super) fn on_received(&mut self, from: NodeId, claim: Claim, upto: EntryId) {
        let held = self.entries.contains(upto);
        let Some(leader) = self.leads_as(claim) else { return };
        let Some(progress) = leader.followers.get_mut(&from) else { return };
        if held && !progress.probing {
            progress.received = progress.received.max(upto.index);
            self.review_in_sync(from);
            self.acknowledge();
        }
    }

    /// A follower has applied the leader's log up to an entry.
    pub(super) fn on_applied(&mut self, from: NodeId, claim: Claim, upto: EntryId) {
        let held = self.entries.contains(upto);
        let Some(leader) = self.leads_as(claim) else { return };
        let Some(progress) = leader.followers.get_mut(&from) else { return };
        if held {
            progress.applied = progress.applied.max(upto.index);
            self.review_in_sync(from);
            self.acknowledge();
        }
    }

    /// A follower does not hold the entry before the ones it was sent.
    pub(super) fn on_mismatch(
        &mut self,
        from: NodeId,
        claim: Claim,
        round: u64,
        prev: u64,
        hint: EntryId,
    ) {
        self.on_answer(from, claim, round);
        let floor = hint.index >= prev;
        // The hint may be newer than anything this leader has, or older than what it knows by now;
        // it only says where to look next. Before its floor a follower has nothing to look at.
        let guess = if floor {
            hint
        } else {
            self.entries.last_not_after(hint.index.min(prev.saturating_sub(1)), hint.claim)
        };
        let (held, base) = (self.entries.contains(guess), self.entries.base().index);
        let Some(leader) = self.leads_as(claim) else { return };
        let Some(progress) = leader.followers.get_mut(&from) else { return };
        let asked = match &progress.transfer {
            Some(transfer) => floor && prev == transfer.last.index,
            None => !progress.probing || prev == progress.next - 1,
        };
        // What it has confirmed it holds, so this is a late answer. Every log holds what is before
        // the first entry, but one that begins behind a snapshot has let go of it.
        let late = progress.matched > 0 && prev <= progress.matched;
        if late || !asked {
            return;
        }
        progress.transfer = None;
        progress.probing = true;
        // What it had in memory only, it may have lost.
        progress.received = progress.matched;
        if floor && !held && guess.index >= base {
            // The follower has committed what this leader never had.
            return self.start_transfer(from, Some(guess));
        }
        if !floor && prev <= base {
            // Nothing that this leader still has will do.
            return self.start_transfer(from, None);
        }
        progress.next = guess.index.max(progress.matched) + 1;
        self.send_entries(from, true);
    }
}
