//! Whether a suite makes sense: everything that its form alone does not guarantee. All findings are
//! made at once; `yaml` gives them their places.

use super::Suite;
use super::target::TargetKind;

/// Something that makes no sense, by its path in the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// The way to it from the root.
    pub(super) path: Vec<Step>,
    /// What is wrong.
    pub(super) message: String,
    /// What was expected; empty when the message says it.
    pub(super) label: String,
    /// What to do about it.
    pub(super) help: Option<String>,
}

/// A step into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Into the value of a key.
    Key(String),
    /// Into an element of a list.
    Index(usize),
    /// To a key itself.
    Name(String),
}

/// Everything that makes no sense in a suite for these kinds of target; empty when all is well.
pub(super) fn validate(_suite: &Suite, _kinds: &[TargetKind]) -> Vec<Finding> {
    Vec::new()
}
