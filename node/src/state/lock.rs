//! Locks with a time to live, and the fencing tokens that make them safe to rely on.
//!
//! Who holds what is decided where commands are applied, in log order, so every replica agrees.
//! Time is not: a replica that let a lock run out by its own clock would disagree with the others.
//! So a lock ends in the log alone, with a release or with [`LockCommand::Expire`], which the
//! leader proposes when its own clock says that the time to live has passed since it applied the
//! last grant or renewal (`protocol/lease_timers.rs`). An expiry names the grant or renewal that it
//! ends; if a later renewal stands before it in the log, it does nothing. A new leader does not
//! know how much time the old one had counted, and gives every lock a full time to live anew, as
//! etcd does with its leases: a lock may live longer than asked for, never shorter.
//!
//! A holder counts from the moment it *sent* its request, which is before any leader applied it, so
//! a holder whose clock runs at the same rate knows that its lock has run out before it is given to
//! another. It cannot know it in time to stop: it may be paused between the look at its clock and
//! the write. That is what the *token* is for (Kleppmann, "How to do distributed locking", 2016;
//! Burrows, "The Chubby lock service", 2006, section 2.4, where it is called a sequencer): every
//! grant has one that is greater than all before it, and a resource that has seen a greater token
//! refuses the holder of a smaller one (`resource.rs`).
//!
//! The token is the index of the entry that granted the lock. An index is used once, whatever
//! leader appends it and whatever snapshot stands for it, as long as no committed entry is lost:
//! with settings that lose acknowledged writes tokens can come twice, and there fencing by them
//! fails with everything else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::{Answer, Refusal};

/// Longest name of a lock, of its holder and of a resource, in bytes. Names are kept in memory and
/// in snapshots, and a path of a file system with a host name fits.
pub const NAME_BYTES_MAX: usize = 256;

/// Most locks that are held at a time. Each is a timer at the leader, and a new leader sets all of
/// them at once: this many take a few milliseconds.
pub const LOCKS_MAX: usize = 10_000;

/// Shortest time to live. An expiry passes the log and a renewal the network; what is shorter than
/// a few of their round trips runs out under a healthy holder.
pub const TTL_MIN: Duration = Duration::from_millis(100);

/// Longest time to live: so long does a holder that died keep everybody else out.
pub const TTL_MAX: Duration = Duration::from_secs(24 * 3600);

/// A change of a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockCommand {
    /// Takes a lock that is free. For its holder it is a renewal: token and time to live stay.
    Acquire {
        /// Which.
        name: Arc<str>,
        /// For whom.
        holder: Arc<str>,
        /// For how many milliseconds, from [`TTL_MIN`] to [`TTL_MAX`].
        ttl_ms: u32,
    },
    /// Begins the time to live anew.
    Renew {
        /// Which.
        name: Arc<str>,
        /// Who holds it.
        holder: Arc<str>,
        /// Under which token.
        token: u64,
    },
    /// Gives it back.
    Release {
        /// Which.
        name: Arc<str>,
        /// Who holds it.
        holder: Arc<str>,
        /// Under which token.
        token: u64,
    },
    /// Ends a lock whose time has passed. Only a leader says so.
    Expire {
        /// Which.
        name: Arc<str>,
        /// [`Lease::renewed`] of the grant or renewal whose time has passed.
        renewed: u64,
    },
}

impl LockCommand {
    /// Which lock it is about.
    pub fn name(&self) -> &Arc<str> {
        match self {
            LockCommand::Acquire { name, .. }
            | LockCommand::Renew { name, .. }
            | LockCommand::Release { name, .. }
            | LockCommand::Expire { name, .. } => name,
        }
    }
}

/// A lock that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// By whom.
    pub holder: Arc<str>,
    /// The fencing token: the index of the entry that granted it.
    pub token: u64,
    /// Its time to live in milliseconds.
    pub ttl_ms: u32,
    /// The index of the entry that last began its time to live.
    pub renewed: u64,
}

impl Lease {
    /// Its time to live.
    pub fn ttl(&self) -> Duration {
        Duration::from_millis(self.ttl_ms.into())
    }
}

/// A lock as an answer tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseView {
    /// The lease.
    pub lease: Lease,
    /// About how many milliseconds it has left, as its leader counts them. Other nodes count
    /// nothing.
    pub left_ms: Option<u32>,
}

/// What a change of a lock was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockAct {
    /// [`LockCommand::Acquire`].
    Acquire,
    /// [`LockCommand::Renew`].
    Renew,
    /// [`LockCommand::Release`] or [`LockCommand::Expire`].
    Release,
}

/// All locks that are held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Locks(BTreeMap<Arc<str>, Lease>);

