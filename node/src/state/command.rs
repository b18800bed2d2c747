//! What the state machine can be told and asked, and what it answers; with the limits on each.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

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

/// A change of the state. It is encoded once, by the leader.
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
}

/// What the state machine answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Command::Put`] and [`Command::Noop`].
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
    /// To [`Query::Get`]; `None` is absent.
    Value(Option<Arc<str>>),
    /// To [`Query::List`].
    Entries(Vec<(Arc<str>, Arc<str>)>),
}
