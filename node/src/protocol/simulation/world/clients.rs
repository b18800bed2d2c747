//! What simulated clients ask, of whom, and what they do when they do not know what became of it.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;

use super::super::super::{Input, Outcome, Request, RoleName};
use super::super::referee::{Asked, ONCE, Violation};
use super::{CLIENT_PATIENCE, CLOCK, Event, LOAD, RETRIES_MAX, World};
use crate::state::{Change, Command, Query};

impl World {
    pub(super) fn client(&mut self, client: u64) -> Result<(), Violation> {
        if self.now >= LOAD {
            return Ok(());
        }
        let pause = Duration::from_millis(self.random.random_range(1..60));
        self.at(self.now + pause, Event::Client(client));
        let number = self.next_request;
        let key: Arc<str> = Arc::from(["a", "b", "c"][self.random.random_range(0..3)]);
        let value: Arc<str> = Arc::from(number.to_string());
        let asked = match self.random.random_range(0..6) {
            0 | 1 => Asked::Read(Query::Get { key }),
            2 => {
                let expect = self.random.random_range(0..number.max(1)).to_string();
                let expect = Some(Arc::from(expect));
                Asked::Write(Command::CompareAndSet { key, expect, value }.into())
            }
            3 => {
                let command = Command::Increment { key: format!("{ONCE}{number}").into(), by: 1 };
                Asked::Write(Change { command, key: Some(value) })
            }
            _ if self.statements => {
                let statement = match number % 5 {
                    0 => format!("set stamp = now() where now() < {}", CLOCK + number * 40_000),
                    1 => "set dice = rand()".to_string(),
                    2 => "set name = uuid()".to_string(),
                    3 => "set time = now()".to_string(),
                    _ => "counter hits".to_string(),
                };
                let command = Command::Statement(statement.parse().expect("it is a statement"));
                Asked::Write(Change { command, key: Some(value) })
            }
            _ => Asked::Write(Command::Put { key, value }.into()),
        };
        let asked = match asked {
            Asked::Read(query) if self.shape.reads_anywhere => self.read_anywhere(query),
            asked => asked,
        };
        self.ask(asked, 0)
    }

    /// A read that any node may answer, if there is something to read.
    fn read_anywhere(&mut self, query: Query) -> Asked {
        if self.random.random_range(0..2) == 0 {
            let bound = [60, 120, 400][self.random.random_range(0..3)];
            return Asked::Bounded(query, Duration::from_millis(bound));
        }
        let count = self.referee.acknowledged.len();
        let number = self.random.random_range(0..count.max(1));
        match self.referee.acknowledged_entry(number) {
            Some(id) => Asked::After(query, id),
            None => Asked::Read(query),
        }
    }

    pub(super) fn ask(&mut self, asked: Asked, retries: u32) -> Result<(), Violation> {
        let to = self.any_node();
        let id = self.next_request;
        self.next_request += 1;
        let node = &self.nodes[&to];
        if node.core.is_none() {
            self.try_again(asked, retries);
            return Ok(());
        }
        let node_is_paused = node.paused_until > self.now;
        let request = match &asked {
            Asked::Write(change) => Request::Write(change.clone()),
            Asked::Read(query) => Request::Read(query.clone()),
            Asked::Bounded(query, bound) => {
                // So much of a fast clock's time is no more of the world's.
                let drift = 1.0 - f64::from(self.shape.drift) / 100.0;
                let max_staleness_ms = bound.mul_f64(drift).as_millis() as u64;
                Request::ReadBounded { query: query.clone(), max_staleness_ms }
            }
            Asked::After(query, after) => {
                Request::ReadAfter { query: query.clone(), after: *after }
            }
        };
        if retries == 0 {
            // Some clients do not wait for the answer before they try again.
            let hasty = asked.clone();
            if self.random.random_range(0..4) == 0 {
                self.try_again(hasty, retries);
            }
        }
        let operation = self.referee.begin(asked, retries, self.now);
        self.open.insert(id, (operation, to));
        let deadline = self.nodes[&to].clock.shows(self.now) + CLIENT_PATIENCE;
        let input = Input::Request { id, request, deadline };
        if node_is_paused {
            self.at(self.now, Event::Notice { to, input });
            return Ok(());
        }
        self.step(to, input)
    }

    /// A write with an idempotency key may be sent again.
    fn try_again(&mut self, asked: Asked, retries: u32) {
        if retries < RETRIES_MAX && matches!(&asked, Asked::Write(Change { key: Some(_), .. })) {
            let pause = Duration::from_millis(self.random.random_range(1..300));
            self.at(self.now + pause, Event::Ask(asked, retries + 1));
        }
    }

    pub(super) fn answer(&mut self, id: u64, outcome: Outcome) -> Result<(), Violation> {
        let Some((operation, node)) = self.open.remove(&id) else { return Ok(()) };
        self.lock_answer(node, &operation, &outcome)?;
        match outcome {
            Outcome::Done { answer, source } => {
                self.note(|| format!("{node} answers {:?} {}", operation.request, source.index));
                let anywhere = matches!(operation.request, Asked::Bounded(..) | Asked::After(..));
                self.read_at_followers +=
                    usize::from(anywhere && source.role == RoleName::Follower);
                self.referee.answered(self.now, &operation, source.index, &answer)
            }
            Outcome::Failed(failure) => {
                self.referee.failed(&operation, failure.definite);
                if !failure.definite {
                    self.try_again(operation.request, operation.retries);
                }
                Ok(())
            }
        }
    }
}
