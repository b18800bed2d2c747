//! The `unique-ids` workload: every client takes ids from one counter, and no id may be given out
//! twice. Which order they come in does not matter. Called through `workload`.

use serde::{Deserialize, Serialize};

use super::Generator;
use crate::checker::{self, Checker};
use crate::operation::{Capability, ClientId, Consistency, Key, Op, OpKind, Outcome};

/// The name in suites and headers.
pub(super) const NAME: &str = "unique-ids";

/// What clients do, in one line.
pub(super) const SUMMARY: &str = "takes ids from a counter; none may be given out twice";

/// What must hold of a history of ids.
pub(super) const CHECKERS: &[Checker] = &[
    Checker { name: "unique-ids", check: checker::unique_ids::check },
    Checker { name: "agreement", check: checker::agreement::check },
];

/// The counter.
const KEY: &str = "ids";

/// Parameters of the `unique-ids` workload: there are none yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct UniqueIdsSpec {}

impl UniqueIdsSpec {
    pub(super) fn describe(&self) -> String {
        NAME.to_string()
    }

    pub(super) fn needs(&self) -> Vec<Capability> {
        vec![Capability::Increment]
    }

    pub(super) fn kinds(&self) -> Vec<OpKind> {
        vec![OpKind::Increment]
    }

    pub(super) fn generator(&self) -> UniqueIdsGenerator {
        UniqueIdsGenerator
    }

    pub(super) fn reads_of_all(&self, consistency: Consistency) -> Vec<Op> {
        vec![Op::Read { key: Key::new(KEY), consistency }]
    }
}

/// The generator of the `unique-ids` workload.
pub(super) struct UniqueIdsGenerator;

impl Generator for UniqueIdsGenerator {
    fn next(&mut self, _client: ClientId) -> Option<Op> {
        Some(Op::Increment { key: Key::new(KEY), by: 1 })
    }

    fn completed(&mut self, _client: ClientId, _op: &Op, _outcome: &Outcome) {}
}
