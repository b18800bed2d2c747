//! What goes wrong in a simulated world: crashes, pauses, cuts in one or both directions.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;

use super::super::super::{Member, NodeId, Note, Saved};
use super::super::referee::Violation;
use super::lock_service::SERVICE;
use super::{Event, Wipes, World};
use crate::config::Election;
use crate::state::Configuration;

impl World {
    pub(super) fn fault(&mut self) -> Result<(), Violation> {
        if self.faults_over {
            return Ok(());
        }
        let every = self.shape.fault_every;
        let next = every.mul_f64(self.random.random_range(0.2..1.8));
        self.at(self.now + next, Event::Fault);
        let victim = self.victim();
        self.drift(victim);
        if self.shape.wipes != Wipes::Never && self.random.random_range(0..5) == 0 {
            self.wipe(victim);
            return Ok(());
        }
        match self.random.random_range(0..10) {
            0..3 => self.crash(victim),
            3..5 => {
                let span = Duration::from_millis(self.random.random_range(50..1500));
                self.note(|| format!("{victim} PAUSES for {span:?}"));
                let until = self.now + span;
                if let Some(node) = self.nodes.get_mut(&victim) {
                    node.paused_until = until;
                }
            }
            5 => {
                for id in self.nodes.keys().copied().collect::<Vec<_>>() {
                    self.crash(id);
                }
            }
            _ => self.cut(victim),
        }
        Ok(())
    }

    /// The leader half of the time, since faults elsewhere teach less.
    fn victim(&mut self) -> NodeId {
        let leader = self.nodes.values().find_map(|node| {
            let core = node.core.as_ref()?;
            (core.leader() == Some(core.me)).then_some(core.me)
        });
        match leader {
            Some(leader) if self.random.random_range(0..2) == 0 => leader,
            _ => self.any_node(),
        }
    }

    /// A node crashes and loses its disk, if that is a loss which the protocol promises to survive.
    fn wipe(&mut self, victim: NodeId) {
        if !self.nodes.keys().all(|id| self.survives_without(victim, *id)) {
            return;
        }
        let votes = self.nodes[&victim].remembers().member.votes();
        self.crash(victim);
        self.note(|| format!("{victim} LOSES ITS DISK"));
        self.wiped += 1;
        self.wiped_voters += usize::from(votes && self.shape.spares > 0);
        let unnoticed = self.shape.wipes == Wipes::Unnoticed;
        let Some(node) = self.nodes.get_mut(&victim) else { return };
        node.disk.clear();
        if unnoticed {
            node.disk.push(Note::Member(Member::founder()));
        }
        (node.saved, node.purged) = (Saved::default(), false);
    }

    /// Whether the cluster as one node knows it can do without the disk of another: that other is
    /// none of its voters; or all the others are on disks that vote, so that what the lost one held
    /// is on another, and they are a majority, so that they can admit the new one.
    ///
    /// This is asked of every node, since any configuration that is in a log may come to count.
    fn survives_without(&self, victim: NodeId, id: NodeId) -> bool {
        let members = self.configuration_of(id);
        let voters: Vec<NodeId> = members.voters().collect();
        let others = || voters.iter().filter(|voter| **voter != victim);
        let none_is_lost = others().all(|voter| self.nodes[voter].remembers().member.votes());
        !voters.contains(&victim) || (none_is_lost && others().count() > voters.len() / 2)
    }

    /// The configuration in a node's log: in memory, or of a node that is down on its disk.
    fn configuration_of(&self, id: NodeId) -> Arc<Configuration> {
        match &self.nodes[&id].core {
            Some(core) => Arc::clone(&core.configured.members),
            None => {
                let node = &self.nodes[&id];
                Arc::clone(&self.begin(id, node, 0).configured.members)
            }
        }
    }

    fn cut(&mut self, victim: NodeId) {
        let way = self.random.random_range(0..4);
        self.holds = self.random.random_range(0..2) == 0;
        let other = self.any_node();
        let peers: Vec<NodeId> = self.nodes.keys().copied().collect();
        for peer in peers.into_iter().filter(|peer| *peer != victim) {
            if way == 3 && peer != other {
                continue;
            }
            if way != 1 {
                self.cuts.insert((victim, peer));
            }
            if way != 0 {
                self.cuts.insert((peer, victim));
            }
        }
        if self.settings.election == Election::Lease && self.random.random_range(0..2) == 0 {
            if way != 1 {
                self.cuts.insert((victim, SERVICE));
            }
            if way != 0 {
                self.cuts.insert((SERVICE, victim));
            }
        }
        let cuts = self.cuts.clone();
        let holds = self.holds;
        self.note(|| format!("CUT {cuts:?} holds={holds}"));
        let span = Duration::from_millis(self.random.random_range(100..1500));
        self.at(self.now + span, Event::Heal);
    }

    /// A node's clock runs at another rate from now on.
    pub(super) fn drift(&mut self, victim: NodeId) {
        let drift = f64::from(self.shape.drift) / 100.0;
        if drift == 0.0 {
            return;
        }
        // The ends of what is allowed teach most.
        let rate = 1.0 + [-drift, 0.0, drift][self.random.random_range(0..3)];
        self.note(|| format!("the clock of {victim} runs at {rate:.3}"));
        let now = self.now;
        if let Some(node) = self.nodes.get_mut(&victim) {
            node.clock.change_rate(now, rate);
        }
        // What its timers were set to is another moment now.
        self.arm(victim);
    }

    pub(super) fn heal(&mut self) {
        self.note(|| "HEAL".to_string());
        self.cuts.clear();
        for (from, to, message) in std::mem::take(&mut self.held) {
            self.deliver(from, to, message);
        }
        for event in std::mem::take(&mut self.held_locks) {
            self.soon(event);
        }
    }

    pub(super) fn end_faults(&mut self) {
        self.faults_over = true;
        self.shape.loss = 0;
        self.shape.flush_max = self.shape.flush_max.min(Duration::from_millis(5));
        self.heal();
        for node in self.nodes.values_mut() {
            node.paused_until = self.now;
        }
    }
}
