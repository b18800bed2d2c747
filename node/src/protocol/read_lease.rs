//! The leader's lease: reads without a round of messages, `reads=lease` (Raft thesis, section
//! 6.4.1). Not `election=lease`, where a lock service says who leads.
//!
//! # The promise
//!
//! A follower that has heard its leader votes for nobody, itself included, for `election-timeout`,
//! counted on its own clock from when it handled the leader's message. One that was restarted has
//! forgotten when that was, so it promises the same from its start. The leader holds a lease for
//! `election-timeout - lease-margin`, counted on its own clock from when it *began* the last round
//! that a majority has answered.
//!
//! # Why it is safe
//!
//! A round begins before its messages arrive, so the promises of a majority begin after the lease
//! and, while clocks run at the same rate, end `lease-margin` after it. A successor needs a vote
//! from that majority, so it cannot have committed anything while the lease lasts: what this
//! leader has applied is what there is. Clocks need not agree on the time; they may differ in rate
//! by as much as `election-timeout / (election-timeout - lease-margin)`. With no margin a follower
//! whose clock is a little fast votes for a successor while the lease lasts, and a read is stale.
//!
//! The lease is checked with a time that was taken *after* the request had arrived. That moment
//! lies between the beginning and the end of the client's call, so an answer that is delayed after
//! the check, because the process is stopped or the network is slow, is still one that was right
//! during the call. What must not happen is the opposite, a time from before the request: the
//! runtime reads the clock after it has gathered a batch. A leader that was stopped finds its
//! lease over when it goes on, since its clock went on.
//!
//! # What remains
//!
//! A clock that stands still while the world goes on, as when a virtual machine is frozen and
//! thawed. The runtime uses a clock that counts the suspension of the machine it sees; one that
//! its hypervisor hides from it breaks the bound on rates, and nothing here can notice.
//!
//! Without a lease, after an election or a pause, reads wait for a round as with `read-index`.
//! What it costs: nobody takes over from a leader before its lease is over, not even when its
//! closed connection says that it died, and an operator's promotion waits as long.

use super::{Core, Now, Plant, Role};
use crate::config::Reads;

impl Core {
    /// Whether this leader may answer reads at this moment without asking anybody.
    pub(super) fn holds_lease(&self) -> bool {
        let margin = match self.plant(Plant::LeaseWithoutMargin) {
            true => Now::ZERO,
            false => self.settings.lease_margin,
        };
        let lease = self.settings.election_timeout.saturating_sub(margin);
        self.settings.reads == Reads::Lease
            && self.confirmed_at().is_some_and(|began| self.now < began + lease)
    }

    /// Whether a leader's lease may rest on this node's vote at this moment. A leader that votes
    /// for another gives up its own lease by that.
    pub(super) fn carries_a_lease(&self) -> bool {
        self.promised_until().is_some() && !matches!(self.role, Role::Leader(_))
    }

    /// Until when this node has promised a leader to vote for nobody, if that is in the future.
    pub(super) fn promised_until(&self) -> Option<Now> {
        if self.settings.reads != Reads::Lease {
            return None;
        }
        let until = self.suspicion.promised.max(self.born) + self.settings.election_timeout;
        (self.now < until).then_some(until)
    }
}
