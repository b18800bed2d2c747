//! The lock service of `election=lease`: a store of our own or etcd, asked over HTTP.
//!
//! The core decides when to ask and what an answer is worth (`protocol/election/lease.rs`); this
//! file knows how to ask. It names the lock, its holder and its time to live, tries the addresses
//! it was given one after the other, and turns whatever comes back into a [`LockAnswer`]. To ask
//! twice harms nothing: an acquisition by the holder is a renewal, and everything else names the
//! token it is about.
//!
//! etcd is asked through its JSON gateway. Its lock is a key under a lease: a transaction creates
//! the key if it is absent, and the revision of that transaction is the fencing token, as in
//! etcd's own `concurrency` package.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Url};
use serde_json::{Value, json};
use tracing::warn;

use crate::protocol::{LockAnswer, LockAsk};

/// How a lock service is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A cluster of our own: `/lock` of docs/http-api.md.
    Store,
    /// etcd 3.4 or later.
    Etcd,
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "store" => Ok(Kind::Store),
            "etcd" => Ok(Kind::Etcd),
            other => Err(format!("expected store or etcd, got \"{other}\"")),
        }
    }
}

/// Where and how the lock of a cluster is asked for, on behalf of one life of one node.
#[derive(Debug)]
pub(crate) struct LockService {
    kind: Kind,
    /// Where it can be reached; any will do.
    bases: Vec<Url>,
    /// Which of them answered last.
    preferred: Cell<usize>,
    cluster: String,
    holder: String,
    ttl: Duration,
    client: Client,
    /// etcd's leases by the token of the grant that they carry.
    leases: RefCell<BTreeMap<u64, String>>,
}

