//! Locks with fencing tokens, and the resources that check them.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Query as Parameters, State};
use axum::http::HeaderMap;
use serde::Deserialize;

use super::Shared;
use super::consistency::ReadParameters;
use super::error::ApiError;
use super::kv::{Answered, Checked, Key, checked, parse, read, write};
use crate::state::{
    Command, LockCommand, NAME_BYTES_MAX, Query, ResourceWrite, TTL_MAX, TTL_MIN, VALUE_BYTES_MAX,
};

/// The header with the token of the lock under which a resource is written.
const TOKEN_HEADER: &str = "fencing-token";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AcquireBody {
    holder: String,
    ttl_ms: u64,
}

/// Who holds a lock: the body of a renewal, the parameters of a release.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Holder {
    holder: String,
    token: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResourceBody {
    value: String,
}

/// `GET /lock/{name}`
pub(super) async fn look(
    State(shared): State<Arc<Shared>>,
    name: Key,
    parameters: Checked<ReadParameters>,
    headers: HeaderMap,
) -> Answered {
    let name = checked_name(name)?;
    read(&shared, &headers, Query::Lock { name }, parameters).await
}

/// `POST /lock/{name}`
pub(super) async fn acquire(
    State(shared): State<Arc<Shared>>,
    name: Key,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answered {
    let name = checked_name(name)?;
    let body: AcquireBody = parse(body, r#"{"holder":"a","ttl_ms":10000}"#)?;
    let holder = checked_holder(body.holder)?;
    let ttl_ms = checked_ttl(body.ttl_ms)?;
    write(&shared, &headers, Command::Lock(LockCommand::Acquire { name, holder, ttl_ms })).await
}

/// `PUT /lock/{name}`
pub(super) async fn renew(
    State(shared): State<Arc<Shared>>,
    name: Key,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answered {
    let name = checked_name(name)?;
    let Holder { holder, token } = parse(body, r#"{"holder":"a","token":12}"#)?;
    let holder = checked_holder(holder)?;
    write(&shared, &headers, Command::Lock(LockCommand::Renew { name, holder, token })).await
}

/// `DELETE /lock/{name}?holder=a&token=12`
pub(super) async fn release(
    State(shared): State<Arc<Shared>>,
    name: Key,
    parameters: Checked<Holder>,
    headers: HeaderMap,
) -> Answered {
    let name = checked_name(name)?;
    let Parameters(Holder { holder, token }) =
        parameters.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let holder = checked_holder(holder)?;
    write(&shared, &headers, Command::Lock(LockCommand::Release { name, holder, token })).await
}

/// `GET /resource/{name}`
pub(super) async fn read_resource(
    State(shared): State<Arc<Shared>>,
    name: Key,
    parameters: Checked<ReadParameters>,
    headers: HeaderMap,
) -> Answered {
    let name = checked_name(name)?;
    read(&shared, &headers, Query::Resource { name }, parameters).await
}

/// `PUT /resource/{name}`
pub(super) async fn write_resource(
    State(shared): State<Arc<Shared>>,
    name: Key,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answered {
    let name = checked_name(name)?;
    let token = Some(fencing_token(&headers)?);
    let ResourceBody { value } = parse(body, r#"{"value":"7"}"#)?;
    let value = checked("value", value, VALUE_BYTES_MAX)?;
    write(&shared, &headers, Command::Resource(ResourceWrite { name, value, token })).await
}

fn checked_name(name: Key) -> Result<Arc<str>, ApiError> {
    let axum::extract::Path(name) =
        name.map_err(|error| ApiError::bad_request(error.body_text()))?;
    checked("name", name, NAME_BYTES_MAX)
}

fn checked_holder(holder: String) -> Result<Arc<str>, ApiError> {
    if holder.is_empty() {
        return Err(ApiError::bad_request("holder: expected a name, got nothing"));
    }
    checked("holder", holder, NAME_BYTES_MAX)
}

fn checked_ttl(millis: u64) -> Result<u32, ApiError> {
    let (least, most) = (TTL_MIN.as_millis(), TTL_MAX.as_millis());
    match u32::try_from(millis) {
        Ok(millis) if (least..=most).contains(&u128::from(millis)) => Ok(millis),
        _ => {
            let message = format!("ttl_ms: expected {least} to {most} milliseconds, got {millis}");
            Err(ApiError::bad_request(message))
        }
    }
}

fn fencing_token(headers: &HeaderMap) -> Result<u64, ApiError> {
    let header = headers.get(TOKEN_HEADER).and_then(|header| header.to_str().ok());
    header.and_then(|text| text.parse().ok()).ok_or_else(|| {
        let message =
            format!("{TOKEN_HEADER}: expected the token of the writer's lock as a header");
        ApiError::bad_request(message)
    })
}
