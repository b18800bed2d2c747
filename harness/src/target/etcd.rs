//! etcd as a target, by the JSON gateway of its v3 API.
//!
//! Peers learn one advertised URL per node, so proxies ask the kernel who dialled. Written for
//! and tried with etcd 3.4 (`--enable-v2=false` is its default there and later).
//! Sources: etcd's API reference (`/v3/kv`, `/v3/maintenance/status`) and `etcd --help`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use splitbrain_reports::record::Role;
use splitbrain_workloads::operation::{
    Capability, ClientId, Condition, Consistency, Key, NodeId, Op, Outcome, Reason, Reply, Step,
    StepReply, Token, Transaction, Value, queue,
};
use tokio::time::Instant;

use super::{
    Client, Endpoints, NodeStatus, PeerStyle, Target, Unusable, Wiring, find_on_path, http,
};
use crate::suite::target::{Refusal, Sense, TargetKind, TargetSpec};

/// Answers after which the operation certainly never happens: etcd refuses the first before it
/// proposes anything (`EtcdServer.processInternalRaftRequestOnce` checks the backlog first), and of a
/// transaction that writes under a lease that is over it does nothing (`checkRequestPut`).
const DEFINITE: [&str; 2] =
    ["etcdserver: too many requests", "etcdserver: requested lease not found"];

/// Why its disk cannot be told to fail.
const NO_FILE_LAYER: &str = "its file system would have to be ours (FUSE, or ext4 on a loop device), \
                             with a privilege that is not asked for";

/// Why its clocks cannot be made wrong.
const NO_CLOCK: &str = "a program in Go reads the clock past the C library, so that libfaketime (package \
                        faketime) has no hold on it; it would take a machine of its own";

/// An etcd cluster.
pub(super) struct Etcd {
    spec: TargetSpec,
    program: PathBuf,
    version: String,
    /// For status, past the proxies; not a logical client.
    sampler: reqwest::Client,
    /// Member ids are hashes; each node tells its own with its status.
    members: Mutex<BTreeMap<String, NodeId>>,
}

/// What suites may say of it: only how many nodes.
pub(super) fn kind(name: &str) -> Result<TargetKind, Unusable> {
    Ok(TargetKind {
        name: name.to_string(),
        summary: "etcd by its v3 JSON gateway; the program etcd must be on PATH".to_string(),
        capabilities: vec![
            Capability::CompareAndSet,
            Capability::Delete,
            Capability::AtomicList,
            Capability::LocalRead,
            Capability::Transaction,
            Capability::Lock,
            Capability::FencingToken,
        ],
        settings: Vec::new(),
        switches: None,
        refuses: vec![
            Refusal {
                fault: "wipe",
                form: None,
                unless: None,
                why: "a member that has lost its data must be replaced, it exits when it is started",
            },
            Refusal { fault: "disk-loss", form: None, unless: None, why: NO_FILE_LAYER },
            Refusal { fault: "disk-torn", form: None, unless: None, why: NO_FILE_LAYER },
            Refusal { fault: "disk-error", form: None, unless: None, why: NO_FILE_LAYER },
            Refusal { fault: "disk-slow", form: None, unless: None, why: NO_FILE_LAYER },
            Refusal { fault: "clock-drift", form: None, unless: None, why: NO_CLOCK },
            Refusal { fault: "clock-jump", form: None, unless: None, why: NO_CLOCK },
            Refusal {
                fault: "disk-full",
                form: Some("growth"),
                unless: None,
                why: "its disk cannot be told to be full; `refuses: writes` lets the kernel refuse it \
                      every write to a file",
            },
            Refusal {
                fault: "disk-flip",
                form: None,
                unless: None,
                why: "the pages of its database have no checksums, so what comes of it is luck",
            },
            Refusal {
                fault: "promote",
                form: None,
                unless: None,
                why: "only its leader can hand over, nobody can tell another member to take over",
            },
            Refusal {
                fault: "membership",
                form: None,
                unless: None,
                why: "this target starts no spare members and asks for no changes yet",
            },
        ],
        needs: Vec::new(),
        sense: Sense::ANY,
    })
}

