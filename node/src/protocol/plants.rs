//! Planted bugs: mistakes that replicated stores really made, each one line of code that `--plant`
//! turns on, so that the simulation, the log's tests and the harness can prove that they would
//! catch it.
//!
//! A plant is not a switch. With a switch off the store says what may happen; a plant breaks a
//! protection that the settings claim to be on. Its line stands where the protection stands, as
//! `self.plant(Plant::...)` or `plants.has(Plant::...)`; this file is the list: what the mistake
//! is, where its line stands and what it causes. `docs/plants.md` says who catches it.

use std::fmt;
use std::str::FromStr;

use super::Core;
use crate::state::{Answer, Change, Command, Query, State, Surroundings};

/// A mistake that can be planted. [`PLANTS`] says what each is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// What waits for the disk is said at once: an acknowledgement, and the leader's count of
    /// itself.
    AcknowledgeBeforeFsync,
    /// The leader takes its own disk for a majority.
    AcknowledgeBeforeReplication,
    /// A compare-and-set is answered by what the leader held when it arrived.
    CompareBeforeReplication,
    /// A leader begins without an entry of its own and commits an older epoch's by counting
    /// (Raft, figure 8).
    CommitOlderEpoch,
    /// A follower commits what it holds up to the leader's position, whether it matches or not.
    CommitUnmatched,
    /// A vote is given and what is written down does not name it.
    VoteNotPersisted,
    /// Who asks for a vote in this epoch gets one, also the second.
    VoteTwice,
    /// Half of the cluster is taken for a majority of votes.
    ElectByHalf,
    /// A change of the members is begun before the last one is settled, whoever is left.
    ChangeTwiceAtOnce,
    /// A new leader changes the members before it has committed an entry of its own.
    ChangeBeforeOwnCommit,
    /// Logs are compared by length alone, so that a long stale one beats a short fresh one.
    LongerLogWins,
    /// A follower obeys whoever speaks last, also a leader of an earlier epoch.
    AcceptLowerEpoch,
    /// A follower cuts its log behind the place a message speaks of, though what follows agrees.
    TruncateWithoutConflict,
    /// A read joins the round that is under way, whose answers may be older than the read.
    StaleReadIndex,
    /// A new leader serves reads before it knows how far its predecessors had committed.
    ReadBeforeOwnCommit,
    /// A leader trusts its lease to the last moment, whatever the clocks of others do.
    LeaseWithoutMargin,
    /// A follower answers a linearizable read from its own state.
    StaleFollowerRead,
    /// A deposed leader says of writes on their way that they certainly did not happen.
    DefiniteWhenUnknown,
    /// Requests that are passed on are numbered from zero in every life, so that a late answer
    /// finds a stranger.
    ReuseRequestNumber,
    /// A restart applies what its log holds and forgets that it did.
    ApplyTwice,
    /// A snapshot leaves out the idempotency keys.
    SnapshotWithoutKeys,
    /// A snapshot leaves out the change of the last entry that it stands for.
    SnapshotWithoutLastEntry,
    /// What did not fit into a segment is not written into the next.
    LoseEntryAtSegmentEnd,
    /// What can be read of a torn frame is taken, though it was never whole.
    ResurrectTornTail,
    /// A frame is believed whatever its checksum says.
    SkipChecksum,
}

/// A row of the list.
#[derive(Clone, Copy, Debug)]
pub struct Planted {
    /// Which.
    pub plant: Plant,
    /// Its name on the command line.
    pub name: &'static str,
    /// The mistake, in one sentence.
    pub meaning: &'static str,
    /// The file below `node/src` and the function in which its line stands.
    pub place: &'static str,
    /// What is seen of it in the end, as verdicts call it: what its directed run shows, if it has one.
    pub anomaly: &'static str,
}

