//! The built-in store.

pub mod log;
