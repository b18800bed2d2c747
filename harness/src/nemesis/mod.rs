//! What can be broken: the faults, one per file, and the registry of them.
//!
//! A fault goes through three hands. A suite *specifies* it with roles (`kill: { node: leader }`);
//! the plan *draws* what chance decides, so that a plan names `n2` where the suite said `random`
//! (roles stay roles: who leads is known only when it is time); at injection the fault is
//! *resolved* against a [`View`] of the cluster into an [`Action`], which begins, keeps at it,
//! undoes and judges what was seen, through [`Hands`]. All of a fault stands in its own file.
//! Waiting for the time or the condition and healing in time are the injector's work.
//!
//! Two rules hold for every fault. A node that is under a fault is never hit by a second one of the
//! same [`Lane`], since nobody could tell whose effect was seen. And a fault that cannot begin yet,
//! because its node is under another one or nobody plays its role, waits, bounded by
//! [`WAIT_AT_MOST`], and is then skipped; either is said in the events.
//!
//! A new fault is one file with an implementation of [`Fault`], and one line in the registry at the
//! end of this file; reading, writing, `validate`, `list`, `explain` and the timeline follow.

mod action;
mod bandwidth;
mod clock_drift;
mod clock_jump;
mod delay;
mod disk_error;
mod disk_flip;
mod disk_full;
mod disk_loss;
mod disk_slow;
mod disk_torn;
mod disk_watch;
mod half_open;
mod hands;
mod injector;
mod kill;
mod membership;
mod partition;
mod pause;
mod power_cut;
mod promote;
mod reach;
mod replaced;
mod reset;
mod rolling_restart;
mod selector;
mod slow;
mod slow_close;
mod stop;
mod stored_byte;
#[cfg(test)]
mod tests;
mod upgrade;
mod view;
mod wipe;

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserializer, Serialize};
use splitbrain_reports::record::OnLinks;
use splitbrain_workloads::seed::Stream;

use crate::suite::units::Time;

pub use action::{Action, InForce};
pub use bandwidth::{Bandwidth, BytesPerSecond};
pub use clock_drift::{ClockDrift, ClockRate};
pub use clock_jump::{ClockJump, Way, Which};
pub use delay::Delay;
pub use disk_error::DiskError;
pub use disk_flip::DiskFlip;
pub use disk_full::DiskFull;
pub use disk_loss::DiskLoss;
pub use disk_slow::DiskSlow;
pub use disk_torn::DiskTorn;
pub use half_open::HalfOpen;
pub use hands::{DataDirectory, Hands, Program, Replacement};
pub use injector::{Injection, Injector};
pub use kill::Kill;
pub use membership::{Change, Membership};
pub use partition::{Direction, Drawn, Flap, OneWay, Partition, PartitionForm, Scope, Side};
pub use pause::Pause;
pub use promote::Promote;
pub use reset::Reset;
pub use rolling_restart::RollingRestart;
pub use selector::Selector;
pub use slow::Slow;
pub use slow_close::SlowClose;
pub use stop::Stop;
pub use stored_byte::StoredByte;
pub use upgrade::Upgrade;
pub use view::{Skip, View};
pub use wipe::Wipe;

/// How long the injector waits for a role that nobody plays, such as a leader during an election,
/// or for the heal of the fault that a node is under, before it skips the fault. Longer than an
/// election of any target with default timeouts and than a restart on a busy machine, short enough
/// that a fault is not taken for one of a later moment.
pub const WAIT_AT_MOST: Duration = Duration::from_secs(5);

/// What a node must be started with so that a fault can reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Instrument {
    /// A file layer that takes orders.
    Disk,
    /// Clocks that can be made wrong.
    Clock,
}

/// What of a node a fault takes for itself: two faults of one lane never hit one node at a time,
/// since nobody could tell whose effect was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// The node as a whole: its process, its links, its disk.
    Node,
    /// Its clocks, which show by themselves how wrong they are.
    Clock,
}

