//! The network of links between the parties of a run.
//!
//! Every connection between two parties passes a proxy here (`proxy`), each of its two directions
//! obeys the gate of its own link (`gate`, `pump`), and faults name links. Where a target takes a
//! list of peers per node, each directed pair has a port of its own; where nodes advertise one
//! address to all, the kernel is asked who dialled (`dialler`); each client has a
//! [`Lane`]. Nothing here knows faults, plans or targets: it is told to cut, to slow, to reset and to
//! heal, and tells what it saw.

mod dialler;
mod flood;
mod gate;
mod lane;
pub mod link;
mod proxy;
mod pump;
mod shape;
mod timer;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use splitbrain_workloads::operation::NodeId;
use tokio::sync::{mpsc, watch};

pub use gate::{Dials, LinkEvidence, Slowed};
pub use lane::{Lane, Mark, SinceMark};
pub use shape::Shape;

use crate::cluster::RunAddress;
use crate::cluster::address::AddressError;
use dialler::Diallers;
use gate::{Ending, Gate};
use link::{Link, Party};
use proxy::{Entrance, Proxy};
use pump::Tally;

/// How long a cut may take to be in force. It takes microseconds unless no processor is free.
const IN_FORCE: Duration = Duration::from_secs(5);

/// How many strangers may wait to be heard of. More than that say nothing more.
const STRANGERS: usize = 256;

/// What can go wrong with the network.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// A link between parties of which one is not there.
    #[error("{0}: no such link; expected nodes that were added")]
    NoLink(Link),
    /// A node that was not added.
    #[error("{0}: no such node; expected one that was added")]
    NoNode(NodeId),
    /// A link on which bytes were still passing.
    #[error("cut {link}: not in force within {} s; the cut was taken back", IN_FORCE.as_secs())]
    NotInForce {
        /// Which one.
        link: Link,
    },
    /// A link whose connections did not end.
    #[error("reset {link}: its connections have not ended within {} s", IN_FORCE.as_secs())]
    NotReset {
        /// Which one.
        link: Link,
    },
    /// No port was left.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A proxy could not listen.
    #[error("listen at {address} for {what}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// For which link or lane.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A connection that was dropped because its caller is none of the parties that may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// The link whose listener it reached, such as `n1->n2`, or `*->n2` where any node may dial.
    pub link: String,
    /// What is known of the caller.
    pub caller: String,
}

/// Connections that are half open until this is dropped.
#[derive(Debug, Default)]
#[must_use = "dropping it resets the ends that hear nothing"]
pub struct HalfOpen {
    /// None where nothing was done.
    _heal: Option<watch::Sender<()>>,
}

/// All links of a run. Cheap to clone.
#[derive(Clone)]
pub struct Network {
    shared: Arc<Shared>,
}

/// What listeners and connections share.
pub(crate) struct Shared {
    address: Arc<RunAddress>,
    pub(crate) diallers: Diallers,
    strangers: mpsc::Sender<Stranger>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    nodes: BTreeMap<NodeId, Ports>,
    gates: BTreeMap<Link, Arc<Gate>>,
    /// Listeners between nodes, by dialler (`None` for any) and acceptor.
    entrances: BTreeMap<(Option<NodeId>, NodeId), Proxy>,
    lanes: Vec<Proxy>,
}

/// Where a node really listens.
#[derive(Clone, Copy, Debug)]
struct Ports {
    peer: SocketAddr,
    client: SocketAddr,
}

impl Shared {
    pub(crate) fn gate(&self, link: Link) -> Option<Arc<Gate>> {
        self.table().gates.get(&link).cloned()
    }

