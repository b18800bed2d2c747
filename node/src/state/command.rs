//! What the state machine can be told and asked, and what it answers; with the limits on each.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::configuration::Configuration;
use super::lock::{LeaseView, LockAct, LockCommand};
use super::resource::ResourceWrite;
use super::statement::{Row, Statement};

/// Longest key in bytes. Keys are compared on every descent of the map and stand in URLs, whose
/// length clients and proxies limit to about twice this.
pub const KEY_BYTES_MAX: usize = 4 << 10;

/// Longest value in bytes. A write is one entry in one frame; larger values would hold up the
/// heartbeats behind them.
pub const VALUE_BYTES_MAX: usize = 64 << 10;

/// Most entries in one list. A list is one snapshot, so it is built in one go while everything
/// else waits: this many take some tens of milliseconds.
pub const LIST_ENTRIES_MAX: usize = 100_000;

/// Most bytes of keys and values in one list, so that a forwarded list fits into a frame.
pub const LIST_BYTES_MAX: usize = 8 << 20;

/// Longest idempotency key in bytes. Clients send a UUID or the like.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;

/// Most comparisons and most operations of each side of a transaction: etcd's default too. A
/// transaction is carried out in one go while everything else waits.
pub const TRANSACTION_MAX: usize = 128;

/// Most bytes of keys and values in the results of a transaction: they are kept with its
/// idempotency key, and travel in one frame.
pub const RESULTS_BYTES_MAX: usize = 1 << 20;

/// What an entry of the log holds: a command and, if its client gave one, the idempotency key
/// under which the client may send it again. It is encoded once, by the leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What to do.
    pub command: Command,
    /// The key; `None` is a command that is done as often as it is sent.
    pub key: Option<Arc<str>>,
}

impl From<Command> for Change {
    fn from(command: Command) -> Self {
        Change { command, key: None }
    }
}

/// A change of the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Changes nothing. A leader begins its epoch with it.
    Noop,
    /// Writes a key, whatever it held.
    Put {
        /// What is written.
        key: Arc<str>,
        /// Its new value.
        value: Arc<str>,
    },
    /// Writes a key if it holds what is expected.
    CompareAndSet {
        /// What is compared and written.
        key: Arc<str>,
        /// What it must hold; `None` is absent.
        expect: Option<Arc<str>>,
        /// Its new value.
        value: Arc<str>,
    },
    /// Removes a key.
    Delete {
        /// What is removed.
        key: Arc<str>,
    },
    /// Adds to the integer that a key holds; absent is zero.
    Increment {
        /// What is changed.
        key: Arc<str>,
        /// How much is added; it may be negative.
        by: i64,
    },
    /// Adds an element to the end of the list that a key holds; absent is an empty list.
    Append {
        /// What is changed.
        key: Arc<str>,
        /// The new element.
        value: Arc<str>,
    },
    /// Compares, and then does one thing or another, all of it or nothing.
    Transaction(Transaction),
    /// Changes a lock.
    Lock(LockCommand),
    /// Writes a protected resource.
    Resource(ResourceWrite),
    /// Says how a value comes about; whoever applies it finds out the value.
    Statement(Statement),
    /// A statement with what it really writes, found out by the leader.
    Row {
        /// What was asked.
        statement: Statement,
        /// What it writes.
        row: Row,
    },
    /// Says which nodes are the cluster. The core obeys it as soon as it is in the log, and only a
    /// leader makes it, never a client's write.
    // The last one: `CONFIGURATION_TAG` is its place.
    Configuration(Configuration),
}

/// The first byte of a [`Change`] that names the members of the cluster, so that a log can be
/// searched for those without every entry being decoded.
const CONFIGURATION_TAG: u8 = 11;

impl Change {
    /// Whether an encoded change names the members of the cluster.
    pub(crate) fn is_configuration(encoded: &[u8]) -> bool {
        encoded.first() == Some(&CONFIGURATION_TAG)
    }
}

impl Command {
    /// The command as the client sent it: a row's statement.
    pub(crate) fn as_asked(&self) -> Cow<'_, Command> {
        match self {
            Command::Row { statement, .. } => Cow::Owned(Command::Statement(statement.clone())),
            command => Cow::Borrowed(command),
        }
    }
}

/// Several comparisons and what follows from them, as one change: etcd's transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    /// All of these must hold; none always do.
    #[serde(default)]
    pub compare: Vec<Comparison>,
    /// What is done if they hold, in order.
    #[serde(default)]
    pub success: Vec<Operation>,
    /// What is done if one does not.
    #[serde(default)]
    pub failure: Vec<Operation>,
}

/// What a key must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// Which key.
    pub key: Arc<str>,
    /// How it must stand to the value.
    #[serde(default)]
    pub op: Relation,
    /// With what it is compared; `None` is absent, which comes before everything.
    // Absence is a real expectation, so it must be spelled `null` and not left out.
    #[serde(deserialize_with = "Option::deserialize")]
    pub value: Option<Arc<str>>,
}

/// How two values stand to each other, byte by byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Relation {
    /// They are the same.
    #[default]
    #[serde(rename = "=")]
    Equal,
    /// They differ.
    #[serde(rename = "!=")]
    NotEqual,
    /// The key's comes first.
    #[serde(rename = "<")]
    Less,
    /// The key's comes second.
    #[serde(rename = ">")]
    Greater,
}