impl Locks {
    /// Carries out a command that stands at an index.
    pub(super) fn carry_out(&mut self, index: u64, command: LockCommand) -> Answer {
        let (name, act, done) = match command {
            LockCommand::Acquire { name, holder, ttl_ms } => {
                if !self.0.contains_key(&name) && self.0.len() >= LOCKS_MAX {
                    return Answer::Refused(Refusal::TooManyLocks);
                }
                let lease = self.0.entry(Arc::clone(&name)).or_insert_with(|| Lease {
                    holder: Arc::clone(&holder),
                    token: index,
                    ttl_ms,
                    renewed: index,
                });
                let done = lease.holder == holder;
                if done {
                    // The time to live stays too: a late request must not shorten what the holder
                    // has been told since.
                    lease.renewed = index;
                }
                (name, LockAct::Acquire, done)
            }
            LockCommand::Renew { name, holder, token } => {
                let lease = self.held(&name, &holder, token);
                let done = lease.map(|lease| lease.renewed = index).is_some();
                (name, LockAct::Renew, done)
            }
            LockCommand::Release { name, holder, token } => {
                let done = self.held(&name, &holder, token).is_some();
                if done {
                    self.0.remove(&name);
                }
                (name, LockAct::Release, done)
            }
            LockCommand::Expire { name, renewed } => {
                let done = self.0.get(&name).is_some_and(|lease| lease.renewed == renewed);
                if done {
                    self.0.remove(&name);
                }
                (name, LockAct::Release, done)
            }
        };
        Answer::Lock { done: Some((act, done)), held: self.view(&name) }
    }

    fn held(&mut self, name: &str, holder: &str, token: u64) -> Option<&mut Lease> {
        self.0.get_mut(name).filter(|lease| &*lease.holder == holder && lease.token == token)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Lease> {
        self.0.get(name)
    }

    pub(super) fn view(&self, name: &str) -> Option<LeaseView> {
        self.0.get(name).map(|lease| LeaseView { lease: lease.clone(), left_ms: None })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Lease)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Command, State};

    /// A state that is told one command after the other.
    #[derive(Default)]
    struct Bench(State);

    impl Bench {
        /// Whether it was done, and the holder and token after it.
        fn tell(&mut self, command: LockCommand) -> (bool, Option<(String, u64)>) {
            let index = self.0.applied() + 1;
            let answer = self.0.apply(index, Command::Lock(command).into());
            let Answer::Lock { done: Some((_, done)), held } = answer else {
                panic!("expected the answer to a lock, got {answer:?}");
            };
            (done, held.map(|view| (view.lease.holder.to_string(), view.lease.token)))
        }

        fn acquire(&mut self, holder: &str) -> (bool, Option<(String, u64)>) {
            let (name, holder) = ("l".into(), holder.into());
            self.tell(LockCommand::Acquire { name, holder, ttl_ms: 1000 })
        }
    }

    fn held(holder: &str, token: u64) -> Option<(String, u64)> {
        Some((holder.to_string(), token))
    }

    fn renew(holder: &str, token: u64) -> LockCommand {
        LockCommand::Renew { name: "l".into(), holder: holder.into(), token }
    }

    fn release(holder: &str, token: u64) -> LockCommand {
        LockCommand::Release { name: "l".into(), holder: holder.into(), token }
    }

    fn expire(renewed: u64) -> LockCommand {
        LockCommand::Expire { name: "l".into(), renewed }
    }

    #[test]
    fn a_lock_is_granted_to_one_and_again_to_the_same_under_the_same_token() {
        let mut bench = Bench::default();
        assert_eq!(bench.acquire("a"), (true, held("a", 1)));
        assert_eq!(bench.acquire("b"), (false, held("a", 1)));
        assert_eq!(bench.acquire("a"), (true, held("a", 1)));
    }

    #[test]
    fn every_grant_has_a_greater_token_however_the_one_before_ended() {
        let mut bench = Bench::default();
        bench.acquire("a");
        assert_eq!(bench.tell(release("a", 1)), (true, None));
        assert_eq!(bench.acquire("a"), (true, held("a", 3)));
        assert_eq!(bench.tell(expire(3)), (true, None));
        assert_eq!(bench.acquire("b"), (true, held("b", 5)));
    }

    #[test]
    fn only_the_holder_under_its_token_renews_and_releases() {
        let mut bench = Bench::default();
        bench.acquire("a");
        for other in [renew("b", 1), release("b", 1), renew("a", 2), release("a", 2)] {
            assert_eq!(bench.tell(other), (false, held("a", 1)));
        }
        assert_eq!(bench.tell(renew("a", 1)), (true, held("a", 1)));
        assert_eq!(bench.tell(release("a", 1)), (true, None));
        assert_eq!(bench.tell(renew("a", 1)), (false, None));
    }

    #[test]
    fn an_expiry_that_a_renewal_overtook_does_nothing() {
        let mut bench = Bench::default();
        bench.acquire("a");
        bench.tell(renew("a", 1));
        assert_eq!(bench.tell(expire(1)), (false, held("a", 1)));
        assert_eq!(bench.tell(expire(2)), (true, None));
    }

    #[test]
    fn a_lock_beyond_the_limit_is_refused_and_one_that_is_held_is_still_renewed() {
        let mut state = State::default();
        let acquire = |name: usize| LockCommand::Acquire {
            name: name.to_string().into(),
            holder: "a".into(),
            ttl_ms: 1000,
        };
        for name in 0..LOCKS_MAX {
            state.apply(name as u64 + 1, Command::Lock(acquire(name)).into());
        }
        let next = LOCKS_MAX as u64 + 1;
        let refused = state.apply(next, Command::Lock(acquire(LOCKS_MAX)).into());
        assert_eq!(refused, Answer::Refused(Refusal::TooManyLocks));
        let again = state.apply(next + 1, Command::Lock(acquire(7)).into());
        assert!(matches!(again, Answer::Lock { done: Some((_, true)), .. }), "{again:?}");
    }
}
