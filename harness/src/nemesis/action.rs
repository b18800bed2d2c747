//! What a resolved fault does to a cluster: inject, keep at it, undo, and say what was seen.
//!
//! An action belongs to the file of its fault. It acts through [`Hands`] and collects, through
//! their looking half alone, the evidence from which [`Action::effect`] judges. The injector calls
//! the four in order; an action never decides when.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use splitbrain_reports::record::Effect;
use splitbrain_workloads::operation::NodeId;
use tokio::sync::watch;

use super::Hands;
use crate::network::link::Link;

/// What is to be done to the cluster.
#[async_trait]
pub trait Action: fmt::Debug + Send {
    /// The nodes it is aimed at, sorted.
    fn victims(&self) -> &[NodeId];

    /// The nodes that no other fault may hit meanwhile: the victims, and whoever else must stay
    /// whole for this fault to mean what it says.
    fn reserves(&self) -> &[NodeId] {
        self.victims()
    }

    /// Every directed link it touches, sorted, none twice; empty for signals.
    fn links(&self) -> &[Link] {
        &[]
    }

    /// Begins; returns when it is in force.
    ///
    /// # Errors
    ///
    /// When the cluster could not be made to do it.
    async fn inject(&mut self, hands: &dyn Hands) -> anyhow::Result<()>;

    /// Keeps at it while the fault is in force: returns when that is over, or earlier when there
    /// is nothing more to do, upon which the fault is healed.
    ///
    /// # Errors
    ///
    /// When the cluster could not be made to do it.
    async fn sustain(&mut self, _hands: &dyn Hands, force: &mut InForce) -> anyhow::Result<()> {
        force.end().await;
        Ok(())
    }

    /// Makes the cluster whole again; returns when it is.
    ///
    /// # Errors
    ///
    /// When it could not be made whole; the run then ends as `environment`.
    async fn undo(&mut self, hands: &dyn Hands) -> anyhow::Result<()>;

    /// The proof that it took hold, or why there is none. Asked once, after the heal.
    fn effect(&self, hands: &dyn Hands) -> Effect;
}

/// The time a fault is in force, as its action sees it.
pub struct InForce {
    over: watch::Receiver<bool>,
}

impl InForce {
    /// Lasts until the value becomes true, or its sender is gone.
    pub fn until(over: watch::Receiver<bool>) -> InForce {
        InForce { over }
    }

    /// Waits for the end.
    pub async fn end(&mut self) {
        // Without a sender nobody will say it any more, which is an end too.
        let _ = self.over.wait_for(|over| *over).await;
    }

    /// Waits so long, or for the end; whether the fault is still in force.
    pub async fn lasts(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.end()).await.is_err()
    }
}
