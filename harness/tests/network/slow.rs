//! Links that are slow, connections that are reset, and dials that are refused.

use std::time::{Duration, Instant};

use splitbrain::network::link::Link;
use splitbrain::network::{Dials, Shape};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::rig::{N1, N2, N3, QUIET, Rig, expect, noise, rest, within, write_in_chunks};

/// Tries of which one in ten counts.
const ROUND: usize = 101;

/// How late a byte is over a link that is slow by so much. One in ten of many tries is not later:
/// what the machine adds when it is busy with other tests does not count.
async fn lateness(rig: &Rig, delay: Duration) -> Duration {
    let (mut dialler, mut acceptor) = rig.connect(N1, N2).await;
    let shape = Shape { delay, ..Shape::default() };
    rig.network.shape(&[Link::peers(N1, N2)], shape).unwrap();
    let mut late = Vec::new();
    for _ in 0..ROUND {
        let began = Instant::now();
        dialler.write_all(b"x").await.unwrap();
        expect(&mut acceptor, b"x").await;
        late.push(began.elapsed());
    }
    rig.network.unshape(&[Link::peers(N1, N2)], shape).unwrap();
    assert!(late.iter().all(|late| *late >= delay), "a byte came before its time");
    late.sort();
    late[late.len() / 10]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_delay_is_not_rounded_up_to_the_next_millisecond() {
    let rig = Rig::new().await;
    let mut sent = 0;
    for micros in [300, 1000, 2500, 20_000] {
        let delay = Duration::from_micros(micros);
        // On an idle machine a tenth of a millisecond; the runtime's timer would add one, always.
        let slack = Duration::from_micros(900);
        let mut best = Duration::MAX;
        for _ in 0..5 {
            best = best.min(lateness(&rig, delay).await);
            sent += ROUND as u64;
            if best < delay + slack {
                break;
            }
        }
        assert!(best < delay + slack, "{delay:?} asked, {best:?} seen at best");
    }
    // A chunk is counted once the receiver's kernel has it, and so may the receiver by then.
    rig.until(Link::peers(N1, N2), |seen| seen.slowed.chunks == sent).await;
    let seen = rig.evidence(Link::peers(N1, N2)).slowed;
    assert_eq!((seen.bytes, seen.early), (sent, 0));
    assert!(seen.late >= seen.asked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delay_does_not_add_up_over_chunks_and_bytes_stay_in_order() {
    let rig = Rig::new().await;
    let (mut dialler, mut acceptor) = rig.connect(N1, N2).await;
    let link = [Link::peers(N1, N2)];
    let (delay, jitter) = (Duration::from_millis(40), Duration::from_millis(30));
    let shape = Shape { delay, jitter, seed: 3, ..Shape::default() };
    rig.network.shape(&link, shape).unwrap();
    let bytes = noise(5, 3_000_000);
    let (sent, began) = (bytes.clone(), Instant::now());
    let writer = tokio::spawn(async move {
        write_in_chunks(&mut dialler, &sent, 5).await;
        dialler.shutdown().await.unwrap();
        dialler
    });
    // Healed while bytes are queued: they keep their order all the same.
    rig.until(link[0], |seen| seen.slowed.chunks > 10).await;
    rig.network.unshape(&link, shape).unwrap();
    assert_eq!(rest(&mut acceptor).await, bytes);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    drop(writer.await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bandwidth_is_kept_by_all_connections_of_a_link_together() {
    let rig = Rig::new().await;
    let link = [Link::peers(N1, N2)];
    let mut ends = [rig.connect(N1, N2).await, rig.connect(N1, N2).await];
    let shape = Shape { bytes_per_second: Some(400_000), ..Shape::default() };
    rig.network.shape(&link, shape).unwrap();
    let began = Instant::now();
    let all = ends.iter_mut().enumerate().map(async |(seed, (dialler, acceptor))| {
        let bytes = noise(seed as u64, 100_000);
        within(dialler.write_all(&bytes)).await.unwrap();
        let mut read = vec![0; bytes.len()];
        within(acceptor.read_exact(&mut read)).await.unwrap();
        assert!(read == bytes, "bytes were changed or swapped");
    });
    futures_util::future::join_all(all).await;
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(495), "200 kB in {took:?} at 400 kB/s");
    assert!(took < Duration::from_secs(3), "200 kB in {took:?} at 400 kB/s");
    assert!(rig.evidence(link[0]).slowed.waited > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_holds_what_a_delay_had_queued() {
    let rig = Rig::new().await;
    let (mut dialler, mut acceptor) = rig.connect(N1, N2).await;
    let link = [Link::peers(N1, N2)];
    // Longer than this test may be kept from running between the first word and the cut.
    let delay = Duration::from_secs(1);
    let shape = Shape { delay, ..Shape::default() };
    rig.network.shape(&link, shape).unwrap();
    dialler.write_all(b"one ").await.unwrap();
    rig.network.cut(&link, Dials::Hold).await.unwrap();
    dialler.write_all(b"two").await.unwrap();
    let read = timeout(delay + QUIET, acceptor.read_u8()).await;
    assert!(read.is_err(), "{read:?} came through a cut");
    rig.network.heal(&link, Dials::Hold).unwrap();
    expect(&mut acceptor, b"one two").await;
    assert_eq!(rig.evidence(link[0]).passed_while_cut, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_ends_both_ends_of_every_connection_of_the_link_and_no_other() {
    let rig = Rig::new().await;
    let (mut one, mut one_far) = rig.connect(N1, N2).await;
    let (mut two, mut two_far) = rig.connect(N2, N1).await;
    let (mut other, mut other_far) = rig.connect(N1, N3).await;
    one.write_all(b"x").await.unwrap();
    expect(&mut one_far, b"x").await;
    two.write_all(b"x").await.unwrap();
    expect(&mut two_far, b"x").await;
    rig.network.reset(&[Link::peers(N1, N2)]).await.unwrap();
    for end in [&mut one, &mut one_far, &mut two, &mut two_far] {
        let error = within(end.read(&mut [0; 8])).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    assert_eq!(rig.evidence(Link::peers(N1, N2)).connections_reset, 2);
    assert_eq!(rig.evidence(Link::peers(N1, N3)).connections_reset, 0);
    other.write_all(b"alive").await.unwrap();
    expect(&mut other_far, b"alive").await;
    let (mut again, mut again_far) = rig.connect(N1, N2).await;
    again.write_all(b"again").await.unwrap();
    expect(&mut again_far, b"again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_that_refuses_turns_new_connections_away_and_holds_old_ones() {
    let rig = Rig::new().await;
    let (mut old, mut old_far) = rig.connect(N1, N2).await;
    let link = [Link::peers(N1, N2)];
    rig.network.cut(&link, Dials::Refuse).await.unwrap();
    old.write_all(b"held").await.unwrap();
    let port = rig.network.peer_port(N1, N2).await.unwrap();
    // The reset may come while the dialler still looks at its new connection.
    let error = match within(TcpStream::connect(port)).await {
        Ok(mut new) => within(new.read(&mut [0; 8])).await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    rig.until(link[0], |seen| seen.dials_turned_away == 1 && seen.offered_while_cut == 4).await;
    assert!(rig.evidence(link[0]).proves_a_cut());
    rig.network.heal(&link, Dials::Refuse).unwrap();
    expect(&mut old_far, b"held").await;
    let (mut next, mut next_far) = rig.connect(N1, N2).await;
    next.write_all(b"next").await.unwrap();
    expect(&mut next_far, b"next").await;
}
