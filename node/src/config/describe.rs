//! `--describe`: profiles and switches as JSON, for whoever writes suites or documentation.

use serde_json::{Map, Value, json};

use super::{ConfigError, PROFILES, SWITCHES, Settings, predict};
use crate::protocol::PLANTS;

/// The version of the JSON that [`describe`] returns.
const DESCRIBE_VERSION: u32 = 1;

/// The version of the JSON that [`prediction`] returns.
const PREDICT_VERSION: u32 = 1;

/// Of how many nodes the predictions of a description speak.
const DESCRIBED_NODES: u16 = 3;

/// What `--predict` says of one choice of settings in a cluster of so many nodes:
///
/// ```json
/// {"predict": 1, "profile": "raft", "nodes": 3, "settings": {"fencing": "on"},
///  "may_show": [{"anomaly": "stale-read", "switches": ["reads"], "why": "..."}]}
/// ```
///
/// # Errors
/// When the settings make no sense, alone or for so many nodes.
pub fn prediction(profile: &str, overrides: &[String], nodes: u16) -> Result<Value, ConfigError> {
    let settings = Settings::resolve(profile, overrides)?;
    settings.check_cluster(&(1..=nodes).collect::<Vec<u16>>())?;
    Ok(json!({
        "predict": PREDICT_VERSION,
        "profile": profile,
        "nodes": nodes,
        "settings": settings.values(),
        "may_show": predict(&settings, nodes),
    }))
}

/// Every profile with its meaning and values, every switch with its meaning and possible values,
/// and every bug that can be planted:
///
/// ```json
/// {"describe": 1,
///  "profiles": [{"name": "raft", "meaning": "...", "settings": {"fencing": "on"},
///                "may_show": [{"anomaly": "stale-read", "switches": ["reads"], "why": "..."}]}],
///  "switches": [{"name": "fencing", "meaning": "...", "values": "on, off"}],
///  "plants": [{"name": "vote-twice", "meaning": "...", "place": "...", "anomaly": "lost-write"}]}
/// ```
pub fn describe() -> Value {
    let profiles: Vec<Value> = PROFILES
        .iter()
        .map(|profile| {
            let settings = (profile.row)();
            json!({
                "name": profile.name,
                "meaning": profile.meaning,
                "settings": settings.values(),
                "may_show": predict(&settings, DESCRIBED_NODES),
            })
        })
        .collect();
    let switches: Vec<Value> = SWITCHES
        .iter()
        .map(|switch| {
            json!({"name": switch.name, "meaning": switch.meaning, "values": switch.values})
        })
        .collect();
    let plants: Vec<Value> = PLANTS
        .iter()
        .map(|row| {
            json!({
                "name": row.name,
                "meaning": row.meaning,
                "place": row.place,
                "anomaly": row.anomaly,
            })
        })
        .collect();
    json!({
        "describe": DESCRIBE_VERSION,
        "version": env!("CARGO_PKG_VERSION"),
        "profiles": profiles,
        "switches": switches,
        "plants": plants,
    })
}

impl Settings {
    /// Every switch by name with its value, as `/status` and `--describe` print them.
    pub fn values(&self) -> Map<String, Value> {
        SWITCHES
            .iter()
            .map(|switch| (switch.name.to_string(), Value::String(switch.get(self))))
            .collect()
    }
}
