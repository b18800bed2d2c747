//! What simulated disks do: writes take their time and end in order, snapshots take longer, and
//! what was not flushed dies with the process, but for a prefix, as after a loss of power.
//!
//! What a crash takes are whole records: that a frame which is torn by sectors counts as none is the
//! log's work (`log/crash_tests.rs`). A sync that fails ends the node with any prefix of what was
//! pending on its disk, since the page cache may show the next start all of it, which then makes it
//! durable.

use std::time::Duration;

use rand::RngExt;

use super::super::super::{Input, NodeId, Note, Saved, Snapshot, Token};
use super::super::referee::Violation;
use super::{Event, World};

impl World {
    pub(super) fn persist(&mut self, id: NodeId, notes: Vec<Note>, token: Token) {
        let flush_max = self.shape.flush_max.as_micros() as u64;
        let takes = Duration::from_micros(self.random.random_range(50..=flush_max));
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.pending.push_back((token, notes));
        node.disk_busy_until = node.disk_busy_until.max(self.now) + takes;
        let (at, life) = (node.disk_busy_until, node.life);
        self.at(at, Event::Flushed { node: id, life, token });
    }

    pub(super) fn save(
        &mut self,
        id: NodeId,
        number: u64,
        saved: Saved,
        at_once: bool,
    ) -> Result<(), Violation> {
        let image = saved.snapshot.encode();
        let again = Snapshot::decode(&image);
        if again.as_ref() != Ok(&*saved.snapshot) {
            return Err(format!("{id}: a snapshot is not what it was after it was read back"));
        }
        let takes = Duration::from_micros(self.random.random_range(100..200_000));
        let Some(node) = self.nodes.get_mut(&id) else { return Ok(()) };
        if at_once {
            // What was on its way before is on disk before, and nobody waits for it.
            node.saves_at = self.now;
            node.saved = saved;
            node.overtaken = number;
            return Ok(());
        }
        node.saves_at = node.saves_at.max(self.now) + takes;
        let (at, life) = (node.saves_at, node.life);
        self.at(at, Event::Written { node: id, life, number, saved });
        Ok(())
    }

    pub(super) fn written(
        &mut self,
        id: NodeId,
        life: u32,
        number: u64,
        saved: Saved,
    ) -> Result<(), Violation> {
        let Some(node) = self.nodes.get_mut(&id) else { return Ok(()) };
        if node.life != life || number < node.overtaken {
            return Ok(());
        }
        node.saved = saved;
        self.step(id, Input::Saved { number, bytes: 0 })
    }

    /// Lets go of the oldest records, as a disk with very small segments would.
    pub(super) fn purge(&mut self, id: NodeId, upto: u64) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        // The log writes what was submitted before it lets go of anything.
        let pending = std::mem::take(&mut node.pending);
        for (token, notes) in pending {
            node.disk.extend(notes);
            node.pending.push_back((token, Vec::new()));
        }
        let gone = node.disk.iter().position(|note| match note {
            Note::Entry(entry) => entry.id.index > upto,
            _ => false,
        });
        let gone = gone.unwrap_or(node.disk.len());
        let last_hard = node.disk.iter().rposition(|note| matches!(note, Note::Hard(_)));
        let last_member = node.disk.iter().rposition(|note| matches!(note, Note::Member(_)));
        let gone = gone.min(last_hard.unwrap_or(0)).min(last_member.unwrap_or(0));
        let gone = self.random.random_range(0..=gone);
        if gone > 0 {
            node.disk.drain(..gone);
            node.purged = true;
        }
    }

    pub(super) fn flushed(&mut self, id: NodeId, life: u32, token: Token) -> Result<(), Violation> {
        let Some(node) = self.nodes.get_mut(&id) else { return Ok(()) };
        if node.life != life {
            return Ok(());
        }
        if self.shape.failing_syncs && !self.faults_over && self.random.random_range(0..100) == 0 {
            self.note(|| format!("a sync of {id} FAILS"));
            self.failed_syncs += 1;
            self.crash(id);
            return Ok(());
        }
        let Some(node) = self.nodes.get_mut(&id) else { return Ok(()) };
        while node.pending.front().is_some_and(|(pending, _)| *pending <= token) {
            let Some((_, notes)) = node.pending.pop_front() else { break };
            node.disk.extend(notes);
        }
        self.step(id, Input::Flushed(token))
    }
}
