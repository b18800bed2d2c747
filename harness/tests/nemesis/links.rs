//! Faults of links, seen in the counters of the traffic that the target itself sends.

use std::sync::Arc;
use std::time::Duration;

use splitbrain::cluster::address::RunAddress;
use splitbrain_reports::record::Effect;
use splitbrain_workloads::operation::NodeId;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::sleepers::{Sleepers, inject, sink};

/// Faults of links beside a plain cut, and what a no-op of each is betrayed by.
const OF_LINKS: [(&str, &str, &str); 7] = [
    (
        "partition: { isolate: n1, scope: peers+clients, flap: { cut: 60ms, healed: 40ms }, \
         at: 100ms, for: 500ms }",
        " times, held ",
        "bytes passed on client->n1",
    ),
    (
        "partition: { isolate: n1, scope: clients, direction: inbound, dials: refuse, at: 100ms, \
         for: 500ms }",
        "nothing passed",
        "bytes passed on client->n1",
    ),
    (
        "delay: { node: n1, by: 20ms, spread: 5ms, scope: clients, at: 100ms, for: 500ms }",
        "ms on average",
        "bytes passed, none of them late",
    ),
    (
        "bandwidth: { node: n1, limit: 1kB, scope: clients, at: 100ms, for: 500ms }",
        "waited for a busy link",
        "bytes passed, none of them late",
    ),
    (
        "reset: { node: n1, scope: clients, again: 50ms, at: 100ms, for: 500ms }",
        " reset",
        "no connection was reset",
    ),
    (
        "half-open: { node: n1, scope: clients, at: 100ms, for: 500ms }",
        "1 connection left half open, ",
        "no connection was left half open",
    ),
    (
        "partition: { links: [client->n1], at: 100ms, for: 500ms }",
        "nothing passed",
        "bytes passed on client->n1",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_links_is_seen_in_the_counters_of_the_traffic() {
    let sleepers = Sleepers::start(true).await;
    let talking = talk(&sleepers).await;
    for (fault, seen, _) in OF_LINKS {
        let record = inject(&sleepers, fault).await;
        let Effect::Seen(evidence) = &record.effect else { panic!("{fault}: {record:?}") };
        assert!(evidence.contains(seen), "{fault}: {evidence}");
    }
    talking.abort();
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_links_turned_into_a_no_op_has_no_effect() {
    let sleepers = Sleepers::start(false).await;
    let talking = talk(&sleepers).await;
    for (fault, _, betrayed_by) in OF_LINKS {
        let record = inject(&sleepers, fault).await;
        let Effect::None(why) = &record.effect else { panic!("{fault}: {record:?}") };
        assert!(why.contains(betrayed_by), "{fault}: {why}");
    }
    talking.abort();
    sleepers.processes.shutdown().await.unwrap();
}

const SLOW_CLOSE: &str =
    "slow-close: { node: n1, by: 30ms, scope: clients, at: 100ms, for: 600ms }";

/// A client that ends each of its connections after a word.
async fn hang_up(sleepers: &Arc<Sleepers>) -> [tokio::task::JoinHandle<()>; 2] {
    // The nodes and their links are those of somebody who goes on talking.
    let talking = talk(sleepers).await;
    let lane = sleepers.network.client_lane(NodeId(1)).await.unwrap();
    let hanging_up = tokio::spawn(async move {
        while let Ok(mut stream) = TcpStream::connect(lane.addr()).await {
            stream.write_all(b"a word").await.ok();
            // One that is gone before the proxy has asked who dialled is carried nowhere.
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    });
    [talking, hanging_up]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_close_is_seen_in_the_ends_that_were_late() {
    let sleepers = Sleepers::start(true).await;
    let talking = hang_up(&sleepers).await;
    let record = inject(&sleepers, SLOW_CLOSE).await;
    let Effect::Seen(evidence) = &record.effect else { panic!("{record:?}") };
    assert!(evidence.contains(" ends of connections late by "), "{evidence}");
    talking.iter().for_each(tokio::task::JoinHandle::abort);
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_close_without_an_end_or_turned_into_a_no_op_has_no_effect() {
    let sleepers = Sleepers::start(true).await;
    let talking = talk(&sleepers).await;
    let record = inject(&sleepers, SLOW_CLOSE).await;
    let why = "no connection over these links ended, and was heard late".to_string();
    assert_eq!(record.effect, Effect::None(why));
    talking.abort();
    sleepers.processes.shutdown().await.unwrap();
    let sleepers = Sleepers::start(false).await;
    let talking = hang_up(&sleepers).await;
    let record = inject(&sleepers, SLOW_CLOSE).await;
    let Effect::None(why) = &record.effect else { panic!("{record:?}") };
    assert!(why.contains("bytes passed, none of them late"), "{why}");
    talking.iter().for_each(tokio::task::JoinHandle::abort);
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_links_without_traffic_have_no_effect() {
    let sleepers = Sleepers::start(true).await;
    let silent = "127.0.0.1:1".parse().unwrap();
    for node in NodeId::first(3) {
        sleepers.network.add_node(node, silent, silent);
    }
    let record = inject(&sleepers, "delay: { node: all, by: 5ms, at: 100ms, for: 500ms }").await;
    let why = "no byte came over any of the links".to_string();
    assert_eq!(record.effect, Effect::None(why));
    sleepers.processes.shutdown().await.unwrap();
}

/// Writes over the link from the clients to `n1` until told to stop; dials again when reset.
async fn talk(sleepers: &Arc<Sleepers>) -> tokio::task::JoinHandle<()> {
    let address = RunAddress::take().unwrap();
    let (peer, client) = (address.port("peer").unwrap(), address.port("client").unwrap());
    let acceptor = sink(client).await;
    for node in NodeId::first(3) {
        sleepers.network.add_node(node, peer, client);
    }
    let lane = sleepers.network.client_lane(NodeId(1)).await.unwrap();
    tokio::spawn(async move {
        let _kept = (address, acceptor);
        loop {
            // A reset may come while the connection is still being looked at.
            let Ok(mut stream) = TcpStream::connect(lane.addr()).await else { continue };
            stream.set_nodelay(true).ok();
            while stream.write_all(b"bytes of the target's own traffic").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    })
}

const CUT: &str = "partition: { isolate: n1, scope: peers+clients, at: 100ms, for: 500ms }";

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_is_seen_by_what_it_held() {
    let sleepers = Sleepers::start(true).await;
    let talking = talk(&sleepers).await;
    let record = inject(&sleepers, CUT).await;
    let Effect::Seen(evidence) = &record.effect else { panic!("{:?}", record.effect) };
    assert!(
        evidence.contains("nothing passed") && evidence.contains("nobody tried "),
        "{evidence}"
    );
    talking.abort();
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_turned_into_a_no_op_is_betrayed_by_the_bytes_that_pass() {
    let sleepers = Sleepers::start(false).await;
    let talking = talk(&sleepers).await;
    let record = inject(&sleepers, CUT).await;
    let betrayed = |why: &str| why.contains("bytes passed on client->n1");
    assert!(matches!(&record.effect, Effect::None(why) if betrayed(why)), "{record:?}");
    talking.abort();
    sleepers.processes.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_that_nobody_ran_into_has_no_effect() {
    let sleepers = Sleepers::start(true).await;
    let silent = "127.0.0.1:1".parse().unwrap();
    for node in NodeId::first(3) {
        sleepers.network.add_node(node, silent, silent);
    }
    let record = inject(&sleepers, CUT).await;
    let why = "no cut link was offered a byte".to_string();
    assert_eq!(record.effect, Effect::None(why));
    sleepers.processes.shutdown().await.unwrap();
}
