//! What nodes say to each other, and what clients ask of a node: the vocabulary of the core.
//!
//! A message may be lost, late, out of order or, [`Message::Forward`] excepted, delivered twice;
//! none of that may harm. A forward is delivered at most once because a link never sends a frame a
//! second time.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::configuration::ConfigurationChange;
use super::durable::Ballot;
use super::entry::{Claim, Encoded, Entry, EntryId, NodeId};
use super::membership::Incarnation;
use crate::state::{Answer, Change, Query};

/// Number of a client's request at the node that received it.
pub type RequestId = u64;

/// A message from one node to another. The sender is known from the connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Would you vote for me? Changes nothing at either side, so that a node that cannot be
    /// elected does not depose a leader by trying (Raft thesis, section 9.6).
    PreVote {
        /// The epoch the sender would stand in.
        epoch: u64,
        /// Its last entry.
        last: EntryId,
    },
    /// Answer to [`Message::PreVote`].
    PreVoteReply {
        /// The epoch that was asked about.
        asked: u64,
        /// The epoch the sender is in.
        epoch: u64,
        /// Whether it would.
        granted: bool,
    },
    /// Vote for me.
    Vote {
        /// The epoch the sender stands in.
        epoch: u64,
        /// Its last entry.
        last: EntryId,
    },
    /// Answer to [`Message::Vote`], sent when the vote is on disk.
    VoteReply {
        /// The epoch the sender is in.
        epoch: u64,
        /// Whether it voted for the receiver in that epoch.
        granted: bool,
    },
    /// How far are you? Asked by a node that looks for a leader.
    Ask {
        /// Number of the question at its sender.
        ask: u64,
        /// Its last entry.
        last: EntryId,
    },
    /// Answer to [`Message::Ask`].
    Position {
        /// The question.
        ask: u64,
        /// The highest epoch the sender knows.
        epoch: u64,
        /// Its last entry.
        last: EntryId,
        /// How long the sender has served, in milliseconds.
        served: u64,
        /// The leader the sender hears at this moment, itself if it leads.
        alive: Option<Claim>,
    },
    /// Goes round the ring of all nodes and gathers who is there.
    Round {
        /// Who began it.
        origin: NodeId,
        /// Its number there.
        ask: u64,
        /// Who has passed it on, with the last entry of each.
        seen: Vec<(NodeId, EntryId)>,
        /// The highest epoch any of them knows.
        epoch: u64,
        /// A leader that one of them hears.
        alive: Option<Claim>,
    },
    /// Answer to [`Message::Round`]: the sender has it and passes it on.
    RoundTaken {
        /// Who began it.
        origin: NodeId,
        /// Its number there.
        ask: u64,
    },
    /// You are the best of those that answered me: stand.
    Nominate {
        /// The highest epoch the sender has heard of.
        epoch: u64,
    },
    /// Entries from a leader; without entries a heartbeat.
    Append {
        /// As whom it speaks. The leader is the sender.
        claim: Claim,
        /// The number of the last round the leader began; echoed in every answer.
        round: u64,
        /// The entry before the first of `entries`.
        prev: EntryId,
        /// What follows it.
        entries: Vec<Entry>,
        /// How far the leader has committed.
        committed: u64,
        /// What the receiver had answered before the leader began a later round that a majority has
        /// answered by now.
        vouched: Vouched,
    },
    /// The sender still takes the receiver for its leader.
    Alive {
        /// Whom it follows.
        claim: Claim,
        /// The round it answers.
        round: u64,
        /// The number of the sender's process: another one after every restart.
        life: u64,
    },
    /// The sender's log on disk is the receiver's up to here.
    Matched {
        /// Whom it follows.
        claim: Claim,
        /// The round it answers.
        round: u64,
        /// As in [`Message::Alive`].
        life: u64,
        /// The last entry of the agreement.
        upto: EntryId,
    },
    /// The sender has the receiver's log up to here in memory. Sent with `level=received`.
    Received {
        /// Whom it follows.
        claim: Claim,
        /// The last entry of the agreement.
        upto: EntryId,
    },
    /// The sender has applied the receiver's log up to here. Sent with `level=applied`.
    Applied {
        /// Whom it follows.
        claim: Claim,
        /// The last entry applied.
        upto: EntryId,
    },
    /// The sender does not hold the entry before the ones that were sent.
    Mismatch {
        /// Whom it follows.
        claim: Claim,
        /// The round it answers.
        round: u64,
        /// Index of the `prev` that it does not hold.
        prev: u64,
        /// The last of its entries that may be in both logs. If it is not before `prev`, the
        /// sender holds nothing before it.
        hint: EntryId,
    },
    /// A part of a leader's snapshot; without bytes a heartbeat.
    Snapshot {
        /// As whom it speaks. The leader is the sender.
        claim: Claim,
        /// As in [`Message::Append`].
        round: u64,
        /// The last entry that the snapshot stands for.
        last: EntryId,
        /// An entry that the receiver has committed and the leader never had: the snapshot may
        /// replace it.
        replaces: Option<EntryId>,
        /// How many bytes the snapshot has.
        size: u64,
        /// Where in it the chunk begins.
        offset: u64,
        /// The bytes from there on.
        chunk: Encoded,
    },
    /// The sender holds the beginning of a snapshot, in memory.
    SnapshotGot {
        /// Whom it follows.
        claim: Claim,
        /// The round it answers.
        round: u64,
        /// The snapshot.
        last: EntryId,
        /// How many bytes.
        upto: u64,
    },
    /// Fenced off: the sender knows of a later leadership.
    Refused {
        /// The highest epoch it has promised itself to.
        epoch: u64,
        /// The latest claim it has followed.
        claim: Claim,
    },
    /// A client's request, passed on once.
    Forward {
        /// Its number at the sender.
        id: RequestId,
        /// What is asked.
        request: Request,
        /// For how long its client goes on waiting.
        patience_ms: u64,
    },
    /// Answer to [`Message::Forward`].
    Forwarded {
        /// The number at the receiver.
        id: RequestId,
        /// What came of it.
        outcome: Outcome,
    },
    /// Promise to refuse earlier ballots on who leads in an epoch, and say what you have accepted
    /// (Paxos, phase 1a).
    Prepare {
        /// The epoch whose leader is to be chosen.
        epoch: u64,
        /// The ballot.
        ballot: Ballot,
        /// The entry that the configuration came with by which the sender counts.
        configuration: EntryId,
    },
    /// Answer to [`Message::Prepare`], sent when the promise is on disk (phase 1b).
    Promise {
        /// The epoch.
        epoch: u64,
        /// The ballot that was promised.
        ballot: Ballot,
        /// The sender's last entry.
        last: EntryId,
        /// The latest ballot in which the sender accepted a leader, and whom.
        accepted: Option<(Ballot, NodeId)>,
    },
    /// Accept who leads in an epoch (phase 2a).
    Accept {
        /// The epoch.
        epoch: u64,
        /// The ballot.
        ballot: Ballot,
        /// Who is to lead.
        leader: NodeId,
    },
    /// Answer to [`Message::Accept`], sent when the acceptance is on disk (phase 2b).
    Accepted {
        /// The epoch.
        epoch: u64,
        /// The ballot.
        ballot: Ballot,
    },
    /// Refusal of a ballot: the sender has promised itself to a later one, or to a later epoch.
    Outbid {
        /// The highest epoch it has promised itself to.
        epoch: u64,
        /// The latest ballot it has promised itself to in that epoch.
        ballot: Ballot,
    },
    /// A majority has accepted who leads in an epoch.
    Chosen {
        /// The epoch, and who.
        claim: Claim,
    },
    /// The sender remembers nothing, or did when it heard these others that remembered nothing.
    Founding {
        /// Of the sender's disk.
        incarnation: Incarnation,
        /// Whom it had heard then.
        heard: Vec<(NodeId, Incarnation)>,
        /// Whether it wants to know the same of the receiver.
        asks: bool,
    },
    /// An answer to a leader of a node that is no founder of the cluster: it says which of the
    /// node's disks speaks.
    As {
        /// The disk.
        incarnation: Incarnation,
        /// Whether it was admitted, by this leader or an earlier one.
        votes: bool,
        /// The answer, a message of its own.
        answer: Encoded,
    },
    /// The leader counts on this disk of the receiver from now on.
    Admitted {
        /// As whom it speaks. The leader is the sender.
        claim: Claim,
        /// The disk.
        incarnation: Incarnation,
    },
    /// The sender led and has been removed: the receiver should stand.
    Succeed {
        /// As whom it led.
        claim: Claim,
    },
    /// The receiver is no member of a configuration that is committed.
    Removed {
        /// The entry that the configuration came with.
        index: u64,
    },
    /// The receiver's place in the leader's chain. Sent with `topology=chain`.
    Placed {
        /// As whom it speaks. The leader is the sender.
        claim: Claim,
        /// From whom the receiver is sent entries.
        upstream: NodeId,
        /// To whom the receiver hands them on, and the last entry that is known to be there.
        downstream: Option<(NodeId, EntryId)>,
    },
    /// Entries of a leader that a follower hands on. They prove nothing but themselves.
    Relayed {
        /// Whose entries. The leader is not the sender.
        claim: Claim,
        /// The entry before the first of `entries`.
        prev: EntryId,
        /// What follows it in the leader's log.
        entries: Vec<Entry>,
        /// How far the leader has committed, as it told the sender.
        committed: u64,
    },
}

