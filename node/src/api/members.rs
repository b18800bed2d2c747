//! Who the members are, and the change of that: `GET`, `POST` and `DELETE /members`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::error::ApiError;
use super::kv::{Answered, ask, parse};
use crate::protocol::{ConfigurationChange, NodeId, Request};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddBody {
    node: String,
    peer: SocketAddr,
}

/// `GET /members`: as the asked node knows them, at once and without asking anybody.
pub(super) async fn look(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let view = shared.view().clone();
    let members: Vec<Value> = view
        .members
        .members()
        .map(|(node, seat)| {
            json!({ "node": node.to_string(), "voter": seat.voter, "peer": seat.address })
        })
        .collect();
    Json(json!({
        "configuration": view.configuration,
        "committed": view.configuration <= view.committed,
        "leader": view.leader.map(|leader| leader.to_string()),
        "members": members,
    }))
}

/// `POST /members`
pub(super) async fn add(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answered {
    let AddBody { node, peer } = parse(body, r#"{"node":"n4","peer":"127.0.0.1:7104"}"#)?;
    let node = named(&node)?;
    if !shared.allow_remote && !peer.ip().is_loopback() {
        return Err(ApiError::bad_request(format!(
            "peer: expected a loopback address, because there is no encryption and no \
             authentication, got {peer}; help: start the nodes with --allow-remote"
        )));
    }
    let change = ConfigurationChange::Add { node, address: peer };
    ask(&shared, &headers, Request::Configure(change)).await
}

/// `DELETE /members/{node}`
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    node: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Answered {
    let Path(node) = node.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let change = ConfigurationChange::Remove { node: named(&node)? };
    ask(&shared, &headers, Request::Configure(change)).await
}

fn named(node: &str) -> Result<NodeId, ApiError> {
    node.parse().map_err(|error| ApiError::bad_request(format!("node: {error}")))
}
