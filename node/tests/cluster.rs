//! Real processes, real disks, real sockets: three nodes on a loopback address of their own.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// Everything here happens within this time on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(20);

const NODES: u16 = 3;

/// A cluster that is killed with the test.
struct Cluster {
    address: String,
    profile: Vec<String>,
    dir: TempDir,
    nodes: Vec<Option<Child>>,
}

/// Every cluster has an address of its own, so tests and builds on one machine do not meet.
fn address_of_its_own() -> String {
    let nanos = std::time::UNIX_EPOCH.elapsed().expect("a clock").subsec_nanos();
    let [a, b, c, _] = (nanos ^ std::process::id().rotate_left(13)).to_be_bytes();
    format!("127.{}.{}.{}", 1 + a % 254, b, 1 + c % 254)
}

impl Cluster {
    fn start(profile: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let address = address_of_its_own();
        let profile = profile.iter().map(ToString::to_string).collect();
        let mut cluster =
            Cluster { address, profile, dir, nodes: (0..NODES).map(|_| None).collect() };
        for node in 1..=NODES {
            cluster.start_node(node);
        }
        cluster
    }

    fn start_node(&mut self, node: u16) {
        let peers = (1..=NODES).filter(|peer| *peer != node);
        let peer = |peer| format!("n{peer}={}:{}", self.address, 22000 + peer);
        let peers = peers.flat_map(|one| ["--peer".to_string(), peer(one)]).collect();
        self.start_with(node, peers);
    }

    /// A node that knows nobody and waits to be added.
    fn join_node(&mut self, node: u16) {
        self.start_with(node, vec!["--join".to_string()]);
    }

    fn start_with(&mut self, node: u16, others: Vec<String>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_splitbrain-node"));
        command
            .args(["--id", &format!("n{node}"), "--cluster", "test"])
            .arg("--data-dir")
            .arg(self.dir.path().join(format!("n{node}")))
            .args(["--client-listen", &format!("{}:{}", self.address, 21000 + node)])
            .args(["--peer-listen", &format!("{}:{}", self.address, 22000 + node)])
            .args(&self.profile)
            .args(others);
        let log = fs::File::options()
            .append(true)
            .create(true)
            .open(self.dir.path().join(format!("n{node}.log")))
            .expect("a log file");
        let child = command.stdout(Stdio::null()).stderr(log).spawn().expect("a node starts");
        if self.nodes.len() < node as usize {
            self.nodes.resize_with(node as usize, || None);
        }
        self.nodes[node as usize - 1] = Some(child);
    }

    fn kill_node(&mut self, node: u16) {
        let mut child = self.nodes[node as usize - 1].take().expect("it runs");
        child.kill().expect("SIGKILL is sent");
        child.wait().expect("it ends");
    }

    fn signal(&self, node: u16, signal: Signal) {
        let child = self.nodes[node as usize - 1].as_ref().expect("it runs");
        kill(Pid::from_raw(child.id() as i32), signal).expect("the signal is sent");
    }

    /// Status code and body of an answer, or `None` if there was none.
    fn ask(&self, node: u16, request: &str, body: &str) -> Option<(u16, Value)> {
        self.ask_with(node, request, "", body)
    }

