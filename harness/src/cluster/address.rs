//! The place of a run on the loopback network: an address of its own and ports on it.
//!
//! Linux treats all of 127.0.0.0/8 as local, so each run draws an address there and keeps a
//! listener on one agreed port of it as a lock: a second harness that draws the same address finds
//! the port taken and draws again. Ports lie outside the kernel's ephemeral range, where an
//! outgoing connection could otherwise take one first, or even connect to itself. Called by the
//! phases of a run and by [`network`](crate::network), which listens here.

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::sync::Mutex;

/// The port that locks an address. The same in every harness, below any usual ephemeral range.
const GUARD_PORT: u16 = 17_170;

/// How often a new address is drawn before giving up: sixteen million addresses make even a few
/// collisions in a row unthinkable, so it is something else that keeps us from listening.
const DRAWS: usize = 64;

/// Fewest ports that a run may need: nine nodes with a port per directed pair, and a hundred
/// clients, several times over.
const ENOUGH_PORTS: usize = 2_000;

/// Why there is no place to listen.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// No address could be locked.
    #[error(
        "lock a loopback address: port {GUARD_PORT} could not be listened on at any of {DRAWS} \
         addresses, last {last}: {source}; help: see with `ss -ltn` who listens on all addresses"
    )]
    NoAddress {
        /// The last address tried.
        last: Ipv4Addr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel's ephemeral range leaves too few ports.
    #[error(
        "find ports outside the ephemeral range {} to {}: fewer than {ENOUGH_PORTS} are left; \
         help: narrow net.ipv4.ip_local_port_range",
        .ephemeral.start(), .ephemeral.end()
    )]
    NoRange {
        /// The range, as the kernel states it.
        ephemeral: RangeInclusive<u16>,
    },
    /// All ports of the run are handed out.
    #[error("take a port for {what} on {ip}: all ports {first} to {last} are handed out or in use")]
    NoPort {
        /// What it was for.
        what: String,
        /// The run's address.
        ip: Ipv4Addr,
        /// First port of the run.
        first: u16,
        /// Last port of the run.
        last: u16,
    },
    /// The kernel's settings or its random source could not be read.
    #[error("read {path}: {source}")]
    Unreadable {
        /// Which file.
        path: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A loopback address that no other harness uses, and its ports. Dropping it gives it back.
#[derive(Debug)]
pub struct RunAddress {
    ip: Ipv4Addr,
    ports: RangeInclusive<u16>,
    taken: Mutex<Taken>,
    _guard: TcpListener,
}

#[derive(Debug)]
struct Taken {
    next: u16,
    named: Vec<(u16, String)>,
}

impl RunAddress {
    /// Draws and locks an address.
    ///
    /// # Errors
    /// [`AddressError`]; all of them are troubles of the environment.
    pub fn take() -> Result<RunAddress, AddressError> {
        let ports = usable_ports(&ephemeral_range()?)?;
        let (ip, guard) = lock_an_address()?;
        let taken = Mutex::new(Taken { next: *ports.start(), named: Vec::new() });
        Ok(RunAddress { ip, ports, taken, _guard: guard })
    }

    /// The address.
    pub fn ip(&self) -> Ipv4Addr {
        self.ip
    }

    /// Hands out a port that nobody listens on, and none twice. `what` it is for is kept for
    /// [`named`](RunAddress::named).
    ///
    /// # Errors
    /// [`AddressError::NoPort`].
    pub fn port(&self, what: impl Into<String>) -> Result<SocketAddr, AddressError> {
        let what = what.into();
        let mut taken = self.taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        while taken.next <= *self.ports.end() {
            let port = taken.next;
            taken.next += 1;
            let address = SocketAddr::new(IpAddr::V4(self.ip), port);
            // Somebody may listen on this port of all addresses.
            if port != GUARD_PORT && TcpListener::bind(address).is_ok() {
                taken.named.push((port, what));
                return Ok(address);
            }
        }
        let (first, last) = (*self.ports.start(), *self.ports.end());
        Err(AddressError::NoPort { what, ip: self.ip, first, last })
    }

    /// What a port was handed out for, with its port, in the order of handing out.
    pub fn named(&self) -> Vec<(u16, String)> {
        self.taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner).named.clone()
    }
}

