//! Histories as other tools write them, of every model, made by hand after what their formats say.

use super::*;
use crate::checker::frontier::{Budget, Decision};
use crate::recording::{ModelName, Recording};

/// What is found out about a file: format, model, decision; and what is wrong with it.
fn told_as(text: &str, reading: &Reading) -> Result<String, String> {
    let (recording, format) =
        open(&mut text.as_bytes(), reading).map_err(|error| error.to_string())?;
    let decision = recording.decide(Budget::default());
    let what = match &decision {
        Decision::Possible => "possible".to_string(),
        Decision::Undecided(overrun) => format!("undecided, with {}", overrun.why),
        Decision::Impossible(refusal) => {
            let mut why = String::from("impossible");
            for judgement in recording.judge(&decision) {
                for anomaly in judgement.anomalies {
                    why += &format!("\n  {}: {}", anomaly.kind, anomaly.story.join("\n    "));
                }
            }
            if !matches!(recording, Recording::Operations(_)) {
                let explained = recording.explain(refusal).expect("a reason");
                why += &format!("\n  {}", explained.story.join("\n  "));
            }
            why
        }
    };
    // A pass must be one by its judges as well.
    if decision == Decision::Possible {
        for judgement in recording.judge(&decision) {
            assert_eq!(judgement.verdict, crate::verdict::Verdict::Pass, "{judgement:?}");
        }
    }
    let model = recording.model().name();
    Ok(format!("{} of a {model}, {} operations: {what}", format.name(), recording.operations()))
}

fn told(text: &str) -> String {
    told_as(text, &Reading::default()).unwrap_or_else(|error| error)
}

fn modelled(text: &str, model: ModelName) -> String {
    let reading = Reading { model: Some(model), ..Reading::default() };
    told_as(text, &reading).unwrap_or_else(|error| error)
}

fn all(texts: &[&str]) -> String {
    texts.iter().map(|text| told(text)).collect::<Vec<_>>().join("\n")
}

/// Events of operations one after the other: each of a process, a function, what was asked and what was
/// answered.
fn one_by_one(operations: &[(i64, &str, &str, &str)]) -> String {
    let event = |(process, function, asked, answered): &(i64, &str, &str, &str)| {
        format!(
            "{{:process {process}, :type :invoke, :f :{function}, :value {asked}}}\n\
             {{:process {process}, :type :ok, :f :{function}, :value {answered}}}\n"
        )
    };
    operations.iter().map(event).collect()
}

