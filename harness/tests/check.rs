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

      workload    register, 4 clients on 0 nodes
      operations  read 1 ok, 0 failed, 0 unknown; write 4 ok, 0 failed, 0 unknown
      format      knossos
      times       as in the file; where it has none, line 12 stands at 0.012 s

    CHECKERS
      linearizable  fail     1 stale-read
                             counted: keys 1, operations 5, searched-keys 1, undecided-keys 0,
                             undecided-operations 0
                             found: 1 stale read

    COUNTEREXAMPLE  stale read of "register": a read returned a value overwritten before the read began
      3 operations of 5 prove it
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
      In the state "a" it refuses c0 "get 0: "b"".
      In the state "ab" it refuses c0 "get 0: "b"".

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