/// A kind of fault: its parameters as a suite writes them, and what they come to.
pub trait Fault: Serialize + DeserializeOwned + Sized {
    /// Its name in suites and reports.
    const KIND: &'static str;
    /// One line for `list`.
    const SUMMARY: &'static str;
    /// The long text for `explain`: what is done, what proves it, how it is healed.
    const EXPLAIN: &'static str;

    /// The parameters in words, such as "leader" or "leader from peers and clients". Reports add
    /// how long.
    fn shape(&self) -> String;

    /// Which form of the kind this is, where there are several; coverage is counted by it.
    fn form(&self) -> &'static str {
        ""
    }

    /// What is done to the links that it names.
    fn on_links(&self) -> OnLinks {
        OnLinks::Cut
    }

    /// What the nodes must be started with.
    fn instrument(&self) -> Option<Instrument> {
        None
    }

    /// What of its victims it takes for itself.
    fn lane(&self) -> Lane {
        Lane::Node
    }

    /// Whom it is aimed at, where one selector says it all.
    fn aimed_at(&self) -> Option<Selector> {
        None
    }

    /// Whether clients still hear from the victims while the fault is in force.
    fn victim_serves(&self) -> bool;

    /// The program that nodes are started as instead of the target's own. It must be there before
    /// anything is started.
    fn replacement(&self) -> Option<Replacement> {
        None
    }

    /// Whether it needs a spare node.
    fn needs_spare(&self) -> bool {
        false
    }

    /// The shortest time in force in which a cluster of so many nodes can show its effect, where
    /// that takes turns.
    fn shortest(&self, _nodes: u16) -> Time {
        Time::ZERO
    }

    /// Everything that makes no sense for a cluster of so many nodes; empty when all is well.
    fn problems(&self, nodes: u16) -> Vec<Problem>;

    /// The same fault with everything drawn that chance decides. Drawing twice changes nothing.
    fn draw(&self, nodes: u16, rng: &mut Stream) -> Self;

    /// What is to be done now.
    ///
    /// # Errors
    ///
    /// [`Skip`] when the fault cannot be injected as the cluster stands.
    fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip>;
}

/// Something in a fault's parameters that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The keys that lead to it inside the fault, such as `["one-way", "node"]`; empty for the
    /// fault as a whole.
    pub keys: Vec<&'static str>,
    /// What is wrong, what was expected and what was got.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// What `list` and `explain` know of a kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// [`Fault::KIND`].
    pub name: &'static str,
    /// [`Fault::SUMMARY`].
    pub summary: &'static str,
    /// [`Fault::EXPLAIN`].
    pub explain: &'static str,
}

