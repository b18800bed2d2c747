//! A lock service for `election=lease`: one more place in the simulated network, which is never
//! down and whose clock is right.
//!
//! Its lock is the store's own state machine. It ends a lock at the very moment at which its time
//! has passed, as early as any lock service may.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;

use super::super::super::{LockAnswer, LockAsk, NodeId, Now};
use super::{Event, World};
use crate::state::{Answer, Command, LockCommand, State};

/// Its place in the network: no node has this number.
pub(super) const SERVICE: NodeId = NodeId(0);

/// The lock and when it runs out.
#[derive(Default)]
pub(super) struct LockService {
    state: State,
    ends: Now,
}

impl LockService {
    fn tell(&mut self, command: LockCommand) -> (bool, Option<u64>) {
        let index = self.state.applied() + 1;
        match self.state.apply(index, Command::Lock(command).into()) {
            Answer::Lock { done: Some((_, done)), held } => {
                (done, held.map(|view| view.lease.token))
            }
            other => unreachable!("a lock command is answered with a lock, not {other:?}"),
        }
    }

    fn ask(&mut self, now: Now, holder: &str, ttl: Duration, ask: LockAsk) -> LockAnswer {
        let (name, holder): (Arc<str>, Arc<str>) = (Arc::from("leader"), Arc::from(holder));
        if now >= self.ends
            && let Some(renewed) = self.state.lease(&name).map(|lease| lease.renewed)
        {
            self.tell(LockCommand::Expire { name: Arc::clone(&name), renewed });
        }
        let ttl_ms = u32::try_from(ttl.as_millis()).unwrap_or(u32::MAX);
        let begins = !matches!(ask, LockAsk::Release { .. });
        let (done, token) = self.tell(match ask {
            LockAsk::Acquire => LockCommand::Acquire { name, holder, ttl_ms },
            LockAsk::Renew { token } => LockCommand::Renew { name, holder, token },
            LockAsk::Release { token } => LockCommand::Release { name, holder, token },
        });
        if done && begins {
            self.ends = now + ttl;
        }
        match token {
            Some(token) if done => LockAnswer::Held { token },
            _ => LockAnswer::NotHeld,
        }
    }
}

impl World {
    /// A node asks the service, which may never hear it.
    pub(super) fn ask_lock_service(&mut self, from: NodeId, number: u64, ask: LockAsk) {
        let life = self.nodes[&from].life;
        self.pass((from, SERVICE), Event::LockAsked { from, life, number, ask });
    }

    /// The service answers at once; the answer may be lost.
    pub(super) fn lock_asked(&mut self, from: NodeId, life: u32, number: u64, ask: LockAsk) {
        let holder = format!("{from}/{life}");
        let answer = self.lock_service.ask(self.now, &holder, self.settings.lock_ttl, ask);
        self.note(|| format!("lock service: {holder} asks to {ask:?}: {answer:?}"));
        self.pass((SERVICE, from), Event::LockAnswered { to: from, life, number, answer });
    }

    fn pass(&mut self, link: (NodeId, NodeId), event: Event) {
        if self.cuts.contains(&link) {
            if self.holds {
                self.held_locks.push(event);
            }
            return;
        }
        if self.chance(self.shape.loss) {
            return;
        }
        let late = self.chance(2 * self.shape.loss);
        let micros = self.random.random_range(if late { 1_000..400_000 } else { 50..1_500 });
        self.at(self.now + Duration::from_micros(micros), event);
    }
}
