//! Who dialled? TCP does not say, so the kernel is asked.
//!
//! `sock_diag` (sock_diag(7), one exact lookup, no dump) names the inode of the caller's socket;
//! the links in `/proc/<pid>/fd` name the process that holds it. Needs no privilege for processes
//! of one's own user. It takes some hundred microseconds once per connection, blocks, and is
//! therefore called off the async threads by [`proxy`](super::proxy). The harness's own sockets,
//! which are those of the clients, are known without that: it asks its descriptors for their ends.
//! Nothing is ever guessed: a caller that is none of the known processes is a stranger.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, SockaddrIn,
    getpeername, getsockname, recv, sendto, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};
use splitbrain_workloads::operation::NodeId;

use super::link::Party;
use crate::cluster::census::Census;

/// The answer to who dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A process of this party.
    Known(Party),
    /// Nobody any more: the caller closed its socket or died.
    Gone,
    /// A process that is none of ours, in words.
    Stranger(String),
}

/// The processes of each node, and the way from a connection to one of them.
#[derive(Debug, Default)]
pub(crate) struct Diallers {
    pids: Mutex<BTreeMap<NodeId, Vec<u32>>>,
    /// Whether processes of others count as clients.
    open: AtomicBool,
}

impl Diallers {
    /// States the first processes of a node; their descendants are found when needed.
    pub(crate) fn set(&self, node: NodeId, pids: &[u32]) {
        let mut table = self.pids.lock().unwrap_or_else(PoisonError::into_inner);
        table.insert(node, pids.to_vec());
    }

    /// From now on whoever is unknown is a client.
    pub(crate) fn open(&self) {
        self.open.store(true, Ordering::Relaxed);
    }

    /// Whether the socket `local` that is connected to `remote` is a client's, as far as that can be
    /// told at once; `false` says nothing. Takes some ten microseconds.
    pub(crate) fn is_plainly_a_client(&self, local: SocketAddrV4, remote: SocketAddrV4) -> bool {
        we_hold(local, remote)
    }

    /// Finds who holds the socket `local` that is connected to `remote`, both as the caller sees
    /// them. `likely` is looked at first. Blocks for some hundred microseconds, for a stranger
    /// some milliseconds.
    pub(crate) fn identify(
        &self,
        local: SocketAddrV4,
        remote: SocketAddrV4,
        likely: Option<Party>,
    ) -> io::Result<Caller> {
        let Some(found) = look_up(local, remote)? else { return Ok(Caller::Gone) };
        let mut known = self.known();
        known.sort_by_key(|(party, _)| Some(*party) != likely);
        for (party, pid) in &known {
            if holds(*pid, found.inode) {
                return Ok(Caller::Known(*party));
            }
        }
        // Not a first process of a node: perhaps one that it started.
        let census = Census::take();
        for &(party, root) in known.iter().filter(|(party, _)| *party != Party::Clients) {
            for member in census.family(root) {
                if member.pid != root && holds(member.pid, found.inode) {
                    return Ok(Caller::Known(party));
                }
            }
        }
        // It may have died while we looked, and then nobody holds it.
        if look_up(local, remote)? != Some(found) {
            return Ok(Caller::Gone);
        }
        if self.open.load(Ordering::Relaxed) {
            return Ok(Caller::Known(Party::Clients));
        }
        Ok(Caller::Stranger(describe(found)))
    }

    /// All known first processes; the harness itself is the clients.
    fn known(&self) -> Vec<(Party, u32)> {
        let table = self.pids.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = Vec::new();
        for (node, pids) in table.iter() {
            known.extend(pids.iter().map(|pid| (Party::Node(*node), *pid)));
        }
        // Last, as it has the most descriptors to look through.
        known.push((Party::Clients, std::process::id()));
        known
    }
}

/// Descriptor numbers in a row that are not in use before the end of the table is believed to be
/// reached. The kernel gives away the lowest free one, so that gaps are short.
const GAP: RawFd = 128;

/// Whether a descriptor of this process is the socket with exactly these two ends. May overlook one
/// behind a gap.
fn we_hold(local: SocketAddrV4, remote: SocketAddrV4) -> bool {
    let mut closed = 0;
    for descriptor in 0.. {
        match getsockname::<SockaddrIn>(descriptor) {
            Err(Errno::EBADF) => {
                closed += 1;
                if closed == GAP {
                    break;
                }
            }
            Ok(end) if SocketAddrV4::from(end) == local => {
                let other = getpeername::<SockaddrIn>(descriptor);
                if other.is_ok_and(|end| SocketAddrV4::from(end) == remote) {
                    return true;
                }
                closed = 0;
            }
            Ok(_) | Err(_) => closed = 0,
        }
    }
    false
}

/// A socket as the kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    inode: u32,
    uid: u32,
}

