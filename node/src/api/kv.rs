//! Keys: get, put, delete, compare-and-set, list.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query as Parameters, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::answer::Body;
use super::consistency::ReadParameters;
use super::error::ApiError;
use super::{IN_FLIGHT_MAX, Job, Shared};
use crate::protocol::{Outcome, Request};
use crate::state::{
    Change, Command, IDEMPOTENCY_KEY_BYTES_MAX, KEY_BYTES_MAX, Query, VALUE_BYTES_MAX,
};

/// The header with a client's deadline, in milliseconds from now.
const TIMEOUT_HEADER: &str = "splitbrain-timeout-ms";

/// The header with the key under which a client may send a write again.
const IDEMPOTENCY_HEADER: &str = "idempotency-key";

/// The deadline of a client that gives none.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);

/// The longest deadline, so that a request cannot wait for ever.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);

pub(super) type Answered = Result<Json<Body>, ApiError>;

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

pub(super) type Key = Result<Path<String>, axum::extract::rejection::PathRejection>;
pub(super) type Checked<T> = Result<Parameters<T>, axum::extract::rejection::QueryRejection>;

/// `GET /kv/{key}`
pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    key: Key,
    parameters: Checked<ReadParameters>,
    headers: HeaderMap,
) -> Answered {
    let key = checked_key(key)?;
    read(&shared, &headers, Query::Get { key }, parameters).await
}

/// `GET /kv?prefix=`
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    parameters: Checked<ReadParameters>,
    headers: HeaderMap,
) -> Answered {
    let Parameters(parameters) = parameters.map_err(|e| ApiError::bad_request(e.body_text()))?;
    let prefix = parameters.prefix.clone().unwrap_or_default();
    let prefix = checked("prefix", prefix, KEY_BYTES_MAX)?;
    ask(&shared, &headers, parameters.request(Query::List { prefix })?).await
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
    write(&shared, &headers, Command::Put { key, value }).await
}

/// `DELETE /kv/{key}`
pub(super) async fn delete(
    State(shared): State<Arc<Shared>>,
    key: Key,
    headers: HeaderMap,
) -> Answered {
    let key = checked_key(key)?;
    write(&shared, &headers, Command::Delete { key }).await
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
    write(&shared, &headers, Command::CompareAndSet { key, expect, value }).await
}

/// Hands a change to the core, with the idempotency key that the client gave.
pub(super) async fn write(shared: &Shared, headers: &HeaderMap, command: Command) -> Answered {
    let key = idempotency_key(headers)?;
    ask(shared, headers, Request::Write(Change { command, key })).await
}

/// `POST /promote`
pub(super) async fn promote(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Answered {
    ask(&shared, &headers, Request::Promote).await
}

/// Hands a query to the core, read as the parameters say.
pub(super) async fn read(
    shared: &Shared,
    headers: &HeaderMap,
    query: Query,
    parameters: Checked<ReadParameters>,
) -> Answered {
    let Parameters(parameters) = parameters.map_err(|e| ApiError::bad_request(e.body_text()))?;
    if parameters.prefix.is_some() {
        return Err(ApiError::bad_request("prefix: expected with GET /kv only"));
    }
    ask(shared, headers, parameters.request(query)?).await
}

/// Hands a request to the core and waits for its outcome, or for the deadline.
pub(super) async fn ask(shared: &Shared, headers: &HeaderMap, request: Request) -> Answered {
    let patience = patience(headers)?;
    let is_write = request.is_write();
    let _place = Place::take(shared)?;
    let (outcome, answer) = oneshot::channel();
    if shared.jobs.send(Job { request, patience, outcome }).is_err() {
        return Err(ApiError::stopping(false));
    }
    match timeout(patience, answer).await {
        Ok(Ok(Outcome::Done { answer, source })) => Ok(Json(Body::new(answer, source)?)),
        Ok(Ok(Outcome::Failed(failure))) => Err(ApiError::failed(failure, &shared.introductions)),
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

pub(super) fn checked_key(key: Key) -> Result<Arc<str>, ApiError> {
    let Path(key) = key.map_err(|error| ApiError::bad_request(error.body_text()))?;
    checked("key", key, KEY_BYTES_MAX)
}

pub(super) fn checked(what: &str, text: String, bytes_max: usize) -> Result<Arc<str>, ApiError> {
    check(what, &text, bytes_max)?;
    Ok(Arc::from(text))
}

pub(super) fn check(what: &str, text: &str, bytes_max: usize) -> Result<(), ApiError> {
    if text.len() > bytes_max {
        let message = format!("{what}: expected at most {bytes_max} bytes, got {}", text.len());
        return Err(ApiError::bad_request(message));
    }
    Ok(())
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<Arc<str>>, ApiError> {
    let Some(header) = headers.get(IDEMPOTENCY_HEADER) else { return Ok(None) };
    match header.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= IDEMPOTENCY_KEY_BYTES_MAX => {
            Ok(Some(Arc::from(key)))
        }
        _ => {
            let most = IDEMPOTENCY_KEY_BYTES_MAX;
            let message = format!("{IDEMPOTENCY_HEADER}: expected 1 to {most} ASCII characters");
            Err(ApiError::bad_request(message))
        }
    }
}

/// Reads a body of JSON.
pub(super) fn parse<T: serde::de::DeserializeOwned>(
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
