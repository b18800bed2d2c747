//! A listener in front of a node: accepts, asks who dialled, and lets the connection be carried.
//!
//! One task per listener owns its connections, so that they can be ended for certain. A caller
//! that is not who must be calling here is dropped and reported. Opened by
//! [`Network`](super::Network).

use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{Backlog, Shutdown, listen, shutdown};
use splitbrain_workloads::operation::NodeId;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::dialler::Caller;
use super::link::{Link, Party};
use super::pump::{self, Tally, Way};
use super::{Shared, Stranger};

/// Open connections per listener. A node dials another a few times; a hundred times that is a leak
/// in the target, which would otherwise take all descriptors of the harness.
const CONNECTIONS: usize = 1024;

/// What a listener stands in front of, and for whom.
#[derive(Clone, Debug)]
pub(crate) struct Entrance {
    /// Who must be calling; `None` when any node may, and the kernel says which.
    pub(crate) dialler: Option<Party>,
    /// Whose port is behind it.
    pub(crate) acceptor: NodeId,
    /// That port.
    pub(crate) upstream: SocketAddr,
}

impl Entrance {
    /// The name of the entrance, as far as it can be known before somebody calls.
    fn name(&self) -> String {
        match self.dialler {
            Some(dialler) => Link { from: dialler, to: Party::Node(self.acceptor) }.to_string(),
            None => format!("*->{}", self.acceptor),
        }
    }
}

/// A listener at work. The task ends when the last handle is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    commands: mpsc::Sender<Command>,
}

#[derive(Debug)]
enum Command {
    /// End all connections, also those not accepted yet, and listen again.
    Abandon(oneshot::Sender<io::Result<()>>),
    /// End all connections and the listener.
    Close(oneshot::Sender<io::Result<()>>),
}

impl Proxy {
    /// Listens at an address.
    pub(crate) async fn open(
        shared: Arc<Shared>,
        entrance: Entrance,
        tally: Arc<Tally>,
        address: SocketAddr,
    ) -> io::Result<Proxy> {
        let listener = TcpListener::bind(address).await?;
        let (commands, inbox) = mpsc::channel(4);
        let doorman = Doorman { shared, entrance: Arc::new(entrance), tally };
        tokio::spawn(doorman.serve(listener, inbox));
        Ok(Proxy { address, commands })
    }

    /// Ends all connections at once. When it returns, no byte of theirs reaches the node any more,
    /// not even of those that had connected and were not accepted yet. New connections are served
    /// as before.
    pub(crate) async fn abandon(&self) -> io::Result<()> {
        self.command(Command::Abandon).await
    }

