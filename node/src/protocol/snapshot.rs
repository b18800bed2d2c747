//! Snapshots: what stands for the entries that are no longer in the log.
//!
//! A node saves its state machine now and then. When that is on disk, the entries up to the
//! snapshot *before* it are released, in memory and on disk: what lies between the two stays for
//! followers that are a little behind, and so that a diverged node can rebuild its state from the
//! older one. A follower that needs a released entry is sent the leader's newest snapshot instead,
//! in chunks, while writes go on; it saves it, begins its log anew behind it and goes on with
//! entries.
//!
//! Which snapshot and which log fit together must be plain after any crash:
//!
//! - A node's own snapshot is taken of entries that are on its disk, so its log holds the last.
//! - One that was received is saved first and the log begins anew afterwards ([`Note::Base`]). In
//!   between the log may hold nothing of it; then the snapshot counts and the log does not.
//! - A cut behind the newest snapshot's back first saves the one that it still rests on.

use std::sync::Arc;

use super::entry::{Claim, Encoded, EntryId, NodeId};
use super::leader::Transfer;
use super::{Core, Effect, Held, Lineage, Message, Note, Plant, Report, Role, WallTime};
use crate::state::State;

/// Bytes of a snapshot in one message: as with entries, heartbeats are not held up.
const CHUNK_BYTES: usize = 1 << 20;

/// Largest snapshot that is accepted from another node. It is put together in memory.
const IMAGE_BYTES_MAX: u64 = 1 << 30;

/// Fewest bytes of commands between two snapshots that are not due by their number.
const SNAPSHOT_BYTES: u64 = 8 << 20;

/// The version byte of an image.
const IMAGE_VERSION: u8 = 5;

/// The state machine after an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The last entry that was applied.
    pub last: EntryId,
    /// When that was written.
    pub written: WallTime,
    /// Who appended what up to there.
    pub lineage: Lineage,
    /// The state, idempotency keys included.
    pub state: State,
}

/// What can be wrong with a snapshot's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// Another version's.
    #[error(
        "expected snapshot version {IMAGE_VERSION}, got {0}; \
         help: start the version of splitbrain that wrote it"
    )]
    Version(u8),
    /// The checksum does not match.
    #[error("expected an intact snapshot, got other bytes; help: restore it from a copy")]
    Damaged,
}

impl Default for Snapshot {
    /// Before the first entry.
    fn default() -> Self {
        Snapshot {
            last: EntryId::ORIGIN,
            written: WallTime::default(),
            lineage: Lineage::default(),
            state: State::default(),
        }
    }
}

impl Snapshot {
    /// Its bytes, for disk and wire: version, CRC32C of what follows, then postcard.
    ///
    /// # Panics
    /// Never: encoding plain data into memory cannot fail.
    pub fn encode(&self) -> Vec<u8> {
        let image = vec![IMAGE_VERSION, 0, 0, 0, 0];
        let image =
            postcard::to_extend(&(self.last, self.written, &self.lineage, &self.state), image);
        let mut image = image.expect("plain data encodes into memory");
        let sum = crc32c::crc32c(&image[5..]);
        image[1..5].copy_from_slice(&sum.to_le_bytes());
        image
    }

    /// The inverse of [`Snapshot::encode`].
    ///
    /// # Errors
    /// When the version or the checksum is not the expected one.
    pub fn decode(image: &[u8]) -> Result<Self, ImageError> {
        let Some((&[version, ref sum @ ..], body)) = image.split_first_chunk::<5>() else {
            return Err(ImageError::Damaged);
        };
        if version != IMAGE_VERSION {
            return Err(ImageError::Version(version));
        }
        if crc32c::crc32c(body) != u32::from_le_bytes(*sum) {
            return Err(ImageError::Damaged);
        }
        let (last, written, lineage, state): (EntryId, WallTime, Lineage, State) =
            postcard::from_bytes(body).map_err(|_| ImageError::Damaged)?;
        if last.index != state.applied() {
            return Err(ImageError::Damaged);
        }
        Ok(Snapshot { last, written, lineage, state })
    }
}

/// The snapshots of a node.
#[derive(Debug)]
pub(super) struct Snapshots {
    /// The entries in memory begin behind this one.
    pub(super) base: Arc<Snapshot>,
    /// The one on disk; the base, or a later one.
    pub(super) newest: Arc<Snapshot>,
    /// One that is on its way to disk.
    saving: Option<Saving>,
    /// The number of the last that was handed to the disk.
    number: u64,
    /// How many bytes the newest takes.
    bytes: u64,
    /// One that is being received.
    incoming: Option<Incoming>,
    /// Up to where the log on disk may be purged once the batch is written.
    purge: Option<u64>,
}