    pub(crate) fn report(&self, stranger: Stranger) {
        tracing::warn!(link = stranger.link, caller = stranger.caller, "a stranger was dropped");
        // Full: enough were heard of. Closed: nobody listens.
        let _ = self.strangers.try_send(stranger);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Network {
    /// A network without nodes on a run's own address, and where strangers are heard of.
    pub fn new(address: Arc<RunAddress>) -> (Network, mpsc::Receiver<Stranger>) {
        let (strangers, heard) = mpsc::channel(STRANGERS);
        let shared = Shared {
            address,
            diallers: Diallers::default(),
            strangers,
            table: Mutex::new(Table::default()),
        };
        (Network { shared: Arc::new(shared) }, heard)
    }

    /// Adds a node that will really listen at these addresses, with its links to and from all
    /// nodes added so far and the clients. A node that is added again keeps its links.
    pub fn add_node(&self, node: NodeId, peer: SocketAddr, client: SocketAddr) {
        let mut table = self.shared.table();
        let others: Vec<NodeId> =
            table.nodes.keys().copied().filter(|other| *other != node).collect();
        let mut links = vec![Link::to_node(node), Link::to_clients(node)];
        for other in others {
            links.extend([Link::peers(node, other), Link::peers(other, node)]);
        }
        for link in links {
            table.gates.entry(link).or_insert_with(|| Arc::new(Gate::new(link)));
        }
        table.nodes.insert(node, Ports { peer, client });
    }

    /// States the processes of a node. To be called whenever the node was prepared, before it
    /// runs: a connection of an unknown process is a stranger's.
    pub fn set_pids(&self, node: NodeId, pids: &[u32]) {
        self.shared.diallers.set(node, pids);
    }

    /// Where `dialler`, and nobody else, dials `acceptor`. Listens from the first call on.
    ///
    /// # Errors
    /// [`NetworkError::NoLink`], or no port to listen at.
    pub async fn peer_port(
        &self,
        dialler: NodeId,
        acceptor: NodeId,
    ) -> Result<SocketAddr, NetworkError> {
        let link = Link::peers(dialler, acceptor);
        self.shared.gate(link).ok_or(NetworkError::NoLink(link))?;
        self.entrance(Some(dialler), acceptor).await
    }

    /// Where any other node dials `node`; the kernel is asked which one does. For targets whose
    /// nodes advertise one address to all. Listens from the first call on.
    ///
    /// # Errors
    /// [`NetworkError::NoNode`], or no port to listen at.
    pub async fn advertised_port(&self, node: NodeId) -> Result<SocketAddr, NetworkError> {
        self.entrance(None, node).await
    }

    /// A new way for one client to a node, over the links `client->node` and back.
    ///
    /// # Errors
    /// [`NetworkError::NoNode`], or no port to listen at.
    pub async fn client_lane(&self, node: NodeId) -> Result<Lane, NetworkError> {
        let upstream = self.ports(node)?.client;
        let entrance = Entrance { dialler: Some(Party::Clients), acceptor: node, upstream };
        let tally = Arc::new(Tally::default());
        let proxy = self.listen(entrance, Arc::clone(&tally), format!("client->{node}")).await?;
        self.shared.table().lanes.push(proxy.clone());
        Ok(Lane { node, proxy, tally })
    }

    /// From now on lanes of clients carry any process of this host, not the harness alone. Ports
    /// between nodes stay closed to strangers.
    pub fn open_to_strangers(&self) {
        self.shared.diallers.open();
    }

    /// Every link there is, in order.
    pub fn links(&self) -> Vec<Link> {
        self.shared.table().gates.keys().copied().collect()
    }

    /// Cuts links; returns when that is in force on all of them, so that from then on no byte
    /// passes. A link that another fault has cut stays cut until both are healed.
    ///
    /// # Errors
    /// [`NetworkError::NoLink`], with nothing cut, or [`NetworkError::NotInForce`], with the cut
    /// taken back.
    pub async fn cut(&self, links: &[Link], dials: Dials) -> Result<(), NetworkError> {
        let gates = self.gates(links)?;
        for gate in &gates {
            gate.cut(dials);
        }
        for gate in &gates {
            if !gate.in_force(IN_FORCE).await {
                gates.iter().for_each(|gate| gate.heal(dials));
                return Err(NetworkError::NotInForce { link: gate.link() });
            }
        }
        Ok(())
    }

    /// Takes back one [`cut`](Network::cut) of these links with the same `dials`. What was held on
    /// links that are cut no more is delivered, in order.
    ///
    /// # Errors
    /// [`NetworkError::NoLink`], with nothing healed.
    pub fn heal(&self, links: &[Link], dials: Dials) -> Result<(), NetworkError> {
        self.gates(links)?.iter().for_each(|gate| gate.heal(dials));
        Ok(())
    }

    /// Makes links slow: whatever is read from now on is handed on when it is due. Shapes of
    /// several faults add up.
    ///
    /// # Errors
    /// [`NetworkError::NoLink`], with nothing changed.
    pub fn shape(&self, links: &[Link], shape: Shape) -> Result<(), NetworkError> {
        self.gates(links)?.iter().for_each(|gate| gate.shape(shape));
        Ok(())
    }

    /// Takes back one such shape of these links. What is on its way keeps its time.
    ///
    /// # Errors
    /// [`NetworkError::NoLink`], with nothing changed.
    pub fn unshape(&self, links: &[Link], shape: Shape) -> Result<(), NetworkError> {
        self.gates(links)?.iter().for_each(|gate| gate.unshape(shape));
        Ok(())
    }

    /// Resets every connection that uses one of these links, whoever dialled it, those included
    /// that wait for a heal; returns when all have ended. New connections are carried as before.
    ///
    /// # Errors
    /// [`NetworkError::NoLink`], with nothing reset, or [`NetworkError::NotReset`].
    pub async fn reset(&self, links: &[Link]) -> Result<(), NetworkError> {
        self.end(links, |_| Ending::Reset).await
    }

    /// Leaves every connection that uses one of these links half open: the end of a node that
    /// forgets it is reset, and the other end hears nothing, neither the end nor an answer, until
    /// what is returned is dropped. Then it is reset too. Of two ends that both forget it one is
    /// kept. New connections are carried as before.
    ///
    /// # Errors
    /// As [`reset`](Network::reset).
    pub async fn half_open(
        &self,
        links: &[Link],
        who_forgets: &[NodeId],
    ) -> Result<HalfOpen, NetworkError> {
        let (heal, healed) = watch::channel(());
        let forgets = |party: &Party| match party {
            Party::Node(node) => who_forgets.contains(node),
            Party::Clients => false,
        };
        let ending = |link: Link| {
            // Both links of a connection must say the same, whichever is heard first.
            let by = [link.from.min(link.to), link.from.max(link.to)].into_iter().find(forgets);
            match by {
                Some(by) => Ending::HalfOpen { by, healed: healed.clone() },
                None => Ending::Reset,
            }
        };
        self.end(links, ending).await?;
        Ok(HalfOpen { _heal: Some(heal) })
    }

    async fn end(&self, links: &[Link], how: impl Fn(Link) -> Ending) -> Result<(), NetworkError> {
        let endings: Vec<_> = self
            .gates(links)?
            .iter()
            .map(|gate| (gate.link(), gate.end(how(gate.link()))))
            .collect();
        for (link, ended) in endings {
            if tokio::time::timeout(IN_FORCE, ended.closed()).await.is_err() {
                return Err(NetworkError::NotReset { link });
            }
        }
        Ok(())
    }

    /// Takes back all cuts and shapes of all links.
    pub fn heal_all(&self) {
        self.shared.table().gates.values().for_each(|gate| gate.heal_all());
    }

    /// What was seen on a link so far. Take it before and after a fault and compare with
    /// [`LinkEvidence::since`].
    ///
    /// # Errors
    /// [`NetworkError::NoLink`].
    pub fn evidence(&self, link: Link) -> Result<LinkEvidence, NetworkError> {
        let gate = self.shared.gate(link).ok_or(NetworkError::NoLink(link))?;
        Ok(gate.evidence())
    }

    /// Ends the connections of all client lanes, so that nothing that was held can land later.
    /// The lanes can be used again.
    ///
    /// # Errors
    /// If a lane could not listen again.
    pub async fn close_clients(&self) -> io::Result<()> {
        let lanes = self.shared.table().lanes.clone();
        for lane in lanes {
            lane.abandon().await?;
        }
        Ok(())
    }

    /// Ends all connections and listeners. A network that is only dropped goes on until its runtime
    /// ends.
    pub async fn shutdown(&self) {
        let proxies: Vec<Proxy> = {
            let mut table = self.shared.table();
            let entrances = std::mem::take(&mut table.entrances);
            let lanes = std::mem::take(&mut table.lanes);
            entrances.into_values().chain(lanes).collect()
        };
        for proxy in proxies {
            // Closing never fails: it listens no more.
            let _ = proxy.close().await;
        }
    }

    async fn entrance(
        &self,
        dialler: Option<NodeId>,
        acceptor: NodeId,
    ) -> Result<SocketAddr, NetworkError> {
        let upstream = self.ports(acceptor)?.peer;
        let key = (dialler, acceptor);
        if let Some(proxy) = self.shared.table().entrances.get(&key) {
            return Ok(proxy.address);
        }
        let what = match dialler {
            Some(dialler) => format!("{dialler}->{acceptor}"),
            None => format!("*->{acceptor}"),
        };
        let entrance = Entrance { dialler: dialler.map(Party::Node), acceptor, upstream };
        let proxy = self.listen(entrance, Arc::new(Tally::default()), what).await?;
        // Of two that were opened at once the first stays; the other ends when it is dropped.
        Ok(self.shared.table().entrances.entry(key).or_insert(proxy).address)
    }

    async fn listen(
        &self,
        entrance: Entrance,
        tally: Arc<Tally>,
        what: String,
    ) -> Result<Proxy, NetworkError> {
        let address = self.shared.address.port(what.clone())?;
        Proxy::open(Arc::clone(&self.shared), entrance, tally, address)
            .await
            .map_err(|source| NetworkError::Listen { address, what, source })
    }

    fn ports(&self, node: NodeId) -> Result<Ports, NetworkError> {
        self.shared.table().nodes.get(&node).copied().ok_or(NetworkError::NoNode(node))
    }

    fn gates(&self, links: &[Link]) -> Result<Vec<Arc<Gate>>, NetworkError> {
        links
            .iter()
            .map(|link| self.shared.gate(*link).ok_or(NetworkError::NoLink(*link)))
            .collect()
    }
}
