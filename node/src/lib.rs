//! The built-in store: a replicated key-value store whose protections are switches.
//!
//! One process is one node. [`protocol`] is the pure core and the place to begin reading,
//! [`config`] holds the switches and the profiles, [`log`] is what is on disk, and `runtime.rs` is
//! where the core meets disk, sockets and clock.

mod api;
mod archive;
mod args;
mod clock;
pub mod config;
mod disk;
mod fnv;
mod lock_service;
pub mod log;
mod peer;
pub mod protocol;
mod recording;
mod replay;
mod runtime;
mod snapshot_file;
pub mod state;

pub use args::{NodeArgs, run};
pub use disk::EXIT_DISK_FAILED;
