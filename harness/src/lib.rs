//! Everything that touches the world, and the command.

pub mod cluster;
pub mod network;
