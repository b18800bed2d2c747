//! Where a request goes: carried out here, passed on one hop, or turned away: `routing`.
//!
//! A request is passed on once and never again, whatever becomes of it. If its answer may have been
//! lost, a write is not definite: it may have happened, or may still.

use std::collections::BTreeMap;
use std::time::Duration;

use super::leader::Origin;
use super::{
    Core, Failure, FailureKind, Message, NodeId, Now, Outcome, Plant, Request, RequestId, Role,
};
use crate::config::{Reads, Routing};
use crate::state::Query;

/// The requests that were passed on and are not answered yet.
#[derive(Debug)]
pub(super) struct Forwards {
    open: BTreeMap<RequestId, Forward>,
    next: RequestId,
}

#[derive(Debug)]
struct Forward {
    client: RequestId,
    to: NodeId,
    is_write: bool,
    deadline: Now,
}

impl Forwards {
    /// None yet. The numbers begin at a random place, so that an answer to a forward of this
    /// node's previous life fits none of this one.
    pub(super) fn new(entropy: u64) -> Self {
        Forwards { open: BTreeMap::new(), next: entropy }
    }
}

/// Most forwards that wait for an answer. The API admits fewer requests than this; the limit is
/// for whoever drives the core without it.
const FORWARDS_MAX: usize = 16_384;

impl Core {
    /// A client of this node asks for something.
    pub(super) fn request(&mut self, id: RequestId, request: Request, deadline: Now) {
        let origin = Origin::Client(id);
        let here = match &request {
            Request::ReadLocal(_) | Request::ReadAfter { .. } | Request::Promote => true,
            Request::Read(_) => {
                self.settings.reads == Reads::Any || self.plant(Plant::StaleFollowerRead)
            }
            Request::ReadBounded { max_staleness_ms, .. } => self.is_fresh(*max_staleness_ms),
            Request::Write(_) | Request::Configure(_) => false,
        };
        if here || matches!(self.role, Role::Leader(_)) {
            self.carry_out(origin, request, deadline);
        } else {
            self.leave_to_leader(id, request, deadline);
        }
    }

    /// What only the leader can do is passed on to it, or its client is told who that is.
    pub(super) fn leave_to_leader(&mut self, id: RequestId, request: Request, deadline: Now) {
        let origin = Origin::Client(id);
        let Some(leader) = self.upstream_leader() else {
            return self.turn_away(origin, FailureKind::NoLeader, "no leader is known here");
        };
        match self.settings.routing {
            Routing::Forward => self.forward(id, leader, request, deadline),
            Routing::Redirect => {
                self.counters.redirected += 1;
                self.counters.rejected += 1;
                let failure = Failure::definite(FailureKind::NotLeader, format!("{leader} leads"));
                let failure = Failure { leader: Some(leader), ..failure };
                self.reply(origin, Outcome::Failed(failure));
            }
        }
    }

    /// A request that another node has passed on. It is carried out here or not at all.
    pub(super) fn on_forward(
        &mut self,
        from: NodeId,
        id: RequestId,
        request: Request,
        patience_ms: u64,
    ) {
        let origin = Origin::Peer(from, id);
        if matches!(self.role, Role::Leader(_)) {
            let deadline = self.now.saturating_add(Duration::from_millis(patience_ms));
            self.carry_out(origin, request, deadline);
        } else {
            let message = format!("{} was asked to lead and does not", self.me);
            self.turn_away(origin, FailureKind::NotLeader, message);
        }
    }

    fn carry_out(&mut self, origin: Origin, request: Request, deadline: Now) {
        match request {
            Request::Write(change) => self.append_for(origin, change),
            Request::Read(query)
                if matches!(self.role, Role::Leader(_)) && self.settings.reads != Reads::Any =>
            {
                self.read_at_leader(origin, query);
            }
            // Whoever was asked answers, whatever it is.
            Request::Read(query) => self.answer_read(origin, &query),
            Request::ReadLocal(query) => self.answer_read(origin, &query),
            Request::ReadBounded { query, max_staleness_ms } => {
                self.read_bounded(origin, query, max_staleness_ms);
            }
            Request::ReadAfter { query, after } => {
                self.read_after(origin, query, after, deadline);
            }
            Request::Promote => self.promote(origin),
            Request::Configure(change) => self.change_configuration(origin, change),
        }
    }

