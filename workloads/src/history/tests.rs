//! Readers against good, cut, contradicting and random files.

use proptest::prelude::*;

use super::jsonl::Writer;
use super::*;
use crate::checker::frontier::{Budget, Decision};
use crate::operation::{Consistency, Key, Reason, Value};
use crate::verdict::Verdict;
use crate::workload::judge;

/// A file with every kind of operation and outcome.
pub(super) const FILE: &str = r#"{"history":1,"workload":"register","nodes":3}
{"seq":0,"us":1520,"client":3,"node":"n1","invoke":{"write":{"key":"r3","value":7}}}
{"seq":1,"us":1900,"client":3,"ok":"written"}
{"seq":2,"us":2000,"client":4,"node":"n2","invoke":{"read":{"key":"r3"}}}
{"seq":3,"us":2500,"client":4,"info":"timeout"}
{"seq":4,"us":2600,"client":5,"node":"n2","invoke":{"compare-and-set":{"key":"r3","expect":7,"value":8}}}
{"seq":5,"us":2700,"client":5,"ok":{"compared":{"swapped":true,"observed":7}}}
{"seq":6,"us":2800,"client":5,"node":"n2","invoke":{"delete":{"key":"é"}}}
{"seq":7,"us":2900,"client":5,"fail":"no-leader"}
{"seq":8,"us":3000,"client":5,"final":true,"invoke":{"read":{"key":"r3"}}}
{"seq":9,"us":3100,"client":6,"node":"n3","final":true,"invoke":{"list":{"prefix":"r","consistency":"local"}}}
{"seq":10,"us":3200,"client":5,"ok":{"read":null}}
{"seq":11,"us":3300,"client":6,"ok":{"listed":[8]}}
{"end":{"events":12}}
"#;

/// Reads a history of registers in whichever format.
fn read(input: &mut dyn BufRead) -> Result<(History, Format), HistoryError> {
    match open(input, &Reading::default())? {
        (Recording::Operations(history), format) => Ok((history, format)),
        (other, _) => panic!("{other:?}"),
    }
}

fn read_text(text: &str) -> Result<History, HistoryError> {
    jsonl::read(text.as_bytes())
}

/// The error that a file with these lines after a header gives.
fn error(lines: &str) -> String {
    let text = format!("{{\"history\":1,\"workload\":\"register\",\"nodes\":3}}\n{lines}\n");
    read_text(&text).expect_err("an error").to_string()
}

#[test]
fn a_file_that_is_read_is_written_as_it_was() {
    let history = read_text(FILE).unwrap();
    assert!(history.complete);
    assert_eq!(history.operations.len(), 6);
    assert!(history.operations[4].is_final && !history.operations[0].is_final);
    assert_eq!(String::from_utf8(jsonl::write(&history, Vec::new()).unwrap()).unwrap(), FILE);
}

