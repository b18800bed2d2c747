//! What the receiving ends of links know of other nodes that the sending ends want to know: when
//! each was last heard, and that it has dialled this node anew.
//!
//! A connection can be half open (RFC 793, section 3.4): one end is gone and the other was never
//! told, so what is sent vanishes, acknowledged by a kernel or a middlebox. The sending end of a
//! link hears nothing on its own connection by design, so it needs this. `listen.rs` writes it down,
//! `link.rs` reads it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use crate::protocol::NodeId;

/// Signs of life of one other node.
#[derive(Debug)]
pub(crate) struct Pulse {
    since: Instant,
    /// When it was last heard, in microseconds; 0 for never.
    heard: AtomicU64,
    /// How often it has dialled.
    dialled: watch::Sender<u64>,
}

impl Default for Pulse {
    fn default() -> Self {
        let (dialled, _) = watch::channel(0);
        Pulse { since: Instant::now(), heard: AtomicU64::new(0), dialled }
    }
}

impl Pulse {
    /// A frame of it has arrived.
    pub(super) fn beat(&self) {
        self.heard.store(self.now(), Relaxed);
    }

    /// It has dialled and said hello.
    pub(super) fn dialled(&self) {
        self.dialled.send_modify(|count| *count += 1);
    }

    /// Who wants to know of the next time it dials.
    pub(super) fn watch_dials(&self) -> watch::Receiver<u64> {
        self.dialled.subscribe()
    }

    /// When it was last heard; 0 for never.
    pub(super) fn heard(&self) -> u64 {
        self.heard.load(Relaxed)
    }

    /// The present moment as [`Pulse::heard`] counts, never 0.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }
}

/// The pulses of all nodes that have ever been dialled or heard. Nodes are few.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulses(Arc<Mutex<BTreeMap<NodeId, Arc<Pulse>>>>);

impl Pulses {
    /// That of one node.
    pub(crate) fn of(&self, node: NodeId) -> Arc<Pulse> {
        let mut pulses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(pulses.entry(node).or_default())
    }
}