/// Every plant: first those of acknowledgement and commit, then of elections, of followers, of
/// reads, of requests, of snapshots and of the log.
pub const PLANTS: [Planted; 25] = [
    Planted {
        plant: Plant::AcknowledgeBeforeFsync,
        name: "acknowledge-before-fsync",
        meaning: "what waits for the disk is said at once: an acknowledgement, and the \
                  leader's count of itself",
        place: "protocol/mod.rs, once_durable",
        anomaly: "lost-write",
    },
    Planted {
        plant: Plant::AcknowledgeBeforeReplication,
        name: "acknowledge-before-replication",
        meaning: "the leader takes its own disk for a majority",
        place: "protocol/acknowledge.rs, confirmed",
        anomaly: "lost-write",
    },
    Planted {
        plant: Plant::CompareBeforeReplication,
        name: "compare-before-replication",
        meaning: "a compare-and-set is answered by what the leader held when it arrived",
        place: "protocol/append.rs, append_for",
        anomaly: "lost-update",
    },
    Planted {
        plant: Plant::CommitOlderEpoch,
        name: "commit-older-epoch",
        meaning: "a leader begins without an entry of its own and commits an older epoch's by \
                  counting (Raft, figure 8)",
        place: "protocol/acknowledge.rs, commits_own_epoch",
        anomaly: "lost-write",
    },
    Planted {
        plant: Plant::CommitUnmatched,
        name: "commit-unmatched",
        meaning: "a follower commits what it holds up to the leader's position, whether it \
                  matches or not",
        place: "protocol/catch_up.rs, commit_upto",
        anomaly: "lost-write",
    },
    Planted {
        plant: Plant::VoteNotPersisted,
        name: "vote-not-persisted",
        meaning: "a vote is given and what is written down does not name it",
        place: "protocol/election/durable_vote.rs, durable_hard",
        anomaly: "lost-write",
    },
    Planted {
        plant: Plant::VoteTwice,
        name: "vote-twice",
        meaning: "who asks for a vote in this epoch gets one, also the second",
        place: "protocol/election/raft.rs, on_vote",
        anomaly: "lost-write",
    },
    Planted {
        plant: Plant::ElectByHalf,
        name: "elect-by-half",
        meaning: "half of the cluster is taken for a majority of votes",
        place: "protocol/election/office.rs, votes_needed",
        anomaly: "lost-write",
    },
    Planted {
        plant: Plant::ChangeTwiceAtOnce,
        name: "change-twice-at-once",
        meaning: "a change of the members is begun before the last one is settled, whoever is left",
        place: "protocol/configuration.rs, next_configuration",
        anomaly: "lost-write",
    },
    Planted {
        plant: Plant::ChangeBeforeOwnCommit,
        name: "change-before-own-commit",
        meaning: "a new leader changes the members before it has committed an entry of its own \
                  (raft-dev, 10 July 2015)",
        place: "protocol/configuration.rs, is_settled",
        anomaly: "lost-write",
    },
    Planted {
        plant: Plant::LongerLogWins,
        name: "longer-log-wins",
        meaning: "logs are compared by length alone, so that a long stale one beats a short \
                  fresh one",
        place: "protocol/election/raft.rs, is_complete",
        anomaly: "lost-write",
    },
    Planted {
        plant: Plant::AcceptLowerEpoch,
        name: "accept-lower-epoch",
        meaning: "a follower obeys whoever speaks last, also a leader of an earlier epoch",
        place: "protocol/fence.rs, standing",
        anomaly: "lost-write",
    },
    Planted {
        plant: Plant::TruncateWithoutConflict,
        name: "truncate-without-conflict",
        meaning: "a follower cuts its log behind the place a message speaks of, though what \
                  follows agrees",
        place: "protocol/catch_up.rs, store",
        anomaly: "lost-write",
    },
    Planted {
        plant: Plant::StaleReadIndex,
        name: "stale-read-index",
        meaning: "a read joins the round that is under way, whose answers may be older than \
                  the read",
        place: "protocol/read.rs, read_at_leader",
        anomaly: "stale-read",
    },
    Planted {
        plant: Plant::ReadBeforeOwnCommit,
        name: "read-before-own-commit",
        meaning: "a new leader serves reads before it knows how far its predecessors had \
                  committed",
        place: "protocol/read.rs, knows_committed",
        anomaly: "stale-read",
    },
    Planted {
        plant: Plant::LeaseWithoutMargin,
        name: "lease-without-margin",
        meaning: "a leader trusts its lease to the last moment, whatever the clocks of others do",
        place: "protocol/read_lease.rs, holds_lease",
        anomaly: "stale-read",
    },
    Planted {
        plant: Plant::StaleFollowerRead,
        name: "stale-follower-read",
        meaning: "a follower answers a linearizable read from its own state",
        place: "protocol/route.rs, request",
        anomaly: "stale-read",
    },
    Planted {
        plant: Plant::DefiniteWhenUnknown,
        name: "definite-when-unknown",
        meaning: "a deposed leader says of writes on their way that they certainly did not \
                  happen",
        place: "protocol/leader.rs, leadership_lost",
        anomaly: "aborted-read",
    },
    Planted {
        plant: Plant::ReuseRequestNumber,
        name: "reuse-request-number",
        meaning: "requests that are passed on are numbered from zero in every life, so that a \
                  late answer finds a stranger",
        place: "protocol/mod.rs, Core::new",
        anomaly: "lost-write",
    },
    Planted {
        plant: Plant::ApplyTwice,
        name: "apply-twice",
        meaning: "a restart applies what its log holds and forgets that it did",
        place: "protocol/mod.rs, Core::new",
        anomaly: "divergence",
    },
    Planted {
        plant: Plant::SnapshotWithoutKeys,
        name: "snapshot-without-keys",
        meaning: "a snapshot leaves out the idempotency keys",
        place: "protocol/snapshot.rs, consider_snapshot",
        anomaly: "divergence",
    },
    Planted {
        plant: Plant::SnapshotWithoutLastEntry,
        name: "snapshot-without-last-entry",
        meaning: "a snapshot leaves out the change of the last entry that it stands for",
        place: "protocol/snapshot.rs, consider_snapshot",
        anomaly: "divergence",
    },
    Planted {
        plant: Plant::LoseEntryAtSegmentEnd,
        name: "lose-entry-at-segment-end",
        meaning: "what did not fit into a segment is not written into the next",
        place: "log/mod.rs, write",
        anomaly: "lost-write",
    },
    Planted {
        plant: Plant::ResurrectTornTail,
        name: "resurrect-torn-tail",
        meaning: "what can be read of a torn frame is taken, though it was never whole",
        place: "log/recovery.rs, segment",
        anomaly: "lost-write",
    },
    Planted {
        plant: Plant::SkipChecksum,
        name: "skip-checksum",
        meaning: "a frame is believed whatever its checksum says",
        place: "log/recovery.rs, frames",
        anomaly: "divergence",
    },
];

