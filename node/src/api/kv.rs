//! Keys: get, put, delete, compare-and-set, list.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query as Parameters, State};
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::error::ApiError;
use super::{IN_FLIGHT_MAX, Job, Shared};
use crate::protocol::{Acknowledgement, Outcome, Request, Source};
use crate::state::{Answer, Command, KEY_BYTES_MAX, Query, VALUE_BYTES_MAX};

/// The header with a client's deadline, in milliseconds from now.
const TIMEOUT_HEADER: &str = "splitbrain-timeout-ms";

/// The deadline of a client that gives none.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);

/// The longest deadline, so that a request cannot wait for ever.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);

type Answered = Result<Json<Body>, ApiError>;

/// An answer: what was asked for, and where it comes from.
#[derive(Serialize)]
pub(super) struct Body {
    #[serde(flatten)]
    content: Content,
    node: String,
    role: &'static str,
    epoch: u64,
    index: u64,
    leader: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledgement: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content {
    Value { value: Option<Arc<str>> },
    Entries { entries: Vec<(Arc<str>, Arc<str>)> },
    Compared { swapped: bool, observed: Option<Arc<str>> },
    Deleted { deleted: bool },
    Written {},
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Consistency {
    #[default]
    Linearizable,
    Local,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GetParameters {
    #[serde(default)]
    consistency: Consistency,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParameters {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    consistency: Consistency,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutBody {
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CompareAndSetBody {
    // Absence is a real expectation, so it must be spelled `null` and not left out.
    #[serde(deserialize_with = "Option::deserialize")]
    expect: Option<String>,
    value: String,
}

type Key = Result<Path<String>, axum::extract::rejection::PathRejection>;
type Checked<T> = Result<Parameters<T>, axum::extract::rejection::QueryRejection>;

/// `GET /kv/{key}`
pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    key: Key,
    parameters: Checked<GetParameters>,
    headers: HeaderMap,
) -> Answered {
    let key = checked_key(key)?;
    let Parameters(parameters) = parameters.map_err(|e| ApiError::bad_request(e.body_text()))?;
    read(&shared, &headers, Query::Get { key }, parameters.consistency).await
}

/// `GET /kv?prefix=`
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    parameters: Checked<ListParameters>,
    headers: HeaderMap,
) -> Answered {
    let Parameters(parameters) = parameters.map_err(|e| ApiError::bad_request(e.body_text()))?;
    let prefix = checked("prefix", parameters.prefix, KEY_BYTES_MAX)?;
    read(&shared, &headers, Query::List { prefix }, parameters.consistency).await
}

/// `PUT /kv/{key}`
pub(super) async fn put(
    State(shared): State<Arc<Shared>>,
    key: Key,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answered {
    let key = checked_key(key)?;
    let body: PutBody = parse(body, r#"{"value":"7"}"#)?;
    let value = checked("value", body.value, VALUE_BYTES_MAX)?;
    ask(&shared, &headers, Request::Write(Command::Put { key, value })).await
}

/// `DELETE /kv/{key}`
pub(super) async fn delete(
    State(shared): State<Arc<Shared>>,
    key: Key,
    headers: HeaderMap,
) -> Answered {
    let key = checked_key(key)?;
    ask(&shared, &headers, Request::Write(Command::Delete { key })).await
}

/// `POST /compare-and-set/{key}`
pub(super) async fn compare_and_set(
    State(shared): State<Arc<Shared>>,
    key: Key,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answered {
    let key = checked_key(key)?;
    let body: CompareAndSetBody = parse(body, r#"{"expect":"3","value":"7"}"#)?;
    let value = checked("value", body.value, VALUE_BYTES_MAX)?;
    let expect = match body.expect {
        Some(expect) => Some(checked("expect", expect, VALUE_BYTES_MAX)?),
        None => None,
    };
    ask(&shared, &headers, Request::Write(Command::CompareAndSet { key, expect, value })).await
}

/// `POST /promote`
pub(super) async fn promote(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Answered {
    ask(&shared, &headers, Request::Promote).await
}

async fn read(
    shared: &Shared,
    headers: &HeaderMap,
    query: Query,
    consistency: Consistency,
) -> Answered {
    let request = match consistency {
        Consistency::Linearizable => Request::Read(query),
        Consistency::Local => Request::ReadLocal(query),
    };
    ask(shared, headers, request).await
}

/// Hands a request to the core and waits for its outcome, or for the deadline.
async fn ask(shared: &Shared, headers: &HeaderMap, request: Request) -> Answered {
    let patience = patience(headers)?;
    let is_write = request.is_write();
    let _place = Place::take(shared)?;
    let (outcome, answer) = oneshot::channel();
    if shared.jobs.send(Job { request, patience, outcome }).is_err() {
        return Err(ApiError::stopping(false));
    }
    match timeout(patience, answer).await {
        Ok(Ok(Outcome::Done { answer, source })) => Ok(Json(Body::new(answer, source))),
        Ok(Ok(Outcome::Failed(failure))) => Err(failure.into()),
        Ok(Err(_)) => Err(ApiError::stopping(is_write)),
        Err(_) => Err(ApiError::timeout(is_write)),
    }
}

/// A place among the requests in flight, given back when dropped.
struct Place<'a>(&'a Shared);

impl<'a> Place<'a> {
    fn take(shared: &'a Shared) -> Result<Self, ApiError> {
        let before = shared.in_flight.fetch_add(1, Relaxed);
        let place = Place(shared);
        if before >= IN_FLIGHT_MAX {
            let message = format!("expected at most {IN_FLIGHT_MAX} requests at a time");
            return Err(ApiError::overloaded(message));
        }
        Ok(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

impl Body {
    fn new(answer: Answer, source: Source) -> Self {
        let content = match answer {
            Answer::Written => Content::Written {},
            Answer::Compared { swapped, observed } => Content::Compared { swapped, observed },
            Answer::Deleted { existed } => Content::Deleted { deleted: existed },
            Answer::Value(value) => Content::Value { value },
            Answer::Entries(entries) => Content::Entries { entries },
        };
        Body {
            content,
            node: source.node.to_string(),
            role: source.role.name(),
            epoch: source.epoch,
            index: source.index,
            leader: source.leader.map(|leader| leader.to_string()),
            acknowledgement: source.acknowledgement.map(Acknowledgement::name),
        }
    }
}

fn checked_key(key: Key) -> Result<Arc<str>, ApiError> {
    let Path(key) = key.map_err(|error| ApiError::bad_request(error.body_text()))?;
    checked("key", key, KEY_BYTES_MAX)
}

fn checked(what: &str, text: String, bytes_max: usize) -> Result<Arc<str>, ApiError> {
    if text.len() > bytes_max {
        let message = format!("{what}: expected at most {bytes_max} bytes, got {}", text.len());
        return Err(ApiError::bad_request(message));
    }
    Ok(Arc::from(text))
}

fn parse<T: serde::de::DeserializeOwned>(
    body: Result<Bytes, BytesRejection>,
    example: &str,
) -> Result<T, ApiError> {
    let body = body.map_err(|error| ApiError::bad_request(error.body_text()))?;
    serde_json::from_slice(&body).map_err(|error| {
        ApiError::bad_request(format!("body: expected JSON such as {example}: {error}"))
    })
}

fn patience(headers: &HeaderMap) -> Result<Duration, ApiError> {
    let Some(header) = headers.get(TIMEOUT_HEADER) else { return Ok(TIMEOUT_DEFAULT) };
    let millis = header.to_str().ok().and_then(|text| text.parse().ok());
    match millis.map(Duration::from_millis) {
        Some(patience) if !patience.is_zero() && patience <= TIMEOUT_MAX => Ok(patience),
        _ => {
            let most = TIMEOUT_MAX.as_millis();
            let message = format!("{TIMEOUT_HEADER}: expected 1 to {most} milliseconds");
            Err(ApiError::bad_request(message))
        }
    }
}
