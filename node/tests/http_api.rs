//! The examples of docs/http-api.md, run against a real node and compared with what the page says.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The address in the page.
const ADDRESS: &str = "127.0.0.1:7001";

/// A command of the page and the answer below it.
struct Example {
    command: String,
    answer: String,
}

/// The commands of all `sh` blocks. A line that begins with `#>` is the answer to what stands
/// before it; commands without one are not run.
fn examples(page: &str) -> Vec<Example> {
    let mut examples = Vec::new();
    for block in page.split("```sh\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        let mut command = String::new();
        for line in block.lines() {
            match line.strip_prefix("#> ") {
                Some(answer) => {
                    let command = std::mem::take(&mut command);
                    examples.push(Example { command, answer: answer.to_string() });
                }
                None if line.is_empty() => command.clear(),
                None => {
                    command.push_str(line);
                    command.push('\n');
                }
            }
        }
    }
    examples
}

/// A node that is killed with the test.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn curl(command: &str) -> Option<Value> {
    let quiet = command.replacen("curl", "curl -s", 1);
    let output = Command::new("sh").args(["-c", &quiet]).output().expect("a shell");
    serde_json::from_slice(&output.stdout).ok()
}

#[test]
fn every_example_of_the_page_is_answered_as_the_page_says() {
    let examples = examples(include_str!("../../docs/http-api.md"));
    assert!(examples.len() > 12, "{} examples", examples.len());
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("its address").to_string();
    drop(free);
    let dir = tempfile::tempdir().expect("a folder");
    let child = Command::new(env!("CARGO_BIN_EXE_splitbrain-node"))
        .args(["--id", "n1", "--client-listen", &address, "--data-dir"])
        .arg(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a node starts");
    let _node = Node(child);
    let begin = Instant::now();
    let leads = || Some(curl(&format!("curl {address}/status"))?["committed"] == 1);
    while leads() != Some(true) {
        assert!(begin.elapsed() < Duration::from_secs(20), "the node does not lead");
        std::thread::sleep(Duration::from_millis(10));
    }
    for Example { command, answer } in examples {
        let mut expected: Value = serde_json::from_str(&answer).expect("the page's answer is JSON");
        let mut got = curl(&command.replace(ADDRESS, &address)).expect("an answer in JSON");
        same_time_left(&mut expected, &mut got);
        assert_eq!(got, expected, "{command}");
    }
}

/// How much time a lock has left depends on how long the page takes to run: it is some of it.
fn same_time_left(expected: &mut Value, got: &mut Value) {
    let take = |answer: &mut Value| answer.as_object_mut()?.remove("left_ms")?.as_u64();
    let (expected_left, got_left) = (take(expected), take(got));
    assert_eq!(expected_left.is_some(), got_left.is_some(), "left_ms");
    assert!(got_left.is_none_or(|left| (1..=60_000).contains(&left)), "{got_left:?}");
}