#[test]
fn the_writer_writes_the_documented_format() {
    let header = Header { history: FORMAT_VERSION, workload: "register".to_string(), nodes: 3 };
    let mut writer = Writer::new(Vec::new(), header).unwrap();
    let stamp = |seq, us| Stamp { seq, at: Micros(us) };
    let key = Key::new("r3");
    let (write, read) = (
        Op::Write { key: key.clone(), value: Value(7) },
        Op::Read { key, consistency: Consistency::Linearizable },
    );
    writer.invoke(stamp(0, 1520), ClientId(3), Some(NodeId(1)), false, &write).unwrap();
    writer.complete(stamp(1, 1900), ClientId(3), &Outcome::Ok(Reply::Written)).unwrap();
    writer.invoke(stamp(2, 2000), ClientId(4), Some(NodeId(2)), false, &read).unwrap();
    let timeout = Outcome::Info(Reason::new("timeout"));
    writer.complete(stamp(3, 2500), ClientId(4), &timeout).unwrap();
    let text = String::from_utf8(writer.finish().unwrap()).unwrap();
    let expected: Vec<&str> = FILE.lines().take(5).chain(["{\"end\":{\"events\":4}}"]).collect();
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_file_cut_off_anywhere_after_its_header_is_never_an_error_and_never_a_pass() {
    let header = FILE.find('\n').unwrap() + 1;
    let answer = r#""ok":{"read":null}}"#;
    let answered = FILE.find(answer).unwrap() + answer.len();
    for length in header..FILE.len() - 1 {
        let history = jsonl::read(&FILE.as_bytes()[..length]).unwrap();
        // The trailer is whole without its line feed as well.
        assert!(!history.complete, "{length}");
        // The read of nothing after two writes is a violation once it is answered.
        for judgement in judge(&history) {
            let expected = match judgement.checker == "linearizable" && length >= answered {
                true => Verdict::Fail,
                false => Verdict::Unknown,
            };
            assert_eq!(judgement.verdict, expected, "{length}: {judgement:?}");
            assert!(judgement.summary.contains("cut off"), "{}", judgement.summary);
        }
    }
    for length in 1..header - 1 {
        let error = jsonl::read(&FILE.as_bytes()[..length]).unwrap_err().to_string();
        assert!(error.contains("cut off inside its header"), "{length}: {error}");
    }
}

#[test]
fn a_trailer_that_counts_other_than_the_events_is_refused() {
    let error = read_text(&FILE.replace("\"events\":12", "\"events\":13")).unwrap_err().to_string();
    insta::assert_snapshot!(
        error,
        @"line 14, column 2: the trailer counts 13 events, but 12 stand before it: lines are missing or doubled, and no verdict about the rest would be sure"
    );
}

#[test]
fn a_file_of_another_kind_is_said_to_be_no_history_and_a_misspelt_key_is_named() {
    let told = |text: &str| read(&mut text.as_bytes()).unwrap_err().to_string();
    let errors = [
        told("[{\"name\": \"a\"}, {\"name\": \"b\"}]"),
        told("# the plan of a run\nsuite: smoke\n"),
        told("{:name 1}"),
        error(r#"{"seq":0,"us":1,"client":1,"invoke":{"read":{"kee":"r"}}}"#),
        error(r#"{"seq":0,"us":1,"client":1,"invoke":{"write":{"value":1}}}"#),
    ];
    insta::assert_snapshot!(errors.join("\n"), @r##"
    line 1, column 2: this is no history: expected an event such as {"process": 0, "type": "invoke", "f": "read", "value": null}, got {"name" "a"}; help: docs/checker.md says which events are read
    line 1, column 1: this is no history: expected a header such as {"history":1,"workload":"register","nodes":3}, a line of jepsen.util, or EDN, got "# the plan of a run"
    line 1, column 1: this is no history: expected an event such as {:process 0, :type :invoke, :f :read, :value nil}, got {:name 1}; help: docs/checker.md says which events are read
    line 2, column 50: unknown field `kee`, expected `key` or `consistency`
    line 2, column 56: missing field `key`
    "##);
}

#[test]
fn an_empty_file_and_an_empty_history_say_so() {
    let empty = read(&mut "".as_bytes()).unwrap_err().to_string();
    insta::assert_snapshot!(
        empty,
        @"the history is empty: expected at least a header line; nothing was recorded"
    );
    let none = "{\"history\":1,\"workload\":\"set\",\"nodes\":3}\n{\"end\":{\"events\":0}}\n";
    for judgement in judge(&read_text(none).unwrap()) {
        assert_eq!(judgement.verdict, Verdict::Unknown);
        assert_eq!(judgement.summary, "the history is empty: it holds no operation");
    }
}

#[test]
fn a_history_of_an_unknown_workload_is_not_judged() {
    let history = read_text(&FILE.replace("\"register\"", "\"juggling\"")).unwrap();
    let judgements = judge(&history);
    assert_eq!(judgements.len(), 1);
    assert_eq!(judgements[0].verdict, Verdict::Unknown);
    assert!(judgements[0].summary.contains("\"juggling\""), "{}", judgements[0].summary);
}

#[test]
fn contradictions_are_told_with_their_line() {
    let invoke = |seq: u32, client: u32| {
        format!(r#"{{"seq":{seq},"us":1,"client":{client},"invoke":{{"read":{{"key":"r"}}}}}}"#)
    };
    let info = |seq: u32| format!(r#"{{"seq":{seq},"us":1,"client":1,"info":"timeout"}}"#);
    let errors = [
        error(&info(0)),
        error(&[invoke(0, 1), invoke(1, 1)].join("\n")),
        error(&[invoke(0, 1), info(1), invoke(2, 1)].join("\n")),
        error(&[invoke(5, 1), invoke(5, 2)].join("\n")),
        error(&[invoke(0, 1), r#"{"seq":1,"us":1,"client":1,"ok":"written"}"#.into()].join("\n")),
        error(r#"{"seq":0,"us":1,"client":1,"invoke":{"read":{"key":"r"}},"colour":"red"}"#),
        error(r#"{"seq":0,"us":1,"client":1,"invoke":{"reed":{"key":"r"}}}"#),
        error(r#"{"seq":0,"us":1,"client":1,"node":"x1","invoke":{"read":{"key":"r"}}}"#),
        error(r#"{"seq":0,"us":1,"client":1}"#),
        error(r#"{"us":1,"client":1,"ok":"written"}"#),
        error("{\"end\":{\"events\":0}}\n{\"end\":{\"events\":0}}"),
        error("nonsense"),
        read_text("{\"history\":9,\"clocks\":4}\n").unwrap_err().to_string(),
        read_text("{\"history\":1,\"workload\":\"set\",\"nodes\":3,\"x\":1}\n")
            .unwrap_err()
            .to_string(),
        jsonl::read(&b"{\"history\":1,\"workload\":\"set\",\"nodes\":3}\n{\"seq\xff\":0}\n"[..])
            .unwrap_err()
            .to_string(),
        read(&mut "{:process 1, :type :invoke}\n".as_bytes()).unwrap_err().to_string(),
        read(&mut "<html>\n".as_bytes()).unwrap_err().to_string(),
    ];
    insta::assert_snapshot!(errors.join("\n"), @r#"
    line 2, column 17: client c1 completes an operation, but has none open; help: a line before this one may be missing
    line 3, column 17: client c1 invokes an operation while its operation of line 2 is open
    line 4, column 17: client c1 goes on although its operation ended "info" in line 3 and may still be open; help: go on under a new client number
    line 3, column 2: expected a "seq" above 5, the one before, got 5
    line 3, column 28: the reply does not answer "read r"
    line 2, column 65: unknown field `colour`, expected one of `seq`, `us`, `client`, `node`, `final`, `invoke`, `ok`, `fail`, `info`, `end`
    line 2, column 43: unknown variant `reed`, expected one of `read`, `write`, `compare-and-set`, `delete`, `list`, `increment`, `append`, `read-list`, `enqueue`, `dequeue`, `read-queue`, `acquire`, `renew`, `release`, `write-guarded`, `read-guarded`, `transaction`, `once`
    line 2, column 38: expected a node such as "n1", got "x1"
    line 2, column 1: expected exactly one of "invoke", "ok", "fail" and "info"
    line 2, column 1: expected "seq", "us" and "client"
    line 3, column 1: expected nothing after the trailer of line 2
    line 2, column 2: expected ident
    line 1, column 1: expected a history of version 1, got version 9; help: use the release of splitbrain that wrote it
    line 1, column 43: unknown field `x`, expected one of `history`, `workload`, `nodes`
    line 2, column 6: expected UTF-8
    line 1, column 1: expected an event with :f, got {:process 1, :type :invoke}
    line 1, column 1: this is no history: expected a header such as {"history":1,"workload":"register","nodes":3}, a line of jepsen.util, or EDN, got "<html>"
    "#);
}

#[test]
fn a_line_without_end_is_refused_before_it_is_held() {
    let mut text = b"{\"history\":1,\"workload\":\"set\",\"nodes\":3}\n".to_vec();
    text.resize(jsonl::LINE_MAX * 2, b' ');
    let error = jsonl::read(&text[..]).unwrap_err().to_string();
    assert!(error.contains("the line is longer than 16777216 bytes"), "{error}");
}

#[test]
fn a_jepsen_log_is_read_as_one_register() {
    let log = "INFO  jepsen.util - 0\t:invoke\t:write\t3\n\
               INFO  jepsen.util - 1\t:invoke\t:cas\t[3 4]\n\
               INFO  jepsen.util - 0\t:ok\t:write\t3\n\
               INFO  jepsen.util - 1\t:fail\t:cas\t[3 4]\n\
               INFO  jepsen.util - 0\t:invoke\t:read\tnil\n\
               INFO  jepsen.util - 0\t:ok\t:read\tnil\n\
               INFO  jepsen.util - 1\t:invoke\t:write\t5\n\
               INFO  jepsen.util - 1   :info   :write  :timed-out\n";
    let (history, format) = read(&mut log.as_bytes()).unwrap();
    assert_eq!(format, Format::JepsenLog);
    let seen: Vec<String> =
        history.operations.iter().map(|it| format!("{} {:?}", it.op, it.outcome)).collect();
    insta::assert_snapshot!(seen.join("\n"), @r#"
    write register=3 Ok(Written)
    cas register 3->4 Fail(Reason("mismatch"))
    read register Ok(Read(None))
    write register=5 Info(Reason("timed-out"))
    "#);
    let wrong = log.replace(":cas\t[3 4]", ":cas\t[3 x]");
    let error = read(&mut wrong.as_bytes()).unwrap_err().to_string();
    assert_eq!(error, "line 2, column 39: expected a whole number or nil, got \"x\"");
}

/// The text log of an early Jepsen run.
#[test]
fn logs_of_other_spacing_with_times_or_bare_are_read_alike() {
    let logs = [
        "INFO jepsen.util - 0 :invoke :write  3\n\
         INFO\tjepsen.util\t-\t0 :ok :write 3\n\
         INFO  jepsen.util - :nemesis\t:info\t:start\tnil\n\
         INFO  jepsen.util - 1 :invoke :read nil\n\
         INFO  jepsen.util - 1 :ok :read 3\n",
        "2015-01-02 10:11:12,123 INFO  jepsen.util - 0\t:invoke\t:write\t3\n\
         2015-01-02 10:11:12,124 INFO  jepsen.util - 0\t:ok\t:write\t3\n\
         :nemesis :info :start nil\n\
         2015-01-02 10:11:12,125 INFO  jepsen.util - 1\t:invoke\t:read\tnil\n\
         2015-01-02 10:11:12,126 INFO  jepsen.util - 1\t:ok\t:read\t3\n",
        "0\t:invoke\t:write\t3\n0\t:ok\t:write\t3\n:nemesis\t:info\t:start\tnil\n\
         1\t:invoke\t:read\tnil\n1\t:ok\t:read\t3\n",
    ];
    let read = |log: &str| {
        let (recording, format) = open(&mut log.as_bytes(), &Reading::default()).unwrap();
        assert_eq!(format, Format::JepsenLog);
        let Recording::Operations(history) = recording else { panic!("{log}") };
        history.operations
    };
    let first = read(logs[0]);
    assert_eq!(first.len(), 2);
    assert_eq!(first, read(logs[1]));
    assert_eq!(first, read(logs[2]));
}

#[test]
fn a_write_that_failed_did_not_happen_in_a_log_either() {
    let log =
        "INFO  jepsen.util - 0\t:invoke\t:write\t3\nINFO  jepsen.util - 0\t:fail\t:write\t3\n";
    let history = super::jepsen_log::read(log.as_bytes()).unwrap();
    assert_eq!(history.operations[0].outcome, Outcome::Fail(Reason::new("failed")));
}

pub(super) const LOG: &str = "INFO  jepsen.util - 0\t:invoke\t:read\tnil\n\
     INFO  jepsen.util - 1\t:invoke\t:write\t3\n\
     INFO  jepsen.util - 1\t:ok\t:write\t3\n\
     INFO  jepsen.util - 0\t:ok\t:read\t3\n\
     INFO  jepsen.util - 4\t:invoke\t:cas\t[3 0]\n\
     INFO  jepsen.util - 4\t:fail\t:cas\t[3 0]\n";

/// Small files of other tools, of every model.
pub(super) const FOREIGN: [&str; 5] = [
    "; a register\n[{:process 0, :type :invoke, :f :write, :value 1}\n \
     {:process -1, :type :invoke, :f :cas, :value [1 2], :time 1000}\n \
     {:process :nemesis, :type :info, :f :start}\n \
     {:process 0, :type :ok, :f :write, :value 1}\n \
     {:process -1, :type :fail, :f :cas, :value [1 2], :error {:cause {:n 1}}}\n \
     {:process 0, :type :invoke, :f :read, :value 7}\n \
     {:process 0, :type :ok, :f :read, :value 1}\n \
     {:process 0, :type :invoke, :f :read, :value nil}\n \
     {:process 0, :type :ok, :f :read, :value nil}\n \
     {:process 0, :type :invoke, :f :write, :value 2}\n \
     {:process 0, :type :info, :f :write, :value 2}]",
    "{:process 0, :type :invoke, :f :write, :value [5 1]}\n\
     {:process 0, :type :ok, :f :write, :value [5 1]}\n\
     {:process 0, :type :invoke, :f :cas, :value [5 [1 3]]}\n\
     {:process 0, :type :ok, :f :cas, :value [5 [1 3]]}\n\
     {:process 0, :type :invoke, :f :read, :value [5 nil]}\n\
     {:process 0, :type :ok, :f :read, :value [5 3]}\n",
    "{:process 0, :type :invoke, :f :append, :key \"0\", :value \"x 0 y\"}\n\
     {:process 0, :type :ok, :f :append, :key \"0\", :value \"x 0 y\"}\n\
     {:process 0, :type :invoke, :f :put, :key \"0\", :value \"x\"}\n\
     {:process 1, :type :invoke, :f :get, :key \"0\", :value nil}\n\
     {:process 1, :type :ok, :f :get, :key \"0\", :value \"\"}\n",
    "[{:type :invoke, :f :txn, :value [[:read :x nil] [:write :y 1]], :process 3}\n\
     {:type :ok, :f :txn, :value [[:read :x 0] [:write :y 1]], :process 3}\n\
     {:type :invoke, :f :txn, :value [[:read :y nil]], :process 3}\n\
     {:type :ok, :f :txn, :value [[:read :y 0]], :process 3}]",
    "({:process 0, :type :invoke, :f :acquire} {:process 0, :type :ok, :f :acquire}\n\
     {:process 1, :type :invoke, :f :acquire} {:process 1, :type :ok, :f :acquire}\n\
     {:process 0, :type :invoke, :f :release} {:process 0, :type :info, :f :release})",
];

#[test]
fn files_of_other_tools_are_told_apart_and_judged_by_their_rules() {
    let told = FOREIGN.map(|file| {
        let (recording, format) = open(&mut file.as_bytes(), &Reading::default()).unwrap();
        let decision = recording.decide(Budget::default());
        let explained = match &decision {
            Decision::Impossible(refusal) => recording.explain(refusal),
            _ => None,
        };
        let mut text = format!(
            "{} of a {}, {} operations: {}",
            format.name(),
            recording.model().name(),
            recording.operations(),
            if decision == Decision::Possible { "possible" } else { "impossible" }
        );
        if let Recording::Operations(history) = &recording {
            for it in &history.operations {
                text += &format!(
                    "\n  {} {}-{:?} {} {:?}",
                    it.client,
                    it.invoked.seq,
                    it.completed.map(|stamp| stamp.seq),
                    it.op,
                    it.outcome
                );
            }
        }
        for call in explained.iter().flat_map(|explained| &explained.calls) {
            let mark = if call.is_refused { ">" } else { " " };
            text +=
                &format!("\n{mark} {} {}-{:?} {}", call.client, call.began, call.ended, call.text);
        }
        for line in explained.iter().flat_map(|explained| &explained.story) {
            text += &format!("\n  {line}");
        }
        text
    });
    insta::assert_snapshot!(told.join("\n"), @r#"
    knossos of a register, 6 operations: possible
      c2 0-Some(1) write register=0 Ok(Written)
      c0 4-Some(7) write register=1 Ok(Written)
      c1 5-Some(8) cas register 1->2 Fail(Reason("fail"))
      c0 9-Some(10) read register Ok(Read(Some(Value(1))))
      c0 11-Some(12) read register Info(Reason("nil"))
      c0 13-None write register=2 Info(Reason("info"))
    jepsen-edn of a register, 3 operations: possible
      c0 1-Some(2) write 5=1 Ok(Written)
      c0 3-Some(4) cas 5 1->3 Ok(Compared { swapped: true, observed: Some(Value(1)) })
      c0 5-Some(6) read 5 Ok(Read(Some(Value(3))))
    porcupine-kv of a key-value, 3 operations: impossible
      c0 1-Some(2) append 0 "x 0 y": ok
    > c1 4-Some(5) get 0: ""
      No order explains these operations: c1's "get 0: """ ended at line 5, and cannot have taken effect before.
      In the state "x 0 y", c1's "get 0: """ is impossible.
    knossos of a multi-register, 2 operations: impossible
      c3 1-Some(2) read x: 0, write y=1
    > c3 3-Some(4) read y: 0
      No order explains these operations: c3's "read y: 0" ended at line 4, and cannot have taken effect before.
      In the state y=1, c3's "read y: 0" is impossible.
    knossos of a mutex, 3 operations: impossible
      c0 1-Some(2) acquire: ok
    > c1 3-Some(4) acquire: ok
      No order explains these operations: c1's "acquire: ok" ended at line 4, and cannot have taken effect before.
      In the state held, c1's "acquire: ok" is impossible.
    "#);
}

#[test]
fn what_is_said_of_a_file_holds_and_what_does_not_fit_is_refused() {
    let text = "{:process 0, :type :invoke, :f :read}\n{:process 0, :type :ok, :f :read, :value 7}";
    let decide = |initial: Option<&str>, format, model| {
        let reading = Reading { format, model, initial: initial.map(str::to_string) };
        open(&mut text.as_bytes(), &reading)
            .map(|(recording, _)| recording.decide(Budget::default()) == Decision::Possible)
            .map_err(|error| error.to_string())
    };
    assert_eq!(decide(Some("7"), None, None), Ok(true));
    assert_eq!(decide(None, None, None), Ok(false));
    assert_eq!(decide(Some("0"), None, None), Ok(false));
    let errors = [
        decide(Some("x"), None, None),
        decide(None, None, Some(ModelName::Mutex)),
        decide(None, Some(Format::JepsenLog), None),
        decide(None, Some(Format::Jsonl), None),
        decide(Some("1"), Some(Format::Jsonl), None),
    ];
    let errors = errors.map(Result::unwrap_err);
    insta::assert_snapshot!(errors.join("\n"), @r#"
    expected a whole number or "nil" initially, got "x"
    line 1, column 1: expected acquire or release, the functions of a lock, got :read
    line 1, column 1: expected a line that begins with "INFO  jepsen.util - "
    line 1, column 2: key must be a string
    a jsonl history begins with every key absent: expected no initial value
    "#);
}

#[test]
fn contradictions_of_events_are_told_with_line_and_column() {
    let event = |rest: &str| format!("{{:process 0, {rest}}}\n");
    let invoke = event(":type :invoke, :f :write, :value 1");
    let files = [
        event(":type :ok, :f :write, :value 1"),
        format!("{invoke} {invoke}"),
        format!("{invoke}{}", event(":type :ok, :f :read, :value 1")),
        format!("{invoke}{}", event(":type :maybe, :f :write")),
        event(":type :invoke, :f :write, :value \"x\""),
        event(":type :invoke, :f :cas, :value 3"),
        event(":type :invoke, :f :frobnicate, :value 3"),
        event(":type :invoke, :f :put, :value 3"),
        "{:process [1], :type :invoke, :f :read}".to_string(),
        "; nothing\n".to_string(),
        "[1 2]".to_string(),
        "[{:process 0, :type :invoke, :f :txn, :value [[:rd 1 2]]}]".to_string(),
        format!("[{invoke}"),
    ];
    let errors = files.map(|file| {
        open(&mut file.as_bytes(), &Reading::default()).map(|_| file).unwrap_err().to_string()
    });
    insta::assert_snapshot!(errors.join("\n"), @r#"
    line 1, column 1: process 0 has no operation open
    line 2, column 2: process 0 has had an operation open since line 1
    line 2, column 1: :read does not complete the :write of line 1
    line 2, column 1: expected :invoke, :ok, :fail or :info as :type, got :maybe
    line 1, column 1: expected whole numbers or nil as the values of a register, got :write "x"
    line 1, column 1: expected two values, [from to], got :cas 3
    line 1, column 1: expected a function of a known model (read, write, cas; get, put, append; txn; acquire, release; add, remove; transfer; enqueue, dequeue, drain), got :frobnicate
    line 1, column 1: expected an event with :key, got :put
    line 1, column 1: expected a number as :process, got [1]
    the history is empty: expected at least one event; nothing was recorded
    line 1, column 2: this is no history: expected an event such as {:process 0, :type :invoke, :f :read, :value nil}, got 1; help: docs/checker.md says which events are read
    line 1, column 2: expected a :txn of steps such as [[:read :x nil] [:write :y 1]], got :txn [:rd 1 2]
    line 2, column 1: the history is cut off: expected ']' for the bracket of line 1, column 1
    "#);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for format in Format::ALL.map(Some).into_iter().chain([None]) {
            let _ = open(&mut &bytes[..], &Reading { format, ..Reading::default() });
        }
    }

    #[test]
    fn no_changed_file_of_another_tool_makes_the_reader_or_a_checker_panic(
        file in prop::sample::select(FOREIGN.to_vec()),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4_u8), 1..6)
    ) {
        let mut bytes = file.as_bytes().to_vec();
        for (from, to, edit) in edits {
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            let (from, to) = (from.min(to), from.max(to));
            match edit {
                0 => { bytes.drain(from..to); }
                1 => { let copy = bytes[from..to].to_vec(); bytes.splice(to..to, copy); }
                2 => bytes[from] = b"{}[]()\"#;:\\ 0-n"[to % 15],
                _ => bytes.swap(from, to),
            }
            if bytes.is_empty() { break; }
        }
        if let Ok((recording, _)) = open(&mut &bytes[..], &Reading::default()) {
            let budget = Budget { at_once: 1000, in_all: 10_000 };
            if let Decision::Impossible(refusal) = recording.decide(budget) {
                recording.explain(&refusal);
            }
        }
    }

    #[test]
    fn no_changed_file_makes_the_reader_or_a_checker_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), edit()), 1..4)
    ) {
        let mut lines: Vec<Vec<u8>> =
            FILE.lines().map(|line| line.as_bytes().to_vec()).collect();
        for (place, edit) in edits {
            let at = place.index(lines.len());
            match edit {
                Edit::Drop => { lines.remove(at); }
                Edit::Repeat => lines.insert(at, lines[at].clone()),
                Edit::Swap => { let last = lines.len() - 1; lines.swap(at, last); }
                Edit::Byte(index, byte) => {
                    if !lines[at].is_empty() {
                        let index = index.index(lines[at].len());
                        lines[at][index] = byte;
                    }
                }
            }
            if lines.is_empty() { break; }
        }
        let text = lines.join(&b'\n');
        if let Ok((history, _)) = read(&mut &text[..]) {
            for judgement in judge(&history) {
                prop_assert!(!judgement.summary.contains("crashed"), "{}", judgement.summary);
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Edit {
    Drop,
    Repeat,
    Swap,
    Byte(prop::sample::Index, u8),
}

fn edit() -> impl Strategy<Value = Edit> {
    let digit = prop::sample::select(b"0123456789{}\"n,x\xff".to_vec());
    prop_oneof![
        Just(Edit::Drop),
        Just(Edit::Repeat),
        Just(Edit::Swap),
        (any::<prop::sample::Index>(), digit).prop_map(|(index, byte)| Edit::Byte(index, byte)),
    ]
}
