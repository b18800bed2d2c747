//! What a log comes to at a point: the state as it was after some entry, from the snapshot and the
//! entries behind it. Called by `crate::replay`, on a data directory that no node is using.
//!
//! Which entries were committed does not stand in the log. So a late point may lie behind writes
//! that were never acknowledged and that a leader would have cut.

use std::fmt;
use std::str::FromStr;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use thiserror::Error;

use super::entry::{Entry, EntryId};
use super::{Gtid, HardState, Remembered, Snapshot, WallTime};
use crate::state::{Command, Surroundings};

/// Up to where a log is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// All that is there.
    End,
    /// Up to and with the entry at this index.
    Index(u64),
    /// Up to and with this very entry.
    Gtid(Gtid),
    /// Up to the first entry that was written later than this, and without it.
    Time(WallTime),
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = || text.parse().ok().map(Point::Index);
        let gtid = || text.parse().ok().map(Point::Gtid);
        let time = || text.parse().ok().map(Point::Time);
        let end = (text == "end").then_some(Point::End);
        end.or_else(number).or_else(gtid).or_else(time).ok_or_else(|| {
            format!(
                "expected `end`, an index such as 17, a GTID such as n1@3:17 or a time such as \
                 2026-11-21T15:04:05Z, got \"{text}\""
            )
        })
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Point::End => f.write_str("the end"),
            Point::Index(index) => write!(f, "entry {index}"),
            Point::Gtid(gtid) => gtid.fmt(f),
            Point::Time(time) => time.fmt(f),
        }
    }
}

/// A point that a log does not lead to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PointError {
    /// The snapshot stands for everything up to a later point.
    #[error(
        "{point}: expected a point at or after {snapshot} of {written}, because a snapshot stands \
         for everything up to there; help: use a copy of the data directory from before it"
    )]
    BeforeSnapshot {
        /// What was asked.
        point: Point,
        /// The last entry in the snapshot.
        snapshot: EntryId,
        /// When that was written.
        written: WallTime,
    },
    /// The log ends before it.
    #[error("{point}: expected a point in the log, which ends with entry {last}")]
    BeyondEnd {
        /// What was asked.
        point: Point,
        /// The last index.
        last: u64,
    },
    /// Another entry stands at its index.
    #[error(
        "{point}: expected an entry of this log, which holds {found} there; help: if it was cut, \
         it is archived in lost+found"
    )]
    Another {
        /// What was asked.
        point: Point,
        /// What stands there.
        found: Gtid,
    },
}

/// A state with what leads to it.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The state after the last entry that was replayed.
    pub snapshot: Snapshot,
    /// The first entry that was not.
    pub next: Option<Entry>,
    /// How many statements were evaluated here, and so may have come to something else than they
    /// did before.
    pub evaluated: u64,
    /// What the node had promised at the end of its log.
    pub hard: HardState,
}

impl Remembered {
    /// Replays the log up to a point. A statement is evaluated anew, at the time at which its
    /// entry was written.
    ///
    /// # Errors
    /// When the log does not lead there.
    pub fn replay_to(&self, point: Point) -> Result<Replayed, PointError> {
        let last = self.index_of(point)?;
        let mut snapshot = Snapshot::clone(&self.snapshot);
        let mut dice = Xoshiro256PlusPlus::seed_from_u64(0);
        let mut evaluated = 0;
        for entry in self.entries.after(0).take_while(|entry| entry.id.index <= last) {
            let change = entry.change.decode();
            let statement = match &change.command {
                Command::Statement(statement) => !statement.is_deterministic(),
                _ => false,
            };
            evaluated += u64::from(statement);
            let surroundings = &mut Surroundings { now: entry.written.0, dice: &mut dice };
            snapshot.state.apply_in(entry.id.index, change, surroundings);
            (snapshot.last, snapshot.written) = (entry.id, entry.written);
        }
        snapshot.lineage = self.entries.lineage().upto(last);
        let next = self.entries.get(last + 1).cloned();
        Ok(Replayed { snapshot, next, evaluated, hard: self.hard })
    }

    /// The last index that belongs to a point.
    fn index_of(&self, point: Point) -> Result<u64, PointError> {
        let (first, end) = (self.snapshot.last.index, self.entries.last_index());
        let before = || PointError::BeforeSnapshot {
            point,
            snapshot: self.snapshot.last,
            written: self.snapshot.written,
        };
        let index = match point {
            Point::End => end,
            Point::Index(index) => index,
            Point::Gtid(Gtid(id)) => id.index,
            Point::Time(time) if first > 0 && time < self.snapshot.written => {
                return Err(before());
            }
            Point::Time(time) => {
                let later = self.entries.after(0).find(|entry| entry.written > time);
                later.map_or(end, |entry| entry.id.index - 1)
            }
        };
        if index < first {
            return Err(before());
        }
        if index > end {
            return Err(PointError::BeyondEnd { point, last: end });
        }
        if let (Point::Gtid(Gtid(asked)), Some(found)) = (point, self.entries.id_at(index))
            && found != asked
        {
            return Err(PointError::Another { point, found: Gtid(found) });
        }
        Ok(index)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Claim, Encoded, Lineage, NodeId, Note, Saved};
    use super::*;
    use crate::state::{Answer, Query, State};