    /// Whether this node's state is no older than that.
    fn is_fresh(&self, max_staleness_ms: u64) -> bool {
        let most = Duration::from_millis(max_staleness_ms);
        self.staleness().is_some_and(|age| age <= most)
    }

    /// A read with a bound, at a node that keeps it or at the leader. A leader that has not been
    /// confirmed recently enough has itself confirmed, if reads are confirmed at all.
    fn read_bounded(&mut self, origin: Origin, query: Query, max_staleness_ms: u64) {
        if self.is_fresh(max_staleness_ms) {
            return self.answer_read(origin, &query);
        }
        match self.settings.reads {
            Reads::ReadIndex | Reads::Lease => self.read_at_leader(origin, query),
            Reads::Leader | Reads::Any => {
                let message =
                    format!("no majority has confirmed {} within {max_staleness_ms} ms", self.me);
                self.turn_away(origin, FailureKind::TooStale, message);
            }
        }
    }

    pub(super) fn turn_away(
        &mut self,
        origin: Origin,
        kind: FailureKind,
        message: impl AsRef<str>,
    ) {
        self.counters.rejected += 1;
        self.reply(origin, Outcome::Failed(Failure::definite(kind, message)));
    }

    fn forward(&mut self, client: RequestId, to: NodeId, request: Request, deadline: Now) {
        if self.forwards.open.len() >= FORWARDS_MAX {
            let message = "too many requests wait for the leader's answer";
            return self.turn_away(Origin::Client(client), FailureKind::Overloaded, message);
        }
        // The leader has as long as the client has left.
        let patience = deadline.saturating_sub(self.now).as_millis();
        let patience_ms = u64::try_from(patience).unwrap_or(u64::MAX);
        let id = self.forwards.next;
        self.forwards.next = id.wrapping_add(1);
        let is_write = request.is_write();
        self.forwards.open.insert(id, Forward { client, to, is_write, deadline });
        self.counters.forwarded += 1;
        self.send(to, Message::Forward { id, request, patience_ms });
    }

    /// The leader's answer to a forward. One that nobody waits for any more is dropped.
    pub(super) fn on_forwarded(&mut self, id: RequestId, outcome: Outcome) {
        if let Some(forward) = self.forwards.open.remove(&id) {
            self.reply(Origin::Client(forward.client), outcome);
        }
    }

    /// A forward was dropped before its first byte was sent.
    pub(super) fn forward_unsent(&mut self, id: RequestId) {
        if let Some(forward) = self.forwards.open.remove(&id) {
            let message = format!("{} leads and cannot be reached from here", forward.to);
            self.turn_away(Origin::Client(forward.client), FailureKind::NoLeader, message);
        }
    }

    /// Answers to forwards may be lost: those to one node, or all.
    pub(super) fn forwards_lost(&mut self, to: Option<NodeId>) {
        let lost: Vec<RequestId> = self
            .forwards
            .open
            .iter()
            .filter(|(_, forward)| to.is_none_or(|to| forward.to == to))
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            let Some(forward) = self.forwards.open.remove(&id) else { continue };
            let message = "the request was passed on and its answer may be lost";
            let failure = Failure {
                definite: !forward.is_write,
                ..Failure::indefinite(FailureKind::ForwardLost, message)
            };
            self.reply(Origin::Client(forward.client), Outcome::Failed(failure));
        }
    }

    /// Forgets forwards whose clients have given up.
    pub(super) fn forget_forwards(&mut self) {
        let now = self.now;
        self.forwards.open.retain(|_, forward| forward.deadline > now);
    }
}
