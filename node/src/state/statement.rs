//! Statements: writes that say how a value comes about instead of saying the value.
//!
//! ```text
//! statement = "set" KEY "=" value [ "where now() <" MICROSECONDS ]  |  "counter" KEY
//! value     = "now()" | "rand()" | "uuid()" | 'TEXT' | INTEGER | KEY ("+" | "-") INTEGER
//! ```
//!
//! Words stand apart. A key is letters, digits and `/ _ - . @ :`; a quote inside a text is doubled.
//! `now()` is microseconds since 1970, `rand()` a number from 0 to below 1, `uuid()` a random UUID
//! (RFC 9562, version 4). A sum is of the key that is set, where absent counts as 0, and
//! `counter k` is short for `set k = k + 1`. What `where` does not let happen changes nothing.
//!
//! A statement becomes a *row*, what it really writes, in one place: [`Statement::row`]. Where that
//! happens is the switch `log-format`: at every node when it applies the statement, or once, at the
//! leader, before it is logged. A row never says what a sum comes to: when a leader logs it, the
//! entries before it may not be applied yet. It says what is added, which is the same everywhere,
//! since all nodes apply the log in one order.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use super::command::KEY_BYTES_MAX;

/// What a node has that others have not: its clock and its randomness, at one moment.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// Its wall clock, in microseconds since 1970.
    pub now: u64,
    /// Where its randomness comes from.
    pub dice: &'a mut Xoshiro256PlusPlus,
}

/// A write of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Statement {
    /// Which key.
    pub key: Arc<str>,
    /// How its value comes about.
    pub value: Expression,
    /// It happens only while the clock is before this, in microseconds since 1970.
    pub before: Option<u64>,
}

/// How a value comes about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expression {
    /// `now()`
    Now,
    /// `rand()`
    Random,
    /// `uuid()`
    Uuid,
    /// A text or an integer.
    Literal(Arc<str>),
    /// What the key holds and so much.
    Sum(i64),
}

/// What a statement really writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Row {
    /// Nothing: its condition did not hold.
    Nothing,
    /// This value.
    Value(Arc<str>),
    /// So much is added.
    Sum(i64),
}

impl Statement {
    /// Whether it writes the same wherever and whenever it is carried out in the same log.
    pub fn is_deterministic(&self) -> bool {
        let value = match &self.value {
            Expression::Now | Expression::Random | Expression::Uuid => false,
            Expression::Literal(_) | Expression::Sum(_) => true,
        };
        value && self.before.is_none()
    }