fn lock_an_address() -> Result<(Ipv4Addr, TcpListener), AddressError> {
    let mut draws = 0;
    loop {
        let ip = draw()?;
        match TcpListener::bind((ip, GUARD_PORT)) {
            Ok(guard) => return Ok((ip, guard)),
            Err(source) if draws + 1 == DRAWS => {
                return Err(AddressError::NoAddress { last: ip, source });
            }
            Err(_) => draws += 1,
        }
    }
}

/// Draws from the kernel and not from the seed of the run: two runs of one seed must not meet.
/// The second octet is never 0, so that nothing that is usual on 127.0.x.y is met either.
fn draw() -> Result<Ipv4Addr, AddressError> {
    const SOURCE: &str = "/dev/urandom";
    let mut octets = [0; 3];
    File::open(SOURCE)
        .and_then(|mut file| file.read_exact(&mut octets))
        .map_err(|source| AddressError::Unreadable { path: SOURCE, source })?;
    let [a, b, c] = octets.map(|octet| 1 + octet % 254);
    Ok(Ipv4Addr::new(127, a, b, c))
}

fn ephemeral_range() -> Result<RangeInclusive<u16>, AddressError> {
    const PATH: &str = "/proc/sys/net/ipv4/ip_local_port_range";
    let unreadable = |source| AddressError::Unreadable { path: PATH, source };
    let text = fs::read_to_string(PATH).map_err(unreadable)?;
    let mut bounds = text.split_ascii_whitespace().map(str::parse);
    match (bounds.next(), bounds.next()) {
        (Some(Ok(low)), Some(Ok(high))) => Ok(low..=high),
        _ => Err(unreadable(io::Error::other(format!("expected two ports, got {text:?}")))),
    }
}

/// The larger of the two stretches below and above the ephemeral range; below, from 10000, where
/// well-known services are rare.
fn usable_ports(ephemeral: &RangeInclusive<u16>) -> Result<RangeInclusive<u16>, AddressError> {
    let below = 10_000..=ephemeral.start().saturating_sub(1);
    let above = match ephemeral.end().checked_add(1) {
        Some(first) => first.max(10_000)..=u16::MAX - 1,
        #[allow(clippy::reversed_empty_ranges)]
        None => 1..=0,
    };
    let larger = if below.len() >= above.len() { below } else { above };
    if larger.len() < ENOUGH_PORTS {
        return Err(AddressError::NoRange { ephemeral: ephemeral.clone() });
    }
    Ok(larger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_never_share_an_address() {
        let first = RunAddress::take().unwrap();
        let second = RunAddress::take().unwrap();
        assert_ne!(first.ip(), second.ip());
        assert!(TcpListener::bind((first.ip(), GUARD_PORT)).is_err(), "the address is not locked");
    }

    #[test]
    fn no_port_is_handed_out_twice_or_while_somebody_listens() {
        let run = RunAddress::take().unwrap();
        let first = run.port("one").unwrap();
        let squatter = TcpListener::bind((run.ip(), first.port() + 1)).unwrap();
        let second = run.port("two").unwrap();
        assert!(second.port() > squatter.local_addr().unwrap().port());
        assert_eq!(run.named(), [(first.port(), "one".into()), (second.port(), "two".into())]);
    }

    #[test]
    fn ports_lie_outside_the_ephemeral_range() {
        assert_eq!(usable_ports(&(32_768..=60_999)).unwrap(), 10_000..=32_767);
        assert_eq!(usable_ports(&(10_240..=40_000)).unwrap(), 40_001..=65_534);
        assert!(usable_ports(&(1_024..=65_535)).is_err());
    }
}
