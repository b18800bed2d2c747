//! The built-in store as a target: this very program, started as `splitbrain node`.
//!
//! It is reached over its process and its HTTP API (docs/http-api.md) like any other store; no
//! type is shared with it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use splitbrain_reports::record::Role;
use splitbrain_workloads::operation::{Capability, NodeId};

use super::clock::{ClockControl, NodeClock};
use super::faketime::{self, Faketime};
use super::lock_service::LockService;
use super::{
    Client, Companion, Endpoints, MemberChange, NodeStatus, PeerStyle, Target, Unusable, Wiring,
    http,
};
use crate::suite::target::{Need, SPARES, Sense, Setting, TargetKind, TargetSpec};
use client::StoreClient;
use description::{Description, Profile, describe};

mod client;
pub(crate) mod description;

/// The setting that names a point in the space of protections.
const PROFILE: &str = "profile";

/// The setting that says how a write is sent.
const WRITES: &str = "writes";
const TIMED_STATEMENTS: &str = "timed-statements";

/// The setting that takes away what a weak read asks for.
const WEAK_READS: &str = "weak-reads";
const AS_LOCAL: &str = "as-local";

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
    Ok(TargetKind {
        name: name.to_string(),
        summary: "the built-in store: single-leader replication, every protection a switch"
            .to_string(),
        capabilities: vec![
            Capability::CompareAndSet,
            Capability::Delete,
            Capability::AtomicList,
            Capability::LocalRead,
            Capability::SessionRead,
            Capability::BoundedRead,
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
                values: plants.into_iter().map(|plant| plant.name).collect(),
                meaning: "a bug planted in the store's code".to_string(),
            },
            Setting {
                name: WRITES.to_string(),
                default: String::new(),
                values: vec![TIMED_STATEMENTS.to_string()],
                meaning: "every write is sent as a statement that holds until its client gives up"
                    .to_string(),
            },
            Setting {
                name: WEAK_READS.to_string(),
                default: String::new(),
                values: vec![AS_LOCAL.to_string()],
                meaning: "session and bounded reads are sent as local ones: clients forget what \
                          they have seen, and how old an answer may be"
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
        switches: Some(switches.into_iter().map(|switch| switch.name).collect()),
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
            forgetful: self.spec.settings.contains_key(WEAK_READS),
            seen: None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_store_that_commits_and_elects_by_itself_promises_progress() {
        let profile = |name: &str, replication: &str| Profile {
            name: name.to_string(),
            meaning: String::new(),
            may_show: Vec::new(),
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
}
