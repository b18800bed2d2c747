//! Election by a lock: whoever holds a lock with a time to live in a lock service leads:
//! `election=lease`, `lock-ttl`, `lock-margin`.
//!
//! The lock service is another store: a cluster of our own in the `raft` profile, or etcd. This is
//! how systems without an election of their own find a leader (Burrows, "The Chubby lock service",
//! 2006; Kubernetes' leader election). A node that misses its leader asks for the lock; with
//! `majority` it first asks, as in a pre-vote, whether a majority would follow it. The grant's
//! fencing token is the epoch: with `majority` the node then stands for votes in that epoch, so
//! that with `completeness` only a node that holds the best log of a majority leads; without it,
//! it claims the epoch.
//!
//! **Tokens and epochs.** A token is used for one leadership. One that is not greater than every
//! epoch the node knows, or that the node has given back before, is given back: the next grant has
//! a greater one. So epochs only grow, also if the lock service was replaced by one that counts
//! from the beginning, as soon as that has caught up. A holder is one life of one node, so that no
//! token passes a restart.
//!
//! **Time.** The lease counts from the moment at which the node asked, never from the answer. A
//! third of it later the leader renews. When all but `lock-margin` of it has passed, it stops
//! serving before it looks at any input, however long it slept: the margin is for clocks that do
//! not run at the same rate. With `lock-margin=off` it does not look at its clock and goes on until
//! somebody tells it: the textbook mistake, a leader that was paused or cut off for longer than its
//! lease and serves although another leads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::{Core, Effect, LeaseView, Now, Report, Role};
use super::Candidate;
use crate::config::Election;

/// What a node asks the lock service. Which lock, for whom and for how long is the runtime's
/// business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockAsk {
    /// To hold the lock.
    Acquire,
    /// To begin the time to live anew.
    Renew {
        /// The token of the grant.
        token: u64,
    },
    /// To give it back.
    Release {
        /// The token of the grant.
        token: u64,
    },
}

/// What the lock service answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockAnswer {
    /// The asker holds the lock, from some moment after it asked.
    Held {
        /// The fencing token of the grant.
        token: u64,
    },
    /// It does not.
    NotHeld,
    /// There was no answer, or none that could be understood.
    Unknown,
}

/// What a node knows of the lock.
#[derive(Debug, Default)]
pub(in super::super) struct Lease {
    next: u64,
    /// Requests without an answer, and when they were made.
    open: BTreeMap<u64, (LockAsk, Now)>,
    /// The token under which the node stands or leads, and when its time has passed.
    held: Option<(u64, Now)>,
    /// When the leader renews next.
    renew_at: Now,
    /// The greatest token that was given back.
    given_back: u64,
}

impl Core {
    fn leases(&self) -> bool {
        self.settings.election == Election::Lease
    }

    /// Asks for the lock. What the answer is good for ends with the node's patience.
    pub(super) fn ask_for_lock(&mut self) {
        self.role = Role::Candidate(Candidate::Locking);
        self.restart_suspicion();
        self.ask_lock_service(LockAsk::Acquire);
    }

    fn ask_lock_service(&mut self, ask: LockAsk) {
        let number = self.lease.next;
        self.lease.next += 1;
        let forgotten = self.now.saturating_sub(self.settings.lock_ttl);
        self.lease.open.retain(|_, (_, asked)| *asked >= forgotten);
        self.lease.open.insert(number, (ask, self.now));
        self.counters.election_messages += 1;
        self.effects.push(Effect::Lock { number, ask });
    }

    /// The lock service has answered, or not.
    pub(in super::super) fn on_lock(&mut self, number: u64, answer: LockAnswer) {
        let Some((ask, asked)) = self.lease.open.remove(&number) else { return };
        let end = asked + self.settings.lock_ttl;
        match (ask, answer) {
            (LockAsk::Acquire, LockAnswer::Held { token }) => self.lock_granted(token, end),
            (LockAsk::Acquire, LockAnswer::NotHeld) => {
                if matches!(self.role, Role::Candidate(Candidate::Locking)) {
                    self.become_follower("another holds the lock");
                }
            }
            (LockAsk::Renew { token }, LockAnswer::Held { .. }) => {
                if let Some((held, until)) = &mut self.lease.held
                    && *held == token
                {
                    *until = end.max(*until);
                }
            }
            (LockAsk::Renew { token }, LockAnswer::NotHeld) => {
                if self.lease.held.is_some_and(|(held, _)| held == token) {
                    self.lease.held = None;
                    self.become_follower("its lock is gone");
                }
            }
            (LockAsk::Release { .. }, _) | (_, LockAnswer::Unknown) => {}
        }
    }

    fn lock_granted(&mut self, token: u64, end: Now) {
        if self.lease.held.is_some_and(|(held, _)| held == token) {
            return;
        }
        let waits = matches!(self.role, Role::Candidate(Candidate::Locking));
        let fresh = token > self.hard.epoch.max(self.lease.given_back);
        if waits && !fresh {
            self.report(Report::StaleToken { token, epoch: self.hard.epoch });
        }
        if !waits || !fresh {
            // Nobody waits for it, or it may not be used.
            return self.give_back(token);
        }
        self.lease.held = Some((token, end));
        self.lease.renew_at = self.now;
        if self.settings.majority {
            self.stand_in(token);
        } else {
            self.claim(token);
        }
    }

    fn give_back(&mut self, token: u64) {
        self.lease.given_back = self.lease.given_back.max(token);
        self.ask_lock_service(LockAsk::Release { token });
    }

    /// The node no longer leads or stands, so that it needs no lock.
    pub(in super::super) fn give_up_lock(&mut self) {
        if let Some((token, _)) = self.lease.held.take() {
            self.give_back(token);
        }
    }

    /// Stops whoever leads or stands on a lease whose time has passed. Called before anything else
    /// is done.
    pub(in super::super) fn mind_lease(&mut self) {
        let Some((_, end)) = self.lease.held else { return };
        if self.settings.lock_margin.is_some_and(|margin| self.now + margin >= end) {
            self.become_follower("its lease has run out");
        }
    }

    pub(super) fn tick_lease(&mut self) {
        if let Some((token, _)) = self.lease.held
            && matches!(self.role, Role::Leader(_))
            && self.now >= self.lease.renew_at
        {
            self.lease.renew_at = self.now + self.settings.lock_ttl / 3;
            self.ask_lock_service(LockAsk::Renew { token });
        }
    }

    /// When a lease needs attention.
    pub(super) fn lease_timer(&self) -> Option<Now> {
        let (_, end) = self.lease.held?;
        let stop = self.settings.lock_margin.map(|margin| end.saturating_sub(margin));
        let renew = matches!(self.role, Role::Leader(_)).then_some(self.lease.renew_at);
        [stop, renew].into_iter().flatten().min()
    }

    /// What the node knows of its lock, for `/status`.
    pub(in super::super) fn lease_view(&self) -> Option<LeaseView> {
        let (token, end) = self.lease.held.unzip();
        let left = end.unwrap_or_default().saturating_sub(self.now);
        self.leases().then_some(LeaseView { token, left })
    }

    /// Whether winning a pre-vote, or a nomination, is followed by a question for the lock.
    pub(super) fn needs_lock(&self) -> bool {
        self.leases() && self.lease.held.is_none()
    }
}
