//! Clients that take, renew and give back locks of the simulated cluster.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;

use super::super::super::{NodeId, Outcome};
use super::super::referee::{Asked, Operation, Violation};
use super::{Event, LOAD, World};
use crate::state::{Answer, Change, Command, LockAct, LockCommand};

/// How many clients take locks, where any do.
const LOCK_CLIENTS: u64 = 4;

impl World {
    /// Lets clients take locks too.
    pub(in super::super) fn with_lock_clients(mut self) -> Self {
        for client in 0..LOCK_CLIENTS {
            self.at(Duration::from_millis(500 + client), Event::LockClient(client));
        }
        self
    }

    pub(super) fn lock_client(&mut self, client: u64) -> Result<(), Violation> {
        if self.now >= LOAD {
            return Ok(());
        }
        let pause = Duration::from_millis(self.random.random_range(1..120));
        self.at(self.now + pause, Event::LockClient(client));
        let name: Arc<str> = Arc::from(["k", "l"][self.random.random_range(0..2)]);
        let holder: Arc<str> = Arc::from(format!("c{client}"));
        let known = self.tokens.get(&(Arc::clone(&name), Arc::clone(&holder))).copied();
        let command = match (known, self.random.random_range(0..6)) {
            (Some(token), 0..3) => LockCommand::Renew { name, holder, token },
            (Some(token), 3) => {
                self.referee.gives_up(&name, token);
                self.tokens.remove(&(Arc::clone(&name), Arc::clone(&holder)));
                LockCommand::Release { name, holder, token }
            }
            _ => {
                let ttl_ms = self.random.random_range(100..400);
                LockCommand::Acquire { name, holder, ttl_ms }
            }
        };
        self.ask(Asked::Write(Command::Lock(command).into()), 0)
    }

    /// A client was told what became of a lock.
    pub(super) fn lock_answer(
        &mut self,
        node: NodeId,
        operation: &Operation,
        outcome: &Outcome,
    ) -> Result<(), Violation> {
        let Asked::Write(Change { command: Command::Lock(command), .. }) = &operation.request
        else {
            return Ok(());
        };
        let Outcome::Done { answer: Answer::Lock { done: Some((act, true)), held }, .. } = outcome
        else {
            return Ok(());
        };
        let Some(view) = held.as_ref().filter(|_| *act != LockAct::Release) else { return Ok(()) };
        self.note(|| format!("{node} grants {} {view:?}", command.name()));
        let (name, lease) = (command.name(), &view.lease);
        self.tokens.insert((Arc::clone(name), Arc::clone(&lease.holder)), lease.token);
        self.referee.granted(name, lease, operation.begun, self.now)
    }
}