#[derive(Debug)]
struct Saving {
    number: u64,
    snapshot: Arc<Snapshot>,
    /// If it was received: what it may replace although that was committed here.
    received: Option<Option<EntryId>>,
}

#[derive(Debug)]
struct Incoming {
    claim: Claim,
    last: EntryId,
    size: u64,
    bytes: Vec<u8>,
}

impl Snapshots {
    pub(super) fn new(newest: Arc<Snapshot>) -> Self {
        Snapshots {
            base: Arc::clone(&newest),
            newest,
            saving: None,
            number: 0,
            bytes: 0,
            incoming: None,
            purge: None,
        }
    }
}

impl Core {
    /// Called at the end of every batch: saves the state machine when enough has happened since
    /// the last time: in proportion to its size, so that a large one is not saved all the time.
    pub(super) fn consider_snapshot(&mut self) {
        let applied = self.state.applied();
        let since = applied - self.snapshots.newest.last.index.min(applied);
        // What is on disk decides what a restart finds, so nothing else may be in a snapshot.
        if self.snapshots.saving.is_some() || applied > self.durable || since == 0 {
            return;
        }
        let bytes = self.entries.bytes_upto(applied)
            - self.entries.bytes_upto(self.snapshots.newest.last.index);
        let many = since >= self.settings.snapshot_entries.max(self.state.len() as u64);
        let much = bytes >= SNAPSHOT_BYTES.max(2 * self.snapshots.bytes);
        if !many && !much {
            return;
        }
        let Some(last) = self.entries.id_at(applied) else { return };
        let mut state = self.state.clone();
        if self.plant(Plant::SnapshotWithoutKeys) {
            state.forget_keys();
        }
        if self.plant(Plant::SnapshotWithoutLastEntry) {
            state = self.state_without_last_entry();
        }
        let lineage = self.entries.lineage().upto(applied);
        let Some(written) = self.entries.get(applied).map(|entry| entry.written) else { return };
        self.save(Arc::new(Snapshot { last, written, lineage, state }), None);
    }

    fn save(&mut self, snapshot: Arc<Snapshot>, received: Option<Option<EntryId>>) {
        self.snapshots.number += 1;
        let number = self.snapshots.number;
        self.effects.push(Effect::Save {
            number,
            snapshot: Arc::clone(&snapshot),
            received: received.is_some(),
            at_once: false,
        });
        self.snapshots.saving = Some(Saving { number, snapshot, received });
    }

    /// Puts the newest snapshot on disk in place of one that no longer fits the log.
    fn save_newest_again(&mut self) {
        self.snapshots.number += 1;
        self.effects.push(Effect::Save {
            number: self.snapshots.number,
            snapshot: Arc::clone(&self.snapshots.newest),
            received: false,
            at_once: true,
        });
    }

    /// A snapshot is on disk.
    pub(super) fn saved(&mut self, number: u64, bytes: u64) {
        let Some(Saving { snapshot, received, .. }) =
            self.snapshots.saving.take_if(|saving| saving.number == number)
        else {
            return;
        };
        self.snapshots.bytes = bytes;
        match received {
            Some(replaces) => self.install(snapshot, replaces),
            None => {
                self.report(Report::Saved(snapshot.last, bytes));
                self.snapshots.base = std::mem::replace(&mut self.snapshots.newest, snapshot);
                let base = self.snapshots.base.last;
                if base.index > self.entries.base().index {
                    self.entries.release(base);
                    self.purge_upto(base.index);
                }
            }
        }
    }

    /// Lets the log on disk go up to an index. What it must not forget is written again first.
    fn purge_upto(&mut self, index: u64) {
        self.barrier.write(Note::Hard(self.durable_hard()));
        self.barrier.write(self.member_note());
        self.snapshots.purge = Some(index);
    }

    /// What the log may let go of, now that the batch that must survive it is on its way.
    pub(super) fn purge(&mut self) -> Option<u64> {
        self.snapshots.purge.take()
    }

    /// The log is about to be cut after an index: a snapshot of what is cut is none any more.
    pub(super) fn snapshots_cut_after(&mut self, index: u64) {
        let doomed =
            |saving: &mut Saving| saving.received.is_none() && saving.snapshot.last.index > index;
        let was_saving = self.snapshots.saving.take_if(doomed).is_some();
        let was_newest = self.snapshots.newest.last.index > index;
        if was_newest {
            self.snapshots.newest = Arc::clone(&self.snapshots.base);
        }
        if was_saving || was_newest {
            self.save_newest_again();
        }
    }

