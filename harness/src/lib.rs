//! Everything that touches the world, and the command.

pub mod nemesis;
pub mod network;
mod scalar;
pub mod suite;