/// Finds the program and asks for its version.
pub(super) fn open(spec: &TargetSpec) -> Result<Etcd, Unusable> {
    let help = "install it: sudo apt-get install etcd-server (Debian, Ubuntu), \
                or put etcd 3.4 or later on PATH"
        .to_string();
    let Some(program) = find_on_path("etcd") else {
        return Err(Unusable { what: "etcd is not on PATH".to_string(), help });
    };
    let output = match Command::new(&program).arg("--version").output() {
        Ok(output) if output.status.success() => output,
        _ => {
            let what = format!("{} --version does not run", program.display());
            return Err(Unusable { what, help });
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().unwrap_or_default().trim();
    let version = line.strip_prefix("etcd Version: ").unwrap_or(line).to_string();
    let sampler = http::client(Duration::from_secs(1));
    Ok(Etcd { spec: spec.clone(), program, version, sampler, members: Mutex::default() })
}

#[async_trait]
impl Target for Etcd {
    fn name(&self) -> &'static str {
        "etcd"
    }

    fn nodes(&self) -> u16 {
        self.spec.nodes
    }

    fn settings(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    fn program(&self) -> &Path {
        &self.program
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn promises_progress(&self) -> bool {
        true
    }

    fn peer_style(&self) -> PeerStyle {
        PeerStyle::Advertised
    }

    fn arguments(&self, node: NodeId, wiring: &Wiring, data: &Path) -> Vec<String> {
        let Endpoints { client, peer, .. } = &wiring.nodes[&node];
        let advertised = |node: &Endpoints| {
            let address = node.advertised.expect("the target's peer style asks for it");
            format!("http://{address}")
        };
        let cluster: Vec<String> = wiring
            .nodes
            .values()
            .map(|other| format!("{}={}", other.node, advertised(other)))
            .collect();
        let options = [
            ("--name", node.to_string()),
            ("--data-dir", data.display().to_string()),
            ("--listen-peer-urls", format!("http://{peer}")),
            ("--initial-advertise-peer-urls", advertised(&wiring.nodes[&node])),
            ("--listen-client-urls", format!("http://{client}")),
            ("--advertise-client-urls", format!("http://{client}")),
            ("--initial-cluster", cluster.join(",")),
            ("--initial-cluster-token", wiring.token.clone()),
            ("--initial-cluster-state", "new".to_string()),
            ("--logger", "zap".to_string()),
        ];
        options.into_iter().flat_map(|(name, value)| [name.to_string(), value]).collect()
    }

    async fn status(&self, wiring: &Wiring, node: NodeId, limit: Duration) -> Option<NodeStatus> {
        let url = format!("http://{}/v3/maintenance/status", wiring.nodes[&node].client);
        let request = self.sampler.post(url).json(&json!({})).timeout(limit);
        let status = http::send::<Status>(request).await.ok()?.body?;
        let mut members = self.members.lock().expect("no holder of this lock panics");
        members.insert(status.header.member_id.clone(), node);
        let leads = status.leader.as_deref() == Some(status.header.member_id.as_str());
        Some(NodeStatus {
            role: if leads { Role::Leader } else { Role::Follower },
            epoch: status.raft_term?.parse().ok()?,
            leader: status.leader.and_then(|leader| members.get(&leader).copied()),
            applied: status.raft_applied_index?.parse().ok()?,
            committed: status.raft_index?.parse().ok()?,
            voters: Vec::new(),
            learners: Vec::new(),
        })
    }

    fn client(&self, address: SocketAddr, limit: Duration) -> Box<dyn Client> {
        Box::new(EtcdClient {
            client: http::client(limit),
            base: format!("http://{address}/v3"),
            limit,
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Header {
    member_id: String,
    revision: String,
}

/// The gateway leaves out zeros and writes 64-bit numbers as strings.
#[derive(Deserialize)]
struct Status {
    header: Header,
    leader: Option<String>,
    #[serde(rename = "raftTerm")]
    raft_term: Option<String>,
    #[serde(rename = "raftIndex")]
    raft_index: Option<String>,
    #[serde(rename = "raftAppliedIndex")]
    raft_applied_index: Option<String>,
}

struct EtcdClient {
    client: reqwest::Client,
    base: String,
    /// For an operation, of however many requests.
    limit: Duration,
}

/// What the gateway answers about keys.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    header: Header,
    kvs: Vec<KeyValue>,
    succeeded: bool,
    responses: Vec<TxnResponse>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct KeyValue {
    value: String,
    create_revision: String,
    lease: String,
}

#[derive(Deserialize)]
struct TxnResponse {
    #[serde(default)]
    response_range: Option<RangeResponse>,
}

/// A lease that was granted.
#[derive(Deserialize)]
struct Lease {
    #[serde(rename = "ID")]
    id: String,
}

/// The first message of the stream of those that keep a lease alive.
#[derive(Deserialize)]
struct KeptAlive {
    result: TimeToLive,
}

/// Of a lease that is over it is left out, as every zero.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TimeToLive {
    #[serde(rename = "TTL")]
    seconds: String,
}

#[derive(Deserialize)]
struct RangeResponse {
    #[serde(default)]
    kvs: Vec<KeyValue>,
}

impl EtcdClient {
    /// `None` for what etcd cannot do in one request. An increment or an append would be a read and
    /// a transaction, and sent again when somebody else came between: two operations, and a client
    /// never retries.
    fn request(&self, op: &Op) -> Option<(&'static str, Json)> {
        Some(match op {
            Op::Read { key, consistency } | Op::ReadGuarded { resource: key, consistency } => (
                "kv/range",
                json!({ "key": encode(key.as_str()), "serializable": local(consistency) }),
            ),
            Op::Write { key, value } => ("kv/put", put(key.as_str(), *value)),
            Op::CompareAndSet { key, expect, value } => {
                ("kv/txn", swap(key.as_str(), *expect, *value))
            }
            Op::Delete { key } => ("kv/deleterange", json!({ "key": encode(key.as_str()) })),
            Op::List { prefix, consistency } => (
                "kv/range",
                json!({
                    "key": encode(prefix.as_str()),
                    "range_end": BASE64.encode(after_prefix(prefix.as_str())),
                    "serializable": local(consistency),
                }),
            ),
            Op::Transaction(transaction) => ("kv/txn", txn(transaction)?),
            Op::Enqueue { .. } | Op::Dequeue { .. } | Op::ReadQueue { .. } => {
                return self.request(&queue::encoded(op)?);
            }
            Op::Release { lock, token, .. } => ("kv/txn", lock::release(lock, *token)),
            Op::WriteGuarded { resource, value, token } => {
                ("kv/txn", lock::guarded(resource, *value, *token))
            }
            Op::Increment { .. }
            | Op::Append { .. }
            | Op::ReadList { .. }
            | Op::Acquire { .. }
            | Op::Renew { .. }
            | Op::Once { .. } => return None,
        })
    }

    /// Sends one request of an operation, and waits for its answer no longer than until then.
    ///
    /// # Errors
    ///
    /// What became of the operation, if this request decides about it.
    async fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Json,
        until: Instant,
    ) -> Result<T, Outcome> {
        let left = until.saturating_duration_since(Instant::now());
        let request = self.client.post(format!("{}/{path}", self.base)).json(body).timeout(left);
        let answer = http::send::<Json>(request).await?;
        let Some(body) = answer.body else { return Err(http::unexpected()) };
        if answer.success {
            return T::deserialize(body).map_err(|_| http::unexpected());
        }
        let error = body.get("error").and_then(Json::as_str).unwrap_or_default();
        let reason = Reason::new(word(error));
        match DEFINITE.contains(&error) {
            true => Err(Outcome::Fail(reason)),
            false => Err(Outcome::Info(reason)),
        }
    }

    /// Takes a lock: a lease for the time to live, then a key under it, if there is none. The token is
    /// the revision of etcd at which the key was made.
    async fn acquire(
        &self,
        (lock, holder, ttl_ms): (&Key, ClientId, u32),
        until: Instant,
    ) -> Result<Reply, Outcome> {
        // It counts whole seconds, and none shorter than one and a half elections; longer is right too.
        let seconds = ttl_ms.div_ceil(1000).to_string();
        let lease = self.ask::<Lease>("lease/grant", &json!({ "TTL": seconds }), until).await;
        // Nobody has asked for the lock so far. The lease of who is denied is left to run out.
        let lease = lease.map_err(|_| Outcome::Fail(Reason::new("no-lease")))?;
        let body: Body = self.ask("kv/txn", &lock::acquire(lock, holder, &lease.id), until).await?;
        if body.succeeded {
            return Ok(Reply::Granted { token: revision(&body.header.revision)? });
        }
        let range = body.responses.first().and_then(|it| it.response_range.as_ref());
        let held = range.and_then(|range| range.kvs.first()).ok_or_else(http::unexpected)?;
        let token = revision(&held.create_revision)?;
        let who = text(held).as_deref().and_then(lock::holder_of).ok_or_else(http::unexpected)?;
        match who == holder {
            false => Ok(Reply::Denied { holder: who, token }),
            true if self.keep_alive(&held.lease, until).await? => Ok(Reply::Granted { token }),
            true => Err(Outcome::Info(Reason::new("lease-over"))),
        }
    }

    /// Begins the time to live anew, if the lock is held under the token.
    async fn renew(&self, (lock, token): (&Key, Token), until: Instant) -> Result<Reply, Outcome> {
        let key = json!({ "key": encode(lock.as_str()) });
        let body: Body = self.ask("kv/range", &key, until).await?;
        Ok(Reply::WasHeld(match body.kvs.first() {
            Some(held) if revision(&held.create_revision)? == token => {
                self.keep_alive(&held.lease, until).await?
            }
            _ => false,
        }))
    }

    /// Whether there still was a lease to be kept.
    async fn keep_alive(&self, lease: &str, until: Instant) -> Result<bool, Outcome> {
        let kept: KeptAlive = self.ask("lease/keepalive", &json!({ "ID": lease }), until).await?;
        Ok(kept.result.seconds.parse().is_ok_and(|seconds: i64| seconds > 0))
    }
}

/// What etcd is asked about locks, and about what they protect.
///
/// ```text
/// l0 = c3                              under a lease; its create_revision is the token
/// g0 = 00000000000000000412/7          written under token 412
/// ```
mod lock {
    use super::{ClientId, Json, Key, Token, Value, encode, json};

    use splitbrain_workloads::operation::lock::holder_name;
    pub(super) use splitbrain_workloads::operation::lock::holder_of;

    pub(super) fn acquire(lock: &Key, holder: ClientId, lease: &str) -> Json {
        let (key, value) = (encode(lock.as_str()), encode(&holder_name(holder)));
        json!({
            "compare": [is_made_at(lock, 0)],
            "success": [{ "request_put": { "key": key, "value": value, "lease": lease } }],
            "failure": [{ "request_range": { "key": key } }],
        })
    }

    pub(super) fn release(lock: &Key, token: Token) -> Json {
        json!({
            "compare": [is_made_at(lock, token.0)],
            "success": [{ "request_delete_range": { "key": encode(lock.as_str()) } }],
        })
    }

    /// Texts are compared byte by byte, and a comparison with what is absent never holds.
    pub(super) fn guarded(resource: &Key, value: Value, token: Token) -> Json {
        let key = encode(resource.as_str());
        // Above all that can be written under this token, and below all under greater ones.
        let limit = encode(&format!("{:020}0", token.0));
        let text = encode(&format!("{:020}/{value}", token.0));
        json!({
            "compare": [{ "key": key, "target": "VALUE", "result": "GREATER", "value": limit }],
            "failure": [{ "request_put": { "key": key, "value": text } }],
        })
    }

    /// The value that was written, without its token.
    pub(super) fn protected(text: &str) -> Option<Value> {
        text.split_once('/')?.1.parse().ok().map(Value)
    }

    fn is_made_at(lock: &Key, revision: u64) -> Json {
        json!({
            "key": encode(lock.as_str()), "target": "CREATE", "result": "EQUAL",
            "create_revision": revision.to_string(),
        })
    }
}

#[async_trait]
impl Client for EtcdClient {
    async fn call(&mut self, op: &Op) -> Outcome {
        let until = Instant::now() + self.limit;
        let done = match op {
            Op::Acquire { lock, holder, ttl_ms } => {
                self.acquire((lock, *holder, *ttl_ms), until).await
            }
            Op::Renew { lock, token, .. } => self.renew((lock, *token), until).await,
            _ => match self.request(op) {
                // Suites that ask for it are refused by its capabilities.
                None => Err(Outcome::Fail(Reason::new("not-offered"))),
                Some((path, body)) => {
                    let answer = self.ask::<Body>(path, &body, until).await;
                    answer.and_then(|body| reply(op, &body).ok_or_else(http::unexpected))
                }
            },
        };
        done.map_or_else(|outcome| outcome, Outcome::Ok)
    }
}

fn put(key: &str, value: Value) -> Json {
    json!({ "key": encode(key), "value": encode(&value.to_string()) })
}

/// The comparison that a key holds a value, or nothing.
fn holds(key: &str, value: Option<Value>) -> Json {
    match value {
        Some(value) => json!({
            "key": encode(key), "target": "VALUE", "result": "EQUAL",
            "value": encode(&value.to_string()),
        }),
        None => json!({
            "key": encode(key), "target": "CREATE", "result": "EQUAL", "create_revision": "0",
        }),
    }
}

/// `None` if a step is one that etcd does not have.
fn txn(transaction: &Transaction) -> Option<Json> {
    let step = |step: &Step| match step {
        Step::Read(key) => Some(json!({ "request_range": { "key": encode(key.as_str()) } })),
        Step::Write(key, value) => Some(json!({ "request_put": put(key.as_str(), *value) })),
        Step::Delete(key) => {
            Some(json!({ "request_delete_range": { "key": encode(key.as_str()) } }))
        }
        Step::ReadList(_) | Step::Increment(..) | Step::Append(..) => None,
    };
    let side = |steps: &[Step]| steps.iter().map(step).collect::<Option<Vec<_>>>();
    let compare = |Condition(key, value): &Condition| holds(key.as_str(), *value);
    Some(json!({
        "compare": transaction.conditions.iter().map(compare).collect::<Vec<_>>(),
        "success": side(&transaction.then)?,
        "failure": side(&transaction.otherwise)?,
    }))
}

/// A transaction whose both branches tell what the key held: the then-branch by its condition,
/// the else-branch by reading.
fn swap(key: &str, expect: Option<Value>, value: Value) -> Json {
    let condition = holds(key, expect);
    json!({
        "compare": [condition],
        "success": [{ "request_put": put(key, value) }],
        "failure": [{ "request_range": { "key": encode(key) } }],
    })
}

/// Reads a success; `None` when it does not say what it must.
fn reply(op: &Op, body: &Body) -> Option<Reply> {
    Some(match op {
        Op::Read { .. } => Reply::Read(first(&body.kvs)?),
        Op::Write { .. } => Reply::Written,
        Op::CompareAndSet { expect, .. } if body.succeeded => {
            Reply::Compared { swapped: true, observed: *expect }
        }
        Op::CompareAndSet { .. } => {
            let range = body.responses.first()?.response_range.as_ref()?;
            Reply::Compared { swapped: false, observed: first(&range.kvs)? }
        }
        Op::Delete { .. } => Reply::Deleted,
        Op::List { .. } => Reply::Listed(body.kvs.iter().map(number).collect::<Option<Vec<_>>>()?),
        Op::Transaction(transaction) => {
            let steps = transaction.side(body.succeeded);
            let answered = steps.iter().zip(&body.responses);
            let results = answered.map(|(step, it)| step_reply(step, it));
            let results = results.collect::<Option<Vec<_>>>()?;
            if results.len() != steps.len() {
                return None;
            }
            Reply::Transacted { succeeded: body.succeeded, results }
        }
        Op::Enqueue { .. } | Op::Dequeue { .. } | Op::ReadQueue { .. } => {
            return queue::decoded(op, reply(&queue::encoded(op)?, body)?);
        }
        Op::Release { .. } => Reply::WasHeld(body.succeeded),
        // It succeeds if the stored token is greater.
        Op::WriteGuarded { .. } if body.succeeded => Reply::StaleToken,
        Op::WriteGuarded { .. } => Reply::Written,
        Op::ReadGuarded { .. } => Reply::Read(match body.kvs.first() {
            Some(kv) => Some(lock::protected(&text(kv)?)?),
            None => None,
        }),
        Op::Increment { .. }
        | Op::Append { .. }
        | Op::ReadList { .. }
        | Op::Acquire { .. }
        | Op::Renew { .. }
        | Op::Once { .. } => return None,
    })
}

fn step_reply(step: &Step, response: &TxnResponse) -> Option<StepReply> {
    match step {
        Step::Read(_) => Some(StepReply::Read(first(&response.response_range.as_ref()?.kvs)?)),
        Step::Write(..) | Step::Delete(_) => Some(StepReply::Done),
        Step::ReadList(_) | Step::Increment(..) | Step::Append(..) => None,
    }
}

/// The outer `None` is a value that is no number.
fn first(kvs: &[KeyValue]) -> Option<Option<Value>> {
    match kvs.first() {
        Some(kv) => Some(Some(number(kv)?)),
        None => Some(None),
    }
}

fn number(kv: &KeyValue) -> Option<Value> {
    text(kv)?.parse().ok().map(Value)
}

fn text(kv: &KeyValue) -> Option<String> {
    String::from_utf8(BASE64.decode(&kv.value).ok()?).ok()
}

/// The token that a revision is.
fn revision(digits: &str) -> Result<Token, Outcome> {
    digits.parse().map(Token).map_err(|_| http::unexpected())
}

fn encode(text: &str) -> String {
    BASE64.encode(text)
}

fn local(consistency: &Consistency) -> bool {
    *consistency == Consistency::Local
}

/// The end of the range of all keys that begin with a prefix: its last byte, one up. Prefixes of
/// ours end in ASCII, so there is no carry.
fn after_prefix(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    match end.last_mut() {
        Some(last) => *last += 1,
        // The range of all keys, by etcd's convention.
        None => end.push(0),
    }
    end
}

/// etcd's sentence as one short word for counting.
fn word(error: &str) -> String {
    let error = error.strip_prefix("etcdserver: ").unwrap_or(error);
    let short: String = error.chars().take(40).collect();
    let word = short.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let word = word.trim_matches('-');
    if word.is_empty() { "unexpected-answer".to_string() } else { word.to_string() }
}

#[cfg(test)]
mod tests {
    use splitbrain_workloads::operation::Key;

    use super::*;

    fn answer(op: &Op, json: Json) -> Option<Reply> {
        reply(op, &serde_json::from_value(json).unwrap())
    }

    #[test]
    fn a_mismatch_reads_what_the_else_branch_saw() {
        let op = Op::CompareAndSet { key: Key::new("r0"), expect: Some(Value(1)), value: Value(2) };
        let kvs = json!([{ "key": encode("r0"), "value": encode("7") }]);
        let json = json!({ "responses": [{ "response_range": { "kvs": kvs, "count": "1" } }] });
        let seen = Reply::Compared { swapped: false, observed: Some(Value(7)) };
        assert_eq!(answer(&op, json), Some(seen));
        let json = json!({ "responses": [{ "response_range": {} }] });
        let absent = Reply::Compared { swapped: false, observed: None };
        assert_eq!(answer(&op, json), Some(absent));
    }

    #[test]
    fn a_transaction_answers_step_by_step_and_has_no_step_that_etcd_lacks() {
        let (key, other) = (Key::new("a"), Key::new("b"));
        let transaction = Transaction {
            conditions: vec![Condition(key.clone(), None)],
            then: vec![Step::Write(key.clone(), Value(1)), Step::Read(other.clone())],
            otherwise: vec![Step::Delete(other)],
        };
        let body = txn(&transaction).unwrap();
        assert_eq!(body["compare"][0]["target"], "CREATE");
        assert_eq!(body["success"][0]["request_put"]["value"], encode("1"));
        assert!(body["failure"][0]["request_delete_range"].is_object());
        let op = Op::Transaction(Box::new(transaction));
        let range = json!({ "response_range": { "kvs": [{ "value": encode("9") }] } });
        let json = json!({ "succeeded": true, "responses": [{ "response_put": {} }, range] });
        let results = vec![StepReply::Done, StepReply::Read(Some(Value(9)))];
        assert_eq!(answer(&op, json), Some(Reply::Transacted { succeeded: true, results }));
        assert_eq!(answer(&op, json!({ "succeeded": true, "responses": [{}] })), None);
        let append = Transaction { then: vec![Step::Append(key, Value(1))], ..Default::default() };
        assert_eq!(txn(&append), None);
    }

    #[test]
    fn what_a_lock_protects_is_compared_by_its_token_and_read_without() {
        let (resource, value, token) = (Key::new("g0"), Value(7), Token(412));
        let stored = |token: u64| format!("{token:020}/7");
        let body = lock::guarded(&resource, value, token);
        let limit = BASE64.decode(body["compare"][0]["value"].as_str().unwrap()).unwrap();
        let is_stale = |token| stored(token).into_bytes() > limit;
        assert_eq!([411, 412, 413, 5_000].map(is_stale), [false, false, true, true]);
        assert_eq!(body["failure"][0]["request_put"]["value"], encode(&stored(412)));
        let write = Op::WriteGuarded { resource: resource.clone(), value, token };
        assert_eq!(answer(&write, json!({})), Some(Reply::Written));
        assert_eq!(answer(&write, json!({ "succeeded": true })), Some(Reply::StaleToken));
        let read = Op::ReadGuarded { resource, consistency: Consistency::Linearizable };
        let held = json!({ "kvs": [{ "value": encode(&stored(412)) }] });
        assert_eq!(answer(&read, held), Some(Reply::Read(Some(value))));
        assert_eq!(answer(&read, json!({})), Some(Reply::Read(None)));
    }

    #[test]
    fn a_swap_saw_what_it_expected() {
        let op = Op::CompareAndSet { key: Key::new("r0"), expect: Some(Value(1)), value: Value(2) };
        let json = json!({ "succeeded": true, "responses": [{ "response_put": {} }] });
        let swapped = Reply::Compared { swapped: true, observed: Some(Value(1)) };
        assert_eq!(answer(&op, json), Some(swapped));
    }

    #[test]
    fn an_answer_without_a_number_proves_nothing() {
        let op = Op::Read { key: Key::new("r0"), consistency: Consistency::Linearizable };
        assert_eq!(answer(&op, json!({ "kvs": [{ "value": encode("seven") }] })), None);
        assert_eq!(answer(&op, json!({})), Some(Reply::Read(None)));
    }

    #[test]
    fn the_range_of_a_prefix_ends_before_the_next_prefix() {
        assert_eq!(after_prefix("s/"), b"s0");
        assert_eq!(after_prefix(""), [0]);
    }

    #[test]
    fn an_error_becomes_one_short_word() {
        assert_eq!(word("etcdserver: request timed out"), "request-timed-out");
        assert_eq!(word(""), "unexpected-answer");
    }
}
