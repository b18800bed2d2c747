//! The state of a cluster in few words, so that two moments can be told apart, or not.
//!
//! It is what the nodes say of themselves with everything forgotten that does not matter to
//! whoever looks for corners: names, absolute epochs and positions. Of each node are left its role,
//! how far its epoch is behind the highest, how far its applied position is behind the highest
//! committed one, and whether something was cut from its log since the look before; of the cluster
//! the number of elections that the run has seen. Kept by [`roles`](super::roles), which reports
//! every state once; [`explore`](crate::explore) prefers plans that lead to new ones.

use std::collections::{BTreeMap, BTreeSet};

use splitbrain_reports::record::Role;
use splitbrain_workloads::operation::NodeId;

use super::roles::Picture;
use crate::target::NodeStatus;

/// Elections beyond this are told apart no more, or a run that only elects would seem to go places.
const ELECTIONS: u64 = 4;

/// The states that a run has passed through.
#[derive(Debug, Default)]
pub struct States {
    known: BTreeSet<String>,
    /// The epoch of the first leader that was seen.
    first_epoch: Option<u64>,
    /// Positions at the last look.
    applied: BTreeMap<NodeId, u64>,
}

impl States {
    /// The state of the picture if the run was never in it before.
    pub fn look(&mut self, picture: &Picture) -> Option<String> {
        let statuses = || picture.values().flatten();
        let epoch = statuses().map(|status| status.epoch).max().unwrap_or(0);
        let committed = statuses().map(|status| status.committed).max().unwrap_or(0);
        if self.first_epoch.is_none() && statuses().any(|status| status.role == Role::Leader) {
            self.first_epoch = Some(epoch);
        }
        let elections = epoch.saturating_sub(self.first_epoch.unwrap_or(epoch)).min(ELECTIONS);
        let mut nodes: Vec<String> = picture
            .iter()
            .map(|(node, status)| match status {
                None => "-".to_string(),
                Some(status) => {
                    let before = self.applied.insert(*node, status.applied);
                    let cut = before.is_some_and(|before| before > status.applied);
                    in_short(status, epoch, committed, cut)
                }
            })
            .collect();
        // Which node is which makes no difference.
        nodes.sort();
        let state = format!("e{elections} {}", nodes.join(" "));
        self.known.insert(state.clone()).then_some(state)
    }
}

/// Such as `F-1~x`: a follower, one epoch behind, up to ten entries behind, some of its log cut.
fn in_short(status: &NodeStatus, epoch: u64, committed: u64, cut: bool) -> String {
    let role = match status.role {
        Role::Leader => 'L',
        Role::Follower => 'F',
        Role::Candidate => 'C',
        Role::Silent => '-',
    };
    let behind = match epoch.saturating_sub(status.epoch) {
        0 => "",
        1 => "-1",
        _ => "-2",
    };
    let lag = match committed.saturating_sub(status.applied) {
        0 => '=',
        1..=10 => '~',
        11..=1000 => '<',
        _ => '!',
    };
    format!("{role}{behind}{lag}{}", if cut { "x" } else { "" })
}

/// What a state says of elections and roles alone, such as `e1 C F L`.
pub fn roles_of(state: &str) -> String {
    let words = state.split(' ').enumerate();
    let short = words.map(|(place, word)| if place == 0 { word } else { &word[..1] });
    short.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(role: Role, epoch: u64, applied: u64, committed: u64) -> Option<NodeStatus> {
        let (voters, learners) = (Vec::new(), Vec::new());
        Some(NodeStatus { role, epoch, leader: None, applied, committed, voters, learners })
    }

    fn picture(statuses: [Option<NodeStatus>; 3]) -> Picture {
        NodeId::first(3).zip(statuses).collect()
    }

    #[test]
    fn names_and_numbers_are_forgotten_and_what_tells_states_apart_is_kept() {
        let (leader, follower) = (Role::Leader, Role::Follower);
        let mut states = States::default();
        let first = [says(leader, 3, 9, 9), says(follower, 3, 9, 9), says(follower, 3, 7, 9)];
        assert_eq!(states.look(&picture(first)).unwrap(), "e0 F= F~ L=");
        let again = [says(follower, 3, 19, 19), says(follower, 3, 17, 19), says(leader, 3, 19, 19)];
        assert_eq!(states.look(&picture(again)), None, "other names, other numbers");
        let later = [None, says(leader, 5, 2000, 2000), says(Role::Candidate, 4, 5, 9)];
        assert_eq!(states.look(&picture(later)).unwrap(), "e2 - C-1!x L=");
        assert_eq!(roles_of("e2 - C-1!x L="), "e2 - C L");
    }
}
