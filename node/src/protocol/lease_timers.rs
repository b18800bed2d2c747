//! When a leader ends locks: the clock behind the locks of `state/lock.rs`.
//!
//! Only a leader counts time, from the moment at which it applied a grant or renewal, on its own
//! clock. When a time to live has passed it proposes the expiry, once, as an entry like any other,
//! and the log decides. A leader that is paused or cut off ends locks late. A new leader counts
//! every lock from the moment at which it took the lead: late again, never early.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Core, Now, Role};
use crate::state::{Answer, Command, LockCommand};

/// The time to live of every lock, as a leader counts it.
#[derive(Debug, Default)]
pub(super) struct LeaseTimers {
    /// By name: which grant or renewal is counted, and when its time has passed.
    ends: BTreeMap<Arc<str>, (u64, Now)>,
    /// The same by time. A lock whose expiry was proposed is no longer here.
    due: BTreeSet<(Now, Arc<str>)>,
}

impl LeaseTimers {
    fn set(&mut self, name: &Arc<str>, renewed: u64, end: Now) {
        if self.ends.get(name).is_some_and(|(counted, _)| *counted == renewed) {
            return;
        }
        self.forget(name);
        self.ends.insert(Arc::clone(name), (renewed, end));
        self.due.insert((end, Arc::clone(name)));
    }

    fn forget(&mut self, name: &Arc<str>) {
        if let Some((_, end)) = self.ends.remove(name) {
            self.due.remove(&(end, Arc::clone(name)));
        }
    }

    /// When the next time to live has passed.
    pub(super) fn next(&self) -> Option<Now> {
        self.due.first().map(|(end, _)| *end)
    }

    /// A lock whose time has passed, each once.
    fn take_due(&mut self, now: Now) -> Option<(Arc<str>, u64)> {
        let (end, _) = self.due.first()?;
        if *end > now {
            return None;
        }
        let (_, name) = self.due.pop_first()?;
        let (renewed, _) = self.ends.get(&name)?;
        Some((name, *renewed))
    }
}

impl Core {
    /// A new leader begins to count every lock.
    pub(super) fn count_leases(&mut self) {
        let Role::Leader(leader) = &mut self.role else { return };
        for (name, lease) in self.state.leases() {
            leader.leases.set(name, lease.renewed, self.now + lease.ttl());
        }
    }

    /// A command about a lock was applied.
    pub(super) fn count_lease(&mut self, name: &Arc<str>) {
        let Role::Leader(leader) = &mut self.role else { return };
        match self.state.lease(name) {
            Some(lease) => leader.leases.set(name, lease.renewed, self.now + lease.ttl()),
            None => leader.leases.forget(name),
        }
    }

    /// Proposes the end of every lock whose time has passed.
    pub(super) fn tick_leases(&mut self) {
        while let Role::Leader(leader) = &mut self.role
            && let Some((name, renewed)) = leader.leases.take_due(self.now)
        {
            self.append(&Command::Lock(LockCommand::Expire { name, renewed }).into());
        }
    }

    /// Says in an answer about a lock how much time it has left, if this node counts it.
    pub(super) fn tell_time_left(&self, name: &str, answer: &mut Answer) {
        let Role::Leader(leader) = &self.role else { return };
        if let Answer::Lock { held: Some(view), .. } = answer
            && let Some((renewed, end)) = leader.leases.ends.get(name)
            && *renewed == view.lease.renewed
        {
            let left = end.saturating_sub(self.now).as_millis();
            view.left_ms = Some(u32::try_from(left).unwrap_or(u32::MAX));
        }
    }
}
