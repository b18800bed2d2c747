//! The operations that read and write in one step: increment, append, transaction.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use serde::Deserialize;

use super::Shared;
use super::error::ApiError;
use super::kv::{Answered, Key, check, checked, checked_key, parse, write};
use crate::state::{
    Command, Expression, KEY_BYTES_MAX, Operation, Statement, TRANSACTION_MAX, Transaction,
    VALUE_BYTES_MAX,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IncrementBody {
    by: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AppendBody {
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatementBody {
    statement: String,
}

/// `POST /increment/{key}`
pub(super) async fn increment(
    State(shared): State<Arc<Shared>>,
    key: Key,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answered {
    let key = checked_key(key)?;
    let IncrementBody { by } = parse(body, r#"{"by":1}"#)?;
    write(&shared, &headers, Command::Increment { key, by }).await
}

/// `POST /append/{key}`
pub(super) async fn append(
    State(shared): State<Arc<Shared>>,
    key: Key,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answered {
    let key = checked_key(key)?;
    let body: AppendBody = parse(body, r#"{"value":"7"}"#)?;
    let value = checked("value", body.value, VALUE_BYTES_MAX)?;
    write(&shared, &headers, Command::Append { key, value }).await
}

/// `POST /transaction`
pub(super) async fn transaction(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answered {
    let example = r#"{"compare":[{"key":"a","value":"1"}],"success":[{"get":{"key":"a"}}]}"#;
    let transaction: Transaction = parse(body, example)?;
    check_transaction(&transaction)?;
    write(&shared, &headers, Command::Transaction(transaction)).await
}

/// `POST /statement`
pub(super) async fn statement(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answered {
    let StatementBody { statement } = parse(body, r#"{"statement":"set k = now()"}"#)?;
    // A key and the longest literal, every character of it doubled.
    check("statement", &statement, KEY_BYTES_MAX + 2 * VALUE_BYTES_MAX)?;
    let statement: Statement =
        statement.parse().map_err(|error| ApiError::bad_request(format!("statement: {error}")))?;
    if let Expression::Literal(text) = &statement.value {
        check("value", text, VALUE_BYTES_MAX)?;
    }
    write(&shared, &headers, Command::Statement(statement)).await
}

fn check_transaction(transaction: &Transaction) -> Result<(), ApiError> {
    let Transaction { compare, success, failure } = transaction;
    for (what, count) in
        [("compare", compare.len()), ("success", success.len()), ("failure", failure.len())]
    {
        if count > TRANSACTION_MAX {
            let message = format!("{what}: expected at most {TRANSACTION_MAX}, got {count}");
            return Err(ApiError::bad_request(message));
        }
    }
    for comparison in compare {
        check("key", &comparison.key, KEY_BYTES_MAX)?;
        if let Some(value) = &comparison.value {
            check("value", value, VALUE_BYTES_MAX)?;
        }
    }
    for operation in success.iter().chain(failure) {
        match operation {
            Operation::Get { key }
            | Operation::Delete { key }
            | Operation::Increment { key, .. } => check("key", key, KEY_BYTES_MAX)?,
            Operation::Put { key, value } | Operation::Append { key, value } => {
                check("key", key, KEY_BYTES_MAX)?;
                check("value", value, VALUE_BYTES_MAX)?;
            }
        }
    }
    Ok(())
}
