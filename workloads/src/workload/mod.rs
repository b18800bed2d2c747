//! Workloads: what clients do and what must hold of what they saw, under one name. One workload,
//! one file.

mod register;
mod set;

use serde::{Deserialize, Serialize};

pub use register::RegisterSpec;
pub use set::SetSpec;

/// A workload and its parameters, as a suite writes them: `set`, or `register: { keys: 8 }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkloadSpec {
    /// Reads, writes and compare-and-sets of registers.
    Register(RegisterSpec),
    /// Adds to a growing set, and reads of all of it.
    Set(SetSpec),
}
