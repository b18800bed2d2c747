//! `--replay-to` on the data directory of a real node: what it prints, what it refuses, and a node
//! that goes on from what it wrote.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A node that is killed with the test.
struct Node {
    child: Child,
    address: String,
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Node {
    /// Starts a node alone in its cluster and waits until it leads.
    fn start(data_dir: &Path) -> Node {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("its address").to_string();
        drop(free);
        let child = program(data_dir)
            .args(["--client-listen", &address, "--set", "snapshot-entries=4"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a node starts");
        let node = Node { child, address };
        node.wait_for(|status| status["role"] == "leader" && status["committed"] != 0);
        node
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Option<Value> {
        let url = format!("http://{}{path}", self.address);
        let output = Command::new("curl").args(["-s", "-X", method, &url, "-d", body]).output();
        serde_json::from_slice(&output.expect("curl runs").stdout).ok()
    }

    fn put(&self, key: &str, value: &str) -> Value {
        let body = json!({ "value": value }).to_string();
        self.ask("PUT", &format!("/kv/{key}"), &body).expect("it is written")
    }

    fn wait_for(&self, holds: impl Fn(&Value) -> bool) {
        let begin = Instant::now();
        while !self.ask("GET", "/status", "").is_some_and(|status| holds(&status)) {
            assert!(begin.elapsed() < Duration::from_secs(60), "the node does not get there");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn program(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_splitbrain-node"));
    command.args(["--id", "n1", "--data-dir"]).arg(data_dir);
    command
}

fn replay(data_dir: &Path, arguments: &[&str]) -> Output {
    program(data_dir).arg("--replay-to").args(arguments).output().expect("it runs")
}

fn report(output: &Output) -> Value {
    let error = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{error}"))
}

fn content(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(dir).expect("it can be listed") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            all.extend(content(&path));
        } else {
            all.insert(path.clone(), std::fs::read(&path).expect("it can be read"));
        }
    }
    all
}

#[test]
fn a_data_directory_is_replayed_to_a_point_and_a_node_goes_on_from_there() {
    let dir = tempfile::tempdir().expect("a folder");
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    let node = Node::start(&old);
    for value in ["1", "2", "3", "4", "5"] {
        node.put("k", value);
    }
    // Entry 1 is the leader's own; a snapshot stands for the first few.
    node.wait_for(|status| status["snapshot"].as_u64() >= Some(4));
    let seventh = node.put("k", "6");
    assert_eq!(seventh["gtid"], "n1@1:7");
    let output = replay(&old, &["end"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("open in another process"), "{error}");
    drop(node);

    let before = content(&old);
    let at_six = report(&replay(&old, &["6"]));
    assert_eq!(at_six["values"], json!({ "k": "5" }));
    assert_eq!(at_six["gtid_executed"], "n1@1:1-6");
    assert_eq!(at_six["next"]["gtid"], "n1@1:7");
    let written = at_six["written"].as_str().expect("it was written some time");
    assert!(report(&replay(&old, &[written]))["index"].as_u64() >= Some(6));
    assert_eq!(report(&replay(&old, &["n1@1:7"]))["values"], json!({ "k": "6" }));
    for (point, expected) in
        [("2", "a snapshot stands for"), ("n2@1:6", "lost+found"), ("8", "ends with entry 7")]
    {
        let output = replay(&old, &[point]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(expected), "{point}: {error}");
    }
    let into = new.to_str().expect("a plain path");
    assert_eq!(report(&replay(&old, &["6", "--into", into]))["index"], 6);
    let again = replay(&old, &["6", "--into", into]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("with content"));
    assert_eq!(content(&old), before, "nothing changes where it reads");

    let node = Node::start(&new);
    assert_eq!(node.ask("GET", "/kv/k", "").expect("an answer")["value"], "5");
    // The epoch is a new one, so the seventh entry is not mistaken for the one before.
    assert_eq!(node.put("k", "7")["gtid"], "n1@2:8");
}
