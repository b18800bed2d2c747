//! One logical client of the built-in store: operations as requests of its HTTP API, and answers as
//! outcomes. Made by the target, in [`super`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use splitbrain_workloads::operation::{
    Condition, Consistency, Key, NodeId, Op, Outcome, Reason, Reply, Step, StepReply, Token,
    Transaction, Value, lock, queue,
};

use super::super::{Client, http};

/// What stays as it is in the path of a key.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.');

/// A client of one node.
pub(super) struct StoreClient {
    pub(super) client: reqwest::Client,
    pub(super) address: SocketAddr,
    /// Where a redirect may lead: ways of this client through proxies of its own. The store's word
    /// for where its leader is would lead past them.
    pub(super) others: BTreeMap<NodeId, SocketAddr>,
    pub(super) limit: Duration,
    /// Whether a write is a statement that holds for as long as the client waits.
    pub(super) timed: bool,
    /// Whether a session or bounded read is sent as a local one.
    pub(super) forgetful: bool,
    /// The position of the last answer: what a session read must not be older than. A read waits
    /// until the node is there and a write comes behind it, so it only grows.
    pub(super) seen: Option<String>,
}

/// Every answer the store gives to an operation, good or bad.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    value: Option<String>,
    gtid: Option<String>,
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
    /// The value of `consistency=`, with what belongs to it.
    fn consistency(&self, asked: Consistency) -> String {
        match (asked, &self.seen) {
            (Consistency::Linearizable, _) => "linearizable".to_string(),
            // Who has seen nothing yet takes anything.
            (Consistency::Local, _) | (Consistency::Session, None) => "local".to_string(),
            _ if self.forgetful => "local".to_string(),
            (Consistency::Session, Some(seen)) => {
                format!("session&after={}", utf8_percent_encode(seen, NON_ALPHANUMERIC))
            }
            (Consistency::Bounded(ms), _) => format!("bounded&max-staleness-ms={ms}"),
        }
    }

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
            Op::Read { key, consistency } | Op::ReadList { key, consistency } => {
                let consistency = self.consistency(*consistency);
                self.client.get(format!("{}?consistency={consistency}", key_url("kv", key)))
            }
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
                self.consistency(*consistency)
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
                self.consistency(*consistency)
            )),
            Op::Once { request, op } => {
                self.request(base, op).header("Idempotency-Key", request.to_string())
            }
        }
    }
}

#[async_trait]
impl Client for StoreClient {
    fn seen(&self) -> Option<String> {
        self.seen.clone()
    }

    fn goes_on_from(&mut self, seen: Option<String>) {
        self.seen = seen;
    }

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
            self.seen = body.gtid.clone().or(self.seen.take());
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

#[cfg(test)]
mod tests {
    use splitbrain_workloads::operation::ClientId;

    use super::*;

    fn answer(op: &Op, json: Json) -> Option<Reply> {
        reply(op, &serde_json::from_value(json).unwrap())
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
    fn a_session_read_asks_for_the_position_of_the_last_answer_unless_clients_forget() {
        let mut client = StoreClient {
            client: http::client(Duration::from_secs(1)),
            address: "127.0.0.1:1".parse().unwrap(),
            others: BTreeMap::new(),
            limit: Duration::from_secs(1),
            timed: false,
            forgetful: false,
            seen: None,
        };
        assert_eq!(client.consistency(Consistency::Session), "local");
        client.seen = Some("n1@3:17".to_string());
        let session = "session&after=n1%403%3A17";
        assert_eq!(client.consistency(Consistency::Session), session);
        let bounded = "bounded&max-staleness-ms=70";
        assert_eq!(client.consistency(Consistency::Bounded(70)), bounded);
        client.forgetful = true;
        assert_eq!(client.consistency(Consistency::Session), "local");
        assert_eq!(client.consistency(Consistency::Bounded(70)), "local");
        assert_eq!(client.consistency(Consistency::Linearizable), "linearizable");
    }

    #[test]
    fn an_increment_without_a_sum_proves_nothing() {
        let op = Op::Increment { key: Key::new("n"), by: 1 };
        assert_eq!(answer(&op, json!({ "value": "4" })), Some(Reply::Incremented(Value(4))));
        assert_eq!(answer(&op, json!({})), None);
    }
}
