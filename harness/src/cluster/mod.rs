//! Where the nodes of a target run: as child processes of a small reaper process, on a loopback
//! address of their own.
//!
//! The reaper ([`reaper`]) is this same program, started before anything else. It owns every
//! process of a run and removes them all when the harness is gone, whatever ended it.
//! [`process`] is the harness's side, `conversation` how it talks to the reaper and `message` in
//! which words, `launch` the moment between fork and exec, [`census`] what the kernel tells about
//! processes, [`limits`] what it lets them do, `leftovers` what
//! they leave elsewhere and [`address`] the place on the loopback network. Nothing here knows faults, targets
//! or links.

pub mod address;
pub mod census;
mod conversation;
mod launch;
mod leftovers;
pub mod limits;
mod message;
pub mod process;
pub mod reaper;

pub use address::RunAddress;
pub use message::ExitStatus;
pub use process::{
    Cause, ClusterError, Exit, Owner, Prepared, Process, ProcessSpec, Processes, Reaper,
};
