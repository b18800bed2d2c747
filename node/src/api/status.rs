//! `GET /status`: what a node says of itself, at once and without asking anybody.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Shared;
use crate::protocol::NodeId;

/// See `docs/http-api.md` for every field.
pub(super) async fn status(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let view = shared.view().clone();
    let gtids = |after, upto| view.lineage.between(after, upto).to_string();
    let followers: Vec<Value> = view
        .followers
        .iter()
        .map(|follower| {
            json!({
                "node": follower.node.to_string(),
                "upstream": follower.upstream.to_string(),
                "matched": follower.matched,
                "lag_entries": follower.lag_entries,
                "lag_ms": millis(follower.lag),
                "lacks": gtids(follower.matched, view.received),
                "voter": follower.voter,
                "in_sync": follower.in_sync,
                "silent_ms": millis(follower.silent),
            })
        })
        .collect();
    Json(json!({
        "node": view.node.to_string(),
        "version": env!("CARGO_PKG_VERSION"),
        "cluster": shared.cluster,
        "profile": shared.profile,
        "settings": shared.settings,
        "plants": shared.plants.rows().map(|row| row.name).collect::<Vec<_>>(),
        "role": view.role.name(),
        "running_us": shared.clock.now().map_or(Value::Null, |now| json!(micros(now))),
        "clock": shared.clock.wall().to_string(),
        "voter": view.voter,
        "configuration": view.configuration,
        "members": names(&mut view.members.members().map(|(node, _)| node)),
        "voters": names(&mut view.members.voters()),
        "learners": names(&mut view.members.learner().into_iter()),
        "removed": view.removed,
        "epoch": view.epoch,
        "leader": view.leader.map(|leader| leader.to_string()),
        "upstream": view.upstream.map(|upstream| upstream.to_string()),
        "received": view.received,
        "durable": view.durable,
        "applied": view.applied,
        "committed": view.committed,
        "lag_entries": view.received - view.applied,
        "lag_ms": millis(view.lag),
        "last_entry": {
            "epoch": view.last_entry.claim.epoch,
            "leader": match view.last_entry.index {
                0 => Value::Null,
                _ => Value::String(view.last_entry.claim.leader.to_string()),
            },
            "index": view.last_entry.index,
        },
        "gtid_received": gtids(0, view.received),
        "gtid_executed": gtids(0, view.applied),
        "gtid_purged": gtids(0, view.released),
        "acknowledgement": view.acknowledgement.name(),
        "snapshot": view.snapshot,
        "released": view.released,
        "lease": view.lease.map(|lease| json!({
            "held": lease.token.is_some(),
            "token": lease.token,
            "left_ms": millis(lease.left),
        })),
        "followers": followers,
        "truncated": shared.archived_before + view.counters.truncated,
    }))
}

fn names(nodes: &mut dyn Iterator<Item = NodeId>) -> Vec<String> {
    nodes.map(|node| node.to_string()).collect()
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
