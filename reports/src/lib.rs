//! Records of a run, the measures taken from them, and their renderings.
//!
//! This crate is pure: data in, text or numbers out. It starts nothing, opens no file by itself
//! (readers and writers are passed in) and knows no clock, so the same records always give the
//! same bytes.
//!
//! Read in this order: [`record`] is the format of a run directory, which `harness` fills in;
//! [`measure`] turns a history and its faults into numbers; [`text`] is what people read;
//! [`json`] is what programs read, [`junit`] what CI systems do, [`markdown`]
//! a table for their pages and for the docs; [`units`] is how a number becomes a word, one way each.

pub mod json;
pub mod junit;
pub mod markdown;
pub mod measure;
pub mod record;
#[cfg(test)]
mod samples;
pub mod text;
pub mod units;
