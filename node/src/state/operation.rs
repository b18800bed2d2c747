//! What commands do to the map: single ones at once, transactions on a draft that is kept whole or
//! dropped whole.
//!
//! Values are text. An integer is its decimal text, a list is a JSON array of strings, so that any
//! client can read both with a plain get.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::command::{
    Answer, Command, Comparison, Operation, RESULTS_BYTES_MAX, Refusal, Relation, Transaction,
    VALUE_BYTES_MAX,
};
use super::statement::{Row, Surroundings};

/// The map of the state machine.
pub(super) type Values = BTreeMap<Arc<str>, Arc<str>>;

/// Carries out a command. A refused one has changed nothing.
pub(super) fn carry_out(
    values: &mut Values,
    command: Command,
    surroundings: &mut Surroundings<'_>,
) -> Answer {
    match command {
        Command::Noop => Answer::Written,
        Command::Put { key, value } => {
            values.insert(key, value);
            Answer::Written
        }
        Command::CompareAndSet { key, expect, value } => {
            let observed = values.get(&key).cloned();
            let swapped = observed == expect;
            if swapped {
                values.insert(key, value);
            }
            Answer::Compared { swapped, observed }
        }
        Command::Delete { key } => Answer::Deleted { existed: values.remove(&key).is_some() },
        Command::Increment { key, by } => increment(values, key, by),
        Command::Append { key, value } => match appended(values.get(&key), &value) {
            Ok((list, length)) => {
                values.insert(key, list);
                Answer::Appended { length }
            }
            Err(refusal) => Answer::Refused(refusal),
        },
        Command::Transaction(transaction) => {
            transact(values, transaction).unwrap_or_else(Answer::Refused)
        }
        Command::Lock(_) | Command::Resource(_) | Command::Configuration(_) => {
            unreachable!("they have places of their own")
        }
        Command::Statement(statement) => {
            let row = statement.row(surroundings);
            write(values, statement.key, row)
        }
        Command::Row { statement, row } => write(values, statement.key, row),
    }
}

fn write(values: &mut Values, key: Arc<str>, row: Row) -> Answer {
    match row {
        Row::Nothing => Answer::Value(None),
        Row::Value(value) => {
            values.insert(key, Arc::clone(&value));
            Answer::Value(Some(value))
        }
        Row::Sum(by) => increment(values, key, by),
    }
}

fn increment(values: &mut Values, key: Arc<str>, by: i64) -> Answer {
    match incremented(values.get(&key), by) {
        Ok(sum) => {
            values.insert(key, Arc::clone(&sum));
            Answer::Value(Some(sum))
        }
        Err(refusal) => Answer::Refused(refusal),
    }
}

fn incremented(value: Option<&Arc<str>>, by: i64) -> Result<Arc<str>, Refusal> {
    let number: i64 = match value {
        Some(text) => text.parse().map_err(|_| Refusal::NotANumber)?,
        None => 0,
    };
    let sum = number.checked_add(by).ok_or(Refusal::Overflow)?;
    Ok(Arc::from(sum.to_string()))
}

/// The list with one more element, and its length.
fn appended(value: Option<&Arc<str>>, element: &str) -> Result<(Arc<str>, u64), Refusal> {
    let mut list: Vec<Cow<'_, str>> = match value {
        Some(text) => serde_json::from_str(text).map_err(|_| Refusal::NotAList)?,
        None => Vec::new(),
    };
    list.push(Cow::Borrowed(element));
    let text = serde_json::to_string(&list).map_err(|_| Refusal::NotAList)?;
    if text.len() > VALUE_BYTES_MAX {
        return Err(Refusal::TooLarge);
    }
    Ok((Arc::from(text), list.len() as u64))
}

fn transact(values: &mut Values, transaction: Transaction) -> Result<Answer, Refusal> {
    let Transaction { compare, success, failure } = transaction;
    let succeeded = compare.iter().all(|comparison| holds(values, comparison));
    let mut draft = Draft { values, changed: BTreeMap::new() };
    let mut results = Vec::new();
    let mut bytes = 0;
    for operation in if succeeded { success } else { failure } {
        let result = draft.operate(operation)?;
        bytes += result.bytes();
        if bytes > RESULTS_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        results.push(result);
    }
    for (key, value) in draft.changed {
        match value {
            Some(value) => drop(values.insert(key, value)),
            None => drop(values.remove(&key)),
        }
    }
    Ok(Answer::Transacted { succeeded, results })
}

fn holds(values: &Values, comparison: &Comparison) -> bool {
    let held = values.get(&comparison.key);
    let value = comparison.value.as_ref();
    match comparison.op {
        Relation::Equal => held == value,
        Relation::NotEqual => held != value,
        Relation::Less => held < value,
        Relation::Greater => held > value,
    }
}

/// The map as a transaction sees it, without touching it yet.
struct Draft<'a> {
    values: &'a Values,
    /// `None` is removed.
    changed: BTreeMap<Arc<str>, Option<Arc<str>>>,
}