/// Whether one of the descriptors of a process is the socket with this inode.
fn holds(pid: u32, inode: u32) -> bool {
    let wanted = format!("socket:[{inode}]");
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors.flatten().any(|descriptor| {
        fs::read_link(descriptor.path()).is_ok_and(|target| target == Path::new(&wanted))
    })
}

/// What can be said about a socket that nobody of ours holds. Searches all processes.
fn describe(found: Found) -> String {
    let owner = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| holds(*pid, found.inode));
    match owner {
        Some(pid) => {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            format!("process {pid} ({}) of user {}", name.trim_end(), found.uid)
        }
        None => format!("a process of user {} that cannot be looked at", found.uid),
    }
}

// linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const AF_INET: u8 = 2;
const IPPROTO_TCP: u8 = 6;
const TCP_LISTEN: u8 = 10;
const HEADER: usize = 16;
const REQUEST: usize = HEADER + 56;
const REPLY: usize = HEADER + 72;

/// Asks the kernel for the socket with exactly these two ends. `None` if there is none, or if it
/// belongs to no process any more.
fn look_up(local: SocketAddrV4, remote: SocketAddrV4) -> io::Result<Option<Found>> {
    let netlink = socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    // The kernel answers within the call; the bound is for the case that it never does.
    setsockopt(&netlink, ReceiveTimeout, &TimeVal::seconds(1))?;
    let request = request(local, remote);
    sendto(netlink.as_raw_fd(), &request, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut reply = [0; 512];
    let length = recv(netlink.as_raw_fd(), &mut reply, MsgFlags::empty())?;
    parse(&reply[..length.min(reply.len())])
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`.
fn request(local: SocketAddrV4, remote: SocketAddrV4) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(REQUEST);
    bytes.extend((REQUEST as u32).to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST.to_ne_bytes());
    bytes.extend([0; 8]); // sequence, port id
    bytes.extend([AF_INET, IPPROTO_TCP, 0, 0]); // no extensions
    bytes.extend(u32::MAX.to_ne_bytes()); // in whatever state
    bytes.extend(local.port().to_be_bytes());
    bytes.extend(remote.port().to_be_bytes());
    bytes.extend(local.ip().octets());
    bytes.extend([0; 12]);
    bytes.extend(remote.ip().octets());
    bytes.extend([0; 12]);
    bytes.extend([0; 4]); // on whatever interface
    bytes.extend([0xff; 8]); // no cookie
    bytes
}

/// `struct nlmsghdr` and `struct inet_diag_msg`, or `struct nlmsgerr`.
fn parse(reply: &[u8]) -> io::Result<Option<Found>> {
    let short = || io::Error::other(format!("sock_diag: a reply of {} bytes", reply.len()));
    let word = |at: usize| -> io::Result<u32> {
        let bytes = reply.get(at..at + 4).ok_or_else(short)?;
        Ok(u32::from_ne_bytes(bytes.try_into().map_err(|_| short())?))
    };
    let kind = reply.get(4..6).ok_or_else(short)?;
    match u16::from_ne_bytes([kind[0], kind[1]]) {
        NLMSG_ERROR => {
            let error = io::Error::from_raw_os_error((word(HEADER)? as i32).saturating_neg());
            match error.kind() {
                io::ErrorKind::NotFound => Ok(None),
                _ => Err(error),
            }
        }
        SOCK_DIAG_BY_FAMILY if reply.len() >= REPLY => {
            let (uid, inode) = (word(HEADER + 64)?, word(HEADER + 68)?);
            // The lookup falls back on a listener; a caller is connected. No inode: no owner.
            let orphan = inode == 0 || reply[HEADER + 1] == TCP_LISTEN;
            Ok((!orphan).then_some(Found { inode, uid }))
        }
        other => Err(io::Error::other(format!("sock_diag: a reply of unknown type {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use super::*;

    fn v4(address: SocketAddr) -> SocketAddrV4 {
        match address {
            SocketAddr::V4(address) => address,
            SocketAddr::V6(address) => panic!("{address} on a v4 socket"),
        }
    }

    #[test]
    fn our_own_connection_is_recognized_as_a_client_and_then_as_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_accepted, _) = listener.accept().unwrap();
        let (local, remote) = (v4(ours.local_addr().unwrap()), v4(ours.peer_addr().unwrap()));
        let diallers = Diallers::default();
        let caller = diallers.identify(local, remote, None).unwrap();
        assert_eq!(caller, Caller::Known(Party::Clients));
        assert!(diallers.is_plainly_a_client(local, remote));
        assert!(!diallers.is_plainly_a_client(remote, remote), "both ends count");
        drop(ours);
        assert!(!diallers.is_plainly_a_client(local, remote));
        assert_eq!(diallers.identify(local, remote, None).unwrap(), Caller::Gone);
    }
}
