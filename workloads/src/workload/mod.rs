//! Workloads: what clients do and what must hold of what they saw, under one name. One workload,
//! one file.
//!
//! A new workload is one file (parameters, generator, list of checkers), one variant of
//! [`WorkloadSpec`] and one line in each `match` below; the compiler names the places. The harness
//! drives clients with [`WorkloadSpec::generator`] and judges with [`WorkloadSpec::judge`];
//! `splitbrain check` has only a file and calls [`judge`].

mod register;
mod set;

use serde::{Deserialize, Serialize};

pub use register::RegisterSpec;
pub use set::SetSpec;

use crate::checker::{self, Checker};
use crate::history::History;
use crate::operation::{Capability, ClientId, Op, OpKind, Outcome};
use crate::seed::Seed;
use crate::verdict::{Anomaly, Judgement};

/// A workload and its parameters, as a suite writes them: `set`, or `register: { keys: 8 }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkloadSpec {
    /// Reads, writes and compare-and-sets of registers.
    Register(RegisterSpec),
    /// Adds to a growing set, and reads of all of it.
    Set(SetSpec),
}

/// Says what clients do next. One generator serves all clients of a run, so values are unique over
/// the run and a client that goes on under a new id goes on in the same stream. What it says
/// depends on its seed and on the order of its calls alone.
pub trait Generator {
    /// The next operation of a client, or `None` when the workload has nothing more to do (the
    /// `set` is full): the client then rests until the run ends.
    fn next(&mut self, client: ClientId) -> Option<Op>;

    /// Tells the generator how an operation of a client ended, so that a compare-and-set can
    /// expect what was seen. To be called in the order in which the answers came.
    fn completed(&mut self, client: ClientId, op: &Op, outcome: &Outcome);
}

impl WorkloadSpec {
    /// The name, as suites and the history's header write it.
    pub fn name(&self) -> &'static str {
        match self {
            WorkloadSpec::Register(_) => register::NAME,
            WorkloadSpec::Set(_) => set::NAME,
        }
    }

    /// The workload in a few words, for reports: `register, 8 keys`.
    pub fn describe(&self) -> String {
        match self {
            WorkloadSpec::Register(spec) => spec.describe(),
            WorkloadSpec::Set(spec) => spec.describe(),
        }
    }

    /// Refuses parameters that make no sense.
    ///
    /// # Errors
    ///
    /// One line: the field, what was expected, what it is.
    pub fn validate(&self) -> Result<(), String> {
        match self {
            WorkloadSpec::Register(spec) => spec.validate(),
            WorkloadSpec::Set(spec) => spec.validate(),
        }
    }

    /// What a target must be able to do. The local reads at the end are not among it: a target
    /// without them leaves the agreement of its replicas `unknown`.
    pub fn needs(&self) -> Vec<Capability> {
        match self {
            WorkloadSpec::Register(spec) => spec.needs(),
            WorkloadSpec::Set(_) => vec![Capability::AtomicList],
        }
    }

    /// The generator for all clients of a run. It draws from the stream `workload` of the seed.
    pub fn generator(&self, seed: Seed) -> Box<dyn Generator + Send> {
        match self {
            WorkloadSpec::Register(spec) => Box::new(spec.generator(seed)),
            WorkloadSpec::Set(spec) => Box::new(spec.generator()),
        }
    }

    /// The linearizable reads at the end, after the heal, of all that is left. The history must
    /// mark them as final.
    pub fn final_operations(&self) -> Vec<Op> {
        self.reads_of_all(crate::operation::Consistency::Linearizable)
    }

    /// The local reads to be done at every node at the end, after the final reads. The history
    /// must mark them as final and name the node of each.
    pub fn local_operations(&self) -> Vec<Op> {
        self.reads_of_all(crate::operation::Consistency::Local)
    }

    fn reads_of_all(&self, consistency: crate::operation::Consistency) -> Vec<Op> {
        match self {
            WorkloadSpec::Register(spec) => spec.reads_of_all(consistency),
            WorkloadSpec::Set(_) => vec![set::list_of_all(consistency)],
        }
    }

    /// Judges a history with all checkers of this workload. A checker that panics says `unknown`;
    /// so do all of them about a history that is empty or cut off.
    pub fn judge(&self, history: &History) -> Vec<Judgement> {
        checker::run_all(self.checkers(), history)
    }

    /// The kinds of operation that clients of this workload make, final reads left out.
    pub fn kinds(&self) -> Vec<OpKind> {
        match self {
            WorkloadSpec::Register(spec) => spec.kinds(),
            WorkloadSpec::Set(_) => vec![OpKind::Write, OpKind::List],
        }
    }

    /// The checkers of this workload, in the order of the judgements.
    pub fn checkers(&self) -> &'static [Checker] {
        match self {
            WorkloadSpec::Register(_) => register::CHECKERS,
            WorkloadSpec::Set(_) => set::CHECKERS,
        }
    }
}