/// Makes the enum over all faults from one line per fault.
macro_rules! registry {
    ($($fault:ident),+ $(,)?) => {
        /// Any fault of the registry.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum AnyFault {
            $(#[doc = concat!("A [`", stringify!($fault), "`].")] $fault($fault),)+
        }

        /// Every kind of fault, in the order in which `list` prints them.
        pub const KINDS: &[Kind] = &[$(Kind {
            name: <$fault as Fault>::KIND,
            summary: <$fault as Fault>::SUMMARY,
            explain: <$fault as Fault>::EXPLAIN,
        },)+];

        impl AnyFault {
            /// The name of the kind.
            pub fn kind(&self) -> &'static str {
                match self { $(AnyFault::$fault(_) => <$fault as Fault>::KIND,)+ }
            }

            /// [`Fault::shape`].
            pub fn shape(&self) -> String {
                match self { $(AnyFault::$fault(fault) => fault.shape(),)+ }
            }

            /// [`Fault::form`].
            pub fn form(&self) -> &'static str {
                match self { $(AnyFault::$fault(fault) => fault.form(),)+ }
            }

            /// [`Fault::on_links`].
            pub fn on_links(&self) -> OnLinks {
                match self { $(AnyFault::$fault(fault) => fault.on_links(),)+ }
            }

            /// [`Fault::instrument`].
            pub fn instrument(&self) -> Option<Instrument> {
                match self { $(AnyFault::$fault(fault) => fault.instrument(),)+ }
            }

            /// [`Fault::lane`].
            pub fn lane(&self) -> Lane {
                match self { $(AnyFault::$fault(fault) => fault.lane(),)+ }
            }

            /// [`Fault::aimed_at`].
            pub fn aimed_at(&self) -> Option<Selector> {
                match self { $(AnyFault::$fault(fault) => fault.aimed_at(),)+ }
            }

            /// Whether its victim is the leader, so that it changes with the leadership.
            pub fn is_aimed_at_the_leader(&self) -> bool {
                self.aimed_at() == Some(Selector::Leader) || match self {
                    AnyFault::Partition(partition) => partition.needs_the_leader(),
                    _ => false,
                }
            }

            /// [`Fault::victim_serves`].
            pub fn victim_serves(&self) -> bool {
                match self { $(AnyFault::$fault(fault) => fault.victim_serves(),)+ }
            }

            /// [`Fault::replacement`].
            pub fn replacement(&self) -> Option<Replacement> {
                match self { $(AnyFault::$fault(fault) => fault.replacement(),)+ }
            }

            /// [`Fault::needs_spare`].
            pub fn needs_spare(&self) -> bool {
                match self { $(AnyFault::$fault(fault) => fault.needs_spare(),)+ }
            }

            /// [`Fault::shortest`].
            pub fn shortest(&self, nodes: u16) -> Time {
                match self { $(AnyFault::$fault(fault) => fault.shortest(nodes),)+ }
            }

            /// [`Fault::problems`].
            pub fn problems(&self, nodes: u16) -> Vec<Problem> {
                match self { $(AnyFault::$fault(fault) => fault.problems(nodes),)+ }
            }

            /// [`Fault::draw`].
            pub fn draw(&self, nodes: u16, rng: &mut Stream) -> AnyFault {
                match self {
                    $(AnyFault::$fault(fault) => AnyFault::$fault(fault.draw(nodes, rng)),)+
                }
            }

            /// [`Fault::resolve`].
            ///
            /// # Errors
            ///
            /// [`Skip`] when the fault cannot be injected as the cluster stands.
            pub fn resolve(&self, view: &View, rng: &mut Stream) -> Result<Box<dyn Action>, Skip> {
                match self { $(AnyFault::$fault(fault) => fault.resolve(view, rng),)+ }
            }

            /// Reads the parameters of a fault of a kind; `None` for a kind that does not exist.
            ///
            /// # Errors
            ///
            /// Those of the deserializer.
            pub(crate) fn read<'de, D: Deserializer<'de>>(
                kind: &str,
                deserializer: D,
            ) -> Option<Result<AnyFault, D::Error>> {
                $(if kind == <$fault as Fault>::KIND {
                    let fault = <$fault as serde::Deserialize>::deserialize(deserializer);
                    return Some(fault.map(AnyFault::$fault));
                })+
                None
            }

            /// The parameters by key, for writing.
            ///
            /// # Errors
            ///
            /// None as long as parameters are plain data.
            pub(crate) fn parameters(&self) -> Result<serde_json::Value, serde_json::Error> {
                match self { $(AnyFault::$fault(fault) => serde_json::to_value(fault),)+ }
            }
        }
    };
}

registry! {
    Kill,
    Stop,
    RollingRestart,
    Upgrade,
    Wipe,
    Pause,
    Slow,
    Promote,
    Membership,
    Partition,
    Delay,
    Bandwidth,
    Reset,
    HalfOpen,
    SlowClose,
    DiskLoss,
    DiskTorn,
    DiskFull,
    DiskError,
    DiskSlow,
    DiskFlip,
    ClockDrift,
    ClockJump,
}
