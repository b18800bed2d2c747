//! `splitbrain check` with histories of other tools: what it prints and what it ends with.

use std::fs;
use std::path::Path;
use std::process::Command;

const REGISTER: &str = "\
[{:process 0, :type :invoke, :f :write, :value 1}
 {:process 0, :type :ok, :f :write, :value 1}
 {:process 1, :type :invoke, :f :write, :value 2}
 {:process 1, :type :ok, :f :write, :value 2}
 {:process 0, :type :invoke, :f :write, :value 1}
 {:process 0, :type :ok, :f :write, :value 1}
 {:process 2, :type :invoke, :f :read, :value nil}
 {:process 2, :type :ok, :f :read, :value 2}]
";

const STRINGS: &str = r#"{:process 0, :type :invoke, :f :append, :key "0", :value "a"}
{:process 0, :type :ok, :f :append, :key "0", :value "a"}
{:process 1, :type :invoke, :f :append, :key "0", :value "b"}
{:process 0, :type :invoke, :f :get, :key "0", :value nil}
{:process 0, :type :ok, :f :get, :key "0", :value "b"}
"#;

/// Runs the command and gives its exit code, stdout and stderr.
fn check(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_splitbrain"));
    command.current_dir(folder).arg("check").args(arguments);
    let output = command.args(["--charset", "ascii", "--color", "never"]).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("register.edn"), REGISTER).unwrap();
    fs::write(folder.path().join("strings.txt"), STRINGS).unwrap();
    fs::write(folder.path().join("right.edn"), REGISTER.replace(":value 2}]", ":value 1}]"))
        .unwrap();
    fs::write(folder.path().join("cut.edn"), &REGISTER[..100]).unwrap();
    folder
}

