//! What a successful answer looks like: the content that was asked for, and where it comes from.

use std::sync::Arc;

use serde::Serialize;

use super::error::ApiError;
use crate::protocol::{Acknowledgement, Gtid, Source};
use crate::state::{Answer, LeaseView, LockAct};

/// An answer with its source.
#[derive(Debug, Serialize)]
pub(super) struct Body {
    #[serde(flatten)]
    content: Content,
    node: String,
    role: &'static str,
    epoch: u64,
    index: u64,
    /// The GTID of that entry; `None` before the first.
    gtid: Option<String>,
    leader: Option<String>,
    /// How far behind the leader's commits the node was; `None` without a leader.
    lag_entries: Option<u64>,
    /// How old its state was at most; `None` if it cannot tell.
    lag_ms: Option<u64>,
    /// Only of a write: how it was acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledgement: Option<&'static str>,
    /// Only if the idempotency key was known: the index of the entry that did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    repeated: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Content {
    Value { value: Option<Arc<str>> },
    Entries { entries: Vec<(Arc<str>, Arc<str>)> },
    Compared { swapped: bool, observed: Option<Arc<str>> },
    Deleted { deleted: bool },
    Appended { length: u64 },
    Transacted { succeeded: bool, results: Vec<Content> },
    Lock(LockContent),
    Resource { value: Option<Arc<str>>, greatest_token: Option<u64> },
    Written {},
}

/// A lock: what was done, and who holds it now.
#[derive(Debug, Default, Serialize)]
struct LockContent {
    #[serde(skip_serializing_if = "Option::is_none")]
    acquired: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    renewed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    released: Option<bool>,
    holder: Option<Arc<str>>,
    #[serde(flatten)]
    held: Option<HeldContent>,
}

#[derive(Debug, Serialize)]
struct HeldContent {
    token: u64,
    ttl_ms: u32,
    left_ms: Option<u32>,
}

impl LockContent {
    fn new(done: Option<(LockAct, bool)>, held: Option<LeaseView>) -> Self {
        let of = |act| done.filter(|(was, _)| *was == act).map(|(_, done)| done);
        LockContent {
            acquired: of(LockAct::Acquire),
            renewed: of(LockAct::Renew),
            released: of(LockAct::Release),
            holder: held.as_ref().map(|view| Arc::clone(&view.lease.holder)),
            held: held.map(|LeaseView { lease, left_ms }| HeldContent {
                token: lease.token,
                ttl_ms: lease.ttl_ms,
                left_ms,
            }),
        }
    }
}

impl Body {
    /// The body of an answer, or the error that it is to a client.
    pub(super) fn new(answer: Answer, source: Source) -> Result<Self, ApiError> {
        let (answer, repeated) = match answer {
            Answer::Repeated { first, answer } => (*answer, Some(first)),
            answer => (answer, None),
        };
        Ok(Body {
            content: content(answer)?,
            node: source.node.to_string(),
            role: source.role.name(),
            epoch: source.epoch,
            index: source.index,
            gtid: source.gtid.map(|id| Gtid(id).to_string()),
            leader: source.leader.map(|leader| leader.to_string()),
            lag_entries: source.lag_entries,
            lag_ms: source.lag_ms,
            acknowledgement: source.acknowledgement.map(Acknowledgement::name),
            repeated,
        })
    }
}

fn content(answer: Answer) -> Result<Content, ApiError> {
    Ok(match answer {
        Answer::Written => Content::Written {},
        Answer::Compared { swapped, observed } => Content::Compared { swapped, observed },
        Answer::Deleted { existed } => Content::Deleted { deleted: existed },
        Answer::Value(value) => Content::Value { value },
        Answer::Entries(entries) => Content::Entries { entries },
        Answer::Appended { length } => Content::Appended { length },
        Answer::Transacted { succeeded, results } => {
            let results = results.into_iter().map(content).collect::<Result<_, _>>()?;
            Content::Transacted { succeeded, results }
        }
        Answer::Repeated { answer, .. } => content(*answer)?,
        Answer::Lock { done, held } => Content::Lock(LockContent::new(done, held)),
        Answer::Resource { value, greatest } => {
            Content::Resource { value, greatest_token: greatest }
        }
        Answer::Refused(refusal) => return Err(refusal.into()),
    })
}
