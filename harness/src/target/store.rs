//! The built-in store as a target: this very program, started as `splitbrain node`.
//!
//! It is reached over its process and its HTTP API (docs/http-api.md) like any other store; no
//! type is shared with it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;
use splitbrain_reports::record::Role;
use splitbrain_workloads::operation::{
    Capability, Consistency, Key, NodeId, Op, Outcome, Reason, Reply, Value,
};

use super::{Client, Endpoints, NodeStatus, PeerStyle, Target, Unusable, Wiring, http};
use crate::suite::target::{Refusal, Setting, TargetKind, TargetSpec};

/// What stays as it is in the path of a key.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.');

/// The setting that names a point in the space of protections.
const PROFILE: &str = "profile";

/// The setting that says how a write is sent.
const WRITES: &str = "writes";
const TIMED_STATEMENTS: &str = "timed-statements";

/// The setting that breaks a protection in the store's code.
const PLANT: &str = "plant";

/// The built-in store.
pub(super) struct Store {
    spec: TargetSpec,
    program: PathBuf,
    /// For status, past the proxies; not a logical client.
    sampler: reqwest::Client,
}

/// What suites may say of the store, as the store itself describes it.
pub(super) fn kind(name: &str) -> Result<TargetKind, Unusable> {
    let Description { profiles, switches, plants } = describe()?;
    let names = |named: Vec<Named>| named.into_iter().map(|named| named.name).collect::<Vec<_>>();
    Ok(TargetKind {
        name: name.to_string(),
        summary: "the built-in store: single-leader replication, every protection a switch"
            .to_string(),
        capabilities: vec![
            Capability::CompareAndSet,
            Capability::Delete,
            Capability::AtomicList,
            Capability::LocalRead,
        ],
        settings: vec![
            Setting {
                name: PROFILE.to_string(),
                default: "raft".to_string(),
                values: names(profiles),
                meaning: "a named setting of all protections".to_string(),
            },
            Setting {
                name: PLANT.to_string(),
                default: String::new(),
                values: names(plants),
                meaning: "a bug planted in the store's code (splitbrain list plants)".to_string(),
            },
            Setting {
                name: WRITES.to_string(),
                default: String::new(),
                values: vec![TIMED_STATEMENTS.to_string()],
                meaning: "every write is sent as a statement that holds until its client gives up"
                    .to_string(),
            },
        ],
        switches: Some(names(switches)),
        refuses: vec![Refusal {
            fault: "wipe",
            unless: Some("leader"),
            why: "a leader trusts what its followers confirmed, and sends one that has lost it \
                  nothing before the next election",
        }],
    })
}

/// Makes the store ready.
pub(super) fn open(spec: &TargetSpec) -> Result<Store, Unusable> {
    let sampler = http::client(Duration::from_secs(1));
    Ok(Store { spec: spec.clone(), program: program()?, sampler })
}

fn program() -> Result<PathBuf, Unusable> {
    std::env::current_exe().map_err(|error| Unusable {
        what: format!("cannot find the program that is running: {error}"),
        help: "start splitbrain by its path, on a machine with a mounted /proc".to_string(),
    })
}

/// The part of `splitbrain node --describe` that suites are checked against.
#[derive(Deserialize)]
struct Description {
    profiles: Vec<Named>,
    switches: Vec<Named>,
    plants: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    meaning: String,
}

/// The bugs that can be planted in the store, by name, with what each one is.
pub(crate) fn plants() -> Result<Vec<(String, String)>, Unusable> {
    let plants = describe()?.plants.into_iter();
    Ok(plants.map(|plant| (plant.name, plant.meaning)).collect())
}

fn describe() -> Result<Description, Unusable> {
    let program = program()?;
    let output = Command::new(&program).args(["node", "--describe"]).output();
    let described = match &output {
        Ok(output) if output.status.success() => serde_json::from_slice(&output.stdout).ok(),
        _ => None,
    };
    described.ok_or_else(|| Unusable {
        what: format!("{} node --describe does not describe the store", program.display()),
        help: "is this file a whole splitbrain? build it again".to_string(),
    })
}

#[async_trait]
impl Target for Store {
    fn name(&self) -> &'static str {
        "store"
    }

    fn nodes(&self) -> u16 {
        self.spec.nodes
    }

    fn settings(&self) -> BTreeMap<String, String> {
        let mut settings = self.spec.settings.clone();
        settings.extend(self.spec.set.clone());
        settings
    }

    fn program(&self) -> &Path {
        &self.program
    }

    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    fn peer_style(&self) -> PeerStyle {
        PeerStyle::PerLink
    }

    fn arguments(&self, node: NodeId, wiring: &Wiring, data: &Path) -> Vec<String> {
        let Endpoints { client, peer, dial, .. } = &wiring.nodes[&node];
        let mut arguments = vec!["node".to_string()];
        let mut option = |name: &str, value: String| {
            arguments.push(name.to_string());
            arguments.push(value);
        };
        option("--id", node.to_string());
        option("--cluster", wiring.token.clone());
        option("--data-dir", data.display().to_string());
        option("--client-listen", client.to_string());
        option("--peer-listen", peer.to_string());
        if let Some(profile) = self.spec.settings.get(PROFILE) {
            option("--profile", profile.clone());
        }
        if let Some(plant) = self.spec.settings.get(PLANT) {
            option("--plant", plant.clone());
        }
        for (other, address) in dial {
            option("--peer", format!("{other}={address}"));
        }
        for (name, value) in &self.spec.set {
            option("--set", format!("{name}={value}"));
        }
        arguments
    }

    async fn status(&self, wiring: &Wiring, node: NodeId, limit: Duration) -> Option<NodeStatus> {
        let url = format!("http://{}/status", wiring.nodes[&node].client);
        let request = self.sampler.get(url).timeout(limit);
        let status = http::send::<Status>(request).await.ok()?.body?;
        Some(NodeStatus {
            role: match status.role.as_str() {
                "leader" => Role::Leader,
                "candidate" => Role::Candidate,
                _ => Role::Follower,
            },
            epoch: status.epoch,
            leader: status.leader,
            applied: status.applied,
            committed: status.committed,
        })
    }

    fn client(&self, address: SocketAddr, limit: Duration) -> Box<dyn Client> {
        Box::new(StoreClient {
            client: http::client(limit),
            base: format!("http://{address}"),
            deadline: limit.as_millis().to_string(),
            timed: self
                .spec
                .settings
                .get(WRITES)
                .is_some_and(|writes| writes == TIMED_STATEMENTS)
                .then_some(limit),
        })
    }
}