impl Message {
    /// Whom a follower's answer speaks to; `None` for every other message.
    pub(super) fn answers(&self) -> Option<Claim> {
        match self {
            Message::Alive { claim, .. }
            | Message::Matched { claim, .. }
            | Message::Received { claim, .. }
            | Message::Applied { claim, .. }
            | Message::Mismatch { claim, .. }
            | Message::SnapshotGot { claim, .. } => Some(*claim),
            _ => None,
        }
    }
}

/// A round that a follower has answered. A process that was restarted does not know what its
/// predecessor had received when, so answers of before mean nothing to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vouched {
    /// The number of the follower's process.
    pub life: u64,
    /// The round; 0 if there is none.
    pub round: u64,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Change the state.
    Write(Change),
    /// Look at the state with the strongest promise that the settings offer.
    Read(Query),
    /// Look at what the asked node itself has applied.
    ReadLocal(Query),
    /// Let the asked node lead: an operator wants it.
    Promote,
    /// Change which nodes are the cluster.
    Configure(ConfigurationChange),
    /// Look at a state that holds all that was acknowledged up to so long ago.
    ReadBounded {
        /// What is looked for.
        query: Query,
        /// How long.
        max_staleness_ms: u64,
    },
    /// Look at a state in which an entry is applied, at whatever node is asked.
    ReadAfter {
        /// What is looked for.
        query: Query,
        /// The entry.
        after: EntryId,
    },
}

