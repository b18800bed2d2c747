//! Three nodes, whose diallers and acceptors are this test, and a network between them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use splitbrain::cluster::RunAddress;
use splitbrain::network::link::Link;
use splitbrain::network::{LinkEvidence, Network, Stranger};
use splitbrain_workloads::operation::NodeId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Longest wait for anything that must happen.
pub(crate) const BOUND: Duration = Duration::from_secs(10);

/// How long nothing must happen: many times what a byte takes from end to end.
pub(crate) const QUIET: Duration = Duration::from_millis(100);

pub(crate) const N1: NodeId = NodeId(1);
pub(crate) const N2: NodeId = NodeId(2);
pub(crate) const N3: NodeId = NodeId(3);

/// Three nodes, whose listeners and diallers are this test's process.
pub(crate) struct Rig {
    pub(crate) network: Network,
    pub(crate) strangers: mpsc::Receiver<Stranger>,
    pub(crate) listeners: Vec<TcpListener>,
    pub(crate) address: Arc<RunAddress>,
}

impl Rig {
    pub(crate) async fn new() -> Rig {
        let address = Arc::new(RunAddress::take().unwrap());
        let (network, strangers) = Network::new(Arc::clone(&address));
        let mut listeners = Vec::new();
        for node in NodeId::first(3) {
            let listener =
                TcpListener::bind(address.port(node.to_string()).unwrap()).await.unwrap();
            let at = listener.local_addr().unwrap();
            network.add_node(node, at, at);
            network.set_pids(node, &[std::process::id()]);
            listeners.push(listener);
        }
        Rig { network, strangers, listeners, address }
    }

    /// A connection through the proxy, dialler's end first.
    pub(crate) async fn connect(
        &self,
        dialler: NodeId,
        acceptor: NodeId,
    ) -> (TcpStream, TcpStream) {
        let dialled = self.dial(self.network.peer_port(dialler, acceptor).await.unwrap()).await;
        (dialled, self.accept(acceptor).await)
    }

    pub(crate) async fn dial(&self, address: SocketAddr) -> TcpStream {
        let stream = within(TcpStream::connect(address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    pub(crate) async fn accept(&self, node: NodeId) -> TcpStream {
        within(self.listeners[usize::from(node.0) - 1].accept()).await.unwrap().0
    }

    pub(crate) async fn nobody_connects(&self, node: NodeId) {
        let accept = self.listeners[usize::from(node.0) - 1].accept();
        assert!(timeout(QUIET, accept).await.is_err(), "{node} was connected to");
    }

    pub(crate) fn evidence(&self, link: Link) -> LinkEvidence {
        self.network.evidence(link).unwrap()
    }

    pub(crate) async fn until(&self, link: Link, what: impl Fn(LinkEvidence) -> bool) {
        within(async {
            while !what(self.evidence(link)) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(BOUND, what).await.expect("in bounded time")
}

pub(crate) async fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    within(stream.read_exact(&mut read)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&read), String::from_utf8_lossy(bytes));
}

pub(crate) async fn expect_nothing(stream: &mut TcpStream) {
    let mut read = [0; 64];
    match timeout(QUIET, stream.read(&mut read)).await {
        Err(_) => {}
        Ok(read) => panic!("expected nothing, got {read:?}"),
    }
}

/// Reads what is left, to the end or the reset.
pub(crate) async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    let _ = within(stream.read_to_end(&mut read)).await;
    read
}

/// Bytes without a pattern (SplitMix64), so that a shift or a swap shows.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    });
    words.flat_map(u64::to_le_bytes).take(length).collect()
}

/// Writes in chunks of changing sizes from one byte to more than a buffer.
pub(crate) async fn write_in_chunks(
    stream: &mut (impl AsyncWriteExt + Unpin),
    bytes: &[u8],
    seed: u64,
) {
    let sizes = noise(!seed, 4096);
    let mut rest = bytes;
    for size in sizes.chunks(2).cycle() {
        if rest.is_empty() {
            return;
        }
        let size = match size[0] % 3 {
            0 => usize::from(size[1]) + 1,
            1 => (usize::from(size[1]) + 1) * 64,
            _ => (usize::from(size[1]) + 1) * 600,
        };
        let (now, later) = rest.split_at(size.min(rest.len()));
        within(stream.write_all(now)).await.unwrap();
        rest = later;
    }
}