impl Draft<'_> {
    fn get(&self, key: &Arc<str>) -> Option<&Arc<str>> {
        match self.changed.get(key) {
            Some(value) => value.as_ref(),
            None => self.values.get(key),
        }
    }

    fn operate(&mut self, operation: Operation) -> Result<Answer, Refusal> {
        Ok(match operation {
            Operation::Get { key } => Answer::Value(self.get(&key).cloned()),
            Operation::Put { key, value } => {
                self.changed.insert(key, Some(value));
                Answer::Written
            }
            Operation::Delete { key } => {
                let existed = self.get(&key).is_some();
                self.changed.insert(key, None);
                Answer::Deleted { existed }
            }
            Operation::Increment { key, by } => {
                let sum = incremented(self.get(&key), by)?;
                self.changed.insert(key, Some(Arc::clone(&sum)));
                Answer::Value(Some(sum))
            }
            Operation::Append { key, value } => {
                let (list, length) = appended(self.get(&key), &value)?;
                self.changed.insert(key, Some(list));
                Answer::Appended { length }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::SeedableRng;

    use super::*;

    /// For commands that say everything themselves.
    fn carry_out(values: &mut Values, command: Command) -> Answer {
        let mut dice = Xoshiro256PlusPlus::seed_from_u64(0);
        super::carry_out(values, command, &mut Surroundings { now: 0, dice: &mut dice })
    }

    fn values(entries: &[(&str, &str)]) -> Values {
        entries.iter().map(|(key, value)| (Arc::from(*key), Arc::from(*value))).collect()
    }

    fn transaction(json: &str) -> Command {
        Command::Transaction(serde_json::from_str(json).expect("a transaction"))
    }

    #[test]
    fn an_increment_counts_from_zero_and_refuses_what_is_no_number_or_too_great() {
        let mut map = values(&[("word", "seven"), ("most", "9223372036854775807")]);
        let before = map.clone();
        let add = |map: &mut Values, key: &str, by| {
            carry_out(map, Command::Increment { key: key.into(), by })
        };
        assert_eq!(add(&mut map, "word", 1), Answer::Refused(Refusal::NotANumber));
        assert_eq!(add(&mut map, "most", 1), Answer::Refused(Refusal::Overflow));
        assert_eq!(map, before, "a refused command changes nothing");
        assert_eq!(add(&mut map, "n", 5), Answer::Value(Some("5".into())));
        assert_eq!(add(&mut map, "n", -7), Answer::Value(Some("-2".into())));
        assert_eq!(map.get("n").map(|text| &**text), Some("-2"));
    }

    #[test]
    fn an_append_keeps_every_element_as_it_was_and_refuses_to_outgrow_a_value() {
        let mut map = values(&[("text", "a,b")]);
        let add = |map: &mut Values, key: &str, value: &str| {
            carry_out(map, Command::Append { key: key.into(), value: value.into() })
        };
        assert_eq!(add(&mut map, "text", "c"), Answer::Refused(Refusal::NotAList));
        let elements = ["1", "with \"quotes\" and \\", "", "z\u{fc}rich\n"];
        for (at, element) in elements.iter().enumerate() {
            let length = at as u64 + 1;
            assert_eq!(add(&mut map, "list", element), Answer::Appended { length });
        }
        let list: Vec<String> = serde_json::from_str(&map["list"]).expect("a list");
        assert_eq!(list, elements);
        let long = "x".repeat(VALUE_BYTES_MAX);
        assert_eq!(add(&mut map, "list", &long), Answer::Refused(Refusal::TooLarge));
    }

    #[test]
    fn a_transaction_does_what_its_comparisons_decide_and_its_steps_see_each_other() {
        let mut map = values(&[("a", "1"), ("b", "2")]);
        let move_on = transaction(
            r#"{"compare": [{"key": "a", "value": "1"}, {"key": "b", "op": ">", "value": "1"},
                            {"key": "c", "value": null}, {"key": "c", "op": "<", "value": ""}],
                "success": [{"increment": {"key": "a", "by": 1}}, {"get": {"key": "a"}},
                            {"delete": {"key": "b"}}, {"append": {"key": "l", "value": "x"}}],
                "failure": [{"get": {"key": "a"}}]}"#,
        );
        let two = || Answer::Value(Some("2".into()));
        let results =
            vec![two(), two(), Answer::Deleted { existed: true }, Answer::Appended { length: 1 }];
        let answer = carry_out(&mut map, move_on.clone());
        assert_eq!(answer, Answer::Transacted { succeeded: true, results });
        assert_eq!(map, values(&[("a", "2"), ("l", "[\"x\"]")]));
        let answer = carry_out(&mut map, move_on);
        assert_eq!(answer, Answer::Transacted { succeeded: false, results: vec![two()] });
    }

    #[test]
    fn a_transaction_with_one_step_that_is_refused_does_nothing_at_all() {
        let mut map = values(&[("a", "1"), ("word", "seven")]);
        let before = map.clone();
        let answer = carry_out(
            &mut map,
            transaction(
                r#"{"success": [{"put": {"key": "a", "value": "9"}}, {"delete": {"key": "word"}},
                                {"append": {"key": "a", "value": "x"}}]}"#,
            ),
        );
        assert_eq!(answer, Answer::Refused(Refusal::NotAList));
        assert_eq!(map, before);
    }

    #[test]
    fn a_transaction_whose_results_would_be_too_large_does_nothing_at_all() {
        let mut map = values(&[("a", &"x".repeat(VALUE_BYTES_MAX))]);
        let get = Operation::Get { key: "a".into() };
        let put = Operation::Put { key: "b".into(), value: "1".into() };
        let mut success = vec![put];
        success.extend(vec![get; 17]);
        let all = Transaction { compare: Vec::new(), success, failure: Vec::new() };
        let answer = carry_out(&mut map, Command::Transaction(all));
        assert_eq!(answer, Answer::Refused(Refusal::TooLarge));
        assert!(!map.contains_key("b"));
    }
}
