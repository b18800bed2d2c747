//! Requirements: how much of the cluster's life the faults of a run must have hit, such as
//! `{ fault: kill, hits: leader, at_least: 2 }`. A run that falls short is undecided, whatever its
//! verdict. What is counted is defined in `measure/fault_coverage.rs`; the audit counts.

use std::fmt;

use serde::{Deserialize, Serialize};
use splitbrain_reports::measure::fault_coverage::Hit;
use splitbrain_reports::record::{ClusterState, VictimRole};

/// So many faults, of a kind and in circumstances, must take effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// The kind of the faults, such as `kill`.
    pub fault: String,
    /// Their form, such as `isolate` of a partition; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
    /// What one of the victims must have been; anything when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hits: Option<VictimRole>,
    /// What the cluster must have been doing; anything when absent.
    #[serde(default, rename = "while", skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterState>,
    /// How many of them.
    #[serde(default = "one")]
    pub at_least: u64,
}

fn one() -> u64 {
    1
}

impl Requirement {
    /// How many faults of a run satisfy it.
    pub fn count(&self, hits: &[Hit]) -> u64 {
        hits.iter().filter(|hit| self.is_met_by(hit)).count() as u64
    }

    fn is_met_by(&self, hit: &Hit) -> bool {
        self.fault == hit.fault
            && self.form.as_ref().is_none_or(|form| *form == hit.form)
            && self.hits.is_none_or(|role| hit.victims.contains(&role))
            && self.cluster.is_none_or(|state| hit.cluster.contains(&state))
    }
}

impl fmt::Display for Requirement {
    /// In words, such as "kill of a leader while electing >= 2".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fault)?;
        if let Some(form) = &self.form {
            write!(f, " {form}")?;
        }
        if let Some(role) = self.hits {
            write!(f, " of a {role}")?;
        }
        if let Some(state) = self.cluster {
            write!(f, " while {state}")?;
        }
        write!(f, " >= {}", self.at_least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_counts_the_faults_that_fit_all_of_it() {
        let hit = |fault: &str, victim, cluster| Hit {
            fault: fault.to_string(),
            form: String::new(),
            victims: [victim].into(),
            cluster: [cluster].into(),
        };
        let hits = [
            hit("kill", VictimRole::Leader, ClusterState::Steady),
            hit("kill", VictimRole::Leader, ClusterState::Electing),
            hit("kill", VictimRole::Follower, ClusterState::Electing),
            hit("pause", VictimRole::Leader, ClusterState::Electing),
        ];
        let mut required = Requirement {
            fault: "kill".to_string(),
            form: None,
            hits: None,
            cluster: None,
            at_least: 1,
        };
        assert_eq!(required.count(&hits), 3);
        required.hits = Some(VictimRole::Leader);
        assert_eq!(required.count(&hits), 2);
        required.cluster = Some(ClusterState::Electing);
        assert_eq!(required.count(&hits), 1);
        assert_eq!(required.to_string(), "kill of a leader while electing >= 1");
        required.form = Some("isolate".to_string());
        assert_eq!(required.count(&hits), 0);
    }
}
