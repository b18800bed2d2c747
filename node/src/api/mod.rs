//! HTTP/1.1 with JSON for clients: keys, locks, members, status, metrics. `docs/http-api.md` describes it.
//!
//! The API decides nothing. It checks what a client sent, hands it to the core, waits for the
//! outcome or the deadline, and says of every failure whether it is definite.

mod answer;
mod consistency;
mod error;
mod kv;
mod lock;
mod members;
mod metrics;
mod operations;
mod redirect;
mod status;

use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::routing::{delete, get, post};
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::peer::{Introductions, LinkStates};
use crate::protocol::{Outcome, Plants, Request, View};

/// Most requests of clients that this node works on at a time. Beyond it they are turned away,
/// definitely not done, instead of waiting in memory for a deadline.
const IN_FLIGHT_MAX: usize = 4096;

/// Largest body: a value and an expectation of the largest size, every byte escaped.
const BODY_BYTES_MAX: usize = 1 << 20;

/// A request on its way to the core.
#[derive(Debug)]
pub(crate) struct Job {
    /// What is asked.
    pub(crate) request: Request,
    /// How long the client waits.
    pub(crate) patience: Duration,
    /// Where the outcome goes. Nobody may be there any more.
    pub(crate) outcome: oneshot::Sender<Outcome>,
}

/// What the API knows of the node.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The node's own words on itself, renewed after every batch of inputs.
    pub(crate) view: Mutex<View>,
    /// The node's clocks.
    pub(crate) clock: Arc<Clock>,
    /// The cluster's name.
    pub(crate) cluster: String,
    /// The profile's name, for reports.
    pub(crate) profile: String,
    /// Every switch with its value.
    pub(crate) settings: Map<String, Value>,
    /// What is broken in it on purpose.
    pub(crate) plants: Plants,
    /// The links from this node.
    pub(crate) links: LinkStates,
    /// Batches that the log reported to be on disk.
    pub(crate) flushes: AtomicU64,
    /// Entries archived in `lost+found` before this process started.
    pub(crate) archived_before: u64,
    /// Where the other nodes say that they can be reached.
    pub(crate) introductions: Arc<Introductions>,
    /// Whether a member may be beyond this machine.
    pub(crate) allow_remote: bool,
    /// Where requests go.
    pub(crate) jobs: mpsc::UnboundedSender<Job>,
    /// Requests that are being worked on.
    pub(crate) in_flight: AtomicUsize,
}

impl Shared {
    /// The node as of its last batch of inputs.
    pub(crate) fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All routes.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let redirects = shared.settings.get("routing").is_some_and(|routing| routing == "redirect");
    let router = Router::new()
        .route("/kv", get(kv::list))
        .route("/kv/{*key}", get(kv::get).put(kv::put).delete(kv::delete))
        .route("/compare-and-set/{*key}", post(kv::compare_and_set))
        .route("/increment/{*key}", post(operations::increment))
        .route("/append/{*key}", post(operations::append))
        .route("/statement", post(operations::statement))
        .route("/transaction", post(operations::transaction))
        .route(
            "/lock/{*name}",
            get(lock::look).post(lock::acquire).put(lock::renew).delete(lock::release),
        )
        .route("/resource/{*name}", get(lock::read_resource).put(lock::write_resource))
        .route("/members", get(members::look).post(members::add))
        .route("/members/{node}", delete(members::remove))
        .route("/promote", post(kv::promote))
        .route("/health", get(async || "ok\n"))
        .route("/status", get(status::status))
        .route("/metrics", get(metrics::metrics))
        .fallback(error::no_such_page)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(shared);
    if redirects { router.layer(from_fn(redirect::point_to_leader)) } else { router }
}
