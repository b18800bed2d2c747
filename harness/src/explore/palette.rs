//! The faults that a search draws from: every kind that the target can be put under, aimed at
//! whom it makes a difference.

use serde_json::{Value, json};

use crate::nemesis::AnyFault;
use crate::suite::target::TargetKind;

/// Every kind with the parameters that are worth drawing. What a kind lacks here is never explored,
/// so a test holds that none is forgotten.
fn everything() -> Vec<(&'static str, Value)> {
    let mut all = Vec::new();
    for node in ["leader", "follower"] {
        all.extend([
            ("kill", json!({ "node": node })),
            ("stop", json!({ "node": node })),
            ("pause", json!({ "node": node })),
            ("slow", json!({ "node": node, "stopped": "60ms", "running": "30ms" })),
            ("partition", json!({ "isolate": node })),
            ("partition", json!({ "isolate": node, "scope": "peers+clients" })),
            ("partition", json!({ "bridge": node })),
            ("partition", json!({ "one-way": { "node": node, "direction": "outbound" } })),
            ("partition", json!({ "one-way": { "node": node, "direction": "inbound" } })),
            ("delay", json!({ "node": node, "by": "80ms", "spread": "60ms" })),
            ("reset", json!({ "node": node, "scope": "peers+clients", "again": "100ms" })),
            ("half-open", json!({ "node": node })),
            ("membership", json!({ "change": "remove", "node": node })),
            ("disk-loss", json!({ "node": node })),
            ("disk-torn", json!({ "node": node })),
            ("disk-full", json!({ "node": node, "refuses": "writes" })),
            ("disk-error", json!({ "node": node, "on": "writes" })),
            ("disk-error", json!({ "node": node, "on": "syncs" })),
            ("disk-slow", json!({ "node": node, "by": "60ms" })),
            ("clock-drift", json!({ "node": node, "rate": "20%" })),
            ("clock-drift", json!({ "node": node, "rate": "400%" })),
            ("clock-jump", json!({ "node": node, "by": "2s", "clock": "steady" })),
        ]);
    }
    all.extend([
        ("kill", json!({ "node": "majority" })),
        ("kill", json!({ "node": "all" })),
        ("disk-loss", json!({ "node": "all" })),
        ("disk-torn", json!({ "node": "majority" })),
        ("disk-full", json!({ "node": "leader" })),
        ("disk-flip", json!({ "node": "random" })),
        ("clock-jump", json!({ "node": "all", "by": "1m", "to": "back" })),
        ("rolling-restart", json!({ "down": "50ms", "apart": "50ms" })),
        ("upgrade", json!({ "node": "follower", "to": "copy" })),
        ("wipe", json!({ "node": "random" })),
        ("promote", json!({ "node": "follower" })),
        ("partition", json!({ "leader-side": "minority" })),
        ("partition", json!({ "majorities-ring": "random" })),
        ("partition", json!({ "groups": "random" })),
        ("partition", json!({ "links": "random" })),
        (
            "partition",
            json!({
                "halves": "redrawn",
                "flap": { "cut": "300ms", "healed": "100ms" }
            }),
        ),
        ("bandwidth", json!({ "node": "leader", "limit": "10kB" })),
        ("slow-close", json!({ "node": "all", "by": "300ms", "scope": "peers+clients" })),
    ]);
    all
}

/// The faults that make sense for so many nodes of this kind of target.
pub fn palette(kind: &TargetKind, nodes: u16) -> Vec<AnyFault> {
    let refused = |fault: &AnyFault| {
        let (name, form, shape) = (fault.kind(), fault.form(), fault.shape());
        kind.refuses.iter().any(|refusal| refusal.covers(name, form, &shape))
    };
    everything()
        .into_iter()
        .filter_map(|(name, keys)| AnyFault::read(name, keys)?.ok())
        .filter(|fault| !refused(fault) && fault.problems(nodes).is_empty())
        .collect()
}
