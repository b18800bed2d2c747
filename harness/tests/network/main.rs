//! The network of links, with real sockets and real processes.

mod rig;
mod slow;

use std::io::Write;
use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::{AsRawFd, RawFd};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::socket::{
    ControlMessage, MsgFlags, Shutdown, SockaddrIn, getsockname, sendmsg, shutdown,
};
use splitbrain::network::link::Link;
use splitbrain::network::{Dials, Shape};

use crate::rig::*;
use splitbrain_workloads::operation::NodeId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_pass_unchanged_both_ways_in_whatever_chunks_and_cuts() {
    let rig = Rig::new().await;
    for seed in 0..8 {
        let (mut dialler, mut acceptor) = rig.connect(N1, N2).await;
        let (there, back) = (noise(seed, 3_000_000), noise(seed + 100, 2_000_000));
        let links = [Link::peers(N1, N2), Link::peers(N2, N1)];
        let (mut dialler_reads, mut dialler_writes) = dialler.split();
        let (mut acceptor_reads, mut acceptor_writes) = acceptor.split();
        let (mut seen_there, mut seen_back) = (Vec::new(), Vec::new());
        let faults = async {
            for round in 0..10 {
                let links = &links[round % 2..];
                rig.network.cut(links, Dials::Hold).await.unwrap();
                tokio::time::sleep(Duration::from_millis(seed % 4)).await;
                rig.network.heal(links, Dials::Hold).unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::join!(
            write_in_chunks(&mut dialler_writes, &there, seed),
            write_in_chunks(&mut acceptor_writes, &back, seed + 7),
            async {
                seen_there.resize(there.len(), 0);
                within(acceptor_reads.read_exact(&mut seen_there)).await.unwrap();
            },
            async {
                seen_back.resize(back.len(), 0);
                within(dialler_reads.read_exact(&mut seen_back)).await.unwrap();
            },
            faults,
        );
        assert!(seen_there == there, "seed {seed}: other bytes at the acceptor");
        assert!(seen_back == back, "seed {seed}: other bytes at the dialler");
    }
    // Bytes are counted once the receiver's kernel has them, and so may the receiver by then.
    rig.until(Link::peers(N1, N2), |seen| seen.passed == 8 * 3_000_000).await;
    let evidence = rig.evidence(Link::peers(N1, N2));
    assert_eq!(evidence.passed_while_cut, 0);
    assert_eq!(evidence.dials_passed, 8);
}

/// Enough at once that the proxy moves pages instead of copying bytes, and with all that can happen
/// to a link in the middle of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_arrives_unchanged_through_cuts_and_delays() {
    const LENGTH: usize = 24 << 20;
    let rig = Rig::new().await;
    let link = Link::peers(N1, N2);
    let (mut dialled, mut accepted) = rig.connect(N1, N2).await;
    let bytes = noise(3, LENGTH);
    let sent = bytes.clone();
    let sender = tokio::spawn(async move {
        within(dialled.write_all(&sent)).await.unwrap();
        dialled
    });
    let network = rig.network.clone();
    let trouble = tokio::spawn(async move {
        let slow = Shape { delay: Duration::from_millis(2), ..Shape::default() };
        loop {
            network.cut(&[link], Dials::Hold).await.unwrap();
            network.heal(&[link], Dials::Hold).unwrap();
            network.shape(&[link], slow).unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
            network.unshape(&[link], slow).unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let mut received = vec![0; LENGTH];
    within(accepted.read_exact(&mut received)).await.unwrap();
    assert!(received == bytes, "other bytes came");
    // Only now, and on a whole link: who ends under a cut takes with it what the link holds.
    trouble.abort();
    assert!(within(trouble).await.unwrap_err().is_cancelled());
    rig.network.heal(&[link], Dials::Hold).unwrap();
    let mut dialled = within(sender).await.unwrap();
    dialled.shutdown().await.unwrap();
    assert_eq!(within(accepted.read(&mut received)).await.unwrap(), 0, "more came");
    let seen = rig.evidence(link);
    assert_eq!((seen.passed, seen.passed_while_cut), (LENGTH as u64, 0));
}

#[tokio::test]
async fn a_half_close_is_passed_on_and_the_answer_still_arrives() {
    let rig = Rig::new().await;
    let (mut dialler, mut acceptor) = rig.connect(N1, N2).await;
    dialler.write_all(b"question").await.unwrap();
    dialler.shutdown().await.unwrap();
    assert_eq!(rest(&mut acceptor).await, b"question");
    acceptor.write_all(b"answer").await.unwrap();
    drop(acceptor);
    assert_eq!(rest(&mut dialler).await, b"answer");
}

#[tokio::test]
async fn a_cut_holds_and_delivers_in_order_after_the_heal() {
    let rig = Rig::new().await;
    let (mut dialler, mut acceptor) = rig.connect(N1, N2).await;
    dialler.write_all(b"before ").await.unwrap();
    expect(&mut acceptor, b"before ").await;
    let link = Link::peers(N1, N2);
    let before = rig.evidence(link);
    rig.network.cut(&[link], Dials::Hold).await.unwrap();
    for part in [&b"one "[..], b"two ", b"three"] {
        dialler.write_all(part).await.unwrap();
        expect_nothing(&mut acceptor).await;
    }
    rig.until(link, |seen| seen.offered_while_cut == 13).await;
    let during = rig.evidence(link).since(before);
    assert!(during.proves_a_cut(), "{during:?}");
    assert_eq!((during.passed, during.passed_while_cut), (0, 0));
    rig.network.heal(&[link], Dials::Hold).unwrap();
    expect(&mut acceptor, b"one two three").await;
    dialler.write_all(b" after").await.unwrap();
    expect(&mut acceptor, b" after").await;
}

#[tokio::test]
async fn more_than_can_be_held_makes_the_sender_wait_and_loses_nothing() {
    let rig = Rig::new().await;
    let (dialler, mut acceptor) = rig.connect(N1, N2).await;
    let link = Link::peers(N1, N2);
    rig.network.cut(&[link], Dials::Hold).await.unwrap();
    let flood = noise(5, 24 << 20);
    let (sent, copy) = (Arc::new(AtomicU64::new(0)), flood.clone());
    let progress = Arc::clone(&sent);
    let writer = tokio::spawn(async move {
        let mut dialler = dialler;
        for chunk in copy.chunks(10_000) {
            dialler.write_all(chunk).await.unwrap();
            progress.fetch_add(chunk.len() as u64, Ordering::SeqCst);
        }
        dialler
    });
    rig.until(link, |seen| seen.offered_while_cut >= 1 << 20).await;
    tokio::time::sleep(QUIET).await;
    assert!(rig.evidence(link).offered_while_cut < 2 << 20, "it holds without limit");
    assert!(sent.load(Ordering::SeqCst) < 24 << 20, "the sender was not made to wait");
    rig.network.heal(&[link], Dials::Hold).unwrap();
    let mut seen = vec![0; flood.len()];
    within(acceptor.read_exact(&mut seen)).await.unwrap();
    assert!(seen == flood, "other bytes than were sent");
    drop(within(writer).await.unwrap());
}

#[tokio::test]
async fn a_one_way_cut_holds_that_way_on_connections_dialled_from_either_side() {
    let rig = Rig::new().await;
    let (mut one_dialled, mut two_accepted) = rig.connect(N1, N2).await;
    let (mut two_dialled, mut one_accepted) = rig.connect(N2, N1).await;
    rig.network.cut(&[Link::peers(N1, N2)], Dials::Hold).await.unwrap();
    for from_two in [&mut two_accepted, &mut two_dialled] {
        from_two.write_all(b"from two").await.unwrap();
    }
    expect(&mut one_dialled, b"from two").await;
    expect(&mut one_accepted, b"from two").await;
    for from_one in [&mut one_dialled, &mut one_accepted] {
        from_one.write_all(b"from one").await.unwrap();
    }
    expect_nothing(&mut two_accepted).await;
    expect_nothing(&mut two_dialled).await;
    // Other links are not touched.
    let (mut other, mut third) = rig.connect(N1, N3).await;
    other.write_all(b"hello").await.unwrap();
    expect(&mut third, b"hello").await;
    rig.network.heal_all();
    expect(&mut two_accepted, b"from one").await;
    expect(&mut two_dialled, b"from one").await;
}

#[tokio::test]
async fn a_dial_while_either_way_is_cut_waits_for_the_heal() {
    let rig = Rig::new().await;
    let there = Link::peers(N1, N2);
    let at = rig.network.peer_port(N1, N2).await.unwrap();
    for cut in [there, there.reverse()] {
        rig.network.cut(&[cut], Dials::Hold).await.unwrap();
        let held = rig.evidence(cut).dials_held;
        let mut dialler = rig.dial(at).await;
        dialler.write_all(b"hello").await.unwrap();
        rig.until(cut, |seen| seen.dials_held == held + 1).await;
        rig.nobody_connects(N2).await;
        rig.network.heal(&[cut], Dials::Hold).unwrap();
        let mut acceptor = rig.accept(N2).await;
        expect(&mut acceptor, b"hello").await;
        acceptor.write_all(b"hello back").await.unwrap();
        expect(&mut dialler, b"hello back").await;
    }
    // Whoever gives up meanwhile was never there.
    rig.network.cut(&[there], Dials::Hold).await.unwrap();
    let held = rig.evidence(there).dials_held;
    let mut dialler = rig.dial(at).await;
    dialler.write_all(b"hello").await.unwrap();
    rig.until(there, |seen| seen.dials_held == held + 1).await;
    // Not by dropping it alone: a process that another test is about to start may hold a copy.
    dialler.shutdown().await.unwrap();
    drop(dialler);
    rig.network.heal(&[there], Dials::Hold).unwrap();
    rig.nobody_connects(N2).await;
}

#[tokio::test]
async fn the_end_of_a_node_is_news_that_a_cut_holds_too() {
    let rig = Rig::new().await;
    let (mut dialler, mut acceptor) = rig.connect(N1, N2).await;
    rig.network.cut(&[Link::peers(N2, N1)], Dials::Hold).await.unwrap();
    dialler.write_all(b"before").await.unwrap();
    expect(&mut acceptor, b"before").await;
    acceptor.write_all(b"never seen").await.unwrap();
    rig.until(Link::peers(N2, N1), |seen| seen.offered_while_cut == 10).await;
    drop(acceptor);
    expect_nothing(&mut dialler).await;
    // The second meets the reset that answers the first, and that is news as well.
    for _ in 0..2 {
        dialler.write_all(b"to the dead").await.unwrap();
        expect_nothing(&mut dialler).await;
    }
    rig.network.heal_all();
    assert_eq!(rest(&mut dialler).await, b"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_before_the_end_of_the_request_is_not_lost() {
    let rig = Rig::new().await;
    for round in 0..50 {
        let (mut dialler, mut acceptor) = rig.connect(N1, N2).await;
        dialler.write_all(b"a long").await.unwrap();
        expect(&mut acceptor, b"a long").await;
        // Small enough to be with the proxy before the end: TCP itself loses the rest.
        let answer = noise(round, 2_000);
        acceptor.write_all(&answer).await.unwrap();
        drop(acceptor);
        // Sent to an end that is closed: a reset comes back, behind the answer.
        let _ = dialler.write_all(b"request").await;
        let _ = dialler.write_all(b"that goes on").await;
        assert!(rest(&mut dialler).await == answer, "round {round}");
    }
}

#[tokio::test]
async fn a_receiver_that_does_not_read_does_not_delay_a_cut() {
    let rig = Rig::new().await;
    let (dialler, mut acceptor) = rig.connect(N1, N2).await;
    let link = Link::peers(N1, N2);
    let flood = noise(9, 32 << 20);
    let copy = flood.clone();
    let writer = tokio::spawn(async move {
        let mut dialler = dialler;
        dialler.write_all(&copy).await.unwrap();
        dialler
    });
    // Until the kernel's buffers are full and the proxy waits for the receiver.
    let mut last = 0;
    within(async {
        loop {
            tokio::time::sleep(QUIET).await;
            let passed = rig.evidence(link).passed;
            if passed > 0 && passed == last {
                break;
            }
            last = passed;
        }
    })
    .await;
    within(rig.network.cut(&[link], Dials::Hold)).await.unwrap();
    rig.network.heal(&[link], Dials::Hold).unwrap();
    let mut seen = vec![0; flood.len()];
    within(acceptor.read_exact(&mut seen)).await.unwrap();
    assert!(seen == flood, "other bytes than were sent");
    drop(within(writer).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_a_cut_is_in_force_no_byte_passes() {
    let rig = Rig::new().await;
    let link = Link::peers(N1, N2);
    let received = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for seed in 0..8 {
        let (mut dialler, mut acceptor) = rig.connect(N1, N2).await;
        tasks.spawn(async move {
            let bytes = noise(seed, 700);
            while dialler.write_all(&bytes).await.is_ok() {
                tokio::task::yield_now().await;
            }
        });
        let received = Arc::clone(&received);
        tasks.spawn(async move {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(bytes @ 1..) = acceptor.read(&mut buffer).await {
                received.fetch_add(bytes as u64, Ordering::SeqCst);
            }
        });
    }
    for _ in 0..30 {
        let before = rig.evidence(link);
        rig.until(link, |seen| seen.since(before).passed > 10_000).await;
        rig.network.cut(&[link], Dials::Hold).await.unwrap();
        let in_force = rig.evidence(link);
        rig.until(link, |seen| seen.since(before).offered_while_cut > 0).await;
        // All that the proxy says it handed on arrives, and not one byte more.
        within(async {
            while received.load(Ordering::SeqCst) < in_force.passed {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(received.load(Ordering::SeqCst), in_force.passed);
        assert_eq!(rig.evidence(link).passed, in_force.passed);
        rig.network.heal(&[link], Dials::Hold).unwrap();
    }
    assert_eq!(rig.evidence(link).passed_while_cut, 0);
    tasks.shutdown().await;
}

#[tokio::test]
async fn a_fault_that_was_never_injected_shows_bytes_passed_and_none_offered() {
    let rig = Rig::new().await;
    let (mut dialler, mut acceptor) = rig.connect(N1, N2).await;
    let link = Link::peers(N1, N2);
    let before = rig.evidence(link);
    // Here a nemesis turned into a no-op cuts nothing.
    dialler.write_all(b"as if nothing were").await.unwrap();
    expect(&mut acceptor, b"as if nothing were").await;
    let seen = rig.evidence(link).since(before);
    assert!(!seen.proves_a_cut(), "{seen:?}");
    assert_eq!((seen.passed, seen.offered_while_cut, seen.dials_held), (18, 0, 0));
}

#[tokio::test]
async fn a_refused_request_is_known_not_to_have_been_sent() {
    let mut rig = Rig::new().await;
    let lane = rig.network.client_lane(N1).await.unwrap();
    let mark = lane.mark();
    let mut client = rig.dial(lane.addr()).await;
    client.write_all(b"request").await.unwrap();
    expect(&mut rig.accept(N1).await, b"request").await;
    let sent = lane.settle(mark).await.unwrap();
    assert_eq!((sent.forwarded, sent.was_refused()), (7, false));

    // The node is down: the client is told at once, and knows.
    let listener = rig.listeners.remove(0);
    // Not by dropping it alone: a process that another test is about to start may hold a copy.
    shutdown(listener.as_raw_fd(), Shutdown::Read).unwrap();
    drop(listener);
    let mark = lane.mark();
    let mut client = rig.dial(lane.addr()).await;
    let _ = client.write_all(b"request").await;
    assert_eq!(rest(&mut client).await, b"");
    let sent = lane.settle(mark).await.unwrap();
    assert!(sent.was_refused(), "{sent:?}");
    assert!(rig.evidence(Link::to_node(N1)).dials_refused > 0);
}

#[tokio::test]
async fn after_a_lane_is_abandoned_nothing_more_of_it_reaches_the_node() {
    let rig = Rig::new().await;
    let link = Link::to_node(N1);
    let lane = rig.network.client_lane(N1).await.unwrap();
    let mut client = rig.dial(lane.addr()).await;
    client.write_all(b"first ").await.unwrap();
    let mut node = rig.accept(N1).await;
    expect(&mut node, b"first ").await;
    rig.network.cut(&[link], Dials::Hold).await.unwrap();
    let mark = lane.mark();
    client.write_all(b"held").await.unwrap();
    rig.until(link, |seen| seen.offered_while_cut == 4).await;
    // A second connection, at whatever stage of being accepted.
    let mut second = rig.dial(lane.addr()).await;
    second.write_all(b"held as well").await.unwrap();
    let sent = lane.settle(mark).await.unwrap();
    assert_eq!((sent.forwarded, sent.refused), (0, 0));
    rig.network.heal(&[link], Dials::Hold).unwrap();
    assert_eq!(rest(&mut node).await, b"");
    assert_eq!(rest(&mut client).await, b"");
    assert_eq!(rest(&mut second).await, b"");
    rig.nobody_connects(N1).await;
    // The lane itself goes on, also after all clients were closed.
    rig.network.close_clients().await.unwrap();
    let mut third = rig.dial(lane.addr()).await;
    third.write_all(b"third").await.unwrap();
    expect(&mut rig.accept(N1).await, b"third").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_that_was_settled_forwards_nothing_however_busy_it_was() {
    let rig = Rig::new().await;
    let lane = rig.network.client_lane(N1).await.unwrap();
    for seed in 0..100 {
        let mut client = rig.dial(lane.addr()).await;
        let flood = tokio::spawn(async move {
            let bytes = noise(seed, 500);
            while client.write_all(&bytes).await.is_ok() {}
        });
        let mut node = rig.accept(N1).await;
        let before = lane.mark();
        let mut received = vec![0; 2000];
        within(node.read_exact(&mut received)).await.unwrap();
        lane.settle(before).await.unwrap();
        let settled = lane.mark();
        within(flood).await.unwrap();
        assert_eq!(lane.mark(), settled, "round {seed}");
    }
}

#[tokio::test]
async fn a_connection_in_the_accept_queue_is_abandoned_too() {
    // One thread that does not yield between connect and abandon: the proxy had no chance to
    // accept.
    let rig = Rig::new().await;
    let lane = rig.network.client_lane(N1).await.unwrap();
    let clients: Vec<_> = (0..10)
        .map(|_| {
            let mut client = std::net::TcpStream::connect(lane.addr()).unwrap();
            client.write_all(b"late").unwrap();
            client
        })
        .collect();
    let mark = lane.mark();
    let sent = lane.settle(mark).await.unwrap();
    assert_eq!(sent.forwarded, 0);
    // The clients are still open: it is the lane that has let go of them.
    rig.nobody_connects(N1).await;
    drop(clients);
}

/// Whoever reads `/proc/<pid>/fd` holds each file for a moment, on a busy machine for a long one.
/// A descriptor on its way through a socket holds it for as long as this test wants.
#[tokio::test]
async fn a_lane_can_be_used_again_while_somebody_holds_its_listener() {
    let rig = Rig::new().await;
    let lane = rig.network.client_lane(N1).await.unwrap();
    let SocketAddr::V4(address) = lane.addr() else { panic!("{}", lane.addr()) };
    let at = |fd: &RawFd| {
        getsockname::<SockaddrIn>(*fd).is_ok_and(|bound| SocketAddrV4::from(bound) == address)
    };
    let listener = (0..1024).find(at).expect("a lane listens at its address");
    let (held, _far) = std::os::unix::net::UnixStream::pair().unwrap();
    let rights = [ControlMessage::ScmRights(&[listener])];
    let byte = [std::io::IoSlice::new(b"!")];
    sendmsg::<()>(held.as_raw_fd(), &byte, &rights, MsgFlags::empty(), None).unwrap();
    lane.abandon().await.unwrap();
    let mut client = rig.dial(lane.addr()).await;
    client.write_all(b"again").await.unwrap();
    expect(&mut rig.accept(N1).await, b"again").await;
    rig.network.shutdown().await;
    let refused = TcpStream::connect(lane.addr()).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn of_a_half_open_connection_one_end_is_reset_and_the_other_hears_nothing_until_the_heal() {
    let rig = Rig::new().await;
    let (link, back) = (Link::peers(N1, N2), Link::peers(N2, N1));
    for forgets in [N1, N2] {
        let (mut dialled, mut accepted) = rig.connect(N1, N2).await;
        dialled.write_all(b"before").await.unwrap();
        expect(&mut accepted, b"before").await;
        let before = (rig.evidence(link), rig.evidence(back));
        let silence = rig.network.half_open(&[link, back], &[forgets]).await.unwrap();
        let (gone, silent) = match forgets == N1 {
            true => (&mut dialled, &mut accepted),
            false => (&mut accepted, &mut dialled),
        };
        assert_eq!(rest(gone).await, b"");
        expect_nothing(silent).await;
        silent.write_all(b"is anybody there?").await.unwrap();
        let sends = if forgets == N1 { back } else { link };
        let earlier = if forgets == N1 { before.1 } else { before.0 };
        rig.until(sends, |seen| seen.since(earlier).into_silence == 17).await;
        expect_nothing(silent).await;
        // Whoever forgot can dial again.
        let (mut again, mut there) = rig.connect(N1, N2).await;
        again.write_all(b"again").await.unwrap();
        expect(&mut there, b"again").await;
        drop(silence);
        let mut byte = [0];
        let ended = within(silent.read(&mut byte)).await;
        assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        assert_eq!(rig.evidence(link).since(before.0).connections_half_open, 1);
    }
}

#[tokio::test]
async fn the_end_of_a_connection_is_late_and_its_bytes_are_not() {
    let rig = Rig::new().await;
    let link = Link::peers(N1, N2);
    let late = Duration::from_secs(1);
    let slow = Shape { close: late, ..Shape::default() };
    for resets in [false, true] {
        let (mut dialled, mut accepted) = rig.connect(N1, N2).await;
        rig.network.shape(&[link], slow).unwrap();
        let began = std::time::Instant::now();
        dialled.write_all(b"at once").await.unwrap();
        expect(&mut accepted, b"at once").await;
        let passed = began.elapsed();
        if resets {
            dialled.set_zero_linger().unwrap();
        }
        let ends = std::time::Instant::now();
        drop(dialled);
        assert_eq!(rest(&mut accepted).await, b"");
        assert!(ends.elapsed() >= late, "the end came after {:?}", ends.elapsed());
        assert!(passed < late, "bytes took {passed:?}");
        rig.network.unshape(&[link], slow).unwrap();
    }
    assert_eq!(rig.evidence(link).slowed.ends, 2);
}

#[tokio::test]
async fn after_a_shutdown_nobody_listens() {
    let rig = Rig::new().await;
    let (mut dialler, mut acceptor) = rig.connect(N1, N2).await;
    let lane = rig.network.client_lane(N1).await.unwrap();
    let at = rig.network.peer_port(N1, N2).await.unwrap();
    rig.network.shutdown().await;
    assert_eq!(rest(&mut dialler).await, b"");
    assert_eq!(rest(&mut acceptor).await, b"");
    assert!(TcpStream::connect(at).await.is_err());
    assert!(TcpStream::connect(lane.addr()).await.is_err());
}

#[tokio::test]
async fn two_networks_at_once_do_not_meet() {
    let (one, two) = (Rig::new().await, Rig::new().await);
    assert_ne!(one.address.ip(), two.address.ip());
    let (mut dialler, mut acceptor) = one.connect(N1, N2).await;
    let _also = two.connect(N1, N2).await;
    two.network.cut(&two.network.links(), Dials::Hold).await.unwrap();
    dialler.write_all(b"still there").await.unwrap();
    expect(&mut acceptor, b"still there").await;
}

#[tokio::test]
async fn a_link_that_is_not_there_cannot_be_cut() {
    let rig = Rig::new().await;
    let nowhere = Link::peers(N1, NodeId(9));
    let error = rig.network.cut(&[Link::peers(N1, N2), nowhere], Dials::Hold).await.unwrap_err();
    assert_eq!(error.to_string(), "n1->n9: no such link; expected nodes that were added");
    let (mut dialler, mut acceptor) = rig.connect(N1, N2).await;
    dialler.write_all(b"not cut").await.unwrap();
    expect(&mut acceptor, b"not cut").await;
}

/// A process of its own that waits for a line, then carries out a script. Killed when dropped.
struct Caller(Child);

impl Caller {
    fn new(script: &str) -> Caller {
        let child = Command::new("bash")
            .args(["-c", &format!("read -r line; {script}")])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Caller(child)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn go(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Dials, says a word, waits for the next line and says another.
fn dial_script(at: SocketAddr) -> String {
    let (ip, port) = (at.ip(), at.port());
    format!(
        "exec 3<>/dev/tcp/{ip}/{port}; printf first >&3; read -r line; printf second >&3; \
         read -r line"
    )
}

#[tokio::test]
async fn held_bytes_die_with_their_dialler() {
    let rig = Rig::new().await;
    let link = Link::peers(N1, N2);
    let at = rig.network.peer_port(N1, N2).await.unwrap();
    for round in 1..=8 {
        let mut caller = Caller::new(&dial_script(at));
        rig.network.set_pids(N1, &[caller.pid()]);
        caller.go();
        let mut acceptor = rig.accept(N2).await;
        expect(&mut acceptor, b"first").await;
        rig.network.cut(&[link], Dials::Hold).await.unwrap();
        caller.go();
        rig.until(link, |seen| seen.offered_while_cut == 6 * round).await;
        // Dead and healed in one go: the proxy had no chance to hear of the death by itself.
        caller.kill();
        rig.network.heal(&[link], Dials::Hold).unwrap();
        assert_eq!(rest(&mut acceptor).await, b"", "round {round}");
    }
}

#[tokio::test]
async fn the_kernel_tells_who_of_several_dialled_one_address() {
    let rig = Rig::new().await;
    let at = rig.network.advertised_port(N3).await.unwrap();
    let mut one = Caller::new(&dial_script(at));
    // Its dialler is a child of the node's process, in a pipeline with others.
    let mut two = Caller::new(&format!("bash -c '{}' <&0 | cat | cat", dial_script(at)));
    rig.network.set_pids(N1, &[one.pid()]);
    rig.network.set_pids(N2, &[two.pid()]);
    for (caller, node, others) in [(&mut one, N1, N2), (&mut two, N2, N1)] {
        let (link, other) = (Link::peers(node, N3), Link::peers(others, N3));
        let before = rig.evidence(other);
        caller.go();
        let mut acceptor = rig.accept(N3).await;
        expect(&mut acceptor, b"first").await;
        assert_eq!(rig.evidence(link).dials_passed, 1);
        assert_eq!(rig.evidence(other), before);
        // The cut of the other's link leaves this one, the cut of its own does not.
        rig.network.cut(&[other], Dials::Hold).await.unwrap();
        acceptor.write_all(b"x").await.unwrap();
        rig.until(link.reverse(), |seen| seen.passed == 1).await;
        rig.network.heal(&[other], Dials::Hold).unwrap();
        rig.network.cut(&[link], Dials::Hold).await.unwrap();
        caller.go();
        rig.until(link, |seen| seen.offered_while_cut == 6).await;
        rig.network.heal(&[link], Dials::Hold).unwrap();
        expect(&mut acceptor, b"second").await;
    }
}

#[tokio::test]
async fn a_stranger_is_dropped_and_reported_at_every_kind_of_listener() {
    let mut rig = Rig::new().await;
    // The callers are children of this process, which must not be a node's here.
    NodeId::first(3).for_each(|node| rig.network.set_pids(node, &[]));
    let lane = rig.network.client_lane(N3).await.unwrap();
    let listeners = [
        ("n1->n3", rig.network.peer_port(N1, N3).await.unwrap()),
        ("*->n3", rig.network.advertised_port(N3).await.unwrap()),
        ("client->n3", lane.addr()),
    ];
    for (name, at) in listeners {
        let mut caller = Caller::new(&dial_script(at));
        caller.go();
        let stranger = within(rig.strangers.recv()).await.unwrap();
        assert_eq!(stranger.link, name);
        let who = format!("process {} (bash)", caller.pid());
        assert!(stranger.caller.starts_with(&who), "{}", stranger.caller);
        rig.nobody_connects(N3).await;
    }
    // A node at the port of another is not what its link says either.
    let mut caller = Caller::new(&dial_script(listeners[0].1));
    rig.network.set_pids(N2, &[caller.pid()]);
    caller.go();
    let stranger = within(rig.strangers.recv()).await.unwrap();
    assert!(stranger.caller.starts_with("n2"), "{}", stranger.caller);
    rig.nobody_connects(N3).await;
}
