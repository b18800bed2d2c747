//! Records of a run, the measures taken from them, and their renderings.
//!
//! This crate is pure: data in, text or numbers out. It starts nothing, reads no file by itself
//! and knows no clock. [`record`] is the format of a run directory; `harness` fills it in.

pub mod record;