    // --- the leader's side ---

    /// Begins to send a follower the newest snapshot, since the log no longer has what it needs,
    /// or nothing in the log can follow `replaces`, before which the follower has nothing.
    pub(super) fn start_transfer(&mut self, to: NodeId, replaces: Option<EntryId>) {
        let Role::Leader(leader) = &mut self.role else { return };
        let newest = &self.snapshots.newest;
        let fits = newest.last.index >= self.entries.base().index.max(1);
        let (last, image) = if fits {
            let same = leader.followers.values().filter_map(|other| other.transfer.as_ref());
            let mut image =
                same.filter(|other| other.last == newest.last).map(|other| &other.image);
            let image = image.next().cloned();
            (newest.last, image.unwrap_or_else(|| Encoded(Arc::from(newest.encode()))))
        } else {
            let Some(last) = self.entries.id_at(self.state.applied()) else { return };
            let lineage = self.entries.lineage().upto(last.index);
            let entry = self.entries.get(last.index);
            let written = entry.map_or(self.snapshots.base.written, |entry| entry.written);
            let now = Snapshot { last, written, lineage, state: self.state.clone() };
            (last, Encoded(Arc::from(now.encode())))
        };
        let size = image.0.len() as u64;
        let Some(progress) = leader.followers.get_mut(&to) else { return };
        progress.probing = true;
        progress.transfer = Some(Transfer { last, replaces, image, acked: 0, sent_in: 0 });
        self.counters.snapshots_sent += 1;
        self.report(Report::Sends { last, to, bytes: size });
        self.send_chunk(to, true);
    }

    /// Sends a follower the next chunk of its snapshot, or only asks how far it is.
    pub(super) fn send_chunk(&mut self, to: NodeId, with_bytes: bool) {
        let Role::Leader(leader) = &mut self.role else { return };
        let (claim, round) = (leader.claim, leader.round);
        let Some(progress) = leader.followers.get_mut(&to) else { return };
        let Some(transfer) = &mut progress.transfer else { return };
        let offset = transfer.acked;
        let rest = &transfer.image.0[offset as usize..];
        let chunk = if with_bytes { &rest[..rest.len().min(CHUNK_BYTES)] } else { &[] };
        if with_bytes {
            transfer.sent_in = round;
        }
        let message = Message::Snapshot {
            claim,
            round,
            last: transfer.last,
            replaces: transfer.replaces,
            size: transfer.image.0.len() as u64,
            offset,
            chunk: Encoded(Arc::from(chunk)),
        };
        self.send(to, message);
    }

    /// A follower holds the beginning of a snapshot.
    pub(super) fn on_snapshot_got(
        &mut self,
        from: NodeId,
        claim: Claim,
        round: u64,
        last: EntryId,
        upto: u64,
    ) {
        self.on_answer(from, claim, round);
        let Some(leader) = self.leads_as(claim) else { return };
        let Some(progress) = leader.followers.get_mut(&from) else { return };
        let Some(transfer) = progress.transfer.as_mut().filter(|t| t.last == last) else { return };
        let size = transfer.image.0.len() as u64;
        // An answer to a later round than the one in which bytes were sent: they were lost, or the
        // follower has forgotten them.
        let lost = upto <= transfer.acked && round > transfer.sent_in;
        let news = upto > transfer.acked;
        if (news || lost) && upto <= size {
            transfer.acked = upto;
            if upto < size {
                self.send_chunk(from, true);
            }
        }
    }

    // --- the follower's side ---

    /// A part of the leader's snapshot.
    #[expect(clippy::too_many_arguments, reason = "they are the fields of one message")]
    pub(super) fn on_snapshot(
        &mut self,
        claim: Claim,
        round: u64,
        last: EntryId,
        replaces: Option<EntryId>,
        size: u64,
        offset: u64,
        chunk: &[u8],
    ) {
        if !self.admit(claim) {
            return;
        }
        self.leader_heard(claim);
        if self.entries.contains(last) {
            self.snapshots.incoming = None;
            let life = self.life;
            self.answer_round(claim, round, Message::Alive { claim, round, life });
            let matched = Message::Matched { claim, round, life, upto: last };
            return self.once_durable(Held::Send(claim.leader, matched));
        }
        if !self.wants(last, replaces) {
            // What is committed here is later than that. The leader's log goes on from there, or it
            // has never had that entry, and says so.
            self.snapshots.incoming = None;
            let Some(hint) = self.entries.id_at(self.committed) else { return };
            let message = Message::Mismatch { claim, round, prev: last.index, hint };
            return self.answer_round(claim, round, message);
        }
        if size > IMAGE_BYTES_MAX {
            return self.report(Report::TooLarge { last, bytes: size });
        }
        let upto = self.receive_chunk(claim, last, size, offset, chunk);
        self.answer_round(claim, round, Message::SnapshotGot { claim, round, last, upto });
        if upto == size && self.snapshots.saving.is_none() {
            self.save_received(replaces);
        }
    }

