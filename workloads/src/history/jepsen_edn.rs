//! Writes a history of registers as Jepsen's EDN, for its checkers and for those that read its files:
//! one map per event, keys and values in pairs as Jepsen's `independent` writes them. What reads it
//! back is [`super::open`].
//!
//! ```text
//! {:index 0, :time 1520000, :process 3, :type :invoke, :f :write, :value ["r3" 7], :node "n1"}
//! {:index 1, :time 1900000, :process 3, :type :ok, :f :write, :value ["r3" 7]}
//! ```
//!
//! EDN histories know less than ours, and a file must not say something else than its history:
//!
//! - A read of `nil` says nothing there, so absence gets a number that nobody wrote, zero if it is
//!   free. It is the initial value that a checker must be told ([`Exported::initial`]). A delete
//!   writes it.
//! - A refused compare-and-set that says what it saw is a read of that.
//! - One that says nothing certainly did not happen, and that is all that is left of it; those are
//!   counted ([`Exported::silenced`]).
//! - Local reads, which ask for no linearizability, are left out and counted.
//! - What contradicts itself, lists, and whatever is no register is refused.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::edn::Edn;
use super::{History, MISMATCH, Operation};
use crate::operation::{Op, Outcome, Reply, Value};

/// What a reader of the file must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// How many operations were written.
    pub operations: usize,
    /// The number that stands for absence: what every register holds at first.
    pub initial: Value,
    /// Refused compare-and-sets that did not say what they saw. A reader is told less of them.
    pub silenced: usize,
    /// Local reads, which are left out.
    pub left_out: usize,
}

/// Why a history has no such file.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// An operation that cannot be said.
    #[error(
        "operation {index}, \"{op}\", {why}; expected reads, writes, compare-and-sets and deletes \
         of registers"
    )]
    Unsayable {
        /// Its number, by order of invocation from zero.
        index: u32,
        /// What was asked.
        op: String,
        /// What is the matter.
        why: &'static str,
    },
    /// A cut-off history would look like a whole one.
    #[error("the history is cut off, and a reader of its export could not know")]
    CutOff,
    /// The output.
    #[error("cannot write the history: {0}")]
    Io(#[from] io::Error),
}

/// Writes a history.
///
/// # Errors
///
/// [`ExportError`]. What cannot be said is found before the first byte is written.
pub fn write(history: &History, mut out: impl Write) -> Result<Exported, ExportError> {
    if !history.complete {
        return Err(ExportError::CutOff);
    }
    let initial = unwritten(history);
    let mut exported = Exported { operations: 0, initial, silenced: 0, left_out: 0 };
    // Two events for each operation: its place, and what is said.
    let mut events: Vec<(u64, &Operation, bool)> = Vec::new();
    for operation in &history.operations {
        if operation.op.is_local() {
            exported.left_out += 1;
            continue;
        }
        said(operation, initial)?;
        exported.operations += 1;
        exported.silenced += usize::from(is_silent(operation));
        events.push((operation.invoked.seq, operation, true));
        if let Some(completed) = operation.completed {
            events.push((completed.seq, operation, false));
        }
    }
    events.sort_unstable_by_key(|(seq, operation, is_invoke)| (*seq, operation.id, !is_invoke));
    for (index, (_, operation, is_invoke)) in events.into_iter().enumerate() {
        let (function, asked, answered) = said(operation, initial)?;
        let stamp = if is_invoke { Some(operation.invoked) } else { operation.completed };
        let kind = match (is_invoke, &operation.outcome) {
            (true, _) => "invoke",
            (false, Outcome::Ok(_)) => "ok",
            (false, Outcome::Fail(_)) => "fail",
            (false, Outcome::Info(_)) => "info",
        };
        let value = if kind == "ok" { answered } else { asked };
        let key = Edn::Text(operation.op.key().as_str().to_string());
        let mut event = vec![
            ("index", Edn::Int(number(index as u64))),
            ("time", Edn::Int(number(stamp.map_or(0, |it| it.at.0)).saturating_mul(1000))),
            ("process", Edn::Int(i64::from(operation.client.0))),
            ("type", Edn::Keyword(kind.to_string())),
            ("f", Edn::Keyword(function.to_string())),
            ("value", Edn::Sequence(vec![key, value])),
        ];
        match (&operation.outcome, operation.node) {
            (_, Some(node)) if is_invoke => event.push(("node", Edn::Text(node.to_string()))),
            (Outcome::Fail(reason) | Outcome::Info(reason), _) if !is_invoke => {
                event.push(("error", Edn::Text(reason.to_string())));
            }
            _ => {}
        }
        let event = event.into_iter().map(|(name, it)| (Edn::Keyword(name.to_string()), it));
        writeln!(out, "{}", Edn::Map(event.collect()))?;
    }
    out.flush()?;
    Ok(exported)
}