impl Request {
    /// Whether it may change the state. One that may not is always definite when it fails.
    pub fn is_write(&self) -> bool {
        matches!(self, Request::Write(_) | Request::Configure(_))
    }
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It happened.
    Done {
        /// What was asked for.
        answer: Answer,
        /// Where the answer comes from.
        source: Source,
    },
    /// It did not, as far as is known.
    Failed(Failure),
}

/// Who answered, in which position: what a client needs to judge an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The node that carried out the request.
    pub node: NodeId,
    /// What it was then.
    pub role: RoleName,
    /// The epoch it was in.
    pub epoch: u64,
    /// For a write the index of its entry, for a read the last applied index.
    pub index: u64,
    /// The identity of that entry; none before the first.
    pub gtid: Option<EntryId>,
    /// Whom it took for the leader.
    pub leader: Option<NodeId>,
    /// How many entries it knew to be committed and had not applied; `None` without a leader.
    pub lag_entries: Option<u64>,
    /// How old its state was at most: whatever was acknowledged longer ago is in it. `None` if it
    /// cannot tell.
    pub lag_ms: Option<u64>,
    /// What the answer to a write stands for.
    pub acknowledgement: Option<Acknowledgement>,
}

/// Who holds a write whose acknowledgement says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Acknowledgement {
    /// The leader alone.
    Async,
    /// The leader and as many followers as `replicas` says.
    SemiSync,
    /// The leader alone, because no follower confirmed in time.
    AsyncFallback,
    /// The leader and every standby that counts.
    Sync,
    /// A majority.
    Quorum,
    /// Every member of the in-sync set.
    Isr,
}

