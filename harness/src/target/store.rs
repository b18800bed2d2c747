//! The built-in store as a target: this very program, started as `splitbrain node`.
//!
//! It is reached over its process and its HTTP API (docs/http-api.md) like any other store; no
//! type is shared with it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use splitbrain_reports::record::Role;
use splitbrain_workloads::operation::{
    Capability, Condition, Consistency, Key, NodeId, Op, Outcome, Reason, Reply, Step, StepReply,
    Token, Transaction, Value, lock, queue,
};

use super::clock::{ClockControl, NodeClock};
use super::faketime::{self, Faketime};
use super::lock_service::LockService;
use super::{
    Client, Companion, Endpoints, MemberChange, NodeStatus, PeerStyle, Target, Unusable, Wiring,
    http,
};
use crate::suite::target::{Need, SPARES, Sense, Setting, TargetKind, TargetSpec};

/// What stays as it is in the path of a key.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.');

/// The setting that names a point in the space of protections.
const PROFILE: &str = "profile";

/// The setting that says how a write is sent.
const WRITES: &str = "writes";
const TIMED_STATEMENTS: &str = "timed-statements";

/// The setting that breaks a protection in the store's code.
const PLANT: &str = "plant";

/// The setting that puts a lock service beside the nodes.
const LOCK_SERVICE: &str = "lock-service";

/// Its one value so far: a store of our own.
const BUILT_IN: &str = "store";

/// The setting that says by what clocks are made wrong, and its one value beside the store's own.
const CLOCKS: &str = "clocks";
const LIBFAKETIME: &str = "libfaketime";

/// Elections that a majority wins without an operator and without a service outside of it.
const ELECTS_ALONE: [&str; 6] = ["raft", "paxos", "most-recent", "seniority", "bully", "ring"];

/// The built-in store.
pub(super) struct Store {
    spec: TargetSpec,
    program: PathBuf,
    lock_service: Option<LockService>,
    faketime: Option<Faketime>,
    promises_progress: bool,
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
            Capability::Increment,
            Capability::ListAppend,
            Capability::Transaction,
            Capability::IdempotencyKey,
            Capability::Lock,
            Capability::FencingToken,
        ],
        settings: vec![
            Setting {
                name: PROFILE.to_string(),
                default: "raft".to_string(),
                values: profiles.into_iter().map(|profile| profile.name).collect(),
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
            Setting {
                name: SPARES.to_string(),
                default: String::new(),
                values: vec!["1".to_string(), "2".to_string()],
                meaning: "so many more nodes may be started and added by the fault `membership`"
                    .to_string(),
            },
            Setting {
                name: CLOCKS.to_string(),
                default: String::new(),
                values: vec![LIBFAKETIME.to_string()],
                meaning: "wall clocks are made wrong by libfaketime instead of by the store itself"
                    .to_string(),
            },
            Setting {
                name: LOCK_SERVICE.to_string(),
                default: String::new(),
                values: vec![BUILT_IN.to_string()],
                meaning: "one more node beside the cluster, which gives away the lock of \
                          election=lease and which no fault touches"
                    .to_string(),
            },
        ],
        switches: Some(names(switches)),
        refuses: Vec::new(),
        needs: vec![Need {
            switch: "election",
            value: "lease",
            setting: LOCK_SERVICE,
            why: "whoever holds a lock leads, and a lock service gives it away",
        }],
        sense: Sense(makes_sense),
    })
}

