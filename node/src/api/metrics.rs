//! `GET /metrics`: counters and gauges as Prometheus text (exposition format 0.0.4).

use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use super::Shared;
use crate::peer::LinkState;
use crate::protocol::{FollowerView, RoleName, View};

/// Every metric begins with `splitbrain_`.
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], render(&shared))
}

fn render(shared: &Shared) -> String {
    let view = shared.view().clone();
    let counters = view.counters;
    let mut text = String::new();
    let flushes = shared.flushes.load(Relaxed);
    let truncated = shared.archived_before + counters.truncated;
    for (name, help, count) in [
        ("elections_started_total", "elections this node started", counters.elections_started),
        ("elections_won_total", "elections this node won", counters.elections_won),
        (
            "false_suspicions_total",
            "times a suspected leader was heard again in the same epoch",
            counters.false_suspicions,
        ),
        ("entries_appended_total", "entries appended to the log", counters.appended),
        ("entries_committed_total", "entries known to be committed", counters.committed),
        ("entries_applied_total", "entries applied to the state", counters.applied),
        ("fallbacks_total", "times the leader gave up waiting", counters.fallbacks),
        ("entries_truncated_total", "entries cut and archived in lost+found", truncated),
        ("relayed_entries_total", "entries handed on to another follower", counters.relayed),
        ("snapshots_sent_total", "snapshots sent to followers", counters.snapshots_sent),
        (
            "snapshots_installed_total",
            "snapshots of a leader that took the place of the log",
            counters.snapshots_installed,
        ),
        ("log_flushes_total", "batches the log has put on disk", flushes),
        ("requests_forwarded_total", "requests passed on to the leader", counters.forwarded),
        ("requests_redirected_total", "requests answered with who leads", counters.redirected),
        ("requests_rejected_total", "requests turned away untried", counters.rejected),
    ] {
        metric(&mut text, name, "counter", help, count);
    }
    header(&mut text, "election_messages_total", "counter", "messages sent for elections");
    let method = shared.settings.get("election").and_then(|value| value.as_str()).unwrap_or("");
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "splitbrain_election_messages_total{{method=\"{method}\"}} {}",
        counters.election_messages
    );
    let leads = u64::from(view.role == RoleName::Leader);
    for (name, help, value) in [
        ("epoch", "the epoch the node is in", view.epoch),
        ("is_leader", "whether the node leads", leads),
        ("is_voter", "whether the node votes: a learner does not", u64::from(view.voter)),
        ("received_index", "last entry in memory", view.received),
        ("durable_index", "last entry on disk", view.durable),
        ("committed_index", "last entry known to be committed", view.committed),
        ("applied_index", "last entry applied", view.applied),
        ("snapshot_index", "last entry in the snapshot on disk", view.snapshot),
        ("released_index", "last entry no longer in memory", view.released),
        ("requests_in_flight", "client requests at work", shared.in_flight.load(Relaxed) as u64),
    ] {
        metric(&mut text, name, "gauge", help, value);
    }
    lags(&mut text, &view);
    links(&mut text, shared);
    text
}

/// How far this node is behind its own log, and at a leader how far the followers are behind it.
fn lags(text: &mut String, view: &View) {
    let (name, help) = ("apply_lag_seconds", "age of the oldest entry received and not applied");
    header(text, name, "gauge", help);
    // Writing to a String cannot fail.
    let _ = writeln!(text, "splitbrain_{name} {}", view.lag.as_secs_f64());
    let name = "follower_lag_seconds";
    header(text, name, "gauge", "age of the oldest entry a follower is not known to have");
    for follower in &view.followers {
        let lag = follower.lag.as_secs_f64();
        let _ = writeln!(text, "splitbrain_{name}{{peer=\"{}\"}} {lag}", follower.node);
    }
    let name = "follower_lag_entries";
    header(text, name, "gauge", "entries a follower is not known to have");
    for FollowerView { node, lag_entries, .. } in &view.followers {
        let _ = writeln!(text, "splitbrain_{name}{{peer=\"{node}\"}} {lag_entries}");
    }
}

/// Name, kind, meaning, and how to read it.
type Column = (&'static str, &'static str, &'static str, fn(&LinkState) -> u64);

fn links(text: &mut String, shared: &Shared) {
    let columns: [Column; 4] = [
        ("link_connected", "gauge", "whether the link to a peer has a connection", |link| {
            u64::from(link.connected.load(Relaxed))
        }),
        ("link_connections_total", "counter", "connections made to a peer", |link| {
            link.connections.load(Relaxed)
        }),
        ("link_sent_total", "counter", "messages sent to a peer", |link| link.sent.load(Relaxed)),
        ("link_dropped_total", "counter", "messages to a peer dropped unsent", |link| {
            link.dropped.load(Relaxed)
        }),
    ];
    let links = shared.links.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, kind, help, read) in columns {
        header(text, name, kind, help);
        for (peer, link) in &*links {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "splitbrain_{name}{{peer=\"{peer}\"}} {}", read(link));
        }
    }
}

fn metric(text: &mut String, name: &str, kind: &str, help: &str, value: u64) {
    header(text, name, kind, help);
    let _ = writeln!(text, "splitbrain_{name} {value}");
}

fn header(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP splitbrain_{name} {help}\n# TYPE splitbrain_{name} {kind}");
}
