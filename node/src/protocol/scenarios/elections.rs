//! Written-out elections: messages counted, an operator's promotion, a bully that comes back.

use std::time::Duration;

use super::super::*;
use super::{Bench, N1, N2, N3};

/// Election messages until one node leads, when the highest node is gone and all others miss it
/// at once: the worst case of a bully.
fn election_messages(nodes: u16, method: &str) -> u64 {
    let mut bench = Bench::new(nodes, &[method, "completeness=off"]);
    let left: Vec<NodeId> = (1..nodes).map(NodeId).collect();
    for node in &left {
        let patience = bench.cores[node].settings.election_timeout_max();
        bench.now = bench.now.max(patience);
    }
    for node in &left {
        let now = bench.now;
        bench.cores.get_mut(node).expect("it exists").suspicion.deadline = now;
        bench.step(*node, Input::Tick);
    }
    for _ in 0..200 {
        bench.settle(&left);
        if left.iter().any(|node| bench.role(*node) == RoleName::Leader) {
            break;
        }
        bench.now += Duration::from_millis(25);
        for node in &left {
            if bench.cores[node].next_timer() <= bench.now {
                bench.step(*node, Input::Tick);
            }
        }
    }
    let leaders = left.iter().filter(|node| bench.role(**node) == RoleName::Leader).count();
    assert_eq!(leaders, 1, "{method} among {nodes}");
    bench.cores.values().map(|core| core.counters.election_messages).sum()
}

#[test]
fn the_messages_of_an_election_per_method_and_size() {
    let mut table = String::new();
    for method in ["raft", "paxos", "most-recent", "seniority", "bully", "ring"] {
        table += &format!("{method:>12}");
        for nodes in [3, 5, 9, 17] {
            table += &format!("{:>6}", election_messages(nodes, &format!("election={method}")));
        }
        table += "\n";
    }
    insta::assert_snapshot!(table, @"
        raft    18    70   300  1178
       paxos    15    63   255  1023
 most-recent    16    66   262  1038
   seniority    16    66   262  1038
       bully    22   109   500  2244
        ring    13    29    61   125
    ");
}

#[test]
fn under_manual_election_nobody_takes_over_until_an_operator_says_so() {
    let all = [N1, N2, N3];
    let mut bench = Bench::new(3, &["election=manual"]);
    bench.elect(N1, &all);
    assert_eq!(bench.role(N1), RoleName::Leader, "the first node of a new cluster begins");
    bench.put(N1, 1);
    bench.settle(&all);
    for node in [N2, N3] {
        bench.elect(node, &[N2, N3]);
        assert_eq!(bench.role(node), RoleName::Follower);
    }
    bench.wires.clear();
    bench.request(N2, 2, Request::Promote);
    bench.settle(&[N2, N3]);
    assert!(bench.is_done(2));
    assert_eq!(bench.role(N2), RoleName::Leader);
    bench.read(N2, 3);
    bench.settle(&[N2, N3]);
    assert_eq!(bench.value(3).as_deref(), Some("1"));
}

#[test]
fn a_bully_that_comes_back_erases_what_it_missed_unless_logs_are_compared() {
    for (completeness, kept) in [("completeness=off", "1"), ("completeness=on", "2")] {
        let all = [N1, N2, N3];
        let mut bench = Bench::new(3, &["election=bully", completeness]);
        bench.elect(N3, &all);
        assert_eq!(bench.role(N3), RoleName::Leader);
        bench.put(N3, 1);
        bench.settle(&all);
        // n3 is away; n2 takes over and acknowledges.
        bench.elect(N2, &[N1, N2]);
        bench.now += Duration::from_millis(200);
        bench.step(N2, Input::Tick);
        bench.settle(&[N1, N2]);
        assert_eq!(bench.role(N2), RoleName::Leader);
        bench.put(N2, 2);
        bench.settle(&[N1, N2]);
        assert!(bench.is_done(2));
        bench.wires.clear();
        // It comes back as a process that was restarted on its log.
        bench.step(N3, Input::Message { from: N2, message: bench_refusal(&bench) });
        bench.cores.get_mut(&N3).expect("it exists").suspicion.settled = false;
        bench.now += Duration::from_millis(50);
        bench.step(N2, Input::Tick);
        let (from, to, message) = bench.take(N2, N3);
        for message in [message.clone(), message] {
            // Two messages may be handled before the tick.
            bench.step(to, Input::Message { from, message });
        }
        bench.step(N3, Input::Tick);
        bench.settle(&all);
        let leader = all.into_iter().find(|node| bench.role(*node) == RoleName::Leader);
        let leader = leader.expect("somebody leads");
        bench.read(leader, 3);
        bench.settle(&all);
        assert_eq!(bench.value(3).as_deref(), Some(kept), "{completeness}, {leader} leads");
    }
}

/// What the successor of n3 answers when n3 speaks as a leader.
fn bench_refusal(bench: &Bench) -> Message {
    let claim = bench.cores[&N2].hard.claim;
    Message::Refused { epoch: claim.epoch, claim }
}