/// Judges a history by the name of the workload in its header, as `splitbrain check` does, with
/// nothing but the file at hand. A name that no workload has gives one `unknown` judgement.
pub fn judge(history: &History) -> Vec<Judgement> {
    let name = history.header.workload.as_str();
    match checkers_of(name) {
        Some(checkers) => checker::run_all(checkers, history),
        None => vec![Judgement::unknown(
            "workload",
            format!(
                "the history is of a workload \"{name}\", whose checkers this build does not \
                 know: expected \"{}\" or \"{}\"",
                register::NAME,
                set::NAME
            ),
        )],
    }
}

fn checkers_of(workload: &str) -> Option<&'static [Checker]> {
    match workload {
        register::NAME => Some(register::CHECKERS),
        set::NAME => Some(set::CHECKERS),
        _ => None,
    }
}

/// Every workload's name and one line of what its clients do, for `list`.
pub const WORKLOADS: [(&str, &str); 2] =
    [(register::NAME, register::SUMMARY), (set::NAME, set::SUMMARY)];

/// The minimal history of an anomaly that a judgement holds: what [`checker::minimal`] makes with
/// the checker that found it.
///
/// # Panics
///
/// If the judgement is not of a checker of this build, or the anomaly not of this history.
pub fn minimal(history: &History, judgement: &Judgement, anomaly: &Anomaly) -> History {
    let checkers = checkers_of(&history.header.workload).unwrap_or_default();
    let checker = checkers.iter().find(|checker| checker.name == judgement.checker);
    let checker = checker.expect("a judgement is of a checker of its workload");
    checker::minimal::minimal(history, anomaly, checker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_a_name_is_what_a_suite_writes() {
        for spec in
            [WorkloadSpec::Register(Default::default()), WorkloadSpec::Set(Default::default())]
        {
            assert_eq!(spec.validate(), Ok(()));
            let json = serde_json::to_string(&spec).unwrap();
            assert!(json.starts_with(&format!("{{\"{}\":", spec.name())), "{json}");
        }
    }

    #[test]
    fn descriptions_are_short() {
        let register = WorkloadSpec::Register(RegisterSpec { hot: 50, ..Default::default() });
        assert_eq!(register.describe(), "register, 8 keys, 50 % on r0");
        assert_eq!(WorkloadSpec::Set(Default::default()).describe(), "set, up to 50000 elements");
    }

    #[test]
    fn the_same_seed_and_the_same_calls_give_the_same_operations() {
        let spec = WorkloadSpec::Register(Default::default());
        let operations = |seed| {
            let mut generator = spec.generator(seed);
            (0..100).map(|i| generator.next(ClientId(i % 5))).collect::<Vec<_>>()
        };
        assert_eq!(operations(Seed(1)), operations(Seed(1)));
        assert_ne!(operations(Seed(1)), operations(Seed(2)));
    }
}
