//! The built-in store: a replicated key-value store whose protections are switches.
//!
//! One process is one node. [`protocol`] is the pure core and the place to begin reading,
//! [`config`] holds the switches and the profiles.

pub mod config;
pub mod protocol;
pub mod state;
