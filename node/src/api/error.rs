//! How the API says that something did not work: a word, a sentence, and whether it is definite.

use std::net::SocketAddr;
use std::sync::PoisonError;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::redirect::LeaderAddress;
use crate::peer::Introductions;
use crate::protocol::{Failure, FailureKind, NodeId};
use crate::state::{LOCKS_MAX, RESULTS_BYTES_MAX, Refusal, VALUE_BYTES_MAX};

/// A request that did not end well.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    error: &'static str,
    message: String,
    /// Whether it certainly did not happen and never will.
    definite: bool,
    /// Who should be asked instead, and where clients reach it, if that is known.
    leader: Option<(NodeId, Option<SocketAddr>)>,
}

impl ApiError {
    /// The client sent something that cannot be carried out.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        let status = StatusCode::BAD_REQUEST;
        ApiError {
            status,
            error: "bad-request",
            message: message.into(),
            definite: true,
            leader: None,
        }
    }

    /// Too many requests at a time.
    pub(super) fn overloaded(message: impl Into<String>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        ApiError {
            status,
            error: "overloaded",
            message: message.into(),
            definite: true,
            leader: None,
        }
    }

    /// The deadline passed. A write may still happen.
    pub(super) fn timeout(is_write: bool) -> Self {
        let message = "the deadline passed before the outcome was known".to_string();
        let status = StatusCode::GATEWAY_TIMEOUT;
        ApiError { status, error: "timeout", message, definite: !is_write, leader: None }
    }

    /// The node is ending.
    pub(super) fn stopping(is_write: bool) -> Self {
        let message = "the node is stopping".to_string();
        let status = StatusCode::SERVICE_UNAVAILABLE;
        ApiError { status, error: "stopping", message, definite: !is_write, leader: None }
    }
}

impl ApiError {
    /// The core said no, and perhaps who should be asked instead.
    pub(super) fn failed(failure: Failure, introductions: &Introductions) -> Self {
        let address = failure.leader.and_then(|leader| {
            let known = introductions.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(&leader).map(|introduction| introduction.clients)
        });
        let status = match failure.kind {
            FailureKind::NotLeader if address.is_some() => StatusCode::TEMPORARY_REDIRECT,
            FailureKind::NotLeader => StatusCode::MISDIRECTED_REQUEST,
            FailureKind::ForwardLost => StatusCode::BAD_GATEWAY,
            FailureKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            FailureKind::PositionLost => StatusCode::GONE,
            FailureKind::ConfigurationRefused | FailureKind::ChangeInProgress => {
                StatusCode::CONFLICT
            }
            FailureKind::NoLeader
            | FailureKind::LeadershipLost
            | FailureKind::NotEnoughReplicas
            | FailureKind::TooStale
            | FailureKind::Learner
            | FailureKind::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        };
        ApiError {
            status,
            error: failure.kind.name(),
            message: failure.message.to_string(),
            definite: failure.definite,
            leader: failure.leader.map(|leader| (leader, address)),
        }
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
            Refusal::TooManyLocks => {
                let message = format!(
                    "expected at most {LOCKS_MAX} locks at a time; help: release one, or let one \
                     run out"
                );
                (StatusCode::SERVICE_UNAVAILABLE, "too-many-locks", message)
            }
            Refusal::StaleToken { token, greatest } => {
                let message = format!(
                    "the resource has seen token {greatest}, got {token}; help: the lock has gone \
                     to another holder; acquire it again"
                );
                (conflict, "stale-token", message)
            }
        };
        ApiError { status, error, message, definite: true, leader: None }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({
            "error": self.error,
            "message": self.message,
            "definite": self.definite,
        });
        let Some((leader, address)) = self.leader else {
            return (self.status, Json(body)).into_response();
        };
        body["leader"] = leader.to_string().into();
        let mut response = (self.status, Json(body)).into_response();
        if let Some(address) = address {
            response.extensions_mut().insert(LeaderAddress(address));
        }
        response
    }
}

/// A path that does not exist.
pub(super) async fn no_such_page() -> ApiError {
    let message = "expected /kv, /compare-and-set, /increment, /append, /transaction, /statement, \
                   /lock, /resource, /members, /promote, /status, /metrics or /health"
        .to_string();
    ApiError {
        status: StatusCode::NOT_FOUND,
        error: "not-found",
        message,
        definite: true,
        leader: None,
    }
}

/// A method that the path does not have.
pub(super) async fn no_such_method() -> ApiError {
    let message = "this path has no such method; help: docs/http-api.md".to_string();
    let status = StatusCode::METHOD_NOT_ALLOWED;
    ApiError { status, error: "method-not-allowed", message, definite: true, leader: None }
}
