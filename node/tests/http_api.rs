//! The examples of docs/http-api.md, run against real nodes and compared with what the page says.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The addresses in the page; a run takes free ones instead.
const ADDRESSES: [&str; 4] =
    ["127.0.0.1:7001", "127.0.0.1:7002", "127.0.0.1:7101", "127.0.0.1:7102"];

/// Longest wait for something that takes milliseconds on a machine with nothing else to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the page does.
enum Step {
    /// A node is started with these arguments.
    Start(Vec<String>),
    /// A command, and the answer below it.
    Ask { command: String, answer: String },
}

/// The commands of all `sh` blocks. A line that begins with `#>` is the answer to what stands
/// before it; commands without one are not run.
fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for block in page.split("```sh\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        let mut command = String::new();
        for line in block.lines() {
            let started =
                line.strip_prefix("splitbrain node ").and_then(|line| line.strip_suffix(" &"));
            match (line.strip_prefix("#> "), started) {
                (Some(answer), _) => {
                    let command = std::mem::take(&mut command);
                    steps.push(Step::Ask { command, answer: answer.to_string() });
                }
                (None, Some(arguments)) => {
                    let arguments = arguments.split(' ').map(str::to_string).collect();
                    steps.push(Step::Start(arguments));
                }
                (None, None) if line.is_empty() => command.clear(),
                (None, None) => {
                    command.push_str(line);
                    command.push('\n');
                }
            }
        }
    }
    steps
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

impl Node {
    /// Starts a node as the page does, and waits until it knows a leader.
    fn start(arguments: &[String]) -> Node {
        let child = Command::new(env!("CARGO_BIN_EXE_splitbrain-node"))
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a node starts");
        let node = Node(child);
        let listen = arguments.iter().position(|argument| argument == "--client-listen");
        let address = &arguments[listen.expect("the page says where clients reach it") + 1];
        let begin = Instant::now();
        while !curl(&format!("curl {address}/status"))
            .is_some_and(|told| told["leader"].is_string())
        {
            assert!(begin.elapsed() < PATIENCE, "{arguments:?} knows no leader");
            std::thread::sleep(Duration::from_millis(10));
        }
        node
    }
}

fn curl(command: &str) -> Option<Value> {
    let quiet = command.replacen("curl", "curl -s", 1);
    let output = Command::new("sh").args(["-c", &quiet]).output().expect("a shell");
    serde_json::from_slice(&output.stdout).ok()
}

/// The page with free addresses, and folders below this one.
fn page_in(folder: &Path) -> String {
    let free: Vec<TcpListener> =
        ADDRESSES.iter().map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    let page =
        include_str!("../../docs/http-api.md").replace("/tmp/", &format!("{}/", folder.display()));
    ADDRESSES.iter().zip(free).fold(page, |page, (address, free)| {
        page.replace(address, &free.local_addr().expect("its address").to_string())
    })
}

#[test]
fn every_example_of_the_page_is_answered_as_the_page_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut nodes, mut asked) = (Vec::new(), 0);
    for step in steps(&page_in(folder.path())) {
        let (command, answer) = match step {
            Step::Start(arguments) => {
                nodes.push(Node::start(&arguments));
                continue;
            }
            Step::Ask { command, answer } => (command, answer),
        };
        let expected: Value = serde_json::from_str(&answer).expect("the page's answer is JSON");
        // What a node knows of the members comes to be so.
        let becomes = command.trim_end().ends_with("/members") && !command.contains("-X");
        let begin = Instant::now();
        let mut got = curl(&command).expect("an answer in JSON");
        while becomes && got != expected && begin.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(10));
            got = curl(&command).expect("an answer in JSON");
        }
        same_but_for_time(expected, got, &command);
        asked += 1;
    }
    assert_eq!(nodes.len(), 2, "the page starts two nodes");
    assert!(asked > 30, "{asked} examples");
}

/// How much time a lock has left depends on how long the page takes to run: it is some of it.
fn same_but_for_time(mut expected: Value, mut got: Value, command: &str) {
    let take = |answer: &mut Value| answer.as_object_mut()?.remove("left_ms")?.as_u64();
    let (expected_left, got_left) = (take(&mut expected), take(&mut got));
    assert_eq!(expected_left.is_some(), got_left.is_some(), "left_ms of {command}");
    assert!(got_left.is_none_or(|left| (1..=60_000).contains(&left)), "{got_left:?}");
    assert_eq!(got, expected, "{command}");
}