    /// Ends all connections and listens no more.
    pub(crate) async fn close(&self) -> io::Result<()> {
        match self.command(Command::Close).await {
            // It was closed before.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }

    async fn command(
        &self,
        command: impl FnOnce(oneshot::Sender<io::Result<()>>) -> Command,
    ) -> io::Result<()> {
        let closed = || io::Error::new(io::ErrorKind::NotConnected, "the proxy is closed");
        let (done, answer) = oneshot::channel();
        self.commands.send(command(done)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

/// The next connection; never, without a listener.
async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// Connections that the kernel may complete before we accept them: as many as there may be open.
const BACKLOG: i32 = CONNECTIONS as i32;

/// Ends a listener and every connection in its queue, which were never accepted and cannot be found
/// otherwise; its port stays ours.
///
/// It is shut down and not closed: closing a descriptor ends the socket only if nobody else holds
/// the file, and whoever reads `/proc/<pid>/fd`, as [`dialler`](super::dialler) does, holds each
/// file for a moment. On a busy machine that moment is long enough for a bind of the same port to
/// find it taken.
fn silence(listener: TcpListener) -> io::Result<std::net::TcpListener> {
    // Leaves the runtime, which would believe for ever that there is something to accept.
    let listener = listener.into_std()?;
    shutdown(listener.as_raw_fd(), Shutdown::Read)?;
    Ok(listener)
}

/// Listens again on a socket that [`silence`] has ended.
fn listen_again(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    listen(&listener, Backlog::new(BACKLOG)?)?;
    TcpListener::from_std(listener)
}

/// What the task of a listener knows.
#[derive(Clone)]
struct Doorman {
    shared: Arc<Shared>,
    entrance: Arc<Entrance>,
    tally: Arc<Tally>,
}

impl Doorman {
    async fn serve(self, listener: TcpListener, mut inbox: mpsc::Receiver<Command>) {
        let mut listener = Some(listener);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(Command::Abandon(done)) => {
                        let again = self.abandon(listener, &mut connections).await;
                        let (answer, open) = match again {
                            Ok(listener) => (Ok(()), Some(listener)),
                            Err(error) => (Err(error), None),
                        };
                        listener = open;
                        // Who asked may have stopped waiting.
                        let _ = done.send(answer);
                    }
                    Some(Command::Close(done)) => {
                        // Only a socket that does not listen refuses, and there is none.
                        let _ = listener.map(silence);
                        connections.shutdown().await;
                        let _ = done.send(Ok(()));
                        return;
                    }
                    None => return,
                },
                accepted = accept(listener.as_ref()) => match accepted {
                    Ok((stream, _)) if connections.len() < CONNECTIONS => {
                        connections.spawn(self.clone().carry(stream));
                    }
                    Ok((stream, _)) => {
                        self.report(format!("a connection beyond the limit of {CONNECTIONS}"));
                        let _ = stream.set_zero_linger();
                    }
                    Err(error) => {
                        tracing::warn!(entrance = self.entrance.name(), %error, "accept failed");
                        // Out of descriptors: those who wait keep waiting, and so do we.
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
    }

    /// Canceled connections have ended when `shutdown` returns, since their writes never block.
    async fn abandon(
        &self,
        listener: Option<TcpListener>,
        connections: &mut JoinSet<()>,
    ) -> io::Result<TcpListener> {
        let listener = listener.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotConnected, "the proxy could not listen again before")
        })?;
        let silent = silence(listener);
        connections.shutdown().await;
        silent.and_then(listen_again).inspect_err(|error| {
            tracing::warn!(entrance = self.entrance.name(), %error, "cannot listen again");
        })
    }

    async fn carry(self, stream: TcpStream) {
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let Some(dialler) = self.admit(&stream).await else {
            let _ = stream.set_zero_linger();
            return;
        };
        let link = Link { from: dialler, to: Party::Node(self.entrance.acceptor) };
        let (Some(there), Some(back)) = (self.shared.gate(link), self.shared.gate(link.reverse()))
        else {
            // A node that dials its own advertised address has no link to pass.
            self.report(format!("{dialler} itself"));
            return;
        };
        pump::carry(stream, self.entrance.upstream, Way { there, back }, &self.tally).await;
    }

    /// Whose connection it is, if it is one that may be carried.
    async fn admit(&self, stream: &TcpStream) -> Option<Party> {
        let (Ok(SocketAddr::V4(caller)), Ok(SocketAddr::V4(here))) =
            (stream.peer_addr(), stream.local_addr())
        else {
            return None;
        };
        match self.identify(caller, here).await {
            Ok(Caller::Gone) => None,
            Ok(Caller::Known(party)) => match self.entrance.dialler {
                Some(expected) if expected != party => {
                    self.report(format!("{party}, which has an address of its own to dial"));
                    None
                }
                None if party == Party::Clients => {
                    self.report("the harness itself".into());
                    None
                }
                _ => Some(party),
            },
            Ok(Caller::Stranger(who)) => {
                self.report(who);
                None
            }
            Err(error) => {
                self.report(format!("a caller that could not be identified: {error}"));
                None
            }
        }
    }

    async fn identify(&self, caller: SocketAddrV4, here: SocketAddrV4) -> io::Result<Caller> {
        let likely = self.entrance.dialler;
        let diallers = &self.shared.diallers;
        if likely == Some(Party::Clients) && diallers.is_plainly_a_client(caller, here) {
            return Ok(Caller::Known(Party::Clients));
        }
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || shared.diallers.identify(caller, here, likely))
            .await
            .map_err(io::Error::other)?
    }

    fn report(&self, caller: String) {
        self.shared.report(Stranger { link: self.entrance.name(), caller });
    }
}
