//! Everything that touches the world, and the command.

pub mod network;