impl LockService {
    /// A service that nobody has asked yet. The holder must be a name that no other node and no
    /// other life of this one uses.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub(crate) fn new(
        kind: Kind,
        bases: Vec<Url>,
        cluster: &str,
        holder: String,
        ttl: Duration,
    ) -> Result<Self> {
        ensure!(!bases.is_empty(), "a lock service needs an address");
        // A third of the lease may pass until the next renewal is due: time to try two addresses.
        let limit = (ttl / 6).max(Duration::from_millis(50));
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .http1_only()
            .tcp_nodelay(true)
            .timeout(limit)
            .build()
            .context("cannot make an HTTP client")?;
        let (cluster, leases) = (cluster.to_string(), RefCell::default());
        Ok(LockService {
            kind,
            bases,
            preferred: Cell::new(0),
            cluster,
            holder,
            ttl,
            client,
            leases,
        })
    }

    /// Asks, and waits for the answer of the first address that has one.
    pub(crate) async fn ask(&self, ask: LockAsk) -> LockAnswer {
        let first = self.preferred.get();
        let mut failed = Vec::new();
        for turn in 0..self.bases.len() {
            let at = (first + turn) % self.bases.len();
            let base = &self.bases[at];
            let answer = match self.kind {
                Kind::Store => self.ask_store(base, ask).await,
                Kind::Etcd => self.ask_etcd(base, ask).await,
            };
            match answer {
                Ok(answer) => {
                    self.preferred.set(at);
                    return answer;
                }
                Err(error) => failed.push(format!("{base}: {error:#}")),
            }
        }
        warn!("the lock service does not answer to {ask:?}: {}", failed.join("; "));
        LockAnswer::Unknown
    }

    async fn ask_store(&self, base: &Url, ask: LockAsk) -> Result<LockAnswer> {
        let mut url = path(base, &["lock", &self.cluster, "leader"])?;
        let holder = &self.holder;
        let ttl_ms = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX);
        let (method, body, done) = match ask {
            LockAsk::Acquire => {
                (Method::POST, json!({"holder": holder, "ttl_ms": ttl_ms}), "acquired")
            }
            LockAsk::Renew { token } => {
                (Method::PUT, json!({"holder": holder, "token": token}), "renewed")
            }
            LockAsk::Release { token } => {
                url.query_pairs_mut()
                    .append_pair("holder", holder)
                    .append_pair("token", &token.to_string());
                (Method::DELETE, Value::Null, "released")
            }
        };
        let answer = self.send(method, url, &body).await?;
        let done = answer[done].as_bool().context("expected an answer about a lock")?;
        Ok(held_if(done, answer["token"].as_u64()))
    }

    async fn ask_etcd(&self, base: &Url, ask: LockAsk) -> Result<LockAnswer> {
        match ask {
            LockAsk::Acquire => self.acquire_from_etcd(base).await,
            LockAsk::Renew { token } => {
                let lease = self.leases.borrow().get(&token).cloned();
                match lease {
                    Some(lease) => Ok(held_if(self.keep_alive(base, &lease).await?, Some(token))),
                    None => Ok(LockAnswer::NotHeld),
                }
            }
            LockAsk::Release { token } => {
                let lease = self.leases.borrow_mut().remove(&token);
                if let Some(lease) = lease {
                    self.etcd(base, &["lease", "revoke"], json!({"ID": lease})).await?;
                }
                Ok(LockAnswer::NotHeld)
            }
        }
    }

    async fn acquire_from_etcd(&self, base: &Url) -> Result<LockAnswer> {
        // etcd counts whole seconds; a longer lease there is a safe one here.
        let seconds = self.ttl.as_millis().div_ceil(1000);
        let granted =
            self.etcd(base, &["lease", "grant"], json!({"TTL": seconds.to_string()})).await?;
        let lease = granted["ID"].as_str().context("expected a lease with an ID")?.to_string();
        let key = BASE64_STANDARD.encode(format!("{}/leader", self.cluster));
        let value = BASE64_STANDARD.encode(&self.holder);
        let transaction = json!({
            "compare": [{"key": key, "target": "CREATE", "result": "EQUAL", "create_revision": "0"}],
            "success": [{"request_put": {"key": key, "value": value, "lease": lease}}],
            "failure": [{"request_range": {"key": key}}],
        });
        let answer = self.etcd(base, &["kv", "txn"], transaction).await?;
        if answer["succeeded"] == true {
            let token = number(&answer["header"]["revision"])?;
            self.leases.borrow_mut().insert(token, lease);
            return Ok(LockAnswer::Held { token });
        }
        self.etcd(base, &["lease", "revoke"], json!({"ID": lease})).await?;
        let held = &answer["responses"][0]["response_range"]["kvs"][0];
        if held["value"] != value {
            return Ok(LockAnswer::NotHeld);
        }
        // An earlier request got it, and its answer was lost.
        let lease = held["lease"].as_str().context("expected a key under a lease")?;
        let token = number(&held["create_revision"])?;
        self.leases.borrow_mut().insert(token, lease.to_string());
        Ok(held_if(self.keep_alive(base, lease).await?, Some(token)))
    }

    /// Whether there still was a lease to be kept.
    async fn keep_alive(&self, base: &Url, lease: &str) -> Result<bool> {
        let answer = self.etcd(base, &["lease", "keepalive"], json!({"ID": lease})).await?;
        // etcd leaves a time to live of zero out.
        Ok(number(&answer["result"]["TTL"]).is_ok_and(|seconds| seconds > 0))
    }

    async fn etcd(&self, base: &Url, what: &[&str], body: Value) -> Result<Value> {
        let segments: Vec<&str> = ["v3"].iter().chain(what).copied().collect();
        self.send(Method::POST, path(base, &segments)?, &body).await
    }

    async fn send(&self, method: Method, url: Url, body: &Value) -> Result<Value> {
        let request = self.client.request(method, url);
        let request = if body.is_null() { request } else { request.json(body) };
        let response = request.send().await?;
        let status = response.status();
        let answer: Value = response.json().await?;
        ensure!(status.is_success(), "{status}: {answer}");
        Ok(answer)
    }
}

fn path(base: &Url, segments: &[&str]) -> Result<Url> {
    let mut url = base.clone();
    let mut path =
        url.path_segments_mut().map_err(|()| anyhow!("expected an address such as http://..."))?;
    path.pop_if_empty().extend(segments);
    drop(path);
    Ok(url)
}

fn held_if(done: bool, token: Option<u64>) -> LockAnswer {
    match token {
        Some(token) if done => LockAnswer::Held { token },
        _ => LockAnswer::NotHeld,
    }
}

/// A number as etcd's gateway writes it, in a string.
fn number(value: &Value) -> Result<u64> {
    let text = value.as_str().context("expected a number in a string")?;
    text.parse().with_context(|| format!("expected a number, got \"{text}\""))
}