#[test]
fn a_register_of_another_tool_whose_values_repeat_is_judged_and_its_counterexample_confirmed() {
    let folder = folder();
    let (code, stdout, stderr) = check(folder.path(), &["register.edn", "--timing"]);
    assert_eq!(code, 1, "{stdout}{stderr}");
    assert!(stderr.contains("judged in"), "{stderr}");
    insta::assert_snapshot!(stdout, @r#"
    history register.edn

    FAIL  this history is impossible for a correct store: 1 stale read

      workload    register, 4 clients
      operations  read 1 ok, 0 failed, 0 unknown; write 4 ok, 0 failed, 0 unknown
      format      knossos
      times       as in the file; where it has none, line 12 stands at 0.012 s

    CHECKERS
      linearizable  fail     1 stale read
                             counted: keys 1, operations 5, searched-keys 1

    COUNTEREXAMPLE  stale read of "register": a read returned a value overwritten before the read began
      3 of the history's 5 operations prove it
              seconds           0.003 0.005 0.007
                                |--|--|--|--|--|
      c1      write register=2  [==]              ok
      c0      write register=1        [==]        ok
    > c2      read register                 [==]  2  <- stale read

      c0 wrote register=1, acknowledged at 0.006 s; c2 read register=2 from 0.007 s to 0.008 s, although
      2 was in place before 1 was sent and so was overwritten.
      re-judged by brute force: confirmed, no order of these 3 operations is possible, 3 tried

    exit 1: a violation was proven
    "#);
    let (code, stdout, _) = check(folder.path(), &["right.edn"]);
    assert_eq!(code, 0, "{stdout}");
    assert!(stdout.contains("PASS"), "{stdout}");
}

#[test]
fn a_map_of_strings_is_judged_by_its_model_and_the_few_calls_are_listed() {
    let folder = folder();
    let (code, stdout, _) = check(folder.path(), &["strings.txt"]);
    assert_eq!(code, 1, "{stdout}");
    insta::assert_snapshot!(stdout, @r#"
    history strings.txt

    FAIL  no order of the operations explains every answer

      model       key-value
      format      porcupine-kv
      operations  3

    COUNTEREXAMPLE  3 operations of 3 prove it

      line 1-2   c0  append 0 "a": ok
      line 3 on  c1  append 0 "b", unknown
    > line 4-5   c0  get 0: "b"

      No order explains these operations: c0's "get 0: "b"" ended at line 5, and cannot have taken
      effect before.
      In the state "a", c0's "get 0: "b"" is impossible.
      In the state "ab", c0's "get 0: "b"" is impossible.

    exit 1: a violation was proven
    "#);
}

#[test]
fn what_an_index_that_counts_no_events_leaves_open_is_said_in_the_report() {
    let folder = folder();
    let text = "\
{:process 4, :index 1, :type :invoke, :value [[:append k 7] [:r k]]}
{:process 4, :index 2, :type :ok, :value [[:append k 7] [:r k [7]]]}
{:process 5, :index 1, :type :invoke, :value [[:r k] [:append k 9]]}
{:process 5, :index 2, :type :ok, :value [[:r k [7 9]] [:append k 9]]}
";
    fs::write(folder.path().join("own.edn"), text).unwrap();
    let (code, stdout, stderr) = check(folder.path(), &["own.edn"]);
    assert_eq!(code, 1, "{stdout}{stderr}");
    insta::assert_snapshot!(stdout, @r#"
    history own.edn

    FAIL  this history is impossible for a correct store: 1 future read

      workload    append, 2 clients
      operations  transaction 2 ok, 0 failed, 0 unknown
      format      jepsen-edn
      times       as in the file; where it has none, line 12 stands at 0.012 s
      order       that of the lines: several events have the :index 1, so it does not count events

    CHECKERS
      list          pass     one order of 2 appends and 2 reads of 1 lists exists, key by key
                             counted: appends 2, lists 1, reads 2
      transactions  fail     1 future read
                             counted: dependencies 3, transactions 2

    COUNTEREXAMPLE  future read of "k": a read returned a value before its write began
      1 of the history's 2 operations prove it
              seconds                0.003
                                     |--|
    > c5      read k, append 9 to k  [==]  [7 9]  <- future read

      c5 read k=[7 9], appended 9 to k, acknowledged at 0.004 s: it saw 9 in k before its own step that
      appends 9.
      re-judged by brute force: confirmed, no order of these 1 operations is possible, 1 tried

    exit 1: a violation was proven
    "#);
    let (_, stdout, _) = check(folder.path(), &["own.edn", "right.edn"]);
    insta::assert_snapshot!(stdout, @r#"
    fail     own.edn  jepsen-edn, list-append; order that of the lines: several events have the :index 1, so it does not count events
    pass     right.edn  knossos, register

    exit 1: a violation was proven
    "#);
}

#[test]
fn several_files_have_one_line_each_and_the_worst_code() {
    let folder = folder();
    let (code, stdout, _) = check(folder.path(), &["right.edn", "register.edn", "cut.edn"]);
    assert_eq!(code, 1, "{stdout}");
    insta::assert_snapshot!(stdout, @r#"
    pass     right.edn  knossos, register
    fail     register.edn  knossos, register
    -        error: cut.edn: line 3, column 2: this bracket is not closed: the file ends before its '}'

    exit 1: a violation was proven
    "#);
    let (code, stdout, _) = check(folder.path(), &["right.edn", "cut.edn"]);
    assert_eq!(code, 2, "{stdout}");
    let (code, stdout, _) = check(folder.path(), &["right.edn", "right.edn"]);
    assert_eq!(code, 0, "{stdout}");
}

#[test]
fn format_model_and_initial_value_can_be_said_and_what_does_not_fit_is_refused() {
    let folder = folder();
    let read =
        "{:process 0, :type :invoke, :f :read}\n{:process 0, :type :ok, :f :read, :value 7}\n";
    fs::write(folder.path().join("read.edn"), read).unwrap();
    let (code, stdout, _) = check(folder.path(), &["read.edn"]);
    assert_eq!(code, 1, "{stdout}");
    let (code, stdout, _) = check(folder.path(), &["read.edn", "--initial", "7"]);
    assert_eq!(code, 0, "{stdout}");
    let knossos = ["read.edn", "--format", "knossos", "--model", "cas-register", "--initial", "0"];
    let (code, stdout, _) = check(folder.path(), &knossos);
    assert_eq!(code, 1, "{stdout}");
    let (code, _, stderr) = check(folder.path(), &["read.edn", "--model", "mutex"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("line 1, column 1: expected acquire or release"), "{stderr}");
    let (code, _, stderr) = check(folder.path(), &["read.edn", "--model", "queue"]);
    assert_eq!(code, 2, "{stderr}");
}

/// Our own format: an old read that ends after two writes.
const OURS: &str = r#"{"history":1,"workload":"register","nodes":3}
{"seq":0,"us":1000,"client":1,"node":"n1","invoke":{"write":{"key":"r1","value":1}}}
{"seq":1,"us":2000,"client":1,"ok":"written"}
{"seq":2,"us":3000,"client":1,"node":"n1","invoke":{"write":{"key":"r1","value":2}}}
{"seq":3,"us":4000,"client":1,"ok":"written"}
{"seq":4,"us":9000,"client":2,"node":"n2","invoke":{"read":{"key":"r1"}}}
{"seq":5,"us":9500,"client":2,"ok":{"read":1}}
{"end":{"events":6}}
"#;

#[test]
fn a_pass_is_written_as_an_order_and_a_fail_has_none() {
    let folder = folder();
    let (code, stdout, stderr) = check(folder.path(), &["right.edn", "--witness", "order.jsonl"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let told = "  witness     order.jsonl: 5 operations in 1 order, verified by the replayer";
    assert!(stdout.contains(told), "{stdout}");
    let order = fs::read_to_string(folder.path().join("order.jsonl")).unwrap();
    assert_eq!(order.lines().count(), 6, "{order}");
    assert!(order.starts_with("{\"witness\":1,\"model\":\"register\","), "{order}");
    let (code, stdout, _) = check(folder.path(), &["register.edn", "--witness", "none.jsonl"]);
    assert_eq!(code, 1, "{stdout}");
    assert!(stdout.contains("  witness     none was written: "), "{stdout}");
    assert!(!folder.path().join("none.jsonl").exists());
    let (code, _, stderr) = check(folder.path(), &["right.edn", "right.edn", "--witness", "x"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("--witness is for one history"), "{stderr}");
}

#[test]
fn an_exported_history_is_judged_as_before_and_what_cannot_be_said_is_refused() {
    let folder = folder();
    fs::write(folder.path().join("ours.jsonl"), OURS).unwrap();
    let export = ["ours.jsonl", "--export", "jepsen-edn", "ours.edn"];
    let (code, stdout, stderr) = check(folder.path(), &export);
    assert_eq!(code, 1, "{stdout}{stderr}");
    assert!(stdout.contains("  export      ours.edn: jepsen-edn, 3 operations"), "{stdout}");
    let (code, stdout, _) = check(folder.path(), &["ours.edn", "--initial", "0"]);
    assert_eq!(code, 1, "{stdout}");
    assert!(stdout.contains("1 stale read"), "{stdout}");
    let (code, _, stderr) = check(folder.path(), &["ours.jsonl", "--export", "csv", "ours.csv"]);
    assert_eq!(code, 2, "{stderr}");
    let export = ["strings.txt", "--export", "jepsen-edn", "strings.edn"];
    let (code, _, stderr) = check(folder.path(), &export);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("expected a history of registers"), "{stderr}");
    assert!(!folder.path().join("strings.edn").exists());
}

#[test]
fn a_history_is_judged_by_a_weaker_promise() {
    let folder = folder();
    fs::write(folder.path().join("ours.jsonl"), OURS).unwrap();
    let judged = |promise| check(folder.path(), &["ours.jsonl", "--promise", promise]);
    for (promise, expected) in [
        ("bounded-staleness=4ms", 1),
        ("bounded-staleness=5ms", 0),
        ("consistent-prefix", 0),
        ("k-atomicity=2", 0),
        ("monotonic-reads", 0),
        ("k-atomicity=1", 2),
    ] {
        let (code, stdout, stderr) = judged(promise);
        assert_eq!(code, expected, "{promise}: {stdout}{stderr}");
    }
    let (_, stdout, _) = judged("bounded-staleness=4ms");
    assert!(stdout.contains("Even with reads that may be 4ms old"), "{stdout}");
    let (code, _, stderr) = check(folder.path(), &["strings.txt", "--promise", "monotonic-reads"]);
    assert_eq!(code, 2, "{stderr}");
}