impl Acknowledgement {
    /// The word in the `acknowledgement` field of answers and of `/status`.
    pub fn name(self) -> &'static str {
        match self {
            Acknowledgement::Async => "async",
            Acknowledgement::SemiSync => "semi-sync",
            Acknowledgement::AsyncFallback => "async-fallback",
            Acknowledgement::Sync => "sync",
            Acknowledgement::Quorum => "quorum",
            Acknowledgement::Isr => "isr",
        }
    }
}

/// The roles of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoleName {
    /// It follows a leader or waits for one.
    Follower,
    /// It stands for election, or asks who should lead.
    Candidate,
    /// It leads.
    Leader,
}

impl RoleName {
    /// The name, as `/status` prints it.
    pub fn name(self) -> &'static str {
        match self {
            RoleName::Follower => "follower",
            RoleName::Candidate => "candidate",
            RoleName::Leader => "leader",
        }
    }
}

/// A request that did not end well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Why.
    pub kind: FailureKind,
    /// Whether it certainly did not happen and never will.
    pub definite: bool,
    /// The same in a sentence.
    pub message: Arc<str>,
    /// Who should be asked instead.
    pub leader: Option<NodeId>,
}

impl Failure {
    /// A failure of a request that certainly has no effect.
    pub(crate) fn definite(kind: FailureKind, message: impl AsRef<str>) -> Self {
        Failure { kind, definite: true, message: Arc::from(message.as_ref()), leader: None }
    }

    /// A failure after which nobody knows whether the request happens.
    pub(crate) fn indefinite(kind: FailureKind, message: impl AsRef<str>) -> Self {
        Failure { kind, definite: false, message: Arc::from(message.as_ref()), leader: None }
    }
}

/// Why a request did not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// The asked node knows no leader.
    NoLeader,
    /// The asked node does not lead and does not forward this request.
    NotLeader,
    /// The leader lost its leadership before the entry was known to be committed.
    LeadershipLost,
    /// The request was forwarded and its answer is lost.
    ForwardLost,
    /// The in-sync set is smaller than `min-in-sync`.
    NotEnoughReplicas,
    /// A limit on work in progress was reached.
    Overloaded,
    /// The list has more entries than one answer may hold.
    TooLarge,
    /// The node is a learner, and cannot lead.
    Learner,
    /// The state here may be older than the client accepts.
    TooStale,
    /// Another entry stands in the place of the one that the client wants to see.
    PositionLost,
    /// A change of the members that cannot be made.
    ConfigurationRefused,
    /// An earlier change of the members is under way.
    ChangeInProgress,
}

impl FailureKind {
    /// The word in the `error` field of an answer.
    pub fn name(self) -> &'static str {
        match self {
            FailureKind::NoLeader => "no-leader",
            FailureKind::NotLeader => "not-leader",
            FailureKind::LeadershipLost => "leadership-lost",
            FailureKind::ForwardLost => "forward-lost",
            FailureKind::NotEnoughReplicas => "not-enough-replicas",
            FailureKind::Overloaded => "overloaded",
            FailureKind::TooLarge => "too-large",
            FailureKind::Learner => "learner",
            FailureKind::TooStale => "too-stale",
            FailureKind::PositionLost => "position-lost",
            FailureKind::ConfigurationRefused => "configuration-refused",
            FailureKind::ChangeInProgress => "change-in-progress",
        }
    }
}
