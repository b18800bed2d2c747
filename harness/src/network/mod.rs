//! The network of links between the parties of a run.

pub mod link;
