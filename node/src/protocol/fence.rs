//! Whom to follow, whom to refuse, and when to give way: `fencing`, `demote`.
//!
//! A follower follows one upstream, the latest claimant it has heard by the total order of claims.
//! That much holds with every setting, so that two leaders have an end once they can hear each
//! other. Fencing is what makes it safe: a node that has promised itself to an epoch, by a vote or
//! by following, refuses every earlier leader from then on, tells it so, and has that promise on
//! disk before its first acknowledgement in the epoch.

use std::time::Duration;

use super::leader::Leader;
use super::{Claim, Core, HardState, Message, NodeId, Plant, Report, Role};
use crate::config::Demote;

/// After which a leader with `demote=never` would give way: a timer like any other, a century away.
const LONGER_THAN_ANY_LIFE: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// How a leader's claim stands to what a node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is the upstream.
    Upstream,
    /// It should become the upstream.
    Later,
    /// It is outdated.
    Stale,
}

impl Core {
    fn standing(&self, claim: Claim) -> Standing {
        let is_early = self.settings.fencing && claim.epoch < self.hard.epoch;
        if (is_early || claim < self.hard.claim) && !self.plant(Plant::AcceptLowerEpoch) {
            return Standing::Stale;
        }
        match &self.role {
            Role::Follower { upstream: Some(upstream), .. } if *upstream == claim => {
                Standing::Upstream
            }
            _ => Standing::Later,
        }
    }

    /// Decides whether to obey a leader's message; refuses, follows or outlasts it as the settings
    /// say.
    pub(super) fn admit(&mut self, claim: Claim) -> bool {
        match self.standing(claim) {
            Standing::Upstream => true,
            Standing::Stale => {
                if self.settings.fencing {
                    let refusal =
                        Message::Refused { epoch: self.hard.epoch, claim: self.hard.claim };
                    self.send(claim.leader, refusal);
                }
                false
            }
            Standing::Later => {
                if self.outlasts(claim) {
                    return false;
                }
                self.follow(claim);
                true
            }
        }
    }

    /// Whether this node leads and goes on leading although a later claimant has made itself
    /// heard.
    fn outlasts(&mut self, claim: Claim) -> bool {
        let Role::Leader(leader) = &mut self.role else { return false };
        let span = match self.settings.demote {
            Demote::OnContact => return false,
            Demote::After(span) => span,
            Demote::Never => LONGER_THAN_ANY_LIFE,
        };
        let own = leader.claim;
        if leader.demote_at.is_none() {
            leader.demote_at = Some(self.now + span);
            self.report(Report::Outranked { own, by: claim });
        }
        true
    }

    /// Takes a claimant for the leader from now on.
    pub(super) fn follow(&mut self, claim: Claim) {
        if claim.epoch == self.hard.claim.epoch && claim != self.hard.claim {
            self.report(Report::SharedEpoch(self.hard.claim, claim));
        }
        if claim != self.hard.claim {
            self.forget_arrivals();
        }
        self.give_up_role("a later leader");
        self.founding_is_over();
        let voted_for = self.hard.voted_for.filter(|_| claim.epoch == self.hard.epoch);
        let epoch = self.hard.epoch.max(claim.epoch);
        self.write_hard(HardState { epoch, voted_for, claim, ..self.hard });
        self.role = Role::Follower { upstream: Some(claim), round: 0 };
        self.freshness.follow(claim);
        self.report(Report::Follows(claim));
        // What was forwarded to an earlier leader may have been lost with it.
        self.forwards_lost(None);
    }

    /// Takes note of a higher epoch.
    pub(super) fn observe(&mut self, epoch: u64) {
        if epoch <= self.hard.epoch {
            return;
        }
        let leads = matches!(self.role, Role::Leader(_));
        let follows = matches!(self.role, Role::Follower { .. });
        if leads && !self.settings.fencing {
            return;
        }
        self.write_hard(HardState { epoch, voted_for: None, ..self.hard });
        // With fencing a promise to a later epoch ends the tie to the earlier leader.
        if self.settings.fencing || !follows {
            self.become_follower("a later epoch");
        }
    }

    /// A follower has refused this node's leadership.
    pub(super) fn on_refused(&mut self, epoch: u64, claim: Claim) {
        self.observe(epoch);
        let outdated = match &self.role {
            Role::Leader(leader) => claim > leader.claim,
            _ => false,
        };
        if outdated && self.settings.fencing {
            self.become_follower("fenced off");
        }
    }

    /// Becomes a follower of nobody yet.
    pub(super) fn become_follower(&mut self, why: &'static str) {
        self.give_up_role(why);
        self.role = Role::Follower { upstream: None, round: 0 };
        self.restart_suspicion();
    }

    /// Answers whoever waits at a leader that stops leading. What it has appended may still be
    /// committed by another leader, so the answers are not definite.
    fn give_up_role(&mut self, why: &'static str) {
        self.give_up_lock();
        let nobody = Role::Follower { upstream: None, round: 0 };
        if !matches!(self.role, Role::Leader(_)) {
            return;
        }
        let Role::Leader(leader) = std::mem::replace(&mut self.role, nobody) else { return };
        let Leader { claim, pending, answered, reads, .. } = *leader;
        self.report(Report::StepsDown { claim, why });
        let waiting = answered.into_iter().map(|write| write.origin);
        for origin in waiting.chain(pending.into_iter().map(|(_, origin)| origin)) {
            self.leadership_lost(origin, true);
        }
        for origin in reads.into_origins() {
            self.leadership_lost(origin, false);
        }
    }

    /// Whether a node hears its leader at the moment.
    pub(super) fn hears_leader(&self, within: std::time::Duration) -> Option<Claim> {
        match &self.role {
            Role::Leader(leader) => Some(leader.claim),
            Role::Follower { upstream: Some(claim), .. } => {
                let heard = self.suspicion.heard?;
                (self.now.saturating_sub(heard) < within).then_some(*claim)
            }
            _ => None,
        }
    }

    /// The node that a claim's holder must be, for requests.
    pub(super) fn upstream_leader(&self) -> Option<NodeId> {
        match &self.role {
            Role::Follower { upstream, .. } => upstream.map(|claim| claim.leader),
            _ => None,
        }
    }
}