    fn id(index: u64) -> EntryId {
        // Entry 6 was written under another leader.
        let leader = if index < 6 { 1 } else { 2 };
        EntryId { claim: Claim { epoch: leader, leader: NodeId(leader as u16) }, index }
    }

    fn entry(index: u64) -> Note {
        let command = match index {
            7 => Command::Statement("set t = now()".parse().expect("it is a statement")),
            _ => Command::Put { key: "k".into(), value: index.to_string().into() },
        };
        // The clock steps back with the second leader.
        let written = WallTime(if index < 6 { 1_000 * index } else { 500 * index });
        Note::Entry(Entry { id: id(index), written, change: Encoded::new(&command.into()) })
    }

    /// Seven entries, of which a snapshot stands for the first so many.
    fn log(snapshot: u64) -> Remembered {
        let mut state = State::default();
        let mut lineage = Lineage::default();
        for index in 1..=snapshot {
            let Note::Entry(entry) = entry(index) else { unreachable!("it is an entry") };
            state.apply(index, entry.change.decode());
            lineage.push(entry.id);
        }
        let last = if snapshot == 0 { EntryId::ORIGIN } else { id(snapshot) };
        let written = WallTime(1_000 * snapshot);
        let snapshot = Arc::new(Snapshot { last, written, lineage, state });
        let saved = Saved { snapshot, received: false };
        Remembered::replay(saved, false, (1..=7).map(entry)).expect("the log is whole")
    }

    fn value(log: &Remembered, point: Point, key: &str) -> Result<Option<String>, PointError> {
        let state = log.replay_to(point)?.snapshot.state;
        match state.read(&Query::Get { key: key.into() }) {
            Some(Answer::Value(value)) => Ok(value.map(|value| value.to_string())),
            other => panic!("a get is answered with a value, got {other:?}"),
        }
    }

    #[test]
    fn a_log_is_replayed_up_to_an_index_a_gtid_or_a_time_and_no_further() {
        for snapshot in [0, 3] {
            let log = log(snapshot);
            let k = |point| value(&log, point, "k").map(Option::unwrap_or_default);
            for index in 3..=6 {
                assert_eq!(k(Point::Index(index)), Ok(index.to_string()));
                assert_eq!(k(Point::Gtid(Gtid(id(index)))), Ok(index.to_string()));
            }
            assert_eq!(k(Point::Time(WallTime(3_999))), Ok("3".into()));
            assert_eq!(k(Point::Time(WallTime(4_000))), Ok("4".into()));
            assert_eq!(k(Point::Time(WallTime(9_000))), Ok("6".into()));
            assert_eq!(k(Point::End), Ok("6".into()));
            let at_five = log.replay_to(Point::Index(5)).expect("it leads there");
            assert_eq!(at_five.next.map(|entry| entry.id), Some(id(6)));
            assert_eq!(at_five.snapshot.last, id(5));
            assert_eq!(at_five.snapshot.lineage.between(0, 5).to_string(), "n1@1:1-5");
        }
        assert_eq!(value(&log(0), Point::Index(0), "k"), Ok(None));
    }

    #[test]
    fn a_statement_is_evaluated_at_the_time_of_its_entry_and_counted() {
        let log = log(3);
        assert_eq!(value(&log, Point::End, "t"), Ok(Some("3500".into())));
        assert_eq!(log.replay_to(Point::End).map(|replayed| replayed.evaluated), Ok(1));
        assert_eq!(log.replay_to(Point::Index(6)).map(|replayed| replayed.evaluated), Ok(0));
    }

    #[test]
    fn a_point_that_the_log_does_not_lead_to_is_refused_with_what_is_there() {
        let log = log(3);
        for early in [Point::Index(2), Point::Gtid(Gtid(id(2))), Point::Time(WallTime(2_999))] {
            let error = value(&log, early, "k").expect_err("it is gone");
            assert!(matches!(error, PointError::BeforeSnapshot { .. }), "{error}");
            assert!(error.to_string().contains("after entry 3"), "{error}");
        }
        let error = value(&log, Point::Index(8), "k").expect_err("it is not there yet");
        assert_eq!(error, PointError::BeyondEnd { point: Point::Index(8), last: 7 });
        let cut = EntryId { index: 6, ..id(5) };
        let error = value(&log, Point::Gtid(Gtid(cut)), "k").expect_err("another is there");
        assert!(error.to_string().contains("n2@2:6"), "{error}");
    }

    #[test]
    fn a_point_is_read_in_all_its_spellings() {
        assert_eq!("end".parse(), Ok(Point::End));
        assert_eq!("17".parse(), Ok(Point::Index(17)));
        assert_eq!("n1@1:4".parse(), Ok(Point::Gtid(Gtid(id(4)))));
        let time = WallTime(1_763_737_445_000_000);
        assert_eq!("2025-11-21T15:04:05Z".parse(), Ok(Point::Time(time)));
        "yesterday".parse::<Point>().expect_err("it is no point");
    }
}