/// The plants of a node; usually none.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Plants(u32);

impl Plants {
    /// None.
    pub const NONE: Plants = Plants(0);

    /// Whether a plant is among them. With none of them that is one comparison with zero.
    pub fn has(self, plant: Plant) -> bool {
        self.0 & (1 << plant as u32) != 0
    }

    /// These and another one.
    #[must_use]
    pub fn with(self, plant: Plant) -> Self {
        Plants(self.0 | (1 << plant as u32))
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self == Plants::NONE
    }

    /// Those that are among them, in the order of the list.
    pub fn rows(self) -> impl Iterator<Item = &'static Planted> {
        PLANTS.iter().filter(move |row| self.has(row.plant))
    }
}

impl fmt::Debug for Plants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.rows().map(|row| row.name)).finish()
    }
}

impl FromStr for Plant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let row = PLANTS.iter().find(|row| row.name == text);
        row.map(|row| row.plant).ok_or_else(|| {
            let known = PLANTS.map(|row| row.name).join(", ");
            format!("expected one of {known}, got \"{text}\"")
        })
    }
}

impl Core {
    /// Whether a mistake is planted.
    pub(super) fn plant(&self, plant: Plant) -> bool {
        self.settings.plants.has(plant)
    }

    /// [`Plant::CompareBeforeReplication`]: what a compare-and-set would be answered here and now.
    pub(super) fn compare_early(&self, change: &Change) -> Option<Answer> {
        let Command::CompareAndSet { key, expect, .. } = &change.command else { return None };
        match self.state.read(&Query::Get { key: key.clone() })? {
            Answer::Value(observed) => {
                Some(Answer::Compared { swapped: observed == *expect, observed })
            }
            _ => None,
        }
    }

    /// [`Plant::ApplyTwice`]: applies what the log holds without moving the position.
    pub(super) fn apply_log_uncounted(&mut self) {
        for entry in self.entries.after(self.state.applied()) {
            let surroundings = &mut Surroundings { now: self.wall.0, dice: &mut self.dice };
            self.state.apply_uncounted(entry.change.decode(), surroundings);
        }
    }

    /// [`Plant::SnapshotWithoutLastEntry`]: the state with nothing done by the last entry.
    pub(super) fn state_without_last_entry(&mut self) -> State {
        let applied = self.state.applied();
        let mut state = self.state_at(applied - 1);
        let surroundings = &mut Surroundings { now: self.wall.0, dice: &mut self.dice };
        state.apply_in(applied, Command::Noop.into(), surroundings);
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plant_has_one_row_and_a_name_that_means_it() {
        for (at, row) in PLANTS.iter().enumerate() {
            assert_eq!(
                row.plant as usize, at,
                "{}: the list is in the order of the enum",
                row.name
            );
            assert_eq!(row.name.parse(), Ok(row.plant));
            let alone = Plants::NONE.with(row.plant);
            assert_eq!(alone.rows().map(|row| row.name).collect::<Vec<_>>(), [row.name]);
        }
        let unknown: Result<Plant, _> = "vote-thrice".parse();
        assert!(unknown.is_err_and(|error| error.contains("vote-twice")));
    }

    #[test]
    fn the_page_of_the_docs_names_every_plant() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/plants.md");
        let page = std::fs::read_to_string(path).expect("the page is there");
        for row in PLANTS {
            assert!(page.contains(&format!("| `{}` |", row.name)), "{} is not in it", row.name);
        }
    }

    /// The line of a plant stands where the list says, and nowhere but in one function.
    #[test]
    fn the_line_of_every_plant_stands_where_the_list_says() {
        for row in PLANTS {
            let (file, function) = row.place.split_once(", ").expect("a file and a function");
            let path = format!("{}/src/{file}", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(&path).expect("the file is there");
            let line = format!("Plant::{:?}", row.plant);
            let at = text.find(&line).unwrap_or_else(|| panic!("{file} holds no {line}"));
            let function = function.trim_start_matches("Core::");
            let before = &text[..at];
            let within = before.rfind("fn ").map(|begin| &before[begin + 3..]);
            let within = within.and_then(|name| name.split(['(', '<']).next());
            assert_eq!(within, Some(function), "{}: {file}", row.name);
        }
    }
}
