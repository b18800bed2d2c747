//! What happened around the clients, one line of `events.jsonl` each: phases, processes, roles,
//! and every step of every fault.

use serde::{Deserialize, Serialize};
use splitbrain_workloads::history::Micros;
use splitbrain_workloads::operation::{ClientId, Key, NodeId};
use splitbrain_workloads::verdict::AnomalyKind;

/// One line of `events.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventRecord {
    /// When, on the clock of the history.
    pub us: Micros,
    /// What.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The run entered a phase.
    Phase(Phase),
    /// A process of the target changed.
    Process {
        /// Whose process.
        node: NodeId,
        /// Its process id.
        pid: u32,
        /// What became of it.
        change: ProcessChange,
    },
    /// A sampled node reported a role, epoch or leader other than in the sample before.
    Role {
        /// Who.
        node: NodeId,
        /// What it says it is; `Silent` when it did not answer the sampler.
        role: Role,
        /// The epoch it is in, where it says so.
        epoch: Option<u64>,
        /// Whom it takes for the leader.
        leader: Option<NodeId>,
    },
    /// A step in the life of a fault.
    Fault {
        /// Which one.
        fault: FaultId,
        /// Which step.
        step: FaultStep,
    },
    /// A connection from a process that is none of ours was dropped at a proxy.
    Stranger {
        /// The link whose listener it reached.
        link: String,
        /// What is known of the caller.
        caller: String,
    },
    /// The nodes were seen, for the first time in this run, in this state, with names and numbers
    /// forgotten.
    State(String),
    /// What the clients have seen by now can have no explanation: a watch says so, and no checker
    /// yet.
    ViolationFound {
        /// Its name as far as it is known by now.
        kind: AnomalyKind,
        /// What it happened to.
        key: Key,
        /// Whose operation showed it.
        client: ClientId,
        /// In a few words.
        what: String,
    },
    /// The run is stopped early: all nodes stood still, and their data was copied as it was.
    Frozen {
        /// Whose data was copied.
        nodes: Vec<NodeId>,
    },
    /// Anything else worth a line, in words.
    Note(String),
}

/// The phases of a run, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Processes are being started.
    Start,
    /// Every node answered and one leads.
    Ready,
    /// Clients and faults are at work.
    Load,
    /// Client connections are being closed.
    CloseClients,
    /// Faults are being healed.
    Heal,
    /// Waiting until every node has applied all that is committed.
    Quiesce,
    /// Reading what is left.
    FinalReads,
    /// Everything is stopped.
    Stopped,
}

/// What became of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessChange {
    /// It was started.
    Started,
    /// It is gone.
    Exited {
        /// The wait status in words, such as "exit code 1" or "signal SIGKILL".
        status: String,
        /// Whether the harness ended it.
        by_us: bool,
    },
    /// The kernel reported it stopped.
    Stopped,
    /// It was continued.
    Continued,
}

/// What a node says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It leads.
    Leader,
    /// It follows.
    Follower,
    /// It stands for election.
    Candidate,
    /// It did not answer.
    Silent,
}

/// The number of a fault in its plan, from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultId(pub u32);

/// A step in the life of a fault. A fault that took hold goes through all but `Skipped`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultStep {
    /// The nemesis began to inject it.
    Requested {
        /// The nodes it is aimed at, after roles were resolved.
        victims: Vec<NodeId>,
        /// The directed links it cuts, such as `n1->n2` or `client->n3`.
        links: Vec<String>,
    },
    /// The kernel or the links confirmed that it is in force.
    InForce,
    /// The nemesis began to heal it.
    HealRequested,
    /// The kernel or the links confirmed that it is over.
    Healed,
    /// It was not injected.
    Skipped {
        /// Why.
        reason: String,
    },
}
