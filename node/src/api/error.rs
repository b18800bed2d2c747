//! How the API says that something did not work: a word, a sentence, and whether it is definite.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::protocol::{Failure, FailureKind};
use crate::state::{RESULTS_BYTES_MAX, Refusal, VALUE_BYTES_MAX};

/// A request that did not end well.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    error: &'static str,
    message: String,
    /// Whether it certainly did not happen and never will.
    definite: bool,
}

impl ApiError {
    /// The client sent something that cannot be carried out.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        let status = StatusCode::BAD_REQUEST;
        ApiError { status, error: "bad-request", message: message.into(), definite: true }
    }

    /// Too many requests at a time.
    pub(super) fn overloaded(message: impl Into<String>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        ApiError { status, error: "overloaded", message: message.into(), definite: true }
    }

    /// The deadline passed. A write may still happen.
    pub(super) fn timeout(is_write: bool) -> Self {
        let message = "the deadline passed before the outcome was known".to_string();
        let status = StatusCode::GATEWAY_TIMEOUT;
        ApiError { status, error: "timeout", message, definite: !is_write }
    }

    /// The node is ending.
    pub(super) fn stopping(is_write: bool) -> Self {
        let message = "the node is stopping".to_string();
        let status = StatusCode::SERVICE_UNAVAILABLE;
        ApiError { status, error: "stopping", message, definite: !is_write }
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let status = match failure.kind {
            FailureKind::NotLeader => StatusCode::MISDIRECTED_REQUEST,
            FailureKind::ForwardLost => StatusCode::BAD_GATEWAY,
            FailureKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            FailureKind::NoLeader
            | FailureKind::LeadershipLost
            | FailureKind::NotEnoughReplicas
            | FailureKind::Learner
            | FailureKind::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        };
        let (error, message) = (failure.kind.name(), failure.message.to_string());
        ApiError { status, error, message, definite: failure.definite }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let conflict = StatusCode::CONFLICT;
        let (status, error, message) = match refusal {
            Refusal::NotANumber => {
                let message = "the key holds no integer of 64 bits; help: put one first";
                (conflict, "not-a-number", message.to_string())
            }
            Refusal::Overflow => {
                (conflict, "overflow", "the sum is no integer of 64 bits".to_string())
            }
            Refusal::NotAList => {
                let message = "the key holds no JSON array of strings; help: put one first";
                (conflict, "not-a-list", message.to_string())
            }
            Refusal::TooLarge => {
                let message = format!(
                    "expected values of at most {VALUE_BYTES_MAX} bytes and at most \
                     {RESULTS_BYTES_MAX} bytes of results"
                );
                (StatusCode::PAYLOAD_TOO_LARGE, "too-large", message)
            }
            Refusal::KeyReused { first } => {
                let message = format!(
                    "entry {first} had this idempotency key and another request; help: take a new \
                     key for every request, and the same one only to send a request again"
                );
                (StatusCode::UNPROCESSABLE_ENTITY, "key-reused", message)
            }
        };
        ApiError { status, error, message, definite: true }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({
            "error": self.error,
            "message": self.message,
            "definite": self.definite,
        });
        (self.status, Json(body)).into_response()
    }
}

/// A path that does not exist.
pub(super) async fn no_such_page() -> ApiError {
    let message = "expected /kv, /compare-and-set, /increment, /append, /transaction, /promote, \
                   /status, /metrics or /health"
        .to_string();
    ApiError { status: StatusCode::NOT_FOUND, error: "not-found", message, definite: true }
}

/// A method that the path does not have.
pub(super) async fn no_such_method() -> ApiError {
    let message = "this path has no such method; help: docs/http-api.md".to_string();
    let status = StatusCode::METHOD_NOT_ALLOWED;
    ApiError { status, error: "method-not-allowed", message, definite: true }
}
