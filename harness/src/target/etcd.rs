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
use serde_json::{Value as Json, json};
use splitbrain_reports::record::Role;
use splitbrain_workloads::operation::{
    Capability, Condition, Consistency, NodeId, Op, Outcome, Reason, Reply, Step, StepReply,
    Transaction, Value, queue,
};

use super::{
    Client, Endpoints, NodeStatus, PeerStyle, Target, Unusable, Wiring, find_on_path, http,
};
use crate::suite::target::{Refusal, Sense, TargetKind, TargetSpec};

/// Answers after which the operation certainly never happens: etcd refuses them before it
/// proposes anything (`EtcdServer.processInternalRaftRequestOnce` checks the backlog first).
const DEFINITE: [&str; 1] = ["etcdserver: too many requests"];

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
            base: format!("http://{address}/v3/kv"),
        })
    }
}

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    member_id: String,
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
}

/// Every answer the gateway gives, good or bad.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    kvs: Vec<KeyValue>,
    succeeded: bool,
    responses: Vec<TxnResponse>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct KeyValue {
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct TxnResponse {
    #[serde(default)]
    response_range: Option<RangeResponse>,
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
    fn request(&self, op: &Op) -> Option<reqwest::RequestBuilder> {
        let (path, body) = match op {
            Op::Read { key, consistency } => (
                "range",
                json!({ "key": encode(key.as_str()), "serializable": local(consistency) }),
            ),
            Op::Write { key, value } => ("put", put(key.as_str(), *value)),
            Op::CompareAndSet { key, expect, value } => {
                ("txn", swap(key.as_str(), *expect, *value))
            }
            Op::Delete { key } => ("deleterange", json!({ "key": encode(key.as_str()) })),
            Op::List { prefix, consistency } => (
                "range",
                json!({
                    "key": encode(prefix.as_str()),
                    "range_end": BASE64.encode(after_prefix(prefix.as_str())),
                    "serializable": local(consistency),
                }),
            ),
            Op::Transaction(transaction) => ("txn", txn(transaction)?),
            Op::Enqueue { .. } | Op::Dequeue { .. } | Op::ReadQueue { .. } => {
                return self.request(&queue::encoded(op)?);
            }
            Op::Increment { .. }
            | Op::Append { .. }
            | Op::ReadList { .. }
            | Op::Acquire { .. }
            | Op::Renew { .. }
            | Op::Release { .. }
            | Op::WriteGuarded { .. }
            | Op::ReadGuarded { .. }
            | Op::Once { .. } => return None,
        };
        Some(self.client.post(format!("{}/{path}", self.base)).json(&body))
    }
}

#[async_trait]
impl Client for EtcdClient {
    async fn call(&mut self, op: &Op) -> Outcome {
        // Suites that ask for it are refused by its capabilities.
        let Some(request) = self.request(op) else {
            return Outcome::Fail(Reason::new("not-offered"));
        };
        let answer = match http::send::<Body>(request).await {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        let Some(body) = answer.body else { return http::unexpected() };
        if answer.success {
            return reply(op, &body).map_or_else(http::unexpected, Outcome::Ok);
        }
        let error = body.error.unwrap_or_default();
        let reason = Reason::new(word(&error));
        if DEFINITE.contains(&error.as_str()) {
            Outcome::Fail(reason)
        } else {
            Outcome::Info(reason)
        }
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
        Op::Increment { .. }
        | Op::Append { .. }
        | Op::ReadList { .. }
        | Op::Acquire { .. }
        | Op::Renew { .. }
        | Op::Release { .. }
        | Op::WriteGuarded { .. }
        | Op::ReadGuarded { .. }
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
    let bytes = BASE64.decode(&kv.value).ok()?;
    std::str::from_utf8(&bytes).ok()?.parse().ok().map(Value)
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