/// The part of `GET /status` that the harness reads.
#[derive(Deserialize)]
struct Status {
    role: String,
    epoch: u64,
    leader: Option<NodeId>,
    applied: u64,
    committed: u64,
}

struct StoreClient {
    client: reqwest::Client,
    base: String,
    deadline: String,
    /// With timed statements, for how long one holds.
    timed: Option<Duration>,
}

/// Every answer the store gives to an operation, good or bad.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    value: Option<String>,
    swapped: Option<bool>,
    observed: Option<String>,
    entries: Option<Vec<(String, String)>>,
    error: Option<String>,
    definite: bool,
}

impl StoreClient {
    fn key_url(&self, base: &str, key: &Key) -> String {
        format!("{}/{base}/{}", self.base, utf8_percent_encode(key.as_str(), PATH))
    }

    fn request(&self, op: &Op) -> reqwest::RequestBuilder {
        let request = match op {
            Op::Read { key, consistency } => self.client.get(format!(
                "{}?consistency={}",
                self.key_url("kv", key),
                word(*consistency)
            )),
            Op::Write { key, value } => match self.timed {
                None => self
                    .client
                    .put(self.key_url("kv", key))
                    .json(&json!({ "value": value.to_string() })),
                Some(limit) => {
                    let end = micros_after(limit);
                    let statement = format!("set {key} = {value} where now() < {end}");
                    self.client
                        .post(format!("{}/statement", self.base))
                        .json(&json!({ "statement": statement }))
                }
            },
            Op::CompareAndSet { key, expect, value } => {
                let expect = expect.map(|expect| expect.to_string());
                self.client
                    .post(self.key_url("compare-and-set", key))
                    .json(&json!({ "expect": expect, "value": value.to_string() }))
            }
            Op::Delete { key } => self.client.delete(self.key_url("kv", key)),
            Op::List { prefix, consistency } => self.client.get(format!(
                "{}/kv?prefix={}&consistency={}",
                self.base,
                utf8_percent_encode(prefix.as_str(), NON_ALPHANUMERIC),
                word(*consistency)
            )),
        };
        request.header("splitbrain-timeout-ms", &self.deadline)
    }
}

#[async_trait]
impl Client for StoreClient {
    async fn call(&mut self, op: &Op) -> Outcome {
        let answer = match http::send::<Body>(self.request(op)).await {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        let Some(body) = answer.body else { return http::unexpected() };
        if answer.success {
            if self.timed.is_some() && matches!(op, Op::Write { .. }) && body.value.is_none() {
                // Evaluated when the client had given up already: nothing was written.
                return Outcome::Fail(Reason::new("too-late"));
            }
            return reply(op, &body).map_or_else(http::unexpected, Outcome::Ok);
        }
        let reason = Reason::new(body.error.as_deref().unwrap_or("unexpected-answer"));
        if body.definite { Outcome::Fail(reason) } else { Outcome::Info(reason) }
    }
}

/// Reads a success; `None` when it does not say what it must.
fn reply(op: &Op, body: &Body) -> Option<Reply> {
    Some(match op {
        Op::Read { .. } => Reply::Read(optional(&body.value)?),
        Op::Write { .. } => Reply::Written,
        Op::CompareAndSet { .. } => {
            Reply::Compared { swapped: body.swapped?, observed: optional(&body.observed)? }
        }
        Op::Delete { .. } => Reply::Deleted,
        Op::List { .. } => {
            let entries = body.entries.as_ref()?.iter();
            Reply::Listed(entries.map(|(_, text)| number(text)).collect::<Option<_>>()?)
        }
    })
}

/// The outer `None` is a value that is no number.
fn optional(text: &Option<String>) -> Option<Option<Value>> {
    match text {
        Some(text) => Some(Some(number(text)?)),
        None => Some(None),
    }
}

fn number(text: &str) -> Option<Value> {
    text.parse().ok().map(Value)
}

/// The moment so long from now, as `now()` of a statement counts.
fn micros_after(limit: Duration) -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (since + limit).as_micros()
}

fn word(consistency: Consistency) -> &'static str {
    match consistency {
        Consistency::Linearizable => "linearizable",
        Consistency::Local => "local",
    }
}