#[test]
fn transactions_on_lists_are_judged_as_lists_and_by_their_dependencies() {
    let right = one_by_one(&[
        (0, "txn", "[[:append :x 1] [:r :y nil]]", "[[:append :x 1] [:r :y nil]]"),
        (1, "txn", "[[:r :x nil] [:append :x 2]]", "[[:r :x [1]] [:append :x 2]]"),
        (2, "txn", "[[:r :x nil]]", "[[:r :x [1 2]]]"),
    ]);
    // Two that overwrite each other, written without :f as Elle's examples are.
    let dirty = "{:process 0 :type :invoke :value [[:append 5 1] [:append 6 1]]}
        {:process 1 :type :invoke :value [[:append 5 2] [:append 6 2]]}
        {:process 0 :type :ok :value [[:append 5 1] [:append 6 1]]}
        {:process 1 :type :ok :value [[:append 5 2] [:append 6 2]]}
        {:process 2 :type :invoke :value [[:r 5 nil] [:r 6 nil]]}
        {:process 2 :type :ok :value [[:r 5 [1 2]] [:r 6 [2 1]]]}";
    // Completions alone: each read misses what the other appended.
    let skewed = "({:type :ok, :value [[:r :y nil] [:append :x 1]]}
        {:type :ok, :value [[:r :x nil] [:append :y 1]]}
        {:type :ok, :value [[:r :x [1]] [:r :y [1]]]})";
    // The order of completions says nothing of when they began.
    let late = "[{:type :ok, :value [[:r :x [1]]]} {:type :ok, :value [[:append :x 1]]}]";
    let aborted = "{:process 0, :type :invoke, :f :txn, :value [[:append 1 1]]}
        {:process 0, :type :fail, :f :txn, :value [[:append 1 1]]}
        {:process 0, :type :invoke, :f :txn, :value [[:r 1]]}
        {:process 0, :type :ok, :f :txn, :value [[:r 1 [1]]]}";
    // What an unknown one read says nothing; what it appended may be seen.
    let unknown = "{:process 0, :type :invoke, :f :txn, :value [[:append 1 1] [:r 2 nil]]}
        {:process 0, :type :info, :f :txn, :value [[:append 1 1] [:r 2 nil]], :error :timeout}
        {:process 1, :type :invoke, :f :txn, :value [[:r 1 nil] [:append 2 7]]}
        {:process 1, :type :ok, :f :txn, :value [[:r 1 [1]] [:append 2 7]]}";
    insta::assert_snapshot!(all(&[&right, dirty, skewed, late, aborted, unknown]), @r#"
    jepsen-edn of a list-append, 3 operations: possible
    jepsen-edn of a list-append, 3 operations: impossible
      g0: T1: c0 appended 1 to 5, appended 1 to 6, acknowledged at 0.003 s.
        T2: c1 appended 2 to 5, appended 2 to 6, acknowledged at 0.004 s.
        T1 must come before T2, because c2 read 5 with 1 of T1 directly before 2 of T2.
        T2 must come before T1, because c2 read 6 with 2 of T2 directly before 1 of T1: a contradiction.
    knossos of a list-append, 3 operations: impossible
      g2: T1: c0 read y=[], appended 1 to x, acknowledged at 0.001 s.
        T2: c1 read x=[], appended 1 to y, acknowledged at 0.002 s.
        T1 must come before T2, because T1 read y without 1, which T2 appended.
        T2 must come before T1, because T2 read x without 1, which T1 appended: a contradiction.
    knossos of a list-append, 2 operations: possible
    jepsen-edn of a list-append, 2 operations: impossible
      aborted-read: c0 sent "append 1 to 1" at 0.001 s, which certainly failed (fail); c0 read 1=[1] from 0.003 s to 0.004 s, and 1 among them.
      g1a: c0 sent "append 1 to 1" at 0.001 s, which certainly failed (fail); c0 read 1=[1] from 0.003 s to 0.004 s, and 1 among them.
    jepsen-edn of a list-append, 2 operations: possible
    "#);
    let wrong = [
        "{:process 0, :type :invoke, :f :txn, :value [[:append :x \"a\"]]}",
        "{:process 0, :type :invoke, :f :txn, :value [[:append :x 1] [:w :y 2]]}",
        "{:process 0, :type :invoke, :f :txn, :value [[:append :x 1]]}
         {:process 0, :type :ok, :f :txn, :value [[:append :x 1] [:r :y [2]]]}",
        "{:process 0, :type :invoke, :f :txn, :value [[:append :x 1]]}
         {:process 0, :type :ok, :f :txn, :value [[:append :y 1]]}",
        "{:type :ok, :value [[:append :x 1]]}\n{:type :invoke, :value [[:append :x 2]]}",
    ];
    insta::assert_snapshot!(all(&wrong), @r#"
    line 1, column 1: expected a step such as [:append :x 1] or [:r :y nil], got :txn [:append :x "a"]
    line 1, column 1: expected a step such as [:append :x 1] or [:r :y nil], got :txn [:w :y 2]
    line 1, column 1: expected an answer to each step of its transaction, got :txn [[:append :x 1] [:r :y [2]]]
    line 1, column 1: expected answers to the steps that were asked, in their order, got :txn [:append :y 1]
    line 2, column 1: expected completions alone, as before, got an invocation
    "#);
}

#[test]
fn what_was_only_read_is_taken_for_what_the_answers_look_like() {
    let lists = one_by_one(&[(0, "txn", "[[:r :x nil]]", "[[:r :x []]]")]);
    let unwritten = one_by_one(&[(3, "txn", "[[:r 4 nil] [:r 5 nil]]", "[[:r 4 nil] [:r 5 [2]]]")]);
    let nothing = one_by_one(&[(0, "txn", "[[:r :x nil]]", "[[:r :x nil]]")]);
    let bank = one_by_one(&[
        (0, "read", "nil", "{:a 7, :b 3}"),
        (1, "read", "nil", "{:a 12, :b -2}"),
        (0, "read", "nil", "{:a 7, :b 2}"),
    ]);
    let set = one_by_one(&[(0, "read", "nil", "#{}"), (1, "read", "nil", "[4]")]);
    let sets = one_by_one(&[(0, "read", "[9 nil]", "[9 [1]]")]);
    let registers = one_by_one(&[(0, "read", "[9 nil]", "[9 nil]")]);
    insta::assert_snapshot!(all(&[&lists, &unwritten, &nothing, &bank, &set, &sets, &registers]), @r#"
    jepsen-edn of a list-append, 1 operations: possible
    jepsen-edn of a list-append, 1 operations: impossible
      phantom: c3 read 4=[], read 5=[2] from 0.001 s to 0.002 s, and 2 among them, which nobody ever appended.
    jepsen-edn of a multi-register, 1 operations: possible
    jepsen-edn of a bank, 4 operations: impossible
      overdraft: c1 read a=12, read b=-2 from 0.003 s to 0.004 s.
        An account holds -2, and this bank lets nobody overdraw: a transfer took what was not there.
      wrong-total: c0 read a=7, read b=2 from 0.005 s to 0.006 s.
        Together that is 9, although the accounts were opened with 10 and transfers move no more than they take.
    jepsen-edn of a set, 2 operations: impossible
      phantom: c1 listed s from 0.003 s to 0.004 s: 1 element, with 4, which nobody ever added.
    jepsen-edn of a set, 1 operations: impossible
      No order explains these operations: c0's "read: {1}" ended at line 2, and cannot have taken effect before.
      In the state {}, c0's "read: {1}" is impossible.
    jepsen-edn of a register, 1 operations: possible
    "#);
}

#[test]
fn an_index_that_counts_no_events_leaves_the_order_to_the_lines_and_that_is_said() {
    // Both completions have the number of their invocation; then each process counts for itself.
    let operations = "{:index 1, :process 0, :type :invoke, :f :write, :value 1}
        {:index 2, :process 1, :type :invoke, :f :read}
        {:index 1, :process 0, :type :ok, :f :write, :value 1}
        {:index 2, :process 1, :type :ok, :f :read, :value 1}";
    let each = operations
        .replace(":index 2, :process 1, :type :invoke", ":index 1, :process 1, :type :invoke");
    let shuffled =
        operations.replace(":index 1, :process 0, :type :ok", ":index 0, :process 0, :type :ok");
    let doubled = format!("{operations}\n{{:index 2, :process 1, :type :ok, :f :read, :value 1}}");
    // Two runs in one file.
    let run = operations
        .replace(":index 1, :process 0, :type :ok", ":index 3, :process 0, :type :ok")
        .replace(":index 2, :process 1, :type :ok", ":index 4, :process 1, :type :ok");
    let twice = format!("{run}\n{run}");
    let read = |text: &str| {
        let mut remarks = Vec::new();
        let opened = open_with_remarks(&mut text.as_bytes(), &Reading::default(), &mut remarks);
        match opened {
            Ok((recording, _)) => {
                format!(
                    "{}: {:?}: {remarks:?}",
                    recording.model().name(),
                    recording.decide(Budget::default())
                )
            }
            Err(error) => error.to_string(),
        }
    };
    let all = [operations, &each, &shuffled, &doubled, &twice].map(read).join("\n");
    insta::assert_snapshot!(all, @r#"
    register: Possible: ["that of the lines: several events have the :index 1, so it does not count events"]
    register: Possible: ["that of the lines: several events have the :index 1, so it does not count events"]
    line 3, column 9: expected an :index above 2, that of the event before, got 0: events are missing, doubled or out of their order; help: if the lines are in order, and :index counts something else, leave it out
    line 3, column 9: expected an :index above 2, that of the event before, got 1: events are missing, doubled or out of their order; help: if the lines are in order, and :index counts something else, leave it out
    line 5, column 1: expected an :index above 4, that of the event before, got 1: events are missing, doubled or out of their order; help: if the lines are in order, and :index counts something else, leave it out
    "#);
}

#[test]
fn the_same_in_json_is_judged_the_same() {
    let array = r#"[{"index":0,"process":0,"type":"invoke","value":[["append",1,1],["append",2,1]]},
        {"index":1,"process":0,"type":"ok","value":[["append",1,1],["append",2,1]]},
        {"index":2,"process":1,"type":"invoke","value":[["append",1,2],["append",2,2]]},
        {"index":3,"process":1,"type":"ok","value":[["append",1,2],["append",2,2]]},
        {"index":4,"process":2,"type":"invoke","value":[["r",1,null],["r",2,null]]},
        {"index":5,"process":2,"type":"ok","value":[["r",1,[1,2]],["r",2,[2,1]]]}]"#;
    let lines = r#"{"type":"invoke","f":"cas","value":[1,2],"process":0,"error":"a \"quote\" \/ é"}
        {"type":"info","f":"kill","value":null,"process":"nemesis"}
        {"type":"fail","f":"cas","value":[1,2],"process":0}
        {"type":"invoke","f":"read","value":null,"process":0}
        {"type":"ok","f":"read","value":3,"process":0}"#;
    let lock = r#"{ "f" : "acquire", "process" : 1, "type" : "invoke" }
        { "f" : "acquire", "process" : 1, "type" : "ok" , "value" : null }"#;
    insta::assert_snapshot!(all(&[array, lines, lock, "[{\"type\": \"ok\", \"f\": 1}]"]), @r#"
    jepsen-json of a list-append, 3 operations: impossible
      out-of-order: c0 appended 1 to 1, appended 1 to 2, acknowledged at 0.002 s; only then c1 appended 2 to 1, appended 2 to 2, sent at 0.003 s and acknowledged at 0.004 s; but c2 read 1=[1 2], read 2=[2 1] from 0.005 s to 0.006 s, with 2 before 1.
      g0: T1: c0 appended 1 to 1, appended 1 to 2, acknowledged at 0.002 s.
        T2: c1 appended 2 to 1, appended 2 to 2, acknowledged at 0.004 s.
        T1 must come before T2, because c2 read 1 with 1 of T1 directly before 2 of T2.
        T2 must come before T1, because c2 read 2 with 2 of T2 directly before 1 of T1: a contradiction.
    jepsen-json of a register, 2 operations: impossible
      phantom: c0 read register=3 from 0.004 s to 0.005 s, a value that nobody ever sent.
    jepsen-json of a mutex, 1 operations: possible
    line 1, column 2: expected a keyword as :f, got 1
    "#);
}

#[test]
fn registers_of_transactions_begin_as_their_tool_lets_them_begin() {
    // In the short names of Elle, nil is what was never written; in the long ones it says nothing.
    let elle = one_by_one(&[
        (0, "txn", "[[:w :x 1]]", "[[:w :x 1]]"),
        (1, "txn", "[[:r :x nil] [:r :y nil]]", "[[:r :x 1] [:r :y nil]]"),
        (1, "txn", "[[:r :x nil]]", "[[:r :x nil]]"),
    ]);
    let knossos = elle.replace(":w ", ":write ").replace(":r ", ":read ");
    let fork = "{:process 0, :type :invoke, :f :write, :value [[:w 1 1]]}
        {:process 0, :type :ok, :f :write, :value [[:w 1 1]]}
        {:process 0, :type :invoke, :f :read, :value [[:r 1 nil] [:r 2 nil]]}
        {:process 0, :type :ok, :f :read, :value [[:r 1 nil] [:r 2 nil]]}";
    insta::assert_snapshot!(all(&[&elle, &knossos, fork]), @r#"
    jepsen-edn of a multi-register, 3 operations: impossible
      No order explains these operations: c1's "read x: nil" ended at line 6, and cannot have taken effect before.
      In the state x=1, c1's "read x: nil" is impossible.
    jepsen-edn of a multi-register, 3 operations: possible
    jepsen-edn of a multi-register, 2 operations: impossible
      No order explains these operations: c0's "read 1: nil, read 2: nil" ended at line 4, and cannot have taken effect before.
      In the state 1=1, c0's "read 1: nil, read 2: nil" is impossible.
    "#);
}

#[test]
fn sets_are_judged_by_what_was_read_of_them() {
    let right =
        one_by_one(&[(0, "add", "1", "1"), (1, "add", "2", "2"), (2, "read", "nil", "#{1 2}")]);
    let lost = one_by_one(&[(0, "add", "1", "1"), (2, "read", "nil", "[2]"), (0, "add", "2", "2")]);
    let keyed = one_by_one(&[
        (0, "add", "[0 1]", "[0 1]"),
        (0, "add", "[7 1]", "[7 1]"),
        (2, "read", "[0 nil]", "[0 #{1}]"),
        (2, "read", "[7 nil]", "[7 #{}]"),
    ]);
    let again = one_by_one(&[
        (0, "add", "1", "1"),
        (0, "remove", "1", "1"),
        (0, "add", "1", "1"),
        (1, "read", "nil", "[1]"),
        (0, "remove", "1", "1"),
        (1, "read", "nil", "[1 1]"),
    ]);
    insta::assert_snapshot!(all(&[&right, &lost, &keyed, &again]), @r#"
    jepsen-edn of a set, 3 operations: possible
    jepsen-edn of a set, 3 operations: impossible
      lost-write: c0 added 1 to s, acknowledged at 0.002 s; c2 listed s from 0.003 s to 0.004 s: 1 element, without 1, and no later list has it.
      future-read: c2 listed s from 0.003 s to 0.004 s: 1 element, with 2; only then c0 added 2 to s, sent at 0.005 s and acknowledged at 0.006 s.
    jepsen-edn of a set, 4 operations: impossible
      No order explains these operations: c2's "read: {}" ended at line 8, and cannot have taken effect before.
      In the state {1}, c2's "read: {}" is impossible.
    jepsen-edn of a set, 6 operations: impossible
      No order explains these operations: c1's "read: {1 1}" ended at line 12, and cannot have taken effect before.
      In the state {1}, c1's "read: {1 1}" is impossible.
    "#);
    assert!(told(&one_by_one(&[(0, "add", ":a", ":a")])).contains("whole numbers as the elements"));
}

#[test]
fn counters_add_up_in_some_order() {
    let right =
        one_by_one(&[(0, "add", "2", "2"), (1, "read", "nil", "2"), (0, "add", "-1", "-1")]);
    let open = "{:process 0, :type :invoke, :f :add, :value 3}
        {:process 0, :type :info, :f :add, :value 3}
        {:process 1, :type :invoke, :f :read, :value nil}
        {:process 1, :type :ok, :f :read, :value 3}
        {:process 1, :type :invoke, :f :read, :value nil}
        {:process 1, :type :ok, :f :read, :value 0}";
    let keyed = one_by_one(&[
        (0, "add", "[:a 1]", "[:a 1]"),
        (0, "read", "[:a nil]", "[:a 1]"),
        (0, "read", "[:b nil]", "[:b 1]"),
    ]);
    insta::assert_snapshot!(all(&[&right, open, &keyed]), @r#"
    jepsen-edn of a counter, 3 operations: possible
    jepsen-edn of a counter, 3 operations: impossible
      No order explains these operations: c1's "read: 0" ended at line 6, and cannot have taken effect before.
      In the state 3, c1's "read: 0" is impossible.
    jepsen-edn of a counter, 3 operations: impossible
      No order explains these operations: c0's "read: 1" ended at line 6, and cannot have taken effect before.
      In the state 0, c0's "read: 1" is impossible.
    "#);
    let later = Reading { initial: Some("7".to_string()), ..Reading::default() };
    let nine = one_by_one(&[(0, "add", "2", "2"), (1, "read", "nil", "9")]);
    assert!(told_as(&nine, &later).unwrap().contains("possible"));
    let set = one_by_one(&[(0, "add", "2", "2"), (1, "read", "nil", "#{2}")]);
    assert!(told_as(&set, &later).unwrap_err().contains("a set begins empty"));
}

#[test]
fn banks_keep_the_total_of_the_first_read_or_of_the_caller() {
    let transfer = "{:from 0, :to 1, :amount 3}";
    let right = one_by_one(&[
        (0, "read", "nil", "{0 10, 1 0}"),
        (0, "transfer", transfer, transfer),
        (1, "read", "nil", "{0 7, 1 3}"),
    ]);
    let wrong = right.replace("1 3}}\n", "1 4}}\n");
    let json = r#"[{"process":0,"type":"invoke","f":"transfer","value":{"from":0,"to":1,"amount":3}},
        {"process":1,"type":"invoke","f":"read"},
        {"process":1,"type":"ok","f":"read","value":{"0":10,"1":0}},
        {"process":0,"type":"fail","f":"transfer","value":{"from":0,"to":1,"amount":3}}]"#;
    insta::assert_snapshot!(all(&[&right, &wrong, json]), @r#"
    jepsen-edn of a bank, 4 operations: possible
    jepsen-edn of a bank, 4 operations: impossible
      wrong-total: c1 read 0=7, read 1=4 from 0.005 s to 0.006 s.
        Together that is 11, although the accounts were opened with 10 and transfers move no more than they take.
    jepsen-json of a bank, 3 operations: possible
    "#);
    let said = |total: &str| {
        told_as(&right, &Reading { initial: Some(total.to_string()), ..Reading::default() })
    };
    assert!(said("10").unwrap().contains("possible"));
    assert!(said("100").unwrap().contains("wrong-total"));
    assert!(said("x").unwrap_err().contains("the total of a bank"));
    let other = one_by_one(&[
        (0, "transfer", transfer, transfer),
        (0, "read", "nil", "{0 10, 1 0}"),
        (0, "read", "nil", "{0 10, 2 0}"),
    ]);
    insta::assert_snapshot!(told(&other), @"line 5, column 1: expected the balances of 0, 1 and no others, got :read {0 10, 2 0}");
}

#[test]
fn banks_let_nobody_overdraw_unless_they_are_told_to() {
    let transfer = "{:from 1, :to 0, :amount 5}";
    let overdrawn = one_by_one(&[
        (0, "read", "nil", "{0 10, 1 0}"),
        (0, "transfer", transfer, transfer),
        (1, "read", "nil", "{0 15, 1 -5}"),
    ]);
    let closed =
        one_by_one(&[(0, "read", "nil", "{0 6, 1 4}"), (0, "read", "nil", "{0 10, 1 nil}")]);
    insta::assert_snapshot!(all(&[&overdrawn, &closed]), @r#"
    jepsen-edn of a bank, 4 operations: impossible
      overdraft: c1 read 0=15, read 1=-5 from 0.005 s to 0.006 s.
        An account holds -5, and this bank lets nobody overdraw: a transfer took what was not there.
    jepsen-edn of a bank, 3 operations: impossible
      wrong-total: c0 read 0=10, read 1=absent from 0.003 s to 0.004 s.
        Accounts without a balance: 1. None is ever closed, so a sum without them says nothing.
    "#);
    let reading = Reading { model: Some(ModelName::BankWithDebts), ..Reading::default() };
    let told = told_as(&overdrawn, &reading).unwrap();
    assert_eq!(told, "jepsen-edn of a bank-with-debts, 4 operations: possible");
}

#[test]
fn queues_give_what_was_put_in_and_those_in_order_in_their_order() {
    let swapped = one_by_one(&[
        (0, "enqueue", "1", "1"),
        (0, "enqueue", "2", "2"),
        (1, "dequeue", "nil", "2"),
        (1, "drain", "nil", "[1]"),
    ]);
    let twice = one_by_one(&[
        (0, "enqueue", "1", "1"),
        (1, "dequeue", "nil", "1"),
        (1, "dequeue", "nil", "1"),
    ]);
    let empty = one_by_one(&[(0, "enqueue", "1", "1"), (1, "dequeue", "nil", "nil")]);
    let open = "{:process 0, :type :invoke, :f :enqueue, :value 1}
        {:process 0, :type :info, :f :enqueue, :value 1}
        {:process 1, :type :invoke, :f :dequeue, :value nil}
        {:process 1, :type :info, :f :dequeue, :value nil}
        {:process 2, :type :invoke, :f :dequeue, :value nil}
        {:process 2, :type :ok, :f :dequeue, :value 1}";
    insta::assert_snapshot!(all(&[&swapped, &twice, &empty, open]), @r#"
    jepsen-edn of a unordered-queue, 4 operations: possible
    jepsen-edn of a unordered-queue, 3 operations: impossible
      No order explains these operations: c1's "dequeue: 1" ended at line 6, and cannot have taken effect before.
      In the state [], c1's "dequeue: 1" is impossible.
    jepsen-edn of a unordered-queue, 2 operations: impossible
      No order explains these operations: c1's "dequeue: nothing" ended at line 4, and cannot have taken effect before.
      In the state [1], c1's "dequeue: nothing" is impossible.
    jepsen-edn of a unordered-queue, 3 operations: possible
    "#);
    insta::assert_snapshot!(modelled(&swapped, ModelName::FifoQueue), @r#"
    jepsen-edn of a fifo-queue, 4 operations: impossible
      No order explains these operations: c1's "dequeue: 2" ended at line 6, and cannot have taken effect before.
      In the state [1 2], c1's "dequeue: 2" is impossible.
    "#);
    assert!(modelled(open, ModelName::FifoQueue).ends_with("possible"));
    let both = open.to_string()
        + &empty.replace(":process 0", ":process 5").replace(":process 1", ":process 6");
    insta::assert_snapshot!(told(&both), @"line 3: what this dequeue took is not known, and another found the queue empty; expected one or the other of a queue without an order, as which element is gone then matters");
}

#[test]
fn what_clojure_prints_around_the_data_is_read() {
    let record = "#jepsen.history.Op{:index 0, :time 5, :type :invoke, :process 0, :f :write, :value 3}\r\n\
        #jepsen.history.Op{:index 1, :time 9, :type :info, :process :nemesis, :f :start-partition, \
        :value [:isolated {\"n1\" #{\"n2\"}}]}\r\n\
        #jepsen.history.Op{:index 2, :time 9, :type :ok, :process 0, :f :write, :value 3, \
        :error #object[java.net.ConnectException 0x1f \"refused\"], :rate ##NaN, :at #inst \"2026\"}\r\n";
    let marked = format!("\u{feff}{record}");
    let tabbed = "[{:type\t:invoke,,:process\t4\t:f :read :value [:k nil] :ext #:jepsen{:node \"n1\"}}\n\
        ; a comment\n{:type :ok :process 4 :f :read :value [:k nil]} #_ {:type :ok}]";
    insta::assert_snapshot!(all(&[record, &marked, tabbed]), @r#"
    jepsen-edn of a register, 1 operations: possible
    jepsen-edn of a register, 1 operations: possible
    knossos of a register, 2 operations: possible
    "#);
}

#[test]
fn what_is_no_history_is_refused_with_the_reason() {
    let bytes = |bytes: &[u8]| {
        open(&mut &bytes[..], &Reading::default()).map(|_| ()).unwrap_err().to_string()
    };
    let refused = [
        bytes(b"\x1f\x8b\x08\x00\x00\x00"),
        bytes(b"JEPSEN\x00\x00\x00\x01"),
        bytes(b"\xc0\xff\xee"),
        told(
            "{:index 4, :process 0, :type :invoke, :f :write, :value 1}\n{:index 4, :process 0, :type :invoke, :f :write, :value 1}",
        ),
        told(
            "{:index 4, :process 0, :type :invoke, :f :write, :value 1}\n {:index 3, :process 1, :type :invoke, :f :read}",
        ),
        told("{:type :ok, :f :write, :value 1}"),
        told("{:type :invoke, :f :write, :value 1}\n{:type :invoke, :f :write, :value 1}"),
    ];
    insta::assert_snapshot!(refused.join("\n"), @r#"
    line 1, column 1: this is no history: expected a header such as {"history":1,"workload":"register","nodes":3}, a line of jepsen.util, or EDN, got a gzip file; unpack it first
    line 1, column 1: this is no history: expected a header such as {"history":1,"workload":"register","nodes":3}, a line of jepsen.util, or EDN, got binary data; a history.fressian or test.jepsen of Jepsen must be written as EDN first
    line 1, column 1: this is no history: expected a header such as {"history":1,"workload":"register","nodes":3}, a line of jepsen.util, or EDN, got binary data; a history.fressian or test.jepsen of Jepsen must be written as EDN first
    line 2, column 1: expected an :index above 4, that of the event before, got 4: events are missing, doubled or out of their order; help: if the lines are in order, and :index counts something else, leave it out
    line 2, column 2: expected an :index above 4, that of the event before, got 3: events are missing, doubled or out of their order; help: if the lines are in order, and :index counts something else, leave it out
    line 1, column 1: the one process of events without :process has no operation open
    line 2, column 1: the one process of events without :process has had an operation open since line 1
    "#);
}

#[test]
fn a_lock_that_two_hold_and_a_string_that_lost_a_part_are_told_by_what_they_can_have_been() {
    let lock = one_by_one(&[
        (0, "acquire", "nil", "nil"),
        (1, "acquire", "nil", "nil"),
        (0, "release", "nil", "nil"),
    ]);
    let strings = "{:process 0, :type :invoke, :f :append, :key \"k\", :value \"x\"}
        {:process 0, :type :ok, :f :append, :key \"k\", :value \"x\"}
        {:process 1, :type :invoke, :f :append, :key \"k\", :value \"y\"}
        {:process 1, :type :ok, :f :append, :key \"k\", :value \"y\"}
        {:process 2, :type :invoke, :f :get, :key \"k\", :value nil}
        {:process 2, :type :ok, :f :get, :key \"k\", :value \"y\"}";
    insta::assert_snapshot!(all(&[&lock, strings]), @r#"
    jepsen-edn of a mutex, 3 operations: impossible
      No order explains these operations: c1's "acquire: ok" ended at line 4, and cannot have taken effect before.
      In the state held, c1's "acquire: ok" is impossible.
    porcupine-kv of a key-value, 3 operations: impossible
      No order explains these operations: c2's "get k: "y"" ended at line 6, and cannot have taken effect before.
      In the state "xy", c2's "get k: "y"" is impossible.
    "#);
}

#[test]
fn logs_of_later_runs_and_of_other_things_than_one_register_are_read() {
    let later = "2023-10-01 12:00:00,123{GMT}\tINFO\t[jepsen worker 0] jepsen.util: 0\t:invoke\t:write\t3\n\
        2023-10-01 12:00:00,223{GMT}\tINFO\t[jepsen worker 0] jepsen.util: 0\t:ok\t:write\t3\n\
        2023-10-01 12:00:00,323{GMT}\tINFO\t[jepsen nemesis] jepsen.util: :nemesis\t:info\t:start\tnil\n\
        2023-10-01 12:00:00,423{GMT}\tINFO\t[jepsen worker 1] jepsen.util: 1\t:invoke\t:read\tnil\n\
        2023-10-01 12:00:00,523{GMT}\tINFO\t[jepsen worker 1] jepsen.util: 1\t:ok\t:read\t4\n";
    let lists = "0\t:invoke\t:txn\t[[:append 9 1] [:r 9 nil]]\n1\t:invoke\t:txn\t[[:r 9 nil]]\n\
        0\t:ok\t:txn\t[[:append 9 1] [:r 9 [1]]]\n:nemesis\t:info\t:start-partition\t:majority\n\
        1\t:ok\t:txn\t[[:r 9 [1]]]\n";
    let keyed = "0\t:invoke\t:write\t[7 1]\n0\t:ok\t:write\t[7 1]\n1\t:invoke\t:read\t[8 nil]\n\
        1\t:info\t:read\t[8 nil]\t:timed-out\n2\t:invoke\t:read\t[7 nil]\n2\t:ok\t:read\t[7 2]\n";
    let whole = "2023-10-01 12:00:00,123{GMT}\tINFO\t[main] jepsen.core: Running test:";
    let other = r#"{"ClientId":1,"Input":{"Type":"put","Key":"k"},"Call":10,"Return":20}"#;
    insta::assert_snapshot!(all(&[later, lists, keyed, whole, other]), @r#"
    jepsen-log of a register, 2 operations: impossible
      phantom: c1 read register=4 from 0.004 s to 0.005 s, a value that nobody ever sent.
    jepsen-log of a list-append, 2 operations: possible
    jepsen-log of a register, 3 operations: impossible
      phantom: c2 read 7=2 from 0.005 s to 0.006 s, a value that nobody ever sent.
    line 1, column 1: this is no history: expected a header such as {"history":1,"workload":"register","nodes":3}, a line of jepsen.util, or EDN, got "2023-10-01 12:00:00,123{GMT}\tINFO\t[main]"; help: of a jepsen.log give the lines of jepsen.util alone, or the history.edn or history.txt beside it
    line 1, column 1: this is no history: expected a header such as {"history":1,"workload":"register","nodes":3}, a line of jepsen.util, or EDN, got a JSON object of another kind, without "process" and "type"; help: docs/checker.md says which events are read, and each is a few lines to write from any log: "{\"ClientId\":1,\"Input\":{\"Type\":\"put\",\"Key"
    "#);
}

#[test]
fn a_process_that_goes_on_after_an_unknown_outcome_is_numbered_after_all_others() {
    insta::assert_snapshot!(told("\
        {:process 0, :type :invoke, :f :write, :value 1}
        {:process 0, :type :info, :f :write, :value 1}
        {:process 0, :type :invoke, :f :read, :value nil}
        {:process 3, :type :invoke, :f :write, :value 5}
        {:process 3, :type :ok, :f :write, :value 5}
        {:process 0, :type :ok, :f :read, :value 7}
    "), @r"
    jepsen-edn of a register, 3 operations: impossible
      phantom: c4 read register=7 from 0.003 s to 0.006 s, a value that nobody ever sent.
    ");
}
