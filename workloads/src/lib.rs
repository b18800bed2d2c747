//! What clients do to a store, what they saw, and whether it may be so.
//!
//! This crate is pure: no processes, no sockets, no clock, no async. It is written to be depended
//! on by other tools that record histories and want a verdict.
//!
//! Read in this order: [`operation`] (the closed vocabulary), [`history`] (operations in one
//! order, and their file format), [`verdict`] (what a checker may say), [`checker`] (how it finds
//! out), [`workload`] (a generator and its checkers under one name).

pub mod checker;
pub mod history;
pub mod model;
pub mod operation;
pub mod recording;
pub mod seed;
pub mod verdict;
pub mod witness;
pub mod workload;
