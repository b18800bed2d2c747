//! The `register` workload: reads, writes and compare-and-sets of a few keys. Every written value
//! is used once, and a compare-and-set expects what its client last saw, so that the exact
//! near-linear checker applies.

use serde::{Deserialize, Serialize};

/// Parameters of the `register` workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RegisterSpec {
    /// How many registers, `r0` upwards.
    pub keys: u32,
    /// How many of 100 operations are reads.
    pub reads: u8,
    /// How many of 100 operations are compare-and-sets; what is left writes.
    pub compare_and_sets: u8,
    /// How many of 100 operations go to `r0`, beside its fair share of the rest.
    pub hot: u8,
}

impl Default for RegisterSpec {
    fn default() -> Self {
        RegisterSpec { keys: 8, reads: 40, compare_and_sets: 25, hot: 0 }
    }
}