/// One step of a transaction. It sees what the steps before it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Operation {
    /// As [`Query::Get`].
    Get {
        /// Which key.
        key: Arc<str>,
    },
    /// As [`Command::Put`].
    Put {
        /// Which key.
        key: Arc<str>,
        /// Its new value.
        value: Arc<str>,
    },
    /// As [`Command::Delete`].
    Delete {
        /// Which key.
        key: Arc<str>,
    },
    /// As [`Command::Increment`].
    Increment {
        /// Which key.
        key: Arc<str>,
        /// How much is added.
        by: i64,
    },
    /// As [`Command::Append`].
    Append {
        /// Which key.
        key: Arc<str>,
        /// The new element.
        value: Arc<str>,
    },
}

/// A look at the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// One key.
    Get {
        /// Which.
        key: Arc<str>,
    },
    /// All keys with a prefix, in key order, in one snapshot.
    List {
        /// Their common beginning.
        prefix: Arc<str>,
    },
    /// One lock.
    Lock {
        /// Which.
        name: Arc<str>,
    },
    /// One protected resource.
    Resource {
        /// Which.
        name: Arc<str>,
    },
}

/// What the state machine answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Command::Put`], [`Command::Noop`] and [`Command::Configuration`].
    Written,
    /// To [`Command::CompareAndSet`].
    Compared {
        /// Whether the key held what was expected, and so was written.
        swapped: bool,
        /// What it held just before; `None` is absent.
        observed: Option<Arc<str>>,
    },
    /// To [`Command::Delete`].
    Deleted {
        /// Whether there was something to remove.
        existed: bool,
    },
    /// To [`Query::Get`], `None` is absent; to [`Command::Increment`] the new value; to
    /// [`Command::Statement`] too, `None` if its condition did not hold.
    Value(Option<Arc<str>>),
    /// To [`Query::List`].
    Entries(Vec<(Arc<str>, Arc<str>)>),
    /// To [`Command::Append`].
    Appended {
        /// How many elements the list now has.
        length: u64,
    },
    /// To [`Command::Transaction`].
    Transacted {
        /// Whether all comparisons held.
        succeeded: bool,
        /// The answers to the operations that were carried out.
        results: Vec<Answer>,
    },
    /// To a change whose idempotency key was known: nothing was done this time.
    Repeated {
        /// The index of the entry that did it.
        first: u64,
        /// The answer it had.
        answer: Box<Answer>,
    },
    /// To a change that could not be carried out. Nothing was done.
    Refused(Refusal),
    /// To [`Command::Lock`] and [`Query::Lock`].
    Lock {
        /// Of a command: what was asked for, and whether it was done.
        done: Option<(LockAct, bool)>,
        /// Who holds it now; `None` is nobody.
        held: Option<LeaseView>,
    },
    /// To [`Query::Resource`].
    Resource {
        /// What it holds; `None` if it was never written.
        value: Option<Arc<str>>,
        /// The greatest token that it has checked.
        greatest: Option<u64>,
    },
}

/// Why the state machine did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// An increment met a value that is no integer of 64 bits.
    NotANumber,
    /// The sum is no integer of 64 bits.
    Overflow,
    /// An append met a value that is no list.
    NotAList,
    /// The new value, or the results of a transaction, would exceed their limit.
    TooLarge,
    /// The idempotency key came with another command before.
    KeyReused {
        /// The index of the entry in which it came.
        first: u64,
    },
    /// As many locks are held as may be.
    TooManyLocks,
    /// The resource has seen a greater token.
    StaleToken {
        /// The one that was given.
        token: u64,
        /// The greatest it has seen.
        greatest: u64,
    },
}

impl Answer {
    /// About how many bytes it takes to keep it.
    pub(super) fn bytes(&self) -> usize {
        const BARE: usize = 64;
        let text = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len());
        BARE + match self {
            Answer::Compared { observed, .. } => text(observed),
            Answer::Value(value) => text(value),
            Answer::Entries(entries) => {
                entries.iter().map(|(key, value)| BARE + key.len() + value.len()).sum()
            }
            Answer::Transacted { results, .. } => results.iter().map(Answer::bytes).sum(),
            Answer::Repeated { answer, .. } => answer.bytes(),
            Answer::Lock { held, .. } => held.as_ref().map_or(0, |view| view.lease.holder.len()),
            Answer::Resource { value, .. } => text(value),
            Answer::Written
            | Answer::Deleted { .. }
            | Answer::Appended { .. }
            | Answer::Refused(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_names_the_members_is_told_by_its_first_byte() {
        let encoded = |command: Command| {
            postcard::to_allocvec(&Change::from(command)).expect("a change encodes")
        };
        let configuration = encoded(Command::Configuration(Configuration::default()));
        assert!(Change::is_configuration(&configuration));
        let row = Command::Row {
            statement: "set k = now()".parse().expect("a statement"),
            row: "set k = now()"
                .parse::<Statement>()
                .expect("a statement")
                .row(&mut super::super::Surroundings { now: 1, dice: &mut dice() }),
        };
        for other in [Command::Noop, Command::Delete { key: "k".into() }, row] {
            assert!(!Change::is_configuration(&encoded(other)));
        }
    }

    fn dice() -> rand_xoshiro::Xoshiro256PlusPlus {
        rand_xoshiro::rand_core::SeedableRng::seed_from_u64(0)
    }
}
