//! The closed vocabulary between workloads, targets and checkers.
//!
//! A workload says what it wants in [`Op`]s, a target carries out an [`Op`] and answers with an
//! [`Outcome`], a checker reads both. Nothing else passes between them, so workloads and targets
//! do not multiply. This file knows no store, no file format and no algorithm; every other file of
//! the project may import it, and the brute-force judge imports nothing else.

pub mod lock;
pub mod queue;
mod transaction;

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

pub use lock::Token;
pub use transaction::{Condition, Step, StepReply, Transaction};

/// The name of a register or of an element, as the store sees it. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub Arc<str>);

impl Key {
    /// Makes a key from its text.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(Arc::from(text.as_ref()))
    }

    /// The text of the key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is stored under a key. Our workloads write every value at most once, which is what lets
/// the exact checkers be linear; histories of other tools need not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Value(pub i64);

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One node of the target, counted from one and written `n1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(pub u16);

impl NodeId {
    /// The nodes `n1` to `n<count>`.
    pub fn first(count: u16) -> impl Iterator<Item = NodeId> {
        (1..=count).map(NodeId)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl FromStr for NodeId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix('n').and_then(|digits| digits.parse().ok()) {
            Some(number) if number > 0 => Ok(NodeId(number)),
            _ => Err(format!("expected a node such as \"n1\", got \"{text}\"")),
        }
    }
}

impl TryFrom<String> for NodeId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<NodeId> for String {
    fn from(node: NodeId) -> String {
        node.to_string()
    }
}

/// A logical single-threaded caller: it has one operation open at a time. A caller whose operation
/// ended [`Outcome::Info`] goes on under a new id, since the old operation may stay open for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientId(pub u32);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

/// The promise a read is asked to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consistency {
    /// The strongest read the target offers under its settings. Checked as linearizable.
    #[default]
    Linearizable,
    /// Whatever the asked node itself holds. Only the agreement checker uses these.
    Local,
    /// What the asked node holds, if that is not older than all that this client has written and
    /// read before. Judged by what a session may expect.
    Session,
    /// What the asked node holds, if it is at most so many milliseconds old. Judged as a read that
    /// may have begun so much earlier.
    Bounded(u32),
}

/// What a client asks of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Op {
    /// Reads one key.
    Read {
        /// What is read.
        key: Key,
        /// Which promise the read must keep.
        #[serde(default, skip_serializing_if = "is_linearizable")]
        consistency: Consistency,
    },
    /// Writes one key, whatever it held.
    Write {
        /// What is written.
        key: Key,
        /// The new value.
        value: Value,
    },
    /// Writes one key if it holds what is expected; answers with what it held.
    CompareAndSet {
        /// What is compared and written.
        key: Key,
        /// What the key must hold; `None` is absent.
        expect: Option<Value>,
        /// The new value.
        value: Value,
    },
    /// Removes one key.
    Delete {
        /// What is removed.
        key: Key,
    },
    /// Reads all keys with a prefix, in one snapshot.
    List {
        /// The common beginning of the keys.
        prefix: Key,
        /// Which promise the read must keep.
        #[serde(default, skip_serializing_if = "is_linearizable")]
        consistency: Consistency,
    },
    /// Adds to the number a key holds, in one step; absent counts as zero.
    Increment {
        /// What is added to.
        key: Key,
        /// What is added.
        by: i64,
    },
    /// Appends to the list a key holds, in one step; absent is an empty list.
    Append {
        /// The list.
        key: Key,
        /// The new last element.
        value: Value,
    },
    /// Reads the whole list a key holds.
    ReadList {
        /// What is read.
        key: Key,
        /// Which promise the read must keep.
        #[serde(default, skip_serializing_if = "is_linearizable")]
        consistency: Consistency,
    },
    /// Adds to the end of a queue, if that end is at the place that is expected. Places count from
    /// zero.
    Enqueue {
        /// The queue.
        queue: Key,
        /// The new last element.
        value: Value,
        /// How many elements were added before it.
        at: u32,
    },
    /// Takes the first element of a queue, if it is at the place that is expected.
    Dequeue {
        /// The queue.
        queue: Key,
        /// How many elements were taken before it.
        at: u32,
    },
    /// Reads all elements of a queue and leaves them there.
    ReadQueue {
        /// The queue.
        queue: Key,
        /// Which promise the read must keep.
        #[serde(default, skip_serializing_if = "is_linearizable")]
        consistency: Consistency,
    },
    /// Takes a lock, if nobody holds it. For its holder it begins the time to live anew.
    Acquire {
        /// Which.
        lock: Key,
        /// For whom.
        holder: ClientId,
        /// For how many milliseconds it is held at least, unless it is given back.
        ttl_ms: u32,
    },
    /// Begins the time to live of a lock anew, if it is still held under the token.
    Renew {
        /// Which.
        lock: Key,
        /// By whom.
        holder: ClientId,
        /// Under which token it was granted.
        token: Token,
    },
    /// Gives a lock back, if it is still held under the token.
    Release {
        /// Which.
        lock: Key,
        /// By whom.
        holder: ClientId,
        /// Under which token it was granted.
        token: Token,
    },
    /// Writes what a lock protects, unless that has seen a greater token.
    WriteGuarded {
        /// What is written.
        resource: Key,
        /// The new value.
        value: Value,
        /// Of the writer's lock.
        token: Token,
    },
    /// Reads what a lock protects.
    ReadGuarded {
        /// What is read.
        resource: Key,
        /// Which promise the read must keep.
        #[serde(default, skip_serializing_if = "is_linearizable")]
        consistency: Consistency,
    },
    /// Does several things to several keys in one step.
    Transaction(Box<Transaction>),
    /// Does a write under an idempotency key: however often the same request is sent, under the
    /// same key, the store does it at most once and answers as it did the first time.
    Once {
        /// The idempotency key.
        request: RequestKey,
        /// The write.
        op: Box<Op>,
    },
}

/// An idempotency key: the same for every sending of one request, and for no other request of a
/// run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestKey(pub u64);

impl fmt::Display for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "q{}", self.0)
    }
}

fn is_linearizable(consistency: &Consistency) -> bool {
    *consistency == Consistency::Linearizable
}

impl Op {
    /// The kind of the operation, for counting.
    pub fn kind(&self) -> OpKind {
        match self {
            Op::Read { .. } => OpKind::Read,
            Op::Write { .. } => OpKind::Write,
            Op::CompareAndSet { .. } => OpKind::CompareAndSet,
            Op::Delete { .. } => OpKind::Delete,
            Op::List { .. } => OpKind::List,
            Op::Increment { .. } => OpKind::Increment,
            Op::Append { .. } => OpKind::Append,
            Op::ReadList { .. } => OpKind::ReadList,
            Op::Enqueue { .. } => OpKind::Enqueue,
            Op::Dequeue { .. } => OpKind::Dequeue,
            Op::ReadQueue { .. } => OpKind::ReadQueue,
            Op::Acquire { .. } => OpKind::Acquire,
            Op::Renew { .. } => OpKind::Renew,
            Op::Release { .. } => OpKind::Release,
            Op::WriteGuarded { .. } => OpKind::WriteGuarded,
            Op::ReadGuarded { .. } => OpKind::ReadGuarded,
            Op::Transaction(transaction) if transaction.is_read() => OpKind::ReadTransaction,
            Op::Transaction(_) => OpKind::Transaction,
            Op::Once { op, .. } => op.kind(),
        }
    }

    /// The key, for a list the prefix, for a transaction the key of its first step.
    pub fn key(&self) -> &Key {
        /// A transaction without steps is about nothing.
        static NOTHING: LazyLock<Key> = LazyLock::new(|| Key::new(""));
        match self {
            Op::Read { key, .. }
            | Op::Write { key, .. }
            | Op::CompareAndSet { key, .. }
            | Op::Delete { key }
            | Op::List { prefix: key, .. }
            | Op::Increment { key, .. }
            | Op::Append { key, .. }
            | Op::ReadList { key, .. }
            | Op::Enqueue { queue: key, .. }
            | Op::Dequeue { queue: key, .. }
            | Op::ReadQueue { queue: key, .. }
            | Op::Acquire { lock: key, .. }
            | Op::Renew { lock: key, .. }
            | Op::Release { lock: key, .. }
            | Op::WriteGuarded { resource: key, .. }
            | Op::ReadGuarded { resource: key, .. } => key,
            Op::Transaction(transaction) => transaction.then.first().map_or(&NOTHING, Step::key),
            Op::Once { op, .. } => op.key(),
        }
    }

    /// Whether the operation only looks at what the asked node holds.
    pub fn is_local(&self) -> bool {
        matches!(
            self,
            Op::Read { consistency: Consistency::Local, .. }
                | Op::List { consistency: Consistency::Local, .. }
                | Op::ReadList { consistency: Consistency::Local, .. }
                | Op::ReadQueue { consistency: Consistency::Local, .. }
                | Op::ReadGuarded { consistency: Consistency::Local, .. }
        )
    }

    /// Whether the operation cannot change the store.
    pub fn is_read(&self) -> bool {
        match self {
            Op::Read { .. }
            | Op::List { .. }
            | Op::ReadList { .. }
            | Op::ReadQueue { .. }
            | Op::ReadGuarded { .. } => true,
            Op::Transaction(transaction) => transaction.is_read(),
            Op::Once { op, .. } => op.is_read(),
            Op::Write { .. }
            | Op::CompareAndSet { .. }
            | Op::Delete { .. }
            | Op::Increment { .. }
            | Op::Append { .. }
            | Op::Enqueue { .. }
            | Op::Dequeue { .. }
            | Op::Acquire { .. }
            | Op::Renew { .. }
            | Op::Release { .. }
            | Op::WriteGuarded { .. } => false,
        }
    }

    /// Whether a reply is of the kind that this operation is answered with.
    pub fn is_answered_by(&self, reply: &Reply) -> bool {
        match (self, reply) {
            (Op::Read { .. } | Op::ReadGuarded { .. }, Reply::Read(_))
            | (Op::Write { .. }, Reply::Written)
            | (Op::WriteGuarded { .. }, Reply::Written | Reply::StaleToken)
            | (Op::Acquire { .. }, Reply::Granted { .. } | Reply::Denied { .. })
            | (Op::Renew { .. } | Op::Release { .. }, Reply::WasHeld(_))
            | (Op::CompareAndSet { .. }, Reply::Compared { .. })
            | (Op::Delete { .. }, Reply::Deleted)
            | (Op::List { .. } | Op::ReadList { .. } | Op::ReadQueue { .. }, Reply::Listed(_))
            | (Op::Enqueue { .. }, Reply::Enqueued | Reply::Missed { .. })
            | (Op::Dequeue { .. }, Reply::Dequeued(_) | Reply::Missed { .. })
            | (Op::Increment { .. }, Reply::Incremented(_))
            | (Op::Append { .. }, Reply::Appended) => true,
            (Op::Transaction(transaction), Reply::Transacted { succeeded, results }) => {
                let steps = transaction.side(*succeeded);
                steps.len() == results.len()
                    && steps.iter().zip(results).all(|(step, reply)| step.is_answered_by(reply))
            }
            (Op::Once { op, .. }, reply) => op.is_answered_by(reply),
            _ => false,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Read { key, .. } => write!(f, "read {key}"),
            Op::Write { key, value } => write!(f, "write {key}={value}"),
            Op::CompareAndSet { key, expect: Some(expect), value } => {
                write!(f, "cas {key} {expect}->{value}")
            }
            Op::CompareAndSet { key, expect: None, value } => {
                write!(f, "cas {key} absent->{value}")
            }
            Op::Delete { key } => write!(f, "delete {key}"),
            Op::List { prefix, .. } => write!(f, "list {prefix}*"),
            Op::Increment { key, by } => write!(f, "add {by} to {key}"),
            Op::Append { key, value } => write!(f, "append {value} to {key}"),
            Op::ReadList { key, .. } => write!(f, "read {key}"),
            Op::Enqueue { queue, value, .. } => write!(f, "enqueue {value} to {queue}"),
            Op::Dequeue { queue, .. } => write!(f, "dequeue {queue}"),
            Op::ReadQueue { queue, .. } => write!(f, "read {queue}"),
            Op::Acquire { lock, .. } => write!(f, "acquire {lock}"),
            Op::Renew { lock, token, .. } => write!(f, "renew {lock} under {token}"),
            Op::Release { lock, token, .. } => write!(f, "release {lock} under {token}"),
            Op::WriteGuarded { resource, value, token } => {
                write!(f, "write {resource}={value} under {token}")
            }
            Op::ReadGuarded { resource, .. } => write!(f, "read {resource}"),
            Op::Transaction(transaction) => transaction.fmt(f),
            Op::Once { request, op } => write!(f, "{request}: {op}"),
        }
    }
}

/// The kinds of [`Op`], in the order in which reports list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OpKind {
    /// [`Op::Read`].
    Read,
    /// [`Op::Write`].
    Write,
    /// [`Op::CompareAndSet`].
    CompareAndSet,
    /// [`Op::Delete`].
    Delete,
    /// [`Op::List`].
    List,
    /// [`Op::Increment`].
    Increment,
    /// [`Op::Append`].
    Append,
    /// [`Op::ReadList`].
    ReadList,
    /// [`Op::Transaction`] that changes something.
    Transaction,
    /// [`Op::Transaction`] that only reads.
    ReadTransaction,
    /// [`Op::Enqueue`].
    Enqueue,
    /// [`Op::Dequeue`].
    Dequeue,
    /// [`Op::ReadQueue`].
    ReadQueue,
    /// [`Op::Acquire`].
    Acquire,
    /// [`Op::Renew`].
    Renew,
    /// [`Op::Release`].
    Release,
    /// [`Op::WriteGuarded`].
    WriteGuarded,
    /// [`Op::ReadGuarded`].
    ReadGuarded,
}

impl fmt::Display for OpKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            OpKind::Read => "read",
            OpKind::Write => "write",
            OpKind::CompareAndSet => "compare-and-set",
            OpKind::Delete => "delete",
            OpKind::List => "list",
            OpKind::Increment => "increment",
            OpKind::Append => "append",
            OpKind::ReadList => "read-list",
            OpKind::Transaction => "transaction",
            OpKind::ReadTransaction => "read-transaction",
            OpKind::Enqueue => "enqueue",
            OpKind::Dequeue => "dequeue",
            OpKind::ReadQueue => "read-queue",
            OpKind::Acquire => "acquire",
            OpKind::Renew => "renew",
            OpKind::Release => "release",
            OpKind::WriteGuarded => "write-guarded",
            OpKind::ReadGuarded => "read-guarded",
        })
    }
}

/// What the store answered to an operation that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// To [`Op::Read`] and [`Op::ReadGuarded`]: the value, `None` for absent.
    Read(Option<Value>),
    /// To [`Op::Write`], and to [`Op::WriteGuarded`] that was accepted.
    Written,
    /// To [`Op::CompareAndSet`].
    Compared {
        /// Whether the key held what was expected, and so was written.
        swapped: bool,
        /// What the key held just before; `None` is absent.
        observed: Option<Value>,
    },
    /// To [`Op::Delete`].
    Deleted,
    /// To [`Op::List`]: the values under the prefix in key order. Keys are left out because every
    /// workload that lists writes values that name their key. To [`Op::ReadList`]: the elements in
    /// their order. To [`Op::ReadQueue`]: the elements, the first one first.
    Listed(Vec<Value>),
    /// To [`Op::Increment`]: the sum.
    Incremented(Value),
    /// To [`Op::Append`].
    Appended,
    /// To [`Op::Enqueue`].
    Enqueued,
    /// To [`Op::Dequeue`]: the element, or that there is none.
    Dequeued(Option<Value>),
    /// To [`Op::Enqueue`] and [`Op::Dequeue`]: somebody else was first, and nothing was done.
    Missed {
        /// The place to go on at.
        next: u32,
    },
    /// To [`Op::Acquire`]: the lock is the holder's.
    Granted {
        /// The fencing token of the grant.
        token: Token,
    },
    /// To [`Op::Acquire`]: somebody else holds the lock.
    Denied {
        /// Who.
        holder: ClientId,
        /// Under which token.
        token: Token,
    },
    /// To [`Op::Renew`] and [`Op::Release`]: whether the lock was still held under the token, and so
    /// was renewed or given back.
    WasHeld(bool),
    /// To [`Op::WriteGuarded`]: a greater token was seen before, and nothing was written.
    StaleToken,
    /// To [`Op::Transaction`].
    Transacted {
        /// Whether every condition held, and so `then` was carried out.
        succeeded: bool,
        /// What the steps of that side answered, in their order.
        results: Vec<StepReply>,
    },
}

/// How an operation ended, as its client knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It happened, between its invocation and its completion.
    Ok(Reply),
    /// It certainly did not happen and never will.
    Fail(Reason),
    /// Unknown: it may have happened, may happen at any later time, or never.
    Info(Reason),
}

/// Why an operation did not end well: a short kebab-case word such as `timeout` or `no-leader`,
/// the same word for the same cause in every run, so that reports can count them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reason(pub Arc<str>);

impl Reason {
    /// Makes a reason from its text.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(Arc::from(text.as_ref()))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something a workload may need and a target may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// [`Op::CompareAndSet`] that answers with the observed value.
    CompareAndSet,
    /// [`Op::Delete`].
    Delete,
    /// [`Op::List`] in one snapshot.
    AtomicList,
    /// [`Consistency::Local`] reads at a node of the client's choice.
    LocalRead,
    /// [`Consistency::Session`] reads.
    SessionRead,
    /// [`Consistency::Bounded`] reads.
    BoundedRead,
    /// [`Op::Increment`] that answers with the sum.
    Increment,
    /// [`Op::Append`] and [`Op::ReadList`].
    ListAppend,
    /// [`Op::Transaction`]; its increments and appends need those capabilities as well.
    Transaction,
    /// [`Op::Once`].
    IdempotencyKey,
    /// [`Op::Acquire`], [`Op::Renew`] and [`Op::Release`].
    Lock,
    /// [`Op::WriteGuarded`] and [`Op::ReadGuarded`].
    FencingToken,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Capability::CompareAndSet => "compare-and-set",
            Capability::Delete => "delete",
            Capability::AtomicList => "atomic-list",
            Capability::LocalRead => "local-read",
            Capability::SessionRead => "session-read",
            Capability::BoundedRead => "bounded-read",
            Capability::Increment => "increment",
            Capability::ListAppend => "list-append",
            Capability::Transaction => "transaction",
            Capability::IdempotencyKey => "idempotency-key",
            Capability::Lock => "lock",
            Capability::FencingToken => "fencing-token",
        })
    }
}