/// Asks the store whether it would start so; it knows what its switches mean, this file does not.
fn makes_sense(spec: &TargetSpec) -> Result<(), String> {
    let program = program().map_err(|unusable| unusable.what)?;
    let mut command = Command::new(program);
    command.args(["node", "--predict", &spec.nodes.to_string()]);
    if let Some(profile) = spec.settings.get(PROFILE) {
        command.args(["--profile", profile]);
    }
    for (name, value) in &spec.set {
        command.args(["--set", &format!("{name}={value}")]);
    }
    let output = command.output().map_err(|error| format!("it does not run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_string())
}

/// Makes the store ready.
pub(super) fn open(spec: &TargetSpec) -> Result<Store, Unusable> {
    let sampler = http::client(Duration::from_secs(1));
    let program = program()?;
    let asked = spec.settings.contains_key(LOCK_SERVICE);
    let lock_service = asked.then(|| LockService::new(program.clone()));
    let promises_progress = promises_progress(spec, &describe()?.profiles);
    let faketime = match spec.settings.get(CLOCKS) {
        Some(_) => Some(Faketime::for_program(&program)?),
        None => None,
    };
    Ok(Store { spec: spec.clone(), program, lock_service, faketime, promises_progress, sampler })
}

/// A majority is enough where it commits and elects by itself. A planted bug promises nothing.
fn promises_progress(spec: &TargetSpec, profiles: &[Profile]) -> bool {
    let profile = spec.settings.get(PROFILE);
    let profile = profiles.iter().find(|known| Some(&known.name) == profile);
    let switch =
        |name: &str| spec.set.get(name).or_else(|| profile?.settings.get(name)).map(String::as_str);
    !spec.settings.contains_key(PLANT)
        && switch("replication") == Some("quorum")
        && ELECTS_ALONE.iter().any(|election| switch("election") == Some(election))
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
    profiles: Vec<Profile>,
    switches: Vec<Named>,
    plants: Vec<Named>,
}

#[derive(Deserialize)]
struct Profile {
    name: String,
    /// Every switch by name.
    settings: BTreeMap<String, String>,
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

    fn spares(&self) -> u16 {
        let spares = self.spec.settings.get(SPARES);
        spares.and_then(|spares| spares.parse().ok()).unwrap_or(0)
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

    fn promises_progress(&self) -> bool {
        self.promises_progress
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
        if let Some(beside) = wiring.companion {
            option("--lock-service", format!("http://{}", beside.client));
        }
        let founds = |node: NodeId| node.0 <= self.spec.nodes;
        for (other, address) in dial {
            // Whoever joins later, or whom somebody joins, is dialled through the proxy too.
            let name = if founds(node) && founds(*other) { "--peer" } else { "--dial" };
            option(name, format!("{other}={address}"));
        }
        for (name, value) in &self.spec.set {
            option("--set", format!("{name}={value}"));
        }
        if !founds(node) {
            arguments.push("--join".to_string());
        }
        arguments
    }

    fn disk_layer(&self, folder: &Path) -> Option<Vec<String>> {
        Some(vec!["--disk-faults".to_string(), folder.display().to_string()])
    }

    fn clock_control(&self, file: &Path) -> Option<Vec<String>> {
        let own = || vec!["--clock-control".to_string(), file.display().to_string()];
        self.faketime.is_none().then(own)
    }

    fn clock_environment(&self, file: &Path) -> Vec<(String, String)> {
        self.faketime.as_ref().map_or_else(Vec::new, |faketime| faketime.environment(file))
    }

    fn clock_words(&self, control: &ClockControl) -> String {
        match self.faketime {
            Some(_) => faketime::words(control),
            None => control.words(),
        }
    }

    fn refuses(&self, kind: &str, form: &str) -> Option<String> {
        self.faketime.as_ref().and_then(|_| faketime::refuses(kind, form))
    }

    async fn clock(&self, wiring: &Wiring, node: NodeId, limit: Duration) -> Option<NodeClock> {
        let url = format!("http://{}/status", wiring.nodes[&node].client);
        let request = self.sampler.get(url).timeout(limit);
        let clocks = http::send::<Clocks>(request).await.ok()?.body?;
        let wall = chrono::DateTime::parse_from_rfc3339(&clocks.clock).ok()?.timestamp_micros();
        Some(NodeClock { running: Duration::from_micros(clocks.running_us), wall })
    }

    fn companion(&self) -> Option<&dyn Companion> {
        self.lock_service.as_ref().map(|service| service as &dyn Companion)
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
            voters: status.voters,
            learners: status.learners,
        })
    }

    async fn promote(&self, wiring: &Wiring, node: NodeId, limit: Duration) {
        let url = format!("http://{}/promote", wiring.nodes[&node].client);
        // What it answers is that it has begun to try.
        let _ = http::send::<serde_json::Value>(self.sampler.post(url).timeout(limit)).await;
    }

    async fn change_members(
        &self,
        wiring: &Wiring,
        via: NodeId,
        change: MemberChange,
        limit: Duration,
    ) {
        let members = format!("http://{}/members", wiring.nodes[&via].client);
        let request = match change {
            MemberChange::Add(node) => {
                let peer = wiring.nodes[&node].peer.to_string();
                let body = json!({ "node": node.to_string(), "peer": peer });
                self.sampler.post(members).json(&body)
            }
            MemberChange::Remove(node) => self.sampler.delete(format!("{members}/{node}")),
        };
        let deadline = limit.as_millis().max(1).to_string();
        let request = request.header("splitbrain-timeout-ms", deadline).timeout(limit);
        // Whether it came to that is for the statuses to say.
        let _ = http::send::<serde_json::Value>(request).await;
    }

    fn client(&self, address: SocketAddr, limit: Duration) -> Box<dyn Client> {
        self.redirected_client(address, &BTreeMap::new(), limit)
    }

    fn redirects(&self) -> bool {
        self.spec.set.get("routing").is_some_and(|routing| routing == "redirect")
    }

    fn redirected_client(
        &self,
        address: SocketAddr,
        others: &BTreeMap<NodeId, SocketAddr>,
        limit: Duration,
    ) -> Box<dyn Client> {
        Box::new(StoreClient {
            client: http::client(limit),
            address,
            others: others.clone(),
            limit,
            timed: self.spec.settings.get(WRITES).is_some_and(|writes| writes == TIMED_STATEMENTS),
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
    voters: Vec<NodeId>,
    learners: Vec<NodeId>,
}

/// The part of `GET /status` that says what the node's clocks show.
#[derive(Deserialize)]
struct Clocks {
    running_us: u64,
    clock: String,
}

struct StoreClient {
    client: reqwest::Client,
    address: SocketAddr,
    /// Where a redirect may lead: ways of this client through proxies of its own. The store's word
    /// for where its leader is would lead past them.
    others: BTreeMap<NodeId, SocketAddr>,
    limit: Duration,
    /// Whether a write is a statement that holds for as long as the client waits.
    timed: bool,
}

/// Every answer the store gives to an operation, good or bad.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    value: Option<String>,
    swapped: Option<bool>,
    observed: Option<String>,
    entries: Option<Vec<(String, String)>>,
    succeeded: Option<bool>,
    results: Vec<StepBody>,
    acquired: Option<bool>,
    renewed: Option<bool>,
    released: Option<bool>,
    holder: Option<String>,
    token: Option<Token>,
    error: Option<String>,
    definite: bool,
    leader: Option<NodeId>,
}

impl Body {
    /// The leader, if this is the answer of a node that has certainly done nothing and says whom
    /// to ask.
    fn elsewhere(&self) -> Option<NodeId> {
        let redirected = self.definite && self.error.as_deref() == Some("not-leader");
        self.leader.filter(|_| redirected)
    }
}

/// What a step of a transaction answered.
#[derive(Deserialize)]
struct StepBody {
    #[serde(default)]
    value: Option<String>,
}

impl StoreClient {
    /// Asks one node, within a time.
    async fn ask(
        &self,
        address: SocketAddr,
        op: &Op,
        limit: Duration,
    ) -> Result<http::Answer<Body>, Outcome> {
        let deadline = limit.as_millis().max(1).to_string();
        let request = self.request(&format!("http://{address}"), op).timeout(limit);
        http::send(request.header("splitbrain-timeout-ms", deadline)).await
    }

    fn request(&self, base: &str, op: &Op) -> reqwest::RequestBuilder {
        let key_url = |path: &str, key: &Key| {
            format!("{base}/{path}/{}", utf8_percent_encode(key.as_str(), PATH))
        };
        match op {
            Op::Read { key, consistency } | Op::ReadList { key, consistency } => self
                .client
                .get(format!("{}?consistency={}", key_url("kv", key), word(*consistency))),
            Op::Write { key, value } if self.timed => {
                let end = micros_after(self.limit);
                let statement = format!("set {key} = {value} where now() < {end}");
                self.client
                    .post(format!("{base}/statement"))
                    .json(&json!({ "statement": statement }))
            }
            Op::Write { key, value } => {
                self.client.put(key_url("kv", key)).json(&json!({ "value": value.to_string() }))
            }
            Op::CompareAndSet { key, expect, value } => {
                let expect = expect.map(|expect| expect.to_string());
                self.client
                    .post(key_url("compare-and-set", key))
                    .json(&json!({ "expect": expect, "value": value.to_string() }))
            }
            Op::Delete { key } => self.client.delete(key_url("kv", key)),
            Op::List { prefix, consistency } => self.client.get(format!(
                "{base}/kv?prefix={}&consistency={}",
                utf8_percent_encode(prefix.as_str(), NON_ALPHANUMERIC),
                word(*consistency)
            )),
            Op::Increment { key, by } => {
                self.client.post(key_url("increment", key)).json(&json!({ "by": by }))
            }
            Op::Append { key, value } => self
                .client
                .post(key_url("append", key))
                .json(&json!({ "value": value.to_string() })),
            Op::Transaction(transaction) => {
                self.client.post(format!("{base}/transaction")).json(&body_of(transaction))
            }
            Op::Enqueue { .. } | Op::Dequeue { .. } | Op::ReadQueue { .. } => {
                self.request(base, &queue::encoded(op).expect("an operation on a queue"))
            }
            Op::Acquire { lock: name, holder, ttl_ms } => self
                .client
                .post(key_url("lock", name))
                .json(&json!({ "holder": lock::holder_name(*holder), "ttl_ms": ttl_ms })),
            Op::Renew { lock: name, holder, token } => self
                .client
                .put(key_url("lock", name))
                .json(&json!({ "holder": lock::holder_name(*holder), "token": token })),
            Op::Release { lock: name, holder, token } => {
                let holder = lock::holder_name(*holder);
                let url = key_url("lock", name);
                self.client.delete(format!("{url}?holder={holder}&token={token}"))
            }
            Op::WriteGuarded { resource, value, token } => self
                .client
                .put(key_url("resource", resource))
                .header("fencing-token", token.to_string())
                .json(&json!({ "value": value.to_string() })),
            Op::ReadGuarded { resource, consistency } => self.client.get(format!(
                "{}?consistency={}",
                key_url("resource", resource),
                word(*consistency)
            )),
            Op::Once { request, op } => {
                self.request(base, op).header("Idempotency-Key", request.to_string())
            }
        }
    }
}

#[async_trait]
impl Client for StoreClient {
    async fn call(&mut self, op: &Op) -> Outcome {
        let begin = Instant::now();
        let mut answer = match self.ask(self.address, op, self.limit).await {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        if let Some(leader) = answer.body.as_ref().and_then(Body::elsewhere)
            && let Some(address) = self.others.get(&leader)
        {
            // Nothing was done, so this is the first time that anybody is asked to do it.
            let left = self.limit.saturating_sub(begin.elapsed());
            answer = match self.ask(*address, op, left).await {
                Ok(answer) => answer,
                Err(outcome) => return outcome,
            };
        }
        let Some(body) = answer.body else { return http::unexpected() };
        if answer.success {
            if self.timed && is_write(op) && body.value.is_none() {
                // Evaluated when the client had given up already: nothing was written.
                return Outcome::Fail(Reason::new("too-late"));
            }
            return reply(op, &body).map_or_else(http::unexpected, Outcome::Ok);
        }
        if let (Op::WriteGuarded { .. }, Some("stale-token")) = (op, body.error.as_deref()) {
            // Not an error but the answer: a greater token was seen.
            return Outcome::Ok(Reply::StaleToken);
        }
        let reason = Reason::new(body.error.as_deref().unwrap_or("unexpected-answer"));
        if body.definite { Outcome::Fail(reason) } else { Outcome::Info(reason) }
    }
}

/// The body of a transaction.
fn body_of(transaction: &Transaction) -> Json {
    let compare = |Condition(key, value): &Condition| json!({ "key": key, "value": value.map(|value| value.to_string()) });
    let step = |step: &Step| match step {
        Step::Read(key) | Step::ReadList(key) => json!({ "get": { "key": key } }),
        Step::Write(key, value) => json!({ "put": { "key": key, "value": value.to_string() } }),
        Step::Delete(key) => json!({ "delete": { "key": key } }),
        Step::Increment(key, by) => json!({ "increment": { "key": key, "by": by } }),
        Step::Append(key, value) => json!({ "append": { "key": key, "value": value.to_string() } }),
    };
    json!({
        "compare": transaction.conditions.iter().map(compare).collect::<Vec<_>>(),
        "success": transaction.then.iter().map(step).collect::<Vec<_>>(),
        "failure": transaction.otherwise.iter().map(step).collect::<Vec<_>>(),
    })
}

/// Reads a success; `None` when it does not say what it must.
fn reply(op: &Op, body: &Body) -> Option<Reply> {
    Some(match op {
        Op::Read { .. } | Op::ReadGuarded { .. } => Reply::Read(optional(&body.value)?),
        Op::Write { .. } | Op::WriteGuarded { .. } => Reply::Written,
        Op::Acquire { .. } => match body.acquired? {
            true => Reply::Granted { token: body.token? },
            false => {
                let holder = lock::holder_of(body.holder.as_deref()?)?;
                Reply::Denied { holder, token: body.token? }
            }
        },
        Op::Renew { .. } => Reply::WasHeld(body.renewed?),
        Op::Release { .. } => Reply::WasHeld(body.released?),
        Op::CompareAndSet { .. } => {
            Reply::Compared { swapped: body.swapped?, observed: optional(&body.observed)? }
        }
        Op::Delete { .. } => Reply::Deleted,
        Op::List { .. } => {
            let entries = body.entries.as_ref()?.iter();
            Reply::Listed(entries.map(|(_, text)| number(text)).collect::<Option<_>>()?)
        }
        Op::ReadList { .. } => Reply::Listed(elements(&body.value)?),
        Op::Increment { .. } => Reply::Incremented(optional(&body.value)??),
        Op::Append { .. } => Reply::Appended,
        Op::Transaction(transaction) => {
            let succeeded = body.succeeded?;
            let steps = transaction.side(succeeded);
            let answered = steps.iter().zip(&body.results);
            let results = answered.map(|(step, it)| step_reply(step, &it.value));
            let results = results.collect::<Option<Vec<_>>>()?;
            return (results.len() == steps.len())
                .then_some(Reply::Transacted { succeeded, results });
        }
        Op::Enqueue { .. } | Op::Dequeue { .. } | Op::ReadQueue { .. } => {
            return queue::decoded(op, reply(&queue::encoded(op)?, body)?);
        }
        Op::Once { op, .. } => return reply(op, body),
    })
}

fn step_reply(step: &Step, value: &Option<String>) -> Option<StepReply> {
    Some(match step {
        Step::Read(_) => StepReply::Read(optional(value)?),
        Step::ReadList(_) => StepReply::Listed(elements(value)?),
        Step::Increment(..) => StepReply::Incremented(optional(value)??),
        Step::Write(..) | Step::Delete(_) | Step::Append(..) => StepReply::Done,
    })
}

/// A list is a JSON array of strings; absent is an empty one.
fn elements(text: &Option<String>) -> Option<Vec<Value>> {
    let Some(text) = text else { return Some(Vec::new()) };
    let texts: Vec<String> = serde_json::from_str(text).ok()?;
    texts.iter().map(|text| number(text)).collect()
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

/// Whether it is a write of a value, which may be sent as a statement.
fn is_write(op: &Op) -> bool {
    match op {
        Op::Write { .. } => true,
        Op::Once { op, .. } => is_write(op),
        _ => false,
    }
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

#[cfg(test)]
mod tests {
    use splitbrain_workloads::operation::ClientId;

    use super::*;

    fn answer(op: &Op, json: Json) -> Option<Reply> {
        reply(op, &serde_json::from_value(json).unwrap())
    }

    #[test]
    fn only_a_store_that_commits_and_elects_by_itself_promises_progress() {
        let profile = |name: &str, replication: &str| Profile {
            name: name.to_string(),
            settings: [("replication", replication), ("election", "raft")]
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .into(),
        };
        let profiles = [profile("raft", "quorum"), profile("sync", "sync")];
        let spec = |profile: &str| {
            let mut spec = TargetSpec::of_kind("store");
            spec.settings.insert(PROFILE.to_string(), profile.to_string());
            spec
        };
        assert!(promises_progress(&spec("raft"), &profiles));
        assert!(!promises_progress(&spec("sync"), &profiles), "one that is gone stops it");
        let mut manual = spec("raft");
        manual.set.insert("election".to_string(), "manual".to_string());
        assert!(!promises_progress(&manual, &profiles), "an operator must act");
        let mut planted = spec("raft");
        planted.settings.insert(PLANT.to_string(), "vote-twice".to_string());
        assert!(!promises_progress(&planted, &profiles), "a bug promises nothing");
    }

    #[test]
    fn a_list_is_a_text_of_texts_and_absent_is_empty() {
        let op = Op::ReadList { key: Key::new("l0"), consistency: Consistency::Linearizable };
        let listed =
            |values: &[i64]| Some(Reply::Listed(values.iter().copied().map(Value).collect()));
        assert_eq!(answer(&op, json!({ "value": "[\"1\",\"2\"]" })), listed(&[1, 2]));
        assert_eq!(answer(&op, json!({ "value": null })), listed(&[]));
        assert_eq!(answer(&op, json!({ "value": "7" })), None, "a number is no list");
    }

    #[test]
    fn a_transaction_answers_step_by_step() {
        let key = Key::new("x");
        let transaction = Transaction {
            conditions: vec![Condition(key.clone(), Some(Value(3)))],
            then: vec![Step::Append(key.clone(), Value(1))],
            otherwise: vec![Step::ReadList(key.clone()), Step::Increment(Key::new("n"), 2)],
        };
        let body = body_of(&transaction);
        assert_eq!(body["compare"][0], json!({ "key": "x", "value": "3" }));
        assert_eq!(body["success"][0], json!({ "append": { "key": "x", "value": "1" } }));
        assert_eq!(body["failure"][0], json!({ "get": { "key": "x" } }));
        let op = Op::Transaction(Box::new(transaction));
        let results = json!([{ "value": "[\"5\"]" }, { "value": "8" }]);
        let seen = vec![StepReply::Listed(vec![Value(5)]), StepReply::Incremented(Value(8))];
        assert_eq!(
            answer(&op, json!({ "succeeded": false, "results": results })),
            Some(Reply::Transacted { succeeded: false, results: seen })
        );
        assert_eq!(answer(&op, json!({ "succeeded": true, "results": [] })), None);
    }

    #[test]
    fn a_lock_is_answered_with_its_token_or_with_who_holds_it() {
        let acquire = Op::Acquire { lock: Key::new("l0"), holder: ClientId(3), ttl_ms: 400 };
        let granted = json!({ "acquired": true, "holder": "c3", "token": 12, "left_ms": 400 });
        assert_eq!(answer(&acquire, granted), Some(Reply::Granted { token: Token(12) }));
        let denied = json!({ "acquired": false, "holder": "c5", "token": 9 });
        let held = Reply::Denied { holder: ClientId(5), token: Token(9) };
        assert_eq!(answer(&acquire, denied), Some(held));
        let nobody = json!({ "acquired": false, "holder": null });
        assert_eq!(answer(&acquire, nobody), None, "somebody must hold what is denied");
        let (lock, holder, token) = (Key::new("l0"), ClientId(3), Token(12));
        let release = Op::Release { lock, holder, token };
        let gone = json!({ "released": false, "holder": null });
        assert_eq!(answer(&release, gone), Some(Reply::WasHeld(false)));
    }

    #[test]
    fn an_increment_without_a_sum_proves_nothing() {
        let op = Op::Increment { key: Key::new("n"), by: 1 };
        assert_eq!(answer(&op, json!({ "value": "4" })), Some(Reply::Incremented(Value(4))));
        assert_eq!(answer(&op, json!({})), None);
    }
}
