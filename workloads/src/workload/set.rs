//! The `set` workload: adds of unique elements, now and then a read of all, and reads of all at
//! the end. An element `e` is the key `s/<e>` holding `e`, so any store with a write and an atomic
//! list has a set.

use serde::{Deserialize, Serialize};

/// Parameters of the `set` workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SetSpec {
    /// How many reads of all there are at most while clients work. Each is as long as the set, so
    /// a fixed number keeps the history's size linear in its operations.
    pub lists: u32,
    /// Elements added at most; clients stop adding beyond. Bounds the size of one list.
    pub elements: u32,
}

impl Default for SetSpec {
    fn default() -> Self {
        SetSpec { lists: 20, elements: 50_000 }
    }
}