    /// Whether a snapshot that is not in this log is to take the place of the log. What was
    /// committed here is given up only for a leader that says that it never had it.
    fn wants(&self, last: EntryId, replaces: Option<EntryId>) -> bool {
        let leads = matches!(self.role, Role::Leader(_));
        let diverged = replaces.is_some_and(|entry| self.entries.contains(entry));
        !leads && (last.index > self.committed || diverged)
    }

    /// Keeps a chunk if it is the next one. Returns how many bytes are there.
    fn receive_chunk(
        &mut self,
        claim: Claim,
        last: EntryId,
        size: u64,
        offset: u64,
        chunk: &[u8],
    ) -> u64 {
        let fresh = || Incoming { claim, last, size, bytes: Vec::new() };
        let incoming = self.snapshots.incoming.get_or_insert_with(fresh);
        // Two leaders, or one at two times, may encode the same state differently.
        if (incoming.claim, incoming.last, incoming.size) != (claim, last, size) {
            *incoming = fresh();
        }
        let have = incoming.bytes.len() as u64;
        if offset == have && have + chunk.len() as u64 <= size {
            incoming.bytes.extend_from_slice(chunk);
        }
        incoming.bytes.len() as u64
    }

    fn save_received(&mut self, replaces: Option<EntryId>) {
        let Some(incoming) = self.snapshots.incoming.take() else { return };
        match Snapshot::decode(&incoming.bytes) {
            Ok(snapshot) if snapshot.last == incoming.last => {
                self.save(Arc::new(snapshot), Some(replaces));
            }
            // It begins again with the next message.
            _ => self.report(Report::Damaged(incoming.last)),
        }
    }

    /// A received snapshot is on disk: it takes the place of the log.
    fn install(&mut self, snapshot: Arc<Snapshot>, replaces: Option<EntryId>) {
        let last = snapshot.last;
        if self.entries.contains(last) {
            // Its entries came by themselves meanwhile.
            if last.index <= self.committed {
                self.snapshots.newest = snapshot;
            } else {
                self.save_newest_again();
            }
            return;
        }
        if !self.wants(last, replaces) {
            return self.save_newest_again();
        }
        // From here on the two logs are known to differ.
        let differ = replaces.map_or(last.index, |entry| entry.index.min(last.index));
        self.archive_after(differ.saturating_sub(1));
        self.barrier.write(Note::Base(last));
        self.entries = super::Entries::behind(last);
        self.entries.descend_from(&snapshot.lineage);
        self.state = snapshot.state.clone();
        self.committed = last.index;
        self.relay.cut_after(0);
        self.durable = 0;
        self.snapshots.base = Arc::clone(&snapshot);
        self.snapshots.newest = snapshot;
        self.configure_by_log();
        self.counters.snapshots_installed += 1;
        self.report(Report::Installed(last));
        self.purge_upto(last.index);
        self.once_durable(Held::Durable(last));
        if let Role::Follower { upstream: Some(claim), round } = self.role {
            let life = self.life;
            let matched = Message::Matched { claim, round, life, upto: last };
            self.once_durable(Held::Send(claim.leader, matched));
        }
    }

    /// Archives what is proven to be no part of the leader's log, and is about to be dropped.
    fn archive_after(&mut self, index: u64) {
        let cut = self.entries.cut_after(index);
        let Some(first) = cut.first().map(|entry| entry.id.index) else { return };
        let upstream = self.hard.claim;
        let (committed, entries) = (self.committed, cut.len() as u64);
        self.counters.truncated += entries;
        let lost = committed.saturating_sub(first - 1).min(entries);
        self.report(Report::Truncated { after: first - 1, entries, committed: lost });
        self.effects.push(Effect::Archive { entries: cut, committed, upstream });
    }
}
