//! The receiving ends of all links to this node.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::frame::{
    FRAME_BYTES_MAX, FrameError, HELLO_BYTES_MAX, Hello, decode_hello, decode_message, read,
};
use super::{Inbox, Introduction, Introductions, Pulse, Pulses};
use crate::protocol::{Input, NodeId};

/// Who dials must say hello within this time, so that silent strangers cost nothing for long.
const HELLO_WITHIN: Duration = Duration::from_secs(2);

/// Most connections at a time. A peer has one, and for a while after a fault a few old ones.
const CONNECTIONS_MAX: usize = 256;

/// Bytes read from the kernel at a time.
const READ_BYTES: usize = 256 << 10;

/// Open connections by peer. A peer's last one closing is worth a hint to the core.
type Open = Rc<RefCell<BTreeMap<NodeId, usize>>>;

/// Accepts connections from peers and hands their messages on. Ends when nobody takes them.
pub(crate) async fn listen(
    listener: TcpListener,
    cluster: u64,
    me: NodeId,
    inbox: Inbox,
    introductions: Arc<Introductions>,
    pulses: Pulses,
) {
    let open: Open = Rc::default();
    let mut connections = JoinSet::new();
    while !inbox.is_closed() {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, for example: others may be closed meanwhile.
                    warn!("cannot accept a connection from a peer: {error}");
                    sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            Some(_) = connections.join_next() => continue,
        };
        if connections.len() >= CONNECTIONS_MAX {
            warn!("refused a connection: expected at most {CONNECTIONS_MAX} at a time");
            continue;
        }
        let (inbox, open) = (inbox.clone(), Rc::clone(&open));
        let (introductions, pulses) = (Arc::clone(&introductions), pulses.clone());
        connections.spawn_local(async move {
            let mut stream = BufReader::with_capacity(READ_BYTES, stream);
            if let Some(hello) = welcome(&mut stream, cluster, me).await {
                note(&introductions, &hello);
                // Numbers are few, but a stranger may make some up.
                let pulse = known(&introductions, hello.from).then(|| pulses.of(hello.from));
                let pulse = pulse.unwrap_or_default();
                pulse.dialled();
                receive(&mut stream, hello.from, inbox, open, &pulse).await;
            }
        });
    }
}

fn note(introductions: &Introductions, hello: &Hello) {
    let mut known = introductions.lock().unwrap_or_else(PoisonError::into_inner);
    let Hello { clients, peers, .. } = *hello;
    // Numbers are few, but a stranger may make some up.
    if known.len() < CONNECTIONS_MAX || known.contains_key(&hello.from) {
        known.insert(hello.from, Introduction { clients, peers });
    }
}

fn known(introductions: &Introductions, node: NodeId) -> bool {
    introductions.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&node)
}

/// The hello of a node of this cluster; strangers have none. Whether it is a member is the core's
/// business, since this node may not have heard yet that it is.
async fn welcome(stream: &mut BufReader<TcpStream>, cluster: u64, me: NodeId) -> Option<Hello> {
    match timeout(HELLO_WITHIN, greet(stream, cluster, me)).await {
        Ok(Ok(hello)) => Some(hello),
        // Somebody connected and left; a proxy does so whose other side is gone.
        Ok(Err(FrameError::Io(_))) | Err(_) => None,
        Ok(Err(error)) => {
            warn!("refused a connection: {error}");
            None
        }
    }
}

async fn receive(
    stream: &mut BufReader<TcpStream>,
    from: NodeId,
    inbox: Inbox,
    open: Open,
    pulse: &Pulse,
) {
    *open.borrow_mut().entry(from).or_default() += 1;
    match pass_on(stream, from, &inbox, pulse).await {
        FrameError::Io(_) => {}
        error => warn!("closed the connection from {from}: {error}"),
    }
    let left = {
        let mut open = open.borrow_mut();
        let count = open.entry(from).or_default();
        *count = count.saturating_sub(1);
        *count
    };
    if left == 0 {
        // If the core is gone, so is whoever wants to know.
        let _ = inbox.send(Input::Closed(from)).await;
    }
}

async fn greet(
    stream: &mut BufReader<TcpStream>,
    cluster: u64,
    me: NodeId,
) -> Result<Hello, FrameError> {
    let mut payload = Vec::new();
    read(stream, &mut payload, HELLO_BYTES_MAX).await?;
    let hello: Hello = decode_hello(&payload)?;
    hello.check(cluster, me)?;
    Ok(hello)
}

/// Hands messages on until the connection ends, which it does with an error in any case.
async fn pass_on(
    stream: &mut BufReader<TcpStream>,
    from: NodeId,
    inbox: &Inbox,
    pulse: &Pulse,
) -> FrameError {
    let mut payload = Vec::new();
    loop {
        if let Err(error) = read(stream, &mut payload, FRAME_BYTES_MAX).await {
            return error;
        }
        pulse.beat();
        let message = match decode_message(&payload) {
            Ok(message) => message,
            Err(error) => return error,
        };
        if inbox.send(Input::Message { from, message }).await.is_err() {
            return FrameError::Io(std::io::ErrorKind::BrokenPipe.into());
        }
    }
}
