//! Readers against good, cut, contradicting and random files.

use proptest::prelude::*;

use super::jsonl::Writer;
use super::*;
use crate::operation::{Consistency, Key, Reason, Value};
use crate::verdict::Verdict;
use crate::workload::judge;

/// A file with every kind of operation and outcome.
const FILE: &str = r#"{"history":1,"workload":"register","nodes":3}
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
    for length in header..FILE.len() - 1 {
        let history = jsonl::read(&FILE.as_bytes()[..length]).unwrap();
        // The trailer is whole without its line feed as well.
        assert!(!history.complete, "{length}");
        for judgement in judge(&history) {
            assert_eq!(judgement.verdict, Verdict::Unknown, "{length}: {judgement:?}");
            assert!(judgement.summary.contains("cut off"), "{}", judgement.summary);
        }
    }
    for length in 1..header - 1 {
        let error = jsonl::read(&FILE.as_bytes()[..length]).unwrap_err().to_string();
        assert!(error.contains("cut off inside its header"), "{length}: {error}");
    }
}

#[test]
fn a_trailer_that_counts_other_than_the_events_makes_the_history_incomplete() {
    assert!(!read_text(&FILE.replace("\"events\":12", "\"events\":13")).unwrap().complete);
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
    let history = read_text(&FILE.replace("\"register\"", "\"bank\"")).unwrap();
    let judgements = judge(&history);
    assert_eq!(judgements.len(), 1);
    assert_eq!(judgements[0].verdict, Verdict::Unknown);
    assert!(judgements[0].summary.contains("\"bank\""), "{}", judgements[0].summary);
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
    ];
    insta::assert_snapshot!(errors.join("\n"), @r#"
    line 2: client c1 completes an operation, but has none open
    line 3: client c1 invokes an operation while its operation of line 2 is open
    line 4: client c1 goes on although its operation ended "info" in line 3 and may still be open; help: go on under a new client number
    line 3: expected a "seq" above 5, the one before, got 5
    line 3: the reply does not answer "read r"
    line 2, column 65: unknown field `colour`, expected one of `seq`, `us`, `client`, `node`, `final`, `invoke`, `ok`, `fail`, `info`, `end`
    line 2, column 43: unknown variant `reed`, expected one of `read`, `write`, `compare-and-set`, `delete`, `list`
    line 2, column 38: expected a node such as "n1", got "x1"
    line 2: expected exactly one of "invoke", "ok", "fail" and "info"
    line 2: expected "seq", "us" and "client"
    line 3: expected nothing after the trailer of line 2
    line 2, column 2: expected ident
    line 1: expected a history of version 1, got version 9; help: use the release of splitbrain that wrote it
    line 1, column 43: unknown field `x`, expected one of `history`, `workload`, `nodes`
    line 2, column 6: expected UTF-8
    line 1: this is no history: expected a header such as {"history":1,"workload":"register","nodes":3} or a line of jepsen.util, got "{:process 1, :type :invoke}"
    "#);
}

#[test]
fn a_line_without_end_is_refused_before_it_is_held() {
    let mut text = b"{\"history\":1,\"workload\":\"set\",\"nodes\":3}\n".to_vec();
    text.resize(jsonl::LINE_MAX * 2, b' ');
    let error = jsonl::read(&text[..]).unwrap_err().to_string();
    assert!(error.starts_with("line 2: the line is longer than 16777216 bytes"), "{error}");
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
    assert_eq!(error, "line 2: expected a whole number or nil, got \"x\"");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&mut &bytes[..]);
        let _ = jepsen_log::read(&bytes[..]);
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