    /// The same with more header lines, each with its end.
    fn ask_with(
        &self,
        node: u16,
        request: &str,
        headers: &str,
        body: &str,
    ) -> Option<(u16, Value)> {
        let address = format!("{}:{}", self.address, 21000 + node);
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        let length = body.len();
        write!(
            stream,
            "{request} HTTP/1.1\r\nhost: n{node}\r\nconnection: close\r\n\
             splitbrain-timeout-ms: 1500\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        let body = answer.split_once("\r\n\r\n")?.1;
        Some((status, serde_json::from_str(body).ok()?))
    }

    fn put(&self, node: u16, key: &str, value: &str) -> bool {
        let body = format!("{{\"value\":\"{value}\"}}");
        let answer = self.ask(node, &format!("PUT /kv/{key}"), &body);
        answer.is_some_and(|(status, _)| status == 200)
    }

    fn get(&self, node: u16, key: &str) -> Option<Value> {
        let (status, body) = self.ask(node, &format!("GET /kv/{key}"), "")?;
        (status == 200).then(|| body["value"].clone())
    }

    fn status(&self, node: u16) -> Option<Value> {
        self.ask(node, "GET /status", "").map(|(_, body)| body)
    }

    fn statuses(&self) -> Vec<Option<Value>> {
        (1..=NODES).map(|node| self.status(node)).collect()
    }

    /// A node that leads, other than `not`.
    fn leader_other_than(&self, not: u16) -> u16 {
        self.wait_for("a leader", || {
            (1..=NODES)
                .filter(|node| *node != not)
                .find(|node| self.status(*node).is_some_and(|status| status["role"] == "leader"))
        })
    }

    /// Waits until all nodes follow one leader and have applied the same entries.
    fn wait_until_equal(&self) -> Value {
        self.wait_for("all nodes to be equal", || {
            let statuses: Vec<Value> = self.statuses().into_iter().collect::<Option<_>>()?;
            let same = |field: &str| statuses.iter().all(|one| one[field] == statuses[0][field]);
            let settled = !statuses[0]["leader"].is_null()
                && ["leader", "applied", "last_entry", "epoch"].iter().all(|field| same(field))
                && statuses[0]["applied"] == statuses[0]["last_entry"]["index"];
            settled.then(|| statuses[0].clone())
        })
    }

    fn wait_for<T>(&self, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
        let begin = Instant::now();
        loop {
            if let Some(found) = found() {
                return found;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "waited {PATIENCE:?} for {what}; statuses {:#?}\n{}",
                self.statuses(),
                self.logs()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn logs(&self) -> String {
        let log = |node| fs::read_to_string(self.dir.path().join(format!("n{node}.log")));
        (1..=NODES).map(|node| format!("n{node}:\n{}", log(node).unwrap_or_default())).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.nodes.iter_mut().flatten() {
            // It may be gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn acknowledged_writes_survive_the_leader(profile: &str) {
    let mut cluster = Cluster::start(&["--profile", profile]);
    let leader = cluster.leader_other_than(0);
    cluster.wait_until_equal();
    for node in 1..=NODES {
        assert!(cluster.put(node, &format!("before/{node}"), "1"), "{}", cluster.logs());
    }
    cluster.wait_until_equal();
    cluster.kill_node(leader);
    let successor = cluster.leader_other_than(leader);
    cluster.wait_for("a write to be acknowledged", || {
        cluster.put(successor, "after", "2").then_some(())
    });
    cluster.start_node(leader);
    cluster.wait_until_equal();
    for node in 1..=NODES {
        assert_eq!(cluster.get(node, &format!("before/{node}")), Some("1".into()));
        assert_eq!(cluster.get(node, "after"), Some("2".into()));
    }
    for node in 1..=NODES {
        cluster.kill_node(node);
    }
    for node in 1..=NODES {
        cluster.start_node(node);
    }
    cluster.wait_until_equal();
    assert_eq!(cluster.get(1, "after"), Some("2".into()), "{}", cluster.logs());
}

#[test]
fn raft_acknowledged_writes_survive_the_death_of_the_leader_and_of_all() {
    acknowledged_writes_survive_the_leader("raft");
}

#[test]
fn async_replicated_writes_survive_the_death_of_the_leader_and_of_all() {
    acknowledged_writes_survive_the_leader("async");
}

#[test]
fn a_paused_leader_of_the_async_profile_goes_on_acknowledging_and_its_writes_are_lost() {
    let cluster = Cluster::start(&["--profile", "async", "--set", "demote=after 2s"]);
    let old = cluster.leader_other_than(0);
    cluster.wait_until_equal();
    cluster.signal(old, Signal::SIGSTOP);
    let new = cluster.leader_other_than(old);
    assert!(cluster.put(new, "new", "1"), "{}", cluster.logs());
    cluster.signal(old, Signal::SIGCONT);
    assert!(cluster.put(old, "doomed", "1"), "{}", cluster.logs());
    assert_eq!(cluster.get(old, "doomed"), Some("1".into()), "{}", cluster.logs());
    cluster.wait_for("the old leader to give way", || {
        (cluster.status(old)?["role"] == "follower").then_some(())
    });
    cluster.wait_until_equal();
    for node in 1..=NODES {
        assert_eq!(cluster.get(node, "doomed"), Some(Value::Null), "{}", cluster.logs());
        assert_eq!(cluster.get(node, "new"), Some("1".into()));
    }
    let truncated = cluster.status(old).map(|status| status["truncated"].clone());
    assert_eq!(truncated, Some(1.into()));
    let archive = cluster.dir.path().join(format!("n{old}/lost+found"));
    let file = fs::read_dir(archive).expect("the archive").next().expect("a file").expect("it");
    let line: Value =
        serde_json::from_str(&fs::read_to_string(file.path()).expect("it is text")).expect("JSON");
    assert_eq!(line["command"]["put"]["key"], "doomed");
    assert_eq!(line["committed"], true);
}

#[test]
fn a_paused_leader_of_the_raft_profile_acknowledges_nothing_it_cannot_confirm() {
    let cluster = Cluster::start(&["--profile", "raft"]);
    let old = cluster.leader_other_than(0);
    cluster.wait_until_equal();
    assert!(cluster.put(old, "key", "1"), "{}", cluster.logs());
    cluster.signal(old, Signal::SIGSTOP);
    let new = cluster.leader_other_than(old);
    cluster.wait_for("a write to be acknowledged", || cluster.put(new, "key", "2").then_some(()));
    cluster.signal(old, Signal::SIGCONT);
    // Whatever it answers first, forwarded or refused, the old value is not it.
    if let Some(value) = cluster.get(old, "key") {
        assert_eq!(value, "2", "{}", cluster.logs());
    }
    cluster.wait_until_equal();
    assert_eq!(cluster.get(old, "key"), Some("2".into()));
}

#[test]
fn a_node_that_cannot_save_a_snapshot_ends_as_one_whose_log_fails_and_starts_again() {
    let mut cluster = Cluster::start(&["--profile", "raft", "--set", "snapshot-entries=20"]);
    let leader = cluster.leader_other_than(0);
    cluster.wait_until_equal();
    let follower = 1 + leader % NODES;
    let in_the_way = cluster.dir.path().join(format!("n{follower}/snapshot.tmp"));
    fs::create_dir(&in_the_way).expect("a folder where the file should be written");
    let mut child = cluster.nodes[follower as usize - 1].take().expect("it runs");
    let mut written = 0;
    let ended = cluster.wait_for("the node to end", || {
        written += 1;
        cluster.put(leader, &format!("k{written}"), "1");
        child.try_wait().expect("it is ours")
    });
    assert_eq!(ended.code(), Some(splitbrain_node::EXIT_DISK_FAILED.into()), "{ended}");
    let log = cluster.logs();
    assert!(log.contains("stopped: cannot save a snapshot; help: free space or replace"), "{log}");
    fs::remove_dir(&in_the_way).expect("it is empty");
    cluster.start_node(follower);
    cluster.wait_until_equal();
    assert_eq!(cluster.get(follower, "k1"), Some("1".into()));
}

/// Increments under one idempotency key through two leaders; what the counter then is.
fn incremented_again_after_a_failover(idempotency: &str) -> Value {
    let switch = format!("idempotency={idempotency}");
    let mut cluster = Cluster::start(&["--profile", "raft", "--set", &switch]);
    let increment = |cluster: &Cluster, node, body| {
        cluster.ask_with(node, "POST /increment/n", "idempotency-key: k1\r\n", body)
    };
    let old = cluster.leader_other_than(0);
    cluster.wait_until_equal();
    let (status, first) = increment(&cluster, old, r#"{"by":1}"#).expect("an answer");
    assert_eq!((status, &first["value"]), (200, &"1".into()), "{}", cluster.logs());
    assert_eq!(first["repeated"], Value::Null);
    cluster.kill_node(old);
    let new = cluster.leader_other_than(old);
    let again = cluster.wait_for("an answer", || {
        let (status, body) = increment(&cluster, new, r#"{"by":1}"#)?;
        (status == 200).then_some(body)
    });
    if idempotency == "on" {
        assert_eq!(again["repeated"], first["index"]);
        let (status, refused) = increment(&cluster, new, r#"{"by":2}"#).expect("an answer");
        assert_eq!((status, &refused["error"]), (422, &"key-reused".into()));
        assert_eq!(refused["definite"], true);
    }
    assert_eq!(cluster.get(new, "n"), Some(again["value"].clone()));
    again["value"].clone()
}

#[test]
fn a_write_that_is_sent_again_after_a_failover_is_recognized() {
    assert_eq!(incremented_again_after_a_failover("on"), "1");
}

#[test]
fn without_idempotency_a_write_that_is_sent_again_after_a_failover_is_done_again() {
    assert_eq!(incremented_again_after_a_failover("off"), "2");
}

#[test]
fn an_operator_promotes_a_follower_and_every_acknowledgement_says_what_it_stands_for() {
    let semi_sync = ["--set", "replication=semi-sync", "--set", "fallback=after 300ms"];
    let manual = ["--profile", "raft", "--set", "election=manual", "--set", "election-timeout=1s"];
    let mut cluster = Cluster::start(&[&manual[..], &semi_sync[..]].concat());
    let acknowledgement = |cluster: &Cluster, node| {
        let (_, body) = cluster.ask(node, "PUT /kv/key", r#"{"value":"1"}"#)?;
        body["acknowledgement"].as_str().map(ToString::to_string)
    };
    let first = cluster.leader_other_than(0);
    assert_eq!(first, 1, "the first node of a new cluster begins");
    cluster.wait_until_equal();
    assert_eq!(acknowledgement(&cluster, 1).as_deref(), Some("semi-sync"));

    let (status, body) = cluster.ask(2, "POST /promote", "").expect("an answer");
    assert_eq!(status, 200, "{body}");
    assert_eq!(cluster.leader_other_than(1), 2, "{}", cluster.logs());
    cluster.wait_until_equal();
    assert_eq!(cluster.get(3, "key"), Some("1".into()));

    // Without followers it goes on alone, and says so until it notices that it should not lead.
    cluster.kill_node(1);
    cluster.kill_node(3);
    let alone = acknowledgement(&cluster, 2);
    assert_eq!(alone.as_deref(), Some("async-fallback"), "{}", cluster.logs());
}

#[test]
fn a_node_that_was_away_too_long_for_the_log_catches_up_by_snapshot_while_writes_go_on() {
    let mut cluster = Cluster::start(&["--set", "snapshot-entries=50"]);
    let leader = cluster.leader_other_than(0);
    cluster.wait_until_equal();
    let retried = |cluster: &Cluster| {
        let key = "idempotency-key: early\r\n";
        cluster.wait_for("an answer", || {
            let (status, body) =
                cluster.ask_with(leader, "POST /increment/n", key, r#"{"by":1}"#)?;
            (status == 200).then_some(body)
        })
    };
    let first = retried(&cluster);
    let away = leader % NODES + 1;
    cluster.kill_node(away);
    // More than two segments of the log, so that the oldest can go.
    let value = "v".repeat(60_000);
    let mut key = 0;
    let mut write = |cluster: &Cluster| {
        key += 1;
        assert!(cluster.put(leader, &format!("k{}", key % 20), &value), "{}", cluster.logs());
    };
    (0..700).for_each(|_| write(&cluster));
    cluster.wait_for("the leader to let go of its oldest segment", || {
        let log = cluster.dir.path().join(format!("n{leader}/log"));
        (log.join("first").exists() && !log.join("0000000001.log").exists()).then_some(())
    });
    cluster.start_node(away);
    cluster.wait_for("the node to be sent a snapshot", || {
        write(&cluster);
        (cluster.status(away)?["released"].as_u64()? > 0).then_some(())
    });
    cluster.wait_until_equal();
    assert_eq!(retried(&cluster)["repeated"], first["index"]);
    // Everybody starts again from snapshot and log.
    for node in 1..=NODES {
        cluster.kill_node(node);
    }
    for node in 1..=NODES {
        cluster.start_node(node);
    }
    let status = cluster.wait_until_equal();
    assert!(status["released"].as_u64() > Some(600), "{status}");
    assert_eq!(cluster.get(away, "k7"), Some(value.into()));
    assert_eq!(cluster.get(away, "n"), Some("1".into()));
    assert_eq!(retried(&cluster)["repeated"], first["index"], "{}", cluster.logs());
}

#[test]
fn a_follower_that_fell_behind_catches_up_from_the_log_while_writes_go_on() {
    let cluster = Cluster::start(&[]);
    let leader = cluster.leader_other_than(0);
    cluster.wait_until_equal();
    let (behind, other) = (leader % NODES + 1, (leader + 1) % NODES + 1);
    let applied = |node| cluster.status(node)?["applied"].as_u64();
    cluster.signal(behind, Signal::SIGSTOP);
    let value = "v".repeat(20_000);
    let mut writes = 0;
    let mut write = || {
        writes += 1;
        cluster.wait_for("a write", || cluster.put(other, "k", &value).then_some(()));
    };
    // More than a leader sends ahead of answers.
    (0..300).for_each(|_| write());
    cluster.signal(behind, Signal::SIGCONT);
    let aim = applied(other).expect("it answers");
    cluster.wait_for("the follower to have what was written before it went on", || {
        write();
        (applied(behind)? >= aim).then_some(())
    });
    let status = cluster.wait_until_equal();
    assert!(status["applied"].as_u64() >= Some(writes), "{status}");
    let behind = cluster.status(behind).expect("it answers");
    assert_eq!((&behind["released"], &behind["truncated"]), (&0.into(), &0.into()));
}

#[test]
fn a_follower_without_its_disk_learns_everything_from_the_same_leader_and_then_counts_again() {
    let mut cluster = Cluster::start(&[]);
    let leader = cluster.leader_other_than(0);
    cluster.wait_until_equal();
    assert!(cluster.put(leader, "before", "1"), "{}", cluster.logs());
    let (wiped, other) = (leader % NODES + 1, (leader + 1) % NODES + 1);
    cluster.wait_until_equal();
    cluster.kill_node(wiped);
    fs::remove_dir_all(cluster.dir.path().join(format!("n{wiped}"))).expect("it is removed");
    assert!(cluster.put(leader, "meanwhile", "2"), "{}", cluster.logs());
    cluster.start_node(wiped);
    cluster.wait_for("the node to be admitted", || {
        (cluster.status(wiped)?["voter"] == true).then_some(())
    });
    cluster.wait_until_equal();
    // It counts: with the other one gone, nothing could be acknowledged without it.
    cluster.kill_node(other);
    cluster.wait_for("a write with the new disk's confirmation", || {
        cluster.put(wiped, "after", "3").then_some(())
    });
    for (key, value) in [("before", "1"), ("meanwhile", "2"), ("after", "3")] {
        assert_eq!(cluster.get(wiped, key), Some(value.into()), "{}", cluster.logs());
    }
}

/// Asks a node for a change of the members until it is made.
fn change_members(cluster: &Cluster, node: u16, request: &str, body: &str) {
    cluster.wait_for(request, || {
        let (status, answer) = cluster.ask(node, request, body)?;
        let begun = answer["error"] == "change-in-progress" || answer["definite"] == false;
        let done = status == 200 || answer["message"].as_str().is_some_and(is_so_already);
        assert!(done || begun || status >= 500, "{request}: {answer}");
        done.then_some(())
    });
}

/// A change whose answer was lost may have been made.
fn is_so_already(message: &str) -> bool {
    message.contains("is a member already") || message.contains("is no member")
}

fn wait_for_voters(cluster: &Cluster, node: u16, voters: &[&str]) {
    cluster.wait_for("these voters", || {
        let status = cluster.status(node)?;
        let same = status["voters"] == serde_json::json!(voters) && status["leader"].is_string();
        same.then_some(())
    });
}

#[test]
fn a_node_joins_while_writes_go_on_and_takes_the_place_of_the_leader() {
    let mut cluster = Cluster::start(&["--set", "snapshot-entries=50"]);
    let leader = cluster.leader_other_than(0);
    cluster.wait_until_equal();
    let follower = leader % NODES + 1;
    cluster.join_node(4);
    let peer = format!("{{\"node\":\"n4\",\"peer\":\"{}:22004\"}}", cluster.address);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut written = Vec::new();
            for count in 0.. {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    return written;
                }
                if cluster.put(follower, &format!("during/{count}"), "1") {
                    written.push(count);
                }
            }
            written
        });
        change_members(&cluster, follower, "POST /members", &peer);
        wait_for_voters(&cluster, 4, &["n1", "n2", "n3", "n4"]);
        change_members(&cluster, follower, &format!("DELETE /members/n{leader}"), "");
        let others = ["n1", "n2", "n3", "n4"].into_iter();
        let others: Vec<&str> = others.filter(|node| *node != format!("n{leader}")).collect();
        wait_for_voters(&cluster, 4, &others);
        wait_for_voters(&cluster, follower, &others);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        writer.join().expect("the writer ends")
    });
    assert!(written.len() > 20, "only {} writes meanwhile", written.len());
    cluster.wait_for("the removed leader to know", || {
        let status = cluster.status(leader)?;
        (status["removed"] == true && status["role"] != "leader").then_some(())
    });
    cluster.kill_node(leader);
    cluster.kill_node(4);
    cluster.join_node(4);
    // The members are in the log and the snapshot of the node that came later, too.
    let third = (1..=NODES).find(|node| *node != leader && *node != follower).expect("a third");
    cluster.kill_node(third);
    for count in [written[0], written[written.len() - 1]] {
        let key = format!("during/{count}");
        cluster.wait_for("what was acknowledged", || cluster.get(4, &key).filter(|v| *v == "1"));
    }
}

#[test]
fn nonsense_is_refused_at_start_with_the_reason_and_exit_code_2() {
    let output = Command::new(env!("CARGO_BIN_EXE_splitbrain-node"))
        .args(["--id", "n1", "--data-dir", "unused", "--client-listen", "127.0.0.1:1"])
        .args(["--set", "majority=off"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("election=raft with majority=off: "), "{stderr}");
}

#[test]
fn an_address_beyond_this_machine_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_splitbrain-node"))
        .args(["--id", "n1", "--data-dir", "unused", "--client-listen", "0.0.0.0:1"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("expected a loopback address"), "{stderr}");
}

#[test]
fn the_description_lists_every_profile_with_every_switch() {
    let output = Command::new(env!("CARGO_BIN_EXE_splitbrain-node"))
        .arg("--describe")
        .output()
        .expect("it runs");
    assert!(output.status.success());
    let description: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let switches = description["switches"].as_array().expect("a list").len();
    assert_eq!(description["profiles"][0]["name"], "raft");
    assert_eq!(description["profiles"][1]["name"], "async");
    for profile in description["profiles"].as_array().expect("a list") {
        assert_eq!(profile["settings"].as_object().expect("an object").len(), switches);
    }
}

#[test]
fn a_write_is_read_back_at_every_node_by_the_gtid_in_its_answer() {
    let cluster = Cluster::start(&[]);
    let leader = cluster.leader_other_than(0);
    let (_, body) = cluster.wait_for("a write", || {
        cluster.ask(leader, "PUT /kv/a", r#"{"value":"1"}"#).filter(|(status, _)| *status == 200)
    });
    let gtid = body["gtid"].as_str().expect("an answer has a GTID").to_string();
    for node in 1..=NODES {
        let read = format!("GET /kv/a?consistency=session&after={gtid}");
        let body = cluster.wait_for("a session read", || {
            cluster.ask(node, &read, "").filter(|(status, _)| *status == 200).map(|(_, body)| body)
        });
        assert_eq!((&body["value"], &body["node"]), (&"1".into(), &format!("n{node}").into()));
        let bounded = "GET /kv/a?consistency=bounded&max-staleness-ms=60000";
        cluster.wait_for("a bounded read at that very node", || {
            let (status, body) = cluster.ask(node, bounded, "")?;
            (status == 200 && body["node"] == format!("n{node}") && body["lag_ms"].is_u64())
                .then_some(())
        });
    }
}

#[test]
fn a_redirect_names_the_leader_and_leads_there() {
    let cluster = Cluster::start(&["--set", "routing=redirect"]);
    let leader = cluster.leader_other_than(0);
    let follower = 1 + leader % NODES;
    let redirected = cluster.wait_for("a redirect", || {
        let (status, body) = cluster.ask(follower, "PUT /kv/a", r#"{"value":"1"}"#)?;
        (status == 307 && body["leader"] == format!("n{leader}")).then_some(body)
    });
    assert_eq!(redirected["definite"], true);
    let url = format!("http://{}:{}/kv/a%20b", cluster.address, 21000 + follower);
    cluster.wait_for("curl to follow", || {
        let arguments = ["-sLX", "PUT", "-d", r#"{"value":"2"}"#, &url];
        let output = Command::new("curl").args(arguments).output().expect("curl runs");
        let body: Value = serde_json::from_slice(&output.stdout).ok()?;
        (body["role"] == "leader").then_some(())
    });
    assert_eq!(cluster.get(leader, "a%20b"), Some("2".into()));
}

#[test]
fn a_lock_outlives_its_leader_then_runs_out_and_its_token_is_refused_once_the_next_was_seen() {
    let mut cluster = Cluster::start(&["--profile", "raft"]);
    let leader = cluster.leader_other_than(0);
    let acquire = |cluster: &Cluster, node: u16, name: &str, holder: &str| {
        // The long one does not run out within the test, however busy the machine is.
        let ttl = if name == "long" { 600_000 } else { 1000 };
        let body = format!("{{\"holder\":\"{holder}\",\"ttl_ms\":{ttl}}}");
        let (status, body) = cluster.ask(node, &format!("POST /lock/{name}"), &body)?;
        (status == 200).then_some(body)
    };
    let write = |cluster: &Cluster, node: u16, token: &Value, value: &str| {
        let (header, body) =
            (format!("fencing-token: {token}\r\n"), format!("{{\"value\":\"{value}\"}}"));
        cluster.ask_with(node, "PUT /resource/r", &header, &body).map(|(status, _)| status)
    };
    let long = cluster.wait_for("a grant", || acquire(&cluster, leader, "long", "a"));
    let first = cluster.wait_for("a grant", || acquire(&cluster, leader, "short", "a"));
    assert_eq!(first["acquired"], true, "{first}");
    assert_eq!(write(&cluster, leader, &first["token"], "by a"), Some(200));
    cluster.kill_node(leader);
    let successor = cluster.leader_other_than(leader);
    let refused = cluster.wait_for("an answer", || acquire(&cluster, successor, "long", "b"));
    assert_eq!((&refused["acquired"], &refused["holder"]), (&false.into(), &"a".into()));
    assert_eq!(refused["token"], long["token"]);
    let second = cluster.wait_for("the next grant", || {
        acquire(&cluster, successor, "short", "b").filter(|answer| answer["acquired"] == true)
    });
    assert!(second["token"].as_u64() > first["token"].as_u64(), "{first} {second}");
    let late = cluster.wait_for("an answer", || write(&cluster, successor, &first["token"], "x"));
    assert_eq!(late, 200, "nothing greater was seen yet");
    assert_eq!(write(&cluster, successor, &second["token"], "by b"), Some(200));
    assert_eq!(write(&cluster, successor, &first["token"], "late"), Some(409));
}

/// Three nodes that elect by a lock, and look at its service at these addresses.
fn cluster_by_lock(service: &[String]) -> Cluster {
    let mut arguments = vec!["--set", "election=lease", "--set", "lock-ttl=2s"];
    arguments.extend(["--set", "reads=leader"]);
    for argument in service {
        arguments.push(argument);
    }
    Cluster::start(&arguments)
}

/// A leader is paused until another one leads and has written. When it goes on it may answer
/// whatever it likes but the old value.
fn a_leader_that_slept_through_its_lease_serves_nothing_old(cluster: &Cluster) {
    let leader = cluster.leader_other_than(0);
    cluster.wait_for("a write", || cluster.put(leader, "x", "1").then_some(()));
    let epoch = cluster.status(leader).expect("it leads")["epoch"].as_u64();
    cluster.signal(leader, Signal::SIGSTOP);
    let successor = cluster.leader_other_than(leader);
    cluster.wait_for("a write", || cluster.put(successor, "x", "2").then_some(()));
    cluster.signal(leader, Signal::SIGCONT);
    let seen = cluster.wait_for("a read", || cluster.get(leader, "x"));
    assert_eq!(seen, "2", "{}", cluster.logs());
    assert!(cluster.wait_until_equal()["epoch"].as_u64() > epoch);
}

#[test]
fn a_leader_by_lock_leads_under_its_token_and_serves_nothing_old_after_its_lease() {
    let service = Cluster::start(&["--profile", "raft"]);
    service.leader_other_than(0);
    let addresses: Vec<String> = (1..=NODES)
        .map(|node| format!("--lock-service=http://{}:{}", service.address, 21000 + node))
        .collect();
    let cluster = cluster_by_lock(&addresses);
    cluster.wait_for("the epoch to be the token", || {
        let leader = (1..=NODES)
            .find_map(|node| cluster.status(node).filter(|status| status["role"] == "leader"))?;
        let (_, lock) = service.ask(1, "GET /lock/test/leader", "")?;
        (lock["token"] == leader["epoch"] && !leader["epoch"].is_null()).then_some(())
    });
    a_leader_that_slept_through_its_lease_serves_nothing_old(&cluster);
}

#[test]
fn a_leader_by_lock_in_etcd_serves_nothing_old_after_its_lease() {
    if Command::new("etcd").arg("--version").output().is_err() {
        let line = "SKIPPED: etcd is not on PATH; install it: sudo apt-get install etcd-server";
        // Not by `eprintln!`, which the test runner would keep to itself.
        writeln!(std::io::stderr(), "{line}").expect("stderr takes a line");
        return;
    }
    // Dropped like a node, with its folder.
    let mut service = Cluster {
        address: address_of_its_own(),
        profile: Vec::new(),
        dir: tempfile::tempdir().expect("a folder"),
        nodes: Vec::new(),
    };
    let [client, peer] = [21001, 22001].map(|port| format!("http://{}:{port}", service.address));
    let mut command = Command::new("etcd");
    command.arg("--data-dir").arg(service.dir.path());
    for (option, url) in [
        ("--listen-client-urls", &client),
        ("--advertise-client-urls", &client),
        ("--listen-peer-urls", &peer),
        ("--initial-advertise-peer-urls", &peer),
    ] {
        command.args([option, url]);
    }
    command.arg(format!("--initial-cluster=default={peer}"));
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("etcd starts");
    service.nodes.push(Some(child));
    let cluster = cluster_by_lock(&[
        format!("--lock-service={client}"),
        "--lock-service-kind=etcd".to_string(),
    ]);
    a_leader_that_slept_through_its_lease_serves_nothing_old(&cluster);
}

/// The simulation proves things of the core; this holds that a node is that core and nothing else.
#[test]
fn what_real_nodes_were_fed_makes_a_fresh_core_do_the_same_byte_for_byte() {
    let mut cluster = Cluster::start(&["--record-inputs", "--set", "snapshot-entries=20"]);
    for at in 0..30 {
        // On a busy machine a leader may lose patience, and with it a write.
        cluster.wait_for("a write to be acknowledged", || {
            cluster.put(1 + at % NODES, &format!("key/{at}"), "1").then_some(())
        });
    }
    let leader = cluster.leader_other_than(0);
    cluster.kill_node(leader);
    let successor = cluster.leader_other_than(leader);
    cluster.wait_for("a write to be acknowledged", || {
        cluster.put(successor, "after", "2").then_some(())
    });
    cluster.start_node(leader);
    cluster.wait_until_equal();
    for node in 1..=NODES {
        cluster.kill_node(node);
    }
    let (mut replayed, mut effects) = (0, 0);
    for node in 1..=NODES {
        let folder = cluster.dir.path().join(format!("n{node}/recordings"));
        for recording in fs::read_dir(folder).expect("recordings") {
            let recording = recording.expect("a recording").path();
            let output = Command::new(env!("CARGO_BIN_EXE_splitbrain-node"))
                .arg("--replay-inputs")
                .arg(&recording)
                .output()
                .expect("it runs");
            let text = String::from_utf8_lossy(&output.stdout);
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {error}", recording.display());
            let bytes = text.strip_prefix("the same ").and_then(|rest| rest.split(' ').next());
            let bytes: u64 = bytes.and_then(|bytes| bytes.parse().ok()).expect("a number");
            assert!(bytes > 0, "{}: {text}", recording.display());
            effects += bytes;
            replayed += 1;
        }
    }
    assert_eq!(replayed, u32::from(NODES) + 1, "one recording for each life");
    assert!(effects > 5000, "only {effects} bytes of effects for 31 writes and an election");
}