    /// What it writes here and now.
    pub fn row(&self, surroundings: &mut Surroundings<'_>) -> Row {
        let Surroundings { now, dice } = surroundings;
        if self.before.is_some_and(|before| *now >= before) {
            return Row::Nothing;
        }
        Row::Value(match &self.value {
            Expression::Now => now.to_string().into(),
            Expression::Random => dice.random_range(0.0..1.0).to_string().into(),
            Expression::Uuid => uuid::Builder::from_random_bytes(dice.random())
                .into_uuid()
                .hyphenated()
                .to_string()
                .into(),
            Expression::Literal(text) => Arc::clone(text),
            Expression::Sum(by) => return Row::Sum(*by),
        })
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        write!(f, "set {key} = ")?;
        match &self.value {
            Expression::Now => f.write_str("now()")?,
            Expression::Random => f.write_str("rand()")?,
            Expression::Uuid => f.write_str("uuid()")?,
            Expression::Literal(text) => write!(f, "'{}'", text.replace('\'', "''"))?,
            Expression::Sum(by) if *by < 0 => write!(f, "{key} - {}", by.unsigned_abs())?,
            Expression::Sum(by) => write!(f, "{key} + {by}")?,
        }
        match self.before {
            Some(before) => write!(f, " where now() < {before}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Statement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = words(text)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (clause, before) = match words.as_slice() {
            [clause @ .., "where", "now()", "<", before] => {
                let wrong = || format!("expected microseconds since 1970, got \"{before}\"");
                (clause, Some(before.parse().map_err(|_| wrong())?))
            }
            all => (all, None),
        };
        let (name, value) = match clause {
            ["counter", key] => (*key, Expression::Sum(1)),
            ["set", key, "=", value @ ..] => (*key, expression(key, value)?),
            _ => {
                return Err(format!(
                    "expected `set KEY = VALUE [where now() < MICROSECONDS]` or `counter KEY`, \
                     got \"{text}\""
                ));
            }
        };
        Ok(Statement { key: key(name)?, value, before })
    }
}

fn expression(key: &str, words: &[&str]) -> Result<Expression, String> {
    match words {
        ["now()"] => Ok(Expression::Now),
        ["rand()"] => Ok(Expression::Random),
        ["uuid()"] => Ok(Expression::Uuid),
        [text] if text.starts_with('\'') => Ok(Expression::Literal(Arc::from(&text[1..]))),
        [number] if number.parse::<i64>().is_ok() => Ok(Expression::Literal(Arc::from(*number))),
        [own, sign @ ("+" | "-"), amount] if *own == key => {
            let amount = if *sign == "-" { format!("-{amount}") } else { (*amount).to_string() };
            let wrong = || format!("expected an integer of 64 bits, got \"{amount}\"");
            Ok(Expression::Sum(amount.parse().map_err(|_| wrong())?))
        }
        _ => Err(format!(
            "expected now(), rand(), uuid(), a 'text', an integer or `{key} + 1`, got \"{}\"",
            words.join(" ")
        )),
    }
}

fn key(word: &str) -> Result<Arc<str>, String> {
    let fits = |letter: char| letter.is_alphanumeric() || "/_-.@:".contains(letter);
    if !word.chars().all(fits) || word.len() > KEY_BYTES_MAX {
        return Err(format!(
            "expected a key of letters, digits and / _ - . @ :, at most {KEY_BYTES_MAX} bytes, \
             got \"{word}\""
        ));
    }
    Ok(Arc::from(word))
}

/// The words of a statement. A text is one word that begins with its quote and does not end with
/// it.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if first != '\'' {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            words.push(rest[..end].to_string());
            rest = rest[end..].trim_start();
            continue;
        }
        let mut word = String::from('\'');
        rest = &rest[1..];
        loop {
            let Some(end) = rest.find('\'') else {
                return Err(format!("expected a closing quote, got \"{text}\""));
            };
            word.push_str(&rest[..end]);
            rest = &rest[end + 1..];
            match rest.strip_prefix('\'') {
                Some(after) => {
                    word.push('\'');
                    rest = after;
                }
                None => break,
            }
        }
        words.push(word);
        rest = rest.trim_start();
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use rand_xoshiro::rand_core::SeedableRng;

    use super::*;

    fn statement(text: &str) -> Statement {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn row(text: &str, now: u64, seed: u64) -> Row {
        let mut dice = Xoshiro256PlusPlus::seed_from_u64(seed);
        statement(text).row(&mut Surroundings { now, dice: &mut dice })
    }

    #[test]
    fn a_statement_is_read_as_it_is_written() {
        for text in [
            "set s/17 = now()",
            "set a = rand()",
            "set a = uuid() where now() < 12",
            "set a = 'it''s = where now() < 1 '",
            "set a = ''",
            "set a = a + 7",
            "set a = a - 9223372036854775808",
        ] {
            assert_eq!(statement(text).to_string(), text);
        }
        assert_eq!(statement("  counter   hits "), statement("set hits = hits + 1"));
        assert_eq!(statement("set a = -7").to_string(), "set a = '-7'");
    }

    #[test]
    fn what_is_no_statement_is_refused_with_what_was_expected() {
        for (text, expected) in [
            ("", "expected `set KEY"),
            ("drop a", "expected `set KEY"),
            ("set a", "expected `set KEY"),
            ("set a = b", "expected now()"),
            ("set a = b + 1", "or `a + 1`"),
            ("set a = 1 2", "expected now()"),
            ("set a = a + x", "an integer of 64 bits, got \"x\""),
            ("set a = a - -9", "an integer of 64 bits"),
            ("set a = 'x", "a closing quote"),
            ("set a;b = 1", "a key of letters"),
            ("set a = 1 where now() < soon", "microseconds since 1970, got \"soon\""),
            ("set a = 1 where rand() < 1", "expected now()"),
        ] {
            let error = text.parse::<Statement>().expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn what_depends_on_the_node_is_told_from_what_does_not() {
        for text in ["counter a", "set a = 1", "set a = 'now()'"] {
            assert!(statement(text).is_deterministic(), "{text}");
            assert_eq!(row(text, 1, 1), row(text, 2, 2), "{text}");
        }
        let uuid = "set a = uuid()";
        for text in ["set a = now()", "set a = rand()", uuid, "set a = 1 where now() < 2"] {
            assert!(!statement(text).is_deterministic(), "{text}");
            assert_ne!(row(text, 1, 1), row(text, 2, 2), "{text}");
            assert_eq!(row(text, 1, 1), row(text, 1, 1), "{text}");
        }
        assert_eq!(row("counter a where now() < 2", 2, 1), Row::Nothing);
        let Row::Value(id) = row(uuid, 1, 1) else { panic!("it writes a value") };
        assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'), "{id}");
    }
}
