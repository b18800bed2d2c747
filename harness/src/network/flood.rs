//! Many bytes at once, from socket to socket through a pipe: splice(2) moves pages instead of
//! copying bytes, which the proxy does not look at.
//!
//! A pipe is empty between two rounds, so nothing is ever forgotten in it: what could not be handed
//! on is taken out again. Used by [`pump`](super::pump) while a link is neither cut nor slow.

use std::io;
use std::os::fd::OwnedFd;

use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::unistd::{pipe2, read};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Bytes under way in a pipe: twice what a socket gives in one go. More would only let the sender
/// run further ahead of a cut or a limit.
const ROOM: usize = 128 << 10;

/// A pipe between two sockets.
#[derive(Debug)]
pub(super) struct Flood {
    out: OwnedFd,
    into: OwnedFd,
    /// Bytes in the pipe.
    inside: usize,
}

impl Flood {
    /// An empty pipe.
    pub(super) fn new() -> io::Result<Flood> {
        let (out, into) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        // Refused to a user who has many; a smaller one works too.
        let _ = fcntl(&into, FcntlArg::F_SETPIPE_SZ(ROOM as i32));
        Ok(Flood { out, into, inside: 0 })
    }

    /// Takes what the source has, once, without waiting. Zero is the end of the source.
    pub(super) fn fill(&mut self, source: &TcpStream) -> io::Result<usize> {
        let taken = source.try_io(Interest::READABLE, || {
            Ok(splice(source, None, &self.into, None, ROOM, flags())?)
        })?;
        self.inside += taken;
        Ok(taken)
    }

    /// Hands on what is inside, once, without waiting.
    pub(super) fn pour(&self, sink: &TcpStream) -> io::Result<usize> {
        sink.try_io(Interest::WRITABLE, || {
            Ok(splice(&self.out, None, sink, None, self.inside, flags())?)
        })
    }

    /// So many bytes were handed on.
    pub(super) fn poured(&mut self, bytes: usize) {
        self.inside -= bytes.min(self.inside);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inside == 0
    }

    /// Takes out what was not handed on.
    pub(super) fn drain(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.inside];
        let mut taken = 0;
        while taken < bytes.len() {
            match read(&self.out, &mut bytes[taken..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => taken += more,
            }
        }
        self.inside = 0;
        Ok(bytes)
    }
}

fn flags() -> SpliceFFlags {
    SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK
}
