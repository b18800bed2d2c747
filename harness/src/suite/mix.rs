//! A mix: faults that chance draws one after the other, with pauses between them and, if asked,
//! windows in which none is in force. What is drawn is decided by the plan, from the seed.

use serde::{Deserialize, Serialize};

use super::fault::FaultSpec;
use super::units::Time;

/// The weight of a fault that names none.
const WEIGHT: u32 = 1;

/// A mix as a suite writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    /// The mean time from the end of one fault to the beginning of the next.
    pub pause: Time,
    /// How many faults are drawn at most.
    pub at_most: u16,
    /// When no fault is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet: Option<Quiet>,
    /// The faults, with how long they last and how likely they are, and without times.
    pub faults: Vec<FaultSpec>,
}

/// Windows in which no fault is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quiet {
    /// Time from the beginning of one to that of the next; the first begins so long after the
    /// start of the load.
    pub every: Time,
    /// How long each is.
    #[serde(rename = "for")]
    pub lasts: Time,
}

/// How likely a fault of a mix is, beside the others.
pub fn weight(spec: &FaultSpec) -> u32 {
    spec.schedule.weight.unwrap_or(WEIGHT)
}