/// Zero, or the next number below that no operation names.
fn unwritten(history: &History) -> Value {
    let mut named = BTreeSet::new();
    for operation in &history.operations {
        match &operation.op {
            Op::Write { value, .. } => named.extend([*value]),
            Op::CompareAndSet { expect, value, .. } => {
                named.extend([Some(*value), *expect].into_iter().flatten())
            }
            _ => {}
        }
        let reply = operation.reply();
        if let Some(Reply::Read(seen) | Reply::Compared { observed: seen, .. }) = reply {
            named.extend(*seen);
        }
    }
    let free = (i64::MIN..=0).rev().map(Value).find(|value| !named.contains(value));
    free.expect("a history has fewer operations than there are numbers")
}

fn is_silent(operation: &Operation) -> bool {
    matches!(&operation.op, Op::CompareAndSet { .. })
        && matches!(&operation.outcome, Outcome::Fail(reason) if &*reason.0 == MISMATCH)
}

/// The function of an operation, what it asks and what it was answered.
fn said(operation: &Operation, initial: Value) -> Result<(&'static str, Edn, Edn), ExportError> {
    let unsayable =
        |why| ExportError::Unsayable { index: operation.id.0, op: operation.op.to_string(), why };
    let number = |value: Option<Value>| Edn::Int(value.unwrap_or(initial).0);
    let both = |function, value: Edn| Ok((function, value.clone(), value));
    match (&operation.op, operation.reply()) {
        (Op::Read { .. }, Some(Reply::Read(seen))) => Ok(("read", Edn::Nil, number(*seen))),
        (Op::Read { .. }, _) => both("read", Edn::Nil),
        (Op::Write { value, .. }, _) => both("write", number(Some(*value))),
        (Op::Delete { .. }, _) => both("write", number(None)),
        (Op::CompareAndSet { expect, value, .. }, reply) => match reply {
            Some(Reply::Compared { swapped, observed }) if *swapped != (observed == expect) => {
                Err(unsayable("was answered against what it saw, which EDN has no words for"))
            }
            Some(Reply::Compared { swapped: false, observed }) => {
                Ok(("read", Edn::Nil, number(*observed)))
            }
            _ => both("cas", Edn::Sequence(vec![number(*expect), number(Some(*value))])),
        },
        _ => Err(unsayable("is no operation on one register")),
    }
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::frontier::{Budget, Decision};
    use crate::checker::linearizable::decide_registers;
    use crate::checker::testing::{self, Model};
    use crate::history::{Format, Reading, open};
    use crate::recording::Recording;
    use crate::seed::Seed;

    fn exported(history: &History) -> Result<(String, Exported), String> {
        let mut bytes = Vec::new();
        let exported = write(history, &mut bytes).map_err(|error| error.to_string())?;
        Ok((String::from_utf8(bytes).unwrap(), exported))
    }

    fn read(text: &str, exported: Exported) -> Recording {
        let initial = Some(exported.initial.to_string());
        let reading = Reading { initial, ..Reading::default() };
        let (recording, format) = open(&mut text.as_bytes(), &reading).unwrap();
        assert_eq!(format, Format::JepsenEdn);
        recording
    }

    #[test]
    fn a_history_becomes_events_in_their_order() {
        let history = testing::history(
            "register",
            "
            c1 n1 10-40 write r1=0
            c2 n2 15-20 read r1=absent
            c3 n1 30-? write r2=5
            c4 n1 31-35 write r2=6 fail
            c2 n2 50-60 cas r1 0>2
            c4 n2 70-80 cas r1 1>3 saw 2
            c4 n2 90-91 delete r1
            c4 n2 95-96 final local read r1=2
            ",
        );
        let (text, told) = exported(&history).unwrap();
        assert_eq!(told, Exported { operations: 7, initial: Value(-1), silenced: 0, left_out: 1 });
        insta::assert_snapshot!(text, @r#"
    {:index 0, :time 10000000, :process 1, :type :invoke, :f :write, :value ["r1" 0], :node "n1"}
    {:index 1, :time 15000000, :process 2, :type :invoke, :f :read, :value ["r1" nil], :node "n2"}
    {:index 2, :time 20000000, :process 2, :type :ok, :f :read, :value ["r1" -1]}
    {:index 3, :time 30000000, :process 3, :type :invoke, :f :write, :value ["r2" 5], :node "n1"}
    {:index 4, :time 31000000, :process 4, :type :invoke, :f :write, :value ["r2" 6], :node "n1"}
    {:index 5, :time 35000000, :process 4, :type :fail, :f :write, :value ["r2" 6], :error "no-leader"}
    {:index 6, :time 40000000, :process 1, :type :ok, :f :write, :value ["r1" 0]}
    {:index 7, :time 50000000, :process 2, :type :invoke, :f :cas, :value ["r1" [0 2]], :node "n2"}
    {:index 8, :time 60000000, :process 2, :type :ok, :f :cas, :value ["r1" [0 2]]}
    {:index 9, :time 70000000, :process 4, :type :invoke, :f :read, :value ["r1" nil], :node "n2"}
    {:index 10, :time 80000000, :process 4, :type :ok, :f :read, :value ["r1" 2]}
    {:index 11, :time 90000000, :process 4, :type :invoke, :f :write, :value ["r1" -1], :node "n2"}
    {:index 12, :time 91000000, :process 4, :type :ok, :f :write, :value ["r1" -1]}
    "#);
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        let why = |line: &str| exported(&testing::history("register", line)).unwrap_err();
        insta::assert_snapshot!([
            why("c1 n1 10-20 cas r1 1>2 over 3"),
            why("c1 n1 10-20 cas r1 1>2 saw 1"),
            why("c1 n1 10-20 list r 1,2"),
            why("c1 n1 10-20 append r1=1"),
        ].join("\n"), @r#"
    operation 0, "cas r1 1->2", was answered against what it saw, which EDN has no words for; expected reads, writes, compare-and-sets and deletes of registers
    operation 0, "cas r1 1->2", was answered against what it saw, which EDN has no words for; expected reads, writes, compare-and-sets and deletes of registers
    operation 0, "list r*", is no operation on one register; expected reads, writes, compare-and-sets and deletes of registers
    operation 0, "append 1 to r1", is no operation on one register; expected reads, writes, compare-and-sets and deletes of registers
    "#);
        let mut cut = testing::history("register", "c1 n1 10-20 write r1=1");
        cut.complete = false;
        assert!(exported(&cut).unwrap_err().contains("cut off"));
    }

    #[test]
    fn what_is_read_back_is_judged_as_before() {
        let mut stream = Seed(20_261_121).stream("export");
        let (mut impossible, mut cases) = (0, 0);
        for case in 0..4000 {
            let model = match case % 2 {
                0 => Model::Registers { keys: 2 },
                _ => Model::Repeats { keys: 2 },
            };
            let history = testing::random(&mut stream, model);
            // Some contradict themselves, and some refusals are silent.
            let Ok((text, told)) = exported(&history) else { continue };
            if told.silenced > 0 {
                continue;
            }
            let before = decide_registers(&history, Budget::default());
            let after = read(&text, told).decide(Budget::default());
            let [before, after] = [&before, &after].map(|it| matches!(it, Decision::Possible));
            assert_eq!(before, after, "{text}{}", testing::file(&history));
            (impossible, cases) = (impossible + usize::from(!before), cases + 1);
        }
        assert!(
            cases > 2000 && impossible > 500 && impossible < cases - 500,
            "{impossible}/{cases}"
        );
    }
}
