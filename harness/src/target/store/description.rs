//! What the built-in store says of itself with `splitbrain node --describe`: profiles, switches and
//! planted bugs. Suites are checked against it, and `list` and `explain` read from it; no type is
//! shared with the store.

use std::collections::BTreeMap;
use std::process::Command;

use serde::Deserialize;

use super::super::Unusable;

/// The part of the description that somebody reads.
#[derive(Deserialize)]
pub(crate) struct Description {
    /// Named settings of all protections.
    pub(crate) profiles: Vec<Profile>,
    /// Single protections.
    pub(crate) switches: Vec<Switch>,
    /// Bugs that can be planted in its code.
    pub(crate) plants: Vec<Plant>,
}

/// A named setting of all protections.
#[derive(Deserialize)]
pub(crate) struct Profile {
    pub(crate) name: String,
    pub(crate) meaning: String,
    /// Every switch by name.
    pub(crate) settings: BTreeMap<String, String>,
    /// What may go wrong with it, predicted from its settings.
    pub(crate) may_show: Vec<Predicted>,
}

/// An anomaly that may occur.
#[derive(Deserialize)]
pub(crate) struct Predicted {
    pub(crate) anomaly: String,
    pub(crate) why: String,
    /// The switches that let it happen.
    pub(crate) switches: Vec<String>,
    /// Whether nothing has to go wrong for it.
    pub(crate) without_faults: bool,
}

/// One protection.
#[derive(Deserialize)]
pub(crate) struct Switch {
    pub(crate) name: String,
    pub(crate) meaning: String,
    pub(crate) values: String,
}

/// A bug that can be planted.
#[derive(Deserialize)]
pub(crate) struct Plant {
    pub(crate) name: String,
    pub(crate) meaning: String,
    /// What it is to be caught by.
    pub(crate) anomaly: String,
    /// Where in the store's code it sits.
    pub(crate) place: String,
}

/// What may go wrong in a cluster of three with one switch of a profile set otherwise, as the store
/// says; `None` for what it refuses.
pub(crate) fn predicted(profile: &str, set: &str) -> Option<Vec<Predicted>> {
    #[derive(Deserialize)]
    struct Prediction {
        may_show: Vec<Predicted>,
    }
    let mut command = Command::new(super::program().ok()?);
    command.args(["node", "--predict", "3", "--profile", profile, "--set", set]);
    let output = command.output().ok().filter(|output| output.status.success())?;
    let prediction: Prediction = serde_json::from_slice(&output.stdout).ok()?;
    Some(prediction.may_show)
}

/// Asks the store.
///
/// # Errors
///
/// When it cannot be started or says something else.
pub(crate) fn describe() -> Result<Description, Unusable> {
    let program = super::program()?;
    let output = Command::new(&program).args(["node", "--describe"]).output();
    let described = match &output {
        Ok(output) if output.status.success() => serde_json::from_slice(&output.stdout).ok(),
        _ => None,
    };
    described.ok_or_else(|| Unusable {
        what: format!("{} node --describe does not describe the store", program.display()),
        help: "is this file a whole splitbrain? build it again".to_string(),
    })
}
