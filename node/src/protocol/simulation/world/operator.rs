//! An operator of a simulated cluster who adds and removes members all the time, of whatever node,
//! whatever else goes on.

use std::net::SocketAddr;
use std::time::Duration;

use rand::RngExt;

use super::super::super::{ConfigurationChange, Input, NodeId, Request};
use super::super::referee::Violation;
use super::{CLIENT_PATIENCE, Event, LOAD, World};

/// Fewer voters are never left, so that a schedule goes on to say something of majorities.
const VOTERS_MIN: usize = 2;

impl World {
    pub(super) fn operate(&mut self) -> Result<(), Violation> {
        if self.now >= LOAD {
            return Ok(());
        }
        let pause = Duration::from_millis(self.random.random_range(5..200));
        self.at(self.now + pause, Event::Operator);
        let (to, node) = (self.any_node(), self.any_node());
        let asked = &self.nodes[&to];
        let Some(core) = &asked.core else { return Ok(()) };
        let members = &core.configured.members;
        let change = if members.seat(node).is_none() {
            ConfigurationChange::Add { node, address: SocketAddr::from(([127, 0, 0, 1], node.0)) }
        } else if members.voters().count() > VOTERS_MIN {
            ConfigurationChange::Remove { node }
        } else {
            return Ok(());
        };
        self.change_members(to, change)
    }

    /// Asks a node for a change. What it answers is of no interest: the log says what happened.
    pub(super) fn change_members(
        &mut self,
        to: NodeId,
        change: ConfigurationChange,
    ) -> Result<(), Violation> {
        self.note(|| format!("OPERATOR asks {to}: {change:?}"));
        let id = self.next_request;
        self.next_request += 1;
        let deadline = self.nodes[&to].clock.shows(self.now) + CLIENT_PATIENCE;
        let input = Input::Request { id, request: Request::Configure(change), deadline };
        if self.nodes[&to].paused_until > self.now {
            self.at(self.now, Event::Notice { to, input });
            return Ok(());
        }
        self.step(to, input)
    }
}
