//! What a node tells of itself: positions, roles and counters, for `/status`, `/metrics` and tests.

use std::sync::Arc;
use std::time::Duration;

use super::{Acknowledgement, Claim, Core, EntryId, Lineage, NodeId, Role, RoleName};
use crate::state::Configuration;

/// Counts since the node started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Elections this node started: pre-votes, or questions for positions.
    pub elections_started: u64,
    /// Elections it won.
    pub elections_won: u64,
    /// Messages it sent for elections: questions and answers.
    pub election_messages: u64,
    /// Times it suspected a leader and then heard it again in the same epoch.
    pub false_suspicions: u64,
    /// Entries appended to its log.
    pub appended: u64,
    /// Entries that it learned were committed.
    pub committed: u64,
    /// Entries that it applied.
    pub applied: u64,
    /// Requests it passed on.
    pub forwarded: u64,
    /// Requests it answered with who leads.
    pub redirected: u64,
    /// Requests it turned away without trying.
    pub rejected: u64,
    /// Times it went on without its followers' confirmations.
    pub fallbacks: u64,
    /// Entries cut from its log.
    pub truncated: u64,
    /// Entries of its leader that it handed on to another follower.
    pub relayed: u64,
    /// Snapshots it began to send to followers.
    pub snapshots_sent: u64,
    /// Snapshots of a leader that took the place of its log.
    pub snapshots_installed: u64,
}

/// A node at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Who.
    pub node: NodeId,
    /// What it is.
    pub role: RoleName,
    /// Whether it votes and may lead; a learner does not, and nobody who is no member.
    pub voter: bool,
    /// The members of the cluster as this node knows them.
    pub members: Arc<Configuration>,
    /// The index of the entry that they came with; 0 is the founders.
    pub configuration: u64,
    /// Whether it is no member any more.
    pub removed: bool,
    /// The epoch it is in.
    pub epoch: u64,
    /// Whom it takes for the leader.
    pub leader: Option<NodeId>,
    /// Who sends it entries: the leader, or with `topology=chain` perhaps a follower.
    pub upstream: Option<NodeId>,
    /// The latest claim it has followed or made.
    pub claim: Claim,
    /// Last index in its log in memory.
    pub received: u64,
    /// Last index on its disk.
    pub durable: u64,
    /// Last index it knows to be committed.
    pub committed: u64,
    /// Last index it has applied.
    pub applied: u64,
    /// How long ago, by two wall clocks, a leader wrote the oldest entry that it has received and
    /// not applied.
    pub lag: Duration,
    /// Last index that its snapshot on disk stands for.
    pub snapshot: u64,
    /// The index before the first entry it still holds.
    pub released: u64,
    /// Its last entry.
    pub last_entry: EntryId,
    /// Who appended what to its log, so that every position is a set of GTIDs.
    pub lineage: Lineage,
    /// What an acknowledgement that it gives now stands for.
    pub acknowledgement: Acknowledgement,
    /// With `election=lease`, what it knows of its lock.
    pub lease: Option<LeaseView>,
    /// If it leads, how far the others are.
    pub followers: Vec<FollowerView>,
    /// What it counted.
    pub counters: Counters,
}

/// The lock of a lock service, as the node that asks for it sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseView {
    /// The token of the grant that it leads or stands under; `None` when it holds none.
    pub token: Option<u64>,
    /// How long the lock is its own by its own clock; zero when that is over, or it holds none.
    pub left: Duration,
}

/// A follower, as its leader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerView {
    /// Who.
    pub node: NodeId,
    /// Who sends it entries: the leader itself, or a follower.
    pub upstream: NodeId,
    /// The last index known to be on its disk.
    pub matched: u64,
    /// How many of the leader's entries it is not known to have.
    pub lag_entries: u64,
    /// How long ago the leader wrote the oldest of them.
    pub lag: Duration,
    /// Whether it counts; a learner does not.
    pub voter: bool,
    /// Whether the leader's in-sync set holds it.
    pub in_sync: bool,
    /// How long ago it was last heard.
    pub silent: Duration,
}

impl Core {
    /// How long ago the first entry after an index was written, of those that are held.
    fn age_of_first_after(&self, index: u64) -> Duration {
        let first = self.entries.get(index.max(self.entries.base().index) + 1);
        first.map_or(Duration::ZERO, |entry| self.wall.since(entry.written))
    }

    /// The node at this moment.
    pub fn view(&self) -> View {
        let received = self.entries.last_index();
        let followers = match &self.role {
            Role::Leader(leader) => leader
                .followers
                .iter()
                .map(|(node, progress)| FollowerView {
                    node: *node,
                    upstream: progress.feed.parent.unwrap_or(self.me),
                    matched: progress.matched,
                    lag_entries: received - progress.matched,
                    lag: self.age_of_first_after(progress.matched),
                    voter: progress.votes(),
                    in_sync: progress.in_sync,
                    silent: self.now.saturating_sub(progress.heard),
                })
                .collect(),
            _ => Vec::new(),
        };
        View {
            node: self.me,
            role: self.role_name(),
            voter: self.is_voter(),
            members: Arc::clone(&self.configured.members),
            configuration: self.configured.index,
            removed: self.is_removed(),
            epoch: self.epoch(),
            leader: self.leader(),
            upstream: self.upstream(),
            claim: self.hard.claim,
            received,
            durable: self.durable,
            committed: self.committed,
            applied: self.state.applied(),
            lag: self.age_of_first_after(self.state.applied()),
            snapshot: self.snapshots.newest.last.index,
            released: self.entries.base().index,
            last_entry: self.entries.last(),
            lineage: self.entries.lineage().clone(),
            acknowledgement: self.acknowledgement(),
            lease: self.lease_view(),
            followers,
            counters: self.counters,
        }
    }
}
