//! The HTTP client of all targets that speak HTTP: reqwest with every kind of second chance off.
//!
//! What it must not do is the point: no retry, no redirect, no proxy from the environment, one
//! connection pool per logical client. It knows no store; targets turn its answers into outcomes.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder};
use serde::de::DeserializeOwned;
use splitbrain_workloads::operation::{Outcome, Reason};

/// An answer that was read to its end.
pub(super) struct Answer<T> {
    /// Whether the status was 2xx.
    pub(super) success: bool,
    /// The body; `None` when it was not of the expected form.
    pub(super) body: Option<T>,
}

/// A client for one logical caller.
///
/// # Panics
///
/// When reqwest cannot be set up, which no input of ours causes.
pub(super) fn client(limit: Duration) -> Client {
    Client::builder()
        .retry(reqwest::retry::never())
        .redirect(Policy::none())
        .no_proxy()
        .http1_only()
        .tcp_nodelay(true)
        // One logical client has one operation open at a time, so one idle connection suffices.
        .pool_max_idle_per_host(1)
        .connect_timeout(limit)
        .timeout(limit)
        .build()
        .expect("an HTTP client without TLS needs nothing from the system")
}

/// Sends a request and reads the whole answer.
///
/// # Errors
///
/// The outcome of an operation that got no answer. It is always indefinite: behind a proxy of
/// ours even a refused connection says nothing by itself, and the caller, who can ask the proxy,
/// turns it into "not sent" where that is proven.
pub(super) async fn send<T: DeserializeOwned>(
    request: RequestBuilder,
) -> Result<Answer<T>, Outcome> {
    let response = request.send().await.map_err(|error| indefinite(&error))?;
    let success = response.status().is_success();
    let bytes = response.bytes().await.map_err(|error| indefinite(&error))?;
    Ok(Answer { success, body: serde_json::from_slice(&bytes).ok() })
}

fn indefinite(error: &reqwest::Error) -> Outcome {
    let reason = if error.is_timeout() { "timeout" } else { "connection-lost" };
    Outcome::Info(Reason::new(reason))
}

/// An answer nobody expected; it proves nothing.
pub(super) fn unexpected() -> Outcome {
    Outcome::Info(Reason::new("unexpected-answer"))
}
